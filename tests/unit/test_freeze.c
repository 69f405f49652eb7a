/* test_freeze.c: what is encoded while the state changes is the state as it was when that began. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/crc32c.h"
#include "engine/snapshot_format.h"
#include "tests/lib/os_sim.h"
#include "tests/lib/sim_random.h"

#define OUTCOMES_MAX 5000u

static const struct state_bounds bounds = {.max_pools = 300, .max_items = 200000};
static const struct wal_geometry geometry = {
    .ring_uuid = {1, 2, 3}, .segment_size_bytes = 65536, .segments = 3};

struct fixture {
    struct sim_world *world;
    struct random_source random;
    struct sim_random luck;
    struct state state;
    uint32_t names;
    uint8_t *frozen; /* the file as it was when the freeze began */
    uint64_t frozen_bytes;
    uint32_t outcomes[OUTCOMES_MAX];
};

static struct urn_pool *add_pool(struct fixture *fixture)
{
    char name[32];
    struct urn_pool *pool;
    struct urn_error error;
    int length = snprintf(name, sizeof name, "pool-%u", fixture->names++);
    assert_int_equal(
        state_add_pool(&fixture->state, name, (uint32_t)length, bounds.max_items, &pool, &error),
        URN_OK);
    return pool;
}

static void add_item(struct fixture *fixture, struct urn_pool *pool)
{
    char name[80];
    struct urn_error error;
    struct sim_random *luck = &fixture->luck;
    int length =
        snprintf(name, sizeof name, "%0*u", 1 + (int)sim_random_below(luck, 30), fixture->names++);
    int64_t quantity =
        sim_random_one_in(luck, 9) ? URN_UNLIMITED : (int64_t)sim_random_below(luck, 4);
    assert_int_equal(state_add_item(&fixture->state, pool, name, (uint32_t)length, quantity,
                                    sim_random_below(luck, 5), sim_random_below(luck, 100), &error),
                     URN_OK);
}

static enum urn_code append(void *context, const uint8_t *block, uint32_t length_bytes,
                            struct urn_error *error)
{
    (void)error;
    struct fixture *fixture = context;
    fixture->frozen = realloc(fixture->frozen, fixture->frozen_bytes + length_bytes);
    assert_non_null(fixture->frozen);
    memcpy(fixture->frozen + fixture->frozen_bytes, block, length_bytes);
    fixture->frozen_bytes += length_bytes;
    return URN_OK;
}

static void fixture_make(struct fixture *fixture, uint64_t seed, uint32_t pools, uint32_t items)
{
    struct urn_error error;
    *fixture = (struct fixture){.world = sim_world_make(seed), .luck = sim_random_stream(seed, 9)};
    random_init(&fixture->random, sim_os(fixture->world));
    assert_int_equal(state_make(&bounds, &fixture->state, &error), URN_OK);
    for (uint32_t i = 0; i < pools; i++) {
        struct urn_pool *pool = add_pool(fixture);
        uint64_t count = items / pools / 2 + sim_random_below(&fixture->luck, items / pools + 1);
        for (uint64_t item = 0; item < count; item++)
            add_item(fixture, pool);
    }
}

static void fixture_free(struct fixture *fixture)
{
    state_check(&fixture->state);
    state_free(&fixture->state);
    free(fixture->frozen);
    sim_world_free(fixture->world);
}

static void update_item(struct fixture *fixture, struct urn_pool *pool, uint32_t index)
{
    struct sim_random *luck = &fixture->luck;
    struct urn_error error;
    struct pool_update update = {
        .has_quantity = sim_random_one_in(luck, 2),
        .quantity = (int64_t)sim_random_below(luck, 9) - 1,
        .has_probability = sim_random_one_in(luck, 2),
        .probability = sim_random_below(luck, 5),
        .from_file = sim_random_one_in(luck, 2),
    };
    assert_int_equal(pool_update(pool, index, &update, &error), URN_OK);
    const uint32_t other = (uint32_t)sim_random_below(luck, pool_item_count(pool));
    if (sim_random_one_in(luck, 2))
        assert_int_equal(pool_set_applied_weight(pool, other, sim_random_below(luck, 5), &error),
                         URN_OK);
}

