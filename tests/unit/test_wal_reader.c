/* test_wal_reader.c: the walk along logs that are sound, end, are damaged or cannot be read; and
 * the search for evidence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "engine/crc32c.h"
#include "engine/limits.h"
#include "engine/wal_reader.h"
#include "tests/lib/log_maker.h"

#define SEGMENT  65536ull
#define SEGMENTS 3u

static int set_up(void **state)
{
    struct log_maker *maker = malloc(sizeof *maker);
    assert_non_null(maker);
    log_maker_begin(maker, SEGMENT, SEGMENTS);
    *state = maker;
    return 0;
}

/* Every test leaves no handle open. */
static int tear_down(void **state)
{
    struct log_maker *maker = *state;
    assert_int_equal(sim_open_handles(maker->world), 1); /* the directory */
    log_maker_end(maker);
    free(maker);
    return 0;
}

/* What a walk came to. */
struct walked {
    uint32_t groups;
    uint64_t draws;
    uint64_t last_lsn; /* of the last group */
    struct wal_tail tail;
    uint64_t durable_lsn;
    enum wal_step end;
    enum wal_read_result why;
    struct urn_error error;
};

/* How a walk goes about digests. */
enum digests { DIGESTS_AT_ONCE, DIGESTS_BEHIND, DIGESTS_BY_HELPER, DIGESTS_WAYS };

static struct walked walk_somehow(const struct log_maker *maker, struct wal_tail tail,
                                  enum digests digests, bool *holds)
{
    struct walked walked = {0};
    struct wal_reader *reader = NULL;
    assert_int_equal(wal_reader_open(&maker->data_dir, &tail, &reader, &walked.error), URN_OK);
    struct helper *helper = digests == DIGESTS_BY_HELPER ? helper_make() : NULL;
    if (digests != DIGESTS_AT_ONCE)
        wal_reader_defer_digests(reader, helper);
    struct wal_group_header header;
    const uint8_t *group = NULL;
    while ((walked.end = wal_reader_next(reader, &header, &group, &walked.error)) ==
           WAL_STEP_GROUP) {
        assert_int_equal(get_u32(group), WAL_GROUP_MAGIC);
        assert_int_equal(get_u32(group + 4), header.length_bytes);
        walked.groups++;
        walked.draws += header.draws;
        walked.last_lsn = header.lsn;
    }
    walked.tail = *wal_reader_tail(reader);
    walked.durable_lsn = wal_reader_durable_lsn(reader);
    walked.why = wal_reader_why(reader);
    *holds = digests == DIGESTS_AT_ONCE || wal_reader_settle(reader);
    wal_reader_close(reader);
    helper_free(helper);
    return walked;
}

/* The walk that checks everything at once; where no digest is wrong, the others see the same. */
static struct walked walk_from(const struct log_maker *maker, struct wal_tail tail)
{
    bool holds;
    const struct walked walked = walk_somehow(maker, tail, DIGESTS_AT_ONCE, &holds);
    for (enum digests way = DIGESTS_BEHIND; way < DIGESTS_WAYS; way++) {
        const struct walked other = walk_somehow(maker, tail, way, &holds);
        assert_true(holds);
        assert_int_equal(other.groups, walked.groups);
        assert_int_equal(other.draws, walked.draws);
        assert_int_equal(other.last_lsn, walked.last_lsn);
        assert_int_equal(other.tail.lsn, walked.tail.lsn);
        assert_int_equal(other.tail.epoch, walked.tail.epoch);
        assert_memory_equal(other.tail.chain, walked.tail.chain, WAL_CHAIN_BYTES);
        assert_int_equal(other.durable_lsn, walked.durable_lsn);
        assert_int_equal(other.end, walked.end);
        assert_int_equal(other.why, walked.why);
        assert_string_equal(other.error.text, walked.error.text);
    }
    return walked;
}

static struct walked walk(const struct log_maker *maker)
{
    return walk_from(maker, (struct wal_tail){0});
}

static void assert_ends_at(const struct walked *walked, enum wal_step end, uint64_t lsn)
{
    assert_int_equal(walked->end, end);
    assert_int_equal(walked->tail.lsn, lsn);
}

static void assert_invalid_at(const struct walked *walked, uint64_t lsn, enum wal_read_result why)
{
    assert_ends_at(walked, WAL_STEP_INVALID, lsn);
    assert_int_equal(walked->why, why);
}

/* Passing over what a walk knows: of what lies beyond x it must say the same. */
static void assert_same_beyond(const struct log_maker *maker, uint64_t known_lsn, uint64_t x,
                               const struct wal_evidence *evidence)
{
    struct wal_evidence other;
    struct urn_error error;
    assert_int_equal(wal_search_evidence_but(&maker->data_dir, known_lsn, x, NULL, &other, &error),
                     URN_OK);
    assert_int_equal(other.groups_beyond, evidence->groups_beyond);
    assert_int_equal(other.groups_beyond_epoch_max, evidence->groups_beyond_epoch_max);
    assert_int_equal(other.torn_at_x, evidence->torn_at_x);
    assert_int_equal(other.nonzero_beyond, evidence->nonzero_beyond);
    assert_true(other.durable_lsn_max <= evidence->durable_lsn_max);
    if (evidence->durable_witness_lsn >= x)
        assert_int_equal(other.durable_lsn_max, evidence->durable_lsn_max);
}

static void assert_same_evidence(const struct wal_evidence *other,
                                 const struct wal_evidence *evidence)
{
    assert_int_equal(other->durable_lsn_max, evidence->durable_lsn_max);
    assert_int_equal(other->durable_witness_lsn, evidence->durable_witness_lsn);
    assert_int_equal(other->groups_beyond, evidence->groups_beyond);
    assert_int_equal(other->groups_beyond_epoch_max, evidence->groups_beyond_epoch_max);
    assert_int_equal(other->epoch_max, evidence->epoch_max);
    assert_int_equal(other->unreadable, evidence->unreadable);
    assert_string_equal(other->unreadable_file, evidence->unreadable_file);
    assert_int_equal(other->unreadable_offset, evidence->unreadable_offset);
}

