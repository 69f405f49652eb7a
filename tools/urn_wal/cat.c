/* cat.c: `urn-wal cat`: what stands in the log, line by line: forward, in reverse, and as it grows.
 *
 * Groups are walked (walk.h), stepped through by the engine's decoder and printed as cat_print.h has it.
 * In reverse, a segment is walked forward first, for only that finds its groups; then it is read once more by
 * pieces, the last one first.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/check.h"
#include "tools/urn_wal/cat_print.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/gap_notes.h"
#include "tools/urn_wal/history_archive.h"
#include "tools/urn_wal/locate.h"
#include "tools/urn_wal/snapshot_lines.h"

/* ---- options ------------------------------------------------------------------------------------ */

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV, FORMATS };

struct cat_options {
    struct selection selection;
    uint64_t count;
    enum format format;
    bool groups;
    bool follow;
};

static const struct cat_options defaults = {.selection = {.to_lsn = UINT64_MAX,
                                                          .until_us = UINT64_MAX,
                                                          .ids = {.first = 0, .last = UINT64_MAX}},
                                            .count = UINT64_MAX};

static const struct line_format *const formats[FORMATS] = {&lines_text, &lines_json, &lines_csv};

static bool parse_kinds(const char *text, void *field)
{
    uint32_t *kinds = field;
    while (*text != 0) {
        const size_t length = strcspn(text, ",");
        uint32_t kind = 0;
        while (kind < LINE_KINDS && (strlen(line_kind_names[kind]) != length ||
                                     strncmp(line_kind_names[kind], text, length) != 0))
            kind++;
        if (kind == LINE_KINDS)
            return false;
        *kinds |= 1u << kind;
        text += length + (text[length] == ',' ? 1 : 0);
    }
    return *kinds != 0;
}

static bool parse_format(const char *text, void *field)
{
    static const char *const names[FORMATS] = {"text", "json", "csv"};
    for (uint32_t format = 0; format < FORMATS; format++)
        if (strcmp(text, names[format]) == 0) {
            *(enum format *)field = (enum format)format;
            return true;
        }
    return false;
}

#define FIELD(field) offsetof(struct cat_options, field)

static const struct option_row rows[] = {
    {"--from", WANTS_LSN, FIELD(selection.from_lsn), parse_lsn},
    {"--to", WANTS_LSN, FIELD(selection.to_lsn), parse_lsn},
    {"--since", WANTS_TIME, FIELD(selection.since_us), parse_time},
    {"--until", WANTS_TIME, FIELD(selection.until_us), parse_time},
    {"--pool", "a pool's name", FIELD(selection.pool), parse_text},
    {"--item", "an item's id", FIELD(selection.item), parse_text},
    {"--request-id", "an id or a range of ids, such as 1000 or 1000-1999", FIELD(selection.ids),
     parse_id_range},
    {"--type",
     "kinds of lines with commas between: draw, update, add, create, open, close, applied, ids, "
     "unknown, group, pad, mark, epoch, snapshot",
     FIELD(selection.kinds), parse_kinds},
    {"--failed", NULL, FIELD(selection.failed), NULL},
    {"-n", WANTS_COUNT, FIELD(count), parse_count},
    {"--reverse", NULL, FIELD(selection.reverse), NULL},
    {"--groups", NULL, FIELD(groups), NULL},
    {"--hex", NULL, FIELD(selection.hex), NULL},
    {"--follow", NULL, FIELD(follow), NULL},
    {"--format", "text, json or csv", FIELD(format), parse_format},
    {.name = NULL},
};

/* ---- the job ------------------------------------------------------------------------------------- */

struct cat {
    const struct tool *tool;
    struct cat_options options;
    struct history history;
    struct names names;
    struct output *output;
    struct cat_print print;
    struct history_snapshot *snapshots; /* as they were at first: a server adds and removes some */
    uint32_t snapshot_count;
    uint32_t snapshots_left; /* whose lines are still to come, in the order of printing */
    struct gap_notes gaps;
};

