/* wal_format.c: groups, entries and segment headers to and from bytes. wal_format.h has the format.
 *
 * Everything read is treated as hostile until the rule that vouches for it has been checked, and
 * what is checked after reading is checked before writing too.
 */
#include "engine/wal_format.h"

#include <sodium.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/digest.h"

#define SEGMENT_MAGIC "URNSEGM1"

/* Where the fields of a segment header lie. */
enum {
    SEGMENT_CRC = 8,
    SEGMENT_VERSION = 12,
    SEGMENT_UUID = 16,
    SEGMENT_SEQUENCE = 32,
    SEGMENT_SIZE = 40,
    SEGMENT_COUNT = 48,
    SEGMENT_EPOCH = 52,
    SEGMENT_ZERO = 56,
};

/* Where the fields of a group header lie. */
enum {
    GROUP_LENGTH = 4,
    GROUP_CRC = 8,
    GROUP_KIND = 12,
    GROUP_ZERO = 13,
    GROUP_RING = 16,
    GROUP_LSN = 24,
    GROUP_DURABLE = 32,
    GROUP_EPOCH = 40,
    GROUP_DRAWS = 44,
    GROUP_ENGINE_TIME = 48,
    GROUP_WALL_TIME = 56,
    GROUP_FIRST_ID = 64,
    GROUP_CHAIN_BEFORE = 72,
    GROUP_CHAIN_AFTER = 88,
};

/* Where the fields of an entry lie. */
enum {
    ENTRY_TYPE = 0,
    ENTRY_WIDTH = 1,
    ENTRY_ZERO = 2,
    ENTRY_LENGTH = 4,
    DRAWS_POOL = 8,
    DRAWS_COUNT = 12,
    DRAWS_ODDS = 16,
    EPOCH_NONCE = 8,
    EPOCH_NEXT_ID = 24,
    IDS_RESERVED = 8,
    CHANGE_POOL = 8,
    CHANGE_INDEX = 12,
    CHANGE_ODDS = 16,
    CHANGE_QUANTITY = 24,
    CHANGE_WEIGHT = 32,
    CHANGE_FLAGS = 40,
    CHANGE_NAME_BYTES = 41,
    CHANGE_NAME = 42,
};

#define FAILED_RUN_BYTES 4u /* the count behind an escape */

_Static_assert(SEGMENT_ZERO < WAL_SEGMENT_HEADER_BYTES, "the page has room for its fields");
_Static_assert(WAL_SEGMENT_HEADER_BYTES == OS_PAGE_BYTES,
               "the first group of a segment begins a page, so that marks and epoch groups may");
_Static_assert(GROUP_CHAIN_AFTER + WAL_CHAIN_BYTES == WAL_GROUP_HEADER_BYTES,
               "entries follow the last field");
_Static_assert(WAL_GROUP_HEADER_BYTES % WAL_ALIGN_BYTES == 0, "entries are aligned as groups are");
_Static_assert(WAL_EPOCH_GROUP_BYTES < OS_PAGE_BYTES - WAL_GROUP_HEADER_BYTES,
               "an epoch group never needs to be extended to a segment's end");
_Static_assert(CHANGE_NAME == WAL_CHANGE_NAME_OFFSET, "a name follows the last field of a change");
_Static_assert(URN_NAME_BYTES_MAX <= UINT8_MAX, "the length of a name fits its byte");
_Static_assert(WAL_CHAIN_BYTES >= crypto_generichash_BYTES_MIN, "BLAKE2b has so short an output");
_Static_assert(WAL_DIGEST_BYTES == DIGEST_BYTES, "a group's digest is one of digest.h");

/* ---- where things lie ------------------------------------------------------------------------ */

struct wal_placement wal_place(const struct wal_geometry *geometry, uint64_t end_lsn,
                               uint32_t length_bytes, bool fresh_page)
{
    const uint64_t segment_size = geometry->segment_size_bytes;
    CHECK(segment_size >= SEGMENT_SIZE_BYTES_MIN && segment_size % OS_PAGE_BYTES == 0);
    CHECK(end_lsn % WAL_ALIGN_BYTES == 0 && length_bytes % WAL_ALIGN_BYTES == 0);
    CHECK(length_bytes >= WAL_GROUP_HEADER_BYTES &&
          length_bytes <= wal_group_bytes_max(segment_size));

    struct wal_placement place = {.new_segment = end_lsn % segment_size == 0};
    const uint64_t from = place.new_segment ? end_lsn + WAL_SEGMENT_HEADER_BYTES : end_lsn;
    uint64_t segment_end = end_lsn - end_lsn % segment_size + segment_size;
    CHECK(from % segment_size >= WAL_SEGMENT_HEADER_BYTES);
    CHECK(segment_end - from >= WAL_GROUP_HEADER_BYTES);

    place.group_lsn = fresh_page ? round_up_u64(from, OS_PAGE_BYTES) : from;
    if (place.group_lsn != from && place.group_lsn - from < WAL_GROUP_HEADER_BYTES)
        place.group_lsn += OS_PAGE_BYTES; /* the pad before it needs a header's room itself */
    if (place.group_lsn + length_bytes > segment_end) {
        place.pad_bytes = (uint32_t)(segment_end - from);
        place.new_segment = true;
        place.group_lsn = segment_end + WAL_SEGMENT_HEADER_BYTES;
        segment_end += segment_size;
    } else {
        place.pad_bytes = (uint32_t)(place.group_lsn - from);
    }
    place.pad_lsn = from;

    const uint64_t rest = segment_end - place.group_lsn - length_bytes;
    const uint64_t group_bytes = length_bytes + (rest < WAL_GROUP_HEADER_BYTES ? rest : 0);
    CHECK(group_bytes <= UINT32_MAX);
    place.group_bytes = (uint32_t)group_bytes;
    place.end_lsn = place.group_lsn + group_bytes;
    return place;
}

