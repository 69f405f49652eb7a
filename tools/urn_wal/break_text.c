/* break_text.c: see break_text.h. */
#include "tools/urn_wal/break_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The file of the slot that lsn belongs to, whatever it holds; NULL of files by themselves. */
static const struct history_segment *slot_file(const struct history *history, uint64_t lsn)
{
    const struct wal_geometry *geometry = &history->geometry;
    const uint32_t slot = (uint32_t)(lsn / geometry->segment_size_bytes % geometry->segments);
    for (uint32_t index = 0; index < history->segment_count; index++)
        if (history->segments[index].slot == slot)
            return &history->segments[index];
    return NULL;
}

/* The ring began behind it (data_dir_resize.h): below its snapshots it has nothing, and has never had. */
static bool is_before_ring(const struct history *history, const struct history_segment *segment,
                           uint64_t lsn)
{
    bool is_before = segment->state == HISTORY_FREE && segment->header_why == WAL_READ_ZERO;
    for (uint32_t i = 0; i < history->snapshot_count; i++)
        is_before =
            is_before && (history->snapshots[i].archived || history->snapshots[i].id.lsn > lsn);
    for (uint32_t i = 0; i < history->log_count; i++)
        is_before =
            is_before && (history->segments[i].archived || history->segments[i].begin_lsn > lsn);
    return is_before;
}

/* The ring has gone on to a later lap, or has begun later: it is the archive that should have the stretch. */
static bool was_archived(const struct history *history, uint64_t lsn)
{
    const struct history_segment *segment = slot_file(history, lsn);
    if (!history->has_archive || segment == NULL)
        return false;
    return (segment->state == HISTORY_LOG && segment->begin_lsn > lsn) ||
           is_before_ring(history, segment, lsn);
}

bool break_is_missing_file(const struct history *history, const struct walk_break *gap)
{
    const struct history_segment *segment = slot_file(history, gap->from_lsn);
    return gap->kind == WALK_MISSING && (segment == NULL || segment->state == HISTORY_MISSING ||
                                         gap->known_gap || was_archived(history, gap->from_lsn));
}

static void gap_text(const struct history *history, uint64_t lsn, char *text, size_t bytes)
{
    const struct history_gap *known = history_gap_at(history, lsn);
    if (known == NULL) { /* the files were looked at anew meanwhile */
        (void)snprintf(text, bytes, "a gap in the archive");
        return;
    }
    static const char *const reasons[] = {
        [ARCHIVE_GAP_REUSED] = "overwritten before it was archived (wal.archive_policy: gap)",
        [ARCHIVE_GAP_ABSENT] = "nothing was archived meanwhile",
        [ARCHIVE_GAP_RESIZED] = "a resize gave the history up that was not archived",
    };
    (void)snprintf(text, bytes, "a gap in the archive: %s%s", reasons[known->reason],
                   known->recorded ? "" : ", not recorded yet");
}

/* Why no file holds the stretch that begins a segment at lsn. */
static void missing_text(const struct history *history, uint64_t lsn, char *text, size_t bytes)
{
    const struct history_segment *segment = slot_file(history, lsn);
    char archived[DATA_DIR_NAME_MAX];
    archive_segment_name(archived, history_segment_begin(history, lsn));
    if (history->is_archive || was_archived(history, lsn))
        (void)snprintf(text, bytes, "the archive should hold it, and %s is missing", archived);
    else if (segment == NULL)
        (void)snprintf(text, bytes, "none of the files holds it");
    else if (segment->state == HISTORY_MISSING)
        (void)snprintf(text, bytes, "%s is missing", segment->name);
    else if (segment->state == HISTORY_LOG)
        (void)snprintf(text, bytes, "%s holds LSN %" PRIu64 " on instead, of %s lap: stale bytes",
                       segment->name, segment->begin_lsn,
                       segment->begin_lsn < lsn ? "an earlier" : "a later");
    else
        (void)snprintf(text, bytes, "%s does not hold it: %s", segment->name,
                       wal_read_result_text(segment->header_why));
}

static void what_text(const struct history *history, const struct walk_break *gap, char *text,
                      size_t bytes)
{
    switch (gap->kind) {
    case WALK_DAMAGED:
        if (gap->header_page)
            (void)snprintf(text, bytes,
                           "the segment's header page: %s; the groups behind it are whole",
                           wal_read_result_text(gap->why));
        else
            (void)snprintf(text, bytes, "%s; durable data is damaged up to LSN %" PRIu64,
                           wal_read_result_text(gap->why), gap->to_lsn);
        return;
    case WALK_UNREADABLE:
        if (gap->to_lsn == gap->from_lsn) {
            (void)snprintf(text, bytes,
                           "a sector cannot be read (LSN %" PRIu64
                           "): whether the log goes on there cannot be told",
                           gap->unreadable_lsn);
            return;
        }
        (void)snprintf(text, bytes,
                       "a sector cannot be read (LSN %" PRIu64
                       "); durable data is lost up to LSN %" PRIu64,
                       gap->unreadable_lsn, gap->to_lsn);
        return;
    case WALK_MISSING:
        if (gap->known_gap)
            gap_text(history, gap->from_lsn, text, bytes);
        else
            missing_text(history, gap->from_lsn, text, bytes);
        (void)snprintf(text + strlen(text), bytes - strlen(text),
                       "; the log goes on at LSN %" PRIu64, gap->to_lsn);
        return;
    case WALK_OVERWRITTEN:
        (void)snprintf(text, bytes,
                       "the server has written over it meanwhile; the log goes on at LSN %" PRIu64,
                       gap->to_lsn);
        return;
    }
}

void break_text(const struct history *history, const struct walk_break *gap, uint64_t next_id,
                uint64_t first_id, char text[BREAK_TEXT_BYTES])
{
    what_text(history, gap, text, BREAK_TEXT_BYTES - 100);
    if (next_id == 0 || first_id <= next_id)
        return;
    char *end = text + strlen(text);
    const uint64_t ids = first_id - next_id;
    if (ids == 1)
        (void)snprintf(end, 100, "; request id %" PRIu64 " lies there", next_id);
    else
        (void)snprintf(end, 100, "; %" PRIu64 " request ids lie there, %" PRIu64 " to %" PRIu64,
                       ids, next_id, first_id - 1);
}
