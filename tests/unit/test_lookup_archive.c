/* test_lookup_archive.c: lookups go on from the ring into the archive: across the seam, over gaps, prunes, damage
 * and a disk that fails. */
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

#include "engine/archive_dir.h"
#include "tests/lib/engine_driver.h"

#define IDS_MAX 4000000u
#define SEGMENT SEGMENT_SIZE_BYTES_MIN
#define STEP    97u

struct scene {
    struct driver driver;
    uint32_t outcomes[IDS_MAX]; /* as the client was told */
    bool known[IDS_MAX];
    uint64_t last_id;
    struct urn_request lookup;
    struct urn_error error;
};

static struct scene *a_scene(uint64_t seed, enum urn_archive_policy policy)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    driver_init(&scene->driver, seed);
    scene->driver.config.archive = "archive";
    scene->driver.config.archive_policy = policy;
    driver_must_open(&scene->driver);
    return scene;
}

static void end(struct scene *scene)
{
    driver_free(&scene->driver);
    free(scene);
}

static void draw(struct scene *scene)
{
    assert_int_equal(driver_draw(&scene->driver, "main", 500, false), URN_OK);
    const struct urn_request *drawn = &scene->driver.request;
    for (uint32_t i = 0; i < drawn->count; i++) {
        const uint64_t id = drawn->first_request_id + i;
        assert_true(id < IDS_MAX);
        scene->outcomes[id] = drawn->outcomes[i];
        scene->known[id] = true;
        scene->last_id = id;
    }
}

static void draw_to(struct scene *scene, uint64_t lsn)
{
    while (scene->driver.engine->writer.end_lsn < lsn)
        draw(scene);
}

static enum urn_code look_up(struct scene *scene, uint64_t id)
{
    return driver_lookup(&scene->driver, id, &scene->lookup, &scene->error);
}

static void check_found(struct scene *scene, uint64_t id)
{
    if (look_up(scene, id) != URN_OK)
        fail_msg("id %" PRIu64 ": %s", id, scene->error.text);
    assert_true(scene->known[id]);
    assert_int_equal(scene->lookup.outcome, scene->outcomes[id]);
    assert_memory_equal(urn_pool_name(scene->lookup.pool).bytes, "main", 4);
}

static void check_none(struct scene *scene, uint64_t id, enum urn_code code, const char *why)
{
    assert_int_equal(look_up(scene, id), code);
    if (strstr(scene->error.text, why) == NULL)
        fail_msg("id %" PRIu64 ": \"%s\", expected \"%s\"", id, scene->error.text, why);
}

/* Every draw there ever was. */
static void check_all(struct scene *scene)
{
    for (uint64_t id = 1; id <= scene->last_id; id += STEP)
        check_found(scene, id);
    check_found(scene, scene->last_id);
    check_none(scene, scene->last_id + 1, URN_NOTFOUND, "has not been given yet; ids 1 to ");
    assert_int_equal(scene->lookup.first_request_id, 1);
}

static uint64_t lsn_of(struct scene *scene, uint64_t id)
{
    check_found(scene, id);
    return scene->lookup.lsn;
}

/* The first id whose group stands in the segment that begins there, and is a draw's. */
static uint64_t first_id_in(struct scene *scene, uint64_t begin_lsn)
{
    uint64_t low = 1;
    uint64_t high = scene->last_id;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (lsn_of(scene, middle) < begin_lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const char *path_of(uint64_t begin_lsn)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "archive/segment-%016" PRIx64, begin_lsn);
    return path;
}

/* ---- what is found ----------------------------------------------------------------------------- */

static void test_what_the_ring_has_forgotten_is_found(void **state)
{
    (void)state;
    struct scene *scene = a_scene(1, URN_ARCHIVE_BLOCK);
    draw_to(scene, 20 * SEGMENT);
    check_all(scene);
    struct urn_engine_info info;
    urn_engine_info(scene->driver.engine, &info);
    assert_true(info.archived_lsn >= 17 * SEGMENT);
    end(scene);
}

