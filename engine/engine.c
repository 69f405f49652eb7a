/* engine.c: the engine's life (open, stop, free), its two ends (submit, collect), and the commit
 * step.
 *
 * See urn.h for what callers rely on and engine.h for the steps and who owns what.
 */
#include "engine/engine.h"

#include <inttypes.h>
#include <sodium/core.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/catalog_check.h"
#include "engine/check.h"
#include "engine/digest.h"
#include "engine/snapshot_format.h"
#include "engine/threads.h"

struct urn_request inbox_closed;

/* ---- sizes --------------------------------------------------------------------------------- */

/* Zero fill that a placement may add behind a group: less than a header (wal_format.h, "Ends"). */
#define GROUP_FILL_BYTES WAL_GROUP_HEADER_BYTES

/* The group of the largest single request. */
static uint64_t largest_request_bytes(const struct urn_engine_config *config)
{
    return WAL_GROUP_HEADER_BYTES + wal_draws_bytes_max(config->max_batch, WAL_OUTCOME_WIDTH_MAX);
}

static uint64_t group_capacity_bytes(const struct urn_engine_config *config)
{
    uint64_t most = wal_group_bytes_max(config->segment_size_bytes);
    uint64_t wanted = most < GROUP_BYTES_SOFT ? most : GROUP_BYTES_SOFT;
    uint64_t largest = largest_request_bytes(config);
    return largest > wanted ? largest : wanted;
}

/* A pad fills at most what a group did not fit into, or the way to a fresh page. */
static uint64_t pad_capacity_bytes(const struct urn_engine_config *config)
{
    return group_capacity_bytes(config) + GROUP_FILL_BYTES + 2 * OS_PAGE_BYTES;
}

static uint64_t reserve_bytes(uint64_t segment_size_bytes)
{
    return segment_size_bytes / RESERVE_SHARE;
}

/* The most log between two snapshots that lets a ring go on: while one is written behind the log's head, the
 * log from the one before it is kept, and there is room for as much again. */
static uint64_t snapshot_every_bytes_max(const struct urn_engine_config *config)
{
    return (config->segments - 2) * config->segment_size_bytes / 3;
}

static uint64_t snapshot_every_bytes(const struct urn_engine_config *config)
{
    return config->snapshot_every_bytes != 0 ? config->snapshot_every_bytes
                                             : snapshot_every_bytes_max(config);
}

/* What else than another snapshot.every would do, into words; empty when nothing would. */
static void say_what_ring_would_fit(const struct urn_engine_config *config, uint64_t every_bytes,
                                    char *words, size_t size)
{
    uint64_t segments =
        2 + (3 * every_bytes + config->segment_size_bytes - 1) / config->segment_size_bytes;
    uint64_t shares = config->segments - 2;
    uint64_t segment_bytes = round_up_u64((3 * every_bytes + shares - 1) / shares, OS_PAGE_BYTES);
    words[0] = '\0';
    if (segments <= SEGMENTS_MAX)
        snprintf(words, size, ", or raise wal.segments to at least %" PRIu64, segments);
    else if (segment_bytes <= SEGMENT_SIZE_BYTES_MAX)
        snprintf(words, size, ", or raise wal.segment_size to at least %" PRIu64 " bytes",
                 segment_bytes);
}

static enum urn_code check_snapshot_every(const struct urn_engine_config *config,
                                          struct urn_error *error)
{
    uint64_t every_bytes = snapshot_every_bytes(config);
    uint64_t most_bytes = snapshot_every_bytes_max(config);
    if (every_bytes < SNAPSHOT_EVERY_BYTES_MIN)
        return error_set(error, URN_CONFIG, 0,
                         "snapshot.every is %" PRIu64 " bytes, expected %u to %" PRIu64
                         ", or 0 for the most",
                         every_bytes, SNAPSHOT_EVERY_BYTES_MIN, most_bytes);
    if (every_bytes <= most_bytes)
        return URN_OK;
    char ring[96];
    say_what_ring_would_fit(config, every_bytes, ring, sizeof ring);
    return error_set(
        error, URN_CONFIG, 0,
        "snapshot.every is %" PRIu64 " bytes, expected %u to %" PRIu64
        ": the log from the second newest snapshot on stays in the ring while the next "
        "one is written, so that it is at most a third of (wal.segments - 2) x "
        "wal.segment_size; lower it%s",
        every_bytes, SNAPSHOT_EVERY_BYTES_MIN, most_bytes, ring);
}

static enum urn_code check_range(const char *key, uint64_t value, uint64_t least, uint64_t most,
                                 struct urn_error *error)
{
    if (value >= least && value <= most)
        return URN_OK;
    return error_set(error, URN_CONFIG, 0, "%s is %" PRIu64 ", expected %" PRIu64 " to %" PRIu64,
                     key, value, least, most);
}

static uint64_t segment_bytes_needed(uint32_t max_batch)
{
    const struct urn_engine_config config = {.max_batch = max_batch};
    return WAL_SEGMENT_HEADER_BYTES + largest_request_bytes(&config);
}

