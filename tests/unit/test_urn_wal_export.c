/* test_urn_wal_export.c: `urn-wal export`: what is printed of draws, what is made of files of deliveries, right
 * and hostile ones, and what is said where the log does not tell.
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
#include "tests/lib/golden.h"
#include "tests/lib/wal_scene.h"
#include "tools/urn_wal/csv_reader.h"
#include "tools/urn_wal/deliveries.h"

#define DELIVERED "log/delivered.csv" /* wal_scene_tool opens it in the scene's world */

/* ---- logs and deliveries --------------------------------------------------------------------------- */

static void add_draws(struct log_maker *maker, uint32_t pool, const uint32_t *outcomes,
                      uint32_t count)
{
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, pool, 1, 1, outcomes, count);
    maker->engine_time_us += 1000000;
    (void)log_maker_add(maker, WAL_DATA, 0);
    maker->durable_lsn = maker->tail.lsn;
}

/* 1 coin, 2 blue diamond, 3 ticket, 4 coin | 5 leaf of autumn | 6 ticket, 7 and 8 failed */
static void make_log(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    static const struct wal_change changes[] = {
        {WAL_ENTRY_CREATE, 1, 0, 1, 0, 0, 0, {"autumn", 6}},
        {WAL_ENTRY_ADD, 1, 0, 1, URN_UNLIMITED, 9, 0, {"leaf, \"red\"", 11}},
        {WAL_ENTRY_OPEN, 1, 0, 1, 0, 0, 0, {NULL, 0}},
    };
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        wal_entries_add_change(&maker->entries, &changes[i]);
    (void)log_maker_add(maker, WAL_DATA, 0);
    add_draws(maker, 0, (uint32_t[]){COIN, DIAMOND, TICKET, COIN}, 4);
    add_draws(maker, 1, (uint32_t[]){0}, 1);
    add_draws(maker, 0, (uint32_t[]){TICKET, URN_FAILED_DRAW, URN_FAILED_DRAW}, 3);
}

static void deliver_bytes(struct wal_scene *scene, const char *bytes, size_t length)
{
    struct urn_error error;
    (void)sim_lose_file(scene->maker.world, DELIVERED);
    assert_int_equal(
        file_publish(scene->maker.data_dir.dir, "delivered.csv", bytes, length, &error), URN_OK);
}

static void deliver(struct wal_scene *scene, const char *text)
{
    deliver_bytes(scene, text, strlen(text));
}

/* Runs export with these words behind `export log`; it says just this. */
static void assert_exports(struct wal_scene *scene, enum exit_status status, const char *expected,
                           const char *const *words)
{
    char *text = wal_scene_run(scene, NULL, status, words);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_reconciles(struct wal_scene *scene, enum exit_status status,
                              const char *delivered, const char *expected)
{
    deliver(scene, delivered);
    assert_exports(scene, status, expected, WORDS("export", "log", "--reconcile", DELIVERED));
}

#define ALL_DELIVERED                                                                              \
    "1,coin\n2,blue diamond\n3,ticket\n4,coin\n5,\"leaf, \"\"red\"\"\"\n6,ticket\n"
#define ALL_DRAWS "8 draws, request ids 1 to 8, 2 failed\n"

/* ---- draws ------------------------------------------------------------------------------------------- */

static void test_draws(void **context)
{
    make_log(*context);
    char *text = wal_scene_run(*context, NULL, EXIT_SOUND, WORDS("export", "log"));
    assert_golden("urn-wal-export.csv", text);
    free(text);
    text = wal_scene_run(*context, NULL, EXIT_SOUND, WORDS("export", "log", "--format", "json"));
    assert_golden("urn-wal-export.json", text);
    char *same = wal_scene_run(*context, NULL, EXIT_SOUND, WORDS("export", "log", "--json"));
    assert_string_equal(same, text);
    free(same);
    free(text);
}

/* The second column of each line but the first, and what is said besides. */
static void assert_ids(struct wal_scene *scene, const char *expected, const char *const *words)
{
    char ids[200] = "";
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, words);
    for (const char *line = strchr(text, '\n') + 1; *line != 0; line = strchr(line, '\n') + 1)
        (void)snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%d ", atoi(line));
    free(text);
    assert_string_equal(ids, expected);
}

