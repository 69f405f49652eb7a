/* rpc_writer.h: MessagePack into a buffer of fixed size.
 *
 * Never writes outside the buffer: the first value that does not fit sets `overflow` and takes the
 * rest of the room away, so nothing after it is written either; check it once, at the end. Every
 * value gets its shortest encoding, byte for byte what msgpack-c's packer makes (a test compares
 * them). Inline, because the reply to a single draw is written about a million times a second.
 *
 * A map or array header must be followed by exactly as many values as it says; nobody counts.
 */
#ifndef URN_PROTO_RPC_WRITER_H
#define URN_PROTO_RPC_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/urn.h"

struct rpc_writer {
    uint8_t *begin;
    uint8_t *next; /* where the next value goes; next - begin bytes have been written */
    uint8_t *end;
    bool overflow;
};

/* The caller keeps the buffer. */
static inline void rpc_writer_begin(struct rpc_writer *writer, void *buffer, size_t capacity_bytes)
{
    writer->begin = buffer;
    writer->next = buffer;
    writer->end = writer->next + capacity_bytes;
    writer->overflow = false;
}

static inline size_t rpc_written_bytes(const struct rpc_writer *writer)
{
    return (size_t)(writer->next - writer->begin);
}

/* True when so many bytes fit; otherwise nothing more will be written. */
static inline bool rpc_writer_room(struct rpc_writer *writer, size_t bytes)
{
    if (__builtin_expect((size_t)(writer->end - writer->next) >= bytes, 1))
        return true;
    writer->overflow = true;
    writer->end = writer->next;
    return false;
}

/* ---- big-endian, as MessagePack has it --------------------------------------------------- */

static inline void rpc_put_tagged_u8(struct rpc_writer *writer, uint8_t tag, uint8_t value)
{
    if (!rpc_writer_room(writer, 2))
        return;
    writer->next[0] = tag;
    writer->next[1] = value;
    writer->next += 2;
}

static inline void rpc_put_tagged_u16(struct rpc_writer *writer, uint8_t tag, uint16_t value)
{
    if (!rpc_writer_room(writer, 3))
        return;
    uint16_t big_endian = __builtin_bswap16(value);
    writer->next[0] = tag;
    memcpy(writer->next + 1, &big_endian, sizeof big_endian);
    writer->next += 3;
}

static inline void rpc_put_tagged_u32(struct rpc_writer *writer, uint8_t tag, uint32_t value)
{
    if (!rpc_writer_room(writer, 5))
        return;
    uint32_t big_endian = __builtin_bswap32(value);
    writer->next[0] = tag;
    memcpy(writer->next + 1, &big_endian, sizeof big_endian);
    writer->next += 5;
}

static inline void rpc_put_tagged_u64(struct rpc_writer *writer, uint8_t tag, uint64_t value)
{
    if (!rpc_writer_room(writer, 9))
        return;
    uint64_t big_endian = __builtin_bswap64(value);
    writer->next[0] = tag;
    memcpy(writer->next + 1, &big_endian, sizeof big_endian);
    writer->next += 9;
}

