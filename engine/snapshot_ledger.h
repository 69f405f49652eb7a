/* snapshot_ledger.h: which snapshots count, and how far the log may therefore grow. Pure.
 *
 * The rule of reuse, in one place for start-up and for the running engine: a segment may be overwritten
 * once two snapshots lie behind it that this process has verified: loaded at its start, or written and
 * read back past the page cache. So when the newest is found damaged one day, the one before and the log
 * from it on are still there.
 *
 *     |  segment  |  segment  |  segment  |  segment  |
 *      ^limit: here, a lap on   ^older    ^newest    ^tail
 *
 * Where the log is archived (archive_task.h), it must lie below archived_lsn besides: it has been copied to
 * the archive, or is given up.
 */
#ifndef URN_ENGINE_SNAPSHOT_LEDGER_H
#define URN_ENGINE_SNAPSHOT_LEDGER_H

#include <stdbool.h>

#include "engine/wal_format.h"

struct snapshot_name {
    uint64_t lsn;
    uint32_t serial;
};

/* The newest two that count, newest first. */
struct snapshot_ledger {
    uint32_t count; /* 0 to 2 */
    struct snapshot_name newest;
    struct snapshot_name older; /* while count is 2 */
    bool archives;              /* archived_lsn counts */
    bool gives_up; /* where nothing else is in the way, it may be raised (policy gap) */
    uint64_t
        archived_lsn; /* a segment's begin: everything below is archived, or has been given up */
};

/* One more counts: newer than those before, or of the same LSN with a higher serial. */
void snapshot_ledger_add(struct snapshot_ledger *ledger, struct snapshot_name name);

/* The name of the next one at this LSN, which is not below the newest's. */
struct snapshot_name snapshot_ledger_next(const struct snapshot_ledger *ledger, uint64_t lsn);

/* True for the two that must not be removed; nothing may be while there are not two. */
bool snapshot_ledger_keeps(const struct snapshot_ledger *ledger, struct snapshot_name name);

/* Up to where the log may grow by this rule; 0: the rule allows nothing. */
uint64_t snapshot_ledger_limit_lsn(const struct snapshot_ledger *ledger,
                                   const struct wal_geometry *geometry);

/* What the snapshots alone would allow. */
uint64_t snapshot_ledger_snapshots_limit_lsn(const struct snapshot_ledger *ledger,
                                             const struct wal_geometry *geometry);

/* Whether two snapshots at this LSN would let the log grow beyond limit_lsn, up to which it may now. */
bool snapshot_ledger_would_gain(const struct snapshot_ledger *ledger,
                                const struct wal_geometry *geometry, uint64_t lsn,
                                uint64_t limit_lsn);

/* How far the log may grow if everything from this LSN on must be kept, and nothing before it. */
uint64_t snapshot_limit_behind_lsn(const struct wal_geometry *geometry, uint64_t needed_lsn);

#endif
