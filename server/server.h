/* server.h: one urnd: what its files share.
 *
 * One thread, the network thread, owns everything here. A round of its loop (loop.c) goes
 *
 *     epoll -> connection.c  bytes in: where does a message end?
 *           -> dispatch.c    what does it ask? borrow the room for its answer    -> urn_submit
 *     eventfd <- engine      finished: urn_collect
 *           -> reply.c       the answer's bytes
 *           -> connection.c  bytes out
 *
 * and hands all requests of the round to the engine as one list. The engine's threads touch the
 * server in one way: server_notify(), which writes to an eventfd.
 *
 * Every byte that clients can make the server use is set aside at the start
 * (server_memory_bound_bytes):
 *
 *     connections   slab     limits.max_connections x CONNECTION_BYTES
 *     requests      slab     limits.request_buffers, in pieces of limits.max_request_bytes, for
 *                            requests that outgrow the room in their connection
 *     replies       budget   limits.reply_buffers: a request under way and its reply (call.h), but for
 *                            small replies, which the connection's memory takes while it has room
 *
 * A connection that holds its share of the replies' budget is not read from until some of them are
 * out. One that needs what is lent to others is not read from until its turn comes, first come,
 * first served; who holds such a loan and is slower than SERVER_PROGRESS_BYTES in SERVER_STALL_NS is closed.
 */
#ifndef URN_SERVER_SERVER_H
#define URN_SERVER_SERVER_H

#include <stdatomic.h>

#include "engine/histogram.h"
#include "proto/messages.h"
#include "server/budget.h"
#include "server/config.h"
#include "server/list.h"
#include "server/log.h"
#include "server/relief.h"
#include "server/reload.h"
#include "server/slab.h"

#define SERVER_MAGIC 0x75726e64u

/* A half-sent request, or replies that are not taken: closed, unless in each period of so long it
 * is finished, or they are all taken, or so many bytes of it move. */
#define SERVER_STALL_NS       (30ull * 1000 * 1000 * 1000)
#define SERVER_PROGRESS_BYTES (64u * 1024)

/* One connection is read from while it holds less than one part of so many of the reply buffers. */
#define SERVER_REPLY_SHARES 8u

/* After the last reply, so long may the client take to close its side. */
#define SERVER_LINGER_NS (2ull * 1000 * 1000 * 1000)

/* Arrays and maps of a request inside each other, the message itself included. */
#define SERVER_NESTING_MAX 16u

/* What an epoll event belongs to: the first member of the struct that is waited for. */
enum source_kind { SOURCE_WAKEUP, SOURCE_LISTENER, SOURCE_CONNECTION };

struct source {
    enum source_kind kind;
    int fd;
};

/* Since the start; docs/protocol.md has their meaning under `info`. */
struct server_counters {
    uint64_t connections_accepted;
    uint64_t connections_refused; /* there were limits.max_connections already */
    uint64_t connections_stalled; /* closed for want of progress */
    uint64_t requests;
    uint64_t notifications;
    uint64_t bad_requests;  /* what was no request, and closed its connection */
    uint64_t error_replies; /* of whatever code */
    uint64_t waits;         /* a connection had to wait for room in a shared budget */
};

struct listener;
struct call;

struct server {
    uint32_t magic;
    const struct config *config;
    struct urn_engine *engine; /* NULL until server_start */
    struct urn_start_report report;
    uint64_t (*clock_ns)(void); /* monotonic */
    uint64_t now_ns;            /* at the begin of this round */
    uint64_t started_ns;
    struct message_limits limits;
    struct rpc_bounds bounds;

    /* What is waited for. */
    int epoll;
    struct source wakeup;       /* the eventfd */
    struct listener *listeners; /* config->listen_count; those that are open */
    uint32_t listener_count;
    uint64_t accept_again_ns; /* accepting rests until then: the system is out of files; 0: no */

    /* Memory that clients cause. */
    struct slab connections;
    struct slab request_buffers;
    struct budget *replies;

    /* Connections, by what they are waiting for. */
    struct link open;   /* all that have a socket, oldest first */
    struct link ended;  /* nothing is left of them but their memory, until the round's end */
    struct link unsent; /* replies to be written in this round */
    struct link want_reply_room; /* not read from until replies can lend; in order of arrival */
    struct link want_input_room; /* likewise, until request_buffers can */
    struct link borrowers;       /* may stall; whose period began first is first */
    struct link lingering;       /* the longest first */
    bool resuming;               /* want_reply_room is being served: its first may borrow */

    /* Requests of this round, in order of arrival. */
    struct urn_request *submit_first;
    struct urn_request **submit_end;
    uint64_t calls_in_engine;
    struct relief relief;
    bool takes_nothing; /* it is stopping, and has said so */

    struct server_counters counters;
    struct reload reload;
    struct histogram draw_latency_ns; /* from the last byte read to the reply's bytes made */
    struct log_limit bad_request_log;
    struct log_limit refused_log;
    struct log_limit stalled_log;
    struct log_limit snapshot_log;
    bool failure_logged;
    enum urn_code snapshot_trouble; /* what was logged last; URN_OK: they are well */
    int snapshot_trouble_errno;
    struct log_limit archive_log;
    enum urn_code archive_trouble; /* likewise of the archive */
    int archive_trouble_errno;
    uint64_t archive_gaps; /* told of so far */
    uint64_t
        busy_log; /* requests that had been refused for want of room in the log, at the last look */
    bool log_is_full; /* and it has been said */
    uint64_t room_when_full_bytes;

    /* Any thread. */
    atomic_bool stop_requested;
    atomic_bool reload_requested;
};

/* Sets all memory aside. config must outlive the server. clock_ns: NULL for the system's. Errors:
 * URN_NOMEMORY, URN_IO, URN_CONFIG (the system allows fewer open files than limits.max_connections
 * needs). */
enum urn_code server_create(const struct config *config, uint64_t (*clock_ns)(void),
                            struct server **result, struct urn_error *error);

/* Hands it the engine, whose notify must be server_notify with the server as its context, and what
 * the engine's start reported. */
void server_start(struct server *server, struct urn_engine *engine,
                  const struct urn_start_report *report);

/* Takes back the memory that the engine has of the server, whose connections end: after
 * urn_engine_stop and before urn_engine_free. */
void server_release_engine(struct server *server);

/* The engine must have been released, if there was one. server may be NULL. */
void server_free(struct server *server);

/* For urn_engine_config.notify, with the server as context: makes the loop look after the engine.
 * Any thread. */
void server_notify(void *context);

/* Makes server_run return once everything under way has been answered. Any thread, and signal
 * handlers. */
void server_request_stop(struct server *server);

/* Makes the server read its configuration file again and apply its pools. Any thread, and signal
 * handlers. */
void server_request_reload(struct server *server);

/* What the memory of a server of this configuration comes to, in bytes, the engine apart. */
uint64_t server_memory_bound_bytes(const struct config *config);

#endif
