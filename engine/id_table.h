/* id_table.h: from the ids of a pool's items to their indexes: an open-addressed hash of 4 byte slots.
 *
 * A slot is 0 when it is free, or else 8 bits of the id's hash and the item's index + 1. The ids
 * themselves stay with the items. At least half of the slots are in use, but for the first few, and at
 * least a quarter are free.
 *
 * It grows by half, and not at once: a million ids would keep the writer for 50 ms. The smaller table
 * stays as it is; with each id that is added the next few of its slots are put into the larger one, and
 * who looks for an id looks in both until all are there. They are long before the larger one is full.
 *
 * Ids are never removed. The writer's; pure.
 */
#ifndef URN_ENGINE_ID_TABLE_H
#define URN_ENGINE_ID_TABLE_H

#include <stdbool.h>

#include "engine/urn.h"

struct id_slots {
    uint32_t *slots;
    uint32_t count;
};

/* Zeroes are an empty table. */
struct id_table {
    struct id_slots now;
    struct id_slots older; /* while it grows; otherwise none */
    uint32_t older_moved;  /* its slots before this one are in `now` too */
    uint32_t count;        /* ids */
};

void id_table_free(struct id_table *table);

/* Makes room for so many ids in all. False, and nothing is changed, for lack of memory. */
bool id_table_reserve(struct id_table *table, const struct urn_pool *pool, uint32_t count);

/* Adds the id of an item, which is not in the table; room has been reserved. hash: name_hash() of it. */
void id_table_add(struct id_table *table, const struct urn_pool *pool, uint64_t hash,
                  uint32_t index);

/* The index of an id; false when it is not in the table. */
bool id_table_find(const struct id_table *table, const struct urn_pool *pool,
                   struct urn_text item_id, uint64_t hash, uint32_t *index);

/* Asks for the memory where a hash is looked for. */
void id_table_prefetch(const struct id_table *table, uint64_t hash);

uint64_t id_table_memory_bytes(const struct id_table *table);

/* The most that a table of so many ids takes; it may be growing. */
uint64_t id_table_bound_bytes(uint64_t ids);

/* Stops the process unless it has as many ids as it says. */
void id_table_check(const struct id_table *table, const struct urn_pool *pool);

#endif
