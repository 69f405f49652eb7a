/* loop.c: see loop.h, and server.h for the way of a round. */
#include "server/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/check.h"
#include "server/connection.h"
#include "server/listen.h"
#include "server/notify.h"
#include "server/reply.h"

#define EVENTS_A_ROUND   256
#define ACCEPTS_A_ROUND  64u
#define ACCEPT_REST_NS   (100ull * 1000 * 1000)
#define NS_A_MILLISECOND 1000000u

/* ---- accepting ----------------------------------------------------------------------------- */

static void watch_listeners(struct server *server, uint32_t events)
{
    for (uint32_t i = 0; i < server->listener_count; i++) {
        struct epoll_event event = {.events = events, .data.ptr = &server->listeners[i]};
        epoll_ctl(server->epoll, EPOLL_CTL_MOD, server->listeners[i].source.fd, &event);
    }
}

/* The system has no file or memory left for another connection: asking again at once would only
 * heat the room. */
static void rest_accepting(struct server *server, int system_errno)
{
    struct urn_error error;
    error_set(&error, URN_IO, system_errno, "cannot accept connections for now");
    log_line_limited(&server->refused_log, server->now_ns, LOG_PRIORITY_ERROR, "%s", error.text);
    server->accept_again_ns = server->now_ns + ACCEPT_REST_NS;
    watch_listeners(server, 0);
}

static void accept_again(struct server *server)
{
    if (server->accept_again_ns == 0 || server->now_ns < server->accept_again_ns)
        return;
    server->accept_again_ns = 0;
    watch_listeners(server, EPOLLIN);
}

static void take_over(struct server *server, const struct listener *listener, int fd)
{
    int one = 1;
    if (listener->where->address.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connection_open(server, fd) != NULL) {
        server->counters.connections_accepted++;
        return;
    }
    server->counters.connections_refused++;
    log_line_limited(&server->refused_log, server->now_ns, LOG_PRIORITY_WARNING,
                     "closing a new connection to %s at once: limits.max_connections (%" PRIu32
                     ") are open",
                     listener->text, server->config->limits.max_connections);
    close(fd);
}

static void accept_some(struct server *server, const struct listener *listener)
{
    for (uint32_t i = 0; i < ACCEPTS_A_ROUND; i++) {
        int fd = accept4(listener->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_over(server, listener, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            rest_accepting(server, errno);
        else if (errno == EINTR || errno == ECONNABORTED)
            continue;
        return;
    }
}

enum urn_code loop_listen(struct server *server, struct urn_error *error)
{
    const struct config *config = server->config;
    CHECK(server->listener_count == 0);
    server->takes_nothing = false;
    for (uint32_t i = 0; i < config->listen_count; i++) {
        struct listener *listener = &server->listeners[i];
        if (listen_open(&config->listen[i], listener, error) != URN_OK)
            goto opened;
        server->listener_count++;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, listener->source.fd, &event) != 0) {
            error_set(error, URN_IO, errno, "cannot wait for connections to %s", listener->text);
            goto opened;
        }
    }
    return URN_OK;

opened:
    while (server->listener_count > 0)
        listen_close(&server->listeners[--server->listener_count]);
    return error->code;
}

/* ---- a round ------------------------------------------------------------------------------- */

static void submit(struct server *server)
{
    struct urn_request *list = server->submit_first;
    if (list == NULL)
        return;
    server->submit_first = NULL;
    server->submit_end = &server->submit_first;
    urn_submit(server->engine, relief_join(server, list));
}

/* Lets those go on who waited for room, first come, first served. */
static void serve_waiting(struct server *server)
{
    while (!link_is_alone(&server->want_reply_room)) {
        struct connection *first =
            list_element(server->want_reply_room.next, struct connection, waiting);
        server->resuming = true;
        connection_resume(server, first);
        server->resuming = false;
        if (server->want_reply_room.next == &first->waiting)
            break; /* there is still no room for it */
    }
    while (!link_is_alone(&server->want_input_room) &&
           server->request_buffers.lent < server->request_buffers.count)
        connection_resume(server,
                          list_element(server->want_input_room.next, struct connection, waiting));
}

/* Sends requests and replies on their way until none is left: a reply that leaves can make room for
 * the next request. Ends because it takes no new input. */
static void send_all(struct server *server)
{
    do {
        submit(server);
        while (!link_is_alone(&server->unsent))
            connection_flush(server, list_element(server->unsent.next, struct connection, unsent));
        serve_waiting(server);
    } while (server->submit_first != NULL || !link_is_alone(&server->unsent));
}

/* What the engine has finished. */
static void collect(struct server *server)
{
    struct urn_request *list = urn_collect(server->engine);
    if (list != NULL)
        reply_finished(server, list);
    else
        reply_look_for_failure(server); /* woken without an answer: for a fail stop, perhaps */
}

