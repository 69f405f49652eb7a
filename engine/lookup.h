/* lookup.h: lookups: requests that ask what came of a draw, answered beside the writer.
 *
 *     urn_submit --> inbox --> lookups_step: finds the draw (log_finder.h) --> finished
 *                                 ^ what waits for an index of the past goes round
 *                                 what the ring has forgotten goes on
 *                     --> lookups_past_step: looks into the archive (archive_finder.h) --> finished
 *     commit side, as it acknowledges --> points (log_points.h)
 *
 * A lookup shows a draw as soon as whoever asked for it was answered, and never earlier: the commit side
 * notes a group under the failure lock, right before it hands out the group's answers, and a lookup's answer
 * is handed out under that lock, too. After a fail stop lookups get READONLY, as all reads do.
 *
 * What cannot be read in the ring, or is damaged there, is looked for in the archive, too, if it has been archived:
 * a draw that is found there is the answer, and otherwise what is wrong with the ring is.
 *
 * The archive is another disk, and may keep a call for as long as it likes: so it has a thread of its own, which
 * keeps nobody waiting but lookups that need the archive, and that a stop need not wait for (lookups_abandon_past).
 * Nor do they wait for ever: who waits holds a place of the server's. Once a step has taken ARCHIVE_SILENCE_NS, the
 * next lookup that needs the archive ends the waiting for all, itself included.
 */
#ifndef URN_ENGINE_LOOKUP_H
#define URN_ENGINE_LOOKUP_H

#include "engine/archive_finder.h"
#include "engine/commit.h"
#include "engine/log_finder.h"

/* So many are answered in one step, so that the first are not kept for the last. */
#define LOOKUPS_STEP_MAX 64u

/* Lookups of what only the archive has. */
struct past_lookups {
    struct archive_finder *finder; /* NULL: there is none; all else is meaningless then */
    struct draw_reader reader;
    uint64_t looked_lsn;       /* archived_lsn when the oldest id was asked for last without need */
    _Atomic uint64_t first_id; /* the oldest in the archive, when it was seen last; 0: not known */
    _Atomic uint64_t step_began_ns; /* of the step that is being done; 0: none is */
    pthread_mutex_t lock;
    /* Under the lock. */
    struct urn_request *oldest, *newest; /* first_request_id, last_request_id: what the ring has */
    struct urn_request *current;         /* is being looked for */
};

struct lookups {
    struct log_points points; /* the commit side notes; the looking thread reads */

    /* Any thread. */
    _Atomic(struct urn_request *) inbox; /* newest first */
    _Atomic uint64_t answered;
    _Atomic uint64_t not_found; /* of those */

    /* The looking thread's. */
    struct log_finder *finder;
    struct urn_request *todo;    /* oldest first */
    struct urn_request *waiting; /* for the index of what was before the start */
    bool done;                   /* stopped; the inbox is closed */

    struct past_lookups past; /* the past's thread's, and partly the looking one's */
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
 * a stop was asked for and all are answered, or have gone on, lookups.done is set. Blocks for reads of the ring's
 * disk alone. Returns whether anything was done, and so whether there may be more. */
bool lookups_step(struct urn_engine *engine);

/* The past's turn: answers one that the ring has forgotten. Blocks for as long as the archive likes. Returns as
 * above. */
bool lookups_past_step(struct urn_engine *engine);

/* True when a step would find something to do. */
bool lookups_past_have_work(struct urn_engine *engine);

/* Some are still to be answered from the archive. Any thread. */
bool lookups_past_have_requests(struct lookups *lookups);

/* The archive keeps the past's thread, and there is a stop: whatever waits for it is answered with an error, and
 * what it may come to is told to nobody. */
void lookups_abandon_past(struct urn_engine *engine);

/* True when a step would find a request, a failure or a stop. */
bool lookups_have_work(const struct urn_engine *engine);

/* Some are still to be answered. Nobody submits, and no thread looks. */
bool lookups_have_requests(const struct lookups *lookups);

/* A group is about to be acknowledged. Whoever runs the commit step, under the failure lock. */
void lookups_note_group(struct lookups *lookups, const struct group *group);

#endif
