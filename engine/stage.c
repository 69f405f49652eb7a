/* stage.c: see stage.h. */
#include "engine/stage.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/changes.h"
#include "engine/check.h"
#include "engine/reload.h"

/* A catalog of no more than this is added in one turn; of a larger one so much at a time: some hundred
 * microseconds of the writer. */
#define CATALOG_WHOLE_BYTES (256u * 1024)
#define CATALOG_SLICE_BYTES (16u * 1024)

/* ---- errors ---------------------------------------------------------------------------------- */

/* What the caller sees. For want of memory a request may be sent again later. */
static enum urn_code refused(const struct urn_request *request, struct urn_error *error)
{
    if (error->code == URN_NOMEMORY)
        error->code = URN_BUSY;
    CHECK(error->code != URN_DAMAGED); /* a change made from a state follows from it */
    if (request->error != NULL)
        *request->error = *error;
    return error->code;
}

/* Fills and answers in one. */
#define REFUSE(request, code, ...)                                                                 \
    do {                                                                                           \
        struct urn_error refusal;                                                                  \
        error_set(&refusal, code, 0, __VA_ARGS__);                                                 \
        return refused(request, &refusal);                                                         \
    } while (0)

/* What has been begun may have been done: the client must look. */
static enum urn_code in_doubt(const struct urn_request *request)
{
    if (request->error == NULL)
        return URN_INDOUBT;
    error_prefix(request->error, "a part of it is done: ");
    request->error->code = URN_INDOUBT;
    return URN_INDOUBT;
}

static enum urn_code refuse_unfinished(const struct urn_request *request,
                                       const struct urn_pool *pool, const struct catalog_job *job)
{
    if (job->request != NULL)
        REFUSE(request, URN_CONFLICT,
               "the catalog of pool \"%.*s\" is not whole, and catalogs are just being added: look "
               "again when they are",
               (int)request->pool_name_bytes, request->pool_name);
    REFUSE(request, URN_CONFLICT,
           "the catalog of pool \"%.*s\" has been added only up to item %" PRIu32
           ": create it again with the same catalog, or close it to keep what it has",
           (int)request->pool_name_bytes, request->pool_name, pool_item_count(pool));
}

/* ---- one change ------------------------------------------------------------------------------ */

enum urn_code stage_one(struct state *state, struct wal_entries *entries,
                        const struct urn_request *request, const struct wal_change *change)
{
    struct urn_error error;
    if (changes_apply(state, change, &error) != URN_OK)
        return refused(request, &error);
    if (change->type == WAL_ENTRY_ADD)
        pool_settle(state->pools[change->pool_id]); /* not left to pile up for the next draw */
    wal_entries_add_change(entries, change);
    return URN_OK;
}

static struct urn_pool *asked_pool(const struct state *state, const struct urn_request *request)
{
    return state_find_pool(state, request->pool_name, request->pool_name_bytes);
}

static struct wal_change change_of(const struct urn_pool *pool, enum wal_entry_type type)
{
    return (struct wal_change){
        .type = type, .pool_id = pool_id(pool), .odds_version = pool_odds_version(pool)};
}

/* ---- update ---------------------------------------------------------------------------------- */

/* A weight that the item has already is no change of the odds. */
static bool changes_weight(const struct urn_pool *pool, uint32_t index,
                           const struct urn_request *request)
{
    struct urn_item item;
    pool_item(pool, index, &item);
    return request->has_probability && request->probability != item.probability;
}

static enum urn_code plan_update(const struct urn_pool *pool, struct urn_request *request,
                                 struct stage_plan *plan)
{
    uint32_t index;
    struct urn_item item;
    if (!pool_find(pool, request->item_id, request->item_id_bytes, &index))
        REFUSE(request, URN_NOITEM, "pool \"%.*s\" has no item of this id",
               (int)request->pool_name_bytes, request->pool_name);
    pool_item(pool, index, &item);
    if (request->has_if_quantity && item.quantity != request->if_quantity)
        REFUSE(request, URN_CONFLICT, "%" PRId64 " of item \"%.*s\" are left, not %" PRId64,
               item.quantity, (int)item.item_id.length, item.item_id.bytes, request->if_quantity);
    if (request->has_quantity || changes_weight(pool, index, request))
        plan->bytes = wal_change_bytes(0);
    return URN_OK;
}

