/* locate.h: the group that holds a request id, found by looking at few groups.
 *
 * Every group has its first request id (or, without draws, the next one to be given), and ids only rise
 * along the log. So a binary search over the segments' first groups finds the segment; another one inside
 * it, over whatever whole group stands first behind the middle, comes down to a stretch of a few MiB, of
 * which groups are stepped through.
 *
 * What lies below the highest durable LSN, in its place and whole, is the log. Behind that, and only there,
 * what an earlier start discarded may lie about: so there the groups are walked, chain and all.
 */
#ifndef URN_TOOLS_URN_WAL_LOCATE_H
#define URN_TOOLS_URN_WAL_LOCATE_H

#include "tools/urn_wal/walk.h"

enum located_kind {
    LOCATED_GROUP,  /* it holds the draw */
    LOCATED_BEFORE, /* the id is below all that is kept: next_id is the first one that is */
    LOCATED_NOT_YET, /* the id has not been given (or is not durable yet): next_id will be the next one */
    LOCATED_SKIPPED, /* no draw has it: the epoch group at lsn left out skipped_first up to below next_id */
    LOCATED_LOST, /* it lies where the log is damaged or missing: at gap */
};

struct located {
    enum located_kind kind;
    uint64_t next_id;
    uint64_t skipped_first;
    uint64_t lsn;
    struct walk_break gap;
    struct wal_group_header header; /* LOCATED_GROUP */
    uint8_t *group;                 /* its bytes: the caller's to free(); NULL otherwise */
};

/* Errors: URN_IO, URN_NOMEMORY. */
enum urn_code locate_request(struct history *history, uint64_t request_id, struct located *located,
                             struct urn_error *error);

/* An LSN at which a walk can begin that comes to all groups with draws from first_id on, and to few
 * others; NO_LSN: there is no log. Errors: as above. */
enum urn_code locate_start(struct history *history, uint64_t first_id, uint64_t *lsn,
                           struct urn_error *error);

#endif
