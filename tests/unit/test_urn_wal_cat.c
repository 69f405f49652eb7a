/* test_urn_wal_cat.c: `urn-wal cat`, `ls` and `find` on logs made by hand, against golden outputs
 * (tests/golden; URN_GOLDEN_UPDATE=1 in the environment writes them anew), beside a server that overtakes
 * them, and with calls that fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/crc32c.h"
#include "engine/snapshot_file.h"
#include "tests/lib/golden.h"
#include "tests/lib/wal_scene.h"

#define SEGMENT SCENE_SEGMENT

/* ---- logs ------------------------------------------------------------------------------------- */

/* Draws of every kind, and a mark between. */
static void make_varied_log(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1, (uint32_t[]){COIN, DIAMOND, TICKET, COIN}, 4);
    maker->engine_time_us = 1000000;
    (void)log_maker_add(maker, WAL_DATA, 0);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1,
                          (uint32_t[]){TICKET, URN_FAILED_DRAW, URN_FAILED_DRAW}, 3);
    maker->engine_time_us = 2500000;
    (void)log_maker_add(maker, WAL_DATA, 0);
    maker->durable_lsn = maker->tail.lsn;
}

/* A reservation of ids, every change, and a draw of an item that was added in the same group. */
static void make_changes(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    static const struct wal_change changes[] = {
        {WAL_ENTRY_UPDATE, 0, COIN, 2, 5, 21, WAL_SETS_QUANTITY | WAL_SETS_WEIGHT, {NULL, 0}},
        {WAL_ENTRY_UPDATE, 0, COIN, 3, 0, 22, WAL_SETS_WEIGHT | WAL_FROM_FILE, {NULL, 0}},
        {WAL_ENTRY_APPLIED, 0, DIAMOND, 3, 0, 7, 0, {NULL, 0}},
        {WAL_ENTRY_CREATE, 1, 0, 1, 0, 0, 0, {"autumn", 6}},
        {WAL_ENTRY_ADD, 1, 0, 1, URN_UNLIMITED, 9, 0, {"leaf, \"red\"", 11}},
        {WAL_ENTRY_OPEN, 1, 0, 1, 0, 0, 0, {NULL, 0}},
        {WAL_ENTRY_CLOSE, 0, 0, 3, 0, 0, 0, {NULL, 0}},
    };
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    wal_entries_add_ids(&maker->entries, 4194304);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        wal_entries_add_change(&maker->entries, &changes[i]);
    wal_entries_add_draws(&maker->entries, 1, 1, 1, (uint32_t[]){0}, 1);
    (void)log_maker_add(maker, WAL_DATA, 0);
}

/* An entry of a type to come, and a draw from a pool that nobody knows. */
static void make_unknown_entry(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    log_maker_entries(maker);
    uint8_t *entry = maker->group + maker->entries.used_bytes;
    memcpy(entry, "\x0a\x00\x00\x00\x10\x00\x00\x00to come", 16);
    maker->entries.used_bytes += 16;
    wal_entries_add_draws(&maker->entries, 7, 1, 1, (uint32_t[]){200}, 1);
    (void)log_maker_add(maker, WAL_DATA, 0);
}

/* The id of a line "DRAW <id> main coin"; 0: it is none. (sscanf would measure all that follows.) */
static uint64_t coin_id(const char *line)
{
    static const char rest[] = " main coin\n";
    char *end = NULL;
    if (strncmp(line, "DRAW ", 5) != 0)
        return 0;
    const uint64_t id = strtoull(line + 5, &end, 10);
    return strncmp(end, rest, sizeof rest - 1) == 0 ? id : 0;
}

/* The begin of the line behind this one. (strchr would, under a sanitizer, measure all that follows.) */
static const char *next_line(const char *line, const char *end)
{
    const char *line_end = memchr(line, '\n', (size_t)(end - line));
    assert_non_null(line_end);
    return line_end + 1;
}

/* The same, and these are its very words. */
static void assert_words(struct wal_scene *scene, const char *expected, const char *const *words)
{
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, words);
    assert_string_equal(text, expected);
    free(text);
}

/* ---- cat: formats ------------------------------------------------------------------------------ */

static void test_cat_draws(void **context)
{
    make_varied_log(*context);
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat.txt", WORDS("cat", "log"));
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat.json",
                            WORDS("cat", "log", "--format", "json"));
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat.csv",
                            WORDS("cat", "log", "--format=csv"));
}

