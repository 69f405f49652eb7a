/* rules.c: see rules.h. */
#include "tests/sim/rules.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

/* Of docs/wal-format.md: what a change takes in the log, and what a group holds besides them. */
#define CHANGE_BYTES         42u
#define ALIGN_BYTES          8u
#define SEGMENT_HEADER_BYTES 4096u
#define GROUP_HEADER_BYTES   104u

static void refuse(struct ruling *ruling, enum urn_code code)
{
    ruling->refusals |= RULES_REFUSAL(code);
}

static void *grown(void *array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
    if (count < *capacity)
        return array;
    *capacity = count < 16 ? 32 : 2 * count;
    void *larger = realloc(array, *capacity * element_bytes);
    CHECK(larger != NULL);
    return larger;
}

static void effect(struct ruling *ruling, struct effect made)
{
    ruling->effects = grown(ruling->effects, ruling->effect_count, &ruling->effect_capacity,
                            sizeof *ruling->effects);
    ruling->effects[ruling->effect_count++] = made;
}

static void report_if(struct ruling *ruling, struct urn_change change, bool optional)
{
    ruling->changes = grown(ruling->changes, ruling->change_count, &ruling->change_capacity,
                            sizeof *ruling->changes);
    ruling->changes[ruling->change_count++] =
        (struct ruled_change){.change = change, .optional = optional};
}

static void report(struct ruling *ruling, struct urn_change change)
{
    report_if(ruling, change, false);
}

static struct urn_text item_name(const struct urn_item_spec *spec)
{
    return (struct urn_text){spec->item_id, spec->item_id_bytes};
}

static struct urn_text pool_name(const struct urn_pool_spec *spec)
{
    return (struct urn_text){spec->name, spec->name_bytes};
}

static struct urn_text asked_item(const struct urn_request *request)
{
    return (struct urn_text){request->item_id, request->item_id_bytes};
}

static bool is_quantity(int64_t quantity)
{
    return quantity == URN_UNLIMITED || (quantity >= 0 && (uint64_t)quantity <= URN_NUMBER_MAX);
}

/* The simulator's names are ASCII. */
static bool is_name(struct urn_text name)
{
    if (name.length == 0 || name.length > URN_NAME_BYTES_MAX)
        return false;
    for (uint32_t i = 0; i < name.length; i++)
        if (name.bytes[i] < ' ' || name.bytes[i] > '~')
            return false;
    return true;
}

/* ---- admission ------------------------------------------------------------------------------- */

#define ITEMS_COMPARED 64u /* larger catalogs are made of names that differ */

static bool occurs_before(const struct urn_pool_spec *pool, uint32_t index)
{
    for (uint32_t i = 0; i < index && index < ITEMS_COMPARED; i++)
        if (model_same_text(item_name(&pool->items[i]), item_name(&pool->items[index])))
            return true;
    return false;
}

static uint32_t catalog_faults(const struct urn_pool_spec *pool)
{
    uint64_t weight = 0;
    uint32_t faults = is_name(pool_name(pool)) ? 0 : RULES_REFUSAL(URN_BADARG);
    for (uint32_t i = 0; i < pool->item_count && faults == 0; i++) {
        const struct urn_item_spec *item = &pool->items[i];
        weight += item->probability;
        if (!is_name(item_name(item)) || !is_quantity(item->quantity) || weight > URN_NUMBER_MAX ||
            item->probability > URN_NUMBER_MAX || occurs_before(pool, i))
            faults = RULES_REFUSAL(URN_BADARG);
    }
    return faults;
}

uint32_t rules_faults(const struct urn_engine_config *config, const struct urn_request *request)
{
    uint32_t faults = 0;
    uint64_t items = 0;
    if (request->op == URN_DRAW && (request->count == 0 || request->count > config->max_batch))
        faults |= RULES_REFUSAL(URN_BADARG);
    if (request->op == URN_LOOKUP &&
        (request->request_id == 0 || request->request_id > URN_NUMBER_MAX))
        faults |= RULES_REFUSAL(URN_BADARG);
    if (request->op != URN_CREATE && request->op != URN_RELOAD)
        return faults;
    for (uint32_t i = 0; i < request->pool_count; i++) {
        faults |= catalog_faults(&request->pools[i]);
        items += request->pools[i].item_count;
    }
    if (items > config->max_items || request->pool_count > config->max_pools)
        faults |= RULES_REFUSAL(URN_TOOBIG);
    return faults;
}

/* ---- draws ----------------------------------------------------------------------------------- */

