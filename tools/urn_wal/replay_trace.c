/* replay_trace.c: what each entry did to the state. See replay_print.h. */
#include <stdlib.h>
#include <string.h>

#include "tools/urn_wal/lines.h"
#include "tools/urn_wal/replay_print.h"
#include "tools/urn_wal/snapshot_lines.h"

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void put_quantity(struct output *output, const char *name, int64_t quantity)
{
    output_text(output, name);
    if (quantity == URN_UNLIMITED)
        output_text(output, "-1");
    else
        output_number(output, (uint64_t)quantity);
}

static bool is_text(struct urn_text name, const char *wanted)
{
    return wanted == NULL ||
           (strlen(wanted) == name.length && memcmp(wanted, name.bytes, name.length) == 0);
}

/* ---- items and pools ------------------------------------------------------------------------------ */

#define NOTHING_TAKEN UINT32_MAX

/* first: of the entry's items, in JSON. taken: NOTHING_TAKEN where the entry is no draw. */
static void put_item(struct replay_trace *trace, const struct urn_pool *pool, uint32_t index,
                     uint32_t taken, bool first)
{
    struct output *output = trace->output;
    struct urn_item item;
    pool_item(pool, index, &item);
    if (trace->json) {
        output_text(output, first ? "{\"item_id\":" : ",{\"item_id\":");
        output_json_name(output, pool_item_id(pool, index));
        put_field(output, ",\"index\":", index);
        put_quantity(output, ",\"quantity\":", item.quantity);
        put_field(output, ",\"probability\":", item.probability);
        put_field(output, ",\"drawn\":", item.drawn);
        if (taken != NOTHING_TAKEN)
            put_field(output, ",\"taken\":", taken);
        output_text(output, "}");
        return;
    }
    output_text(output, "    ITEM ");
    output_name(output, pool_name(pool));
    output_text(output, " ");
    output_name(output, pool_item_id(pool, index));
    put_quantity(output, " quantity=", item.quantity);
    put_field(output, " probability=", item.probability);
    put_field(output, " drawn=", item.drawn);
    if (taken != NOTHING_TAKEN)
        put_field(output, " taken=", taken);
    output_line_end(output);
}

static void put_pool(struct replay_trace *trace, const struct urn_pool *pool)
{
    struct output *output = trace->output;
    if (trace->json) {
        output_text(output, ",\"phase\":\"");
        output_text(output, pool_phase_text(pool));
        put_field(output, "\",\"total\":", pool_item_count(pool));
        return;
    }
    output_text(output, "    POOL ");
    output_name(output, pool_name(pool));
    output_text(output, " ");
    output_text(output, pool_phase_text(pool));
    put_field(output, " odds_version=", pool_odds_version(pool));
    put_field(output, " items=", pool_item_count(pool));
    output_line_end(output);
}

/* ---- draws ---------------------------------------------------------------------------------------- */

static bool make_room(struct replay_trace *trace, uint32_t items, uint32_t draws)
{
    const uint32_t touched = draws < items ? draws : items;
    if (items > trace->tally_room) {
        free(trace->tally);
        trace->tally = calloc(items, sizeof *trace->tally);
        trace->tally_room = trace->tally != NULL ? items : 0;
    }
    if (touched > trace->touched_room) {
        free(trace->touched);
        trace->touched = malloc(touched * sizeof *trace->touched);
        trace->touched_room = trace->touched != NULL ? touched : 0;
    }
    trace->no_memory = trace->tally_room < items || trace->touched_room < touched;
    return !trace->no_memory;
}

