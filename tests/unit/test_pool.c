/* test_pool.c: what a pool promises: exact odds, stock that is never overdrawn, ids that stay, and
 * 48 bytes an item. The draw is compared with its definition, number by number. */
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/limits.h"
#include "engine/pool.h"
#include "tests/lib/os_scripted.h"

/* ---- help ------------------------------------------------------------------------------------ */

static struct urn_pool *make_pool(void)
{
    struct urn_pool *pool = NULL;
    struct urn_error error;
    assert_int_equal(pool_make(7, "main", 4, MAX_ITEMS_MAX, &pool, &error), URN_OK);
    return pool;
}

/* Adds the item "item-<index>". */
static void add_item(struct urn_pool *pool, int64_t quantity, uint64_t weight)
{
    char id[32];
    int length = snprintf(id, sizeof id, "item-%" PRIu32, pool_item_count(pool));
    struct urn_error error;
    if (pool_add(pool, id, (uint32_t)length, quantity, weight, 0, &error) != URN_OK)
        fail_msg("%s", error.text);
}

/* Stages one draw of a known outcome. */
static bool take(struct urn_pool *pool, uint32_t index)
{
    return pool_take_each(pool, &index, 1) == 1;
}

static struct urn_item item_of(const struct urn_pool *pool, uint32_t index)
{
    struct urn_item item;
    pool_item(pool, index, &item);
    return item;
}

__extension__ typedef unsigned __int128 wide;

/* The random word from which a number below bound is made: in the middle of the number's interval.
 */
static uint64_t word_for(uint64_t number, uint64_t bound)
{
    const uint32_t bits = 8 * random_word_bytes(bound);
    return (uint64_t)((((wide)number << bits) + ((wide)1 << (bits - 1))) / bound);
}

/* Draws once with the number that the random source is made to give. */
static uint32_t draw_number(struct urn_pool *pool, uint64_t number)
{
    const uint64_t weight = pool_weight_in_stock(pool);
    const uint64_t word = word_for(number, weight);
    struct urn_os os = os_scripted(&word, 1);
    struct random_source random;
    random_init(&random, &os);
    uint32_t outcome;
    assert_int_equal(pool_draw(pool, &random, &outcome, 1), 0);
    assert_int_equal(random.used_bytes, random_word_bytes(weight));
    return outcome;
}

static void on_every_path(void (*check)(enum selector_path path))
{
    for (enum selector_path path = 0; path < SELECTOR_PATHS; path++) {
        struct urn_pool *pool = make_pool();
        bool supported = pool_use_selector_path(pool, path);
        pool_free(pool);
        if (supported)
            check(path);
        else
            print_message("this processor has no %s\n", selector_path_name(path));
    }
}

static struct urn_pool *make_pool_on(enum selector_path path)
{
    struct urn_pool *pool = make_pool();
    assert_true(pool_use_selector_path(pool, path));
    return pool;
}

/* ---- the definition, item by item ------------------------------------------------------------ */

struct model {
    uint32_t count;
    int64_t *quantity;
    uint64_t *weight;
    uint64_t *drawn;
};

static struct model model_make(uint32_t room)
{
    struct model model = {0, calloc(room, 8), calloc(room, 8), calloc(room, 8)};
    assert_true(model.quantity != NULL && model.weight != NULL && model.drawn != NULL);
    return model;
}

static void model_free(struct model *model)
{
    free(model->quantity);
    free(model->weight);
    free(model->drawn);
}

static void model_add(struct model *model, struct urn_pool *pool, int64_t quantity, uint64_t weight)
{
    add_item(pool, quantity, weight);
    model->quantity[model->count] = quantity;
    model->weight[model->count++] = weight;
}

static uint64_t model_weight_in_stock(const struct model *model)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < model->count; i++)
        sum += model->quantity[i] != 0 ? model->weight[i] : 0;
    return sum;
}

static void model_change(struct model *model, uint32_t index, int sign)
{
    if (index == URN_FAILED_DRAW)
        return;
    if (model->quantity[index] != URN_UNLIMITED)
        model->quantity[index] -= sign;
    model->drawn[index] += (uint64_t)sign;
}

/* The first item whose running sum of in-stock weights exceeds the number. */
static uint32_t model_find(const struct model *model, uint64_t number)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < model->count; i++) {
        sum += model->quantity[i] != 0 ? model->weight[i] : 0;
        if (sum > number)
            return i;
    }
    fail_msg("%" PRIu64 " is not below %" PRIu64, number, sum);
    return URN_FAILED_DRAW;
}

/* Draws one by one. */
static void model_draw(struct model *model, struct random_source *random, uint32_t *outcomes,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t weight = model_weight_in_stock(model);
        outcomes[i] =
            weight == 0 ? URN_FAILED_DRAW : model_find(model, random_below(random, weight));
        model_change(model, outcomes[i], +1);
    }
}

static void check_equal(const struct urn_pool *pool, const struct model *model)
{
    assert_int_equal(pool_item_count(pool), model->count);
    assert_int_equal(pool_weight_in_stock(pool), model_weight_in_stock(model));
    for (uint32_t i = 0; i < model->count; i++) {
        struct urn_item item = item_of(pool, i);
        assert_int_equal(item.index, i);
        assert_int_equal(item.quantity, model->quantity[i]);
        assert_int_equal(item.probability, model->weight[i]);
        assert_int_equal(item.drawn, model->drawn[i]);
    }
    pool_check(pool);
}

/* ---- exact odds ------------------------------------------------------------------------------ */

static void enumerate_one_draw(enum selector_path path)
{
    struct urn_pool *pool = make_pool_on(path);
    const uint64_t weights[] = {10, 0, 1, 70, 0, 5, 3, 13};
    for (size_t i = 0; i < 8; i++)
        add_item(pool, i % 2 == 0 ? 1 : URN_UNLIMITED, weights[i]);
    uint64_t counts[8] = {0}, next = 0;
    assert_int_equal(pool_weight_in_stock(pool), 102);
    for (uint64_t number = 0; number < 102; number++) {
        uint32_t outcome = draw_number(pool, number);
        assert_true(outcome < 8 && outcome >= next); /* in catalog order */
        next = outcome;
        counts[outcome]++;
        pool_revert(pool, &outcome, 1);
    }
    assert_memory_equal(counts, weights, sizeof counts);
    pool_free(pool);
}

