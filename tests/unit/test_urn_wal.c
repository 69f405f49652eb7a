/* test_urn_wal.c: a log for each verdict of `urn-wal verify`, against golden outputs (tests/golden;
 * URN_GOLDEN_UPDATE=1 in the environment writes them anew). test_urn_wal_cat.c has the other commands.
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
#include "engine/file_io.h"
#include "engine/snapshot_file.h"
#include "tests/lib/golden.h"
#include "tests/lib/wal_scene.h"
#include "tools/urn_wal/verify.h"

#define SEGMENT SCENE_SEGMENT

/* ---- asking and comparing -------------------------------------------------------------------- */

static void verify_asking(struct wal_scene *scene, in_use_probe in_use, void *context,
                          struct verify_report *report)
{
    struct urn_error error;
    struct tool tool = wal_scene_tool(scene, stdout, stderr);
    tool.in_use = in_use;
    tool.in_use_context = context;
    if (verify_log(&tool, WORDS(LOG_MAKER_PATH), 1, report, &error) != URN_OK)
        fail_msg("%s", error.text);
    report->duration_s = 0;
}

static void verify_with(struct wal_scene *scene, in_use_probe in_use, struct verify_report *report)
{
    verify_asking(scene, in_use, NULL, report);
}

/* What a start makes of the directory is what verify says: the case of recovery's table and, where it goes
 * on, the state's counters. */
static void assert_start_agrees(struct wal_scene *scene, const struct verify_report *report)
{
    const struct state_bounds bounds = {.max_pools = 8, .max_items = 1000};
    struct recovery recovery;
    struct state state;
    struct urn_error error;
    if (report->start == 0)
        return;
    const enum urn_code code =
        recovery_read(&scene->maker.data_dir, &bounds, NULL, &state, &recovery, &error);
    assert_int_equal(report->start, recovery.which);
    if (code != URN_OK)
        return;
    assert_int_equal(report->start_lsn, state.tail.lsn);
    if (report->start_lsn == report->tail.lsn) {
        assert_memory_equal(report->tail.chain, state.tail.chain, WAL_CHAIN_BYTES);
        assert_int_equal(report->next_request_id, state.next_request_id);
        assert_int_equal(report->reserved_request_id, state.reserved_request_id);
    }
    state_free(&state);
}

/* Verifies; the status is as expected, and the text as in the golden output (NULL: whatever). */
static void assert_verdict(struct wal_scene *scene, in_use_probe in_use, enum exit_status status,
                           const char *golden)
{
    struct verify_report report;
    verify_with(scene, in_use, &report);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    verify_print_text(&report, false, out);
    assert_int_equal(fclose(out), 0);
    if (verify_exit_status(&report) != status)
        fail_msg("status %d instead of %d:\n%s", (int)verify_exit_status(&report), (int)status,
                 text);
    if (golden != NULL)
        assert_golden(golden, text);
    assert_start_agrees(scene, &report);
    free(text);
    verify_report_free(&report);
}

/* ---- verify: sound --------------------------------------------------------------------------- */

static void test_a_new_directory_is_sound(void **context)
{
    assert_verdict(*context, NULL, EXIT_SOUND, "urn-wal-verify-new.txt");
}

static void test_a_clean_end(void **context)
{
    (void)wal_scene_serve(*context);
    assert_verdict(*context, NULL, EXIT_SOUND, "urn-wal-verify-sound.txt");
}

static void assert_json(struct wal_scene *scene, const char *golden)
{
    struct verify_report report;
    verify_with(scene, NULL, &report);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    verify_print_json(&report, out);
    assert_int_equal(fclose(out), 0);
    assert_golden(golden, text);
    free(text);
    verify_report_free(&report);
}

static void test_json_and_quiet(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    struct verify_report report;
    verify_with(scene, NULL, &report);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    verify_print_text(&report, true, out); /* quiet and sound: not a word */
    assert_int_equal(fflush(out), 0);
    assert_int_equal(length, 0);
    assert_int_equal(fclose(out), 0);
    free(text);
    verify_report_free(&report);
    assert_json(scene, "urn-wal-verify-sound.json");
}

