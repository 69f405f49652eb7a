/* commit.c: seal, copy, sync, publish. See commit.h for the states and the crash windows. */
#include "engine/commit.h"

#include <stdlib.h>

#include "engine/check.h"

enum urn_code commit_make(struct commit *commit, struct wal_ring *ring, struct urn_os *os,
                          const struct wal_tail *tail, uint64_t pad_capacity_bytes,
                          struct urn_error *error)
{
    *commit = (struct commit){
        .ring = ring, .os = os, .tail = *tail, .pad_capacity_bytes = pad_capacity_bytes};
    atomic_store(&commit->copied_lsn, tail->lsn);
    atomic_store(&commit->durable_lsn, tail->lsn);
    commit->pad_bytes = calloc(1, pad_capacity_bytes);
    commit->segment_page = calloc(1, WAL_SEGMENT_HEADER_BYTES);
    if (commit->pad_bytes != NULL && commit->segment_page != NULL)
        return URN_OK;
    commit_free(commit);
    return error_set(error, URN_NOMEMORY, 0, "no memory for the log's padding");
}

void commit_free(struct commit *commit)
{
    free(commit->pad_bytes);
    free(commit->segment_page);
    commit->pad_bytes = NULL;
    commit->segment_page = NULL;
}

void commit_relax(struct commit *commit)
{
    CHECK(commit->phase == COMMIT_IDLE && !commit->failed);
    commit->relaxed = true;
}

/* ---- sealing ------------------------------------------------------------------------------- */

static void seal(struct commit *commit, const struct group *group, enum wal_group_kind kind,
                 uint64_t lsn, uint32_t length_bytes, uint8_t *bytes)
{
    const uint64_t durable_lsn = atomic_load(&commit->durable_lsn);
    CHECK(durable_lsn <= commit->tail.lsn);
    CHECK(commit->tail.lsn <= lsn);
    struct wal_group_header header = {
        .length_bytes = length_bytes,
        .kind = kind,
        .ring_short = wal_ring_short(commit->ring->geometry.ring_uuid),
        .lsn = lsn,
        .durable_lsn = durable_lsn,
        .epoch = commit->tail.epoch,
        .draws = kind == WAL_PAD ? 0 : group->entries.draws,
        .engine_time_us = group->engine_time_us,
        .wall_time_us = group->wall_time_us,
        .first_request_id = group->first_request_id,
    };
    memcpy(header.chain_before, commit->tail.chain, WAL_CHAIN_BYTES);
    wal_group_seal(&header, bytes);
    commit->tail.lsn = lsn + length_bytes;
    memcpy(commit->tail.chain, header.chain_after, WAL_CHAIN_BYTES);
}

static enum urn_code put_pad(struct commit *commit, const struct group *group,
                             struct urn_error *error)
{
    const struct wal_placement *place = &group->placement;
    CHECK(place->pad_bytes <= commit->pad_capacity_bytes);
    CHECK(place->pad_lsn == commit->tail.lsn);
    seal(commit, group, WAL_PAD, place->pad_lsn, place->pad_bytes, commit->pad_bytes);
    return wal_ring_write(commit->ring, place->pad_lsn, commit->pad_bytes, place->pad_bytes, error);
}

static enum urn_code put_group(struct commit *commit, struct group *group, struct urn_error *error)
{
    const struct wal_placement *place = &group->placement;
    seal(commit, group, group->kind, place->group_lsn, place->group_bytes, group->bytes);
    return wal_ring_write(commit->ring, place->group_lsn, group->bytes, place->group_bytes, error);
}

static enum urn_code put_segment_header(struct commit *commit, uint64_t segment_lsn,
                                        struct urn_error *error)
{
    const struct wal_geometry *geometry = &commit->ring->geometry;
    struct wal_segment_header header = {
        .version = WAL_FORMAT_VERSION,
        .sequence = segment_lsn / geometry->segment_size_bytes,
        .segment_size_bytes = geometry->segment_size_bytes,
        .segments = geometry->segments,
        .epoch = commit->tail.epoch,
    };
    memcpy(header.ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES);
    wal_segment_header_write(&header, commit->segment_page);
    return wal_ring_write(commit->ring, segment_lsn, commit->segment_page, WAL_SEGMENT_HEADER_BYTES,
                          error);
}

/* ---- syncing ------------------------------------------------------------------------------- */

static void begin_sync(struct commit *commit, uint64_t lsn, uint64_t length_bytes)
{
    CHECK(commit->syncs_begun < sizeof commit->syncs / sizeof commit->syncs[0]);
    wal_ring_sync_begin(commit->ring, lsn, length_bytes, &commit->syncs[commit->syncs_begun++]);
}

/* First round of a group that opens a segment: the pad that ends the old one, and the new header.
 */
static enum urn_code begin_segment(struct commit *commit, struct group *group,
                                   struct urn_error *error)
{
    const struct wal_placement *place = &group->placement;
    uint64_t segment_lsn = wal_segment_begin(&commit->ring->geometry, place->group_lsn);
    CHECK(segment_lsn + WAL_SEGMENT_HEADER_BYTES == place->group_lsn);
    if (place->pad_bytes > 0 && put_pad(commit, group, error) != URN_OK)
        return error->code;
    CHECK(commit->tail.lsn == segment_lsn);
    if (put_segment_header(commit, segment_lsn, error) != URN_OK)
        return error->code;
    commit->phase = COMMIT_SEGMENT;
    if (place->pad_bytes > 0)
        begin_sync(commit, place->pad_lsn, place->pad_bytes);
    begin_sync(commit, segment_lsn, WAL_SEGMENT_HEADER_BYTES);
    return URN_OK;
}

