/* scenario.c: see scenario.h. */
#include "tests/sim/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/limits.h"

#define TWO_BYTE_ITEMS  260u
#define FOUR_BYTE_ITEMS 65600u
#define MANY_ITEMS_MIN  2600u /* two blocks of a snapshot */

static void make_pools(struct scenario *scenario, const uint32_t *item_counts, uint32_t pool_count)
{
    scenario->item_count = 0;
    for (uint32_t i = 0; i < pool_count; i++)
        scenario->item_count += item_counts[i];
    scenario->items = calloc(scenario->item_count, sizeof *scenario->items);
    scenario->item_names = calloc(scenario->item_count, sizeof *scenario->item_names);
    CHECK(scenario->items != NULL && scenario->item_names != NULL);
    struct urn_item_spec *items = scenario->items;
    for (uint32_t i = 0; i < pool_count; i++) {
        snprintf(scenario->pool_names[i], SCENARIO_NAME_BYTES, "pool-%u", i);
        scenario->pools[i] =
            (struct urn_pool_spec){.name = scenario->pool_names[i],
                                   .name_bytes = (uint32_t)strlen(scenario->pool_names[i]),
                                   .item_count = item_counts[i],
                                   .items = items};
        items += item_counts[i];
    }
    for (uint32_t i = 0; i < scenario->item_count; i++) {
        snprintf(scenario->item_names[i], SCENARIO_NAME_BYTES, "item-%u", i);
        scenario->items[i].item_id = scenario->item_names[i];
        scenario->items[i].item_id_bytes = (uint32_t)strlen(scenario->item_names[i]);
    }
    scenario->config.pools = scenario->pools;
    scenario->config.pool_count = pool_count;
}

static void base_config(struct urn_engine_config *config)
{
    *config = (struct urn_engine_config){
        .data_dir = "data",
        .create = true,
        .segment_size_bytes = SEGMENT_SIZE_BYTES_MIN,
        .segments = SEGMENTS_MIN,
        .interval_ns = 10ull * 1000 * 1000,
        .flush_after_n_draw = 65536,
        .max_batch = 64,
        .max_pools = SCENARIO_POOLS_MAX + 5,
        .max_items = 20000,
        .queue_requests = 64,
        .queue_draws = 1000000,
    };
}

/* One pool that runs dry, and one without end whose draws fill the log. */
static void make_fixed(struct scenario *scenario)
{
    static const uint32_t item_counts[] = {4, 2};
    static const struct {
        int64_t quantity;
        uint64_t weight;
    } catalog[] = {{3, 10}, {8, 20}, {5, 0}, {12, 70}, {URN_UNLIMITED, 1}, {URN_UNLIMITED, 1}};
    make_pools(scenario, item_counts, 2);
    for (uint32_t i = 0; i < scenario->item_count; i++) {
        scenario->items[i].quantity = catalog[i].quantity;
        scenario->items[i].probability = catalog[i].weight;
    }
    scenario->config.max_batch = SCENARIO_LARGE_DRAW;
    scenario->items_large = 3000;
}

static int64_t some_quantity(struct sim_random *luck)
{
    switch (sim_random_below(luck, 6)) {
    case 0:
        return URN_UNLIMITED;
    case 1:
        return (int64_t)sim_random_below(luck, 3);
    case 2:
        return (int64_t)sim_random_below(luck, 5000);
    default:
        return (int64_t)sim_random_below(luck, 60);
    }
}

static void some_stock(struct scenario *scenario, struct sim_random *luck)
{
    bool without_end = sim_random_one_in(luck, 2);
    for (uint32_t i = 0; i < scenario->item_count; i++) {
        int64_t quantity = some_quantity(luck);
        if (quantity == URN_UNLIMITED && !without_end)
            quantity = 1;
        scenario->items[i].quantity = quantity;
        scenario->items[i].probability =
            sim_random_one_in(luck, 6) ? 0 : sim_random_below(luck, 100) + 1;
    }
}

/* Bounds that clients run into now and then. */
static void some_bounds(struct urn_engine_config *config, uint32_t pools, uint32_t items,
                        struct sim_random *luck)
{
    static const uint32_t batches[] = {8, 64, 500, 6000};
    config->max_batch = batches[sim_random_below(luck, 4)];
    static const uint32_t flushes[] = {1, 50, 65536};
    config->flush_after_n_draw = flushes[sim_random_below(luck, 3)];
    static const uint32_t queues[] = {3, 16, 64};
    config->queue_requests = queues[sim_random_below(luck, 3)];
    config->queue_draws = sim_random_one_in(luck, 4) ? 2 * config->max_batch : 1000000;
    config->max_pools = pools + 2 + (uint32_t)sim_random_below(luck, 6);
    if (sim_random_one_in(luck, 3))
        config->max_items = items + (uint32_t)sim_random_below(luck, 40);
}

