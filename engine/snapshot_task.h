/* snapshot_task.h: a snapshot's way to the disk: from blocks in memory to a file that counts.
 *
 * The writer encodes (writer_snapshot.c) and gives block after block; the task only reads and writes
 * files. It is a machine of steps, each of which makes at most one blocking call: threads.c has a thread
 * around it, the simulator calls it itself.
 *
 *     RESTS --writer begins--> WORKS --> ENDED --writer takes the result--> RESTS
 *
 *     step        does                                                     a crash now leaves
 *     CREATE      removes a leftover, makes the temporary file, allocates  N1  a temporary file at most,
 *     WRITE       blocks to the file, several under way, paced             N2  of any content: removed by
 *     SYNC        syncs the file                                           N3  the next start, evidence of
 *     READ        drops the cache, reads all back and verifies             N4  nothing
 *     DURABLE     waits until the log is durable to the snapshot's LSN     N5
 *     RENAME      gives it its name                                        N6  a whole snapshot under either
 *     DIR_SYNC    syncs the directory                                      N7  name; the log of the one
 *                                                                              before is still there
 *     (now it counts: segments before the one before may be overwritten as soon as the writer has the
 *     result)
 *     REMOVE      removes all but the two newest that count, one a step    N8  older ones, needed by nobody
 *     REMOVED     syncs the directory again                                N9
 *
 * A failure before it counts removes the file, whatever its name is by then, and ends in ENDED with what
 * failed; nothing else has changed, and the writer tries again later.
 *
 * A failure after it counts is told, and is no failure of the snapshot: an older one that stays, or that
 * comes back with a power loss because the directory was not synced, takes room and does no harm, though
 * its log may have been overwritten. A start takes the newest that verifies. Should both that count be
 * damaged, it begins at the old one, comes to where the log was overwritten, or at the latest to where a
 * group is damaged, below the LSN that stands in the names of those two, and refuses (case D6, or D5). If
 * nothing was overwritten or damaged, it comes to the end, and the state is right.
 */
#ifndef URN_ENGINE_SNAPSHOT_TASK_H
#define URN_ENGINE_SNAPSHOT_TASK_H

#include <stdatomic.h>

#include "engine/snapshot_file.h"

#define SNAPSHOT_BUFFERS 8u

/* While there is no hurry: so many bytes are read or written, then nothing for so long, that syncs of the
 * log find the disk free. */
#define SNAPSHOT_PACE_BYTES (256u * 1024)
#define SNAPSHOT_PACE_NS    (8ull * 1000 * 1000)

enum snapshot_phase {
    SNAPSHOT_RESTS, /* the writer has everything */
    SNAPSHOT_WORKS, /* the task has everything but what the writer gives */
    SNAPSHOT_ENDED, /* result and error are valid, and the writer's */
};

enum snapshot_step {
    SNAPSHOT_STEP_CREATE,
    SNAPSHOT_STEP_WRITE,
    SNAPSHOT_STEP_SYNC,
    SNAPSHOT_STEP_READ,
    SNAPSHOT_STEP_DURABLE,
    SNAPSHOT_STEP_RENAME,
    SNAPSHOT_STEP_DIR_SYNC,
    SNAPSHOT_STEP_REMOVE,
    SNAPSHOT_STEP_REMOVED,
    SNAPSHOT_STEP_ABORT, /* waits for what is under way, then cleans up */
};

/* What a task wants after a step. */
enum snapshot_want {
    SNAPSHOT_WANTS_STEP,  /* the next one, at once */
    SNAPSHOT_WANTS_TIME,  /* the next one at wake_ns */
    SNAPSHOT_WANTS_EVENT, /* to be woken: by the writer, or by a growing durable LSN */
};

struct snapshot_task {
    struct urn_os *os;
    const struct data_dir *data_dir;
    const _Atomic uint64_t *durable_lsn;
    const atomic_bool *log_failed; /* nothing is begun after it */
    struct os_io *io;
    uint8_t *memory; /* SNAPSHOT_BUFFERS blocks, then the end block */

    /* Between writer and task. Block n lies in buffer n % SNAPSHOT_BUFFERS. */
    _Atomic enum snapshot_phase phase;
    _Atomic uint32_t given; /* blocks that the writer has filled */
    _Atomic uint32_t taken; /* blocks whose buffers are free again */
    _Atomic uint32_t total; /* of blocks; 0 until the last is about to be given */
    atomic_bool
        hurry; /* the ring is about to fill, or requests wait for room, or the engine stops: no
                               pauses */
    atomic_bool waits_for_log; /* to be durable up to the snapshot */

    /* Set by the writer at its beginning, and by the task at its end. */
    struct snapshot_name name;
    struct snapshot_ledger ledger; /* before it counts */
    uint64_t file_bytes_min;       /* allocated in advance */
    bool counts;             /* the result; error: why it does not, or what could not be removed */
    _Atomic(void *) garbage; /* the writer's, to be freed by whoever comes first */
    struct urn_error error;

    /* The task's while it works. */
    enum snapshot_step step;
    struct os_file *file;
    uint64_t wake_ns;
    uint64_t pace_bytes; /* still to go before the next pause */
    uint64_t pace_ns;    /* when the pause ends */
    uint32_t begun;      /* blocks whose write or read has begun */
    uint32_t ended;      /* all blocks before it have ended */
    uint32_t under_way;
    uint32_t progress[SNAPSHOT_BUFFERS]; /* bytes done of the block in this buffer */
    bool finished[SNAPSHOT_BUFFERS];     /* and all of it is */
    bool renamed;
    uint32_t not_removed; /* older ones that cannot be */
    struct snapshot_verifier verifier;
    char file_name[DATA_DIR_NAME_MAX];
    char temporary_name[DATA_DIR_NAME_MAX + sizeof DATA_DIR_TEMPORARY];
};

/* kind: which of the ways to write is to be used. Errors: URN_NOMEMORY, URN_IO (io_uring was asked for and
 * is refused). */
enum urn_code snapshot_task_make(struct snapshot_task *task, struct urn_os *os,
                                 const struct data_dir *data_dir, enum os_io_kind kind,
                                 const _Atomic uint64_t *durable_lsn, const atomic_bool *log_failed,
                                 struct urn_error *error);

/* Whatever is under way. Takes zeroes, too. */
void snapshot_task_free(struct snapshot_task *task);

uint64_t snapshot_task_memory_bytes(void);

/* ---- the writer's side ----------------------------------------------------------------------- */

/* From RESTS to WORKS; name, ledger and file_bytes_min are set. The task is then to be woken. */
void snapshot_task_begin(struct snapshot_task *task);

/* The buffer for the next block; NULL: none is free. */
uint8_t *snapshot_task_buffer(struct snapshot_task *task);

bool snapshot_task_has_buffer(const struct snapshot_task *task);

/* That buffer has been filled. */
void snapshot_task_give(struct snapshot_task *task, bool last);

/* ---- for whoever wakes others: any thread ----------------------------------------------------- */

/* True when there may be something for the writer: a buffer to fill, or a result. */
bool snapshot_task_wants_writer(const struct snapshot_task *task);

/* True when a growing durable LSN is what it waits for. */
bool snapshot_task_waits_for_log(const struct snapshot_task *task);

/* ---- the task's side ------------------------------------------------------------------------- */

/* Does the next step, if there is something to do. */
enum snapshot_want snapshot_task_step(struct snapshot_task *task);

/* True when a task that wanted an event has one. */
bool snapshot_task_has_work(const struct snapshot_task *task);

#endif
