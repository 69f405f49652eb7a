/* writer_snapshot.c: the writer's part of snapshots: when one begins, what goes into it, and what it frees.
 *
 * A snapshot begins at a group's end. Its state is frozen when the group closes; the chain is known once
 * the group has been sealed, that is when the commit side is free again; then blocks are encoded, some slices
 * of one in a step of the writer, whenever the task has a buffer free:
 *
 *     NONE --close or idle--> SEAL --commit side free--> ENCODE --last block--> GIVEN --task ends--> NONE
 *
 * One begins when
 *     somebody asks for it;
 *     the log has grown by snapshot.every since the newest one that counts;
 *     room is short, and two snapshots here would make more of it: with a full ring one follows the other,
 *     both at the head of the log;
 *     the engine stops cleanly and something was logged since the newest.
 * After a failure the next attempt waits for SNAPSHOT_RETRY_NS, unless somebody asks for one.
 */
#include "engine/check.h"
#include "engine/engine.h"
#include "engine/threads.h"

#include <stdlib.h>

static bool task_rests(const struct urn_engine *engine)
{
    return atomic_load_explicit(&engine->snapshot.phase, memory_order_acquire) == SNAPSHOT_RESTS;
}

static uint64_t room_limit_lsn(const struct urn_engine *engine)
{
    return atomic_load_explicit(&engine->room_limit_lsn, memory_order_relaxed);
}

static void finish_requests(struct urn_engine *engine, struct urn_request **list,
                            enum urn_code code, uint64_t lsn)
{
    while (*list != NULL) {
        struct urn_request *request = *list;
        *list = request->next;
        request->next = NULL;
        request->code = code;
        request->lsn = lsn;
        engine_finish(engine, request, request, 1, 0);
    }
}

