/* cat_print.c: which lines of a group are wanted, and in which order they go to the format. See
 * cat_print.h.
 *
 * Draws go there by batches: those of an entry that are wanted, in the order wanted.
 */
#include "tools/urn_wal/cat_print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/options.h"

#define BIT(kind) (1u << (kind))

const char *const line_kind_names[LINE_KINDS] = {
    [LINE_DRAW] = "draw",       [LINE_UPDATE] = "update",    [LINE_ADD] = "add",
    [LINE_CREATE] = "create",   [LINE_OPEN] = "open",        [LINE_CLOSE] = "close",
    [LINE_APPLIED] = "applied", [LINE_IDS] = "ids",          [LINE_UNKNOWN] = "unknown",
    [LINE_GROUP] = "group",     [LINE_PAD] = "pad",          [LINE_MARK] = "mark",
    [LINE_EPOCH] = "epoch",     [LINE_SNAPSHOT] = "snapshot"};

#define ITEM_KINDS (BIT(LINE_DRAW) | BIT(LINE_UPDATE) | BIT(LINE_ADD) | BIT(LINE_APPLIED))

static bool wants(const struct cat_print *print, enum line_kind kind)
{
    return (print->selection->kinds & BIT(kind)) != 0;
}

/* One line has been printed. */
static void count_line(struct cat_print *print)
{
    print->lines_left -= print->lines_left > 0 ? 1 : 0;
}

/* ---- filters ------------------------------------------------------------------------------------ */

static bool text_is(struct urn_text text, const char *wanted)
{
    return text.length == strlen(wanted) && memcmp(text.bytes, wanted, text.length) == 0;
}

/* "#7" stands for what has no known name. */
static bool number_is(uint32_t number, const char *wanted)
{
    char text[16];
    (void)snprintf(text, sizeof text, "#%" PRIu32, number);
    return strcmp(text, wanted) == 0;
}

static bool pool_is_wanted(const struct cat_print *print, uint32_t pool_id)
{
    struct urn_text name;
    if (print->selection->pool == NULL)
        return true;
    return names_pool(print->printer.names, pool_id, &name)
               ? text_is(name, print->selection->pool)
               : number_is(pool_id, print->selection->pool);
}

static bool item_is_wanted(const struct cat_print *print, uint32_t pool_id, uint32_t index)
{
    struct urn_text name;
    if (print->selection->item == NULL)
        return true;
    return names_item(print->printer.names, pool_id, index, &name)
               ? text_is(name, print->selection->item)
               : number_is(index, print->selection->item);
}

/* The index in this pool of the item that was asked for, looked up once while draws of one pool follow
 * each other; URN_FAILED_DRAW: it has no such item. */
static uint32_t wanted_index(struct cat_print *print, uint32_t pool_id)
{
    const struct state *state = &print->printer.names->state;
    const uint32_t items = pool_id < state->pool_count ? pool_item_count(state->pools[pool_id]) : 0;
    if (print->item_pool == pool_id && print->item_count == items)
        return print->item_index;
    print->item_pool = pool_id;
    print->item_count = items;
    print->item_index = URN_FAILED_DRAW;
    const char *item = print->selection->item;
    uint64_t number = 0;
    if (items > 0 &&
        pool_find(state->pools[pool_id], item, (uint32_t)strlen(item), &print->item_index))
        return print->item_index;
    if (item[0] == '#' && parse_lsn(item + 1, &number) && number < URN_FAILED_DRAW)
        print->item_index = (uint32_t)number;
    return print->item_index;
}

static bool group_is_wanted(const struct selection *selection,
                            const struct wal_group_header *header)
{
    return header->lsn >= selection->from_lsn && header->lsn < selection->to_lsn &&
           header->wall_time_us >= selection->since_us &&
           header->wall_time_us <= selection->until_us;
}

/* Every one of the group's entries has to pass a filter that only some kinds can. */
static bool filters_entries(const struct selection *selection)
{
    return selection->pool != NULL || selection->item != NULL || selection->failed ||
           selection->ids.first > 0;
}

/* ---- draws -------------------------------------------------------------------------------------- */

enum { DRAWS_AT_ONCE = 8192 };

