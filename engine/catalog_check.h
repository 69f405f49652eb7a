/* catalog_check.h: whether a catalog that a caller brings can be one, before anything is made of it.
 */
#ifndef URN_ENGINE_CATALOG_CHECK_H
#define URN_ENGINE_CATALOG_CHECK_H

#include "engine/state.h"

/* Names, numbers, the sum of the weights, and that nothing occurs twice, pools included. Takes time
 * and (for as long as it runs) memory in proportion to the largest catalog: 8 bytes an item. Errors:
 * URN_BADARG, URN_TOOBIG (more pools or items than the bounds), URN_NOMEMORY. Pure; any thread. */
enum urn_code catalog_check(const struct urn_pool_spec *pools, uint32_t pool_count,
                            const struct state_bounds *bounds, struct urn_error *error);

/* Slots of the hash of so many names. */
static inline uint64_t catalog_check_slots(uint64_t names)
{
    return 2 * names + 16;
}

/* The most memory that one check takes, in bytes. */
static inline uint64_t catalog_check_memory_bytes(uint64_t items)
{
    return catalog_check_slots(items) * sizeof(uint32_t);
}

#endif