static void reserve_ids(struct wal_scene *scene, uint64_t highest)
{
    log_maker_entries(&scene->maker);
    wal_entries_add_ids(&scene->maker.entries, highest);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0);
}

/* Up to where ids may have been given, by what a start would read: of a mode other than commit. */
static void test_reserved_ids(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    reserve_ids(scene, 4194304);
    assert_verdict(scene, NULL, EXIT_SOUND, "urn-wal-verify-reserved.txt");
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    wal_scene_keep_snapshots(scene, 1);
    assert_json(scene, "urn-wal-verify-reserved.json");
}

/* Where an epoch has begun since, nothing is reserved: ids go on above it. */
static void test_a_reservation_ends_with_the_epoch(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    reserve_ids(scene, 500);
    static const uint8_t nonce[WAL_NONCE_BYTES] = "of another epoch";
    scene->maker.tail.epoch++;
    log_maker_entries(&scene->maker);
    wal_entries_add_epoch(&scene->maker.entries, nonce, 501);
    (void)log_maker_add(&scene->maker, WAL_EPOCH, 0);
    assert_verdict(scene, NULL, EXIT_SOUND, "urn-wal-verify-reserved-before.txt");
}

/* What groups say of themselves, when no snapshot is before them. */
static void test_reserved_ids_without_a_snapshot(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    reserve_ids(scene, 4194304);
    wal_scene_keep_snapshots(scene, 0);
    struct verify_report report;
    verify_with(scene, NULL, &report);
    assert_int_equal(report.applied_groups, 0);
    assert_int_equal(report.reserved_request_id, 4194304);
    verify_report_free(&report);
}

static void test_remains_behind_the_end(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    struct log_maker *maker = &scene->maker;
    log_maker_write(maker, maker->tail.lsn + 3, "remains", 7);
    assert_verdict(scene, NULL, EXIT_SOUND, "urn-wal-verify-remains.txt");
}

/* An earlier start found a torn group at the end and went on behind it in a new epoch; whole groups
 * of before lie about further on. */
static void test_what_an_earlier_start_discarded(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)wal_scene_serve(scene);
    const struct log_maker before = *maker;
    (void)log_maker_draws(maker, 5000);
    (void)log_maker_draws(maker, 3000);
    maker->tail = before.tail;
    maker->first_request_id = before.first_request_id;
    (void)log_maker_epoch(maker);
    assert_verdict(scene, NULL, EXIT_SOUND, NULL);
}

/* The walk begins at the older of the two newest snapshots and comes to the newer. */
static void test_log_and_snapshot_agree(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    wal_scene_snapshot(scene, 1);
    (void)log_maker_draws(&scene->maker, 5);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    (void)log_maker_mark(&scene->maker);
    assert_verdict(scene, NULL, EXIT_SOUND, "urn-wal-verify-snapshots.txt");
}

static void test_a_second_lap(void **context)
{
    struct wal_scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    while (maker->tail.lsn < 4 * SEGMENT + 10000) {
        maker->durable_lsn = maker->tail.lsn;
        (void)log_maker_draws(maker, 6000);
        wal_scene_follow(scene);
        if (maker->tail.lsn > 2 * SEGMENT && maker->tail.lsn % 3 == 0)
            wal_scene_snapshot(scene, 0);
    }
    assert_true(sim_lose_file(maker->world, "log/snapshot-0000000000000000-0000"));
    assert_verdict(scene, NULL, EXIT_SOUND, NULL);
}

/* ---- verify: torn, damaged, missing, untrue -------------------------------------------------- */

static void test_a_torn_tail(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    assert_verdict(scene, NULL, EXIT_TORN_TAIL, "urn-wal-verify-torn.txt");
}

