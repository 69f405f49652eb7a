/* archive_finder.c: see archive_finder.h. */
#include "engine/archive_finder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"

#define HEADS_MAX    1024u
#define ATTEMPTS_MAX 3u /* a prune beside a look makes it begin anew */
#define NOWHERE      UINT64_MAX

/* What is remembered of an archived segment, none of which ever changes. */
struct head {
    uint64_t begin_lsn; /* NOWHERE: of none */
    uint64_t end_lsn;
    uint64_t first_id;
    uint64_t end_id; /* the segment's draws have ids below it, as far as is known */
};

struct archive_finder {
    struct archive_finder_sources sources;
    struct draw_source source; /* the file that is open */
    struct os_dir *dir;        /* NULL: not open */
    uint64_t first_lsn;        /* oldest and newest segment, as listed last; NOWHERE: none */
    uint64_t last_lsn;
    struct head heads[HEADS_MAX]; /* by begin_lsn, in segments of the ring's size */

    struct os_file *file; /* NULL: none is open */
    char name[DATA_DIR_NAME_MAX];
    struct head head;       /* of it */
    struct log_index index; /* of it; count 0: has not been read yet */
};

/* ---- life -------------------------------------------------------------------------------------- */

uint64_t archive_finder_memory_bytes(void)
{
    /* An index's bytes and its entries, while it is read. */
    return sizeof(struct archive_finder) + log_index_bytes(LOG_INDEX_ENTRIES_MAX) +
           (LOG_INDEX_ENTRIES_MAX + 1) * sizeof(struct log_index_entry);
}

static enum urn_code open_segment(void *context, uint64_t lsn, struct os_file **file,
                                  const char **name, struct urn_error *error)
{
    struct archive_finder *finder = context;
    (void)error;
    CHECK(finder->file != NULL && lsn >= finder->head.begin_lsn && lsn < finder->head.end_lsn);
    *file = finder->file;
    *name = finder->name;
    return URN_OK;
}

static void forget_heads(struct archive_finder *finder)
{
    for (uint32_t i = 0; i < HEADS_MAX; i++)
        finder->heads[i].begin_lsn = NOWHERE;
}

