/* test_urn_wal_stats.c: the figures of `urn-wal stats`: draws against what weights and stock let expect,
 * compared with a calculation draw by draw; the chi-square test; tables and bars against golden outputs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/changes.h"
#include "tests/lib/golden.h"
#include "tests/lib/sim_random.h"
#include "tests/lib/wal_scene.h"
#include "tools/urn_wal/chi_square.h"
#include "tools/urn_wal/odds_stats.h"
#include "tools/urn_wal/time_text.h"

/* ---- chi-square ---------------------------------------------------------------------------------- */

/* From printed tables (Abramowitz and Stegun, table 26.8), and beyond. */
static void test_chi_square(void **context)
{
    static const struct {
        double chi_square;
        uint32_t degrees;
        double p;
    } rows[] = {
        {0, 1, 1},
        {3.84146, 1, 0.05},
        {6.63490, 1, 0.01},
        {0.00016, 1, 0.99},
        {5.99146, 2, 0.05},
        {18.3070, 10, 0.05},
        {2.55821, 10, 0.99},
        {43.7729, 30, 0.05},
        {124.342, 100, 0.05},
        {70.0648, 100, 0.99},
        {1074.68, 1000, 0.05},
    };
    (void)context;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const double p = chi_square_p(rows[i].chi_square, rows[i].degrees);
        if (fabs(p - rows[i].p) > 0.0005)
            fail_msg("%g with %u: %g", rows[i].chi_square, rows[i].degrees, p);
    }
    assert_true(chi_square_p(10000, 5) < 1e-300 && chi_square_p(10000, 5) >= 0);
    assert_true(chi_square_p(1e6, 1000000) > 0.4 && chi_square_p(1e6, 1000000) < 0.6);
}

/* ---- expectations --------------------------------------------------------------------------------- */

enum { ITEMS = 5, DRAWS = 4000 };

static const struct {
    const char *name;
    int64_t quantity;
    uint64_t weight;
} items[ITEMS] = {{"endless", URN_UNLIMITED, 50},
                  {"many", 900, 200},
                  {"few", 40, 7},
                  {"one", 1, 3},
                  {"never", 10, 0}};

static void make_pool(struct state *state)
{
    const struct state_bounds bounds = {.max_pools = 2, .max_items = 10};
    struct urn_error error;
    struct urn_pool *pool = NULL;
    assert_int_equal(state_make(&bounds, state, &error), URN_OK);
    assert_int_equal(state_add_pool(state, "p", 1, ITEMS, &pool, &error), URN_OK);
    for (uint32_t i = 0; i < ITEMS; i++)
        assert_int_equal(state_add_item(state, pool, items[i].name, (uint32_t)strlen(items[i].name),
                                        items[i].quantity, items[i].weight, 0, &error),
                         URN_OK);
}

/* The definition, draw by draw. */
struct naive {
    int64_t quantity[ITEMS];
    double expected[ITEMS];
    uint64_t drawn[ITEMS];
};

static uint32_t naive_draw(struct naive *naive, struct sim_random *random)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        sum += naive->quantity[i] != 0 ? items[i].weight : 0;
    uint64_t r = sim_random_below(random, sum);
    uint32_t outcome = ITEMS;
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (naive->quantity[i] == 0)
            continue;
        naive->expected[i] += (double)items[i].weight / (double)sum;
        if (outcome == ITEMS && r < items[i].weight)
            outcome = i;
        r -= outcome == ITEMS ? items[i].weight : 0;
    }
    assert_true(outcome < ITEMS);
    naive->drawn[outcome]++;
    naive->quantity[outcome] -= naive->quantity[outcome] > 0 ? 1 : 0;
    return outcome;
}

static void take_entry(struct odds_stats *stats, const struct wal_entries *entries)
{
    const struct wal_group_header header = {
        .length_bytes = entries->used_bytes, .kind = WAL_DATA, .draws = entries->draws};
    struct wal_entry entry;
    struct urn_error error;
    uint32_t offset = 0;
    while (wal_entry_next(entries->bytes, &header, &offset, &entry) == WAL_READ_OK)
        assert_int_equal(odds_take(stats, 4096, &entry, &error), URN_OK);
}

