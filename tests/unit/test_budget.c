/* The shared memory of requests and replies: server/budget.h, server/slab.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/budget.h"
#include "server/slab.h"

static struct budget *make(uint64_t bytes)
{
    struct budget *budget;
    struct urn_error error;
    assert_int_equal(budget_create(bytes, &budget, &error), URN_OK);
    budget_check(budget);
    return budget;
}

static void a_loan_is_rounded_to_a_power_of_two(void **state)
{
    (void)state;
    struct budget *budget = make(64 * BUDGET_UNIT_BYTES);
    static const uint64_t cases[][2] = {{1, 1}, {512, 1}, {513, 2}, {1025, 4}, {5 * 512, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *loan = budget_borrow(budget, cases[i][0]);
        assert_non_null(loan);
        assert_int_equal(budget_lent_bytes(budget), cases[i][1] * BUDGET_UNIT_BYTES);
        assert_int_equal(budget_loan_bytes(budget, loan), cases[i][1] * BUDGET_UNIT_BYTES);
        assert_int_equal(budget_rounded_bytes(cases[i][0]), cases[i][1] * BUDGET_UNIT_BYTES);
        budget_check(budget);
        budget_return(budget, loan);
        assert_int_equal(budget_lent_bytes(budget), 0);
        budget_check(budget);
    }
    budget_free(budget);
}

static void everything_can_be_lent_and_no_more(void **state)
{
    (void)state;
    void *loans[100];
    struct budget *budget = make(100 * BUDGET_UNIT_BYTES); /* 64 + 32 + 4 */
    assert_int_equal(budget_loan_bytes_max(budget), 64 * BUDGET_UNIT_BYTES);
    assert_null(budget_borrow(budget, 64 * BUDGET_UNIT_BYTES + 1));
    assert_null(budget_borrow(budget, UINT64_MAX));
    for (size_t i = 0; i < 100; i++) {
        loans[i] = budget_borrow(budget, BUDGET_UNIT_BYTES);
        assert_non_null(loans[i]);
        memset(loans[i], (int)i, BUDGET_UNIT_BYTES);
    }
    assert_null(budget_borrow(budget, 1));
    budget_check(budget);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(*(uint8_t *)loans[i], i);
        budget_return(budget, loans[i]);
    }
    budget_check(budget);
    void *whole = budget_borrow(budget, 64 * BUDGET_UNIT_BYTES); /* all have joined again */
    assert_non_null(whole);
    budget_return(budget, whole);
    budget_free(budget);
}

/* Small blocks are lent again in the order in which they came back, and are in nobody's way. */
static void kept_blocks_are_lent_again_and_joined_when_needed(void **state)
{
    (void)state;
    enum { UNITS = 16384, LOANS = UNITS / 2 };
    static void *loans[LOANS];
    struct budget *budget = make((uint64_t)UNITS * BUDGET_UNIT_BYTES);
    for (uint32_t i = 0; i < LOANS; i++) {
        loans[i] = budget_borrow(budget, 2 * BUDGET_UNIT_BYTES);
        assert_non_null(loans[i]);
    }
    for (uint32_t i = 0; i < 3; i++)
        budget_return(budget, loans[7 * i]);
    budget_check(budget);
    for (uint32_t i = 0; i < 3; i++)
        assert_ptr_equal(budget_borrow(budget, BUDGET_UNIT_BYTES + 1), loans[7 * i]);
    budget_return(budget, loans[0]);
    void *half = budget_borrow(budget, 1); /* of the one that was kept */
    assert_ptr_equal(half, loans[0]);
    budget_return(budget, half);
    loans[0] = budget_borrow(budget, 2 * BUDGET_UNIT_BYTES); /* whole again */
    assert_ptr_equal(loans[0], half);
    for (uint32_t i = 0; i < LOANS; i++) { /* more than are kept */
        budget_return(budget, loans[i * 5 % LOANS]);
        if (i % 100 == 0)
            budget_check(budget);
    }
    assert_int_equal(budget_lent_bytes(budget), 0);
    void *whole = budget_borrow(budget, (uint64_t)UNITS * BUDGET_UNIT_BYTES);
    assert_non_null(whole);
    budget_check(budget);
    budget_return(budget, whole);
    budget_free(budget);
}

/* Small loans that nobody returns keep to one end of the arena, in whatever order others came back before. */
static void small_loans_do_not_stand_in_the_way_of_large_ones(void **state)
{
    (void)state;
    enum { LOANS = 16384, HELD_MAX = 16 };
    static void *loans[LOANS];
    void *held[HELD_MAX];
    const uint64_t bytes = (uint64_t)LOANS * 2 * BUDGET_UNIT_BYTES;
    struct budget *budget = make(bytes);
    for (uint32_t count = 1; count <= HELD_MAX; count++) {
        for (uint32_t i = 0; i < LOANS; i++)
            loans[i] = budget_borrow(budget, 2 * BUDGET_UNIT_BYTES);
        for (uint32_t i = 0; i < LOANS; i++)
            budget_return(budget,
                          loans[i * 4099u % LOANS]); /* each once, far from the one before */
        for (uint32_t i = 0; i < count; i++)
            held[i] = budget_borrow(budget, 2 * BUDGET_UNIT_BYTES);
        void *large = budget_borrow(budget, bytes / 2);
        assert_non_null(large);
        budget_check(budget);
        budget_return(budget, large);
        for (uint32_t i = 0; i < count; i++)
            budget_return(budget, held[i]);
    }
    budget_free(budget);
}

