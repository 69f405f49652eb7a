/* catalog_check.c: see catalog_check.h. Names are looked for in an open-addressed hash, at most half
 * full, of ordinals + 1. */
#include "engine/catalog_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "engine/name.h"

/* The name of an ordinal: of an item in a catalog, or of a pool in a list. */
typedef struct urn_text (*name_of)(const void *list, uint32_t ordinal);

static struct urn_text item_name(const void *list, uint32_t ordinal)
{
    const struct urn_item_spec *items = list;
    return (struct urn_text){items[ordinal].item_id, items[ordinal].item_id_bytes};
}

static struct urn_text pool_spec_name(const void *list, uint32_t ordinal)
{
    const struct urn_pool_spec *pools = list;
    return (struct urn_text){pools[ordinal].name, pools[ordinal].name_bytes};
}

/* Finds the first name that stands there twice. URN_OK: none; *error is left alone. */
static enum urn_code find_twice(const char *what, const void *list, uint32_t count, name_of name_at,
                                struct urn_error *error)
{
    const uint64_t slot_count = catalog_check_slots(count);
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory to check %" PRIu32 " names", count);
    enum urn_code code = URN_OK;
    for (uint32_t ordinal = 0; ordinal < count && code == URN_OK; ordinal++) {
        const struct urn_text name = name_at(list, ordinal);
        uint64_t slot = ((name_hash(name.bytes, name.length) >> 32) * slot_count) >> 32;
        for (; slots[slot] != 0; slot = slot + 1 < slot_count ? slot + 1 : 0) {
            const struct urn_text other = name_at(list, slots[slot] - 1);
            if (other.length == name.length && memcmp(other.bytes, name.bytes, name.length) == 0) {
                code = error_set(error, URN_BADARG, 0, "%s \"%.*s\" occurs twice", what,
                                 (int)name.length, name.bytes);
                break;
            }
        }
        slots[slot] = ordinal + 1;
    }
    free(slots);
    return code;
}

static const char *item_fault(const struct urn_item_spec *item, uint64_t weight_before)
{
    if (!name_is_valid(item->item_id, item->item_id_bytes))
        return "its id is not 1 to 64 bytes of UTF-8 without control characters";
    if (item->quantity != URN_UNLIMITED &&
        (item->quantity < 0 || (uint64_t)item->quantity > URN_NUMBER_MAX))
        return "quantity must be -1 (unlimited) or 0 to 2^53 - 1";
    if (item->probability > URN_NUMBER_MAX)
        return "probability must be 0 to 2^53 - 1";
    if (item->probability > URN_NUMBER_MAX - weight_before)
        return "with it the probabilities of all items of the pool sum up to 2^53 or more";
    return NULL;
}

static enum urn_code check_catalog(const struct urn_pool_spec *pool, struct urn_error *error)
{
    uint64_t weight = 0;
    for (uint32_t i = 0; i < pool->item_count; i++) {
        const char *fault = item_fault(&pool->items[i], weight);
        if (fault != NULL)
            return error_set(error, URN_BADARG, 0, "item %" PRIu32 " of pool \"%.*s\": %s", i,
                             (int)pool->name_bytes, pool->name, fault);
        weight += pool->items[i].probability;
    }
    if (find_twice("item", pool->items, pool->item_count, item_name, error) != URN_OK)
        return error_prefix(error, "pool \"%.*s\": ", (int)pool->name_bytes, pool->name);
    return URN_OK;
}

enum urn_code catalog_check(const struct urn_pool_spec *pools, uint32_t pool_count,
                            const struct state_bounds *bounds, struct urn_error *error)
{
    CHECK(bounds->max_items <= MAX_ITEMS_MAX);
    uint64_t items = 0;
    if (pool_count > bounds->max_pools)
        return error_set(error, URN_TOOBIG, 0,
                         "there are %" PRIu32 " pools, and limits.max_pools allows %" PRIu32,
                         pool_count, bounds->max_pools);
    for (uint32_t i = 0; i < pool_count; i++) {
        if (!name_is_valid(pools[i].name, pools[i].name_bytes))
            return error_set(error, URN_BADARG, 0,
                             "pool %" PRIu32 ": its name is not 1 to %u bytes of UTF-8 without "
                             "control characters",
                             i, URN_NAME_BYTES_MAX);
        items += pools[i].item_count;
        if (items > bounds->max_items)
            return error_set(error, URN_TOOBIG, 0,
                             "with pool \"%.*s\" there are %" PRIu64
                             " items, and limits.max_items allows %" PRIu32,
                             (int)pools[i].name_bytes, pools[i].name, items, bounds->max_items);
        if (check_catalog(&pools[i], error) != URN_OK)
            return error->code;
    }
    return find_twice("pool", pools, pool_count, pool_spec_name, error);
}
