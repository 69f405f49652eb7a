/* test_apply.c: what a group means, and every way in which it can be untrue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/apply.h"

#define FAILED      URN_FAILED_DRAW
#define GROUP_BYTES 65536u

/* A state of two pools, and the next group. */
struct scene {
    struct state state;
    struct wal_entries entries;
    struct wal_group_header header;
    uint8_t bytes[GROUP_BYTES];
};

static void add_item(struct state *state, uint32_t pool, const char *item_id, int64_t quantity,
                     uint64_t probability)
{
    struct urn_error error;
    assert_int_equal(state_add_item(state, state->pools[pool], item_id, (uint32_t)strlen(item_id),
                                    quantity, probability, 0, &error),
                     URN_OK);
}

static int set_up(void **context)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    struct urn_error error;
    struct urn_pool *pool;
    assert_int_equal(state_make(&bounds, &scene->state, &error), URN_OK);
    assert_int_equal(state_add_pool(&scene->state, "main", 4, 10, &pool, &error), URN_OK);
    assert_int_equal(state_add_pool(&scene->state, "side", 4, 10, &pool, &error), URN_OK);
    add_item(&scene->state, 0, "diamond", 3, 10);
    add_item(&scene->state, 0, "gold", 2000, 20);
    add_item(&scene->state, 0, "mud", URN_UNLIMITED, 70);
    add_item(&scene->state, 0, "never", 5, 0);
    add_item(&scene->state, 1, "coupon", 2, 1);
    scene->state.engine_time_us = 500;
    scene->state.tail.epoch = 1;
    wal_entries_begin(&scene->entries, scene->bytes, GROUP_BYTES);
    *context = scene;
    return 0;
}

static int tear_down(void **context)
{
    struct scene *scene = *context;
    state_check(&scene->state);
    state_free(&scene->state);
    free(scene);
    return 0;
}

static void draws(struct scene *scene, uint32_t pool_id, const uint32_t *outcomes, uint32_t count)
{
    wal_entries_add_draws(&scene->entries, pool_id, 1, 1, outcomes, count);
}

/* The header that the entries so far ask for. */
static void head(struct scene *scene, enum wal_group_kind kind)
{
    scene->header = (struct wal_group_header){
        .length_bytes = scene->entries.used_bytes,
        .kind = kind,
        .lsn = 8192,
        .epoch = 1,
        .draws = scene->entries.draws,
        .engine_time_us = scene->state.engine_time_us + 1,
        .wall_time_us = 1700000000000000,
        .first_request_id = scene->state.next_request_id,
    };
}

/* Seals the group as the header says and applies it; the entries begin anew. */
static enum urn_code apply(struct scene *scene, struct urn_error *error)
{
    *error = (struct urn_error){0};
    wal_group_seal(&scene->header, scene->bytes);
    const enum urn_code code = apply_group(&scene->state, &scene->header, scene->bytes, error);
    wal_entries_begin(&scene->entries, scene->bytes, GROUP_BYTES);
    return code;
}

static void assert_applies(struct scene *scene)
{
    struct urn_error error;
    if (apply(scene, &error) != URN_OK)
        fail_msg("%s", error.text);
}

/* Refused with this code; the text names the place and holds the word. */
static void assert_refused(struct scene *scene, enum urn_code code, const char *word)
{
    struct urn_error error;
    assert_int_equal(apply(scene, &error), code);
    assert_int_equal(error.code, code);
    if (strstr(error.text, word) == NULL || strstr(error.text, "log position 8192") == NULL)
        fail_msg("expected \"%s\" in \"%s\"", word, error.text);
}

static struct urn_item item(const struct scene *scene, uint32_t pool, uint32_t index)
{
    struct urn_item found;
    pool_item(scene->state.pools[pool], index, &found);
    return found;
}

/* ---- what is true ---------------------------------------------------------------------------- */

static void test_draws_move_stock_ids_and_times(void **context)
{
    struct scene *scene = *context;
    draws(scene, 0, (uint32_t[]){0, 1, 2, 2, 0}, 5);
    draws(scene, 1, (uint32_t[]){0, 0, FAILED, FAILED}, 4);
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(item(scene, 0, 0).quantity, 1);
    assert_int_equal(item(scene, 0, 0).drawn, 2);
    assert_int_equal(item(scene, 0, 1).quantity, 1999);
    assert_int_equal(item(scene, 0, 2).quantity, URN_UNLIMITED);
    assert_int_equal(item(scene, 0, 2).drawn, 2);
    assert_int_equal(item(scene, 1, 0).quantity, 0);
    assert_int_equal(scene->state.next_request_id, 10);
    assert_int_equal(scene->state.engine_time_us, 501);
    assert_int_equal(scene->state.wall_time_us, 1700000000000000);

    draws(scene, 0, (uint32_t[]){0}, 1); /* and on */
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(scene->state.next_request_id, 11);
    assert_int_equal(item(scene, 0, 0).quantity, 0);
}

