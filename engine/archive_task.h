/* archive_task.h: the way of full segments to the archive, before they are overwritten.
 *
 * A machine of steps like snapshot_task.h, each of which makes few and short calls: threads.c has a thread
 * around it, the simulator calls it itself. It runs beside everything else, only reads the ring, and is told
 * nothing but what atomics say: how far the log is durable, how far it may grow, which snapshot counts.
 *
 *     archived_lsn          everything below it needs not be kept in the ring any more: it is archived, or
 *                           recorded as a gap
 *     durable_lsn           a segment that ends at or below it will not change: it may be archived
 *     room_limit_lsn        minus the ring: what lies below it may be overwritten at any time. Under policy
 *                           block never above archived_lsn; under policy gap the writer goes on beyond
 *                           it where there is no other room, and what was not archived by then is a gap
 *
 *     step       does                                                     a crash now leaves
 *     OPEN       opens the directory, makes it at first, and lists what   A1  nothing, or an archive in which
 *                is archived already                                          nothing is yet
 *     FIND       what comes next: a gap to record, a segment or a
 *                snapshot to copy; otherwise rests
 *     GAP        writes a gap's record, renamed and synced                A2  the gap is found again
 *     CREATE     removes a leftover, makes the temporary file             A3  a temporary file, of any
 *     COPY       a piece from the ring (a snapshot) to it, paced;         A4  content: removed by the next
 *                checks groups, builds the index                              opening, evidence of nothing;
 *     INDEX      the index behind them                                    A5  the copy is begun again
 *     SYNC       syncs the file, drops it from the cache                  A6
 *     READ       reads a piece back and checks it: groups, digests,       A7
 *                chain, and that it is what was copied
 *     RENAME     gives it its name                                        A8  a whole file under either name;
 *     DIR_SYNC   syncs the directory                                      A9  the ring has it still
 *     (now it counts: archived_lsn rises)
 *     FAILED     after an error: told, and tried again from OPEN on after ARCHIVE_RETRY_NS
 *
 * Reading the ring goes through the file, with read-ahead off, so that no large folio comes into the cache
 * under the log's mapping (docs/wal-format.md, "Traps"). A segment that is overwritten amid its copy (policy
 * gap) is noticed behind every piece, before anything of it counts.
 *
 * A snapshot is copied once it is snapshot.every above the last one that was, so that whoever replays never
 * has far to go.
 *
 * Nothing here fails the engine. What hinders archiving is kept in `failure`, and under policy block the
 * draws wait for it to end.
 */
#ifndef URN_ENGINE_ARCHIVE_TASK_H
#define URN_ENGINE_ARCHIVE_TASK_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/archive_check.h"
#include "engine/archive_dir.h"
#include "engine/snapshot_format.h"

/* While there is no hurry: so many bytes are copied or read back, then nothing for so long (as of
 * snapshots). */
#define ARCHIVE_PIECE_BYTES (256u * 1024)
#define ARCHIVE_PACE_NS     (8ull * 1000 * 1000)

/* After a failure (a full disk, say) it is tried again after so long. */
#define ARCHIVE_RETRY_NS (500ull * 1000 * 1000)

/* A step that takes longer is told of: no disk that is well keeps a call for so long. */
#define ARCHIVE_SILENCE_NS (10ull * 1000 * 1000 * 1000)

#define ARCHIVE_NO_SNAPSHOT UINT64_MAX

enum archive_step {
    ARCHIVE_STEP_OPEN,
    ARCHIVE_STEP_FIND,
    ARCHIVE_STEP_GAP,
    ARCHIVE_STEP_CREATE,
    ARCHIVE_STEP_COPY,
    ARCHIVE_STEP_INDEX,
    ARCHIVE_STEP_SYNC,
    ARCHIVE_STEP_READ,
    ARCHIVE_STEP_RENAME,
    ARCHIVE_STEP_DIR_SYNC,
    ARCHIVE_STEP_FAILED,
};

/* What the task wants after a step. */
enum archive_want {
    ARCHIVE_WANTS_STEP,  /* the next one, at once */
    ARCHIVE_WANTS_TIME,  /* the next one at wake_ns */
    ARCHIVE_WANTS_EVENT, /* to be woken: archive_task_has_work says when */
};

/* Of the rest of the engine, which the task only reads. Pointers live as long as the task. */
struct archive_surroundings {
    struct urn_os *os;
    const struct data_dir *data_dir;
    const _Atomic uint64_t *durable_lsn;
    const _Atomic uint64_t *room_limit_lsn;
    const _Atomic uint64_t *snapshot_lsn; /* of the newest that counts */
    const atomic_bool *log_failed;        /* nothing is begun after it */
    const char *path;                     /* of the archive; copied. NULL or empty: there is none */
    enum urn_archive_policy policy;
    uint64_t snapshot_every_bytes;
    void (*notify)(void *notify_context); /* when failure changes; may be NULL */
    void *notify_context;
};

struct archive_counters {
    _Atomic uint64_t segments;  /* archived since the start */
    _Atomic uint64_t snapshots; /* copied since the start */
    _Atomic uint64_t gaps;      /* recorded since the start */
    _Atomic uint64_t gap_bytes;
    _Atomic uint64_t failures;
};

