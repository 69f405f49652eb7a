/* threads.c: see threads.h.
 *
 * Waking: a thread that found nothing to do raises its `parked` flag, looks once more, and only
 * then waits; who brings work takes the flag down, and posts if it was up. Both sides use
 * sequentially consistent operations, so that either the waker sees the flag or the sleeper sees
 * the work.
 *
 * The writer's turn: who holds the mutex does what the writer does, with all that the writer owns. The
 * writer thread has it as long as it is awake, so that a draw under load meets no lock. A thread that lends
 * itself (threads_lend) takes it only from a writer that sleeps, and wakes it behind its turn if something is
 * left to do, or will be before the moment until which the writer meant to sleep.
 * A writer that wakes in between waits for its turn, and looks at everything anew.
 */
#include "engine/threads.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "engine/check.h"

#define POPULATE_CHUNK_BYTES (1u << 20)

struct sleeper {
    atomic_bool parked;
    sem_t posted;
};

struct threads {
    pthread_t writer;
    pthread_t commit;
    pthread_t sync;
    pthread_t snapshot;
    pthread_t archive;
    pthread_t populate;
    pthread_t lookup;
    pthread_t past;
    pthread_mutex_t turn;             /* the writer thread's, but while it sleeps */
    const struct group *running;      /* what the commit thread has; by the turn's holder */
    _Atomic uint64_t sleeps_until_ns; /* the writer thread, once it has let go of its turn */
    struct sleeper writer_sleeper;
    struct sleeper sync_sleeper;
    struct sleeper snapshot_sleeper;
    struct sleeper lookup_sleeper;
    struct sleeper past_sleeper;
    struct sleeper archive_sleeper;
    sem_t commit_posted; /* a closed group for the commit thread, or the end */
    atomic_bool commit_ends;
    bool syncs; /* there is a sync thread */
    atomic_bool sync_ends;
    atomic_bool snapshot_ends;
    bool archives; /* there are an archive thread and one of the past */
    atomic_bool archive_ends;
    atomic_bool past_ends;
    sem_t archive_ended; /* posted as the last that they do: for who does not wait for ever */
    sem_t past_ended;
    sem_t populate_posted;
    atomic_bool populate_ends;
};

/* ---- sleeping ------------------------------------------------------------------------------ */

static void wake(struct sleeper *sleeper)
{
    if (atomic_load(&sleeper->parked) && atomic_exchange(&sleeper->parked, false))
        CHECK(sem_post(&sleeper->posted) == 0);
}

static void wait_for_post(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        CHECK(errno == EINTR);
}

/* Waits for a post until the deadline (UINT64_MAX: for ever). */
static void sleep_until(struct sleeper *sleeper, uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        wait_for_post(&sleeper->posted);
        return;
    }
    struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                .tv_nsec = (long)(deadline_ns % 1000000000u)};
    while (sem_clockwait(&sleeper->posted, CLOCK_MONOTONIC, &deadline) != 0) {
        if (errno == EINTR)
            continue;
        CHECK(errno == ETIMEDOUT);
        /* A waker that has taken the flag down posts: that post must not be left behind. */
        if (!atomic_exchange(&sleeper->parked, false))
            wait_for_post(&sleeper->posted);
        return;
    }
}

void threads_wake_writer(struct urn_engine *engine)
{
    if (engine->threads != NULL)
        wake(&engine->threads->writer_sleeper);
}

void threads_wake_sync(struct urn_engine *engine)
{
    if (engine->threads != NULL && engine->threads->syncs)
        wake(&engine->threads->sync_sleeper);
}

void threads_wake_snapshot(struct urn_engine *engine)
{
    if (engine->threads != NULL)
        wake(&engine->threads->snapshot_sleeper);
}

void threads_wake_lookup(struct urn_engine *engine)
{
    if (engine->threads != NULL)
        wake(&engine->threads->lookup_sleeper);
}

void threads_wake_past(struct urn_engine *engine)
{
    if (engine->threads != NULL && engine->threads->archives)
        wake(&engine->threads->past_sleeper);
}

void threads_wake_archive(struct urn_engine *engine)
{
    if (engine->threads != NULL && engine->threads->archives)
        wake(&engine->threads->archive_sleeper);
}

void threads_wake_populate(struct urn_engine *engine)
{
    if (engine->threads != NULL)
        CHECK(sem_post(&engine->threads->populate_posted) == 0);
}

/* ---- writer -------------------------------------------------------------------------------- */

