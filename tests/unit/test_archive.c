/* test_archive.c: full segments on their way to the archive: what counts when, what a crash leaves, and what
 * the log does meanwhile. */
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

#include "engine/archive_dir.h"
#include "tests/lib/engine_driver.h"

#define SEGMENT_BYTES SEGMENT_SIZE_BYTES_MIN
#define SEGMENTS      4u

/* ---- helpers --------------------------------------------------------------------------------- */

static struct driver *a_driver_of_seed(enum urn_archive_policy policy, uint64_t seed)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, seed);
    driver->config.segments = SEGMENTS;
    driver->config.archive = "archive";
    driver->config.archive_policy = policy;
    return driver;
}

static struct driver *a_driver(enum urn_archive_policy policy)
{
    return a_driver_of_seed(policy, 5);
}

static struct driver *an_open_driver(enum urn_archive_policy policy)
{
    struct driver *driver = a_driver(policy);
    driver_must_open(driver);
    return driver;
}

static void done(struct driver *driver)
{
    driver_free(driver);
    free(driver);
}

static void assert_draw(struct driver *driver)
{
    assert_int_equal(driver_draw(driver, "main", 1000, false), URN_OK);
}

static void draw_to(struct driver *driver, uint64_t lsn)
{
    while (driver->engine->writer.end_lsn < lsn)
        assert_draw(driver);
}

static struct urn_engine_info info_of(struct driver *driver)
{
    struct urn_engine_info info;
    urn_engine_info(driver->engine, &info);
    return info;
}

static enum urn_code archive_failure(struct driver *driver)
{
    struct urn_error error;
    urn_engine_archive_failure(driver->engine, &error);
    return error.code;
}

static struct archive_list list_of(struct driver *driver)
{
    struct archive_list list;
    struct os_dir *dir;
    struct urn_error error;
    uint8_t ring[WAL_UUID_BYTES];
    assert_int_equal(archive_dir_open(sim_os(driver->world), "archive", &dir, ring, &error),
                     URN_OK);
    assert_int_equal(archive_dir_list(dir, &list, &error), URN_OK);
    os_dir_close(dir);
    return list;
}

static bool has_segment(struct driver *driver, uint64_t lsn)
{
    char path[128];
    (void)snprintf(path, sizeof path, "archive/segment-%016" PRIx64, lsn);
    return sim_file_exists(driver->world, path);
}

/* Every stretch below end_lsn is in the archive, or in a gap that it records. */
static void assert_archived_below(struct driver *driver, uint64_t end_lsn)
{
    struct archive_list list = list_of(driver);
    for (uint64_t lsn = 0; lsn < end_lsn; lsn += SEGMENT_BYTES) {
        bool found = has_segment(driver, lsn);
        for (uint32_t i = 0; i < list.gap_count; i++)
            found = found || (list.gaps[i].from_lsn <= lsn && lsn < list.gaps[i].to_lsn);
        assert_true(found);
    }
    archive_list_free(&list);
}

/* The archived file of a segment is valid by itself, and its index leads to its groups. */
static void assert_sound(struct driver *driver, uint64_t begin_lsn)
{
    char name[DATA_DIR_NAME_MAX];
    char path[128];
    uint64_t size_bytes = 0;
    archive_segment_name(name, begin_lsn);
    (void)snprintf(path, sizeof path, "archive/%s", name);
    assert_true(sim_file_size(driver->world, path, &size_bytes));
    uint8_t *memory = aligned_alloc(OS_PAGE_BYTES, archive_check_memory_bytes(SEGMENT_BYTES));
    assert_non_null(memory);
    struct archive_check check;
    archive_check_make(&check, &driver->engine->ring.geometry, memory);
    archive_check_begin(&check, begin_lsn, NULL, true, NULL);
    assert_true(sim_file_bytes(driver->world, path, 0, archive_check_piece(&check), SEGMENT_BYTES));
    assert_true(archive_check_take(&check, SEGMENT_BYTES));
    assert_true(archive_check_ended(&check));
    free(memory);

    struct os_dir *dir;
    struct os_file *file;
    struct log_index index;
    struct urn_error error;
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    assert_int_equal(os_file_open(dir, name, OS_READ, &file), 0);
    assert_int_equal(archive_index_read(file, name, SEGMENT_BYTES, &index, &error), URN_OK);
    os_file_close(file);
    os_dir_close(dir);
    assert_int_equal(index.sequence, begin_lsn / SEGMENT_BYTES);
    assert_int_equal(index.end_lsn, begin_lsn + SEGMENT_BYTES);
    assert_int_equal(index.entries[0].lsn, begin_lsn + WAL_SEGMENT_HEADER_BYTES);
    assert_int_equal(size_bytes, archive_segment_bytes(SEGMENT_BYTES, index.count));
    free(index.entries);
}

