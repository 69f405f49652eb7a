/* test_modes.c: modes interval and os: what is acknowledged without a sync, what a crash may cost then,
 * and why no request id is given twice. Step by step over the simulated system. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/data_dir.h"
#include "tests/lib/engine_driver.h"
#include "tests/lib/sim_random.h"

#define INTERVAL_NS (10ull * 1000 * 1000)
#define SEEDS       40u
#define FILL_DRAWS  14000u
#define FILLED      (4u * FILL_DRAWS)

static const enum urn_wal_mode relaxed_modes[] = {URN_WAL_INTERVAL, URN_WAL_OS};
#define RELAXED_MODES (sizeof relaxed_modes / sizeof relaxed_modes[0])

static struct driver *make_driver(uint64_t seed, enum urn_wal_mode mode)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, seed);
    driver->config.mode = mode;
    driver->config.interval_ns = INTERVAL_NS;
    return driver;
}

/* An engine in this mode whose first reservation is durable. */
static struct driver *a_driver(uint64_t seed, enum urn_wal_mode mode)
{
    struct driver *driver = make_driver(seed, mode);
    driver_must_open(driver);
    driver_run(driver);
    return driver;
}

/* The same with room for large draws, and for two segments of log without a snapshot. */
static struct driver *a_roomy_driver(uint64_t seed, enum urn_wal_mode mode)
{
    struct driver *driver = make_driver(seed, mode);
    driver->config.segments = 8;
    driver->config.max_batch = FILL_DRAWS;
    driver_must_open(driver);
    driver_run(driver);
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

static uint64_t syncs_of(const struct driver *driver)
{
    return sim_calls_of(driver->world, SIM_MAP_SYNC_BEGIN);
}

/* Draws so many times so many; all must succeed. */
static void draw_often(struct driver *driver, uint32_t times, uint32_t count)
{
    for (uint32_t i = 0; i < times; i++)
        assert_int_equal(driver_draw(driver, "main", count, false), URN_OK);
}

/* Fills the first segment of the log but for some 4 KiB; an engine of a_roomy_driver(). */
static void fill_segment(struct driver *driver)
{
    static uint32_t outcomes[FILL_DRAWS];
    for (uint32_t i = 0; i < FILLED / FILL_DRAWS; i++) {
        struct urn_request draw = {.op = URN_DRAW,
                                   .pool_name = "main",
                                   .pool_name_bytes = 4,
                                   .count = FILL_DRAWS,
                                   .outcomes = outcomes};
        assert_int_equal(driver_ask(driver, draw), URN_OK);
    }
}

/* How many items of "main" were ever handed out, as the state has it. */
static uint64_t drawn(struct driver *driver)
{
    assert_int_equal(driver_state(driver, "main"), URN_OK);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < driver->request.returned; i++)
        sum += driver->items[i].drawn;
    return sum;
}

/* A pool of which every draw fails: its log takes next to nothing. */
static const struct urn_item_spec nothing[] = {{"nothing", 7, 0, 1}};
static const struct urn_pool_spec empty_pool = {"main", 4, 1, nothing};

/* An engine that can spend a reservation in a few requests; the caller frees the outcomes. */
#define MILLION 1000000u
static struct driver *a_spender(enum urn_wal_mode mode, uint32_t **outcomes)
{
    struct driver *driver = make_driver(1, mode);
    driver->config.pools = &empty_pool;
    driver->config.segment_size_bytes = 8u << 20;
    driver->config.max_batch = MILLION;
    driver->config.queue_draws = 100 * (uint64_t)MILLION;
    *outcomes = malloc(sizeof(uint32_t) * MILLION);
    assert_non_null(*outcomes);
    driver_must_open(driver);
    driver_run(driver);
    return driver;
}

static void submit_million(struct driver *driver, uint32_t *outcomes)
{
    driver->request = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = MILLION,
                                           .outcomes = outcomes};
    urn_submit(driver->engine, &driver->request);
    driver_run(driver);
}

/* ---- acknowledging ------------------------------------------------------------------------- */

static void test_an_answer_needs_the_copy_and_no_sync(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++) {
        struct driver *driver = a_driver(1, relaxed_modes[m]);
        driver->holds_syncs = true;
        uint64_t syncs = syncs_of(driver);
        uint64_t copies = sim_calls_of(driver->world, SIM_MAP_WRITE);
        uint64_t durable_lsn = info_of(driver).durable_lsn;
        driver_submit_draw(driver, "main", 10);
        assert_true(writer_step(driver->engine));
        assert_null(urn_collect(driver->engine));
        assert_int_equal(sim_calls_of(driver->world, SIM_MAP_WRITE), copies);
        assert_true(engine_commit_begin(driver->engine));
        assert_null(urn_collect(driver->engine));
        assert_true(engine_commit_end(driver->engine));
        assert_ptr_equal(urn_collect(driver->engine), &driver->request);
        assert_int_equal(driver->request.code, URN_OK);
        assert_int_equal(sim_calls_of(driver->world, SIM_MAP_WRITE), copies + 1);
        assert_int_equal(syncs_of(driver), syncs);
        assert_int_equal(info_of(driver).durable_lsn, durable_lsn);
        assert_int_equal(info_of(driver).acknowledged_lsn, driver->engine->writer.end_lsn);
        sim_advance(driver->world, 5000);
        assert_in_range(info_of(driver).unsynced_ns, 5000, 1000000);
        done(driver);
    }
}

