/* engine.h: the engine inside: what its threads share, and its steps.
 *
 * All work is done by steps that never block (engine_commit_end and engine_log_sync_end apart, which wait
 * for the disk).
 * threads.c wraps them in threads; the simulator calls them itself, in any order that the threads could
 * produce:
 *
 *     thread     step                      moves
 *     any        urn_submit                requests -> inbox
 *     writer     writer_step               inbox -> select, stage, encode -> open group; closes it
 *     commit *   engine_commit_begin, _end closed group -> disk (or mapping) -> finished
 *     sync **    engine_log_sync_begin, _end  mapping -> disk
 *     snapshot   snapshot_task_step        encoded blocks -> a file that counts -> the writer
 *     lookup     lookups_step              lookups -> looks into the log's files -> finished
 *     past       lookups_past_step         what the ring has forgotten -> looks into the archive -> finished
 *     archive    archive_task_step         full segments, snapshots -> the archive
 *     one        urn_collect               finished -> the caller
 *     *  or who does the writer's turn in its place, when nothing else waits for it: the writer thread, or, while
 *        that sleeps, the thread in urn_work_here
 *     ** in modes interval and os, where a group is finished once the mapping has it
 *
 * At most one closed group exists. It is handed to the commit side by commit_slot; whoever holds it owns
 * struct commit and that group.
 */
#ifndef URN_ENGINE_ENGINE_H
#define URN_ENGINE_ENGINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/archive_task.h"
#include "engine/commit.h"
#include "engine/log_sync.h"
#include "engine/lookup.h"
#include "engine/random.h"
#include "engine/recovery.h"
#include "engine/snapshot_task.h"
#include "engine/stage.h"
#include "engine/state.h"

#define ENGINE_MAGIC 0x52554e45u

/* The most that a mark or an epoch group behind any position can take: a pad to a fresh page (up to
 * two pages), a segment header, and the group's own page. */
#define WRITER_MARK_ROOM_BYTES (4u * OS_PAGE_BYTES)

struct threads; /* threads.c */

/* The end of the inbox's life: no request is taken any more. Not a request, only its address. */
extern struct urn_request inbox_closed;

/* Where the snapshot is that the writer works at (writer_snapshot.c). */
enum snapshots_stage {
    SNAPSHOTS_NONE,
    SNAPSHOTS_SEAL,   /* the state is frozen; the last group before it is on its way */
    SNAPSHOTS_ENCODE, /* blocks are being encoded */
    SNAPSHOTS_GIVEN,  /* all blocks are with the task, and the state is free */
};

struct writer_snapshots {
    enum snapshots_stage stage;
    struct snapshot_ledger ledger; /* those that count; at least one */
    struct snapshot_encoder encoder;
    uint64_t lsn;                /* of the one under way */
    uint64_t room_bytes;         /* that the log had when it began */
    uint64_t every_bytes;        /* the log may grow by so much before the next */
    uint64_t retry_ns;           /* not before; 0: the last one counted */
    uint64_t encoded_ns;         /* when the last slice was */
    struct urn_request *asked;   /* waiting for the next one to begin */
    struct urn_request *serving; /* waiting for the one under way */
    bool final_is_due;           /* by a clean stop */
    bool final_was_tried;
};

/* Ids that may be given. In mode commit all; in modes interval and os those below a reservation that is
 * durable, so that none is given twice although draws may be lost. */
struct writer_ids {
    uint64_t granted;      /* ids up to here may be given */
    uint64_t reserved_lsn; /* end of the group that reserves more (state.reserved_request_id);
                              RESERVED_IN_OPEN_GROUP until it closes; 0: none is under way */
    bool lacking;          /* the oldest of todo waits for that reservation */
};

#define RESERVED_IN_OPEN_GROUP UINT64_MAX

