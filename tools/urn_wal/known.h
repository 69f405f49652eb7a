/* known.h: the highest that a log, and what lies about it, knows of: ids given or reserved, positions, epochs.
 * Who goes on in another ring goes on above all of it.
 */
#ifndef URN_TOOLS_URN_WAL_KNOWN_H
#define URN_TOOLS_URN_WAL_KNOWN_H

#include "engine/state.h"
#include "tools/urn_wal/history.h"

struct known {
    uint64_t request_id; /* the highest given or reserved; 0: none */
    uint64_t lsn;        /* where the last group or snapshot ends */
    uint32_t epoch;
    /* draws of the log that the state is before */
    uint64_t later_draws;
    uint64_t later_first_id; /* while there are any */
    uint64_t later_last_id;
    bool
        incomplete; /* something behind the state is damaged or missing: there may have been more */
};

/* Looks at everything behind the state: the log, damaged or not, groups that were discarded or are not durable,
 * snapshots. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code known_survey(struct history *history, const struct state *state, struct known *known,
                           struct urn_error *error);

#endif