static void test_ranges(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    assert_ids(scene, "3 4 5 6 ", WORDS("export", "log", "--request-id", "3-6"));
    assert_ids(scene, "7 8 ", WORDS("export", "log", "--request-id", "7-"));
    assert_ids(scene, "5 ", WORDS("export", "log", "--pool", "autumn"));
    assert_ids(scene, "1 2 ", WORDS("export", "log", "-n", "2"));
    assert_ids(scene, "5 6 7 8 ", WORDS("export", "log", "--since", "2023-11-14T22:13:22Z"));
    assert_ids(scene, "1 2 3 4 5 ", WORDS("export", "log", "--until", "2023-11-14T22:13:22Z"));
    assert_ids(scene, "", WORDS("export", "log", "--request-id", "9-"));
}

/* ---- reconciling ----------------------------------------------------------------------------------- */

static void test_all_agree(void **context)
{
    make_log(*context);
    assert_reconciles(*context, EXIT_SOUND, ALL_DELIVERED,
                      ALL_DRAWS "matched 6, missing 0, mismatched 0, duplicate 0, unknown 0\n");
    /* also when it says of the failed draws that nothing was delivered, in any order and layout */
    assert_reconciles(*context, EXIT_SOUND,
                      "\xef\xbb\xbfwhen,\"item_id\",request_id\r\n,,8\r\n\"a\nb\",ticket,6\r\n\r\n"
                      ",,7\r\nx,\"leaf, \"\"red\"\"\",5\r\n,coin,1\r\n,coin,4\r\n,ticket,3\r\n"
                      ",blue diamond,2",
                      ALL_DRAWS "matched 8, missing 0, mismatched 0, duplicate 0, unknown 0\n");
}

static void test_what_does_not_agree(void **context)
{
    static const char delivered[] = "6,ticket\n"
                                    "3,blue diamond\n"
                                    "2,coin\n" /* the other one agrees */
                                    "2,blue diamond\n"
                                    "6,ticket\n"
                                    "7,coin\n" /* failed */
                                    "99,coin\n"
                                    "4,\n" /* nothing was delivered */
                                    "3,coin\n"
                                    "1,coin\n";
    struct wal_scene *scene = *context;
    make_log(scene);
    deliver(scene, delivered);
    char *text =
        wal_scene_run(scene, NULL, EXIT_DIFFERS, WORDS("export", "log", "--reconcile", DELIVERED));
    assert_golden("urn-wal-reconcile.txt", text);
    free(text);
    text = wal_scene_run(scene, NULL, EXIT_DIFFERS,
                         WORDS("export", "log", "--reconcile", DELIVERED, "--json"));
    assert_golden("urn-wal-reconcile.json", text);
    free(text);
    assert_exports(scene, EXIT_DIFFERS,
                   "DUPLICATE 2 main blue\\x20diamond delivered=coin line=3\n" ALL_DRAWS
                   "matched 3, missing 1, mismatched 3, duplicate 3, unknown 1\n",
                   WORDS("export", "log", "--reconcile", DELIVERED, "-n", "1"));
}

static void test_nothing_delivered(void **context)
{
    make_log(*context);
    assert_reconciles(
        *context, EXIT_DIFFERS, "",
        "MISSING 1 main coin\nMISSING 2 main blue\\x20diamond\nMISSING 3 main ticket\n"
        "MISSING 4 main coin\nMISSING 5 autumn leaf,\\x20\"red\"\nMISSING 6 main ticket\n" ALL_DRAWS
        "matched 0, missing 6, mismatched 0, duplicate 0, unknown 0\n");
}

