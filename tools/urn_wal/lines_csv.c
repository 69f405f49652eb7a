/* lines_csv.c: comma-separated values (RFC 4180, but for line feeds without carriage returns, as Unix
 * tools want them). A column that a line has no use for is empty. See lines.h. */
#include <string.h>

#include "tools/urn_wal/lines.h"
#include "tools/urn_wal/time_text.h"

static void csv_begin(struct printer *printer)
{
    output_text(printer->output,
                "type,request_id,pool,item_id,quantity,probability,odds_version,lsn,"
                "time");
    output_line_end(printer->output);
}

static void put_comma_number(struct output *output, uint64_t number)
{
    output_text(output, ",");
    output_number(output, number);
}

static void put_pool(struct printer *printer, uint32_t pool_id)
{
    struct urn_text name;
    if (names_pool(printer->names, pool_id, &name)) {
        output_text(printer->output, ",");
        output_csv_name(printer->output, name);
    } else {
        output_text(printer->output, ",#");
        output_number(printer->output, pool_id);
    }
}

static void put_item(struct printer *printer, uint32_t pool_id, uint32_t index)
{
    struct urn_text name;
    if (names_item(printer->names, pool_id, index, &name)) {
        output_text(printer->output, ",");
        output_csv_name(printer->output, name);
    } else {
        output_text(printer->output, ",#");
        output_number(printer->output, index);
    }
}

/* The last two columns. */
static void put_place(struct output *output, const struct wal_group_header *header)
{
    char time[TIME_TEXT_BYTES];
    time_text(header->wall_time_us, time);
    put_comma_number(output, header->lsn);
    output_text(output, ",");
    output_text(output, time);
    output_line_end(output);
}

/* all_columns: those too that only other lines fill, and the type before them. */
static void put_draws(struct printer *printer, const struct line_place *place,
                      const struct draw_batch *batch, bool all_columns)
{
    struct output *output = printer->output;
    /* What all draws of the batch end with. */
    char time[TIME_TEXT_BYTES];
    char end[100];
    time_text(place->header->wall_time_us, time);
    char *at = put_text(end, ",,,", all_columns ? 3 : 1);
    at = put_decimal(at, batch->entry->odds_version);
    at = put_text(at, ",", 1);
    at = put_decimal(at, place->header->lsn);
    at = put_text(at, ",", 1);
    at = put_text(at, time, TIME_TEXT_BYTES - 1);
    at = put_text(at, "\n", 1);
    const uint32_t end_bytes = (uint32_t)(at - end);

    for (uint32_t i = 0; i < batch->count; i++) {
        const uint32_t outcome = batch->outcomes[i];
        if (all_columns)
            output_text(output, outcome == URN_FAILED_DRAW ? "failed," : "draw,");
        output_number(output, batch->ids != NULL ? batch->ids[i] : batch->first_id + i);
        put_pool(printer, batch->entry->pool_id);
        if (outcome == URN_FAILED_DRAW)
            output_text(output, ",");
        else
            put_item(printer, batch->entry->pool_id, outcome);
        char *to = output_room(output, end_bytes);
        output_filled(output, put_text(to, end, end_bytes), true);
    }
}

static void csv_draws(struct printer *printer, const struct line_place *place,
                      const struct draw_batch *batch)
{
    put_draws(printer, place, batch, true);
}

static void csv_change(struct printer *printer, const struct line_place *place,
                       const struct wal_change *change)
{
    struct output *output = printer->output;
    const bool adds = change->type == WAL_ENTRY_ADD;
    output_text(output, change_type_text(change->type));
    output_text(output, ",");
    if (change->type == WAL_ENTRY_CREATE) {
        output_text(output, ",");
        output_csv_name(output, change->name);
    } else {
        put_pool(printer, change->pool_id);
    }
    if (adds) {
        output_text(output, ",");
        output_csv_name(output, change->name);
    } else if (change->type == WAL_ENTRY_UPDATE || change->type == WAL_ENTRY_APPLIED) {
        put_item(printer, change->pool_id, change->index);
    } else {
        output_text(output, ",");
    }
    output_text(output, ",");
    if ((adds || (change->flags & WAL_SETS_QUANTITY) != 0) && change->quantity == URN_UNLIMITED)
        output_text(output, "-1");
    else if (adds || (change->flags & WAL_SETS_QUANTITY) != 0)
        output_number(output, (uint64_t)change->quantity);
    output_text(output, ",");
    if (adds || change->type == WAL_ENTRY_APPLIED || (change->flags & WAL_SETS_WEIGHT) != 0)
        output_number(output, change->probability);
    put_comma_number(output, change->odds_version);
    put_place(output, place->header);
}

/* The highest id reserved stands where other lines have their id. */
static void csv_ids(struct printer *printer, const struct line_place *place,
                    uint64_t reserved_request_id)
{
    output_text(printer->output, "ids");
    put_comma_number(printer->output, reserved_request_id);
    output_text(printer->output, ",,,,,");
    put_place(printer->output, place->header);
}

static void csv_unknown(struct printer *printer, const struct line_place *place,
                        const struct wal_entry *entry)
{
    (void)entry;
    output_text(printer->output, "unknown,,,,,,");
    put_place(printer->output, place->header);
}

static void csv_group(struct printer *printer, const struct line_place *place, bool hex)
{
    (void)hex; /* refused with the command line */
    output_text(printer->output, group_kind_text(place->header->kind));
    put_comma_number(printer->output, place->header->first_request_id);
    output_text(printer->output, ",,,,,");
    put_place(printer->output, place->header);
}

static void csv_snapshot(struct printer *printer, const struct history_snapshot *snapshot)
{
    output_text(printer->output, "snapshot,,,,,,");
    put_comma_number(printer->output, snapshot->id.lsn);
    output_text(printer->output, ",");
    output_line_end(printer->output);
}

/* ---- draws only ------------------------------------------------------------------------------- */

static void only_begin(struct printer *printer)
{
    output_text(printer->output, "request_id,pool,item_id,odds_version,lsn,time");
    output_line_end(printer->output);
}

static void only_draws(struct printer *printer, const struct line_place *place,
                       const struct draw_batch *batch)
{
    put_draws(printer, place, batch, false);
}

const struct line_format lines_csv_draws = {.begin = only_begin, .draws = only_draws};

const struct line_format lines_csv = {
    .begin = csv_begin,
    .draws = csv_draws,
    .change = csv_change,
    .ids = csv_ids,
    .unknown = csv_unknown,
    .group = csv_group,
    .snapshot = csv_snapshot,
};