/* Long runs go item by item, short ones draw by draw: the same comes of it, to the last item. */
static void test_long_runs_count_as_short_ones_do(void **context)
{
    struct scene *scene = *context;
    static uint32_t outcomes[5000];
    for (uint32_t i = 0; i < 5000; i++)
        outcomes[i] = i % 5 < 2 ? 1 : 2;
    outcomes[7] = outcomes[4001] = outcomes[4999] = 0;
    uint32_t expected[3] = {0};
    for (uint32_t i = 0; i < 5000; i++)
        expected[outcomes[i]]++;
    draws(scene, 0, outcomes, 5000);
    head(scene, WAL_DATA);
    assert_applies(scene);
    for (uint32_t index = 0; index < 3; index++)
        assert_int_equal(item(scene, 0, index).drawn, expected[index]);
    assert_int_equal(item(scene, 0, 0).quantity, 0);
    assert_int_equal(item(scene, 0, 1).quantity, 2000 - expected[1]);
    assert_int_equal(scene->state.next_request_id, 5001);
}

static void test_wide_outcomes(void **context)
{
    struct scene *scene = *context;
    wal_entries_add_draws(&scene->entries, 0, 1, 2, (uint32_t[]){0, 2}, 2);
    wal_entries_add_draws(&scene->entries, 0, 1, 4, (uint32_t[]){0, 1}, 2);
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(item(scene, 0, 0).drawn, 2);
}

static void test_pads_and_marks_move_time_only(void **context)
{
    struct scene *scene = *context;
    memset(scene->bytes, 0, 4096);
    head(scene, WAL_PAD);
    scene->header.length_bytes = 4096;
    assert_applies(scene);
    memset(scene->bytes, 0, 4096);
    head(scene, WAL_MARK);
    assert_applies(scene);
    assert_int_equal(scene->state.next_request_id, 1);
    assert_int_equal(scene->state.engine_time_us, 502);
}

static void epoch(struct scene *scene, uint64_t next_request_id)
{
    static const uint8_t nonce[WAL_NONCE_BYTES] = {1};
    wal_entries_add_epoch(&scene->entries, nonce, next_request_id);
    head(scene, WAL_EPOCH);
}

