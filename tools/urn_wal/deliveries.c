/* deliveries.c: see deliveries.h. */
#include "tools/urn_wal/deliveries.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "engine/name.h"
#include "tools/urn_wal/csv_reader.h"

_Static_assert(sizeof(struct delivery) == 16, "the header promises it");
_Static_assert(crypto_shorthash_KEYBYTES == sizeof((struct deliveries *)0)->key, "a key fits");

/* ---- item ids ------------------------------------------------------------------------------------ */

static uint64_t hash(const struct deliveries *deliveries, const char *bytes, uint32_t length)
{
    uint64_t value = 0;
    _Static_assert(sizeof value == crypto_shorthash_BYTES, "the hash is a number");
    (void)crypto_shorthash((unsigned char *)&value, (const unsigned char *)bytes, length,
                           deliveries->key);
    return value;
}

static struct urn_text item_text(const struct deliveries *deliveries, uint32_t item)
{
    const struct delivered_item *row = &deliveries->items[item];
    return (struct urn_text){deliveries->names + row->offset, row->length};
}

/* The slot of this name: its own, or the free one where it would go. */
static uint32_t *find_slot(const struct deliveries *deliveries, const char *bytes, uint32_t length)
{
    const uint32_t mask = deliveries->slot_count - 1;
    for (uint64_t at = hash(deliveries, bytes, length);; at++) {
        uint32_t *slot = &deliveries->slots[at & mask];
        if (*slot == 0)
            return slot;
        const struct urn_text name = item_text(deliveries, *slot - 1);
        if (name.length == length && memcmp(name.bytes, bytes, length) == 0)
            return slot;
    }
}

/* Makes *array, of *room elements, longer if `needed` do not fit. */
static bool make_room(void **array, uint32_t *room, uint32_t needed, size_t element_bytes)
{
    if (needed <= *room)
        return true;
    uint64_t wanted = *room == 0 ? 256 : 2 * (uint64_t)*room;
    if (wanted > UINT32_MAX)
        wanted = UINT32_MAX;
    void *larger = wanted >= needed ? realloc(*array, wanted * element_bytes) : NULL;
    if (larger == NULL)
        return false;
    *array = larger;
    *room = (uint32_t)wanted;
    return true;
}

/* Keeps the table at most half full. */
static bool make_slots(struct deliveries *deliveries)
{
    if (deliveries->slots != NULL && deliveries->item_count < deliveries->slot_count / 2)
        return true;
    const uint32_t count = deliveries->slots == NULL ? 1024 : 2 * deliveries->slot_count;
    uint32_t *slots = count > deliveries->slot_count ? calloc(count, sizeof *slots) : NULL;
    if (slots == NULL)
        return false;
    free(deliveries->slots);
    deliveries->slots = slots;
    deliveries->slot_count = count;
    for (uint32_t item = 0; item < deliveries->item_count; item++) {
        const struct urn_text name = item_text(deliveries, item);
        *find_slot(deliveries, name.bytes, name.length) = item + 1;
    }
    return true;
}

