/* prune.c: `urn-wal prune`: deletes from an archive what is older than so many days, and nothing that a kept
 * moment needs.
 *
 * Every moment of the days that are kept is rebuilt from a snapshot before it and the log in between. So the
 * newest snapshot that verifies and is old enough is kept, with all that lies behind it; what lies before goes:
 *
 *     |  segment  |  segment  |  segment  |  segment  |  segment  |
 *        ^snapshot    ^snapshot    ^kept        ^snapshot    ^snapshot
 *     |- deleted ------------|                | days that are kept -
 *
 * Snapshots go first, then segments and gaps from the oldest on. The directory is synced in between, and
 * behind each of the latter, for what is not synced may come back in any order. So whatever a crash leaves, no
 * snapshot is without its log, and no hole in the log is without its record.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/archive_dir.h"
#include "engine/snapshot_file.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/time_text.h"

struct prune_options {
    uint64_t keep_days; /* 0: not given */
    bool write;
};

static const struct option_row rows[] = {
    {"--keep-days", WANTS_COUNT, offsetof(struct prune_options, keep_days), parse_count},
    {"--write", NULL, offsetof(struct prune_options, write), NULL},
    {.name = NULL},
};

#define DAY_US (24ull * 3600 * 1000 * 1000)

static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

struct prune {
    const struct tool *tool;
    struct prune_options options;
    const char *path;
    struct os_dir *dir;
    uint8_t ring[WAL_UUID_BYTES];
    struct archive_list list;
    uint64_t older_us; /* what is of this time or earlier is old enough */
    bool found;        /* a snapshot to keep */
    struct archive_name kept;
    uint64_t kept_time_us;
    uint64_t files;
    uint64_t bytes;
};

/* ---- what to keep ---------------------------------------------------------------------------- */

/* Loads one; false, and said why: it does not verify, or is of another ring, and is no basis. */
static bool time_of(struct prune *prune, const struct archive_name *name, uint64_t *time_us,
                    struct urn_error *error)
{
    const struct snapshot_name id = {name->from_lsn, name->serial};
    struct state state;
    struct wal_geometry geometry;
    char file[DATA_DIR_NAME_MAX];
    enum urn_code code = snapshot_file_load(prune->dir, id, &bounds, &state, &geometry, error);
    if (code == URN_OK) {
        *time_us = state.wall_time_us;
        state_free(&state);
        if (memcmp(geometry.ring_uuid, prune->ring, WAL_UUID_BYTES) == 0)
            return true;
        data_dir_snapshot_name(file, name->from_lsn, name->serial);
        error_set(error, URN_DAMAGED, 0, "%s: it is of another ring", file);
    }
    if (error->code != URN_NOMEMORY)
        (void)fprintf(prune->tool->notes, "urn-wal: %s; it is no basis for anything\n",
                      error->text);
    return false;
}

/* The newest snapshot that is old enough, as all before it are: the clock may have gone back for a while, and
 * what was taken then only looks old. Those that do not verify are told of, and no basis. */
static enum urn_code find_kept(struct prune *prune, struct urn_error *error)
{
    for (uint32_t i = 0; i < prune->list.snapshot_count; i++) {
        uint64_t time_us = 0;
        if (!time_of(prune, &prune->list.snapshots[i], &time_us, error)) {
            if (error->code == URN_NOMEMORY)
                return error->code;
            continue;
        }
        if (time_us > prune->older_us)
            break;
        prune->found = true;
        prune->kept = prune->list.snapshots[i];
        prune->kept_time_us = time_us;
    }
    return URN_OK;
}

/* ---- what goes ------------------------------------------------------------------------------- */

static uint64_t size_of(struct os_dir *dir, const char *name)
{
    struct os_file *file = NULL;
    uint64_t bytes = 0;
    if (os_file_open(dir, name, OS_READ, &file) != 0)
        return 0;
    if (os_file_size(file, &bytes) != 0)
        bytes = 0;
    os_file_close(file);
    return bytes;
}

/* One file: told of or, with --write, deleted. Gone already is as good. */
static enum urn_code drop_file(struct prune *prune, const char *name, struct urn_error *error)
{
    const uint64_t bytes = size_of(prune->dir, name);
    if (prune->options.write) {
        const int failure = os_remove(prune->dir, name);
        if (failure != 0 && failure != ENOENT)
            return error_set(error, URN_IO, failure, "cannot delete %.150s/%s", prune->path, name);
    }
    prune->files++;
    prune->bytes += bytes;
    (void)fprintf(prune->tool->out, "%s %s\n", prune->options.write ? "deleted" : "would delete",
                  name);
    return URN_OK;
}

static enum urn_code sync_dir(const struct prune *prune, struct urn_error *error)
{
    const int failure = prune->options.write ? os_dir_sync(prune->dir) : 0;
    return failure == 0
               ? URN_OK
               : error_set(error, URN_IO, failure, "cannot sync the archive %.200s", prune->path);
}

static enum urn_code drop_snapshots(struct prune *prune, struct urn_error *error)
{
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; code == URN_OK && i < prune->list.snapshot_count; i++) {
        const struct archive_name *name = &prune->list.snapshots[i];
        char file[DATA_DIR_NAME_MAX];
        if (name->from_lsn >= prune->kept.from_lsn)
            break;
        data_dir_snapshot_name(file, name->from_lsn, name->serial);
        code = drop_file(prune, file, error);
    }
    return code == URN_OK ? sync_dir(prune, error) : code;
}

/* The segment with which what is kept begins: one lies before the kept snapshot when the next does not begin
 * behind it. */
