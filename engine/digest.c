/* digest.c: see digest.h. */
#include "engine/digest.h"

#include <sodium.h>
#include <stdatomic.h>
#include <tomcrypt.h>

#include "engine/check.h"

static _Atomic(enum digest_library) chosen = DIGEST_SODIUM;

static void by_sodium(const struct digest_piece *pieces, uint32_t count,
                      uint8_t digest[DIGEST_BYTES])
{
    crypto_generichash_state state;
    (void)crypto_generichash_init(&state, NULL, 0, DIGEST_BYTES);
    for (uint32_t i = 0; i < count; i++)
        (void)crypto_generichash_update(&state, pieces[i].bytes, pieces[i].length_bytes);
    (void)crypto_generichash_final(&state, digest, DIGEST_BYTES);
}

/* Its errors are those of its caller: wrong arguments, and more than 2^64 bytes. */
static void by_tomcrypt(const struct digest_piece *pieces, uint32_t count,
                        uint8_t digest[DIGEST_BYTES])
{
    hash_state state;
    CHECK(blake2b_256_init(&state) == CRYPT_OK);
    for (uint32_t i = 0; i < count; i++)
        CHECK(blake2b_process(&state, pieces[i].bytes, pieces[i].length_bytes) == CRYPT_OK);
    CHECK(blake2b_done(&state, digest) == CRYPT_OK);
}

void digest_of(const struct digest_piece *pieces, uint32_t count, uint8_t digest[DIGEST_BYTES])
{
    if (atomic_load_explicit(&chosen, memory_order_relaxed) == DIGEST_TOMCRYPT)
        by_tomcrypt(pieces, count, digest);
    else
        by_sodium(pieces, count, digest);
}

void digest_choose(enum digest_library library)
{
    atomic_store_explicit(&chosen, library, memory_order_relaxed);
}
