/* test_snapshot.c: the snapshot's format (pinned, canonical, hostile-proof) and its file (the steps
 * S1 to S5 under faults and crashes). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium/crypto_hash_sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/crc32c.h"
#include "engine/snapshot_file.h"
#include "tests/lib/os_sim.h"

/* ---- a state to play with -------------------------------------------------------------------- */

static const struct state_bounds test_bounds = {.max_pools = 64, .max_items = 3000000};

static const struct wal_geometry test_geometry = {
    .ring_uuid = {0x8f, 0x14, 0xe4, 0x5f, 0xce, 0xea, 0x46, 0x7f, 0x95, 0x75, 0x3a, 0x1c, 0x40,
                  0xb0, 0xd2, 0xa1},
    .segment_size_bytes = 65536,
    .segments = 3,
};

static struct urn_pool *add_pool(struct state *state, const char *name, uint32_t items_max)
{
    struct urn_pool *pool = NULL;
    struct urn_error error;
    assert_int_equal(state_add_pool(state, name, (uint32_t)strlen(name), items_max, &pool, &error),
                     URN_OK);
    return pool;
}

static void add_item(struct state *state, struct urn_pool *pool, const char *item_id,
                     int64_t quantity, uint64_t probability, uint64_t drawn)
{
    struct urn_error error;
    if (state_add_item(state, pool, item_id, (uint32_t)strlen(item_id), quantity, probability,
                       drawn, &error) != URN_OK)
        fail_msg("%s", error.text);
}

/* Two pools, every kind of quantity, every counter its own value. */
static void make_small_state(struct state *state)
{
    struct urn_error error;
    assert_int_equal(state_make(&test_bounds, state, &error), URN_OK);
    struct urn_pool *pool = add_pool(state, "main", 3);
    add_item(state, pool, "diamond", 100, 10, 7);
    add_item(state, pool, "mud", URN_UNLIMITED, 70, 123456);
    add_item(state, pool, "s\xc3\xa4umig", 0, 0, 1);
    pool_set_odds_version(pool, 5);
    pool = add_pool(state, "b", 1);
    add_item(state, pool, "x", (int64_t)URN_NUMBER_MAX, URN_NUMBER_MAX, 0);
    pool_set_open(pool, false);
    state->tail.lsn = 65536 + 4096 + 104;
    state->tail.epoch = 9;
    for (uint32_t i = 0; i < WAL_CHAIN_BYTES; i++)
        state->tail.chain[i] = (uint8_t)(0xc0 + i);
    state->next_request_id = 123457;
    state->reserved_request_id = 200000;
    state->engine_time_us = 1000001;
    state->wall_time_us = 1700000000000000;
}

/* ---- files in memory ------------------------------------------------------------------------- */

struct memory_file {
    uint8_t *bytes;
    uint64_t length, room, read_offset;
    uint64_t fail_at_call; /* of sink or source; 0: never */
    uint64_t calls;
};

static enum urn_code memory_sink(void *context, const uint8_t *block, uint32_t length_bytes,
                                 struct urn_error *error)
{
    struct memory_file *file = context;
    if (++file->calls == file->fail_at_call)
        return error_set(error, URN_IO, ENOSPC, "sink");
    if (file->length + length_bytes > file->room) {
        file->room = 2 * (file->length + length_bytes);
        file->bytes = realloc(file->bytes, file->room);
        assert_non_null(file->bytes);
    }
    memcpy(file->bytes + file->length, block, length_bytes);
    file->length += length_bytes;
    return URN_OK;
}

static enum urn_code memory_source(void *context, uint8_t *to, uint32_t length_bytes,
                                   struct urn_error *error)
{
    struct memory_file *file = context;
    if (++file->calls == file->fail_at_call)
        return error_set(error, URN_IO, EIO, "source");
    assert_true(file->read_offset + length_bytes <= file->length);
    memcpy(to, file->bytes + file->read_offset, length_bytes);
    file->read_offset += length_bytes;
    return URN_OK;
}

static uint8_t test_block[SNAPSHOT_BLOCK_BYTES];

static void encode(const struct state *state, struct memory_file *file)
{
    struct urn_error error;
    *file = (struct memory_file){0};
    assert_int_equal(snapshot_encode(state, &test_geometry, test_block, memory_sink, file, &error),
                     URN_OK);
}

static enum urn_code decode_with(struct memory_file *file, const struct state_bounds *bounds,
                                 struct state *state, struct urn_error *error)
{
    struct wal_geometry geometry = {0};
    file->read_offset = 0;
    file->calls = 0;
    error->text[0] = '\0';
    enum urn_code code = snapshot_decode(file->length, bounds, memory_source, file, test_block,
                                         state, &geometry, error);
    if (code == URN_OK) {
        assert_int_equal(file->read_offset, file->length);
        assert_memory_equal(&geometry.ring_uuid, test_geometry.ring_uuid, WAL_UUID_BYTES);
        assert_int_equal(geometry.segment_size_bytes, get_u64(file->bytes + 16 + 32));
        assert_int_equal(geometry.segments, get_u32(file->bytes + 16 + 40));
    } else {
        assert_null(state->pools);
        assert_int_equal(error->code, code);
        assert_true(error->text[0] != '\0');
    }
    return code;
}

static enum urn_code decode(struct memory_file *file, struct urn_error *error)
{
    struct state state;
    enum urn_code code = decode_with(file, &test_bounds, &state, error);
    if (code == URN_OK)
        state_free(&state);
    return code;
}

/* Checks without decoding. */
static enum urn_code check(struct memory_file *file, struct urn_error *error)
{
    struct wal_geometry geometry = {0};
    uint64_t lsn = 0;
    file->read_offset = 0;
    file->calls = 0;
    enum urn_code code =
        snapshot_check(file->length, memory_source, file, test_block, &geometry, &lsn, error);
    if (code != URN_OK)
        return code;
    assert_int_equal(file->read_offset, file->length);
    assert_int_equal(lsn, get_u64(file->bytes + 16 + 48));
    assert_memory_equal(geometry.ring_uuid, file->bytes + 16 + 16, WAL_UUID_BYTES);
    assert_int_equal(geometry.segment_size_bytes, get_u64(file->bytes + 16 + 32));
    assert_int_equal(geometry.segments, get_u32(file->bytes + 16 + 40));
    return code;
}

/* Makes every block's CRC and the end block's SHA-256 right again, so that what a test has changed
 * is all that is wrong. Written from the format's description, not with the encoder's code. */