/* Draws of known outcomes, by both ways, if the stock bears them. */
static void take_known(struct urn_pool *pool, struct sim_random *luck)
{
    uint32_t items = pool_item_count(pool);
    uint32_t *times = calloc(items, sizeof *times);
    assert_non_null(times);
    uint32_t outcomes[3];
    for (uint32_t i = 0; i < 3; i++) {
        outcomes[i] = (uint32_t)sim_random_below(luck, items);
        times[sim_random_below(luck, items)]++;
    }
    (void)pool_take_each(pool, outcomes, 3);
    (void)pool_take_tally(pool, times, items);
    free(times);
}

/* Everything that can happen to a state between two blocks. */
static void change_something(struct fixture *fixture)
{
    struct sim_random *luck = &fixture->luck;
    struct state *state = &fixture->state;
    struct urn_pool *pool = state->pools[sim_random_below(luck, state->pool_count)];
    uint32_t count =
        1 + (uint32_t)sim_random_below(luck, sim_random_one_in(luck, 4) ? OUTCOMES_MAX : 20);
    uint32_t items = pool_item_count(pool);
    switch (sim_random_below(luck, 10)) {
    case 0:
        add_item(fixture, pool);
        break;
    case 1:
        if (state->pool_count < bounds.max_pools)
            add_item(fixture, add_pool(fixture));
        break;
    case 2:
        pool_set_open(pool, !pool_is_open(pool));
        break;
    case 3:
        pool_set_odds_version(pool, pool_odds_version(pool) + 1);
        break;
    case 4:
        if (items > 0)
            take_known(pool, luck);
        break;
    case 5:
        (void)pool_draw(pool, &fixture->random, fixture->outcomes, count);
        pool_revert(pool, fixture->outcomes, count);
        break;
    case 6:
        if (items > 0)
            update_item(fixture, pool, (uint32_t)sim_random_below(luck, items));
        break;
    case 7:
        if (sim_random_one_in(luck, 2))
            pool_set_unfinished(pool);
        break;
    default:
        (void)pool_draw(pool, &fixture->random, fixture->outcomes, count);
        break;
    }
    state->next_request_id += count;
}

/* One freeze, encoded slice by slice with changes in between. */
static void encode_while_changing(struct fixture *fixture, uint32_t changes_a_slice)
{
    static uint8_t block[SNAPSHOT_BLOCK_BYTES];
    struct urn_error error;
    free(fixture->frozen);
    fixture->frozen = NULL;
    fixture->frozen_bytes = 0;
    assert_int_equal(snapshot_encode(&fixture->state, &geometry, block, append, fixture, &error),
                     URN_OK);
    assert_true(snapshot_bytes_min(&fixture->state) <= fixture->frozen_bytes);

    assert_int_equal(state_freeze(&fixture->state, &error), URN_OK);
    struct snapshot_encoder encoder;
    snapshot_encoder_begin(&encoder, &fixture->state, &geometry);
    uint64_t offset = 0;
    while (encoder.next != SNAPSHOT_ENCODE_DONE) {
        for (uint32_t i = 0; i < changes_a_slice; i++)
            change_something(fixture);
        state_check(&fixture->state);
        uint32_t length = snapshot_encoder_fill(&encoder, block);
        assert_true(offset + length <= fixture->frozen_bytes);
        assert_memory_equal(block, fixture->frozen + offset, length);
        offset += length;
    }
    assert_int_equal(offset, fixture->frozen_bytes);
    free(state_thaw(&fixture->state));
}

static void test_small_states(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct fixture fixture;
        fixture_make(&fixture, seed, 1 + (uint32_t)seed % 5, (uint32_t)(seed * seed) / 4);
        for (uint32_t freeze = 0; freeze < 4; freeze++)
            encode_while_changing(&fixture, 5 * freeze);
        fixture_free(&fixture);
    }
}

static void test_states_of_many_blocks(void **unused)
{
    (void)unused;
    static const uint32_t pools[] = {1, 3, 100};
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct fixture fixture;
        fixture_make(&fixture, 100 + seed, pools[seed], 20000);
        for (uint32_t freeze = 0; freeze < 4; freeze++)
            encode_while_changing(&fixture, 1 + freeze * 4);
        fixture_free(&fixture);
    }
}

