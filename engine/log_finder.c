/* log_finder.c: see log_finder.h. */
#include "engine/log_finder.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/wal_ring.h"

#define SLICE_BYTES (1024u * 1024)
#define NOWHERE     UINT64_MAX

/* What this run knows of a segment that was written before its start. */
struct past_segment {
    bool done;           /* all of it is in the index, up to broken_lsn */
    uint64_t broken_lsn; /* nothing whole stands here; NOWHERE */
    struct log_index index;
};

/* The log from the oldest that the ring had at the start to the end that recovery found. */
struct past {
    uint64_t snapshot_lsn;   /* from here on recovery has walked it */
    uint64_t end_lsn;        /* its end: the epoch group follows */
    uint64_t end_id;         /* ids below were given in it, or skipped */
    uint64_t segments_end;   /* its sequences are below this one */
    uint64_t first_sequence; /* heads_done: nothing below is kept; else the last one looked at */
    bool heads_done;         /* the first group of each segment is known */
    uint64_t lost_lsn; /* what lies below first_sequence is damaged here; NOWHERE: it is not kept */
    bool asked;        /* somebody waits for more of it */
    uint64_t wanted;   /* this sequence first; NOWHERE: nobody has wanted one yet */
    uint64_t stride_bytes;
    struct past_segment *segments; /* by slot */
    struct log_index_entry *entries;
};

struct log_finder {
    struct log_finder_sources sources;
    struct wal_geometry geometry;
    struct past past;
    struct draw_reader reader;
    struct draw_source source; /* the ring's files */
    struct os_file *file;      /* of slot; NULL: none is open */
    uint32_t slot;
    char name[DATA_DIR_NAME_MAX];
};

/* ---- life -------------------------------------------------------------------------------------- */

static uint32_t entries_of_segment(const struct wal_geometry *geometry)
{
    return log_index_entries_max(geometry->segment_size_bytes, log_points_stride_bytes(geometry));
}

uint64_t log_finder_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools)
{
    const uint64_t entries = (uint64_t)geometry->segments * entries_of_segment(geometry);
    return sizeof(struct log_finder) + draw_reader_memory_bytes(max_pools) +
           geometry->segments * sizeof(struct past_segment) +
           entries * sizeof(struct log_index_entry);
}

/* The file of the segment of this LSN. Errors: URN_IO. */
static enum urn_code open_segment(void *context, uint64_t lsn, struct os_file **file,
                                  const char **name, struct urn_error *error)
{
    struct log_finder *finder = context;
    const uint32_t slot = wal_slot(&finder->geometry, lsn);
    if (finder->file == NULL || finder->slot != slot) {
        if (finder->file != NULL)
            os_file_close(finder->file);
        finder->file = NULL;
        finder->slot = slot;
        data_dir_segment_name(finder->name, slot);
        const int why =
            os_file_open(finder->sources.data_dir->dir, finder->name, OS_READ, &finder->file);
        if (why != 0) {
            finder->file = NULL;
            return error_set(error, URN_IO, why, "cannot open %s", finder->name);
        }
    }
    *file = finder->file;
    *name = finder->name;
    return URN_OK;
}

static enum urn_code make_memory(struct log_finder *finder, const struct state *state,
                                 struct urn_error *error)
{
    struct past *past = &finder->past;
    const uint32_t segments = finder->geometry.segments;
    past->segments = calloc(segments, sizeof *past->segments);
    past->entries =
        calloc((size_t)segments * entries_of_segment(&finder->geometry), sizeof *past->entries);
    if (past->segments == NULL || past->entries == NULL) {
        error_set(error, URN_NOMEMORY, 0, "no memory for lookups");
        return URN_NOMEMORY;
    }
    return draw_reader_make(&finder->reader, finder->geometry.ring_uuid, state->tail.lsn,
                            state->pool_count, error);
}