static void test_cat_groups_and_unknown_entries(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    make_unknown_entry(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-groups.txt",
                            WORDS("cat", "log", "--groups", "--from", "4464"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-groups.json",
                            WORDS("cat", "log", "--groups", "--from", "4464", "--format", "json"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-groups.csv",
                            WORDS("cat", "log", "--groups", "--from", "4464", "--format", "csv"));
}

static void test_cat_changes(void **context)
{
    make_changes(*context);
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat-changes.txt",
                            WORDS("cat", "log"));
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat-changes.json",
                            WORDS("cat", "log", "--format", "json"));
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat-changes.csv",
                            WORDS("cat", "log", "--format", "csv"));
}

static void test_cat_bytes(void **context)
{
    make_varied_log(*context);
    wal_scene_assert_golden(*context, NULL, EXIT_SOUND, "urn-wal-cat-hex.txt",
                            WORDS("cat", "log", "--hex", "--to", "4300"));
}

/* ---- cat: filters -------------------------------------------------------------------------------- */

static void test_cat_filters(void **context)
{
    struct wal_scene *scene = *context;
    make_varied_log(scene);
    make_changes(scene);
    assert_words(scene, "DRAW 3 main ticket\nDRAW 5 main ticket\n",
                 WORDS("cat", "log", "--item", "ticket"));
    assert_words(scene,
                 "DRAW 2 main blue\\x20diamond\nAPPLIED main blue\\x20diamond probability=7 "
                 "odds_version=3\n",
                 WORDS("cat", "log", "--item", "blue diamond", "--type", "draw,applied"));
    assert_words(scene, "DRAW 6 main FAILED\nDRAW 7 main FAILED\n",
                 WORDS("cat", "log", "--failed"));
    assert_words(scene, "DRAW 3 main ticket\nDRAW 4 main coin\nDRAW 5 main ticket\n",
                 WORDS("cat", "log", "--request-id", "3-5"));
    assert_words(scene, "DRAW 7 main FAILED\nDRAW 8 autumn leaf,\\x20\"red\"\n",
                 WORDS("cat", "log", "--request-id", "7-"));
    assert_words(scene, "DRAW 4 main coin\n", WORDS("cat", "log", "--request-id=4"));
    assert_words(scene, "DRAW 8 autumn leaf,\\x20\"red\"\n",
                 WORDS("cat", "log", "--pool", "autumn", "--type", "draw"));
    assert_words(scene, "CREATE autumn odds_version=1\nOPEN autumn odds_version=1\n",
                 WORDS("cat", "log", "--pool", "autumn", "--type", "create,open,close"));
    assert_words(scene, "DRAW 1 main coin\nDRAW 2 main blue\\x20diamond\n",
                 WORDS("cat", "log", "-n", "2"));
    assert_words(scene, "", WORDS("cat", "log", "--pool", "winter"));
    assert_words(scene, "", WORDS("cat", "log", "--item", "crown", "--pool", "main"));
}

static void test_cat_by_time(void **context)
{
    struct wal_scene *scene = *context;
    make_varied_log(scene);
    /* the groups were sealed 0, 1 and 2.5 s behind 2023-11-14T22:13:20Z */
    assert_words(scene, "DRAW 5 main ticket\nDRAW 6 main FAILED\nDRAW 7 main FAILED\n",
                 WORDS("cat", "log", "--since", "2023-11-14T22:13:21.5Z"));
    assert_words(scene, "DRAW 1 main coin\n",
                 WORDS("cat", "log", "-n", "1", "--since", "2023-11-14", "--until",
                       "2023-11-14T23:13:21+01:00"));
}

static void test_cat_a_stretch(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    char from[32];
    char to[32];
    (void)log_maker_draws(&scene->maker, 2);
    (void)snprintf(from, sizeof from, "%" PRIu64, last);
    (void)snprintf(to, sizeof to, "0x%" PRIx64, last + 8);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-stretch.txt",
                            WORDS("cat", "log", "--from", from, "--to", to));
}

/* ---- cat: in reverse ------------------------------------------------------------------------------- */

/* All lines of text, the last one first; the caller's to free(). */
static char *reversed_lines(const char *text)
{
    const size_t length = strlen(text);
    char *reversed = malloc(length + 1);
    assert_non_null(reversed);
    size_t end = length;
    size_t used = 0;
    while (end > 0) {
        size_t begin = end - 1;
        while (begin > 0 && text[begin - 1] != '\n')
            begin--;
        memcpy(reversed + used, text + begin, end - begin);
        used += end - begin;
        end = begin;
    }
    reversed[used] = 0;
    return reversed;
}

