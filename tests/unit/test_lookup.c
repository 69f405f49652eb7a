/* test_lookup.c: lookups over the simulated system: every draw that was answered is found, and none that was not;
 * across laps and starts, beside a log that goes on, over damage. */
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

#include "engine/data_dir.h"
#include "tests/lib/engine_driver.h"

#define IDS_MAX 2000000u
#define STEP    61u /* of the ids that are looked up where there are many */
#define SEGMENT SEGMENT_SIZE_BYTES_MIN

/* What the client was told of a draw. */
struct told {
    bool known;
    uint32_t outcome;
    uint64_t odds_version;
    uint64_t lsn; /* as the first lookup said; 0: none has */
};

struct scene {
    struct driver driver;
    struct told told[IDS_MAX];
    uint64_t last_id;
    struct urn_request lookup;
    struct urn_error error;
};

static struct scene *a_scene(uint64_t seed, enum urn_wal_mode mode)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    driver_init(&scene->driver, seed);
    scene->driver.config.mode = mode;
    scene->driver.config.interval_ns = WAL_INTERVAL_NS_MIN;
    driver_must_open(&scene->driver);
    driver_run(&scene->driver);
    return scene;
}

static void end(struct scene *scene)
{
    driver_free(&scene->driver);
    free(scene);
}

/* Notes what a draw that has succeeded was answered with. */
static void note(struct scene *scene, const struct urn_request *draw)
{
    for (uint32_t i = 0; i < draw->count; i++) {
        const uint64_t id = draw->first_request_id + i;
        if (id >= IDS_MAX)
            fail_msg("id %" PRIu64 " is too high for the test", id);
        scene->told[id] = (struct told){true, draw->outcomes[i], draw->odds_version, 0};
        scene->last_id = id;
    }
}

static void draw(struct scene *scene, uint32_t count)
{
    assert_int_equal(driver_draw(&scene->driver, "main", count, false), URN_OK);
    note(scene, &scene->driver.request);
}

static enum urn_code look_up(struct scene *scene, uint64_t id)
{
    return driver_lookup(&scene->driver, id, &scene->lookup, &scene->error);
}

/* The draw is found, just as it was told. */
static void check_found(struct scene *scene, uint64_t id)
{
    struct told *told = &scene->told[id];
    if (look_up(scene, id) != URN_OK)
        fail_msg("id %" PRIu64 ": %s", id, scene->error.text);
    const struct urn_request *found = &scene->lookup;
    struct urn_engine_info info;
    urn_engine_info(scene->driver.engine, &info);
    assert_true(told->known);
    assert_int_equal(found->outcome, told->outcome);
    assert_int_equal(found->odds_version, told->odds_version);
    assert_memory_equal(urn_pool_name(found->pool).bytes, "main", 4);
    assert_true(found->lsn < info.acknowledged_lsn && found->wall_time_us > 0);
    if (told->lsn == 0)
        told->lsn = found->lsn;
    assert_int_equal(found->lsn, told->lsn);
}

/* NOTFOUND, for this reason. */
static void check_none(struct scene *scene, uint64_t id, const char *why)
{
    assert_int_equal(look_up(scene, id), URN_NOTFOUND);
    if (strstr(scene->error.text, why) == NULL)
        fail_msg("id %" PRIu64 ": \"%s\", expected \"%s\"", id, scene->error.text, why);
}

static uint64_t oldest_lsn(const struct scene *scene)
{
    struct urn_engine_info info;
    urn_engine_info(scene->driver.engine, &info);
    const uint64_t newest = (info.staged_lsn - 1) / SEGMENT;
    const uint64_t others = scene->driver.config.segments - 1;
    return newest < others ? 0 : (newest - others) * SEGMENT;
}

/* Ids there ever were, against what the ring must have. */
static void check_all(struct scene *scene)
{
    while (lookups_step(scene->driver.engine)) /* the rest of the index */
        ;
    const uint64_t oldest = oldest_lsn(scene);
    const uint64_t step = scene->last_id > 10000 ? STEP : 1;
    uint64_t first_id = 1;
    if (look_up(scene, 1) == URN_NOTFOUND) {
        assert_non_null(strstr(scene->error.text, "request id 1 is older than what is kept"));
        assert_int_equal(scene->lookup.last_request_id, scene->last_id);
        first_id = scene->lookup.first_request_id;
        check_none(scene, first_id - 1, "is older than what is kept");
        check_found(scene, first_id);
    }
    for (uint64_t id = 1; id <= scene->last_id; id += step) {
        struct told *told = &scene->told[id];
        if (id < first_id)
            check_none(scene, id, "is older than what is kept");
        else
            check_found(scene, id);
        if (told->lsn != 0) /* where it is, or was */
            assert_int_equal(told->lsn >= oldest, id >= first_id);
    }
}

