/* main.c: urn-bench, the load generator. Reads the command line, runs the load. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/urn.h"
#include "tools/urn_bench/run.h"

/* What was printed counts only once the system has taken all of it. */
static enum exit_status finish_output(enum exit_status status)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout) != 0;
    if (failed || fclose(stdout) != 0) {
        fprintf(stderr, "urn-bench: cannot write the output: %s\n", strerror(errno));
        return status == EXIT_DONE ? EXIT_IO : status;
    }
    return status;
}

int main(int argc, char *argv[])
{
    const char *address = getenv("URN_ADDRESS");
    if (address == NULL || *address == '\0')
        address = URNCLIENT_DEFAULT_ADDRESS;
    struct options options;
    enum exit_status status = EXIT_DONE;
    if (!options_read(argc, argv, address, &options, stderr))
        status = EXIT_USAGE;
    else if (options.version)
        printf("urn-bench %s\n", URN_VERSION);
    else if (options.help)
        options_print_help(stdout);
    else
        status = bench_run(&options, stdout, stderr);
    options_free(&options);
    return (int)finish_output(status);
}
