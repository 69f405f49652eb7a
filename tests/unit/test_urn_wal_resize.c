/* test_urn_wal_resize.c: `urn-wal resize`: the state stays, refusals change nothing, and crashes and failures at
 * every call leave the old ring, the new one, or what repeating the command finishes. */
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
#include "tools/urn_wal/resize.h"

#define NEW_SEGMENT  131072ull
#define NEW_SEGMENTS 4u

static struct urn_error test_error;

static enum urn_code resize_to(struct urn_os *os, uint64_t segment_size_bytes, uint32_t segments,
                               struct resize *resize)
{
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    const struct tool tool = {.os = os, .out = nowhere, .notes = nowhere};
    *resize = (struct resize){.tool = &tool,
                              .path = LOG_MAKER_PATH,
                              .segment_size_bytes = segment_size_bytes,
                              .segments = segments,
                              .max_batch = 1000,
                              .discards = true};
    const enum urn_code code = resize_ring(resize, &test_error);
    assert_int_equal(fclose(nowhere), 0);
    resize->tool = NULL;
    return code;
}

static struct resize must_resize(struct urn_os *os, uint64_t segment_size_bytes, uint32_t segments)
{
    struct resize resize;
    if (resize_to(os, segment_size_bytes, segments, &resize) != URN_OK)
        fail_msg("%s", test_error.text);
    return resize;
}

static void must_start(struct urn_os *os)
{
    if (whole_dir_start(os, LOG_MAKER_PATH, false, &test_error) != URN_OK)
        fail_msg("%s", test_error.text);
}

/* The ring has this geometry, and all else of the state is to the byte what it was. */
static void assert_resized(struct urn_os *os, const struct whole_dir_text *before,
                           uint64_t segment_size_bytes, uint32_t segments)
{
    struct whole_dir_text after = whole_dir_read(os, LOG_MAKER_PATH);
    whole_dir_assert_same(before, &after, WHOLE_DIR_RESIZED);
    assert_memory_equal(before->geometry.ring_uuid, after.geometry.ring_uuid, WAL_UUID_BYTES);
    assert_int_equal(after.geometry.segment_size_bytes, segment_size_bytes);
    assert_int_equal(after.geometry.segments, segments);
    assert_int_equal(after.lsn, round_up_u64(before->lsn, segment_size_bytes));
    assert_int_equal(after.lsn % segment_size_bytes, 0);
    assert_in_range(after.lsn, before->lsn, before->lsn + segment_size_bytes - 1);
    whole_dir_free(&after);
    must_start(os);
}

/* ---- what it does ----------------------------------------------------------------------------- */

static void test_it_says_what_it_does(void **context)
{
    struct wal_scene *scene = *context;
    struct urn_os *os = sim_os(scene->maker.world);
    (void)wal_scene_serve(scene);
    struct whole_dir_text before = whole_dir_read(os, LOG_MAKER_PATH);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("resize", LOG_MAKER_PATH, "--segments", "4", "--segment-size",
                                     "128KiB", "--max-batch=1000", "--discard-history"));
    assert_golden("urn-wal-resize.txt", text);
    free(text);
    assert_resized(os, &before, NEW_SEGMENT, NEW_SEGMENTS);
    whole_dir_free(&before);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", LOG_MAKER_PATH)));
    text =
        wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("resize", LOG_MAKER_PATH, "--segments", "4"));
    assert_golden("urn-wal-resize-same.txt", text);
    free(text);
}

/* To more and fewer segments, larger and smaller ones, and from any lap. */
static void test_every_way(void **context)
{
    static const struct {
        uint64_t segment_size_bytes;
        uint32_t segments;
    } ways[] = {{65536, 5}, {65536, 3}, {131072, 3}, {69632, 7}, {65536, 4096}, {65536, 3}};
    struct wal_scene *scene = *context;
    struct urn_os *os = sim_os(scene->maker.world);
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    struct whole_dir_text before = whole_dir_read(os, LOG_MAKER_PATH);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct resize resize = must_resize(os, ways[i].segment_size_bytes, ways[i].segments);
        assert_int_equal(resize.outcome, RESIZE_DONE);
        assert_resized(os, &before, ways[i].segment_size_bytes, ways[i].segments);
        free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", LOG_MAKER_PATH)));
        struct whole_dir_text after = whole_dir_read(os, LOG_MAKER_PATH);
        whole_dir_free(&before);
        before = after;
    }
    whole_dir_free(&before);
}