/* A search that has begun before x is known says the same, whether the helper is through by then or not. */
static void assert_same_ahead(const struct log_maker *maker, struct helper *helper,
                              uint64_t from_lsn, uint64_t x, const struct wal_evidence *evidence)
{
    for (int waits = 0; waits < 2; waits++) {
        struct wal_search *search;
        struct wal_evidence other;
        struct urn_error error;
        assert_int_equal(wal_search_begin(&maker->data_dir, from_lsn, helper, &search, &error),
                         URN_OK);
        if (waits)
            helper_wait(helper);
        assert_int_equal(wal_search_end(search, x, &other, &error), URN_OK);
        assert_same_evidence(&other, evidence);
        wal_search_free(search);
        assert_int_equal(wal_search_begin(&maker->data_dir, from_lsn, helper, &search, &error),
                         URN_OK);
        wal_search_free(search); /* it may be given up at any time */
    }
}

/* Alone, with a helper, and begun ahead: all must come to the same. */
static struct wal_evidence search_every_way(const struct log_maker *maker, uint64_t x)
{
    struct wal_evidence evidence, other;
    struct urn_error error;
    assert_int_equal(wal_search_evidence(&maker->data_dir, x, NULL, &evidence, &error), URN_OK);
    struct helper *helper = helper_make();
    assert_int_equal(wal_search_evidence(&maker->data_dir, x, helper, &other, &error), URN_OK);
    assert_same_evidence(&other, &evidence);
    assert_int_equal(other.torn_at_x, evidence.torn_at_x);
    assert_int_equal(other.nonzero_beyond, evidence.nonzero_beyond);
    const uint64_t froms[] = {0, x / 2, x, x + 8, x + SEGMENT};
    for (size_t i = 0; i < sizeof froms / sizeof froms[0]; i++) {
        assert_same_ahead(maker, helper, froms[i], x, &evidence);
        assert_same_ahead(maker, NULL, froms[i], x, &evidence);
    }
    helper_free(helper);
    return evidence;
}

/* And passing over a part of what is known, in a log that has been walked to x. */
static struct wal_evidence search(const struct log_maker *maker, uint64_t x)
{
    const struct wal_evidence evidence = search_every_way(maker, x);
    const uint64_t ring_bytes =
        (uint64_t)maker->data_dir.geometry.segments * maker->data_dir.geometry.segment_size_bytes;
    const uint64_t backs[] = {8, 4096, ring_bytes - 8, ring_bytes};
    for (size_t i = 0; i < sizeof backs / sizeof backs[0]; i++)
        assert_same_beyond(maker, x - (backs[i] < x ? backs[i] : x), x, &evidence);
    return evidence;
}

/* ---- the walk: sound logs -------------------------------------------------------------------- */

static void test_an_empty_ring_ends_at_its_beginning(void **state)
{
    struct walked walked = walk(*state);
    assert_int_equal(walked.groups, 0);
    assert_invalid_at(&walked, 0, WAL_READ_ZERO);
}

static void test_a_walk_over_all_kinds_and_segments(void **state)
{
    struct log_maker *maker = *state;
    uint32_t groups = 0;
    uint64_t draws = 0;
    (void)log_maker_epoch(maker);
    groups++;
    while (maker->tail.lsn < 2 * SEGMENT + SEGMENT / 2) {
        maker->durable_lsn = maker->tail.lsn;
        (void)log_maker_draws(maker, 1 + (uint32_t)(maker->tail.lsn % 3000));
        groups++;
        if (groups % 7 == 0) {
            (void)log_maker_mark(maker);
            groups++;
        }
    }
    draws = maker->first_request_id - 1;
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_ZERO);
    assert_true(walked.groups > groups); /* pads besides */
    assert_int_equal(walked.draws, draws);
    assert_int_equal(walked.tail.epoch, 1);
    assert_int_equal(walked.durable_lsn, maker->durable_lsn);
    assert_memory_equal(walked.tail.chain, maker->tail.chain, WAL_CHAIN_BYTES);
}

static void test_a_walk_begins_anywhere(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 10);
    const struct wal_tail middle = maker->tail;
    const uint64_t last = log_maker_draws(maker, 20);
    struct walked walked = walk_from(maker, middle);
    assert_int_equal(walked.groups, 1);
    assert_int_equal(walked.last_lsn, last);
    assert_int_equal(walked.durable_lsn, middle.lsn); /* where it began is durable */
    assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_ZERO);
}

static void test_a_group_as_large_as_a_segment(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 10);
    log_maker_entries(maker);
    const uint64_t lsn = log_maker_add(maker, WAL_DATA, SEGMENT - 4096);
    assert_int_equal(lsn, SEGMENT + 4096);
    struct walked walked = walk(maker);
    assert_int_equal(walked.last_lsn, lsn);
    /* The log ends where a segment does, before the next header page. */
    assert_invalid_at(&walked, 2 * SEGMENT, WAL_READ_ZERO);
}

static void test_a_segment_header_without_groups(void **state)
{
    struct log_maker *maker = *state;
    maker->tail.epoch = 6;
    const struct wal_segment_header header = log_maker_segment_header_due(maker, 0);
    log_maker_segment_header(maker, 0, &header);
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, 4096, WAL_READ_ZERO);
    assert_int_equal(walked.tail.epoch, 6);
}

static void test_a_second_lap(void **state)
{
    struct log_maker *maker = *state;
    struct wal_tail start = {0};
    while (maker->tail.lsn < (SEGMENTS + 1) * SEGMENT + 20000) {
        (void)log_maker_draws(maker, 5000);
        if (maker->tail.lsn < 2 * SEGMENT)
            start = maker->tail;
    }
    struct walked walked = walk_from(maker, start);
    assert_ends_at(&walked, WAL_STEP_INVALID, maker->tail.lsn);
    assert_int_not_equal(walked.why, WAL_READ_ZERO); /* the first lap's bytes stand there */
    walked = walk(maker);
    assert_invalid_at(&walked, 0, WAL_READ_PLACE); /* and its beginning is gone */
}

/* Every rule is asked at the position: groups that break one end the walk there. */
static void test_what_breaks_a_rule_ends_the_walk(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_epoch(maker);
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 3);
    const uint64_t end = maker->tail.lsn;
    enum { LENGTH = 160 };
    uint8_t bytes[LENGTH];
    static const enum wal_read_result whys[] = {WAL_READ_FOREIGN, WAL_READ_PLACE, WAL_READ_CHAIN,
                                                WAL_READ_EPOCH, WAL_READ_CHECKSUM};
    for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++) {
        struct wal_group_header header = log_maker_header(maker, WAL_DATA, LENGTH);
        header.draws = 0;
        header.ring_short += whys[i] == WAL_READ_FOREIGN;
        header.lsn += whys[i] == WAL_READ_PLACE ? SEGMENT * SEGMENTS : 0;
        header.chain_before[3] ^= whys[i] == WAL_READ_CHAIN;
        header.epoch -= whys[i] == WAL_READ_EPOCH; /* all else right: an earlier start's group */
        memset(bytes, 0, sizeof bytes);
        wal_group_seal(&header, bytes);
        bytes[LENGTH - 1] ^= whys[i] == WAL_READ_CHECKSUM;
        log_maker_write(maker, end, bytes, LENGTH);
        struct walked walked = walk(maker);
        assert_invalid_at(&walked, end, whys[i]);
    }
}

