/* draw_reader.c: see draw_reader.h. */
#include "engine/draw_reader.h"

#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/limits.h"

#define WINDOW_BYTES (64u * 1024) /* what is read at a time of headers that follow each other */

/* ---- life -------------------------------------------------------------------------------------- */

uint64_t draw_reader_memory_bytes(uint32_t max_pools)
{
    return WINDOW_BYTES + GROUP_BYTES_MAX + (uint64_t)max_pools * sizeof(uint32_t);
}

enum urn_code draw_reader_make(struct draw_reader *reader, const uint8_t ring_uuid[WAL_UUID_BYTES],
                               uint64_t start_lsn, uint32_t pool_count, struct urn_error *error)
{
    *reader = (struct draw_reader){
        .ring_short = wal_ring_short(ring_uuid),
        .start_lsn = start_lsn,
        .pool_count = pool_count,
        .item_counts = calloc((size_t)pool_count + 1, sizeof *reader->item_counts),
        .window = malloc(WINDOW_BYTES),
        .group = malloc(GROUP_BYTES_MAX),
    };
    if (reader->item_counts == NULL || reader->window == NULL || reader->group == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for lookups");
    return URN_OK;
}

void draw_reader_free(struct draw_reader *reader)
{
    free(reader->item_counts);
    free(reader->window);
    free(reader->group);
    *reader = (struct draw_reader){.window = NULL};
}

/* ---- reading ----------------------------------------------------------------------------------- */

void draw_reader_begin(struct draw_reader *reader, const struct draw_source *source)
{
    reader->source = source;
    reader->window_bytes = 0;
}

static uint64_t segment_end(const struct draw_reader *reader, uint64_t lsn)
{
    return (lsn / reader->source->segment_size_bytes + 1) * reader->source->segment_size_bytes;
}

/* Bytes of the log, of one segment. opened: an error is one of reading. */
static enum urn_code read_log(struct draw_reader *reader, uint64_t lsn, void *to,
                              uint64_t length_bytes, bool *opened, struct urn_error *error)
{
    struct os_file *file = NULL;
    const char *name = NULL;
    const enum urn_code code =
        reader->source->open(reader->source->context, lsn, &file, &name, error);
    *opened = code == URN_OK;
    if (code != URN_OK)
        return code;
    return file_read_exact(file, name, to, (size_t)length_bytes,
                           lsn % reader->source->segment_size_bytes, error);
}

struct draw_look draw_reader_peek(struct draw_reader *reader, uint64_t lsn,
                                  struct wal_group_header *header, struct urn_error *error)
{
    const uint64_t room = segment_end(reader, lsn) - lsn;
    if (room < WAL_GROUP_HEADER_BYTES)
        return (struct draw_look){false, URN_OK};
    if (lsn < reader->window_lsn ||
        lsn + WAL_GROUP_HEADER_BYTES > reader->window_lsn + reader->window_bytes) {
        bool opened = false;
        uint64_t bytes = room < WINDOW_BYTES ? room : WINDOW_BYTES;
        reader->window_bytes = 0;
        reader->window_lsn = lsn;
        enum urn_code code = read_log(reader, lsn, reader->window, bytes, &opened, error);
        if (code == URN_IO && opened) {
            /* A bad sector ahead may be none of our business. */
            bytes = WAL_GROUP_HEADER_BYTES;
            code = read_log(reader, lsn, reader->window, bytes, &opened, error);
        }
        if (code != URN_OK)
            return (struct draw_look){false, code};
        reader->window_bytes = bytes;
    }
    const uint8_t *at = reader->window + (lsn - reader->window_lsn);
    const bool fits = wal_group_peek(at, WAL_GROUP_HEADER_BYTES, room, header) == WAL_READ_OK &&
                      header->lsn == lsn && header->ring_short == reader->ring_short;
    return (struct draw_look){fits, URN_OK};
}

struct draw_look draw_reader_group(struct draw_reader *reader,
                                   const struct wal_group_header *peeked, struct urn_error *error)
{
    bool opened = false;
    reader->header.length_bytes = 0;
    if (peeked->length_bytes > GROUP_BYTES_MAX)
        return (struct draw_look){false, URN_OK};
    const enum urn_code code =
        read_log(reader, peeked->lsn, reader->group, peeked->length_bytes, &opened, error);
    if (code != URN_OK)
        return (struct draw_look){false, code};
    struct wal_group_header header;
    const bool whole = wal_group_read(reader->group, peeked->length_bytes, reader->ring_short,
                                      &header) == WAL_READ_OK &&
                       header.lsn == peeked->lsn && header.length_bytes == peeked->length_bytes;
    if (whole)
        reader->header = header;
    return (struct draw_look){whole, URN_OK};
}

/* ---- the draw in its group --------------------------------------------------------------------- */

static bool has_draw(const struct wal_group_header *header, uint64_t request_id)
{
    return request_id >= header->first_request_id &&
           request_id - header->first_request_id < header->draws;
}

static bool is_possible(const struct draw_reader *reader, const struct log_draw *draw)
{
    if (draw->lsn >= reader->start_lsn)
        return true;
    return draw->pool_id < reader->pool_count &&
           (draw->outcome == URN_FAILED_DRAW || draw->outcome < reader->item_counts[draw->pool_id]);
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
static bool take_draw(const struct draw_reader *reader, uint64_t request_id, struct log_draw *draw)
{
    const struct wal_group_header *header = &reader->header;
    uint64_t skip = request_id - header->first_request_id;
    uint32_t offset = 0;
    struct wal_entry entry;
    while (wal_entry_next(reader->group, header, &offset, &entry) == WAL_READ_OK) {
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
        return is_possible(reader, draw);
    }
    return false;
}

/* The epoch group that was read last lets ids go on above this one. */
static bool take_skipped(const struct draw_reader *reader, uint64_t request_id,
                         struct log_draw *draw)
{
    const struct wal_group_header *header = &reader->header;
    const uint64_t next_id = wal_group_end_id(header, reader->group);
    if (header->kind != WAL_EPOCH || request_id < header->first_request_id || request_id >= next_id)
        return false;
    *draw = (struct log_draw){
        .lsn = header->lsn,
        .skipped_first = header->first_request_id,
        .skipped_last = next_id - 1,
    };
    return true;
}

/* ---- the way to the group ---------------------------------------------------------------------- */

static void lose(struct draw_gap *gap, uint64_t lsn, struct draw_look look,
                 const struct urn_error *error)
{
    gap->lsn = lsn;
    gap->error.code = URN_OK;
    if (look.code != URN_OK)
        gap->error = *error;
}

/* Walks along the headers to the last group of the stretch whose first id is not above this one. False: *gap.
 */
static bool walk_to(struct draw_reader *reader, const struct draw_stretch *stretch,
                    uint64_t request_id, struct wal_group_header *last, struct draw_gap *gap)
{
    const uint64_t size = reader->source->segment_size_bytes;
    uint64_t lsn = stretch->from_lsn;
    bool has_last = false;
    struct urn_error error;
    while (lsn < stretch->to_lsn && lsn % size != 0) {
        struct wal_group_header header;
        const struct draw_look look = draw_reader_peek(reader, lsn, &header, &error);
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
        lose(gap, stretch->from_lsn, (struct draw_look){false, URN_OK}, &error);
    return has_last;
}

enum draw_found draw_reader_look(struct draw_reader *reader, const struct draw_source *source,
                                 const struct draw_stretch *stretch, uint64_t request_id,
                                 struct log_draw *draw, struct draw_gap *gap)
{
    struct wal_group_header last;
    struct urn_error error;
    draw_reader_begin(reader, source);
    if (!walk_to(reader, stretch, request_id, &last, gap))
        return DRAW_FOUND_NONE;
    const struct draw_look look = draw_reader_group(reader, &last, &error);
    if (look.whole && has_draw(&reader->header, request_id) && take_draw(reader, request_id, draw))
        return DRAW_FOUND;
    if (look.whole && take_skipped(reader, request_id, draw))
        return DRAW_FOUND_SKIPPED;
    reader->header.length_bytes = 0;
    lose(gap, last.lsn, look, &error);
    return DRAW_FOUND_NONE;
}

bool draw_reader_look_again(const struct draw_reader *reader, uint64_t request_id,
                            struct log_draw *draw)
{
    return reader->header.length_bytes > 0 && has_draw(&reader->header, request_id) &&
           take_draw(reader, request_id, draw);
}
