/* test_os_sim.c: the simulated system keeps its fault model: every sentence of os_sim.h, by number,
 * and that each bad thing which may happen does happen over some seed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/os_sim.h"

#define SECTOR OS_SECTOR_BYTES
#define SEEDS  64u

/* A world with one synced file "f" of four sectors of 'a', open as a file and as a mapping. */
struct fixture {
    struct sim_world *world;
    struct os_dir *dir;
    struct os_file *file;
    struct os_map *map;
};

static void fill(uint8_t *sector, char with)
{
    memset(sector, with, SECTOR);
}

static void write_sector(struct os_file *file, unsigned number, char with)
{
    uint8_t bytes[SECTOR];
    size_t done = 0;
    fill(bytes, with);
    assert_int_equal(os_file_write(file, bytes, SECTOR, (uint64_t)number * SECTOR, &done), 0);
    assert_int_equal(done, SECTOR);
}

static int map_sector(struct os_map *map, unsigned number, char with)
{
    uint8_t bytes[SECTOR];
    fill(bytes, with);
    return os_map_write(map, (uint64_t)number * SECTOR, bytes, SECTOR);
}

static int map_sync(struct os_map *map)
{
    struct os_sync sync;
    os_map_sync_begin(map, 0, 4ul * SECTOR, &sync);
    return os_map_sync_end(&sync);
}

static void setup(struct fixture *f, uint64_t seed)
{
    f->world = sim_world_make(seed);
    assert_int_equal(os_dir_open(sim_os(f->world), "/", &f->dir), 0);
    assert_int_equal(os_file_open(f->dir, "f", OS_CREATE, &f->file), 0);
    for (unsigned i = 0; i < 4; i++)
        write_sector(f->file, i, 'a');
    assert_int_equal(os_file_sync(f->file), 0);
    assert_int_equal(os_dir_sync(f->dir), 0);
    assert_int_equal(os_map_open(f->dir, "f", 4ul * SECTOR, &f->map), 0);
    assert_int_equal(sim_unsynced(f->world), 0);
}

static void close_handles(struct fixture *f)
{
    os_map_close(f->map);
    os_file_close(f->file);
    os_dir_close(f->dir);
    *f = (struct fixture){.world = f->world};
}

static void teardown(struct fixture *f)
{
    close_handles(f);
    assert_int_equal(sim_open_handles(f->world), 0);
    sim_world_free(f->world);
}

/* The letter that a sector of f is full of, 0 for zeroes; '?' when it is torn. */
static char letter(const struct sim_world *world, unsigned number)
{
    uint8_t bytes[SECTOR];
    if (!sim_file_bytes(world, "f", (uint64_t)number * SECTOR, bytes, SECTOR))
        return '!';
    for (unsigned i = 1; i < SECTOR; i++)
        if (bytes[i] != bytes[0])
            return '?';
    return (char)bytes[0];
}

/* What a machine crash here would leave in one sector, over many seeds: a set of letters. */
static void letters_after_crash(struct sim_world *world, unsigned number, bool seen[256])
{
    memset(seen, 0, 256);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_world *branch = sim_world_clone(world, seed);
        sim_crash_now(branch, SIM_CRASH_MACHINE);
        sim_restart(branch);
        seen[(uint8_t)letter(branch, number)] = true;
        sim_world_free(branch);
    }
}

static unsigned letters_seen(const bool seen[256])
{
    unsigned count = 0;
    for (unsigned i = 0; i < 256; i++)
        count += seen[i];
    return count;
}

#define assert_after_crash(world, number, letters)                                                 \
    do {                                                                                           \
        bool seen_[256];                                                                           \
        letters_after_crash(world, number, seen_);                                                 \
        for (const char *l_ = (letters); *l_ != '\0'; l_++)                                        \
            assert_true(seen_[(uint8_t)*l_]);                                                      \
        assert_int_equal(letters_seen(seen_), strlen(letters));                                    \
    } while (0)

/* ---- bytes ----------------------------------------------------------------------------------- */

static void test_unsynced_sectors_become_any_version_each_for_itself(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 1);
    write_sector(f.file, 0, 'b');
    write_sector(f.file, 0, 'c');
    write_sector(f.file, 1, 'x');
    assert_int_equal(letter(f.world, 0), 'c'); /* [2] readers see the cache */
    assert_int_equal(sim_unsynced(f.world), 2);
    assert_after_crash(f.world, 0, "abc"); /* [1] never torn */
    assert_after_crash(f.world, 1, "ax");
    assert_after_crash(f.world, 2, "a");
    unsigned pairs[2][2] = {{0}};
    for (uint64_t seed = 0; seed < 4ul * SEEDS; seed++) {
        struct sim_world *branch = sim_world_clone(f.world, seed);
        sim_crash_now(branch, SIM_CRASH_MACHINE);
        sim_restart(branch);
        pairs[letter(branch, 0) == 'c'][letter(branch, 1) == 'x']++;
        sim_world_free(branch);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_true(pairs[i / 2][i % 2] > 0);
    teardown(&f);
}

