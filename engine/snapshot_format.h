/* snapshot_format.h: the whole state as bytes. Pure. This file owns the format.
 *
 * A snapshot file is a sequence of blocks, each a multiple of 4096 bytes. All but the last hold
 * SNAPSHOT_BLOCK_BYTES. The blocks' payloads, put together, are the canonical serialisation: equal
 * states have equal bytes.
 *
 * Block
 *      0   4  magic "URNB"
 *      4   4  CRC32C of bytes 8..end of the block
 *      8   4  index: 0, 1, 2 ...
 *     12   4  payload bytes: SNAPSHOT_PAYLOAD_BYTES, fewer only in the last block but one
 *     16  ..  payload, zero fill to the block's end
 *
 * Last block (4096 bytes): magic "URNE", CRC, index, payload bytes 40; payload:
 *     16  32  SHA-256 over the CRCs of all blocks before, 4 bytes each
 *     48   8  bytes of the canonical serialisation
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
 *            16   1  open (1) or closed (0)   17  1 length of the name   18  .. the name
 *                    then its items in order of their indexes, each
 *             0   8  quantity (-1: unlimited)   8  8 weight   16  8 drawn
 *            24   1  length of the id          25  .. the id
 */
#ifndef URN_ENGINE_SNAPSHOT_FORMAT_H
#define URN_ENGINE_SNAPSHOT_FORMAT_H

#include "engine/state.h"

#define SNAPSHOT_FORMAT_VERSION 1u
#define SNAPSHOT_BLOCK_BYTES    65536u
#define SNAPSHOT_BLOCK_HEADER   16u
#define SNAPSHOT_PAYLOAD_BYTES  (SNAPSHOT_BLOCK_BYTES - SNAPSHOT_BLOCK_HEADER)

/* Takes blocks as they are finished: a multiple of 4096 bytes each. Returns URN_OK or an error that
 * ends the encoding. */
typedef enum urn_code (*snapshot_sink)(void *context, const uint8_t *block, uint32_t length_bytes,
                                       struct urn_error *error);

/* Encodes state as a file of blocks. block: SNAPSHOT_BLOCK_BYTES of the caller's memory, page-aligned
 * where the sink needs it. */
enum urn_code snapshot_encode(const struct state *state, const struct wal_geometry *geometry,
                              uint8_t *block, snapshot_sink sink, void *context,
                              struct urn_error *error);

/* Gives the decoder the file's bytes in order: exactly length_bytes, or an error. */
typedef enum urn_code (*snapshot_source)(void *context, uint8_t *to, uint32_t length_bytes,
                                         struct urn_error *error);

/* Decodes a file of file_bytes into a new state (bounds checked; freed by the caller) and geometry.
 * Every byte is treated as hostile. Errors: URN_DAMAGED, URN_FORMAT (another version), URN_TOOBIG
 * (beyond bounds: the message names the limit), URN_NOMEMORY, and what the source returns. */
enum urn_code snapshot_decode(uint64_t file_bytes, const struct state_bounds *bounds,
                              snapshot_source source, void *context, uint8_t *block,
                              struct state *state, struct wal_geometry *geometry,
                              struct urn_error *error);

/* The most that the file of such a state can take. */
uint64_t snapshot_bytes_max(uint64_t pools, uint64_t items);

#endif