/* ---- names and texts ------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    char name[DATA_DIR_NAME_MAX];
    archive_segment_name(name, 0x1f4000);
    assert_string_equal(name, "segment-00000000001f4000");
    struct archive_name parsed = archive_name_parse(name);
    assert_int_equal(parsed.kind, ARCHIVE_NAME_SEGMENT);
    assert_int_equal(parsed.from_lsn, 0x1f4000);
    archive_gap_name(name, 0x10000, 0x30000);
    assert_string_equal(name, "gap-0000000000010000-0000000000030000");
    parsed = archive_name_parse(name);
    assert_int_equal(parsed.kind, ARCHIVE_NAME_GAP);
    assert_int_equal(parsed.from_lsn, 0x10000);
    assert_int_equal(parsed.to_lsn, 0x30000);
    parsed = archive_name_parse("snapshot-00000000000f4000-0001");
    assert_int_equal(parsed.kind, ARCHIVE_NAME_SNAPSHOT);
    assert_int_equal(parsed.from_lsn, 0xf4000);
    assert_int_equal(parsed.serial, 1);
    assert_int_equal(archive_name_parse("ARCHIVE").kind, ARCHIVE_NAME_IDENTITY);
    static const char *const temporary[] = {"ARCHIVE.tmp", "segment-00000000001f4000.tmp",
                                            "gap-0000000000010000-0000000000030000.tmp",
                                            "snapshot-00000000000f4000-0001.tmp"};
    for (size_t i = 0; i < sizeof temporary / sizeof temporary[0]; i++)
        assert_int_equal(archive_name_parse(temporary[i]).kind, ARCHIVE_NAME_TEMPORARY);
    static const char *const foreign[] = {"",
                                          ".tmp",
                                          "segment-0001",
                                          "segment-00000000001F4000",
                                          "segment-00000000001f40000",
                                          "segment-00000000001f400",
                                          "gap-0000000000010000",
                                          "gap-0000000000030000-0000000000010000",
                                          "gap-0000000000010000-0000000000030000x",
                                          "gap-0000000000010000_0000000000030000",
                                          "segment-ffffffffffffffff",
                                          "archive",
                                          "notes.txt",
                                          "notes.tmp"};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        assert_int_equal(archive_name_parse(foreign[i]).kind, ARCHIVE_NAME_FOREIGN);
}

static void test_texts(void **state)
{
    (void)state;
    static const uint8_t ring[WAL_UUID_BYTES] = {0x8f, 0x14, 0xe4, 0x5f, 0xce, 0xea, 0x46, 0x7f,
                                                 0x95, 0x75, 0x3a, 0x1c, 0x40, 0xb0, 0xd2, 0xa1};
    char text[ARCHIVE_NOTE_BYTES_MAX];
    struct urn_error error;
    uint8_t found[WAL_UUID_BYTES];
    size_t length = archive_identity_format(ring, text);
    assert_int_equal(archive_identity_parse(text, length, found, &error), URN_OK);
    assert_memory_equal(found, ring, sizeof ring);
    for (size_t i = 0; i < length; i++) {
        text[i] ^= 4;
        assert_int_not_equal(archive_identity_parse(text, length, found, &error), URN_OK);
        text[i] ^= 4;
    }

    struct archive_gap gap = {.from_lsn = 131072, .to_lsn = 196608, .reason = ARCHIVE_GAP_REUSED};
    struct archive_gap again;
    memcpy(gap.ring_uuid, ring, sizeof ring);
    length = archive_gap_format(&gap, text);
    static const char expected[] = "urn archive gap\nformat: 1\n"
                                   "ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1\n"
                                   "from: 131072\nto: 196608\nreason: reused\ncrc32c: ";
    assert_memory_equal(text, expected, sizeof expected - 1);
    assert_int_equal(archive_gap_parse(text, length, &again, &error), URN_OK);
    assert_memory_equal(&again, &gap, sizeof gap);

    struct archive_note note = {.policy = ARCHIVE_NOTE_GAP, .path = "/srv/archive/urn of ours"};
    struct archive_note note_again;
    memcpy(note.ring_uuid, ring, sizeof ring);
    length = archive_note_format(&note, text);
    assert_int_equal(archive_note_parse(text, length, &note_again, &error), URN_OK);
    assert_string_equal(note_again.path, note.path);
    assert_int_equal(note_again.policy, ARCHIVE_NOTE_GAP);
    assert_int_equal(archive_note_parse(text, length - 1, &note_again, &error), URN_DAMAGED);
}

/* ---- archiving ------------------------------------------------------------------------------- */