/* ---- segment headers ------------------------------------------------------------------------- */

void wal_segment_header_write(const struct wal_segment_header *header, uint8_t *page)
{
    memset(page, 0, WAL_SEGMENT_HEADER_BYTES);
    memcpy(page, SEGMENT_MAGIC, SEGMENT_CRC);
    put_u32(page + SEGMENT_VERSION, header->version);
    memcpy(page + SEGMENT_UUID, header->ring_uuid, WAL_UUID_BYTES);
    put_u64(page + SEGMENT_SEQUENCE, header->sequence);
    put_u64(page + SEGMENT_SIZE, header->segment_size_bytes);
    put_u32(page + SEGMENT_COUNT, header->segments);
    put_u32(page + SEGMENT_EPOCH, header->epoch);
    put_u32(page + SEGMENT_CRC,
            crc32c(page + SEGMENT_VERSION, WAL_SEGMENT_HEADER_BYTES - SEGMENT_VERSION));
}

enum wal_read_result wal_segment_header_read(const uint8_t *page, struct wal_segment_header *header)
{
    if (memcmp(page, SEGMENT_MAGIC, SEGMENT_CRC) != 0)
        return bytes_are_zero(page, WAL_SEGMENT_HEADER_BYTES) ? WAL_READ_ZERO : WAL_READ_LENGTH;
    if (get_u32(page + SEGMENT_CRC) !=
        crc32c(page + SEGMENT_VERSION, WAL_SEGMENT_HEADER_BYTES - SEGMENT_VERSION))
        return WAL_READ_CHECKSUM;
    header->version = get_u32(page + SEGMENT_VERSION);
    if (header->version != WAL_FORMAT_VERSION)
        return WAL_READ_VERSION;
    memcpy(header->ring_uuid, page + SEGMENT_UUID, WAL_UUID_BYTES);
    header->sequence = get_u64(page + SEGMENT_SEQUENCE);
    header->segment_size_bytes = get_u64(page + SEGMENT_SIZE);
    header->segments = get_u32(page + SEGMENT_COUNT);
    header->epoch = get_u32(page + SEGMENT_EPOCH);
    if (!bytes_are_zero(page + SEGMENT_ZERO, WAL_SEGMENT_HEADER_BYTES - SEGMENT_ZERO))
        return WAL_READ_SHAPE;
    return WAL_READ_OK;
}

enum wal_read_result wal_segment_header_follows(const struct wal_segment_header *header,
                                                const struct wal_geometry *geometry,
                                                const struct wal_tail *tail)
{
    if (memcmp(header->ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES) != 0)
        return WAL_READ_FOREIGN;
    if (header->segment_size_bytes != geometry->segment_size_bytes ||
        header->segments != geometry->segments)
        return WAL_READ_SHAPE;
    if (header->sequence != tail->lsn / geometry->segment_size_bytes)
        return WAL_READ_PLACE;
    if (header->epoch < tail->epoch)
        return WAL_READ_EPOCH;
    return WAL_READ_OK;
}

bool wal_segment_header_begins(const uint8_t *page, uint64_t available_bytes, uint64_t sequence)
{
    return available_bytes >= SEGMENT_SIZE && memcmp(page, SEGMENT_MAGIC, SEGMENT_CRC) == 0 &&
           get_u64(page + SEGMENT_SEQUENCE) == sequence;
}

const char *wal_read_result_text(enum wal_read_result result)
{
    static const char *const texts[WAL_READ_RESULTS] = {
        [WAL_READ_OK] = "valid",
        [WAL_READ_ZERO] = "only zeros stand there",
        [WAL_READ_LENGTH] = "nothing of the log begins there, or it has an impossible length",
        [WAL_READ_CHECKSUM] = "the checksum does not match",
        [WAL_READ_FOREIGN] = "it belongs to another ring",
        [WAL_READ_PLACE] = "it belongs to another position (an earlier lap, or misplaced)",
        [WAL_READ_CHAIN] = "the hash chain does not continue",
        [WAL_READ_EPOCH] = "its epoch is lower than one before it",
        [WAL_READ_DURABLE] = "it carries a durable position above its own",
        [WAL_READ_VERSION] = "it was written by another format version",
        [WAL_READ_SHAPE] = "its checksum is right but its content breaks the format",
    };
    CHECK((unsigned)result < WAL_READ_RESULTS);
    return texts[result];
}

