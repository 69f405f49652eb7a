/* test_urn_wal_diff.c: `urn-wal diff`: histories that are alike, that part anywhere, of which one ends first,
 * that have nothing in common; damaged ones; snapshots of one moment that differ; a server that goes on
 * meanwhile. Golden outputs: tests/golden; URN_GOLDEN_UPDATE=1 in the environment writes them anew.
 *
 * "log" is the scene's directory; copies of it are made in the same world.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/file_io.h"
#include "engine/identity.h"
#include "engine/snapshot_file.h"
#include "engine/wal_reader.h"
#include "tests/lib/golden.h"
#include "tests/lib/sim_random.h"
#include "tests/lib/wal_scene.h"

#define SEGMENT    SCENE_SEGMENT
#define PATH_BYTES (2 * DATA_DIR_NAME_MAX)

/* ---- copies ------------------------------------------------------------------------------------- */

struct copying {
    struct wal_scene *scene;
    const char *from;
    struct os_dir *to;
};

static int copy_file(void *context, const char *name)
{
    const struct copying *copying = context;
    struct sim_world *world = copying->scene->maker.world;
    char path[PATH_BYTES];
    uint64_t size = 0;
    struct os_file *file = NULL;
    struct urn_error error;
    (void)snprintf(path, sizeof path, "%s/%s", copying->from, name);
    assert_true(sim_file_size(world, path, &size));
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_true(sim_file_bytes(world, path, 0, bytes, size));
    assert_int_equal(os_file_open(copying->to, name, OS_CREATE, &file), 0);
    assert_int_equal(file_write_exact(file, name, bytes, size, 0, &error), URN_OK);
    assert_int_equal(os_file_sync(file), 0);
    os_file_close(file);
    free(bytes);
    return 0;
}

/* Makes directory `to` a copy of `from`. */
static void copy_directory(struct wal_scene *scene, const char *from, const char *to)
{
    struct urn_os *os = sim_os(scene->maker.world);
    struct copying copying = {.scene = scene, .from = from};
    struct os_dir *dir = NULL;
    assert_int_equal(os_dir_make(os, to), 0);
    assert_int_equal(os_dir_open(os, to, &copying.to), 0);
    assert_int_equal(os_dir_open(os, from, &dir), 0);
    assert_int_equal(os_dir_list(dir, copy_file, &copying), 0);
    assert_int_equal(os_dir_sync(copying.to), 0);
    os_dir_close(dir);
    os_dir_close(copying.to);
}

/* The moment to which a log can be put back, to go on otherwise. */
struct moment_of_log {
    struct wal_tail tail;
    uint64_t durable_lsn;
    uint64_t first_request_id;
};

static struct moment_of_log now(const struct wal_scene *scene)
{
    const struct log_maker *maker = &scene->maker;
    return (struct moment_of_log){maker->tail, maker->durable_lsn, maker->first_request_id};
}

/* Puts the segments of "log" back to those of the copy, and the maker to its moment. */
static void put_back(struct wal_scene *scene, const char *copy, const struct moment_of_log *moment)
{
    static uint8_t bytes[SEGMENT];
    for (uint32_t slot = 0; slot < 3; slot++) {
        char name[DATA_DIR_NAME_MAX];
        char from[PATH_BYTES];
        char to[PATH_BYTES];
        data_dir_segment_name(name, slot);
        (void)snprintf(from, sizeof from, "%s/%s", copy, name);
        (void)snprintf(to, sizeof to, LOG_MAKER_PATH "/%s", name);
        assert_true(sim_file_bytes(scene->maker.world, from, 0, bytes, sizeof bytes));
        assert_true(sim_overwrite(scene->maker.world, to, 0, bytes, sizeof bytes));
    }
    scene->maker.tail = moment->tail;
    scene->maker.durable_lsn = moment->durable_lsn;
    scene->maker.first_request_id = moment->first_request_id;
}

/* ---- logs ---------------------------------------------------------------------------------------- */

static uint64_t add_draws(struct wal_scene *scene, const uint32_t *outcomes, uint32_t count)
{
    log_maker_entries(&scene->maker);
    wal_entries_add_draws(&scene->maker.entries, 0, 1, 1, outcomes, count);
    const uint64_t lsn = log_maker_add(&scene->maker, WAL_DATA, 0);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    return lsn;
}

