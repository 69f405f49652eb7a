/* snapshot_lines.h: a snapshot as a person or a program wants to read it.
 *
 * text
 *     SNAPSHOT <LSN> epoch=<n> next_request_id=<n> pools=<n> items=<n> time=<RFC 3339>
 *     POOL <pool> open|closed|unfinished odds_version=<n> items=<n>
 *     ITEM <pool> <item id> quantity=<n> probability=<n> drawn=<n> [applied=<n>]
 * json: one document, items and all; csv: an item a line.
 */
#ifndef URN_TOOLS_URN_WAL_SNAPSHOT_LINES_H
#define URN_TOOLS_URN_WAL_SNAPSHOT_LINES_H

#include "engine/state.h"
#include "tools/urn_wal/output.h"

void snapshot_text(struct output *output, const struct state *state);
void snapshot_json(struct output *output, const struct state *state,
                   const struct wal_geometry *geometry, const char *file);

/* The members of that document behind "file", up to its end, for a document that begins otherwise. pool: only
 * this one's; NULL: all. */
void snapshot_json_rest(struct output *output, const struct state *state,
                        const struct wal_geometry *geometry, const char *pool);

/* "open", "closed" or "unfinished". */
const char *pool_phase_text(const struct urn_pool *pool);

void snapshot_csv_begin(struct output *output);
void snapshot_csv(struct output *output, const struct state *state);

#endif
