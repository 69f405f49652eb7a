/* selector.h: from a number below W to the item that it falls on: a 16-way tree of in-stock
 * weights.
 *
 * Slot i stands for item i and has a weight; the running sum up to slot i decides which numbers
 * fall on it: find(r) is the first slot whose running sum exceeds r. Zero weights are never found.
 *
 * A node has 16 slots and keeps, for each, the sum of the slots before it in the node:
 *
 *     weights        10   0   5  70   -   -  ...      sums before    0  10  10  15  85  85 ...
 *
 * so that the slot for r is how many sums are <= r, less one: two vector compares and a count of
 * bits, without a branch; r less that slot's sum goes on to the node below. Slots of no item and of
 * weight 0 have the same sum as their successor, or the node's total, and are stepped over by
 * themselves. 1,000,000 items are five levels of 128-byte nodes; up to 16 items are one node. A
 * weight that changes by d adds d to the later slots of one node a level.
 *
 * There are three implementations of the inner loops (AVX-512, AVX2, plain C), chosen for the
 * processor when a selector is made; they give the same results.
 *
 * Owned by one thread. Weights and their sum stay below 2^53.
 */
#ifndef URN_ENGINE_SELECTOR_H
#define URN_ENGINE_SELECTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/random.h"

#define SELECTOR_FANOUT     16u
#define SELECTOR_LEVELS_MAX 6u  /* 16^6 slots: see selector.c */
#define SELECTOR_GROUP_MAX  16u /* numbers that are looked up together */

enum selector_path { SELECTOR_SCALAR, SELECTOR_AVX2, SELECTOR_AVX512, SELECTOR_PATHS };

struct selector_level {
    uint64_t *sums; /* aligned to a node */
    uint32_t slots;
};

struct selector {
    const struct selector_kernel *kernel;
    uint64_t total;    /* W: the sum of all weights */
    uint32_t capacity; /* slots: a multiple of 16 */
    uint32_t count;    /* slots in use; the others have no weight */
    uint32_t level_count;
    struct selector_level levels[SELECTOR_LEVELS_MAX]; /* the lowest first */
};

/* Makes an empty selector that uses the best path of this processor. */
void selector_init(struct selector *selector);
void selector_free(struct selector *selector);

/* For tests: takes another path from now on. False, and no change, when this processor lacks it. */
bool selector_use_path(struct selector *selector, enum selector_path path);
const char *selector_path_name(enum selector_path path);

/* Makes room for count slots (16^6 at most), and for a few more as long as they are no more than
 * count_max. Slots stay as they are; little is copied, however many there are (pages.h). False, and no
 * slot is changed, for lack of memory. */
bool selector_reserve(struct selector *selector, uint32_t count, uint32_t count_max);

/* Fills in the weights of count slots (at most 16) from slot first on. */
typedef void (*selector_weights)(const void *context, uint32_t first, uint32_t count,
                                 uint64_t *weights);

/* Sets all slots anew: count of them (room must have been reserved). O(n); allocates nothing. */
void selector_build(struct selector *selector, uint32_t count, selector_weights weights_of,
                    const void *context);

/* Puts one more slot behind the others. Room must have been reserved. O(log n). */
void selector_append(struct selector *selector, uint64_t weight);

/* Finds the slots of 1 to SELECTOR_GROUP_MAX numbers, each below total, in two steps, so that a
 * caller may do something useful (prefetch what it keeps for the 16 slots of a node) before the
 * lowest level is looked at: first the lowest node of each, numbers becoming what is left of them
 * inside it; then, from the same two arrays, slots in place of nodes. nodes has room for
 * SELECTOR_GROUP_MAX. */
void selector_find_nodes(const struct selector *selector, uint64_t *numbers, uint32_t *nodes,
                         uint32_t count);
void selector_find_slots(const struct selector *selector, const uint64_t *numbers, uint32_t *slots,
                         uint32_t count);

/* True where the tree is one node, and the total small enough for the small words of random.h. */
static inline bool selector_is_flat(const struct selector *selector)
{
    return selector->level_count == 1 && selector->total > 0 &&
           selector->total <= RANDOM_SMALL_BOUND;
}

/* For a flat selector: makes numbers below total from count small words, as random_below() does, and
 * finds the slot of each; ends before the first word that may have to be passed over. Returns how many it
 * has found; tally[i], of SELECTOR_FANOUT, becomes how many of them are slot i. What is behind those in
 * slots, up to count, is not changed. */
uint32_t selector_find_flat(const struct selector *selector, const uint8_t *words, uint32_t count,
                            uint32_t *slots, uint32_t *tally);

/* Ask for the memory of a lowest node, and of the highest. */
void selector_prefetch_node(const struct selector *selector, uint32_t node);
void selector_prefetch_top(const struct selector *selector);

/* Changes the weight of a slot. O(log n). */
void selector_increase(struct selector *selector, uint32_t slot, uint64_t weight);
void selector_decrease(struct selector *selector, uint32_t slot, uint64_t weight);

uint64_t selector_memory_bytes(const struct selector *selector);

/* The most that a selector of so many slots takes, and what is there besides while one grows. */
uint64_t selector_memory_bound_bytes(uint64_t slots);
uint64_t selector_growing_bytes(void);

/* Checks every sum of every node against the weights, which must be those of the slots. Slow. */
void selector_check(const struct selector *selector, selector_weights weights_of,
                    const void *context);

#endif