static void test_a_new_directory(void **context)
{
    struct wal_scene *scene = *context;
    struct urn_os *os = sim_os(scene->maker.world);
    struct whole_dir_text before = whole_dir_read(os, LOG_MAKER_PATH);
    struct resize resize = must_resize(os, NEW_SEGMENT, NEW_SEGMENTS);
    assert_int_equal(resize.begin_lsn, 0);
    assert_resized(os, &before, NEW_SEGMENT, NEW_SEGMENTS);
    whole_dir_free(&before);
}

/* A tail that was never durable is no part of it; that of a process that died is. */
static void test_tails(void **context)
{
    struct wal_scene *scene = *context;
    struct urn_os *os = sim_os(scene->maker.world);
    (void)wal_scene_serve(scene);
    (void)log_maker_draws(&scene->maker, 5);
    const uint64_t whole_lsn = scene->maker.tail.lsn;
    (void)log_maker_draws(&scene->maker, 7);
    log_maker_flip(&scene->maker, whole_lsn + 8);
    struct whole_dir_text before = whole_dir_read(os, LOG_MAKER_PATH);
    struct resize resize = must_resize(os, NEW_SEGMENT, NEW_SEGMENTS);
    assert_int_equal(resize.end_lsn, whole_lsn);
    assert_int_equal(resize.last_id, 125);
    assert_resized(os, &before, NEW_SEGMENT, NEW_SEGMENTS);
    whole_dir_free(&before);
}

/* The old ring's log, all of it, is in the backup. */
static void test_history_is_kept(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    wal_scene_lap(scene);
    char *one = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", LOG_MAKER_PATH));
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("resize", LOG_MAKER_PATH, "--segments", "5", "--max-batch",
                                     "1000", "--backup", "copy"));
    assert_non_null(strstr(text, "in the backup copy"));
    free(text);
    char *other = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("cat", "copy"));
    assert_memory_equal(one, other, strlen(other));
    assert_true(strlen(other) > 1000);
    free(one);
    free(other);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("verify", "copy")));
}

/* ---- refusals --------------------------------------------------------------------------------- */

/* Nothing changes, and what is said is this. */
static void assert_refused(struct wal_scene *scene, enum exit_status status, const char *says,
                           const char *const *words)
{
    const uint64_t before = sim_hash(scene->maker.world);
    char *text = wal_scene_run(scene, NULL, status, words);
    if (strstr(text, says) == NULL)
        fail_msg("\"%s\" is not in: %s", says, text);
    free(text);
    assert_int_equal(sim_hash(scene->maker.world), before);
}

static void test_history_is_not_given_up_silently(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    must_start(sim_os(scene->maker.world)); /* makes LOCK */
    const uint64_t before = sim_hash(scene->maker.world);
    char *text =
        wal_scene_run(scene, NULL, EXIT_USAGE,
                      WORDS("resize", LOG_MAKER_PATH, "--segments", "4", "--max-batch", "1000"));
    assert_golden("urn-wal-resize-undecided.txt", text);
    free(text);
    assert_int_equal(sim_hash(scene->maker.world), before);
}

static void test_it_speaks_to_programs(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const char *const *const lines[] = {
        WORDS("resize", LOG_MAKER_PATH, "--json"),
        WORDS("resize", LOG_MAKER_PATH, "--json", "--segments", "4", "--max-batch", "1000"),
        WORDS("resize", LOG_MAKER_PATH, "--json", "--segments", "4", "--max-batch", "1000",
              "--backup", "copy"),
    };
    static const char *const goldens[] = {
        "urn-wal-resize-same.json", "urn-wal-resize-undecided-json.txt", "urn-wal-resize.json"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        wal_scene_assert_golden(scene, NULL, i == 1 ? EXIT_USAGE : EXIT_SOUND, goldens[i],
                                lines[i]);
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND,
                               WORDS("resize", LOG_MAKER_PATH, "--segments", "3", "--max-batch",
                                     "1000", "--discard-history", "--quiet"));
    assert_string_equal(text, "");
    free(text);
}

