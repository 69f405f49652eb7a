/* test_changes.c: what changes of items and pools promise their callers, step by step over the
 * simulated system, through crashes. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/engine_driver.h"

#define POOL(name) .pool_name = (name), .pool_name_bytes = (uint32_t)strlen(name)
#define ITEM(id)   .item_id = (id), .item_id_bytes = (uint32_t)strlen(id)

static struct driver *a_driver(void)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, 21);
    driver_must_open(driver);
    return driver;
}

static void done(struct driver *driver)
{
    driver_free(driver);
    free(driver);
}

static void crash_and_open(struct driver *driver)
{
    driver_crash(driver, SIM_CRASH_MACHINE);
    driver_must_open(driver);
}

/* Makes the closed group durable, if there is one. */
static void commit(struct driver *driver)
{
    while (atomic_load(&driver->engine->commit_slot) != NULL) {
        assert_true(engine_commit_begin(driver->engine));
        (void)engine_commit_end(driver->engine);
    }
}

#define assert_asked(driver, ...)                                                                  \
    do {                                                                                           \
        if (driver_ask(driver, (struct urn_request){__VA_ARGS__}) != URN_OK)                       \
            fail_msg("%s: %s", urn_code_text((driver)->request.code), (driver)->error.text);       \
    } while (0)

#define assert_not_done(driver, expected, ...)                                                     \
    assert_int_equal(driver_ask(driver, (struct urn_request){__VA_ARGS__}), expected)

/* The item of the state of pool "main" or another. */
static struct urn_item item(struct driver *driver, const char *pool, uint32_t index)
{
    assert_int_equal(driver_state(driver, pool), URN_OK);
    assert_true(index < driver->request.returned);
    return driver->items[index];
}

static uint64_t odds_version(struct driver *driver, const char *pool)
{
    assert_int_equal(driver_state(driver, pool), URN_OK);
    return driver->request.odds_version;
}

/* ---- update -------------------------------------------------------------------------------- */

static void test_update_sets_what_is_given(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), ITEM("gold"), .has_quantity = true,
                 .quantity = 5);
    assert_int_equal(driver->request.odds_version, 1); /* stock is not odds */
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), ITEM("gold"), .has_probability = true,
                 .probability = 21);
    assert_int_equal(driver->request.odds_version, 2);
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), ITEM("gold"), .has_probability = true,
                 .probability = 21);
    assert_int_equal(driver->request.odds_version, 2); /* nothing changed */
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), ITEM("diamond"), .has_quantity = true,
                 .quantity = URN_UNLIMITED, .has_probability = true, .probability = 0);
    assert_int_equal(driver->request.odds_version, 3);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(item(driver, "main", 1).quantity, 5);
        assert_int_equal(item(driver, "main", 1).probability, 21);
        assert_int_equal(item(driver, "main", 0).quantity, URN_UNLIMITED);
        assert_int_equal(item(driver, "main", 0).probability, 0);
        assert_int_equal(odds_version(driver, "main"), 3);
        crash_and_open(driver);
    }
    done(driver);
}

static void test_update_under_a_condition(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_not_done(driver, URN_CONFLICT, .op = URN_UPDATE, POOL("main"), ITEM("diamond"),
                    .has_quantity = true, .quantity = 50, .has_if_quantity = true,
                    .if_quantity = 99);
    assert_non_null(strstr(driver->error.text, "100 of item \"diamond\" are left, not 99"));
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), ITEM("diamond"), .has_quantity = true,
                 .quantity = 50, .has_if_quantity = true, .if_quantity = 100);
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), ITEM("mud"), .has_quantity = true,
                 .quantity = 1, .has_if_quantity = true, .if_quantity = URN_UNLIMITED);
    assert_int_equal(item(driver, "main", 0).quantity, 50);
    assert_int_equal(item(driver, "main", 2).quantity, 1);
    done(driver);
}

static void test_refused_changes_change_nothing(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_engine_info before, after;
    urn_engine_info(driver->engine, &before);
    assert_not_done(driver, URN_NOPOOL, .op = URN_UPDATE, POOL("none"), ITEM("gold"));
    assert_not_done(driver, URN_NOPOOL, .op = URN_OPEN, POOL("none"));
    assert_not_done(driver, URN_NOITEM, .op = URN_UPDATE, POOL("main"), ITEM("none"));
    assert_not_done(driver, URN_BADARG, .op = URN_UPDATE, POOL("main"), ITEM("gold"),
                    .has_quantity = true, .quantity = -2);
    assert_not_done(driver, URN_BADARG, .op = URN_UPDATE, POOL("main"), ITEM("gold"),
                    .has_probability = true, .probability = URN_NUMBER_MAX - 79);
    assert_not_done(driver, URN_EXISTS, .op = URN_ADD, POOL("main"), ITEM("gold"), .quantity = 1);
    assert_not_done(driver, URN_BADARG, .op = URN_ADD, POOL("main"), ITEM(""), .quantity = 1);
    assert_not_done(driver, URN_BADARG, .op = URN_ADD, POOL("main"), ITEM("x\n"), .quantity = 1);
    assert_not_done(driver, URN_BADARG, .op = URN_ADD, POOL("main"), ITEM("x"), .quantity = -5);
    urn_engine_info(driver->engine, &after);
    assert_int_equal(before.staged_lsn, after.staged_lsn); /* nor is anything logged */
    assert_int_equal(driver_state(driver, "main"), URN_OK);
    assert_int_equal(driver->request.total, 3);
    assert_int_equal(driver->request.odds_version, 1);
    done(driver);
}

