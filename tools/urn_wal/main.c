/* main.c: urn-wal: the table of commands, and the choice among them. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/digest.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/in_use.h"
#include "tools/urn_wal/options.h"

static const struct command *const commands[] = {
    &command_ls,     &command_cat,     &command_find,   &command_verify, &command_stats,
    &command_export, &command_replay,  &command_diff,   &command_repair, &command_prune,
    &command_backup, &command_restore, &command_resize,
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* ---- help -------------------------------------------------------------------------------------- */

static void print_overview(FILE *out)
{
    (void)fputs("urn-wal: reads the log of an urn data directory. It only reads it (but for repair "
                "and prune\nwith --write, and resize), and may be used beside a running server.\n\n"
                "usage: urn-wal COMMAND DIR | FILE... [option...]\n"
                "       urn-wal COMMAND --help\n       urn-wal --help | --version\n\nCommands\n",
                out);
    for (size_t i = 0; i < COMMANDS; i++)
        (void)fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    (void)fputs(
        "\nDIR is a data directory, whose archive is read along with it, or an archive; FILEs are "
        "segment\nor snapshot files of one, wherever they are. Every command takes\n"
        "    --archive DIR  where the archive is, if the data directory does not say so\n"
        "\n"
        "exit status: 0 all is well; 1, 2, 3, 4 something is found or missing, as each command's\n"
        "help says; 64 wrong usage; 65 a file given is not what it has to be; 66 cannot open; 69\n"
        "the server cannot be asked; 73 cannot create; 74 cannot read or write; 75 a\n"
        "server has it open, or was faster\n"
        "\n"
        "examples:\n"
        "    urn-wal verify /var/lib/urn       is all in order?\n"
        "    urn-wal cat data -n 10 --reverse  the last draws\n"
        "    urn-wal find data 1234            what came of draw 1234\n",
        out);
}

static void print_help(const struct command *command, FILE *out)
{
    (void)fprintf(out, "usage: urn-wal %s %s\n\n%s", command->name, command->usage, command->help);
}

static int complain_of_command(const char *word)
{
    const char *names[COMMANDS + 2] = {"--help", "--version"};
    for (size_t i = 0; i < COMMANDS; i++)
        names[2 + i] = commands[i]->name;
    const char *meant = closest_word(word, names, COMMANDS + 2);
    (void)fprintf(stderr, "urn-wal: unknown command %s", word);
    if (meant != NULL)
        (void)fprintf(stderr, "; did you mean %s?\n", meant);
    else
        (void)fprintf(stderr, "; see urn-wal --help\n");
    return EXIT_USAGE;
}

/* ---- running ------------------------------------------------------------------------------------- */

static uint32_t terminal_width(FILE *out)
{
    struct winsize size;
    if (!isatty(fileno(out)) || ioctl(fileno(out), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

/* What is not of a log: a path, or "-" for standard input. */
static FILE *open_input(void *context, const char *path)
{
    (void)context;
    return strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
}

static int run(const struct command *command, int argc, const char *const *argv)
{
    static struct invocation invocation;
    if (!options_parse(command, argc, argv, &invocation, stderr))
        return EXIT_USAGE;
    if (invocation.help) {
        print_help(command, stdout);
        return EXIT_SOUND;
    }
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    const struct tool tool = {
        .os = os_default(),
        .in_use = data_dir_in_use,
        .archive = invocation.archive,
        .threads = processors > 1 ? (uint32_t)processors - 1 : 0,
        .open_input = open_input,
        .out = stdout,
        .notes = stderr,
        .shows_progress = isatty(STDERR_FILENO) != 0,
        .terminal_width = terminal_width(stdout),
    };
    return (int)command->run(&tool, invocation.operands, invocation.operand_count,
                             invocation.options);
}

static int choose(int argc, const char *const *argv)
{
    if (argc < 2) {
        (void)fprintf(stderr, "urn-wal: which command? See urn-wal --help\n");
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0) {
        print_overview(stdout);
        return EXIT_SOUND;
    }
    if (strcmp(argv[1], "--version") == 0) {
        (void)printf("urn-wal " URN_VERSION "\n");
        return EXIT_SOUND;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i]->name) == 0)
            return run(commands[i], argc - 2, argv + 2);
    return complain_of_command(argv[1]);
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0) { /* picks the fastest hash that the processor has */
        (void)fprintf(stderr, "urn-wal: libsodium cannot be used here\n");
        return EXIT_READ_ERROR;
    }
    digest_choose_faster(os_default());
    const int status = choose(argc, (const char *const *)argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "urn-wal: cannot write the output\n");
        return EXIT_READ_ERROR;
    }
    return status;
}
