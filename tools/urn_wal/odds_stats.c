/* odds_stats.c: see odds_stats.h. */
#include "tools/urn_wal/odds_stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/changes.h"
#include "engine/check.h"

#define TALLY_ITEMS_MAX 4096u
#define TALLY_RUN_MIN   64u
#define OUT_OF_STOCK    (-1.0)

/* One that goes on. */
struct open_period {
    bool is_open;
    uint64_t odds_version;
    uint64_t from_lsn;
    uint64_t draws;
    uint64_t failed;
    bool has_expected;
    uint32_t items;
    uint32_t room;
    uint64_t *drawn;
    /* with has_expected */
    double exposure;  /* E */
    double *expected; /* of what is over: items that ran out */
    double *since;    /* E when the item came into stock; OUT_OF_STOCK */
};

void odds_begin(struct odds_stats *stats, uint32_t rows_max)
{
    *stats = (struct odds_stats){.rows_max = rows_max};
}

static void free_open(struct open_period *open)
{
    free(open->drawn);
    free(open->expected);
    free(open->since);
    *open = (struct open_period){.is_open = false};
}

static void drop_state(struct odds_stats *stats)
{
    if (stats->has_state)
        state_free(&stats->state);
    stats->has_state = false;
}

void odds_end(struct odds_stats *stats)
{
    for (uint32_t i = 0; i < stats->open_room; i++)
        free_open(&stats->open[i]);
    for (uint32_t i = 0; i < stats->period_count; i++)
        free(stats->periods[i].rows);
    free(stats->open);
    free(stats->periods);
    drop_state(stats);
    *stats = (struct odds_stats){.period_count = 0};
}

static enum urn_code no_memory(struct urn_error *error)
{
    return error_set(error, URN_NOMEMORY, ENOMEM, "cannot count draws by item");
}

/* ---- a period that begins ------------------------------------------------------------------------- */

static bool grow(struct open_period *open, uint32_t items)
{
    if (items <= open->room)
        return true;
    const uint32_t room = items > 2 * open->room ? items : 2 * open->room;
    uint64_t *drawn = realloc(open->drawn, room * sizeof *drawn);
    if (drawn == NULL)
        return false;
    memset(drawn + open->room, 0, (room - open->room) * sizeof *drawn);
    open->drawn = drawn;
    open->room = room;
    return true;
}

static enum urn_code begin_period(struct odds_stats *stats, uint32_t pool_id, uint64_t odds_version,
                                  uint64_t lsn, struct urn_error *error)
{
    struct open_period *open = &stats->open[pool_id];
    *open = (struct open_period){.is_open = true, .odds_version = odds_version, .from_lsn = lsn};
    if (!stats->has_state)
        return URN_OK;
    const struct urn_pool *pool = stats->state.pools[pool_id];
    const uint32_t items = pool_item_count(pool);
    open->has_expected = true;
    open->items = items;
    open->expected = calloc(items + 1, sizeof *open->expected);
    open->since = calloc(items + 1, sizeof *open->since);
    if (!grow(open, items + 1) || open->expected == NULL || open->since == NULL)
        return no_memory(error);
    for (uint32_t index = 0; index < items; index++) {
        struct urn_item item;
        pool_item(pool, index, &item);
        open->since[index] = item.quantity == 0 ? OUT_OF_STOCK : 0;
    }
    return URN_OK;
}

/* ---- a period that ends ----------------------------------------------------------------------------- */

/* The item's stock is used up, or the period ends: what was expected until now is settled. */
static void settle(struct open_period *open, const struct urn_pool *pool, uint32_t index)
{
    struct urn_item item;
    if (open->since[index] < 0)
        return;
    pool_item(pool, index, &item);
    open->expected[index] += (double)item.probability * (open->exposure - open->since[index]);
    open->since[index] = OUT_OF_STOCK;
}

static double distance(const struct odds_row *row)
{
    return row->expected > 0 ? fabs((double)row->drawn - row->expected) / sqrt(row->expected)
                             : (double)row->drawn;
}

/* The one that stands out most first. */
static int compare_distance(const void *left, const void *right)
{
    const double a = distance(left);
    const double b = distance(right);
    return a > b ? -1 : a < b;
}

