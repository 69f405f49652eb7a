/* bytes.h: integers to and from bytes.
 *
 * Everything urn writes to disk is little-endian and is put and got byte by byte (the compiler
 * makes one move of it); no struct is ever copied to disk. Positions need not be aligned.
 */
#ifndef URN_ENGINE_BYTES_H
#define URN_ENGINE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline void put_u16(uint8_t *to, uint16_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static inline void put_u32(uint8_t *to, uint32_t value)
{
    put_u16(to, (uint16_t)value);
    put_u16(to + 2, (uint16_t)(value >> 16));
}

static inline void put_u64(uint8_t *to, uint64_t value)
{
    put_u32(to, (uint32_t)value);
    put_u32(to + 4, (uint32_t)(value >> 32));
}

static inline uint16_t get_u16(const uint8_t *from)
{
    return (uint16_t)(from[0] | from[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *from)
{
    return get_u16(from) | (uint32_t)get_u16(from + 2) << 16;
}

static inline uint64_t get_u64(const uint8_t *from)
{
    return get_u32(from) | (uint64_t)get_u32(from + 4) << 32;
}

/* Numbers that are all small become bytes a block at a time. The size is fixed, so that compilers make
 * vector code of both loops. */
#define NARROW_BLOCK 16u

static inline bool block_is_below(const uint32_t *numbers, uint32_t end)
{
    uint32_t others = 0;
    for (size_t i = 0; i < NARROW_BLOCK; i++)
        others += numbers[i] >= end;
    return others == 0;
}

static inline void put_block_of_bytes(uint8_t *restrict to, const uint32_t *restrict numbers)
{
    for (size_t i = 0; i < NARROW_BLOCK; i++)
        to[i] = (uint8_t)numbers[i];
}

/* value rounded up to a multiple of unit, which need be no power of two: segments are any number of pages. */
static inline uint64_t round_up_u64(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static inline bool bytes_are_zero(const uint8_t *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

#endif