static const enum urn_wal_mode modes[] = {URN_WAL_COMMIT, URN_WAL_INTERVAL, URN_WAL_OS};
#define MODES (sizeof modes / sizeof modes[0])

/* ---- what is found ----------------------------------------------------------------------------- */

static void test_a_draw_is_found_once_it_was_answered(void **state)
{
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        struct scene *scene = a_scene(1, modes[m]);
        check_none(scene, 1, "has not been given yet; no draw is known");
        for (uint32_t count = 1; count <= 300; count = count * 3 / 2 + 1) {
            draw(scene, count);
            for (uint64_t id = scene->last_id - count + 1; id <= scene->last_id; id++)
                check_found(scene, id);
            check_none(scene, scene->last_id + 1, "has not been given yet; ids 1 to ");
            assert_int_equal(scene->lookup.first_request_id, 1);
            assert_int_equal(scene->lookup.last_request_id, scene->last_id);
        }
        check_all(scene);
        end(scene);
    }
}

/* Nobody has heard of it before the commit step has ended, in any mode. */
static void test_a_draw_that_is_under_way_is_not_found(void **state)
{
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        struct scene *scene = a_scene(2, modes[m]);
        struct urn_engine *engine = scene->driver.engine;
        draw(scene, 3);
        for (uint32_t round = 0; round < 2000; round++) { /* through new segments, too */
            const uint64_t id = scene->last_id + 1;
            driver_run(&scene->driver);
            driver_submit_draw(&scene->driver, "main", 100);
            check_none(scene, id, "has not been given yet");
            while (writer_step(engine) && atomic_load(&engine->commit_slot) == NULL)
                ;
            check_none(scene, id, "has not been given yet");
            do {
                assert_true(engine_commit_begin(engine));
                check_none(scene, id, "has not been given yet");
            } while (!engine_commit_end(engine));
            /* Answered, though not collected. */
            scene->lookup = (struct urn_request){.op = URN_LOOKUP, .request_id = id};
            urn_submit(engine, &scene->lookup);
            assert_true(lookups_step(engine));
            struct urn_request *done = urn_collect(engine);
            assert_ptr_equal(done, &scene->driver.request);
            assert_ptr_equal(done->next, &scene->lookup);
            assert_int_equal(scene->lookup.code, URN_OK);
            note(scene, &scene->driver.request);
            check_found(scene, id + 99);
        }
        end(scene);
    }
}

static void test_failed_draws_and_other_pools_are_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(3, URN_WAL_COMMIT);
    struct driver *driver = &scene->driver;
    static const struct urn_item_spec few[] = {{"last one", 8, 1, 1}};
    static const struct urn_pool_spec pool = {"small", 5, 1, few};
    draw(scene, 10);
    assert_int_equal(driver_ask(driver, (struct urn_request){.op = URN_CREATE,
                                                             .pool_name = "small",
                                                             .pool_name_bytes = 5,
                                                             .pools = &pool,
                                                             .pool_count = 1}),
                     URN_OK);
    assert_int_equal(driver_draw(driver, "small", 4, false), URN_OK);
    const uint64_t first = driver->request.first_request_id;
    assert_int_equal(driver->request.failed, 3);
    assert_int_equal(look_up(scene, first), URN_OK);
    assert_int_equal(scene->lookup.outcome, 0);
    assert_memory_equal(urn_pool_name(scene->lookup.pool).bytes, "small", 5);
    assert_memory_equal(urn_pool_item_id(scene->lookup.pool, 0).bytes, "last one", 8);
    for (uint64_t id = first + 1; id < first + 4; id++) {
        assert_int_equal(look_up(scene, id), URN_OK);
        assert_int_equal(scene->lookup.outcome, URN_FAILED_DRAW);
        assert_memory_equal(urn_pool_name(scene->lookup.pool).bytes, "small", 5);
    }
    end(scene);
}