static void test_a_sync_makes_certain_what_was_there_at_its_begin(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 2);
    assert_int_equal(map_sector(f.map, 0, 'b'), 0);
    assert_int_equal(map_sector(f.map, 1, 'b'), 0);
    struct os_sync sync;
    os_map_sync_begin(f.map, 0, 4ul * SECTOR, &sync);
    bool seen[256];
    letters_after_crash(f.world, 1, seen);
    assert_true(seen['a'] && seen['b']); /* [3] not before its end */
    write_sector(f.file, 0, 'c');        /* [13] in between */
    write_sector(f.file, 2, 'c');
    assert_int_equal(os_map_sync_end(&sync), 0);
    assert_after_crash(f.world, 0, "bc");
    assert_after_crash(f.world, 1, "b");
    assert_after_crash(f.world, 2, "ac");
    assert_int_equal(map_sync(f.map), 0); /* what came in between is dirty still */
    assert_after_crash(f.world, 0, "c");
    assert_after_crash(f.world, 2, "c");
    assert_int_equal(sim_unsynced(f.world), 0);
    teardown(&f);
}

static void test_a_sync_covers_the_pages_of_its_range_only(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 3);
    struct os_file *file;
    assert_int_equal(os_file_open(f.dir, "g", OS_CREATE, &file), 0);
    assert_int_equal(os_file_allocate(file, 2ul * OS_PAGE_BYTES), 0);
    assert_int_equal(os_file_sync(file), 0);
    assert_int_equal(os_dir_sync(f.dir), 0);
    struct os_map *map;
    assert_int_equal(os_map_open(f.dir, "g", 2ul * OS_PAGE_BYTES, &map), 0);
    assert_int_equal(os_map_write(map, 100, "one", 3), 0);
    assert_int_equal(os_map_write(map, OS_PAGE_BYTES + 100, "two", 3), 0);
    uint64_t before = sim_unsynced(f.world);
    struct os_sync sync;
    os_map_sync_begin(map, 3000, 8, &sync);
    assert_int_equal(os_map_sync_end(&sync), 0);
    assert_true(before >= 2 && sim_unsynced(f.world) == 1);
    os_map_close(map);
    os_file_close(file);
    teardown(&f);
}

static void test_identical_bytes_are_safe(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 4);
    write_sector(f.file, 0, 'a');
    assert_int_equal(map_sector(f.map, 1, 'a'), 0);
    assert_int_equal(sim_unsynced(f.world), 0);
    assert_after_crash(f.world, 0, "a");
    assert_after_crash(f.world, 1, "a");
    teardown(&f);
}

static void test_a_copy_may_be_caught_half_way(void **state)
{
    (void)state;
    bool torn = false;
    for (uint64_t seed = 0; seed < SEEDS && !torn; seed++) {
        struct fixture f;
        setup(&f, seed);
        assert_int_equal(map_sector(f.map, 0, 'b'), 0);
        assert_int_equal(letter(f.world, 0), 'b');
        bool seen[256];
        letters_after_crash(f.world, 0, seen);
        torn = seen['?'];
        assert_int_equal(map_sync(f.map), 0);
        assert_after_crash(f.world, 0, "b");
        teardown(&f);
    }
    assert_true(torn);
}

static void failed_sync(bool by_mapping)
{
    struct fixture f;
    setup(&f, 5);
    write_sector(f.file, 0, 'b');
    write_sector(f.file, 1, 'b');
    sim_fail_at(f.world, by_mapping ? SIM_MAP_SYNC_END : SIM_FILE_SYNC, 1, EIO);
    assert_int_equal(by_mapping ? map_sync(f.map) : os_file_sync(f.file), EIO);
    assert_int_equal(letter(f.world, 0), 'b');                                /* readable */
    assert_int_equal(by_mapping ? map_sync(f.map) : os_file_sync(f.file), 0); /* looks clean */
    assert_after_crash(f.world, 0, "ab");                                     /* is not there */
    write_sector(f.file, 0, 'b');                                             /* written anew, */
    assert_after_crash(f.world, 0, "ab");
    assert_int_equal(by_mapping ? map_sync(f.map) : os_file_sync(f.file), 0); /* and synced */
    assert_after_crash(f.world, 0, "b");
    assert_after_crash(f.world, 1, "ab");
    teardown(&f);
}

static void test_a_failed_sync_leaves_clean_looking_bytes_that_are_not_there(void **state)
{
    (void)state;
    failed_sync(true);
    failed_sync(false);
}

static void test_a_failed_sync_keeps_what_was_written_meanwhile_dirty(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 6);
    write_sector(f.file, 0, 'b');
    struct os_sync sync;
    os_map_sync_begin(f.map, 0, 4ul * SECTOR, &sync);
    write_sector(f.file, 0, 'c');
    sim_fail_at(f.world, SIM_MAP_SYNC_END, 1, EIO);
    assert_int_equal(os_map_sync_end(&sync), EIO);
    assert_after_crash(f.world, 0, "abc");
    assert_int_equal(map_sync(f.map), 0);
    assert_after_crash(f.world, 0, "c");
    teardown(&f);
}

static void test_a_dropped_cache_shows_what_a_failed_sync_left(void **state)
{
    (void)state;
    bool seen[256] = {false};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        setup(&f, seed);
        write_sector(f.file, 0, 'b');
        sim_fail_at(f.world, SIM_FILE_SYNC, 1, EIO);
        assert_int_equal(os_file_sync(f.file), EIO);
        assert_int_equal(os_file_drop_cache(f.file), 0);
        char shown = letter(f.world, 0);
        seen[(uint8_t)shown] = true;
        char certain[] = {shown, '\0'};
        assert_after_crash(f.world, 0, certain);
        teardown(&f);
    }
    assert_true(seen['a'] && seen['b'] && letters_seen(seen) == 2);
}

