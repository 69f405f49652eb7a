/* test_recovery.c: the recovery table walked exhaustively, and every case of it met at a real
 * start: the simulated disk is damaged so that exactly that case holds. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/crc32c.h"
#include "engine/data_dir.h"
#include "tests/lib/engine_driver.h"

/* ---- the table ----------------------------------------------------------------------------- */

static void test_exactly_one_row_matches_every_combination(void **unused)
{
    (void)unused;
    bool seen[RECOVERY_CASES_END] = {false};
    for (unsigned bits = 0; bits < 16; bits++) {
        for (int stop = 0; stop < RECOVERY_STOPS; stop++) {
            struct recovery_facts facts = {.snapshot_loaded = (bits & 1) != 0,
                                           .stop = (enum recovery_stop)stop,
                                           .unreadable_elsewhere = (bits & 2) != 0,
                                           .group_beyond = (bits & 4) != 0,
                                           .snapshot_beyond = (bits & 8) != 0};
            uint32_t matches;
            seen[recovery_decide(&facts, &matches)] = true;
            assert_int_equal(matches, 1);
        }
    }
    for (int which = 1; which < RECOVERY_CASES_END; which++)
        assert_true(seen[which]);
}

static void test_a_start_needs_a_snapshot_and_no_evidence(void **unused)
{
    (void)unused;
    for (unsigned bits = 0; bits < 16; bits++) {
        for (int stop = 0; stop < RECOVERY_STOPS; stop++) {
            struct recovery_facts facts = {.snapshot_loaded = (bits & 1) != 0,
                                           .stop = (enum recovery_stop)stop,
                                           .unreadable_elsewhere = (bits & 2) != 0,
                                           .group_beyond = (bits & 4) != 0,
                                           .snapshot_beyond = (bits & 8) != 0};
            bool sound = facts.snapshot_loaded && stop <= RECOVERY_STOP_STALE &&
                         !facts.unreadable_elsewhere && !facts.group_beyond &&
                         !facts.snapshot_beyond;
            assert_int_equal(recovery_case_starts(recovery_decide(&facts, NULL)), sound);
        }
    }
}

/* ---- the cases at a start ------------------------------------------------------------------ */

static struct driver *a_driver(void)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 7);
    driver_must_open(driver);
    driver->config.create = false;
    return driver;
}

static void done(struct driver *driver)
{
    driver_free(driver);
    free(driver);
}

/* Of everything but LOCK, which names the process that looks. */
static uint64_t hash_of_data(const struct sim_world *world)
{
    static const char *const paths[] = {"data/segment-0000", "data/segment-0001",
                                        "data/segment-0002", "data/IDENTITY",
                                        "data/snapshot-0000000000000000-0000"};
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        uint64_t size_bytes = 0;
        if (!sim_file_size(world, paths[i], &size_bytes))
            continue;
        for (uint64_t offset = 0; offset < size_bytes; offset++) {
            uint8_t byte = 0; /* what cannot be read counts as nothing */
            (void)sim_file_bytes(world, paths[i], offset, &byte, 1);
            hash = (hash ^ byte) * 1099511628211u;
        }
    }
    return hash;
}

/* What a reading of the directory comes to, with a helper or without. */
static enum urn_code read_with(struct driver *driver, struct helper *helper,
                               struct recovery *recovery, struct urn_error *error)
{
    const struct state_bounds bounds = {driver->config.max_pools, driver->config.max_items};
    struct data_dir data_dir;
    struct state state;
    assert_int_equal(data_dir_open_readonly(sim_os(driver->world), "data", &data_dir, error),
                     URN_OK);
    const enum urn_code code = recovery_read(&data_dir, &bounds, helper, &state, recovery, error);
    if (code == URN_OK)
        state_free(&state);
    data_dir_close(&data_dir);
    return code;
}

/* Two threads decide as one does, in the same words. */
static void assert_two_decide_as_one(struct driver *driver)
{
    struct recovery alone, helped;
    struct urn_error of_alone, of_helped;
    const enum urn_code code = read_with(driver, NULL, &alone, &of_alone);
    struct helper *helper = helper_make();
    assert_non_null(helper);
    for (int again = 0; again < 3; again++) {
        assert_int_equal(read_with(driver, helper, &helped, &of_helped), code);
        assert_int_equal(helped.which, alone.which);
        assert_int_equal(helped.replayed_groups, alone.replayed_groups);
        assert_int_equal(helped.durable_lsn, alone.durable_lsn);
        assert_int_equal(helped.discarded_groups, alone.discarded_groups);
        assert_int_equal(helped.epoch_max, alone.epoch_max);
        if (code != URN_OK)
            assert_string_equal(of_helped.text, of_alone.text);
    }
    helper_free(helper);
}