/* ---- groups ---------------------------------------------------------------------------------- */

uint64_t wal_ring_short(const uint8_t ring_uuid[WAL_UUID_BYTES])
{
    return get_u64(ring_uuid);
}

static uint32_t group_crc(const uint8_t *bytes, uint32_t length_bytes)
{
    const uint32_t crc = crc32c(bytes, GROUP_CRC);
    return crc32c_extend(crc, bytes + GROUP_KIND, length_bytes - GROUP_KIND);
}

void wal_group_digest(const uint8_t *bytes, uint32_t length_bytes, uint8_t digest[WAL_DIGEST_BYTES])
{
    const struct digest_piece pieces[] = {
        {bytes, GROUP_CRC},
        {bytes + GROUP_KIND, GROUP_CHAIN_BEFORE - GROUP_KIND},
        {bytes + WAL_GROUP_HEADER_BYTES, length_bytes - WAL_GROUP_HEADER_BYTES},
    };
    digest_of(pieces, sizeof pieces / sizeof pieces[0], digest);
}

static void chain_join(const uint8_t *chain_before, const uint8_t *digest, uint8_t *chain_after)
{
    uint8_t joined[WAL_CHAIN_BYTES + WAL_DIGEST_BYTES];
    memcpy(joined, chain_before, WAL_CHAIN_BYTES);
    memcpy(joined + WAL_CHAIN_BYTES, digest, WAL_DIGEST_BYTES);
    (void)crypto_generichash(chain_after, WAL_CHAIN_BYTES, joined, sizeof joined, NULL, 0);
}

static bool length_is_possible(uint64_t length_bytes, uint64_t available_bytes)
{
    return length_bytes % WAL_ALIGN_BYTES == 0 && length_bytes >= WAL_GROUP_HEADER_BYTES &&
           length_bytes <= available_bytes;
}

void wal_group_seal(struct wal_group_header *header, uint8_t *bytes)
{
    CHECK(length_is_possible(header->length_bytes, UINT32_MAX));
    CHECK(header->kind >= WAL_DATA && header->kind <= WAL_EPOCH);
    CHECK(header->lsn % WAL_ALIGN_BYTES == 0 && header->durable_lsn <= header->lsn);
    CHECK(header->draws == 0 || header->kind == WAL_DATA);

    put_u32(bytes, WAL_GROUP_MAGIC);
    put_u32(bytes + GROUP_LENGTH, header->length_bytes);
    bytes[GROUP_KIND] = (uint8_t)header->kind;
    memset(bytes + GROUP_ZERO, 0, GROUP_RING - GROUP_ZERO);
    put_u64(bytes + GROUP_RING, header->ring_short);
    put_u64(bytes + GROUP_LSN, header->lsn);
    put_u64(bytes + GROUP_DURABLE, header->durable_lsn);
    put_u32(bytes + GROUP_EPOCH, header->epoch);
    put_u32(bytes + GROUP_DRAWS, header->draws);
    put_u64(bytes + GROUP_ENGINE_TIME, header->engine_time_us);
    put_u64(bytes + GROUP_WALL_TIME, header->wall_time_us);
    put_u64(bytes + GROUP_FIRST_ID, header->first_request_id);
    uint8_t digest[WAL_DIGEST_BYTES];
    wal_group_digest(bytes, header->length_bytes, digest);
    chain_join(header->chain_before, digest, header->chain_after);
    memcpy(bytes + GROUP_CHAIN_BEFORE, header->chain_before, WAL_CHAIN_BYTES);
    memcpy(bytes + GROUP_CHAIN_AFTER, header->chain_after, WAL_CHAIN_BYTES);
    put_u32(bytes + GROUP_CRC, group_crc(bytes, header->length_bytes));
}

enum wal_read_result wal_group_peek(const uint8_t *bytes, uint64_t available_bytes,
                                    uint64_t room_bytes, struct wal_group_header *header)
{
    if (available_bytes < WAL_GROUP_HEADER_BYTES || get_u32(bytes) != WAL_GROUP_MAGIC) {
        const uint64_t looked_at =
            available_bytes < WAL_GROUP_HEADER_BYTES ? available_bytes : WAL_GROUP_HEADER_BYTES;
        return bytes_are_zero(bytes, looked_at) ? WAL_READ_ZERO : WAL_READ_LENGTH;
    }
    header->length_bytes = get_u32(bytes + GROUP_LENGTH);
    if (!length_is_possible(header->length_bytes, room_bytes))
        return WAL_READ_LENGTH;
    header->kind = (enum wal_group_kind)bytes[GROUP_KIND];
    header->ring_short = get_u64(bytes + GROUP_RING);
    header->lsn = get_u64(bytes + GROUP_LSN);
    header->durable_lsn = get_u64(bytes + GROUP_DURABLE);
    header->epoch = get_u32(bytes + GROUP_EPOCH);
    header->draws = get_u32(bytes + GROUP_DRAWS);
    header->engine_time_us = get_u64(bytes + GROUP_ENGINE_TIME);
    header->wall_time_us = get_u64(bytes + GROUP_WALL_TIME);
    header->first_request_id = get_u64(bytes + GROUP_FIRST_ID);
    memcpy(header->chain_before, bytes + GROUP_CHAIN_BEFORE, WAL_CHAIN_BYTES);
    memcpy(header->chain_after, bytes + GROUP_CHAIN_AFTER, WAL_CHAIN_BYTES);
    return WAL_READ_OK;
}

