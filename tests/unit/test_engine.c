/* test_engine.c: what the engine promises its callers, step by step over the simulated system. */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/threads.h"
#include "tests/lib/engine_driver.h"

static struct driver *a_driver(void)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 11);
    driver_must_open(driver);
    return driver;
}

static void done(struct driver *driver)
{
    driver_free(driver);
    free(driver);
}

static struct urn_engine_info info_of(const struct driver *driver)
{
    struct urn_engine_info info;
    urn_engine_info(driver->engine, &info);
    return info;
}

/* ---- P1: nothing leaves before it is durable ----------------------------------------------- */

static void test_no_answer_leaves_before_the_sync_has_ended(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_submit_draw(driver, "main", 10);
    assert_true(writer_step(driver->engine));
    assert_null(urn_collect(driver->engine));
    assert_true(engine_commit_begin(driver->engine));
    assert_null(urn_collect(driver->engine));
    assert_true(engine_commit_end(driver->engine));
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_OK);
    assert_int_equal(driver->request.first_request_id, 1);
    done(driver);
}

/* An error and a read that were computed behind a draw wait for that draw. */
static void test_errors_and_reads_wait_for_what_they_were_computed_from(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    driver_submit_draw(driver, "main", 5);
    struct urn_request error = {
        .op = URN_DRAW, .pool_name = "none", .pool_name_bytes = 4, .count = 1};
    struct urn_item items[4];
    struct urn_request read = {
        .op = URN_STATE, .pool_name = "main", .pool_name_bytes = 4, .items = items, .limit = 4};
    assert_true(writer_step(driver->engine)); /* closes the draw's group */
    urn_submit(driver->engine, &error);
    urn_submit(driver->engine, &read);
    writer_step(driver->engine); /* stages both while the first group is under way */
    assert_null(urn_collect(driver->engine));
    assert_true(engine_commit_begin(driver->engine));
    writer_step(driver->engine);
    assert_null(urn_collect(driver->engine));
    assert_true(engine_commit_end(driver->engine));
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    driver_run(driver);
    struct urn_request *first = urn_collect(driver->engine);
    assert_ptr_equal(first, &error);
    assert_ptr_equal(first->next, &read);
    assert_int_equal(error.code, URN_NOPOOL);
    assert_int_equal(read.last_request_id, 6);
    assert_int_equal(read.lsn, info_of(driver).durable_lsn);
    done(driver);
}

/* ---- draws --------------------------------------------------------------------------------- */

static void test_ids_are_consecutive_and_a_failed_draw_has_one(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_free(driver);
    static const struct urn_item_spec coupons[] = {
        {"a", 1, 2, 1}, {"b", 1, 1, 5}, {"never", 5, 9, 0}};
    static const struct urn_pool_spec pool = {"coupons", 7, 3, coupons};
    driver_init(driver, 12);
    driver->config.pools = &pool;
    driver_must_open(driver);
    assert_int_equal(driver_draw(driver, "coupons", 5, false), URN_OK);
    assert_int_equal(driver->request.first_request_id, 1);
    assert_int_equal(driver->request.failed, 2);
    for (int i = 0; i < 3; i++)
        assert_in_range(driver->outcomes[i], 0, 1);
    assert_int_equal(driver->outcomes[3], URN_FAILED_DRAW);
    assert_int_equal(driver->outcomes[4], URN_FAILED_DRAW);
    assert_int_equal(driver_draw(driver, "coupons", 1, false), URN_OK);
    assert_int_equal(driver->request.first_request_id, 6);
    assert_int_equal(driver->request.failed, 1);
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.next_request_id, 7);
    assert_int_equal(driver_state(driver, "coupons"), URN_OK);
    assert_int_equal(driver->items[0].quantity, 0);
    assert_int_equal(driver->items[0].drawn, 2);
    assert_int_equal(driver->items[2].drawn, 0);
    done(driver);
}

