/* pool.h: a pool: items, stock, weights, and the draw. Pure: no I/O, no clock, no thread.
 *
 * The writer thread owns every pool and alone may call what stands here; the exceptions are
 * pool_item_id(), pool_name() and pool_id(), which read what never changes.
 *
 * A pool is a structure of arrays; the names of its items lie in one arena whose bytes never move.
 * At most 48 bytes an item, plus its name.
 *
 * The draw (docs/architecture.md): number the items in catalog order; W = sum of the weights of
 * those in stock; take r uniform in [0, W); the outcome is the first item whose running sum of
 * in-stock weights exceeds r.
 */
#ifndef URN_ENGINE_POOL_H
#define URN_ENGINE_POOL_H

#include "engine/error.h"
#include "engine/random.h"

struct urn_pool;

/* Makes an empty pool, open, at odds version 1. name: 1 to URN_NAME_BYTES_MAX bytes of UTF-8 (else
 * URN_BADARG). items_max bounds its items for ever. The caller frees it with pool_free(). */
enum urn_code pool_make(uint32_t id, const char *name, uint32_t name_bytes, uint32_t items_max,
                        struct urn_pool **pool, struct urn_error *error);
void pool_free(struct urn_pool *pool);

/* Appends an item; its index is the count before. Does not change the odds version (the caller
 * decides what is one change). Errors: URN_BADARG (id not 1 to 64 bytes of UTF-8, a number out of
 * range, the sum of weights beyond URN_NUMBER_MAX), URN_EXISTS, URN_TOOBIG (items_max), URN_NOMEMORY.
 * Adding n items costs O(n) altogether, the next draw apart. */
enum urn_code pool_add(struct urn_pool *pool, const char *item_id, uint32_t item_id_bytes,
                       int64_t quantity, uint64_t probability, uint64_t drawn,
                       struct urn_error *error);

/* ---- draws ----------------------------------------------------------------------------------- */

/* Draws count times and stages each: outcomes[i] is an index or URN_FAILED_DRAW. Returns how many
 * failed; they are the last ones. Allocates nothing. */
uint32_t pool_draw(struct urn_pool *pool, struct random_source *random, uint32_t *outcomes,
                   uint32_t count);

/* Undoes staged draws (the outcomes of one pool_draw), newest first. */
void pool_revert(struct urn_pool *pool, const uint32_t *outcomes, uint32_t count);

/* Stages one draw whose outcome is known: the replay's half of pool_draw. False, and nothing is
 * changed, when the index is none of ours or the item is not in stock or its weight is 0. */
bool pool_take(struct urn_pool *pool, uint32_t index);

/* ---- looking --------------------------------------------------------------------------------- */

uint32_t pool_item_count(const struct urn_pool *pool);
void pool_item(const struct urn_pool *pool, uint32_t index, struct urn_item *item);
bool pool_find(const struct urn_pool *pool, const char *item_id, uint32_t item_id_bytes,
               uint32_t *index);
uint64_t pool_weight_in_stock(const struct urn_pool *pool); /* W */
uint64_t pool_odds_version(const struct urn_pool *pool);
void pool_set_odds_version(struct urn_pool *pool, uint64_t odds_version);
bool pool_is_open(const struct urn_pool *pool);
void pool_set_open(struct urn_pool *pool, bool open);

/* What never changes; any thread. pool_item_id: any index that the caller has been shown. */
uint32_t pool_id(const struct urn_pool *pool);
struct urn_text pool_name(const struct urn_pool *pool);
struct urn_text pool_item_id(const struct urn_pool *pool, uint32_t index);

/* Bytes of heap that the pool holds now, names included; and of them the names. */
uint64_t pool_memory_bytes(const struct urn_pool *pool);
uint64_t pool_name_arena_bytes(const struct urn_pool *pool);

/* The most that `items` items in `pools` pools can take. */
uint64_t pool_memory_bound_bytes(uint64_t pools, uint64_t items);

/* Checks everything that must hold inside the pool; stops the process when it does not. Slow. */
void pool_check(const struct urn_pool *pool);

/* 1 to URN_NAME_BYTES_MAX bytes of well-formed UTF-8 without control characters. */
bool name_is_valid(const char *bytes, uint32_t length);

#endif