static void test_an_epoch_may_raise_the_next_id(void **context)
{
    struct scene *scene = *context;
    epoch(scene, 1);
    assert_applies(scene);
    assert_int_equal(scene->state.next_request_id, 1);
    epoch(scene, 1000); /* its header may name the id of before */
    assert_applies(scene);
    assert_int_equal(scene->state.next_request_id, 1000);
    epoch(scene, 2000);
    scene->header.first_request_id = 2000; /* or that of after */
    assert_applies(scene);
    assert_int_equal(scene->state.next_request_id, 2000);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void change(struct scene *scene, struct wal_change change)
{
    wal_entries_add_change(&scene->entries, &change);
}

static void test_updates_set_stock_and_weights(void **context)
{
    struct scene *scene = *context;
    const struct urn_pool *pool = scene->state.pools[0];
    draws(scene, 0, (uint32_t[]){0, 0, 0}, 3);
    change(scene, (struct wal_change){.type = WAL_ENTRY_UPDATE,
                                      .odds_version = 1,
                                      .quantity = 7,
                                      .flags = WAL_SETS_QUANTITY});
    change(scene, (struct wal_change){.type = WAL_ENTRY_UPDATE,
                                      .index = 3,
                                      .odds_version = 2,
                                      .quantity = URN_UNLIMITED,
                                      .probability = 4,
                                      .flags = WAL_SETS_QUANTITY | WAL_SETS_WEIGHT});
    wal_entries_add_draws(&scene->entries, 0, 2, 1, (uint32_t[]){3, 0}, 2);
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(item(scene, 0, 0).quantity, 6);
    assert_int_equal(item(scene, 0, 0).drawn, 4);
    assert_int_equal(item(scene, 0, 3).quantity, URN_UNLIMITED);
    assert_int_equal(item(scene, 0, 3).probability, 4);
    assert_int_equal(pool_odds_version(pool), 2);
    assert_int_equal(pool_weight_in_stock(pool), 104);
    assert_int_equal(pool_applied_weight(pool, 3), 0); /* the file still says what it said */

    change(scene, (struct wal_change){.type = WAL_ENTRY_UPDATE,
                                      .index = 3,
                                      .odds_version = 3,
                                      .probability = 9,
                                      .flags = WAL_SETS_WEIGHT | WAL_FROM_FILE});
    change(scene, (struct wal_change){.type = WAL_ENTRY_UPDATE,
                                      .index = 2,
                                      .odds_version = 3, /* the same request, the same version */
                                      .probability = 71,
                                      .flags = WAL_SETS_WEIGHT | WAL_CONTINUES});
    change(scene, (struct wal_change){
                      .type = WAL_ENTRY_APPLIED, .index = 1, .odds_version = 3, .probability = 21});
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(pool_odds_version(pool), 3);
    assert_int_equal(pool_applied_weight(pool, 3), 9);
    assert_int_equal(pool_applied_weight(pool, 2), 70);
    assert_int_equal(pool_applied_weight(pool, 1), 21);
    assert_int_equal(item(scene, 0, 1).probability, 20);
}

static void test_pools_are_created_closed_filled_and_opened(void **context)
{
    struct scene *scene = *context;
    change(scene,
           (struct wal_change){
               .type = WAL_ENTRY_CREATE, .pool_id = 2, .odds_version = 1, .name = {"new", 3}});
    change(scene, (struct wal_change){.type = WAL_ENTRY_ADD,
                                      .pool_id = 2,
                                      .odds_version = 1,
                                      .quantity = 5,
                                      .probability = 1,
                                      .name = {"x", 1}});
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_true(pool_is_unfinished(scene->state.pools[2]));
    assert_false(pool_is_open(scene->state.pools[2]));

    change(scene, (struct wal_change){.type = WAL_ENTRY_OPEN, .pool_id = 2, .odds_version = 1});
    change(scene, (struct wal_change){.type = WAL_ENTRY_ADD, /* now a change of the odds */
                                      .pool_id = 2,
                                      .index = 1,
                                      .odds_version = 2,
                                      .quantity = 5,
                                      .probability = 1,
                                      .name = {"y", 1}});
    wal_entries_add_draws(&scene->entries, 2, 2, 1, (uint32_t[]){1}, 1);
    change(scene, (struct wal_change){.type = WAL_ENTRY_CLOSE, .pool_id = 2, .odds_version = 2});
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_false(pool_is_unfinished(scene->state.pools[2]));
    assert_false(pool_is_open(scene->state.pools[2]));
    assert_int_equal(item(scene, 2, 1).drawn, 1);
    assert_int_equal(scene->state.item_count, 7);
}

/* Each is whole as an entry and cannot be true of this state. */
static void test_changes_that_do_not_follow(void **context)
{
    struct scene *scene = *context;
    static const struct {
        struct wal_change change;
        enum urn_code code;
        const char *says;
    } untrue[] = {
        {{WAL_ENTRY_OPEN, 2, 0, 1, 0, 0, 0, {NULL, 0}}, URN_DAMAGED, "pool number 2"},
        {{WAL_ENTRY_OPEN, 0, 0, 2, 0, 0, 0, {NULL, 0}}, URN_DAMAGED, "odds version 2"},
        {{WAL_ENTRY_CREATE, 3, 0, 1, 0, 0, 0, {"n", 1}}, URN_DAMAGED, "number 2"},
        {{WAL_ENTRY_CREATE, 2, 0, 2, 0, 0, 0, {"n", 1}}, URN_DAMAGED, "version 2"},
        {{WAL_ENTRY_CREATE, 2, 0, 1, 0, 0, 0, {"main", 4}}, URN_DAMAGED, "exists"},
        {{WAL_ENTRY_CREATE, 2, 0, 1, 0, 0, 0, {"\n", 1}}, URN_DAMAGED, "UTF-8"},
        {{WAL_ENTRY_ADD, 0, 5, 2, 1, 1, 0, {"n", 1}}, URN_DAMAGED, "item 5 where 4"},
        {{WAL_ENTRY_ADD, 0, 4, 1, 1, 1, 0, {"n", 1}}, URN_DAMAGED, "odds version 1 where 2"},
        {{WAL_ENTRY_ADD, 0, 4, 2, 1, 1, WAL_CONTINUES, {"n", 1}}, URN_DAMAGED, "odds version 2"},
        {{WAL_ENTRY_ADD, 0, 4, 2, 1, 1, 0, {"mud", 3}}, URN_DAMAGED, "already"},
        {{WAL_ENTRY_ADD, 0, 4, 2, -2, 1, 0, {"n", 1}}, URN_DAMAGED, "quantity"},
        {{WAL_ENTRY_ADD, 0, 4, 2, 1, URN_NUMBER_MAX, 0, {"n", 1}}, URN_DAMAGED, "sum up"},
        {{WAL_ENTRY_UPDATE, 0, 4, 1, 1, 0, WAL_SETS_QUANTITY, {NULL, 0}}, URN_DAMAGED, "below 4"},
        {{WAL_ENTRY_UPDATE, 0, 0, 2, 1, 0, WAL_SETS_QUANTITY, {NULL, 0}}, URN_DAMAGED, "odds"},
        {{WAL_ENTRY_UPDATE, 0, 0, 1, 0, 5, WAL_SETS_WEIGHT, {NULL, 0}}, URN_DAMAGED, "odds"},
        {{WAL_ENTRY_UPDATE, 0, 0, 1, -9, 0, WAL_SETS_QUANTITY, {NULL, 0}}, URN_DAMAGED, "quantity"},
        {{WAL_ENTRY_APPLIED, 0, 4, 1, 0, 1, 0, {NULL, 0}}, URN_DAMAGED, "below 4"},
        {{WAL_ENTRY_APPLIED, 0, 0, 1, 0, UINT64_MAX, 0, {NULL, 0}}, URN_DAMAGED, "applied"},
    };
    for (size_t i = 0; i < sizeof untrue / sizeof untrue[0]; i++) {
        change(scene, untrue[i].change);
        head(scene, WAL_DATA);
        assert_refused(scene, untrue[i].code, untrue[i].says);
    }
    scene->state.bounds.max_pools = 2; /* the log was written when more were allowed */
    change(scene,
           (struct wal_change){
               .type = WAL_ENTRY_CREATE, .pool_id = 2, .odds_version = 1, .name = {"new", 3}});
    head(scene, WAL_DATA);
    assert_refused(scene, URN_CONFIG, "limits.max_pools");
}

/* A reservation gives no id away: it says how far ids may have come when nothing else does. */
static void test_ids_are_reserved(void **context)
{
    struct scene *scene = *context;
    scene->state.next_request_id = 100;
    draws(scene, 0, (uint32_t[]){2}, 1);
    wal_entries_add_ids(&scene->entries, 100); /* no more than have been given: the least */
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(scene->state.reserved_request_id, 100);
    wal_entries_add_ids(&scene->entries, 5000);
    draws(scene, 0, (uint32_t[]){2}, 1);
    head(scene, WAL_DATA);
    assert_applies(scene);
    assert_int_equal(scene->state.reserved_request_id, 5000);
    assert_int_equal(scene->state.next_request_id, 102);
    /* A server in mode commit goes on behind an epoch, and does not look at reservations. */
    epoch(scene, 5001);
    assert_applies(scene);
    draws(scene, 0, (uint32_t[]){2}, 1);
    head(scene, WAL_DATA);
    assert_applies(scene);
    wal_entries_add_ids(&scene->entries, URN_NUMBER_MAX - 1);
    head(scene, WAL_DATA);
    assert_applies(scene);
}

/* ---- what is not ----------------------------------------------------------------------------- */

static void test_reservations_rise_and_cover_what_was_given(void **context)
{
    struct scene *scene = *context;
    scene->state.next_request_id = 100;
    scene->state.reserved_request_id = 500;
    for (uint64_t reserved = 499; reserved <= 500; reserved++) {
        wal_entries_add_ids(&scene->entries, reserved);
        head(scene, WAL_DATA);
        assert_refused(scene, URN_DAMAGED, "ids are reserved up to");
    }
    scene->state.next_request_id = 1000;
    wal_entries_add_ids(&scene->entries, 998);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "ids are reserved up to");
    draws(scene, 0, (uint32_t[]){2}, 1);
    wal_entries_add_ids(&scene->entries, 999);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "ids are reserved up to");
    scene->state.reserved_request_id = 500;
    static const uint64_t beyond[] = {URN_NUMBER_MAX, 1ull << 53, UINT64_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof beyond[0]; i++) {
        wal_entries_add_ids(&scene->entries, 2000);
        put_u64(scene->bytes + WAL_GROUP_HEADER_BYTES + 8, beyond[i]);
        head(scene, WAL_DATA);
        assert_refused(scene, URN_DAMAGED, "ids are reserved up to");
    }
}