static void reseal(struct memory_file *file)
{
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    uint64_t offset = 0;
    for (; offset + 65536 <= file->length; offset += 65536) {
        put_u32(file->bytes + offset + 4, crc32c(file->bytes + offset + 8, 65536 - 8));
        crypto_hash_sha256_update(&hash, file->bytes + offset + 4, 4);
    }
    crypto_hash_sha256_final(&hash, file->bytes + offset + 16);
    put_u32(file->bytes + offset + 4, crc32c(file->bytes + offset + 8, 4096 - 8));
}

/* ---- the format ------------------------------------------------------------------------------ */

static void test_format_is_pinned(void **context)
{
    (void)context;
    assert_int_equal(SNAPSHOT_FORMAT_VERSION, 1);
    assert_int_equal(SNAPSHOT_BLOCK_BYTES, 65536);
    assert_int_equal(SNAPSHOT_PAYLOAD_BYTES, 65520);
    assert_int_equal(SNAPSHOT_END_BYTES, 4096);
    assert_int_equal(SNAPSHOT_HEADER_BYTES, 112);
    struct state state;
    struct memory_file file;
    make_small_state(&state);
    encode(&state, &file);
    assert_int_equal(file.length, 65536 + 4096);
    const uint8_t *p = file.bytes + 16;
    assert_memory_equal(file.bytes, "URNB", 4);
    assert_int_equal(get_u32(file.bytes + 4), crc32c(file.bytes + 8, 65528));
    assert_int_equal(get_u32(file.bytes + 8), 0);
    assert_memory_equal(p, "URNSNAP1", 8);
    assert_int_equal(get_u32(p + 8), 1);
    assert_int_equal(get_u32(p + 12), 2);
    assert_memory_equal(p + 16, test_geometry.ring_uuid, 16);
    assert_int_equal(get_u64(p + 32), 65536);
    assert_int_equal(get_u64(p + 40), 3);
    assert_int_equal(get_u64(p + 48), 65536 + 4096 + 104);
    assert_int_equal(get_u64(p + 56), 9);
    assert_int_equal(get_u64(p + 64), 123457);
    assert_int_equal(get_u64(p + 72), 200000);
    assert_int_equal(get_u64(p + 80), 1000001);
    assert_int_equal(get_u64(p + 88), 1700000000000000);
    assert_int_equal(p[96], 0xc0);
    assert_int_equal(p[111], 0xcf);
    assert_memory_equal(p + 112,
                        "\0\0\0\0\3\0\0\0\5\0\0\0\0\0\0\0\1\4main"
                        "\x64\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\7diamond"
                        "\xff\xff\xff\xff\xff\xff\xff\xff\x46\0\0\0\0\0\0\0"
                        "\x40\xe2\1\0\0\0\0\0\3mud",
                        22 + 32 + 28);
    uint32_t length = 112 + 22 + 32 + 28 + 32 + 19 + 26;
    assert_int_equal(get_u32(file.bytes + 12), length);
    assert_true(bytes_are_zero(file.bytes + 16 + length, 65520 - length));
    const uint8_t *end = file.bytes + 65536;
    uint8_t hash[32];
    crypto_hash_sha256(hash, file.bytes + 4, 4);
    assert_memory_equal(end, "URNE", 4);
    assert_int_equal(get_u32(end + 4), crc32c(end + 8, 4088));
    assert_int_equal(get_u32(end + 8), 1);
    assert_int_equal(get_u32(end + 12), 40);
    assert_memory_equal(end + 16, hash, 32);
    assert_int_equal(get_u64(end + 48), length);
    assert_true(bytes_are_zero(end + 56, 4096 - 56));
    /* the whole file in one number: whatever changes the format changes it */
    assert_int_equal(crc32c(file.bytes, file.length), 0xa15ec7c5);
    free(file.bytes);
    state_free(&state);
}

static void test_crc32c_is_castagnoli(void **context)
{
    (void)context;
    assert_int_equal(crc32c("123456789", 9), 0xe3069283); /* RFC 3720's check value */
    assert_int_equal(crc32c_extend(crc32c("1234", 4), "56789", 5), 0xe3069283);
    assert_int_equal(crc32c("", 0), 0);
}

static void test_values_come_back(void **context)
{
    (void)context;
    struct state state;
    struct state back;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    assert_int_equal(decode_with(&file, &test_bounds, &back, &error), URN_OK);
    state_check(&back);
    assert_int_equal(back.tail.lsn, state.tail.lsn);
    assert_int_equal(back.tail.epoch, state.tail.epoch);
    assert_memory_equal(back.tail.chain, state.tail.chain, WAL_CHAIN_BYTES);
    assert_int_equal(back.next_request_id, state.next_request_id);
    assert_int_equal(back.reserved_request_id, state.reserved_request_id);
    assert_int_equal(back.engine_time_us, state.engine_time_us);
    assert_int_equal(back.wall_time_us, state.wall_time_us);
    assert_int_equal(back.item_count, 4);
    struct urn_pool *pool = state_find_pool(&back, "main", 4);
    assert_non_null(pool);
    assert_int_equal(pool_id(pool), 0);
    assert_int_equal(pool_odds_version(pool), 5);
    assert_true(pool_is_open(pool));
    assert_int_equal(pool_weight_in_stock(pool), 80);
    struct urn_item item;
    pool_item(pool, 1, &item);
    assert_int_equal(item.quantity, URN_UNLIMITED);
    assert_int_equal(item.probability, 70);
    assert_int_equal(item.drawn, 123456);
    assert_memory_equal(item.item_id.bytes, "mud", 3);
    pool = state_find_pool(&back, "b", 1);
    assert_false(pool_is_open(pool));
    assert_int_equal(pool_weight_in_stock(pool), URN_NUMBER_MAX);
    free(file.bytes);
    state_free(&back);
    state_free(&state);
}

/* ---- canonical: encode(decode(x)) == x ------------------------------------------------------- */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13; /* xorshift64, Marsaglia 2003 */
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void assert_round_trip(const struct state *state)
{
    struct memory_file file;
    struct memory_file again;
    struct state back;
    struct urn_error error;
    encode(state, &file);
    assert_true(file.length <= snapshot_bytes_max(state->pool_count, state->item_count));
    assert_int_equal(decode_with(&file, &test_bounds, &back, &error), URN_OK);
    assert_int_equal(check(&file, &error), URN_OK);
    state_check(&back);
    encode(&back, &again);
    assert_int_equal(file.length, again.length);
    assert_memory_equal(file.bytes, again.bytes, file.length);
    state_free(&back);
    free(again.bytes);
    free(file.bytes);
}

