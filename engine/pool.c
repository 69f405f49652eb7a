/* pool.c: items in chunks of arrays, ids in an arena and a hash, and what changes them. See pool.h,
 * and pool_inner.h for what a pool consists of.
 */
#include "engine/pool_inner.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/chunks.h"
#include "engine/limits.h"

#define NOT_APPLIED     UINT64_MAX /* no applied weight of its own: it is the item's weight */
#define NAME_BYTES_MOST (1u + URN_NAME_BYTES_MAX) /* in the arena: a length, and the bytes */

static const struct chunk_shape arena_shape = {8, 16, 1};

_Static_assert((NAME_BYTES_MOST + 1ull) * MAX_ITEMS_MAX + (1u << 20) < UINT32_MAX,
               "an arena position, skipped bytes included, fits 4 bytes");
_Static_assert(NAME_BYTES_MOST <= 1u << 8, "a name fits the smallest chunk of the arena");

/* Where the copies of a block of items lie (freeze.h): position + 1 in 8 byte words; 0: not copied. */
struct block_copies {
    uint32_t left;
    uint32_t terms; /* stocked of each item, then weight of each, then applied weight of each */
};

_Static_assert(sizeof(struct block_copies) == sizeof(uint64_t), "a word a block: freeze_words_max");
_Static_assert(4ull * MAX_ITEMS_MAX + MAX_ITEMS_MAX / FREEZE_BLOCK_ITEMS + MAX_POOLS_MAX <
                   UINT32_MAX,
               "a position among the copies fits 4 bytes");

static inline struct urn_text text_at(const struct urn_pool *pool, uint32_t position)
{
    struct chunk_place place = chunk_place(position, arena_shape);
    const uint8_t *length = (const uint8_t *)chunk_at(&pool->arena, place.chunk) + place.slot;
    return (struct urn_text){(const char *)length + 1, *length};
}

/* ---- life ------------------------------------------------------------------------------------ */

enum urn_code pool_make(uint32_t id, const char *name, uint32_t name_bytes, uint32_t items_max,
                        struct urn_pool **pool, struct urn_error *error)
{
    CHECK(items_max <= MAX_ITEMS_MAX);
    if (!name_is_valid(name, name_bytes))
        return error_set(error, URN_BADARG, 0,
                         "pool %" PRIu32 ": its name is not 1 to %u bytes of UTF-8 without control"
                         " characters",
                         id, URN_NAME_BYTES_MAX);
    struct urn_pool *made = calloc(1, sizeof *made);
    if (made == NULL)
        return error_set(error, URN_NOMEMORY, 0, "pool \"%.*s\": no memory for it", (int)name_bytes,
                         name);
    made->magic = POOL_MAGIC;
    made->id = id;
    made->items_max = items_max;
    made->name_bytes = (uint8_t)name_bytes;
    memcpy(made->name, name, name_bytes);
    made->open = true;
    made->odds_version = 1;
    selector_init(&made->selector);
    *pool = made;
    return URN_OK;
}

void pool_free(struct urn_pool *pool)
{
    if (pool == NULL)
        return;
    check_magic(pool);
    selector_free(&pool->selector);
    chunks_free(&pool->items);
    chunks_free(&pool->arena);
    id_table_free(&pool->ids);
    for (uint32_t chunk = 0; chunk < pool->applied_count; chunk++)
        free(pool->applied[chunk]);
    free(pool->applied);
    pool->magic = 0;
    free(pool);
}

/* ---- freezing -------------------------------------------------------------------------------- */

void pool_set_freeze(struct urn_pool *pool, struct freeze *freeze)
{
    check_magic(pool);
    CHECK(pool->freeze == NULL);
    pool->freeze = freeze;
}

/* Takes the next so many words for copies. */
static uint64_t freeze_take(struct freeze *freeze, uint64_t words)
{
    CHECK(words <= freeze->copies_size - freeze->copies_used);
    uint64_t position = freeze->copies_used;
    freeze->copies_used += words;
    return position;
}

static bool has_frozen(const struct urn_pool *pool)
{
    return is_freezing(pool) && pool->frozen_generation == pool->freeze->generation;
}

/* The pool as it is. */
static struct pool_frozen live(const struct urn_pool *pool)
{
    return (struct pool_frozen){.item_count = pool->item_count,
                                .open = pool->open,
                                .unfinished = pool->unfinished,
                                .odds_version = pool->odds_version};
}

