/* pages.h: arrays that grow without being copied.
 *
 * A small one is a piece of the heap. A large one is pages of its own: when it grows, the system gives
 * its pages another place in memory and more behind them, which takes some microseconds for each MiB
 * and touches none of the bytes. */
#ifndef URN_ENGINE_PAGES_H
#define URN_ENGINE_PAGES_H

#include <stdint.h>

#define PAGES_ALIGN_BYTES 128u          /* how every array is aligned */
#define PAGES_LARGE_BYTES (256u * 1024) /* arrays from this size on are pages of their own */

/* An array of so many bytes in the place of one that had old_bytes (0: there was none, old is NULL),
 * whose content it keeps; what is new is zeroes. NULL, and nothing is changed, for lack of memory.
 * bytes: more than old_bytes. */
void *pages_grow(void *old, uint64_t old_bytes, uint64_t bytes);

/* Frees an array of so many bytes; NULL and 0 are none. */
void pages_free(void *array, uint64_t bytes);

#endif
