/* snapshot_format.c: the encoder and the decoder; see snapshot_format.h. */
#include "engine/snapshot_format.h"

#include <inttypes.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/identity.h"

#define DATA_BLOCK_MAGIC 0x424e5255u /* "URNB" */
#define END_BLOCK_MAGIC  0x454e5255u /* "URNE" */
#define CRC_OFFSET       4u
#define CRC_FROM         8u /* the CRC covers what stands from here to the block's end */

static const uint8_t serialisation_magic[8] = {'U', 'R', 'N', 'S', 'N', 'A', 'P', '1'};

_Static_assert(SNAPSHOT_BLOCK_BYTES % OS_PAGE_BYTES == 0 && SNAPSHOT_END_BYTES % OS_PAGE_BYTES == 0,
               "blocks are whole pages, so that they can be written past the page cache");
_Static_assert(crypto_hash_sha256_BYTES + 8 == SNAPSHOT_END_PAYLOAD_BYTES,
               "the end block holds the hash and a length");
_Static_assert(SNAPSHOT_PAYLOAD_BYTES >= SNAPSHOT_HEADER_BYTES,
               "the header of the serialisation lies in the first block");

/* The counters at the head of the serialisation: what encoder and decoder hold to the same rules.
 */
struct snapshot_header {
    uint32_t pools;
    struct wal_geometry geometry;
    struct wal_tail tail;
    uint64_t next_request_id;
    uint64_t reserved_request_id;
    uint64_t engine_time_us;
    uint64_t wall_time_us;
};

/* F5 but for the zeroes: what is wrong, or NULL. */
static const char *header_fault(const struct snapshot_header *header)
{
    const char *fault = geometry_fault(&header->geometry);
    if (fault != NULL)
        return fault;
    uint64_t in_segment = header->tail.lsn % header->geometry.segment_size_bytes;
    if (header->tail.lsn > URN_NUMBER_MAX || header->tail.lsn % WAL_ALIGN_BYTES != 0 ||
        (in_segment != 0 && in_segment < WAL_SEGMENT_HEADER_BYTES) ||
        header->geometry.segment_size_bytes - in_segment < WAL_GROUP_HEADER_BYTES)
        return "the LSN is no place where a group can begin";
    if (header->next_request_id == 0 || header->next_request_id > URN_NUMBER_MAX)
        return "the next request id is out of range";
    if (header->reserved_request_id > URN_NUMBER_MAX)
        return "the reserved request id is out of range";
    if (header->engine_time_us > URN_NUMBER_MAX)
        return "the engine time is out of range";
    return NULL;
}

static bool odds_version_is_possible(uint64_t odds_version)
{
    return odds_version >= 1 && odds_version <= URN_NUMBER_MAX;
}

static uint64_t blocks_of(uint64_t serialisation_bytes)
{
    return (serialisation_bytes + SNAPSHOT_PAYLOAD_BYTES - 1) / SNAPSHOT_PAYLOAD_BYTES;
}

uint64_t snapshot_bytes_max(uint64_t pools, uint64_t items)
{
    uint64_t serialisation =
        SNAPSHOT_HEADER_BYTES + pools * (SNAPSHOT_POOL_BYTES + URN_NAME_BYTES_MAX) +
        items * (SNAPSHOT_ITEM_BYTES + URN_NAME_BYTES_MAX + SNAPSHOT_APPLIED_BYTES);
    return blocks_of(serialisation) * SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES;
}

uint64_t snapshot_bytes_min(const struct state *state)
{
    uint64_t serialisation = SNAPSHOT_HEADER_BYTES +
                             (uint64_t)state->pool_count * SNAPSHOT_POOL_BYTES +
                             state->item_count * SNAPSHOT_ITEM_BYTES + state->name_bytes;
    return blocks_of(serialisation) * SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES;
}

/* ---- encoding -------------------------------------------------------------------------------- */

#define POOL_RECORD UINT32_MAX

_Static_assert(SNAPSHOT_ITEM_BYTES + URN_NAME_BYTES_MAX + SNAPSHOT_APPLIED_BYTES <=
                   sizeof((struct snapshot_encoder){0}.piece),
               "a piece holds any record");

