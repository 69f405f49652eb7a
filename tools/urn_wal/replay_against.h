/* replay_against.h: a log compared with the server that writes it, while it writes.
 *
 * A server answers for a page of a pool, and tells the LSN of the answer: it is exactly the state at that end
 * of a group. So the log is replayed to exactly that LSN, the page is compared, the next one is asked for, the
 * replay goes on from where it stands to the next LSN: every page is compared with the log as of its own
 * moment, however fast the server goes on.
 */
#ifndef URN_TOOLS_URN_WAL_REPLAY_AGAINST_H
#define URN_TOOLS_URN_WAL_REPLAY_AGAINST_H

#include "proto/client.h"
#include "tools/urn_wal/replay_build.h"

#define DIFFERENCES_MAX 20u

/* One thing that log and server say otherwise. */
struct difference {
    char text[320]; /* for people: what, what the log says, what the server says */
    uint64_t lsn;
    char pool[URN_NAME_BYTES_MAX + 1];
};

struct comparison_with_server {
    uint64_t log_end_lsn; /* where the log ended when the server was first asked */
    uint64_t asked_lsn;   /* of its last answer; 0: none came */
    uint64_t first_lsn;   /* of the answers compared */
    uint64_t last_lsn;
    uint64_t pools; /* compared */
    uint64_t items;
    uint64_t difference_count;
    struct difference differences[DIFFERENCES_MAX]; /* the first of them */
};

/* Compares every pool, or only the one of this name. replay is the caller's to replay_end(); its fields up to
 * visit_context are set. *reached: false when the log could not be replayed to where the server is: then
 * replay_tell says why. Errors: those of replay_build; client_error->status is not URNCLIENT_OK when the
 * server could not be asked, and the code then is URN_IO. */
enum urn_code replay_against(struct replay *replay, struct urnclient *client, const char *pool,
                             struct comparison_with_server *comparison, bool *reached,
                             struct urnclient_error *client_error, struct urn_error *error);

#endif
