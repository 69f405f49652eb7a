/* test_urn_wal_replay.c: `urn-wal replay`: the state at every moment of logs made by hand, against a model draw
 * by draw and against what an engine's own snapshots hold; what cannot be built and why; a server that goes
 * on meanwhile. Golden outputs: tests/golden; URN_GOLDEN_UPDATE=1 in the environment writes them anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/snapshot_file.h"
#include "tests/lib/golden.h"
#include "tests/lib/peer.h"
#include "tests/lib/wal_scene.h"
#include "tools/urn_wal/replay_build.h"

#define SEGMENT SCENE_SEGMENT

/* ---- a log ------------------------------------------------------------------------------------- */

/* Where things are in the log of make_history. */
struct places {
    uint64_t first;    /* the group of draws 1 to 4 */
    uint64_t second;   /* of 5 to 11, with changes between */
    uint64_t snapshot; /* behind it: a snapshot of the server */
    uint64_t third;    /* of draw 12 */
    uint64_t fourth;   /* of draws 101 and 102, behind an epoch that skips to 101 */
    uint64_t end;
};

enum { LEAF = 0, IDS_RESERVED = 100 };

/* The outcome of each draw: pool and item; -1: failed. */
static const struct outcome {
    uint64_t id;
    uint32_t pool;
    int item;
} outcomes[] = {{1, 0, COIN},    {2, 0, DIAMOND}, {3, 0, TICKET},   {4, 0, COIN},  {5, 0, COIN},
                {6, 0, DIAMOND}, {7, 0, TICKET},  {8, 0, TICKET},   {9, 0, -1},    {10, 0, -1},
                {11, 1, LEAF},   {12, 0, TICKET}, {101, 0, TICKET}, {102, 1, LEAF}};
#define OUTCOMES (sizeof outcomes / sizeof outcomes[0])

static void change(struct wal_scene *scene, enum wal_entry_type type, uint32_t pool, uint32_t index,
                   int64_t quantity, uint64_t weight, uint8_t flags, const char *name)
{
    const struct wal_change change = {.type = (uint8_t)type,
                                      .pool_id = pool,
                                      .index = index,
                                      .odds_version = 1,
                                      .quantity = quantity,
                                      .probability = weight,
                                      .flags = flags,
                                      .name = {name, name == NULL ? 0 : (uint32_t)strlen(name)}};
    wal_entries_add_change(&scene->maker.entries, &change);
}

static void draw(struct wal_scene *scene, uint32_t pool, const uint32_t *drawn, uint32_t count)
{
    wal_entries_add_draws(&scene->maker.entries, pool, 1, 1, drawn, count);
}

static uint64_t close_long_group(struct wal_scene *scene, uint64_t engine_time_us,
                                 uint32_t length_bytes)
{
    scene->maker.engine_time_us = engine_time_us;
    const uint64_t lsn = log_maker_add(&scene->maker, WAL_DATA, length_bytes);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    return lsn;
}

static uint64_t close_group(struct wal_scene *scene, uint64_t engine_time_us)
{
    return close_long_group(scene, engine_time_us, 0);
}

/* Restocks, failures, a pool that is made in the midst of a group, reserved and skipped ids, a pool that is
 * never finished. */
static struct places make_history(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    struct places places;
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    draw(scene, 0, (uint32_t[]){COIN, DIAMOND, TICKET, COIN}, 4);
    places.first = close_group(scene, 1000000);
    (void)log_maker_mark(maker);

    log_maker_entries(maker);
    change(scene, WAL_ENTRY_UPDATE, 0, COIN, 1, 0, WAL_SETS_QUANTITY, NULL);
    draw(scene, 0, (uint32_t[]){COIN, DIAMOND, TICKET, TICKET, URN_FAILED_DRAW, URN_FAILED_DRAW},
         6);
    change(scene, WAL_ENTRY_UPDATE, 0, TICKET, 5, 0, WAL_SETS_QUANTITY, NULL);
    change(scene, WAL_ENTRY_CREATE, 1, 0, 0, 0, 0, "autumn");
    change(scene, WAL_ENTRY_ADD, 1, LEAF, URN_UNLIMITED, 9, 0, "red leaf");
    change(scene, WAL_ENTRY_OPEN, 1, 0, 0, 0, 0, NULL);
    draw(scene, 1, (uint32_t[]){LEAF}, 1);
    places.second = close_group(scene, 2500000);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    places.snapshot = scene->state.tail.lsn;

    log_maker_entries(maker);
    wal_entries_add_ids(&maker->entries, IDS_RESERVED);
    draw(scene, 0, (uint32_t[]){TICKET}, 1);
    /* up to a page's end, so that the epoch behind it, from which ids go on, needs no pad */
    places.third = close_long_group(scene, 4000000, (uint32_t)(4096 - maker->tail.lsn % 4096));
    maker->first_request_id = IDS_RESERVED + 1;
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    draw(scene, 0, (uint32_t[]){TICKET}, 1);
    draw(scene, 1, (uint32_t[]){LEAF}, 1);
    places.fourth = close_group(scene, 6000000);
    log_maker_entries(maker);
    change(scene, WAL_ENTRY_CREATE, 2, 0, 0, 0, 0, "winter");
    change(scene, WAL_ENTRY_ADD, 2, 0, 10, 2, 0, "flake");
    (void)close_group(scene, 6500000);
    places.end = maker->tail.lsn;
    (void)log_maker_mark(maker);
    return places;
}

