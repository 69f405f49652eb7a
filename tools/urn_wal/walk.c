/* walk.c: see walk.h. */
#include "tools/urn_wal/walk.h"

#include "engine/check.h"
#include "tools/urn_wal/history_archive.h"

/* ---- where to read from ----------------------------------------------------------------------- */

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* Reads on from lsn. */
static enum urn_code scan_from(struct walk *walk, uint64_t lsn, struct urn_error *error)
{
    scan_end(walk->scan);
    walk->scan = NULL;
    const uint64_t limit =
        walk->stops_when_durable ? smaller(walk->limit_lsn, walk->durable_lsn) : walk->limit_lsn;
    return scan_begin(walk->history, lsn, limit, walk->depth, &walk->scan, error);
}

/* Where the last segment that is listed ends. */
static uint64_t listed_end_lsn(const struct history *history)
{
    return history->log_count == 0 ? 0
                                   : history_end_lsn(&history->segments[history->log_count - 1]);
}

/* Asks the history how far the log is durable. */
static enum urn_code learn_durable(struct walk *walk, uint64_t known_durable_lsn,
                                   struct urn_error *error)
{
    uint64_t durable_lsn = walk->history->archived_end_lsn;
    /* Within the archive, which is durable as it stands, the ring is nobody's business. */
    const bool asks = walk->limit_lsn > durable_lsn;
    const enum urn_code code =
        asks ? history_durable_lsn(walk->history, &durable_lsn, error) : URN_OK;
    if (code != URN_OK)
        return code;
    if (known_durable_lsn > durable_lsn)
        durable_lsn = known_durable_lsn;
    walk->stops_when_durable = history_live(walk->history);
    /* What the ring's files say now may be of a later lap than they are listed with, for which the archive's files
     * then stand in. */
    if (walk->stops_when_durable && walk->history->has_archive)
        durable_lsn = smaller(durable_lsn, listed_end_lsn(walk->history));
    if (durable_lsn > walk->durable_lsn)
        walk->durable_lsn = durable_lsn;
    return URN_OK;
}

enum urn_code walk_begin(struct history *history, uint64_t from_lsn, uint64_t limit_lsn,
                         uint64_t known_durable_lsn, enum scan_depth depth, struct walk *walk,
                         struct urn_error *error)
{
    CHECK(depth == SCAN_CHECKSUMS || depth == SCAN_DIGESTS);
    *walk = (struct walk){.history = history, .depth = depth, .limit_lsn = limit_lsn};
    const enum urn_code code = learn_durable(walk, known_durable_lsn, error);
    if (code != URN_OK)
        return code;
    const uint32_t index = history_find(history, from_lsn);
    walk->tail.lsn = from_lsn;
    if (index < history->log_count) {
        const uint64_t begin = history->segments[index].begin_lsn;
        if (begin > from_lsn)
            walk->tail.lsn = begin;
    }
    return scan_from(walk, walk->tail.lsn, error);
}

void walk_end(struct walk *walk)
{
    scan_end(walk->scan);
    walk->scan = NULL;
}

void walk_anchor(struct walk *walk, const struct wal_tail *tail)
{
    CHECK(tail->lsn == walk->tail.lsn);
    walk->tail = *tail;
    walk->anchored = true;
}

/* ---- behind a break --------------------------------------------------------------------------- */

/* What the next group of the log must be like, seen from a place where none stands. */
struct resumption {
    const struct history *history;
    const struct history_segment *segment;
    uint64_t break_lsn;
    uint64_t durable_lsn;
    uint32_t epoch;
    uint64_t found_lsn; /* NO_LSN: none yet */
};

static bool resumes(void *context, const struct wal_group_header *header)
{
    struct resumption *resumption = context;
    if (!history_holds(resumption->segment, header->lsn) || header->lsn <= resumption->break_lsn ||
        header->epoch < resumption->epoch ||
        (header->lsn >= resumption->durable_lsn && header->durable_lsn <= resumption->break_lsn))
        return true; /* search on */
    resumption->found_lsn = header->lsn;
    return false;
}

