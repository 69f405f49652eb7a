/* state.h: everything that the log and a snapshot determine: the pools and the counters.
 *
 * state = f(snapshot, log). The writer owns it and alone may call what stands here; recovery and
 * the tools build it with the same functions: snapshot_format.h fills it, apply.h moves it along
 * the log. Pools are never removed or renumbered.
 */
#ifndef URN_ENGINE_STATE_H
#define URN_ENGINE_STATE_H

#include "engine/pool.h"
#include "engine/wal_format.h"

struct state_bounds {
    uint32_t max_pools;
    uint32_t max_items; /* of all pools together; MAX_POOLS_MAX and MAX_ITEMS_MAX at most */
};

struct state {
    struct state_bounds bounds;
    struct wal_tail tail;         /* lsn, epoch and chain: what the next group continues */
    uint64_t next_request_id;     /* starts at 1 */
    uint64_t reserved_request_id; /* the highest id a synced reservation allows; 0: none was made */
    uint64_t engine_time_us;
    uint64_t wall_time_us;       /* of the last group; to advance engine time at a start */
    _Atomic uint32_t pool_count; /* rises once a pool is in its place, so that any thread may ask */
    uint64_t item_count;         /* of all pools */
    struct urn_pool **pools;     /* by id; room for bounds.max_pools */
    uint32_t *pool_table;        /* open-addressed hash of names -> id + 1; state.c's own */
    uint32_t pool_table_slots;
    uint64_t name_bytes;   /* of all pools and items */
    struct freeze *freeze; /* of all pools; never NULL once made */
};

/* An empty state, whose log begins at LSN 0 in epoch 0. The caller frees it with state_free(), once
 * it was made; *state is zeroes after an error. Errors: URN_NOMEMORY. */
enum urn_code state_make(const struct state_bounds *bounds, struct state *state,
                         struct urn_error *error);

/* Frees the pools too. Leaves zeroes, which it also takes. */
void state_free(struct state *state);

/* Makes the next pool (its id is pool_count) and adds it. Errors: URN_EXISTS, URN_TOOBIG
 * (max_pools), those of pool_make; nothing is changed then. item_capacity: how many items it may
 * come to have (max_items, if that is less). The pool belongs to the state. */
enum urn_code state_add_pool(struct state *state, const char *name, uint32_t name_bytes,
                             uint32_t item_capacity, struct urn_pool **pool,
                             struct urn_error *error);

/* pool_add() under the bound of all pools together. pool is one of the state's. Errors: URN_TOOBIG
 * (max_items), those of pool_add; nothing is changed then. */
enum urn_code state_add_item(struct state *state, struct urn_pool *pool, const char *item_id,
                             uint32_t item_id_bytes, int64_t quantity, uint64_t probability,
                             uint64_t drawn, struct urn_error *error);

/* NULL when no pool has this name. Any bytes may be asked for. */
struct urn_pool *state_find_pool(const struct state *state, const char *name, uint32_t name_bytes);

/* The pool that has this name, if any has and no other is in its way: a guess that reads no pool, so that
 * it waits for none's memory. */
const struct urn_pool *state_guess_pool(const struct state *state, const char *name,
                                        uint32_t name_bytes);

/* From here until state_thaw the pools can be seen as they are now (pool_frozen), whatever changes. No
 * freeze is active yet. Takes memory that is touched only as changes come. Errors: URN_NOMEMORY. */
enum urn_code state_freeze(struct state *state, struct urn_error *error);

/* Everything before this item of this pool is not asked for any more. */
void state_note_encoded(const struct state *state, uint32_t pool, uint32_t items);

/* Ends the freeze. What it returns is the caller's to free(): some MiB, which takes its time. */
void *state_thaw(struct state *state);

/* Checks everything that must hold inside the state and its pools; stops the process when it does
 * not. Slow. */
void state_check(const struct state *state);

#endif
