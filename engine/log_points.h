/* log_points.h: where in the running log ids lie: noted by the commit side as groups are acknowledged, read by
 * whoever looks for a draw.
 *
 * One group in every stretch of log leaves a point: its LSN and its first request id; so does the first
 * group of every segment. The points of the newest log are kept in a ring, which has room for as much log
 * as the ring of segments, and then overwrites its oldest. Besides, the end of what has been acknowledged is
 * told: up to which LSN, and which id comes next.
 *
 *     points      *         *      *       *         *      | overwritten next
 *     log     ----+---------+------+-------+---------+------+--> end_lsn, next_request_id
 *
 * One thread at a time notes: two or three stores a group, and no wait. Any thread reads: it looks at the
 * count again behind its look, and looks again where points were overwritten meanwhile.
 */
#ifndef URN_ENGINE_LOG_POINTS_H
#define URN_ENGINE_LOG_POINTS_H

#include <stdatomic.h>

#include "engine/wal_format.h"

#define LOG_POINTS_STRIDE_BYTES_MIN (64u * 1024)
#define LOG_POINTS_MAX              (128u * 1024) /* a larger ring has longer strides */

struct log_point {
    _Atomic uint64_t lsn;
    _Atomic uint64_t first_request_id;
};

struct log_points {
    uint64_t stride_bytes;
    uint32_t capacity;
    struct log_point *points; /* number n at n % capacity */

    uint64_t last_lsn; /* of the newest point; who notes */

    _Atomic uint64_t begun; /* points begun to be written since the start, and those written */
    _Atomic uint64_t count;
    _Atomic uint64_t end_lsn;         /* everything below has been acknowledged */
    _Atomic uint64_t next_request_id; /* every id below was given, or never will be */
};

/* Of a ring of so many bytes: log between two points, and what log_points_make takes in memory. */
uint64_t log_points_stride_bytes(const struct wal_geometry *geometry);
uint64_t log_points_memory_bytes(const struct wal_geometry *geometry);

/* No point yet; the log ends at end_lsn. Errors: URN_NOMEMORY. */
enum urn_code log_points_make(struct log_points *points, const struct wal_geometry *geometry,
                              uint64_t end_lsn, uint64_t next_request_id, struct urn_error *error);
void log_points_free(struct log_points *points);

/* ---- who notes --------------------------------------------------------------------------------- */

/* A group stands at lsn and everything below end_lsn, behind it, is about to be acknowledged. Before anybody
 * hears of it. */
void log_points_note(struct log_points *points, uint64_t lsn, uint64_t end_lsn,
                     uint64_t first_request_id, uint64_t next_request_id, bool begins_segment);

/* Ids go on here: behind an epoch group. */
void log_points_go_on(struct log_points *points, uint64_t next_request_id);

/* ---- who reads --------------------------------------------------------------------------------- */

/* What is acknowledged now. Whoever was answered before this call finds its draws below both. */
struct log_points_end {
    uint64_t lsn;
    uint64_t next_request_id;
};
struct log_points_end log_points_end(const struct log_points *points);

struct log_points_stretch {
    uint64_t from_lsn; /* of a group */
    uint64_t to_lsn;   /* of another one, or `end` */
    uint64_t first_request_id;
};

/* The stretch, of what lies from oldest_lsn on, that has the last group whose first id is not above this
 * one; false: no point there has so low an id. end: from log_points_end before. */
bool log_points_find(const struct log_points *points, uint64_t oldest_lsn, uint64_t request_id,
                     const struct log_points_end *end, struct log_points_stretch *stretch);

/* The first id of the oldest point at or behind oldest_lsn; false: there is none. */
bool log_points_first_id(const struct log_points *points, uint64_t oldest_lsn,
                         uint64_t *request_id);

#endif