static void rule_draw(const struct model_pool *pool, const struct urn_request *request,
                      struct ruling *ruling)
{
    const uint64_t rest = model_rest(pool);
    ruling->failed = request->count > rest ? request->count - rest : 0;
    if (!pool->open)
        refuse(ruling, URN_CLOSED);
    else if (request->draw_all && ruling->failed > 0)
        refuse(ruling, URN_NOSTOCK);
}

/* ---- one item -------------------------------------------------------------------------------- */

static void rule_update(const struct circumstances *now, const struct model_pool *pool,
                        const struct urn_request *request, struct ruling *ruling)
{
    uint32_t index;
    const uint32_t pool_index = model_pool_index(now->model, pool);
    if (pool->unfinished)
        refuse(ruling, URN_CONFLICT);
    if (!model_find_item(pool, asked_item(request), &index)) {
        refuse(ruling, URN_NOITEM);
        return;
    }
    const struct model_item *item = &pool->items[index];
    const bool sets_weight = request->has_probability && request->probability != item->weight;
    if (request->has_if_quantity && request->if_quantity != item->quantity)
        refuse(ruling, URN_CONFLICT);
    if (request->has_quantity &&
        (!is_quantity(request->quantity) ||
         (request->quantity >= 0 && (uint64_t)request->quantity + item->drawn > URN_NUMBER_MAX)))
        refuse(ruling, URN_BADARG);
    if (sets_weight && (request->probability > URN_NUMBER_MAX ||
                        pool->weight_of_all - item->weight + request->probability > URN_NUMBER_MAX))
        refuse(ruling, URN_BADARG);
    if (request->has_quantity)
        effect(ruling, (struct effect){.kind = EFFECT_QUANTITY,
                                       .pool = pool_index,
                                       .index = index,
                                       .quantity = request->quantity});
    if (!sets_weight)
        return;
    effect(ruling, (struct effect){.kind = EFFECT_WEIGHT,
                                   .pool = pool_index,
                                   .index = index,
                                   .number = request->probability});
    effect(ruling, (struct effect){.kind = EFFECT_ODDS, .pool = pool_index});
}

static void rule_add(const struct circumstances *now, const struct model_pool *pool,
                     const struct urn_request *request, struct ruling *ruling)
{
    uint32_t index;
    const uint32_t pool_index = model_pool_index(now->model, pool);
    if (pool->unfinished)
        refuse(ruling, URN_CONFLICT);
    if (!is_name(asked_item(request)) || !is_quantity(request->quantity) ||
        request->probability > URN_NUMBER_MAX ||
        request->probability + pool->weight_of_all > URN_NUMBER_MAX)
        refuse(ruling, URN_BADARG);
    if (model_find_item(pool, asked_item(request), &index))
        refuse(ruling, URN_EXISTS);
    if (now->model->item_count + now->job_rest_items >= now->config->max_items)
        refuse(ruling, URN_TOOBIG);
    effect(ruling, (struct effect){.kind = EFFECT_ITEM,
                                   .pool = pool_index,
                                   .name = asked_item(request),
                                   .quantity = request->quantity,
                                   .number = request->probability});
    effect(ruling, (struct effect){.kind = EFFECT_ODDS, .pool = pool_index});
}

/* ---- pools ----------------------------------------------------------------------------------- */

static void rule_open_or_close(const struct circumstances *now, const struct model_pool *pool,
                               const struct urn_request *request, struct ruling *ruling)
{
    const bool open = request->op == URN_OPEN;
    if (pool->unfinished && (open || now->has_job))
        refuse(ruling, URN_CONFLICT);
    if (pool->unfinished || pool->open != open)
        effect(ruling, (struct effect){.kind = open ? EFFECT_OPEN : EFFECT_CLOSE,
                                       .pool = model_pool_index(now->model, pool)});
}

bool rules_begins(const struct model_pool *pool, const struct urn_pool_spec *spec)
{
    if (pool->item_count > spec->item_count)
        return false;
    for (uint32_t i = 0; i < pool->item_count; i++)
        if (!model_same_text(pool->items[i].name, item_name(&spec->items[i])) ||
            pool->items[i].quantity != spec->items[i].quantity ||
            pool->items[i].weight != spec->items[i].probability)
            return false;
    return true;
}

