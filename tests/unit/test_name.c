/* test_name.c: which bytes may be a name, and that the hash spreads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/name.h"

#define BYTES(literal) literal, (uint32_t)(sizeof(literal) - 1)

static void what_people_write_is_a_name(void **state)
{
    (void)state;
    assert_true(name_is_valid(BYTES("a")));
    assert_true(name_is_valid(BYTES("diamond ring, 2 carat; \"new\" \\ 'x'")));
    assert_true(name_is_valid(BYTES("\xc2\xa0")));          /* U+00A0: the first after C1 */
    assert_true(name_is_valid(BYTES("\xc3\xa9t\xc3\xa9"))); /* été */
    assert_true(name_is_valid(BYTES("\xdf\xbf")));          /* U+07FF */
    assert_true(name_is_valid(BYTES("\xe0\xa0\x80")));      /* U+0800 */
    assert_true(name_is_valid(BYTES("\xed\x9f\xbf")));      /* U+D7FF: before the surrogates */
    assert_true(name_is_valid(BYTES("\xee\x80\x80")));      /* U+E000: behind them */
    assert_true(name_is_valid(BYTES("\xef\xbf\xbf")));      /* U+FFFF */
    assert_true(name_is_valid(BYTES("\xf0\x90\x80\x80")));  /* U+10000 */
    assert_true(name_is_valid(BYTES("\xf4\x8f\xbf\xbf")));  /* U+10FFFF */
    assert_true(name_is_valid(BYTES("\xf0\x9f\x92\x8e")));  /* a gem stone */
}

static void malformed_utf8_is_none(void **state)
{
    (void)state;
    const char *const malformed[] = {
        "\x80", /* a continuation byte alone */
        "\xbf",
        "\xc0\x80",         /* overlong: NUL in two bytes */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong U+07FF */
        "\xf0\x8f\xbf\xbf", /* overlong U+FFFF */
        "\xed\xa0\x80",     /* the surrogate U+D800 */
        "\xed\xbf\xbf",     /* the surrogate U+DFFF */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc3", /* cut short */
        "\xe2\x82",
        "\xf0\x9f\x92",
        "\xc3(", /* a continuation byte is missing */
        "\xe2(\xa1",
        "\xe2\x82(",
        "\xf0(\x8c\xbc",
        "\xf0\x90(\xbc",
        "\xf0\x28\x8c(",
        "\xc3\xc3\xa9",
        "good\xa9",
    };
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_false(name_is_valid(malformed[i], (uint32_t)strlen(malformed[i])));
}

static void control_characters_are_none(void **state)
{
    (void)state;
    char name[3] = {'a', 0, 'b'};
    for (int byte = 0; byte < 0x20; byte++) {
        name[1] = (char)byte;
        assert_false(name_is_valid(name, 3));
        assert_false(name_is_valid(name + 1, 1));
    }
    assert_false(name_is_valid(BYTES("a\x7f")));
    assert_true(name_is_valid(BYTES("\x7e")));
    char c1[2] = {(char)0xc2, 0};
    for (int byte = 0x80; byte < 0xa0; byte++) {
        c1[1] = (char)byte;
        assert_false(name_is_valid(c1, 2));
    }
}

static void a_name_has_1_to_64_bytes(void **state)
{
    (void)state;
    char bytes[65];
    memset(bytes, 'x', sizeof bytes);
    assert_false(name_is_valid(bytes, 0));
    assert_true(name_is_valid(bytes, 1));
    assert_true(name_is_valid(bytes, 64));
    assert_false(name_is_valid(bytes, 65));
    /* A sequence that ends behind the 64th byte must not be looked at beyond it. */
    bytes[63] = (char)0xc3;
    bytes[64] = (char)0xa9;
    assert_false(name_is_valid(bytes, 64));
}

/* Throws many similar names into few slots by each half of the hash, and compares with chance. */
static void the_hash_spreads_similar_names(void **state)
{
    (void)state;
    enum { SLOTS = 256, NAMES = 100 * SLOTS };
    uint32_t by_low[SLOTS] = {0}, by_high[SLOTS] = {0};
    for (uint32_t i = 0; i < NAMES; i++) {
        char name[32];
        int length = snprintf(name, sizeof name, "coupon-%u", i);
        uint64_t hash = name_hash(name, (uint32_t)length);
        by_low[hash % SLOTS]++;
        by_high[hash >> 56]++;
    }
    double chi_low = 0, chi_high = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        chi_low += (by_low[slot] - 100.0) * (by_low[slot] - 100.0) / 100.0;
        chi_high += (by_high[slot] - 100.0) * (by_high[slot] - 100.0) / 100.0;
    }
    /* 255 degrees of freedom: mean 255, standard deviation 22.6 */
    assert_true(chi_low < 400 && chi_high < 400);
}

static void the_hash_sees_every_byte_and_the_length(void **state)
{
    (void)state;
    char name[64];
    memset(name, 'a', sizeof name);
    for (uint32_t length = 1; length <= sizeof name; length++) {
        uint64_t hash = name_hash(name, length);
        assert_int_equal(hash, name_hash(name, length));
        if (length > 1)
            assert_int_not_equal(hash, name_hash(name, length - 1));
        for (uint32_t i = 0; i < length; i++) {
            name[i] = 'b';
            assert_int_not_equal(hash, name_hash(name, length));
            name[i] = 'a';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write_is_a_name),
        cmocka_unit_test(malformed_utf8_is_none),
        cmocka_unit_test(control_characters_are_none),
        cmocka_unit_test(a_name_has_1_to_64_bytes),
        cmocka_unit_test(the_hash_spreads_similar_names),
        cmocka_unit_test(the_hash_sees_every_byte_and_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
