/* options.c: see options.h. */
#include "tools/urn_wal/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/time_text.h"

/* ---- values ---------------------------------------------------------------------------------- */

static bool parse_number(const char *text, int base, char **end, uint64_t *number)
{
    if (text[0] < '0' || text[0] > '9') /* strtoull would take a sign, and spaces */
        return false;
    errno = 0;
    *number = strtoull(text, end, base);
    return errno == 0;
}

bool parse_lsn(const char *text, void *field)
{
    const int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
    char *end = NULL;
    return parse_number(text, base, &end, field) && *end == 0;
}

bool parse_count(const char *text, void *field)
{
    uint64_t *count = field;
    char *end = NULL;
    return parse_number(text, 10, &end, count) && *end == 0 && *count > 0;
}

bool parse_time(const char *text, void *field)
{
    return time_parse(text, field);
}

bool parse_text(const char *text, void *field)
{
    *(const char **)field = text;
    return text[0] != 0;
}

bool parse_size(const char *text, void *field)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    uint64_t *bytes = field;
    char *end = NULL;
    if (!parse_number(text, 10, &end, bytes) || *bytes == 0)
        return false;
    for (unsigned unit = 0; unit < sizeof units / sizeof units[0]; unit++) {
        if (strcmp(end, units[unit]) != 0)
            continue;
        if (*bytes > UINT64_MAX >> 10 * unit)
            return false;
        *bytes <<= 10 * unit;
        return true;
    }
    return false;
}

bool parse_id(const char *text, uint64_t *request_id)
{
    char *end = NULL;
    return parse_number(text, 10, &end, request_id) && *end == 0 && *request_id > 0;
}

bool parse_id_range(const char *text, void *field)
{
    struct id_range *range = field;
    char *end = NULL;
    if (!parse_number(text, 10, &end, &range->first) || range->first == 0)
        return false;
    range->last = range->first;
    if (*end == 0)
        return true;
    if (*end != '-')
        return false;
    range->last = UINT64_MAX;
    if (end[1] == 0)
        return true;
    return parse_number(end + 1, 10, &end, &range->last) && *end == 0 &&
           range->last >= range->first;
}

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

const char *closest_word(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    unsigned distance = 3;
    for (size_t i = 0; i < count; i++) {
        const unsigned found = edit_distance(word, candidates[i]);
        if (found < distance) {
            distance = found;
            best = candidates[i];
        }
    }
    return best;
}

/* What every command takes. */
#define ARCHIVE_OPTION "--archive"

static const struct option_row common_rows[] = {
    {ARCHIVE_OPTION, "the directory of an archive", offsetof(struct invocation, archive),
     parse_text},
    {.name = NULL},
};

static bool complain_of_option(const struct command *command, const char *word, FILE *notes)
{
    enum { NAMES_MAX = 32 };
    const char *names[NAMES_MAX] = {"--help", ARCHIVE_OPTION};
    size_t count = 2;
    for (const struct option_row *row = command->options; row->name != NULL; row++) {
        CHECK(count < NAMES_MAX);
        names[count++] = row->name;
    }
    const char *meant = closest_word(word, names, count);
    (void)fprintf(notes, "urn-wal: unknown option of %s: %s", command->name, word);
    if (meant != NULL)
        (void)fprintf(notes, "; did you mean %s?\n", meant);
    else
        (void)fprintf(notes, "; see urn-wal %s --help\n", command->name);
    return false;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Where the reading of a command line stands. */
struct words {
    int argc;
    const char *const *argv;
    int position;
};

/* The value of an option: behind its "=", or the next word. NULL: there is none. */
static const char *option_value(struct words *words, size_t name_length)
{
    const char *word = words->argv[words->position];
    if (word[name_length] == '=')
        return word + name_length + 1;
    return words->position + 1 < words->argc ? words->argv[++words->position] : NULL;
}

/* The row of that name, or the table's end. */
static const struct option_row *find_row(const struct option_row *row, const char *word,
                                         size_t length)
{
    while (row->name != NULL &&
           (strlen(row->name) != length || strncmp(row->name, word, length) != 0))
        row++;
    return row;
}

static bool read_option(const struct command *command, struct words *words,
                        struct invocation *invocation, FILE *notes)
{
    const char *word = words->argv[words->position];
    const size_t length = strcspn(word, "=");
    const struct option_row *row = find_row(common_rows, word, length);
    void *of = invocation;
    if (row->name == NULL) {
        row = find_row(command->options, word, length);
        of = invocation->options;
    }
    if (row->name == NULL)
        return complain_of_option(command, word, notes);
    void *field = (char *)of + row->offset;
    if (row->parse == NULL) {
        *(bool *)field = true;
        if (word[length] == 0)
            return true;
        (void)fprintf(notes, "urn-wal: %s takes no value\n", row->name);
        return false;
    }
    const char *value = option_value(words, length);
    if (value != NULL && row->parse(value, field))
        return true;
    (void)fprintf(notes, "urn-wal: %s needs %s%s%s\n", row->name, row->wants,
                  value == NULL ? "" : ", not ", value == NULL ? "" : value);
    return false;
}

static bool check_operands(const struct command *command, const struct invocation *invocation,
                           FILE *notes)
{
    if (invocation->operand_count >= command->operands_min)
        return true;
    (void)fprintf(notes, "urn-wal: %s wants %s: urn-wal %s %s\n", command->name, command->operands,
                  command->name, command->usage);
    return false;
}

bool options_parse(const struct command *command, int argc, const char *const *argv,
                   struct invocation *invocation, FILE *notes)
{
    CHECK(command->options_bytes <= sizeof invocation->options);
    CHECK(command->operands_max <= OPERANDS_MAX);
    *invocation = (struct invocation){.help = false};
    if (command->defaults != NULL)
        memcpy(invocation->options, command->defaults, command->options_bytes);
    struct words words = {.argc = argc, .argv = argv};
    bool options_ended = false;
    for (; words.position < argc; words.position++) {
        const char *word = argv[words.position];
        if (!options_ended && strcmp(word, "--help") == 0) {
            invocation->help = true;
            return true;
        }
        if (!options_ended && strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (!options_ended && word[0] == '-' && word[1] != 0) {
            if (!read_option(command, &words, invocation, notes))
                return false;
        } else if (invocation->operand_count < command->operands_max) {
            invocation->operands[invocation->operand_count++] = word;
        } else {
            (void)fprintf(notes, "urn-wal: %s wants no more than %s; there is also %s\n",
                          command->name, command->operands, word);
            return false;
        }
    }
    return check_operands(command, invocation, notes);
}
