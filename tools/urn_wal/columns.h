/* columns.h: a table of words, as wide as its cells. */
#ifndef URN_TOOLS_URN_WAL_COLUMNS_H
#define URN_TOOLS_URN_WAL_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define COLUMNS_MAX 12u

/* Cells are kept until the table is printed. */
struct columns {
    uint32_t count;
    const char *titles[COLUMNS_MAX];
    bool right[COLUMNS_MAX]; /* aligned to the right: numbers */
    char **cells;
    uint32_t cell_count;
    uint32_t room;
    bool failed; /* out of memory */
};

/* titles: one for each column; a '>' in front aligns it to the right, and is not printed. */
void columns_begin(struct columns *columns, const char *const *titles, uint32_t count);

/* The next cell; rows end by themselves. */
void columns_add(struct columns *columns, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Prints everything and frees it. False when there was no memory for it. */
bool columns_print(struct columns *columns, FILE *out);

#endif