static void test_sizes_that_no_server_takes(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    must_start(sim_os(scene->maker.world));
    assert_refused(
        scene, EXIT_USAGE, "wal.segments is 2, expected 3 to 4096",
        WORDS("resize", LOG_MAKER_PATH, "--segments", "2", "--max-batch=9", "--discard-history"));
    assert_refused(scene, EXIT_USAGE, "wal.segment_size is 32768, expected 65536 to",
                   WORDS("resize", LOG_MAKER_PATH, "--segment-size", "32KiB", "--max-batch=9",
                         "--discard-history"));
    assert_refused(scene, EXIT_USAGE, "expected a multiple of 4096",
                   WORDS("resize", LOG_MAKER_PATH, "--segment-size", "70000B", "--max-batch=9",
                         "--discard-history"));
    assert_refused(scene, EXIT_USAGE, "raise wal.segment_size to at least 405504 bytes or lower",
                   WORDS("resize", LOG_MAKER_PATH, "--segments", "9", "--discard-history"));
    assert_refused(scene, EXIT_USAGE, "wants", WORDS("resize"));
    assert_refused(scene, EXIT_CANNOT_OPEN, "nowhere", WORDS("resize", "nowhere"));
}

/* A mistyped path: someone else's directory gets not even a LOCK. */
static void test_other_directories_are_left_alone(void **context)
{
    struct wal_scene *scene = *context;
    assert_int_equal(os_dir_make(sim_os(scene->maker.world), "other"), 0);
    assert_refused(scene, EXIT_CANNOT_OPEN, "no data directory",
                   WORDS("resize", "other", "--segments", "4", "--discard-history"));
}

static void test_damage_is_refused(void **context)
{
    struct wal_scene *scene = *context;
    const uint64_t last = wal_scene_serve(scene);
    must_start(sim_os(scene->maker.world));
    log_maker_flip(&scene->maker, last + 110);
    assert_refused(scene, EXIT_DAMAGE, "case D5",
                   WORDS("resize", LOG_MAKER_PATH, "--segments", "4", "--max-batch", "1000",
                         "--discard-history"));
}

static void test_a_server_is_not_disturbed(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    const struct urn_engine_config config = {
        .data_dir = LOG_MAKER_PATH, .segment_size_bytes = SCENE_SEGMENT, .segments = 3};
    struct data_dir data_dir;
    assert_int_equal(
        data_dir_open(sim_other_process(scene->maker.world), &config, &data_dir, &test_error),
        URN_OK);
    assert_refused(scene, EXIT_IN_USE, "has log open",
                   WORDS("resize", LOG_MAKER_PATH, "--segments", "4", "--discard-history"));
    data_dir_close(&data_dir);
}

static void test_a_backup_is_not_resized(void **context)
{
    struct wal_scene *scene = *context;
    (void)wal_scene_serve(scene);
    free(wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("backup", LOG_MAKER_PATH, "copy")));
    assert_refused(scene, EXIT_CANNOT_OPEN, "is a backup",
                   WORDS("resize", "copy", "--segments", "4", "--max-batch=9"));
}

/* ---- crashes and failures ----------------------------------------------------------------------- */

enum found { FOUND_OLD, FOUND_BEGUN, FOUND_NEW, FOUND_KINDS };