static uint32_t first_kept_segment(const struct prune *prune)
{
    const struct archive_list *list = &prune->list;
    uint32_t first = 0;
    while (first + 1 < list->segment_count && list->segments[first + 1] <= prune->kept.from_lsn)
        first++;
    return first;
}

/* A segment, or a gap's record: none goes before all that is older has gone for certain. */
static enum urn_code drop_of_log(struct prune *prune, const char *name, struct urn_error *error)
{
    const enum urn_code code = drop_file(prune, name, error);
    return code == URN_OK ? sync_dir(prune, error) : code;
}

static enum urn_code drop_gaps(struct prune *prune, uint32_t *gap, uint64_t before_lsn,
                               struct urn_error *error)
{
    const struct archive_list *list = &prune->list;
    enum urn_code code = URN_OK;
    char file[DATA_DIR_NAME_MAX];
    for (; code == URN_OK && *gap < list->gap_count && list->gaps[*gap].to_lsn <= before_lsn;
         (*gap)++) {
        archive_gap_name(file, list->gaps[*gap].from_lsn, list->gaps[*gap].to_lsn);
        code = drop_of_log(prune, file, error);
    }
    return code;
}

/* Segments and the gaps between them, by turns, in the order of the log. A gap behind a segment that stays
 * does so, too. */
static enum urn_code drop_log(struct prune *prune, struct urn_error *error)
{
    const struct archive_list *list = &prune->list;
    const uint32_t first = first_kept_segment(prune);
    uint64_t kept_lsn = prune->kept.from_lsn;
    if (first < list->segment_count && list->segments[first] < kept_lsn)
        kept_lsn = list->segments[first];
    enum urn_code code = URN_OK;
    char file[DATA_DIR_NAME_MAX];
    uint32_t gap = 0;
    for (uint32_t i = 0; code == URN_OK && i < first; i++) {
        code = drop_gaps(prune, &gap, list->segments[i], error);
        archive_segment_name(file, list->segments[i]);
        if (code == URN_OK)
            code = drop_of_log(prune, file, error);
    }
    return code == URN_OK ? drop_gaps(prune, &gap, kept_lsn, error) : code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static void tell(const struct prune *prune)
{
    FILE *out = prune->tool->out;
    char time[TIME_TEXT_BYTES];
    char name[DATA_DIR_NAME_MAX];
    if (!prune->found) {
        time_text(prune->older_us, time);
        (void)fprintf(out,
                      "nothing to delete: no snapshot of %s or earlier is kept, and all that there "
                      "is may be needed\n",
                      time);
        return;
    }
    time_text(prune->kept_time_us, time);
    data_dir_snapshot_name(name, prune->kept.from_lsn, prune->kept.serial);
    (void)fprintf(out, "%s %" PRIu64 " files, %.1f MB; kept from %s on (LSN %" PRIu64 ", %s)\n",
                  prune->options.write ? "deleted" : "would delete", prune->files,
                  (double)prune->bytes / 1e6, name, prune->kept.from_lsn, time);
    if (!prune->options.write && prune->files > 0)
        (void)fprintf(out, "nothing was deleted; --write does it\n");
}

static enum urn_code carry_out(struct prune *prune, struct urn_error *error)
{
    if (find_kept(prune, error) != URN_OK)
        return error->code;
    if (prune->found &&
        (drop_snapshots(prune, error) != URN_OK || drop_log(prune, error) != URN_OK))
        return error->code;
    tell(prune);
    return URN_OK;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    (void)operand_count;
    struct prune prune = {
        .tool = tool, .options = *(const struct prune_options *)options, .path = operands[0]};
    struct urn_error error;
    if (prune.options.keep_days == 0) {
        (void)fprintf(tool->notes,
                      "urn-wal: prune needs --keep-days N: how many days are to stay\n");
        return EXIT_USAGE;
    }
    const uint64_t now_us = os_wall_us(tool->os);
    prune.older_us =
        prune.options.keep_days <= now_us / DAY_US ? now_us - prune.options.keep_days * DAY_US : 0;
    enum urn_code code = archive_dir_open(tool->os, prune.path, &prune.dir, prune.ring, &error);
    if (code != URN_OK)
        return tool_fail(tool, &error);
    code = archive_dir_list(prune.dir, &prune.list, &error);
    if (code == URN_OK)
        code = carry_out(&prune, &error);
    archive_list_free(&prune.list);
    os_dir_close(prune.dir);
    return code == URN_OK ? EXIT_SOUND : tool_fail(tool, &error);
}

const struct command command_prune = {
    .name = "prune",
    .summary = "deletes from an archive what is older than so many days",
    .usage = "ARCHIVE --keep-days N [--write]",
    .help =
        "Deletes the oldest of an archive, so that every moment of the last N days can still be\n"
        "rebuilt: the newest snapshot that verifies and is N days old or older stays, and all "
        "that\n"
        "lies behind it. Only tells what it would delete, unless --write is given. May be used "
        "beside a\n"
        "running server.\n"
        "\n"
        "    --keep-days N  how many days are to stay\n"
        "    --write        deletes\n"
        "\n"
        "exit status: 0 done, or nothing to do; 64 wrong usage; 66 cannot open; 74 cannot read or "
        "write\n"
        "\n"
        "examples:\n"
        "    urn-wal prune /srv/archive/urn --keep-days 90\n"
        "    urn-wal prune /srv/archive/urn --keep-days 90 --write\n",
    .operands_min = 1,
    .operands_max = 1,
    .operands = "an archive",
    .options_bytes = sizeof(struct prune_options),
    .options = rows,
    .run = run,
};
