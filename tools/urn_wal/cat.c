/* cat.c: walks the log with the engine's own reader, keeps the state up with it (names of pools and
 * items come from there) and prints. See cat.h for the lines. */
#include "tools/urn_wal/cat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "tools/urn_wal/output.h"

struct printing {
    const struct cat_request *request;
    struct output *output;
    FILE *notes;
    struct state state;
    bool applying; /* the state has kept up with the log so far */
    bool untrue;   /* it has not, because the log says what cannot be true */
};

/* ---- lines ----------------------------------------------------------------------------------- */

static void print_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void print_group(struct output *output, const struct wal_group_header *header)
{
    static const char *const kinds[] = {
        [WAL_DATA] = "GROUP ", [WAL_PAD] = "PAD ", [WAL_MARK] = "MARK ", [WAL_EPOCH] = "EPOCH "};
    const bool known = header->kind >= WAL_DATA && header->kind <= WAL_EPOCH;
    output_text(output, known ? kinds[header->kind] : "UNKNOWN ");
    output_number(output, header->lsn);
    print_field(output, " length=", header->length_bytes);
    print_field(output, " durable=", header->durable_lsn);
    print_field(output, " epoch=", header->epoch);
    print_field(output, " draws=", header->draws);
    print_field(output, " first_request_id=", header->first_request_id);
    print_field(output, " time_us=", header->wall_time_us);
    output_text(output, "\n");
}

/* "DRAW <request id> <pool> " */
static void print_draw_begin(const struct printing *printing, uint64_t request_id, uint32_t pool_id)
{
    struct output *output = printing->output;
    output_text(output, "DRAW ");
    output_number(output, request_id);
    output_text(output, " ");
    if (pool_id < printing->state.pool_count) {
        output_name(output, pool_name(printing->state.pools[pool_id]));
    } else {
        print_field(output, "#", pool_id);
    }
    output_text(output, " ");
}

static void print_item(const struct printing *printing, uint32_t pool_id, uint32_t index)
{
    const bool known = pool_id < printing->state.pool_count &&
                       index < pool_item_count(printing->state.pools[pool_id]);
    if (known)
        output_name(printing->output, pool_item_id(printing->state.pools[pool_id], index));
    else
        print_field(printing->output, "#", index);
}

/* Prints a draws entry; returns the id behind its last draw. */
static uint64_t print_draws(const struct printing *printing, const struct wal_entry *entry,
                            uint64_t request_id)
{
    struct wal_outcome_cursor cursor;
    uint32_t outcome = 0;
    uint32_t run = 0;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next(&cursor, &outcome, &run) && !output_failed(printing->output)) {
        for (uint32_t i = 0; i < run; i++) {
            print_draw_begin(printing, request_id++, entry->pool_id);
            if (outcome == URN_FAILED_DRAW)
                output_text(printing->output, "FAILED");
            else
                print_item(printing, entry->pool_id, outcome);
            output_text(printing->output, "\n");
        }
    }
    return request_id;
}

static void print_pool(const struct printing *printing, uint32_t pool_id)
{
    if (pool_id < printing->state.pool_count)
        output_name(printing->output, pool_name(printing->state.pools[pool_id]));
    else
        print_field(printing->output, "#", pool_id);
}

static void print_quantity(struct output *output, int64_t quantity)
{
    output_text(output, quantity == URN_UNLIMITED ? " quantity=-1" : " quantity=");
    if (quantity != URN_UNLIMITED)
        output_number(output, (uint64_t)quantity);
}