static enum urn_code update(struct state *state, struct wal_entries *entries,
                            struct urn_request *request)
{
    struct urn_pool *pool = asked_pool(state, request);
    struct wal_change change = change_of(pool, WAL_ENTRY_UPDATE);
    CHECK(pool_find(pool, request->item_id, request->item_id_bytes, &change.index));
    bool weight = changes_weight(pool, change.index, request);
    if (!request->has_quantity && !weight)
        return URN_OK;
    if (request->has_quantity) {
        change.flags |= WAL_SETS_QUANTITY;
        change.quantity = request->quantity;
    }
    if (weight) {
        change.flags |= WAL_SETS_WEIGHT;
        change.probability = request->probability;
        change.odds_version = changes_next_odds_version(pool);
    }
    return stage_one(state, entries, request, &change);
}

/* ---- add, open, close ------------------------------------------------------------------------ */

static enum urn_code plan_add(const struct state *state, const struct catalog_job *job,
                              struct urn_request *request, struct stage_plan *plan)
{
    if (!name_is_valid(request->item_id, request->item_id_bytes))
        REFUSE(request, URN_BADARG,
               "an item's id is 1 to %u bytes of UTF-8 without control "
               "characters",
               URN_NAME_BYTES_MAX);
    if (state->item_count + job->items_left >= state->bounds.max_items)
        REFUSE(request, URN_TOOBIG,
               "all pools together have %" PRIu64 " items (%" PRIu64
               " of them just being added), and limits.max_items allows no more",
               state->item_count + job->items_left, job->items_left);
    plan->bytes = wal_change_bytes(request->item_id_bytes);
    return URN_OK;
}

static enum urn_code add(struct state *state, struct wal_entries *entries,
                         struct urn_request *request)
{
    struct urn_pool *pool = asked_pool(state, request);
    struct wal_change change = change_of(pool, WAL_ENTRY_ADD);
    change.index = pool_item_count(pool);
    change.odds_version = changes_next_odds_version(pool);
    change.quantity = request->quantity;
    change.probability = request->probability;
    change.name = (struct urn_text){request->item_id, request->item_id_bytes};
    return stage_one(state, entries, request, &change);
}

static enum urn_code plan_open_or_close(const struct urn_pool *pool,
                                        const struct urn_request *request, struct stage_plan *plan)
{
    if (pool_is_unfinished(pool) || pool_is_open(pool) != (request->op == URN_OPEN))
        plan->bytes = wal_change_bytes(0);
    return URN_OK;
}

static enum urn_code open_or_close(struct state *state, struct wal_entries *entries,
                                   struct urn_request *request)
{
    struct urn_pool *pool = asked_pool(state, request);
    bool open = request->op == URN_OPEN;
    if (!pool_is_unfinished(pool) && pool_is_open(pool) == open)
        return URN_OK;
    struct wal_change change = change_of(pool, open ? WAL_ENTRY_OPEN : WAL_ENTRY_CLOSE);
    return stage_one(state, entries, request, &change);
}

/* ---- catalogs -------------------------------------------------------------------------------- */

/* The log that a catalog takes from an item on, with the pool itself when there is none yet; of one
 * that takes more than most_bytes some number beyond that. */
static uint64_t catalog_bytes(const struct urn_pool_spec *spec, bool is_new, uint32_t from_item,
                              uint64_t most_bytes)
{
    uint64_t bytes = (is_new ? wal_change_bytes(spec->name_bytes) : 0) + wal_change_bytes(0);
    for (uint32_t i = from_item; i < spec->item_count && bytes <= most_bytes; i++)
        bytes += wal_change_bytes(spec->items[i].item_id_bytes);
    return bytes;
}

/* What goes into a group at once of a catalog: all of it, if that is little. */
static uint64_t catalog_turn_bytes(const struct urn_pool_spec *spec, bool is_new,
                                   uint32_t from_item, uint64_t group_bytes)
{
    const uint64_t whole_bytes =
        group_bytes < CATALOG_WHOLE_BYTES ? group_bytes : CATALOG_WHOLE_BYTES;
    const uint64_t bytes = catalog_bytes(spec, is_new, from_item, whole_bytes);
    if (bytes <= whole_bytes)
        return bytes;
    const uint64_t half = group_bytes / 2 / WAL_ALIGN_BYTES * WAL_ALIGN_BYTES;
    return half < CATALOG_SLICE_BYTES ? half : CATALOG_SLICE_BYTES;
}