static void test_an_epoch_never_lowers_the_next_id(void **context)
{
    struct scene *scene = *context;
    scene->state.next_request_id = 100;
    epoch(scene, 99);
    assert_refused(scene, URN_DAMAGED, "ids go on");
    epoch(scene, 200);
    scene->header.first_request_id = 201;
    assert_refused(scene, URN_DAMAGED, "ids go on");
    scene->state.reserved_request_id = 500;
    epoch(scene, 500);
    assert_refused(scene, URN_DAMAGED, "ids go on");
    epoch(scene, 1ull << 53);
    assert_refused(scene, URN_DAMAGED, "ids go on");
    epoch(scene, 501);
    assert_applies(scene);
}

static void test_an_epoch_group_needs_its_entry(void **context)
{
    struct scene *scene = *context;
    head(scene, WAL_EPOCH);
    assert_refused(scene, URN_DAMAGED, "without its entry");
}

static void test_ids_follow_without_gap_or_repeat(void **context)
{
    struct scene *scene = *context;
    for (uint64_t id = 99; id <= 101; id += 2) {
        scene->state.next_request_id = 100;
        draws(scene, 0, (uint32_t[]){2}, 1);
        head(scene, WAL_DATA);
        scene->header.first_request_id = id;
        assert_refused(scene, URN_DAMAGED, "instead of 100");
    }
    memset(scene->bytes, 0, 4096);
    head(scene, WAL_MARK);
    scene->header.first_request_id++;
    assert_refused(scene, URN_DAMAGED, "instead of 100");
}