/* ---- asking -------------------------------------------------------------------------------------- */

/* "lsn:8192" and the like. */
static const char *moment_text(const char *kind, uint64_t number)
{
    static char texts[4][40];
    static uint32_t next;
    char *text = texts[next++ % 4];
    (void)snprintf(text, sizeof texts[0], "%s:%" PRIu64, kind, number);
    return text;
}

/* Builds a state; the caller replay_end()s and history_close()s. */
static void build(struct wal_scene *scene, struct moment until, const char *from,
                  struct history *history, struct replay *replay)
{
    static const char *const operands[] = {LOG_MAKER_PATH};
    static struct tool tool; /* the history keeps it */
    struct urn_error error;
    tool = wal_scene_tool(scene, stdout, stderr);
    if (history_open(history, &tool, operands, 1, &error) != URN_OK)
        fail_msg("%s", error.text);
    *replay = (struct replay){.history = history, .until = until, .from = from, .notes = stderr};
    if (replay_build(replay, &error) != URN_OK)
        fail_msg("%s", error.text);
}

/* ---- moments ------------------------------------------------------------------------------------- */

static void test_the_end(void **context)
{
    (void)make_history(*context);
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-replay.txt",
                            WORDS("replay", "log"));
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-replay.json",
                            WORDS("replay", "log", "--json"));
    wal_scene_assert_golden(*context, wal_scene_used, EXIT_SOUND, "urn-wal-replay-in-use.txt",
                            WORDS("replay", "log"));
    wal_scene_assert_golden(
        *context, NULL, EXIT_SOUND, "urn-wal-replay-pool.txt",
        WORDS("replay", "log", "--pool", "autumn", "--from", "snapshot-0000000000000000-0000"));
    wal_scene_assert_tells(*context, NULL, EXIT_NO_MOMENT, "there is no pool spring",
                           WORDS("replay", "log", "--pool", "spring"));
}

/* Right behind each draw, from either snapshot, the pools hold what the draws up to it left. */
static void test_behind_every_draw(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    for (uint32_t i = 0; i < OUTCOMES; i++) {
        static const char *const from[] = {NULL, "snapshot-0000000000000000-0000"};
        uint64_t drawn[2][3] = {{0}};
        for (uint32_t j = 0; j <= i; j++)
            if (outcomes[j].item >= 0)
                drawn[outcomes[j].pool][outcomes[j].item]++;
        for (uint32_t which = 0; which < 2; which++) {
            struct history history;
            struct replay replay;
            build(scene, (struct moment){MOMENT_ID, outcomes[i].id}, from[which], &history,
                  &replay);
            assert_int_equal(replay.outcome, REPLAY_REACHED);
            assert_int_equal(replay.state.next_request_id, outcomes[i].id + 1);
            state_check(&replay.state);
            for (uint32_t pool = 0; pool < 2; pool++)
                for (uint32_t item = 0; pool < replay.state.pool_count &&
                                        item < pool_item_count(replay.state.pools[pool]);
                     item++) {
                    struct urn_item found;
                    pool_item(replay.state.pools[pool], item, &found);
                    assert_int_equal(found.drawn, drawn[pool][item]);
                }
            replay_end(&replay);
            history_close(&history);
        }
    }
}

