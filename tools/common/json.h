/* json.h: JSON (RFC 8259) from what a server answered.
 *
 * Integers are printed exactly (a server's stay below 2^53). What JSON lacks: a float that is no
 * number becomes null; bytes that are not UTF-8 become U+FFFD; a map's key that is not text becomes
 * the text of its JSON.
 */
#ifndef URN_TOOLS_COMMON_JSON_H
#define URN_TOOLS_COMMON_JSON_H

#include <stdio.h>

#include "proto/client.h"

void json_text(FILE *out, struct urnclient_text text);
void json_value(FILE *out, const struct urnclient_value *value);

#endif
