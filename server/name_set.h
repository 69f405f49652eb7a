/* name_set.h: a set of names, to find duplicates in time linear in their number. */
#ifndef URN_SERVER_NAME_SET_H
#define URN_SERVER_NAME_SET_H

#include <stdbool.h>
#include <stdint.h>

struct name_slot {
    const char *bytes; /* NULL: free */
    uint32_t length;
    uint32_t ordinal; /* which name it was, from 1 */
};

/* Zeroed: empty. Keeps pointers to the names, which must stay where they are. */
struct name_set {
    struct name_slot *slots; /* open addressing, linear probing, at most half full */
    uint32_t slot_count;     /* a power of two, or 0 */
    uint32_t used;
};

/* Adds a name, or says in *earlier which one it repeats (0: none, it was added). False without
 * memory. */
bool name_set_add(struct name_set *set, const char *bytes, uint32_t length, uint32_t *earlier);

/* Releases the set, not the names, and empties it. */
void name_set_free(struct name_set *set);

#endif