static void test_dropping_the_cache_spares_dirty_pages(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 7);
    write_sector(f.file, 0, 'b');
    assert_int_equal(os_file_drop_cache(f.file), 0);
    assert_int_equal(letter(f.world, 0), 'b');
    assert_after_crash(f.world, 0, "ab");
    teardown(&f);
}

static void test_unsynced_sizes_are_any_that_the_file_had(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 8);
    write_sector(f.file, 4, 'b');
    assert_int_equal(os_file_allocate(f.file, 6ul * SECTOR), 0);
    assert_int_equal(letter(f.world, 5), 0); /* never written: zeroes */
    unsigned seen[7] = {0};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_world *branch = sim_world_clone(f.world, seed);
        sim_crash_now(branch, SIM_CRASH_MACHINE);
        sim_restart(branch);
        uint64_t size = 0;
        assert_true(sim_file_size(branch, "f", &size));
        assert_int_equal(size % SECTOR, 0);
        seen[size / SECTOR]++;
        sim_world_free(branch);
    }
    assert_true(seen[4] > 0 && seen[5] > 0 && seen[6] > 0);
    assert_int_equal(seen[4] + seen[5] + seen[6], SEEDS);
    sim_fail_at(f.world, SIM_FILE_SYNC, 1, 0);
    assert_int_not_equal(os_file_sync(f.file), 0);
    assert_int_equal(os_file_sync(f.file), 0); /* passes the failed size by, too */
    assert_true(sim_unsynced(f.world) > 0);
    assert_int_equal(os_file_allocate(f.file, 7ul * SECTOR), 0);
    write_sector(f.file, 4, 'b');
    assert_int_equal(os_file_sync(f.file), 0);
    assert_int_equal(sim_unsynced(f.world), 0);
    teardown(&f);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void make_file(struct os_dir *dir, const char *name)
{
    struct os_file *file;
    assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
    os_file_close(file);
}

static void test_a_file_that_is_there_is_written_in_place(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 9);
    struct os_file *file;
    bool seen[256];
    assert_int_equal(os_file_open(f.dir, "g", OS_WRITE, &file), ENOENT);
    assert_int_equal(os_file_open(f.dir, "f", OS_WRITE, &file), 0);
    write_sector(file, 1, 'b');
    assert_int_equal(letter(f.world, 0), 'a');
    assert_int_equal(letter(f.world, 1), 'b');
    assert_int_equal(os_file_sync(file), 0);
    letters_after_crash(f.world, 1, seen);
    assert_int_equal(letters_seen(seen), 1);
    os_file_close(file);
    teardown(&f);
}

/* Which of four names a crash leaves, as a bit set, counted over seeds. */
static void names_after_crash(struct sim_world *world, const char *const names[4],
                              unsigned seen[16])
{
    memset(seen, 0, 16 * sizeof seen[0]);
    for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
        struct sim_world *branch = sim_world_clone(world, seed);
        sim_crash_now(branch, SIM_CRASH_MACHINE);
        sim_restart(branch);
        unsigned set = 0;
        for (unsigned i = 0; i < 4; i++)
            set |= (unsigned)(names[i] != NULL && sim_file_exists(branch, names[i])) << i;
        seen[set]++;
        sim_world_free(branch);
    }
}

static void test_unsynced_creations_and_removals_are_kept_or_lost(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 9);
    static const char *const names[4] = {"f", "g", "h", NULL};
    unsigned seen[16];
    assert_int_equal(os_remove(f.dir, "f"), 0);
    make_file(f.dir, "g");
    make_file(f.dir, "h");
    assert_false(sim_file_exists(f.world, "f"));
    names_after_crash(f.world, names, seen);
    for (unsigned set = 0; set < 8; set++)
        assert_true(seen[set] > 0); /* [8] independently */
    assert_int_equal(os_dir_sync(f.dir), 0);
    names_after_crash(f.world, names, seen);
    assert_int_equal(seen[6], 4 * SEEDS);
    teardown(&f);
}

static void test_operations_on_one_name_are_kept_in_order(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 10);
    static const char *const names[4] = {"g", NULL, NULL, NULL};
    unsigned seen[16];
    make_file(f.dir, "g");
    assert_int_equal(os_dir_sync(f.dir), 0);
    assert_int_equal(os_remove(f.dir, "g"), 0);
    struct os_file *file;
    assert_int_equal(os_file_open(f.dir, "g", OS_CREATE, &file), 0);
    write_sector(file, 0, 'n');
    assert_int_equal(os_file_sync(file), 0);
    os_file_close(file);
    names_after_crash(f.world, names, seen);
    assert_true(seen[0] > 0 && seen[1] > 0);
    /* The new file stands only where the removal of the old one was kept. */
    unsigned old = 0;
    unsigned new = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_world *branch = sim_world_clone(f.world, seed);
        sim_crash_now(branch, SIM_CRASH_MACHINE);
        sim_restart(branch);
        uint64_t size = 0;
        if (sim_file_size(branch, "g", &size))
            *(size == 0 ? &old : &new) += 1;
        sim_world_free(branch);
    }
    assert_true(old > 0 && new > 0);
    teardown(&f);
}