static void test_it_is_found_after_starts(void **state)
{
    (void)state;
    struct scene *scene = a_scene(2, URN_ARCHIVE_BLOCK);
    for (uint64_t life = 1; life <= 4; life++) {
        draw_to(scene, life * 5 * SEGMENT + SEGMENT / 3);
        check_all(scene);
        if (life % 2 == 0)
            driver_crash(&scene->driver, SIM_CRASH_PROCESS);
        else
            assert_int_equal(driver_stop(&scene->driver), URN_OK);
        driver_must_open(&scene->driver);
        for (uint64_t id = 1; id <= scene->last_id; id += STEP)
            check_found(scene, id);
    }
    end(scene);
}

/* Ids that a start let go on above, when only the archive knows it. */
static void test_ids_that_a_start_left_out_are_told(void **state)
{
    (void)state;
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    driver_init(&scene->driver, 17);
    scene->driver.config.archive = "archive";
    scene->driver.config.mode = URN_WAL_OS;
    driver_must_open(&scene->driver);
    draw(scene);
    const uint64_t last = scene->last_id;
    driver_crash(&scene->driver, SIM_CRASH_PROCESS);
    driver_must_open(&scene->driver);
    const uint64_t next = scene->driver.report.next_request_id;
    assert_true(next > last + 1);
    while (scene->driver.engine->writer.end_lsn < 8 * SEGMENT)
        assert_int_equal(driver_draw(&scene->driver, "main", 1000, false), URN_OK);
    driver_run(&scene->driver);
    for (uint64_t id = 1; id <= last; id++)
        check_found(scene, id);
    char text[160];
    (void)snprintf(text, sizeof text, ": a start or a repair left out %" PRIu64 " to %" PRIu64,
                   last + 1, next - 1);
    check_none(scene, last + 1, URN_NOTFOUND, text);
    check_none(scene, next - 1, URN_NOTFOUND, text);
    assert_int_equal(scene->lookup.first_request_id, 1);
    assert_int_equal(look_up(scene, next), URN_OK);
    end(scene);
}

/* The ring laps and the archive grows between any two looks. */
static void test_the_seam_moves(void **state)
{
    (void)state;
    struct scene *scene = a_scene(3, URN_ARCHIVE_BLOCK);
    draw_to(scene, 3 * SEGMENT);
    while (scene->driver.engine->writer.end_lsn < 12 * SEGMENT) {
        struct log_points_end end_of_log = log_points_end(&scene->driver.engine->lookups.points);
        draw(scene);
        const uint64_t oldest =
            end_of_log.lsn > 2 * SEGMENT ? end_of_log.lsn / SEGMENT * SEGMENT - 2 * SEGMENT : 0;
        const uint64_t id = first_id_in(scene, oldest);
        check_found(scene, id);
        check_found(scene, id > 1 ? id - 1 : 1);
        check_found(scene, 1);
    }
    end(scene);
}

/* Whoever comes behind a lookup that needs the archive is answered without it. */
static void test_nobody_waits_for_a_look_into_the_archive(void **state)
{
    (void)state;
    struct scene *scene = a_scene(4, URN_ARCHIVE_BLOCK);
    draw_to(scene, 8 * SEGMENT);
    struct urn_engine *engine = scene->driver.engine;
    struct urn_request old = {.op = URN_LOOKUP, .request_id = 1};
    struct urn_request new = {.op = URN_LOOKUP, .request_id = scene->last_id};
    scene->driver.holds_past = true;
    urn_submit(engine, &old);
    urn_submit(engine, &new);
    while (lookups_step(engine))
        ;
    assert_ptr_equal(urn_collect(engine), &new);
    assert_int_equal(new.code, URN_OK);
    assert_true(lookups_past_have_requests(&engine->lookups));
    assert_int_equal(driver_draw(&scene->driver, "main", 500, false), URN_OK);
    assert_true(lookups_past_step(engine));
    assert_ptr_equal(urn_collect(engine), &old);
    assert_int_equal(old.code, URN_OK);
    assert_false(lookups_past_have_requests(&engine->lookups));
    end(scene);
}

