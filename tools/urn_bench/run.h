/* run.h: a whole run of urn-bench, from the first connection to the report. */
#ifndef URN_TOOLS_URN_BENCH_RUN_H
#define URN_TOOLS_URN_BENCH_RUN_H

#include <stdio.h>

#include "tools/urn_bench/options.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1,      /* the server answered with errors */
    EXIT_USAGE = 64,       /* sysexits: EX_USAGE */
    EXIT_IDS = 65,         /* EX_DATAERR: ids twice or not in order */
    EXIT_UNAVAILABLE = 69, /* EX_UNAVAILABLE: no server */
    EXIT_NO_MEMORY = 71,   /* EX_OSERR */
    EXIT_IO = 74,          /* EX_IOERR */
};

/* Runs the load, prints the report to out, and progress and what goes wrong to err. Takes SIGINT and
 * SIGTERM meanwhile. Returns the exit status of the program. */
enum exit_status bench_run(const struct options *options, FILE *out, FILE *err);

#endif
