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

/* ---- who asks -------------------------------------------------------------------------------- */

/* The one under way does not have what was drawn since it began: whoever asks then gets the next one. */
static void test_a_snapshot_covers_all_that_was_before_it_was_asked_for(void **unused)
{
    (void)unused;
    static const enum snapshot_step steps[] = {SNAPSHOT_STEP_WRITE, SNAPSHOT_STEP_READ,
                                               SNAPSHOT_STEP_RENAME};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct driver *driver = a_driver();
        struct urn_request second = {.op = URN_SNAPSHOT};
        uint32_t outcome;
        struct urn_request draw = {.op = URN_DRAW,
                                   .pool_name = "main",
                                   .pool_name_bytes = 4,
                                   .count = 1,
                                   .outcomes = &outcome,
                                   .next = &second};
        come_to(driver, steps[i]);
        uint64_t first_lsn = driver->engine->snapshot.name.lsn;
        urn_submit(driver->engine, &draw);
        driver_run(driver);
        while (urn_collect(driver->engine) != NULL)
            ;
        assert_int_equal(driver->request.code, URN_OK);
        assert_int_equal(driver->request.lsn, first_lsn);
        assert_int_equal(second.code, URN_OK);
        assert_true(second.lsn > first_lsn);
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_int_equal(driver->report.replayed_draws, 0);
        assert_int_equal(driver->report.next_request_id, draw.first_request_id + 1);
        done(driver);
    }
}

/* ---- the smallest ring ----------------------------------------------------------------------- */

/* Each of the largest requests that a segment holds takes one for itself, and the ring has three of the
 * smallest: every one of them waits for two snapshots, and none gets BUSY. */
static void test_the_largest_requests_go_round_the_smallest_ring(void **unused)
{
    (void)unused;
    enum { WIDE = 65535, BATCH = 15000, REQUESTS = 40 }; /* outcomes of 4 bytes: 60 KB in the log */
    static uint32_t outcomes[BATCH];
    static char wide_names[WIDE][8];
    static struct urn_item_spec wide[WIDE];
    for (uint32_t i = 0; i < WIDE; i++) {
        int length = snprintf(wide_names[i], sizeof wide_names[i], "%u", i);
        wide[i] = (struct urn_item_spec){wide_names[i], (uint32_t)length, URN_UNLIMITED, 1};
    }
    const struct urn_pool_spec pool = {"main", 4, WIDE, wide};
    struct driver driver;
    driver_init(&driver, 3);
    driver.config.pools = &pool;
    driver.config.max_items = WIDE;
    driver.config.max_batch = BATCH;
    driver_must_open(&driver);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        enum urn_code code = driver_ask(&driver, (struct urn_request){.op = URN_DRAW,
                                                                      .pool_name = "main",
                                                                      .pool_name_bytes = 4,
                                                                      .count = BATCH,
                                                                      .outcomes = outcomes});
        assert_int_equal(code, URN_OK);
    }
    assert_true(driver.engine->writer.end_lsn >= (REQUESTS - 1) * SEGMENT_SIZE_BYTES_MIN);
    driver_crash(&driver, SIM_CRASH_MACHINE);
    driver_must_open(&driver);
    assert_int_equal(driver.report.next_request_id, REQUESTS * BATCH + 1);
    driver_free(&driver);
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

/* The text of what the last snapshot met, or NULL. */
static const char *trouble_of(struct driver *driver)
{
    urn_engine_snapshot_failure(driver->engine, &driver->error);
    return driver->error.code == URN_OK ? NULL : driver->error.text;
}

/* ---- files ----------------------------------------------------------------------------------- */

struct files {
    uint32_t snapshots;
    uint32_t temporaries;
};

static void count_file(void *context, const char *name)
{
    struct files *files = context;
    enum data_dir_name_kind kind = data_dir_name_kind(name);
    files->snapshots += kind == DATA_DIR_NAME_SNAPSHOT;
    files->temporaries += kind == DATA_DIR_NAME_TEMPORARY;
}

static struct files files_of(const struct driver *driver)
{
    struct files files = {0};
    (void)sim_list(driver->world, "data", count_file, &files);
    return files;
}

static uint32_t snapshots_of(const struct driver *driver)
{
    return files_of(driver).snapshots;
}

