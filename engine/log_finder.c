/* log_finder.c: see log_finder.h. */
#include "engine/log_finder.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/wal_ring.h"

#define WINDOW_BYTES (64u * 1024) /* what is read at a time of headers that follow each other */
#define SLICE_BYTES  (1024u * 1024)
#define NOWHERE      UINT64_MAX

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
    uint32_t pool_count; /* pools there were, and how many items each had */
    uint32_t *item_counts;
};

struct log_finder {
    struct log_finder_sources sources;
    struct wal_geometry geometry;
    uint64_t ring_short;
    struct past past;

    struct os_file *file; /* of slot; NULL: none is open */
    uint32_t slot;
    char name[DATA_DIR_NAME_MAX];
    uint8_t *window; /* WINDOW_BYTES: the log from window_lsn on, as it was when it was read */
    uint64_t window_lsn;
    uint64_t window_bytes;
    uint8_t *group;                 /* GROUP_BYTES_MAX: the last group that was found whole */
    struct wal_group_header header; /* its header; length_bytes 0: none */
};

/* ---- life -------------------------------------------------------------------------------------- */

static uint32_t entries_of_segment(const struct wal_geometry *geometry)
{
    return log_index_entries_max(geometry->segment_size_bytes, log_points_stride_bytes(geometry));
}

uint64_t log_finder_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools)
{
    const uint64_t entries = (uint64_t)geometry->segments * entries_of_segment(geometry);
    return sizeof(struct log_finder) + WINDOW_BYTES + GROUP_BYTES_MAX +
           geometry->segments * sizeof(struct past_segment) +
           entries * sizeof(struct log_index_entry) + (uint64_t)max_pools * sizeof(uint32_t);
}

static bool make_memory(struct log_finder *finder)
{
    struct past *past = &finder->past;
    const uint32_t segments = finder->geometry.segments;
    finder->window = malloc(WINDOW_BYTES);
    finder->group = malloc(GROUP_BYTES_MAX);
    past->segments = calloc(segments, sizeof *past->segments);
    past->entries =
        calloc((size_t)segments * entries_of_segment(&finder->geometry), sizeof *past->entries);
    past->item_counts = calloc(past->pool_count + 1, sizeof *past->item_counts);
    return finder->window != NULL && finder->group != NULL && past->segments != NULL &&
           past->entries != NULL && past->item_counts != NULL;
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
        .ring_short = wal_ring_short(geometry->ring_uuid),
        .past =
            {
                .snapshot_lsn = snapshot_lsn,
                .end_lsn = state->tail.lsn,
                .end_id = state->next_request_id,
                .segments_end = (state->tail.lsn + size - 1) / size,
                .lost_lsn = NOWHERE,
                .wanted = NOWHERE,
                .stride_bytes = log_points_stride_bytes(geometry),
                .pool_count = state->pool_count,
            },
    };
    finder->past.first_sequence = finder->past.segments_end;
    if (!make_memory(finder)) {
        log_finder_free(finder);
        return error_set(error, URN_NOMEMORY, 0, "no memory for lookups");
    }
    for (uint32_t id = 0; id < state->pool_count; id++)
        finder->past.item_counts[id] = pool_item_count(state->pools[id]);
    *made = finder;
    return URN_OK;
}

void log_finder_free(struct log_finder *finder)
{
    if (finder == NULL)
        return;
    if (finder->file != NULL)
        os_file_close(finder->file);
    free(finder->past.item_counts);
    free(finder->past.entries);
    free(finder->past.segments);
    free(finder->group);
    free(finder->window);
    free(finder);
}

/* ---- reading ----------------------------------------------------------------------------------- */

static uint64_t segment_end(const struct log_finder *finder, uint64_t lsn)
{
    return wal_segment_begin(&finder->geometry, lsn) + finder->geometry.segment_size_bytes;
}

/* What lies below has been written over, or is about to be. */
static uint64_t oldest_lsn(const struct log_finder *finder)
{
    const uint64_t staged_lsn = atomic_load(finder->sources.staged_lsn);
    const uint64_t newest =
        staged_lsn == 0 ? 0 : wal_segment_begin(&finder->geometry, staged_lsn - 1);
    const uint64_t others = (finder->geometry.segments - 1) * finder->geometry.segment_size_bytes;
    return newest > others ? newest - others : 0;
}

