/* test_wal_format.c: the log's bytes: pinned numbers, every validity rule, every boundary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/crc32c.h"
#include "engine/wal_format.h"

#define RING_SHORT 0x0706050403020100ull

static const struct wal_geometry geometry = {
    .ring_uuid = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    .segment_size_bytes = 65536,
    .segments = 3,
};

static void assert_hex(const uint8_t *bytes, size_t length, const char *expected)
{
    char *hex = calloc(1, 2 * length + 1);
    assert_non_null(hex);
    for (size_t i = 0; i < length; i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(hex, expected);
    free(hex);
}

/* ---- pinned ---------------------------------------------------------------------------------- */

static void test_numbers_are_pinned(void **state)
{
    (void)state;
    assert_int_equal(WAL_FORMAT_VERSION, 1);
    assert_int_equal(WAL_SEGMENT_HEADER_BYTES, 4096);
    assert_int_equal(WAL_GROUP_HEADER_BYTES, 104);
    assert_int_equal(WAL_ENTRY_HEADER_BYTES, 8);
    assert_int_equal(WAL_DRAWS_HEADER_BYTES, 24);
    assert_int_equal(WAL_EPOCH_ENTRY_BYTES, 32);
    assert_int_equal(WAL_EPOCH_GROUP_BYTES, 136);
    assert_int_equal(WAL_DATA, 1);
    assert_int_equal(WAL_PAD, 2);
    assert_int_equal(WAL_MARK, 3);
    assert_int_equal(WAL_EPOCH, 4);
    assert_int_equal(WAL_ENTRY_DRAWS, 1);
    assert_int_equal(WAL_ENTRY_EPOCH, 2);
    assert_int_equal(WAL_ENTRY_UPDATE, 3);
    assert_int_equal(WAL_ENTRY_ADD, 4);
    assert_int_equal(WAL_ENTRY_CREATE, 5);
    assert_int_equal(WAL_ENTRY_OPEN, 6);
    assert_int_equal(WAL_ENTRY_CLOSE, 7);
    assert_int_equal(WAL_ENTRY_APPLIED, 8);
    assert_int_equal(WAL_ENTRY_IDS, 9);
    assert_int_equal(WAL_IDS_ENTRY_BYTES, 16);
    assert_int_equal(WAL_SETS_QUANTITY, 1);
    assert_int_equal(WAL_SETS_WEIGHT, 2);
    assert_int_equal(WAL_FROM_FILE, 4);
    assert_int_equal(WAL_CONTINUES, 8);
    assert_int_equal(wal_change_bytes(0), 48);
    assert_int_equal(wal_change_bytes(6), 48);
    assert_int_equal(wal_change_bytes(7), 56);
    assert_int_equal(wal_change_bytes(URN_NAME_BYTES_MAX), 112);
    assert_memory_equal("URNG", &(uint32_t){WAL_GROUP_MAGIC}, 4);
    assert_int_equal(wal_outcome_width(1), 1);
    assert_int_equal(wal_outcome_width(254), 1);
    assert_int_equal(wal_outcome_width(255), 2);
    assert_int_equal(wal_outcome_width(65534), 2);
    assert_int_equal(wal_outcome_width(65535), 4);
    assert_int_equal(wal_ring_short(geometry.ring_uuid), RING_SHORT);
}

static void test_crc32c_is_the_known_one(void **state)
{
    (void)state;
    assert_int_equal(crc32c("123456789", 9), 0xE3069283u);
    assert_int_equal(crc32c_extend(crc32c("1234", 4), "56789", 5), 0xE3069283u);
    assert_int_equal(crc32c("", 0), 0);
}

static void test_segment_header_golden(void **state)
{
    (void)state;
    struct wal_segment_header header = {
        .version = 1,
        .sequence = 0x1112131415161718,
        .segment_size_bytes = 65536,
        .segments = 3,
        .epoch = 0x21222324,
    };
    memcpy(header.ring_uuid, geometry.ring_uuid, WAL_UUID_BYTES);
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    memset(page, 0xee, sizeof page);
    wal_segment_header_write(&header, page);
    assert_hex(page, 56,
               "55524e5345474d31"                 /* URNSEGM1 */
               "868f0ab4"                         /* CRC */
               "01000000"                         /* version */
               "000102030405060708090a0b0c0d0e0f" /* ring UUID */
               "1817161514131211"                 /* sequence */
               "0000010000000000"                 /* segment size */
               "03000000"                         /* segments */
               "24232221");                       /* epoch */
    assert_true(bytes_are_zero(page + 56, sizeof page - 56));

    struct wal_segment_header read;
    assert_int_equal(wal_segment_header_read(page, &read), WAL_READ_OK);
    assert_int_equal(read.version, 1);
    assert_memory_equal(read.ring_uuid, geometry.ring_uuid, WAL_UUID_BYTES);
    assert_int_equal(read.sequence, 0x1112131415161718);
    assert_int_equal(read.segment_size_bytes, 65536);
    assert_int_equal(read.segments, 3);
    assert_int_equal(read.epoch, 0x21222324);
}

/* A sealed group of fixed content. Returns its length. */
static uint32_t golden_group(uint8_t *bytes, uint32_t capacity, struct wal_group_header *header)
{
    const uint32_t outcomes[] = {0, 5, 2, URN_FAILED_DRAW, URN_FAILED_DRAW};
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, capacity);
    wal_entries_add_draws(&entries, 7, 0x3132333435363738, 1, outcomes, 5);
    *header = (struct wal_group_header){
        .length_bytes = entries.used_bytes,
        .kind = WAL_DATA,
        .ring_short = RING_SHORT,
        .lsn = 0x12340,
        .durable_lsn = 0x11000,
        .epoch = 3,
        .draws = entries.draws,
        .engine_time_us = 0x4142434445464748,
        .wall_time_us = 0x5152535455565758,
        .first_request_id = 1000,
    };
    memset(header->chain_before, 0xc1, WAL_CHAIN_BYTES);
    wal_group_seal(header, bytes);
    return entries.used_bytes;
}

