/* test_urn_wal.c: a log for each verdict of `urn-wal verify`, and the lines of `urn-wal cat`,
 * against golden outputs (tests/golden; URN_GOLDEN_UPDATE=1 in the environment writes them anew).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/file_io.h"
#include "engine/identity.h"
#include "tests/lib/golden.h"
#include "tests/lib/log_maker.h"
#include "tools/urn_wal/cat.h"
#include "tools/urn_wal/verify.h"

#define SEGMENT 65536ull

enum { COIN, DIAMOND, TICKET };

/* A directory whose log is made by hand, and the state that it comes to. */
struct scene {
    struct log_maker maker;
    struct state state;
};

static void add_item(struct state *state, const char *item_id, int64_t quantity)
{
    struct urn_error error;
    assert_int_equal(state_add_item(state, state->pools[0], item_id, (uint32_t)strlen(item_id),
                                    quantity, 1, 0, &error),
                     URN_OK);
}

static void write_snapshot(struct scene *scene, uint32_t serial)
{
    struct urn_error error;
    if (snapshot_file_write(scene->maker.data_dir.dir, &scene->state,
                            &scene->maker.data_dir.geometry, serial, &error) != URN_OK)
        fail_msg("%s", error.text);
}

static void make_state(struct state *state)
{
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    struct urn_error error;
    struct urn_pool *pool;
    assert_int_equal(state_make(&bounds, state, &error), URN_OK);
    assert_int_equal(state_add_pool(state, "main", 4, 10, &pool, &error), URN_OK);
    add_item(state, "coin", URN_UNLIMITED);
    add_item(state, "blue diamond", 2);
    add_item(state, "ticket", 3);
}

static int set_up(void **context)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    log_maker_begin(&scene->maker, SEGMENT, 3);
    make_state(&scene->state);
    char text[IDENTITY_BYTES_MAX];
    const size_t length = identity_format(&scene->maker.data_dir.geometry, text);
    struct urn_error error;
    assert_int_equal(
        file_publish(scene->maker.data_dir.dir, DATA_DIR_IDENTITY, text, length, &error), URN_OK);
    write_snapshot(scene, 0);
    *context = scene;
    return 0;
}

static int tear_down(void **context)
{
    struct scene *scene = *context;
    assert_int_equal(sim_open_handles(scene->maker.world), 1); /* the maker's directory */
    state_free(&scene->state);
    log_maker_end(&scene->maker);
    free(scene);
    return 0;
}

/* Brings scene->state to the end of the log made so far. */
static void follow(struct scene *scene)
{
    struct wal_reader *reader = NULL;
    struct urn_error error;
    struct wal_group_header header;
    const uint8_t *group;
    assert_int_equal(wal_reader_open(&scene->maker.data_dir, &scene->state.tail, &reader, &error),
                     URN_OK);
    while (wal_reader_next(reader, &header, &group, &error) == WAL_STEP_GROUP) {
        scene->state.tail = *wal_reader_tail(reader);
        assert_int_equal(apply_group(&scene->state, &header, group, &error), URN_OK);
    }
    wal_reader_close(reader);
}

/* What an engine leaves that has served a little: all durable but what the last mark says of
 * itself.
 */
static uint64_t serve_a_little(struct scene *scene)
{
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 100);
    maker->durable_lsn = maker->tail.lsn;
    const uint64_t last = log_maker_draws(maker, 20);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    return last;
}

/* ---- asking and comparing -------------------------------------------------------------------- */

static bool used_by_server(void *context)
{
    (void)context;
    return true;
}

static void verify_with(struct scene *scene, in_use_probe in_use, void *context,
                        struct verify_report *report)
{
    struct urn_error error;
    if (verify_directory(sim_os(scene->maker.world), LOG_MAKER_PATH, in_use, context, report,
                         &error) != URN_OK)
        fail_msg("%s", error.text);
    report->duration_s = 0;
}

/* Verifies; the status is as expected, and the text as in the golden output (NULL: whatever). */
static void assert_verdict(struct scene *scene, in_use_probe in_use, enum exit_status status,
                           const char *golden)
{
    struct verify_report report;
    verify_with(scene, in_use, NULL, &report);
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
    (void)serve_a_little(*context);
    assert_verdict(*context, NULL, EXIT_SOUND, "urn-wal-verify-sound.txt");
}

