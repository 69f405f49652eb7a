/* error.h: errors are values.
 *
 * A function that can fail returns an enum urn_code and, when that is not URN_OK, has filled the
 * struct urn_error that its caller handed in: what failed, on what, why (errno included) and,
 * where a person can do something, what to do next. Each layer may put its own words in front
 * with error_prefix(). No error is dropped.
 */
#ifndef URN_ENGINE_ERROR_H
#define URN_ENGINE_ERROR_H

#include "engine/urn.h"

/* Fills *error and returns code, so that a failing function can end with
 *     return error_set(error, URN_IO, errno, "cannot read %s at %" PRIu64, name, offset);
 * system_errno is 0 where no system call was involved; otherwise its text is appended. A text
 * that is too long is cut, never overrun. error must not be NULL. Any thread. */
enum urn_code error_set(struct urn_error *error, enum urn_code code, int system_errno,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts words in front of the text that is there ("snapshot 3: " + text). Returns error->code. */
enum urn_code error_prefix(struct urn_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