static void test_group_golden(void **state)
{
    (void)state;
    uint8_t bytes[256];
    memset(bytes, 0xee, sizeof bytes);
    struct wal_group_header header;
    const uint32_t length = golden_group(bytes, sizeof bytes, &header);
    assert_hex(bytes, length,
               "55524e47"                         /* URNG */
               "88000000"                         /* length: 136 */
               "fcc9509c"                         /* CRC */
               "01000000"                         /* kind, zero */
               "0001020304050607"                 /* ring, short */
               "4023010000000000"                 /* LSN */
               "0010010000000000"                 /* durable LSN */
               "03000000"                         /* epoch */
               "05000000"                         /* draws */
               "4847464544434241"                 /* engine time */
               "5857565554535251"                 /* wall time */
               "e803000000000000"                 /* first request id */
               "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1" /* chain before */
               "3d2c519a1e16c3c189c4b6b04691cbaf" /* chain after */
               "01010000"                         /* draws entry, width 1 */
               "20000000"                         /* length: 32 */
               "07000000"                         /* pool */
               "05000000"                         /* draws */
               "3837363534333231"                 /* odds version */
               "000502ff02000000");               /* 0, 5, 2, two failed */
}

static void test_epoch_group_golden(void **state)
{
    (void)state;
    uint8_t bytes[WAL_EPOCH_GROUP_BYTES];
    uint8_t nonce[WAL_NONCE_BYTES];
    for (uint8_t i = 0; i < WAL_NONCE_BYTES; i++)
        nonce[i] = (uint8_t)(0xa0 + i);
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_epoch(&entries, nonce, 77);
    assert_int_equal(entries.used_bytes, WAL_EPOCH_GROUP_BYTES);
    assert_hex(bytes + WAL_GROUP_HEADER_BYTES, WAL_EPOCH_ENTRY_BYTES,
               "0200000020000000"
               "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
               "4d00000000000000");
}

/* ---- segment headers ------------------------------------------------------------------------- */

static void make_page(uint8_t *page, uint32_t version)
{
    const struct wal_segment_header header = {
        .version = version, .sequence = 9, .segment_size_bytes = 65536, .segments = 3};
    wal_segment_header_write(&header, page);
}

static void test_segment_header_refusals(void **state)
{
    (void)state;
    uint8_t page[WAL_SEGMENT_HEADER_BYTES] = {0};
    struct wal_segment_header read;
    assert_int_equal(wal_segment_header_read(page, &read), WAL_READ_ZERO);
    page[4095] = 1;
    assert_int_equal(wal_segment_header_read(page, &read), WAL_READ_LENGTH);
    make_page(page, WAL_FORMAT_VERSION + 1);
    assert_int_equal(wal_segment_header_read(page, &read), WAL_READ_VERSION);

    for (uint32_t bit = 0; bit < 8 * WAL_SEGMENT_HEADER_BYTES; bit++) {
        make_page(page, WAL_FORMAT_VERSION);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        const enum wal_read_result result = wal_segment_header_read(page, &read);
        assert_int_equal(result, bit / 8 < 8 ? WAL_READ_LENGTH : WAL_READ_CHECKSUM);
    }

    make_page(page, WAL_FORMAT_VERSION);
    page[100] = 1; /* where zeros belong, under a right checksum */
    put_u32(page + 8, crc32c(page + 12, sizeof page - 12));
    assert_int_equal(wal_segment_header_read(page, &read), WAL_READ_SHAPE);
}

static void test_segment_header_beginnings(void **state)
{
    (void)state;
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    make_page(page, WAL_FORMAT_VERSION);
    memset(page + 512, 0xee, sizeof page - 512);
    assert_true(wal_segment_header_begins(page, 512, 9));
    assert_false(wal_segment_header_begins(page, 512, 8));
    assert_false(wal_segment_header_begins(page, 8, 9));
}

/* ---- validity: V1 to V7 ---------------------------------------------------------------------- */

struct sealed {
    uint8_t bytes[256];
    struct wal_group_header header;
    struct wal_tail tail; /* what it continues */
};

static void make_sealed(struct sealed *sealed)
{
    *sealed = (struct sealed){0};
    (void)golden_group(sealed->bytes, sizeof sealed->bytes, &sealed->header);
    sealed->tail = (struct wal_tail){.lsn = sealed->header.lsn, .epoch = sealed->header.epoch};
    memcpy(sealed->tail.chain, sealed->header.chain_before, WAL_CHAIN_BYTES);
}

static enum wal_read_result read_next(const struct sealed *sealed, uint64_t available)
{
    struct wal_tail tail = sealed->tail;
    struct wal_group_header header;
    const enum wal_read_result result =
        wal_group_read_next(sealed->bytes, available, RING_SHORT, &tail, &header);
    if (result != WAL_READ_OK) /* the tail moves for a valid group only */
        assert_memory_equal(&tail, &sealed->tail, sizeof tail);
    return result;
}

static void test_valid_group_moves_the_tail(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    struct wal_tail tail = sealed.tail;
    struct wal_group_header header = {0};
    assert_int_equal(wal_group_read_next(sealed.bytes, 136, RING_SHORT, &tail, &header),
                     WAL_READ_OK);
    assert_int_equal(header.length_bytes, 136);
    assert_int_equal(header.kind, WAL_DATA);
    assert_int_equal(header.ring_short, RING_SHORT);
    assert_int_equal(header.lsn, 0x12340);
    assert_int_equal(header.durable_lsn, 0x11000);
    assert_int_equal(header.epoch, 3);
    assert_int_equal(header.draws, 5);
    assert_int_equal(header.engine_time_us, 0x4142434445464748);
    assert_int_equal(header.wall_time_us, 0x5152535455565758);
    assert_int_equal(header.first_request_id, 1000);
    assert_memory_equal(header.chain_before, sealed.header.chain_before, WAL_CHAIN_BYTES);
    assert_memory_equal(header.chain_after, sealed.header.chain_after, WAL_CHAIN_BYTES);
    assert_int_equal(tail.lsn, 0x12340 + 136);
    assert_int_equal(tail.epoch, 3);
    assert_memory_equal(tail.chain, sealed.header.chain_after, WAL_CHAIN_BYTES);
}

