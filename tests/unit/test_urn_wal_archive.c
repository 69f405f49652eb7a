/* test_urn_wal_archive.c: urn-wal over ring and archive as one history, and what prune leaves. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/archive_format.h"
#include "tests/lib/engine_driver.h"
#include "tests/lib/golden.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/history.h"
#include "tools/urn_wal/options.h"

#define SEGMENT_BYTES SEGMENT_SIZE_BYTES_MIN
#define SEGMENTS      4u
#define LAPS          3u

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- the scene ------------------------------------------------------------------------------- */

/* An engine that has gone around its ring a few times, and has stopped. */
static struct driver *a_history_of_seed(enum urn_archive_policy policy, uint64_t seed)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, seed);
    driver->config.segments = SEGMENTS;
    driver->config.archive = "archive";
    driver->config.archive_policy = policy;
    driver_must_open(driver);
    return driver;
}

static struct driver *a_history(enum urn_archive_policy policy)
{
    return a_history_of_seed(policy, 7);
}

static void draw_to(struct driver *driver, uint64_t lsn)
{
    while (driver->engine->writer.end_lsn < lsn)
        assert_int_equal(driver_draw(driver, "main", 1000, false), URN_OK);
    driver_run(driver);
}

static struct driver *a_stopped_history(void)
{
    struct driver *driver = a_history(URN_ARCHIVE_BLOCK);
    draw_to(driver, LAPS * SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    assert_int_equal(driver_stop(driver), URN_OK);
    return driver;
}

static void done(struct driver *driver)
{
    assert_int_equal(driver->engine != NULL ? 0 : sim_open_handles(driver->world), 0);
    driver_free(driver);
    free(driver);
}

static const struct command *find_command(const char *name)
{
    static const struct command *const commands[] = {
        &command_ls,    &command_cat,   &command_find,   &command_verify,
        &command_stats, &command_prune, &command_replay, &command_backup};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    fail_msg("no such command");
    return NULL;
}

static bool beside_a_server; /* what the tool finds out about the data directory */

static bool in_use(void *context, const char *path)
{
    (void)context;
    (void)path;
    return beside_a_server;
}

/* What the command prints to both streams; the caller's to free(). */
static char *run(struct driver *driver, enum exit_status expected, const char *const *words)
{
    static struct invocation invocation;
    char *text = NULL;
    size_t length = 0;
    int count = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    while (words[count] != NULL)
        count++;
    const struct command *command = find_command(words[0]);
    struct tool tool = {.os = sim_os(driver->world), .in_use = in_use, .out = out, .notes = out};
    enum exit_status status = EXIT_USAGE;
    if (options_parse(command, count - 1, words + 1, &invocation, out)) {
        tool.archive = invocation.archive;
        status =
            command->run(&tool, invocation.operands, invocation.operand_count, invocation.options);
    }
    assert_int_equal(fclose(out), 0);
    if (status != expected)
        fail_msg("status %d instead of %d:\n%.1500s", (int)status, (int)expected,
                 text + (length > 1500 ? length - 1500 : 0));
    return text;
}

static void assert_lacks(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted) != NULL)
        fail_msg("\"%s\" is in:\n%.1500s", unwanted, text);
}

/* How many lines begin so. (strchr would, under a sanitizer, measure all that follows, line by line.) */
static uint32_t lines_of(const char *text, const char *begin)
{
    uint32_t count = 0;
    const char *end = text + strlen(text);
    for (const char *line = text; line < end;) {
        count += strncmp(line, begin, strlen(begin)) == 0;
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        line = line_end == NULL ? end : line_end + 1;
    }
    return count;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_one_history(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    char *text = run(driver, EXIT_SOUND, WORDS("verify", "data"));
    assert_contains(text, "verdict: sound");
    assert_contains(text, "segment-0000000000000000  full");
    assert_lacks(text, "could not be held against a state");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("ls", "data"));
    assert_contains(text, "archive: archive");
    assert_int_equal(lines_of(text, "segment-"), LAPS * SEGMENTS + 1);
    assert_contains(text, "full, archived");
    assert_int_equal(lines_of(text, "gap:"), 0);
    free(text);
    /* Every draw from the first on, each once. */
    text = run(driver, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
    assert_int_equal(strncmp(text, "DRAW 1 main ", strlen("DRAW 1 main ")), 0);
    const uint64_t draws = driver->request.first_request_id + driver->request.count - 1;
    assert_int_equal(lines_of(text, "DRAW "), draws);
    free(text);
    done(driver);
}

/* Any moment can be rebuilt, long after the ring has forgotten it. */
static void test_replay_of_long_ago(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    char *text = run(driver, EXIT_SOUND, WORDS("replay", "data", "--until", "id:12345", "--json"));
    assert_contains(text, "\"next_request_id\":12346");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("replay", "archive", "--until", "id:12345", "--json"));
    assert_contains(text, "\"next_request_id\":12346");
    free(text);
    done(driver);
}

