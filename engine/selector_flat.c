/* selector_flat.c: many draws from a single node, across the draws. See selector_find_flat().
 *
 * A tree is searched draw by draw, each number in its own nodes. Where there is one node only, its few
 * sums are the same for all draws; so the numbers of 64 (or 32) draws are held in registers and compared
 * with one sum after the other. A number's slot is how many of the sums behind the first it reaches. How
 * many numbers reach each sum falls out by the way, and tallies are the differences of that.
 *
 * The numbers are made here too, from words that need no other look than this one: number and rest are
 * the high and the low half of word * total (random.c). A word whose rest is below the total might have to
 * be passed over. It ends the run, which for a small total hardly ever happens.
 */
#include "engine/selector_inner.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/bytes.h"
#include "engine/random.h"

/* Finds slots word by word, from done on. Adds to the tally; returns how many are done then. */
static inline uint32_t find_one_by_one(const struct selector *selector, const uint8_t *words,
                                       uint32_t done, uint32_t count, uint32_t *slots,
                                       uint32_t *tally)
{
    const uint32_t total = (uint32_t)selector->total;
    for (; done < count; done++) {
        const uint64_t product = (uint64_t)get_u32(words + done * RANDOM_SMALL_WORD_BYTES) * total;
        if (__builtin_expect((uint32_t)product < total, 0))
            break;
        slots[done] = slot_in_node_scalar(selector->levels[0].sums, product >> 32);
        tally[slots[done]]++;
    }
    return done;
}

uint32_t selector_flat_scalar(const struct selector *selector, const uint8_t *words, uint32_t count,
                              uint32_t *slots, uint32_t *tally)
{
    memset(tally, 0, SELECTOR_FANOUT * sizeof *tally);
    return find_one_by_one(selector, words, 0, count, slots, tally);
}

#if defined(__x86_64__)

/* Makes the tally from how many numbers reach each sum; the first, 0, is reached by all. */
static inline void tally_reached(const uint32_t *reached, uint32_t *tally)
{
    for (uint32_t slot = 0; slot + 1 < SELECTOR_FANOUT; slot++)
        tally[slot] = reached[slot] - reached[slot + 1];
    tally[SELECTOR_FANOUT - 1] = reached[SELECTOR_FANOUT - 1];
}

#define VECTORS 4u /* side by side, so that a sum is fetched once for all of them */

/* Before a loop over the vectors, which stay in registers only if it is unrolled. */
#if defined(__clang__)
#define ALL_VECTORS _Pragma("unroll")
#else
#define ALL_VECTORS _Pragma("GCC unroll 4")
#endif

/* ---- AVX2: 4 x 8 draws; what is left of a run behind them goes word by word ------------------- */

/* Takes 8 words apart into numbers and rests. */
TARGET_AVX2 static inline __m256i numbers_avx2(const uint8_t *words, __m256i total, __m256i *rests)
{
    const __m256i word = _mm256_loadu_si256((const __m256i *)(const void *)words);
    const __m256i even = _mm256_mul_epu32(word, total);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(word, 32), total);
    *rests = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}

/* True when no rest is below the total. Unsigned numbers cannot be compared, but the larger be found. */
TARGET_AVX2 static inline bool are_usable_avx2(const __m256i *rests, __m256i total)
{
    const __m256i least = _mm256_min_epu32(_mm256_min_epu32(rests[0], rests[1]),
                                           _mm256_min_epu32(rests[2], rests[3]));
    const __m256i usable = _mm256_cmpeq_epi32(_mm256_max_epu32(least, total), least);
    return _mm256_movemask_epi8(usable) == -1;
}

TARGET_AVX2 static inline uint32_t add_up_avx2(__m256i lanes)
{
    uint32_t sum = 0, each[8];
    _mm256_storeu_si256((__m256i *)(void *)each, lanes);
    for (uint32_t i = 0; i < 8; i++)
        sum += each[i];
    return sum;
}

