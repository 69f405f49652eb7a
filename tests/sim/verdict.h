/* verdict.h: how a run ends when a promise is broken: the seed, the command that repeats it, and
 * what was done last. The one place of the simulator with state of its own, since it speaks for the
 * program. */
#ifndef URN_TESTS_SIM_VERDICT_H
#define URN_TESTS_SIM_VERDICT_H

#include <stdint.h>
#include <stdnoreturn.h>

/* What runs now, as arguments that run it again ("--only history --seed 7"). Forgets the trace. */
void verdict_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Notes a step. The last ones are shown with a violation. */
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints every step at once, too. */
void verdict_set_verbose(void);

/* From here on a CHECK that fails ends the program likewise. */
void verdict_catch_aborts(void);

/* A promise is broken: prints which, and ends the program with status 1. */
noreturn void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define PROMISE(condition, ...)                                                                    \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            violation(__VA_ARGS__);                                                                \
    } while (0)

#endif
