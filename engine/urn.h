/* urn.h: the engine's one public header (liburn).
 *
 * An engine owns one data directory: pools of items in memory, and the log that makes every draw
 * durable before anyone hears of it. A caller hands in requests and collects them when they are
 * finished; nothing here blocks but opening, stopping, and urn_work_here.
 *
 *     struct urn_request *list  --urn_submit-->  inbox -> WRITER -> COMMIT -> disk
 *     struct urn_request *list  <-urn_collect--  finished requests, in the order of the log
 *
 * The memory of a request, its name and its result arrays belongs to the caller, must stay where it
 * is from urn_submit until urn_collect returns it, and is not touched by the caller in between.
 *
 * What a finished request says is durable under mode commit: an answer computed from a change (an
 * error computed from one included) is not finished before that change is on the disk. In modes
 * interval and os it is not finished before that change is in the log's mapping: the death of the
 * process costs nothing, a power loss what the last sync did not cover.
 *
 * Counts, weights and their sums, quantities, request ids and log positions stay below 2^53.
 */
#ifndef URN_H
#define URN_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__GNUC__)
#define URN_API __attribute__((visibility("default")))
#else
#define URN_API
#endif

#define URN_VERSION "0.1.0"

#define URN_NAME_BYTES_MAX 64u                /* a pool's name or an item's id */
#define URN_NUMBER_MAX     ((1ull << 53) - 1) /* JavaScript and JSON read it exactly */
#define URN_UNLIMITED      ((int64_t)-1)      /* a quantity that never runs out */
#define URN_FAILED_DRAW    UINT32_MAX         /* an outcome: nothing was in stock */

/* ---- codes and errors -------------------------------------------------------------------- */

/* See codes.def for the meaning of each. */
enum urn_code {
    URN_OK = 0,
#define URN_CODE(symbol, text, effect, retry, exit_status, meaning) URN_##symbol,
#include "codes.def"
#undef URN_CODE
    URN_CODE_COUNT
};

enum urn_retry { URN_RETRY_NO = 0, URN_RETRY_YES = 1, URN_RETRY_AFTER_A_LOOK = 2 };

struct urn_error {
    enum urn_code code;
    int system_errno; /* 0 where no system call was involved */
    char text[512];   /* one line, for a person, ends without a full stop or line feed */
};

/* The word on the wire ("NOPOOL"), a sentence about it, and its columns in codes.def. Any thread.
 */
URN_API const char *urn_code_text(enum urn_code code);
URN_API const char *urn_code_meaning(enum urn_code code);
URN_API bool urn_code_may_have_taken_effect(enum urn_code code);
URN_API enum urn_retry urn_code_retry(enum urn_code code);
URN_API int urn_code_exit_status(enum urn_code code);

/* ---- configuration ----------------------------------------------------------------------- */

struct urn_item_spec {
    const char *item_id; /* UTF-8, item_id_bytes long, 1 to URN_NAME_BYTES_MAX bytes */
    uint32_t item_id_bytes;
    int64_t quantity;     /* 0 to URN_NUMBER_MAX, or URN_UNLIMITED */
    uint64_t probability; /* the weight, 0 to URN_NUMBER_MAX; so is a pool's sum of weights */
};

struct urn_pool_spec {
    const char *name; /* UTF-8, name_bytes long, 1 to URN_NAME_BYTES_MAX bytes */
    uint32_t name_bytes;
    uint32_t item_count;
    const struct urn_item_spec *items;
};

/* How snapshots are written. */
enum urn_snapshot_io {
    URN_SNAPSHOT_IO_BEST,  /* through io_uring, or plainly where that is refused */
    URN_SNAPSHOT_IO_URING, /* through io_uring; refused: the engine does not open */
    URN_SNAPSHOT_IO_PLAIN, /* one write at a time */
};

/* When a request finishes, and so what may be lost: docs/operations.md, "Modes". */
enum urn_wal_mode {
    URN_WAL_COMMIT,   /* once the disk has it */
    URN_WAL_INTERVAL, /* once the log's mapping has it; the disk gets it every interval_ns */
    URN_WAL_OS,       /* once the log's mapping has it; the system writes it when it likes */
};