/* Draws until a call crashes the process; what has been heard of until then is *heard. False: none did. */
static bool draw_until_crash(struct driver *driver, uint64_t *heard)
{
    for (uint32_t i = 0; i < 30; i++) {
        driver_submit_draw(driver, "main", 1 + 30 * i);
        while (sim_crashed(driver->world) == SIM_NO_CRASH) {
            (void)writer_step(driver->engine);
            if (atomic_load(&driver->engine->commit_slot) != NULL &&
                engine_commit_begin(driver->engine))
                (void)engine_commit_end(driver->engine);
            if (engine_log_sync_begin(driver->engine))
                engine_log_sync_end(driver->engine);
            (void)snapshot_task_step(&driver->engine->snapshot);
            sim_advance(driver->world, INTERVAL_NS / 7);
            if (sim_crashed(driver->world) == SIM_NO_CRASH && urn_collect(driver->engine) != NULL)
                break;
        }
        if (sim_crashed(driver->world) != SIM_NO_CRASH)
            return true;
        assert_int_equal(driver->request.code, URN_OK);
        *heard += driver->request.count;
    }
    return false;
}

static void test_the_death_of_the_process_costs_nothing(void **unused)
{
    (void)unused;
    static const enum urn_wal_mode modes[] = {URN_WAL_COMMIT, URN_WAL_INTERVAL, URN_WAL_OS};
    for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++)
        for (int amid = 0; amid < 2; amid++)
            for (uint64_t nth = 1;; nth++) {
                struct driver *driver = a_roomy_driver(nth, modes[m]);
                fill_segment(driver);
                uint64_t heard = FILLED;
                sim_crash_at(driver->world, nth, SIM_CRASH_PROCESS,
                             amid ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
                bool crashed = draw_until_crash(driver, &heard);
                driver_crash(driver, SIM_CRASH_PROCESS);
                driver_must_open(driver);
                driver_run(driver);
                assert_true(driver->report.next_request_id > heard);
                assert_in_range(drawn(driver), heard, heard + 2000);
                done(driver);
                if (!crashed)
                    break;
            }
}

/* What the last sync covered is there, whatever became of the rest; and no id is given again. */
static void test_a_power_loss_costs_what_no_sync_covered(void **unused)
{
    (void)unused;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t m = 0; m < RELAXED_MODES; m++) {
            struct driver *driver = a_roomy_driver(seed, relaxed_modes[m]);
            fill_segment(driver);
            draw_often(driver, 5, 20);
            sim_advance(driver->world, INTERVAL_NS);
            driver_run(driver);
            if (relaxed_modes[m] == URN_WAL_INTERVAL)
                assert_int_equal(info_of(driver).durable_lsn, info_of(driver).acknowledged_lsn);
            const uint64_t durable_lsn = info_of(driver).durable_lsn;
            driver->holds_syncs = true;
            draw_often(driver, 40, 500); /* through the segment's end */
            assert_int_equal(info_of(driver).durable_lsn, durable_lsn);
            const uint64_t given = driver->request.first_request_id + 499;
            const uint64_t epoch = driver->report.epoch;
            driver->holds_syncs = false;
            driver_crash(driver, SIM_CRASH_MACHINE);
            driver_must_open(driver);
            assert_true(driver->report.epoch > epoch);
            assert_true(driver->report.end_lsn >= durable_lsn);
            assert_true(driver->report.next_request_id > given);
            driver_run(driver);
            const uint64_t left = drawn(driver);
            assert_in_range(left, relaxed_modes[m] == URN_WAL_INTERVAL ? FILLED + 100 : 0, given);
            lost += left < given;
            draw_often(driver, 1, 1);
            assert_true(driver->request.first_request_id > given);
            done(driver);
        }
    assert_true(lost > SEEDS / 2); /* or this has shown nothing */
}

/* ---- ids ----------------------------------------------------------------------------------- */

static void test_ids_wait_for_the_first_reservation(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++) {
        struct driver *driver = make_driver(1, relaxed_modes[m]);
        driver_must_open(driver);
        driver->holds_syncs = true;
        driver_run(driver); /* it is made without being asked for */
        assert_int_equal(driver->engine->writer.state.reserved_request_id, RESERVED_IDS);
        driver_submit_draw(driver, "main", 3);
        driver_run(driver);
        assert_null(urn_collect(driver->engine));
        assert_false(writer_has_waiting(driver->engine)); /* nothing that a writer could do */
        sim_advance(driver->world, MARK_AFTER_NS);
        driver_run(driver);
        assert_true(writer_deadline_ns(driver->engine) > os_monotonic_ns(driver->config.os));
        assert_null(urn_collect(driver->engine));
        driver->holds_syncs = false;
        driver_run(driver);
        assert_ptr_equal(urn_collect(driver->engine), &driver->request);
        assert_int_equal(driver->request.first_request_id, 1);
        done(driver);
    }
}

