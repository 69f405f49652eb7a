/* rules.h: what a request must come to, by the words of urn.h, reload.h and docs/protocol.md: why it
 * may be refused, or what it does. Said once more, apart from the engine's code.
 */
#ifndef URN_TESTS_SIM_RULES_H
#define URN_TESTS_SIM_RULES_H

#include "tests/sim/model.h"

struct ruled_change {
    struct urn_change change;
    bool optional;
};

struct ruling {
    uint32_t refusals; /* a bit (1 << code) for each answer that would be true; 0: carry it out */
    struct effect *effects; /* of carrying it out, what its catalogs add apart */
    uint32_t effect_count, effect_capacity;
    uint64_t odds_version; /* of the pool that it names, behind it; 0: it names none */
    uint64_t failed;       /* DRAW: how many of the draws must */
    bool brings_pools;     /* RELOAD: new ones follow */

    /* RELOAD: what it must report; of those that are optional, any. */
    struct ruled_change *changes;
    uint32_t change_count, change_capacity;
};

/* What the rules look at besides the request. */
struct circumstances {
    const struct model *model;
    const struct urn_engine_config *config;
    bool has_job;                 /* the catalogs of another request are being compared or added */
    uint64_t job_rest_items;      /* that it has yet to add */
    const uint32_t *items_before; /* RELOAD: of each pool when its job began; NULL: as it is now */
};

#define RULES_REFUSAL(code) (1u << (code))

/* What is wrong with a request by itself: found before it is submitted. Likewise a bit for each answer that
 * would be true. */
uint32_t rules_faults(const struct urn_engine_config *config, const struct urn_request *request);

/* On what a request asks once it has been admitted: any kind but reads and SNAPSHOT. *ruling may hold
 * another one's arrays, which are used again; rules_free() frees them. */
void rules_on(const struct circumstances *now, const struct urn_request *request,
              struct ruling *ruling);
void rules_free(struct ruling *ruling);

/* Whether an unfinished pool is the beginning of this catalog. */
bool rules_begins(const struct model_pool *pool, const struct urn_pool_spec *spec);

#endif
