/* names.h: what pools and items are called.
 *
 * The log tells pools and items by number. Numbers and names never change and nothing is ever removed, so
 * the newest snapshot knows all names of everything before it, and the log behind it tells the later ones.
 */
#ifndef URN_TOOLS_URN_WAL_NAMES_H
#define URN_TOOLS_URN_WAL_NAMES_H

#include "tools/urn_wal/walk.h"

/* The ends of a pool's lines: " <pool> <item>\n" of each item, as output_name prints names. */
struct line_ends {
    char *bytes;       /* readable LINE_END_SLACK bytes beyond the last one */
    uint32_t *offsets; /* items + 1 */
    uint32_t items;
};
#define LINE_END_SLACK     32u
#define LINE_END_BYTES_MAX (2u + 2u * 4u * URN_NAME_BYTES_MAX + 1u)

struct names {
    struct state state; /* without any truth about stock */
    bool has_state;
    bool known;                  /* a snapshot has been loaded */
    bool learned;                /* and more since: the state is no longer that snapshot's */
    struct line_ends *line_ends; /* by pool; made when they are first asked for */
    uint32_t line_ends_room;
};

/* From the newest snapshot that loads; without one nothing is known, and numbers stand for names. Beside a
 * server that has replaced all of them the history is refreshed. On URN_OK the caller has to names_end(). Errors: URN_NOMEMORY, URN_IO. */
enum urn_code names_begin(struct names *names, struct history *history, struct urn_error *error);
void names_end(struct names *names);

/* Learns from an entry that makes a pool or adds an item. Errors: URN_NOMEMORY. */
enum urn_code names_learn(struct names *names, const struct wal_change *change,
                          struct urn_error *error);

/* Learns all names that the log has told since the newest snapshot, up to its end. *walk is
 * left as it ended there, and is the caller's to walk_end(). Errors: those of walk_begin and walk_next. */
enum urn_code names_learn_log(struct names *names, struct history *history, struct walk *walk,
                              struct urn_error *error);

/* False when the log has not told yet. */
bool names_pool(const struct names *names, uint32_t pool_id, struct urn_text *name);
bool names_item(const struct names *names, uint32_t pool_id, uint32_t index, struct urn_text *name);

/* NULL when the pool is not known, or there is no memory. An item at or behind ->items is not known. */
const struct line_ends *names_line_ends(struct names *names, uint32_t pool_id);

#endif
