/* info.c: see info.h.
 *
 * The map is written from tables: a row a key, so that names and order stand in one place.
 */
#include "server/info.h"

#include <string.h>

#include "engine/check.h"

/* One key with an integer. */
struct figure {
    const char *key;
    uint64_t value;
};

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

static void write_figures(struct rpc_writer *writer, const struct figure *figures, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rpc_write_cstr(writer, figures[i].key);
        rpc_write_uint(writer, figures[i].value);
    }
}

/* A key whose value is a map of figures. */
static void write_group(struct rpc_writer *writer, const char *key, const struct figure *figures,
                        uint32_t count)
{
    rpc_write_cstr(writer, key);
    rpc_write_map(writer, count);
    write_figures(writer, figures, count);
}

static uint32_t open_connections(const struct server *server)
{
    return server->connections.lent;
}

static void write_load(struct rpc_writer *writer, const struct server *server,
                       const struct urn_engine_info *engine)
{
    const struct config *config = server->config;
    const struct figure ring[] = {
        {"size_bytes", engine->ring_bytes},
        {"room_bytes", engine->room_bytes},
        {"segments", config->wal.segments},
        {"segment_size_bytes", config->wal.segment_size_bytes},
    };
    const struct figure queue[] = {
        {"requests", engine->queued_requests},
        {"draws", engine->queued_draws},
        {"draws_max", config->limits.queue_draws},
    };
    const struct figure connections[] = {
        {"open", open_connections(server)},
        {"max", config->limits.max_connections},
        {"accepted", server->counters.connections_accepted},
        {"refused", server->counters.connections_refused},
        {"stalled", server->counters.connections_stalled},
    };
    write_group(writer, "ring", ring, COUNT_OF(ring));
    write_group(writer, "queue", queue, COUNT_OF(queue));
    write_group(writer, "connections", connections, COUNT_OF(connections));
}

static void write_counters(struct rpc_writer *writer, const struct server *server,
                           const struct urn_engine_info *engine)
{
    const struct figure counters[] = {
        {"requests", server->counters.requests},
        {"notifications", server->counters.notifications},
        {"error_replies", server->counters.error_replies},
        {"bad_requests", server->counters.bad_requests},
        {"waits", server->counters.waits},
        {"draws", engine->draws},
        {"failed_draws", engine->failed_draws},
        {"busy", engine->busy},
        {"lookups", engine->lookups},
        {"lookups_not_found", engine->lookups_not_found},
        {"groups", engine->groups},
        {"marks", engine->marks},
        {"log_bytes", engine->log_bytes},
        {"syncs", engine->syncs},
        {"snapshots", engine->snapshots},
        {"snapshots_failed", engine->snapshots_failed},
    };
    write_group(writer, "counters", counters, COUNT_OF(counters));
}

static void write_archive(struct rpc_writer *writer, const struct urn_engine_info *engine)
{
    const uint64_t waiting_bytes =
        engine->durable_lsn > engine->archived_lsn ? engine->durable_lsn - engine->archived_lsn : 0;
    const struct figure archive[] = {
        {"on", engine->archives},
        {"archived_lsn", engine->archived_lsn},
        {"waiting_bytes", engine->archives ? waiting_bytes : 0},
        {"segments", engine->archived_segments},
        {"snapshots", engine->archived_snapshots},
        {"gaps", engine->archive_gaps},
        {"gap_bytes", engine->archive_gap_bytes},
        {"failures", engine->archive_failures},
    };
    write_group(writer, "archive", archive, COUNT_OF(archive));
}

static void write_latencies(struct rpc_writer *writer, const struct server *server,
                            const struct urn_engine_info *engine)
{
    const struct histogram *draws = &server->draw_latency_ns;
    const struct figure draw[] = {
        {"count", draws->count},
        {"p50_us", histogram_permille(draws, 500) / 1000},
        {"p99_us", histogram_permille(draws, 990) / 1000},
        {"p999_us", histogram_permille(draws, 999) / 1000},
        {"max_us", draws->max / 1000},
    };
    const struct figure snapshot[] = {
        {"pause_max_us", engine->snapshot_pause_ns_max / 1000},
    };
    const struct figure sync[] = {
        {"count", engine->syncs},
        {"total_us", engine->sync_ns / 1000},
        {"mean_us", engine->syncs == 0 ? 0 : engine->sync_ns / engine->syncs / 1000},
        {"max_us", engine->sync_ns_max / 1000},
    };
    rpc_write_cstr(writer, "latencies");
    rpc_write_map(writer, 3);
    write_group(writer, "draw", draw, COUNT_OF(draw));
    write_group(writer, "sync", sync, COUNT_OF(sync));
    write_group(writer, "snapshot", snapshot, COUNT_OF(snapshot));
}

