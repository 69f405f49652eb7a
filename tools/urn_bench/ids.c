/* ids.c: see ids.h. */
#include "tools/urn_bench/ids.h"

#include <stdlib.h>

#include "engine/check.h"

#define RANGES_AT_FIRST 4096u

static int compare_ranges(const void *left, const void *right)
{
    const struct id_range *a = left;
    const struct id_range *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

void ids_settle(struct ids *ids)
{
    if (ids->count == 0)
        return;
    CHECK(ids->ranges != NULL);
    qsort(ids->ranges, ids->count, sizeof *ids->ranges, compare_ranges);
    struct id_range *last = ids->ranges;
    for (const struct id_range *range = ids->ranges + 1; range < ids->ranges + ids->count;
         range++) {
        if (range->first > last->end) {
            *++last = *range;
            continue;
        }
        uint64_t common_end = range->end < last->end ? range->end : last->end;
        ids->doubled += common_end - range->first;
        if (range->end > last->end)
            last->end = range->end;
    }
    ids->count = (uint64_t)(last - ids->ranges) + 1;
}

/* Room for one more: by joining, and when that frees less than half of it by growing. */
static bool make_room(struct ids *ids)
{
    if (ids->count < ids->capacity)
        return true;
    ids_settle(ids);
    if (ids->count < ids->capacity / 2)
        return true;
    uint64_t capacity = ids->capacity == 0 ? RANGES_AT_FIRST : 2 * ids->capacity;
    struct id_range *ranges = reallocarray(ids->ranges, capacity, sizeof *ranges);
    if (ranges == NULL)
        return false;
    ids->ranges = ranges;
    ids->capacity = capacity;
    return true;
}

static bool add_range(struct ids *ids, uint64_t first, uint64_t end)
{
    if (ids->count > 0 && ids->ranges[ids->count - 1].end == first) {
        ids->ranges[ids->count - 1].end = end;
        return true;
    }
    if (!make_room(ids))
        return false;
    CHECK(ids->ranges != NULL && ids->count < ids->capacity);
    ids->ranges[ids->count++] = (struct id_range){first, end};
    return true;
}

bool ids_add(struct ids *ids, uint64_t first, uint64_t count)
{
    CHECK(count > 0 && first <= UINT64_MAX - count);
    ids->given += count;
    return add_range(ids, first, first + count);
}

bool ids_merge(struct ids *ids, const struct ids *other)
{
    for (uint64_t i = 0; i < other->count; i++)
        if (!add_range(ids, other->ranges[i].first, other->ranges[i].end))
            return false;
    ids->given += other->given;
    ids->doubled += other->doubled;
    return true;
}

void ids_free(struct ids *ids)
{
    free(ids->ranges);
    *ids = (struct ids){0};
}