/* "UPDATE <pool> <item> quantity=n probability=w odds_version=v", as far as it was set. */
static void print_change(const struct printing *printing, const struct wal_change *change)
{
    static const char *const words[] = {
        [WAL_ENTRY_UPDATE] = "UPDATE ", [WAL_ENTRY_ADD] = "ADD ",
        [WAL_ENTRY_CREATE] = "CREATE ", [WAL_ENTRY_OPEN] = "OPEN ",
        [WAL_ENTRY_CLOSE] = "CLOSE ",   [WAL_ENTRY_APPLIED] = "APPLIED "};
    struct output *output = printing->output;
    const bool adds = change->type == WAL_ENTRY_ADD;
    const bool names_item = change->type == WAL_ENTRY_UPDATE || change->type == WAL_ENTRY_APPLIED;
    output_text(output, words[change->type]);
    if (change->type == WAL_ENTRY_CREATE)
        output_name(output, change->name);
    else
        print_pool(printing, change->pool_id);
    if (adds || names_item)
        output_text(output, " ");
    if (adds)
        output_name(output, change->name);
    else if (names_item)
        print_item(printing, change->pool_id, change->index);
    if (adds || (change->flags & WAL_SETS_QUANTITY) != 0)
        print_quantity(output, change->quantity);
    if (adds || change->type == WAL_ENTRY_APPLIED || (change->flags & WAL_SETS_WEIGHT) != 0)
        print_field(output, " probability=", change->probability);
    print_field(output, " odds_version=", change->odds_version);
    output_text(output, (change->flags & WAL_FROM_FILE) != 0 ? " from=file\n" : "\n");
}

static void print_ids(const struct printing *printing, const struct wal_entry *entry)
{
    print_field(printing->output, "IDS reserved_up_to=", entry->reserved_request_id);
    output_text(printing->output, "\n");
}

static void print_unknown(const struct printing *printing, const struct wal_group_header *header,
                          const struct wal_entry *entry, const uint8_t *group)
{
    print_field(printing->output, "ENTRY ", header->lsn);
    print_field(printing->output, " ", entry->type);
    output_text(printing->output, " ");
    output_hex(printing->output, group + entry->offset, entry->length_bytes);
    output_text(printing->output, "\n");
}