static void encode_header(const struct snapshot_header *header,
                          uint8_t bytes[SNAPSHOT_HEADER_BYTES])
{
    memset(bytes, 0, SNAPSHOT_HEADER_BYTES);
    memcpy(bytes, serialisation_magic, sizeof serialisation_magic);
    put_u32(bytes + 8, SNAPSHOT_FORMAT_VERSION);
    put_u32(bytes + 12, header->pools);
    memcpy(bytes + 16, header->geometry.ring_uuid, WAL_UUID_BYTES);
    put_u64(bytes + 32, header->geometry.segment_size_bytes);
    put_u32(bytes + 40, header->geometry.segments);
    put_u64(bytes + 64, header->next_request_id);
    put_u64(bytes + 72, header->reserved_request_id);
    put_u64(bytes + 80, header->engine_time_us);
    put_u64(bytes + 88, header->wall_time_us);
}

static void decode_header_fields(const uint8_t *bytes, struct snapshot_header *header)
{
    header->pools = get_u32(bytes + 12);
    memcpy(header->geometry.ring_uuid, bytes + 16, WAL_UUID_BYTES);
    header->geometry.segment_size_bytes = get_u64(bytes + 32);
    header->geometry.segments = get_u32(bytes + 40);
    header->tail.lsn = get_u64(bytes + 48);
    header->tail.epoch = get_u32(bytes + 56);
    header->next_request_id = get_u64(bytes + 64);
    header->reserved_request_id = get_u64(bytes + 72);
    header->engine_time_us = get_u64(bytes + 80);
    header->wall_time_us = get_u64(bytes + 88);
    memcpy(header->tail.chain, bytes + 96, WAL_CHAIN_BYTES);
}

void snapshot_encoder_begin(struct snapshot_encoder *encoder, const struct state *state,
                            const struct wal_geometry *geometry)
{
    *encoder = (struct snapshot_encoder){.state = state,
                                         .pool_count = state->pool_count,
                                         .item = POOL_RECORD,
                                         .next = SNAPSHOT_ENCODE_DATA,
                                         .piece_bytes = SNAPSHOT_HEADER_BYTES};
    crypto_hash_sha256_init(&encoder->hash);
    struct snapshot_header header = {
        .pools = state->pool_count,
        .geometry = *geometry,
        .next_request_id = state->next_request_id,
        .reserved_request_id = state->reserved_request_id,
        .engine_time_us = state->engine_time_us,
        .wall_time_us = state->wall_time_us,
    };
    encode_header(&header, encoder->piece);
    snapshot_encoder_set_tail(encoder, &state->tail);
}

void snapshot_encoder_set_tail(struct snapshot_encoder *encoder, const struct wal_tail *tail)
{
    CHECK(encoder->blocks == 0 && encoder->used_bytes == 0);
    put_u64(encoder->piece + 48, tail->lsn);
    put_u32(encoder->piece + 56, tail->epoch);
    memcpy(encoder->piece + 96, tail->chain, WAL_CHAIN_BYTES);
}

static void encode_pool(struct snapshot_encoder *encoder, const struct urn_pool *pool)
{
    struct urn_text name = pool_name(pool);
    struct pool_frozen frozen = pool_frozen(pool);
    CHECK(pool_id(pool) == encoder->pool);
    CHECK(name.length >= 1 && name.length <= URN_NAME_BYTES_MAX);
    CHECK(odds_version_is_possible(frozen.odds_version));
    uint8_t *bytes = encoder->piece;
    put_u32(bytes, pool_id(pool));
    put_u32(bytes + 4, frozen.item_count);
    put_u64(bytes + 8, frozen.odds_version);
    bytes[16] = frozen.unfinished ? SNAPSHOT_POOL_UNFINISHED
                : frozen.open     ? SNAPSHOT_POOL_OPEN
                                  : SNAPSHOT_POOL_CLOSED;
    bytes[17] = (uint8_t)name.length;
    memcpy(bytes + SNAPSHOT_POOL_BYTES, name.bytes, name.length);
    encoder->piece_bytes = SNAPSHOT_POOL_BYTES + name.length;
    encoder->items = frozen.item_count;
}