/* What lies outside of the stretch that was asked for is neither right nor wrong. */
static void test_part_of_the_draws(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    deliver(scene, ALL_DELIVERED);
    assert_exports(scene, EXIT_SOUND,
                   "3 draws, request ids 3 to 5, 0 failed\n"
                   "matched 3, missing 0, mismatched 0, duplicate 0, unknown 0\n"
                   "deliveries not judged: 0 of draws older than what is kept, 0 where the log "
                   "cannot be read, 3 outside of what was asked for\n",
                   WORDS("export", "log", "--reconcile", DELIVERED, "--request-id", "3-5"));
    assert_exports(scene, EXIT_SOUND,
                   "1 draw, request ids 5 to 5, 0 failed\n"
                   "matched 1, missing 0, mismatched 0, duplicate 0, unknown 0\n"
                   "deliveries not judged: 0 of draws older than what is kept, 0 where the log "
                   "cannot be read, 5 outside of what was asked for\n",
                   WORDS("export", "log", "--reconcile", DELIVERED, "--pool", "autumn"));
    assert_exports(
        scene, EXIT_SOUND,
        "3 draws, request ids 6 to 8, 2 failed\n"
        "matched 1, missing 0, mismatched 0, duplicate 0, unknown 0\n"
        "deliveries not judged: 0 of draws older than what is kept, 0 where the log "
        "cannot be read, 5 outside of what was asked for\n",
        WORDS("export", "log", "--reconcile", DELIVERED, "--since", "2023-11-14T22:13:22.5Z"));
    deliver(scene, "9,coin\n");
    assert_exports(scene, EXIT_DIFFERS,
                   "UNKNOWN 9 delivered=coin line=1\nno draws\n"
                   "matched 0, missing 0, mismatched 0, duplicate 0, unknown 1\n",
                   WORDS("export", "log", "--reconcile", DELIVERED, "--request-id", "9"));
}

/* Ids that a start skipped belong to no draw. */
static void test_skipped_ids(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    scene->maker.first_request_id += 1000;
    (void)log_maker_epoch(&scene->maker);
    add_draws(&scene->maker, 0, (uint32_t[]){COIN}, 1);
    assert_reconciles(scene, EXIT_DIFFERS, ALL_DELIVERED "500,coin\n1009,coin\n",
                      "UNKNOWN 500 delivered=coin line=7\n"
                      "9 draws, request ids 1 to 1009, 2 failed\n"
                      "matched 7, missing 0, mismatched 0, duplicate 0, unknown 1\n");
}

/* ---- where the log does not tell -------------------------------------------------------------------- */

static void test_older_than_what_is_kept(void **context)
{
    struct wal_scene *scene = *context;
    char id[32];
    (void)log_maker_epoch(&scene->maker);
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    deliver(scene, "7,coin\n");
    char *text = wal_scene_run(scene, NULL, EXIT_MISSING,
                               WORDS("export", "log", "--reconcile", DELIVERED, "-n", "1"));
    assert_contains(text, "deliveries not judged: 1 of draws older than what is kept");
    assert_contains(text, "older ones are not among these");
    free(text);
    text = wal_scene_run(scene, NULL, EXIT_MISSING, WORDS("export", "log", "--request-id", "1-"));
    assert_contains(text, "urn-wal: the log that is kept begins with draw ");
    free(text);
    text =
        wal_scene_run(scene, NULL, EXIT_MISSING, WORDS("export", "log", "--since", "2020-01-01"));
    assert_contains(text, "urn-wal: the log that is kept begins with draw ");
    free(text);
    text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("export", "log")); /* said, and no more */
    assert_contains(text, "urn-wal: the log that is kept begins with draw ");
    free(text);
    (void)snprintf(id, sizeof id, "%" PRIu64, scene->maker.first_request_id - 5);
    text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("export", "log", "--request-id", id));
    assert_null(strstr(text, "urn-wal:"));
    free(text);
}