/* Draws and changes of one list take effect in its order, and share a group. */
static void test_requests_keep_their_order(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint32_t outcomes[3][40];
    struct urn_request list[] = {
        {.op = URN_UPDATE, POOL("main"), ITEM("gold"), .has_quantity = true, .quantity = 30},
        {.op = URN_UPDATE, POOL("main"), ITEM("mud"), .has_quantity = true, .quantity = 0},
        {.op = URN_UPDATE, POOL("main"), ITEM("diamond"), .has_probability = true},
        {.op = URN_DRAW, POOL("main"), .count = 40, .outcomes = outcomes[0]},
        {.op = URN_ADD, POOL("main"), ITEM("tin"), .quantity = 7, .probability = 1},
        {.op = URN_DRAW, POOL("main"), .count = 7, .outcomes = outcomes[1]},
        {.op = URN_CLOSE, POOL("main")},
        {.op = URN_DRAW, POOL("main"), .count = 1, .outcomes = outcomes[2]},
        {.op = URN_OPEN, POOL("main")},
        {.op = URN_DRAW, POOL("main"), .count = 1, .outcomes = outcomes[2]},
    };
    enum { REQUESTS = sizeof list / sizeof list[0] };
    for (int i = 0; i + 1 < REQUESTS; i++)
        list[i].next = &list[i + 1];
    struct urn_engine_info before, after;
    urn_engine_info(driver->engine, &before);
    urn_submit(driver->engine, list);
    driver_run(driver);
    urn_engine_info(driver->engine, &after);
    assert_int_equal(after.groups - before.groups, 1);
    struct urn_request *finished = urn_collect(driver->engine);
    for (int i = 0; i < REQUESTS; i++, finished = finished->next) {
        assert_ptr_equal(finished, &list[i]);
        assert_int_equal(finished->code, i == 7 ? URN_CLOSED : URN_OK);
    }
    assert_int_equal(list[2].odds_version, 2);
    assert_int_equal(list[3].odds_version, 2);
    assert_int_equal(list[3].failed, 10);
    for (int i = 0; i < 30; i++)
        assert_int_equal(outcomes[0][i], 1);
    assert_int_equal(list[4].odds_version, 3);
    assert_int_equal(list[5].failed, 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(outcomes[1][i], 3);
    assert_int_equal(list[9].failed, 1);
    crash_and_open(driver);
    assert_int_equal(item(driver, "main", 3).drawn, 7);
    assert_int_equal(driver->request.odds_version, 3);
    done(driver);
}

/* ---- nothing leaves before it is durable --------------------------------------------------- */

/* A change, an error that follows from it, and one that follows from nothing. */
static void test_answers_wait_for_their_group(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_request add = {
        .op = URN_ADD, POOL("main"), ITEM("tin"), .quantity = 7, .probability = 1};
    struct urn_request again = add;
    struct urn_request stale = {.op = URN_UPDATE,
                                POOL("main"),
                                ITEM("tin"),
                                .has_quantity = true,
                                .quantity = 9,
                                .has_if_quantity = true,
                                .if_quantity = 8};
    add.next = &again;
    again.next = &stale;
    urn_submit(driver->engine, &add);
    assert_true(writer_step(driver->engine));
    assert_null(urn_collect(driver->engine));
    assert_true(engine_commit_begin(driver->engine));
    assert_null(urn_collect(driver->engine));
    assert_true(engine_commit_end(driver->engine));
    assert_ptr_equal(urn_collect(driver->engine), &add);
    assert_int_equal(add.code, URN_OK);
    assert_int_equal(again.code, URN_EXISTS);
    assert_int_equal(stale.code, URN_CONFLICT);
    done(driver);
}

static void test_after_a_failed_sync_changes_are_in_doubt(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_request requests[] = {
        {.op = URN_ADD, POOL("main"), ITEM("tin"), .quantity = 7, .probability = 1},
        {.op = URN_ADD, POOL("main"), ITEM("tin"), .quantity = 7, .probability = 1},
        {.op = URN_CLOSE, POOL("main")},
    };
    requests[0].next = &requests[1];
    urn_submit(driver->engine, requests);
    assert_true(writer_step(driver->engine));
    assert_true(engine_commit_begin(driver->engine));
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, 0);
    assert_true(engine_commit_end(driver->engine));
    driver_run(driver);
    assert_ptr_equal(urn_collect(driver->engine), &requests[0]);
    assert_int_equal(requests[0].code, URN_INDOUBT);
    assert_int_equal(requests[1].code, URN_INDOUBT); /* "exists" would have told of the first */
    urn_submit(driver->engine, &requests[2]);
    driver_run(driver);
    assert_ptr_equal(urn_collect(driver->engine), &requests[2]);
    assert_int_equal(requests[2].code, URN_READONLY);
    done(driver);
}

/* ---- create -------------------------------------------------------------------------------- */

struct catalog {
    struct urn_pool_spec pool;
    struct urn_item_spec *items;
    char (*ids)[24];
};

static struct catalog make_catalog(const char *name, uint32_t items)
{
    struct catalog catalog = {.items = calloc(items + 1, sizeof(struct urn_item_spec)),
                              .ids = calloc(items + 1, sizeof *catalog.ids)};
    assert_non_null(catalog.items);
    assert_non_null(catalog.ids);
    for (uint32_t i = 0; i < items; i++) {
        int length = snprintf(catalog.ids[i], sizeof catalog.ids[i], "item-%" PRIu32, i);
        catalog.items[i] = (struct urn_item_spec){catalog.ids[i], (uint32_t)length, 1 + i % 3, 1};
    }
    catalog.pool = (struct urn_pool_spec){name, (uint32_t)strlen(name), items, catalog.items};
    return catalog;
}

static void free_catalog(struct catalog *catalog)
{
    free(catalog->items);
    free(catalog->ids);
}

#define CREATE(catalog)                                                                            \
    .op = URN_CREATE, POOL((catalog).pool.name), .pools = &(catalog).pool, .pool_count = 1

static void test_a_small_pool_is_created_in_one_group(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct catalog catalog = make_catalog("new", 5);
    struct urn_engine_info before, after;
    urn_engine_info(driver->engine, &before);
    assert_asked(driver, CREATE(catalog));
    urn_engine_info(driver->engine, &after);
    assert_int_equal(after.groups - before.groups, 1);
    assert_int_equal(driver->request.odds_version, 1);
    assert_not_done(driver, URN_EXISTS, CREATE(catalog));
    assert_int_equal(driver_draw(driver, "new", 9, true), URN_OK);
    struct catalog empty = make_catalog("empty", 0);
    assert_asked(driver, CREATE(empty));
    crash_and_open(driver);
    assert_int_equal(item(driver, "new", 1).drawn, 2);
    assert_true(driver->request.open);
    assert_int_equal(driver_draw(driver, "empty", 1, false), URN_OK);
    assert_int_equal(driver->request.failed, 1);
    free_catalog(&empty);
    free_catalog(&catalog);
    done(driver);
}

static void test_catalogs_are_checked_before_anything_is_made(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct catalog catalog = make_catalog("new", 5);
    catalog.items[4] = catalog.items[1];
    assert_not_done(driver, URN_BADARG, CREATE(catalog));
    assert_non_null(strstr(driver->error.text, "item \"item-1\" occurs twice"));
    catalog.items[4] = (struct urn_item_spec){"x", 1, -3, 1};
    assert_not_done(driver, URN_BADARG, CREATE(catalog));
    catalog.items[4] = (struct urn_item_spec){"x", 1, 1, URN_NUMBER_MAX};
    assert_not_done(driver, URN_BADARG, CREATE(catalog));
    assert_non_null(strstr(driver->error.text, "sum up"));
    catalog.items[4] = (struct urn_item_spec){"", 0, 1, 1};
    assert_not_done(driver, URN_BADARG, CREATE(catalog));
    catalog.items[4] = (struct urn_item_spec){"x", 1, 1, 1};
    catalog.pool.name = "\t";
    catalog.pool.name_bytes = 1;
    assert_not_done(driver, URN_BADARG, CREATE(catalog));
    assert_int_equal(driver_state(driver, "new"), URN_NOPOOL);
    free_catalog(&catalog);
    done(driver);
}

