/* look_ahead.h: memory that draws will touch is asked for before the first of them is made.
 *
 * A lone draw from a large state waits for memory several times, once for each step of its way: pool,
 * levels of the tree, counter. Of requests that have come together these waits can overlap, whichever
 * pools they draw from. Nothing is decided here: the number that a draw will get is a guess (an earlier
 * draw may use other words than expected, or empty an item), and a wrong one costs time only.
 */
#ifndef URN_ENGINE_LOOK_AHEAD_H
#define URN_ENGINE_LOOK_AHEAD_H

#include "engine/state.h"

/* Looks at some of the draws that the list begins with, and finds their pools (request->pool) where the
 * caller does not know them: what comes before the next call is worth making. Returns after how many requests
 * that is. The list is not empty. By the state's owner. */
uint32_t look_ahead(const struct state *state, const struct random_source *random,
                    struct urn_request *list);

#endif
