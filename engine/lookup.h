/* lookup.h: lookups: requests that ask what came of a draw, answered beside the writer.
 *
 *     urn_submit --> inbox --> lookups_step: finds the draw (log_finder.h) --> finished
 *                                 ^ what waits for an index of the past goes round
 *                                 what the ring has forgotten is looked for in the archive (archive_finder.h)
 *     commit side, as it acknowledges --> points (log_points.h)
 *
 * A lookup shows a draw as soon as whoever asked for it was answered, and never earlier: the commit side
 * notes a group under the failure lock, right before it hands out the group's answers, and a lookup's answer
 * is handed out under that lock, too. After a fail stop lookups get READONLY, as all reads do.
 */
#ifndef URN_ENGINE_LOOKUP_H
#define URN_ENGINE_LOOKUP_H

#include "engine/archive_finder.h"
#include "engine/commit.h"
#include "engine/log_finder.h"

/* So many are answered in one step, so that the first are not kept for the last. */
#define LOOKUPS_STEP_MAX 64u

struct lookups {
    struct log_points points; /* the commit side notes; the looking thread reads */

    /* Any thread. */
    _Atomic(struct urn_request *) inbox; /* newest first */
    _Atomic uint64_t answered;
    _Atomic uint64_t not_found; /* of those */

    /* The looking thread's. */
    struct log_finder *finder;
    struct archive_finder *archive; /* NULL: there is none */
    bool asked_archive;             /* in this step */
    struct urn_request *todo;       /* oldest first */
    struct urn_request *waiting;    /* for the index of what was before the start */
    bool done;                      /* stopped; the inbox is closed */
};

uint64_t lookups_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools,
                              bool has_archive);

/* For an engine that has read its log and written no epoch group yet. Errors: URN_NOMEMORY. */
enum urn_code lookups_make(struct urn_engine *engine, uint64_t snapshot_lsn,
                           struct urn_error *error);
/* From here on they go on into the engine's archive, if it has one; before the first step. Errors:
 * URN_NOMEMORY. */
enum urn_code lookups_use_archive(struct urn_engine *engine, struct urn_error *error);

void lookups_free(struct lookups *lookups);

/* The looking thread's turn: answers what is in the inbox, or goes on with the index that some wait for. After
 * a stop was asked for and all are answered, lookups.done is set. Blocks for reads of the disks alone. Returns
 * whether anything was done, and so whether there may be more. */
bool lookups_step(struct urn_engine *engine);

/* True when a step would find a request, a failure or a stop. */
bool lookups_have_work(const struct urn_engine *engine);

/* Some are still to be answered. Nobody submits, and no thread looks. */
bool lookups_have_requests(const struct lookups *lookups);

/* A group is about to be acknowledged. Whoever runs the commit step, under the failure lock. */
void lookups_note_group(struct lookups *lookups, const struct group *group);

#endif