static void test_ids_stay_below_2_to_the_53(void **context)
{
    struct scene *scene = *context;
    scene->state.next_request_id = URN_NUMBER_MAX - 1;
    draws(scene, 0, (uint32_t[]){2, 2}, 2);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "2^53");
    draws(scene, 0, (uint32_t[]){2}, 1);
    head(scene, WAL_DATA);
    assert_applies(scene);
}

static void test_the_header_counts_the_draws(void **context)
{
    struct scene *scene = *context;
    for (int off = -1; off <= 1; off += 2) {
        draws(scene, 0, (uint32_t[]){2, 2, 2}, 3);
        head(scene, WAL_DATA);
        scene->header.draws = (uint32_t)(3 + off);
        assert_refused(scene, URN_DAMAGED, "3 draws where its header says");
    }
}

static void test_time_does_not_run_backwards(void **context)
{
    struct scene *scene = *context;
    head(scene, WAL_DATA);
    scene->header.engine_time_us = 499;
    assert_refused(scene, URN_DAMAGED, "engine time");
    head(scene, WAL_DATA);
    scene->header.engine_time_us = 1ull << 53;
    assert_refused(scene, URN_DAMAGED, "engine time");
    head(scene, WAL_DATA);
    scene->header.engine_time_us = 500; /* it may stand still */
    scene->header.wall_time_us = 1;     /* and the wall clock do as it likes */
    assert_applies(scene);
}

static void test_what_is_out_of_stock_cannot_be_drawn(void **context)
{
    struct scene *scene = *context;
    draws(scene, 0, (uint32_t[]){0, 0, 0, 2, 0}, 5);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "draw 5 took diamond of pool main");
}

static void test_a_long_run_names_the_draw_too_many(void **context)
{
    struct scene *scene = *context;
    static uint32_t outcomes[3000];
    for (uint32_t i = 0; i < 3000; i++)
        outcomes[i] = 2;
    outcomes[10] = outcomes[20] = outcomes[30] = outcomes[2900] = 0;
    draws(scene, 0, outcomes, 3000);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "draw 2901 took diamond");
}