static void make_random_state(struct state *state, uint64_t *seed)
{
    struct urn_error error;
    char name[URN_NAME_BYTES_MAX + 8];
    assert_int_equal(state_make(&test_bounds, state, &error), URN_OK);
    uint32_t pools = (uint32_t)(next_random(seed) % 5);
    for (uint32_t i = 0; i < pools; i++) {
        snprintf(name, sizeof name, "%" PRIu32 "%.*s", i, (int)(next_random(seed) % 60),
                 "-----------------------------------------------------------------");
        uint32_t items = (uint32_t)(next_random(seed) % (next_random(seed) % 3 == 0 ? 4000 : 9));
        struct urn_pool *pool = add_pool(state, name, items);
        for (uint32_t k = 0; k < items; k++) {
            snprintf(name, sizeof name, "%" PRIu32 "%.*s", k, (int)(next_random(seed) % 60),
                     "=================================================================");
            int64_t quantity = next_random(seed) % 4 == 0
                                   ? URN_UNLIMITED
                                   : (int64_t)(next_random(seed) & (URN_NUMBER_MAX >> 1));
            add_item(state, pool, name, quantity, next_random(seed) % (1ull << 40),
                     next_random(seed) & (URN_NUMBER_MAX >> 1));
        }
        pool_set_odds_version(pool, 1 + next_random(seed) % URN_NUMBER_MAX);
        pool_set_open(pool, next_random(seed) % 2 == 0);
    }
    state->tail.lsn =
        (next_random(seed) & URN_NUMBER_MAX & ~0xffffull) + 4096 + next_random(seed) % 1000 * 8;
    state->tail.epoch = (uint32_t)next_random(seed);
    state->next_request_id = 1 + next_random(seed) % URN_NUMBER_MAX;
    state->reserved_request_id = next_random(seed) & URN_NUMBER_MAX;
    state->engine_time_us = next_random(seed) & URN_NUMBER_MAX;
    state->wall_time_us = next_random(seed) & URN_NUMBER_MAX;
}

static void test_random_states_round_trip(void **context)
{
    (void)context;
    uint64_t seed = 20240229;
    for (uint32_t i = 0; i < 60; i++) {
        struct state state;
        make_random_state(&state, &seed);
        assert_round_trip(&state);
        state_free(&state);
    }
}

/* The last item ends some bytes before, at and behind the end of the first block, so that a
 * record's head, its id, or nothing at all lies in the second. */
static void test_records_across_blocks_round_trip(void **context)
{
    (void)context;
    uint32_t before = 112 + 18 + 1; /* header, one pool named by one byte */
    for (uint32_t shortage = 0; shortage < 100; shortage++) {
        struct state state;
        struct urn_error error;
        assert_int_equal(state_make(&test_bounds, &state, &error), URN_OK);
        struct urn_pool *pool = add_pool(&state, "p", 4000);
        uint32_t target = 65520 - shortage;
        char name[URN_NAME_BYTES_MAX + 1];
        uint32_t used = before;
        for (uint32_t i = 0; used < target; i++) {
            uint32_t left = target - used;
            uint32_t id = left >= 160 ? 40 : left > 89 ? left / 2 - 25 : left - 25;
            snprintf(name, sizeof name, "%0*" PRIu32, (int)id, i);
            add_item(&state, pool, name, 5, 5, 5);
            used += 25 + id;
        }
        assert_int_equal(used, target);
        assert_round_trip(&state);
        add_item(&state, pool, "one more across the boundary", 5, 5, 5);
        assert_round_trip(&state);
        struct memory_file file;
        encode(&state, &file);
        assert_int_equal(file.length, (used + 53 > 65520 ? 2 : 1) * 65536 + 4096);
        free(file.bytes);
        state_free(&state);
    }
}

static void test_largest_file_is_bounded(void **context)
{
    (void)context;
    struct state state;
    struct urn_error error;
    assert_int_equal(state_make(&test_bounds, &state, &error), URN_OK);
    char name[URN_NAME_BYTES_MAX + 1];
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "%064" PRIu32, i);
        struct urn_pool *pool = add_pool(&state, name, 100);
        for (uint32_t k = 0; k < 100; k++) {
            snprintf(name, sizeof name, "%064" PRIu32, k);
            add_item(&state, pool, name, 1, 1, 1);
            assert_int_equal(pool_set_applied_weight(pool, k, 2, &error), URN_OK);
        }
    }
    struct memory_file file;
    encode(&state, &file);
    assert_int_equal(file.length, snapshot_bytes_max(64, 6400));
    free(file.bytes);
    state_free(&state);
}

/* ---- damage and hostility -------------------------------------------------------------------- */

static void test_every_flipped_byte_is_refused(void **context)
{
    (void)context;
    struct state state;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    for (uint64_t i = 0; i < file.length; i++) {
        bool zero_fill = (i > 600 && i < 65536 - 8) || i > 65536 + 128;
        if (zero_fill && i % 61 != 0)
            continue;
        file.bytes[i] ^= (uint8_t)(1u << (i % 8));
        assert_int_equal(decode(&file, &error), URN_DAMAGED);
        assert_int_equal(check(&file, &error), URN_DAMAGED);
        file.bytes[i] ^= (uint8_t)(1u << (i % 8));
    }
    assert_int_equal(decode(&file, &error), URN_OK);
    free(file.bytes);
    state_free(&state);
}

static void test_every_wrong_length_is_refused(void **context)
{
    (void)context;
    uint64_t seed = 7;
    struct state state;
    struct memory_file file;
    struct urn_error error;
    do {
        make_random_state(&state, &seed);
        encode(&state, &file);
        if (file.length > 2 * 65536)
            break;
        free(file.bytes);
        state_free(&state);
    } while (true);
    file.bytes = realloc(file.bytes, file.length + 2 * 65536);
    assert_non_null(file.bytes);
    memset(file.bytes + file.length, 0, 2 * 65536);
    uint64_t right = file.length;
    for (uint64_t length = 0; length < right + 2 * 65536; length += 512) {
        file.length = length;
        assert_int_equal(decode(&file, &error), length == right ? URN_OK : URN_DAMAGED);
        assert_int_equal(check(&file, &error), length == right ? URN_OK : URN_DAMAGED);
    }
    file.length = right;
    file.read_offset = 0;
    free(file.bytes);
    state_free(&state);
}

/* Offsets into the file of make_small_state. */
#define SERIALISATION 16
#define POOL_MAIN     (SERIALISATION + 112)
#define ITEM_DIAMOND  (POOL_MAIN + 22)
#define ITEM_MUD      (ITEM_DIAMOND + 32)
#define ITEM_LATE     (ITEM_MUD + 28)
#define POOL_B        (ITEM_LATE + 32)
#define ITEM_X        (POOL_B + 19)
#define END_OF_STATE  (ITEM_X + 26)
#define END_BLOCK     65536