static void test_json_and_quiet(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    struct verify_report report;
    verify_with(scene, NULL, NULL, &report);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    verify_print_text(&report, true, out); /* quiet and sound: not a word */
    assert_int_equal(fflush(out), 0);
    assert_int_equal(length, 0);
    verify_print_json(&report, out);
    assert_int_equal(fclose(out), 0);
    assert_golden("urn-wal-verify-sound.json", text);
    free(text);
    verify_report_free(&report);
}

static void test_remains_behind_the_end(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    struct log_maker *maker = &scene->maker;
    log_maker_write(maker, maker->tail.lsn + 3, "remains", 7);
    assert_verdict(scene, NULL, EXIT_SOUND, "urn-wal-verify-remains.txt");
}

/* An earlier start found a torn group at the end and went on behind it in a new epoch; whole groups
 * of before lie about further on. */
static void test_what_an_earlier_start_discarded(void **context)
{
    struct scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)serve_a_little(scene);
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
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    follow(scene);
    write_snapshot(scene, 0);
    write_snapshot(scene, 1);
    (void)log_maker_draws(&scene->maker, 5);
    follow(scene);
    write_snapshot(scene, 0);
    (void)log_maker_mark(&scene->maker);
    assert_verdict(scene, NULL, EXIT_SOUND, "urn-wal-verify-snapshots.txt");
}

static void test_a_second_lap(void **context)
{
    struct scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    while (maker->tail.lsn < 4 * SEGMENT + 10000) {
        maker->durable_lsn = maker->tail.lsn;
        (void)log_maker_draws(maker, 6000);
        follow(scene);
        if (maker->tail.lsn > 2 * SEGMENT && maker->tail.lsn % 3 == 0)
            write_snapshot(scene, 0);
    }
    assert_true(sim_lose_file(maker->world, "log/snapshot-0000000000000000-0000"));
    assert_verdict(scene, NULL, EXIT_SOUND, NULL);
}

/* ---- verify: torn, damaged, missing, untrue -------------------------------------------------- */

static void test_a_torn_tail(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    assert_verdict(scene, NULL, EXIT_TORN_TAIL, "urn-wal-verify-torn.txt");
}

static void test_whole_groups_behind_a_torn_one(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    (void)log_maker_draws(&scene->maker, 10);
    const uint8_t zeros[1128] = {0};
    log_maker_write(&scene->maker, torn, zeros, sizeof zeros);
    assert_verdict(scene, NULL, EXIT_TORN_TAIL, NULL);
}

/* The last acknowledged group: only the mark behind it can tell. */
static void test_damage_of_acknowledged_draws(void **context)
{
    struct scene *scene = *context;
    const uint64_t last = serve_a_little(scene);
    log_maker_flip(&scene->maker, last + 130);
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-damage.txt");
}

static void test_damage_told_by_a_snapshots_name(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    follow(scene);
    write_snapshot(scene, 0);
    char path[2 * DATA_DIR_NAME_MAX];
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, scene->state.tail.lsn, 0);
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    assert_true(sim_flip_bit(scene->maker.world, path, 100, 1)); /* the name is left */
    static const uint8_t zeros[SEGMENT] = {0};
    log_maker_write(&scene->maker, 0, zeros, sizeof zeros); /* and nothing of the log */
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-snapshot-beyond.txt");
}

/* Damage that a start does not see, since the newer snapshot covers it. */
static void test_damage_between_two_snapshots(void **context)
{
    struct scene *scene = *context;
    const uint64_t last = serve_a_little(scene);
    follow(scene);
    write_snapshot(scene, 0);
    (void)log_maker_draws(&scene->maker, 7);
    log_maker_flip(&scene->maker, last + 130);
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-between.txt");
}

static void test_an_unreadable_sector(void **context)
{
    struct scene *scene = *context;
    const uint64_t last = serve_a_little(scene);
    log_maker_unreadable(&scene->maker, last);
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-unreadable.txt");
}

static void test_an_unreadable_sector_behind_the_end(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    log_maker_unreadable(&scene->maker, 2 * SEGMENT + 5000);
    assert_verdict(scene, NULL, EXIT_DAMAGE, NULL);
}

static void test_missing_files(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0001"));
    assert_verdict(scene, NULL, EXIT_MISSING, "urn-wal-verify-missing.txt");
    assert_true(sim_lose_file(scene->maker.world, "log/segment-0000")); /* where the log is */
    assert_verdict(scene, NULL, EXIT_MISSING, NULL);
}

