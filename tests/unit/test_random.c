/* test_random.c: numbers below a bound are exactly uniform, and words are used once, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/bytes.h"
#include "engine/random.h"
#include "tests/lib/os_scripted.h"

#define BLOCK_WORDS (RANDOM_BLOCK_BYTES / RANDOM_WORD_BYTES)

__extension__ typedef unsigned __int128 wide;

/* What random_below gives when the source says these two words; *words_used says how many it took.
 */
static uint64_t below_from(uint64_t first, uint64_t second, uint64_t bound, uint32_t *words_used)
{
    const uint64_t words[2] = {first, second};
    struct urn_os os = os_scripted(words, 2);
    struct random_source source;
    random_init(&source, &os);
    uint64_t number = random_below(&source, bound);
    *words_used = source.used_bytes / RANDOM_WORD_BYTES;
    return number;
}

/* The words that belong to a number are an interval. All but the first of it must be accepted, and
 * that one too unless the interval has more than floor(2^64 / bound) words: then every number has
 * exactly as many words as any other. */
static void check_words_of_number(uint64_t bound, uint64_t number)
{
    const wide all_words = (wide)1 << 64;
    wide first = ((wide)number * all_words + bound - 1) / bound;
    wide end = ((wide)(number + 1) * all_words + bound - 1) / bound;
    wide fair_share = all_words / bound;
    wide surplus = end - first - fair_share;
    assert_true(surplus <= 1);

    /* A word that is surely accepted and gives bound - 1: the last of all. */
    const uint64_t fallback = UINT64_MAX;
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

static void every_number_below_a_huge_bound_has_as_many_words(void **state)
{
    (void)state;
    const uint64_t bounds[] = {(1ull << 32) - 1,       (1ull << 32) + 1, (1ull << 53) - 1,
                               (1ull << 53) - 111,     (1ull << 63) - 1, 1ull << 63,
                               (1ull << 63) + 1,       3ull << 62,       UINT64_MAX - 1,
                               6364136223846793005ull, UINT64_MAX};
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        check_words_of_number(bounds[i], 0);
        check_words_of_number(bounds[i], bounds[i] - 1);
        for (int sample = 0; sample < 2000; sample++)
            check_words_of_number(bounds[i], scripted_next(&seed) % bounds[i]);
    }
}

static void a_power_of_two_takes_the_high_bits_and_passes_nothing_over(void **state)
{
    (void)state;
    uint64_t seed = 2;
    for (unsigned log2 = 0; log2 < 64; log2++)
        for (int sample = 0; sample < 50; sample++) {
            uint64_t word = sample == 0 ? 0 : sample == 1 ? UINT64_MAX : scripted_next(&seed);
            uint32_t words_used;
            uint64_t got = below_from(word, 0, 1ull << log2, &words_used);
            assert_int_equal(got, log2 == 0 ? 0 : word >> (64 - log2));
            assert_int_equal(words_used, 1);
        }
}

static void words_are_used_in_order_once_and_wiped(void **state)
{
    (void)state;
    uint64_t words[2 * BLOCK_WORDS];
    uint64_t seed = 3;
    for (uint32_t i = 0; i < 2 * BLOCK_WORDS; i++)
        words[i] = scripted_next(&seed);
    struct urn_os os = os_scripted(words, 2 * BLOCK_WORDS);
    struct random_source source;
    random_init(&source, &os);
    assert_int_equal(os.calls, 0);
    for (uint32_t i = 0; i < 2 * BLOCK_WORDS; i++) {
        assert_int_equal(random_below(&source, 1ull << 63), words[i] >> 1);
        assert_int_equal(os.calls, i / BLOCK_WORDS + 1);
        assert_int_equal(source.used_bytes, (i % BLOCK_WORDS + 1) * RANDOM_WORD_BYTES);
        assert_true(bytes_are_zero(source.block, source.used_bytes));
        if (source.used_bytes < RANDOM_BLOCK_BYTES)
            assert_int_equal(get_u64(source.block + source.used_bytes), words[i + 1]);
    }
}

static void a_passed_over_word_is_wiped(void **state)
{
    (void)state;
    const uint64_t words[2] = {4, UINT64_MAX}; /* 4 * 3 * 2^62 has a low half of 0 */
    struct urn_os os = os_scripted(words, 2);
    struct random_source source;
    random_init(&source, &os);
    assert_int_equal(random_below(&source, 3ull << 62), (3ull << 62) - 1);
    assert_int_equal(source.used_bytes, 2 * RANDOM_WORD_BYTES);
    assert_true(bytes_are_zero(source.block, source.used_bytes));
}

/* Previews of all lengths, used in part, beside the same numbers asked for one by one. */
static void check_previews(uint64_t bound, uint64_t seed)
{
    struct urn_os os = os_seeded(seed), os_beside = os_seeded(seed);
    struct random_source source, beside;
    random_init(&source, &os);
    random_init(&beside, &os_beside);
    for (int round = 0; round < 3000; round++) {
        uint64_t numbers[40];
        uint32_t asked = (uint32_t)(scripted_next(&seed) % 40) + 1;
        uint32_t given = random_preview_below(&source, bound, numbers, asked);
        assert_in_range(given, 1, asked);
        uint32_t used = (uint32_t)(scripted_next(&seed) % (given + 1));
        for (uint32_t i = 0; i < used; i++)
            assert_int_equal(numbers[i], random_below(&beside, bound));
        random_use(&source, used);
        assert_true(bytes_are_zero(source.block, source.used_bytes));
    }
}

static void a_preview_says_what_would_come_and_uses_nothing(void **state)
{
    (void)state;
    check_previews(1, 4);
    check_previews(100, 5);
    check_previews((1ull << 53) - 1, 6);
    check_previews((1ull << 63) + 1, 7); /* every second word is passed over */
    check_previews(UINT64_MAX, 8);
}

/* With bounds for which words are hardly ever passed over. */
static void a_guess_is_the_number_to_come(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {1, 100, (1ull << 53) - 1};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        struct urn_os os = os_seeded(9 + i);
        struct random_source source;
        uint64_t number, guess[BLOCK_WORDS];
        random_init(&source, &os);
        assert_false(random_guess_below(&source, 0, bounds[i], &number)); /* nothing there yet */
        (void)random_below(&source, bounds[i]);
        uint32_t ahead = 0;
        while (random_guess_below(&source, ahead, bounds[i], &guess[ahead]))
            ahead++;
        assert_int_equal(ahead, BLOCK_WORDS - 1);
        assert_int_equal(source.used_bytes, RANDOM_WORD_BYTES);
        for (uint32_t word = 0; word < ahead; word++)
            assert_int_equal(random_below(&source, bounds[i]), guess[word]);
        assert_false(random_guess_below(&source, UINT64_MAX, bounds[i], &number));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_below_a_small_bound_has_as_many_words),
        cmocka_unit_test(every_number_below_a_huge_bound_has_as_many_words),
        cmocka_unit_test(a_power_of_two_takes_the_high_bits_and_passes_nothing_over),
        cmocka_unit_test(words_are_used_in_order_once_and_wiped),
        cmocka_unit_test(a_passed_over_word_is_wiped),
        cmocka_unit_test(a_preview_says_what_would_come_and_uses_nothing),
        cmocka_unit_test(a_guess_is_the_number_to_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
