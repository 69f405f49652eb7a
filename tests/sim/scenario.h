/* scenario.h: what an engine is opened with: a small ring and catalogs that run dry, have weight 0,
 * or never end; made from a seed, or fixed; and what its
 * clients may do. */
#ifndef URN_TESTS_SIM_SCENARIO_H
#define URN_TESTS_SIM_SCENARIO_H

#include "engine/urn.h"
#include "tests/lib/sim_random.h"

#define SCENARIO_POOLS_MAX  3u
#define SCENARIO_NAME_BYTES 16u

/* Of SCENARIO_FIXED: the pool that runs dry after 23 draws, the one that never does, and the
 * largest draw: five of it from the latter fill the smallest segment. */
#define SCENARIO_DRY        0u
#define SCENARIO_ENDLESS    1u
#define SCENARIO_LARGE_DRAW 14000u

struct scenario {
    struct urn_engine_config config; /* .os is the caller's to set */
    struct urn_pool_spec pools[SCENARIO_POOLS_MAX];
    struct urn_item_spec *items;             /* of all pools, one after the other */
    char (*item_names)[SCENARIO_NAME_BYTES]; /* likewise */
    char pool_names[SCENARIO_POOLS_MAX][SCENARIO_NAME_BYTES];
    uint32_t item_count;
    bool changes;         /* clients also change items and pools */
    bool modes;           /* each start is in any mode; else in mode commit */
    bool endless_first;   /* the first pool never stops giving, and no change touches that */
    uint32_t items_large; /* what a large catalog that clients bring has; 0: there are none */
};

enum scenario_kind {
    SCENARIO_FIXED,  /* a pool that runs dry, one without end, and the smallest ring */
    SCENARIO_RANDOM, /* outcomes of one byte, at times two; rings of several sizes */
    SCENARIO_TINY,   /* random, the smallest ring, and catalogs that span many groups of it */
    SCENARIO_LAPS,   /* random, and the smallest ring, which the first pool never stops filling */
    SCENARIO_MANY,   /* random, and so many items that a snapshot has several blocks */
    SCENARIO_WIDE,   /* a pool of so many items that an outcome takes four bytes */
};

/* The caller frees it. */
void scenario_make(struct scenario *scenario, enum scenario_kind kind, struct sim_random *luck);

/* Of two scenarios in five the log is archived, under either policy; every second of laps. Hangs on nothing
 * but the seed, so that the others are what they would be without. */
void scenario_archive(struct scenario *scenario, uint64_t seed);
void scenario_free(struct scenario *scenario);

#endif