static void test_a_length_beyond_the_segment_is_not_believed(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 3);
    struct wal_group_header header = log_maker_header(maker, WAL_DATA, 104);
    uint8_t bytes[104];
    wal_group_seal(&header, bytes);
    put_u32(bytes + 4, 0xfffffff8);
    log_maker_write(maker, maker->tail.lsn, bytes, sizeof bytes);
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_LENGTH);
}

static void test_segment_headers_that_do_not_fit(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_epoch(maker);
    (void)log_maker_epoch(maker);
    log_maker_entries(maker);
    (void)log_maker_add(maker, WAL_DATA, (uint32_t)(SEGMENT - maker->tail.lsn)); /* fills it */
    assert_int_equal(maker->tail.lsn, SEGMENT);
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, SEGMENT, WAL_READ_ZERO);

    for (int which = 0; which < 7; which++) {
        struct wal_segment_header header = log_maker_segment_header_due(maker, SEGMENT);
        static const enum wal_read_result whys[] = {
            WAL_READ_FOREIGN, WAL_READ_PLACE, WAL_READ_PLACE,  WAL_READ_SHAPE,
            WAL_READ_SHAPE,   WAL_READ_EPOCH, WAL_READ_VERSION};
        header.ring_uuid[15] ^= which == 0; /* not among the eight that groups carry */
        header.sequence += which == 1 ? SEGMENTS : 0;
        header.sequence -= which == 2;
        header.segment_size_bytes *= which == 3 ? 2 : 1;
        header.segments += which == 4;
        header.epoch -= which == 5;
        header.version += which == 6;
        log_maker_segment_header(maker, SEGMENT, &header);
        walked = walk(maker);
        assert_invalid_at(&walked, SEGMENT, whys[which]);
    }

    struct wal_segment_header header = log_maker_segment_header_due(maker, SEGMENT);
    log_maker_segment_header(maker, SEGMENT, &header);
    log_maker_flip(maker, SEGMENT + 4000);
    walked = walk(maker);
    assert_invalid_at(&walked, SEGMENT, WAL_READ_CHECKSUM);
}

/* A walk that has come to the end sees what is written there afterwards. */
static void test_a_walk_goes_on_when_more_is_written(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 3);
    const struct wal_tail tail = {0};
    struct wal_reader *reader = NULL;
    struct urn_error error;
    struct wal_group_header header;
    const uint8_t *group;
    assert_int_equal(wal_reader_open(&maker->data_dir, &tail, &reader, &error), URN_OK);
    assert_int_equal(wal_reader_next(reader, &header, &group, &error), WAL_STEP_GROUP);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(wal_reader_next(reader, &header, &group, &error), WAL_STEP_INVALID);
        assert_int_equal(wal_reader_next(reader, &header, &group, &error), WAL_STEP_INVALID);
        const uint64_t lsn = log_maker_draws(maker, 5);
        assert_int_equal(wal_reader_next(reader, &header, &group, &error), WAL_STEP_GROUP);
        assert_int_equal(header.lsn, lsn);
        assert_int_equal(header.draws, 5);
    }
    wal_reader_close(reader);
}

/* ---- the walk: digests behind it --------------------------------------------------------------- */

/* The group made last says of itself a chain that does not follow, under a right checksum; and the log goes
 * on from there. */
static void falsify_last(struct log_maker *maker, uint64_t lsn)
{
    const uint32_t length = get_u32(maker->group + 4);
    maker->group[88] ^= 1;
    put_u32(maker->group + 8,
            crc32c_extend(crc32c(maker->group, 8), maker->group + 12, length - 12));
    log_maker_write(maker, lsn, maker->group, length);
    maker->tail.chain[0] ^= 1;
}

/* Wherever it stands, first or last in its segment or in between: nobody is told that all is well. */
static void test_a_wrong_digest_is_found_behind_the_walk(void **unused)
{
    (void)unused;
    for (uint32_t before = 0; before < 10; before++) {
        struct log_maker maker;
        log_maker_begin(&maker, SEGMENT, SEGMENTS);
        for (uint32_t i = 0; i < before; i++)
            (void)log_maker_draws(&maker, 9000);
        const uint64_t lsn = log_maker_draws(&maker, 9000);
        falsify_last(&maker, lsn);
        uint64_t last = 0;
        for (uint32_t i = 0; i <= before % 7; i++) /* into the next segment, or not */
            last = log_maker_draws(&maker, 9000);

        bool holds;
        struct walked walked = walk_somehow(&maker, (struct wal_tail){0}, DIGESTS_AT_ONCE, &holds);
        assert_invalid_at(&walked, lsn, WAL_READ_CHAIN);
        for (enum digests way = DIGESTS_BEHIND; way < DIGESTS_WAYS; way++) {
            walked = walk_somehow(&maker, (struct wal_tail){0}, way, &holds);
            assert_false(holds);
            assert_int_equal(walked.last_lsn, last);
        }
        log_maker_end(&maker);
    }
}

/* Stretches that are parts of a segment, and groups larger than what is read ahead. */
static void test_digests_of_large_segments(void **state)
{
    (void)state;
    struct log_maker maker;
    log_maker_begin(&maker, 4 * 1024 * 1024, SEGMENTS);
    static const uint32_t draws[] = {1, 900, 30000, 1040000, 65536, 12, 2100000, 300000};
    uint32_t groups = 0;
    while (maker.tail.lsn < 9 * 1024 * 1024) {
        (void)log_maker_draws(&maker, draws[groups % 8]);
        groups++;
    }
    struct walked walked = walk(&maker);
    assert_true(walked.groups >= groups); /* and pads */
    assert_invalid_at(&walked, maker.tail.lsn, WAL_READ_ZERO);
    log_maker_end(&maker);
}