/* Whatever fails, and however much of the file is there: it goes, and the next one finds room. */
static void test_a_snapshot_that_fails_leaves_nothing(void **unused)
{
    (void)unused;
    static const enum sim_call calls[] = {SIM_FILE_CREATE, SIM_FILE_ALLOCATE,  SIM_IO_BEGIN,
                                          SIM_IO_END,      SIM_FILE_SYNC,      SIM_FILE_SIZE,
                                          SIM_RENAME,      SIM_FILE_DROP_CACHE};
    struct driver *driver = a_driver();
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        bool fired = true;
        for (uint64_t nth = 1; fired; nth += 1 + nth / 4) {
            struct files before = files_of(driver);
            assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
            sim_event_forget(driver->world);
            sim_fail_at(driver->world, calls[i], nth, 0);
            enum urn_code code = driver_snapshot(driver);
            fired = sim_last_event(driver->world)->number != 0;
            assert_int_equal(code, fired ? URN_IO : URN_OK);
            assert_int_equal(files_of(driver).temporaries, 0);
            if (fired)
                assert_int_equal(snapshots_of(driver), before.snapshots);
            sim_advance(driver->world, SNAPSHOT_RETRY_NS);
        }
    }
    done(driver);
}

/* Who asks behind a failure does not wait for the next attempt that comes by itself. */
static void test_an_asked_one_begins_at_once_behind_a_failure(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    sim_fail_at(driver->world, SIM_RENAME, 1, EACCES);
    assert_int_equal(driver_snapshot(driver), URN_IO);
    const uint64_t failed_ns = os_monotonic_ns(driver->config.os);
    assert_int_equal(driver_snapshot(driver), URN_OK);
    assert_true(os_monotonic_ns(driver->config.os) - failed_ns < SNAPSHOT_RETRY_NS / 2);
    done(driver);
}

/* ---- a fail stop ----------------------------------------------------------------------------- */

/* The log fails while a snapshot is at this step: it gives up, its asker is told, and the disk is left as it
 * is. */
static void fail_stop_at(enum snapshot_step step)
{
    struct driver *driver = a_driver();
    struct snapshot_task *task = &driver->engine->snapshot;
    uint32_t outcome;
    struct urn_request draw = {.op = URN_DRAW,
                               .pool_name = "main",
                               .pool_name_bytes = 4,
                               .count = 1,
                               .outcomes = &outcome};
    come_to(driver, step);
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
    urn_submit(driver->engine, &draw);
    (void)writer_step(driver->engine);
    assert_true(engine_commit_begin(driver->engine));
    assert_true(engine_commit_end(driver->engine));
    uint64_t removals = sim_calls_of(driver->world, SIM_REMOVE);
    uint64_t renames = sim_calls_of(driver->world, SIM_RENAME);
    uint64_t begun = sim_calls_of(driver->world, SIM_IO_BEGIN);
    while (atomic_load(&task->phase) != SNAPSHOT_RESTS) {
        (void)snapshot_task_step(task);
        (void)writer_step(driver->engine);
    }
    assert_int_equal(driver->request.code, URN_READONLY);
    assert_int_equal(draw.code, URN_INDOUBT);
    assert_int_equal(sim_calls_of(driver->world, SIM_REMOVE), removals);
    assert_int_equal(sim_calls_of(driver->world, SIM_RENAME), renames);
    assert_int_equal(sim_calls_of(driver->world, SIM_IO_BEGIN), begun);
    while (urn_collect(driver->engine) != NULL)
        ;
    assert_int_equal(driver_stop(driver), URN_IO);
    driver_must_open(driver);
    assert_int_equal(files_of(driver).temporaries, 0);
    done(driver);
}

static void test_a_fail_stop_ends_a_snapshot_at_any_step(void **unused)
{
    (void)unused;
    static const enum snapshot_step steps[] = {SNAPSHOT_STEP_WRITE, SNAPSHOT_STEP_SYNC,
                                               SNAPSHOT_STEP_READ, SNAPSHOT_STEP_RENAME};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        fail_stop_at(steps[i]);
}

/* ---- reading and writing ---------------------------------------------------------------------- */

