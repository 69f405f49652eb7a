/* test_log_points.c: points of the running log: what is found, what is forgotten, and readers beside who notes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/log_points.h"

#define STRIDE LOG_POINTS_STRIDE_BYTES_MIN

static const struct wal_geometry geometry = {.segment_size_bytes = 4u * STRIDE, .segments = 3};

static void make(struct log_points *points)
{
    struct urn_error error;
    assert_int_equal(log_points_make(points, &geometry, 4096, 1, &error), URN_OK);
}

/* Groups of half a stride, each with 10 draws, from the first one of a segment on. */
#define GROUP       (STRIDE / 2)
#define GROUP_IDS   10u
#define PER_SEGMENT 7u

static uint64_t lsn_of(uint64_t group)
{
    return group / PER_SEGMENT * geometry.segment_size_bytes + 4096 +
           group % PER_SEGMENT * (uint64_t)GROUP;
}

static void note(struct log_points *points, uint64_t group)
{
    log_points_note(points, lsn_of(group), lsn_of(group) + GROUP, 1 + group * GROUP_IDS,
                    1 + (group + 1) * GROUP_IDS, group % PER_SEGMENT == 0);
}

static void check_found(const struct log_points *points, uint64_t oldest_lsn, uint64_t groups)
{
    const struct log_points_end end = log_points_end(points);
    assert_int_equal(end.lsn, lsn_of(groups - 1) + GROUP);
    assert_int_equal(end.next_request_id, 1 + groups * GROUP_IDS);
    for (uint64_t id = 1; id < end.next_request_id; id++) {
        const uint64_t lsn = lsn_of((id - 1) / GROUP_IDS);
        struct log_points_stretch stretch;
        const bool found = log_points_find(points, oldest_lsn, id, &end, &stretch);
        /* Every group of what is kept is found: the oldest LSN begins a segment, whose first has a point. */
        assert_int_equal(found, lsn >= oldest_lsn);
        if (!found)
            continue;
        assert_true(stretch.from_lsn <= lsn && lsn < stretch.to_lsn);
        assert_true(stretch.from_lsn >= oldest_lsn && stretch.first_request_id <= id);
        assert_true(stretch.to_lsn - stretch.from_lsn <= STRIDE + GROUP + 4096);
    }
    uint64_t first_id = 0;
    assert_true(log_points_first_id(points, oldest_lsn, &first_id));
    uint64_t group = 0;
    while (lsn_of(group) < oldest_lsn)
        group++;
    assert_int_equal(first_id, 1 + group * GROUP_IDS);
}

static void test_every_id_of_what_is_kept_is_found(void **state)
{
    (void)state;
    struct log_points points;
    make(&points);
    for (uint64_t groups = 1; groups < 400; groups++) {
        note(&points, groups - 1);
        const uint64_t newest = lsn_of(groups - 1) / geometry.segment_size_bytes;
        check_found(&points, newest < 2 ? 0 : (newest - 2) * geometry.segment_size_bytes, groups);
    }
    assert_true(atomic_load(&points.count) > 2 * (uint64_t)points.capacity);
    log_points_free(&points);
}

static void test_without_points_nothing_is_found(void **state)
{
    (void)state;
    struct log_points points;
    struct log_points_stretch stretch;
    uint64_t id;
    make(&points);
    const struct log_points_end end = log_points_end(&points);
    assert_int_equal(end.lsn, 4096);
    assert_int_equal(end.next_request_id, 1);
    assert_false(log_points_find(&points, 0, 1, &end, &stretch));
    assert_false(log_points_first_id(&points, 0, &id));
    note(&points, 0);
    assert_false(log_points_first_id(&points, 4097, &id));
    log_points_go_on(&points, 1000);
    assert_int_equal(log_points_end(&points).next_request_id, 1000);
    log_points_free(&points);
}

/* However large the ring is, its points stay within their bound. */
static void test_memory_is_bounded(void **state)
{
    (void)state;
    for (uint64_t size = SEGMENT_SIZE_BYTES_MIN; size <= SEGMENT_SIZE_BYTES_MAX; size *= 4)
        for (uint32_t segments = SEGMENTS_MIN; segments <= SEGMENTS_MAX; segments *= 4) {
            const struct wal_geometry some = {.segment_size_bytes = size, .segments = segments};
            assert_true(log_points_stride_bytes(&some) >= STRIDE);
            assert_true(log_points_memory_bytes(&some) <=
                        (LOG_POINTS_MAX + segments + 1000) * sizeof(struct log_point));
        }
}

/* ---- beside who notes -------------------------------------------------------------------------- */

#define RACE_GROUPS 300000u

static void *note_all(void *argument)
{
    for (uint64_t group = 0; group < RACE_GROUPS; group++)
        note(argument, group);
    return NULL;
}

/* What a reader sees is always true, of whatever moment. */
static void test_readers_see_what_is_true(void **state)
{
    (void)state;
    struct log_points points;
    pthread_t thread;
    uint64_t looks = 0;
    uint64_t id = 1;
    make(&points);
    assert_int_equal(pthread_create(&thread, NULL, note_all, &points), 0);
    while (id < (uint64_t)RACE_GROUPS * GROUP_IDS) {
        const struct log_points_end end = log_points_end(&points);
        struct log_points_stretch stretch;
        uint64_t first_id = 0;
        id = end.next_request_id - 1;
        if (id == 0)
            continue;
        const uint64_t lsn = lsn_of((id - 1) / GROUP_IDS);
        assert_true(end.lsn > lsn);
        if (log_points_find(&points, 0, id, &end, &stretch)) {
            assert_true(stretch.from_lsn <= lsn && lsn < stretch.to_lsn);
            assert_int_equal(stretch.from_lsn, lsn_of((stretch.first_request_id - 1) / GROUP_IDS));
            looks++;
        }
        if (log_points_first_id(&points, 0, &first_id))
            assert_true(first_id <= log_points_end(&points).next_request_id);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(looks > 0);
    log_points_free(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_id_of_what_is_kept_is_found),
        cmocka_unit_test(test_without_points_nothing_is_found),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_readers_see_what_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