static void assert_reversed(struct wal_scene *scene)
{
    char *forward = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "log"));
    char *backward = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "log", "--reverse"));
    char *expected = reversed_lines(forward);
    assert_string_equal(backward, expected);
    free(forward);
    free(backward);
    free(expected);
}

static void test_cat_in_reverse(void **context)
{
    struct wal_scene *scene = *context;
    make_varied_log(scene);
    assert_reversed(scene);
    make_changes(scene);
    assert_reversed(scene);
    assert_words(scene, "DRAW 8 autumn leaf,\\x20\"red\"\nCLOSE main odds_version=3\n",
                 WORDS("cat", "log", "--reverse", "-n", "2"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-reverse.txt",
                            WORDS("cat", "log", "--reverse", "--groups"));
}

/* Several segments, of which the oldest have been overwritten. */
static void test_cat_laps(void **context)
{
    struct wal_scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "log"));
    uint64_t id = 0;
    uint64_t lines = 0;
    const char *end = text + strlen(text);
    for (const char *line = text; line < end; line = next_line(line, end), lines++, id++) {
        const uint64_t found = coin_id(line);
        if (lines > 0)
            assert_int_equal(found, id);
        id = found;
    }
    assert_int_equal(id, scene->maker.first_request_id);
    assert_true(lines > 2 * SEGMENT);
    free(text);
    assert_reversed(scene);
}

/* What an earlier start has discarded is not the log, neither way. */
static void test_cat_leaves_out_what_was_discarded(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    const struct log_maker before = *maker;
    (void)log_maker_draws(maker, 40000);
    (void)log_maker_draws(maker, 30000); /* in the next segment */
    (void)log_maker_draws(maker, 5);
    maker->tail = before.tail;
    maker->first_request_id = before.first_request_id;
    (void)log_maker_epoch(maker);
    assert_words(scene, "DRAW 120 main coin\n", WORDS("cat", "log", "--reverse", "-n", "1"));
    char *text =
        wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "log", "--request-id", "110-"));
    assert_int_equal(strlen(text), strlen("DRAW 110 main coin\n") * 11);
    free(text);
    free(wal_scene_run(scene, NULL, EXIT_NOT_FOUND, WORDS("find", "log", "121")));
    free(wal_scene_run(scene, NULL, EXIT_NOT_FOUND, WORDS("find", "log", "40121")));
}

/* ---- cat: damage ------------------------------------------------------------------------------------ */

static void test_cat_up_to_a_torn_tail(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-torn.txt",
                            WORDS("cat", "log", "--from", "8192", "--groups"));
}

static void test_cat_goes_on_behind_damage(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 2);
    const uint64_t damaged = log_maker_draws(maker, 3);
    (void)log_maker_draws(maker, 2);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    log_maker_flip(maker, damaged + 130);
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-cat-damage.txt",
                            WORDS("cat", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-cat-damage-reverse.txt",
                            WORDS("cat", "log", "--reverse"));
}

static void test_cat_goes_on_behind_what_cannot_be_read(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    const uint64_t lsn = log_maker_draws(maker, 600);
    (void)log_maker_draws(maker, 1);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    log_maker_unreadable(maker, lsn + 500);
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-cat-unreadable.txt",
                            WORDS("cat", "log"));
}

static void test_cat_over_a_missing_segment(void **context)
{
    struct wal_scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    while (scene->maker.tail.lsn < 2 * SEGMENT)
        (void)log_maker_draws(&scene->maker, 30000);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_draws(&scene->maker, 1);
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0001"));
    wal_scene_assert_golden(scene, NULL, EXIT_MISSING, "urn-wal-cat-missing.txt",
                            WORDS("cat", "log", "--type", "group,pad"));
}

/* ---- cat: beside a server ------------------------------------------------------------------------------ */

static void test_cat_beside_a_server_prints_what_is_durable(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 3);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_draws(maker, 4); /* whole, but nobody says that it is durable */
    wal_scene_assert_golden(scene, wal_scene_used, EXIT_SOUND, "urn-wal-cat-in-use.txt",
                            WORDS("cat", "log", "--groups"));
}

