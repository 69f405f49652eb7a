/* pool_draw.c: the draw, and its replay. See pool.h.
 *
 * Draws in groups. As long as no item runs out, W and the tree stay as they are; so a group of
 * draws is looked up together, which lets their cache misses overlap and the compares of small
 * pools pipeline. If an item runs out in the midst of a group, the outcomes behind it are void: the
 * random words they came from have only been previewed, and are looked at again with the new W.
 * Outcomes are therefore the same as if drawn one by one. What is looked at again is nearly always
 * where the void outcome was, in memory that is at hand by now; so even where every draw empties an
 * item (single coupons), 16 draws wait for memory together.
 */
#include "engine/pool_inner.h"

#define PREFETCH_ITEMS_MIN 4096u /* fewer stay in the processor's nearer caches */
#define TAKEN_TOGETHER     32u
#define CACHE_LINE_BYTES   64u

/* Of a run: fewer draws are made sooner in groups; more would only be void for longer. Measured. */
#define RUN_DRAWS_MIN 32u
#define RUN_DRAWS_MAX 256u

/* ---- the selector ---------------------------------------------------------------------------- */

void pool_weights_in_stock(const void *context, uint32_t first, uint32_t count, uint64_t *weights)
{
    const struct urn_pool *pool = context;
    for (uint32_t i = 0; i < count; i++)
        weights[i] = in_stock_weight(item_fields(pool, first + i));
}

void pool_settle(struct urn_pool *pool)
{
    check_magic(pool);
    if (pool->selector.count == 0)
        selector_build(&pool->selector, pool->item_count, pool_weights_in_stock, pool);
    while (pool->selector.count < pool->item_count)
        selector_append(&pool->selector, in_stock_weight(item_fields(pool, pool->selector.count)));
    CHECK(pool->selector.total == pool->weight_in_stock);
}

/* The item's last one has gone. */
void pool_leave_stock(struct urn_pool *pool, uint32_t index, uint64_t weight)
{
    pool->weight_in_stock -= weight;
    if (index < pool->selector.count)
        selector_decrease(&pool->selector, index, weight);
}