static void test_all_or_nothing(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_free(driver);
    static const struct urn_item_spec coupons[] = {{"a", 1, 5, 1}, {"b", 1, 5, 1}};
    static const struct urn_pool_spec pool = {"coupons", 7, 2, coupons};
    driver_init(driver, 13);
    driver->config.pools = &pool;
    driver_must_open(driver);
    assert_int_equal(driver_draw(driver, "coupons", 11, true), URN_NOSTOCK);
    assert_int_equal(driver_state(driver, "coupons"), URN_OK);
    assert_int_equal(driver->items[0].quantity, 5);
    assert_int_equal(driver->items[1].quantity, 5);
    assert_int_equal(driver->request.last_request_id, 0); /* nothing happened: no ids were given */
    assert_int_equal(driver_draw(driver, "coupons", 10, true), URN_OK);
    assert_int_equal(driver_draw(driver, "coupons", 1, true), URN_NOSTOCK);
    done(driver);
}

static void test_bounds_of_a_request(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver->request =
        (struct urn_request){.op = URN_DRAW, .pool_name = "main", .pool_name_bytes = 4};
    urn_submit(driver->engine, &driver->request);
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_BADARG);
    driver->request.count = DRIVER_BATCH_MAX + 1;
    urn_submit(driver->engine, &driver->request);
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_BADARG);
    assert_int_equal(driver_draw(driver, "", 1, false), URN_NOPOOL);
    assert_int_equal(driver_draw(driver, "mai", 1, false), URN_NOPOOL);
    done(driver);
}

static void test_a_full_queue_answers_busy(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    static struct urn_request requests[65];
    static uint32_t outcomes[65];
    for (int i = 0; i < 65; i++) {
        requests[i] = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = 1,
                                           .outcomes = &outcomes[i],
                                           .next = i < 64 ? &requests[i + 1] : NULL};
    }
    urn_submit(driver->engine, requests);
    struct urn_request *refused = urn_collect(driver->engine);
    assert_ptr_equal(refused, &requests[64]);
    assert_int_equal(refused->code, URN_BUSY);
    assert_int_equal(info_of(driver).queued_requests, 64);
    assert_int_equal(info_of(driver).queued_draws, 64);
    driver_run(driver);
    int finished = 0;
    for (struct urn_request *request = urn_collect(driver->engine); request != NULL;
         request = request->next)
        assert_ptr_equal(request, &requests[finished++]); /* in the order of the log */
    assert_int_equal(finished, 64);
    assert_int_equal(info_of(driver).queued_requests, 0);
    assert_int_equal(info_of(driver).queued_draws, 0);
    assert_int_equal(info_of(driver).busy, 1);
    done(driver);
}

/* ---- groups -------------------------------------------------------------------------------- */

static void test_requests_share_a_group_and_an_entry(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver->config.queue_requests = 64;
    uint64_t before = info_of(driver).log_bytes;
    static struct urn_request requests[50];
    static uint32_t outcomes[50];
    for (int i = 0; i < 50; i++) {
        requests[i] = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = 1,
                                           .outcomes = &outcomes[i],
                                           .next = i < 49 ? &requests[i + 1] : NULL};
    }
    urn_submit(driver->engine, requests);
    driver_run(driver);
    while (urn_collect(driver->engine) != NULL)
        ;
    assert_int_equal(info_of(driver).log_bytes - before,
                     WAL_GROUP_HEADER_BYTES + WAL_DRAWS_HEADER_BYTES + 56);
    done(driver);
}

static void test_a_group_closes_before_a_request_that_would_break_its_limit(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_free(driver);
    driver_init(driver, 14);
    driver->config.flush_after_n_draw = 10;
    driver_must_open(driver);
    uint64_t before = info_of(driver).groups;
    static struct urn_request requests[3];
    static uint32_t outcomes[3][25];
    static const uint32_t counts[3] = {6, 6, 25};
    for (int i = 0; i < 3; i++)
        requests[i] = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = counts[i],
                                           .outcomes = outcomes[i],
                                           .next = i < 2 ? &requests[i + 1] : NULL};
    urn_submit(driver->engine, requests);
    driver_run(driver);
    /* 6 and 6 are more than 10, and 25 stands alone: a request is never cut. */
    assert_int_equal(info_of(driver).groups - before, 3);
    while (urn_collect(driver->engine) != NULL)
        ;
    done(driver);
}