/* What happens to a full segment of the log that is not archived when its place is needed. */
enum urn_archive_policy {
    URN_ARCHIVE_BLOCK, /* it stays; requests wait, and then get BUSY, until it is archived */
    URN_ARCHIVE_GAP,   /* it is overwritten, and the archive records a gap */
};

struct urn_os; /* the system under the engine; engine/os.h */

struct urn_engine_config {
    const char *data_dir;
    bool create;                       /* make the data directory if it is not there */
    const struct urn_pool_spec *pools; /* what a new data directory begins with; until opened */
    uint32_t pool_count;
    enum urn_wal_mode mode;        /* may change from start to start */
    uint64_t interval_ns;          /* between two syncs, in mode interval */
    uint64_t segment_size_bytes;   /* a multiple of 4096; see urn_engine_config_check */
    uint32_t segments;             /* files of the ring, at least 3 */
    uint64_t snapshot_every_bytes; /* of log between two snapshots; 0: as many as the ring allows */
    enum urn_snapshot_io snapshot_io;
    const char
        *archive; /* a directory for full segments; NULL or empty: none is kept. Until opened */
    enum urn_archive_policy archive_policy;
    uint32_t flush_after_n_draw; /* an open group closes at so many draws */
    uint32_t max_batch;          /* draws of one request */
    uint32_t max_pools;
    uint32_t max_items;      /* of all pools together */
    uint32_t queue_requests; /* requests submitted and not yet finished */
    uint64_t queue_draws;    /* draws of those requests */

    /* Called when finished requests begin to wait for urn_collect, at a fail stop, and when it changes how
     * snapshots or the archive fare; by an engine thread or by the one that calls urn_submit. Must not block and must not call the engine.
     * NULL: the caller polls. */
    void (*notify)(void *notify_context);
    void *notify_context;
    uint64_t stop_patience_ns; /* a stop waits so long for an archive that hangs; 0: 10 s */

    struct urn_os *os; /* NULL: the real system */
};

/* Says whether sizes and bounds fit each other (a segment must hold the group of the largest
 * request, for instance); the error names the key as it stands in the YAML file and what would fit.
 * Returns URN_OK or URN_CONFIG. Any thread. */
URN_API enum urn_code urn_engine_config_check(const struct urn_engine_config *config,
                                              struct urn_error *error);

/* The most memory, in bytes, that an engine of this configuration takes, the mapped ring apart. */
URN_API uint64_t urn_engine_memory_bound_bytes(const struct urn_engine_config *config);

/* ---- open and stop ----------------------------------------------------------------------- */

struct urn_engine;

/* What a start found and did. */
struct urn_start_report {
    bool created;               /* the data directory was made by this start */
    uint64_t snapshot_lsn;      /* of the snapshot that was loaded */
    uint32_t snapshots_refused; /* newer ones that did not verify */
    uint64_t replayed_groups;
    uint64_t replayed_draws;
    uint64_t end_lsn;          /* where the valid log ended */
    uint64_t rewritten_bytes;  /* of the tail, made durable again */
    uint64_t discarded_groups; /* whole groups found behind the end: never durable */
    bool torn_tail;            /* the beginnings of a group or header; no remains of earlier laps */
    uint64_t epoch;            /* of this start */
    uint64_t next_request_id;
    uint32_t recovery_case; /* 1 for case D1 and so on: docs/wal-format.md, "Start-up decisions" */
    /* URN_OK, or what there is to say of snapshots but for those that did not verify: why none could be
     * written to free a full log, what could not be removed behind them, or why the second newest is of
     * no use. */
    struct urn_error room_error;
    uint64_t duration_us;
};

/* Opens the data directory (creates it when config->create says so and there is none), recovers,
 * and starts the engine's threads. On success *engine is set and *report filled; on an error *report
 * holds what the start had found by then, and zeroes. Errors:
 * URN_CONFIG, URN_NODATA, URN_CANTCREATE, URN_INUSE, URN_DAMAGED, URN_FORMAT, URN_IO, URN_NOMEMORY.
 * Blocks. */
URN_API enum urn_code urn_engine_open(const struct urn_engine_config *config,
                                      struct urn_engine **engine, struct urn_start_report *report,
                                      struct urn_error *error);