static enum urn_code check_segment_holds_request(const struct urn_engine_config *config,
                                                 struct urn_error *error)
{
    uint64_t needed = segment_bytes_needed(config->max_batch);
    if (config->segment_size_bytes >= needed)
        return URN_OK;
    uint32_t fits = 1; /* the smallest segment holds many more */
    uint32_t too_many = config->max_batch;
    while (too_many - fits > 1) {
        uint32_t between = fits + (too_many - fits) / 2;
        if (segment_bytes_needed(between) <= config->segment_size_bytes)
            fits = between;
        else
            too_many = between;
    }
    return error_set(error, URN_CONFIG, 0,
                     "wal.segment_size is %" PRIu64
                     " bytes, but the log of one request of limits.max_batch (%" PRIu32
                     ") draws takes up to %" PRIu64
                     " bytes of one segment: raise wal.segment_size to at least %" PRIu64
                     " bytes or lower limits.max_batch to at most %" PRIu32,
                     config->segment_size_bytes, config->max_batch, needed,
                     round_up_u64(needed, OS_PAGE_BYTES), fits);
}

enum urn_code urn_engine_config_check(const struct urn_engine_config *config,
                                      struct urn_error *error)
{
    if (check_range("wal.segment_size", config->segment_size_bytes, SEGMENT_SIZE_BYTES_MIN,
                    SEGMENT_SIZE_BYTES_MAX, error) != URN_OK ||
        check_range("wal.segments", config->segments, SEGMENTS_MIN, SEGMENTS_MAX, error) !=
            URN_OK ||
        check_range("limits.max_batch", config->max_batch, 1, MAX_BATCH_MAX, error) != URN_OK ||
        check_range("limits.max_pools", config->max_pools, 1, MAX_POOLS_MAX, error) != URN_OK ||
        check_range("limits.max_items", config->max_items, 1, MAX_ITEMS_MAX, error) != URN_OK ||
        check_range("wal.flush_after_n_draw", config->flush_after_n_draw, 1, UINT32_MAX, error) !=
            URN_OK ||
        check_range("limits.max_connections x limits.max_inflight", config->queue_requests, 1,
                    UINT32_MAX, error) != URN_OK ||
        check_range("limits.queue_draws", config->queue_draws, config->max_batch, URN_NUMBER_MAX,
                    error) != URN_OK)
        return error->code;
    if (config->segment_size_bytes % OS_PAGE_BYTES != 0)
        return error_set(error, URN_CONFIG, 0,
                         "wal.segment_size is %" PRIu64 " bytes, expected a multiple of %u",
                         config->segment_size_bytes, OS_PAGE_BYTES);
    if (config->mode == URN_WAL_INTERVAL &&
        check_range("wal.interval (in ns)", config->interval_ns, WAL_INTERVAL_NS_MIN,
                    WAL_INTERVAL_NS_MAX, error) != URN_OK)
        return error->code;
    if (check_segment_holds_request(config, error) != URN_OK)
        return error->code;
    return check_snapshot_every(config, error);
}

uint64_t urn_engine_memory_bound_bytes(const struct urn_engine_config *config)
{
    uint64_t groups = 2 * (group_capacity_bytes(config) + GROUP_FILL_BYTES);
    uint64_t commit = pad_capacity_bytes(config) + WAL_SEGMENT_HEADER_BYTES;
    uint64_t tables = 4ull * sizeof(void *) * config->max_pools + 8ull * config->segments;
    /* A start reads the log through two buffers and searches it through two, which are freed before requests
     * come; only a request's catalogs are checked for names that come twice. */
    const uint64_t start = 4 * (GROUP_BYTES_MAX + (1ull << 20));
    const uint64_t check = catalog_check_memory_bytes(config->max_items);
    const uint64_t passing = start > check ? start : check;
    uint64_t snapshot = snapshot_task_memory_bytes() +
                        8 * freeze_words_max(config->max_pools, config->max_items) +
                        sizeof(struct freeze);
    const struct wal_geometry geometry = {.segment_size_bytes = config->segment_size_bytes,
                                          .segments = config->segments};
    return sizeof(struct urn_engine) + groups + commit + tables + passing + snapshot +
           lookups_memory_bytes(&geometry, config->max_pools,
                                archive_task_memory_bytes(config) > 0) +
           archive_task_memory_bytes(config) +
           pool_memory_bound_bytes(config->max_pools, config->max_items) +
           comparison_memory_bytes(config->max_pools, config->max_items);
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum urn_code make_groups(struct writer *writer, struct urn_error *error)
{
    for (uint32_t i = 0; i < 2; i++) {
        writer->groups[i].bytes =
            calloc(1, (size_t)writer->group_capacity_bytes + GROUP_FILL_BYTES);
        if (writer->groups[i].bytes == NULL)
            return error_set(error, URN_NOMEMORY, 0,
                             "no memory for two groups of %" PRIu32 " bytes",
                             writer->group_capacity_bytes);
    }
    return URN_OK;
}

static void start_engine_time(struct writer *writer, struct urn_os *os)
{
    writer->time_base_us = recovery_engine_time_us(&writer->state, os_wall_us(os));
    writer->time_origin_ns = os_monotonic_ns(os);
}

/* Numbers that no urn ever counts up to, but that hostile files can hold: what is written from them
 * would be refused by the next start. */
static enum urn_code refuse_exhausted(const struct urn_engine *engine, uint64_t epoch,
                                      uint64_t next_request_id, struct urn_error *error)
{
    const struct writer *writer = &engine->writer;
    const uint64_t a_century_us = 100ull * 365 * ENGINE_TIME_JUMP_US;
    const char *what = NULL;
    if (epoch > UINT32_MAX)
        what = "the epoch";
    else if (next_request_id > URN_NUMBER_MAX)
        what = "the request ids";
    else if (writer->time_base_us > URN_NUMBER_MAX - a_century_us)
        what = "the engine time";
    else if (writer->end_lsn > URN_NUMBER_MAX - 2 * wal_ring_bytes(&engine->ring.geometry))
        what = "the LSNs";
    if (what == NULL)
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0,
                     "%s in %.200s cannot be counted on, so that it was not urn that wrote them; "
                     "`urn-wal verify` shows more",
                     what, engine->data_dir.path);
}