enum urn_code log_finder_make(const struct log_finder_sources *sources, const struct state *state,
                              uint64_t snapshot_lsn, struct log_finder **made,
                              struct urn_error *error)
{
    const struct wal_geometry *geometry = &sources->data_dir->geometry;
    const uint64_t size = geometry->segment_size_bytes;
    struct log_finder *finder = malloc(sizeof *finder);
    if (finder == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for lookups");
    *finder = (struct log_finder){
        .sources = *sources,
        .geometry = *geometry,
        .past =
            {
                .snapshot_lsn = snapshot_lsn,
                .end_lsn = state->tail.lsn,
                .end_id = state->next_request_id,
                .segments_end = (state->tail.lsn + size - 1) / size,
                .lost_lsn = NOWHERE,
                .wanted = NOWHERE,
                .stride_bytes = log_points_stride_bytes(geometry),
            },
    };
    finder->past.first_sequence = finder->past.segments_end;
    finder->source = (struct draw_source){finder, geometry->segment_size_bytes, open_segment};
    if (make_memory(finder, state, error) != URN_OK) {
        log_finder_free(finder);
        return error->code;
    }
    CHECK(finder->reader.item_counts != NULL);
    for (uint32_t id = 0; id < state->pool_count; id++)
        finder->reader.item_counts[id] = pool_item_count(state->pools[id]);
    *made = finder;
    return URN_OK;
}

void log_finder_free(struct log_finder *finder)
{
    if (finder == NULL)
        return;
    if (finder->file != NULL)
        os_file_close(finder->file);
    draw_reader_free(&finder->reader);
    free(finder->past.entries);
    free(finder->past.segments);
    free(finder);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* What lies below has been written over, or is about to be. */
static uint64_t oldest_lsn(const struct log_finder *finder)
{
    const uint64_t staged_lsn = atomic_load(finder->sources.staged_lsn);
    const uint64_t newest =
        staged_lsn == 0 ? 0 : wal_segment_begin(&finder->geometry, staged_lsn - 1);
    const uint64_t others = (finder->geometry.segments - 1) * finder->geometry.segment_size_bytes;
    return newest > others ? newest - others : 0;
}

static enum log_found tell_damage(const struct log_finder *finder, const struct draw_gap *gap,
                                  struct urn_error *error)
{
    if (gap->error.code != URN_OK) {
        *error = gap->error;
        return LOG_FOUND_ERROR;
    }
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, wal_slot(&finder->geometry, gap->lsn));
    error_set(error, URN_DAMAGED, 0,
              "the log at LSN %" PRIu64 " (%s, offset %" PRIu64
              ") is not what was written; `urn-wal verify` shows more",
              gap->lsn, name, gap->lsn % finder->geometry.segment_size_bytes);
    return LOG_FOUND_ERROR;
}

/* ---- before the start -------------------------------------------------------------------------- */

static struct past_segment *past_segment(const struct log_finder *finder, uint64_t sequence)
{
    return &finder->past.segments[sequence % finder->geometry.segments];
}

static uint64_t sequence_of(const struct log_finder *finder, uint64_t lsn)
{
    return lsn / finder->geometry.segment_size_bytes;
}

/* The first sequence that the ring still has of it; segments_end: none. */
static uint64_t first_kept(const struct log_finder *finder)
{
    const uint64_t oldest = sequence_of(finder, oldest_lsn(finder));
    const uint64_t first = finder->past.first_sequence;
    const uint64_t kept = oldest > first ? oldest : first;
    return kept < finder->past.segments_end ? kept : finder->past.segments_end;
}

static uint64_t past_end(const struct log_finder *finder, uint64_t sequence)
{
    const uint64_t end = (sequence + 1) * finder->geometry.segment_size_bytes;
    return end < finder->past.end_lsn ? end : finder->past.end_lsn;
}

static enum log_found ask_for_heads(struct past *past)
{
    past->asked = true;
    return LOG_FOUND_LATER;
}

static enum log_found ask_for_segment(struct past *past, uint64_t sequence)
{
    past->asked = true;
    past->wanted = sequence;
    return LOG_FOUND_LATER;
}

/* Where in the past the draw is to be looked for: LOG_FOUND_DRAW and *stretch; else as log_finder_find. */
static enum log_found find_past(struct log_finder *finder, uint64_t request_id,
                                struct draw_stretch *stretch, struct draw_gap *gap)
{
    struct past *past = &finder->past;
    if (!past->heads_done)
        return ask_for_heads(past);
    const uint64_t first = first_kept(finder);
    uint64_t sequence = past->segments_end;
    struct past_segment *segment = NULL;
    while (sequence > first && segment == NULL) {
        segment = past_segment(finder, --sequence);
        if (segment->index.count == 0 || segment->index.entries[0].first_request_id > request_id)
            segment = NULL;
    }
    gap->error.code = URN_OK;
    if (segment == NULL) {
        gap->lsn = past->lost_lsn;
        return past->lost_lsn != NOWHERE && past->lost_lsn >= oldest_lsn(finder) ? LOG_FOUND_ERROR
                                                                                 : LOG_FOUND_OLDER;
    }
    struct log_index_stretch found;
    const struct log_index *index = &segment->index;
    if (log_index_find_request(index, request_id, &found)) {
        *stretch = (struct draw_stretch){found.from_lsn, found.to_lsn};
        return LOG_FOUND_DRAW;
    }
    if (!segment->done)
        return ask_for_segment(past, sequence);
    if (segment->broken_lsn != NOWHERE) {
        gap->lsn = segment->broken_lsn;
        return LOG_FOUND_ERROR;
    }
    /* Ids went on above it, and the segment's last group says so. */
    *stretch = (struct draw_stretch){index->entries[index->count - 1].lsn, index->end_lsn};
    return LOG_FOUND_DRAW;
}

/* ---- the index of what was before the start ------------------------------------------------------- */

/* Whether what is not whole at this LSN may have been overwritten by a lap that was lost (F4). If so, nothing up
 * to its segment's end counts as kept. */
static bool give_up_segment(struct log_finder *finder, uint64_t lsn)
{
    struct past *past = &finder->past;
    const uint64_t sequence = sequence_of(finder, lsn);
    if ((sequence + 1) * finder->geometry.segment_size_bytes > past->snapshot_lsn)
        return false;
    if (past->first_sequence <= sequence)
        past->first_sequence = sequence + 1;
    return true;
}

/* Reads the group at lsn, the first of its segment that is kept, into the segment's index. */
static struct draw_look take_first(struct log_finder *finder, struct past_segment *segment,
                                   uint64_t lsn, struct urn_error *error)
{
    struct wal_group_header header;
    draw_reader_begin(&finder->reader, &finder->source);
    struct draw_look look = draw_reader_peek(&finder->reader, lsn, &header, error);
    if (look.whole)
        look = draw_reader_group(&finder->reader, &header, error);
    if (look.whole) {
        segment->index.end_lsn = lsn;
        look.whole = log_index_add(&segment->index, &finder->reader.header) == WAL_READ_OK;
    }
    return look;
}

static void begin_past_segment(struct log_finder *finder, uint64_t sequence)
{
    const uint32_t capacity = entries_of_segment(&finder->geometry);
    struct past_segment *segment = past_segment(finder, sequence);
    *segment = (struct past_segment){.broken_lsn = NOWHERE};
    log_index_begin(
        &segment->index, &finder->geometry, sequence, finder->past.stride_bytes,
        finder->past.entries + (size_t)(sequence % finder->geometry.segments) * capacity, capacity);
}

/* Takes the first group of the next older segment into its index. The header page does not matter: the group
 * says of itself where it belongs, and the page may be of the lap that comes next. Where none is whole, the log
 * that is kept begins behind it; unless that cannot be, and it is damaged. */
static enum log_work take_head(struct log_finder *finder, struct urn_error *error)
{
    struct past *past = &finder->past;
    if (past->first_sequence <= sequence_of(finder, oldest_lsn(finder))) {
        past->heads_done = true;
        return LOG_WORK_MORE;
    }
    const uint64_t sequence = past->first_sequence - 1;
    const uint64_t end_lsn = past_end(finder, sequence);
    const uint64_t first_lsn =
        sequence * finder->geometry.segment_size_bytes + WAL_SEGMENT_HEADER_BYTES;
    struct past_segment *segment = past_segment(finder, sequence);
    begin_past_segment(finder, sequence);
    struct draw_look look = {true, URN_OK};
    if (first_lsn < end_lsn)
        look = take_first(finder, segment, first_lsn, error);
    /* A log may begin with a snapshot, amid a segment of a new ring; recovery has walked it from there. */
    const bool begins_here = !look.whole && past->snapshot_lsn > first_lsn &&
                             past->snapshot_lsn < end_lsn &&
                             bytes_are_zero(finder->reader.window, WAL_GROUP_HEADER_BYTES);
    if (look.code == URN_OK && begins_here)
        look = take_first(finder, segment, past->snapshot_lsn, error);
    if (look.code != URN_OK)
        return LOG_WORK_FAILED;
    if (look.whole)
        past->first_sequence = sequence;
    else
        past->lost_lsn = give_up_segment(finder, first_lsn) ? NOWHERE : first_lsn;
    past->heads_done = !look.whole || begins_here;
    return LOG_WORK_MORE;
}

/* Indexes a slice of the segment. */
static enum log_work index_slice(struct log_finder *finder, uint64_t sequence,
                                 struct urn_error *error)
{
    struct past_segment *segment = past_segment(finder, sequence);
    struct log_index *index = &segment->index;
    const uint64_t end_lsn = past_end(finder, sequence);
    const uint64_t slice_end = index->end_lsn + SLICE_BYTES;
    draw_reader_begin(&finder->reader, &finder->source);
    while (index->end_lsn < end_lsn && index->end_lsn < slice_end) {
        struct wal_group_header header;
        const struct draw_look look =
            draw_reader_peek(&finder->reader, index->end_lsn, &header, error);
        if (look.code != URN_OK)
            return LOG_WORK_FAILED;
        if (!look.whole || log_index_add(index, &header) != WAL_READ_OK) {
            segment->broken_lsn = index->end_lsn;
            segment->done = true;
            (void)give_up_segment(finder, index->end_lsn);
            return LOG_WORK_MORE;
        }
    }
    segment->done = index->end_lsn >= end_lsn;
    return LOG_WORK_MORE;
}

/* The segment to go on with: the one that is wanted, or the newest that is not done, for who wants one will
 * want others; NOWHERE: all are, or nobody has wanted any. */
static uint64_t next_to_index(const struct log_finder *finder)
{
    const uint64_t first = first_kept(finder);
    const uint64_t wanted = finder->past.wanted;
    if (wanted == NOWHERE)
        return NOWHERE;
    if (wanted >= first && !past_segment(finder, wanted)->done)
        return wanted;
    for (uint64_t sequence = finder->past.segments_end; sequence > first; sequence--)
        if (!past_segment(finder, sequence - 1)->done)
            return sequence - 1;
    return NOWHERE;
}

enum log_work log_finder_work(struct log_finder *finder, struct urn_error *error)
{
    struct past *past = &finder->past;
    enum log_work work = LOG_WORK_NONE;
    if (!past->asked)
        return work;
    if (!past->heads_done) {
        work = take_head(finder, error);
    } else {
        const uint64_t sequence = next_to_index(finder);
        if (sequence != NOWHERE)
            work = index_slice(finder, sequence, error);
    }
    if (work != LOG_WORK_MORE)
        past->asked = false;
    return work;
}

struct draw_reader *log_finder_reader(struct log_finder *finder)
{
    return &finder->reader;
}

/* ---- finding ----------------------------------------------------------------------------------- */

/* The oldest id that is kept, and the newest that was given. */
static enum log_found tell_bounds(struct log_finder *finder, enum log_found found,
                                  const struct log_points_end *end, struct log_draw *draw)
{
    struct past *past = &finder->past;
    const uint64_t oldest = oldest_lsn(finder);
    draw->first_id = past->end_id;
    draw->last_id = end->next_request_id - 1;
    if (oldest >= past->end_lsn) {
        (void)log_points_first_id(finder->sources.points, oldest, &draw->first_id);
        return found;
    }
    if (!past->heads_done)
        return ask_for_heads(past);
    for (uint64_t sequence = first_kept(finder); sequence < past->segments_end; sequence++) {
        const struct log_index *index = &past_segment(finder, sequence)->index;
        if (index->count > 0) {
            draw->first_id = index->entries[0].first_request_id;
            break;
        }
    }
    return found;
}

static enum log_found found_of(enum draw_found found)
{
    switch (found) {
    case DRAW_FOUND:
        return LOG_FOUND_DRAW;
    case DRAW_FOUND_SKIPPED:
        return LOG_FOUND_SKIPPED;
    case DRAW_FOUND_NONE:
        break;
    }
    return LOG_FOUND_ERROR;
}

/* One attempt; LOG_FOUND_ERROR: *gap, in what lies from *from_lsn on. */
static enum log_found find_once(struct log_finder *finder, uint64_t request_id,
                                struct log_draw *draw, uint64_t *from_lsn, struct draw_gap *gap)
{
    const struct log_points_end end = log_points_end(finder->sources.points);
    struct draw_stretch stretch = {0};
    enum log_found found = LOG_FOUND_DRAW;
    if (request_id >= end.next_request_id) {
        found = LOG_FOUND_NOT_YET;
    } else if (request_id < finder->past.end_id) {
        found = find_past(finder, request_id, &stretch, gap);
    } else {
        struct log_points_stretch live;
        if (!log_points_find(finder->sources.points, oldest_lsn(finder), request_id, &end, &live))
            found = LOG_FOUND_OLDER;
        else
            stretch = (struct draw_stretch){live.from_lsn, live.to_lsn};
    }
    *from_lsn = found == LOG_FOUND_DRAW ? stretch.from_lsn : gap->lsn;
    if (found == LOG_FOUND_DRAW)
        found = found_of(
            draw_reader_look(&finder->reader, &finder->source, &stretch, request_id, draw, gap));
    if (found == LOG_FOUND_NOT_YET || found == LOG_FOUND_OLDER || found == LOG_FOUND_SKIPPED)
        return tell_bounds(finder, found, &end, draw);
    return found;
}

enum log_found log_finder_find(struct log_finder *finder, uint64_t request_id,
                               struct log_draw *draw, struct urn_error *error)
{
    CHECK(request_id > 0);
    *draw = (struct log_draw){0};
    if (finder->reader.header.lsn >= oldest_lsn(finder) &&
        draw_reader_look_again(&finder->reader, request_id, draw))
        return LOG_FOUND_DRAW;
    for (;;) {
        struct draw_gap gap = {.lsn = NOWHERE};
        uint64_t from_lsn = NOWHERE;
        const enum log_found found = find_once(finder, request_id, draw, &from_lsn, &gap);
        if (found != LOG_FOUND_ERROR)
            return found;
        /* Each time round a segment is lost, and so the id at last. */
        const bool is_overwritten = from_lsn < oldest_lsn(finder);
        const bool is_given_up = gap.error.code == URN_OK && gap.lsn < finder->past.end_lsn &&
                                 give_up_segment(finder, gap.lsn);
        if (!is_overwritten && !is_given_up) {
            draw->lsn = gap.lsn;
            return tell_damage(finder, &gap, error);
        }
    }
}
