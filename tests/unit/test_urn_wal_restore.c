/* test_urn_wal_restore.c: `urn-wal restore`: what the new directory holds and what it goes on above; refusals;
 * crashes and failures at every call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/limits.h"
#include "tests/lib/golden.h"
#include "tests/lib/trial.h"
#include "tests/lib/wal_scene.h"
#include "tests/lib/whole_dir.h"
#include "tools/urn_wal/backup.h"
#include "tools/urn_wal/restore.h"

#define DEST   "restored"
#define MARGIN 1000000000ull

static struct urn_error test_error;

static struct tool silent_tool(struct urn_os *os, FILE *nowhere)
{
    return (struct tool){.os = os, .out = nowhere, .notes = nowhere};
}

static enum urn_code restore_from(struct urn_os *os, const char *source, struct moment until,
                                  struct restore *restore)
{
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    const struct tool tool = silent_tool(os, nowhere);
    *restore = (struct restore){.tool = &tool,
                                .sources = &source,
                                .source_count = 1,
                                .dest = DEST,
                                .until = until,
                                .id_margin = MARGIN};
    const enum urn_code code = restore_make(restore, &test_error);
    assert_int_equal(fclose(nowhere), 0);
    restore->tool = NULL;
    restore->sources = NULL;
    return code;
}

static const struct moment the_end = {.kind = MOMENT_END};

static struct restore must_restore(struct urn_os *os, const char *source, struct moment until)
{
    struct restore restore;
    if (restore_from(os, source, until, &restore) != URN_OK)
        fail_msg("%s", test_error.text);
    assert_int_equal(restore.outcome, REPLAY_REACHED);
    return restore;
}

/* The pools are those of the other, and the ring is none of its. */
static void assert_restored(struct urn_os *os, const char *source, const struct restore *restore)
{
    struct whole_dir_text original = whole_dir_read(os, source);
    struct whole_dir_text restored = whole_dir_read(os, DEST);
    whole_dir_assert_same(&original, &restored, WHOLE_DIR_POOLS);
    assert_memory_not_equal(original.geometry.ring_uuid, restored.geometry.ring_uuid,
                            WAL_UUID_BYTES);
    assert_int_equal(restored.next_request_id, restore->next_request_id);
    assert_true(restored.next_request_id >= original.next_request_id);
    assert_true(restored.lsn >= original.lsn);
    assert_int_equal(restored.lsn % restored.geometry.segment_size_bytes, 0);
    whole_dir_free(&original);
    whole_dir_free(&restored);
    if (whole_dir_start(os, DEST, false, &test_error) != URN_OK)
        fail_msg("%s", test_error.text);
}

/* ---- what it holds -------------------------------------------------------------------------- */

static void test_the_end_is_restored(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("restore", LOG_MAKER_PATH, DEST));
    assert_golden("urn-wal-restore.txt", text);
    free(text);
    const struct restore expected = {.next_request_id = 121 + MARGIN};
    assert_restored(sim_os(scene->maker.world), LOG_MAKER_PATH, &expected);
    text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", DEST));
    assert_golden("urn-wal-verify-restored.txt", text);
    free(text);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("ls", DEST)));
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", DEST)));
}

static void test_it_speaks_to_programs(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-restore-json.txt",
                            WORDS("restore", LOG_MAKER_PATH, DEST, "--json"));
    whole_dir_remove(scene->maker.world, DEST);
    char *text =
        wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("restore", LOG_MAKER_PATH, DEST, "--quiet"));
    assert_string_equal(text, "");
    free(text);
    whole_dir_remove(scene->maker.world, DEST);
    /* What this source gives cause to warn of is said all the same. */
    wal_scene_assert_golden(scene, wal_scene_used, EXIT_SOUND, "urn-wal-restore-quiet.txt",
                            WORDS("restore", LOG_MAKER_PATH, DEST, "--quiet", "--until", "id:70"));
}

/* The two have nothing in common but what stands in them. */
static void test_the_old_and_the_new_ring_are_compared(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("restore", LOG_MAKER_PATH, DEST)));
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-restored.txt",
                            WORDS("diff", LOG_MAKER_PATH, DEST));
    (void)log_maker_draws(&scene->maker, 5);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-restored-since.txt",
                            WORDS("diff", LOG_MAKER_PATH, DEST));
    wal_scene_assert_golden(scene, NULL, EXIT_DIFFERS, "urn-wal-diff-restored-since.json",
                            WORDS("diff", LOG_MAKER_PATH, DEST, "--json"));
}