/* Every line is one of a draw that was made, in order, and nothing but a note about what has been
 * overwritten. */
static void check_lines(struct wal_scene *scene, const char *text, bool forward)
{
    uint64_t before = 0;
    const char *end = text + strlen(text);
    for (const char *line = text; line < end; line = next_line(line, end)) {
        const uint64_t id = coin_id(line);
        if (strncmp(line, "urn-wal: LSN ", 13) == 0 ||
            strncmp(line, "urn-wal: the log ends", 21) == 0)
            continue;
        if (id == 0 || id >= scene->maker.first_request_id)
            fail_msg("%.100s", line);
        if (before != 0)
            assert_true(forward ? id > before : id < before);
        before = id;
    }
}

/* The server acts between any two calls of the tool, one after the other. */
static void check_interleaved_with(struct wal_scene *scene, const char *const *words,
                                   void (*act)(struct wal_scene *scene))
{
    (void)log_maker_epoch(&scene->maker);
    wal_scene_lap(scene);
    for (uint64_t nth = 1;; nth++) {
        struct wal_rival rival = {.scene = scene, .nth = nth, .act = act};
        wal_rival_begin(&rival);
        enum exit_status status = EXIT_SOUND;
        char *text = wal_scene_run_any(scene, wal_scene_used, &status, words);
        wal_rival_end(&rival);
        if (strstr(text, "damage") != NULL || strstr(text, "cannot") != NULL)
            fail_msg("call %d: %s", (int)nth, text);
        if (strcmp(words[0], "cat") == 0)
            check_lines(scene, text, words[2] == NULL);
        free(text);
        if (rival.acted == 0)
            return;
    }
}

static void check_interleaved(struct wal_scene *scene, const char *const *words)
{
    check_interleaved_with(scene, words, wal_scene_lap);
}

static void test_cat_beside_a_server_that_laps(void **context)
{
    check_interleaved(*context, WORDS("cat", "log"));
}

static void test_cat_in_reverse_beside_a_server_that_laps(void **context)
{
    check_interleaved(*context, WORDS("cat", "log", "--reverse"));
}

/* Of three. */
static void write_two_segments(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    const uint64_t end_lsn = maker->tail.lsn + 2 * SEGMENT;
    while (maker->tail.lsn < end_lsn)
        (void)log_maker_draws(maker, 7000);
    maker->durable_lsn = maker->tail.lsn;
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    wal_scene_keep_snapshots(scene, 2);
}

/* Then part of what has been printed is still there when the files are listed anew. */
static void test_cat_in_reverse_beside_a_server_that_overwrites_some(void **context)
{
    check_interleaved_with(*context, WORDS("cat", "log", "--reverse"), write_two_segments);
}

static void test_ls_beside_a_server_that_laps(void **context)
{
    check_interleaved(*context, WORDS("ls", "log", "--json"));
}

static void test_find_beside_a_server_that_laps(void **context)
{
    check_interleaved(*context, WORDS("find", "log", "100000"));
}

static void write_a_group(struct wal_scene *scene)
{
    (void)log_maker_draws(&scene->maker, 1000);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    wal_scene_keep_snapshots(scene, 2);
}

/* Over several segments and laps, as long as it is told to. */
static void test_cat_follows(void **context)
{
    struct wal_scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    write_a_group(scene);
    struct wal_rival rival = {.scene = scene, .nth = 40, .again = true, .act = write_a_group};
    wal_rival_begin(&rival);
    char *text = wal_scene_run(scene, wal_scene_used, EXIT_SOUND,
                               WORDS("cat", "log", "--follow", "-n", "400000"));
    wal_rival_end(&rival);
    check_lines(scene, text, true);
    assert_non_null(strstr(text, "DRAW 400000 main coin\n"));
    assert_true(scene->maker.tail.lsn > 4 * SEGMENT);
    free(text);
}

/* ---- cat: files by themselves ---------------------------------------------------------------------------- */