static void every_number_of_one_draw_counts_equal_weights(void **state)
{
    (void)state;
    on_every_path(enumerate_one_draw);
}

/* Draws three times, with every number at each: the outcome must be the definition's, which takes
 * away what has run out. Returns how many sequences there were. */
static uint32_t enumerate_further(struct urn_pool *pool, struct model *model, uint32_t draws)
{
    uint64_t weight = pool_weight_in_stock(pool);
    assert_int_equal(weight, model_weight_in_stock(model));
    if (draws == 0 || weight == 0)
        return 1;
    uint32_t sequences = 0;
    for (uint64_t number = 0; number < weight; number++) {
        uint32_t outcome = draw_number(pool, number);
        assert_int_equal(outcome, model_find(model, number));
        model_change(model, outcome, +1);
        sequences += enumerate_further(pool, model, draws - 1);
        model_change(model, outcome, -1);
        pool_revert(pool, &outcome, 1);
    }
    return sequences;
}

static void enumerate_sequences(enum selector_path path)
{
    struct urn_pool *pool = make_pool_on(path);
    struct model model = model_make(8);
    model_add(&model, pool, 1, 2);
    model_add(&model, pool, 2, 3);
    model_add(&model, pool, 0, 50); /* not in stock */
    model_add(&model, pool, URN_UNLIMITED, 1);
    model_add(&model, pool, 1, 5);
    uint32_t sequences = enumerate_further(pool, &model, 3);
    /* By hand, with weights 2, 3 (twice there), 1 and 5, W = 11. Sums of W over second draws, that
     * is after a: (9) 2 * [2*0 + 3*9 + 1*9 + 5*4] b: (11) 3 * [2*9 + 3*8 + 1*11 + 5*6] c: (11) 1 *
     * [2*9 + 3*11 + 1*11 + 5*6] d: (6) 5 * [2*4 + 3*6 + 1*6] */
    assert_int_equal(sequences, 2 * (27 + 9 + 20) + 3 * (18 + 24 + 11 + 30) +
                                    1 * (18 + 33 + 11 + 30) + 5 * (8 + 18 + 6));
    check_equal(pool, &model);
    model_free(&model);
    pool_free(pool);
}

static void every_sequence_of_three_draws_follows_the_stock(void **state)
{
    (void)state;
    on_every_path(enumerate_sequences);
}

/* The definition and the pool draw from equal streams: one word used too many, too few or out of
 * order would part them for good. */
static void differ_from_catalog(enum selector_path path, uint32_t items, uint32_t rounds,
                                uint64_t seed)
{
    enum { BATCH_MAX = 45 };
    struct urn_pool *pool = make_pool_on(path);
    struct model model = model_make(items + rounds);
    struct urn_os os = os_seeded(seed), os_model = os_seeded(seed);
    struct random_source random, random_model;
    random_init(&random, &os);
    random_init(&random_model, &os_model);
    for (uint32_t i = 0; i < items; i++)
        model_add(&model, pool, (int64_t)(scripted_next(&seed) % 6) - 1, scripted_next(&seed) % 9);
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t outcomes[BATCH_MAX], expected[BATCH_MAX];
        uint32_t index = (uint32_t)(scripted_next(&seed) % (model.count + 1));
        switch (scripted_next(&seed) % 8) {
        case 0:
            model_add(&model, pool, (int64_t)(scripted_next(&seed) % 4) - 1,
                      scripted_next(&seed) % 9);
            break;
        case 1: {
            bool can = index < model.count && model.quantity[index] != 0 && model.weight[index] > 0;
            assert_int_equal(take(pool, index), can);
            model_change(&model, can ? index : URN_FAILED_DRAW, +1);
            break;
        }
        default: {
            uint32_t count = (uint32_t)(scripted_next(&seed) % (BATCH_MAX + 1)), failed = 0;
            model_draw(&model, &random_model, expected, count);
            for (uint32_t i = 0; i < count; i++)
                failed += expected[i] == URN_FAILED_DRAW;
            assert_int_equal(pool_draw(pool, &random, outcomes, count), failed);
            assert_memory_equal(outcomes, expected, count * sizeof outcomes[0]);
            if (scripted_next(&seed) % 3 == 0) {
                pool_revert(pool, outcomes, count);
                for (uint32_t i = 0; i < count; i++)
                    model_change(&model, expected[i], -1);
            }
        }
        }
    }
    check_equal(pool, &model);
    model_free(&model);
    pool_free(pool);
}

static void differ(enum selector_path path)
{
    for (uint32_t items = 0; items < 40; items++)
        differ_from_catalog(path, items, 300, 1000 + items);
    differ_from_catalog(path, 250, 1000, 2000);
    differ_from_catalog(path, 4090, 100, 2001);
    differ_from_catalog(path, 65530, 10, 2002);
    differ_from_catalog(path, 70000, 10, 2003);
}

static void random_operations_equal_the_definition_draw_for_draw(void **state)
{
    (void)state;
    on_every_path(differ);
}

/* Few items, of which now none, now some run out amid a request; W on both sides of what small words are
 * enough for. */
static void model_add_for_runs(struct model *model, struct urn_pool *pool, bool heavy,
                               uint64_t *seed)
{
    const uint64_t kind = scripted_next(seed) % 8;
    int64_t quantity = 0;
    if (kind < 2)
        quantity = URN_UNLIMITED;
    else if (kind < 4)
        quantity = (int64_t)(scripted_next(seed) % 4);
    else
        quantity = (int64_t)(scripted_next(seed) % 1500);
    uint64_t weight = scripted_next(seed) % 6 == 0 ? 0 : scripted_next(seed) % 50;
    if (heavy) /* 2^24 where all are in stock, and somewhat more or less */
        weight *= (1u << 24) / 50 / 8;
    model_add(model, pool, quantity, weight);
}