/* Finishes every submitted request, makes all durable in every mode, writes a mark that says so, takes a
 * snapshot and joins the threads. Requests submitted later finish with READONLY. Returns URN_OK, or URN_IO when the log failed
 * now or before; a snapshot that fails is no failure of the stop: the log has everything
 * (urn_engine_snapshot_failure). Call once; urn_collect still works afterwards. Blocks; but for an archive that
 * does not return from a call it waits for stop_patience_ns only (urn_engine_archive_hangs). */
URN_API enum urn_code urn_engine_stop(struct urn_engine *engine, struct urn_error *error);

/* After a stop: the archive has kept a thread for longer than the stop had patience. Nothing of what was
 * acknowledged is concerned; lookups that waited for the archive have got IO. Until the process ends, the thread
 * keeps the engine's memory and the lock on the data directory, also behind urn_engine_free; it calls nobody. */
URN_API bool urn_engine_archive_hangs(const struct urn_engine *engine);

/* Releases everything. The engine must have been stopped and collected. engine may be NULL. */
URN_API void urn_engine_free(struct urn_engine *engine);

/* ---- requests ---------------------------------------------------------------------------- */

struct urn_pool;

struct urn_text {
    const char *bytes; /* UTF-8, not terminated; as long-lived as the engine */
    uint32_t length;
};

struct urn_item {
    struct urn_text item_id;
    uint32_t index;
    int64_t quantity; /* left; URN_UNLIMITED */
    uint64_t probability;
    uint64_t drawn; /* how many were ever handed out */
};

enum urn_op {
    URN_DRAW,     /* pool_name or pool, count, draw_all, outcomes */
    URN_STATE,    /* pool_name, offset, limit, items */
    URN_CATALOG,  /* pool_name, offset, limit, names: item ids in index order */
    URN_POOLS,    /* offset, limit, names: pool names in order of creation */
    URN_SNAPSHOT, /* the lsn that a snapshot covers, once that counts; else IO, and error says why */
    URN_UPDATE,   /* pool_name, item_id, set and conditions (has_...) */
    URN_ADD,      /* pool_name, item_id, quantity, probability */
    URN_CREATE,   /* pool_name, pools: one, of this name */
    URN_CLOSE,    /* pool_name: draws get CLOSED from here on */
    URN_OPEN,     /* pool_name */
    URN_RELOAD,   /* pools: those of the configuration file; dry_run, force, limit, changes */
    URN_LOOKUP,   /* request_id: what came of that draw; else NOTFOUND, and error says why */
};

/* What a reload did, or would do: see docs/operations.md, "Changing pools". */
enum urn_change_kind {
    URN_CHANGE_NEW_POOL,      /* quantity: how many items it gets */
    URN_CHANGE_NEW_ITEM,      /* quantity, probability */
    URN_CHANGE_WEIGHT,        /* probability, and before it */
    URN_CHANGE_CONFLICT,      /* left alone: the file says probability, an update says before;
                                 without an item: the pool is unfinished, with another catalog */
    URN_CHANGE_ITEM_NOT_HERE, /* the file does not have it; it stays */
    URN_CHANGE_POOL_NOT_HERE,
    URN_CHANGE_KINDS
};

struct urn_change {
    enum urn_change_kind kind;
    struct urn_text pool; /* both live as long as the engine and the request's pools */
    struct urn_text item_id;
    int64_t quantity;
    uint64_t probability;
    uint64_t before;
};

struct urn_request {
    /* Of every request and of a draw: all that it needs of the struct lies here, side by side, for it goes
     * from one thread to another and back. Set by the caller: */
    struct urn_request *next; /* the list; set again by the engine */
    enum urn_op op;
    uint32_t count;        /* draws asked for: 1 to max_batch */
    const char *pool_name; /* DRAW: NULL where the caller knows the pool itself, and sets that */
    uint32_t pool_name_bytes;
    bool draw_all;      /* every draw succeeds or nothing happens (NOSTOCK) */
    uint32_t *outcomes; /* room for count: catalog positions, or URN_FAILED_DRAW */
    /* Set by the engine; valid once collected. When code is not URN_OK, only pool and odds_version may
     * hold something besides it (and of a lookup that ends with NOTFOUND, first_request_id and
     * last_request_id), and outcomes holds nothing of worth. */
    enum urn_code code;
    uint32_t failed; /* how many of the draws failed */
    /* NULL where the request names none or there is none. Of a draw without a pool_name set by the caller: one
     * that a finished request of this engine has shown, which is then not looked for by its name. */
    const struct urn_pool *pool;
    uint64_t odds_version; /* of the pool; of a change: behind it */
    /* Of the draws: they have first, first + 1, ...; NOTFOUND: the oldest id that is kept, which is above
     * last_request_id where there is none. */
    uint64_t first_request_id;