static void a_shrunk_loan_keeps_its_content_and_frees_the_rest(void **state)
{
    (void)state;
    struct budget *budget = make(16 * BUDGET_UNIT_BYTES);
    uint8_t *loan = budget_borrow(budget, 16 * BUDGET_UNIT_BYTES);
    memset(loan, 7, BUDGET_UNIT_BYTES);
    assert_null(budget_borrow(budget, 1));
    assert_ptr_equal(budget_shrink(budget, loan, 10), loan); /* there is no other block */
    budget_check(budget);
    assert_int_equal(budget_lent_bytes(budget), BUDGET_UNIT_BYTES);
    uint8_t *other = budget_borrow(budget, 8 * BUDGET_UNIT_BYTES);
    assert_non_null(other);
    memset(other, 9, 8 * BUDGET_UNIT_BYTES);
    for (size_t i = 0; i < BUDGET_UNIT_BYTES; i++)
        assert_int_equal(loan[i], 7);
    budget_return(budget, loan);
    budget_return(budget, other);
    budget_check(budget);
    budget_free(budget);
}

/* Small remnants gather in few blocks, so that there is room for large loans as long as there is room. */
static void remnants_do_not_cut_everything_up(void **state)
{
    (void)state;
    enum { LARGE = 64, BLOCKS = 8, LOANS = LARGE * (BLOCKS - 1) };
    uint8_t *loans[LOANS];
    struct budget *budget = make((uint64_t)LARGE * BLOCKS * BUDGET_UNIT_BYTES);
    for (uint32_t i = 0; i < LOANS; i++) {
        loans[i] = budget_borrow(budget, LARGE * BUDGET_UNIT_BYTES);
        if (loans[i] == NULL) {
            fail_msg("no room for loan %u beside %u units", i, i);
            return;
        }
        memset(loans[i], (int)(i % 251), LARGE * BUDGET_UNIT_BYTES);
        loans[i] = budget_shrink(budget, loans[i], BUDGET_UNIT_BYTES);
        assert_int_equal(budget_lent_bytes(budget), (i + 1) * BUDGET_UNIT_BYTES);
    }
    budget_check(budget);
    for (uint32_t i = 0; i < LOANS; i++) {
        assert_int_equal(loans[i][0], i % 251);
        assert_int_equal(loans[i][BUDGET_UNIT_BYTES - 1], i % 251);
        budget_return(budget, loans[i]);
    }
    budget_check(budget);
    budget_free(budget);
}

/* Many loans at random; each is filled with its own number, which nothing else may overwrite. */
static void random_loans_never_overlap(void **state)
{
    (void)state;
    enum { LOANS = 64 };
    struct {
        uint8_t *bytes;
        uint64_t length;
    } loans[LOANS] = {{NULL, 0}};
    struct budget *budget = make(333 * BUDGET_UNIT_BYTES);
    srandom(4);
    for (int step = 0; step < 20000; step++) {
        size_t which = (size_t)random() % LOANS;
        uint64_t length = 1 + (uint64_t)random() % (20 * BUDGET_UNIT_BYTES);
        if (loans[which].bytes == NULL) {
            loans[which].bytes = budget_borrow(budget, length);
            loans[which].length = length;
            if (loans[which].bytes != NULL)
                memset(loans[which].bytes, (int)which, length);
        } else {
            assert_int_equal(loans[which].bytes[0], which);
            assert_int_equal(loans[which].bytes[loans[which].length - 1], which);
            if (random() % 2 == 0) {
                loans[which].length = 1 + loans[which].length / 3;
                loans[which].bytes = budget_shrink(budget, loans[which].bytes, loans[which].length);
                assert_int_equal(loans[which].bytes[0], which);
                assert_int_equal(loans[which].bytes[loans[which].length - 1], which);
            } else {
                budget_return(budget, loans[which].bytes);
                loans[which].bytes = NULL;
            }
        }
        if (step % 100 == 0)
            budget_check(budget);
    }
    for (size_t i = 0; i < LOANS; i++)
        if (loans[i].bytes != NULL)
            budget_return(budget, loans[i].bytes);
    budget_check(budget);
    budget_free(budget);
}

static void a_slab_lends_each_buffer_once(void **state)
{
    (void)state;
    struct slab slab;
    struct urn_error error;
    void *buffers[3];
    assert_int_equal(slab_begin(&slab, 5000, 3, &error), URN_OK);
    assert_int_equal(slab.buffer_bytes, 8192);
    assert_int_equal(slab_memory_bytes(5000, 3), 3 * 8192);
    for (size_t i = 0; i < 3; i++) {
        buffers[i] = slab_borrow(&slab);
        assert_non_null(buffers[i]);
        memset(buffers[i], (int)i + 1, 8192);
    }
    assert_null(slab_borrow(&slab));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(((uint8_t *)buffers[i])[8191], i + 1);
    slab_return(&slab, buffers[1]);
    slab_return(&slab, buffers[0]);
    assert_ptr_equal(slab_borrow(&slab), buffers[0]);
    assert_ptr_equal(slab_borrow(&slab), buffers[1]);
    assert_null(slab_borrow(&slab));
    for (size_t i = 0; i < 3; i++)
        slab_return(&slab, buffers[i]);
    slab_end(&slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loan_is_rounded_to_a_power_of_two),
        cmocka_unit_test(everything_can_be_lent_and_no_more),
        cmocka_unit_test(kept_blocks_are_lent_again_and_joined_when_needed),
        cmocka_unit_test(small_loans_do_not_stand_in_the_way_of_large_ones),
        cmocka_unit_test(a_shrunk_loan_keeps_its_content_and_frees_the_rest),
        cmocka_unit_test(remnants_do_not_cut_everything_up),
        cmocka_unit_test(random_loans_never_overlap),
        cmocka_unit_test(a_slab_lends_each_buffer_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