static void test_no_snapshot(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    assert_true(sim_lose_file(scene->maker.world, "log/snapshot-0000000000000000-0000"));
    assert_verdict(scene, NULL, EXIT_MISSING, NULL);
}

static void test_a_file_cut_short(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    assert_true(sim_truncate(scene->maker.world, "log/segment-0000", 6000));
    assert_verdict(scene, NULL, EXIT_DAMAGE, "urn-wal-verify-cut.txt");
}

/* Three of two diamonds, under right checksums. */
static void test_over_issue(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    log_maker_entries(&scene->maker);
    wal_entries_add_draws(&scene->maker.entries, 0, 1, 1, (uint32_t[]){DIAMOND, DIAMOND, DIAMOND},
                          3);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0);
    (void)log_maker_draws(&scene->maker, 5);
    assert_verdict(scene, NULL, EXIT_MEANING, "urn-wal-verify-untrue.txt");
}

static void test_log_and_snapshot_disagree(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    follow(scene);
    const uint32_t outcome = DIAMOND;
    assert_int_equal(pool_take_each(scene->state.pools[0], &outcome, 1), 1); /* in no log */
    write_snapshot(scene, 0);
    (void)log_maker_draws(&scene->maker, 5);
    assert_verdict(scene, NULL, EXIT_MEANING, "urn-wal-verify-disagree.txt");
}

static void test_a_snapshot_inside_a_group(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    follow(scene);
    scene->state.tail.lsn -= 8;
    write_snapshot(scene, 0);
    assert_verdict(scene, NULL, EXIT_MEANING, NULL);
}

/* ---- verify: beside a server ----------------------------------------------------------------- */

static void test_a_tail_in_flight_is_nothing(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    assert_verdict(scene, used_by_server, EXIT_SOUND, "urn-wal-verify-in-use.txt");
}

static void test_damage_is_damage_beside_a_server_too(void **context)
{
    struct scene *scene = *context;
    const uint64_t last = serve_a_little(scene);
    log_maker_flip(&scene->maker, last + 130);
    assert_verdict(scene, used_by_server, EXIT_DAMAGE, NULL);
}

/* A server that writes on just when the search for evidence begins: the third time that the first
 * segment is opened, after the look at its size and the walk. */
struct busy {
    struct log_maker *maker;
    uint32_t opened;
};

static void write_on(void *context, const struct sim_event *call)
{
    struct busy *busy = context;
    if (call->call != SIM_FILE_OPEN || strcmp(call->name, "segment-0000") != 0 ||
        ++busy->opened != 3)
        return;
    for (int i = 0; i < 3; i++) {
        busy->maker->durable_lsn = busy->maker->tail.lsn;
        (void)log_maker_draws(busy->maker, 9000);
    }
}

static void test_a_server_that_writes_meanwhile(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    const uint64_t before = scene->maker.tail.lsn;
    struct busy busy = {.maker = &scene->maker};
    struct verify_report report;
    sim_set_observer(scene->maker.world, write_on, &busy);
    verify_with(scene, used_by_server, NULL, &report);
    sim_set_observer(scene->maker.world, NULL, NULL);
    assert_true(scene->maker.tail.lsn > before);
    assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
    assert_true(report.in_use);
    assert_int_equal(report.end.lsn, scene->maker.durable_lsn); /* it went on, to there */
    verify_report_free(&report);
}

/* A server whose next calls come between those of the tool, when a file of this name is opened for the
 * nth time: then, or from then on each time. */
struct rival {
    struct scene *scene;
    const char *name;
    uint32_t nth;
    bool again;
    void (*act)(struct rival *rival);
    uint32_t opened;
    uint32_t acted;
    bool busy; /* its own calls are observed too */
};

static void observe(void *context, const struct sim_event *call)
{
    struct rival *rival = context;
    if (rival->busy || call->call != SIM_FILE_OPEN ||
        strncmp(call->name, rival->name, strlen(rival->name)) != 0)
        return;
    rival->opened++;
    if (rival->opened != rival->nth && !(rival->again && rival->opened > rival->nth))
        return;
    rival->busy = true;
    rival->acted++;
    rival->act(rival);
    rival->busy = false;
}

