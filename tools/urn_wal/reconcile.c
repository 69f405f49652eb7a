/* reconcile.c: see reconcile.h. */
#include "tools/urn_wal/reconcile.h"

#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/time_text.h"

/* What a line is about. */
struct drawn {
    const struct line_place *place;
    uint64_t request_id;
    uint32_t pool_id;
    uint32_t outcome;
};

void reconcile_begin(struct reconcile *reconcile, const struct deliveries *deliveries,
                     struct names *names, struct output *output, bool json, uint64_t listed_max)
{
    *reconcile = (struct reconcile){.deliveries = deliveries,
                                    .names = names,
                                    .output = output,
                                    .json = json,
                                    .listed_left = listed_max};
    reconcile->counts.outside = deliveries->outside;
}

/* ---- lines ---------------------------------------------------------------------------------------- */

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void text_drawn(const struct reconcile *reconcile, const struct drawn *drawn)
{
    struct output *output = reconcile->output;
    struct urn_text name;
    if (names_pool(reconcile->names, drawn->pool_id, &name)) {
        output_text(output, " ");
        output_name(output, name);
    } else {
        put_field(output, " #", drawn->pool_id);
    }
    if (drawn->outcome == URN_FAILED_DRAW) {
        output_text(output, " FAILED");
    } else if (names_item(reconcile->names, drawn->pool_id, drawn->outcome, &name)) {
        output_text(output, " ");
        output_name(output, name);
    } else {
        put_field(output, " #", drawn->outcome);
    }
}

static void json_drawn(const struct reconcile *reconcile, const struct drawn *drawn)
{
    struct output *output = reconcile->output;
    struct urn_text name;
    char time[TIME_TEXT_BYTES];
    if (names_pool(reconcile->names, drawn->pool_id, &name)) {
        output_text(output, ",\"pool\":");
        output_json_name(output, name);
    } else {
        put_field(output, ",\"pool_number\":", drawn->pool_id);
    }
    if (drawn->outcome == URN_FAILED_DRAW) {
        output_text(output, ",\"item_id\":null");
    } else if (names_item(reconcile->names, drawn->pool_id, drawn->outcome, &name)) {
        output_text(output, ",\"item_id\":");
        output_json_name(output, name);
    } else {
        put_field(output, ",\"item_number\":", drawn->outcome);
    }
    time_text(drawn->place->header->wall_time_us, time);
    put_field(output, ",\"lsn\":", drawn->place->header->lsn);
    output_text(output, ",\"time\":\"");
    output_text(output, time);
    output_text(output, "\"");
}

/* "MISSING" or "missing" are the names of a finding; drawn or delivery may be NULL. */
static void list(struct reconcile *reconcile, const char *word, const char *type,
                 uint64_t request_id, const struct drawn *drawn, const struct delivery *delivery)
{
    struct output *output = reconcile->output;
    if (reconcile->listed_left == 0)
        return;
    reconcile->listed_left--;
    if (reconcile->json) {
        output_text(output, "{\"type\":\"");
        output_text(output, type);
        put_field(output, "\",\"request_id\":", request_id);
        if (drawn != NULL)
            json_drawn(reconcile, drawn);
    } else {
        output_text(output, word);
        put_field(output, " ", request_id);
        if (drawn != NULL)
            text_drawn(reconcile, drawn);
    }
    if (delivery != NULL) {
        const struct urn_text item = deliveries_item(reconcile->deliveries, delivery);
        output_text(output, reconcile->json ? ",\"delivered\":" : " delivered=");
        if (!reconcile->json)
            output_name(output, item);
        else if (item.length == 0)
            output_text(output, "null");
        else
            output_json_name(output, item);
        put_field(output, reconcile->json ? ",\"line\":" : " line=", delivery->line);
    }
    if (reconcile->json)
        output_text(output, "}");
    output_line_end(output);
}

/* ---- deliveries without a draw -------------------------------------------------------------------- */

static const struct delivery *next_delivery(const struct reconcile *reconcile)
{
    return reconcile->at < reconcile->deliveries->count
               ? &reconcile->deliveries->rows[reconcile->at]
               : NULL;
}

