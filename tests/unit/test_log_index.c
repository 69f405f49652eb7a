/* test_log_index.c: the index of a segment: what is noted, what is found, pinned bytes, hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/crc32c.h"
#include "engine/log_index.h"

#define SEGMENT_BYTES (1024u * 1024)
#define SEQUENCE      7u
#define BEGIN_LSN     (SEQUENCE * (uint64_t)SEGMENT_BYTES + WAL_SEGMENT_HEADER_BYTES)
#define GROUPS_MAX    8192u

static const struct wal_geometry geometry = {
    .ring_uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    .segment_size_bytes = SEGMENT_BYTES,
    .segments = 3,
};

/* A segment's groups, and the index of them. */
struct scene {
    struct wal_group_header groups[GROUPS_MAX];
    uint32_t count;
    struct log_index_entry entries[LOG_INDEX_ENTRIES_MAX];
    struct log_index index;
    uint64_t random;
};

static uint64_t next_random(struct scene *scene, uint64_t below)
{
    scene->random = scene->random * 6364136223846793005u + 1442695040888963407u;
    return (scene->random >> 33) % below;
}

static void begin(struct scene *scene)
{
    scene->count = 0;
    log_index_begin(&scene->index, &geometry, SEQUENCE, log_index_stride_bytes(SEGMENT_BYTES),
                    scene->entries, LOG_INDEX_ENTRIES_MAX);
}

static enum wal_read_result add(struct scene *scene, uint64_t lsn, uint32_t length_bytes,
                                uint64_t first_request_id, uint32_t draws, uint64_t engine_time_us,
                                uint64_t wall_time_us)
{
    const struct wal_group_header header = {
        .length_bytes = length_bytes,
        .kind = draws > 0 ? WAL_DATA : WAL_MARK,
        .lsn = lsn,
        .draws = draws,
        .engine_time_us = engine_time_us,
        .wall_time_us = wall_time_us,
        .first_request_id = first_request_id,
    };
    const enum wal_read_result result = log_index_add(&scene->index, &header);
    if (result == WAL_READ_OK) {
        assert_true(scene->count < GROUPS_MAX);
        scene->groups[scene->count++] = header;
    }
    return result;
}

/* Fills the segment with groups of all sizes, some without draws, some behind a jump of the ids, under a wall
 * clock that is set back at times. */
static void fill(struct scene *scene, uint64_t seed)
{
    begin(scene);
    scene->random = seed;
    uint64_t lsn = BEGIN_LSN;
    uint64_t id = 1000;
    uint64_t engine_us = 5000;
    uint64_t wall_us = 1u << 30;
    while (lsn + 200000 < BEGIN_LSN - WAL_SEGMENT_HEADER_BYTES + SEGMENT_BYTES) {
        const uint64_t longest = next_random(scene, 8) == 0 ? 100000 : 2000;
        const uint32_t length =
            (uint32_t)round_up_u64(WAL_GROUP_HEADER_BYTES + next_random(scene, longest), 8);
        const uint32_t draws =
            next_random(scene, 3) == 0 ? 0 : 1 + (uint32_t)next_random(scene, 50);
        if (next_random(scene, 20) == 0)
            id += next_random(scene, 5000);
        engine_us += next_random(scene, 100);
        wall_us += next_random(scene, 100);
        if (next_random(scene, 30) == 0)
            wall_us -= next_random(scene, 5000);
        assert_int_equal(add(scene, lsn, length, id, draws, engine_us, wall_us), WAL_READ_OK);
        id += draws;
        lsn += length;
    }
}

static struct scene *make_scene(void)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    begin(scene);
    return scene;
}

/* ---- what is noted ----------------------------------------------------------------------------- */

