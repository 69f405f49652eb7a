/* random.c: Lemire's method over a block of random bytes. See random.h.
 *
 * For a word x of 64 random bits, the product x * bound lies in [0, bound * 2^64): its high half is
 * the number, its low half says where in that number's interval x fell. Intervals hold one word
 * more or less unless bound divides 2^64; passing over the words whose low half is below 2^64 mod
 * bound leaves exactly floor(2^64 / bound) words for each number. That remainder is below bound, so
 * that the division is only made when the low half is, which hardly ever happens.
 *
 * For a small bound the same is done with 32 bits in place of 64. The bound is so small beside 2^32
 * that the division remains rare, and half the bytes make the number, of which the source's time is
 * the larger part of a draw from a small pool.
 */
#include "engine/random.h"

#include <string.h>

#include "engine/bytes.h"
#include "engine/check.h"

_Static_assert(RANDOM_BLOCK_BYTES % RANDOM_WORD_BYTES == 0, "a block is whole words");
_Static_assert(RANDOM_WORD_BYTES % RANDOM_SMALL_WORD_BYTES == 0,
               "where no word of 8 bytes is left, one of 4 or none is");

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

static inline bool small_number_below(uint32_t word, uint32_t bound, uint64_t *number)
{
    uint64_t product = (uint64_t)word * bound;
    uint32_t low = (uint32_t)product;
    *number = product >> 32;
    return __builtin_expect(low >= bound, 1) || low >= (0 - bound) % bound;
}

/* Wipes words that are used or passed over. */
static void wipe(struct random_source *source, uint32_t bytes)
{
    CHECK(bytes <= RANDOM_BLOCK_BYTES - source->used_bytes);
    memset(source->block + source->used_bytes, 0, bytes);
    source->used_bytes += bytes;
}

/* Sees to it that the block has one word of so many bytes at least. Returns how many it has. The last 4
 * bytes of a block that are too few are overwritten by the next. */
static inline uint32_t words_at_hand(struct random_source *source, uint32_t word_bytes)
{
    uint32_t left_bytes = RANDOM_BLOCK_BYTES - source->used_bytes;
    if (__builtin_expect(left_bytes < word_bytes, 0)) {
        os_random(source->os, source->block, RANDOM_BLOCK_BYTES);
        source->used_bytes = 0;
        left_bytes = RANDOM_BLOCK_BYTES;
    }
    return left_bytes / word_bytes;
}

/* The numbers of words as they come, up to the first that would bias. Returns how many. */
static uint32_t preview_small(const uint8_t *words, uint32_t bound, uint64_t *numbers,
                              uint32_t count)
{
    uint32_t given = 0;
    while (given < count && small_number_below(get_u32(words + given * RANDOM_SMALL_WORD_BYTES),
                                               bound, &numbers[given]))
        given++;
    return given;
}

static uint32_t preview_large(const uint8_t *words, uint64_t bound, uint64_t *numbers,
                              uint32_t count)
{
    uint32_t given = 0;
    while (given < count &&
           number_below(get_u64(words + given * RANDOM_WORD_BYTES), bound, &numbers[given]))
        given++;
    return given;
}

uint32_t random_preview_below(struct random_source *source, uint64_t bound, uint64_t *numbers,
                              uint32_t count)
{
    CHECK(bound > 0 && count > 0);
    const uint32_t word_bytes = random_word_bytes(bound);
    for (;;) {
        const uint32_t at_hand = words_at_hand(source, word_bytes);
        const uint8_t *words = source->block + source->used_bytes;
        const uint32_t limit = count < at_hand ? count : at_hand;
        const uint32_t given = word_bytes == RANDOM_SMALL_WORD_BYTES
                                   ? preview_small(words, (uint32_t)bound, numbers, limit)
                                   : preview_large(words, bound, numbers, limit);
        if (given > 0)
            return given;
        wipe(source, word_bytes); /* the very next word would bias: pass over it */
    }
}

const uint8_t *random_small_words(struct random_source *source, uint32_t *count)
{
    *count = words_at_hand(source, RANDOM_SMALL_WORD_BYTES);
    return source->block + source->used_bytes;
}

bool random_guess_below(const struct random_source *source, uint64_t ahead_bytes, uint64_t bound,
                        uint64_t *number)
{
    CHECK(bound > 0);
    const uint32_t word_bytes = random_word_bytes(bound);
    const uint32_t left_bytes = RANDOM_BLOCK_BYTES - source->used_bytes;
    if (left_bytes < word_bytes || ahead_bytes > left_bytes - word_bytes)
        return false;
    const uint8_t *word = source->block + source->used_bytes + ahead_bytes;
    if (word_bytes == RANDOM_SMALL_WORD_BYTES)
        (void)small_number_below(get_u32(word), (uint32_t)bound, number);
    else
        (void)number_below(get_u64(word), bound, number);
    return true;
}

void random_use(struct random_source *source, uint64_t bound, uint32_t count)
{
    wipe(source, count * random_word_bytes(bound));
}

uint64_t random_below(struct random_source *source, uint64_t bound)
{
    uint64_t number;
    random_preview_below(source, bound, &number, 1);
    random_use(source, bound, 1);
    return number;
}
