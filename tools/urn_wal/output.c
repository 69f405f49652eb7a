/* output.c: a buffer in front of a stream, and the few things that are put into it. */
#include "tools/urn_wal/output.h"

#include <string.h>

#include "engine/check.h"

void output_begin(struct output *output, FILE *stream)
{
    output->stream = stream;
    output->failed = false;
    output->used_bytes = 0;
}

static void flush(struct output *output)
{
    if (!output->failed &&
        fwrite(output->buffer, 1, output->used_bytes, output->stream) != output->used_bytes)
        output->failed = true;
    output->used_bytes = 0;
}

bool output_end(struct output *output)
{
    flush(output);
    if (fflush(output->stream) != 0)
        output->failed = true;
    return !output->failed;
}

bool output_failed(const struct output *output)
{
    return output->failed;
}

/* Room for so many bytes (far fewer than the buffer holds) at the buffer's end. */
static char *room(struct output *output, uint32_t bytes)
{
    CHECK(bytes <= OUTPUT_BYTES);
    if (OUTPUT_BYTES - output->used_bytes < bytes)
        flush(output);
    char *at = output->buffer + output->used_bytes;
    output->used_bytes += bytes;
    return at;
}

void output_text(struct output *output, const char *text)
{
    const size_t length = strlen(text);
    CHECK(length <= OUTPUT_BYTES);
    memcpy(room(output, (uint32_t)length), text, length);
}

void output_number(struct output *output, uint64_t number)
{
    char digits[20];
    uint32_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    memcpy(room(output, (uint32_t)sizeof digits - at), digits + at, sizeof digits - at);
}

void output_hex(struct output *output, const uint8_t *bytes, uint32_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < length; i++) {
        char *at = room(output, 2);
        at[0] = digits[bytes[i] >> 4];
        at[1] = digits[bytes[i] & 15];
    }
}

void output_name(struct output *output, struct urn_text name)
{
    for (uint32_t i = 0; i < name.length; i++) {
        if (name.bytes[i] == ' ')
            memcpy(room(output, 4), "\\x20", 4);
        else if (name.bytes[i] == '\\')
            memcpy(room(output, 4), "\\x5c", 4);
        else
            *room(output, 1) = name.bytes[i];
    }
}