static void test_strides_keep_every_segment_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(log_index_stride_bytes(SEGMENT_SIZE_BYTES_MIN), LOG_INDEX_STRIDE_BYTES_MIN);
    assert_int_equal(log_index_stride_bytes(64u << 20), LOG_INDEX_STRIDE_BYTES_MIN);
    assert_int_equal(log_index_stride_bytes(1ull << 28), LOG_INDEX_STRIDE_BYTES_MIN);
    assert_int_equal(log_index_stride_bytes(1ull << 29), 2 * LOG_INDEX_STRIDE_BYTES_MIN);
    for (uint64_t size = SEGMENT_SIZE_BYTES_MIN; size <= SEGMENT_SIZE_BYTES_MAX; size += size) {
        assert_true(log_index_entries_max(size, log_index_stride_bytes(size)) <=
                    LOG_INDEX_ENTRIES_MAX);
    }
}

static void test_counts_are_those_of_the_groups(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    assert_int_equal(scene->index.end_lsn, BEGIN_LSN);
    fill(scene, 1);
    uint64_t draws = 0;
    uint64_t lowest = UINT64_MAX;
    for (uint32_t i = 0; i < scene->count; i++) {
        draws += scene->groups[i].draws;
        if (scene->groups[i].wall_time_us < lowest)
            lowest = scene->groups[i].wall_time_us;
    }
    const struct wal_group_header *last = &scene->groups[scene->count - 1];
    assert_int_equal(scene->index.groups, scene->count);
    assert_int_equal(scene->index.draws, draws);
    assert_int_equal(scene->index.wall_time_us_min, lowest);
    assert_int_equal(scene->index.end_lsn, last->lsn + last->length_bytes);
    assert_int_equal(scene->index.end_request_id, last->first_request_id + last->draws);
    assert_int_equal(scene->index.engine_time_us, last->engine_time_us);
    assert_int_equal(scene->index.entries[0].lsn, BEGIN_LSN);
    assert_true(scene->index.count > 5 && scene->index.count < scene->count);
    for (uint32_t i = 1; i < scene->index.count; i++)
        assert_true(scene->index.entries[i].lsn >=
                    scene->index.entries[i - 1].lsn + LOG_INDEX_STRIDE_BYTES_MIN);
    free(scene);
}

/* The smallest groups there are, up to the last byte: the most entries. */
static void test_a_full_segment_has_as_many_entries_as_are_allowed_for(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    const uint32_t capacity = log_index_entries_max(SEGMENT_BYTES, 4096);
    log_index_begin(&scene->index, &geometry, SEQUENCE, 4096, scene->entries, capacity);
    const uint64_t end = (SEQUENCE + 1) * (uint64_t)SEGMENT_BYTES;
    for (uint64_t lsn = BEGIN_LSN; lsn < end; lsn += 512)
        assert_int_equal(add(scene, lsn, 512, 1, 0, 1, 1), WAL_READ_OK);
    assert_int_equal(scene->index.count, capacity);
    assert_int_equal(add(scene, end, 512, 1, 0, 1, 1), WAL_READ_PLACE);
    free(scene);
}

static void test_what_does_not_follow_is_not_added(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    assert_int_equal(add(scene, BEGIN_LSN - 4096, 4096, 1, 0, 1, 1), WAL_READ_PLACE);
    assert_int_equal(add(scene, BEGIN_LSN + 8, 104, 1, 0, 1, 1), WAL_READ_PLACE);
    assert_int_equal(add(scene, BEGIN_LSN, SEGMENT_BYTES, 1, 0, 1, 1), WAL_READ_PLACE);
    assert_int_equal(add(scene, BEGIN_LSN, 96, 1, 0, 1, 1), WAL_READ_PLACE);
    assert_int_equal(add(scene, BEGIN_LSN, 104, 10, 5, 100, 1), WAL_READ_OK);
    assert_int_equal(add(scene, BEGIN_LSN, 104, 15, 5, 100, 1), WAL_READ_PLACE);
    assert_int_equal(add(scene, BEGIN_LSN + 104, 104, 14, 5, 100, 1), WAL_READ_SHAPE);
    assert_int_equal(add(scene, BEGIN_LSN + 104, 104, 1ull << 53, 5, 100, 1), WAL_READ_SHAPE);
    assert_int_equal(add(scene, BEGIN_LSN + 104, 104, 15, 5, 99, 1), WAL_READ_SHAPE);
    assert_int_equal(scene->index.groups, 1);
    assert_int_equal(add(scene, BEGIN_LSN + 104, 104, 15, 5, 100, 1), WAL_READ_OK);
    assert_int_equal(scene->index.draws, 10);
    free(scene);
}

