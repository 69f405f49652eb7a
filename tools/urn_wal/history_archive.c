/* history_archive.c: see history_archive.h. */
#include "tools/urn_wal/history_archive.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/archive_dir.h"
#include "engine/check.h"

bool history_archive_is_one(struct os_dir *dir)
{
    struct os_file *file = NULL;
    if (os_file_open(dir, DATA_DIR_IDENTITY, OS_READ, &file) == 0) {
        os_file_close(file);
        return false;
    }
    if (os_file_open(dir, ARCHIVE_IDENTITY, OS_READ, &file) != 0)
        return false;
    os_file_close(file);
    return true;
}

/* ---- which archive --------------------------------------------------------------------------- */

/* Opens it; its ring must be the history's. */
static enum urn_code open_archive(const struct history *history, const char *path,
                                  struct os_dir **dir, struct urn_error *error)
{
    uint8_t ring[WAL_UUID_BYTES];
    if (archive_dir_open(history->tool->os, path, dir, ring, error) != URN_OK)
        return error->code;
    if (memcmp(ring, history->geometry.ring_uuid, WAL_UUID_BYTES) == 0)
        return URN_OK;
    os_dir_close(*dir);
    *dir = NULL;
    return error_set(error, URN_BADARG, 0, "the archive %.200s is of another ring than %.200s",
                     path, history->path);
}

/* What the data directory says. *found: it has an archive of its ring. One that is damaged is told of, and
 * tells nothing. Errors: those of data_dir_open_readonly; URN_IO. */
static enum urn_code read_note(struct history *history, bool *found, struct archive_note *note,
                               struct urn_error *error)
{
    struct data_dir data_dir;
    *found = false;
    if (data_dir_open_readonly(history->tool->os, history->path, &data_dir, error) != URN_OK)
        return error->code;
    history->geometry = data_dir.geometry;
    enum urn_code code = archive_note_read(data_dir.dir, found, note, error);
    data_dir_close(&data_dir);
    if (code == URN_DAMAGED || code == URN_FORMAT) {
        (void)fprintf(history->tool->notes, "urn-wal: %s/%s\n", history->path, error->text);
        *found = false;
        code = URN_OK;
    }
    *found = *found && memcmp(note->ring_uuid, history->geometry.ring_uuid, WAL_UUID_BYTES) == 0;
    return code == URN_OK ? code : error_prefix(error, "%.200s: ", history->path);
}

enum urn_code history_archive_choose(struct history *history, struct urn_error *error)
{
    struct archive_note note;
    bool noted = false;
    if (history->tool->ring_only)
        return URN_OK;
    if (read_note(history, &noted, &note, error) != URN_OK)
        return error->code;
    const char *path = history->tool->archive != NULL ? history->tool->archive : note.path;
    if (history->tool->archive == NULL && !noted)
        return URN_OK;
    if (strlen(path) >= sizeof history->archive_path)
        return error_set(error, URN_BADARG, 0, "%.200s: the path is too long", path);
    struct os_dir *dir = NULL;
    if (open_archive(history, path, &dir, error) == URN_OK) {
        os_dir_close(dir);
        memcpy(history->archive_path, path, strlen(path) + 1);
        history->has_archive = true;
        return URN_OK;
    }
    if (history->tool->archive != NULL)
        return error->code;
    (void)fprintf(history->tool->notes,
                  "urn-wal: %s; only the ring is looked at (--archive DIR says where it is now)\n",
                  error->text);
    return URN_OK;
}

/* ---- what it holds --------------------------------------------------------------------------- */

/* How long a segment of the ring's is by its sound header page; or as long as `known`, the size of the one
 * behind it in the log. 0: it cannot be of that size, either. */
static uint64_t size_of(const struct history_segment *segment, uint64_t lsn, uint64_t known)
{
    const uint64_t stated = segment->header.segment_size_bytes;
    const uint64_t size = segment->header_why == WAL_READ_OK ? stated : known;
    const bool is_possible = size >= SEGMENT_SIZE_BYTES_MIN && size <= SEGMENT_SIZE_BYTES_MAX &&
                             size % OS_PAGE_BYTES == 0 && lsn % size == 0;
    return is_possible ? size : 0;
}