/* Bytes of the log, of one segment. Errors: URN_IO, URN_DAMAGED. */
static enum urn_code read_log(struct log_finder *finder, uint64_t lsn, void *to,
                              uint64_t length_bytes, struct urn_error *error)
{
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
    return file_read_exact(finder->file, finder->name, to, (size_t)length_bytes,
                           lsn % finder->geometry.segment_size_bytes, error);
}

/* Something that has come out of a look: URN_OK and `whole`, or URN_OK and nothing in its place, or an error
 * of the system. */
struct look {
    bool whole;
    enum urn_code code;
};

/* What the header of a group says that stands at lsn; nothing of it is vouched for but its place. */
static struct look peek(struct log_finder *finder, uint64_t lsn, struct wal_group_header *header,
                        struct urn_error *error)
{
    const uint64_t room = segment_end(finder, lsn) - lsn;
    if (room < WAL_GROUP_HEADER_BYTES)
        return (struct look){false, URN_OK};
    if (lsn < finder->window_lsn ||
        lsn + WAL_GROUP_HEADER_BYTES > finder->window_lsn + finder->window_bytes) {
        const uint64_t ahead = room < WINDOW_BYTES ? room : WINDOW_BYTES;
        finder->window_bytes = 0;
        finder->window_lsn = lsn;
        uint64_t bytes = ahead;
        enum urn_code code = read_log(finder, lsn, finder->window, bytes, error);
        if (code == URN_IO && finder->file != NULL) {
            /* A bad sector ahead may be none of our business. */
            bytes = WAL_GROUP_HEADER_BYTES;
            code = read_log(finder, lsn, finder->window, bytes, error);
        }
        if (code != URN_OK)
            return (struct look){false, code};
        finder->window_bytes = bytes;
    }
    const uint8_t *at = finder->window + (lsn - finder->window_lsn);
    const bool fits = wal_group_peek(at, WAL_GROUP_HEADER_BYTES, room, header) == WAL_READ_OK &&
                      header->lsn == lsn && header->ring_short == finder->ring_short;
    return (struct look){fits, URN_OK};
}

/* From here on the files are read anew: what the window has may have been written over. */
static void forget_window(struct log_finder *finder)
{
    finder->window_bytes = 0;
}

/* Reads a group whole, and believes it (F1). */
static struct look read_group(struct log_finder *finder, const struct wal_group_header *peeked,
                              struct urn_error *error)
{
    finder->header.length_bytes = 0;
    if (peeked->length_bytes > GROUP_BYTES_MAX)
        return (struct look){false, URN_OK};
    const enum urn_code code =
        read_log(finder, peeked->lsn, finder->group, peeked->length_bytes, error);
    if (code != URN_OK)
        return (struct look){false, code};
    struct wal_group_header header;
    const bool whole = wal_group_read(finder->group, peeked->length_bytes, finder->ring_short,
                                      &header) == WAL_READ_OK &&
                       header.lsn == peeked->lsn && header.length_bytes == peeked->length_bytes;
    if (whole)
        finder->header = header;
    return (struct look){whole, URN_OK};
}

/* ---- the draw in its group --------------------------------------------------------------------- */

static bool has_draw(const struct wal_group_header *header, uint64_t request_id)
{
    return request_id >= header->first_request_id &&
           request_id - header->first_request_id < header->draws;
}

/* What a group from before the start says of pools and items was not written by this run: it may be any. */
static bool is_possible(const struct past *past, const struct log_draw *draw)
{
    if (draw->lsn >= past->end_lsn)
        return true;
    return draw->pool_id < past->pool_count &&
           (draw->outcome == URN_FAILED_DRAW || draw->outcome < past->item_counts[draw->pool_id]);
}

