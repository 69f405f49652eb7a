/* history.h: the files of one log in the order of the log: what all commands look at.
 *
 * A history is opened on a data directory, or on segment and snapshot files by themselves (copies of
 * them, say). It knows which stretch of the log each file holds, in LSN order, and which snapshots there
 * are. What stands in the files is read through scan.h and walk.h.
 *
 *     operands -> history (files, order) -> scan (bytes, read and checked ahead) -> walk (groups, breaks)
 *
 * Ring and archive are one history: a stretch that both have is read from the ring, and from the archive
 * where the ring's is damaged (history_use_spare). Segments may be of several sizes: an archive keeps those of
 * before a resize (data_dir_resize.h), and each says by its header page how long it is. Where the archive is, the data directory says (ARCHIVED-TO,
 * engine/archive_format.h), or --archive; an archive can also be looked at by itself.
 *
 * Looking only: files are opened for reading through the seam, which keeps read-ahead off, so that no
 * large folios come into the page cache under a running server's log (docs/wal-format.md, "Traps").
 * Nothing is ever made or changed, no lock is held.
 *
 * Beside a running server
 *   - what is above the highest durable LSN that any group carries is in motion: history_durable_lsn;
 *   - a segment may be overwritten by a later lap while it is being read. The server writes and syncs the
 *     header page first, so whoever does not find what has to be there asks history_reused: if that says
 *     yes, nothing was damaged, and history_refresh shows what there is now.
 *
 * Where a segment's header page is damaged, the groups behind it say where it belongs.
 */
#ifndef URN_TOOLS_URN_WAL_HISTORY_H
#define URN_TOOLS_URN_WAL_HISTORY_H

#include "engine/archive_format.h"
#include "engine/snapshot_file.h"
#include "engine/wal_format.h"
#include "engine/wal_ring.h"
#include "tools/urn_wal/tool.h"

#define HISTORY_NAME_BYTES 256u
#define HISTORY_NO_SLOT    UINT32_MAX
#define NO_OFFSET          UINT64_MAX

enum history_state {
    HISTORY_LOG,     /* a stretch of the log: begin_lsn, size_bytes */
    HISTORY_FREE,    /* nothing of this log: only zeros, or header_why says what stands there */
    HISTORY_MISSING, /* there is no such file */
};

struct history_segment {
    enum history_state state;
    struct os_dir *dir;
    char name[HISTORY_NAME_BYTES];
    uint32_t slot;      /* in the ring; HISTORY_NO_SLOT of a file by itself */
    uint64_t begin_lsn; /* of HISTORY_LOG */
    uint64_t
        size_bytes; /* of a segment, not of the file: the ring's, but of some that are archived */
    uint64_t file_bytes;
    enum wal_read_result header_why; /* WAL_READ_OK: header says what the header page does */
    bool header_unreadable;
    struct wal_segment_header header;
    bool archived;  /* the file is the archive's */
    bool has_spare; /* of a file of the ring: the archive has this stretch, too, as spare_name */
    bool
        uses_spare; /* of one that is archived: it stands in for ring_name, damaged at damage_lsn */
    struct os_dir *spare_dir;
    char spare_name[DATA_DIR_NAME_MAX];
    char ring_name[DATA_DIR_NAME_MAX];
    uint64_t damage_lsn;
};

struct history_snapshot {
    struct os_dir *dir;
    char name[HISTORY_NAME_BYTES];
    struct snapshot_name id; /* as the name says; of another name, as the content says */
    bool archived;           /* only the archive has it */
};

/* A stretch of log that is not archived, and is known not to be. */
struct history_gap {
    uint64_t from_lsn;
    uint64_t to_lsn;
    bool recorded; /* else it follows from what the data directory says of its archive */
    enum archive_gap_reason reason;
};

struct history {
    const struct tool *tool;
    const char *path;  /* the first operand, for messages */
    bool is_directory; /* a data directory: the ring is meant to be whole */
    struct wal_geometry geometry;
    struct history_segment *segments; /* HISTORY_LOG by begin_lsn, then the others by name */
    uint32_t log_count;
    uint32_t segment_count;
    struct history_snapshot *snapshots; /* newest first */
    uint32_t snapshot_count;
    bool is_archive; /* an archive by itself */
    bool has_archive;
    char archive_path[DATA_DIR_PATH_BYTES_MAX];
    struct history_gap *gaps; /* in the order of the log */
    uint32_t gap_count;
    uint32_t damaged_gaps; /* records of gaps that are not sound: the gaps count as missing */
    uint32_t overlaps;     /* archived segments that overlap others of the log, and are left out */
    uint64_t archived_end_lsn; /* of the last archived segment: all below it was durable; 0: none */
    bool live; /* a server has been seen with the directory open; history_live asks */
    /* private */
    const char *const *operands;
    uint32_t operand_count;
    struct os_dir *dirs[OPERANDS_MAX];
    uint32_t dir_count;
    bool durable_known;
    uint64_t durable_lsn;
};