static void encode_item(struct snapshot_encoder *encoder, const struct urn_pool *pool)
{
    struct urn_item item;
    uint64_t applied_weight;
    pool_frozen_item(pool, encoder->item, &item, &applied_weight);
    CHECK(item.item_id.length >= 1 && item.item_id.length <= URN_NAME_BYTES_MAX);
    uint8_t *bytes = encoder->piece;
    put_u64(bytes, (uint64_t)item.quantity);
    put_u64(bytes + 8, item.probability);
    put_u64(bytes + 16, item.drawn);
    bytes[24] = (uint8_t)item.item_id.length;
    memcpy(bytes + SNAPSHOT_ITEM_BYTES, item.item_id.bytes, item.item_id.length);
    encoder->piece_bytes = SNAPSHOT_ITEM_BYTES + item.item_id.length;
    if (applied_weight != item.probability) {
        bytes[24] |= SNAPSHOT_APPLIED_FLAG;
        put_u64(bytes + encoder->piece_bytes, applied_weight);
        encoder->piece_bytes += SNAPSHOT_APPLIED_BYTES;
    }
}

/* Encodes the next record as the piece; false when there is none. */
static bool next_piece(struct snapshot_encoder *encoder)
{
    if (encoder->pool == encoder->pool_count)
        return false;
    const struct urn_pool *pool = encoder->state->pools[encoder->pool];
    if (encoder->item == POOL_RECORD) {
        encode_pool(encoder, pool);
        encoder->item = 0;
    } else {
        encode_item(encoder, pool);
        encoder->item++;
    }
    if (encoder->item == encoder->items) {
        encoder->pool++;
        encoder->item = POOL_RECORD;
    }
    encoder->piece_used = 0;
    return true;
}

/* Completes a block around its payload. */
static void complete_block(uint8_t *block, uint32_t magic, uint32_t index, uint32_t payload_bytes,
                           uint32_t block_bytes)
{
    uint32_t end = SNAPSHOT_BLOCK_HEADER + payload_bytes;
    CHECK(payload_bytes > 0 && end <= block_bytes);
    memset(block + end, 0, block_bytes - end);
    put_u32(block, magic);
    put_u32(block + 8, index);
    put_u32(block + 12, payload_bytes);
    put_u32(block + CRC_OFFSET, crc32c(block + CRC_FROM, block_bytes - CRC_FROM));
}

static uint32_t fill_end_block(struct snapshot_encoder *encoder, uint8_t *block)
{
    uint8_t *payload = block + SNAPSHOT_BLOCK_HEADER;
    crypto_hash_sha256_final(&encoder->hash, payload);
    put_u64(payload + crypto_hash_sha256_BYTES, encoder->total_bytes);
    complete_block(block, END_BLOCK_MAGIC, encoder->blocks, SNAPSHOT_END_PAYLOAD_BYTES,
                   SNAPSHOT_END_BYTES);
    encoder->next = SNAPSHOT_ENCODE_DONE;
    return SNAPSHOT_END_BYTES;
}

/* Puts records behind one another until the payload holds so many bytes; false: there are no more records. */
static bool fill_payload(struct snapshot_encoder *encoder, uint8_t *payload, uint32_t end_bytes)
{
    for (;;) {
        if (encoder->piece_used == encoder->piece_bytes && !next_piece(encoder))
            return false;
        if (encoder->used_bytes == end_bytes)
            return true;
        uint32_t rest = encoder->piece_bytes - encoder->piece_used;
        uint32_t room = end_bytes - encoder->used_bytes;
        uint32_t part = rest < room ? rest : room;
        memcpy(payload + encoder->used_bytes, encoder->piece + encoder->piece_used, part);
        encoder->piece_used += part;
        encoder->used_bytes += part;
    }
}

