/* csv_reader.h: reads comma-separated values (RFC 4180) that somebody else has written.
 *
 * A record ends with a line feed, a carriage return before it or not; the last one may end with the file.
 * A field in quotes may hold commas, line ends, and quotes written twice. Lines with nothing in them are
 * passed over, and so is a byte order mark at the beginning. Everything else is refused, with its line:
 * a quote inside a field that does not begin with one, anything between a closing quote and the next
 * comma, a quote that is never closed, a carriage return alone, a record beyond the bounds below. Bytes are
 * not looked at otherwise.
 */
#ifndef URN_TOOLS_URN_WAL_CSV_READER_H
#define URN_TOOLS_URN_WAL_CSV_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CSV_FIELDS_MAX       256u
#define CSV_RECORD_BYTES_MAX 65536u /* what its fields hold together */

struct csv_field {
    const char *bytes; /* not terminated */
    uint32_t length;
};

enum csv_result {
    CSV_RECORD,
    CSV_END,
    CSV_REFUSED,     /* complaint says why, line where */
    CSV_READ_FAILED, /* errno says why */
};

struct csv_reader {
    FILE *stream;
    uint64_t line; /* from 1: in which the last record begins; with CSV_REFUSED, what is wrong */
    const char *complaint;
    uint32_t field_count;
    struct csv_field fields[CSV_FIELDS_MAX]; /* of the last record; valid until the next call */
    /* private */
    uint64_t at_line; /* of the next byte */
    uint32_t used_bytes;
    size_t at, filled;
    char text[CSV_RECORD_BYTES_MAX];
    char buffer[65536];
};

/* The stream is the caller's. */
void csv_begin(struct csv_reader *reader, FILE *stream);

/* The next record. After anything but CSV_RECORD the reader is of no more use. */
enum csv_result csv_next(struct csv_reader *reader);

#endif