static enum urn_code make_room(struct cat_print *print, uint64_t draws, struct urn_error *error)
{
    if (draws <= print->draws_room)
        return URN_OK;
    free(print->outcomes);
    free(print->ids);
    print->outcomes = malloc(draws * sizeof *print->outcomes);
    print->ids = malloc(draws * sizeof *print->ids);
    print->draws_room = draws;
    if (print->outcomes != NULL && print->ids != NULL)
        return URN_OK;
    print->draws_room = 0;
    return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print the draws of a group");
}

static void print_batch(struct cat_print *print, const struct line_place *place,
                        const struct wal_entry *entry, const uint64_t *ids, uint64_t first_id,
                        uint64_t count)
{
    if (count > print->lines_left)
        count = print->lines_left;
    const struct draw_batch batch = {.entry = entry,
                                     .outcomes = print->outcomes,
                                     .ids = ids,
                                     .first_id = first_id,
                                     .count = (uint32_t)count};
    if (count > 0)
        print->printer.format->draws(&print->printer, place, &batch);
    print->lines_left -= count;
}

/* Takes outcomes one after the other, whatever runs they lie in. */
struct outcome_stream {
    struct wal_outcome_cursor cursor;
    const uint8_t *drawn; /* NULL: they failed */
    uint32_t width;
    uint32_t at, run;
};

static void stream_begin(struct outcome_stream *stream, const struct wal_entry *entry)
{
    *stream = (struct outcome_stream){.width = entry->width};
    wal_outcomes_begin(entry, &stream->cursor);
}

/* The next ones, `most` at most, all of one run; 0: the end. *outcomes NULL: they are passed over. */
static uint32_t stream_take(struct outcome_stream *stream, uint32_t most, uint32_t *outcomes)
{
    if (stream->at == stream->run) {
        stream->at = 0;
        if (!wal_outcomes_next_run(&stream->cursor, &stream->drawn, &stream->run))
            return stream->run = 0;
    }
    const uint32_t left = stream->run - stream->at;
    const uint32_t count = left < most ? left : most;
    if (outcomes != NULL) {
        if (stream->drawn == NULL)
            for (uint32_t i = 0; i < count; i++)
                outcomes[i] = URN_FAILED_DRAW;
        else
            wal_outcomes_unpack(stream->drawn + (size_t)stream->at * stream->width, stream->width,
                                outcomes, count);
    }
    stream->at += count;
    return count;
}

/* The draws of an entry with ids from first_id on, as they stand there, of which those from `skip` to
 * `end` are wanted. */
static enum urn_code print_all(struct cat_print *print, const struct line_place *place,
                               const struct wal_entry *entry, uint64_t first_id, uint32_t skip,
                               uint32_t end, struct urn_error *error)
{
    if (make_room(print, DRAWS_AT_ONCE, error) != URN_OK)
        return error->code;
    struct outcome_stream stream;
    uint32_t at = 0;
    stream_begin(&stream, entry);
    while (at < skip)
        at += stream_take(&stream, skip - at, NULL);
    while (at < end && !cat_print_is_done(print)) {
        const uint32_t most = end - at < DRAWS_AT_ONCE ? end - at : DRAWS_AT_ONCE;
        uint32_t count = 0;
        while (count < most)
            count += stream_take(&stream, most - count, print->outcomes + count);
        print_batch(print, place, entry, NULL, first_id + at, count);
        at += count;
    }
    return URN_OK;
}

/* Only some of them, or in reverse. */
static enum urn_code print_some(struct cat_print *print, const struct line_place *place,
                                const struct wal_entry *entry, uint64_t first_id, uint32_t skip,
                                uint32_t end, struct urn_error *error)
{
    if (make_room(print, entry->draws, error) != URN_OK)
        return error->code;
    const bool by_item = print->selection->item != NULL;
    const uint32_t item = by_item ? wanted_index(print, entry->pool_id) : 0;
    if (by_item && item == URN_FAILED_DRAW)
        return URN_OK;
    struct outcome_stream stream;
    stream_begin(&stream, entry);
    for (uint32_t at = 0; at < entry->draws;)
        at += stream_take(&stream, entry->draws - at, print->outcomes + at);
    uint64_t kept = 0;
    for (uint32_t at = skip; at < end; at++) {
        const uint32_t outcome = print->outcomes[at];
        if ((by_item && outcome != item) ||
            (print->selection->failed && outcome != URN_FAILED_DRAW))
            continue;
        print->outcomes[kept] = outcome;
        print->ids[kept++] = first_id + at;
    }
    for (uint64_t low = 0; print->selection->reverse && low < kept / 2; low++) {
        const uint64_t high = kept - 1 - low;
        const uint32_t outcome = print->outcomes[low];
        const uint64_t id = print->ids[low];
        print->outcomes[low] = print->outcomes[high];
        print->ids[low] = print->ids[high];
        print->outcomes[high] = outcome;
        print->ids[high] = id;
    }
    print_batch(print, place, entry, print->ids, 0, kept);
    return URN_OK;
}