static void test_laps(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    const uint64_t end_lsn = 3 * SEGMENTS * SEGMENT_BYTES;
    draw_to(driver, end_lsn + SEGMENT_BYTES / 2);
    driver_run(driver);
    assert_int_equal(archive_failure(driver), URN_OK);
    const struct urn_engine_info info = info_of(driver);
    assert_true(info.archives);
    assert_int_equal(info.archived_lsn, end_lsn);
    assert_int_equal(info.archived_segments, end_lsn / SEGMENT_BYTES);
    assert_int_equal(info.archive_gaps, 0);
    for (uint64_t lsn = 0; lsn < end_lsn; lsn += SEGMENT_BYTES)
        assert_sound(driver, lsn);
    struct archive_list list = list_of(driver);
    assert_int_equal(list.segment_count, end_lsn / SEGMENT_BYTES);
    assert_true(list.snapshot_count > 3);
    assert_int_equal(list.snapshots[0].from_lsn, 0);
    for (uint32_t i = 1; i < list.snapshot_count; i++)
        assert_true(list.snapshots[i].from_lsn - list.snapshots[i - 1].from_lsn >=
                    driver->engine->writer.snapshots.every_bytes);
    archive_list_free(&list);
    assert_int_equal(driver_stop(driver), URN_OK);
    done(driver);
}

/* A clean stop, and a start that finds what is archived already: nothing twice, nothing left out. */
static void test_goes_on_after_a_start(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, 2 * SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(info_of(driver).archived_lsn, 2 * SEGMENT_BYTES);
    assert_int_equal(driver_stop(driver), URN_OK);
    driver_must_open(driver);
    draw_to(driver, 7 * SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(info_of(driver).archived_lsn, 7 * SEGMENT_BYTES);
    assert_int_equal(info_of(driver).archived_segments, 5);
    for (uint64_t lsn = 0; lsn < 7 * SEGMENT_BYTES; lsn += SEGMENT_BYTES)
        assert_sound(driver, lsn);
    done(driver);
}

/* A file that was lost while the ring still has its segment is made again. */
static void test_lost_file_is_archived_again(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, 3 * SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    assert_true(sim_lose_file(driver->world, "archive/segment-0000000000010000"));
    driver_must_open(driver);
    driver_run(driver);
    assert_sound(driver, SEGMENT_BYTES);
    done(driver);
}

/* ---- policies -------------------------------------------------------------------------------- */

/* Fills the log until a draw gets something else than OK. */
static enum urn_code fill(struct driver *driver)
{
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; code == URN_OK && i < 100000; i++)
        code = driver_draw(driver, "main", 1000, false);
    return code;
}

static void test_block_waits_for_the_archive(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    driver->holds_archive = true;
    assert_int_equal(fill(driver), URN_BUSY);
    assert_true(driver->engine->writer.end_lsn <= SEGMENTS * SEGMENT_BYTES);
    const uint64_t snapshots = info_of(driver).snapshots;
    for (uint32_t i = 0; i < 10; i++) { /* nor are snapshots written in vain */
        sim_advance(driver->world, SNAPSHOT_RETRY_NS);
        driver_run(driver);
    }
    assert_true(info_of(driver).snapshots <= snapshots + 2);
    driver->holds_archive = false;
    driver_run(driver); /* and it goes on by itself */
    draw_to(driver, 2 * SEGMENTS * SEGMENT_BYTES);
    driver_run(driver);
    assert_archived_below(driver, 2 * SEGMENTS * SEGMENT_BYTES);
    assert_int_equal(info_of(driver).archive_gaps, 0);
    done(driver);
}

static void test_gap_goes_on_without(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_GAP);
    driver->holds_archive = true;
    const uint64_t end_lsn = 3 * SEGMENTS * SEGMENT_BYTES;
    draw_to(driver, end_lsn);
    driver->holds_archive = false;
    driver_run(driver);
    const struct urn_engine_info info = info_of(driver);
    assert_int_equal(info.archive_gaps, 1);
    assert_true(info.archive_gap_bytes >= (2 * SEGMENTS - 1) * SEGMENT_BYTES);
    assert_archived_below(driver, end_lsn);
    struct archive_list list = list_of(driver);
    struct os_dir *dir;
    struct archive_gap gap;
    struct urn_error error;
    assert_int_equal(list.gap_count, 1);
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    assert_int_equal(archive_gap_read(dir, &list.gaps[0], &gap, &error), URN_OK);
    os_dir_close(dir);
    assert_int_equal(gap.from_lsn, 0);
    assert_int_equal(gap.reason, ARCHIVE_GAP_REUSED);
    archive_list_free(&list);
    draw_to(driver, end_lsn + 2 * SEGMENT_BYTES); /* and archiving goes on behind it */
    driver_run(driver);
    assert_int_equal(info_of(driver).archive_gaps, 1);
    assert_archived_below(driver, end_lsn + 2 * SEGMENT_BYTES);
    done(driver);
}

/* A segment that is overwritten amid its copy leaves a gap, and no file. */
static void test_overtaken_copy(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_GAP);
    driver->holds_archive = true;
    draw_to(driver, SEGMENT_BYTES + 1000);
    struct archive_task *task = &driver->engine->archive;
    while (!(task->step == ARCHIVE_STEP_COPY && !task->copies_snapshot)) {
        (void)archive_task_step(task);
        sim_advance(driver->world, 1000000);
    }
    assert_int_equal(task->begin_lsn, 0);
    draw_to(driver, (SEGMENTS + 1) * SEGMENT_BYTES);
    driver->holds_archive = false;
    driver_run(driver);
    assert_false(has_segment(driver, 0));
    assert_archived_below(driver, (SEGMENTS + 1) * SEGMENT_BYTES);
    assert_int_equal(archive_failure(driver), URN_OK);
    done(driver);
}

