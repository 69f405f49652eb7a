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

uint64_t snapshot_ledger_limit_lsn(const struct snapshot_ledger *ledger,
                                   const struct wal_geometry *geometry)
{
    return ledger->count < 2 ? 0 : snapshot_limit_behind_lsn(geometry, ledger->older.lsn);
}
