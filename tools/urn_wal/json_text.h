/* json_text.h: what reports to programs are made of: one JSON object on a stream. */
#ifndef URN_TOOLS_URN_WAL_JSON_TEXT_H
#define URN_TOOLS_URN_WAL_JSON_TEXT_H

#include <stdbool.h>
#include <stdio.h>

/* A string of JSON. Texts are valid UTF-8 but for a path, whose odd bytes are left as they are. */
void json_string(const char *text, FILE *out);

/* "true" or "false". */
const char *json_bool(bool value);

#endif
