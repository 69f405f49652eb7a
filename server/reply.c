/* reply.c: see reply.h. */
#include "server/reply.h"

#include <string.h>

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
    bool is_on_disk = server->config->wal.mode == URN_WAL_COMMIT;
    log_line(
        LOG_PRIORITY_CRITICAL,
        "fail stop: %s. Nothing more is acknowledged; only ping and info are answered. What was "
        "acknowledged before is %s. Find out why the disk failed, then start urnd "
        "again: it recovers by itself, or says what is damaged; urn-wal verify shows more",
        failure.text,
        is_on_disk
            ? "on the disk"
            : "in the page cache, and must be read back from there: do not restart the machine "
              "before urnd has started again");
    notify_manager("STATUS=fail stop: the log failed; see the log");
}

/* A line when it begins, when it becomes another one, and when it ends: an attempt every half second would
 * fill the log. */
void reply_look_at_snapshots(struct server *server)
{
    struct urn_error trouble;
    urn_engine_snapshot_failure(server->engine, &trouble);
    if (trouble.code == server->snapshot_trouble &&
        trouble.system_errno == server->snapshot_trouble_errno)
        return;
    server->snapshot_trouble = trouble.code;
    server->snapshot_trouble_errno = trouble.system_errno;
    if (trouble.code == URN_READONLY)
        return; /* the log has failed, and says so itself */
    if (trouble.code == URN_OK)
        log_line_limited(&server->snapshot_log, server->now_ns, LOG_PRIORITY_NOTICE,
                         "snapshots are written again as they should be");
    else
        log_line_limited(
            &server->snapshot_log, server->now_ns, LOG_PRIORITY_WARNING,
            "trouble with snapshots: %s. It is tried again by itself; draws go on while "
            "the log has room",
            trouble.text);
}

void reply_look_at_archive(struct server *server)
{
    struct urn_error trouble;
    struct urn_engine_info info;
    urn_engine_info(server->engine, &info);
    if (!info.archives)
        return;
    if (info.archive_gaps != server->archive_gaps)
        log_line_limited(&server->archive_log, server->now_ns, LOG_PRIORITY_WARNING,
                         "the archive has a gap: in all, %.1f MiB of the log were not archived "
                         "(wal.archive_policy: gap, or archiving had been off)",
                         (double)info.archive_gap_bytes / (1024.0 * 1024.0));
    server->archive_gaps = info.archive_gaps;
    urn_engine_archive_failure(server->engine, &trouble);
    if (trouble.code == server->archive_trouble &&
        trouble.system_errno == server->archive_trouble_errno)
        return;
    server->archive_trouble = trouble.code;
    server->archive_trouble_errno = trouble.system_errno;
    if (trouble.code == URN_OK)
        log_line_limited(&server->archive_log, server->now_ns, LOG_PRIORITY_NOTICE,
                         "the log is archived again as it should be");
    else
        log_line_limited(&server->archive_log, server->now_ns, LOG_PRIORITY_WARNING,
                         "trouble with the archive: %s. It is tried again by itself; %s",
                         trouble.text,
                         server->config->wal.archive_policy == URN_ARCHIVE_GAP
                             ? "draws go on, and what cannot be archived leaves a gap"
                             : "draws go on while the log has room");
}

/* What keeps the log from having room, for people: the archive is told first, for it is what waits behind
 * everything else. */
static void log_full(struct server *server)
{
    struct urn_error trouble;
    const char *maker = "the archive has";
    urn_engine_archive_failure(server->engine, &trouble);
    if (trouble.code == URN_OK) {
        maker = "snapshots have";
        urn_engine_snapshot_failure(server->engine, &trouble);
    }
    log_line_limited(&server->snapshot_log, server->now_ns, LOG_PRIORITY_CRITICAL,
                     "the log is full, and requests get BUSY until %s made room; %s. The server "
                     "then goes on by itself, and nothing is lost",
                     maker,
                     trouble.code != URN_OK ? trouble.text
                                            : "they are being written, but not fast enough");
    notify_manager("STATUS=the log is full: requests get BUSY; see the log");
}

void reply_look_at_room(struct server *server)
{
    struct urn_engine_info info;
    urn_engine_info(server->engine, &info);
    if (!server->log_is_full && info.busy_log > server->busy_log) {
        server->log_is_full = true;
        server->room_when_full_bytes = info.room_bytes;
        log_full(server);
    } else if (server->log_is_full && info.room_bytes > server->room_when_full_bytes) {
        server->log_is_full = false;
        log_line_limited(&server->snapshot_log, server->now_ns, LOG_PRIORITY_NOTICE,
                         "the log has room again: %.1f MiB",
                         (double)info.room_bytes / (1024.0 * 1024.0));
        notify_manager("STATUS=serving");
    }
    server->busy_log = info.busy_log;
}

/* Keeps the pool of a draw that was made, if it is the one that the connection's last draw names: when that is
 * asked again, neither its name nor the search for it goes to the engine. */
static void learn_pool(struct connection *connection, const struct urn_request *done)
{
    if (connection->again_pool != NULL || connection->again.tail_bytes == 0)
        return;
    const struct urn_text name = urn_pool_name(done->pool);
    const struct rpc_text asked = connection->again.call.pool;
    if (name.length == asked.length && memcmp(name.bytes, asked.bytes, name.length) == 0)
        connection->again_pool = done->pool;
}

/* Makes one reply, and the loan smaller. */
static void finish(struct server *server, struct call *call, uint64_t now_ns)
{
    struct rpc_writer writer;
    if (call->request.code != URN_OK) {
        server->counters.error_replies++;
    } else if (call->request.op == URN_DRAW) {
        learn_pool(call->connection, &call->request);
        histogram_add(&server->draw_latency_ns, now_ns - call->arrived_ns);
    }
    call_write_begin(call, &writer);
    if (call->request.op == URN_RELOAD) {
        const char *restart[CONFIG_DIFFERENCES_MAX];
        uint32_t count = 0;
        if (call->request.code == URN_OK)
            count = config_differences(server->config, &server->reload.config, restart);
        message_write_reload(&writer, call->msgid, restart, count, &call->request);
        reload_end(server); /* what the reply was made of goes away now */
    } else {
        message_write_reply(&writer, call->msgid, call->as, &call->request);
    }
    call_write_end(server, call, &writer);
}

static bool is_refused(const struct urn_request *request)
{
    return request->code == URN_READONLY || request->code == URN_INDOUBT;
}

void reply_finished(struct server *server, struct urn_request *list)
{
    uint64_t now_ns = server->clock_ns();
    bool refused = false;
    while (list != NULL) {
        if (list == &server->reload.own_request) {
            CHECK(server->calls_in_engine > 0);
            list = list->next;
            server->calls_in_engine--;
            refused |= is_refused(server->reload.request);
            reload_end(server);
            continue;
        }
        struct call *call = list_element(list, struct call, request);
        struct connection *connection = call->connection;
        CHECK(call->magic == CALL_MAGIC && connection->magic == CONNECTION_MAGIC);
        CHECK(connection->in_engine > 0 && server->calls_in_engine > 0);
        list = list->next;
        connection->in_engine--;
        server->calls_in_engine--;
        refused |= is_refused(&call->request);
        if (call->request.op == URN_RELOAD && connection->state == CONNECTION_CLOSED)
            reload_end(server);
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