static void keep_two_snapshots(struct scene *scene)
{
    struct snapshot_name *names = NULL;
    uint32_t count = 0;
    struct urn_error error;
    assert_int_equal(snapshot_file_list(scene->maker.data_dir.dir, &names, &count, &error), URN_OK);
    for (uint32_t which = 2; which < count; which++) {
        char name[DATA_DIR_NAME_MAX];
        char path[2 * DATA_DIR_NAME_MAX];
        data_dir_snapshot_name(name, names[which].lsn, names[which].serial);
        (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
        assert_true(sim_lose_file(scene->maker.world, path));
    }
    free(names);
}

/* A lap around the whole ring, with snapshots on the way. */
static void lap(struct scene *scene)
{
    struct log_maker *maker = &scene->maker;
    const uint64_t end = maker->tail.lsn + 3 * SEGMENT;
    while (maker->tail.lsn < end) {
        (void)log_maker_draws(maker, 12000);
        maker->durable_lsn = maker->tail.lsn;
        follow(scene);
        if (end - maker->tail.lsn < 2 * SEGMENT) {
            write_snapshot(scene, 0);
            keep_two_snapshots(scene);
        }
    }
    (void)log_maker_draws(maker, 10);
    follow(scene);
}

static void act_lap(struct rival *rival)
{
    lap(rival->scene);
}

static void act_flip_header(struct rival *rival)
{
    assert_true(sim_flip_bit(rival->scene->maker.world, "log/segment-0001", 40, 2));
}

/* Verifies beside the rival. */
static void verify_beside(struct scene *scene, struct rival *rival, struct verify_report *report)
{
    sim_set_observer(scene->maker.world, observe, rival);
    verify_with(scene, used_by_server, NULL, report);
    sim_set_observer(scene->maker.world, NULL, NULL);
    assert_true(rival->acted > 0);
}

/* The segments are opened once for their size, then by the walk. */
static void test_a_server_that_overtakes_the_walk(void **context)
{
    struct scene *scene = *context;
    lap(scene);
    for (uint32_t nth = 1; nth <= 3; nth++) {
        struct rival rival = {
            .scene = scene, .name = "segment-000", .nth = 3 + nth, .act = act_lap};
        struct verify_report report;
        verify_beside(scene, &rival, &report);
        assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
        assert_false(report.overtaken);
        assert_true(report.end.lsn >= scene->maker.durable_lsn);
        verify_report_free(&report);
    }
}

static void test_a_server_that_replaces_the_snapshots(void **context)
{
    struct scene *scene = *context;
    lap(scene);
    for (uint32_t nth = 1; nth <= 3; nth++) {
        struct rival rival = {.scene = scene, .name = "snapshot-", .nth = nth, .act = act_lap};
        struct verify_report report;
        verify_beside(scene, &rival, &report);
        assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
        assert_false(report.overtaken);
        assert_true(report.walked);
        verify_report_free(&report);
    }
}

/* It is there when the look begins, and is killed once it has acted. */
static bool not_killed_yet(void *context)
{
    const struct rival *rival = context;
    return rival->acted == 0;
}

static void test_a_server_that_is_killed_meanwhile(void **context)
{
    struct scene *scene = *context;
    lap(scene);
    static const struct {
        const char *name;
        uint32_t times; /* that it is opened in a look */
    } files[] = {{"snapshot-", 3}, {"segment-000", 6}};
    for (size_t which = 0; which < sizeof files / sizeof files[0]; which++) {
        for (uint32_t nth = 1; nth <= files[which].times; nth++) {
            struct rival rival = {
                .scene = scene, .name = files[which].name, .nth = nth, .act = act_lap};
            struct verify_report report;
            sim_set_observer(scene->maker.world, observe, &rival);
            verify_with(scene, not_killed_yet, &rival, &report);
            sim_set_observer(scene->maker.world, NULL, NULL);
            assert_int_equal(rival.acted, 1);
            assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
            assert_true(report.end.lsn >= scene->maker.durable_lsn);
            verify_report_free(&report);
        }
    }
}

/* It says so, and has no verdict of damage. */
static void test_a_server_that_is_always_faster(void **context)
{
    struct scene *scene = *context;
    lap(scene);
    struct rival rival = {
        .scene = scene, .name = "segment-000", .nth = 4, .again = true, .act = act_lap};
    struct verify_report report;
    verify_beside(scene, &rival, &report);
    assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
    assert_true(report.overtaken);
    assert_int_equal(report.finding_count[FINDING_NOTE], 1);
    verify_report_free(&report);
}

/* A header page that is being written as it is read: whole at the second look. If it is not, it is
 * damaged. */
static void test_a_segment_header_that_is_half_written(void **context)
{
    struct scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    while (scene->maker.tail.lsn < 2 * SEGMENT)
        (void)log_maker_draws(&scene->maker, 12000);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    struct verify_report report;
    act_flip_header(&(struct rival){.scene = scene});
    struct rival rival = {.scene = scene, .name = "segment-0001", .nth = 6, .act = act_flip_header};
    verify_beside(scene, &rival, &report);
    assert_int_equal(verify_exit_status(&report), EXIT_SOUND);
    assert_true(report.end.lsn >= scene->maker.durable_lsn);
    verify_report_free(&report);

    act_flip_header(&(struct rival){.scene = scene});
    assert_verdict(scene, used_by_server, EXIT_DAMAGE, NULL);
}

/* ---- verify: failing ------------------------------------------------------------------------- */

/* Any call may fail: an error, or a finding, or no harm where it is tried again; never "sound" of a
 * log that was not looked at. */
static void test_failing_calls(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    for (uint64_t nth = 1;; nth++) {
        struct verify_report report;
        struct urn_error error;
        sim_event_forget(scene->maker.world);
        sim_fail_at(scene->maker.world, SIM_ANY_CALL, nth, 0);
        const enum urn_code code = verify_directory(sim_os(scene->maker.world), LOG_MAKER_PATH,
                                                    NULL, NULL, &report, &error);
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

/* ---- cat ------------------------------------------------------------------------------------- */

static void assert_cat(struct scene *scene, const struct cat_request *request, in_use_probe in_use,
                       enum cat_end expected, const char *golden)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    enum cat_end end;
    struct urn_error error;
    if (cat_directory(sim_os(scene->maker.world), LOG_MAKER_PATH, in_use, NULL, request, out, out,
                      &end, &error) != URN_OK)
        fail_msg("%s", error.text);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(end, expected);
    assert_golden(golden, text);
    free(text);
}

/* Draws of every kind, an entry of a type to come, and the marks. */
static void make_varied_log(struct scene *scene)
{
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1, (uint32_t[]){COIN, DIAMOND, TICKET, COIN}, 4);
    (void)log_maker_add(maker, WAL_DATA, 0);
    (void)log_maker_mark(maker);
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1,
                          (uint32_t[]){TICKET, URN_FAILED_DRAW, URN_FAILED_DRAW}, 3);
    (void)log_maker_add(maker, WAL_DATA, 0);
}

