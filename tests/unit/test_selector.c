/* test_selector.c: the tree against a linear scan of the weights, on every path of this processor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/bytes.h"
#include "engine/limits.h"
#include "engine/selector.h"
#include "tests/lib/os_scripted.h"

/* ---- the model: weights in a row ------------------------------------------------------------- */

struct model {
    uint64_t *weights;
    uint32_t count;
    uint64_t total;
};

static struct model model_make(uint32_t room)
{
    struct model model = {.weights = calloc(room, sizeof(uint64_t))};
    assert_non_null(model.weights);
    return model;
}

static void model_weights(const void *context, uint32_t first, uint32_t count, uint64_t *weights)
{
    const struct model *model = context;
    assert_in_range(count, 1, SELECTOR_FANOUT);
    assert_true(first + count <= model->count);
    memcpy(weights, model->weights + first, count * sizeof(uint64_t));
}

static uint32_t model_find(const struct model *model, uint64_t number)
{
    uint32_t slot = 0;
    for (uint64_t sum = model->weights[0]; sum <= number; sum += model->weights[slot])
        slot++;
    return slot;
}

static void model_fill(struct model *model, uint32_t count, uint64_t weight_max, uint64_t *seed)
{
    model->count = count;
    model->total = 0;
    for (uint32_t i = 0; i < count; i++) {
        /* every fourth weight is 0 */
        uint64_t weight = scripted_next(seed) % 4 == 0 ? 0 : scripted_next(seed) % weight_max + 1;
        model->weights[i] = weight;
        model->total += weight;
    }
}

/* ---- help ------------------------------------------------------------------------------------ */

static void find(const struct selector *selector, uint64_t *numbers, uint32_t *slots,
                 uint32_t count)
{
    uint32_t found[SELECTOR_GROUP_MAX];
    selector_find_nodes(selector, numbers, found, count);
    for (uint32_t i = 0; i < count; i++)
        selector_prefetch_node(selector, found[i]);
    selector_find_slots(selector, numbers, found, count);
    memcpy(slots, found, count * sizeof *slots);
}

static uint32_t find_one(const struct selector *selector, uint64_t number)
{
    uint32_t slot;
    find(selector, &number, &slot, 1);
    return slot;
}

static void build(struct selector *selector, const struct model *model)
{
    assert_true(selector_reserve(selector, model->count, MAX_ITEMS_MAX));
    selector_build(selector, model->count, model_weights, model);
    assert_int_equal(selector->total, model->total);
}

/* The first and the last number of every slot with a weight, in shuffled groups of odd sizes. */
static void check_slot_boundaries(const struct selector *selector, const struct model *model)
{
    uint64_t numbers[13];
    uint32_t expected[13], slots[13];
    uint32_t filled = 0;
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < model->count; slot++) {
        for (int last = 0; last < 2 && model->weights[slot] > 0; last++) {
            numbers[filled] = last ? sum + model->weights[slot] - 1 : sum;
            expected[filled++] = slot;
            if (filled == 13) {
                find(selector, numbers, slots, filled);
                assert_memory_equal(slots, expected, sizeof slots);
                filled = 0;
            }
        }
        sum += model->weights[slot];
    }
    if (filled > 0) {
        find(selector, numbers, slots, filled);
        assert_memory_equal(slots, expected, filled * sizeof slots[0]);
    }
}

