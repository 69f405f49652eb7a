/* connection.h: one client: bytes in, messages; replies, bytes out.
 *
 *          accept                                                   the last reply is out
 *   (free) ------> OPEN --- end of input --------------> FINISHING ---------------------> CLOSED
 *                   |                                        |                              ^
 *                   +------ not a request, or a stop --------+                              |
 *                                                            +--> LINGERING ----------------+
 *                              the last reply is out: our side is shut    end of input, or
 *                                                                         SERVER_LINGER_NS
 *
 * FINISHING: nothing more is taken; what is under way is answered. LINGERING: what the client has
 * sent meanwhile is read and thrown away, because closing a socket with unread input resets the
 * connection, and that may destroy replies on their way. A failing socket leads from anywhere to
 * CLOSED, which lasts as long as the engine has requests of the connection.
 *
 * Who has sent a part of a request, or has replies that it has not taken, is a borrower, and must
 * make progress in each period of SERVER_STALL_NS: take all its replies or finish a request, or move
 * SERVER_PROGRESS_BYTES towards it. A byte now and then is no progress. While there are replies to
 * take, only taking them counts.
 *
 * Input is read into the rest of the connection's own memory; a request that does not fit there
 * borrows a buffer of limits.max_request_bytes and goes on in it. Each byte is scanned once.
 */
#ifndef URN_SERVER_CONNECTION_H
#define URN_SERVER_CONNECTION_H

#include "proto/again.h"
#include "server/server.h"

#define CONNECTION_MAGIC      0x434f4e4eu
#define CONNECTION_BYTES      8192u
#define CONNECTION_PEER_BYTES 96u

/* Replies of so many bytes together, at most, wait in the connection's own memory for the end of the round. */
#define CONNECTION_OUTPUT_BYTES 2048u

enum connection_state {
    CONNECTION_OPEN,
    CONNECTION_FINISHING,
    CONNECTION_LINGERING,
    CONNECTION_CLOSED,
};

/* Why a connection is not read from although it is open. */
enum connection_pause {
    PAUSE_NONE,
    PAUSE_FULL,       /* it has as much under way as one connection may: see may_take_more() */
    PAUSE_REPLY_ROOM, /* in want_reply_room */
    PAUSE_INPUT_ROOM, /* in want_input_room */
};

struct connection {
    struct source source;
    uint32_t magic;
    enum connection_state state;
    enum connection_pause pause;
    uint32_t events;       /* what epoll watches */
    bool input_ended;      /* the client sends no more */
    bool blocked;          /* the socket takes no more bytes for now */
    bool message_complete; /* scan stands at the end of a message not dispatched yet */
    uint64_t progress_ns;  /* when its period began, while among the borrowers or lingering */
    uint64_t moved_bytes;  /* by the client, in its period */
    struct link place;     /* in open or ended */
    struct link unsent;
    struct link waiting;  /* in want_reply_room or want_input_room */
    struct link borrower; /* in borrowers or lingering */

    /* Calls: in the engine, and with replies that have not been written whole. */
    uint32_t in_engine;
    uint32_t inflight;   /* both, and output_calls */
    uint64_t lent_bytes; /* of replies, by both */
    struct call *reply_first, *reply_last;
    uint64_t reply_sent_bytes; /* of the first */

    /* Replies whose calls have gone already; they go before those of reply_first. Bytes from output_begin to
     * output_end have not been written; output_calls, of whom those are, are under way until all of them have. */
    uint32_t output_begin, output_end;
    uint32_t output_calls;

    /* Input: bytes from input_begin to input_end have not been dispatched. */
    uint8_t *input; /* own_input, or a loan of request_buffers */
    uint64_t input_capacity, input_begin, input_end;
    struct rpc_scan scan; /* of the message at input_begin */
    struct again again;   /* its last draw */
    /* The pool of that, once a reply has shown it; NULL before. Pools last as long as the engine, so that draws under
     * way need nothing of the connection. */
    const struct urn_pool *again_pool;
    uint8_t output[CONNECTION_OUTPUT_BYTES];
    uint8_t own_input[];
};

/* Takes a connected, non-blocking socket over. NULL when there are limits.max_connections already:
 * the socket then stays the caller's. */
struct connection *connection_open(struct server *server, int fd);

/* epoll has something to say about it. */
void connection_event(struct server *server, struct connection *connection, uint32_t events);

/* Goes on with what a paused connection has already sent. */
void connection_resume(struct server *server, struct connection *connection);

/* Room in the connection's own memory for the next reply, of so many bytes at most; NULL when there is none behind
 * what waits there, or when a reply waits in its call. */
uint8_t *connection_output_room(struct connection *connection, uint64_t bytes);

/* So many bytes of a reply stand in that room. It counts as under way until it has been written. */
void connection_queue_output(struct server *server, struct connection *connection, uint64_t bytes);

/* A reply is ready in its call; connection_flush writes it at the end of the round. */
void connection_queue_reply(struct server *server, struct connection *connection,
                            struct call *call);

/* Writes as many replies as the socket takes, many by one call. */
void connection_flush(struct server *server, struct connection *connection);

/* Takes no more requests, and ends when the last reply is out. */
void connection_finish(struct server *server, struct connection *connection);

/* Closes at once, whatever is unsent. */
void connection_close(struct server *server, struct connection *connection);

/* Makes the memory of closed connections free for others. At a round's end: until then events of
 * the round may still name them. */
void connection_reclaim(struct server *server);

/* Closes the borrowers whose period is over (SERVER_STALL_NS) without progress, and who lingered
 * for SERVER_LINGER_NS. */
void connection_close_late(struct server *server);

/* The other side, for a log line: "127.0.0.1:40112", "unix pid 4711 uid 1000". */
const char *connection_peer(const struct connection *connection, char text[CONNECTION_PEER_BYTES]);

#endif
