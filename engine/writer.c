/* writer.c: the one thread that changes the state: take requests, select, stage, encode, close.
 *
 * A request is staged in the open group, and its answer waits there: what it says was computed from
 * staged state, so it may not leave before everything staged until then is durable. That holds for
 * errors and reads as well; a group that nothing was logged in has no bytes and is finished as soon
 * as the groups before it are.
 *
 * Room is checked before a request is staged: what is staged never fails for want of it.
 *
 * In modes interval and os ids are given only below a reservation that is durable. One is logged for
 * RESERVED_IDS at a time, in good time; a draw that comes too early for it waits at the head of todo until
 * the sync of its group has ended. It needs no room but what the draws behind it need anyway.
 */
#include <inttypes.h>

#include "engine/check.h"
#include "engine/engine.h"
#include "engine/look_ahead.h"
#include "engine/threads.h"

static uint64_t engine_time_us(const struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    return writer->time_base_us + (os_monotonic_ns(engine->os) - writer->time_origin_ns) / 1000;
}

/* ---- groups -------------------------------------------------------------------------------- */

void writer_begin_group(struct writer *writer)
{
    struct group *group = &writer->groups[writer->open];
    wal_entries_begin(&group->entries, group->bytes, writer->group_capacity_bytes);
    group->kind = WAL_DATA;
    group->has_bytes = false;
    group->first_request_id = writer->state.next_request_id;
    group->newest = NULL;
    group->oldest = NULL;
    group->oldest_read = NULL;
    group->newest_read = NULL;
    group->waiting_requests = 0;
    group->waiting_draws = 0;
}

static bool group_is_empty(const struct group *group)
{
    return group->newest == NULL && group->oldest_read == NULL &&
           group->entries.used_bytes == WAL_GROUP_HEADER_BYTES;
}

/* For counters that one thread writes and others only read. */
static void count(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}

/* Puts the request among those that wait for a group. */
static void wait_for_group(struct group *group, struct urn_request *request, enum urn_code code)
{
    request->code = code;
    request->next = group->newest;
    group->newest = request;
    if (group->oldest == NULL)
        group->oldest = request;
    group->waiting_requests++;
    group->waiting_draws += engine_draws_of(request);
}

/* ---- reads --------------------------------------------------------------------------------- */

/* How many of total lie in [offset, offset + limit). */
static uint32_t page_length(uint32_t total, uint32_t offset, uint32_t limit)
{
    uint32_t behind = offset < total ? total - offset : 0;
    return behind < limit ? behind : limit;
}

static void read_state(const struct state *state, const struct urn_pool *pool,
                       struct urn_request *request)
{
    request->total = pool_item_count(pool);
    request->returned = page_length(request->total, request->offset, request->limit);
    request->open = pool_is_open(pool);
    request->last_request_id = state->next_request_id - 1;
    for (uint32_t i = 0; i < request->returned; i++)
        pool_item(pool, request->offset + i, &request->items[i]);
}

static void read_catalog(const struct urn_pool *pool, struct urn_request *request)
{
    request->total = pool_item_count(pool);
    request->returned = page_length(request->total, request->offset, request->limit);
    for (uint32_t i = 0; i < request->returned; i++)
        request->names[i] = pool_item_id(pool, request->offset + i);
}

static void read_pools(const struct state *state, struct urn_request *request)
{
    request->total = state->pool_count;
    request->returned = page_length(request->total, request->offset, request->limit);
    for (uint32_t i = 0; i < request->returned; i++)
        request->names[i] = pool_name(state->pools[request->offset + i]);
}

/* Reads are answered when their group closes: they then show exactly the state at its end. */
static enum urn_code answer_read(const struct state *state, struct urn_request *request,
                                 uint64_t lsn)
{
    request->lsn = lsn;
    if (request->op == URN_POOLS) {
        read_pools(state, request);
        return URN_OK;
    }
    const struct urn_pool *pool =
        state_find_pool(state, request->pool_name, request->pool_name_bytes);
    request->pool = pool;
    if (pool == NULL)
        return URN_NOPOOL;
    request->odds_version = pool_odds_version(pool);
    if (request->op == URN_STATE)
        read_state(state, pool, request);
    else
        read_catalog(pool, request);
    return URN_OK;
}