static void test_an_archive_by_itself(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    char *text = run(driver, EXIT_SOUND, WORDS("verify", "archive"));
    assert_contains(text, "verdict: sound");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("ls", "archive"));
    assert_contains(text, "archive of ring");
    assert_int_equal(lines_of(text, "segment-"), LAPS * SEGMENTS);
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("cat", "archive", "-n", "1"));
    assert_int_equal(strncmp(text, "DRAW 1 main ", strlen("DRAW 1 main ")), 0);
    free(text);
    done(driver);
}

/* A server that goes around its ring between two calls of the tool. */
struct lap {
    struct driver *driver;
    uint64_t nth;
    uint64_t calls;
    bool begun; /* its own calls are observed too */
};

static void make_lap(void *context, const struct sim_event *call)
{
    struct lap *lap = context;
    (void)call;
    if (lap->begun || ++lap->calls < lap->nth)
        return;
    lap->begun = true;
    draw_to(lap->driver, lap->driver->engine->writer.end_lsn + (SEGMENTS + 1) * SEGMENT_BYTES);
}

static uint32_t times_in(const char *text, const char *wanted)
{
    uint32_t count = 0;
    for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted))
        count++;
    return count;
}

/* What it overwrites meanwhile is read from the archive: whole, and as the same history. */
static void check_lapped(const char *const *words, const char *wanted)
{
    struct driver *driver = a_history(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    beside_a_server = true;
    bool lapped = true;
    for (uint64_t nth = 1; lapped; nth += 1 + nth / 4) {
        struct lap lap = {.driver = driver, .nth = nth};
        sim_set_observer(driver->world, make_lap, &lap);
        char *text = run(driver, EXIT_SOUND, words);
        sim_set_observer(driver->world, NULL, NULL);
        assert_contains(text, wanted);
        assert_lacks(text, "missing");
        assert_true(times_in(text, "\"archived\":true") <= times_in(text, "\"groups\":"));
        free(text);
        lapped = lap.begun;
    }
    beside_a_server = false;
    assert_int_equal(driver_stop(driver), URN_OK);
    done(driver);
}

static void test_verify_while_a_server_laps(void **state)
{
    (void)state;
    check_lapped(WORDS("verify", "data"), "verdict: sound");
}

static void test_ls_while_a_server_laps(void **state)
{
    (void)state;
    check_lapped(WORDS("ls", "data", "--json"), "segment-0000000000000000");
}

/* Nothing but a snapshot has been archived yet, or all else is gone. */
static void test_an_archive_without_segments(void **state)
{
    (void)state;
    struct driver *driver = a_history(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES / 2);
    assert_int_equal(driver_stop(driver), URN_OK);
    char *text = run(driver, EXIT_SOUND, WORDS("ls", "archive"));
    assert_contains(text, "snapshot-0000000000000000-0000");
    assert_int_equal(lines_of(text, "segment-"), 0);
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("cat", "archive"));
    assert_int_equal(lines_of(text, "DRAW "), 0);
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("replay", "archive", "--json"));
    assert_contains(text, "\"next_request_id\":1");
    free(text);
    free(run(driver, EXIT_NOT_FOUND, WORDS("find", "archive", "1")));
    free(run(driver, EXIT_SOUND, WORDS("verify", "archive")));
    free(run(driver, EXIT_SOUND, WORDS("stats", "archive")));
    done(driver);
}

