/* lines_text.c: lines of words. See lines.h. */
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/lines.h"
#include "tools/urn_wal/time_text.h"

const char *group_kind_text(enum wal_group_kind kind)
{
    static const char *const texts[] = {
        [WAL_DATA] = "group", [WAL_PAD] = "pad", [WAL_MARK] = "mark", [WAL_EPOCH] = "epoch"};
    return kind >= WAL_DATA && kind <= WAL_EPOCH ? texts[kind] : "unknown";
}

const char *change_type_text(enum wal_entry_type type)
{
    static const char *const texts[] = {
        [WAL_ENTRY_UPDATE] = "update", [WAL_ENTRY_ADD] = "add",
        [WAL_ENTRY_CREATE] = "create", [WAL_ENTRY_OPEN] = "open",
        [WAL_ENTRY_CLOSE] = "close",   [WAL_ENTRY_APPLIED] = "applied"};
    CHECK(wal_entry_is_change((uint8_t)type));
    return texts[type];
}

/* In capitals. */
static void put_word(struct output *output, const char *word)
{
    char *to = output_room(output, 16);
    for (; *word != 0; word++)
        *to++ = (char)(*word >= 'a' && *word <= 'z' ? *word - 'a' + 'A' : *word);
    output_filled(output, to, false);
}

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

/* ---- draws ------------------------------------------------------------------------------------ */

/* A number as its digits, which can be counted up. */
struct counter {
    char digits[20 + 20]; /* right-aligned in the first 20; the rest may be copied, too */
    uint32_t begin;
};

static void counter_set(struct counter *counter, uint64_t number)
{
    memset(counter->digits, '0', sizeof counter->digits);
    char digits[20];
    const size_t length = (size_t)(put_decimal(digits, number) - digits);
    counter->begin = (uint32_t)(20 - length);
    memcpy(counter->digits + counter->begin, digits, length);
}

static void counter_add_one(struct counter *counter)
{
    uint32_t at = 19;
    while (counter->digits[at] == '9') {
        counter->digits[at] = '0';
        if (at-- == 0)
            return; /* beyond 64 bits, where no id is */
    }
    counter->digits[at]++;
    if (at < counter->begin)
        counter->begin = at;
}

static char *put_counter(char *to, const struct counter *counter)
{
    memcpy(to, counter->digits + counter->begin, 20);
    return to + (20 - counter->begin);
}

#define DRAW_LINE_BYTES_MAX (5u + 20u + LINE_END_BYTES_MAX + LINE_END_SLACK)
#define DRAWS_AT_ONCE       (OUTPUT_BYTES / 4u / DRAW_LINE_BYTES_MAX)

_Static_assert(DRAWS_AT_ONCE > 64, "the check for room is shared by many draws");

/* " <pool> " of a draw that failed, or whose item has no name. */
static char *put_pool(char *to, const struct names *names, uint32_t pool_id)
{
    struct urn_text name;
    *to++ = ' ';
    if (names_pool(names, pool_id, &name)) {
        to = put_name(to, name);
    } else {
        *to++ = '#';
        to = put_decimal(to, pool_id);
    }
    *to++ = ' ';
    return to;
}

static char *put_rare_end(char *to, const struct names *names, uint32_t pool_id, uint32_t outcome)
{
    struct urn_text name;
    to = put_pool(to, names, pool_id);
    if (outcome == URN_FAILED_DRAW) {
        to = put_text(to, "FAILED", 6);
    } else if (names_item(names, pool_id, outcome, &name)) {
        to = put_name(to, name);
    } else {
        *to++ = '#';
        to = put_decimal(to, outcome);
    }
    *to++ = '\n';
    return to;
}

static inline char *put_end(char *to, const struct line_ends *ends, const struct names *names,
                            uint32_t pool_id, uint32_t outcome)
{
    if (ends == NULL || outcome >= ends->items)
        return put_rare_end(to, names, pool_id, outcome);
    const uint32_t begin = ends->offsets[outcome];
    const uint32_t length = ends->offsets[outcome + 1] - begin;
    memcpy(to, ends->bytes + begin, LINE_END_SLACK); /* of a fixed length: no call */
    if (length > LINE_END_SLACK)
        memcpy(to, ends->bytes + begin, length);
    return to + length;
}

static void text_draws(struct printer *printer, const struct line_place *place,
                       const struct draw_batch *batch)
{
    (void)place;
    const uint32_t pool_id = batch->entry->pool_id;
    const struct line_ends *ends = names_line_ends(printer->names, pool_id);
    struct counter counter;
    counter_set(&counter, batch->first_id);
    for (uint32_t done = 0; done < batch->count;) {
        const uint32_t left = batch->count - done;
        const uint32_t end = done + (left < DRAWS_AT_ONCE ? left : DRAWS_AT_ONCE);
        char *to = output_room(printer->output, DRAWS_AT_ONCE * DRAW_LINE_BYTES_MAX);
        for (; done < end; done++) {
            to = put_text(to, "DRAW ", 5);
            if (batch->ids != NULL) {
                to = put_decimal(to, batch->ids[done]);
            } else {
                to = put_counter(to, &counter);
                counter_add_one(&counter);
            }
            to = put_end(to, ends, printer->names, pool_id, batch->outcomes[done]);
        }
        output_filled(printer->output, to, true);
    }
}