/* ---- the walk: what cannot be read ----------------------------------------------------------- */

/* Groups of 300 bytes behind one of another's length: they lie across sectors in every way. */
static void make_run(struct log_maker *maker, uint64_t *lsns, uint32_t groups)
{
    (void)log_maker_draws(maker, 1);
    for (uint32_t i = 0; i < groups; i++)
        lsns[i] = log_maker_draws(maker, 300 - WAL_GROUP_HEADER_BYTES - WAL_DRAWS_HEADER_BYTES);
}

static uint64_t sector_of(uint64_t lsn)
{
    return lsn - lsn % OS_SECTOR_BYTES;
}

/* A bad sector hurts the first group that touches it and none before it, wherever it lies. */
static void test_unreadable_sectors_hurt_only_who_touches_them(void **state)
{
    enum { GROUPS = 40 };
    uint64_t lsns[GROUPS + 1];
    struct log_maker *maker = *state;
    make_run(maker, lsns, GROUPS);
    lsns[GROUPS] = maker->tail.lsn;
    const uint64_t first = sector_of(lsns[0]) + 512;
    for (uint64_t bad = first; bad < lsns[GROUPS]; bad += OS_SECTOR_BYTES) {
        struct sim_world *sound = maker->world;
        maker->world = sim_world_clone(sound, bad);
        struct os_dir *sound_dir = maker->data_dir.dir;
        assert_int_equal(
            os_dir_open(sim_restart(maker->world), LOG_MAKER_PATH, &maker->data_dir.dir), 0);
        log_maker_unreadable(maker, bad);
        uint32_t hurt = 0;
        while (lsns[hurt + 1] <= bad) /* the group whose end lies behind the sector's begin */
            hurt++;
        struct walked walked = walk(maker);
        assert_ends_at(&walked, WAL_STEP_UNREADABLE, lsns[hurt]);
        assert_int_equal(walked.error.code, URN_IO);
        assert_int_equal(walked.error.system_errno, EIO);
        assert_non_null(strstr(walked.error.text, "segment-0000"));
        os_dir_close(maker->data_dir.dir);
        sim_world_free(maker->world);
        maker->world = sound;
        maker->data_dir.dir = sound_dir;
    }
}

static void test_unreadable_sectors_behind_the_end_are_no_concern(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 1000);
    (void)log_maker_draws(maker, 100);
    const uint64_t end = maker->tail.lsn;
    assert_true(end % OS_SECTOR_BYTES != 0);
    log_maker_unreadable(maker, sector_of(end) + OS_SECTOR_BYTES);
    log_maker_unreadable(maker, SEGMENT + 100);
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, end, WAL_READ_ZERO);
}

static void test_an_unreadable_sector_at_the_end(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 1000);
    log_maker_entries(maker); /* up to a sector's begin */
    (void)log_maker_add(maker, WAL_DATA,
                        (uint32_t)(sector_of(maker->tail.lsn) + 1024 - maker->tail.lsn));
    log_maker_unreadable(maker, maker->tail.lsn);
    struct walked walked = walk(maker);
    assert_ends_at(&walked, WAL_STEP_UNREADABLE, maker->tail.lsn);
}

/* The log's end lies 40 bytes before a bad sector: not room for a header, but enough to see whether
 * one begins there. */
static void test_an_unreadable_sector_inside_a_header(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 1000);
    log_maker_entries(maker);
    (void)log_maker_add(maker, WAL_DATA,
                        (uint32_t)(sector_of(maker->tail.lsn) + 1024 - 40 - maker->tail.lsn));
    const uint64_t end = maker->tail.lsn;
    assert_int_equal(end % OS_SECTOR_BYTES, OS_SECTOR_BYTES - 40);
    log_maker_unreadable(maker, end + 40);
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, end, WAL_READ_ZERO);
    log_maker_write(maker, end, "garbage", 7);
    walked = walk(maker);
    assert_invalid_at(&walked, end, WAL_READ_LENGTH);
    log_maker_write(maker, end, "URNG", 4);
    walked = walk(maker);
    assert_ends_at(&walked, WAL_STEP_UNREADABLE, end);
}

/* Where an earlier lap's group stands at the end, its bad sectors are no loss to the log. */
static void test_an_unreadable_sector_in_a_stale_group(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 1000);
    struct wal_group_header header = log_maker_header(maker, WAL_DATA, 2048);
    header.draws = 0;
    uint8_t bytes[2048] = {0};
    wal_group_seal(&header, bytes);
    log_maker_write(maker, maker->tail.lsn, bytes, sizeof bytes);
    log_maker_unreadable(maker, maker->tail.lsn + 1500);
    struct walked walked = walk(maker); /* ours: it would continue the log */
    assert_ends_at(&walked, WAL_STEP_UNREADABLE, maker->tail.lsn);

    header.lsn += SEGMENT * SEGMENTS;
    wal_group_seal(&header, bytes);
    log_maker_write(maker, maker->tail.lsn, bytes, OS_SECTOR_BYTES);
    walked = walk(maker);
    assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_PLACE);
    /* Its checksum cannot be had, so that nothing sure can be said of a foreign one. */
    header.ring_short++;
    wal_group_seal(&header, bytes);
    log_maker_write(maker, maker->tail.lsn, bytes, OS_SECTOR_BYTES);
    walked = walk(maker);
    assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_CHECKSUM);
}

static void test_an_unreadable_segment_header(void **state)
{
    struct log_maker *maker = *state;
    while (maker->tail.lsn < SEGMENT + 8000)
        (void)log_maker_draws(maker, 3000);
    log_maker_unreadable(maker, SEGMENT + 3000);
    struct walked walked = walk(maker);
    assert_ends_at(&walked, WAL_STEP_UNREADABLE, SEGMENT);
}

/* Every call that the walk makes fails once: an error, or no harm where it is tried again; never a
 * log that ends early. */
static void test_failing_calls_are_errors(void **state)
{
    struct log_maker *maker = *state;
    while (maker->tail.lsn < SEGMENT + 8000)
        (void)log_maker_draws(maker, 3000);
    uint32_t errors = 0;
    for (uint64_t nth = 1;; nth++) {
        sim_event_forget(maker->world);
        sim_fail_at(maker->world, SIM_ANY_CALL, nth, 0);
        bool holds;
        const enum digests way = (enum digests)(nth % DIGESTS_BY_HELPER);
        struct walked walked = walk_somehow(maker, (struct wal_tail){0}, way, &holds);
        assert_true(holds);
        if (sim_last_event(maker->world)->number == 0) {
            assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_ZERO);
            break;
        }
        if (walked.end == WAL_STEP_ERROR) {
            assert_int_not_equal(walked.error.code, URN_OK);
            assert_true(walked.error.text[0] != 0);
            errors++;
        } else {
            assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_ZERO);
        }
    }
    assert_true(errors > 0);
}