enum urn_code archive_finder_make(const struct archive_finder_sources *sources,
                                  struct archive_finder **made, struct urn_error *error)
{
    struct archive_finder *finder = malloc(sizeof *finder);
    if (finder == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for lookups in the archive");
    *finder = (struct archive_finder){
        .sources = *sources,
        .first_lsn = NOWHERE,
        .last_lsn = NOWHERE,
    };
    finder->source = (struct draw_source){finder, 0, open_segment};
    forget_heads(finder);
    *made = finder;
    return URN_OK;
}

static void close_file(struct archive_finder *finder)
{
    if (finder->file != NULL)
        os_file_close(finder->file);
    free(finder->index.entries);
    finder->file = NULL;
    finder->index = (struct log_index){.entries = NULL};
}

static void close_archive(struct archive_finder *finder)
{
    close_file(finder);
    if (finder->dir != NULL)
        os_dir_close(finder->dir);
    finder->dir = NULL;
    forget_heads(finder);
}

void archive_finder_free(struct archive_finder *finder)
{
    if (finder == NULL)
        return;
    close_archive(finder);
    free(finder);
}

/* ---- the directory ----------------------------------------------------------------------------- */

/* What the names say of a place in the log, and of all. */
struct names {
    uint64_t lsn;
    uint64_t below_lsn; /* the last segment that begins before it; NOWHERE: none */
    uint64_t above_lsn; /* the first one that begins behind it; NOWHERE: none */
    uint64_t first_lsn;
    uint64_t last_lsn;
    uint64_t gap_from_lsn; /* of the gap that it lies in; NOWHERE: in none */
    uint64_t gap_to_lsn;
};

static int note_name(void *context, const char *name)
{
    struct names *names = context;
    const struct archive_name parsed = archive_name_parse(name);
    const uint64_t lsn = parsed.from_lsn;
    if (parsed.kind == ARCHIVE_NAME_GAP && lsn <= names->lsn && names->lsn < parsed.to_lsn) {
        names->gap_from_lsn = lsn;
        names->gap_to_lsn = parsed.to_lsn;
    }
    if (parsed.kind != ARCHIVE_NAME_SEGMENT)
        return 0;
    if (lsn < names->lsn && (names->below_lsn == NOWHERE || lsn > names->below_lsn))
        names->below_lsn = lsn;
    if (lsn > names->lsn && lsn < names->above_lsn)
        names->above_lsn = lsn;
    if (lsn < names->first_lsn)
        names->first_lsn = lsn;
    if (names->last_lsn == NOWHERE || lsn > names->last_lsn)
        names->last_lsn = lsn;
    return 0;
}

/* Errors: URN_IO. */
static enum urn_code list_around(struct archive_finder *finder, uint64_t lsn, struct names *names,
                                 struct urn_error *error)
{
    *names = (struct names){lsn, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE};
    const int why = os_dir_list(finder->dir, note_name, names);
    if (why != 0)
        return error_set(error, URN_IO, why, "cannot list it");
    finder->first_lsn = names->first_lsn;
    finder->last_lsn = names->last_lsn;
    return URN_OK;
}

/* Opens the archive, if it is not open. Errors: URN_IO, URN_DAMAGED; where it is not open then, the text names it. */
static enum urn_code open_archive(struct archive_finder *finder, struct urn_error *error)
{
    uint8_t ring[WAL_UUID_BYTES];
    struct names names;
    if (finder->dir != NULL)
        return URN_OK;
    struct os_dir *dir = NULL;
    const enum urn_code code =
        archive_dir_open(finder->sources.os, finder->sources.path, &dir, ring, error);
    if (code == URN_NODATA)
        return error_set(error, URN_IO, error->system_errno,
                         "the archive %.100s: it is not there: is its volume mounted?",
                         finder->sources.path);
    if (code != URN_OK)
        return code;
    finder->dir = dir;
    if (memcmp(ring, finder->sources.geometry->ring_uuid, WAL_UUID_BYTES) != 0)
        return error_set(error, URN_DAMAGED, 0,
                         "it belongs to another ring: has its directory been replaced?");
    return list_around(finder, 0, &names, error);
}

/* ---- a segment --------------------------------------------------------------------------------- */

static uint64_t size_of(const struct archive_finder *finder)
{
    return finder->head.end_lsn - finder->head.begin_lsn;
}

/* The size that the header page states, for the ring may have had another; where that page is damaged, the
 * ring's. */
static uint64_t stated_size(struct archive_finder *finder, uint64_t begin_lsn)
{
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    struct wal_segment_header header;
    struct urn_error ignored;
    if (file_read_exact(finder->file, finder->name, page, sizeof page, 0, &ignored) == URN_OK &&
        wal_segment_header_read(page, &header) == WAL_READ_OK &&
        header.segment_size_bytes > WAL_SEGMENT_HEADER_BYTES &&
        begin_lsn % header.segment_size_bytes == 0)
        return header.segment_size_bytes;
    return finder->sources.geometry->segment_size_bytes;
}

/* An index with nothing in it but the segment's first group; so a look walks along all of it. */
static enum urn_code index_first_group(struct archive_finder *finder, struct urn_error *error)
{
    struct draw_reader *reader = finder->sources.reader;
    struct wal_group_header header;
    const uint64_t lsn = finder->head.begin_lsn + WAL_SEGMENT_HEADER_BYTES;
    draw_reader_begin(reader, &finder->source);
    struct draw_look look = draw_reader_peek(reader, lsn, &header, error);
    if (look.whole)
        look = draw_reader_group(reader, &header, error);
    if (look.code != URN_OK)
        return look.code;
    if (!look.whole)
        return error_set(error, URN_DAMAGED, 0,
                         "%s, offset %u, is not what was written; `urn-wal verify` shows more",
                         finder->name, WAL_SEGMENT_HEADER_BYTES);
    struct log_index_entry *entry = malloc(sizeof *entry);
    if (entry == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for the index of %s", finder->name);
    *entry =
        (struct log_index_entry){.lsn = lsn, .first_request_id = reader->header.first_request_id};
    finder->index = (struct log_index){
        .end_lsn = finder->head.end_lsn, .end_request_id = NOWHERE, .count = 1, .entries = entry};
    return URN_OK;
}

/* The index behind the segment, if it is one of it; otherwise the next best. */
static enum urn_code read_index(struct archive_finder *finder, struct urn_error *error)
{
    struct log_index *index = &finder->index;
    const struct head *head = &finder->head;
    const enum urn_code code =
        archive_index_read(finder->file, finder->name, size_of(finder), index, error);
    if (code == URN_NOMEMORY)
        return code;
    const bool is_its =
        code == URN_OK && index->count > 0 && index->segment_size_bytes == size_of(finder) &&
        index->sequence * index->segment_size_bytes == head->begin_lsn &&
        memcmp(index->ring_uuid, finder->sources.geometry->ring_uuid, WAL_UUID_BYTES) == 0;
    if (is_its)
        return URN_OK;
    free(index->entries);
    *index = (struct log_index){.entries = NULL};
    return index_first_group(finder, error);
}

static struct head *place_of_head(struct archive_finder *finder, uint64_t begin_lsn)
{
    return &finder->heads[begin_lsn / finder->sources.geometry->segment_size_bytes % HEADS_MAX];
}

/* Opens a segment's file and reads its index. *there: false, and URN_OK: it is not in the archive. Errors:
 * URN_IO, URN_DAMAGED, URN_NOMEMORY. */
static enum urn_code open_file(struct archive_finder *finder, uint64_t begin_lsn, bool *there,
                               struct urn_error *error)
{
    *there = true;
    if (finder->file != NULL && finder->head.begin_lsn == begin_lsn)
        return URN_OK;
    close_file(finder);
    archive_segment_name(finder->name, begin_lsn);
    const int why = os_file_open(finder->dir, finder->name, OS_READ, &finder->file);
    if (why != 0)
        finder->file = NULL;
    *there = why != ENOENT;
    if (!*there)
        return URN_OK;
    if (why != 0)
        return error_set(error, URN_IO, why, "cannot open %s", finder->name);
    const uint64_t size = stated_size(finder, begin_lsn);
    finder->source.segment_size_bytes = size;
    finder->head = (struct head){.begin_lsn = begin_lsn, .end_lsn = begin_lsn + size};
    const enum urn_code code = read_index(finder, error);
    if (code != URN_OK) {
        close_file(finder);
        return code;
    }
    finder->head.first_id = finder->index.entries[0].first_request_id;
    finder->head.end_id = finder->index.end_request_id;
    *place_of_head(finder, begin_lsn) = finder->head;
    return URN_OK;
}

/* What is remembered of it, or what its file says; else as open_file. What is remembered may have been pruned
 * since. */
static enum urn_code get_head(struct archive_finder *finder, uint64_t begin_lsn, struct head *head,
                              bool *there, struct urn_error *error)
{
    const struct head *known = place_of_head(finder, begin_lsn);
    *there = true;
    if (known->begin_lsn == begin_lsn) {
        *head = *known;
        return URN_OK;
    }
    const enum urn_code code = open_file(finder, begin_lsn, there, error);
    if (code == URN_OK && *there)
        *head = finder->head;
    return code;
}

/* ---- the segment of an id ---------------------------------------------------------------------- */

/* What is left of a search: the segment lies at or behind from_lsn and before to_lsn, or is `best`. */
struct search {
    uint64_t request_id;
    uint64_t from_lsn;
    uint64_t to_lsn;
    struct head best; /* begin_lsn NOWHERE: none yet */
};

/* A segment that begins there goes into the search. */
static void take_head(struct search *search, const struct head *head)
{
    if (head->first_id > search->request_id) {
        search->to_lsn = head->begin_lsn;
        return;
    }
    search->best = *head;
    search->from_lsn = head->end_lsn;
}

/* No segment begins at middle: goes on by the names around it. */
static enum urn_code go_around(struct archive_finder *finder, struct search *search,
                               uint64_t middle, struct urn_error *error)
{
    struct names names;
    struct head head;
    bool there = false;
    if (list_around(finder, middle, &names, error) != URN_OK)
        return error->code;
    if (names.above_lsn < search->to_lsn) {
        if (get_head(finder, names.above_lsn, &head, &there, error) != URN_OK)
            return error->code;
        if (there)
            take_head(search, &head);
        if (there && head.first_id <= search->request_id)
            return URN_OK;
    }
    search->to_lsn = names.below_lsn != NOWHERE && names.below_lsn >= search->from_lsn
                         ? names.below_lsn + 1
                         : search->from_lsn;
    return URN_OK;
}

/* The last segment whose first id is not above this one. */
static enum urn_code find_segment(struct archive_finder *finder, struct search *search,
                                  struct urn_error *error)
{
    const uint64_t size = finder->sources.geometry->segment_size_bytes;
    while (search->from_lsn < search->to_lsn) {
        const uint64_t middle =
            search->from_lsn + (search->to_lsn - search->from_lsn) / size / 2 * size;
        struct head head;
        bool there = false;
        if (get_head(finder, middle, &head, &there, error) != URN_OK)
            return error->code;
        if (there)
            take_head(search, &head);
        else if (go_around(finder, search, middle, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

/* ---- finding ----------------------------------------------------------------------------------- */

static enum archive_found tell_damage(const struct archive_finder *finder,
                                      const struct draw_gap *gap, struct urn_error *error)
{
    *error = gap->error;
    if (gap->error.code == URN_OK)
        error_set(error, URN_DAMAGED, 0,
                  "the log at LSN %" PRIu64 " (%s, offset %" PRIu64
                  ") is not what was written; `urn-wal verify` shows more",
                  gap->lsn, finder->name, gap->lsn - finder->head.begin_lsn);
    return ARCHIVE_FOUND_ERROR;
}

/* Gaps that are recorded within a stretch. */
struct recorded {
    uint64_t from_lsn;
    uint64_t to_lsn;
    uint64_t bytes;
};

static int note_gap(void *context, const char *name)
{
    struct recorded *recorded = context;
    const struct archive_name parsed = archive_name_parse(name);
    if (parsed.kind == ARCHIVE_NAME_GAP && parsed.from_lsn >= recorded->from_lsn &&
        parsed.to_lsn <= recorded->to_lsn)
        recorded->bytes += parsed.to_lsn - parsed.from_lsn;
    return 0;
}

/* Tells of the gap that was listed and of those that adjoin it, for it is not known in which the id lies. next_lsn:
 * where the next segment begins; NOWHERE: more gaps may follow that have no record yet. */
static enum archive_found tell_gap(const struct archive_finder *finder, const struct names *names,
                                   uint64_t next_lsn, struct archive_answer *answer,
                                   struct urn_error *error)
{
    struct recorded recorded = {names->gap_from_lsn, next_lsn, 0};
    answer->from_lsn = names->gap_from_lsn;
    answer->to_lsn = next_lsn == NOWHERE ? names->gap_from_lsn : names->gap_to_lsn;
    if (next_lsn == NOWHERE || next_lsn <= names->gap_to_lsn)
        return ARCHIVE_FOUND_UNARCHIVED;
    const int why = os_dir_list(finder->dir, note_gap, &recorded);
    if (why != 0) {
        error_set(error, URN_IO, why, "cannot list it");
        return ARCHIVE_FOUND_ERROR;
    }
    if (recorded.bytes == next_lsn - names->gap_from_lsn)
        answer->to_lsn = next_lsn;
    return ARCHIVE_FOUND_UNARCHIVED;
}

/* The id lies behind the segment that is open, and no segment that follows has it. */
static enum archive_found tell_hole(struct archive_finder *finder, const struct draw_gap *gap,
                                    struct archive_answer *answer, struct urn_error *error)
{
    struct names names;
    const uint64_t lsn = finder->head.end_lsn;
    /* Before the names are listed: until then its record may have come. */
    const bool may_lack_record = lsn >= atomic_load(finder->sources.archived_lsn) ||
                                 lsn >= atomic_load(finder->sources.unrecorded_lsn);
    char name[DATA_DIR_NAME_MAX];
    if (list_around(finder, lsn, &names, error) != URN_OK)
        return ARCHIVE_FOUND_ERROR;
    if (names.gap_from_lsn != NOWHERE)
        return tell_gap(finder, &names, names.above_lsn, answer, error);
    if (may_lack_record && names.above_lsn == NOWHERE) {
        answer->from_lsn = lsn;
        answer->to_lsn = lsn;
        return ARCHIVE_FOUND_UNARCHIVED;
    }
    archive_segment_name(name, lsn);
    struct os_file *next = NULL;
    const int why = os_file_open(finder->dir, name, OS_READ, &next);
    if (why == 0) {
        os_file_close(next);
        return tell_damage(finder, gap, error);
    }
    if (why == ENOENT)
        error_set(error, URN_DAMAGED, 0,
                  "%s is missing, and no gap is recorded there; `urn-wal verify` shows more", name);
    else
        error_set(error, URN_IO, why, "cannot open %s", name);
    return ARCHIVE_FOUND_ERROR;
}

/* Looks into the segment that is open. */
static enum archive_found look_in(struct archive_finder *finder, uint64_t request_id,
                                  struct archive_answer *answer, struct urn_error *error)
{
    const struct log_index *index = &finder->index;
    struct log_index_stretch found;
    struct draw_gap gap;
    /* Behind all its draws: ids may have gone on above it, and the segment's last group says so. */
    struct draw_stretch stretch = {index->entries[index->count - 1].lsn, index->end_lsn};
    const bool is_inside = log_index_find_request(index, request_id, &found);
    if (is_inside)
        stretch = (struct draw_stretch){found.from_lsn, found.to_lsn};
    switch (draw_reader_look(finder->sources.reader, &finder->source, &stretch, request_id,
                             &answer->draw, &gap)) {
    case DRAW_FOUND:
        return ARCHIVE_FOUND_DRAW;
    case DRAW_FOUND_SKIPPED:
        return ARCHIVE_FOUND_SKIPPED;
    case DRAW_FOUND_NONE:
        break;
    }
    const bool may_be_behind = !is_inside || index->end_request_id == NOWHERE;
    return gap.error.code == URN_OK && may_be_behind ? tell_hole(finder, &gap, answer, error)
                                                     : tell_damage(finder, &gap, error);
}

/* Nothing in the archive has so low an id. */
static enum archive_found tell_older(struct archive_finder *finder, struct archive_answer *answer,
                                     struct urn_error *error)
{
    struct names names;
    if (list_around(finder, 0, &names, error) != URN_OK)
        return ARCHIVE_FOUND_ERROR;
    /* What begins with a gap has not been pruned. */
    if (names.gap_from_lsn == NOWHERE || names.first_lsn < names.gap_to_lsn)
        return ARCHIVE_FOUND_OLDER;
    return tell_gap(finder, &names, names.first_lsn, answer, error);
}

/* One attempt. *again: what was looked at has been pruned meanwhile, or there is more than was listed. */
static enum archive_found find_once(struct archive_finder *finder, uint64_t request_id,
                                    struct archive_answer *answer, bool *again,
                                    struct urn_error *error)
{
    bool there = false;
    *again = false;
    if (open_archive(finder, error) != URN_OK)
        return ARCHIVE_FOUND_ERROR;
    const uint64_t archived_lsn = atomic_load(finder->sources.archived_lsn);
    if (finder->first_lsn != NOWHERE || archived_lsn > 0) {
        struct search search = {.request_id = request_id, .best.begin_lsn = NOWHERE};
        search.from_lsn = finder->first_lsn != NOWHERE ? finder->first_lsn : 0;
        search.to_lsn = finder->last_lsn != NOWHERE && finder->last_lsn >= archived_lsn
                            ? finder->last_lsn + 1
                            : archived_lsn;
        if (find_segment(finder, &search, error) != URN_OK)
            return ARCHIVE_FOUND_ERROR;
        if (search.best.begin_lsn != NOWHERE) {
            if (open_file(finder, search.best.begin_lsn, &there, error) != URN_OK)
                return ARCHIVE_FOUND_ERROR;
            *again = !there;
            return there ? look_in(finder, request_id, answer, error) : ARCHIVE_FOUND_OLDER;
        }
    }
    const uint64_t first_lsn = finder->first_lsn;
    const enum archive_found found = tell_older(finder, answer, error);
    *again =
        found != ARCHIVE_FOUND_ERROR && finder->first_lsn < first_lsn; /* it has been put back */
    return found;
}

enum archive_found archive_finder_find(struct archive_finder *finder, uint64_t request_id,
                                       struct archive_answer *answer, struct urn_error *error)
{
    enum archive_found found = ARCHIVE_FOUND_ERROR;
    bool again = true;
    for (uint32_t i = 0; i < ATTEMPTS_MAX && again; i++) {
        *answer = (struct archive_answer){.from_lsn = 0};
        found = find_once(finder, request_id, answer, &again, error);
        if (again)
            close_archive(finder);
    }
    close_file(finder); /* so that what is pruned is gone */
    if (found == ARCHIVE_FOUND_ERROR) {
        if (finder->dir != NULL) /* what cannot be opened is named already */
            error_prefix(error, "the archive %.100s: ", finder->sources.path);
        close_archive(finder);
    }
    return found;
}

/* Whether the oldest segment that was listed is still there. */
static bool first_is_there(struct archive_finder *finder)
{
    char name[DATA_DIR_NAME_MAX];
    struct os_file *file = NULL;
    if (finder->first_lsn == NOWHERE)
        return false;
    archive_segment_name(name, finder->first_lsn);
    if (os_file_open(finder->dir, name, OS_READ, &file) != 0)
        return false;
    os_file_close(file);
    return true;
}

bool archive_finder_first_id(struct archive_finder *finder, uint64_t *request_id)
{
    struct urn_error ignored;
    struct names names;
    struct head head = {.begin_lsn = NOWHERE};
    bool there = false;
    const bool is_open =
        open_archive(finder, &ignored) == URN_OK &&
        (first_is_there(finder) || list_around(finder, 0, &names, &ignored) == URN_OK);
    const bool is_read =
        is_open && (finder->first_lsn == NOWHERE ||
                    get_head(finder, finder->first_lsn, &head, &there, &ignored) == URN_OK);
    close_file(finder);
    if (!is_read)
        close_archive(finder);
    if (there)
        *request_id = head.first_id;
    return there;
}
