/* output.c: a buffer in front of a stream, and the few things that are put into it. */
#include "tools/urn_wal/output.h"

#include <string.h>

#include "engine/check.h"

void output_begin(struct output *output, FILE *stream)
{
    output->stream = stream;
    output->failed = false;
    output->used_bytes = 0;
    output->whole_bytes = 0;
}

/* Writes the whole lines and keeps what has been begun of the next. */
static void write_lines(struct output *output)
{
    if (!output->failed &&
        fwrite(output->buffer, 1, output->whole_bytes, output->stream) != output->whole_bytes)
        output->failed = true;
    memmove(output->buffer, output->buffer + output->whole_bytes,
            output->used_bytes - output->whole_bytes);
    output->used_bytes -= output->whole_bytes;
    output->whole_bytes = 0;
}

void output_flush(struct output *output)
{
    write_lines(output);
    if (fflush(output->stream) != 0)
        output->failed = true;
}

bool output_end(struct output *output)
{
    output_flush(output);
    return !output->failed;
}

char *output_room(struct output *output, uint32_t bytes)
{
    CHECK(bytes <= OUTPUT_BYTES / 4);
    if (OUTPUT_BYTES - output->used_bytes < bytes)
        write_lines(output);
    if (OUTPUT_BYTES - output->used_bytes < bytes) {
        output->whole_bytes = output->used_bytes; /* a line longer than the buffer */
        write_lines(output);
    }
    return output->buffer + output->used_bytes;
}

void output_filled(struct output *output, const char *end, bool whole_lines)
{
    output->used_bytes = (uint32_t)(end - output->buffer);
    CHECK(output->used_bytes <= OUTPUT_BYTES);
    if (whole_lines)
        output->whole_bytes = output->used_bytes;
}

void output_bytes(struct output *output, const void *bytes, uint32_t length)
{
    const char *from = bytes;
    while (length > 0) {
        const uint32_t piece = length < OUTPUT_BYTES / 4 ? length : OUTPUT_BYTES / 4;
        char *to = output_room(output, piece);
        memcpy(to, from, piece);
        output_filled(output, to + piece, false);
        from += piece;
        length -= piece;
    }
}

void output_text(struct output *output, const char *text)
{
    output_bytes(output, text, (uint32_t)strlen(text));
}

void output_line_end(struct output *output)
{
    char *to = output_room(output, 1);
    *to = '\n';
    output_filled(output, to + 1, true);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static const char digit_pairs[201] =
    "00010203040506070809101112131415161718192021222324252627282930313233"
    "34353637383940414243444546474849505152535455565758596061626364656667"
    "6869707172737475767778798081828384858687888990919293949596979899";

char *put_decimal(char *to, uint64_t number)
{
    char digits[20];
    char *begin = digits + sizeof digits;
    while (number >= 100) {
        begin -= 2;
        memcpy(begin, digit_pairs + 2 * (number % 100), 2);
        number /= 100;
    }
    if (number >= 10) {
        begin -= 2;
        memcpy(begin, digit_pairs + 2 * number, 2);
    } else {
        *--begin = (char)('0' + number);
    }
    const size_t length = (size_t)(digits + sizeof digits - begin);
    memcpy(to, begin, length);
    return to + length;
}

void output_number(struct output *output, uint64_t number)
{
    output_filled(output, put_decimal(output_room(output, 20), number), false);
}

void output_hex(struct output *output, const uint8_t *bytes, uint32_t length)
{
    static const char digits[] = "0123456789abcdef";
    for (uint32_t i = 0; i < length; i++) {
        char *at = output_room(output, 2);
        at[0] = digits[bytes[i] >> 4];
        at[1] = digits[bytes[i] & 15];
        output_filled(output, at + 2, false);
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

char *put_name(char *to, struct urn_text name)
{
    for (uint32_t i = 0; i < name.length; i++) {
        if (name.bytes[i] == ' ' || name.bytes[i] == '\\') {
            to = put_text(to, name.bytes[i] == ' ' ? "\\x20" : "\\x5c", 4);
        } else {
            *to++ = name.bytes[i];
        }
    }
    return to;
}

void output_name(struct output *output, struct urn_text name)
{
    output_filled(output, put_name(output_room(output, 4 * name.length), name), false);
}

/* Names have no control characters (name.h), but files may be called anything. */
void output_json_name(struct output *output, struct urn_text name)
{
    char *to = output_room(output, 6 * name.length + 2);
    *to++ = '"';
    for (uint32_t i = 0; i < name.length; i++) {
        const unsigned char byte = (unsigned char)name.bytes[i];
        if (byte < 0x20 || byte == 0x7f) {
            to = put_text(to, "\\u00", 4);
            *to++ = "0123456789abcdef"[byte >> 4];
            *to++ = "0123456789abcdef"[byte & 15];
            continue;
        }
        if (byte == '"' || byte == '\\')
            *to++ = '\\';
        *to++ = (char)byte;
    }
    *to++ = '"';
    output_filled(output, to, false);
}

void output_csv_name(struct output *output, struct urn_text name)
{
    char *to = output_room(output, 2 * name.length + 2);
    const bool quoted = memchr(name.bytes, ',', name.length) != NULL ||
                        memchr(name.bytes, '"', name.length) != NULL;
    if (quoted)
        *to++ = '"';
    for (uint32_t i = 0; i < name.length; i++) {
        if (name.bytes[i] == '"')
            *to++ = '"';
        *to++ = name.bytes[i];
    }
    if (quoted)
        *to++ = '"';
    output_filled(output, to, false);
}