/* A stop that does not wait for the archive answers all that do, and those behind a fail stop are refused. */
static void test_what_waits_for_the_archive_is_always_answered(void **state)
{
    (void)state;
    for (uint32_t fails = 0; fails < 2; fails++) {
        struct scene *scene = a_scene(18, URN_ARCHIVE_BLOCK);
        draw_to(scene, 8 * SEGMENT);
        struct urn_engine *engine = scene->driver.engine;
        struct urn_error errors[3] = {{.code = URN_OK}};
        struct urn_request old[3];
        for (uint32_t i = 0; i < 3; i++) {
            old[i] =
                (struct urn_request){.op = URN_LOOKUP, .request_id = 1 + i, .error = &errors[i]};
            urn_submit(engine, &old[i]);
        }
        while (lookups_step(engine))
            ;
        if (fails != 0) {
            const struct urn_error failure = {.code = URN_IO};
            engine_fail(engine, &failure);
            while (lookups_past_step(engine))
                ;
        } else {
            lookups_abandon_past(engine);
        }
        uint32_t back = 0;
        for (struct urn_request *done = urn_collect(engine); done != NULL; done = done->next)
            back++;
        assert_int_equal(back, 3);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(old[i].code, fails != 0 ? URN_READONLY : URN_IO);
            if (fails == 0)
                assert_non_null(strstr(errors[i].text, "does not answer, and the server stops"));
        }
        end(scene);
    }
}

/* Calls that only the archive is asked. */
static void count_calls(void *context, const struct sim_event *call)
{
    uint32_t *calls = context;
    *calls += call->call == SIM_DIR_OPEN || call->call == SIM_DIR_LIST ||
              strlen(call->name) >= sizeof "segment-0000000000000000" - 1;
}

/* Ids that the ring has, that no draw has had yet, or that a start left out, are none of the archive's. */
static void test_the_archive_is_left_alone_where_the_ring_knows(void **state)
{
    (void)state;
    struct scene *scene = a_scene(19, URN_ARCHIVE_BLOCK);
    uint32_t calls = 0;
    draw_to(scene, 14 * SEGMENT);
    check_found(scene, scene->last_id);
    scene->driver.holds_archive = true;
    sim_set_observer(scene->driver.world, count_calls, &calls);
    for (uint64_t more = 1; more < 1000000; more *= 7)
        check_none(scene, scene->last_id + more, URN_NOTFOUND, "has not been given yet; ids 1 to ");
    check_found(scene, scene->last_id);
    assert_int_equal(calls, 0);
    check_found(scene, 1);
    assert_true(calls > 0);
    sim_set_observer(scene->driver.world, NULL, NULL);
    end(scene);
}

/* ---- what is not there ------------------------------------------------------------------------- */

/* The ring goes round without the archive, which is held from here on. Returns an id that is lost to both. */
static uint64_t draw_without_archive(struct scene *scene)
{
    scene->driver.holds_archive = true;
    draw_to(scene, 9 * SEGMENT);
    const uint64_t amid = scene->last_id;
    draw_to(scene, 14 * SEGMENT);
    return amid;
}

static void test_a_gap_is_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(5, URN_ARCHIVE_GAP);
    struct driver *driver = &scene->driver;
    draw_to(scene, 6 * SEGMENT);
    driver_run(driver);
    const uint64_t before = scene->last_id;
    const uint64_t amid = draw_without_archive(scene);
    check_none(scene, amid, URN_NOTFOUND, "is in a gap of the archive (from LSN ");
    check_found(scene, 1);
    driver->holds_archive = false;
    draw_to(scene, 20 * SEGMENT);
    driver_run(driver);
    check_none(scene, amid, URN_NOTFOUND, "was not archived before it was overwritten; ids 1 to ");
    assert_non_null(strstr(scene->error.text, "is in a gap of the archive (LSN "));
    assert_int_equal(scene->lookup.first_request_id, 1);
    uint64_t missing = 0;
    bool was_missing = false;
    uint32_t edges = 0;
    for (uint64_t id = 1; id <= scene->last_id; id++) {
        const bool is_missing = look_up(scene, id) != URN_OK;
        if (is_missing)
            assert_non_null(strstr(scene->error.text, "is in a gap of the archive (LSN "));
        else
            assert_int_equal(scene->lookup.outcome, scene->outcomes[id]);
        edges += is_missing != was_missing;
        was_missing = is_missing;
        missing += is_missing;
    }
    assert_int_equal(edges, 2); /* one stretch of ids */
    assert_true(missing > 0 && amid > before);
    end(scene);
}