/* What is there is the old ring, the new one, or nothing that anybody starts from or reads. */
static enum found look(struct sim_world *world, const struct whole_dir_text *before)
{
    struct urn_os *os = sim_os(world);
    struct data_dir data_dir;
    if (data_dir_open_readonly(os, LOG_MAKER_PATH, &data_dir, &test_error) != URN_OK) {
        assert_int_equal(test_error.code, URN_DAMAGED);
        assert_non_null(strstr(test_error.text, "`urn-wal resize log` finishes it"));
        (void)whole_dir_start(os, LOG_MAKER_PATH, false, &test_error); /* its id is in LOCK now */
        for (int create = 0; create < 2; create++) {
            const uint64_t hash = sim_hash(world);
            assert_int_equal(whole_dir_start(os, LOG_MAKER_PATH, create != 0, &test_error),
                             URN_DAMAGED);
            assert_non_null(strstr(test_error.text, "urn-wal resize"));
            assert_int_equal(sim_hash(world), hash);
        }
        return FOUND_BEGUN;
    }
    const bool is_old = data_dir.geometry.segments == before->geometry.segments;
    data_dir_close(&data_dir);
    if (is_old) {
        struct whole_dir_text now = whole_dir_read(os, LOG_MAKER_PATH);
        whole_dir_assert_same(before, &now, WHOLE_DIR_ALL);
        whole_dir_free(&now);
        return FOUND_OLD;
    }
    assert_resized(os, before, NEW_SEGMENT, NEW_SEGMENTS);
    return FOUND_NEW;
}

/* Repeating the command makes the new ring, whatever was found. */
static void finish(struct sim_world *world, enum found found, const struct whole_dir_text *before)
{
    struct resize resize = must_resize(sim_os(world), NEW_SEGMENT, NEW_SEGMENTS);
    assert_int_equal(resize.outcome, found == FOUND_OLD     ? RESIZE_DONE
                                     : found == FOUND_BEGUN ? RESIZE_FINISHED
                                                            : RESIZE_SAME);
    assert_resized(sim_os(world), before, NEW_SEGMENT, NEW_SEGMENTS);
}

static void settle(struct wal_scene *scene)
{
    wal_scene_lap(scene); /* a ring that has come around, and snapshots at positions of it */
    must_start(sim_os(scene->maker.world));
    whole_dir_settle(scene->maker.world, LOG_MAKER_PATH);
}

struct resizing {
    struct whole_dir_text before;
    uint32_t times[FOUND_KINDS]; /* what was found */
};

static bool resize_once(void *context, struct sim_world *world)
{
    struct resize resize;
    (void)context;
    return resize_to(sim_os(world), NEW_SEGMENT, NEW_SEGMENTS, &resize) == URN_OK;
}

static void check_resized(void *context, struct sim_world *world, bool done)
{
    struct resizing *resizing = context;
    const enum found found = look(world, &resizing->before);
    assert_true(!done || found == FOUND_NEW);
    resizing->times[found]++;
    finish(world, found, &resizing->before);
}

/* A ring to be resized, all of it durable. */
static struct trial a_trial(struct wal_scene *scene, struct resizing *resizing)
{
    settle(scene);
    *resizing =
        (struct resizing){.before = whole_dir_read(sim_os(scene->maker.world), LOG_MAKER_PATH)};
    return (struct trial){scene->maker.world, resizing, resize_once, check_resized};
}

static void test_crashes_at_every_call(void **context)
{
    struct resizing resizing;
    const struct trial trial = a_trial(*context, &resizing);
    trial_crash_everywhere(&trial, 8);
    for (int kind = 0; kind < FOUND_KINDS; kind++)
        assert_true(resizing.times[kind] > 1);
    whole_dir_free(&resizing.before);
}

static uint64_t calls_of_a_resize(struct wal_scene *scene)
{
    struct sim_world *world = trial_clone_crashing(scene->maker.world, UINT64_MAX, 0);
    const uint64_t before = sim_calls(world);
    (void)must_resize(sim_os(world), NEW_SEGMENT, NEW_SEGMENTS);
    const uint64_t calls = sim_calls(world) - before;
    sim_world_free(world);
    return calls;
}

/* It crashes, and so does what should finish it. */
static void test_crashes_twice(void **context)
{
    struct wal_scene *scene = *context;
    settle(scene);
    struct whole_dir_text before = whole_dir_read(sim_os(scene->maker.world), LOG_MAKER_PATH);
    const uint64_t calls = calls_of_a_resize(scene);
    uint32_t begun_twice = 0;
    for (uint64_t seed = 0; seed < 1500; seed++) {
        struct sim_world *world =
            trial_clone_crashing(scene->maker.world, 1 + seed * 37 % calls, seed % 16);
        struct resize resize;
        (void)resize_to(sim_os(world), NEW_SEGMENT, NEW_SEGMENTS, &resize);
        (void)sim_restart(world);
        const enum found first = look(world, &before);
        sim_crash_at(world, 1 + seed * 101 % 60,
                     seed % 3 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE, SIM_CRASH_BEFORE);
        (void)resize_to(sim_os(world), NEW_SEGMENT, NEW_SEGMENTS, &resize);
        (void)sim_restart(world);
        const enum found second = look(world, &before);
        assert_true(second >= first); /* what is durable stays */
        begun_twice += first == FOUND_BEGUN && second == FOUND_BEGUN;
        finish(world, second, &before);
        sim_world_free(world);
    }
    assert_true(begun_twice > 10);
    whole_dir_free(&before);
}

