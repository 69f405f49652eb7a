/* random.c: Lemire's method over a block of random bytes. See random.h.
 *
 * For a word x of 64 random bits, the product x * bound lies in [0, bound * 2^64): its high half is
 * the number, its low half says where in that number's interval x fell. Intervals hold one word
 * more or less unless bound divides 2^64; passing over the words whose low half is below 2^64 mod
 * bound leaves exactly floor(2^64 / bound) words for each number. That remainder is below bound, so
 * that the division is only made when the low half is, which hardly ever happens.
 */
#include "engine/random.h"

#include <string.h>

#include "engine/bytes.h"
#include "engine/check.h"

_Static_assert(RANDOM_BLOCK_BYTES % RANDOM_WORD_BYTES == 0, "a block is whole words");

void random_init(struct random_source *source, struct urn_os *os)
{
    source->os = os;
    source->used_bytes = RANDOM_BLOCK_BYTES;
    memset(source->block, 0, sizeof source->block);
}

/* True, and *number, when the word may be used for this bound. */
static inline bool number_below(uint64_t word, uint64_t bound, uint64_t *number)
{
    __extension__ unsigned __int128 product = (unsigned __int128)word * bound;
    uint64_t low = (uint64_t)product;
    *number = (uint64_t)(product >> 64);
    return __builtin_expect(low >= bound, 1) || low >= (0 - bound) % bound;
}

uint32_t random_preview_below(struct random_source *source, uint64_t bound, uint64_t *numbers,
                              uint32_t count)
{
    CHECK(bound > 0 && count > 0);
    for (;;) {
        if (source->used_bytes == RANDOM_BLOCK_BYTES) {
            os_random(source->os, source->block, RANDOM_BLOCK_BYTES);
            source->used_bytes = 0;
        }
        const uint8_t *words = source->block + source->used_bytes;
        uint32_t words_left = (RANDOM_BLOCK_BYTES - source->used_bytes) / RANDOM_WORD_BYTES;
        uint32_t limit = count < words_left ? count : words_left;
        uint32_t given = 0;
        while (given < limit &&
               number_below(get_u64(words + given * RANDOM_WORD_BYTES), bound, &numbers[given]))
            given++;
        if (given > 0)
            return given;
        random_use(source, 1); /* the very next word would bias: pass over it */
    }
}

bool random_guess_below(const struct random_source *source, uint64_t ahead, uint64_t bound,
                        uint64_t *number)
{
    CHECK(bound > 0);
    uint32_t words_left = (RANDOM_BLOCK_BYTES - source->used_bytes) / RANDOM_WORD_BYTES;
    if (ahead >= words_left)
        return false;
    const uint8_t *word = source->block + source->used_bytes + ahead * RANDOM_WORD_BYTES;
    (void)number_below(get_u64(word), bound, number);
    return true;
}

void random_use(struct random_source *source, uint32_t count)
{
    uint32_t bytes = count * RANDOM_WORD_BYTES;
    CHECK(bytes <= RANDOM_BLOCK_BYTES - source->used_bytes);
    memset(source->block + source->used_bytes, 0, bytes);
    source->used_bytes += bytes;
}

uint64_t random_below(struct random_source *source, uint64_t bound)
{
    uint64_t number;
    random_preview_below(source, bound, &number, 1);
    random_use(source, 1);
    return number;
}
