/* yaml_reader.h: a configuration file as a stream of values, each with its place.
 *
 * A thin layer over libyaml's events. What a configuration has no use for is refused here, once,
 * with its place: anchors and aliases (one line could stand for gigabytes), tags, a second
 * document, bytes of zero. Nothing is kept of what was read, so a catalog of a million items costs
 * no tree.
 */
#ifndef URN_SERVER_YAML_READER_H
#define URN_SERVER_YAML_READER_H

#include <stdio.h>
#include <yaml.h>

#include "engine/error.h"

/* So much of a file may hold nothing but one value or comments; what libyaml keeps of it is bounded
 * by that. */
#define YAML_READER_SILENCE_BYTES (1u << 20)
#define YAML_READER_MEMORY_BYTES  (4ull << 20)

/* Both from 1, columns in characters; line 0: no place. */
struct yaml_place {
    uint32_t line, column;
};

enum yaml_kind {
    YAML_TEXT,    /* one scalar */
    YAML_LIST,    /* values follow up to YAML_END */
    YAML_MAPPING, /* keys and values in turn follow up to YAML_END */
    YAML_END,     /* of the innermost list or mapping, or of the document */
};

struct yaml_value {
    enum yaml_kind kind;
    struct yaml_place place;
    const char *text; /* YAML_TEXT: terminated, without zero bytes; lives until the next read */
    size_t length;
    bool quoted; /* written in quotes or as a block: text, even if it looks like a number */
};

struct yaml_reader {
    const char *path;
    FILE *file;
    int read_errno;
    uint64_t silence_bytes; /* read since the last value */
    yaml_parser_t parser;
    yaml_event_t event; /* the last one; owns the last value's text */
};

/* Opens the file and reads up to the document's first value. path must outlive the reader. On an
 * error there is nothing to close. Errors, here and below: URN_CONFIG, "FILE:LINE:COLUMN: ..." for
 * what is in the file and "FILE: ..." for what keeps it from being read; URN_NOMEMORY. */
enum urn_code yaml_reader_open(struct yaml_reader *reader, const char *path,
                               struct urn_error *error);
void yaml_reader_close(struct yaml_reader *reader);

/* The next value or end. */
enum urn_code yaml_reader_next(struct yaml_reader *reader, struct yaml_value *value,
                               struct urn_error *error);

/* Makes sure that nothing follows the value that was read last. */
enum urn_code yaml_reader_finish(struct yaml_reader *reader, struct urn_error *error);

/* Fills *error with "FILE:LINE:COLUMN: " and the words; returns URN_CONFIG. */
enum urn_code yaml_reader_refuse(const struct yaml_reader *reader, struct yaml_place place,
                                 struct urn_error *error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