static void test_v1_magic_and_length(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_OK);
    assert_int_equal(read_next(&sealed, 128), WAL_READ_LENGTH); /* the segment ends before it */
    assert_int_equal(read_next(&sealed, 96), WAL_READ_LENGTH);
    assert_int_equal(read_next(&sealed, 0), WAL_READ_ZERO);

    static const uint32_t lengths[] = {0, 8, 96, 103, 105, 132, 137, UINT32_MAX, UINT32_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        make_sealed(&sealed);
        put_u32(sealed.bytes + 4, lengths[i]);
        assert_int_equal(read_next(&sealed, sizeof sealed.bytes), WAL_READ_LENGTH);
    }
    make_sealed(&sealed);
    sealed.bytes[3] = 'g';
    assert_int_equal(read_next(&sealed, 136), WAL_READ_LENGTH);
    memset(sealed.bytes, 0, 104);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_ZERO);
    sealed.bytes[103] = 1;
    assert_int_equal(read_next(&sealed, 136), WAL_READ_LENGTH);
}

static void test_v2_every_bit_is_under_the_checksum(void **state)
{
    (void)state;
    struct sealed sealed;
    for (uint32_t bit = 64; bit < 8 * 136; bit++) { /* magic and length are V1's */
        make_sealed(&sealed);
        sealed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(read_next(&sealed, 136), WAL_READ_CHECKSUM);
    }
    make_sealed(&sealed);
    put_u32(sealed.bytes + 4, 128); /* possible, and a lie */
    assert_int_equal(read_next(&sealed, 136), WAL_READ_CHECKSUM);
}

static void test_v3_another_ring(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    sealed.header.ring_short ^= 1ull << 63;
    wal_group_seal(&sealed.header, sealed.bytes);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_FOREIGN);
    struct wal_group_header header;
    assert_int_equal(wal_group_read(sealed.bytes, 136, RING_SHORT, &header), WAL_READ_FOREIGN);
}

static void test_v4_an_earlier_lap(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    const uint64_t lap = geometry.segment_size_bytes * geometry.segments;
    sealed.tail.lsn += lap; /* same slot, same offset, one lap later */
    assert_int_equal(read_next(&sealed, 136), WAL_READ_PLACE);
    sealed.tail.lsn -= lap;
    assert_int_equal(read_next(&sealed, 136), WAL_READ_OK);
}

static void test_v5_the_chain(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    sealed.tail.chain[15] ^= 1;
    assert_int_equal(read_next(&sealed, 136), WAL_READ_CHAIN);

    make_sealed(&sealed); /* chain-after does not follow, under a right checksum */
    sealed.bytes[88] ^= 1;
    put_u32(sealed.bytes + 8, crc32c_extend(crc32c(sealed.bytes, 8), sealed.bytes + 12, 124));
    struct wal_group_header header;
    assert_int_equal(wal_group_read(sealed.bytes, 136, RING_SHORT, &header), WAL_READ_OK);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_CHAIN);
}

/* Chain-after is right for the log so far, but the group says that it continues another one. */
static void test_v5_both_chains_count(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    sealed.bytes[72] ^= 1;
    put_u32(sealed.bytes + 8, crc32c_extend(crc32c(sealed.bytes, 8), sealed.bytes + 12, 124));
    assert_int_equal(read_next(&sealed, 136), WAL_READ_CHAIN);
}

static void test_v5_two_histories_never_share_a_chain(void **state)
{
    (void)state;
    struct sealed one;
    struct sealed other;
    make_sealed(&one);
    make_sealed(&other);
    other.header.wall_time_us++;
    wal_group_seal(&other.header, other.bytes);
    assert_memory_not_equal(one.header.chain_after, other.header.chain_after, WAL_CHAIN_BYTES);
    make_sealed(&other);
    other.header.chain_before[0]++;
    wal_group_seal(&other.header, other.bytes);
    assert_memory_not_equal(one.header.chain_after, other.header.chain_after, WAL_CHAIN_BYTES);
    make_sealed(&other);
    other.bytes[128]++; /* an outcome */
    wal_group_seal(&other.header, other.bytes);
    assert_memory_not_equal(one.header.chain_after, other.header.chain_after, WAL_CHAIN_BYTES);
}

/* Chain, LSN, UUID and checksum are all right; a lower epoch alone must be enough to refuse it. */
static void test_v6_a_lower_epoch(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    sealed.tail.epoch = 4;
    assert_int_equal(read_next(&sealed, 136), WAL_READ_EPOCH);
    sealed.header.epoch = 4;
    wal_group_seal(&sealed.header, sealed.bytes);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_OK);
    sealed.header.epoch = 5;
    wal_group_seal(&sealed.header, sealed.bytes);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_OK);
}

static void test_v7_durable_above_its_own_position(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    sealed.header.durable_lsn = sealed.header.lsn;
    wal_group_seal(&sealed.header, sealed.bytes);
    assert_int_equal(read_next(&sealed, 136), WAL_READ_OK);

    /* Sealing refuses to write such a group, so it is made by hand: the header's field, then chain
     * and checksum from a group that may be sealed. */
    sealed.header.durable_lsn = sealed.header.lsn + 8;
    struct wal_group_header decoy = sealed.header;
    decoy.lsn += 8;
    wal_group_seal(&decoy, sealed.bytes);
    sealed.tail.lsn = decoy.lsn;
    assert_int_equal(read_next(&sealed, 136), WAL_READ_OK);
    put_u64(sealed.bytes + 32, decoy.lsn + 8);
    put_u32(sealed.bytes + 8, crc32c_extend(crc32c(sealed.bytes, 8), sealed.bytes + 12, 124));
    assert_int_equal(read_next(&sealed, 136), WAL_READ_DURABLE);
}

