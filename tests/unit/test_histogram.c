/* Latencies in bounded memory: engine/histogram.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/histogram.h"

static void small_values_are_exact(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    assert_int_equal(histogram_permille(&histogram, 500), 0);
    for (uint64_t value = 1; value <= 10; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_permille(&histogram, 0), 1);
    assert_int_equal(histogram_permille(&histogram, 100), 1);
    assert_int_equal(histogram_permille(&histogram, 500), 5);
    assert_int_equal(histogram_permille(&histogram, 501), 6);
    assert_int_equal(histogram_permille(&histogram, 1000), 10);
}

/* Whatever its size, a value is known to one part in 128, and never reported too low. */
static void every_value_is_known_to_one_part_in_128(void **state)
{
    (void)state;
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = 1ull << bit;
        const uint64_t values[] = {power - 1, power, power + power / 3, power + (power - 1)};
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            struct histogram histogram = {0};
            histogram_add(&histogram, values[i]);
            histogram_add(&histogram, UINT64_MAX);
            uint64_t found = histogram_permille(&histogram, 500);
            assert_true(found >= values[i]);
            assert_true(found - values[i] <= values[i] / HISTOGRAM_PARTS);
        }
    }
}

static void no_permille_exceeds_the_largest_value(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    for (int i = 0; i < 1000; i++)
        histogram_add(&histogram, 1000001);
    assert_int_equal(histogram_permille(&histogram, 500), 1000001);
    assert_int_equal(histogram_permille(&histogram, 999), 1000001);
    assert_int_equal(histogram.max, 1000001);
}

static void the_tail_is_found_among_many(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    for (int i = 0; i < 990; i++)
        histogram_add(&histogram, 10);
    for (int i = 0; i < 9; i++)
        histogram_add(&histogram, 20);
    histogram_add(&histogram, 30);
    assert_int_equal(histogram_permille(&histogram, 990), 10);
    assert_int_equal(histogram_permille(&histogram, 991), 20);
    assert_int_equal(histogram_permille(&histogram, 999), 20);
    assert_int_equal(histogram_permille(&histogram, 1000), 30);
}

/* A merged histogram says what one that had seen everything itself would say. */
static void merging_is_as_good_as_seeing(void **state)
{
    (void)state;
    struct histogram whole = {0};
    struct histogram parts[2] = {{0}};
    for (uint64_t i = 1; i <= 1000; i++) {
        uint64_t value = i * i * i;
        histogram_add(&whole, value);
        histogram_add(&parts[i % 3 == 0], value);
    }
    histogram_merge(&parts[0], &parts[1]);
    assert_memory_equal(&parts[0], &whole, sizeof whole);
    struct histogram empty = {0};
    histogram_merge(&parts[0], &empty);
    assert_memory_equal(&parts[0], &whole, sizeof whole);
    histogram_merge(&empty, &whole);
    assert_memory_equal(&empty, &whole, sizeof whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(every_value_is_known_to_one_part_in_128),
        cmocka_unit_test(no_permille_exceeds_the_largest_value),
        cmocka_unit_test(the_tail_is_found_among_many),
        cmocka_unit_test(merging_is_as_good_as_seeing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
