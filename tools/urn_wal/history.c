/* history.c: what files there are, and where in the log each belongs. See history.h. */
#include "tools/urn_wal/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/identity.h"
#include "tools/urn_wal/history_archive.h"

#define SEARCH_BYTES (2u * 1024 * 1024)

_Static_assert(HISTORY_NAME_BYTES >= DATA_DIR_NAME_MAX, "names of ours fit");

static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

const struct state_bounds *history_bounds(void)
{
    return &bounds;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

enum urn_code history_read(struct os_file *file, const char *name, uint64_t offset, uint8_t *to,
                           uint64_t length_bytes, uint64_t *got_bytes, uint64_t *bad_offset,
                           struct urn_error *error)
{
    bool by_sector = false; /* after an error: so that the bad sector is known exactly */
    uint64_t got = 0;
    *got_bytes = 0;
    *bad_offset = NO_OFFSET;
    while (got < length_bytes) {
        const uint64_t at = offset + got;
        const uint64_t to_sector_end = OS_SECTOR_BYTES - at % OS_SECTOR_BYTES;
        const uint64_t left = length_bytes - got;
        const uint64_t piece = by_sector && to_sector_end < left ? to_sector_end : left;
        size_t done = 0;
        const int failure = os_file_read(file, to + got, piece, at, &done);
        if (failure == EINTR)
            continue;
        if (failure == EIO && by_sector) {
            *bad_offset = at;
            break;
        }
        if (failure == EIO) {
            by_sector = true;
            continue;
        }
        if (failure != 0)
            return error_set(error, URN_IO, failure, "cannot read %s at %" PRIu64, name, at);
        if (done == 0)
            break;
        CHECK(done <= piece);
        got += done;
    }
    *got_bytes = got;
    return URN_OK;
}

/* ---- searching a file for groups ------------------------------------------------------------- */

struct search {
    const struct history *history;
    struct os_file *file;
    const char *name;
    uint32_t slot; /* or HISTORY_NO_SLOT */
    uint64_t size_bytes;
    uint64_t file_bytes;
    uint8_t *buffer;
    uint64_t capacity_bytes;
    uint64_t begin; /* offset in the file of the first byte of the buffer */
    uint64_t filled_bytes;
    uint64_t bad_offset; /* right behind those */
    bool unreadable;
};

/* Makes [offset, offset + length) stand in the buffer, as far as the file goes and can be read. */
static enum urn_code search_show(struct search *search, uint64_t offset, uint64_t length_bytes,
                                 struct urn_error *error)
{
    const uint64_t end =
        length_bytes < search->file_bytes - offset ? offset + length_bytes : search->file_bytes;
    if (offset >= search->begin &&
        (end <= search->begin + search->filled_bytes || search->bad_offset != NO_OFFSET))
        return URN_OK;
    if (end - offset > search->capacity_bytes) {
        uint8_t *larger = realloc(search->buffer, end - offset);
        if (larger == NULL)
            return error_set(error, URN_NOMEMORY, ENOMEM, "cannot search %s", search->name);
        search->buffer = larger;
        search->capacity_bytes = end - offset;
    }
    const uint64_t rest = search->file_bytes - offset;
    search->begin = offset;
    return history_read(search->file, search->name, offset, search->buffer,
                        rest < search->capacity_bytes ? rest : search->capacity_bytes,
                        &search->filled_bytes, &search->bad_offset, error);
}

static uint64_t search_available(const struct search *search, uint64_t offset)
{
    const uint64_t end = search->begin + search->filled_bytes;
    return end > offset ? end - offset : 0;
}

/* Its own LSN names this file and this offset. */
static bool place_fits(const struct search *search, uint64_t lsn, uint64_t offset)
{
    return lsn % search->size_bytes == offset &&
           (search->slot == HISTORY_NO_SLOT ||
            lsn / search->size_bytes % search->history->geometry.segments == search->slot);
}

/* The magic stands at offset: is a whole group there? *header says so by its length. */
static enum urn_code search_try(struct search *search, uint64_t offset, bool *found,
                                struct wal_group_header *header, struct urn_error *error)
{
    const uint64_t rest = search->file_bytes - offset;
    *found = false;
    enum urn_code code = search_show(search, offset, WAL_GROUP_HEADER_BYTES, error);
    if (code != URN_OK)
        return code;
    const uint64_t ring_short = wal_ring_short(search->history->geometry.ring_uuid);
    const uint8_t *bytes = search->buffer + (offset - search->begin);
    if (wal_group_peek(bytes, search_available(search, offset), rest, header) != WAL_READ_OK ||
        header->length_bytes > GROUP_BYTES_MAX || header->ring_short != ring_short ||
        !place_fits(search, header->lsn, offset))
        return URN_OK;
    code = search_show(search, offset, header->length_bytes, error);
    bytes = search->buffer + (offset - search->begin);
    *found = code == URN_OK && search_available(search, offset) >= header->length_bytes &&
             wal_group_read(bytes, header->length_bytes, ring_short, header) == WAL_READ_OK;
    return code;
}

/* The first 8-byte position from `at` on at which the magic stands, or end (both multiples of 8). */
static uint64_t find_magic(const uint8_t *bytes, uint64_t at, uint64_t end)
{
    while (at < end && get_u32(bytes + at) != WAL_GROUP_MAGIC)
        at += WAL_ALIGN_BYTES;
    return at;
}

static enum urn_code search_file(struct search *search, uint64_t offset, history_visit visit,
                                 void *context, struct urn_error *error)
{
    const uint64_t end = search->file_bytes - search->file_bytes % WAL_ALIGN_BYTES;
    enum urn_code code = URN_OK;
    while (offset < end) {
        code = search_show(search, offset, WAL_ALIGN_BYTES, error);
        if (code != URN_OK)
            return code;
        const uint64_t available = search_available(search, offset);
        const uint64_t whole = available - available % WAL_ALIGN_BYTES;
        if (whole == 0) {
            if (search->bad_offset == NO_OFFSET)
                return URN_OK; /* cut short since its size was asked for */
            search->unreadable = true;
            offset = round_up_u64(search->bad_offset + 1, OS_SECTOR_BYTES);
            search->filled_bytes = 0;
            search->bad_offset = NO_OFFSET;
            continue;
        }
        const uint64_t magic = find_magic(search->buffer + (offset - search->begin), 0, whole);
        offset += magic;
        if (magic == whole)
            continue;
        bool found = false;
        struct wal_group_header header = {0};
        code = search_try(search, offset, &found, &header, error);
        if (code != URN_OK || (found && !visit(context, &header)))
            return code;
        offset += found ? header.length_bytes : WAL_ALIGN_BYTES;
    }
    return URN_OK;
}

/* In an open file. */
static enum urn_code search_open_file(struct search *search, uint64_t offset, history_visit visit,
                                      void *context, struct urn_error *error)
{
    search->bad_offset = NO_OFFSET;
    search->capacity_bytes = search->file_bytes < SEARCH_BYTES ? search->file_bytes : SEARCH_BYTES;
    search->buffer = malloc(search->capacity_bytes + 1);
    if (search->buffer == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot search %s", search->name);
    const enum urn_code code = search_file(search, offset, visit, context, error);
    free(search->buffer);
    search->buffer = NULL;
    return code;
}

enum urn_code history_search(const struct history *history, const struct history_segment *segment,
                             uint64_t offset, history_visit visit, void *context, bool *unreadable,
                             struct urn_error *error)
{
    CHECK(offset % WAL_ALIGN_BYTES == 0);
    struct search search = {.history = history,
                            .name = segment->name,
                            .slot = segment->slot,
                            .size_bytes = segment->size_bytes,
                            .file_bytes = segment->file_bytes};
    const int failure = os_file_open(segment->dir, segment->name, OS_READ, &search.file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    const enum urn_code code = search_open_file(&search, offset, visit, context, error);
    os_file_close(search.file);
    if (unreadable != NULL)
        *unreadable = search.unreadable;
    return code;
}

/* ---- where a segment belongs ----------------------------------------------------------------- */

struct highest {
    bool found;
    uint64_t lsn;
};

static bool note_highest(void *context, const struct wal_group_header *header)
{
    struct highest *highest = context;
    if (!highest->found || header->lsn > highest->lsn)
        *highest = (struct highest){.found = true, .lsn = header->lsn};
    return true;
}

/* The header page does not say, so its groups have to: those of the latest lap. */
static enum urn_code place_by_groups(const struct history *history, struct os_file *file,
                                     struct history_segment *segment, struct urn_error *error)
{
    struct highest highest = {.found = false};
    struct search search = {.history = history,
                            .file = file,
                            .name = segment->name,
                            .slot = segment->slot,
                            .size_bytes = segment->size_bytes,
                            .file_bytes = segment->file_bytes};
    const enum urn_code code =
        search_open_file(&search, WAL_SEGMENT_HEADER_BYTES, note_highest, &highest, error);
    if (code != URN_OK || !highest.found)
        return code;
    segment->state = HISTORY_LOG;
    segment->begin_lsn = highest.lsn - highest.lsn % segment->size_bytes;
    return URN_OK;
}

/* Only zeros stand where the header page and the first group would be: nothing was ever written here. */
static bool looks_untouched(const struct history_segment *segment, struct os_file *file)
{
    uint8_t sector[OS_SECTOR_BYTES];
    uint64_t got = 0;
    uint64_t bad = 0;
    struct urn_error ignored;
    return segment->header_why == WAL_READ_ZERO && !segment->header_unreadable &&
           history_read(file, segment->name, WAL_SEGMENT_HEADER_BYTES, sector, sizeof sector, &got,
                        &bad, &ignored) == URN_OK &&
           bad == NO_OFFSET && bytes_are_zero(sector, got);
}

/* What the header page says by itself. */
static enum urn_code read_header_page(struct os_file *file, struct history_segment *segment,
                                      struct urn_error *error)
{
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    uint64_t got = 0;
    uint64_t bad = 0;
    const enum urn_code code =
        history_read(file, segment->name, 0, page, sizeof page, &got, &bad, error);
    if (code != URN_OK)
        return code;
    segment->header_unreadable = bad != NO_OFFSET;
    segment->header_why =
        got < sizeof page ? WAL_READ_LENGTH : wal_segment_header_read(page, &segment->header);
    return URN_OK;
}

/* The header page belongs to this ring and to this file of it. */
static enum wal_read_result header_belongs(const struct history *history,
                                           const struct history_segment *segment)
{
    const struct wal_geometry *geometry = &history->geometry;
    const struct wal_tail anywhere = {.lsn =
                                          segment->header.sequence * geometry->segment_size_bytes};
    const enum wal_read_result why =
        wal_segment_header_follows(&segment->header, geometry, &anywhere);
    if (why != WAL_READ_OK)
        return why;
    if (segment->header.sequence > URN_NUMBER_MAX / geometry->segment_size_bytes ||
        (segment->slot != HISTORY_NO_SLOT &&
         segment->header.sequence % geometry->segments != segment->slot))
        return WAL_READ_PLACE;
    return WAL_READ_OK;
}

/* Says where an open file belongs. */
static enum urn_code place_open_file(const struct history *history, struct os_file *file,
                                     struct history_segment *segment, struct urn_error *error)
{
    const int failure = os_file_size(file, &segment->file_bytes);
    segment->size_bytes = history->geometry.segment_size_bytes;
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot tell the size of %s", segment->name);
    enum urn_code code = read_header_page(file, segment, error);
    if (code != URN_OK)
        return code;
    if (segment->header_why == WAL_READ_OK)
        segment->header_why = header_belongs(history, segment);
    if (segment->header_why == WAL_READ_OK) {
        segment->state = HISTORY_LOG;
        segment->begin_lsn = segment->header.sequence * segment->size_bytes;
        return URN_OK;
    }
    segment->state = HISTORY_FREE;
    if (looks_untouched(segment, file))
        return URN_OK;
    return place_by_groups(history, file, segment, error);
}

static enum urn_code place_slot(struct history *history, struct os_dir *dir, uint32_t slot,
                                struct history_segment *segment, struct urn_error *error)
{
    *segment = (struct history_segment){.state = HISTORY_MISSING,
                                        .dir = dir,
                                        .slot = slot,
                                        .size_bytes = history->geometry.segment_size_bytes};
    data_dir_segment_name(segment->name, slot);
    struct os_file *file = NULL;
    const int failure = os_file_open(dir, segment->name, OS_READ, &file);
    if (failure == ENOENT)
        return URN_OK;
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    const enum urn_code code = place_open_file(history, file, segment, error);
    os_file_close(file);
    return code;
}

static int compare_segments(const void *left, const void *right)
{
    const struct history_segment *a = left;
    const struct history_segment *b = right;
    const bool a_is_log = a->state == HISTORY_LOG;
    const bool b_is_log = b->state == HISTORY_LOG;
    if (a_is_log != b_is_log)
        return a_is_log ? -1 : 1;
    if (a_is_log && a->begin_lsn != b->begin_lsn)
        return a->begin_lsn < b->begin_lsn ? -1 : 1;
    if (a->archived != b->archived)
        return a->archived ? 1 : -1;
    return strcmp(a->name, b->name);
}

static void order_segments(struct history *history)
{
    if (history->segment_count > 1)
        qsort(history->segments, history->segment_count, sizeof *history->segments,
              compare_segments);
    history_archive_keep_spares(history);
    history->log_count = 0;
    while (history->log_count < history->segment_count &&
           history->segments[history->log_count].state == HISTORY_LOG)
        history->log_count++;
}

/* ---- a data directory ------------------------------------------------------------------------ */

static enum urn_code list_snapshots(struct history *history, struct os_dir *dir,
                                    struct urn_error *error)
{
    struct snapshot_name *names = NULL;
    uint32_t count = 0;
    const enum urn_code code = snapshot_file_list(dir, &names, &count, error);
    if (code != URN_OK)
        return code;
    history->snapshots = calloc(count + 1, sizeof *history->snapshots);
    if (history->snapshots == NULL) {
        free(names);
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the snapshots");
    }
    for (uint32_t which = 0; which < count; which++) {
        struct history_snapshot *snapshot = &history->snapshots[which];
        snapshot->dir = dir;
        snapshot->id = names[which];
        data_dir_snapshot_name(snapshot->name, names[which].lsn, names[which].serial);
    }
    history->snapshot_count = count;
    free(names);
    return URN_OK;
}

static enum urn_code look_at_directory(struct history *history, struct urn_error *error)
{
    struct data_dir data_dir;
    enum urn_code code = data_dir_open_readonly(history->tool->os, history->path, &data_dir, error);
    if (code != URN_OK)
        return code;
    CHECK(history->dir_count < OPERANDS_MAX);
    history->dirs[history->dir_count++] = data_dir.dir; /* ours now */
    history->geometry = data_dir.geometry;
    code = list_snapshots(history, data_dir.dir, error);
    if (code != URN_OK)
        return code;
    const uint32_t slots = history->geometry.segments;
    history->segments = calloc(slots, sizeof *history->segments);
    if (history->segments == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot look at %.200s", history->path);
    for (uint32_t slot = 0; slot < slots && code == URN_OK; slot++)
        code = place_slot(history, data_dir.dir, slot, &history->segments[slot], error);
    history->segment_count = slots;
    return code == URN_OK ? history_archive_add(history, error) : code;
}

/* ---- files by themselves --------------------------------------------------------------------- */

/* Opens the folder of a path; *name is what remains of it. */
static enum urn_code open_folder(struct history *history, const char *path, struct os_dir **dir,
                                 const char **name, struct urn_error *error)
{
    char folder[DATA_DIR_PATH_BYTES_MAX];
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    *name = slash == NULL ? path : slash + 1;
    if (length >= sizeof folder || strlen(*name) >= HISTORY_NAME_BYTES || **name == 0)
        return error_set(error, URN_NODATA, 0, "%.200s is not a file", path);
    memcpy(folder, path, length);
    folder[length] = 0;
    const int failure = os_dir_open(history->tool->os,
                                    slash == NULL ? "."
                                    : length == 0 ? "/"
                                                  : folder,
                                    dir);
    if (failure != 0)
        return error_set(error, failure == ENOENT ? URN_NODATA : URN_IO, failure,
                         "cannot open %.200s", path);
    CHECK(history->dir_count < OPERANDS_MAX);
    history->dirs[history->dir_count++] = *dir;
    return URN_OK;
}

/* A segment file gives the history its geometry, when nothing has yet: by its header page or, should that
 * be damaged, by any group that is whole in it. */
static enum urn_code take_geometry(struct history *history, const struct history_segment *segment,
                                   struct os_file *file, struct urn_error *error)
{
    struct wal_geometry *geometry = &history->geometry;
    if (geometry->segment_size_bytes != 0)
        return URN_OK;
    if (segment->header_why == WAL_READ_OK) {
        memcpy(geometry->ring_uuid, segment->header.ring_uuid, WAL_UUID_BYTES);
        geometry->segment_size_bytes = segment->header.segment_size_bytes;
        geometry->segments = segment->header.segments;
        return geometry_fault(geometry) == NULL
                   ? URN_OK
                   : error_set(error, URN_DAMAGED, 0, "%s: %s", segment->name,
                               geometry_fault(geometry));
    }
    uint8_t *bytes = malloc(SEARCH_BYTES);
    if (bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot look at %s", segment->name);
    uint64_t got = 0;
    uint64_t bad = 0;
    enum urn_code code = history_read(file, segment->name, WAL_SEGMENT_HEADER_BYTES, bytes,
                                      SEARCH_BYTES, &got, &bad, error);
    for (uint64_t at = 0; code == URN_OK && at + WAL_GROUP_HEADER_BYTES <= got;
         at += WAL_ALIGN_BYTES) {
        struct wal_group_header header;
        if (wal_group_peek(bytes + at, got - at, got - at, &header) == WAL_READ_OK &&
            wal_group_read(bytes + at, got - at, header.ring_short, &header) == WAL_READ_OK) {
            put_u64(geometry->ring_uuid, header.ring_short);
            geometry->segment_size_bytes = segment->file_bytes;
            geometry->segments = SEGMENTS_MIN;
            break;
        }
    }
    free(bytes);
    if (code == URN_OK && geometry->segment_size_bytes == 0)
        code =
            error_set(error, URN_DAMAGED, 0, "%s: no group of a log is whole in it", segment->name);
    return code;
}

static enum urn_code add_segment_file(struct history *history, struct os_dir *dir, const char *name,
                                      struct os_file *file, struct urn_error *error)
{
    struct history_segment *segment = &history->segments[history->segment_count];
    *segment = (struct history_segment){.dir = dir, .slot = HISTORY_NO_SLOT};
    memcpy(segment->name, name, strlen(name) + 1);
    const int failure = os_file_size(file, &segment->file_bytes);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot tell the size of %s", name);
    enum urn_code code = read_header_page(file, segment, error);
    const bool says_its_ring = segment->header_why == WAL_READ_OK;
    if (code == URN_OK)
        code = take_geometry(history, segment, file, error);
    if (code == URN_OK)
        code = place_open_file(history, file, segment, error);
    if (code != URN_OK)
        return code;
    if (says_its_ring &&
        (segment->header_why == WAL_READ_FOREIGN || segment->header_why == WAL_READ_SHAPE))
        return error_set(error, URN_BADARG, 0, "%s belongs to another ring than the other files",
                         name);
    history->segment_count++;
    return URN_OK;
}

/* The LSN of a snapshot that has any name: from its content. Its ring becomes the history's. */
static enum urn_code add_snapshot_file(struct history *history, struct os_dir *dir,
                                       const char *name, struct urn_error *error)
{
    struct history_snapshot *snapshot = &history->snapshots[history->snapshot_count];
    *snapshot = (struct history_snapshot){.dir = dir};
    memcpy(snapshot->name, name, strlen(name) + 1);
    struct state state;
    struct wal_geometry geometry;
    const enum urn_code code =
        snapshot_file_load_named(dir, name, &bounds, &state, &geometry, error);
    if (code != URN_OK)
        return code;
    snapshot->id.lsn = state.tail.lsn;
    state_free(&state);
    if (history->geometry.segment_size_bytes == 0)
        history->geometry = geometry;
    history->snapshot_count++;
    return URN_OK;
}

static enum urn_code is_snapshot_file(struct os_file *file, const char *name, bool *is_snapshot,
                                      struct urn_error *error)
{
    uint8_t magic[4] = {0};
    uint64_t got = 0;
    uint64_t bad = 0;
    const enum urn_code code = history_read(file, name, 0, magic, sizeof magic, &got, &bad, error);
    *is_snapshot = got == sizeof magic && memcmp(magic, "URNB", sizeof magic) == 0;
    return code;
}

static enum urn_code add_file(struct history *history, const char *path, struct urn_error *error)
{
    struct os_dir *dir = NULL;
    const char *name = NULL;
    enum urn_code code = open_folder(history, path, &dir, &name, error);
    if (code != URN_OK)
        return code;
    struct os_file *file = NULL;
    const int failure = os_file_open(dir, name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, failure == ENOENT ? URN_NODATA : URN_IO, failure,
                         "cannot open %.200s", path);
    bool is_snapshot = false;
    code = is_snapshot_file(file, name, &is_snapshot, error);
    if (code == URN_OK && !is_snapshot)
        code = add_segment_file(history, dir, name, file, error);
    os_file_close(file);
    return code == URN_OK && is_snapshot ? add_snapshot_file(history, dir, name, error) : code;
}

/* The file tells all of its ring by itself: a segment with a sound header page, or a snapshot. */
static bool says_its_ring(struct history *history, const char *path)
{
    struct os_dir *dir = NULL;
    struct os_file *file = NULL;
    const char *name = NULL;
    struct history_segment segment = {.header_why = WAL_READ_ZERO};
    struct urn_error ignored;
    bool is_snapshot = false;
    if (open_folder(history, path, &dir, &name, &ignored) != URN_OK)
        return false;
    if (os_file_open(dir, name, OS_READ, &file) == 0) {
        if (is_snapshot_file(file, name, &is_snapshot, &ignored) == URN_OK && !is_snapshot)
            (void)read_header_page(file, &segment, &ignored);
        os_file_close(file);
    }
    os_dir_close(history->dirs[--history->dir_count]);
    return is_snapshot || segment.header_why == WAL_READ_OK;
}

static enum urn_code look_at_files(struct history *history, struct urn_error *error)
{
    history->segments = calloc(history->operand_count, sizeof *history->segments);
    history->snapshots = calloc(history->operand_count, sizeof *history->snapshots);
    if (history->segments == NULL || history->snapshots == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot look at %.200s", history->path);
    enum urn_code code = URN_OK;
    bool added[OPERANDS_MAX] = {false};
    for (uint32_t i = 0; i < history->operand_count && code == URN_OK; i++) {
        added[i] = says_its_ring(history, history->operands[i]);
        if (added[i])
            code = add_file(history, history->operands[i], error);
    }
    for (uint32_t i = 0; i < history->operand_count && code == URN_OK; i++)
        if (!added[i])
            code = add_file(history, history->operands[i], error);
    return code;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void forget_files(struct history *history)
{
    free(history->segments);
    free(history->snapshots);
    free(history->gaps);
    history->segments = NULL;
    history->snapshots = NULL;
    history->gaps = NULL;
    history->gap_count = 0;
    history->damaged_gaps = 0;
    history->overlaps = 0;
    history->archived_end_lsn = 0;
    history->segment_count = 0;
    history->log_count = 0;
    history->snapshot_count = 0;
    for (uint32_t i = 0; i < history->dir_count; i++)
        os_dir_close(history->dirs[i]);
    history->dir_count = 0;
    history->durable_known = false;
    history->durable_lsn = 0;
}

enum urn_code history_refresh(struct history *history, struct urn_error *error)
{
    forget_files(history);
    const enum urn_code code = history->is_archive     ? history_archive_look(history, error)
                               : history->is_directory ? look_at_directory(history, error)
                                                       : look_at_files(history, error);
    if (code == URN_OK)
        order_segments(history);
    else
        forget_files(history);
    return code;
}

enum urn_code history_open(struct history *history, const struct tool *tool,
                           const char *const *operands, uint32_t operand_count,
                           struct urn_error *error)
{
    CHECK(operand_count >= 1 && operand_count <= OPERANDS_MAX);
    *history = (struct history){
        .tool = tool, .path = operands[0], .operands = operands, .operand_count = operand_count};
    struct os_dir *dir = NULL;
    const int failure = os_dir_open(tool->os, operands[0], &dir);
    if (failure == 0) {
        history->is_archive = history_archive_is_one(dir);
        os_dir_close(dir);
    }
    if (operand_count > 1 && failure != 0 && failure != ENOTDIR)
        return error_set(error, failure == ENOENT ? URN_NODATA : URN_IO, failure,
                         "cannot open %.200s", operands[0]);
    const bool is_directory = failure != ENOTDIR; /* why one cannot be opened, the opening tells */
    history->is_directory = is_directory && !history->is_archive;
    if (is_directory && operand_count > 1)
        return error_set(error, URN_BADARG, 0,
                         "one data directory, or files of one: there is also %.200s", operands[1]);
    if (history->is_directory && history_archive_choose(history, error) != URN_OK)
        return error->code;
    (void)history_live(
        history); /* first: a server that is killed during the look has written in it */
    return history_refresh(history, error);
}

void history_close(struct history *history)
{
    forget_files(history);
}

bool history_live(struct history *history)
{
    const struct tool *tool = history->tool;
    if (!history->live && history->is_directory && tool->in_use != NULL)
        history->live = tool->in_use(tool->in_use_context, history->path);
    return history->live;
}

/* ---- asking ---------------------------------------------------------------------------------- */

uint32_t history_find(const struct history *history, uint64_t lsn)
{
    uint32_t low = 0;
    uint32_t high = history->log_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (history_end_lsn(&history->segments[middle]) <= lsn)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct history_segment *history_at(const struct history *history, uint64_t lsn)
{
    const uint32_t index = history_find(history, lsn);
    return index < history->log_count && history_holds(&history->segments[index], lsn)
               ? &history->segments[index]
               : NULL;
}

struct wal_geometry history_geometry_at(const struct history *history, uint64_t lsn)
{
    struct wal_geometry geometry = history->geometry;
    const uint32_t index = history_find(history, lsn);
    const struct history_segment *segment = history_at(history, lsn);
    if (segment == NULL && index > 0 && history_end_lsn(&history->segments[index - 1]) == lsn)
        segment = &history->segments[index - 1];
    if (segment != NULL && segment->archived && segment->header_why == WAL_READ_OK) {
        geometry.segment_size_bytes = segment->header.segment_size_bytes;
        geometry.segments = segment->header.segments;
    }
    return geometry;
}

uint64_t history_segment_begin(const struct history *history, uint64_t lsn)
{
    const uint32_t index = history_find(history, lsn);
    if (index < history->log_count && history_holds(&history->segments[index], lsn))
        return history->segments[index].begin_lsn;
    if (index > 0 && history_end_lsn(&history->segments[index - 1]) == lsn)
        return lsn;
    return wal_segment_begin(&history->geometry, lsn);
}

const char *history_place(const struct history *history, uint64_t lsn, char text[PLACE_TEXT_BYTES])
{
    const struct history_segment *segment = history_at(history, lsn);
    char ring_name[DATA_DIR_NAME_MAX];
    const char *name = ring_name;
    if (segment != NULL)
        name = segment->name;
    else
        data_dir_segment_name(ring_name, wal_slot(&history->geometry, lsn));
    (void)snprintf(text, PLACE_TEXT_BYTES, "%s, offset %" PRIu64, name,
                   lsn - history_segment_begin(history, lsn));
    return text;
}

bool history_use_spare(struct history *history, uint32_t index, uint64_t lsn)
{
    CHECK(index < history->log_count);
    struct history_segment *segment = &history->segments[index];
    if (!segment->has_spare)
        return false;
    (void)snprintf(segment->ring_name, sizeof segment->ring_name, "%.63s", segment->name);
    (void)snprintf(segment->name, sizeof segment->name, "%s", segment->spare_name);
    segment->dir = segment->spare_dir;
    segment->slot = HISTORY_NO_SLOT;
    segment->file_bytes = segment->size_bytes;
    segment->damage_lsn = lsn;
    segment->archived = true;
    segment->has_spare = false;
    segment->uses_spare = true;
    return true;
}

const struct history_gap *history_gap_at(const struct history *history, uint64_t lsn)
{
    for (uint32_t i = 0; i < history->gap_count; i++)
        if (history->gaps[i].from_lsn <= lsn && lsn < history->gaps[i].to_lsn)
            return &history->gaps[i];
    return NULL;
}

bool history_reused(struct history *history, const struct history_segment *segment)
{
    if (!history->is_directory || segment->slot == HISTORY_NO_SLOT)
        return false;
    struct history_segment now;
    struct urn_error ignored;
    if (place_slot(history, segment->dir, segment->slot, &now, &ignored) != URN_OK ||
        now.state == HISTORY_MISSING)
        return false;
    if (!history_live(history)) { /* unless a server has come and gone */
        history->live = now.state == HISTORY_LOG &&
                        (segment->state != HISTORY_LOG || now.begin_lsn != segment->begin_lsn);
        return history->live;
    }
    if (now.header_why != WAL_READ_OK) /* half written, unless it was no better before */
        return segment->header_why == WAL_READ_OK;
    return segment->state != HISTORY_LOG || now.begin_lsn != segment->begin_lsn;
}

bool history_lost(struct history *history, enum urn_code code, const struct urn_error *error)
{
    const bool lost = history->is_directory && code == URN_IO && error->system_errno == ENOENT;
    history->live = history_live(history) || lost;
    return lost;
}

struct durable {
    uint64_t lsn;
};

static bool note_durable(void *context, const struct wal_group_header *header)
{
    struct durable *durable = context;
    if (header->durable_lsn > durable->lsn)
        durable->lsn = header->durable_lsn;
    return true;
}

enum urn_code history_durable_lsn(struct history *history, uint64_t *durable_lsn,
                                  struct urn_error *error)
{
    struct durable durable = {0};
    *durable_lsn = history->durable_lsn;
    if (history->durable_known)
        return URN_OK;
    for (uint32_t index = history->log_count; index > 0; index--) {
        const struct history_segment *segment = &history->segments[index - 1];
        const enum urn_code code = history_search(history, segment, WAL_SEGMENT_HEADER_BYTES,
                                                  note_durable, &durable, NULL, error);
        if (code != URN_OK)
            return code;
        if (durable.lsn > segment->begin_lsn)
            break; /* what is newer has been discarded by a start, or is not durable yet */
    }
    if (durable.lsn < history->archived_end_lsn)
        durable.lsn = history->archived_end_lsn;
    history->durable_known = true;
    history->durable_lsn = *durable_lsn = durable.lsn;
    return URN_OK;
}

enum urn_code history_load(const struct history *history, uint32_t snapshot, struct state *state,
                           struct urn_error *error)
{
    CHECK(snapshot < history->snapshot_count);
    const struct history_snapshot *which = &history->snapshots[snapshot];
    struct wal_geometry geometry;
    const enum urn_code code =
        history->is_directory || history->is_archive
            ? snapshot_file_load(which->dir, which->id, &bounds, state, &geometry, error)
            : snapshot_file_load_named(which->dir, which->name, &bounds, state, &geometry, error);
    if (code != URN_OK)
        return code;
    const struct wal_geometry *ours = &history->geometry;
    if (memcmp(geometry.ring_uuid, ours->ring_uuid, WAL_UUID_BYTES) == 0 &&
        (which->archived || (geometry.segment_size_bytes == ours->segment_size_bytes &&
                             geometry.segments == ours->segments)))
        return URN_OK;
    state_free(state);
    *state = (struct state){0};
    return error_set(error, URN_DAMAGED, 0, "%s: it belongs to another ring", which->name);
}
