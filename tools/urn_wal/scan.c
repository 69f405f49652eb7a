/* scan.c: see scan.h.
 *
 * Chunks stand in a ring, in the order of the log. `filled` counts those that somebody has begun to
 * read, `taken` those that the caller is done with; a chunk's number modulo the size of the ring says where
 * it stands. Everything under the lock, but for a chunk's content: that belongs to who reads it (one at a
 * time: `reading`), then to who checks it, then to the caller.
 */
#include "tools/urn_wal/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define CHUNK_BYTES (4u * 1024 * 1024 + 64u * 1024)
#define THREADS_MAX 16u
#define CHUNKS_MAX  (THREADS_MAX + 3u)

_Static_assert(CHUNK_BYTES >= GROUP_BYTES_MAX + WAL_SEGMENT_HEADER_BYTES,
               "a chunk holds the largest group");

/* A group of a chunk: its bytes, and what has been found out about it. */
struct record {
    uint32_t offset; /* in the chunk */
    uint32_t length_bytes;
    enum wal_read_result why;
    uint8_t digest[WAL_DIGEST_BYTES];
};

/* How a chunk ends, other than by the next one. */
enum chunk_end { CHUNK_GOES_ON, CHUNK_ENDS };

struct chunk {
    bool ready; /* read and checked: the caller may take it */
    const struct history_segment *segment;
    uint64_t begin_lsn; /* of bytes[0] */
    uint8_t *bytes;
    uint64_t filled_bytes;
    bool has_header_page; /* bytes begins with it */
    struct record *records;
    uint32_t record_count;
    uint32_t record_room;
    enum chunk_end end;
    enum scan_step end_step;
    struct scan_item end_item;
    struct urn_error error; /* of SCAN_ERROR */
};

struct scan {
    const struct history *history;
    enum scan_depth depth;
    uint64_t ring_short;
    uint64_t limit_lsn;
    uint64_t chunk_bytes;
    uint32_t chunk_count;
    struct chunk chunks[CHUNKS_MAX];
    uint32_t thread_count;
    pthread_t threads[THREADS_MAX];
    /* of who reads */
    uint32_t segment_index; /* of the next byte */
    uint64_t offset;        /* in its file */
    struct os_file *file;   /* open, or NULL */
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t filled;
    uint64_t taken;
    bool reading;
    bool all_read; /* the chunk read last ends the scan */
    bool stopping;
    /* of the caller */
    bool ended;
    struct chunk *current; /* what it is taking from; NULL: the next one is to be waited for */
    uint32_t next_record;
    bool header_page_given;
};

/* ---- reading a chunk ------------------------------------------------------------------------- */

static void chunk_ends(struct scan *scan, struct chunk *chunk, enum scan_step step, uint64_t lsn,
                       enum wal_read_result why)
{
    (void)scan;
    chunk->end = CHUNK_ENDS;
    chunk->end_step = step;
    chunk->end_item = (struct scan_item){.lsn = lsn, .segment = chunk->segment, .why = why};
}

static void chunk_fails(struct scan *scan, struct chunk *chunk)
{
    chunk_ends(scan, chunk, SCAN_ERROR, chunk->begin_lsn, WAL_READ_OK);
}

static bool add_record(struct chunk *chunk, uint32_t offset, uint32_t length_bytes)
{
    if (chunk->record_count == chunk->record_room) {
        const uint32_t room = chunk->record_room == 0 ? 1024 : 2 * chunk->record_room;
        struct record *larger = realloc(chunk->records, room * sizeof *larger);
        if (larger == NULL)
            return false;
        chunk->records = larger;
        chunk->record_room = room;
    }
    struct record *record = &chunk->records[chunk->record_count++];
    record->offset = offset;
    record->length_bytes = length_bytes;
    record->why = WAL_READ_OK;
    return true;
}

/* Where the bytes of a chunk end, and why. */
struct extent {
    uint64_t filled_bytes;
    uint64_t bad_offset; /* in the file; NO_OFFSET: none */
    bool to_segment_end;
    bool to_limit;
};

