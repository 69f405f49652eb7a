/* lines.h: what stands in the log, as lines: one way of writing for each format.
 *
 * text
 *     DRAW <request id> <pool> <item id>          or FAILED for the item
 *     UPDATE <pool> <item id> [quantity=<n>] [probability=<n>] odds_version=<n> [from=file]
 *     ADD <pool> <item id> quantity=<n> probability=<n> odds_version=<n>
 *     CREATE, OPEN, CLOSE <pool> odds_version=<n>
 *     APPLIED <pool> <item id> probability=<n> odds_version=<n>
 *     IDS reserved_up_to=<n>
 *     ENTRY <LSN of the group> <type> <hex>       an entry of a type that this version does not know
 *   and of groups and snapshots
 *     GROUP <LSN> length=<bytes> durable=<LSN> epoch=<n> draws=<n> first_request_id=<n> time=<RFC 3339>
 *     PAD, MARK and EPOCH likewise
 *     SNAPSHOT <LSN> <file>
 *   A space and a backslash in a name are \x20 and \x5c; #<n> stands for a name that nothing kept tells.
 *
 * json: an object a line; csv: RFC 4180, the columns in its first line. Members and columns have the names
 * that the wire has (docs/protocol.md).
 */
#ifndef URN_TOOLS_URN_WAL_LINES_H
#define URN_TOOLS_URN_WAL_LINES_H

#include "tools/urn_wal/names.h"
#include "tools/urn_wal/output.h"

struct printer {
    const struct line_format *format;
    struct output *output;
    struct names *names;
    void *sink; /* of a format that does something else than print (reconcile.h) */
};

/* Where an entry stands. */
struct line_place {
    const struct wal_group_header *header;
    const uint8_t *group;
};

/* Draws of one entry, in the order in which they are to be printed. */
struct draw_batch {
    const struct wal_entry *entry;
    const uint32_t *outcomes; /* indexes or URN_FAILED_DRAW */
    const uint64_t *ids;      /* of each; NULL: first_id and those that follow it */
    uint64_t first_id;
    uint32_t count;
};

struct line_format {
    void (*begin)(struct printer *printer);
    void (*draws)(struct printer *printer, const struct line_place *place,
                  const struct draw_batch *batch);
    void (*change)(struct printer *printer, const struct line_place *place,
                   const struct wal_change *change);
    void (*ids)(struct printer *printer, const struct line_place *place,
                uint64_t reserved_request_id);
    void (*unknown)(struct printer *printer, const struct line_place *place,
                    const struct wal_entry *entry);
    void (*group)(struct printer *printer, const struct line_place *place, bool hex);
    void (*snapshot)(struct printer *printer, const struct history_snapshot *snapshot);
};

extern const struct line_format lines_text;
extern const struct line_format lines_json;
extern const struct line_format lines_csv;

/* Draws only, and only the columns that these have: request_id, pool, item_id (empty when it failed),
 * odds_version, lsn, time. */
extern const struct line_format lines_csv_draws;

/* "group", "pad", "mark", "epoch"; "unknown". */
const char *group_kind_text(enum wal_group_kind kind);

/* "update" ... "applied", of a change. */
const char *change_type_text(enum wal_entry_type type);

#endif
