/* changes.h: what a logged change does to a state. The one way: live, before the change is logged
 * (stage.h), and when a log is read (apply.h).
 */
#ifndef URN_ENGINE_CHANGES_H
#define URN_ENGINE_CHANGES_H

#include "engine/state.h"

/* Carries out a change: all of it, or nothing. The writer's state, or one that is being recovered.
 *
 * Errors, which say what is wrong with the change itself: URN_BADARG (a number out of range, a sum
 * too large, a name that cannot be one), URN_EXISTS, URN_TOOBIG (a limit of the configuration),
 * URN_NOMEMORY. URN_DAMAGED: it does not follow from the state (a pool or an item that is not
 * there, an index or an odds version that is not the next); never for a change that was made from
 * this state. */
enum urn_code changes_apply(struct state *state, const struct wal_change *change,
                            struct urn_error *error);

/* The odds version of a pool behind a change that raises it. */
uint64_t changes_next_odds_version(const struct urn_pool *pool);

#endif
