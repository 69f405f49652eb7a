/* cmocka.h: for clang-tidy only, before the real one. There an assertion that fails is a call that
 * returns, as far as the analyzer can see; so it goes on with what can never be, along more paths with every
 * assertion. Here it learns that the test ends there, and looks at the other paths only. */
#ifndef URN_TESTS_LIB_ANALYZER_CMOCKA_H
#define URN_TESTS_LIB_ANALYZER_CMOCKA_H

#pragma GCC system_header
#include_next <cmocka.h>

void analyzer_test_ends(void) __attribute__((__noreturn__));

#define ANALYZER_HOLDS(condition)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            analyzer_test_ends();                                                                  \
    } while (0)
#define ANALYZER_INTEGER(value) cast_to_largest_integral_type(value)

#undef assert_true
#define assert_true(condition) ANALYZER_HOLDS(condition)
#undef assert_false
#define assert_false(condition) ANALYZER_HOLDS(!(condition))
#undef assert_non_null
#define assert_non_null(pointer) ANALYZER_HOLDS((pointer) != NULL)
#undef assert_ptr_equal
#define assert_ptr_equal(one, other) ANALYZER_HOLDS((const void *)(one) == (const void *)(other))
#undef assert_int_equal
#define assert_int_equal(one, other)                                                               \
    ANALYZER_HOLDS(ANALYZER_INTEGER(one) == ANALYZER_INTEGER(other))
#undef assert_int_not_equal
#define assert_int_not_equal(one, other)                                                           \
    ANALYZER_HOLDS(ANALYZER_INTEGER(one) != ANALYZER_INTEGER(other))
#undef fail_msg
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        print_error(__VA_ARGS__);                                                                  \
        analyzer_test_ends();                                                                      \
    } while (0)

#endif
