/* fuzz_snapshot.c: libFuzzer over the snapshot decoder.
 *
 * The first byte of an input says what the rest is:
 *     0  a file as it is: the block layer, which few mutations get past
 *     1  a canonical serialisation: it is cut into blocks and sealed, so that what a hostile writer
 *        with right checksums could say reaches the parser
 *     2  a file whose CRCs and SHA-256 are made right first: block headers and layout
 * Whatever decodes must be a sound state, and must encode to the very bytes that it was read from.
 */
#include <sodium/crypto_hash_sha256.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/snapshot_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FILE_BYTES_MAX (4u * SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES)

static const struct state_bounds fuzz_bounds = {.max_pools = 64, .max_items = 4096};

struct file {
    uint8_t bytes[FILE_BYTES_MAX];
    uint64_t length, at;
};

static struct file input;
static uint8_t block[SNAPSHOT_BLOCK_BYTES];

static enum urn_code take(void *context, uint8_t *to, uint32_t length_bytes,
                          struct urn_error *error)
{
    struct file *file = context;
    (void)error;
    CHECK(length_bytes <= file->length - file->at); /* it never asks for more than there is */
    memcpy(to, file->bytes + file->at, length_bytes);
    file->at += length_bytes;
    return URN_OK;
}

static enum urn_code compare(void *context, const uint8_t *bytes, uint32_t length_bytes,
                             struct urn_error *error)
{
    struct file *file = context;
    (void)error;
    CHECK(length_bytes <= file->length - file->at);
    CHECK(memcmp(bytes, file->bytes + file->at, length_bytes) == 0);
    file->at += length_bytes;
    return URN_OK;
}

/* Puts right checksums into whatever stands where blocks would. */
static void seal(struct file *file)
{
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init(&hash);
    uint64_t at = 0;
    for (; file->length - at >= SNAPSHOT_BLOCK_BYTES; at += SNAPSHOT_BLOCK_BYTES) {
        put_u32(file->bytes + at + 4, crc32c(file->bytes + at + 8, SNAPSHOT_BLOCK_BYTES - 8));
        crypto_hash_sha256_update(&hash, file->bytes + at + 4, 4);
    }
    if (file->length - at < SNAPSHOT_END_BYTES)
        return;
    crypto_hash_sha256_final(&hash, file->bytes + at + SNAPSHOT_BLOCK_HEADER);
    put_u32(file->bytes + at + 4, crc32c(file->bytes + at + 8, SNAPSHOT_END_BYTES - 8));
}

static void begin_block(uint8_t *at, uint32_t bytes, const char magic[4], uint32_t index,
                        uint32_t payload)
{
    memset(at, 0, bytes);
    memcpy(at, magic, 4);
    put_u32(at + 8, index);
    put_u32(at + 12, payload);
}

/* Makes the file that would hold this serialisation. */
static void wrap(struct file *file, const uint8_t *bytes, size_t length)
{
    uint32_t blocks = 0;
    uint8_t *at = file->bytes;
    for (size_t done = 0; done < length || blocks == 0; blocks++) {
        size_t left = length - done;
        uint32_t payload = left < SNAPSHOT_PAYLOAD_BYTES ? (uint32_t)left : SNAPSHOT_PAYLOAD_BYTES;
        begin_block(at, SNAPSHOT_BLOCK_BYTES, "URNB", blocks, payload);
        if (payload > 0)
            memcpy(at + SNAPSHOT_BLOCK_HEADER, bytes + done, payload);
        done += payload;
        at += SNAPSHOT_BLOCK_BYTES;
    }
    begin_block(at, SNAPSHOT_END_BYTES, "URNE", blocks, SNAPSHOT_END_PAYLOAD_BYTES);
    put_u64(at + SNAPSHOT_BLOCK_HEADER + crypto_hash_sha256_BYTES, length);
    file->length = (uint64_t)(at - file->bytes) + SNAPSHOT_END_BYTES;
    seal(file);
}

static void decode_and_encode(struct file *file)
{
    struct state state;
    struct wal_geometry geometry;
    struct urn_error error = {.code = URN_OK};
    file->at = 0;
    enum urn_code code =
        snapshot_decode(file->length, &fuzz_bounds, take, file, block, &state, &geometry, &error);
    if (code != URN_OK) {
        CHECK(code == URN_DAMAGED || code == URN_FORMAT || code == URN_TOOBIG);
        CHECK(error.code == code && error.text[0] != '\0' && state.pools == NULL);
        return;
    }
    CHECK(file->at == file->length);
    state_check(&state);
    file->at = 0;
    CHECK(snapshot_encode(&state, &geometry, block, compare, file, &error) == URN_OK);
    CHECK(file->at == file->length);
    state_free(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FILE_BYTES_MAX)
        return 0;
    uint8_t mode = data[0];
    const uint8_t *rest = data + 1;
    size_t length = size - 1;
    if (mode > 2)
        return 0;
    if (mode == 1) {
        if (length > 4u * SNAPSHOT_PAYLOAD_BYTES)
            return 0;
        wrap(&input, rest, length);
    } else {
        memcpy(input.bytes, rest, length);
        input.length = length;
        if (mode == 2)
            seal(&input);
    }
    decode_and_encode(&input);
    return 0;
}
