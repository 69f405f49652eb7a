/* repair.c: `urn-wal repair`: the command. See repair.h for what it does and in which steps. */
#include <inttypes.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/repair.h"

static bool parse_number(const char *text, void *field)
{
    return parse_lsn(text, field) && *(uint64_t *)field < NO_LOSS;
}

static const struct option_row rows[] = {
    {"--truncate-tail", NULL, offsetof(struct repair_options, truncate_tail), NULL},
    {"--truncate-at", WANTS_LSN, offsetof(struct repair_options, truncate_at), parse_number},
    {"--accept-loss", "how many draws, as the plan says",
     offsetof(struct repair_options, accept_loss), parse_number},
    {"--salvage", NULL, offsetof(struct repair_options, salvage), NULL},
    {"--write", NULL, offsetof(struct repair_options, write), NULL},
    {.name = NULL},
};

static const struct repair_options defaults = {.truncate_at = NO_LSN, .accept_loss = NO_LOSS};

static bool cuts_at(const struct repair_options *options)
{
    return options->truncate_at != NO_LSN;
}

/* What does not go together. NULL: all does. */
static const char *options_conflict(const struct repair_options *options)
{
    const int ways = options->truncate_tail + cuts_at(options) + options->salvage;
    if (ways > 1)
        return "--truncate-tail, --truncate-at and --salvage: one at a time";
    if (options->write && options->salvage)
        return "--salvage never writes to the data directory: it prints, and goes without --write";
    if (options->write && ways == 0)
        return "--write goes with --truncate-tail or --truncate-at";
    if (options->accept_loss != NO_LOSS && !cuts_at(options))
        return "--accept-loss goes with --truncate-at";
    return NULL;
}

static enum exit_status say(const struct repair *repair, enum exit_status status, const char *what)
{
    (void)fprintf(repair->tool->notes, "urn-wal: %s\n", what);
    return status;
}

/* ---- a repair that has begun ---------------------------------------------------------------------- */

static bool is_the_same(const struct repair_options *options, const struct repair_intent *intent)
{
    if (intent->what == REPAIR_TAIL)
        return options->truncate_tail;
    return options->truncate_at == intent->lsn && options->accept_loss == intent->loss;
}

/* Is REPAIR there? Where that cannot be told it is taken for there. */
static bool is_begun(const struct repair *repair)
{
    struct urn_error ignored;
    bool begun = true;
    return data_dir_repair_begun(repair->data_dir.dir, &begun, &ignored) != URN_OK || begun;
}

static enum exit_status finish(struct repair *repair, const struct repair_intent *intent)
{
    struct urn_error error;
    FILE *out = repair->tool->out;
    enum exit_status status = EXIT_SOUND;
    if (repair_finish(repair, intent, &error) != URN_OK) {
        (void)tool_fail(repair->tool, &error);
        status = error.code == URN_IO ? EXIT_READ_ERROR : EXIT_DAMAGE;
        if (is_begun(repair)) {
            repair_print_begun(repair, intent);
            return status;
        }
    }
    (void)fprintf(out, "repaired: the log ends at LSN %" PRIu64, intent->lsn);
    if (intent->what == REPAIR_AT)
        (void)fprintf(out, ", and goes on in epoch %" PRIu32 " with request id %" PRIu64,
                      intent->epoch, intent->next_request_id);
    (void)fprintf(out, "\ncopies of what was changed are in %s/%s\n", repair->path, intent->copies);
    return status;
}

static enum exit_status go_on(struct repair *repair, const struct repair_intent *intent)
{
    if (!repair->options.write || !is_the_same(&repair->options, intent)) {
        repair_print_begun(repair, intent);
        return repair->options.write ? EXIT_USAGE : EXIT_DAMAGE;
    }
    return finish(repair, intent);
}

/* ---- a new one -------------------------------------------------------------------------------------- */

/* The end of R2, R3 and R4, then the rest. */
static enum exit_status write_plan(struct repair *repair, struct repair_plan *plan)
{
    struct urn_error error;
    enum urn_code code = repair_secure_tail(repair, plan, &error);
    if (code == URN_OK)
        code = repair_copy(repair, plan, &error);
    if (code == URN_OK && (fflush(repair->tool->out) != 0 || ferror(repair->tool->out))) {
        repair_uncopy(repair, plan);
        return say(repair, EXIT_READ_ERROR, "nothing was changed: cannot write the output");
    }
    if (code != URN_OK)
        return tool_fail(repair->tool, &error);
    if (repair_intent_publish(repair->data_dir.dir, &plan->intent, &error) == URN_OK)
        return finish(repair, &plan->intent);
    if (is_begun(repair)) { /* renamed, but perhaps not durable: the copies are needed */
        repair_print_begun(repair, &plan->intent);
    } else {
        (void)error_prefix(&error, "nothing was changed: ");
        repair_uncopy(repair, plan);
    }
    return tool_fail(repair->tool, &error);
}