static bool has_more_to_print(const struct cat *cat)
{
    return !cat_print_is_done(&cat->print);
}

/* Lines of the snapshots that were taken at or before lsn (in reverse: at or behind it), as far as they have
 * not been printed yet. */
static void print_snapshots_to(struct cat *cat, uint64_t lsn)
{
    const bool reverse = cat->options.selection.reverse;
    while (cat->snapshots_left > 0) {
        const uint32_t which =
            reverse ? cat->snapshot_count - cat->snapshots_left : cat->snapshots_left - 1;
        const struct history_snapshot *snapshot = &cat->snapshots[which];
        if (reverse ? snapshot->id.lsn < lsn : snapshot->id.lsn > lsn)
            return;
        cat_print_snapshot(&cat->print, snapshot);
        cat->snapshots_left--;
    }
}

static enum urn_code print_group(struct cat *cat, const struct wal_group_header *header,
                                 const uint8_t *group, struct urn_error *error)
{
    const bool reverse = cat->options.selection.reverse;
    print_snapshots_to(cat, reverse ? header->lsn + header->length_bytes : header->lsn);
    return cat_print_group(&cat->print, header, group, error);
}

/* ---- forward --------------------------------------------------------------------------------------- */

/* Groups from here on have only what was not asked for. */
static bool is_behind(const struct cat *cat, const struct wal_group_header *header)
{
    const struct selection *selection = &cat->options.selection;
    return header->lsn >= selection->to_lsn ||
           (selection->ids.first > 0 && header->first_request_id > selection->ids.last);
}