static void test_the_last_group_gets_exactly_one_mark(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_idle(driver);
    assert_int_equal(info_of(driver).marks, 0); /* behind an epoch group: none */
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    driver_run(driver);
    assert_int_equal(info_of(driver).marks, 0); /* not before its time */
    for (int i = 0; i < 5; i++)
        driver_idle(driver);
    assert_int_equal(info_of(driver).marks, 1);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    driver_idle(driver);
    assert_int_equal(info_of(driver).marks, 2);
    done(driver);
}

static void test_a_clean_stop_answers_everything_and_marks(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_submit_draw(driver, "main", 3);
    engine_ask_stop(driver->engine);
    struct urn_request late = {
        .op = URN_DRAW, .pool_name = "main", .pool_name_bytes = 4, .count = 1};
    urn_submit(driver->engine, &late);
    driver_run(driver);
    struct urn_request *first = urn_collect(driver->engine);
    assert_ptr_equal(first, &late); /* refused at once */
    assert_int_equal(late.code, URN_READONLY);
    assert_ptr_equal(first->next, &driver->request);
    assert_int_equal(driver->request.code, URN_OK);
    assert_int_equal(info_of(driver).marks, 1);
    assert_true(driver->engine->writer.done);
    assert_int_equal(driver_stop(driver), URN_OK);
    driver_must_open(driver);
    assert_int_equal(driver->report.next_request_id, 4);
    /* The last snapshot covers all of it. */
    assert_int_equal(driver->report.snapshot_lsn, driver->report.end_lsn);
    assert_int_equal(driver->report.replayed_groups, 0);
    assert_int_equal(driver->report.rewritten_bytes, 0);
    done(driver);
}

/* ---- snapshots and laps -------------------------------------------------------------------- */

static void count_snapshot(void *context, const char *name)
{
    uint64_t lsn;
    uint32_t serial;
    *(uint32_t *)context += data_dir_parse_snapshot_name(name, &lsn, &serial);
}

static void test_the_ring_goes_round_without_an_end(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint64_t draws = 0;
    uint64_t end_lsn = 10 * wal_ring_bytes(&driver->engine->ring.geometry);
    for (; driver->engine->writer.end_lsn < end_lsn; draws += DRIVER_BATCH_MAX)
        assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
    assert_int_equal(info_of(driver).busy, 0);
    assert_true(info_of(driver).snapshots >= 20);
    uint32_t snapshots = 0;
    (void)sim_list(driver->world, "data", count_snapshot, &snapshots);
    assert_int_equal(snapshots, 2);
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.next_request_id, draws + 1);
    done(driver);
}

static void test_a_snapshot_is_taken_on_request(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 5, false), URN_OK);
    assert_int_equal(driver_snapshot(driver), URN_OK);
    uint64_t lsn = driver->request.lsn;
    assert_int_equal(lsn, driver->engine->writer.end_lsn);
    assert_int_equal(info_of(driver).snapshots, 1);
    assert_int_equal(driver_snapshot(driver), URN_OK); /* nothing has changed: no new one */
    assert_int_equal(driver->request.lsn, lsn);
    assert_int_equal(info_of(driver).snapshots, 1);
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshot_lsn, lsn);
    assert_int_equal(driver->report.replayed_groups, 0);
    assert_int_equal(driver->report.next_request_id, 6);
    done(driver);
}

