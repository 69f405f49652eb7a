/* replay_build.h: the state at a moment of the log, built from a kept snapshot by the engine's one apply.
 *
 *     snapshot (the newest before the moment, or a chosen one) -> groups, one after the other -> the moment
 *
 * Groups are atomic, so a state stands between two of them. Only the moment right behind a draw may lie in the
 * midst of a group: the state is then the one that this very draw left, and `inside` says so; no snapshot can
 * stand there.
 */
#ifndef URN_TOOLS_URN_WAL_REPLAY_BUILD_H
#define URN_TOOLS_URN_WAL_REPLAY_BUILD_H

#include "engine/apply.h"
#include "tools/urn_wal/walk.h"

enum moment_kind {
    MOMENT_END, /* the log's end; beside a server, the end of what is durable */
    MOMENT_LSN, /* every whole group below it */
    MOMENT_TIME, /* every group before the first that the server's clock dates later: us since 1970 */
    MOMENT_ID,   /* right behind the draw of this request id */
};

struct moment {
    enum moment_kind kind;
    uint64_t number;
};

/* "lsn:8192", "id:1234", "time:2026-11-22T05:14:29Z"; a time needs no word before it. A number alone is
 * none: it could be a position or an id. For the tables of options: field is a struct moment. */
bool parse_moment(const char *text, void *field);
#define WANTS_MOMENT                                                                               \
    "a moment: lsn:8192, id:1234, or a time such as 2026-11-22T05:14:29Z (a number alone could "   \
    "be "                                                                                          \
    "a position or an id)"

enum replay_outcome {
    REPLAY_REACHED,      /* state is the one asked for */
    REPLAY_NO_SNAPSHOT,  /* none that was taken before the moment is kept */
    REPLAY_NOT_SUITABLE, /* the chosen snapshot was taken behind the moment */
    REPLAY_BEYOND_END,   /* the log ends before the moment */
    REPLAY_NEVER_GIVEN, /* no draw ever got that id: ids went on above it in the group at skip_lsn */
    REPLAY_BROKEN,      /* the log is damaged or missing before the moment: gap */
    REPLAY_OVERTAKEN,   /* a server writes over the log faster than it can be replayed */
    REPLAY_UNTRUE,      /* a group does not fit the state: untrue says why */
};

struct replay {
    struct history *history; /* the caller's, and there until replay_end */
    struct moment until;
    const char *from; /* a snapshot's name, or its path; NULL: the newest before the moment */
    FILE *notes;
    /* Called behind each entry, as apply.h has it; NULL: nobody looks. */
    void (*visit)(void *context, const struct state *state, const struct wal_group_header *header,
                  const struct wal_entry *entry, uint64_t first_request_id, uint32_t draws);
    void *visit_context;
    const struct progress *progress; /* NULL: nobody waits */

    enum replay_outcome outcome;
    struct state state; /* where the replay stands; its tail is the end of the last whole group */
    bool has_state;
    char from_name[HISTORY_NAME_BYTES];
    uint64_t from_lsn;
    uint64_t groups;
    uint64_t draws;
    bool inside; /* the state stands in the midst of this group: */
    struct wal_group_header
        within;   /* that, or the group that the moment lies in, behind the state */
    bool rounded; /* the moment lies in the midst of within, and the state before it */
    uint64_t skip_lsn;
    struct walk_break gap;
    struct urn_error untrue;

    /* private */
    struct walk walk;
    struct walk_progress telling;
    bool walking;
    bool pending;            /* the walk has come to a group that is not the state's yet */
    bool visited;            /* what has been seen cannot be taken back */
    uint64_t oldest_lsn;     /* REPLAY_NO_SNAPSHOT: of the oldest that loads; NO_LSN: none does */
    uint64_t oldest_next_id; /* and what it knows */
    uint64_t oldest_time_us;
    bool overtaken; /* by a server: all is to be begun anew */
};

/* Builds the state, beside a server by a new look at what it has overwritten. On URN_OK and on an error the
 * caller has to replay_end(). Errors: URN_IO, URN_NOMEMORY; URN_NODATA (no such snapshot: from), and those of
 * history_load for that one. */
enum urn_code replay_build(struct replay *replay, struct urn_error *error);

/* Goes on to a later LSN, below which the log is known to be durable. Sets the outcome; overtaken: a server has
 * overwritten what comes next, and the replay is to be built anew. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code replay_advance(struct replay *replay, uint64_t lsn, struct urn_error *error);

void replay_end(struct replay *replay);

/* Says on notes why the moment was not reached, and what can be done. */
void replay_tell(const struct replay *replay);

#endif
