/* connection.c: see connection.h. */
#include "server/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine/check.h"
#include "server/call.h"
#include "server/dispatch.h"

#define OWN_INPUT_BYTES  (CONNECTION_BYTES - offsetof(struct connection, own_input))
#define WRITE_PIECES_MAX 256

_Static_assert(OWN_INPUT_BYTES >= 4096, "a few hundred draws fit a connection's own memory");

/* ---- what it waits for --------------------------------------------------------------------- */

static bool is_reading(const struct connection *connection)
{
    return (connection->state == CONNECTION_OPEN && connection->pause == PAUSE_NONE) ||
           connection->state == CONNECTION_LINGERING;
}

/* Some have not been written whole. */
static bool has_replies(const struct connection *connection)
{
    return connection->output_calls > 0 || connection->reply_first != NULL;
}

/* Holds something that others may need, and it is the client's turn to move. Not `blocked`, which
 * goes and comes back whenever the socket takes a few bytes. */
static bool may_stall(const struct connection *connection)
{
    return has_replies(connection) ||
           (is_reading(connection) && connection->input_begin < connection->input_end);
}

/* Brings what epoll watches and the place among the borrowers in line with the state. moved_bytes:
 * the client has just moved so many of those that we were waiting for; finished: it has done what
 * we were waiting for. */
static void settle(struct server *server, struct connection *connection, uint64_t moved_bytes,
                   bool finished)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    uint32_t events = (is_reading(connection) ? (uint32_t)EPOLLIN : 0) |
                      (connection->blocked ? (uint32_t)EPOLLOUT : 0);
    if (events != connection->events) {
        struct epoll_event event = {.events = events, .data.ptr = connection};
        int result = epoll_ctl(server->epoll, EPOLL_CTL_MOD, connection->source.fd, &event);
        CHECK(result == 0); /* it is in the set: nothing is needed that could lack */
        connection->events = events;
    }
    if (connection->state == CONNECTION_LINGERING)
        return; /* in a list of its own */
    connection->moved_bytes += moved_bytes;
    if (!may_stall(connection)) {
        list_remove(&connection->borrower);
    } else if (finished || connection->moved_bytes >= SERVER_PROGRESS_BYTES ||
               link_is_alone(&connection->borrower)) {
        list_remove(&connection->borrower);
        list_append(&server->borrowers, &connection->borrower);
        connection->progress_ns = server->now_ns;
        connection->moved_bytes = 0;
    }
}

static void flush_later(struct server *server, struct connection *connection)
{
    if (link_is_alone(&connection->unsent))
        list_append(&server->unsent, &connection->unsent);
}

/* ---- output's memory ------------------------------------------------------------------------ */

/* Nothing of the output is still to be written: its calls are done with. */
static void drop_output(struct connection *connection)
{
    CHECK(connection->inflight >= connection->output_calls);
    connection->inflight -= connection->output_calls;
    connection->output_calls = 0;
    connection->output_begin = 0;
    connection->output_end = 0;
}

/* ---- input's memory ------------------------------------------------------------------------ */

static void use_own_input(struct connection *connection)
{
    connection->input = connection->own_input;
    connection->input_capacity = OWN_INPUT_BYTES;
}

static void drop_input(struct server *server, struct connection *connection)
{
    if (connection->input != connection->own_input)
        slab_return(&server->request_buffers, connection->input);
    use_own_input(connection);
    connection->input_begin = 0;
    connection->input_end = 0;
    connection->message_complete = false;
    rpc_scan_begin(&connection->scan);
}

/* Puts what is left, the begin of one message, at the front of the smaller buffer that has room
 * behind it. */
static void compact_input(struct server *server, struct connection *connection)
{
    uint64_t left = connection->input_end - connection->input_begin;
    uint8_t *from = connection->input;
    if (from != connection->own_input && left < OWN_INPUT_BYTES)
        use_own_input(connection);
    if (connection->input != from || connection->input_begin > 0)
        memmove(connection->input, from + connection->input_begin, left);
    if (connection->input != from)
        slab_return(&server->request_buffers, from);
    connection->input_begin = 0;
    connection->input_end = left;
}