static void test_a_snapshot_that_fails_says_so_and_the_next_succeeds(void **unused)
{
    (void)unused;
    static const enum sim_call calls[] = {SIM_FILE_CREATE,     SIM_FILE_ALLOCATE, SIM_IO_BEGIN,
                                          SIM_IO_END,          SIM_FILE_SYNC,     SIM_FILE_SIZE,
                                          SIM_FILE_DROP_CACHE, SIM_RENAME};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        struct driver *driver = a_driver();
        struct urn_error why;
        assert_int_equal(driver_draw(driver, "main", 5, false), URN_OK);
        sim_fail_at(driver->world, calls[i], 1, 0);
        assert_int_equal(driver_ask(driver, (struct urn_request){.op = URN_SNAPSHOT}), URN_IO);
        urn_engine_snapshot_failure(driver->engine, &why);
        assert_string_equal(driver->error.text, why.text);
        assert_int_equal(why.code, URN_IO);
        assert_non_null(strstr(why.text, "snapshot-"));
        assert_int_equal(info_of(driver).snapshots_failed, 1);
        assert_int_equal(driver_draw(driver, "main", 5, false), URN_OK);
        assert_int_equal(driver_snapshot(driver), URN_OK);
        done(driver);
    }
}

/* A sync that says it succeeded and did not: what is read back past the cache tells. */
static void test_a_snapshot_that_the_disk_does_not_have_does_not_count(void **unused)
{
    (void)unused;
    uint32_t found = 0;
    for (int i = 0; i < 20; i++) {
        struct driver *driver = a_driver();
        assert_int_equal(driver_draw(driver, "main", 5, false), URN_OK);
        sim_lie_at(driver->world, 1);
        enum urn_code code = driver_snapshot(driver);
        assert_true(code == URN_OK || code == URN_IO);
        if (code == URN_IO) {
            urn_engine_snapshot_failure(driver->engine, &driver->error);
            assert_int_equal(driver->error.code, URN_DAMAGED);
            found++;
        }
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_int_equal(driver->report.snapshots_refused, 0);
        done(driver);
    }
    assert_true(found > 0);
}

static void test_requests_wait_for_room_then_get_busy_then_go_on(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    sim_set_capacity(driver->world, sim_used_bytes(driver->world));
    enum urn_code code;
    uint64_t began_ns;
    do {
        began_ns = os_monotonic_ns(driver->config.os);
        code = driver_draw(driver, "main", DRIVER_BATCH_MAX, false);
    } while (code == URN_OK);
    assert_int_equal(code, URN_BUSY);
    assert_true(os_monotonic_ns(driver->config.os) - began_ns >= ROOM_WAIT_NS);
    assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_BUSY);
    sim_set_capacity(driver->world, UINT64_MAX);
    sim_advance(driver->world, SNAPSHOT_RETRY_NS);
    driver_run(driver); /* nobody asks for anything */
    assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
    done(driver);
}

static void test_snapshot_every_has_to_fit_the_ring(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_engine_config config = driver->config;
    struct urn_error error = {0};
    config.segments = 8;
    config.snapshot_every_bytes = 2 * 65536;
    assert_int_equal(urn_engine_config_check(&config, &error), URN_OK);
    config.snapshot_every_bytes++;
    assert_int_equal(urn_engine_config_check(&config, &error), URN_CONFIG);
    assert_non_null(strstr(error.text, "snapshot.every"));
    assert_non_null(strstr(error.text, "131072"));
    assert_non_null(strstr(error.text, "wal.segments to at least 9"));
    config.snapshot_every_bytes = 4095; /* more segments would not help */
    assert_int_equal(urn_engine_config_check(&config, &error), URN_CONFIG);
    assert_non_null(strstr(error.text, "snapshot.every is 4095 bytes, expected 4096 to 131072"));
    assert_null(strstr(error.text, "wal.segments to"));
    config.snapshot_every_bytes = 4094ull * 65536 / 3; /* the most segments there may be */
    assert_int_equal(urn_engine_config_check(&config, &error), URN_CONFIG);
    assert_non_null(strstr(error.text, "wal.segments to at least 4096"));
    config.snapshot_every_bytes++;
    assert_int_equal(urn_engine_config_check(&config, &error), URN_CONFIG);
    assert_null(strstr(error.text, "wal.segments to"));
    assert_non_null(strstr(error.text, "raise wal.segment_size"));
    done(driver);
}

