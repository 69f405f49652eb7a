/* test_digest.c: both libraries give what BLAKE2b-256 is, however the bytes come in pieces. */
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/digest.h"
#include "engine/os.h"

static const enum digest_library libraries[] = {DIGEST_SODIUM, DIGEST_TOMCRYPT};
#define LIBRARIES (sizeof libraries / sizeof libraries[0])

static void must_be(const struct digest_piece *pieces, uint32_t count, const char *hex)
{
    uint8_t digest[DIGEST_BYTES];
    char text[2 * DIGEST_BYTES + 1];
    digest_of(pieces, count, digest);
    sodium_bin2hex(text, sizeof text, digest, sizeof digest);
    assert_string_equal(text, hex);
}

/* What `b2sum -l 256` says of them. */
static void test_known_digests(void **unused)
{
    (void)unused;
    const struct digest_piece abc = {(const uint8_t *)"abc", 3};
    const struct digest_piece letters[] = {
        {(const uint8_t *)"a", 1}, {(const uint8_t *)"", 0}, {(const uint8_t *)"bc", 2}};
    for (size_t i = 0; i < LIBRARIES; i++) {
        digest_choose(libraries[i]);
        must_be(NULL, 0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
        must_be(&abc, 1, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
        must_be(letters, 3, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    }
}

/* A group comes in three pieces of which the first two are short: every place of a block's end is met. */
static void test_both_agree_on_all_lengths(void **unused)
{
    (void)unused;
    enum { FIRST = 8, SECOND = 60, LENGTH_MAX = 700 };
    uint8_t bytes[FIRST + SECOND + LENGTH_MAX];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        const struct digest_piece pieces[] = {
            {bytes, FIRST}, {bytes + FIRST, SECOND}, {bytes + FIRST + SECOND, length}};
        uint8_t expected[DIGEST_BYTES];
        CHECK(crypto_generichash(expected, sizeof expected, bytes, FIRST + SECOND + length, NULL,
                                 0) == 0);
        for (size_t i = 0; i < LIBRARIES; i++) {
            uint8_t digest[DIGEST_BYTES];
            digest_choose(libraries[i]);
            digest_of(pieces, 3, digest);
            assert_memory_equal(digest, expected, sizeof digest);
        }
    }
}

/* Whichever that is. */
static void test_the_faster_one_is_right(void **unused)
{
    (void)unused;
    const struct digest_piece abc = {(const uint8_t *)"abc", 3};
    digest_choose_faster(os_default());
    must_be(&abc, 1, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digests),
        cmocka_unit_test(test_both_agree_on_all_lengths),
        cmocka_unit_test(test_the_faster_one_is_right),
    };
    CHECK(sodium_init() >= 0);
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
