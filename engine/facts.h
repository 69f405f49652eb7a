/* facts.h: small files of text that say who or what something is: a line a fact, and a checksum. Pure.
 *
 *     urn data directory          the first line: what it is
 *     format: 1                   the second: of which format
 *     ring: 8f14e45f-...          facts, "name: value", in the order of their format
 *     crc32c: c7092e2b            the last line: of all bytes before it, 8 hexadecimal digits
 *
 * ASCII, each line ended by a line feed, nothing else. The first two lines and the last stay as they are in
 * every format to come, so that any version can tell a sound file of another format from a damaged one.
 * IDENTITY is such a file (identity.h), and so are those of an archive (archive_format.h).
 */
#ifndef URN_ENGINE_FACTS_H
#define URN_ENGINE_FACTS_H

#include "engine/error.h"
#include "engine/wal_format.h"

#define UUID_TEXT_BYTES 37u /* its zero byte included */

/* "8f14e45f-ceea-467f-9575-3a1c40b0d2a1" */
void uuid_text(const uint8_t uuid[WAL_UUID_BYTES], char text[UUID_TEXT_BYTES]);

/* ---- writing --------------------------------------------------------------------------------- */

/* Builds such a text in the caller's memory. What does not fit is a bug. */
struct facts_writer {
    char *text;
    size_t room_bytes;
    size_t length;
};

/* The first two lines. what: without a line feed. */
void facts_begin(struct facts_writer *writer, char *text, size_t room_bytes, const char *what,
                 uint32_t format);
void facts_add_uuid(struct facts_writer *writer, const char *name,
                    const uint8_t uuid[WAL_UUID_BYTES]);
void facts_add_number(struct facts_writer *writer, const char *name, uint64_t number);

/* value: without a line feed. */
void facts_add_text(struct facts_writer *writer, const char *name, const char *value);

/* The last line. Returns the whole length; there is no zero byte. */
size_t facts_end(struct facts_writer *writer);

/* ---- reading --------------------------------------------------------------------------------- */

/* What is still to be read. Each facts_take_ steps over a line that is what its name says, or says no. */
struct facts_reader {
    const char *at, *end;
};

/* Checks the checksum and the first two lines; every byte is treated as hostile. Errors: URN_DAMAGED,
 * URN_FORMAT (sound, of another format). */
enum urn_code facts_open(struct facts_reader *reader, const char *text, size_t length,
                         const char *what, uint32_t format, struct urn_error *error);
bool facts_take_uuid(struct facts_reader *reader, const char *name, uint8_t uuid[WAL_UUID_BYTES]);

/* Decimal, at most maximum, no sign, no leading zero. */
bool facts_take_number(struct facts_reader *reader, const char *name, uint64_t maximum,
                       uint64_t *number);

/* value: room for value_bytes, its zero byte included; what is longer, or empty, is none. */
bool facts_take_text(struct facts_reader *reader, const char *name, char *value,
                     size_t value_bytes);

/* Nothing is left. */
bool facts_at_end(const struct facts_reader *reader);

#endif