static void test_in_the_midst_of_a_group(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-midst.txt",
                            WORDS("replay", "log", "--until", "id:6"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-midst.json",
                            WORDS("replay", "log", "--until", "id:6", "--json"));
    /* the last one of its group: all of it */
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "state at LSN",
                           WORDS("replay", "log", "--until", "id:11"));
    char told[200];
    (void)snprintf(told, sizeof told, "midst of the group from %" PRIu64 " to %" PRIu64,
                   places.second, places.snapshot);
    wal_scene_assert_tells(
        scene, NULL, EXIT_SOUND, told,
        WORDS("replay", "log", "--until", moment_text("lsn", places.second + 8)));
}

static void test_by_time(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    /* groups were sealed 1, 2.5, 4 and 6 s behind 2023-11-14T22:13:20Z */
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 5,",
                           WORDS("replay", "log", "--until", "2023-11-14T22:13:22Z"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 12,",
                           WORDS("replay", "log", "--until", "time:2023-11-14T23:13:22.5+01:00"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 103,",
                           WORDS("replay", "log", "--until", "2033-11-14"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND,
                           "built from snapshot-0000000000000000-0000 (LSN 0): 0 groups",
                           WORDS("replay", "log", "--until", "2001-01-01"));
}

static void test_a_clock_that_goes_back(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)make_history(scene);
    log_maker_entries(maker);
    struct wal_group_header header = log_maker_header(maker, WAL_DATA, maker->entries.used_bytes);
    header.wall_time_us -= 5000000;
    wal_group_seal(&header, maker->group);
    log_maker_write(maker, maker->tail.lsn, maker->group, header.length_bytes);
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND,
                           "the server's clock went back from 2023-11-14T22:13:26.5",
                           WORDS("replay", "log", "--until", "2023-11-15"));
}

static void test_moments_that_are_none(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT,
                           "request id 50 is of no draw in the log: at a start or a repair (LSN ",
                           WORDS("replay", "log", "--until", "id:50"));
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT, "the next request id is 103",
                           WORDS("replay", "log", "--until", "id:103"));
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT, "the log ends before that, at LSN",
                           WORDS("replay", "log", "--until", "lsn:1000000"));
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, places.snapshot, 0);
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT, "was taken behind that",
                           WORDS("replay", "log", "--until", "id:3", "--from", name));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_OPEN, "evening is no snapshot of log",
                           WORDS("replay", "log", "--from", "evening"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE,
                           "a number alone could be a position or an id), not 8192",
                           WORDS("replay", "log", "--until", "8192"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "did you mean --until?",
                           WORDS("replay", "log", "--untill", "id:3"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "--item goes with --trace only",
                           WORDS("replay", "log", "--item", "coin"));
    assert_true(sim_lose_file(scene->maker.world, "log/snapshot-0000000000000000-0000"));
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT,
                           "no snapshot from before that is kept: the oldest is of LSN",
                           WORDS("replay", "log", "--until", moment_text("lsn", places.first)));
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT,
                           "(next request id 12, 2023-11-14T22:13:22.500000Z)",
                           WORDS("replay", "log", "--until", "id:11"));
}

/* ---- snapshots written ------------------------------------------------------------------------------ */

static void make_folder(struct wal_scene *scene)
{
    struct os_dir *root = NULL;
    assert_int_equal(os_dir_make(sim_os(scene->maker.world), "out"), 0);
    assert_int_equal(os_dir_open(sim_os(scene->maker.world), ".", &root), 0);
    assert_int_equal(os_dir_sync(root), 0);
    os_dir_close(root);
}

static void assert_same_files(struct wal_scene *scene, const char *one, const char *other)
{
    uint64_t sizes[2] = {0};
    assert_true(sim_file_size(scene->maker.world, one, &sizes[0]));
    assert_true(sim_file_size(scene->maker.world, other, &sizes[1]));
    assert_int_equal(sizes[0], sizes[1]);
    uint8_t *bytes = malloc(2 * sizes[0]);
    assert_non_null(bytes);
    assert_true(sim_file_bytes(scene->maker.world, one, 0, bytes, sizes[0]));
    assert_true(sim_file_bytes(scene->maker.world, other, 0, bytes + sizes[0], sizes[0]));
    assert_memory_equal(bytes, bytes + sizes[0], sizes[0]);
    free(bytes);
}