struct writer {
    struct state state; /* staged: everything selected so far */
    struct random_source random;
    struct group groups[2];
    uint32_t open; /* index of the group that is being filled */
    uint32_t group_capacity_bytes;
    uint64_t end_lsn;              /* end of everything closed: where the open group will lie */
    enum wal_group_kind last_kind; /* of the last group closed that had bytes */
    bool mark_says_all;            /* the last mark: that what is before it is durable */
    uint64_t last_closed_ns;
    uint64_t reserve_bytes;       /* of room that requests do not get */
    struct catalog_job job;       /* a request that brings catalogs, and takes many turns */
    struct comparison comparison; /* of the job's catalogs, or of those of this turn */
    struct urn_request *todo;     /* taken from the inbox, not yet staged; oldest first */
    uint64_t time_base_us;        /* engine time = this + monotonic time since time_origin_ns */
    uint64_t time_origin_ns;
    uint32_t flush_after_n_draw;
    uint64_t shortage_ns; /* since when requests find no room in the log; 0: they do */
    bool blocked;         /* the oldest of todo waits for room */
    bool job_blocked;     /* the job does */
    struct writer_ids ids;
    struct writer_snapshots snapshots;
    uint64_t awaited_lsn; /* a stop waits until all below it is durable; 0: for nothing */
    bool failure_seen;
    bool stop_seen;
    bool done; /* stopped; the inbox is closed */
};

struct engine_counters {
    _Atomic uint64_t requests;
    _Atomic uint64_t draws;
    _Atomic uint64_t failed_draws;
    _Atomic uint64_t busy_log;   /* refused by the writer: no room in the log */
    _Atomic uint64_t busy_queue; /* refused by urn_submit: the queue is full */
    _Atomic uint64_t staged_lsn;
    _Atomic uint64_t next_request_id;
    _Atomic uint64_t snapshots;
    _Atomic uint64_t snapshots_failed;
    _Atomic uint64_t snapshot_lsn; /* of the newest that counts */
    _Atomic uint64_t snapshot_pause_ns_max;
};

struct urn_engine {
    uint32_t magic;
    struct urn_os *os;
    struct data_dir data_dir;
    struct wal_ring ring;
    enum urn_wal_mode mode;
    uint32_t max_batch;
    struct state_bounds bounds; /* of pools and items */
    uint32_t queue_requests_max;
    uint64_t queue_draws_max;
    uint64_t pad_capacity_bytes;
    void (*notify)(void *notify_context);
    void *notify_context;

    struct writer writer;          /* the writer thread's */
    struct commit commit;          /* the commit side's */
    struct log_sync log_sync;      /* the syncing side's; meaningless in mode commit */
    struct snapshot_task snapshot; /* the snapshot thread's, and partly the writer's */
    struct lookups lookups;        /* the lookup thread's, and partly the commit side's */
    struct archive_task archive;   /* the archive thread's; it only looks at the others */

    pthread_mutex_t snapshot_failure_lock;
    struct urn_error snapshot_failure; /* what the last snapshot met; URN_OK: nothing */

    /* Between threads. */
    _Atomic(struct urn_request *) inbox;    /* newest first */
    _Atomic(struct urn_request *) finished; /* newest first */
    _Atomic(struct group *) commit_slot;    /* the closed group; NULL: none */
    _Atomic uint64_t room_limit_lsn;        /* the log may grow up to here */
    _Atomic uint32_t queued_requests;
    _Atomic uint64_t queued_draws;
    atomic_bool stopping;
    pthread_mutex_t failure_lock; /* nothing is acknowledged and fails at the same time */
    atomic_bool
        failed; /* fail stop; failure is valid once this is seen true, and set under the lock */
    struct urn_error failure;
    struct engine_counters counters;

    struct threads *threads;   /* NULL: driven step by step */
    uint64_t stop_patience_ns; /* with the archive's threads */
    bool archive_hangs;        /* set by threads_stop: those use the engine still */
};

/* Everything of urn_engine_open but the threads. */
enum urn_code engine_open_steps(const struct urn_engine_config *config, struct urn_engine **opened,
                                struct urn_start_report *report, struct urn_error *error);

/* Frees memory and closes handles, whatever is under way; waits for nothing, makes nothing durable.
 * Requests that were not collected are forgotten. For a simulated crash. */
void engine_abandon(struct urn_engine *engine);

/* The writer's turn: takes what is in the inbox, stages what the open group can take, and closes that
 * group when the commit side is free. Returns whether anything was done. After a stop was asked for and
 * all is finished, writer.done is set. */
bool writer_step(struct urn_engine *engine);

/* When the writer has something to do even if no request comes (a mark), in os_monotonic_ns;
 * UINT64_MAX: never. */
uint64_t writer_deadline_ns(const struct urn_engine *engine);

/* True when requests wait for the writer: then a closed group is better left to the commit thread.
 */
bool writer_has_waiting(const struct urn_engine *engine);

/* Seals, copies and begins to sync the closed group; there must be one. On failure the engine has
 * come to its fail stop and the group is finished (INDOUBT): false, and no end follows. */
bool engine_commit_begin(struct urn_engine *engine);