/* ---- what is found ----------------------------------------------------------------------------- */

static bool is_in(const struct log_index_stretch *stretch, uint64_t lsn)
{
    return lsn >= stretch->from_lsn && lsn < stretch->to_lsn;
}

/* A stretch is short: a stride, and the group that reaches beyond it. */
static void check_length(const struct log_index_stretch *stretch)
{
    assert_true(stretch->to_lsn > stretch->from_lsn);
    assert_true(stretch->to_lsn - stretch->from_lsn <= LOG_INDEX_STRIDE_BYTES_MIN + 200000);
}

static void check_every_draw(struct scene *scene)
{
    struct log_index_stretch stretch;
    for (uint32_t i = 0; i < scene->count; i++) {
        const struct wal_group_header *group = &scene->groups[i];
        for (uint64_t id = group->first_request_id; id < group->first_request_id + group->draws;
             id++) {
            assert_true(log_index_find_request(&scene->index, id, &stretch));
            assert_true(is_in(&stretch, group->lsn));
            check_length(&stretch);
        }
    }
}

static void check_every_lsn(struct scene *scene)
{
    struct log_index_stretch stretch;
    for (uint32_t i = 0; i < scene->count; i++) {
        const struct wal_group_header *group = &scene->groups[i];
        for (uint64_t lsn = group->lsn; lsn < group->lsn + group->length_bytes; lsn += 8) {
            assert_true(log_index_find_lsn(&scene->index, lsn, &stretch));
            assert_true(is_in(&stretch, group->lsn));
            check_length(&stretch);
        }
    }
    assert_false(log_index_find_lsn(&scene->index, BEGIN_LSN - 1, &stretch));
    assert_false(log_index_find_lsn(&scene->index, scene->index.end_lsn, &stretch));
}

/* Against a look at all groups. */
static void check_wall_time(struct scene *scene, uint64_t wall_time_us)
{
    struct log_index_stretch stretch;
    const bool found = log_index_find_wall_time(&scene->index, wall_time_us, &stretch);
    for (uint32_t i = 0; i < scene->count; i++)
        if (scene->groups[i].wall_time_us >= wall_time_us) {
            assert_true(found && is_in(&stretch, scene->groups[i].lsn));
            return;
        }
    assert_false(found);
}

static void test_every_group_is_found_by_id_place_and_time(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct log_index_stretch stretch;
        fill(scene, seed);
        check_every_draw(scene);
        check_every_lsn(scene);
        for (uint32_t i = 0; i < scene->count; i++) {
            check_wall_time(scene, scene->groups[i].wall_time_us);
            check_wall_time(scene, scene->groups[i].wall_time_us + 1);
        }
        check_wall_time(scene, 0);
        assert_false(log_index_find_request(&scene->index, 999, &stretch));
        assert_false(log_index_find_request(&scene->index, scene->index.end_request_id, &stretch));
    }
    free(scene);
}

static void test_an_empty_index_has_nothing(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    struct log_index_stretch stretch;
    assert_false(log_index_find_request(&scene->index, 1, &stretch));
    assert_false(log_index_find_lsn(&scene->index, BEGIN_LSN, &stretch));
    assert_false(log_index_find_wall_time(&scene->index, 0, &stretch));
    free(scene);
}

/* ---- bytes ------------------------------------------------------------------------------------- */