/* Counts those with ids below end_id. */
static void pass_by(struct reconcile *reconcile, uint64_t end_id, uint64_t *count)
{
    const struct delivery *delivery = NULL;
    while ((delivery = next_delivery(reconcile)) != NULL && delivery->request_id < end_id) {
        reconcile->at++;
        (*count)++;
    }
}

static void tell_unknown(struct reconcile *reconcile, uint64_t end_id)
{
    const struct delivery *delivery = NULL;
    while ((delivery = next_delivery(reconcile)) != NULL && delivery->request_id < end_id) {
        reconcile->at++;
        reconcile->counts.unknown++;
        list(reconcile, "UNKNOWN", "unknown", delivery->request_id, NULL, delivery);
    }
}

void reconcile_group_begin(struct reconcile *reconcile, const struct wal_group_header *header)
{
    const uint64_t first_id = header->first_request_id;
    if (reconcile->gap)
        pass_by(reconcile, first_id, &reconcile->counts.lost);
    else if (reconcile->next_id == 0)
        pass_by(reconcile, first_id, &reconcile->counts.older);
    else
        tell_unknown(reconcile, first_id); /* ids that a start skipped */
}

void reconcile_group_end(struct reconcile *reconcile, const struct wal_group_header *header)
{
    reconcile->next_id = header->first_request_id + header->draws;
    reconcile->gap = false;
    pass_by(reconcile, reconcile->next_id, &reconcile->counts.outside);
}

void reconcile_break(struct reconcile *reconcile)
{
    reconcile->gap = true;
}

uint64_t reconcile_last_waiting(const struct reconcile *reconcile)
{
    const struct deliveries *deliveries = reconcile->deliveries;
    return reconcile->at < deliveries->count ? deliveries->rows[deliveries->count - 1].request_id
                                             : 0;
}

/* ---- draws ---------------------------------------------------------------------------------------- */

static bool agrees(const struct reconcile *reconcile, const struct drawn *drawn,
                   const struct delivery *delivery)
{
    const struct urn_text delivered = deliveries_item(reconcile->deliveries, delivery);
    struct urn_text name;
    if (drawn->outcome == URN_FAILED_DRAW)
        return delivered.length == 0;
    return names_item(reconcile->names, drawn->pool_id, drawn->outcome, &name) &&
           delivered.length == name.length && memcmp(delivered.bytes, name.bytes, name.length) == 0;
}

static bool is_named(const struct reconcile *reconcile, const struct drawn *drawn)
{
    struct urn_text name;
    return drawn->outcome == URN_FAILED_DRAW ||
           names_item(reconcile->names, drawn->pool_id, drawn->outcome, &name);
}

/* The deliveries of one draw; there is at least one. */
static void judge(struct reconcile *reconcile, const struct drawn *drawn)
{
    const struct deliveries *deliveries = reconcile->deliveries;
    const uint64_t begin = reconcile->at;
    uint64_t counted = begin;
    bool matched = false;
    while (reconcile->at < deliveries->count &&
           deliveries->rows[reconcile->at].request_id == drawn->request_id) {
        if (!matched && agrees(reconcile, drawn, &deliveries->rows[reconcile->at])) {
            counted = reconcile->at;
            matched = true;
        }
        reconcile->at++;
    }
    if (!is_named(reconcile, drawn)) {
        reconcile->counts.lost += reconcile->at - begin; /* what its number stands for is lost */
        return;
    }
    for (uint64_t at = begin; at < reconcile->at; at++) {
        if (at != counted) {
            reconcile->counts.duplicate++;
            list(reconcile, "DUPLICATE", "duplicate", drawn->request_id, drawn,
                 &deliveries->rows[at]);
        } else if (matched) {
            reconcile->counts.matched++;
        } else {
            reconcile->counts.mismatched++;
            list(reconcile, "MISMATCHED", "mismatched", drawn->request_id, drawn,
                 &deliveries->rows[at]);
        }
    }
}