/* One thing wrong, everything sealed again. */
static const struct hostile_case {
    const char *what;
    uint32_t offset, bytes;
    uint64_t value;
    enum urn_code code;
    const char *says;
} hostile_cases[] = {
    {"magic", SERIALISATION, 1, 'u', URN_DAMAGED, "does not begin"},
    {"version 2", SERIALISATION + 8, 4, 2, URN_FORMAT, "format 2"},
    {"version 0", SERIALISATION + 8, 4, 0, URN_FORMAT, "format 0"},
    {"one pool less", SERIALISATION + 12, 4, 1, URN_DAMAGED, "more follows"},
    {"one pool more", SERIALISATION + 12, 4, 3, URN_DAMAGED, "ends in the midst"},
    {"pools beyond the file", SERIALISATION + 12, 4, UINT32_MAX, URN_DAMAGED, "more than can"},
    {"segment size 1000000", SERIALISATION + 32, 8, 1000000, URN_DAMAGED, "multiple of 4096"},
    {"segment size 1024000", SERIALISATION + 32, 8, 1024000, URN_OK, ""},
    {"LSN in the header of such a segment", SERIALISATION + 32, 8, 69632, URN_DAMAGED, "LSN"},
    {"segment size 4096", SERIALISATION + 32, 8, 4096, URN_DAMAGED, "out of range"},
    {"segment size 2^35", SERIALISATION + 32, 8, 1ull << 35, URN_DAMAGED, "out of range"},
    {"two segments", SERIALISATION + 40, 4, 2, URN_DAMAGED, "number of segments"},
    {"4097 segments", SERIALISATION + 40, 4, 4097, URN_DAMAGED, "number of segments"},
    {"zero after segments", SERIALISATION + 44, 4, 1, URN_DAMAGED, "zero"},
    {"LSN unaligned", SERIALISATION + 48, 8, 4100, URN_DAMAGED, "LSN"},
    {"LSN in a segment header", SERIALISATION + 48, 8, 65536 + 4088, URN_DAMAGED, "LSN"},
    {"LSN 2^53", SERIALISATION + 48, 8, 1ull << 53, URN_DAMAGED, "LSN"},
    {"LSN at a segment's start", SERIALISATION + 48, 8, 65536, URN_OK, ""},
    {"LSN 0", SERIALISATION + 48, 8, 0, URN_OK, ""},
    {"zero after epoch", SERIALISATION + 60, 4, 1, URN_DAMAGED, "zero"},
    {"epoch 2^32-1", SERIALISATION + 56, 4, UINT32_MAX, URN_OK, ""},
    {"next id 0", SERIALISATION + 64, 8, 0, URN_DAMAGED, "next request id"},
    {"next id 2^53", SERIALISATION + 64, 8, 1ull << 53, URN_DAMAGED, "next request id"},
    {"next id 2^53-1", SERIALISATION + 64, 8, URN_NUMBER_MAX, URN_OK, ""},
    {"reserved 2^53", SERIALISATION + 72, 8, 1ull << 53, URN_DAMAGED, "reserved request id"},
    {"reserved 0", SERIALISATION + 72, 8, 0, URN_OK, ""},
    {"engine time 2^53", SERIALISATION + 80, 8, 1ull << 53, URN_DAMAGED, "time"},
    {"wall time, which is for people", SERIALISATION + 88, 8, UINT64_MAX, URN_OK, ""},
    {"pool id 1 first", POOL_MAIN, 4, 1, URN_DAMAGED, "its id"},
    {"pool id 0 twice", POOL_B, 4, 0, URN_DAMAGED, "pool 1: its id"},
    {"items beyond the file", POOL_MAIN + 4, 4, UINT32_MAX, URN_DAMAGED, "more than can"},
    {"an item more", POOL_B + 4, 4, 2, URN_DAMAGED, "more than can"},
    {"an item less", POOL_B + 4, 4, 0, URN_DAMAGED, "more follows"},
    {"odds version 0", POOL_MAIN + 8, 8, 0, URN_DAMAGED, "odds version"},
    {"odds version 2^53", POOL_MAIN + 8, 8, 1ull << 53, URN_DAMAGED, "odds version"},
    {"unfinished", POOL_MAIN + 16, 1, 2, URN_OK, ""},
    {"neither open nor closed", POOL_MAIN + 16, 1, 3, URN_DAMAGED, "neither open"},
    {"pool name of no bytes", POOL_MAIN + 17, 1, 0, URN_DAMAGED, "length of its name"},
    {"pool name of 65 bytes", POOL_MAIN + 17, 1, 65, URN_DAMAGED, "length of its name"},
    {"pool name not UTF-8", POOL_MAIN + 18, 1, 0xff, URN_DAMAGED, "pool 0: "},
    {"pool name with a line feed", POOL_MAIN + 18, 1, '\n', URN_DAMAGED, "pool 0: "},
    {"quantity -2", ITEM_DIAMOND, 8, (uint64_t)-2, URN_DAMAGED, "item 0: its quantity"},
    {"quantity 2^53", ITEM_DIAMOND, 8, 1ull << 53, URN_DAMAGED, "quantity"},
    {"weight 2^53", ITEM_DIAMOND + 8, 8, 1ull << 53, URN_DAMAGED, "weight"},
    {"weights that sum to 2^53", ITEM_DIAMOND + 8, 8, URN_NUMBER_MAX - 69, URN_DAMAGED, "item 1"},
    {"weights that sum to 2^53-1", ITEM_DIAMOND + 8, 8, URN_NUMBER_MAX - 70, URN_OK, ""},
    {"drawn 2^53", ITEM_DIAMOND + 16, 8, 1ull << 53, URN_DAMAGED, "count of draws"},
    {"item id of no bytes", ITEM_DIAMOND + 24, 1, 0, URN_DAMAGED, "length of its id"},
    {"item id of 65 bytes", ITEM_DIAMOND + 24, 1, 65, URN_DAMAGED, "length of its id"},
    {"item id of 255 bytes", ITEM_DIAMOND + 24, 1, 255, URN_DAMAGED, "length of its id"},
    {"applied weight that is not there", ITEM_X + 24, 1, 129, URN_DAMAGED, "ends in the midst"},
    {"applied weight 2^53 and more", ITEM_DIAMOND + 24, 1, 128 + 7, URN_DAMAGED, "applied weight"},
    {"item id not UTF-8", ITEM_LATE + 26, 1, 'c', URN_DAMAGED, "item 2"},
    {"a payload byte too many", 12, 4, END_OF_STATE - 16 + 1, URN_DAMAGED, "more follows"},
    {"a payload byte too few", 12, 4, END_OF_STATE - 16 - 1, URN_DAMAGED, "not zero behind"},
    {"no payload", 12, 4, 0, URN_DAMAGED, "impossible length"},
    {"payload beyond the block", 12, 4, 65521, URN_DAMAGED, "impossible length"},
    {"block magic", 0, 1, 'u', URN_DAMAGED, "does not begin as a block"},
    {"block index", 8, 4, 1, URN_DAMAGED, "another place"},
    {"zero fill", 60000, 1, 1, URN_DAMAGED, "not zero behind"},
    {"end block magic", END_BLOCK, 4, 0x424e5255, URN_DAMAGED, "does not begin as a block"},
    {"end block index", END_BLOCK + 8, 4, 0, URN_DAMAGED, "another place"},
    {"end block payload", END_BLOCK + 12, 4, 41, URN_DAMAGED, "impossible length"},
    {"end block total", END_BLOCK + 48, 8, END_OF_STATE, URN_DAMAGED, "total length"},
    {"end block zero fill", END_BLOCK + 4095, 1, 1, URN_DAMAGED, "not zero behind"},
};

