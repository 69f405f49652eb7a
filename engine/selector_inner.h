/* selector_inner.h: what selector.c (the tree) and selector_flat.c (many draws from a single node) share.
 * Nobody else's. */
#ifndef URN_ENGINE_SELECTOR_INNER_H
#define URN_ENGINE_SELECTOR_INNER_H

#include "engine/selector.h"

#if defined(__x86_64__)
#define TARGET_AVX2   __attribute__((target("avx2,popcnt")))
#define TARGET_AVX512 __attribute__((target("avx512f,popcnt")))
#endif

/* The last slot whose sum is not above the number: four steps of a branchless binary search. */
static inline uint32_t slot_in_node_scalar(const uint64_t *node, uint64_t number)
{
    uint32_t slot = (uint32_t)(node[8] <= number) << 3;
    slot += (uint32_t)(node[slot + 4] <= number) << 2;
    slot += (uint32_t)(node[slot + 2] <= number) << 1;
    slot += (uint32_t)(node[slot + 1] <= number);
    return slot;
}

/* The loop of selector_find_flat(), on each path. */
typedef uint32_t selector_flat_loop(const struct selector *selector, const uint8_t *words,
                                    uint32_t count, uint32_t *slots, uint32_t *tally);
selector_flat_loop selector_flat_scalar;
#if defined(__x86_64__)
selector_flat_loop selector_flat_avx2;
selector_flat_loop selector_flat_avx512;
#endif

#endif