static void run_commit_step(struct urn_engine *engine)
{
    do {
        if (!engine_commit_begin(engine))
            return;
    } while (!engine_commit_end(engine));
    /* The durable LSN before the look: a snapshot that says now that it waits for the log sees it. */
    atomic_thread_fence(memory_order_seq_cst);
    if (snapshot_task_waits_for_log(&engine->snapshot))
        threads_wake_snapshot(engine);
    if (archive_task_waits_for(&engine->archive, engine_durable_lsn(engine)))
        threads_wake_archive(engine);
}

/* True when a step would find something to do. While the commit thread has a group, requests that
 * have been taken and did not fit the open group keep those in the inbox waiting. */
static bool writer_has_work(const struct urn_engine *engine, bool commit_is_running)
{
    if (engine->writer.todo == NULL && atomic_load(&engine->inbox) != NULL)
        return true;
    if (snapshots_have_work(engine) || writer_sync_has_come(engine) || archive_has_news(engine))
        return true;
    return commit_is_running ? atomic_load(&engine->commit_slot) == NULL
                             : atomic_load(&engine->stopping) && !engine->writer.stop_seen;
}

/* A step, and the commit of the group that it closed. False: there was nothing to do. By the turn's holder. */
static bool take_turn(struct urn_engine *engine)
{
    struct threads *threads = engine->threads;
    const bool did = writer_step(engine);
    const struct group *closed = atomic_load_explicit(&engine->commit_slot, memory_order_acquire);
    if (closed != NULL && closed != threads->running) { /* just closed: groups take turns */
        if (writer_has_waiting(engine)) {
            threads->running = closed;
            CHECK(sem_post(&threads->commit_posted) == 0);
        } else {
            run_commit_step(engine);
            threads->running = NULL;
        }
        return true;
    }
    /* What has just become free lets the open group close: look again before sleeping. */
    const bool freed = threads->running != NULL && closed == NULL;
    threads->running = closed;
    return did || freed;
}

/* Nothing to do: waits for a request, the commit thread, a sync, a stop, or the time of a mark. Whatever the
 * turn's holder owns is looked at while the writer still is that. */
static void park_writer(struct urn_engine *engine)
{
    struct threads *threads = engine->threads;
    struct sleeper *sleeper = &threads->writer_sleeper;
    const bool commit_is_running = threads->running != NULL;
    atomic_store(&sleeper->parked, true);
    if (writer_has_work(engine, commit_is_running)) {
        if (!atomic_exchange(&sleeper->parked, false))
            wait_for_post(&sleeper->posted);
        return;
    }
    const uint64_t deadline_ns = commit_is_running ? UINT64_MAX : writer_deadline_ns(engine);
    atomic_store(&threads->sleeps_until_ns, deadline_ns);
    CHECK(pthread_mutex_unlock(&threads->turn) == 0);
    sleep_until(sleeper, deadline_ns);
    CHECK(pthread_mutex_lock(&threads->turn) == 0);
}

static void *writer_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    CHECK(pthread_mutex_lock(&threads->turn) == 0);
    while (!engine->writer.done)
        if (!take_turn(engine) && !engine->writer.done)
            park_writer(engine);
    CHECK(pthread_mutex_unlock(&threads->turn) == 0);
    return NULL;
}

/* Whether the writer thread, asleep while another had its turn, is to be woken: there is more to do, now or
 * before the moment until which it sleeps. That is never more than MARK_AFTER_NS behind a group, so that what
 * it does between groups (does a snapshot begin?) is not put off for long by turns that others take. */
static bool writer_is_needed(const struct urn_engine *engine)
{
    const struct threads *threads = engine->threads;
    return engine->writer.done || threads->running != NULL || writer_has_waiting(engine) ||
           writer_has_work(engine, false) ||
           writer_deadline_ns(engine) < atomic_load(&threads->sleeps_until_ns);
}

bool threads_lend(struct urn_engine *engine)
{
    struct threads *threads = engine->threads;
    if (threads == NULL || pthread_mutex_trylock(&threads->turn) != 0)
        return false;
    const bool rests = !engine->writer.done && threads->running == NULL;
    if (rests)
        (void)take_turn(engine);
    const bool needed = rests && writer_is_needed(engine);
    CHECK(pthread_mutex_unlock(&threads->turn) == 0);
    if (needed)
        wake(&threads->writer_sleeper);
    return rests;
}

/* ---- commit, sync, snapshot and populate ------------------------------------------------------------- */

static void *commit_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    for (;;) {
        wait_for_post(&threads->commit_posted);
        if (atomic_load(&threads->commit_ends))
            return NULL;
        run_commit_step(engine);
        wake(&threads->writer_sleeper);
    }
}

