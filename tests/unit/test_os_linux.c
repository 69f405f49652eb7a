/* The random source of the real system: engine/os_linux.c. */
#include <inttypes.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/os.h"

#define KEY_BYTES    crypto_stream_chacha20_KEYBYTES
#define BLOCK_BYTES  64u
#define BLOCK_OF_OUT 1u /* block 0 is the next key */
#define PIECE_BYTES  (1u << 20)
#define REGION_MAX                                                                                 \
    (64u << 20) /* larger ones are a sanitizer's shadow, and hold nothing of the program */

static void every_length_is_filled_and_nothing_else(void **state)
{
    (void)state;
    enum { LENGTH_MAX = 200, TRIES = 8 };
    for (size_t length = 0; length <= LENGTH_MAX; length++) {
        uint8_t seen[LENGTH_MAX] = {0}; /* bits that were 1 in some try */
        for (uint32_t try = 0; try < TRIES; try++) {
            uint8_t bytes[LENGTH_MAX + 1];
            memset(bytes, 0, sizeof bytes);
            os_random(os_default(), bytes, length);
            for (size_t i = 0; i < length; i++)
                seen[i] |= bytes[i];
            assert_int_equal(bytes[length], 0);
        }
        for (size_t i = 0; i < length; i++) /* all 0 in eight tries: once in 2^64 */
            assert_int_not_equal(seen[i], 0);
    }
}

/* Most memory is zeroes, text and addresses; of random keys one in 8192 looks like that. */
static bool may_be_key(const uint8_t *bytes)
{
    for (uint32_t i = 0; i < KEY_BYTES; i += 4)
        if (get_u32(bytes + i) >> 16 == 0)
            return false;
    return true;
}

static bool makes(const uint8_t *key, const uint8_t *given)
{
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    uint8_t block[BLOCK_BYTES] = {0};
    crypto_stream_chacha20_xor_ic(block, block, sizeof block, nonce, BLOCK_OF_OUT, key);
    return memcmp(block, given, sizeof block) == 0;
}

/* Looks at all that this process may write, as a dump of its memory would show it. */
static bool memory_has_key_of(const uint8_t *given)
{
    static uint8_t piece[PIECE_BYTES];
    bool has = false;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    FILE *memory = fopen("/proc/self/mem", "rb");
    CHECK(maps != NULL && memory != NULL);
    while (!has && fgets(line, sizeof line, maps) != NULL) {
        uint64_t begin, end;
        char rights[5];
        CHECK(sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &begin, &end, rights) == 3);
        if (strncmp(rights, "rw", 2) != 0 || end - begin > REGION_MAX)
            continue;
        for (uint64_t at = begin; !has && at < end; at += PIECE_BYTES - KEY_BYTES) {
            const uint64_t left = end - at;
            const ssize_t got =
                pread(fileno(memory), piece, left < PIECE_BYTES ? left : PIECE_BYTES, (off_t)at);
            for (ssize_t i = 0; !has && i + (ssize_t)KEY_BYTES <= got; i += 4)
                has = may_be_key(piece + i) && makes(piece + i, given);
        }
    }
    sodium_memzero(piece, sizeof piece); /* the next look is not to find what this one has copied */
    (void)fclose(memory);
    (void)fclose(maps);
    return has;
}

static void what_was_given_cannot_be_made_again(void **state)
{
    (void)state;
    static const size_t lengths[] = {BLOCK_BYTES, BLOCK_BYTES + 16, 4096};
    uint8_t given[4096];
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        os_random(os_default(), given, lengths[i]);
        assert_false(memory_has_key_of(given));
    }
}

/* The look itself finds a key that is there. */
static void a_key_that_is_left_is_found(void **state)
{
    (void)state;
    static const uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    uint8_t *key = malloc(KEY_BYTES);
    uint8_t given[BLOCK_BYTES] = {0};
    assert_non_null(key);
    do
        os_random(os_default(), key, KEY_BYTES);
    while (!may_be_key(key));
    crypto_stream_chacha20_xor_ic(given, given, sizeof given, nonce, BLOCK_OF_OUT, key);
    assert_true(memory_has_key_of(given));
    free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_is_filled_and_nothing_else),
        cmocka_unit_test(what_was_given_cannot_be_made_again),
        cmocka_unit_test(a_key_that_is_left_is_found),
    };
    CHECK(sodium_init() >= 0);
    return cmocka_run_group_tests_name("os_linux", tests, NULL, NULL);
}