static void test_ids_that_none_can_be_are_refused(void **state)
{
    (void)state;
    struct scene *scene = a_scene(4, URN_WAL_COMMIT);
    assert_int_equal(look_up(scene, 0), URN_BADARG);
    assert_int_equal(look_up(scene, URN_NUMBER_MAX + 1), URN_BADARG);
    check_none(scene, URN_NUMBER_MAX, "has not been given yet");
    end(scene);
}

/* ---- laps and starts ---------------------------------------------------------------------------- */

static void test_laps_forget_the_oldest_alone(void **state)
{
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        struct scene *scene = a_scene(5, modes[m]);
        for (uint32_t round = 0; round < 24; round++) { /* some five laps */
            for (uint32_t i = 0; i < 40; i++)
                draw(scene, 1000);
            check_all(scene);
        }
        assert_true(oldest_lsn(scene) > 3 * SEGMENT);
        end(scene);
    }
}

enum ending { ENDING_STOP, ENDING_PROCESS, ENDING_MACHINE, ENDINGS };

static void start_anew(struct scene *scene, enum ending ending)
{
    if (ending == ENDING_STOP)
        assert_int_equal(driver_stop(&scene->driver), URN_OK);
    else
        driver_crash(&scene->driver,
                     ending == ENDING_PROCESS ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    driver_must_open(&scene->driver);
    driver_run(&scene->driver);
}

static void test_what_the_ring_has_is_found_after_a_start(void **state)
{
    (void)state;
    for (enum ending ending = ENDING_STOP; ending < ENDINGS; ending++) {
        struct scene *scene = a_scene(6 + ending, URN_WAL_COMMIT);
        for (uint32_t life = 0; life < 6; life++) {
            for (uint32_t i = 0; i < 10 + 30 * life; i++)
                draw(scene, 1000);
            start_anew(scene, ending);
            if (life % 2 == 0)
                check_all(scene);
            draw(scene, 5);
            check_all(scene);
        }
        end(scene);
    }
}

/* The segments before a start are overwritten while their index is made. */
static void test_laps_over_what_was_before_the_start(void **state)
{
    (void)state;
    struct scene *scene = a_scene(9, URN_WAL_COMMIT);
    for (uint32_t i = 0; i < 150; i++)
        draw(scene, 1000);
    check_all(scene);
    start_anew(scene, ENDING_STOP);
    for (uint32_t round = 0; round < 40; round++) {
        for (uint32_t i = 0; i < 8; i++)
            draw(scene, 1000);
        check_all(scene);
    }
    end(scene);
}

static void test_ids_that_a_start_left_out_are_told(void **state)
{
    (void)state;
    for (size_t m = 1; m < MODES; m++) {
        struct scene *scene = a_scene(10, modes[m]);
        draw(scene, 1000);
        const uint64_t last = scene->last_id;
        start_anew(scene, ENDING_PROCESS);
        const uint64_t next = scene->driver.report.next_request_id;
        assert_true(next > last + 1000000);
        /* Before any other draw, behind one, and when the epoch group is of an earlier start. */
        for (uint32_t round = 0; round < 3; round++) {
            char text[160];
            snprintf(text, sizeof text, "a start or a repair left out %" PRIu64 " to %" PRIu64,
                     last + 1, next - 1);
            check_none(scene, last + 1, text);
            check_none(scene, next - 1, text);
            check_none(scene, (last + next) / 2, "no draw in the log has request id");
            assert_int_equal(scene->lookup.first_request_id, 1);
            assert_true(scene->lookup.last_request_id >= next - 1);
            for (uint64_t id = 1; id <= last; id++)
                check_found(scene, id);
            if (round == 0) {
                assert_int_equal(driver_draw(&scene->driver, "main", 1, false), URN_OK);
                assert_int_equal(scene->driver.request.first_request_id, next);
                assert_int_equal(look_up(scene, next), URN_OK);
            } else if (round == 1) {
                start_anew(scene, ENDING_STOP);
            }
        }
        end(scene);
    }
}

/* ---- beside a log that goes on ------------------------------------------------------------------- */

/* Before the nth read of a segment, the log goes round. */
struct rival {
    struct scene *scene;
    uint64_t nth;
    uint64_t reads;
    bool busy;
};

static void go_round(struct scene *scene)
{
    struct driver *driver = &scene->driver;
    struct urn_engine *engine = driver->engine;
    const uint64_t from = oldest_lsn(scene);
    while (oldest_lsn(scene) < from + 2 * SEGMENT) {
        uint32_t outcomes[1000];
        struct urn_request request = {.op = URN_DRAW,
                                      .pool_name = "main",
                                      .pool_name_bytes = 4,
                                      .count = 1000,
                                      .outcomes = outcomes};
        urn_submit(engine, &request);
        struct urn_request *done = NULL;
        while (done == NULL) {
            bool did = writer_step(engine);
            const enum snapshot_want want = snapshot_task_step(&engine->snapshot);
            if (!did && want == SNAPSHOT_WANTS_TIME)
                sim_advance(driver->world, 1000000);
            while (atomic_load(&engine->commit_slot) != NULL && engine_commit_begin(engine))
                (void)engine_commit_end(engine);
            done = urn_collect(engine);
        }
        assert_int_equal(request.code, URN_OK);
        note(scene, &request);
    }
}

static void on_call(void *context, const struct sim_event *call)
{
    struct rival *rival = context;
    if (rival->busy || call->call != SIM_FILE_READ || strncmp(call->name, "segment", 7) != 0)
        return;
    rival->reads++;
    if (rival->reads != rival->nth)
        return;
    rival->busy = true;
    go_round(rival->scene);
    rival->busy = false;
}

/* Looks up an id while the ring goes round at the nth read; returns whether there were so many. */
static bool look_up_beside(struct scene *scene, uint64_t id, uint64_t nth)
{
    struct rival rival = {.scene = scene, .nth = nth};
    sim_set_observer(scene->driver.world, on_call, &rival);
    const enum urn_code code = look_up(scene, id);
    sim_set_observer(scene->driver.world, NULL, NULL);
    const struct told *told = &scene->told[id];
    if (code == URN_OK) {
        assert_int_equal(scene->lookup.outcome, told->outcome);
        assert_int_equal(scene->lookup.odds_version, told->odds_version);
    } else {
        if (code != URN_NOTFOUND)
            fail_msg("id %" PRIu64 ", read %" PRIu64 ": %s", id, nth, scene->error.text);
        assert_non_null(strstr(scene->error.text, "is older than what is kept"));
    }
    return rival.reads >= nth;
}

static void test_segments_are_overwritten_under_a_lookup(void **state)
{
    (void)state;
    for (uint32_t started = 0; started < 2; started++)
        for (uint64_t nth = 1, more = true; more; nth++) {
            struct scene *scene = a_scene(11, URN_WAL_COMMIT);
            for (uint32_t i = 0; i < 60; i++)
                draw(scene, 1000);
            if (started)
                start_anew(scene, ENDING_STOP);
            more = look_up_beside(scene, 2500, nth);
            more = look_up_beside(scene, 50000, nth) || more;
            assert_true(nth < 100);
            check_all(scene);
            end(scene);
        }
}

/* ---- damage and faults ------------------------------------------------------------------------- */

static void path_of(char path[96], const struct scene *scene, uint64_t lsn)
{
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, (uint32_t)(lsn / SEGMENT % scene->driver.config.segments));
    snprintf(path, 96, "data/%s", name);
}