static void make_unknown_entry(struct scene *scene)
{
    struct log_maker *maker = &scene->maker;
    log_maker_entries(maker);
    uint8_t *entry = maker->group + maker->entries.used_bytes;
    memcpy(entry, "\x0a\x00\x00\x00\x10\x00\x00\x00to come", 16);
    maker->entries.used_bytes += 16;
    wal_entries_add_draws(&maker->entries, 7, 1, 1, (uint32_t[]){200}, 1);
    (void)log_maker_add(maker, WAL_DATA, 0);
}

static const struct cat_request everything = {.to_lsn = UINT64_MAX, .groups = true};

static void test_cat_draws(void **context)
{
    make_varied_log(*context);
    const struct cat_request request = {.to_lsn = UINT64_MAX};
    assert_cat(*context, &request, NULL, CAT_MEANING, "urn-wal-cat.txt");
}

static void test_cat_groups_and_unknown_entries(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    make_unknown_entry(scene);
    (void)log_maker_mark(&scene->maker);
    const struct cat_request request = {.from_lsn = 4300, .to_lsn = UINT64_MAX, .groups = true};
    assert_cat(scene, &request, NULL, CAT_END, "urn-wal-cat-groups.txt");
}

/* A reservation of ids, every change, and a draw of an item that was added in the same group. */
static void test_cat_changes(void **context)
{
    struct scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    static const struct wal_change changes[] = {
        {WAL_ENTRY_UPDATE, 0, COIN, 2, 5, 21, WAL_SETS_QUANTITY | WAL_SETS_WEIGHT, {NULL, 0}},
        {WAL_ENTRY_UPDATE, 0, COIN, 3, 0, 22, WAL_SETS_WEIGHT | WAL_FROM_FILE, {NULL, 0}},
        {WAL_ENTRY_APPLIED, 0, DIAMOND, 3, 0, 7, 0, {NULL, 0}},
        {WAL_ENTRY_CREATE, 1, 0, 1, 0, 0, 0, {"autumn", 6}},
        {WAL_ENTRY_ADD, 1, 0, 1, URN_UNLIMITED, 9, 0, {"leaf", 4}},
        {WAL_ENTRY_OPEN, 1, 0, 1, 0, 0, 0, {NULL, 0}},
        {WAL_ENTRY_CLOSE, 0, 0, 3, 0, 0, 0, {NULL, 0}},
    };
    log_maker_entries(maker);
    wal_entries_add_ids(&maker->entries, 4194304);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        wal_entries_add_change(&maker->entries, &changes[i]);
    wal_entries_add_draws(&maker->entries, 1, 1, 1, (uint32_t[]){0}, 1);
    (void)log_maker_add(maker, WAL_DATA, 0);
    const struct cat_request request = {.to_lsn = UINT64_MAX};
    assert_cat(scene, &request, NULL, CAT_END, "urn-wal-cat-changes.txt");
}

