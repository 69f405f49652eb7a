/* backup_command.c: `urn-wal backup`: its options, and what it says of the copy. */
#include <inttypes.h>

#include "tools/urn_wal/backup.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/json_text.h"
#include "tools/urn_wal/progress_bar.h"
#include "tools/urn_wal/time_text.h"

struct backup_options {
    bool all;
    bool quiet;
    bool json;
};

static const struct option_row rows[] = {
    {"--all", NULL, offsetof(struct backup_options, all), NULL},
    {"--quiet", NULL, offsetof(struct backup_options, quiet), NULL},
    {"--json", NULL, offsetof(struct backup_options, json), NULL},
    {.name = NULL},
};

static void print_report(const struct tool *tool, const char *source, const char *dest,
                         const struct backup_report *report)
{
    FILE *out = tool->out;
    char time[TIME_TEXT_BYTES];
    time_text(report->wall_time_us, time);
    (void)fprintf(out, "%s is a backup of %s\n", dest, source);
    (void)fprintf(out,
                  "log:             LSN %" PRIu64 " to %" PRIu64 ", groups %" PRIu64
                  ", draws %" PRIu64 ", bytes %" PRIu64 "\n",
                  report->begin_lsn, report->end_lsn, report->groups, report->draws,
                  report->log_bytes);
    (void)fprintf(out,
                  "snapshots:       LSN %" PRIu64 " and %" PRIu64 ", pools %" PRIu32
                  ", items %" PRIu64 ", bytes %" PRIu64 "\n",
                  report->snapshot_lsn, report->end_lsn, report->pools, report->items,
                  report->snapshot_bytes);
    if (report->last_request_id == 0)
        (void)fprintf(out, "last request id: none was given yet\n");
    else
        (void)fprintf(out, "last request id: %" PRIu64 ", %s\n", report->last_request_id, time);
    (void)fprintf(out, "all of it is on the disk, and was read back and verified\n");
}

static void print_json(const struct tool *tool, const char *source, const char *dest,
                       const struct backup_report *report)
{
    FILE *out = tool->out;
    char time[TIME_TEXT_BYTES];
    time_text(report->wall_time_us, time);
    (void)fputs("{\"backup\":", out);
    json_string(dest, out);
    (void)fputs(",\"source\":", out);
    json_string(source, out);
    (void)fprintf(out,
                  ",\"begin_lsn\":%" PRIu64 ",\"end_lsn\":%" PRIu64 ",\"groups\":%" PRIu64
                  ",\"draws\":%" PRIu64 ",\"log_bytes\":%" PRIu64 ",\"snapshot_lsn\":%" PRIu64
                  ",\"pools\":%" PRIu32 ",\"items\":%" PRIu64 ",\"snapshot_bytes\":%" PRIu64
                  ",\"last_request_id\":%" PRIu64 ",\"time\":\"%s\"",
                  report->begin_lsn, report->end_lsn, report->groups, report->draws,
                  report->log_bytes, report->snapshot_lsn, report->pools, report->items,
                  report->snapshot_bytes, report->last_request_id, time);
    (void)fprintf(out, ",\"in_use\":%s,\"looks\":%" PRIu32 "}\n", json_bool(report->live),
                  report->looks);
}

static void print_notes(const struct tool *tool, const struct backup_report *report)
{
    if (report->live)
        (void)fprintf(tool->notes,
                      "urn-wal: a server has it open: what became durable since is not in the "
                      "backup\n");
    if (report->looks > 1)
        (void)fprintf(tool->notes,
                      "urn-wal: the server was faster %" PRIu32
                      " times: its ring is small for what is drawn\n",
                      report->looks - 1);
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    const struct backup_options *wanted = options;
    struct progress_bar bar;
    struct backup_report report;
    struct urn_error error;
    (void)operand_count;
    const struct tool shows = progress_bar_begin(&bar, tool, wanted->quiet);
    const enum urn_code code =
        backup_make(&shows, operands[0], operands[1], wanted->all ? BACKUP_ALL : BACKUP_NEWEST,
                    &report, &error);
    progress_bar_end(&bar);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    if (wanted->json)
        print_json(tool, operands[0], operands[1], &report);
    else if (!wanted->quiet)
        print_report(tool, operands[0], operands[1], &report);
    if (!wanted->quiet)
        print_notes(tool, &report);
    return EXIT_SOUND;
}

const struct command command_backup = {
    .name = "backup",
    .summary = "a consistent copy of a data directory, also beside a running server",
    .usage = "DIR DEST [--all] [--quiet] [--json]",
    .help =
        "Copies the newest snapshot that verifies, and the log from there to what is durable now, "
        "to\n"
        "DEST, which must not exist. It takes no lock and only reads DIR; where a server writes "
        "over\n"
        "what is being copied, it begins anew. The copy is synced, read back from the disk as a "
        "start\n"
        "would read it, and gets a second snapshot, of its end. It is whole once DEST/IDENTITY is "
        "there:\n"
        "if the command is stopped before, nothing takes DEST for a backup, and repeating the "
        "command\n"
        "finishes it.\n"
        "All other commands read DEST like any data directory. No server starts from it: urn-wal\n"
        "restore makes a data directory of it.\n"
        "\n"
        "    --all        the older log, too, that the ring still holds, with its snapshots\n"
        "    --quiet      prints nothing but complaints\n"
        "    --json       prints one JSON object\n"
        "\n"
        "exit status: 0 done; 2 the log or all snapshots are damaged; 64 wrong usage; 66 cannot "
        "open;\n"
        "73 DEST cannot be made, or is there already; 74 cannot read or write; 75 the server was "
        "faster,\n"
        "again and again, or DEST is being made by another process\n"
        "\n"
        "examples:\n"
        "    urn-wal backup /var/lib/urn /backup/urn-$(date +%F)\n"
        "    urn-wal verify /backup/urn-2026-11-30\n",
    .operands_min = 2,
    .operands_max = 2,
    .operands = "a data directory and a directory to be made",
    .options_bytes = sizeof(struct backup_options),
    .options = rows,
    .run = run,
};