static void put_value(uint8_t *to, uint64_t value, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static void test_hostile_content_is_refused(void **context)
{
    (void)context;
    struct state state;
    struct memory_file file;
    make_small_state(&state);
    encode(&state, &file);
    assert_memory_equal(file.bytes + ITEM_X + 25, "x", 2);
    uint8_t *saved = malloc(file.length);
    assert_non_null(saved);
    memcpy(saved, file.bytes, file.length);
    for (size_t i = 0; i < sizeof hostile_cases / sizeof hostile_cases[0]; i++) {
        const struct hostile_case *hostile = &hostile_cases[i];
        struct urn_error error;
        put_value(file.bytes + hostile->offset, hostile->value, hostile->bytes);
        reseal(&file);
        enum urn_code code = decode(&file, &error);
        if (code != hostile->code || strstr(error.text, hostile->says) == NULL)
            fail_msg("%s: %s \"%s\"", hostile->what, urn_code_text(code), error.text);
        memcpy(file.bytes, saved, file.length);
    }
    free(saved);
    free(file.bytes);
    state_free(&state);
}

/* Weights that an operator has changed since the file was applied, and a pool being created. */
static void test_applied_weights_and_unfinished_pools_come_back(void **context)
{
    (void)context;
    struct state state;
    struct state back;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    uint64_t plain = get_u32(file.bytes + 12);
    free(file.bytes);
    pool_set_unfinished(state.pools[1]);
    assert_int_equal(pool_set_applied_weight(state.pools[0], 1, 71, &error), URN_OK);
    encode(&state, &file);
    assert_int_equal(get_u32(file.bytes + 12), plain + 8);
    assert_int_equal(file.bytes[ITEM_MUD + 24], 128 + 3);
    assert_int_equal(get_u64(file.bytes + ITEM_MUD + 28), 71);
    assert_int_equal(decode_with(&file, &test_bounds, &back, &error), URN_OK);
    state_check(&back);
    assert_int_equal(pool_applied_weight(back.pools[0], 0), 10);
    assert_int_equal(pool_applied_weight(back.pools[0], 1), 71);
    assert_true(pool_is_unfinished(back.pools[1]));
    assert_false(pool_is_open(back.pools[1]));
    assert_round_trip(&state);
    put_u64(file.bytes + ITEM_MUD + 28, 70); /* what the item weighs needs no place of its own */
    reseal(&file);
    assert_int_equal(decode(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "applied weight"));
    free(file.bytes);
    state_free(&back);
    state_free(&state);
}

/* A pool that came out of a snapshot can get items that were not in it. */
static void test_pools_can_grow_afterwards(void **context)
{
    (void)context;
    struct state state;
    struct state back;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    assert_int_equal(decode_with(&file, &test_bounds, &back, &error), URN_OK);
    for (uint32_t i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "new %" PRIu32, i);
        add_item(&back, back.pools[0], name, 1, 1, 0);
    }
    state_check(&back);
    assert_int_equal(pool_item_count(back.pools[0]), 103);
    free(file.bytes);
    state_free(&back);
    state_free(&state);
}

static void test_hash_over_blocks_is_checked(void **context)
{
    (void)context;
    struct state state;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    file.bytes[END_BLOCK + 16] ^= 1;
    put_u32(file.bytes + END_BLOCK + 4, crc32c(file.bytes + END_BLOCK + 8, 4088));
    assert_int_equal(decode(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "SHA-256"));
    assert_int_equal(check(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "SHA-256"));
    free(file.bytes);
    state_free(&state);
}

/* A block that is whole, but not the one that was written with the others. */
static void test_block_of_another_snapshot_is_refused(void **context)
{
    (void)context;
    struct state state;
    struct memory_file file;
    struct memory_file other;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    state.next_request_id++;
    encode(&state, &other);
    memcpy(file.bytes, other.bytes, SNAPSHOT_BLOCK_BYTES);
    assert_int_equal(decode(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "SHA-256"));
    assert_int_equal(check(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "SHA-256"));
    free(other.bytes);
    free(file.bytes);
    state_free(&state);
}

static void test_names_that_occur_twice_are_refused(void **context)
{
    (void)context;
    struct state state;
    struct memory_file file;
    struct urn_error error;
    assert_int_equal(state_make(&test_bounds, &state, &error), URN_OK);
    struct urn_pool *pool = add_pool(&state, "a", 2);
    add_item(&state, pool, "x", 1, 1, 1);
    add_item(&state, pool, "y", 1, 1, 1);
    add_pool(&state, "b", 0);
    encode(&state, &file);
    uint32_t item_y = POOL_MAIN + 19 + 26 + 25;
    assert_int_equal(file.bytes[item_y], 'y');
    file.bytes[item_y] = 'x';
    reseal(&file);
    assert_int_equal(decode(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "pool 0: item 1: "));
    file.bytes[item_y] = 'y';
    uint32_t pool_b = POOL_MAIN + 19 + 52 + 18;
    assert_int_equal(file.bytes[pool_b], 'b');
    file.bytes[pool_b] = 'a';
    reseal(&file);
    assert_int_equal(decode(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "pool 1: "));
    free(file.bytes);
    state_free(&state);
}

static void test_block_in_the_middle_must_be_full(void **context)
{
    (void)context;
    struct state state;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    struct memory_file longer = {.length = file.length + SNAPSHOT_BLOCK_BYTES};
    longer.bytes = calloc(1, longer.length);
    assert_non_null(longer.bytes);
    memcpy(longer.bytes, file.bytes, SNAPSHOT_BLOCK_BYTES);
    memcpy(longer.bytes + 2 * (size_t)SNAPSHOT_BLOCK_BYTES, file.bytes + END_BLOCK,
           SNAPSHOT_END_BYTES);
    free(file.bytes);
    file = longer;
    assert_int_equal(decode(&file, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "not full"));
    free(file.bytes);
    state_free(&state);
}