/* What the log should say of the engine, when it has woken the network thread. Behind the replies: nobody waits
 * for it. */
static void look_at_engine(struct server *server)
{
    reply_look_at_snapshots(server);
    reply_look_at_archive(server);
    reply_look_at_room(server);
}

static uint64_t earlier(uint64_t due_ns, const struct link *line, uint64_t patience_ns)
{
    if (link_is_alone(line))
        return due_ns;
    const struct connection *first = list_element(line->next, struct connection, borrower);
    uint64_t end_ns = first->progress_ns + patience_ns;
    return end_ns < due_ns ? end_ns : due_ns;
}

/* How long to wait for events: until the next moment at which something is due without one. */
static int wait_ms(const struct server *server, int max_wait_ms)
{
    uint64_t due_ns = server->accept_again_ns != 0 ? server->accept_again_ns : UINT64_MAX;
    due_ns = earlier(due_ns, &server->borrowers, SERVER_STALL_NS);
    due_ns = earlier(due_ns, &server->lingering, SERVER_LINGER_NS);
    if (due_ns == UINT64_MAX)
        return max_wait_ms;
    uint64_t now_ns = server->now_ns;
    uint64_t left_ms = due_ns <= now_ns ? 0 : (due_ns - now_ns) / NS_A_MILLISECOND + 1;
    if (max_wait_ms >= 0 && left_ms > (uint64_t)max_wait_ms)
        return max_wait_ms;
    return (int)left_ms;
}

/* Waits, and takes what has come. True: the engine has woken the network thread. */
static bool take_events(struct server *server, int max_wait_ms)
{
    struct epoll_event events[EVENTS_A_ROUND];
    int count = epoll_wait(server->epoll, events, EVENTS_A_ROUND, wait_ms(server, max_wait_ms));
    CHECK(count >= 0 || errno == EINTR);
    server->now_ns = server->clock_ns();
    bool woken = false;
    for (int i = 0; i < count; i++) {
        struct source *source = events[i].data.ptr;
        switch (source->kind) {
        case SOURCE_WAKEUP:
            woken = true;
            break;
        case SOURCE_LISTENER:
            accept_some(server, (const struct listener *)source);
            break;
        case SOURCE_CONNECTION:
            connection_event(server, (struct connection *)source, events[i].events);
            break;
        }
    }
    return woken;
}

/* Does what has come. has_finished: the engine may have something to collect. */
static void work(struct server *server, bool has_finished)
{
    submit(server); /* the engine begins while the replies to earlier requests are made */
    if (has_finished)
        collect(server);
    reload_look(server);
    send_all(server);
    connection_close_late(server);
    send_all(server); /* what those held may be what others wait for, and no event will tell */
    connection_reclaim(server);
}

void loop_round(struct server *server, int max_wait_ms)
{
    CHECK(server->magic == SERVER_MAGIC);
    const bool woken = take_events(server, max_wait_ms);
    relief_take(server);
    work(server, woken);
    const bool worked = relief_lend(server);
    if (worked)
        work(server, true);
    if (woken || worked) /* the engine tells nobody of what is done here */
        look_at_engine(server);
    accept_again(server);
}

/* ---- life ---------------------------------------------------------------------------------- */

void loop_stop_taking(struct server *server)
{
    if (server->takes_nothing)
        return;
    server->takes_nothing = true;
    log_line(LOG_PRIORITY_NOTICE, "stopping: %" PRIu64 " requests under way are still answered",
             server->calls_in_engine);
    notify_manager("STOPPING=1\nSTATUS=stopping: answering what is under way");
    server->accept_again_ns = 0;
    while (server->listener_count > 0)
        listen_close(&server->listeners[--server->listener_count]);
    for (struct link *link = server->open.next; link != &server->open;) {
        struct connection *connection = list_element(link, struct connection, place);
        link = link->next; /* finishing may take it out of the list */
        connection_finish(server, connection);
    }
}

void loop_run(struct server *server)
{
    while (!atomic_load(&server->stop_requested))
        loop_round(server, -1);
    loop_stop_taking(server);
    uint64_t deadline_ns = server->now_ns + SERVER_STALL_NS;
    while (!link_is_alone(&server->open) && server->now_ns < deadline_ns)
        loop_round(server, (int)((deadline_ns - server->now_ns) / NS_A_MILLISECOND + 1));
    if (!link_is_alone(&server->open))
        log_line(LOG_PRIORITY_WARNING,
                 "stopping although replies are left that nobody has taken for %llu s",
                 SERVER_STALL_NS / 1000000000u);
    while (!link_is_alone(&server->open))
        connection_close(server, list_element(server->open.next, struct connection, place));
    connection_reclaim(server);
}