static enum urn_code plan_create(const struct state *state, const struct comparison *comparison,
                                 struct urn_request *request, uint64_t group_bytes,
                                 struct stage_plan *plan)
{
    const struct urn_pool_spec *spec = request->pools;
    const struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
    if (pool != NULL && !pool_is_unfinished(pool))
        REFUSE(request, URN_EXISTS, "pool \"%.*s\" exists already", (int)spec->name_bytes,
               spec->name);
    if (pool != NULL && comparison->pools[0].differs)
        REFUSE(
            request, URN_EXISTS,
            "pool \"%.*s\" exists, unfinished, with another catalog; close it to keep the %" PRIu32
            " items that it has",
            (int)spec->name_bytes, spec->name, pool_item_count(pool));
    uint32_t there = pool == NULL ? 0 : pool_item_count(pool);
    if (pool == NULL && state->pool_count == state->bounds.max_pools)
        REFUSE(request, URN_TOOBIG,
               "there are %" PRIu32 " pools already, and limits.max_pools allows no more",
               state->pool_count);
    if (spec->item_count - there > state->bounds.max_items - state->item_count)
        REFUSE(request, URN_TOOBIG,
               "all pools together have %" PRIu64 " items; with %" PRIu32
               " more they are beyond limits.max_items, %" PRIu32,
               state->item_count, spec->item_count - there, state->bounds.max_items);
    plan->has_catalogs = true;
    plan->catalog_items = spec->item_count - there;
    plan->bytes = catalog_turn_bytes(spec, pool == NULL, there, group_bytes);
    return URN_OK;
}

enum urn_code stage_refuse_second_job(const struct urn_request *request)
{
    REFUSE(request, URN_BUSY, "the catalogs of another request are still being compared or added");
}

void stage_begin_catalogs(struct catalog_job *job, struct urn_request *request,
                          const struct stage_plan *plan)
{
    CHECK(job->request == NULL || job->request == request);
    *job = (struct catalog_job){.request = request,
                                .is_compared = true,
                                .begun = request->op == URN_RELOAD && plan->bytes > 0,
                                .items_left = plan->catalog_items};
}

enum urn_code stage_refuse(const struct urn_request *request, enum urn_code code, const char *why)
{
    struct urn_error error;
    error_set(&error, code, 0, "%s", why);
    return refused(request, &error);
}

enum urn_code stage_give_up(const struct catalog_job *job, enum urn_code code, const char *why)
{
    stage_refuse(job->request, code, why);
    return job->begun ? in_doubt(job->request) : code;
}

/* Moves the job to the next catalog that is still to be added; false when there is none. */
static bool find_catalog(const struct state *state, const struct comparison *comparison,
                         struct catalog_job *job)
{
    if (job->pool != NULL)
        return true;
    for (; job->next_pool < job->request->pool_count; job->next_pool++) {
        const struct urn_pool_spec *spec = &job->request->pools[job->next_pool];
        struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
        if (pool != NULL &&
            (!pool_is_unfinished(pool) || comparison->pools[job->next_pool].differs))
            continue;
        job->pool = pool;
        job->next_item = pool == NULL ? 0 : pool_item_count(pool);
        return true;
    }
    return false;
}

uint64_t stage_catalogs_need(const struct state *state, const struct comparison *comparison,
                             struct catalog_job *job, uint64_t group_bytes)
{
    CHECK(job->request != NULL && job->is_compared);
    if (!find_catalog(state, comparison, job)) {
        CHECK(job->items_left == 0);
        return 0;
    }
    return catalog_turn_bytes(&job->request->pools[job->next_pool], job->pool == NULL,
                              job->next_item, group_bytes);
}

static enum urn_code stage_create(struct state *state, struct wal_entries *entries,
                                  struct catalog_job *job, const struct urn_pool_spec *spec)
{
    const struct wal_change change = {
        .type = WAL_ENTRY_CREATE,
        .pool_id = state->pool_count,
        .odds_version = 1,
        .name = {spec->name, spec->name_bytes},
    };
    struct urn_error error;
    const enum urn_code code = stage_one(state, entries, job->request, &change);
    if (code != URN_OK)
        return code;
    job->pool = state->pools[change.pool_id];
    job->begun = true;
    if (pool_reserve(job->pool, spec->item_count, &error) != URN_OK)
        return refused(job->request, &error);
    return URN_OK;
}

static enum urn_code stage_item(struct state *state, struct wal_entries *entries,
                                struct catalog_job *job, const struct urn_item_spec *item)
{
    struct wal_change change = change_of(job->pool, WAL_ENTRY_ADD);
    change.index = job->next_item;
    change.quantity = item->quantity;
    change.probability = item->probability;
    change.name = (struct urn_text){item->item_id, item->item_id_bytes};
    enum urn_code code = stage_one(state, entries, job->request, &change);
    if (code != URN_OK)
        return code;
    CHECK(job->items_left > 0);
    job->begun = true;
    job->next_item++;
    job->items_left--;
    return URN_OK;
}

