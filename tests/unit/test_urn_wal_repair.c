/* test_urn_wal_repair.c: `urn-wal repair`: what it says of each case of recovery's table, against golden outputs
 * (tests/golden; URN_GOLDEN_UPDATE=1 in the environment writes them anew), what it does, and that it may be
 * interrupted at any call.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/crc32c.h"
#include "engine/recovery.h"
#include "engine/snapshot_file.h"
#include "tests/lib/golden.h"
#include "tests/lib/wal_scene.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/repair.h"

#define SEGMENT SCENE_SEGMENT

/* ---- asking and comparing -------------------------------------------------------------------- */

/* Runs a command line behind "repair" in a world's present process; what it printed is the caller's to free. */
static char *repair_in(struct sim_world *world, enum exit_status *status, const char *const *words)
{
    static struct invocation invocation;
    char *text = NULL;
    size_t length = 0;
    int count = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    while (words[count] != NULL)
        count++;
    const struct tool tool = {.os = sim_os(world), .out = out, .notes = out};
    *status = EXIT_USAGE;
    if (options_parse(&command_repair, count, words, &invocation, out))
        *status = command_repair.run(&tool, invocation.operands, invocation.operand_count,
                                     invocation.options);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void assert_repair(struct wal_scene *scene, enum exit_status expected, const char *golden,
                          const char *const *words)
{
    enum exit_status status = EXIT_SOUND;
    char *text = repair_in(scene->maker.world, &status, words);
    if (status != expected)
        fail_msg("status %d instead of %d:\n%s", (int)status, (int)expected, text);
    if (golden != NULL)
        assert_golden(golden, text);
    free(text);
}

static void assert_repair_says(struct wal_scene *scene, enum exit_status expected,
                               const char *wanted, const char *const *words)
{
    enum exit_status status = EXIT_SOUND;
    char *text = repair_in(scene->maker.world, &status, words);
    if (status != expected || strstr(text, wanted) == NULL)
        fail_msg("status %d instead of %d, or not \"%s\":\n%s", (int)status, (int)expected, wanted,
                 text);
    free(text);
}

/* What a start makes of a world: opening and recovery, as urnd does it. */
struct start {
    enum urn_code code;
    char text[512];
    uint64_t lsn;
    uint64_t next_id; /* of the first draw */
    uint32_t epoch;
    int64_t diamonds;
    uint64_t coins_drawn;
};

static struct start start_in(struct sim_world *world)
{
    struct start start = {.code = URN_OK};
    struct urn_error error = {.code = URN_OK};
    struct data_dir data_dir;
    struct recovery recovery;
    struct state state;
    const struct urn_engine_config config = {
        .data_dir = LOG_MAKER_PATH, .segment_size_bytes = SEGMENT, .segments = 3};
    const struct state_bounds bounds = {.max_pools = 8, .max_items = 1000};
    start.code = data_dir_open(sim_os(world), &config, &data_dir, &error);
    if (start.code == URN_OK) {
        start.code = recovery_read(&data_dir, &bounds, false, &state, &recovery, &error);
        data_dir_close(&data_dir);
    }
    if (start.code != URN_OK) {
        (void)snprintf(start.text, sizeof start.text, "%s", error.text);
        return start;
    }
    struct urn_item item;
    start.lsn = state.tail.lsn;
    start.epoch = recovery.epoch_max;
    start.next_id = state.next_request_id > state.reserved_request_id
                        ? state.next_request_id
                        : state.reserved_request_id + 1;
    pool_item(state.pools[0], DIAMOND, &item);
    start.diamonds = item.quantity;
    pool_item(state.pools[0], COIN, &item);
    start.coins_drawn = item.drawn;
    state_free(&state);
    return start;
}

/* In a world of its own, so that it leaves no trace. */
static struct start start_beside(struct sim_world *world)
{
    struct sim_world *copy = sim_world_clone(world, 1);
    (void)sim_restart(copy);
    const struct start start = start_in(copy);
    sim_world_free(copy);
    return start;
}

/* Of the names and bytes of everything in the data directory but LOCK, REPAIR and folders. */
struct files_hash {
    const struct sim_world *world;
    const char *but; /* and but for this one */
    uint64_t sum;
};

static void hash_file(void *context, const char *name)
{
    struct files_hash *hash = context;
    char path[256];
    uint64_t size = 0;
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    const enum data_dir_name_kind kind = data_dir_name_kind(name);
    if ((kind != DATA_DIR_NAME_IDENTITY && kind != DATA_DIR_NAME_SEGMENT &&
         kind != DATA_DIR_NAME_SNAPSHOT) ||
        !sim_file_size(hash->world, path, &size))
        return;
    uint64_t sum = 1 + crc32c(name, strlen(name));
    for (uint64_t at = 0; at < size; at += OS_SECTOR_BYTES) {
        uint8_t sector[OS_SECTOR_BYTES];
        const size_t length = size - at < sizeof sector ? (size_t)(size - at) : sizeof sector;
        sum = sum * 31 +
              (sim_file_bytes(hash->world, path, at, sector, length) ? crc32c(sector, length) : 7);
    }
    hash->sum += sum;
}

static uint64_t files_hash(const struct sim_world *world)
{
    struct files_hash hash = {.world = world};
    (void)sim_list(world, LOG_MAKER_PATH, hash_file, &hash);
    return hash.sum;
}

static char folder[64];

static void find_folder(void *context, const char *name)
{
    (void)context;
    if (strncmp(name, "lost+found-", 11) == 0)
        (void)snprintf(folder, sizeof folder, "%s", name);
}

/* A file of the folder with copies has these bytes. */
static void assert_copied(const struct sim_world *world, const char *name, const uint8_t *bytes,
                          uint64_t length)
{
    char path[256];
    uint64_t size = 0;
    folder[0] = 0;
    (void)sim_list(world, LOG_MAKER_PATH, find_folder, NULL);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s/%s", folder, name);
    assert_true(sim_file_size(world, path, &size));
    assert_int_equal(size, length);
    uint8_t *copy = malloc(length + 1);
    assert_non_null(copy);
    assert_true(sim_file_bytes(world, path, 0, copy, length));
    assert_memory_equal(copy, bytes, length);
    free(copy);
}

/* ---- scenes ----------------------------------------------------------------------------------- */

/* Acknowledged draws, of which the last 20 are damaged; the mark behind them says that they were durable.
 * Returns where. */
static uint64_t damaged_scene(struct wal_scene *scene)
{
    const uint64_t last = wal_scene_serve(scene);
    log_maker_flip(&scene->maker, last + 110);
    return last;
}

/* A group of few draws that takes most of a segment: the rest of it is zeros. */
static void add_wide_group(struct log_maker *maker)
{
    const uint32_t outcome = 0;
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1, &outcome, 1);
    (void)log_maker_add(maker, WAL_DATA, 40000);
}