static void test_limits_hold_for_all_pools_together(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    uint32_t room = driver->config.max_items - 3;
    struct catalog too_large = make_catalog("large", room + 1);
    assert_not_done(driver, URN_TOOBIG, CREATE(too_large));
    assert_non_null(strstr(driver->error.text, "limits.max_items"));
    struct catalog catalog = make_catalog("pool 1", 1);
    for (uint32_t pools = 1; pools < driver->config.max_pools; pools++) {
        char name[16];
        snprintf(name, sizeof name, "pool %" PRIu32, pools);
        catalog.pool.name = name;
        catalog.pool.name_bytes = (uint32_t)strlen(name);
        assert_asked(driver, CREATE(catalog));
    }
    struct catalog more = make_catalog("more", 1);
    assert_not_done(driver, URN_TOOBIG, CREATE(more));
    assert_non_null(strstr(driver->error.text, "limits.max_pools"));
    enum { POOLS = 20 }; /* a file may say more than the limits of the last start allow */
    struct urn_pool_spec pools[POOLS];
    for (uint32_t i = 0; i < POOLS; i++)
        pools[i] = (struct urn_pool_spec){&"abcdefghijklmnopqrst"[i], 1, 0, NULL};
    assert_not_done(driver, URN_TOOBIG, .op = URN_RELOAD, .pools = pools, .pool_count = POOLS);
    assert_non_null(strstr(driver->error.text, "limits.max_pools"));
    free_catalog(&more);
    free_catalog(&catalog);
    free_catalog(&too_large);
    done(driver);
}

/* A ring in which a group holds some hundred items. */
static void many_items(struct driver *driver)
{
    driver_free(driver);
    driver_init(driver, 22);
    driver->config.segments = 16;
    driver->config.max_items = 20000;
    driver_must_open(driver);
}

/* Draws from other pools come in between, and the pool opens with its last item. */
static void test_a_large_pool_is_created_over_many_groups(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    many_items(driver);
    struct catalog catalog = make_catalog("large", 6000);
    struct urn_request create = {CREATE(catalog)};
    struct urn_request other = {CREATE(catalog)};
    struct urn_request draw = {.op = URN_DRAW, POOL("large"), .count = 1};
    struct urn_request items[3] = {
        {.op = URN_ADD, POOL("large"), ITEM("x"), .quantity = 1},
        {.op = URN_OPEN, POOL("large")},
        {.op = URN_CLOSE, POOL("large")},
    };
    uint32_t outcome;
    draw.outcomes = &outcome;
    urn_submit(driver->engine, &create);
    assert_true(writer_step(driver->engine));
    urn_submit(driver->engine, &draw);
    urn_submit(driver->engine, &other);
    for (int i = 0; i < 3; i++)
        urn_submit(driver->engine, &items[i]);
    uint32_t between = 0;
    bool is_done = false;
    for (uint32_t turns = 0; !is_done; turns++) {
        assert_true(turns < 100);
        if (turns == between * 3) /* others go on */
            driver_submit_draw(driver, "main", 1);
        commit(driver);
        writer_step(driver->engine);
        for (struct urn_request *done = urn_collect(driver->engine); done != NULL;
             done = done->next)
            if (done == &create)
                is_done = true;
            else
                between += done == &driver->request;
    }
    assert_true(between >= 2);
    assert_int_equal(create.code, URN_OK);
    assert_int_equal(create.odds_version, 1);
    assert_int_equal(draw.code, URN_CLOSED);
    assert_int_equal(other.code, URN_BUSY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(items[i].code, URN_CONFLICT);
    driver_run(driver);
    while (urn_collect(driver->engine) != NULL)
        ;
    assert_int_equal(driver_draw(driver, "large", 1000, true), URN_OK);
    crash_and_open(driver);
    assert_int_equal(driver_state(driver, "large"), URN_OK);
    assert_int_equal(driver->request.total, 6000);
    assert_true(driver->request.open);
    free_catalog(&catalog);
    done(driver);
}

/* After each group of such a create the machine dies; the same create goes on, another does not. */
static void test_a_create_goes_on_after_a_crash(void **unused)
{
    (void)unused;
    struct catalog catalog = make_catalog("large", 3000);
    struct catalog other = make_catalog("large", 3000);
    other.items[0].quantity++;
    bool finished = false;
    uint32_t visited = 0;
    for (uint32_t groups = 1; !finished; groups++) {
        struct driver *driver = a_driver();
        many_items(driver);
        driver->request = (struct urn_request){CREATE(catalog)};
        urn_submit(driver->engine, &driver->request);
        for (uint32_t i = 0; i < groups; i++) {
            writer_step(driver->engine);
            if (atomic_load(&driver->engine->commit_slot) == NULL)
                continue;
            assert_true(engine_commit_begin(driver->engine));
            (void)engine_commit_end(driver->engine);
        }
        finished = urn_collect(driver->engine) != NULL;
        crash_and_open(driver);
        assert_int_equal(driver_state(driver, "large"), URN_OK);
        uint32_t there = driver->request.total;
        assert_true(driver->request.open == finished);
        assert_true(finished ? there == 3000 : there > 0 && there < 3000);
        visited += !finished;
        if (finished) {
            assert_not_done(driver, URN_EXISTS, CREATE(catalog));
        } else {
            assert_not_done(driver, URN_EXISTS, CREATE(other));
            assert_non_null(strstr(driver->error.text, "unfinished, with another catalog"));
            assert_not_done(driver, URN_CONFLICT, .op = URN_OPEN, POOL("large"));
            assert_int_equal(driver_draw(driver, "large", 1, false), URN_CLOSED);
            if (groups % 2 == 0) {
                assert_asked(driver, CREATE(catalog));
                assert_int_equal(driver_state(driver, "large"), URN_OK);
                assert_int_equal(driver->request.total, 3000);
            } else { /* or what is there is kept */
                assert_asked(driver, .op = URN_CLOSE, POOL("large"));
                assert_asked(driver, .op = URN_OPEN, POOL("large"));
                assert_int_equal(driver_state(driver, "large"), URN_OK);
                assert_int_equal(driver->request.total, there);
            }
            assert_true(driver->request.open);
        }
        done(driver);
    }
    assert_true(visited >= 3);
    free_catalog(&other);
    free_catalog(&catalog);
}

/* The room of a catalog that is being added is taken already. */
static void test_an_add_leaves_a_catalog_its_room(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    many_items(driver);
    struct catalog catalog = make_catalog("large", driver->config.max_items - 3 - 1);
    struct urn_request create = {CREATE(catalog)};
    struct urn_request adds[2] = {
        {.op = URN_ADD, POOL("main"), ITEM("x"), .quantity = 1, .next = &adds[1]},
        {.op = URN_ADD, POOL("main"), ITEM("y"), .quantity = 1}};
    urn_submit(driver->engine, &create);
    assert_true(writer_step(driver->engine));
    urn_submit(driver->engine, adds);
    driver_run(driver);
    while (urn_collect(driver->engine) != NULL)
        ;
    assert_int_equal(adds[0].code, URN_OK);
    assert_int_equal(adds[1].code, URN_TOOBIG);
    assert_int_equal(create.code, URN_OK);
    assert_not_done(driver, URN_TOOBIG, .op = URN_ADD, POOL("large"), ITEM("x"), .quantity = 1);
    free_catalog(&catalog);
    done(driver);
}

static void test_a_stop_finishes_a_create(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    many_items(driver);
    struct catalog catalog = make_catalog("large", 6000);
    driver->request = (struct urn_request){CREATE(catalog)};
    urn_submit(driver->engine, &driver->request);
    assert_int_equal(driver_stop(driver), URN_OK);
    assert_int_equal(driver->request.code, URN_OK);
    driver_must_open(driver);
    assert_int_equal(driver_state(driver, "large"), URN_OK);
    assert_true(driver->request.open);
    free_catalog(&catalog);
    done(driver);
}

static void test_a_create_that_meets_a_failing_disk_is_in_doubt(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    many_items(driver);
    struct catalog catalog = make_catalog("large", 6000);
    driver->request = (struct urn_request){CREATE(catalog)};
    urn_submit(driver->engine, &driver->request);
    assert_true(writer_step(driver->engine));
    assert_true(engine_commit_begin(driver->engine));
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, 0);
    assert_true(engine_commit_end(driver->engine));
    driver_run(driver);
    assert_ptr_equal(urn_collect(driver->engine), &driver->request);
    assert_int_equal(driver->request.code, URN_INDOUBT);
    struct urn_engine_info info;
    urn_engine_info(driver->engine, &info);
    assert_int_equal(info.queued_requests, 0);
    free_catalog(&catalog);
    done(driver);
}

