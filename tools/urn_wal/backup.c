/* backup.c: see backup.h. */
#include "tools/urn_wal/backup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/data_dir_build.h"
#include "engine/file_io.h"
#include "engine/identity.h"
#include "engine/recovery.h"
#include "engine/snapshot_file.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/history_archive.h"
#include "tools/urn_wal/time_text.h"
#include "tools/urn_wal/walk.h"

#define LOOKS_MAX    50u /* beside a server that laps faster than its log can be read */
#define SPOOL_BYTES  (1024u * 1024)
#define MANIFEST_MAX 8192u

/* A tool takes whatever an engine may have been configured for. */
static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

struct backup {
    const struct tool *tool;
    struct history history;
    struct data_dir dest;
    struct backup_report *report;
    enum backup_extent extent;
    bool overtaken; /* by the server: this look is to be begun anew */
    struct state state;
    bool has_state;
    struct wal_tail tail; /* where the copied log ends */
    struct walk_progress telling;
    /* the segment that is being written, contiguously */
    struct os_file *file;
    char name[DATA_DIR_NAME_MAX];
    uint64_t offset;     /* of the buffer's begin */
    uint32_t used_bytes; /* of the buffer */
    uint8_t *buffer;     /* SPOOL_BYTES */
};

/* ---- segments of the copy -------------------------------------------------------------------- */

static enum urn_code spool_flush(struct backup *backup, struct urn_error *error)
{
    if (backup->used_bytes == 0)
        return URN_OK;
    const enum urn_code code = file_write_exact(backup->file, backup->name, backup->buffer,
                                                backup->used_bytes, backup->offset, error);
    backup->offset += backup->used_bytes;
    backup->used_bytes = 0;
    return code;
}