static void test_items_without_weight_or_existence(void **context)
{
    struct scene *scene = *context;
    draws(scene, 0, (uint32_t[]){3}, 1);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "draw 1 took never");
    draws(scene, 0, (uint32_t[]){4}, 1);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "item 4 of pool main, which has 4 items");

    static uint32_t outcomes[3000];
    for (uint32_t i = 0; i < 3000; i++)
        outcomes[i] = i == 2000 ? 254 : 2;
    draws(scene, 0, outcomes, 3000);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "draw 2001 names item 254");
}

/* ---- large pools ----------------------------------------------------------------------------- */

#define LARGE_ITEMS_MAX 5000u
#define LARGE_RUN_MAX   12000u

/* A pool of so many items: each fourth is short (3 left), each fifth has no weight. */
static void large_pool(struct state *state, uint32_t items)
{
    const struct state_bounds bounds = {.max_pools = 1, .max_items = LARGE_ITEMS_MAX};
    struct urn_error error;
    struct urn_pool *pool;
    assert_int_equal(state_make(&bounds, state, &error), URN_OK);
    assert_int_equal(state_add_pool(state, "large", 5, items, &pool, &error), URN_OK);
    for (uint32_t i = 0; i < items; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "item-%u", i);
        add_item(state, 0, name, i % 4 == 1 ? 3 : URN_UNLIMITED, i % 5 == 2 ? 0 : 1);
    }
    state->tail.epoch = 1;
}

/* Outcomes that the stock of such a pool bears. */
static void fill_outcomes(uint32_t items, uint32_t *outcomes, uint32_t count)
{
    uint32_t *times = calloc(items, sizeof *times);
    assert_non_null(times);
    uint32_t luck = 12345;
    for (uint32_t i = 0; i < count;) {
        luck = luck * 1664525 + 1013904223;
        const uint32_t index = (luck >> 8) % items;
        if (index % 5 == 2 || (index % 4 == 1 && times[index] == 3))
            continue;
        times[index]++;
        outcomes[i++] = index;
    }
    free(times);
}

/* Applies one entry of these outcomes to a pool of its own. */
static enum urn_code apply_large(struct state *state, uint32_t items, const uint32_t *outcomes,
                                 uint32_t count, struct urn_error *error)
{
    static uint8_t bytes[GROUP_BYTES];
    struct wal_entries entries;
    large_pool(state, items);
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_draws(&entries, 0, 1, wal_outcome_width(items), outcomes, count);
    struct wal_group_header header = {.length_bytes = entries.used_bytes,
                                      .kind = WAL_DATA,
                                      .lsn = 8192,
                                      .epoch = 1,
                                      .draws = count,
                                      .first_request_id = 1};
    wal_group_seal(&header, bytes);
    return apply_group(state, &header, bytes, error);
}

/* Pools of each width, runs that are short and long for them: what comes of it is what the outcomes say,
 * and a draw that cannot have been is named, wherever it stands. */
static void test_runs_of_every_width_and_length(void **context)
{
    (void)context;
    static const uint32_t pools[] = {1, 5, 8, 9, 32, 33, 254, 255, 256, 300, 4096, 4100};
    static const uint32_t runs[] = {1, 31, 511, 600, 4096, LARGE_RUN_MAX};
    static uint32_t outcomes[LARGE_RUN_MAX];
    for (size_t p = 0; p < sizeof pools / sizeof pools[0]; p++)
        for (size_t r = 0; r < sizeof runs / sizeof runs[0]; r++) {
            struct state state;
            struct urn_error error;
            fill_outcomes(pools[p], outcomes, runs[r]);
            assert_int_equal(apply_large(&state, pools[p], outcomes, runs[r], &error), URN_OK);
            uint64_t *times = calloc(pools[p], sizeof *times);
            assert_non_null(times);
            for (uint32_t i = 0; i < runs[r]; i++)
                times[outcomes[i]]++;
            for (uint32_t i = 0; i < pools[p]; i++) {
                struct urn_item found;
                pool_item(state.pools[0], i, &found);
                assert_int_equal(found.drawn, times[i]);
            }
            free(times);
            state_check(&state);
            state_free(&state);

            /* Without weight; the first that is none of ours; one far from them. */
            const uint32_t impossible[] = {2, pools[p], 0xfffe};
            for (size_t bad = 0; bad < sizeof impossible / sizeof impossible[0]; bad++) {
                const uint32_t at = runs[r] * 3 / 4;
                char draw[32];
                (void)snprintf(draw, sizeof draw, "draw %u ", at + 1);
                fill_outcomes(pools[p], outcomes, runs[r]);
                outcomes[at] = pools[p] < 255 && impossible[bad] > 254 ? 254 : impossible[bad];
                assert_int_equal(apply_large(&state, pools[p], outcomes, runs[r], &error),
                                 URN_DAMAGED);
                assert_non_null(strstr(error.text, draw));
                state_free(&state);
            }
        }
}