static void refill(struct model *model, struct urn_pool *pool, uint64_t *seed)
{
    const uint32_t index = (uint32_t)(scripted_next(seed) % model->count);
    struct pool_update change = {.has_quantity = true,
                                 .quantity = (int64_t)(scripted_next(seed) % 1000) - 1};
    struct urn_error error;
    assert_int_equal(pool_update(pool, index, &change, &error), URN_OK);
    model->quantity[index] = change.quantity;
}

static void draw_runs(struct model *model, struct urn_pool *pool, uint64_t seed)
{
    enum { REQUEST_MAX = 1300 }; /* more than a block has words */
    static uint32_t outcomes[REQUEST_MAX], expected[REQUEST_MAX];
    struct urn_os os = os_seeded(seed), os_model = os_seeded(seed);
    struct random_source random, random_model;
    random_init(&random, &os);
    random_init(&random_model, &os_model);
    for (uint32_t round = 0; round < 60; round++) {
        const uint32_t most = scripted_next(&seed) % 2 == 0 ? 80 : REQUEST_MAX;
        const uint32_t count = (uint32_t)(scripted_next(&seed) % most) + 1;
        uint32_t failed = 0;
        model_draw(model, &random_model, expected, count);
        for (uint32_t i = 0; i < count; i++)
            failed += expected[i] == URN_FAILED_DRAW;
        assert_int_equal(pool_draw(pool, &random, outcomes, count), failed);
        assert_memory_equal(outcomes, expected, count * sizeof outcomes[0]);
        assert_int_equal(random.used_bytes, random_model.used_bytes);
        if (scripted_next(&seed) % 2 == 0) {
            pool_revert(pool, outcomes, count);
            for (uint32_t i = 0; i < count; i++)
                model_change(model, expected[i], -1);
        }
        if (scripted_next(&seed) % 3 == 0)
            refill(model, pool, &seed);
        check_equal(pool, model);
    }
}

static void draw_runs_of_few_items(enum selector_path path)
{
    for (uint64_t trial = 0; trial < 120; trial++) {
        uint64_t seed = 5000 + trial;
        const uint32_t items = (uint32_t)(trial % 17) + 1;
        struct urn_pool *pool = make_pool_on(path);
        struct model model = model_make(items);
        while (model.count < items)
            model_add_for_runs(&model, pool, trial % 3 == 0, &seed);
        draw_runs(&model, pool, seed);
        model_free(&model);
        pool_free(pool);
    }
}

static void runs_of_draws_equal_the_definition_draw_for_draw(void **state)
{
    (void)state;
    on_every_path(draw_runs_of_few_items);
}

/* The last one of an item, at every second place of a request: its draw is still of the old odds, the
 * next of the new ones. */
static void empty_at_every_place(enum selector_path path)
{
    enum { REQUEST = 300 };
    for (uint32_t stock = 1; stock <= REQUEST / 2 + 1; stock++) {
        uint64_t words[REQUEST / 2];
        uint32_t outcomes[REQUEST];
        for (uint32_t i = 0; i < REQUEST / 2;
             i++) /* low words, then high: items 0 and 1 by turns */
            words[i] = 0xffffffff00000001u;
        struct urn_os os = os_scripted(words, REQUEST / 2);
        struct random_source random;
        random_init(&random, &os);
        struct urn_pool *pool = make_pool_on(path);
        add_item(pool, stock, 1);
        add_item(pool, URN_UNLIMITED, 1);
        add_item(pool, 0, 1);
        assert_int_equal(pool_draw(pool, &random, outcomes, REQUEST), 0);
        for (uint32_t i = 0; i < REQUEST; i++)
            assert_int_equal(outcomes[i], i % 2 == 0 && i / 2 < stock ? 0 : 1);
        assert_int_equal(random.used_bytes, REQUEST * 4);
        assert_int_equal(item_of(pool, 0).quantity, stock > REQUEST / 2 ? 1 : 0);
        pool_check(pool);
        pool_free(pool);
    }
}

static void an_item_may_run_out_at_any_place_of_a_request(void **state)
{
    (void)state;
    on_every_path(empty_at_every_place);
}

/* Chances of items at each draw of a catalog that runs dry, by exact recursion over what is left.
 */
#define DRY_ITEMS 4u
#define DRY_DRAWS 9u /* one more than there is: the last one fails */
static const int64_t dry_quantity[DRY_ITEMS] = {3, 1, 2, 2};
static const uint64_t dry_weight[DRY_ITEMS] = {1, 5, 3, 10};

static void dry_chances(int64_t left[DRY_ITEMS], uint32_t draw, double chance,
                        double chances[DRY_DRAWS][DRY_ITEMS])
{
    uint64_t weight = 0;
    for (uint32_t i = 0; i < DRY_ITEMS; i++)
        weight += left[i] > 0 ? dry_weight[i] : 0;
    for (uint32_t i = 0; i < DRY_ITEMS; i++) {
        if (left[i] == 0)
            continue;
        double of_item = chance * (double)dry_weight[i] / (double)weight;
        chances[draw][i] += of_item;
        left[i]--;
        dry_chances(left, draw + 1, of_item, chances);
        left[i]++;
    }
}

static void draw_dry(enum selector_path path)
{
    const uint32_t trials = 100000;
    double chances[DRY_DRAWS][DRY_ITEMS] = {0};
    int64_t left[DRY_ITEMS];
    memcpy(left, dry_quantity, sizeof left);
    dry_chances(left, 0, 1.0, chances);

    struct urn_pool *pool = make_pool_on(path);
    for (uint32_t i = 0; i < DRY_ITEMS; i++)
        add_item(pool, dry_quantity[i], dry_weight[i]);
    struct urn_os os = os_seeded(31);
    struct random_source random;
    random_init(&random, &os);
    uint32_t counts[DRY_DRAWS][DRY_ITEMS] = {0};
    for (uint32_t trial = 0; trial < trials; trial++) {
        uint32_t outcomes[DRY_DRAWS];
        assert_int_equal(pool_draw(pool, &random, outcomes, DRY_DRAWS), 1);
        assert_int_equal(outcomes[DRY_DRAWS - 1], URN_FAILED_DRAW);
        for (uint32_t draw = 0; draw + 1 < DRY_DRAWS; draw++)
            counts[draw][outcomes[draw]]++;
        pool_revert(pool, outcomes, DRY_DRAWS);
    }
    for (uint32_t draw = 0; draw + 1 < DRY_DRAWS; draw++) {
        double chi_square = 0;
        for (uint32_t i = 0; i < DRY_ITEMS; i++) {
            double expected = chances[draw][i] * trials, off = counts[draw][i] - expected;
            if (expected > 0)
                chi_square += off * off / expected;
            else
                assert_int_equal(counts[draw][i], 0);
        }
        /* 3 degrees of freedom: beyond 30.7 once in a million */
        assert_true(chi_square < 30.7);
    }
    pool_free(pool);
}