TARGET_AVX2 uint32_t selector_flat_avx2(const struct selector *selector, const uint8_t *words,
                                        uint32_t count, uint32_t *slots, uint32_t *tally)
{
    const uint64_t *sums = selector->levels[0].sums;
    const __m256i total = _mm256_set1_epi32((int)selector->total);
    __m256i reached_lanes[SELECTOR_FANOUT];
    uint32_t reached[SELECTOR_FANOUT] = {0};
    for (uint32_t slot = 0; slot < selector->count; slot++)
        reached_lanes[slot] = _mm256_setzero_si256();
    uint32_t done = 0;
    for (; count - done >= 8 * VECTORS; done += 8 * VECTORS) {
        __m256i numbers[VECTORS], rests[VECTORS], found[VECTORS];
        ALL_VECTORS
        for (uint32_t i = 0; i < VECTORS; i++) {
            numbers[i] =
                numbers_avx2(words + (done + 8 * i) * RANDOM_SMALL_WORD_BYTES, total, &rests[i]);
            found[i] = _mm256_setzero_si256();
        }
        if (!are_usable_avx2(rests, total))
            break;
        for (uint32_t slot = 1; slot < selector->count; slot++) {
            const __m256i below = _mm256_set1_epi32((int)sums[slot] - 1);
            ALL_VECTORS
            for (uint32_t i = 0; i < VECTORS; i++) {
                const __m256i reaches = _mm256_cmpgt_epi32(numbers[i], below); /* -1 */
                found[i] = _mm256_sub_epi32(found[i], reaches);
                reached_lanes[slot] = _mm256_sub_epi32(reached_lanes[slot], reaches);
            }
        }
        ALL_VECTORS
        for (uint32_t i = 0; i < VECTORS; i++)
            _mm256_storeu_si256((__m256i *)(void *)(slots + done + 8 * i), found[i]);
    }
    reached[0] = done;
    for (uint32_t slot = 1; slot < selector->count; slot++)
        reached[slot] = add_up_avx2(reached_lanes[slot]);
    tally_reached(reached, tally);
    return find_one_by_one(selector, words, done, count, slots, tally);
}

/* ---- AVX-512: 4 x 16 draws, of which the last are masked -------------------------------------- */

/* Takes 16 words apart into numbers; says of which the rest is below the total. */
TARGET_AVX512 static inline __m512i numbers_avx512(const uint8_t *words, __mmask16 lanes,
                                                   __m512i total, uint32_t *doubtful)
{
    const __m512i word = _mm512_maskz_loadu_epi32(lanes, words);
    const __m512i even = _mm512_mul_epu32(word, total);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(word, 32), total);
    const __m512i rests = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    *doubtful = _mm512_mask_cmplt_epu32_mask(lanes, rests, total);
    return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}

TARGET_AVX512 static inline __mmask16 lanes_of(uint64_t lanes, uint32_t vector)
{
    return (__mmask16)(lanes >> (16 * vector));
}

TARGET_AVX512 uint32_t selector_flat_avx512(const struct selector *selector, const uint8_t *words,
                                            uint32_t count, uint32_t *slots, uint32_t *tally)
{
    const uint64_t *sums = selector->levels[0].sums;
    const __m512i total = _mm512_set1_epi32((int)selector->total);
    const __m512i one = _mm512_set1_epi32(1);
    __m512i reached_lanes[SELECTOR_FANOUT];
    uint32_t reached[SELECTOR_FANOUT] = {0};
    for (uint32_t slot = 0; slot < selector->count; slot++)
        reached_lanes[slot] = _mm512_setzero_si512();
    uint32_t done = 0;
    uint64_t doubtful = 0;
    while (done < count && doubtful == 0) {
        uint64_t lanes = count - done < 64 ? (1ull << (count - done)) - 1 : UINT64_MAX;
        __m512i numbers[VECTORS], found[VECTORS];
        ALL_VECTORS
        for (uint32_t i = 0; i < VECTORS; i++) {
            uint32_t doubtful_here;
            numbers[i] = numbers_avx512(words + (done + 16 * i) * RANDOM_SMALL_WORD_BYTES,
                                        lanes_of(lanes, i), total, &doubtful_here);
            doubtful |= (uint64_t)doubtful_here << (16 * i);
            found[i] = _mm512_setzero_si512();
        }
        if (__builtin_expect(doubtful != 0, 0))
            lanes = (doubtful & (0 - doubtful)) - 1; /* those before the first such */
        for (uint32_t slot = 1; slot < selector->count; slot++) {
            const __m512i sum = _mm512_set1_epi32((int)sums[slot]);
            ALL_VECTORS
            for (uint32_t i = 0; i < VECTORS; i++) {
                const __mmask16 reach =
                    _mm512_mask_cmpge_epu32_mask(lanes_of(lanes, i), numbers[i], sum);
                found[i] = _mm512_mask_add_epi32(found[i], reach, found[i], one);
                reached_lanes[slot] =
                    _mm512_mask_add_epi32(reached_lanes[slot], reach, reached_lanes[slot], one);
            }
        }
        ALL_VECTORS
        for (uint32_t i = 0; i < VECTORS; i++)
            _mm512_mask_storeu_epi32(slots + done + 16 * i, lanes_of(lanes, i), found[i]);
        done += (uint32_t)__builtin_popcountll(lanes);
    }
    reached[0] = done;
    for (uint32_t slot = 1; slot < selector->count; slot++)
        reached[slot] = (uint32_t)_mm512_reduce_add_epi32(reached_lanes[slot]);
    tally_reached(reached, tally);
    return done;
}

#endif
