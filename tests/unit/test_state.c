/* test_state.c: pools by name and by id, under the bounds of the whole. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/state.h"

static struct state make_state(uint32_t max_pools, uint32_t max_items)
{
    struct state state;
    struct urn_error error;
    const struct state_bounds bounds = {max_pools, max_items};
    assert_int_equal(state_make(&bounds, &state, &error), URN_OK);
    return state;
}

static struct urn_pool *add_pool(struct state *state, const char *name)
{
    struct urn_pool *pool = NULL;
    struct urn_error error;
    if (state_add_pool(state, name, (uint32_t)strlen(name), MAX_ITEMS_MAX, &pool, &error) != URN_OK)
        fail_msg("%s", error.text);
    return pool;
}

static void a_new_state_is_empty(void **unused)
{
    (void)unused;
    struct state state = make_state(10, 10);
    assert_int_equal(state.next_request_id, 1);
    assert_int_equal(state.reserved_request_id, 0);
    assert_int_equal(state.pool_count, 0);
    assert_int_equal(state.item_count, 0);
    assert_null(state_find_pool(&state, "main", 4));
    assert_null(state_find_pool(&state, "", 0));
    state_check(&state);
    state_free(&state);
    state_free(&state); /* zeroes by now */
}

static void pools_are_numbered_and_found_by_name(void **unused)
{
    (void)unused;
    enum { POOLS = 5000 };
    struct state state = make_state(POOLS, 0);
    char name[32];
    for (uint32_t id = 0; id < POOLS; id++) {
        snprintf(name, sizeof name, "pool-%" PRIu32, id);
        struct urn_pool *pool = add_pool(&state, name);
        assert_int_equal(pool_id(pool), id);
        assert_ptr_equal(state.pools[id], pool);
    }
    assert_int_equal(state.pool_count, POOLS);
    for (uint32_t id = 0; id < POOLS; id++) {
        int length = snprintf(name, sizeof name, "pool-%" PRIu32, id);
        assert_ptr_equal(state_find_pool(&state, name, (uint32_t)length), state.pools[id]);
        name[0] = 'P';
        assert_null(state_find_pool(&state, name, (uint32_t)length));
    }
    state_check(&state);
    state_free(&state);
}

static void pool_refused(struct state *state, const char *name, enum urn_code code,
                         const char *words)
{
    struct urn_pool *pool = NULL;
    struct urn_error error = {0};
    uint32_t count = state->pool_count;
    assert_int_equal(
        state_add_pool(state, name, (uint32_t)strlen(name), MAX_ITEMS_MAX, &pool, &error), code);
    assert_non_null(strstr(error.text, words));
    assert_null(pool);
    assert_int_equal(state->pool_count, count);
    state_check(state);
}

static void pools_are_refused_by_name_and_by_number(void **unused)
{
    (void)unused;
    struct state state = make_state(2, 5);
    add_pool(&state, "a");
    pool_refused(&state, "a", URN_EXISTS, "pool \"a\"");
    pool_refused(&state, "", URN_BADARG, "name");
    pool_refused(&state, "\x01", URN_BADARG, "name");
    add_pool(&state, "b");
    pool_refused(&state, "c", URN_TOOBIG, "limits.max_pools");
    pool_refused(&state, "b", URN_EXISTS, "exists");
    state_free(&state);

    state = make_state(0, 0);
    pool_refused(&state, "a", URN_TOOBIG, "limits.max_pools");
    state_free(&state);
}

static void items_are_counted_over_all_pools(void **unused)
{
    (void)unused;
    struct state state = make_state(3, 4);
    struct urn_pool *a = add_pool(&state, "a"), *b = add_pool(&state, "b");
    struct urn_error error = {0};
    assert_int_equal(state_add_item(&state, a, "x", 1, 5, 1, 0, &error), URN_OK);
    assert_int_equal(state_add_item(&state, b, "x", 1, 5, 1, 0, &error), URN_OK);
    assert_int_equal(state_add_item(&state, b, "y", 1, -1, 2, 9, &error), URN_OK);
    assert_int_equal(state.item_count, 3);
    assert_int_equal(state_add_item(&state, b, "y", 1, 5, 1, 0, &error), URN_EXISTS);
    assert_int_equal(state_add_item(&state, b, "z", 1, -7, 1, 0, &error), URN_BADARG);
    assert_int_equal(state.item_count, 3); /* what is refused is not counted */
    assert_int_equal(state_add_item(&state, a, "z", 1, 5, 1, 0, &error), URN_OK);
    assert_int_equal(state_add_item(&state, b, "z", 1, 5, 1, 0, &error), URN_TOOBIG);
    assert_non_null(strstr(error.text, "limits.max_items"));
    assert_int_equal(pool_item_count(a), 2);
    assert_int_equal(pool_item_count(b), 2);
    state_check(&state);
    state_free(&state);
}

static void a_pool_may_have_a_bound_of_its_own(void **unused)
{
    (void)unused;
    struct state state = make_state(1, 10);
    struct urn_pool *pool = NULL;
    struct urn_error error;
    assert_int_equal(state_add_pool(&state, "a", 1, 1, &pool, &error), URN_OK);
    assert_int_equal(state_add_item(&state, pool, "x", 1, 1, 1, 0, &error), URN_OK);
    assert_int_equal(state_add_item(&state, pool, "y", 1, 1, 1, 0, &error), URN_TOOBIG);
    assert_int_equal(state.item_count, 1);
    state_check(&state);
    state_free(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_state_is_empty),
        cmocka_unit_test(pools_are_numbered_and_found_by_name),
        cmocka_unit_test(pools_are_refused_by_name_and_by_number),
        cmocka_unit_test(items_are_counted_over_all_pools),
        cmocka_unit_test(a_pool_may_have_a_bound_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
