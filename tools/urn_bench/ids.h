/* ids.h: which request ids were given out, in memory that follows their gaps and not their number.
 *
 * Ranges are appended as they come; when there is no room left they are sorted and those that touch
 * are made one, and two that overlap are found. A server that serves nobody else leaves no gaps, so
 * that a billion ids are one range in the end.
 *
 * Pure; threads: one at a time for each struct.
 */
#ifndef URN_TOOLS_URN_BENCH_IDS_H
#define URN_TOOLS_URN_BENCH_IDS_H

#include <stdbool.h>
#include <stdint.h>

struct id_range {
    uint64_t first;
    uint64_t end; /* behind the last */
};

/* Zeroed: empty. */
struct ids {
    struct id_range *ranges;
    uint64_t count;
    uint64_t capacity;
    uint64_t given;   /* ids in all */
    uint64_t doubled; /* of those, how many were given before; final after ids_settle() */
};

/* Adds count (1 or more) ids from first on. False: no memory. */
bool ids_add(struct ids *ids, uint64_t first, uint64_t count);

/* Adds all of another one. False: no memory. */
bool ids_merge(struct ids *ids, const struct ids *other);

/* Sorts and joins: then the ranges stand apart and in order, and doubled is right. */
void ids_settle(struct ids *ids);

void ids_free(struct ids *ids);

#endif
