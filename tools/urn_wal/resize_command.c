/* resize_command.c: `urn-wal resize`: its options, and what it says. */
#include <inttypes.h>

#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/json_text.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/progress_bar.h"
#include "tools/urn_wal/resize.h"

#define MAX_BATCH_DEFAULT                                                                          \
    100000u /* of limits.max_batch, which bounds the largest group from below */

struct resize_options {
    uint64_t segments;
    uint64_t segment_size_bytes;
    uint64_t max_batch;
    const char *backup;
    bool discards;
    bool quiet;
    bool json;
};

static const struct resize_options defaults = {.max_batch = MAX_BATCH_DEFAULT};

#define FIELD(field) offsetof(struct resize_options, field)

static const struct option_row rows[] = {
    {"--segments", WANTS_COUNT, FIELD(segments), parse_count},
    {"--segment-size", WANTS_SIZE, FIELD(segment_size_bytes), parse_size},
    {"--max-batch", WANTS_COUNT, FIELD(max_batch), parse_count},
    {"--backup", "the name of a directory to be made", FIELD(backup), parse_text},
    {"--discard-history", NULL, FIELD(discards), NULL},
    {"--quiet", NULL, FIELD(quiet), NULL},
    {"--json", NULL, FIELD(json), NULL},
    {.name = NULL},
};

static void print_history(const struct resize *resize, FILE *out)
{
    (void)fprintf(out, "LSN %" PRIu64 " to %" PRIu64, resize->history_lsn, resize->end_lsn);
    if (resize->first_id > 0)
        (void)fprintf(out, ", request ids %" PRIu64 " to %" PRIu64, resize->first_id,
                      resize->last_id);
}

/* The sizes that the configuration must say from now on. */
static void print_configuration(const struct resize *resize)
{
    char size[DATA_DIR_SIZE_TEXT_BYTES];
    (void)fprintf(resize->tool->out,
                  "configure wal.segments: %" PRIu32
                  " and wal.segment_size: %s before the next start, which refuses other sizes\n",
                  resize->to.segments, data_dir_size_text(resize->to.segment_size_bytes, size));
}

static void print_done(const struct resize *resize)
{
    FILE *out = resize->tool->out;
    char size[DATA_DIR_SIZE_TEXT_BYTES];
    char old_size[DATA_DIR_SIZE_TEXT_BYTES];
    if (resize->outcome == RESIZE_FINISHED)
        (void)fprintf(out, "a resize that had begun before is finished\n");
    (void)fprintf(out, "%s has a ring of %" PRIu32 " segments of %s; it had %" PRIu32 " of %s\n",
                  resize->path, resize->to.segments,
                  data_dir_size_text(resize->to.segment_size_bytes, size), resize->from.segments,
                  data_dir_size_text(resize->from.segment_size_bytes, old_size));
    if (resize->outcome == RESIZE_DONE) {
        (void)fprintf(out,
                      "state:   all as it was; last request id %" PRIu64 "; the log goes on at LSN "
                      "%" PRIu64 "\n",
                      resize->last_id, resize->begin_lsn);
        (void)fprintf(out, "history: ");
        print_history(resize, out);
        if (resize->archives)
            (void)fprintf(out, ": in the archive %s%s", resize->archive.path,
                          resize->backup != NULL ? ", and" : "\n");
        if (resize->backup != NULL)
            (void)fprintf(out, "%s in the backup %s\n", resize->archives ? "" : ":",
                          resize->backup);
        if (!resize->archives && resize->backup == NULL)
            (void)fprintf(out, ": discarded\n");
    }
    print_configuration(resize);
}

static void print_undecided(const struct resize *resize)
{
    FILE *notes = resize->tool->notes;
    (void)fprintf(notes,
                  "urn-wal: the state would stay as it is, but the old ring goes, and with it "
                  "the history in it: ");
    print_history(resize, notes);
    (void)fprintf(
        notes, "\nurn-wal: decide: --backup DEST keeps it in a backup, --discard-history gives it "
               "up; nothing was changed\n");
}

static void print_text(const struct resize *resize)
{
    switch (resize->outcome) {
    case RESIZE_DONE:
    case RESIZE_FINISHED:
        print_done(resize);
        break;
    case RESIZE_SAME:
        (void)fprintf(resize->tool->out, "%s has these sizes; nothing was changed\n", resize->path);
        print_configuration(resize);
        break;
    case RESIZE_UNDECIDED:
        break;
    }
}

static void print_json_history(const struct resize *resize, FILE *out)
{
    (void)fprintf(out,
                  ",\"last_request_id\":%" PRIu64 ",\"history\":{\"begin_lsn\":%" PRIu64
                  ",\"end_lsn\":%" PRIu64,
                  resize->last_id, resize->history_lsn, resize->end_lsn);
    if (resize->first_id > 0)
        (void)fprintf(out, ",\"first_request_id\":%" PRIu64 ",\"last_request_id\":%" PRIu64,
                      resize->first_id, resize->last_id);
    if (resize->archives) {
        (void)fputs(",\"archive\":", out);
        json_string(resize->archive.path, out);
    }
    if (resize->backup != NULL) {
        (void)fputs(",\"backup\":", out);
        json_string(resize->backup, out);
    }
    (void)fputc('}', out);
}

