/* main.c: urn, the command-line client. Reads the command line, connects, runs one command. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/urn.h"
#include "tools/urn/arguments.h"
#include "tools/urn/commands.h"
#include "tools/urn/terminal.h"

/* What was printed counts only once the system has taken all of it. */
static enum exit_status finish_output(enum exit_status status)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (failed || fclose(stdout) != 0) {
        fprintf(stderr, "urn: cannot write the output: %s\n", strerror(errno));
        return status == EXIT_DONE ? EXIT_IO : status;
    }
    return status;
}

static enum exit_status connect_and_run(const struct arguments *arguments)
{
    struct terminal terminal;
    struct urnclient *client;
    struct urnclient_error error;
    struct urnclient_options options = {.address = arguments->address,
                                        .connect_timeout_ms = arguments->timeout_ms,
                                        .call_timeout_ms = arguments->timeout_ms,
                                        .max_in_flight = 1};
    terminal_look(&terminal, stdout);
    if (urnclient_connect(&options, &client, &error) != URNCLIENT_OK)
        return report_error(&error, stderr);
    enum exit_status status = command_run(arguments, client, &terminal, stderr);
    urnclient_close(client);
    return status;
}

int main(int argc, char *argv[])
{
    /* The characters only: numbers are printed alike everywhere, in JSON above all. */
    setlocale(LC_CTYPE, "");
    const char *address = getenv("URN_ADDRESS");
    if (address == NULL || *address == '\0')
        address = URNCLIENT_DEFAULT_ADDRESS;
    struct arguments arguments;
    if (!arguments_read(argc, argv, address, &arguments, stderr))
        return EXIT_USAGE;
    if (arguments.version)
        printf("urn %s\n", URN_VERSION);
    else if (arguments.help)
        help_print(arguments.about, stdout);
    else
        return (int)finish_output(connect_and_run(&arguments));
    return (int)finish_output(EXIT_DONE);
}
