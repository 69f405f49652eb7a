/* draw_reader.h: a draw out of a stretch of log: its groups' headers, one by one, then the group, whole.
 *
 *     stretch  |group|group|group|      the last group whose first id is not above the one that is looked for
 *               ^ headers alone   ^ read whole, and believed if it is whole, in its place and of this ring
 *
 * For whoever knows where to look (log_finder.h, archive_finder.h); files are opened by them. Everything is
 * read through files, without read-ahead and without mapping anything: an unreadable sector is an error value.
 *
 * One thread at a time.
 */
#ifndef URN_ENGINE_DRAW_READER_H
#define URN_ENGINE_DRAW_READER_H

#include "engine/os.h"
#include "engine/wal_format.h"

/* The draw of one id. */
struct log_draw {
    uint32_t pool_id;
    uint32_t outcome; /* an index, or URN_FAILED_DRAW */
    uint64_t odds_version;
    uint64_t wall_time_us; /* when its group was closed, us since 1970 */
    uint64_t lsn;          /* of its group; of ids that were skipped: of the epoch group */
    /* There is no such draw: the oldest id that is kept, and the newest that was given; the former is above
     * the latter where there is none. */
    uint64_t first_id;
    uint64_t last_id;
    uint64_t skipped_first; /* skipped at a start: no draw has any of these ids */
    uint64_t skipped_last;
};

/* Where the bytes of the log come from. */
struct draw_source {
    void *context;
    uint64_t segment_size_bytes;
    /* The file with the segment of this LSN, open, from whose begin on the segment's bytes stand; the
     * source's own, and open until it is asked again. Errors: URN_IO, and what else the source has. */
    enum urn_code (*open)(void *context, uint64_t lsn, struct os_file **file, const char **name,
                          struct urn_error *error);
};

struct draw_reader {
    uint64_t ring_short;

    /* What a group from before the start says of pools and items was not written by this run: it may be any, and
     * is held against what there was then. */
    uint64_t start_lsn;
    uint32_t pool_count;
    uint32_t *item_counts; /* of each of those pools */

    const struct draw_source *source;
    uint8_t *window; /* the log from window_lsn on, as it was when it was read */
    uint64_t window_lsn;
    uint64_t window_bytes;
    uint8_t *group;                 /* GROUP_BYTES_MAX: the last group that was found whole */
    struct wal_group_header header; /* its header; length_bytes 0: none */
};

/* Groups that begin at or behind from_lsn and before to_lsn; of one segment. */
struct draw_stretch {
    uint64_t from_lsn;
    uint64_t to_lsn;
};

/* Where a look has come to an end without an answer: nothing whole stands there. */
struct draw_gap {
    uint64_t lsn;
    struct urn_error error; /* URN_OK, or what the system says */
};

/* Something that has come out of a look: URN_OK and `whole`, or URN_OK and nothing in its place, or an error
 * of the system. */
struct draw_look {
    bool whole;
    enum urn_code code;
};

uint64_t draw_reader_memory_bytes(uint32_t max_pools);

/* A reader of this ring's log that ended at start_lsn, with so many pools, whose item_counts are to be filled in.
 * Errors: URN_NOMEMORY; draw_reader_free is right then, too. */
enum urn_code draw_reader_make(struct draw_reader *reader, const uint8_t ring_uuid[WAL_UUID_BYTES],
                               uint64_t start_lsn, uint32_t pool_count, struct urn_error *error);
void draw_reader_free(struct draw_reader *reader); /* takes zeroes, too */

/* From here on the log's bytes come from this source, anew: what was read ahead may have been written over. */
void draw_reader_begin(struct draw_reader *reader, const struct draw_source *source);

/* What the header of a group says that stands at lsn; nothing of it is vouched for but its place. Errors: the
 * source's, URN_IO, URN_DAMAGED (the file ends). */
struct draw_look draw_reader_peek(struct draw_reader *reader, uint64_t lsn,
                                  struct wal_group_header *header, struct urn_error *error);

/* Reads a group whole, and keeps it if it is: V1 to V4, in its place, of this ring. Errors as above. */
struct draw_look draw_reader_group(struct draw_reader *reader,
                                   const struct wal_group_header *peeked, struct urn_error *error);

enum draw_found {
    DRAW_FOUND,         /* *draw */
    DRAW_FOUND_SKIPPED, /* ids went on above it at a start: *draw */
    DRAW_FOUND_NONE,    /* nothing whole that says either: *gap */
};

/* What the stretch says of this id. */
enum draw_found draw_reader_look(struct draw_reader *reader, const struct draw_source *source,
                                 const struct draw_stretch *stretch, uint64_t request_id,
                                 struct log_draw *draw, struct draw_gap *gap);

/* The same of the group that was found whole last: true if it is there, and has the draw. */
bool draw_reader_look_again(const struct draw_reader *reader, uint64_t request_id,
                            struct log_draw *draw);

#endif
