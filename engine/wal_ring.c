/* wal_ring.c: LSNs to mapped files. See wal_ring.h. */
#include "engine/wal_ring.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"

void wal_ring_meter_count(struct wal_ring_meter *meter, uint32_t syncs, uint64_t took_ns)
{
    atomic_fetch_add_explicit(&meter->syncs, syncs, memory_order_relaxed);
    atomic_fetch_add_explicit(&meter->sync_ns, took_ns, memory_order_relaxed);
    if (took_ns > atomic_load_explicit(&meter->sync_ns_max, memory_order_relaxed))
        atomic_store_explicit(&meter->sync_ns_max, took_ns, memory_order_relaxed);
}

enum urn_code wal_ring_open(const struct data_dir *data_dir, struct wal_ring *ring,
                            struct urn_error *error)
{
    *ring = (struct wal_ring){.geometry = data_dir->geometry};
    uint32_t segments = ring->geometry.segments;
    ring->maps = calloc(segments, sizeof(struct os_map *));
    if (ring->maps == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for the table of %" PRIu32 " segments",
                         segments);
    for (uint32_t slot = 0; slot < segments; slot++) {
        char name[DATA_DIR_NAME_MAX];
        data_dir_segment_name(name, slot);
        int why =
            os_map_open(data_dir->dir, name, ring->geometry.segment_size_bytes, &ring->maps[slot]);
        if (why != 0) {
            error_set(error, URN_IO, why, "cannot map %.200s/%s", data_dir->path, name);
            wal_ring_close(ring);
            return error->code;
        }
    }
    return URN_OK;
}

void wal_ring_close(struct wal_ring *ring)
{
    if (ring->maps == NULL)
        return;
    for (uint32_t slot = 0; slot < ring->geometry.segments; slot++)
        os_map_close(ring->maps[slot]);
    free(ring->maps);
    ring->maps = NULL;
}

/* What two threads share that drop the ring from the cache. */
struct dropping {
    const struct data_dir *data_dir;
    atomic_uint next_slot; /* of those that nobody has taken yet */
};

/* One of them. */
struct dropper {
    struct dropping *dropping;
    struct urn_error error;
};

static enum urn_code drop_slot(const struct data_dir *data_dir, uint32_t slot,
                               struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    struct os_file *file;
    data_dir_segment_name(name, slot);
    int why = os_file_open(data_dir->dir, name, OS_READ, &file);
    if (why == 0) {
        why = os_file_drop_cache(file);
        os_file_close(file);
    }
    return why == 0 ? URN_OK
                    : error_set(error, URN_IO, why, "cannot drop %.200s/%s from the cache",
                                data_dir->path, name);
}

static void drop_slots(void *context)
{
    struct dropper *dropper = context;
    const struct data_dir *data_dir = dropper->dropping->data_dir;
    enum urn_code code = URN_OK;
    while (code == URN_OK) {
        const uint32_t slot = atomic_fetch_add(&dropper->dropping->next_slot, 1);
        if (slot >= data_dir->geometry.segments)
            break;
        code = drop_slot(data_dir, slot, &dropper->error);
    }
    dropper->error.code = code;
}

enum urn_code wal_ring_drop_cache(const struct data_dir *data_dir, struct helper *helper,
                                  struct urn_error *error)
{
    struct dropping dropping = {.data_dir = data_dir};
    struct dropper mine = {.dropping = &dropping}, others = {.dropping = &dropping};
    helper_begin(helper, drop_slots, &others);
    drop_slots(&mine);
    helper_wait(helper);
    const struct dropper *failed = mine.error.code != URN_OK ? &mine : &others;
    if (failed->error.code == URN_OK)
        return URN_OK;
    *error = failed->error;
    return error->code;
}

/* The mapping of a range, which must lie inside one segment, and its offset there. */
static struct os_map *locate(const struct wal_ring *ring, uint64_t lsn, uint64_t length_bytes,
                             uint64_t *offset)
{
    *offset = lsn % ring->geometry.segment_size_bytes;
    CHECK(length_bytes > 0);
    CHECK(length_bytes <= ring->geometry.segment_size_bytes - *offset);
    return ring->maps[wal_slot(&ring->geometry, lsn)];
}

enum urn_code wal_ring_write(struct wal_ring *ring, uint64_t lsn, const void *bytes,
                             uint64_t length_bytes, struct urn_error *error)
{
    uint64_t offset;
    struct os_map *map = locate(ring, lsn, length_bytes, &offset);
    int why = os_map_write(map, offset, bytes, length_bytes);
    if (why == 0)
        return URN_OK;
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, wal_slot(&ring->geometry, lsn));
    return error_set(error, URN_IO, why,
                     "cannot store %" PRIu64 " bytes of log at LSN %" PRIu64 " (%s, offset %" PRIu64
                     "): an I/O error, a file cut short, or no space under it",
                     length_bytes, lsn, name, offset);
}

void wal_ring_sync_begin(struct wal_ring *ring, uint64_t lsn, uint64_t length_bytes,
                         struct wal_ring_sync *sync)
{
    uint64_t offset;
    struct os_map *map = locate(ring, lsn, length_bytes, &offset);
    *sync = (struct wal_ring_sync){.lsn = lsn, .length_bytes = length_bytes};
    os_map_sync_begin(map, offset, length_bytes, &sync->os);
}

enum urn_code wal_ring_sync_end(struct wal_ring *ring, struct wal_ring_sync *sync,
                                struct urn_error *error)
{
    int why = os_map_sync_end(&sync->os);
    if (why == 0)
        return URN_OK;
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, wal_slot(&ring->geometry, sync->lsn));
    return error_set(error, URN_IO, why,
                     "cannot make %" PRIu64 " bytes of log at LSN %" PRIu64
                     " (%s) durable; what is on the disk there is unknown",
                     sync->length_bytes, sync->lsn, name);
}

void wal_ring_populate(struct wal_ring *ring, uint32_t slot, uint64_t offset, uint64_t length_bytes)
{
    CHECK(slot < ring->geometry.segments);
    os_map_populate(ring->maps[slot], offset, length_bytes);
}