static void test_cat_while_a_server_laps(void **state)
{
    (void)state;
    check_lapped(WORDS("cat", "data", "--type", "group"), "GROUP ");
    check_lapped(WORDS("cat", "data", "--type", "group", "--reverse"), "GROUP ");
}

/* Whoever asks for one draw reads its stretch of one file, wherever that is. */
struct reading {
    uint64_t bytes;
};

static void count_bytes(void *context, const struct sim_event *call)
{
    struct reading *reading = context;
    if (call->call == SIM_FILE_READ && strncmp(call->name, "segment-0000000", 15) == 0 &&
        strlen(call->name) > 12)
        reading->bytes += call->length_bytes;
}

/* It has more laps than a ring has room for, and its newest snapshot lies behind its last segment. */
static void test_no_backup_of_an_archive(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    char *text = run(driver, EXIT_USAGE, WORDS("backup", "archive", "copy"));
    assert_contains(text, "archive is an archive: its files never change");
    free(text);
    text = run(driver, EXIT_USAGE, WORDS("backup", "archive", "copy", "--all"));
    assert_contains(text, "archive is an archive: its files never change");
    free(text);
    assert_int_equal(sim_list(driver->world, "copy", NULL, NULL), 0);
    done(driver);
}

static void test_find_reads_little(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    struct reading reading = {.bytes = 0};
    sim_set_observer(driver->world, count_bytes, &reading);
    char *text = run(driver, EXIT_SOUND, WORDS("find", "data", "12345"));
    sim_set_observer(driver->world, NULL, NULL);
    assert_contains(text, "request id    12345\npool          main\n");
    /* header pages, indexes of a few, and one segment of the smallest size */
    assert_true(reading.bytes < (LAPS * SEGMENTS) * 4096 + 2 * SEGMENT_BYTES);
    free(text);
    char *archived = run(driver, EXIT_SOUND, WORDS("find", "archive", "12345"));
    free(archived);
    done(driver);
}

/* ---- damage and loss ------------------------------------------------------------------------- */

/* The ring's copy is damaged: the archive's is read, and it is told. */
static void test_archive_stands_in_for_the_ring(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    char *whole = run(driver, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
    assert_true(sim_flip_bit(driver->world, "data/segment-0003", SEGMENT_BYTES / 2, 2));
    char *text = run(driver, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
    assert_string_equal(text, whole);
    free(text);
    free(whole);
    text = run(driver, EXIT_DAMAGE, WORDS("verify", "data"));
    assert_contains(text, "segment-0003 is damaged here; the archive has the segment whole");
    assert_contains(text, "verdict: damaged");
    free(text);
    text = run(driver, EXIT_DAMAGE, WORDS("ls", "data"));
    assert_contains(text, "archived; the ring's is damaged");
    free(text);
    done(driver);
}

static void test_damaged_archive(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    assert_true(sim_flip_bit(driver->world, "archive/segment-0000000000010000", 9000, 2));
    char *text = run(driver, EXIT_DAMAGE, WORDS("verify", "data"));
    assert_contains(text, "segment-0000000000010000");
    free(text);
    done(driver);
}

static void test_missing_file_is_no_gap(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    assert_true(sim_lose_file(driver->world, "archive/segment-0000000000020000"));
    char *text = run(driver, EXIT_MISSING, WORDS("verify", "data"));
    assert_contains(text, "the archive should hold it, and segment-0000000000020000 is missing");
    assert_contains(text, "verdict: parts are missing");
    free(text);
    text = run(driver, EXIT_MISSING, WORDS("verify", "archive"));
    assert_contains(text, "segment-0000000000020000 is missing");
    free(text);
    done(driver);
}

static void test_recorded_gap_is_not_missing(void **state)
{
    (void)state;
    struct driver *driver = a_history(URN_ARCHIVE_GAP);
    draw_to(driver, 2 * SEGMENT_BYTES + 1000);
    driver->holds_archive = true;
    draw_to(driver, 2 * SEGMENTS * SEGMENT_BYTES);
    driver->holds_archive = false;
    /* Before the record: the data directory tells. */
    char *text = run(driver, EXIT_SOUND, WORDS("verify", "data"));
    assert_contains(text, "not recorded yet");
    assert_contains(text, "verdict: sound");
    free(text);
    draw_to(driver, 3 * SEGMENTS * SEGMENT_BYTES);
    assert_int_equal(driver_stop(driver), URN_OK);
    text = run(driver, EXIT_SOUND, WORDS("verify", "data"));
    assert_contains(text, "overwritten before it was archived (wal.archive_policy: gap)");
    assert_contains(text, "verdict: sound");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("ls", "data"));
    assert_int_equal(lines_of(text, "gap: LSN 131072"), 1);
    free(text);
    done(driver);
}

static void test_archive_elsewhere(void **state)
{
    (void)state;
    struct driver *driver = a_stopped_history();
    assert_true(sim_lose_file(driver->world, "data/ARCHIVED-TO"));
    char *text = run(driver, EXIT_SOUND, WORDS("verify", "data"));
    assert_lacks(text, "segment-0000000000000000");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("verify", "data", "--archive", "archive"));
    assert_contains(text, "segment-0000000000000000");
    free(text);
    text = run(driver, EXIT_CANNOT_OPEN, WORDS("verify", "data", "--archive", "nowhere"));
    assert_contains(text, "cannot open the archive nowhere");
    free(text);
    text = run(driver, EXIT_USAGE, WORDS("verify", "data", "--archiv", "archive"));
    assert_contains(text, "did you mean --archive?");
    free(text);
    done(driver);
}