enum wal_read_result wal_group_read(const uint8_t *bytes, uint64_t available_bytes,
                                    uint64_t ring_short, struct wal_group_header *header)
{
    /* V1 */
    const enum wal_read_result begins =
        wal_group_peek(bytes, available_bytes, available_bytes, header);
    if (begins != WAL_READ_OK)
        return begins;
    /* V2 */
    if (get_u32(bytes + GROUP_CRC) != group_crc(bytes, header->length_bytes))
        return WAL_READ_CHECKSUM;
    /* V3 */
    if (header->ring_short != ring_short)
        return WAL_READ_FOREIGN;
    return WAL_READ_OK;
}

bool wal_group_begins(const uint8_t *bytes, uint64_t available_bytes, uint64_t lsn)
{
    return available_bytes >= GROUP_DURABLE && get_u32(bytes) == WAL_GROUP_MAGIC &&
           get_u64(bytes + GROUP_LSN) == lsn;
}

enum wal_read_result wal_group_follows(const struct wal_group_header *header,
                                       const struct wal_tail *tail)
{
    /* V4 */
    if (header->lsn != tail->lsn)
        return WAL_READ_PLACE;
    /* V5, its first half */
    if (memcmp(header->chain_before, tail->chain, WAL_CHAIN_BYTES) != 0)
        return WAL_READ_CHAIN;
    /* V6 */
    if (header->epoch < tail->epoch)
        return WAL_READ_EPOCH;
    /* V7 */
    if (header->durable_lsn > header->lsn)
        return WAL_READ_DURABLE;
    return WAL_READ_OK;
}

enum wal_read_result wal_group_join(const struct wal_group_header *header,
                                    const uint8_t digest[WAL_DIGEST_BYTES], struct wal_tail *tail)
{
    const enum wal_read_result result = wal_group_follows(header, tail);
    if (result != WAL_READ_OK)
        return result;
    /* V5, its second half */
    uint8_t chain[WAL_CHAIN_BYTES];
    chain_join(tail->chain, digest, chain);
    if (memcmp(header->chain_after, chain, WAL_CHAIN_BYTES) != 0)
        return WAL_READ_CHAIN;
    tail->lsn += header->length_bytes;
    tail->epoch = header->epoch;
    memcpy(tail->chain, chain, WAL_CHAIN_BYTES);
    return WAL_READ_OK;
}

enum wal_read_result wal_group_read_next(const uint8_t *bytes, uint64_t available_bytes,
                                         uint64_t ring_short, struct wal_tail *tail,
                                         struct wal_group_header *header)
{
    enum wal_read_result result = wal_group_read(bytes, available_bytes, ring_short, header);
    if (result != WAL_READ_OK)
        return result;
    result = wal_group_follows(header, tail); /* the digest last: it alone costs a hash of all */
    if (result != WAL_READ_OK)
        return result;
    uint8_t digest[WAL_DIGEST_BYTES];
    wal_group_digest(bytes, header->length_bytes, digest);
    return wal_group_join(header, digest, tail);
}

/* ---- entries: writing ------------------------------------------------------------------------ */

void wal_entries_begin(struct wal_entries *entries, uint8_t *bytes, uint32_t capacity_bytes)
{
    CHECK(capacity_bytes >= WAL_GROUP_HEADER_BYTES && capacity_bytes % WAL_ALIGN_BYTES == 0);
    *entries = (struct wal_entries){
        .bytes = bytes,
        .capacity_bytes = capacity_bytes,
        .used_bytes = WAL_GROUP_HEADER_BYTES,
    };
}

/* The bytes that the escape is made of: no catalog index looks like it. */
static uint32_t escape_of(uint32_t width)
{
    return width == 4 ? UINT32_MAX : (1u << (8 * width)) - 1;
}

/* Writes a type and a length where the last entry ends, everything else of the fixed part zero. */
static uint8_t *entry_append(struct wal_entries *entries, enum wal_entry_type type,
                             uint32_t length_bytes)
{
    CHECK(length_bytes % WAL_ALIGN_BYTES == 0);
    CHECK(length_bytes <= entries->capacity_bytes - entries->used_bytes);
    uint8_t *entry = entries->bytes + entries->used_bytes;
    memset(entry, 0, length_bytes);
    entry[ENTRY_TYPE] = (uint8_t)type;
    put_u32(entry + ENTRY_LENGTH, length_bytes);
    entries->open_offset = 0;
    entries->used_bytes += length_bytes;
    return entry;
}