/* A block is full only when more is to come: the last one is never empty. */
static uint32_t fill_data_block(struct snapshot_encoder *encoder, uint8_t *block)
{
    uint32_t room = SNAPSHOT_PAYLOAD_BYTES - encoder->used_bytes;
    uint32_t slice = room < SNAPSHOT_SLICE_BYTES ? room : SNAPSHOT_SLICE_BYTES;
    bool more = fill_payload(encoder, block + SNAPSHOT_BLOCK_HEADER, encoder->used_bytes + slice);
    state_note_encoded(encoder->state, encoder->pool,
                       encoder->item == POOL_RECORD ? 0 : encoder->item);
    if (more && encoder->used_bytes < SNAPSHOT_PAYLOAD_BYTES)
        return 0;
    if (!more)
        encoder->next = SNAPSHOT_ENCODE_END;
    complete_block(block, DATA_BLOCK_MAGIC, encoder->blocks, encoder->used_bytes,
                   SNAPSHOT_BLOCK_BYTES);
    crypto_hash_sha256_update(&encoder->hash, block + CRC_OFFSET, 4);
    encoder->total_bytes += encoder->used_bytes;
    encoder->used_bytes = 0;
    encoder->blocks++;
    return SNAPSHOT_BLOCK_BYTES;
}

uint32_t snapshot_encoder_fill(struct snapshot_encoder *encoder, uint8_t *block)
{
    switch (encoder->next) {
    case SNAPSHOT_ENCODE_DATA:
        if (encoder->total_bytes == 0 && encoder->used_bytes == 0) {
            struct snapshot_header header = {0};
            decode_header_fields(encoder->piece, &header);
            CHECK(header_fault(&header) == NULL);
        }
        return fill_data_block(encoder, block);
    case SNAPSHOT_ENCODE_END:
        return fill_end_block(encoder, block);
    case SNAPSHOT_ENCODE_DONE:
        break;
    }
    return 0;
}

enum urn_code snapshot_encode(const struct state *state, const struct wal_geometry *geometry,
                              uint8_t *block, snapshot_sink sink, void *context,
                              struct urn_error *error)
{
    struct snapshot_encoder encoder;
    snapshot_encoder_begin(&encoder, state, geometry);
    enum urn_code code = URN_OK;
    while (code == URN_OK && encoder.next != SNAPSHOT_ENCODE_DONE) {
        uint32_t length = snapshot_encoder_fill(&encoder, block);
        if (length > 0)
            code = sink(context, block, length, error);
    }
    return code;
}

/* ---- reading back ---------------------------------------------------------------------------- */

void snapshot_verifier_begin(struct snapshot_verifier *verifier)
{
    *verifier = (struct snapshot_verifier){0};
    crypto_hash_sha256_init(&verifier->hash);
}

const char *snapshot_verifier_take(struct snapshot_verifier *verifier, const uint8_t *block,
                                   uint32_t length_bytes, const uint8_t *end_block)
{
    if (verifier->ended)
        return "more follows behind its end block";
    if (length_bytes == SNAPSHOT_END_BYTES) {
        verifier->ended = true;
        uint8_t hash[crypto_hash_sha256_BYTES];
        crypto_hash_sha256_final(&verifier->hash, hash);
        if (memcmp(block, end_block, SNAPSHOT_END_BYTES) != 0)
            return "its end block is not what was written";
        if (memcmp(hash, end_block + SNAPSHOT_BLOCK_HEADER, sizeof hash) != 0)
            return "the SHA-256 over its blocks does not match";
        return NULL;
    }
    CHECK(length_bytes == SNAPSHOT_BLOCK_BYTES);
    if (get_u32(block) != DATA_BLOCK_MAGIC || get_u32(block + 8) != verifier->blocks ||
        get_u32(block + CRC_OFFSET) != crc32c(block + CRC_FROM, SNAPSHOT_BLOCK_BYTES - CRC_FROM))
        return "a block is not what was written";
    crypto_hash_sha256_update(&verifier->hash, block + CRC_OFFSET, 4);
    verifier->blocks++;
    return NULL;
}

/* ---- decoding: blocks ------------------------------------------------------------------------ */

