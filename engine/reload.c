/* reload.c: see reload.h. */
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

/* The item of this id. Files and pools have their items in the same order as a rule, so that the
 * one at the same position is looked at first. */
static bool find_item(const struct urn_pool *pool, const struct urn_item_spec *spec,
                      uint32_t position, uint32_t *index)
{
    if (position < pool_item_count(pool)) {
        const struct urn_text id = pool_item_id(pool, position);
        if (id.length == spec->item_id_bytes &&
            memcmp(id.bytes, spec->item_id, spec->item_id_bytes) == 0) {
            *index = position;
            return true;
        }
    }
    return pool_find(pool, spec->item_id, spec->item_id_bytes, index);
}

/* *item is filled unless the item is new. */
static enum difference compare(const struct urn_pool *pool, const struct urn_item_spec *spec,
                               uint32_t position, bool force, struct urn_item *item)
{
    uint32_t index;
    if (!find_item(pool, spec, position, &index))
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
    struct urn_request *request;
    struct stage_plan *plan;
    struct urn_error *error;
    uint64_t new_items;
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

/* Compares all items; in_file gets a bit for each of the pool's that the file has. */
static enum urn_code plan_items(struct planning *planning, const struct urn_pool *pool,
                                const struct urn_pool_spec *spec, uint8_t *in_file)
{
    uint64_t weight = pool_weight_of_all(pool);
    for (uint32_t i = 0; i < spec->item_count; i++) {
        struct urn_item item = {.probability = 0};
        const enum difference difference =
            compare(pool, &spec->items[i], i, planning->request->force, &item);
        if (difference != DIFFERENCE_NEW)
            in_file[item.index / 8] |= (uint8_t)(1u << item.index % 8);
        if (difference == DIFFERENCE_NONE)
            continue;
        if (difference == DIFFERENCE_NEW || difference == DIFFERENCE_WEIGHT)
            weight += spec->items[i].probability - item.probability;
        plan_item(planning, pool, &spec->items[i], difference, &item);
    }
    if (weight > URN_NUMBER_MAX)
        return error_set(planning->error, URN_BADARG, 0,
                         "pool \"%.*s\": the probabilities of all items would sum up to 2^53 or "
                         "more",
                         (int)spec->name_bytes, spec->name);
    for (uint32_t index = 0; index < pool_item_count(pool); index++) {
        if ((in_file[index / 8] >> index % 8 & 1) != 0)
            continue;
        struct urn_item item;
        pool_item(pool, index, &item);
        report(planning->request, &(struct urn_change){.kind = URN_CHANGE_ITEM_NOT_HERE,
                                                       .pool = pool_name(pool),
                                                       .item_id = item.item_id,
                                                       .quantity = item.quantity,
                                                       .before = item.probability});
    }
    return URN_OK;
}

static enum urn_code no_memory(struct urn_error *error)
{
    return error_set(error, URN_NOMEMORY, 0, "no memory to compare the catalogs");
}

static enum urn_code plan_pool(struct planning *planning, const struct urn_pool_spec *spec)
{
    struct urn_pool *pool = state_find_pool(planning->state, spec->name, spec->name_bytes);
    if (pool != NULL && !pool_is_unfinished(pool)) {
        uint8_t *in_file = calloc(pool_item_count(pool) / 8 + 1, 1);
        if (in_file == NULL)
            return no_memory(planning->error);
        const enum urn_code code = plan_items(planning, pool, spec, in_file);
        free(in_file);
        return code;
    }
    struct urn_change change = {.kind = URN_CHANGE_NEW_POOL,
                                .pool = {spec->name, spec->name_bytes},
                                .quantity = spec->item_count};
    const uint64_t bytes = stage_catalog_bytes(pool, spec);
    if (bytes == 0) {
        change.kind = URN_CHANGE_CONFLICT;
    } else {
        planning->plan->has_catalogs = true;
        planning->plan->catalog_bytes += bytes;
        planning->new_pools += pool == NULL;
        planning->new_items += spec->item_count - (pool == NULL ? 0 : pool_item_count(pool));
    }
    report(planning->request, &change);
    return URN_OK;
}

static enum urn_code check_limits(const struct planning *planning)
{
    const struct state *state = planning->state;
    if (planning->new_pools > state->bounds.max_pools - state->pool_count)
        return error_set(planning->error, URN_TOOBIG, 0,
                         "with %" PRIu64
                         " new pools there are more than limits.max_pools, %" PRIu32,
                         planning->new_pools, state->bounds.max_pools);
    if (planning->new_items > state->bounds.max_items - state->item_count)
        return error_set(planning->error, URN_TOOBIG, 0,
                         "with %" PRIu64
                         " new items there are more than limits.max_items, %" PRIu32,
                         planning->new_items, state->bounds.max_items);
    return URN_OK;
}

/* Pools that the file does not have. */
static enum urn_code report_other_pools(const struct planning *planning)
{
    const struct state *state = planning->state;
    struct urn_request *request = planning->request;
    uint8_t *in_file = calloc(state->pool_count + 1u, 1);
    if (in_file == NULL)
        return no_memory(planning->error);
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

enum urn_code reload_plan(const struct state *state, struct urn_request *request,
                          struct stage_plan *plan, struct urn_error *error)
{
    struct planning planning = {.state = state, .request = request, .plan = plan, .error = error};
    /* It may have been planned before, when the open group had no room for it. */
    memset(request->kinds, 0, sizeof request->kinds);
    request->total = 0;
    request->returned = 0;
    for (uint32_t i = 0; i < request->pool_count; i++)
        if (plan_pool(&planning, &request->pools[i]) != URN_OK)
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

static enum urn_code carry_out_part(struct state *state, struct wal_entries *entries,
                                    const struct urn_request *request, struct urn_pool *pool,
                                    const struct urn_pool_spec *spec, enum part part, bool *raised)
{
    for (uint32_t i = 0; i < spec->item_count; i++) {
        struct urn_item item = {.probability = 0};
        const enum difference difference = compare(pool, &spec->items[i], i, request->force, &item);
        if (!is_of_part(part, difference, &spec->items[i], &item))
            continue;
        const enum urn_code code = carry_out_item(state, entries, request, pool, &spec->items[i],
                                                  difference, item.index, raised);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

enum urn_code reload_carry_out(struct state *state, struct wal_entries *entries,
                               const struct urn_request *request)
{
    for (uint32_t i = 0; i < request->pool_count; i++) {
        const struct urn_pool_spec *spec = &request->pools[i];
        struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
        if (pool == NULL || pool_is_unfinished(pool))
            continue;
        bool raised = false;
        enum urn_code code =
            carry_out_part(state, entries, request, pool, spec, PART_LESS, &raised);
        if (code == URN_OK)
            code = carry_out_part(state, entries, request, pool, spec, PART_REST, &raised);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}
