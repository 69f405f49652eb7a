/* check.c: what a failed CHECK does. See check.h. */
#include "engine/check.h"

#include <stdio.h>
#include <stdlib.h>

noreturn void check_failed(const char *condition, const char *file, int line, const char *function)
{
    fprintf(stderr, "urn: broken invariant \"%s\" in %s at %s:%d; stopping before it spreads\n",
            condition, function, file, line);
    abort();
}