/* Runs a check on every path; *state is what the group set up. */
static void on_every_path(void (*check)(struct selector *selector))
{
    uint32_t paths = 0;
    for (enum selector_path path = 0; path < SELECTOR_PATHS; path++) {
        struct selector selector;
        selector_init(&selector);
        if (selector_use_path(&selector, path)) {
            check(&selector);
            paths++;
        } else {
            print_message("this processor has no %s\n", selector_path_name(path));
        }
        selector_free(&selector);
    }
    assert_true(paths >= 1);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void enumerate(struct selector *selector)
{
    uint64_t seed = 11;
    struct model model = model_make(600);
    for (uint32_t count = 1; count <= 600; count += count < 40 ? 1 : 37) {
        model_fill(&model, count, 9, &seed);
        if (model.total == 0)
            continue;
        build(selector, &model);
        uint64_t found[600] = {0};
        for (uint64_t number = 0; number < model.total; number++) {
            uint32_t slot = find_one(selector, number);
            assert_int_equal(slot, model_find(&model, number));
            found[slot]++;
        }
        assert_memory_equal(found, model.weights, count * sizeof found[0]);
    }
    free(model.weights);
}

static void every_number_finds_its_slot_so_that_counts_equal_weights(void **state)
{
    (void)state;
    on_every_path(enumerate);
}

static void cross_node_boundaries(struct selector *selector)
{
    const uint32_t counts[] = {1,    2,    15,    16,    17,    31,    32,   33,
                               255,  256,  257,   272,   273,   4095,  4096, 4097,
                               4112, 4113, 65535, 65536, 65537, 69632, 70000};
    uint64_t seed = 12;
    struct model model = model_make(70000);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        model_fill(&model, counts[i], 1000, &seed);
        model.total += 5 - model.weights[counts[i] - 1];
        model.weights[counts[i] - 1] = 5; /* the very last slot is found, too */
        build(selector, &model);
        selector_check(selector, model_weights, &model);
        check_slot_boundaries(selector, &model);
    }
    free(model.weights);
}

static void slots_are_found_across_all_node_boundaries(void **state)
{
    (void)state;
    on_every_path(cross_node_boundaries);
}

static void use_six_levels(struct selector *selector)
{
    const uint32_t count = (1u << 20) + 20;
    struct model model = model_make(count);
    model.count = count;
    for (uint32_t i = 0; i < count; i++)
        model.total += model.weights[i] = i % 3;
    build(selector, &model);
    assert_int_equal(selector->level_count, 6);
    check_slot_boundaries(selector, &model);
    free(model.weights);
}

static void more_than_a_million_slots_take_a_sixth_level(void **state)
{
    (void)state;
    on_every_path(use_six_levels);
}

static void use_huge_weights(struct selector *selector)
{
    struct model model = model_make(300);
    model.count = 300;
    const uint64_t huge = ((1ull << 53) - 1) / 300;
    for (uint32_t i = 0; i < 300; i++)
        model.total += model.weights[i] = huge;
    model.weights[299] += (1ull << 53) - 1 - model.total;
    model.total = (1ull << 53) - 1;
    build(selector, &model);
    check_slot_boundaries(selector, &model);

    /* one slot that has it all, among empty ones */
    memset(model.weights, 0, 300 * sizeof(uint64_t));
    model.weights[123] = model.total;
    build(selector, &model);
    check_slot_boundaries(selector, &model);
    free(model.weights);
}

static void sums_up_to_2_to_the_53_are_compared_rightly(void **state)
{
    (void)state;
    on_every_path(use_huge_weights);
}

/* ---- many draws from a single node ----------------------------------------------------------- */

#define FLAT_WORDS 300u

/* What selector_find_flat() is to say, word by word. */
static uint32_t model_find_flat(const struct model *model, const uint8_t *words, uint32_t count,
                                uint32_t *slots, uint32_t *tally)
{
    memset(tally, 0, SELECTOR_FANOUT * sizeof *tally);
    uint32_t done = 0;
    for (; done < count; done++) {
        const uint64_t product = get_u32(words + sizeof(uint32_t) * done) * model->total;
        if ((uint32_t)product < model->total)
            break;
        tally[slots[done] = model_find(model, product >> 32)]++;
    }
    return done;
}

