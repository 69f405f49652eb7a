/* arguments.c: see arguments.h. */
#include "tools/urn/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/words.h"

/* ---- the tables -------------------------------------------------------------------------- */

enum option {
    OPTION_ADDRESS,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_AS,
    OPTION_ALL,
    OPTION_OFFSET,
    OPTION_LIMIT,
    OPTION_FORMAT,
    OPTION_QUANTITY,
    OPTION_PROBABILITY,
    OPTION_IF_QUANTITY,
    OPTION_DRY_RUN,
    OPTION_FORCE,
    OPTION_COUNT,
};

#define FOR(command) (1u << (command))
#define FOR_ALL      UINT32_MAX

static const struct {
    const char *name;
    const char *value; /* what follows it, in words; NULL: nothing */
    uint32_t commands; /* which take it */
} options[OPTION_COUNT] = {
    [OPTION_ADDRESS] = {"--address", "host:port or unix:PATH", FOR_ALL},
    [OPTION_TIMEOUT] = {"--timeout", "a duration like 5s or 250ms", FOR_ALL},
    [OPTION_JSON] = {"--json", NULL, FOR_ALL},
    [OPTION_HELP] = {"--help", NULL, FOR_ALL},
    [OPTION_VERSION] = {"--version", NULL, FOR_ALL},
    [OPTION_AS] = {"--as", "names, indexes or tally", FOR(COMMAND_DRAW)},
    [OPTION_ALL] = {"--all", NULL, FOR(COMMAND_DRAW)},
    [OPTION_OFFSET] = {"--offset", "a number", FOR(COMMAND_STATE) | FOR(COMMAND_CATALOG)},
    [OPTION_QUANTITY] = {"--quantity", "a number, or -1 for unlimited",
                         FOR(COMMAND_UPDATE) | FOR(COMMAND_ADD)},
    [OPTION_PROBABILITY] = {"--probability", "a number", FOR(COMMAND_UPDATE) | FOR(COMMAND_ADD)},
    [OPTION_IF_QUANTITY] = {"--if-quantity", "a number, or -1 for unlimited", FOR(COMMAND_UPDATE)},
    [OPTION_DRY_RUN] = {"--dry-run", NULL, FOR(COMMAND_RELOAD)},
    [OPTION_FORCE] = {"--force", NULL, FOR(COMMAND_RELOAD)},
    [OPTION_LIMIT] = {"--limit", "a number", FOR(COMMAND_STATE) | FOR(COMMAND_CATALOG)},
    [OPTION_FORMAT] = {"--format", "text, json or prometheus", FOR(COMMAND_INFO)},
};

static const struct {
    const char *name;
    const char *usage;
    const char *summary;
    int arguments_min;
    int arguments_max;
} commands[COMMAND_COUNT] = {
    [COMMAND_PING] = {"ping", "ping", "ask whether the server answers", 0, 0},
    [COMMAND_DRAW] = {"draw", "draw POOL [COUNT] [--as names|indexes|tally] [--all]",
                      "draw items at random", 1, 2},
    [COMMAND_STATE] = {"state", "state POOL [--offset N] [--limit N]",
                       "show what is left in a pool", 1, 1},
    [COMMAND_CATALOG] = {"catalog", "catalog POOL [--offset N] [--limit N]",
                         "list the items of a pool", 1, 1},
    [COMMAND_POOLS] = {"pools", "pools", "list the pools", 0, 0},
    [COMMAND_LOOKUP] = {"lookup", "lookup ID", "tell what came of a draw", 1, 1},
    [COMMAND_UPDATE] = {"update",
                        "update POOL ITEM [--quantity N] [--probability W] [--if-quantity M]",
                        "set an item's stock or weight", 2, 2},
    [COMMAND_ADD] = {"add", "add POOL ITEM --quantity N --probability W", "add an item to a pool",
                     2, 2},
    [COMMAND_CREATE] = {"create", "create POOL [FILE]", "create a pool", 1, 2},
    [COMMAND_CLOSE] = {"close", "close POOL", "take no more draws from a pool", 1, 1},
    [COMMAND_OPEN] = {"open", "open POOL", "take draws from a pool again", 1, 1},
    [COMMAND_RELOAD] = {"reload", "reload [--dry-run] [--force]",
                        "apply what the server's file changed of the pools", 0, 0},
    [COMMAND_SNAPSHOT] = {"snapshot", "snapshot", "have the state written to a file", 0, 0},
    [COMMAND_INFO] = {"info", "info [--format text|json|prometheus]",
                      "show figures about the server", 0, 0},
    [COMMAND_HELP] = {"help", "help [COMMAND]", "explain a command, with examples", 0, 1},
};

