/* test_urn_wal_backup.c: `urn-wal backup`: what the copy holds, beside a server too; refusals; crashes and
 * failures at every call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/data_dir_build.h"
#include "engine/recovery.h"
#include "tests/lib/golden.h"
#include "tests/lib/trial.h"
#include "tests/lib/wal_scene.h"
#include "tests/lib/whole_dir.h"
#include "tools/urn_wal/backup.h"

#define COPY "copy"

static struct urn_error test_error;
static enum backup_extent test_extent = BACKUP_NEWEST;

static enum urn_code back_up(struct urn_os *os, in_use_probe in_use, struct backup_report *report)
{
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    const struct tool tool = {.os = os, .in_use = in_use, .out = nowhere, .notes = nowhere};
    const enum urn_code code =
        backup_make(&tool, LOG_MAKER_PATH, COPY, test_extent, report, &test_error);
    assert_int_equal(fclose(nowhere), 0);
    return code;
}

static struct backup_report must_back_up(struct urn_os *os, in_use_probe in_use)
{
    struct backup_report report;
    if (back_up(os, in_use, &report) != URN_OK)
        fail_msg("%s", test_error.text);
    return report;
}

/* ---- what it holds -------------------------------------------------------------------------- */

/* Everything durable is in the copy, to the byte, and a start would come to the same state. */
static void test_copy_holds_what_the_log_does(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    struct whole_dir_text original = whole_dir_read(sim_os(scene->maker.world), LOG_MAKER_PATH);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("backup", LOG_MAKER_PATH, COPY));
    assert_golden("urn-wal-backup.txt", text);
    free(text);
    struct whole_dir_text copy = whole_dir_read(sim_os(scene->maker.world), COPY);
    whole_dir_assert_same(&original, &copy, WHOLE_DIR_ALL);
    whole_dir_free(&original);
    whole_dir_free(&copy);
    char *one = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", LOG_MAKER_PATH));
    char *other = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", COPY));
    assert_string_equal(one, other);
    free(one);
    free(other);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("ls", COPY)));
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("find", COPY, "7")));
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("stats", COPY)));
}

/* The ring has come around: the copy begins with the segment of the newest snapshot. */
static void test_copy_begins_at_the_newest_snapshot(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    struct backup_report report = must_back_up(sim_os(scene->maker.world), NULL);
    assert_true(report.begin_lsn <= report.snapshot_lsn);
    assert_true(report.snapshot_lsn - report.begin_lsn < SCENE_SEGMENT);
    assert_int_equal(report.end_lsn, scene->maker.tail.lsn);
    assert_int_equal(report.last_request_id, scene->maker.first_request_id - 1);
    assert_int_equal(report.looks, 1);
    struct whole_dir_text original = whole_dir_read(sim_os(scene->maker.world), LOG_MAKER_PATH);
    struct whole_dir_text copy = whole_dir_read(sim_os(scene->maker.world), COPY);
    whole_dir_assert_same(&original, &copy, WHOLE_DIR_ALL);
    whole_dir_free(&original);
    whole_dir_free(&copy);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
}

/* All that the ring holds, back to the oldest segment. */
static void test_copy_of_all(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    struct backup_report newest = must_back_up(sim_os(scene->maker.world), NULL);
    whole_dir_remove(scene->maker.world, COPY);
    char *text =
        wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("backup", LOG_MAKER_PATH, COPY, "--all"));
    free(text);
    char *one = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", LOG_MAKER_PATH));
    char *other = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", COPY));
    assert_memory_equal(one, other, strlen(other)); /* behind it is told what stands at the end */
    assert_memory_equal(one + strlen(other), "urn-wal: the log ends", 21);
    free(one);
    free(other);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
    char first[32];
    (void)snprintf(first, sizeof first, "lsn:%llu", (unsigned long long)newest.snapshot_lsn - 8);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("replay", COPY, "--until", first)));
}

/* A new directory: only a snapshot, and a log of no length. */
static void test_copy_of_a_new_directory(void **context)
{
    struct wal_scene *scene = *context;
    struct backup_report report = must_back_up(sim_os(scene->maker.world), NULL);
    assert_int_equal(report.end_lsn, 0);
    assert_int_equal(report.last_request_id, 0);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
}

