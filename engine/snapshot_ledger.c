/* snapshot_ledger.c: see snapshot_ledger.h. */
#include "engine/snapshot_ledger.h"

#include "engine/check.h"

static bool is_same(struct snapshot_name a, struct snapshot_name b)
{
    return a.lsn == b.lsn && a.serial == b.serial;
}

void snapshot_ledger_add(struct snapshot_ledger *ledger, struct snapshot_name name)
{
    CHECK(ledger->count <= 2);
    CHECK(ledger->count == 0 || name.lsn > ledger->newest.lsn ||
          (name.lsn == ledger->newest.lsn && name.serial > ledger->newest.serial));
    ledger->older = ledger->newest;
    ledger->newest = name;
    if (ledger->count < 2)
        ledger->count++;
}

struct snapshot_name snapshot_ledger_next(const struct snapshot_ledger *ledger, uint64_t lsn)
{
    if (ledger->count == 0 || ledger->newest.lsn != lsn)
        return (struct snapshot_name){.lsn = lsn};
    return (struct snapshot_name){.lsn = lsn, .serial = ledger->newest.serial + 1};
}

bool snapshot_ledger_keeps(const struct snapshot_ledger *ledger, struct snapshot_name name)
{
    return ledger->count < 2 || is_same(name, ledger->newest) || is_same(name, ledger->older);
}

uint64_t snapshot_limit_behind_lsn(const struct wal_geometry *geometry, uint64_t needed_lsn)
{
    return needed_lsn - needed_lsn % geometry->segment_size_bytes +
           geometry->segment_size_bytes * geometry->segments;
}

uint64_t snapshot_ledger_snapshots_limit_lsn(const struct snapshot_ledger *ledger,
                                             const struct wal_geometry *geometry)
{
    return ledger->count < 2 ? 0 : snapshot_limit_behind_lsn(geometry, ledger->older.lsn);
}

/* No further than what is kept for the archive allows. */
static uint64_t within_archived(const struct snapshot_ledger *ledger,
                                const struct wal_geometry *geometry, uint64_t limit_lsn)
{
    if (!ledger->archives)
        return limit_lsn;
    const uint64_t most_lsn = snapshot_limit_behind_lsn(geometry, ledger->archived_lsn);
    return limit_lsn < most_lsn ? limit_lsn : most_lsn;
}

uint64_t snapshot_ledger_limit_lsn(const struct snapshot_ledger *ledger,
                                   const struct wal_geometry *geometry)
{
    return within_archived(ledger, geometry, snapshot_ledger_snapshots_limit_lsn(ledger, geometry));
}

bool snapshot_ledger_would_gain(const struct snapshot_ledger *ledger,
                                const struct wal_geometry *geometry, uint64_t lsn,
                                uint64_t limit_lsn)
{
    uint64_t then_lsn = snapshot_limit_behind_lsn(geometry, lsn);
    if (then_lsn <= snapshot_ledger_snapshots_limit_lsn(ledger, geometry))
        return false; /* there are two already; something else is in the way */
    if (!ledger->gives_up)
        then_lsn = within_archived(ledger, geometry, then_lsn);
    return then_lsn > limit_lsn;
}