/* The next whole group of the log behind lsn in its segment; NO_LSN: none. */
static enum urn_code find_behind(const struct walk *walk, const struct history_segment *segment,
                                 uint64_t lsn, uint64_t *found_lsn, struct urn_error *error)
{
    const uint64_t offset = lsn - segment->begin_lsn;
    struct resumption resumption = {.history = walk->history,
                                    .segment = segment,
                                    .break_lsn = lsn,
                                    .durable_lsn = walk->durable_lsn,
                                    .epoch = walk->tail.epoch,
                                    .found_lsn = NO_LSN};
    const uint64_t from =
        offset < WAL_SEGMENT_HEADER_BYTES ? WAL_SEGMENT_HEADER_BYTES : offset + WAL_ALIGN_BYTES;
    const enum urn_code code =
        history_search(walk->history, segment, from, resumes, &resumption, NULL, error);
    *found_lsn = resumption.found_lsn;
    return code;
}

static enum walk_step ends_at(struct walk *walk, uint64_t lsn, enum wal_read_result why)
{
    scan_end(walk->scan);
    walk->scan = NULL;
    walk->tail.lsn = lsn;
    walk->end_why = why;
    return WALK_END;
}

static enum walk_step breaks_to(struct walk *walk, uint64_t to_lsn, struct urn_error *error)
{
    walk->gap.to_lsn = to_lsn;
    walk->tail.lsn = to_lsn;
    walk->anchored = walk->anchored && walk->gap.header_page; /* which is no part of the chain */
    return scan_from(walk, to_lsn, error) == URN_OK ? WALK_BREAK : WALK_ERROR;
}

/* The next segment that is there, behind the one that holds lsn: its begin, or NO_LSN. */
static uint64_t next_segment_lsn(const struct history *history, uint64_t lsn)
{
    uint32_t index = history_find(history, lsn);
    if (index < history->log_count && history_holds(&history->segments[index], lsn))
        index++;
    return index < history->log_count ? history->segments[index].begin_lsn : NO_LSN;
}

/* What stands at lsn is not what should; but the archive may have it as well. */
static bool use_spare(struct walk *walk, uint64_t lsn)
{
    const struct history_segment *segment = walk->item.segment;
    const uint32_t index = (uint32_t)(segment - walk->history->segments);
    if (lsn >= walk->durable_lsn || !segment->has_spare)
        return false;
    scan_end(walk->scan); /* it has the segment open */
    walk->scan = NULL;
    return history_use_spare(walk->history, index, lsn);
}

static enum walk_step read_on(struct walk *walk, uint64_t lsn, struct urn_error *error)
{
    walk->tail.lsn = lsn;
    return scan_from(walk, lsn, error) == URN_OK ? walk_next(walk, error) : WALK_ERROR;
}

/* A server has written over what was being read. What is there now? */
static enum walk_step go_on_overwritten(struct walk *walk, uint64_t lsn, struct urn_error *error)
{
    scan_end(walk->scan);
    walk->scan = NULL;
    if (history_archive_stands_in(walk->history, lsn)) /* it had been archived before */
        return read_on(walk, lsn, error);
    if (history_refresh(walk->history, error) != URN_OK || learn_durable(walk, 0, error) != URN_OK)
        return WALK_ERROR;
    const struct history_segment *now = history_at(walk->history, lsn);
    if (now != NULL && now->archived)
        return read_on(walk, lsn, error); /* it had been archived before */
    const uint64_t next = next_segment_lsn(walk->history, lsn);
    if (next == NO_LSN)
        return ends_at(walk, lsn, WAL_READ_PLACE);
    walk->gap = (struct walk_break){.kind = WALK_OVERWRITTEN, .from_lsn = lsn};
    return breaks_to(walk, next, error);
}

/* Behind damage in this segment: its next whole group, or the next segment, or the highest durable LSN,
 * behind which nothing is known. */
static enum walk_step go_on_behind(struct walk *walk, const struct history_segment *segment,
                                   uint64_t lsn, struct urn_error *error)
{
    uint64_t found = NO_LSN;
    if (find_behind(walk, segment, lsn, &found, error) != URN_OK)
        return WALK_ERROR;
    walk->gap.header_page = lsn == segment->begin_lsn && found == lsn + WAL_SEGMENT_HEADER_BYTES;
    if (found == NO_LSN) {
        const uint64_t next = next_segment_lsn(walk->history, lsn);
        found = smaller(next, walk->durable_lsn);
    }
    return breaks_to(walk, found, error);
}