/* Waits in line; who is just being served keeps its place at the head. */
static void wait_in_line(struct server *server, struct connection *connection, struct link *line,
                         enum connection_pause pause)
{
    bool at_head = server->resuming && line == &server->want_reply_room;
    list_append(at_head ? line->next : line, &connection->waiting);
    connection->pause = pause;
    if (!at_head)
        server->counters.waits++;
}

/* The own memory is full of one unfinished message: goes on in a large buffer. */
static void grow_input(struct server *server, struct connection *connection)
{
    CHECK(connection->input == connection->own_input && connection->input_begin == 0);
    uint8_t *buffer = slab_borrow(&server->request_buffers);
    if (buffer == NULL) {
        wait_in_line(server, connection, &server->want_input_room, PAUSE_INPUT_ROOM);
        return;
    }
    memcpy(buffer, connection->input, connection->input_end);
    connection->input = buffer;
    connection->input_capacity = server->bounds.max_message_bytes;
}

/* ---- open and close ------------------------------------------------------------------------ */

struct connection *connection_open(struct server *server, int fd)
{
    struct connection *connection = slab_borrow(&server->connections);
    if (connection == NULL)
        return NULL;
    *connection = (struct connection){
        .source = {SOURCE_CONNECTION, fd},
        .magic = CONNECTION_MAGIC,
        .state = CONNECTION_OPEN,
        .events = EPOLLIN,
    };
    struct epoll_event event = {.events = connection->events, .data.ptr = connection};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        slab_return(&server->connections, connection);
        return NULL;
    }
    use_own_input(connection);
    rpc_scan_begin(&connection->scan);
    link_init(&connection->place);
    link_init(&connection->unsent);
    link_init(&connection->waiting);
    link_init(&connection->borrower);
    list_append(&server->open, &connection->place);
    return connection;
}

void connection_close(struct server *server, struct connection *connection)
{
    CHECK(connection->magic == CONNECTION_MAGIC && connection->state != CONNECTION_CLOSED);
    close(connection->source.fd);
    connection->source.fd = -1;
    connection->state = CONNECTION_CLOSED;
    list_remove(&connection->place);
    list_remove(&connection->unsent);
    list_remove(&connection->waiting);
    list_remove(&connection->borrower);
    drop_input(server, connection);
    drop_output(connection);
    while (connection->reply_first != NULL) {
        struct call *call = connection->reply_first;
        connection->reply_first = call->next;
        call_return(server, call);
    }
    CHECK(connection->inflight == connection->in_engine);
    if (connection->in_engine == 0)
        list_append(&server->ended, &connection->place);
}

void connection_reclaim(struct server *server)
{
    while (!link_is_alone(&server->ended)) {
        struct connection *connection = list_element(server->ended.next, struct connection, place);
        CHECK(connection->state == CONNECTION_CLOSED && connection->inflight == 0);
        CHECK(connection->lent_bytes == 0);
        list_remove(&connection->place);
        connection->magic = 0;
        slab_return(&server->connections, connection);
    }
}

/* Takes the last step of a connection that takes no more requests, when its last reply is out. */
static void end_if_answered(struct server *server, struct connection *connection)
{
    if (connection->state != CONNECTION_FINISHING || connection->inflight > 0)
        return;
    if (connection->input_ended) {
        connection_close(server, connection);
        return;
    }
    shutdown(connection->source.fd, SHUT_WR); /* fails when the client has gone: the read tells */
    connection->state = CONNECTION_LINGERING;
    connection->progress_ns = server->now_ns;
    list_remove(&connection->borrower);
    list_append(&server->lingering, &connection->borrower);
}

void connection_finish(struct server *server, struct connection *connection)
{
    CHECK(connection->state != CONNECTION_CLOSED);
    if (connection->state != CONNECTION_OPEN)
        return;
    connection->state = CONNECTION_FINISHING;
    list_remove(&connection->waiting);
    connection->pause = PAUSE_NONE;
    drop_input(server, connection);
    end_if_answered(server, connection);
    settle(server, connection, 0, false);
}

/* What it sent is not a request: says so to the client, if it can be told, and to the log; answers
 * what was asked before, and ends. */