/* One that does less than asked is no failure: the rest follows. */
static void test_short_reads_and_writes_are_gone_on_with(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint32_t shortened = 0;
    bool fired = true;
    for (uint64_t nth = 1; fired; nth += 1 + nth / 8) {
        assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
        sim_event_forget(driver->world);
        sim_short_at(driver->world, nth);
        assert_int_equal(driver_snapshot(driver), URN_OK);
        fired = sim_last_event(driver->world)->number != 0;
        shortened += fired;
    }
    assert_true(shortened > 10);
    sim_set_fault_rates(driver->world, 0, 3);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    assert_int_equal(driver_snapshot(driver), URN_OK);
    done(driver);
}

/* ---- who is told ----------------------------------------------------------------------------- */

static void count_notice(void *context)
{
    ++*(uint32_t *)context;
}

/* Draws once and returns how often the engine spoke up beside its answer. */
static uint32_t notices_beside_a_draw(struct driver *driver, uint32_t *notices)
{
    *notices = 0;
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    return *notices - 1;
}

/* Nobody asks for these snapshots, so nobody has an answer to look for. */
static void test_a_change_in_how_snapshots_fare_is_told(void **unused)
{
    (void)unused;
    uint32_t notices = 0;
    struct driver *driver = a_driver();
    assert_int_equal(driver_stop(driver), URN_OK);
    driver->config.snapshot_every_bytes = SNAPSHOT_EVERY_BYTES_MIN;
    driver->config.notify = count_notice;
    driver->config.notify_context = &notices;
    driver_must_open(driver);
    while (driver->engine->writer.end_lsn <
           driver->engine->writer.snapshots.ledger.newest.lsn + SNAPSHOT_EVERY_BYTES_MIN)
        assert_int_equal(notices_beside_a_draw(driver, &notices), 0);
    assert_null(trouble_of(driver));
    sim_set_capacity(driver->world, sim_used_bytes(driver->world));
    while (trouble_of(driver) == NULL)
        (void)notices_beside_a_draw(driver, &notices);
    assert_int_equal(notices, 2);
    sim_set_capacity(driver->world, UINT64_MAX);
    sim_advance(driver->world, SNAPSHOT_RETRY_NS);
    assert_int_equal(notices_beside_a_draw(driver, &notices), 1);
    assert_null(trouble_of(driver));
    assert_int_equal(notices_beside_a_draw(driver, &notices), 0);
    done(driver);
}

/* ---- what is removed ------------------------------------------------------------------------- */

static void take_snapshot(struct driver *driver)
{
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    assert_int_equal(driver_snapshot(driver), URN_OK);
}

/* Fails all removals of one old snapshot. */
struct obstacle {
    struct sim_world *world;
    const char *name;
};

static void hold_on(void *context, const struct sim_event *call)
{
    const struct obstacle *obstacle = context;
    if (call->call == SIM_REMOVE && strcmp(call->name, obstacle->name) == 0)
        sim_fail_at(obstacle->world, SIM_REMOVE, 1, EACCES);
}

static void test_an_old_snapshot_that_stays_is_told_and_keeps_no_other(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct obstacle obstacle = {driver->world, "snapshot-0000000000000000-0000"};
    sim_set_observer(driver->world, hold_on, &obstacle);
    take_snapshot(driver);
    assert_null(trouble_of(driver));
    for (int i = 0; i < 5; i++) {
        take_snapshot(driver);
        assert_int_equal(snapshots_of(driver), 3);
        assert_non_null(strstr(trouble_of(driver), "cannot remove an old snapshot"));
        assert_non_null(strstr(trouble_of(driver), obstacle.name));
    }
    struct urn_engine_info info;
    urn_engine_info(driver->engine, &info);
    assert_int_equal(info.snapshots, 6);
    assert_int_equal(info.snapshots_failed, 0);
    sim_set_observer(driver->world, NULL, NULL);
    take_snapshot(driver);
    assert_int_equal(snapshots_of(driver), 2);
    assert_null(trouble_of(driver));
    done(driver);
}

static void damage(struct driver *driver, struct snapshot_name which)
{
    char name[DATA_DIR_NAME_MAX];
    char path[2 * DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, which.lsn, which.serial);
    snprintf(path, sizeof path, "%s/%s", driver->config.data_dir, name);
    assert_true(sim_flip_bit(driver->world, path, 5000, 1));
}