static void test_whole_groups_behind_a_torn_one(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    (void)log_maker_draws(&scene->maker, 10);
    const uint8_t zeros[1128] = {0};
    log_maker_write(&scene->maker, torn, zeros, sizeof zeros);
    assert_verdict(scene, NULL, EXIT_TORN_TAIL, NULL);
}

/* The last acknowledged group: only the mark behind it can tell. */
static void test_damage_of_acknowledged_draws(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_flip(&scene->maker, last + 130);
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-damage.txt");
}

static void test_damage_told_by_a_snapshots_name(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    char path[2 * DATA_DIR_NAME_MAX];
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, scene->state.tail.lsn, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    assert_true(sim_flip_bit(scene->maker.world, path, 100, 1)); /* the name is left */
    static const uint8_t zeros[SEGMENT] = {0};
    log_maker_write(&scene->maker, 0, zeros, sizeof zeros); /* and nothing of the log */
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-snapshot-beyond.txt");
}

/* A name alone says that the log once reached so far, whatever stands in the file: also where it can not
 * have. */
static void test_a_snapshot_of_an_impossible_name(void **context)
{
    static const char *const names[] = {"snapshot-ffffffffffffffff-ffff",
                                        "snapshot-0000000000002069-0000"};
    struct wal_scene *scene = *context;
    struct urn_error error;
    (void)wal_scene_serve(scene);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[2 * DATA_DIR_NAME_MAX];
        (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", names[i]);
        assert_int_equal(file_publish(scene->maker.data_dir.dir, names[i], "no", 2, &error),
                         URN_OK);
        assert_verdict(scene, NULL, EXIT_DAMAGE, NULL);
        assert_verdict(scene, wal_scene_used, EXIT_DAMAGE, NULL);
        assert_true(sim_lose_file(scene->maker.world, path));
    }
}

/* Damage that a start does not see, since the newer snapshot covers it. */
static void test_damage_between_two_snapshots(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    (void)log_maker_draws(&scene->maker, 7);
    log_maker_flip(&scene->maker, last + 130);
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-between.txt");
}

static void test_an_unreadable_sector(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_unreadable(&scene->maker, last);
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-unreadable.txt");
}

static void test_an_unreadable_sector_behind_the_end(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_unreadable(&scene->maker, 2 * SEGMENT + 5000);
    assert_verdict(scene, NULL, EXIT_DAMAGE, NULL);
}

static void test_missing_files(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0001"));
    assert_verdict(scene, NULL, EXIT_MISSING, "urn-wal-verify-missing.txt");
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0000")); /* where the log is */
    assert_verdict(scene, NULL, EXIT_MISSING, NULL);
}

static void test_no_snapshot(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/snapshot-0000000000000000-0000"));
    assert_verdict(scene, NULL, EXIT_MISSING, NULL);
}

/* A start does not pass over it to the one before, and no row of the table says so. */
static void test_a_snapshot_of_another_version(void **context)
{
    struct wal_scene *scene = *context;
    static uint8_t block[SNAPSHOT_BLOCK_BYTES];
    char path[2 * DATA_DIR_NAME_MAX];
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    (void)snprintf(path, sizeof path, "log/snapshot-%016" PRIx64 "-0000", scene->state.tail.lsn);
    assert_true(sim_file_bytes(scene->maker.world, path, 0, block, sizeof block));
    put_u32(block + SNAPSHOT_BLOCK_HEADER + 8, SNAPSHOT_FORMAT_VERSION + 1);
    put_u32(block + 4, crc32c(block + 8, sizeof block - 8));
    assert_true(sim_overwrite(scene->maker.world, path, 0, block, sizeof block));
    assert_verdict(scene, NULL, EXIT_DAMAGE, NULL);
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, "\na start would refuse: snapshot-",
                           WORDS("verify", "log"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE, ",\"starts\":false,\"start_refusal\":\"snap",
                           WORDS("verify", "log", "--json"));
    wal_scene_assert_tells(scene, NULL, EXIT_DAMAGE,
                           "a start refuses for what no repair changes: snapshot-",
                           WORDS("repair", "log"));
}

