/* trial.h: one act on clones of a world, disturbed at each of its calls in turn.
 *
 * For what must be whole or repeatable: a command that makes or changes a directory. Each round takes a clone of
 * the world as it was before, acts there, restarts, and looks at what is left.
 */
#ifndef URN_TESTS_TRIAL_H
#define URN_TESTS_TRIAL_H

#include <stdbool.h>

#include "tests/lib/os_sim.h"

struct trial {
    struct sim_world *before; /* what is there is durable */
    void *context;
    /* Acts in the world's present process; true: it said that it is done, and no crash undoes that. */
    bool (*act)(void *context, struct sim_world *world);
    /* Looks at what it left, behind a restart. */
    void (*check)(void *context, struct sim_world *world, bool done);
};

/* A clone whose process crashes at its nth call; the luck decides how. */
struct sim_world *trial_clone_crashing(struct sim_world *before, uint64_t n, uint64_t luck);

/* A crash at every call, in so many ways (up to 8); then one behind the last call. */
void trial_crash_everywhere(const struct trial *trial, uint64_t lucks);

/* A failure of every call, half of them with a crash of the machine behind it; then none. */
void trial_fail_everywhere(const struct trial *trial);

/* A disk with more and more room, until it is enough; refused looks at the world before the room is given back. */
void trial_fill_disk(const struct trial *trial, uint64_t step_bytes,
                     void (*refused)(void *context, struct sim_world *world, uint64_t used_bytes));

#endif