/* Entries of every size, so that some run out of an item in their midst; restocked once. */
static void test_expected_is_the_sum_of_chances(void **context)
{
    (void)context;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct odds_stats stats;
        struct naive naive = {.expected = {0}};
        struct state state;
        struct urn_error error;
        static uint8_t bytes[65536];
        struct sim_random random = sim_random_stream(seed, 0);
        make_pool(&state);
        odds_begin(&stats, 100);
        odds_anchor(&stats, &state);
        for (uint32_t i = 0; i < ITEMS; i++)
            naive.quantity[i] = items[i].quantity;
        for (uint32_t done = 0; done < DRAWS;) {
            const uint32_t count = 1 + (uint32_t)sim_random_below(&random, 700);
            uint32_t outcomes[700];
            struct wal_entries entries;
            memset(bytes, 0, WAL_GROUP_HEADER_BYTES);
            wal_entries_begin(&entries, bytes, sizeof bytes);
            if (done > DRAWS / 2 && naive.quantity[3] == 0) { /* the odds version stays */
                const struct wal_change restock = {WAL_ENTRY_UPDATE,  0,        3, 1, 4, 0,
                                                   WAL_SETS_QUANTITY, {NULL, 0}};
                wal_entries_add_change(&entries, &restock);
                naive.quantity[3] = 4;
            }
            for (uint32_t i = 0; i < count; i++)
                outcomes[i] = naive_draw(&naive, &random);
            wal_entries_add_draws(&entries, 0, 1, 1, outcomes, count);
            take_entry(&stats, &entries);
            done += count;
        }
        assert_int_equal(odds_finish(&stats, &error), URN_OK);
        assert_int_equal(stats.period_count, 1);
        const struct odds_period *period = &stats.periods[0];
        assert_true(period->has_expected);
        assert_int_equal(period->row_count, ITEMS);
        for (uint32_t i = 0; i < ITEMS; i++) {
            assert_int_equal(period->rows[i].drawn, naive.drawn[i]);
            if (fabs(period->rows[i].expected - naive.expected[i]) > 1e-6)
                fail_msg("seed %d, %s: %f, not %f", (int)seed, items[i].name,
                         period->rows[i].expected, naive.expected[i]);
        }
        assert_true(period->terms >= 2);
        assert_true(chi_square_p(period->chi_square, period->terms - 1) > 1e-6);
        odds_end(&stats);
    }
}

/* Every odds version is a period; draws that the stock cannot bear end the knowledge of it. */
static void test_periods(void **context)
{
    (void)context;
    static uint8_t bytes[4096];
    struct odds_stats stats;
    struct state state;
    struct urn_error error;
    struct wal_entries entries;
    make_pool(&state);
    odds_begin(&stats, 2);
    odds_anchor(&stats, &state);
    memset(bytes, 0, WAL_GROUP_HEADER_BYTES);
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_draws(&entries, 0, 1, 1, (uint32_t[]){0, 1, 0}, 3);
    const struct wal_change weigh = {WAL_ENTRY_UPDATE, 0, 1, 2, 0, 7, WAL_SETS_WEIGHT, {NULL, 0}};
    wal_entries_add_change(&entries, &weigh);
    wal_entries_add_draws(&entries, 0, 2, 1, (uint32_t[]){3}, 1);
    wal_entries_add_draws(&entries, 0, 2, 1, (uint32_t[]){3, 200},
                          2); /* there was one, and no such */
    take_entry(&stats, &entries);
    assert_int_equal(odds_finish(&stats, &error), URN_OK);
    assert_false(odds_is_anchored(&stats));
    assert_int_equal(stats.period_count, 2);
    assert_true(stats.periods[0].has_expected);
    assert_int_equal(stats.periods[0].row_count, 2); /* of 5 */
    assert_int_equal(stats.periods[0].items, ITEMS);
    assert_false(stats.periods[1].has_expected);
    assert_int_equal(stats.periods[1].odds_version, 2);
    odds_end(&stats);
}

/* ---- the command ---------------------------------------------------------------------------------- */

static void make_log(struct wal_scene *scene)
{
    static const struct wal_change changes[] = {
        {WAL_ENTRY_UPDATE, 0, COIN, 2, 0, 3, WAL_SETS_WEIGHT, {NULL, 0}},
        {WAL_ENTRY_CREATE, 1, 0, 1, 0, 0, 0, {"autumn", 6}},
        {WAL_ENTRY_ADD, 1, 0, 1, URN_UNLIMITED, 9, 0, {"leaf", 4}},
        {WAL_ENTRY_OPEN, 1, 0, 1, 0, 0, 0, {NULL, 0}},
    };
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    for (uint32_t i = 0; i < 12; i++) {
        maker->engine_time_us += 1000ull << i % 5;
        (void)log_maker_draws(maker, 1 + 3 * i * i);
    }
    log_maker_entries(maker);
    wal_entries_add_draws(&maker->entries, 0, 1, 1,
                          (uint32_t[]){DIAMOND, TICKET, TICKET, DIAMOND, COIN}, 5);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        wal_entries_add_change(&maker->entries, &changes[i]);
    wal_entries_add_draws(&maker->entries, 1, 1, 1, (uint32_t[]){0, 0}, 2);
    wal_entries_add_draws(&maker->entries, 0, 2, 1, (uint32_t[]){0, 2, 0}, 3);
    maker->engine_time_us += 5000000;
    (void)log_maker_add(maker, WAL_DATA, 0);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
}

static void test_stats(void **context)
{
    struct wal_scene *scene = *context;
    make_log(scene);
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-stats.txt", WORDS("stats", "log"));
    wal_scene_assert_golden(scene, NULL, EXIT_SOUND, "urn-wal-stats.json",
                            WORDS("stats", "log", "--json", "--pool", "autumn"));
}