static void test_a_file_cut_short(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    assert_true(sim_truncate(scene->maker.world, "log/segment-0000", 6000));
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-cut.txt");
}

/* Three of two diamonds, under right checksums. */
static void test_over_issue(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_entries(&scene->maker);
    wal_entries_add_draws(&scene->maker.entries, 0, 1, 1, (uint32_t[]){DIAMOND, DIAMOND, DIAMOND},
                          3);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0);
    (void)log_maker_draws(&scene->maker, 5);
    assert_verdict(scene, NULL, EXIT_MEANING, "urn-wal-verify-untrue.txt");
}

static void test_log_and_snapshot_disagree(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    const uint32_t outcome = DIAMOND;
    assert_int_equal(pool_take_each(scene->state.pools[0], &outcome, 1), 1); /* in no log */
    wal_scene_snapshot(scene, 0);
    (void)log_maker_draws(&scene->maker, 5);
    assert_verdict(scene, NULL, EXIT_MEANING, "urn-wal-verify-disagree.txt");
}

static void test_a_snapshot_inside_a_group(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    scene->state.tail.lsn -= 8;
    wal_scene_snapshot(scene, 0);
    assert_verdict(scene, NULL, EXIT_MEANING, NULL);
}

/* ---- verify: beside a server ----------------------------------------------------------------- */

static void test_a_tail_in_flight_is_nothing(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    assert_verdict(scene, wal_scene_used, EXIT_SOUND, "urn-wal-verify-in-use.txt");
}

static void test_damage_is_damage_beside_a_server_too(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_flip(&scene->maker, last + 130);
    assert_verdict(scene, wal_scene_used, EXIT_DAMAGE, NULL);
}

/* The server writes on, laps, or is in the midst of a header page, between any two calls of the tool: one
 * after the other, until the tool has ended before it was the server's turn. */
static void check_interleaved(struct wal_scene *scene, in_use_probe in_use,
                              void (*act)(struct wal_scene *scene))
{
    for (uint64_t nth = 1;; nth++) {
        struct wal_rival rival = {.scene = scene, .nth = nth, .act = act};
        struct verify_report report;
        const uint64_t durable_before = scene->maker.durable_lsn;
        wal_rival_begin(&rival);
        verify_asking(scene, in_use, &rival, &report);
        wal_rival_end(&rival);
        if (verify_exit_status(&report) != EXIT_SOUND)
            fail_msg("call %d: %s: %s", (int)nth, verify_verdict(&report), report.findings[0].text);
        assert_false(report.overtaken);
        assert_true(report.tail.lsn >= durable_before);
        verify_report_free(&report);
        if (rival.acted == 0)
            return;
    }
}

static void test_a_server_that_writes_meanwhile(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    check_interleaved(scene, wal_scene_used, wal_scene_write_on);
}

static void test_a_server_that_laps_meanwhile(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    check_interleaved(scene, wal_scene_used, wal_scene_lap);
}

static bool never_there(void *context, const char *path)
{
    (void)context;
    (void)path;
    return false;
}

/* It is there when the look begins, and is killed once it has acted. */
static bool not_killed_yet(void *context, const char *path)
{
    const struct wal_rival *rival = context;
    (void)path;
    return rival->acted == 0;
}

static void test_a_server_that_is_killed_meanwhile(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    check_interleaved(scene, not_killed_yet, wal_scene_lap);
}

/* It was not there when the look began, and is not there when anybody asks. */
static void test_a_server_that_comes_and_goes_meanwhile(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    check_interleaved(scene, never_there, wal_scene_lap);
}

