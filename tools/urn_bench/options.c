/* options.c: see options.h. */
#include "tools/urn_bench/options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tools/common/words.h"
#include "tools/urn_bench/schedule.h"

#define EXACT_MAX ((1ull << 53) - 1)

static const char help[] =
    "urn-bench loads an urn server with draws and measures how many it answers and how fast.\n"
    "\n"
    "Usage: urn-bench [OPTION ...]\n"
    "\n"
    "Where\n"
    "  --address A      the server: host:port, [IPv6]:port or unix:PATH. Without it, what the\n"
    "                   environment variable URN_ADDRESS says, else " URNCLIENT_DEFAULT_ADDRESS "\n"
    "  --connections N  connections (default 50)\n"
    "  --threads N      threads that share the connections (default 1; one thread makes millions\n"
    "                   of calls a second, so more are of use only where one is seen to be full)\n"
    "\n"
    "What\n"
    "  --pool NAME      the pool to draw from (default main); several may be given\n"
    "  --all-pools      all pools that the server has\n"
    "  --pick round-robin|random\n"
    "                   which of the pools the next call is for (default round-robin)\n"
    "  --draws N        draws a call (default 1)\n"
    "  --as names|indexes|tally\n"
    "                   how outcomes are told (default names)\n"
    "  --ping           call ping instead of draw; any MessagePack-RPC server can answer that\n"
    "\n"
    "How fast\n"
    "  --pipeline N     calls under way at a time on each connection (default 1)\n"
    "  --rate N         open loop: so many calls a second in all, at even distances, whatever the\n"
    "                   server does. Latencies are measured from when a call was due, so that a\n"
    "                   pause shows in every call it held up. At most connections x pipeline\n"
    "                   calls are under way; what is due beyond that waits, and its wait counts.\n"
    "                   Without --rate the loop is closed: a reply makes room for the next call\n"
    "\n"
    "How long\n"
    "  --duration T     so long (default 10s): 250ms, 10s, 5m, 1h\n"
    "  --calls N        until so many calls instead\n"
    "  --warm-up T      before that load for so long unmeasured (default 1s; 0 for none)\n"
    "  --timeout T      give up when no reply comes for so long (default 30s)\n"
    "\n"
    "Output\n"
    "  --check          keep which ids were given, and say whether they were unique and "
    "increasing\n"
    "  --json           print the report as one JSON object\n"
    "  --quiet          no line of progress (there is none anyway unless standard error is a\n"
    "                   terminal)\n"
    "  --help           print this\n"
    "  --version        print the version\n"
    "\n"
    "Every reply is checked: that it belongs to a call under way, and that a draw has as many\n"
    "outcomes of the right kind as were asked for. The first interrupt (Ctrl-C) ends the load and\n"
    "prints what was measured until then.\n"
    "\n"
    "Examples\n"
    "  urn-bench                                         50 connections, a draw at a time\n"
    "  urn-bench --pipeline 16 --as indexes --check      800 calls under way\n"
    "  urn-bench --draws 1000 --as indexes --connections 4 --pipeline 4\n"
    "  urn-bench --connections 1 --calls 10000           what a lone client waits\n"
    "  urn-bench --rate 20000 --pipeline 64 --duration 1m --json | jq .latency_us.p999\n"
    "  urn-bench --ping --address unix:/run/urn/urn.sock\n"
    "\n"
    "Exit statuses\n"
    "   0  done; BUSY replies are counted, and are no failure\n"
    "   1  the server answered calls with other errors than BUSY\n"
    "  64  the command line is wrong\n"
    "  65  ids were given twice or not in order\n"
    "  69  no server answers at the address\n"
    "  71  the system gave no memory or no more connections\n"
    "  74  a connection broke, a reply was not what was asked for or did not come, or writing the\n"
    "      output failed\n";

void options_print_help(FILE *out)
{
    fputs(help, out);
}

/* ---- the table ----------------------------------------------------------------------------- */

enum option {
    OPTION_ADDRESS,
    OPTION_CONNECTIONS,
    OPTION_THREADS,
    OPTION_POOL,
    OPTION_ALL_POOLS,
    OPTION_PICK,
    OPTION_DRAWS,
    OPTION_AS,
    OPTION_PING,
    OPTION_PIPELINE,
    OPTION_RATE,
    OPTION_DURATION,
    OPTION_CALLS,
    OPTION_WARM_UP,
    OPTION_TIMEOUT,
    OPTION_CHECK,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_COUNT,
};