static void make_random(struct scenario *scenario, bool many, struct sim_random *luck)
{
    uint32_t pool_count = (uint32_t)sim_random_below(luck, SCENARIO_POOLS_MAX) + 1;
    uint32_t item_counts[SCENARIO_POOLS_MAX];
    for (uint32_t i = 0; i < pool_count; i++)
        item_counts[i] =
            sim_random_one_in(luck, 8) ? TWO_BYTE_ITEMS : (uint32_t)sim_random_below(luck, 8) + 1;
    if (many)
        item_counts[pool_count - 1] = MANY_ITEMS_MIN + (uint32_t)sim_random_below(luck, 2000);
    make_pools(scenario, item_counts, pool_count);
    some_stock(scenario, luck);
    struct urn_engine_config *config = &scenario->config;
    if (sim_random_one_in(luck, 4))
        config->segments += (uint32_t)sim_random_below(luck, 3);
    if (sim_random_one_in(luck, 30)) {
        config->segments = 8;
        config->segment_size_bytes = 4ull * SEGMENT_SIZE_BYTES_MIN;
    }
    scenario->modes = sim_random_one_in(luck, 2);
    scenario->changes = many || !sim_random_one_in(luck, 4);
    if (scenario->changes && sim_random_one_in(luck, 6))
        scenario->items_large = 1200 + (uint32_t)sim_random_below(luck, 600);
    some_bounds(config, pool_count, scenario->item_count + scenario->items_large, luck);
}

static void make_smallest_ring(struct scenario *scenario)
{
    scenario->config.segments = SEGMENTS_MIN;
    scenario->config.segment_size_bytes = SEGMENT_SIZE_BYTES_MIN;
}

static void make_wide(struct scenario *scenario)
{
    static const uint32_t item_counts[] = {FOUR_BYTE_ITEMS, 3};
    make_pools(scenario, item_counts, 2);
    for (uint32_t i = 0; i < scenario->item_count; i++) {
        scenario->items[i].quantity = i % 3;
        scenario->items[i].probability = i % 5;
    }
    scenario->config.max_items = scenario->item_count;
}

void scenario_make(struct scenario *scenario, enum scenario_kind kind, struct sim_random *luck)
{
    *scenario = (struct scenario){0};
    base_config(&scenario->config);
    switch (kind) {
    case SCENARIO_FIXED:
        make_fixed(scenario);
        break;
    case SCENARIO_RANDOM:
        make_random(scenario, false, luck);
        break;
    case SCENARIO_MANY:
        make_random(scenario, true, luck);
        break;
    case SCENARIO_WIDE:
        make_wide(scenario);
        break;
    case SCENARIO_TINY:
        make_random(scenario, false, luck);
        make_smallest_ring(scenario);
        scenario->changes = true;
        scenario->items_large = 1500 + (uint32_t)sim_random_below(luck, 3000);
        scenario->config.max_items = 20000;
        if (sim_random_one_in(luck, 2)) /* hardly more than one large catalog */
            scenario->config.max_items =
                scenario->item_count + scenario->items_large + (uint32_t)sim_random_below(luck, 20);
        break;
    case SCENARIO_LAPS:
        make_random(scenario, false, luck);
        make_smallest_ring(scenario);
        scenario->items[0].quantity = URN_UNLIMITED;
        scenario->items[0].probability = 1000;
        scenario->endless_first = true;
        scenario->config.max_batch = 6000;
        scenario->config.queue_draws = 1000000;
        break;
    }
    struct urn_error error = {0};
    CHECK(urn_engine_config_check(&scenario->config, &error) == URN_OK);
}

void scenario_archive(struct scenario *scenario, uint64_t seed)
{
    const uint64_t tens = seed / 10;
    if ((seed + tens) % 5 > 1)
        return;
    scenario->config.archive = "archive";
    scenario->config.archive_policy = tens / 5 % 2 == 0 ? URN_ARCHIVE_BLOCK : URN_ARCHIVE_GAP;
}

void scenario_free(struct scenario *scenario)
{
    free(scenario->items);
    free(scenario->item_names);
    *scenario = (struct scenario){0};
}