static bool find_or_add_item(struct deliveries *deliveries, const char *bytes, uint32_t length,
                             uint32_t *item)
{
    CHECK(length <= URN_NAME_BYTES_MAX);
    if (!make_slots(deliveries))
        return false;
    uint32_t *slot = find_slot(deliveries, bytes, length);
    if (*slot != 0) {
        *item = *slot - 1;
        return true;
    }
    if (deliveries->names_bytes > UINT32_MAX - URN_NAME_BYTES_MAX ||
        !make_room((void **)&deliveries->names, &deliveries->names_room,
                   deliveries->names_bytes + URN_NAME_BYTES_MAX, 1) ||
        !make_room((void **)&deliveries->items, &deliveries->item_room, deliveries->item_count + 1,
                   sizeof *deliveries->items))
        return false;
    memcpy(deliveries->names + deliveries->names_bytes, bytes, length);
    deliveries->items[deliveries->item_count] =
        (struct delivered_item){.offset = deliveries->names_bytes, .length = length};
    deliveries->names_bytes += length;
    *item = deliveries->item_count++;
    *slot = *item + 1;
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------------ */

/* Where the two columns stand. */
struct layout {
    uint32_t request_id;
    uint32_t item_id;
    uint32_t fields; /* that each record has */
};

struct reading {
    struct deliveries *deliveries;
    const struct id_range *ids;
    const char *name;
    struct csv_reader csv;
    struct layout layout;
    bool sorted;
};

static enum urn_code refuse(const struct reading *reading, struct urn_error *error,
                            const char *format, ...) __attribute__((format(printf, 3, 4)));

static enum urn_code refuse(const struct reading *reading, struct urn_error *error,
                            const char *format, ...)
{
    char why[300];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return error_set(error, URN_FORMAT, 0, "%s, line %" PRIu64 ": %s", reading->name,
                     reading->csv.line, why);
}

static bool field_is(const struct csv_field *field, const char *text)
{
    return field->length == strlen(text) && memcmp(field->bytes, text, field->length) == 0;
}

/* A request id: digits and nothing else, from 1 on, below 2^53. */
static bool read_id(const struct csv_field *field, uint64_t *request_id)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < field->length; i++) {
        if (field->bytes[i] < '0' || field->bytes[i] > '9')
            return false;
        number = 10 * number + (uint64_t)(field->bytes[i] - '0');
        if (number > URN_NUMBER_MAX)
            return false;
    }
    *request_id = number;
    return number > 0;
}

/* The beginning of what stands in a field, fit to be shown. */
static const char *shown(const struct csv_field *field, char text[44])
{
    uint32_t at = 0;
    for (; at < field->length && at < 40; at++)
        text[at] = (char)(isprint((unsigned char)field->bytes[at]) ? field->bytes[at] : '?');
    memcpy(text + at, field->length > 40 ? "..." : "", field->length > 40 ? 4 : 1);
    return text;
}

/* The first record: names of columns, or a row already. */
static enum urn_code read_layout(struct reading *reading, bool *is_header, struct urn_error *error)
{
    const struct csv_reader *csv = &reading->csv;
    uint32_t found[2] = {0};
    static const char *const names[2] = {"request_id", "item_id"};
    struct layout *layout = &reading->layout;
    for (uint32_t i = 0; i < csv->field_count; i++)
        for (uint32_t which = 0; which < 2; which++)
            if (field_is(&csv->fields[i], names[which])) {
                found[which]++;
                *(which == 0 ? &layout->request_id : &layout->item_id) = i;
            }
    uint64_t id = 0;
    layout->fields = csv->field_count;
    *is_header = found[0] == 1 && found[1] == 1;
    if (*is_header)
        return URN_OK;
    if (csv->field_count != 2 || !read_id(&csv->fields[0], &id))
        return refuse(reading, error,
                      "wanted are a request id and an item id with a comma between, or a line that "
                      "names the columns request_id and item_id once each");
    *layout = (struct layout){.request_id = 0, .item_id = 1, .fields = 2};
    return URN_OK;
}

static enum urn_code add_row(struct reading *reading, uint64_t request_id, uint32_t item,
                             struct urn_error *error)
{
    struct deliveries *deliveries = reading->deliveries;
    if (reading->csv.line > UINT32_MAX)
        return refuse(reading, error, "more lines than can be counted: reconcile it in parts");
    if (deliveries->count == deliveries->room) {
        const uint64_t room =
            deliveries->room == 0 ? 4096 : deliveries->room + deliveries->room / 2;
        struct delivery *larger = realloc(deliveries->rows, room * sizeof *larger);
        if (larger == NULL)
            return error_set(error, URN_NOMEMORY, ENOMEM,
                             "cannot keep more than %" PRIu64 " deliveries of %s: reconcile it in "
                             "parts, with --request-id",
                             deliveries->count, reading->name);
        deliveries->rows = larger;
        deliveries->room = room;
    }
    if (deliveries->count > 0 && request_id < deliveries->rows[deliveries->count - 1].request_id)
        reading->sorted = false;
    deliveries->rows[deliveries->count++] = (struct delivery){
        .request_id = request_id, .item = item, .line = (uint32_t)reading->csv.line};
    return URN_OK;
}