/* The largest piece of the serialisation that is taken at once. */
#define PIECE_BYTES_MAX SNAPSHOT_HEADER_BYTES

struct decoder {
    uint8_t *block;
    uint32_t blocks;     /* data blocks in the file */
    uint32_t next_block; /* to be read */
    uint32_t at, end;    /* what is left of the payload of the block that was read last */
    uint64_t total_bytes;
    crypto_hash_sha256_state hash;
    snapshot_source source;
    void *context;
    struct urn_error *error;
    uint8_t piece[PIECE_BYTES_MAX]; /* one that lies in two blocks is put together here */
};

/* Bytes of the serialisation that may still come; at most, because only the last block knows. */
static uint64_t decoder_left_bytes(const struct decoder *decoder)
{
    return decoder->end - decoder->at +
           (uint64_t)(decoder->blocks - decoder->next_block) * SNAPSHOT_PAYLOAD_BYTES;
}

/* Reads the next block and checks F2, the rule on payload lengths left to the caller. */
static enum urn_code decoder_read_block(struct decoder *decoder, uint32_t magic,
                                        uint32_t block_bytes, uint32_t *payload_bytes)
{
    uint8_t *block = decoder->block;
    enum urn_code code = decoder->source(decoder->context, block, block_bytes, decoder->error);
    if (code != URN_OK)
        return code;
    const char *fault = NULL;
    *payload_bytes = get_u32(block + 12);
    if (get_u32(block) != magic)
        fault = "does not begin as a block does";
    else if (get_u32(block + CRC_OFFSET) != crc32c(block + CRC_FROM, block_bytes - CRC_FROM))
        fault = "has a checksum that does not match";
    else if (get_u32(block + 8) != decoder->next_block)
        fault = "belongs to another place";
    else if (*payload_bytes == 0 || *payload_bytes > block_bytes - SNAPSHOT_BLOCK_HEADER)
        fault = "has an impossible length";
    else if (!bytes_are_zero(block + SNAPSHOT_BLOCK_HEADER + *payload_bytes,
                             block_bytes - SNAPSHOT_BLOCK_HEADER - *payload_bytes))
        fault = "is not zero behind its content";
    if (fault != NULL)
        return error_set(decoder->error, URN_DAMAGED, 0, "block %" PRIu32 " %s",
                         decoder->next_block, fault);
    return URN_OK;
}

static enum urn_code decoder_read_data_block(struct decoder *decoder)
{
    CHECK(decoder->at == decoder->end);
    if (decoder->next_block == decoder->blocks)
        return error_set(decoder->error, URN_DAMAGED, 0, "it ends in the midst of its content");
    uint32_t payload_bytes = 0;
    enum urn_code code =
        decoder_read_block(decoder, DATA_BLOCK_MAGIC, SNAPSHOT_BLOCK_BYTES, &payload_bytes);
    if (code != URN_OK)
        return code;
    bool last = decoder->next_block + 1 == decoder->blocks;
    if (!last && payload_bytes != SNAPSHOT_PAYLOAD_BYTES)
        return error_set(decoder->error, URN_DAMAGED, 0, "block %" PRIu32 " is not full",
                         decoder->next_block);
    crypto_hash_sha256_update(&decoder->hash, decoder->block + CRC_OFFSET, 4);
    decoder->next_block++;
    decoder->at = SNAPSHOT_BLOCK_HEADER;
    decoder->end = SNAPSHOT_BLOCK_HEADER + payload_bytes;
    decoder->total_bytes += payload_bytes;
    return URN_OK;
}

/* Takes the next length bytes of the serialisation; *piece is valid until the next call. */
static enum urn_code decoder_take(struct decoder *decoder, uint32_t length, const uint8_t **piece)
{
    CHECK(length <= PIECE_BYTES_MAX);
    if (decoder->end - decoder->at >= length) {
        *piece = decoder->block + decoder->at;
        decoder->at += length;
        return URN_OK;
    }
    uint32_t filled = 0;
    while (filled < length) {
        if (decoder->at == decoder->end) {
            enum urn_code code = decoder_read_data_block(decoder);
            if (code != URN_OK)
                return code;
        }
        uint32_t there = decoder->end - decoder->at;
        uint32_t part = length - filled < there ? length - filled : there;
        memcpy(decoder->piece + filled, decoder->block + decoder->at, part);
        decoder->at += part;
        filled += part;
    }
    *piece = decoder->piece;
    return URN_OK;
}