/* It says so, and has no verdict of damage. */
static void test_a_server_that_is_always_faster(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    struct wal_rival rival = {.scene = scene, .nth = 1, .again = true, .act = wal_scene_lap};
    struct verify_report report;
    wal_rival_begin(&rival);
    verify_with(scene, wal_scene_used, &report);
    wal_rival_end(&rival);
    assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
    assert_true(report.overtaken);
    assert_int_equal(report.finding_count[FINDING_NOTE], 1);
    verify_report_free(&report);
}

/* A header page that is being written as it is read: whole at the second look. If it is not, it is
 * damaged. */
static void flip_header(struct wal_scene *scene)
{
    assert_true(sim_flip_bit(scene->maker.world, "log/segment-0001", 40, 2));
}

static void test_a_segment_header_that_is_half_written(void **context)
{
    struct wal_scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    while (scene->maker.tail.lsn < 2 * SEGMENT)
        (void)log_maker_draws(&scene->maker, 12000);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    flip_header(scene);
    assert_verdict(scene, wal_scene_used, EXIT_DAMAGE, NULL); /* it stays so */
    struct wal_rival rival = {.scene = scene, .nth = 4, .act = flip_header};
    struct verify_report report;
    wal_rival_begin(&rival);
    verify_with(scene, wal_scene_used, &report);
    wal_rival_end(&rival);
    assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
    verify_report_free(&report);
}

/* ---- verify: failing ------------------------------------------------------------------------- */

/* Any call may fail: an error, or a finding, or no harm where it is tried again; never "sound" of a
 * log that was not looked at. */
static void test_failing_calls(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    for (uint64_t nth = 1;; nth++) {
        struct verify_report report;
        struct urn_error error;
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_ANY_CALL, nth, 0);
        const struct tool tool = wal_scene_tool(scene, stdout, stderr);
        const enum urn_code code = verify_log(&tool, WORDS(LOG_MAKER_PATH), 1, &report, &error);
        const bool fired = sim_last_event(scene->maker.world)->number != 0;
        if (code == URN_OK) {
            if (verify_exit_status(&report) == EXIT_SOUND)
                assert_int_equal(report.draws, 120);
            verify_report_free(&report);
        }
        if (!fired) {
            assert_int_equal(code, URN_OK);
            break;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_directory_is_sound),
        TEST(test_a_clean_end),
        TEST(test_json_and_quiet),
        TEST(test_reserved_ids),
        TEST(test_a_reservation_ends_with_the_epoch),
        TEST(test_reserved_ids_without_a_snapshot),
        TEST(test_remains_behind_the_end),
        TEST(test_what_an_earlier_start_discarded),
        TEST(test_log_and_snapshot_agree),
        TEST(test_a_second_lap),
        TEST(test_a_torn_tail),
        TEST(test_whole_groups_behind_a_torn_one),
        TEST(test_damage_of_acknowledged_draws),
        TEST(test_damage_told_by_a_snapshots_name),
        TEST(test_a_snapshot_of_an_impossible_name),
        TEST(test_damage_between_two_snapshots),
        TEST(test_an_unreadable_sector),
        TEST(test_an_unreadable_sector_behind_the_end),
        TEST(test_missing_files),
        TEST(test_no_snapshot),
        TEST(test_a_snapshot_of_another_version),
        TEST(test_a_file_cut_short),
        TEST(test_over_issue),
        TEST(test_log_and_snapshot_disagree),
        TEST(test_a_snapshot_inside_a_group),
        TEST(test_a_tail_in_flight_is_nothing),
        TEST(test_damage_is_damage_beside_a_server_too),
        TEST(test_a_server_that_writes_meanwhile),
        TEST(test_a_server_that_laps_meanwhile),
        TEST(test_a_server_that_is_killed_meanwhile),
        TEST(test_a_server_that_comes_and_goes_meanwhile),
        TEST(test_a_server_that_is_always_faster),
        TEST(test_a_segment_header_that_is_half_written),
        TEST(test_failing_calls),
    };
    return cmocka_run_group_tests_name("urn_wal", tests, NULL, NULL);
}