static void test_group_beginnings(void **state)
{
    (void)state;
    struct sealed sealed;
    make_sealed(&sealed);
    memset(sealed.bytes + 40, 0, 96);
    assert_true(wal_group_begins(sealed.bytes, 40, 0x12340));
    assert_false(wal_group_begins(sealed.bytes, 40, 0x12348));
    assert_false(wal_group_begins(sealed.bytes, 24, 0x12340));
}

static void test_every_result_has_words(void **state)
{
    (void)state;
    for (int result = 0; result < WAL_READ_RESULTS; result++)
        assert_non_null(wal_read_result_text((enum wal_read_result)result));
}

/* ---- placing --------------------------------------------------------------------------------- */

#define SEGMENT 65536ull
#define HEADER  ((uint32_t)WAL_GROUP_HEADER_BYTES)

static void assert_place(uint64_t end, uint32_t length, bool fresh, uint64_t pad_lsn,
                         uint32_t pad_bytes, bool new_segment, uint64_t group_lsn,
                         uint32_t group_bytes)
{
    const struct wal_placement place = wal_place(&geometry, end, length, fresh);
    assert_int_equal(place.pad_bytes, pad_bytes);
    if (pad_bytes > 0)
        assert_int_equal(place.pad_lsn, pad_lsn);
    assert_int_equal(place.new_segment, new_segment);
    assert_int_equal(place.group_lsn, group_lsn);
    assert_int_equal(place.group_bytes, group_bytes);
    assert_int_equal(place.end_lsn, group_lsn + group_bytes);
}

static void test_place_at_a_segments_start(void **state)
{
    (void)state;
    assert_place(0, 200, false, 0, 0, true, 4096, 200);
    assert_place(0, HEADER, true, 0, 0, true, 4096, HEADER); /* S + 4096 begins a page */
    assert_place(SEGMENT, 200, true, 0, 0, true, SEGMENT + 4096, 200);
    assert_place(0, SEGMENT - 4096, false, 0, 0, true, 4096, SEGMENT - 4096);
    assert_place(0, SEGMENT - 4096, true, 0, 0, true, 4096, SEGMENT - 4096);
    assert_place(4096, HEADER, true, 0, 0, false, 4096, HEADER); /* the header page is there */
    assert_place(4096, 200, false, 0, 0, false, 4096, 200);
}

static void test_place_on_a_fresh_page(void **state)
{
    (void)state;
    /* The pad is exactly a header; one step less, and it goes on to the end of the next page. */
    assert_place(8192 - HEADER, HEADER, true, 8192 - HEADER, HEADER, false, 8192, HEADER);
    assert_place(8192 - HEADER + 8, HEADER, true, 8192 - HEADER + 8, 4096 + HEADER - 8, false,
                 12288, HEADER);
    assert_place(8192 - 8, HEADER, true, 8192 - 8, 4096 + 8, false, 12288, HEADER);
    assert_place(8192, HEADER, true, 0, 0, false, 8192, HEADER);
    assert_place(8192 + 8, HEADER, true, 8192 + 8, 4096 - 8, false, 12288, HEADER);
}

static void test_place_at_a_segments_end(void **state)
{
    (void)state;
    /* Fits to the byte; leaves exactly a header; leaves less, and is filled. */
    assert_place(SEGMENT - 200, 200, false, 0, 0, false, SEGMENT - 200, 200);
    assert_place(SEGMENT - 200 - HEADER, 200, false, 0, 0, false, SEGMENT - 200 - HEADER, 200);
    assert_place(SEGMENT - 200 - HEADER + 8, 200, false, 0, 0, false, SEGMENT - 200 - HEADER + 8,
                 200 + HEADER - 8);
    assert_place(SEGMENT - 208, 200, false, 0, 0, false, SEGMENT - 208, 208);
    /* Does not fit: one pad to the end, which is a header at least. */
    assert_place(SEGMENT - 192, 200, false, SEGMENT - 192, 192, true, SEGMENT + 4096, 200);
    assert_place(SEGMENT - HEADER, 200, false, SEGMENT - HEADER, HEADER, true, SEGMENT + 4096, 200);
    /* The same in a new segment that the group fills but for less than a header. */
    assert_place(SEGMENT - 200, SEGMENT - 4096 - 8, false, SEGMENT - 200, 200, true, SEGMENT + 4096,
                 SEGMENT - 4096);
}

static void test_place_on_a_fresh_page_near_a_segments_end(void **state)
{
    (void)state;
    /* In the last page there is no further page: the next segment's first is one. */
    assert_place(SEGMENT - 4096 + 8, HEADER, true, SEGMENT - 4096 + 8, 4088, true, SEGMENT + 4096,
                 HEADER);
    assert_place(SEGMENT - HEADER, HEADER, true, SEGMENT - HEADER, HEADER, true, SEGMENT + 4096,
                 HEADER);
    assert_place(SEGMENT - 4096, HEADER, true, 0, 0, false, SEGMENT - 4096, HEADER);
    /* Last page but one, too near its end for a pad: that pad fills the last page too. */
    assert_place(SEGMENT - 4096 - 8, HEADER, true, SEGMENT - 4096 - 8, 4096 + 8, true,
                 SEGMENT + 4096, HEADER);
    /* A page would be there, but not for so long a group. */
    assert_place(SEGMENT - 8192 + 8, 4200, true, SEGMENT - 8192 + 8, 8184, true, SEGMENT + 4096,
                 4200);
}

