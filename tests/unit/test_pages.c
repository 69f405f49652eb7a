/* test_pages.c: arrays that grow keep what they have, and begin what is new with zeroes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/pages.h"

static void arrays_keep_their_content_and_grow_by_zeroes(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {128,
                                     256,
                                     100 * 128,
                                     PAGES_LARGE_BYTES - 128,
                                     PAGES_LARGE_BYTES,
                                     PAGES_LARGE_BYTES + 128,
                                     3 * PAGES_LARGE_BYTES + 4096,
                                     40 * PAGES_LARGE_BYTES};
    for (size_t first = 0; first < sizeof sizes / sizeof sizes[0]; first++) {
        uint64_t *array = NULL;
        uint64_t bytes = 0;
        for (size_t i = first; i < sizeof sizes / sizeof sizes[0]; i++) {
            uint64_t *grown = pages_grow(array, bytes, sizes[i]);
            assert_non_null(grown);
            assert_int_equal((uintptr_t)grown % PAGES_ALIGN_BYTES, 0);
            for (uint64_t word = 0; word < bytes / 8; word++)
                assert_int_equal(grown[word], word + 1);
            for (uint64_t word = bytes / 8; word < sizes[i] / 8; word++) {
                assert_int_equal(grown[word], 0);
                grown[word] = word + 1;
            }
            array = grown;
            bytes = sizes[i];
        }
        pages_free(array, bytes);
    }
    pages_free(NULL, 0);
}

static void what_cannot_be_had_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t bytes = 256; bytes <= PAGES_LARGE_BYTES; bytes *= 1024) {
        uint64_t *array = pages_grow(NULL, 0, bytes);
        assert_non_null(array);
        array[bytes / 8 - 1] = 7;
        assert_null(pages_grow(array, bytes, 1ull << 60));
        assert_int_equal(array[bytes / 8 - 1], 7);
        pages_free(array, bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_keep_their_content_and_grow_by_zeroes),
        cmocka_unit_test(what_cannot_be_had_changes_nothing),
    };
    return cmocka_run_group_tests_name("pages", tests, NULL, NULL);
}