/* ---- where no group follows ------------------------------------------------------------------- */

/* Nothing valid stands at lsn, in a segment that is there. */
static enum walk_step no_group(struct walk *walk, uint64_t lsn, enum wal_read_result why,
                               struct urn_error *error)
{
    const struct history_segment *segment = walk->item.segment;
    if (history_reused(walk->history, segment))
        return go_on_overwritten(walk, lsn, error);
    if (use_spare(walk, lsn))
        return read_on(walk, lsn, error);
    if (lsn >= walk->durable_lsn)
        return ends_at(walk, lsn, why);
    walk->gap = (struct walk_break){.kind = WALK_DAMAGED, .from_lsn = lsn, .why = why};
    return go_on_behind(walk, segment, lsn, error);
}

/* A sector at lsn cannot be read: that is damage wherever the log should go on. */
static enum walk_step unreadable(struct walk *walk, uint64_t lsn, struct urn_error *error)
{
    const struct history_segment *segment = walk->item.segment;
    const uint64_t bad_lsn = segment->begin_lsn + walk->item.unreadable_offset;
    if (history_reused(walk->history, segment))
        return go_on_overwritten(walk, lsn, error);
    if (use_spare(walk, lsn))
        return read_on(walk, lsn, error);
    if (lsn >= walk->durable_lsn) {
        walk->end_unreadable = true;
        walk->end_unreadable_lsn = bad_lsn;
        return ends_at(walk, lsn, WAL_READ_OK);
    }
    walk->gap =
        (struct walk_break){.kind = WALK_UNREADABLE, .from_lsn = lsn, .unreadable_lsn = bad_lsn};
    return go_on_behind(walk, segment, lsn, error);
}

/* Only the beginning of what stands at the position can be read. Is it the log's to miss? As
 * wal_reader.h has it: a header page, or a group that by its own header continues the log. */
static enum walk_step partly_unreadable(struct walk *walk, struct urn_error *error)
{
    const struct scan_item *item = &walk->item;
    const uint64_t rest = history_end_lsn(item->segment) - item->lsn;
    struct wal_group_header header;
    if (item->lsn == item->segment->begin_lsn || item->readable_bytes < WAL_ALIGN_BYTES)
        return unreadable(walk, item->lsn, error);
    if (item->readable_bytes < WAL_GROUP_HEADER_BYTES) {
        if (get_u32(item->readable) == WAL_GROUP_MAGIC)
            return unreadable(walk, item->lsn, error);
        return no_group(walk, item->lsn,
                        bytes_are_zero(item->readable, item->readable_bytes) ? WAL_READ_ZERO
                                                                             : WAL_READ_LENGTH,
                        error);
    }
    enum wal_read_result why = wal_group_peek(item->readable, item->readable_bytes, rest, &header);
    if (why == WAL_READ_OK &&
        header.ring_short != wal_ring_short(walk->history->geometry.ring_uuid))
        why = WAL_READ_CHECKSUM;
    if (why == WAL_READ_OK && walk->anchored)
        why = wal_group_follows(&header, &walk->tail);
    if (why == WAL_READ_OK)
        return unreadable(walk, item->lsn, error);
    return no_group(walk, item->lsn, why == WAL_READ_DURABLE ? WAL_READ_CHECKSUM : why, error);
}

/* *continues: the first group of the segment that begins there goes on behind the tail's chain. */
static enum urn_code segment_continues(const struct walk *walk, uint64_t begin_lsn, bool *continues,
                                       struct urn_error *error)
{
    struct scan *scan = NULL;
    struct scan_item item;
    *continues = false;
    if (scan_begin(walk->history, begin_lsn, UINT64_MAX, SCAN_CHECKSUMS, &scan, error) != URN_OK)
        return error->code;
    enum scan_step step = scan_next(scan, &item, error);
    if (step == SCAN_SEGMENT)
        step = scan_next(scan, &item, error);
    if (step == SCAN_GROUP)
        *continues = memcmp(item.header.chain_before, walk->tail.chain, WAL_CHAIN_BYTES) == 0;
    scan_end(scan);
    return step == SCAN_ERROR ? error->code : URN_OK;
}

