/* test_os_map.c: the log's mapping on the real system: engine/os_linux.c. A store or a sync of many pages goes another way than
 * one of a few; whichever it takes, the file has what was stored. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/os.h"

#define FILE_BYTES  (4ul << 20)
#define PIECE_MAX   (40ul * OS_PAGE_BYTES)
#define NAME        "segment"
#define FOLDER_FORM "/tmp/urn-test-os-map-XXXXXX"

struct scene {
    char folder[sizeof FOLDER_FORM];
    char path[sizeof FOLDER_FORM + sizeof NAME];
    struct os_dir *dir;
    struct os_map *map;
    uint8_t *stored; /* what the file must hold */
    uint64_t random;
    _Atomic uint64_t stored_bytes;
};

static void write_zeroes(const char *path)
{
    static const uint8_t zeroes[OS_PAGE_BYTES];
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (uint64_t i = 0; i < FILE_BYTES / OS_PAGE_BYTES; i++)
        assert_int_equal(fwrite(zeroes, sizeof zeroes, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static int a_scene(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    memcpy(scene->folder, FOLDER_FORM, sizeof FOLDER_FORM);
    assert_non_null(mkdtemp(scene->folder));
    snprintf(scene->path, sizeof scene->path, "%s/%s", scene->folder, NAME);
    write_zeroes(scene->path);
    assert_int_equal(os_dir_open(os_default(), scene->folder, &scene->dir), 0);
    assert_int_equal(os_map_open(scene->dir, NAME, FILE_BYTES, &scene->map), 0);
    scene->stored = calloc(1, FILE_BYTES);
    assert_non_null(scene->stored);
    scene->random = 1;
    *state = scene;
    return 0;
}

static int no_scene(void **state)
{
    struct scene *scene = *state;
    os_map_close(scene->map);
    os_dir_close(scene->dir);
    assert_int_equal(unlink(scene->path), 0);
    assert_int_equal(rmdir(scene->folder), 0);
    free(scene->stored);
    free(scene);
    return 0;
}

static uint64_t some(struct scene *scene, uint64_t below)
{
    scene->random = scene->random * 6364136223846793005u + 1442695040888963407u;
    return (scene->random >> 33) % below;
}

/* Stores a piece behind what is stored, with bytes that are never zero. */
static uint64_t store(struct scene *scene, uint64_t length_bytes)
{
    const uint64_t begin = atomic_load(&scene->stored_bytes);
    for (uint64_t i = 0; i < length_bytes; i++)
        scene->stored[begin + i] = (uint8_t)(1 + some(scene, 255));
    assert_int_equal(os_map_write(scene->map, begin, scene->stored + begin, length_bytes), 0);
    atomic_store(&scene->stored_bytes, begin + length_bytes);
    return begin;
}

static void sync_range(struct scene *scene, uint64_t begin, uint64_t end)
{
    struct os_sync sync;
    os_map_sync_begin(scene->map, begin, end - begin, &sync);
    assert_int_equal(os_map_sync_end(&sync), 0);
}

/* Small and large ones, often within a page, and often beyond many. */
static uint64_t some_length(struct scene *scene)
{
    const uint64_t left = FILE_BYTES - atomic_load(&scene->stored_bytes);
    const uint64_t most = some(scene, 2) == 0 ? 300 : PIECE_MAX;
    const uint64_t length = 1 + some(scene, most);
    return length < left ? length : left;
}

/* The cache drops first what it believes the disk to have: a page that lost its mark of being dirty would show. */
static void must_have_it(struct scene *scene)
{
    uint8_t *there = malloc(FILE_BYTES);
    assert_non_null(there);
    os_map_close(scene->map);
    scene->map = NULL;
    int fd = open(scene->path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    for (uint64_t at = 0; at < FILE_BYTES;) {
        const ssize_t got = pread(fd, there + at, FILE_BYTES - at, (off_t)at);
        assert_true(got > 0);
        at += (uint64_t)got;
    }
    assert_int_equal(close(fd), 0);
    assert_int_equal(memcmp(there, scene->stored, FILE_BYTES), 0);
    free(there);
}

static void test_what_is_stored_and_synced_is_in_the_file(void **state)
{
    struct scene *scene = *state;
    while (atomic_load(&scene->stored_bytes) < FILE_BYTES) {
        const uint64_t begin = store(scene, some_length(scene));
        sync_range(scene, begin, atomic_load(&scene->stored_bytes));
    }
    must_have_it(scene);
}

/* A second lap finds the pages of the first: unmapped, perhaps mapped again. */
static void test_a_second_lap(void **state)
{
    struct scene *scene = *state;
    for (uint32_t lap = 0; lap < 2; lap++) {
        atomic_store(&scene->stored_bytes, 0);
        while (atomic_load(&scene->stored_bytes) < FILE_BYTES) {
            const uint64_t begin = store(scene, some_length(scene));
            sync_range(scene, begin, atomic_load(&scene->stored_bytes));
            if (some(scene, 4) == 0)
                os_map_populate(scene->map, 0, FILE_BYTES);
        }
    }
    must_have_it(scene);
}

static void *store_all(void *argument)
{
    struct scene *scene = argument;
    while (atomic_load(&scene->stored_bytes) < FILE_BYTES)
        store(scene, some_length(scene));
    return NULL;
}

/* As in modes interval and os: what is stored beside a sync is not lost for the next. */
static void test_stores_go_on_beside_syncs(void **state)
{
    struct scene *scene = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, store_all, scene), 0);
    for (uint64_t durable = 0; durable < FILE_BYTES;) {
        const uint64_t stored = atomic_load(&scene->stored_bytes);
        if (stored == durable)
            continue;
        sync_range(scene, durable, stored);
        durable = stored;
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    must_have_it(scene);
}

/* However long it is, a store that the file cannot back is an error, and no end of the process. */
static void test_a_store_behind_the_end_of_a_cut_file(void **state)
{
    struct scene *scene = *state;
    static const uint64_t lengths[] = {1, OS_PAGE_BYTES, 3 * OS_PAGE_BYTES, 4 * OS_PAGE_BYTES,
                                       20 * OS_PAGE_BYTES};
    static const uint8_t bytes[20 * OS_PAGE_BYTES];
    os_map_close(scene->map); /* opened once more: cmocka took the signal since */
    assert_int_equal(os_map_open(scene->dir, NAME, FILE_BYTES, &scene->map), 0);
    assert_int_equal(truncate(scene->path, 8 * OS_PAGE_BYTES), 0);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        assert_int_equal(os_map_write(scene->map, 9 * OS_PAGE_BYTES, bytes, lengths[i]), EIO);
    /* One that begins before the end. */
    assert_int_equal(os_map_write(scene->map, 5 * OS_PAGE_BYTES, bytes, sizeof bytes), EIO);
    assert_int_equal(os_map_write(scene->map, 0, bytes, 8 * OS_PAGE_BYTES), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, a_scene, no_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_stored_and_synced_is_in_the_file),
        TEST(test_a_second_lap),
        TEST(test_stores_go_on_beside_syncs),
        TEST(test_a_store_behind_the_end_of_a_cut_file),
    };
    return cmocka_run_group_tests_name("os_map", tests, NULL, NULL);
}