static void test_bounds_are_named(void **context)
{
    (void)context;
    struct state state;
    struct state back;
    struct memory_file file;
    struct urn_error error;
    make_small_state(&state);
    encode(&state, &file);
    struct state_bounds bounds = {.max_pools = 2, .max_items = 4};
    assert_int_equal(decode_with(&file, &bounds, &back, &error), URN_OK);
    state_free(&back);
    bounds.max_items = 3;
    assert_int_equal(decode_with(&file, &bounds, &back, &error), URN_TOOBIG);
    assert_non_null(strstr(error.text, "limits.max_items"));
    bounds = (struct state_bounds){.max_pools = 1, .max_items = 4};
    assert_int_equal(decode_with(&file, &bounds, &back, &error), URN_TOOBIG);
    assert_non_null(strstr(error.text, "limits.max_pools"));
    free(file.bytes);
    state_free(&state);
}

static void test_errors_of_sink_and_source_come_through(void **context)
{
    (void)context;
    uint64_t seed = 99;
    struct state state;
    struct state back;
    struct memory_file file;
    struct wal_geometry geometry;
    struct urn_error error;
    do {
        make_random_state(&state, &seed);
        encode(&state, &file);
        if (file.calls > 3)
            break;
        free(file.bytes);
        state_free(&state);
    } while (true);
    uint64_t calls = file.calls;
    for (uint64_t n = 1; n <= calls; n++) {
        file.read_offset = 0;
        file.calls = 0;
        file.fail_at_call = n;
        assert_int_equal(snapshot_decode(file.length, &test_bounds, memory_source, &file,
                                         test_block, &back, &geometry, &error),
                         URN_IO);
        assert_int_equal(error.system_errno, EIO);
        struct memory_file out = {.fail_at_call = n};
        assert_int_equal(
            snapshot_encode(&state, &test_geometry, test_block, memory_sink, &out, &error), URN_IO);
        assert_int_equal(out.calls, n); /* the first error ends it */
        free(out.bytes);
    }
    free(file.bytes);
    state_free(&state);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void test_a_million_items_round_trip(void **context)
{
    (void)context;
    struct state state;
    struct state back;
    struct memory_file file;
    struct urn_error error;
    char name[URN_NAME_BYTES_MAX + 1];
    assert_int_equal(state_make(&test_bounds, &state, &error), URN_OK);
    struct urn_pool *pool = add_pool(&state, "coupons", 1000000);
    for (uint32_t i = 0; i < 1000000; i++) {
        snprintf(name, sizeof name, "coupon-%08" PRIu32, i);
        add_item(&state, pool, name, 1, 1 + i % 7, i % 3);
    }
    uint64_t begin = now_us();
    encode(&state, &file);
    uint64_t encoded = now_us();
    assert_int_equal(decode_with(&file, &test_bounds, &back, &error), URN_OK);
    uint64_t decoded = now_us();
    print_message("1,000,000 items: %" PRIu64 " bytes, encode %" PRIu64 " ms, decode %" PRIu64
                  " ms\n",
                  file.length, (encoded - begin) / 1000, (decoded - encoded) / 1000);
    assert_int_equal(pool_item_count(back.pools[0]), 1000000);
    assert_int_equal(pool_weight_in_stock(back.pools[0]), pool_weight_in_stock(pool));
    struct memory_file again;
    encode(&back, &again);
    assert_int_equal(again.length, file.length);
    assert_memory_equal(again.bytes, file.bytes, file.length);
    free(again.bytes);
    free(file.bytes);
    state_free(&back);
    state_free(&state);
}

/* ---- files ----------------------------------------------------------------------------------- */

#define TEST_DIR "/data"

/* A world with an empty, durable directory, and that directory open. */
static struct sim_world *make_world(uint64_t seed, struct os_dir **dir)
{
    struct sim_world *world = sim_world_make(seed);
    struct os_dir *root = NULL;
    assert_int_equal(os_dir_make(sim_os(world), TEST_DIR), 0);
    assert_int_equal(os_dir_open(sim_os(world), "/", &root), 0);
    assert_int_equal(os_dir_sync(root), 0);
    os_dir_close(root);
    assert_int_equal(os_dir_open(sim_os(world), TEST_DIR, dir), 0);
    return world;
}

static void assert_loads(struct os_dir *dir, struct snapshot_name name, const struct state *state)
{
    struct state back;
    struct wal_geometry geometry;
    struct urn_error error;
    struct memory_file wanted;
    struct memory_file found;
    enum urn_code code = snapshot_file_load(dir, name, &test_bounds, &back, &geometry, &error);
    if (code != URN_OK)
        fail_msg("%s", error.text);
    encode(state, &wanted);
    encode(&back, &found);
    assert_int_equal(wanted.length, found.length);
    assert_memory_equal(wanted.bytes, found.bytes, wanted.length);
    free(wanted.bytes);
    free(found.bytes);
    state_free(&back);
}

static void test_file_is_written_and_loaded(void **context)
{
    (void)context;
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(1, &dir);
    struct state state;
    struct urn_error error;
    make_small_state(&state);
    uint64_t lsn = state.tail.lsn;
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 2, &error), URN_OK);
    assert_true(sim_file_exists(world, TEST_DIR "/snapshot-0000000000011068-0002"));
    assert_int_equal(sim_unsynced(world), 0);
    assert_loads(dir, (struct snapshot_name){lsn, 2}, &state);
    sim_crash_now(world, SIM_CRASH_MACHINE);
    os_dir_close(dir);
    assert_int_equal(os_dir_open(sim_restart(world), TEST_DIR, &dir), 0);
    assert_loads(dir, (struct snapshot_name){lsn, 2}, &state);
    os_dir_close(dir);
    assert_int_equal(sim_open_handles(world), 0);
    sim_world_free(world);
    state_free(&state);
}

static void test_existing_snapshot_is_not_touched(void **context)
{
    (void)context;
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(1, &dir);
    struct state state;
    struct urn_error error;
    make_small_state(&state);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_OK);
    uint64_t hash = sim_hash(world);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_EXISTS);
    assert_int_equal(sim_hash(world), hash);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 1, &error), URN_OK);
    os_dir_close(dir);
    sim_world_free(world);
    state_free(&state);
}

static void make_file(struct os_dir *dir, const char *name)
{
    struct os_file *file = NULL;
    assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
    os_file_close(file);
}