/* "a" and "log" part at the LSN returned: the same draws, of which the third had another outcome. */
static uint64_t make_parted(struct wal_scene *scene)
{
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "common");
    const struct moment_of_log moment = now(scene);
    const uint64_t lsn =
        add_draws(scene, (uint32_t[]){COIN, TICKET, COIN, COIN, COIN, COIN, COIN}, 7);
    (void)add_draws(scene, (uint32_t[]){COIN}, 1);
    copy_directory(scene, "log", "a");
    put_back(scene, "common", &moment);
    assert_int_equal(add_draws(scene, (uint32_t[]){COIN, TICKET, DIAMOND, COIN}, 4), lsn);
    (void)log_maker_mark(&scene->maker);
    return lsn;
}

/* ---- asking -------------------------------------------------------------------------------------- */

/* ---- verdicts ------------------------------------------------------------------------------------ */

static void test_alike(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "a");
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-diff-alike.txt",
                            WORDS("diff", "a", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-diff-alike.json",
                            WORDS("diff", "a", "log", "--json"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "alike: one history",
                           WORDS("diff", "log", "log"));
}

static void test_they_part(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_parted(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-parted.txt",
                            WORDS("diff", "a", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-parted.json",
                            WORDS("diff", "a", "log", "--json"));
    wal_scene_assert_tells(
        scene, NULL, EXIT_DIFFERS, "they part at LSN 8296",
        WORDS("diff", "a/segment-0000", "a/segment-0001", ":", "log/segment-0000"));
}

/* In the midst of a long request. */
static void test_a_draw_among_many(void **context)
{
    struct wal_scene *scene = *context;
    static uint32_t many[5000];
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "common");
    const struct moment_of_log moment = now(scene);
    (void)add_draws(scene, many, 5000);
    copy_directory(scene, "log", "a");
    put_back(scene, "common", &moment);
    many[3210] = TICKET;
    (void)add_draws(scene, many, 5000);
    many[3210] = COIN;
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-many.txt",
                            WORDS("diff", "a", "log"));
}

static void test_one_goes_on(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "a");
    (void)add_draws(scene, (uint32_t[]){TICKET, COIN}, 2);
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-prefix.txt",
                            WORDS("diff", "a", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-prefix.json",
                            WORDS("diff", "log", "a", "--json"));
}

/* One has drawn on, the other has been started: at the epoch group they part. */
static void test_they_part_at_a_start(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "common");
    const struct moment_of_log moment = now(scene);
    (void)add_draws(scene, (uint32_t[]){COIN}, 1);
    copy_directory(scene, "log", "a");
    put_back(scene, "common", &moment);
    (void)log_maker_epoch(&scene->maker);
    wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS, "they part at LSN",
                           WORDS("diff", "a", "log"));
}

/* The first LSN at which the engine's reader finds different groups in two logs that begin at 0. */
static uint64_t first_difference(struct wal_scene *scene, const char *one, const char *other)
{
    const char *const paths[] = {one, other};
    struct data_dir dirs[2];
    struct wal_reader *readers[2];
    struct wal_group_header headers[2];
    struct urn_error error;
    for (int i = 0; i < 2; i++) {
        const struct wal_tail begin = {.lsn = 0};
        assert_int_equal(
            data_dir_open_readonly(sim_os(scene->maker.world), paths[i], &dirs[i], &error), URN_OK);
        assert_int_equal(wal_reader_open(&dirs[i], &begin, &readers[i], &error), URN_OK);
    }
    do {
        for (int i = 0; i < 2; i++) {
            const uint8_t *group = NULL;
            assert_int_equal(wal_reader_next(readers[i], &headers[i], &group, &error),
                             WAL_STEP_GROUP);
        }
        assert_int_equal(headers[0].lsn, headers[1].lsn);
    } while (memcmp(headers[0].chain_after, headers[1].chain_after, WAL_CHAIN_BYTES) == 0);
    for (int i = 0; i < 2; i++) {
        wal_reader_close(readers[i]);
        data_dir_close(&dirs[i]);
    }
    return headers[0].lsn;
}

static void draw_to(struct wal_scene *scene, struct sim_random *random, uint64_t lsn)
{
    while (scene->maker.tail.lsn < lsn) {
        (void)log_maker_draws(&scene->maker, 1 + (uint32_t)sim_random_below(random, 9000));
        scene->maker.durable_lsn = scene->maker.tail.lsn;
    }
}

