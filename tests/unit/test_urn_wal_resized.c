/* test_urn_wal_resized.c: a ring that archives is given other sizes: the old ring's log goes to the archive, and
 * ring and archive stay one history, whatever crashes or fails on the way. */
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

#include "tests/lib/engine_driver.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/resize.h"

#define SEGMENT SEGMENT_SIZE_BYTES_MIN
#define KIB     ((uint64_t)1024)

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- the scene ------------------------------------------------------------------------------- */

static struct driver *a_server(enum urn_archive_policy policy, enum urn_wal_mode mode)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 11);
    driver->config.segments = 4;
    driver->config.archive = "archive";
    driver->config.archive_policy = policy;
    driver->config.mode = mode;
    driver_must_open(driver);
    return driver;
}

static void draw_more(struct driver *driver, uint64_t bytes)
{
    const uint64_t end_lsn = driver->engine->writer.end_lsn + bytes;
    while (driver->engine->writer.end_lsn < end_lsn)
        assert_int_equal(driver_draw(driver, "main", 2, false), URN_OK);
    driver_run(driver);
}

static uint64_t last_id(const struct driver *driver)
{
    return driver->request.first_request_id + driver->request.count - 1;
}

static void done(struct driver *driver)
{
    driver_free(driver);
    free(driver);
}

static const struct command *find_command(const char *name)
{
    static const struct command *const commands[] = {
        &command_ls,     &command_cat,    &command_find,  &command_verify, &command_stats,
        &command_replay, &command_export, &command_prune, &command_resize};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    fail_msg("no such command");
    return NULL;
}

static enum exit_status run_any(struct sim_world *world, char **text, const char *const *words)
{
    static struct invocation invocation;
    size_t length = 0;
    int count = 0;
    FILE *out = open_memstream(text, &length);
    assert_non_null(out);
    while (words[count] != NULL)
        count++;
    const struct command *command = find_command(words[0]);
    struct tool tool = {.os = sim_os(world), .out = out, .notes = out};
    enum exit_status status = EXIT_USAGE;
    if (options_parse(command, count - 1, words + 1, &invocation, out)) {
        tool.archive = invocation.archive;
        status =
            command->run(&tool, invocation.operands, invocation.operand_count, invocation.options);
    }
    assert_int_equal(fclose(out), 0);
    return status;
}

/* What the command prints to both streams; the caller's to free(). */
static char *run(struct sim_world *world, enum exit_status expected, const char *const *words)
{
    char *text = NULL;
    const enum exit_status status = run_any(world, &text, words);
    if (status != expected)
        fail_msg("status %d instead of %d:\n%.1500s", (int)status, (int)expected,
                 text + (strlen(text) > 1500 ? strlen(text) - 1500 : 0));
    return text;
}

static void assert_contains(const char *text, const char *wanted)
{
    if (strstr(text, wanted) == NULL)
        fail_msg("\"%s\" is not in:\n%.1500s", wanted, text);
}

static void check_says(struct sim_world *world, enum exit_status expected, const char *wanted,
                       const char *const *words)
{
    char *text = run(world, expected, words);
    assert_contains(text, wanted);
    free(text);
}

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

/* Sizes as they are written on a command line. */
static char *resize(struct sim_world *world, enum exit_status expected, uint64_t size_bytes,
                    uint32_t segments)
{
    char size[32];
    char count[32];
    (void)snprintf(size, sizeof size, "%" PRIu64 "KiB", size_bytes / KIB);
    (void)snprintf(count, sizeof count, "%" PRIu32, segments);
    return run(world, expected,
               WORDS("resize", "data", "--segment-size", size, "--segments", count, "--max-batch",
                     "1000"));
}

static void configure(struct driver *driver, uint64_t size_bytes, uint32_t segments)
{
    driver->config.create = false;
    driver->config.segment_size_bytes = size_bytes;
    driver->config.segments = segments;
}

/* ---- one history ------------------------------------------------------------------------------- */