/* To be called before anything of the pool changes while a freeze is active. */
static void freeze_pool(struct urn_pool *pool)
{
    struct freeze *freeze = pool->freeze;
    if (pool->frozen_generation == freeze->generation || pool->id >= freeze->pool_count)
        return;
    pool->frozen = live(pool);
    uint32_t blocks = (pool->item_count + FREEZE_BLOCK_ITEMS - 1) / FREEZE_BLOCK_ITEMS;
    uint64_t *table = freeze->copies + freeze_take(freeze, blocks);
    memset(table, 0, blocks * sizeof *table);
    pool->block_copies = (struct block_copies *)table;
    pool->frozen_generation = freeze->generation;
}

/* The block of an item that is still to be encoded; NULL when it is not: encoded, or new. */
static struct block_copies *block_to_copy(struct urn_pool *pool, uint32_t index)
{
    const struct freeze *freeze = pool->freeze;
    freeze_pool(pool);
    if (pool->id >= freeze->pool_count || index >= pool->frozen.item_count ||
        pool->id < freeze->encoded_pool ||
        (pool->id == freeze->encoded_pool && index < freeze->encoded_items))
        return NULL;
    return &pool->block_copies[index / FREEZE_BLOCK_ITEMS];
}

/* How many of the items from first on are in the freeze, a block at most. */
static uint32_t block_items(const struct urn_pool *pool, uint32_t first)
{
    uint32_t rest = pool->frozen.item_count - first;
    return rest < FREEZE_BLOCK_ITEMS ? rest : FREEZE_BLOCK_ITEMS;
}

void pool_keep_left(struct urn_pool *pool, uint32_t index)
{
    struct block_copies *block = block_to_copy(pool, index);
    if (block == NULL || block->left != 0)
        return;
    uint32_t first = index - index % FREEZE_BLOCK_ITEMS;
    uint32_t items = block_items(pool, first);
    uint64_t position = freeze_take(pool->freeze, items);
    for (uint32_t i = 0; i < items; i++)
        pool->freeze->copies[position + i] = *item_fields(pool, first + i).left;
    block->left = (uint32_t)position + 1;
}

/* Before anything else of this item changes. */
static void keep_terms(struct urn_pool *pool, uint32_t index)
{
    struct block_copies *block = block_to_copy(pool, index);
    if (block == NULL || block->terms != 0)
        return;
    uint32_t first = index - index % FREEZE_BLOCK_ITEMS;
    uint32_t items = block_items(pool, first);
    uint64_t position = freeze_take(pool->freeze, 3 * (uint64_t)items);
    uint64_t *copies = pool->freeze->copies + position;
    for (uint32_t i = 0; i < items; i++) {
        struct item_fields item = item_fields(pool, first + i);
        copies[i] = *item.stocked;
        copies[items + i] = *item.weight;
        copies[2 * items + i] = pool_applied_weight(pool, first + i);
    }
    block->terms = (uint32_t)position + 1;
}

static void keep_item(struct urn_pool *pool, uint32_t index)
{
    pool_keep_left(pool, index);
    keep_terms(pool, index);
}

struct pool_frozen pool_frozen(const struct urn_pool *pool)
{
    check_magic(pool);
    if (has_frozen(pool))
        return pool->frozen;
    return live(pool);
}

bool pool_find(const struct urn_pool *pool, const char *item_id, uint32_t item_id_bytes,
               uint32_t *index)
{
    check_magic(pool);
    CHECK(!pool->bulk);
    return id_table_find(&pool->ids, pool, (struct urn_text){item_id, item_id_bytes},
                         name_hash(item_id, item_id_bytes), index);
}

/* ---- adding ---------------------------------------------------------------------------------- */

static enum urn_code check_numbers(const struct urn_pool *pool, const char *item_id,
                                   uint32_t item_id_bytes, int64_t quantity, uint64_t probability,
                                   uint64_t drawn, struct urn_error *error)
{
    const char *what;
    if (quantity != URN_UNLIMITED && (quantity < 0 || (uint64_t)quantity > URN_NUMBER_MAX))
        what = "quantity must be -1 (unlimited) or 0 to 2^53 - 1";
    else if (probability > URN_NUMBER_MAX)
        what = "probability must be 0 to 2^53 - 1";
    else if (drawn > URN_NUMBER_MAX)
        what = "drawn must be 0 to 2^53 - 1";
    else if (quantity != URN_UNLIMITED && (uint64_t)quantity > URN_NUMBER_MAX - drawn)
        what = "drawn and quantity together must be below 2^53";
    else if (probability > URN_NUMBER_MAX - pool->weight_of_all)
        what = "with this item the probabilities of all items of the pool sum up to 2^53 or more";
    else
        return URN_OK;
    return error_set(error, URN_BADARG, 0,
                     "item \"%.*s\" of pool \"%.*s\" (quantity %" PRId64 ", probability %" PRIu64
                     ", drawn %" PRIu64 "): %s",
                     (int)item_id_bytes, item_id, (int)pool->name_bytes, pool->name, quantity,
                     probability, drawn, what);
}

