/* reload.h: what the configuration file changed since it was last applied: its catalogs against the
 * staged state.
 *
 * The file and the log both say what an item weighs: the file said so when it was last applied (the
 * applied weight a), the state says what came of it and of updates since (c), and now the file says
 * f. A reload carries over what the file changed, and nothing else:
 *
 *     f = a           the file did not change it        nothing
 *     f = c           it is so already                  f is applied from now on
 *     f != a, c = a   the file changed it               the weight becomes f
 *     f != a, c != a  both did                          a conflict: nothing, or with force f
 *
 * Items and pools that only the file has are added, with the quantities that it says; quantities of
 * items that exist are never touched. What only the state has stays, and is reported.
 *
 * The writer's. Pure.
 */
#ifndef URN_ENGINE_RELOAD_H
#define URN_ENGINE_RELOAD_H

#include "engine/stage.h"

/* Fills the request's list and counts of changes, and *plan, from a comparison that has come to its
 * end. Errors: URN_BADARG (weights that sum up to 2^53 or more), URN_TOOBIG (limits.max_pools,
 * limits.max_items; more items differ than one reload can change), URN_NOMEMORY. */
enum urn_code reload_plan(const struct state *state, const struct comparison *comparison,
                          struct urn_request *request, struct stage_plan *plan,
                          struct urn_error *error);

/* Carries out what concerns pools that exist, in the same turn as it was planned; stage.h has the
 * rest. */
enum urn_code reload_carry_out(struct state *state, const struct comparison *comparison,
                               struct wal_entries *entries, const struct urn_request *request);

#endif