static enum urn_code print_draws(struct cat_print *print, const struct line_place *place,
                                 const struct wal_entry *entry, uint64_t first_id,
                                 struct urn_error *error)
{
    const struct id_range *ids = &print->selection->ids;
    const uint64_t end_id = first_id + entry->draws;
    if (!wants(print, LINE_DRAW) || !pool_is_wanted(print, entry->pool_id) ||
        end_id <= ids->first || first_id > ids->last)
        return URN_OK;
    const uint32_t skip = ids->first > first_id ? (uint32_t)(ids->first - first_id) : 0;
    const uint32_t end =
        ids->last < end_id - 1 ? (uint32_t)(ids->last + 1 - first_id) : entry->draws;
    if (print->selection->item != NULL || print->selection->failed || print->selection->reverse)
        return print_some(print, place, entry, first_id, skip, end, error);
    return print_all(print, place, entry, first_id, skip, end, error);
}

/* ---- entries and groups -------------------------------------------------------------------------- */

static enum line_kind kind_of_change(enum wal_entry_type type)
{
    CHECK(wal_entry_is_change((uint8_t)type));
    return (enum line_kind)(LINE_UPDATE + (type - WAL_ENTRY_UPDATE));
}

_Static_assert(LINE_APPLIED - LINE_UPDATE == WAL_ENTRY_APPLIED - WAL_ENTRY_UPDATE,
               "kinds of lines stand in the order of the entry types");

static void print_change(struct cat_print *print, const struct line_place *place,
                         const struct wal_change *change)
{
    if (!wants(print, kind_of_change(change->type)) || print->selection->ids.first > 0 ||
        print->selection->failed)
        return;
    const bool of_item = (BIT(kind_of_change(change->type)) & ITEM_KINDS) != 0;
    if (!pool_is_wanted(print, change->pool_id) ||
        (print->selection->item != NULL &&
         (!of_item || !item_is_wanted(print, change->pool_id, change->index))))
        return;
    print->printer.format->change(&print->printer, place, change);
    count_line(print);
}

static enum urn_code print_entry(struct cat_print *print, const struct line_place *place,
                                 const struct wal_entry *entry, uint64_t first_id,
                                 struct urn_error *error)
{
    if (entry->type == WAL_ENTRY_DRAWS)
        return print_draws(print, place, entry, first_id, error);
    if (wal_entry_is_change(entry->type)) {
        print_change(print, place, &entry->change);
        return URN_OK;
    }
    if (entry->type == WAL_ENTRY_EPOCH || filters_entries(print->selection) ||
        !wants(print, entry->type == WAL_ENTRY_IDS ? LINE_IDS : LINE_UNKNOWN))
        return URN_OK;
    if (entry->type == WAL_ENTRY_IDS)
        print->printer.format->ids(&print->printer, place, entry->reserved_request_id);
    else
        print->printer.format->unknown(&print->printer, place, entry);
    count_line(print);
    return URN_OK;
}

static enum line_kind kind_of_group(enum wal_group_kind kind)
{
    return kind == WAL_PAD     ? LINE_PAD
           : kind == WAL_MARK  ? LINE_MARK
           : kind == WAL_EPOCH ? LINE_EPOCH
                               : LINE_GROUP;
}

static void print_group_line(struct cat_print *print, const struct line_place *place)
{
    if (!wants(print, kind_of_group(place->header->kind)) || filters_entries(print->selection))
        return;
    print->printer.format->group(&print->printer, place, print->selection->hex);
    count_line(print);
}

static void note_shape(const struct cat_print *print, const struct wal_group_header *header,
                       uint32_t offset)
{
    (void)fprintf(print->notes,
                  "urn-wal: group at LSN %" PRIu64 ", byte %" PRIu32 ": %s; stepped over\n",
                  header->lsn, offset, wal_read_result_text(WAL_READ_SHAPE));
}

