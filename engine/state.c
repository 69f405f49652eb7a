/* state.c: making, filling and checking a state. See state.h.
 *
 * The table of names is an open-addressed hash of a power of two of slots, at most half full, made
 * once for the most pools there can be; a slot is 0 or a pool's id + 1.
 */
#include "engine/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define TABLE_SLOTS_MIN 16u

_Static_assert(MAX_POOLS_MAX <= 1u << 30, "twice as many slots as pools can be counted");

/* ---- life ------------------------------------------------------------------------------------ */

enum urn_code state_make(const struct state_bounds *bounds, struct state *state,
                         struct urn_error *error)
{
    CHECK(bounds->max_pools <= MAX_POOLS_MAX && bounds->max_items <= MAX_ITEMS_MAX);
    *state = (struct state){.bounds = *bounds, .next_request_id = 1};
    uint32_t slots = TABLE_SLOTS_MIN;
    while (slots < 2 * bounds->max_pools)
        slots *= 2;
    /* calloc() may answer NULL for nothing: ask for one more than the bound. */
    state->pools = calloc(bounds->max_pools + 1u, sizeof(struct urn_pool *));
    state->pool_table = calloc(slots, sizeof *state->pool_table);
    state->pool_table_slots = slots;
    state->freeze = calloc(1, sizeof *state->freeze);
    if (state->pools == NULL || state->pool_table == NULL || state->freeze == NULL) {
        state_free(state);
        return error_set(error, URN_NOMEMORY, 0, "no memory for a table of %" PRIu32 " pools",
                         bounds->max_pools);
    }
    return URN_OK;
}

void state_free(struct state *state)
{
    const uint32_t pool_count = state->pool_count;
    CHECK(state->pools != NULL || pool_count == 0);
    for (uint32_t id = 0; id < pool_count; id++)
        pool_free(state->pools[id]);
    free(state->pools);
    free(state->pool_table);
    if (state->freeze != NULL)
        free(state->freeze->copies);
    free(state->freeze);
    *state = (struct state){0};
}

/* ---- pools and items ------------------------------------------------------------------------- */

/* Where the search for a name begins. */
static uint32_t table_first_slot(const struct state *state, const char *name, uint32_t name_bytes)
{
    return (uint32_t)name_hash(name, name_bytes) & (state->pool_table_slots - 1);
}

/* The slot that holds the name, or the free one where it would go. */
static uint32_t table_slot(const struct state *state, const char *name, uint32_t name_bytes)
{
    uint32_t slot = table_first_slot(state, name, name_bytes);
    while (state->pool_table[slot] != 0) {
        struct urn_text present = pool_name(state->pools[state->pool_table[slot] - 1]);
        if (present.length == name_bytes && memcmp(present.bytes, name, name_bytes) == 0)
            break;
        slot = (slot + 1) & (state->pool_table_slots - 1);
    }
    return slot;
}

struct urn_pool *state_find_pool(const struct state *state, const char *name, uint32_t name_bytes)
{
    uint32_t slot = table_slot(state, name, name_bytes);
    return state->pool_table[slot] == 0 ? NULL : state->pools[state->pool_table[slot] - 1];
}

const struct urn_pool *state_guess_pool(const struct state *state, const char *name,
                                        uint32_t name_bytes)
{
    uint32_t id = state->pool_table[table_first_slot(state, name, name_bytes)];
    return id == 0 ? NULL : state->pools[id - 1];
}

enum urn_code state_add_pool(struct state *state, const char *name, uint32_t name_bytes,
                             uint32_t item_capacity, struct urn_pool **pool,
                             struct urn_error *error)
{
    CHECK(state->pool_count <= state->bounds.max_pools);
    uint32_t id = state->pool_count;
    uint32_t slot = table_slot(state, name, name_bytes);
    if (state->pool_table[slot] != 0)
        return error_set(error, URN_EXISTS, 0, "pool \"%.*s\" exists already", (int)name_bytes,
                         name);
    if (id == state->bounds.max_pools)
        return error_set(error, URN_TOOBIG, 0,
                         "there are %" PRIu32 " pools already, and limits.max_pools allows no more",
                         id);
    if (item_capacity > state->bounds.max_items)
        item_capacity = state->bounds.max_items;
    if (pool_make(id, name, name_bytes, item_capacity, pool, error) != URN_OK)
        return error->code;
    pool_set_freeze(*pool, state->freeze);
    state->pools[id] = *pool;
    state->name_bytes += name_bytes;
    state->pool_table[slot] = id + 1;
    state->pool_count++;
    return URN_OK;
}

