/* test_random.c: numbers below a bound are exactly uniform, and words are used once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/bytes.h"
#include "engine/random.h"
#include "tests/lib/os_scripted.h"

#define BLOCK_WORDS (RANDOM_BLOCK_BYTES / sizeof(uint64_t))
#define BLOCKS_MAX  4u

/* Of all bounds whose words have 4 bytes the one that passes over most: 2^32 is 256 of it and 16711680
 * more. */
#define WORST_SMALL_BOUND 16711936u

__extension__ typedef unsigned __int128 wide;

/* Said here once more, so that a change of the stream is deliberate. */
static uint32_t word_bytes_of(uint64_t bound)
{
    return bound <= 1ull << 24 ? 4 : 8;
}

/* What random_below gives when the source says these two words; *words_used says how many it took.
 */
static uint64_t below_from(uint64_t first, uint64_t second, uint64_t bound, uint32_t *words_used)
{
    const bool small = word_bytes_of(bound) == 4;
    const uint64_t words[2] = {small ? first | second << 32 : first, small ? 0 : second};
    struct urn_os os = os_scripted(words, 2);
    struct random_source source;
    random_init(&source, &os);
    uint64_t number = random_below(&source, bound);
    *words_used = source.used_bytes / word_bytes_of(bound);
    assert_int_equal(source.used_bytes % word_bytes_of(bound), 0);
    return number;
}

/* The words that belong to a number are an interval. All but the first of it must be accepted, and
 * that one too unless the interval has more than floor(2^bits / bound) words: then every number has
 * exactly as many words as any other. */
static void check_words_of_number(uint64_t bound, uint64_t number)
{
    const wide all_words = (wide)1 << (8 * word_bytes_of(bound));
    wide first = ((wide)number * all_words + bound - 1) / bound;
    wide end = ((wide)(number + 1) * all_words + bound - 1) / bound;
    wide fair_share = all_words / bound;
    wide surplus = end - first - fair_share;
    assert_true(surplus <= 1);

    /* A word that is surely accepted and gives bound - 1: the last of all. */
    const uint64_t fallback = (uint64_t)(all_words - 1);
    uint32_t words_used;
    uint64_t got = below_from((uint64_t)first, fallback, bound, &words_used);
    assert_int_equal(words_used, surplus == 1 ? 2 : 1);
    assert_int_equal(got, surplus == 1 ? bound - 1 : number);

    got = below_from((uint64_t)(first + surplus), fallback, bound, &words_used);
    assert_int_equal(words_used, 1);
    assert_int_equal(got, number);
    got = below_from((uint64_t)(end - 1), fallback, bound, &words_used);
    assert_int_equal(words_used, 1);
    assert_int_equal(got, number);
}

static void every_number_below_a_small_bound_has_as_many_words(void **state)
{
    (void)state;
    for (uint64_t bound = 1; bound <= 260; bound++)
        for (uint64_t number = 0; number < bound; number++)
            check_words_of_number(bound, number);
}

static void check_words_of_some_numbers(const uint64_t *bounds, size_t count)
{
    uint64_t seed = 1;
    for (size_t i = 0; i < count; i++) {
        check_words_of_number(bounds[i], 0);
        check_words_of_number(bounds[i], bounds[i] - 1);
        for (int sample = 0; sample < 2000; sample++)
            check_words_of_number(bounds[i], scripted_next(&seed) % bounds[i]);
    }
}

/* On both sides of where words become longer. */
static void every_number_below_a_larger_bound_has_as_many_words(void **state)
{
    (void)state;
    const uint64_t bounds[] = {65535,          65537,           WORST_SMALL_BOUND, (1u << 24) - 3,
                               (1u << 24) - 1, 1u << 24,        (1u << 24) + 1,    (1u << 24) + 3,
                               (1u << 25) - 1, (1ull << 31) - 1};
    check_words_of_some_numbers(bounds, sizeof bounds / sizeof bounds[0]);
}

static void every_number_below_a_huge_bound_has_as_many_words(void **state)
{
    (void)state;
    const uint64_t bounds[] = {(1ull << 32) - 1,       (1ull << 32) + 1, (1ull << 53) - 1,
                               (1ull << 53) - 111,     (1ull << 63) - 1, 1ull << 63,
                               (1ull << 63) + 1,       3ull << 62,       UINT64_MAX - 1,
                               6364136223846793005ull, UINT64_MAX};
    check_words_of_some_numbers(bounds, sizeof bounds / sizeof bounds[0]);
}

static void a_power_of_two_takes_the_high_bits_and_passes_nothing_over(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (unsigned log2 = 0; log2 < 64; log2++) {
        const uint64_t bound = 1ull << log2;
        const unsigned bits = 8 * word_bytes_of(bound);
        for (int sample = 0; sample < 50; sample++) {
            uint64_t word = sample == 0 ? 0 : sample == 1 ? UINT64_MAX : scripted_next(&seed);
            word >>= 64 - bits;
            uint32_t words_used;
            uint64_t got = below_from(word, 0, bound, &words_used);
            assert_int_equal(got, log2 == 0 ? 0 : word >> (bits - log2));
            assert_int_equal(words_used, 1);
        }
    }
}

