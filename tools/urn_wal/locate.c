/* locate.c: see locate.h. */
#include "tools/urn_wal/locate.h"

#include <errno.h>
#include <stdlib.h>

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
    const uint64_t size = first->history->geometry.segment_size_bytes;
    if (header->lsn / size != first->segment->sequence)
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
    const uint64_t size = history->geometry.segment_size_bytes;
    /* the one that durable_lsn lies in counts where something of it lies below */
    if (high < history->log_count && history->segments[high].sequence == durable_lsn / size &&
        durable_lsn % size > WAL_SEGMENT_HEADER_BYTES)
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
    const uint64_t begin = history_begin_lsn(history, segment);
    const uint64_t size = history->geometry.segment_size_bytes;
    uint64_t low = begin; /* a walk can begin there, and its groups begin at or before the id */
    uint64_t high = durable_lsn - begin < size ? durable_lsn : begin + size;
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
    *lsn = history_begin_lsn(history, &history->segments[index]);
    if (count == 0)
        return URN_OK;
    return find_stretch(history, &history->segments[index], first_id, durable_lsn, lsn, error);
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
    const uint64_t end_id = header->first_request_id + header->draws;
    located->next_id = header->first_request_id;
    located->lsn = header->lsn;
    if (request_id < header->first_request_id) {
        located->kind = ids->gap            ? LOCATED_LOST
                        : ids->next_id == 0 ? LOCATED_BEFORE
                                            : LOCATED_SKIPPED;
        return true;
    }
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
            if (request_id < walk->item.header.first_request_id)
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
    enum urn_code code = locate_start(history, request_id, &lsn, error);
    if (code != URN_OK || lsn == NO_LSN)
        return code;
    struct walk walk;
    code = walk_begin(history, lsn, UINT64_MAX, 0, SCAN_CHECKSUMS, &walk, error);
    if (code == URN_OK)
        code = walk_to_request(&walk, request_id, located, error);
    walk_end(&walk);
    return code;
}