/* Every draw from the first on, each once and in order, by all that read. */
static void check_all(struct sim_world *world, uint64_t last)
{
    char id[32];
    char next[64];
    char *text = run(world, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
    assert_int_equal(lines_of(text, "DRAW "), last);
    assert_int_equal(strncmp(text, "DRAW 1 main ", strlen("DRAW 1 main ")), 0);
    free(text);
    text = run(world, EXIT_SOUND, WORDS("cat", "data", "--type", "draw", "--reverse"));
    assert_int_equal(lines_of(text, "DRAW "), last);
    free(text);
    text = run(world, EXIT_SOUND, WORDS("export", "data"));
    assert_true(lines_of(text, "") > last);
    free(text);
    text = run(world, EXIT_SOUND, WORDS("verify", "data"));
    assert_contains(text, "verdict: sound");
    if (strstr(text, "could not be held against a state") != NULL ||
        strstr(text, "gap in the archive") != NULL)
        fail_msg("%s", text);
    free(text);
    text = run(world, EXIT_SOUND, WORDS("ls", "data"));
    assert_int_equal(lines_of(text, "gap:"), 0);
    free(text);
    free(run(world, EXIT_SOUND, WORDS("stats", "data")));
    for (uint64_t i = 0; i < 7; i++) {
        const uint64_t wanted = 1 + (last - 1) * i / 6;
        (void)snprintf(id, sizeof id, "%" PRIu64, wanted);
        (void)snprintf(next, sizeof next, "request id    %" PRIu64 "\n", wanted);
        check_says(world, EXIT_SOUND, next, WORDS("find", "data", id));
        (void)snprintf(id, sizeof id, "id:%" PRIu64, wanted);
        (void)snprintf(next, sizeof next, "\"next_request_id\":%" PRIu64, wanted + 1);
        check_says(world, EXIT_SOUND, next, WORDS("replay", "data", "--until", id, "--json"));
    }
    free(run(world, EXIT_SOUND,
             WORDS("replay", "data", "--until", "lsn:200000", "--output", "moment")));
    check_says(world, EXIT_SOUND, "\"segment_size\":65536",
               WORDS("cat", "moment", "--format=json"));
    assert_true(sim_lose_file(world, "moment"));
}

static void check_lookups(struct driver *driver, uint64_t last, uint64_t step)
{
    for (uint64_t id = 1; id <= last; id += step) {
        const struct urn_request request = {.op = URN_LOOKUP, .request_id = id};
        if (driver_ask(driver, request) != URN_OK)
            fail_msg("id %" PRIu64 ": %s", id, driver->error.text);
    }
}

/* To larger and smaller segments, more and fewer, such as divide each other and such as do not. */
static void test_one_history_of_rings_of_all_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t size_bytes;
        uint32_t segments;
    } ways[] = {{128 * KIB, 3}, {128 * KIB, 5}, {64 * KIB, 4}, {96 * KIB, 3},
                {68 * KIB, 7},  {256 * KIB, 3}, {64 * KIB, 3}};
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 9 * SEGMENT + SEGMENT / 3);
    uint64_t last = last_id(driver);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        assert_int_equal(driver_stop(driver), URN_OK);
        char *text = resize(driver->world, EXIT_SOUND, ways[i].size_bytes, ways[i].segments);
        assert_contains(text, ": in the archive archive\n");
        free(text);
        check_all(driver->world, last);
        configure(driver, ways[i].size_bytes, ways[i].segments);
        driver_must_open(driver);
        check_lookups(driver, last, 61);
        draw_more(driver,
                  i % 2 == 0 ? ways[i].size_bytes / 2 : 2 * ways[i].segments * ways[i].size_bytes);
        last = last_id(driver);
        check_lookups(driver, last, 61);
        struct urn_engine_info info;
        urn_engine_info(driver->engine, &info);
        assert_int_equal(info.archive_gaps, 0);
        if (i % 2 == 0)
            driver_crash(driver, SIM_CRASH_PROCESS);
        else
            assert_int_equal(driver_stop(driver), URN_OK);
        check_all(driver->world, last);
        driver_must_open(driver);
    }
    assert_int_equal(driver_stop(driver), URN_OK);
    check_says(driver->world, EXIT_SOUND, "verdict: sound", WORDS("verify", "archive"));
    done(driver);
}

