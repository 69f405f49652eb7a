/* rpc_value.h: one MessagePack value by its first bytes, which is all that a reader of a bounded stream
 * needs: what it is, how long its header is, and what follows.
 *
 *     first byte   value                       header bytes        then
 *     00 - 7f      integer 0 to 127            1
 *     80 - 8f      map                         1                   pairs
 *     90 - 9f      array                       1                   elements
 *     a0 - bf      str                         1                   bytes
 *     c0 c2 c3     nil, false, true            1
 *     c1           never used                  refused
 *     c4 c5 c6     bin                         2, 3, 5             bytes
 *     c7 c8 c9     ext                         3, 4, 6             bytes
 *     ca cb        float                       5, 9
 *     cc - cf      unsigned integer            2, 3, 5, 9
 *     d0 - d3      signed integer              2, 3, 5, 9
 *     d4 - d8      ext                         2                   1, 2, 4, 8, 16 bytes
 *     d9 da db     str                         2, 3, 5             bytes
 *     dc dd        array                       3, 5                elements
 *     de df        map                         3, 5                pairs
 *     e0 - ff      integer -32 to -1           1
 *
 * Inline, because the server reads every byte of every request with it, and urn-bench those of every
 * reply. Pure; nothing beyond the bytes available is read.
 */
#ifndef URN_PROTO_RPC_VALUE_H
#define URN_PROTO_RPC_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_HEADER_BYTES_MAX 9u

enum kind {
    KIND_INVALID,
    KIND_NIL,
    KIND_BOOL,
    KIND_UINT, /* 0 or more, whichever the encoding */
    KIND_NEGATIVE,
    KIND_FLOAT,
    KIND_STR,
    KIND_BIN,
    KIND_ARRAY,
    KIND_MAP,
    KIND_EXT,
};

struct value {
    enum kind kind;
    uint32_t header_bytes; /* the first byte and what has a fixed length after it */
    uint32_t length;       /* str, bin, ext: bytes after the header; array, map: elements, pairs */
    union {
        uint64_t magnitude; /* UINT */
        int64_t negative;   /* NEGATIVE */
        bool truth;         /* BOOL */
    };
};

static inline uint64_t value_big_endian(const uint8_t *bytes, uint32_t count)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* A signed integer of 1, 2, 4 or 8 bytes. */
static inline int64_t value_sign_extend(uint64_t bits, uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return (int8_t)(uint8_t)bits;
    case 2:
        return (int16_t)(uint16_t)bits;
    case 4:
        return (int32_t)(uint32_t)bits;
    default:
        return (int64_t)bits;
    }
}

/* What each of the first bytes 0xc0 to 0xdf begins. A number of argument_bytes follows it: a
 * length, or the integer itself. */
static const struct {
    enum kind kind;
    uint8_t argument_bytes;
    uint8_t extra_bytes; /* an ext's type, a float */
    uint8_t length;      /* where no argument says it */
} value_tagged[32] = {
    [0x00] = {KIND_NIL},           [0x01] = {KIND_INVALID},      [0x02] = {KIND_BOOL},
    [0x03] = {KIND_BOOL},          [0x04] = {KIND_BIN, 1},       [0x05] = {KIND_BIN, 2},
    [0x06] = {KIND_BIN, 4},        [0x07] = {KIND_EXT, 1, 1},    [0x08] = {KIND_EXT, 2, 1},
    [0x09] = {KIND_EXT, 4, 1},     [0x0a] = {KIND_FLOAT, 0, 4},  [0x0b] = {KIND_FLOAT, 0, 8},
    [0x0c] = {KIND_UINT, 1},       [0x0d] = {KIND_UINT, 2},      [0x0e] = {KIND_UINT, 4},
    [0x0f] = {KIND_UINT, 8},       [0x10] = {KIND_NEGATIVE, 1},  [0x11] = {KIND_NEGATIVE, 2},
    [0x12] = {KIND_NEGATIVE, 4},   [0x13] = {KIND_NEGATIVE, 8},  [0x14] = {KIND_EXT, 0, 1, 1},
    [0x15] = {KIND_EXT, 0, 1, 2},  [0x16] = {KIND_EXT, 0, 1, 4}, [0x17] = {KIND_EXT, 0, 1, 8},
    [0x18] = {KIND_EXT, 0, 1, 16}, [0x19] = {KIND_STR, 1},       [0x1a] = {KIND_STR, 2},
    [0x1b] = {KIND_STR, 4},        [0x1c] = {KIND_ARRAY, 2},     [0x1d] = {KIND_ARRAY, 4},
    [0x1e] = {KIND_MAP, 2},        [0x1f] = {KIND_MAP, 4},
};

/* Reads a value that begins with one of 0xc0 to 0xdf. */
static inline void value_read_tagged(const uint8_t *bytes, size_t available, struct value *value)
{
    uint32_t tag = bytes[0] & 0x1fu;
    uint32_t argument_bytes = value_tagged[tag].argument_bytes;
    value->kind = value_tagged[tag].kind;
    value->header_bytes = 1 + argument_bytes + value_tagged[tag].extra_bytes;
    value->length = value_tagged[tag].length;
    if (available < value->header_bytes)
        return;
    if (value->kind == KIND_BOOL) {
        value->truth = tag == 0x03;
        return;
    }
    uint64_t argument = value_big_endian(bytes + 1, argument_bytes);
    if (value->kind == KIND_UINT) {
        value->magnitude = argument;
    } else if (value->kind == KIND_NEGATIVE) {
        value->negative = value_sign_extend(argument, argument_bytes);
        if (value->negative >= 0) {
            value->kind = KIND_UINT;
            value->magnitude = (uint64_t)value->negative;
        }
    } else if (argument_bytes > 0) {
        value->length = (uint32_t)argument;
    }
}

/* Reads the header of the value at bytes[0]; at least one byte must be available. kind and
 * header_bytes are always set; the rest is when header_bytes are available. */
static inline void value_read(const uint8_t *bytes, size_t available, struct value *value)
{
    uint8_t first = bytes[0];
    value->header_bytes = 1;
    value->length = 0;
    if (first < 0x80) {
        value->kind = KIND_UINT;
        value->magnitude = first;
    } else if (first < 0x90) {
        value->kind = KIND_MAP;
        value->length = first & 0x0fu;
    } else if (first < 0xa0) {
        value->kind = KIND_ARRAY;
        value->length = first & 0x0fu;
    } else if (first < 0xc0) {
        value->kind = KIND_STR;
        value->length = first & 0x1fu;
    } else if (first >= 0xe0) {
        value->kind = KIND_NEGATIVE;
        value->negative = first - 256;
    } else {
        value_read_tagged(bytes, available, value);
    }
}

/* Values that a container announces. */
static inline uint64_t value_elements(const struct value *value)
{
    if (value->kind == KIND_ARRAY)
        return value->length;
    return value->kind == KIND_MAP ? 2ull * value->length : 0;
}

/* Bytes that follow the header and belong to no other value. */
static inline uint32_t value_body_bytes(const struct value *value)
{
    bool has_body = value->kind == KIND_STR || value->kind == KIND_BIN || value->kind == KIND_EXT;
    return has_body ? value->length : 0;
}

static inline bool value_is_text(const struct value *value)
{
    return value->kind == KIND_STR || value->kind == KIND_BIN;
}

#endif