static enum urn_code read_row(struct reading *reading, struct urn_error *error)
{
    const struct csv_reader *csv = &reading->csv;
    const struct layout *layout = &reading->layout;
    char text[44];
    uint64_t id = 0;
    if (csv->field_count != layout->fields)
        return refuse(reading, error, "%" PRIu32 " fields instead of %" PRIu32, csv->field_count,
                      layout->fields);
    const struct csv_field *item_id = &csv->fields[layout->item_id];
    if (!read_id(&csv->fields[layout->request_id], &id))
        return refuse(reading, error, "a request id is a number from 1 to 2^53 - 1, not \"%s\"",
                      shown(&csv->fields[layout->request_id], text));
    if (item_id->length > URN_NAME_BYTES_MAX)
        return refuse(reading, error, "an item id has at most %u bytes, not %" PRIu32,
                      URN_NAME_BYTES_MAX, item_id->length);
    if (item_id->length > 0 && !name_is_valid(item_id->bytes, item_id->length))
        return refuse(reading, error,
                      "an item id is UTF-8 without control characters, which \"%s\" is not",
                      shown(item_id, text));
    if (reading->ids->first > 0 && (id < reading->ids->first || id > reading->ids->last)) {
        reading->deliveries->outside++;
        return URN_OK;
    }
    uint32_t item = 0;
    if (!find_or_add_item(reading->deliveries, item_id->bytes, item_id->length, &item))
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot keep the item ids of %s",
                         reading->name);
    return add_row(reading, id, item, error);
}

static enum urn_code read_rows(struct reading *reading, struct urn_error *error)
{
    bool met_first = false;
    for (;;) {
        bool is_header = false;
        switch (csv_next(&reading->csv)) {
        case CSV_RECORD:
            if (!met_first && read_layout(reading, &is_header, error) != URN_OK)
                return error->code;
            met_first = true;
            if (!is_header && read_row(reading, error) != URN_OK)
                return error->code;
            break;
        case CSV_END:
            return URN_OK;
        case CSV_REFUSED:
            return refuse(reading, error, "%s", reading->csv.complaint);
        case CSV_READ_FAILED:
            return error_set(error, URN_IO, errno, "cannot read %s", reading->name);
        }
    }
}

static int compare(const void *one, const void *other)
{
    const struct delivery *left = one;
    const struct delivery *right = other;
    if (left->request_id != right->request_id)
        return left->request_id < right->request_id ? -1 : 1;
    return left->line < right->line ? -1 : left->line > right->line;
}

enum urn_code deliveries_read(struct deliveries *deliveries, FILE *stream, const char *name,
                              const struct id_range *ids, struct urn_error *error)
{
    *deliveries = (struct deliveries){.count = 0};
    crypto_shorthash_keygen(deliveries->key);
    struct reading *reading = malloc(sizeof *reading);
    if (reading == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read %s", name);
    reading->deliveries = deliveries;
    reading->ids = ids;
    reading->name = name;
    reading->sorted = true;
    csv_begin(&reading->csv, stream);
    const enum urn_code code = read_rows(reading, error);
    if (code != URN_OK)
        deliveries_free(deliveries);
    else if (!reading->sorted)
        qsort(deliveries->rows, deliveries->count, sizeof *deliveries->rows, compare);
    free(reading);
    return code;
}

void deliveries_free(struct deliveries *deliveries)
{
    free(deliveries->rows);
    free(deliveries->names);
    free(deliveries->items);
    free(deliveries->slots);
    *deliveries = (struct deliveries){.count = 0};
}

struct urn_text deliveries_item(const struct deliveries *deliveries,
                                const struct delivery *delivery)
{
    CHECK(delivery->item < deliveries->item_count);
    return item_text(deliveries, delivery->item);
}
