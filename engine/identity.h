/* identity.h: who a data directory is: the text of its IDENTITY file. Pure. This file owns the
 * format; docs/snapshot-format.md tells the same to outsiders.
 *
 * ASCII text, a line a fact, each ended by a line feed, in this order and with nothing else:
 *     urn data directory
 *     format: 1
 *     ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1     the ring's UUID, lower case
 *     segment_size: 67108864                         bytes, decimal without leading zeroes
 *     segments: 8
 *     crc32c: c7092e2b                               of all bytes before this line, 8 hex digits
 *
 * facts.h has what is common to such texts.
 */
#ifndef URN_ENGINE_IDENTITY_H
#define URN_ENGINE_IDENTITY_H

#include "engine/facts.h"

#define IDENTITY_FORMAT_VERSION 1u
#define IDENTITY_BYTES_MAX      512u /* a longer file is none of ours */

/* What no ring can have, in a few words ("the segment size is out of range"); NULL for a
 * possible geometry. */
const char *geometry_fault(const struct wal_geometry *geometry);

/* Writes the text (without a zero byte at its end) and returns its length. */
size_t identity_format(const struct wal_geometry *geometry, char text[IDENTITY_BYTES_MAX]);

/* Reads it back; every byte is treated as hostile. Errors: URN_DAMAGED, URN_FORMAT (sound, of
 * another format); *geometry is then unchanged. */
enum urn_code identity_parse(const char *text, size_t length, struct wal_geometry *geometry,
                             struct urn_error *error);

#endif