/* Ends that sync. True: the group is finished (in the log as the mode says, or INDOUBT after a
 * failure). False: the same group wants another engine_commit_begin. */
bool engine_commit_end(struct urn_engine *engine);

/* In modes interval and os: begins to sync what has been copied, if that is due (log_sync.h); true: an
 * engine_log_sync_end must follow. In mode commit: false. */
bool engine_log_sync_begin(struct urn_engine *engine);

/* Ends it. If that fails the engine has come to its fail stop. */
void engine_log_sync_end(struct urn_engine *engine);

/* When the next begin may be due, in os_monotonic_ns; UINT64_MAX: not before something happens. */
uint64_t engine_log_sync_deadline_ns(const struct urn_engine *engine);

/* Asks for a stop: the writer finishes what was submitted, then marks the end. Any thread. */
void engine_ask_stop(struct urn_engine *engine);

/* ---- shared by writer.c and engine.c --------------------------------------------------------- */

/* Everything below it is on the disk. Any thread. */
static inline uint64_t engine_durable_lsn(const struct urn_engine *engine)
{
    return atomic_load(&engine->commit.durable_lsn);
}

/* Asks that everything below be made durable soon; in mode commit it is anyway. The writer. */
void engine_want_durable(struct urn_engine *engine, uint64_t lsn);

/* Hands requests (newest first, to oldest) to the collector. Any thread. */
void engine_finish(struct urn_engine *engine, struct urn_request *newest,
                   struct urn_request *oldest, uint32_t requests, uint64_t draws);

/* What a request counts for in the queue's draws. */
static inline uint64_t engine_draws_of(const struct urn_request *request)
{
    return request->op == URN_DRAW ? request->count : 0;
}

/* Asks for what else there is of a draw (urn.h: side by side), which another processor has: its list is being
 * turned round, and what is done with its members comes later. */
static inline void engine_prefetch_draw(const struct urn_request *request)
{
    __builtin_prefetch(&request->first_request_id, 1);
    __builtin_prefetch(&request->count, 1);
}

/* Finishes all that waits for a group, with the code they have or, after a failure, INDOUBT. */
void engine_finish_group(struct urn_engine *engine, struct group *group, bool failed);

/* A read that is not answered any more: READONLY, and no results. */
void engine_refuse(struct urn_request *request);

/* Comes to the fail stop; the first failure is the one that is told. Any thread. */
void engine_fail(struct urn_engine *engine, const struct urn_error *error);

/* True when a sync has come to what the writer waits for, or the engine has failed since its last step. */
bool writer_sync_has_come(const struct urn_engine *engine);

/* Prepares an empty open group. */
void writer_begin_group(struct writer *writer);

/* ---- writer_snapshot.c: called by the writer's step ------------------------------------------ */

/* The state is that of writer.end_lsn: a snapshot may begin here. */
void snapshots_at_group_end(struct urn_engine *engine);

/* The commit side is free and has not failed: what was closed is sealed. */
void snapshots_seal(struct urn_engine *engine);

/* Says whether there is time for pauses; encodes some slices of a block if there is a buffer for it. */
bool snapshots_encode(struct urn_engine *engine);

/* Takes what the task has come to, if it has. */
bool snapshots_take_result(struct urn_engine *engine);

/* A clean stop: the last one begins and ends. True when all is done. */
bool snapshots_finish(struct urn_engine *engine);

/* A fail stop: whoever waits is told. */
bool snapshots_give_up(struct urn_engine *engine);

/* True when the writer's step would find something of theirs to do. */
bool snapshots_have_work(const struct urn_engine *engine);
uint64_t snapshots_deadline_ns(const struct urn_engine *engine);

void snapshots_note_pause(struct urn_engine *engine, uint64_t began_ns);

/* ---- writer_archive.c: called by the writer's step ------------------------------------------- */

/* Takes what has been archived, which may make room, and says whether there is time for pauses. */
bool archive_take(struct urn_engine *engine);

/* Policy gap: gives up the oldest segment that is not archived, where that makes room; false: it does not. */
bool archive_give_up_segment(struct urn_engine *engine);

/* True when the writer's step would find something new of it. */
bool archive_has_news(const struct urn_engine *engine);

/* The rule of reuse, while the engine runs: more may have come to be allowed. */
void writer_raise_limit(struct urn_engine *engine);

/* Closes the open group as an epoch group and begins the next; only at a start. */
void writer_close_epoch(struct urn_engine *engine, uint64_t next_request_id);

#endif
