/* restore.h: a state of the past, or of a copy, as a new data directory.
 *
 *     source (backup, data directory, archive, snapshot file) -> the state at a moment (replay_build.h)
 *       -> two snapshots in an empty ring with a UUID of its own
 *
 * The new ring has nothing in common with the old one: groups and snapshots of one are never valid in the
 * other. What the outside has seen goes on above all that is known (known.h): request ids by a margin, for the
 * source may not know of all that was given; LSNs and epochs, so that they keep rising for who watches them.
 *
 * The log begins with a segment, so that it continues a whole one: at the first multiple of the segment size
 * that is not below anything known.
 *
 * Steps: data_dir_build.h, whose B4 is
 *     the segments, zeroes; the directory synced
 *     two snapshots of the state, serials 0 and 1, by the steps of snapshot_file.h: there is no log behind
 *     which an older one could stand in
 *     all of it read back past the cache, as at a start (recovery.h)
 */
#ifndef URN_TOOLS_URN_WAL_RESTORE_H
#define URN_TOOLS_URN_WAL_RESTORE_H

#include "tools/urn_wal/known.h"
#include "tools/urn_wal/replay_build.h"

#define RESTORE_ID_MARGIN                                                                          \
    1000000000ull /* ids that may have been given since, and nobody here knows */

struct restore {
    const struct tool *tool;
    const char *const *sources;
    uint32_t source_count;
    const char *dest;
    struct moment until;
    uint64_t id_margin;
    struct wal_geometry geometry; /* sizes of 0: as the source's; its UUID is set */

    /* what came of it */
    enum replay_outcome
        outcome;         /* REPLAY_REACHED, or why there is nothing to be restored: it is told */
    bool live;           /* a server has the source open */
    uint64_t moment_lsn; /* end of the last whole group that the state holds */
    uint64_t moment_time_us;  /* of the last group */
    uint64_t last_request_id; /* 0: none was given */
    struct known known;
    uint64_t next_request_id; /* where ids go on */
    uint64_t begin_lsn;       /* where the new log begins */
    uint32_t pools;
    uint64_t items;
    uint64_t left; /* in stock, of the items that are limited */
    uint64_t drawn;
};

/* Does it. On URN_OK with another outcome than REPLAY_REACHED nothing was made. Errors: those of history_open
 * and data_dir_build_begin; URN_BADARG (sizes that no ring can have; a margin beyond what ids can be),
 * URN_DAMAGED (what was read back), URN_IO, URN_NOMEMORY. */
enum urn_code restore_make(struct restore *restore, struct urn_error *error);

#endif
