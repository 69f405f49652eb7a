/* pool_inner.h: what a pool consists of, for the files that it is made of: pool.c (items, changes,
 * copies for a snapshot) and pool_draw.c (draws, and their replay). Nobody else's.
 *
 * What an item takes, in bytes, in a large pool:
 *
 *     left       8     how often it can still be drawn: the one counter that a draw changes
 *     stocked    8     left + drawn, which only an operator changes; and a flag
 *     weight     8     kept while the item is out of stock, too
 *     name       4     where its id begins in the arena
 *                1     the id's length, before the id in the arena
 *     selector   9.1   at most: 8 in the lowest level, 16/15 of that in all, 17/16 of that to grow
 *     ids        8     at most: 4 a slot of the hash, which is at least half full; and 5.3 more while
 *                      the hash grows (id_table.h)
 *               ----
 *               46.1   and at most one chunk of 4096 items and one of 64 KiB of names to spare
 *     applied    8     for all items of a chunk of which one has another weight than the
 *                      configuration file is known to have given it; NOT_APPLIED for the others
 *
 * Counters. drawn = stocked - left. An unlimited item has the flag in stocked and begins with so
 * much left that drawn + left = URN_NUMBER_MAX; so the draw need not know the two kinds apart.
 *
 * The selector holds the in-stock weights of the items [0, selector.count); those behind it (added
 * since the last draw) wait for the next one, or for pool_settle(). Changes to waiting items need not
 * touch it. Its memory is reserved when an item is added, so that a draw allocates nothing.
 */
#ifndef URN_ENGINE_POOL_INNER_H
#define URN_ENGINE_POOL_INNER_H

#include "engine/pool.h"

#include "engine/check.h"
#include "engine/chunks.h"
#include "engine/id_table.h"
#include "engine/limits.h"

#define POOL_MAGIC     0x4c4f4f50u /* "POOL" */
#define UNLIMITED_FLAG (1ull << 63)

/* A chunk of n items: n times left, n times stocked, n times weight, n times name. */
#define ITEM_BYTES (3 * sizeof(uint64_t) + sizeof(uint32_t))
static const struct chunk_shape item_shape = {4, 12, ITEM_BYTES};

_Static_assert(URN_NUMBER_MAX < UNLIMITED_FLAG, "the flag is no part of a count");

struct block_copies; /* pool.c */

struct urn_pool {
    uint32_t magic;

    /* never changes: any thread */
    uint32_t id;
    uint32_t items_max;
    uint8_t name_bytes;
    char name[URN_NAME_BYTES_MAX];

    /* the writer's; the chunks of published items are read by any thread */
    bool open;
    bool unfinished;             /* then not open */
    _Atomic uint32_t item_count; /* rises once an item is whole, so that any thread may ask */
    uint64_t odds_version;
    uint64_t weight_in_stock; /* W */
    bool ran_out;             /* the draw before emptied its item: this one may well do so, too */
    uint64_t weight_of_all;   /* out of stock included; at most URN_NUMBER_MAX */
    struct selector selector;
    struct chunks items;
    struct chunks arena;
    uint32_t arena_used; /* position behind the last id */

    struct id_table ids; /* items from its count on are not in it: added in bulk */
    bool bulk;

    /* by chunk of items: the applied weights of its items, or NULL; those behind have none */
    uint64_t **applied;
    uint32_t applied_count;
    uint64_t applied_bytes;

    /* as it was when the freeze began; valid while frozen_generation is the freeze's */
    struct freeze *freeze; /* NULL: of no state */
    uint64_t frozen_generation;
    struct pool_frozen frozen;
    struct block_copies *block_copies; /* one a block of frozen.item_count items */
};

/* ---- where things are ------------------------------------------------------------------------ */

/* An item's fields. Pointers into its chunk, which never moves. */
struct item_fields {
    uint64_t *left;
    uint64_t *stocked;
    uint64_t *weight;
    uint32_t *name;
};

static inline struct item_fields item_fields(const struct urn_pool *pool, uint32_t index)
{
    struct chunk_place place = chunk_place(index, item_shape);
    uint64_t *left = chunk_at(&pool->items, place.chunk);
    uint64_t *stocked = left + place.size;
    uint64_t *weight = stocked + place.size;
    uint32_t *name = (uint32_t *)(weight + place.size);
    return (struct item_fields){left + place.slot, stocked + place.slot, weight + place.slot,
                                name + place.slot};
}

static inline uint64_t in_stock_weight(struct item_fields item)
{
    return *item.left > 0 ? *item.weight : 0;
}

static inline void check_magic(const struct urn_pool *pool)
{
    CHECK(pool != NULL && pool->magic == POOL_MAGIC);
}

/* True when what changes in this pool is to be copied first. The one test of an ordinary draw. */
static inline bool is_freezing(const struct urn_pool *pool)
{
    return pool->freeze != NULL && pool->freeze->active;
}

/* Copies aside, while a freeze is active, before `left` of this item changes. pool.c. */
void pool_keep_left(struct urn_pool *pool, uint32_t index);

/* The weight of an item that runs out, or comes back, leaves or enters W and the tree. pool_draw.c. */
void pool_leave_stock(struct urn_pool *pool, uint32_t index, uint64_t weight);
void pool_enter_stock(struct urn_pool *pool, uint32_t index, uint64_t weight);

/* The in-stock weights of items, for the selector; context is the pool. pool_draw.c. */
void pool_weights_in_stock(const void *context, uint32_t first, uint32_t count, uint64_t *weights);

#endif