static void test_a_rename_is_kept_or_lost_or_doubled_never_neither(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 11);
    static const char *const names[4] = {"f", "g", NULL, NULL};
    unsigned seen[16];
    assert_int_equal(os_rename(f.dir, "f", "g"), 0);
    names_after_crash(f.world, names, seen);
    assert_int_equal(seen[0], 0);
    assert_true(seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
    assert_int_equal(os_dir_sync(f.dir), 0);
    names_after_crash(f.world, names, seen);
    assert_int_equal(seen[2], 4 * SEEDS);
    teardown(&f);
}

static void test_a_renamed_new_file_needs_its_creation(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 12);
    static const char *const names[4] = {"t", "g", NULL, NULL};
    unsigned seen[16];
    make_file(f.dir, "t");
    assert_int_equal(os_rename(f.dir, "t", "g"), 0);
    names_after_crash(f.world, names, seen);
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0 && seen[3] > 0);
    teardown(&f);
}

static void test_a_failed_directory_sync_stops_the_file_system(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 13);
    static const char *const names[4] = {"g", NULL, NULL, NULL};
    unsigned seen[16];
    struct os_file *file;
    size_t done;
    make_file(f.dir, "g");
    sim_fail_at(f.world, SIM_DIR_SYNC, 1, EIO);
    assert_int_equal(os_dir_sync(f.dir), EIO);
    assert_true(sim_is_stopped(f.world));
    assert_int_equal(os_dir_sync(f.dir), EIO);
    assert_int_equal(os_file_open(f.dir, "h", OS_CREATE, &file), EROFS);
    assert_int_equal(os_file_write(f.file, "x", 1, 0, &done), EROFS);
    assert_int_equal(os_remove(f.dir, "g"), EROFS);
    assert_int_equal(map_sector(f.map, 0, 'b'), 0); /* the cache takes it, no disk ever does */
    assert_int_equal(map_sync(f.map), EIO);
    sim_crash_now(f.world, SIM_CRASH_PROCESS);
    close_handles(&f);
    sim_restart(f.world);
    assert_true(sim_is_stopped(f.world)); /* another process does not help */
    names_after_crash(f.world, names, seen);
    assert_true(seen[0] > 0 && seen[1] > 0);
    sim_crash_now(f.world, SIM_CRASH_MACHINE);
    sim_restart(f.world);
    assert_false(sim_is_stopped(f.world));
    assert_int_equal(os_dir_open(sim_os(f.world), "/", &f.dir), 0);
    make_file(f.dir, "h");
    assert_int_equal(os_dir_sync(f.dir), 0);
    teardown(&f);
}

static void test_directories_are_names_too(void **state)
{
    (void)state;
    struct sim_world *world = sim_world_make(14);
    struct os_dir *root;
    struct os_dir *dir;
    assert_int_equal(os_dir_open(sim_os(world), "d", &dir), ENOENT);
    assert_int_equal(os_dir_make(sim_os(world), "d/e"), ENOENT);
    assert_int_equal(os_dir_make(sim_os(world), "/d"), 0);
    assert_int_equal(os_dir_make(sim_os(world), "d/"), EEXIST);
    assert_int_equal(os_dir_make(sim_os(world), "./d/e"), 0);
    assert_int_equal(os_dir_open(sim_os(world), "/d/e", &dir), 0);
    make_file(dir, "x");
    os_dir_close(dir);
    assert_true(sim_file_exists(world, "/d/e/x"));
    assert_int_equal(os_dir_open(sim_os(world), "/d/e/x", &dir), ENOTDIR);
    unsigned kept = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct sim_world *branch = sim_world_clone(world, seed);
        sim_crash_now(branch, SIM_CRASH_MACHINE);
        sim_restart(branch);
        kept += sim_list(branch, "/", NULL, NULL);
        sim_world_free(branch);
    }
    assert_true(kept > 0 && kept < SEEDS);
    assert_int_equal(os_dir_open(sim_os(world), ".", &root), 0);
    assert_int_equal(os_dir_sync(root), 0);
    os_dir_close(root);
    sim_crash_now(world, SIM_CRASH_MACHINE);
    sim_restart(world);
    assert_int_equal(sim_list(world, "/", NULL, NULL), 1);
    sim_world_free(world);
}

struct visited {
    unsigned count;
    char order[8];
    int stop_with;
};

static int visit_name(void *context, const char *name)
{
    struct visited *visited = context;
    if (visited->count < sizeof visited->order)
        visited->order[visited->count] = name[0];
    visited->count++;
    return visited->stop_with;
}

static void test_listing_has_no_order_and_stops_when_told(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 15);
    make_file(f.dir, "g");
    make_file(f.dir, "h");
    struct visited first = {0};
    bool differs = false;
    assert_int_equal(os_dir_list(f.dir, visit_name, &first), 0);
    assert_int_equal(first.count, 3);
    for (unsigned i = 0; i < SEEDS; i++) {
        struct visited again = {0};
        assert_int_equal(os_dir_list(f.dir, visit_name, &again), 0);
        assert_int_equal(again.count, 3);
        differs = differs || memcmp(first.order, again.order, 3) != 0;
    }
    assert_true(differs);
    struct visited stopped = {.stop_with = 99};
    assert_int_equal(os_dir_list(f.dir, visit_name, &stopped), 99);
    assert_int_equal(stopped.count, 1);
    sim_fail_at(f.world, SIM_DIR_LIST, 1, EIO);
    assert_int_equal(os_dir_list(f.dir, visit_name, &first), EIO);
    teardown(&f);
}

