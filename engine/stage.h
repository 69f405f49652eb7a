/* stage.h: requests that change items and pools: from what was asked to changes of the staged state
 * and entries of the open group.
 *
 *     stage_plan()        the conditions, against the staged state; how much log it takes
 *     (the writer)        room in the open group and in the log
 *     stage_carry_out()   what goes into one group whole: every change is carried out by
 *                         changes_apply(), as a replay does, and logged
 *     stage_catalogs()    catalogs that a request brings, as much of them as a group takes: again
 *                         for every group until the job is done
 *
 * The writer's. Pure: no I/O, no clock.
 */
#ifndef URN_ENGINE_STAGE_H
#define URN_ENGINE_STAGE_H

#include "engine/state.h"

/* A request whose catalogs are being added, perhaps over many groups. */
struct catalog_job {
    struct urn_request *request; /* NULL: no job */
    uint32_t next_pool;          /* of request->pools */
    struct urn_pool *pool;       /* the one that is being filled; NULL: none is */
    uint32_t next_item;          /* of its catalog */
    uint64_t rest_bytes;         /* of log that this catalog still takes */
};

struct stage_plan {
    uint64_t bytes;         /* of entries that must stand in one group */
    uint64_t catalog_bytes; /* of the entries of catalogs, over as many groups as it takes */
    bool has_catalogs;
};

/* Whether a request of this kind changes items or pools. */
static inline bool stage_is_change(enum urn_op op)
{
    return op >= URN_UPDATE && op <= URN_RELOAD;
}

/* What the request comes to. Fills the request's results as far as they follow from the state
 * before (a reload's list of changes). group_bytes: the most bytes of entries in one group. On an
 * error nothing else is to be done; request->error, if any, says why. */
enum urn_code stage_plan(const struct state *state, const struct catalog_job *job,
                         struct urn_request *request, uint64_t group_bytes,
                         struct stage_plan *plan);

/* Carries out all but the catalogs; entries has room for plan->bytes. When it fails nothing was
 * changed, but by a reload for want of memory (BUSY), which then has done what its log says. */
enum urn_code stage_carry_out(struct state *state, struct wal_entries *entries,
                              struct urn_request *request);

/* For reload.c: carries out one change and logs it; entries has the room. The error, if any, goes to
 * request->error. */
enum urn_code stage_one(struct state *state, struct wal_entries *entries,
                        const struct urn_request *request, const struct wal_change *change);

/* The log that it takes to create a pool of this catalog, or (pool not NULL) to finish an unfinished
 * one; 0 when that is not the beginning of it. */
uint64_t stage_catalog_bytes(const struct urn_pool *pool, const struct urn_pool_spec *spec);

/* Begins the job of a request that has been planned and carried out. */
void stage_begin_catalogs(struct catalog_job *job, struct urn_request *request);

/* The bytes that must be free in the open group for the job to go on; 0: it is done. */
uint64_t stage_catalogs_need(const struct state *state, struct catalog_job *job,
                             uint64_t group_bytes);

/* Goes on with the job: one catalog that fits a group whole, or some items of a larger one, for
 * which entries have room (stage_catalogs_need). Errors: BUSY (no memory): the pool stays
 * unfinished. */
enum urn_code stage_catalogs(struct state *state, struct wal_entries *entries,
                             struct catalog_job *job, uint64_t group_bytes);

#endif
