/* random.h: unbiased numbers from the seam's random bytes, taken in bulk.
 *
 * os_random() is the cryptographic source; this buffers it, so that a draw costs 8 bytes of a block
 * and no call. Used bytes are wiped.
 */
#ifndef URN_ENGINE_RANDOM_H
#define URN_ENGINE_RANDOM_H

#include "engine/os.h"

#define RANDOM_BLOCK_BYTES 4096u

/* Owned by one thread (the writer). */
struct random_source {
    struct urn_os *os;
    uint32_t used_bytes;
    uint8_t block[RANDOM_BLOCK_BYTES] __attribute__((aligned(64)));
};

void random_init(struct random_source *source, struct urn_os *os);

/* Uniform in [0, bound), bound > 0, without bias: multiply-shift with rejection (Lemire, "Fast random
 * integer generation in an interval", 2019), 8 little-endian bytes a try. */
uint64_t random_below(struct random_source *source, uint64_t bound);

#endif
