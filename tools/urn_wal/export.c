/* export.c: `urn-wal export`: draws for those who hand out what was drawn and for those who check; and, with
 * --reconcile, what does not agree with what was handed out.
 *
 * One walk forward. Its draws go, by way of the filters of cat, to a format that prints them, or to
 * reconcile.h, which takes them in the place of one. What is asked for and no longer kept is told, and so is
 * what cannot be read: an export that looks whole and is not would be worse than none.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/urn_wal/cat_print.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/gap_notes.h"
#include "tools/urn_wal/locate.h"
#include "tools/urn_wal/reconcile.h"
#include "tools/urn_wal/time_text.h"

/* ---- options ---------------------------------------------------------------------------------------- */

enum format { FORMAT_DEFAULT, FORMAT_CSV, FORMAT_JSON, FORMATS };

struct export_options {
    struct selection selection;
    uint64_t count;
    enum format format;
    bool json;
    const char *deliveries; /* the file's name; NULL: draws are to be printed */
};

static const struct export_options defaults = {
    .selection = {.kinds = 1u << LINE_DRAW,
                  .to_lsn = UINT64_MAX,
                  .until_us = UINT64_MAX,
                  .ids = {.first = 0, .last = UINT64_MAX}},
    .count = UINT64_MAX};

static bool parse_format(const char *text, void *field)
{
    enum format *format = field;
    *format = strcmp(text, "csv") == 0    ? FORMAT_CSV
              : strcmp(text, "json") == 0 ? FORMAT_JSON
                                          : FORMAT_DEFAULT;
    return *format != FORMAT_DEFAULT;
}

#define FIELD(field) offsetof(struct export_options, field)

static const struct option_row rows[] = {
    {"--request-id", "an id or a range of ids, such as 1000 or 1000-1999", FIELD(selection.ids),
     parse_id_range},
    {"--since", WANTS_TIME, FIELD(selection.since_us), parse_time},
    {"--until", WANTS_TIME, FIELD(selection.until_us), parse_time},
    {"--pool", "a pool's name", FIELD(selection.pool), parse_text},
    {"-n", WANTS_COUNT, FIELD(count), parse_count},
    {"--format", "csv or json", FIELD(format), parse_format},
    {"--json", NULL, FIELD(json), NULL},
    {"--reconcile", "a CSV file of request ids and item ids, or - for standard input",
     FIELD(deliveries), parse_text},
    {.name = NULL},
};

/* ---- the job ------------------------------------------------------------------------------------------ */

struct export
{
    const struct tool *tool;
    struct export_options options;
    struct history history;
    struct names names;
    struct output *output;
    struct cat_print print;
    struct gap_notes gaps;
    struct deliveries deliveries;
    struct reconcile reconcile;
    bool met_group;
    struct wal_group_header first; /* the first group that the walk came to */
};

static bool reconciles(const struct export *job)
{
    return job->options.deliveries != NULL;
}

/* Says what was asked for and is older than what is kept. */
static void note_coverage(struct export *job)
{
    const struct wal_group_header *first = &job->first;
    const struct selection *selection = &job->options.selection;
    char time[TIME_TEXT_BYTES];
    if (first->first_request_id <= 1)
        return; /* nothing is older */
    const bool by_id = selection->ids.first > 0 && selection->ids.first < first->first_request_id;
    const bool by_time = selection->since_us > 0 && selection->ids.first == 0 &&
                         selection->since_us < first->wall_time_us;
    if (!by_id && !by_time && (selection->ids.first > 0 || selection->since_us > 0))
        return;
    time_text(first->wall_time_us, time);
    output_flush(job->output);
    (void)fprintf(job->tool->notes,
                  "urn-wal: the log that is kept begins with draw %" PRIu64
                  ", at %s: older ones are not among these\n",
                  first->first_request_id, time);
    job->gaps.missing = job->gaps.missing || by_id || by_time;
}

static enum urn_code take_group(struct export *job, const struct walk *walk, bool *behind,
                                struct urn_error *error)
{
    const struct wal_group_header *header = &walk->item.header;
    const struct selection *selection = &job->options.selection;
    gap_notes_group(&job->gaps, header);
    if (!job->met_group) {
        job->first = *header;
        job->met_group = true;
        note_coverage(job);
    }
    if (reconciles(job))
        reconcile_group_begin(&job->reconcile, header);
    *behind = selection->ids.first > 0 && header->first_request_id > selection->ids.last;
    if (*behind)
        return URN_OK;
    const enum urn_code code = cat_print_group(&job->print, header, walk->item.bytes, error);
    if (code == URN_OK && reconciles(job))
        reconcile_group_end(&job->reconcile, header);
    return code;
}

