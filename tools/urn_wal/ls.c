/* ls.c: `urn-wal ls`: the files of a log in the order of the log, and what each holds.
 *
 * All groups are read and their checksums checked, which is quick; the chain is followed by what the headers
 * say of it, without its hashes: those are verify's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/identity.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/columns.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/output.h"
#include "tools/urn_wal/time_text.h"

struct ls_options {
    bool json;
};

static const struct option_row rows[] = {
    {"--json", NULL, offsetof(struct ls_options, json), NULL},
    {.name = NULL},
};

/* ---- what is found ------------------------------------------------------------------------------- */

/* What a segment holds of the log. */
struct holding {
    const struct history_segment *segment; /* of the history as it was when the walk ended */
    uint64_t end_lsn;                      /* of the groups that it holds */
    uint64_t groups;
    uint64_t draws;
    uint32_t epoch_first;
    uint32_t epoch_last;
};

/* What a snapshot is found to hold. */
struct content {
    bool valid;
    uint64_t time_us;
    uint32_t pools;
    uint64_t items;
    uint64_t next_request_id;
    char why[sizeof((struct urn_error *)NULL)->text]; /* it is not valid */
};

struct gap {
    struct walk_break what;
    uint64_t next_id;
    uint64_t first_id; /* 0: not known */
};

struct ls {
    const struct tool *tool;
    struct history history;
    struct holding *holdings; /* of the history's segments, in their order */
    uint32_t holding_room;
    struct content *contents; /* of the history's snapshots, in their order */
    struct gap *gaps;
    uint32_t gap_count;
    struct walk walk; /* as it ended */
    bool damaged;
    bool missing;
};

