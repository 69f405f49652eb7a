/* resize.h: another ring for a data directory that no server has open (data_dir_resize.h has the steps).
 *
 *     lock, look as a start does -> what would be lost -> the old ring into the archive, into a backup, or given up
 *         -> the new ring
 *
 * What was begun and not finished is finished first, and nothing else is done then.
 */
#ifndef URN_TOOLS_URN_WAL_RESIZE_H
#define URN_TOOLS_URN_WAL_RESIZE_H

#include "engine/archive_format.h"
#include "engine/data_dir.h"
#include "tools/urn_wal/backup.h"

enum resize_outcome {
    RESIZE_DONE,
    RESIZE_FINISHED,  /* one that had been begun before */
    RESIZE_SAME,      /* the ring has these sizes; nothing was changed */
    RESIZE_UNDECIDED, /* neither archive nor backup nor discards: nothing was changed */
};

struct resize {
    const struct tool *tool;
    const char *path;
    uint64_t segment_size_bytes; /* 0: as it is */
    uint32_t segments;           /* likewise */
    uint32_t max_batch;          /* limits.max_batch of the configuration that it is for */
    const char *backup;          /* the old ring is copied there first; NULL: it is not */
    bool discards;               /* the old ring's log may be given up, though it is not archived */

    /* what came of it */
    enum resize_outcome outcome;
    bool archives; /* the old ring's log is archived, at archive.path */
    struct archive_note archive;
    struct wal_geometry from, to;
    uint64_t history_lsn; /* where the old ring's log begins */
    uint64_t end_lsn;     /* where it ends */
    uint64_t begin_lsn;   /* where the new one begins */
    uint64_t first_id;    /* draws of the old ring's log; 0: none */
    uint64_t last_id;     /* the highest given so far; 0: none */
};

/* Does it. Errors: URN_BADARG (sizes that no server would take: says which it would; another resize has begun),
 * those of data_dir_open, recovery_read (the log is damaged: it must be in order before), backup_make and
 * data_dir_resize.h. Before that has begun, nothing has changed in the directory. */
enum urn_code resize_ring(struct resize *resize, struct urn_error *error);

#endif
