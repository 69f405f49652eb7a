/* log_sync.c: see log_sync.h.
 *
 * Waking: whoever copies or wants stores first and looks at the other values afterwards, and so does the
 * syncing side before it sleeps (threads.c); all of these are sequentially consistent, so that one of the
 * two sees the other.
 */
#include "engine/log_sync.h"

#include "engine/check.h"

void log_sync_make(struct log_sync *log_sync, struct commit *commit, uint64_t interval_ns)
{
    CHECK(commit->relaxed);
    CHECK(atomic_load(&commit->copied_lsn) == atomic_load(&commit->durable_lsn));
    *log_sync = (struct log_sync){.ring = commit->ring,
                                  .os = commit->os,
                                  .commit = commit,
                                  .interval_ns = interval_ns,
                                  .round_began_ns = os_monotonic_ns(commit->os)};
}

void log_sync_want(struct log_sync *log_sync, uint64_t lsn)
{
    if (lsn > atomic_load(&log_sync->wanted_lsn))
        atomic_store(&log_sync->wanted_lsn, lsn);
}

bool log_sync_must_wake(const struct log_sync *log_sync, uint64_t copied_before_lsn)
{
    const uint64_t copied_lsn = atomic_load(&log_sync->commit->copied_lsn);
    const uint64_t durable_lsn = atomic_load(&log_sync->commit->durable_lsn);
    const uint64_t wanted_lsn = atomic_load(&log_sync->wanted_lsn);
    const bool is_first = copied_before_lsn <= durable_lsn && copied_lsn > durable_lsn;
    const bool is_wanted = copied_before_lsn < wanted_lsn && copied_lsn >= wanted_lsn;
    return is_wanted || (is_first && log_sync->interval_ns != LOG_SYNC_ONLY_WANTED);
}

uint64_t log_sync_deadline_ns(const struct log_sync *log_sync)
{
    const uint64_t copied_lsn = atomic_load(&log_sync->commit->copied_lsn);
    const uint64_t durable_lsn = atomic_load(&log_sync->commit->durable_lsn);
    const uint64_t wanted_lsn = atomic_load(&log_sync->wanted_lsn);
    if (log_sync->failed || log_sync->syncing || copied_lsn <= durable_lsn)
        return UINT64_MAX;
    const bool is_wanted = wanted_lsn > durable_lsn && copied_lsn >= wanted_lsn;
    if (is_wanted || log_sync->round_lsn > durable_lsn)
        return 0;
    return log_sync->interval_ns == LOG_SYNC_ONLY_WANTED
               ? UINT64_MAX
               : log_sync->round_began_ns + log_sync->interval_ns;
}

bool log_sync_begin(struct log_sync *log_sync)
{
    const uint64_t now_ns = os_monotonic_ns(log_sync->os);
    CHECK(!log_sync->syncing);
    if (log_sync_deadline_ns(log_sync) > now_ns)
        return false;
    const uint64_t durable_lsn = atomic_load(&log_sync->commit->durable_lsn);
    if (log_sync->round_lsn <= durable_lsn) {
        log_sync->round_lsn = atomic_load(&log_sync->commit->copied_lsn);
        log_sync->round_began_ns = now_ns;
    }
    const struct wal_geometry *geometry = &log_sync->ring->geometry;
    const uint64_t segment_end =
        wal_segment_begin(geometry, durable_lsn) + geometry->segment_size_bytes;
    log_sync->target_lsn = log_sync->round_lsn < segment_end ? log_sync->round_lsn : segment_end;
    CHECK(log_sync->target_lsn > durable_lsn);
    log_sync->sync_began_ns = now_ns;
    log_sync->syncing = true;
    wal_ring_sync_begin(log_sync->ring, durable_lsn, log_sync->target_lsn - durable_lsn,
                        &log_sync->sync);
    return true;
}

enum urn_code log_sync_end(struct log_sync *log_sync, struct urn_error *error)
{
    struct commit *commit = log_sync->commit;
    CHECK(log_sync->syncing && !log_sync->failed);
    enum urn_code code = wal_ring_sync_end(log_sync->ring, &log_sync->sync, error);
    wal_ring_meter_count(&commit->meter, 1,
                         os_monotonic_ns(log_sync->os) - log_sync->sync_began_ns);
    log_sync->syncing = false;
    log_sync->failed = code != URN_OK;
    if (log_sync->failed)
        return code;
    /* What is left of a round was copied before it began. */
    if (log_sync->target_lsn == log_sync->round_lsn)
        atomic_store_explicit(&commit->unsynced_since_ns, log_sync->round_began_ns,
                              memory_order_relaxed);
    atomic_store(&commit->durable_lsn, log_sync->target_lsn);
    return URN_OK;
}
