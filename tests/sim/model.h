/* model.h: pools as they would be kept on paper: names, stock, weights; and what draws and changes
 * do to them, effect by effect. The oracle's memory. It shares no code with the engine.
 */
#ifndef URN_TESTS_SIM_MODEL_H
#define URN_TESTS_SIM_MODEL_H

#include "engine/urn.h"

#define MODEL_POOLS_MAX 16u

/* Names belong to whoever made the items, and outlive the model. */
struct model_item {
    struct urn_text name;
    int64_t quantity; /* left; URN_UNLIMITED */
    uint64_t weight;
    uint64_t applied; /* what the configuration file was last known to say */
    uint64_t drawn;
};

struct model_pool {
    struct urn_text name;
    bool open;
    bool unfinished; /* its first catalog is still being added */
    uint64_t odds_version;
    uint64_t weight_of_all;
    uint64_t rest;    /* what limited items of a weight above 0 can still give */
    uint32_t endless; /* how many unlimited items have a weight above 0 */
    uint32_t item_count, item_capacity;
    struct model_item *items;
};

struct model {
    uint64_t next_id;
    uint64_t reserved_id; /* the highest that was ever reserved; 0: none was */
    uint64_t item_count;  /* of all pools */
    uint32_t pool_count;
    struct model_pool pools[MODEL_POOLS_MAX];
};

/* What one request does comes to any number of these. */
enum effect_kind {
    EFFECT_DRAW,     /* index: how many; number: where their outcomes begin */
    EFFECT_POOL,     /* name: one more pool, closed and unfinished, at odds version 1 */
    EFFECT_ITEM,     /* name, quantity, number: the weight */
    EFFECT_QUANTITY, /* index, quantity */
    EFFECT_WEIGHT,   /* index, number */
    EFFECT_APPLIED,  /* index, number */
    EFFECT_OPEN,     /* finishes an unfinished pool, as the next does */
    EFFECT_CLOSE,
    EFFECT_ODDS, /* the odds version rises by one */
    EFFECT_IDS,  /* number: ids up to there are reserved */
};

struct effect {
    enum effect_kind kind;
    uint32_t pool;
    uint32_t index;
    struct urn_text name;
    int64_t quantity;
    uint64_t number;
};

void model_make(struct model *model); /* no pools; ids begin at 1 */
void model_free(struct model *model);
void model_copy(struct model *to, const struct model *from);

/* Carries out one effect. outcomes: what EFFECT_DRAW's number counts in. Ends the run where a draw
 * gives what is not there (P2). */
void model_apply(struct model *model, const struct effect *effect, const uint32_t *outcomes);

bool model_same_text(struct urn_text a, struct urn_text b);

/* Of the pool that a request asks for, which a draw may know instead of its name. While the engine lives. */
struct urn_text model_asked_name(const struct urn_request *request);

/* NULL, or false: there is none. */
const struct model_pool *model_find_pool(const struct model *model, struct urn_text name);
bool model_find_item(const struct model_pool *pool, struct urn_text name, uint32_t *index);

uint32_t model_pool_index(const struct model *model, const struct model_pool *pool);

/* Draws that a pool can still give; UINT64_MAX: without end. */
uint64_t model_rest(const struct model_pool *pool);

#endif
