/* commands.h: what each command of urn does once there is a connection. */
#ifndef URN_TOOLS_URN_COMMANDS_H
#define URN_TOOLS_URN_COMMANDS_H

#include "tools/urn/arguments.h"
#include "tools/urn/terminal.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,      /* the server answered with an error */
    EXIT_USAGE = 64,       /* sysexits: EX_USAGE */
    EXIT_UNAVAILABLE = 69, /* EX_UNAVAILABLE: no server */
    EXIT_NO_MEMORY = 71,   /* EX_OSERR */
    EXIT_IO = 74,          /* EX_IOERR */
};

/* Runs a command and prints its answer to terminal->out, or an error and what to do about it to
 * err. Returns the exit status of the program. */
enum exit_status command_run(const struct arguments *arguments, struct urnclient *client,
                             const struct terminal *terminal, FILE *err);

/* Prints `urn: CODE text` (or what else failed) and a hint, and returns the exit status for it. */
enum exit_status report_error(const struct urnclient_error *error, FILE *err);

#endif