static void test_stats_of_a_new_directory(void **context)
{
    char *text = wal_scene_run(*context, NULL, EXIT_SOUND, WORDS("stats", "log"));
    assert_non_null(strstr(text, ", no time is known\ndraws 0"));
    assert_null(strstr(text, "1970"));
    free(text);
    text = wal_scene_run(*context, NULL, EXIT_SOUND, WORDS("stats", "log", "--json"));
    assert_non_null(strstr(text, "\"first_time\":null,\"last_time\":null,"));
    free(text);
}

/* Behind damage the stock is not known; draws are counted all the same. */
static void test_stats_over_damage(void **context)
{
    struct wal_scene *scene = *context;
    (void)log_maker_epoch(&scene->maker);
    const uint64_t damaged = log_maker_draws(&scene->maker, 10);
    (void)log_maker_draws(&scene->maker, 20);
    scene->maker.durable_lsn = scene->maker.tail.lsn;
    (void)log_maker_mark(&scene->maker);
    log_maker_flip(&scene->maker, damaged + 120);
    char *text = wal_scene_run(scene, NULL, EXIT_DAMAGE, WORDS("stats", "log"));
    assert_non_null(strstr(text, "the checksum does not match"));
    assert_non_null(strstr(text, "20 draws; the stock of that time is not known"));
    free(text);
}

static void test_stats_beside_a_server_that_laps(void **context)
{
    struct wal_scene *scene = *context;
    wal_scene_lap(scene);
    for (uint64_t nth = 1;; nth++) {
        struct wal_rival rival = {.scene = scene, .nth = nth, .act = wal_scene_lap};
        enum exit_status status = EXIT_SOUND;
        wal_rival_begin(&rival);
        char *text = wal_scene_run_any(scene, wal_scene_used, &status, WORDS("stats", "log"));
        wal_rival_end(&rival);
        if ((status != EXIT_SOUND && status != EXIT_MISSING) || strstr(text, "damage") != NULL)
            fail_msg("call %d: %s", (int)nth, text);
        free(text);
        if (rival.acted == 0)
            return;
    }
}

/* ---- times ----------------------------------------------------------------------------------------- */

static void test_times(void **context)
{
    static const struct {
        const char *text;
        const char *same; /* NULL: no time */
    } rows[] = {
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"},
        {"2026-11-22T05:14:29.5Z", "2026-11-22T05:14:29.500000Z"},
        {"2026-11-22T05:14:29.1234567Z", "2026-11-22T05:14:29.123456Z"},
        {"2026-11-22t05:14:29z", "2026-11-22T05:14:29.000000Z"},
        {"2026-11-22 05:14:29", "2026-11-22T05:14:29.000000Z"},
        {"2026-11-22T05:14:29+02:00", "2026-11-22T03:14:29.000000Z"},
        {"2025-12-31T23:30:00-01:00", "2026-01-01T00:30:00.000000Z"},
        {"2024-02-29", "2024-02-29T00:00:00.000000Z"},
        {"2000-03-01", "2000-03-01T00:00:00.000000Z"},
        {"9999-12-31T23:59:60Z", "9999-12-31T23:59:59.999999Z"}, /* cut to what can be shown */
        {"2023-02-29", NULL},
        {"1900-02-29", NULL},
        {"2026-13-01", NULL},
        {"2026-11-22T24:00:00Z", NULL},
        {"2026-11-22T05:14Z", NULL},
        {"2026-11-22T05:14:29.Z", NULL},
        {"2026-11-22T05:14:29+0200", NULL},
        {"1970-01-01T00:00:00+01:00", NULL},
        {"1969-12-31", NULL},
        {"22.11.2026", NULL},
        {"", NULL},
    };
    (void)context;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[TIME_TEXT_BYTES];
        uint64_t time_us = 0;
        if (time_parse(rows[i].text, &time_us) != (rows[i].same != NULL))
            fail_msg("%s", rows[i].text);
        if (rows[i].same == NULL)
            continue;
        time_text(time_us, text);
        assert_string_equal(text, rows[i].same);
    }
    for (uint64_t day = 0; day < 200000; day += 13) { /* both ways, over five centuries */
        char text[TIME_TEXT_BYTES];
        uint64_t time_us = 0;
        time_text(day * 86400000000 + 86399999999, text);
        assert_true(time_parse(text, &time_us));
        assert_int_equal(time_us, day * 86400000000 + 86399999999);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, wal_scene_set_up, wal_scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chi_square),
        cmocka_unit_test(test_expected_is_the_sum_of_chances),
        cmocka_unit_test(test_periods),
        TEST(test_stats),
        TEST(test_stats_of_a_new_directory),
        TEST(test_stats_over_damage),
        TEST(test_stats_beside_a_server_that_laps),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests_name("urn_wal_stats", tests, NULL, NULL);
}
