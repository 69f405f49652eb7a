/* digest.h: BLAKE2b of a group, by the faster of two libraries.
 *
 * Digests are half of what the commit thread does for large groups, and two thirds of reading a log. Whose BLAKE2b
 * is the faster depends on the processor: libsodium's uses vectors, LibTomCrypt's is plain C, which takes two
 * thirds of the time on AMD's Zen 5. So a program that will take many digests has both timed once, as Linux does
 * with its checksums for RAID. They give the same bytes: nothing but time depends on the choice.
 */
#ifndef URN_ENGINE_DIGEST_H
#define URN_ENGINE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct urn_os;

#define DIGEST_BYTES 32u

enum digest_library { DIGEST_SODIUM, DIGEST_TOMCRYPT };

struct digest_piece {
    const uint8_t *bytes;
    size_t length_bytes;
};

/* BLAKE2b-256, without a key, of the pieces one behind the other. By libsodium until another is chosen. Any thread. */
void digest_of(const struct digest_piece *pieces, uint32_t count, uint8_t digest[DIGEST_BYTES]);

/* From here on digests are taken with this one. Any thread. */
void digest_choose(enum digest_library library);

/* Chooses the one that takes less time here and now: 0.2 ms to find out, in which either may be in use. Behind
 * sodium_init(). Any thread. */
void digest_choose_faster(struct urn_os *os);

#endif