static void assert_refused(struct driver *driver, const char *words)
{
    uint64_t before = hash_of_data(driver->world);
    assert_int_equal(driver_open(driver), URN_DAMAGED);
    if (strstr(driver->error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", driver->error.text, words);
    assert_non_null(strstr(driver->error.text, "urn-wal verify data"));
    assert_two_decide_as_one(driver);
    assert_int_equal(hash_of_data(driver->world), before); /* a refusal changes nothing */
}

static void test_d1_no_snapshot(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_crash(driver, SIM_CRASH_PROCESS);
    assert_true(sim_flip_bit(driver->world, "data/snapshot-0000000000000000-0000", 100, 3));
    assert_refused(driver, "case D1");
    assert_true(sim_lose_file(driver->world, "data/snapshot-0000000000000000-0000"));
    assert_refused(driver, "there is no snapshot");
    done(driver);
}

static void test_d2_unreadable(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_set_unreadable(driver->world, "data/segment-0000", 4096));
    assert_refused(driver, "case D2");
    done(driver);
}

/* Writes a group behind the log's end that is valid by every byte and says what cannot be true. */
static void forge_group(struct driver *driver, uint32_t item_index)
{
    struct writer *writer = &driver->engine->writer;
    static uint8_t bytes[512];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_draws(&entries, 0, 1, 1, &item_index, 1);
    struct wal_group_header header = {
        .length_bytes = entries.used_bytes,
        .kind = WAL_DATA,
        .ring_short = wal_ring_short(driver->engine->ring.geometry.ring_uuid),
        .lsn = writer->end_lsn,
        .durable_lsn = writer->end_lsn,
        .epoch = (uint32_t)driver->report.epoch,
        .draws = 1,
        .engine_time_us = UINT64_C(1) << 50,
        .first_request_id = writer->state.next_request_id,
    };
    memcpy(header.chain_before, driver->engine->commit.tail.chain, WAL_CHAIN_BYTES);
    wal_group_seal(&header, bytes);
    assert_true(sim_overwrite(driver->world, "data/segment-0000", writer->end_lsn, bytes,
                              header.length_bytes));
}

static void test_d3_meaning(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    forge_group(driver, 2); /* mud: in stock, so this one is only a draw that nobody made */
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
    assert_int_equal(driver->report.replayed_draws, 1);
    forge_group(driver, 3); /* there is no fourth item */
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_refused(driver, "case D3");
    done(driver);
}

/* A group whose checksum is right and whose digest is not, met by a walk that checks digests behind it:
 * the start is that of a log that ends before the group. */
static void test_a_wrong_digest_ends_the_log(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    const uint64_t x = driver->engine->writer.end_lsn;
    for (int untrue = 0; untrue < 2; untrue++) { /* it may as well say what cannot be */
        forge_group(driver, untrue == 0 ? 2 : 3);
        uint8_t bytes[136];
        assert_true(sim_file_bytes(driver->world, "data/segment-0000", x, bytes, sizeof bytes));
        assert_int_equal(get_u32(bytes + 4), sizeof bytes);
        bytes[88] ^= 1;
        put_u32(bytes + 8, crc32c_extend(crc32c(bytes, 8), bytes + 12, sizeof bytes - 12));
        assert_true(sim_overwrite(driver->world, "data/segment-0000", x, bytes, sizeof bytes));

        driver_crash(driver, SIM_CRASH_MACHINE);
        const struct state_bounds bounds = {driver->config.max_pools, driver->config.max_items};
        for (int threaded = 0; threaded < 2; threaded++) {
            struct data_dir data_dir;
            struct state state;
            struct recovery recovery;
            assert_int_equal(
                data_dir_open_readonly(sim_os(driver->world), "data", &data_dir, &driver->error),
                URN_OK);
            struct helper *helper = threaded != 0 ? helper_make() : NULL;
            assert_int_equal(
                recovery_read(&data_dir, &bounds, helper, &state, &recovery, &driver->error),
                URN_OK);
            helper_free(helper);
            assert_int_equal(recovery.which, RECOVERY_STALE_TAIL);
            assert_int_equal(state.tail.lsn, x);
            assert_int_equal(recovery.replayed_draws, 10);
            state_check(&state);
            state_free(&state);
            data_dir_close(&data_dir);
        }
        driver_must_open(driver);
        assert_int_equal(driver->report.next_request_id, 11);
        driver_crash(driver, SIM_CRASH_MACHINE);
        done(driver);
        driver = a_driver();
        assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
        assert_int_equal(driver->engine->writer.end_lsn, x);
    }
    done(driver);
}

static void test_d4_unreadable_elsewhere(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_set_unreadable(driver->world, "data/segment-0002", 8192));
    assert_refused(driver, "case D4");
    assert_non_null(strstr(driver->error.text, "segment-0002"));
    done(driver);
}