static enum urn_code walk_forward(struct cat *cat, struct walk *walk, bool *behind,
                                  struct urn_error *error)
{
    while (has_more_to_print(cat)) {
        switch (walk_next(walk, error)) {
        case WALK_GROUP:
            gap_notes_group(&cat->gaps, &walk->item.header);
            *behind = is_behind(cat, &walk->item.header);
            if (*behind)
                return URN_OK;
            if (print_group(cat, &walk->item.header, walk->item.bytes, error) != URN_OK)
                return error->code;
            break;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            gap_notes_break(&cat->gaps, &walk->gap);
            break;
        case WALK_END:
            return URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
    return URN_OK;
}

/* Prints what comes, as it becomes durable, until nobody reads it any more. */
static enum urn_code follow(struct cat *cat, struct walk *walk, struct urn_error *error)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    bool behind = false;
    while (!behind && has_more_to_print(cat)) {
        bool more = false;
        output_flush(cat->output);
        if (walk_resume(walk, 0, &more, error) != URN_OK)
            return error->code;
        if (more && walk_forward(cat, walk, &behind, error) != URN_OK)
            return error->code;
        if (!more)
            (void)nanosleep(&pause, NULL);
    }
    return URN_OK;
}

/* Where the first group lies that may be asked for. */
static enum urn_code find_start(struct cat *cat, uint64_t *lsn, struct urn_error *error)
{
    const struct selection *selection = &cat->options.selection;
    uint64_t by_id = 0;
    uint64_t by_lsn = 0;
    enum urn_code code = URN_OK;
    if (selection->ids.first > 0)
        code = locate_start(&cat->history, selection->ids.first, &by_id, error);
    if (code == URN_OK && selection->from_lsn > 0)
        code = walk_find_group(&cat->history, selection->from_lsn, &by_lsn, error);
    *lsn = by_id > by_lsn ? by_id : by_lsn;
    return code == URN_OK ? walk_safe_start(&cat->history, lsn, error) : code;
}

static enum urn_code print_forward(struct cat *cat, struct urn_error *error)
{
    uint64_t lsn = 0;
    bool behind = false;
    enum urn_code code = find_start(cat, &lsn, error);
    if (code != URN_OK || (lsn == NO_LSN && !cat->options.follow))
        return code;
    struct walk walk;
    code = walk_begin(&cat->history, lsn, UINT64_MAX, 0, SCAN_DIGESTS, &walk, error);
    if (code == URN_OK)
        code = walk_forward(cat, &walk, &behind, error);
    if (code == URN_OK && !behind && has_more_to_print(cat)) {
        gap_notes_end(&cat->gaps, &walk);
        print_snapshots_to(cat, UINT64_MAX);
        if (cat->options.follow)
            code = follow(cat, &walk, error);
    }
    walk_end(&walk);
    return code;
}

/* ---- in reverse -------------------------------------------------------------------------------------- */

/* Groups of a segment that lie one behind the other, as many as are read at once. */
struct piece {
    uint64_t begin_lsn;
    uint64_t end_lsn;
};

#define PIECE_BYTES (1024u * 1024)

struct pieces {
    struct piece *pieces;
    uint32_t count;
    uint32_t room;
};

static enum urn_code add_to_pieces(struct pieces *pieces, const struct wal_group_header *header,
                                   struct urn_error *error)
{
    struct piece *last = pieces->count > 0 ? &pieces->pieces[pieces->count - 1] : NULL;
    if (last != NULL && last->end_lsn == header->lsn &&
        last->end_lsn - last->begin_lsn < PIECE_BYTES) {
        last->end_lsn += header->length_bytes;
        return URN_OK;
    }
    if (pieces->count == pieces->room) {
        const uint32_t room = pieces->room == 0 ? 128 : 2 * pieces->room;
        struct piece *larger = realloc(pieces->pieces, room * sizeof *larger);
        if (larger == NULL)
            return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print in reverse");
        pieces->pieces = larger;
        pieces->room = room;
    }
    pieces->pieces[pieces->count++] =
        (struct piece){.begin_lsn = header->lsn, .end_lsn = header->lsn + header->length_bytes};
    return URN_OK;
}

/* What has been read of a piece. */
struct piece_text {
    uint8_t *bytes;
    uint32_t *offsets; /* of the groups */
    uint32_t count;
    uint64_t whole_bytes; /* so much of it is as it was found */
};

/* From where the history has it now, which may be elsewhere than where it was found. */
static enum urn_code read_piece(const struct cat *cat, const struct piece *piece,
                                struct piece_text *text, struct urn_error *error)
{
    const struct history_segment *segment = history_at(&cat->history, piece->begin_lsn);
    const uint64_t length = piece->end_lsn - piece->begin_lsn;
    const uint64_t ring_short = wal_ring_short(cat->history.geometry.ring_uuid);
    uint64_t got = 0;
    uint64_t bad = 0;
    struct os_file *file = NULL;
    text->count = 0;
    text->whole_bytes = 0;
    if (segment == NULL)
        return URN_OK;
    const int failure = os_file_open(segment->dir, segment->name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    const enum urn_code code =
        history_read(file, segment->name, piece->begin_lsn - segment->begin_lsn, text->bytes,
                     length, &got, &bad, error);
    os_file_close(file);
    uint64_t at = 0;
    while (code == URN_OK && at < length) {
        struct wal_group_header header;
        if (wal_group_read(text->bytes + at, got - at, ring_short, &header) != WAL_READ_OK ||
            header.lsn != piece->begin_lsn + at)
            break;
        text->offsets[text->count++] = (uint32_t)at;
        at += header.length_bytes;
    }
    text->whole_bytes = at;
    return code;
}

/* The groups of a piece, from the last to the first. They have been found whole before; what a server has
 * written over since is read from the archive, or passed by, and said. */
static enum urn_code print_piece(struct cat *cat, const struct piece *piece,
                                 struct piece_text *text, struct urn_error *error)
{
    const uint64_t length = piece->end_lsn - piece->begin_lsn;
    const uint64_t ring_short = wal_ring_short(cat->history.geometry.ring_uuid);
    enum urn_code code = read_piece(cat, piece, text, error);
    if (code == URN_OK && text->whole_bytes < length &&
        history_archive_stands_in(&cat->history, piece->begin_lsn))
        code = read_piece(cat, piece, text, error);
    if (code == URN_OK && text->whole_bytes < length) {
        cat->gaps.missing = true;
        (void)fprintf(cat->tool->notes,
                      "urn-wal: LSN %" PRIu64 " has been overwritten while it was being read\n",
                      piece->begin_lsn + text->whole_bytes);
    }
    while (code == URN_OK && text->count-- > 0 && has_more_to_print(cat)) {
        const uint32_t at = text->offsets[text->count];
        struct wal_group_header header;
        (void)wal_group_read(text->bytes + at, text->whole_bytes - at, ring_short, &header);
        code = print_group(cat, &header, text->bytes + at, error);
    }
    return code;
}

static enum urn_code print_pieces(struct cat *cat, const struct pieces *pieces,
                                  struct urn_error *error)
{
    const uint64_t capacity = PIECE_BYTES + (uint64_t)GROUP_BYTES_MAX;
    struct piece_text text = {.bytes = malloc(capacity)};
    text.offsets = malloc(capacity / WAL_GROUP_HEADER_BYTES * sizeof *text.offsets);
    enum urn_code code = URN_OK;
    if (text.bytes == NULL || text.offsets == NULL)
        code = error_set(error, URN_NOMEMORY, ENOMEM, "cannot print in reverse");
    for (uint32_t i = pieces->count; code == URN_OK && i > 0 && has_more_to_print(cat); i--)
        code = print_piece(cat, &pieces->pieces[i - 1], &text, error);
    free(text.bytes);
    free(text.offsets);
    return code;
}

/* Walks a segment forward. */
static enum urn_code find_pieces(struct cat *cat, uint64_t begin_lsn, uint64_t end_lsn,
                                 struct pieces *pieces, struct urn_error *error)
{
    struct walk walk;
    enum urn_code code =
        walk_begin(&cat->history, begin_lsn, end_lsn, 0, SCAN_DIGESTS, &walk, error);
    cat->gaps.next_id = 0;
    while (code == URN_OK) {
        const enum walk_step step = walk_next(&walk, error);
        if (step == WALK_GROUP) {
            gap_notes_group(&cat->gaps, &walk.item.header);
            code = add_to_pieces(pieces, &walk.item.header, error);
        } else if (step == WALK_BREAK) {
            gap_notes_break(&cat->gaps, &walk.gap);
            if (walk.gap.to_lsn >= end_lsn)
                break;
        } else if (step == WALK_END) {
            break;
        } else if (step == WALK_ERROR) {
            code = error->code;
        }
    }
    gap_notes_flush(&cat->gaps);
    walk_end(&walk);
    return code;
}

/* Walks ahead to the end of the log, *end_lsn. On the way the names are learnt that come too late in
 * reverse; and only so it is known what at the very end is the log, and what an earlier start has discarded.
 */
static enum urn_code walk_ahead(struct cat *cat, uint64_t *end_lsn, struct urn_error *error)
{
    struct walk walk;
    const enum urn_code code = names_learn_log(&cat->names, &cat->history, &walk, error);
    if (code == URN_OK)
        gap_notes_end(&cat->gaps, &walk);
    *end_lsn = walk.tail.lsn;
    walk_end(&walk);
    return code;
}

/* The newest segment that begins below lsn; the count: none does. */
static uint32_t last_below(const struct history *history, uint64_t lsn)
{
    uint32_t index = history->log_count;
    while (index > 0 && history->segments[index - 1].begin_lsn >= lsn)
        index--;
    return index > 0 ? index - 1 : history->log_count;
}

static enum urn_code print_reverse(struct cat *cat, struct urn_error *error)
{
    const struct history *history = &cat->history;
    uint64_t end_lsn = 0;
    enum urn_code code = walk_ahead(cat, &end_lsn, error);
    for (uint64_t below_lsn = end_lsn; code == URN_OK && has_more_to_print(cat);) {
        /* By its place: a server may make the walk look at the files anew. */
        const uint32_t index = last_below(history, below_lsn);
        if (index == history->log_count)
            break;
        const uint64_t begin = history->segments[index].begin_lsn;
        const uint64_t end = history_end_lsn(&history->segments[index]);
        struct pieces pieces = {.count = 0};
        code = find_pieces(cat, begin, end < below_lsn ? end : below_lsn, &pieces, error);
        if (code == URN_OK)
            code = print_pieces(cat, &pieces, error);
        free(pieces.pieces);
        if (begin <= cat->options.selection.from_lsn)
            break;
        below_lsn = begin;
    }
    if (code == URN_OK && has_more_to_print(cat))
        print_snapshots_to(cat, 0);
    return code;
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

static enum urn_code print_snapshot_files(struct cat *cat, struct urn_error *error)
{
    const struct history *history = &cat->history;
    if (cat->options.format == FORMAT_CSV)
        snapshot_csv_begin(cat->output);
    for (uint32_t which = 0; which < history->snapshot_count; which++) {
        struct state state;
        const enum urn_code code = history_load(history, which, &state, error);
        if (code != URN_OK)
            return code;
        if (cat->options.format == FORMAT_JSON)
            snapshot_json(cat->output, &state, &history->geometry, history->snapshots[which].name);
        else if (cat->options.format == FORMAT_CSV)
            snapshot_csv(cat->output, &state);
        else
            snapshot_text(cat->output, &state);
        state_free(&state);
    }
    return URN_OK;
}

/* ---- the command ---------------------------------------------------------------------------------------- */

/* Keeps the list of snapshots as it is now. */
static enum urn_code keep_snapshots(struct cat *cat, struct urn_error *error)
{
    const struct history *history = &cat->history;
    cat->snapshot_count = cat->snapshots_left = history->snapshot_count;
    cat->snapshots = calloc(history->snapshot_count + 1, sizeof *cat->snapshots);
    if (cat->snapshots == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print the log");
    memcpy(cat->snapshots, history->snapshots,
           history->snapshot_count * sizeof *history->snapshots);
    return URN_OK;
}

static enum urn_code print_log(struct cat *cat, struct urn_error *error)
{
    const struct cat_options *options = &cat->options;
    enum urn_code code = names_begin(&cat->names, &cat->history, error);
    if (code != URN_OK)
        return code;
    if (!cat->names.known && cat->history.is_directory)
        (void)fprintf(cat->tool->notes,
                      "urn-wal: no snapshot can be loaded: numbers stand for names\n");
    code = keep_snapshots(cat, error);
    if (code == URN_OK) {
        const struct printer printer = {
            .format = formats[options->format], .output = cat->output, .names = &cat->names};
        cat_print_begin(&cat->print, &options->selection, &printer, cat->tool->notes,
                        options->count);
        code = options->selection.reverse ? print_reverse(cat, error) : print_forward(cat, error);
        cat_print_end(&cat->print);
    }
    free(cat->snapshots);
    names_end(&cat->names);
    return code;
}

/* What does not go together. NULL: all does. */
static const char *options_conflict(const struct cat_options *options)
{
    if (options->follow && options->selection.reverse)
        return "--follow goes forward: it does not go with --reverse";
    if (options->selection.hex && options->format == FORMAT_CSV)
        return "--hex goes with --format text or json";
    return NULL;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    struct cat cat = {.tool = tool, .options = *(const struct cat_options *)options};
    struct selection *selection = &cat.options.selection;
    const char *conflict = options_conflict(&cat.options);
    if (conflict != NULL) {
        (void)fprintf(tool->notes, "urn-wal: %s\n", conflict);
        return EXIT_USAGE;
    }
    if (cat.options.groups || selection->hex)
        selection->kinds |= GROUP_KINDS | (selection->kinds == 0 ? ENTRY_KINDS : 0);
    else if (selection->kinds == 0)
        selection->kinds = ENTRY_KINDS;

    struct urn_error error;
    enum urn_code code = history_open(&cat.history, tool, operands, operand_count, &error);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    cat.output = malloc(sizeof *cat.output);
    if (cat.output == NULL) {
        code = error_set(&error, URN_NOMEMORY, ENOMEM, "cannot print the log");
    } else {
        output_begin(cat.output, tool->out);
        cat.gaps =
            (struct gap_notes){.history = &cat.history, .output = cat.output, .notes = tool->notes};
        code = cat.history.segment_count == 0 ? print_snapshot_files(&cat, &error)
                                              : print_log(&cat, &error);
        if (!output_end(cat.output) && code == URN_OK)
            code = error_set(&error, URN_IO, errno, "cannot write the output");
    }
    free(cat.output);
    history_close(&cat.history);
    if (code != URN_OK)
        return tool_fail(tool, &error);
    return gap_notes_status(&cat.gaps);
}

const struct command command_cat = {
    .name = "cat",
    .summary = "prints what stands in the log or in a snapshot, line by line",
    .usage = "DIR | FILE... [option...]",
    .help =
        "Prints the log of a data directory, or of segment files by themselves (a snapshot file "
        "with\n"
        "them tells the names), one line an entry:\n"
        "    DRAW <request id> <pool> <item id>    FAILED for the item when nothing was in stock\n"
        "    UPDATE, ADD, CREATE, OPEN, CLOSE and APPLIED, with what was changed\n"
        "    IDS reserved_up_to=<id>               in modes interval and os\n"
        "    ENTRY <LSN of the group> <type> <hex> of a type that this version does not know\n"
        "A space or backslash in a name is written \\x20, \\x5c. Of snapshot files: the state in "
        "them.\n"
        "\n"
        "    --format text|json|csv\n"
        "                      json: one object a line, of a snapshot one document\n"
        "    --from LSN        begins with the first group at or behind this position of the log\n"
        "    --to LSN          ends before the first group at or behind this position\n"
        "    --since TIME      only groups from this time on (RFC 3339; wall time of the server)\n"
        "    --until TIME      only groups up to this time\n"
        "    --pool NAME       only what concerns this pool\n"
        "    --item ID         only what concerns items of this id\n"
        "    --request-id A-B  only draws with these ids; also A alone, or A-\n"
        "    --type KIND,...   only lines of these kinds: draw, update, add, create, open, close,\n"
        "                      applied, ids, unknown; group, pad, mark, epoch, snapshot\n"
        "    --failed          only draws that failed\n"
        "    -n COUNT          no more than so many lines\n"
        "    --reverse         the last first\n"
        "    --groups          a line for each group and snapshot, too\n"
        "    --hex             with the groups' bytes\n"
        "    --follow          goes on as the server does; ends with Ctrl-C\n"
        "\n"
        "An LSN is a position in the log, in bytes: decimal, or hexadecimal after 0x.\n"
        "Beside a server, what is durable is printed. Damage is said on standard error and passed "
        "by.\n"
        "\n"
        "exit status: 0 printed to the end, 2 parts are damaged, 3 parts are missing, 64 wrong "
        "usage,\n"
        "66 cannot open, 74 cannot read or write\n"
        "\n"
        "examples:\n"
        "    urn-wal cat data --reverse -n 10             the last ten draws, the newest first\n"
        "    urn-wal cat data --request-id 1000-1999 --format csv\n"
        "    urn-wal cat data --item diamond --since 2026-11-22T00:00:00Z\n"
        "    urn-wal cat data --follow | grep -w diamond\n"
        "    urn-wal cat data/snapshot-* --format json | jq .next_request_id\n",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory, or files of one",
    .options_bytes = sizeof(struct cat_options),
    .defaults = &defaults,
    .options = rows,
    .run = run,
};
