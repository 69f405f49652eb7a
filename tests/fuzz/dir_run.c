/* dir_run.c: see dir_run.h. */
#include "tests/fuzz/dir_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/recovery.h"
#include "tests/fuzz/dir_edits.h"
#include "tests/lib/engine_driver.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/replay_build.h"
#include "tools/urn_wal/verify.h"

enum { HEAD_BYTES = 4 };
#define OUTPUT_BYTES_MAX (64u << 20)

static const struct state_bounds bounds = {.max_pools = 10000, .max_items = 100000};

static bool is_used(void *context, const char *path)
{
    (void)context;
    (void)path;
    return true;
}

/* ---- the commands ------------------------------------------------------------------------------------ */

static const struct {
    const struct command *command;
    const char *words[7];
    bool files; /* by themselves, which have to be of one ring */
} lines[] = {
    {&command_ls, {DIR_PATH}},
    {&command_ls, {DIR_PATH, "--json"}},
    {&command_cat, {DIR_PATH}},
    {&command_cat, {DIR_PATH, "--reverse", "--groups"}},
    {&command_cat, {DIR_PATH, "--format", "json", "--hex"}},
    {&command_cat, {DIR_PATH, "--format", "csv", "--request-id", "5-"}},
    {&command_cat, {DIR_PATH "/segment-0001", DIR_PATH "/segment-0000"}, .files = true},
    {&command_cat, {DIR_ARCHIVE}},
    {&command_find, {DIR_PATH, "7"}},
    {&command_find, {DIR_PATH, "70", "--odds"}},
    {&command_verify, {DIR_PATH}},
    {&command_verify, {DIR_PATH, "--json"}},
    {&command_verify, {DIR_ARCHIVE, "--quiet"}},
    {&command_stats, {DIR_PATH}},
    {&command_stats, {DIR_PATH, "--json"}},
    {&command_export, {DIR_PATH}},
    {&command_replay, {DIR_PATH, "--json"}},
    {&command_replay, {DIR_PATH, "--trace", "--item", "gold"}},
    {&command_replay, {DIR_PATH, "--until", "id:50"}},
    {&command_diff, {DIR_PATH, DIR_AS_IT_WAS}},
    {&command_diff, {DIR_AS_IT_WAS, DIR_PATH, "--json"}},
    {&command_repair, {DIR_PATH}}, /* the plan only */
    {&command_repair, {DIR_PATH, "--salvage"}},
};
#define LINES (sizeof lines / sizeof lines[0])

/* Calls of which one at least is made by whoever changes anything. */
static uint64_t writing_calls(const struct sim_world *world)
{
    static const enum sim_call calls[] = {
        SIM_DIR_MAKE,    SIM_DIR_SYNC,       SIM_DIR_LOCK,    SIM_RENAME,    SIM_REMOVE,
        SIM_FILE_CREATE, SIM_FILE_ALLOCATE,  SIM_FILE_WRITE,  SIM_FILE_SYNC, SIM_MAP_OPEN,
        SIM_MAP_WRITE,   SIM_MAP_SYNC_BEGIN, SIM_MAP_SYNC_END};
    uint64_t count = 0;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        count += sim_calls_of(world, calls[i]);
    return count;
}

/* Under right seals two files may say that they are of different rings: to name them together is wrong usage. */
static bool is_a_status(enum exit_status status, size_t which, bool used, bool sealed)
{
    return status <= EXIT_MEANING || status == EXIT_CANNOT_OPEN || status == EXIT_READ_ERROR ||
           (used && status == EXIT_IN_USE) ||
           (sealed && lines[which].files && status == EXIT_USAGE);
}

static void check_command(struct sim_world *world, size_t which, bool used, bool sealed)
{
    static struct invocation invocation;
    char *text = NULL;
    size_t length = 0;
    int count = 0;
    FILE *out = open_memstream(&text, &length);
    CHECK(out != NULL);
    while (lines[which].words[count] != NULL)
        count++;
    CHECK(options_parse(lines[which].command, count, lines[which].words, &invocation, out));
    const struct tool tool = {
        .os = sim_os(world), .in_use = used ? is_used : NULL, .out = out, .notes = out};
    const uint64_t written = writing_calls(world);
    const enum exit_status status = lines[which].command->run(
        &tool, invocation.operands, invocation.operand_count, invocation.options);
    CHECK(fclose(out) == 0);
    const bool is_defined = is_a_status(status, which, used, sealed);
    if (!is_defined)
        (void)fprintf(stderr, "%s: status %d\n%.2000s\n", lines[which].command->name, (int)status,
                      text);
    CHECK(is_defined);
    CHECK(length <= OUTPUT_BYTES_MAX && (length == 0 || text[length - 1] == '\n'));
    CHECK(writing_calls(world) == written && sim_open_handles(world) == 0);
    free(text);
}