/* The draw with so many before it in an entry that has more. */
static uint32_t outcome_at(const struct wal_entry *entry, uint64_t skip)
{
    struct wal_outcome_cursor cursor;
    const uint8_t *drawn = NULL;
    uint32_t run = 0;
    uint32_t outcome = URN_FAILED_DRAW;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next_run(&cursor, &drawn, &run) && skip >= run)
        skip -= run;
    if (drawn != NULL)
        wal_outcomes_unpack(drawn + skip * entry->width, entry->width, &outcome, 1);
    return outcome;
}

/* Steps through the group that was read last. False: it has no such draw, whatever its header says. */
static bool take_draw(const struct log_finder *finder, uint64_t request_id, struct log_draw *draw)
{
    const struct wal_group_header *header = &finder->header;
    uint64_t skip = request_id - header->first_request_id;
    uint32_t offset = 0;
    struct wal_entry entry;
    while (wal_entry_next(finder->group, header, &offset, &entry) == WAL_READ_OK) {
        if (entry.type != WAL_ENTRY_DRAWS)
            continue;
        if (skip >= entry.draws) {
            skip -= entry.draws;
            continue;
        }
        *draw = (struct log_draw){
            .pool_id = entry.pool_id,
            .outcome = outcome_at(&entry, skip),
            .odds_version = entry.odds_version,
            .wall_time_us = header->wall_time_us,
            .lsn = header->lsn,
        };
        return is_possible(&finder->past, draw);
    }
    return false;
}

/* The epoch group that was read last lets ids go on above this one. */
static bool take_skipped(const struct log_finder *finder, uint64_t request_id,
                         struct log_draw *draw)
{
    const struct wal_group_header *header = &finder->header;
    uint32_t offset = 0;
    struct wal_entry entry;
    if (wal_entry_next(finder->group, header, &offset, &entry) != WAL_READ_OK ||
        entry.type != WAL_ENTRY_EPOCH || request_id < header->first_request_id ||
        request_id >= entry.next_request_id)
        return false;
    *draw = (struct log_draw){
        .lsn = header->lsn,
        .skipped_first = header->first_request_id,
        .skipped_last = entry.next_request_id - 1,
    };
    return true;
}

/* ---- the way to the group ---------------------------------------------------------------------- */

struct stretch {
    uint64_t from_lsn;
    uint64_t to_lsn;
};

/* Where a look has come to an end without an answer: nothing whole stands there. */
struct gap {
    uint64_t lsn;
    struct urn_error error; /* URN_OK, or what the system says */
};

static void lose(struct gap *gap, uint64_t lsn, struct look look, const struct urn_error *error)
{
    gap->lsn = lsn;
    gap->error.code = URN_OK;
    if (look.code != URN_OK)
        gap->error = *error;
}

/* Walks along the headers to the last group of the stretch whose first id is not above this one. False: *gap.
 */
static bool walk_to(struct log_finder *finder, const struct stretch *stretch, uint64_t request_id,
                    struct wal_group_header *last, struct gap *gap)
{
    const uint64_t size = finder->geometry.segment_size_bytes;
    uint64_t lsn = stretch->from_lsn;
    bool has_last = false;
    struct urn_error error;
    forget_window(finder);
    while (lsn < stretch->to_lsn && lsn % size != 0) {
        struct wal_group_header header;
        const struct look look = peek(finder, lsn, &header, &error);
        if (!look.whole) {
            lose(gap, lsn, look, &error);
            return false;
        }
        if (header.first_request_id > request_id)
            break;
        *last = header;
        has_last = true;
        if (has_draw(&header, request_id))
            break;
        lsn += header.length_bytes;
    }
    if (!has_last)
        lose(gap, stretch->from_lsn, (struct look){false, URN_OK}, &error);
    return has_last;
}

/* The answer that the stretch holds; LOG_FOUND_ERROR: it has none, *gap. */
static enum log_found look_in(struct log_finder *finder, const struct stretch *stretch,
                              uint64_t request_id, struct log_draw *draw, struct gap *gap)
{
    struct wal_group_header last;
    struct urn_error error;
    if (!walk_to(finder, stretch, request_id, &last, gap))
        return LOG_FOUND_ERROR;
    const struct look look = read_group(finder, &last, &error);
    if (look.whole && has_draw(&finder->header, request_id) && take_draw(finder, request_id, draw))
        return LOG_FOUND_DRAW;
    if (look.whole && take_skipped(finder, request_id, draw))
        return LOG_FOUND_SKIPPED;
    finder->header.length_bytes = 0;
    lose(gap, last.lsn, look, &error);
    return LOG_FOUND_ERROR;
}