/* Answers over damage: right, or an error that names it; never that there is no such draw. */
static uint32_t check_over_damage(struct scene *scene, uint64_t first, uint64_t last)
{
    uint32_t damaged = 0;
    for (uint64_t id = first; id <= last; id++) {
        const enum urn_code code = look_up(scene, id);
        if (code == URN_OK) {
            assert_int_equal(scene->lookup.outcome, scene->told[id].outcome);
            assert_int_equal(scene->lookup.lsn, scene->told[id].lsn);
            continue;
        }
        if (code != URN_DAMAGED)
            fail_msg("id %" PRIu64 ": %s", id, scene->error.text);
        assert_non_null(strstr(scene->error.text, "is not what was written; `urn-wal verify`"));
        damaged++;
    }
    return damaged;
}

/* A flipped bit in any byte of a group's header or body, in what this run has written and in what was there
 * before; the lookups come with a fresh memory each time. */
static void test_damage_is_told_and_nothing_else(void **state)
{
    (void)state;
    for (uint32_t started = 0; started < 2; started++) {
        struct scene *scene = a_scene(12, URN_WAL_COMMIT);
        for (uint32_t i = 0; i < 6; i++)
            draw(scene, 10);
        if (started)
            start_anew(scene, ENDING_STOP);
        check_all(scene);
        const uint64_t lsn = scene->told[21].lsn; /* the third group */
        char path[96];
        path_of(path, scene, lsn);
        for (uint64_t at = 0; at < scene->told[31].lsn - lsn; at++) {
            (void)look_up(scene, 60); /* another group is the last one that was found */
            assert_true(sim_flip_bit(scene->driver.world, path, (lsn + at) % SEGMENT, at % 8));
            const uint32_t damaged = check_over_damage(scene, 1, 60);
            if (damaged < 10)
                fail_msg("byte %" PRIu64 ": %u", at, damaged);
            assert_true(sim_flip_bit(scene->driver.world, path, (lsn + at) % SEGMENT, at % 8));
        }
        check_all(scene);
        end(scene);
    }
}