static void test_damage(void **context)
{
    struct wal_scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    add_draws(&scene->maker, 0, (uint32_t[]){COIN, COIN}, 2);
    const uint64_t damaged = scene->maker.tail.lsn;
    add_draws(&scene->maker, 0, (uint32_t[]){COIN, COIN, COIN}, 3);
    add_draws(&scene->maker, 0, (uint32_t[]){TICKET}, 1);
    log_maker_flip(&scene->maker, damaged + 130);
    deliver(scene, "1,coin\n2,coin\n3,coin\n4,mud\n6,ticket\n");
    char *text =
        wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("export", "log", "--reconcile", DELIVERED));
    assert_contains(text, "3 draws, request ids 1 to 6, 0 failed\n"
                          "matched 3, missing 0, mismatched 0, duplicate 0, unknown 0\n"
                          "deliveries not judged: 0 of draws older than what is kept, 2 where the "
                          "log cannot be read, 0 outside");
    assert_contains(text, "the checksum does not match");
    free(text);
    text = wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("export", "log"));
    assert_contains(text, "the checksum does not match");
    free(text);
    log_maker_flip(&scene->maker, damaged + 130); /* mended; now without its end */
    log_maker_flip(&scene->maker, scene->maker.tail.lsn - 10);
    (void)log_maker_mark(&scene->maker);
    text =
        wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("export", "log", "--reconcile", DELIVERED));
    assert_contains(text, "1 where the log cannot be read");
    free(text);
}

static void test_no_names(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/snapshot-0000000000000000-0000"));
    deliver(scene, ALL_DELIVERED);
    char *text =
        wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("export", "log", "--reconcile", DELIVERED));
    assert_contains(text, "no snapshot can be loaded, and only one tells the items' ids");
    free(text);
    text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("export", "log", "--request-id", "2"));
    assert_contains(text, "\n2,#0,#1,1,");
    free(text);
}

/* ---- hostile files ----------------------------------------------------------------------------------- */

static void test_refused_files(void **context)
{
    static const struct {
        const char *file;
        const char *says;
    } files[] = {
        {"coin,1\n", "line 1: wanted are a request id and an item id"},
        {"1\n", "line 1: wanted are"},
        {"1,coin,2\n", "line 1: wanted are"},
        {"request_id,item,item\n1,coin,x\n", "line 1: wanted are"},
        {"request_id,item_id,item_id\n", "line 1: wanted are"},
        {"request_id,request_id,item_id\n", "line 1: wanted are"},
        {"1;coin\n", "line 1: wanted are"},
        {"1,coin\n2\n", "line 2: 1 fields instead of 2"},
        {"1,coin\n\n\n2,coin,3\n", "line 4: 3 fields instead of 2"},
        {"request_id,item_id,x\n1,coin\n", "line 2: 2 fields instead of 3"},
        {"1,coin\nx,coin\n", "line 2: a request id is a number from 1 to 2^53 - 1, not \"x\""},
        {"1,coin\n,coin\n", "not \"\""},
        {"1,coin\n0,coin\n", "not \"0\""},
        {"1,coin\n-2,coin\n", "not \"-2\""},
        {"1,coin\n 2,coin\n", "not \" 2\""},
        {"1,coin\n2.0,coin\n", "not \"2.0\""},
        {"1,coin\n9007199254740992,coin\n", "not \"9007199254740992\""},
        {"1,coin\n99999999999999999999999999999999999999999999,coin\n",
         "not \"9999999999999999999999999999999999999999...\""},
        {"1,coin\n\x1b[31m,coin\n", "not \"?[31m\""},
        {"1,co\x01in\n", "line 1: an item id is UTF-8 without control characters, which \"co?in\""},
        {"1,\xff\n", "line 1: an item id is UTF-8"},
        {"1,coin\n2,0123456789012345678901234567890123456789012345678901234567890123x\n",
         "line 2: an item id has at most 64 bytes, not 65"},
        {"1,coin\n2,\"coin\n3,coin\n4,coin\n", "line 2: a quote is opened here and never closed"},
        {"1,coin\n2,co\"in\n",
         "line 2: a quote stands inside a field that does not begin with one"},
        {"1,coin\n2,\"co\nin\"x\n", "line 3: something stands between a closing quote"},
        {"1,coin\n2,\"coin\" \n", "line 2: something stands between a closing quote"},
        {"1,coin\r2,coin\r", "line 1: a carriage return without a line feed"},
        {"1,coin\n2,coin\r", "line 2: a carriage return without a line feed"},
    };
    make_log(*context);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        deliver(*context, files[i].file);
        char *text = wal_scene_run(*context, NULL, EXIT_BAD_INPUT,
                                   WORDS("export", "log", "--reconcile", DELIVERED));
        assert_contains(text, "urn-wal: log/delivered.csv, line ");
        assert_contains(text, files[i].says);
        free(text);
    }
}