static void frequencies_follow_the_odds_until_the_catalog_is_dry(void **state)
{
    (void)state;
    on_every_path(draw_dry);
}

static void large_catalogs_are_drawn_by_their_weights(void **state)
{
    (void)state;
    enum { ITEMS = 1000, DRAWS = 1000000 };
    struct urn_pool *pool = make_pool();
    uint64_t seed = 41;
    for (uint32_t i = 0; i < ITEMS; i++)
        add_item(pool, i % 2 ? URN_UNLIMITED : DRAWS, scripted_next(&seed) % 100 + 1);
    double weight = (double)pool_weight_in_stock(pool);
    struct urn_os os = os_seeded(42);
    struct random_source random;
    random_init(&random, &os);
    uint32_t *outcomes = malloc(DRAWS * sizeof *outcomes);
    assert_non_null(outcomes);
    assert_int_equal(pool_draw(pool, &random, outcomes, DRAWS), 0);
    double chi_square = 0;
    for (uint32_t i = 0; i < ITEMS; i++) {
        struct urn_item item = item_of(pool, i);
        double expected = DRAWS * (double)item.probability / weight;
        chi_square += ((double)item.drawn - expected) * ((double)item.drawn - expected) / expected;
    }
    /* 999 degrees of freedom: mean 999, standard deviation 44.7 */
    assert_true(chi_square > 780 && chi_square < 1230);
    free(outcomes);
    pool_free(pool);
}

/* ---- stock ----------------------------------------------------------------------------------- */