static void test_ids_are_given_below_a_durable_reservation_only(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++) {
        uint32_t *outcomes;
        struct driver *driver = a_spender(relaxed_modes[m], &outcomes);
        driver->holds_syncs = true;
        for (uint64_t i = 0; i < RESERVED_IDS / MILLION; i++) {
            submit_million(driver, outcomes);
            assert_ptr_equal(urn_collect(driver->engine), &driver->request);
            assert_int_equal(driver->request.first_request_id, i * MILLION + 1);
        }
        /* More were reserved in time, and nobody has synced that. */
        assert_true(driver->engine->writer.state.reserved_request_id > RESERVED_IDS + MILLION);
        submit_million(driver, outcomes);
        struct urn_request pools = {.op = URN_POOLS};
        urn_submit(driver->engine, &pools);
        driver_run(driver);
        assert_null(urn_collect(driver->engine));
        assert_int_equal(engine_log_sync_deadline_ns(driver->engine), 0);

        driver->holds_syncs = false;
        driver_run(driver);
        assert_ptr_equal(urn_collect(driver->engine), &driver->request);
        assert_int_equal(driver->request.first_request_id, 4 * (uint64_t)MILLION + 1);
        assert_ptr_equal(driver->request.next, &pools);
        free(outcomes);
        done(driver);
    }
}

/* The machine crashes behind a reservation that was not synced: ids go on above the one before it, or
 * above this one, as the disk has it. */
static void test_a_reservation_that_was_not_synced_may_be_lost(void **unused)
{
    (void)unused;
    uint32_t *outcomes;
    struct driver *driver = a_spender(URN_WAL_OS, &outcomes);
    driver->holds_syncs = true;
    for (uint32_t i = 0; i < 3; i++)
        submit_million(driver, outcomes);
    assert_non_null(urn_collect(driver->engine));
    const uint64_t reserved = driver->engine->writer.state.reserved_request_id;
    assert_true(reserved > RESERVED_IDS);
    driver->holds_syncs = false;
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_true(driver->report.next_request_id == RESERVED_IDS + 1 ||
                driver->report.next_request_id == reserved + 1);
    free(outcomes);
    done(driver);
}

/* The log behind the snapshot is lost, and with it draws whose ids were heard of. */
static void test_a_snapshot_carries_the_reservation(void **unused)
{
    (void)unused;
    uint32_t lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct driver *driver = a_driver(seed, URN_WAL_OS);
        draw_often(driver, 1, 10);
        assert_int_equal(driver_snapshot(driver), URN_OK);
        const uint64_t snapshot_lsn = driver->request.lsn;
        draw_often(driver, 1, 1000);
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_int_equal(driver->report.snapshot_lsn, snapshot_lsn);
        assert_int_equal(driver->report.next_request_id, RESERVED_IDS + 1);
        lost += driver->report.end_lsn == snapshot_lsn;
        done(driver);
    }
    assert_true(lost > 0);
}

static void test_ids_rise_through_every_switch_of_modes(void **unused)
{
    (void)unused;
    static const enum urn_wal_mode modes[] = {URN_WAL_COMMIT,   URN_WAL_OS,       URN_WAL_COMMIT,
                                              URN_WAL_INTERVAL, URN_WAL_OS,       URN_WAL_INTERVAL,
                                              URN_WAL_COMMIT,   URN_WAL_INTERVAL, URN_WAL_COMMIT};
    enum { PROCESS, MACHINE, STOP, ENDS };
    for (uint64_t seed = 0; seed < 3 * SEEDS; seed++) {
        struct driver *driver = make_driver(seed, URN_WAL_COMMIT);
        uint64_t highest = 0;
        for (size_t life = 0; life < sizeof modes / sizeof modes[0]; life++) {
            driver->config.mode = modes[life];
            driver_must_open(driver);
            assert_true(driver->report.next_request_id > highest);
            for (uint32_t i = 0; i < 3; i++) {
                draw_often(driver, 1, 7);
                assert_true(driver->request.first_request_id > highest);
                highest = driver->request.first_request_id + 6;
                if (i == seed % 4)
                    assert_int_equal(driver_snapshot(driver), URN_OK);
            }
            /* In mode commit no id is skipped, but where a reservation was left behind. */
            if (modes[life] == URN_WAL_COMMIT)
                assert_int_equal(highest, driver->report.next_request_id + 20);
            switch ((seed + life) % ENDS) {
            case PROCESS:
                driver_crash(driver, SIM_CRASH_PROCESS);
                break;
            case MACHINE:
                driver_crash(driver, SIM_CRASH_MACHINE);
                break;
            default:
                assert_int_equal(driver_stop(driver), URN_OK);
            }
        }
        done(driver);
    }
}

/* Hostile files can hold such numbers; ids end where JavaScript's integers do. */
static void test_ids_end(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_OS);
    struct writer *writer = &driver->engine->writer;
    writer->state.next_request_id = URN_NUMBER_MAX - 10;
    writer->ids.granted = URN_NUMBER_MAX - 11;
    assert_int_equal(driver_draw(driver, "main", 9, false), URN_OK);
    assert_int_equal(writer->state.reserved_request_id, URN_NUMBER_MAX - 1);
    assert_int_equal(driver_draw(driver, "main", 2, false), URN_TOOBIG);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    assert_int_equal(driver->request.first_request_id, URN_NUMBER_MAX - 1);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_TOOBIG);
    done(driver);
}

/* ---- syncs --------------------------------------------------------------------------------- */

