/* golden.c: see golden.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/golden.h"

void assert_golden(const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, URN_GOLDEN_DIR "/%s", name);
    if (getenv("URN_GOLDEN_UPDATE") != NULL) {
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
        return;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("no golden output %s", path);
    char expected[32768];
    const size_t length = fread(expected, 1, sizeof expected - 1, file);
    (void)fclose(file);
    expected[length] = 0;
    assert_string_equal(text, expected);
}

void assert_contains(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" is not in:\n%.2000s", words, text);
}