static void *sync_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    struct sleeper *sleeper = &threads->sync_sleeper;
    while (!atomic_load(&threads->sync_ends)) {
        if (engine_log_sync_begin(engine)) {
            engine_log_sync_end(engine);
            continue;
        }
        /* Parked before it looks: what is copied or wanted from here on wakes it. */
        atomic_store(&sleeper->parked, true);
        bool ends = atomic_load(&threads->sync_ends);
        sleep_until(sleeper, ends ? 0 : engine_log_sync_deadline_ns(engine));
    }
    return NULL;
}

static void park_snapshot(struct urn_engine *engine, uint64_t until_ns)
{
    struct threads *threads = engine->threads;
    struct sleeper *sleeper = &threads->snapshot_sleeper;
    atomic_store(&sleeper->parked, true);
    bool has_event = until_ns == UINT64_MAX && snapshot_task_has_work(&engine->snapshot);
    if (!has_event && !atomic_load(&threads->snapshot_ends))
        sleep_until(sleeper, until_ns);
    else if (!atomic_exchange(&sleeper->parked, false))
        wait_for_post(&sleeper->posted);
}

static void *snapshot_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    while (!atomic_load(&threads->snapshot_ends)) {
        enum snapshot_want want = snapshot_task_step(&engine->snapshot);
        if (snapshot_task_wants_writer(&engine->snapshot))
            wake(&threads->writer_sleeper);
        if (want == SNAPSHOT_WANTS_STEP)
            continue;
        park_snapshot(engine, want == SNAPSHOT_WANTS_TIME ? engine->snapshot.wake_ns : UINT64_MAX);
    }
    return NULL;
}

static void *lookup_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct sleeper *sleeper = &engine->threads->lookup_sleeper;
    while (!engine->lookups.done) {
        if (lookups_step(engine) || engine->lookups.done)
            continue;
        atomic_store(&sleeper->parked, true);
        if (!lookups_have_work(engine))
            sleep_until(sleeper, UINT64_MAX);
        else if (!atomic_exchange(&sleeper->parked, false))
            wait_for_post(&sleeper->posted);
    }
    return NULL;
}

/* Told to end, it answers first what is still there. */
static void *past_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    struct sleeper *sleeper = &threads->past_sleeper;
    for (;;) {
        const bool ends = atomic_load(&threads->past_ends);
        if (lookups_past_step(engine))
            continue;
        if (ends)
            break;
        atomic_store(&sleeper->parked, true);
        if (!lookups_past_have_work(engine) && !atomic_load(&threads->past_ends))
            sleep_until(sleeper, UINT64_MAX);
        else if (!atomic_exchange(&sleeper->parked, false))
            wait_for_post(&sleeper->posted);
    }
    CHECK(sem_post(&threads->past_ended) == 0);
    return NULL;
}

static void park_archive(struct urn_engine *engine, uint64_t until_ns)
{
    struct threads *threads = engine->threads;
    struct sleeper *sleeper = &threads->archive_sleeper;
    atomic_store(&sleeper->parked, true);
    bool has_event = until_ns == UINT64_MAX && archive_task_has_work(&engine->archive);
    if (!has_event && !atomic_load(&threads->archive_ends))
        sleep_until(sleeper, until_ns);
    else if (!atomic_exchange(&sleeper->parked, false))
        wait_for_post(&sleeper->posted);
}

static void *archive_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    while (!atomic_load(&threads->archive_ends)) {
        const uint64_t archived_lsn = atomic_load(&engine->archive.archived_lsn);
        enum archive_want want = archive_task_step(&engine->archive);
        if (atomic_load(&engine->archive.archived_lsn) != archived_lsn) {
            wake(&threads->writer_sleeper);
            wake(&threads->past_sleeper);
        }
        if (want == ARCHIVE_WANTS_STEP)
            continue;
        park_archive(engine, want == ARCHIVE_WANTS_TIME ? engine->archive.wake_ns : UINT64_MAX);
    }
    CHECK(sem_post(&threads->archive_ended) == 0);
    return NULL;
}

/* By what has been closed, and not by what the commit side has done of it: the log is about to enter the
 * segment when the writer says so. */
uint64_t threads_populate_lsn(const struct urn_engine *engine)
{
    const struct wal_geometry *geometry = &engine->ring.geometry;
    return wal_segment_begin(geometry, atomic_load(&engine->counters.staged_lsn)) +
           geometry->segment_size_bytes;
}