/* What the refusal says would fit does fit, and one more draw does not. */
static void test_a_segment_has_to_hold_the_largest_request(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_engine_config config = driver->config;
    struct urn_error error = {0};
    config.segment_size_bytes = 65536;
    config.max_batch = 100000;
    config.queue_draws = 100000;
    assert_int_equal(urn_engine_config_check(&config, &error), URN_CONFIG);
    unsigned max_batch;
    const char *advice = strstr(error.text, "lower limits.max_batch to at most ");
    assert_non_null(advice);
    assert_int_equal(sscanf(advice, "lower limits.max_batch to at most %u", &max_batch), 1);
    config.max_batch = max_batch;
    assert_int_equal(urn_engine_config_check(&config, &error), URN_OK);
    config.max_batch++;
    assert_int_equal(urn_engine_config_check(&config, &error), URN_CONFIG);
    done(driver);
}

/* The segment after the one that the log enters, and before it is there: what is closed counts, not what
 * the commit side has done of it. */
static void test_the_next_segment_is_brought_into_memory_in_time(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    const struct urn_engine *engine = driver->engine;
    uint64_t segment_bytes = engine->ring.geometry.segment_size_bytes;
    for (uint64_t segment = 1; segment < 8; segment++) {
        while (engine->writer.end_lsn < segment * segment_bytes) {
            assert_int_equal(threads_populate_lsn(engine), segment * segment_bytes);
            driver_submit_draw(driver, "main", DRIVER_BATCH_MAX);
            while (!writer_step(driver->engine))
                driver_run(driver); /* a snapshot first, which makes room */
            if (engine->writer.end_lsn >= segment * segment_bytes)
                assert_int_equal(threads_populate_lsn(engine), (segment + 1) * segment_bytes);
            driver_run(driver);
            assert_ptr_equal(urn_collect(driver->engine), &driver->request);
        }
    }
    done(driver);
}

/* ---- P6: fail stop ------------------------------------------------------------------------- */

static void fail_stop(enum sim_call call)
{
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    uint64_t durable_lsn = info_of(driver).durable_lsn;
    driver_submit_draw(driver, "main", 3);
    assert_true(writer_step(driver->engine));
    struct urn_request staged = {.op = URN_DRAW,
                                 .pool_name = "main",
                                 .pool_name_bytes = 4,
                                 .count = 1,
                                 .outcomes = &(uint32_t){0}};
    struct urn_request read = {.op = URN_CATALOG, .pool_name = "main", .pool_name_bytes = 4};
    urn_submit(driver->engine, &staged);
    urn_submit(driver->engine, &read);
    writer_step(driver->engine);
    sim_fail_at(driver->world, call, 1, EIO);
    driver_run(driver);
    int finished = 0;
    for (struct urn_request *request = urn_collect(driver->engine); request != NULL;
         request = request->next, finished++) {
        assert_int_equal(request->code, request == &read ? URN_READONLY : URN_INDOUBT);
        assert_int_equal(request->first_request_id, 0); /* what was staged is nobody's to see */
    }
    assert_int_equal(finished, 3);
    assert_true(info_of(driver).failed);
    assert_int_equal(info_of(driver).durable_lsn, durable_lsn);
    urn_engine_failure(driver->engine, &driver->error);
    assert_int_equal(driver->error.code, URN_IO);
    assert_non_null(strstr(driver->error.text, "segment-0000"));

    /* Nothing is tried again, and nothing is acknowledged any more, a stop included. */
    uint64_t syncs = sim_calls_of(driver->world, SIM_MAP_SYNC_END);
    uint64_t writes = sim_calls_of(driver->world, SIM_MAP_WRITE);
    driver_submit_draw(driver, "main", 1);
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_READONLY);
    driver_idle(driver);
    assert_int_equal(driver_stop(driver), URN_IO);
    assert_int_equal(sim_calls_of(driver->world, SIM_MAP_SYNC_END), syncs);
    assert_int_equal(sim_calls_of(driver->world, SIM_MAP_WRITE), writes);
    done(driver);
}

