/* terminal.c: see terminal.h. */
#include "tools/urn/terminal.h"

#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "engine/check.h"
#include "proto/rpc.h"

#define GREEN  "\x1b[32m"
#define YELLOW "\x1b[33m"
#define RED    "\x1b[31m"
#define DIM    "\x1b[2m"
#define PLAIN  "\x1b[0m"

void terminal_look(struct terminal *terminal, FILE *out)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    terminal->out = out;
    terminal->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    terminal->colour = isatty(fileno(out)) && (no_colour == NULL || *no_colour == '\0') &&
                       kind != NULL && strcmp(kind, "dumb") != 0;
}

/* Columns of one UTF-8 character of length bytes; negative when it is not to be printed. */
static int character_columns(const char *bytes, uint32_t length)
{
    wchar_t wide;
    mbstate_t state = {0};
    size_t got = mbrtowc(&wide, bytes, length, &state);
    if (got != length)
        return -1;
    return wcwidth(wide);
}

uint32_t terminal_clean(const struct terminal *terminal, struct urnclient_text text,
                        char clean[CLEAN_TEXT_BYTES])
{
    const char *replacement = terminal->utf8 ? "\xef\xbf\xbd" : "?";
    size_t used = 0;
    uint32_t columns = 0;
    for (uint32_t at = 0; at < text.length && used + 5 < CLEAN_TEXT_BYTES;) {
        const char *bytes = text.bytes + at;
        uint32_t length = rpc_utf8_bytes(bytes, text.length - at);
        int width = -1;
        if (length == 1)
            width = *bytes >= 0x20 && *bytes < 0x7f ? 1 : -1;
        else if (length > 1 && terminal->utf8)
            width = character_columns(bytes, length);
        if (width >= 0) {
            memcpy(clean + used, bytes, length);
            used += length;
            columns += (uint32_t)width;
        } else {
            used += (size_t)snprintf(clean + used, CLEAN_TEXT_BYTES - used, "%s", replacement);
            columns++;
        }
        at += length > 0 ? length : 1;
    }
    clean[used] = '\0';
    return columns;
}

/* ---- tables ------------------------------------------------------------------------------ */

void table_begin(struct table *table, const struct terminal *terminal, const struct column *columns,
                 uint32_t column_count)
{
    CHECK(column_count <= TABLE_COLUMNS_MAX);
    *table = (struct table){.terminal = terminal, .columns = columns, .column_count = column_count};
    for (uint32_t i = 0; i < column_count; i++)
        table->widths[i] = (uint32_t)strlen(columns[i].title);
}

/* Measures or prints a cell of so many columns; colour may be "". The last column is not padded, so
 * that no line ends with spaces. */
static void table_cell(struct table *table, const char *text, uint32_t columns, const char *colour)
{
    uint32_t at = table->next;
    bool is_last = at + 1 == table->column_count;
    table->next = is_last ? 0 : at + 1;
    if (!table->printing) {
        if (columns > table->widths[at])
            table->widths[at] = columns;
        return;
    }
    FILE *out = table->terminal->out;
    int padding = (int)(table->widths[at] - columns);
    bool coloured = *colour != '\0' && table->terminal->colour;
    if (table->columns[at].alignment == ALIGN_RIGHT)
        fprintf(out, "%*s", padding, "");
    fprintf(out, "%s%s%s", coloured ? colour : "", text, coloured ? PLAIN : "");
    if (table->columns[at].alignment == ALIGN_LEFT && !is_last)
        fprintf(out, "%*s", padding, "");
    fputs(is_last ? "\n" : "  ", out);
}

void table_print(struct table *table)
{
    CHECK(!table->printing && table->next == 0);
    table->printing = true;
    for (uint32_t i = 0; i < table->column_count; i++) {
        const char *title = table->columns[i].title;
        table_cell(table, title, (uint32_t)strlen(title), DIM);
    }
}

void table_text(struct table *table, struct urnclient_text text)
{
    char clean[CLEAN_TEXT_BYTES];
    uint32_t columns = terminal_clean(table->terminal, text, clean);
    table_cell(table, clean, columns, "");
}

void table_word(struct table *table, const char *word)
{
    table_cell(table, word, (uint32_t)strlen(word), "");
}

void table_number(struct table *table, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    table_word(table, text);
}

/* ---- bars -------------------------------------------------------------------------------- */

void bar_render(bool utf8, double share, char bar[BAR_BYTES])
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    uint32_t steps = utf8 ? 8 : 1;
    uint32_t filled = (uint32_t)(share * BAR_CELLS * steps + 0.5);
    if (filled == 0 && share > 0)
        filled = 1; /* something is left, and is seen */
    if (filled >= BAR_CELLS * steps)
        filled = share < 1 ? BAR_CELLS * steps - 1 : BAR_CELLS * steps;
    char *to = bar;
    for (uint32_t cell = 0; cell < BAR_CELLS; cell++) {
        uint32_t here = filled > steps ? steps : filled;
        const char *mark = utf8 ? eighths[here] : here > 0 ? "#" : ".";
        to = stpcpy(to, mark);
        filled -= here;
    }
}

const char *percent_text(double share, char text[PERCENT_BYTES])
{
    double percent = share * 100;
    if (share > 0 && percent < 0.01)
        snprintf(text, PERCENT_BYTES, "<0.01%%");
    else if (share < 1 && percent >= 99.995)
        snprintf(text, PERCENT_BYTES, ">99.99%%");
    else
        snprintf(text, PERCENT_BYTES, "%.2f%%", percent);
    return text;
}

void table_bar(struct table *table, double share)
{
    char bar[BAR_BYTES];
    char percent[PERCENT_BYTES];
    char text[BAR_BYTES + 2 + PERCENT_BYTES];
    bar_render(table->terminal->utf8, share, bar);
    percent_text(share, percent);
    snprintf(text, sizeof text, "%s %*s", bar, (int)PERCENT_COLUMNS_MAX, percent);
    table_cell(table, text, BAR_CELLS + 1 + PERCENT_COLUMNS_MAX,
               share > 0.5   ? GREEN
               : share > 0.1 ? YELLOW
                             : RED);
}
