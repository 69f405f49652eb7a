/* server.c: a server's memory, and its stop. See server.h. */
#include "server/server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/catalog_check.h"
#include "engine/check.h"
#include "server/connection.h"
#include "server/dispatch.h"
#include "server/listen.h"
#include "server/reply.h"

/* Files that are open apart from connections, segments and listeners: standard streams, epoll and
 * eventfd, lock, directory, snapshot, the log's socket, with room to spare. */
#define OTHER_FILES 64u

/* What the process takes by itself: its libraries' data, the stacks of its threads, the heap's own. */
#define PROCESS_BYTES (4ull << 20)

static uint64_t system_clock_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint32_t request_buffer_count(const struct config *config)
{
    uint64_t count = config->limits.request_buffers_bytes / config->limits.max_request_bytes;
    if (count > config->limits.max_connections) /* a connection borrows one at most */
        count = config->limits.max_connections;
    return count == 0 ? 1 : (uint32_t)count;
}

/* An item of a create takes so many bytes at least: its three keys, an id of one byte, two numbers. */
#define CREATE_ITEM_BYTES_MIN 34u

/* Catalogs that a create brings are checked while those of a reload may be, too. */
static uint64_t create_check_bytes(const struct config *config)
{
    const uint64_t items = config->limits.max_request_bytes / CREATE_ITEM_BYTES_MIN;
    return catalog_check_memory_bytes(items < config->limits.max_items ? items
                                                                       : config->limits.max_items);
}

uint64_t server_memory_bound_bytes(const struct config *config)
{
    return sizeof(struct server) + config->listen_count * sizeof(struct listener) +
           slab_memory_bytes(CONNECTION_BYTES, config->limits.max_connections) +
           slab_memory_bytes(config->limits.max_request_bytes, request_buffer_count(config)) +
           budget_memory_bytes(config->limits.reply_buffers_bytes) +
           config_memory_bytes(config->limits.max_pools, config->limits.max_items) +
           create_check_bytes(config) + PROCESS_BYTES;
}

/* Makes sure that limits.max_connections is not an empty promise. */
static enum urn_code allow_files(const struct config *config, struct urn_error *error)
{
    uint64_t needed = (uint64_t)config->limits.max_connections + config->wal.segments +
                      config->listen_count + OTHER_FILES;
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return error_set(error, URN_IO, errno, "cannot read the limit on open files");
    if (limit.rlim_cur >= needed)
        return URN_OK;
    if (limit.rlim_max < needed)
        return error_set(error, URN_CONFIG, 0,
                         "limits.max_connections: %u connections need %" PRIu64
                         " open files, and the system allows %" PRIu64
                         ": set it lower, or raise the limit (LimitNOFILE= in a systemd unit, "
                         "ulimit -n in a shell)",
                         config->limits.max_connections, needed, (uint64_t)limit.rlim_max);
    limit.rlim_cur = needed;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return error_set(error, URN_IO, errno, "cannot raise the limit on open files to %" PRIu64,
                         needed);
    return URN_OK;
}

static void set_limits(struct server *server, const struct config *config)
{
    server->limits = (struct message_limits){
        .max_batch = config->limits.max_batch,
        .max_items = config->limits.max_items,
        .max_pools = config->limits.max_pools,
        .max_reply_bytes = config->limits.max_reply_bytes,
    };
    server->bounds = (struct rpc_bounds){
        .side = RPC_SERVER,
        .max_message_bytes = (uint32_t)config->limits.max_request_bytes,
        .max_nesting = SERVER_NESTING_MAX,
    };
}