/* Of a ring in which nothing has been written yet, its snapshots tell. */
static enum urn_code snapshot_continues(const struct walk *walk, uint64_t *lsn, bool *continues,
                                        struct urn_error *error)
{
    const struct history *history = walk->history;
    struct state state;
    *continues = false;
    if (!history->is_directory || history->snapshot_count == 0 ||
        history->snapshots[0].id.lsn <= walk->tail.lsn)
        return URN_OK;
    const enum urn_code code = history_load(history, 0, &state, error);
    if (code != URN_OK)
        return code == URN_NOMEMORY ? code : URN_OK; /* whoever looks at snapshots tells more */
    *lsn = state.tail.lsn;
    *continues = memcmp(state.tail.chain, walk->tail.chain, WAL_CHAIN_BYTES) == 0;
    state_free(&state);
    return URN_OK;
}

/* No file holds the stretch from the tail on. *steps: because nothing has ever been there, and the tail has moved
 * behind it. */
static enum urn_code step_over_nothing(struct walk *walk, bool *steps, struct urn_error *error)
{
    uint64_t next = next_segment_lsn(walk->history, walk->tail.lsn);
    *steps = false;
    if (!walk->anchored)
        return URN_OK;
    const enum urn_code code = next != NO_LSN ? segment_continues(walk, next, steps, error)
                                              : snapshot_continues(walk, &next, steps, error);
    if (code != URN_OK || !*steps)
        return code;
    walk->tail.lsn = walk->stepped_to_lsn = next;
    return URN_OK;
}

/* No file holds the stretch from lsn, a segment's begin, on. */
static enum walk_step no_segment(struct walk *walk, uint64_t lsn, struct urn_error *error)
{
    bool steps = false;
    if (step_over_nothing(walk, &steps, error) != URN_OK)
        return WALK_ERROR;
    if (steps)
        return read_on(walk, walk->tail.lsn, error);
    const uint64_t next = next_segment_lsn(walk->history, lsn);
    if (lsn >= walk->durable_lsn)
        return ends_at(walk, lsn, WAL_READ_OK);
    const struct history_gap *known = history_gap_at(walk->history, lsn);
    walk->gap =
        (struct walk_break){.kind = WALK_MISSING, .from_lsn = lsn, .known_gap = known != NULL};
    /* Beyond what the archive says to be a gap it is another matter. */
    const uint64_t end = smaller(next, walk->durable_lsn);
    return breaks_to(walk, known != NULL ? smaller(end, known->to_lsn) : end, error);
}

/* ---- the walk --------------------------------------------------------------------------------- */

static enum walk_step take_segment(struct walk *walk, struct urn_error *error)
{
    const struct scan_item *item = &walk->item;
    const struct wal_tail begin = {.lsn = item->lsn, .epoch = walk->tail.epoch};
    struct wal_segment_header header;
    enum wal_read_result why = wal_segment_header_read(item->header_page, &header);
    struct wal_geometry geometry = walk->history->geometry;
    if (item->segment->archived) { /* the ring may have had others then */
        geometry.segment_size_bytes = item->segment->size_bytes;
        geometry.segments = header.segments;
    }
    if (why == WAL_READ_OK)
        why = wal_segment_header_follows(&header, &geometry, &begin);
    if (why != WAL_READ_OK)
        return no_group(walk, item->lsn, why, error);
    walk->tail.lsn = item->lsn + WAL_SEGMENT_HEADER_BYTES;
    walk->tail.epoch = header.epoch;
    return WALK_SEGMENT;
}