const char *command_name(enum command command)
{
    return commands[command].name;
}

const char *command_summary(enum command command)
{
    return commands[command].summary;
}

const char *command_usage(enum command command)
{
    return commands[command].usage;
}

/* ---- mistakes ---------------------------------------------------------------------------- */

static bool mistake(FILE *err, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints "urn: <what is wrong>" and a line with what to do. Always false. */
static bool mistake(FILE *err, const char *hint, const char *format, ...)
{
    va_list arguments;
    fputs("urn: ", err);
    va_start(arguments, format);
    vfprintf(err, format, arguments);
    va_end(arguments);
    fprintf(err, "\n     %s\n", hint);
    return false;
}

static bool wrong_usage(FILE *err, enum command command, const char *what)
{
    char usage[160];
    snprintf(usage, sizeof usage, "usage: urn %s    (urn %s --help says more)",
             command_usage(command), command_name(command));
    return mistake(err, usage, "%s", what);
}

static bool unknown_word(FILE *err, const char *kind, const char *word,
                         const char *const *candidates, size_t count, const char *otherwise)
{
    char question[80];
    const char *nearest = nearest_word(word, candidates, count);
    if (nearest != NULL)
        snprintf(question, sizeof question, "did you mean %s?", nearest);
    return mistake(err, nearest != NULL ? question : otherwise, "there is no %s \"%s\"", kind,
                   word);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* What has been seen, before it is known which command it belongs to. */
struct raw {
    bool given[OPTION_COUNT];
    const char *value[OPTION_COUNT];
    const char *words[3]; /* the command and its arguments */
    int word_count;
};

static bool unknown_option(const char *word, FILE *err)
{
    const char *names[OPTION_COUNT];
    for (int i = 0; i < OPTION_COUNT; i++)
        names[i] = options[i].name;
    return unknown_word(err, "option", word, names, OPTION_COUNT, "urn --help lists the options");
}

/* One option, `--name`, `--name=value` or `--name value`. *at is moved past a value. */
static bool read_option(int argc, char *const argv[], int *at, struct raw *raw, FILE *err)
{
    const char *word = strcmp(argv[*at], "-h") == 0 ? "--help" : argv[*at];
    const char *equals = strchr(word, '=');
    size_t length = equals != NULL ? (size_t)(equals - word) : strlen(word);
    int option = 0;
    while (option < OPTION_COUNT && (strlen(options[option].name) != length ||
                                     strncmp(options[option].name, word, length) != 0))
        option++;
    if (option == OPTION_COUNT)
        return unknown_option(word, err);
    const char *help = "urn --help lists the options";
    if (raw->given[option])
        return mistake(err, help, "%s is given twice", options[option].name);
    raw->given[option] = true;
    if (options[option].value == NULL)
        return equals == NULL || mistake(err, help, "%s takes no value", options[option].name);
    if (equals != NULL)
        raw->value[option] = equals + 1;
    else if (*at + 1 < argc)
        raw->value[option] = argv[++*at];
    else
        return mistake(err, help, "%s needs %s", options[option].name, options[option].value);
    return true;
}

/* A single - is a word, and so is a negative number: the latter is refused with its reason later.
 */
static bool looks_like_an_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

static bool read_words(int argc, char *const argv[], struct raw *raw, FILE *err)
{
    bool options_ended = false;
    for (int at = 1; at < argc; at++) {
        if (!options_ended && strcmp(argv[at], "--") == 0) {
            options_ended = true;
        } else if (!options_ended && looks_like_an_option(argv[at])) {
            if (!read_option(argc, argv, &at, raw, err))
                return false;
        } else {
            if (raw->word_count < 3)
                raw->words[raw->word_count] = argv[at];
            raw->word_count++;
        }
    }
    return true;
}

static bool find_command(const char *word, enum command *command, FILE *err)
{
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
        if (strcmp(word, names[i]) == 0) {
            *command = (enum command)i;
            return true;
        }
    }
    return unknown_word(err, "command", word, names, COMMAND_COUNT,
                        "urn --help lists the commands");
}

static bool check_options(const struct raw *raw, enum command command, FILE *err)
{
    for (int option = 0; option < OPTION_COUNT; option++)
        if (raw->given[option] && (options[option].commands & FOR(command)) == 0) {
            char what[80];
            snprintf(what, sizeof what, "%s takes no %s", command_name(command),
                     options[option].name);
            return wrong_usage(err, command, what);
        }
    return true;
}

/* Which of three words it is; 3: none of them. */
static int which_of(const char *text, const char *const words[3])
{
    int which = 0;
    while (which < 3 && strcmp(text, words[which]) != 0)
        which++;
    return which;
}

static bool read_as(const char *text, enum urnclient_as *as, FILE *err)
{
    static const char *const forms[] = {
        [URNCLIENT_NAMES] = "names", [URNCLIENT_INDEXES] = "indexes", [URNCLIENT_TALLY] = "tally"};
    int which = which_of(text, forms);
    if (which == 3)
        return mistake(err, "urn draw --help says more", "--as needs %s, not \"%s\"",
                       options[OPTION_AS].value, text);
    *as = (enum urnclient_as)which;
    return true;
}

static bool read_format(const char *text, struct arguments *arguments, FILE *err)
{
    static const char *const formats[] = {
        [FORMAT_TEXT] = "text", [FORMAT_JSON] = "json", [FORMAT_PROMETHEUS] = "prometheus"};
    int which = which_of(text, formats);
    if (which == 3)
        return mistake(err, "urn info --help says more", "--format needs %s, not \"%s\"",
                       options[OPTION_FORMAT].value, text);
    if (arguments->json && which != FORMAT_JSON)
        return mistake(err, "urn info --help says more",
                       "--json and --format %s exclude each other", text);
    arguments->format = (enum format)which;
    arguments->json = which == FORMAT_JSON;
    return true;
}

/* --offset and --limit. */
static bool read_bound(const struct raw *raw, enum option option, uint32_t *bound, FILE *err)
{
    const char *text = raw->value[option];
    uint64_t number;
    if (text == NULL)
        return true;
    if (!number_read(text, UINT32_MAX, &number))
        return mistake(err, "urn --help says more", "%s needs a number from 0 to %u, not \"%s\"",
                       options[option].name, UINT32_MAX, text);
    *bound = (uint32_t)number;
    return true;
}

static bool read_quantity(const struct raw *raw, enum option option, bool *given, int64_t *quantity,
                          FILE *err)
{
    const char *text = raw->value[option];
    const uint64_t most = (1ull << 53) - 1;
    uint64_t number;
    *given = text != NULL;
    if (text == NULL)
        return true;
    if (option != OPTION_PROBABILITY && strcmp(text, "-1") == 0) {
        *quantity = URNCLIENT_UNLIMITED;
        return true;
    }
    if (!number_read(text, most, &number))
        return mistake(err, "numbers go up to 9007199254740991", "%s needs %s, not \"%s\"",
                       options[option].name, options[option].value, text);
    *quantity = (int64_t)number;
    return true;
}

static bool read_update(const struct raw *raw, struct arguments *arguments, FILE *err)
{
    struct urnclient_update *update = &arguments->update;
    int64_t probability = 0;
    if (!read_quantity(raw, OPTION_QUANTITY, &update->has_quantity, &update->quantity, err) ||
        !read_quantity(raw, OPTION_IF_QUANTITY, &update->has_if_quantity, &update->if_quantity,
                       err) ||
        !read_quantity(raw, OPTION_PROBABILITY, &update->has_probability, &probability, err))
        return false;
    update->probability = (uint64_t)probability;
    if (arguments->command == COMMAND_ADD && !(update->has_quantity && update->has_probability))
        return wrong_usage(err, COMMAND_ADD, "an item needs --quantity and --probability");
    if (arguments->command == COMMAND_UPDATE && !(update->has_quantity || update->has_probability))
        return wrong_usage(err, COMMAND_UPDATE, "there is neither --quantity nor --probability");
    return true;
}

static bool read_values(const struct raw *raw, struct arguments *arguments, FILE *err)
{
    const char *timeout = raw->value[OPTION_TIMEOUT];
    const char *as = raw->value[OPTION_AS];
    const char *format = raw->value[OPTION_FORMAT];
    if (raw->value[OPTION_ADDRESS] != NULL)
        arguments->address = raw->value[OPTION_ADDRESS];
    if (timeout != NULL && !duration_read(timeout, &arguments->timeout_ms))
        return mistake(err, "urn --help says more", "--timeout needs %s, not \"%s\"",
                       options[OPTION_TIMEOUT].value, timeout);
    if (as != NULL && !read_as(as, &arguments->as, err))
        return false;
    if (format != NULL && !read_format(format, arguments, err))
        return false;
    arguments->dry_run = raw->given[OPTION_DRY_RUN];
    arguments->force = raw->given[OPTION_FORCE];
    return read_update(raw, arguments, err) &&
           read_bound(raw, OPTION_OFFSET, &arguments->offset, err) &&
           read_bound(raw, OPTION_LIMIT, &arguments->limit, err);
}

static bool read_request_id(const char *word, uint64_t *request_id, FILE *err)
{
    const uint64_t most = (1ull << 53) - 1;
    if (number_read(word, most, request_id) && *request_id > 0)
        return true;
    return mistake(err, "urn lookup --help says more",
                   "ID needs a number from 1 to %" PRIu64 ", not \"%s\"", most, word);
}

static bool read_command_arguments(const struct raw *raw, struct arguments *arguments, FILE *err)
{
    enum command command = arguments->command;
    int given = raw->word_count - 1;
    uint64_t count;
    if (given < commands[command].arguments_min)
        return wrong_usage(err, command,
                           command == COMMAND_LOOKUP ? "the request id is missing"
                           : given == 0              ? "the pool's name is missing"
                                                     : "the item is missing");
    if (given > commands[command].arguments_max)
        return wrong_usage(err, command, "too many arguments");
    if (command == COMMAND_HELP)
        return given == 0 || find_command(raw->words[1], &arguments->about, err);
    if (command == COMMAND_LOOKUP)
        return read_request_id(raw->words[1], &arguments->request_id, err);
    if (given >= 1)
        arguments->pool = raw->words[1];
    if (given < 2)
        return true;
    if (command == COMMAND_CREATE)
        arguments->file = raw->words[2];
    else if (command != COMMAND_DRAW)
        arguments->item = raw->words[2];
    if (command != COMMAND_DRAW)
        return true;
    if (!number_read(raw->words[2], UINT32_MAX, &count) || count == 0)
        return mistake(err, "urn draw --help says more",
                       "COUNT needs a number from 1 to %u, not \"%s\"", UINT32_MAX, raw->words[2]);
    arguments->count = (uint32_t)count;
    return true;
}

bool arguments_read(int argc, char *const argv[], const char *default_address,
                    struct arguments *arguments, FILE *err)
{
    struct raw raw = {.word_count = 0};
    *arguments = (struct arguments){.command = COMMAND_HELP,
                                    .about = COMMAND_COUNT,
                                    .address = default_address,
                                    .count = 1,
                                    .limit = UINT32_MAX};
    if (!read_words(argc, argv, &raw, err))
        return false;
    arguments->json = raw.given[OPTION_JSON];
    arguments->all = raw.given[OPTION_ALL];
    arguments->version = raw.given[OPTION_VERSION];
    arguments->help = raw.given[OPTION_HELP];
    if (raw.word_count == 0) {
        if (arguments->version || arguments->help)
            return true;
        return mistake(err, "urn --help lists the commands", "a command is missing");
    }
    if (!find_command(raw.words[0], &arguments->command, err))
        return false;
    if (arguments->help) {
        arguments->about = arguments->command;
        return true;
    }
    arguments->help = arguments->command == COMMAND_HELP;
    return check_options(&raw, arguments->command, err) &&
           read_command_arguments(&raw, arguments, err) && read_values(&raw, arguments, err);
}
