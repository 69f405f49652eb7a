/* wal_reader.c: the walk along the log, and the search for evidence.
 *
 * Both look at the ring through a window: a buffer that slides over one slot's file and reads ahead
 * of what is asked for. The window alone deals with the world's faults:
 *   - a read that does less than asked goes on where it stopped;
 *   - after EIO the window reads sector by sector, and only as far as somebody needs the bytes, so
 *     that a bad sector is known exactly and hurts only who needs it;
 *   - a file that ends early is an error, not an end of the log.
 * The window grows only for a group whose length is possible, inside its segment and at all, so its
 * memory is bounded by the largest group there may be.
 *
 * Digests that are checked behind the walk: the groups that it has passed lie in the window's buffer, one
 * behind the other (a stretch). When the window slides, the helper gets the stretch, buffer and all, and
 * the window goes on in another buffer: in the one whose stretch the helper has done before. So reading,
 * checksums and the caller's work go on beside the digests of what was read just before:
 *
 *     this thread   read A | walk A | read B | walk B | B's first digests | read A' | walk A' ...
 *     helper                        | digests of A                        | the rest of B's ...
 */
#include "engine/wal_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"

#define READER_MAGIC 0x77726472u
#define SEARCH_MAGIC 0x77737263u
#define NOWHERE      UINT64_MAX

/* How much is read at once. A walk hands what it has read to the helper as it is, and each hand-over has its
 * price; a search looks once at what it has read, and wants to find it in the processor's cache. */
#define WALK_READ_BYTES   (1024u * 1024)
#define SEARCH_READ_BYTES (256u * 1024)

/* Slots are searched by pieces, so that the last of them is divided among two threads as well. */
#define PIECE_BYTES (8ull * 1024 * 1024)

/* ---- the window ------------------------------------------------------------------------------ */

struct buffer {
    uint8_t *bytes;
    uint64_t capacity_bytes;
};

/* Groups that were walked and whose digests are still to be checked. */
struct stretch {
    const uint8_t *bytes;
    uint64_t length_bytes; /* 0: none */
    bool holds;            /* what the check came to */
};

struct deferral {
    bool on;
    struct helper *helper;
    struct stretch walked; /* in the window's buffer */
    struct stretch given;  /* the helper's until it is waited for */
    struct buffer other;   /* where that one lies */
    bool all_hold;
};

struct window {
    const struct data_dir *data_dir;
    uint64_t read_bytes;  /* how much is read at once where the disk is sound */
    struct os_file *file; /* NULL before the first slot */
    uint32_t slot;
    char name[DATA_DIR_NAME_MAX];
    struct buffer buffer;
    struct deferral deferral;
    uint64_t begin;        /* offset in the file of the first byte in the buffer; whole sectors */
    uint64_t filled_bytes; /* how many are there */
    uint64_t bad_offset;   /* what cannot be read, right behind those; or NOWHERE */
};

/* Bytes of the file at an offset, as far as they are there. */
struct view {
    const uint8_t *bytes;
    uint64_t available_bytes;
};

static void window_close(struct window *window)
{
    if (window->deferral.given.length_bytes > 0)
        helper_wait(window->deferral.helper);
    if (window->file != NULL)
        os_file_close(window->file);
    free(window->buffer.bytes);
    free(window->deferral.other.bytes);
    *window = (struct window){0};
}

