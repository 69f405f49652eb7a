/* replay.c: `urn-wal replay`: the state at a moment of the log: printed, traced, written as a snapshot, or
 * compared with the server's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/replay_against.h"
#include "tools/urn_wal/replay_output.h"
#include "tools/urn_wal/replay_print.h"

struct replay_options {
    struct moment until;
    const char *from;
    const char *output;
    const char *against;
    const char *pool;
    const char *item;
    bool trace;
    bool json;
};

#define FIELD(field) offsetof(struct replay_options, field)

static const struct option_row rows[] = {
    {"--until", WANTS_MOMENT, FIELD(until), parse_moment},
    {"--from", "a snapshot, as ls names it", FIELD(from), parse_text},
    {"--output", "the name of a new file", FIELD(output), parse_text},
    {"--against", "a server's address, such as 127.0.0.1:7707 or unix:urn.sock", FIELD(against),
     parse_text},
    {"--trace", NULL, FIELD(trace), NULL},
    {"--pool", "a pool's name", FIELD(pool), parse_text},
    {"--item", "an item's id", FIELD(item), parse_text},
    {"--json", NULL, FIELD(json), NULL},
    {.name = NULL},
};

struct job {
    const struct tool *tool;
    const struct replay_options *options;
    struct history history;
    struct replay replay;
    struct output *output;
    struct replay_trace trace;
};

/* ---- what came of it -------------------------------------------------------------------------------- */

/* What is not kept (any more) is missing; what should be there and is not, is damaged. */
static bool is_missing(const struct replay *replay)
{
    const struct history *history = replay->history;
    const struct walk_break *gap = &replay->gap;
    const uint32_t slot = wal_slot(&history->geometry, gap->from_lsn);
    if (gap->kind == WALK_OVERWRITTEN || break_is_missing_file(history, gap))
        return true;
    for (uint32_t i = 0; gap->kind == WALK_MISSING && i < history->log_count; i++)
        if (history->segments[i].slot == slot && history->segments[i].begin_lsn > gap->from_lsn)
            return true; /* overwritten by a later lap */
    return false;
}

static enum exit_status status_of(const struct replay *replay)
{
    switch (replay->outcome) {
    case REPLAY_REACHED:
        break;
    case REPLAY_NO_SNAPSHOT:
    case REPLAY_NOT_SUITABLE:
    case REPLAY_BEYOND_END:
    case REPLAY_NEVER_GIVEN:
        return EXIT_NO_MOMENT;
    case REPLAY_BROKEN:
        return is_missing(replay) ? EXIT_MISSING : EXIT_DAMAGE;
    case REPLAY_OVERTAKEN:
        return EXIT_MISSING;
    case REPLAY_UNTRUE:
        return EXIT_MEANING;
    }
    return EXIT_SOUND;
}

/* ---- printing --------------------------------------------------------------------------------------- */

static bool has_pool(const struct job *job)
{
    const char *pool = job->options->pool;
    if (pool == NULL || state_find_pool(&job->replay.state, pool, (uint32_t)strlen(pool)) != NULL)
        return true;
    (void)fprintf(job->tool->notes, "urn-wal: there is no pool %s then\n", pool);
    return false;
}

static void print_state(struct job *job)
{
    const struct replay_options *options = job->options;
    FILE *out = job->tool->out;
    if (options->json && options->trace) {
        (void)fprintf(out,
                      "{\"type\":\"state\",\"lsn\":%" PRIu64 ",\"next_request_id\":%" PRIu64
                      ",\"groups\":%" PRIu64 ",\"draws\":%" PRIu64 "}\n",
                      job->replay.state.tail.lsn, job->replay.state.next_request_id,
                      job->replay.groups, job->replay.draws);
    } else if (options->json) {
        replay_print_json(&job->replay, options->pool, job->output);
    } else {
        replay_print_head(&job->replay, out);
        if (!options->trace)
            replay_print_pools(&job->replay.state, options->pool, out);
    }
}