/* F7, and F3 with the end block. */
static enum urn_code decode_end(struct decoder *decoder)
{
    if (decoder->at != decoder->end || decoder->next_block != decoder->blocks)
        return error_set(decoder->error, URN_DAMAGED, 0, "more follows behind its last pool");
    uint32_t payload_bytes = 0;
    enum urn_code code =
        decoder_read_block(decoder, END_BLOCK_MAGIC, SNAPSHOT_END_BYTES, &payload_bytes);
    if (code != URN_OK)
        return code;
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&decoder->hash, hash);
    const uint8_t *payload = decoder->block + SNAPSHOT_BLOCK_HEADER;
    if (payload_bytes != SNAPSHOT_END_PAYLOAD_BYTES)
        return error_set(decoder->error, URN_DAMAGED, 0, "its end block has an impossible length");
    if (memcmp(payload, hash, sizeof hash) != 0)
        return error_set(decoder->error, URN_DAMAGED, 0,
                         "the SHA-256 over its blocks does not match");
    if (get_u64(payload + sizeof hash) != decoder->total_bytes)
        return error_set(decoder->error, URN_DAMAGED, 0, "its total length does not match");
    return URN_OK;
}

/* ---- decoding: content ----------------------------------------------------------------------- */

static enum urn_code decode_header(struct decoder *decoder, struct snapshot_header *header)
{
    const uint8_t *bytes = NULL;
    enum urn_code code = decoder_take(decoder, SNAPSHOT_HEADER_BYTES, &bytes);
    if (code != URN_OK)
        return code;
    if (memcmp(bytes, serialisation_magic, sizeof serialisation_magic) != 0)
        return error_set(decoder->error, URN_DAMAGED, 0, "it does not begin as a snapshot does");
    uint32_t version = get_u32(bytes + 8);
    if (version != SNAPSHOT_FORMAT_VERSION)
        return error_set(decoder->error, URN_FORMAT, 0,
                         "format %" PRIu32 " was written by another version of urn; this one (%s) "
                         "reads format %u",
                         version, URN_VERSION, SNAPSHOT_FORMAT_VERSION);
    decode_header_fields(bytes, header);
    const char *fault = header_fault(header);
    if (fault == NULL && (get_u32(bytes + 44) != 0 || get_u32(bytes + 60) != 0))
        fault = "a field that has to be zero is not";
    return fault == NULL ? URN_OK : error_set(decoder->error, URN_DAMAGED, 0, "%s", fault);
}

/* A count that the file claims: can so many records of at least record_bytes still come, and do
 * they stay within the bound of the configuration? */
static enum urn_code check_claim(struct decoder *decoder, const char *what, uint64_t claimed,
                                 uint64_t record_bytes, uint64_t bound, const char *bound_name)
{
    if (claimed > decoder_left_bytes(decoder) / record_bytes)
        return error_set(decoder->error, URN_DAMAGED, 0,
                         "%" PRIu64 " %s are announced, more than can follow", claimed, what);
    if (claimed > bound)
        return error_set(decoder->error, URN_TOOBIG, 0,
                         "it holds at least %" PRIu64 " more %s than %s allows; raise that limit",
                         claimed - bound, what, bound_name);
    return URN_OK;
}

/* What pool and state refuse as a caller's mistake is damage when it comes from a file. */
static enum urn_code as_damage(struct urn_error *error)
{
    if (error->code == URN_BADARG || error->code == URN_EXISTS)
        error->code = URN_DAMAGED;
    return error->code;
}

