/* test_urn_wal_scan.c: reading ahead with helper threads shows what reading without them does, over every
 * kind of end; and may be given up at any time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/wal_scene.h"
#include "tools/urn_wal/scan.h"

#define SEGMENT SCENE_SEGMENT

/* Many groups over two segments, and into the third. */
static void make_log(struct wal_scene *scene)
{
    (void)log_maker_epoch(&scene->maker);
    for (uint32_t draws = 1; scene->maker.tail.lsn < 2 * SEGMENT + 20000; draws = draws * 5 % 9973)
        (void)log_maker_draws(&scene->maker, draws);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
}

/* What a scan has shown: a line an item. */
struct seen {
    char *text;
    size_t length;
    FILE *out;
};

static void note(struct seen *seen, enum scan_step step, const struct scan_item *item)
{
    (void)fprintf(seen->out, "%d %llu %d", (int)step, (unsigned long long)item->lsn,
                  (int)item->why);
    if (step == SCAN_GROUP) {
        (void)fprintf(seen->out, " %u %llu %02x", item->header.length_bytes,
                      (unsigned long long)item->header.first_request_id,
                      item->bytes[item->header.length_bytes - 1]);
        for (uint32_t i = 0; item->digest != NULL && i < WAL_DIGEST_BYTES; i++)
            (void)fprintf(seen->out, "%02x", item->digest[i]);
    }
    if (step == SCAN_UNREADABLE)
        (void)fprintf(seen->out, " %llu %llu", (unsigned long long)item->readable_bytes,
                      (unsigned long long)item->unreadable_offset);
    (void)fputc('\n', seen->out);
}

/* Scans from lsn to the end, or until `most` items have been taken. */
static char *scan_all(struct wal_scene *scene, uint32_t threads, enum scan_depth depth,
                      uint64_t lsn, uint64_t limit_lsn, uint32_t most)
{
    struct tool tool = wal_scene_tool(scene, stdout, stderr);
    struct history history;
    struct urn_error error;
    struct scan *scan = NULL;
    struct scan_item item;
    struct seen seen = {.text = NULL};
    tool.threads = threads;
    seen.out = open_memstream(&seen.text, &seen.length);
    assert_non_null(seen.out);
    assert_int_equal(history_open(&history, &tool, WORDS(LOG_MAKER_PATH), 1, &error), URN_OK);
    assert_int_equal(scan_begin(&history, lsn, limit_lsn, depth, &scan, &error), URN_OK);
    enum scan_step step = SCAN_GROUP;
    while (most-- > 0 && (step == SCAN_GROUP || step == SCAN_SEGMENT)) {
        step = scan_next(scan, &item, &error);
        note(&seen, step, &item);
    }
    scan_end(scan);
    history_close(&history);
    assert_int_equal(fclose(seen.out), 0);
    return seen.text;
}

static void assert_same(struct wal_scene *scene, enum scan_depth depth, uint64_t lsn,
                        uint64_t limit_lsn, enum scan_step last)
{
    char begin[16];
    char *alone = scan_all(scene, 0, depth, lsn, limit_lsn, UINT32_MAX);
    const char *line = alone + strlen(alone) - 1;
    while (line > alone && line[-1] != '\n')
        line--;
    (void)snprintf(begin, sizeof begin, "%d ", (int)last);
    if (strncmp(line, begin, strlen(begin)) != 0)
        fail_msg("ends with %s", line);
    for (uint32_t threads = 1; threads <= 3; threads++) {
        char *helped = scan_all(scene, threads, depth, lsn, limit_lsn, UINT32_MAX);
        assert_string_equal(helped, alone);
        free(helped);
    }
    free(alone);
}

static void test_to_the_end(void **context)
{
    make_log(*context);
    for (enum scan_depth depth = SCAN_LENGTHS; depth <= SCAN_DIGESTS; depth++)
        assert_same(*context, depth, 0, UINT64_MAX, SCAN_INVALID);
}

static void test_to_a_limit(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    const uint64_t durable_lsn = scene->maker.durable_lsn;
    assert_same(scene, SCAN_DIGESTS, 0, durable_lsn, SCAN_LIMIT);
    assert_same(scene, SCAN_DIGESTS, 0, SEGMENT, SCAN_LIMIT);
    assert_same(scene, SCAN_DIGESTS, SEGMENT, 2 * SEGMENT, SCAN_LIMIT);
    assert_same(scene, SCAN_DIGESTS, 4096, 4096 + 50, SCAN_LIMIT); /* in the midst of a group */
    assert_same(scene, SCAN_DIGESTS, 10 * SEGMENT, UINT64_MAX,
                SCAN_LAST); /* where nothing is kept */
}

static void test_to_the_last_segment_that_is_known(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0002"));
    assert_same(scene, SCAN_DIGESTS, 0, UINT64_MAX, SCAN_LAST);
}

static void test_to_damage(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    log_maker_flip(&scene->maker, SEGMENT + 9000);
    assert_same(scene, SCAN_CHECKSUMS, 0, UINT64_MAX, SCAN_INVALID);
    assert_same(scene, SCAN_DIGESTS, 0, UINT64_MAX, SCAN_INVALID);
}

static void test_to_a_bad_sector(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    log_maker_unreadable(&scene->maker, SEGMENT + 30000);
    assert_same(scene, SCAN_DIGESTS, 0, UINT64_MAX, SCAN_UNREADABLE);
    log_maker_unreadable(&scene->maker, SEGMENT + 700); /* of a header page */
    assert_same(scene, SCAN_DIGESTS, 0, UINT64_MAX, SCAN_UNREADABLE);
}

/* At any item, with whatever the helpers are at. */
static void test_given_up(void **context)
{
    make_log(*context);
    for (uint32_t most = 0; most < 40; most++)
        free(scan_all(*context, 3, SCAN_DIGESTS, 0, UINT64_MAX, most));
}

/* A call that fails in a helper is told to the caller, at its place. */
static void test_failing_calls(void **context)
{
    struct wal_scene *scene = *context;
    struct tool tool = wal_scene_tool(scene, stdout, stderr);
    make_log(scene);
    tool.threads = 2;
    for (uint64_t nth = 1; nth <= 12; nth++) {
        struct history history;
        struct urn_error error;
        struct scan *scan = NULL;
        struct scan_item item;
        assert_int_equal(history_open(&history, &tool, WORDS(LOG_MAKER_PATH), 1, &error), URN_OK);
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_FILE_OPEN, nth, EMFILE);
        assert_int_equal(scan_begin(&history, 0, UINT64_MAX, SCAN_DIGESTS, &scan, &error), URN_OK);
        enum scan_step step = SCAN_GROUP;
        while (step == SCAN_GROUP || step == SCAN_SEGMENT)
            step = scan_next(scan, &item, &error);
        scan_end(scan);
        history_close(&history);
        const bool fired = sim_last_event(scene->maker.world)->number != 0;
        assert_int_equal(step, fired ? SCAN_ERROR : SCAN_INVALID);
        if (fired)
            assert_int_equal(error.system_errno, EMFILE);
        sim_fail_at(scene->maker.world, SIM_FILE_OPEN, 1000000, EMFILE);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_to_the_end),
        TEST(test_to_a_limit),
        TEST(test_to_the_last_segment_that_is_known),
        TEST(test_to_damage),
        TEST(test_to_a_bad_sector),
        TEST(test_given_up),
        TEST(test_failing_calls),
    };
    return cmocka_run_group_tests_name("urn_wal_scan", tests, NULL, NULL);
}
