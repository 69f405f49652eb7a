/* error.c: filling in error values, and the words of codes.def. See error.h and urn.h. */
#include "engine/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"

static const struct {
    const char *text;
    const char *meaning;
    int may_have_taken_effect;
    int retry;
    int exit_status;
} code_table[] = {
    [URN_OK] = {"OK", "done", 1, 0, 0},
#define URN_CODE(symbol, text, effect, retry, exit_status, meaning)                                \
    [URN_##symbol] = {text, meaning, effect, retry, exit_status},
#include "engine/codes.def"
#undef URN_CODE
};

_Static_assert(sizeof code_table / sizeof code_table[0] == URN_CODE_COUNT,
               "every code has exactly one row");

const char *urn_code_text(enum urn_code code)
{
    CHECK((unsigned)code < URN_CODE_COUNT);
    return code_table[code].text;
}

const char *urn_code_meaning(enum urn_code code)
{
    CHECK((unsigned)code < URN_CODE_COUNT);
    return code_table[code].meaning;
}

bool urn_code_may_have_taken_effect(enum urn_code code)
{
    CHECK((unsigned)code < URN_CODE_COUNT);
    return code_table[code].may_have_taken_effect != 0;
}

enum urn_retry urn_code_retry(enum urn_code code)
{
    CHECK((unsigned)code < URN_CODE_COUNT);
    return (enum urn_retry)code_table[code].retry;
}

int urn_code_exit_status(enum urn_code code)
{
    CHECK((unsigned)code < URN_CODE_COUNT);
    return code_table[code].exit_status;
}

enum urn_code error_set(struct urn_error *error, enum urn_code code, int system_errno,
                        const char *format, ...)
{
    CHECK(error != NULL);
    CHECK(code != URN_OK);
    error->code = code;
    error->system_errno = system_errno;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (system_errno != 0 && length >= 0 && (size_t)length < sizeof error->text)
        snprintf(error->text + length, sizeof error->text - (size_t)length, ": %s",
                 strerrordesc_np(system_errno) ? strerrordesc_np(system_errno) : "unknown errno");
    return code;
}

enum urn_code error_prefix(struct urn_error *error, const char *format, ...)
{
    CHECK(error != NULL);
    char tail[sizeof error->text];
    memcpy(tail, error->text, sizeof tail);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof error->text)
        snprintf(error->text + length, sizeof error->text - (size_t)length, "%s", tail);
    return error->code;
}
