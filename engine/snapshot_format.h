/* snapshot_format.h: the whole state as bytes. Pure. This file owns the format;
 * docs/snapshot-format.md tells the same to outsiders.
 *
 * A snapshot file is one or more data blocks of 65536 bytes and one end block of 4096 bytes: its
 * length alone says how many data blocks there are. The payloads of the data blocks, put together,
 * are the canonical serialisation: equal states have equal bytes. All integers little-endian.
 *
 * Data block (65536 bytes)
 *      0   4  magic "URNB"
 *      4   4  CRC32C of bytes 8..65535
 *      8   4  index: 0, 1, 2 ...
 *     12   4  payload bytes: 65520; in the last data block 1 to 65520
 *     16  ..  payload, zero fill to the block's end
 *
 * End block (4096 bytes)
 *      0   4  magic "URNE"
 *      4   4  CRC32C of bytes 8..4095
 *      8   4  index: how many data blocks there are
 *     12   4  payload bytes: 40
 *     16  32  SHA-256 over the CRCs of all data blocks, the 4 bytes of each as they stand there
 *     48   8  bytes of the canonical serialisation
 *     56  ..  zero
 *
 * Canonical serialisation
 *      0   8  magic "URNSNAP1"
 *      8   4  format version
 *     12   4  pools
 *     16  16  ring UUID
 *     32   8  segment size    40  4 segments   44  4 zero
 *     48   8  LSN             56  4 epoch      60  4 zero
 *     64   8  next request id 72  8 highest reserved request id
 *     80   8  engine time us  88  8 wall time us
 *     96  16  chain
 *    112      the pools in order of their ids, each
 *             0   4  id        4  4 items   8  8 odds version
 *            16   1  closed (0), open (1) or unfinished (2: its first catalog is still being
 *                    added)                   17  1 length of the name   18  .. the name
 *                    then its items in order of their indexes, each
 *             0   8  quantity (-1: unlimited)   8  8 weight   16  8 drawn
 *            24   1  length of the id, plus 128 if an applied weight follows
 *            25  ..  the id; then, if so, 8 applied weight: the one that the configuration file is
 *                    known to have given the item, where that is not its weight
 *
 * A file is a valid snapshot when
 *   F1  its length is that of at least one data block and the end block
 *   F2  every block has its magic, CRC, index and payload length, and zeroes behind the payload
 *   F3  the SHA-256 and the serialisation's length in the end block are those of the data blocks
 *   F4  magic and version of the serialisation are known (another version: URN_FORMAT)
 *   F5  segment size, segments, LSN, ids and engine time are within the engine's limits, the LSN
 *       is a place where a group can begin, and what has to be zero is zero
 *   F6  pool ids are 0, 1, 2 ...; names and item ids are 1 to 64 bytes of UTF-8 and occur once
 *       (a name among the pools, an id in its pool); quantities, weights and their sums, counts of
 *       draws and odds versions are within the engine's limits; an applied weight is not the weight
 *   F7  the serialisation ends exactly where its last pool ends
 */
#ifndef URN_ENGINE_SNAPSHOT_FORMAT_H
#define URN_ENGINE_SNAPSHOT_FORMAT_H

#include <sodium/crypto_hash_sha256.h>

#include "engine/state.h"

#define SNAPSHOT_FORMAT_VERSION    1u
#define SNAPSHOT_BLOCK_BYTES       65536u
#define SNAPSHOT_BLOCK_HEADER      16u
#define SNAPSHOT_PAYLOAD_BYTES     (SNAPSHOT_BLOCK_BYTES - SNAPSHOT_BLOCK_HEADER)
#define SNAPSHOT_END_BYTES         4096u
#define SNAPSHOT_END_PAYLOAD_BYTES 40u
#define SNAPSHOT_HEADER_BYTES      112u /* of the canonical serialisation */
#define SNAPSHOT_POOL_BYTES        18u  /* of a pool, its name and items apart */
#define SNAPSHOT_ITEM_BYTES        25u  /* of an item, its id and applied weight apart */
#define SNAPSHOT_APPLIED_BYTES     8u
#define SNAPSHOT_APPLIED_FLAG      128u

enum { SNAPSHOT_POOL_CLOSED = 0, SNAPSHOT_POOL_OPEN = 1, SNAPSHOT_POOL_UNFINISHED = 2 };

/* A block is encoded in slices of so many bytes: what keeps the writer at one time. A slice takes some 15 to
 * 25 us; where the processor is slow for a moment (one that others share, or that has just been asleep) ten
 * times as much was measured, which a whole block would turn into a pause of a millisecond. */
#define SNAPSHOT_SLICE_BYTES 16384u

