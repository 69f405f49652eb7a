/* csv_reader.c: see csv_reader.h. A field goes through these states, a byte a step:
 *
 *     BEGIN --"--> QUOTED --"--> CLOSED (a second quote: one quote, and back)
 *     BEGIN --any other--> PLAIN
 *
 * and a comma or a line end ends it, but for those inside QUOTED.
 */
#include "tools/urn_wal/csv_reader.h"

#include <errno.h>
#include <string.h>

#define NO_BYTE (-1) /* the end of the file, or an error */

static int peek(struct csv_reader *reader)
{
    if (reader->at == reader->filled) {
        reader->at = 0;
        reader->filled = fread(reader->buffer, 1, sizeof reader->buffer, reader->stream);
        if (reader->filled == 0)
            return NO_BYTE;
    }
    return (unsigned char)reader->buffer[reader->at];
}

static void step(struct csv_reader *reader)
{
    if (reader->buffer[reader->at++] == '\n')
        reader->at_line++;
}

void csv_begin(struct csv_reader *reader, FILE *stream)
{
    static const char mark[] = {'\xef', '\xbb', '\xbf'};
    reader->stream = stream;
    reader->line = reader->at_line = 1;
    reader->at = reader->filled = 0;
    if (peek(reader) != NO_BYTE && reader->filled >= sizeof mark &&
        memcmp(reader->buffer, mark, sizeof mark) == 0)
        reader->at += sizeof mark;
}

static enum csv_result refuse(struct csv_reader *reader, uint64_t line, const char *complaint)
{
    reader->line = line;
    reader->complaint = complaint;
    return CSV_REFUSED;
}

static bool keep(struct csv_reader *reader, int byte)
{
    if (reader->used_bytes == sizeof reader->text)
        return false;
    reader->text[reader->used_bytes++] = (char)byte;
    reader->fields[reader->field_count - 1].length++;
    return true;
}

static bool begin_field(struct csv_reader *reader)
{
    if (reader->field_count == CSV_FIELDS_MAX)
        return false;
    reader->fields[reader->field_count++] =
        (struct csv_field){.bytes = reader->text + reader->used_bytes};
    return true;
}

/* The end of the file inside a record, or an error. */
static enum csv_result end_of_bytes(struct csv_reader *reader, bool quoted, uint64_t quote_line)
{
    if (ferror(reader->stream))
        return CSV_READ_FAILED;
    if (quoted)
        return refuse(reader, quote_line, "a quote is opened here and never closed");
    return CSV_RECORD;
}

enum state { BEGIN, PLAIN, QUOTED, CLOSED };

/* Reads one field, from its first byte on. CSV_RECORD: it is whole; *last: and the record with it. */
static enum csv_result read_field(struct csv_reader *reader, bool *last)
{
    enum state state = BEGIN;
    uint64_t quote_line = 0;
    for (;;) {
        const int byte = peek(reader);
        *last = byte != ',';
        if (byte == NO_BYTE)
            return end_of_bytes(reader, state == QUOTED, quote_line);
        if (state != QUOTED && (byte == ',' || byte == '\n')) {
            step(reader);
            return CSV_RECORD;
        }
        const uint64_t line = reader->at_line;
        step(reader);
        if (state != QUOTED && byte == '\r') {
            if (peek(reader) != '\n')
                return refuse(reader, line, "a carriage return without a line feed");
            continue; /* the line feed ends the field */
        }
        if (state == CLOSED && byte != '"')
            return refuse(reader, line, "something stands between a closing quote and the comma");
        if (byte == '"' && state == PLAIN)
            return refuse(reader, line,
                          "a quote stands inside a field that does not begin with one");
        if (byte == '"' && state != CLOSED) {
            quote_line = state == BEGIN ? line : quote_line;
            state = state == BEGIN ? QUOTED : CLOSED;
            continue;
        }
        if (!keep(reader, byte))
            return refuse(reader, line, "a record is longer than 65536 bytes");
        state = state == BEGIN ? PLAIN : state == CLOSED ? QUOTED : state;
    }
}

static enum csv_result read_record(struct csv_reader *reader)
{
    bool last = false;
    reader->used_bytes = 0;
    reader->field_count = 0;
    reader->line = reader->at_line;
    while (!last) {
        if (!begin_field(reader))
            return refuse(reader, reader->line, "a record has more than 256 fields");
        const enum csv_result result = read_field(reader, &last);
        if (result != CSV_RECORD)
            return result;
    }
    return CSV_RECORD;
}

enum csv_result csv_next(struct csv_reader *reader)
{
    for (;;) {
        if (peek(reader) == NO_BYTE)
            return ferror(reader->stream) ? CSV_READ_FAILED : CSV_END;
        const enum csv_result result = read_record(reader);
        if (result != CSV_RECORD || reader->field_count > 1 || reader->fields[0].length > 0)
            return result;
    }
}