/* What is written is, to the byte, the snapshot that the server itself took there. */
static void test_what_is_written_is_a_snapshot(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    char name[DATA_DIR_NAME_MAX];
    char path[2 * DATA_DIR_NAME_MAX];
    make_folder(scene);
    data_dir_snapshot_name(name, places.snapshot, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    wal_scene_assert_tells(
        scene, NULL, EXIT_SOUND, "written to out/a: synced, read back and found the same",
        WORDS("replay", "log", "--from", "log/snapshot-0000000000000000-0000", "--until",
              moment_text("lsn", places.snapshot), "--output", "out/a"));
    assert_same_files(scene, path, "out/a");
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "\"from\":\"snapshot-0000000000000000-0000\"",
                           WORDS("replay", "log", "--from", "snapshot-0000000000000000-0000",
                                 "--until", "id:11", "--output=out/b", "--json"));
    assert_same_files(scene, path, "out/b");
    assert_int_equal(sim_unsynced(scene->maker.world), 0);
    /* and a state begins with it as with any other: files by themselves */
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "built from a (LSN",
                           WORDS("replay", "out/a", "log/segment-0000", "log/segment-0001"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 12,",
                           WORDS("replay", "out/a"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND,
                           "built from snapshot-0000000000000000-0000 (LSN 0)",
                           WORDS("replay", "out/a", "log/snapshot-0000000000000000-0000", "--from",
                                 "log/snapshot-0000000000000000-0000"));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_OPEN, "elsewhere/a is no snapshot of",
                           WORDS("replay", "out/a", "--from", "elsewhere/a"));
}

static void test_where_nothing_is_written(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    char told[300];
    make_folder(scene);
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "written",
                           WORDS("replay", "log", "--output", "out/a"));
    const uint64_t hash = sim_hash(scene->maker.world);
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_CREATE, "there is a out/a already",
                           WORDS("replay", "log", "--output", "out/a"));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_CREATE, "log/a would lie in a data directory",
                           WORDS("replay", "log", "--output", "log/a"));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_CREATE, "cannot create nowhere/a",
                           WORDS("replay", "log", "--output", "nowhere/a"));
    wal_scene_assert_tells(scene, NULL, EXIT_CANNOT_CREATE, "cannot be the name of a file",
                           WORDS("replay", "log", "--output", "out/"));
    (void)snprintf(told, sizeof told,
                   "before it: --until lsn:%" PRIu64
                   " (up to draw 4); behind it: --until id:11 (or "
                   "lsn:%" PRIu64 ")",
                   places.second, places.snapshot);
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT, told,
                           WORDS("replay", "log", "--until", "id:6", "--output", "out/c"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "--output writes the whole state",
                           WORDS("replay", "log", "--output", "out/c", "--trace"));
    assert_int_equal(sim_hash(scene->maker.world), hash);
}

/* ---- entry by entry --------------------------------------------------------------------------------- */

static void test_trace(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    static const char zero[] = "snapshot-0000000000000000-0000";
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-trace.txt",
                            WORDS("replay", "log", "--trace", "--from", zero));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-trace.json",
                            WORDS("replay", "log", "--trace", "--json", "--from", zero));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-trace-item.txt",
                            WORDS("replay", "log", "--trace", "--from", zero, "--item", "ticket"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-trace-pool.txt",
                            WORDS("replay", "log", "--trace", "--from", zero, "--pool", "autumn"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-trace-midst.txt",
                            WORDS("replay", "log", "--trace", "--until", "id:9"));
}

/* ---- what cannot be built --------------------------------------------------------------------------- */

static void test_a_torn_tail(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-torn.txt",
                            WORDS("replay", "log"));
    wal_scene_assert_golden(scene, wal_scene_used, EXIT_SOUND, "urn-wal-replay-torn-in-use.txt",
                            WORDS("replay", "log"));
}

static void test_damage(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    log_maker_flip(&scene->maker, places.third + 20);
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-replay-damage.txt",
                            WORDS("replay", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "durable data is damaged",
                           WORDS("replay", "log", "--until", "id:102"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "durable data is damaged",
                           WORDS("replay", "log", "--until", "2024-01-01"));
    /* up to it all is well */
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 12,",
                           WORDS("replay", "log", "--until", moment_text("lsn", places.third)));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 5,",
                           WORDS("replay", "log", "--until", "id:4"));
    log_maker_unreadable(&scene->maker, places.third);
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "a sector cannot be read",
                           WORDS("replay", "log"));
}