static const struct {
    const char *name;
    const char *value; /* what follows it, in words; NULL: nothing */
    uint64_t maximum;  /* of a number; 0: it is none */
} table[OPTION_COUNT] = {
    [OPTION_ADDRESS] = {"--address", "host:port or unix:PATH"},
    [OPTION_CONNECTIONS] = {"--connections", "a number", OPTIONS_CONNECTIONS_MAX},
    [OPTION_THREADS] = {"--threads", "a number", OPTIONS_THREADS_MAX},
    [OPTION_POOL] = {"--pool", "the name of a pool"},
    [OPTION_ALL_POOLS] = {"--all-pools"},
    [OPTION_PICK] = {"--pick", "round-robin or random"},
    [OPTION_DRAWS] = {"--draws", "a number", OPTIONS_DRAWS_MAX},
    [OPTION_AS] = {"--as", "names, indexes or tally"},
    [OPTION_PING] = {"--ping"},
    [OPTION_PIPELINE] = {"--pipeline", "a number", OPTIONS_PIPELINE_MAX},
    [OPTION_RATE] = {"--rate", "a number", SCHEDULE_RATE_MAX},
    [OPTION_DURATION] = {"--duration", "a duration like 10s or 250ms"},
    [OPTION_CALLS] = {"--calls", "a number", EXACT_MAX},
    [OPTION_WARM_UP] = {"--warm-up", "a duration like 1s or 250ms, or 0"},
    [OPTION_TIMEOUT] = {"--timeout", "a duration like 30s or 250ms"},
    [OPTION_CHECK] = {"--check"},
    [OPTION_JSON] = {"--json"},
    [OPTION_QUIET] = {"--quiet"},
    [OPTION_HELP] = {"--help"},
    [OPTION_VERSION] = {"--version"},
};

/* Pairs of which one says the opposite of the other, or nothing beside it. */
static const enum option exclusions[][2] = {
    {OPTION_PING, OPTION_POOL},      {OPTION_PING, OPTION_ALL_POOLS}, {OPTION_PING, OPTION_PICK},
    {OPTION_PING, OPTION_DRAWS},     {OPTION_PING, OPTION_AS},        {OPTION_PING, OPTION_CHECK},
    {OPTION_POOL, OPTION_ALL_POOLS}, {OPTION_DURATION, OPTION_CALLS},
};

/* ---- mistakes ------------------------------------------------------------------------------ */