/* Step 7: the epoch group. Ids go on above everything that was ever given or reserved. */
static enum urn_code write_epoch_group(struct urn_engine *engine, uint64_t epoch,
                                       struct urn_error *error)
{
    const struct state *state = &engine->writer.state;
    uint64_t next_request_id = state->next_request_id;
    if (state->reserved_request_id >= next_request_id)
        next_request_id = state->reserved_request_id + 1;
    if (refuse_exhausted(engine, epoch, next_request_id, error) != URN_OK)
        return error->code;
    engine->commit.tail.epoch = (uint32_t)epoch;
    writer_close_epoch(engine, next_request_id);
    do {
        if (!engine_commit_begin(engine))
            break;
    } while (!engine_commit_end(engine));
    urn_engine_failure(engine, error);
    return error->code == URN_OK ? URN_OK
                                 : error_prefix(error, "while writing the start-up group: ");
}

/* All that has been copied is durable: from here on the mode decides when a group is finished, and which
 * ids may be given. */
static void enter_mode(struct urn_engine *engine, uint64_t interval_ns)
{
    struct writer_ids *ids = &engine->writer.ids;
    *ids = (struct writer_ids){.granted = URN_NUMBER_MAX};
    if (engine->mode == URN_WAL_COMMIT)
        return;
    ids->granted = engine->writer.state.next_request_id - 1;
    commit_relax(&engine->commit);
    log_sync_make(&engine->log_sync, &engine->commit,
                  engine->mode == URN_WAL_INTERVAL ? interval_ns : LOG_SYNC_ONLY_WANTED);
}

/* Step 5, and the ring mapped anew: not before then can its files be dropped from the cache, for until
 * its tail has been rewritten and synced, that may be the only place where it stands. */
static enum urn_code open_ring(struct urn_engine *engine, const struct recovery *recovery,
                               struct helper *helper, uint64_t *rewritten_bytes,
                               struct urn_error *error)
{
    const struct data_dir *data_dir = &engine->data_dir;
    if (wal_ring_open(data_dir, &engine->ring, error) != URN_OK ||
        recovery_rewrite_tail(data_dir, &engine->ring, recovery->durable_lsn,
                              engine->writer.state.tail.lsn, rewritten_bytes, error) != URN_OK)
        return error->code;
    wal_ring_close(&engine->ring);
    if (wal_ring_drop_cache(data_dir, helper, error) != URN_OK)
        return error->code;
    return wal_ring_open(data_dir, &engine->ring, error);
}

/* The log that ends at x has no room for a start as long as its oldest segments are not archived: that is done
 * here and now or, under policy gap, they are given up. Where it cannot be done, the archive's failure says
 * why. */
static void archive_for_room(struct urn_engine *engine, uint64_t x)
{
    struct archive_task *archive = &engine->archive;
    struct snapshot_ledger *ledger = &engine->writer.snapshots.ledger;
    const struct wal_geometry *geometry = &engine->ring.geometry;
    const uint64_t wanted_lsn = x + WRITER_MARK_ROOM_BYTES;
    if (!archive->on || recovery_limit_without_reuse(geometry, x) >= wanted_lsn)
        return;
    atomic_store(&archive->hurry, true);
    atomic_store(&engine->commit.durable_lsn, x); /* the tail has just been made durable */
    while (snapshot_limit_behind_lsn(geometry, ledger->archived_lsn) < wanted_lsn) {
        const enum archive_want want = archive_task_step(archive);
        ledger->archived_lsn = atomic_load(&archive->archived_lsn);
        if (want == ARCHIVE_WANTS_STEP)
            continue;
        if (!ledger->gives_up)
            return;
        ledger->archived_lsn += geometry->segment_size_bytes;
        if (snapshot_limit_behind_lsn(geometry, ledger->archived_lsn) >= wanted_lsn)
            return;
    }
}

/* A start has no room for its epoch group. */
static enum urn_code refuse_full(struct urn_engine *engine, uint64_t x,
                                 const struct urn_error *room_error, struct urn_error *error)
{
    const struct snapshot_ledger *ledger = &engine->writer.snapshots.ledger;
    const bool waits_for_archive =
        ledger->archives &&
        snapshot_limit_behind_lsn(&engine->ring.geometry, ledger->archived_lsn) <
            x + WRITER_MARK_ROOM_BYTES;
    archive_task_failure(&engine->archive, error);
    CHECK(room_error->code != URN_OK || error->code != URN_OK);
    if (error->code != URN_OK && (waits_for_archive || room_error->code == URN_OK))
        return error_prefix(error,
                            "the log is full of segments that are not archived (free the archive, "
                            "or set wal.archive_policy: gap to go on without): ");
    *error = *room_error;
    return error_prefix(error, "the log is full and no snapshot can be written to free it: ");
}

/* Steps 5 to 7 behind a successful reading; engine->writer.state is the recovered one. */
static enum urn_code begin_epoch(struct urn_engine *engine, const struct recovery *recovery,
                                 struct helper *helper, struct urn_start_report *report,
                                 struct urn_error *error)
{
    struct writer *writer = &engine->writer;
    struct state *state = &writer->state;
    uint64_t x = state->tail.lsn;
    /* First, for it may refuse, and then nothing is to have changed. */
    if (archive_task_begin(&engine->archive, x, error) != URN_OK ||
        open_ring(engine, recovery, helper, &report->rewritten_bytes, error) != URN_OK)
        return error->code;

