/* walk.h: the log from an LSN on, group by group, across everything that can be wrong with it.
 *
 * A walk begins at a segment's or a group's begin and takes the chain from the first group that it meets:
 * who knows better (from a snapshot) compares. From there on every group must follow the one before by
 * the rules V1 to V7 and by its place. Where nothing does, one of these is true, and asked in this order:
 *
 *   reused   a server has written a later lap over the segment meanwhile      WALK_BREAK, overwritten
 *   end      nothing says that anything here or behind it was durable         WALK_END
 *   damage   it was; the next whole group of the log behind it goes on        WALK_BREAK, damage
 *   missing  the file that should hold it is not there, or holds another      WALK_BREAK, missing
 *            stretch of the log
 *
 * "Durable" is known from the groups themselves (history_durable_lsn) and from what the caller knows of
 * snapshots. Beside a server the walk ends at the highest durable LSN: what is above it is in motion.
 *
 * Between the last segment of one ring and the first of the next, of other sizes, nothing may lie at all
 * (data_dir_resize.h): where no file holds a stretch, and the chain goes on behind it as if it were not there, the
 * walk does so, too. That is no break.
 *
 * A group behind damage counts as the log's next one when it is whole, lies where it says, is not of a
 * lower epoch, and lies below the highest durable LSN or carries a durable LSN above the damage: so that
 * what an earlier start discarded is not taken for the log.
 */
#ifndef URN_TOOLS_URN_WAL_WALK_H
#define URN_TOOLS_URN_WAL_WALK_H

#include "tools/urn_wal/scan.h"

enum walk_step {
    WALK_GROUP,   /* a group of the log; the walk has moved behind it */
    WALK_SEGMENT, /* the header page of a segment has been stepped over */
    WALK_BREAK,   /* see struct walk_break; the walk goes on behind it */
    WALK_END,     /* end_why (or end_unreadable) says what stands at tail.lsn */
    WALK_ERROR,   /* the walk itself failed: *error */
};

enum walk_break_kind {
    WALK_DAMAGED,     /* bytes that were durable are not what was written */
    WALK_UNREADABLE,  /* they are in a sector that cannot be read */
    WALK_MISSING,     /* their file is not there, or holds another stretch */
    WALK_OVERWRITTEN, /* a server has gone on to write over them */
};

struct walk_break {
    enum walk_break_kind kind;
    uint64_t from_lsn;
    uint64_t to_lsn;          /* where the log goes on */
    enum wal_read_result why; /* WALK_DAMAGED: what stands at from_lsn */
    bool header_page;         /* only the header page of the segment at from_lsn is concerned */
    bool
        known_gap; /* WALK_MISSING: it is known not to be archived (history_gap_at): nothing is lost that
                       was meant to be kept */
    uint64_t unreadable_lsn; /* WALK_UNREADABLE: the sector */
};

struct walk {
    struct history *history;
    enum scan_depth depth;
    uint64_t limit_lsn;      /* the caller's; UINT64_MAX: none */
    uint64_t durable_lsn;    /* the highest known */
    bool stops_when_durable; /* beside a server */
    struct scan *scan;
    struct wal_tail tail; /* where the walk stands */
    bool anchored;        /* tail's chain is known: the next group has to continue it */
    struct scan_item item;
    struct walk_break gap;
    bool gap_pending;             /* found by walk_resume, for walk_next to give */
    enum wal_read_result end_why; /* WAL_READ_OK: the limit, or the end of the last segment */
    bool end_unreadable;
    uint64_t end_unreadable_lsn;
    uint64_t durable_seen_lsn; /* the highest that a group walked carries */
    uint64_t
        stepped_to_lsn; /* the last stretch in which nothing lies ends here; 0: there was none */
};

/* Begins at the first segment's begin or a group's LSN at or behind from_lsn: walk_seek's caller knows
 * such an LSN; a segment's begin always is one. depth: SCAN_CHECKSUMS or SCAN_DIGESTS. Takes the highest
 * durable LSN from the history, or known_durable_lsn if that is above. The history is refreshed where a
 * server has overwritten something. On URN_OK the caller has to walk_end(). Errors: those of scan_begin,
 * history_durable_lsn. */
enum urn_code walk_begin(struct history *history, uint64_t from_lsn, uint64_t limit_lsn,
                         uint64_t known_durable_lsn, enum scan_depth depth, struct walk *walk,
                         struct urn_error *error);
void walk_end(struct walk *walk);

/* Makes the next group continue this tail (a snapshot's) instead of being taken on trust. */
void walk_anchor(struct walk *walk, const struct wal_tail *tail);

/* Goes on by one. Of a group, walk->item has header and bytes, valid until the next call. */
enum walk_step walk_next(struct walk *walk, struct urn_error *error);

/* After WALK_END: asks again how far the log is durable, and goes on where there is more. *more: there
 * is. For --follow, and for who has learnt of a higher durable LSN. */
enum urn_code walk_resume(struct walk *walk, uint64_t known_durable_lsn, bool *more,
                          struct urn_error *error);

/* The LSN of the first group at or behind lsn that a walk can begin at, found by the lengths of the
 * groups before it in its segment and, behind damage, by search; NO_LSN: none is kept. Errors: URN_IO,
 * URN_NOMEMORY. */
#define NO_LSN UINT64_MAX
enum urn_code walk_find_group(struct history *history, uint64_t lsn, uint64_t *group_lsn,
                              struct urn_error *error);

/* Makes *lsn, where a walk is to begin, one at which it can be told what is the log: behind the highest
 * durable LSN, where what an earlier start discarded may lie about, only the chain tells. Errors: as above.
 */
enum urn_code walk_safe_start(struct history *history, uint64_t *lsn, struct urn_error *error);

/* Tells who waits how far a walk has come that began at begin_lsn; begin with told_lsn 0. Cheap enough for every
 * group. */
struct walk_progress {
    const struct progress *progress; /* NULL: nobody waits */
    const char *what;
    uint64_t begin_lsn;
    uint64_t told_lsn; /* of the last time */
};
void walk_tell(const struct walk *walk, struct walk_progress *telling);

#endif
