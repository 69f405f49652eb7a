/* look_ahead.c: see look_ahead.h. */
#include "engine/look_ahead.h"

#include "engine/check.h"

/* So few items stay in the processor's nearer caches, with all that belongs to them. */
#define NEAR_ITEMS_MAX 4096u

/* More would push out what was asked for first; measured with 4, 8, 16 and 32. */
#define TOGETHER 8u

uint32_t look_ahead(const struct state *state, const struct random_source *random,
                    struct urn_request *list)
{
    CHECK(list != NULL);
    struct urn_request *draws[TOGETHER];
    uint32_t count = 0;
    if (state->item_count <= NEAR_ITEMS_MAX)
        return TOGETHER;
    while (list != NULL && list->op == URN_DRAW && count < TOGETHER) {
        const struct urn_pool *guess =
            list->pool_name == NULL
                ? list->pool
                : state_guess_pool(state, list->pool_name, list->pool_name_bytes);
        if (guess != NULL)
            pool_prefetch(guess);
        draws[count++] = list;
        list = list->next;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (draws[i]->pool_name != NULL)
            draws[i]->pool = state_find_pool(state, draws[i]->pool_name, draws[i]->pool_name_bytes);
        if (draws[i]->pool != NULL)
            pool_prefetch_roots(draws[i]->pool);
    }
    uint64_t ahead_bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        if (draws[i]->pool != NULL)
            ahead_bytes +=
                pool_prefetch_draws(draws[i]->pool, random, ahead_bytes, draws[i]->count);
    return count > 0 ? count : 1;
}