static void draws_entry_open(struct wal_entries *entries, uint32_t pool_id, uint64_t odds_version,
                             uint32_t width)
{
    const uint32_t offset = entries->used_bytes;
    uint8_t *entry = entry_append(entries, WAL_ENTRY_DRAWS, WAL_DRAWS_HEADER_BYTES);
    entry[ENTRY_WIDTH] = (uint8_t)width;
    put_u32(entry + DRAWS_POOL, pool_id);
    put_u64(entry + DRAWS_ODDS, odds_version);
    entries->open_offset = offset;
    entries->open_unaligned_end = entries->used_bytes;
    entries->open_failed_count_offset = 0;
}

static bool draws_entry_continues(const struct wal_entries *entries, uint32_t pool_id,
                                  uint64_t odds_version, uint32_t width)
{
    if (entries->open_offset == 0)
        return false;
    const uint8_t *entry = entries->bytes + entries->open_offset;
    return get_u32(entry + DRAWS_POOL) == pool_id && get_u64(entry + DRAWS_ODDS) == odds_version &&
           entry[ENTRY_WIDTH] == width;
}

/* Room for length_bytes more at the open end. */
static uint8_t *draws_entry_extend(struct wal_entries *entries, uint64_t length_bytes)
{
    CHECK(length_bytes <= entries->capacity_bytes - entries->open_unaligned_end);
    uint8_t *to = entries->bytes + entries->open_unaligned_end;
    entries->open_unaligned_end += (uint32_t)length_bytes;
    return to;
}

static void put_outcome(uint8_t *to, uint32_t outcome, uint32_t width)
{
    if (width == 1)
        *to = (uint8_t)outcome;
    else if (width == 2)
        put_u16(to, (uint16_t)outcome);
    else
        put_u32(to, outcome);
}

/* How many outcomes, of those that come first, are below end. */
static uint32_t count_below(const uint32_t *outcomes, uint32_t count, uint32_t end)
{
    uint32_t run = 0;
    while (count - run >= NARROW_BLOCK && block_is_below(outcomes + run, end))
        run += NARROW_BLOCK;
    while (run < count && outcomes[run] < end)
        run++;
    return run;
}

static void put_outcomes(uint8_t *to, const uint32_t *outcomes, uint32_t count, uint32_t width)
{
    uint32_t done = 0;
    if (width == 1)
        for (; count - done >= NARROW_BLOCK; done += NARROW_BLOCK)
            put_block_of_bytes(to + done, outcomes + done);
    for (; done < count; done++)
        put_outcome(to + (size_t)done * width, outcomes[done], width);
}

/* Appends the successful draws that outcomes begins with; returns how many they were. */
static uint32_t append_drawn(struct wal_entries *entries, uint32_t width, const uint32_t *outcomes,
                             uint32_t count)
{
    const uint32_t run = count_below(outcomes, count, escape_of(width));
    CHECK(run == count || outcomes[run] == URN_FAILED_DRAW);
    if (run == 0)
        return 0;
    put_outcomes(draws_entry_extend(entries, (uint64_t)run * width), outcomes, run, width);
    entries->open_failed_count_offset = 0;
    return run;
}

/* Appends the failed draws that outcomes begins with, or adds them to the run that stands at the
 * entry's very end; returns how many they were. */
static uint32_t append_failed(struct wal_entries *entries, uint32_t width, const uint32_t *outcomes,
                              uint32_t count)
{
    uint32_t run = 0;
    while (run < count && outcomes[run] == URN_FAILED_DRAW)
        run++;
    if (run == 0)
        return 0;
    uint32_t before = 0;
    if (entries->open_failed_count_offset != 0) {
        before = get_u32(entries->bytes + entries->open_failed_count_offset);
    } else {
        put_outcome(draws_entry_extend(entries, width), escape_of(width), width);
        entries->open_failed_count_offset = entries->open_unaligned_end;
        (void)draws_entry_extend(entries, FAILED_RUN_BYTES);
    }
    put_u32(entries->bytes + entries->open_failed_count_offset, before + run);
    return run;
}

void wal_entries_add_draws(struct wal_entries *entries, uint32_t pool_id, uint64_t odds_version,
                           uint32_t width, const uint32_t *outcomes, uint32_t count)
{
    CHECK(width == 1 || width == 2 || width == 4);
    CHECK(count > 0 && count <= UINT32_MAX - entries->draws);
    if (!draws_entry_continues(entries, pool_id, odds_version, width))
        draws_entry_open(entries, pool_id, odds_version, width);
    for (uint32_t done = 0; done < count;) {
        done += append_drawn(entries, width, outcomes + done, count - done);
        done += append_failed(entries, width, outcomes + done, count - done);
    }

    const uint32_t end = entries->open_unaligned_end;
    const uint64_t aligned_end = round_up_u64(end, WAL_ALIGN_BYTES);
    CHECK(aligned_end <= entries->capacity_bytes);
    memset(entries->bytes + end, 0, aligned_end - end);
    entries->used_bytes = (uint32_t)aligned_end;
    uint8_t *entry = entries->bytes + entries->open_offset;
    put_u32(entry + ENTRY_LENGTH, entries->used_bytes - entries->open_offset);
    put_u32(entry + DRAWS_COUNT, get_u32(entry + DRAWS_COUNT) + count);
    entries->draws += count;
}

