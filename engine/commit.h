/* commit.h: making a closed group durable: seal, copy, sync, publish.
 *
 * The writer fills a group in private memory and closes it: from then on it belongs to the commit
 * side until it is finished. One closed group at a time; meanwhile the writer fills the other one.
 *
 *     OPEN --writer closes--> CLOSED --commit_begin--> SYNCING --commit_end--> finished, free again
 *                                ^                        |
 *                                +---- a new segment: ----+   (header page synced before its first
 *                                      header, then group      group; two rounds)
 *
 * Crash windows, and what recovery then finds (x is the end of the log before this group):
 *     K1  before the copy                     the log ends at x
 *     K2  copied in part or whole, not synced  any mixture of old and new sectors: the group is whole
 *                                             or torn; nobody heard of it, so that either is right
 *     K3  a new segment's header and the pad  each is whole or torn; no group is behind them
 *         before it, not synced
 *     K4  synced, not yet published           the group is whole; nobody heard of it
 *     K5  published                           the group is whole, and must be for ever
 *
 * A failed store or sync is final (fail stop): nothing is acknowledged any more.
 */
#ifndef URN_ENGINE_COMMIT_H
#define URN_ENGINE_COMMIT_H

#include <stdatomic.h>

#include "engine/wal_ring.h"

/* A group on its way. Owned by the writer while open, by the commit side while closed. */
struct group {
    uint8_t *bytes;             /* the group's image; header written when it is sealed */
    struct wal_entries entries; /* builds it */
    enum wal_group_kind kind;
    struct wal_placement placement; /* set when it is closed; meaningless for a group of no bytes */
    bool has_bytes;                 /* false: only answers wait; nothing is written */
    uint64_t engine_time_us;        /* when it was closed */
    uint64_t wall_time_us;
    uint64_t first_request_id;
    struct urn_request *newest; /* waiting requests, newest first; NULL: none */
    struct urn_request *oldest;
    struct urn_request *oldest_read; /* to be answered when the group closes, and not yet among */
    struct urn_request *newest_read; /* the others; meaningless when there is none */
    uint32_t waiting_requests;
    uint64_t waiting_draws; /* of those requests */
};

enum commit_phase {
    COMMIT_IDLE,
    COMMIT_SEGMENT, /* the syncs of a pad and of a new segment's header are under way */
    COMMIT_GROUP,   /* the group's own sync is under way */
};

/* Owned by whoever runs the commit step: the commit thread, or the writer thread in its place. */
struct commit {
    struct wal_ring *ring;
    struct urn_os *os;
    struct wal_tail tail; /* what the next sealed group continues */
    uint64_t durable_lsn; /* end of what a completed sync covers; carried by the next group */
    uint8_t *pad_bytes;   /* zeroes with room for a header: the image of a pad group */
    uint64_t pad_capacity_bytes;
    uint8_t *segment_page; /* image of a segment header */
    enum commit_phase phase;
    bool failed; /* for good: no step is taken any more */
    struct wal_ring_sync syncs[2];
    uint32_t syncs_begun;
    uint64_t sync_began_ns;

    /* Read by any thread. */
    _Atomic uint64_t published_lsn; /* durable_lsn as of the last finished group */
    _Atomic uint64_t groups;
    _Atomic uint64_t marks;
    _Atomic uint64_t log_bytes;
    _Atomic uint64_t syncs_done;
    _Atomic uint64_t sync_ns;
    _Atomic uint64_t sync_ns_max;
};

/* pad_capacity_bytes: the longest pad group that a placement can ask for. Errors: URN_NOMEMORY. */
enum urn_code commit_make(struct commit *commit, struct wal_ring *ring, struct urn_os *os,
                          const struct wal_tail *tail, uint64_t pad_capacity_bytes,
                          struct urn_error *error);
void commit_free(struct commit *commit);

/* Seals and copies, and begins the sync. An error is a fail stop: no end follows. */
enum urn_code commit_begin(struct commit *commit, struct group *group, struct urn_error *error);

/* Ends the sync; blocks until the disk has it. *finished: the group is durable (durable_lsn covers
 * it); otherwise commit_begin is due again for the same group. An error is a fail stop. */
enum urn_code commit_end(struct commit *commit, struct group *group, bool *finished,
                         struct urn_error *error);

#endif