static enum walk_step take_group(struct walk *walk, struct urn_error *error)
{
    const struct scan_item *item = &walk->item;
    const struct wal_group_header *header = &item->header;
    if (!walk->anchored) {
        walk->tail.lsn = item->lsn;
        memcpy(walk->tail.chain, header->chain_before, WAL_CHAIN_BYTES);
    }
    enum wal_read_result why = WAL_READ_OK;
    if (walk->depth == SCAN_DIGESTS) {
        why = wal_group_join(header, item->digest, &walk->tail);
    } else {
        why = wal_group_follows(header, &walk->tail);
        if (why == WAL_READ_OK) {
            walk->tail.lsn += header->length_bytes;
            walk->tail.epoch = header->epoch;
            memcpy(walk->tail.chain, header->chain_after, WAL_CHAIN_BYTES);
        }
    }
    if (why != WAL_READ_OK)
        return no_group(walk, item->lsn, why, error);
    walk->anchored = true;
    if (header->durable_lsn > walk->durable_seen_lsn)
        walk->durable_seen_lsn = header->durable_lsn;
    return WALK_GROUP;
}

enum walk_step walk_next(struct walk *walk, struct urn_error *error)
{
    if (walk->gap_pending) {
        walk->gap_pending = false;
        return WALK_BREAK;
    }
    if (walk->scan == NULL)
        return WALK_END;
    switch (scan_next(walk->scan, &walk->item, error)) {
    case SCAN_GROUP:
        return take_group(walk, error);
    case SCAN_SEGMENT:
        return take_segment(walk, error);
    case SCAN_INVALID:
        return no_group(walk, walk->item.lsn, walk->item.why, error);
    case SCAN_UNREADABLE:
        return partly_unreadable(walk, error);
    case SCAN_LAST:
        return no_segment(walk, walk->tail.lsn, error);
    case SCAN_LIMIT:
        return ends_at(walk, walk->tail.lsn, WAL_READ_OK);
    case SCAN_ERROR:
        break;
    }
    return WALK_ERROR;
}

/* ---- going on after the end ------------------------------------------------------------------- */

/* The highest durable LSN that whole groups from the tail on carry, as far as they follow each other.
 * *to_segment_end: they reach the end of the last segment that is known. */
static enum urn_code look_ahead(struct walk *walk, uint64_t *durable_lsn, bool *to_segment_end,
                                struct urn_error *error)
{
    struct scan *ahead = NULL;
    struct scan_item item;
    enum scan_step step = SCAN_GROUP;
    if (scan_begin(walk->history, walk->tail.lsn, UINT64_MAX, SCAN_CHECKSUMS, &ahead, error) !=
        URN_OK)
        return error->code;
    while ((step = scan_next(ahead, &item, error)) == SCAN_GROUP || step == SCAN_SEGMENT) {
        if (step == SCAN_SEGMENT)
            continue;
        if (item.header.lsn != item.lsn)
            break; /* of an earlier lap */
        if (item.header.durable_lsn > *durable_lsn)
            *durable_lsn = item.header.durable_lsn;
    }
    scan_end(ahead);
    *to_segment_end = step == SCAN_LAST;
    return step == SCAN_ERROR ? error->code : URN_OK;
}

/* The tail's segment is the one that was read so far. */
static bool tail_is_kept(struct walk *walk)
{
    struct history *history = walk->history;
    const struct history_segment *segment = history_at(history, walk->tail.lsn);
    return segment != NULL && !history_reused(history, segment);
}

/* A server has overwritten the tail, which had been waited at for too long: the log goes on elsewhere. */
static void skip_overwritten(struct walk *walk)
{
    const uint64_t next = next_segment_lsn(walk->history, walk->tail.lsn);
    if (next == NO_LSN || history_at(walk->history, walk->tail.lsn) != NULL)
        return;
    walk->gap =
        (struct walk_break){.kind = WALK_OVERWRITTEN, .from_lsn = walk->tail.lsn, .to_lsn = next};
    walk->gap_pending = true;
    walk->tail.lsn = next;
    walk->anchored = false;
}

enum urn_code walk_resume(struct walk *walk, uint64_t known_durable_lsn, bool *more,
                          struct urn_error *error)
{
    uint64_t durable_lsn = known_durable_lsn;
    bool to_segment_end = true;
    enum urn_code code = URN_OK;
    *more = false;
    scan_end(walk->scan);
    walk->scan = NULL;
    if (tail_is_kept(walk))
        code = look_ahead(walk, &durable_lsn, &to_segment_end, error);
    if (code == URN_OK && to_segment_end) { /* behind it are segments that are not known yet */
        code = history_refresh(walk->history, error);
        uint64_t found_lsn = 0;
        if (code == URN_OK)
            code = history_durable_lsn(walk->history, &found_lsn, error);
        if (found_lsn > durable_lsn)
            durable_lsn = found_lsn;
    }
    if (code != URN_OK)
        return code;
    if (durable_lsn > walk->durable_lsn)
        walk->durable_lsn = durable_lsn;
    walk->stops_when_durable = history_live(walk->history);
    walk->end_unreadable = false;
    *more = walk->durable_lsn > walk->tail.lsn;
    if (!*more)
        return URN_OK;
    skip_overwritten(walk);
    return scan_from(walk, walk->tail.lsn, error);
}