static void test_a_lap_is_restored(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    struct restore restore = must_restore(sim_os(scene->maker.world), LOG_MAKER_PATH, the_end);
    assert_int_equal(restore.moment_lsn, scene->maker.tail.lsn);
    assert_int_equal(restore.known.request_id, scene->maker.first_request_id - 1);
    assert_int_equal(restore.next_request_id, scene->maker.first_request_id + MARGIN);
    assert_restored(sim_os(scene->maker.world), LOG_MAKER_PATH, &restore);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", DEST)));
}

/* Nothing was ever given: ids begin with 1, as in any new directory. */
static void test_a_new_directory_is_restored(void **context)
{
    struct wal_scene *scene = *context;
    struct restore restore = must_restore(sim_os(scene->maker.world), LOG_MAKER_PATH, the_end);
    assert_int_equal(restore.next_request_id, 1);
    assert_int_equal(restore.begin_lsn, 0);
    assert_restored(sim_os(scene->maker.world), LOG_MAKER_PATH, &restore);
}

static void test_a_backup_is_restored(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("backup", LOG_MAKER_PATH, "copy")));
    struct restore restore = must_restore(sim_os(scene->maker.world), "copy", the_end);
    assert_int_equal(restore.known.later_draws, 0);
    assert_restored(sim_os(scene->maker.world), LOG_MAKER_PATH, &restore);
}

static void test_a_snapshot_file_is_restored(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    char path[64];
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/snapshot-%016llx-0000",
                   (unsigned long long)scene->state.tail.lsn);
    struct restore restore = must_restore(sim_os(scene->maker.world), path, the_end);
    assert_restored(sim_os(scene->maker.world), LOG_MAKER_PATH, &restore);
}

/* In the midst of a group: right behind the draw that was named. All that the source knows of later draws is
 * told, and ids go on above them. */
static void test_a_draw_is_a_moment(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("restore", LOG_MAKER_PATH, DEST, "--until", "id:70"));
    assert_golden("urn-wal-restore-until.txt", text);
    free(text);
    struct whole_dir_text restored = whole_dir_read(sim_os(scene->maker.world), DEST);
    assert_int_equal(restored.next_request_id, 121 + MARGIN);
    whole_dir_free(&restored);
    text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", DEST, "--type", "snapshot"));
    assert_string_not_equal(text, "");
    free(text);
}

static void test_counts_are_those_of_the_moment(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    struct restore restore = must_restore(sim_os(scene->maker.world), LOG_MAKER_PATH,
                                          (struct moment){.kind = MOMENT_LSN, .number = last});
    assert_int_equal(restore.last_request_id, 100);
    assert_int_equal(restore.drawn, 100);
    assert_int_equal(restore.left, 5);
    assert_int_equal(restore.pools, 1);
    assert_int_equal(restore.items, 3);
    assert_int_equal(restore.known.later_draws, 20);
    assert_int_equal(restore.known.later_first_id, 101);
    assert_int_equal(restore.known.later_last_id, 120);
    assert_int_equal(restore.next_request_id, 121 + MARGIN);
    assert_false(restore.known.incomplete);
}

/* ---- what it goes on above ------------------------------------------------------------------- */

/* Ids that were only reserved, and ids of a group that a start would discard. */
static void test_ids_go_on_above_everything_known(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_entries(&scene->maker);
    wal_entries_add_ids(&scene->maker.entries, 5000);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0);
    struct restore restore = must_restore(sim_os(scene->maker.world), LOG_MAKER_PATH,
                                          (struct moment){.kind = MOMENT_ID, .number = 70});
    assert_int_equal(restore.known.request_id, 5000);
    whole_dir_remove(scene->maker.world, DEST);

    const struct wal_tail tail = scene->maker.tail;
    (void)log_maker_draws(&scene->maker, 10); /* torn off: the group behind it hangs in the air */
    scene->maker.first_request_id = 9001;
    const uint64_t stray = log_maker_draws(&scene->maker, 10);
    assert_true(stray > tail.lsn);
    log_maker_flip(&scene->maker, tail.lsn + 8);
    restore = must_restore(sim_os(scene->maker.world), LOG_MAKER_PATH, the_end);
    assert_int_equal(restore.moment_lsn, tail.lsn);
    assert_int_equal(restore.known.request_id, 9010);
    assert_true(restore.begin_lsn >= scene->maker.tail.lsn);
}