    /* Of other requests, set by the caller. */
    uint32_t offset;        /* first item or name wanted */
    uint32_t limit;         /* room in items or names */
    struct urn_item *items; /* room for limit */
    struct urn_text *names; /* room for limit */
    uint64_t request_id;    /* LOOKUP: the id of a draw, at least 1 */

    /* Of a change, set by the caller; like all else, the caller's until collected. */
    const char *item_id;
    uint32_t item_id_bytes;
    bool has_quantity; /* UPDATE: which of the three are meant; ADD takes both values as they are */
    bool has_probability;
    bool has_if_quantity;
    int64_t quantity;     /* left from now on, or URN_UNLIMITED */
    uint64_t probability; /* the weight */
    int64_t if_quantity;  /* CONFLICT unless so many are left */
    const struct urn_pool_spec *pools;
    uint32_t pool_count;
    bool dry_run;               /* RELOAD: only say what would change */
    bool force;                 /* RELOAD: the file's weights win over updates */
    struct urn_change *changes; /* RELOAD: room for limit */
    /* Where a change, a snapshot or a lookup that ends with an error says why; or NULL. */
    struct urn_error *error;

    void *context; /* the caller's own; never read */

    /* Of other requests, set by the engine. */
    uint32_t returned; /* how many of items, names or changes were filled */
    uint32_t total;    /* how many there are in all */
    bool open;         /* STATE: draws are taken */
    uint32_t outcome;  /* LOOKUP: the item's index, or URN_FAILED_DRAW */
    /* STATE, NOTFOUND: the highest id given to any draw of the engine; 0: none. */
    uint64_t last_request_id;
    /* STATE, SNAPSHOT: the answer holds every change below it; LOOKUP: where the log has the draw's group. */
    uint64_t lsn;
    uint64_t wall_time_us;            /* LOOKUP: when the draw's group was closed, since 1970 */
    uint32_t kinds[URN_CHANGE_KINDS]; /* RELOAD: how many changes of each kind there are in all */
};

/* Changes. Each is carried out whole or not at all, in its place among all requests, and raises the
 * odds version of its pool by one if it adds an item or changes a weight.
 *
 * A large catalog is added over many groups: the pool is created closed, and opened with its last
 * item; draws from other pools go on meanwhile. So they do while RELOAD compares large catalogs. Only
 * one CREATE or RELOAD does that at a time; another that comes gets BUSY. Once a part of it is staged it
 * waits for room in the log, however long. If it ends before it is done (a crash, or INDOUBT at a stop
 * that finds no room), the pool is unfinished: the same CREATE again goes on where it ended, another one
 * gets EXISTS, and CLOSE makes it an ordinary closed pool of the items that it has.
 *
 * Errors: NOPOOL, NOITEM, EXISTS, BADARG; CONFLICT (if_quantity; a pool that is unfinished);
 * TOOBIG (limits.max_pools, limits.max_items, or a reload that changes more of the pools there are
 * than one group can hold); BUSY; READONLY, INDOUBT. */

/* Lookups are answered beside the writer, from the log, and hold up nothing. One that is submitted after a
 * draw was collected finds it; one that is submitted while the draw is under way finds it or does not. What the
 * ring has from before the start is indexed when it is first asked for, which takes a moment.
 *
 * Errors: NOTFOUND (not given yet, older than what is kept, or left out at a start or by a repair); IO
 * (this time it could not be read); DAMAGED (the log is not what was written); READONLY. */

/* Hands a list of requests (linked by next, NULL at the end) to the writer, in this order. Each is
 * finished sooner or later and comes back through urn_collect; one that finds the queue full
 * finishes with BUSY, after a fail stop or a stop with READONLY. Never blocks. Any thread. */
