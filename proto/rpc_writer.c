/* rpc_writer.c: error responses, and the UTF-8 that they must be. See rpc_writer.h. */
#include "proto/rpc_writer.h"

#include <stdio.h>

#include "proto/rpc.h"

/* Table 3-7 of the Unicode Standard: which second bytes make a sequence well-formed. */
uint32_t rpc_utf8_bytes(const char *bytes, size_t available)
{
    const unsigned char *at = (const unsigned char *)bytes;
    if (available == 0)
        return 0;
    unsigned char lead = at[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    uint32_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (available < length)
        return 0;
    unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < lowest || at[1] > highest)
        return 0;
    for (uint32_t i = 2; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Where to cut a text that goes on after `length` bytes, so that no character is cut through. */
static uint32_t cut_before_character(const char *text, uint32_t length)
{
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static void replace_stray_bytes(char *text, uint32_t length)
{
    for (uint32_t at = 0; at < length;) {
        uint32_t character = rpc_utf8_bytes(text + at, length - at);
        if (character == 0)
            text[at] = '?';
        at += character > 0 ? character : 1;
    }
}

void rpc_write_error(struct rpc_writer *writer, uint32_t msgid, enum urn_code code,
                     const char *text)
{
    if (code >
        URN_INTERNAL) /* what ends a program, not a request: docs/protocol.md lists the others */
        code = URN_INTERNAL;
    char line[RPC_ERROR_TEXT_BYTES_MAX + 2]; /* one byte more than is sent, to see where to cut */
    int wanted = snprintf(line, sizeof line, "%s %s", urn_code_text(code), text);
    uint32_t length = wanted < 0 ? 0 : (uint32_t)wanted;
    if (length > RPC_ERROR_TEXT_BYTES_MAX)
        length = cut_before_character(line, RPC_ERROR_TEXT_BYTES_MAX);
    replace_stray_bytes(line, length);
    rpc_put_byte(writer, 0x94);
    rpc_put_byte(writer, RPC_RESPONSE);
    rpc_write_uint(writer, msgid);
    rpc_write_str(writer, line, length);
    rpc_write_nil(writer);
}
