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
 *
 * While a ring is being given another size (data_dir_resize.h) it is of format 2, so that nobody who does not know
 * of that takes the directory for a whole one:
 *     urn data directory
 *     format: 2
 *     ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1
 *     segment_size: 67108864                         as they were
 *     segments: 8
 *     new_segment_size: 134217728                    as they will be
 *     new_segments: 16
 *     new_begin_lsn: 536870912                       where the log goes on, in a segment of the new size
 *     crc32c: 162fe8bd
 */
#ifndef URN_ENGINE_IDENTITY_H
#define URN_ENGINE_IDENTITY_H

#include "engine/facts.h"

#define IDENTITY_FORMAT_VERSION  1u
#define IDENTITY_FORMAT_RESIZING 2u
#define IDENTITY_BYTES_MAX       512u /* a longer file is none of ours */

/* What no ring can have, in a few words ("the segment size is out of range"); NULL for a
 * possible geometry. */
const char *geometry_fault(const struct wal_geometry *geometry);

/* Writes the text (without a zero byte at its end) and returns its length. */
size_t identity_format(const struct wal_geometry *geometry, char text[IDENTITY_BYTES_MAX]);

/* Reads it back; every byte is treated as hostile. Errors: URN_DAMAGED, URN_FORMAT (sound, of
 * another format); *geometry is then unchanged. */
enum urn_code identity_parse(const char *text, size_t length, struct wal_geometry *geometry,
                             struct urn_error *error);

/* What format 2 says. The UUID is the same in both. */
struct identity_resizing {
    struct wal_geometry from, to;
    uint64_t begin_lsn; /* a multiple of the new segment size */
};

size_t identity_format_resizing(const struct identity_resizing *resizing,
                                char text[IDENTITY_BYTES_MAX]);

/* Reads it back. Errors: URN_DAMAGED, URN_FORMAT (sound, of another format, such as 1); *resizing is then
 * unchanged. */
enum urn_code identity_parse_resizing(const char *text, size_t length,
                                      struct identity_resizing *resizing, struct urn_error *error);

#endif