static bool mistake(FILE *err, const char *hint, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Prints "urn-bench: <what is wrong>" and a line with what to do. Always false. */
static bool mistake(FILE *err, const char *hint, const char *format, ...)
{
    va_list arguments;
    fputs("urn-bench: ", err);
    va_start(arguments, format);
    vfprintf(err, format, arguments);
    va_end(arguments);
    fprintf(err, "\n           %s\n", hint);
    return false;
}

static const char see_help[] = "urn-bench --help explains the options";

static bool unknown_option(const char *word, FILE *err)
{
    const char *names[OPTION_COUNT];
    char question[80];
    for (int i = 0; i < OPTION_COUNT; i++)
        names[i] = table[i].name;
    const char *nearest = nearest_word(word, names, OPTION_COUNT);
    if (nearest != NULL)
        snprintf(question, sizeof question, "did you mean %s?", nearest);
    return mistake(err, nearest != NULL ? question : see_help, "there is no option \"%s\"", word);
}

/* ---- values -------------------------------------------------------------------------------- */

/* Where the number of an option goes. */
struct number_place {
    uint32_t *narrow; /* one of the two */
    uint64_t *wide;
};

static struct number_place number_place(struct options *options, enum option option)
{
    switch (option) {
    case OPTION_CONNECTIONS:
        return (struct number_place){.narrow = &options->connections};
    case OPTION_THREADS:
        return (struct number_place){.narrow = &options->threads};
    case OPTION_DRAWS:
        return (struct number_place){.narrow = &options->draws};
    case OPTION_PIPELINE:
        return (struct number_place){.narrow = &options->pipeline};
    case OPTION_RATE:
        return (struct number_place){.wide = &options->rate};
    default:
        CHECK(option == OPTION_CALLS);
        return (struct number_place){.wide = &options->calls};
    }
}

static bool take_number(struct options *options, enum option option, const char *text, FILE *err)
{
    uint64_t number;
    if (!number_read(text, table[option].maximum, &number) || number == 0)
        return mistake(err, see_help, "%s needs a number from 1 to %llu, not \"%s\"",
                       table[option].name, (unsigned long long)table[option].maximum, text);
    struct number_place place = number_place(options, option);
    if (place.narrow != NULL)
        *place.narrow = (uint32_t)number;
    else
        *place.wide = number;
    return true;
}

static bool take_duration(enum option option, const char *text, uint32_t *duration_ms, FILE *err)
{
    if (option == OPTION_WARM_UP && strcmp(text, "0") == 0) {
        *duration_ms = 0;
        return true;
    }
    return duration_read(text, duration_ms) ||
           mistake(err, "from 1ms to 24h", "%s needs %s, not \"%s\"", table[option].name,
                   table[option].value, text);
}

/* One of a few words; *which is its place among them. */
static bool take_word(enum option option, const char *text, const char *const *words, int count,
                      int *which, FILE *err)
{
    for (*which = 0; *which < count; ++*which)
        if (strcmp(text, words[*which]) == 0)
            return true;
    return mistake(err, see_help, "%s needs %s, not \"%s\"", table[option].name,
                   table[option].value, text);
}

static bool take_as(struct options *options, const char *text, FILE *err)
{
    static const char *const forms[] = {
        [URNCLIENT_NAMES] = "names", [URNCLIENT_INDEXES] = "indexes", [URNCLIENT_TALLY] = "tally"};
    int which;
    if (!take_word(OPTION_AS, text, forms, 3, &which, err))
        return false;
    options->as = (enum urnclient_as)which;
    return true;
}

static bool take_pick(struct options *options, const char *text, FILE *err)
{
    static const char *const ways[] = {
        [PICK_ROUND_ROBIN] = "round-robin", [PICK_RANDOM] = "random"};
    int which;
    if (!take_word(OPTION_PICK, text, ways, 2, &which, err))
        return false;
    options->pick = (enum pick)which;
    return true;
}

static bool take_value(struct options *options, enum option option, const char *text, FILE *err)
{
    if (table[option].maximum > 0)
        return take_number(options, option, text, err);
    switch (option) {
    case OPTION_ADDRESS:
        options->address = text;
        return true;
    case OPTION_POOL:
        options->pools[options->pool_count++] = text;
        return true;
    case OPTION_PICK:
        return take_pick(options, text, err);
    case OPTION_AS:
        return take_as(options, text, err);
    case OPTION_DURATION:
        return take_duration(option, text, &options->duration_ms, err);
    case OPTION_WARM_UP:
        return take_duration(option, text, &options->warm_up_ms, err);
    default:
        CHECK(option == OPTION_TIMEOUT);
        return take_duration(option, text, &options->timeout_ms, err);
    }
}

static void take_flag(struct options *options, enum option option)
{
    options->all_pools |= option == OPTION_ALL_POOLS;
    options->ping |= option == OPTION_PING;
    options->check |= option == OPTION_CHECK;
    options->json |= option == OPTION_JSON;
    options->quiet |= option == OPTION_QUIET;
    options->help |= option == OPTION_HELP;
    options->version |= option == OPTION_VERSION;
}

/* ---- the line ------------------------------------------------------------------------------ */

/* One option, `--name`, `--name=value` or `--name value`. *at is moved past a value. */
static bool take_option(int argc, char *const argv[], int *at, bool given[OPTION_COUNT],
                        struct options *options, FILE *err)
{
    const char *word = strcmp(argv[*at], "-h") == 0 ? "--help" : argv[*at];
    if (word[0] != '-')
        return mistake(err, "the server goes behind --address, a pool behind --pool",
                       "what is \"%s\"?", word);
    size_t length = strcspn(word, "=");
    int option = 0;
    while (option < OPTION_COUNT &&
           (strlen(table[option].name) != length || strncmp(table[option].name, word, length) != 0))
        option++;
    if (option == OPTION_COUNT)
        return unknown_option(word, err);
    if (given[option] && option != OPTION_POOL)
        return mistake(err, see_help, "%s is given twice", table[option].name);
    given[option] = true;
    const char *value = word[length] == '=' ? word + length + 1 : NULL;
    if (table[option].value == NULL) {
        take_flag(options, (enum option)option);
        return value == NULL || mistake(err, see_help, "%s takes no value", table[option].name);
    }
    if (value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (value == NULL)
        return mistake(err, see_help, "%s needs %s", table[option].name, table[option].value);
    return take_value(options, (enum option)option, value, err);
}

static bool check_together(const bool given[OPTION_COUNT], const struct options *options, FILE *err)
{
    for (size_t i = 0; i < sizeof exclusions / sizeof exclusions[0]; i++)
        if (given[exclusions[i][0]] && given[exclusions[i][1]])
            return mistake(err, see_help, "%s and %s exclude each other",
                           table[exclusions[i][0]].name, table[exclusions[i][1]].name);
    if (options->threads > options->connections)
        return mistake(err, "each thread needs a connection at least",
                       "--threads %u is more than --connections %u", options->threads,
                       options->connections);
    if ((uint64_t)options->connections * options->pipeline > OPTIONS_UNDER_WAY_MAX)
        return mistake(err, see_help, "--connections times --pipeline is more than %u",
                       OPTIONS_UNDER_WAY_MAX);
    return true;
}

bool options_read(int argc, char *const argv[], const char *default_address,
                  struct options *options, FILE *err)
{
    bool given[OPTION_COUNT] = {false};
    *options = (struct options){.address = default_address,
                                .connections = 50,
                                .pipeline = 1,
                                .threads = 1,
                                .draws = 1,
                                .as = URNCLIENT_NAMES,
                                .warm_up_ms = 1000,
                                .timeout_ms = 30000};
    options->pools = calloc((size_t)argc + 1, sizeof *options->pools);
    if (options->pools == NULL)
        return mistake(err, "close other programs", "no memory for the command line");
    for (int at = 1; at < argc; at++)
        if (!take_option(argc, argv, &at, given, options, err))
            return false;
    if (!given[OPTION_DURATION] && !given[OPTION_CALLS])
        options->duration_ms = 10000;
    if (options->pool_count == 0 && !options->all_pools && !options->ping)
        options->pools[options->pool_count++] = "main";
    return check_together(given, options, err);
}

void options_free(struct options *options)
{
    free(options->pools);
    options->pools = NULL;
}
