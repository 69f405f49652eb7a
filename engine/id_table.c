/* id_table.c: see id_table.h. */
#include "engine/id_table.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "engine/pool.h"

#define SLOTS_FIRST 8u
#define TAG_BITS    8u
#define INDEX_BITS  24u
#define INDEX_MASK  ((1u << INDEX_BITS) - 1)

/* Slots of the older table that are moved with each id, which takes some 2 us. Between two growths come
 * ids for three eighths of the older table's slots, so that three would do; but it is to be gone soon. */
#define MOVED_AN_ID 32u

_Static_assert(MAX_ITEMS_MAX < INDEX_MASK, "a slot holds an index + 1");
_Static_assert(TAG_BITS + INDEX_BITS == 32, "a slot is 4 bytes");

/* ---- one table of slots ---------------------------------------------------------------------- */

/* Where the search for a hash begins: its high half, scaled to the number of slots. The tag is taken from
 * the low half. */
static inline uint32_t first_slot(const struct id_slots *slots, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * slots->count) >> 32);
}

static inline uint32_t next_slot(const struct id_slots *slots, uint32_t slot)
{
    return slot + 1 < slots->count ? slot + 1 : 0;
}

static inline uint32_t slot_value(uint64_t hash, uint32_t index)
{
    return (uint32_t)hash << INDEX_BITS | (index + 1);
}

static void insert(const struct id_slots *slots, uint64_t hash, uint32_t index)
{
    uint32_t slot = first_slot(slots, hash);
    while (slots->slots[slot] != 0)
        slot = next_slot(slots, slot);
    slots->slots[slot] = slot_value(hash, index);
}

static bool find(const struct id_slots *slots, const struct urn_pool *pool, struct urn_text item_id,
                 uint64_t hash, uint32_t *index)
{
    if (slots->count == 0)
        return false;
    for (uint32_t slot = first_slot(slots, hash); slots->slots[slot] != 0;
         slot = next_slot(slots, slot)) {
        const uint32_t candidate = (slots->slots[slot] & INDEX_MASK) - 1;
        if (slots->slots[slot] != slot_value(hash, candidate))
            continue;
        const struct urn_text id = pool_item_id(pool, candidate);
        if (id.length == item_id.length && memcmp(id.bytes, item_id.bytes, id.length) == 0) {
            *index = candidate;
            return true;
        }
    }
    return false;
}

/* ---- growing --------------------------------------------------------------------------------- */

static void free_older(struct id_table *table)
{
    free(table->older.slots);
    table->older = (struct id_slots){NULL, 0};
    table->older_moved = 0;
}

/* Puts the next so many slots of the older table into the larger one. */
static void move_some(struct id_table *table, const struct urn_pool *pool, uint32_t slots)
{
    if (table->older.count == 0)
        return;
    for (; slots > 0 && table->older_moved < table->older.count; slots--, table->older_moved++) {
        const uint32_t value = table->older.slots[table->older_moved];
        if (value == 0)
            continue;
        const uint32_t index = (value & INDEX_MASK) - 1;
        const struct urn_text id = pool_item_id(pool, index);
        insert(&table->now, name_hash(id.bytes, id.length), index);
    }
    if (table->older_moved == table->older.count)
        free_older(table);
}

/* Slots for so many ids, of which three quarters are used at most. */
static uint64_t slots_for(uint64_t ids)
{
    return ids + ids / 3 + 1;
}

bool id_table_reserve(struct id_table *table, const struct urn_pool *pool, uint32_t count)
{
    if (4 * (uint64_t)count <= 3 * (uint64_t)table->now.count)
        return true;
    uint32_t larger = table->now.count == 0 ? SLOTS_FIRST : table->now.count / 2 * 3;
    if (larger < slots_for(count))
        larger = (uint32_t)slots_for(count);
    uint32_t *slots = calloc(larger, sizeof *slots);
    if (slots == NULL)
        return false;
    if (table->older.count > 0) /* only when a reservation outran the additions */
        move_some(table, pool, table->older.count);
    table->older = table->now;
    table->older_moved = 0;
    table->now = (struct id_slots){slots, larger};
    if (table->count == 0)
        free_older(table);
    return true;
}

/* ---- ids ------------------------------------------------------------------------------------- */

void id_table_free(struct id_table *table)
{
    free_older(table);
    free(table->now.slots);
    *table = (struct id_table){.count = 0};
}

void id_table_add(struct id_table *table, const struct urn_pool *pool, uint64_t hash,
                  uint32_t index)
{
    CHECK(table->count < table->now.count);
    move_some(table, pool, MOVED_AN_ID);
    insert(&table->now, hash, index);
    table->count++;
}

bool id_table_find(const struct id_table *table, const struct urn_pool *pool,
                   struct urn_text item_id, uint64_t hash, uint32_t *index)
{
    return find(&table->now, pool, item_id, hash, index) ||
           find(&table->older, pool, item_id, hash, index);
}

void id_table_prefetch(const struct id_table *table, uint64_t hash)
{
    if (table->now.count > 0)
        __builtin_prefetch(&table->now.slots[first_slot(&table->now, hash)], 1);
}

uint64_t id_table_memory_bytes(const struct id_table *table)
{
    return ((uint64_t)table->now.count + table->older.count) * sizeof(uint32_t);
}

uint64_t id_table_bound_bytes(uint64_t ids)
{
    /* It grows at three quarters by half: twice as many slots as ids then, and four thirds in the older
     * table; or to what a reservation asks for. */
    const uint64_t now = SLOTS_FIRST + 2 * ids;
    const uint64_t older = SLOTS_FIRST + slots_for(ids);
    return (now + older) * sizeof(uint32_t);
}

void id_table_check(const struct id_table *table, const struct urn_pool *pool)
{
    CHECK(table->older_moved <= table->older.count);
    CHECK((table->older.slots == NULL) == (table->older.count == 0));
    CHECK(4 * (uint64_t)table->count <= 3 * (uint64_t)table->now.count);
    uint32_t ids = 0;
    for (uint32_t slot = 0; slot < table->now.count; slot++)
        ids += table->now.slots[slot] != 0;
    for (uint32_t slot = table->older_moved; slot < table->older.count; slot++)
        ids += table->older.slots[slot] != 0;
    CHECK(ids == table->count && ids == pool_item_count(pool));
}
