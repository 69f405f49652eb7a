/* recovery.h: from files to a state: the start-up procedure, and the table by which it decides.
 *
 * Start (data_dir.h has steps 1 and 2: lock, identity, creation)
 *   3  load the newest snapshot that verifies, else the one before, and so on
 *   4  walk the log from its LSN, applying group after group, to the first position x at which no valid
 *      group stands; search every slot for evidence that acknowledged data lay at or beyond x
 *   5  decide by the table below; on a go, make the tail durable: rewrite everything from the highest
 *      carried durable LSN to x with identical bytes, and sync it (it may live in the cache only: after
 *      a crash of the process, or after a sync that failed); then drop the ring from the cache and map it
 *   6  make room if the ring is full: a snapshot at x, or two, which free every segment before it
 *   7  write and sync the epoch group at x, on a fresh page; then requests may come
 *
 * A start may be interrupted anywhere and begun again: 3 and 4 only read, 5 rewrites identical bytes, 6
 * adds a file before it removes any, 7 is an ordinary group.
 *
 * Facts                                             Case (docs/wal-format.md, "Start-up decisions")
 *   snapshot  stop        unreadable  group   snapshot |
 *                         elsewhere   beyond  beyond   |
 *   none      -           -           -       -        | D1 refuse: no snapshot verifies
 *   loaded    unreadable  -           -       -        | D2 refuse: x itself cannot be read
 *   loaded    meaning     -           -       -        | D3 refuse: valid bytes that cannot be true
 *   loaded    z t s       yes         -       -        | D4 refuse: evidence may lie where we cannot read
 *   loaded    z t s       no          yes     -        | D5 refuse: a later group says x was durable
 *   loaded    z t s       no          no      yes      | D6 refuse: a snapshot's name says x was durable
 *   loaded    zero        no          no      no       | D7 start: clean end
 *   loaded    torn        no          no      no       | D8 start: torn tail, never durable
 *   loaded    stale       no          no      no       | D9 start: nothing was written over old bytes
 *
 * Stop: z(ero): nothing but zeros where a group's header would be. s(tale): a whole group of this ring,
 * but of an earlier lap or of a chain that was cut. t(orn): anything else: a group torn, or what is left
 * of older ones. Exactly one row matches any combination of facts; a test walks them all.
 */
#ifndef URN_ENGINE_RECOVERY_H
#define URN_ENGINE_RECOVERY_H

#include "engine/snapshot_ledger.h"
#include "engine/state.h"
#include "engine/wal_reader.h"
#include "engine/wal_ring.h"

enum recovery_stop {
    RECOVERY_STOP_ZERO,
    RECOVERY_STOP_TORN,
    RECOVERY_STOP_STALE,
    RECOVERY_STOP_UNREADABLE,
    RECOVERY_STOP_MEANING,
    RECOVERY_STOPS
};

struct recovery_facts {
    bool snapshot_loaded;
    enum recovery_stop stop;
    bool unreadable_elsewhere;
    bool group_beyond;    /* a group of this ring carries a durable LSN above x */
    bool snapshot_beyond; /* a snapshot, valid or not, is named with an LSN above x */
};

enum recovery_case {
    RECOVERY_NO_SNAPSHOT = 1, /* D1, and so on in order */
    RECOVERY_UNREADABLE,
    RECOVERY_MEANING,
    RECOVERY_BLIND,
    RECOVERY_GROUP_BEYOND,
    RECOVERY_SNAPSHOT_BEYOND,
    RECOVERY_CLEAN_END,
    RECOVERY_TORN_TAIL,
    RECOVERY_STALE_TAIL,
    RECOVERY_CASES_END
};

/* The table. Pure. *matches: how many rows matched (always 1; the test's business). May be NULL. */
enum recovery_case recovery_decide(const struct recovery_facts *facts, uint32_t *matches);
bool recovery_case_starts(enum recovery_case which);

/* What steps 3 and 4 found. */
struct recovery {
    enum recovery_case which; /* 0: it came to none */
    uint64_t end_lsn;         /* x; in D3 where that begins which cannot be right */
    uint64_t snapshot_lsn;
    uint32_t snapshot_serial;
    bool has_second_snapshot; /* an older one is listed behind the loaded one */
    struct snapshot_name second_snapshot;
    uint32_t snapshots; /* listed */
    uint32_t snapshots_refused;
    uint64_t replayed_groups;
    uint64_t replayed_draws;
    uint64_t durable_lsn; /* highest carried by a group walked, or the snapshot's */
    uint64_t discarded_groups;
    bool torn_at_end;   /* at the end stand the beginnings of what belongs there, not whole */
    uint32_t epoch_max; /* highest epoch seen anywhere, the tail's included */
};

/* Steps 3 to 5's decision. On URN_OK *state is the recovered one, its tail at x; the caller frees
 * it. The helper (or NULL) takes over a part of the work, and reads files of data_dir beside this thread; it
 * is free again by the return. data_dir->progress is told how far the log has been read. Errors: URN_DAMAGED and URN_FORMAT with the case, the file, the place and the tool that shows
 * more (*recovery has case and end_lsn then, too); URN_CONFIG when the state exceeds the configured bounds; URN_IO,
 * URN_NOMEMORY. Nothing is written. */
enum urn_code recovery_read(const struct data_dir *data_dir, const struct state_bounds *bounds,
                            struct helper *helper, struct state *state, struct recovery *recovery,
                            struct urn_error *error);

/* Step 5: makes [durable_lsn, tail) durable. *rewritten_bytes is set. Errors: URN_IO, URN_NOMEMORY.
 */
enum urn_code recovery_rewrite_tail(const struct data_dir *data_dir, struct wal_ring *ring,
                                    uint64_t durable_lsn, uint64_t tail_lsn,
                                    uint64_t *rewritten_bytes, struct urn_error *error);

/* Step 7: where engine time goes on: where the log ended, plus what the wall clock says has passed since
 * (ENGINE_TIME_JUMP_US at most). now_us: of the wall clock. Pure. */
uint64_t recovery_engine_time_us(const struct state *state, uint64_t now_us);

/* Up to where the log may grow without writing any slot a second time: through the first lap, or else
 * to the end of the segment that it has begun. */
uint64_t recovery_limit_without_reuse(const struct wal_geometry *geometry, uint64_t tail_lsn);

/* Step 6: says up to where the log may grow (*room_limit_lsn), and which snapshots this start has verified
 * (*ledger: one at least; whether and how far the log is archived stands there before). When less than wanted_bytes would be left, it first writes one snapshot at the
 * tail, or two, and removes older ones behind each. An error leaves both at what has been reached; *error
 * may also hold, besides URN_OK, what could not be removed, or why the second snapshot is none. Errors: URN_IO, URN_NOMEMORY, URN_DAMAGED. */
enum urn_code recovery_make_room(const struct data_dir *data_dir, const struct state *state,
                                 const struct recovery *recovery, uint64_t wanted_bytes,
                                 struct snapshot_ledger *ledger, uint64_t *room_limit_lsn,
                                 struct urn_error *error);

#endif
