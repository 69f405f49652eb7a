/* name.c: well-formed UTF-8 without control characters, and a hash. See name.h. */
#include "engine/name.h"

#include "engine/bytes.h"

/* Bytes of the well-formed sequence at the start of bytes, 0 when there is none; *code_point is
 * then set. The bounds of the second byte are those of the Unicode Standard's table of well-formed
 * byte sequences (table 3-7): they exclude overlong forms, surrogates and what lies above U+10FFFF.
 */
static uint32_t sequence_bytes(const uint8_t *bytes, uint32_t length, uint32_t *code_point)
{
    uint8_t first = bytes[0];
    uint8_t second_min = 0x80, second_max = 0xbf;
    uint32_t sequence;
    if (first < 0x80) {
        *code_point = first;
        return 1;
    } else if (first >= 0xc2 && first <= 0xdf) {
        sequence = 2;
        *code_point = first & 0x1fu;
    } else if (first >= 0xe0 && first <= 0xef) {
        sequence = 3;
        *code_point = first & 0x0fu;
        second_min = first == 0xe0 ? 0xa0 : 0x80;
        second_max = first == 0xed ? 0x9f : 0xbf;
    } else if (first >= 0xf0 && first <= 0xf4) {
        sequence = 4;
        *code_point = first & 0x07u;
        second_min = first == 0xf0 ? 0x90 : 0x80;
        second_max = first == 0xf4 ? 0x8f : 0xbf;
    } else {
        return 0;
    }
    if (sequence > length || bytes[1] < second_min || bytes[1] > second_max)
        return 0;
    for (uint32_t i = 1; i < sequence; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        *code_point = *code_point << 6 | (bytes[i] & 0x3fu);
    }
    return sequence;
}

bool name_is_valid(const char *bytes, uint32_t length)
{
    if (length < 1 || length > URN_NAME_BYTES_MAX)
        return false;
    for (uint32_t at = 0; at < length;) {
        if (bytes[at] >= 0x20 && bytes[at] < 0x7f) { /* most of most names */
            at++;
            continue;
        }
        uint32_t code_point = 0;
        uint32_t sequence = sequence_bytes((const uint8_t *)bytes + at, length - at, &code_point);
        if (sequence == 0 || code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0))
            return false;
        at += sequence;
    }
    return true;
}

/* The two halves of a 128-bit product, folded: one multiplication mixes 64 bits well. */
static uint64_t fold_multiply(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t name_hash(const char *bytes, uint32_t length)
{
    /* odd constants without structure: the fractional parts of the golden ratio and of pi */
    const uint64_t multiplier = 0x9e3779b97f4a7c15u, finish = 0x243f6a8885a308d3u;
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t hash = length * finish;
    for (; length >= 8; length -= 8, at += 8)
        hash = fold_multiply(hash ^ get_u64(at), multiplier);
    uint64_t rest = 0;
    for (uint32_t i = 0; i < length; i++)
        rest |= (uint64_t)at[i] << (8 * i);
    return fold_multiply(fold_multiply(hash ^ rest, multiplier), finish);
}