static void answer_reads(struct writer *writer, struct group *group)
{
    while (group->oldest_read != NULL) {
        struct urn_request *request = group->oldest_read;
        group->oldest_read = request->next;
        wait_for_group(group, request, answer_read(&writer->state, request, writer->end_lsn));
    }
}

/* ---- closing ------------------------------------------------------------------------------- */

static bool commit_is_free(const struct urn_engine *engine)
{
    return atomic_load_explicit(&engine->commit_slot, memory_order_acquire) == NULL;
}

static struct wal_placement place_of(const struct urn_engine *engine, uint64_t used_bytes,
                                     enum wal_group_kind kind)
{
    CHECK(used_bytes <= engine->writer.group_capacity_bytes);
    return wal_place(&engine->ring.geometry, engine->writer.end_lsn, (uint32_t)used_bytes,
                     kind == WAL_MARK || kind == WAL_EPOCH);
}

/* Everything in the log is on the disk; in mode commit always true between two groups. */
static bool all_is_durable(const struct urn_engine *engine)
{
    return engine_durable_lsn(engine) >= engine->writer.end_lsn;
}

/* Gives the open group its place and hands it to the commit side, which must be free. */
static void close_group(struct urn_engine *engine, enum wal_group_kind kind)
{
    struct writer *writer = &engine->writer;
    struct group *group = &writer->groups[writer->open];
    CHECK(commit_is_free(engine));
    group->kind = kind;
    group->has_bytes = kind != WAL_DATA || group->entries.used_bytes > WAL_GROUP_HEADER_BYTES;
    if (group->has_bytes) {
        group->placement = place_of(engine, group->entries.used_bytes, kind);
        CHECK(group->placement.end_lsn <= atomic_load(&engine->room_limit_lsn));
        memset(group->bytes + group->entries.used_bytes, 0,
               group->placement.group_bytes - group->entries.used_bytes);
        group->engine_time_us = engine_time_us(engine);
        group->wall_time_us = os_wall_us(engine->os);
        writer->end_lsn = group->placement.end_lsn;
        writer->state.engine_time_us = group->engine_time_us;
        writer->state.wall_time_us = group->wall_time_us;
        writer->last_kind = kind;
        writer->last_closed_ns = os_monotonic_ns(engine->os);
        atomic_store_explicit(&engine->counters.staged_lsn, writer->end_lsn, memory_order_relaxed);
    }
    if (writer->ids.reserved_lsn == RESERVED_IN_OPEN_GROUP) {
        CHECK(group->has_bytes);
        writer->ids.reserved_lsn = writer->end_lsn;
        engine_want_durable(engine, writer->end_lsn);
    }
    answer_reads(writer, group);
    writer->open ^= 1;
    writer_begin_group(writer);
    bool enters_segment = group->has_bytes && group->placement.new_segment;
    atomic_store_explicit(&engine->commit_slot, group, memory_order_release);
    snapshots_at_group_end(engine);
    if (enters_segment)
        threads_wake_populate(engine);
    if (enters_segment && engine->archive.on) /* a segment is archived once it is durable */
        engine_want_durable(engine, wal_segment_begin(&engine->ring.geometry, writer->end_lsn));
}

void writer_close_epoch(struct urn_engine *engine, uint64_t next_request_id)
{
    struct writer *writer = &engine->writer;
    struct group *group = &writer->groups[writer->open];
    CHECK(group_is_empty(group));
    CHECK(next_request_id >= writer->state.next_request_id);
    uint8_t nonce[WAL_NONCE_BYTES];
    os_random(engine->os, nonce, sizeof nonce);
    group->first_request_id = writer->state.next_request_id;
    wal_entries_add_epoch(&group->entries, nonce, next_request_id);
    writer->state.next_request_id = next_request_id;
    close_group(engine, WAL_EPOCH);
}

/* ---- staging ------------------------------------------------------------------------------- */

/* True when the open group can take so many draws and bytes more without breaking a limit. */
static bool group_has_room(const struct writer *writer, const struct urn_request *request,
                           uint64_t bytes_max)
{
    const struct wal_entries *entries = &writer->groups[writer->open].entries;
    if (entries->used_bytes == WAL_GROUP_HEADER_BYTES)
        return true; /* an empty group holds any request: urn_engine_config_check saw to it */
    return entries->used_bytes + bytes_max <= writer->group_capacity_bytes &&
           (entries->draws == 0 ||
            entries->draws + engine_draws_of(request) <= writer->flush_after_n_draw);
}