static void test_a_zero_byte(void **context)
{
    make_log(*context);
    deliver_bytes(*context, "1,coin\0\n", 8);
    char *text = wal_scene_run(*context, NULL, EXIT_BAD_INPUT,
                               WORDS("export", "log", "--reconcile", DELIVERED));
    assert_contains(text, "line 1: an item id is UTF-8 without control characters");
    free(text);
}

/* Records at the bounds are taken, those beyond are not. */
static void test_bounds_of_records(void **context)
{
    static char text[2 * CSV_RECORD_BYTES_MAX];
    struct csv_reader *csv = malloc(sizeof *csv);
    (void)context;
    assert_non_null(csv);
    for (uint32_t extra = 0; extra < 2; extra++) {
        const size_t length = CSV_RECORD_BYTES_MAX + extra;
        memset(text, 'x', length);
        FILE *stream = fmemopen(text, length, "r");
        assert_non_null(stream);
        csv_begin(csv, stream);
        assert_int_equal(csv_next(csv), extra == 0 ? CSV_RECORD : CSV_REFUSED);
        assert_int_equal(fclose(stream), 0);
    }
    for (uint32_t extra = 0; extra < 2; extra++) {
        const size_t length = CSV_FIELDS_MAX - 1 + extra;
        memset(text, ',', length);
        FILE *stream = fmemopen(text, length, "r");
        assert_non_null(stream);
        csv_begin(csv, stream);
        assert_int_equal(csv_next(csv), extra == 0 ? CSV_RECORD : CSV_REFUSED);
        if (extra == 0)
            assert_int_equal(csv->field_count, CSV_FIELDS_MAX);
        assert_int_equal(fclose(stream), 0);
    }
    free(csv);
}

/* Many deliveries of many items, upside down: none is lost, and the items stay theirs. */
static void test_many_deliveries(void **context)
{
    enum { ROWS = 30000 };
    char *text = NULL;
    size_t length = 0;
    struct deliveries deliveries;
    struct urn_error error;
    const struct id_range all = {.first = 0, .last = UINT64_MAX};
    (void)context;
    FILE *file = open_memstream(&text, &length);
    assert_non_null(file);
    for (int id = ROWS; id > 0; id--)
        (void)fprintf(file, "%d,item %d\n", id, id % 20000);
    assert_int_equal(fclose(file), 0);
    file = fmemopen(text, length, "r");
    assert_non_null(file);
    assert_int_equal(deliveries_read(&deliveries, file, "many", &all, &error), URN_OK);
    assert_int_equal(fclose(file), 0);
    free(text);
    assert_int_equal(deliveries.count, ROWS);
    assert_int_equal(deliveries.item_count, 20000);
    for (uint32_t i = 0; i < ROWS; i++) {
        char expected[32];
        const struct delivery *row = &deliveries.rows[i];
        const struct urn_text item = deliveries_item(&deliveries, row);
        assert_int_equal(row->request_id, i + 1);
        assert_int_equal(row->line, ROWS - i);
        (void)snprintf(expected, sizeof expected, "item %" PRIu32, (i + 1) % 20000);
        assert_int_equal(item.length, strlen(expected));
        assert_memory_equal(item.bytes, expected, item.length);
    }
    deliveries_free(&deliveries);
}

