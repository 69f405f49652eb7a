/* dispatch.c: see dispatch.h. */
#include "server/dispatch.h"

#include <inttypes.h>
#include <string.h>

#include "engine/check.h"
#include "server/call.h"
#include "server/info.h"

bool dispatch_error(struct server *server, struct connection *connection, uint32_t msgid,
                    const struct urn_error *error)
{
    void *nothing;
    struct call *call =
        call_borrow(server, connection, msgid, RPC_ERROR_REPLY_BYTES_MAX, 0, &nothing);
    if (call == NULL)
        return false;
    struct rpc_writer writer;
    call_write_begin(call, &writer);
    rpc_write_error(&writer, msgid, error->code, error->text);
    call_write_end(server, call, &writer);
    server->counters.error_replies++;
    return true;
}

/* ping and info: the network thread knows the answer itself. */
static bool answer_at_once(struct server *server, struct connection *connection, uint32_t msgid,
                           const struct message_call *asked)
{
    void *nothing;
    struct call *call = call_borrow(server, connection, msgid, asked->reply_bytes_max, 0, &nothing);
    if (call == NULL)
        return false;
    struct rpc_writer writer;
    call_write_begin(call, &writer);
    if (asked->method == RPC_PING)
        message_write_pong(&writer, msgid);
    else
        info_write_reply(&writer, msgid, server);
    call_write_end(server, call, &writer);
    return true;
}

/* The room that the engine's answer to a call takes. */
static uint64_t result_bytes(const struct message_call *asked)
{
    switch (asked->method) {
    case RPC_DRAW:
        return asked->count == 1 ? 0 : (uint64_t)asked->count * sizeof(uint32_t);
    case RPC_STATE:
        return (uint64_t)asked->limit * sizeof(struct urn_item);
    case RPC_CATALOG:
    case RPC_POOLS:
        return (uint64_t)asked->limit * sizeof(struct urn_text);
    case RPC_CREATE:
        return sizeof(struct call_change) + asked->catalog_bytes;
    case RPC_RELOAD:
        return sizeof(struct call_change) + (uint64_t)asked->limit * sizeof(struct urn_change);
    case RPC_UPDATE:
    case RPC_ADD:
    case RPC_CLOSE:
    case RPC_OPEN:
    case RPC_SNAPSHOT:
    case RPC_LOOKUP:
        return sizeof(struct call_change);
    case RPC_PING:
    case RPC_INFO:
    case RPC_METHOD_COUNT:
        break;
    }
    CHECK(asked->method < RPC_METHOD_COUNT);
    return 0;
}

bool dispatch_can_answer_pools(const struct server *server)
{
    const struct message_call call = {.method = RPC_POOLS, .limit = server->limits.max_pools};
    return !call_is_too_big(server, message_reply_bytes_max(&call, &server->limits),
                            result_bytes(&call));
}

/* A call with room for all that may come of what is asked; NULL: there is none now. */
static struct call *borrow(struct server *server, struct connection *connection, uint32_t msgid,
                           const struct message_call *asked, void **results)
{
    struct call *call = call_borrow(server, connection, msgid, asked->reply_bytes_max,
                                    result_bytes(asked), results);
    if (call != NULL)
        call->as = asked->as;
    return call;
}

/* The message goes away before the engine is done: the name moves into the call. */
static void keep_name(struct call *call, struct rpc_text name)
{
    CHECK(name.length <= sizeof call->pool_name);
    if (name.length == 0)
        return;
    memcpy(call->pool_name, name.bytes, name.length);
    call->request.pool_name = call->pool_name;
    call->request.pool_name_bytes = name.length;
}

/* What only a change has, a snapshot or a lookup: it tells why it was not done. */
static void keep_change(struct call *call, const struct message_call *asked,
                        struct call_change *change)
{
    struct urn_request *request = &call->request;
    change->error.code = URN_OK;
    request->error = &change->error;
    CHECK(request->item_id_bytes <= sizeof change->item_id);
    if (request->item_id_bytes > 0) {
        memcpy(change->item_id, request->item_id, request->item_id_bytes);
        request->item_id = change->item_id;
    }
    request->changes = (struct urn_change *)(void *)change->catalog;
    if (request->op == URN_CREATE)
        message_fill_catalog(asked, change->catalog, request);
}

/* Puts a call on the round's list for the engine. */
static void enlist(struct server *server, struct connection *connection, struct call *call)
{
    struct urn_request *request = &call->request;
    request->next = NULL;
    *server->submit_end = request;
    server->submit_end = &request->next;
    connection->in_engine++;
    server->calls_in_engine++;
}