/* A start finds that the ring went on without the archive. Until that is recorded, nothing is damaged. */
static void test_a_gap_without_a_record_is_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(19, URN_ARCHIVE_GAP);
    struct driver *driver = &scene->driver;
    draw_to(scene, 6 * SEGMENT);
    driver_run(driver);
    const uint64_t amid = draw_without_archive(scene);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver);
    check_none(scene, amid, URN_NOTFOUND, "is in a gap of the archive (from LSN ");
    check_found(scene, 1);
    driver->holds_archive = false;
    driver_run(driver);
    check_none(scene, amid, URN_NOTFOUND, "is in a gap of the archive (LSN ");
    end(scene);
}

/* An archive that lags behind records gap by gap. What is told is all of the hole, and not its first part. */
static void test_gaps_that_adjoin_are_told_as_one(void **state)
{
    (void)state;
    struct scene *scene = a_scene(22, URN_ARCHIVE_GAP);
    struct driver *driver = &scene->driver;
    draw_to(scene, 6 * SEGMENT);
    driver_run(driver);
    uint64_t amid[3];
    driver->holds_archive = true;
    for (uint32_t i = 0; i < 3; i++) {
        draw_to(scene, (10 + 5 * i) * SEGMENT);
        amid[i] = scene->last_id;
        draw_to(scene, (14 + 5 * i) * SEGMENT);
        while (atomic_load(&driver->engine->archive.counters.gaps) == i)
            (void)archive_task_step(&driver->engine->archive);
    }
    for (uint32_t i = 0; i < 3; i++)
        check_none(scene, amid[i], URN_NOTFOUND, "is in a gap of the archive (from LSN 393216 on)");
    driver->holds_archive = false;
    draw_to(scene, 28 * SEGMENT);
    driver_run(driver);
    for (uint32_t i = 0; i < 3; i++)
        check_none(scene, amid[i], URN_NOTFOUND, "is in a gap of the archive (LSN 393216 to ");
    const uint64_t to_lsn = strtoull(strstr(scene->error.text, " to ") + 4, NULL, 10);
    assert_true(to_lsn >= 20 * SEGMENT);
    assert_true(sim_file_exists(driver->world, path_of(to_lsn)));
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(look_up(scene, amid[i]), URN_NOTFOUND);
        assert_int_equal(strtoull(strstr(scene->error.text, " to ") + 4, NULL, 10), to_lsn);
    }
    end(scene);
}

/* Nothing was archived at first: that is no prune. */
static void test_a_gap_at_the_begin_is_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(6, URN_ARCHIVE_GAP);
    scene->driver.holds_archive = true;
    draw_to(scene, 8 * SEGMENT);
    scene->driver.holds_archive = false;
    draw_to(scene, 14 * SEGMENT);
    driver_run(&scene->driver);
    check_none(scene, 1, URN_NOTFOUND, "is in a gap of the archive (LSN 0 to ");
    assert_true(scene->lookup.first_request_id > 1);
    check_found(scene, scene->lookup.first_request_id);
    end(scene);
}

/* Nor is it where a start finds that the archive never came further than its first snapshot. */
static void test_a_gap_at_the_begin_is_told_behind_a_start(void **state)
{
    (void)state;
    struct scene *scene = a_scene(23, URN_ARCHIVE_GAP);
    struct driver *driver = &scene->driver;
    driver_run(driver);
    assert_true(sim_file_exists(driver->world, "archive/snapshot-0000000000000000-0000"));
    driver->holds_archive = true;
    draw_to(scene, 8 * SEGMENT);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver);
    driver->holds_archive = false;
    draw_to(scene, 14 * SEGMENT);
    driver_run(driver);
    check_none(scene, 1, URN_NOTFOUND, "is in a gap of the archive (LSN 0 to ");
    check_found(scene, scene->lookup.first_request_id);
    assert_int_equal(atomic_load(&driver->engine->archive.counters.gaps), 1);
    end(scene);
}

/* Under the server, and behind it: what is remembered of files that are gone is forgotten. */
static void test_what_was_pruned_is_older(void **state)
{
    (void)state;
    struct scene *scene = a_scene(7, URN_ARCHIVE_BLOCK);
    draw_to(scene, 14 * SEGMENT);
    check_all(scene);
    uint64_t first_ids[8];
    for (uint32_t i = 0; i < 8; i++)
        first_ids[i] = first_id_in(scene, (i + 1) * (uint64_t)SEGMENT);
    for (uint32_t i = 0; i < 8; i++) {
        const uint64_t first = first_ids[i];
        assert_true(sim_lose_file(scene->driver.world, path_of(i * (uint64_t)SEGMENT)));
        check_none(scene, 1, URN_NOTFOUND, "request id 1 is older than what is kept; ids ");
        assert_int_equal(scene->lookup.first_request_id, first);
        check_none(scene, first - 1, URN_NOTFOUND, "is older than what is kept");
        check_found(scene, first);
    }
    draw_to(scene, 18 * SEGMENT);
    check_found(scene, first_ids[7]);
    check_none(scene, 1, URN_NOTFOUND, "is older than what is kept");
    end(scene);
}