/* Programs are told, too, where the history went. */
static void test_programs_are_told_of_the_archive(void **state)
{
    (void)state;
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 5 * SEGMENT);
    assert_int_equal(driver_stop(driver), URN_OK);
    check_says(driver->world, EXIT_SOUND, "\"archive\":\"archive\"}}\n",
               WORDS("resize", "data", "--segment-size", "96KiB", "--max-batch", "1000", "--json"));
    done(driver);
}

/* Ids that go on above a reservation, where the new ring begins, are told from a gap. */
static void test_ids_left_out_behind_a_resize(void **state)
{
    (void)state;
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_OS);
    draw_more(driver, 5 * SEGMENT);
    const uint64_t last = last_id(driver);
    driver_crash(driver, SIM_CRASH_PROCESS);
    free(resize(driver->world, EXIT_SOUND, 96 * KIB, 3));
    configure(driver, 96 * KIB, 3);
    driver_must_open(driver);
    const uint64_t next = driver->report.next_request_id;
    assert_true(next > last + 1);
    draw_more(driver, 8 * 96 * KIB);
    for (uint64_t id = last + 1; id < next; id += next - last - 2) {
        const struct urn_request request = {.op = URN_LOOKUP, .request_id = id};
        assert_int_equal(driver_ask(driver, request), URN_NOTFOUND);
        assert_contains(driver->error.text, "a start or a repair left out");
    }
    check_lookups(driver, last, 61);
    done(driver);
}

/* Prune takes what is older, whatever size it has. */
static void test_prune_of_several_sizes(void **state)
{
    (void)state;
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 9 * SEGMENT);
    assert_int_equal(driver_stop(driver), URN_OK);
    free(resize(driver->world, EXIT_SOUND, 96 * KIB, 3));
    configure(driver, 96 * KIB, 3);
    sim_advance(driver->world, 48ull * 3600 * 1000000000);
    driver_must_open(driver);
    draw_more(driver, 7 * 96 * KIB);
    sim_advance(driver->world, 48ull * 3600 * 1000000000);
    draw_more(driver, 7 * 96 * KIB);
    assert_int_equal(driver_stop(driver), URN_OK);
    check_says(driver->world, EXIT_SOUND, "deleted segment-0000000000000000\n",
               WORDS("prune", "archive", "--keep-days", "1", "--write"));
    check_says(driver->world, EXIT_SOUND, "verdict: sound", WORDS("verify", "data"));
    driver_must_open(driver);
    check_lookups(driver, 0, 1);
    const struct urn_request request = {.op = URN_LOOKUP, .request_id = 1};
    assert_int_equal(driver_ask(driver, request), URN_NOTFOUND);
    assert_contains(driver->error.text, "is older than what is kept");
    done(driver);
}

/* ---- what is damaged or missing -------------------------------------------------------------------- */

/* The last of the old ring, before anything is written in the new one, and one amid them behind that: what lies
 * between the rings is no excuse. */
static void test_a_missing_old_segment_is_told(void **state)
{
    (void)state;
    static const char *const names[] = {"segment-0000000000090000", "segment-0000000000080000"};
    for (uint32_t starts = 0; starts < 2; starts++) {
        char path[64];
        char missing[64];
        struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
        draw_more(driver, 9 * SEGMENT + SEGMENT / 3);
        assert_int_equal(driver_stop(driver), URN_OK);
        free(resize(driver->world, EXIT_SOUND, 96 * KIB, 3));
        (void)snprintf(path, sizeof path, "archive/%s", names[starts]);
        (void)snprintf(missing, sizeof missing, "and %s is missing", names[starts]);
        assert_true(sim_lose_file(driver->world, path));
        if (starts) {
            configure(driver, 96 * KIB, 3);
            driver_must_open(driver);
            draw_more(driver, 4 * 96 * KIB);
            assert_int_equal(driver_stop(driver), URN_OK);
        }
        check_says(driver->world, EXIT_MISSING, missing, WORDS("verify", "data"));
        done(driver);
    }
}