/* ---- failures -------------------------------------------------------------------------------- */

/* The nth call of each kind fails, for every n until none does: it is told, tried again, and in the end
 * everything is archived all the same. */
static void test_failing_calls(void **state)
{
    (void)state;
    static const enum sim_call calls[] = {
        SIM_DIR_OPEN,   SIM_DIR_SYNC,    SIM_DIR_LIST,       SIM_RENAME,        SIM_REMOVE,
        SIM_FILE_OPEN,  SIM_FILE_CREATE, SIM_FILE_SIZE,      SIM_FILE_ALLOCATE, SIM_FILE_READ,
        SIM_FILE_WRITE, SIM_FILE_SYNC,   SIM_FILE_DROP_CACHE};
    for (size_t call = 0; call < sizeof calls / sizeof calls[0]; call++) {
        bool fired = true;
        for (uint64_t nth = 1; fired; nth++) {
            struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
            driver->holds_archive = true;
            draw_to(driver, 2 * SEGMENT_BYTES + 1000);
            driver->holds_archive = false;
            sim_event_forget(driver->world);
            sim_fail_at(driver->world, calls[call], nth, 0);
            struct archive_task *task = &driver->engine->archive;
            while (archive_task_step(task) == ARCHIVE_WANTS_STEP ||
                   (task->step != ARCHIVE_STEP_FAILED && archive_task_has_work(task)))
                sim_advance(driver->world, 1000000);
            fired = sim_last_event(driver->world)->error != 0;
            sim_fail_at(driver->world, calls[call], UINT64_MAX, 0);
            if (task->step == ARCHIVE_STEP_FAILED)
                assert_int_not_equal(archive_failure(driver), URN_OK);
            if (sim_is_stopped(driver->world)) { /* a directory sync: the machine restarts */
                driver_crash(driver, SIM_CRASH_MACHINE);
                driver_must_open(driver);
            }
            sim_advance(driver->world, ARCHIVE_RETRY_NS);
            driver_run(driver);
            assert_int_equal(archive_failure(driver), URN_OK);
            assert_int_equal(info_of(driver).archived_lsn, 2 * SEGMENT_BYTES);
            assert_sound(driver, 0);
            assert_sound(driver, SEGMENT_BYTES);
            done(driver);
        }
    }
}

/* A crash of the machine or of the process in every call of archiving: the next start makes it whole. */
static void test_crash_in_every_call(void **state)
{
    (void)state;
    static const enum sim_crash kinds[] = {SIM_CRASH_PROCESS, SIM_CRASH_MACHINE};
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        for (uint64_t nth = 1;; nth++) {
            struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
            driver->holds_archive = true;
            draw_to(driver, 2 * SEGMENT_BYTES + 1000);
            driver->holds_archive = false;
            sim_crash_at(driver->world, nth, kinds[kind],
                         nth % 2 ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
            struct archive_task *task = &driver->engine->archive;
            while (sim_crashed(driver->world) == SIM_NO_CRASH &&
                   (archive_task_step(task) == ARCHIVE_WANTS_STEP || archive_task_has_work(task)))
                sim_advance(driver->world, 1000000);
            const bool crashed = sim_crashed(driver->world) != SIM_NO_CRASH;
            driver_crash(driver, kinds[kind]);
            driver_must_open(driver);
            assert_int_equal(archive_failure(driver), URN_OK);
            driver_run(driver);
            assert_int_equal(info_of(driver).archived_lsn, 2 * SEGMENT_BYTES);
            assert_sound(driver, 0);
            assert_sound(driver, SEGMENT_BYTES);
            assert_int_equal(info_of(driver).archive_gaps, 0);
            done(driver);
            if (!crashed)
                break;
        }
    }
}

/* The directory was made, and then a call failed before its name was durable: another opening, which finds it,
 * sees to that, for once the data directory tells of the archive it must not be gone. */
static void test_directory_that_was_made_and_not_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 64; seed++) {
        struct driver *driver = a_driver_of_seed(URN_ARCHIVE_BLOCK, seed);
        sim_fail_at(driver->world, SIM_DIR_OPEN, 1 + seed % 8, EIO);
        const bool opened = driver_open(driver) == URN_OK;
        sim_fail_at(driver->world, SIM_DIR_OPEN, UINT64_MAX, 0);
        if (!opened)
            driver_must_open(driver);
        sim_advance(driver->world, ARCHIVE_RETRY_NS);
        driver_run(driver);
        assert_int_equal(archive_failure(driver), URN_OK);
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_int_equal(archive_failure(driver), URN_OK);
        done(driver);
    }
}