static int compare_indexes(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* How often each item was drawn in the first so many draws of the entry: in tally. Returns how many items
 * there are in touched, in index order. */
static uint32_t count_outcomes(struct replay_trace *trace, const struct wal_entry *entry,
                               uint32_t draws, uint32_t *failed)
{
    struct wal_outcome_cursor cursor;
    uint32_t count = 0;
    uint32_t outcome = 0;
    uint32_t run = 0;
    *failed = 0;
    wal_outcomes_begin(entry, &cursor);
    for (uint32_t done = 0; done < draws && wal_outcomes_next(&cursor, &outcome, &run);
         done += run) {
        if (outcome == URN_FAILED_DRAW)
            *failed += run < draws - done ? run : draws - done;
        else if (trace->tally[outcome]++ == 0)
            trace->touched[count++] = outcome;
    }
    qsort(trace->touched, count, sizeof *trace->touched, compare_indexes);
    return count;
}

static void put_draws(struct replay_trace *trace, const struct wal_group_header *header,
                      const struct urn_pool *pool, const struct wal_entry *entry, uint64_t first_id,
                      uint32_t draws, uint32_t failed)
{
    struct output *output = trace->output;
    if (trace->json) {
        put_field(output, "{\"type\":\"draws\",\"lsn\":", header->lsn);
        put_field(output, ",\"first_request_id\":", first_id);
        put_field(output, ",\"draws\":", draws);
        put_field(output, ",\"failed\":", failed);
        output_text(output, ",\"pool\":");
        output_json_name(output, pool_name(pool));
        put_field(output, ",\"odds_version\":", entry->odds_version);
        output_text(output, ",\"items\":[");
        return;
    }
    put_field(output, "DRAWS ", header->lsn);
    put_field(output, " ", first_id);
    put_field(output, "-", first_id + draws - 1);
    output_text(output, " ");
    output_name(output, pool_name(pool));
    put_field(output, " odds_version=", entry->odds_version);
    put_field(output, " failed=", failed);
    output_line_end(output);
}

static void trace_draws(struct replay_trace *trace, const struct urn_pool *pool,
                        const struct wal_group_header *header, const struct wal_entry *entry,
                        uint64_t first_id, uint32_t draws)
{
    uint32_t failed = 0;
    uint32_t index = 0;
    if (!make_room(trace, pool_item_count(pool), draws))
        return;
    const uint32_t count = count_outcomes(trace, entry, draws, &failed);
    const bool finds =
        trace->item != NULL && pool_find(pool, trace->item, (uint32_t)strlen(trace->item), &index);
    if (trace->item == NULL || (finds && trace->tally[index] > 0)) {
        bool first = true;
        put_draws(trace, header, pool, entry, first_id, draws, failed);
        for (uint32_t i = 0; i < count; i++) {
            if (trace->item != NULL && trace->touched[i] != index)
                continue;
            put_item(trace, pool, trace->touched[i], trace->tally[trace->touched[i]], first);
            first = false;
        }
        if (trace->json) {
            output_text(trace->output, "]}");
            output_line_end(trace->output);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        trace->tally[trace->touched[i]] = 0;
}

/* ---- changes -------------------------------------------------------------------------------------- */

/* "UPDATE 8192", or the begin of its object; the rest of the line is to come. */
static void put_kind(struct replay_trace *trace, const char *kind, uint64_t lsn)
{
    struct output *output = trace->output;
    if (trace->json) {
        output_text(output, "{\"type\":\"");
        output_text(output, kind);
        put_field(output, "\",\"lsn\":", lsn);
        return;
    }
    char *to = output_room(output, 16);
    for (; *kind != 0; kind++)
        *to++ = (char)(*kind - 'a' + 'A');
    output_filled(output, to, false);
    put_field(output, " ", lsn);
}

static void end_object(const struct replay_trace *trace)
{
    if (!trace->json)
        return;
    output_text(trace->output, "}");
    output_line_end(trace->output);
}

static void trace_change(struct replay_trace *trace, const struct urn_pool *pool,
                         const struct wal_group_header *header, const struct wal_change *change)
{
    struct output *output = trace->output;
    const bool of_item = change->type == WAL_ENTRY_UPDATE || change->type == WAL_ENTRY_ADD ||
                         change->type == WAL_ENTRY_APPLIED;
    if (trace->item != NULL &&
        (!of_item || !is_text(pool_item_id(pool, change->index), trace->item)))
        return;
    put_kind(trace, change_type_text(change->type), header->lsn);
    output_text(output, trace->json ? ",\"pool\":" : " ");
    if (trace->json)
        output_json_name(output, pool_name(pool));
    else
        output_name(output, pool_name(pool));
    if (of_item && !trace->json) {
        output_text(output, " ");
        output_name(output, pool_item_id(pool, change->index));
    }
    put_field(output, trace->json ? ",\"odds_version\":" : " odds_version=", change->odds_version);
    if (!trace->json)
        output_line_end(output);
    else if (of_item)
        output_text(output, ",\"items\":[");
    if (of_item)
        put_item(trace, pool, change->index, NOTHING_TAKEN, true);
    else
        put_pool(trace, pool);
    if (trace->json && of_item)
        output_text(output, "]");
    end_object(trace);
}

/* An entry that touches no pool: a number that the state has from here on. */
static void trace_number(struct replay_trace *trace, const char *kind, uint64_t lsn,
                         const char *name, const char *json_name, uint64_t number)
{
    if (trace->pool != NULL || trace->item != NULL)
        return;
    put_kind(trace, kind, lsn);
    put_field(trace->output, trace->json ? json_name : name, number);
    if (!trace->json)
        output_line_end(trace->output);
    end_object(trace);
}

/* ---- the visit ------------------------------------------------------------------------------------ */

void replay_trace_visit(void *context, const struct state *state,
                        const struct wal_group_header *header, const struct wal_entry *entry,
                        uint64_t first_request_id, uint32_t draws)
{
    struct replay_trace *trace = context;
    if (trace->no_memory || output_failed(trace->output))
        return;
    if (entry->type == WAL_ENTRY_EPOCH) {
        trace_number(trace, "epoch", header->lsn,
                     " next_request_id=", ",\"next_request_id\":", entry->next_request_id);
        return;
    }
    if (entry->type == WAL_ENTRY_IDS) {
        trace_number(trace, "ids", header->lsn,
                     " reserved_up_to=", ",\"reserved_up_to\":", entry->reserved_request_id);
        return;
    }
    const uint32_t pool_id =
        entry->type == WAL_ENTRY_DRAWS ? entry->pool_id : entry->change.pool_id;
    const struct urn_pool *pool = state->pools[pool_id]; /* the entry has been applied to it */
    if (!is_text(pool_name(pool), trace->pool))
        return;
    if (entry->type == WAL_ENTRY_DRAWS)
        trace_draws(trace, pool, header, entry, first_request_id, draws);
    else
        trace_change(trace, pool, header, &entry->change);
}

void replay_trace_end(struct replay_trace *trace)
{
    free(trace->tally);
    free(trace->touched);
    trace->tally = trace->touched = NULL;
    trace->tally_room = trace->touched_room = 0;
}