static void test_damage_in_an_old_segment_is_told(void **state)
{
    (void)state;
    static const uint64_t places[] = {12, 5000, 60000};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
        draw_more(driver, 9 * SEGMENT + SEGMENT / 3);
        const uint64_t last = last_id(driver);
        assert_int_equal(driver_stop(driver), URN_OK);
        free(resize(driver->world, EXIT_SOUND, 96 * KIB, 3));
        assert_true(sim_flip_bit(driver->world, "archive/segment-0000000000030000", places[i], 2));
        check_says(driver->world, EXIT_DAMAGE, "segment-0000000000030000", WORDS("verify", "data"));
        configure(driver, 96 * KIB, 3);
        driver_must_open(driver);
        const struct urn_request request = {.op = URN_LOOKUP, .request_id = last};
        assert_int_equal(driver_ask(driver, request), URN_OK);
        assert_int_equal(driver_stop(driver), URN_OK);
        done(driver);
    }
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void test_an_archive_that_is_away_is_a_refusal(void **state)
{
    (void)state;
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 5 * SEGMENT + SEGMENT / 3);
    assert_int_equal(driver_stop(driver), URN_OK);
    assert_true(sim_lose_file(driver->world, "archive/ARCHIVE"));
    char *text = resize(driver->world, EXIT_READ_ERROR, 96 * KIB, 3);
    assert_contains(text, "the ring is as it was, for its log cannot be archived");
    assert_contains(text, "--discard-history");
    free(text);
    driver_must_open(driver); /* the ring of before */
    draw_more(driver, 1);
    const uint64_t last = last_id(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    check_says(driver->world, EXIT_SOUND, ": discarded\n",
               WORDS("resize", "data", "--segment-size", "96KiB", "--segments", "3", "--max-batch",
                     "1000", "--discard-history"));
    configure(driver, 96 * KIB, 3);
    driver->config.archive = "another archive";
    driver_must_open(driver);
    draw_more(driver, SEGMENT / 3);
    assert_true(driver->request.first_request_id > last);
    done(driver);
}

