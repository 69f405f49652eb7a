/* lines_json.c: an object a line. See lines.h. */
#include <string.h>

#include "tools/urn_wal/lines.h"
#include "tools/urn_wal/time_text.h"

static void put_member(struct output *output, const char *begin, uint64_t number)
{
    output_text(output, begin);
    output_number(output, number);
}

static void put_pool(struct printer *printer, uint32_t pool_id)
{
    struct urn_text name;
    if (names_pool(printer->names, pool_id, &name)) {
        output_text(printer->output, ",\"pool\":");
        output_json_name(printer->output, name);
    } else {
        put_member(printer->output, ",\"pool_number\":", pool_id);
    }
}

static void put_item(struct printer *printer, uint32_t pool_id, uint32_t index)
{
    struct urn_text name;
    if (names_item(printer->names, pool_id, index, &name)) {
        output_text(printer->output, ",\"item_id\":");
        output_json_name(printer->output, name);
    } else {
        put_member(printer->output, ",\"item_number\":", index);
    }
}

/* What every object ends with. */
static void put_place(struct output *output, const struct line_place *place)
{
    char time[TIME_TEXT_BYTES];
    time_text(place->header->wall_time_us, time);
    put_member(output, ",\"lsn\":", place->header->lsn);
    output_text(output, ",\"time\":\"");
    output_text(output, time);
    output_text(output, "\"");
}

static void end_object(struct output *output)
{
    output_text(output, "}");
    output_line_end(output);
}

static void json_draws(struct printer *printer, const struct line_place *place,
                       const struct draw_batch *batch)
{
    struct output *output = printer->output;
    const struct wal_entry *entry = batch->entry;
    /* What all draws of the batch end with. */
    char time[TIME_TEXT_BYTES];
    char end[160];
    time_text(place->header->wall_time_us, time);
    char *at = put_text(end, ",\"odds_version\":", 16);
    at = put_decimal(at, entry->odds_version);
    at = put_text(at, ",\"lsn\":", 7);
    at = put_decimal(at, place->header->lsn);
    at = put_text(at, ",\"time\":\"", 9);
    at = put_text(at, time, TIME_TEXT_BYTES - 1);
    at = put_text(at, "\"}\n", 3);
    const uint32_t end_bytes = (uint32_t)(at - end);

    for (uint32_t i = 0; i < batch->count; i++) {
        put_member(output, "{\"type\":\"draw\",\"request_id\":",
                   batch->ids != NULL ? batch->ids[i] : batch->first_id + i);
        put_pool(printer, entry->pool_id);
        if (batch->outcomes[i] == URN_FAILED_DRAW)
            output_text(output, ",\"item_id\":null");
        else
            put_item(printer, entry->pool_id, batch->outcomes[i]);
        char *to = output_room(output, end_bytes);
        memcpy(to, end, end_bytes);
        output_filled(output, to + end_bytes, true);
    }
}

static void json_change(struct printer *printer, const struct line_place *place,
                        const struct wal_change *change)
{
    struct output *output = printer->output;
    const bool adds = change->type == WAL_ENTRY_ADD;
    output_text(output, "{\"type\":\"");
    output_text(output, change_type_text(change->type));
    output_text(output, "\"");
    if (change->type == WAL_ENTRY_CREATE) {
        output_text(output, ",\"pool\":");
        output_json_name(output, change->name);
    } else {
        put_pool(printer, change->pool_id);
    }
    if (adds) {
        output_text(output, ",\"item_id\":");
        output_json_name(output, change->name);
    } else if (change->type == WAL_ENTRY_UPDATE || change->type == WAL_ENTRY_APPLIED) {
        put_item(printer, change->pool_id, change->index);
    }
    if ((adds || (change->flags & WAL_SETS_QUANTITY) != 0) && change->quantity == URN_UNLIMITED)
        output_text(output, ",\"quantity\":-1");
    else if (adds || (change->flags & WAL_SETS_QUANTITY) != 0)
        put_member(output, ",\"quantity\":", (uint64_t)change->quantity);
    if (adds || change->type == WAL_ENTRY_APPLIED || (change->flags & WAL_SETS_WEIGHT) != 0)
        put_member(output, ",\"probability\":", change->probability);
    put_member(output, ",\"odds_version\":", change->odds_version);
    if ((change->flags & WAL_FROM_FILE) != 0)
        output_text(output, ",\"from\":\"file\"");
    put_place(output, place);
    end_object(output);
}

static void json_ids(struct printer *printer, const struct line_place *place,
                     uint64_t reserved_request_id)
{
    put_member(printer->output, "{\"type\":\"ids\",\"reserved_up_to\":", reserved_request_id);
    put_place(printer->output, place);
    end_object(printer->output);
}

static void json_unknown(struct printer *printer, const struct line_place *place,
                         const struct wal_entry *entry)
{
    struct output *output = printer->output;
    put_member(output, "{\"type\":\"unknown\",\"entry_type\":", entry->type);
    output_text(output, ",\"hex\":\"");
    output_hex(output, place->group + entry->offset, entry->length_bytes);
    output_text(output, "\"");
    put_place(output, place);
    end_object(output);
}

static void json_group(struct printer *printer, const struct line_place *place, bool hex)
{
    struct output *output = printer->output;
    const struct wal_group_header *header = place->header;
    output_text(output, "{\"type\":\"");
    output_text(output, group_kind_text(header->kind));
    put_member(output, "\",\"length\":", header->length_bytes);
    put_member(output, ",\"durable_lsn\":", header->durable_lsn);
    put_member(output, ",\"epoch\":", header->epoch);
    put_member(output, ",\"draws\":", header->draws);
    put_member(output, ",\"first_request_id\":", header->first_request_id);
    put_member(output, ",\"engine_time_us\":", header->engine_time_us);
    output_text(output, ",\"chain\":\"");
    output_hex(output, header->chain_after, WAL_CHAIN_BYTES);
    output_text(output, "\"");
    put_place(output, place);
    if (hex) {
        output_text(output, ",\"hex\":\"");
        output_hex(output, place->group, header->length_bytes);
        output_text(output, "\"");
    }
    end_object(output);
}

static void json_snapshot(struct printer *printer, const struct history_snapshot *snapshot)
{
    struct output *output = printer->output;
    output_text(output, "{\"type\":\"snapshot\",\"file\":");
    output_json_name(output, (struct urn_text){snapshot->name, (uint32_t)strlen(snapshot->name)});
    put_member(output, ",\"lsn\":", snapshot->id.lsn);
    end_object(output);
}

static void json_begin(struct printer *printer)
{
    (void)printer;
}

const struct line_format lines_json = {
    .begin = json_begin,
    .draws = json_draws,
    .change = json_change,
    .ids = json_ids,
    .unknown = json_unknown,
    .group = json_group,
    .snapshot = json_snapshot,
};
