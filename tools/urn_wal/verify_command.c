/* verify_command.c: `urn-wal verify`: its options. */
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/progress_bar.h"
#include "tools/urn_wal/verify.h"

struct verify_options {
    bool quiet;
    bool json;
};

static const struct option_row rows[] = {
    {"--quiet", NULL, offsetof(struct verify_options, quiet), NULL},
    {"--json", NULL, offsetof(struct verify_options, json), NULL},
    {.name = NULL},
};

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    const struct verify_options *wanted = options;
    struct progress_bar bar;
    struct verify_report report;
    struct urn_error error;
    const struct tool shows = progress_bar_begin(&bar, tool, wanted->quiet);
    const enum urn_code code = verify_log(&shows, operands, operand_count, &report, &error);
    progress_bar_end(&bar);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    if (wanted->json)
        verify_print_json(&report, tool->out);
    else
        verify_print_text(&report, wanted->quiet, tool->out);
    const enum exit_status status = verify_exit_status(&report);
    verify_report_free(&report);
    return status;
}

const struct command command_verify = {
    .name = "verify",
    .summary = "checks everything: is the log sound, is it true, how does it end?",
    .usage = "DIR | FILE... [--quiet] [--json]",
    .help = "Checks bytes: every snapshot, every group's checksum, position, ring and epoch, and "
            "the hash\n"
            "chain through all of them. And meaning: no stock below zero, ids without gap or "
            "repeat, odds\n"
            "versions that rise, each snapshot what the log makes of the one before. Says which "
            "files are\n"
            "sound, where the log ends and how, where ids go on and up to where they are\n"
            "reserved, what a start would do, and what to do.\n"
            "Beside a server, what is durable is checked, from the older of the two newest "
            "snapshots on.\n"
            "\n"
            "    --quiet      prints findings only: nothing when all is sound\n"
            "    --json       prints one JSON object\n"
            "\n"
            "exit status: 0 sound; 1 torn tail only (never durable; the next start discards it); 2 "
            "damage;\n"
            "3 parts are missing; 4 sound bytes that cannot be true (the first of 2, 3, 4, 1 that "
            "applies);\n"
            "64 wrong usage; 66 cannot open; 74 cannot read or write\n"
            "\n"
            "examples:\n"
            "    urn-wal verify /var/lib/urn\n"
            "    urn-wal verify --json data | jq .verdict\n",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory, or files of one",
    .options_bytes = sizeof(struct verify_options),
    .options = rows,
    .run = run,
};