/* Where nothing says that anything durable is: but a start would refuse, too. */
static void test_an_end_that_cannot_be_read(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    (void)log_maker_add(&scene->maker, WAL_DATA,
                        (uint32_t)(OS_SECTOR_BYTES - scene->maker.tail.lsn % OS_SECTOR_BYTES));
    const uint64_t end = scene->maker.tail.lsn;
    log_maker_unreadable(&scene->maker, end);
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "whether the log goes on there cannot be told",
                           WORDS("replay", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, ": next request id 103,",
                           WORDS("replay", "log", "--until", moment_text("lsn", end)));
}

static void test_no_snapshot_at_all(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_assert_tells(scene, NULL, EXIT_NO_MOMENT, "no snapshot from before that can be read",
                           WORDS("replay", "log/segment-0000"));
}

static void test_a_damaged_header_page_is_passed_by(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    while (maker->tail.lsn < SEGMENT + 8192) {
        (void)log_maker_draws(maker, 12000);
        maker->durable_lsn = maker->tail.lsn;
    }
    (void)log_maker_mark(maker);
    log_maker_flip(maker, SEGMENT + 100);
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND,
                           "the segment's header page: the checksum does not match",
                           WORDS("replay", "log"));
}

static void test_missing_parts(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    assert_true(sim_lose_file(scene->maker.world,
                              log_maker_path(&scene->maker, scene->maker.tail.lsn - SEGMENT)));
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING, "is missing",
                           WORDS("replay", "log", "--until", "2033-01-01"));
}

/* The log has gone on so far that what lies behind an old snapshot is overwritten. */
static void test_a_snapshot_whose_log_is_gone(void **context)
{
    struct wal_scene *scene = *context;
    struct urn_error error;
    struct state beginning;
    struct wal_geometry geometry;
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    assert_int_equal(snapshot_file_load(scene->maker.data_dir.dir, (struct snapshot_name){0, 0},
                                        &bounds, &beginning, &geometry, &error),
                     URN_OK);
    wal_scene_lap(scene);
    assert_int_equal(
        snapshot_file_write(scene->maker.data_dir.dir, &beginning, &geometry, 0, &error), URN_OK);
    wal_scene_assert_tells(scene, NULL, EXIT_MISSING, "of a later lap: stale bytes",
                           WORDS("replay", "log", "--from", "snapshot-0000000000000000-0000"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "state at LSN", WORDS("replay", "log"));
    state_free(&beginning);
}

static void test_a_damaged_snapshot_is_passed_by(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    char path[2 * DATA_DIR_NAME_MAX];
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, places.snapshot, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    assert_true(sim_flip_bit(scene->maker.world, path, 100, 1));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-replay-fallback.txt",
                            WORDS("replay", "log", "--pool", "main"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, name, WORDS("replay", "log", "--from", name));
    /* its name proves that the log went on so far */
    static const uint8_t zeros[SEGMENT] = {0};
    log_maker_write(&scene->maker, 0, zeros, sizeof zeros);
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "segment-0000 does not hold it",
                           WORDS("replay", "log"));
}

static void test_untrue_logs(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_entries(&scene->maker);
    draw(scene, 0, (uint32_t[]){DIAMOND, DIAMOND, DIAMOND}, 3);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0);
    wal_scene_assert_tells(scene, NULL, EXIT_MEANING,
                           "draw 123 took blue diamond of pool main, of which nothing",
                           WORDS("replay", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_SOUND, "right behind draw 122,",
                           WORDS("replay", "log", "--until", "id:122"));
}

/* ---- beside a server --------------------------------------------------------------------------------- */

/* Between any two calls the server goes on: the state is a true one all the same, and none from before the
 * look began. */
static void check_interleaved(struct wal_scene *scene, void (*act)(struct wal_scene *scene))
{
    wal_scene_lap(scene);
    for (uint64_t nth = 1;; nth++) {
        static const char *const operands[] = {LOG_MAKER_PATH};
        struct wal_rival rival = {.scene = scene, .nth = nth, .act = act};
        struct tool tool = wal_scene_tool(scene, stdout, stderr);
        struct history history;
        struct urn_error error;
        struct urn_item coin;
        const uint64_t durable_before = scene->maker.durable_lsn;
        tool.in_use = wal_scene_used;
        wal_rival_begin(&rival);
        assert_int_equal(history_open(&history, &tool, operands, 1, &error), URN_OK);
        struct replay replay = {.history = &history, .notes = stderr};
        if (replay_build(&replay, &error) != URN_OK)
            fail_msg("call %d: %s", (int)nth, error.text);
        wal_rival_end(&rival);
        assert_int_equal(replay.outcome, REPLAY_REACHED);
        assert_true(replay.state.tail.lsn >= durable_before);
        pool_item(replay.state.pools[0], COIN, &coin);
        assert_int_equal(coin.drawn + 1, replay.state.next_request_id);
        replay_end(&replay);
        history_close(&history);
        if (rival.acted == 0)
            return;
    }
}