/* ---- a start ----------------------------------------------------------------------------------------- */

struct start {
    enum urn_code code;
    struct urn_error error;
    enum recovery_case which; /* 0: it did not come to that */
    uint64_t end_lsn;         /* else: where the log ends for it */
    struct state state;       /* where code is URN_OK */
    struct wal_geometry geometry;
};

static struct urn_engine_config config_of(struct sim_world *world,
                                          const struct wal_geometry *geometry)
{
    return (struct urn_engine_config){.os = sim_os(world),
                                      .data_dir = DIR_PATH,
                                      .segment_size_bytes = geometry->segment_size_bytes,
                                      .segments = geometry->segments,
                                      .flush_after_n_draw = 1000,
                                      .max_batch = 10,
                                      .max_pools = bounds.max_pools,
                                      .max_items = bounds.max_items,
                                      .queue_requests = 8,
                                      .queue_draws = 100};
}

/* As a server would to the point at which it knows. */
static void start_read(struct sim_world *world, struct start *start)
{
    struct data_dir data_dir;
    struct recovery recovery;
    *start = (struct start){.code = URN_OK};
    start->code = data_dir_open_readonly(sim_os(world), DIR_PATH, &data_dir, &start->error);
    if (start->code != URN_OK)
        return;
    start->geometry = data_dir.geometry;
    data_dir_close(&data_dir);
    const struct urn_engine_config config = config_of(world, &start->geometry);
    start->code = data_dir_open(sim_os(world), &config, &data_dir, &start->error);
    if (start->code != URN_OK)
        return;
    start->code = recovery_read(&data_dir, &bounds, NULL, &start->state, &recovery, &start->error);
    start->which = recovery.which;
    start->end_lsn = recovery.end_lsn;
    if (start->code != URN_OK && start->which != 0)
        CHECK(strncmp(start->error.text, "case D", 6) == 0 &&
              start->error.text[6] == '0' + (int)start->which);
    data_dir_close(&data_dir);
}

/* The whole engine, which draws. The world is freed. */
static void check_engine(struct sim_world *world, const struct start *start)
{
    struct driver driver;
    driver_init(&driver, 1);
    sim_world_free(driver.world);
    driver.world = world;
    driver.config = config_of(world, &start->geometry);
    if (driver_open(&driver) != URN_OK)
        (void)fprintf(stderr, "the engine refuses: %s\n", driver.error.text);
    CHECK(driver.engine != NULL);
    if (driver_draw(&driver, "main", 1, false) == URN_OK)
        CHECK(driver.request.first_request_id >= start->state.next_request_id);
    CHECK(driver_stop(&driver) == URN_OK);
    driver_free(&driver);
}

/* The tool's own replay comes to the same. */
static void check_replay(struct sim_world *world, const struct start *start, FILE *nowhere)
{
    static const char *const operands[] = {DIR_PATH};
    struct urn_error error;
    struct history history;
    uint8_t digests[2][32];
    const struct tool tool = {
        .os = sim_os(world), .ring_only = true, .out = nowhere, .notes = nowhere};
    CHECK(history_open(&history, &tool, operands, 1, &error) == URN_OK);
    struct replay replay = {.history = &history, .notes = nowhere};
    CHECK(replay_build(&replay, &error) == URN_OK);
    CHECK(replay.outcome == REPLAY_REACHED);
    dir_state_digest(&replay.state, &start->geometry, digests[0]);
    dir_state_digest(&start->state, &start->geometry, digests[1]);
    CHECK(memcmp(digests[0], digests[1], sizeof digests[0]) == 0);
    replay_end(&replay);
    history_close(&history);
}

/* ---- what must hold ---------------------------------------------------------------------------------- */

static bool is_still_whole(const struct dir_base *base, const struct sim_world *world,
                           const struct dir_group *group)
{
    static uint8_t bytes[2][SEGMENT_SIZE_BYTES_MIN];
    char name[DATA_DIR_NAME_MAX];
    char path[DIR_PATH_BYTES];
    const uint64_t size = base->geometry.segment_size_bytes;
    data_dir_segment_name(name, (uint32_t)(group->lsn / size % base->geometry.segments));
    (void)snprintf(path, sizeof path, DIR_PATH "/%s", name);
    CHECK(sim_file_bytes(base->world, path, group->lsn % size, bytes[0], group->length_bytes));
    return sim_file_bytes(world, path, group->lsn % size, bytes[1], group->length_bytes) &&
           memcmp(bytes[0], bytes[1], group->length_bytes) == 0;
}

