/* output.h: many short lines to a stream, quickly. */
#ifndef URN_TOOLS_URN_WAL_OUTPUT_H
#define URN_TOOLS_URN_WAL_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "engine/urn.h"

#define OUTPUT_BYTES 65536u

/* Owned by one thread. Errors are kept and told by output_end. */
struct output {
    FILE *stream;
    bool failed;
    uint32_t used_bytes;
    char buffer[OUTPUT_BYTES];
};

void output_begin(struct output *output, FILE *stream);

/* Flushes; false when something did not come out. */
bool output_end(struct output *output);

/* True once writing has failed: nothing more is worth producing. */
bool output_failed(const struct output *output);

void output_text(struct output *output, const char *text);
void output_number(struct output *output, uint64_t number);
void output_hex(struct output *output, const uint8_t *bytes, uint32_t length);

/* A name of a pool or item as one word: a space or a backslash in it becomes \x20 or \x5c. */
void output_name(struct output *output, struct urn_text name);

#endif