static void test_list_is_newest_first(void **context)
{
    (void)context;
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(1, &dir);
    struct urn_error error;
    struct snapshot_name *names = NULL;
    uint32_t count = 1;
    assert_int_equal(snapshot_file_list(dir, &names, &count, &error), URN_OK);
    assert_int_equal(count, 0);
    assert_null(names);
    static const struct snapshot_name wanted[] = {
        {UINT64_MAX, 0}, {0xf4000, 0xffff}, {0xf4000, 1}, {0xf4000, 0}, {4096, 0},
        {72, 7},         {64, 0},           {8, 0},       {0, 1},       {0, 0},
    };
    for (uint32_t i = 0; i < 10; i++) {
        char name[DATA_DIR_NAME_MAX];
        const struct snapshot_name *snapshot = &wanted[(i * 7 + 3) % 10];
        data_dir_snapshot_name(name, snapshot->lsn, snapshot->serial);
        make_file(dir, name);
    }
    make_file(dir, "snapshot-0000000000000048-0008.tmp");
    make_file(dir, "snapshot-0000000000000048-000G");
    make_file(dir, "snapshot-48-0");
    make_file(dir, "segment-0000");
    assert_int_equal(snapshot_file_list(dir, &names, &count, &error), URN_OK);
    assert_int_equal(count, 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(names[i].lsn, wanted[i].lsn);
        assert_int_equal(names[i].serial, wanted[i].serial);
    }
    free(names);
    sim_fail_at(world, SIM_DIR_LIST, 1, EIO);
    assert_int_equal(snapshot_file_list(dir, &names, &count, &error), URN_IO);
    assert_null(names);
    os_dir_close(dir);
    sim_world_free(world);
}

static void test_content_of_another_lsn_is_refused(void **context)
{
    (void)context;
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(1, &dir);
    struct state state;
    struct state back;
    struct wal_geometry geometry;
    struct urn_error error;
    make_small_state(&state);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_OK);
    assert_int_equal(
        os_rename(dir, "snapshot-0000000000011068-0000", "snapshot-0000000000021068-0000"), 0);
    struct snapshot_name name = {0x21068, 0};
    assert_int_equal(snapshot_file_load(dir, name, &test_bounds, &back, &geometry, &error),
                     URN_DAMAGED);
    assert_null(back.pools);
    assert_non_null(strstr(error.text, "snapshot-0000000000021068-0000: its content is of LSN"));
    name.serial = 1;
    assert_int_equal(snapshot_file_load(dir, name, &test_bounds, &back, &geometry, &error), URN_IO);
    assert_int_equal(error.system_errno, ENOENT);
    assert_null(back.pools);
    os_dir_close(dir);
    sim_world_free(world);
    state_free(&state);
}

static void test_unreadable_sector_is_an_error(void **context)
{
    (void)context;
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(1, &dir);
    struct state state;
    struct state back;
    struct wal_geometry geometry;
    struct urn_error error;
    make_small_state(&state);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_OK);
    assert_true(sim_set_unreadable(world, TEST_DIR "/snapshot-0000000000011068-0000", 4096));
    struct snapshot_name name = {state.tail.lsn, 0};
    assert_int_equal(snapshot_file_load(dir, name, &test_bounds, &back, &geometry, &error), URN_IO);
    assert_int_equal(error.system_errno, EIO);
    os_dir_close(dir);
    sim_world_free(world);
    state_free(&state);
}

/* Flips one bit on the disk just when the cache is dropped: S3 must find it. */
struct flipper {
    struct sim_world *world;
    uint64_t offset;
    bool flipped;
};

static void flip_at_drop(void *context, const struct sim_event *call)
{
    struct flipper *flipper = context;
    if (call->call == SIM_FILE_DROP_CACHE)
        flipper->flipped = sim_flip_bit(
            flipper->world, TEST_DIR "/snapshot-0000000000011068-0000.tmp", flipper->offset, 3);
}

static void test_what_is_read_back_is_compared(void **context)
{
    (void)context;
    static const uint64_t offsets[] = {0, 20, 600, 65535, 65536, 65536 + 4095};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        struct os_dir *dir = NULL;
        struct sim_world *world = make_world(1, &dir);
        struct state state;
        struct urn_error error;
        make_small_state(&state);
        struct flipper flipper = {.world = world, .offset = offsets[i]};
        uint64_t hash = sim_hash(world);
        sim_set_observer(world, flip_at_drop, &flipper);
        assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_DAMAGED);
        assert_true(flipper.flipped);
        assert_int_equal(sim_hash(world), hash); /* nothing is left of it */
        os_dir_close(dir);
        sim_world_free(world);
        state_free(&state);
    }
}

/* What the nth call is. */
struct nth_call {
    uint64_t left;
    enum sim_call call;
};

static void note_nth_call(void *context, const struct sim_event *call)
{
    struct nth_call *nth = context;
    if (nth->left > 0 && --nth->left == 0)
        nth->call = call->call;
}

/* Fails the nth call, for every n, until none fires: no name but a finished one may remain, and the
 * next attempt succeeds. */
static void test_every_call_may_fail(void **context)
{
    (void)context;
    struct state state;
    make_small_state(&state);
    for (uint64_t n = 1;; n++) {
        struct os_dir *dir = NULL;
        struct sim_world *world = make_world(n, &dir);
        struct urn_error error;
        struct nth_call struck = {.left = n};
        uint64_t empty = sim_hash(world);
        sim_event_forget(world);
        sim_set_observer(world, note_nth_call, &struck);
        sim_fail_at(world, SIM_ANY_CALL, n, 0);
        enum urn_code code = snapshot_file_write(dir, &state, &test_geometry, 0, &error);
        bool fired = sim_last_event(world)->number != 0;
        assert_int_equal(code, fired ? URN_IO : URN_OK);
        bool stopped = fired && struck.call == SIM_DIR_SYNC;
        if (fired && !stopped) {
            assert_int_equal(sim_hash(world), empty);
            assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_OK);
        }
        sim_crash_now(world, SIM_CRASH_MACHINE);
        os_dir_close(dir);
        assert_int_equal(os_dir_open(sim_restart(world), TEST_DIR, &dir), 0);
        if (stopped) { /* the file system, until now: the name may be there or not */
            code = snapshot_file_write(dir, &state, &test_geometry, 0, &error);
            assert_true(code == URN_OK || code == URN_EXISTS);
        }
        assert_loads(dir, (struct snapshot_name){state.tail.lsn, 0}, &state);
        os_dir_close(dir);
        assert_int_equal(sim_open_handles(world), 0);
        sim_world_free(world);
        if (!fired)
            break;
        assert_true(n < 200);
    }
    state_free(&state);
}

