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

/* An item that differed when it was compared, as it is now. */
struct differing {
    const struct urn_item_spec *spec;
    enum difference difference;
    uint32_t index;  /* of an item that is not new */
    uint64_t weight; /* likewise; of a new one 0 */
};

static enum difference difference_of(const struct urn_item_spec *spec, uint64_t applied,
                                     uint64_t weight, bool force)
{
    if (spec->probability == applied)
        return DIFFERENCE_NONE;
    if (spec->probability == weight)
        return DIFFERENCE_APPLIED;
    return applied == weight || force ? DIFFERENCE_WEIGHT : DIFFERENCE_CONFLICT;
}

/* The items that differ in one catalog, one after the other. */
struct walk {
    const struct comparison *comparison;
    const struct urn_pool *pool;
    const struct urn_pool_spec *spec;
    uint32_t next, end; /* of comparison->items */
    bool force;
};

static struct walk walk_begin(const struct comparison *comparison,
                              const struct urn_request *request, const struct urn_pool *pool,
                              uint32_t number)
{
    return (struct walk){.comparison = comparison,
                         .pool = pool,
                         .spec = &request->pools[number],
                         .next = comparison_items_first(comparison, number),
                         .end = comparison->pools[number].items_end,
                         .force = request->force};
}

static bool walk_next(struct walk *walk, struct differing *differing)
{
    if (walk->next == walk->end)
        return false;
    const struct compared_item *compared = &walk->comparison->items[walk->next++];
    const struct urn_item_spec *spec = &walk->spec->items[compared->position];
    *differing =
        (struct differing){.spec = spec, .difference = DIFFERENCE_NEW, .index = compared->index};
    if (compared->index == COMPARISON_NEW_ITEM &&
        !pool_find(walk->pool, spec->item_id, spec->item_id_bytes, &differing->index))
        return true;
    differing->weight = pool_weight(walk->pool, differing->index);
    differing->difference = difference_of(spec, pool_applied_weight(walk->pool, differing->index),
                                          differing->weight, walk->force);
    return true;
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

/* An item of the pool, for the list; while there is room in that. */
static void fill_change(const struct urn_request *request, const struct urn_pool *pool,
                        uint32_t index, struct urn_change *change)
{
    if (request->returned == request->limit)
        return;
    struct urn_item item;
    pool_item(pool, index, &item);
    change->item_id = item.item_id;
    change->quantity = item.quantity;
    change->before = item.probability;
}

static void plan_item(struct planning *planning, const struct urn_pool *pool,
                      const struct differing *differing)
{
    const struct urn_item_spec *spec = differing->spec;
    struct urn_change change = {.pool = pool_name(pool), .probability = spec->probability};
    if (differing->difference == DIFFERENCE_NEW) {
        change.kind = URN_CHANGE_NEW_ITEM;
        change.item_id = (struct urn_text){spec->item_id, spec->item_id_bytes};
        change.quantity = spec->quantity;
        planning->plan->bytes += wal_change_bytes(spec->item_id_bytes);
        planning->new_items++;
    } else {
        const bool conflict = differing->difference == DIFFERENCE_CONFLICT;
        change.kind = conflict ? URN_CHANGE_CONFLICT : URN_CHANGE_WEIGHT;
        planning->plan->bytes += conflict ? 0 : wal_change_bytes(0);
        fill_change(planning->request, pool, differing->index, &change);
    }
    if (differing->difference !=
        DIFFERENCE_APPLIED) /* which changes nothing that anyone could see */
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
        struct urn_change change = {.kind = URN_CHANGE_ITEM_NOT_HERE, .pool = pool_name(pool)};
        fill_change(request, pool, index, &change);
        report(request, &change);
        left--;
    }
    request->kinds[URN_CHANGE_ITEM_NOT_HERE] += left; /* for which the list has no room */
    request->total += left;
}

static enum urn_code plan_items(struct planning *planning, const struct urn_pool *pool,
                                uint32_t number)
{
    const struct urn_pool_spec *spec = &planning->request->pools[number];
    struct walk walk = walk_begin(planning->comparison, planning->request, pool, number);
    struct differing differing;
    uint64_t weight = pool_weight_of_all(pool);
    while (walk_next(&walk, &differing)) {
        if (differing.difference == DIFFERENCE_NONE)
            continue;
        if (differing.difference == DIFFERENCE_NEW || differing.difference == DIFFERENCE_WEIGHT)
            weight += differing.spec->probability - differing.weight;
        plan_item(planning, pool, &differing);
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

static bool is_of_part(enum part part, const struct differing *differing)
{
    if (differing->difference == DIFFERENCE_NONE || differing->difference == DIFFERENCE_CONFLICT)
        return false;
    const bool is_less = differing->difference == DIFFERENCE_WEIGHT &&
                         differing->spec->probability < differing->weight;
    return is_less == (part == PART_LESS);
}

/* Carries out what one item of the file comes to. *raised: the odds version is that of this
 * request already. */
static enum urn_code carry_out_item(struct state *state, struct wal_entries *entries,
                                    const struct urn_request *request, struct urn_pool *pool,
                                    const struct differing *differing, bool *raised)
{
    const struct urn_item_spec *spec = differing->spec;
    struct wal_change change = {.pool_id = pool_id(pool),
                                .index = differing->index,
                                .odds_version = pool_odds_version(pool),
                                .probability = spec->probability};
    if (differing->difference == DIFFERENCE_APPLIED) {
        change.type = WAL_ENTRY_APPLIED;
        return stage_one(state, entries, request, &change);
    }
    if (*raised)
        change.flags = WAL_CONTINUES;
    else
        change.odds_version = changes_next_odds_version(pool);
    if (differing->difference == DIFFERENCE_NEW) {
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
    struct walk walk = walk_begin(comparison, request, pool, number);
    struct differing differing;
    while (walk_next(&walk, &differing)) {
        if (!is_of_part(part, &differing))
            continue;
        const enum urn_code code =
            carry_out_item(state, entries, request, pool, &differing, raised);
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