static enum urn_code window_begin(struct window *window, const struct data_dir *data_dir,
                                  uint64_t read_bytes, struct urn_error *error)
{
    *window = (struct window){
        .data_dir = data_dir,
        .read_bytes = read_bytes,
        .buffer = {malloc(read_bytes), read_bytes},
        .bad_offset = NOWHERE,
    };
    if (window->buffer.bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read the log");
    return URN_OK;
}

static enum urn_code segment_open(const struct data_dir *data_dir, uint32_t slot,
                                  char name[DATA_DIR_NAME_MAX], struct os_file **file,
                                  struct urn_error *error)
{
    CHECK(slot < data_dir->geometry.segments);
    data_dir_segment_name(name, slot);
    const int failure = os_file_open(data_dir->dir, name, OS_READ, file);
    if (failure == ENOENT)
        return error_set(error, URN_DAMAGED, 0, "%s is missing from the data directory", name);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", name);
    return URN_OK;
}

/* Forgets what was read, so that it is read again. */
static void window_forget(struct window *window)
{
    window->filled_bytes = 0;
    window->bad_offset = NOWHERE;
}

static enum urn_code window_choose_slot(struct window *window, uint32_t slot,
                                        struct urn_error *error)
{
    if (window->file != NULL && window->slot == slot)
        return URN_OK;
    if (window->file != NULL)
        os_file_close(window->file);
    window->file = NULL;
    window->slot = slot;
    window_forget(window);
    return segment_open(window->data_dir, slot, window->name, &window->file, error);
}

static uint64_t window_end(const struct window *window)
{
    return window->begin + window->filled_bytes;
}

/* Whether the first group of a stretch has the digest that its chain says; the stretch then begins behind
 * it. */
static bool next_digest_holds(struct stretch *stretch)
{
    struct wal_group_header header;
    uint8_t digest[WAL_DIGEST_BYTES];
    CHECK(wal_group_peek(stretch->bytes, stretch->length_bytes, stretch->length_bytes, &header) ==
          WAL_READ_OK);
    struct wal_tail before = {.lsn = header.lsn, .epoch = header.epoch};
    memcpy(before.chain, header.chain_before, WAL_CHAIN_BYTES);
    wal_group_digest(stretch->bytes, header.length_bytes, digest);
    stretch->bytes += header.length_bytes;
    stretch->length_bytes -= header.length_bytes;
    return wal_group_join(&header, digest, &before) == WAL_READ_OK;
}

static void check_stretch(void *context)
{
    struct stretch *given = context;
    struct stretch rest = *given; /* the giver looks at it meanwhile */
    bool holds = true;
    while (holds && rest.length_bytes > 0)
        holds = next_digest_holds(&rest);
    given->holds = holds;
}

/* Waits for the stretch that was given, if there is one. */
static void take_back_stretch(struct deferral *deferral)
{
    if (deferral->given.length_bytes == 0)
        return;
    helper_wait(deferral->helper);
    deferral->all_hold = deferral->all_hold && deferral->given.holds;
    deferral->given = (struct stretch){0};
}

/* The helper gets the stretch that was walked, and its buffer. Digests take longer than all the rest of a
 * walk: as long as the helper is busy, with the stretch before or with a search, this thread does those of this one, group by
 * group, and when nothing is left the window keeps the buffer. */
static void give_stretch(struct window *window)
{
    struct deferral *deferral = &window->deferral;
    while (deferral->walked.length_bytes > 0 && helper_is_busy(deferral->helper))
        deferral->all_hold &= next_digest_holds(&deferral->walked);
    if (deferral->walked.length_bytes == 0)
        return;
    take_back_stretch(deferral);
    const struct buffer walked = window->buffer;
    window->buffer = deferral->other;
    deferral->other = walked;
    deferral->given = deferral->walked;
    deferral->walked = (struct stretch){0};
    helper_begin(deferral->helper, check_stretch, &deferral->given);
}

/* Moves the buffer's begin to the sector of offset, keeping what is known from there on, and makes
 * room up to `end`. */
static enum urn_code window_slide(struct window *window, uint64_t offset, uint64_t end,
                                  struct urn_error *error)
{
    const uint64_t begin = offset - offset % OS_SECTOR_BYTES;
    const uint64_t room = round_up_u64(end - begin, OS_SECTOR_BYTES);
    const bool keeps = begin >= window->begin && begin <= window_end(window);
    const uint64_t dropped = keeps ? begin - window->begin : 0;
    const uint8_t *kept = window->buffer.bytes + dropped;
    if (!keeps)
        window_forget(window);
    window->begin = begin;
    window->filled_bytes -= dropped;
    if (window->deferral.walked.length_bytes > 0)
        give_stretch(window);
    if (room <= window->buffer.capacity_bytes) {
        memmove(window->buffer.bytes, kept, window->filled_bytes);
        return URN_OK;
    }
    const uint64_t capacity = room < window->read_bytes ? window->read_bytes : room;
    uint8_t *larger = malloc(capacity);
    if (larger == NULL) {
        window_forget(window);
        return error_set(error, URN_NOMEMORY, ENOMEM,
                         "%s at %" PRIu64 ": no %" PRIu64 " bytes to read a group", window->name,
                         offset, room);
    }
    if (window->filled_bytes > 0)
        memcpy(larger, kept, window->filled_bytes);
    free(window->buffer.bytes);
    window->buffer.bytes = larger;
    window->buffer.capacity_bytes = capacity;
    return URN_OK;
}

/* Reads to `end` and, where the disk is sound, ahead of it to `limit`. */
static enum urn_code window_fill(struct window *window, uint64_t end, uint64_t limit,
                                 struct urn_error *error)
{
    bool by_sector = false;
    while (window_end(window) < (by_sector ? end : limit)) {
        const uint64_t at = window_end(window);
        const uint64_t piece_end = by_sector ? at - at % OS_SECTOR_BYTES + OS_SECTOR_BYTES : limit;
        size_t done = 0;
        const int failure = os_file_read(window->file, window->buffer.bytes + window->filled_bytes,
                                         piece_end - at, at, &done);
        if (failure == EINTR)
            continue;
        if (failure == EIO && by_sector) {
            window->bad_offset = at;
            return URN_OK;
        }
        if (failure == EIO) {
            by_sector = true;
            continue;
        }
        if (failure != 0)
            return error_set(error, URN_IO, failure, "cannot read %s at %" PRIu64, window->name,
                             at);
        if (done == 0)
            return error_set(error, URN_DAMAGED, 0,
                             "%s ends at %" PRIu64 " instead of %" PRIu64
                             ": the file has been cut short",
                             window->name, at, window->data_dir->geometry.segment_size_bytes);
        CHECK(done <= piece_end - at);
        window->filled_bytes += done;
    }
    return URN_OK;
}

/* Shows the file from offset on: `bytes` bytes at least, but for the segment's end and for what
 * cannot be read (window->bad_offset then says from where on). Valid until the next call. */
static enum urn_code window_show(struct window *window, uint64_t offset, uint64_t bytes,
                                 struct view *view, struct urn_error *error)
{
    const uint64_t size = window->data_dir->geometry.segment_size_bytes;
    CHECK(offset <= size && window->file != NULL);
    const uint64_t end = bytes < size - offset ? offset + bytes : size;
    const bool held = offset >= window->begin && offset <= window_end(window) &&
                      (end <= window_end(window) || window->bad_offset != NOWHERE);
    if (!held) {
        enum urn_code code = window_slide(window, offset, end, error);
        if (code != URN_OK)
            return code;
        const uint64_t room_end = window->begin + window->buffer.capacity_bytes;
        code = window_fill(window, end, room_end < size ? room_end : size, error);
        if (code != URN_OK) {
            window_forget(window);
            return code;
        }
    }
    view->bytes = window->buffer.bytes + (offset - window->begin);
    view->available_bytes = window_end(window) > offset ? window_end(window) - offset : 0;
    return URN_OK;
}

/* ---- the walk -------------------------------------------------------------------------------- */

struct wal_reader {
    uint32_t magic;
    const struct data_dir *data_dir;
    struct wal_tail tail;
    uint64_t ring_short;
    uint64_t durable_lsn;
    enum wal_read_result why;
    struct window window;
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
    const enum urn_code code = window_begin(&made->window, data_dir, WALK_READ_BYTES, error);
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
    window_close(&reader->window);
    reader->magic = 0;
    free(reader);
}

void wal_reader_defer_digests(struct wal_reader *reader, struct helper *helper)
{
    CHECK(reader->magic == READER_MAGIC);
    struct deferral *deferral = &reader->window.deferral;
    CHECK(!deferral->on && reader->window.file == NULL);
    *deferral = (struct deferral){.on = true, .helper = helper, .all_hold = true};
}

bool wal_reader_settle(struct wal_reader *reader)
{
    CHECK(reader->magic == READER_MAGIC);
    struct deferral *deferral = &reader->window.deferral;
    CHECK(deferral->on);
    if (deferral->walked.length_bytes > 0)
        check_stretch(&deferral->walked);
    else
        deferral->walked.holds = true;
    take_back_stretch(deferral);
    deferral->all_hold = deferral->all_hold && deferral->walked.holds;
    deferral->walked = (struct stretch){0};
    return deferral->all_hold;
}

/* The walk ends here, for now: what was read ahead may be different when it is asked again. */
static enum wal_step walk_invalid(struct wal_reader *reader, enum wal_read_result why)
{
    CHECK(why != WAL_READ_OK);
    reader->why = why;
    window_forget(&reader->window);
    return WAL_STEP_INVALID;
}

static enum wal_step walk_unreadable(struct wal_reader *reader, struct urn_error *error)
{
    CHECK(reader->window.bad_offset != NOWHERE);
    (void)error_set(error, URN_IO, EIO,
                    "%s cannot be read at %" PRIu64 " (log position %" PRIu64 ")",
                    reader->window.name, reader->window.bad_offset, reader->tail.lsn);
    window_forget(&reader->window);
    return WAL_STEP_UNREADABLE;
}

/* At a segment's start: steps over its header page. WAL_STEP_GROUP stands for success here. */
static enum wal_step walk_segment_header(struct wal_reader *reader, struct urn_error *error)
{
    struct view view;
    if (window_show(&reader->window, 0, WAL_SEGMENT_HEADER_BYTES, &view, error) != URN_OK)
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
static enum wal_step walk_header_cut(struct wal_reader *reader, const struct view *view,
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
static enum wal_read_result read_group(struct wal_reader *reader, const struct view *view,
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

static void note_walked(struct deferral *deferral, const uint8_t *group, uint32_t length_bytes)
{
    struct stretch *walked = &deferral->walked;
    if (walked->length_bytes == 0)
        walked->bytes = group;
    CHECK(walked->bytes + walked->length_bytes == group);
    walked->length_bytes += length_bytes;
}

static enum wal_step walk_group(struct wal_reader *reader, struct wal_group_header *header,
                                const uint8_t **group, struct urn_error *error)
{
    const uint64_t segment_size = reader->data_dir->geometry.segment_size_bytes;
    const uint64_t offset = reader->tail.lsn % segment_size;
    const uint64_t rest = segment_size - offset;
    struct view view;
    if (window_show(&reader->window, offset, WAL_GROUP_HEADER_BYTES, &view, error) != URN_OK)
        return WAL_STEP_ERROR;
    if (view.available_bytes < WAL_GROUP_HEADER_BYTES && view.available_bytes < rest)
        return walk_header_cut(reader, &view, error);
    enum wal_read_result why = wal_group_peek(view.bytes, view.available_bytes, rest, header);
    /* The window grows by what a header claims, so that the claim is bounded first. */
    if (why == WAL_READ_OK && header->length_bytes > GROUP_BYTES_MAX)
        why = WAL_READ_LENGTH;
    if (why != WAL_READ_OK)
        return walk_invalid(reader, why);

    if (window_show(&reader->window, offset, header->length_bytes, &view, error) != URN_OK)
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
        note_walked(&reader->window.deferral, view.bytes, header->length_bytes);
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
    if (window_choose_slot(&reader->window, (uint32_t)(sequence % geometry->segments), error) !=
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

/* ---- evidence -------------------------------------------------------------------------------- */

/* One of the two that search a ring. */
struct searcher {
    struct wal_search *search;
    struct window window;
    uint32_t unreadable_slot; /* where evidence.unreadable_offset is */
    struct wal_evidence evidence;
    struct urn_error error;
};

struct wal_search {
    uint32_t magic;
    const struct data_dir *data_dir;
    struct helper *helper;
    uint64_t known_lsn; /* what lies between is passed over */
    uint64_t x;         /* as long as it is not known, the least that it is expected to be */
    bool x_is_known;
    bool ahead; /* it has begun before x is known, and may be under way */
    uint64_t ring_short;
    uint64_t pieces_a_slot, pieces;
    bool *open;                      /* by piece: it is to be searched when x is known */
    atomic_uint_fast64_t next_piece; /* of those that nobody has taken yet */
    struct searcher mine, others;
};

/* Of several witnesses of the same the lowest, whoever has come across which first. */
static void note_durable(struct wal_evidence *evidence, uint64_t durable_lsn, uint64_t witness_lsn)
{
    if (durable_lsn < evidence->durable_lsn_max ||
        (durable_lsn == evidence->durable_lsn_max && witness_lsn >= evidence->durable_witness_lsn))
        return;
    evidence->durable_lsn_max = durable_lsn;
    evidence->durable_witness_lsn = witness_lsn;
}

/* False: whether it lies beyond x is not known yet. */
static bool search_note_group(struct searcher *searcher, const struct wal_group_header *header)
{
    struct wal_evidence *evidence = &searcher->evidence;
    note_durable(evidence, header->durable_lsn, header->lsn);
    if (header->epoch > evidence->epoch_max)
        evidence->epoch_max = header->epoch;
    if (header->lsn < searcher->search->x)
        return true;
    if (!searcher->search->x_is_known)
        return false;
    evidence->groups_beyond++;
    if (header->epoch > evidence->groups_beyond_epoch_max)
        evidence->groups_beyond_epoch_max = header->epoch;
    return true;
}

/* Of several the first in the ring, whoever has come across which first. */
static void note_unreadable(struct searcher *searcher, uint32_t slot, uint64_t offset)
{
    struct wal_evidence *evidence = &searcher->evidence;
    if (evidence->unreadable &&
        (slot > searcher->unreadable_slot ||
         (slot == searcher->unreadable_slot && offset >= evidence->unreadable_offset)))
        return;
    evidence->unreadable = true;
    searcher->unreadable_slot = slot;
    data_dir_segment_name(evidence->unreadable_file, slot);
    evidence->unreadable_offset = offset;
}

static void search_note_unreadable(struct searcher *searcher)
{
    CHECK(searcher->window.bad_offset != NOWHERE);
    note_unreadable(searcher, searcher->window.slot, searcher->window.bad_offset);
}

/* Its own LSN names this slot and this offset. */
static bool place_fits(const struct searcher *searcher, uint64_t lsn, uint64_t offset)
{
    const struct wal_geometry *geometry = &searcher->window.data_dir->geometry;
    return lsn % geometry->segment_size_bytes == offset &&
           lsn / geometry->segment_size_bytes % geometry->segments == searcher->window.slot;
}

/* The magic stands at offset: is a whole group there? What is cheap to check comes first, so that
 * only what may count costs a checksum. *left_open is set where it cannot be told yet what a group says. */
static enum urn_code search_try(struct searcher *searcher, uint64_t offset, bool *left_open,
                                struct urn_error *error)
{
    const uint64_t rest = searcher->window.data_dir->geometry.segment_size_bytes - offset;
    struct wal_group_header header;
    struct view view;
    enum urn_code code =
        window_show(&searcher->window, offset, WAL_GROUP_HEADER_BYTES, &view, error);
    if (code != URN_OK)
        return code;
    if (wal_group_peek(view.bytes, view.available_bytes, rest, &header) != WAL_READ_OK ||
        header.length_bytes > GROUP_BYTES_MAX ||
        header.ring_short != searcher->search->ring_short ||
        !place_fits(searcher, header.lsn, offset))
        return URN_OK;
    code = window_show(&searcher->window, offset, header.length_bytes, &view, error);
    if (code != URN_OK)
        return code;
    if (view.available_bytes >= header.length_bytes &&
        wal_group_read(view.bytes, view.available_bytes, searcher->search->ring_short, &header) ==
            WAL_READ_OK)
        *left_open = !search_note_group(searcher, &header);
    return URN_OK;
}

/* Whether the magic may stand at one of the 8-byte positions of so many bytes. The vectors
 * are those that every processor has. */
enum { LOOKED_AT_TOGETHER = 128 };
typedef uint32_t words __attribute__((vector_size(16)));

static inline words words_at(const uint8_t *bytes)
{
    words some;
    memcpy(&some, bytes, sizeof some);
    return some;
}

static inline bool may_have_magic(const uint8_t bytes[LOOKED_AT_TOGETHER], words magic)
{
    words first = {0}, second = {0};
#pragma GCC unroll 8 /* so that both stay in registers */
    for (uint32_t at = 0; at < LOOKED_AT_TOGETHER; at += 32) {
        first |= (words)(words_at(bytes + at) == magic);
        second |= (words)(words_at(bytes + at + 16) == magic);
    }
    const words any = first | second;
    uint64_t halves[2];
    memcpy(halves, &any, sizeof halves);
    return (halves[0] | halves[1]) != 0;
}

/* The first 8-byte position at which the magic stands, or length_bytes (a multiple of 8). Nearly always
 * there is none for long. */
static uint64_t find_magic(const uint8_t *bytes, uint64_t length_bytes)
{
    uint8_t as_written[4];
    put_u32(as_written, WAL_GROUP_MAGIC);
    uint32_t as_loaded;
    memcpy(&as_loaded, as_written, sizeof as_loaded);
    const words magic = {as_loaded, as_loaded, as_loaded, as_loaded};
    for (uint64_t at = 0; at < length_bytes;) {
        const uint64_t left = length_bytes - at;
        const uint64_t end = at + (left < LOOKED_AT_TOGETHER ? left : LOOKED_AT_TOGETHER);
        if (left >= LOOKED_AT_TOGETHER && !may_have_magic(bytes + at, magic))
            at = end;
        for (; at < end; at += WAL_ALIGN_BYTES)
            if (get_u32(bytes + at) == WAL_GROUP_MAGIC)
                return at;
    }
    return length_bytes;
}

/* The part of a slot's file that is passed over: [begin, end), empty or not. Of two laps that both reach
 * into it only the newer one. */
struct passed_over {
    uint64_t begin, end;
};

static struct passed_over passed_over_in(const struct wal_search *search, uint64_t slot)
{
    const struct wal_geometry *geometry = &search->data_dir->geometry;
    const uint64_t size = geometry->segment_size_bytes;
    const uint64_t newest = search->x / size;
    const uint64_t back = (newest + geometry->segments - slot) % geometry->segments;
    if (back > newest || search->known_lsn >= search->x)
        return (struct passed_over){0};
    const uint64_t lsn = (newest - back) * size;
    const uint64_t begin = search->known_lsn > lsn ? search->known_lsn - lsn : 0;
    const uint64_t end = search->x - lsn < size ? search->x - lsn : size;
    return begin < end ? (struct passed_over){begin, end} : (struct passed_over){0};
}

/* Tries every 8-byte position of a slot's file in [offset, end), until something is left open. */
static enum urn_code search_range(struct searcher *searcher, uint64_t offset, uint64_t end,
                                  bool *left_open, struct urn_error *error)
{
    while (offset < end && !*left_open) {
        struct view view;
        enum urn_code code =
            window_show(&searcher->window, offset, WAL_GROUP_HEADER_BYTES, &view, error);
        if (code != URN_OK)
            return code;
        uint64_t whole = view.available_bytes - view.available_bytes % WAL_ALIGN_BYTES;
        if (whole > end - offset)
            whole = end - offset;
        if (whole == 0) {
            search_note_unreadable(searcher);
            offset = round_up_u64(searcher->window.bad_offset + 1, OS_SECTOR_BYTES);
            continue;
        }
        const uint64_t at = find_magic(view.bytes, whole);
        offset += at;
        if (at < whole) {
            code = search_try(searcher, offset, left_open, error);
            if (code != URN_OK)
                return code;
            offset += WAL_ALIGN_BYTES;
        }
    }
    return URN_OK;
}

static enum urn_code search_piece(struct searcher *searcher, uint64_t piece, bool *left_open,
                                  struct urn_error *error)
{
    const struct wal_search *search = searcher->search;
    const uint64_t size = search->data_dir->geometry.segment_size_bytes;
    const uint64_t slot = piece / search->pieces_a_slot;
    const uint64_t begin = piece % search->pieces_a_slot * PIECE_BYTES;
    const uint64_t end = size - begin < PIECE_BYTES ? size : begin + PIECE_BYTES;
    const struct passed_over known = passed_over_in(search, slot);
    const uint64_t first_end = known.begin < known.end && known.begin < end ? known.begin : end;
    const uint64_t second_begin = known.end > begin ? known.end : begin;
    enum urn_code code = window_choose_slot(&searcher->window, (uint32_t)slot, error);
    if (code == URN_OK)
        code = search_range(searcher, begin, first_end, left_open, error);
    if (code == URN_OK && first_end < end)
        code = search_range(searcher, second_begin, end, left_open, error);
    return code;
}

/* The beginnings of what belongs at x stand at the window's view of it. */
static bool begins_at(const struct searcher *searcher, const struct view *view)
{
    const uint64_t segment_size = searcher->search->data_dir->geometry.segment_size_bytes;
    if (searcher->search->x % segment_size == 0)
        return wal_segment_header_begins(view->bytes, view->available_bytes,
                                         searcher->search->x / segment_size);
    return wal_group_begins(view->bytes, view->available_bytes, searcher->search->x);
}

/* Whether what stands at x was begun there. Sectors that cannot be read have been noted by then. */
static enum urn_code search_at_x(struct searcher *searcher, struct urn_error *error)
{
    const struct wal_geometry *geometry = &searcher->search->data_dir->geometry;
    const uint64_t size = geometry->segment_size_bytes;
    const uint64_t slot = searcher->search->x / size % geometry->segments;
    struct view view;
    enum urn_code code = window_choose_slot(&searcher->window, (uint32_t)slot, error);
    if (code == URN_OK)
        code = window_show(&searcher->window, searcher->search->x % size, WAL_GROUP_HEADER_BYTES,
                           &view, error);
    if (code == URN_OK)
        searcher->evidence.torn_at_x = begins_at(searcher, &view);
    return code;
}

/* What stands between x and its segment's end, of whatever age; behind search_at_x. */
static enum urn_code search_behind_x(struct searcher *searcher, struct urn_error *error)
{
    const uint64_t size = searcher->search->data_dir->geometry.segment_size_bytes;
    uint64_t offset = searcher->search->x % size;
    struct view view;
    while (offset < size && !searcher->evidence.nonzero_beyond) {
        enum urn_code code = window_show(&searcher->window, offset, 1, &view, error);
        if (code != URN_OK)
            return code;
        searcher->evidence.nonzero_beyond = !bytes_are_zero(view.bytes, view.available_bytes);
        offset += view.available_bytes;
        if (view.available_bytes == 0)
            offset = round_up_u64(searcher->window.bad_offset + 1, OS_SECTOR_BYTES);
    }
    return URN_OK;
}

/* Takes piece after piece of what is open, in order; the error, if any, is kept. */
static void search_pieces(void *context)
{
    struct searcher *searcher = context;
    struct wal_search *search = searcher->search;
    enum urn_code code = URN_OK;
    while (code == URN_OK) {
        const uint64_t piece = atomic_fetch_add(&search->next_piece, 1);
        if (piece >= search->pieces)
            break;
        bool left_open = false;
        if (search->open[piece])
            code = search_piece(searcher, piece, &left_open, &searcher->error);
        search->open[piece] = left_open;
    }
    if (code != URN_OK)
        atomic_store(&search->next_piece, search->pieces); /* the other need not go on */
    searcher->error.code = code;
}

/* What the second searcher has found joins what the first has. */
static void join_evidence(struct searcher *into, const struct searcher *other)
{
    struct wal_evidence *first = &into->evidence;
    const struct wal_evidence *second = &other->evidence;
    note_durable(first, second->durable_lsn_max, second->durable_witness_lsn);
    first->groups_beyond += second->groups_beyond;
    if (second->groups_beyond_epoch_max > first->groups_beyond_epoch_max)
        first->groups_beyond_epoch_max = second->groups_beyond_epoch_max;
    if (second->epoch_max > first->epoch_max)
        first->epoch_max = second->epoch_max;
    if (second->unreadable)
        note_unreadable(into, other->unreadable_slot, second->unreadable_offset);
}

/* All that is open, this thread and the helper, which may have begun already. */
static enum urn_code search_together(struct wal_search *search, struct urn_error *error)
{
    if (!search->ahead) {
        atomic_store(&search->next_piece, 0);
        helper_begin(search->helper, search_pieces, &search->others);
    }
    search_pieces(&search->mine);
    helper_wait(search->helper);
    search->ahead = false;
    const struct searcher *failed =
        search->mine.error.code != URN_OK ? &search->mine : &search->others;
    if (failed->error.code == URN_OK)
        return URN_OK;
    *error = failed->error;
    return error->code;
}

/* Nothing has been searched. */
static void open_all(struct wal_search *search)
{
    for (uint64_t piece = 0; piece < search->pieces; piece++)
        search->open[piece] = true;
    search->mine.evidence = search->others.evidence = (struct wal_evidence){0};
}

/* A search for the evidence about an x that is expected not to be below from_lsn. NULL: *error says why not. */
static struct wal_search *search_make(const struct data_dir *data_dir, uint64_t from_lsn,
                                      struct helper *helper, struct urn_error *error)
{
    const struct wal_geometry *geometry = &data_dir->geometry;
    CHECK(geometry->segments >= SEGMENTS_MIN);
    struct wal_search *made = malloc(sizeof *made);
    if (made == NULL) {
        error_set(error, URN_NOMEMORY, ENOMEM, "cannot search the log");
        return NULL;
    }
    *made = (struct wal_search){
        .magic = SEARCH_MAGIC,
        .data_dir = data_dir,
        .helper = helper,
        .known_lsn = from_lsn,
        .x = from_lsn,
        .ring_short = wal_ring_short(geometry->ring_uuid),
        .pieces_a_slot = (geometry->segment_size_bytes + PIECE_BYTES - 1) / PIECE_BYTES,
        .mine = {.search = made},
        .others = {.search = made},
    };
    made->pieces = geometry->segments * made->pieces_a_slot;
    made->open = malloc(made->pieces * sizeof *made->open);
    if (made->open == NULL)
        error_set(error, URN_NOMEMORY, ENOMEM, "cannot search the log");
    if (made->open == NULL ||
        window_begin(&made->mine.window, data_dir, SEARCH_READ_BYTES, error) != URN_OK ||
        window_begin(&made->others.window, data_dir, SEARCH_READ_BYTES, error) != URN_OK) {
        wal_search_free(made);
        return NULL;
    }
    open_all(made);
    return made;
}

enum urn_code wal_search_begin(const struct data_dir *data_dir, uint64_t from_lsn,
                               struct helper *helper, struct wal_search **search,
                               struct urn_error *error)
{
    struct wal_search *made = search_make(data_dir, from_lsn, helper, error);
    if (made == NULL)
        return error->code;
    made->ahead = true;
    helper_begin(helper, search_pieces, &made->others);
    *search = made;
    return URN_OK;
}

void wal_search_free(struct wal_search *search)
{
    if (search == NULL)
        return;
    CHECK(search->magic == SEARCH_MAGIC);
    if (search->ahead) {
        atomic_store(&search->next_piece, search->pieces);
        helper_wait(search->helper);
    }
    window_close(&search->mine.window);
    window_close(&search->others.window);
    free(search->open);
    search->magic = 0;
    free(search);
}

/* What is open, with x; and what both have found. */
static enum urn_code search_with_x(struct wal_search *search, struct urn_error *error)
{
    search->x_is_known = true;
    enum urn_code code = search_together(search, error);
    join_evidence(&search->mine, &search->others);
    return code == URN_OK ? search_at_x(&search->mine, error) : code;
}

enum urn_code wal_search_end(struct wal_search *search, uint64_t x, struct wal_evidence *evidence,
                             struct urn_error *error)
{
    CHECK(search->magic == SEARCH_MAGIC && !search->x_is_known);
    CHECK(x % WAL_ALIGN_BYTES == 0);
    *evidence = (struct wal_evidence){0};
    if (search->ahead && search_together(search, error) != URN_OK)
        return error->code;
    if (x < search->x)
        open_all(search);
    search->known_lsn = search->x = x;
    enum urn_code code = search_with_x(search, error);
    *evidence = search->mine.evidence;
    return code;
}

enum urn_code wal_search_evidence_but(const struct data_dir *data_dir, uint64_t known_lsn,
                                      uint64_t x, struct helper *helper,
                                      struct wal_evidence *evidence, struct urn_error *error)
{
    const struct wal_geometry *geometry = &data_dir->geometry;
    CHECK(known_lsn <= x && x - known_lsn <= geometry->segments * geometry->segment_size_bytes);
    CHECK(known_lsn % WAL_ALIGN_BYTES == 0 && x % WAL_ALIGN_BYTES == 0);
    *evidence = (struct wal_evidence){0};
    struct wal_search *search = search_make(data_dir, x, helper, error);
    if (search == NULL)
        return error->code;
    search->known_lsn = known_lsn;
    enum urn_code code = search_with_x(search, error);
    if (code == URN_OK)
        code = search_behind_x(&search->mine, error);
    *evidence = search->mine.evidence;
    wal_search_free(search);
    return code;
}

enum urn_code wal_search_evidence(const struct data_dir *data_dir, uint64_t x,
                                  struct helper *helper, struct wal_evidence *evidence,
                                  struct urn_error *error)
{
    return wal_search_evidence_but(data_dir, x, x, helper, evidence, error);
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
        enum urn_code code =
            segment_open(data_dir, (uint32_t)(sequence % geometry->segments), name, &file, error);
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
