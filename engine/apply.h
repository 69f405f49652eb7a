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

/* A group applied step by step, for who wants to see what each step does, or the state in its midst. */
struct apply_steps {
    uint64_t
        draws_max; /* stops right behind so many draws of the group, 1 or more; UINT64_MAX: never */
    /* Called behind each entry, when the pools are as it leaves them; NULL: nobody looks. Of a draws entry so
     * many draws have been carried out, from this id on; fewer than it has where the steps end in it. */
    void (*visit)(void *context, const struct wal_entry *entry, uint64_t first_request_id,
                  uint32_t draws);
    void *context;
};

/* apply_group, and *whole: nothing of the group is left. Where the steps end before, the state is the one
 * right behind that draw, but for its tail, which is the caller's; nothing more can be applied to it. */
enum urn_code apply_group_steps(struct state *state, const struct wal_group_header *header,
                                const uint8_t *group, const struct apply_steps *steps, bool *whole,
                                struct urn_error *error);

#endif