static void nothing_in_stock_fails_and_uses_no_randomness(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    struct urn_os os = os_scripted(NULL, 0); /* stops the test when it is asked */
    struct random_source random;
    random_init(&random, &os);
    uint32_t outcomes[3] = {0};
    assert_int_equal(pool_draw(pool, &random, outcomes, 3), 3); /* no items at all */
    assert_int_equal(outcomes[2], URN_FAILED_DRAW);
    add_item(pool, 0, 10);
    add_item(pool, URN_UNLIMITED, 0);
    add_item(pool, 5, 0);
    assert_int_equal(pool_draw(pool, &random, outcomes, 3), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(outcomes[i], URN_FAILED_DRAW);
    assert_int_equal(pool_weight_in_stock(pool), 0);
    pool_revert(pool, outcomes, 3); /* failed draws have nothing to undo */
    pool_check(pool);
    pool_free(pool);
}

static void weight_0_is_never_drawn(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    for (uint32_t i = 0; i < 1000; i++)
        add_item(pool, i % 3 ? URN_UNLIMITED : 100, i % 5 == 2 ? 7 : 0);
    struct urn_os os = os_seeded(51);
    struct random_source random;
    random_init(&random, &os);
    static uint32_t outcomes[200000];
    assert_int_equal(pool_draw(pool, &random, outcomes, 200000), 0);
    for (uint32_t i = 0; i < 200000; i++)
        assert_int_equal(outcomes[i] % 5, 2);
    pool_check(pool);
    pool_free(pool);
}

static void a_limited_item_gives_what_it_has_and_the_rest_fails(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    add_item(pool, 3, 1);
    add_item(pool, 40, 1000000);
    struct urn_os os = os_seeded(52);
    struct random_source random;
    random_init(&random, &os);
    uint32_t outcomes[50], of_item[2] = {0};
    assert_int_equal(pool_draw(pool, &random, outcomes, 50), 7);
    for (uint32_t i = 0; i < 43; i++)
        of_item[outcomes[i]]++;
    for (uint32_t i = 43; i < 50; i++)
        assert_int_equal(outcomes[i], URN_FAILED_DRAW);
    assert_int_equal(of_item[0], 3);
    assert_int_equal(of_item[1], 40);
    assert_int_equal(item_of(pool, 1).quantity, 0);
    assert_int_equal(item_of(pool, 1).drawn, 40);
    pool_revert(pool, outcomes, 50);
    assert_int_equal(item_of(pool, 1).quantity, 40);
    assert_int_equal(item_of(pool, 1).drawn, 0);
    assert_int_equal(pool_weight_in_stock(pool), 1000001);
    pool_check(pool);
    pool_free(pool);
}

static void an_unlimited_item_stays_unlimited(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    struct urn_error error;
    add_item(pool, URN_UNLIMITED, 3);
    /* one whose counter is nearly full: it leaves stock rather than its range */
    assert_int_equal(pool_add(pool, "old", 3, URN_UNLIMITED, 5, URN_NUMBER_MAX - 2, &error),
                     URN_OK);
    assert_int_equal(item_of(pool, 1).drawn, URN_NUMBER_MAX - 2);
    assert_true(take(pool, 1) && take(pool, 1));
    assert_false(take(pool, 1));
    assert_int_equal(item_of(pool, 1).drawn, URN_NUMBER_MAX);
    assert_int_equal(item_of(pool, 1).quantity, URN_UNLIMITED);
    assert_int_equal(pool_weight_in_stock(pool), 3);
    for (uint32_t i = 0; i < 1000; i++)
        assert_true(take(pool, 0));
    assert_int_equal(item_of(pool, 0).quantity, URN_UNLIMITED);
    assert_int_equal(item_of(pool, 0).drawn, 1000);
    pool_check(pool);
    pool_free(pool);
}

static void pool_take_refuses_what_cannot_be_drawn(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    assert_false(take(pool, 0));
    add_item(pool, 1, 4);
    add_item(pool, 0, 4);
    add_item(pool, URN_UNLIMITED, 0);
    assert_false(take(pool, 1));
    assert_false(take(pool, 2));
    assert_false(take(pool, 3));
    assert_false(take(pool, URN_FAILED_DRAW));
    assert_true(take(pool, 0));
    assert_false(take(pool, 0)); /* that was the only one */
    assert_int_equal(item_of(pool, 0).drawn, 1);
    assert_int_equal(item_of(pool, 1).drawn, 0);
    assert_int_equal(pool_weight_in_stock(pool), 0);
    pool_check(pool);
    pool_free(pool);
}

/* A million items of which there is one each, in requests of 1, of 7 and of 1000. */
/* Two pools alike: whatever one takes together, the other takes one by one. */
static void take_both_ways(uint32_t items, uint32_t rounds, uint64_t seed)
{
    enum { TAKEN_MAX = 200 };
    struct urn_pool *together = make_pool(), *singly = make_pool();
    uint32_t *tally = calloc(items + 1, sizeof *tally);
    assert_non_null(tally);
    for (uint32_t i = 0; i < items; i++) {
        int64_t quantity = (int64_t)(scripted_next(&seed) % 40) - 1;
        uint64_t weight = scripted_next(&seed) % 50;
        add_item(together, quantity, weight);
        add_item(singly, quantity, weight);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t indexes[TAKEN_MAX];
        uint32_t count = (uint32_t)(scripted_next(&seed) % (TAKEN_MAX + 1)), possible = 0;
        for (uint32_t i = 0; i < count; i++)
            indexes[i] = (uint32_t)(scripted_next(&seed) % items);
        if (count > 0 && scripted_next(&seed) % 8 == 0)
            indexes[scripted_next(&seed) % count] =
                scripted_next(&seed) % 2 == 0 ? items : URN_FAILED_DRAW;
        while (possible < count && take(singly, indexes[possible]))
            possible++;
        assert_int_equal(pool_take_each(together, indexes, count), possible);

        /* A tally of what was possible just now may be too much by now; then it is so one by one. */
        memset(tally, 0, (items + 1) * sizeof *tally);
        uint32_t rest = scripted_next(&seed) % 4 == 0 ? items + 1 : items;
        for (uint32_t i = 0; i < possible; i++)
            tally[indexes[i]]++;
        if (rest > items && scripted_next(&seed) % 2 == 0)
            tally[items] = 1;
        uint32_t taken = 0;
        while (taken < possible && take(singly, indexes[taken]))
            taken++;
        bool can = taken == possible && tally[items] == 0;
        assert_int_equal(pool_take_tally(together, tally, rest), can);
        if (!can)
            pool_revert(singly, indexes, taken);
    }
    for (uint32_t i = 0; i < items; i++) {
        assert_int_equal(item_of(together, i).quantity, item_of(singly, i).quantity);
        assert_int_equal(item_of(together, i).drawn, item_of(singly, i).drawn);
    }
    assert_int_equal(pool_weight_in_stock(together), pool_weight_in_stock(singly));
    pool_check(together);
    free(tally);
    pool_free(together);
    pool_free(singly);
}

static void taking_together_is_taking_one_by_one(void **state)
{
    (void)state;
    for (uint32_t items = 1; items < 20; items++)
        take_both_ways(items, 30, 3000 + items);
    take_both_ways(300, 100, 4000);
    take_both_ways(5000, 300, 4001);
}

static void a_million_coupons_come_out_once_each(void **state)
{
    (void)state;
    enum { COUPONS = 1000000 };
    struct urn_pool *pool = make_pool();
    for (uint32_t i = 0; i < COUPONS; i++)
        add_item(pool, 1, 1 + i % 3);
    struct urn_os os = os_seeded(61);
    struct random_source random;
    random_init(&random, &os);
    uint8_t *seen = calloc(COUPONS, 1);
    assert_non_null(seen);
    const uint32_t requests[] = {1, 7, 1000};
    for (uint32_t done = 0, request = 0; done < COUPONS; request++) {
        uint32_t outcomes[1000];
        uint32_t count = requests[request % 3];
        uint32_t failed = pool_draw(pool, &random, outcomes, count);
        assert_int_equal(failed, count <= COUPONS - done ? 0 : count - (COUPONS - done));
        for (uint32_t i = 0; i < count - failed; i++)
            assert_int_equal(seen[outcomes[i]]++, 0);
        done += count - failed;
    }
    uint32_t outcome;
    assert_int_equal(pool_draw(pool, &random, &outcome, 1), 1);
    pool_check(pool);
    free(seen);
    pool_free(pool);
}

/* ---- items ----------------------------------------------------------------------------------- */

static void refused(struct urn_pool *pool, const char *id, uint32_t id_bytes, int64_t quantity,
                    uint64_t weight, uint64_t drawn, enum urn_code code, const char *words)
{
    struct urn_error error = {0};
    uint32_t count = pool_item_count(pool);
    assert_int_equal(pool_add(pool, id, id_bytes, quantity, weight, drawn, &error), code);
    assert_int_equal(error.code, code);
    if (strstr(error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_int_equal(pool_item_count(pool), count);
    pool_check(pool);
}

static void pool_add_refuses_what_breaks_a_bound(void **state)
{
    (void)state;
    const int64_t most = (int64_t)URN_NUMBER_MAX;
    struct urn_pool *pool = NULL;
    struct urn_error error;
    assert_int_equal(pool_make(0, "p", 1, 3, &pool, &error), URN_OK);
    refused(pool, "", 0, 1, 1, 0, URN_BADARG, "item 0 of pool \"p\": its id");
    refused(pool, "a\n", 2, 1, 1, 0, URN_BADARG, "its id");
    refused(pool, "\xff", 1, 1, 1, 0, URN_BADARG, "UTF-8");
    refused(pool, "a", 1, -2, 1, 0, URN_BADARG, "quantity must be");
    refused(pool, "a", 1, INT64_MIN, 1, 0, URN_BADARG, "quantity must be");
    refused(pool, "a", 1, most + 1, 1, 0, URN_BADARG, "quantity must be");
    refused(pool, "a", 1, 1, URN_NUMBER_MAX + 1, 0, URN_BADARG, "probability must be");
    refused(pool, "a", 1, 1, UINT64_MAX, 0, URN_BADARG, "probability must be");
    refused(pool, "a", 1, 1, 1, URN_NUMBER_MAX + 1, URN_BADARG, "drawn must be");
    refused(pool, "a", 1, URN_UNLIMITED, 1, UINT64_MAX, URN_BADARG, "drawn must be");
    refused(pool, "a", 1, 2, 1, URN_NUMBER_MAX - 1, URN_BADARG, "drawn and quantity together");

    assert_int_equal(pool_add(pool, "a", 1, 0, URN_NUMBER_MAX - 5, 0, &error), URN_OK);
    refused(pool, "b", 1, 1, 6, 0, URN_BADARG, "sum up"); /* "a" may come into stock again */
    assert_int_equal(pool_add(pool, "b", 1, 1, 5, URN_NUMBER_MAX - 1, &error), URN_OK);
    refused(pool, "a", 1, 1, 0, 0, URN_EXISTS, "at index 0");
    refused(pool, "b", 1, 1, 0, 0, URN_EXISTS, "at index 1");
    assert_int_equal(pool_add(pool, "c", 1, most, 0, 0, &error), URN_OK);
    refused(pool, "d", 1, 1, 0, 0, URN_TOOBIG, "limits.max_items");
    assert_int_equal(pool_weight_in_stock(pool), 5);
    assert_int_equal(item_of(pool, 2).quantity, most);
    pool_free(pool);
}

static void pool_make_checks_the_name(void **state)
{
    (void)state;
    struct urn_pool *pool = NULL;
    struct urn_error error;
    assert_int_equal(pool_make(0, "", 0, 10, &pool, &error), URN_BADARG);
    assert_int_equal(pool_make(0, "a\tb", 3, 10, &pool, &error), URN_BADARG);
    assert_non_null(strstr(error.text, "pool 0"));
    assert_null(pool);
    assert_int_equal(pool_make(9, "\xc3\xa9", 2, 0, &pool, &error), URN_OK);
    assert_int_equal(pool_id(pool), 9);
    assert_int_equal(pool_name(pool).length, 2);
    assert_memory_equal(pool_name(pool).bytes, "\xc3\xa9", 2);
    assert_int_equal(pool_odds_version(pool), 1);
    assert_true(pool_is_open(pool));
    pool_set_open(pool, false);
    pool_set_odds_version(pool, 44);
    assert_false(pool_is_open(pool));
    assert_int_equal(pool_odds_version(pool), 44);
    refused(pool, "a", 1, 1, 1, 0, URN_TOOBIG, "full"); /* no room for any */
    pool_free(pool);
    pool_free(NULL);
}

static void items_are_found_by_id_and_only_then(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    uint32_t index;
    assert_false(pool_find(pool, "item-0", 6, &index));
    for (uint32_t i = 0; i < 20000; i++)
        add_item(pool, 1, 1);
    for (uint32_t i = 0; i < 20000; i++) {
        struct urn_text id = pool_item_id(pool, i);
        char expected[32];
        int length = snprintf(expected, sizeof expected, "item-%" PRIu32, i);
        assert_int_equal(id.length, length);
        assert_memory_equal(id.bytes, expected, id.length);
        assert_true(pool_find(pool, expected, id.length, &index));
        assert_int_equal(index, i);
        assert_false(pool_find(pool, expected, id.length - 1, &index) && index == i);
        length = snprintf(expected, sizeof expected, "item-%" PRIu32 "x", i);
        assert_false(pool_find(pool, expected, (uint32_t)length, &index));
    }
    assert_false(pool_find(pool, "", 0, &index));
    pool_free(pool);
}

/* At every moment of its hash's growth, and when a reservation comes in the midst of that. */
static void ids_are_found_while_their_hash_grows(void **state)
{
    (void)state;
    for (uint32_t reserve_at = 0; reserve_at < 300; reserve_at += 7) {
        struct urn_pool *pool = make_pool();
        struct urn_error error;
        uint32_t index;
        for (uint32_t i = 0; i < 300; i++) {
            char id[32];
            add_item(pool, 1, 1);
            if (i == reserve_at)
                assert_int_equal(pool_reserve(pool, i + 1 + i % 50, &error), URN_OK);
            for (uint32_t other = 0; other <= i; other++) {
                const struct urn_text text = pool_item_id(pool, other);
                assert_true(pool_find(pool, text.bytes, text.length, &index));
                assert_int_equal(index, other);
            }
            int length = snprintf(id, sizeof id, "item-%" PRIu32, i + 1);
            assert_false(pool_find(pool, id, (uint32_t)length, &index));
            pool_check(pool);
        }
        pool_free(pool);
    }
}

/* Names of all lengths up to the longest: the arena's chunks end in the midst of none. */
/* Whether a second item of this index's id is refused among so many added in bulk, the first of them
 * behind some that were not. */
static void bulk_with_second(uint32_t before, uint32_t count, uint32_t first, uint32_t second)
{
    struct urn_pool *pool = make_pool();
    struct urn_error error;
    for (uint32_t i = 0; i < before; i++)
        add_item(pool, 1, 1);
    pool_begin_bulk(pool);
    while (pool_item_count(pool) < count) {
        char id[32];
        uint32_t number = pool_item_count(pool) == second ? first : pool_item_count(pool);
        int length = snprintf(id, sizeof id, "item-%" PRIu32, number);
        assert_int_equal(pool_add(pool, id, (uint32_t)length, 1, 1, 0, &error), URN_OK);
    }
    assert_int_equal(pool_end_bulk(pool, &error), first == second ? URN_OK : URN_EXISTS);
    if (first == second)
        pool_check(pool); /* every id is found, at its index */
    else
        assert_non_null(strstr(error.text, "has it already"));
    pool_free(pool);
}

static void ids_added_in_bulk_are_as_unique_as_others(void **state)
{
    (void)state;
    bulk_with_second(0, 0, 0, 0);
    bulk_with_second(0, 1000, 7, 7);
    bulk_with_second(40, 1000, 7, 7);
    bulk_with_second(0, 1000, 0, 1);
    bulk_with_second(0, 1000, 31, 32);
    bulk_with_second(0, 1000, 0, 999);
    bulk_with_second(0, 1000, 998, 999);
    bulk_with_second(40, 1000, 39, 999);
    bulk_with_second(40, 1000, 39, 40);
}

static void ids_of_every_length_stay_whole(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    struct urn_error error;
    char id[URN_NAME_BYTES_MAX + 1];
    uint64_t seed = 71;
    uint32_t lengths[5000];
    for (uint32_t i = 0; i < 5000; i++) {
        lengths[i] = (uint32_t)(scripted_next(&seed) % 57) + 8;
        snprintf(id, sizeof id, "%08" PRIu32 "%056d", i, 0);
        assert_int_equal(pool_add(pool, id, lengths[i], 1, 1, 0, &error), URN_OK);
    }
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "%08" PRIu32 "%056d", i, 0);
        assert_int_equal(pool_item_id(pool, i).length, lengths[i]);
        assert_memory_equal(pool_item_id(pool, i).bytes, id, lengths[i]);
    }
    pool_check(pool);
    pool_free(pool);
}

struct reading {
    const struct urn_pool *pool;
    _Atomic uint32_t published;
    uint32_t wrong;
};

static void *read_ids(void *argument)
{
    struct reading *reading = argument;
    uint64_t seed = 81;
    uint32_t published = 0;
    while (published < 200000) {
        published = atomic_load_explicit(&reading->published, memory_order_acquire);
        for (uint32_t i = 0; i < 100 && published > 0; i++) {
            uint32_t index = (uint32_t)(scripted_next(&seed) % published);
            struct urn_text id = pool_item_id(reading->pool, index);
            char expected[32];
            int length = snprintf(expected, sizeof expected, "item-%" PRIu32, index);
            reading->wrong +=
                id.length != (uint32_t)length || memcmp(id.bytes, expected, id.length) != 0;
        }
    }
    return NULL;
}

static void any_thread_reads_ids_while_the_writer_adds(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    struct reading reading = {.pool = pool};
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, read_ids, &reading), 0);
    for (uint32_t i = 0; i < 200000; i++) {
        add_item(pool, 1, 1);
        atomic_store_explicit(&reading.published, i + 1, memory_order_release);
    }
    assert_int_equal(pthread_join(reader, NULL), 0);
    assert_int_equal(reading.wrong, 0);
    pool_free(pool);
}

