/* replay_print.h: a state, and what leads to it, for people and for programs. */
#ifndef URN_TOOLS_URN_WAL_REPLAY_PRINT_H
#define URN_TOOLS_URN_WAL_REPLAY_PRINT_H

#include "tools/urn_wal/output.h"
#include "tools/urn_wal/replay_build.h"

/* Two lines on which state it is and what it was built from. */
void replay_print_head(const struct replay *replay, FILE *out);

/* The pools with their items, each as a table. pool: only this one; NULL: all. */
void replay_print_pools(const struct state *state, const char *pool, FILE *out);

/* One JSON document: what it was built from, then what a snapshot's document has. */
void replay_print_json(const struct replay *replay, const char *pool, struct output *output);

/* ---- entry by entry ------------------------------------------------------------------------------ */

/* What each entry did, as lines: the entry, then each item (or the pool) that it touched, as the entry left
 * it:
 *
 *     DRAWS <LSN> <first id>-<last id> <pool> odds_version=<n> failed=<n>
 *         ITEM <pool> <item id> quantity=<n> probability=<n> drawn=<n> taken=<n>
 *     UPDATE, ADD, APPLIED <LSN> <pool> <item id> odds_version=<n>
 *         ITEM <pool> <item id> quantity=<n> probability=<n> drawn=<n>
 *     CREATE, OPEN, CLOSE <LSN> <pool> odds_version=<n>
 *         POOL <pool> open|closed|unfinished odds_version=<n> items=<n>
 *     EPOCH <LSN> next_request_id=<n>
 *     IDS <LSN> reserved_up_to=<n>
 *
 * or as JSON, an object an entry. */
struct replay_trace {
    struct output *output;
    bool json;
    const char *pool; /* only what touches this pool; NULL: everything */
    const char *item; /* and this item */
    bool no_memory;
    /* private: of one draws entry */
    uint32_t *tally; /* by item; zeroes between entries */
    uint32_t tally_room;
    uint32_t *touched;
    uint32_t touched_room;
};

/* For struct replay: context is a struct replay_trace of the caller's, begun as its first fields say. */
void replay_trace_visit(void *context, const struct state *state,
                        const struct wal_group_header *header, const struct wal_entry *entry,
                        uint64_t first_request_id, uint32_t draws);
void replay_trace_end(struct replay_trace *trace);

#endif