/* ---- crashes --------------------------------------------------------------------------------- */

static void test_a_process_crash_keeps_the_cache_unsynced(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 16);
    write_sector(f.file, 0, 'b');
    sim_crash_now(f.world, SIM_CRASH_PROCESS);
    close_handles(&f);
    sim_restart(f.world);
    assert_int_equal(letter(f.world, 0), 'b');
    assert_after_crash(f.world, 0, "ab");
    teardown(&f);
}

static void test_a_crashed_process_changes_nothing_more(void **state)
{
    (void)state;
    static const enum sim_crash kinds[] = {SIM_CRASH_PROCESS, SIM_CRASH_MACHINE};
    for (unsigned k = 0; k < 2; k++) {
        struct fixture f;
        setup(&f, 17);
        write_sector(f.file, 3, 'b');
        sim_crash_at(f.world, 2, kinds[k], SIM_CRASH_BEFORE);
        assert_int_equal(map_sector(f.map, 0, 'b'), 0);
        uint64_t hash = sim_hash(f.world);
        uint64_t unsynced = sim_unsynced(f.world);
        assert_int_equal(sim_crashed(f.world), SIM_NO_CRASH);
        assert_int_not_equal(map_sector(f.map, 1, 'b'), 0);
        assert_int_equal(sim_crashed(f.world), kinds[k]);
        assert_int_equal(sim_last_event(f.world)->call, SIM_MAP_WRITE);
        assert_int_equal(sim_last_event(f.world)->crash, kinds[k]);
        struct os_file *file;
        struct os_map *map;
        struct os_dir *dir;
        struct visited visited = {0};
        uint64_t size;
        size_t done;
        uint64_t calls = sim_calls(f.world);
        assert_int_not_equal(map_sync(f.map), 0);
        assert_int_not_equal(os_file_sync(f.file), 0);
        assert_int_not_equal(os_file_write(f.file, "x", 1, 0, &done), 0);
        assert_int_not_equal(os_file_read(f.file, &size, 1, 0, &done), 0);
        assert_int_not_equal(os_file_allocate(f.file, 100000), 0);
        assert_int_not_equal(os_file_size(f.file, &size), 0);
        assert_int_not_equal(os_file_drop_cache(f.file), 0);
        assert_int_not_equal(os_file_open(f.dir, "n", OS_CREATE, &file), 0);
        assert_int_not_equal(os_file_open(f.dir, "f", OS_READ, &file), 0);
        assert_int_not_equal(os_map_open(f.dir, "f", 4ul * SECTOR, &map), 0);
        assert_int_not_equal(os_dir_lock(f.dir, "f", true, &file), 0);
        assert_int_not_equal(os_rename(f.dir, "f", "g"), 0);
        assert_int_not_equal(os_remove(f.dir, "f"), 0);
        assert_int_not_equal(os_dir_sync(f.dir), 0);
        assert_int_not_equal(os_dir_list(f.dir, visit_name, &visited), 0);
        assert_int_not_equal(os_dir_make(sim_os(f.world), "d"), 0);
        assert_int_not_equal(os_dir_open(sim_os(f.world), "/", &dir), 0);
        assert_int_equal(visited.count, 0);
        assert_int_equal(sim_calls(f.world), calls);
        assert_int_equal(sim_hash(f.world), hash);
        assert_int_equal(sim_unsynced(f.world), unsynced);
        teardown(&f);
    }
}

static void test_a_copy_can_die_in_its_middle(void **state)
{
    (void)state;
    bool part = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        setup(&f, seed);
        uint8_t bytes[4 * SECTOR];
        memset(bytes, 'b', sizeof bytes);
        sim_crash_at(f.world, 1, SIM_CRASH_PROCESS, SIM_CRASH_AMID);
        assert_int_not_equal(os_map_write(f.map, 0, bytes, sizeof bytes), 0);
        part = part || (letter(f.world, 0) == 'b' && letter(f.world, 3) == 'a');
        teardown(&f);
    }
    assert_true(part);
}

static void test_locks_are_exclusive_and_end_with_the_process(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 18);
    struct os_file *lock;
    struct os_file *second;
    assert_int_equal(os_dir_lock(f.dir, "L", false, &lock), ENOENT);
    assert_int_equal(os_dir_lock(f.dir, "L", true, &lock), 0);
    struct os_dir *other;
    assert_int_equal(os_dir_open(sim_other_process(f.world), "/", &other), 0);
    assert_int_equal(os_dir_lock(other, "L", true, &second), EWOULDBLOCK);
    assert_int_equal(os_dir_lock(f.dir, "L", true, &second), EWOULDBLOCK);
    os_file_close(lock);
    assert_int_equal(os_dir_lock(f.dir, "L", true, &lock), 0);
    sim_crash_now(f.world, SIM_CRASH_PROCESS);
    assert_int_equal(os_dir_lock(other, "L", true, &second), 0);
    os_file_close(second);
    os_dir_close(other);
    os_file_close(lock);
    teardown(&f);
}