/* What a change of each type may carry. */
struct change_shape {
    bool index, quantity, weight, name;
    uint8_t flags;
};

static const struct change_shape change_shapes[] = {
    [WAL_ENTRY_UPDATE] = {.index = true,
                          .flags =
                              WAL_SETS_QUANTITY | WAL_SETS_WEIGHT | WAL_FROM_FILE | WAL_CONTINUES},
    [WAL_ENTRY_ADD] =
        {.index = true, .quantity = true, .weight = true, .name = true, .flags = WAL_CONTINUES},
    [WAL_ENTRY_CREATE] = {.name = true},
    [WAL_ENTRY_OPEN] = {.name = false},
    [WAL_ENTRY_CLOSE] = {.name = false},
    [WAL_ENTRY_APPLIED] = {.index = true, .weight = true},
};

/* The format's rules on what a change may carry, kept by writer and reader alike. */
static bool change_shape_holds(const struct wal_change *change)
{
    const struct change_shape *shape = &change_shapes[change->type];
    const bool sets_quantity = shape->quantity || (change->flags & WAL_SETS_QUANTITY) != 0;
    const bool sets_weight = shape->weight || (change->flags & WAL_SETS_WEIGHT) != 0;
    if ((change->flags & ~(uint32_t)shape->flags) != 0)
        return false;
    if (change->type == WAL_ENTRY_UPDATE &&
        ((!sets_quantity && !sets_weight) ||
         (!sets_weight && (change->flags & (WAL_FROM_FILE | WAL_CONTINUES)) != 0)))
        return false;
    return (shape->index || change->index == 0) && (sets_quantity || change->quantity == 0) &&
           (sets_weight || change->probability == 0) && shape->name == (change->name.length > 0) &&
           change->name.length <= URN_NAME_BYTES_MAX;
}

void wal_entries_add_change(struct wal_entries *entries, const struct wal_change *change)
{
    CHECK(wal_entry_is_change((uint8_t)change->type) && change_shape_holds(change));
    uint8_t *entry = entry_append(entries, change->type, wal_change_bytes(change->name.length));
    put_u32(entry + CHANGE_POOL, change->pool_id);
    put_u32(entry + CHANGE_INDEX, change->index);
    put_u64(entry + CHANGE_ODDS, change->odds_version);
    put_u64(entry + CHANGE_QUANTITY, (uint64_t)change->quantity);
    put_u64(entry + CHANGE_WEIGHT, change->probability);
    entry[CHANGE_FLAGS] = (uint8_t)change->flags;
    entry[CHANGE_NAME_BYTES] = (uint8_t)change->name.length;
    if (change->name.length > 0)
        memcpy(entry + CHANGE_NAME, change->name.bytes, change->name.length);
}

void wal_entries_add_epoch(struct wal_entries *entries, const uint8_t nonce[WAL_NONCE_BYTES],
                           uint64_t next_request_id)
{
    CHECK(entries->used_bytes == WAL_GROUP_HEADER_BYTES); /* the only entry of its group */
    uint8_t *entry = entry_append(entries, WAL_ENTRY_EPOCH, WAL_EPOCH_ENTRY_BYTES);
    memcpy(entry + EPOCH_NONCE, nonce, WAL_NONCE_BYTES);
    put_u64(entry + EPOCH_NEXT_ID, next_request_id);
}

void wal_entries_add_ids(struct wal_entries *entries, uint64_t reserved_request_id)
{
    CHECK(reserved_request_id < URN_NUMBER_MAX); /* an epoch goes on above it */
    uint8_t *entry = entry_append(entries, WAL_ENTRY_IDS, WAL_IDS_ENTRY_BYTES);
    put_u64(entry + IDS_RESERVED, reserved_request_id);
}

/* ---- entries: reading ------------------------------------------------------------------------ */

static uint32_t get_outcome(const uint8_t *from, uint32_t width)
{
    return width == 1 ? *from : width == 2 ? get_u16(from) : get_u32(from);
}

/* Whether one of the outcomes, of width 2 or 4, in 8 bytes is an escape: a lane of ones, or of zeros
 * once inverted (the classic test for a zero lane: H. Warren, "Hacker's Delight", section 6-1). */
static bool word_has_escape(const uint8_t *at, uint32_t width)
{
    const uint64_t ones = width == 2 ? 0x0001000100010001u : 0x0000000100000001u;
    const uint64_t inverted = ~get_u64(at);
    return ((inverted - ones) & ~inverted & ones << (8 * width - 1)) != 0;
}

/* How many outcomes stand at `at` before the first escape, `limit` at most; fewer where `end` comes
 * first. */
static uint32_t drawn_run(const uint8_t *at, const uint8_t *end, uint32_t width, uint32_t limit)
{
    const uint64_t room = (uint64_t)(end - at) / width;
    const uint32_t most = room < limit ? (uint32_t)room : limit;
    if (width == 1) {
        const uint8_t *escape = most == 0 ? NULL : memchr(at, 0xff, most);
        return escape == NULL ? most : (uint32_t)(escape - at);
    }
    const uint32_t escape = escape_of(width);
    uint32_t run = 0;
    while (most - run >= 8 / width && !word_has_escape(at + (size_t)run * width, width))
        run += 8 / width;
    while (run < most && get_outcome(at + (size_t)run * width, width) != escape)
        run++;
    return run;
}