static enum urn_code refuse_present(const struct urn_pool *pool, const char *item_id,
                                    uint32_t item_id_bytes, uint32_t present,
                                    struct urn_error *error)
{
    return error_set(error, URN_EXISTS, 0,
                     "item \"%.*s\": pool \"%.*s\" has it already, at index %" PRIu32,
                     (int)item_id_bytes, item_id, (int)pool->name_bytes, pool->name, present);
}

/* Everything that keeps an item out but want of memory. */
static enum urn_code check_new_item(const struct urn_pool *pool, const char *item_id,
                                    uint32_t item_id_bytes, uint64_t hash, struct urn_error *error)
{
    uint32_t present;
    if (!pool->bulk &&
        id_table_find(&pool->ids, pool, (struct urn_text){item_id, item_id_bytes}, hash, &present))
        return refuse_present(pool, item_id, item_id_bytes, present, error);
    if (pool->item_count >= pool->items_max)
        return error_set(
            error, URN_TOOBIG, 0,
            "item \"%.*s\": pool \"%.*s\" is full with %" PRIu32 " items; raise limits.max_items",
            (int)item_id_bytes, item_id, (int)pool->name_bytes, pool->name, pool->item_count);
    return URN_OK;
}

/* The arena position for the next id: behind the last one, or where the next chunk begins if it
 * does not fit this one. */
static uint32_t next_name_position(const struct urn_pool *pool, uint32_t bytes)
{
    struct chunk_place place = chunk_place(pool->arena_used, arena_shape);
    uint32_t room = place.size - place.slot;
    return bytes <= room ? pool->arena_used : pool->arena_used + room;
}

/* Makes room for one more item everywhere. What was made before a failure stays, unused. */
static bool reserve_item(struct urn_pool *pool, uint32_t name_end)
{
    while (pool->items.capacity <= pool->item_count)
        if (!chunks_grow(&pool->items, item_shape))
            return false;
    while (pool->arena.capacity < name_end)
        if (!chunks_grow(&pool->arena, arena_shape))
            return false;
    return id_table_reserve(&pool->ids, pool, pool->item_count + 1) &&
           selector_reserve(&pool->selector, pool->item_count + 1, pool->items_max);
}

static void write_name(struct urn_pool *pool, uint32_t position, const char *name,
                       uint32_t name_bytes)
{
    struct chunk_place place = chunk_place(position, arena_shape);
    uint8_t *to = (uint8_t *)chunk_at(&pool->arena, place.chunk) + place.slot;
    *to = (uint8_t)name_bytes;
    memcpy(to + 1, name, name_bytes);
    pool->arena_used = position + 1 + name_bytes;
}

enum urn_code pool_add(struct urn_pool *pool, const char *item_id, uint32_t item_id_bytes,
                       int64_t quantity, uint64_t probability, uint64_t drawn,
                       struct urn_error *error)
{
    check_magic(pool);
    if (!name_is_valid(item_id, item_id_bytes))
        return error_set(error, URN_BADARG, 0,
                         "item %" PRIu32 " of pool \"%.*s\": its id is not 1 to %u bytes of UTF-8"
                         " without control characters",
                         pool->item_count, (int)pool->name_bytes, pool->name, URN_NAME_BYTES_MAX);
    uint64_t hash = pool->bulk ? 0 : name_hash(item_id, item_id_bytes);
    if (check_numbers(pool, item_id, item_id_bytes, quantity, probability, drawn, error) !=
            URN_OK ||
        check_new_item(pool, item_id, item_id_bytes, hash, error) != URN_OK)
        return error->code;
    uint32_t name_position = next_name_position(pool, 1 + item_id_bytes);
    if (!reserve_item(pool, name_position + 1 + item_id_bytes))
        return error_set(error, URN_NOMEMORY, 0,
                         "item \"%.*s\": no memory for one more in pool \"%.*s\" of %" PRIu32,
                         (int)item_id_bytes, item_id, (int)pool->name_bytes, pool->name,
                         pool->item_count);
    if (is_freezing(pool))
        freeze_pool(pool);
    write_name(pool, name_position, item_id, item_id_bytes);
    struct item_fields item = item_fields(pool, pool->item_count);
    *item.name = name_position;
    *item.weight = probability;
    *item.left = quantity == URN_UNLIMITED ? URN_NUMBER_MAX - drawn : (uint64_t)quantity;
    *item.stocked = (*item.left + drawn) | (quantity == URN_UNLIMITED ? UNLIMITED_FLAG : 0);
    if (!pool->bulk)
        id_table_add(&pool->ids, pool, hash, pool->item_count);
    atomic_fetch_add(&pool->item_count, 1);
    pool->weight_of_all += probability;
    pool->weight_in_stock += in_stock_weight(item);
    return URN_OK;
}