/* The end of the copy is vouched for: a group lost from it is damage, not a torn tail. */
static void test_end_of_the_copy_is_vouched_for(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    struct backup_report report = must_back_up(sim_os(scene->maker.world), NULL);
    char path[64];
    (void)snprintf(path, sizeof path, COPY "/segment-%04u",
                   (unsigned)((report.end_lsn - 8) / SCENE_SEGMENT % 3));
    assert_true(sim_flip_bit(scene->maker.world, path, (report.end_lsn - 8) % SCENE_SEGMENT, 3));
    free(wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("verify", COPY)));
}

static void test_damaged_snapshot_is_passed_over(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    char path[64];
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/snapshot-%016llx-0000",
                   (unsigned long long)scene->state.tail.lsn);
    assert_true(sim_flip_bit(scene->maker.world, path, 100, 1));
    struct backup_report report = must_back_up(sim_os(scene->maker.world), NULL);
    assert_int_equal(report.snapshot_lsn, 0);
    assert_int_equal(report.end_lsn, scene->state.tail.lsn);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void test_damage_is_refused(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_flip(&scene->maker, last - 16);
    char *text = wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("backup", LOG_MAKER_PATH, COPY));
    assert_golden("urn-wal-backup-damage.txt", text);
    free(text);
    assert_false(sim_file_exists(scene->maker.world, COPY "/IDENTITY"));
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_OPEN, WORDS("verify", COPY)));
}

static void make_file(struct sim_world *world, const char *directory, const char *name)
{
    struct os_dir *dir = NULL;
    struct os_file *file = NULL;
    int made = os_dir_make(sim_os(world), directory);
    assert_true(made == 0 || made == EEXIST);
    assert_int_equal(os_dir_open(sim_os(world), directory, &dir), 0);
    assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
    os_file_close(file);
    os_dir_close(dir);
}

/* Whatever is there already is not touched. */
static void test_what_is_there_is_refused(void **context)
{
    static const char *const names[] = {"notes.txt", "IDENTITY", "segment-0000", "BACKUP",
                                        "snapshot-0000000000000000-0000"};
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    struct sim_world *original = scene->maker.world;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct sim_world *world = sim_world_clone(original, 1);
        (void)sim_restart(world);
        make_file(world, COPY, names[i]);
        const uint64_t before = sim_hash(world);
        struct backup_report report;
        assert_int_equal(back_up(sim_os(world), NULL, &report), URN_EXISTS);
        assert_int_equal(sim_hash(world), before);
        sim_world_free(world);
    }
}

static void test_mistakes(void **context)
{
    struct wal_scene *scene = *context;
    free(wal_scene_run(scene, NULL, EXIT_USAGE, WORDS("backup", LOG_MAKER_PATH)));
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_OPEN, WORDS("backup", "nowhere", COPY)));
    free(wal_scene_run(scene, NULL, EXIT_USAGE,
                       WORDS("backup", LOG_MAKER_PATH "/segment-0000", COPY)));
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_CREATE,
                       WORDS("backup", LOG_MAKER_PATH, "no/parent/copy")));
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_CREATE,
                       WORDS("backup", LOG_MAKER_PATH, LOG_MAKER_PATH)));
    assert_false(sim_file_exists(scene->maker.world, COPY "/LOCK"));
}

/* Two at once: the second does not disturb the first. */
static void test_one_maker_at_a_time(void **context)
{
    struct wal_scene *scene = *context;
    struct data_dir data_dir;
    assert_int_equal(data_dir_build_begin(sim_other_process(scene->maker.world), COPY, "another",
                                          &data_dir, &test_error),
                     URN_OK);
    free(wal_scene_run(scene, NULL, EXIT_IN_USE, WORDS("backup", LOG_MAKER_PATH, COPY)));
    data_dir_close(&data_dir);
    (void)must_back_up(sim_os(scene->maker.world), NULL);
}

/* No server starts from a backup, nor makes anything of an unfinished one. */
static void test_no_server_starts_from_it(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    (void)must_back_up(sim_os(scene->maker.world), NULL);
    struct sim_world *world = scene->maker.world;
    const uint64_t before = sim_hash(world);
    for (int create = 0; create < 2; create++) {
        assert_int_equal(whole_dir_start(sim_os(world), COPY, create != 0, &test_error),
                         URN_NODATA);
        assert_non_null(strstr(test_error.text, "urn-wal restore"));
    }
    assert_int_equal(sim_hash(world), before);
}

/* ---- beside a server ------------------------------------------------------------------------- */