/* Lets time pass while requests wait for room in a log that no snapshot frees. */
static void let_pass(struct driver *driver, uint64_t seconds)
{
    for (uint64_t tenths = 0; tenths < 10 * seconds; tenths++) {
        sim_advance(driver->world, 100000000);
        driver_run(driver);
    }
}

/* A driver whose ring is too small for a catalog of 10,000 items while the disk is full, so that no
 * snapshot makes room. */
static struct driver *a_full_disk(uint64_t seed)
{
    struct driver *driver = malloc(sizeof *driver);
    assert_non_null(driver);
    driver_init(driver, seed);
    driver->config.max_items = 20000;
    driver_must_open(driver);
    sim_set_capacity(driver->world, sim_used_bytes(driver->world));
    return driver;
}

/* What is staged is never given up: it waits, however long, while others get BUSY, and goes on by itself
 * once the disk is freed. */
static void test_a_create_that_has_begun_waits_for_room(void **unused)
{
    (void)unused;
    struct driver *driver = a_full_disk(23);
    struct catalog catalog = make_catalog("large", 10000);
    struct catalog other = make_catalog("other", 1);
    struct urn_request create = {CREATE(catalog)};
    urn_submit(driver->engine, &create);
    driver_run(driver);
    let_pass(driver, 60);
    assert_null(urn_collect(driver->engine));
    assert_not_done(driver, URN_BUSY, CREATE(other)); /* there is one job at a time */
    assert_not_done(driver, URN_CONFLICT, .op = URN_CLOSE, POOL("large"));
    while (driver_draw(driver, "main", DRIVER_BATCH_MAX, false) == URN_OK)
        ; /* which need less room than it does */
    assert_int_equal(driver->request.code, URN_BUSY);
    assert_null(urn_collect(driver->engine));
    sim_set_capacity(driver->world, UINT64_MAX);
    let_pass(driver, 5);
    assert_ptr_equal(urn_collect(driver->engine), &create);
    assert_int_equal(create.code, URN_OK);
    assert_int_equal(create.odds_version, 1);
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    crash_and_open(driver);
    assert_int_equal(driver_state(driver, "large"), URN_OK);
    assert_int_equal(driver->request.total, 10000);
    assert_true(driver->request.open);
    free_catalog(&other);
    free_catalog(&catalog);
    done(driver);
}

/* A stop does not wait for a disk: then it is in doubt, which is what it says, and the same create goes on
 * behind the next start. */
static void test_a_stop_gives_a_create_without_room_up(void **unused)
{
    (void)unused;
    struct driver *driver = a_full_disk(25);
    struct catalog catalog = make_catalog("large", 10000);
    struct urn_error error = {.code = URN_OK};
    struct urn_request create = {CREATE(catalog), .error = &error};
    urn_submit(driver->engine, &create);
    driver_run(driver);
    let_pass(driver, 1);
    assert_int_equal(driver_stop(driver), URN_OK);
    assert_int_equal(create.code, URN_INDOUBT);
    assert_int_equal(error.code, URN_INDOUBT);
    assert_string_equal(error.text, "a part of it is done: the log has no room");
    sim_set_capacity(driver->world, UINT64_MAX);
    driver_must_open(driver);
    assert_int_equal(driver_state(driver, "large"), URN_OK);
    assert_in_range(driver->request.total, 1000, 9999);
    assert_false(driver->request.open);
    assert_asked(driver, CREATE(catalog));
    assert_int_equal(driver_state(driver, "large"), URN_OK);
    assert_int_equal(driver->request.total, 10000);
    assert_true(driver->request.open);
    free_catalog(&catalog);
    done(driver);
}

/* What gets BUSY was not staged: it shows neither now nor behind a crash, and takes no log. */
static void test_a_change_without_room_gets_busy(void **unused)
{
    (void)unused;
    struct driver *driver = a_full_disk(24);
    while (driver_ask(driver, (struct urn_request){.op = URN_UPDATE,
                                                   POOL("main"),
                                                   ITEM("gold"),
                                                   .has_quantity = true,
                                                   .quantity = 7}) == URN_OK)
        ;
    assert_int_equal(driver->request.code, URN_BUSY);
    struct urn_engine_info before, after;
    urn_engine_info(driver->engine, &before);
    assert_not_done(driver, URN_BUSY, .op = URN_UPDATE, POOL("main"), ITEM("gold"),
                    .has_quantity = true, .quantity = 8, .has_probability = true, .probability = 9);
    assert_int_equal(driver->error.code, URN_BUSY);
    assert_string_equal(driver->error.text, "the log has no room");
    assert_not_done(driver, URN_BUSY, .op = URN_ADD, POOL("main"), ITEM("x"), .quantity = 1);
    assert_not_done(driver, URN_BUSY, .op = URN_CLOSE, POOL("main"));
    urn_engine_info(driver->engine, &after);
    assert_int_equal(before.staged_lsn, after.staged_lsn);
    assert_int_equal(before.busy + 3, after.busy);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(item(driver, "main", 1).quantity, 7);
        assert_int_equal(driver->request.total, 3);
        assert_int_equal(driver->request.odds_version, 1);
        assert_true(driver->request.open);
        sim_set_capacity(driver->world, UINT64_MAX);
        crash_and_open(driver);
    }
    assert_asked(driver, .op = URN_CLOSE, POOL("main"));
    done(driver);
}

