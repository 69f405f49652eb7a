/* options.h: urn-bench's command line.
 *
 *     urn-bench [OPTION ...]
 *
 * Options stand in one table (options.c), from which parsing and suggestions come; the help beside
 * it is held to the table by a test.
 */
#ifndef URN_TOOLS_URN_BENCH_OPTIONS_H
#define URN_TOOLS_URN_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/client.h"

#define OPTIONS_CONNECTIONS_MAX 60000u
#define OPTIONS_PIPELINE_MAX    65536u
#define OPTIONS_UNDER_WAY_MAX   4000000u /* connections x pipeline */
#define OPTIONS_DRAWS_MAX       10000000u
#define OPTIONS_THREADS_MAX     64u

enum pick { PICK_ROUND_ROBIN, PICK_RANDOM };

struct options {
    const char *address;  /* never NULL */
    uint32_t connections; /* of all threads together */
    uint32_t pipeline;    /* calls under way on each */
    uint32_t threads;
    bool ping;          /* ping instead of draw */
    const char **pools; /* those that are named, or the default one; freed by options_free() */
    uint32_t pool_count;
    bool all_pools; /* all that the server has */
    enum pick pick; /* which pool a call draws from */
    uint32_t draws; /* of one call */
    enum urnclient_as as;
    uint64_t rate;        /* calls a second, of an open loop; 0: a closed one */
    uint32_t duration_ms; /* 0: until so many calls */
    uint64_t calls;       /* 0: for so long */
    uint32_t warm_up_ms;
    uint32_t timeout_ms;
    bool check; /* the ids */
    bool json;
    bool quiet;
    bool help;
    bool version;
};

/* Reads the command line. default_address: what --address is without it. On a mistake prints what is
 * wrong, and what was perhaps meant, to err and returns false. Texts are pointers into argv. */
bool options_read(int argc, char *const argv[], const char *default_address,
                  struct options *options, FILE *err);
void options_free(struct options *options);

void options_print_help(FILE *out);

#endif