static void rule_create(const struct circumstances *now, const struct urn_request *request,
                        struct ruling *ruling)
{
    const struct model *model = now->model;
    const struct urn_pool_spec *spec = &request->pools[0];
    const struct model_pool *pool = model_find_pool(model, pool_name(spec));
    const uint64_t there = pool == NULL ? 0 : pool->item_count;
    if (now->has_job)
        refuse(ruling, URN_BUSY);
    if (pool != NULL && !(pool->unfinished && rules_begins(pool, spec)))
        refuse(ruling, URN_EXISTS);
    if (pool == NULL && model->pool_count >= now->config->max_pools)
        refuse(ruling, URN_TOOBIG);
    if (model->item_count + spec->item_count - there > now->config->max_items)
        refuse(ruling, URN_TOOBIG);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static uint64_t change_bytes(uint32_t name_bytes)
{
    return (CHANGE_BYTES + name_bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
}

struct reload {
    const struct circumstances *now;
    const struct urn_request *request;
    struct ruling *ruling;
    uint64_t group_bytes; /* that the changes of the pools there are take in one group */
    uint64_t new_items, new_pools;
    bool raises; /* the odds of the present pool change */
};

/* An item that file and pool have. */
static void reload_item(struct reload *reload, const struct model_pool *pool, uint32_t index,
                        uint64_t file)
{
    const struct model_item *item = &pool->items[index];
    struct effect made = {
        .pool = model_pool_index(reload->now->model, pool), .index = index, .number = file};
    struct urn_change change = {.pool = pool->name,
                                .item_id = item->name,
                                .quantity = item->quantity,
                                .probability = file,
                                .before = item->weight};
    if (file == item->applied)
        return;
    const bool is_so_already = file == item->weight;
    if (!is_so_already && item->applied != item->weight && !reload->request->force) {
        change.kind = URN_CHANGE_CONFLICT;
        report(reload->ruling, change);
        return;
    }
    reload->group_bytes += change_bytes(0);
    if (!is_so_already) {
        change.kind = URN_CHANGE_WEIGHT;
        report(reload->ruling, change);
        made.kind = EFFECT_WEIGHT;
        effect(reload->ruling, made);
        reload->raises = true;
    }
    made.kind = EFFECT_APPLIED;
    effect(reload->ruling, made);
}

static void reload_new_item(struct reload *reload, const struct model_pool *pool,
                            const struct urn_item_spec *spec)
{
    report(reload->ruling, (struct urn_change){.kind = URN_CHANGE_NEW_ITEM,
                                               .pool = pool->name,
                                               .item_id = item_name(spec),
                                               .quantity = spec->quantity,
                                               .probability = spec->probability});
    effect(reload->ruling, (struct effect){.kind = EFFECT_ITEM,
                                           .pool = model_pool_index(reload->now->model, pool),
                                           .name = item_name(spec),
                                           .quantity = spec->quantity,
                                           .number = spec->probability});
    reload->group_bytes += change_bytes(spec->item_id_bytes);
    reload->new_items++;
    reload->raises = true;
}

/* The sum of all weights if these effects are carried out. */
static uint64_t weight_behind(const struct model_pool *pool, const struct effect *effects,
                              uint32_t count)
{
    uint64_t weight = pool->weight_of_all;
    for (uint32_t i = 0; i < count; i++) {
        if (effects[i].kind == EFFECT_WEIGHT)
            weight -= pool->items[effects[i].index].weight;
        if (effects[i].kind == EFFECT_WEIGHT || effects[i].kind == EFFECT_ITEM)
            weight += effects[i].number;
    }
    return weight;
}

/* What was added while the file was being compared may be told or not. */
static void report_missing_items(const struct reload *reload, const struct model_pool *pool,
                                 const bool *in_file)
{
    const uint32_t *before = reload->now->items_before;
    const uint32_t compared =
        before == NULL ? pool->item_count : before[model_pool_index(reload->now->model, pool)];
    for (uint32_t index = 0; index < pool->item_count; index++)
        if (!in_file[index])
            report_if(reload->ruling,
                      (struct urn_change){.kind = URN_CHANGE_ITEM_NOT_HERE,
                                          .pool = pool->name,
                                          .item_id = pool->items[index].name,
                                          .quantity = pool->items[index].quantity,
                                          .before = pool->items[index].weight},
                      index >= compared);
}

static void reload_items(struct reload *reload, const struct model_pool *pool,
                         const struct urn_pool_spec *spec)
{
    struct ruling *ruling = reload->ruling;
    bool *in_file = calloc(pool->item_count + 1u, sizeof *in_file);
    CHECK(in_file != NULL);
    const uint32_t first_effect = ruling->effect_count;
    reload->raises = false;
    for (uint32_t i = 0; i < spec->item_count; i++) {
        const struct urn_text name = item_name(&spec->items[i]);
        uint32_t index = i;
        bool known = i < pool->item_count && model_same_text(pool->items[i].name, name);
        if (known || model_find_item(pool, name, &index)) {
            in_file[index] = true;
            reload_item(reload, pool, index, spec->items[i].probability);
        } else {
            reload_new_item(reload, pool, &spec->items[i]);
        }
    }
    report_missing_items(reload, pool, in_file);
    free(in_file);
    if (weight_behind(pool, ruling->effects + first_effect, ruling->effect_count - first_effect) >
        URN_NUMBER_MAX)
        refuse(ruling, URN_BADARG);
    if (reload->raises)
        effect(ruling, (struct effect){.kind = EFFECT_ODDS,
                                       .pool = model_pool_index(reload->now->model, pool)});
}

static void reload_pool(struct reload *reload, const struct urn_pool_spec *spec)
{
    const struct model_pool *pool = model_find_pool(reload->now->model, pool_name(spec));
    if (pool != NULL && !pool->unfinished) {
        reload_items(reload, pool, spec);
        return;
    }
    const bool follows = pool == NULL || rules_begins(pool, spec);
    if (follows) {
        reload->ruling->brings_pools = true;
        reload->new_pools += pool == NULL;
        reload->new_items += spec->item_count - (pool == NULL ? 0 : pool->item_count);
    }
    report(reload->ruling,
           (struct urn_change){.kind = follows ? URN_CHANGE_NEW_POOL : URN_CHANGE_CONFLICT,
                               .pool = pool_name(spec),
                               .quantity = spec->item_count});
}

static bool file_has(const struct urn_request *request, struct urn_text name)
{
    for (uint32_t i = 0; i < request->pool_count; i++)
        if (model_same_text(pool_name(&request->pools[i]), name))
            return true;
    return false;
}

static void rule_reload(const struct circumstances *now, const struct urn_request *request,
                        struct ruling *ruling)
{
    const struct model *model = now->model;
    struct reload reload = {.now = now, .request = request, .ruling = ruling};
    if (now->has_job)
        refuse(ruling, URN_BUSY);
    for (uint32_t i = 0; i < request->pool_count; i++)
        reload_pool(&reload, &request->pools[i]);
    for (uint32_t i = 0; i < model->pool_count; i++)
        if (!file_has(request, model->pools[i].name))
            report(ruling, (struct urn_change){.kind = URN_CHANGE_POOL_NOT_HERE,
                                               .pool = model->pools[i].name});
    if (reload.new_pools + model->pool_count > now->config->max_pools ||
        reload.new_items + model->item_count > now->config->max_items)
        refuse(ruling, URN_TOOBIG);
    if (reload.group_bytes >
        now->config->segment_size_bytes - SEGMENT_HEADER_BYTES - GROUP_HEADER_BYTES)
        refuse(ruling, URN_TOOBIG);
    if (request->dry_run)
        ruling->effect_count = 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

static uint64_t odds_behind(const struct model *model, const struct model_pool *pool,
                            const struct ruling *ruling)
{
    uint64_t odds_version = pool->odds_version;
    for (uint32_t i = 0; ruling->refusals == 0 && i < ruling->effect_count; i++)
        odds_version += ruling->effects[i].kind == EFFECT_ODDS &&
                        ruling->effects[i].pool == model_pool_index(model, pool);
    return odds_version;
}

void rules_on(const struct circumstances *now, const struct urn_request *request,
              struct ruling *ruling)
{
    ruling->refusals = 0;
    ruling->effect_count = 0;
    ruling->change_count = 0;
    ruling->odds_version = 0;
    ruling->failed = 0;
    ruling->brings_pools = false;
    if (request->op == URN_CREATE) {
        rule_create(now, request, ruling);
        return;
    }
    if (request->op == URN_RELOAD) {
        rule_reload(now, request, ruling);
        return;
    }
    const struct model_pool *pool = model_find_pool(now->model, model_asked_name(request));
    if (pool == NULL) {
        refuse(ruling, URN_NOPOOL);
        return;
    }
    if (request->op == URN_DRAW)
        rule_draw(pool, request, ruling);
    else if (request->op == URN_UPDATE)
        rule_update(now, pool, request, ruling);
    else if (request->op == URN_ADD)
        rule_add(now, pool, request, ruling);
    else
        rule_open_or_close(now, pool, request, ruling);
    ruling->odds_version = odds_behind(now->model, pool, ruling);
}

void rules_free(struct ruling *ruling)
{
    free(ruling->effects);
    free(ruling->changes);
    *ruling = (struct ruling){0};
}