/* One that has not begun gets BUSY like all others, and has done nothing. */
static void test_a_create_that_never_begins_gets_busy(void **unused)
{
    (void)unused;
    struct driver *driver = a_full_disk(26);
    struct catalog large = make_catalog("large", 10000);
    struct catalog catalog = make_catalog("new", 3);
    while (driver_draw(driver, "main", DRIVER_BATCH_MAX, false) == URN_OK)
        ;
    assert_int_equal(driver->request.code, URN_BUSY);
    assert_not_done(driver, URN_BUSY, CREATE(large));
    assert_not_done(driver, URN_BUSY, CREATE(catalog));
    struct urn_pool_spec pools[] = {large.pool, catalog.pool};
    assert_not_done(driver, URN_BUSY, .op = URN_RELOAD, .pools = pools, .pool_count = 2);
    sim_set_capacity(driver->world, UINT64_MAX);
    let_pass(driver, 5);
    assert_int_equal(driver_state(driver, "large"), URN_NOPOOL);
    assert_int_equal(driver_state(driver, "new"), URN_NOPOOL);
    assert_asked(driver, CREATE(large));
    free_catalog(&catalog);
    free_catalog(&large);
    done(driver);
}

/* Requests that follow a create in one list find its pool, whatever the open group holds already. */
static void test_a_create_comes_before_what_follows_it(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_free(driver);
    driver_init(driver, 27);
    driver->config.segments = 64;
    driver->config.max_items = 20000;
    driver->config.max_pools = 64;
    driver_must_open(driver);
    enum { ITEMS = 300, LEAST = 35, MOST = 55 }; /* 17 KB of log, of 61 in a group; a draw: 1 KB */
    static uint32_t outcomes[MOST][DRIVER_BATCH_MAX];
    struct catalog catalog = make_catalog("new", ITEMS);
    for (uint32_t before = LEAST; before < MOST; before++) {
        char name[16];
        snprintf(name, sizeof name, "new %" PRIu32, before);
        catalog.pool.name = name;
        catalog.pool.name_bytes = (uint32_t)strlen(name);
        struct urn_request draws[MOST];
        struct urn_request from_new = {
            .op = URN_DRAW, POOL(name), .count = ITEMS, .outcomes = outcomes[0]};
        struct urn_request create = {CREATE(catalog), .next = &from_new};
        for (uint32_t i = 0; i < before; i++)
            draws[i] = (struct urn_request){.op = URN_DRAW,
                                            POOL("main"),
                                            .count = DRIVER_BATCH_MAX,
                                            .outcomes = outcomes[i],
                                            .next = i + 1 < before ? &draws[i + 1] : &create};
        urn_submit(driver->engine, draws);
        driver_run(driver);
        while (urn_collect(driver->engine) != NULL)
            ;
        assert_int_equal(create.code, URN_OK);
        assert_int_equal(from_new.code, URN_OK);
        assert_int_equal(from_new.failed, 0);
    }
    free_catalog(&catalog);
    done(driver);
}

/* The same with room on the disk: the log goes round under it. */
static void test_a_create_larger_than_the_ring_goes_round(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    driver_free(driver);
    driver_init(driver, 24);
    driver->config.max_items = 20000;
    driver_must_open(driver);
    struct catalog catalog = make_catalog("large", 10000);
    assert_int_equal(driver_ask(driver, (struct urn_request){CREATE(catalog)}), URN_OK);
    assert_int_equal(driver_state(driver, "large"), URN_OK);
    assert_int_equal(driver->request.total, 10000);
    assert_true(driver->request.open);
    free_catalog(&catalog);
    done(driver);
}

/* ---- reload -------------------------------------------------------------------------------- */

static struct urn_change changes[16];

#define RELOAD(list, ...)                                                                          \
    .op = URN_RELOAD, .pools = (list), .pool_count = sizeof(list) / sizeof((list)[0]),             \
    .changes = changes, .limit = 16, __VA_ARGS__

static void assert_change(const struct driver *driver, uint32_t at, enum urn_change_kind kind,
                          const char *pool, const char *item_id)
{
    assert_true(at < driver->request.returned);
    assert_int_equal(changes[at].kind, kind);
    assert_int_equal(changes[at].pool.length, strlen(pool));
    assert_memory_equal(changes[at].pool.bytes, pool, strlen(pool));
    assert_int_equal(changes[at].item_id.length, strlen(item_id));
    if (*item_id != '\0')
        assert_memory_equal(changes[at].item_id.bytes, item_id, strlen(item_id));
}

/* The file of the driver's pool, with one weight changed, an item new and one not there, and
 * quantities that mean nothing any more. */
static const struct urn_item_spec file_items[] = {
    {"tin", 3, 9, 4}, {"gold", 4, 77, 25}, {"diamond", 7, 77, 10}};
static const struct urn_item_spec autumn_items[] = {{"leaf", 4, 3, 1}};
static const struct urn_pool_spec file[] = {{"main", 4, 3, file_items},
                                            {"autumn", 6, 1, autumn_items}};

static void test_reload_applies_what_the_file_changed(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    assert_int_equal(driver_draw(driver, "main", 1, false), URN_OK);
    for (int dry = 1; dry >= 0; dry--) {
        struct urn_engine_info before, after;
        urn_engine_info(driver->engine, &before);
        assert_asked(driver, RELOAD(file, .dry_run = dry == 1));
        urn_engine_info(driver->engine, &after);
        assert_true((before.staged_lsn == after.staged_lsn) == (dry == 1));
        assert_int_equal(driver->request.total, 4);
        assert_change(driver, 0, URN_CHANGE_NEW_ITEM, "main", "tin");
        assert_int_equal(changes[0].quantity, 9);
        assert_change(driver, 1, URN_CHANGE_WEIGHT, "main", "gold");
        assert_int_equal(changes[1].before, 20);
        assert_int_equal(changes[1].probability, 25);
        assert_change(driver, 2, URN_CHANGE_ITEM_NOT_HERE, "main", "mud");
        assert_int_equal(changes[2].quantity, URN_UNLIMITED);
        assert_int_equal(changes[2].before, 70);
        assert_change(driver, 3, URN_CHANGE_NEW_POOL, "autumn", "");
        assert_int_equal(driver->request.kinds[URN_CHANGE_WEIGHT], 1);
        assert_int_equal(odds_version(driver, "main"), dry == 1 ? 1 : 2); /* one for both */
    }
    crash_and_open(driver);
    assert_int_equal(odds_version(driver, "main"), 2);
    assert_int_equal(item(driver, "main", 1).probability, 25);
    assert_int_equal(item(driver, "main", 1).quantity + (int64_t)item(driver, "main", 1).drawn,
                     1000); /* never quantities */
    assert_int_equal(item(driver, "main", 3).quantity, 9);
    assert_int_equal(item(driver, "autumn", 0).quantity, 3);
    assert_asked(driver, RELOAD(file, .force = true)); /* again: nothing is left to do */
    assert_int_equal(driver->request.total, 1);
    assert_change(driver, 0, URN_CHANGE_ITEM_NOT_HERE, "main", "mud");
    assert_int_equal(odds_version(driver, "main"), 2);
    done(driver);
}

