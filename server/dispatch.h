/* dispatch.h: from a whole message to a request of the engine, or to an answer at once.
 *
 * proto/messages.h reads and checks what is asked. Here it is decided who answers (the engine, or
 * the server itself: ping, info, and every error that is known before the engine is asked), the
 * room for the answer is borrowed, and requests are put on the round's list.
 */
#ifndef URN_SERVER_DISPATCH_H
#define URN_SERVER_DISPATCH_H

#include "server/connection.h"

enum dispatch_result {
    DISPATCH_TAKEN,  /* the message is done with: submitted, answered, or a notification */
    DISPATCH_WAIT,   /* no room for its answer now; nothing has happened, ask again later */
    DISPATCH_REFUSE, /* not a request: *error says why */
};

/* message: one whole message (RPC_COMPLETE). A draw is kept in connection->again. */
enum dispatch_result dispatch_message(struct server *server, struct connection *connection,
                                      const uint8_t *message, uint64_t length,
                                      struct urn_error *error);

/* A message that asks what connection->again says; never DISPATCH_REFUSE. */
enum dispatch_result dispatch_again(struct server *server, struct connection *connection,
                                    uint32_t msgid);

/* `pools` has no pages: whether its answer for limits.max_pools can be lent at all. */
bool dispatch_can_answer_pools(const struct server *server);

/* Answers with an error. False when there is no room for it now. */
bool dispatch_error(struct server *server, struct connection *connection, uint32_t msgid,
                    const struct urn_error *error);

#endif
