/* cat.h: the log as lines of text.
 *
 *     DRAW <request id> <pool> <item id>          or FAILED for the item
 *     UPDATE <pool> <item id> [quantity=<n>] [probability=<n>] odds_version=<n> [from=file]
 *     ADD <pool> <item id> quantity=<n> probability=<n> odds_version=<n>
 *     CREATE, OPEN, CLOSE <pool> odds_version=<n>
 *     APPLIED <pool> <item id> probability=<n> odds_version=<n>
 *     ENTRY <LSN of the group> <type> <hex>       an entry of a type that this version does not
 * know
 *
 * and with groups, a line before each group's own:
 *     GROUP <LSN> length=<bytes> durable=<LSN> epoch=<n> draws=<n> first_request_id=<n> time_us=<n>
 *     PAD, MARK and EPOCH likewise
 */
#ifndef URN_TOOLS_URN_WAL_CAT_H
#define URN_TOOLS_URN_WAL_CAT_H

#include <stdio.h>

#include "tools/urn_wal/log_view.h"

struct cat_request {
    uint64_t from_lsn; /* the first group at or behind it */
    uint64_t to_lsn;   /* up to the first group at or behind it */
    bool groups;
};

/* How the printing ended. */
enum cat_end {
    CAT_END,     /* where the log ends (or to_lsn came first) */
    CAT_DAMAGE,  /* the log could not be read further */
    CAT_MEANING, /* all printed, but something in it cannot be true */
};

/* Prints to out. What a person should know besides (where the log ends and why, when that is not
 * just zeros) goes to notes. Beside a server nothing is printed that was not durable when the
 * printing began. Errors: those of log_view_open; URN_DAMAGED when no snapshot verifies; URN_IO
 * also when out takes no more. */
enum urn_code cat_directory(struct urn_os *os, const char *path, in_use_probe in_use,
                            void *in_use_context, const struct cat_request *request, FILE *out,
                            FILE *notes, enum cat_end *end, struct urn_error *error);

#endif