/* True when the log has room for the open group with so many bytes more, and for its mark. */
static bool log_has_room_now(const struct urn_engine *engine, uint64_t bytes_max)
{
    const struct writer *writer = &engine->writer;
    uint64_t used_bytes = writer->groups[writer->open].entries.used_bytes + bytes_max;
    uint64_t end_lsn = place_of(engine, used_bytes, WAL_DATA).end_lsn;
    return end_lsn + WRITER_MARK_ROOM_BYTES + writer->reserve_bytes <=
           atomic_load_explicit(&engine->room_limit_lsn, memory_order_acquire);
}

/* The same, where segments that are not archived may have to be given up for it. */
static bool log_has_room(struct urn_engine *engine, uint64_t bytes_max)
{
    while (!log_has_room_now(engine, bytes_max))
        if (!archive_give_up_segment(engine))
            return false;
    return true;
}

/* ---- ids ------------------------------------------------------------------------------------- */

/* Logs a reservation in the open group, which has room for it. */
static void reserve_ids(struct writer *writer)
{
    struct state *state = &writer->state;
    uint64_t highest = state->next_request_id - 1 + RESERVED_IDS;
    if (highest > URN_NUMBER_MAX - 1)
        highest = URN_NUMBER_MAX - 1;
    CHECK(writer->ids.reserved_lsn == 0);
    CHECK(highest > state->reserved_request_id && highest > writer->ids.granted);
    wal_entries_add_ids(&writer->groups[writer->open].entries, highest);
    state->reserved_request_id = highest;
    writer->ids.reserved_lsn = RESERVED_IN_OPEN_GROUP;
}

/* Reserves more while half of the ids are left, unless the engine stops. Returns whether it did. */
static bool reserve_ids_in_time(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    const struct wal_entries *entries = &writer->groups[writer->open].entries;
    if (atomic_load_explicit(&engine->stopping, memory_order_relaxed) ||
        writer->ids.reserved_lsn != 0 || writer->ids.granted >= URN_NUMBER_MAX - 1 ||
        writer->ids.granted >= writer->state.next_request_id - 1 + RESERVED_IDS / 2)
        return false;
    if (entries->used_bytes + WAL_IDS_ENTRY_BYTES > writer->group_capacity_bytes ||
        !log_has_room(engine, WAL_IDS_ENTRY_BYTES))
        return false;
    reserve_ids(writer);
    return true;
}

/* True when so many draws need more ids than may be given; then those are on their way. The group and
 * the log have room for the draws, and so for a reservation. */
static bool lacks_ids(struct writer *writer, uint32_t count)
{
    const uint64_t next = writer->state.next_request_id;
    if (next > URN_NUMBER_MAX - count) /* there are no more ids at all */
        return false;
    if (next - 1 + count <= writer->ids.granted)
        return false;
    if (writer->ids.reserved_lsn == 0)
        reserve_ids(writer);
    writer->ids.lacking = true;
    return true;
}

/* True when somebody waits for this LSN to become durable, and it has. */
static bool has_come(const struct urn_engine *engine, uint64_t awaited_lsn)
{
    return awaited_lsn != 0 && awaited_lsn <= engine_durable_lsn(engine);
}

bool writer_sync_has_come(const struct urn_engine *engine)
{
    if (atomic_load(&engine->failed))
        return !engine->writer.failure_seen;
    return has_come(engine, engine->writer.ids.reserved_lsn) ||
           has_come(engine, engine->writer.awaited_lsn);
}