static void test_cat_of_files(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    while (scene->maker.tail.lsn < SEGMENT)
        (void)log_maker_draws(&scene->maker, 30000);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_draws(&scene->maker, 1);
    assert_words(scene, "DRAW 120 #0 #0\n",
                 WORDS("cat", "log/segment-0000", "--request-id", "120"));
    assert_words(scene, "DRAW 120 main coin\n",
                 WORDS("cat", "log/segment-0000", "log/segment-0001",
                       "log/snapshot-0000000000000000-0000", "--request-id", "120"));
    char *both = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("cat", "log/segment-0001", "log/segment-0000"));
    char *all = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "log"));
    assert_true(strlen(both) > 100000 && strlen(both) < strlen(all)); /* "#0 #0" is shorter */
    free(both);
    free(all);
    /* its header page lost: the groups say where it belongs */
    const uint8_t zeros[WAL_SEGMENT_HEADER_BYTES] = {0};
    log_maker_write(&scene->maker, 0, zeros, sizeof zeros);
    char *text = wal_scene_run(scene, NULL, EXIT_DAMAGE,
                               WORDS("cat", "log/segment-0000", "--request-id", "120"));
    assert_non_null(strstr(text, "DRAW 120 #0 #0\n"));
    assert_non_null(strstr(text, "header page"));
    free(text);
    /* nor is the ring then unknown, whatever stands first, where another file tells it */
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "DRAW 120 #0 #0\n",
                           WORDS("cat", "log/segment-0000", "log/segment-0001"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "DRAW 120 main coin\n",
                           WORDS("cat", "log/segment-0000", "log/snapshot-0000000000000000-0000"));
}

/* A header page with a byte set where zeros belong, under a right checksum: no file of another ring. */
static void test_cat_of_a_file_with_a_strange_header(void **context)
{
    struct wal_scene *scene = *context;
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    (void)wal_scene_serve(scene);
    assert_true(sim_file_bytes(scene->maker.world, "log/segment-0000", 0, page, sizeof page));
    page[sizeof page - 1] = 1;
    put_u32(page + 8, crc32c(page + 12, sizeof page - 12));
    log_maker_write(&scene->maker, 0, page, sizeof page);
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "DRAW 120 #0 #0\n",
                           WORDS("cat", "log/segment-0000"));
}

static void test_cat_of_snapshots(void **context)
{
    struct wal_scene *scene = *context;
    make_changes(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    char path[2 * DATA_DIR_NAME_MAX];
    (void)snprintf(path, sizeof path, "log/snapshot-%016" PRIx64 "-0000", scene->state.tail.lsn);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-snapshot.txt",
                            WORDS("cat", path));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-snapshot.json",
                            WORDS("cat", path, "--format", "json"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-cat-snapshot.csv",
                            WORDS("cat", path, "--format", "csv"));
    assert_true(sim_flip_bit(scene->maker.world, path, 100, 1));
    free(wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("cat", path)));
}

/* ---- ls ---------------------------------------------------------------------------------------------------- */

static void test_ls(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    while (scene->maker.tail.lsn < SEGMENT)
        (void)log_maker_draws(&scene->maker, 20000);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    const uint64_t damaged = log_maker_draws(&scene->maker, 3);
    (void)log_maker_draws(&scene->maker, 4);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_epoch(&scene->maker);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-ls.txt", WORDS("ls", "log"));
    log_maker_flip(&scene->maker, damaged + 130);
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0002"));
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-ls-damage.txt", WORDS("ls", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_DAMAGE, "urn-wal-ls.json",
                            WORDS("ls", "log", "--json"));
}

/* ---- find -------------------------------------------------------------------------------------------------- */

