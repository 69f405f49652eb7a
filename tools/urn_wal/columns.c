/* columns.c: see columns.h. */
#include "tools/urn_wal/columns.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define CELL_BYTES_MAX 512u

void columns_begin(struct columns *columns, const char *const *titles, uint32_t count)
{
    CHECK(count <= COLUMNS_MAX);
    *columns = (struct columns){.count = count};
    for (uint32_t column = 0; column < count; column++) {
        columns->right[column] = titles[column][0] == '>';
        columns->titles[column] = titles[column] + (columns->right[column] ? 1 : 0);
    }
}

void columns_add(struct columns *columns, const char *format, ...)
{
    char text[CELL_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (columns->cell_count == columns->room) {
        const uint32_t room = columns->room == 0 ? 128 : 2 * columns->room;
        char **larger = realloc(columns->cells, room * sizeof *larger);
        if (larger == NULL) {
            columns->failed = true;
            return;
        }
        columns->cells = larger;
        columns->room = room;
    }
    columns->cells[columns->cell_count] = strdup(text);
    if (columns->cells[columns->cell_count] == NULL)
        columns->failed = true;
    else
        columns->cell_count++;
}

/* Columns of the terminal that UTF-8 text takes, as far as no wide characters are in it. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != 0; text++)
        width += (*text & 0xc0) != 0x80;
    return width;
}

/* Spaces are owed until something follows them, so that no line ends in any. */
static void print_cell(const struct columns *columns, uint32_t column, size_t width,
                       const char *text, int *owed, FILE *out)
{
    const int fill = (int)(width - width_of(text));
    const bool right = columns->right[column];
    if (*text != 0) {
        (void)fprintf(out, "%*s%s", *owed + (right ? fill : 0), "", text);
        *owed = right ? 0 : fill;
    } else {
        *owed += fill;
    }
    *owed += 2;
    if (column + 1 == columns->count) {
        (void)fputc('\n', out);
        *owed = 0;
    }
}

bool columns_print(struct columns *columns, FILE *out)
{
    size_t widths[COLUMNS_MAX];
    CHECK(columns->count > 0);
    for (uint32_t column = 0; column < columns->count; column++)
        widths[column] = width_of(columns->titles[column]);
    for (uint32_t i = 0; i < columns->cell_count; i++) {
        const size_t width = width_of(columns->cells[i]);
        if (width > widths[i % columns->count])
            widths[i % columns->count] = width;
    }
    int owed = 0;
    const bool whole = !columns->failed && columns->cell_count % columns->count == 0;
    for (uint32_t column = 0; whole && column < columns->count; column++)
        print_cell(columns, column, widths[column], columns->titles[column], &owed, out);
    for (uint32_t i = 0; i < columns->cell_count; i++) {
        if (whole)
            print_cell(columns, i % columns->count, widths[i % columns->count], columns->cells[i],
                       &owed, out);
        free(columns->cells[i]);
    }
    free(columns->cells);
    columns->cells = NULL;
    return whole;
}