static void test_bytes_are_pinned(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    assert_int_equal(add(scene, BEGIN_LSN, 65536, 1000, 5, 0x4142, 0x5154), WAL_READ_OK);
    assert_int_equal(add(scene, BEGIN_LSN + 65536, 104, 1005, 2, 0x4143, 0x5153), WAL_READ_OK);
    uint8_t bytes[LOG_INDEX_HEADER_BYTES + 2 * LOG_INDEX_ENTRY_BYTES];
    memset(bytes, 0xee, sizeof bytes);
    assert_int_equal(log_index_bytes(scene->index.count), sizeof bytes);
    log_index_write(&scene->index, bytes);
    char hex[2 * sizeof bytes + 1];
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(hex, "55524e494e445831"                 /* URNINDX1 */
                             "845910bb"                         /* CRC */
                             "01000000"                         /* version */
                             "000102030405060708090a0b0c0d0e0f" /* ring UUID */
                             "0700000000000000"                 /* sequence */
                             "0000100000000000"                 /* segment size */
                             "6810710000000000"                 /* LSN behind the last group */
                             "0200000000000000"                 /* groups */
                             "0700000000000000"                 /* draws */
                             "ef03000000000000"                 /* ids are below */
                             "4341000000000000"                 /* engine time */
                             "5351000000000000"                 /* lowest wall time */
                             "0200000000000000"                 /* entries, zero */
                             "0010700000000000e803000000000000" /* LSN, first id */
                             "42410000000000005451000000000000" /* engine time, wall time */
                             "0010710000000000ed03000000000000"
                             "43410000000000005451000000000000");
    free(scene);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    for (uint64_t seed = 0; seed <= 5; seed++) {
        if (seed > 0) /* the first is empty */
            fill(scene, seed);
        const uint64_t length = log_index_bytes(scene->index.count);
        uint8_t *bytes = malloc(length + 8);
        struct log_index_entry *entries = calloc(scene->index.count + 1, sizeof *entries);
        assert_non_null(bytes);
        assert_non_null(entries);
        log_index_write(&scene->index, bytes);
        struct log_index read;
        uint32_t count = 99;
        assert_int_equal(log_index_peek(bytes, LOG_INDEX_HEADER_BYTES, &count), WAL_READ_OK);
        assert_int_equal(count, scene->index.count);
        assert_int_equal(log_index_read(bytes, length + 8, entries, count, &read), WAL_READ_OK);
        assert_memory_equal(entries, scene->entries, count * sizeof *entries);
        assert_memory_equal(read.ring_uuid, geometry.ring_uuid, WAL_UUID_BYTES);
        read.entries = scene->index.entries;
        read.capacity = scene->index.capacity;
        read.stride_bytes = scene->index.stride_bytes;
        assert_memory_equal(&read, &scene->index, sizeof read);
        free(entries);
        free(bytes);
    }
    free(scene);
}

static void test_any_damage_is_found(void **state)
{
    (void)state;
    struct scene *scene = make_scene();
    fill(scene, 3);
    const uint64_t length = log_index_bytes(scene->index.count);
    uint8_t *bytes = malloc(length);
    assert_non_null(bytes);
    log_index_write(&scene->index, bytes);
    struct log_index_entry *entries = calloc(scene->index.count, sizeof *entries);
    struct log_index read;
    assert_non_null(entries);
    for (uint64_t at = 0; at < length; at++) {
        bytes[at] ^= 0x10;
        assert_int_not_equal(log_index_read(bytes, length, entries, scene->index.count, &read),
                             WAL_READ_OK);
        bytes[at] ^= 0x10;
    }
    for (uint64_t shorter = 0; shorter < length; shorter += 8)
        assert_int_equal(log_index_read(bytes, shorter, entries, scene->index.count, &read),
                         WAL_READ_LENGTH);
    assert_int_equal(log_index_read(bytes, length, entries, scene->index.count - 1, &read),
                     WAL_READ_SHAPE);
    assert_int_equal(log_index_read(bytes, length, entries, scene->index.count, &read),
                     WAL_READ_OK);
    memset(bytes, 0, length);
    assert_int_equal(log_index_read(bytes, length, entries, scene->index.count, &read),
                     WAL_READ_ZERO);
    free(entries);
    free(bytes);
    free(scene);
}

