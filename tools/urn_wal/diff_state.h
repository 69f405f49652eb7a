/* diff_state.h: what two states say otherwise. */
#ifndef URN_TOOLS_URN_WAL_DIFF_STATE_H
#define URN_TOOLS_URN_WAL_DIFF_STATE_H

#include "engine/state.h"

#define STATE_DIFFERENCE_BYTES 400u
#define STATE_DIFFERENCES_MAX  10u

/* Of two states: how many things differ, and the first of them in words. */
struct state_differences {
    uint64_t count;
    char texts[STATE_DIFFERENCES_MAX]
              [STATE_DIFFERENCE_BYTES]; /* "pool main: coin: quantity: 3 and 4" */
};

/* Compares everything that a snapshot holds. */
void state_compare(const struct state *a, const struct state *b,
                   struct state_differences *differences);

/* The same of pools and items only: what states of two rings can have in common. */
void state_compare_pools(const struct state *a, const struct state *b,
                         struct state_differences *differences);

#endif