static void test_short_reads_change_nothing(void **state)
{
    struct log_maker *maker = *state;
    while (maker->tail.lsn < SEGMENT + 8000)
        (void)log_maker_draws(maker, 500);
    sim_set_fault_rates(maker->world, 0, 1); /* every read is short */
    struct walked walked = walk(maker);
    const struct wal_evidence evidence = search(maker, maker->tail.lsn);
    sim_set_fault_rates(maker->world, 0, 0);
    assert_invalid_at(&walked, maker->tail.lsn, WAL_READ_ZERO);
    assert_int_equal(evidence.groups_beyond, 0);
}

static void test_missing_and_shortened_files_are_damage(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 3000);
    assert_true(sim_truncate(maker->world, "log/segment-0000", 5000));
    struct walked walked = walk(maker);
    assert_int_equal(walked.end, WAL_STEP_ERROR);
    assert_int_equal(walked.error.code, URN_DAMAGED);
    assert_non_null(strstr(walked.error.text, "segment-0000"));
    assert_true(sim_lose_file(maker->world, "log/segment-0000"));
    walked = walk(maker);
    assert_int_equal(walked.end, WAL_STEP_ERROR);
    assert_int_equal(walked.error.code, URN_DAMAGED);
    assert_non_null(strstr(walked.error.text, "missing"));

    struct wal_evidence evidence;
    struct urn_error error;
    assert_int_equal(wal_search_evidence(&maker->data_dir, 0, NULL, &evidence, &error),
                     URN_DAMAGED);
}

/* ---- evidence -------------------------------------------------------------------------------- */

static void test_no_evidence_in_an_empty_ring(void **state)
{
    const struct wal_evidence evidence = search(*state, 0);
    assert_int_equal(evidence.durable_lsn_max, 0);
    assert_int_equal(evidence.groups_beyond, 0);
    assert_int_equal(evidence.epoch_max, 0);
    assert_false(evidence.torn_at_x);
    assert_false(evidence.nonzero_beyond);
    assert_false(evidence.unreadable);
}

/* The group at x is damaged; one behind it, in another segment whose header is gone too, says that
 * everything before had been durable. */
static void test_a_later_group_tells_of_damage(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_epoch(maker);
    const uint64_t x = log_maker_draws(maker, 100);
    (void)log_maker_draws(maker, 50000);
    (void)log_maker_draws(maker, 30000); /* behind a pad, in the next segment */
    maker->durable_lsn = maker->tail.lsn;
    const uint64_t witness = log_maker_draws(maker, 100);
    assert_true(witness > SEGMENT);
    log_maker_flip(maker, x + 130);
    log_maker_flip(maker, SEGMENT + 20); /* the header of the witness's segment */
    struct walked walked = walk(maker);
    assert_invalid_at(&walked, x, WAL_READ_CHECKSUM);

    struct wal_evidence evidence = search(maker, x);
    assert_int_equal(evidence.durable_lsn_max, maker->durable_lsn);
    assert_true(evidence.durable_lsn_max > x);
    assert_int_equal(evidence.durable_witness_lsn, witness);
    assert_int_equal(evidence.groups_beyond, 4); /* with the pad at the segment's end */
    assert_int_equal(evidence.groups_beyond_epoch_max, 1);
    assert_int_equal(evidence.epoch_max, 1);
    assert_true(evidence.torn_at_x);

    log_maker_flip(maker, witness + 200); /* and without its witness */
    evidence = search(maker, x);
    assert_true(evidence.durable_lsn_max <= x);
    assert_int_equal(evidence.groups_beyond, 3);
}

static void test_a_torn_tail_is_no_evidence(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 100);
    maker->durable_lsn = maker->tail.lsn;
    const uint64_t x = log_maker_draws(maker, 2000);
    const uint8_t zeros[104] = {0};
    log_maker_write(maker, sector_of(x) + 1024, "what stood there before", 24);
    struct wal_evidence evidence = search(maker, x);
    assert_true(evidence.durable_lsn_max <= x);
    assert_int_equal(evidence.groups_beyond, 0);
    assert_true(evidence.torn_at_x);
    assert_true(evidence.nonzero_beyond);
    log_maker_write(maker, x, zeros, 104); /* its beginning did not come to the disk either */
    evidence = search(maker, x);
    assert_false(evidence.torn_at_x);
    assert_true(evidence.nonzero_beyond);
}

static void test_a_torn_segment_header(void **state)
{
    struct log_maker *maker = *state;
    log_maker_entries(maker);
    (void)log_maker_add(maker, WAL_DATA, SEGMENT - 4096);
    assert_int_equal(maker->tail.lsn, SEGMENT);
    assert_false(search(maker, SEGMENT).torn_at_x);
    const struct wal_segment_header header = log_maker_segment_header_due(maker, SEGMENT);
    log_maker_segment_header(maker, SEGMENT, &header);
    log_maker_flip(maker, SEGMENT + 2000);
    assert_true(search(maker, SEGMENT).torn_at_x);
}

/* Whole, sound groups that lie where their own LSN does not belong say nothing about this ring. */
static void test_misplaced_and_foreign_groups_do_not_count(void **state)
{
    struct log_maker *maker = *state;
    uint8_t bytes[104];
    struct wal_group_header header = log_maker_header(maker, WAL_DATA, sizeof bytes);
    header.lsn = header.durable_lsn = SEGMENT + 20000;
    header.epoch = 9;
    wal_group_seal(&header, bytes);
    log_maker_write(maker, SEGMENT + 30000, bytes, sizeof bytes);     /* another offset */
    log_maker_write(maker, 2 * SEGMENT + 20000, bytes, sizeof bytes); /* another slot */
    header.ring_short++;
    wal_group_seal(&header, bytes);
    log_maker_write(maker, SEGMENT + 20000, bytes, sizeof bytes); /* another ring */
    struct wal_evidence evidence = search(maker, 0);
    assert_int_equal(evidence.groups_beyond, 0);
    assert_int_equal(evidence.durable_lsn_max, 0);
    assert_int_equal(evidence.epoch_max, 0);

    header.ring_short--;
    wal_group_seal(&header, bytes);
    log_maker_write(maker, SEGMENT + 20000, bytes, sizeof bytes);
    evidence = search(maker, 0);
    assert_int_equal(evidence.groups_beyond, 1);
    assert_int_equal(evidence.durable_lsn_max, SEGMENT + 20000);
    assert_int_equal(evidence.epoch_max, 9);
}