static enum log_found tell_damage(const struct log_finder *finder, const struct gap *gap,
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
                                struct stretch *stretch, struct gap *gap)
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
        *stretch = (struct stretch){found.from_lsn, found.to_lsn};
        return LOG_FOUND_DRAW;
    }
    if (!segment->done)
        return ask_for_segment(past, sequence);
    if (segment->broken_lsn != NOWHERE) {
        gap->lsn = segment->broken_lsn;
        return LOG_FOUND_ERROR;
    }
    /* Ids went on above it, and the segment's last group says so. */
    *stretch = (struct stretch){index->entries[index->count - 1].lsn, index->end_lsn};
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
static struct look take_first(struct log_finder *finder, struct past_segment *segment, uint64_t lsn,
                              struct urn_error *error)
{
    struct wal_group_header header;
    forget_window(finder);
    struct look look = peek(finder, lsn, &header, error);
    if (look.whole)
        look = read_group(finder, &header, error);
    if (look.whole) {
        segment->index.end_lsn = lsn;
        look.whole = log_index_add(&segment->index, &finder->header) == WAL_READ_OK;
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
    struct look look = {true, URN_OK};
    if (first_lsn < end_lsn)
        look = take_first(finder, segment, first_lsn, error);
    /* A log may begin with a snapshot, amid a segment of a new ring; recovery has walked it from there. */
    const bool begins_here = !look.whole && past->snapshot_lsn > first_lsn &&
                             past->snapshot_lsn < end_lsn &&
                             bytes_are_zero(finder->window, WAL_GROUP_HEADER_BYTES);
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
    forget_window(finder);
    while (index->end_lsn < end_lsn && index->end_lsn < slice_end) {
        struct wal_group_header header;
        const struct look look = peek(finder, index->end_lsn, &header, error);
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

/* One attempt; LOG_FOUND_ERROR: *gap, in what lies from *from_lsn on. */
static enum log_found find_once(struct log_finder *finder, uint64_t request_id,
                                struct log_draw *draw, uint64_t *from_lsn, struct gap *gap)
{
    const struct log_points_end end = log_points_end(finder->sources.points);
    struct stretch stretch = {0};
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
            stretch = (struct stretch){live.from_lsn, live.to_lsn};
    }
    *from_lsn = found == LOG_FOUND_DRAW ? stretch.from_lsn : gap->lsn;
    if (found == LOG_FOUND_DRAW)
        found = look_in(finder, &stretch, request_id, draw, gap);
    if (found == LOG_FOUND_NOT_YET || found == LOG_FOUND_OLDER || found == LOG_FOUND_SKIPPED)
        return tell_bounds(finder, found, &end, draw);
    return found;
}

enum log_found log_finder_find(struct log_finder *finder, uint64_t request_id,
                               struct log_draw *draw, struct urn_error *error)
{
    CHECK(request_id > 0);
    *draw = (struct log_draw){0};
    if (finder->header.length_bytes > 0 && has_draw(&finder->header, request_id) &&
        finder->header.lsn >= oldest_lsn(finder) && take_draw(finder, request_id, draw))
        return LOG_FOUND_DRAW;
    for (;;) {
        struct gap gap = {.lsn = NOWHERE};
        uint64_t from_lsn = NOWHERE;
        const enum log_found found = find_once(finder, request_id, draw, &from_lsn, &gap);
        if (found != LOG_FOUND_ERROR)
            return found;
        /* Each time round a segment is lost, and so the id at last. */
        const bool is_overwritten = from_lsn < oldest_lsn(finder);
        const bool is_given_up = gap.error.code == URN_OK && gap.lsn < finder->past.end_lsn &&
                                 give_up_segment(finder, gap.lsn);
        if (!is_overwritten && !is_given_up)
            return tell_damage(finder, &gap, error);
    }
}
