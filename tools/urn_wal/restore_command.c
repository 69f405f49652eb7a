/* restore_command.c: `urn-wal restore`: its options, and what it says and warns of. */
#include <inttypes.h>

#include "engine/data_dir.h"
#include "engine/identity.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/json_text.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/progress_bar.h"
#include "tools/urn_wal/restore.h"
#include "tools/urn_wal/time_text.h"

struct restore_options {
    struct moment until;
    uint64_t id_margin;
    uint64_t segments;
    uint64_t segment_size_bytes;
    bool quiet;
    bool json;
};

static const struct restore_options defaults = {.id_margin = RESTORE_ID_MARGIN};

#define FIELD(field) offsetof(struct restore_options, field)

static const struct option_row rows[] = {
    {"--until", WANTS_MOMENT, FIELD(until), parse_moment},
    {"--id-margin", WANTS_COUNT, FIELD(id_margin), parse_count},
    {"--segments", WANTS_COUNT, FIELD(segments), parse_count},
    {"--segment-size", WANTS_SIZE, FIELD(segment_size_bytes), parse_size},
    {"--quiet", NULL, FIELD(quiet), NULL},
    {"--json", NULL, FIELD(json), NULL},
    {.name = NULL},
};

static void print_report(const struct restore *restore)
{
    FILE *out = restore->tool->out;
    char uuid[UUID_TEXT_BYTES];
    char size[DATA_DIR_SIZE_TEXT_BYTES];
    char time[TIME_TEXT_BYTES];
    uuid_text(restore->geometry.ring_uuid, uuid);
    time_text(restore->moment_time_us, time);
    (void)fprintf(out, "%s is a new data directory, restored from %s\n", restore->dest,
                  restore->sources[0]);
    (void)fprintf(out, "state:   LSN %" PRIu64 ", %s, last request id %" PRIu64 "\n",
                  restore->moment_lsn, time, restore->last_request_id);
    (void)fprintf(out,
                  "holds:   pools %" PRIu32 ", items %" PRIu64 ", drawn %" PRIu64
                  ", left of limited items %" PRIu64 "\n",
                  restore->pools, restore->items, restore->drawn, restore->left);
    (void)fprintf(out, "ring:    %s, %" PRIu32 " segments of %s, begins at LSN %" PRIu64 "\n", uuid,
                  restore->geometry.segments,
                  data_dir_size_text(restore->geometry.segment_size_bytes, size),
                  restore->begin_lsn);
    (void)fprintf(out, "ids:     go on at %" PRIu64, restore->next_request_id);
    if (restore->known.request_id > 0)
        (void)fprintf(
            out, ": the highest known to be given or reserved is %" PRIu64 ", the margin %" PRIu64,
            restore->known.request_id, restore->id_margin);
    (void)fprintf(out, "\n");
    (void)fprintf(
        out, "configure data_dir: %s with wal.segments: %" PRIu32 " and wal.segment_size: %s\n",
        restore->dest, restore->geometry.segments, size);
}

static void print_json(const struct restore *restore)
{
    FILE *out = restore->tool->out;
    const struct known *known = &restore->known;
    char uuid[UUID_TEXT_BYTES];
    char time[TIME_TEXT_BYTES];
    uuid_text(restore->geometry.ring_uuid, uuid);
    time_text(restore->moment_time_us, time);
    (void)fputs("{\"directory\":", out);
    json_string(restore->dest, out);
    (void)fputs(",\"source\":", out);
    json_string(restore->sources[0], out);
    (void)fprintf(out,
                  ",\"lsn\":%" PRIu64 ",\"time\":\"%s\",\"last_request_id\":%" PRIu64
                  ",\"pools\":%" PRIu32 ",\"items\":%" PRIu64 ",\"drawn\":%" PRIu64
                  ",\"left\":%" PRIu64,
                  restore->moment_lsn, time, restore->last_request_id, restore->pools,
                  restore->items, restore->drawn, restore->left);
    (void)fprintf(out,
                  ",\"ring\":\"%s\",\"segments\":%" PRIu32 ",\"segment_size\":%" PRIu64
                  ",\"begin_lsn\":%" PRIu64 ",\"next_request_id\":%" PRIu64
                  ",\"known_request_id\":%" PRIu64 ",\"id_margin\":%" PRIu64,
                  uuid, restore->geometry.segments, restore->geometry.segment_size_bytes,
                  restore->begin_lsn, restore->next_request_id, known->request_id,
                  restore->id_margin);
    (void)fprintf(out, ",\"in_use\":%s,\"later_draws\":%" PRIu64 ",\"later_incomplete\":%s}\n",
                  json_bool(restore->live), known->later_draws, json_bool(known->incomplete));
}

/* What holds for every restore. */
static void print_general_warnings(const struct restore *restore)
{
    FILE *notes = restore->tool->notes;
    (void)fprintf(notes, "urn-wal: WARNING: prizes that were given after that moment are in stock "
                         "again, and may be given a second time\n");
    (void)fprintf(notes,
                  "urn-wal: WARNING: what the source does not know of is not counted; if more than "
                  "%" PRIu64 " ids may have been given since, restore again with a larger "
                  "--id-margin, or ids repeat\n",
                  restore->id_margin);
}