/* words lie at the very end of their memory, slots as well: a sanitizer sees what goes beyond. */
static void check_flat(const struct selector *selector, const struct model *model,
                       const uint32_t *words, uint32_t count)
{
    uint8_t *bytes = malloc(count * sizeof *words + 1);
    uint32_t *slots = malloc(count * sizeof *slots + 1),
             *expected = malloc(count * sizeof *slots + 1);
    uint32_t tally[SELECTOR_FANOUT], expected_tally[SELECTOR_FANOUT];
    assert_true(bytes != NULL && slots != NULL && expected != NULL);
    for (uint32_t i = 0; i < count; i++) {
        put_u32(bytes + sizeof *words * i, words[i]);
        slots[i] = expected[i] = UINT32_MAX;
    }
    const uint32_t done = model_find_flat(model, bytes, count, expected, expected_tally);
    assert_int_equal(selector_find_flat(selector, bytes, count, slots, tally), done);
    assert_memory_equal(slots, expected, done * sizeof *slots);
    assert_memory_equal(tally, expected_tally, sizeof tally);
    free(bytes);
    free(slots);
    free(expected);
}

/* A word that may have to be passed over, for 0 times anything has a rest of 0. */
static void check_flat_with_doubtful_words(const struct selector *selector,
                                           const struct model *model, uint32_t *words,
                                           uint64_t *seed)
{
    for (uint32_t count = 1; count <= 140; count++) {
        check_flat(selector, model, words, count);
        const uint32_t at = (uint32_t)(scripted_next(seed) % count), before = words[at];
        const uint32_t second = (uint32_t)(scripted_next(seed) % count);
        words[at] = 0;
        check_flat(selector, model, words, count);
        const uint32_t before_second = words[second];
        words[second] = 0;
        check_flat(selector, model, words, count);
        words[second] = before_second;
        words[at] = before;
    }
    check_flat(selector, model, words, FLAT_WORDS);
}

/* The first and the last word of the first and the last number of each slot, and those beside them. */
static void check_flat_boundaries(const struct selector *selector, const struct model *model,
                                  uint32_t *words, uint64_t *seed)
{
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < model->count; sum += model->weights[slot++])
        for (int edge = 0; edge < 7; edge++) {
            const uint64_t first_word = ((sum << 32) + model->total - 1) / model->total;
            const uint32_t at = (uint32_t)(scripted_next(seed) % 70);
            const uint32_t before = words[at];
            words[at] = (uint32_t)(first_word + (uint64_t)edge - 3);
            check_flat(selector, model, words, 70);
            words[at] = before;
        }
}

static void find_flat(struct selector *selector)
{
    uint64_t seed = 13;
    struct model model = model_make(SELECTOR_FANOUT);
    uint32_t words[FLAT_WORDS];
    for (uint32_t round = 0; round < 96; round++) {
        const uint32_t count = round % SELECTOR_FANOUT + 1;
        model_fill(&model, count, round % 3 == 0 ? 3 : (1u << 24) / 16, &seed);
        if (round % 5 == 0) {
            model.weights[scripted_next(&seed) % count] += RANDOM_SMALL_BOUND - model.total;
            model.total = RANDOM_SMALL_BOUND;
        }
        build(selector, &model);
        assert_int_equal(selector_is_flat(selector), model.total > 0);
        if (model.total == 0)
            continue;
        for (uint32_t i = 0; i < FLAT_WORDS; i++)
            words[i] = (uint32_t)scripted_next(&seed);
        check_flat_with_doubtful_words(selector, &model, words, &seed);
        check_flat_boundaries(selector, &model, words, &seed);
    }
    free(model.weights);
}

static void many_draws_at_once_are_the_draws_one_by_one(void **state)
{
    (void)state;
    on_every_path(find_flat);
}

static void flat_is_one_node_and_a_small_total(void **state)
{
    (void)state;
    static const struct {
        uint32_t count;
        uint64_t total;
        bool flat;
    } cases[] = {{1, 1, true},        {1, 0, false},         {16, 1u << 24, true},
                 {16, 0, false},      {17, 1000, false},     {16, (1u << 24) + 1, false},
                 {1, 1u << 24, true}, {1, 1ull << 52, false}};
    struct model model = model_make(17);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct selector selector;
        selector_init(&selector);
        assert_false(selector_is_flat(&selector));
        model.count = cases[i].count;
        model.total = model.weights[model.count - 1] = cases[i].total;
        build(&selector, &model);
        assert_int_equal(selector_is_flat(&selector), cases[i].flat);
        selector_free(&selector);
        model.weights[model.count - 1] = 0;
    }
    free(model.weights);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void append_one(struct selector *selector, struct model *model, uint64_t weight)
{
    model->weights[model->count++] = weight;
    model->total += weight;
    assert_true(selector_reserve(selector, model->count, MAX_ITEMS_MAX));
    assert_int_equal(selector->count + 1, model->count); /* nothing is lost when it grows */
    selector_append(selector, weight);
}