/* Below the snapshot that was loaded, a lap that was lost may have overwritten what is not whole: the log that is
 * kept begins behind it. */
static void check_what_is_broken_is_not_kept(uint64_t broken_lsn)
{
    struct scene *scene = a_scene(13, URN_WAL_COMMIT);
    for (uint32_t i = 0; i < 110; i++)
        draw(scene, 1000);
    check_all(scene);
    uint64_t id = 0;
    do
        check_found(scene, ++id);
    while (scene->told[id].lsn < 2 * SEGMENT);
    start_anew(scene, ENDING_STOP);
    assert_true(scene->driver.report.snapshot_lsn >= 2 * SEGMENT);
    char path[96];
    path_of(path, scene, broken_lsn);
    assert_true(sim_flip_bit(scene->driver.world, path, broken_lsn % SEGMENT, 3));
    while (look_up(scene, id - 1) == URN_OK) /* the index of that segment may come to it first */
        assert_true(--id > 1);
    check_none(scene, 1, "is older than what is kept");
    const uint64_t first = scene->lookup.first_request_id;
    check_found(scene, first);
    assert_true(scene->told[first].lsn >= 2 * SEGMENT);
    check_none(scene, first - 1, "is older than what is kept");
    check_found(scene, scene->last_id);
    end(scene);
}

/* Groups say of themselves where they belong. The page may be of a lap that was about to come. */
static void test_a_header_page_does_not_matter(void **state)
{
    (void)state;
    struct scene *scene = a_scene(13, URN_WAL_COMMIT);
    for (uint32_t i = 0; i < 110; i++)
        draw(scene, 1000);
    start_anew(scene, ENDING_STOP);
    for (uint64_t lsn = oldest_lsn(scene); lsn < oldest_lsn(scene) + 3 * SEGMENT; lsn += SEGMENT) {
        char path[96];
        path_of(path, scene, lsn);
        assert_true(sim_flip_bit(scene->driver.world, path, 100, 3));
    }
    check_all(scene);
    end(scene);
}

static void test_what_is_broken_below_the_snapshot_is_not_kept(void **state)
{
    (void)state;
    check_what_is_broken_is_not_kept(SEGMENT + 4096 + 8);     /* the first group's checksum */
    check_what_is_broken_is_not_kept(SEGMENT + 4096 + 1128);  /* the second group's magic */
    check_what_is_broken_is_not_kept(SEGMENT + 4096 + 50000); /* amid a group */
}

static void test_a_sector_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(14, URN_WAL_COMMIT);
    for (uint32_t i = 0; i < 40; i++)
        draw(scene, 1000);
    check_found(scene, 20001);
    const uint64_t lsn = scene->told[20001].lsn;
    char path[96];
    path_of(path, scene, lsn);
    (void)look_up(scene, 1);
    assert_true(sim_set_unreadable(scene->driver.world, path, (lsn + 512) % SEGMENT));
    assert_int_equal(look_up(scene, 20001), URN_IO);
    assert_non_null(strstr(scene->error.text, "segment-"));
    check_found(scene, 1);
    check_found(scene, scene->last_id);
    end(scene);
}

/* Every call of a lookup fails once: the answer is right or IO, and the next one is right. */
static void test_faults_pass(void **state)
{
    (void)state;
    struct scene *scene = a_scene(15, URN_WAL_COMMIT);
    for (uint32_t i = 0; i < 90; i++)
        draw(scene, 1000);
    uint32_t failed = 0;
    for (uint64_t nth = 1, more = true; more; nth++) {
        start_anew(scene, ENDING_PROCESS);
        sim_event_forget(scene->driver.world);
        sim_fail_at(scene->driver.world, SIM_ANY_CALL, nth, 0);
        const uint64_t calls = sim_calls(scene->driver.world);
        const enum urn_code code = look_up(scene, 30000);
        more = sim_calls(scene->driver.world) - calls >= nth;
        sim_fail_at(scene->driver.world, SIM_ANY_CALL, UINT64_MAX, 0);
        failed += code == URN_IO;
        if (code != URN_OK && code != URN_IO)
            fail_msg("call %" PRIu64 ": %s", nth, scene->error.text);
        check_found(scene, 30000);
    }
    assert_true(failed > 2);
    end(scene);
}