/* A disk that says it has synced and has not is found out by the reading back. */
static void test_lying_disk(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    driver_run(driver); /* the first snapshot is archived */
    driver->holds_archive = true;
    draw_to(driver, SEGMENT_BYTES + 1000);
    struct archive_task *task = &driver->engine->archive;
    while (task->step != ARCHIVE_STEP_SYNC || task->copies_snapshot) {
        (void)archive_task_step(task);
        sim_advance(driver->world, 1000000);
    }
    sim_lie_at(driver->world, 1);
    while (task->step == ARCHIVE_STEP_SYNC || task->step == ARCHIVE_STEP_READ) {
        (void)archive_task_step(task);
        sim_advance(driver->world, 1000000);
    }
    assert_int_equal(task->step, ARCHIVE_STEP_FAILED);
    assert_int_equal(archive_failure(driver), URN_DAMAGED);
    assert_false(has_segment(driver, 0));
    driver->holds_archive = false;
    sim_advance(driver->world, ARCHIVE_RETRY_NS);
    driver_run(driver);
    assert_sound(driver, 0);
    done(driver);
}

/* The same of the small files: without ARCHIVE, or ARCHIVED-TO, none would ever be opened again, and policy block
 * would let the log run full. */
static void test_lying_disk_below_small_files(void **state)
{
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 0; seed < 32; seed++) {
        struct driver *driver = a_driver_of_seed(URN_ARCHIVE_BLOCK, seed);
        driver->config.archive = NULL;
        driver_must_open(driver);
        assert_int_equal(driver_stop(driver), URN_OK);
        driver->config.archive = "archive";
        sim_fail_at(driver->world, SIM_DIR_MAKE, 1, EIO);
        driver_must_open(driver);
        assert_int_equal(archive_failure(driver), URN_IO);
        sim_advance(driver->world, ARCHIVE_RETRY_NS);
        sim_lie_at(driver->world, 1 + seed % 2);
        struct archive_task *task = &driver->engine->archive;
        (void)archive_task_step(task);
        assert_int_equal(task->step, ARCHIVE_STEP_OPEN);
        (void)archive_task_step(task);
        if (task->step == ARCHIVE_STEP_FAILED) {
            assert_int_equal(archive_failure(driver), URN_DAMAGED);
            found++;
        }
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        driver_run(driver);
        assert_int_equal(archive_failure(driver), URN_OK);
        done(driver);
    }
    assert_in_range(found, 1, 31);
}

/* A gap counts once its record does. */
static void test_lying_disk_below_a_gap(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct driver *driver = a_driver_of_seed(URN_ARCHIVE_GAP, seed);
        driver_must_open(driver);
        draw_to(driver, 2 * SEGMENT_BYTES); /* so that the archive does not only begin behind it */
        driver_run(driver);
        driver->holds_archive = true;
        draw_to(driver, 3 * SEGMENTS * SEGMENT_BYTES);
        struct archive_task *task = &driver->engine->archive;
        while (task->step != ARCHIVE_STEP_GAP) {
            (void)archive_task_step(task);
            sim_advance(driver->world, 1000000);
        }
        sim_lie_at(driver->world, 1);
        (void)archive_task_step(task);
        driver->holds_archive = false;
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        driver_run(driver);
        struct archive_list list = list_of(driver);
        struct os_dir *dir;
        struct archive_gap gap;
        struct urn_error error;
        assert_true(list.gap_count > 0);
        assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
        for (uint32_t i = 0; i < list.gap_count; i++)
            assert_int_equal(archive_gap_read(dir, &list.gaps[i], &gap, &error), URN_OK);
        os_dir_close(dir);
        archive_list_free(&list);
        done(driver);
    }
}

/* The archive is hindered by damage, and says of what. */
static void assert_damage(struct driver *driver, const char *what)
{
    struct urn_error error;
    urn_engine_archive_failure(driver->engine, &error);
    assert_int_equal(error.code, URN_DAMAGED);
    assert_non_null(strstr(error.text, what));
}

/* Damage in the ring is not archived as if it were sound. */
static void test_damaged_segment_does_not_count(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    driver->holds_archive = true;
    draw_to(driver, SEGMENT_BYTES + 1000);
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", SEGMENT_BYTES / 2, 3));
    driver->holds_archive = false;
    driver_run(driver);
    assert_damage(driver, "segment-0000");
    assert_damage(driver, "urn-wal verify");
    assert_false(has_segment(driver, 0));
    assert_int_equal(info_of(driver).archived_lsn, 0);
    done(driver);
}