/* What the header page of an archived segment says. known_bytes: the size of the one behind it, or 0. */
static enum urn_code look_at_segment(struct history *history, struct os_dir *dir, uint64_t lsn,
                                     uint64_t known_bytes, struct history_segment *segment,
                                     struct urn_error *error)
{
    struct wal_geometry *geometry = &history->geometry;
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    uint64_t got = 0;
    uint64_t bad = NO_OFFSET;
    struct os_file *file = NULL;
    *segment = (struct history_segment){.dir = dir,
                                        .slot = HISTORY_NO_SLOT,
                                        .size_bytes = geometry->segment_size_bytes,
                                        .archived = true};
    archive_segment_name(segment->name, lsn);
    int failure = os_file_open(dir, segment->name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    failure = os_file_size(file, &segment->file_bytes);
    enum urn_code code =
        failure != 0
            ? error_set(error, URN_IO, failure, "cannot find the size of %s", segment->name)
            : history_read(file, segment->name, 0, page, sizeof page, &got, &bad, error);
    os_file_close(file);
    if (code != URN_OK)
        return code;
    segment->header_unreadable = bad != NO_OFFSET;
    segment->header_why =
        got < sizeof page ? WAL_READ_LENGTH : wal_segment_header_read(page, &segment->header);
    const struct wal_segment_header *header = &segment->header;
    const bool is_sound = segment->header_why == WAL_READ_OK;
    if (is_sound && memcmp(header->ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES) != 0) {
        segment->header_why = WAL_READ_FOREIGN;
        segment->state = HISTORY_FREE;
        return URN_OK;
    }
    struct wal_geometry stated = *geometry;
    stated.segment_size_bytes = header->segment_size_bytes;
    stated.segments = header->segments;
    if (is_sound && geometry->segment_size_bytes == 0 && geometry_fault(&stated) == NULL)
        *geometry = stated; /* the archive by itself */
    const uint64_t size =
        size_of(segment, lsn, known_bytes != 0 ? known_bytes : geometry->segment_size_bytes);
    segment->state = size != 0 ? HISTORY_LOG : HISTORY_FREE;
    segment->begin_lsn = lsn;
    segment->size_bytes = size;
    if (segment->file_bytes > size) /* the index */
        segment->file_bytes = size;
    return URN_OK;
}

bool history_archive_stands_in(struct history *history, uint64_t lsn)
{
    const uint32_t index = history_find(history, lsn);
    struct history_segment found;
    struct urn_error ignored; /* whoever lists the files anew is told */
    if (!history->has_archive || index >= history->log_count)
        return false;
    struct history_segment *segment = &history->segments[index];
    if (!history_holds(segment, lsn) || segment->archived)
        return false;
    struct os_dir *dir = history->dirs[history->dir_count - 1];
    if (look_at_segment(history, dir, segment->begin_lsn, segment->size_bytes, &found, &ignored) !=
            URN_OK ||
        found.state != HISTORY_LOG || found.size_bytes != segment->size_bytes)
        return false;
    *segment = found;
    return true;
}

static enum urn_code add_segments(struct history *history, struct os_dir *dir,
                                  const struct archive_list *list, struct urn_error *error)
{
    const uint32_t room = history->segment_count + list->segment_count;
    struct history_segment *larger = realloc(history->segments, (room + 1) * sizeof *larger);
    if (larger == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the archive");
    history->segments = larger;
    uint64_t size_bytes = 0;
    /* From the last one on: an archive by itself takes the geometry of its newest segments. */
    for (uint32_t i = list->segment_count; i > 0; i--) {
        struct history_segment *segment = &history->segments[history->segment_count];
        const enum urn_code code =
            look_at_segment(history, dir, list->segments[i - 1], size_bytes, segment, error);
        if (code == URN_IO && error->system_errno == ENOENT)
            continue; /* pruned meanwhile */
        if (code != URN_OK)
            return code;
        history->segment_count++;
        if (segment->state != HISTORY_LOG)
            continue;
        size_bytes = segment->size_bytes;
        if (history_end_lsn(segment) > history->archived_end_lsn)
            history->archived_end_lsn = history_end_lsn(segment);
    }
    return URN_OK;
}

static bool has_snapshot(const struct history *history, uint32_t count,
                         const struct archive_name *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (history->snapshots[i].id.lsn == name->from_lsn &&
            history->snapshots[i].id.serial == name->serial)
            return true;
    return false;
}

static int newer_first(const void *left, const void *right)
{
    const struct history_snapshot *a = left;
    const struct history_snapshot *b = right;
    if (a->id.lsn != b->id.lsn)
        return a->id.lsn > b->id.lsn ? -1 : 1;
    return a->id.serial > b->id.serial ? -1 : a->id.serial < b->id.serial;
}

static enum urn_code add_snapshots(struct history *history, struct os_dir *dir,
                                   const struct archive_list *list, struct urn_error *error)
{
    const uint32_t listed = history->snapshot_count;
    struct history_snapshot *larger =
        realloc(history->snapshots, (listed + list->snapshot_count + 1) * sizeof *larger);
    if (larger == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the archive");
    history->snapshots = larger;
    for (uint32_t i = 0; i < list->snapshot_count; i++) {
        const struct archive_name *name = &list->snapshots[i];
        if (has_snapshot(history, listed, name))
            continue;
        struct history_snapshot *snapshot = &history->snapshots[history->snapshot_count++];
        *snapshot = (struct history_snapshot){
            .dir = dir, .id = {name->from_lsn, name->serial}, .archived = true};
        data_dir_snapshot_name(snapshot->name, name->from_lsn, name->serial);
    }
    if (history->snapshot_count > 1)
        qsort(history->snapshots, history->snapshot_count, sizeof *history->snapshots, newer_first);
    return URN_OK;
}

/* ---- gaps ------------------------------------------------------------------------------------ */

static enum urn_code add_gaps(struct history *history, struct os_dir *dir,
                              const struct archive_list *list, struct urn_error *error)
{
    history->gaps = calloc(list->gap_count + 1, sizeof *history->gaps);
    if (history->gaps == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the archive");
    for (uint32_t i = 0; i < list->gap_count; i++) {
        struct archive_gap gap;
        struct urn_error why;
        const enum urn_code code = archive_gap_read(dir, &list->gaps[i], &gap, &why);
        if (code != URN_OK ||
            memcmp(gap.ring_uuid, history->geometry.ring_uuid, WAL_UUID_BYTES) != 0) {
            if (code == URN_IO && why.system_errno == ENOENT)
                continue; /* pruned meanwhile */
            history->damaged_gaps++;
            continue;
        }
        history->gaps[history->gap_count++] = (struct history_gap){
            .from_lsn = gap.from_lsn, .to_lsn = gap.to_lsn, .recorded = true, .reason = gap.reason};
    }
    return URN_OK;
}

/* The oldest stretch that the ring's files hold; UINT64_MAX: none. */
static uint64_t ring_begin_lsn(const struct history *history)
{
    uint64_t begin = UINT64_MAX;
    for (uint32_t i = 0; i < history->segment_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        if (segment->state == HISTORY_LOG && !segment->archived && segment->begin_lsn < begin)
            begin = segment->begin_lsn;
    }
    return begin;
}

/* Under policy gap the log may be ahead of the archive, which records the gap as soon as it can; and where
 * archiving has been turned off, nobody ever will until it is on again. */
static enum urn_code add_gap_to_come(struct history *history, struct urn_error *error)
{
    struct archive_note note;
    bool noted = false;
    uint64_t end = history->archived_end_lsn;
    const uint64_t begin = ring_begin_lsn(history);
    for (uint32_t i = 0; i < history->gap_count; i++)
        if (history->gaps[i].to_lsn > end)
            end = history->gaps[i].to_lsn;
    if (begin == UINT64_MAX || end >= begin)
        return URN_OK;
    if (read_note(history, &noted, &note, error) != URN_OK)
        return error->code;
    if (!noted || note.policy == ARCHIVE_NOTE_BLOCK)
        return URN_OK;
    history->gaps[history->gap_count++] = (struct history_gap){
        .from_lsn = end,
        .to_lsn = begin,
        .reason = note.policy == ARCHIVE_NOTE_OFF ? ARCHIVE_GAP_ABSENT : ARCHIVE_GAP_REUSED};
    return URN_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum urn_code add_all(struct history *history, struct os_dir *dir, struct urn_error *error)
{
    struct archive_list list;
    if (archive_dir_list(dir, &list, error) != URN_OK)
        return error->code;
    enum urn_code code = add_segments(history, dir, &list, error);
    if (code == URN_OK)
        code = add_snapshots(history, dir, &list, error);
    if (code == URN_OK)
        code = add_gaps(history, dir, &list, error);
    archive_list_free(&list);
    return code;
}

enum urn_code history_archive_add(struct history *history, struct urn_error *error)
{
    struct os_dir *dir = NULL;
    if (!history->has_archive)
        return URN_OK;
    if (open_archive(history, history->archive_path, &dir, error) != URN_OK)
        return error->code;
    CHECK(history->dir_count < OPERANDS_MAX);
    history->dirs[history->dir_count++] = dir;
    if (add_all(history, dir, error) != URN_OK)
        return error->code;
    return add_gap_to_come(history, error);
}

enum urn_code history_archive_look(struct history *history, struct urn_error *error)
{
    struct os_dir *dir = NULL;
    history->geometry = (struct wal_geometry){.segment_size_bytes = 0};
    if (archive_dir_open(history->tool->os, history->path, &dir, history->geometry.ring_uuid,
                         error) != URN_OK)
        return error->code;
    CHECK(history->dir_count < OPERANDS_MAX);
    history->dirs[history->dir_count++] = dir;
    const enum urn_code code = add_all(history, dir, error);
    if (history->geometry.segment_size_bytes == 0) { /* no segment is there that says */
        history->geometry.segment_size_bytes = SEGMENT_SIZE_BYTES_MIN;
        history->geometry.segments = SEGMENTS_MIN;
    }
    return code;
}

void history_archive_keep_spares(struct history *history)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < history->segment_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        struct history_segment *before = kept > 0 ? &history->segments[kept - 1] : NULL;
        const bool overlaps = before != NULL && segment->state == HISTORY_LOG &&
                              before->state == HISTORY_LOG &&
                              segment->begin_lsn < history_end_lsn(before);
        if (overlaps && segment->archived && !before->archived &&
            before->begin_lsn == segment->begin_lsn && before->size_bytes == segment->size_bytes) {
            before->has_spare = true;
            before->spare_dir = segment->dir;
            (void)snprintf(before->spare_name, sizeof before->spare_name, "%.63s", segment->name);
            continue;
        }
        if (overlaps && (segment->archived || before->archived)) {
            /* Two histories in one archive: the ring's is the one, or what comes first. */
            history->overlaps++;
            if (segment->archived)
                continue;
            kept--;
        }
        if (kept != i)
            history->segments[kept] = *segment;
        kept++;
    }
    history->segment_count = kept;
}