static void test_a_restart_follows_a_machine_crash(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 19);
    sim_advance(f.world, 3600ull * 1000 * 1000 * 1000);
    uint64_t wall = os_wall_us(sim_os(f.world));
    struct urn_os *old = sim_os(f.world);
    sim_crash_now(f.world, SIM_CRASH_MACHINE);
    close_handles(&f);
    struct urn_os *os = sim_restart(f.world);
    assert_ptr_not_equal(os, old);
    assert_ptr_equal(os, sim_os(f.world));
    assert_int_equal(sim_crashed(f.world), SIM_NO_CRASH);
    assert_true(os_monotonic_ns(os) < 3600ull * 1000 * 1000 * 1000); /* [11] */
    assert_true(os_wall_us(os) >= wall);
    struct os_dir *dir;
    assert_int_not_equal(os_dir_open(old, "/", &dir), 0);
    teardown(&f);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void test_the_nth_call_fails_once_with_an_error_that_fits(void **state)
{
    (void)state;
    bool seen[256] = {false};
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        setup(&f, seed);
        struct os_file *file;
        sim_fail_at(f.world, SIM_ANY_CALL, 2, 0);
        assert_int_equal(os_file_open(f.dir, "f", OS_READ, &file), 0);
        os_file_close(file);
        int error = os_file_open(f.dir, "f", OS_READ, &file);
        assert_int_not_equal(error, 0);
        assert_int_equal(sim_last_event(f.world)->error, error);
        assert_string_equal(sim_last_event(f.world)->name, "f");
        seen[error] = true;
        assert_int_equal(os_file_open(f.dir, "f", OS_READ, &file), 0);
        os_file_close(file);
        teardown(&f);
    }
    assert_true(seen[EMFILE] && seen[EACCES] && seen[EIO] && letters_seen(seen) == 3);
}

static void test_a_fault_on_a_begin_shows_at_the_end(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 20);
    assert_int_equal(map_sector(f.map, 0, 'b'), 0);
    sim_fail_at(f.world, SIM_MAP_SYNC_BEGIN, 1, EIO);
    assert_int_equal(map_sync(f.map), EIO);
    assert_int_equal(map_sync(f.map), 0);
    bool seen[256];
    letters_after_crash(f.world, 0, seen);
    assert_true(seen['a'] && seen['b']);
    teardown(&f);
}

static void test_reads_and_writes_are_short(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 21);
    uint8_t bytes[SECTOR] = {0};
    size_t done = 0;
    sim_short_at(f.world, 1);
    assert_int_equal(os_file_read(f.file, bytes, SECTOR, 0, &done), 0);
    assert_in_range(done, 1, SECTOR - 1);
    assert_int_equal(bytes[done - 1], 'a');
    assert_int_equal(bytes[done], 0);
    memset(bytes, 'b', sizeof bytes);
    sim_short_at(f.world, 1);
    assert_int_equal(os_file_write(f.file, bytes, SECTOR, 0, &done), 0);
    assert_in_range(done, 1, SECTOR - 1);
    assert_int_equal(letter(f.world, 0), '?');
    assert_int_equal(os_file_read(f.file, bytes, SECTOR, 4ul * SECTOR, &done), 0);
    assert_int_equal(done, 0); /* the end of the file */
    sim_set_fault_rates(f.world, 0, 2);
    unsigned shorts = 0;
    for (unsigned i = 0; i < SEEDS; i++) {
        assert_int_equal(os_file_read(f.file, bytes, SECTOR, 0, &done), 0);
        shorts += done < SECTOR;
    }
    assert_in_range(shorts, 1, SEEDS - 1);
    teardown(&f);
}

static void test_a_mapping_faults_with_any_part_copied(void **state)
{
    (void)state;
    bool some = false;
    bool none = false;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct fixture f;
        setup(&f, seed);
        uint8_t bytes[4 * SECTOR];
        memset(bytes, 'b', sizeof bytes);
        sim_fail_at(f.world, SIM_MAP_WRITE, 1, 0);
        assert_int_equal(os_map_write(f.map, 0, bytes, sizeof bytes), EIO);
        some = some || (letter(f.world, 0) == 'b' && letter(f.world, 3) == 'a');
        none = none || letter(f.world, 0) == 'a';
        teardown(&f);
    }
    assert_true(some && none);
}

static void test_a_mapping_faults_where_the_file_was_cut(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 22);
    assert_true(sim_truncate(f.world, "f", SECTOR));
    assert_int_equal(map_sector(f.map, 0, 'b'), 0);
    assert_int_equal(map_sector(f.map, 1, 'b'), EIO);
    struct os_map *map;
    assert_int_equal(os_map_open(f.dir, "f", 4ul * SECTOR, &map), EINVAL);
    teardown(&f);
}

static void test_the_disk_is_full_at_its_capacity(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 23);
    struct os_file *file;
    size_t done;
    assert_int_equal(sim_used_bytes(f.world), OS_PAGE_BYTES);
    sim_set_capacity(f.world, 3ul * OS_PAGE_BYTES);
    assert_int_equal(os_file_open(f.dir, "g", OS_CREATE, &file), 0);
    assert_int_equal(os_file_allocate(file, 3ul * OS_PAGE_BYTES), ENOSPC);
    assert_int_equal(os_file_allocate(file, 2ul * OS_PAGE_BYTES), 0);
    assert_int_equal(os_file_write(file, "x", 1, OS_PAGE_BYTES, &done), 0); /* has its space */
    assert_int_equal(os_file_write(file, "x", 1, 2ul * OS_PAGE_BYTES, &done), ENOSPC);
    os_file_close(file);
    assert_int_equal(os_remove(f.dir, "g"), 0);
    assert_int_equal(sim_used_bytes(f.world), OS_PAGE_BYTES);
    teardown(&f);
}