/* Everything at once. */
static enum urn_code copy_relaxed(struct commit *commit, struct group *group,
                                  struct urn_error *error)
{
    const struct wal_placement *place = &group->placement;
    uint64_t segment_lsn = wal_segment_begin(&commit->ring->geometry, place->group_lsn);
    if (place->pad_bytes > 0 && put_pad(commit, group, error) != URN_OK)
        return error->code;
    if (place->new_segment && put_segment_header(commit, segment_lsn, error) != URN_OK)
        return error->code;
    if (put_group(commit, group, error) != URN_OK)
        return error->code;
    CHECK(commit->tail.lsn == place->end_lsn);
    commit->phase = COMMIT_GROUP;
    return URN_OK;
}

/* The group itself, with the pad before it where both lie in one segment: one sync for both. */
static enum urn_code begin_group(struct commit *commit, struct group *group,
                                 struct urn_error *error)
{
    const struct wal_placement *place = &group->placement;
    uint64_t first_lsn = place->group_lsn;
    if (place->pad_bytes > 0 && !place->new_segment) {
        if (put_pad(commit, group, error) != URN_OK)
            return error->code;
        first_lsn = place->pad_lsn;
    }
    if (put_group(commit, group, error) != URN_OK)
        return error->code;
    CHECK(commit->tail.lsn == place->end_lsn);
    commit->phase = COMMIT_GROUP;
    begin_sync(commit, first_lsn, place->end_lsn - first_lsn);
    return URN_OK;
}

enum urn_code commit_begin(struct commit *commit, struct group *group, struct urn_error *error)
{
    CHECK(commit->syncs_begun == 0);
    CHECK(!commit->failed);
    if (!group->has_bytes)
        return URN_OK;
    if (commit->relaxed) {
        enum urn_code copied = copy_relaxed(commit, group, error);
        commit->failed = copied != URN_OK;
        return copied;
    }
    commit->sync_began_ns = os_monotonic_ns(commit->os);
    /* The header page is not part of the chain: after it, the tail stands behind it. */
    bool header_is_due =
        group->placement.new_segment && commit->tail.lsn != group->placement.group_lsn;
    enum urn_code code =
        header_is_due ? begin_segment(commit, group, error) : begin_group(commit, group, error);
    commit->failed = code != URN_OK;
    return code;
}

static void publish(struct commit *commit, const struct group *group)
{
    const struct wal_placement *place = &group->placement;
    if (commit->relaxed && atomic_load(&commit->copied_lsn) == atomic_load(&commit->durable_lsn))
        atomic_store_explicit(&commit->unsynced_since_ns, os_monotonic_ns(commit->os),
                              memory_order_relaxed);
    /* Sequentially consistent, and so before the look at what the syncing side waits for. */
    atomic_store(&commit->copied_lsn, place->end_lsn);
    if (!commit->relaxed)
        atomic_store(&commit->durable_lsn, place->end_lsn);
    atomic_fetch_add_explicit(&commit->groups, 1, memory_order_relaxed);
    if (group->kind == WAL_MARK)
        atomic_fetch_add_explicit(&commit->marks, 1, memory_order_relaxed);
    uint64_t bytes =
        place->pad_bytes + place->group_bytes + (place->new_segment ? WAL_SEGMENT_HEADER_BYTES : 0);
    atomic_fetch_add_explicit(&commit->log_bytes, bytes, memory_order_relaxed);
}

/* Every sync that was begun is ended, also when one fails; the first failure is reported. */
static enum urn_code end_syncs(struct commit *commit, struct urn_error *error)
{
    CHECK(commit->syncs_begun > 0);
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; i < commit->syncs_begun; i++) {
        struct urn_error ignored = {.code = URN_OK};
        struct urn_error *to = code == URN_OK ? error : &ignored;
        enum urn_code ended = wal_ring_sync_end(commit->ring, &commit->syncs[i], to);
        if (code == URN_OK)
            code = ended;
    }
    wal_ring_meter_count(&commit->meter, commit->syncs_begun,
                         os_monotonic_ns(commit->os) - commit->sync_began_ns);
    commit->syncs_begun = 0;
    commit->failed = code != URN_OK;
    return code;
}

enum urn_code commit_end(struct commit *commit, struct group *group, bool *finished,
                         struct urn_error *error)
{
    *finished = !group->has_bytes;
    if (*finished)
        return URN_OK;
    enum commit_phase phase = commit->phase;
    CHECK(phase != COMMIT_IDLE);
    commit->phase = COMMIT_IDLE;
    if (!commit->relaxed && end_syncs(commit, error) != URN_OK)
        return error->code;
    if (phase == COMMIT_SEGMENT) {
        atomic_store(&commit->copied_lsn, group->placement.group_lsn);
        atomic_store(&commit->durable_lsn, group->placement.group_lsn);
        commit->tail.lsn = group->placement.group_lsn;
        return URN_OK;
    }
    publish(commit, group);
    *finished = true;
    return URN_OK;
}