/* The same, with all that can follow: draws over all segments (many, or one a segment), reservations, an epoch, a
 * sector that cannot be read, and a snapshot that does not verify. */
static uint64_t hopeless_scene_of(struct wal_scene *scene, bool many)
{
    struct log_maker *maker = &scene->maker;
    const uint64_t last = wal_scene_serve(scene);
    for (int i = 0; i < 3; i++) {
        if (many)
            (void)log_maker_draws(maker, 40000);
        else
            add_wide_group(maker);
        maker->durable_lsn = maker->tail.lsn;
    }
    log_maker_entries(maker);
    wal_entries_add_ids(&maker->entries, 777777);
    (void)log_maker_add(maker, WAL_DATA, 0);
    maker->durable_lsn = maker->tail.lsn;
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    char name[DATA_DIR_NAME_MAX];
    char path[128];
    data_dir_snapshot_name(name, scene->state.tail.lsn, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    assert_true(sim_flip_bit(maker->world, path, 100, 2));
    (void)log_maker_mark(maker);
    log_maker_flip(maker, last + 110);
    log_maker_unreadable(maker, SEGMENT + 8192);
    return last;
}

static uint64_t hopeless_scene(struct wal_scene *scene)
{
    return hopeless_scene_of(scene, true);
}

static uint64_t torn_scene(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    const uint64_t end = maker->tail.lsn;
    (void)log_maker_draws(maker, 500);
    (void)log_maker_draws(maker, 7); /* whole, and never durable */
    log_maker_flip(maker, end + 300);
    return end;
}

static const char *number(uint64_t value)
{
    static char texts[4][24];
    static unsigned next;
    char *text = texts[next++ % 4];
    (void)snprintf(text, sizeof texts[0], "%llu", (unsigned long long)value);
    return text;
}

/* ---- plans ------------------------------------------------------------------------------------ */

static void test_nothing_to_repair(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t before = sim_hash(scene->maker.world);
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-sound.txt", WORDS("log"));
    assert_repair(scene, EXIT_SOUND, NULL, WORDS("log", "--truncate-tail"));
    assert_int_equal(sim_hash(scene->maker.world), before);
}

static void test_damage_is_planned(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = damaged_scene(scene);
    const uint64_t before = sim_hash(scene->maker.world);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d5.txt", WORDS("log"));
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-d5-plan.txt",
                  WORDS("log", "--truncate-at", number(x)));
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-d5-earlier.txt",
                  WORDS("log", "--truncate-at", "4232"));
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d5-tail.txt",
                  WORDS("log", "--truncate-tail", "--write"));
    assert_int_equal(files_hash(scene->maker.world), files_hash(scene->maker.world));
    sim_lose_file(scene->maker.world, LOG_MAKER_PATH "/LOCK");
    assert_int_equal(sim_hash(scene->maker.world), before);
}

static void test_all_that_can_follow_is_planned(void **context)
{
    struct wal_scene *scene = *context;
    (void)hopeless_scene(scene);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d5-all.txt", WORDS("log"));
}

static void test_no_snapshot(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    assert_true(sim_flip_bit(scene->maker.world, "log/snapshot-0000000000000000-0000", 99, 1));
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d1.txt", WORDS("log"));
    assert_repair_says(scene, EXIT_USAGE, "no sound snapshot is at or below LSN 4232",
                       WORDS("log", "--truncate-at", "4232"));
    assert_repair_says(scene, EXIT_SOUND, "\"type\":\"draw\",\"request_id\":1,",
                       WORDS("log", "--salvage"));
}