static void the_words_are_of_4_bytes_up_to_2_to_the_24(void **state)
{
    (void)state;
    assert_int_equal(RANDOM_BLOCK_BYTES, 4096);
    for (uint64_t bound = 1; bound != 0; bound *= 2)
        for (uint64_t near = bound - 1; near <= bound + 1; near++)
            if (near > 0)
                assert_int_equal(random_word_bytes(near), word_bytes_of(near));
}

/* Draws numbers below these powers of two, now this one, now that one, from some blocks, of which the
 * numbers are cut out here too. */
static void check_order(const unsigned *bound_log2, uint64_t choices, uint64_t seed)
{
    uint64_t words[BLOCKS_MAX * BLOCK_WORDS];
    uint8_t bytes[sizeof words];
    for (uint32_t i = 0; i < BLOCKS_MAX * BLOCK_WORDS; i++)
        put_u64(bytes + sizeof words[0] * i, words[i] = scripted_next(&seed));
    struct urn_os os = os_scripted(words, BLOCKS_MAX * BLOCK_WORDS);
    struct random_source source;
    random_init(&source, &os);
    assert_int_equal(os.calls, 0);
    for (uint32_t at = 0;;) {
        const unsigned log2 = bound_log2[scripted_next(&seed) % choices];
        const uint32_t word_bytes = word_bytes_of(1ull << log2);
        if (RANDOM_BLOCK_BYTES - at % RANDOM_BLOCK_BYTES < word_bytes)
            at += RANDOM_BLOCK_BYTES - at % RANDOM_BLOCK_BYTES;
        if (at == sizeof bytes)
            break;
        const uint64_t word = word_bytes == 4 ? get_u32(bytes + at) : get_u64(bytes + at);
        assert_int_equal(random_below(&source, 1ull << log2), word >> (8 * word_bytes - log2));
        assert_int_equal(os.calls, at / RANDOM_BLOCK_BYTES + 1);
        at += word_bytes;
        assert_int_equal(source.used_bytes, (at - 1) % RANDOM_BLOCK_BYTES + 1);
        assert_true(bytes_are_zero(source.block, source.used_bytes));
        assert_memory_equal(source.block + source.used_bytes, bytes + at,
                            RANDOM_BLOCK_BYTES - source.used_bytes);
    }
    assert_int_equal(os.calls, BLOCKS_MAX);
}

static void words_are_used_in_order_once_and_wiped(void **state)
{
    (void)state;
    static const unsigned small[] = {24, 1}, large[] = {63, 25}, mixed[] = {24, 63, 7};
    check_order(small, 2, 3);
    check_order(large, 2, 3);
    for (uint64_t seed = 30; seed < 60; seed++) /* half of the blocks end with 4 bytes to spare */
        check_order(mixed, 3, seed);
}

static void a_passed_over_word_is_wiped(void **state)
{
    (void)state;
    const uint64_t words[2] = {4, UINT64_MAX}; /* 4 * 3 * 2^62 has a low half of 0 */
    struct urn_os os = os_scripted(words, 2);
    struct random_source source;
    random_init(&source, &os);
    assert_int_equal(random_below(&source, 3ull << 62), (3ull << 62) - 1);
    assert_int_equal(source.used_bytes, 16);
    assert_true(bytes_are_zero(source.block, source.used_bytes));

    const uint64_t small_words = 0xffffffff00000000u; /* 0 is passed over, for 2^32 mod 3 is 1 */
    os = os_scripted(&small_words, 1);
    random_init(&source, &os);
    assert_int_equal(random_below(&source, 3), 2);
    assert_int_equal(source.used_bytes, 8);
    assert_true(bytes_are_zero(source.block, source.used_bytes));
}

/* Previews of all lengths, used in part, beside the same numbers asked for one by one. None is used only
 * where the bound stays: what is passed over for one bound would not be for another. */
static void check_previews(const uint64_t *bounds, uint64_t choices, uint64_t seed)
{
    struct urn_os os = os_seeded(seed), os_beside = os_seeded(seed);
    struct random_source source, beside;
    random_init(&source, &os);
    random_init(&beside, &os_beside);
    for (int round = 0; round < 3000; round++) {
        uint64_t numbers[40];
        const uint64_t bound = bounds[scripted_next(&seed) % choices];
        uint32_t asked = (uint32_t)(scripted_next(&seed) % 40) + 1;
        uint32_t given = random_preview_below(&source, bound, numbers, asked);
        assert_in_range(given, 1, asked);
        uint32_t used = (uint32_t)(scripted_next(&seed) % (given + 1));
        if (used == 0 && choices > 1)
            used = given;
        for (uint32_t i = 0; i < used; i++)
            assert_int_equal(numbers[i], random_below(&beside, bound));
        random_use(&source, bound, used);
        assert_true(bytes_are_zero(source.block, source.used_bytes));
    }
}

