/* log_points.c: see log_points.h.
 *
 * A reader that sees a point's new values, which are stored with release behind `begun`, sees `begun` raised
 * too, if it looks at that later. So what was read is right where the point cannot have been begun anew by
 * then.
 */
#include "engine/log_points.h"

#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"

/* Points that a reader leaves alone because they are overwritten next: it is seldom disturbed then. */
#define MARGIN_POINTS 64u

static uint64_t ring_bytes(const struct wal_geometry *geometry)
{
    return geometry->segment_size_bytes * geometry->segments;
}

uint64_t log_points_stride_bytes(const struct wal_geometry *geometry)
{
    const uint64_t least = (ring_bytes(geometry) + LOG_POINTS_MAX - 1) / LOG_POINTS_MAX;
    return least > LOG_POINTS_STRIDE_BYTES_MIN ? least : LOG_POINTS_STRIDE_BYTES_MIN;
}

/* As many as all of the ring's log can have. */
static uint32_t capacity_of(const struct wal_geometry *geometry)
{
    const uint64_t strides = ring_bytes(geometry) / log_points_stride_bytes(geometry);
    return (uint32_t)strides + geometry->segments + 1 + MARGIN_POINTS;
}

uint64_t log_points_memory_bytes(const struct wal_geometry *geometry)
{
    return (uint64_t)capacity_of(geometry) * sizeof(struct log_point);
}

enum urn_code log_points_make(struct log_points *points, const struct wal_geometry *geometry,
                              uint64_t end_lsn, uint64_t next_request_id, struct urn_error *error)
{
    *points = (struct log_points){
        .stride_bytes = log_points_stride_bytes(geometry),
        .capacity = capacity_of(geometry),
    };
    points->points = calloc(points->capacity, sizeof *points->points);
    if (points->points == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for the log's %" PRIu32 " points",
                         points->capacity);
    atomic_store(&points->end_lsn, end_lsn);
    atomic_store(&points->next_request_id, next_request_id);
    return URN_OK;
}

void log_points_free(struct log_points *points)
{
    free(points->points);
    points->points = NULL;
}

/* ---- who notes --------------------------------------------------------------------------------- */

static void add_point(struct log_points *points, uint64_t lsn, uint64_t first_request_id)
{
    const uint64_t number = atomic_load_explicit(&points->count, memory_order_relaxed);
    struct log_point *point = &points->points[number % points->capacity];
    atomic_store_explicit(&points->begun, number + 1, memory_order_relaxed);
    atomic_store_explicit(&point->lsn, lsn, memory_order_release);
    atomic_store_explicit(&point->first_request_id, first_request_id, memory_order_release);
    atomic_store_explicit(&points->count, number + 1, memory_order_release);
    points->last_lsn = lsn;
}

void log_points_note(struct log_points *points, uint64_t lsn, uint64_t end_lsn,
                     uint64_t first_request_id, uint64_t next_request_id, bool begins_segment)
{
    CHECK(lsn >= points->last_lsn && end_lsn > lsn);
    if (begins_segment || lsn - points->last_lsn >= points->stride_bytes ||
        atomic_load_explicit(&points->count, memory_order_relaxed) == 0)
        add_point(points, lsn, first_request_id);
    atomic_store_explicit(&points->end_lsn, end_lsn, memory_order_relaxed);
    atomic_store_explicit(&points->next_request_id, next_request_id, memory_order_release);
}

void log_points_go_on(struct log_points *points, uint64_t next_request_id)
{
    CHECK(next_request_id >= atomic_load(&points->next_request_id));
    atomic_store(&points->next_request_id, next_request_id);
}

/* ---- who reads --------------------------------------------------------------------------------- */

struct log_points_end log_points_end(const struct log_points *points)
{
    struct log_points_end end;
    end.next_request_id = atomic_load_explicit(&points->next_request_id, memory_order_acquire);
    end.lsn = atomic_load_explicit(&points->end_lsn, memory_order_relaxed);
    return end;
}

enum key { BY_LSN, BY_REQUEST_ID };

static uint64_t key_at(const struct log_points *points, uint64_t number, enum key key)
{
    const struct log_point *point = &points->points[number % points->capacity];
    return atomic_load_explicit(key == BY_LSN ? &point->lsn : &point->first_request_id,
                                memory_order_acquire);
}

/* Numbers of points: those there are, and those of them that are not about to be overwritten. */
struct range {
    uint64_t first, end;
};

static struct range take_range(const struct log_points *points)
{
    const uint64_t count = atomic_load_explicit(&points->count, memory_order_acquire);
    const uint64_t kept = points->capacity - MARGIN_POINTS;
    return (struct range){count > kept ? count - kept : 0, count};
}

/* Nothing of the range has been overwritten since it was taken. */
static bool range_holds(const struct log_points *points, const struct range *range)
{
    return atomic_load_explicit(&points->begun, memory_order_acquire) <=
           range->first + points->capacity;
}

/* The first number of the range whose key is above this value, or its end. */
static uint64_t first_above(const struct log_points *points, const struct range *range,
                            enum key key, uint64_t value)
{
    uint64_t low = range->first;
    uint64_t high = range->end;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (key_at(points, middle, key) <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void leave_out_older(const struct log_points *points, struct range *range,
                            uint64_t oldest_lsn)
{
    if (oldest_lsn > 0)
        range->first = first_above(points, range, BY_LSN, oldest_lsn - 1);
}

bool log_points_find(const struct log_points *points, uint64_t oldest_lsn, uint64_t request_id,
                     const struct log_points_end *end, struct log_points_stretch *stretch)
{
    for (;;) {
        const struct range all = take_range(points);
        struct range range = all;
        leave_out_older(points, &range, oldest_lsn);
        const uint64_t above = first_above(points, &range, BY_REQUEST_ID, request_id);
        const bool found = above > range.first;
        if (found)
            *stretch = (struct log_points_stretch){
                .from_lsn = key_at(points, above - 1, BY_LSN),
                .to_lsn = above < range.end ? key_at(points, above, BY_LSN) : end->lsn,
                .first_request_id = key_at(points, above - 1, BY_REQUEST_ID),
            };
        if (!range_holds(points, &all))
            continue;
        if (found && stretch->to_lsn > end->lsn) /* noted since */
            stretch->to_lsn = end->lsn;
        return found;
    }
}

bool log_points_first_id(const struct log_points *points, uint64_t oldest_lsn, uint64_t *request_id)
{
    for (;;) {
        const struct range all = take_range(points);
        struct range range = all;
        leave_out_older(points, &range, oldest_lsn);
        const bool found = range.first < range.end;
        if (found)
            *request_id = key_at(points, range.first, BY_REQUEST_ID);
        if (range_holds(points, &all))
            return found;
    }
}
