/* options.c: urn-wal's command line, from one table of commands and options. */
#include "tools/urn_wal/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 4u

static const char help[] =
    "urn-wal: reads the log of an urn data directory. It only reads, and may be used beside a\n"
    "running server.\n"
    "\n"
    "usage: urn-wal verify DIR [--quiet] [--json]\n"
    "       urn-wal cat DIR [--from LSN] [--to LSN] [--groups]\n"
    "       urn-wal --help | --version\n"
    "\n"
    "verify  checks every snapshot and every group: checksums, chain, positions, ids, stock. Says\n"
    "        which files are sound, where the log ends and why, and what to do.\n"
    "    --quiet      prints findings only: nothing when all is sound\n"
    "    --json       prints one JSON object\n"
    "\n"
    "cat     prints the draws, one a line: DRAW <request id> <pool> <item id>, or FAILED for the\n"
    "        item when nothing was in stock. A space or backslash in a name is written \\x20, "
    "\\x5c.\n"
    "        Changes of items and pools and reservations of ids (IDS) have lines of their own.\n"
    "        Entries of an unknown type are printed as hexadecimal digits.\n"
    "    --from LSN   begins with the first group at or behind this position of the log\n"
    "    --to LSN     ends before the first group at or behind this position\n"
    "    --groups     prints a line for each group too: GROUP, PAD, MARK and EPOCH\n"
    "\n"
    "An LSN is a position in the log, in bytes: decimal, or hexadecimal after 0x.\n"
    "\n"
    "exit status of verify: 0 sound, 1 torn tail only (never durable; the next start discards\n"
    "it), 2 damage, 3 files missing, 4 sound bytes that cannot be true. Of cat: 0 printed to the\n"
    "end, 2 stopped at damage, 4 at what cannot be true. Of both: 64 wrong usage, 66 cannot open,\n"
    "74 cannot read or write.\n"
    "\n"
    "examples:\n"
    "    urn-wal verify /var/lib/urn              is all in order?\n"
    "    urn-wal verify --json data | jq .verdict\n"
    "    urn-wal cat data | tail                  the last draws\n"
    "    urn-wal cat data --groups --from 0x4000  all from a position on, with the groups\n"
    "    urn-wal cat data | awk '/^DRAW/ {n[$4]++} END {for (i in n) print n[i], i}'\n"
    "                                             draws by item\n";

void options_print_help(FILE *out)
{
    (void)fputs(help, out);
}

static bool parse_lsn(const char *text, uint64_t *lsn)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    const int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, base);
    *lsn = value;
    return errno == 0 && *end == 0;
}

struct option_row {
    const char *name;
    size_t flag_offset;  /* in struct options, of a bool; or */
    size_t value_offset; /* of an LSN; the other is 0, where the command stands */
};

struct command_row {
    const char *name;
    enum command command;
    struct option_row options[OPTIONS_MAX]; /* ended by one without a name */
};

#define FLAG(text, field)                                                                          \
    {                                                                                              \
        .name = (text), .flag_offset = offsetof(struct options, field)                             \
    }
#define LSN(text, field)                                                                           \
    {                                                                                              \
        .name = (text), .value_offset = offsetof(struct options, field)                            \
    }

