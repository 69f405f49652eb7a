/* diff_lines.c: see diff_lines.h. */
#include "tools/urn_wal/diff_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/urn_wal/cat_print.h"

static const struct selection everything = {.kinds = ENTRY_KINDS | GROUP_KINDS,
                                            .to_lsn = UINT64_MAX,
                                            .until_us = UINT64_MAX,
                                            .ids = {.first = 0, .last = UINT64_MAX}};

static enum urn_code print_to(FILE *stream, struct names *names, const struct diff_group *group,
                              struct urn_error *error)
{
    struct cat_print print;
    struct output *output = malloc(sizeof *output);
    if (output == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot show the difference");
    output_begin(output, stream);
    const struct printer printer = {.format = &lines_text, .output = output, .names = names};
    cat_print_begin(&print, &everything, &printer, stream, UINT64_MAX);
    enum urn_code code = cat_print_group(&print, &group->header, group->bytes, error);
    cat_print_end(&print);
    if (!output_end(output) && code == URN_OK)
        code = error_set(error, URN_NOMEMORY, ENOMEM, "cannot show the difference");
    free(output);
    return code;
}

static enum urn_code learn_names(struct names *names, struct history *history,
                                 struct urn_error *error)
{
    struct walk walk = {.history = history};
    enum urn_code code = names_begin(names, history, error);
    if (code != URN_OK)
        return code;
    code = names_learn_log(names, history, &walk, error);
    walk_end(&walk);
    return code;
}

static enum urn_code print_group(struct names *names, const struct diff_group *group, char **lines,
                                 struct urn_error *error)
{
    size_t length = 0;
    FILE *stream = open_memstream(lines, &length);
    if (stream == NULL)
        return error_set(error, URN_NOMEMORY, errno, "cannot show the difference");
    enum urn_code code = print_to(stream, names, group, error);
    if (fclose(stream) != 0 && code == URN_OK)
        code = error_set(error, URN_NOMEMORY, errno, "cannot show the difference");
    if (code != URN_OK) {
        free(*lines);
        *lines = NULL;
    }
    return code;
}

enum urn_code diff_group_lines(struct history *history, const struct diff_group *groups,
                               uint32_t count, char **lines, struct urn_error *error)
{
    struct names names;
    if (count == 0)
        return URN_OK;
    enum urn_code code = learn_names(&names, history, error);
    for (uint32_t i = 0; i < count && code == URN_OK; i++)
        code = print_group(&names, &groups[i], &lines[i], error);
    names_end(&names);
    return code;
}

size_t diff_line_length(const char *text)
{
    return strcspn(text, "\n");
}

const char *diff_next_line(const char *text)
{
    const char *end = text + diff_line_length(text);
    return *end == '\n' ? end + 1 : end;
}

struct line_split diff_first_line(const char *a, const char *b)
{
    struct line_split split = {.line = 0, .a = a, .b = b};
    while (*split.a != 0 && *split.b != 0) {
        const size_t length = diff_line_length(split.a);
        if (length != diff_line_length(split.b) || memcmp(split.a, split.b, length) != 0)
            break;
        split.a = diff_next_line(split.a);
        split.b = diff_next_line(split.b);
        split.line++;
    }
    return split;
}

uint64_t diff_count_lines(const char *text)
{
    uint64_t count = 0;
    for (; *text != 0; text = diff_next_line(text))
        count++;
    return count;
}