/* No whole group stands at `at`: is it cut by the chunk, or is nothing there? */
static void end_of_groups(struct scan *scan, struct chunk *chunk, const struct extent *extent,
                          uint64_t at, enum wal_read_result why)
{
    const uint64_t lsn = chunk->begin_lsn + at;
    if (why != WAL_READ_OK) {
        chunk_ends(scan, chunk, SCAN_INVALID, lsn, why);
    } else if (extent->bad_offset != NO_OFFSET) {
        chunk_ends(scan, chunk, SCAN_UNREADABLE, lsn, WAL_READ_OK);
        chunk->end_item.readable = chunk->bytes + at;
        chunk->end_item.readable_bytes = extent->filled_bytes - at;
        chunk->end_item.unreadable_offset = extent->bad_offset;
    } else if (extent->to_limit) {
        chunk_ends(scan, chunk, SCAN_LIMIT, lsn, WAL_READ_OK);
    } else {
        scan->offset += at; /* the next chunk begins with it */
    }
}

/* Steps over the groups from `at` on by their lengths. */
static void split(struct scan *scan, struct chunk *chunk, const struct extent *extent, uint64_t at)
{
    const uint64_t size = chunk->segment->size_bytes;
    const uint64_t begin_offset = scan->offset;
    for (;;) {
        const uint64_t available = extent->filled_bytes - at;
        const uint64_t rest = size - begin_offset - at;
        struct wal_group_header header;
        if (rest == 0) {
            scan->segment_index++;
            scan->offset = 0;
            return;
        }
        if (available == 0 && extent->to_limit) {
            chunk_ends(scan, chunk, SCAN_LIMIT, chunk->begin_lsn + at, WAL_READ_OK);
            return;
        }
        const bool cut = available < WAL_GROUP_HEADER_BYTES && available < rest;
        enum wal_read_result why =
            cut ? WAL_READ_OK : wal_group_peek(chunk->bytes + at, available, rest, &header);
        if (why == WAL_READ_OK && !cut && header.length_bytes > GROUP_BYTES_MAX)
            why = WAL_READ_LENGTH;
        if (cut || why != WAL_READ_OK || header.length_bytes > available) {
            end_of_groups(scan, chunk, extent, at, why);
            return;
        }
        if (!add_record(chunk, (uint32_t)at, header.length_bytes)) {
            (void)error_set(&chunk->error, URN_NOMEMORY, ENOMEM, "cannot read the log");
            chunk_fails(scan, chunk);
            return;
        }
        at += header.length_bytes;
    }
}

/* Opens the file of the next byte, if it is not open. */
static enum urn_code open_segment(struct scan *scan, struct chunk *chunk)
{
    if (scan->file != NULL && scan->offset != 0)
        return URN_OK;
    if (scan->file != NULL)
        os_file_close(scan->file);
    scan->file = NULL;
    const int failure =
        os_file_open(chunk->segment->dir, chunk->segment->name, OS_READ, &scan->file);
    if (failure == 0)
        return URN_OK;
    return error_set(&chunk->error, URN_IO, failure, "cannot open %s", chunk->segment->name);
}

/* The segment at segment_index, if it follows the one before it in the log; or NULL. */
static const struct history_segment *next_segment(const struct scan *scan, bool first)
{
    const uint32_t index = scan->segment_index;
    const struct history *history = scan->history;
    if (index >= history->log_count ||
        (!first &&
         history->segments[index].begin_lsn != history_end_lsn(&history->segments[index - 1])))
        return NULL;
    return &history->segments[index];
}

static void read_chunk(struct scan *scan, struct chunk *chunk)
{
    const uint64_t size = chunk->segment->size_bytes;
    const uint64_t begin_lsn = chunk->segment->begin_lsn + scan->offset;
    chunk->begin_lsn = begin_lsn;
    if (open_segment(scan, chunk) != URN_OK) {
        chunk_fails(scan, chunk);
        return;
    }
    uint64_t wanted = size - scan->offset;
    struct extent extent = {.to_segment_end = true};
    if (wanted > scan->chunk_bytes) {
        wanted = scan->chunk_bytes;
        extent.to_segment_end = false;
    }
    if (scan->limit_lsn <= begin_lsn + wanted) {
        wanted = scan->limit_lsn > begin_lsn ? scan->limit_lsn - begin_lsn : 0;
        extent.to_limit = true;
    }
    if (history_read(scan->file, chunk->segment->name, scan->offset, chunk->bytes, wanted,
                     &extent.filled_bytes, &extent.bad_offset, &chunk->error) != URN_OK) {
        chunk_fails(scan, chunk);
        return;
    }
    if (extent.filled_bytes < wanted && extent.bad_offset == NO_OFFSET) {
        /* the file is shorter than a segment: nothing valid stands behind its end */
        memset(chunk->bytes + extent.filled_bytes, 0, wanted - extent.filled_bytes);
        extent.filled_bytes = wanted;
    }
    chunk->filled_bytes = extent.filled_bytes;
    uint64_t at = 0;
    if (scan->offset == 0) {
        if (extent.filled_bytes < WAL_SEGMENT_HEADER_BYTES) {
            end_of_groups(scan, chunk, &extent, 0, WAL_READ_OK);
            return;
        }
        chunk->has_header_page = true;
        at = WAL_SEGMENT_HEADER_BYTES;
    }
    split(scan, chunk, &extent, at);
}