static void write_memory(struct rpc_writer *writer, const struct server *server)
{
    struct urn_engine_config engine;
    config_fill_engine(server->config, &engine);
    uint64_t engine_bytes = urn_engine_memory_bound_bytes(&engine);
    uint64_t server_bytes = server_memory_bound_bytes(server->config);
    const struct figure memory[] = {
        {"bound_bytes", engine_bytes + server_bytes},
        {"engine_bound_bytes", engine_bytes},
        {"server_bound_bytes", server_bytes},
        {"request_buffers_lent_bytes",
         server->request_buffers.lent * server->request_buffers.buffer_bytes},
        {"reply_buffers_lent_bytes", budget_lent_bytes(server->replies)},
    };
    write_group(writer, "memory", memory, COUNT_OF(memory));
}

static void write_recovery(struct rpc_writer *writer, const struct urn_start_report *report)
{
    const struct figure figures[] = {
        {"snapshot_lsn", report->snapshot_lsn},
        {"snapshots_refused", report->snapshots_refused},
        {"replayed_groups", report->replayed_groups},
        {"replayed_draws", report->replayed_draws},
        {"end_lsn", report->end_lsn},
        {"rewritten_bytes", report->rewritten_bytes},
        {"discarded_groups", report->discarded_groups},
        {"epoch", report->epoch},
        {"next_request_id", report->next_request_id},
        {"duration_us", report->duration_us},
    };
    rpc_write_cstr(writer, "recovery");
    rpc_write_map(writer, COUNT_OF(figures) + 2);
    rpc_write_cstr(writer, "created");
    rpc_write_bool(writer, report->created);
    rpc_write_cstr(writer, "torn_tail");
    rpc_write_bool(writer, report->torn_tail);
    write_figures(writer, figures, COUNT_OF(figures));
}

/* A str must be UTF-8, and names of files need not be. */
static void make_utf8(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t bytes = rpc_utf8_bytes(text, left);
        if (bytes == 0) {
            *text = '?';
            bytes = 1;
        }
        text += bytes;
        left -= bytes;
    }
}

/* nil, or what failed. */
static void write_failure(struct rpc_writer *writer, const char *key, struct urn_error *failure)
{
    rpc_write_cstr(writer, key);
    if (failure->code == URN_OK) {
        rpc_write_nil(writer);
        return;
    }
    make_utf8(failure->text);
    rpc_write_cstr(writer, failure->text);
}

static void write_failures(struct rpc_writer *writer, const struct server *server)
{
    struct urn_error failure;
    urn_engine_failure(server->engine, &failure);
    write_failure(writer, "failure", &failure);
    urn_engine_snapshot_failure(server->engine, &failure);
    write_failure(writer, "snapshot_failure", &failure);
    urn_engine_archive_failure(server->engine, &failure);
    write_failure(writer, "archive_failure", &failure);
}

#define WRITTEN_IN_PLACE 6u /* version, mode, snapshot_io, and the three that fail */
#define WRITTEN_GROUPS                                                                             \
    8u /* ring, queue, connections, counters, archive, latencies, memory, recovery */

void info_write_reply(struct rpc_writer *writer, uint32_t msgid, const struct server *server)
{
    CHECK(server->magic == SERVER_MAGIC);
    struct urn_engine_info engine;
    urn_engine_info(server->engine, &engine);
    const struct figure figures[] = {
        {"uptime_s", (server->now_ns - server->started_ns) / 1000000000u},
        {"epoch", engine.epoch},
        {"durable_lsn", engine.durable_lsn},
        {"acknowledged_lsn", engine.acknowledged_lsn},
        {"unsynced_bytes", engine.acknowledged_lsn - engine.durable_lsn},
        {"unsynced_us", engine.unsynced_ns / 1000},
        {"staged_lsn", engine.staged_lsn},
        {"next_request_id", engine.next_request_id},
        {"snapshot_lsn", engine.snapshot_lsn},
    };
    rpc_write_result_header(writer, msgid);
    rpc_write_map(writer, COUNT_OF(figures) + WRITTEN_IN_PLACE + WRITTEN_GROUPS);
    rpc_write_cstr(writer, "version");
    rpc_write_cstr(writer, URN_VERSION);
    rpc_write_cstr(writer, "mode");
    rpc_write_cstr(writer, config_wal_mode_text(server->config->wal.mode));
    write_figures(writer, figures, COUNT_OF(figures));
    write_failures(writer, server);
    rpc_write_cstr(writer, "snapshot_io");
    rpc_write_cstr(writer, engine.snapshot_io_uring ? "io_uring" : "plain");
    write_load(writer, server, &engine);
    write_counters(writer, server, &engine);
    write_archive(writer, &engine);
    write_latencies(writer, server, &engine);
    write_memory(writer, server);
    write_recovery(writer, &server->report);
}
