/* call.h: one request under way, from its admission until its reply has been written, or made where
 * that needs no room here.
 *
 * It lives in one loan of the reply budget, which is borrowed whole before the request is admitted
 * and holds all that the request will need:
 *
 *     | struct call | reply: asked.reply_bytes_max | result: outcomes, items, names, or struct call_change |
 *
 * (the outcome of a single draw lies in struct call).
 *
 * A small reply is made in its connection's memory if that has room, and the loan is returned at once. Of a reply
 * made here a loan of more than a few KiB is cut behind the bytes, and returned when they have been written.
 */
#ifndef URN_SERVER_CALL_H
#define URN_SERVER_CALL_H

#include "server/connection.h"

#define CALL_MAGIC 0x43414c4cu

struct call {
    uint32_t magic;
    uint32_t msgid;
    struct connection *connection;
    struct call *next; /* in the connection's queue of replies */
    uint64_t arrived_ns;
    uint64_t lent_bytes;        /* what it counts for on its connection: the whole loan */
    uint64_t reply_bytes;       /* borrowed for the reply; once that is made, its length */
    enum message_as as;         /* of a draw */
    uint32_t outcome;           /* of one draw: near what else the engine touches of it */
    struct urn_request request; /* what the engine gets */
    char pool_name[URN_NAME_BYTES_MAX];
    uint8_t reply[];
};

/* What a call that changes items or pools, takes a snapshot or looks up a draw needs besides, where others have
 * their results. */
struct call_change {
    struct urn_error error; /* why it was not done */
    char item_id[URN_NAME_BYTES_MAX];
    _Alignas(8) uint8_t catalog[]; /* create; of a reload, the list of changes */
};

/* Borrows a call on a connection, with room for a reply and for result_bytes of results; NULL when
 * the budget cannot lend so much now, or when others wait for it (the connection then has to). On
 * success *results is where they go, aligned to 8 bytes. call->request, as and outcome are the caller's to fill. */
struct call *call_borrow(struct server *server, struct connection *connection, uint32_t msgid,
                         uint64_t reply_bytes, uint64_t result_bytes, void **results);

/* Loans of this size are never lent, whatever is returned. */
bool call_is_too_big(const struct server *server, uint64_t reply_bytes, uint64_t result_bytes);

/* Opens room for the reply: on the connection if that has some, else in the call. Nothing else may be queued on the
 * connection before call_write_end. */
void call_write_begin(struct call *call, struct rpc_writer *writer);

/* The reply has been written, and is queued on the connection. The call goes away if it stands there, or gives back
 * what it did not need, for which it may move. */
void call_write_end(struct server *server, struct call *call, const struct rpc_writer *writer);

/* The reply has left, or nobody is there to read it. */
void call_return(struct server *server, struct call *call);

#endif