/* Opens the operands: one data directory, one archive, or files of one ring. On URN_OK the caller has to
 * history_close(). operands and tool must outlive it. Errors: URN_NODATA (no such file or directory, or
 * none of urn's), URN_DAMAGED, URN_FORMAT (IDENTITY), URN_BADARG (files of different rings), URN_IO,
 * URN_NOMEMORY. */
enum urn_code history_open(struct history *history, const struct tool *tool,
                           const char *const *operands, uint32_t operand_count,
                           struct urn_error *error);
void history_close(struct history *history);

/* Looks again at what files there are and where they belong: beside a server. Pointers into the tables
 * are void then. Errors: as above. */
enum urn_code history_refresh(struct history *history, struct urn_error *error);

/* The segment at this index turned out to be damaged at lsn: from here on the archive's copy stands in its
 * place. False: there is none. */
bool history_use_spare(struct history *history, uint32_t index, uint64_t lsn);

/* The known gap that holds lsn; NULL: there is none. */
const struct history_gap *history_gap_at(const struct history *history, uint64_t lsn);

/* Whether a server has the directory open now, or has been seen to since history_open. */
bool history_live(struct history *history);

/* Whether an attempt to open a file of the directory failed because it is there no more, although it was listed:
 * a server has removed it, which may have come and gone since (or, in the archive, `prune`). */
bool history_lost(struct history *history, enum urn_code code, const struct urn_error *error);

/* The index of the segment that holds lsn, or of the next one of the log behind it; log_count: none. */
uint32_t history_find(const struct history *history, uint64_t lsn);

static inline uint64_t history_end_lsn(const struct history_segment *segment)
{
    return segment->begin_lsn + segment->size_bytes;
}

/* Of HISTORY_LOG: lsn lies in its stretch. */
static inline bool history_holds(const struct history_segment *segment, uint64_t lsn)
{
    return lsn >= segment->begin_lsn && lsn - segment->begin_lsn < segment->size_bytes;
}

/* The segment that holds lsn; NULL: no file does. */
const struct history_segment *history_at(const struct history *history, uint64_t lsn);

/* What the ring was like when lsn was in it, or ended there: before a resize it had other segments. */
struct wal_geometry history_geometry_at(const struct history *history, uint64_t lsn);

/* Where the segment begins that holds lsn, or would: right behind another one, or as of the ring's size. */
uint64_t history_segment_begin(const struct history *history, uint64_t lsn);

/* Where lsn lies, for people: "segment-0003, offset 8192". */
#define PLACE_TEXT_BYTES (HISTORY_NAME_BYTES + 40u)
const char *history_place(const struct history *history, uint64_t lsn, char text[PLACE_TEXT_BYTES]);

/* A server has written a later lap over the segment since the history was opened or refreshed, or is
 * about to (its header page is half written). Never without a server. */
bool history_reused(struct history *history, const struct history_segment *segment);

/* *durable_lsn: the highest durable LSN that a group of the newest stretch of the log carries (0: none).
 * Searched from the newest segment back to the first in which something is durable, once after each
 * refresh. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code history_durable_lsn(struct history *history, uint64_t *durable_lsn,
                                  struct urn_error *error);

/* Of what a tool takes: whatever an engine may have been configured for. */
const struct state_bounds *history_bounds(void);

/* Loads a snapshot, which must be of this ring. *state is the caller's to state_free(). Errors: those of
 * snapshot_file_load; URN_DAMAGED for another ring's. */
enum urn_code history_load(const struct history *history, uint32_t snapshot, struct state *state,
                           struct urn_error *error);

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Reads from offset on as much as can be read: *got_bytes, less than asked at the file's end or where a
 * sector cannot be read, which is then *bad_offset (else NO_OFFSET). Errors: URN_IO. */
enum urn_code history_read(struct os_file *file, const char *name, uint64_t offset, uint8_t *to,
                           uint64_t length_bytes, uint64_t *got_bytes, uint64_t *bad_offset,
                           struct urn_error *error);

/* Takes whole groups as history_search finds them; false ends the search. */
typedef bool (*history_visit)(void *context, const struct wal_group_header *header);

/* Looks at every 8-byte position of the segment's file from offset on, but for those inside groups that it
 * finds, for whole groups of this ring (V1 to V3) that lie where they say, in whatever lap. Sectors that cannot be read
 * are passed over: *unreadable says whether there were any (may be NULL). Errors: URN_IO, URN_NOMEMORY. */
enum urn_code history_search(const struct history *history, const struct history_segment *segment,
                             uint64_t offset, history_visit visit, void *context, bool *unreadable,
                             struct urn_error *error);

#endif
