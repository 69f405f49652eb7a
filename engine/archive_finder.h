/* archive_finder.h: one draw by its id, from the archive, where the ring has forgotten it.
 *
 *     id --> the last archived segment whose first id is not above it: a binary search over the segments, whose
 *            indexes are read as they are needed, and their heads remembered
 *        --> its index (archive_format.h): a stretch --> the group, whole --> the draw (draw_reader.h)
 *
 *     pruned |seg|seg|seg| gap |seg|seg|seg|       archive
 *                                      |seg|seg|seg|seg|   ring (log_finder.h)
 *
 * Names of segments are not kept in memory, however many there are: where one stands is a guess by the size
 * of the ring's segments, and the directory is listed only where the guess is wrong: at what was pruned, at a
 * gap, at segments of another size. So memory is bounded.
 *
 * The archive is another disk: it may be away, slow, full of errors, or be pruned at any time. Every error is
 * an answer, after which everything is opened anew. Nothing is believed but a group that is whole, in its
 * place and of this ring; an index that is damaged is gone without.
 *
 * One thread at a time; may wait for the archive as long as that lets it.
 */
#ifndef URN_ENGINE_ARCHIVE_FINDER_H
#define URN_ENGINE_ARCHIVE_FINDER_H

#include "engine/archive_dir.h"
#include "engine/draw_reader.h"

struct archive_finder;

/* What a finder looks at, all of it longer-lived than itself. */
struct archive_finder_sources {
    struct urn_os *os;
    const char *path; /* of the archive */
    const struct wal_geometry *geometry;
    const _Atomic uint64_t *archived_lsn; /* what lies below is archived, or a gap, or was pruned */
    const _Atomic uint64_t *unrecorded_lsn; /* but for a gap from here on that has no record yet */
    struct draw_reader *reader;
};

enum archive_found {
    ARCHIVE_FOUND_DRAW,
    ARCHIVE_FOUND_OLDER,      /* older than what is kept: pruned */
    ARCHIVE_FOUND_SKIPPED,    /* ids went on above it at a start */
    ARCHIVE_FOUND_UNARCHIVED, /* in a gap: from_lsn to to_lsn; alike: its end is not known */
    ARCHIVE_FOUND_ERROR,      /* URN_IO, URN_DAMAGED, URN_NOMEMORY: which file, and what to do */
};

struct archive_answer {
    struct log_draw draw; /* but first_id and last_id */
    uint64_t from_lsn;    /* UNARCHIVED */
    uint64_t to_lsn;
};

uint64_t archive_finder_memory_bytes(void);

/* Opens nothing yet. Errors: URN_NOMEMORY. */
enum urn_code archive_finder_make(const struct archive_finder_sources *sources,
                                  struct archive_finder **made, struct urn_error *error);
void archive_finder_free(struct archive_finder *finder); /* takes NULL, too */

/* Looks for an id of which it is known that it was given, and that the ring does not have it any more. */
enum archive_found archive_finder_find(struct archive_finder *finder, uint64_t request_id,
                                       struct archive_answer *answer, struct urn_error *error);

/* The oldest id that the archive has; false: it has none, or cannot be read. */
bool archive_finder_first_id(struct archive_finder *finder, uint64_t *request_id);

#endif