static void test_a_server_that_writes_meanwhile(void **context)
{
    check_interleaved(*context, wal_scene_write_on);
}

static void test_a_server_that_laps_meanwhile(void **context)
{
    check_interleaved(*context, wal_scene_lap);
}

/* It says that it was overtaken, and prints no state. */
static void test_a_server_that_is_always_faster(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    struct wal_rival rival = {.scene = scene, .nth = 1, .again = true, .act = wal_scene_lap};
    enum exit_status status = EXIT_SOUND;
    wal_rival_begin(&rival);
    char *text = wal_scene_run_any(scene, wal_scene_used, &status, WORDS("replay", "log"));
    wal_rival_end(&rival);
    assert_int_equal(status, EXIT_MISSING);
    assert_null(strstr(text, "state at"));
    assert_non_null(strstr(text, "the server writes over the log faster than it can be replayed"));
    free(text);
}

/* ---- against a server -------------------------------------------------------------------------------- */

/* What a server says of a pool as this state has it, from item `offset` on, `count` items. */
static void pack_state(struct peer *peer, uint32_t msgid, const struct state *state,
                       uint32_t pool_id, uint32_t offset, uint32_t count)
{
    const struct urn_pool *pool = state->pools[pool_id];
    const struct urn_text name = pool_name(pool);
    peer_pack_answer(peer, msgid);
    msgpack_pack_map(&peer->pack, 7);
    peer_pack_text(peer, "pool");
    msgpack_pack_str_with_body(&peer->pack, name.bytes, name.length);
    peer_pack_text(peer, "open");
    if (pool_is_open(pool))
        msgpack_pack_true(&peer->pack);
    else
        msgpack_pack_false(&peer->pack);
    peer_pack_text(peer, "odds_version");
    msgpack_pack_uint64(&peer->pack, pool_odds_version(pool));
    peer_pack_text(peer, "last_request_id");
    msgpack_pack_uint64(&peer->pack, state->next_request_id - 1);
    peer_pack_text(peer, "lsn");
    msgpack_pack_uint64(&peer->pack, state->tail.lsn);
    peer_pack_text(peer, "total");
    msgpack_pack_uint32(&peer->pack, pool_item_count(pool));
    peer_pack_text(peer, "items");
    msgpack_pack_array(&peer->pack, count);
    for (uint32_t index = offset; index < offset + count; index++) {
        const struct urn_text id = pool_item_id(pool, index);
        struct urn_item item;
        pool_item(pool, index, &item);
        msgpack_pack_map(&peer->pack, 5);
        peer_pack_text(peer, "item_id");
        msgpack_pack_str_with_body(&peer->pack, id.bytes, id.length);
        peer_pack_text(peer, "index");
        msgpack_pack_uint32(&peer->pack, index);
        peer_pack_text(peer, "quantity");
        msgpack_pack_int64(&peer->pack, item.quantity);
        peer_pack_text(peer, "probability");
        msgpack_pack_uint64(&peer->pack, item.probability);
        peer_pack_text(peer, "drawn");
        msgpack_pack_uint64(&peer->pack, item.drawn);
    }
}

static void pack_pools(struct peer *peer, uint32_t msgid, const char *const *names, uint32_t count)
{
    peer_pack_answer(peer, msgid);
    msgpack_pack_array(&peer->pack, count);
    for (uint32_t i = 0; i < count; i++)
        peer_pack_text(peer, names[i]);
}

/* Runs replay --against the peer, which answers what was packed. */
static char *run_against(struct wal_scene *scene, struct peer *peer, enum exit_status status,
                         const char *option)
{
    peer_answer_in_turn(peer);
    char *text = wal_scene_run(scene, wal_scene_used, status,
                               WORDS("replay", "log", "--against", peer->address, option));
    peer_join(peer);
    peer_stop(peer);
    return text;
}

/* Its answers are of three moments, each later than the one before: two pages of a pool, one of another. That
 * the log is durable up to there, only they tell. */
