/* reply.c: see reply.h. */
#include "server/reply.h"

#include "engine/check.h"
#include "server/call.h"
#include "server/notify.h"

void reply_look_for_failure(struct server *server)
{
    struct urn_error failure;
    if (server->failure_logged)
        return;
    urn_engine_failure(server->engine, &failure);
    if (failure.code == URN_OK)
        return;
    server->failure_logged = true;
    log_line(
        LOG_PRIORITY_CRITICAL,
        "fail stop: %s. Nothing more is acknowledged; only ping and info are answered. What was "
        "acknowledged before is on the disk. Find out why the disk failed, then start urnd "
        "again: it recovers by itself, or says what is damaged; urn-wal verify shows more",
        failure.text);
    notify_manager("STATUS=fail stop: the log failed; see the log");
}

/* Makes one reply, and the loan smaller. */
static void finish(struct server *server, struct call *call, uint64_t now_ns)
{
    struct rpc_writer writer;
    if (call->request.code != URN_OK)
        server->counters.error_replies++;
    else if (call->request.op == URN_DRAW)
        histogram_add(&server->draw_latency_ns, now_ns - call->arrived_ns);
    call_write_begin(call, &writer);
    message_write_reply(&writer, call->msgid, call->as, &call->request);
    call_write_end(server, call, &writer);
}

void reply_finished(struct server *server, struct urn_request *list)
{
    uint64_t now_ns = server->clock_ns();
    bool refused = false;
    while (list != NULL) {
        struct call *call = list_element(list, struct call, request);
        struct connection *connection = call->connection;
        CHECK(call->magic == CALL_MAGIC && connection->magic == CONNECTION_MAGIC);
        CHECK(connection->in_engine > 0 && server->calls_in_engine > 0);
        list = list->next;
        connection->in_engine--;
        server->calls_in_engine--;
        refused |= call->request.code == URN_READONLY || call->request.code == URN_INDOUBT;
        if (connection->state != CONNECTION_CLOSED) {
            finish(server, call, now_ns);
            continue;
        }
        call_return(server, call);
        if (connection->in_engine == 0)
            list_append(&server->ended, &connection->place);
    }
    if (refused)
        reply_look_for_failure(server);
}
