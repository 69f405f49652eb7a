/* name_set.c: an open-addressed hash table of names. See name_set.h. */
#include "server/name_set.h"

#include <stdlib.h>
#include <string.h>

/* FNV-1a, 64 bits, by Fowler, Noll and Vo. The names come from the operator's own file. */
static uint64_t name_hash(const char *bytes, uint32_t length)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint32_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

/* The slot that holds the name, or the free one where it belongs. */
static struct name_slot *find_slot(const struct name_set *set, const char *bytes, uint32_t length)
{
    uint32_t mask = set->slot_count - 1;
    uint32_t at = (uint32_t)name_hash(bytes, length) & mask;
    while (set->slots[at].bytes != NULL &&
           (set->slots[at].length != length || memcmp(set->slots[at].bytes, bytes, length) != 0))
        at = (at + 1) & mask;
    return &set->slots[at];
}

static bool grow(struct name_set *set)
{
    struct name_set larger = {.slot_count = set->slot_count == 0 ? 64 : set->slot_count * 2,
                              .used = set->used};
    larger.slots = calloc(larger.slot_count, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (uint32_t i = 0; i < set->slot_count; i++)
        if (set->slots[i].bytes != NULL)
            *find_slot(&larger, set->slots[i].bytes, set->slots[i].length) = set->slots[i];
    free(set->slots);
    *set = larger;
    return true;
}

bool name_set_add(struct name_set *set, const char *bytes, uint32_t length, uint32_t *earlier)
{
    if (set->used >= set->slot_count / 2 && !grow(set))
        return false;
    struct name_slot *slot = find_slot(set, bytes, length);
    *earlier = slot->bytes != NULL ? slot->ordinal : 0;
    if (slot->bytes == NULL)
        *slot = (struct name_slot){.bytes = bytes, .length = length, .ordinal = ++set->used};
    return true;
}

void name_set_free(struct name_set *set)
{
    free(set->slots);
    *set = (struct name_set){0};
}