static enum urn_code stage_finish(struct state *state, struct wal_entries *entries,
                                  struct catalog_job *job)
{
    struct wal_change change = change_of(job->pool, WAL_ENTRY_OPEN);
    enum urn_code code = stage_one(state, entries, job->request, &change);
    job->begun = true;
    job->pool = NULL;
    job->next_pool++;
    return code;
}

/* As much of a catalog as so many bytes hold. */
static enum urn_code stage_turn(struct state *state, struct wal_entries *entries,
                                struct catalog_job *job, uint64_t bytes)
{
    const struct urn_pool_spec *spec = &job->request->pools[job->next_pool];
    const uint64_t end = entries->used_bytes + bytes;
    enum urn_code code = URN_OK;
    if (job->pool == NULL)
        code = stage_create(state, entries, job, spec);
    while (code == URN_OK && job->next_item < spec->item_count) {
        const struct urn_item_spec *item = &spec->items[job->next_item];
        if (entries->used_bytes + wal_change_bytes(item->item_id_bytes) > end)
            return URN_OK;
        code = stage_item(state, entries, job, item);
    }
    if (code == URN_OK && entries->used_bytes + wal_change_bytes(0) <= end)
        code = stage_finish(state, entries, job);
    return code;
}

enum urn_code stage_catalogs(struct state *state, struct wal_entries *entries,
                             struct catalog_job *job, uint64_t group_bytes)
{
    const uint64_t bytes = catalog_turn_bytes(&job->request->pools[job->next_pool],
                                              job->pool == NULL, job->next_item, group_bytes);
    const enum urn_code code = stage_turn(state, entries, job, bytes);
    return code == URN_OK || !job->begun ? code : in_doubt(job->request);
}

/* ---- all ------------------------------------------------------------------------------------- */

static enum urn_code plan_in_pool(const struct state *state, const struct catalog_job *job,
                                  struct urn_request *request, struct stage_plan *plan)
{
    const struct urn_pool *pool = asked_pool(state, request);
    request->pool = pool;
    if (pool == NULL)
        return URN_NOPOOL;
    request->odds_version = pool_odds_version(pool);
    if (pool_is_unfinished(pool) && (request->op != URN_CLOSE || job->request != NULL))
        return refuse_unfinished(request, pool, job);
    if (request->op == URN_UPDATE)
        return plan_update(pool, request, plan);
    if (request->op == URN_ADD)
        return plan_add(state, job, request, plan);
    return plan_open_or_close(pool, request, plan);
}

enum urn_code stage_plan(const struct state *state, const struct catalog_job *job,
                         const struct comparison *comparison, struct urn_request *request,
                         uint64_t group_bytes, struct stage_plan *plan)
{
    CHECK(stage_is_change(request->op));
    *plan = (struct stage_plan){0};
    enum urn_code code;
    struct urn_error error;
    if (request->op == URN_CREATE)
        code = plan_create(state, comparison, request, group_bytes, plan);
    else if (request->op == URN_RELOAD)
        code = reload_plan(state, comparison, request, plan, &error) == URN_OK
                   ? URN_OK
                   : refused(request, &error);
    else
        code = plan_in_pool(state, job, request, plan);
    if (code == URN_OK && plan->bytes > group_bytes)
        REFUSE(request, URN_TOOBIG,
               "the change takes %" PRIu64 " bytes of log at once, and a group holds %" PRIu64,
               plan->bytes, group_bytes);
    return code;
}

enum urn_code stage_carry_out(struct state *state, const struct comparison *comparison,
                              struct wal_entries *entries, struct urn_request *request)
{
    const uint64_t used_bytes = entries->used_bytes;
    enum urn_code code = URN_OK;
    if (request->op == URN_UPDATE)
        code = update(state, entries, request);
    else if (request->op == URN_ADD)
        code = add(state, entries, request);
    else if (request->op == URN_OPEN || request->op == URN_CLOSE)
        code = open_or_close(state, entries, request);
    else if (request->op == URN_RELOAD)
        code = reload_carry_out(state, comparison, entries, request);
    if (request->pool != NULL)
        request->odds_version = pool_odds_version(request->pool);
    return code == URN_OK || entries->used_bytes == used_bytes ? code : in_doubt(request);
}