static void test_a_failed_sync_is_final(void **unused)
{
    (void)unused;
    fail_stop(SIM_MAP_SYNC_END);
}

static void test_a_failed_store_is_final(void **unused)
{
    (void)unused;
    fail_stop(SIM_MAP_WRITE);
}

/* ---- reads --------------------------------------------------------------------------------- */

static void test_reads_come_back_in_order(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_request reads[4];
    for (int i = 0; i < 4; i++)
        reads[i] = (struct urn_request){.op = URN_POOLS, .next = i < 3 ? &reads[i + 1] : NULL};
    urn_submit(driver->engine, reads);
    driver_run(driver);
    struct urn_request *read = urn_collect(driver->engine);
    for (int i = 0; i < 4; i++, read = read->next)
        assert_ptr_equal(read, &reads[i]);
    assert_null(read);
    done(driver);
}

static void test_reads_page_through_what_there_is(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_state(driver, "main"), URN_OK);
    assert_int_equal(driver->request.total, 3);
    assert_int_equal(driver->request.returned, 3);
    assert_true(driver->request.open);
    assert_int_equal(driver->request.odds_version, 1);
    assert_int_equal(driver->request.last_request_id, 0);
    assert_memory_equal(driver->items[2].item_id.bytes, "mud", 3);
    assert_int_equal(driver->items[2].quantity, URN_UNLIMITED);
    assert_int_equal(driver->items[0].probability, 10);

    struct urn_request page = {.op = URN_CATALOG,
                               .pool_name = "main",
                               .pool_name_bytes = 4,
                               .offset = 2,
                               .limit = 5,
                               .names = driver->names};
    urn_submit(driver->engine, &page);
    driver_run(driver);
    assert_ptr_equal(urn_collect(driver->engine), &page);
    assert_int_equal(page.returned, 1);
    assert_int_equal(page.total, 3);
    page.offset = UINT32_MAX;
    page.op = URN_POOLS;
    urn_submit(driver->engine, &page);
    driver_run(driver);
    assert_ptr_equal(urn_collect(driver->engine), &page);
    assert_int_equal(page.returned, 0);
    assert_int_equal(page.total, 1);
    assert_int_equal(driver_state(driver, "other"), URN_NOPOOL);
    done(driver);
}

/* ---- configurations ------------------------------------------------------------------------ */