static void reconcile_draws(struct printer *printer, const struct line_place *place,
                            const struct draw_batch *batch)
{
    struct reconcile *reconcile = printer->sink;
    struct reconcile_counts *counts = &reconcile->counts;
    CHECK(batch->ids == NULL); /* forward, and all of a stretch */
    pass_by(reconcile, batch->first_id, &counts->outside);
    const struct delivery *next = next_delivery(reconcile);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct drawn drawn = {.place = place,
                                    .request_id = batch->first_id + i,
                                    .pool_id = batch->entry->pool_id,
                                    .outcome = batch->outcomes[i]};
        counts->failed += drawn.outcome == URN_FAILED_DRAW ? 1 : 0;
        if (next != NULL && next->request_id == drawn.request_id) {
            judge(reconcile, &drawn);
            next = next_delivery(reconcile);
        } else if (drawn.outcome != URN_FAILED_DRAW) {
            counts->missing++;
            list(reconcile, "MISSING", "missing", drawn.request_id, &drawn, NULL);
        }
    }
    if (batch->count == 0)
        return;
    counts->draws += batch->count;
    counts->first_id = counts->first_id == 0 ? batch->first_id : counts->first_id;
    counts->last_id = batch->first_id + batch->count - 1;
}

static void reconcile_nothing(struct printer *printer)
{
    (void)printer;
}

const struct line_format lines_reconcile = {.begin = reconcile_nothing, .draws = reconcile_draws};

/* ---- the counts ------------------------------------------------------------------------------------ */

bool reconcile_differs(const struct reconcile_counts *counts)
{
    return counts->missing + counts->mismatched + counts->duplicate + counts->unknown > 0;
}

static void text_counts(struct output *output, const struct reconcile_counts *counts)
{
    if (counts->draws == 0)
        output_text(output, "no draws");
    else
        put_field(output, "", counts->draws);
    if (counts->draws > 0) {
        output_text(output, counts->draws == 1 ? " draw, " : " draws, ");
        put_field(output, "request ids ", counts->first_id);
        put_field(output, " to ", counts->last_id);
        put_field(output, ", ", counts->failed);
        output_text(output, " failed");
    }
    output_line_end(output);
    put_field(output, "matched ", counts->matched);
    put_field(output, ", missing ", counts->missing);
    put_field(output, ", mismatched ", counts->mismatched);
    put_field(output, ", duplicate ", counts->duplicate);
    put_field(output, ", unknown ", counts->unknown);
    output_line_end(output);
    if (counts->older + counts->lost + counts->outside == 0)
        return;
    put_field(output, "deliveries not judged: ", counts->older);
    put_field(output, " of draws older than what is kept, ", counts->lost);
    put_field(output, " where the log cannot be read, ", counts->outside);
    output_text(output, " outside of what was asked for");
    output_line_end(output);
}

static void json_counts(struct output *output, const struct reconcile_counts *counts)
{
    put_field(output, "{\"type\":\"counts\",\"draws\":", counts->draws);
    put_field(output, ",\"failed\":", counts->failed);
    if (counts->draws > 0) {
        put_field(output, ",\"first_request_id\":", counts->first_id);
        put_field(output, ",\"last_request_id\":", counts->last_id);
    }
    put_field(output, ",\"matched\":", counts->matched);
    put_field(output, ",\"missing\":", counts->missing);
    put_field(output, ",\"mismatched\":", counts->mismatched);
    put_field(output, ",\"duplicate\":", counts->duplicate);
    put_field(output, ",\"unknown\":", counts->unknown);
    put_field(output, ",\"not_judged\":{\"older\":", counts->older);
    put_field(output, ",\"lost\":", counts->lost);
    put_field(output, ",\"outside\":", counts->outside);
    output_text(output, "}}");
    output_line_end(output);
}

void reconcile_end(struct reconcile *reconcile)
{
    if (reconcile->gap || reconcile->next_id == 0)
        pass_by(reconcile, UINT64_MAX, &reconcile->counts.lost);
    else
        tell_unknown(reconcile, UINT64_MAX);
    if (reconcile->json)
        json_counts(reconcile->output, &reconcile->counts);
    else
        text_counts(reconcile->output, &reconcile->counts);
}
