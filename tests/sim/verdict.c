/* verdict.c: see verdict.h. */
#include "tests/sim/verdict.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRACE_LINES 60u
#define LINE_BYTES  240u

static char command[LINE_BYTES];
static size_t command_bytes;
static char lines[TRACE_LINES][LINE_BYTES];
static uint64_t traced;
static bool verbose;

void verdict_begin(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    command_bytes = strlen(command);
    traced = 0;
}

void verdict_set_verbose(void)
{
    verbose = true;
}

void trace(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(lines[traced % TRACE_LINES], LINE_BYTES, format, arguments);
    va_end(arguments);
    if (verbose)
        printf("  %s\n", lines[traced % TRACE_LINES]);
    traced++;
}

/* A broken invariant of the engine's own has been printed; a handler may do little more. */
static void tell_command(int signal_number)
{
    (void)signal_number;
    static const char before[] = "\nVIOLATION: see above\nrepeat with: test_sim ";
    (void)!write(STDERR_FILENO, before, sizeof before - 1);
    (void)!write(STDERR_FILENO, command, command_bytes);
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(1);
}

void verdict_catch_aborts(void)
{
    (void)signal(SIGABRT, tell_command);
}

noreturn void violation(const char *format, ...)
{
    fflush(stdout);
    fprintf(stderr, "\nVIOLATION: ");
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nrepeat with: test_sim %s\nlast steps:\n", command);
    uint64_t first = traced > TRACE_LINES ? traced - TRACE_LINES : 0;
    for (uint64_t i = first; i < traced; i++)
        fprintf(stderr, "  %s\n", lines[i % TRACE_LINES]);
    exit(1);
}
