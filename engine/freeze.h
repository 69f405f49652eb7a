/* freeze.h: the state as it was at one moment, kept while it goes on changing. Pure.
 *
 * A snapshot is encoded by the writer itself, a little at a time, between requests. What a change is
 * about to overwrite and has not been encoded yet is copied aside first, and the encoder reads the copy:
 *
 *     items of a pool   |encoded already|  not yet: blocks of 64 items                    |added since
 *                                          [copied] [live] [live] [copied] [live] ...       never encoded
 *
 * A draw changes one counter of an item, so that only this counter of the block's items is copied (512
 * bytes); what an operator changes is copied apart from it. Where the copies of a block lie stands in a
 * table of its pool, which is made at the pool's first change: to begin costs the same whatever there is.
 *
 * The writer owns all of this. Copies lie in one piece of memory, taken when the freeze begins and large
 * enough for every item of that moment, of which only what is used becomes resident.
 */
#ifndef URN_ENGINE_FREEZE_H
#define URN_ENGINE_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FREEZE_BLOCK_ITEMS 64u

struct freeze {
    uint64_t generation;   /* rises with each freeze; 0: none was yet */
    bool active;           /* what changes is to be copied first */
    uint32_t pool_count;   /* of that moment: pools with this id or a higher one are new */
    uint32_t encoded_pool; /* pools before it, and its items before encoded_items, are encoded */
    uint32_t encoded_items;
    uint64_t *copies;
    uint64_t copies_size; /* in 8 byte words, as copies_used */
    uint64_t copies_used;
};

/* The most words that the copies of so many items in so many pools can take. */
static inline uint64_t freeze_words_max(uint64_t pools, uint64_t items)
{
    /* A table of one word a block, and four words an item. */
    return pools + items / FREEZE_BLOCK_ITEMS + 4 * items;
}

#endif
