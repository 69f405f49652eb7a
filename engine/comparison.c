/* comparison.c: see comparison.h. */
#include "engine/comparison.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define WORD_BITS 64u

/* What looking at another pool counts for, in items. */
#define POOL_COST_ITEMS 4u

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t words_max(uint64_t max_pools, uint64_t max_items)
{
    return max_items / WORD_BITS + max_pools; /* a pool's bits begin with a word */
}

static uint64_t items_max(uint64_t max_items)
{
    return max_items < COMPARISON_ITEMS_MAX ? max_items : COMPARISON_ITEMS_MAX;
}

uint64_t comparison_memory_bytes(uint64_t max_pools, uint64_t max_items)
{
    return items_max(max_items) * sizeof(struct compared_item) +
           max_pools * sizeof(struct compared_pool) + words_max(max_pools, max_items) * 8;
}

enum urn_code comparison_make(const struct state_bounds *bounds, struct comparison *comparison,
                              struct urn_error *error)
{
    *comparison = (struct comparison){.items_max = (uint32_t)items_max(bounds->max_items),
                                      .pools_max = bounds->max_pools};
    comparison->items = calloc(comparison->items_max + 1u, sizeof *comparison->items);
    comparison->pools = calloc(bounds->max_pools + 1u, sizeof *comparison->pools);
    comparison->in_catalog =
        calloc(words_max(bounds->max_pools, bounds->max_items) + 1, sizeof(uint64_t));
    if (comparison->items != NULL && comparison->pools != NULL && comparison->in_catalog != NULL)
        return URN_OK;
    comparison_free(comparison);
    return error_set(error, URN_NOMEMORY, 0, "no memory to compare catalogs");
}

void comparison_free(struct comparison *comparison)
{
    free(comparison->items);
    free(comparison->pools);
    free(comparison->in_catalog);
    *comparison = (struct comparison){0};
}

/* ---- comparing ------------------------------------------------------------------------------- */

void comparison_begin(struct comparison *comparison, const struct urn_pool_spec *specs,
                      uint32_t spec_count)
{
    CHECK(spec_count <= comparison->pools_max);
    comparison->specs = specs;
    comparison->spec_count = spec_count;
    comparison->next_pool = 0;
    comparison->next_item = 0;
    comparison->words_used = 0;
    comparison->item_count = 0;
    comparison->overflowed = false;
}

static uint32_t words_of(uint32_t items)
{
    return (items + WORD_BITS - 1) / WORD_BITS;
}

/* The pool at which the comparison stands is looked at for the first time. */
static void begin_pool(struct comparison *comparison, const struct urn_pool *pool)
{
    struct compared_pool *compared = &comparison->pools[comparison->next_pool];
    *compared = (struct compared_pool){.first_word = comparison->words_used};
    if (pool == NULL)
        return;
    compared->item_count = pool_item_count(pool);
    memset(comparison->in_catalog + compared->first_word, 0,
           words_of(compared->item_count) * sizeof(uint64_t));
    comparison->words_used += words_of(compared->item_count);
}

static bool same_id(const struct urn_pool *pool, uint32_t index, const struct urn_item_spec *spec)
{
    const struct urn_text id = pool_item_id(pool, index);
    return id.length == spec->item_id_bytes && memcmp(id.bytes, spec->item_id, id.length) == 0;
}

/* The item of this id. Catalogs and pools have their items in the same order as a rule, so that the
 * one at the same position is looked at first. */
static uint32_t find_item(const struct urn_pool *pool, const struct urn_item_spec *spec,
                          uint32_t position)
{
    uint32_t index = COMPARISON_NEW_ITEM;
    if (position < pool_item_count(pool) && same_id(pool, position, spec))
        return position;
    (void)pool_find(pool, spec->item_id, spec->item_id_bytes, &index);
    return index;
}

static void note_item(struct comparison *comparison, uint32_t position, uint32_t index)
{
    if (comparison->item_count == comparison->items_max) {
        comparison->overflowed = true;
        return;
    }
    comparison->items[comparison->item_count++] = (struct compared_item){position, index};
}

