/* wal_ring.h: the segment ring as the commit side sees it: N mapped files behind one endless
 * address.
 *
 * Positions are LSNs. A range handed in here never crosses a segment; the callers cut it. One thread at
 * a time writes (start-up, later whoever runs the commit step), and one syncs: the same, or in modes
 * interval and os another, beside it.
 */
#ifndef URN_ENGINE_WAL_RING_H
#define URN_ENGINE_WAL_RING_H

#include <stdatomic.h>

#include "engine/data_dir.h"
#include "engine/helper.h"

struct wal_ring {
    struct wal_geometry geometry;
    struct os_map **maps; /* by slot */
};

/* A range of one segment whose sync has begun. */
struct wal_ring_sync {
    struct os_sync os;
    uint64_t lsn;
    uint64_t length_bytes;
};

/* Syncs done, and what they took. One thread at a time counts; any reads. */
struct wal_ring_meter {
    _Atomic uint64_t syncs;
    _Atomic uint64_t sync_ns;
    _Atomic uint64_t sync_ns_max;
};

void wal_ring_meter_count(struct wal_ring_meter *meter, uint32_t syncs, uint64_t took_ns);

/* Maps every segment of the directory. On failure nothing stays open. Errors: URN_IO, URN_NOMEMORY.
 */
enum urn_code wal_ring_open(const struct data_dir *data_dir, struct wal_ring *ring,
                            struct urn_error *error);
void wal_ring_close(struct wal_ring *ring);

/* Drops the ring's files from the page cache, before they are mapped for good. Whoever has read them with
 * read-ahead, or put them there, left large folios, and each small sync would write a whole one
 * (docs/wal-format.md, "Traps"). What is dropped must be on the disk. The helper (or NULL) does a part of it.
 * Errors: URN_IO. */
enum urn_code wal_ring_drop_cache(const struct data_dir *data_dir, struct helper *helper,
                                  struct urn_error *error);

/* Copies bytes to their place in the mapping. URN_IO: the log has failed for good. */
enum urn_code wal_ring_write(struct wal_ring *ring, uint64_t lsn, const void *bytes,
                             uint64_t length_bytes, struct urn_error *error);

/* See os_map_sync_begin. Each begin has exactly one end, with the same struct. URN_IO from the end:
 * the log has failed for good; the sync is never tried again. */
void wal_ring_sync_begin(struct wal_ring *ring, uint64_t lsn, uint64_t length_bytes,
                         struct wal_ring_sync *sync);
enum urn_code wal_ring_sync_end(struct wal_ring *ring, struct wal_ring_sync *sync,
                                struct urn_error *error);

/* Brings a slot's pages into memory, clean, while others write. Any thread. */
void wal_ring_populate(struct wal_ring *ring, uint32_t slot, uint64_t offset,
                       uint64_t length_bytes);

static inline uint64_t wal_ring_bytes(const struct wal_geometry *geometry)
{
    return geometry->segment_size_bytes * geometry->segments;
}

/* First LSN of the segment that holds lsn. */
static inline uint64_t wal_segment_begin(const struct wal_geometry *geometry, uint64_t lsn)
{
    return lsn - lsn % geometry->segment_size_bytes;
}

/* The file (slot) that holds lsn. */
static inline uint32_t wal_slot(const struct wal_geometry *geometry, uint64_t lsn)
{
    return (uint32_t)(lsn / geometry->segment_size_bytes % geometry->segments);
}

#endif