/* The exact bytes that `draws` outcomes take at `from`; 0 when they are broken or do not end within
 * room_bytes. */
static uint32_t outcomes_measure(const uint8_t *from, uint32_t room_bytes, uint32_t width,
                                 uint32_t draws)
{
    const uint8_t *at = from;
    const uint8_t *end = from + room_bytes;
    while (draws > 0) {
        const uint32_t run = drawn_run(at, end, width, draws);
        at += (size_t)run * width;
        draws -= run;
        if (draws == 0)
            break;
        if ((uint64_t)(end - at) < width + FAILED_RUN_BYTES)
            return 0;
        const uint32_t failed = get_u32(at + width);
        if (failed == 0 || failed > draws)
            return 0;
        at += width + FAILED_RUN_BYTES;
        draws -= failed;
    }
    return (uint32_t)(at - from);
}

static bool draws_entry_read(const uint8_t *bytes, struct wal_entry *entry)
{
    if (entry->length_bytes < WAL_DRAWS_HEADER_BYTES)
        return false;
    entry->width = bytes[ENTRY_WIDTH];
    entry->pool_id = get_u32(bytes + DRAWS_POOL);
    entry->draws = get_u32(bytes + DRAWS_COUNT);
    entry->odds_version = get_u64(bytes + DRAWS_ODDS);
    entry->outcomes = bytes + WAL_DRAWS_HEADER_BYTES;
    if ((entry->width != 1 && entry->width != 2 && entry->width != 4) || entry->draws == 0)
        return false;
    const uint32_t room = entry->length_bytes - WAL_DRAWS_HEADER_BYTES;
    entry->outcomes_bytes = outcomes_measure(entry->outcomes, room, entry->width, entry->draws);
    const uint32_t rest = room - entry->outcomes_bytes;
    return entry->outcomes_bytes > 0 && rest < WAL_ALIGN_BYTES &&
           bytes_are_zero(entry->outcomes + entry->outcomes_bytes, rest);
}

static bool epoch_entry_read(const uint8_t *bytes, struct wal_entry *entry)
{
    if (entry->length_bytes != WAL_EPOCH_ENTRY_BYTES || bytes[ENTRY_WIDTH] != 0)
        return false;
    entry->nonce = bytes + EPOCH_NONCE;
    entry->next_request_id = get_u64(bytes + EPOCH_NEXT_ID);
    return true;
}

static bool ids_entry_read(const uint8_t *bytes, struct wal_entry *entry)
{
    if (entry->length_bytes != WAL_IDS_ENTRY_BYTES || bytes[ENTRY_WIDTH] != 0)
        return false;
    entry->reserved_request_id = get_u64(bytes + IDS_RESERVED);
    return true;
}

static bool change_entry_read(const uint8_t *bytes, struct wal_entry *entry)
{
    if (entry->length_bytes < wal_change_bytes(0) || bytes[ENTRY_WIDTH] != 0)
        return false;
    entry->pool_id = get_u32(bytes + CHANGE_POOL);
    entry->odds_version = get_u64(bytes + CHANGE_ODDS);
    entry->change = (struct wal_change){
        .type = (enum wal_entry_type)entry->type,
        .pool_id = entry->pool_id,
        .index = get_u32(bytes + CHANGE_INDEX),
        .odds_version = entry->odds_version,
        .quantity = (int64_t)get_u64(bytes + CHANGE_QUANTITY),
        .probability = get_u64(bytes + CHANGE_WEIGHT),
        .flags = bytes[CHANGE_FLAGS],
        .name = {(const char *)bytes + CHANGE_NAME, bytes[CHANGE_NAME_BYTES]},
    };
    const uint32_t name_end = CHANGE_NAME + entry->change.name.length;
    return change_shape_holds(&entry->change) &&
           entry->length_bytes == wal_change_bytes(entry->change.name.length) &&
           bytes_are_zero(bytes + name_end, entry->length_bytes - name_end);
}

/* Which entries a group of this kind may hold: an epoch group one epoch entry and nothing else, a
 * data group any but that, pads and marks none. */
static bool entry_belongs(enum wal_group_kind kind, const struct wal_entry *entry)
{
    if (kind == WAL_EPOCH)
        return entry->type == WAL_ENTRY_EPOCH && entry->offset == WAL_GROUP_HEADER_BYTES;
    return kind == WAL_DATA && entry->type != WAL_ENTRY_EPOCH;
}

/* What the header itself must look like, its validity (V1 to V7) apart. */
static bool group_shape_holds(const uint8_t *group, const struct wal_group_header *header)
{
    if (header->kind < WAL_DATA || header->kind > WAL_EPOCH)
        return false;
    const bool begins_page = header->kind == WAL_MARK || header->kind == WAL_EPOCH;
    return bytes_are_zero(group + GROUP_ZERO, GROUP_RING - GROUP_ZERO) &&
           (header->draws == 0 || header->kind == WAL_DATA) &&
           (!begins_page || header->lsn % OS_PAGE_BYTES == 0);
}