/* Somebody had moved the oldest segment away, and puts it back. */
static void test_what_was_put_back_is_found(void **state)
{
    (void)state;
    static uint8_t bytes[2 * SEGMENT];
    struct scene *scene = a_scene(7, URN_ARCHIVE_BLOCK);
    struct sim_world *world = scene->driver.world;
    uint64_t size_bytes = 0;
    size_t written = 0;
    struct os_dir *dir;
    struct os_file *file;
    draw_to(scene, 14 * SEGMENT);
    assert_true(sim_file_size(world, path_of(0), &size_bytes) && size_bytes <= sizeof bytes);
    assert_true(sim_file_bytes(world, path_of(0), 0, bytes, size_bytes));
    assert_true(sim_lose_file(world, path_of(0)));
    check_none(scene, 1, URN_NOTFOUND, "request id 1 is older than what is kept; ids ");
    assert_int_equal(os_dir_open(sim_os(world), "archive", &dir), 0);
    assert_int_equal(os_file_open(dir, "segment-0000000000000000", OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, bytes, size_bytes, 0, &written), 0);
    assert_int_equal(written, size_bytes);
    os_file_close(file);
    os_dir_close(dir);
    check_found(scene, 1);
    end(scene);
}

static void test_a_file_that_is_missing_is_damage(void **state)
{
    (void)state;
    struct scene *scene = a_scene(8, URN_ARCHIVE_BLOCK);
    draw_to(scene, 14 * SEGMENT);
    const uint64_t first = first_id_in(scene, 5 * SEGMENT);
    const uint64_t behind = first_id_in(scene, 6 * SEGMENT);
    assert_true(sim_lose_file(scene->driver.world, path_of(5 * SEGMENT)));
    check_found(scene, 1); /* another file is open */
    check_none(scene, first, URN_DAMAGED, "segment-0000000000050000 is missing, and no gap");
    check_none(scene, behind - 1, URN_DAMAGED, "the archive archive: segment-0000000000050000");
    check_found(scene, first - 1);
    check_found(scene, behind);
    end(scene);
}

/* Nor is it taken for a gap where nothing follows it, in an archive that this server has begun. */
static void test_the_newest_file_that_is_missing_is_damage(void **state)
{
    (void)state;
    struct scene *scene = a_scene(21, URN_ARCHIVE_BLOCK);
    struct driver *driver = &scene->driver;
    draw_to(scene, 6 * SEGMENT);
    driver_run(driver);
    const uint64_t first = first_id_in(scene, 5 * SEGMENT);
    driver->holds_archive = true;
    while (driver_draw(driver, "main", 500, false) == URN_OK)
        ;
    assert_int_equal(driver->request.code, URN_BUSY);
    check_found(scene, first);
    assert_true(sim_lose_file(driver->world, path_of(5 * SEGMENT)));
    check_none(scene, first, URN_DAMAGED, "segment-0000000000050000 is missing, and no gap");
    end(scene);
}

/* ---- damage ------------------------------------------------------------------------------------ */

static void test_damage_is_told_and_nothing_else(void **state)
{
    (void)state;
    struct scene *scene = a_scene(9, URN_ARCHIVE_BLOCK);
    draw_to(scene, 14 * SEGMENT);
    const uint64_t first = first_id_in(scene, 5 * SEGMENT);
    const uint64_t lsn = lsn_of(scene, first + 700);
    const char *path = path_of(5 * SEGMENT);
    for (uint32_t at = 0; at < 200; at++) {
        assert_true(sim_flip_bit(scene->driver.world, path, lsn % SEGMENT + at, at % 8));
        check_found(scene, 1); /* another group is the last that was read */
        check_none(scene, first + 700, URN_DAMAGED, "is not what was written; `urn-wal verify`");
        assert_non_null(strstr(scene->error.text, "segment-0000000000050000, offset"));
        check_found(scene, first - 1);
        assert_true(sim_flip_bit(scene->driver.world, path, lsn % SEGMENT + at, at % 8));
    }
    check_all(scene);
    end(scene);
}

