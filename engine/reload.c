/* reload.c: see reload.h. Of the items only those are looked at that differed when they were compared;
 * what has become of them since shows now. */
#include "engine/reload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/changes.h"
#include "engine/check.h"

/* ---- one item -------------------------------------------------------------------------------- */

enum difference {
    DIFFERENCE_NONE,
    DIFFERENCE_NEW,
    DIFFERENCE_WEIGHT,
    DIFFERENCE_APPLIED, /* the weights agree, and the file is to be known to say so */
    DIFFERENCE_CONFLICT,
};

/* *item is filled unless the item is new. */
static enum difference difference_of(const struct urn_pool *pool, const struct urn_item_spec *spec,
                                     const struct compared_item *compared, bool force,
                                     struct urn_item *item)
{
    uint32_t index = compared->index;
    if (index == COMPARISON_NEW_ITEM &&
        !pool_find(pool, spec->item_id, spec->item_id_bytes, &index))
        return DIFFERENCE_NEW;
    pool_item(pool, index, item);
    const uint64_t applied = pool_applied_weight(pool, index);
    if (spec->probability == applied)
        return DIFFERENCE_NONE;
    if (spec->probability == item->probability)
        return DIFFERENCE_APPLIED;
    return applied == item->probability || force ? DIFFERENCE_WEIGHT : DIFFERENCE_CONFLICT;
}

/* ---- planning -------------------------------------------------------------------------------- */

struct planning {
    const struct state *state;
    const struct comparison *comparison;
    struct urn_request *request;
    struct stage_plan *plan;
    struct urn_error *error;
    uint64_t new_items; /* of pools that exist */
    uint64_t new_pools;
};

static void report(struct urn_request *request, const struct urn_change *change)
{
    request->kinds[change->kind]++;
    request->total++;
    if (request->returned < request->limit)
        request->changes[request->returned++] = *change;
}

static void plan_item(struct planning *planning, const struct urn_pool *pool,
                      const struct urn_item_spec *spec, enum difference difference,
                      const struct urn_item *item)
{
    struct urn_change change = {
        .pool = pool_name(pool),
        .item_id = {spec->item_id, spec->item_id_bytes},
        .probability = spec->probability,
    };
    if (difference == DIFFERENCE_NEW) {
        change.kind = URN_CHANGE_NEW_ITEM;
        change.quantity = spec->quantity;
        planning->plan->bytes += wal_change_bytes(spec->item_id_bytes);
        planning->new_items++;
    } else {
        change.kind = difference == DIFFERENCE_WEIGHT ? URN_CHANGE_WEIGHT : URN_CHANGE_CONFLICT;
        change.item_id = item->item_id;
        change.quantity = item->quantity;
        change.before = item->probability;
        if (difference != DIFFERENCE_CONFLICT)
            planning->plan->bytes += wal_change_bytes(0);
    }
    if (difference != DIFFERENCE_APPLIED) /* which changes nothing that anyone could see */
        report(planning->request, &change);
}

/* The items that the pool has and the file has not; those that were added while it was being compared
 * are not told. */
static void report_missing_items(const struct planning *planning, const struct urn_pool *pool,
                                 uint32_t number)
{
    const struct comparison *comparison = planning->comparison;
    struct urn_request *request = planning->request;
    const uint32_t end = comparison->pools[number].item_count;
    uint32_t left = comparison_missing_count(comparison, number);
    for (uint32_t index = comparison_missing(comparison, number, 0);
         index < end && request->returned < request->limit;
         index = comparison_missing(comparison, number, index + 1)) {
        struct urn_item item;
        pool_item(pool, index, &item);
        report(request, &(struct urn_change){.kind = URN_CHANGE_ITEM_NOT_HERE,
                                             .pool = pool_name(pool),
                                             .item_id = item.item_id,
                                             .quantity = item.quantity,
                                             .before = item.probability});
        left--;
    }
    request->kinds[URN_CHANGE_ITEM_NOT_HERE] += left; /* for which the list has no room */
    request->total += left;
}

