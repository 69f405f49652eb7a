/* commit.h: getting a closed group into the log: seal, copy, sync, publish.
 *
 * The writer fills a group in private memory and closes it: from then on it belongs to the commit
 * side until it is finished. One closed group at a time; meanwhile the writer fills the other one.
 *
 * Mode commit, and every start
 *     OPEN --writer closes--> CLOSED --commit_begin--> SYNCING --commit_end--> finished, free again
 *                                ^                        |
 *                                +---- a new segment: ----+   (header page synced before its first
 *                                      header, then group      group; two rounds)
 *
 * Modes interval and os (commit_relax)
 *     OPEN --writer closes--> CLOSED --commit_begin: pad, header page and group are copied, nothing is
 *     synced--> --commit_end--> finished, free again; log_sync.h makes it durable later
 *
 * A header page needs no sync of its own there. The durable LSN rises without a gap, so that none above
 * the page can be known, and carried, before a sync has covered the page too; until then everything from
 * the page on may be lost, whatever of it arrived on the disk.
 *
 * Crash windows, and what recovery then finds (x is the end of the log before this group)
 *   of the machine or of the process
 *     K1  before the copy                     the log ends at x
 *     K2  copied in part or whole, not synced  any mixture of old and new sectors: the group is whole
 *                                             or torn; nobody heard of it, so that either is right
 *     K3  a new segment's header and the pad  each is whole or torn; no group is behind them
 *         before it, not synced
 *     K4  synced, not yet published           the group is whole; nobody heard of it
 *     K5  published                           the group is whole, and must be for ever
 *   of the process, in modes interval and os
 *     K6  copied in part                      the cache has what was copied: the log ends at x
 *     K7  copied, published or not            the cache has all of it: the group is whole
 *   of the machine, in modes interval and os; d is the durable LSN, at or below x
 *     K8  copied and acknowledged, not synced  everything below d is whole. From d on any mixture of old
 *                                             and new sectors, of many groups, pads and header pages: the
 *                                             log ends somewhere from d on, before the first thing that is
 *                                             not whole. What follows it carries d at most, and is no
 *                                             evidence. What was acknowledged and is lost is issued again
 *     K9  a sync has begun, and not ended     the same
 *     K10 a sync has ended, d not yet raised  the same with the new d, which nobody knows yet
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
    bool relaxed;         /* a group is finished once it is copied */
    uint8_t *pad_bytes;   /* zeroes with room for a header: the image of a pad group */
    uint64_t pad_capacity_bytes;
    uint8_t *segment_page; /* image of a segment header */
    enum commit_phase phase;
    bool failed; /* for good: no step is taken any more */
    struct wal_ring_sync syncs[2];
    uint32_t syncs_begun;
    uint64_t sync_began_ns;

    /* Read by any thread. */
    _Atomic uint64_t copied_lsn; /* end of the last finished group: all below may be acknowledged */
    /* End of what was copied before the begin of a sync that has completed; the next group carries it.
     * Never above copied_lsn, and the same unless relaxed; then the syncing side (log_sync.h) raises it,
     * and counts syncs. */
    _Atomic uint64_t durable_lsn;
    /* Since when copied_lsn has been above durable_lsn: no later than what is between them was copied.
     * Meaningless while they are the same. */
    _Atomic uint64_t unsynced_since_ns;
    struct wal_ring_meter meter;
    _Atomic uint64_t groups;
    _Atomic uint64_t marks;
    _Atomic uint64_t log_bytes;
};

/* pad_capacity_bytes: the longest pad group that a placement can ask for. Errors: URN_NOMEMORY. */
enum urn_code commit_make(struct commit *commit, struct wal_ring *ring, struct urn_os *os,
                          const struct wal_tail *tail, uint64_t pad_capacity_bytes,
                          struct urn_error *error);
void commit_free(struct commit *commit);

/* From here on a group is finished once it is copied. Between two groups; for good. */
void commit_relax(struct commit *commit);

/* Seals and copies, and begins the sync unless relaxed. An error is a fail stop: no end follows. */
enum urn_code commit_begin(struct commit *commit, struct group *group, struct urn_error *error);

/* Ends the sync; blocks until the disk has it. Relaxed, there is none. *finished: the group is in the
 * log (copied_lsn covers it); otherwise commit_begin is due again for the same group. An error is a fail
 * stop. */
enum urn_code commit_end(struct commit *commit, struct group *group, bool *finished,
                         struct urn_error *error);

#endif