/* ---- everything else --------------------------------------------------------------------------- */

static void put_pool_name(struct printer *printer, uint32_t pool_id)
{
    struct urn_text name;
    if (names_pool(printer->names, pool_id, &name))
        output_name(printer->output, name);
    else
        put_field(printer->output, "#", pool_id);
}

static void put_item_name(struct printer *printer, uint32_t pool_id, uint32_t index)
{
    struct urn_text name;
    if (names_item(printer->names, pool_id, index, &name))
        output_name(printer->output, name);
    else
        put_field(printer->output, "#", index);
}

static void text_change(struct printer *printer, const struct line_place *place,
                        const struct wal_change *change)
{
    (void)place;
    struct output *output = printer->output;
    const bool adds = change->type == WAL_ENTRY_ADD;
    const bool names_item = change->type == WAL_ENTRY_UPDATE || change->type == WAL_ENTRY_APPLIED;
    put_word(output, change_type_text(change->type));
    output_text(output, " ");
    if (change->type == WAL_ENTRY_CREATE)
        output_name(output, change->name);
    else
        put_pool_name(printer, change->pool_id);
    if (adds || names_item)
        output_text(output, " ");
    if (adds)
        output_name(output, change->name);
    else if (names_item)
        put_item_name(printer, change->pool_id, change->index);
    if (adds || (change->flags & WAL_SETS_QUANTITY) != 0) {
        if (change->quantity == URN_UNLIMITED)
            output_text(output, " quantity=-1");
        else
            put_field(output, " quantity=", (uint64_t)change->quantity);
    }
    if (adds || change->type == WAL_ENTRY_APPLIED || (change->flags & WAL_SETS_WEIGHT) != 0)
        put_field(output, " probability=", change->probability);
    put_field(output, " odds_version=", change->odds_version);
    if ((change->flags & WAL_FROM_FILE) != 0)
        output_text(output, " from=file");
    output_line_end(output);
}

static void text_ids(struct printer *printer, const struct line_place *place,
                     uint64_t reserved_request_id)
{
    (void)place;
    put_field(printer->output, "IDS reserved_up_to=", reserved_request_id);
    output_line_end(printer->output);
}

static void text_unknown(struct printer *printer, const struct line_place *place,
                         const struct wal_entry *entry)
{
    put_field(printer->output, "ENTRY ", place->header->lsn);
    put_field(printer->output, " ", entry->type);
    output_text(printer->output, " ");
    output_hex(printer->output, place->group + entry->offset, entry->length_bytes);
    output_line_end(printer->output);
}

/* The bytes of a group: 16 a line, behind their offset in it. */
static void put_dump(struct output *output, const uint8_t *bytes, uint32_t length)
{
    for (uint32_t at = 0; at < length; at += 16) {
        const uint8_t offset[4] = {(uint8_t)(at >> 24), (uint8_t)(at >> 16), (uint8_t)(at >> 8),
                                   (uint8_t)at};
        output_text(output, "    ");
        output_hex(output, offset, sizeof offset);
        output_text(output, " ");
        for (uint32_t i = at; i < at + 16; i++) {
            if (i % 8 == 0)
                output_text(output, " ");
            if (i < length)
                output_hex(output, bytes + i, 1);
            output_text(output, i < length ? " " : "   ");
        }
        output_text(output, "|");
        for (uint32_t i = at; i < at + 16 && i < length; i++) {
            const char shown = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '.';
            output_bytes(output, &shown, 1);
        }
        output_text(output, "|");
        output_line_end(output);
    }
}

static void text_group(struct printer *printer, const struct line_place *place, bool hex)
{
    struct output *output = printer->output;
    const struct wal_group_header *header = place->header;
    char time[TIME_TEXT_BYTES];
    time_text(header->wall_time_us, time);
    put_word(output, group_kind_text(header->kind));
    put_field(output, " ", header->lsn);
    put_field(output, " length=", header->length_bytes);
    put_field(output, " durable=", header->durable_lsn);
    put_field(output, " epoch=", header->epoch);
    put_field(output, " draws=", header->draws);
    put_field(output, " first_request_id=", header->first_request_id);
    output_text(output, " time=");
    output_text(output, time);
    output_line_end(output);
    if (hex)
        put_dump(output, place->group, header->length_bytes);
}

static void text_snapshot(struct printer *printer, const struct history_snapshot *snapshot)
{
    put_field(printer->output, "SNAPSHOT ", snapshot->id.lsn);
    output_text(printer->output, " ");
    output_name(printer->output,
                (struct urn_text){snapshot->name, (uint32_t)strlen(snapshot->name)});
    output_line_end(printer->output);
}

static void text_begin(struct printer *printer)
{
    (void)printer;
}

const struct line_format lines_text = {
    .begin = text_begin,
    .draws = text_draws,
    .change = text_change,
    .ids = text_ids,
    .unknown = text_unknown,
    .group = text_group,
    .snapshot = text_snapshot,
};
