/* reconcile.h: draws of the log beside deliveries (deliveries.h), both in the order of request ids: a merge.
 *
 * Draws come as lines do, through a line_format that prints nothing of them but what does not agree:
 *
 *     MISSING <request id> <pool> <item id>                            drawn, and never delivered
 *     MISMATCHED <request id> <pool> <item id> delivered=<item id> line=<n>
 *     DUPLICATE <request id> <pool> <item id> delivered=<item id> line=<n>   delivered once more
 *     UNKNOWN <request id> delivered=<item id> line=<n>                no draw has this id
 *
 * FAILED stands for the item of a draw that failed, nothing behind delivered= says that nothing was
 * delivered. Of several deliveries of one draw, one that agrees counts as the delivery (the first, where
 * none does), the others are duplicates. A delivery is not judged where the log does not tell: of a draw
 * older than what is kept, lost in damage or missing files, or outside what was asked for.
 *
 * Memory: the deliveries. Of the draws nothing is kept.
 */
#ifndef URN_TOOLS_URN_WAL_RECONCILE_H
#define URN_TOOLS_URN_WAL_RECONCILE_H

#include "tools/urn_wal/deliveries.h"
#include "tools/urn_wal/lines.h"

struct reconcile_counts {
    uint64_t draws; /* that were asked for ... */
    uint64_t failed;
    uint64_t first_id, last_id; /* ... from which to which; 0: there are none */
    uint64_t matched;           /* deliveries that agree */
    uint64_t missing, mismatched, duplicate, unknown;
    uint64_t older, lost, outside; /* deliveries that are not judged */
};

struct reconcile {
    const struct deliveries *deliveries;
    struct names *names;
    struct output *output;
    bool json;
    uint64_t listed_left; /* findings that are still to be listed; all are counted */
    struct reconcile_counts counts;
    /* private */
    uint64_t at;      /* the delivery that comes next */
    uint64_t next_id; /* behind the last group; 0: none yet */
    bool gap;         /* the walk has met a break since */
};

/* What names, output and deliveries are outlives it. */
void reconcile_begin(struct reconcile *reconcile, const struct deliveries *deliveries,
                     struct names *names, struct output *output, bool json, uint64_t listed_max);

/* Prints with it: printer.sink is the struct reconcile. Only draws, forward, come to it. */
extern const struct line_format lines_reconcile;

/* Around each group of the walk, and for each break in it. */
void reconcile_group_begin(struct reconcile *reconcile, const struct wal_group_header *header);
void reconcile_group_end(struct reconcile *reconcile, const struct wal_group_header *header);
void reconcile_break(struct reconcile *reconcile);

/* The highest id of a delivery that has not been met yet; 0: all have. */
uint64_t reconcile_last_waiting(const struct reconcile *reconcile);

/* No group follows: the deliveries that are left over, and the counts. */
void reconcile_end(struct reconcile *reconcile);

/* Whether there is anything that does not agree. */
bool reconcile_differs(const struct reconcile_counts *counts);

#endif