/* ---- checking a chunk ------------------------------------------------------------------------ */

static void check_chunk(const struct scan *scan, struct chunk *chunk)
{
    if (scan->depth == SCAN_LENGTHS || chunk->segment == NULL)
        return;
    const uint64_t end_lsn = history_end_lsn(chunk->segment);
    for (uint32_t i = 0; i < chunk->record_count; i++) {
        struct record *record = &chunk->records[i];
        const uint8_t *bytes = chunk->bytes + record->offset;
        struct wal_group_header header;
        record->why = wal_group_read(bytes, record->length_bytes, scan->ring_short, &header);
        if (record->why == WAL_READ_OK)
            record->why =
                wal_group_fits(record->length_bytes, end_lsn - chunk->begin_lsn - record->offset);
        if (record->why != WAL_READ_OK)
            return; /* the scan ends there */
        if (scan->depth == SCAN_DIGESTS)
            wal_group_digest(bytes, record->length_bytes, record->digest);
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

static bool can_read(const struct scan *scan)
{
    return !scan->reading && !scan->all_read && !scan->stopping &&
           scan->filled - scan->taken < scan->chunk_count;
}

/* Reads and checks one chunk. Under the lock, which is given up meanwhile; can_read() holds. */
static void work(struct scan *scan)
{
    struct chunk *chunk = &scan->chunks[scan->filled % scan->chunk_count];
    chunk->ready = false;
    chunk->end = CHUNK_GOES_ON;
    chunk->has_header_page = false;
    chunk->record_count = 0;
    const bool first = scan->filled == 0;
    scan->filled++;
    scan->reading = true;
    (void)pthread_mutex_unlock(&scan->lock);
    chunk->segment = next_segment(scan, first || scan->offset != 0);
    if (chunk->segment != NULL)
        read_chunk(scan, chunk);
    else
        chunk_ends(scan, chunk, SCAN_LAST, 0, WAL_READ_OK);

    (void)pthread_mutex_lock(&scan->lock);
    scan->reading = false;
    scan->all_read = chunk->end == CHUNK_ENDS;
    (void)pthread_cond_broadcast(&scan->changed);
    (void)pthread_mutex_unlock(&scan->lock);
    check_chunk(scan, chunk);
    (void)pthread_mutex_lock(&scan->lock);
    chunk->ready = true;
    (void)pthread_cond_broadcast(&scan->changed);
}

static void *help(void *context)
{
    struct scan *scan = context;
    (void)pthread_mutex_lock(&scan->lock);
    while (!scan->stopping) {
        if (can_read(scan))
            work(scan);
        else
            (void)pthread_cond_wait(&scan->changed, &scan->lock);
    }
    (void)pthread_mutex_unlock(&scan->lock);
    return NULL;
}

/* Waits, usefully, for the chunk that comes next. */
static void take_chunk(struct scan *scan)
{
    struct chunk *chunk = &scan->chunks[scan->taken % scan->chunk_count];
    (void)pthread_mutex_lock(&scan->lock);
    while (scan->filled == scan->taken || !chunk->ready) {
        if (can_read(scan))
            work(scan);
        else
            (void)pthread_cond_wait(&scan->changed, &scan->lock);
    }
    (void)pthread_mutex_unlock(&scan->lock);
    scan->current = chunk;
    scan->next_record = 0;
    scan->header_page_given = false;
}

static void release_chunk(struct scan *scan)
{
    (void)pthread_mutex_lock(&scan->lock);
    scan->taken++;
    (void)pthread_cond_broadcast(&scan->changed);
    (void)pthread_mutex_unlock(&scan->lock);
    scan->current = NULL;
}

/* ---- beginning and ending -------------------------------------------------------------------- */

static enum urn_code make_chunks(struct scan *scan, struct urn_error *error)
{
    for (uint32_t i = 0; i < scan->chunk_count; i++) {
        scan->chunks[i].bytes = malloc(scan->chunk_bytes);
        if (scan->chunks[i].bytes == NULL)
            return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read the log");
    }
    return URN_OK;
}

/* As much as the largest segment, or less. */
static uint64_t chunk_bytes(const struct history *history)
{
    uint64_t bytes = OS_PAGE_BYTES;
    for (uint32_t i = 0; i < history->log_count && bytes < CHUNK_BYTES; i++)
        if (history->segments[i].size_bytes > bytes)
            bytes = history->segments[i].size_bytes;
    return bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
}

enum urn_code scan_begin(const struct history *history, uint64_t lsn, uint64_t limit_lsn,
                         enum scan_depth depth, struct scan **scan, struct urn_error *error)
{
    const struct history_segment *segment = history_at(history, lsn);
    struct scan *made = calloc(1, sizeof *made);
    if (made == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read the log");
    made->history = history;
    made->depth = depth;
    made->ring_short = wal_ring_short(history->geometry.ring_uuid);
    made->limit_lsn = limit_lsn;
    made->chunk_bytes = chunk_bytes(history);
    made->segment_index = history->log_count; /* nothing is kept of that stretch */
    if (segment != NULL) {
        made->segment_index = (uint32_t)(segment - history->segments);
        made->offset = lsn - segment->begin_lsn;
    }
    const uint32_t threads =
        history->tool->threads < THREADS_MAX ? history->tool->threads : THREADS_MAX;
    made->chunk_count = threads + 3;
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_cond_init(&made->changed, NULL);
    const enum urn_code code = make_chunks(made, error);
    if (code != URN_OK) {
        scan_end(made);
        return code;
    }
    /* Without a thread that could not be made, the caller does its work. */
    while (made->thread_count < threads &&
           pthread_create(&made->threads[made->thread_count], NULL, help, made) == 0)
        made->thread_count++;
    *scan = made;
    return URN_OK;
}

void scan_end(struct scan *scan)
{
    if (scan == NULL)
        return;
    (void)pthread_mutex_lock(&scan->lock);
    scan->stopping = true;
    (void)pthread_cond_broadcast(&scan->changed);
    (void)pthread_mutex_unlock(&scan->lock);
    for (uint32_t i = 0; i < scan->thread_count; i++)
        (void)pthread_join(scan->threads[i], NULL);
    for (uint32_t i = 0; i < scan->chunk_count; i++) {
        free(scan->chunks[i].bytes);
        free(scan->chunks[i].records);
    }
    if (scan->file != NULL)
        os_file_close(scan->file);
    (void)pthread_cond_destroy(&scan->changed);
    (void)pthread_mutex_destroy(&scan->lock);
    free(scan);
}

/* ---- taking ---------------------------------------------------------------------------------- */

static enum scan_step give_record(struct scan *scan, const struct chunk *chunk,
                                  struct scan_item *item)
{
    const struct record *record = &chunk->records[scan->next_record++];
    *item = (struct scan_item){
        .lsn = chunk->begin_lsn + record->offset, .segment = chunk->segment, .why = record->why};
    if (record->why != WAL_READ_OK) {
        scan->ended = true;
        return SCAN_INVALID;
    }
    item->bytes = chunk->bytes + record->offset;
    item->digest = scan->depth == SCAN_DIGESTS ? record->digest : NULL;
    (void)wal_group_peek(item->bytes, record->length_bytes, record->length_bytes, &item->header);
    return SCAN_GROUP;
}

enum scan_step scan_next(struct scan *scan, struct scan_item *item, struct urn_error *error)
{
    CHECK(!scan->ended);
    for (;;) {
        if (scan->current == NULL)
            take_chunk(scan);
        const struct chunk *chunk = scan->current;
        if (chunk->has_header_page && !scan->header_page_given) {
            scan->header_page_given = true;
            *item = (struct scan_item){
                .lsn = chunk->begin_lsn, .segment = chunk->segment, .header_page = chunk->bytes};
            return SCAN_SEGMENT;
        }
        if (scan->next_record < chunk->record_count)
            return give_record(scan, chunk, item);
        if (chunk->end == CHUNK_ENDS) {
            scan->ended = true;
            *item = chunk->end_item;
            if (chunk->end_step == SCAN_ERROR)
                *error = chunk->error;
            return chunk->end_step;
        }
        release_chunk(scan);
    }
}