/* What rots in the ring is answered from the archive, where that has it; and told where it has not, or is damaged
 * there as well. */
static void test_the_archive_stands_in_for_the_ring(void **state)
{
    (void)state;
    for (uint32_t started = 0; started < 2; started++) {
        struct scene *scene = a_scene(20, URN_ARCHIVE_BLOCK);
        struct sim_world *world = scene->driver.world;
        draw_to(scene, 6 * SEGMENT + SEGMENT / 2);
        if (started) {
            driver_crash(&scene->driver, SIM_CRASH_PROCESS);
            driver_must_open(&scene->driver);
            driver_run(&scene->driver);
        }
        const uint64_t id = first_id_in(scene, 5 * SEGMENT) + 700;
        const uint64_t lsn = lsn_of(scene, id);
        const uint64_t newest_lsn = lsn_of(scene, scene->last_id);
        assert_true(lsn / SEGMENT == 5 && newest_lsn / SEGMENT == 6);
        assert_true(sim_flip_bit(world, "data/segment-0002", lsn % SEGMENT + 130, 3));
        check_found(scene, 1); /* another group is the last one that was read */
        check_found(scene, id);
        assert_int_equal(scene->lookup.lsn, lsn);
        assert_true(sim_flip_bit(world, path_of(5 * SEGMENT), lsn % SEGMENT + 130, 3));
        check_found(scene, 1);
        check_none(scene, id, URN_DAMAGED, "is not what was written; `urn-wal verify`");
        assert_non_null(strstr(scene->error.text, started ? "segment-00" : "segment-0002"));
        assert_true(sim_flip_bit(world, path_of(5 * SEGMENT), lsn % SEGMENT + 130, 3));
        check_found(scene, 1);
        check_found(scene, id);
        assert_true(sim_flip_bit(world, "data/segment-0000", newest_lsn % SEGMENT + 130, 3));
        check_found(scene, 1);
        check_none(scene, scene->last_id, URN_DAMAGED, "is not what was written");
        assert_true(sim_set_unreadable(world, "data/segment-0002", lsn % SEGMENT + 130));
        check_found(scene, id);
        end(scene);
    }
}

/* A damaged index, or header page, says nothing that the groups do not say. */
static void test_an_index_that_is_damaged_is_gone_without(void **state)
{
    (void)state;
    static const uint64_t places[] = {
        0, 9, 40, SEGMENT + 2, SEGMENT + 9, SEGMENT + 96, SEGMENT + 110};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct scene *scene = a_scene(10, URN_ARCHIVE_BLOCK);
        draw_to(scene, 14 * SEGMENT);
        assert_true(
            sim_flip_bit(scene->driver.world, path_of(5 * SEGMENT), places[i], (unsigned)i));
        check_all(scene);
        assert_true(sim_truncate(scene->driver.world, path_of(6 * SEGMENT), SEGMENT));
        assert_int_equal(driver_stop(&scene->driver), URN_OK);
        driver_must_open(&scene->driver);
        for (uint64_t id = 1; id <= scene->last_id; id += STEP)
            check_found(scene, id);
        end(scene);
    }
}

static void test_a_sector_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(11, URN_ARCHIVE_BLOCK);
    draw_to(scene, 14 * SEGMENT);
    const uint64_t first = first_id_in(scene, 5 * SEGMENT);
    const uint64_t behind = first_id_in(scene, 6 * SEGMENT);
    const uint64_t lsn = lsn_of(scene, first + 700);
    assert_true(sim_set_unreadable(scene->driver.world, path_of(5 * SEGMENT), lsn % SEGMENT + 60));
    check_found(scene, 1);
    check_none(scene, first + 700, URN_IO, "segment-0000000000050000");
    check_found(scene, first - 1);
    check_found(scene, behind);
    end(scene);
}