static void test_short_calls_are_gone_on_with(void **context)
{
    (void)context;
    struct state state;
    struct urn_error error;
    make_small_state(&state);
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(5, &dir);
    sim_set_fault_rates(world, 0, 2);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_OK);
    assert_loads(dir, (struct snapshot_name){state.tail.lsn, 0}, &state);
    os_dir_close(dir);
    sim_world_free(world);
    state_free(&state);
}

/* The machine dies at the nth call, for every n and some luck: a finished name means a snapshot
 * that verifies, and the write can be repeated. */
static void test_machine_may_crash_at_every_call(void **context)
{
    (void)context;
    struct state state;
    make_small_state(&state);
    uint32_t finished = 0;
    uint32_t unfinished = 0;
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        for (uint64_t luck = 0; luck < 8; luck++) {
            struct os_dir *dir = NULL;
            struct sim_world *world = make_world(1000 * n + luck, &dir);
            struct urn_error error;
            struct snapshot_name *names = NULL;
            uint32_t count = 0;
            sim_crash_at(world, n, SIM_CRASH_MACHINE,
                         luck % 2 == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AMID);
            enum urn_code code = snapshot_file_write(dir, &state, &test_geometry, 0, &error);
            fired = sim_crashed(world) != SIM_NO_CRASH;
            assert_int_equal(code, fired ? URN_IO : URN_OK);
            os_dir_close(dir);
            assert_int_equal(os_dir_open(sim_restart(world), TEST_DIR, &dir), 0);
            assert_int_equal(snapshot_file_list(dir, &names, &count, &error), URN_OK);
            if (count > 0) {
                assert_loads(dir, names[0], &state);
                finished++;
            } else {
                assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error),
                                 URN_OK);
                unfinished++;
            }
            free(names);
            os_dir_close(dir);
            sim_world_free(world);
        }
    }
    assert_true(finished > 0 && unfinished > 0);
    state_free(&state);
}

/* Under a name of the caller's: the same bytes, durable, nothing touched that is there. */
static void test_a_new_file_of_any_name(void **context)
{
    (void)context;
    struct os_dir *dir = NULL;
    struct sim_world *world = make_world(1, &dir);
    struct state state;
    struct urn_error error;
    static uint8_t bytes[2][SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES];
    uint64_t size = 0;
    make_small_state(&state);
    make_file(dir, "evening.tmp"); /* of somebody else's */
    make_file(dir, "taken");
    assert_int_equal(os_dir_sync(dir), 0);
    assert_int_equal(snapshot_file_write(dir, &state, &test_geometry, 0, &error), URN_OK);
    assert_int_equal(snapshot_file_write_new(dir, "evening", &state, &test_geometry, &error),
                     URN_OK);
    assert_true(sim_file_exists(world, TEST_DIR "/evening.tmp"));
    assert_int_equal(snapshot_file_write_new(dir, "taken", &state, &test_geometry, &error),
                     URN_EXISTS);
    assert_true(sim_file_size(world, TEST_DIR "/taken", &size));
    assert_int_equal(size, 0);
    sim_crash_now(world, SIM_CRASH_MACHINE);
    os_dir_close(dir);
    assert_int_equal(os_dir_open(sim_restart(world), TEST_DIR, &dir), 0);
    assert_true(sim_file_bytes(world, TEST_DIR "/snapshot-0000000000011068-0000", 0, bytes[0],
                               sizeof bytes[0]));
    assert_true(sim_file_bytes(world, TEST_DIR "/evening", 0, bytes[1], sizeof bytes[1]));
    assert_memory_equal(bytes[0], bytes[1], sizeof bytes[0]);
    os_dir_close(dir);
    assert_int_equal(sim_open_handles(world), 0);
    sim_world_free(world);
    state_free(&state);
}

/* Any call of its writing may fail: then there is no such file, unless it cannot be removed. */
static void test_a_new_file_may_fail(void **context)
{
    (void)context;
    for (uint64_t nth = 1;; nth++) {
        struct os_dir *dir = NULL;
        struct sim_world *world = make_world(nth, &dir);
        struct state state;
        struct urn_error error;
        make_small_state(&state);
        sim_event_forget(world);
        sim_fail_at(world, SIM_ANY_CALL, nth, 0);
        const enum urn_code code =
            snapshot_file_write_new(dir, "evening", &state, &test_geometry, &error);
        const bool fired = sim_last_event(world)->number != 0;
        assert_int_equal(sim_file_exists(world, TEST_DIR "/evening"),
                         code == URN_OK || sim_is_stopped(world));
        assert_int_equal(code == URN_OK, !fired);
        os_dir_close(dir);
        assert_int_equal(sim_open_handles(world), 0);
        sim_world_free(world);
        state_free(&state);
        if (!fired)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_is_pinned),
        cmocka_unit_test(test_crc32c_is_castagnoli),
        cmocka_unit_test(test_values_come_back),
        cmocka_unit_test(test_applied_weights_and_unfinished_pools_come_back),
        cmocka_unit_test(test_pools_can_grow_afterwards),
        cmocka_unit_test(test_random_states_round_trip),
        cmocka_unit_test(test_records_across_blocks_round_trip),
        cmocka_unit_test(test_largest_file_is_bounded),
        cmocka_unit_test(test_every_flipped_byte_is_refused),
        cmocka_unit_test(test_every_wrong_length_is_refused),
        cmocka_unit_test(test_hostile_content_is_refused),
        cmocka_unit_test(test_hash_over_blocks_is_checked),
        cmocka_unit_test(test_block_of_another_snapshot_is_refused),
        cmocka_unit_test(test_names_that_occur_twice_are_refused),
        cmocka_unit_test(test_block_in_the_middle_must_be_full),
        cmocka_unit_test(test_bounds_are_named),
        cmocka_unit_test(test_errors_of_sink_and_source_come_through),
        cmocka_unit_test(test_a_million_items_round_trip),
        cmocka_unit_test(test_file_is_written_and_loaded),
        cmocka_unit_test(test_existing_snapshot_is_not_touched),
        cmocka_unit_test(test_list_is_newest_first),
        cmocka_unit_test(test_content_of_another_lsn_is_refused),
        cmocka_unit_test(test_unreadable_sector_is_an_error),
        cmocka_unit_test(test_what_is_read_back_is_compared),
        cmocka_unit_test(test_every_call_may_fail),
        cmocka_unit_test(test_short_calls_are_gone_on_with),
        cmocka_unit_test(test_machine_may_crash_at_every_call),
        cmocka_unit_test(test_a_new_file_of_any_name),
        cmocka_unit_test(test_a_new_file_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
