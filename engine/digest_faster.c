/* digest_faster.c: the choice that digest.h tells of; apart, because it alone needs a clock. */
#include "engine/digest.h"
#include "engine/os.h"

/* So much is hashed so often by each, in turns; the least time counts, which no other program has disturbed. */
#define TIMED_BYTES 16384u
#define TIMED_TURNS 4u

static uint64_t time_ns(struct urn_os *os, enum digest_library library)
{
    static const uint8_t bytes[TIMED_BYTES];
    const struct digest_piece piece = {bytes, sizeof bytes};
    uint8_t digest[DIGEST_BYTES];
    digest_choose(library);
    const uint64_t began_ns = os_monotonic_ns(os);
    digest_of(&piece, 1, digest);
    return os_monotonic_ns(os) - began_ns;
}

void digest_choose_faster(struct urn_os *os)
{
    uint64_t sodium_ns = UINT64_MAX;
    uint64_t tomcrypt_ns = UINT64_MAX;
    for (uint32_t turn = 0; turn < TIMED_TURNS; turn++) {
        const uint64_t one_ns = time_ns(os, DIGEST_SODIUM);
        const uint64_t other_ns = time_ns(os, DIGEST_TOMCRYPT);
        sodium_ns = one_ns < sodium_ns ? one_ns : sodium_ns;
        tomcrypt_ns = other_ns < tomcrypt_ns ? other_ns : tomcrypt_ns;
    }
    digest_choose(tomcrypt_ns < sodium_ns ? DIGEST_TOMCRYPT : DIGEST_SODIUM);
}