static void test_it_speaks_to_programs(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-backup.json",
                            WORDS("backup", LOG_MAKER_PATH, COPY, "--json"));
    whole_dir_remove(scene->maker.world, COPY);
    char *text = wal_scene_run(scene, wal_scene_used, EXIT_SOUND,
                               WORDS("backup", LOG_MAKER_PATH, COPY, "--quiet"));
    assert_string_equal(text, "");
    free(text);
}

/* What it tells who waits, a letter each; a step that goes on is told of once. */
struct told {
    char letters[64];
    size_t count;
    const char *last;
};

static void note(void *context, const char *what, uint64_t done_bytes, uint64_t all_bytes)
{
    struct told *told = context;
    assert_true(all_bytes == 0 || done_bytes <= all_bytes);
    if (what == NULL || what == told->last || told->count + 1 == sizeof told->letters)
        return;
    told->letters[told->count++] = what[0];
    told->last = what;
}

static void test_who_waits_is_told(void **context)
{
    struct log_maker *maker = &((struct wal_scene *)*context)->maker;
    struct told told = {.count = 0};
    const struct progress progress = {.tell = note, .context = &told};
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    (void)wal_scene_serve(*context);
    const struct tool tool = {
        .os = sim_os(maker->world), .out = nowhere, .notes = nowhere, .progress = &progress};
    struct backup_report report;
    assert_int_equal(backup_make(&tool, LOG_MAKER_PATH, COPY, BACKUP_NEWEST, &report, &test_error),
                     URN_OK);
    assert_int_equal(fclose(nowhere), 0);
    /* syncing the copy, writing a snapshot, reading it, looking for more, writing the other one */
    assert_string_equal(told.letters, "swrlw");
}

/* What is above the durable LSN is not in the copy, though it is whole. */
static void test_only_what_is_durable_beside_a_server(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    (void)log_maker_draws(&scene->maker, 5);
    const uint64_t durable_lsn = scene->maker.durable_lsn;
    struct backup_report report = must_back_up(sim_os(scene->maker.world), wal_scene_used);
    assert_true(report.live);
    assert_int_equal(report.end_lsn, durable_lsn);
    assert_true(durable_lsn < scene->maker.tail.lsn);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
}

/* The server laps at any call of the copying: the copy is whole all the same, of before or of after. */
static void lap_meanwhile(struct wal_scene *scene)
{
    wal_scene_lap(scene);
    uint32_t begun_anew = 0;
    struct wal_rival rival = {.scene = scene, .act = wal_scene_lap};
    do {
        rival.nth++;
        rival.calls = rival.acted = 0;
        wal_rival_begin(&rival);
        struct backup_report report = must_back_up(sim_os(scene->maker.world), wal_scene_used);
        wal_rival_end(&rival);
        begun_anew += report.looks > 1;
        free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", COPY)));
        whole_dir_remove(scene->maker.world, COPY);
    } while (rival.acted > 0);
    assert_true(begun_anew > 0);
    assert_true(rival.nth > 50);
}

static void test_server_laps_meanwhile(void **context)
{
    lap_meanwhile(*context);
}

static void test_server_laps_while_all_is_copied(void **context)
{
    test_extent = BACKUP_ALL;
    lap_meanwhile(*context);
    test_extent = BACKUP_NEWEST;
}

/* It always does: the copying gives up, says so, and leaves nothing that could be taken for a copy. */
static void test_server_is_always_faster(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    struct wal_rival rival = {.scene = scene, .act = wal_scene_lap, .nth = 1, .again = true};
    wal_rival_begin(&rival);
    char *text =
        wal_scene_run(scene, wal_scene_used, EXIT_IN_USE, WORDS("backup", LOG_MAKER_PATH, COPY));
    wal_rival_end(&rival);
    assert_non_null(strstr(text, "50 times in a row"));
    free(text);
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_OPEN, WORDS("verify", COPY)));
}

/* ---- crashes and failures --------------------------------------------------------------------- */

/* A copy is whole, or nobody takes it for one; and repeating the command makes it. */
static void assert_whole_or_repeatable(struct sim_world *world)
{
    struct urn_os *os = sim_os(world);
    const bool whole = sim_file_exists(world, COPY "/IDENTITY");
    struct backup_report report;
    if (!whole) {
        struct urn_error error;
        struct data_dir data_dir;
        assert_int_not_equal(data_dir_open_readonly(os, COPY, &data_dir, &error), URN_OK);
        if (sim_file_exists(world, COPY "/UNFINISHED"))
            assert_int_equal(whole_dir_start(os, COPY, true, &error), URN_NODATA);
        (void)must_back_up(os, NULL);
    } else {
        assert_int_equal(back_up(os, NULL, &report), URN_EXISTS);
    }
    struct whole_dir_text original = whole_dir_read(os, LOG_MAKER_PATH);
    struct whole_dir_text copy = whole_dir_read(os, COPY);
    whole_dir_assert_same(&original, &copy, WHOLE_DIR_ALL);
    whole_dir_free(&original);
    whole_dir_free(&copy);
}