/* The applied weight of the item that was added last: F6. */
static enum urn_code decode_applied(struct decoder *decoder, struct urn_pool *pool,
                                    uint64_t probability)
{
    const uint8_t *bytes = NULL;
    enum urn_code code = decoder_take(decoder, SNAPSHOT_APPLIED_BYTES, &bytes);
    if (code != URN_OK)
        return code;
    uint64_t weight = get_u64(bytes);
    if (weight > URN_NUMBER_MAX || weight == probability)
        return error_set(decoder->error, URN_DAMAGED, 0, "its applied weight is out of range");
    return pool_set_applied_weight(pool, pool_item_count(pool) - 1, weight, decoder->error);
}

static enum urn_code decode_item(struct decoder *decoder, struct state *state,
                                 struct urn_pool *pool)
{
    const uint8_t *bytes = NULL;
    enum urn_code code = decoder_take(decoder, SNAPSHOT_ITEM_BYTES, &bytes);
    if (code != URN_OK)
        return code;
    uint64_t quantity = get_u64(bytes);
    uint64_t probability = get_u64(bytes + 8);
    uint64_t drawn = get_u64(bytes + 16);
    uint32_t item_id_bytes = bytes[24] & ~SNAPSHOT_APPLIED_FLAG;
    bool has_applied = (bytes[24] & SNAPSHOT_APPLIED_FLAG) != 0;
    code = decoder_take(decoder, item_id_bytes <= URN_NAME_BYTES_MAX ? item_id_bytes : 0, &bytes);
    if (code != URN_OK)
        return code;
    const char *fault = NULL;
    if (item_id_bytes < 1 || item_id_bytes > URN_NAME_BYTES_MAX)
        fault = "the length of its id is out of range";
    else if (quantity > URN_NUMBER_MAX && (int64_t)quantity != URN_UNLIMITED)
        fault = "its quantity is out of range";
    else if (probability > URN_NUMBER_MAX || drawn > URN_NUMBER_MAX)
        fault = "its weight or its count of draws is out of range";
    if (fault != NULL)
        return error_set(decoder->error, URN_DAMAGED, 0, "%s", fault);
    if (state_add_item(state, pool, (const char *)bytes, item_id_bytes, (int64_t)quantity,
                       probability, drawn, decoder->error) != URN_OK)
        return as_damage(decoder->error);
    return has_applied ? decode_applied(decoder, pool, probability) : URN_OK;
}

static enum urn_code decode_items(struct decoder *decoder, struct state *state,
                                  struct urn_pool *pool, uint32_t items)
{
    pool_begin_bulk(pool);
    for (uint32_t index = 0; index < items; index++)
        if (decode_item(decoder, state, pool) != URN_OK)
            return error_prefix(decoder->error, "item %" PRIu32 ": ", index);
    return pool_end_bulk(pool, decoder->error) == URN_OK ? URN_OK : as_damage(decoder->error);
}

static enum urn_code decode_pool(struct decoder *decoder, struct state *state)
{
    const uint8_t *bytes = NULL;
    enum urn_code code = decoder_take(decoder, SNAPSHOT_POOL_BYTES, &bytes);
    if (code != URN_OK)
        return code;
    uint32_t id = get_u32(bytes);
    uint32_t items = get_u32(bytes + 4);
    uint64_t odds_version = get_u64(bytes + 8);
    uint8_t phase = bytes[16];
    uint32_t name_bytes = bytes[17];
    const char *fault = NULL;
    if (id != state->pool_count)
        fault = "its id is not the one that follows";
    else if (!odds_version_is_possible(odds_version))
        fault = "its odds version is out of range";
    else if (phase > SNAPSHOT_POOL_UNFINISHED)
        fault = "it is neither open nor closed nor unfinished";
    else if (name_bytes < 1 || name_bytes > URN_NAME_BYTES_MAX)
        fault = "the length of its name is out of range";
    if (fault != NULL)
        return error_set(decoder->error, URN_DAMAGED, 0, "%s", fault);
    code = check_claim(decoder, "items", items, SNAPSHOT_ITEM_BYTES + 1,
                       state->bounds.max_items - state->item_count, "limits.max_items");
    if (code != URN_OK)
        return code;
    code = decoder_take(decoder, name_bytes, &bytes);
    if (code != URN_OK)
        return code;
    struct urn_pool *pool = NULL;
    if (state_add_pool(state, (const char *)bytes, name_bytes, state->bounds.max_items, &pool,
                       decoder->error) != URN_OK)
        return as_damage(decoder->error);
    pool_set_odds_version(pool, odds_version);
    if (phase == SNAPSHOT_POOL_UNFINISHED)
        pool_set_unfinished(pool);
    else
        pool_set_open(pool, phase == SNAPSHOT_POOL_OPEN);
    if (pool_reserve(pool, items, decoder->error) != URN_OK)
        return decoder->error->code;
    return decode_items(decoder, state, pool, items);
}

