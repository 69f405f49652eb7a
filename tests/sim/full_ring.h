/* full_ring.h: the ring is filled until requests get BUSY, and then killed and started again and
 * again. */
#ifndef URN_TESTS_SIM_FULL_RING_H
#define URN_TESTS_SIM_FULL_RING_H

#include "tests/sim/coverage.h"

void full_ring_run(uint64_t seed, struct coverage *coverage);

#endif