static enum urn_code set_memory_aside(struct server *server, const struct config *config,
                                      struct urn_error *error)
{
    server->listeners = calloc(config->listen_count + 1, sizeof *server->listeners);
    if (server->listeners == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot set the listeners' memory aside");
    if (slab_begin(&server->connections, CONNECTION_BYTES, config->limits.max_connections, error) !=
        URN_OK)
        return error_prefix(error, "limits.max_connections: ");
    if (slab_begin(&server->request_buffers, config->limits.max_request_bytes,
                   request_buffer_count(config), error) != URN_OK)
        return error_prefix(error, "limits.request_buffers: ");
    if (budget_create(config->limits.reply_buffers_bytes, &server->replies, error) != URN_OK)
        return error_prefix(error, "limits.reply_buffers: ");
    if (!dispatch_can_answer_pools(server))
        return error_set(error, URN_CONFIG, 0,
                         "limits.reply_buffers: at most %" PRIu64
                         " bytes of them can be lent at once, too few for the answer to `pools` "
                         "with limits.max_pools (%" PRIu32 "): raise the one or lower the other",
                         budget_loan_bytes_max(server->replies), config->limits.max_pools);
    return URN_OK;
}

static enum urn_code open_epoll(struct server *server, struct urn_error *error)
{
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server->epoll < 0)
        return error_set(error, URN_IO, errno, "epoll_create1");
    server->wakeup = (struct source){SOURCE_WAKEUP, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (server->wakeup.fd < 0)
        return error_set(error, URN_IO, errno, "eventfd");
    /* Edge-triggered: a write to it is an edge, so that it never needs to be read. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = &server->wakeup};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wakeup.fd, &event) != 0)
        return error_set(error, URN_IO, errno, "epoll_ctl");
    return URN_OK;
}

enum urn_code server_create(const struct config *config, uint64_t (*clock_ns)(void),
                            struct server **result, struct urn_error *error)
{
    struct server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot set the server's memory aside");
    server->magic = SERVER_MAGIC;
    server->config = config;
    server->clock_ns = clock_ns != NULL ? clock_ns : system_clock_ns;
    server->epoll = -1;
    server->wakeup.fd = -1;
    server->submit_end = &server->submit_first;
    link_init(&server->open);
    link_init(&server->ended);
    link_init(&server->unsent);
    link_init(&server->want_reply_room);
    link_init(&server->want_input_room);
    link_init(&server->borrowers);
    link_init(&server->lingering);
    atomic_init(&server->stop_requested, false);
    atomic_init(&server->reload_requested, false);
    set_limits(server, config);
    enum urn_code code = allow_files(config, error);
    if (code == URN_OK)
        code = set_memory_aside(server, config, error);
    if (code == URN_OK)
        code = open_epoll(server, error);
    if (code != URN_OK) {
        server_free(server);
        return code;
    }
    server->now_ns = server->started_ns = server->clock_ns();
    *result = server;
    return URN_OK;
}

void server_start(struct server *server, struct urn_engine *engine,
                  const struct urn_start_report *report)
{
    CHECK(server->magic == SERVER_MAGIC && server->engine == NULL);
    server->engine = engine;
    server->report = *report;
    server->now_ns = server->started_ns = server->clock_ns();
}

void server_release_engine(struct server *server)
{
    CHECK(server->magic == SERVER_MAGIC && server->engine != NULL);
    while (!link_is_alone(&server->open))
        connection_close(server, list_element(server->open.next, struct connection, place));
    atomic_store(&server->reload_requested, false);
    reload_await(server);
    while (server->calls_in_engine > 0) {
        struct urn_request *list = urn_collect(server->engine);
        CHECK(list != NULL); /* a stopped engine has finished everything */
        reply_finished(server, list);
    }
    reload_join(server);
    connection_reclaim(server);
    server->engine = NULL;
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    CHECK(server->magic == SERVER_MAGIC && server->engine == NULL);
    for (uint32_t i = 0; i < server->listener_count; i++)
        listen_close(&server->listeners[i]);
    if (server->wakeup.fd >= 0)
        close(server->wakeup.fd);
    if (server->epoll >= 0)
        close(server->epoll);
    budget_free(server->replies);
    slab_end(&server->request_buffers);
    slab_end(&server->connections);
    free(server->listeners);
    server->magic = 0;
    free(server);
}

void server_notify(void *context)
{
    struct server *server = context;
    int saved_errno = errno; /* in a signal handler it belongs to whoever was interrupted */
    uint64_t one = 1;
    ssize_t ignored = write(server->wakeup.fd, &one, sizeof one);
    (void)ignored; /* only a full counter could refuse, and that is an edge already */
    errno = saved_errno;
}

void server_request_reload(struct server *server)
{
    atomic_store(&server->reload_requested, true);
    server_notify(server);
}

void server_request_stop(struct server *server)
{
    atomic_store(&server->stop_requested, true);
    server_notify(server);
}