static void print_command(const struct repair *repair, const struct repair_plan *plan)
{
    FILE *out = repair->tool->out;
    (void)fprintf(out, "Nothing was changed. To do it:\n    urn-wal repair %s ", repair->path);
    if (plan->intent.what == REPAIR_TAIL)
        (void)fputs("--truncate-tail --write\n", out);
    else
        (void)fprintf(out, "--truncate-at %" PRIu64 " --accept-loss %" PRIu64 " --write\n",
                      plan->intent.lsn, repair_loss(plan));
}

static enum exit_status cut(struct repair *repair, enum repair_what what, uint64_t lsn)
{
    struct repair_plan plan;
    struct urn_error error;
    const struct repair_options *options = &repair->options;
    if (repair_plan_make(repair, what, lsn, true, &plan, &error) != URN_OK)
        return tool_fail(repair->tool, &error);
    enum exit_status status = EXIT_SOUND;
    repair_print_plan(repair, &plan);
    if (options->accept_loss != NO_LOSS && options->accept_loss != repair_loss(&plan)) {
        (void)fprintf(repair->tool->notes,
                      "urn-wal: --accept-loss %" PRIu64 ", but the loss is %" PRIu64
                      " draw%s: nothing was changed\n",
                      options->accept_loss, repair_loss(&plan), repair_loss(&plan) == 1 ? "" : "s");
        status = EXIT_USAGE;
    } else if (options->write && what == REPAIR_AT && options->accept_loss == NO_LOSS) {
        status = say(repair, EXIT_USAGE, "--write needs --accept-loss here: nothing was changed");
        print_command(repair, &plan);
    } else if (options->write) {
        status = write_plan(repair, &plan);
    } else {
        print_command(repair, &plan);
    }
    repair_plan_free(&plan);
    return status;
}

/* Only what is no loss by any reading. */
static enum exit_status cut_tail(struct repair *repair)
{
    const struct verify_report *report = &repair->report;
    if (!recovery_case_starts(report->start)) {
        repair_print_advice(repair);
        return say(repair, EXIT_DAMAGE,
                   "this is no torn tail, which alone --truncate-tail is for: nothing was changed");
    }
    if (report->finding_count[FINDING_TORN] == 0) {
        repair_print_advice(repair);
        return EXIT_SOUND;
    }
    return cut(repair, REPAIR_TAIL, report->start_lsn);
}

static enum exit_status plan_and_do(struct repair *repair)
{
    const struct repair_options *options = &repair->options;
    struct urn_error error;
    if (options->salvage) {
        const enum urn_code code = repair_salvage(repair, &error);
        return code == URN_OK ? EXIT_SOUND : tool_fail(repair->tool, &error);
    }
    repair_print_diagnosis(repair);
    if (options->truncate_tail)
        return cut_tail(repair);
    if (cuts_at(options))
        return cut(repair, REPAIR_AT, options->truncate_at);
    repair_print_advice(repair);
    return recovery_case_starts(repair->report.start) ? EXIT_SOUND : EXIT_DAMAGE;
}

/* ---- the look ---------------------------------------------------------------------------------------- */

/* What verify finds is what is to be repaired. */
static enum exit_status look(struct repair *repair)
{
    struct urn_error error;
    if (verify_log(repair->tool, &repair->path, 1, &repair->report, &error) != URN_OK)
        return tool_fail_to_open(repair->tool, repair->path, &error);
    enum exit_status status = EXIT_SOUND;
    if (!repair->report.is_directory)
        status = say(repair, EXIT_USAGE, "repair wants a data directory");
    else if (repair->report.in_use)
        status = say(repair, EXIT_IN_USE, "a server has the data directory open: stop it first");
    else if (repair->report.start_refusal.code != URN_OK) {
        (void)fprintf(repair->tool->notes,
                      "urn-wal: a start refuses for what no repair changes: %s\n",
                      repair->report.start_refusal.text);
        status = EXIT_DAMAGE;
    } else if (repair->report.start == 0) {
        (void)fprintf(repair->tool->notes,
                      "urn-wal: files are missing or cut short; repair makes none: put them back "
                      "from a copy (`urn-wal verify %s` names them)\n",
                      repair->path);
        status = EXIT_MISSING;
    }
    if (status == EXIT_SOUND &&
        history_open(&repair->history, repair->tool, &repair->path, 1, &error) != URN_OK)
        status = tool_fail_to_open(repair->tool, repair->path, &error);
    else if (status == EXIT_SOUND) {
        if (repair->data_dir.lock == NULL) { /* a view: the history's own */
            repair->data_dir.dir = repair->history.dirs[0];
            repair->data_dir.geometry = repair->history.geometry;
        }
        status = plan_and_do(repair);
        history_close(&repair->history);
    }
    verify_report_free(&repair->report);
    return status;
}