/* Wherever in the ring: in the first segment, across borders, in the last. */
static void test_they_part_anywhere(void **context)
{
    (void)context;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        void *fresh = NULL;
        assert_int_equal(wal_scene_set_up(&fresh), 0);
        struct wal_scene *scene = fresh;
        struct sim_random random = sim_random_stream(seed, 0);
        char told[64];
        draw_to(scene, &random, sim_random_below(&random, 2 * SEGMENT));
        copy_directory(scene, "log", "common");
        const struct moment_of_log moment = now(scene);
        (void)log_maker_draws(&scene->maker, 5);
        draw_to(scene, &random, 2 * SEGMENT + SEGMENT / 2);
        copy_directory(scene, "log", "a");
        put_back(scene, "common", &moment);
        (void)log_maker_draws(&scene->maker, 6 + (uint32_t)sim_random_below(&random, 9000));
        draw_to(scene, &random, 2 * SEGMENT + SEGMENT / 4);
        (void)snprintf(told, sizeof told, "they part at LSN %" PRIu64 ":",
                       first_difference(scene, "a", "log"));
        wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS, told, WORDS("diff", "a", "log"));
        assert_int_equal(wal_scene_tear_down(&fresh), 0);
    }
}

static void test_different_rings(void **context)
{
    struct wal_scene *scene = *context;
    struct urn_os *os = sim_os(scene->maker.world);
    struct wal_geometry geometry = scene->maker.data_dir.geometry;
    struct os_dir *dir = NULL;
    struct urn_error error;
    char text[IDENTITY_BYTES_MAX];
    (void)wal_scene_serve(scene);
    geometry.ring_uuid[0] ^= 1;
    const size_t length = identity_format(&geometry, text);
    assert_int_equal(os_dir_make(os, "other"), 0);
    assert_int_equal(os_dir_open(os, "other", &dir), 0);
    assert_int_equal(file_publish(dir, DATA_DIR_IDENTITY, text, length, &error), URN_OK);
    os_dir_close(dir);
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-rings.txt",
                            WORDS("diff", "other", "log"));
}

/* They parted so long ago that neither keeps the place. */
static void test_they_parted_below(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "common");
    const struct moment_of_log moment = now(scene);
    for (int round = 0; round < 2; round++) {
        (void)log_maker_draws(&scene->maker, 10 + (uint32_t)round);
        while (scene->maker.tail.lsn < 4 * SEGMENT + 9000) {
            (void)log_maker_draws(&scene->maker, 12000);
            scene->maker.durable_lsn = scene->maker.tail.lsn;
        }
        if (round == 0) {
            copy_directory(scene, "log", "a");
            put_back(scene, "common", &moment);
        }
    }
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-below.txt",
                            WORDS("diff", "a", "log"));
}

/* A copy that is a lap behind. */
static void test_nothing_in_common(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    copy_directory(scene, "log", "a");
    wal_scene_lap(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_MISSING, "urn-wal-diff-apart.txt",
                            WORDS("diff", "a", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING,
                           "\"verdict\":\"nothing in common is kept\",\"alike\":false",
                           WORDS("diff", "a", "log", "--json"));
}

/* A snapshot by itself, and the log that came to it; another log. */
static void test_a_snapshot_and_a_log(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t parted = make_parted(scene);
    char name[DATA_DIR_NAME_MAX];
    char path[PATH_BYTES];
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    (void)log_maker_draws(&scene->maker, 3);
    data_dir_snapshot_name(name, scene->state.tail.lsn, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING,
                           "of A continues the log of B: up to there they are the same",
                           WORDS("diff", path, "log"));
    assert_true(parted < scene->state.tail.lsn);
    /* the other log has to come to that position, too */
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING,
                           "no snapshot of one lies within the log of the other",
                           WORDS("diff", "a", path));
}

/* Which has gone another way than the log. */
static void test_a_snapshot_of_another_history(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_parted(scene);
    wal_scene_follow(scene);
    scene->state.tail.chain[3] ^= 1;
    wal_scene_snapshot(scene, 7);
    char name[DATA_DIR_NAME_MAX];
    char path[PATH_BYTES];
    data_dir_snapshot_name(name, scene->state.tail.lsn, 7);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS,
                           "does not continue the log of B: they have parted below",
                           WORDS("diff", path, "log/segment-0000"));
}