/* A note on a moment that no state stands at exactly. */
static void note_rounding(const struct job *job)
{
    const struct replay *replay = &job->replay;
    if (replay->rounded)
        (void)fprintf(job->tool->notes,
                      "urn-wal: LSN %" PRIu64 " lies in the midst of the group from %" PRIu64
                      " to %" PRIu64 "; groups are atomic: the state is the one before it\n",
                      replay->until.number, replay->within.lsn,
                      replay->within.lsn + replay->within.length_bytes);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

static enum exit_status refuse_midst(const struct job *job)
{
    const struct replay *replay = &job->replay;
    const struct wal_group_header *within = &replay->within;
    (void)fprintf(job->tool->notes,
                  "urn-wal: draw %" PRIu64 " lies in the midst of a group, and a snapshot can only "
                  "stand at a group's end.\n"
                  "urn-wal: before it: --until lsn:%" PRIu64 " (up to draw %" PRIu64
                  "); behind it: --until id:%" PRIu64 " (or lsn:%" PRIu64 ")\n",
                  replay->until.number, within->lsn, within->first_request_id - 1,
                  within->first_request_id + within->draws - 1, within->lsn + within->length_bytes);
    return EXIT_NO_MOMENT;
}

static enum exit_status fail_to_write(const struct tool *tool, const struct urn_error *error)
{
    if (error->code != URN_CANTCREATE && error->code != URN_EXISTS)
        return tool_fail(tool, error);
    (void)fprintf(tool->notes, "urn-wal: %s\n", error->text);
    return EXIT_CANNOT_CREATE;
}

static enum exit_status write_state(struct job *job)
{
    const struct replay *replay = &job->replay;
    const char *path = job->options->output;
    struct urn_error error;
    if (replay->inside)
        return refuse_midst(job);
    const struct wal_geometry geometry = history_geometry_at(&job->history, replay->state.tail.lsn);
    if (replay_output_write(job->tool->os, path, &replay->state, &geometry, &error) != URN_OK)
        return fail_to_write(job->tool, &error);
    if (job->options->json) {
        print_state(job);
        return EXIT_SOUND;
    }
    replay_print_head(replay, job->tool->out);
    (void)fprintf(job->tool->out, "written to %s: synced, read back and found the same\n", path);
    return EXIT_SOUND;
}

/* ---- comparing with a server ------------------------------------------------------------------------ */

static void print_differences_json(const struct job *job,
                                   const struct comparison_with_server *comparison)
{
    struct output *output = job->output;
    const char *address = job->options->against;
    const uint64_t count = comparison->difference_count;
    output_text(output, "{\"against\":");
    output_json_name(output, (struct urn_text){address, (uint32_t)strlen(address)});
    output_text(output, count == 0 ? ",\"alike\":true" : ",\"alike\":false");
    output_text(output, ",\"first_lsn\":");
    output_number(output, comparison->first_lsn);
    output_text(output, ",\"last_lsn\":");
    output_number(output, comparison->last_lsn);
    output_text(output, ",\"pools\":");
    output_number(output, comparison->pools);
    output_text(output, ",\"items\":");
    output_number(output, comparison->items);
    output_text(output, ",\"difference_count\":");
    output_number(output, count);
    output_text(output, ",\"differences\":[");
    for (uint64_t i = 0; i < count && i < DIFFERENCES_MAX; i++) {
        const struct difference *difference = &comparison->differences[i];
        output_text(output, i == 0 ? "{\"pool\":" : ",{\"pool\":");
        output_json_name(output,
                         (struct urn_text){difference->pool, (uint32_t)strlen(difference->pool)});
        output_text(output, ",\"lsn\":");
        output_number(output, difference->lsn);
        output_text(output, ",\"text\":");
        output_json_name(output,
                         (struct urn_text){difference->text, (uint32_t)strlen(difference->text)});
        output_text(output, "}");
    }
    output_text(output, "]}");
    output_line_end(output);
}

static void print_differences(const struct job *job,
                              const struct comparison_with_server *comparison)
{
    FILE *out = job->tool->out;
    const uint64_t count = comparison->difference_count;
    for (uint64_t i = 0; i < count && i < DIFFERENCES_MAX; i++)
        (void)fprintf(out, "LSN %" PRIu64 ": pool %s: %s\n", comparison->differences[i].lsn,
                      comparison->differences[i].pool, comparison->differences[i].text);
    if (count > DIFFERENCES_MAX)
        (void)fprintf(out, "... and %" PRIu64 " more\n", count - DIFFERENCES_MAX);
    (void)fprintf(
        out, "%s: %" PRIu64 " pool%s, %" PRIu64 " item%s, as of LSN %" PRIu64 " to %" PRIu64 "\n",
        count == 0 ? "log and server say the same" : "log and server differ", comparison->pools,
        comparison->pools == 1 ? "" : "s", comparison->items, comparison->items == 1 ? "" : "s",
        comparison->first_lsn, comparison->last_lsn);
}

/* The log is whole, and no server adds to it: a copy from before. */
static bool is_behind(struct job *job, const struct comparison_with_server *comparison)
{
    const struct replay *replay = &job->replay;
    const bool broken_behind_end = replay->outcome == REPLAY_BROKEN &&
                                   replay->gap.kind != WALK_UNREADABLE &&
                                   replay->gap.from_lsn == comparison->log_end_lsn;
    return comparison->asked_lsn > comparison->log_end_lsn && !history_live(&job->history) &&
           (broken_behind_end || replay->outcome == REPLAY_BEYOND_END);
}

static enum exit_status tell_behind(const struct job *job,
                                    const struct comparison_with_server *comparison)
{
    const char *path = job->history.path;
    (void)fprintf(job->tool->notes,
                  "urn-wal: the log of %s ends at LSN %" PRIu64 ", and the server at %s is at LSN "
                  "%" PRIu64 ": nothing was compared\n"
                  "urn-wal: a copy from before cannot be held against it: name the directory that "
                  "the server has open, or take a copy now; `urn-wal diff` compares two logs\n",
                  path, comparison->log_end_lsn, job->options->against, comparison->asked_lsn);
    return EXIT_NO_MOMENT;
}

static enum exit_status tell_unreached(struct job *job,
                                       const struct comparison_with_server *comparison)
{
    if (is_behind(job, comparison))
        return tell_behind(job, comparison);
    replay_tell(&job->replay);
    (void)fprintf(job->tool->notes,
                  "urn-wal: the log of %s could not be brought to where the server is: is %s the "
                  "server that has it open?\n",
                  job->history.path, job->options->against);
    const enum exit_status status = status_of(&job->replay);
    return status == EXIT_SOUND ? EXIT_NO_MOMENT : status;
}

static enum exit_status fail_to_ask(const struct tool *tool, const struct urnclient_error *error)
{
    (void)fprintf(tool->notes, "urn-wal: %s%s%s\n", error->code, *error->code != 0 ? " " : "",
                  error->text);
    return error->status == URNCLIENT_ARGUMENT ? EXIT_USAGE : EXIT_UNAVAILABLE;
}

static enum exit_status compare(struct job *job)
{
    struct urnclient *client = NULL;
    struct urnclient_error client_error;
    struct urn_error error;
    struct comparison_with_server comparison;
    bool reached = false;
    const struct urnclient_options where = {.address = job->options->against};
    if (urnclient_connect(&where, &client, &client_error) != URNCLIENT_OK)
        return fail_to_ask(job->tool, &client_error);
    const enum urn_code code = replay_against(&job->replay, client, job->options->pool, &comparison,
                                              &reached, &client_error, &error);
    urnclient_close(client);
    if (code != URN_OK && client_error.status != URNCLIENT_OK)
        return fail_to_ask(job->tool, &client_error);
    if (code != URN_OK)
        return tool_fail(job->tool, &error);
    if (!reached)
        return tell_unreached(job, &comparison);
    if (job->options->json)
        print_differences_json(job, &comparison);
    else
        print_differences(job, &comparison);
    return comparison.difference_count == 0 ? EXIT_SOUND : EXIT_MEANING;
}

/* ---- the command ------------------------------------------------------------------------------------ */

/* What makes no sense together; NULL: all does. */
static const char *clash(const struct replay_options *options)
{
    if (options->against != NULL && (options->until.kind != MOMENT_END || options->output != NULL ||
                                     options->trace || options->from != NULL))
        return "--against compares with the server as it is now: it goes with --pool and --json "
               "only";
    if (options->output != NULL && (options->pool != NULL || options->trace))
        return "--output writes the whole state: it does not go with --pool or --trace";
    if (options->item != NULL && !options->trace)
        return "--item goes with --trace only";
    return NULL;
}

static enum exit_status build(struct job *job)
{
    struct urn_error error;
    const struct replay_options *options = job->options;
    if (options->output != NULL &&
        replay_output_check(job->tool->os, options->output, &error) != URN_OK)
        return fail_to_write(job->tool, &error);
    if (options->trace) {
        job->replay.visit = replay_trace_visit;
        job->replay.visit_context = &job->trace;
    }
    const enum urn_code code = replay_build(&job->replay, &error);
    if (code != URN_OK)
        return tool_fail(job->tool, &error);
    if (job->trace.no_memory) {
        (void)error_set(&error, URN_NOMEMORY, ENOMEM, "cannot trace the log");
        return tool_fail(job->tool, &error);
    }
    output_flush(job->output);
    if (job->replay.outcome != REPLAY_REACHED) {
        replay_tell(&job->replay);
        return status_of(&job->replay);
    }
    note_rounding(job);
    if (!has_pool(job))
        return EXIT_NO_MOMENT;
    if (options->output != NULL)
        return write_state(job);
    print_state(job);
    return EXIT_SOUND;
}

static enum exit_status run_job(struct job *job)
{
    const struct replay_options *options = job->options;
    output_begin(job->output, job->tool->out);
    job->replay = (struct replay){.history = &job->history,
                                  .until = options->until,
                                  .from = options->from,
                                  .notes = job->tool->notes};
    job->trace = (struct replay_trace){
        .output = job->output, .json = options->json, .pool = options->pool, .item = options->item};
    const enum exit_status status = options->against != NULL ? compare(job) : build(job);
    replay_trace_end(&job->trace);
    replay_end(&job->replay);
    if (output_end(job->output) && ferror(job->tool->out) == 0)
        return status;
    (void)fprintf(job->tool->notes, "urn-wal: cannot write the output\n");
    return EXIT_READ_ERROR;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    struct job job = {.tool = tool, .options = options};
    struct urn_error error;
    const char *fault = clash(job.options);
    if (fault != NULL) {
        (void)fprintf(tool->notes, "urn-wal: %s\n", fault);
        return EXIT_USAGE;
    }
    if (history_open(&job.history, tool, operands, operand_count, &error) != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    enum exit_status status = EXIT_READ_ERROR;
    job.output = malloc(sizeof *job.output);
    if (job.output != NULL) {
        status = run_job(&job);
    } else {
        (void)error_set(&error, URN_NOMEMORY, ENOMEM, "cannot replay");
        status = tool_fail(tool, &error);
    }
    free(job.output);
    history_close(&job.history);
    return status;
}

const struct command command_replay = {
    .name = "replay",
    .summary = "builds the state at any moment that is kept: prints, writes or compares it",
    .usage = "DIR | FILE... [--until MOMENT] [option...]",
    .help =
        "Begins with a snapshot and applies the log to it, group by group, as a start of the "
        "server does,\n"
        "up to a moment. Prints every pool with its items as they were then. Beside a server it "
        "shows what\n"
        "is durable.\n"
        "\n"
        "    --until MOMENT   lsn:8192  every whole group below this position of the log\n"
        "                     id:1234   right behind the draw of this request id, even where its "
        "group\n"
        "                               goes on behind it\n"
        "                     TIME      every group before the first that the server's clock dates "
        "later;\n"
        "                               RFC 3339, such as 2026-11-22T05:14:29Z; time:TIME is the "
        "same\n"
        "                     Without it, the end of the log. A number alone is refused: it could "
        "be either.\n"
        "    --from SNAPSHOT  begins with this snapshot, as ls names it, instead of the newest "
        "before the\n"
        "                     moment\n"
        "    --pool NAME      only this pool\n"
        "    --trace          prints each entry of the log on the way and what it left of each "
        "item that it\n"
        "                     touched, instead of all pools at the end\n"
        "    --item ID        with --trace: only what touches items of this id\n"
        "    --json           prints one JSON object; with --trace one a line\n"
        "    --output FILE    writes the state as a snapshot file, which must not be there yet: "
        "synced, and\n"
        "                     verified by reading it back. It is what the server itself would have "
        "written.\n"
        "                     A snapshot stands at a group's end; the moment of a draw in the "
        "midst "
        "of a\n"
        "                     group is refused, with the two positions to choose from\n"
        "    --against ADDRESS  compares every pool with what the server there says of it, page by "
        "page,\n"
        "                     each with the log as of the very position that the page is of\n"
        "\n"
        "exit status: 0 done; with --against, the same; 1 there is no such moment, or it is not "
        "kept; 2\n"
        "the log before it is damaged; 3 parts of it are missing; 4 the log cannot be true or, "
        "with\n"
        "--against, the server says otherwise; 64 wrong usage; 66 cannot open; 69 the server "
        "cannot "
        "be\n"
        "asked; 73 the file cannot be created; 74 cannot read or write\n"
        "\n"
        "examples:\n"
        "    urn-wal replay data --until 2026-11-22T05:14:29Z --pool main\n"
        "    urn-wal replay data --until id:1234 --json | jq '.pools[0].items[]'\n"
        "    urn-wal replay data --trace --item diamond\n"
        "    urn-wal replay data --until lsn:0x2000 --output /tmp/before.snapshot\n"
        "    urn-wal replay data --against 127.0.0.1:7707\n",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory, or files of one",
    .options_bytes = sizeof(struct replay_options),
    .options = rows,
    .run = run,
};
