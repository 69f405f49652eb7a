/* test_fail_stop.c: the engine's threads over a simulated disk whose nth sync fails: nothing staged
 * before the failure is acknowledged after it, and the disk is not touched again. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "tests/lib/engine_driver.h"

#define REQUESTS 32u
#define ROUNDS   60u /* thrice each sync that may fail */

static void on_notify(void *context)
{
    CHECK(sem_post(context) == 0);
}

static void wait_for_notice(sem_t *notified)
{
    while (sem_wait(notified) != 0)
        CHECK(errno == EINTR);
}

struct tally {
    uint64_t highest_acknowledged_id;
    uint32_t in_doubt;
    uint32_t refused;
};

/* Keeps requests going, those that succeed again and again, until all have failed. */
static struct tally run_until_all_failed(struct urn_engine *engine, sem_t *notified)
{
    static struct urn_request requests[REQUESTS];
    static uint32_t outcomes[REQUESTS][DRIVER_BATCH_MAX];
    struct tally tally = {0};
    for (uint32_t i = 0; i < REQUESTS; i++)
        requests[i] = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = 100,
                                           .outcomes = outcomes[i],
                                           .next = i + 1 < REQUESTS ? &requests[i + 1] : NULL};
    urn_submit(engine, requests);
    bool was_emptied = false; /* of what had been acknowledged, behind the failure */
    while (tally.in_doubt + tally.refused < REQUESTS) {
        wait_for_notice(notified);
        struct urn_error failure;
        urn_engine_failure(engine, &failure);
        for (struct urn_request *list = urn_collect(engine); list != NULL;) {
            struct urn_request *request = list;
            list = list->next;
            if (request->code == URN_OK) {
                assert_false(was_emptied);
                assert_int_equal(tally.in_doubt, 0); /* answers come in the order of the log */
                tally.highest_acknowledged_id = request->first_request_id + request->count - 1;
                request->next = NULL;
                urn_submit(engine, request);
            } else if (request->code == URN_INDOUBT) {
                tally.in_doubt++;
            } else {
                assert_int_equal(request->code, URN_READONLY);
                tally.refused++;
            }
        }
        was_emptied = failure.code != URN_OK;
    }
    return tally;
}

static void fail_syncs(enum urn_wal_mode mode, uint64_t rounds)
{
    for (uint64_t round = 0; round < rounds; round++) {
        struct driver *driver = malloc(sizeof *driver);
        assert_non_null(driver);
        sem_t notified;
        assert_int_equal(sem_init(&notified, 0, 0), 0);
        driver_init(driver, round);
        driver->config.mode = mode;
        driver->config.interval_ns = WAL_INTERVAL_NS_MIN;
        driver->config.notify = on_notify;
        driver->config.notify_context = &notified;
        driver->config.flush_after_n_draw = 400; /* so that requests wait while a group syncs */
        driver->config.os = sim_os(driver->world);
        sim_use_real_clock(driver->world);
        sim_fail_at(driver->world, SIM_MAP_SYNC_END, 4 + round % 20, EIO);
        if (urn_engine_open(&driver->config, &driver->engine, &driver->report, &driver->error) !=
            URN_OK)
            fail_msg("%s", driver->error.text);
        struct tally tally = run_until_all_failed(driver->engine, &notified);
        if (mode == URN_WAL_COMMIT) /* relaxed, nothing need be staged and not copied */
            assert_true(tally.in_doubt > 0);
        assert_int_equal(urn_engine_stop(driver->engine, &driver->error), URN_IO);
        while (urn_collect(driver->engine) != NULL)
            ;
        /* The failed one was the last: neither tried again nor followed by another. */
        assert_int_equal(sim_calls_of(driver->world, SIM_MAP_SYNC_END), 4 + round % 20);
        urn_engine_free(driver->engine);
        driver->engine = NULL;
        sim_crash_now(driver->world, SIM_CRASH_MACHINE);
        sim_restart(driver->world);
        driver_must_open(driver);
        assert_true(driver->report.next_request_id > tally.highest_acknowledged_id);
        driver_free(driver);
        free(driver);
        sem_destroy(&notified);
    }
}

static void test_nothing_is_acknowledged_behind_a_failed_sync(void **unused)
{
    (void)unused;
    fail_syncs(URN_WAL_COMMIT, ROUNDS);
}

/* Here another thread syncs than acknowledges. */
static void test_nothing_is_acknowledged_behind_a_failed_sync_in_mode_interval(void **unused)
{
    (void)unused;
    fail_syncs(URN_WAL_INTERVAL, ROUNDS / 2);
}

/* It is a snapshot that wants the sync. */
static void test_nothing_is_acknowledged_behind_a_failed_sync_in_mode_os(void **unused)
{
    (void)unused;
    fail_syncs(URN_WAL_OS, ROUNDS / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_acknowledged_behind_a_failed_sync),
        cmocka_unit_test(test_nothing_is_acknowledged_behind_a_failed_sync_in_mode_interval),
        cmocka_unit_test(test_nothing_is_acknowledged_behind_a_failed_sync_in_mode_os),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