static void test_an_unreadable_log(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_unreadable(&scene->maker, last + 151);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d2.txt", WORDS("log"));
}

static void test_what_cannot_be_true(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    const uint32_t diamond = DIAMOND;
    log_maker_entries(maker);
    for (int i = 0; i < 3; i++) /* there are two */
        wal_entries_add_draws(&maker->entries, 0, 1, 1, &diamond, 1);
    (void)log_maker_add(maker, WAL_DATA, 0);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d3.txt", WORDS("log"));
}

static void test_blind(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_unreadable(&scene->maker, 2 * SEGMENT + 4096);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d4.txt", WORDS("log"));
}

static void test_a_snapshot_beyond(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    assert_true(sim_file_exists(maker->world, "log/snapshot-0000000000000000-0000"));
    struct os_file *file = NULL;
    assert_int_equal(
        os_file_open(maker->data_dir.dir, "snapshot-0000000000004000-0000", OS_CREATE, &file), 0);
    os_file_close(file);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-d6.txt", WORDS("log"));
}

static void test_a_torn_tail_is_planned(void **context)
{
    struct wal_scene *scene = *context;
    (void)torn_scene(scene);
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-d8.txt", WORDS("log"));
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-d8-plan.txt", WORDS("log", "--truncate-tail"));
}

static void test_salvage(void **context)
{
    struct wal_scene *scene = *context;
    (void)damaged_scene(scene);
    (void)log_maker_draws(&scene->maker, 2);
    const uint64_t before = sim_hash(scene->maker.world);
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-salvage.json", WORDS("log", "--salvage"));
    assert_int_equal(sim_hash(scene->maker.world), before);
}

/* One draw and one change: told of as one. */
static void test_a_loss_of_one(void **context)
{
    static const struct wal_change change = {WAL_ENTRY_UPDATE, 0,        COIN, 2, 0, 3,
                                             WAL_SETS_WEIGHT,  {NULL, 0}};
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1, (uint32_t[]){COIN}, 1);
    wal_entries_add_change(&maker->entries, &change);
    const uint64_t last = log_maker_add(maker, WAL_DATA, 0);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    assert_repair_says(scene, EXIT_SOUND,
                       "lost: 1 acknowledged draw and 1 change of items or pools.\n",
                       WORDS("log", "--truncate-at", number(last)));
    assert_repair_says(scene, EXIT_USAGE, "but the loss is 1 draw: nothing was changed",
                       WORDS("log", "--truncate-at", number(last), "--accept-loss", "2"));
}

/* ---- refusals --------------------------------------------------------------------------------- */