/* ---- snapshots ----------------------------------------------------------------------------------- */

static void test_snapshots_that_differ(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    copy_directory(scene, "log", "a");
    wal_scene_snapshot(scene, 0);
    char name[DATA_DIR_NAME_MAX];
    char path[PATH_BYTES];
    char other[PATH_BYTES];
    struct os_dir *dir = NULL;
    struct urn_pool *pool = NULL;
    struct urn_error error;
    const struct pool_update update = {.has_quantity = true, .quantity = 55};
    assert_int_equal(pool_update(scene->state.pools[0], TICKET, &update, &error), URN_OK);
    pool_set_open(scene->state.pools[0], false);
    assert_int_equal(state_add_pool(&scene->state, "new", 3, 5, &pool, &error), URN_OK);
    scene->state.next_request_id += 2;
    assert_int_equal(os_dir_open(sim_os(scene->maker.world), "a", &dir), 0);
    assert_int_equal(
        snapshot_file_write(dir, &scene->state, &scene->maker.data_dir.geometry, 0, &error),
        URN_OK);
    os_dir_close(dir);
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-snapshots.txt",
                            WORDS("diff", "a", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-snapshots.json",
                            WORDS("diff", "a", "log", "--json"));
    /* and by themselves */
    data_dir_snapshot_name(name, scene->state.tail.lsn, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    (void)snprintf(other, sizeof other, "a/%s", name);
    wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS, "pool main: ticket: quantity: 55 and 3",
                           WORDS("diff", other, path));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "1 snapshot is the same in both",
                           WORDS("diff", path, path));
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING, "no snapshots of the same LSN",
                           WORDS("diff", path, "log/snapshot-0000000000000000-0000"));
    /* one of them damaged */
    assert_true(sim_flip_bit(scene->maker.world, other, 100, 1));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "urn-wal: A: snapshot-",
                           WORDS("diff", "a", "log"));
}

/* ---- damage -------------------------------------------------------------------------------------- */

/* The walks meet again behind it. */
static void test_alike_but_damaged(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    (void)log_maker_draws(&scene->maker, 5);
    (void)log_maker_draws(&scene->maker, 6);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    copy_directory(scene, "log", "a");
    log_maker_flip(&scene->maker, last + 20);
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-diff-damaged.txt",
                            WORDS("diff", "a", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "urn-wal: A: LSN", WORDS("diff", "log", "a"));
}

static void test_parted_within_damage(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t lsn = make_parted(scene);
    (void)add_draws(scene, (uint32_t[]){COIN}, 1);
    /* of "log", the group at which they part; "a" has a group where "log" goes on */
    log_maker_flip(&scene->maker, lsn + 20);
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-within.txt",
                            WORDS("diff", "a", "log"));
}

/* Of "a" the end lies where "log" is damaged: by the chain behind the damage it is told whether they are one. */
static void test_an_end_within_damage(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t damaged = add_draws(scene, (uint32_t[]){COIN, COIN}, 2);
    copy_directory(scene, "log", "a");
    const uint64_t next = add_draws(scene, (uint32_t[]){TICKET}, 1);
    (void)add_draws(scene, (uint32_t[]){COIN}, 1);
    (void)log_maker_mark(&scene->maker);
    log_maker_flip(&scene->maker, damaged + 20);
    wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS,
                           "A is the beginning of B: the same up to LSN 8432",
                           WORDS("diff", "a", "log"));
    log_maker_flip(&scene->maker, next + 20); /* and behind the end */
    wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS,
                           "A ends at LSN 8432, where B cannot be read: the same up to LSN 8296",
                           WORDS("diff", "a", "log"));
}

static void test_an_end_that_cannot_be_read(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    (void)log_maker_add(&scene->maker, WAL_DATA,
                        (uint32_t)(OS_SECTOR_BYTES - scene->maker.tail.lsn % OS_SECTOR_BYTES));
    copy_directory(scene, "log", "a");
    log_maker_unreadable(&scene->maker, scene->maker.tail.lsn);
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "whether the log goes on there cannot be told",
                           WORDS("diff", "a", "log"));
}

