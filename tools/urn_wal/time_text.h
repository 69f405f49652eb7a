/* time_text.h: moments as people write them: RFC 3339. Microseconds since 1970, UTC. Pure. */
#ifndef URN_TOOLS_URN_WAL_TIME_TEXT_H
#define URN_TOOLS_URN_WAL_TIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#define TIME_TEXT_BYTES 28u /* its zero byte included */

/* "2026-11-22T05:14:29.123456Z", always 27 characters; moments beyond the year 9999 are cut to its end. */
void time_text(uint64_t time_us, char text[TIME_TEXT_BYTES]);

/* "2026-11-22T05:14:29Z", with a fraction of a second and an offset ("+02:00") or not; "T" may be a
 * space. A date alone is its first moment; without an offset it is UTC. False when it is no such time,
 * or before 1970. */
bool time_parse(const char *text, uint64_t *time_us);

#endif