static enum urn_code take_all(struct export *job, struct walk *walk, bool *behind,
                              struct urn_error *error)
{
    while (!cat_print_is_done(&job->print)) {
        switch (walk_next(walk, error)) {
        case WALK_GROUP:
            if (take_group(job, walk, behind, error) != URN_OK)
                return error->code;
            if (*behind)
                return URN_OK;
            break;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            gap_notes_break(&job->gaps, &walk->gap);
            if (!walk->gap.header_page)
                reconcile_break(&job->reconcile);
            break;
        case WALK_END:
            return URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
    return URN_OK;
}

/* Beside a server the log says of its last group that it is durable only a moment later: a delivery of
 * one of its draws is waited for. */
static enum urn_code take_latest(struct export *job, struct walk *walk, bool *behind,
                                 struct urn_error *error)
{
    enum { LOOKS_MAX = 20 };
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    for (int looks = 0; looks < LOOKS_MAX && !*behind && history_live(&job->history) &&
                        reconcile_last_waiting(&job->reconcile) != 0;
         looks++) {
        bool more = false;
        (void)nanosleep(&pause, NULL);
        if (walk_resume(walk, 0, &more, error) != URN_OK)
            return error->code;
        if (more && take_all(job, walk, behind, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

static enum urn_code find_start(struct export *job, uint64_t *lsn, struct urn_error *error)
{
    const struct selection *selection = &job->options.selection;
    *lsn = 0;
    if (selection->ids.first > 0 &&
        locate_start(&job->history, selection->ids.first, lsn, error) != URN_OK)
        return error->code;
    return walk_safe_start(&job->history, lsn, error);
}

static enum urn_code walk_log(struct export *job, struct urn_error *error)
{
    uint64_t lsn = 0;
    bool behind = false;
    struct walk walk;
    enum urn_code code = find_start(job, &lsn, error);
    if (code != URN_OK || lsn == NO_LSN)
        return code;
    code = walk_begin(&job->history, lsn, UINT64_MAX, 0, SCAN_DIGESTS, &walk, error);
    if (code == URN_OK)
        code = take_all(job, &walk, &behind, error);
    if (code == URN_OK && reconciles(job))
        code = take_latest(job, &walk, &behind, error);
    if (code == URN_OK && !behind && !cat_print_is_done(&job->print))
        gap_notes_end(&job->gaps, &walk);
    walk_end(&walk);
    return code;
}

static enum urn_code export_log(struct export *job, struct urn_error *error)
{
    const struct export_options *options = &job->options;
    struct printer printer = {.format =
                                  options->format == FORMAT_JSON ? &lines_json : &lines_csv_draws,
                              .output = job->output,
                              .names = &job->names};
    if (reconciles(job)) {
        reconcile_begin(&job->reconcile, &job->deliveries, &job->names, job->output,
                        options->format == FORMAT_JSON, options->count);
        printer.format = &lines_reconcile;
        printer.sink = &job->reconcile;
    }
    cat_print_begin(&job->print, &options->selection, &printer, job->tool->notes,
                    reconciles(job) ? UINT64_MAX : options->count);
    const enum urn_code code = walk_log(job, error);
    if (code == URN_OK && reconciles(job))
        reconcile_end(&job->reconcile);
    cat_print_end(&job->print);
    return code;
}

/* Without a snapshot the log knows pools and items by their numbers only. */
static enum urn_code export_with_names(struct export *job, struct urn_error *error)
{
    enum urn_code code = names_begin(&job->names, &job->history, error);
    if (code != URN_OK)
        return code;
    if (!job->names.known && reconciles(job))
        code = error_set(error, URN_DAMAGED, 0,
                         "no snapshot can be loaded, and only one tells the items' ids: name a "
                         "snapshot file besides, if one is left");
    else if (!job->names.known)
        (void)fprintf(job->tool->notes,
                      "urn-wal: no snapshot can be loaded: numbers stand for names\n");
    if (code == URN_OK)
        code = export_log(job, error);
    names_end(&job->names);
    return code;
}

/* ---- the command ---------------------------------------------------------------------------------------- */

/* EXIT_SOUND: it has been read. */
static enum exit_status read_deliveries(struct export *job)
{
    struct urn_error error;
    const struct tool *tool = job->tool;
    const char *path = job->options.deliveries;
    FILE *stream = tool->open_input(tool->input_context, path);
    if (stream == NULL) {
        (void)fprintf(tool->notes, "urn-wal: cannot open %s: %s\n", path, strerror(errno));
        return EXIT_CANNOT_OPEN;
    }
    const enum urn_code code =
        deliveries_read(&job->deliveries, stream, strcmp(path, "-") == 0 ? "standard input" : path,
                        &job->options.selection.ids, &error);
    (void)fclose(stream);
    if (code == URN_OK)
        return EXIT_SOUND;
    const enum exit_status status = tool_fail(tool, &error);
    return code == URN_FORMAT ? EXIT_BAD_INPUT : status;
}

static enum exit_status status_of(const struct export *job)
{
    const struct reconcile_counts *counts = &job->reconcile.counts;
    const enum exit_status status = gap_notes_status(&job->gaps);
    if (status != EXIT_SOUND)
        return status;
    if (counts->older + counts->lost > 0)
        return EXIT_MISSING;
    return reconcile_differs(counts) ? EXIT_DIFFERS : EXIT_SOUND;
}

static enum exit_status run_on_log(struct export *job, const char *const *operands,
                                   uint32_t operand_count)
{
    struct urn_error error;
    const struct tool *tool = job->tool;
    enum urn_code code = history_open(&job->history, tool, operands, operand_count, &error);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    job->output = malloc(sizeof *job->output);
    if (job->output == NULL) {
        code = error_set(&error, URN_NOMEMORY, ENOMEM, "cannot export");
    } else {
        output_begin(job->output, tool->out);
        job->gaps = (struct gap_notes){
            .history = &job->history, .output = job->output, .notes = tool->notes};
        code = export_with_names(job, &error);
        if (!output_end(job->output) && code == URN_OK)
            code = error_set(&error, URN_IO, errno, "cannot write the output");
    }
    free(job->output);
    history_close(&job->history);
    return code == URN_OK ? status_of(job) : tool_fail(tool, &error);
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    struct export job = {.tool = tool, .options = *(const struct export_options *)options};
    if (job.options.json && job.options.format == FORMAT_DEFAULT)
        job.options.format = FORMAT_JSON;
    if (job.options.format == FORMAT_CSV && (job.options.json || reconciles(&job))) {
        (void)fprintf(tool->notes, "urn-wal: --format csv does not go with %s\n",
                      job.options.json ? "--json" : "--reconcile, whose report is text or JSON");
        return EXIT_USAGE;
    }
    enum exit_status status = reconciles(&job) ? read_deliveries(&job) : EXIT_SOUND;
    if (status == EXIT_SOUND)
        status = run_on_log(&job, operands, operand_count);
    deliveries_free(&job.deliveries);
    return status;
}

const struct command command_export = {
    .name = "export",
    .summary = "prints draws for audits and fulfilment, or what differs from what was delivered",
    .usage = "DIR | FILE... [option...]",
    .help =
        "Prints draws as CSV, a line each: request_id, pool, item_id (empty when nothing was in\n"
        "stock), odds_version, lsn, time.\n"
        "\n"
        "    --request-id A-B  only draws with these ids; also A alone, or A-\n"
        "    --since TIME      only draws from this time on (RFC 3339; wall time of the server)\n"
        "    --until TIME      only draws up to this time\n"
        "    --pool NAME       only draws from this pool\n"
        "    -n COUNT          no more than so many lines\n"
        "    --format csv|json\n"
        "                      json: one object a line\n"
        "    --json            the same as --format json\n"
        "    --reconcile FILE  prints no draws, but what does not agree with what was delivered. "
        "FILE\n"
        "                      (- is standard input) is CSV: a request id and an item id a line, "
        "or with\n"
        "                      the names of these columns, request_id and item_id, in its first "
        "line, among\n"
        "                      others. An empty item id: nothing was delivered. It prints\n"
        "\n"
        "    MISSING <request id> <pool> <item id>      drawn, and not delivered\n"
        "    MISMATCHED ... delivered=<item id> line=<n>  something else was delivered\n"
        "    DUPLICATE ... delivered=<item id> line=<n>   delivered once more\n"
        "    UNKNOWN <request id> delivered=<item id> line=<n>   no draw has this id\n"
        "\n"
        "and counts at the end; with --json an object a line. -n limits what is listed, all is "
        "counted.\n"
        "Memory: 16 bytes for each delivery (twice that while they are sorted), and each item id "
        "once,\n"
        "however many draws there are.\n"
        "\n"
        "exit status: 0 all that was asked for; all deliveries agree, 1 some do not, 2 the log is\n"
        "damaged there, 3 parts of it are missing, or older than what is kept, 64 wrong usage, "
        "65 FILE\n"
        "is not what it has to be (the line is told), 66 cannot open, 74 cannot read or write\n"
        "\n"
        "examples:\n"
        "    urn-wal export data --since 2026-11-21 --until 2026-11-22 > yesterday.csv\n"
        "    urn-wal export data --pool autumn --request-id 1000- --json | jq .item_id\n"
        "    urn-wal export data --request-id 1-50000 --reconcile delivered.csv\n",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory, or files of one",
    .options_bytes = sizeof(struct export_options),
    .defaults = &defaults,
    .options = rows,
    .run = run,
};