/* From the first to the last; or, not wanted, only for the names that they tell. */
static enum urn_code print_entries(struct cat_print *print, const struct line_place *place,
                                   bool wanted, struct urn_error *error)
{
    uint64_t first_id = place->header->first_request_id;
    uint32_t offset = 0;
    struct wal_entry entry;
    enum wal_read_result read = WAL_READ_OK;
    while (!cat_print_is_done(print) &&
           (read = wal_entry_next(place->group, place->header, &offset, &entry)) == WAL_READ_OK) {
        if (wal_entry_is_change(entry.type) &&
            names_learn(print->printer.names, &entry.change, error) != URN_OK)
            return error->code;
        if (wanted && print_entry(print, place, &entry, first_id, error) != URN_OK)
            return error->code;
        first_id += entry.type == WAL_ENTRY_DRAWS ? entry.draws : 0;
    }
    if (read == WAL_READ_SHAPE && wanted)
        note_shape(print, place->header, offset);
    return URN_OK;
}

/* Where an entry of a group begins, and its first draw's id. */
struct entry_place {
    uint32_t offset;
    uint64_t first_id;
};

static bool keep_place(struct cat_print *print, uint32_t count, const struct entry_place *place)
{
    if (count == print->entries_room) {
        const uint32_t room = count == 0 ? 256 : 2 * count;
        struct entry_place *larger = realloc(print->entries, room * sizeof *larger);
        if (larger == NULL)
            return false;
        print->entries = larger;
        print->entries_room = room;
    }
    print->entries[count] = *place;
    return true;
}

/* From the last to the first: an entry's place is known from the one before it, so they are stepped
 * through once to find them. */
static enum urn_code print_entries_reversed(struct cat_print *print, const struct line_place *place,
                                            struct urn_error *error)
{
    struct entry_place at = {.first_id = place->header->first_request_id};
    struct wal_entry entry;
    uint32_t count = 0;
    uint32_t offset = 0;
    enum wal_read_result read = WAL_READ_OK;
    while ((read = wal_entry_next(place->group, place->header, &offset, &entry)) == WAL_READ_OK) {
        at.offset = entry.offset;
        if (!keep_place(print, count++, &at))
            return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print a group in reverse");
        at.first_id += entry.type == WAL_ENTRY_DRAWS ? entry.draws : 0;
    }
    if (read == WAL_READ_SHAPE)
        note_shape(print, place->header, offset);
    while (count-- > 0 && !cat_print_is_done(print)) {
        offset = print->entries[count].offset;
        CHECK(wal_entry_next(place->group, place->header, &offset, &entry) == WAL_READ_OK);
        if (print_entry(print, place, &entry, print->entries[count].first_id, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

enum urn_code cat_print_group(struct cat_print *print, const struct wal_group_header *header,
                              const uint8_t *group, struct urn_error *error)
{
    const struct line_place place = {.header = header, .group = group};
    const bool wanted = group_is_wanted(print->selection, header);
    if (wanted && !cat_print_is_done(print))
        print_group_line(print, &place);
    if (print->selection->reverse)
        return wanted ? print_entries_reversed(print, &place, error) : URN_OK;
    return print_entries(print, &place, wanted, error);
}

void cat_print_snapshot(struct cat_print *print, const struct history_snapshot *snapshot)
{
    const struct selection *selection = print->selection;
    if (!wants(print, LINE_SNAPSHOT) || snapshot->id.lsn < selection->from_lsn ||
        snapshot->id.lsn >= selection->to_lsn || filters_entries(selection) ||
        cat_print_is_done(print))
        return;
    print->printer.format->snapshot(&print->printer, snapshot);
    count_line(print);
}

void cat_print_begin(struct cat_print *print, const struct selection *selection,
                     const struct printer *printer, FILE *notes, uint64_t lines_left)
{
    *print = (struct cat_print){.selection = selection,
                                .printer = *printer,
                                .notes = notes,
                                .lines_left = lines_left,
                                .item_pool = UINT32_MAX};
    printer->format->begin(&print->printer);
}

void cat_print_end(struct cat_print *print)
{
    free(print->outcomes);
    free(print->ids);
    free(print->entries);
}

bool cat_print_is_done(const struct cat_print *print)
{
    return print->lines_left == 0 || output_failed(print->printer.output);
}