static void refuse_config(void (*spoil)(struct urn_engine_config *), const char *words)
{
    struct driver driver;
    driver_init(&driver, 1);
    spoil(&driver.config);
    assert_int_equal(driver_open(&driver), URN_CONFIG);
    if (strstr(driver.error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", driver.error.text, words);
    assert_false(sim_file_exists(driver.world, "data/LOCK")); /* refused before anything was made */
    driver_free(&driver);
}

static void small_segment(struct urn_engine_config *config)
{
    config->segment_size_bytes = 4096;
}
static void odd_segment(struct urn_engine_config *config)
{
    config->segment_size_bytes += 1;
}
static void two_segments(struct urn_engine_config *config)
{
    config->segments = 2;
}
static void large_batch(struct urn_engine_config *config)
{
    config->max_batch = 20000;
}
static void small_queue(struct urn_engine_config *config)
{
    config->queue_draws = config->max_batch - 1;
}

static void test_impossible_sizes_are_refused(void **unused)
{
    (void)unused;
    refuse_config(small_segment, "wal.segment_size");
    refuse_config(odd_segment, "multiple of 4096");
    refuse_config(two_segments, "wal.segments");
    refuse_config(large_batch, "raise wal.segment_size to at least");
    refuse_config(small_queue, "limits.queue_draws");
}

/* Engine time follows the wall clock over a pause, but never backwards and at most a day. */
static void test_engine_time_over_a_restart(void **unused)
{
    (void)unused;
    static const int64_t jumps_us[] = {-3600000000, 0, 5000000, 100ll * 24 * 3600 * 1000000};
    static const uint64_t least_us[] = {0, 0, 5000000, ENGINE_TIME_JUMP_US};
    struct driver *driver = a_driver();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
        uint64_t before_us = driver->engine->writer.groups[0].engine_time_us;
        uint64_t other_us = driver->engine->writer.groups[1].engine_time_us;
        before_us = other_us > before_us ? other_us : before_us;
        driver_crash(driver, SIM_CRASH_MACHINE);
        sim_jump_wall_clock(driver->world, jumps_us[i]);
        driver_must_open(driver);
        uint64_t after_us = driver->engine->writer.time_base_us;
        assert_true(after_us >= before_us + least_us[i]);
        assert_true(after_us <= before_us + least_us[i] + 1000000);
    }
    done(driver);
}

/* ---- looking ahead ------------------------------------------------------------------------- */

#define AHEAD_POOLS    3u
#define AHEAD_ITEMS    2000u /* of each: together more than what is looked ahead for */
#define AHEAD_REQUESTS 60u
#define AHEAD_DRAWS    20u

/* Three large pools, of which each fifth item is a single one. */
static struct driver *a_large_driver(void)
{
    static char ids[AHEAD_ITEMS][8];
    static struct urn_item_spec items[AHEAD_ITEMS];
    static const struct urn_pool_spec pools[AHEAD_POOLS] = {
        {"a", 1, AHEAD_ITEMS, items}, {"b", 1, AHEAD_ITEMS, items}, {"c", 1, AHEAD_ITEMS, items}};
    for (uint32_t i = 0; i < AHEAD_ITEMS; i++) {
        int length = snprintf(ids[i], sizeof ids[i], "i%" PRIu32, i);
        items[i] = (struct urn_item_spec){ids[i], (uint32_t)length, i % 5 == 0 ? 1 : 1000000,
                                          i % 5 == 0 ? 1000 : 1};
    }
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 12);
    driver->config.pools = pools;
    driver->config.pool_count = AHEAD_POOLS;
    driver->config.max_items = AHEAD_POOLS * AHEAD_ITEMS;
    driver_must_open(driver);
    return driver;
}

struct many {
    struct urn_request requests[AHEAD_REQUESTS];
    uint32_t outcomes[AHEAD_REQUESTS][AHEAD_DRAWS];
};

/* Draws of 1 to 20 from pools that are there, and some that are not; and others in between. */
static void make_many(struct many *many)
{
    static const char *const names[] = {"a", "b", "c", "a",  "b",  "a",  "n0", "n1", "n2", "n3",
                                        "c", "b", "a", "n4", "n5", "n6", "n7", "n8", "n9"};
    const uint32_t name_count = sizeof names / sizeof names[0];
    *many = (struct many){0};
    for (uint32_t i = 0; i < AHEAD_REQUESTS; i++) {
        struct urn_request *request = &many->requests[i];
        *request = (struct urn_request){.op = URN_DRAW,
                                        .pool_name = names[i % name_count],
                                        .pool_name_bytes = (uint32_t)strlen(names[i % name_count]),
                                        .count = i % 4 == 3 ? 1 + i % AHEAD_DRAWS : 1,
                                        .outcomes = many->outcomes[i]};
        if (i % 13 == 12)
            request->op = URN_CATALOG;
        if (i == 30 || i == 41) {
            request->op = i == 30 ? URN_CLOSE : URN_OPEN;
            request->pool_name = "b";
            request->pool_name_bytes = 1;
        }
    }
}

/* Every other draw brings its pool, as far as an earlier round has shown that, instead of a name. */
static void bring_pools(struct many *many, const struct urn_pool *const shown[AHEAD_REQUESTS])
{
    for (uint32_t i = 0; i < AHEAD_REQUESTS; i += 2) {
        if (many->requests[i].op != URN_DRAW || shown[i] == NULL)
            continue;
        many->requests[i].pool = shown[i];
        many->requests[i].pool_name = NULL;
        many->requests[i].pool_name_bytes = 0;
    }
}