static void set_weight(struct driver *driver, const char *item_id, uint64_t weight)
{
    assert_asked(driver, .op = URN_UPDATE, POOL("main"), .item_id = item_id,
                 .item_id_bytes = (uint32_t)strlen(item_id), .has_probability = true,
                 .probability = weight);
}

/* The four rows of reload.h's table, each also after a restart from a snapshot and the log. */
static void test_reload_against_updates(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_item_spec items[] = {{"diamond", 7, 1, 10}, {"gold", 4, 1, 20}, {"mud", 3, 1, 70}};
    struct urn_pool_spec pool[] = {{"main", 4, 3, items}};
    set_weight(driver, "diamond", 11);
    crash_and_open(driver);
    assert_asked(driver, RELOAD(pool, .force = true)); /* the file changed nothing */
    assert_int_equal(driver->request.total, 0);
    assert_int_equal(item(driver, "main", 0).probability, 11);

    items[0].probability = 12;
    items[1].probability = 22;
    for (int round = 0; round < 2; round++) { /* a conflict remains one */
        assert_asked(driver, RELOAD(pool));
        assert_int_equal(driver->request.total, round == 0 ? 2 : 1);
        assert_change(driver, 0, URN_CHANGE_CONFLICT, "main", "diamond");
        assert_int_equal(changes[0].before, 11);
        assert_int_equal(changes[0].probability, 12);
        assert_int_equal(item(driver, "main", 0).probability, 11);
        assert_int_equal(item(driver, "main", 1).probability, 22);
        crash_and_open(driver);
    }
    assert_asked(driver, RELOAD(pool, .force = true));
    assert_change(driver, 0, URN_CHANGE_WEIGHT, "main", "diamond");
    assert_int_equal(item(driver, "main", 0).probability, 12);

    set_weight(driver, "diamond", 13);
    items[0].probability = 13; /* the file follows the update: applied, and seen by nobody */
    assert_asked(driver, RELOAD(pool));
    assert_int_equal(driver->request.total, 0);
    crash_and_open(driver);
    items[0].probability = 14; /* so that the next change of the file is no conflict */
    assert_asked(driver, RELOAD(pool));
    assert_change(driver, 0, URN_CHANGE_WEIGHT, "main", "diamond");
    assert_int_equal(item(driver, "main", 0).probability, 14);
    done(driver);
}

static void test_reload_keeps_the_sum_of_weights_in_bounds(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    struct urn_item_spec items[] = {
        {"diamond", 7, 1, URN_NUMBER_MAX - 30}, {"gold", 4, 1, 20}, {"mud", 3, 1, 10}};
    struct urn_pool_spec pool[] = {{"main", 4, 3, items}};
    assert_asked(driver, RELOAD(pool)); /* mud becomes less before diamond becomes more */
    items[0].probability = 0;
    items[1].probability = URN_NUMBER_MAX - 10;
    assert_asked(driver, RELOAD(pool));
    assert_int_equal(item(driver, "main", 1).probability, URN_NUMBER_MAX - 10);
    struct urn_pool_spec less[] = {{"main", 4, 1, items}}; /* what is not here counts too */
    items[0].probability = 1;
    assert_not_done(driver, URN_BADARG, RELOAD(less));
    assert_not_done(driver, URN_BADARG, RELOAD(less, .dry_run = true));
    crash_and_open(driver);
    assert_int_equal(item(driver, "main", 0).probability, 0);
    done(driver);
}

/* What concerns pools that exist must fit one group, in a dry run too; a new catalog need not. */
static void test_reload_of_more_than_a_group(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    many_items(driver);
    struct catalog large = make_catalog("large", 3000);
    struct urn_pool_spec pools[] = {large.pool};
    assert_asked(driver, RELOAD(pools, .dry_run = true));
    assert_change(driver, 0, URN_CHANGE_NEW_POOL, "large", "");
    assert_int_equal(changes[0].quantity, 3000);
    assert_change(driver, 1, URN_CHANGE_POOL_NOT_HERE, "main", "");
    assert_asked(driver, RELOAD(pools));
    assert_int_equal(driver_draw(driver, "large", 1000, true), URN_OK);
    for (uint32_t i = 0; i < 3000; i++)
        large.items[i].probability++;
    assert_not_done(driver, URN_TOOBIG, RELOAD(pools));
    assert_not_done(driver, URN_TOOBIG, RELOAD(pools, .dry_run = true));
    assert_int_equal(odds_version(driver, "large"), 1);
    for (uint32_t i = 1000; i < 3000; i++)
        large.items[i].probability--;
    assert_asked(driver, RELOAD(pools));
    assert_int_equal(driver->request.kinds[URN_CHANGE_WEIGHT], 1000);
    assert_int_equal(driver->request.total, 1001);
    assert_int_equal(driver->request.returned, 16);
    crash_and_open(driver);
    assert_int_equal(odds_version(driver, "large"), 2);
    free_catalog(&large);
    done(driver);
}

/* A driver with a pool "large" of so many items, whose catalog (the file) is *catalog. */
static struct driver *a_large_pool(struct catalog *catalog, uint32_t items)
{
    struct driver *driver = a_driver();
    many_items(driver);
    *catalog = make_catalog("large", items + 1);
    catalog->pool.item_count = items;
    assert_asked(driver, CREATE(*catalog));
    return driver;
}

/* What the file was known to say when it was compared, a weight that an update had set meanwhile
 * included. */
static void applied_as_compared(struct driver *driver, const struct urn_pool_spec *large,
                                struct urn_item_spec *items)
{
    struct urn_pool_spec pools[] = {*large};
    crash_and_open(driver);
    assert_asked(driver, RELOAD(pools)); /* the file was applied, and says nothing new */
    assert_int_equal(driver->request.total, 3);
    assert_change(driver, 0, URN_CHANGE_CONFLICT, "large", "item-10");
    assert_change(driver, 1, URN_CHANGE_ITEM_NOT_HERE, "large", "not in the file");
    items[40].probability = 3; /* a conflict: it had followed the file when the file was compared */
    assert_asked(driver, RELOAD(pools));
    assert_change(driver, 1, URN_CHANGE_CONFLICT, "large", "item-40");
    items[20].probability = 4; /* and none: there it was applied */
    assert_asked(driver, RELOAD(pools));
    assert_int_equal(driver->request.kinds[URN_CHANGE_WEIGHT], 1);
}