struct copying {
    uint32_t whole; /* behind how many crashes and failures it was */
};

static bool copy_once(void *context, struct sim_world *world)
{
    struct backup_report report;
    (void)context;
    const enum urn_code code = back_up(sim_os(world), NULL, &report);
    if (code != URN_OK && sim_crashed(world) == SIM_NO_CRASH &&
        sim_last_event(world)->call != SIM_DIR_LOCK)
        assert_true(test_error.text[0] != '\0');
    return code == URN_OK;
}

static void check_copy(void *context, struct sim_world *world, bool done)
{
    struct copying *copying = context;
    const bool whole = sim_file_exists(world, COPY "/IDENTITY");
    assert_true(whole || !done);
    copying->whole += whole;
    assert_whole_or_repeatable(world);
}

/* A log to be copied, all of it durable. */
static struct trial a_trial(struct wal_scene *scene, struct copying *copying)
{
    (void)wal_scene_serve(scene);
    whole_dir_settle(scene->maker.world, LOG_MAKER_PATH);
    *copying = (struct copying){.whole = 0};
    return (struct trial){scene->maker.world, copying, copy_once, check_copy};
}

static void test_crashes_at_every_call(void **context)
{
    struct copying copying;
    const struct trial trial = a_trial(*context, &copying);
    trial_crash_everywhere(&trial, 6);
    assert_true(copying.whole > 1);
}

static void test_every_call_may_fail(void **context)
{
    struct copying copying;
    const struct trial trial = a_trial(*context, &copying);
    trial_fail_everywhere(&trial);
}

static void test_short_reads_and_writes_are_gone_on_with(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    whole_dir_settle(scene->maker.world, LOG_MAKER_PATH);
    struct sim_world *world = sim_world_clone(scene->maker.world, 3);
    (void)sim_restart(world);
    sim_set_fault_rates(world, 0, 2);
    (void)must_back_up(sim_os(world), NULL);
    sim_set_fault_rates(world, 0, 0);
    assert_whole_or_repeatable(world);
    sim_world_free(world);
}

/* The room is given back. */
static void check_refused(void *context, struct sim_world *world, uint64_t used_bytes)
{
    (void)context;
    assert_int_equal(test_error.system_errno, ENOSPC);
    assert_false(sim_file_exists(world, COPY "/IDENTITY"));
    assert_true(sim_used_bytes(world) <= used_bytes + 2ull * OS_PAGE_BYTES); /* LOCK, UNFINISHED */
}

/* A disk that is full at any point: with more room repeating works. */
static void test_full_disk(void **context)
{
    struct copying copying;
    const struct trial trial = a_trial(*context, &copying);
    trial_fill_disk(&trial, 8192, check_refused);
}

#define SCENE_TEST(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_copy_holds_what_the_log_does),
        SCENE_TEST(test_copy_begins_at_the_newest_snapshot),
        SCENE_TEST(test_copy_of_all),
        SCENE_TEST(test_copy_of_a_new_directory),
        SCENE_TEST(test_end_of_the_copy_is_vouched_for),
        SCENE_TEST(test_damaged_snapshot_is_passed_over),
        SCENE_TEST(test_damage_is_refused),
        SCENE_TEST(test_what_is_there_is_refused),
        SCENE_TEST(test_mistakes),
        SCENE_TEST(test_one_maker_at_a_time),
        SCENE_TEST(test_no_server_starts_from_it),
        SCENE_TEST(test_it_speaks_to_programs),
        SCENE_TEST(test_who_waits_is_told),
        SCENE_TEST(test_only_what_is_durable_beside_a_server),
        SCENE_TEST(test_server_laps_meanwhile),
        SCENE_TEST(test_server_laps_while_all_is_copied),
        SCENE_TEST(test_server_is_always_faster),
        SCENE_TEST(test_crashes_at_every_call),
        SCENE_TEST(test_every_call_may_fail),
        SCENE_TEST(test_short_reads_and_writes_are_gone_on_with),
        SCENE_TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