static void test_find(void **context)
{
    struct wal_scene *scene = *context;
    make_varied_log(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-find.txt", WORDS("find", "log", "2"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-find-odds.txt",
                            WORDS("find", "log", "3", "--odds"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-find.json",
                            WORDS("find", "log", "3", "--odds", "--json"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-find-failed.txt",
                            WORDS("find", "log", "6"));
    wal_scene_assert_golden(scene, NULL, EXIT_NOT_FOUND, "urn-wal-find-not-yet.txt",
                            WORDS("find", "log", "8"));
}

static void test_find_in_an_empty_log(void **context)
{
    char *text = wal_scene_run(*context, NULL, EXIT_NOT_FOUND, WORDS("find", "log", "7"));
    assert_string_equal(text,
                        "urn-wal: request id 7 has not been given yet: nothing is in the log\n");
    free(text);
}

/* The odds of a version that no snapshot holds: from the changes behind the one before. */
static void test_find_after_changes(void **context)
{
    struct wal_scene *scene = *context;
    make_varied_log(scene);
    make_changes(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-find-changed.txt",
                            WORDS("find", "log", "8"));
}

/* An epoch group as an engine writes it: where ids go on stands in its entry alone. Returns its LSN. */
static uint64_t add_epoch(struct log_maker *maker, uint64_t next_id)
{
    static const uint8_t nonce[WAL_NONCE_BYTES] = "a nonce of test";
    maker->tail.epoch++;
    log_maker_entries(maker);
    wal_entries_add_epoch(&maker->entries, nonce, next_id);
    const uint64_t lsn = log_maker_add(maker, WAL_EPOCH, 0);
    maker->first_request_id = next_id;
    return lsn;
}

/* Every draw that is kept, in a ring of several laps; and ids that no draw has. */
static void test_find_everything(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    wal_scene_lap(scene);
    const uint64_t skipped = maker->first_request_id + 999;
    const uint64_t epoch_lsn = add_epoch(maker, skipped + 1);
    char told[160];
    (void)snprintf(told, sizeof told,
                   "is of no draw in the log: a start or a repair left out %" PRIu64 " to %" PRIu64
                   " (LSN %" PRIu64 ")",
                   skipped - 999, skipped, epoch_lsn);
    (void)log_maker_draws(maker, 100);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "log", "-n", "1"));
    const uint64_t oldest = coin_id(text);
    assert_true(oldest > 0);
    free(text);
    char id[32];
    for (uint64_t at = oldest; at<maker->first_request_id; at += at> skipped ? 7 : 997) {
        char expected[64];
        const bool given = at < skipped - 999 || at > skipped;
        (void)snprintf(id, sizeof id, "%" PRIu64, at);
        text = wal_scene_run(scene, NULL, given ? EXIT_SOUND : EXIT_NOT_FOUND,
                             WORDS("find", "log", id));
        (void)snprintf(expected, sizeof expected, "request id    %" PRIu64 "\n", at);
        assert_true((strstr(text, expected) != NULL) == given);
        if (!given)
            if (strstr(text, told) == NULL)
                fail_msg("%s is not in %s", told, text);
        free(text);
    }
    (void)snprintf(id, sizeof id, "%" PRIu64, oldest - 1);
    text = wal_scene_run(scene, NULL, EXIT_NOT_FOUND, WORDS("find", "log", id));
    assert_non_null(strstr(text, "older than what is kept"));
    free(text);
}

/* The epoch group is what left them out, also as long as nothing follows it. */
static void test_find_what_an_epoch_left_out(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    const uint64_t epoch_lsn = add_epoch(maker, 1121);
    char expected[200];
    (void)snprintf(
        expected, sizeof expected,
        "is of no draw in the log: a start or a repair left out 121 to 1120 (LSN %" PRIu64
        "); if its draw was answered, it was lost there",
        epoch_lsn);
    for (int followed = 0; followed < 2; followed++) {
        wal_scene_assert_tells(scene, NULL, EXIT_NOT_FOUND, expected, WORDS("find", "log", "121"));
        wal_scene_assert_tells(scene, NULL, EXIT_NOT_FOUND, expected, WORDS("find", "log", "1120"));
        wal_scene_assert_tells(scene, NULL, followed ? EXIT_SOUND : EXIT_NOT_FOUND,
                               followed ? "request id    1121\n"
                                        : "not been given yet: the next one is 1121",
                               WORDS("find", "log", "1121"));
        (void)log_maker_draws(maker, 10);
        maker->durable_lsn = maker->tail.lsn;
        (void)log_maker_mark(maker);
    }
}

static void test_find_in_damage(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_flip(&scene->maker, last + 130);
    char *text = wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("find", "log", "110"));
    assert_non_null(strstr(text, "the checksum does not match"));
    free(text);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("find", "log", "100")));
}

/* ---- command lines ------------------------------------------------------------------------------------------- */

