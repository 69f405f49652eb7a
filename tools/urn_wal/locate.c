/* locate.c: see locate.h. */
#include "tools/urn_wal/locate.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/archive_dir.h"
#include "engine/check.h"

/* Below so much, groups are stepped through. */
#define STEP_BYTES (1024u * 1024)

/* ---- whole groups by position ------------------------------------------------------------------- */

/* The first whole group of the segment's stretch at or behind an offset. */
struct first {
    const struct history *history;
    const struct history_segment *segment;
    uint64_t below_lsn;
    bool found;
    struct wal_group_header header;
};

static bool take_first(void *context, const struct wal_group_header *header)
{
    struct first *first = context;
    if (!history_holds(first->segment, header->lsn))
        return true;
    first->found = header->lsn < first->below_lsn;
    first->header = *header;
    return false;
}

static enum urn_code first_group(const struct history *history,
                                 const struct history_segment *segment, uint64_t offset,
                                 uint64_t below_lsn, struct first *first, struct urn_error *error)
{
    *first = (struct first){.history = history, .segment = segment, .below_lsn = below_lsn};
    return history_search(history, segment, offset, take_first, first, NULL, error);
}

/* The last of the segments that begin below durable_lsn whose first group begins at or before the id; the
 * first one if none does. *count: how many begin below. */
static enum urn_code find_segment(struct history *history, uint64_t request_id,
                                  uint64_t durable_lsn, uint32_t *index, uint32_t *count,
                                  struct urn_error *error)
{
    uint32_t low = 0;
    uint32_t high = history_find(history, durable_lsn);
    /* the one that durable_lsn lies in counts where something of it lies below */
    if (high < history->log_count && history_holds(&history->segments[high], durable_lsn) &&
        durable_lsn - history->segments[high].begin_lsn > WAL_SEGMENT_HEADER_BYTES)
        high++;
    *count = high;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        struct first first;
        const enum urn_code code =
            first_group(history, &history->segments[middle], WAL_SEGMENT_HEADER_BYTES, durable_lsn,
                        &first, error);
        if (code != URN_OK)
            return code;
        if (first.found && first.header.first_request_id <= request_id)
            low = middle;
        else
            high = middle;
    }
    *index = low;
    return URN_OK;
}

/* In a segment: the LSN of a group that begins at or before the id, not far before the one that holds
 * it. */
static enum urn_code find_stretch(const struct history *history,
                                  const struct history_segment *segment, uint64_t request_id,
                                  uint64_t durable_lsn, uint64_t *lsn, struct urn_error *error)
{
    const uint64_t begin = segment->begin_lsn;
    const uint64_t end = history_end_lsn(segment);
    uint64_t low = begin; /* a walk can begin there, and its groups begin at or before the id */
    uint64_t high = durable_lsn < end ? durable_lsn : end;
    while (high - low > STEP_BYTES) {
        const uint64_t middle = low + (high - low) / 2 / WAL_ALIGN_BYTES * WAL_ALIGN_BYTES;
        struct first first;
        const enum urn_code code =
            first_group(history, segment, middle - begin, high, &first, error);
        if (code != URN_OK)
            return code;
        if (first.found && first.header.first_request_id <= request_id)
            low = first.header.lsn;
        else
            high = middle;
    }
    *lsn = low;
    return URN_OK;
}

enum urn_code locate_start(struct history *history, uint64_t first_id, uint64_t *lsn,
                           struct urn_error *error)
{
    uint64_t durable_lsn = 0;
    uint32_t index = 0;
    uint32_t count = 0;
    *lsn = NO_LSN;
    if (history->log_count == 0)
        return URN_OK;
    enum urn_code code = history_durable_lsn(history, &durable_lsn, error);
    if (code == URN_OK)
        code = find_segment(history, first_id, durable_lsn, &index, &count, error);
    if (code != URN_OK)
        return code;
    *lsn = history->segments[index].begin_lsn;
    if (count == 0)
        return URN_OK;
    return find_stretch(history, &history->segments[index], first_id, durable_lsn, lsn, error);
}

/* ---- by the archive's indexes -------------------------------------------------------------------- */

/* Reads the index that stands behind an archived segment, or behind the archive's copy of one. False: it has
 * none that is of use; groups tell what it would. */
static bool read_index(const struct history *history, const struct history_segment *segment,
                       struct log_index *index)
{
    const uint64_t size = segment->size_bytes;
    const char *name = segment->archived ? segment->name : segment->spare_name;
    struct os_dir *dir = segment->archived ? segment->dir : segment->spare_dir;
    struct os_file *file = NULL;
    struct urn_error ignored;
    if (os_file_open(dir, name, OS_READ, &file) != 0)
        return false;
    const enum urn_code code = archive_index_read(file, name, size, index, &ignored);
    os_file_close(file);
    if (code != URN_OK)
        return false;
    const bool is_right =
        index->count > 0 && index->sequence == segment->begin_lsn / size &&
        index->segment_size_bytes == size &&
        memcmp(index->ring_uuid, history->geometry.ring_uuid, WAL_UUID_BYTES) == 0;
    if (!is_right)
        free(index->entries);
    return is_right;
}

