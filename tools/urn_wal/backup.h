/* backup.h: a consistent copy of a data directory, taken beside a running server: no lock, only reading.
 *
 *     snapshot    the newest that verifies, loaded and written anew; with BACKUP_ALL every one that does
 *     log         whole groups, walked by all rules (walk.h) from the segment on that holds the snapshot's
 *                 LSN, or with BACKUP_ALL from the oldest segment on, to the highest durable LSN known when the
 *                 walk began
 *     snapshot    of the state where the log ends, built from what was read back from the copy
 *
 * So the copy is checked twice: while it is read, and as a start would check it, from the disk it stands on. The
 * second snapshot vouches for the log's end by its name, and stands in for the first should that decay.
 * Slots of the ring that hold nothing of it are there in their length and empty.
 *
 * Where the server writes over what is being copied, all is begun anew with the newer snapshots. The log is
 * copied first and into the cache only, so that this takes as little time as reading it.
 *
 * Steps: data_dir_build.h, whose B4 is
 *     the segments, written; synced; the directory synced
 *     the first snapshot, by the steps of snapshot_file.h
 *     all of it read back past the cache, as at a start (recovery.h)
 *     the second snapshot
 *     BACKUP: what it is a copy of, for people, and so that no server starts from it
 */
#ifndef URN_TOOLS_URN_WAL_BACKUP_H
#define URN_TOOLS_URN_WAL_BACKUP_H

#include "engine/data_dir.h"
#include "tools/urn_wal/tool.h"

enum backup_extent {
    BACKUP_NEWEST, /* what a start needs */
    BACKUP_ALL,    /* all that the ring holds */
};

struct backup_report {
    uint64_t begin_lsn; /* of the log copied */
    uint64_t snapshot_lsn;
    uint64_t end_lsn;
    uint64_t groups;
    uint64_t draws;
    uint64_t last_request_id; /* the highest given by then; 0: none */
    uint32_t pools;
    uint64_t items;
    uint64_t log_bytes;
    uint64_t snapshot_bytes; /* of all of them */
    uint64_t wall_time_us;   /* of the last group */
    uint32_t looks;          /* 1: the server was never faster */
    bool live;
    double duration_s;
};

/* Copies the data directory source to the directory dest, which does not exist, or is what an earlier attempt
 * left. On an error dest is left unfinished, as small as it can be made. Errors: those of history_open and
 * data_dir_build_begin; URN_DAMAGED (the log, at or behind the snapshot; what was read back); URN_BUSY (the
 * server was faster, again and again); URN_IO, URN_NOMEMORY. */
enum urn_code backup_make(const struct tool *tool, const char *source, const char *dest,
                          enum backup_extent extent, struct backup_report *report,
                          struct urn_error *error);

#endif