static void test_a_server_that_says_the_same(void **context)
{
    for (int json = 0; json < 2; json++) {
        struct wal_scene *scene = *context;
        struct log_maker *maker = &scene->maker;
        struct peer peer;
        peer_listen(&peer);
        pack_pools(&peer, 0, (const char *const[]){"main"}, 1); /* the other is made afterwards */
        log_maker_entries(maker);
        draw(scene, 0, (uint32_t[]){COIN, TICKET}, 2);
        (void)log_maker_add(maker, WAL_DATA, 0);
        wal_scene_follow(scene);
        pack_state(&peer, 1, &scene->state, 0, 0, 1);
        log_maker_entries(maker);
        draw(scene, 0, (uint32_t[]){COIN, json == 0 ? DIAMOND : COIN}, 2);
        if (json == 0) {
            change(scene, WAL_ENTRY_CREATE, 1, 0, 0, 0, 0, "autumn");
            change(scene, WAL_ENTRY_ADD, 1, LEAF, 3, 9, 0, "red leaf");
        }
        (void)log_maker_add(maker, WAL_DATA, 0);
        wal_scene_follow(scene);
        pack_state(&peer, 2, &scene->state, 0, 1, 2);
        (void)log_maker_draws(maker, 5);
        wal_scene_follow(scene);
        pack_state(&peer, 3, &scene->state, 1, 0, 1);
        char *text = run_against(scene, &peer, EXIT_SOUND, json == 1 ? "--json" : NULL);
        if (json == 0)
            assert_golden("urn-wal-replay-against.txt", text);
        else
            assert_non_null(strstr(text, "\"alike\":true,\"first_lsn\":4744,\"last_lsn\":5016,"
                                         "\"pools\":2,\"items\":4,\"difference_count\":0"));
        free(text);
    }
}

static void test_a_server_that_differs(void **context)
{
    struct wal_scene *scene = *context;
    struct peer peer;
    (void)make_history(scene);
    wal_scene_follow(scene);
    const struct pool_update lie = {
        .has_quantity = true, .quantity = 77, .has_probability = true, .probability = 8};
    struct urn_error error;
    assert_int_equal(pool_update(scene->state.pools[0], TICKET, &lie, &error), URN_OK);
    pool_set_open(scene->state.pools[1], false);
    scene->state.next_request_id++;
    peer_listen(&peer);
    pack_pools(&peer, 0, (const char *const[]){"main", "autumn", "lottery"}, 3);
    pack_state(&peer, 1, &scene->state, 0, 0, 3);
    pack_state(&peer, 2, &scene->state, 1, 0, 1);
    pack_state(&peer, 3, &scene->state, 1, 0, 1);     /* of a pool that the log lacks */
    peer_pack_error(&peer, 4, "NOPOOL no such pool"); /* of one that the server lacks */
    char *text = run_against(scene, &peer, EXIT_MEANING, NULL);
    assert_golden("urn-wal-replay-against-differs.txt", text);
    free(text);
}

/* An LSN inside a group, one before the newest snapshot, one beyond the end. */
static void test_a_server_of_another_directory(void **context)
{
    struct wal_scene *scene = *context;
    const struct places places = make_history(scene);
    wal_scene_follow(scene);
    const uint64_t lsns[] = {scene->maker.tail.lsn + 400, places.fourth + 8, places.first};
    for (size_t i = 0; i < sizeof lsns / sizeof lsns[0]; i++) {
        struct peer peer;
        enum exit_status status = EXIT_SOUND;
        peer_listen(&peer);
        pack_pools(&peer, 0, (const char *const[]){"main"}, 1);
        scene->state.tail.lsn = lsns[i];
        pack_state(&peer, 1, &scene->state, 0, 0, 3);
        peer_answer_in_turn(&peer);
        char *text = wal_scene_run_any(scene, wal_scene_used, &status,
                                       WORDS("replay", "log", "--against", peer.address));
        peer_join(&peer);
        peer_stop(&peer);
        assert_true(status == EXIT_NO_MOMENT || status == EXIT_DAMAGE);
        assert_non_null(strstr(text, "the server that has it open?"));
        assert_null(strstr(text, "the same"));
        free(text);
    }
}

