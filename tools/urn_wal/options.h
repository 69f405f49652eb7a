/* options.h: command lines, read by the tables of the commands. */
#ifndef URN_TOOLS_URN_WAL_OPTIONS_H
#define URN_TOOLS_URN_WAL_OPTIONS_H

#include "tools/urn_wal/tool.h"

#define OPTIONS_BYTES_MAX 512u

/* What a command is to be run with. */
struct invocation {
    bool help;
    const char *archive; /* --archive, which every command takes; NULL: not given */
    uint32_t operand_count;
    const char *operands[OPERANDS_MAX];
    _Alignas(max_align_t) char options[OPTIONS_BYTES_MAX];
};

/* Reads what follows the command's name. False when it is wrong: what and why is then on notes, with the
 * option that may have been meant. */
bool options_parse(const struct command *command, int argc, const char *const *argv,
                   struct invocation *invocation, FILE *notes);

/* The candidate that is a few slips away from word; NULL when none is. */
const char *closest_word(const char *word, const char *const *candidates, size_t count);

/* ---- values, for the tables ------------------------------------------------------------------- */

bool parse_lsn(const char *text, void *field);   /* uint64_t; decimal, or hexadecimal after 0x */
bool parse_count(const char *text, void *field); /* uint64_t, at least 1 */
bool parse_time(const char *text, void *field);  /* uint64_t, us since 1970; time_text.h */
bool parse_text(const char *text, void *field);  /* const char *, not empty */

bool parse_size(const char *text,
                void *field); /* uint64_t, bytes: "64MiB", as in a configuration */

#define WANTS_SIZE  "a size, such as 64MiB (B, KiB, MiB or GiB)"
#define WANTS_LSN   "a position in the log, such as 8192 or 0x2000"
#define WANTS_COUNT "a number from 1 on"
#define WANTS_TIME  "a time, such as 2026-11-22T05:14:29Z or 2026-11-22T05:14:29+02:00"

/* Request ids: "1000", "1000-1999" or "1000-". */
struct id_range {
    uint64_t first;
    uint64_t last;
};
bool parse_id_range(const char *text, void *field);
bool parse_id(const char *text, uint64_t *request_id);

#endif