static void test_an_interval_passes_between_two_syncs(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_INTERVAL);
    sim_advance(driver->world, INTERVAL_NS);
    draw_often(driver, 1, 1); /* the first behind a silence: at once */
    const uint64_t syncs = syncs_of(driver);
    assert_int_equal(info_of(driver).durable_lsn, info_of(driver).acknowledged_lsn);
    assert_int_equal(info_of(driver).unsynced_ns, 0);
    assert_int_equal(engine_log_sync_deadline_ns(driver->engine), UINT64_MAX);
    draw_often(driver, 5, 1);
    assert_int_equal(syncs_of(driver), syncs);
    const uint64_t deadline_ns = engine_log_sync_deadline_ns(driver->engine);
    const uint64_t now_ns = os_monotonic_ns(driver->config.os);
    assert_in_range(deadline_ns, now_ns + INTERVAL_NS / 2, now_ns + INTERVAL_NS);
    sim_advance(driver->world, deadline_ns - now_ns);
    driver_run(driver);
    assert_int_equal(syncs_of(driver), syncs + 1);
    assert_int_equal(info_of(driver).durable_lsn, info_of(driver).acknowledged_lsn);
    done(driver);
}

static void test_mode_os_syncs_for_those_who_want_it_only(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_OS);
    const uint64_t syncs = syncs_of(driver);
    draw_often(driver, 5, 10);
    sim_advance(driver->world, WAL_INTERVAL_NS_MAX);
    driver_run(driver);
    assert_int_equal(info_of(driver).marks, 1); /* it carries what there is */
    assert_int_equal(syncs_of(driver), syncs);
    assert_int_equal(engine_log_sync_deadline_ns(driver->engine), UINT64_MAX);
    assert_int_equal(driver_snapshot(driver), URN_OK);
    assert_int_equal(syncs_of(driver), syncs + 1);
    assert_true(info_of(driver).durable_lsn >= driver->request.lsn);
    done(driver);
}

/* A round takes a sync for each segment, and no time in between. */
static void test_a_round_goes_through_every_segment(void **unused)
{
    (void)unused;
    struct driver *driver = a_roomy_driver(1, URN_WAL_INTERVAL);
    driver->holds_syncs = true;
    fill_segment(driver);
    draw_often(driver, 10, 1000);
    const uint64_t segment = driver->config.segment_size_bytes;
    const uint64_t acknowledged_lsn = info_of(driver).acknowledged_lsn;
    assert_true(acknowledged_lsn > segment && acknowledged_lsn < 2 * segment);
    const uint64_t syncs = syncs_of(driver);
    sim_advance(driver->world, INTERVAL_NS);
    assert_true(engine_log_sync_begin(driver->engine));
    driver->holds_syncs = false;
    engine_log_sync_end(driver->engine);
    assert_int_equal(info_of(driver).durable_lsn, segment);
    /* What is left was copied before the round began. */
    assert_true(info_of(driver).unsynced_ns >= INTERVAL_NS);
    driver_run(driver);
    assert_int_equal(info_of(driver).durable_lsn, acknowledged_lsn);
    assert_int_equal(syncs_of(driver), syncs + 2);
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.end_lsn, acknowledged_lsn);
    done(driver);
}

/* What is copied while a sync is under way is not durable when it ends, and groups do not say so. */
static void test_a_sync_covers_what_was_copied_before_it_began(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct driver *driver = a_driver(seed, URN_WAL_INTERVAL);
        driver->holds_syncs = true;
        draw_often(driver, 3, 100);
        const uint64_t begun_lsn = info_of(driver).acknowledged_lsn;
        sim_advance(driver->world, INTERVAL_NS);
        assert_true(engine_log_sync_begin(driver->engine));
        draw_often(driver, 3, 600);
        engine_log_sync_end(driver->engine);
        assert_int_equal(info_of(driver).durable_lsn, begun_lsn);
        draw_often(driver, 10, 600);
        driver->holds_syncs = false;
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_true(driver->report.end_lsn >= begun_lsn);
        done(driver);
    }
}

static void test_a_mark_says_that_what_is_before_it_is_durable(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_INTERVAL);
    driver->holds_syncs = true;
    draw_often(driver, 1, 10);
    const uint64_t drawn_lsn = info_of(driver).acknowledged_lsn;
    driver_idle(driver);
    assert_int_equal(info_of(driver).marks, 0);
    assert_int_equal(writer_deadline_ns(driver->engine), UINT64_MAX);
    driver->holds_syncs = false;
    driver_run(driver);
    assert_int_equal(info_of(driver).durable_lsn, drawn_lsn);
    assert_int_equal(info_of(driver).marks, 1);
    assert_true(info_of(driver).acknowledged_lsn > drawn_lsn);
    sim_advance(driver->world, INTERVAL_NS); /* and is synced itself */
    driver_run(driver);
    assert_int_equal(info_of(driver).durable_lsn, info_of(driver).acknowledged_lsn);
    for (int i = 0; i < 3; i++)
        driver_idle(driver);
    assert_int_equal(info_of(driver).marks, 1);
    /* Damage to the draws before it is told from a torn tail. */
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", drawn_lsn - 16, 3));
    assert_int_equal(driver_open(driver), URN_DAMAGED);
    assert_non_null(strstr(driver->error.text, "case D5"));
    done(driver);
}

/* ---- snapshots ----------------------------------------------------------------------------- */

struct highest_name {
    uint64_t lsn;
};

static void note_name(void *context, const char *name)
{
    struct highest_name *highest = context;
    uint64_t lsn;
    uint32_t serial;
    if (data_dir_parse_snapshot_name(name, &lsn, &serial) && lsn > highest->lsn)
        highest->lsn = lsn;
}

