/* host_windows.c: see host_windows.h. */
#include "tests/sim/host_windows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/verdict.h"

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* While IDENTITY is not there: by the name that is being worked on. */
static enum window creation_window(const struct sim_event *call)
{
    if (call->call == SIM_REMOVE && !begins_with(call->name, DATA_DIR_IDENTITY))
        return WINDOW_CREATE_CLEAN;
    if (begins_with(call->name, "segment-"))
        return WINDOW_CREATE_SEGMENTS;
    if (begins_with(call->name, "snapshot-"))
        return WINDOW_CREATE_SNAPSHOT;
    if (begins_with(call->name, DATA_DIR_IDENTITY))
        return WINDOW_CREATE_IDENTITY;
    return WINDOW_CREATE_LOCK;
}

bool window_is_log_call(enum sim_call call)
{
    return call == SIM_MAP_WRITE || call == SIM_MAP_SYNC_BEGIN || call == SIM_MAP_SYNC_END;
}

/* Copy, copied or syncing: which of three windows in a row. */
static enum window log_window(enum window copy, enum sim_call call)
{
    unsigned offset = call == SIM_MAP_WRITE ? 0 : call == SIM_MAP_SYNC_BEGIN ? 1 : 2;
    return (enum window)((unsigned)copy + offset);
}

static enum window start_window(const struct host *host, const struct sim_event *call)
{
    if (window_is_log_call(call->call))
        return log_window(host->writes_tail ? WINDOW_TAIL_COPY : WINDOW_EPOCH_COPY, call->call);
    bool writes = call->call == SIM_FILE_CREATE || call->call == SIM_FILE_WRITE ||
                  call->call == SIM_FILE_SYNC || call->call == SIM_FILE_DROP_CACHE ||
                  call->call == SIM_RENAME;
    bool writes_snapshot =
        writes && begins_with(call->name, "snapshot-") &&
        (call->call == SIM_RENAME || strstr(call->name, DATA_DIR_TEMPORARY) != NULL);
    return writes_snapshot ? WINDOW_ROOM_SNAPSHOT : WINDOW_START_READING;
}

enum window window_of_snapshot(enum snapshot_step step)
{
    static const enum window windows[] = {
        [SNAPSHOT_STEP_CREATE] = WINDOW_SNAPSHOT_CREATE,
        [SNAPSHOT_STEP_WRITE] = WINDOW_SNAPSHOT_WRITE,
        [SNAPSHOT_STEP_SYNC] = WINDOW_SNAPSHOT_SYNC,
        [SNAPSHOT_STEP_READ] = WINDOW_SNAPSHOT_READ,
        [SNAPSHOT_STEP_DURABLE] = WINDOW_SNAPSHOT_DURABLE,
        [SNAPSHOT_STEP_RENAME] = WINDOW_SNAPSHOT_RENAME,
        [SNAPSHOT_STEP_DIR_SYNC] = WINDOW_SNAPSHOT_DIR_SYNC,
        [SNAPSHOT_STEP_REMOVE] = WINDOW_SNAPSHOT_REMOVE,
        [SNAPSHOT_STEP_REMOVED] = WINDOW_SNAPSHOT_REMOVED,
        [SNAPSHOT_STEP_ABORT] = WINDOW_SNAPSHOT_ABORT,
    };
    return windows[step];
}

enum window window_of_archive(enum archive_step step)
{
    static const enum window windows[] = {
        [ARCHIVE_STEP_OPEN] = WINDOW_ARCHIVE_OPEN,
        [ARCHIVE_STEP_FIND] = WINDOW_IDLE,
        [ARCHIVE_STEP_GAP] = WINDOW_ARCHIVE_GAP,
        [ARCHIVE_STEP_CREATE] = WINDOW_ARCHIVE_CREATE,
        [ARCHIVE_STEP_COPY] = WINDOW_ARCHIVE_COPY,
        [ARCHIVE_STEP_INDEX] = WINDOW_ARCHIVE_INDEX,
        [ARCHIVE_STEP_SYNC] = WINDOW_ARCHIVE_SYNC,
        [ARCHIVE_STEP_READ] = WINDOW_ARCHIVE_READ,
        [ARCHIVE_STEP_RENAME] = WINDOW_ARCHIVE_RENAME,
        [ARCHIVE_STEP_DIR_SYNC] = WINDOW_ARCHIVE_DIR_SYNC,
        [ARCHIVE_STEP_FAILED] = WINDOW_IDLE,
    };
    return windows[step];
}

static bool is_relaxed(const struct host *host)
{
    return host->engine->mode != URN_WAL_COMMIT;
}

static enum window run_window(const struct host *host, const struct sim_event *call)
{
    if (host->step_is_archive)
        return host->archive_window;
    if (host->step_is_snapshot)
        return host->step;
    if (!window_is_log_call(call->call))
        return WINDOW_IDLE;
    if (is_relaxed(host))
        return log_window(WINDOW_RELAXED_COPY, call->call);
    uint64_t segment_size = host->scenario->config.segment_size_bytes;
    bool of_segment_change =
        host->step_new_segment &&
        (call->offset == 0 || call->offset + call->length_bytes == segment_size);
    if (of_segment_change)
        return log_window(WINDOW_SEGMENT_COPY, call->call);
    return log_window(host->step, call->call);
}