static void overwrite_slot(struct sim_world *world, unsigned slot)
{
    char path[64];
    uint8_t *bytes = malloc(SCENE_SEGMENT);
    assert_non_null(bytes);
    (void)snprintf(path, sizeof path, DEST "/segment-%04u", slot);
    assert_true(sim_file_bytes(world, LOG_MAKER_PATH "/segment-0000", 0, bytes, SCENE_SEGMENT));
    assert_true(sim_overwrite(world, path, 0, bytes, SCENE_SEGMENT));
    free(bytes);
}

/* A file of the old ring that gets into the new one is no part of it, and no evidence; where the log should go
 * on it is refused. */
static void test_rings_do_not_mix(void **context)
{
    struct wal_scene *scene = *context;
    struct sim_world *world = scene->maker.world;
    (void)wal_scene_serve(scene);
    struct restore restore = must_restore(sim_os(world), LOG_MAKER_PATH, the_end);
    const unsigned next = (unsigned)(restore.begin_lsn / SCENE_SEGMENT % 3);
    overwrite_slot(world, (next + 1) % 3);
    overwrite_slot(world, (next + 2) % 3);
    assert_restored(sim_os(world), LOG_MAKER_PATH, &restore);
    overwrite_slot(world, next);
    free(wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("verify", DEST)));
}

static void test_the_ring_may_be_another_size(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("restore", LOG_MAKER_PATH, DEST, "--segments", "5",
                                     "--segment-size=128KiB", "--id-margin", "7"));
    assert_non_null(strstr(text, "5 segments of 128KiB, begins at LSN 131072"));
    assert_non_null(strstr(text, "go on at 128:"));
    free(text);
    const struct restore expected = {.next_request_id = 128};
    assert_restored(sim_os(scene->maker.world), LOG_MAKER_PATH, &expected);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void assert_refused(struct wal_scene *scene, enum exit_status status, const char *says,
                           const char *const *words)
{
    char *text = wal_scene_run(scene, NULL, status, words);
    if (strstr(text, says) == NULL)
        fail_msg("\"%s\" is not in: %s", says, text);
    free(text);
    assert_false(sim_file_exists(scene->maker.world, DEST));
}