enum urn_code state_add_item(struct state *state, struct urn_pool *pool, const char *item_id,
                             uint32_t item_id_bytes, int64_t quantity, uint64_t probability,
                             uint64_t drawn, struct urn_error *error)
{
    CHECK(state->item_count <= state->bounds.max_items);
    CHECK(pool_id(pool) < state->pool_count && state->pools[pool_id(pool)] == pool);
    if (state->item_count == state->bounds.max_items) {
        struct urn_text name = pool_name(pool);
        return error_set(error, URN_TOOBIG, 0,
                         "pool \"%.*s\": all pools together have %" PRIu64
                         " items already, and limits.max_items allows no more",
                         (int)name.length, name.bytes, state->item_count);
    }
    enum urn_code code =
        pool_add(pool, item_id, item_id_bytes, quantity, probability, drawn, error);
    if (code != URN_OK)
        return code;
    state->item_count++;
    state->name_bytes += item_id_bytes;
    return URN_OK;
}

/* ---- freezing -------------------------------------------------------------------------------- */

enum urn_code state_freeze(struct state *state, struct urn_error *error)
{
    struct freeze *freeze = state->freeze;
    CHECK(!freeze->active && freeze->copies == NULL);
    uint64_t words = freeze_words_max(state->pool_count, state->item_count);
    uint64_t *copies = malloc((words + 1) * sizeof *copies);
    if (copies == NULL)
        return error_set(error, URN_NOMEMORY, 0,
                         "no memory to keep the state while it is written: %" PRIu64 " bytes",
                         words * (uint64_t)sizeof *copies);
    *freeze = (struct freeze){.generation = freeze->generation + 1,
                              .active = true,
                              .pool_count = state->pool_count,
                              .copies = copies,
                              .copies_size = words};
    return URN_OK;
}

void state_note_encoded(const struct state *state, uint32_t pool, uint32_t items)
{
    CHECK(pool <= state->pool_count);
    state->freeze->encoded_pool = pool;
    state->freeze->encoded_items = items;
}

void *state_thaw(struct state *state)
{
    CHECK(state->freeze->active);
    void *copies = state->freeze->copies;
    state->freeze->active = false;
    state->freeze->copies = NULL;
    return copies;
}

/* ---- checking -------------------------------------------------------------------------------- */

void state_check(const struct state *state)
{
    CHECK(state->pools != NULL && state->pool_table != NULL);
    CHECK(state->pool_count <= state->bounds.max_pools);
    CHECK(state->item_count <= state->bounds.max_items);
    CHECK(state->next_request_id >= 1 && state->next_request_id <= URN_NUMBER_MAX + 1);
    CHECK(state->reserved_request_id <= URN_NUMBER_MAX);
    CHECK(state->tail.lsn <= URN_NUMBER_MAX);
    uint64_t items = 0;
    for (uint32_t id = 0; id < state->pool_count; id++) {
        const struct urn_pool *pool = state->pools[id];
        struct urn_text name = pool_name(pool);
        CHECK(pool_id(pool) == id);
        CHECK(state_find_pool(state, name.bytes, name.length) == pool);
        pool_check(pool);
        items += pool_item_count(pool);
    }
    CHECK(items == state->item_count);
    CHECK(state->freeze->active == (state->freeze->copies != NULL));
    uint32_t named = 0;
    for (uint32_t slot = 0; slot < state->pool_table_slots; slot++)
        named += state->pool_table[slot] != 0;
    CHECK(named == state->pool_count);
}
