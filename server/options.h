/* options.h: urnd's command line. */
#ifndef URN_SERVER_OPTIONS_H
#define URN_SERVER_OPTIONS_H

#include "engine/error.h"

struct options {
    const char *config; /* --config; NULL with --help and --version */
    bool create;
    bool check_config;
    bool help;
    bool version;
};

/* Errors: URN_USAGE, with what is wrong and what was perhaps meant. *options points into argv. */
enum urn_code options_read(int argc, char **argv, struct options *options, struct urn_error *error);

/* For --help. */
extern const char options_help[];

#endif