/* The stretch of an archived segment in which a draw stands, found by looking at few indexes: the archived
 * segments are searched by their first ids. False: it is not there, or the indexes cannot tell. */
static bool find_in_archive(const struct history *history, uint64_t request_id,
                            struct log_index_stretch *stretch)
{
    uint32_t low = 0;
    uint32_t high = 0;
    while (high < history->log_count &&
           (history->segments[high].archived || history->segments[high].has_spare))
        high++;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        struct log_index index;
        if (!read_index(history, &history->segments[middle], &index))
            return false;
        const bool is_below = request_id < index.entries[0].first_request_id;
        const bool is_above = request_id >= index.end_request_id;
        const bool is_here =
            !is_below && !is_above && log_index_find_request(&index, request_id, stretch);
        free(index.entries);
        if (is_here || (!is_below && !is_above))
            return is_here;
        if (is_below)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* ---- the draw ------------------------------------------------------------------------------------ */

static enum urn_code keep_group(struct located *located, const struct scan_item *item,
                                struct urn_error *error)
{
    located->group = malloc(item->header.length_bytes);
    if (located->group == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot show the group");
    memcpy(located->group, item->bytes, item->header.length_bytes);
    located->kind = LOCATED_GROUP;
    located->header = item->header;
    located->lsn = item->header.lsn;
    return URN_OK;
}

/* What a walk knows of ids by the groups that it has met. */
struct ids {
    uint64_t next_id; /* behind the last group; 0: none yet */
    bool gap;         /* a break since */
};

/* Looks at one group: true when the question is answered. */
static bool answers(const struct walk *walk, struct ids *ids, uint64_t request_id,
                    struct located *located)
{
    const struct wal_group_header *header = &walk->item.header;
    const uint64_t first_id = header->first_request_id;
    const uint64_t end_id = wal_group_end_id(header, walk->item.bytes);
    const bool is_epoch = header->kind == WAL_EPOCH;
    located->next_id = is_epoch ? end_id : first_id;
    located->lsn = header->lsn;
    if (request_id < first_id) {
        located->kind = ids->gap            ? LOCATED_LOST
                        : ids->next_id == 0 ? LOCATED_BEFORE
                                            : LOCATED_SKIPPED;
        located->skipped_first = ids->next_id;
        return true;
    }
    located->kind = is_epoch ? LOCATED_SKIPPED : LOCATED_GROUP;
    located->skipped_first = ids->gap || ids->next_id == 0 ? first_id : ids->next_id;
    ids->next_id = end_id;
    ids->gap = false;
    return request_id < end_id;
}

static enum urn_code walk_to_request(struct walk *walk, uint64_t request_id,
                                     struct located *located, struct urn_error *error)
{
    struct ids ids = {0};
    for (;;) {
        switch (walk_next(walk, error)) {
        case WALK_GROUP:
            if (!answers(walk, &ids, request_id, located))
                break;
            if (located->kind != LOCATED_GROUP)
                return URN_OK;
            return keep_group(located, &walk->item, error);
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            ids.gap = ids.gap || !walk->gap.header_page;
            located->gap = walk->gap;
            break;
        case WALK_END:
            located->kind = ids.gap ? LOCATED_LOST : LOCATED_NOT_YET;
            located->next_id = ids.next_id;
            return URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
}

enum urn_code locate_request(struct history *history, uint64_t request_id, struct located *located,
                             struct urn_error *error)
{
    uint64_t lsn = 0;
    *located = (struct located){.kind = LOCATED_NOT_YET};
    struct walk walk;
    struct log_index_stretch stretch;
    enum urn_code code = URN_OK;
    if (find_in_archive(history, request_id, &stretch)) {
        code =
            walk_begin(history, stretch.from_lsn, stretch.to_lsn, 0, SCAN_CHECKSUMS, &walk, error);
        if (code == URN_OK)
            code = walk_to_request(&walk, request_id, located, error);
        walk_end(&walk);
        if (code != URN_OK || located->kind == LOCATED_GROUP)
            return code;
        *located =
            (struct located){.kind = LOCATED_NOT_YET}; /* an index that lies costs time only */
    }
    code = locate_start(history, request_id, &lsn, error);
    if (code != URN_OK || lsn == NO_LSN)
        return code;
    code = walk_begin(history, lsn, UINT64_MAX, 0, SCAN_CHECKSUMS, &walk, error);
    if (code == URN_OK)
        code = walk_to_request(&walk, request_id, located, error);
    walk_end(&walk);
    return code;
}