static void test_d5_damage_below_a_carried_durable_lsn(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    driver_crash(driver, SIM_CRASH_MACHINE);
    /* The epoch group is the first; whatever bit of it flips, the draws behind it tell. */
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", 4096 + 120, 0));
    assert_refused(driver, "case D5");
    done(driver);
}

static void test_d5_the_mark_tells_of_the_last_group(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    uint64_t end_lsn = driver->engine->writer.end_lsn;
    driver_idle(driver);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", end_lsn - 1, 7));
    assert_refused(driver, "case D5");
    done(driver);
}

static void test_d5_a_damaged_segment_header(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", 20, 1));
    /* The header page is part of the log: the epoch group behind it carries its end as durable. */
    assert_refused(driver, "case D5");
    done(driver);
}

static void test_d6_a_snapshot_is_named_beyond(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_crash(driver, SIM_CRASH_MACHINE);
    struct os_dir *dir;
    struct os_file *file;
    struct urn_os *os = sim_os(driver->world);
    assert_int_equal(os_dir_open(os, "data", &dir), 0);
    assert_int_equal(os_file_open(dir, "snapshot-0000000000020000-0000", OS_CREATE, &file), 0);
    os_file_close(file);
    os_dir_close(dir);
    assert_refused(driver, "case D6");
    done(driver);
}

static void test_d7_clean_end(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_two_decide_as_one(driver);
    driver_must_open(driver);
    assert_int_equal(driver->report.recovery_case, RECOVERY_CLEAN_END);
    assert_int_equal(driver->report.replayed_draws, 10);
    assert_int_equal(driver->report.next_request_id, 11);
    done(driver);
}

static void test_d8_torn_tail(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 10, false), URN_OK);
    uint64_t end_lsn = driver->engine->writer.end_lsn;
    driver_crash(driver, SIM_CRASH_MACHINE);
    /* The last group is below no durable LSN that survives: its damage passes for a torn tail. */
    assert_true(sim_flip_bit(driver->world, "data/segment-0000", end_lsn - 1, 7));
    assert_two_decide_as_one(driver);
    driver_must_open(driver);
    assert_int_equal(driver->report.recovery_case, RECOVERY_TORN_TAIL);
    assert_true(driver->report.torn_tail);
    done(driver);
}

/* What stands behind the end of a log that has gone round is of the lap before, and no loss. */
static void test_remains_of_an_earlier_lap_are_no_torn_tail(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    const uint64_t ring_bytes =
        driver->config.segments * (uint64_t)driver->config.segment_size_bytes;
    while (driver->engine->writer.end_lsn < 2 * ring_bytes)
        assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
    bool was_met = false; /* an end where no whole group of the lap before begins */
    for (int start = 0; start < 10; start++) {
        driver_crash(driver, start % 2 == 0 ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS);
        driver_must_open(driver);
        assert_false(driver->report.torn_tail);
        was_met |= driver->report.recovery_case == RECOVERY_TORN_TAIL;
        assert_int_equal(driver_draw(driver, "main", 3, false), URN_OK);
    }
    assert_true(was_met);
    done(driver);
}

static void test_every_start_raises_the_epoch(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint64_t epoch = driver->report.epoch;
    assert_int_equal(epoch, 1);
    for (int start = 0; start < 5; start++) {
        driver_crash(driver, start % 2 == 0 ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS);
        driver_must_open(driver);
        assert_int_equal(driver->report.epoch, ++epoch);
    }
    done(driver);
}

