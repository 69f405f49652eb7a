/* catalog_file.c: see catalog_file.h. */
#include "tools/urn/catalog_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void catalog_file_free(struct catalog_file *catalog)
{
    free(catalog->text);
    free(catalog->items);
    *catalog = (struct catalog_file){0};
}

/* Cuts the next field off *rest. */
static char *next_field(char **rest)
{
    return strsep(rest, "\t");
}

static bool read_integer(const char *text, long long least, long long *number)
{
    char *end;
    if (text == NULL || *text == '\0')
        return false;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && *number >= least && *number < 1ll << 53;
}

static bool read_line(char *line, struct urnclient_item_spec *item)
{
    long long quantity, probability;
    item->item_id = next_field(&line);
    if (!read_integer(next_field(&line), -1, &quantity) ||
        !read_integer(next_field(&line), 0, &probability) || line != NULL)
        return false;
    item->quantity = quantity;
    item->probability = (uint64_t)probability;
    return true;
}

/* The whole of a file, terminated, and its length; NULL on an error. */
static char *read_whole(FILE *file, size_t *length)
{
    size_t room = 65536, used = 0;
    char *text = malloc(room);
    while (text != NULL) {
        used += fread(text + used, 1, room - used - 1, file);
        if (used + 1 < room)
            break;
        char *larger = realloc(text, room *= 2);
        if (larger == NULL)
            free(text);
        text = larger;
    }
    if (text != NULL && ferror(file)) {
        free(text);
        return NULL;
    }
    if (text != NULL)
        text[used] = '\0';
    *length = used;
    return text;
}

static bool read_lines(struct catalog_file *catalog, size_t length, const char *path, char *text,
                       size_t text_bytes)
{
    char *rest = catalog->text;
    size_t lines = 1;
    for (const char *at = rest; *at != '\0'; at++)
        lines += *at == '\n';
    if (strlen(rest) < length) { /* what follows would be lost without a word */
        snprintf(text, text_bytes, "%s: a zero byte in line %zu", path, lines);
        return false;
    }
    catalog->items = calloc(lines, sizeof *catalog->items);
    if (catalog->items == NULL) {
        snprintf(text, text_bytes, "%s: no memory for %zu lines", path, lines);
        return false;
    }
    for (size_t number = 1; rest != NULL; number++) {
        char *line = strsep(&rest, "\n");
        if (*line == '\0')
            continue;
        if (!read_line(line, &catalog->items[catalog->count++])) {
            snprintf(text, text_bytes,
                     "%s:%zu: expected item id, quantity (-1: unlimited) and weight, separated by "
                     "tabs",
                     path, number);
            return false;
        }
    }
    return true;
}

bool catalog_file_read(const char *path, struct catalog_file *catalog, char *text,
                       size_t text_bytes)
{
    *catalog = (struct catalog_file){0};
    if (path == NULL)
        return true;
    bool is_standard_input = strcmp(path, "-") == 0;
    size_t length = 0;
    FILE *file = is_standard_input ? stdin : fopen(path, "re");
    if (file != NULL)
        catalog->text = read_whole(file, &length);
    int why = errno;
    if (file != NULL && !is_standard_input)
        (void)fclose(file);
    if (catalog->text == NULL) {
        snprintf(text, text_bytes, "cannot read %s: %s", path, strerror(why));
        return false;
    }
    if (read_lines(catalog, length, path, text, text_bytes))
        return true;
    catalog_file_free(catalog);
    return false;
}