/* Evidence is found at every 8-byte position, in front of and across the seams of the reading. */
static void test_evidence_at_every_position(void **state)
{
    struct log_maker *maker = *state;
    uint8_t bytes[104];
    const uint8_t zeros[104] = {0};
    for (uint64_t offset = 0; offset <= SEGMENT - sizeof bytes; offset += 8 * 61) {
        const uint64_t lsn = 5 * SEGMENT + offset; /* of a later lap, in the last slot */
        struct wal_group_header header = log_maker_header(maker, WAL_MARK, sizeof bytes);
        header.lsn = lsn;
        header.durable_lsn = lsn;
        wal_group_seal(&header, bytes);
        log_maker_write(maker, lsn, bytes, sizeof bytes);
        const struct wal_evidence evidence = search(maker, SEGMENT);
        assert_int_equal(evidence.groups_beyond, 1);
        assert_int_equal(evidence.durable_lsn_max, lsn);
        log_maker_write(maker, lsn, zeros, sizeof zeros);
    }
}

/* Large segments are read in many pieces by two threads: at every seam of both, a group that lies across it,
 * or begins or ends there, is found, once; so are unreadable sectors, the first of them. */
static void test_evidence_at_the_seams_of_large_segments(void **state)
{
    (void)state;
    enum { LENGTH = 304 };
    const uint64_t size = (17ull << 20) + 4096;
    static const uint64_t seams[] = {128u << 10, 256u << 10, 1u << 20,     8u << 20,
                                     16u << 20,  17u << 20,  24968u * 512, (17u << 20) + 4096};
    struct log_maker maker;
    log_maker_begin(&maker, size, SEGMENTS);
    const uint8_t zeros[LENGTH] = {0};
    /* How far before a seam it begins; the end of a segment has but one such place. */
    static const uint64_t befores[] = {LENGTH, LENGTH - 8, 208, 104, 8, 0};
    for (size_t i = 0; i < sizeof seams / sizeof seams[0]; i++)
        for (size_t j = 0; j < (seams[i] == size ? 1 : sizeof befores / sizeof befores[0]); j++) {
            uint8_t bytes[LENGTH] = {0};
            const uint64_t offset = seams[i] - befores[j];
            const uint64_t lsn = (SEGMENTS + i % SEGMENTS) * size + offset;
            struct wal_group_header header = log_maker_header(&maker, WAL_MARK, LENGTH);
            header.lsn = header.durable_lsn = lsn;
            wal_group_seal(&header, bytes);
            log_maker_write(&maker, lsn, bytes, LENGTH);
            struct wal_evidence evidence;
            struct urn_error error;
            struct helper *helper = i % 2 == 0 ? helper_make() : NULL;
            assert_int_equal(wal_search_evidence(&maker.data_dir, size, helper, &evidence, &error),
                             URN_OK);
            helper_free(helper);
            assert_int_equal(evidence.groups_beyond, 1);
            assert_int_equal(evidence.durable_lsn_max, lsn);
            log_maker_write(&maker, lsn, zeros, LENGTH);
        }
    log_maker_unreadable(&maker, 2 * size + 512);
    log_maker_unreadable(&maker, size + (8u << 20) + 1024);
    log_maker_unreadable(&maker, size + (8u << 20) - 1024);
    const struct wal_evidence evidence = search(&maker, size);
    assert_true(evidence.unreadable);
    assert_string_equal(evidence.unreadable_file, "segment-0001");
    assert_int_equal(evidence.unreadable_offset, (8u << 20) - 1024);
    log_maker_end(&maker);
}

/* Keeps the test's own thread from its next call until the helper has nothing more to do. */
struct gate {
    pthread_t held;
    struct helper *helper;
};

static void hold_at_gate(void *context, const struct sim_event *call)
{
    struct gate *gate = context;
    (void)call;
    if (!pthread_equal(pthread_self(), gate->held))
        return;
    const struct timespec moment = {.tv_nsec = 100000};
    while (helper_is_busy(gate->helper))
        (void)nanosleep(&moment, NULL);
}

/* What is told is the first sector of the ring, even if the helper has met another before x was known, and
 * looks at what it had left open afterwards. */
static void test_the_first_unreadable_sector_is_told(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 100);
    (void)log_maker_draws(maker, 60000);
    (void)log_maker_draws(maker, 2000); /* in the second segment */
    assert_true(maker->tail.lsn > SEGMENT && maker->tail.lsn < SEGMENT + SEGMENT / 2);
    log_maker_unreadable(maker, SEGMENT + SEGMENT / 2);
    log_maker_unreadable(maker, 2 * SEGMENT + 512);
    struct gate gate = {.held = pthread_self(), .helper = helper_make()};
    struct wal_search *begun;
    struct wal_evidence evidence;
    struct urn_error error;
    assert_int_equal(wal_search_begin(&maker->data_dir, 4096, gate.helper, &begun, &error), URN_OK);
    helper_wait(gate.helper);
    sim_set_observer(maker->world, hold_at_gate, &gate);
    assert_int_equal(wal_search_end(begun, 4096, &evidence, &error), URN_OK);
    sim_set_observer(maker->world, NULL, NULL);
    wal_search_free(begun);
    helper_free(gate.helper);
    assert_true(evidence.unreadable);
    assert_string_equal(evidence.unreadable_file, "segment-0001");
    assert_int_equal(evidence.unreadable_offset, SEGMENT / 2);
}

/* A length that no group of ours has is not believed, however much room there is: it would cost memory. */
static void test_evidence_is_no_longer_than_a_group_can_be(void **state)
{
    (void)state;
    const uint64_t size = 8ull << 20;
    struct log_maker maker;
    log_maker_begin(&maker, size, SEGMENTS);
    uint8_t *bytes = calloc(1, GROUP_BYTES_MAX + 8);
    assert_non_null(bytes);
    for (uint32_t more = 0; more <= 8; more += 8) {
        struct wal_group_header header = log_maker_header(&maker, WAL_DATA, GROUP_BYTES_MAX + more);
        header.lsn = header.durable_lsn = size + 8192;
        wal_group_seal(&header, bytes);
        log_maker_write(&maker, header.lsn, bytes, header.length_bytes);
        assert_int_equal(search(&maker, 0).groups_beyond, more == 0 ? 1 : 0);
    }
    free(bytes);
    log_maker_end(&maker);
}