/* Whatever hindered the snapshot, its askers get IO (or READONLY after a fail stop), and the reason. */
static void refuse_requests(struct urn_engine *engine, struct urn_request **list,
                            const struct urn_error *error)
{
    enum urn_code code = error->code == URN_READONLY ? URN_READONLY : URN_IO;
    for (struct urn_request *request = *list; request != NULL; request = request->next)
        if (request->error != NULL) {
            *request->error = *error;
            request->error->code = code;
        }
    finish_requests(engine, list, code, 0);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static bool room_is_short(const struct urn_engine *engine, uint64_t lsn)
{
    const struct wal_geometry *geometry = &engine->ring.geometry;
    uint64_t limit_lsn = room_limit_lsn(engine);
    if (!snapshot_ledger_would_gain(&engine->writer.snapshots.ledger, geometry, lsn, limit_lsn))
        return false;
    return engine->writer.shortage_ns != 0 || limit_lsn - lsn < geometry->segment_size_bytes / 2;
}

/* Whether one is wanted at this end of the log, the pause behind a failure apart. */
static bool is_wanted(const struct urn_engine *engine, uint64_t lsn)
{
    const struct writer_snapshots *snapshots = &engine->writer.snapshots;
    return snapshots->asked != NULL || snapshots->final_is_due ||
           lsn - snapshots->ledger.newest.lsn >= snapshots->every_bytes ||
           room_is_short(engine, lsn);
}

/* How snapshots fare now: what the last one met, or URN_OK. Who looks on is told when that changes. */
static void note_health(struct urn_engine *engine, const struct urn_error *error)
{
    CHECK(pthread_mutex_lock(&engine->snapshot_failure_lock) == 0);
    bool tell = error->code != URN_OK || engine->snapshot_failure.code != URN_OK;
    engine->snapshot_failure = *error;
    CHECK(pthread_mutex_unlock(&engine->snapshot_failure_lock) == 0);
    if (tell && engine->notify != NULL)
        engine->notify(engine->notify_context);
}

static void note_failure(struct urn_engine *engine, const struct urn_error *error)
{
    struct writer_snapshots *snapshots = &engine->writer.snapshots;
    snapshots->retry_ns = os_monotonic_ns(engine->os) + SNAPSHOT_RETRY_NS;
    snapshots->final_is_due = false;
    atomic_fetch_add_explicit(&engine->counters.snapshots_failed, 1, memory_order_relaxed);
    note_health(engine, error);
    refuse_requests(engine, &snapshots->serving, error);
}

static void begin(struct urn_engine *engine, uint64_t lsn)
{
    struct writer *writer = &engine->writer;
    struct writer_snapshots *snapshots = &writer->snapshots;
    struct snapshot_task *task = &engine->snapshot;
    uint64_t began_ns = os_monotonic_ns(engine->os);
    struct urn_error error;
    CHECK(snapshots->stage == SNAPSHOTS_NONE && snapshots->serving == NULL);
    snapshots->serving = snapshots->asked;
    snapshots->asked = NULL;
    snapshots->final_is_due = false;
    task->name = snapshot_ledger_next(&snapshots->ledger, lsn);
    if (task->name.serial > DATA_DIR_SERIAL_MAX) {
        error_set(&error, URN_TOOBIG, 0, "there is no name left for a snapshot at this place");
        note_failure(engine, &error);
        return;
    }
    free(atomic_exchange(&task->garbage, NULL)); /* memory is counted for one freeze */
    if (state_freeze(&writer->state, &error) != URN_OK) {
        note_failure(engine, &error);
        return;
    }
    snapshot_encoder_begin(&snapshots->encoder, &writer->state, &engine->ring.geometry);
    task->ledger = snapshots->ledger;
    task->file_bytes_min = snapshot_bytes_min(&writer->state);
    snapshots->stage = SNAPSHOTS_SEAL;
    snapshots->lsn = lsn;
    snapshots->room_bytes = room_limit_lsn(engine) - lsn;
    engine_want_durable(engine, lsn); /* it counts only with its log */
    snapshot_task_begin(task);
    threads_wake_snapshot(engine);
    snapshots_note_pause(engine, began_ns);
}

static bool pauses(const struct urn_engine *engine)
{
    const struct writer_snapshots *snapshots = &engine->writer.snapshots;
    return snapshots->asked == NULL && snapshots->retry_ns != 0 &&
           os_monotonic_ns(engine->os) < snapshots->retry_ns;
}

void snapshots_at_group_end(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    struct writer_snapshots *snapshots = &writer->snapshots;
    if (snapshots->asked != NULL && writer->end_lsn == snapshots->ledger.newest.lsn)
        finish_requests(engine, &snapshots->asked, URN_OK, writer->end_lsn);
    if (snapshots->stage != SNAPSHOTS_NONE || !is_wanted(engine, writer->end_lsn) ||
        !task_rests(engine) || pauses(engine))
        return;
    begin(engine, writer->end_lsn);
}

/* ---- going on -------------------------------------------------------------------------------- */

void snapshots_note_pause(struct urn_engine *engine, uint64_t began_ns)
{
    uint64_t took_ns = os_monotonic_ns(engine->os) - began_ns;
    _Atomic uint64_t *most = &engine->counters.snapshot_pause_ns_max;
    if (took_ns > atomic_load_explicit(most, memory_order_relaxed))
        atomic_store_explicit(most, took_ns, memory_order_relaxed);
}

void snapshots_seal(struct urn_engine *engine)
{
    struct writer_snapshots *snapshots = &engine->writer.snapshots;
    if (snapshots->stage != SNAPSHOTS_SEAL)
        return;
    CHECK(engine->commit.tail.lsn == snapshots->lsn);
    snapshot_encoder_set_tail(&snapshots->encoder, &engine->commit.tail);
    snapshots->stage = SNAPSHOTS_ENCODE;
}

/* Nothing more is to be encoded. The copies are some MiB: the task frees them. */
static void thaw(struct urn_engine *engine)
{
    CHECK(atomic_exchange(&engine->snapshot.garbage, state_thaw(&engine->writer.state)) == NULL);
}

/* The pace of the one under way is judged anew at every step, until it has ended: reading back takes as long
 * as writing. */
static void judge_hurry(struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    uint64_t used_bytes = writer->end_lsn - writer->snapshots.lsn;
    bool hurry = writer->shortage_ns != 0 || used_bytes > writer->snapshots.room_bytes / 4 ||
                 atomic_load_explicit(&engine->stopping, memory_order_relaxed);
    atomic_store_explicit(&engine->snapshot.hurry, hurry, memory_order_relaxed);
}

/* Encodes a slice into the task's buffer; a block that is complete goes to the task. Returns whether it is. */
static bool encode_slice(struct urn_engine *engine, uint8_t *buffer)
{
    struct writer_snapshots *snapshots = &engine->writer.snapshots;
    bool is_complete = snapshot_encoder_fill(&snapshots->encoder, buffer) > 0;
    bool is_last = snapshots->encoder.next == SNAPSHOT_ENCODE_DONE;
    if (is_last) {
        thaw(engine);
        snapshots->stage = SNAPSHOTS_GIVEN;
    }
    if (is_complete) {
        snapshot_task_give(&engine->snapshot, is_last);
        threads_wake_snapshot(engine);
    }
    return is_complete;
}

bool snapshots_encode(struct urn_engine *engine)
{
    struct writer_snapshots *snapshots = &engine->writer.snapshots;
    struct snapshot_task *task = &engine->snapshot;
    if (snapshots->stage == SNAPSHOTS_NONE)
        return false;
    judge_hurry(engine);
    if (snapshots->stage != SNAPSHOTS_ENCODE ||
        atomic_load_explicit(&task->phase, memory_order_acquire) != SNAPSHOT_WORKS)
        return false;
    uint8_t *buffer = snapshot_task_buffer(task);
    if (buffer == NULL)
        return false;
    uint64_t began_ns = os_monotonic_ns(engine->os);
    bool is_complete;
    do {
        is_complete = encode_slice(engine, buffer);
        snapshots->encoded_ns = os_monotonic_ns(engine->os);
    } while (!is_complete && snapshots->encoded_ns - began_ns < SNAPSHOT_STEP_NS);
    snapshots_note_pause(engine, began_ns);
    return true;
}

void writer_raise_limit(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    uint64_t limit_lsn =
        snapshot_ledger_limit_lsn(&writer->snapshots.ledger, &engine->ring.geometry);
    if (limit_lsn <= room_limit_lsn(engine))
        return;
    atomic_store_explicit(&engine->room_limit_lsn, limit_lsn, memory_order_release);
    writer->shortage_ns = 0;
}

bool snapshots_take_result(struct urn_engine *engine)
{
    struct writer_snapshots *snapshots = &engine->writer.snapshots;
    struct snapshot_task *task = &engine->snapshot;
    if (atomic_load_explicit(&task->phase, memory_order_acquire) != SNAPSHOT_ENDED)
        return false;
    if (snapshots->stage == SNAPSHOTS_SEAL || snapshots->stage == SNAPSHOTS_ENCODE)
        thaw(engine);
    snapshots->stage = SNAPSHOTS_NONE;
    if (task->counts) {
        snapshots->ledger.count = task->ledger.count;
        snapshots->ledger.newest = task->ledger.newest;
        snapshots->ledger.older = task->ledger.older;
        snapshots->retry_ns = 0;
        atomic_store_explicit(&engine->counters.snapshot_lsn, snapshots->ledger.newest.lsn,
                              memory_order_relaxed);
        atomic_fetch_add_explicit(&engine->counters.snapshots, 1, memory_order_relaxed);
        writer_raise_limit(engine);
        threads_wake_archive(engine);
        note_health(engine, &task->error);
        finish_requests(engine, &snapshots->serving, URN_OK, task->name.lsn);
    } else {
        note_failure(engine, &task->error);
    }
    atomic_store(&task->phase, SNAPSHOT_RESTS);
    if (atomic_load(&task->garbage) != NULL)
        threads_wake_snapshot(engine);
    return true;
}

/* ---- ending ---------------------------------------------------------------------------------- */

bool snapshots_finish(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    struct writer_snapshots *snapshots = &writer->snapshots;
    if (!snapshots->final_was_tried && task_rests(engine)) {
        snapshots->final_was_tried = true;
        snapshots->retry_ns = 0;
        snapshots->final_is_due = writer->end_lsn > snapshots->ledger.newest.lsn;
        snapshots_at_group_end(engine);
    }
    return snapshots->final_was_tried && task_rests(engine) && snapshots->asked == NULL;
}

bool snapshots_give_up(struct urn_engine *engine)
{
    struct writer_snapshots *snapshots = &engine->writer.snapshots;
    bool did = snapshots->asked != NULL || snapshots->serving != NULL;
    finish_requests(engine, &snapshots->asked, URN_READONLY, 0);
    finish_requests(engine, &snapshots->serving, URN_READONLY, 0);
    if (!task_rests(engine))
        threads_wake_snapshot(engine); /* it sees the failure, and gives up too */
    return snapshots_take_result(engine) || did;
}

/* ---- for whoever sleeps ---------------------------------------------------------------------- */

bool snapshots_have_work(const struct urn_engine *engine)
{
    enum snapshot_phase phase = atomic_load(&engine->snapshot.phase);
    if (phase == SNAPSHOT_ENDED)
        return true;
    if (atomic_load(&engine->failed)) /* nothing is encoded any more */
        return false;
    return engine->writer.snapshots.stage == SNAPSHOTS_ENCODE && phase == SNAPSHOT_WORKS &&
           snapshot_task_has_buffer(&engine->snapshot);
}

uint64_t snapshots_deadline_ns(const struct urn_engine *engine)
{
    const struct writer_snapshots *snapshots = &engine->writer.snapshots;
    bool waits = snapshots->stage == SNAPSHOTS_NONE && snapshots->retry_ns != 0 &&
                 task_rests(engine) && is_wanted(engine, engine->writer.end_lsn);
    return waits ? snapshots->retry_ns : UINT64_MAX;
}