static void test_moments_that_are_none(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    wal_scene_follow(scene);
    assert_refused(scene, EXIT_NO_MOMENT, "ends before that",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--until", "id:121"));
    assert_refused(scene, EXIT_NO_MOMENT, "ends before that",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--until", "lsn:1000000"));
    assert_refused(scene, EXIT_USAGE, "--until needs",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--until", "70"));
    wal_scene_snapshot(scene, 0);
    wal_scene_keep_snapshots(scene, 1);
    assert_refused(scene, EXIT_NO_MOMENT, "no snapshot from before that",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--until", "id:70"));
}

static void test_mistakes(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    assert_refused(scene, EXIT_USAGE, "wants", WORDS("restore", LOG_MAKER_PATH));
    assert_refused(scene, EXIT_CANNOT_OPEN, "nowhere", WORDS("restore", "nowhere", DEST));
    assert_refused(scene, EXIT_USAGE, "out of range: a segment has 65536",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--segments", "2"));
    assert_refused(scene, EXIT_USAGE, "not a multiple",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--segment-size", "70000B"));
    assert_refused(scene, EXIT_USAGE, "such as 64MiB",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--segment-size", "64MB"));
    assert_refused(scene, EXIT_USAGE, "choose a smaller --id-margin",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--id-margin", "9007199254740991"));
    free(wal_scene_run(scene, NULL, EXIT_CANNOT_CREATE,
                       WORDS("restore", LOG_MAKER_PATH, LOG_MAKER_PATH)));
}

/* Ids are used up, or reserved up to the last one. */
static void test_no_ids_are_left(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    log_maker_entries(&scene->maker);
    wal_entries_add_ids(&scene->maker.entries, URN_NUMBER_MAX - 1);
    (void)log_maker_add(&scene->maker, WAL_DATA, 0);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    assert_refused(scene, EXIT_USAGE, "leaves none to give",
                   WORDS("restore", LOG_MAKER_PATH, DEST, "--id-margin", "1"));
    assert_refused(scene, EXIT_USAGE, "leaves none to give",
                   WORDS("restore", LOG_MAKER_PATH, DEST));
}

/* Damage before the moment: what can be restored is said, and can be. */
static void test_damage_is_refused(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    log_maker_flip(&scene->maker, last + 110);
    char before[32];
    (void)snprintf(before, sizeof before, "lsn:%llu", (unsigned long long)last);
    assert_refused(scene, EXIT_DAMAGE, before, WORDS("restore", LOG_MAKER_PATH, DEST));
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("restore", LOG_MAKER_PATH, DEST, "--until", before));
    assert_non_null(strstr(text, "damaged or missing in part"));
    free(text);
}

/* ---- crashes and failures --------------------------------------------------------------------- */

static void assert_whole_or_repeatable(struct sim_world *world)
{
    struct urn_os *os = sim_os(world);
    struct restore restore;
    if (sim_file_exists(world, DEST "/IDENTITY")) {
        assert_int_equal(restore_from(os, LOG_MAKER_PATH, the_end, &restore), URN_EXISTS);
    } else {
        if (sim_file_exists(world, DEST "/UNFINISHED")) {
            assert_int_equal(whole_dir_start(os, DEST, false, &test_error), URN_NODATA);
            assert_int_equal(whole_dir_start(os, DEST, true, &test_error), URN_NODATA);
        }
        (void)must_restore(os, LOG_MAKER_PATH, the_end);
    }
    const struct restore expected = {.next_request_id = 121 + MARGIN};
    assert_restored(os, LOG_MAKER_PATH, &expected);
    assert_false(sim_file_exists(world, DEST "/UNFINISHED")); /* a start has cleared it away */
}

static bool restore_once(void *context, struct sim_world *world)
{
    struct restore restore;
    (void)context;
    return restore_from(sim_os(world), LOG_MAKER_PATH, the_end, &restore) == URN_OK &&
           restore.outcome == REPLAY_REACHED;
}

static void check_restored(void *context, struct sim_world *world, bool done)
{
    (void)context;
    assert_true(!done || sim_file_exists(world, DEST "/IDENTITY"));
    assert_whole_or_repeatable(world);
}

/* A log to be restored from, all of it durable. */
static struct trial a_trial(struct wal_scene *scene)
{
    (void)wal_scene_serve(scene);
    whole_dir_settle(scene->maker.world, LOG_MAKER_PATH);
    return (struct trial){scene->maker.world, NULL, restore_once, check_restored};
}

static void test_crashes_at_every_call(void **context)
{
    const struct trial trial = a_trial(*context);
    trial_crash_everywhere(&trial, 6);
}

static void test_every_call_may_fail(void **context)
{
    const struct trial trial = a_trial(*context);
    trial_fail_everywhere(&trial);
}

/* The room is given back. */
static void check_refused(void *context, struct sim_world *world, uint64_t used_bytes)
{
    (void)context;
    assert_int_equal(test_error.system_errno, ENOSPC);
    assert_false(sim_file_exists(world, DEST "/IDENTITY"));
    assert_true(sim_used_bytes(world) <= used_bytes + 2ull * OS_PAGE_BYTES); /* LOCK, UNFINISHED */
}

static void test_full_disk(void **context)
{
    const struct trial trial = a_trial(*context);
    trial_fill_disk(&trial, 16384, check_refused);
}

#define SCENE_TEST(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_the_end_is_restored),
        SCENE_TEST(test_it_speaks_to_programs),
        SCENE_TEST(test_the_old_and_the_new_ring_are_compared),
        SCENE_TEST(test_a_lap_is_restored),
        SCENE_TEST(test_a_new_directory_is_restored),
        SCENE_TEST(test_a_backup_is_restored),
        SCENE_TEST(test_a_snapshot_file_is_restored),
        SCENE_TEST(test_a_draw_is_a_moment),
        SCENE_TEST(test_counts_are_those_of_the_moment),
        SCENE_TEST(test_ids_go_on_above_everything_known),
        SCENE_TEST(test_rings_do_not_mix),
        SCENE_TEST(test_the_ring_may_be_another_size),
        SCENE_TEST(test_moments_that_are_none),
        SCENE_TEST(test_mistakes),
        SCENE_TEST(test_no_ids_are_left),
        SCENE_TEST(test_damage_is_refused),
        SCENE_TEST(test_crashes_at_every_call),
        SCENE_TEST(test_every_call_may_fail),
        SCENE_TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