/* ---- prune ----------------------------------------------------------------------------------- */

#define DAY_NS (24ull * 3600 * 1000000000)

/* Three days, a lap each. */
static struct driver *three_days(void)
{
    struct driver *driver = a_history(URN_ARCHIVE_BLOCK);
    for (uint64_t day = 1; day <= 3; day++) {
        draw_to(driver, day * SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
        sim_advance(driver->world, DAY_NS);
    }
    return driver;
}

static uint32_t files_in_archive(struct driver *driver)
{
    return sim_list(driver->world, "archive", NULL, NULL);
}

static void test_prune(void **state)
{
    (void)state;
    struct driver *driver = three_days();
    const uint32_t files = files_in_archive(driver);
    char *text = run(driver, EXIT_USAGE, WORDS("prune", "archive"));
    assert_contains(text, "--keep-days N");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("prune", "archive", "--keep-days", "30"));
    assert_contains(text, "nothing to delete");
    free(text);
    text = run(driver, EXIT_SOUND, WORDS("prune", "archive", "--keep-days", "2"));
    assert_contains(text, "would delete segment-0000000000000000\n");
    assert_contains(text, "nothing was deleted; --write does it\n");
    free(text);
    assert_int_equal(files_in_archive(driver), files);
    text = run(driver, EXIT_SOUND, WORDS("prune", "archive", "--keep-days", "2", "--write"));
    assert_contains(text, "deleted segment-0000000000000000\n");
    /* The very first moment that is kept can be rebuilt, and the one behind it. */
    const char *kept = strstr(text, "on (LSN ");
    assert_non_null(kept);
    char until[32];
    (void)snprintf(until, sizeof until, "lsn:%llu", strtoull(kept + 8, NULL, 10) + 4096);
    free(text);
    free(run(driver, EXIT_SOUND, WORDS("replay", "data", "--until", until)));
    assert_true(files_in_archive(driver) < files);
    /* Everything from the kept snapshot on is there, sound, and held against a state. */
    text = run(driver, EXIT_SOUND, WORDS("verify", "data"));
    assert_contains(text, "verdict: sound");
    free(text);
    /* A server goes on, and makes nothing anew that was pruned. */
    const uint32_t left = files_in_archive(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    driver_must_open(driver);
    driver_run(driver);
    assert_int_equal(files_in_archive(driver), left);
    done(driver);
}

/* What was taken while the clock was wrong looks old, and is not: what lies before it stays. */
static void test_prune_when_the_clock_went_back(void **state)
{
    (void)state;
    const int64_t wrong_us = 90 * (int64_t)(DAY_NS / 1000);
    struct driver *driver = three_days();
    sim_jump_wall_clock(driver->world, -wrong_us);
    draw_to(driver, 4 * SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    sim_jump_wall_clock(driver->world, wrong_us);
    draw_to(driver, 5 * SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    const uint32_t files = files_in_archive(driver);
    char *text = run(driver, EXIT_SOUND, WORDS("prune", "archive", "--keep-days", "30", "--write"));
    assert_contains(text, "nothing to delete");
    free(text);
    assert_int_equal(files_in_archive(driver), files);
    text = run(driver, EXIT_SOUND, WORDS("prune", "archive", "--keep-days", "2"));
    assert_contains(text, "would delete segment-0000000000000000\n");
    assert_lacks(text, "would delete segment-00000000001a0000\n"); /* of the day before yesterday */
    free(text);
    done(driver);
}

static void note_snapshot(void *context, const char *name)
{
    char *newest = context;
    if (archive_name_parse(name).kind == ARCHIVE_NAME_SNAPSHOT && strcmp(name, newest) > 0)
        (void)snprintf(newest, DATA_DIR_NAME_MAX, "%s", name);
}

/* Copies the newest snapshot of one archive into another. */
static void carry_over_snapshot(struct driver *driver, const char *from, const char *to)
{
    char name[DATA_DIR_NAME_MAX] = "";
    char path[2 * DATA_DIR_NAME_MAX];
    uint64_t size_bytes = 0;
    size_t written = 0;
    struct os_dir *dir;
    struct os_file *file;
    (void)sim_list(driver->world, from, note_snapshot, name);
    (void)snprintf(path, sizeof path, "%s/%s", from, name);
    assert_true(sim_file_size(driver->world, path, &size_bytes));
    uint8_t *bytes = malloc(size_bytes);
    assert_non_null(bytes);
    assert_true(sim_file_bytes(driver->world, path, 0, bytes, size_bytes));
    name[strlen(name) - 1] = '9'; /* of its serial number: it may have one of this LSN already */
    assert_int_equal(os_dir_open(sim_os(driver->world), to, &dir), 0);
    assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, bytes, size_bytes, 0, &written), 0);
    assert_int_equal(written, size_bytes);
    os_file_close(file);
    os_dir_close(dir);
    free(bytes);
}

/* A snapshot that somebody has put there says nothing of this log, however old it is. */
static void test_prune_passes_by_the_snapshot_of_another_ring(void **state)
{
    (void)state;
    struct driver *driver = a_history(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    assert_int_equal(driver_stop(driver), URN_OK);
    sim_advance(driver->world, 4 * DAY_NS);
    driver->config.data_dir = "other";
    driver->config.archive = "archive of other";
    driver_must_open(driver);
    draw_to(driver, SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    carry_over_snapshot(driver, "archive", "archive of other");
    sim_advance(driver->world, 3 * DAY_NS);
    draw_to(driver, 2 * SEGMENTS * SEGMENT_BYTES + SEGMENT_BYTES / 2);
    char *text =
        run(driver, EXIT_SOUND, WORDS("prune", "archive of other", "--keep-days", "2", "--write"));
    assert_contains(text, "is of another ring; it is no basis for anything\n");
    assert_contains(text, "kept from snapshot-");
    assert_lacks(text, "-0009 on (LSN ");
    free(text);
    done(driver);
}

static void count_gap(void *context, const char *name)
{
    uint32_t *gaps = context;
    *gaps += strncmp(name, "gap-", 4) == 0;
}

/* Behind it nothing is archived yet: its record alone says that this stretch is not missing. */
static void test_prune_keeps_the_gap_behind_the_last_segment(void **state)
{
    (void)state;
    struct driver *driver = a_history(URN_ARCHIVE_GAP);
    draw_to(driver, 2 * SEGMENT_BYTES + 1000);
    driver->holds_archive = true;
    draw_to(driver, 2 * SEGMENTS * SEGMENT_BYTES);
    driver->holds_archive = false;
    draw_to(driver, 3 * SEGMENTS * SEGMENT_BYTES);
    assert_int_equal(driver_stop(driver), URN_OK);
    for (uint64_t lsn = 2 * SEGMENT_BYTES; lsn <= 3 * SEGMENTS * SEGMENT_BYTES;
         lsn += SEGMENT_BYTES) {
        char path[128];
        (void)snprintf(path, sizeof path, "archive/segment-%016" PRIx64, lsn);
        (void)sim_lose_file(driver->world, path);
    }
    sim_advance(driver->world, 4 * DAY_NS);
    uint32_t gaps = 0;
    char *text = run(driver, EXIT_SOUND, WORDS("prune", "archive", "--keep-days", "2", "--write"));
    assert_contains(text, "deleted segment-0000000000000000\n");
    assert_lacks(text, "segment-0000000000010000");
    free(text);
    (void)sim_list(driver->world, "archive", count_gap, &gaps);
    assert_int_equal(gaps, 1);
    done(driver);
}

/* Two days, a gap in the first. */
static struct driver *two_days_and_a_gap(uint64_t seed)
{
    struct driver *driver = a_history_of_seed(URN_ARCHIVE_GAP, seed);
    draw_to(driver, 2 * SEGMENT_BYTES + 1000);
    driver->holds_archive = true;
    draw_to(driver, 2 * SEGMENTS * SEGMENT_BYTES);
    driver->holds_archive = false;
    draw_to(driver, 3 * SEGMENTS * SEGMENT_BYTES);
    sim_advance(driver->world, DAY_NS);
    draw_to(driver, 4 * SEGMENTS * SEGMENT_BYTES);
    sim_advance(driver->world, DAY_NS);
    return driver;
}

/* A crash of the machine at a prune's nth call; false: it has fewer. What is left is sound. */
static bool is_sound_behind_a_crash(struct driver *driver, uint64_t nth)
{
    static struct invocation invocation;
    const char *const words[] = {"archive", "--keep-days", "1", "--write"};
    char *text = NULL;
    size_t length = 0;
    driver_crash(driver, SIM_CRASH_PROCESS);
    sim_crash_at(driver->world, nth, SIM_CRASH_MACHINE, SIM_CRASH_BEFORE);
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    assert_true(options_parse(&command_prune, 4, words, &invocation, out));
    const struct tool tool = {.os = sim_os(driver->world), .out = out, .notes = out};
    (void)command_prune.run(&tool, invocation.operands, invocation.operand_count,
                            invocation.options);
    assert_int_equal(fclose(out), 0);
    free(text);
    const bool crashed = sim_crashed(driver->world) != SIM_NO_CRASH;
    driver_crash(driver, SIM_CRASH_MACHINE);
    text = run(driver, EXIT_SOUND, WORDS("verify", "data"));
    assert_contains(text, "verdict: sound");
    free(text);
    done(driver);
    return crashed;
}

/* A crash at every call: no snapshot is left without the log behind it, and no hole in that. */
static void test_prune_interrupted(void **state)
{
    (void)state;
    for (uint64_t nth = 1; is_sound_behind_a_crash(three_days(), nth); nth++)
        ;
    for (uint64_t nth = 1; is_sound_behind_a_crash(two_days_and_a_gap(nth), nth); nth++)
        ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_history),
        cmocka_unit_test(test_replay_of_long_ago),
        cmocka_unit_test(test_an_archive_by_itself),
        cmocka_unit_test(test_no_backup_of_an_archive),
        cmocka_unit_test(test_verify_while_a_server_laps),
        cmocka_unit_test(test_ls_while_a_server_laps),
        cmocka_unit_test(test_cat_while_a_server_laps),
        cmocka_unit_test(test_an_archive_without_segments),
        cmocka_unit_test(test_find_reads_little),
        cmocka_unit_test(test_archive_stands_in_for_the_ring),
        cmocka_unit_test(test_damaged_archive),
        cmocka_unit_test(test_missing_file_is_no_gap),
        cmocka_unit_test(test_recorded_gap_is_not_missing),
        cmocka_unit_test(test_archive_elsewhere),
        cmocka_unit_test(test_prune),
        cmocka_unit_test(test_prune_when_the_clock_went_back),
        cmocka_unit_test(test_prune_passes_by_the_snapshot_of_another_ring),
        cmocka_unit_test(test_prune_keeps_the_gap_behind_the_last_segment),
        cmocka_unit_test(test_prune_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