static void test_wrong_usage(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = damaged_scene(scene);
    const char *at = number(x);
    static const struct {
        const char *words[8];
        const char *says;
    } rows[] = {
        {{"log", "--truncate-tail", "--salvage"}, "one at a time"},
        {{"log", "--truncate-tail", "--truncate-at", "1"}, "one at a time"},
        {{"log", "--salvage", "--write"}, "goes without --write"},
        {{"log", "--write"}, "--write goes with"},
        {{"log", "--accept-loss", "3"}, "--accept-loss goes with --truncate-at"},
        {{"log", "--truncate-at"}, "--truncate-at needs a position in the log"},
        {{"log", "--truncate-at", "-1"}, "--truncate-at needs a position in the log"},
        {{"log", "--trunkate-at", "1"}, "did you mean --truncate-at?"},
        {{"log", "log"}, "wants no more than a data directory"},
        {{"log", "--truncate-at", "4300"}, "LSN 4300 is amid a group"},
        {{"log", "--truncate-at", "9999999"}, "cannot be made to end at LSN 9999999"},
    };
    const uint64_t before = sim_hash(scene->maker.world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_repair_says(scene, EXIT_USAGE, rows[i].says, rows[i].words);
    assert_repair_says(scene, EXIT_USAGE, "--accept-loss 19, but the loss is 20 draws",
                       WORDS("log", "--truncate-at", at, "--accept-loss", "19"));
    assert_int_equal(sim_hash(scene->maker.world), before);
    const uint64_t files = files_hash(scene->maker.world);
    assert_repair_says(scene, EXIT_USAGE, "--accept-loss 21, but the loss is 20 draws",
                       WORDS("log", "--truncate-at", at, "--accept-loss", "21", "--write"));
    assert_repair_says(scene, EXIT_USAGE, "--write needs --accept-loss",
                       WORDS("log", "--truncate-at", at, "--write"));
    assert_int_equal(files_hash(scene->maker.world), files);
    assert_false(sim_file_exists(scene->maker.world, "log/REPAIR"));
}

static void test_a_missing_file(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = damaged_scene(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0002"));
    assert_repair_says(scene, EXIT_MISSING, "put them back", WORDS("log"));
    assert_repair_says(scene, EXIT_MISSING, "put them back",
                       WORDS("log", "--truncate-at", number(x), "--accept-loss", "20", "--write"));
    assert_repair_says(scene, EXIT_CANNOT_OPEN, "cannot open", WORDS("elsewhere"));
}

static void test_a_server_has_it(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = damaged_scene(scene);
    char *text = wal_scene_run(scene, wal_scene_used, EXIT_IN_USE, WORDS("repair", "log"));
    assert_non_null(strstr(text, "stop it first"));
    free(text);
    struct os_dir *dir = NULL;
    struct os_file *lock = NULL;
    struct urn_os *server = sim_other_process(scene->maker.world);
    assert_int_equal(os_dir_open(server, "log", &dir), 0);
    assert_int_equal(os_dir_lock(dir, DATA_DIR_LOCK, true, &lock), 0);
    const uint64_t before = sim_hash(scene->maker.world);
    assert_repair_says(scene, EXIT_IN_USE, "another process",
                       WORDS("log", "--truncate-at", number(x), "--accept-loss", "20", "--write"));
    assert_int_equal(sim_hash(scene->maker.world), before);
    os_file_close(lock);
    os_dir_close(dir);
}

/* ---- doing ------------------------------------------------------------------------------------ */

static void test_damage_is_cut_off(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = damaged_scene(scene);
    uint8_t *before = malloc(SEGMENT);
    assert_non_null(before);
    assert_true(sim_file_bytes(scene->maker.world, "log/segment-0000", 0, before, SEGMENT));
    assert_string_equal(start_beside(scene->maker.world).text[0] == 'c' ? "case D5" : "",
                        "case D5");
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-d5-write.txt",
                  WORDS("log", "--truncate-at", number(x), "--accept-loss", "20", "--write"));
    assert_copied(scene->maker.world, "segment-0000", before, SEGMENT);
    free(before);
    const struct start start = start_in(scene->maker.world);
    if (start.code != URN_OK)
        fail_msg("%s", start.text);
    assert_int_equal(start.next_id, 120 + REPAIR_ID_MARGIN + 1);
    assert_int_equal(start.epoch, 2);
    assert_int_equal(start.coins_drawn, 100);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", "log"));
    free(text);
    assert_repair(scene, EXIT_SOUND, NULL, WORDS("log"));
    log_maker_flip(&scene->maker,
                   8192 + 120); /* where the ids stand: nothing is as if it had not been */
    assert_non_null(strstr(start_in(scene->maker.world).text, "case D5"));
}

/* Snapshots above the cut, reservations, later segments, what cannot be read. */
static void test_all_that_can_follow_is_cut_off(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = hopeless_scene(scene);
    const uint64_t loss = 120020;
    assert_repair_says(
        scene, EXIT_SOUND, "repaired: the log ends at LSN",
        WORDS("log", "--truncate-at", number(x), "--accept-loss", number(loss), "--write"));
    const struct start start = start_in(scene->maker.world);
    if (start.code != URN_OK)
        fail_msg("%s", start.text);
    assert_int_equal(start.next_id, 777777 + REPAIR_ID_MARGIN + 1);
    assert_int_equal(start.coins_drawn, 100);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", "log"));
    assert_null(strstr(text, "UNSOUND"));
    free(text);
}

/* Each case that can be cut at the place where a start stops can be, and then starts. */
static void cut_where_a_start_stops(struct wal_scene *scene, uint64_t x, uint64_t loss)
{
    assert_repair_says(
        scene, EXIT_SOUND, "repaired",
        WORDS("log", "--truncate-at", number(x), "--accept-loss", number(loss), "--write"));
    const struct start start = start_in(scene->maker.world);
    if (start.code != URN_OK)
        fail_msg("%s", start.text);
    assert_true(start.next_id > REPAIR_ID_MARGIN);
}

static void test_an_unreadable_log_is_cut_off(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_unreadable(&scene->maker, last + 151);
    cut_where_a_start_stops(scene, last, 20);
}

static void test_a_blind_end_is_cut_off(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_unreadable(&scene->maker, 2 * SEGMENT + 4096);
    cut_where_a_start_stops(scene, scene->maker.tail.lsn, 0);
}

static void test_a_snapshot_beyond_is_moved_aside(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    struct os_file *file = NULL;
    (void)wal_scene_serve(scene);
    assert_int_equal(
        os_file_open(maker->data_dir.dir, "snapshot-0000000000004000-0000", OS_CREATE, &file), 0);
    os_file_close(file);
    cut_where_a_start_stops(scene, maker->tail.lsn, 0);
    assert_false(sim_file_exists(maker->world, "log/snapshot-0000000000004000-0000"));
    assert_copied(maker->world, "snapshot-0000000000004000-0000", (const uint8_t *)"", 0);
}

/* The log is made to end where a segment ends: the epoch group opens the next one. */
static void test_a_cut_at_a_segments_end(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    while (maker->tail.lsn < SEGMENT)
        (void)log_maker_draws(maker, 3000);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    const uint64_t size = SEGMENT;
    char *text =
        wal_scene_run(scene, NULL, EXIT_SOUND,
                      WORDS("cat", "log", "--groups", "--type", "pad", "--to", number(size)));
    free(text);
    assert_repair_says(scene, EXIT_SOUND, "segment-0001  zeros from offset 0 to 65536",
                       WORDS("log", "--truncate-at", number(size)));
    enum exit_status status = EXIT_SOUND;
    text = repair_in(maker->world, &status, WORDS("log", "--truncate-at", number(size)));
    const char *lost = strstr(text, "lost: ");
    assert_non_null(lost);
    const uint64_t loss = strtoull(lost + 6, NULL, 10);
    free(text);
    cut_where_a_start_stops(scene, size, loss);
}

/* A ring that has come around: what lies before the base stays, what is behind the cut goes. */
static void test_a_second_lap(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    wal_scene_lap(scene);
    const uint64_t x = maker->tail.lsn;
    (void)log_maker_draws(maker, 30);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_draws(maker, 40000); /* into the next segment */
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    log_maker_flip(maker, x + 106);
    const uint64_t next_id = maker->first_request_id;
    cut_where_a_start_stops(scene, x, 40030);
    const struct start start = start_in(maker->world);
    assert_int_equal(start.next_id, next_id + REPAIR_ID_MARGIN);
}

static void test_a_torn_tail_is_cut_off(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t end = torn_scene(scene);
    const struct start before = start_beside(scene->maker.world);
    assert_repair(scene, EXIT_SOUND, "urn-wal-repair-d8-write.txt",
                  WORDS("log", "--truncate-tail", "--write"));
    const struct start start = start_in(scene->maker.world);
    assert_int_equal(start.code, URN_OK);
    assert_int_equal(start.lsn, end);
    assert_int_equal(start.next_id, before.next_id);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", "log"));
    assert_non_null(strstr(text, "clean end, only zeros follow"));
    free(text);
}

/* The data directory itself is there for good. */
static void sync_root(struct wal_scene *scene)
{
    struct os_dir *root = NULL;
    assert_int_equal(os_dir_open(sim_os(scene->maker.world), "/", &root), 0);
    assert_int_equal(os_dir_sync(root), 0);
    os_dir_close(root);
}

/* What a server wrote whose sync failed: the cache has it and looks clean, the disk has zeros. */
static void unsync(struct wal_scene *scene, uint64_t from_lsn, uint64_t to_lsn)
{
    struct os_dir *dir = scene->maker.data_dir.dir;
    struct os_file *file = NULL;
    static uint8_t bytes[SEGMENT];
    static const uint8_t zeros[SEGMENT];
    const size_t length = (size_t)(to_lsn - from_lsn);
    size_t done = 0;
    assert_true(sim_file_bytes(scene->maker.world, "log/segment-0000", from_lsn, bytes, length));
    log_maker_write(&scene->maker, from_lsn, zeros, length);
    assert_int_equal(os_file_open(dir, "segment-0000", OS_WRITE, &file), 0);
    assert_int_equal(os_file_write(file, bytes, length, from_lsn, &done), 0);
    assert_int_equal(done, length);
    sim_fail_at(scene->maker.world, SIM_FILE_SYNC, 1, EIO);
    assert_int_equal(os_file_sync(file), EIO);
    os_file_close(file);
}

/* What is kept may live in the cache only. A start would keep it; so does a repair, over a power loss. */
static void test_a_tail_in_the_cache_is_kept(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    const uint64_t from = maker->tail.lsn;
    (void)log_maker_draws(maker, 9000);
    const uint64_t end = maker->tail.lsn;
    (void)log_maker_draws(maker, 500);
    log_maker_flip(maker, end + 300);
    sync_root(scene);
    unsync(scene, from, end);
    for (uint64_t luck = 0; luck < 40; luck++) {
        struct sim_world *world = sim_world_clone(maker->world, luck);
        enum exit_status status = EXIT_SOUND;
        (void)sim_restart(world);
        char *text = repair_in(world, &status,
                               luck % 2 == 0 ? WORDS("log", "--truncate-tail", "--write")
                                             : WORDS("log", "--truncate-at", number(end),
                                                     "--accept-loss", "0", "--write"));
        if (status != EXIT_SOUND)
            fail_msg("luck %llu: %s", (unsigned long long)luck, text);
        free(text);
        sim_crash_now(world, SIM_CRASH_MACHINE);
        (void)sim_restart(world);
        const struct start start = start_in(world);
        if (start.code != URN_OK || start.coins_drawn != 9120)
            fail_msg("luck %llu: %s", (unsigned long long)luck, start.text);
        sim_world_free(world);
    }
}

static void test_a_full_disk_is_met_before_anything_is_changed(void **context)
{
    struct wal_scene *scene = *context;
    struct sim_world *world = scene->maker.world;
    const uint64_t x = damaged_scene(scene);
    const uint64_t files = files_hash(world);
    const uint64_t used = sim_used_bytes(world);
    for (uint64_t room = 0; room <= SEGMENT + 2 * OS_PAGE_BYTES; room += OS_PAGE_BYTES) {
        struct sim_world *copy = sim_world_clone(world, room);
        enum exit_status status = EXIT_SOUND;
        (void)sim_restart(copy);
        sim_set_capacity(copy, used + room);
        char *text =
            repair_in(copy, &status,
                      WORDS("log", "--truncate-at", number(x), "--accept-loss", "20", "--write"));
        if (status == EXIT_SOUND) {
            assert_true(room > SEGMENT);
            free(text);
            sim_world_free(copy);
            continue;
        }
        assert_int_equal(status, EXIT_READ_ERROR);
        if (files_hash(copy) != files || sim_file_exists(copy, "log/REPAIR"))
            fail_msg("room %llu: %s", (unsigned long long)room, text);
        if (strstr(text, "nothing was changed: ") == NULL && strstr(text, "cannot lock") == NULL)
            fail_msg("room %llu: %s", (unsigned long long)room, text);
        assert_int_equal(sim_used_bytes(copy) <= used + 3 * OS_PAGE_BYTES, 1);
        free(text);
        sim_set_capacity(copy, UINT64_MAX);
        text =
            repair_in(copy, &status,
                      WORDS("log", "--truncate-at", number(x), "--accept-loss", "20", "--write"));
        assert_int_equal(status, EXIT_SOUND);
        free(text);
        sim_world_free(copy);
    }
}

/* ---- interruptions ---------------------------------------------------------------------------- */

struct interruption {
    struct sim_world *before; /* the damaged directory */
    const char *const *words; /* of a repair with --write */
    uint64_t files;           /* files_hash of it */
    struct start after;       /* what a start makes of it when the repair was not interrupted */
    unsigned copies;          /* how many files are changed */
    bool starts_before;       /* a torn tail: a start goes on from the old files too */
    unsigned met_old, met_begun, met_done;
};

static bool same_start(const struct start *one, const struct start *other)
{
    return one->code == URN_OK && one->lsn == other->lsn && one->next_id == other->next_id &&
           one->diamonds == other->diamonds && one->coins_drawn == other->coins_drawn;
}

struct copy_check {
    const struct sim_world *before;
    const struct sim_world *world;
    unsigned copies;
};

/* A copy, if there is one, is what the file was; a sector that could not be read is zeros. */
static void check_copy(void *context, const char *name)
{
    struct copy_check *check = context;
    char copy[256];
    char original[256];
    uint64_t size = 0;
    uint64_t original_size = 0;
    (void)snprintf(copy, sizeof copy, LOG_MAKER_PATH "/%s/%s", folder, name);
    (void)snprintf(original, sizeof original, LOG_MAKER_PATH "/%s", name);
    if (!sim_file_size(check->world, copy, &size))
        return;
    assert_true(sim_file_size(check->before, original, &original_size));
    assert_int_equal(size, original_size);
    for (uint64_t at = 0; at < size; at += OS_SECTOR_BYTES) {
        uint8_t one[OS_SECTOR_BYTES] = {0};
        uint8_t other[OS_SECTOR_BYTES];
        const size_t length = size - at < sizeof one ? (size_t)(size - at) : sizeof one;
        (void)sim_file_bytes(check->before, original, at, one, length);
        assert_true(sim_file_bytes(check->world, copy, at, other, length));
        assert_memory_equal(one, other, length);
    }
    check->copies++;
}

/* Once the repair is decided, what is changed, and that is everything that differs, has its copy. */
static void assert_copies(const struct interruption *what, const struct sim_world *world)
{
    struct copy_check check = {.before = what->before, .world = world};
    folder[0] = 0;
    (void)sim_list(world, LOG_MAKER_PATH, find_folder, NULL);
    (void)sim_list(what->before, LOG_MAKER_PATH, check_copy, &check);
    assert_int_equal(check.copies, what->copies);
}

/* The old files, the repaired ones, or what a second repair makes of it; and no start takes it for sound
 * before it is. */
static void assert_left(struct interruption *what, struct sim_world *world, const char *how)
{
    enum exit_status status = EXIT_SOUND;
    const struct start left = start_beside(world);
    const bool begun = sim_file_exists(world, "log/REPAIR");
    if (begun) {
        what->met_begun++;
        assert_copies(what, world);
        if (left.code != URN_DAMAGED || strstr(left.text, "has begun and has not ended") == NULL)
            fail_msg("%s: a start passes REPAIR: %s", how, left.text);
    } else if (files_hash(world) == what->files) {
        what->met_old++;
        assert_int_equal(left.code == URN_OK, what->starts_before);
    } else if (same_start(&left, &what->after)) {
        what->met_done++;
        assert_copies(what, world);
        return;
    } else {
        fail_msg("%s: neither old nor repaired: %s", how, left.text);
    }
    char *text = repair_in(world, &status, what->words);
    if (status != EXIT_SOUND)
        fail_msg("%s: a second repair ends with %d:\n%s", how, (int)status, text);
    free(text);
    const struct start again = start_beside(world);
    if (!same_start(&again, &what->after))
        fail_msg("%s: behind a second repair: %s", how, again.text);
    assert_false(sim_file_exists(world, "log/REPAIR"));
}

enum how {
    CRASH_PROCESS,
    CRASH_MACHINE,
    CRASH_AMID,
    CRASH_BOTH,
    FAIL,
    FAIL_THEN_CRASH,
    SHORT,
    HOWS
};
static const char *const how_texts[HOWS] = {"process", "machine",     "amid", "both",
                                            "fail",    "fail, crash", "short"};

/* What a repair that met a fault said is what it left. */
static void assert_told(const struct interruption *what, const struct sim_world *world,
                        enum exit_status status, const char *text, const char *how)
{
    const bool begun = sim_file_exists(world, "log/REPAIR");
    const bool done = !begun && files_hash(world) != what->files;
    if ((strstr(text, "a repair has begun and has not ended") != NULL) != begun ||
        (strstr(text, "repaired: the log ends at") != NULL) != done ||
        (!done && status == EXIT_SOUND))
        fail_msg("%s: status %d, and REPAIR is%s there:\n%s", how, (int)status, begun ? "" : " not",
                 text);
    if (done && status != EXIT_SOUND && strstr(text, "may bring REPAIR back") == NULL)
        fail_msg("%s: nothing is said of a power loss:\n%s", how, text);
}

/* False: the repair came to its end before the nth call. */
static bool interrupt(struct interruption *what, uint64_t n, enum how how, uint64_t luck)
{
    struct sim_world *world = sim_world_clone(what->before, 1000 * n + luck);
    enum exit_status status = EXIT_SOUND;
    (void)sim_restart(world);
    if (how == FAIL || how == FAIL_THEN_CRASH)
        sim_fail_at(world, SIM_ANY_CALL, n, 0);
    else if (how == SHORT)
        sim_short_at(world, n);
    else
        sim_crash_at(world, n,
                     how == CRASH_PROCESS || how == CRASH_BOTH ? SIM_CRASH_PROCESS
                                                               : SIM_CRASH_MACHINE,
                     how == CRASH_AMID ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
    char *text = repair_in(world, &status, what->words);
    const bool fired = sim_crashed(world) != SIM_NO_CRASH || sim_last_event(world)->number != 0;
    char words[128];
    (void)snprintf(words, sizeof words, "%s at call %llu (%s), luck %llu", how_texts[how],
                   (unsigned long long)n, sim_call_text(sim_last_event(world)->call),
                   (unsigned long long)luck);
    if (how == SHORT && status != EXIT_SOUND)
        fail_msg("%s: status %d:\n%s", words, (int)status, text);
    if (how == FAIL || how == FAIL_THEN_CRASH)
        assert_told(what, world, status, text, words);
    free(text);
    if (how == FAIL_THEN_CRASH || how == CRASH_BOTH || sim_is_stopped(world))
        sim_crash_now(world, SIM_CRASH_MACHINE);
    (void)sim_restart(world);
    assert_left(what, world, words);
    sim_world_free(world);
    return fired;
}

static void interrupt_everywhere(struct wal_scene *scene, const char *const *words, unsigned copies,
                                 bool starts_before)
{
    sync_root(scene);
    struct interruption what = {.before = scene->maker.world,
                                .words = words,
                                .files = files_hash(scene->maker.world),
                                .copies = copies,
                                .starts_before = starts_before};
    struct sim_world *smooth = sim_world_clone(scene->maker.world, 1);
    enum exit_status status = EXIT_SOUND;
    (void)sim_restart(smooth);
    char *text = repair_in(smooth, &status, words);
    if (status != EXIT_SOUND)
        fail_msg("%s", text);
    free(text);
    what.after = start_beside(smooth);
    sim_world_free(smooth);
    for (int how = 0; how < HOWS; how++) {
        bool fired = true;
        for (uint64_t n = 1; fired; n++) {
            fired = false;
            for (uint64_t luck = 0; luck < (how == CRASH_PROCESS || how == SHORT ? 1 : 2); luck++)
                fired = interrupt(&what, n, (enum how)how, luck) || fired;
        }
    }
    assert_true(what.met_old > 0 && what.met_begun > 0 && what.met_done > 0);
}

/* Few draws, for their lines would take most of the time, and each is repaired twice. */
static void test_a_cut_is_interrupted_at_every_call(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t x = hopeless_scene_of(scene, false);
    char at[24];
    (void)snprintf(at, sizeof at, "%s", number(x));
    interrupt_everywhere(scene, WORDS("log", "--truncate-at", at, "--accept-loss", "23", "--write"),
                         4, false);
}

static void test_a_cut_of_the_tail_is_interrupted_at_every_call(void **context)
{
    struct wal_scene *scene = *context;
    (void)torn_scene(scene);
    interrupt_everywhere(scene, WORDS("log", "--truncate-tail", "--write"), 1, true);
}

/* Other arguments than the repair began with, and no --write: told how to finish it. */
static void test_a_begun_repair_is_told_of(void **context)
{
    struct wal_scene *scene = *context;
    struct sim_world *world = scene->maker.world;
    const uint64_t x = hopeless_scene(scene);
    enum exit_status status = EXIT_SOUND;
    const char *at = number(x);
    for (uint64_t n = 1; !sim_file_exists(world, "log/REPAIR"); n++) {
        sim_fail_at(world, SIM_REMOVE, n, EACCES);
        free(repair_in(world, &status,
                       WORDS("log", "--truncate-at", at, "--accept-loss", "120020", "--write")));
    }
    sim_fail_at(world, SIM_ANY_CALL, UINT64_MAX, 0);
    assert_int_not_equal(status, EXIT_SOUND);
    assert_repair(scene, EXIT_DAMAGE, "urn-wal-repair-begun.txt", WORDS("log"));
    assert_repair_says(scene, EXIT_USAGE, "To finish it:",
                       WORDS("log", "--truncate-at", "4232", "--accept-loss", "120020", "--write"));
    assert_repair_says(scene, EXIT_USAGE,
                       "To finish it:", WORDS("log", "--truncate-tail", "--write"));
    char *text = wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("verify", "log"));
    assert_non_null(strstr(text, "a repair has begun and has not ended"));
    free(text);
    assert_true(sim_flip_bit(world, "log/REPAIR", 40, 0));
    assert_repair_says(scene, EXIT_DAMAGE, "REPAIR is not as urn writes it", WORDS("log"));
    assert_true(sim_flip_bit(world, "log/REPAIR", 40, 0));
    assert_repair_says(scene, EXIT_SOUND, "repaired",
                       WORDS("log", "--truncate-at", at, "--accept-loss", "120020", "--write"));
    assert_int_equal(start_in(world).code, URN_OK);
}

/* REPAIR is a format: pinned, and strict. */
static void test_the_intent_is_pinned(void **context)
{
    struct wal_scene *scene = *context;
    static const char facts[] =
        "urn repair\nformat: 1\nwhat: truncate-at\nlsn: 4464\nloss: 20\nepoch: 2\n"
        "next_request_id: 1000000000121\ncopies: lost+found-20261122T051429Z\n"
        "cut: 0 4464 65536\ncut: 2 0 512\n";
    struct os_dir *dir = scene->maker.data_dir.dir;
    struct repair_intent intent;
    struct repair_intent read;
    struct urn_error error;
    bool begun = true;
    assert_int_equal(repair_intent_make(&intent, &error), URN_OK);
    assert_int_equal(repair_intent_make(&read, &error), URN_OK);
    assert_int_equal(repair_intent_read(dir, &read, &begun, &error), URN_OK);
    assert_false(begun);
    intent.what = REPAIR_AT;
    intent.lsn = 4464;
    intent.loss = 20;
    intent.epoch = 2;
    intent.next_request_id = 1000000000121;
    (void)snprintf(intent.copies, sizeof intent.copies, "lost+found-20261122T051429Z");
    intent.cut_count = 2;
    intent.cuts[0] = (struct repair_cut){0, 4464, 65536};
    intent.cuts[1] = (struct repair_cut){2, 0, 512};
    assert_int_equal(repair_intent_publish(dir, &intent, &error), URN_OK);
    char expected[sizeof facts + 32];
    (void)snprintf(expected, sizeof expected, "%scrc32c: %08x\n", facts,
                   crc32c(facts, sizeof facts - 1));
    char text[sizeof expected];
    uint64_t size = 0;
    assert_true(sim_file_size(scene->maker.world, "log/REPAIR", &size));
    assert_int_equal(size, strlen(expected));
    assert_true(sim_file_bytes(scene->maker.world, "log/REPAIR", 0, text, size));
    assert_memory_equal(text, expected, size);
    assert_int_equal(repair_intent_read(dir, &read, &begun, &error), URN_OK);
    assert_true(begun);
    assert_int_equal(read.cut_count, 2);
    assert_int_equal(read.cuts[0].from, 4464);
    for (uint64_t at = 0; at < size; at++) {
        assert_true(sim_flip_bit(scene->maker.world, "log/REPAIR", at, (unsigned)(at % 7)));
        assert_int_equal(repair_intent_read(dir, &read, &begun, &error), URN_DAMAGED);
        assert_true(sim_flip_bit(scene->maker.world, "log/REPAIR", at, (unsigned)(at % 7)));
    }
    repair_intent_free(&intent);
    repair_intent_free(&read);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_to_repair),
        TEST(test_damage_is_planned),
        TEST(test_all_that_can_follow_is_planned),
        TEST(test_no_snapshot),
        TEST(test_an_unreadable_log),
        TEST(test_what_cannot_be_true),
        TEST(test_blind),
        TEST(test_a_snapshot_beyond),
        TEST(test_a_torn_tail_is_planned),
        TEST(test_salvage),
        TEST(test_a_loss_of_one),
        TEST(test_wrong_usage),
        TEST(test_a_missing_file),
        TEST(test_a_server_has_it),
        TEST(test_damage_is_cut_off),
        TEST(test_all_that_can_follow_is_cut_off),
        TEST(test_an_unreadable_log_is_cut_off),
        TEST(test_a_blind_end_is_cut_off),
        TEST(test_a_snapshot_beyond_is_moved_aside),
        TEST(test_a_cut_at_a_segments_end),
        TEST(test_a_second_lap),
        TEST(test_a_torn_tail_is_cut_off),
        TEST(test_a_tail_in_the_cache_is_kept),
        TEST(test_a_full_disk_is_met_before_anything_is_changed),
        TEST(test_a_cut_is_interrupted_at_every_call),
        TEST(test_a_cut_of_the_tail_is_interrupted_at_every_call),
        TEST(test_a_begun_repair_is_told_of),
        TEST(test_the_intent_is_pinned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