/* ---- decay ----------------------------------------------------------------------------------- */

static void test_bits_flip_on_the_disk(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 24);
    uint8_t byte;
    assert_true(sim_flip_bit(f.world, "f", 700, 1));
    assert_true(sim_file_bytes(f.world, "f", 700, &byte, 1));
    assert_int_equal(byte, 'a' ^ 2);
    write_sector(f.file, 2, 'b'); /* newer than the disk: the flip is hidden under it */
    assert_true(sim_flip_bit(f.world, "f", 2ul * SECTOR, 0));
    assert_int_equal(letter(f.world, 2), 'b');
    assert_false(sim_flip_bit(f.world, "f", 4ul * SECTOR, 0));
    assert_false(sim_flip_bit(f.world, "g", 0, 0));
    teardown(&f);
}

static void test_unreadable_sectors_fail_until_written_anew(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 25);
    uint8_t bytes[4 * SECTOR];
    size_t done = 0;
    assert_true(sim_set_unreadable(f.world, "f", SECTOR + 5));
    assert_int_equal(os_file_read(f.file, bytes, sizeof bytes, 0, &done), 0);
    assert_int_equal(done, SECTOR);
    assert_int_equal(os_file_read(f.file, bytes, 10, SECTOR, &done), EIO);
    assert_int_equal(os_file_read(f.file, bytes, 10, 2ul * SECTOR, &done), 0);
    assert_int_equal(map_sector(f.map, 1, 'b'), EIO);
    assert_int_equal(os_file_write(f.file, "x", 1, SECTOR, &done), EIO);
    uint8_t page[OS_PAGE_BYTES];
    memset(page, 'c', sizeof page);
    assert_int_equal(os_file_write(f.file, page, sizeof page, 0, &done), 0);
    assert_int_equal(os_file_sync(f.file), 0);
    assert_after_crash(f.world, 1, "c");
    teardown(&f);
}

static void test_files_are_lost_and_cut_short(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 26);
    uint64_t size = 0;
    assert_true(sim_truncate(f.world, "f", 700));
    assert_true(sim_file_size(f.world, "f", &size));
    assert_int_equal(size, 700);
    assert_int_equal(os_file_allocate(f.file, 2ul * SECTOR), 0);
    uint8_t byte = 1;
    assert_true(sim_file_bytes(f.world, "f", 700, &byte, 1));
    assert_int_equal(byte, 0);
    assert_true(sim_lose_file(f.world, "f"));
    assert_false(sim_file_exists(f.world, "f"));
    assert_false(sim_lose_file(f.world, "f"));
    teardown(&f);
}

/* ---- the world itself ------------------------------------------------------------------------ */

static void test_the_same_seed_is_the_same_world(void **state)
{
    (void)state;
    uint64_t hashes[2];
    uint8_t random[2][24];
    for (unsigned run = 0; run < 2; run++) {
        struct fixture f;
        setup(&f, 27);
        for (unsigned i = 0; i < 4; i++)
            write_sector(f.file, i, 'b');
        os_random(sim_os(f.world), random[run], sizeof random[run]);
        sim_crash_now(f.world, SIM_CRASH_MACHINE);
        close_handles(&f);
        sim_restart(f.world);
        hashes[run] = sim_hash(f.world);
        teardown(&f);
    }
    assert_int_equal(hashes[0], hashes[1]);
    assert_memory_equal(random[0], random[1], sizeof random[0]);
}

static void test_a_clone_goes_its_own_way(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 28);
    write_sector(f.file, 0, 'b');
    struct sim_world *clone = sim_world_clone(f.world, 1);
    assert_int_equal(sim_hash(clone), sim_hash(f.world));
    assert_int_equal(sim_unsynced(clone), sim_unsynced(f.world));
    assert_int_equal(sim_open_handles(clone), 0);
    assert_true(sim_flip_bit(clone, "f", 3ul * SECTOR, 0));
    assert_int_equal(letter(f.world, 3), 'a');
    write_sector(f.file, 3, 'c');
    assert_int_equal(os_file_sync(f.file), 0);
    assert_int_equal(letter(clone, 3), '?');
    sim_world_free(clone);
    assert_int_equal(letter(f.world, 3), 'c');
    teardown(&f);
}

static void test_clocks_go_on_and_jump(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 29);
    struct urn_os *os = sim_os(f.world);
    uint64_t monotonic = os_monotonic_ns(os);
    uint64_t wall = os_wall_us(os);
    sim_advance(f.world, 5000000);
    assert_int_equal(os_monotonic_ns(os), monotonic + 5000000);
    assert_int_equal(os_wall_us(os), wall + 5000);
    sim_jump_wall_clock(f.world, -10000);
    assert_int_equal(os_wall_us(os), wall - 5000);
    assert_int_equal(os_monotonic_ns(os), monotonic + 5000000);
    assert_int_equal(os_dir_sync(f.dir), 0);
    assert_true(os_monotonic_ns(os) > monotonic + 5000000);
    teardown(&f);
}