/* Everything behind the header, into a state that is still empty. */
static enum urn_code decode_pools(struct decoder *decoder, const struct snapshot_header *header,
                                  struct state *state)
{
    state->tail = header->tail;
    state->next_request_id = header->next_request_id;
    state->reserved_request_id = header->reserved_request_id;
    state->engine_time_us = header->engine_time_us;
    state->wall_time_us = header->wall_time_us;
    for (uint32_t i = 0; i < header->pools; i++)
        if (decode_pool(decoder, state) != URN_OK)
            return error_prefix(decoder->error, "pool %" PRIu32 ": ", i);
    return decode_end(decoder);
}

/* F1, and the decoder before its first block; false: *error says why not. */
static bool begin_decoding(struct decoder *decoder, uint64_t file_bytes, snapshot_source source,
                           void *context, uint8_t *block, struct urn_error *error)
{
    if (file_bytes < SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES ||
        file_bytes % SNAPSHOT_BLOCK_BYTES != SNAPSHOT_END_BYTES ||
        file_bytes / SNAPSHOT_BLOCK_BYTES > UINT32_MAX) {
        error_set(error, URN_DAMAGED, 0, "%" PRIu64 " bytes is no length that a snapshot can have",
                  file_bytes);
        return false;
    }
    *decoder = (struct decoder){
        .block = block,
        .blocks = (uint32_t)(file_bytes / SNAPSHOT_BLOCK_BYTES),
        .source = source,
        .context = context,
        .error = error,
    };
    crypto_hash_sha256_init(&decoder->hash);
    return true;
}

enum urn_code snapshot_check(uint64_t file_bytes, snapshot_source source, void *context,
                             uint8_t *block, struct wal_geometry *geometry, uint64_t *lsn,
                             struct urn_error *error)
{
    struct decoder decoder;
    struct snapshot_header header = {0};
    if (!begin_decoding(&decoder, file_bytes, source, context, block, error) ||
        decode_header(&decoder, &header) != URN_OK)
        return error->code;
    for (;;) {
        decoder.at = decoder.end; /* the rest of the block is not looked into */
        if (decoder.next_block == decoder.blocks)
            break;
        if (decoder_read_data_block(&decoder) != URN_OK)
            return error->code;
    }
    *geometry = header.geometry;
    *lsn = header.tail.lsn;
    return decode_end(&decoder);
}

enum urn_code snapshot_decode(uint64_t file_bytes, const struct state_bounds *bounds,
                              snapshot_source source, void *context, uint8_t *block,
                              struct state *state, struct wal_geometry *geometry,
                              struct urn_error *error)
{
    *state = (struct state){0};
    struct decoder decoder;
    if (!begin_decoding(&decoder, file_bytes, source, context, block, error))
        return error->code;
    struct snapshot_header header = {0};
    enum urn_code code = decode_header(&decoder, &header);
    if (code == URN_OK)
        code = check_claim(&decoder, "pools", header.pools, SNAPSHOT_POOL_BYTES + 1,
                           bounds->max_pools, "limits.max_pools");
    if (code != URN_OK)
        return code;
    if (state_make(bounds, state, error) != URN_OK) {
        *state = (struct state){0};
        return error->code;
    }
    code = decode_pools(&decoder, &header, state);
    if (code != URN_OK) {
        state_free(state);
        *state = (struct state){0};
        return code;
    }
    *geometry = header.geometry;
    return URN_OK;
}