static void change_one(struct selector *selector, struct model *model, uint64_t *seed)
{
    uint32_t slot = (uint32_t)(scripted_next(seed) % model->count);
    if (scripted_next(seed) % 2) {
        uint64_t more = scripted_next(seed) % 1000;
        selector_increase(selector, slot, more);
        model->weights[slot] += more;
        model->total += more;
    } else {
        uint64_t less = scripted_next(seed) % 2 ? model->weights[slot] : model->weights[slot] / 2;
        selector_decrease(selector, slot, less);
        model->weights[slot] -= less;
        model->total -= less;
    }
}

static void differ_from_size(struct selector *selector, uint32_t first_count, uint32_t operations,
                             uint64_t seed)
{
    struct model model = model_make(first_count + operations);
    model_fill(&model, first_count, 1000, &seed);
    build(selector, &model);
    for (uint32_t i = 0; i < operations; i++) {
        uint64_t choice = scripted_next(&seed) % 8;
        if (choice < 3)
            change_one(selector, &model, &seed);
        else if (choice < 4)
            append_one(selector, &model, scripted_next(&seed) % 3 * 100);
        else if (model.total > 0) {
            uint64_t number = scripted_next(&seed) % model.total;
            assert_int_equal(find_one(selector, number), model_find(&model, number));
        }
        assert_int_equal(selector->total, model.total);
        if (i % (operations / 4) == 0)
            selector_check(selector, model_weights, &model);
    }
    selector_check(selector, model_weights, &model);
    if (model.total > 0)
        check_slot_boundaries(selector, &model);
    free(model.weights);
}

static void differ(struct selector *selector)
{
    for (uint64_t seed = 100; seed < 110; seed++)
        differ_from_size(selector, 1, 2000, seed); /* grows through one node, two levels, three */
    differ_from_size(selector, 250, 4000, 110);
    differ_from_size(selector, 4090, 4000, 111);
    differ_from_size(selector, 65530, 1500, 112);
    differ_from_size(selector, 70000, 1500, 113);
}

static void random_changes_keep_the_tree_equal_to_a_linear_scan(void **state)
{
    (void)state;
    on_every_path(differ);
}

static void growing_one_by_one_is_bounded(void **state)
{
    (void)state;
    struct selector selector;
    selector_init(&selector);
    struct model model = model_make(100000);
    uint32_t rebuilt = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t before = selector.capacity;
        append_one(&selector, &model, 1);
        rebuilt += selector.capacity != before;
        assert_true(selector_memory_bytes(&selector) <= selector_memory_bound_bytes(i + 1));
    }
    assert_true(rebuilt < 150); /* by a sixteenth each time: ln(100000 / 256) / ln(17/16) + 16 */
    selector_free(&selector);

    /* the limit takes away what would be to spare */
    assert_true(selector_reserve(&selector, 100000, 100000));
    assert_int_equal(selector.capacity, 100000);
    selector_free(&selector);
    free(model.weights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_finds_its_slot_so_that_counts_equal_weights),
        cmocka_unit_test(slots_are_found_across_all_node_boundaries),
        cmocka_unit_test(more_than_a_million_slots_take_a_sixth_level),
        cmocka_unit_test(sums_up_to_2_to_the_53_are_compared_rightly),
        cmocka_unit_test(many_draws_at_once_are_the_draws_one_by_one),
        cmocka_unit_test(flat_is_one_node_and_a_small_total),
        cmocka_unit_test(random_changes_keep_the_tree_equal_to_a_linear_scan),
        cmocka_unit_test(growing_one_by_one_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