/* A draw fails only when nothing is in stock, at that very moment. */
static void test_no_draw_fails_for_nothing(void **context)
{
    struct scene *scene = *context;
    draws(scene, 1, (uint32_t[]){0, FAILED, 0}, 3);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "draw 2 failed although pool side had stock");
}

static void test_pools_that_are_not_there_closed_or_of_other_odds(void **context)
{
    struct scene *scene = *context;
    draws(scene, 2, (uint32_t[]){0}, 1);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "pool number 2; there are 2 pools");

    wal_entries_add_draws(&scene->entries, 0, 2, 1, (uint32_t[]){0}, 1);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "odds version 2, which was 1");
    pool_set_odds_version(scene->state.pools[0], 3);
    wal_entries_add_draws(&scene->entries, 0, 2, 1, (uint32_t[]){0}, 1);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "odds version 2, which was 3");

    pool_set_open(scene->state.pools[1], false);
    draws(scene, 1, (uint32_t[]){0}, 1);
    head(scene, WAL_DATA);
    assert_refused(scene, URN_DAMAGED, "pool side, which is closed");
}

static void test_unknown_types_are_another_version(void **context)
{
    struct scene *scene = *context;
    draws(scene, 0, (uint32_t[]){2}, 1);
    head(scene, WAL_DATA);
    scene->bytes[104] = 10;
    assert_refused(scene, URN_FORMAT, "unknown type 10 at byte 104");

    head(scene, WAL_DATA);
    wal_group_seal(&scene->header, scene->bytes);
    scene->header.kind = (enum wal_group_kind)5;
    struct urn_error error;
    assert_int_equal(apply_group(&scene->state, &scene->header, scene->bytes, &error), URN_FORMAT);
}

static void test_broken_shape_is_damage(void **context)
{
    struct scene *scene = *context;
    memset(scene->bytes, 0, 4096);
    head(scene, WAL_PAD);
    scene->header.length_bytes = 4096;
    scene->bytes[4095] = 1; /* sealed so: the checksum is right */
    assert_refused(scene, URN_DAMAGED, "breaks the format");
    draws(scene, 0, (uint32_t[]){2}, 1);
    head(scene, WAL_DATA);
    scene->bytes[116] = 200; /* more draws than there are outcomes */
    assert_refused(scene, URN_DAMAGED, "at byte 104: its checksum is right but");
}

/* ---- step by step ------------------------------------------------------------------------------ */

enum { STEPS_MAX = 8 };

/* What the visits were told, and what they saw of the first item of pool 0. */
struct seen {
    const struct state *state;
    uint32_t count;
    uint8_t types[STEPS_MAX];
    uint64_t first_ids[STEPS_MAX];
    uint32_t draws[STEPS_MAX];
    int64_t diamonds[STEPS_MAX];
};

static void see(void *context, const struct wal_entry *entry, uint64_t first_request_id,
                uint32_t count)
{
    struct seen *seen = context;
    struct urn_item found;
    assert_true(seen->count < STEPS_MAX);
    pool_item(seen->state->pools[0], 0, &found);
    seen->types[seen->count] = entry->type;
    seen->first_ids[seen->count] = first_request_id;
    seen->draws[seen->count] = count;
    seen->diamonds[seen->count++] = found.quantity;
}

/* Ids 1 to 3 of pool 0, a restock of diamonds, ids 4 to 7 of pool 1, of which two fail. */
static void make_steps(struct scene *scene)
{
    const struct wal_change restock = {
        .type = WAL_ENTRY_UPDATE, .odds_version = 1, .quantity = 50, .flags = WAL_SETS_QUANTITY};
    draws(scene, 0, (uint32_t[]){0, 2, 0}, 3);
    wal_entries_add_change(&scene->entries, &restock);
    draws(scene, 1, (uint32_t[]){0, 0, FAILED, FAILED}, 4);
    head(scene, WAL_DATA);
    wal_group_seal(&scene->header, scene->bytes);
}