enum wal_read_result wal_entry_next(const uint8_t *group, const struct wal_group_header *header,
                                    uint32_t *offset, struct wal_entry *entry)
{
    const uint32_t end = header->length_bytes;
    if (*offset == 0) {
        if (!group_shape_holds(group, header))
            return WAL_READ_SHAPE;
        *offset = WAL_GROUP_HEADER_BYTES;
    }
    CHECK(*offset % WAL_ALIGN_BYTES == 0 && *offset >= WAL_GROUP_HEADER_BYTES && *offset <= end);
    const uint8_t *bytes = group + *offset;
    if (*offset == end || bytes[ENTRY_TYPE] == WAL_ENTRY_NONE)
        return bytes_are_zero(bytes, end - *offset) ? WAL_READ_ZERO : WAL_READ_SHAPE;

    *entry = (struct wal_entry){
        .type = bytes[ENTRY_TYPE],
        .offset = *offset,
        .length_bytes = get_u32(bytes + ENTRY_LENGTH),
    };
    if (entry->length_bytes % WAL_ALIGN_BYTES != 0 ||
        entry->length_bytes < WAL_ENTRY_HEADER_BYTES || entry->length_bytes > end - *offset ||
        get_u16(bytes + ENTRY_ZERO) != 0 || !entry_belongs(header->kind, entry))
        return WAL_READ_SHAPE;
    if (entry->type == WAL_ENTRY_DRAWS && !draws_entry_read(bytes, entry))
        return WAL_READ_SHAPE;
    if (entry->type == WAL_ENTRY_EPOCH && !epoch_entry_read(bytes, entry))
        return WAL_READ_SHAPE;
    if (wal_entry_is_change(entry->type) && !change_entry_read(bytes, entry))
        return WAL_READ_SHAPE;
    if (entry->type == WAL_ENTRY_IDS && !ids_entry_read(bytes, entry))
        return WAL_READ_SHAPE;
    *offset += entry->length_bytes;
    return WAL_READ_OK;
}

uint64_t wal_group_end_id(const struct wal_group_header *header, const uint8_t *group)
{
    const uint64_t end_id = header->first_request_id + header->draws;
    uint32_t offset = 0;
    struct wal_entry entry;
    if (header->kind != WAL_EPOCH ||
        wal_entry_next(group, header, &offset, &entry) != WAL_READ_OK ||
        entry.type != WAL_ENTRY_EPOCH || entry.next_request_id < end_id)
        return end_id;
    return entry.next_request_id;
}

void wal_outcomes_begin(const struct wal_entry *entry, struct wal_outcome_cursor *cursor)
{
    CHECK(entry->type == WAL_ENTRY_DRAWS);
    *cursor = (struct wal_outcome_cursor){
        .at = entry->outcomes,
        .end = entry->outcomes + entry->outcomes_bytes,
        .width = entry->width,
        .draws_left = entry->draws,
    };
}

/* Takes the failed run that the cursor stands at. */
static uint32_t cursor_take_failed(struct wal_outcome_cursor *cursor)
{
    const uint32_t run = get_u32(cursor->at + cursor->width);
    CHECK(run > 0 && run <= cursor->draws_left);
    cursor->at += cursor->width + FAILED_RUN_BYTES;
    cursor->draws_left -= run;
    return run;
}

bool wal_outcomes_next(struct wal_outcome_cursor *cursor, uint32_t *outcome, uint32_t *run)
{
    if (cursor->draws_left == 0)
        return false;
    const uint32_t value = get_outcome(cursor->at, cursor->width);
    if (value == escape_of(cursor->width)) {
        *outcome = URN_FAILED_DRAW;
        *run = cursor_take_failed(cursor);
        return true;
    }
    *outcome = value;
    *run = 1;
    cursor->at += cursor->width;
    cursor->draws_left--;
    return true;
}

bool wal_outcomes_next_run(struct wal_outcome_cursor *cursor, const uint8_t **drawn, uint32_t *run)
{
    if (cursor->draws_left == 0)
        return false;
    *run = drawn_run(cursor->at, cursor->end, cursor->width, cursor->draws_left);
    if (*run == 0) {
        *drawn = NULL;
        *run = cursor_take_failed(cursor);
        return true;
    }
    *drawn = cursor->at;
    cursor->at += (size_t)*run * cursor->width;
    cursor->draws_left -= *run;
    return true;
}

void wal_outcomes_unpack(const uint8_t *drawn, uint32_t width, uint32_t *outcomes, uint32_t count)
{
    if (width == 1)
        for (uint32_t i = 0; i < count; i++)
            outcomes[i] = drawn[i];
    else if (width == 2)
        for (uint32_t i = 0; i < count; i++)
            outcomes[i] = get_u16(drawn + (size_t)i * 2);
    else
        for (uint32_t i = 0; i < count; i++)
            outcomes[i] = get_u32(drawn + (size_t)i * 4);
}
