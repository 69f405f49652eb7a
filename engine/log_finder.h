/* log_finder.h: one draw by its id, from the ring, while the log goes on.
 *
 *     id --> a stretch of log --> its groups' headers, one by one --> the group, whole --> the draw
 *
 * The stretch of what this run has written is told by the points that the commit side leaves
 * (log_points.h). What was written before the start has none in memory: the first lookup that wants it has an
 * index made (log_index.h), segment by segment, a slice at a time, beginning with the segment that is wanted.
 * Memory for that is there from the start, and bounded.
 *
 * Segments are overwritten meanwhile. Therefore
 *   F1  nothing is believed but a group that is whole, in its place and of this ring (V1 to V4): an LSN never
 *       comes again below the end of the log, so that such a group is the one that was looked for, whatever
 *       happens to the file later;
 *   F2  what a look at headers alone has come to is only where to look. That there is no such draw is
 *       believed only of a whole epoch group that lets ids go on above it;
 *   F3  a look that comes to nothing asks whether the segment has begun to be overwritten, by what the writer
 *       has closed, and begins anew if so. If it has not, the log is damaged there.
 *
 *   F4  a segment that ends below the snapshot that was loaded may have been overwritten in part by a lap that was
 *       then lost with the power (in modes interval and os, where nothing of it was synced yet). So what is not whole
 *       there is no damage to a lookup: the log that is kept begins behind it.
 *
 * It reads through files, without read-ahead and without mapping anything (draw_reader.h): no large folio comes
 * into the cache (docs/wal-format.md, "Traps").
 *
 * One thread at a time.
 */
#ifndef URN_ENGINE_LOG_FINDER_H
#define URN_ENGINE_LOG_FINDER_H

#include "engine/data_dir.h"
#include "engine/draw_reader.h"
#include "engine/log_index.h"
#include "engine/log_points.h"
#include "engine/state.h"

struct log_finder;

/* What a finder looks at, all of it longer-lived than itself. */
struct log_finder_sources {
    const struct data_dir *data_dir;
    const struct log_points *points;
    const _Atomic uint64_t
        *staged_lsn; /* end of what has been closed: segments up to there are, or are
                                           about to be, written over */
};

enum log_found {
    LOG_FOUND_DRAW,
    LOG_FOUND_OLDER,   /* older than what is kept */
    LOG_FOUND_SKIPPED, /* ids went on above it at a start */
    LOG_FOUND_NOT_YET, /* not given yet, or not acknowledged */
    LOG_FOUND_LATER,   /* log_finder_work first: what it may be in has no index yet */
    LOG_FOUND_ERROR,   /* URN_IO, URN_DAMAGED: which file, and where */
};

uint64_t log_finder_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools);

/* state: as a start has recovered it, before its epoch group; snapshot_lsn: of the snapshot that was loaded.
 * Errors: URN_NOMEMORY. */
enum urn_code log_finder_make(const struct log_finder_sources *sources, const struct state *state,
                              uint64_t snapshot_lsn, struct log_finder **made,
                              struct urn_error *error);
void log_finder_free(struct log_finder *finder);

/* Looks for the draw of this id among all that was acknowledged before the call. LOG_FOUND_ERROR: *error, and
 * draw->lsn where nothing whole could be read. Reads a few tens of KiB and the group. Blocks for the disk alone, where the cache does not have it. */
enum log_found log_finder_find(struct log_finder *finder, uint64_t request_id,
                               struct log_draw *draw, struct urn_error *error);

/* What it reads groups with, for whoever looks elsewhere in the log on the same thread. The finder's. */
struct draw_reader *log_finder_reader(struct log_finder *finder);

enum log_work {
    LOG_WORK_NONE, /* it is done, or nobody has asked */
    LOG_WORK_MORE, /* a slice was done, perhaps the last */
    LOG_WORK_FAILED, /* URN_IO, URN_DAMAGED: a file cannot be read; begun again when somebody asks again */
};

/* Goes on by a slice, about a MiB of log, with the index of what was written before the start, if somebody
 * has asked for it (LOG_FOUND_LATER). Where the log is damaged the index ends; who asks for what lies behind is
 * told. */
enum log_work log_finder_work(struct log_finder *finder, struct urn_error *error);

#endif
