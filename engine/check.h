/* check.h: assertions that stay in release builds.
 *
 * CHECK states what cannot be otherwise unless urn has a bug. A storage engine that goes on with a
 * broken invariant destroys data, so a failed CHECK stops the process at once, in every build. What
 * the world can do (a full disk, a hostile byte) is never a CHECK but an error value (error.h).
 */
#ifndef URN_ENGINE_CHECK_H
#define URN_ENGINE_CHECK_H

#include <stdnoreturn.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            check_failed(#condition, __FILE__, __LINE__, __func__);                                \
    } while (0)

/* Prints the broken invariant to stderr and aborts. Any thread. */
noreturn void check_failed(const char *condition, const char *file, int line, const char *function);

#endif
