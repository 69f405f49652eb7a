/* output.h: many short lines to a stream, quickly, and never half a line.
 *
 * What is put here is collected in a buffer; only whole lines leave it, so that a tool that is stopped in
 * its midst has not printed a draw by half.
 */
#ifndef URN_TOOLS_URN_WAL_OUTPUT_H
#define URN_TOOLS_URN_WAL_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/urn.h"

#define OUTPUT_BYTES 262144u

/* Owned by one thread. Errors are kept, and told by output_end. */
struct output {
    FILE *stream;
    bool failed;
    uint32_t used_bytes;
    uint32_t whole_bytes; /* of those, up to the end of the last whole line */
    char buffer[OUTPUT_BYTES];
};

void output_begin(struct output *output, FILE *stream);

/* Hands what stands in whole lines to the reader, now. */
void output_flush(struct output *output);

/* Flushes; false when something did not come out. A last line without its end is not printed. */
bool output_end(struct output *output);

/* True once writing has failed: nothing more is worth producing. */
static inline bool output_failed(const struct output *output)
{
    return output->failed;
}

/* Room for so many bytes (OUTPUT_BYTES / 4 at most) behind what is there, to be filled by hand and then
 * counted with output_filled(): all of whole lines, or all inside one. */
char *output_room(struct output *output, uint32_t bytes);
void output_filled(struct output *output, const char *end, bool whole_lines);

void output_text(struct output *output, const char *text);
void output_bytes(struct output *output, const void *bytes, uint32_t length);
void output_number(struct output *output, uint64_t number);
void output_hex(struct output *output, const uint8_t *bytes, uint32_t length);
void output_line_end(struct output *output); /* a line feed */

/* A name as it stands in a line of words: a space and a backslash as \x20 and \x5c. */
void output_name(struct output *output, struct urn_text name);

/* A name as a string of JSON, quotes included. */
void output_json_name(struct output *output, struct urn_text name);

/* A name as a field of CSV (RFC 4180): in quotes where it needs them. */
void output_csv_name(struct output *output, struct urn_text name);

/* So many bytes of text, copied to `to`; returns their end there. */
static inline char *put_text(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return to + length;
}

/* The digits of number, without a zero byte; returns their end. to has room for 20. */
char *put_decimal(char *to, uint64_t number);

/* What output_name prints, into `to`, which has room for 4 bytes for each of name's; returns the end. */
char *put_name(char *to, struct urn_text name);

#endif
