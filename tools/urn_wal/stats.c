/* stats.c: the counting. stats_report.c does the telling. */
#include "tools/urn_wal/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/break_text.h"

const char *const stats_type_names[STATS_TYPES] = {
    [STATS_DRAWS] = "draws",
    [STATS_UPDATE] = "update",
    [STATS_ADD] = "add",
    [STATS_CREATE] = "create",
    [STATS_OPEN] = "open",
    [STATS_CLOSE] = "close",
    [STATS_APPLIED] = "applied",
    [STATS_IDS] = "ids",
    [STATS_UNKNOWN] = "unknown",
    [STATS_EPOCHS] = "epoch groups",
    [STATS_GROUP_HEADERS] = "group headers",
    [STATS_ZERO_FILL] = "zero fill",
    [STATS_PADS] = "pads",
    [STATS_MARKS] = "marks",
    [STATS_SEGMENT_HEADERS] = "segment headers",
};

_Static_assert(STATS_APPLIED - STATS_UPDATE == WAL_ENTRY_APPLIED - WAL_ENTRY_UPDATE,
               "types stand in the order of the entry types");

/* The collecting. */
struct collection {
    struct history *history;
    struct stats *stats;
    struct walk walk;
    FILE *notes;
    bool met_group;
    bool has_pause; /* the group before has a time to measure from */
    uint64_t engine_time_us;
};

static void count(struct stats *stats, enum stats_type type, uint64_t bytes)
{
    stats->types[type].count++;
    stats->types[type].bytes += bytes;
}

static void histogram_add(struct histogram *histogram, uint64_t value)
{
    uint32_t bucket = 0;
    while (bucket + 1 < HISTOGRAM_BUCKETS && value >> (bucket + 1) != 0)
        bucket++;
    histogram->counts[bucket]++;
    histogram->values++;
}

/* ---- entries --------------------------------------------------------------------------------------- */

static struct stats_pool *pool_at(struct stats *stats, uint32_t pool_id)
{
    if (pool_id >= MAX_POOLS_MAX)
        return NULL;
    if (pool_id >= stats->pool_count) {
        const uint32_t wanted = pool_id + 1;
        struct stats_pool *larger = realloc(stats->pools, wanted * sizeof *larger);
        if (larger == NULL)
            return NULL;
        memset(larger + stats->pool_count, 0, (wanted - stats->pool_count) * sizeof *larger);
        stats->pools = larger;
        stats->pool_count = wanted;
    }
    return &stats->pools[pool_id];
}

static uint64_t failed_draws(const struct wal_entry *entry)
{
    struct wal_outcome_cursor cursor;
    const uint8_t *drawn = NULL;
    uint32_t run = 0;
    uint64_t failed = 0;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next_run(&cursor, &drawn, &run))
        failed += drawn == NULL ? run : 0;
    return failed;
}

static void count_entry(struct stats *stats, const struct wal_entry *entry)
{
    struct stats_pool *pool = NULL;
    switch (entry->type) {
    case WAL_ENTRY_DRAWS:
        count(stats, STATS_DRAWS, entry->length_bytes);
        stats->failed += failed_draws(entry);
        pool = pool_at(stats, entry->pool_id);
        if (pool != NULL) {
            pool->draws += entry->draws;
            pool->failed += failed_draws(entry);
            pool->entries++;
            pool->bytes += entry->length_bytes;
        }
        return;
    case WAL_ENTRY_EPOCH:
        count(stats, STATS_EPOCHS, entry->length_bytes);
        return;
    case WAL_ENTRY_IDS:
        count(stats, STATS_IDS, entry->length_bytes);
        return;
    default:
        break;
    }
    if (!wal_entry_is_change(entry->type)) {
        count(stats, STATS_UNKNOWN, entry->length_bytes);
        return;
    }
    count(stats, (enum stats_type)(STATS_UPDATE + (entry->type - WAL_ENTRY_UPDATE)),
          entry->length_bytes);
    pool = pool_at(stats, entry->pool_id);
    if (pool != NULL)
        pool->changes++;
}

