/* test_snapshot_task.c: a snapshot on its way to the disk, step by step: its pace, its failures, what it
 * leaves and what it removes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/engine_driver.h"

#define ITEMS 20000u /* some 30 blocks: several pauses at the pace of an engine that has time */

static char names[ITEMS][URN_NAME_BYTES_MAX + 1];
static struct urn_item_spec specs[ITEMS];
static const struct urn_pool_spec pools[] = {{"main", 4, ITEMS, specs}};

static struct driver *a_driver(void)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 5);
    for (uint32_t i = 0; i < ITEMS; i++) {
        int length = snprintf(names[i], sizeof names[i], "%060u", i);
        specs[i] = (struct urn_item_spec){names[i], (uint32_t)length, URN_UNLIMITED, 1};
    }
    driver->config.pools = pools;
    driver->config.max_items = ITEMS;
    driver->config.segments = 8;
    driver_must_open(driver);
    return driver;
}

static void done(struct driver *driver)
{
    driver_free(driver);
    free(driver);
}

static void commit(struct driver *driver)
{
    while (atomic_load(&driver->engine->commit_slot) != NULL) {
        assert_true(engine_commit_begin(driver->engine));
        (void)engine_commit_end(driver->engine);
    }
}

/* One step of everything; returns the time that the task wanted to pass, which then has. */
static uint64_t run_once(struct driver *driver)
{
    struct snapshot_task *task = &driver->engine->snapshot;
    (void)writer_step(driver->engine);
    commit(driver);
    enum snapshot_want want = snapshot_task_step(task);
    uint64_t now_ns = os_monotonic_ns(driver->config.os);
    if (want != SNAPSHOT_WANTS_TIME || task->wake_ns <= now_ns)
        return 0;
    sim_advance(driver->world, task->wake_ns - now_ns);
    return task->wake_ns - now_ns;
}

/* A snapshot is asked for, and has come to this step. */
static void come_to(struct driver *driver, enum snapshot_step step)
{
    assert_int_equal(driver_draw(driver, "main", 5, false), URN_OK);
    driver->request = (struct urn_request){.op = URN_SNAPSHOT};
    urn_submit(driver->engine, &driver->request);
    do
        (void)run_once(driver);
    while (atomic_load(&driver->engine->snapshot.phase) != SNAPSHOT_WORKS ||
           driver->engine->snapshot.step != step);
}

/* To its end; returns for how long it paused. */
static uint64_t pauses_to_the_end(struct driver *driver)
{
    uint64_t paused_ns = 0;
    while (atomic_load(&driver->engine->snapshot.phase) == SNAPSHOT_WORKS)
        paused_ns += run_once(driver);
    driver_run(driver);
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    return paused_ns;
}

/* ---- pace ------------------------------------------------------------------------------------ */

static void test_a_snapshot_with_time_pauses(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    come_to(driver, SNAPSHOT_STEP_WRITE);
    assert_true(pauses_to_the_end(driver) > 8 * SNAPSHOT_PACE_NS);
    come_to(driver, SNAPSHOT_STEP_READ);
    assert_true(pauses_to_the_end(driver) > 4 * SNAPSHOT_PACE_NS);
    done(driver);
}

static void ask_stop(struct driver *driver)
{
    engine_ask_stop(driver->engine);
}

/* A third of the room that was left when it began. */
static void let_the_log_grow(struct driver *driver)
{
    const struct writer *writer = &driver->engine->writer;
    uint64_t end_lsn = writer->snapshots.lsn + writer->snapshots.room_bytes / 3;
    uint32_t outcomes[DRIVER_BATCH_MAX];
    while (writer->end_lsn < end_lsn) {
        struct urn_request draw = {.op = URN_DRAW,
                                   .pool_name = "main",
                                   .pool_name_bytes = 4,
                                   .count = DRIVER_BATCH_MAX,
                                   .outcomes = outcomes};
        urn_submit(driver->engine, &draw);
        (void)writer_step(driver->engine);
        commit(driver);
        assert_ptr_equal(urn_collect(driver->engine), &draw);
    }
}

/* Whatever the step, no time is lost once there is none to lose. */
static void test_a_snapshot_without_time_does_not_pause(void **unused)
{
    (void)unused;
    static void (*const presses[])(struct driver *) = {ask_stop, let_the_log_grow};
    static const enum snapshot_step steps[] = {SNAPSHOT_STEP_WRITE, SNAPSHOT_STEP_SYNC,
                                               SNAPSHOT_STEP_READ};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 3; k++) {
            struct driver *driver = a_driver();
            come_to(driver, steps[k]);
            presses[i](driver);
            assert_true(pauses_to_the_end(driver) <= SNAPSHOT_PACE_NS);
            done(driver);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_with_time_pauses),
        cmocka_unit_test(test_a_snapshot_without_time_does_not_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