/* What a failed sync left in the cache only must be on the disk before it is built upon. */
static void test_the_tail_is_made_durable_again(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct driver *driver = malloc(sizeof *driver);
        assert_non_null(driver);
        driver_init(driver, seed);
        driver_must_open(driver);
        sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, EIO);
        assert_int_equal(driver_draw(driver, "main", 10, false), URN_INDOUBT);
        driver_crash(driver, SIM_CRASH_PROCESS);
        driver_must_open(driver);
        uint64_t next_request_id = driver->report.next_request_id;
        assert_int_equal(next_request_id,
                         11); /* the cache still had it, so it counts from now on */
        driver_crash(driver, SIM_CRASH_MACHINE);
        driver_must_open(driver);
        assert_int_equal(driver->report.next_request_id, next_request_id);
        done(driver);
    }
}

/* ---- hostile files ------------------------------------------------------------------------- */

/* Rewrites the header page of segment 0 with something else in it, all sums right. */
static void forge_segment_header(struct driver *driver, uint32_t version, uint32_t epoch)
{
    const struct wal_geometry *geometry = &driver->engine->ring.geometry;
    struct wal_segment_header header = {.version = version,
                                        .segment_size_bytes = geometry->segment_size_bytes,
                                        .segments = geometry->segments,
                                        .epoch = epoch};
    memcpy(header.ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES);
    static uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    wal_segment_header_write(&header, page);
    assert_true(sim_overwrite(driver->world, "data/segment-0000", 0, page, sizeof page));
}

static void test_a_segment_of_another_version_is_not_a_torn_tail(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    forge_segment_header(driver, WAL_FORMAT_VERSION + 1, 1);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_int_equal(driver_open(driver), URN_FORMAT);
    assert_non_null(strstr(driver->error.text, "case D3"));
    done(driver);
}

/* The epoch after the last there is would be 0, and the start after this one would refuse it. */
static void test_an_epoch_that_cannot_rise_is_refused(void **unused)
{
    (void)unused;
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 7);
    driver_must_open(driver);
    forge_segment_header(driver, WAL_FORMAT_VERSION, UINT32_MAX);
    static const uint8_t zeroes[8192];
    assert_true(sim_overwrite(driver->world, "data/segment-0000", 4096, zeroes, sizeof zeroes));
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_int_equal(driver_open(driver), URN_DAMAGED);
    assert_non_null(strstr(driver->error.text, "the epoch"));
    done(driver);
}

/* A whole group of ours that leaves less than a header before the segment's end. */
static void test_a_group_that_no_pad_can_follow_is_refused(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct writer *writer = &driver->engine->writer;
    static uint8_t bytes[SEGMENT_SIZE_BYTES_MIN];
    struct wal_group_header header = {
        .length_bytes = (uint32_t)(SEGMENT_SIZE_BYTES_MIN - 8 - writer->end_lsn),
        .kind = WAL_PAD,
        .ring_short = wal_ring_short(driver->engine->ring.geometry.ring_uuid),
        .lsn = writer->end_lsn,
        .durable_lsn = writer->end_lsn,
        .epoch = 1,
        .engine_time_us = UINT64_C(1) << 50,
        .first_request_id = 1,
    };
    memcpy(header.chain_before, driver->engine->commit.tail.chain, WAL_CHAIN_BYTES);
    wal_group_seal(&header, bytes);
    assert_true(sim_overwrite(driver->world, "data/segment-0000", writer->end_lsn, bytes,
                              header.length_bytes));
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_refused(driver, "case D3");
    done(driver);
}

/* ---- the full ring ------------------------------------------------------------------------- */

/* With the disk full no snapshot makes room while the engine runs. */
static void fill_disk(struct driver *driver)
{
    sim_set_capacity(driver->world, sim_used_bytes(driver->world));
}

static void free_disk(struct driver *driver)
{
    sim_set_capacity(driver->world, UINT64_MAX);
}

static void test_a_full_ring_starts_again_any_number_of_times(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint64_t draws = 0;
    for (int start = 0; start < 100; start++) {
        enum urn_code code;
        fill_disk(driver);
        while ((code = driver_draw(driver, "main", DRIVER_BATCH_MAX, false)) == URN_OK)
            draws += DRIVER_BATCH_MAX;
        assert_int_equal(code, URN_BUSY);
        free_disk(driver);
        driver_crash(driver, start % 3 == 0 ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS);
        driver_must_open(driver);
        assert_int_equal(driver->report.next_request_id, draws + 1);
    }
    assert_true(driver->engine->writer.end_lsn >
                50 * wal_ring_bytes(&driver->engine->ring.geometry));
    done(driver);
}