/* Another ring's file under the right name, and one of this ring in a wrong place. */
static void test_a_file_that_does_not_belong_is_not_believed(void **state)
{
    (void)state;
    static uint8_t bytes[SEGMENT + OS_PAGE_BYTES];
    for (uint32_t round = 0; round < 2; round++) {
        struct scene *scene = a_scene(12, URN_ARCHIVE_BLOCK);
        struct scene *other = round == 0 ? a_scene(13, URN_ARCHIVE_BLOCK) : scene;
        draw_to(scene, 14 * SEGMENT);
        if (other != scene)
            draw_to(other, 14 * SEGMENT);
        const uint64_t first = first_id_in(scene, 5 * SEGMENT);
        uint64_t size_bytes = 0;
        const uint64_t from_lsn = (round == 0 ? 5 : 4) * (uint64_t)SEGMENT;
        assert_true(sim_file_size(other->driver.world, path_of(from_lsn), &size_bytes));
        assert_int_equal(size_bytes, sizeof bytes);
        assert_true(sim_file_bytes(other->driver.world, path_of(from_lsn), 0, bytes, sizeof bytes));
        assert_true(
            sim_overwrite(scene->driver.world, path_of(5 * SEGMENT), 0, bytes, sizeof bytes));
        check_found(scene, 1);
        assert_int_equal(driver_stop(&scene->driver), URN_OK);
        driver_must_open(&scene->driver);
        check_none(scene, first + 700, URN_DAMAGED,
                   "segment-0000000000050000, offset 4096, is not what was written");
        check_found(scene, scene->last_id);
        if (other != scene)
            end(other);
        end(scene);
    }
}

/* Whoever can write the archive can make its checksums right. */
static void test_an_item_that_is_not_there_is_not_believed(void **state)
{
    (void)state;
    enum { NO_ITEM = 7 };
    static uint8_t bytes[SEGMENT];
    struct scene *scene = a_scene(20, URN_ARCHIVE_BLOCK);
    draw_to(scene, 14 * SEGMENT);
    const uint64_t id = first_id_in(scene, 5 * SEGMENT);
    const uint64_t offset = lsn_of(scene, id) % SEGMENT;
    assert_true(sim_file_bytes(scene->driver.world, path_of(5 * SEGMENT), 0, bytes, SEGMENT));
    struct wal_group_header header;
    assert_int_equal(wal_group_peek(bytes + offset, SEGMENT - offset, SEGMENT - offset, &header),
                     WAL_READ_OK);
    assert_int_equal(header.first_request_id, id);
    uint8_t *outcome = bytes + offset + WAL_GROUP_HEADER_BYTES + WAL_DRAWS_HEADER_BYTES;
    assert_int_equal(*outcome, scene->outcomes[id]);
    *outcome = NO_ITEM;
    wal_group_seal(&header, bytes + offset);
    assert_true(sim_overwrite(scene->driver.world, path_of(5 * SEGMENT), offset, bytes + offset,
                              header.length_bytes));
    check_none(scene, id, URN_DAMAGED, "tells of a pool or an item that is not there");
    check_found(scene, id + 1);
    end(scene);
}

/* ---- a disk that is away ------------------------------------------------------------------------ */

/* Each call into the archive fails once: an answer with a reason, or the right one; and the next look finds all. */
static void test_failing_calls(void **state)
{
    (void)state;
    static const enum sim_call calls[] = {SIM_DIR_OPEN, SIM_DIR_LIST, SIM_FILE_OPEN, SIM_FILE_SIZE,
                                          SIM_FILE_READ};
    uint32_t failed = 0;
    for (size_t call = 0; call < sizeof calls / sizeof calls[0]; call++) {
        struct scene *scene = a_scene(14, URN_ARCHIVE_BLOCK);
        draw_to(scene, 14 * SEGMENT);
        const uint64_t id = first_id_in(scene, 5 * SEGMENT) + 3;
        bool fired = true;
        for (uint64_t nth = 1; fired; nth++) {
            assert_int_equal(driver_stop(&scene->driver), URN_OK);
            driver_must_open(&scene->driver);
            check_found(scene, scene->last_id); /* the ring's index is there */
            sim_event_forget(scene->driver.world);
            sim_fail_at(scene->driver.world, calls[call], nth, EIO);
            const enum urn_code code = look_up(scene, id);
            sim_fail_at(scene->driver.world, calls[call], UINT64_MAX, 0);
            fired = sim_last_event(scene->driver.world)->error != 0;
            if (code == URN_OK)
                assert_int_equal(scene->lookup.outcome, scene->outcomes[id]);
            else
                assert_int_equal(code, URN_IO);
            failed += code != URN_OK;
            check_found(scene, id);
        }
        end(scene);
    }
    assert_true(failed > 3);
}

