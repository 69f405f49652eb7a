/* name_set.h: a set of names, to find duplicates in time linear in their number. */
#ifndef URN_SERVER_NAME_SET_H
#define URN_SERVER_NAME_SET_H

#include <stdbool.h>

#include "engine/urn.h"

/* The name of an ordinal, from 0, that was added before; where it lies may change. */
typedef struct urn_text (*name_set_text)(const void *context, uint32_t ordinal);

/* Zeroed, but for the first two: empty. */
struct name_set {
    name_set_text text_of;
    const void *context; /* for text_of */
    uint32_t *slots; /* open addressing, linear probing, at most half full: ordinal + 1; 0: free */
    uint32_t slot_count;
    uint32_t used;
};

/* What it takes for so many names at most: 12 bytes each. */
uint64_t name_set_memory_bytes(uint64_t names);

/* Adds the next name, or says in *earlier which one it repeats (its ordinal + 1; 0: none, it was added).
 * False without memory; the set is then of no more use. */
bool name_set_add(struct name_set *set, struct urn_text name, uint32_t *earlier);

/* Releases the slots and empties it. */
void name_set_free(struct name_set *set);

#endif