/* ---- changing -------------------------------------------------------------------------------- */

static void update(struct urn_pool *pool, uint32_t index, struct pool_update update)
{
    struct urn_error error;
    if (pool_update(pool, index, &update, &error) != URN_OK)
        fail_msg("%s", error.text);
}

/* After any mixture of changes and draws every number falls on the item of the definition. */
static void updates_and_draws_follow_the_definition(void **state)
{
    (void)state;
    struct urn_os os = os_seeded(17);
    struct random_source luck;
    random_init(&luck, &os);
    struct urn_pool *pool = make_pool();
    for (uint32_t i = 0; i < 40; i++)
        add_item(pool, (int64_t)(i % 4), i % 5);
    for (uint32_t round = 0; round < 2000; round++) {
        uint32_t index = (uint32_t)random_below(&luck, pool_item_count(pool));
        struct pool_update change = {.has_quantity = random_below(&luck, 2) == 0,
                                     .quantity = (int64_t)random_below(&luck, 4) - 1,
                                     .has_probability = random_below(&luck, 2) == 0,
                                     .probability = random_below(&luck, 6)};
        uint64_t drawn = item_of(pool, index).drawn;
        update(pool, index, change);
        assert_int_equal(item_of(pool, index).drawn, drawn);
        if (random_below(&luck, 50) == 0)
            add_item(pool, 1, 3);
        uint64_t weight = pool_weight_in_stock(pool);
        if (weight == 0)
            continue;
        uint64_t number = random_below(&luck, weight);
        uint64_t rest = number;
        uint32_t expected = 0;
        for (;; expected++) {
            struct urn_item item = item_of(pool, expected);
            uint64_t part = item.quantity != 0 ? item.probability : 0;
            if (rest < part)
                break;
            rest -= part;
        }
        assert_int_equal(draw_number(pool, number), expected);
        if (round % 100 == 0)
            pool_check(pool);
    }
    pool_check(pool);
    pool_free(pool);
}

