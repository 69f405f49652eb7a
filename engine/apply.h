/* apply.h: what a group of the log means: the one way by which a logged change enters a state. */
#ifndef URN_ENGINE_APPLY_H
#define URN_ENGINE_APPLY_H

#include "engine/state.h"

/* Applies a group that is valid by its bytes (wal_group_read_next, which has moved state->tail) to
 * the state. group: its bytes from the header on.
 *
 * Errors: URN_FORMAT for an entry or a group of unknown type; URN_DAMAGED where the content breaks
 * the format or its meaning: an id that does not follow, an item out of stock, an odds version that
 * is not the pool's, engine time that runs backwards, a counter beyond URN_NUMBER_MAX; URN_CONFIG
 * where the log holds more pools or items than bounds allow; URN_NOMEMORY. The error
 * says what and where; the state is then half changed and must be thrown away. */
enum urn_code apply_group(struct state *state, const struct wal_group_header *header,
                          const uint8_t *group, struct urn_error *error);

#endif
