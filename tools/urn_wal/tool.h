/* tool.h: what every command of urn-wal is given, and what a command is.
 *
 * A command is one file: it ends in a `const struct command`, which stands in the table of main.c. It
 * reaches the system through the seam only and writes to the two streams only, so that tests run it
 * over the simulated system.
 */
#ifndef URN_TOOLS_URN_WAL_TOOL_H
#define URN_TOOLS_URN_WAL_TOOL_H

#include <stdio.h>

#include "engine/error.h"
#include "engine/os.h"
#include "engine/progress.h"
#include "tools/urn_wal/exit_status.h"

/* Asks whether a server has the directory open, now. */
typedef bool (*in_use_probe)(void *context, const char *path);

struct tool {
    struct urn_os *os;
    in_use_probe in_use; /* NULL: nobody has */
    void *in_use_context;
    const char *archive; /* --archive; NULL: what the data directory says */
    bool ring_only;      /* what a start would see is asked for: no archive is looked at */
    uint32_t threads;    /* that check ahead, beside the one that prints; 0: it does so itself */
    /* Opens for reading what is not of a log ("-": standard input); NULL and errno when it cannot. */
    FILE *(*open_input)(void *context, const char *path);
    void *input_context;
    FILE *out;                       /* what was asked for */
    FILE *notes;                     /* what a person should know besides */
    bool shows_progress;             /* notes goes to a terminal */
    const struct progress *progress; /* told by what takes long; NULL: nobody waits */
    uint32_t terminal_width;         /* columns of out; 0: no terminal */
};

/* One option of a command. parse reads the text into the field, which lies at offset in the command's
 * options; NULL: the option takes no value, and sets a bool. */
struct option_row {
    const char *name;  /* "--from"; NULL ends the table */
    const char *wants; /* "a position in the log, such as 8192 or 0x2000"; NULL with parse */
    size_t offset;
    bool (*parse)(const char *text, void *field);
};

#define OPERANDS_MAX 64u

struct command {
    const char *name;
    const char *summary; /* a line for the overview */
    const char *usage;   /* "DIR [--quiet] [--json]" */
    const char *help;    /* what `urn-wal NAME --help` prints below the usage, with an example */
    uint32_t operands_min, operands_max;
    const char *operands; /* what they are, for complaints: "a data directory" */
    size_t options_bytes;
    const void *defaults; /* options_bytes; NULL: zeroes */
    const struct option_row *options;
    enum exit_status (*run)(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options);
};

/* Says on notes why the looking failed ("urn-wal: ..."); returns what to exit with. */
enum exit_status tool_fail(const struct tool *tool, const struct urn_error *error);

/* The same of an operand that could not be opened: a directory with remains of a data directory has lost
 * its IDENTITY, which is a file missing. */
enum exit_status tool_fail_to_open(const struct tool *tool, const char *path,
                                   const struct urn_error *error);

#endif