/* ---- finding a place to begin at --------------------------------------------------------------- */

struct wanted {
    const struct history *history;
    const struct history_segment *segment;
    uint64_t lsn;
    uint64_t found_lsn;
};

static bool is_wanted(void *context, const struct wal_group_header *header)
{
    struct wanted *wanted = context;
    if (!history_holds(wanted->segment, header->lsn) || header->lsn < wanted->lsn)
        return true;
    wanted->found_lsn = header->lsn;
    return false;
}

enum urn_code walk_find_group(struct history *history, uint64_t lsn, uint64_t *group_lsn,
                              struct urn_error *error)
{
    const uint32_t index = history_find(history, lsn);
    *group_lsn = NO_LSN;
    if (index == history->log_count)
        return URN_OK;
    const struct history_segment *segment = &history->segments[index];
    const uint64_t begin = segment->begin_lsn;
    *group_lsn = begin;
    if (begin >= lsn)
        return URN_OK;
    struct scan *scan = NULL;
    struct scan_item item;
    enum urn_code code =
        scan_begin(history, begin, history_end_lsn(segment), SCAN_CHECKSUMS, &scan, error);
    if (code != URN_OK)
        return code;
    enum scan_step step = SCAN_GROUP;
    while ((step = scan_next(scan, &item, error)) == SCAN_SEGMENT ||
           (step == SCAN_GROUP && item.lsn < lsn))
        ;
    scan_end(scan);
    if (step == SCAN_ERROR)
        return error->code;
    if (step == SCAN_GROUP) {
        *group_lsn = item.lsn;
        return URN_OK;
    }
    if (step == SCAN_INVALID || step == SCAN_UNREADABLE) {
        struct wanted wanted = {
            .history = history, .segment = segment, .lsn = lsn, .found_lsn = NO_LSN};
        const uint64_t from = item.lsn - begin + WAL_ALIGN_BYTES;
        code = history_search(history, segment, from, is_wanted, &wanted, NULL, error);
        if (code != URN_OK || wanted.found_lsn != NO_LSN) {
            *group_lsn = wanted.found_lsn;
            return code;
        }
    }
    *group_lsn = next_segment_lsn(history, lsn);
    return URN_OK;
}

enum urn_code walk_safe_start(struct history *history, uint64_t *lsn, struct urn_error *error)
{
    uint64_t durable_lsn = 0;
    const enum urn_code code = history_durable_lsn(history, &durable_lsn, error);
    if (code != URN_OK || *lsn <= durable_lsn || history->log_count == 0)
        return code;
    uint32_t index = history_find(history, durable_lsn);
    const bool inside =
        index < history->log_count && history->segments[index].begin_lsn < durable_lsn;
    if (!inside && index > 0)
        index--;
    if (index < history->log_count)
        *lsn = history->segments[index].begin_lsn;
    return URN_OK;
}

/* ---- for who waits ---------------------------------------------------------------------------- */

void walk_tell(const struct walk *walk, struct walk_progress *telling)
{
    enum { STEP_BYTES = 4 * 1024 * 1024 };
    const uint64_t lsn = walk->tail.lsn;
    if (telling->progress == NULL || lsn < telling->begin_lsn ||
        lsn < telling->told_lsn + STEP_BYTES)
        return;
    telling->told_lsn = lsn;
    const uint64_t done = lsn - telling->begin_lsn;
    const uint64_t all =
        walk->durable_lsn > telling->begin_lsn ? walk->durable_lsn - telling->begin_lsn : done;
    progress_tell(telling->progress, telling->what, done, all > done ? all : done);
}
