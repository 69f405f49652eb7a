/* cat_print.h: the lines of one group: which are wanted, and their printing. */
#ifndef URN_TOOLS_URN_WAL_CAT_PRINT_H
#define URN_TOOLS_URN_WAL_CAT_PRINT_H

#include "tools/urn_wal/lines.h"
#include "tools/urn_wal/options.h"

/* Kinds of lines, by the names that --type takes: of entries first. */
enum line_kind {
    LINE_DRAW,
    LINE_UPDATE,
    LINE_ADD,
    LINE_CREATE,
    LINE_OPEN,
    LINE_CLOSE,
    LINE_APPLIED,
    LINE_IDS,
    LINE_UNKNOWN,
    LINE_GROUP,
    LINE_PAD,
    LINE_MARK,
    LINE_EPOCH,
    LINE_SNAPSHOT,
    LINE_KINDS
};
extern const char *const line_kind_names[LINE_KINDS];

#define ENTRY_KINDS ((1u << LINE_GROUP) - 1u)
#define GROUP_KINDS ((1u << LINE_KINDS) - 1u - ENTRY_KINDS)

/* What is wanted. Everything at once: a line has to pass all of it. */
struct selection {
    uint32_t kinds;    /* bits: 1 << enum line_kind */
    uint64_t from_lsn; /* of the group: from here ... */
    uint64_t to_lsn;   /* ... to before here */
    uint64_t since_us; /* wall time of the group, both included */
    uint64_t until_us;
    const char *pool;    /* a name, or "#7" where none is known; NULL: any */
    const char *item;    /* likewise */
    struct id_range ids; /* of draws; first 0: any, and other lines too */
    bool failed;         /* only draws that failed */
    bool reverse;        /* the last entry first, and its last draw */
    bool hex;            /* with a group's line, its bytes */
};

struct cat_print {
    const struct selection *selection;
    struct printer printer;
    FILE *notes;
    uint64_t lines_left;
    /* private */
    uint32_t item_pool; /* the pool in which the wanted item was looked up last, at so many items */
    uint32_t item_count;
    uint32_t item_index;
    uint32_t *outcomes; /* draws of an entry */
    uint64_t *ids;
    uint64_t draws_room;
    struct entry_place *entries; /* of a group that is printed in reverse */
    uint32_t entries_room;
};

/* lines_left: after so many lines nothing more is printed. printer's output and names outlive it. */
void cat_print_begin(struct cat_print *print, const struct selection *selection,
                     const struct printer *printer, FILE *notes, uint64_t lines_left);
void cat_print_end(struct cat_print *print);

/* Nothing more will be printed: enough lines, or the output takes no more. */
bool cat_print_is_done(const struct cat_print *print);

/* Prints what is wanted of a group of the log, and learns names from it. Errors: URN_NOMEMORY. */
enum urn_code cat_print_group(struct cat_print *print, const struct wal_group_header *header,
                              const uint8_t *group, struct urn_error *error);

void cat_print_snapshot(struct cat_print *print, const struct history_snapshot *snapshot);

#endif