static void updates_are_refused_whole(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    struct urn_error error;
    assert_int_equal(pool_add(pool, "a", 1, 5, 10, 7, &error), URN_OK);
    assert_int_equal(pool_add(pool, "b", 1, 5, 10, 0, &error), URN_OK);
    static const struct pool_update refused[] = {
        {.has_quantity = true, .quantity = -2},
        {.has_quantity = true, .quantity = (int64_t)URN_NUMBER_MAX - 6},
        {.has_probability = true, .probability = URN_NUMBER_MAX - 9},
        {.has_probability = true, .probability = URN_NUMBER_MAX + 1},
        {.has_quantity = true, .quantity = 1, .has_probability = true, .probability = UINT64_MAX},
        {.has_quantity = true, .quantity = INT64_MIN, .has_probability = true, .probability = 1},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        assert_int_equal(pool_update(pool, 0, &refused[i], &error), URN_BADARG);
        assert_int_equal(item_of(pool, 0).quantity, 5);
        assert_int_equal(item_of(pool, 0).probability, 10);
    }
    update(pool, 0,
           (struct pool_update){.has_quantity = true,
                                .quantity = (int64_t)URN_NUMBER_MAX - 7,
                                .has_probability = true,
                                .probability = URN_NUMBER_MAX - 10});
    assert_int_equal(item_of(pool, 0).drawn, 7);
    update(pool, 0, (struct pool_update){.has_quantity = true, .quantity = URN_UNLIMITED});
    assert_int_equal(item_of(pool, 0).quantity, URN_UNLIMITED);
    assert_int_equal(item_of(pool, 0).drawn, 7);
    update(pool, 0, (struct pool_update){.has_quantity = true, .quantity = 3});
    assert_int_equal(item_of(pool, 0).quantity, 3);
    assert_int_equal(item_of(pool, 0).drawn, 7);
    pool_check(pool);
    pool_free(pool);
}

