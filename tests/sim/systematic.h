/* systematic.h: short fixed scenarios, hit at every call in turn: crashed, failed, made short,
 * intruded upon; and each start behind a crash is crashed again at every call. */
#ifndef URN_TESTS_SIM_SYSTEMATIC_H
#define URN_TESTS_SIM_SYSTEMATIC_H

#include "tests/sim/coverage.h"

void systematic_crashes(uint64_t seed, struct coverage *coverage);

/* The same between any two steps of scripts with changes: behind each group of a large catalog, too. */
void systematic_steps(uint64_t seed, struct coverage *coverage);
void systematic_faults(uint64_t seed, struct coverage *coverage);
void systematic_second_process(uint64_t seed, struct coverage *coverage);

/* A segment is cut short, or cannot be read, under a running engine. */
void systematic_damage_under(uint64_t seed, struct coverage *coverage);

/* Every kind of damage, many times, behind a life with a segment change. */
void systematic_damage(uint64_t seed, struct coverage *coverage);

/* One life over a pool whose outcomes take four bytes. */
void systematic_wide(uint64_t seed, struct coverage *coverage);

#endif
