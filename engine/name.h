/* name.h: names of pools and ids of items: which bytes may be one, and their hash.
 *
 * A name is 1 to URN_NAME_BYTES_MAX bytes of well-formed UTF-8 (RFC 3629: shortest forms only, no
 * surrogates, nothing above U+10FFFF) without control characters (U+0000 to U+001F, U+007F to
 * U+009F), so that it can stand in a log line, on a terminal and in JSON as it is. Names are
 * compared byte by byte; nothing is normalised. Pure; any thread.
 */
#ifndef URN_ENGINE_NAME_H
#define URN_ENGINE_NAME_H

#include "engine/urn.h"

/* bytes need not be terminated. */
bool name_is_valid(const char *bytes, uint32_t length);

/* Evenly spread over 64 bits. Not keyed: names are chosen by the operator, not by strangers. The
 * value is nowhere on disk and may change between versions. */
uint64_t name_hash(const char *bytes, uint32_t length);

#endif