/* Bytes with a right checksum that urn does not write. */
static void test_untrue_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t offset;
        uint64_t value;
        enum wal_read_result result;
    } cases[] = {
        {12, 2 | 0x0706050400000000ull, WAL_READ_VERSION},
        {32, 8, WAL_READ_SHAPE},                     /* another segment: the LSNs are not in it */
        {32, 1ull << 40, WAL_READ_SHAPE},            /* its LSN would not be a number */
        {40, SEGMENT_BYTES / 2, WAL_READ_SHAPE},     /* likewise */
        {40, 0, WAL_READ_SHAPE},                     /* no size at all */
        {48, BEGIN_LSN + 65536, WAL_READ_SHAPE},     /* ends where the last entry begins */
        {48, BEGIN_LSN + 65536 + 4, WAL_READ_SHAPE}, /* not aligned */
        {48, 8ull * SEGMENT_BYTES + 8, WAL_READ_SHAPE}, /* behind the segment */
        {56, 1, WAL_READ_SHAPE},                        /* more entries than groups */
        {72, 1004, WAL_READ_SHAPE},                     /* ids end before the last entry's */
        {80, 0x4142, WAL_READ_SHAPE},                   /* engine time runs backwards */
        {88, 0x5155, WAL_READ_SHAPE},                   /* lowest above highest */
        {96, 1ull << 32 | 2, WAL_READ_SHAPE},           /* not zero */
        {104, BEGIN_LSN + 8, WAL_READ_SHAPE},           /* the first group is not noted */
        {136, BEGIN_LSN, WAL_READ_SHAPE},               /* LSNs do not rise */
        {136, BEGIN_LSN + 65540, WAL_READ_SHAPE},       /* not aligned */
        {144, 999, WAL_READ_SHAPE},                     /* ids fall */
        {152, 0x4141, WAL_READ_SHAPE},                  /* engine time falls */
        {160, 0x5153, WAL_READ_SHAPE},                  /* highest wall time falls */
    };
    struct scene *scene = make_scene();
    assert_int_equal(add(scene, BEGIN_LSN, 65536, 1000, 5, 0x4142, 0x5154), WAL_READ_OK);
    assert_int_equal(add(scene, BEGIN_LSN + 65536, 104, 1005, 2, 0x4143, 0x5153), WAL_READ_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[LOG_INDEX_HEADER_BYTES + 2 * LOG_INDEX_ENTRY_BYTES];
        struct log_index_entry entries[2];
        struct log_index read;
        log_index_write(&scene->index, bytes);
        put_u64(bytes + cases[i].offset, cases[i].value);
        put_u32(bytes + 8, crc32c_extend(crc32c(bytes, 8), bytes + 12, sizeof bytes - 12));
        const enum wal_read_result result = log_index_read(bytes, sizeof bytes, entries, 2, &read);
        if (result != cases[i].result)
            fail_msg("case %zu: %s", i, wal_read_result_text(result));
    }
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strides_keep_every_segment_within_bounds),
        cmocka_unit_test(test_counts_are_those_of_the_groups),
        cmocka_unit_test(test_a_full_segment_has_as_many_entries_as_are_allowed_for),
        cmocka_unit_test(test_what_does_not_follow_is_not_added),
        cmocka_unit_test(test_every_group_is_found_by_id_place_and_time),
        cmocka_unit_test(test_an_empty_index_has_nothing),
        cmocka_unit_test(test_bytes_are_pinned),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_any_damage_is_found),
        cmocka_unit_test(test_untrue_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
