/* wal_search.c: the search for evidence (wal_reader.h), by two threads, each through a window of its own. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/wal_reader.h"
#include "engine/wal_window.h"

#define SEARCH_MAGIC 0x77737263u

/* How much is read at once: a search looks once at what it has read, and wants to find it in the processor's
 * cache. */
#define SEARCH_READ_BYTES (256u * 1024)

/* Slots are searched by pieces, so that the last of them is divided among two threads as well. */
#define PIECE_BYTES (8ull * 1024 * 1024)

/* ---- searchers ------------------------------------------------------------------------------ */

/* One of the two that search a ring. */
struct searcher {
    struct wal_search *search;
    struct wal_window window;
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

/* ---- what is found -------------------------------------------------------------------------- */

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
    CHECK(searcher->window.bad_offset != WAL_NOWHERE);
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
    struct wal_view view;
    enum urn_code code =
        wal_window_show(&searcher->window, offset, WAL_GROUP_HEADER_BYTES, &view, error);
    if (code != URN_OK)
        return code;
    if (wal_group_peek(view.bytes, view.available_bytes, rest, &header) != WAL_READ_OK ||
        header.length_bytes > GROUP_BYTES_MAX ||
        header.ring_short != searcher->search->ring_short ||
        !place_fits(searcher, header.lsn, offset))
        return URN_OK;
    code = wal_window_show(&searcher->window, offset, header.length_bytes, &view, error);
    if (code != URN_OK)
        return code;
    if (view.available_bytes >= header.length_bytes &&
        wal_group_read(view.bytes, view.available_bytes, searcher->search->ring_short, &header) ==
            WAL_READ_OK)
        *left_open = !search_note_group(searcher, &header);
    return URN_OK;
}

/* ---- bytes that may begin a group ----------------------------------------------------------- */

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

/* ---- pieces of the ring --------------------------------------------------------------------- */

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
        struct wal_view view;
        enum urn_code code =
            wal_window_show(&searcher->window, offset, WAL_GROUP_HEADER_BYTES, &view, error);
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
    enum urn_code code = wal_window_choose_slot(&searcher->window, (uint32_t)slot, error);
    if (code == URN_OK)
        code = search_range(searcher, begin, first_end, left_open, error);
    if (code == URN_OK && first_end < end)
        code = search_range(searcher, second_begin, end, left_open, error);
    return code;
}

/* ---- at x and behind it --------------------------------------------------------------------- */

/* The beginnings of what belongs at x stand at the window's view of it. */
static bool begins_at(const struct searcher *searcher, const struct wal_view *view)
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
    struct wal_view view;
    enum urn_code code = wal_window_choose_slot(&searcher->window, (uint32_t)slot, error);
    if (code == URN_OK)
        code = wal_window_show(&searcher->window, searcher->search->x % size,
                               WAL_GROUP_HEADER_BYTES, &view, error);
    if (code == URN_OK)
        searcher->evidence.torn_at_x = begins_at(searcher, &view);
    return code;
}

/* What stands between x and its segment's end, of whatever age; behind search_at_x. */
static enum urn_code search_behind_x(struct searcher *searcher, struct urn_error *error)
{
    const uint64_t size = searcher->search->data_dir->geometry.segment_size_bytes;
    uint64_t offset = searcher->search->x % size;
    struct wal_view view;
    while (offset < size && !searcher->evidence.nonzero_beyond) {
        enum urn_code code = wal_window_show(&searcher->window, offset, 1, &view, error);
        if (code != URN_OK)
            return code;
        searcher->evidence.nonzero_beyond = !bytes_are_zero(view.bytes, view.available_bytes);
        offset += view.available_bytes;
        if (view.available_bytes == 0)
            offset = round_up_u64(searcher->window.bad_offset + 1, OS_SECTOR_BYTES);
    }
    return URN_OK;
}

/* ---- by two threads ------------------------------------------------------------------------- */

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

/* ---- beginning and end ---------------------------------------------------------------------- */

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
        wal_window_begin(&made->mine.window, data_dir, SEARCH_READ_BYTES, error) != URN_OK ||
        wal_window_begin(&made->others.window, data_dir, SEARCH_READ_BYTES, error) != URN_OK) {
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
    wal_window_close(&search->mine.window);
    wal_window_close(&search->others.window);
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
