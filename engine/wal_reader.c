/* wal_reader.c: the walk along the log, through a window (wal_window.h). The search for evidence is in
 * wal_search.c. */
#include "engine/wal_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/wal_window.h"

#define READER_MAGIC 0x77726472u

/* How much is read at once. A walk hands what it has read to the helper as it is, and each hand-over has its
 * price. */
#define WALK_READ_BYTES (1024u * 1024)

struct wal_reader {
    uint32_t magic;
    const struct data_dir *data_dir;
    struct wal_tail tail;
    uint64_t ring_short;
    uint64_t durable_lsn;
    enum wal_read_result why;
    struct wal_window window;
};

enum urn_code wal_reader_open(const struct data_dir *data_dir, const struct wal_tail *tail,
                              struct wal_reader **reader, struct urn_error *error)
{
    struct wal_reader *made = malloc(sizeof *made);
    if (made == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read the log");
    *made = (struct wal_reader){
        .magic = READER_MAGIC,
        .data_dir = data_dir,
        .tail = *tail,
        .ring_short = wal_ring_short(data_dir->geometry.ring_uuid),
        .durable_lsn = tail->lsn,
    };
    const enum urn_code code = wal_window_begin(&made->window, data_dir, WALK_READ_BYTES, error);
    if (code != URN_OK) {
        free(made);
        return code;
    }
    *reader = made;
    return URN_OK;
}

void wal_reader_close(struct wal_reader *reader)
{
    if (reader == NULL)
        return;
    CHECK(reader->magic == READER_MAGIC);
    wal_window_close(&reader->window);
    reader->magic = 0;
    free(reader);
}

void wal_reader_defer_digests(struct wal_reader *reader, struct helper *helper)
{
    CHECK(reader->magic == READER_MAGIC);
    wal_window_defer_digests(&reader->window, helper);
}

bool wal_reader_settle(struct wal_reader *reader)
{
    CHECK(reader->magic == READER_MAGIC);
    return wal_window_settle(&reader->window);
}

/* The walk ends here, for now: what was read ahead may be different when it is asked again. */
static enum wal_step walk_invalid(struct wal_reader *reader, enum wal_read_result why)
{
    CHECK(why != WAL_READ_OK);
    reader->why = why;
    wal_window_forget(&reader->window);
    return WAL_STEP_INVALID;
}

static enum wal_step walk_unreadable(struct wal_reader *reader, struct urn_error *error)
{
    CHECK(reader->window.bad_offset != WAL_NOWHERE);
    (void)error_set(error, URN_IO, EIO,
                    "%s cannot be read at %" PRIu64 " (log position %" PRIu64 ")",
                    reader->window.name, reader->window.bad_offset, reader->tail.lsn);
    wal_window_forget(&reader->window);
    return WAL_STEP_UNREADABLE;
}

/* At a segment's start: steps over its header page. WAL_STEP_GROUP stands for success here. */
static enum wal_step walk_segment_header(struct wal_reader *reader, struct urn_error *error)
{
    struct wal_view view;
    if (wal_window_show(&reader->window, 0, WAL_SEGMENT_HEADER_BYTES, &view, error) != URN_OK)
        return WAL_STEP_ERROR;
    if (view.available_bytes < WAL_SEGMENT_HEADER_BYTES)
        return walk_unreadable(reader, error);
    struct wal_segment_header header;
    enum wal_read_result why = wal_segment_header_read(view.bytes, &header);
    if (why == WAL_READ_OK)
        why = wal_segment_header_follows(&header, &reader->data_dir->geometry, &reader->tail);
    if (why != WAL_READ_OK)
        return walk_invalid(reader, why);
    reader->tail.lsn += WAL_SEGMENT_HEADER_BYTES;
    reader->tail.epoch = header.epoch;
    return WAL_STEP_GROUP;
}

/* A sector cannot be read before the header at the position ends. */
static enum wal_step walk_header_cut(struct wal_reader *reader, const struct wal_view *view,
                                     struct urn_error *error)
{
    if (view->available_bytes < WAL_ALIGN_BYTES || get_u32(view->bytes) == WAL_GROUP_MAGIC)
        return walk_unreadable(reader, error);
    return walk_invalid(reader, bytes_are_zero(view->bytes, view->available_bytes)
                                    ? WAL_READ_ZERO
                                    : WAL_READ_LENGTH);
}

/* A group that begins at offset has been seen, of which a sector cannot be read. Whether it is ours
 * to miss is for its header to say, as far as that can be read; its checksum cannot be. */
static enum wal_step walk_group_cut(struct wal_reader *reader,
                                    const struct wal_group_header *header, struct urn_error *error)
{
    if (header->ring_short != reader->ring_short)
        return walk_invalid(reader, WAL_READ_CHECKSUM);
    const enum wal_read_result why = wal_group_follows(header, &reader->tail);
    if (why == WAL_READ_OK)
        return walk_unreadable(reader, error);
    return walk_invalid(reader, why == WAL_READ_DURABLE ? WAL_READ_CHECKSUM : why);
}

/* V1 to V7 at once, or, when digests are deferred, all but that. */
static enum wal_read_result read_group(struct wal_reader *reader, const struct wal_view *view,
                                       struct wal_tail *tail, struct wal_group_header *header)
{
    if (!reader->window.deferral.on)
        return wal_group_read_next(view->bytes, view->available_bytes, reader->ring_short, tail,
                                   header);
    enum wal_read_result why =
        wal_group_read(view->bytes, view->available_bytes, reader->ring_short, header);
    if (why == WAL_READ_OK)
        why = wal_group_follows(header, tail);
    if (why != WAL_READ_OK)
        return why;
    tail->lsn += header->length_bytes;
    tail->epoch = header->epoch;
    memcpy(tail->chain, header->chain_after, WAL_CHAIN_BYTES);
    return WAL_READ_OK;
}

static enum wal_step walk_group(struct wal_reader *reader, struct wal_group_header *header,
                                const uint8_t **group, struct urn_error *error)
{
    const uint64_t segment_size = reader->data_dir->geometry.segment_size_bytes;
    const uint64_t offset = reader->tail.lsn % segment_size;
    const uint64_t rest = segment_size - offset;
    struct wal_view view;
    if (wal_window_show(&reader->window, offset, WAL_GROUP_HEADER_BYTES, &view, error) != URN_OK)
        return WAL_STEP_ERROR;
    if (view.available_bytes < WAL_GROUP_HEADER_BYTES && view.available_bytes < rest)
        return walk_header_cut(reader, &view, error);
    enum wal_read_result why = wal_group_peek(view.bytes, view.available_bytes, rest, header);
    /* The window grows by what a header claims, so that the claim is bounded first. */
    if (why == WAL_READ_OK && header->length_bytes > GROUP_BYTES_MAX)
        why = WAL_READ_LENGTH;
    if (why != WAL_READ_OK)
        return walk_invalid(reader, why);

    if (wal_window_show(&reader->window, offset, header->length_bytes, &view, error) != URN_OK)
        return WAL_STEP_ERROR;
    if (view.available_bytes < header->length_bytes)
        return walk_group_cut(reader, header, error);
    struct wal_tail behind = reader->tail;
    why = read_group(reader, &view, &behind, header);
    if (why == WAL_READ_OK)
        why = wal_group_fits(header->length_bytes, rest);
    if (why != WAL_READ_OK)
        return walk_invalid(reader, why);
    if (reader->window.deferral.on)
        wal_window_note_walked(&reader->window, view.bytes, header->length_bytes);
    reader->tail = behind;
    if (header->durable_lsn > reader->durable_lsn)
        reader->durable_lsn = header->durable_lsn;
    *group = view.bytes;
    return WAL_STEP_GROUP;
}

enum wal_step wal_reader_next(struct wal_reader *reader, struct wal_group_header *header,
                              const uint8_t **group, struct urn_error *error)
{
    CHECK(reader->magic == READER_MAGIC);
    const struct wal_geometry *geometry = &reader->data_dir->geometry;
    const uint64_t sequence = reader->tail.lsn / geometry->segment_size_bytes;
    if (wal_window_choose_slot(&reader->window, (uint32_t)(sequence % geometry->segments), error) !=
        URN_OK)
        return WAL_STEP_ERROR;
    if (reader->tail.lsn % geometry->segment_size_bytes == 0) {
        const enum wal_step step = walk_segment_header(reader, error);
        if (step != WAL_STEP_GROUP)
            return step;
    }
    return walk_group(reader, header, group, error);
}

const struct wal_tail *wal_reader_tail(const struct wal_reader *reader)
{
    CHECK(reader->magic == READER_MAGIC);
    return &reader->tail;
}

uint64_t wal_reader_durable_lsn(const struct wal_reader *reader)
{
    CHECK(reader->magic == READER_MAGIC);
    return reader->durable_lsn;
}

enum wal_read_result wal_reader_why(const struct wal_reader *reader)
{
    CHECK(reader->magic == READER_MAGIC);
    return reader->why;
}

/* ---- bytes as they are ----------------------------------------------------------------------- */

enum urn_code wal_read_bytes(const struct data_dir *data_dir, uint64_t lsn, void *to,
                             size_t length_bytes, struct urn_error *error)
{
    const struct wal_geometry *geometry = &data_dir->geometry;
    uint8_t *at = to;
    while (length_bytes > 0) {
        const uint64_t sequence = lsn / geometry->segment_size_bytes;
        const uint64_t offset = lsn % geometry->segment_size_bytes;
        const uint64_t rest = geometry->segment_size_bytes - offset;
        const size_t piece = rest < length_bytes ? (size_t)rest : length_bytes;
        char name[DATA_DIR_NAME_MAX];
        struct os_file *file = NULL;
        enum urn_code code = wal_segment_open(data_dir, (uint32_t)(sequence % geometry->segments),
                                              name, &file, error);
        if (code != URN_OK)
            return code;
        code = file_read_exact(file, name, at, piece, offset, error);
        os_file_close(file);
        if (code != URN_OK)
            return code;
        at += piece;
        lsn += piece;
        length_bytes -= piece;
    }
    return URN_OK;
}
