/* test_soak_ledger.c: tests/soak/ledger.h: it takes what can be true, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/sim_random.h"
#include "tests/soak/ledger.h"

static struct ledger ledger;

static int set_up(void **state)
{
    (void)state;
    ledger_begin(&ledger);
    ledger.pools[0].name = "main";
    ledger.pools[1].name = "other";
    ledger.pool_count = 2;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ledger_end(&ledger);
    return 0;
}

static void assert_violated(bool good, const char *words)
{
    assert_false(good);
    assert_non_null(strstr(ledger.violation, words));
}

static bool take(uint32_t pool, uint64_t first_id, uint32_t count, uint64_t odds_version)
{
    return ledger_take_answer(&ledger, &(struct ledger_answer){.pool = pool,
                                                               .count = count,
                                                               .first_id = first_id,
                                                               .odds_version = odds_version});
}

/* Requests of 1 to 50 draws, answered in an order that is shuffled by up to 40 requests: in the end one
 * range, and never more of them than requests out of order. */
static void ids_in_any_order_grow_together(void **state)
{
    (void)state;
    enum { REQUESTS = 10000, WINDOW = 40 };
    struct sim_random random = sim_random_stream(7, 0);
    struct id_range waiting[WINDOW];
    uint64_t next_id = 1;
    for (uint32_t i = 0; i < REQUESTS + WINDOW; i++) {
        uint32_t slot = i < WINDOW ? i : (uint32_t)sim_random_below(&random, WINDOW);
        if (i >= REQUESTS)
            slot = i - REQUESTS;
        if (i >= WINDOW)
            assert_true(ledger_take_ids(&ledger, waiting[slot].first,
                                        (uint32_t)(waiting[slot].end - waiting[slot].first)));
        waiting[slot].first = next_id;
        next_id += i < REQUESTS ? 1 + sim_random_below(&random, 50) : 0;
        waiting[slot].end = next_id;
    }
    assert_int_equal(ledger.range_count, 1);
    assert_true(ledger.range_count_max <= WINDOW + 1);
    assert_int_equal(ledger.ranges[0].first, 1);
    assert_int_equal(ledger_highest_id(&ledger), next_id - 1);
}

static void an_id_given_twice_is_found_wherever_it_lies(void **state)
{
    (void)state;
    assert_true(ledger_take_ids(&ledger, 10, 10)); /* 10 to 19 */
    assert_true(ledger_take_ids(&ledger, 30, 10)); /* 30 to 39 */
    for (uint64_t first = 1; first < 50; first++) {
        for (uint32_t count = 1; count < 50; count++) {
            uint64_t end = first + count;
            bool meets = (first < 20 && end > 10) || (first < 40 && end > 30);
            if (meets)
                assert_violated(ledger_take_ids(&ledger, first, count), "given twice");
        }
    }
    assert_int_equal(ledger.range_count, 2);
    assert_true(ledger_take_ids(&ledger, 20, 10)); /* fits between */
    assert_int_equal(ledger.range_count, 1);
    assert_violated(ledger_take_ids(&ledger, 0, 1), "id 0");
}

static void answers_that_cannot_be_right(void **state)
{
    (void)state;
    assert_true(take(0, 100, 5, 3));
    assert_violated(ledger_take_answer(&ledger, &(struct ledger_answer){.count = 1,
                                                                        .first_id = 200,
                                                                        .floor_id = 200,
                                                                        .odds_version = 3}),
                    "when 200 was known");
    assert_violated(
        ledger_take_answer(
            &ledger,
            &(struct ledger_answer){.count = 2, .failed = 3, .first_id = 300, .odds_version = 3}),
        "3 of 2 draws failed");
    assert_violated(ledger_take_answer(&ledger, &(struct ledger_answer){.count = 2,
                                                                        .failed = 1,
                                                                        .first_id = 400,
                                                                        .odds_version = 3,
                                                                        .all = true}),
                    "where none might");
    assert_violated(ledger_take_outcome(&ledger, 0, LEDGER_ITEMS_MAX, 1), "there is no item");
}

static void odds_versions_rise_with_ids_in_each_pool(void **state)
{
    (void)state;
    assert_true(take(0, 100, 5, 3));
    assert_true(take(1, 105, 5, 1)); /* another pool */
    assert_true(take(0, 110, 5, 4));
    assert_true(take(0, 90, 5, 3)); /* older, and so it may */
    assert_violated(take(0, 80, 5, 5), "odds version 5");
    assert_violated(take(0, 120, 5, 3), "odds version 3");
}

static void outcomes_and_doubts_are_counted(void **state)
{
    (void)state;
    assert_true(ledger_take_outcome(&ledger, 1, 7, 2));
    assert_true(ledger_take_outcome(&ledger, 1, 7, 1));
    ledger_take_doubt(&ledger, 0, 40);
    ledger_take_doubt(&ledger, 0, 2);
    assert_int_equal(ledger.pools[1].drawn[7], 3);
    assert_int_equal(ledger.pools[0].drawn[7], 0);
    assert_int_equal(ledger.pools[0].requests_in_doubt, 2);
    assert_int_equal(ledger.pools[0].draws_in_doubt, 42);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(ids_in_any_order_grow_together),  TEST(an_id_given_twice_is_found_wherever_it_lies),
        TEST(answers_that_cannot_be_right),    TEST(odds_versions_rise_with_ids_in_each_pool),
        TEST(outcomes_and_doubts_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
