/* wal_window.c: see wal_window.h. */
#include "engine/wal_window.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/wal_format.h"

/* ---- digests behind the walk ---------------------------------------------------------------- */

/* Whether the first group of a stretch has the digest that its chain says; the stretch then begins behind
 * it. */
static bool next_digest_holds(struct wal_stretch *stretch)
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
    struct wal_stretch *given = context;
    struct wal_stretch rest = *given; /* the giver looks at it meanwhile */
    bool holds = true;
    while (holds && rest.length_bytes > 0)
        holds = next_digest_holds(&rest);
    given->holds = holds;
}

/* Waits for the stretch that was given, if there is one. */
static void take_back_stretch(struct wal_deferral *deferral)
{
    if (deferral->given.length_bytes == 0)
        return;
    helper_wait(deferral->helper);
    deferral->all_hold = deferral->all_hold && deferral->given.holds;
    deferral->given = (struct wal_stretch){0};
}

/* The helper gets the stretch that was walked, and its buffer. Digests take longer than all the rest of a
 * walk: as long as the helper is busy, with the stretch before or with a search, this thread does those of this one, group by
 * group, and when nothing is left the window keeps the buffer. */
static void give_stretch(struct wal_window *window)
{
    struct wal_deferral *deferral = &window->deferral;
    while (deferral->walked.length_bytes > 0 && helper_is_busy(deferral->helper))
        deferral->all_hold &= next_digest_holds(&deferral->walked);
    if (deferral->walked.length_bytes == 0)
        return;
    take_back_stretch(deferral);
    const struct wal_buffer walked = window->buffer;
    window->buffer = deferral->other;
    deferral->other = walked;
    deferral->given = deferral->walked;
    deferral->walked = (struct wal_stretch){0};
    helper_begin(deferral->helper, check_stretch, &deferral->given);
}

void wal_window_defer_digests(struct wal_window *window, struct helper *helper)
{
    CHECK(!window->deferral.on && window->file == NULL);
    window->deferral = (struct wal_deferral){.on = true, .helper = helper, .all_hold = true};
}

void wal_window_note_walked(struct wal_window *window, const uint8_t *group, uint32_t length_bytes)
{
    CHECK(window->deferral.on);
    struct wal_stretch *walked = &window->deferral.walked;
    if (walked->length_bytes == 0)
        walked->bytes = group;
    CHECK(walked->bytes + walked->length_bytes == group);
    walked->length_bytes += length_bytes;
}

bool wal_window_settle(struct wal_window *window)
{
    struct wal_deferral *deferral = &window->deferral;
    CHECK(deferral->on);
    if (deferral->walked.length_bytes > 0)
        check_stretch(&deferral->walked);
    else
        deferral->walked.holds = true;
    take_back_stretch(deferral);
    deferral->all_hold = deferral->all_hold && deferral->walked.holds;
    deferral->walked = (struct wal_stretch){0};
    return deferral->all_hold;
}

/* ---- which file ----------------------------------------------------------------------------- */

void wal_window_close(struct wal_window *window)
{
    if (window->deferral.given.length_bytes > 0)
        helper_wait(window->deferral.helper);
    if (window->file != NULL)
        os_file_close(window->file);
    free(window->buffer.bytes);
    free(window->deferral.other.bytes);
    *window = (struct wal_window){0};
}

enum urn_code wal_window_begin(struct wal_window *window, const struct data_dir *data_dir,
                               uint64_t read_bytes, struct urn_error *error)
{
    const uint64_t segment_bytes = data_dir->geometry.segment_size_bytes;
    const uint64_t bytes = read_bytes < segment_bytes ? read_bytes : segment_bytes;
    *window = (struct wal_window){
        .data_dir = data_dir,
        .read_bytes = bytes,
        .buffer = {malloc(bytes), bytes},
        .bad_offset = WAL_NOWHERE,
    };
    if (window->buffer.bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read the log");
    return URN_OK;
}

enum urn_code wal_segment_open(const struct data_dir *data_dir, uint32_t slot,
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

void wal_window_forget(struct wal_window *window)
{
    window->filled_bytes = 0;
    window->bad_offset = WAL_NOWHERE;
}

enum urn_code wal_window_choose_slot(struct wal_window *window, uint32_t slot,
                                     struct urn_error *error)
{
    if (window->file != NULL && window->slot == slot)
        return URN_OK;
    if (window->file != NULL)
        os_file_close(window->file);
    window->file = NULL;
    window->slot = slot;
    wal_window_forget(window);
    return wal_segment_open(window->data_dir, slot, window->name, &window->file, error);
}

/* ---- what is shown -------------------------------------------------------------------------- */

static uint64_t window_end(const struct wal_window *window)
{
    return window->begin + window->filled_bytes;
}

/* Moves the buffer's begin to the sector of offset, keeping what is known from there on, and makes
 * room up to `end`. */
static enum urn_code window_slide(struct wal_window *window, uint64_t offset, uint64_t end,
                                  struct urn_error *error)
{
    const uint64_t begin = offset - offset % OS_SECTOR_BYTES;
    const uint64_t room = round_up_u64(end - begin, OS_SECTOR_BYTES);
    const bool keeps = begin >= window->begin && begin <= window_end(window);
    const uint64_t dropped = keeps ? begin - window->begin : 0;
    const uint8_t *kept = window->buffer.bytes + dropped;
    if (!keeps)
        wal_window_forget(window);
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
        wal_window_forget(window);
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
static enum urn_code window_fill(struct wal_window *window, uint64_t end, uint64_t limit,
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

enum urn_code wal_window_show(struct wal_window *window, uint64_t offset, uint64_t bytes,
                              struct wal_view *view, struct urn_error *error)
{
    const uint64_t size = window->data_dir->geometry.segment_size_bytes;
    CHECK(offset <= size && window->file != NULL);
    const uint64_t end = bytes < size - offset ? offset + bytes : size;
    const bool held = offset >= window->begin && offset <= window_end(window) &&
                      (end <= window_end(window) || window->bad_offset != WAL_NOWHERE);
    if (!held) {
        enum urn_code code = window_slide(window, offset, end, error);
        if (code != URN_OK)
            return code;
        const uint64_t room_end = window->begin + window->buffer.capacity_bytes;
        code = window_fill(window, end, room_end < size ? room_end : size, error);
        if (code != URN_OK) {
            wal_window_forget(window);
            return code;
        }
    }
    view->bytes = window->buffer.bytes + (offset - window->begin);
    view->available_bytes = window_end(window) > offset ? window_end(window) - offset : 0;
    return URN_OK;
}