/* Large catalogs are compared a slice a turn. What others change between the slices counts. */
static void test_changes_while_a_reload_compares(void **unused)
{
    (void)unused;
    enum { ITEMS = 5000 };
    struct catalog large;
    struct driver *driver = a_large_pool(&large, ITEMS);
    struct catalog other = make_catalog("other", 1);
    struct urn_pool_spec pools[] = {large.pool};
    const struct urn_item_spec first = large.items[0];
    pools[0].item_count = ITEMS + 1; /* item-5000 is new, and stands first in the file */
    large.items[0] = large.items[ITEMS];
    large.items[ITEMS] = first;
    large.items[10].probability = 5;
    large.items[20].probability = 6;
    large.items[30].probability = 7;
    struct urn_request reload = {RELOAD(pools)};
    urn_submit(driver->engine, &reload);
    assert_true(writer_step(driver->engine));
    struct urn_request between[] = {
        {.op = URN_UPDATE,
         POOL("large"),
         ITEM("item-10"),
         .has_probability = true,
         .probability = 9},
        {.op = URN_UPDATE,
         POOL("large"),
         ITEM("item-20"),
         .has_probability = true,
         .probability = 6},
        {.op = URN_UPDATE,
         POOL("large"),
         ITEM("item-40"),
         .has_probability = true,
         .probability = 9},
        {.op = URN_ADD, POOL("large"), ITEM("item-5000"), .quantity = 77, .probability = 1},
        {.op = URN_ADD, POOL("large"), ITEM("not in the file"), .quantity = 1, .probability = 1},
        {.op = URN_DRAW, POOL("large"), .count = 10, .outcomes = driver->outcomes},
        {CREATE(other)},
        {RELOAD(pools, .dry_run = true)},
    };
    enum { BETWEEN = sizeof between / sizeof between[0] };
    for (int i = 0; i + 1 < BETWEEN; i++)
        between[i].next = &between[i + 1];
    urn_submit(driver->engine, between);
    driver_run(driver);
    while (urn_collect(driver->engine) != NULL)
        ;
    for (int i = 0; i < BETWEEN; i++)
        assert_int_equal(between[i].code, i < 6 ? URN_OK : URN_BUSY);
    assert_int_equal(reload.code, URN_OK);
    assert_int_equal(reload.total, 3);
    driver->request = reload;
    assert_change(driver, 0, URN_CHANGE_CONFLICT, "large", "item-10");
    assert_int_equal(changes[0].before, 9);
    assert_change(driver, 1, URN_CHANGE_WEIGHT, "large", "item-30");
    assert_change(driver, 2, URN_CHANGE_POOL_NOT_HERE, "main", "");
    assert_int_equal(odds_version(driver, "large"), 1 + 5 + 1);
    free_catalog(&other);
    applied_as_compared(driver, pools, large.items);
    free_catalog(&large);
    done(driver);
}

/* Whatever the order of the file's items, and however many of its pool it has. */
static void test_reload_finds_items_wherever_they_stand(void **unused)
{
    (void)unused;
    enum { ITEMS = 3000 };
    struct catalog large;
    struct driver *driver = a_large_pool(&large, ITEMS);
    struct urn_pool_spec pools[] = {large.pool};
    for (uint32_t i = 0; i < ITEMS; i++) {
        const uint32_t with = i * 7919u % ITEMS;
        const struct urn_item_spec one = large.items[i];
        large.items[i] = large.items[with];
        large.items[with] = one;
    }
    assert_asked(driver, RELOAD(pools));
    assert_int_equal(driver->request.total, 1);
    for (uint32_t missing = 1; missing <= 129; missing += 64) {
        pools[0].item_count = ITEMS - missing;
        assert_asked(driver, RELOAD(pools));
        assert_int_equal(driver->request.kinds[URN_CHANGE_ITEM_NOT_HERE], missing);
        assert_int_equal(driver->request.total, missing + 1);
        assert_int_equal(driver->request.returned, missing + 1 < 16 ? missing + 1 : 16);
        for (uint32_t i = 0; i + 1 < driver->request.returned; i++) {
            bool is_one = false;
            for (uint32_t at = ITEMS - missing; at < ITEMS; at++)
                is_one = is_one || (large.items[at].item_id_bytes == changes[i].item_id.length &&
                                    memcmp(large.items[at].item_id, changes[i].item_id.bytes,
                                           changes[i].item_id.length) == 0);
            assert_true(is_one);
        }
    }
    pools[0].item_count = 0;
    assert_asked(driver, RELOAD(pools, .dry_run = true));
    assert_int_equal(driver->request.kinds[URN_CHANGE_ITEM_NOT_HERE], ITEMS);
    free_catalog(&large);
    done(driver);
}

/* A reload whose changes are staged, and whose new pool finds no room, has begun: BUSY would say that it has not. */
static void test_a_stop_gives_a_reload_up_whose_changes_are_staged(void **unused)
{
    (void)unused;
    struct driver *driver = a_full_disk(26);
    struct catalog catalog = make_catalog("large", 10000);
    const struct urn_item_spec items[] = {
        {"diamond", 7, 100, 10}, {"gold", 4, 1000, 21}, {"mud", 3, URN_UNLIMITED, 70}};
    const struct urn_pool_spec pools[] = {{"main", 4, 3, items}, catalog.pool};
    struct urn_error error = {.code = URN_OK};
    struct urn_request reload = {RELOAD(pools, .error = &error)};
    const struct writer *writer = &driver->engine->writer;
    const uint64_t limit_lsn = atomic_load(&driver->engine->room_limit_lsn) -
                               WRITER_MARK_ROOM_BYTES - writer->reserve_bytes;
    /* Until there is room for a weight, and none for items. */
    while (writer->end_lsn + 3 * DRIVER_BATCH_MAX < limit_lsn)
        assert_int_equal(driver_draw(driver, "main", DRIVER_BATCH_MAX, false), URN_OK);
    urn_submit(driver->engine, &reload);
    driver_run(driver);
    let_pass(driver, 1);
    assert_null(urn_collect(driver->engine));
    assert_int_equal(driver_stop(driver), URN_OK);
    assert_int_equal(reload.code, URN_INDOUBT);
    assert_string_equal(error.text, "a part of it is done: the log has no room");
    sim_set_capacity(driver->world, UINT64_MAX);
    driver_must_open(driver);
    assert_int_equal(driver_state(driver, "main"), URN_OK);
    assert_int_equal(driver->request.items[1].probability, 21);
    assert_not_done(driver, URN_NOPOOL, .op = URN_CLOSE, POOL("large"));
    free_catalog(&catalog);
    done(driver);
}