static enum urn_code spool_put(struct backup *backup, const uint8_t *bytes, uint32_t length_bytes,
                               struct urn_error *error)
{
    while (length_bytes > 0) {
        const uint32_t room = SPOOL_BYTES - backup->used_bytes;
        const uint32_t part = length_bytes < room ? length_bytes : room;
        memcpy(backup->buffer + backup->used_bytes, bytes, part);
        backup->used_bytes += part;
        bytes += part;
        length_bytes -= part;
        if (backup->used_bytes == SPOOL_BYTES && spool_flush(backup, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

static enum urn_code spool_open(struct backup *backup, uint32_t slot, struct urn_error *error)
{
    CHECK(backup->file == NULL);
    data_dir_segment_name(backup->name, slot);
    backup->offset = 0;
    backup->used_bytes = 0;
    const int failure = os_file_open(backup->dest.dir, backup->name, OS_CREATE, &backup->file);
    if (failure == 0)
        return URN_OK;
    backup->file = NULL;
    return error_set(error, URN_IO, failure, "cannot create %s", backup->name);
}

/* The file gets its whole length; what is not written of it takes no room and reads as zeros. */
static enum urn_code spool_close(struct backup *backup, struct urn_error *error)
{
    static const uint8_t zeros[OS_PAGE_BYTES];
    const uint64_t size = backup->dest.geometry.segment_size_bytes;
    if (backup->file == NULL)
        return URN_OK;
    enum urn_code code = spool_flush(backup, error);
    if (code == URN_OK && backup->offset < size) {
        const uint64_t rest = size - backup->offset;
        const uint64_t length = rest < sizeof zeros ? rest : sizeof zeros;
        code = file_write_exact(backup->file, backup->name, zeros, length, size - length, error);
    }
    os_file_close(backup->file);
    backup->file = NULL;
    return code;
}

static void spool_drop(struct backup *backup)
{
    if (backup->file != NULL)
        os_file_close(backup->file);
    backup->file = NULL;
}

/* ---- one look: snapshot and log ---------------------------------------------------------------- */

/* Loads the newest snapshot that verifies. */
static enum urn_code load_newest(struct backup *backup, struct urn_error *error)
{
    struct history *history = &backup->history;
    *error = (struct urn_error){.code = URN_DAMAGED, .text = "there is no snapshot"};
    for (uint32_t which = 0; which < history->snapshot_count; which++) {
        const enum urn_code code = history_load(history, which, &backup->state, error);
        backup->has_state = code == URN_OK;
        if (code == URN_OK)
            return code;
        backup->overtaken = history_lost(history, code, error);
        if (backup->overtaken)
            return URN_OK;
        const bool file_is_bad =
            code == URN_DAMAGED || (code == URN_IO && error->system_errno == EIO);
        if (!file_is_bad)
            return code;
    }
    error->code = URN_DAMAGED;
    return error_prefix(error, "%.200s: no snapshot verifies: ", history->path);
}

static enum urn_code refuse_break(const struct backup *backup, const struct walk_break *gap,
                                  struct urn_error *error)
{
    char what[BREAK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    break_text(&backup->history, gap, 0, 0, what);
    return error_set(error, URN_DAMAGED, 0,
                     "the log is damaged at LSN %" PRIu64
                     " (%.80s): %.200s; `urn-wal verify %.100s` "
                     "shows more",
                     gap->from_lsn, history_place(&backup->history, gap->from_lsn, place), what,
                     backup->history.path);
}

/* The log comes to the snapshot's LSN with this chain. (One at a segment's begin, and the state at the log's
 * end, are checked when all is read back.) */
static enum urn_code check_chain(const struct backup *backup, const struct wal_tail *tail,
                                 struct urn_error *error)
{
    const struct wal_tail *snapshot = &backup->state.tail;
    if (tail->lsn != snapshot->lsn || memcmp(tail->chain, snapshot->chain, WAL_CHAIN_BYTES) == 0)
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0,
                     "the snapshot of LSN %" PRIu64
                     " is of another history than the log: its chain differs; `urn-wal verify "
                     "%.100s` shows more",
                     snapshot->lsn, backup->history.path);
}

static enum urn_code take_segment(struct backup *backup, const struct walk *walk,
                                  struct urn_error *error)
{
    const struct wal_geometry *geometry = &backup->dest.geometry;
    const uint64_t sequence = walk->item.lsn / geometry->segment_size_bytes;
    if (spool_close(backup, error) != URN_OK ||
        spool_open(backup, (uint32_t)(sequence % geometry->segments), error) != URN_OK)
        return error->code;
    return spool_put(backup, walk->item.header_page, WAL_SEGMENT_HEADER_BYTES, error);
}

static enum urn_code take_group(struct backup *backup, const struct walk *walk,
                                struct urn_error *error)
{
    const struct wal_group_header *header = &walk->item.header;
    struct backup_report *report = backup->report;
    struct wal_tail before = {.lsn = header->lsn};
    memcpy(before.chain, header->chain_before, WAL_CHAIN_BYTES);
    if (check_chain(backup, &before, error) != URN_OK ||
        check_chain(backup, &walk->tail, error) != URN_OK)
        return error->code;
    CHECK(backup->file != NULL); /* the walk began with a segment's header page */
    report->groups++;
    report->draws += header->draws;
    report->log_bytes += header->length_bytes;
    return spool_put(backup, walk->item.bytes, header->length_bytes, error);
}

/* Walks and copies to the end of what is durable. */
static enum urn_code copy_walk(struct backup *backup, struct walk *walk, struct urn_error *error)
{
    enum urn_code code = URN_OK;
    while (code == URN_OK) {
        switch (walk_next(walk, error)) {
        case WALK_GROUP:
            code = take_group(backup, walk, error);
            walk_tell(walk, &backup->telling);
            break;
        case WALK_SEGMENT:
            code = take_segment(backup, walk, error);
            break;
        case WALK_BREAK:
            backup->overtaken = walk->gap.kind == WALK_OVERWRITTEN;
            return backup->overtaken ? URN_OK : refuse_break(backup, &walk->gap, error);
        case WALK_END:
            return spool_close(backup, error);
        case WALK_ERROR:
            return error->code;
        }
    }
    return code;
}

/* Where the walk ended is where the log does: durable up to what is known, and behind the snapshot. */
static enum urn_code judge_end(struct backup *backup, const struct walk *walk,
                               struct urn_error *error)
{
    backup->tail = walk->tail;
    backup->report->end_lsn = walk->tail.lsn;
    if (!walk->end_unreadable && walk->tail.lsn >= backup->state.tail.lsn &&
        walk->tail.lsn >= walk->durable_lsn)
        return URN_OK;
    if (history_live(&backup->history)) {
        backup->overtaken = true;
        return URN_OK;
    }
    return error_set(error, URN_DAMAGED, 0,
                     "the log ends at LSN %" PRIu64 ", but it was durable up to LSN %" PRIu64
                     "; `urn-wal verify %.100s` shows more",
                     walk->tail.lsn, walk->durable_lsn, backup->history.path);
}

/* Snapshots prove, by their names alone, that all below them was durable. Beside a server, which may have
 * written a newer one than was listed, only the one that was loaded counts. */
static uint64_t durable_by_snapshots(const struct backup *backup)
{
    const struct history *history = &backup->history;
    const uint64_t newest = history->snapshots[0].id.lsn;
    return history->live ? backup->state.tail.lsn : newest - newest % WAL_ALIGN_BYTES;
}

/* Where the copied log begins: with a segment. */
static uint64_t first_lsn(const struct backup *backup)
{
    const struct history *history = &backup->history;
    const uint64_t snapshot_lsn = wal_segment_begin(&history->geometry, backup->state.tail.lsn);
    if (backup->extent == BACKUP_NEWEST || history->log_count == 0)
        return snapshot_lsn;
    const uint64_t oldest_lsn = history->segments[0].begin_lsn;
    return oldest_lsn < snapshot_lsn ? oldest_lsn : snapshot_lsn;
}

static enum urn_code copy_log(struct backup *backup, struct urn_error *error)
{
    struct history *history = &backup->history;
    const uint64_t begin_lsn = first_lsn(backup);
    struct walk walk;
    backup->report->begin_lsn = begin_lsn;
    backup->telling = (struct walk_progress){.progress = backup->tool->progress,
                                             .what = "copying the log",
                                             .begin_lsn = begin_lsn,
                                             .told_lsn = begin_lsn};
    enum urn_code code = walk_begin(history, begin_lsn, UINT64_MAX, durable_by_snapshots(backup),
                                    SCAN_DIGESTS, &walk, error);
    if (code != URN_OK)
        return code;
    if (walk.tail.lsn != begin_lsn) { /* the segment is not there, or no more */
        backup->overtaken = history_live(history);
        const struct walk_break gap = {
            .kind = WALK_MISSING, .from_lsn = begin_lsn, .to_lsn = walk.tail.lsn};
        code = backup->overtaken ? URN_OK : refuse_break(backup, &gap, error);
    } else {
        code = copy_walk(backup, &walk, error);
        if (code == URN_OK && !backup->overtaken)
            code = judge_end(backup, &walk, error);
    }
    walk_end(&walk);
    spool_drop(backup);
    return code;
}

static void drop_state(struct backup *backup)
{
    if (backup->has_state)
        state_free(&backup->state);
    backup->has_state = false;
}

static enum urn_code look_once(struct backup *backup, struct urn_error *error)
{
    struct backup_report *report = backup->report;
    *report = (struct backup_report){.looks = report->looks + 1};
    backup->overtaken = false;
    backup->dest.geometry = backup->history.geometry;
    const enum urn_code code = load_newest(backup, error);
    if (code != URN_OK || backup->overtaken)
        return code;
    report->snapshot_lsn = backup->state.tail.lsn;
    return copy_log(backup, error);
}

/* Until a look was not overtaken. */
static enum urn_code look(struct backup *backup, struct urn_error *error)
{
    for (;;) {
        enum urn_code code = look_once(backup, error);
        if (code != URN_OK || !backup->overtaken)
            return code;
        drop_state(backup);
        data_dir_build_give_up(&backup->dest);
        if (backup->report->looks == LOOKS_MAX)
            return error_set(error, URN_BUSY, 0,
                             "the server has overwritten the log while it was being copied, %u "
                             "times in a row: try again when less is drawn, or make the ring "
                             "larger (`urn-wal resize`)",
                             LOOKS_MAX);
        code = history_refresh(&backup->history, error);
        if (code != URN_OK)
            return code;
    }
}

/* ---- the copy is made whole -------------------------------------------------------------------- */

/* Slots that hold nothing of the log that was copied. */
static enum urn_code make_empty_segments(struct backup *backup, struct urn_error *error)
{
    for (uint32_t slot = 0; slot < backup->dest.geometry.segments; slot++) {
        struct os_file *file = NULL;
        data_dir_segment_name(backup->name, slot);
        const int failure = os_file_open(backup->dest.dir, backup->name, OS_READ, &file);
        if (failure == 0) {
            os_file_close(file);
            continue;
        }
        if (failure != ENOENT)
            return error_set(error, URN_IO, failure, "cannot open %s", backup->name);
        enum urn_code code = spool_open(backup, slot, error);
        if (code == URN_OK)
            code = spool_close(backup, error);
        spool_drop(backup);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

/* Makes the segments durable, and forgets them: so that what is read back comes from the disk. */
static enum urn_code sync_segments(struct backup *backup, struct urn_error *error)
{
    struct os_dir *dir = backup->dest.dir;
    const uint64_t size = backup->dest.geometry.segment_size_bytes;
    for (uint32_t slot = 0; slot < backup->dest.geometry.segments; slot++) {
        struct os_file *file = NULL;
        progress_tell(backup->tool->progress, "syncing the copy", slot * size,
                      wal_ring_bytes(&backup->dest.geometry));
        data_dir_segment_name(backup->name, slot);
        int failure = os_file_open(dir, backup->name, OS_READ, &file);
        if (failure != 0)
            return error_set(error, URN_IO, failure, "cannot open %s", backup->name);
        failure = os_file_sync(file);
        if (failure == 0)
            failure = os_file_drop_cache(file);
        os_file_close(file);
        if (failure != 0)
            return error_set(error, URN_IO, failure, "cannot sync %s", backup->name);
    }
    const int failure = os_dir_sync(dir);
    return failure == 0 ? URN_OK : error_set(error, URN_IO, failure, "cannot sync it");
}

static enum urn_code write_snapshot(struct backup *backup, const struct state *state,
                                    uint32_t serial, struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    struct os_file *file = NULL;
    uint64_t size_bytes = 0;
    progress_tell(backup->tool->progress, "writing a snapshot", 0, 0);
    const enum urn_code code =
        snapshot_file_write(backup->dest.dir, state, &backup->dest.geometry, serial, error);
    if (code != URN_OK)
        return code;
    data_dir_snapshot_name(name, state->tail.lsn, serial);
    int failure = os_file_open(backup->dest.dir, name, OS_READ, &file);
    if (failure == 0) {
        failure = os_file_size(file, &size_bytes);
        os_file_close(file);
    }
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot look at %s", name);
    backup->report->snapshot_bytes += size_bytes;
    return URN_OK;
}

/* Older ones that verify, back to the begin of the copied log. A server may have removed them meanwhile. */
static enum urn_code write_older_snapshots(struct backup *backup, struct urn_error *error)
{
    const struct history *history = &backup->history;
    uint64_t lsn = backup->report->snapshot_lsn;
    for (uint32_t which = 0; which < history->snapshot_count; which++) {
        const uint64_t older_lsn = history->snapshots[which].id.lsn;
        struct state state;
        if (backup->extent != BACKUP_ALL || older_lsn >= lsn ||
            older_lsn < backup->report->begin_lsn)
            continue;
        enum urn_code code = history_load(history, which, &state, error);
        if (code == URN_NOMEMORY)
            return code;
        if (code != URN_OK)
            continue; /* none that anything depends on */
        lsn = older_lsn;
        code = write_snapshot(backup, &state, 0, error);
        state_free(&state);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

/* What a start makes of the copy is what was read from the original; so the state becomes the one there. */
static enum urn_code read_back(struct backup *backup, struct urn_error *error)
{
    struct recovery recovery;
    drop_state(backup);
    const enum urn_code code =
        recovery_read(&backup->dest, &bounds, NULL, &backup->state, &recovery, error);
    if (code != URN_OK)
        return error_prefix(error, "the copy does not read back: ");
    backup->has_state = true;
    const struct wal_tail *tail = &backup->state.tail;
    if (tail->lsn == backup->tail.lsn &&
        (backup->report->groups == 0 ||
         memcmp(tail->chain, backup->tail.chain, WAL_CHAIN_BYTES) == 0))
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0,
                     "the copy ends at LSN %" PRIu64 " when read back, and not at LSN %" PRIu64
                     ": check the disk",
                     tail->lsn, backup->tail.lsn);
}

static void report_state(struct backup *backup)
{
    struct backup_report *report = backup->report;
    const struct state *state = &backup->state;
    report->last_request_id = state->next_request_id - 1;
    report->pools = state->pool_count;
    report->items = state->item_count;
    report->wall_time_us = state->wall_time_us;
}

static enum urn_code write_manifest(struct backup *backup, struct urn_error *error)
{
    const struct backup_report *report = backup->report;
    char text[MANIFEST_MAX];
    char uuid[UUID_TEXT_BYTES];
    char time[TIME_TEXT_BYTES];
    uuid_text(backup->dest.geometry.ring_uuid, uuid);
    time_text(os_wall_us(backup->tool->os), time);
    const int length = snprintf(
        text, sizeof text,
        "A backup of an urn data directory, made by urn-wal backup (urn " URN_VERSION ").\n"
        "No server starts from it: `urn-wal restore` makes a data directory of it. All other\n"
        "commands of urn-wal read it as it stands.\n"
        "\n"
        "source: %s\n"
        "made: %s\n"
        "ring: %s\n"
        "log: LSN %" PRIu64 " to %" PRIu64 "\n"
        "snapshots: LSN %" PRIu64 " and %" PRIu64 "\n"
        "last request id: %" PRIu64 "\n",
        backup->history.path, time, uuid, report->begin_lsn, report->end_lsn, report->snapshot_lsn,
        report->end_lsn, report->last_request_id);
    CHECK(length > 0 && (size_t)length < sizeof text);
    return file_publish(backup->dest.dir, DATA_DIR_BACKUP, text, (size_t)length, error);
}

static enum urn_code make_whole(struct backup *backup, struct urn_error *error)
{
    const bool moved = backup->report->end_lsn != backup->report->snapshot_lsn;
    enum urn_code code = make_empty_segments(backup, error);
    if (code == URN_OK)
        code = sync_segments(backup, error);
    if (code == URN_OK)
        code = write_snapshot(backup, &backup->state, 0, error);
    if (code == URN_OK)
        code = write_older_snapshots(backup, error);
    if (code == URN_OK)
        code = read_back(backup, error);
    if (code == URN_OK)
        code = write_snapshot(backup, &backup->state, moved ? 0 : 1, error);
    if (code == URN_OK) {
        report_state(backup);
        code = write_manifest(backup, error);
    }
    return code;
}

/* ---- all together -------------------------------------------------------------------------------- */

static enum urn_code copy(struct backup *backup, struct urn_error *error)
{
    backup->buffer = malloc(SPOOL_BYTES);
    if (backup->buffer == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot copy %.200s", backup->history.path);
    enum urn_code code = look(backup, error);
    if (code == URN_OK) {
        code = make_whole(backup, error);
        if (code != URN_OK)
            error_prefix(error, "%.200s: ", backup->dest.path);
    }
    drop_state(backup);
    free(backup->buffer);
    if (code == URN_OK)
        code = data_dir_build_end(&backup->dest, error);
    if (code != URN_OK)
        data_dir_build_give_up(&backup->dest);
    return code;
}

/* Files by themselves are no moment of a log; and an archive has more of it than fits into a ring. */
static enum urn_code refuse_other(const struct tool *tool, const char *source,
                                  struct urn_error *error)
{
    struct os_dir *dir = NULL;
    bool is_archive = false;
    const int failure = os_dir_open(tool->os, source, &dir);
    if (failure == 0) {
        is_archive = history_archive_is_one(dir);
        os_dir_close(dir);
    }
    if (is_archive)
        return error_set(error, URN_BADARG, 0,
                         "%.200s is an archive: its files never change, and may be copied as they "
                         "are; a backup is made of a data directory",
                         source);
    if (failure != ENOTDIR)
        return URN_OK; /* why one cannot be opened, the opening tells */
    return error_set(error, URN_BADARG, 0, "%.200s is a file: a backup is made of a data directory",
                     source);
}

enum urn_code backup_make(const struct tool *tool, const char *source, const char *dest,
                          enum backup_extent extent, struct backup_report *report,
                          struct urn_error *error)
{
    const uint64_t began_ns = os_monotonic_ns(tool->os);
    struct tool ring = *tool; /* what an archive has is safe already */
    ring.ring_only = true;
    struct backup backup = {.tool = &ring, .report = report, .extent = extent};
    *report = (struct backup_report){.looks = 0};
    enum urn_code code = refuse_other(tool, source, error);
    if (code == URN_OK)
        code = history_open(&backup.history, &ring, &source, 1, error);
    if (code != URN_OK)
        return code;
    code = data_dir_build_begin(tool->os, dest, "urn-wal backup", &backup.dest, error);
    backup.dest.progress = tool->progress;
    if (code == URN_OK) {
        code = copy(&backup, error);
        data_dir_close(&backup.dest);
    }
    report->live = backup.history.live;
    history_close(&backup.history);
    report->duration_s = (double)(os_monotonic_ns(tool->os) - began_ns) / 1e9;
    return code;
}