void pool_enter_stock(struct urn_pool *pool, uint32_t index, uint64_t weight)
{
    pool->weight_in_stock += weight;
    if (index < pool->selector.count)
        selector_increase(&pool->selector, index, weight);
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* Takes one of an item in stock. True when it was the last. */
static inline bool stage(struct urn_pool *pool, uint32_t index)
{
    struct item_fields item = item_fields(pool, index);
    CHECK(*item.left > 0);
    *item.left -= 1;
    if (__builtin_expect(*item.left > 0, 1))
        return false;
    pool_leave_stock(pool, index, *item.weight);
    return true;
}

/* Asks for the memory that finding and staging items of these nodes will touch, all of it before
 * any is waited for. weights: items may well run out. */
static void prefetch_nodes(const struct urn_pool *pool, const uint32_t *nodes, uint32_t count,
                           bool weights)
{
    for (uint32_t i = 0; i < count; i++) {
        selector_prefetch_node(&pool->selector, nodes[i]);
        struct item_fields item = item_fields(pool, nodes[i] * SELECTOR_FANOUT);
        __builtin_prefetch(item.left, 1);
        __builtin_prefetch(item.left + SELECTOR_FANOUT / 2, 1);
        if (weights) {
            __builtin_prefetch(item.weight);
            __builtin_prefetch(item.weight + SELECTOR_FANOUT / 2);
        }
    }
}

/* Draws 1 to count (SELECTOR_GROUP_MAX at most) times, until an item runs out or the previewed
 * numbers are used up. Returns how often. */
static uint32_t draw_group(struct urn_pool *pool, struct random_source *random, uint32_t *outcomes,
                           uint32_t count, bool prefetch_weights)
{
    uint64_t numbers[SELECTOR_GROUP_MAX];
    uint32_t slots[SELECTOR_GROUP_MAX]; /* nodes at first */
    const uint64_t weight = pool->weight_in_stock;
    count = random_preview_below(random, weight, numbers, count);
    selector_find_nodes(&pool->selector, numbers, slots, count);
    if (pool->item_count > PREFETCH_ITEMS_MIN)
        prefetch_nodes(pool, slots, count, prefetch_weights);
    selector_find_slots(&pool->selector, numbers, slots, count);
    if (is_freezing(pool))
        for (uint32_t i = 0; i < count; i++)
            pool_keep_left(pool, slots[i]);
    uint32_t used = 0;
    pool->ran_out = false;
    while (used < count && !pool->ran_out) {
        outcomes[used] = slots[used];
        pool->ran_out = stage(pool, slots[used++]);
    }
    random_use(random, weight, used);
    return used;
}

/* Draws until count is reached or nothing is in stock. Returns how often. */
static uint32_t draw_in_groups(struct urn_pool *pool, struct random_source *random,
                               uint32_t *outcomes, uint32_t count)
{
    uint32_t done = 0;
    uint32_t seen = 0; /* draws that have been looked up once, even if void since */
    uint32_t group = 0;
    while (done < count && pool->weight_in_stock > 0) {
        bool first_look = done == seen;
        if (first_look) {
            group = count - done < SELECTOR_GROUP_MAX ? count - done : SELECTOR_GROUP_MAX;
            seen = done + group;
        }
        done += draw_group(pool, random, outcomes + done, group, first_look && pool->ran_out);
        /* Looking again: one by one at first, and no further than where memory is at hand. */
        group = pool->ran_out ? 1 : 2 * group;
        group = group < seen - done ? group : seen - done;
    }
    return done;
}

/* Stages the draws of a run. False, and nothing is changed, when an item would run out. */
static bool stage_run(struct urn_pool *pool, const uint32_t *tally)
{
    const uint32_t count = pool->item_count;
    CHECK(count <= SELECTOR_FANOUT && count <= 1u << item_shape.first_log2); /* in one chunk */
    uint64_t *left = item_fields(pool, 0).left;
    bool lasts = true;
    for (uint32_t i = 0; i < count; i++)
        lasts &= tally[i] < left[i] + (tally[i] == 0);
    if (!lasts)
        return false;
    if (is_freezing(pool))
        for (uint32_t i = 0; i < count; i++)
            if (tally[i] > 0)
                pool_keep_left(pool, i);
    for (uint32_t i = 0; i < count; i++)
        left[i] -= tally[i];
    return true;
}

/* Draws 1 to count times from a pool whose selector is flat. Returns how often. */
static uint32_t draw_run(struct urn_pool *pool, struct random_source *random, uint32_t *outcomes,
                         uint32_t count)
{
    uint32_t tally[SELECTOR_FANOUT];
    uint32_t words_at_hand;
    const uint8_t *words = random_small_words(random, &words_at_hand);
    count = count < words_at_hand ? count : words_at_hand;
    count = count < RUN_DRAWS_MAX ? count : RUN_DRAWS_MAX;
    const uint32_t found = selector_find_flat(&pool->selector, words, count, outcomes, tally);
    if (found == 0) /* the very next word may have to be passed over */
        return draw_in_groups(pool, random, outcomes, 1);
    if (!stage_run(pool, tally))
        return draw_in_groups(pool, random, outcomes, found);
    random_use(random, pool->weight_in_stock, found);
    pool->ran_out = false;
    return found;
}

uint32_t pool_draw(struct urn_pool *pool, struct random_source *random, uint32_t *outcomes,
                   uint32_t count)
{
    check_magic(pool);
    pool_settle(pool);
    uint32_t done = 0;
    while (count - done >= RUN_DRAWS_MIN && selector_is_flat(&pool->selector))
        done += draw_run(pool, random, outcomes + done, count - done);
    done += draw_in_groups(pool, random, outcomes + done, count - done);
    for (uint32_t i = done; i < count; i++)
        outcomes[i] = URN_FAILED_DRAW;
    return count - done;
}

void pool_prefetch(const struct urn_pool *pool)
{
    const char *fields = (const char *)pool;
    for (size_t at = 0; at < sizeof *pool; at += CACHE_LINE_BYTES)
        __builtin_prefetch(fields + at);
}

void pool_prefetch_roots(const struct urn_pool *pool)
{
    selector_prefetch_top(&pool->selector);
    __builtin_prefetch(atomic_load_explicit(&pool->items.directory, memory_order_relaxed));
}

uint64_t pool_prefetch_draws(const struct urn_pool *pool, const struct random_source *random,
                             uint64_t ahead_bytes, uint32_t count)
{
    uint64_t number;
    uint32_t nodes[SELECTOR_GROUP_MAX];
    if (pool->weight_in_stock == 0)
        return 0;
    /* A tree that the next draw must settle first says nothing. */
    if (pool->selector.count == pool->item_count &&
        random_guess_below(random, ahead_bytes, pool->weight_in_stock, &number)) {
        selector_find_nodes(&pool->selector, &number, nodes, 1);
        prefetch_nodes(pool, nodes, 1, pool->ran_out);
    }
    return (uint64_t)count * random_word_bytes(pool->weight_in_stock);
}

void pool_revert(struct urn_pool *pool, const uint32_t *outcomes, uint32_t count)
{
    check_magic(pool);
    while (count-- > 0) {
        uint32_t index = outcomes[count];
        if (index == URN_FAILED_DRAW)
            continue;
        CHECK(index < pool->item_count);
        if (is_freezing(pool))
            pool_keep_left(pool, index);
        struct item_fields item = item_fields(pool, index);
        CHECK(*item.left < (*item.stocked & ~UNLIMITED_FLAG));
        *item.left += 1;
        if (*item.left == 1)
            pool_enter_stock(pool, index, *item.weight);
    }
}

/* ---- replay ---------------------------------------------------------------------------------- */

/* As pool_take_each, for a few: what all of them touch is asked for before any is waited for. */
static uint32_t take_some(struct urn_pool *pool, const uint32_t *indexes, uint32_t count)
{
    struct item_fields items[TAKEN_TOGETHER];
    for (uint32_t i = 0; i < count; i++) {
        if (indexes[i] >= pool->item_count) {
            count = i;
            break;
        }
        items[i] = item_fields(pool, indexes[i]);
        __builtin_prefetch(items[i].left, 1);
        __builtin_prefetch(items[i].weight);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (in_stock_weight(items[i]) == 0)
            return i;
        if (is_freezing(pool))
            pool_keep_left(pool, indexes[i]);
        *items[i].left -= 1;
        if (__builtin_expect(*items[i].left == 0, 0))
            pool_leave_stock(pool, indexes[i], *items[i].weight);
    }
    return count;
}

uint32_t pool_take_each(struct urn_pool *pool, const uint32_t *indexes, uint32_t count)
{
    check_magic(pool);
    uint32_t taken = 0;
    while (taken < count) {
        uint32_t some = count - taken < TAKEN_TOGETHER ? count - taken : TAKEN_TOGETHER;
        uint32_t done = take_some(pool, indexes + taken, some);
        taken += done;
        if (done < some)
            break;
    }
    return taken;
}

/* Items that lie one behind the other. */
struct item_run {
    struct item_fields first;
    uint32_t count;
};

/* The items from index on, as far as they lie in one chunk, count at most. */
static struct item_run item_run(const struct urn_pool *pool, uint32_t index, uint32_t count)
{
    struct chunk_place place = chunk_place(index, item_shape);
    uint32_t rest = place.size - place.slot;
    return (struct item_run){item_fields(pool, index), count < rest ? count : rest};
}

static bool can_take_tally(const struct urn_pool *pool, const uint32_t *times, uint32_t count)
{
    bool can = true;
    uint32_t index = 0;
    while (index < count && index < pool->item_count) {
        uint32_t rest = count < pool->item_count ? count - index : pool->item_count - index;
        struct item_run run = item_run(pool, index, rest);
        for (uint32_t i = 0; i < run.count; i++, index++)
            can &=
                times[index] == 0 || (times[index] <= run.first.left[i] && run.first.weight[i] > 0);
    }
    for (; index < count; index++)
        can &= times[index] == 0;
    return can;
}

bool pool_take_tally(struct urn_pool *pool, const uint32_t *times, uint32_t count)
{
    check_magic(pool);
    if (!can_take_tally(pool, times, count))
        return false;
    count = count < pool->item_count ? count : pool->item_count;
    for (uint32_t index = 0; index < count;) {
        struct item_run run = item_run(pool, index, count - index);
        for (uint32_t i = 0; i < run.count; i++, index++) {
            if (times[index] == 0)
                continue;
            if (is_freezing(pool))
                pool_keep_left(pool, index);
            run.first.left[i] -= times[index];
            if (run.first.left[i] == 0)
                pool_leave_stock(pool, index, run.first.weight[i]);
        }
    }
    return true;
}
