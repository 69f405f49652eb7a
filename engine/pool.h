/* pool.h: a pool: items, stock, weights, and the draw. Pure: no I/O, no clock, no thread.
 *
 * The writer thread owns every pool and alone may call what stands here; the exceptions are
 * pool_item_id(), pool_name() and pool_id(), which read what never changes, and pool_item_count().
 *
 * A pool is a structure of arrays; the names of its items lie in one arena whose bytes never move.
 * At most 48 bytes an item, plus its name (pool_inner.h counts them); 8 more where an operator's weight
 * is not the configuration file's; and 5.4 more for a while when its hash has just grown.
 *
 * The draw (docs/architecture.md): number the items in catalog order; W = sum of the weights of
 * those in stock; take r uniform in [0, W); the outcome is the first item whose running sum of
 * in-stock weights exceeds r.
 *
 * An item is in stock while its quantity is not 0. What was ever handed out of an item and what is
 * left of it are together at most URN_NUMBER_MAX, so that no counter can leave its range; an
 * unlimited item is one that runs out after URN_NUMBER_MAX draws.
 */
#ifndef URN_ENGINE_POOL_H
#define URN_ENGINE_POOL_H

#include "engine/error.h"
#include "engine/freeze.h"
#include "engine/name.h"
#include "engine/random.h"
#include "engine/selector.h"

struct urn_pool;

/* Makes an empty pool, open, at odds version 1. name: see name.h (else URN_BADARG). items_max, at
 * most MAX_ITEMS_MAX, bounds its items for ever and costs nothing. The caller frees *pool with
 * pool_free(), which takes NULL too. */
enum urn_code pool_make(uint32_t id, const char *name, uint32_t name_bytes, uint32_t items_max,
                        struct urn_pool **pool, struct urn_error *error);
void pool_free(struct urn_pool *pool);

/* Appends an item; its index is the count before. Does not change the odds version (the caller
 * decides what is one change). quantity: 0 to URN_NUMBER_MAX, or URN_UNLIMITED; probability: the
 * weight, 0 to URN_NUMBER_MAX; drawn: what has been handed out already. Errors, after which nothing
 * is changed: URN_BADARG (the id breaks name.h; a number out of range; drawn and quantity together,
 * or the weights of all items, beyond URN_NUMBER_MAX), URN_EXISTS, URN_TOOBIG (items_max),
 * URN_NOMEMORY. Adding n items costs O(n) altogether, the next draw apart. */
enum urn_code pool_add(struct urn_pool *pool, const char *item_id, uint32_t item_id_bytes,
                       int64_t quantity, uint64_t probability, uint64_t drawn,
                       struct urn_error *error);

/* From here to pool_end_bulk, pool_add takes ids without looking whether the pool has them already,
 * and pool_find must not be asked: all of them are looked at together, while memory is on its way,
 * which at 1,000,000 items is several times faster. pool_end_bulk: URN_EXISTS when an id was there
 * twice; the pool is then good for nothing but pool_free(). */
void pool_begin_bulk(struct urn_pool *pool);
enum urn_code pool_end_bulk(struct urn_pool *pool, struct urn_error *error);

/* Makes room for count items in all (items_max at most) where growing would otherwise move what is
 * there. Errors: URN_NOMEMORY. */
enum urn_code pool_reserve(struct urn_pool *pool, uint32_t count, struct urn_error *error);

/* Gets the next draw ready for the items that were added since the last one, for which it would
 * otherwise do so itself: some 50 ns an item, or some ms for all of a million. */
void pool_settle(struct urn_pool *pool);

/* ---- changing -------------------------------------------------------------------------------- */

/* An operator's change of an item. */
struct pool_update {
    bool has_quantity;
    int64_t quantity; /* left from now on: 0 to URN_NUMBER_MAX, or URN_UNLIMITED */
    bool has_probability;
    uint64_t probability;
    bool from_file; /* the weight is the configuration file's: it becomes the applied one */
};

/* Carries it out, all of it or nothing; index is below pool_item_count(). What was drawn stays.
 * Does not change the odds version. Errors: URN_BADARG (a number out of range; what was drawn and
 * the quantity together, or the weights of all items, beyond URN_NUMBER_MAX), URN_NOMEMORY. */
enum urn_code pool_update(struct urn_pool *pool, uint32_t index, const struct pool_update *update,
                          struct urn_error *error);

uint64_t pool_weight(const struct urn_pool *pool, uint32_t index);

/* The applied weight of an item: the one that the configuration file was last known to give it (at
 * first its own). It is kept only for items whose weight is another one by now: 8 bytes for each
 * item of a chunk that has such. pool_set_applied_weight: errors are those of pool_update. */
uint64_t pool_applied_weight(const struct urn_pool *pool, uint32_t index);
enum urn_code pool_set_applied_weight(struct urn_pool *pool, uint32_t index, uint64_t weight,
                                      struct urn_error *error);

