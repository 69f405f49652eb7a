/* os_scripted.h: a system that has nothing but randomness, and that says exactly what a test wants.
 *
 * For tests of the pure draw path. A system first gives the script's words (8 bytes each,
 * little-endian) and then either stops the test or goes on with a pseudo-random sequence from a
 * seed.
 */
#ifndef URN_TESTS_LIB_OS_SCRIPTED_H
#define URN_TESTS_LIB_OS_SCRIPTED_H

#include "engine/os.h"

struct urn_os {
    const uint64_t *script; /* the test's own; must outlive the system's use */
    uint32_t script_words;
    uint32_t given_words; /* of the script */
    bool endless;         /* the sequence follows the script */
    uint64_t seed;        /* where the sequence has come to */
    uint64_t calls;       /* of os_random */
};

/* The next of the sequence (SplitMix64): for a test's own choices too. */
uint64_t scripted_next(uint64_t *seed);

/* Gives words, and then zeroes up to the end of the block that was asked for; a test that needs
 * more has asked for too much and is stopped. */
struct urn_os os_scripted(const uint64_t *words, uint32_t count);

struct urn_os os_seeded(uint64_t seed);

#endif
