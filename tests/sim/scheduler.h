/* scheduler.h: random histories: lives of a process one after the other, each with random clients
 * and random steps in an order that threads could produce, each ended by something bad or by a
 * clean stop. */
#ifndef URN_TESTS_SIM_SCHEDULER_H
#define URN_TESTS_SIM_SCHEDULER_H

#include "tests/sim/coverage.h"

/* One history, all of it from the seed. */
void scheduler_run_history(uint64_t seed, struct coverage *coverage);

#endif