static void a_preview_says_what_would_come_and_uses_nothing(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {
        1,          100,
        1u << 24,   WORST_SMALL_BOUND,
        UINT64_MAX, (1u << 24) + 1,
        1ull << 53, (1ull << 63) + 1 /* every second word is passed over */
    };
    const uint64_t count = sizeof bounds / sizeof bounds[0];
    for (uint64_t i = 0; i < count; i++)
        check_previews(&bounds[i], 1, 4 + i);
    for (uint64_t seed = 20; seed < 40; seed++)
        check_previews(bounds, count, seed);
}

/* Small words that are looked at themselves: of those that are said to be good the number is known, and
 * the others are random_below's. */
static void small_words_say_what_would_come(void **state)
{
    (void)state;
    struct urn_os os = os_seeded(70);
    struct random_source source;
    random_init(&source, &os);
    uint64_t seed = 71;
    uint32_t doubtful = 0;
    for (int round = 0; round < 20000; round++) {
        const uint64_t bound = scripted_next(&seed) % 2 == 0 ? WORST_SMALL_BOUND : 1000;
        if (scripted_next(&seed) % 16 == 0)
            (void)random_below(&source, 1ull << 60);
        uint32_t at_hand;
        const uint8_t *words = random_small_words(&source, &at_hand);
        assert_ptr_equal(words, source.block + source.used_bytes);
        assert_true(at_hand > 0);
        assert_int_equal(at_hand, (RANDOM_BLOCK_BYTES - source.used_bytes) / 4);
        const uint64_t product = bound * get_u32(words);
        if ((uint32_t)product < bound) {
            doubtful++;
            (void)random_below(&source, bound);
        } else if (scripted_next(&seed) % 2 == 0) {
            assert_int_equal(random_below(&source, bound), product >> 32);
        } else {
            random_use(&source, bound, 1);
        }
        assert_true(bytes_are_zero(source.block, source.used_bytes));
    }
    assert_true(doubtful > 10);
}

/* With bounds for which words are hardly ever passed over. */
static void a_guess_is_the_number_to_come(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {1, 100, 1u << 24, (1u << 24) + 1, (1ull << 53) - 1};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        struct urn_os os = os_seeded(9 + i);
        struct random_source source;
        uint64_t number, guess[2 * BLOCK_WORDS];
        const uint32_t word_bytes = word_bytes_of(bounds[i]);
        random_init(&source, &os);
        assert_false(random_guess_below(&source, 0, bounds[i], &number)); /* nothing there yet */
        (void)random_below(&source, bounds[i]);
        uint32_t ahead = 0;
        while (random_guess_below(&source, (uint64_t)ahead * word_bytes, bounds[i], &guess[ahead]))
            ahead++;
        assert_int_equal(ahead, RANDOM_BLOCK_BYTES / word_bytes - 1);
        assert_int_equal(source.used_bytes, word_bytes);
        for (uint32_t word = 0; word < ahead; word++)
            assert_int_equal(random_below(&source, bounds[i]), guess[word]);
        assert_false(random_guess_below(&source, UINT64_MAX, bounds[i], &number));
    }
}

static void a_guess_looks_behind_words_of_both_lengths(void **state)
{
    (void)state;
    struct urn_os os = os_seeded(90);
    struct random_source source;
    random_init(&source, &os);
    uint64_t large, small, number;
    (void)random_below(&source, 1000);
    assert_true(random_guess_below(&source, 4, 1ull << 40, &large));
    assert_true(random_guess_below(&source, 12, 1u << 20, &small));
    (void)random_below(&source, 1000);
    assert_int_equal(random_below(&source, 1ull << 40), large);
    assert_int_equal(random_below(&source, 1u << 20), small);

    /* 20 bytes are used: the last number of a block begins 8 or 4 before its end */
    assert_true(random_guess_below(&source, 4096 - 20 - 8, 1ull << 40, &number));
    assert_false(random_guess_below(&source, 4096 - 20 - 4, 1ull << 40, &number));
    assert_true(random_guess_below(&source, 4096 - 20 - 4, 1u << 20, &number));
    assert_false(random_guess_below(&source, 4096 - 20, 1u << 20, &number));
    for (uint32_t i = 0; i < (4096 - 20 - 4) / 4; i++)
        (void)random_below(&source, 1u << 20);
    assert_false(random_guess_below(&source, 0, 1ull << 40, &number));
    assert_true(random_guess_below(&source, 0, 1u << 20, &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_below_a_small_bound_has_as_many_words),
        cmocka_unit_test(every_number_below_a_larger_bound_has_as_many_words),
        cmocka_unit_test(every_number_below_a_huge_bound_has_as_many_words),
        cmocka_unit_test(a_power_of_two_takes_the_high_bits_and_passes_nothing_over),
        cmocka_unit_test(the_words_are_of_4_bytes_up_to_2_to_the_24),
        cmocka_unit_test(words_are_used_in_order_once_and_wiped),
        cmocka_unit_test(a_passed_over_word_is_wiped),
        cmocka_unit_test(a_preview_says_what_would_come_and_uses_nothing),
        cmocka_unit_test(small_words_say_what_would_come),
        cmocka_unit_test(a_guess_is_the_number_to_come),
        cmocka_unit_test(a_guess_looks_behind_words_of_both_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
