/* diff_ends.h: histories of different rings: what each came to.
 *
 * Positions, epochs and chains of two rings have nothing to do with each other, nor have the request ids that
 * follow a restore. What stands at the end of each can be compared all the same: pools, items and what is in stock.
 */
#ifndef URN_TOOLS_URN_WAL_DIFF_ENDS_H
#define URN_TOOLS_URN_WAL_DIFF_ENDS_H

#include "tools/urn_wal/diff_find.h"
#include "tools/urn_wal/diff_state.h"

struct diff_end {
    bool reached; /* the state could be built; else the notes say why not */
    uint64_t lsn;
    uint64_t next_request_id;
};

struct diff_ends {
    struct diff_end sides[SIDES];
    struct state_differences differences; /* of the pools, when both could be built */
};

/* Builds the states at the ends of the two and compares their pools. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code diff_ends_compare(struct history *a, struct history *b, FILE *notes,
                                struct diff_ends *ends, struct urn_error *error);

#endif
