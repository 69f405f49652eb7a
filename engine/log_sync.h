/* log_sync.h: syncs of the log that no reply waits for: modes interval and os.
 *
 * The commit side copies groups into the mapping and acknowledges them (commit.h); this side follows and
 * makes durable what has been copied, in rounds. A round notes how far the copies have come and syncs
 * from the durable LSN up to there, one segment at a time; the durable LSN rises with each.
 *
 *     begin: notes the target, begins the sync --> end: waits for the disk, raises durable_lsn
 *
 * A round is due
 *     in mode interval, when interval_ns have passed since the last one began and something has been
 *     copied that is not durable. So what a power loss can cost is not older than the interval and the
 *     time that two syncs take: of the one that was under way when it was copied, and of its own;
 *     in both modes, when somebody wants an LSN to be durable and it has been copied: a snapshot of that
 *     LSN, which must not exist without its log; a reservation of ids; the end of the log at a clean
 *     stop, before the mark and behind it.
 *
 * A sync that fails is final (fail stop): no step is taken after it.
 */
#ifndef URN_ENGINE_LOG_SYNC_H
#define URN_ENGINE_LOG_SYNC_H

#include "engine/commit.h"

#define LOG_SYNC_ONLY_WANTED UINT64_MAX

struct log_sync {
    struct wal_ring *ring;
    struct urn_os *os;
    struct commit *commit;       /* copied_lsn is read; durable_lsn and the meter are moved on */
    uint64_t interval_ns;        /* LOG_SYNC_ONLY_WANTED: rounds are begun for those who want one */
    _Atomic uint64_t wanted_lsn; /* the writer's to raise */

    /* The syncing side's. */
    uint64_t round_lsn; /* the round goes up to here; at or below durable_lsn: none is under way */
    uint64_t round_began_ns; /* the last one */
    uint64_t target_lsn;     /* of the sync under way */
    uint64_t sync_began_ns;
    bool syncing;
    bool failed; /* for good */
    struct wal_ring_sync sync;
};

/* commit has been relaxed and is idle; all that it copied is durable. */
void log_sync_make(struct log_sync *log_sync, struct commit *commit, uint64_t interval_ns);

/* Everything below lsn is to be made durable as soon as it has been copied. The writer. */
void log_sync_want(struct log_sync *log_sync, uint64_t lsn);

/* True when the syncing side may have slept without a deadline until now, and has something to wait for
 * or to do since copied_lsn rose from this value. Whoever runs the commit step, behind it. */
bool log_sync_must_wake(const struct log_sync *log_sync, uint64_t copied_before_lsn);

/* When the next step is due, in os_monotonic_ns: 0: at once; UINT64_MAX: when something has been copied,
 * or is wanted. The syncing side. */
uint64_t log_sync_deadline_ns(const struct log_sync *log_sync);

/* Begins a sync if one is due; true: it has begun, and its end must follow. */
bool log_sync_begin(struct log_sync *log_sync);

/* Blocks until the disk has it. URN_IO: fail stop. */
enum urn_code log_sync_end(struct log_sync *log_sync, struct urn_error *error);

#endif
