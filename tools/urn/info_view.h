/* info_view.h: the map that `info` answers, for people. */
#ifndef URN_TOOLS_URN_INFO_VIEW_H
#define URN_TOOLS_URN_INFO_VIEW_H

#include "tools/urn/terminal.h"

/* Prints a map, its maps indented below their names; numbers right-aligned, and beside those whose
 * name ends with _bytes, _us or _s what a person would say. */
void info_print(const struct terminal *terminal, const struct urnclient_value *info);

/* What a person would say of a number with this name; "" when its digits say it well enough. */
#define HUMAN_BYTES 32u
const char *human_text(const char *name, uint64_t number, char text[HUMAN_BYTES]);

#endif