static void test_an_archive_that_is_away_is_told(void **state)
{
    (void)state;
    struct scene *scene = a_scene(15, URN_ARCHIVE_BLOCK);
    draw_to(scene, 14 * SEGMENT);
    assert_int_equal(driver_stop(&scene->driver), URN_OK);
    driver_must_open(&scene->driver);
    assert_true(sim_lose_file(scene->driver.world, "archive/ARCHIVE"));
    check_none(scene, 1, URN_IO, "the archive archive: it is not there: is its volume mounted?");
    check_found(scene, scene->last_id);
    check_none(scene, scene->last_id + 1, URN_NOTFOUND, "has not been given yet");
    end(scene);
}

/* Whatever hinders it, the archive is named, and once. */
static void test_an_archive_that_cannot_be_opened_is_named_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct scene *scene = a_scene(15, URN_ARCHIVE_BLOCK);
        struct sim_world *world = scene->driver.world;
        draw_to(scene, 14 * SEGMENT);
        assert_int_equal(driver_stop(&scene->driver), URN_OK);
        scene->driver.holds_past = true; /* so that the lookup is the first to open it */
        driver_must_open(&scene->driver);
        driver_run(&scene->driver);
        scene->driver.holds_past = false;
        if (i == 0)
            sim_fail_at(world, SIM_DIR_OPEN, 1, EACCES);
        else if (i == 1)
            assert_true(sim_set_unreadable(world, "archive/ARCHIVE", 0));
        else
            assert_true(sim_flip_bit(world, "archive/ARCHIVE", 30, 1));
        check_none(scene, 1, i < 2 ? URN_IO : URN_DAMAGED, "the archive archive");
        const char *text = scene->error.text;
        if (strstr(strstr(text, "the archive archive") + 1, "the archive archive") != NULL)
            fail_msg("\"%s\" names it twice", text);
        end(scene);
    }
}

static void test_memory_is_bounded(void **state)
{
    (void)state;
    struct driver driver;
    driver_init(&driver, 16);
    const uint64_t without = urn_engine_memory_bound_bytes(&driver.config);
    driver.config.archive = "archive";
    const uint64_t with = urn_engine_memory_bound_bytes(&driver.config);
    assert_true(with - without >= archive_finder_memory_bytes());
    assert_true(archive_finder_memory_bytes() < 512u * 1024);
    driver_free(&driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_the_ring_has_forgotten_is_found),
        cmocka_unit_test(test_it_is_found_after_starts),
        cmocka_unit_test(test_ids_that_a_start_left_out_are_told),
        cmocka_unit_test(test_the_seam_moves),
        cmocka_unit_test(test_nobody_waits_for_a_look_into_the_archive),
        cmocka_unit_test(test_what_waits_for_the_archive_is_always_answered),
        cmocka_unit_test(test_the_archive_is_left_alone_where_the_ring_knows),
        cmocka_unit_test(test_a_gap_is_told),
        cmocka_unit_test(test_a_gap_without_a_record_is_told),
        cmocka_unit_test(test_gaps_that_adjoin_are_told_as_one),
        cmocka_unit_test(test_a_gap_at_the_begin_is_told),
        cmocka_unit_test(test_a_gap_at_the_begin_is_told_behind_a_start),
        cmocka_unit_test(test_what_was_pruned_is_older),
        cmocka_unit_test(test_what_was_put_back_is_found),
        cmocka_unit_test(test_a_file_that_is_missing_is_damage),
        cmocka_unit_test(test_the_newest_file_that_is_missing_is_damage),
        cmocka_unit_test(test_damage_is_told_and_nothing_else),
        cmocka_unit_test(test_the_archive_stands_in_for_the_ring),
        cmocka_unit_test(test_an_index_that_is_damaged_is_gone_without),
        cmocka_unit_test(test_a_sector_that_cannot_be_read_is_told),
        cmocka_unit_test(test_a_file_that_does_not_belong_is_not_believed),
        cmocka_unit_test(test_an_item_that_is_not_there_is_not_believed),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_an_archive_that_is_away_is_told),
        cmocka_unit_test(test_an_archive_that_cannot_be_opened_is_named_once),
        cmocka_unit_test(test_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