/* What must hold of every placement, whatever rule made it. */
static void assert_place_is_sound(uint64_t end, uint32_t length, bool fresh)
{
    const struct wal_placement place = wal_place(&geometry, end, length, fresh);
    const uint64_t free_lsn = end % SEGMENT == 0 ? end + 4096 : end;
    const uint64_t segment_end = end - end % SEGMENT + SEGMENT;
    /* Every byte from the old end on is covered, and nothing twice. */
    uint64_t covered = free_lsn;
    if (place.pad_bytes > 0) {
        assert_true(place.pad_lsn == covered && place.pad_bytes >= HEADER);
        covered += place.pad_bytes;
    }
    assert_true(place.new_segment == (end % SEGMENT == 0 || covered == segment_end));
    if (covered == segment_end)
        covered += 4096;
    assert_true(place.group_lsn == covered);
    assert_true(place.end_lsn == covered + place.group_bytes);
    /* The group lies in one segment, and a header's room or none is left behind it. */
    assert_true(place.group_lsn / SEGMENT == (place.end_lsn - 1) / SEGMENT);
    const uint64_t left = (SEGMENT - place.end_lsn % SEGMENT) % SEGMENT;
    assert_true(left == 0 || left >= HEADER);
    assert_true(place.group_bytes >= length && place.group_bytes < length + HEADER);
    assert_true(place.group_bytes == length || left == 0);
    if (fresh)
        assert_true(place.group_lsn % 4096 == 0);
    /* No pad without need, and none longer than need be. */
    if (!fresh && free_lsn + length <= segment_end)
        assert_true(place.pad_bytes == 0);
    if (fresh && place.group_lsn < segment_end)
        assert_true(place.pad_bytes < 4096 + HEADER);
}

static void test_place_everywhere(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {104,  112,   136,   200,   3984,  3992,  4000,  4096, 4104,
                                       8192, 32768, 61224, 61328, 61336, 61344, 61432, 61440};
    for (uint64_t offset = 0; offset <= SEGMENT - HEADER; offset += 8) {
        if (offset > 0 && offset < 4096)
            continue; /* inside the header page no log ends */
        for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
            assert_place_is_sound(SEGMENT * 2 + offset, lengths[i], false);
            assert_place_is_sound(SEGMENT * 2 + offset, lengths[i], true);
        }
    }
}

/* ---- entries --------------------------------------------------------------------------------- */

/* The data group header that entries get, as far as stepping through them looks at it. */
static struct wal_group_header header_of(const struct wal_entries *entries)
{
    memset(entries->bytes, 0, WAL_GROUP_HEADER_BYTES);
    return (struct wal_group_header){
        .length_bytes = entries->used_bytes, .kind = WAL_DATA, .draws = entries->draws};
}

/* Decodes all draws of one entry both ways, which must agree; returns how many. */
static uint32_t decode(const struct wal_entry *entry, uint32_t *outcomes)
{
    struct wal_outcome_cursor cursor;
    uint32_t outcome;
    uint32_t run;
    uint32_t count = 0;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next(&cursor, &outcome, &run))
        for (uint32_t i = 0; i < run; i++)
            outcomes[count++] = outcome;

    const uint8_t *drawn;
    uint32_t at = 0;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next_run(&cursor, &drawn, &run)) {
        uint32_t *unpacked = malloc(run * sizeof *unpacked);
        assert_non_null(unpacked);
        memset(unpacked, 0xff, run * sizeof *unpacked); /* URN_FAILED_DRAW */
        if (drawn != NULL)
            wal_outcomes_unpack(drawn, entry->width, unpacked, run);
        assert_memory_equal(unpacked, outcomes + at, run * sizeof *unpacked);
        free(unpacked);
        at += run;
    }
    assert_int_equal(at, count);
    assert_int_equal(count, entry->draws);
    return count;
}

static void test_draws_of_many_requests_share_an_entry(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_draws(&entries, 1, 5, 1, (uint32_t[]){1, 2, 3}, 3);
    wal_entries_add_draws(&entries, 1, 5, 1, (uint32_t[]){4}, 1);
    wal_entries_add_draws(&entries, 1, 5, 1, (uint32_t[]){URN_FAILED_DRAW}, 1);
    wal_entries_add_draws(&entries, 1, 5, 1, (uint32_t[]){URN_FAILED_DRAW, URN_FAILED_DRAW}, 2);
    assert_int_equal(entries.used_bytes, 104 + 24 + 16); /* 4 outcomes, escape, one count */
    wal_entries_add_draws(&entries, 1, 6, 1, (uint32_t[]){9}, 1);   /* other odds */
    wal_entries_add_draws(&entries, 2, 6, 1, (uint32_t[]){8}, 1);   /* other pool */
    wal_entries_add_draws(&entries, 2, 6, 2, (uint32_t[]){300}, 1); /* other width */
    assert_int_equal(entries.draws, 10);

    static const struct {
        uint64_t odds;
        uint32_t pool, draws, width;
        uint32_t outcomes[7];
    } expected[] = {
        {5, 1, 7, 1, {1, 2, 3, 4, URN_FAILED_DRAW, URN_FAILED_DRAW, URN_FAILED_DRAW}},
        {6, 1, 1, 1, {9}},
        {6, 2, 1, 1, {8}},
        {6, 2, 1, 2, {300}},
    };
    const struct wal_group_header header = header_of(&entries);
    uint32_t offset = 0;
    struct wal_entry entry;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        uint32_t outcomes[16] = {0};
        assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
        assert_int_equal(entry.type, WAL_ENTRY_DRAWS);
        assert_int_equal(entry.pool_id, expected[i].pool);
        assert_int_equal(entry.width, expected[i].width);
        assert_int_equal(entry.odds_version, expected[i].odds);
        assert_int_equal(decode(&entry, outcomes), expected[i].draws);
        assert_memory_equal(outcomes, expected[i].outcomes, expected[i].draws * sizeof(uint32_t));
    }
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_ZERO);
    assert_int_equal(offset, header.length_bytes);
}

static uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Random requests, failures in their midst too, come back as they went in. */
static void test_draws_round_trip(void **state)
{
    (void)state;
    enum { DRAWS_MAX = 4000 };
    static uint32_t put[DRAWS_MAX];
    static uint32_t got[DRAWS_MAX];
    static uint8_t bytes[128 + 9 * DRAWS_MAX];
    uint64_t seed = 1;
    for (int round = 0; round < 600; round++) {
        const uint32_t width = 1u << random_next(&seed) % 3;
        const uint32_t largest = width == 1 ? 0xfe : width == 2 ? 0xfffe : 0xfffffffe;
        const uint32_t total = 1 + (uint32_t)(random_next(&seed) % (round < 500 ? 40 : DRAWS_MAX));
        const uint64_t failing = random_next(&seed) % 4; /* never, often ... */
        for (uint32_t i = 0; i < total; i++)
            put[i] = random_next(&seed) % 4 < failing ? URN_FAILED_DRAW
                                                      : (uint32_t)random_next(&seed) % largest;
        put[total - 1] = failing == 0 ? largest : put[total - 1];
        struct wal_entries entries;
        memset(bytes, 0xee, sizeof bytes);
        wal_entries_begin(&entries, bytes, sizeof bytes);
        for (uint32_t done = 0; done < total;) {
            const uint32_t some = 1 + (uint32_t)(random_next(&seed) % (total - done));
            wal_entries_add_draws(&entries, 3, 4, width, put + done, some);
            done += some;
        }
        const struct wal_group_header header = header_of(&entries);
        uint32_t offset = 0;
        struct wal_entry entry;
        assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
        assert_int_equal(entry.draws, total);
        assert_int_equal(decode(&entry, got), total);
        assert_memory_equal(got, put, total * sizeof put[0]);
        assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_ZERO);
    }
}

/* The bound that requests are admitted by holds for the worst that each can add. */
static void test_draws_bytes_max_is_a_bound(void **state)
{
    (void)state;
    static uint32_t outcomes[300];
    static uint8_t bytes[8192];
    for (uint32_t width = 1; width <= 4; width *= 2)
        for (uint32_t count = 1; count <= 300; count++)
            for (uint32_t failed = 0; failed <= count; failed += count < 20 ? 1 : 7) {
                for (uint32_t i = 0; i < count; i++)
                    outcomes[i] = i < count - failed ? 1 : URN_FAILED_DRAW;
                struct wal_entries entries;
                wal_entries_begin(&entries, bytes, sizeof bytes);
                wal_entries_add_draws(&entries, 1, 1, width, outcomes, count);
                assert_true(entries.used_bytes - 104 <= wal_draws_bytes_max(count, width));
            }
}

static void test_epoch_entry_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[WAL_EPOCH_GROUP_BYTES];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_epoch(&entries, (const uint8_t *)"0123456789abcdef", 1ull << 52);
    struct wal_group_header header = header_of(&entries);
    header.kind = WAL_EPOCH;
    uint32_t offset = 0;
    struct wal_entry entry;
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
    assert_int_equal(entry.type, WAL_ENTRY_EPOCH);
    assert_int_equal(entry.next_request_id, 1ull << 52);
    assert_memory_equal(entry.nonce, "0123456789abcdef", WAL_NONCE_BYTES);
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_ZERO);
}

/* Pinned, too. Another length is another entry, and so is a second byte. */
static void test_ids_entry_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[104 + 24] = {0};
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_ids(&entries, 0x0012131415161718);
    assert_hex(bytes + 104, 16,
               "0900000010000000"
               "1817161514131200");
    struct wal_group_header header = header_of(&entries);
    uint32_t offset = 0;
    struct wal_entry entry;
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
    assert_int_equal(entry.type, WAL_ENTRY_IDS);
    assert_int_equal(entry.reserved_request_id, 0x0012131415161718);
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_ZERO);

    bytes[105] = 1;
    offset = 0;
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_SHAPE);
    bytes[105] = 0;
    header.length_bytes = sizeof bytes;
    put_u32(bytes + 104 + 4, 24);
    offset = 0;
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_SHAPE);
    put_u32(bytes + 104 + 4, 8);
    offset = 0;
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_SHAPE);
}

static void test_unknown_entries_are_stepped_over(void **state)
{
    (void)state;
    uint8_t bytes[104 + 16 + 8] = {0};
    put_u32(bytes + 104 + 4, 16);
    bytes[104] = 10;
    bytes[105] = 0x55; /* its second byte is its own */
    const struct wal_group_header header = {.length_bytes = sizeof bytes, .kind = WAL_DATA};
    uint32_t offset = 0;
    struct wal_entry entry;
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
    assert_int_equal(entry.type, 10);
    assert_int_equal(entry.offset, 104);
    assert_int_equal(entry.length_bytes, 16);
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_ZERO);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* One of every type, with every flag. */
static const struct wal_change changes[] = {
    {WAL_ENTRY_UPDATE, 1, 2, 3, 4, 5, WAL_SETS_QUANTITY | WAL_SETS_WEIGHT, {NULL, 0}},
    {WAL_ENTRY_UPDATE, 1, 2, 3, URN_UNLIMITED, 0, WAL_SETS_QUANTITY, {NULL, 0}},
    {WAL_ENTRY_UPDATE, 1, 2, 3, 0, 9, WAL_SETS_WEIGHT | WAL_FROM_FILE | WAL_CONTINUES, {NULL, 0}},
    {WAL_ENTRY_ADD, 7, 8, 9, 10, 11, 0, {"diamond", 7}},
    {WAL_ENTRY_ADD, 7, 9, 9, URN_UNLIMITED, 0, WAL_CONTINUES, {"mud", 3}},
    {WAL_ENTRY_CREATE, 2, 0, 1, 0, 0, 0, {"autumn", 6}},
    {WAL_ENTRY_OPEN, 2, 0, 1, 0, 0, 0, {NULL, 0}},
    {WAL_ENTRY_CLOSE, 2, 0, 5, 0, 0, 0, {NULL, 0}},
    {WAL_ENTRY_APPLIED, 1, 3, 5, 0, 12, 0, {NULL, 0}},
};
#define CHANGES (sizeof changes / sizeof changes[0])