static void test_a_snapshot_waits_for_its_log(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++) {
        struct driver *driver = a_driver(1, relaxed_modes[m]);
        driver->holds_syncs = true;
        draw_often(driver, 3, 10);
        const uint64_t lsn = info_of(driver).acknowledged_lsn;
        struct urn_request asked = {.op = URN_SNAPSHOT};
        urn_submit(driver->engine, &asked);
        driver_run(driver);
        assert_null(urn_collect(driver->engine));
        assert_int_equal(driver->engine->snapshot.step, SNAPSHOT_STEP_DURABLE);
        struct highest_name name = {0};
        (void)sim_list(driver->world, "data", note_name, &name);
        assert_int_equal(name.lsn, 0); /* it would be evidence of what may be lost */
        assert_int_equal(engine_log_sync_deadline_ns(driver->engine), 0);
        driver->holds_syncs = false;
        driver_run(driver);
        assert_ptr_equal(urn_collect(driver->engine), &asked);
        assert_int_equal(asked.code, URN_OK);
        assert_int_equal(asked.lsn, lsn);
        (void)sim_list(driver->world, "data", note_name, &name);
        assert_int_equal(name.lsn, lsn);
        done(driver);
    }
}

static void test_the_ring_goes_round_in_every_mode(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++) {
        struct driver *driver = a_driver(1, relaxed_modes[m]);
        uint64_t end_lsn = 5 * wal_ring_bytes(&driver->engine->ring.geometry);
        uint64_t given = 0;
        for (uint32_t i = 0; driver->engine->writer.end_lsn < end_lsn; i++) {
            assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
            given = driver->request.first_request_id + DRIVER_BATCH_MAX - 1;
            sim_advance(driver->world, INTERVAL_NS / 8);
            if (i % 100 == 99) {
                const uint64_t durable_lsn = info_of(driver).durable_lsn;
                driver_crash(driver, SIM_CRASH_MACHINE);
                driver_must_open(driver);
                assert_true(driver->report.end_lsn >= durable_lsn);
                assert_true(driver->report.next_request_id > given);
            }
        }
        assert_int_equal(info_of(driver).busy, 0);
        done(driver);
    }
}

/* No room for a request is none for a reservation either: nobody waits for ids that cannot come. */
static void test_a_full_log_answers_busy_and_goes_on(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++) {
        struct driver *driver = a_driver(1, relaxed_modes[m]);
        sim_set_capacity(driver->world, sim_used_bytes(driver->world));
        enum urn_code code;
        while ((code = driver_draw(driver, "main", DRIVER_BATCH_MAX, false)) == URN_OK)
            ;
        assert_int_equal(code, URN_BUSY);
        driver_crash(driver, SIM_CRASH_PROCESS);
        driver_must_open(driver);
        assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_BUSY);
        sim_set_capacity(driver->world, UINT64_MAX);
        sim_advance(driver->world, SNAPSHOT_RETRY_NS);
        driver_run(driver);
        assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
        done(driver);
    }
}

/* ---- stopping ------------------------------------------------------------------------------ */

static void test_a_clean_stop_makes_all_durable(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        for (size_t m = 0; m < RELAXED_MODES; m++) {
            struct driver *driver = a_driver(seed, relaxed_modes[m]);
            draw_often(driver, 20, 30);
            const uint64_t draws_lsn = info_of(driver).acknowledged_lsn;
            if (seed % 2 == 0) /* the last snapshot fails: the log alone has it all */
                sim_set_capacity(driver->world, sim_used_bytes(driver->world));
            assert_int_equal(driver_stop(driver), URN_OK);
            sim_set_capacity(driver->world, UINT64_MAX);
            sim_crash_now(driver->world, SIM_CRASH_MACHINE);
            sim_restart(driver->world);
            driver_must_open(driver);
            assert_true(driver->report.end_lsn > draws_lsn);
            if (seed % 2 == 0) /* the mark carries all before it */
                assert_in_range(driver->report.rewritten_bytes, 1, WRITER_MARK_ROOM_BYTES);
            else
                assert_int_equal(driver->report.snapshot_lsn, driver->report.end_lsn);
            assert_int_equal(driver->report.next_request_id, RESERVED_IDS + 1);
            driver_run(driver);
            assert_int_equal(drawn(driver), 600);
            done(driver);
        }
}

/* A mark in mode os, written in a silence, says less than a clean stop is to say: what was acknowledged before
 * the stop is missed when it is damaged. */
static void test_a_stop_says_what_a_mark_before_it_did_not(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_OS);
    draw_often(driver, 5, 10);
    const uint64_t draws_lsn = info_of(driver).acknowledged_lsn;
    sim_advance(driver->world, MARK_AFTER_NS);
    driver_run(driver);
    assert_int_equal(info_of(driver).marks, 1);
    assert_true(info_of(driver).durable_lsn < draws_lsn);
    sim_set_capacity(driver->world, sim_used_bytes(driver->world)); /* no snapshot has it all */
    assert_int_equal(driver_stop(driver), URN_OK);
    sim_set_capacity(driver->world, UINT64_MAX);
    sim_crash_now(driver->world, SIM_CRASH_MACHINE);
    sim_restart(driver->world);
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", draws_lsn - 1, 0));
    assert_int_equal(driver_open(driver), URN_DAMAGED);
    done(driver);
}