static int compare_index(const void *left, const void *right)
{
    const uint32_t a = ((const struct odds_row *)left)->index;
    const uint32_t b = ((const struct odds_row *)right)->index;
    return a < b ? -1 : a > b;
}

static void add_term(struct odds_period *period, double drawn, double expected)
{
    period->chi_square += (drawn - expected) * (drawn - expected) / expected;
    period->terms++;
}

static void sum_chi_square(struct odds_period *period, const struct odds_row *rows, uint32_t count)
{
    enum { EXPECTED_MIN = 5 };
    double rare_drawn = 0;
    double rare_expected = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].expected >= EXPECTED_MIN) {
            add_term(period, (double)rows[i].drawn, rows[i].expected);
        } else {
            rare_drawn += (double)rows[i].drawn;
            rare_expected += rows[i].expected;
        }
    }
    if (rare_expected >= EXPECTED_MIN)
        add_term(period, rare_drawn, rare_expected);
}

static bool make_period_room(struct odds_stats *stats)
{
    if (stats->period_count < stats->period_room)
        return true;
    const uint32_t room = stats->period_room == 0 ? 16 : 2 * stats->period_room;
    struct odds_period *larger = realloc(stats->periods, room * sizeof *larger);
    if (larger == NULL)
        return false;
    stats->periods = larger;
    stats->period_room = room;
    return true;
}

/* Settles all items and fills a row for each. */
static void fill_rows(const struct odds_stats *stats, struct open_period *open, uint32_t pool_id,
                      struct odds_row *rows)
{
    for (uint32_t index = 0; index < open->items; index++) {
        rows[index] = (struct odds_row){.index = index, .drawn = open->drawn[index]};
        if (!open->has_expected)
            continue;
        settle(open, stats->state.pools[pool_id], index);
        rows[index].expected = open->expected[index];
    }
}

/* Of many rows those that stand out most, in the order of the catalog. */
static void keep_rows(struct odds_period *period, uint32_t rows_max)
{
    if (period->row_count <= rows_max)
        return;
    qsort(period->rows, period->row_count, sizeof *period->rows, compare_distance);
    qsort(period->rows, rows_max, sizeof *period->rows, compare_index);
    period->row_count = rows_max;
    struct odds_row *fewer = realloc(period->rows, (rows_max + 1) * sizeof *fewer);
    if (fewer != NULL)
        period->rows = fewer;
}

static enum urn_code end_period(struct odds_stats *stats, uint32_t pool_id, struct urn_error *error)
{
    struct open_period *open = &stats->open[pool_id];
    if (!open->is_open || open->draws == 0) {
        free_open(open);
        return URN_OK;
    }
    struct odds_row *rows = calloc(open->items + 1, sizeof *rows);
    if (rows == NULL || !make_period_room(stats)) {
        free(rows);
        return no_memory(error);
    }
    fill_rows(stats, open, pool_id, rows);
    struct odds_period *period = &stats->periods[stats->period_count++];
    *period = (struct odds_period){.pool_id = pool_id,
                                   .odds_version = open->odds_version,
                                   .from_lsn = open->from_lsn,
                                   .draws = open->draws,
                                   .failed = open->failed,
                                   .has_expected = open->has_expected,
                                   .items = open->items,
                                   .rows = rows,
                                   .row_count = open->items};
    if (period->has_expected)
        sum_chi_square(period, rows, open->items);
    keep_rows(period, stats->rows_max);
    free_open(open);
    return URN_OK;
}

enum urn_code odds_finish(struct odds_stats *stats, struct urn_error *error)
{
    for (uint32_t pool_id = 0; pool_id < stats->open_room; pool_id++)
        if (end_period(stats, pool_id, error) != URN_OK)
            return error->code;
    return URN_OK;
}

enum urn_code odds_break(struct odds_stats *stats, struct urn_error *error)
{
    const enum urn_code code = odds_finish(stats, error);
    drop_state(stats);
    return code;
}

void odds_anchor(struct odds_stats *stats, struct state *state)
{
    CHECK(!stats->has_state);
    stats->state = *state;
    stats->has_state = true;
}