static void test_fed_random_bytes_come_first(void **state)
{
    (void)state;
    struct sim_world *world = sim_world_make(30);
    uint8_t bytes[8];
    sim_feed_random(world, "abcde", 5);
    os_random(sim_os(world), bytes, 3);
    assert_memory_equal(bytes, "abc", 3);
    os_random(sim_os(world), bytes, 8);
    assert_memory_equal(bytes, "de", 2);
    sim_world_free(world);
}

static void count_call(void *context, const struct sim_event *call)
{
    unsigned *counts = context;
    counts[call->call]++;
}

static void test_calls_are_counted_and_observed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 31);
    unsigned counts[SIM_CALL_COUNT] = {0};
    uint64_t calls = sim_calls(f.world);
    uint64_t writes = sim_calls_of(f.world, SIM_FILE_WRITE);
    sim_set_observer(f.world, count_call, counts);
    write_sector(f.file, 0, 'b');
    assert_int_equal(map_sync(f.map), 0);
    sim_set_observer(f.world, NULL, NULL);
    assert_int_equal(sim_calls(f.world), calls + 3);
    assert_int_equal(sim_calls_of(f.world, SIM_FILE_WRITE), writes + 1);
    assert_int_equal(counts[SIM_FILE_WRITE], 1);
    assert_int_equal(counts[SIM_MAP_SYNC_BEGIN], 1);
    assert_int_equal(counts[SIM_MAP_SYNC_END], 1);
    teardown(&f);
}

static void test_whoever_looks_quietly_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 32);
    const uint64_t calls = sim_calls(f.world);
    const uint64_t now_ns = os_monotonic_ns(sim_os(f.world));
    sim_crash_at(f.world, 1, SIM_CRASH_PROCESS, SIM_CRASH_BEFORE);
    sim_set_fault_rates(f.world, 1, 0);
    sim_set_quiet(f.world, true);
    write_sector(f.file, 0, 'b');
    assert_int_equal(map_sync(f.map), 0);
    sim_set_quiet(f.world, false);
    assert_int_equal(sim_calls(f.world), calls);
    assert_int_equal(os_monotonic_ns(sim_os(f.world)), now_ns);
    assert_int_equal(sim_crashed(f.world), SIM_NO_CRASH);
    assert_int_equal(map_sync(f.map), EIO);
    assert_int_equal(sim_crashed(f.world), SIM_CRASH_PROCESS);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsynced_sectors_become_any_version_each_for_itself),
        cmocka_unit_test(test_a_sync_makes_certain_what_was_there_at_its_begin),
        cmocka_unit_test(test_a_sync_covers_the_pages_of_its_range_only),
        cmocka_unit_test(test_identical_bytes_are_safe),
        cmocka_unit_test(test_a_copy_may_be_caught_half_way),
        cmocka_unit_test(test_a_failed_sync_leaves_clean_looking_bytes_that_are_not_there),
        cmocka_unit_test(test_a_failed_sync_keeps_what_was_written_meanwhile_dirty),
        cmocka_unit_test(test_a_dropped_cache_shows_what_a_failed_sync_left),
        cmocka_unit_test(test_dropping_the_cache_spares_dirty_pages),
        cmocka_unit_test(test_unsynced_sizes_are_any_that_the_file_had),
        cmocka_unit_test(test_a_file_that_is_there_is_written_in_place),
        cmocka_unit_test(test_unsynced_creations_and_removals_are_kept_or_lost),
        cmocka_unit_test(test_operations_on_one_name_are_kept_in_order),
        cmocka_unit_test(test_a_rename_is_kept_or_lost_or_doubled_never_neither),
        cmocka_unit_test(test_a_renamed_new_file_needs_its_creation),
        cmocka_unit_test(test_a_failed_directory_sync_stops_the_file_system),
        cmocka_unit_test(test_directories_are_names_too),
        cmocka_unit_test(test_listing_has_no_order_and_stops_when_told),
        cmocka_unit_test(test_a_process_crash_keeps_the_cache_unsynced),
        cmocka_unit_test(test_a_crashed_process_changes_nothing_more),
        cmocka_unit_test(test_a_copy_can_die_in_its_middle),
        cmocka_unit_test(test_locks_are_exclusive_and_end_with_the_process),
        cmocka_unit_test(test_a_restart_follows_a_machine_crash),
        cmocka_unit_test(test_the_nth_call_fails_once_with_an_error_that_fits),
        cmocka_unit_test(test_a_fault_on_a_begin_shows_at_the_end),
        cmocka_unit_test(test_reads_and_writes_are_short),
        cmocka_unit_test(test_a_mapping_faults_with_any_part_copied),
        cmocka_unit_test(test_a_mapping_faults_where_the_file_was_cut),
        cmocka_unit_test(test_the_disk_is_full_at_its_capacity),
        cmocka_unit_test(test_bits_flip_on_the_disk),
        cmocka_unit_test(test_unreadable_sectors_fail_until_written_anew),
        cmocka_unit_test(test_files_are_lost_and_cut_short),
        cmocka_unit_test(test_the_same_seed_is_the_same_world),
        cmocka_unit_test(test_a_clone_goes_its_own_way),
        cmocka_unit_test(test_clocks_go_on_and_jump),
        cmocka_unit_test(test_fed_random_bytes_come_first),
        cmocka_unit_test(test_calls_are_counted_and_observed),
        cmocka_unit_test(test_whoever_looks_quietly_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