static enum urn_code plan_items(struct planning *planning, const struct urn_pool *pool,
                                uint32_t number)
{
    const struct comparison *comparison = planning->comparison;
    const struct urn_pool_spec *spec = &planning->request->pools[number];
    uint64_t weight = pool_weight_of_all(pool);
    for (uint32_t i = comparison_items_first(comparison, number);
         i < comparison->pools[number].items_end; i++) {
        const struct urn_item_spec *item_spec = &spec->items[comparison->items[i].position];
        struct urn_item item = {.probability = 0};
        const enum difference difference =
            difference_of(pool, item_spec, &comparison->items[i], planning->request->force, &item);
        if (difference == DIFFERENCE_NONE)
            continue;
        if (difference == DIFFERENCE_NEW || difference == DIFFERENCE_WEIGHT)
            weight += item_spec->probability - item.probability;
        plan_item(planning, pool, item_spec, difference, &item);
    }
    if (weight > URN_NUMBER_MAX)
        return error_set(planning->error, URN_BADARG, 0,
                         "pool \"%.*s\": the probabilities of all items would sum up to 2^53 or "
                         "more",
                         (int)spec->name_bytes, spec->name);
    report_missing_items(planning, pool, number);
    return URN_OK;
}

static enum urn_code plan_pool(struct planning *planning, uint32_t number)
{
    const struct urn_pool_spec *spec = &planning->request->pools[number];
    const struct urn_pool *pool = state_find_pool(planning->state, spec->name, spec->name_bytes);
    if (pool != NULL && !pool_is_unfinished(pool))
        return plan_items(planning, pool, number);
    struct urn_change change = {.kind = URN_CHANGE_NEW_POOL,
                                .pool = {spec->name, spec->name_bytes},
                                .quantity = spec->item_count};
    if (planning->comparison->pools[number].differs) {
        change.kind = URN_CHANGE_CONFLICT;
    } else {
        planning->plan->has_catalogs = true;
        planning->plan->catalog_items +=
            spec->item_count - (pool == NULL ? 0 : pool_item_count(pool));
        planning->new_pools += pool == NULL;
    }
    report(planning->request, &change);
    return URN_OK;
}

static enum urn_code check_limits(const struct planning *planning)
{
    const struct state *state = planning->state;
    const uint64_t new_items = planning->new_items + planning->plan->catalog_items;
    if (planning->new_pools > state->bounds.max_pools - state->pool_count)
        return error_set(planning->error, URN_TOOBIG, 0,
                         "with %" PRIu64
                         " new pools there are more than limits.max_pools, %" PRIu32,
                         planning->new_pools, state->bounds.max_pools);
    if (new_items > state->bounds.max_items - state->item_count)
        return error_set(planning->error, URN_TOOBIG, 0,
                         "with %" PRIu64
                         " new items there are more than limits.max_items, %" PRIu32,
                         new_items, state->bounds.max_items);
    return URN_OK;
}

/* Pools that the file does not have. */
static enum urn_code report_other_pools(const struct planning *planning)
{
    const struct state *state = planning->state;
    struct urn_request *request = planning->request;
    uint8_t *in_file = calloc(state->pool_count + 1u, 1);
    if (in_file == NULL)
        return error_set(planning->error, URN_NOMEMORY, 0, "no memory to compare the pools");
    for (uint32_t i = 0; i < request->pool_count; i++) {
        const struct urn_pool_spec *spec = &request->pools[i];
        const struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
        if (pool != NULL)
            in_file[pool_id(pool)] = 1;
    }
    for (uint32_t id = 0; id < state->pool_count; id++)
        if (in_file[id] == 0)
            report(request, &(struct urn_change){.kind = URN_CHANGE_POOL_NOT_HERE,
                                                 .pool = pool_name(state->pools[id])});
    free(in_file);
    return URN_OK;
}

