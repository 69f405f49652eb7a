/* log_index.h: a sparse index of one segment: from a request id, a time or an LSN to the stretch of log in
 * which to look. Pure: no I/O, no memory of its own. This file owns the format; docs/wal-format.md tells
 * the same to outsiders.
 *
 * Ids, engine time and LSNs only rise along the log, so that an entry for one group in every stretch of
 * 64 KiB or so leads to any other by a walk over few groups. The first group of a segment always has one.
 *
 *     segment   |header|group|group|group|group|group|group|group|group|
 *     entries           0                 1                 2              a stride apart, or a little more
 *     stretch 1                           [----------------)               end_lsn ends the last one
 *
 * Bytes (little-endian; the archive puts them behind a segment's own bytes, at offset segment size)
 *      0   8  magic "URNINDX1"
 *      8   4  CRC32C of bytes 0..7 and 12 to the end
 *     12   4  format version: 1
 *     16  16  ring UUID
 *     32   8  sequence of the segment
 *     40   8  segment size in bytes
 *     48   8  LSN behind the last group
 *     56   8  groups, pads and marks included
 *     64   8  draws
 *     72   8  ids of the segment's draws are below this one, and those of the next segment are not
 *     80   8  engine time of the last group, us
 *     88   8  lowest wall time of any group, us since 1970
 *     96   4  entries: at least one unless there is no group at all
 *    100   4  zero
 *    104  ..  entries
 *
 * Entry
 *      0   8  LSN of its group, which begins the stretch
 *      8   8  first request id of that group
 *     16   8  engine time of that group, us
 *     24   8  highest wall time of any group from the segment's first to the last of this stretch, us since
 *             1970. (Wall time may run backwards; its maximum does not.)
 *
 * An index is valid when magic, version and CRC are right, its length is that of its entries, LSNs are
 * aligned, inside the segment and rise from entry to entry, and ids, engine time and wall time do not fall.
 * It says nothing that the segment does not say: whoever finds none, or one that is not valid, or not of the
 * segment that it follows, builds another from the groups.
 */
#ifndef URN_ENGINE_LOG_INDEX_H
#define URN_ENGINE_LOG_INDEX_H

#include "engine/wal_format.h"

#define LOG_INDEX_VERSION      1u
#define LOG_INDEX_HEADER_BYTES 104u
#define LOG_INDEX_ENTRY_BYTES  32u

/* A stretch is so long at least, and longer where a segment would have too many of them. */
#define LOG_INDEX_STRIDE_BYTES_MIN (64u * 1024)
#define LOG_INDEX_ENTRIES_MAX      4096u

struct log_index_entry {
    uint64_t lsn;
    uint64_t first_request_id;
    uint64_t engine_time_us;
    uint64_t wall_time_us_max;
};

struct log_index {
    uint8_t ring_uuid[WAL_UUID_BYTES];
    uint64_t segment_size_bytes;
    uint64_t sequence;
    uint64_t stride_bytes;   /* while it is built; 0 of one that was read */
    uint64_t end_lsn;        /* behind the last group; of none: behind the segment's header page */
    uint64_t groups;         /* pads and marks included */
    uint64_t draws;          /* failed ones included */
    uint64_t end_request_id; /* the segment's draws have ids below it; 0: no group */
    uint64_t engine_time_us; /* of the last group */
    uint64_t wall_time_us_min;
    uint32_t capacity; /* in entries */
    uint32_t count;
    struct log_index_entry *entries; /* the caller's memory */
};

/* Where to look: groups that begin at or behind from_lsn and before to_lsn. */
struct log_index_stretch {
    uint64_t from_lsn;
    uint64_t to_lsn;
};

/* The stride of an index that is written: LOG_INDEX_STRIDE_BYTES_MIN, or more for a segment that would have
 * more than LOG_INDEX_ENTRIES_MAX entries. */
uint64_t log_index_stride_bytes(uint64_t segment_size_bytes);

/* How many entries a segment can have with this stride: what begin wants room for. */
uint32_t log_index_entries_max(uint64_t segment_size_bytes, uint64_t stride_bytes);

/* ---- building ---------------------------------------------------------------------------------- */

/* An empty index of the segment of this sequence. entries: room for capacity entries,
 * log_index_entries_max() at least; the caller's, and there as long as the index. */
void log_index_begin(struct log_index *index, const struct wal_geometry *geometry,
                     uint64_t sequence, uint64_t stride_bytes, struct log_index_entry *entries,
                     uint32_t capacity);

/* Adds the segment's next group, of any kind; all of them, in order. The header is one that
 * wal_group_peek or better has found in its place. WAL_READ_PLACE: it does not stand right behind the one
 * before, in this segment; WAL_READ_SHAPE: ids or engine time run backwards. Nothing is added then. */
enum wal_read_result log_index_add(struct log_index *index, const struct wal_group_header *header);

/* ---- asking ------------------------------------------------------------------------------------ */

/* The stretch with the draw of this id, if the segment has it: false where the id is below or above those
 * of the segment. */
bool log_index_find_request(const struct log_index *index, uint64_t request_id,
                            struct log_index_stretch *stretch);

/* The stretch in which the group that holds this LSN begins; false: outside of the groups. */
bool log_index_find_lsn(const struct log_index *index, uint64_t lsn,
                        struct log_index_stretch *stretch);

/* The stretch with the first group whose wall time is this or later; false: there is none. */
bool log_index_find_wall_time(const struct log_index *index, uint64_t wall_time_us,
                              struct log_index_stretch *stretch);

/* ---- bytes ------------------------------------------------------------------------------------- */

static inline uint64_t log_index_bytes(uint32_t entries)
{
    return LOG_INDEX_HEADER_BYTES + (uint64_t)entries * LOG_INDEX_ENTRY_BYTES;
}

/* Writes log_index_bytes(index->count). */
void log_index_write(const struct log_index *index, uint8_t *bytes);

/* How many entries the index that begins at bytes says to have, of which nothing is vouched for; the header
 * suffices. For a reader that has to know how much to read. WAL_READ_ZERO, WAL_READ_LENGTH: none begins
 * here. */
enum wal_read_result log_index_peek(const uint8_t *bytes, uint64_t available_bytes,
                                    uint32_t *entries);

/* Checks all of it, and takes it into entries (room for capacity). Whether it is of the ring and of the
 * segment that it was found behind is for the caller to see. WAL_READ_ZERO, WAL_READ_LENGTH,
 * WAL_READ_CHECKSUM, WAL_READ_VERSION, WAL_READ_SHAPE (capacity is too small, too). */
enum wal_read_result log_index_read(const uint8_t *bytes, uint64_t available_bytes,
                                    struct log_index_entry *entries, uint32_t capacity,
                                    struct log_index *index);

#endif