struct snapshots {
    uint32_t count;
    char newest[DATA_DIR_NAME_MAX + 8];
    char second[DATA_DIR_NAME_MAX + 8];
};

static void count_snapshot(void *context, const char *name)
{
    struct snapshots *found = context;
    uint64_t lsn;
    uint32_t serial;
    if (!data_dir_parse_snapshot_name(name, &lsn, &serial))
        return;
    found->count++;
    char path[DATA_DIR_NAME_MAX + 8];
    snprintf(path, sizeof path, "data/%.60s", name);
    if (strcmp(path, found->newest) > 0) { /* names sort as their LSNs do */
        memcpy(found->second, found->newest, sizeof path);
        memcpy(found->newest, path, sizeof path);
    } else if (strcmp(path, found->second) > 0) {
        memcpy(found->second, path, sizeof path);
    }
}

static struct snapshots snapshots_of(const struct driver *driver)
{
    struct snapshots found = {0};
    (void)sim_list(driver->world, "data", count_snapshot, &found);
    return found;
}

static void fill_ring(struct driver *driver)
{
    fill_disk(driver);
    while (driver_draw(driver, "main", DRIVER_BATCH_MAX, false) == URN_OK)
        ;
    while (driver_draw(driver, "main", 1, false) == URN_OK)
        ;
    free_disk(driver);
}

/* A ring goes on only behind two snapshots that both verify: damage to either is survived. */
static void test_one_good_snapshot_frees_nothing(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    fill_ring(driver);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver); /* two snapshots at one LSN free the ring */
    struct snapshots before = snapshots_of(driver);
    assert_int_equal(before.count, 2);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, before.newest, 5000, 1));
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshots_refused, 1);
    fill_ring(driver);
    struct snapshots after = snapshots_of(driver);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, after.second, 5000, 1));
    driver_must_open(driver);
    done(driver);
}

/* The newest of two is damaged, and the ring is full: the start writes one at the head and, behind it, removes
 * the damaged one and not the one that it has loaded, which is all there is when the second of the two that
 * would make room cannot be written, and the first is damaged next. */
static void test_a_start_that_makes_room_keeps_what_it_has_loaded(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    fill_ring(driver);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver); /* two snapshots at one LSN free the ring */
    fill_ring(driver);
    const uint64_t next_request_id = driver->engine->writer.state.next_request_id;
    const struct snapshots before = snapshots_of(driver);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, before.newest, 5000, 1));
    sim_fail_at(driver->world, SIM_FILE_CREATE, 2, ENOSPC);
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshots_refused, 1);
    assert_int_equal(driver->report.room_error.code, URN_IO);
    const struct snapshots after = snapshots_of(driver);
    assert_int_equal(after.count, 2);
    assert_string_equal(after.second, before.second);
    driver_crash(driver, SIM_CRASH_MACHINE);
    assert_true(sim_flip_bit(driver->world, after.newest, 5000, 1));
    driver_must_open(driver);
    assert_int_equal(driver->report.next_request_id, next_request_id);
    done(driver);
}

static void test_snapshots_do_not_pile_up(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    for (int start = 0; start < 6; start++) {
        fill_ring(driver);
        /* The first of the two is written, the second fails. */
        uint64_t room_bytes = start % 2 == 0 ? 3 * 65536 : UINT64_MAX / 2;
        sim_set_capacity(driver->world, sim_used_bytes(driver->world) + room_bytes);
        driver_crash(driver, SIM_CRASH_PROCESS);
        driver_must_open(driver);
        assert_true(snapshots_of(driver).count <= 2);
        sim_set_capacity(driver->world, UINT64_MAX);
    }
    done(driver);
}

static void draw_some(struct driver *driver, uint64_t *draws)
{
    assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
    *draws += DRIVER_BATCH_MAX;
}

#define SNAPSHOT_BYTES (SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES) /* of the driver's pool */