static void compare_item(struct comparison *comparison, const struct urn_pool *pool,
                         const struct urn_item_spec *spec, uint32_t position)
{
    const struct compared_pool *compared = &comparison->pools[comparison->next_pool];
    const uint32_t index = find_item(pool, spec, position);
    if (index != COMPARISON_NEW_ITEM && index < compared->item_count)
        comparison->in_catalog[compared->first_word + index / WORD_BITS] |= 1ull
                                                                            << index % WORD_BITS;
    if (index == COMPARISON_NEW_ITEM || pool_applied_weight(pool, index) != spec->probability)
        note_item(comparison, position, index);
}

/* Whether an unfinished pool has an item exactly as its catalog says. */
static bool is_as_begun(const struct urn_pool *pool, const struct urn_item_spec *spec,
                        uint32_t index)
{
    struct urn_item item;
    pool_item(pool, index, &item);
    return same_id(pool, index, spec) && item.quantity == spec->quantity &&
           item.probability == spec->probability;
}

/* How many items of the catalog there are to be compared. */
static uint32_t items_to_compare(const struct urn_pool *pool, const struct urn_pool_spec *spec)
{
    if (pool == NULL)
        return 0;
    return pool_is_unfinished(pool) ? pool_item_count(pool) : spec->item_count;
}

/* Goes on with one pool, so many items at most. True when it is done with. */
static bool compare_pool(struct comparison *comparison, const struct urn_pool *pool,
                         const struct urn_pool_spec *spec, uint32_t slice_items)
{
    struct compared_pool *compared = &comparison->pools[comparison->next_pool];
    const bool unfinished = pool != NULL && pool_is_unfinished(pool);
    const uint32_t end = items_to_compare(pool, spec);
    compared->differs = unfinished && end > spec->item_count;
    while (comparison->next_item < end && !compared->differs && !comparison->overflowed) {
        const uint32_t position = comparison->next_item;
        if (slice_items-- == 0)
            return false;
        if (!unfinished)
            compare_item(comparison, pool, &spec->items[position], position);
        else
            compared->differs = !is_as_begun(pool, &spec->items[position], position);
        comparison->next_item++;
    }
    compared->items_end = comparison->item_count;
    return true;
}

bool comparison_step(struct comparison *comparison, const struct state *state)
{
    uint32_t slice_items = COMPARISON_SLICE_ITEMS;
    while (comparison->next_pool < comparison->spec_count && !comparison->overflowed) {
        if (slice_items <= POOL_COST_ITEMS)
            return false;
        slice_items -= POOL_COST_ITEMS;
        const struct urn_pool_spec *spec = &comparison->specs[comparison->next_pool];
        const struct urn_pool *pool = state_find_pool(state, spec->name, spec->name_bytes);
        if (comparison->next_item == 0)
            begin_pool(comparison, pool);
        const uint32_t before = comparison->next_item;
        if (!compare_pool(comparison, pool, spec, slice_items))
            return false;
        slice_items -= comparison->next_item - before;
        comparison->next_pool++;
        comparison->next_item = 0;
    }
    return true;
}

/* ---- what was found -------------------------------------------------------------------------- */

uint32_t comparison_items_first(const struct comparison *comparison, uint32_t pool)
{
    CHECK(pool < comparison->spec_count);
    return pool == 0 ? 0 : comparison->pools[pool - 1].items_end;
}

uint32_t comparison_missing_count(const struct comparison *comparison, uint32_t pool)
{
    const struct compared_pool *compared = &comparison->pools[pool];
    uint32_t found = 0;
    for (uint32_t word = 0; word < words_of(compared->item_count); word++)
        found +=
            (uint32_t)__builtin_popcountll(comparison->in_catalog[compared->first_word + word]);
    CHECK(found <= compared->item_count);
    return compared->item_count - found;
}

uint32_t comparison_missing(const struct comparison *comparison, uint32_t pool, uint32_t index)
{
    const struct compared_pool *compared = &comparison->pools[pool];
    while (index < compared->item_count) {
        const uint64_t missing =
            ~comparison->in_catalog[compared->first_word + index / WORD_BITS] >> index % WORD_BITS;
        if (missing != 0) {
            index += (uint32_t)__builtin_ctzll(missing);
            return index < compared->item_count ? index : compared->item_count;
        }
        index += WORD_BITS - index % WORD_BITS;
    }
    return compared->item_count;
}
