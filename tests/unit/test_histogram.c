/* Latencies in bounded memory: server/histogram.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/histogram.h"

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

/* Whatever its size, a value is known to one part in 32, and never reported too low. */
static void every_value_is_known_to_about_three_per_cent(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(every_value_is_known_to_about_three_per_cent),
        cmocka_unit_test(no_permille_exceeds_the_largest_value),
        cmocka_unit_test(the_tail_is_found_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