/* An encoding under way: slice after slice, each when it is asked for. Between two of them the state may
 * change if it has been frozen (state_freeze) before the encoding began. By the state's owner. */
struct snapshot_encoder {
    const struct state *state;
    uint32_t pool_count; /* when it began */
    uint32_t pool;       /* whose record, or whose item, comes next */
    uint32_t item;       /* UINT32_MAX: the pool's own record */
    uint32_t items;      /* of that pool */
    uint32_t blocks;     /* data blocks finished */
    uint32_t used_bytes; /* of the payload of the next one */
    uint64_t total_bytes;
    enum { SNAPSHOT_ENCODE_DATA, SNAPSHOT_ENCODE_END, SNAPSHOT_ENCODE_DONE } next;
    crypto_hash_sha256_state hash;
    uint32_t piece_bytes; /* of the serialisation: the record that is being put into blocks */
    uint32_t piece_used;
    uint8_t piece[SNAPSHOT_HEADER_BYTES + URN_NAME_BYTES_MAX];
};

/* The state's counters are those of this moment; its tail may be told later, for the chain is known only
 * once the last group has been sealed: by snapshot_encoder_set_tail, before the first block. */
void snapshot_encoder_begin(struct snapshot_encoder *encoder, const struct state *state,
                            const struct wal_geometry *geometry);
void snapshot_encoder_set_tail(struct snapshot_encoder *encoder, const struct wal_tail *tail);

/* Puts a slice into the next block (room for SNAPSHOT_BLOCK_BYTES, the same until it is complete). Returns the
 * block's length once it is complete; 0: it is not, or (next says so) the last one has been given. */
uint32_t snapshot_encoder_fill(struct snapshot_encoder *encoder, uint8_t *block);

/* The least that the file of this state takes: exactly, but for items with an applied weight. */
uint64_t snapshot_bytes_min(const struct state *state);

/* Checks what was read back, block after block, against rules F2 and F3 and against the hash that the
 * encoder's end block carries: so that it is what was encoded. */
struct snapshot_verifier {
    uint32_t blocks; /* data blocks seen */
    bool ended;
    crypto_hash_sha256_state hash;
};
void snapshot_verifier_begin(struct snapshot_verifier *verifier);

/* NULL, or what is wrong with the block. end_block: the encoder's last one. */
const char *snapshot_verifier_take(struct snapshot_verifier *verifier, const uint8_t *block,
                                   uint32_t length_bytes, const uint8_t *end_block);

/* Takes blocks as they are finished: a multiple of 4096 bytes each. Returns URN_OK or an error that
 * ends the encoding. */
typedef enum urn_code (*snapshot_sink)(void *context, const uint8_t *block, uint32_t length_bytes,
                                       struct urn_error *error);

/* Encodes state as a file of blocks. block: SNAPSHOT_BLOCK_BYTES of the caller's memory,
 * page-aligned where the sink needs it. Fails only when the sink fails. By the state's owner. */
enum urn_code snapshot_encode(const struct state *state, const struct wal_geometry *geometry,
                              uint8_t *block, snapshot_sink sink, void *context,
                              struct urn_error *error);

/* Gives the decoder the file's bytes in order: exactly length_bytes, or an error. */
typedef enum urn_code (*snapshot_source)(void *context, uint8_t *to, uint32_t length_bytes,
                                         struct urn_error *error);

/* Decodes a file of file_bytes into a new state (on success the caller's to state_free) and its
 * geometry; block as above. Every byte is treated as hostile: what is allocated is bounded by the
 * file's length and by bounds. On an error *state holds nothing. Errors: URN_DAMAGED, URN_FORMAT
 * (another version), URN_TOOBIG (beyond bounds: the message names the limit), URN_NOMEMORY, and
 * what the source returns. Any thread. */
enum urn_code snapshot_decode(uint64_t file_bytes, const struct state_bounds *bounds,
                              snapshot_source source, void *context, uint8_t *block,
                              struct state *state, struct wal_geometry *geometry,
                              struct urn_error *error);

/* Checks a file without building its state, whatever the size: rules F1 to F5, so that it is what some urn
 * encoded. *geometry and *lsn are what it says. Takes no memory. Errors: URN_DAMAGED, URN_FORMAT, and what
 * the source returns. Any thread. */
enum urn_code snapshot_check(uint64_t file_bytes, snapshot_source source, void *context,
                             uint8_t *block, struct wal_geometry *geometry, uint64_t *lsn,
                             struct urn_error *error);

/* The most that the file of such a state can take. */
uint64_t snapshot_bytes_max(uint64_t pools, uint64_t items);

#endif
