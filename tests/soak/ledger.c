/* ledger.c: see ledger.h. */
#include "tests/soak/ledger.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

void ledger_begin(struct ledger *ledger)
{
    *ledger = (struct ledger){.range_count = 0};
    ledger->ranges = calloc(LEDGER_RANGES_MAX, sizeof *ledger->ranges);
    CHECK(ledger->ranges != NULL);
    for (uint32_t i = 0; i < LEDGER_POOLS_MAX; i++) {
        ledger->pools[i].drawn = calloc(LEDGER_ITEMS_MAX, sizeof *ledger->pools[i].drawn);
        CHECK(ledger->pools[i].drawn != NULL);
    }
}

void ledger_end(struct ledger *ledger)
{
    for (uint32_t i = 0; i < LEDGER_POOLS_MAX; i++)
        free(ledger->pools[i].drawn);
    free(ledger->ranges);
}

bool ledger_violated(struct ledger *ledger, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(ledger->violation, sizeof ledger->violation, format, arguments);
    va_end(arguments);
    return false;
}

/* How many ranges begin at or below id. */
static uint32_t ranges_from_below(const struct ledger *ledger, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = ledger->range_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ledger->ranges[middle].first <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Answers come nearly in the order of their ids: what has to move lies at the end. */
static bool insert_range(struct ledger *ledger, uint32_t at, struct id_range range)
{
    CHECK(ledger->ranges != NULL && at <= ledger->range_count);
    if (ledger->range_count == LEDGER_RANGES_MAX)
        return ledger_violated(ledger, "more than %u gaps between the ids", LEDGER_RANGES_MAX);
    memmove(ledger->ranges + at + 1, ledger->ranges + at,
            (ledger->range_count - at) * sizeof *ledger->ranges);
    ledger->ranges[at] = range;
    ledger->range_count++;
    if (ledger->range_count > ledger->range_count_max)
        ledger->range_count_max = ledger->range_count;
    return true;
}

static void remove_range(struct ledger *ledger, uint32_t at)
{
    ledger->range_count--;
    memmove(ledger->ranges + at, ledger->ranges + at + 1,
            (ledger->range_count - at) * sizeof *ledger->ranges);
}

bool ledger_take_ids(struct ledger *ledger, uint64_t first_id, uint32_t count)
{
    uint64_t end_id = first_id + count;
    uint32_t next = ranges_from_below(ledger, first_id);
    struct id_range *before = next > 0 ? &ledger->ranges[next - 1] : NULL;
    struct id_range *behind = next < ledger->range_count ? &ledger->ranges[next] : NULL;
    if (first_id == 0)
        return ledger_violated(ledger, "a draw has the id 0");
    if ((before != NULL && before->end > first_id) || (behind != NULL && behind->first < end_id))
        return ledger_violated(ledger, "ids %" PRIu64 " to %" PRIu64 " were given twice", first_id,
                               end_id - 1);
    bool joins_before = before != NULL && before->end == first_id;
    bool joins_behind = behind != NULL && behind->first == end_id;
    if (joins_before) {
        before->end = joins_behind ? behind->end : end_id;
        if (joins_behind)
            remove_range(ledger, next);
        return true;
    }
    if (joins_behind) {
        behind->first = first_id;
        return true;
    }
    return insert_range(ledger, next, (struct id_range){first_id, end_id});
}

/* Draws with higher ids have no lower odds version. */
static bool take_odds_version(struct ledger *ledger, const struct ledger_answer *answer)
{
    struct ledger_pool *pool = &ledger->pools[answer->pool];
    bool is_newer = answer->first_id > pool->newest_id;
    if (pool->newest_id != 0 && answer->odds_version != pool->newest_odds_version &&
        (answer->odds_version > pool->newest_odds_version) != is_newer)
        return ledger_violated(ledger,
                               "%s: the draw with id %" PRIu64 " has odds version %" PRIu64
                               ", the one with id %" PRIu64 " has %" PRIu64,
                               pool->name, answer->first_id, answer->odds_version, pool->newest_id,
                               pool->newest_odds_version);
    if (is_newer) {
        pool->newest_id = answer->first_id;
        pool->newest_odds_version = answer->odds_version;
    }
    return true;
}

bool ledger_take_answer(struct ledger *ledger, const struct ledger_answer *answer)
{
    CHECK(answer->pool < ledger->pool_count && answer->count > 0);
    const char *name = ledger->pools[answer->pool].name;
    if (answer->first_id <= answer->floor_id)
        return ledger_violated(ledger,
                               "%s: id %" PRIu64 " was given to a draw that was sent when %" PRIu64
                               " was known",
                               name, answer->first_id, answer->floor_id);
    if (answer->failed > answer->count || (answer->all && answer->failed > 0))
        return ledger_violated(ledger, "%s: %u of %u draws failed%s, id %" PRIu64, name,
                               answer->failed, answer->count,
                               answer->all ? " where none might" : "", answer->first_id);
    ledger->pools[answer->pool].failed += answer->failed;
    ledger->requests++;
    ledger->draws += answer->count;
    return take_odds_version(ledger, answer) &&
           ledger_take_ids(ledger, answer->first_id, answer->count);
}

bool ledger_take_outcome(struct ledger *ledger, uint32_t pool, uint64_t index, uint64_t times)
{
    CHECK(pool < ledger->pool_count);
    if (index >= LEDGER_ITEMS_MAX)
        return ledger_violated(ledger, "%s: there is no item %" PRIu64, ledger->pools[pool].name,
                               index);
    ledger->pools[pool].drawn[index] += times;
    return true;
}

void ledger_take_doubt(struct ledger *ledger, uint32_t pool, uint32_t count)
{
    CHECK(pool < ledger->pool_count);
    ledger->pools[pool].requests_in_doubt++;
    ledger->pools[pool].draws_in_doubt += count;
}

uint64_t ledger_highest_id(const struct ledger *ledger)
{
    return ledger->range_count == 0 ? 0 : ledger->ranges[ledger->range_count - 1].end - 1;
}