/* What was given up is a gap that is known, and everything else is found. */
static void test_history_that_was_given_up_is_a_gap(void **state)
{
    (void)state;
    for (uint64_t draws = SEGMENT / 3; draws < 3 * SEGMENT; draws += SEGMENT) {
        struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
        draw_more(driver, 5 * SEGMENT);
        driver->holds_archive = true;
        draw_more(driver, draws);
        const uint64_t lost = last_id(driver);
        driver_crash(driver, SIM_CRASH_PROCESS);
        driver->holds_archive = false;
        free(run(driver->world, EXIT_SOUND,
                 WORDS("resize", "data", "--segment-size", "96KiB", "--max-batch", "1000",
                       "--discard-history")));
        configure(driver, 96 * KIB, 4);
        driver_must_open(driver);
        draw_more(driver, 9 * 96 * KIB);
        const uint64_t last = last_id(driver);
        check_lookups(driver, 2000, 97);
        const struct urn_request request = {.op = URN_LOOKUP, .request_id = lost};
        assert_int_equal(driver_ask(driver, request), URN_NOTFOUND);
        assert_contains(driver->error.text, "is in a gap of the archive");
        const struct urn_request behind = {.op = URN_LOOKUP, .request_id = lost + 1};
        assert_int_equal(driver_ask(driver, behind), URN_OK);
        assert_int_equal(driver_stop(driver), URN_OK);
        char *text = run(driver->world, EXIT_SOUND, WORDS("verify", "data"));
        assert_contains(text, "a gap in the archive: ");
        assert_contains(text, "verdict: sound");
        free(text);
        text = run(driver->world, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
        assert_true(lines_of(text, "DRAW ") < last);
        free(text);
        done(driver);
    }
}

/* The last that the archive got of the old ring is the record of a gap, which ends amid one of the new ring's
 * segments: archiving goes on with the first of those that is there. */
static void test_a_gap_that_ends_where_no_new_segment_begins(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {96 * KIB, 128 * KIB, 256 * KIB};
    for (uint64_t more = 6; more < 9; more++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct driver *driver = a_server(URN_ARCHIVE_GAP, URN_WAL_COMMIT);
            char size[32];
            struct urn_error error;
            draw_more(driver, 5 * SEGMENT);
            driver->holds_archive = true;
            draw_more(driver, more * SEGMENT);
            struct archive_task *task = &driver->engine->archive;
            while (atomic_load(&task->counters.gaps) == 0) {
                (void)archive_task_step(task);
                sim_advance(driver->world, 1000000);
            }
            const uint64_t lost = last_id(driver);
            driver_crash(driver, SIM_CRASH_PROCESS);
            driver->holds_archive = false;
            (void)snprintf(size, sizeof size, "%" PRIu64 "KiB", sizes[i] / KIB);
            free(run(driver->world, EXIT_SOUND,
                     WORDS("resize", "data", "--segment-size", size, "--segments", "4",
                           "--max-batch", "1000", "--discard-history")));
            configure(driver, sizes[i], 4);
            driver_must_open(driver);
            draw_more(driver, 9 * sizes[i]);
            urn_engine_archive_failure(driver->engine, &error);
            if (error.code != URN_OK)
                fail_msg("%s", error.text);
            const struct urn_request request = {.op = URN_LOOKUP, .request_id = lost};
            assert_int_equal(driver_ask(driver, request), URN_NOTFOUND);
            const struct urn_request behind = {.op = URN_LOOKUP, .request_id = lost + 1};
            assert_int_equal(driver_ask(driver, behind), URN_OK);
            assert_int_equal(driver_stop(driver), URN_OK);
            check_says(driver->world, EXIT_SOUND, "verdict: sound", WORDS("verify", "data"));
            done(driver);
        }
    }
}

/* A damaged segment is not archived as if it were sound. */
static void test_damage_in_the_ring_is_a_refusal(void **state)
{
    (void)state;
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 4 * SEGMENT);
    driver->holds_archive = true;
    draw_more(driver, SEGMENT + SEGMENT / 3);
    assert_int_equal(driver_snapshot(driver), URN_OK); /* a start does not look below it */
    assert_int_equal(driver_snapshot(driver), URN_OK);
    driver_crash(driver, SIM_CRASH_PROCESS);
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", SEGMENT / 2, 2));
    char *text = resize(driver->world, EXIT_DAMAGE, 96 * KIB, 3);
    assert_contains(text, "(segment-0000) cannot be archived, for it is damaged");
    free(text);
    done(driver);
}

/* Where archiving has been turned off, a person decides as ever. */
static void test_archiving_that_is_off_keeps_nothing(void **state)
{
    (void)state;
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 5 * SEGMENT);
    assert_int_equal(driver_stop(driver), URN_OK);
    driver->config.archive = NULL;
    driver_must_open(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    char *text = resize(driver->world, EXIT_USAGE, 96 * KIB, 3);
    assert_contains(text, "decide: --backup DEST");
    free(text);
    done(driver);
}

/* ---- crashes and failures ----------------------------------------------------------------------- */