/* What the ring is now; of a change, what it was, where its log goes on, and of one that was not begun before, what
 * history it had. */
static void print_json(const struct resize *resize)
{
    static const char *const outcomes[] = {[RESIZE_DONE] = "done",
                                           [RESIZE_FINISHED] = "finished",
                                           [RESIZE_SAME] = "same",
                                           [RESIZE_UNDECIDED] = "undecided"};
    const enum resize_outcome outcome = resize->outcome;
    const bool changed = outcome == RESIZE_DONE || outcome == RESIZE_FINISHED;
    const struct wal_geometry *now = changed ? &resize->to : &resize->from;
    FILE *out = resize->tool->out;
    (void)fputs("{\"directory\":", out);
    json_string(resize->path, out);
    (void)fprintf(out, ",\"outcome\":\"%s\",\"segments\":%" PRIu32 ",\"segment_size\":%" PRIu64,
                  outcomes[outcome], now->segments, now->segment_size_bytes);
    if (changed)
        (void)fprintf(out,
                      ",\"old_segments\":%" PRIu32 ",\"old_segment_size\":%" PRIu64
                      ",\"begin_lsn\":%" PRIu64,
                      resize->from.segments, resize->from.segment_size_bytes, resize->begin_lsn);
    if (outcome == RESIZE_DONE || outcome == RESIZE_UNDECIDED)
        print_json_history(resize, out);
    (void)fputs("}\n", out);
}

static enum exit_status tell(const struct resize *resize, const struct resize_options *wanted)
{
    if (wanted->json)
        print_json(resize);
    else if (!wanted->quiet)
        print_text(resize);
    if (resize->outcome != RESIZE_UNDECIDED)
        return EXIT_SOUND;
    print_undecided(resize);
    return EXIT_USAGE;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    const struct resize_options *wanted = options;
    struct progress_bar bar;
    const struct tool shows = progress_bar_begin(&bar, tool, wanted->quiet);
    struct resize resize = {
        .tool = &shows,
        .path = operands[0],
        .segments = wanted->segments > SEGMENTS_MAX ? SEGMENTS_MAX + 1 : (uint32_t)wanted->segments,
        .segment_size_bytes = wanted->segment_size_bytes,
        .max_batch =
            wanted->max_batch > MAX_BATCH_MAX ? MAX_BATCH_MAX + 1 : (uint32_t)wanted->max_batch,
        .backup = wanted->backup,
        .discards = wanted->discards};
    struct urn_error error;
    (void)operand_count;
    const enum urn_code code = resize_ring(&resize, &error);
    progress_bar_end(&bar);
    return code == URN_OK ? tell(&resize, wanted) : tool_fail(tool, &error);
}

const struct command command_resize = {
    .name = "resize",
    .summary = "gives a stopped server's ring another size or number of segments",
    .usage = "DIR [--segments N] [--segment-size S] [--backup DEST | --discard-history]\n"
             "                      [--max-batch N] [--quiet] [--json]",
    .help =
        "Makes a new ring with the same UUID, state, ids and time, whose log goes on behind the "
        "old one's.\n"
        "Takes the lock, and refuses while a server has it. First looks at the log as a start "
        "does, and\n"
        "refuses if that would. The new ring is written whole beside the old one, for which there "
        "must be\n"
        "room; then one rename makes the change. Stopped at any moment, the directory is as it "
        "was, or no\n"
        "server starts from it until the command is repeated, which finishes it.\n"
        "What the old ring holds of the log goes with it. Where the server archives (wal.archive), "
        "all of it is\n"
        "archived first: the last segment is closed, and history goes on unbroken; if that fails, "
        "so does the\n"
        "command. Without an archive one of --backup and --discard-history has to be given.\n"
        "\n"
        "    --segments N         how many; default: as it is\n"
        "    --segment-size S     such as 64MiB; default: as it is\n"
        "    --backup DEST        first copies all that the ring holds there, as urn-wal backup "
        "does\n"
        "    --discard-history    gives up what of it is not archived\n"
        "    --max-batch N        limits.max_batch of the configuration, which a segment has to "
        "hold;\n"
        "                         default 100000, as there\n"
        "    --quiet              prints nothing but complaints\n"
        "    --json               prints one JSON object\n"
        "\n"
        "exit status: 0 done; 2 the log is damaged, or files are missing; 64 wrong usage, sizes "
        "that do\n"
        "not fit, or nothing was decided on the history; 66 cannot open; 73 no room; 74 cannot "
        "read "
        "or\n"
        "write; 75 a server has it open\n"
        "\n"
        "examples:\n"
        "    urn-wal resize /var/lib/urn --segments 16 --backup /backup/urn-before\n"
        "    urn-wal resize data --segment-size 128MiB --discard-history\n",
    .operands_min = 1,
    .operands_max = 1,
    .operands = "a data directory",
    .options_bytes = sizeof(struct resize_options),
    .defaults = &defaults,
    .options = rows,
    .run = run,
};
