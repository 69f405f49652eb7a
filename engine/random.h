/* random.h: unbiased numbers from the seam's random bytes, taken in bulk.
 *
 * os_random() is the cryptographic source; this buffers it, so that a draw costs 4 or 8 bytes of a
 * block and no call. Used bytes are wiped at once, so that a later look at the process's memory does
 * not tell past outcomes.
 *
 * The stream: bytes are used in the order in which the source gave them, a block after a block, and
 * none is used twice. The next 4 of them, little-endian, are the word for a number below a bound of
 * RANDOM_SMALL_BOUND at most, the next 8 for one below a larger bound. A word that would bias the
 * number asked for is passed over; so are the last 4 bytes of a block where 8 are wanted.
 */
#ifndef URN_ENGINE_RANDOM_H
#define URN_ENGINE_RANDOM_H

#include "engine/os.h"

#define RANDOM_BLOCK_BYTES      4096u
#define RANDOM_WORD_BYTES       8u
#define RANDOM_SMALL_WORD_BYTES 4u

/* So that of small words one in 256 at most must be looked at for its bias. */
#define RANDOM_SMALL_BOUND (1u << 24)

/* Owned by one thread (the writer). Bytes before used_bytes, a multiple of 4, are zero; those from it
 * on are fresh. */
struct random_source {
    struct urn_os *os;
    uint32_t used_bytes;
    uint8_t block[RANDOM_BLOCK_BYTES] __attribute__((aligned(64)));
};

/* Begins with an empty block: nothing is asked of the system before the first number is. */
void random_init(struct random_source *source, struct urn_os *os);

/* Uniform in [0, bound), bound > 0, without bias: multiply-shift with rejection (Lemire, "Fast
 * random integer generation in an interval", ACM Transactions on Modeling and Computer Simulation
 * 29, 2019), one word a try. */
uint64_t random_below(struct random_source *source, uint64_t bound);

/* How many bytes of the stream a number below this bound takes, unless a word is passed over. */
static inline uint32_t random_word_bytes(uint64_t bound)
{
    return bound <= RANDOM_SMALL_BOUND ? RANDOM_SMALL_WORD_BYTES : RANDOM_WORD_BYTES;
}

/* Looks ahead: numbers[i] becomes what the i-th of the next random_below(source, bound) calls would
 * return. Gives 1 to count numbers (count > 0) and returns how many: fewer than count where the
 * block ends or a word would be passed over. Nothing is used yet (what comes before the first of the
 * numbers is passed over): the caller says with random_use() how many of them it took, and may then go
 * on with another bound. */
uint32_t random_preview_below(struct random_source *source, uint64_t bound, uint64_t *numbers,
                              uint32_t count);

/* Looks ahead at the small words themselves, of which it returns the first: 1 or more, all that the
 * block still has. For a bound of RANDOM_SMALL_BOUND at most, a word whose product with it has a low
 * half of at least the bound (modulo 2^32) is not passed over, and gives the high half; of others
 * random_below() knows. Nothing is used yet, as above. */
const uint8_t *random_small_words(struct random_source *source, uint32_t *count);

/* A guess at what random_below(source, bound) will return once ahead_bytes more have been used: false
 * where the block ends before. Only for looking ahead: nothing is used, and it may be a number that
 * would be passed over. ahead_bytes is what random_word_bytes() said of the numbers before. */
bool random_guess_below(const struct random_source *source, uint64_t ahead_bytes, uint64_t bound,
                        uint64_t *number);

/* Uses up and wipes the words behind the first count numbers below bound, which have just been looked
 * at. */
void random_use(struct random_source *source, uint64_t bound, uint32_t count);

#endif