/* A stop waits for syncs without spinning, and ends nothing before they have. */
static void test_a_stop_waits_for_its_syncs(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_OS);
    driver->holds_syncs = true;
    draw_often(driver, 1, 10);
    engine_ask_stop(driver->engine);
    driver_run(driver);
    assert_int_equal(info_of(driver).marks, 0);
    sim_advance(driver->world, MARK_AFTER_NS);
    assert_false(writer_step(driver->engine));
    assert_int_equal(writer_deadline_ns(driver->engine), UINT64_MAX);
    assert_false(writer_sync_has_come(driver->engine));
    assert_true(engine_log_sync_begin(driver->engine));
    engine_log_sync_end(driver->engine);
    assert_true(writer_sync_has_come(driver->engine));
    driver_run(driver);
    assert_int_equal(info_of(driver).marks, 1);
    assert_false(driver->engine->writer.done);
    driver->holds_syncs = false;
    driver_run(driver);
    assert_true(driver->engine->writer.done);
    assert_int_equal(info_of(driver).durable_lsn, info_of(driver).acknowledged_lsn);
    done(driver);
}

/* ---- failing ------------------------------------------------------------------------------- */

static void test_a_failed_sync_is_a_fail_stop(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_INTERVAL);
    driver->holds_syncs = true;
    draw_often(driver, 1, 10); /* good: it was acknowledged before */
    const uint64_t durable_lsn = info_of(driver).durable_lsn;
    struct urn_request asked = {.op = URN_SNAPSHOT};
    urn_submit(driver->engine, &asked);
    driver_run(driver);
    sim_advance(driver->world, INTERVAL_NS);
    driver_submit_draw(driver, "main", 3);
    assert_true(writer_step(driver->engine));
    assert_true(engine_commit_begin(driver->engine)); /* copied, and not acknowledged yet */
    assert_true(engine_log_sync_begin(driver->engine));
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
    engine_log_sync_end(driver->engine);
    assert_true(engine_commit_end(driver->engine));
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_INDOUBT);
    assert_true(info_of(driver).failed);
    assert_int_equal(info_of(driver).durable_lsn, durable_lsn);
    urn_engine_failure(driver->engine, &driver->error);
    assert_int_equal(driver->error.code, URN_IO);
    assert_non_null(strstr(driver->error.text, "segment-0000"));

    /* Nothing is tried again. */
    const uint64_t syncs = syncs_of(driver);
    const uint64_t copies = sim_calls_of(driver->world, SIM_MAP_WRITE);
    driver->holds_syncs = false;
    sim_advance(driver->world, INTERVAL_NS);
    driver_submit_draw(driver, "main", 1);
    assert_int_equal(driver->request.code, URN_READONLY);
    driver_idle(driver);
    assert_int_equal(asked.code, URN_READONLY);
    assert_int_equal(driver_stop(driver), URN_IO);
    assert_int_equal(syncs_of(driver), syncs);
    assert_int_equal(sim_calls_of(driver->world, SIM_MAP_WRITE), copies);
    /* The cache has what was acknowledged. */
    sim_restart(driver->world);
    driver_must_open(driver);
    driver_run(driver);
    assert_in_range(drawn(driver), 10, 13);
    done(driver);
}

static void test_a_stop_tells_of_a_failed_sync(void **unused)
{
    (void)unused;
    for (size_t m = 0; m < RELAXED_MODES; m++)
        for (uint64_t nth = 1; nth <= 2; nth++) { /* of the draws, of the mark */
            struct driver *driver = a_driver(1, relaxed_modes[m]);
            driver->holds_syncs = true;
            draw_often(driver, 1, 10);
            driver->holds_syncs = false;
            sim_fail_at(driver->world, SIM_MAP_SYNC_END, nth, EIO);
            assert_int_equal(driver_stop(driver), URN_IO);
            done(driver);
        }
}

/* A closed group that was not copied yet is not copied any more. */
static void test_nothing_is_copied_behind_a_failed_sync(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_INTERVAL);
    driver->holds_syncs = true;
    draw_often(driver, 1, 10);
    sim_advance(driver->world, INTERVAL_NS);
    assert_true(engine_log_sync_begin(driver->engine));
    driver_submit_draw(driver, "main", 3);
    assert_true(writer_step(driver->engine));
    const uint64_t copies = sim_calls_of(driver->world, SIM_MAP_WRITE);
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
    engine_log_sync_end(driver->engine);
    assert_false(engine_commit_begin(driver->engine));
    assert_int_equal(sim_calls_of(driver->world, SIM_MAP_WRITE), copies);
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_INDOUBT);
    assert_int_equal(driver_stop(driver), URN_IO);
    done(driver);
}

/* The store fails while a sync is under way, and then the sync as well: the first of the two is told. */
static void test_both_sides_may_fail(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_INTERVAL);
    driver->holds_syncs = true;
    draw_often(driver, 1, 10);
    sim_advance(driver->world, INTERVAL_NS);
    assert_true(engine_log_sync_begin(driver->engine));
    sim_fail_at(driver->world, SIM_MAP_WRITE, 1, EIO);
    assert_int_equal(driver_draw(driver, "main", 3, false), URN_INDOUBT);
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
    engine_log_sync_end(driver->engine);
    assert_false(engine_log_sync_begin(driver->engine));
    assert_int_equal(engine_log_sync_deadline_ns(driver->engine), UINT64_MAX);
    urn_engine_failure(driver->engine, &driver->error);
    assert_non_null(strstr(driver->error.text, "cannot store"));
    assert_int_equal(driver_stop(driver), URN_IO);
    done(driver);
}