/* A snapshot that somebody removes is told of; the one before it, archived already, does not take its place. */
static void test_snapshot_that_has_gone(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    driver_run(driver);
    const uint64_t archived = info_of(driver).archived_snapshots;
    assert_true(archived > 0);
    driver->holds_archive = true;
    const uint64_t counted_lsn = info_of(driver).snapshot_lsn;
    while (info_of(driver).snapshot_lsn == counted_lsn)
        assert_draw(driver);
    char path[128];
    (void)snprintf(path, sizeof path, "data/snapshot-%016" PRIx64 "-0000",
                   info_of(driver).snapshot_lsn);
    assert_true(sim_lose_file(driver->world, path));
    driver->holds_archive = false;
    driver_run(driver);
    assert_damage(driver, "no longer in data");
    assert_int_equal(info_of(driver).archived_snapshots, archived);
    assert_int_equal(info_of(driver).archive_failures, 1);
    done(driver);
}

/* A record that was renamed, by hand, does not make a gap where there is none. */
static void test_gap_of_another_name(void **state)
{
    (void)state;
    static const char name[] = "gap-0000000000010000-0000000000030000";
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    struct archive_gap gap = {.from_lsn = 0x10000, .to_lsn = 0x20000, .reason = ARCHIVE_GAP_REUSED};
    char text[ARCHIVE_TEXT_BYTES_MAX];
    const size_t length = archive_gap_format(&gap, text);
    struct urn_error error;
    struct os_dir *dir;
    struct os_file *file;
    size_t written = 0;
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, text, length, 0, &written), 0);
    os_file_close(file);
    const struct archive_name parsed = archive_name_parse(name);
    assert_int_equal(archive_gap_read(dir, &parsed, &gap, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "it tells of another gap than its name"));
    os_dir_close(dir);
    done(driver);
}

/* ---- whose archive it is --------------------------------------------------------------------- */

static void test_archive_of_another_ring(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    assert_int_equal(driver_stop(driver), URN_OK);
    driver->config.data_dir = "other";
    assert_int_equal(driver_open(driver), URN_CONFIG);
    assert_non_null(strstr(driver->error.text, "belongs to ring"));
    assert_non_null(strstr(driver->error.text, "wal.archive"));
    driver->config.archive = "data"; /* a directory of something else */
    assert_int_equal(driver_open(driver), URN_CONFIG);
    assert_non_null(strstr(driver->error.text, "not empty"));
    driver->config.archive = "archive of other";
    driver_must_open(driver);
    done(driver);
}

/* Two servers on one data directory and on a copy of it are of one ring: the second is refused as long as the
 * first is there; so is a resize. */
static void test_archive_of_another_process(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    assert_int_equal(driver_stop(driver), URN_OK);
    struct os_dir *dir = NULL;
    struct os_file *lock = NULL;
    assert_int_equal(os_dir_open(sim_other_process(driver->world), "archive", &dir), 0);
    assert_int_equal(os_dir_lock(dir, ARCHIVE_LOCK, false, &lock), 0);
    assert_int_equal(driver_open(driver), URN_INUSE);
    assert_non_null(strstr(driver->error.text, "another process archives to archive"));
    os_file_close(lock);
    driver_must_open(driver);
    assert_int_equal(os_dir_lock(dir, ARCHIVE_LOCK, false, &lock), EWOULDBLOCK);
    os_dir_close(dir);
    done(driver);
}

/* In a directory that is none of ours nothing is left behind, a lock included. */
static void test_nothing_is_left_in_a_directory_of_others(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    assert_int_equal(driver_stop(driver), URN_OK);
    struct os_dir *dir = NULL;
    struct os_file *file = NULL;
    assert_int_equal(os_dir_make(sim_os(driver->world), "theirs"), 0);
    assert_int_equal(os_dir_open(sim_os(driver->world), "theirs", &dir), 0);
    assert_int_equal(os_file_open(dir, "letters", OS_CREATE, &file), 0);
    os_file_close(file);
    os_dir_close(dir);
    driver->config.archive = "theirs";
    assert_int_equal(driver_open(driver), URN_CONFIG);
    assert_int_equal(sim_list(driver->world, "theirs", NULL, NULL), 1);
    driver->config.archive = "archive";
    driver_must_open(driver);
    done(driver);
}

/* However many a series of crashes has left: they are removed, and nothing else is. */
static void test_leftovers_are_removed(void **state)
{
    (void)state;
    enum { LEFT = 40 };
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    const uint32_t files = sim_list(driver->world, "archive", NULL, NULL);
    struct os_dir *dir = NULL;
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    for (uint64_t i = 0; i < LEFT; i++) {
        char name[2 * DATA_DIR_NAME_MAX];
        struct os_file *file = NULL;
        if (i % 2 == 0)
            (void)snprintf(name, sizeof name, "segment-%016" PRIx64 ".tmp", i * SEGMENT_BYTES);
        else
            (void)snprintf(name, sizeof name, "gap-%016" PRIx64 "-%016" PRIx64 ".tmp", i, i + 1);
        assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
        os_file_close(file);
    }
    os_dir_close(dir);
    driver_must_open(driver);
    assert_int_equal(sim_list(driver->world, "archive", NULL, NULL), files);
    assert_int_equal(archive_failure(driver), URN_OK);
    assert_sound(driver, 0);
    done(driver);
}