    /* After a start, any allowed request finds room. */
    uint64_t wanted_bytes =
        writer->reserve_bytes + WRITER_MARK_ROOM_BYTES + 2 * (uint64_t)writer->group_capacity_bytes;
    uint64_t limit_lsn = 0;
    writer->snapshots.ledger =
        (struct snapshot_ledger){.archives = engine->archive.on,
                                 .gives_up = engine->archive.around.policy == URN_ARCHIVE_GAP,
                                 .archived_lsn = atomic_load(&engine->archive.archived_lsn)};
    archive_for_room(engine, x);
    (void)recovery_make_room(&engine->data_dir, state, recovery, wanted_bytes,
                             &writer->snapshots.ledger, &limit_lsn, &report->room_error);
    if (limit_lsn < x + WRITER_MARK_ROOM_BYTES)
        return refuse_full(engine, x, &report->room_error, error);
    atomic_store(&engine->room_limit_lsn, limit_lsn);

    writer->end_lsn = x;
    start_engine_time(writer, engine->os);
    if (make_groups(writer, error) != URN_OK ||
        comparison_make(&state->bounds, &writer->comparison, error) != URN_OK ||
        commit_make(&engine->commit, &engine->ring, engine->os, &state->tail,
                    engine->pad_capacity_bytes, error) != URN_OK)
        return error->code;
    writer_begin_group(writer);
    atomic_store(&engine->counters.snapshot_lsn, writer->snapshots.ledger.newest.lsn);
    return write_epoch_group(engine, (uint64_t)recovery->epoch_max + 1, error);
}

/* What the reading of the files has found. */
static void report_recovery(const struct urn_engine *engine, const struct recovery *recovery,
                            struct urn_start_report *report)
{
    report->created = engine->data_dir.created;
    report->recovery_case = recovery->which;
    report->snapshot_lsn = recovery->snapshot_lsn;
    report->snapshots_refused = recovery->snapshots_refused;
    report->replayed_groups = recovery->replayed_groups;
    report->replayed_draws = recovery->replayed_draws;
    report->end_lsn = engine->writer.state.tail.lsn;
    report->discarded_groups = recovery->discarded_groups;
    report->torn_tail = recovery->torn_at_end;
}

static void report_epoch(const struct urn_engine *engine, struct urn_start_report *report)
{
    report->epoch = engine->commit.tail.epoch;
    report->next_request_id = engine->writer.state.next_request_id;
}

static struct urn_engine *make_engine(const struct urn_engine_config *config)
{
    struct urn_engine *engine = aligned_alloc(64, round_up_u64(sizeof *engine, 64));
    if (engine == NULL)
        return NULL;
    memset(engine, 0, sizeof *engine);
    engine->magic = ENGINE_MAGIC;
    engine->os = config->os != NULL ? config->os : os_default();
    engine->mode = config->mode;
    engine->max_batch = config->max_batch;
    engine->bounds = (struct state_bounds){config->max_pools, config->max_items};
    engine->queue_requests_max = config->queue_requests;
    engine->queue_draws_max = config->queue_draws;
    engine->notify = config->notify;
    engine->notify_context = config->notify_context;
    engine->stop_patience_ns =
        config->stop_patience_ns != 0 ? config->stop_patience_ns : STOP_PATIENCE_NS;
    engine->pad_capacity_bytes = pad_capacity_bytes(config);
    engine->writer.group_capacity_bytes = (uint32_t)group_capacity_bytes(config);
    engine->writer.flush_after_n_draw = config->flush_after_n_draw;
    engine->writer.reserve_bytes = reserve_bytes(config->segment_size_bytes);
    engine->writer.snapshots.every_bytes = snapshot_every_bytes(config);
    CHECK(pthread_mutex_init(&engine->snapshot_failure_lock, NULL) == 0);
    CHECK(pthread_mutex_init(&engine->failure_lock, NULL) == 0);
    random_init(&engine->writer.random, engine->os);
    return engine;
}

static void free_engine(struct urn_engine *engine)
{
    CHECK(pthread_mutex_destroy(&engine->failure_lock) == 0);
    CHECK(pthread_mutex_destroy(&engine->snapshot_failure_lock) == 0);
    free(engine);
}

static enum os_io_kind io_kind(enum urn_snapshot_io wanted)
{
    switch (wanted) {
    case URN_SNAPSHOT_IO_BEST:
        return OS_IO_BEST;
    case URN_SNAPSHOT_IO_URING:
        return OS_IO_URING;
    case URN_SNAPSHOT_IO_PLAIN:
        break;
    }
    return OS_IO_PLAIN;
}

static enum urn_code make_archive_task(struct urn_engine *engine,
                                       const struct urn_engine_config *config,
                                       struct urn_error *error)
{
    const struct archive_surroundings around = {
        .os = engine->os,
        .data_dir = &engine->data_dir,
        .durable_lsn = &engine->commit.durable_lsn,
        .room_limit_lsn = &engine->room_limit_lsn,
        .snapshot_lsn = &engine->counters.snapshot_lsn,
        .log_failed = &engine->failed,
        .path = config->archive,
        .policy = config->archive_policy,
        .snapshot_every_bytes = engine->writer.snapshots.every_bytes,
        .notify = config->notify,
        .notify_context = config->notify_context,
    };
    return archive_task_make(&engine->archive, &around, error);
}

