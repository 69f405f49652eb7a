/* model.c: see model.h. */
#include "tests/sim/model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/verdict.h"

/* ---- life ------------------------------------------------------------------------------------ */

void model_make(struct model *model)
{
    *model = (struct model){.next_id = 1};
}

void model_free(struct model *model)
{
    for (uint32_t i = 0; i < MODEL_POOLS_MAX; i++)
        free(model->pools[i].items);
    *model = (struct model){0};
}

static void reserve_items(struct model_pool *pool, uint32_t count)
{
    if (count <= pool->item_capacity)
        return;
    pool->item_capacity = count < 16 ? 16 : count + count / 2;
    pool->items = realloc(pool->items, pool->item_capacity * sizeof *pool->items);
    CHECK(pool->items != NULL);
}

void model_copy(struct model *to, const struct model *from)
{
    to->next_id = from->next_id;
    to->reserved_id = from->reserved_id;
    to->item_count = from->item_count;
    to->pool_count = from->pool_count;
    for (uint32_t i = 0; i < from->pool_count; i++) {
        struct model_pool *pool = &to->pools[i];
        struct model_item *items = pool->items;
        uint32_t capacity = pool->item_capacity;
        *pool = from->pools[i];
        pool->items = items;
        pool->item_capacity = capacity;
        reserve_items(pool, pool->item_count);
        if (pool->item_count > 0)
            memcpy(pool->items, from->pools[i].items, pool->item_count * sizeof *pool->items);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

bool model_same_text(struct urn_text a, struct urn_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.bytes, b.bytes, a.length) == 0);
}

struct urn_text model_asked_name(const struct urn_request *request)
{
    if (request->op == URN_DRAW && request->pool_name == NULL && request->pool != NULL)
        return urn_pool_name(request->pool);
    return (struct urn_text){request->pool_name, request->pool_name_bytes};
}

const struct model_pool *model_find_pool(const struct model *model, struct urn_text name)
{
    for (uint32_t i = 0; i < model->pool_count; i++)
        if (model_same_text(model->pools[i].name, name))
            return &model->pools[i];
    return NULL;
}

bool model_find_item(const struct model_pool *pool, struct urn_text name, uint32_t *index)
{
    for (uint32_t i = 0; i < pool->item_count; i++)
        if (model_same_text(pool->items[i].name, name)) {
            *index = i;
            return true;
        }
    return false;
}

uint32_t model_pool_index(const struct model *model, const struct model_pool *pool)
{
    CHECK(pool >= model->pools && pool < model->pools + model->pool_count);
    return (uint32_t)(pool - model->pools);
}

uint64_t model_rest(const struct model_pool *pool)
{
    return pool->endless > 0 ? UINT64_MAX : pool->rest;
}

/* ---- effects --------------------------------------------------------------------------------- */

/* Takes an item out of the pool's sums, or (present) puts it in. */
static void count_item(struct model_pool *pool, const struct model_item *item, bool present)
{
    const uint64_t rest = item->weight == 0 || item->quantity < 0 ? 0 : (uint64_t)item->quantity;
    const uint32_t endless = item->weight > 0 && item->quantity == URN_UNLIMITED;
    if (present) {
        pool->weight_of_all += item->weight;
        pool->rest += rest;
        pool->endless += endless;
    } else {
        pool->weight_of_all -= item->weight;
        pool->rest -= rest;
        pool->endless -= endless;
    }
}

static void apply_draw(struct model *model, struct model_pool *pool, const struct effect *effect,
                       const uint32_t *outcomes)
{
    model->next_id += effect->index;
    for (uint32_t i = 0; i < effect->index; i++) {
        const uint32_t index = outcomes[effect->number + i];
        if (index == URN_FAILED_DRAW)
            continue;
        PROMISE(index < pool->item_count, "an outcome is %u in a pool of %u items", index,
                pool->item_count);
        struct model_item *item = &pool->items[index];
        PROMISE(item->weight > 0, "item %u of weight 0 was drawn", index);
        item->drawn++;
        if (item->quantity == URN_UNLIMITED)
            continue;
        PROMISE(item->quantity > 0, "P2: item %u of pool %.*s was issued beyond its stock", index,
                (int)pool->name.length, pool->name.bytes);
        item->quantity--;
        pool->rest--;
    }
}

static void add_pool(struct model *model, const struct effect *effect)
{
    CHECK(effect->pool == model->pool_count && model->pool_count < MODEL_POOLS_MAX);
    struct model_pool *pool = &model->pools[model->pool_count++];
    *pool = (struct model_pool){.name = effect->name,
                                .unfinished = true,
                                .odds_version = 1,
                                .item_capacity = pool->item_capacity,
                                .items = pool->items};
}

static void add_item(struct model *model, struct model_pool *pool, const struct effect *effect)
{
    reserve_items(pool, pool->item_count + 1);
    struct model_item *item = &pool->items[pool->item_count++];
    *item = (struct model_item){.name = effect->name,
                                .quantity = effect->quantity,
                                .weight = effect->number,
                                .applied = effect->number};
    count_item(pool, item, true);
    model->item_count++;
}

static void change_item(struct model_pool *pool, const struct effect *effect)
{
    CHECK(effect->index < pool->item_count);
    struct model_item *item = &pool->items[effect->index];
    count_item(pool, item, false);
    if (effect->kind == EFFECT_QUANTITY)
        item->quantity = effect->quantity;
    else if (effect->kind == EFFECT_WEIGHT)
        item->weight = effect->number;
    else
        item->applied = effect->number;
    count_item(pool, item, true);
}

void model_apply(struct model *model, const struct effect *effect, const uint32_t *outcomes)
{
    if (effect->kind == EFFECT_POOL) {
        add_pool(model, effect);
        return;
    }
    if (effect->kind == EFFECT_IDS) {
        model->reserved_id = effect->number;
        return;
    }
    CHECK(effect->pool < model->pool_count);
    struct model_pool *pool = &model->pools[effect->pool];
    switch (effect->kind) {
    case EFFECT_DRAW:
        apply_draw(model, pool, effect, outcomes);
        break;
    case EFFECT_ITEM:
        add_item(model, pool, effect);
        break;
    case EFFECT_QUANTITY:
    case EFFECT_WEIGHT:
    case EFFECT_APPLIED:
        change_item(pool, effect);
        break;
    case EFFECT_OPEN:
    case EFFECT_CLOSE:
        pool->open = effect->kind == EFFECT_OPEN;
        pool->unfinished = false;
        break;
    case EFFECT_ODDS:
        pool->odds_version++;
        break;
    case EFFECT_POOL:
    case EFFECT_IDS:
        break;
    }
}
