/* diff_find.h: where two histories part.
 *
 * The chain behind a group vouches for all that came before it. So two histories of one ring agree up to the
 * newest segment that both keep and in which their first groups carry the same chain before them, however much
 * lies below; what lies behind is walked in both at once, group by group, until the chains differ, or one
 * ends. Where one of them is damaged the walks meet again behind the damage.
 *
 *     A  ... [ segment 7 ][ segment 8 ][ segment 9  x
 *     B  ... [ segment 7 ][ segment 8 ][ segment 9  x
 *            chain =      chain =      chain =      the first group that differs
 */
#ifndef URN_TOOLS_URN_WAL_DIFF_FIND_H
#define URN_TOOLS_URN_WAL_DIFF_FIND_H

#include "tools/urn_wal/walk.h"

enum diff_verdict {
    DIFF_ALIKE,         /* the same groups up to the same end */
    DIFF_PREFIX,        /* one ends at lsn where the other goes on: ended says which */
    DIFF_PARTED,        /* both go on at lsn, in different ways */
    DIFF_PARTED_BELOW,  /* at lsn, the first that both keep, their chains differ already */
    DIFF_PARTED_WITHIN, /* somewhere from gap_lsn on to lsn, where one of them cannot be read */
    DIFF_RINGS,         /* of different rings: no position of one means anything in the other */
    DIFF_APART,   /* no stretch is kept by both: they cannot be compared; bridge may tell more */
    DIFF_UNKNOWN, /* of all that both keep, one or the other cannot be read */
};

enum { SIDE_A, SIDE_B, SIDES };

/* Of histories that keep no common stretch: what a snapshot of one says of the log of the other. */
enum diff_bridge {
    BRIDGE_NONE,  /* no snapshot lies within the other's log */
    BRIDGE_SAME,  /* up to it, at lsn, they are the same */
    BRIDGE_OTHER, /* they parted below it */
};

#define DIFF_GROUPS_MAX 6u

struct diff_group {
    struct wal_group_header header;
    uint8_t *bytes;
};

/* One of the two. */
struct diff_side {
    struct history *history;
    struct walk walk;
    bool walking;
    bool ended; /* at walk.tail.lsn */
    bool has_gap;
    struct walk_break gap; /* the first of all, where there was one */
    bool damaged, missing;
    /* what it says there: the group at the verdict's lsn and, should that hold no draws or changes, those behind
     * it up to one that does */
    struct diff_group groups[DIFF_GROUPS_MAX];
    uint32_t group_count;
    uint64_t begin_lsn; /* of what is kept */
};

struct diff_log {
    struct diff_side sides[SIDES]; /* the histories are set by the caller */
    enum diff_verdict verdict;
    uint64_t lsn;
    uint64_t
        gap_lsn; /* DIFF_PARTED_WITHIN, DIFF_PREFIX: up to here they are the same for certain */
    uint32_t shorter;  /* DIFF_PREFIX: the side that ends */
    uint64_t from_lsn; /* from here on both were walked; all below is the same by the chain */
    uint64_t groups;   /* that are the same, from there on */
    enum diff_bridge bridge;
    uint32_t bridge_side; /* whose snapshot it is */
    bool overtaken;       /* by a server, and all is to be looked at anew */
};

/* Compares the histories of the sides, which are open. On URN_OK and on an error the caller has to
 * diff_log_free(). Errors: URN_IO, URN_NOMEMORY. */
enum urn_code diff_log_find(struct diff_log *diff, struct urn_error *error);
void diff_log_free(struct diff_log *diff);

#endif
