/* name_set.c: an open-addressed hash table of ordinals. See name_set.h. */
#include "server/name_set.h"

#include <stdlib.h>
#include <string.h>

#include "engine/name.h"

#define SLOTS_FIRST 64u

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t *find_slot(const struct name_set *set, struct urn_text name)
{
    const uint64_t hash = name_hash(name.bytes, name.length);
    uint32_t at = (uint32_t)(((hash >> 32) * set->slot_count) >> 32);
    while (set->slots[at] != 0) {
        const struct urn_text other = set->text_of(set->context, set->slots[at] - 1);
        if (other.length == name.length && memcmp(other.bytes, name.bytes, name.length) == 0)
            break;
        at = at + 1 < set->slot_count ? at + 1 : 0;
    }
    return &set->slots[at];
}

/* By half. The smaller table goes first: its names are all still there. */
static bool grow(struct name_set *set)
{
    set->slot_count = set->slot_count == 0 ? SLOTS_FIRST : set->slot_count / 2 * 3;
    free(set->slots);
    set->slots = calloc(set->slot_count, sizeof *set->slots);
    if (set->slots == NULL)
        return false;
    for (uint32_t ordinal = 0; ordinal < set->used; ordinal++)
        *find_slot(set, set->text_of(set->context, ordinal)) = ordinal + 1;
    return true;
}

uint64_t name_set_memory_bytes(uint64_t names)
{
    return (SLOTS_FIRST + 3 * names) * sizeof(uint32_t);
}

bool name_set_add(struct name_set *set, struct urn_text name, uint32_t *earlier)
{
    if (set->used >= set->slot_count / 2 && !grow(set))
        return false;
    uint32_t *slot = find_slot(set, name);
    *earlier = *slot;
    if (*slot == 0)
        *slot = ++set->used;
    return true;
}

void name_set_free(struct name_set *set)
{
    free(set->slots);
    *set = (struct name_set){.slots = NULL};
}