/* ---- groups ---------------------------------------------------------------------------------------- */

static enum urn_code take_entries(struct collection *collection, struct urn_error *error)
{
    const struct scan_item *item = &collection->walk.item;
    struct stats *stats = collection->stats;
    struct wal_entry entry;
    uint32_t offset = 0;
    uint32_t end = WAL_GROUP_HEADER_BYTES;
    while (wal_entry_next(item->bytes, &item->header, &offset, &entry) == WAL_READ_OK) {
        count_entry(stats, &entry);
        if (odds_take(&stats->odds, item->header.lsn, &entry, error) != URN_OK)
            return error->code;
        end = offset;
    }
    if (item->header.kind == WAL_DATA)
        stats->types[STATS_ZERO_FILL].bytes += item->header.length_bytes - end;
    return URN_OK;
}

static void take_pause(struct collection *collection, const struct wal_group_header *header)
{
    struct stats *stats = collection->stats;
    if (collection->has_pause && header->engine_time_us >= collection->engine_time_us) {
        const uint64_t pause_us = header->engine_time_us - collection->engine_time_us;
        histogram_add(&stats->pause_us, pause_us);
        if (pause_us > stats->longest_pause_us) {
            stats->longest_pause_us = pause_us;
            stats->longest_pause_lsn = header->lsn;
        }
    }
    collection->has_pause = true;
    collection->engine_time_us = header->engine_time_us;
}

static void take_time(struct stats *stats, const struct wal_group_header *header)
{
    if (header->wall_time_us < stats->first_time_us || stats->timeline_us == 0)
        return;
    const uint64_t cell = (header->wall_time_us - stats->first_time_us) / stats->timeline_us;
    stats->timeline[cell < TIMELINE_CELLS ? cell : TIMELINE_CELLS - 1] += header->draws;
}

/* The first snapshot that the log comes to without a state, and whose chain is the log's. */
static enum urn_code try_anchor(struct collection *collection, uint64_t lsn, const uint8_t *chain,
                                struct urn_error *error)
{
    const struct history *history = collection->history;
    for (uint32_t which = 0; which < history->snapshot_count; which++) {
        struct state state;
        if (history->snapshots[which].id.lsn != lsn)
            continue;
        const enum urn_code code = history_load(history, which, &state, error);
        if (code == URN_NOMEMORY)
            return code;
        if (code != URN_OK)
            continue;
        if (memcmp(state.tail.chain, chain, WAL_CHAIN_BYTES) == 0) {
            odds_anchor(&collection->stats->odds, &state);
            return URN_OK;
        }
        state_free(&state);
    }
    return URN_OK;
}

static enum urn_code take_group(struct collection *collection, struct urn_error *error)
{
    const struct wal_group_header *header = &collection->walk.item.header;
    const uint64_t begin_lsn = collection->walk.item.segment->begin_lsn;
    struct stats *stats = collection->stats;
    if (!odds_is_anchored(&stats->odds) && header->lsn - begin_lsn == WAL_SEGMENT_HEADER_BYTES &&
        try_anchor(collection, begin_lsn, header->chain_before, error) != URN_OK)
        return error->code;
    if (!odds_is_anchored(&stats->odds) &&
        try_anchor(collection, header->lsn, header->chain_before, error) != URN_OK)
        return error->code;
    if (!collection->met_group) {
        stats->first_lsn = header->lsn;
        stats->first_id = header->first_request_id;
    }
    collection->met_group = true;
    stats->next_id = header->first_request_id + header->draws;
    count(stats, STATS_GROUP_HEADERS, WAL_GROUP_HEADER_BYTES);
    if (header->kind == WAL_PAD || header->kind == WAL_MARK)
        count(stats, header->kind == WAL_PAD ? STATS_PADS : STATS_MARKS,
              header->length_bytes - WAL_GROUP_HEADER_BYTES);
    if (header->kind == WAL_EPOCH)
        collection->has_pause = false; /* a server was not there meanwhile */
    if (header->kind == WAL_DATA) {
        stats->groups++;
        stats->draws += header->draws;
        histogram_add(&stats->group_bytes, header->length_bytes);
        histogram_add(&stats->group_draws, header->draws);
        take_pause(collection, header);
        take_time(stats, header);
    }
    return take_entries(collection, error);
}