/* The disk needs room for three snapshots, at a start as well: two are there, and then one more. */
static void test_a_full_ring_starts_with_room_for_one_more_snapshot(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint64_t draws = 0;
    while (driver->engine->writer.end_lsn < 2 * wal_ring_bytes(&driver->engine->ring.geometry))
        draw_some(driver, &draws);
    fill_ring(driver);
    assert_int_equal(snapshots_of(driver).count, 2);
    driver_crash(driver, SIM_CRASH_PROCESS);
    sim_set_capacity(driver->world, sim_used_bytes(driver->world) + SNAPSHOT_BYTES);
    driver_must_open(driver);
    assert_int_equal(driver->report.room_error.code, URN_OK);
    assert_int_equal(snapshots_of(driver).count, 2);
    assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
    done(driver);
}

static void test_a_second_snapshot_that_does_not_verify_is_told(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint64_t draws = 0;
    while (driver->engine->writer.end_lsn < 2 * wal_ring_bytes(&driver->engine->ring.geometry))
        draw_some(driver, &draws);
    driver_crash(driver, SIM_CRASH_PROCESS);
    assert_true(sim_flip_bit(driver->world, snapshots_of(driver).second, 5000, 1));
    driver_must_open(driver);
    assert_int_equal(driver->report.snapshots_refused, 0);
    assert_int_equal(driver->report.room_error.code, URN_DAMAGED);
    assert_non_null(strstr(driver->report.room_error.text, "the second newest snapshot"));
    assert_int_equal(driver->report.next_request_id, draws + 1);
    while (driver->engine->writer.end_lsn < 4 * wal_ring_bytes(&driver->engine->ring.geometry))
        draw_some(driver, &draws);
    done(driver);
}

/* What cannot be removed is told, and keeps nobody from starting. */
static void test_a_start_goes_on_when_an_old_snapshot_cannot_be_removed(void **unused)
{
    (void)unused;
    static const enum sim_call calls[] = {SIM_REMOVE, SIM_DIR_LIST};
    for (size_t i = 0; i < 2; i++) {
        struct driver *driver = a_driver();
        bool fired = false;
        for (uint32_t nth = 1; !fired; nth++) {
            fill_ring(driver);
            driver_crash(driver, SIM_CRASH_PROCESS);
            sim_event_forget(driver->world);
            sim_fail_at(driver->world, calls[i], nth, EIO);
            if (driver_open(driver) != URN_OK) { /* it was another one's */
                sim_fail_at(driver->world, calls[i], UINT64_MAX, EIO);
                driver_must_open(driver);
                continue;
            }
            fired = strstr(driver->report.room_error.text, "old snapshot") != NULL;
            struct urn_engine_info info;
            urn_engine_info(driver->engine, &info);
            assert_true(!fired || info.room_bytes > info.ring_bytes / 2);
            assert_true(nth < 20);
        }
        done(driver);
    }
}

struct kept_file {
    char name[DATA_DIR_NAME_MAX];
    uint8_t bytes[SNAPSHOT_BYTES];
};

static void keep_newest(struct driver *driver, struct kept_file *kept)
{
    struct snapshots there = snapshots_of(driver);
    assert_true(sim_file_bytes(driver->world, there.newest, 0, kept->bytes, sizeof kept->bytes));
    memcpy(kept->name, there.newest + strlen("data/"), sizeof kept->name);
}

/* As if its removal had never reached the disk. */
static void bring_back(struct driver *driver, const struct kept_file *kept)
{
    struct os_dir *dir;
    struct os_file *file;
    size_t wrote;
    assert_int_equal(os_dir_open(sim_os(driver->world), "data", &dir), 0);
    assert_int_equal(os_file_open(dir, kept->name, OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, kept->bytes, sizeof kept->bytes, 0, &wrote), 0);
    assert_int_equal(wrote, sizeof kept->bytes);
    assert_int_equal(os_file_sync(file), 0);
    assert_int_equal(os_dir_sync(dir), 0);
    os_file_close(file);
    os_dir_close(dir);
}

/* A snapshot, so many groups, two more snapshots, and a power loss that brings the first one back; so many
 * of the newer two are damaged. Whether that starts; if so, with the whole state. */
