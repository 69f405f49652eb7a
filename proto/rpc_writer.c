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

/* Makes UTF-8 of length bytes in place: each stray byte becomes a question mark, and a character
 * that the end cuts through is dropped. Returns the length then. */
static uint32_t make_utf8(char *text, uint32_t length)
{
    uint32_t at = 0;
    while (at < length) {
        uint32_t character = rpc_utf8_bytes(text + at, length - at);
        bool may_be_cut = length - at < 4 && ((unsigned char)text[at] & 0xc0) == 0xc0;
        if (character == 0 && may_be_cut)
            return at;
        if (character == 0)
            text[at] = '?';
        at += character > 0 ? character : 1;
    }
    return length;
}

void rpc_write_error(struct rpc_writer *writer, uint32_t msgid, enum urn_code code,
                     const char *text)
{
    char line[RPC_ERROR_TEXT_BYTES_MAX + 1];
    int wanted = snprintf(line, sizeof line, "%s %s", urn_code_text(code), text);
    uint32_t length = wanted < 0 ? 0 : (uint32_t)wanted;
    if (length > RPC_ERROR_TEXT_BYTES_MAX)
        length = RPC_ERROR_TEXT_BYTES_MAX;
    length = make_utf8(line, length);
    rpc_put_byte(writer, 0x94);
    rpc_put_byte(writer, RPC_RESPONSE);
    rpc_write_uint(writer, msgid);
    rpc_write_str(writer, line, length);
    rpc_write_nil(writer);
}