static void test_a_missing_segment(void **context)
{
    struct wal_scene *scene = *context;
    while (scene->maker.tail.lsn < 2 * SEGMENT + 9000) {
        (void)log_maker_draws(&scene->maker, 12000);
        scene->maker.durable_lsn = scene->maker.tail.lsn;
    }
    (void)log_maker_mark(&scene->maker);
    copy_directory(scene, "log", "a");
    assert_true(sim_lose_file(scene->maker.world, "a/segment-0001"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "alike: one history",
                           WORDS("diff", "a", "log"));
    assert_true(sim_lose_file(scene->maker.world, "a/segment-0002"));
    wal_scene_assert_tells(scene, NULL, EXIT_DIFFERS, "A is the beginning of B",
                           WORDS("diff", "a", "log"));
    assert_true(sim_lose_file(scene->maker.world, "a/segment-0000"));
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING, "no stretch of the log is kept by both",
                           WORDS("diff", "a", "log"));
}

/* ---- beside a server ------------------------------------------------------------------------------ */

static void lap_on(struct wal_scene *scene)
{
    for (int i = 0; i < 8; i++) {
        (void)log_maker_draws(&scene->maker, 9000);
        scene->maker.durable_lsn = scene->maker.tail.lsn;
    }
}

/* Whatever it writes in between, its history never parts from a copy of its own past. */
static void test_a_server_that_goes_on_meanwhile(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    copy_directory(scene, "log", "a");
    for (uint64_t nth = 1;; nth++) {
        struct wal_rival rival = {.scene = scene, .nth = nth, .act = lap_on};
        enum exit_status status = EXIT_SOUND;
        wal_rival_begin(&rival);
        char *text =
            wal_scene_run_any(scene, wal_scene_used, &status, WORDS("diff", "a", "log", "--json"));
        wal_rival_end(&rival);
        if (strstr(text, "\"verdict\":\"parted") != NULL || status == EXIT_DAMAGE)
            fail_msg("call %d: %s", (int)nth, text);
        free(text);
        if (rival.acted == 0)
            return;
    }
}

/* ---- failing --------------------------------------------------------------------------------------- */

/* Any call may fail: an error, or something that could not be read; never another place. */
static void test_failing_calls(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_parted(scene);
    for (uint64_t nth = 1;; nth++) {
        enum exit_status status = EXIT_SOUND;
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_ANY_CALL, nth, 0);
        char *text = wal_scene_run_any(scene, NULL, &status, WORDS("diff", "a", "log"));
        const bool fired = sim_last_event(scene->maker.world)->number != 0;
        assert_int_not_equal(status, EXIT_SOUND);
        if (status == EXIT_DIFFERS && strstr(text, "they part at LSN 8296") == NULL)
            fail_msg("call %d: %s", (int)nth, text);
        free(text);
        if (!fired) {
            assert_int_equal(status, EXIT_DIFFERS);
            return;
        }
    }
}

static void test_wrong_command_lines(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "diff wants two data directories",
                           WORDS("diff", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "two sets of files with : between",
                           WORDS("diff", "log", "log", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "two sets of files with : between",
                           WORDS("diff", ":", "log/segment-0000"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "did you mean --json?",
                           WORDS("diff", "log", "log", "--jsno"));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_OPEN, "nowhere",
                           WORDS("diff", "log", "nowhere"));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_OPEN, "nowhere",
                           WORDS("diff", "nowhere", "log"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_alike),
        TEST(test_they_part),
        TEST(test_a_draw_among_many),
        TEST(test_one_goes_on),
        TEST(test_they_part_at_a_start),
        cmocka_unit_test(test_they_part_anywhere),
        TEST(test_different_rings),
        TEST(test_they_parted_below),
        TEST(test_nothing_in_common),
        TEST(test_a_snapshot_and_a_log),
        TEST(test_a_snapshot_of_another_history),
        TEST(test_snapshots_that_differ),
        TEST(test_alike_but_damaged),
        TEST(test_parted_within_damage),
        TEST(test_an_end_within_damage),
        TEST(test_an_end_that_cannot_be_read),
        TEST(test_a_missing_segment),
        TEST(test_a_server_that_goes_on_meanwhile),
        TEST(test_failing_calls),
        TEST(test_wrong_command_lines),
    };
    return cmocka_run_group_tests_name("urn_wal_diff", tests, NULL, NULL);
}