/* An archive that keeps a call for long is told of, as long as it does. */
static void test_an_archive_that_does_not_answer_is_told(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    driver_run(driver);
    struct archive_task *task = &driver->engine->archive;
    assert_int_equal(archive_failure(driver), URN_OK);
    /* Amid a step, as the thread that looks on sees it. */
    atomic_store(&task->step_began_ns, os_monotonic_ns(driver->config.os));
    sim_advance(driver->world, ARCHIVE_SILENCE_NS - 1000000);
    assert_int_equal(archive_failure(driver), URN_OK);
    sim_advance(driver->world, 5000000000);
    struct urn_error error;
    urn_engine_archive_failure(driver->engine, &error);
    assert_int_equal(error.code, URN_IO);
    assert_non_null(strstr(error.text, "the archive archive does not answer, since 14 s"));
    atomic_store(&task->step_began_ns, 0);
    assert_int_equal(archive_failure(driver), URN_OK);
    done(driver);
}

/* A log that was cut, or put back from an older copy, does not go on in the archive of what came behind. */
static void test_archive_of_another_history(void **state)
{
    (void)state;
    static uint8_t bytes[SEGMENT_BYTES];
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    struct os_dir *dir;
    struct os_file *file;
    size_t written = 0;
    assert_true(
        sim_file_bytes(driver->world, "archive/segment-0000000000000000", 0, bytes, sizeof bytes));
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    assert_int_equal(os_file_open(dir, "segment-0000000000020000", OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, bytes, sizeof bytes, 0, &written), 0);
    os_file_close(file);
    os_dir_close(dir);
    assert_int_equal(driver_open(driver), URN_CONFIG);
    assert_non_null(strstr(driver->error.text, "beyond the end of the log"));
    assert_true(sim_lose_file(driver->world, "archive/segment-0000000000020000"));
    driver_must_open(driver);
    done(driver);
}

/* A snapshot is archived long before the segment that it lies in: it alone may tell of what was cut. */
static void test_archived_snapshot_of_another_history(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    struct os_dir *dir;
    struct os_file *file;
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    assert_int_equal(os_file_open(dir, "snapshot-0000000000030000-0000", OS_CREATE, &file), 0);
    os_file_close(file);
    assert_int_equal(os_file_open(dir, "segment-0000000000020000.tmp", OS_CREATE, &file), 0);
    os_file_close(file);
    os_dir_close(dir);
    assert_int_equal(driver_open(driver), URN_CONFIG);
    assert_non_null(strstr(driver->error.text, "reaches to LSN 196608, beyond the end of the log"));
    /* A refusal changes nothing, not even what nobody needs. */
    assert_true(sim_file_exists(driver->world, "archive/segment-0000000000020000.tmp"));
    assert_true(sim_lose_file(driver->world, "archive/snapshot-0000000000030000-0000"));
    driver_must_open(driver);
    assert_false(sim_file_exists(driver->world, "archive/segment-0000000000020000.tmp"));
    done(driver);
}

/* The volume is not mounted: nothing is begun anew; the server starts, says so, and finds it later. */
static void test_archive_that_has_gone(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    char identity[ARCHIVE_TEXT_BYTES_MAX];
    uint64_t length = 0;
    assert_true(sim_file_size(driver->world, "archive/ARCHIVE", &length));
    assert_true(sim_file_bytes(driver->world, "archive/ARCHIVE", 0, identity, length));
    struct archive_list list = list_of(driver);
    for (uint32_t i = 0; i < list.snapshot_count; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "archive/snapshot-%016" PRIx64 "-%04" PRIx32,
                       list.snapshots[i].from_lsn, list.snapshots[i].serial);
        assert_true(sim_lose_file(driver->world, path));
    }
    archive_list_free(&list);
    assert_true(sim_lose_file(driver->world, "archive/segment-0000000000000000"));
    assert_true(sim_lose_file(driver->world, "archive/ARCHIVE"));
    driver_must_open(driver);
    struct urn_error error;
    urn_engine_archive_failure(driver->engine, &error);
    assert_int_equal(error.code, URN_IO);
    assert_non_null(strstr(error.text, "mounted"));
    assert_draw(driver);
    assert_false(sim_file_exists(driver->world, "archive/ARCHIVE"));
    /* It comes back. */
    struct os_dir *dir;
    struct os_file *file;
    size_t written = 0;
    assert_int_equal(os_dir_open(sim_os(driver->world), "archive", &dir), 0);
    assert_int_equal(os_file_open(dir, "ARCHIVE", OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, identity, length, 0, &written), 0);
    os_file_close(file);
    os_dir_close(dir);
    sim_advance(driver->world, ARCHIVE_RETRY_NS);
    driver_run(driver);
    assert_int_equal(archive_failure(driver), URN_OK);
    assert_sound(driver, 0);
    done(driver);
}