enum urn_code reload_plan(const struct state *state, const struct comparison *comparison,
                          struct urn_request *request, struct stage_plan *plan,
                          struct urn_error *error)
{
    struct planning planning = {
        .state = state, .comparison = comparison, .request = request, .plan = plan, .error = error};
    /* It may have been planned before, when the open group had no room for it. */
    memset(request->kinds, 0, sizeof request->kinds);
    request->total = 0;
    request->returned = 0;
    if (comparison->overflowed)
        return error_set(error, URN_TOOBIG, 0,
                         "the file differs from the pools in more than %" PRIu32
                         " items, more than one reload can change",
                         comparison->items_max);
    for (uint32_t number = 0; number < request->pool_count; number++)
        if (plan_pool(&planning, number) != URN_OK)
            return error->code;
    const enum urn_code code = check_limits(&planning);
    return code == URN_OK ? report_other_pools(&planning) : code;
}

/* ---- carrying out ---------------------------------------------------------------------------- */

/* Weights that become less come first, so that the sum of all never exceeds its bound midway. */
enum part { PART_LESS, PART_REST };

static bool is_of_part(enum part part, enum difference difference, const struct urn_item_spec *spec,
                       const struct urn_item *item)
{
    if (difference == DIFFERENCE_NONE || difference == DIFFERENCE_CONFLICT)
        return false;
    const bool is_less = difference == DIFFERENCE_WEIGHT && spec->probability < item->probability;
    return is_less == (part == PART_LESS);
}

/* Carries out what one item of the file comes to. *raised: the odds version is that of this
 * request already. */
static enum urn_code carry_out_item(struct state *state, struct wal_entries *entries,
                                    const struct urn_request *request, struct urn_pool *pool,
                                    const struct urn_item_spec *spec, enum difference difference,
                                    uint32_t index, bool *raised)
{
    struct wal_change change = {.pool_id = pool_id(pool),
                                .index = index,
                                .odds_version = pool_odds_version(pool),
                                .probability = spec->probability};
    if (difference == DIFFERENCE_APPLIED) {
        change.type = WAL_ENTRY_APPLIED;
        return stage_one(state, entries, request, &change);
    }
    if (*raised)
        change.flags = WAL_CONTINUES;
    else
        change.odds_version = changes_next_odds_version(pool);
    if (difference == DIFFERENCE_NEW) {
        change.type = WAL_ENTRY_ADD;
        change.index = pool_item_count(pool);
        change.quantity = spec->quantity;
        change.name = (struct urn_text){spec->item_id, spec->item_id_bytes};
    } else {
        change.type = WAL_ENTRY_UPDATE;
        change.flags |= WAL_SETS_WEIGHT | WAL_FROM_FILE;
    }
    *raised = true;
    return stage_one(state, entries, request, &change);
}

static enum urn_code carry_out_part(struct state *state, const struct comparison *comparison,
                                    struct wal_entries *entries, const struct urn_request *request,
                                    uint32_t number, enum part part, bool *raised)
{
    const struct urn_pool_spec *spec = &request->pools[number];
    struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
    for (uint32_t i = comparison_items_first(comparison, number);
         i < comparison->pools[number].items_end; i++) {
        const struct urn_item_spec *item_spec = &spec->items[comparison->items[i].position];
        struct urn_item item = {.probability = 0};
        const enum difference difference =
            difference_of(pool, item_spec, &comparison->items[i], request->force, &item);
        if (!is_of_part(part, difference, item_spec, &item))
            continue;
        const enum urn_code code = carry_out_item(state, entries, request, pool, item_spec,
                                                  difference, item.index, raised);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

enum urn_code reload_carry_out(struct state *state, const struct comparison *comparison,
                               struct wal_entries *entries, const struct urn_request *request)
{
    for (uint32_t number = 0; number < request->pool_count; number++) {
        const struct urn_pool_spec *spec = &request->pools[number];
        const struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
        if (pool == NULL || pool_is_unfinished(pool))
            continue;
        bool raised = false;
        enum urn_code code =
            carry_out_part(state, comparison, entries, request, number, PART_LESS, &raised);
        if (code == URN_OK)
            code = carry_out_part(state, comparison, entries, request, number, PART_REST, &raised);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}
