/* diff_lines.h: groups as lines, for two to be laid side by side. */
#ifndef URN_TOOLS_URN_WAL_DIFF_LINES_H
#define URN_TOOLS_URN_WAL_DIFF_LINES_H

#include "tools/urn_wal/diff_find.h"

/* What cat --groups prints of each of these groups, with the names that the history tells: the caller's to
 * free(); NULL from the first on that failed. The history may be refreshed. Errors: URN_NOMEMORY, URN_IO. */
enum urn_code diff_group_lines(struct history *history, const struct diff_group *groups,
                               uint32_t count, char **lines, struct urn_error *error);

/* The first line in which the two texts differ, counted from 0: its number and its begin in each. */
struct line_split {
    uint64_t line;
    const char *a, *b;
};
struct line_split diff_first_line(const char *a, const char *b);

/* The begin of the line behind the one that begins here, or the text's end. */
const char *diff_next_line(const char *text);

/* How many lines there are from here on. */
uint64_t diff_count_lines(const char *text);

/* The length of the line that begins here, without its line feed. */
size_t diff_line_length(const char *text);

#endif