/* Archiving that was off for longer than the ring holds leaves a gap that says so. */
static void test_off_and_on_again(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    assert_int_equal(driver_stop(driver), URN_OK);
    driver->config.archive = "";
    driver_must_open(driver);
    assert_false(info_of(driver).archives);
    draw_to(driver, 3 * SEGMENTS * SEGMENT_BYTES);
    assert_int_equal(driver_stop(driver), URN_OK);
    struct os_dir *dir;
    struct archive_note note;
    struct urn_error error;
    bool found = false;
    assert_int_equal(os_dir_open(sim_os(driver->world), "data", &dir), 0);
    assert_int_equal(archive_note_read(dir, &found, &note, &error), URN_OK);
    os_dir_close(dir);
    assert_true(found);
    assert_int_equal(note.policy, ARCHIVE_NOTE_OFF);
    driver->config.archive = "archive";
    driver_must_open(driver);
    draw_to(driver, 4 * SEGMENTS * SEGMENT_BYTES);
    driver_run(driver);
    assert_archived_below(driver, 4 * SEGMENTS * SEGMENT_BYTES);
    struct archive_list list = list_of(driver);
    assert_int_equal(list.gap_count, 1);
    assert_int_equal(list.gaps[0].from_lsn, SEGMENT_BYTES);
    archive_list_free(&list);
    done(driver);
}

/* ---- a full ring, and starts ------------------------------------------------------------------ */

/* A log that waits for its archive can be started again and again, until its reserve is used up; then the
 * refusal says why, and a start with the archive back archives first. */
static void test_starts_with_a_full_ring(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    driver->holds_archive = true;
    assert_int_equal(fill(driver), URN_BUSY);
    uint32_t starts = 0;
    enum urn_code code = URN_OK;
    for (; code == URN_OK && starts < 50; starts++) {
        driver_crash(driver, SIM_CRASH_PROCESS);
        sim_set_capacity(driver->world, sim_used_bytes(driver->world));
        code = driver_open(driver);
    }
    assert_true(starts > 1 && starts < 50);
    assert_int_equal(code, URN_IO);
    assert_non_null(strstr(driver->error.text, "wal.archive_policy: gap"));
    sim_set_capacity(driver->world, UINT64_MAX);
    driver_must_open(driver);
    driver->holds_archive = false;
    sim_advance(driver->world, SNAPSHOT_RETRY_NS);
    draw_to(driver, 2 * SEGMENTS * SEGMENT_BYTES);
    assert_int_equal(info_of(driver).archive_gaps, 0);
    done(driver);
}

static void test_archive_disk_full_and_freed(void **state)
{
    (void)state;
    struct driver *driver = an_open_driver(URN_ARCHIVE_BLOCK);
    draw_to(driver, SEGMENT_BYTES + 1000);
    driver_run(driver);
    sim_set_capacity(driver->world, sim_used_bytes(driver->world) + SEGMENT_BYTES / 2);
    assert_int_equal(fill(driver), URN_BUSY);
    struct urn_error error;
    urn_engine_archive_failure(driver->engine, &error);
    assert_int_equal(error.system_errno, ENOSPC);
    sim_set_capacity(driver->world, UINT64_MAX);
    for (uint32_t i = 0; i < 3; i++) {
        sim_advance(driver->world, SNAPSHOT_RETRY_NS);
        driver_run(driver);
    }
    assert_int_equal(archive_failure(driver), URN_OK);
    assert_draw(driver);
    driver_run(driver);
    assert_archived_below(driver, info_of(driver).archived_lsn);
    assert_true(info_of(driver).archived_lsn > SEGMENT_BYTES);
    done(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_laps),
        cmocka_unit_test(test_goes_on_after_a_start),
        cmocka_unit_test(test_lost_file_is_archived_again),
        cmocka_unit_test(test_block_waits_for_the_archive),
        cmocka_unit_test(test_gap_goes_on_without),
        cmocka_unit_test(test_overtaken_copy),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_crash_in_every_call),
        cmocka_unit_test(test_directory_that_was_made_and_not_synced),
        cmocka_unit_test(test_lying_disk),
        cmocka_unit_test(test_lying_disk_below_small_files),
        cmocka_unit_test(test_lying_disk_below_a_gap),
        cmocka_unit_test(test_damaged_segment_does_not_count),
        cmocka_unit_test(test_snapshot_that_has_gone),
        cmocka_unit_test(test_gap_of_another_name),
        cmocka_unit_test(test_archive_of_another_ring),
        cmocka_unit_test(test_archive_of_another_process),
        cmocka_unit_test(test_nothing_is_left_in_a_directory_of_others),
        cmocka_unit_test(test_leftovers_are_removed),
        cmocka_unit_test(test_an_archive_that_does_not_answer_is_told),
        cmocka_unit_test(test_archive_of_another_history),
        cmocka_unit_test(test_archived_snapshot_of_another_history),
        cmocka_unit_test(test_archive_that_has_gone),
        cmocka_unit_test(test_off_and_on_again),
        cmocka_unit_test(test_starts_with_a_full_ring),
        cmocka_unit_test(test_archive_disk_full_and_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
