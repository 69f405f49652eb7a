/* facts.c: see facts.h. */
#include "engine/facts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine/check.h"
#include "engine/crc32c.h"

#define FORMAT_NAME    "format"
#define CRC_KEY        "crc32c: "
#define CRC_LINE_BYTES (sizeof CRC_KEY - 1 + 8 + 1)

void uuid_text(const uint8_t uuid[WAL_UUID_BYTES], char text[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    char *to = text;
    for (uint32_t i = 0; i < WAL_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[uuid[i] >> 4];
        *to++ = digits[uuid[i] & 0xf];
    }
    *to++ = '\0';
    CHECK(to == text + UUID_TEXT_BYTES);
}

/* ---- writing --------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add(struct facts_writer *writer,
                                                      const char *format, ...)
{
    const size_t room = writer->room_bytes - writer->length;
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(writer->text + writer->length, room, format, arguments);
    va_end(arguments);
    CHECK(length > 0 && (size_t)length < room);
    writer->length += (size_t)length;
}

void facts_begin(struct facts_writer *writer, char *text, size_t room_bytes, const char *what,
                 uint32_t format)
{
    *writer = (struct facts_writer){.text = text, .room_bytes = room_bytes};
    add(writer, "%s\n", what);
    facts_add_number(writer, FORMAT_NAME, format);
}

void facts_add_uuid(struct facts_writer *writer, const char *name,
                    const uint8_t uuid[WAL_UUID_BYTES])
{
    char text[UUID_TEXT_BYTES];
    uuid_text(uuid, text);
    facts_add_text(writer, name, text);
}

void facts_add_number(struct facts_writer *writer, const char *name, uint64_t number)
{
    add(writer, "%s: %" PRIu64 "\n", name, number);
}

void facts_add_text(struct facts_writer *writer, const char *name, const char *value)
{
    add(writer, "%s: %s\n", name, value);
}

size_t facts_end(struct facts_writer *writer)
{
    add(writer, CRC_KEY "%08" PRIx32 "\n", crc32c(writer->text, writer->length));
    return writer->length;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool take_literal(struct facts_reader *reader, const char *literal)
{
    size_t length = strlen(literal);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, literal, length) != 0)
        return false;
    reader->at += length;
    return true;
}

static bool take_name(struct facts_reader *reader, const char *name)
{
    return take_literal(reader, name) && take_literal(reader, ": ");
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool take_hex_byte(struct facts_reader *reader, uint8_t *byte)
{
    if (reader->end - reader->at < 2)
        return false;
    int high = hex_digit(reader->at[0]);
    int low = hex_digit(reader->at[1]);
    if (high < 0 || low < 0)
        return false;
    *byte = (uint8_t)(high << 4 | low);
    reader->at += 2;
    return true;
}

/* True when the last line is the CRC of all that stands before it; *facts is then what does. */
static bool crc_holds(const char *text, size_t length, struct facts_reader *facts)
{
    if (length < CRC_LINE_BYTES)
        return false;
    size_t facts_bytes = length - CRC_LINE_BYTES;
    struct facts_reader crc_line = {text + facts_bytes, text + length};
    if (!take_literal(&crc_line, CRC_KEY))
        return false;
    uint32_t crc = 0;
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t byte = 0;
        if (!take_hex_byte(&crc_line, &byte))
            return false;
        crc = crc << 8 | byte;
    }
    *facts = (struct facts_reader){text, text + facts_bytes};
    return take_literal(&crc_line, "\n") && crc == crc32c(text, facts_bytes);
}

enum urn_code facts_open(struct facts_reader *reader, const char *text, size_t length,
                         const char *what, uint32_t format, struct urn_error *error)
{
    if (!crc_holds(text, length, reader))
        return error_set(error, URN_DAMAGED, 0, "its checksum does not match");
    uint64_t version = 0;
    if (!take_literal(reader, what) || !take_literal(reader, "\n") ||
        !facts_take_number(reader, FORMAT_NAME, UINT64_MAX, &version))
        return error_set(error, URN_DAMAGED, 0, "it does not begin as urn writes it");
    if (version != format)
        return error_set(error, URN_FORMAT, 0,
                         "format %" PRIu64 " was written by another version of urn; this one (%s) "
                         "reads format %" PRIu32,
                         version, URN_VERSION, format);
    return URN_OK;
}

bool facts_take_uuid(struct facts_reader *reader, const char *name, uint8_t uuid[WAL_UUID_BYTES])
{
    if (!take_name(reader, name))
        return false;
    for (uint32_t i = 0; i < WAL_UUID_BYTES; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && !take_literal(reader, "-"))
            return false;
        if (!take_hex_byte(reader, &uuid[i]))
            return false;
    }
    return take_literal(reader, "\n");
}

bool facts_take_number(struct facts_reader *reader, const char *name, uint64_t maximum,
                       uint64_t *number)
{
    if (!take_name(reader, name))
        return false;
    const char *begin = reader->at;
    uint64_t value = 0;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++) {
        uint64_t digit = (uint64_t)(*reader->at - '0');
        if (value > (maximum - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return reader->at > begin && (*begin != '0' || reader->at == begin + 1) &&
           take_literal(reader, "\n");
}

bool facts_take_text(struct facts_reader *reader, const char *name, char *value, size_t value_bytes)
{
    if (!take_name(reader, name))
        return false;
    const char *line_end = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
    if (line_end == NULL)
        return false;
    const size_t length = (size_t)(line_end - reader->at);
    if (length == 0 || length >= value_bytes || memchr(reader->at, 0, length) != NULL)
        return false;
    memcpy(value, reader->at, length);
    value[length] = 0;
    reader->at = line_end + 1;
    return true;
}

bool facts_at_end(const struct facts_reader *reader)
{
    return reader->at == reader->end;
}