static void the_applied_weight_is_that_of_the_file(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    for (uint32_t i = 0; i < 5000; i++)
        add_item(pool, 1, 3);
    uint64_t bytes = pool_memory_bytes(pool);
    assert_int_equal(pool_applied_weight(pool, 4999), 3);
    update(pool, 4999, (struct pool_update){.has_probability = true, .probability = 8});
    assert_int_equal(pool_applied_weight(pool, 4999), 3);
    update(pool, 4999, (struct pool_update){.has_probability = true, .probability = 9});
    assert_int_equal(pool_applied_weight(pool, 4999), 3);
    assert_int_equal(pool_applied_weight(pool, 4998), 3);
    assert_in_range(pool_memory_bytes(pool) - bytes, 4096 * 8, 4096 * 8 + 1024);
    update(pool, 4999, (struct pool_update){.has_probability = true, .probability = 3});
    update(pool, 4999,
           (struct pool_update){.has_probability = true, .probability = 8, .from_file = true});
    assert_int_equal(pool_applied_weight(pool, 4999), 8);
    update(pool, 0,
           (struct pool_update){.has_probability = true, .probability = 2, .from_file = true});
    assert_int_equal(pool_applied_weight(pool, 0), 2);
    pool_check(pool);
    pool_free(pool);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* From where on the fixed parts of a pool no longer count. */
#define LARGE_POOL 200000u

static void a_million_items_take_48_bytes_each_and_their_names(void **state)
{
    (void)state;
    uint64_t heap_before = heap_bytes(), name_bytes = 0;
    struct urn_pool *pool = make_pool();
    double most = 0;
    uint32_t growing = 0; /* its hash is, for a twelfth of all items */
    for (uint32_t i = 0; i < 1000000; i++) {
        add_item(pool, 100, 3);
        name_bytes += pool_item_id(pool, i).length;
        double without_names = (double)(pool_memory_bytes(pool) - name_bytes);
        if (i + 1 >= LARGE_POOL && without_names / (i + 1) > most)
            most = without_names / (i + 1);
        growing += i + 1 >= LARGE_POOL && without_names / (i + 1) > 48;
    }
    struct urn_os os = os_seeded(91);
    struct random_source random;
    random_init(&random, &os);
    uint32_t outcome;
    pool_draw(pool, &random, &outcome, 1); /* all that draws need is there now */
    uint64_t counted = pool_memory_bytes(pool);
    print_message("bytes an item, plus its name: %.2f at 1,000,000; %.2f at most from %u on\n",
                  (double)(counted - name_bytes) / 1e6, most, LARGE_POOL);
    assert_true(counted - name_bytes <= 48 * 1000000ull);
    assert_true(most <= 48 + 5.4);
    assert_true(growing < 1000000 / 10);
    assert_true(pool_name_arena_bytes(pool) >= name_bytes + 1000000);

    /* and the allocator agrees, where it is the real one */
    uint64_t heap_taken = heap_bytes() - heap_before;
    if (heap_taken > 0) {
        print_message("counted %" PRIu64 ", taken from the heap %" PRIu64 "\n", counted,
                      heap_taken);
        /* The selector's levels are pages beside the heap. */
        const uint64_t pages = selector_memory_bound_bytes(1000000);
        assert_true(heap_taken + pages >= counted);
        assert_true(heap_taken + pages - counted < counted / 50);
    }
    pool_free(pool);
}

static void memory_stays_within_the_bound(void **state)
{
    (void)state;
    struct urn_pool *pool = make_pool();
    struct urn_error error;
    assert_true(pool_memory_bytes(pool) <= pool_memory_bound_bytes(1, 0));
    for (uint32_t i = 0; i < 100000; i++) {
        char id[URN_NAME_BYTES_MAX + 1];
        snprintf(id, sizeof id, "%08" PRIu32 "%056d", i, 0);
        assert_int_equal(pool_add(pool, id, URN_NAME_BYTES_MAX, 1, 1, 0, &error), URN_OK);
        assert_int_equal(pool_set_applied_weight(pool, i, 2, &error), URN_OK);
        uint64_t bytes = pool_memory_bytes(pool);
        assert_true(bytes <= pool_memory_bound_bytes(1, i + 1));
        if (i % 1000 == 0) /* many alike */
            assert_true(1000 * bytes <= pool_memory_bound_bytes(1000, 1000ull * (i + 1)));
    }
    pool_free(pool);
    assert_int_equal(pool_memory_bound_bytes(0, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_one_draw_counts_equal_weights),
        cmocka_unit_test(every_sequence_of_three_draws_follows_the_stock),
        cmocka_unit_test(random_operations_equal_the_definition_draw_for_draw),
        cmocka_unit_test(runs_of_draws_equal_the_definition_draw_for_draw),
        cmocka_unit_test(an_item_may_run_out_at_any_place_of_a_request),
        cmocka_unit_test(frequencies_follow_the_odds_until_the_catalog_is_dry),
        cmocka_unit_test(large_catalogs_are_drawn_by_their_weights),
        cmocka_unit_test(nothing_in_stock_fails_and_uses_no_randomness),
        cmocka_unit_test(weight_0_is_never_drawn),
        cmocka_unit_test(a_limited_item_gives_what_it_has_and_the_rest_fails),
        cmocka_unit_test(an_unlimited_item_stays_unlimited),
        cmocka_unit_test(pool_take_refuses_what_cannot_be_drawn),
        cmocka_unit_test(taking_together_is_taking_one_by_one),
        cmocka_unit_test(a_million_coupons_come_out_once_each),
        cmocka_unit_test(pool_add_refuses_what_breaks_a_bound),
        cmocka_unit_test(pool_make_checks_the_name),
        cmocka_unit_test(items_are_found_by_id_and_only_then),
        cmocka_unit_test(ids_are_found_while_their_hash_grows),
        cmocka_unit_test(ids_added_in_bulk_are_as_unique_as_others),
        cmocka_unit_test(ids_of_every_length_stay_whole),
        cmocka_unit_test(any_thread_reads_ids_while_the_writer_adds),
        cmocka_unit_test(a_million_items_take_48_bytes_each_and_their_names),
        cmocka_unit_test(updates_and_draws_follow_the_definition),
        cmocka_unit_test(updates_are_refused_whole),
        cmocka_unit_test(the_applied_weight_is_that_of_the_file),
        cmocka_unit_test(memory_stays_within_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