/* The task waits for the disk, maybe for long, before it gives up; whoever runs the writer's steps is not to
 * find work in its free buffers meanwhile, for no step takes them any more. */
static void test_a_failed_writer_sleeps_while_a_snapshot_gives_up(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver(1, URN_WAL_INTERVAL);
    driver->holds_syncs = true;
    draw_often(driver, 1, 10);
    sim_advance(driver->world, INTERVAL_NS);
    assert_true(engine_log_sync_begin(driver->engine));
    struct urn_request asked = {.op = URN_SNAPSHOT};
    urn_submit(driver->engine, &asked);
    assert_true(writer_step(driver->engine));
    while (driver->engine->writer.snapshots.stage != SNAPSHOTS_ENCODE)
        (void)writer_step(driver->engine);
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
    engine_log_sync_end(driver->engine);
    assert_true(writer_step(driver->engine));
    assert_int_equal(asked.code, URN_READONLY);
    assert_false(writer_sync_has_come(driver->engine));
    assert_false(snapshots_have_work(driver->engine));
    driver->holds_syncs = false;
    assert_int_equal(driver_stop(driver), URN_IO);
    done(driver);
}

static void test_requests_that_wait_for_ids_hear_of_the_failure(void **unused)
{
    (void)unused;
    struct driver *driver = make_driver(1, URN_WAL_OS);
    driver_must_open(driver);
    driver->holds_syncs = true;
    driver_submit_draw(driver, "main", 3);
    driver_run(driver);
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
    assert_true(engine_log_sync_begin(driver->engine));
    assert_false(writer_sync_has_come(driver->engine));
    engine_log_sync_end(driver->engine);
    assert_true(writer_sync_has_come(
        driver->engine)); /* or a writer that falls asleep now never hears of it */
    assert_true(writer_step(driver->engine));
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_READONLY); /* nothing of it was staged */
    assert_false(writer_sync_has_come(driver->engine));
    driver->holds_syncs = false;
    assert_int_equal(driver_stop(driver), URN_IO);
    done(driver);
}

/* ---- at random ----------------------------------------------------------------------------- */

#define IN_FLIGHT 6u

/* One life after the other, in any mode, with steps in any order. */
struct history {
    struct driver *driver;
    struct sim_random luck;
    struct urn_request requests[IN_FLIGHT];
    uint32_t outcomes[IN_FLIGHT][DRIVER_BATCH_MAX];
    bool under_way[IN_FLIGHT];
    bool syncing, log_syncing;
    uint64_t highest_id;   /* that anybody has heard of */
    uint64_t kept;         /* draws that the last start found */
    uint64_t heard;        /* draws acknowledged since then */
    uint64_t heard_synced; /* of those, before the log was last durable to its end */
    uint64_t asked;        /* draws submitted since then */
};

static void submit_some(struct history *history)
{
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        if (history->under_way[i] || sim_random_one_in(&history->luck, 2))
            continue;
        struct urn_request *request = &history->requests[i];
        *request = (struct urn_request){.op = URN_DRAW,
                                        .pool_name = "main",
                                        .pool_name_bytes = 4,
                                        .outcomes = history->outcomes[i]};
        request->count = 1 + (uint32_t)sim_random_below(&history->luck, DRIVER_BATCH_MAX);
        if (sim_random_one_in(&history->luck, 8))
            request->op = URN_SNAPSHOT;
        else
            history->asked += request->count;
        history->under_way[i] = true;
        urn_submit(history->driver->engine, request);
    }
}

static void collect_all(struct history *history)
{
    struct urn_request *next;
    for (struct urn_request *done = urn_collect(history->driver->engine); done != NULL;
         done = next) {
        next = done->next;
        history->under_way[done - history->requests] = false;
        if (done->op == URN_SNAPSHOT && done->code == URN_OK)
            assert_true(engine_durable_lsn(history->driver->engine) >= done->lsn);
        if (done->op != URN_DRAW || done->code != URN_OK)
            continue;
        assert_true(done->first_request_id > history->highest_id);
        history->highest_id = done->first_request_id + done->count - 1;
        history->heard += done->count;
    }
    const struct urn_engine_info info = info_of(history->driver);
    if (info.durable_lsn == info.acknowledged_lsn)
        history->heard_synced = history->heard;
}

static void step_commit(struct history *history)
{
    struct urn_engine *engine = history->driver->engine;
    if (history->syncing)
        history->syncing = !engine_commit_end(engine) && engine_commit_begin(engine);
    else if (atomic_load(&engine->commit_slot) != NULL)
        history->syncing = engine_commit_begin(engine);
}

static void step_log_sync(struct history *history)
{
    if (history->log_syncing)
        engine_log_sync_end(history->driver->engine);
    history->log_syncing = !history->log_syncing && engine_log_sync_begin(history->driver->engine);
}