/* Nothing of it is staged yet, so that nothing of it is in doubt. */
static void test_a_failing_disk_while_a_reload_compares(void **unused)
{
    (void)unused;
    struct catalog large;
    struct driver *driver = a_large_pool(&large, 5000);
    struct urn_pool_spec pools[] = {large.pool};
    struct urn_request reload = {RELOAD(pools)};
    driver_submit_draw(driver, "main", 1);
    assert_true(writer_step(driver->engine));
    urn_submit(driver->engine, &reload);
    assert_true(writer_step(driver->engine));
    assert_true(engine_commit_begin(driver->engine));
    sim_fail_at(driver->world, SIM_MAP_SYNC_END, 1, 0);
    assert_true(engine_commit_end(driver->engine));
    driver_run(driver);
    while (urn_collect(driver->engine) != NULL)
        ;
    assert_int_equal(driver->request.code, URN_INDOUBT);
    assert_int_equal(reload.code, URN_READONLY);
    free_catalog(&large);
    done(driver);
}

/* Each pool costs something too: a thousand of them are not compared in one turn. */
static void test_a_reload_of_many_pools(void **unused)
{
    (void)unused;
    enum { POOLS = 1000 };
    struct driver *driver = a_driver();
    driver_free(driver);
    driver_init(driver, 28);
    driver->config.max_pools = POOLS + 1;
    driver->config.max_items = 20000;
    driver->config.segments = 32;
    driver_must_open(driver);
    static struct urn_pool_spec pools[POOLS];
    static char names[POOLS][16];
    static struct urn_item_spec item = {"x", 1, 5, 1};
    for (uint32_t i = 0; i < POOLS; i++)
        pools[i] = (struct urn_pool_spec){
            names[i], (uint32_t)snprintf(names[i], sizeof names[i], "pool %" PRIu32, i), 1, &item};
    for (int round = 0; round < 2; round++) {
        struct urn_request reload = {RELOAD(pools)};
        urn_submit(driver->engine, &reload);
        assert_true(writer_step(driver->engine));
        assert_ptr_equal(driver->engine->writer.job.request, &reload);
        driver_run(driver);
        assert_ptr_equal(urn_collect(driver->engine), &reload);
        assert_int_equal(reload.code, URN_OK);
        assert_int_equal(reload.kinds[URN_CHANGE_NEW_POOL], round == 0 ? POOLS : 0);
        assert_int_equal(reload.kinds[URN_CHANGE_WEIGHT], round == 0 ? 0 : POOLS);
        assert_int_equal(driver_draw(driver, "pool 999", 1, true), URN_OK);
        item.probability++;
    }
    done(driver);
}

/* The group that is open has no room for all of it: it closes first, and what is told is told once. */
static void test_a_reload_that_waits_for_the_next_group(void **unused)
{
    (void)unused;
    struct driver *driver = a_driver();
    many_items(driver);
    enum { DRAWS = 12, ITEMS = 1000 };
    static uint32_t outcomes[DRAWS][DRIVER_BATCH_MAX];
    struct urn_request draws[DRAWS];
    struct catalog large = make_catalog("large", ITEMS);
    struct urn_pool_spec pools[] = {large.pool};
    for (uint32_t i = 0; i < ITEMS; i++)
        large.items[i].quantity = URN_UNLIMITED;
    assert_asked(driver, CREATE(large));
    for (uint32_t i = 0; i < ITEMS; i++)
        large.items[i].probability++;
    struct urn_request reload = {RELOAD(pools)};
    for (int i = 0; i < DRAWS; i++) {
        draws[i] = (struct urn_request){.op = URN_DRAW,
                                        POOL("large"),
                                        .count = DRIVER_BATCH_MAX,
                                        .outcomes = outcomes[i],
                                        .next = i + 1 < DRAWS ? &draws[i + 1] : &reload};
    }
    struct urn_engine_info before, after;
    urn_engine_info(driver->engine, &before);
    urn_submit(driver->engine, draws);
    driver_run(driver);
    while (urn_collect(driver->engine) != NULL)
        ;
    urn_engine_info(driver->engine, &after);
    assert_int_equal(reload.code, URN_OK);
    assert_int_equal(after.groups - before.groups, 2);
    assert_int_equal(reload.kinds[URN_CHANGE_WEIGHT], ITEMS);
    assert_int_equal(reload.kinds[URN_CHANGE_POOL_NOT_HERE], 1);
    assert_int_equal(reload.total, ITEMS + 1);
    assert_int_equal(reload.returned, 16);
    free_catalog(&large);
    done(driver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_update_sets_what_is_given),
        cmocka_unit_test(test_update_under_a_condition),
        cmocka_unit_test(test_refused_changes_change_nothing),
        cmocka_unit_test(test_requests_keep_their_order),
        cmocka_unit_test(test_answers_wait_for_their_group),
        cmocka_unit_test(test_after_a_failed_sync_changes_are_in_doubt),
        cmocka_unit_test(test_a_small_pool_is_created_in_one_group),
        cmocka_unit_test(test_catalogs_are_checked_before_anything_is_made),
        cmocka_unit_test(test_limits_hold_for_all_pools_together),
        cmocka_unit_test(test_a_large_pool_is_created_over_many_groups),
        cmocka_unit_test(test_a_create_goes_on_after_a_crash),
        cmocka_unit_test(test_an_add_leaves_a_catalog_its_room),
        cmocka_unit_test(test_a_stop_finishes_a_create),
        cmocka_unit_test(test_a_create_that_meets_a_failing_disk_is_in_doubt),
        cmocka_unit_test(test_a_create_that_has_begun_waits_for_room),
        cmocka_unit_test(test_a_stop_gives_a_create_without_room_up),
        cmocka_unit_test(test_a_change_without_room_gets_busy),
        cmocka_unit_test(test_a_create_that_never_begins_gets_busy),
        cmocka_unit_test(test_a_create_comes_before_what_follows_it),
        cmocka_unit_test(test_a_create_larger_than_the_ring_goes_round),
        cmocka_unit_test(test_reload_applies_what_the_file_changed),
        cmocka_unit_test(test_reload_against_updates),
        cmocka_unit_test(test_reload_keeps_the_sum_of_weights_in_bounds),
        cmocka_unit_test(test_reload_of_more_than_a_group),
        cmocka_unit_test(test_changes_while_a_reload_compares),
        cmocka_unit_test(test_reload_finds_items_wherever_they_stand),
        cmocka_unit_test(test_a_stop_gives_a_reload_up_whose_changes_are_staged),
        cmocka_unit_test(test_a_failing_disk_while_a_reload_compares),
        cmocka_unit_test(test_a_reload_of_many_pools),
        cmocka_unit_test(test_a_reload_that_waits_for_the_next_group),
    };
    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
