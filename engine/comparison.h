/* comparison.h: catalogs that a request brings against the staged state: in which items they differ.
 *
 * A million items take too long for one turn of the writer, so that they are compared a slice at a
 * time, while draws and changes of items go on in between. What is kept of it is what no such change
 * can undo:
 *
 *     an item that the state does not have     may be added meanwhile: it is looked for again
 *     an item whose applied weight is another  differs whatever its weight becomes
 *     all others                               agree, and go on agreeing
 *
 * (Applied weights, pools and unfinished pools change only by the request itself; stage.h sees to
 * that.) So at the end only the items that differ are looked at again, all in one turn.
 *
 * The writer's. Pure.
 */
#ifndef URN_ENGINE_COMPARISON_H
#define URN_ENGINE_COMPARISON_H

#include "engine/state.h"

/* Items that may differ in all: several times what the changes of one group come to. */
#define COMPARISON_ITEMS_MAX 65536u

/* Items that are compared in one turn: at most half a millisecond, however they lie. */
#define COMPARISON_SLICE_ITEMS 512u

#define COMPARISON_NEW_ITEM UINT32_MAX

struct compared_item {
    uint32_t position; /* in the catalog */
    uint32_t index;    /* in the pool; COMPARISON_NEW_ITEM: was not there */
};

/* What was found of one of the catalogs. */
struct compared_pool {
    uint32_t items_end;  /* its items that differ are those from the end of the catalog before */
    uint32_t item_count; /* of the pool, when it was begun with; 0: there is none */
    uint32_t first_word; /* of its bits in in_catalog */
    bool differs;        /* the pool is unfinished, and not the beginning of this catalog */
};

struct comparison {
    const struct urn_pool_spec *specs;
    uint32_t spec_count;
    uint32_t next_pool; /* where it stands: in specs */
    uint32_t next_item; /* in that catalog */
    uint32_t words_used;
    uint32_t item_count;
    bool overflowed; /* there are more than items_max */
    uint32_t items_max;
    uint32_t pools_max;
    struct compared_item *items; /* by catalog and position */
    struct compared_pool *pools; /* by specs */
    uint64_t *in_catalog;        /* a bit for each item of the pools: the catalog has it */
};

/* Sets memory aside for catalogs within these bounds. Errors: URN_NOMEMORY. */
enum urn_code comparison_make(const struct state_bounds *bounds, struct comparison *comparison,
                              struct urn_error *error);
void comparison_free(struct comparison *comparison);
uint64_t comparison_memory_bytes(uint64_t max_pools, uint64_t max_items);

/* Begins to compare catalogs that have been checked (catalog_check.h), within the bounds. */
void comparison_begin(struct comparison *comparison, const struct urn_pool_spec *specs,
                      uint32_t spec_count);

/* Compares a slice. True once all has been compared. */
bool comparison_step(struct comparison *comparison, const struct state *state);

/* Its items that differ: items[first] to items[end - 1]. */
uint32_t comparison_items_first(const struct comparison *comparison, uint32_t pool);

/* How many of the pool's items the catalog does not have, of those that were there when it was begun
 * with. comparison_missing: the index of the next one from index on; pool's item_count: none. */
uint32_t comparison_missing_count(const struct comparison *comparison, uint32_t pool);
uint32_t comparison_missing(const struct comparison *comparison, uint32_t pool, uint32_t index);

#endif