bool odds_is_anchored(const struct odds_stats *stats)
{
    return stats->has_state;
}

/* ---- draws -------------------------------------------------------------------------------------------- */

static bool make_open(struct odds_stats *stats, uint32_t pool_id)
{
    if (pool_id < stats->open_room)
        return true;
    const uint32_t room = pool_id + 1 > 2 * stats->open_room ? pool_id + 1 : 2 * stats->open_room;
    struct open_period *larger = realloc(stats->open, room * sizeof *larger);
    if (larger == NULL)
        return false;
    memset(larger + stats->open_room, 0, (room - stats->open_room) * sizeof *larger);
    stats->open = larger;
    stats->open_room = room;
    return true;
}

/* One after the other, since an item may run out in between. False: the stock does not bear them. */
static bool take_each(struct open_period *open, struct urn_pool *pool, const uint32_t *outcomes,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const double weight = (double)pool_weight_in_stock(pool);
        struct urn_item item;
        if (pool_take_each(pool, &outcomes[i], 1) == 0)
            return false;
        open->drawn[outcomes[i]]++;
        open->exposure += 1 / weight;
        pool_item(pool, outcomes[i], &item);
        if (item.quantity == 0)
            settle(open, pool, outcomes[i]);
    }
    return true;
}

/* All at once, where none of them runs out by it. False: it has to be done one by one. */
static bool take_tally(struct open_period *open, struct urn_pool *pool, const uint32_t *tally,
                       uint32_t items, uint32_t count)
{
    const double weight = (double)pool_weight_in_stock(pool);
    for (uint32_t index = 0; index < items; index++) {
        struct urn_item item;
        if (tally[index] == 0)
            continue;
        if (index >= open->items)
            return false;
        pool_item(pool, index, &item);
        if (item.quantity != URN_UNLIMITED && item.quantity <= (int64_t)tally[index])
            return false;
    }
    if (!pool_take_tally(pool, tally, items))
        return false;
    for (uint32_t index = 0; index < items; index++)
        if (tally[index] > 0)
            open->drawn[index] += tally[index];
    open->exposure += count / weight;
    return true;
}

/* With a state. False: the stock does not bear these draws. */
static bool take_known(struct open_period *open, struct urn_pool *pool, const uint8_t *drawn,
                       uint32_t width, uint32_t count)
{
    enum { TOGETHER = 1024 };
    uint32_t outcomes[TOGETHER];
    uint32_t tally[TALLY_ITEMS_MAX];
    const bool tallies = open->items <= TALLY_ITEMS_MAX;
    for (uint32_t done = 0; done < count;) {
        const uint32_t some = count - done < TOGETHER ? count - done : TOGETHER;
        bool fits = tallies && some >= TALLY_RUN_MIN && some >= open->items / 2;
        wal_outcomes_unpack(drawn + (size_t)done * width, width, outcomes, some);
        if (fits)
            memset(tally, 0, open->items * sizeof *tally);
        for (uint32_t i = 0; i < some && fits; i++) {
            fits = outcomes[i] < open->items;
            if (fits)
                tally[outcomes[i]]++;
        }
        if (!(fits && take_tally(open, pool, tally, open->items, some)) &&
            !take_each(open, pool, outcomes, some))
            return false;
        done += some;
    }
    return true;
}

/* Without one: they are counted. False: there is no memory. */
static bool count_unknown(struct open_period *open, const uint8_t *drawn, uint32_t width,
                          uint32_t count)
{
    enum { TOGETHER = 1024 };
    uint32_t outcomes[TOGETHER];
    for (uint32_t done = 0; done < count;) {
        const uint32_t some = count - done < TOGETHER ? count - done : TOGETHER;
        wal_outcomes_unpack(drawn + (size_t)done * width, width, outcomes, some);
        for (uint32_t i = 0; i < some; i++) {
            if (outcomes[i] >= MAX_ITEMS_MAX)
                continue; /* no item can have it */
            if (outcomes[i] >= open->items) {
                if (!grow(open, outcomes[i] + 1))
                    return false;
                open->items = outcomes[i] + 1;
            }
            open->drawn[outcomes[i]]++;
        }
        done += some;
    }
    return true;
}