URN_API void urn_submit(struct urn_engine *engine, struct urn_request *list);

/* As urn_submit, but wakes nobody. True: nobody works at the list until urn_work_here is called, by this thread,
 * which is to be next. Never blocks. Any thread. */
URN_API bool urn_submit_quietly(struct urn_engine *engine, struct urn_request *list);

/* Where the engine rests, the calling thread does its work on what waits, syncs included: a lone request is
 * spared the hand-over to another thread and back. True: it did, and whoever collects is to do so now, for notify
 * is not called for what has finished here. That is a draw at least, unless it waits for room in the log; a change
 * that brings catalogs may go on in the engine's own threads. False: those do all of it. Blocks as a disk does. */
URN_API bool urn_work_here(struct urn_engine *engine);

/* Takes all finished requests, as a list linked by next, oldest first; NULL when there are none.
 * Never blocks. One thread at a time. */
URN_API struct urn_request *urn_collect(struct urn_engine *engine);

/* The id of an item whose index a finished request has shown. Ids never change, so any thread may
 * ask, at any time while the engine lives. */
URN_API struct urn_text urn_pool_item_id(const struct urn_pool *pool, uint32_t index);

/* The name of a pool that a finished request has shown. Likewise. */
URN_API struct urn_text urn_pool_name(const struct urn_pool *pool);

/* ---- looking at the engine --------------------------------------------------------------- */

struct urn_engine_info {
    bool failed;               /* fail stop: the log failed, changes are refused */
    uint64_t durable_lsn;      /* everything below it is on the disk */
    uint64_t acknowledged_lsn; /* everything below it is finished; in mode commit the same */
    uint64_t unsynced_ns;      /* how long ago, at most, the oldest between the two was finished */
    uint64_t staged_lsn;       /* end of what has been closed into groups */
    uint64_t room_bytes;       /* of log that requests may still fill */
    uint64_t ring_bytes;       /* the whole ring */
    uint64_t epoch;
    uint64_t next_request_id;
    uint64_t draws; /* since the start; likewise all below */
    uint64_t failed_draws;
    uint64_t requests;
    uint64_t busy;     /* requests refused for want of room in queue or log */
    uint64_t busy_log; /* those of them that found none in the log */
    uint64_t groups;
    uint64_t marks;
    uint64_t log_bytes; /* written to the log, headers and padding included */
    uint64_t syncs;
    uint64_t sync_ns; /* in all syncs together */
    uint64_t sync_ns_max;
    uint64_t snapshots; /* taken, and since verified */
    uint64_t snapshots_failed;
    uint64_t snapshot_lsn; /* of the newest that counts */
    uint64_t
        snapshot_pause_ns_max; /* the longest that a snapshot has kept the writer at one time */
    bool snapshot_io_uring;    /* how they are written */
    uint64_t lookups;          /* answered, whatever the answer */
    uint64_t lookups_not_found;
    bool archives;              /* there is an archive; else the figures of it are 0 */
    uint64_t archived_lsn;      /* everything below it is archived, or recorded as a gap */
    uint64_t archived_segments; /* since the start; likewise below */
    uint64_t archived_snapshots;
    uint64_t archive_gaps;
    uint64_t archive_gap_bytes; /* overwritten, or found absent, before it was archived */
    uint64_t archive_failures;
    uint64_t queued_requests; /* now: submitted and not finished */
    uint64_t queued_draws;
};

/* Fills *info with figures that are each true of some moment just now. Any thread. */
URN_API void urn_engine_info(const struct urn_engine *engine, struct urn_engine_info *info);

/* After a fail stop, what failed and why; *error has code URN_OK before one. Any thread. */
URN_API void urn_engine_failure(const struct urn_engine *engine, struct urn_error *error);

/* How snapshots fare: why the last one failed, or what could not be removed behind one that counts; code
 * URN_OK: the last one met nothing. The engine's notify is called whenever that changes. Any thread. */
URN_API void urn_engine_snapshot_failure(struct urn_engine *engine, struct urn_error *error);

/* Likewise of the archive: what hinders it now, or code URN_OK. (That it does not return from a call is told to who
 * asks; nobody is notified.) */
URN_API void urn_engine_archive_failure(struct urn_engine *engine, struct urn_error *error);

#endif