void window_note_start_call(struct host *host, const struct sim_event *call)
{
    if (call->call == SIM_MAP_WRITE) /* the tail's bytes have just been read; other groups' not */
        host->writes_tail =
            host->last_call.call == SIM_FILE_READ && begins_with(host->last_call.name, "segment-");
    struct sim_event named = *call;
    if (named.name[0] == '\0') /* a directory: in the midst of what came before */
        memcpy(named.name, host->last_call.name, sizeof named.name);
    host->last_call = named;
}

static enum window window_of_crash(const struct host *host)
{
    const struct sim_event *event = &host->last_call;
    if (!host->step_is_start)
        return run_window(host, event);
    char identity[64];
    snprintf(identity, sizeof identity, "%s/%s", host->scenario->config.data_dir,
             DATA_DIR_IDENTITY);
    return sim_file_exists(host->world, identity) ? start_window(host, event)
                                                  : creation_window(event);
}

/* Counts the groups that are under way when a crash comes between two calls. */
static void note_groups(const struct host *host, enum sim_crash kind)
{
    const struct urn_engine *engine = host->engine;
    if (engine == NULL)
        return;
    coverage_crash_group(host->coverage, STAGE_OPEN, oracle_open_subjects(host->oracle), kind);
    const enum stage syncing = is_relaxed(host) ? STAGE_COPIED : STAGE_SYNCING;
    if (atomic_load(&engine->commit_slot) != NULL)
        coverage_crash_group(host->coverage, host->syncing ? syncing : STAGE_CLOSED,
                             host->closed_subjects, kind);
    else
        coverage_crash_group(host->coverage, STAGE_FINISHED, host->finished_subjects, kind);
}

/* A crash that no call met: by what the engine was about. */
static enum window window_between_calls(const struct host *host)
{
    if (host->engine == NULL)
        return WINDOW_START_READING;
    if (host->stopping)
        return WINDOW_STOPPING;
    if (host->log_syncing)
        return WINDOW_RELAXED_SYNCING;
    if (host->syncing && is_relaxed(host))
        return WINDOW_RELAXED_COPIED;
    if (host->syncing)
        return host->step_new_segment ? WINDOW_SEGMENT_SYNCING
                                      : log_window(host->step, SIM_MAP_SYNC_END);
    if (atomic_load(&host->engine->commit_slot) != NULL)
        return WINDOW_CLOSED;
    if (atomic_load(&host->engine->finished) != NULL)
        return WINDOW_FINISHED;
    if (host->engine->writer.job.request != NULL)
        return WINDOW_CATALOG;
    if (is_relaxed(host) && host->engine->writer.ids.reserved_lsn != 0)
        return WINDOW_RESERVING;
    if (atomic_load(&host->engine->commit.copied_lsn) > engine_durable_lsn(host->engine))
        return WINDOW_RELAXED_COPIED;
    if (atomic_load(&host->engine->snapshot.phase) == SNAPSHOT_WORKS)
        return window_of_snapshot(host->engine->snapshot.step);
    if (atomic_load(&host->engine->snapshot.phase) == SNAPSHOT_ENDED)
        return WINDOW_SNAPSHOT_ENDED;
    return host->engine->writer.groups[host->engine->writer.open].newest != NULL ? WINDOW_STAGED
                                                                                 : WINDOW_IDLE;
}

void window_note_crash(struct host *host)
{
    if (sim_crashed(host->world) == SIM_NO_CRASH || host->last_call.number == UINT64_MAX)
        return;
    enum window window = window_of_crash(host);
    coverage_crash(host->coverage, window, sim_crashed(host->world));
    const bool of_group = host->last_call.call == SIM_MAP_WRITE || !host->step_is_log_sync;
    if (!host->step_is_start && window_is_log_call(host->last_call.call) && of_group) {
        static const enum stage stages[] = {STAGE_COPY, STAGE_COPIED, STAGE_SYNCING};
        const unsigned stage =
            (unsigned)log_window(WINDOW_COPY, host->last_call.call) - WINDOW_COPY;
        coverage_crash_group(host->coverage, stages[stage], host->closed_subjects,
                             sim_crashed(host->world));
    }
    if (host->stopping && !host->step_is_start)
        coverage_crash(host->coverage, WINDOW_STOPPING, sim_crashed(host->world));
    const struct sim_event *event = sim_last_event(host->world);
    trace("crash of the %s at call %" PRIu64 " (%s %s)",
          sim_crashed(host->world) == SIM_CRASH_MACHINE ? "machine" : "process", event->number,
          sim_call_text(event->call), event->name);
    host->last_call.number = UINT64_MAX;
}

void window_note_crash_between(struct host *host, enum sim_crash kind)
{
    trace("crash of the %s between calls", kind == SIM_CRASH_MACHINE ? "machine" : "process");
    coverage_crash(host->coverage, window_between_calls(host), kind);
    note_groups(host, kind);
    host->last_call.number = UINT64_MAX;
}
