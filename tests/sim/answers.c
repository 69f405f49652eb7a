/* answers.c: see answers.h. */
#include "tests/sim/answers.h"

#include <inttypes.h>
#include <stddef.h>

#include "tests/sim/verdict.h"

/* ---- reads ----------------------------------------------------------------------------------- */

static void check_item(const struct model_pool *pool, const struct urn_item *item, uint32_t index)
{
    const struct model_item *expected = &pool->items[index];
    const int length = (int)pool->name.length;
    PROMISE(item->index == index && model_same_text(item->item_id, expected->name),
            "item %u of pool %.*s is not itself", index, length, pool->name.bytes);
    PROMISE(item->quantity == expected->quantity && item->drawn == expected->drawn,
            "item %u of pool %.*s: quantity %" PRId64 " drawn %" PRIu64 ", expected %" PRId64
            " and %" PRIu64,
            index, length, pool->name.bytes, item->quantity, item->drawn, expected->quantity,
            expected->drawn);
    PROMISE(item->probability == expected->weight,
            "item %u of pool %.*s weighs %" PRIu64 ", expected %" PRIu64, index, length,
            pool->name.bytes, item->probability, expected->weight);
}

static void check_state(const struct model *model, const struct model_pool *pool,
                        const struct urn_request *request)
{
    PROMISE(request->last_request_id == model->next_id - 1,
            "last request id %" PRIu64 ", expected %" PRIu64, request->last_request_id,
            model->next_id - 1);
    PROMISE(request->open == pool->open, "pool %.*s is shown %s", (int)pool->name.length,
            pool->name.bytes, request->open ? "open" : "closed");
    for (uint32_t i = 0; i < request->returned; i++)
        check_item(pool, &request->items[i], request->offset + i);
}

static void check_names(const struct model *model, const struct model_pool *pool,
                        const struct urn_request *request)
{
    for (uint32_t i = 0; i < request->returned; i++) {
        const uint32_t at = request->offset + i;
        const struct urn_text expected =
            request->op == URN_POOLS ? model->pools[at].name : pool->items[at].name;
        PROMISE(model_same_text(request->names[i], expected), "name %u is %.*s, expected %.*s", at,
                (int)request->names[i].length, request->names[i].bytes, (int)expected.length,
                expected.bytes);
    }
}

void answers_check_read(const struct model *model, const struct urn_request *request)
{
    const struct urn_text name = {request->pool_name, request->pool_name_bytes};
    const struct model_pool *pool = model_find_pool(model, name);
    const bool exists = request->op == URN_POOLS || pool != NULL;
    PROMISE(request->code == (exists ? URN_OK : URN_NOPOOL), "a read of %.*s ended with %s",
            (int)name.length, name.length == 0 ? "" : name.bytes, urn_code_text(request->code));
    if (!exists)
        return;
    const uint32_t total = request->op == URN_POOLS ? model->pool_count : pool->item_count;
    const uint32_t behind = request->offset < total ? total - request->offset : 0;
    PROMISE(request->total == total &&
                request->returned == (behind < request->limit ? behind : request->limit),
            "a read returned %u of %u, where %u are", request->returned, request->total, total);
    PROMISE(request->op == URN_POOLS || request->odds_version == pool->odds_version,
            "pool %.*s is shown at odds version %" PRIu64 ", expected %" PRIu64, (int)name.length,
            name.bytes, request->odds_version, pool->odds_version);
    if (request->op == URN_STATE)
        check_state(model, pool, request);
    else
        check_names(model, pool, request);
}

/* ---- reload ---------------------------------------------------------------------------------- */

static bool is_said(const struct urn_change *said, const struct urn_change *expected)
{
    return said->kind == expected->kind && model_same_text(said->pool, expected->pool) &&
           model_same_text(said->item_id, expected->item_id);
}

static void check_change(const struct urn_change *said, const struct urn_change *expected,
                         uint32_t at)
{
    PROMISE(is_said(said, expected),
            "change %u is of kind %u of item %.*s of pool %.*s, expected kind %u, %.*s, %.*s", at,
            said->kind, (int)said->item_id.length, said->item_id.bytes, (int)said->pool.length,
            said->pool.bytes, expected->kind, (int)expected->item_id.length,
            expected->item_id.bytes, (int)expected->pool.length, expected->pool.bytes);
    PROMISE(said->quantity == expected->quantity && said->probability == expected->probability &&
                said->before == expected->before,
            "change %u says quantity %" PRId64 ", probability %" PRIu64 ", before %" PRIu64
            "; expected %" PRId64 ", %" PRIu64 ", %" PRIu64,
            at, said->quantity, said->probability, said->before, expected->quantity,
            expected->probability, expected->before);
}

/* How many of the ruled changes are of a kind (URN_CHANGE_KINDS: any), without the optional ones. */
static uint32_t count_due(const struct ruling *ruling, uint32_t kind, uint32_t *optional)
{
    uint32_t due = 0;
    *optional = 0;
    for (uint32_t i = 0; i < ruling->change_count; i++) {
        const struct ruled_change *change = &ruling->changes[i];
        if (kind != URN_CHANGE_KINDS && change->change.kind != kind)
            continue;
        due += !change->optional;
        *optional += change->optional;
    }
    return due;
}

static void check_counts(const struct ruling *ruling, const struct urn_request *request)
{
    uint32_t sum = 0;
    for (uint32_t kind = 0; kind < URN_CHANGE_KINDS; kind++) {
        uint32_t optional;
        const uint32_t due = count_due(ruling, kind, &optional);
        PROMISE(request->kinds[kind] >= due && request->kinds[kind] <= due + optional,
                "a reload counts %u changes of kind %u, expected %u, and %u more perhaps",
                request->kinds[kind], kind, due, optional);
        sum += request->kinds[kind];
    }
    PROMISE(
        request->total == sum && request->returned == (sum < request->limit ? sum : request->limit),
        "a reload tells %u of %u changes, and counts %u", request->returned, request->total, sum);
}

void answers_check_reload(const struct ruling *ruling, const struct urn_request *request)
{
    uint32_t at = 0;
    check_counts(ruling, request);
    for (uint32_t i = 0; i < request->returned; i++, at++) {
        while (at < ruling->change_count && ruling->changes[at].optional &&
               !is_said(&request->changes[i], &ruling->changes[at].change))
            at++;
        PROMISE(at < ruling->change_count, "change %u is one too many", i);
        check_change(&request->changes[i], &ruling->changes[at].change, i);
    }
}