static void refuse(struct server *server, struct connection *connection,
                   const struct urn_error *error)
{
    char peer[CONNECTION_PEER_BYTES];
    server->counters.bad_requests++;
    log_line_limited(&server->bad_request_log, server->now_ns, LOG_PRIORITY_WARNING,
                     "closing the connection from %s: not a request: %s",
                     connection_peer(connection, peer), error->text);
    if (connection->scan.has_msgid && connection->scan.type == RPC_REQUEST)
        dispatch_error(server, connection, connection->scan.msgid, error);
    connection_finish(server, connection);
}

/* ---- bytes in ------------------------------------------------------------------------------ */

/* Makes sure that a whole message stands at input_begin. False: not yet, or never. */
static bool find_message(struct server *server, struct connection *connection)
{
    if (connection->message_complete)
        return true;
    struct urn_error error;
    switch (rpc_scan(&connection->scan, &server->bounds,
                     connection->input + connection->input_begin,
                     connection->input_end - connection->input_begin)) {
    case RPC_COMPLETE:
        connection->message_complete = true;
        return true;
    case RPC_NEED_MORE:
        return false;
    case RPC_BAD:
        error_set(&error, URN_BADREQ, 0, "%s", connection->scan.reason);
        break;
    case RPC_TOOBIG:
        error_set(&error, URN_TOOBIG, 0, "%s (limits.max_request_bytes: %u)",
                  connection->scan.reason, server->bounds.max_message_bytes);
        break;
    }
    refuse(server, connection, &error);
    return false;
}

/* One connection has so much under way at most: limits.max_inflight requests, and of the reply
 * buffers no more than its share and what its last request took. So one request may be as large as
 * it likes, but no connection alone can make the others wait. */
static bool may_take_more(const struct server *server, const struct connection *connection)
{
    const struct config *config = server->config;
    return connection->inflight < config->limits.max_inflight &&
           connection->lent_bytes < config->limits.reply_buffers_bytes / SERVER_REPLY_SHARES;
}

/* Dispatches the message at input_begin, if it is a draw like the one before. False: it is not, as far as
 * can be seen. */
static bool repeat(struct server *server, struct connection *connection,
                   enum dispatch_result *result, size_t *length)
{
    uint32_t msgid;
    if (connection->scan.offset > 0 || /* it came in pieces */
        !again_is(&connection->again, connection->input + connection->input_begin,
                  connection->input_end - connection->input_begin, server->bounds.max_message_bytes,
                  length, &msgid))
        return false;
    *result = dispatch_again(server, connection, msgid);
    return true;
}

/* Dispatches the message at input_begin. False: it is not whole yet, or never will be. */
static bool take_message(struct server *server, struct connection *connection,
                         enum dispatch_result *result, size_t *length, struct urn_error *error)
{
    if (repeat(server, connection, result, length))
        return true;
    if (!find_message(server, connection))
        return false;
    *length = connection->scan.offset;
    *result = dispatch_message(server, connection, connection->input + connection->input_begin,
                               *length, error);
    return true;
}

/* Dispatches every whole message that has arrived, until something says to wait. Returns whether
 * there was one. */
static bool feed(struct server *server, struct connection *connection)
{
    bool taken = false;
    connection->pause = PAUSE_NONE;
    while (connection->state == CONNECTION_OPEN &&
           connection->input_begin < connection->input_end) {
        if (!may_take_more(server, connection)) {
            connection->pause = PAUSE_FULL;
            return taken;
        }
        struct urn_error error;
        enum dispatch_result result;
        size_t length;
        if (!take_message(server, connection, &result, &length, &error))
            break;
        switch (result) {
        case DISPATCH_TAKEN:
            taken = true;
            connection->input_begin += length;
            connection->message_complete = false;
            rpc_scan_begin(&connection->scan);
            break;
        case DISPATCH_WAIT:
            wait_in_line(server, connection, &server->want_reply_room, PAUSE_REPLY_ROOM);
            return taken;
        case DISPATCH_REFUSE:
            refuse(server, connection, &error);
            return taken;
        }
    }
    if (connection->state != CONNECTION_OPEN)
        return taken;
    compact_input(server, connection);
    if (connection->input_end == connection->input_capacity)
        grow_input(server, connection);
    return taken;
}

