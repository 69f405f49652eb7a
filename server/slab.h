/* slab.h: a fixed number of buffers of one size, set aside at the start and lent one at a time.
 *
 * Pages of buffers that were never lent cost nothing. Threads: one at a time.
 */
#ifndef URN_SERVER_SLAB_H
#define URN_SERVER_SLAB_H

#include "engine/error.h"

struct slab {
    uint32_t magic;
    uint32_t count; /* buffers in all */
    uint32_t lent;
    uint32_t never_lent;   /* the first that has not been lent yet: count - never_lent are left */
    uint64_t buffer_bytes; /* whole pages */
    void *returned; /* the first of those that came back; each begins with the next's address */
    uint8_t *memory;
};

/* Sets count buffers of at least buffer_bytes aside. Errors: URN_NOMEMORY. */
enum urn_code slab_begin(struct slab *slab, uint64_t buffer_bytes, uint32_t count,
                         struct urn_error *error);
void slab_end(struct slab *slab);

/* A buffer, aligned to a page; NULL when all are lent. */
void *slab_borrow(struct slab *slab);
void slab_return(struct slab *slab, void *buffer);

/* What such a slab takes. */
uint64_t slab_memory_bytes(uint64_t buffer_bytes, uint32_t count);

#endif
