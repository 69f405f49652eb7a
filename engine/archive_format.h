/* archive_format.h: what stands in an archive: names and bytes. Pure. This file owns the format;
 * docs/archive-format.md tells the same to outsiders.
 *
 * An archive is a directory to which a server copies full segments of its log before it overwrites them, so
 * that the history outlives the ring. It belongs to one ring.
 *
 *     ARCHIVE                       whose it is. Renamed into place before anything else is
 *     segment-<LSN>                 an archived segment; 16 hexadecimal digits: where it begins in the log
 *     gap-<from LSN>-<to LSN>       a stretch of log that is known not to be archived, and never will be
 *     snapshot-<LSN>-<serial>       a copy of a snapshot, named as in the data directory
 *     LOCK                          held by the one process that archives to it
 *     *.tmp                         unfinished; never evidence of anything
 *
 * Names go by LSN and not by sequence: should the ring get segments of another size one day, what is archived
 * stays where it is.
 *
 * ARCHIVE, and a gap's file, are texts of facts (facts.h):
 *
 *     urn archive                     urn archive gap
 *     format: 1                       format: 1
 *     ring: 8f14e45f-...              ring: 8f14e45f-...
 *     crc32c: ...                     from: 131072            first LSN that is not there
 *                                     to: 196608              first one behind that
 *                                     reason: reused          or: absent, resized
 *                                     crc32c: ...
 *
 * reused: the segments were overwritten before they were archived (wal.archive_policy: gap). absent: a server
 * found the end of the archive below the oldest segment of its ring: archiving had been off, or the archive
 * was not there, while the log went on. resized: the ring was given segments of another size, and those begin
 * here; mostly nothing lies in between (data_dir_resize.h), and the chain of the groups around says so.
 *
 * Archived segment; S is the segment's size, which its header page states
 *      0   S  the segment, byte for byte
 *      S  ..  its index (log_index.h owns the bytes), then zeroes up to a whole page
 *
 * So an archived segment is valid when its groups follow each other from S's header page to S without a gap
 * (wal_format.h, V1 to V7), and nothing needs to be believed that stands behind them.
 *
 * ARCHIVED-TO in the data directory says where the archive is, for whoever looks for it (urn-wal):
 *
 *     urn archived to
 *     format: 1
 *     ring: 8f14e45f-...
 *     policy: block                 or gap; off: archiving has been turned off since
 *     path: /srv/archive/urn        absolute
 *     crc32c: ...
 */
#ifndef URN_ENGINE_ARCHIVE_FORMAT_H
#define URN_ENGINE_ARCHIVE_FORMAT_H

#include "engine/data_dir.h"
#include "engine/facts.h"
#include "engine/log_index.h"

#define ARCHIVE_FORMAT_VERSION 1u
#define ARCHIVE_IDENTITY       "ARCHIVE"
#define ARCHIVE_LOCK           "LOCK"
#define ARCHIVE_NOTE           "ARCHIVED-TO"
#define ARCHIVE_TEXT_BYTES_MAX 512u
#define ARCHIVE_NOTE_BYTES_MAX (ARCHIVE_TEXT_BYTES_MAX + DATA_DIR_PATH_BYTES_MAX)

/* ---- names: any thread ------------------------------------------------------------------------ */

enum archive_name_kind {
    ARCHIVE_NAME_FOREIGN, /* none of ours */
    ARCHIVE_NAME_IDENTITY,
    ARCHIVE_NAME_LOCK,
    ARCHIVE_NAME_SEGMENT,  /* from_lsn */
    ARCHIVE_NAME_GAP,      /* from_lsn, to_lsn */
    ARCHIVE_NAME_SNAPSHOT, /* from_lsn is the snapshot's; serial */
    ARCHIVE_NAME_TEMPORARY,
};

struct archive_name {
    enum archive_name_kind kind;
    uint64_t from_lsn;
    uint64_t to_lsn;
    uint32_t serial;
};

struct archive_name archive_name_parse(const char *name);
void archive_segment_name(char name[DATA_DIR_NAME_MAX], uint64_t begin_lsn);
void archive_gap_name(char name[DATA_DIR_NAME_MAX], uint64_t from_lsn, uint64_t to_lsn);

/* ---- texts ------------------------------------------------------------------------------------- */

size_t archive_identity_format(const uint8_t ring_uuid[WAL_UUID_BYTES],
                               char text[ARCHIVE_TEXT_BYTES_MAX]);
/* Errors here and below: URN_DAMAGED, URN_FORMAT. */
enum urn_code archive_identity_parse(const char *text, size_t length,
                                     uint8_t ring_uuid[WAL_UUID_BYTES], struct urn_error *error);

enum archive_gap_reason { ARCHIVE_GAP_REUSED, ARCHIVE_GAP_ABSENT, ARCHIVE_GAP_RESIZED };

struct archive_gap {
    uint8_t ring_uuid[WAL_UUID_BYTES];
    uint64_t from_lsn;
    uint64_t to_lsn;
    enum archive_gap_reason reason;
};

size_t archive_gap_format(const struct archive_gap *gap, char text[ARCHIVE_TEXT_BYTES_MAX]);
enum urn_code archive_gap_parse(const char *text, size_t length, struct archive_gap *gap,
                                struct urn_error *error);

enum archive_note_policy { ARCHIVE_NOTE_BLOCK, ARCHIVE_NOTE_GAP, ARCHIVE_NOTE_OFF };

struct archive_note {
    uint8_t ring_uuid[WAL_UUID_BYTES];
    enum archive_note_policy policy;
    char path[DATA_DIR_PATH_BYTES_MAX];
};

size_t archive_note_format(const struct archive_note *note, char text[ARCHIVE_NOTE_BYTES_MAX]);
enum urn_code archive_note_parse(const char *text, size_t length, struct archive_note *note,
                                 struct urn_error *error);

/* ---- archived segments -------------------------------------------------------------------------- */

/* Bytes of the file of a segment whose index has so many entries. */
static inline uint64_t archive_segment_bytes(uint64_t segment_size_bytes, uint32_t entries)
{
    return segment_size_bytes + round_up_u64(log_index_bytes(entries), OS_PAGE_BYTES);
}

#endif
