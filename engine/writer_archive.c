/* writer_archive.c: the writer's part of archiving: what it makes room for, and what is given up.
 *
 * Under policy block the log waits for the archive like for snapshots. Under policy gap it never does: where
 * only the archive stands in the way of a request, the oldest segment is given up, one at a time, as late as
 * can be. The task sees from the limit of the log what may be overwritten from then on, and records a gap
 * (archive_task.h).
 */
#include "engine/check.h"
#include "engine/engine.h"
#include "engine/threads.h"

static uint64_t room_limit_lsn(const struct urn_engine *engine)
{
    return atomic_load_explicit(&engine->room_limit_lsn, memory_order_relaxed);
}

/* No pauses once half of the ring is all that is left, or somebody waits. */
static void judge_hurry(struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    const uint64_t room_bytes = room_limit_lsn(engine) - writer->end_lsn;
    const bool hurry = writer->shortage_ns != 0 || room_bytes < engine->archive.ring_bytes / 2;
    atomic_store_explicit(&engine->archive.hurry, hurry, memory_order_relaxed);
}

bool archive_has_news(const struct urn_engine *engine)
{
    return engine->archive.on && atomic_load(&engine->archive.archived_lsn) >
                                     engine->writer.snapshots.ledger.archived_lsn;
}

bool archive_take(struct urn_engine *engine)
{
    if (!engine->archive.on)
        return false;
    const bool did = archive_has_news(engine);
    if (did) {
        engine->writer.snapshots.ledger.archived_lsn = atomic_load(&engine->archive.archived_lsn);
        writer_raise_limit(engine);
    }
    judge_hurry(engine);
    return did;
}

bool archive_give_up_segment(struct urn_engine *engine)
{
    struct snapshot_ledger *ledger = &engine->writer.snapshots.ledger;
    const struct wal_geometry *geometry = &engine->ring.geometry;
    if (!engine->archive.on || engine->archive.around.policy != URN_ARCHIVE_GAP ||
        snapshot_ledger_snapshots_limit_lsn(ledger, geometry) <= room_limit_lsn(engine))
        return false;
    const uint64_t archived_lsn = atomic_load(&engine->archive.archived_lsn);
    if (archived_lsn > ledger->archived_lsn)
        ledger->archived_lsn = archived_lsn;
    else
        ledger->archived_lsn += geometry->segment_size_bytes;
    writer_raise_limit(engine);
    threads_wake_archive(engine);
    return true;
}
