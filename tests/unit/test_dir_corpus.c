/* test_dir_corpus.c: what is kept of fuzz_dir's inputs, in every build: nothing that must not happen does
 * (tests/fuzz/dir_run.h), and `urn-wal verify` says of each what its name begins with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "tests/fuzz/dir_run.h"

static const struct {
    const char *name;
    enum exit_status status;
} verdicts[] = {
    {"sound", EXIT_SOUND},     {"torn", EXIT_TORN_TAIL}, {"damaged", EXIT_DAMAGE},
    {"missing", EXIT_MISSING}, {"untrue", EXIT_MEANING},
};
enum { VERDICTS = sizeof verdicts / sizeof verdicts[0] };

static size_t verdict_of(const char *name)
{
    for (size_t i = 0; i < VERDICTS; i++)
        if (strncmp(name, verdicts[i].name, strlen(verdicts[i].name)) == 0)
            return i;
    fail_msg("%s begins with no verdict", name);
    return 0;
}

static void run_file(const char *name, size_t verdict)
{
    uint8_t bytes[4096];
    char path[512];
    (void)snprintf(path, sizeof path, URN_DIR_CORPUS "/%s", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t length = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    const enum exit_status status = dir_run(bytes, length);
    if (status != verdicts[verdict].status)
        fail_msg("%s: verify exits with %d", name, (int)status);
}

static void test_each_verdict(void **state)
{
    uint32_t met[VERDICTS] = {0};
    DIR *corpus = opendir(URN_DIR_CORPUS);
    assert_non_null(corpus);
    for (const struct dirent *entry; (entry = readdir(corpus)) != NULL;) {
        if (entry->d_name[0] == '.')
            continue;
        const size_t verdict = verdict_of(entry->d_name);
        run_file(entry->d_name, verdict);
        met[verdict]++;
    }
    assert_int_equal(closedir(corpus), 0);
    for (size_t i = 0; i < VERDICTS; i++)
        assert_true(met[i] > 0);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_verdict)};
    return cmocka_run_group_tests_name("dir_corpus", tests, NULL, NULL);
}
