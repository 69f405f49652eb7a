/* ledger.h: what all clients of the soak's load were told, and whether it can be true together.
 *
 * Bounded, however long the load runs: counts by item, and the ids as ranges, which grow into each other
 * as the answers of all connections come in. What is left between them belongs to requests whose fate
 * nobody heard. Not for several threads at a time.
 *
 * Every function that takes an answer returns false when it cannot be right; violation then says why, and
 * nothing else of the ledger is to be trusted.
 */
#ifndef URN_TESTS_SOAK_LEDGER_H
#define URN_TESTS_SOAK_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_POOLS_MAX 8u
#define LEDGER_ITEMS_MAX 65536u /* of a pool */
#define LEDGER_RANGES_MAX                                                                          \
    65536u /* far more than requests under way: gaps of one life of a server */

/* first to end - 1 */
struct id_range {
    uint64_t first;
    uint64_t end;
};

struct ledger_pool {
    const char *name; /* the caller's */
    uint64_t *drawn;  /* by index in the catalog: LEDGER_ITEMS_MAX */
    uint64_t failed;
    uint64_t requests_in_doubt;
    uint64_t draws_in_doubt;
    uint64_t newest_id; /* of the draws from this pool; 0: none yet */
    uint64_t newest_odds_version;
};

struct ledger {
    struct ledger_pool pools[LEDGER_POOLS_MAX];
    uint32_t pool_count;
    uint64_t requests; /* answered draws */
    uint64_t draws;
    struct id_range *ranges; /* LEDGER_RANGES_MAX; ascending, with gaps between them */
    uint32_t range_count;
    uint32_t range_count_max; /* there ever were */
    char violation[240];
};

/* One answered draw request, without its outcomes. */
struct ledger_answer {
    uint32_t pool;
    uint32_t count; /* asked for */
    uint32_t failed;
    uint64_t first_id;
    uint64_t floor_id; /* the highest id that any client had heard of when it was sent */
    uint64_t odds_version;
    bool all; /* every draw was to succeed */
};

/* Ends the program where there is no memory. */
void ledger_begin(struct ledger *ledger);
void ledger_end(struct ledger *ledger);

/* The ids of an answer: none of them may have been heard of before. */
bool ledger_take_ids(struct ledger *ledger, uint64_t first_id, uint32_t count);

/* All of an answer but its outcomes. */
bool ledger_take_answer(struct ledger *ledger, const struct ledger_answer *answer);

/* One outcome that came so many times. */
bool ledger_take_outcome(struct ledger *ledger, uint32_t pool, uint64_t index, uint64_t times);

/* A request that may have been carried out, and nobody knows. */
void ledger_take_doubt(struct ledger *ledger, uint32_t pool, uint32_t count);

/* The highest id that was heard of; 0: none. */
uint64_t ledger_highest_id(const struct ledger *ledger);

/* For what the caller finds wrong itself; returns false. */
bool ledger_violated(struct ledger *ledger, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
