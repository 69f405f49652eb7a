/* options.h: urn-wal's command line. */
#ifndef URN_TOOLS_URN_WAL_OPTIONS_H
#define URN_TOOLS_URN_WAL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum command { COMMAND_HELP, COMMAND_VERSION, COMMAND_VERIFY, COMMAND_CAT };

struct options {
    enum command command;
    const char *directory;
    bool quiet;        /* verify */
    bool json;         /* verify */
    bool groups;       /* cat */
    uint64_t from_lsn; /* cat */
    uint64_t to_lsn;   /* cat; UINT64_MAX: no limit */
};

/* Fills *options from the command line. False when it is wrong: what and why is then on stderr,
 * with the option that may have been meant. */
bool options_parse(int argc, char **argv, struct options *options);

void options_print_help(FILE *out);

#endif