static void test_changes_come_back(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    for (size_t i = 0; i < CHANGES; i++)
        wal_entries_add_change(&entries, &changes[i]);
    struct wal_group_header header = header_of(&entries);
    uint32_t offset = 0;
    struct wal_entry entry;
    for (size_t i = 0; i < CHANGES; i++) {
        const struct wal_change *wrote = &changes[i];
        assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
        assert_int_equal(entry.type, wrote->type);
        assert_int_equal(entry.change.type, wrote->type);
        assert_int_equal(entry.change.pool_id, wrote->pool_id);
        assert_int_equal(entry.change.index, wrote->index);
        assert_int_equal(entry.change.odds_version, wrote->odds_version);
        assert_int_equal(entry.change.quantity, wrote->quantity);
        assert_int_equal(entry.change.probability, wrote->probability);
        assert_int_equal(entry.change.flags, wrote->flags);
        assert_int_equal(entry.change.name.length, wrote->name.length);
        if (wrote->name.length > 0)
            assert_memory_equal(entry.change.name.bytes, wrote->name.bytes, wrote->name.length);
    }
    assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_ZERO);
}

static void test_a_change_is_pinned(void **state)
{
    (void)state;
    uint8_t bytes[256];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_change(&entries, &changes[3]);
    assert_int_equal(entries.used_bytes, 104 + 56);
    assert_memory_equal(bytes + 104,
                        "\4\0\0\0\x38\0\0\0\7\0\0\0\x08\0\0\0\x09\0\0\0\0\0\0\0"
                        "\x0a\0\0\0\0\0\0\0\x0b\0\0\0\0\0\0\0\0\7diamond\0\0\0\0\0\0",
                        56);
}

/* Draws before and behind a change do not share an entry, even at the same odds version. */
static void test_a_change_ends_the_draws_before_it(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_draws(&entries, 2, 5, 1, (uint32_t[]){1}, 1);
    wal_entries_add_change(&entries, &changes[7]);
    wal_entries_add_draws(&entries, 2, 5, 1, (uint32_t[]){1}, 1);
    struct wal_group_header header = header_of(&entries);
    static const uint8_t types[] = {WAL_ENTRY_DRAWS, WAL_ENTRY_CLOSE, WAL_ENTRY_DRAWS};
    uint32_t offset = 0;
    struct wal_entry entry;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wal_entry_next(bytes, &header, &offset, &entry), WAL_READ_OK);
        assert_int_equal(entry.type, types[i]);
    }
}

/* Every byte of a change's fixed part that says nothing must be zero, and every length fit. */
static void test_broken_changes_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t change, at;
        uint8_t value;
    } broken[] = {
        {0, 1, 1},  {0, 2, 1},  {0, 4, 56}, {0, 40, 0},  {0, 40, 1},  {0, 40, 16}, {0, 41, 1},
        {0, 42, 1}, {0, 47, 1}, {1, 32, 1}, {1, 40, 5},  {1, 40, 9},  {2, 24, 1},  {3, 40, 1},
        {3, 40, 4}, {3, 41, 0}, {3, 41, 6}, {3, 41, 65}, {3, 41, 15}, {3, 49, 1},  {5, 12, 1},
        {5, 24, 1}, {5, 32, 1}, {5, 40, 8}, {5, 41, 0},  {6, 12, 1},  {6, 24, 1},  {6, 32, 1},
        {6, 40, 1}, {6, 41, 1}, {8, 24, 1}, {8, 40, 2},  {8, 41, 1},
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        uint8_t bytes[256] = {0};
        struct wal_entries entries;
        wal_entries_begin(&entries, bytes, sizeof bytes);
        wal_entries_add_change(&entries, &changes[broken[i].change]);
        struct wal_group_header header = header_of(&entries);
        header.length_bytes += 16; /* room for a length that says more */
        bytes[104 + broken[i].at] = broken[i].value;
        uint32_t offset = 0;
        struct wal_entry entry;
        if (wal_entry_next(bytes, &header, &offset, &entry) != WAL_READ_SHAPE)
            fail_msg("byte %u of change %u may be %u", broken[i].at, broken[i].change,
                     broken[i].value);
    }
}

/* ---- shape ----------------------------------------------------------------------------------- */

/* A group of 16 outcomes of width 1 that end in a run of 3 failed, in 200 bytes. */
static struct wal_group_header shape_group(uint8_t *bytes)
{
    static const uint32_t outcomes[] = {1,
                                        2,
                                        3,
                                        4,
                                        5,
                                        6,
                                        URN_FAILED_DRAW,
                                        URN_FAILED_DRAW,
                                        7,
                                        8,
                                        9,
                                        URN_FAILED_DRAW,
                                        URN_FAILED_DRAW,
                                        URN_FAILED_DRAW};
    struct wal_entries entries;
    memset(bytes, 0, 200);
    wal_entries_begin(&entries, bytes, 200);
    wal_entries_add_draws(&entries, 0, 1, 1, outcomes, 14);
    struct wal_group_header header = header_of(&entries);
    header.length_bytes = 200;
    return header;
}

static enum wal_read_result walk_entries(const uint8_t *bytes,
                                         const struct wal_group_header *header)
{
    uint32_t offset = 0;
    struct wal_entry entry;
    enum wal_read_result result;
    do
        result = wal_entry_next(bytes, header, &offset, &entry);
    while (result == WAL_READ_OK);
    return result;
}

static void test_shape_refusals_by_one_byte(void **state)
{
    (void)state;
    /* Entry at 104, outcomes at 128: 6 of them, escape at 134, count at 135, 3 more at 139, escape
     * at 142, count at 143, zero fill from 147 on. */
    static const struct {
        uint32_t at;
        uint8_t byte;
        const char *what;
    } breaks[] = {
        {13, 1, "zero byte of the header"},
        {15, 1, "zero byte of the header"},
        {104, 2, "an epoch entry in a data group"},
        {105, 0, "width 0"},
        {105, 3, "width 3"},
        {106, 1, "zero byte of the entry"},
        {107, 1, "zero byte of the entry"},
        {108, 0, "no length"},
        {108, 44, "length not a multiple of 8"},
        {108, 40, "length that cuts the outcomes"},
        {108, 56, "length with 8 bytes of zero fill too many"},
        {108, 104, "length beyond the group"},
        {110, 1, "length beyond the group"},
        {116, 0, "no draws"},
        {116, 13, "fewer draws than outcomes"},
        {116, 20, "more draws than outcomes and bytes of zero fill"},
        {119, 0xff, "4 billion draws"},
        {128, 0xff, "an escape of a long run"},
        {134, 1, "outcomes for an escape"},
        {135, 0, "a run of none"},
        {138, 1, "a run longer than the draws"},
        {143, 4, "a longer run at the end"},
        {147, 1, "zero fill of the entry"},
        {151, 1, "zero fill of the entry"},
        {152, 1, "a broken entry behind"},
        {160, 1, "zero fill of the group"},
        {199, 1, "zero fill of the group"},
    };
    uint8_t bytes[200];
    struct wal_group_header header = shape_group(bytes);
    assert_int_equal(walk_entries(bytes, &header), WAL_READ_ZERO);
    for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
        header = shape_group(bytes);
        assert_int_not_equal(bytes[breaks[i].at], breaks[i].byte);
        bytes[breaks[i].at] = breaks[i].byte;
        if (walk_entries(bytes, &header) != WAL_READ_SHAPE)
            fail_msg("not refused: %s", breaks[i].what);
    }
}