static struct snapshot_ledger ledger_of(const struct driver *driver)
{
    return driver->engine->writer.snapshots.ledger;
}

/* The newest of two is damaged, and a start takes the one before. With the next one that counts, the damaged
 * one goes and not the one that was loaded, however old it is: it, and the log from it on, is what is left
 * when the new one is damaged too. */
static void test_what_was_loaded_for_a_damaged_one_stays(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    take_snapshot(driver);
    take_snapshot(driver);
    const struct snapshot_ledger before = ledger_of(driver);
    driver_crash(driver, SIM_CRASH_MACHINE);
    damage(driver, before.newest);
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshots_refused, 1);
    assert_int_equal(driver->report.snapshot_lsn, before.older.lsn);
    take_snapshot(driver);
    assert_int_equal(ledger_of(driver).older.lsn, before.older.lsn);
    assert_int_equal(snapshots_of(driver), 2);
    damage(driver, ledger_of(driver).newest);
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshots_refused, 1);
    assert_int_equal(driver->report.snapshot_lsn, before.older.lsn);
    assert_int_equal(driver->report.next_request_id, 4);
    done(driver);
}

/* One that does not verify takes nothing along. */
static void test_one_that_does_not_verify_removes_nothing(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    take_snapshot(driver);
    take_snapshot(driver);
    const struct snapshot_ledger before = ledger_of(driver);
    come_to(driver, SNAPSHOT_STEP_SYNC);
    (void)run_once(driver);
    char path[2 * DATA_DIR_NAME_MAX];
    snprintf(path, sizeof path, "%s/%s", driver->config.data_dir,
             driver->engine->snapshot.temporary_name);
    assert_true(sim_flip_bit(driver->world, path, 5000, 1));
    (void)pauses_to_the_end(driver);
    assert_int_equal(driver->request.code, URN_IO);
    assert_int_equal(snapshots_of(driver), 2);
    damage(driver, before.newest);
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshot_lsn, before.older.lsn);
    assert_int_equal(driver->report.next_request_id, 2 + 1 + 5);
    done(driver);
}

static void test_a_folder_that_cannot_be_listed_or_synced_behind_it_is_told(void **unused)
{
    (void)unused;
    static const struct {
        enum sim_call call;
        uint32_t nth;
        const char *text;
    } cases[] = {{SIM_DIR_LIST, 1, "cannot remove old snapshots: cannot list"},
                 {SIM_DIR_SYNC, 2, "behind the removal of old snapshots"}};
    for (size_t i = 0; i < 2; i++) {
        struct driver *driver = a_driver();
        take_snapshot(driver);
        assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
        sim_fail_at(driver->world, cases[i].call, cases[i].nth, EIO);
        assert_int_equal(driver_snapshot(driver), URN_OK);
        assert_non_null(strstr(trouble_of(driver), cases[i].text));
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_int_equal(driver->report.snapshots_refused, 0);
        assert_int_equal(driver->report.next_request_id, 3);
        done(driver);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_snapshot_covers_all_that_was_before_it_was_asked_for),
        cmocka_unit_test(test_the_largest_requests_go_round_the_smallest_ring),
        cmocka_unit_test(test_a_snapshot_with_time_pauses),
        cmocka_unit_test(test_a_snapshot_without_time_does_not_pause),
        cmocka_unit_test(test_a_snapshot_that_fails_leaves_nothing),
        cmocka_unit_test(test_an_asked_one_begins_at_once_behind_a_failure),
        cmocka_unit_test(test_a_fail_stop_ends_a_snapshot_at_any_step),
        cmocka_unit_test(test_short_reads_and_writes_are_gone_on_with),
        cmocka_unit_test(test_a_change_in_how_snapshots_fare_is_told),
        cmocka_unit_test(test_an_old_snapshot_that_stays_is_told_and_keeps_no_other),
        cmocka_unit_test(test_what_was_loaded_for_a_damaged_one_stays),
        cmocka_unit_test(test_one_that_does_not_verify_removes_nothing),
        cmocka_unit_test(test_a_folder_that_cannot_be_listed_or_synced_behind_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