/* Submits them all, as one list or each when the one before is finished. */
static void run_many(struct driver *driver, struct many *many, bool together)
{
    uint32_t finished = 0;
    for (uint32_t i = 0; together && i + 1 < AHEAD_REQUESTS; i++)
        many->requests[i].next = &many->requests[i + 1];
    for (uint32_t i = 0; i < (together ? 1 : AHEAD_REQUESTS); i++) {
        urn_submit(driver->engine, &many->requests[i]);
        driver_run(driver);
        for (const struct urn_request *list = urn_collect(driver->engine); list != NULL;
             list = list->next)
            finished++;
    }
    assert_int_equal(finished, AHEAD_REQUESTS);
}

static void test_requests_together_draw_what_they_draw_one_by_one(void **unused)
{
    (void)unused;
    struct driver *together = a_large_driver();
    struct driver *singly = a_large_driver();
    struct many *one = malloc(sizeof *one);
    struct many *other = malloc(sizeof *other);
    assert_non_null(one);
    assert_non_null(other);
    const struct urn_pool *shown[AHEAD_REQUESTS] = {NULL};
    for (int round = 0; round < 20; round++) {
        make_many(one);
        bring_pools(one, shown);
        make_many(other);
        run_many(together, one, true);
        run_many(singly, other, false);
        for (uint32_t i = 0; i < AHEAD_REQUESTS; i++) {
            assert_int_equal(one->requests[i].code, other->requests[i].code);
            assert_int_equal(one->requests[i].first_request_id,
                             other->requests[i].first_request_id);
            assert_int_equal(one->requests[i].pool == NULL, other->requests[i].pool == NULL);
            if (one->requests[i].pool != NULL)
                assert_memory_equal(pool_name(one->requests[i].pool).bytes,
                                    other->requests[i].pool_name, 1);
            shown[i] = one->requests[i].pool;
        }
        assert_memory_equal(one->outcomes, other->outcomes, sizeof one->outcomes);
    }
    state_check(&together->engine->writer.state);
    free(one);
    free(other);
    done(together);
    done(singly);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_answer_leaves_before_the_sync_has_ended),
        cmocka_unit_test(test_errors_and_reads_wait_for_what_they_were_computed_from),
        cmocka_unit_test(test_ids_are_consecutive_and_a_failed_draw_has_one),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_bounds_of_a_request),
        cmocka_unit_test(test_a_full_queue_answers_busy),
        cmocka_unit_test(test_requests_share_a_group_and_an_entry),
        cmocka_unit_test(test_a_group_closes_before_a_request_that_would_break_its_limit),
        cmocka_unit_test(test_the_last_group_gets_exactly_one_mark),
        cmocka_unit_test(test_a_clean_stop_answers_everything_and_marks),
        cmocka_unit_test(test_the_ring_goes_round_without_an_end),
        cmocka_unit_test(test_a_snapshot_is_taken_on_request),
        cmocka_unit_test(test_a_snapshot_that_fails_says_so_and_the_next_succeeds),
        cmocka_unit_test(test_a_snapshot_that_the_disk_does_not_have_does_not_count),
        cmocka_unit_test(test_requests_wait_for_room_then_get_busy_then_go_on),
        cmocka_unit_test(test_snapshot_every_has_to_fit_the_ring),
        cmocka_unit_test(test_a_segment_has_to_hold_the_largest_request),
        cmocka_unit_test(test_the_next_segment_is_brought_into_memory_in_time),
        cmocka_unit_test(test_a_failed_sync_is_final),
        cmocka_unit_test(test_a_failed_store_is_final),
        cmocka_unit_test(test_reads_come_back_in_order),
        cmocka_unit_test(test_reads_page_through_what_there_is),
        cmocka_unit_test(test_impossible_sizes_are_refused),
        cmocka_unit_test(test_engine_time_over_a_restart),
        cmocka_unit_test(test_requests_together_draw_what_they_draw_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