/* From a page on, as much of the ring as this. */
static void populate(struct urn_engine *engine, uint64_t lsn, uint64_t length_bytes)
{
    const struct wal_geometry *geometry = &engine->ring.geometry;
    while (length_bytes > 0 && !atomic_load(&engine->threads->populate_ends)) {
        uint64_t offset = lsn % geometry->segment_size_bytes;
        uint64_t chunk = geometry->segment_size_bytes - offset;
        chunk = chunk < POPULATE_CHUNK_BYTES ? chunk : POPULATE_CHUNK_BYTES;
        chunk = chunk < length_bytes ? chunk : length_bytes;
        wal_ring_populate(&engine->ring, wal_slot(geometry, lsn), offset, chunk);
        lsn += chunk;
        length_bytes -= chunk;
    }
}

/* All of the ring once, then the next segment, again and again. */
static void *populate_main(void *argument)
{
    struct urn_engine *engine = argument;
    struct threads *threads = engine->threads;
    uint64_t end_lsn = atomic_load(&engine->counters.staged_lsn);
    populate(engine, end_lsn - end_lsn % OS_PAGE_BYTES, wal_ring_bytes(&engine->ring.geometry));
    for (;;) {
        wait_for_post(&threads->populate_posted);
        if (atomic_load(&threads->populate_ends))
            return NULL;
        populate(engine, threads_populate_lsn(engine), engine->ring.geometry.segment_size_bytes);
    }
}

/* ---- life ---------------------------------------------------------------------------------- */

static void join(pthread_t thread)
{
    CHECK(pthread_join(thread, NULL) == 0);
}

static void end_commit(struct threads *threads)
{
    atomic_store(&threads->commit_ends, true);
    CHECK(sem_post(&threads->commit_posted) == 0);
    join(threads->commit);
}

static void end_sync(struct threads *threads)
{
    if (!threads->syncs)
        return;
    atomic_store(&threads->sync_ends, true);
    wake(&threads->sync_sleeper);
    join(threads->sync);
}

static void end_populate(struct threads *threads)
{
    atomic_store(&threads->populate_ends, true);
    CHECK(sem_post(&threads->populate_posted) == 0);
    join(threads->populate);
}

static void end_snapshot(struct threads *threads)
{
    atomic_store(&threads->snapshot_ends, true);
    wake(&threads->snapshot_sleeper);
    join(threads->snapshot);
}

static void end_lookup(struct urn_engine *engine)
{
    wake(&engine->threads->lookup_sleeper);
    join(engine->threads->lookup);
}

/* False: the archive keeps it beyond the deadline, and it is left behind. */
static bool join_until(pthread_t thread, sem_t *ended, uint64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
                                      .tv_nsec = (long)(deadline_ns % 1000000000u)};
    while (sem_clockwait(ended, CLOCK_MONOTONIC, &deadline) != 0) {
        if (errno == EINTR)
            continue;
        CHECK(errno == ETIMEDOUT);
        CHECK(pthread_detach(thread) == 0);
        return false;
    }
    join(thread);
    return true;
}

static void end_past(struct urn_engine *engine, uint64_t deadline_ns)
{
    struct threads *threads = engine->threads;
    atomic_store(&threads->past_ends, true);
    wake(&threads->past_sleeper);
    if (join_until(threads->past, &threads->past_ended, deadline_ns))
        return;
    lookups_abandon_past(engine);
    engine->archive_hangs = true;
}

static void end_archive(struct urn_engine *engine, uint64_t deadline_ns)
{
    struct threads *threads = engine->threads;
    atomic_store(&threads->archive_ends, true);
    wake(&threads->archive_sleeper);
    if (join_until(threads->archive, &threads->archive_ended, deadline_ns))
        return;
    archive_task_abandon(&engine->archive);
    engine->archive_hangs = true;
}

/* Both, with one patience. */
static void end_archiving(struct urn_engine *engine)
{
    if (!engine->threads->archives)
        return;
    const uint64_t now_ns = os_monotonic_ns(engine->os);
    const uint64_t patience_ns = engine->stop_patience_ns;
    const uint64_t deadline_ns =
        patience_ns < UINT64_MAX - now_ns ? now_ns + patience_ns : UINT64_MAX;
    end_past(engine, deadline_ns);
    end_archive(engine, deadline_ns);
}

