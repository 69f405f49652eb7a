/* stage.h: requests that change items and pools: from what was asked to changes of the staged state
 * and entries of the open group.
 *
 *     comparison_step()   catalogs that a request brings against the staged state, a slice a turn
 *     stage_plan()        the conditions, against the staged state; how much log it takes
 *     (the writer)        room in the open group and in the log
 *     stage_carry_out()   what goes into one group whole: every change is carried out by
 *                         changes_apply(), as a replay does, and logged
 *     stage_catalogs()    new pools' catalogs, as much of them as a group takes: again for every
 *                         group until the job is done
 *
 * What a request brings in catalogs may take many turns of the writer: it is then the job, of which
 * there is one at a time. Once a part of it is staged it is never given up for want of room.
 *
 * The writer's. Pure: no I/O, no clock.
 */
#ifndef URN_ENGINE_STAGE_H
#define URN_ENGINE_STAGE_H

#include "engine/comparison.h"

/* A request that brings catalogs and takes more than one turn. While there is one, pools are created,
 * and unfinished ones closed, by nobody else. */
struct catalog_job {
    struct urn_request *request; /* NULL: no job */
    bool is_compared;            /* and all of it carried out but the catalogs of new pools */
    bool begun;                  /* something of it is staged */
    uint32_t next_pool;          /* of request->pools */
    struct urn_pool *pool;       /* the one that is being filled; NULL: none is */
    uint32_t next_item;          /* of its catalog */
    uint64_t items_left;         /* that it will add still: their room is taken */
};

struct stage_plan {
    uint64_t bytes;         /* of entries that must stand in one group */
    uint64_t catalog_items; /* of new pools */
    bool has_catalogs;
};

/* Whether a request of this kind changes items or pools, and whether it brings catalogs for it. */
static inline bool stage_is_change(enum urn_op op)
{
    return op >= URN_UPDATE && op <= URN_RELOAD;
}

static inline bool stage_brings_catalogs(enum urn_op op)
{
    return op == URN_CREATE || op == URN_RELOAD;
}

/* What the request comes to. Fills the request's results as far as they follow from the state
 * before (a reload's list of changes). comparison: of the catalogs that it brings, done; group_bytes:
 * the most bytes of entries in one group. On an error nothing else is to be done; request->error, if
 * any, says why. */
enum urn_code stage_plan(const struct state *state, const struct catalog_job *job,
                         const struct comparison *comparison, struct urn_request *request,
                         uint64_t group_bytes, struct stage_plan *plan);

/* BUSY: another request's job is under way. */
enum urn_code stage_refuse_second_job(const struct urn_request *request);

/* Carries out all but the catalogs; entries has room for plan->bytes. When it fails nothing was
 * changed; if it was a reload that has come half-way (for want of memory), the code is INDOUBT. */
enum urn_code stage_carry_out(struct state *state, const struct comparison *comparison,
                              struct wal_entries *entries, struct urn_request *request);

/* For reload.c: carries out one change and logs it; entries has the room. The error, if any, goes to
 * request->error. */
enum urn_code stage_one(struct state *state, struct wal_entries *entries,
                        const struct urn_request *request, const struct wal_change *change);

/* Begins the catalogs of a request that has been planned and carried out. */
void stage_begin_catalogs(struct catalog_job *job, struct urn_request *request,
                          const struct stage_plan *plan);

/* The bytes that must be free in the open group for the job to go on; 0: it is done. */
uint64_t stage_catalogs_need(const struct state *state, const struct comparison *comparison,
                             struct catalog_job *job, uint64_t group_bytes);

/* Goes on with the job: one small catalog whole, or some items of a larger one, for which entries has
 * room (stage_catalogs_need). Errors: INDOUBT (no memory): the pool stays unfinished. */
enum urn_code stage_catalogs(struct state *state, struct wal_entries *entries,
                             struct catalog_job *job, uint64_t group_bytes);

/* The code of a request that is refused, with its reason: a terminated text. */
enum urn_code stage_refuse(const struct urn_request *request, enum urn_code code, const char *why);

/* The code of a job that ends before it is done, with its reason; INDOUBT if it has begun. */
enum urn_code stage_give_up(const struct catalog_job *job, enum urn_code code, const char *why);

#endif