/* ---- beside a server ----------------------------------------------------------------------------------- */

static void write_a_mark(struct wal_scene *scene)
{
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
}

/* The last draws have been answered, and the log says a moment later that they are durable. */
static void test_the_latest_draws_are_waited_for(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    log_maker_entries(&scene->maker);
    wal_entries_add_draws(&scene->maker.entries, 0, 1, 1, (uint32_t[]){COIN}, 1);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0); /* draw 9, carried as durable by nothing */
    deliver(scene, ALL_DELIVERED "9,coin\n");
    struct wal_rival rival = {.scene = scene, .nth = 60, .act = write_a_mark};
    wal_rival_begin(&rival);
    char *text = wal_scene_run(scene, wal_scene_used, EXIT_SOUND,
                               WORDS("export", "log", "--reconcile", DELIVERED));
    wal_rival_end(&rival);
    assert_int_equal(rival.acted, 1);
    assert_contains(text, "matched 7, missing 0, mismatched 0, duplicate 0, unknown 0\n");
    free(text);
}

/* ---- command lines, and calls that fail --------------------------------------------------------------- */

static void test_wrong_usage(void **context)
{
    static const struct {
        const char *says;
        const char *words[8];
    } lines[] = {
        {"export wants a data directory", {"export", NULL}},
        {"--format needs csv or json, not text", {"export", "log", "--format", "text", NULL}},
        {"--format csv does not go with --json",
         {"export", "log", "--format", "csv", "--json", NULL}},
        {"--format csv does not go with --reconcile",
         {"export", "log", "--format", "csv", "--reconcile", "x", NULL}},
        {"--reconcile needs a CSV file", {"export", "log", "--reconcile", NULL}},
        {"did you mean --reconcile?", {"export", "log", "--reconsile", "x", NULL}},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char *text = wal_scene_run(*context, NULL, EXIT_USAGE, lines[i].words);
        assert_contains(text, lines[i].says);
        free(text);
    }
    char *text = wal_scene_run(*context, NULL, EXIT_CANNOT_OPEN,
                               WORDS("export", "log", "--reconcile", "nowhere.csv"));
    assert_contains(text, "urn-wal: cannot open nowhere.csv: No such file or directory");
    free(text);
}

static void test_failing_calls(void **context)
{
    struct wal_scene *scene = *context;
    const char *const *words = WORDS("export", "log", "--reconcile", DELIVERED);
    make_log(scene);
    deliver(scene, ALL_DELIVERED);
    char *whole = wal_scene_run(scene, NULL, EXIT_SOUND, words);
    for (uint64_t nth = 1;; nth++) {
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_ANY_CALL, nth, 0);
        enum exit_status status = EXIT_SOUND;
        char *text = wal_scene_run_any(scene, NULL, &status, words);
        const bool fired = sim_last_event(scene->maker.world)->number != 0;
        if (status == EXIT_SOUND)
            assert_string_equal(text, whole);
        free(text);
        if (!fired)
            break;
    }
    free(whole);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_draws),
        TEST(test_ranges),
        TEST(test_all_agree),
        TEST(test_what_does_not_agree),
        TEST(test_nothing_delivered),
        TEST(test_part_of_the_draws),
        TEST(test_skipped_ids),
        TEST(test_older_than_what_is_kept),
        TEST(test_damage),
        TEST(test_no_names),
        TEST(test_refused_files),
        TEST(test_a_zero_byte),
        TEST(test_bounds_of_records),
        TEST(test_many_deliveries),
        TEST(test_the_latest_draws_are_waited_for),
        TEST(test_wrong_usage),
        TEST(test_failing_calls),
    };
    return cmocka_run_group_tests_name("urn_wal_export", tests, NULL, NULL);
}