static inline void rpc_put_byte(struct rpc_writer *writer, uint8_t value)
{
    if (rpc_writer_room(writer, 1))
        *writer->next++ = value;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the puts above swap bytes");

/* ---- values ------------------------------------------------------------------------------ */

static inline void rpc_write_nil(struct rpc_writer *writer)
{
    rpc_put_byte(writer, 0xc0);
}

static inline void rpc_write_bool(struct rpc_writer *writer, bool value)
{
    rpc_put_byte(writer, value ? 0xc3 : 0xc2);
}

/* So far a number is its own byte. */
#define RPC_FIXINT_MAX 0x7fu

static inline void rpc_write_uint(struct rpc_writer *writer, uint64_t value)
{
    if (value <= RPC_FIXINT_MAX)
        rpc_put_byte(writer, (uint8_t)value);
    else if (value <= UINT8_MAX)
        rpc_put_tagged_u8(writer, 0xcc, (uint8_t)value);
    else if (value <= UINT16_MAX)
        rpc_put_tagged_u16(writer, 0xcd, (uint16_t)value);
    else if (value <= UINT32_MAX)
        rpc_put_tagged_u32(writer, 0xce, (uint32_t)value);
    else
        rpc_put_tagged_u64(writer, 0xcf, value);
}

static inline void rpc_write_int(struct rpc_writer *writer, int64_t value)
{
    if (value >= 0)
        rpc_write_uint(writer, (uint64_t)value);
    else if (value >= -32)
        rpc_put_byte(writer, (uint8_t)value);
    else if (value >= INT8_MIN)
        rpc_put_tagged_u8(writer, 0xd0, (uint8_t)value);
    else if (value >= INT16_MIN)
        rpc_put_tagged_u16(writer, 0xd1, (uint16_t)value);
    else if (value >= INT32_MIN)
        rpc_put_tagged_u32(writer, 0xd2, (uint32_t)value);
    else
        rpc_put_tagged_u64(writer, 0xd3, (uint64_t)value);
}

static inline void rpc_write_double(struct rpc_writer *writer, double value)
{
    uint64_t bits;
    _Static_assert(sizeof bits == sizeof value, "an IEEE 754 double");
    memcpy(&bits, &value, sizeof bits);
    rpc_put_tagged_u64(writer, 0xcb, bits);
}

/* The bytes must be UTF-8: clients refuse to decode a str that is not. */
static inline void rpc_write_str(struct rpc_writer *writer, const char *bytes, uint32_t length)
{
    if (length < 32)
        rpc_put_byte(writer, (uint8_t)(0xa0 | length));
    else if (length <= UINT8_MAX)
        rpc_put_tagged_u8(writer, 0xd9, (uint8_t)length);
    else if (length <= UINT16_MAX)
        rpc_put_tagged_u16(writer, 0xda, (uint16_t)length);
    else
        rpc_put_tagged_u32(writer, 0xdb, length);
    if (length > 0 && rpc_writer_room(writer, length)) {
        memcpy(writer->next, bytes, length);
        writer->next += length;
    }
}

/* A terminated string; for literals the length is known when compiling. */
static inline void rpc_write_cstr(struct rpc_writer *writer, const char *text)
{
    rpc_write_str(writer, text, (uint32_t)strlen(text));
}

static inline void rpc_write_array(struct rpc_writer *writer, uint32_t elements)
{
    if (elements < 16)
        rpc_put_byte(writer, (uint8_t)(0x90 | elements));
    else if (elements <= UINT16_MAX)
        rpc_put_tagged_u16(writer, 0xdc, (uint16_t)elements);
    else
        rpc_put_tagged_u32(writer, 0xdd, elements);
}

static inline void rpc_write_map(struct rpc_writer *writer, uint32_t pairs)
{
    if (pairs < 16)
        rpc_put_byte(writer, (uint8_t)(0x80 | pairs));
    else if (pairs <= UINT16_MAX)
        rpc_put_tagged_u16(writer, 0xde, (uint16_t)pairs);
    else
        rpc_put_tagged_u32(writer, 0xdf, pairs);
}

/* ---- messages ---------------------------------------------------------------------------- */

/* The most bytes of `[1, msgid, nil,` and of a whole error response. */
#define RPC_RESPONSE_HEADER_BYTES_MAX 8u
#define RPC_ERROR_TEXT_BYTES_MAX      600u
#define RPC_ERROR_REPLY_BYTES_MAX     (8u + 3u + RPC_ERROR_TEXT_BYTES_MAX)

/* Begins a successful response: [1, msgid, nil, and the caller writes the one result. */
static inline void rpc_write_result_header(struct rpc_writer *writer, uint32_t msgid)
{
    rpc_put_byte(writer, 0x94);
    rpc_put_byte(writer, 1);
    rpc_write_uint(writer, msgid);
    rpc_write_nil(writer);
}

/* A whole error response: [1, msgid, "CODE text", nil]. At most RPC_ERROR_REPLY_BYTES_MAX bytes; a
 * longer text is cut, and what is not UTF-8 in it replaced, so that every client can decode it. */
void rpc_write_error(struct rpc_writer *writer, uint32_t msgid, enum urn_code code,
                     const char *text);

#endif
