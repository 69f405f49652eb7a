/* crc32c.h: CRC-32C (Castagnoli; RFC 3720, appendix B.4), the checksum of groups, segment headers,
 * snapshot blocks and IDENTITY. Computed by ISA-L, 4 GB/s and more. Any thread. */
#ifndef URN_ENGINE_CRC32C_H
#define URN_ENGINE_CRC32C_H

#include <isa-l/crc.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

/* Goes on from the checksum of the bytes before (0 where there are none). */
static inline uint32_t crc32c_extend(uint32_t checksum, const void *bytes, size_t length)
{
    union {
        const void *readable;
        unsigned char *as_isal_wants_it; /* which only reads it */
    } at = {.readable = bytes};
    while (length > 0) {
        int piece = length < INT_MAX / 2 ? (int)length : INT_MAX / 2; /* ISA-L counts in int */
        checksum = ~crc32_iscsi(at.as_isal_wants_it, piece, ~checksum);
        at.as_isal_wants_it += piece;
        length -= (size_t)piece;
    }
    return checksum;
}

static inline uint32_t crc32c(const void *bytes, size_t length)
{
    return crc32c_extend(0, bytes, length);
}

#endif