/* Is there a repair to go on with? Then all else is not to be asked. */
static enum exit_status begin(struct repair *repair, struct os_dir *dir)
{
    struct urn_error error;
    struct repair_intent intent;
    bool begun = false;
    enum urn_code code = repair_intent_make(&intent, &error);
    if (code == URN_OK)
        code = repair_intent_read(dir, &intent, &begun, &error);
    enum exit_status status = EXIT_SOUND;
    if (code != URN_OK)
        status = tool_fail(repair->tool, &error);
    else if (begun && !repair->options.salvage)
        status = go_on(repair, &intent);
    else
        status = look(repair);
    repair_intent_free(&intent);
    return status;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    CHECK(operand_count == 1);
    static struct repair repair; /* a report is large */
    struct tool locked = *tool;
    locked.ring_only = true; /* a start does not look into the archive */
    struct urn_error error;
    repair = (struct repair){.tool = &locked, .path = operands[0]};
    repair.options = *(const struct repair_options *)options;
    const char *conflict = options_conflict(&repair.options);
    if (conflict != NULL)
        return say(&repair, EXIT_USAGE, conflict);
    if (!repair.options.write && tool->in_use != NULL &&
        tool->in_use(tool->in_use_context, operands[0]))
        return say(&repair, EXIT_IN_USE, "a server has the data directory open: stop it first");
    struct data_dir data_dir;
    const enum urn_code code =
        repair.options.write ? data_dir_open_to_repair(tool->os, operands[0], &data_dir, &error)
                             : data_dir_open_readonly(tool->os, operands[0], &data_dir, &error);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    if (repair.options.write) {
        repair.data_dir = data_dir;
        locked.in_use = NULL; /* it would find our own lock */
    }
    memcpy(repair.data_dir.path, data_dir.path, sizeof repair.data_dir.path);
    const enum exit_status status = begin(&repair, data_dir.dir);
    data_dir_close(&data_dir);
    return status;
}

const struct command command_repair = {
    .name = "repair",
    .summary = "says what can be done about damage, and does it when told to",
    .usage =
        "DIR [--truncate-tail | --truncate-at LSN [--accept-loss COUNT] | --salvage] [--write]",
    .help =
        "Says what a start would make of the data directory, and what can be done. Changes nothing "
        "without\n"
        "--write, and refuses while a server has the directory open.\n"
        "\n"
        "    --truncate-tail      cuts off a torn tail: what was never durable. A start does that "
        "by itself\n"
        "    --truncate-at LSN    makes the log end there: lists each acknowledged draw that would "
        "be lost, as\n"
        "                         `urn-wal cat` prints it, and UNREAD where none can be read\n"
        "    --accept-loss COUNT  with --write: so many draws are lost, as the plan says\n"
        "    --salvage            prints the whole groups behind the place where a start stops, as "
        "JSON, one\n"
        "                         object a line, for a person to judge; writes nothing\n"
        "    --write              does it: copies each file that is changed to lost+found-<time>/ "
        "first, then\n"
        "                         cuts, and begins an epoch whose request ids are above all that "
        "were given\n"
        "\n"
        "Interrupted, the same command finishes it; until then no server starts. Copies are never "
        "removed.\n"
        "What lost draws took is in stock again.\n"
        "\n"
        "exit status: 0 done, possible, or nothing to do; 2 damage that is still there; 3 files "
        "are\n"
        "missing; 64 wrong usage, a wrong LSN or COUNT; 66 cannot open; 74 cannot read or write; "
        "75 in use\n"
        "\n"
        "examples:\n"
        "    urn-wal repair /var/lib/urn                      what is wrong, and what can be "
        "done?\n"
        "    urn-wal repair data --salvage >behind.json\n"
        "    urn-wal repair data --truncate-at 4464           what would be lost?\n"
        "    urn-wal repair data --truncate-at 4464 --accept-loss 20 --write\n",
    .operands_min = 1,
    .operands_max = 1,
    .operands = "a data directory",
    .options_bytes = sizeof(struct repair_options),
    .defaults = &defaults,
    .options = rows,
    .run = run,
};
