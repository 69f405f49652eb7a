/* changes.c: see changes.h. */
#include "engine/changes.h"

#include <inttypes.h>

#include "engine/check.h"

uint64_t changes_next_odds_version(const struct urn_pool *pool)
{
    return pool_odds_version(pool) + 1;
}

static enum urn_code does_not_follow(const struct urn_pool *pool, const char *what,
                                     uint64_t expected, uint64_t found, struct urn_error *error)
{
    const struct urn_text name = pool_name(pool);
    return error_set(error, URN_DAMAGED, 0,
                     "a change of pool %.*s tells %s %" PRIu64 " where %" PRIu64 " is due",
                     (int)name.length, name.bytes, what, found, expected);
}

/* ---- pools ----------------------------------------------------------------------------------- */

static enum urn_code create_pool(struct state *state, const struct wal_change *change,
                                 struct urn_error *error)
{
    struct urn_pool *pool = NULL;
    if (change->pool_id != state->pool_count || change->odds_version != 1)
        return error_set(error, URN_DAMAGED, 0,
                         "pool number %" PRIu32 " is created at odds version %" PRIu64
                         " where number %" PRIu32 " at version 1 is due",
                         change->pool_id, change->odds_version, state->pool_count);
    if (state_add_pool(state, change->name.bytes, change->name.length, state->bounds.max_items,
                       &pool, error) != URN_OK)
        return error->code;
    pool_set_unfinished(pool);
    return URN_OK;
}

/* ---- items ----------------------------------------------------------------------------------- */

static enum urn_code update_item(struct urn_pool *pool, const struct wal_change *change,
                                 struct urn_error *error)
{
    const struct pool_update update = {
        .has_quantity = (change->flags & WAL_SETS_QUANTITY) != 0,
        .quantity = change->quantity,
        .has_probability = (change->flags & WAL_SETS_WEIGHT) != 0,
        .probability = change->probability,
        .from_file = (change->flags & WAL_FROM_FILE) != 0,
    };
    return pool_update(pool, change->index, &update, error);
}

static enum urn_code change_item(struct state *state, struct urn_pool *pool,
                                 const struct wal_change *change, struct urn_error *error)
{
    const uint32_t items = pool_item_count(pool);
    if (change->type == WAL_ENTRY_ADD) {
        if (change->index != items)
            return does_not_follow(pool, "item", items, change->index, error);
        return state_add_item(state, pool, change->name.bytes, change->name.length,
                              change->quantity, change->probability, 0, error);
    }
    if (change->index >= items)
        return does_not_follow(pool, "an item below", items, change->index, error);
    if (change->type == WAL_ENTRY_UPDATE)
        return update_item(pool, change, error);
    return pool_set_applied_weight(pool, change->index, change->probability, error);
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Whether a change is one of the odds. The items of an unfinished pool are part of its creation. */
static bool raises_odds_version(const struct urn_pool *pool, const struct wal_change *change)
{
    if ((change->flags & WAL_CONTINUES) != 0)
        return false;
    if (change->type == WAL_ENTRY_ADD)
        return !pool_is_unfinished(pool);
    return change->type == WAL_ENTRY_UPDATE && (change->flags & WAL_SETS_WEIGHT) != 0;
}

enum urn_code changes_apply(struct state *state, const struct wal_change *change,
                            struct urn_error *error)
{
    CHECK(wal_entry_is_change((uint8_t)change->type));
    if (change->type == WAL_ENTRY_CREATE)
        return create_pool(state, change, error);
    if (change->pool_id >= state->pool_count)
        return error_set(error, URN_DAMAGED, 0,
                         "a change of pool number %" PRIu32 "; there are %" PRIu32 " pools",
                         change->pool_id, state->pool_count);
    struct urn_pool *pool = state->pools[change->pool_id];
    const uint64_t odds_version = raises_odds_version(pool, change)
                                      ? changes_next_odds_version(pool)
                                      : pool_odds_version(pool);
    if (change->odds_version != odds_version || odds_version > URN_NUMBER_MAX)
        return does_not_follow(pool, "odds version", odds_version, change->odds_version, error);
    if (change->type == WAL_ENTRY_OPEN || change->type == WAL_ENTRY_CLOSE)
        pool_set_open(pool, change->type == WAL_ENTRY_OPEN);
    else if (change_item(state, pool, change, error) != URN_OK)
        return error->code;
    pool_set_odds_version(pool, odds_version);
    return URN_OK;
}