/* known: the pool that is asked for, or NULL, which its name then says. Of the request only what a draw has is
 * filled in: the rest lies in cache lines that nobody touches then. */
static bool submit_draw(struct server *server, struct connection *connection, uint32_t msgid,
                        const struct message_call *asked, const struct urn_pool *known)
{
    void *results;
    struct call *call = borrow(server, connection, msgid, asked, &results);
    if (call == NULL)
        return false;
    struct urn_request *request = &call->request;
    request->op = URN_DRAW;
    request->count = asked->count;
    request->draw_all = asked->all;
    request->outcomes = asked->count == 1 ? &call->outcome : results;
    request->pool = known;
    request->pool_name = NULL;
    request->pool_name_bytes = 0;
    if (known == NULL)
        keep_name(call, asked->pool);
    enlist(server, connection, call);
    return true;
}

static bool submit(struct server *server, struct connection *connection, uint32_t msgid,
                   const struct message_call *asked)
{
    void *results;
    struct call *call = borrow(server, connection, msgid, asked, &results);
    if (call == NULL)
        return false;
    struct urn_request *request = &call->request;
    *request = (struct urn_request){.next = NULL};
    message_fill_request(asked, request);
    keep_name(call, asked->pool);
    if (message_is_change(asked->method) || asked->method == RPC_SNAPSHOT ||
        asked->method == RPC_LOOKUP)
        keep_change(call, asked, results);
    else if (request->op == URN_STATE)
        request->items = results;
    else
        request->names = results;
    enlist(server, connection, call);
    return true;
}

/* The file is read first, and not here. */
static bool begin_reload(struct server *server, struct connection *connection, uint32_t msgid,
                         const struct message_call *asked, struct urn_error *error)
{
    void *results;
    if (server->reload.running) {
        error_set(error, URN_BUSY, 0, "another reload is under way");
        return dispatch_error(server, connection, msgid, error);
    }
    struct call *call = borrow(server, connection, msgid, asked, &results);
    if (call == NULL)
        return false;
    call->request = (struct urn_request){.next = NULL};
    message_fill_request(asked, &call->request);
    keep_change(call, asked, results);
    if (!reload_begin(server, &call->request, error)) {
        call_return(server, call);
        return dispatch_error(server, connection, msgid, error);
    }
    connection->in_engine++;
    return true;
}

/* known: of a draw, its pool, if there is no need to look for that. */
static bool answer(struct server *server, struct connection *connection, uint32_t msgid,
                   const struct message_call *asked, const struct urn_pool *known,
                   struct urn_error *error)
{
    if (asked->method == RPC_PING || asked->method == RPC_INFO)
        return answer_at_once(server, connection, msgid, asked);
    if (asked->method == RPC_DRAW && submit_draw(server, connection, msgid, asked, known))
        return true; /* what was lent was not too big */
    if (call_is_too_big(server, asked->reply_bytes_max, result_bytes(asked))) {
        error_set(error, URN_TOOBIG, 0,
                  "the answer might take more memory than limits.reply_buffers (%" PRIu64
                  " bytes) can lend to one request; ask for less at a time",
                  server->config->limits.reply_buffers_bytes);
        return dispatch_error(server, connection, msgid, error);
    }
    if (asked->method == RPC_DRAW)
        return false;
    if (asked->method == RPC_RELOAD)
        return begin_reload(server, connection, msgid, asked, error);
    return submit(server, connection, msgid, asked);
}

static enum dispatch_result taken(struct server *server, bool answered)
{
    if (!answered)
        return DISPATCH_WAIT;
    server->counters.requests++;
    return DISPATCH_TAKEN;
}

enum dispatch_result dispatch_again(struct server *server, struct connection *connection,
                                    uint32_t msgid)
{
    struct urn_error error;
    return taken(server, answer(server, connection, msgid, &connection->again.call,
                                connection->again_pool, &error));
}

enum dispatch_result dispatch_message(struct server *server, struct connection *connection,
                                      const uint8_t *message, uint64_t length,
                                      struct urn_error *error)
{
    struct rpc_request request;
    struct message_call asked;
    if (rpc_request_read(message, length, &request, error) != URN_OK)
        return DISPATCH_REFUSE;
    if (request.type == RPC_NOTIFICATION) {
        server->counters.notifications++;
        return DISPATCH_TAKEN;
    }
    if (message_read_call(&request, &server->limits, &asked, error) != URN_OK)
        return taken(server, dispatch_error(server, connection, request.msgid, error));
    again_keep(&connection->again, message, length, &asked);
    connection->again_pool = NULL;
    return taken(server, answer(server, connection, request.msgid, &asked, NULL, error));
}