/* A torn group whose length is a lie hides nothing that lies inside it; magics all over the place
 * cost nothing but a look. */
static void test_evidence_inside_a_torn_group(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 100);
    const uint64_t x = maker->tail.lsn;
    uint8_t bytes[104];
    struct wal_group_header header = log_maker_header(maker, WAL_DATA, sizeof bytes);
    wal_group_seal(&header, bytes);
    put_u32(bytes + 4, 40000);
    for (uint64_t at = x; at < x + 30000; at += 104)
        log_maker_write(maker, at, bytes, sizeof bytes);
    header.lsn = 20000;
    header.durable_lsn = 19000;
    wal_group_seal(&header, bytes);
    log_maker_write(maker, header.lsn, bytes, sizeof bytes);
    const struct wal_evidence evidence = search(maker, x);
    assert_int_equal(evidence.groups_beyond, 1);
    assert_int_equal(evidence.durable_witness_lsn, 20000);
}

static void test_evidence_beside_unreadable_sectors(void **state)
{
    struct log_maker *maker = *state;
    const uint64_t x = log_maker_draws(maker, 100);
    (void)log_maker_draws(maker, 3000);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    log_maker_unreadable(maker, x);
    log_maker_unreadable(maker, x + 1500);
    log_maker_unreadable(maker, 2 * SEGMENT + 512);
    struct wal_evidence evidence = search(maker, x);
    assert_true(evidence.unreadable);
    assert_string_equal(evidence.unreadable_file, "segment-0000");
    assert_int_equal(evidence.unreadable_offset, sector_of(x));
    assert_int_equal(evidence.durable_lsn_max, maker->durable_lsn);
}

static void test_the_search_fails_as_its_calls_do(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 100);
    for (uint64_t nth = 1;; nth++) {
        sim_event_forget(maker->world);
        sim_fail_at(maker->world, SIM_ANY_CALL, nth, EACCES);
        struct wal_evidence evidence;
        struct urn_error error;
        const enum urn_code code =
            wal_search_evidence(&maker->data_dir, maker->tail.lsn, NULL, &evidence, &error);
        if (sim_last_event(maker->world)->number == 0) {
            assert_int_equal(code, URN_OK);
            assert_true(nth > SEGMENTS);
            break;
        }
        assert_int_equal(code, URN_IO);
        assert_int_equal(error.system_errno, EACCES);
    }
}

/* The same by two threads, begun before x is known: whichever of them meets the failure, it is told. */
static void test_a_search_begun_ahead_fails_as_its_calls_do(void **state)
{
    struct log_maker *maker = *state;
    (void)log_maker_draws(maker, 100);
    struct helper *helper = helper_make();
    uint32_t failures = 0;
    for (uint64_t nth = 1;; nth++) {
        sim_event_forget(maker->world);
        sim_fail_at(maker->world, SIM_ANY_CALL, nth, EACCES);
        struct wal_search *begun;
        struct wal_evidence evidence;
        struct urn_error error;
        assert_int_equal(wal_search_begin(&maker->data_dir, 0, helper, &begun, &error), URN_OK);
        const enum urn_code code = wal_search_end(begun, maker->tail.lsn, &evidence, &error);
        wal_search_free(begun);
        if (sim_last_event(maker->world)->number == 0) {
            assert_int_equal(code, URN_OK);
            break;
        }
        failures++;
        assert_int_equal(code, URN_IO);
        assert_int_equal(error.system_errno, EACCES);
    }
    helper_free(helper);
    assert_true(failures > SEGMENTS);
}

/* ---- evidence, against a search that is as plain as can be ------------------------------------- */

static uint32_t random_below(uint32_t *luck, uint32_t end)
{
    *luck = *luck * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)*luck * end) >> 32);
}

/* One of the groups, whole or spoiled in one of several ways, that may lie about in a ring; where it lies. */
static uint64_t plant(struct log_maker *maker, uint32_t *luck)
{
    enum { LENGTH_MAX = 4096 };
    uint8_t bytes[LENGTH_MAX] = {0};
    const uint32_t length = 104 + random_below(luck, (LENGTH_MAX - 104) / 8) * 8;
    uint64_t lsn = random_below(luck, 2 * SEGMENTS * (uint32_t)SEGMENT / 8) * 8ull;
    if (random_below(luck, 4) == 0) /* at a segment's very end */
        lsn = lsn / SEGMENT * SEGMENT + SEGMENT - length;
    if (lsn % SEGMENT + length > SEGMENT)
        lsn -= length;
    struct wal_group_header header = log_maker_header(maker, WAL_DATA, length);
    const uint32_t spoiled = random_below(luck, 12);
    header.lsn = spoiled == 0 ? lsn + 8 : lsn;
    header.lsn += spoiled == 1 ? SEGMENT : 0;
    header.ring_short += spoiled == 2;
    header.durable_lsn = random_below(luck, 16) * (SEGMENT / 2);
    if (header.durable_lsn > header.lsn)
        header.durable_lsn = header.lsn;
    header.epoch = random_below(luck, 5);
    wal_group_seal(&header, bytes);
    bytes[random_below(luck, length)] ^= spoiled == 3;
    log_maker_write(maker, lsn, bytes, length);
    return lsn;
}

/* Whether a group of this ring stands at this offset of the slot's bytes, all of it readable. */
static bool stands_at(const uint8_t *slot_bytes, const bool *readable, uint32_t slot,
                      uint64_t offset, uint64_t ring_short)
{
    const uint8_t *group = slot_bytes + offset;
    if (SEGMENT - offset < 104 || get_u32(group) != WAL_GROUP_MAGIC)
        return false;
    const uint64_t length = get_u32(group + 4);
    if (length % 8 != 0 || length < 104 || length > SEGMENT - offset)
        return false;
    for (uint64_t sector = offset / 512; sector <= (offset + length - 1) / 512; sector++)
        if (!readable[sector])
            return false;
    const uint64_t lsn = get_u64(group + 24);
    return get_u32(group + 8) == crc32c_extend(crc32c(group, 8), group + 12, length - 12) &&
           get_u64(group + 16) == ring_short && lsn % SEGMENT == offset &&
           lsn / SEGMENT % SEGMENTS == slot;
}