static void test_wrong_usage(void **context)
{
    struct wal_scene *scene = *context;
    static const struct {
        const char *says;
        const char *words[6];
    } lines[] = {
        {"cat wants a data directory", {"cat", NULL}},
        {"did you mean --format?", {"cat", "log", "--formatt", "json", NULL}},
        {"--format needs text, json or csv, not yaml", {"cat", "log", "--format", "yaml", NULL}},
        {"--from needs a position", {"cat", "log", "--from", "-1", NULL}},
        {"--from needs a position", {"cat", "log", "--from", NULL}},
        {"--since needs a time", {"cat", "log", "--since", "yesterday", NULL}},
        {"--request-id needs an id", {"cat", "log", "--request-id", "9-5", NULL}},
        {"--type needs kinds", {"cat", "log", "--type", "draw,wish", NULL}},
        {"-n needs a number", {"cat", "log", "-n", "0", NULL}},
        {"--follow goes forward", {"cat", "log", "--follow", "--reverse", NULL}},
        {"--hex goes with", {"cat", "log", "--hex", "--format=csv", NULL}},
        {"--json takes no value", {"ls", "log", "--json=yes", NULL}},
        {"find wants a data directory", {"find", "log", NULL}},
        {"needs a request id", {"find", "log", "zero", NULL}},
        {"there is also other", {"verify", "log", "other", NULL}},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char *text = wal_scene_run(scene, NULL, EXIT_USAGE, lines[i].words);
        if (strstr(text, lines[i].says) == NULL)
            fail_msg("\"%s\" is not in: %s", lines[i].says, text);
        free(text);
    }
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_OPEN, WORDS("cat", "nowhere")));
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_OPEN, WORDS("ls", "log/segment-7777")));
    char *text = wal_scene_run(scene, NULL, EXIT_CANNOT_OPEN,
                               WORDS("ls", "log/segment-7777", "log/segment-0000"));
    assert_non_null(strstr(text, "cannot open log/segment-7777"));
    free(text);
    assert_true(sim_lose_file(scene->maker.world, "log/IDENTITY"));
    free(wal_scene_run(scene, NULL, EXIT_MISSING, WORDS("ls", "log")));
}

/* ---- calls that fail ------------------------------------------------------------------------------------------ */

/* Whatever call fails: whole lines, and a status that says that not all is well, or all of it. */
static void check_failing_calls(struct wal_scene *scene, const char *const *words)
{
    char *whole = wal_scene_run(scene, NULL, EXIT_SOUND, words);
    for (uint64_t nth = 1;; nth++) {
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_ANY_CALL, nth, 0);
        enum exit_status status = EXIT_SOUND;
        char *text = wal_scene_run_any(scene, NULL, &status, words);
        const bool fired = sim_last_event(scene->maker.world)->number != 0;
        assert_true(text[0] == 0 || text[strlen(text) - 1] == '\n');
        if (status == EXIT_SOUND && strstr(text, "#0") == NULL) /* names may be lost */
            assert_string_equal(text, whole);
        free(text);
        if (!fired)
            break;
    }
    free(whole);
}

static void test_failing_calls(void **context)
{
    struct wal_scene *scene = *context;
    make_varied_log(scene);
    make_changes(scene);
    check_failing_calls(scene, WORDS("cat", "log"));
    check_failing_calls(scene, WORDS("cat", "log", "--reverse"));
    check_failing_calls(scene, WORDS("find", "log", "3"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cat_draws),
        TEST(test_cat_groups_and_unknown_entries),
        TEST(test_cat_changes),
        TEST(test_cat_bytes),
        TEST(test_cat_filters),
        TEST(test_cat_by_time),
        TEST(test_cat_a_stretch),
        TEST(test_cat_in_reverse),
        TEST(test_cat_laps),
        TEST(test_cat_leaves_out_what_was_discarded),
        TEST(test_cat_up_to_a_torn_tail),
        TEST(test_cat_goes_on_behind_damage),
        TEST(test_cat_goes_on_behind_what_cannot_be_read),
        TEST(test_cat_over_a_missing_segment),
        TEST(test_cat_beside_a_server_prints_what_is_durable),
        TEST(test_cat_beside_a_server_that_laps),
        TEST(test_cat_in_reverse_beside_a_server_that_laps),
        TEST(test_cat_in_reverse_beside_a_server_that_overwrites_some),
        TEST(test_ls_beside_a_server_that_laps),
        TEST(test_find_beside_a_server_that_laps),
        TEST(test_cat_follows),
        TEST(test_cat_of_files),
        TEST(test_cat_of_a_file_with_a_strange_header),
        TEST(test_cat_of_snapshots),
        TEST(test_ls),
        TEST(test_find),
        TEST(test_find_in_an_empty_log),
        TEST(test_find_after_changes),
        TEST(test_find_everything),
        TEST(test_find_what_an_epoch_left_out),
        TEST(test_find_in_damage),
        TEST(test_wrong_usage),
        TEST(test_failing_calls),
    };
    return cmocka_run_group_tests_name("urn_wal_cat", tests, NULL, NULL);
}