/* While nothing is asked of the archive yet. */
static int start_archiving(struct urn_engine *engine)
{
    struct threads *threads = engine->threads;
    if (!threads->archives)
        return 0;
    int why = pthread_create(&threads->past, NULL, past_main, engine);
    if (why != 0)
        return why;
    why = pthread_create(&threads->archive, NULL, archive_main, engine);
    if (why != 0) {
        atomic_store(&threads->past_ends, true);
        wake(&threads->past_sleeper);
        join(threads->past);
        return why;
    }
    (void)pthread_setname_np(threads->past, "urn-past");
    (void)pthread_setname_np(threads->archive, "urn-archive");
    return 0;
}

static int start_all(struct urn_engine *engine)
{
    struct threads *threads = engine->threads;
    int why = pthread_create(&threads->commit, NULL, commit_main, engine);
    if (why != 0)
        return why;
    if (threads->syncs)
        why = pthread_create(&threads->sync, NULL, sync_main, engine);
    if (why != 0)
        goto end_commit;
    why = pthread_create(&threads->populate, NULL, populate_main, engine);
    if (why != 0)
        goto end_sync;
    why = pthread_create(&threads->snapshot, NULL, snapshot_main, engine);
    if (why != 0)
        goto end_populate;
    why = pthread_create(&threads->lookup, NULL, lookup_main, engine);
    if (why != 0)
        goto end_snapshot;
    why = start_archiving(engine);
    if (why != 0)
        goto end_lookup;
    why = pthread_create(&threads->writer, NULL, writer_main, engine);
    if (why != 0)
        goto end_archiving;
    (void)pthread_setname_np(threads->commit, "urn-commit");
    if (threads->syncs)
        (void)pthread_setname_np(threads->sync, "urn-sync");
    (void)pthread_setname_np(threads->snapshot, "urn-snapshot");
    (void)pthread_setname_np(threads->populate, "urn-populate");
    (void)pthread_setname_np(threads->lookup, "urn-lookup");
    (void)pthread_setname_np(threads->writer, "urn-writer");
    return 0;

end_archiving:
    end_archiving(engine);
end_lookup:
    engine_ask_stop(engine);
    end_lookup(engine);
end_snapshot:
    end_snapshot(threads);
end_populate:
    end_populate(threads);
end_sync:
    end_sync(threads);
end_commit:
    end_commit(threads);
    return why;
}

void threads_free(struct urn_engine *engine)
{
    if (engine->threads == NULL)
        return;
    CHECK(pthread_mutex_destroy(&engine->threads->turn) == 0);
    sem_destroy(&engine->threads->writer_sleeper.posted);
    sem_destroy(&engine->threads->sync_sleeper.posted);
    sem_destroy(&engine->threads->commit_posted);
    sem_destroy(&engine->threads->snapshot_sleeper.posted);
    sem_destroy(&engine->threads->lookup_sleeper.posted);
    sem_destroy(&engine->threads->past_ended);
    sem_destroy(&engine->threads->archive_ended);
    sem_destroy(&engine->threads->past_sleeper.posted);
    sem_destroy(&engine->threads->archive_sleeper.posted);
    sem_destroy(&engine->threads->populate_posted);
    free(engine->threads);
    engine->threads = NULL;
}

enum urn_code threads_start(struct urn_engine *engine, struct urn_error *error)
{
    engine->threads = calloc(1, sizeof *engine->threads);
    if (engine->threads == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for the engine's threads");
    engine->threads->syncs = engine->mode != URN_WAL_COMMIT;
    engine->threads->archives = engine->archive.on;
    CHECK(pthread_mutex_init(&engine->threads->turn, NULL) == 0);
    CHECK(sem_init(&engine->threads->writer_sleeper.posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->sync_sleeper.posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->commit_posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->snapshot_sleeper.posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->lookup_sleeper.posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->past_ended, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->archive_ended, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->past_sleeper.posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->archive_sleeper.posted, 0, 0) == 0);
    CHECK(sem_init(&engine->threads->populate_posted, 0, 0) == 0);

    /* Signals are the program's business: its own threads take them. Those that a thread raises by what
     * it does stay its own. */
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&all, own[i]);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int why = start_all(engine);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    if (why == 0)
        return URN_OK;
    threads_free(engine);
    return error_set(error, URN_NOMEMORY, why, "cannot start the engine's threads");
}

void threads_stop(struct urn_engine *engine)
{
    struct threads *threads = engine->threads;
    CHECK(threads != NULL);
    wake(&threads->writer_sleeper);
    join(threads->writer);
    end_commit(threads);
    end_sync(threads);
    end_snapshot(threads);
    end_lookup(engine);
    end_populate(threads);
    end_archiving(engine);
}