/* What does of this one. */
static void print_warnings(const struct restore *restore)
{
    FILE *notes = restore->tool->notes;
    const struct known *known = &restore->known;
    if (known->later_draws > 0)
        (void)fprintf(notes,
                      "urn-wal: WARNING: the source itself holds %" PRIu64
                      " later draws, request ids %" PRIu64 " to %" PRIu64
                      "; `urn-wal cat` prints them\n",
                      known->later_draws, known->later_first_id, known->later_last_id);
    if (known->incomplete)
        (void)fprintf(notes, "urn-wal: WARNING: what follows is damaged or missing in part: there "
                             "may have been more draws; `urn-wal verify` says where\n");
    if (restore->live)
        (void)fprintf(notes,
                      "urn-wal: WARNING: a server has %s open and goes on giving out the same "
                      "stock: never let both serve\n",
                      restore->sources[0]);
}

static enum exit_status status_of(const struct restore *restore)
{
    switch (restore->outcome) {
    case REPLAY_REACHED:
        return EXIT_SOUND;
    case REPLAY_BROKEN:
        return EXIT_DAMAGE;
    case REPLAY_UNTRUE:
        return EXIT_MEANING;
    case REPLAY_OVERTAKEN:
        return EXIT_IN_USE;
    case REPLAY_NO_SNAPSHOT:
    case REPLAY_NOT_SUITABLE:
    case REPLAY_BEYOND_END:
    case REPLAY_NEVER_GIVEN:
        break;
    }
    return EXIT_NO_MOMENT;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    const struct restore_options *wanted = options;
    struct progress_bar bar;
    const struct tool shows = progress_bar_begin(&bar, tool, wanted->quiet);
    struct restore restore = {.tool = &shows,
                              .sources = operands,
                              .source_count = operand_count - 1,
                              .dest = operands[operand_count - 1],
                              .until = wanted->until,
                              .id_margin = wanted->id_margin,
                              .geometry = {.segment_size_bytes = wanted->segment_size_bytes,
                                           .segments = wanted->segments > SEGMENTS_MAX
                                                           ? SEGMENTS_MAX + 1
                                                           : (uint32_t)wanted->segments}};
    struct urn_error error;
    const enum urn_code code = restore_make(&restore, &error);
    progress_bar_end(&bar);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    if (restore.outcome != REPLAY_REACHED)
        return status_of(&restore);
    if (wanted->json)
        print_json(&restore);
    else if (!wanted->quiet)
        print_report(&restore);
    if (!wanted->quiet)
        print_general_warnings(&restore);
    print_warnings(&restore);
    return EXIT_SOUND;
}

const struct command command_restore = {
    .name = "restore",
    .summary = "a backup, or a moment of the past, as a new data directory",
    .usage = "SOURCE... DEST [--until MOMENT] [--id-margin N] [--segments N] [--segment-size S]\n"
             "                       [--quiet] [--json]",
    .help =
        "Makes DEST, which must not exist, a data directory that urnd starts from. SOURCE is a "
        "backup, a\n"
        "data directory, or a snapshot file (urn-wal replay --output writes such), which are only "
        "read.\n"
        "The new ring has a UUID of its own, so that it never mixes with the old one. Request ids "
        "go on\n"
        "above all that the source knows to be given or reserved, plus a margin for what it does "
        "not know.\n"
        "DEST is whole once DEST/IDENTITY is there: if the command is stopped before, no server "
        "starts\n"
        "from it, and repeating the command finishes it.\n"
        "What was given after the restored moment can be given again. Be sure that the old "
        "directory\n"
        "never serves again beside the new one.\n"
        "\n"
        "    --until MOMENT    lsn:N, id:N (right behind that draw), or a time; default: the end\n"
        "    --id-margin N     ids that may have been given and are not known here; default "
        "1000000000\n"
        "    --segments N      of the new ring; default: as many as the source's\n"
        "    --segment-size S  such as 64MiB; default: as the source's\n"
        "    --quiet           prints nothing but complaints, and warnings that this very source "
        "gives cause\n"
        "                      for\n"
        "    --json            prints one JSON object; warnings go to standard error all the same\n"
        "\n"
        "exit status: 0 done; 1 there is no such moment, or it is not kept; 2 damage before it; 4 "
        "sound\n"
        "bytes before it that cannot be true; 64 wrong usage; 66 cannot open; 73 DEST cannot be "
        "made, or\n"
        "is there already; 74 cannot read or write; 75 DEST is being made by another process, or a "
        "server\n"
        "was faster\n"
        "\n"
        "examples:\n"
        "    urn-wal restore /backup/urn-2026-11-30 /var/lib/urn\n"
        "    urn-wal restore data rewound --until 2026-11-30T12:00:00Z\n",
    .operands_min = 2,
    .operands_max = OPERANDS_MAX,
    .operands = "what to restore from and a directory to be made",
    .options_bytes = sizeof(struct restore_options),
    .defaults = &defaults,
    .options = rows,
    .run = run,
};