/* ---- draws ----------------------------------------------------------------------------------- */

/* Draws count times and stages each: outcomes[i] is an index or URN_FAILED_DRAW. Returns how many
 * failed; they are the last ones, for nothing comes back into stock in between. Uses the numbers
 * that as many random_below(random, W) calls would give, each with the W of its moment. Allocates
 * nothing. */
uint32_t pool_draw(struct urn_pool *pool, struct random_source *random, uint32_t *outcomes,
                   uint32_t count);

/* Ask for memory, and change nothing (look_ahead.h). pool_prefetch: the pool's own fields; reads none of
 * them. pool_prefetch_roots: where the ways to its items begin. pool_prefetch_draws: what the first of
 * count draws will touch, before which so many random bytes are used, as far as can be guessed; returns
 * how many the draws themselves will use. */
void pool_prefetch(const struct urn_pool *pool);
void pool_prefetch_roots(const struct urn_pool *pool);
uint64_t pool_prefetch_draws(const struct urn_pool *pool, const struct random_source *random,
                             uint64_t ahead_bytes, uint32_t count);

/* Undoes staged draws (the outcomes of one pool_draw), newest first. */
void pool_revert(struct urn_pool *pool, const uint32_t *outcomes, uint32_t count);

/* The replay's half of pool_draw: stages draws whose outcomes are known. No stock bears an index that is
 * none of ours, an item that is out of stock, or one of weight 0.
 *
 * pool_take_each: one after the other; returns how many, up to the first that the stock does not bear.
 * pool_take_tally: for every index below count, times[index] draws of it, in whatever order; false, and
 * nothing is changed, when the stock does not bear them all. */
uint32_t pool_take_each(struct urn_pool *pool, const uint32_t *indexes, uint32_t count);
bool pool_take_tally(struct urn_pool *pool, const uint32_t *times, uint32_t count);

/* ---- looking --------------------------------------------------------------------------------- */

/* By any thread: ids below it can be told. */
uint32_t pool_item_count(const struct urn_pool *pool);

/* index is below pool_item_count(). The id's bytes live as long as the pool. */
void pool_item(const struct urn_pool *pool, uint32_t index, struct urn_item *item);

/* The index of an item by its id; false when there is none. */
bool pool_find(const struct urn_pool *pool, const char *item_id, uint32_t item_id_bytes,
               uint32_t *index);
uint64_t pool_weight_in_stock(const struct urn_pool *pool); /* W */
uint64_t pool_odds_version(const struct urn_pool *pool);
void pool_set_odds_version(struct urn_pool *pool, uint64_t odds_version);
bool pool_is_open(const struct urn_pool *pool);
void pool_set_open(struct urn_pool *pool, bool open); /* an unfinished pool is finished by it */

/* A pool is unfinished while its first catalog is still being added; it is closed then. */
bool pool_is_unfinished(const struct urn_pool *pool);
void pool_set_unfinished(struct urn_pool *pool);

uint64_t pool_weight_of_all(const struct urn_pool *pool); /* out of stock included */

/* What never changes; any thread. pool_item_id: any index that the caller has been shown (by a way
 * that orders memory: a queue, a lock), also while the writer adds others. */
uint32_t pool_id(const struct urn_pool *pool);
struct urn_text pool_name(const struct urn_pool *pool);
struct urn_text pool_item_id(const struct urn_pool *pool, uint32_t index);

/* ---- as it was when the freeze began --------------------------------------------------------- */

/* Ties the pool to the freeze of its state (freeze.h), which outlives it. Once, before any. */
void pool_set_freeze(struct urn_pool *pool, struct freeze *freeze);

/* The pool as it was when the active freeze began, or, without one, as it is. The pool must have been
 * there then. pool_frozen_item: index is below item_count of pool_frozen. */
struct pool_frozen {
    uint32_t item_count;
    bool open;
    bool unfinished;
    uint64_t odds_version;
};
struct pool_frozen pool_frozen(const struct urn_pool *pool);
void pool_frozen_item(const struct urn_pool *pool, uint32_t index, struct urn_item *item,
                      uint64_t *applied_weight);

/* Bytes of heap that the pool holds now, names included; and of them the names. */
uint64_t pool_memory_bytes(const struct urn_pool *pool);
uint64_t pool_name_arena_bytes(const struct urn_pool *pool);

/* The most that `items` items in `pools` pools can take, however they are spread, and while one of
 * the pools is growing. */
uint64_t pool_memory_bound_bytes(uint64_t pools, uint64_t items);

/* Checks everything that must hold inside the pool; stops the process when it does not. Slow. */
void pool_check(const struct urn_pool *pool);

/* For tests: selects by another path of selector.h. False when this processor lacks it. */
bool pool_use_selector_path(struct urn_pool *pool, enum selector_path path);

#endif