/* A freeze that is given up leaves nothing behind. */
static void test_freeze_may_be_given_up(void **unused)
{
    (void)unused;
    static uint8_t block[SNAPSHOT_BLOCK_BYTES];
    struct fixture fixture;
    struct urn_error error;
    fixture_make(&fixture, 7, 4, 5000);
    for (uint32_t i = 0; i < 20; i++) {
        struct snapshot_encoder encoder;
        assert_int_equal(state_freeze(&fixture.state, &error), URN_OK);
        snapshot_encoder_begin(&encoder, &fixture.state, &geometry);
        change_something(&fixture);
        (void)snapshot_encoder_fill(&encoder, block);
        change_something(&fixture);
        free(state_thaw(&fixture.state));
        change_something(&fixture);
    }
    encode_while_changing(&fixture, 10);
    fixture_free(&fixture);
}

/* The tail may be told after the counters. */
static void test_tail_comes_later(void **unused)
{
    (void)unused;
    static uint8_t early[SNAPSHOT_BLOCK_BYTES];
    static uint8_t late[SNAPSHOT_BLOCK_BYTES];
    struct fixture fixture;
    fixture_make(&fixture, 8, 1, 3);
    struct wal_tail tail = {.lsn = 8192, .epoch = 3, .chain = {9, 8, 7}};
    struct snapshot_encoder encoder;
    snapshot_encoder_begin(&encoder, &fixture.state, &geometry);
    snapshot_encoder_set_tail(&encoder, &tail);
    assert_int_equal(snapshot_encoder_fill(&encoder, late), SNAPSHOT_BLOCK_BYTES);
    fixture.state.tail = tail;
    snapshot_encoder_begin(&encoder, &fixture.state, &geometry);
    assert_int_equal(snapshot_encoder_fill(&encoder, early), SNAPSHOT_BLOCK_BYTES);
    assert_memory_equal(early, late, SNAPSHOT_BLOCK_BYTES);
    fixture_free(&fixture);
}

/* ---- reading back ---------------------------------------------------------------------------- */

static const char *verify(const uint8_t *file, uint64_t bytes, const uint8_t *end_block)
{
    struct snapshot_verifier verifier;
    snapshot_verifier_begin(&verifier);
    for (uint64_t at = 0; at < bytes;) {
        uint32_t length =
            bytes - at > SNAPSHOT_END_BYTES ? SNAPSHOT_BLOCK_BYTES : SNAPSHOT_END_BYTES;
        const char *fault = snapshot_verifier_take(&verifier, file + at, length, end_block);
        if (fault != NULL)
            return fault;
        at += length;
    }
    return verifier.ended ? NULL : "it has no end";
}

static void test_verifier_finds_every_difference(void **unused)
{
    (void)unused;
    struct fixture fixture;
    fixture_make(&fixture, 11, 2, 6000);
    encode_while_changing(&fixture, 0);
    uint8_t *file = fixture.frozen;
    uint64_t bytes = fixture.frozen_bytes;
    uint8_t end[SNAPSHOT_END_BYTES];
    memcpy(end, file + bytes - SNAPSHOT_END_BYTES, sizeof end);
    assert_null(verify(file, bytes, end));
    for (uint64_t at = 0; at < bytes; at += 1 + sim_random_below(&fixture.luck, 2000)) {
        file[at] ^= 4;
        assert_non_null(verify(file, bytes, end));
        file[at] ^= 4;
    }
    /* A whole block of another time: sound by itself. */
    uint8_t *block = file + SNAPSHOT_BLOCK_BYTES;
    block[100] ^= 1;
    uint32_t crc = crc32c(block + 8, SNAPSHOT_BLOCK_BYTES - 8);
    memcpy(block + 4, &crc, sizeof crc);
    assert_non_null(verify(file, bytes, end));
    fixture_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_states),
        cmocka_unit_test(test_states_of_many_blocks),
        cmocka_unit_test(test_freeze_may_be_given_up),
        cmocka_unit_test(test_tail_comes_later),
        cmocka_unit_test(test_verifier_finds_every_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