void pool_begin_bulk(struct urn_pool *pool)
{
    check_magic(pool);
    CHECK(!pool->bulk);
    pool->bulk = true;
}

/* Puts the next few ids into the hash, whose slots are asked for before the first is waited for. */
static enum urn_code settle_some_ids(struct urn_pool *pool, struct urn_error *error)
{
    enum { TOGETHER = 32 };
    uint64_t hashes[TOGETHER];
    const uint32_t first = pool->ids.count;
    uint32_t rest = pool->item_count - first;
    uint32_t count = rest < TOGETHER ? rest : TOGETHER;
    for (uint32_t i = 0; i < count; i++) {
        struct urn_text id = pool_item_id(pool, first + i);
        hashes[i] = name_hash(id.bytes, id.length);
        id_table_prefetch(&pool->ids, hashes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct urn_text id = pool_item_id(pool, first + i);
        uint32_t present;
        if (id_table_find(&pool->ids, pool, id, hashes[i], &present)) {
            refuse_present(pool, id.bytes, id.length, present, error);
            return error_prefix(error, "item %" PRIu32 ": ", first + i);
        }
        id_table_add(&pool->ids, pool, hashes[i], first + i);
    }
    return URN_OK;
}

enum urn_code pool_end_bulk(struct urn_pool *pool, struct urn_error *error)
{
    check_magic(pool);
    CHECK(pool->bulk);
    pool->bulk = false;
    while (pool->ids.count < pool->item_count)
        if (settle_some_ids(pool, error) != URN_OK)
            return error->code;
    return URN_OK;
}

enum urn_code pool_reserve(struct urn_pool *pool, uint32_t count, struct urn_error *error)
{
    check_magic(pool);
    CHECK(count <= pool->items_max);
    if (id_table_reserve(&pool->ids, pool, count) &&
        selector_reserve(&pool->selector, count, pool->items_max))
        return URN_OK;
    return error_set(error, URN_NOMEMORY, 0, "pool \"%.*s\": no memory for %" PRIu32 " items of it",
                     (int)pool->name_bytes, pool->name, count);
}

/* ---- changing -------------------------------------------------------------------------------- */

static uint64_t *applied_at(const struct urn_pool *pool, uint32_t index)
{
    struct chunk_place place = chunk_place(index, item_shape);
    if (place.chunk >= pool->applied_count || pool->applied[place.chunk] == NULL)
        return NULL;
    return &pool->applied[place.chunk][place.slot];
}

/* Makes applied_at() find a place. False, and nothing is changed, for lack of memory. */
static bool applied_reserve(struct urn_pool *pool, uint32_t index)
{
    struct chunk_place place = chunk_place(index, item_shape);
    if (place.chunk >= pool->applied_count) {
        uint64_t **larger = realloc(pool->applied, pool->items.count * sizeof *larger);
        if (larger == NULL)
            return false;
        pool->applied = larger;
        pool->applied_bytes += (pool->items.count - pool->applied_count) * sizeof *larger;
        while (pool->applied_count < pool->items.count)
            pool->applied[pool->applied_count++] = NULL;
    }
    if (pool->applied[place.chunk] != NULL)
        return true;
    uint64_t *weights = malloc(place.size * sizeof *weights);
    if (weights == NULL)
        return false;
    memset(weights, 0xff, place.size * sizeof *weights); /* NOT_APPLIED */
    pool->applied[place.chunk] = weights;
    pool->applied_bytes += place.size * sizeof *weights;
    return true;
}

uint64_t pool_applied_weight(const struct urn_pool *pool, uint32_t index)
{
    CHECK(index < pool->item_count);
    const uint64_t *applied = applied_at(pool, index);
    return applied == NULL || *applied == NOT_APPLIED ? *item_fields(pool, index).weight : *applied;
}

enum urn_code pool_set_applied_weight(struct urn_pool *pool, uint32_t index, uint64_t weight,
                                      struct urn_error *error)
{
    check_magic(pool);
    CHECK(index < pool->item_count);
    if (weight > URN_NUMBER_MAX)
        return error_set(error, URN_BADARG, 0,
                         "pool \"%.*s\": an applied weight must be 0 to 2^53 - 1",
                         (int)pool->name_bytes, pool->name);
    bool same = weight == *item_fields(pool, index).weight;
    if (!same && !applied_reserve(pool, index))
        return error_set(error, URN_NOMEMORY, 0, "pool \"%.*s\": no memory for applied weights",
                         (int)pool->name_bytes, pool->name);
    if (is_freezing(pool))
        keep_terms(pool, index);
    uint64_t *applied = applied_at(pool, index);
    if (applied != NULL)
        *applied = same ? NOT_APPLIED : weight;
    return URN_OK;
}

uint64_t pool_weight(const struct urn_pool *pool, uint32_t index)
{
    CHECK(index < pool->item_count);
    return *item_fields(pool, index).weight;
}

static void set_quantity(struct urn_pool *pool, uint32_t index, int64_t quantity)
{
    struct item_fields item = item_fields(pool, index);
    uint64_t drawn = (*item.stocked & ~UNLIMITED_FLAG) - *item.left;
    bool unlimited = quantity == URN_UNLIMITED;
    bool was_in_stock = *item.left > 0;
    *item.left = unlimited ? URN_NUMBER_MAX - drawn : (uint64_t)quantity;
    *item.stocked = (*item.left + drawn) | (unlimited ? UNLIMITED_FLAG : 0);
    if (was_in_stock && *item.left == 0)
        pool_leave_stock(pool, index, *item.weight);
    else if (!was_in_stock && *item.left > 0)
        pool_enter_stock(pool, index, *item.weight);
}

static void set_weight(struct urn_pool *pool, uint32_t index, uint64_t weight)
{
    struct item_fields item = item_fields(pool, index);
    if (*item.left > 0 && weight > *item.weight)
        pool_enter_stock(pool, index, weight - *item.weight);
    else if (*item.left > 0)
        pool_leave_stock(pool, index, *item.weight - weight);
    pool->weight_of_all += weight - *item.weight;
    *item.weight = weight;
}

static enum urn_code check_update(const struct urn_pool *pool, uint32_t index,
                                  const struct pool_update *update, struct urn_error *error)
{
    const struct item_fields item = item_fields(pool, index);
    const uint64_t drawn = (*item.stocked & ~UNLIMITED_FLAG) - *item.left;
    const char *what;
    if (update->has_quantity && update->quantity != URN_UNLIMITED &&
        (update->quantity < 0 || (uint64_t)update->quantity > URN_NUMBER_MAX))
        what = "quantity must be -1 (unlimited) or 0 to 2^53 - 1";
    else if (update->has_quantity && update->quantity != URN_UNLIMITED &&
             (uint64_t)update->quantity > URN_NUMBER_MAX - drawn)
        what = "drawn and quantity together must be below 2^53";
    else if (update->has_probability && update->probability > URN_NUMBER_MAX)
        what = "probability must be 0 to 2^53 - 1";
    else if (update->has_probability &&
             update->probability > URN_NUMBER_MAX - (pool->weight_of_all - *item.weight))
        what = "with it the probabilities of all items of the pool sum up to 2^53 or more";
    else
        return URN_OK;
    const struct urn_text id = pool_item_id(pool, index);
    return error_set(error, URN_BADARG, 0, "item \"%.*s\" of pool \"%.*s\" (drawn %" PRIu64 "): %s",
                     (int)id.length, id.bytes, (int)pool->name_bytes, pool->name, drawn, what);
}

enum urn_code pool_update(struct urn_pool *pool, uint32_t index, const struct pool_update *update,
                          struct urn_error *error)
{
    check_magic(pool);
    CHECK(index < pool->item_count);
    if (check_update(pool, index, update, error) != URN_OK)
        return error->code;
    uint64_t applied = update->from_file ? update->probability : pool_applied_weight(pool, index);
    /* Room for the applied weight first: what comes behind it cannot fail. */
    if (update->has_probability && applied != update->probability && !applied_reserve(pool, index))
        return error_set(error, URN_NOMEMORY, 0, "pool \"%.*s\": no memory for applied weights",
                         (int)pool->name_bytes, pool->name);
    if (is_freezing(pool))
        keep_item(pool, index);
    if (update->has_quantity)
        set_quantity(pool, index, update->quantity);
    if (update->has_probability) {
        set_weight(pool, index, update->probability);
        CHECK(pool_set_applied_weight(pool, index, applied, error) == URN_OK);
    }
    return URN_OK;
}

/* ---- looking --------------------------------------------------------------------------------- */

uint32_t pool_item_count(const struct urn_pool *pool)
{
    return pool->item_count;
}

/* Counters as people know them. */
static struct urn_item item_of(struct urn_text item_id, uint32_t index, uint64_t left,
                               uint64_t stocked, uint64_t weight)
{
    bool unlimited = (stocked & UNLIMITED_FLAG) != 0;
    return (struct urn_item){
        .item_id = item_id,
        .index = index,
        .quantity = unlimited ? URN_UNLIMITED : (int64_t)left,
        .probability = weight,
        .drawn = (stocked & ~UNLIMITED_FLAG) - left,
    };
}

void pool_item(const struct urn_pool *pool, uint32_t index, struct urn_item *item)
{
    check_magic(pool);
    CHECK(index < pool->item_count);
    struct item_fields fields = item_fields(pool, index);
    *item =
        item_of(text_at(pool, *fields.name), index, *fields.left, *fields.stocked, *fields.weight);
}

void pool_frozen_item(const struct urn_pool *pool, uint32_t index, struct urn_item *item,
                      uint64_t *applied_weight)
{
    check_magic(pool);
    CHECK(index < pool->item_count);
    struct item_fields fields = item_fields(pool, index);
    uint64_t left = *fields.left;
    uint64_t stocked = *fields.stocked;
    uint64_t weight = *fields.weight;
    *applied_weight = pool_applied_weight(pool, index);
    if (has_frozen(pool)) {
        CHECK(index < pool->frozen.item_count);
        uint32_t in_block = index % FREEZE_BLOCK_ITEMS;
        const struct block_copies *block = &pool->block_copies[index / FREEZE_BLOCK_ITEMS];
        const uint64_t *copies = pool->freeze->copies;
        if (block->left != 0)
            left = copies[block->left - 1 + in_block];
        if (block->terms != 0) {
            const uint64_t *terms = copies + block->terms - 1 + in_block;
            uint32_t items = block_items(pool, index - in_block);
            stocked = terms[0];
            weight = terms[items];
            *applied_weight = terms[2 * (size_t)items];
        }
    }
    *item = item_of(text_at(pool, *fields.name), index, left, stocked, weight);
}

uint64_t pool_weight_in_stock(const struct urn_pool *pool)
{
    return pool->weight_in_stock;
}

uint64_t pool_odds_version(const struct urn_pool *pool)
{
    return pool->odds_version;
}

void pool_set_odds_version(struct urn_pool *pool, uint64_t odds_version)
{
    check_magic(pool);
    CHECK(odds_version <= URN_NUMBER_MAX);
    if (is_freezing(pool))
        freeze_pool(pool);
    pool->odds_version = odds_version;
}

bool pool_is_open(const struct urn_pool *pool)
{
    return pool->open;
}

void pool_set_open(struct urn_pool *pool, bool open)
{
    check_magic(pool);
    if (is_freezing(pool))
        freeze_pool(pool);
    pool->open = open;
    pool->unfinished = false;
}

bool pool_is_unfinished(const struct urn_pool *pool)
{
    return pool->unfinished;
}

void pool_set_unfinished(struct urn_pool *pool)
{
    check_magic(pool);
    if (is_freezing(pool))
        freeze_pool(pool);
    pool->open = false;
    pool->unfinished = true;
}

uint64_t pool_weight_of_all(const struct urn_pool *pool)
{
    return pool->weight_of_all;
}

uint32_t pool_id(const struct urn_pool *pool)
{
    return pool->id;
}

struct urn_text pool_name(const struct urn_pool *pool)
{
    return (struct urn_text){pool->name, pool->name_bytes};
}

struct urn_text pool_item_id(const struct urn_pool *pool, uint32_t index)
{
    return text_at(pool, *item_fields(pool, index).name);
}

/* ---- memory ---------------------------------------------------------------------------------- */

uint64_t pool_memory_bytes(const struct urn_pool *pool)
{
    return sizeof *pool + pool->items.memory_bytes + pool->arena.memory_bytes +
           id_table_memory_bytes(&pool->ids) + selector_memory_bytes(&pool->selector) +
           pool->applied_bytes;
}

uint64_t pool_name_arena_bytes(const struct urn_pool *pool)
{
    return pool->arena.memory_bytes;
}

/* Every chunk has applied weights, the last of which may be all but empty. */
static uint64_t applied_bound_bytes(uint64_t items)
{
    uint64_t chunks = (items >> item_shape.full_log2) + item_shape.full_log2 + 1;
    uint64_t full = 1ull << item_shape.full_log2;
    uint64_t spare = items < full ? items + (1u << item_shape.first_log2) : full;
    return (items + spare) * sizeof(uint64_t) + chunks * sizeof(uint64_t *);
}

/* One pool of so many items with the longest names. */
static uint64_t one_pool_bound_bytes(uint64_t items)
{
    /* Where a name does not fit the rest of a chunk, less than a name is lost: little in a full
     * chunk of many names, and at most once in each of the few small chunks before. */
    uint64_t names = items * NAME_BYTES_MOST;
    names += names / 512 + 16ull * NAME_BYTES_MOST;
    return sizeof(struct urn_pool) + chunks_memory_bound_bytes(items, item_shape) +
           chunks_memory_bound_bytes(names, arena_shape) + id_table_bound_bytes(items) +
           selector_memory_bound_bytes(items) + applied_bound_bytes(items);
}

uint64_t pool_memory_bound_bytes(uint64_t pools, uint64_t items)
{
    if (pools == 0)
        return 0;
    /* Small pools have relatively more to spare, so that an even spread is the worst. */
    return pools * one_pool_bound_bytes((items + pools - 1) / pools) + selector_growing_bytes();
}

/* ---- checking -------------------------------------------------------------------------------- */

static void check_item(const struct urn_pool *pool, uint32_t index)
{
    struct item_fields item = item_fields(pool, index);
    uint64_t stocked = *item.stocked & ~UNLIMITED_FLAG;
    CHECK(*item.left <= stocked && stocked <= URN_NUMBER_MAX);
    CHECK((*item.stocked & UNLIMITED_FLAG) == 0 || stocked == URN_NUMBER_MAX);
    CHECK(*item.weight <= URN_NUMBER_MAX);
    CHECK(*item.name < pool->arena_used);
    const uint64_t *applied = applied_at(pool, index);
    CHECK(applied == NULL || *applied == NOT_APPLIED ||
          (*applied <= URN_NUMBER_MAX && *applied != *item.weight));
    struct urn_text id = text_at(pool, *item.name);
    CHECK(name_is_valid(id.bytes, id.length));
    uint32_t found;
    CHECK(pool_find(pool, id.bytes, id.length, &found) && found == index);
}

void pool_check(const struct urn_pool *pool)
{
    check_magic(pool);
    CHECK(name_is_valid(pool->name, pool->name_bytes));
    CHECK(pool->item_count <= pool->items_max && pool->item_count <= pool->items.capacity);
    CHECK(pool->item_count <= pool->selector.capacity);
    CHECK(!pool->bulk);
    id_table_check(&pool->ids, pool);
    CHECK(pool->arena_used <= pool->arena.capacity);
    CHECK(pool->odds_version <= URN_NUMBER_MAX && !(pool->open && pool->unfinished));
    uint64_t of_all = 0, in_stock = 0;
    for (uint32_t index = 0; index < pool->item_count; index++) {
        check_item(pool, index);
        of_all += *item_fields(pool, index).weight;
        in_stock += in_stock_weight(item_fields(pool, index));
    }
    CHECK(of_all == pool->weight_of_all && of_all <= URN_NUMBER_MAX);
    CHECK(in_stock == pool->weight_in_stock);
    selector_check(&pool->selector, pool_weights_in_stock, pool);
}

bool pool_use_selector_path(struct urn_pool *pool, enum selector_path path)
{
    check_magic(pool);
    return selector_use_path(&pool->selector, path);
}