struct archive_task {
    bool on; /* there is an archive; all else is meaningless without */
    struct archive_surroundings around;
    char path[DATA_DIR_PATH_BYTES_MAX];
    uint64_t segment_bytes;
    uint64_t ring_bytes;
    uint64_t start_lsn; /* where the log ended at the start */

    /* Between threads. */
    _Atomic uint64_t archived_lsn;
    /* Below archived_lsn a gap may begin there that is yet to be recorded; UINT64_MAX: none. 0 until the archive
     * has been listed for the first time. */
    _Atomic uint64_t unrecorded_lsn;
    atomic_bool hurry; /* the ring is about to fill, or requests wait for room: no pauses */
    struct archive_counters counters;
    pthread_mutex_t failure_lock;
    struct urn_error failure;       /* what hinders it; URN_OK: nothing */
    bool abandoned;                 /* nobody is told any more; under the lock, too */
    _Atomic uint64_t step_began_ns; /* of the step that is being done; 0: none is */

    /* The log's being durable up to here gives a resting task something to do. */
    _Atomic uint64_t awaited_lsn;

    /* The task's. */
    enum archive_step step;
    bool was_there;          /* the archive: it is not made anew where it is missing now */
    struct os_dir *ring_dir; /* a handle of its own on the data directory */
    struct os_dir *dir;      /* the archive; NULL: not open */
    struct os_file *lock;    /* of the archive, with it */
    uint64_t
        *archived_by_slot;  /* LSN + 1 where the archived segment begins, by its slot; 0: none */
    uint64_t snapshot_lsn;  /* of the newest archived snapshot; ARCHIVE_NO_SNAPSHOT: none */
    uint64_t due_lsn;       /* of the newest that counted at the last look: it is due */
    uint64_t refused_lsn;   /* the due one that had gone, was damaged, or unreadable; likewise */
    bool segments_first;    /* the last snapshot could not be copied */
    struct archive_gap gap; /* to be recorded; to_lsn 0: none */
    bool copies_snapshot;   /* what is being copied: a snapshot, else a segment */
    uint64_t begin_lsn;     /* of it */
    uint32_t serial;
    uint64_t source_bytes; /* without an index */
    uint64_t file_bytes;
    uint64_t done_bytes;  /* of the present pass over it */
    uint32_t copied_crc;  /* of all of it, as it was written */
    uint32_t read_crc;    /* as it is read back */
    struct wal_tail tail; /* behind the segment archived last: what the next must continue */
    bool tail_known;
    struct os_file *source;
    struct os_file *file;
    bool has_temporary; /* a temporary file of ours may be there */
    struct archive_check check;
    struct log_index index;
    struct snapshot_verifier verifier;
    uint8_t *end_block; /* of the snapshot */
    uint8_t *memory;    /* of check; end_block behind it */
    struct log_index_entry *entries;
    uint32_t entries_max;
    uint64_t pace_ns; /* when the pause ends */
    uint64_t wake_ns;
    char source_name[DATA_DIR_NAME_MAX];
    char file_name[DATA_DIR_NAME_MAX];
    char temporary_name[DATA_DIR_NAME_MAX + sizeof DATA_DIR_TEMPORARY];
};

/* around->path empty: there is no archive, and the task stays off. Makes nothing yet. Errors: URN_NOMEMORY. */
enum urn_code archive_task_make(struct archive_task *task,
                                const struct archive_surroundings *around, struct urn_error *error);
void archive_task_free(struct archive_task *task); /* whatever is under way; takes zeroes, too */

/* 0 without an archive. */
uint64_t archive_task_memory_bytes(const struct urn_engine_config *config);

/* At a start, once the log's end is known (x): opens the archive, finds what of the ring it holds, and sets
 * archived_lsn. Notes in the data directory where the archive is; without one, that there is none any more.
 * Errors: URN_INUSE (another process archives to it), URN_CONFIG (the directory is of another ring or of something
 * else, or reaches beyond the log's end: it is of another history, from before a repair, say). Everything else that hinders is
 * kept in failure, and tried again by the steps. */
enum urn_code archive_task_begin(struct archive_task *task, uint64_t x, struct urn_error *error);

/* Does the next step, if there is something to do. */
enum archive_want archive_task_step(struct archive_task *task);

/* True when a task that wanted an event has one. By the thread that steps. */
bool archive_task_has_work(const struct archive_task *task);

/* True when a log that is durable up to here is what it waits for. Any thread. */
static inline bool archive_task_waits_for(const struct archive_task *task, uint64_t durable_lsn)
{
    return task->on && durable_lsn >= atomic_load(&task->awaited_lsn);
}

/* Its step does not return, and a stop does not wait for it: whatever it still comes to, nobody is told. */
void archive_task_abandon(struct archive_task *task);

/* What hinders it, an archive that does not return from a call included; code URN_OK: nothing. Any thread. */
void archive_task_failure(struct archive_task *task, struct urn_error *error);

#endif