void connection_resume(struct server *server, struct connection *connection)
{
    CHECK(connection->state == CONNECTION_OPEN && connection->pause != PAUSE_NONE);
    list_remove(&connection->waiting);
    feed(server, connection);
    settle(server, connection, 0, false); /* room has come, but the client has done nothing */
}

/* One read; the level-triggered epoll comes back when there is more. */
static void receive(struct server *server, struct connection *connection)
{
    if (connection->state == CONNECTION_LINGERING)
        connection->input_end = 0; /* thrown away */
    CHECK(connection->input_end < connection->input_capacity);
    ssize_t length = recv(connection->source.fd, connection->input + connection->input_end,
                          connection->input_capacity - connection->input_end, MSG_DONTWAIT);
    if (length < 0) {
        if (errno != EAGAIN && errno != EINTR)
            connection_close(server, connection);
        return;
    }
    if (connection->state == CONNECTION_LINGERING) {
        connection->input_end = 0;
        if (length == 0)
            connection_close(server, connection);
        return;
    }
    if (length == 0) {
        connection->input_ended = true;
        connection_finish(server, connection);
        return;
    }
    connection->input_end += (uint64_t)length;
    bool is_its_turn = !has_replies(connection); /* to send, rather than to read */
    bool taken = feed(server, connection);
    settle(server, connection, is_its_turn ? (uint64_t)length : 0, is_its_turn && taken);
}