static void print_entries(const struct printing *printing, const struct wal_group_header *header,
                          const uint8_t *group)
{
    uint64_t request_id = header->first_request_id;
    uint32_t offset = 0;
    struct wal_entry entry;
    enum wal_read_result read = WAL_READ_OK;
    while ((read = wal_entry_next(group, header, &offset, &entry)) == WAL_READ_OK) {
        if (entry.type == WAL_ENTRY_DRAWS)
            request_id = print_draws(printing, &entry, request_id);
        else if (wal_entry_is_change(entry.type))
            print_change(printing, &entry.change);
        else if (entry.type == WAL_ENTRY_IDS)
            print_ids(printing, &entry);
        else if (entry.type != WAL_ENTRY_EPOCH)
            print_unknown(printing, header, &entry, group);
    }
    if (read == WAL_READ_SHAPE)
        (void)fprintf(printing->notes,
                      "urn-wal: group at LSN %" PRIu64 ", byte %" PRIu32 ": %s; stepped over\n",
                      header->lsn, offset, wal_read_result_text(read));
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Keeps the state up with the log for as long as that is possible; afterwards names are as of
 * then. A group is applied before it is printed, so that what it adds has its name; names never
 * change, and a group that cannot be true is printed all the same. */
static void follow(struct printing *printing, const struct wal_reader *reader,
                   const struct wal_group_header *header, const uint8_t *group)
{
    struct urn_error error;
    if (!printing->applying)
        return;
    printing->state.tail = *wal_reader_tail(reader);
    if (apply_group(&printing->state, header, group, &error) == URN_OK)
        return;
    printing->applying = false;
    printing->untrue = error.code != URN_FORMAT;
    (void)fprintf(printing->notes, "urn-wal: %s from here on: %s\n",
                  printing->untrue ? "cannot be true" : "not everything is understood", error.text);
}

static enum urn_code print_log(struct printing *printing, struct wal_reader *reader,
                               uint64_t stop_lsn, enum cat_end *end, struct urn_error *error)
{
    struct wal_group_header header;
    const uint8_t *group = NULL;
    enum wal_step step = WAL_STEP_GROUP;
    while (wal_reader_tail(reader)->lsn < stop_lsn && !output_failed(printing->output)) {
        step = wal_reader_next(reader, &header, &group, error);
        if (step != WAL_STEP_GROUP || header.lsn >= stop_lsn)
            break;
        follow(printing, reader, &header, group);
        if (header.lsn >= printing->request->from_lsn) {
            if (printing->request->groups)
                print_group(printing->output, &header);
            print_entries(printing, &header, group);
        }
    }
    const bool damage =
        step == WAL_STEP_UNREADABLE || (step == WAL_STEP_ERROR && error->code == URN_DAMAGED);
    if (step == WAL_STEP_ERROR && !damage)
        return error->code;
    *end = damage ? CAT_DAMAGE : printing->untrue ? CAT_MEANING : CAT_END;
    if (damage)
        (void)fprintf(printing->notes, "urn-wal: stopped at LSN %" PRIu64 ": %s\n",
                      wal_reader_tail(reader)->lsn, error->text);
    else if (step == WAL_STEP_INVALID && wal_reader_why(reader) != WAL_READ_ZERO)
        (void)fprintf(printing->notes,
                      "urn-wal: the log ends at LSN %" PRIu64
                      ": %s; `urn-wal verify` says whether that is in order\n",
                      wal_reader_tail(reader)->lsn, wal_read_result_text(wal_reader_why(reader)));
    return URN_OK;
}

/* The older of the two newest snapshots that load: from there on the log is kept. Where from_lsn
 * lies behind the newer one, that will do. */
static enum urn_code load_start(const struct log_view *view, uint64_t from_lsn, struct state *state,
                                struct urn_error *error)
{
    bool loaded = false;
    for (uint32_t which = 0; which < view->snapshot_count; which++) {
        struct state older;
        struct urn_error failure;
        const enum urn_code code = log_view_load(view, which, &older, &failure);
        if (code == URN_OK) {
            if (loaded)
                state_free(state);
            *state = older;
            if (loaded || older.tail.lsn <= from_lsn)
                return URN_OK;
            loaded = true;
        } else if (!loaded) {
            *error = failure;
        }
    }
    if (loaded)
        return URN_OK;
    if (view->snapshot_count == 0)
        return error_set(error, URN_DAMAGED, 0, "%.200s has no snapshot", view->data_dir.path);
    return error->code;
}

/* Up to where it may be printed: all there is, but beside a server only what is durable by now. */
static enum urn_code find_stop(const struct log_view *view, uint64_t *stop_lsn,
                               struct urn_error *error)
{
    if (!log_view_in_use(view))
        return URN_OK;
    struct wal_evidence evidence;
    const enum urn_code code = wal_search_evidence(&view->data_dir, 0, NULL, &evidence, error);
    if (code == URN_OK && evidence.durable_lsn_max < *stop_lsn)
        *stop_lsn = evidence.durable_lsn_max;
    return code;
}

static enum urn_code cat_view(const struct log_view *view, struct printing *printing,
                              enum cat_end *end, struct urn_error *error)
{
    uint64_t stop_lsn = printing->request->to_lsn;
    enum urn_code code = find_stop(view, &stop_lsn, error);
    if (code != URN_OK)
        return code;
    code = load_start(view, printing->request->from_lsn, &printing->state, error);
    if (code != URN_OK)
        return code;
    struct wal_reader *reader = NULL;
    code = wal_reader_open(&view->data_dir, &printing->state.tail, &reader, error);
    if (code == URN_OK)
        code = print_log(printing, reader, stop_lsn, end, error);
    wal_reader_close(reader);
    state_free(&printing->state);
    return code;
}

enum urn_code cat_directory(struct urn_os *os, const char *path, in_use_probe in_use,
                            void *in_use_context, const struct cat_request *request, FILE *out,
                            FILE *notes, enum cat_end *end, struct urn_error *error)
{
    *end = CAT_END;
    struct log_view view;
    struct printing printing = {
        .request = request,
        .output = malloc(sizeof *printing.output),
        .notes = notes,
        .applying = true,
    };
    if (printing.output == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print the log");
    enum urn_code code = log_view_open(&view, os, path, in_use, in_use_context, error);
    if (code == URN_OK) {
        output_begin(printing.output, out);
        code = cat_view(&view, &printing, end, error);
        if (!output_end(printing.output) && code == URN_OK)
            code = error_set(error, URN_IO, errno, "cannot write the output");
        log_view_close(&view);
    }
    free(printing.output);
    return code;
}
