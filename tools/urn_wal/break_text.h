/* break_text.h: a break of the walk in words. */
#ifndef URN_TOOLS_URN_WAL_BREAK_TEXT_H
#define URN_TOOLS_URN_WAL_BREAK_TEXT_H

#include "tools/urn_wal/walk.h"

#define BREAK_TEXT_BYTES 640u

/* What is wrong there, up to where, and which request ids lie there: from next_id (behind the group
 * before) to before first_id (of the group behind); either may be 0, not known. The place itself
 * (history_place of from_lsn) is for the caller to print. Beside a server the files are as they were at
 * the walk's last refresh. */
void break_text(const struct history *history, const struct walk_break *gap, uint64_t next_id,
                uint64_t first_id, char text[BREAK_TEXT_BYTES]);

/* It is known not to be archived: nothing that was meant to be kept is missing. */
static inline bool break_is_known_gap(const struct walk_break *gap)
{
    return gap->kind == WALK_MISSING && gap->known_gap;
}

/* The file that should hold it is not there (or was not given); otherwise it is damaged, or holds something
 * else. */
bool break_is_missing_file(const struct history *history, const struct walk_break *gap);

#endif