static void test_shape_of_kinds(void **state)
{
    (void)state;
    uint8_t bytes[200];
    struct wal_group_header header = shape_group(bytes);
    static const int not_kinds[] = {0, WAL_PAD, WAL_MARK, WAL_EPOCH, 5, 255};
    for (size_t i = 0; i < sizeof not_kinds / sizeof not_kinds[0]; i++) {
        header.kind = (enum wal_group_kind)not_kinds[i];
        assert_int_equal(walk_entries(bytes, &header), WAL_READ_SHAPE);
        header.draws = 0;
        assert_int_equal(walk_entries(bytes, &header), WAL_READ_SHAPE);
    }

    uint8_t zeros[200] = {0};
    header = (struct wal_group_header){.length_bytes = 200, .kind = WAL_PAD, .lsn = 8};
    assert_int_equal(walk_entries(zeros, &header), WAL_READ_ZERO);
    header.kind = WAL_MARK;
    assert_int_equal(walk_entries(zeros, &header), WAL_READ_SHAPE); /* not on a fresh page */
    header.lsn = 4096;
    assert_int_equal(walk_entries(zeros, &header), WAL_READ_ZERO);
    header.draws = 1;
    assert_int_equal(walk_entries(zeros, &header), WAL_READ_SHAPE);
    header.draws = 0;
    for (uint32_t at = 104; at < 200; at++) { /* a pad's body is zero to the last byte */
        zeros[at] = 0x80;
        header.kind = WAL_PAD;
        assert_int_equal(walk_entries(zeros, &header), WAL_READ_SHAPE);
        zeros[at] = 0;
    }
}

static void test_shape_of_epoch_groups(void **state)
{
    (void)state;
    uint8_t bytes[208] = {0};
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_epoch(&entries, (const uint8_t *)"0123456789abcdef", 1);
    struct wal_group_header header = {.length_bytes = 136, .kind = WAL_EPOCH, .lsn = 4096};
    assert_int_equal(walk_entries(bytes, &header), WAL_READ_ZERO);
    header.lsn = 4104;
    assert_int_equal(walk_entries(bytes, &header), WAL_READ_SHAPE);
    header.lsn = 4096;
    header.length_bytes = 208; /* zero fill is allowed, a second entry is not */
    assert_int_equal(walk_entries(bytes, &header), WAL_READ_ZERO);
    memcpy(bytes + 136, bytes + 104, 32);
    assert_int_equal(walk_entries(bytes, &header), WAL_READ_SHAPE);
    memset(bytes + 136, 0, 32);
    put_u32(bytes + 108, 40);
    assert_int_equal(walk_entries(bytes, &header), WAL_READ_SHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_pinned),
        cmocka_unit_test(test_crc32c_is_the_known_one),
        cmocka_unit_test(test_segment_header_golden),
        cmocka_unit_test(test_group_golden),
        cmocka_unit_test(test_epoch_group_golden),
        cmocka_unit_test(test_segment_header_refusals),
        cmocka_unit_test(test_segment_header_beginnings),
        cmocka_unit_test(test_valid_group_moves_the_tail),
        cmocka_unit_test(test_v1_magic_and_length),
        cmocka_unit_test(test_v2_every_bit_is_under_the_checksum),
        cmocka_unit_test(test_v3_another_ring),
        cmocka_unit_test(test_v4_an_earlier_lap),
        cmocka_unit_test(test_v5_the_chain),
        cmocka_unit_test(test_v5_both_chains_count),
        cmocka_unit_test(test_v5_two_histories_never_share_a_chain),
        cmocka_unit_test(test_v6_a_lower_epoch),
        cmocka_unit_test(test_v7_durable_above_its_own_position),
        cmocka_unit_test(test_group_beginnings),
        cmocka_unit_test(test_every_result_has_words),
        cmocka_unit_test(test_place_at_a_segments_start),
        cmocka_unit_test(test_place_on_a_fresh_page),
        cmocka_unit_test(test_place_at_a_segments_end),
        cmocka_unit_test(test_place_on_a_fresh_page_near_a_segments_end),
        cmocka_unit_test(test_place_everywhere),
        cmocka_unit_test(test_draws_of_many_requests_share_an_entry),
        cmocka_unit_test(test_draws_round_trip),
        cmocka_unit_test(test_draws_bytes_max_is_a_bound),
        cmocka_unit_test(test_epoch_entry_round_trip),
        cmocka_unit_test(test_ids_entry_round_trip),
        cmocka_unit_test(test_unknown_entries_are_stepped_over),
        cmocka_unit_test(test_changes_come_back),
        cmocka_unit_test(test_a_change_is_pinned),
        cmocka_unit_test(test_a_change_ends_the_draws_before_it),
        cmocka_unit_test(test_broken_changes_are_refused),
        cmocka_unit_test(test_shape_refusals_by_one_byte),
        cmocka_unit_test(test_shape_of_kinds),
        cmocka_unit_test(test_shape_of_epoch_groups),
    };
    return cmocka_run_group_tests_name("wal_format", tests, NULL, NULL);
}
