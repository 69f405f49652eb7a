/* terminal.h: what people see: safe text, aligned tables, bars.
 *
 * Item ids come from a server, so they are printed only after control characters (which could steer
 * a terminal) and what is not UTF-8 have been replaced; where the locale is not UTF-8, everything
 * beyond ASCII is.
 */
#ifndef URN_TOOLS_URN_TERMINAL_H
#define URN_TOOLS_URN_TERMINAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/client.h"

struct terminal {
    FILE *out;
    bool utf8;   /* the locale's characters are UTF-8 */
    bool colour; /* out is a terminal that takes colours, and nobody said NO_COLOR */
};

/* Looks at the locale (setlocale must have been called), the environment and out. */
void terminal_look(struct terminal *terminal, FILE *out);

/* The most bytes of a cleaned name, with its terminator; longer texts are cut. */
#define CLEAN_TEXT_BYTES 512u

/* Writes text into clean as this terminal may show it, and returns how many columns that takes. */
uint32_t terminal_clean(const struct terminal *terminal, struct urnclient_text text,
                        char clean[CLEAN_TEXT_BYTES]);

/* ---- tables ------------------------------------------------------------------------------ */

#define TABLE_COLUMNS_MAX 8u

enum alignment { ALIGN_LEFT, ALIGN_RIGHT };

struct column {
    const char *title;
    enum alignment alignment;
};

/* A table is filled twice with the same cells: the first time it measures, the second time it
 * prints. Nothing is kept, so it can have a million rows. */
struct table {
    const struct terminal *terminal;
    const struct column *columns;
    uint32_t column_count;
    uint32_t widths[TABLE_COLUMNS_MAX];
    uint32_t next; /* column of the next cell */
    bool printing;
};

void table_begin(struct table *table, const struct terminal *terminal, const struct column *columns,
                 uint32_t column_count);

/* Ends measuring: prints the titles, and what is filled from now on. */
void table_print(struct table *table);

/* The next cell; rows end by themselves. */
void table_text(struct table *table, struct urnclient_text text);
void table_word(struct table *table, const char *word); /* our own words: not cleaned */
void table_number(struct table *table, uint64_t number);

/* A bar of BAR_CELLS columns and a percentage: which share (0 to 1) is left. */
#define BAR_CELLS 20u
void table_bar(struct table *table, double share);

/* Renders the bar alone; bar has BAR_BYTES. */
#define BAR_BYTES (3u * BAR_CELLS + 1u)
void bar_render(bool utf8, double share, char bar[BAR_BYTES]);

/* A percentage with two decimals that never says 0% of something or 100% of not all. */
#define PERCENT_COLUMNS_MAX 7u
#define PERCENT_BYTES       16u
const char *percent_text(double share, char text[PERCENT_BYTES]);

#endif