static const struct command_row commands[] = {
    {"verify", COMMAND_VERIFY, {FLAG("--quiet", quiet), FLAG("--json", json)}},
    {"cat", COMMAND_CAT, {LSN("--from", from_lsn), LSN("--to", to_lsn), FLAG("--groups", groups)}},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

/* ---- what may have been meant ---------------------------------------------------------------- */

/* Edits (insert, remove, replace) between two short words; large for long ones. */
static unsigned edit_distance(const char *one, const char *other)
{
    enum { WORD_MAX = 24 };
    const size_t length = strlen(other);
    unsigned row[WORD_MAX + 1];
    if (strlen(one) > WORD_MAX || length > WORD_MAX)
        return WORD_MAX;
    for (unsigned at = 0; at <= length; at++)
        row[at] = at;
    for (; *one != 0; one++) {
        unsigned diagonal = row[0]++;
        for (size_t at = 1; at <= length; at++) {
            const unsigned replaced = diagonal + (*one != other[at - 1]);
            const unsigned edited = (row[at] < row[at - 1] ? row[at] : row[at - 1]) + 1;
            diagonal = row[at];
            row[at] = replaced < edited ? replaced : edited;
        }
    }
    return row[length];
}

static void consider(const char *word, const char *candidate, const char **best, unsigned *distance)
{
    const unsigned found = edit_distance(word, candidate);
    if (found < *distance) {
        *distance = found;
        *best = candidate;
    }
}

static bool complain(const char *kind, const char *word, const char *meant)
{
    (void)fprintf(stderr, "urn-wal: unknown %s %s", kind, word);
    if (meant != NULL)
        (void)fprintf(stderr, "; did you mean %s?\n", meant);
    else
        (void)fprintf(stderr, "; see urn-wal --help\n");
    return false;
}

static bool complain_of_option(const struct command_row *command, const char *word)
{
    const char *meant = NULL;
    unsigned distance = 3;
    for (const struct option_row *row = command->options; row->name != NULL; row++)
        consider(word, row->name, &meant, &distance);
    char kind[32];
    (void)snprintf(kind, sizeof kind, "option of %s:", command->name);
    return complain(kind, word, meant);
}

static bool complain_of_command(const char *word)
{
    const char *meant = NULL;
    unsigned distance = 3;
    for (size_t i = 0; i < COMMANDS; i++)
        consider(word, commands[i].name, &meant, &distance);
    consider(word, "--help", &meant, &distance);
    consider(word, "--version", &meant, &distance);
    return complain("command", word, meant);
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* The value of an option: behind its "=", or the next word. NULL: there is none. */
static const char *option_value(const char *word, size_t name_length, int argc, char **argv,
                                int *position)
{
    if (word[name_length] == '=')
        return word + name_length + 1;
    return *position + 1 < argc ? argv[++*position] : NULL;
}

static bool parse_option(const struct command_row *command, int argc, char **argv, int *position,
                         struct options *options)
{
    const char *word = argv[*position];
    const size_t length = strcspn(word, "=");
    for (const struct option_row *row = command->options; row->name != NULL; row++) {
        if (strlen(row->name) != length || strncmp(row->name, word, length) != 0)
            continue;
        if (row->flag_offset != 0) {
            if (word[length] == 0) {
                *(bool *)((char *)options + row->flag_offset) = true;
                return true;
            }
            (void)fprintf(stderr, "urn-wal: %s takes no value\n", row->name);
            return false;
        }
        const char *value = option_value(word, length, argc, argv, position);
        if (value != NULL && parse_lsn(value, (uint64_t *)((char *)options + row->value_offset)))
            return true;
        (void)fprintf(
            stderr,
            "urn-wal: %s needs a position in the log, a number such as 8192 or 0x2000%s%s\n",
            row->name, value == NULL ? "" : ", not ", value == NULL ? "" : value);
        return false;
    }
    return complain_of_option(command, word);
}

static bool parse_words(const struct command_row *command, int argc, char **argv,
                        struct options *options)
{
    bool options_ended = false;
    for (int position = 2; position < argc; position++) {
        const char *word = argv[position];
        if (!options_ended && strcmp(word, "--help") == 0) {
            options->command = COMMAND_HELP;
            return true;
        }
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && word[0] == '-' && word[1] != 0) {
            if (!parse_option(command, argc, argv, &position, options))
                return false;
        } else if (options->directory == NULL) {
            options->directory = word;
        } else {
            (void)fprintf(stderr, "urn-wal: %s wants one directory; there is also %s\n",
                          command->name, word);
            return false;
        }
    }
    if (options->directory != NULL)
        return true;
    (void)fprintf(stderr, "urn-wal: %s wants a data directory: urn-wal %s DIR\n", command->name,
                  command->name);
    return false;
}

bool options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.to_lsn = UINT64_MAX};
    if (argc < 2) {
        (void)fprintf(stderr, "urn-wal: which command? See urn-wal --help\n");
        return false;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "--version") == 0) {
        options->command = argv[1][2] == 'h' ? COMMAND_HELP : COMMAND_VERSION;
        return true;
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            options->command = commands[i].command;
            return parse_words(&commands[i], argc, argv, options);
        }
    return complain_of_command(argv[1]);
}