static void apply_to(struct scene *scene, uint64_t draws_max, struct seen *seen, bool *whole)
{
    const struct apply_steps steps = {.draws_max = draws_max, .visit = see, .context = seen};
    struct urn_error error;
    *seen = (struct seen){.state = &scene->state};
    if (apply_group_steps(&scene->state, &scene->header, scene->bytes, &steps, whole, &error) !=
        URN_OK)
        fail_msg("%s", error.text);
}

static void test_every_step_is_seen(void **context)
{
    struct scene *scene = *context;
    struct seen seen;
    bool whole = false;
    make_steps(scene);
    apply_to(scene, UINT64_MAX, &seen, &whole);
    assert_true(whole);
    assert_int_equal(seen.count, 3);
    assert_memory_equal(seen.types,
                        ((uint8_t[]){WAL_ENTRY_DRAWS, WAL_ENTRY_UPDATE, WAL_ENTRY_DRAWS}), 3);
    assert_memory_equal(seen.first_ids, ((uint64_t[]){1, 4, 4}), 3 * sizeof(uint64_t));
    assert_memory_equal(seen.draws, ((uint32_t[]){3, 0, 4}), 3 * sizeof(uint32_t));
    assert_memory_equal(seen.diamonds, ((int64_t[]){1, 50, 50}), 3 * sizeof(int64_t));
    assert_int_equal(scene->state.next_request_id, 8);
}

/* Behind each draw of the group in turn: in the midst of an entry, at its end, among the failed ones. */
static void test_it_stops_right_behind_a_draw(void **context)
{
    static const struct {
        int64_t diamonds, coupons;
        uint32_t steps;
        bool whole;
    } rows[] = {{2, 2, 1, false},  {2, 2, 1, false},  {1, 2, 1, false}, {50, 1, 3, false},
                {50, 0, 3, false}, {50, 0, 3, false}, {50, 0, 3, true}};
    for (uint32_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        void *fresh = NULL;
        struct seen seen;
        bool whole = !rows[i].whole;
        assert_int_equal(set_up(&fresh), 0);
        struct scene *scene = fresh;
        make_steps(scene);
        apply_to(scene, i + 1, &seen, &whole);
        assert_int_equal(item(scene, 0, 0).quantity, rows[i].diamonds);
        assert_int_equal(item(scene, 1, 0).quantity, rows[i].coupons);
        assert_int_equal(seen.count, rows[i].steps);
        assert_int_equal(whole, rows[i].whole);
        assert_int_equal(scene->state.next_request_id, i + 2);
        assert_int_equal(scene->state.engine_time_us, 501);
        assert_int_equal(tear_down(&fresh), 0);
    }
    (void)context;
}

/* More wanted than there are: all of it. */
static void test_steps_beyond_the_end_are_none(void **context)
{
    struct scene *scene = *context;
    struct seen seen;
    bool whole = false;
    make_steps(scene);
    apply_to(scene, 8, &seen, &whole);
    assert_true(whole);
    assert_int_equal(scene->state.next_request_id, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_draws_move_stock_ids_and_times),
        TEST(test_long_runs_count_as_short_ones_do),
        TEST(test_wide_outcomes),
        TEST(test_pads_and_marks_move_time_only),
        TEST(test_an_epoch_may_raise_the_next_id),
        TEST(test_updates_set_stock_and_weights),
        TEST(test_pools_are_created_closed_filled_and_opened),
        TEST(test_changes_that_do_not_follow),
        TEST(test_ids_are_reserved),
        TEST(test_an_epoch_never_lowers_the_next_id),
        TEST(test_reservations_rise_and_cover_what_was_given),
        TEST(test_an_epoch_group_needs_its_entry),
        TEST(test_ids_follow_without_gap_or_repeat),
        TEST(test_ids_stay_below_2_to_the_53),
        TEST(test_the_header_counts_the_draws),
        TEST(test_time_does_not_run_backwards),
        TEST(test_what_is_out_of_stock_cannot_be_drawn),
        TEST(test_a_long_run_names_the_draw_too_many),
        TEST(test_items_without_weight_or_existence),
        cmocka_unit_test(test_runs_of_every_width_and_length),
        TEST(test_no_draw_fails_for_nothing),
        TEST(test_pools_that_are_not_there_closed_or_of_other_odds),
        TEST(test_unknown_types_are_another_version),
        TEST(test_broken_shape_is_damage),
        TEST(test_every_step_is_seen),
        TEST(test_it_stops_right_behind_a_draw),
        TEST(test_steps_beyond_the_end_are_none),
    };
    return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
