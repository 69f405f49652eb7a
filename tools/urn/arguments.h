/* arguments.h: urn's command line: the commands, the options, and what is wrong with them.
 *
 *     urn [OPTION ...] COMMAND [ARGUMENT ...]        options may stand anywhere; -- ends them
 *
 * Commands and options stand in one table each (arguments.c), from which parsing, suggestions and
 * help come. The texts of help are in help.c.
 */
#ifndef URN_TOOLS_URN_ARGUMENTS_H
#define URN_TOOLS_URN_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/client.h"

enum command {
    COMMAND_PING,
    COMMAND_DRAW,
    COMMAND_STATE,
    COMMAND_CATALOG,
    COMMAND_POOLS,
    COMMAND_LOOKUP,
    COMMAND_UPDATE,
    COMMAND_ADD,
    COMMAND_CREATE,
    COMMAND_CLOSE,
    COMMAND_OPEN,
    COMMAND_RELOAD,
    COMMAND_SNAPSHOT,
    COMMAND_INFO,
    COMMAND_HELP,
    COMMAND_COUNT,
};

/* How `info` is printed. */
enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_PROMETHEUS };

struct arguments {
    enum command command;
    const char *address; /* never NULL */
    uint32_t timeout_ms; /* 0: the library's default */
    bool json;           /* --json, or --format json */
    enum format format;  /* info */
    bool help;           /* --help, or the command help */
    bool version;        /* --version */
    enum command about;  /* help: of which command; COMMAND_COUNT: of urn */
    const char *pool;    /* of the commands that have one */
    uint32_t count;      /* draw */
    enum urnclient_as as;
    bool all;
    uint32_t offset;                /* state, catalog */
    uint32_t limit;                 /* UINT32_MAX: to the end */
    const char *item;               /* update, add */
    const char *file;               /* create: NULL: no items; "-": standard input */
    struct urnclient_update update; /* update, add */
    bool dry_run, force;            /* reload */
    uint64_t request_id;            /* lookup */
};

/* Reads the command line. default_address: what --address is without it. On a mistake prints what
 * is wrong, and what was perhaps meant, to err and returns false. Pointers in *arguments are into
 * argv. */
bool arguments_read(int argc, char *const argv[], const char *default_address,
                    struct arguments *arguments, FILE *err);

const char *command_name(enum command command);

/* A line for the list of commands, and how it is called ("draw POOL [COUNT] ..."). */
const char *command_summary(enum command command);
const char *command_usage(enum command command);

/* help.c: the whole help of one command, or of urn (COMMAND_COUNT). */
void help_print(enum command about, FILE *out);

#endif
