/* options.c: see options.h. */
#include "server/options.h"

#include <string.h>

#include "server/config_values.h"

const char options_help[] =
    "urnd: a durable reward-pool server: draws at random, mostly without replacement, and answers\n"
    "only what is safe on the disk\n"
    "\n"
    "usage: urnd --config FILE [--create]\n"
    "       urnd --config FILE --check-config\n"
    "\n"
    "  --config FILE     the configuration (YAML); paths in it start at its folder\n"
    "  --create          make the data directory if there is none yet; one that exists is opened\n"
    "                    as ever. Without this option a missing data directory is an error, so\n"
    "                    that a volume that was not mounted is not taken for a new beginning\n"
    "  --check-config    check the configuration and stop\n"
    "  --version         print the version and stop\n"
    "  --help            print this and stop\n"
    "\n"
    "examples:\n"
    "  urnd --config samples/config.yaml --create     the first start\n"
    "  urnd --config /etc/urn/config.yaml             every later one\n"
    "  urnd --config new.yaml --check-config && systemctl restart urnd\n"
    "\n"
    "signals: SIGTERM and SIGINT stop the server once it has answered what is under way; a second\n"
    "one stops it at once, and nothing that was acknowledged is lost\n"
    "\n"
    "exit status: 0 stopped as asked, 64 usage, 65 damaged data, 71 no memory, 73 cannot create,\n"
    "74 input or output error, 75 data directory in use, 78 configuration\n";

enum option { OPTION_CONFIG, OPTION_CREATE, OPTION_CHECK_CONFIG, OPTION_VERSION, OPTION_HELP };

static const char *const option_names[] = {
    [OPTION_CONFIG] = "--config",
    [OPTION_CREATE] = "--create",
    [OPTION_CHECK_CONFIG] = "--check-config",
    [OPTION_VERSION] = "--version",
    [OPTION_HELP] = "--help",
};

#define OPTION_COUNT (sizeof option_names / sizeof option_names[0])

static enum urn_code unknown_option(const char *word, struct urn_error *error)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (value_edit_distance(word, option_names[i]) <= 2)
            return error_set(error, URN_USAGE, 0, "there is no option %.64s; did you mean %s?",
                             word, option_names[i]);
    return error_set(error, URN_USAGE, 0, "there is no option %.64s; urnd --help shows them", word);
}

/* True when word is the option, alone or with "=value"; *value is then behind the sign, or NULL. */
static bool is_option(const char *word, const char *name, const char **value)
{
    size_t length = strlen(name);
    if (strncmp(word, name, length) != 0 || (word[length] != '\0' && word[length] != '='))
        return false;
    *value = word[length] == '=' ? word + length + 1 : NULL;
    return true;
}

static enum urn_code take_option(char **argv, int *at, struct options *options,
                                 struct urn_error *error)
{
    const char *word = argv[*at];
    const char *value = NULL;
    size_t which = 0;
    while (which < OPTION_COUNT && !is_option(word, option_names[which], &value))
        which++;
    if (which == OPTION_COUNT)
        return word[0] == '-'
                   ? unknown_option(word, error)
                   : error_set(error, URN_USAGE, 0,
                               "what is %.64s? The configuration goes behind --config", word);
    if (which != OPTION_CONFIG && value != NULL)
        return error_set(error, URN_USAGE, 0, "%s takes no value", option_names[which]);
    switch ((enum option)which) {
    case OPTION_CONFIG:
        if (value == NULL && argv[*at + 1] != NULL)
            value = argv[++*at];
        if (value == NULL || value[0] == '\0')
            return error_set(error, URN_USAGE, 0, "--config needs the name of a file");
        options->config = value;
        break;
    case OPTION_CREATE:
        options->create = true;
        break;
    case OPTION_CHECK_CONFIG:
        options->check_config = true;
        break;
    case OPTION_VERSION:
        options->version = true;
        break;
    case OPTION_HELP:
        options->help = true;
        break;
    }
    return URN_OK;
}

enum urn_code options_read(int argc, char **argv, struct options *options, struct urn_error *error)
{
    *options = (struct options){0};
    for (int i = 1; i < argc; i++)
        if (take_option(argv, &i, options, error) != URN_OK)
            return error->code;
    if (options->help || options->version)
        return URN_OK;
    if (options->config == NULL)
        return error_set(error, URN_USAGE, 0, "--config FILE is missing; urnd --help shows more");
    if (options->create && options->check_config)
        return error_set(error, URN_USAGE, 0,
                         "--create and --check-config exclude each other: a check changes nothing");
    return URN_OK;
}