/* The log is a copy that no server has open: it ends before the server's answer, and nothing is damaged. */
static void test_a_copy_that_is_behind(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    wal_scene_follow(scene);
    const uint64_t end_lsn = scene->maker.tail.lsn;
    const uint64_t lsns[] = {end_lsn + 400, end_lsn + 3 * SEGMENT};
    for (size_t i = 0; i < sizeof lsns / sizeof lsns[0]; i++) {
        struct peer peer;
        enum exit_status status = EXIT_SOUND;
        char expected[300];
        peer_listen(&peer);
        pack_pools(&peer, 0, (const char *const[]){"main"}, 1);
        scene->state.tail.lsn = lsns[i];
        pack_state(&peer, 1, &scene->state, 0, 0, 3);
        peer_answer_in_turn(&peer);
        char *text = wal_scene_run_any(scene, NULL, &status,
                                       WORDS("replay", "log", "--against", peer.address));
        peer_join(&peer);
        peer_stop(&peer);
        (void)snprintf(expected, sizeof expected,
                       "the log of log ends at LSN %" PRIu64 ", and the server at %s is at LSN "
                       "%" PRIu64 ": nothing was compared",
                       end_lsn, peer.address, lsns[i]);
        if (status != EXIT_NO_MOMENT || strstr(text, expected) == NULL ||
            strstr(text, "damaged") != NULL)
            fail_msg("status %d:\n%s", (int)status, text);
        free(text);
    }
}

static void test_a_server_that_cannot_be_asked(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    wal_scene_assert_tells(scene, NULL, EXIT_UNAVAILABLE, "cannot connect",
                           WORDS("replay", "log", "--against", "unix:nobody-listens-here"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE,
                           "urn-wal: ", WORDS("replay", "log", "--against", "no address"));
    wal_scene_assert_tells(scene, NULL, EXIT_USAGE, "compares with the server as it is now",
                           WORDS("replay", "log", "--against", "unix:x", "--until", "id:3"));
    struct peer peer;
    peer_listen(&peer);
    pack_pools(&peer, 0, (const char *const[]){"main"}, 1);
    peer_pack_error(&peer, 1, "INTERNAL it broke");
    char *text = run_against(scene, &peer, EXIT_UNAVAILABLE, NULL);
    assert_non_null(strstr(text, "INTERNAL it broke"));
    free(text);
}

/* ---- failing ------------------------------------------------------------------------------------------ */

/* Any call may fail: an error, or a moment that is not reached, or no harm; never another state. */
static void test_failing_calls(void **context)
{
    struct wal_scene *scene = *context;
    (void)make_history(scene);
    for (uint64_t nth = 1;; nth++) {
        static const char *const operands[] = {LOG_MAKER_PATH};
        FILE *notes = tmpfile();
        const struct tool tool = wal_scene_tool(scene, stdout, notes);
        struct history history;
        struct urn_error error;
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_ANY_CALL, nth, 0);
        enum urn_code code = history_open(&history, &tool, operands, 1, &error);
        if (code == URN_OK) {
            struct replay replay = {.history = &history, .until = {MOMENT_ID, 102}, .notes = notes};
            code = replay_build(&replay, &error);
            if (code == URN_OK && replay.outcome == REPLAY_REACHED)
                assert_int_equal(replay.state.next_request_id, 103);
            replay_end(&replay);
            history_close(&history);
        }
        assert_int_equal(fclose(notes), 0);
        if (sim_last_event(scene->maker.world)->number == 0) {
            assert_int_equal(code, URN_OK);
            return;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_end),
        TEST(test_behind_every_draw),
        TEST(test_in_the_midst_of_a_group),
        TEST(test_by_time),
        TEST(test_a_clock_that_goes_back),
        TEST(test_moments_that_are_none),
        TEST(test_what_is_written_is_a_snapshot),
        TEST(test_where_nothing_is_written),
        TEST(test_trace),
        TEST(test_a_torn_tail),
        TEST(test_damage),
        TEST(test_an_end_that_cannot_be_read),
        TEST(test_no_snapshot_at_all),
        TEST(test_a_damaged_header_page_is_passed_by),
        TEST(test_missing_parts),
        TEST(test_a_snapshot_whose_log_is_gone),
        TEST(test_a_damaged_snapshot_is_passed_by),
        TEST(test_untrue_logs),
        TEST(test_a_server_that_writes_meanwhile),
        TEST(test_a_server_that_laps_meanwhile),
        TEST(test_a_server_that_is_always_faster),
        TEST(test_a_server_that_says_the_same),
        TEST(test_a_server_that_differs),
        TEST(test_a_server_of_another_directory),
        TEST(test_a_copy_that_is_behind),
        TEST(test_a_server_that_cannot_be_asked),
        TEST(test_failing_calls),
    };
    return cmocka_run_group_tests_name("urn_wal_replay", tests, NULL, NULL);
}