static void note_plainly(struct wal_evidence *evidence, const uint8_t *group, uint64_t x)
{
    const uint64_t lsn = get_u64(group + 24), durable = get_u64(group + 32);
    const uint32_t epoch = get_u32(group + 40);
    if (durable > evidence->durable_lsn_max ||
        (durable == evidence->durable_lsn_max && lsn < evidence->durable_witness_lsn)) {
        evidence->durable_lsn_max = durable;
        evidence->durable_witness_lsn = lsn;
    }
    if (epoch > evidence->epoch_max)
        evidence->epoch_max = epoch;
    if (lsn < x)
        return;
    evidence->groups_beyond++;
    if (epoch > evidence->groups_beyond_epoch_max)
        evidence->groups_beyond_epoch_max = epoch;
}

static struct wal_evidence search_plainly(const struct log_maker *maker, uint64_t x)
{
    static uint8_t bytes[SEGMENT];
    static bool readable[SEGMENT / 512];
    struct wal_evidence evidence = {0};
    for (uint32_t slot = 0; slot < SEGMENTS; slot++) {
        for (uint64_t at = 0; at < SEGMENT; at += 512) {
            readable[at / 512] = sim_file_bytes(maker->world, log_maker_path(maker, slot * SEGMENT),
                                                at, bytes + at, 512);
            if (readable[at / 512] || evidence.unreadable)
                continue;
            evidence.unreadable = true;
            data_dir_segment_name(evidence.unreadable_file, slot);
            evidence.unreadable_offset = at;
        }
        for (uint64_t offset = 0; offset < SEGMENT; offset += 8)
            if (stands_at(bytes, readable, slot, offset,
                          wal_ring_short(maker->data_dir.geometry.ring_uuid)))
                note_plainly(&evidence, bytes + offset, x);
    }
    return evidence;
}

/* Rings full of anything, over and inside each other: what is found, in whichever way, is what is there. */
static void test_evidence_in_rings_of_anything(void **state)
{
    (void)state;
    uint64_t found = 0;
    for (uint32_t round = 0; round < 60; round++) {
        uint32_t luck = round * 2654435761u + 1;
        struct log_maker maker;
        log_maker_begin(&maker, SEGMENT, SEGMENTS);
        uint64_t x = random_below(&luck, 2 * SEGMENTS * (uint32_t)SEGMENT / 8) * 8ull;
        for (uint32_t count = 1 + random_below(&luck, 60); count > 0; count--) {
            const uint64_t lsn = plant(&maker, &luck);
            if (round % 2 == 0) /* one of them stands at x itself */
                x = lsn;
        }
        for (uint32_t bad = random_below(&luck, 3); bad > 0; bad--)
            log_maker_unreadable(&maker, random_below(&luck, SEGMENTS * (uint32_t)SEGMENT));
        const struct wal_evidence there = search_plainly(&maker, x);
        const struct wal_evidence evidence = search_every_way(&maker, x);
        assert_same_evidence(&evidence, &there);
        found += there.groups_beyond;
        log_maker_end(&maker);
    }
    assert_true(found > 200);
}

/* ---- bytes as they are ----------------------------------------------------------------------- */

static void test_bytes_across_segments_and_laps(void **state)
{
    struct log_maker *maker = *state;
    log_maker_write(maker, SEGMENTS * SEGMENT - 3, "abc", 3);
    log_maker_write(maker, SEGMENTS * SEGMENT, "def", 3);
    char bytes[7] = {0};
    struct urn_error error;
    assert_int_equal(wal_read_bytes(&maker->data_dir, 2 * SEGMENTS * SEGMENT - 3, bytes, 6, &error),
                     URN_OK);
    assert_string_equal(bytes, "abcdef");
    log_maker_unreadable(maker, 0);
    assert_int_equal(wal_read_bytes(&maker->data_dir, 2 * SEGMENTS * SEGMENT - 3, bytes, 6, &error),
                     URN_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_ring_ends_at_its_beginning),
        TEST(test_a_walk_over_all_kinds_and_segments),
        TEST(test_a_walk_begins_anywhere),
        TEST(test_a_group_as_large_as_a_segment),
        TEST(test_a_segment_header_without_groups),
        TEST(test_a_second_lap),
        TEST(test_what_breaks_a_rule_ends_the_walk),
        TEST(test_a_length_beyond_the_segment_is_not_believed),
        TEST(test_segment_headers_that_do_not_fit),
        TEST(test_a_walk_goes_on_when_more_is_written),
        cmocka_unit_test(test_a_wrong_digest_is_found_behind_the_walk),
        cmocka_unit_test(test_digests_of_large_segments),
        TEST(test_unreadable_sectors_hurt_only_who_touches_them),
        TEST(test_unreadable_sectors_behind_the_end_are_no_concern),
        TEST(test_an_unreadable_sector_at_the_end),
        TEST(test_an_unreadable_sector_inside_a_header),
        TEST(test_an_unreadable_sector_in_a_stale_group),
        TEST(test_an_unreadable_segment_header),
        TEST(test_failing_calls_are_errors),
        TEST(test_short_reads_change_nothing),
        TEST(test_missing_and_shortened_files_are_damage),
        TEST(test_no_evidence_in_an_empty_ring),
        TEST(test_a_later_group_tells_of_damage),
        TEST(test_a_torn_tail_is_no_evidence),
        TEST(test_a_torn_segment_header),
        TEST(test_misplaced_and_foreign_groups_do_not_count),
        TEST(test_evidence_at_every_position),
        cmocka_unit_test(test_evidence_at_the_seams_of_large_segments),
        TEST(test_the_first_unreadable_sector_is_told),
        cmocka_unit_test(test_evidence_is_no_longer_than_a_group_can_be),
        TEST(test_evidence_inside_a_torn_group),
        TEST(test_evidence_beside_unreadable_sectors),
        TEST(test_the_search_fails_as_its_calls_do),
        TEST(test_a_search_begun_ahead_fails_as_its_calls_do),
        cmocka_unit_test(test_evidence_in_rings_of_anything),
        TEST(test_bytes_across_segments_and_laps),
    };
    return cmocka_run_group_tests_name("wal_reader", tests, NULL, NULL);
}