static void tell_break(struct collection *collection)
{
    const struct walk_break *gap = &collection->walk.gap;
    char what[BREAK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    break_text(collection->history, gap, 0, 0, what);
    (void)fprintf(collection->notes, "urn-wal: LSN %" PRIu64 " (%s): %s\n", gap->from_lsn,
                  history_place(collection->history, gap->from_lsn, place), what);
    if (break_is_known_gap(gap))
        return;
    if (gap->kind == WALK_OVERWRITTEN || break_is_missing_file(collection->history, gap))
        collection->stats->missing = true;
    else
        collection->stats->damaged = true;
}

static enum urn_code collect(struct collection *collection, struct urn_error *error)
{
    struct stats *stats = collection->stats;
    for (;;) {
        enum urn_code code = URN_OK;
        switch (walk_next(&collection->walk, error)) {
        case WALK_GROUP:
            code = take_group(collection, error);
            break;
        case WALK_SEGMENT:
            count(stats, STATS_SEGMENT_HEADERS, WAL_SEGMENT_HEADER_BYTES);
            break;
        case WALK_BREAK:
            tell_break(collection);
            collection->has_pause = false;
            if (!collection->walk.gap.header_page)
                code = odds_break(&stats->odds, error);
            break;
        case WALK_END:
            stats->end_lsn = collection->walk.tail.lsn;
            return odds_finish(&stats->odds, error);
        case WALK_ERROR:
            return error->code;
        }
        if (code != URN_OK)
            return code;
    }
}

/* ---- the scale of the timeline --------------------------------------------------------------------- */

struct span {
    bool found;
    uint64_t first_us, last_us;
};

static bool note_time(void *context, const struct wal_group_header *header)
{
    struct span *span = context;
    if (!span->found || header->wall_time_us < span->first_us)
        span->first_us = header->wall_time_us;
    if (!span->found || header->wall_time_us > span->last_us)
        span->last_us = header->wall_time_us;
    span->found = true;
    return true;
}

static bool note_first_time(void *context, const struct wal_group_header *header)
{
    (void)note_time(context, header);
    return false;
}

/* From when until when: the first groups of all segments, and all of the newest. */
static enum urn_code find_span(const struct history *history, struct stats *stats,
                               struct urn_error *error)
{
    struct span span = {.found = false};
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; code == URN_OK && i < history->log_count; i++)
        code = history_search(history, &history->segments[i], WAL_SEGMENT_HEADER_BYTES,
                              i + 1 < history->log_count ? note_first_time : note_time, &span, NULL,
                              error);
    stats->has_times = span.found;
    stats->first_time_us = span.first_us;
    stats->last_time_us = span.last_us;
    stats->timeline_us = (span.last_us - span.first_us) / TIMELINE_CELLS + 1;
    return code;
}

enum urn_code stats_collect(struct history *history, uint32_t rows_max, FILE *notes,
                            struct stats *stats, struct urn_error *error)
{
    *stats = (struct stats){.first_lsn = 0};
    odds_begin(&stats->odds, rows_max);
    struct collection collection = {.history = history, .stats = stats, .notes = notes};
    enum urn_code code = find_span(history, stats, error);
    if (code == URN_OK)
        code = walk_begin(history, 0, UINT64_MAX, 0, SCAN_CHECKSUMS, &collection.walk, error);
    if (code == URN_OK)
        code = collect(&collection, error);
    walk_end(&collection.walk);
    if (code != URN_OK)
        stats_free(stats);
    return code;
}

void stats_free(struct stats *stats)
{
    free(stats->pools);
    stats->pools = NULL;
    odds_end(&stats->odds);
}