void connection_event(struct server *server, struct connection *connection, uint32_t events)
{
    CHECK(connection->magic == CONNECTION_MAGIC);
    if (connection->state == CONNECTION_CLOSED)
        return; /* by an earlier event of this round */
    if (events & EPOLLOUT) {
        connection->blocked = false;
        flush_later(server, connection);
    }
    if (is_reading(connection) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        receive(server, connection);
    else if (events & (EPOLLHUP | EPOLLERR))
        connection_close(server, connection); /* nobody is there to read what is still to come */
}

/* ---- bytes out ----------------------------------------------------------------------------- */

uint8_t *connection_output_room(struct connection *connection, uint64_t bytes)
{
    if (connection->reply_first != NULL || bytes > CONNECTION_OUTPUT_BYTES - connection->output_end)
        return NULL;
    return connection->output + connection->output_end;
}

void connection_queue_output(struct server *server, struct connection *connection, uint64_t bytes)
{
    CHECK(connection->state != CONNECTION_CLOSED && connection->reply_first == NULL);
    CHECK(bytes <= CONNECTION_OUTPUT_BYTES - connection->output_end);
    connection->output_end += (uint32_t)bytes;
    connection->output_calls++;
    flush_later(server, connection);
}

void connection_queue_reply(struct server *server, struct connection *connection, struct call *call)
{
    CHECK(connection->state != CONNECTION_CLOSED);
    call->next = NULL;
    if (connection->reply_first == NULL)
        connection->reply_first = call;
    else
        connection->reply_last->next = call;
    connection->reply_last = call;
    flush_later(server, connection);
}

/* The next replies as pieces for one write; *bytes is their sum. */
static int gather(struct connection *connection, struct iovec pieces[WRITE_PIECES_MAX],
                  uint64_t *bytes)
{
    int count = 0;
    uint64_t skip = connection->reply_sent_bytes;
    *bytes = connection->output_end - connection->output_begin;
    if (*bytes > 0)
        pieces[count++] = (struct iovec){connection->output + connection->output_begin, *bytes};
    for (struct call *call = connection->reply_first; call != NULL && count < WRITE_PIECES_MAX;
         call = call->next) {
        CHECK(skip < call->reply_bytes);
        pieces[count++] = (struct iovec){call->reply + skip, call->reply_bytes - skip};
        *bytes += call->reply_bytes - skip;
        skip = 0;
    }
    return count;
}

/* So many bytes have left: returns the calls that are done with. */
static void count_as_sent(struct server *server, struct connection *connection, uint64_t bytes)
{
    const uint64_t output_bytes = connection->output_end - connection->output_begin;
    if (bytes < output_bytes) {
        connection->output_begin += (uint32_t)bytes;
        return;
    }
    drop_output(connection);
    bytes -= output_bytes;
    while (bytes > 0) {
        struct call *call = connection->reply_first;
        CHECK(call != NULL);
        uint64_t left = call->reply_bytes - connection->reply_sent_bytes;
        if (bytes < left) {
            connection->reply_sent_bytes += bytes;
            return;
        }
        bytes -= left;
        connection->reply_sent_bytes = 0;
        connection->reply_first = call->next;
        call_return(server, call);
    }
}

/* False: the socket failed. */
static bool write_replies(struct server *server, struct connection *connection,
                          uint64_t *moved_bytes)
{
    while (has_replies(connection) && !connection->blocked) {
        struct iovec pieces[WRITE_PIECES_MAX];
        uint64_t bytes;
        int count = gather(connection, pieces, &bytes);
        const struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(connection->source.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent > 0) {
            count_as_sent(server, connection, (uint64_t)sent);
            *moved_bytes += (uint64_t)sent;
        }
        connection->blocked = sent < 0 || (uint64_t)sent < bytes;
    }
    return true;
}

void connection_flush(struct server *server, struct connection *connection)
{
    CHECK(connection->magic == CONNECTION_MAGIC && connection->state != CONNECTION_CLOSED);
    list_remove(&connection->unsent);
    uint64_t moved_bytes = 0;
    if (!write_replies(server, connection, &moved_bytes)) {
        connection_close(server, connection);
        return;
    }
    bool finished = moved_bytes > 0 && !has_replies(connection);
    if (connection->pause == PAUSE_FULL && may_take_more(server, connection))
        connection_resume(server, connection);
    end_if_answered(server, connection);
    settle(server, connection, moved_bytes, finished);
}

/* ---- who does not move --------------------------------------------------------------------- */

static void close_stalled(struct server *server, struct connection *connection)
{
    char peer[CONNECTION_PEER_BYTES];
    bool late_to_read = has_replies(connection);
    server->counters.connections_stalled++;
    log_line_limited(&server->stalled_log, server->now_ns, LOG_PRIORITY_WARNING,
                     "closing the connection from %s: in %llu s it has %s %" PRIu64
                     " bytes of %s, neither the rest nor %u",
                     connection_peer(connection, peer), SERVER_STALL_NS / 1000000000u,
                     late_to_read ? "read" : "sent", connection->moved_bytes,
                     late_to_read ? "its replies" : "a request", SERVER_PROGRESS_BYTES);
    connection_close(server, connection);
}

static bool is_late(const struct server *server, const struct connection *connection)
{
    return server->now_ns - connection->progress_ns >= SERVER_STALL_NS;
}

/* The socket says that it takes bytes again only when much of it is free: what a slow client has
 * read meanwhile shows when one tries. Returns whether the connection is late no more. */
static bool has_moved_after_all(struct server *server, struct connection *connection)
{
    if (!connection->blocked)
        return false;
    connection->blocked = false;
    connection_flush(server, connection);
    return connection->state == CONNECTION_CLOSED || link_is_alone(&connection->borrower) ||
           !is_late(server, connection);
}

void connection_close_late(struct server *server)
{
    struct connection *first;
    while (!link_is_alone(&server->borrowers)) {
        first = list_element(server->borrowers.next, struct connection, borrower);
        if (!is_late(server, first))
            break;
        if (!has_moved_after_all(server, first))
            close_stalled(server, first);
    }
    while (!link_is_alone(&server->lingering)) {
        first = list_element(server->lingering.next, struct connection, borrower);
        if (server->now_ns - first->progress_ns < SERVER_LINGER_NS)
            break;
        connection_close(server, first);
    }
}

const char *connection_peer(const struct connection *connection, char text[CONNECTION_PEER_BYTES])
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    if (getpeername(connection->source.fd, (struct sockaddr *)&address, &length) != 0) {
        snprintf(text, CONNECTION_PEER_BYTES, "a client that has gone");
    } else if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(text, CONNECTION_PEER_BYTES, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(text, CONNECTION_PEER_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        struct ucred credentials = {0};
        length = sizeof credentials;
        getsockopt(connection->source.fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length);
        snprintf(text, CONNECTION_PEER_BYTES, "unix pid %d uid %u", (int)credentials.pid,
                 (unsigned)credentials.uid);
    }
    return text;
}