/* The stock is not what the log says: from here on it is not known. */
static enum urn_code lose_state(struct odds_stats *stats, struct urn_error *error)
{
    for (uint32_t pool_id = 0; pool_id < stats->open_room; pool_id++)
        if (stats->open[pool_id].is_open)
            stats->open[pool_id].has_expected = false;
    return odds_break(stats, error);
}

static enum urn_code take_draws(struct odds_stats *stats, uint64_t lsn,
                                const struct wal_entry *entry, struct urn_error *error)
{
    if (entry->pool_id >= MAX_POOLS_MAX)
        return URN_OK;
    if (!make_open(stats, entry->pool_id))
        return no_memory(error);
    if (stats->has_state &&
        (entry->pool_id >= stats->state.pool_count ||
         pool_odds_version(stats->state.pools[entry->pool_id]) != entry->odds_version) &&
        lose_state(stats, error) != URN_OK)
        return error->code;
    struct open_period *open = &stats->open[entry->pool_id];
    enum urn_code code = URN_OK;
    if (open->is_open && open->odds_version != entry->odds_version)
        code = end_period(stats, entry->pool_id, error);
    if (code == URN_OK && !open->is_open)
        code = begin_period(stats, entry->pool_id, entry->odds_version, lsn, error);
    if (code != URN_OK)
        return code;
    struct wal_outcome_cursor cursor;
    const uint8_t *drawn = NULL;
    uint32_t run = 0;
    open->draws += entry->draws;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next_run(&cursor, &drawn, &run)) {
        if (drawn == NULL) {
            open->failed += run;
        } else if (!open->has_expected) {
            if (!count_unknown(open, drawn, entry->width, run))
                return no_memory(error);
        } else if (!take_known(open, stats->state.pools[entry->pool_id], drawn, entry->width,
                               run)) {
            return lose_state(stats, error);
        }
    }
    return URN_OK;
}

/* ---- changes -------------------------------------------------------------------------------------------- */

static bool in_stock(const struct state *state, uint32_t pool_id, uint32_t index)
{
    struct urn_item item;
    if (pool_id >= state->pool_count || index >= pool_item_count(state->pools[pool_id]))
        return false;
    pool_item(state->pools[pool_id], index, &item);
    return item.quantity != 0;
}

/* Stock that comes and goes does not end a period; a new odds version does. */
static enum urn_code take_change(struct odds_stats *stats, const struct wal_change *change,
                                 struct urn_error *error)
{
    struct state *state = &stats->state;
    if (!stats->has_state)
        return URN_OK;
    struct open_period *open = change->pool_id < stats->open_room &&
                                       stats->open[change->pool_id].is_open &&
                                       stats->open[change->pool_id].has_expected
                                   ? &stats->open[change->pool_id]
                                   : NULL;
    const bool of_item = change->type == WAL_ENTRY_UPDATE;
    if (open != NULL && change->odds_version != open->odds_version) {
        const enum urn_code code = end_period(stats, change->pool_id, error);
        if (code != URN_OK)
            return code;
        open = NULL;
    }
    const bool was = of_item && in_stock(state, change->pool_id, change->index);
    struct urn_error ignored;
    const enum urn_code code = changes_apply(state, change, &ignored);
    if (code == URN_NOMEMORY)
        return no_memory(error);
    if (code != URN_OK)
        return lose_state(stats, error);
    if (open == NULL || !of_item || change->index >= open->items)
        return URN_OK;
    const bool is = in_stock(state, change->pool_id, change->index);
    if (was && !is)
        settle(open, state->pools[change->pool_id], change->index);
    else if (!was && is)
        open->since[change->index] = open->exposure;
    return URN_OK;
}

enum urn_code odds_take(struct odds_stats *stats, uint64_t lsn, const struct wal_entry *entry,
                        struct urn_error *error)
{
    if (entry->type == WAL_ENTRY_DRAWS)
        return take_draws(stats, lsn, entry, error);
    if (wal_entry_is_change(entry->type))
        return take_change(stats, &entry->change, error);
    return URN_OK;
}