/* What is still there proves that all below had been durable. */
static uint64_t known_durable_lsn(const struct dir_base *base, const struct sim_world *world)
{
    uint64_t lsn = 0;
    for (uint32_t i = 0; i < base->group_count; i++)
        if (base->groups[i].durable_lsn > lsn && is_still_whole(base, world, &base->groups[i]))
            lsn = base->groups[i].durable_lsn;
    for (uint32_t i = 0; i < base->file_count; i++) {
        uint64_t snapshot_lsn;
        uint32_t serial;
        if (strncmp(base->files[i], DIR_PATH "/", sizeof DIR_PATH) == 0 &&
            data_dir_parse_snapshot_name(base->files[i] + sizeof DIR_PATH, &snapshot_lsn,
                                         &serial) &&
            snapshot_lsn > lsn && sim_file_exists(world, base->files[i]))
            lsn = snapshot_lsn;
    }
    return lsn;
}

/* Nothing was forged: the start has come to what once was, and lost nothing that is known of. */
static void check_truth(const struct dir_base *base, const struct sim_world *world,
                        const struct start *start)
{
    uint8_t digest[32];
    const struct dir_moment *moment = dir_base_moment(base, start->state.tail.lsn);
    CHECK(moment != NULL);
    dir_state_digest(&start->state, &base->geometry, digest);
    CHECK(memcmp(digest, moment->digest, sizeof digest) == 0);
    CHECK(start->state.tail.lsn >= known_durable_lsn(base, world));
}

/* The same row of the table at the same place; and what has no worse than a torn tail starts. */
static bool is_foretold(const struct verify_report *report, const struct start *start)
{
    if (verify_exit_status(report) <= EXIT_TORN_TAIL && start->code != URN_OK)
        return false;
    if (report->start == 0 || start->which == 0)
        return true;
    return report->start == start->which && report->start_lsn == start->end_lsn;
}

/* What verify foretells is what has happened. A state that is larger than any configuration allows says nothing. */
static void check_foretold(const struct verify_report *report, const struct start *start)
{
    if (start->code == URN_CONFIG)
        return;
    const bool foretold = is_foretold(report, start);
    if (!foretold) {
        verify_print_text(report, false, stderr);
        (void)fprintf(stderr, "a start: D%d, LSN %" PRIu64 ", %s\n", (int)start->which,
                      start->end_lsn, start->error.text);
    }
    CHECK(foretold);
}

static enum exit_status check_verdict(const struct dir_base *base, struct sim_world *world,
                                      bool sealed)
{
    static const char *const operands[] = {DIR_PATH};
    static struct verify_report report;
    struct urn_error error;
    struct start start;
    FILE *nowhere = fopen("/dev/null", "we");
    CHECK(nowhere != NULL);
    const struct tool tool = {.os = sim_os(world), .out = nowhere, .notes = nowhere};
    const enum urn_code code = verify_log(&tool, operands, 1, &report, &error);
    enum exit_status status =
        code == URN_OK ? verify_exit_status(&report) : tool_fail_to_open(&tool, DIR_PATH, &error);
    (void)sim_restart(world);
    struct sim_world *started = sim_world_clone(world, 2);
    start_read(started, &start);
    CHECK(status != EXIT_SOUND || code == URN_OK);
    if (code == URN_OK) {
        check_foretold(&report, &start);
        verify_report_free(&report);
    }
    if (start.code == URN_OK && !sealed)
        check_truth(base, world, &start);
    if (start.code == URN_OK && status <= EXIT_TORN_TAIL) {
        check_replay(world, &start, nowhere);
        (void)sim_restart(started);
        check_engine(started, &start);
    } else {
        sim_world_free(started);
    }
    state_free(&start.state);
    CHECK(fclose(nowhere) == 0);
    return status;
}

enum exit_status dir_run(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES)
        return EXIT_SOUND;
    const struct dir_base *base = dir_base((enum dir_kind)(data[0] % DIR_KINDS));
    struct sim_world *world = sim_world_clone(base->world, 1);
    const bool sealed = dir_edits_apply(base, world, data + HEAD_BYTES, size - HEAD_BYTES);
    check_command(world, data[1] % LINES, (data[2] & 1) != 0, sealed);
    const enum exit_status status = check_verdict(base, world, sealed);
    sim_world_free(world);
    return status;
}