static bool starts_with_an_old_snapshot(uint32_t groups, uint32_t damaged)
{
    struct driver *driver = a_driver();
    struct kept_file kept;
    uint64_t draws = 0;
    for (uint32_t i = 0; i < 10 + groups % 7 * 5; i++)
        draw_some(driver, &draws);
    assert_int_equal(driver_snapshot(driver), URN_OK);
    keep_newest(driver, &kept);
    for (uint32_t i = 0; i < groups; i++)
        draw_some(driver, &draws);
    for (uint32_t i = 0; i < 2; i++) {
        draw_some(driver, &draws);
        assert_int_equal(driver_snapshot(driver), URN_OK);
    }
    driver_crash(driver, SIM_CRASH_MACHINE);
    struct snapshots newer = snapshots_of(driver);
    assert_int_equal(newer.count, 2);
    bring_back(driver, &kept);
    if (damaged >= 1)
        assert_true(sim_flip_bit(driver->world, newer.newest, 5000, 1));
    if (damaged >= 2)
        assert_true(sim_flip_bit(driver->world, newer.second, 5000, 1));
    bool started = driver_open(driver) == URN_OK;
    if (started) {
        assert_int_equal(driver->report.next_request_id, draws + 1);
    } else {
        assert_int_equal(driver->error.code, URN_DAMAGED);
        assert_non_null(strstr(driver->error.text, "case D"));
    }
    done(driver);
    return started;
}

/* The removal of an old snapshot may not have reached the disk when its log is overwritten, a little or all
 * of it. It is never begun with but where that gives the whole state, whatever has become of the newer. */
static void test_an_old_snapshot_that_comes_back_does_no_harm(void **unused)
{
    (void)unused;
    uint32_t starts = 0;
    uint32_t refusals = 0;
    for (uint32_t groups = 0; groups < 250; groups += 6) {
        assert_true(starts_with_an_old_snapshot(groups, 0));
        assert_true(starts_with_an_old_snapshot(groups, 1));
        bool started = starts_with_an_old_snapshot(groups, 2);
        starts += started;
        refusals += !started;
    }
    assert_true(starts > 5 && refusals > 5);
}

static void test_a_full_ring_on_a_full_disk_still_starts(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    fill_ring(driver);
    sim_set_capacity(driver->world, sim_used_bytes(driver->world));
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver);
    assert_int_equal(driver->report.room_error.code, URN_IO);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_BUSY);
    assert_int_equal(driver_state(driver, "main"), URN_OK);
    sim_set_capacity(driver->world, UINT64_MAX);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver);
    assert_int_equal(driver->report.room_error.code, URN_OK);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    done(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exactly_one_row_matches_every_combination),
        cmocka_unit_test(test_a_start_needs_a_snapshot_and_no_evidence),
        cmocka_unit_test(test_d1_no_snapshot),
        cmocka_unit_test(test_d2_unreadable),
        cmocka_unit_test(test_d3_meaning),
        cmocka_unit_test(test_a_wrong_digest_ends_the_log),
        cmocka_unit_test(test_d4_unreadable_elsewhere),
        cmocka_unit_test(test_d5_damage_below_a_carried_durable_lsn),
        cmocka_unit_test(test_d5_the_mark_tells_of_the_last_group),
        cmocka_unit_test(test_d5_a_damaged_segment_header),
        cmocka_unit_test(test_d6_a_snapshot_is_named_beyond),
        cmocka_unit_test(test_d7_clean_end),
        cmocka_unit_test(test_d8_torn_tail),
        cmocka_unit_test(test_remains_of_an_earlier_lap_are_no_torn_tail),
        cmocka_unit_test(test_every_start_raises_the_epoch),
        cmocka_unit_test(test_the_tail_is_made_durable_again),
        cmocka_unit_test(test_a_segment_of_another_version_is_not_a_torn_tail),
        cmocka_unit_test(test_an_epoch_that_cannot_rise_is_refused),
        cmocka_unit_test(test_a_group_that_no_pad_can_follow_is_refused),
        cmocka_unit_test(test_one_good_snapshot_frees_nothing),
        cmocka_unit_test(test_a_start_that_makes_room_keeps_what_it_has_loaded),
        cmocka_unit_test(test_snapshots_do_not_pile_up),
        cmocka_unit_test(test_a_full_ring_starts_again_any_number_of_times),
        cmocka_unit_test(test_a_full_ring_on_a_full_disk_still_starts),
        cmocka_unit_test(test_a_full_ring_starts_with_room_for_one_more_snapshot),
        cmocka_unit_test(test_a_second_snapshot_that_does_not_verify_is_told),
        cmocka_unit_test(test_a_start_goes_on_when_an_old_snapshot_cannot_be_removed),
        cmocka_unit_test(test_an_old_snapshot_that_comes_back_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