/* Steps 3 to 7, behind the opening of the directory. The helper may be NULL. */
static enum urn_code start_engine(struct urn_engine *engine, const struct urn_engine_config *config,
                                  struct helper *helper, struct urn_start_report *report,
                                  struct urn_error *error)
{
    struct state *state = &engine->writer.state;
    struct recovery recovery;
    enum urn_code code =
        recovery_read(&engine->data_dir, &engine->bounds, helper, state, &recovery, error);
    if (code != URN_OK)
        return code;
    report_recovery(engine, &recovery, report);
    for (uint32_t id = 0; id < state->pool_count; id++)
        pool_settle(state->pools[id]); /* no first draw is to wait for it */
    code = snapshot_task_make(&engine->snapshot, engine->os, &engine->data_dir,
                              io_kind(config->snapshot_io), &engine->commit.durable_lsn,
                              &engine->failed, error);
    if (code == URN_OK)
        code = lookups_make(engine, recovery.snapshot_lsn, error);
    if (code == URN_OK)
        code = make_archive_task(engine, config, error);
    if (code == URN_OK)
        code = lookups_use_archive(engine, error);
    return code == URN_OK ? begin_epoch(engine, &recovery, helper, report, error) : code;
}

/* threaded: with a helper, if there is one to be had. */
static enum urn_code open_engine(const struct urn_engine_config *config, bool threaded,
                                 struct urn_engine **opened, struct urn_start_report *report,
                                 struct urn_error *error)
{
    *report = (struct urn_start_report){0};
    if (urn_engine_config_check(config, error) != URN_OK)
        return error->code;
    /* Picks the fastest hash that the processor has, before the replay needs it. */
    CHECK(sodium_init() >= 0);
    if (threaded) /* a simulator's clock tells nothing */
        digest_choose_faster(config->os);
    struct urn_engine *engine = make_engine(config);
    if (engine == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for an engine");
    uint64_t began_ns = os_monotonic_ns(engine->os);
    if (data_dir_open(engine->os, config, &engine->data_dir, error) != URN_OK) {
        free_engine(engine);
        return error->code;
    }
    struct helper *helper = threaded ? helper_make() : NULL;
    enum urn_code code = start_engine(engine, config, helper, report, error);
    helper_free(helper);
    if (code != URN_OK) {
        engine_abandon(engine);
        return code;
    }
    log_points_go_on(&engine->lookups.points, engine->writer.state.next_request_id);
    enter_mode(engine, config->interval_ns);
    report_epoch(engine, report);
    atomic_store(&engine->counters.next_request_id, report->next_request_id);
    report->duration_us = (os_monotonic_ns(engine->os) - began_ns) / 1000;
    *opened = engine;
    return URN_OK;
}

enum urn_code engine_open_steps(const struct urn_engine_config *config, struct urn_engine **opened,
                                struct urn_start_report *report, struct urn_error *error)
{
    return open_engine(config, false, opened, report, error);
}

enum urn_code urn_engine_open(const struct urn_engine_config *config, struct urn_engine **engine,
                              struct urn_start_report *report, struct urn_error *error)
{
    *error = (struct urn_error){.code = URN_OK};
    if (open_engine(config, true, engine, report, error) != URN_OK)
        return error->code;
    enum urn_code code = threads_start(*engine, error);
    if (code != URN_OK) {
        engine_abandon(*engine);
        *engine = NULL;
    }
    return code;
}

/* ---- stopping ------------------------------------------------------------------------------ */

void engine_ask_stop(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    atomic_store(&engine->stopping, true);
}

enum urn_code urn_engine_stop(struct urn_engine *engine, struct urn_error *error)
{
    engine_ask_stop(engine);
    threads_stop(engine);
    CHECK(engine->writer.done);
    urn_engine_failure(engine, error);
    return error->code;
}

void engine_abandon(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    engine->magic = 0;
    threads_free(engine);
    free(engine->writer.groups[0].bytes);
    free(engine->writer.groups[1].bytes);
    comparison_free(&engine->writer.comparison);
    commit_free(&engine->commit);
    snapshot_task_free(&engine->snapshot);
    lookups_free(&engine->lookups);
    archive_task_free(&engine->archive);
    wal_ring_close(&engine->ring);
    state_free(&engine->writer.state);
    data_dir_close(&engine->data_dir);
    free_engine(engine);
}

void urn_engine_free(struct urn_engine *engine)
{
    if (engine == NULL)
        return;
    CHECK(engine->writer.done && !lookups_have_requests(&engine->lookups) &&
          !lookups_past_have_requests(&engine->lookups));
    CHECK(atomic_load(&engine->finished) == NULL);
    if (!engine
             ->archive_hangs) /* else all of it belongs to those threads, until the process ends */
        engine_abandon(engine);
}

/* ---- submit and collect -------------------------------------------------------------------- */

/* A draw may bring its pool instead of a name: that is no result. */
static bool brings_pool(const struct urn_request *request)
{
    return request->op == URN_DRAW && request->pool_name == NULL;
}

static void clear_results(struct urn_request *request)
{
    if (!brings_pool(request))
        request->pool = NULL;
    request->first_request_id = 0;
    request->failed = 0;
    request->odds_version = 0;
    if (request->op == URN_DRAW)
        return; /* it has no others */
    request->returned = 0;
    request->total = 0;
    request->open = false;
    request->last_request_id = 0;
    request->lsn = 0;
    request->outcome = 0;
    request->wall_time_us = 0;
    memset(request->kinds, 0, sizeof request->kinds);
}

/* Takes the share of so many requests and draws in the queue; false, and nothing is taken, when it has no room
 * for all of them. */
static bool enqueue(struct urn_engine *engine, uint32_t requests, uint64_t draws)
{
    if (atomic_fetch_add_explicit(&engine->queued_requests, requests, memory_order_relaxed) +
            requests >
        engine->queue_requests_max) {
        atomic_fetch_sub_explicit(&engine->queued_requests, requests, memory_order_relaxed);
        return false;
    }
    if (atomic_fetch_add_explicit(&engine->queued_draws, draws, memory_order_relaxed) + draws >
        engine->queue_draws_max) {
        atomic_fetch_sub_explicit(&engine->queued_draws, draws, memory_order_relaxed);
        atomic_fetch_sub_explicit(&engine->queued_requests, requests, memory_order_relaxed);
        return false;
    }
    return true;
}

/* Catalogs are checked where they come from, so that the writer need not stop for it. */
static enum urn_code check_catalogs(const struct urn_engine *engine,
                                    const struct urn_request *request)
{
    struct urn_error error = {.code = URN_OK};
    CHECK(request->op == URN_RELOAD || request->pool_count == 1);
    catalog_check(request->pools, request->pool_count, &engine->bounds, &error);
    if (error.code == URN_NOMEMORY)
        error.code = URN_BUSY;
    if (error.code != URN_OK && request->error != NULL)
        *request->error = error;
    return error.code;
}

/* Whether a request may be queued, room apart. */
static enum urn_code check_request(struct urn_engine *engine, struct urn_request *request)
{
    clear_results(request);
    if (atomic_load_explicit(&engine->failed, memory_order_relaxed) ||
        atomic_load_explicit(&engine->stopping, memory_order_relaxed))
        return URN_READONLY;
    if (request->op == URN_DRAW && (request->count == 0 || request->count > engine->max_batch))
        return URN_BADARG;
    if (request->op == URN_LOOKUP &&
        (request->request_id == 0 || request->request_id > URN_NUMBER_MAX))
        return URN_BADARG;
    if (request->op == URN_CREATE || request->op == URN_RELOAD) {
        enum urn_code code = check_catalogs(engine, request);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

/* Takes the room for all of a list that may be queued, at one go, for the counters are shared with the writer;
 * false when it is too little for that. */
static bool enqueue_list(struct urn_engine *engine, struct urn_request *list)
{
    uint32_t requests = 0;
    uint64_t draws = 0;
    for (struct urn_request *request = list; request != NULL; request = request->next) {
        request->code = check_request(engine, request);
        requests += request->code == URN_OK;
        draws += request->code == URN_OK ? engine_draws_of(request) : 0;
    }
    return requests == 0 || enqueue(engine, requests, draws);
}

/* Takes the room for one that may be queued. */
static enum urn_code enqueue_one(struct urn_engine *engine, const struct urn_request *request)
{
    if (enqueue(engine, 1, engine_draws_of(request)))
        return URN_OK;
    atomic_fetch_add_explicit(&engine->counters.busy_queue, 1, memory_order_relaxed);
    return URN_BUSY;
}

/* Puts a list on a stack that one thread empties as a whole; *was_empty tells whether it held
 * nothing. False, and nothing is done, when the stack is closed. */
static bool push(_Atomic(struct urn_request *) *stack, struct urn_request *newest,
                 struct urn_request *oldest, bool *was_empty)
{
    struct urn_request *head = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        if (head == &inbox_closed)
            return false;
        oldest->next = head;
    } while (!atomic_compare_exchange_weak(stack, &head, newest));
    *was_empty = head == NULL;
    return true;
}

/* This thread does the writer's turn, and its caller collects right behind it. */
static _Thread_local bool collects_itself;

void engine_finish(struct urn_engine *engine, struct urn_request *newest,
                   struct urn_request *oldest, uint32_t requests, uint64_t draws)
{
    atomic_fetch_sub_explicit(&engine->queued_requests, requests, memory_order_relaxed);
    atomic_fetch_sub_explicit(&engine->queued_draws, draws, memory_order_relaxed);
    bool was_empty = false;
    CHECK(push(&engine->finished, newest, oldest, &was_empty));
    if (was_empty && !collects_itself && engine->notify != NULL)
        engine->notify(engine->notify_context);
}

/* Finishes admitted requests that met a closed inbox: the engine stopped between the two. */
static void finish_too_late(struct urn_engine *engine, struct urn_request *newest)
{
    while (newest != NULL) {
        struct urn_request *older = newest->next;
        newest->code = URN_READONLY;
        engine_finish(engine, newest, newest, 1, engine_draws_of(newest));
        newest = older;
    }
}

/* Requests of one list for one inbox. */
struct batch {
    struct urn_request *newest, *oldest;
};

static void add_to_batch(struct batch *batch, struct urn_request *request)
{
    request->next = batch->newest;
    batch->newest = request;
    if (batch->oldest == NULL)
        batch->oldest = request;
}

/* Puts a batch into an inbox; true: somebody may have to be woken. */
static bool deliver(struct urn_engine *engine, const struct batch *batch,
                    _Atomic(struct urn_request *) *inbox)
{
    if (batch->newest == NULL)
        return false;
    bool was_empty = false;
    if (push(inbox, batch->newest, batch->oldest, &was_empty))
        return was_empty;
    batch->oldest->next = NULL;
    finish_too_late(engine, batch->newest);
    return false;
}

/* Hands the list to the inboxes. True: the writer has to be told. */
static bool submit(struct urn_engine *engine, struct urn_request *list)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    struct batch for_writer = {NULL, NULL};
    struct batch for_lookup = {NULL, NULL};
    const bool all_fit = enqueue_list(engine, list);
    while (list != NULL) {
        struct urn_request *request = list;
        list = request->next;
        if (request->code == URN_OK && !all_fit)
            request->code = enqueue_one(engine, request);
        if (request->code != URN_OK)
            engine_finish(engine, request, request, 0, 0);
        else
            add_to_batch(request->op == URN_LOOKUP ? &for_lookup : &for_writer, request);
    }
    if (deliver(engine, &for_lookup, &engine->lookups.inbox))
        threads_wake_lookup(engine);
    return deliver(engine, &for_writer, &engine->inbox);
}

void urn_submit(struct urn_engine *engine, struct urn_request *list)
{
    if (submit(engine, list))
        threads_wake_writer(engine);
}

bool urn_submit_quietly(struct urn_engine *engine, struct urn_request *list)
{
    return submit(engine, list);
}

bool urn_work_here(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    collects_itself = true;
    const bool lent = threads_lend(engine);
    collects_itself = false;
    if (!lent)
        threads_wake_writer(engine);
    return lent;
}

struct urn_request *urn_collect(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    if (atomic_load_explicit(&engine->finished, memory_order_relaxed) == NULL)
        return NULL;
    struct urn_request *newest = atomic_exchange(&engine->finished, NULL);
    struct urn_request *list = NULL;
    while (newest != NULL) {
        struct urn_request *older = newest->next;
        engine_prefetch_draw(newest);
        newest->next = list;
        list = newest;
        newest = older;
    }
    return list;
}

struct urn_text urn_pool_item_id(const struct urn_pool *pool, uint32_t index)
{
    return pool_item_id(pool, index);
}

struct urn_text urn_pool_name(const struct urn_pool *pool)
{
    return pool_name(pool);
}

/* ---- the commit step ----------------------------------------------------------------------- */

void engine_refuse(struct urn_request *request)
{
    clear_results(request);
    request->code = URN_READONLY;
}

static void doubt(struct urn_request *request)
{
    /* What was staged may be gone: nobody is to see it. */
    clear_results(request);
    /* A read changes nothing, so there is nothing to be in doubt about. */
    bool is_read = request->op != URN_DRAW && !stage_is_change(request->op);
    request->code = is_read ? URN_READONLY : URN_INDOUBT;
}

void engine_finish_group(struct urn_engine *engine, struct group *group, bool failed)
{
    if (failed) {
        while (group->oldest_read != NULL) { /* of an open group: not among the others yet */
            struct urn_request *request = group->oldest_read;
            group->oldest_read = request->next;
            request->code = URN_READONLY;
            engine_finish(engine, request, request, 1, 0);
        }
        for (struct urn_request *request = group->newest; request != NULL; request = request->next)
            doubt(request);
    }
    if (group->newest == NULL)
        return;
    engine_finish(engine, group->newest, group->oldest, group->waiting_requests,
                  group->waiting_draws);
    group->newest = NULL;
    group->oldest = NULL;
}

void engine_fail(struct urn_engine *engine, const struct urn_error *error)
{
    CHECK(pthread_mutex_lock(&engine->failure_lock) == 0);
    bool is_first = !atomic_load(&engine->failed);
    if (is_first)
        engine->failure = *error;
    atomic_store(&engine->failed, true);
    CHECK(pthread_mutex_unlock(&engine->failure_lock) == 0);
    if (is_first && engine->notify != NULL)
        engine->notify(engine->notify_context);
}

static bool has_failed(const struct urn_engine *engine)
{
    return atomic_load_explicit(&engine->failed, memory_order_acquire);
}

static struct group *closed_group(struct urn_engine *engine)
{
    struct group *group = atomic_load_explicit(&engine->commit_slot, memory_order_acquire);
    CHECK(group != NULL);
    return group;
}

/* What the log has while it fails is as good as lost: nobody hears of it behind the failure. */
static void give_back(struct urn_engine *engine, struct group *group)
{
    CHECK(pthread_mutex_lock(&engine->failure_lock) == 0);
    const bool failed = has_failed(engine);
    if (!failed)
        lookups_note_group(&engine->lookups, group);
    engine_finish_group(engine, group, failed);
    CHECK(pthread_mutex_unlock(&engine->failure_lock) == 0);
    /* Sequentially consistent, and so before the look at the writer's `parked` flag (threads.c). */
    atomic_store(&engine->commit_slot, NULL);
}

bool engine_commit_begin(struct urn_engine *engine)
{
    struct group *group = closed_group(engine);
    struct urn_error error;
    if (!has_failed(engine)) {
        if (commit_begin(&engine->commit, group, &error) == URN_OK)
            return true;
        engine_fail(engine, &error);
    }
    give_back(engine, group);
    return false;
}

bool engine_commit_end(struct urn_engine *engine)
{
    struct group *group = closed_group(engine);
    struct urn_error error;
    bool finished = true;
    uint64_t copied_before_lsn = atomic_load(&engine->commit.copied_lsn);
    if (!has_failed(engine) && commit_end(&engine->commit, group, &finished, &error) != URN_OK)
        engine_fail(engine, &error);
    else if (!finished)
        return false;
    give_back(engine, group);
    if (engine->commit.relaxed && log_sync_must_wake(&engine->log_sync, copied_before_lsn))
        threads_wake_sync(engine);
    return true;
}

/* ---- syncs that no reply waits for ------------------------------------------------------------ */

void engine_want_durable(struct urn_engine *engine, uint64_t lsn)
{
    if (engine->mode == URN_WAL_COMMIT)
        return;
    log_sync_want(&engine->log_sync, lsn);
    threads_wake_sync(engine); /* it may have been copied already */
}

bool engine_log_sync_begin(struct urn_engine *engine)
{
    return engine->mode != URN_WAL_COMMIT && !has_failed(engine) &&
           log_sync_begin(&engine->log_sync);
}

void engine_log_sync_end(struct urn_engine *engine)
{
    struct urn_error error;
    if (log_sync_end(&engine->log_sync, &error) != URN_OK)
        engine_fail(engine, &error);
    threads_wake_writer(engine); /* ids, a mark or a stop may wait for it */
    if (snapshot_task_waits_for_log(&engine->snapshot))
        threads_wake_snapshot(engine);
    if (archive_task_waits_for(&engine->archive, engine_durable_lsn(engine)))
        threads_wake_archive(engine);
}

uint64_t engine_log_sync_deadline_ns(const struct urn_engine *engine)
{
    if (engine->mode == URN_WAL_COMMIT || has_failed(engine))
        return UINT64_MAX;
    return log_sync_deadline_ns(&engine->log_sync);
}

/* ---- looking ------------------------------------------------------------------------------- */

static uint64_t relaxed(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void urn_engine_info(const struct urn_engine *engine, struct urn_engine_info *info)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    const struct engine_counters *counters = &engine->counters;
    const struct commit *commit = &engine->commit;
    uint64_t staged_lsn = relaxed(&counters->staged_lsn);
    uint64_t kept_bytes = engine->writer.reserve_bytes + WRITER_MARK_ROOM_BYTES;
    uint64_t usable_lsn = relaxed(&engine->room_limit_lsn) - kept_bytes;
    /* In this order, so that neither LSN seems to be above the next, and the time is that of what has been
     * seen to be copied, or of later. */
    uint64_t durable_lsn = atomic_load(&commit->durable_lsn);
    uint64_t copied_lsn = atomic_load(&commit->copied_lsn);
    uint64_t since_ns = relaxed(&commit->unsynced_since_ns);
    uint64_t now_ns = os_monotonic_ns(engine->os);
    *info = (struct urn_engine_info){
        .failed = atomic_load_explicit(&engine->failed, memory_order_relaxed),
        .durable_lsn = durable_lsn,
        .acknowledged_lsn = copied_lsn,
        .unsynced_ns = copied_lsn > durable_lsn && now_ns > since_ns ? now_ns - since_ns : 0,
        .staged_lsn = staged_lsn,
        .room_bytes = usable_lsn > staged_lsn ? usable_lsn - staged_lsn : 0,
        .ring_bytes = wal_ring_bytes(&engine->ring.geometry),
        .epoch = engine->commit.tail.epoch,
        .next_request_id = relaxed(&counters->next_request_id),
        .draws = relaxed(&counters->draws),
        .failed_draws = relaxed(&counters->failed_draws),
        .requests = relaxed(&counters->requests),
        .busy = relaxed(&counters->busy_log) + relaxed(&counters->busy_queue),
        .busy_log = relaxed(&counters->busy_log),
        .groups = relaxed(&commit->groups),
        .marks = relaxed(&commit->marks),
        .log_bytes = relaxed(&commit->log_bytes),
        .syncs = relaxed(&commit->meter.syncs),
        .sync_ns = relaxed(&commit->meter.sync_ns),
        .sync_ns_max = relaxed(&commit->meter.sync_ns_max),
        .snapshots = relaxed(&counters->snapshots),
        .snapshots_failed = relaxed(&counters->snapshots_failed),
        .snapshot_lsn = relaxed(&counters->snapshot_lsn),
        .snapshot_pause_ns_max = relaxed(&counters->snapshot_pause_ns_max),
        .snapshot_io_uring = os_io_kind(engine->snapshot.io) == OS_IO_URING,
        .lookups = relaxed(&engine->lookups.answered),
        .lookups_not_found = relaxed(&engine->lookups.not_found),
        .archives = engine->archive.on,
        .archived_lsn = atomic_load(&engine->archive.archived_lsn),
        .archived_segments = relaxed(&engine->archive.counters.segments),
        .archived_snapshots = relaxed(&engine->archive.counters.snapshots),
        .archive_gaps = relaxed(&engine->archive.counters.gaps),
        .archive_gap_bytes = relaxed(&engine->archive.counters.gap_bytes),
        .archive_failures = relaxed(&engine->archive.counters.failures),
        .queued_requests = atomic_load_explicit(&engine->queued_requests, memory_order_relaxed),
        .queued_draws = relaxed(&engine->queued_draws),
    };
}

void urn_engine_failure(const struct urn_engine *engine, struct urn_error *error)
{
    if (atomic_load_explicit(&engine->failed, memory_order_acquire))
        *error = engine->failure;
    else
        *error = (struct urn_error){.code = URN_OK};
}

void urn_engine_snapshot_failure(struct urn_engine *engine, struct urn_error *error)
{
    CHECK(pthread_mutex_lock(&engine->snapshot_failure_lock) == 0);
    *error = engine->snapshot_failure;
    CHECK(pthread_mutex_unlock(&engine->snapshot_failure_lock) == 0);
}

bool urn_engine_archive_hangs(const struct urn_engine *engine)
{
    return engine->archive_hangs;
}

void urn_engine_archive_failure(struct urn_engine *engine, struct urn_error *error)
{
    archive_task_failure(&engine->archive, error);
}