static void live(struct history *history)
{
    struct driver *driver = history->driver;
    const uint64_t steps = sim_random_below(&history->luck, 400);
    if (sim_random_one_in(&history->luck, 2))
        sim_crash_at(driver->world, 1 + sim_random_below(&history->luck, 200),
                     sim_random_one_in(&history->luck, 2) ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE,
                     sim_random_one_in(&history->luck, 2) ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
    for (uint64_t i = 0; i < steps && sim_crashed(driver->world) == SIM_NO_CRASH; i++) {
        switch (sim_random_below(&history->luck, 8)) {
        case 0:
            submit_some(history);
            break;
        case 1:
        case 2:
            (void)writer_step(driver->engine);
            break;
        case 3:
        case 4:
            step_commit(history);
            break;
        case 5:
            step_log_sync(history);
            break;
        case 6:
            (void)snapshot_task_step(&driver->engine->snapshot);
            break;
        default:
            sim_advance(driver->world, sim_random_below(&history->luck, INTERVAL_NS));
        }
        if (sim_crashed(driver->world) == SIM_NO_CRASH)
            collect_all(history);
    }
}

/* Ends a life; what must be left of what was heard of. */
static uint64_t end_life(struct history *history)
{
    struct driver *driver = history->driver;
    if (sim_crashed(driver->world) == SIM_NO_CRASH)
        sim_crash_now(driver->world,
                      sim_random_one_in(&history->luck, 2) ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    const bool loses = sim_crashed(driver->world) == SIM_CRASH_MACHINE;
    driver_crash(driver, SIM_CRASH_PROCESS);
    memset(history->under_way, 0, sizeof history->under_way);
    history->syncing = history->log_syncing = false;
    return history->kept + (loses ? history->heard_synced : history->heard);
}

static void begin_life(struct history *history, uint64_t least)
{
    struct driver *driver = history->driver;
    driver->config.mode = (enum urn_wal_mode)sim_random_below(&history->luck, 3);
    driver_must_open(driver);
    assert_true(driver->report.next_request_id > history->highest_id);
    const uint64_t found = drawn(driver);
    assert_in_range(found, least, history->kept + history->asked);
    history->kept = found;
    history->heard = history->heard_synced = history->asked = 0;
}

static void test_random_lives_in_random_modes(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 10 * SEEDS; seed++) {
        struct history *history = calloc(1, sizeof *history);
        assert_non_null(history);
        history->driver = make_driver(seed, URN_WAL_COMMIT);
        history->luck = sim_random_stream(seed, 7);
        begin_life(history, 0);
        for (uint32_t life = 0; life < 6; life++) {
            live(history);
            begin_life(history, end_life(history));
        }
        done(history->driver);
        free(history);
    }
}

/* ---- configurations ------------------------------------------------------------------------ */

static void test_the_interval_has_bounds(void **unused)
{
    (void)unused;
    struct driver *driver = make_driver(1, URN_WAL_INTERVAL);
    static const uint64_t wrong_ns[] = {0, WAL_INTERVAL_NS_MIN - 1, WAL_INTERVAL_NS_MAX + 1};
    for (size_t i = 0; i < sizeof wrong_ns / sizeof wrong_ns[0]; i++) {
        driver->config.interval_ns = wrong_ns[i];
        assert_int_equal(urn_engine_config_check(&driver->config, &driver->error), URN_CONFIG);
        assert_non_null(strstr(driver->error.text, "wal.interval"));
    }
    driver->config.mode = URN_WAL_OS; /* nobody asks */
    assert_int_equal(urn_engine_config_check(&driver->config, &driver->error), URN_OK);
    done(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_needs_the_copy_and_no_sync),
        cmocka_unit_test(test_the_death_of_the_process_costs_nothing),
        cmocka_unit_test(test_a_power_loss_costs_what_no_sync_covered),
        cmocka_unit_test(test_ids_wait_for_the_first_reservation),
        cmocka_unit_test(test_ids_are_given_below_a_durable_reservation_only),
        cmocka_unit_test(test_a_reservation_that_was_not_synced_may_be_lost),
        cmocka_unit_test(test_a_snapshot_carries_the_reservation),
        cmocka_unit_test(test_ids_rise_through_every_switch_of_modes),
        cmocka_unit_test(test_ids_end),
        cmocka_unit_test(test_an_interval_passes_between_two_syncs),
        cmocka_unit_test(test_mode_os_syncs_for_those_who_want_it_only),
        cmocka_unit_test(test_a_round_goes_through_every_segment),
        cmocka_unit_test(test_a_sync_covers_what_was_copied_before_it_began),
        cmocka_unit_test(test_a_mark_says_that_what_is_before_it_is_durable),
        cmocka_unit_test(test_a_snapshot_waits_for_its_log),
        cmocka_unit_test(test_the_ring_goes_round_in_every_mode),
        cmocka_unit_test(test_a_full_log_answers_busy_and_goes_on),
        cmocka_unit_test(test_a_clean_stop_makes_all_durable),
        cmocka_unit_test(test_a_stop_says_what_a_mark_before_it_did_not),
        cmocka_unit_test(test_a_stop_waits_for_its_syncs),
        cmocka_unit_test(test_a_failed_sync_is_a_fail_stop),
        cmocka_unit_test(test_a_stop_tells_of_a_failed_sync),
        cmocka_unit_test(test_nothing_is_copied_behind_a_failed_sync),
        cmocka_unit_test(test_both_sides_may_fail),
        cmocka_unit_test(test_a_failed_writer_sleeps_while_a_snapshot_gives_up),
        cmocka_unit_test(test_requests_that_wait_for_ids_hear_of_the_failure),
        cmocka_unit_test(test_random_lives_in_random_modes),
        cmocka_unit_test(test_the_interval_has_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