/* A directory whose last segments are not archived yet. */
static struct driver *a_crash_scene(uint64_t *last)
{
    struct driver *driver = a_server(URN_ARCHIVE_BLOCK, URN_WAL_COMMIT);
    draw_more(driver, 3 * SEGMENT);
    driver->holds_archive = true;
    draw_more(driver, SEGMENT + SEGMENT / 3);
    *last = last_id(driver);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver->holds_archive = false;
    return driver;
}

/* Whatever is there now, a server starts from it or the command finishes it; and nothing is lost. */
static void check_mends(struct driver *driver, struct sim_world *world, uint64_t last, bool starts)
{
    struct driver other = *driver;
    other.world = world;
    char *text = NULL;
    if (starts && driver_open(&other) == URN_OK) {
        driver_run(&other);
        assert_int_equal(driver_stop(&other), URN_OK);
        text = run(world, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
        assert_int_equal(lines_of(text, "DRAW "), last);
        free(text);
    }
    free(resize(world, EXIT_SOUND, 96 * KIB, 3));
    text = run(world, EXIT_SOUND, WORDS("cat", "data", "--type", "draw"));
    assert_int_equal(lines_of(text, "DRAW "), last);
    free(text);
    check_says(world, EXIT_SOUND, "verdict: sound", WORDS("verify", "data"));
    configure(&other, 96 * KIB, 3);
    driver_must_open(&other);
    draw_more(&other, 200);
    check_lookups(&other, last, 199);
    assert_int_equal(driver_stop(&other), URN_OK);
    assert_int_equal(sim_open_handles(world), 0);
}

static const char *const resize_words[] = {
    "resize", "data", "--segment-size", "96KiB", "--segments", "3", "--max-batch", "1000", NULL};

static void test_crashes_at_every_call(void **state)
{
    (void)state;
    uint64_t last = 0;
    struct driver *driver = a_crash_scene(&last);
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        struct sim_world *world = sim_world_clone(driver->world, n);
        (void)sim_restart(world);
        sim_crash_at(world, n, n % 3 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE,
                     n % 2 == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AMID);
        char *text = NULL;
        (void)run_any(world, &text, resize_words);
        free(text);
        fired = sim_crashed(world) != SIM_NO_CRASH;
        if (!fired)
            sim_crash_now(world, SIM_CRASH_MACHINE);
        (void)sim_restart(world);
        check_mends(driver, world, last, n % 2 == 0);
        sim_world_free(world);
    }
    done(driver);
}

static void test_every_call_may_fail(void **state)
{
    (void)state;
    uint64_t last = 0;
    struct driver *driver = a_crash_scene(&last);
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        struct sim_world *world = sim_world_clone(driver->world, n);
        (void)sim_restart(world);
        sim_fail_at(world, SIM_ANY_CALL, n, 0);
        char *text = NULL;
        (void)run_any(world, &text, resize_words);
        free(text);
        fired = sim_last_event(world)->number != 0;
        if (n % 2 == 0 || sim_is_stopped(world))
            sim_crash_now(world, SIM_CRASH_MACHINE);
        (void)sim_restart(world);
        check_mends(driver, world, last, n % 3 == 0);
        sim_world_free(world);
    }
    done(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_history_of_rings_of_all_sizes),
        cmocka_unit_test(test_programs_are_told_of_the_archive),
        cmocka_unit_test(test_ids_left_out_behind_a_resize),
        cmocka_unit_test(test_prune_of_several_sizes),
        cmocka_unit_test(test_a_missing_old_segment_is_told),
        cmocka_unit_test(test_damage_in_an_old_segment_is_told),
        cmocka_unit_test(test_an_archive_that_is_away_is_a_refusal),
        cmocka_unit_test(test_history_that_was_given_up_is_a_gap),
        cmocka_unit_test(test_a_gap_that_ends_where_no_new_segment_begins),
        cmocka_unit_test(test_damage_in_the_ring_is_a_refusal),
        cmocka_unit_test(test_archiving_that_is_off_keeps_nothing),
        cmocka_unit_test(test_crashes_at_every_call),
        cmocka_unit_test(test_every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