static void test_every_call_may_fail(void **context)
{
    struct resizing resizing;
    const struct trial trial = a_trial(*context, &resizing);
    trial_fail_everywhere(&trial);
    whole_dir_free(&resizing.before);
}

static void check_refused(void *context, struct sim_world *world, uint64_t used_bytes)
{
    const struct resizing *resizing = context;
    assert_non_null(strstr(test_error.text, "nothing was changed"));
    assert_int_equal(test_error.system_errno, ENOSPC);
    assert_int_equal(sim_used_bytes(world), used_bytes);
    assert_int_equal(look(world, &resizing->before), FOUND_OLD);
    must_start(sim_os(world));
}

/* The change is made only when there is room for both rings; after a refusal all is as before. */
static void test_full_disk(void **context)
{
    struct resizing resizing;
    const struct trial trial = a_trial(*context, &resizing);
    trial_fill_disk(&trial, 8192, check_refused);
    whole_dir_free(&resizing.before);
}

/* What has begun is finished as it was begun; other sizes have to wait. */
static void test_begun_is_finished_first(void **context)
{
    struct wal_scene *scene = *context;
    settle(scene);
    struct whole_dir_text before = whole_dir_read(sim_os(scene->maker.world), LOG_MAKER_PATH);
    struct sim_world *original = scene->maker.world;
    struct sim_world *world = NULL;
    enum found found = FOUND_OLD;
    for (uint64_t n = 1; found != FOUND_BEGUN; n++) {
        sim_world_free(world);
        world = trial_clone_crashing(scene->maker.world, n, 1);
        struct resize resize;
        (void)resize_to(sim_os(world), NEW_SEGMENT, NEW_SEGMENTS, &resize);
        (void)sim_restart(world);
        found = look(world, &before);
        assert_int_not_equal(found, FOUND_NEW);
    }
    scene->maker.world = world;
    assert_refused(scene, EXIT_USAGE, "has begun: finish it first",
                   WORDS("resize", LOG_MAKER_PATH, "--segments", "5"));
    assert_refused(scene, EXIT_DAMAGE, "`urn-wal resize log` finishes it",
                   WORDS("verify", LOG_MAKER_PATH));
    char *text = wal_scene_run(scene, NULL, EXIT_SOUND, WORDS("resize", LOG_MAKER_PATH));
    assert_golden("urn-wal-resize-finished.txt", text);
    free(text);
    assert_resized(sim_os(world), &before, NEW_SEGMENT, NEW_SEGMENTS);
    scene->maker.world = original;
    sim_world_free(world);
    whole_dir_free(&before);
}

#define SCENE_TEST(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_it_says_what_it_does),
        SCENE_TEST(test_every_way),
        SCENE_TEST(test_a_new_directory),
        SCENE_TEST(test_tails),
        SCENE_TEST(test_history_is_kept),
        SCENE_TEST(test_history_is_not_given_up_silently),
        SCENE_TEST(test_it_speaks_to_programs),
        SCENE_TEST(test_sizes_that_no_server_takes),
        SCENE_TEST(test_other_directories_are_left_alone),
        SCENE_TEST(test_damage_is_refused),
        SCENE_TEST(test_a_server_is_not_disturbed),
        SCENE_TEST(test_a_backup_is_not_resized),
        SCENE_TEST(test_crashes_at_every_call),
        SCENE_TEST(test_crashes_twice),
        SCENE_TEST(test_every_call_may_fail),
        SCENE_TEST(test_full_disk),
        SCENE_TEST(test_begun_is_finished_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