/* Takes what a sync has brought: ids, or the end that a stop waits for. Returns whether it has. */
static bool take_sync(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    const bool ids_came = has_come(engine, writer->ids.reserved_lsn);
    const bool end_came = has_come(engine, writer->awaited_lsn);
    if (ids_came) {
        writer->ids.granted = writer->state.reserved_request_id;
        writer->ids.reserved_lsn = 0;
    }
    if (end_came)
        writer->awaited_lsn = 0;
    return ids_came || end_came;
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* Selects; on success logs and gives ids. Returns the request's code. */
static enum urn_code draw(struct urn_engine *engine, struct urn_pool *pool,
                          struct urn_request *request)
{
    struct writer *writer = &engine->writer;
    struct state *state = &writer->state;
    request->pool = pool;
    request->odds_version = pool_odds_version(pool);
    if (!pool_is_open(pool))
        return URN_CLOSED;
    if (state->next_request_id > URN_NUMBER_MAX - request->count)
        return URN_TOOBIG;
    request->failed = pool_draw(pool, &writer->random, request->outcomes, request->count);
    if (request->draw_all && request->failed > 0) {
        pool_revert(pool, request->outcomes, request->count);
        return URN_NOSTOCK;
    }
    wal_entries_add_draws(&writer->groups[writer->open].entries, pool_id(pool),
                          request->odds_version, wal_outcome_width(pool_item_count(pool)),
                          request->outcomes, request->count);
    request->first_request_id = state->next_request_id;
    state->next_request_id += request->count;
    CHECK(state->next_request_id - 1 <= writer->ids.granted);
    atomic_store_explicit(&engine->counters.next_request_id, state->next_request_id,
                          memory_order_relaxed);
    count(&engine->counters.draws, request->count);
    count(&engine->counters.failed_draws, request->failed);
    return URN_OK;
}

/* Whether a request that finds no room is to wait for it. */
static bool waits_for_room(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    uint64_t now_ns = os_monotonic_ns(engine->os);
    if (writer->shortage_ns == 0)
        writer->shortage_ns = now_ns;
    return now_ns - writer->shortage_ns < ROOM_WAIT_NS;
}

/* The pool of a request, which the caller may know, or looking ahead may have found. */
static struct urn_pool *pool_of(const struct state *state, const struct urn_request *request)
{
    if (request->pool != NULL) {
        const uint32_t id = pool_id(request->pool);
        CHECK(id < state->pool_count && state->pools[id] == request->pool); /* of this engine */
        return state->pools[id];
    }
    return state_find_pool(state, request->pool_name, request->pool_name_bytes);
}

/* Stages a draw request; false when the open group must close first, room must be made, or ids must come. */
static bool stage_draw(struct urn_engine *engine, struct urn_request *request)
{
    struct writer *writer = &engine->writer;
    struct group *group = &writer->groups[writer->open];
    struct urn_pool *pool = pool_of(&writer->state, request);
    if (pool == NULL) {
        wait_for_group(group, request, URN_NOPOOL);
        return true;
    }
    uint64_t bytes_max =
        wal_draws_bytes_max(request->count, wal_outcome_width(pool_item_count(pool)));
    if (!group_has_room(writer, request, bytes_max))
        return false;
    enum urn_code code = URN_BUSY;
    if (log_has_room(engine, bytes_max)) {
        if (lacks_ids(writer, request->count))
            return false;
        code = draw(engine, pool, request);
    } else if (waits_for_room(engine)) {
        writer->blocked = true;
        return false;
    } else {
        count(&engine->counters.busy_log, 1);
    }
    wait_for_group(group, request, code);
    return true;
}

/* ---- changes ------------------------------------------------------------------------------- */

/* The most bytes of entries that a group can take. */
static uint64_t group_entries_bytes(const struct writer *writer)
{
    return writer->group_capacity_bytes - WAL_GROUP_HEADER_BYTES;
}

/* The request, be it the job or not, waits for what has been staged. */
static void end_change(struct writer *writer, struct urn_request *request, enum urn_code code)
{
    if (writer->job.request == request)
        writer->job = (struct catalog_job){0};
    if (request->op == URN_CREATE) {
        request->pool =
            state_find_pool(&writer->state, request->pool_name, request->pool_name_bytes);
        request->odds_version = request->pool == NULL ? 0 : pool_odds_version(request->pool);
    }
    wait_for_group(&writer->groups[writer->open], request, code);
}

/* What has come of a request in this turn. */
enum turn {
    TURN_TAKEN,
    TURN_NEEDS_GROUP, /* the open group must close first */
    TURN_NEEDS_ROOM,  /* the log has none */
};

/* Plans and stages a change, of which all but new pools' catalogs go into the open group. The catalogs
 * that it brings have been compared. */
static enum turn stage_planned(struct urn_engine *engine, struct urn_request *request)
{
    struct writer *writer = &engine->writer;
    struct stage_plan plan;
    enum urn_code code = stage_plan(&writer->state, &writer->job, &writer->comparison, request,
                                    group_entries_bytes(writer), &plan);
    if (code != URN_OK || request->dry_run) {
        end_change(writer, request, code);
        return TURN_TAKEN;
    }
    if (!group_has_room(writer, request, plan.bytes))
        return TURN_NEEDS_GROUP;
    if (!log_has_room(engine, plan.bytes)) {
        if (waits_for_room(engine))
            return TURN_NEEDS_ROOM;
        count(&engine->counters.busy_log, 1);
        end_change(writer, request, stage_refuse(request, URN_BUSY, "the log has no room"));
        return TURN_TAKEN;
    }
    code = stage_carry_out(&writer->state, &writer->comparison,
                           &writer->groups[writer->open].entries, request);
    if (code == URN_OK && plan.has_catalogs)
        stage_begin_catalogs(&writer->job, request, &plan);
    else
        end_change(writer, request, code);
    return TURN_TAKEN;
}

/* One turn of the job's catalogs; there is one, and it is compared. */
static enum turn stage_job_catalogs(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    struct catalog_job *job = &writer->job;
    struct wal_entries *entries = &writer->groups[writer->open].entries;
    const uint64_t group_bytes = group_entries_bytes(writer);
    const uint64_t need =
        stage_catalogs_need(&writer->state, &writer->comparison, job, group_bytes);
    enum urn_code code = URN_OK;
    if (need == 0) {
        end_change(writer, job->request, URN_OK);
        return TURN_TAKEN;
    }
    if (entries->used_bytes + need > writer->group_capacity_bytes)
        return TURN_NEEDS_GROUP;
    if (log_has_room(engine, need)) {
        code = stage_catalogs(&writer->state, entries, job, group_bytes);
    } else if (waits_for_room(engine) || (job->begun && !atomic_load(&engine->stopping))) {
        return TURN_NEEDS_ROOM; /* what is staged is not given up */
    } else {
        count(&engine->counters.busy_log, 1);
        code = stage_give_up(job, URN_BUSY, "the log has no room");
    }
    if (code != URN_OK)
        end_change(writer, job->request, code);
    return TURN_TAKEN;
}

/* Goes on with the job, if there is one: a slice of what takes long, so that others come in between.
 * Returns whether anything was done. */
static bool stage_job(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    bool did = false;
    writer->job_blocked = false;
    while (writer->job.request != NULL) {
        enum turn turn = TURN_TAKEN;
        if (writer->job.is_compared)
            turn = stage_job_catalogs(engine);
        else if (comparison_step(&writer->comparison, &writer->state))
            turn = stage_planned(engine, writer->job.request);
        else
            return true;
        writer->job_blocked = turn == TURN_NEEDS_ROOM;
        if (turn != TURN_TAKEN)
            return did;
        did = true;
        if (writer->job.pool != NULL)
            return true;
    }
    return did;
}

/* Compares the catalogs that a request brings, a first slice of them: false when that was not all, and
 * it has become the job. */
static bool compare_catalogs(struct writer *writer, struct urn_request *request)
{
    comparison_begin(&writer->comparison, request->pools, request->pool_count);
    if (comparison_step(&writer->comparison, &writer->state))
        return true;
    writer->job = (struct catalog_job){.request = request};
    return false;
}

/* Stages a change of items or pools; false when the open group must close first, or room must be made. */
static bool stage_change(struct urn_engine *engine, struct urn_request *request)
{
    struct writer *writer = &engine->writer;
    if (stage_brings_catalogs(request->op)) {
        if (writer->job.request != NULL) {
            end_change(writer, request, stage_refuse_second_job(request));
            return true;
        }
        if (!compare_catalogs(writer, request))
            return true;
    }
    const enum turn turn = stage_planned(engine, request);
    writer->blocked = turn == TURN_NEEDS_ROOM;
    if (writer->job.request == request)
        (void)stage_job(engine);
    return turn == TURN_TAKEN;
}

/* ---- the step ------------------------------------------------------------------------------ */

/* Moves everything from the inbox behind todo, oldest first. */
static void take_inbox(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    if (writer->todo != NULL)
        return; /* what was taken before comes first; the inbox keeps its order meanwhile */
    struct urn_request *newest = atomic_load_explicit(&engine->inbox, memory_order_relaxed);
    if (newest == NULL || newest == &inbox_closed)
        return;
    newest = atomic_exchange_explicit(&engine->inbox, NULL, memory_order_acquire);
    while (newest != NULL) {
        struct urn_request *older = newest->next;
        engine_prefetch_draw(newest);
        newest->next = writer->todo;
        writer->todo = newest;
        newest = older;
    }
}

/* A read waits for its group to close. */
static void stage_read(struct group *group, struct urn_request *request)
{
    request->next = NULL;
    if (group->oldest_read == NULL)
        group->oldest_read = request;
    else
        group->newest_read->next = request;
    group->newest_read = request;
}

/* Stages what fits the open group; the rest stays in todo. Returns how many requests. */
static uint32_t stage_all(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    uint32_t staged = 0;
    uint32_t looked_at = 0; /* so many were looked ahead for, from the first on */
    writer->blocked = false;
    writer->ids.lacking = false;
    while (writer->todo != NULL) {
        struct urn_request *request = writer->todo;
        struct urn_request *rest = request->next;
        if (staged == looked_at)
            looked_at += look_ahead(&writer->state, &writer->random, request);
        if (request->op == URN_DRAW) {
            if (!stage_draw(engine, request))
                break;
        } else if (stage_is_change(request->op)) {
            if (!stage_change(engine, request))
                break;
        } else if (request->op == URN_SNAPSHOT) {
            request->next = writer->snapshots.asked;
            writer->snapshots.asked = request;
        } else {
            stage_read(&writer->groups[writer->open], request);
        }
        writer->todo = rest;
        staged++;
        if (rest == NULL)
            take_inbox(engine);
        if (writer->groups[writer->open].entries.draws >= writer->flush_after_n_draw)
            break;
    }
    count(&engine->counters.requests, staged);
    return staged;
}

/* After a fail stop: what was staged is in doubt, what was not has had no effect. */
static bool refuse_everything(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    bool did = false;
    writer->awaited_lsn = 0; /* nothing comes any more */
    writer->ids.reserved_lsn = 0;
    if (!group_is_empty(&writer->groups[writer->open])) {
        engine_finish_group(engine, &writer->groups[writer->open], true);
        writer_begin_group(writer);
        did = true;
    }
    if (writer->job.request != NULL) { /* what was staged of it may stay */
        struct urn_request *request = writer->job.request;
        request->code = writer->job.begun ? URN_INDOUBT : URN_READONLY;
        writer->job = (struct catalog_job){0};
        engine_finish(engine, request, request, 1, 0);
        did = true;
    }
    for (take_inbox(engine); writer->todo != NULL; take_inbox(engine)) {
        while (writer->todo != NULL) {
            struct urn_request *request = writer->todo;
            writer->todo = request->next;
            request->next = NULL;
            request->code = URN_READONLY;
            engine_finish(engine, request, request, 1, engine_draws_of(request));
        }
        did = true;
    }
    return did;
}

/* A mark is to carry that all before it is durable, and waits for that. In mode os nobody knows when that
 * will be, so that it carries what there is; but a clean stop does see to it, with one more where need be. */
static bool mark_waits(const struct urn_engine *engine)
{
    return !all_is_durable(engine) &&
           (engine->mode != URN_WAL_OS || atomic_load(&engine->stopping));
}

static bool mark_is_due(const struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    const bool stopping = atomic_load(&engine->stopping);
    const bool has_mark = writer->last_kind == WAL_MARK && (writer->mark_says_all || !stopping);
    if (has_mark || mark_waits(engine))
        return false;
    if (stopping)
        return true;
    return writer->last_kind != WAL_EPOCH &&
           os_monotonic_ns(engine->os) - writer->last_closed_ns >= MARK_AFTER_NS;
}

/* Closes a mark group if there is room for it (only a ring whose reserve is used up has none). */
static bool close_mark(struct urn_engine *engine)
{
    struct wal_placement place = place_of(engine, WAL_GROUP_HEADER_BYTES, WAL_MARK);
    if (place.end_lsn > atomic_load(&engine->room_limit_lsn))
        return false;
    engine->writer.mark_says_all = all_is_durable(engine);
    close_group(engine, WAL_MARK);
    return true;
}

/* Asks that all be made durable, once for each end of the log: what the mark says, and then the mark. */
static void await_end(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    if (all_is_durable(engine) || writer->awaited_lsn == writer->end_lsn)
        return;
    writer->awaited_lsn = writer->end_lsn;
    engine_want_durable(engine, writer->end_lsn);
}

/* Nothing is open, staged or syncing: the last snapshot is taken, the inbox is closed, and the writer's life
 * is over. */
static void finish_stop(struct urn_engine *engine)
{
    if (!atomic_load(&engine->failed) && !snapshots_finish(engine))
        return;
    if (atomic_load(&engine->snapshot.phase) != SNAPSHOT_RESTS)
        return;
    struct urn_request *none = NULL;
    if (atomic_compare_exchange_strong(&engine->inbox, &none, &inbox_closed))
        engine->writer.done = true;
}

/* The step behind a fail stop. */
static bool step_failed(struct urn_engine *engine)
{
    engine->writer.failure_seen = true;
    bool did = refuse_everything(engine);
    did = snapshots_give_up(engine) || did;
    engine->writer.stop_seen = atomic_load(&engine->stopping);
    if (engine->writer.stop_seen && commit_is_free(engine))
        finish_stop(engine);
    return did;
}

/* What is to be done when nothing is open, and the commit side has nothing. */
static bool step_idle(struct urn_engine *engine)
{
    struct writer *writer = &engine->writer;
    /* An empty group holds any request, and any part of a catalog. Comparing needs none. */
    CHECK(writer->todo == NULL || writer->blocked || writer->ids.lacking);
    CHECK(writer->job.request == NULL || writer->job_blocked || !writer->job.is_compared);
    CHECK(!writer->ids.lacking || writer->ids.reserved_lsn != 0);
    writer->stop_seen = atomic_load(&engine->stopping);
    bool is_done = writer->todo == NULL && writer->job.request == NULL;
    if (is_done && writer->stop_seen)
        await_end(engine);
    if (mark_is_due(engine) && close_mark(engine))
        return true;
    enum snapshots_stage stage = writer->snapshots.stage;
    snapshots_at_group_end(engine);
    snapshots_seal(engine);
    if (is_done && writer->stop_seen && all_is_durable(engine))
        finish_stop(engine);
    return writer->snapshots.stage != stage;
}

bool writer_step(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    struct writer *writer = &engine->writer;
    if (writer->done)
        return false;
    if (atomic_load_explicit(&engine->failed, memory_order_acquire))
        return step_failed(engine);
    bool did = snapshots_take_result(engine);
    did = archive_take(engine) || did;
    did = take_sync(engine) || did;
    take_inbox(engine);
    did = reserve_ids_in_time(engine) || did;
    did = stage_job(engine) || did;
    did = stage_all(engine) > 0 || did;
    if (!commit_is_free(engine))
        return snapshots_encode(engine) || did;
    /* The commit side may have failed since the first look; it said so before it became free. */
    if (atomic_load_explicit(&engine->failed, memory_order_acquire))
        return true;
    snapshots_seal(engine);
    if (!group_is_empty(&writer->groups[writer->open])) {
        close_group(engine, WAL_DATA);
        /* The group is not to wait for a slice; but slices are not to wait for ever either. */
        if (os_monotonic_ns(engine->os) - writer->snapshots.encoded_ns >= SNAPSHOT_DEFER_NS)
            (void)snapshots_encode(engine);
        return true;
    }
    did = step_idle(engine) || did;
    return snapshots_encode(engine) || did;
}

static uint64_t mark_deadline_ns(const struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    if (writer->last_kind == WAL_MARK || writer->last_kind == WAL_EPOCH)
        return UINT64_MAX;
    if (mark_waits(engine))
        return UINT64_MAX; /* the end of a commit step or of a sync wakes the writer */
    return writer->last_closed_ns + MARK_AFTER_NS;
}

uint64_t writer_deadline_ns(const struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    if (atomic_load_explicit(&engine->failed, memory_order_relaxed))
        return UINT64_MAX;
    uint64_t deadline_ns = mark_deadline_ns(engine);
    uint64_t snapshot_ns = snapshots_deadline_ns(engine);
    if (snapshot_ns < deadline_ns)
        deadline_ns = snapshot_ns;
    /* A job that has begun is given up only by a stop. */
    bool job_may_end =
        writer->job_blocked && (!writer->job.begun || atomic_load(&engine->stopping));
    if ((writer->blocked || job_may_end) && writer->shortage_ns + ROOM_WAIT_NS < deadline_ns)
        deadline_ns = writer->shortage_ns + ROOM_WAIT_NS;
    return deadline_ns;
}

bool writer_has_waiting(const struct urn_engine *engine)
{
    const struct writer *writer = &engine->writer;
    return (writer->todo != NULL && !writer->blocked && !writer->ids.lacking) ||
           (writer->job.request != NULL && !writer->job_blocked) ||
           atomic_load_explicit(&engine->inbox, memory_order_relaxed) != NULL;
}