static void test_cat_a_stretch(void **context)
{
    struct scene *scene = *context;
    const uint64_t last = serve_a_little(scene);
    (void)log_maker_draws(&scene->maker, 2);
    const struct cat_request request = {.from_lsn = last, .to_lsn = last + 8};
    assert_cat(scene, &request, NULL, CAT_END, "urn-wal-cat-stretch.txt");
}

static void test_cat_up_to_a_torn_tail(void **context)
{
    struct scene *scene = *context;
    (void)serve_a_little(scene);
    const uint64_t torn = log_maker_draws(&scene->maker, 1000);
    log_maker_flip(&scene->maker, torn + 900);
    const struct cat_request request = {.from_lsn = 8192, .to_lsn = UINT64_MAX, .groups = true};
    assert_cat(scene, &request, NULL, CAT_END, "urn-wal-cat-torn.txt");
}

static void test_cat_beside_a_server_prints_what_is_durable(void **context)
{
    struct scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 3);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_draws(maker, 4); /* whole, but nobody says that it is durable */
    assert_cat(scene, &everything, used_by_server, CAT_END, "urn-wal-cat-in-use.txt");
}

static void test_cat_stops_at_what_cannot_be_read(void **context)
{
    struct scene *scene = *context;
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    const uint64_t lsn = log_maker_draws(maker, 600);
    log_maker_unreadable(maker, lsn + 500);
    assert_cat(scene, &everything, NULL, CAT_DAMAGE, "urn-wal-cat-unreadable.txt");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_directory_is_sound),
        TEST(test_a_clean_end),
        TEST(test_json_and_quiet),
        TEST(test_remains_behind_the_end),
        TEST(test_what_an_earlier_start_discarded),
        TEST(test_log_and_snapshot_agree),
        TEST(test_a_second_lap),
        TEST(test_a_torn_tail),
        TEST(test_whole_groups_behind_a_torn_one),
        TEST(test_damage_of_acknowledged_draws),
        TEST(test_damage_told_by_a_snapshots_name),
        TEST(test_damage_between_two_snapshots),
        TEST(test_an_unreadable_sector),
        TEST(test_an_unreadable_sector_behind_the_end),
        TEST(test_missing_files),
        TEST(test_no_snapshot),
        TEST(test_a_file_cut_short),
        TEST(test_over_issue),
        TEST(test_log_and_snapshot_disagree),
        TEST(test_a_snapshot_inside_a_group),
        TEST(test_a_tail_in_flight_is_nothing),
        TEST(test_damage_is_damage_beside_a_server_too),
        TEST(test_a_server_that_writes_meanwhile),
        TEST(test_a_server_that_overtakes_the_walk),
        TEST(test_a_server_that_replaces_the_snapshots),
        TEST(test_a_server_that_is_killed_meanwhile),
        TEST(test_a_server_that_is_always_faster),
        TEST(test_a_segment_header_that_is_half_written),
        TEST(test_failing_calls),
        TEST(test_cat_draws),
        TEST(test_cat_groups_and_unknown_entries),
        TEST(test_cat_changes),
        TEST(test_cat_a_stretch),
        TEST(test_cat_up_to_a_torn_tail),
        TEST(test_cat_beside_a_server_prints_what_is_durable),
        TEST(test_cat_stops_at_what_cannot_be_read),
    };
    return cmocka_run_group_tests_name("urn_wal", tests, NULL, NULL);
}