static enum urn_code add_gap(struct ls *ls, const struct walk_break *what, uint64_t next_id,
                             struct urn_error *error)
{
    struct gap *larger = realloc(ls->gaps, (ls->gap_count + 1) * sizeof *larger);
    if (larger == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the log");
    ls->gaps = larger;
    ls->gaps[ls->gap_count++] = (struct gap){.what = *what, .next_id = next_id};
    if (break_is_known_gap(what))
        return URN_OK;
    if (break_is_missing_file(&ls->history, what))
        ls->missing = true;
    else
        ls->damaged = true;
    return URN_OK;
}

/* Of the segment with this sequence. The table is by index, which a refresh may change: beside a server
 * a holding is found by its sequence again. */
static void count_group(struct ls *ls, const struct wal_group_header *header)
{
    const struct history_segment *segment = history_at(&ls->history, header->lsn);
    if (segment == NULL || segment - ls->history.segments >= ls->holding_room)
        return;
    struct holding *holding = &ls->holdings[segment - ls->history.segments];
    if (holding->groups == 0)
        holding->epoch_first = header->epoch;
    holding->epoch_last = header->epoch;
    holding->end_lsn = header->lsn + header->length_bytes;
    holding->groups++;
    holding->draws += header->draws;
}

/* *overtaken: a server has overwritten a part meanwhile, and all is to be listed anew. */
static enum urn_code walk_all(struct ls *ls, bool *overtaken, struct urn_error *error)
{
    uint64_t next_id = 0;
    bool gap_open = false;
    for (;;) {
        switch (walk_next(&ls->walk, error)) {
        case WALK_GROUP:
            if (gap_open)
                ls->gaps[ls->gap_count - 1].first_id = ls->walk.item.header.first_request_id;
            gap_open = false;
            next_id = ls->walk.item.header.first_request_id + ls->walk.item.header.draws;
            count_group(ls, &ls->walk.item.header);
            break;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            *overtaken = ls->walk.gap.kind == WALK_OVERWRITTEN;
            if (*overtaken)
                return URN_OK;
            if (add_gap(ls, &ls->walk.gap, next_id, error) != URN_OK)
                return error->code;
            gap_open = true;
            break;
        case WALK_END:
            return URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
}

/* *overtaken: a server has removed one meanwhile. */
static enum urn_code load_snapshots(struct ls *ls, bool *overtaken, struct urn_error *error)
{
    for (uint32_t which = 0; which < ls->history.snapshot_count && !*overtaken; which++) {
        struct content *content = &ls->contents[which];
        struct state state;
        const enum urn_code code = history_load(&ls->history, which, &state, error);
        *overtaken = history_lost(&ls->history, code, error);
        if (code == URN_NOMEMORY)
            return code;
        content->valid = code == URN_OK;
        if (!content->valid) {
            memcpy(content->why, error->text, sizeof content->why);
            ls->damaged = true;
            continue;
        }
        content->time_us = state.wall_time_us;
        content->pools = state.pool_count;
        content->items = state.item_count;
        content->next_request_id = state.next_request_id;
        state_free(&state);
    }
    return URN_OK;
}

/* Tables for what the history lists now. */
static enum urn_code make_tables(struct ls *ls, struct urn_error *error)
{
    free(ls->holdings);
    free(ls->contents);
    ls->gap_count = 0;
    ls->damaged = ls->missing = false;
    ls->holding_room = ls->history.segment_count;
    ls->holdings = calloc(ls->holding_room + 1, sizeof *ls->holdings);
    ls->contents = calloc(ls->history.snapshot_count + 1, sizeof *ls->contents);
    if (ls->holdings == NULL || ls->contents == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the log");
    return URN_OK;
}

/* The server was faster each time: the files as they are listed now, without what is in the segments. */
static enum urn_code give_up_walk(struct ls *ls, struct urn_error *error)
{
    bool gone = false;
    enum urn_code code = history_refresh(&ls->history, error);
    if (code == URN_OK)
        code = make_tables(ls, error);
    if (code == URN_OK)
        code = load_snapshots(ls, &gone, error);
    ls->damaged = ls->damaged && !gone;
    (void)fprintf(ls->tool->notes, "urn-wal: the server overwrites the log faster than it can be "
                                   "read: what the segments hold is not counted\n");
    return code;
}

static enum urn_code look(struct ls *ls, bool *overtaken, struct urn_error *error)
{
    *overtaken = false;
    enum urn_code code = make_tables(ls, error);
    if (code == URN_OK)
        code = load_snapshots(ls, overtaken, error);
    if (code != URN_OK || *overtaken)
        return code;
    code = walk_begin(&ls->history, 0, UINT64_MAX, 0, SCAN_CHECKSUMS, &ls->walk, error);
    for (uint32_t i = 0; code == URN_OK && i < ls->history.gap_count; i++) {
        const struct history_gap *gap = &ls->history.gaps[i];
        const struct walk_break before = {.kind = WALK_MISSING,
                                          .from_lsn = gap->from_lsn,
                                          .to_lsn = gap->to_lsn,
                                          .known_gap = true};
        if (gap->to_lsn <= ls->walk.tail.lsn) /* the walk does not come to it */
            code = add_gap(ls, &before, 0, error);
    }
    if (code == URN_OK)
        code = walk_all(ls, overtaken, error);
    walk_end(&ls->walk);
    return code;
}

/* ---- telling --------------------------------------------------------------------------------------- */

static const char *state_of(const struct ls *ls, const struct history_segment *segment,
                            const struct holding *holding)
{
    if (segment->state == HISTORY_MISSING)
        return "missing";
    if (segment->state == HISTORY_FREE)
        return segment->header_why == WAL_READ_ZERO ? "free" : "foreign";
    const uint64_t begin = segment->begin_lsn;
    if (begin >= ls->walk.tail.lsn && holding->groups == 0 && begin > 0)
        return "stale"; /* an earlier start has discarded it */
    if (segment->uses_spare)
        return "archived; the ring's is damaged";
    if (segment->archived)
        return "archived";
    if (segment->has_spare)
        return "full, archived";
    return ls->walk.tail.lsn >= history_end_lsn(segment) ? "full" : "open";
}

static uint32_t gaps_in(const struct ls *ls, const struct history_segment *segment)
{
    uint32_t count = 0;
    for (uint32_t i = 0; segment->state == HISTORY_LOG && i < ls->gap_count; i++)
        count += history_holds(segment, ls->gaps[i].what.from_lsn) &&
                 !break_is_known_gap(&ls->gaps[i].what);
    count += segment->uses_spare;
    return count;
}

static void print_segments(const struct ls *ls, FILE *out)
{
    static const char *const titles[] = {"SEGMENT", ">FROM LSN", ">TO LSN", ">GROUPS",
                                         ">DRAWS",  "STATE",     "EPOCHS",  "DAMAGE"};
    struct columns columns;
    columns_begin(&columns, titles, sizeof titles / sizeof titles[0]);
    for (uint32_t index = 0; index < ls->history.segment_count; index++) {
        const struct history_segment *segment = &ls->history.segments[index];
        const struct holding *holding = &ls->holdings[index];
        columns_add(&columns, "%s", segment->name);
        if (segment->state == HISTORY_LOG)
            columns_add(&columns, "%" PRIu64, segment->begin_lsn);
        else
            columns_add(&columns, "-");
        if (holding->groups > 0) {
            columns_add(&columns, "%" PRIu64, holding->end_lsn);
            columns_add(&columns, "%" PRIu64, holding->groups);
            columns_add(&columns, "%" PRIu64, holding->draws);
        } else {
            columns_add(&columns, "-");
            columns_add(&columns, "-");
            columns_add(&columns, "-");
        }
        columns_add(&columns, "%s", state_of(ls, segment, holding));
        if (holding->groups == 0)
            columns_add(&columns, "-");
        else if (holding->epoch_first == holding->epoch_last)
            columns_add(&columns, "%" PRIu32, holding->epoch_first);
        else
            columns_add(&columns, "%" PRIu32 "-%" PRIu32, holding->epoch_first,
                        holding->epoch_last);
        const uint32_t gaps = gaps_in(ls, segment);
        columns_add(&columns, gaps == 0 ? "-" : gaps == 1 ? "1 place" : "%" PRIu32 " places", gaps);
    }
    (void)columns_print(&columns, out);
}

/* "3 m 20 s": how long ago, in two units. */
static void age_text(uint64_t age_us, char text[40])
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    const uint64_t seconds = age_us / 1000000;
    for (size_t i = 0; i + 1 < sizeof units / sizeof units[0]; i++)
        if (seconds >= units[i].seconds) {
            (void)snprintf(text, 40, "%" PRIu64 " %s %" PRIu64 " %s", seconds / units[i].seconds,
                           units[i].unit, seconds % units[i].seconds / units[i + 1].seconds,
                           units[i + 1].unit);
            return;
        }
    (void)snprintf(text, 40, "%" PRIu64 " s", seconds);
}

static void print_snapshots(const struct ls *ls, FILE *out)
{
    static const char *const titles[] = {"SNAPSHOT", ">LSN",     "AGE",  ">POOLS",
                                         ">ITEMS",   ">NEXT ID", "STATE"};
    struct columns columns;
    columns_begin(&columns, titles, sizeof titles / sizeof titles[0]);
    const uint64_t now_us = os_wall_us(ls->tool->os);
    for (uint32_t which = ls->history.snapshot_count; which-- > 0;) {
        const struct history_snapshot *snapshot = &ls->history.snapshots[which];
        const struct content *content = &ls->contents[which];
        char age[40];
        columns_add(&columns, "%s", snapshot->name);
        columns_add(&columns, "%" PRIu64, snapshot->id.lsn);
        if (content->valid) {
            age_text(now_us > content->time_us ? now_us - content->time_us : 0, age);
            columns_add(&columns, "%s", age);
            columns_add(&columns, "%" PRIu32, content->pools);
            columns_add(&columns, "%" PRIu64, content->items);
            columns_add(&columns, "%" PRIu64, content->next_request_id);
            columns_add(&columns, "valid");
        } else {
            for (int cell = 0; cell < 4; cell++)
                columns_add(&columns, "-");
            columns_add(&columns, "NOT VALID: %s", content->why);
        }
    }
    (void)columns_print(&columns, out);
}

static void print_gaps(const struct ls *ls, FILE *out)
{
    char what[BREAK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    for (uint32_t i = 0; i < ls->gap_count; i++) {
        const struct gap *gap = &ls->gaps[i];
        break_text(&ls->history, &gap->what, gap->next_id, gap->first_id, what);
        (void)fprintf(out, "%s LSN %" PRIu64 " (%s): %s\n",
                      break_is_known_gap(&gap->what)                    ? "gap:"
                      : break_is_missing_file(&ls->history, &gap->what) ? "missing:"
                                                                        : "damage:",
                      gap->what.from_lsn, history_place(&ls->history, gap->what.from_lsn, place),
                      what);
    }
}

static void print_text(struct ls *ls, FILE *out)
{
    char ring[UUID_TEXT_BYTES];
    uuid_text(ls->history.geometry.ring_uuid, ring);
    if (ls->history.is_directory)
        (void)fprintf(out, "%s: ring %s, %" PRIu32 " segments of %" PRIu64 " KiB%s\n\n",
                      ls->history.path, ring, ls->history.geometry.segments,
                      ls->history.geometry.segment_size_bytes / 1024,
                      history_live(&ls->history) ? ", in use by a server" : "");
    if (ls->history.is_archive)
        (void)fprintf(out, "%s: archive of ring %s\n\n", ls->history.path, ring);
    if (ls->history.has_archive)
        (void)fprintf(out, "archive: %s\n\n", ls->history.archive_path);
    if (ls->history.segment_count > 0)
        print_segments(ls, out);
    if (ls->history.snapshot_count > 0) {
        (void)fputs(ls->history.segment_count > 0 ? "\n" : "", out);
        print_snapshots(ls, out);
    }
    if (ls->gap_count > 0)
        (void)fputc('\n', out);
    print_gaps(ls, out);
}

/* ---- for programs ------------------------------------------------------------------------------------ */

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void put_string(struct output *output, const char *name, const char *text)
{
    output_text(output, name);
    output_json_name(output, (struct urn_text){text, (uint32_t)strlen(text)});
}

static void json_segments(const struct ls *ls, struct output *output)
{
    output_text(output, ",\"segments\":[");
    for (uint32_t index = 0; index < ls->history.segment_count; index++) {
        const struct history_segment *segment = &ls->history.segments[index];
        const struct holding *holding = &ls->holdings[index];
        put_string(output, index == 0 ? "{\"file\":" : ",{\"file\":", segment->name);
        put_string(output, ",\"state\":", state_of(ls, segment, holding));
        if (segment->archived || segment->has_spare)
            output_text(output, ",\"archived\":true");
        if (segment->state == HISTORY_LOG)
            put_field(output, ",\"from_lsn\":", segment->begin_lsn);
        if (holding->groups > 0) {
            put_field(output, ",\"to_lsn\":", holding->end_lsn);
            put_field(output, ",\"groups\":", holding->groups);
            put_field(output, ",\"draws\":", holding->draws);
            put_field(output, ",\"epoch_first\":", holding->epoch_first);
            put_field(output, ",\"epoch_last\":", holding->epoch_last);
        }
        output_text(output, "}");
    }
    output_text(output, "]");
}

static void json_snapshots(const struct ls *ls, struct output *output)
{
    char time[TIME_TEXT_BYTES];
    output_text(output, ",\"snapshots\":[");
    for (uint32_t which = ls->history.snapshot_count; which-- > 0;) {
        const struct history_snapshot *snapshot = &ls->history.snapshots[which];
        const struct content *content = &ls->contents[which];
        put_string(output, which + 1 == ls->history.snapshot_count ? "{\"file\":" : ",{\"file\":",
                   snapshot->name);
        put_field(output, ",\"lsn\":", snapshot->id.lsn);
        if (content->valid) {
            time_text(content->time_us, time);
            put_string(output, ",\"valid\":true,\"time\":", time);
            put_field(output, ",\"pools\":", content->pools);
            put_field(output, ",\"items\":", content->items);
            put_field(output, ",\"next_request_id\":", content->next_request_id);
        } else {
            put_string(output, ",\"valid\":false,\"why\":", content->why);
        }
        output_text(output, "}");
    }
    output_text(output, "]");
}

static void json_gaps(const struct ls *ls, struct output *output)
{
    char what[BREAK_TEXT_BYTES];
    output_text(output, ",\"gaps\":[");
    for (uint32_t i = 0; i < ls->gap_count; i++) {
        const struct gap *gap = &ls->gaps[i];
        break_text(&ls->history, &gap->what, gap->next_id, gap->first_id, what);
        put_field(output, i == 0 ? "{\"from_lsn\":" : ",{\"from_lsn\":", gap->what.from_lsn);
        put_field(output, ",\"to_lsn\":", gap->what.to_lsn);
        put_string(output, ",\"what\":", what);
        output_text(output, break_is_known_gap(&gap->what) ? ",\"known\":true}" : "}");
    }
    output_text(output, "]");
}

static bool print_json(struct ls *ls, FILE *out)
{
    struct output *output = malloc(sizeof *output);
    if (output == NULL)
        return false;
    char ring[UUID_TEXT_BYTES];
    uuid_text(ls->history.geometry.ring_uuid, ring);
    output_begin(output, out);
    put_string(output, "{\"path\":", ls->history.path);
    put_string(output, ",\"ring\":", ring);
    put_field(output, ",\"segment_size\":", ls->history.geometry.segment_size_bytes);
    output_text(output, history_live(&ls->history) ? ",\"in_use\":true" : ",\"in_use\":false");
    if (ls->history.has_archive)
        put_string(output, ",\"archive\":", ls->history.archive_path);
    put_field(output, ",\"end_lsn\":", ls->walk.tail.lsn);
    json_segments(ls, output);
    json_snapshots(ls, output);
    json_gaps(ls, output);
    output_text(output, "}");
    output_line_end(output);
    const bool printed = output_end(output);
    free(output);
    return printed;
}

/* ---- the command ---------------------------------------------------------------------------------------- */

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    enum { LOOKS_MAX = 8 };
    struct ls ls = {.tool = tool};
    struct urn_error error;
    enum urn_code code = history_open(&ls.history, tool, operands, operand_count, &error);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    bool overtaken = true;
    for (int looks = 1; code == URN_OK && overtaken; looks++) {
        code = look(&ls, &overtaken, &error);
        if (looks == LOOKS_MAX)
            break;
        if (code == URN_OK && overtaken)
            code = history_refresh(&ls.history, &error);
    }
    if (code == URN_OK && overtaken)
        code = give_up_walk(&ls, &error);
    if (code == URN_OK && ((const struct ls_options *)options)->json) {
        if (!print_json(&ls, tool->out))
            code = error_set(&error, URN_IO, errno, "cannot write the output");
    } else if (code == URN_OK) {
        print_text(&ls, tool->out);
    }
    for (uint32_t index = 0; index < ls.history.segment_count; index++)
        ls.missing = ls.missing || ls.history.segments[index].state == HISTORY_MISSING;
    for (uint32_t index = 0; index < ls.history.log_count; index++)
        ls.damaged = ls.damaged || ls.history.segments[index].uses_spare;
    free(ls.holdings);
    free(ls.contents);
    free(ls.gaps);
    history_close(&ls.history);
    if (code != URN_OK)
        return tool_fail(tool, &error);
    return ls.damaged ? EXIT_DAMAGE : ls.missing ? EXIT_MISSING : EXIT_SOUND;
}

const struct command command_ls = {
    .name = "ls",
    .summary = "lists segments and snapshots: positions, groups, draws, state, damage",
    .usage = "DIR | FILE... [--json]",
    .help =
        "Lists the files of a log in the order of the log, oldest first. Reads all groups and "
        "checks\n"
        "their checksums; verify checks the rest.\n"
        "\n"
        "States: full, open (the log ends in it), free (never written), stale (discarded by a "
        "start),\n"
        "foreign (holds nothing of this ring), missing.\n"
        "\n"
        "    --json       prints one JSON object\n"
        "\n"
        "exit status: 0 listed, 2 something is damaged, 3 something is missing, 64 wrong usage,\n"
        "66 cannot open, 74 cannot read or write\n"
        "\n"
        "example:\n"
        "    urn-wal ls /var/lib/urn\n",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory, or files of one",
    .options_bytes = sizeof(struct ls_options),
    .options = rows,
    .run = run,
};