/* ---- ends -------------------------------------------------------------------------------------- */

static void test_lookups_end_with_the_engine(void **state)
{
    (void)state;
    struct scene *scene = a_scene(16, URN_WAL_COMMIT);
    draw(scene, 10);
    start_anew(scene, ENDING_STOP);
    struct urn_engine *engine = scene->driver.engine;
    struct urn_request lookups[3] = {{.op = URN_LOOKUP, .request_id = 5},
                                     {.op = URN_LOOKUP, .request_id = 6},
                                     {.op = URN_LOOKUP, .request_id = 7}};
    urn_submit(engine, &lookups[0]); /* waits for the index when the stop comes */
    assert_true(lookups_step(engine));
    engine_ask_stop(engine);
    urn_submit(engine, &lookups[1]);
    while (!engine->lookups.done)
        (void)lookups_step(engine);
    urn_submit(engine, &lookups[2]);
    uint32_t back = 0;
    for (struct urn_request *done = urn_collect(engine); done != NULL; done = done->next, back++)
        assert_int_equal(done->code, done == &lookups[0] ? URN_OK : URN_READONLY);
    assert_int_equal(back, 3);
    assert_int_equal(driver_stop(&scene->driver), URN_OK);
    end(scene);
}

static void test_behind_a_failed_log_lookups_are_refused(void **state)
{
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        struct scene *scene = a_scene(17, modes[m]);
        struct urn_engine *engine = scene->driver.engine;
        draw(scene, 10);
        driver_run(&scene->driver);
        struct urn_request lookup = {.op = URN_LOOKUP, .request_id = 5};
        urn_submit(engine, &lookup); /* was there before the failure */
        driver_submit_draw(&scene->driver, "main", 10);
        sim_fail_at(scene->driver.world, SIM_MAP_WRITE, 1, EIO);
        driver_run(&scene->driver);
        while (urn_collect(engine) != NULL)
            ;
        assert_true(lookup.code == URN_OK || lookup.code == URN_READONLY);
        assert_int_equal(look_up(scene, 5), URN_READONLY);
        assert_int_equal(look_up(scene, 11), URN_READONLY);
        end(scene);
    }
}

static void test_lookups_are_counted(void **state)
{
    (void)state;
    struct scene *scene = a_scene(18, URN_WAL_COMMIT);
    draw(scene, 3);
    for (uint64_t id = 1; id <= 5; id++)
        (void)look_up(scene, id);
    struct urn_engine_info info;
    urn_engine_info(scene->driver.engine, &info);
    assert_int_equal(info.lookups, 5);
    assert_int_equal(info.lookups_not_found, 2);
    assert_int_equal(info.queued_requests, 0);
    end(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_draw_is_found_once_it_was_answered),
        cmocka_unit_test(test_a_draw_that_is_under_way_is_not_found),
        cmocka_unit_test(test_failed_draws_and_other_pools_are_told),
        cmocka_unit_test(test_ids_that_none_can_be_are_refused),
        cmocka_unit_test(test_laps_forget_the_oldest_alone),
        cmocka_unit_test(test_what_the_ring_has_is_found_after_a_start),
        cmocka_unit_test(test_laps_over_what_was_before_the_start),
        cmocka_unit_test(test_ids_that_a_start_left_out_are_told),
        cmocka_unit_test(test_segments_are_overwritten_under_a_lookup),
        cmocka_unit_test(test_damage_is_told_and_nothing_else),
        cmocka_unit_test(test_a_header_page_does_not_matter),
        cmocka_unit_test(test_what_is_broken_below_the_snapshot_is_not_kept),
        cmocka_unit_test(test_a_sector_that_cannot_be_read_is_told),
        cmocka_unit_test(test_faults_pass),
        cmocka_unit_test(test_lookups_end_with_the_engine),
        cmocka_unit_test(test_behind_a_failed_log_lookups_are_refused),
        cmocka_unit_test(test_lookups_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
