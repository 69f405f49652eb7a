/* lookup.c: see lookup.h. */
#include "engine/lookup.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/check.h"
#include "engine/engine.h"

uint64_t lookups_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools)
{
    return log_points_memory_bytes(geometry) + log_finder_memory_bytes(geometry, max_pools);
}

enum urn_code lookups_make(struct urn_engine *engine, uint64_t snapshot_lsn,
                           struct urn_error *error)
{
    struct lookups *lookups = &engine->lookups;
    const struct state *state = &engine->writer.state;
    const struct log_finder_sources sources = {
        .data_dir = &engine->data_dir,
        .points = &lookups->points,
        .staged_lsn = &engine->counters.staged_lsn,
    };
    if (log_points_make(&lookups->points, &engine->data_dir.geometry, state->tail.lsn,
                        state->next_request_id, error) != URN_OK)
        return error->code;
    return log_finder_make(&sources, state, snapshot_lsn, &lookups->finder, error);
}

void lookups_free(struct lookups *lookups)
{
    log_finder_free(lookups->finder);
    log_points_free(&lookups->points);
    lookups->finder = NULL;
}

void lookups_note_group(struct lookups *lookups, const struct group *group)
{
    if (!group->has_bytes)
        return;
    const struct wal_placement *place = &group->placement;
    log_points_note(&lookups->points, place->group_lsn, place->end_lsn, group->first_request_id,
                    group->first_request_id + group->entries.draws, place->new_segment);
}

/* ---- answers ----------------------------------------------------------------------------------- */

static void answer_draw(const struct urn_engine *engine, struct urn_request *request,
                        const struct log_draw *draw)
{
    /* The pool was there when the draw was logged, and a pool stays where it is. */
    CHECK(draw->pool_id < engine->bounds.max_pools);
    request->pool = engine->writer.state.pools[draw->pool_id];
    CHECK(request->pool != NULL);
    request->outcome = draw->outcome;
    request->odds_version = draw->odds_version;
    request->wall_time_us = draw->wall_time_us;
    request->lsn = draw->lsn;
    request->code = URN_OK;
}

/* What there is to know besides, in every answer that there is no such draw. */
static void tell_known(const struct log_draw *draw, char text[96])
{
    if (draw->first_id > draw->last_id)
        (void)snprintf(text, 96, "no draw is known");
    else
        (void)snprintf(text, 96, "ids %" PRIu64 " to %" PRIu64 " are known", draw->first_id,
                       draw->last_id);
}

static void answer_none(struct urn_request *request, enum log_found found,
                        const struct log_draw *draw)
{
    char known[96];
    struct urn_error error;
    const uint64_t id = request->request_id;
    tell_known(draw, known);
    if (found == LOG_FOUND_OLDER)
        error_set(&error, URN_NOTFOUND, 0, "request id %" PRIu64 " is older than what is kept; %s",
                  id, known);
    else if (found == LOG_FOUND_NOT_YET)
        error_set(&error, URN_NOTFOUND, 0, "request id %" PRIu64 " has not been given yet; %s", id,
                  known);
    else
        error_set(&error, URN_NOTFOUND, 0,
                  "no draw in the log has request id %" PRIu64
                  ": a start or a repair left out %" PRIu64 " to %" PRIu64 " (LSN %" PRIu64 "); %s",
                  id, draw->skipped_first, draw->skipped_last, draw->lsn, known);
    request->first_request_id = draw->first_id;
    request->last_request_id = draw->last_id;
    request->code = URN_NOTFOUND;
    if (request->error != NULL)
        *request->error = error;
}

static void answer_error(struct urn_request *request, const struct urn_error *error)
{
    request->code = error->code;
    if (request->error != NULL)
        *request->error = *error;
}

/* False: it has to wait. */
static bool answer(struct urn_engine *engine, struct urn_request *request)
{
    struct log_draw draw;
    struct urn_error error;
    const enum log_found found =
        log_finder_find(engine->lookups.finder, request->request_id, &draw, &error);
    switch (found) {
    case LOG_FOUND_LATER:
        return false;
    case LOG_FOUND_DRAW:
        answer_draw(engine, request, &draw);
        return true;
    case LOG_FOUND_ERROR:
        answer_error(request, &error);
        return true;
    case LOG_FOUND_OLDER:
    case LOG_FOUND_SKIPPED:
    case LOG_FOUND_NOT_YET:
        break;
    }
    answer_none(request, found, &draw);
    return true;
}

/* ---- the step ---------------------------------------------------------------------------------- */

/* Requests that have their answers, newest first. */
struct answered {
    struct urn_request *newest, *oldest;
    uint32_t count;
    uint32_t not_found;
};

static void add_answered(struct answered *answered, struct urn_request *request)
{
    request->next = answered->newest;
    answered->newest = request;
    if (answered->oldest == NULL)
        answered->oldest = request;
    answered->count++;
    answered->not_found += request->code == URN_NOTFOUND;
}

static void count(_Atomic uint64_t *counter, uint32_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Nothing that was found is told behind a failure: what it shows may be as good as lost. */
static void hand_out(struct urn_engine *engine, const struct answered *answered)
{
    if (answered->count == 0)
        return;
    CHECK(pthread_mutex_lock(&engine->failure_lock) == 0);
    if (atomic_load(&engine->failed)) {
        for (struct urn_request *request = answered->newest; request != NULL;
             request = request->next)
            engine_refuse(request);
    } else {
        count(&engine->lookups.not_found, answered->not_found);
    }
    count(&engine->lookups.answered, answered->count);
    engine_finish(engine, answered->newest, answered->oldest, answered->count, 0);
    CHECK(pthread_mutex_unlock(&engine->failure_lock) == 0);
}

/* Moves everything from the inbox behind todo, oldest first. */
static void take_inbox(struct lookups *lookups)
{
    struct urn_request *newest = atomic_load_explicit(&lookups->inbox, memory_order_relaxed);
    if (lookups->todo != NULL || newest == NULL || newest == &inbox_closed)
        return;
    newest = atomic_exchange_explicit(&lookups->inbox, NULL, memory_order_acquire);
    while (newest != NULL) {
        struct urn_request *older = newest->next;
        newest->next = lookups->todo;
        lookups->todo = newest;
        newest = older;
    }
}

static struct urn_request *take_first(struct urn_request **list)
{
    struct urn_request *first = *list;
    *list = first->next;
    first->next = NULL;
    return first;
}

static void answer_some(struct urn_engine *engine)
{
    struct lookups *lookups = &engine->lookups;
    struct answered answered = {0};
    for (uint32_t i = 0; i < LOOKUPS_STEP_MAX && lookups->todo != NULL; i++) {
        struct urn_request *request = take_first(&lookups->todo);
        if (answer(engine, request)) {
            add_answered(&answered, request);
            continue;
        }
        request->next = lookups->waiting;
        lookups->waiting = request;
    }
    hand_out(engine, &answered);
}

/* Goes on with the index; whoever waits for it then looks again, or hears why it cannot be made. */
static bool index_some(struct urn_engine *engine)
{
    struct lookups *lookups = &engine->lookups;
    struct answered answered = {0};
    struct urn_error error;
    const enum log_work work = log_finder_work(lookups->finder, &error);
    while (lookups->waiting != NULL) {
        struct urn_request *request = take_first(&lookups->waiting);
        if (work == LOG_WORK_FAILED) {
            answer_error(request, &error);
            add_answered(&answered, request);
            continue;
        }
        request->next = lookups->todo;
        lookups->todo = request;
    }
    hand_out(engine, &answered);
    return work != LOG_WORK_NONE || lookups->todo != NULL;
}

static bool refuse_all(struct urn_engine *engine)
{
    struct lookups *lookups = &engine->lookups;
    struct answered answered = {0};
    for (take_inbox(lookups); lookups->todo != NULL; take_inbox(lookups))
        while (lookups->todo != NULL)
            add_answered(&answered, take_first(&lookups->todo));
    while (lookups->waiting != NULL)
        add_answered(&answered, take_first(&lookups->waiting));
    hand_out(engine, &answered);
    return answered.count > 0;
}

bool lookups_step(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    struct lookups *lookups = &engine->lookups;
    if (lookups->done)
        return false;
    /* Before the look at the inbox: what comes later is refused by urn_submit, or finds it closed. */
    const bool stopping = atomic_load(&engine->stopping);
    if (atomic_load_explicit(&engine->failed, memory_order_acquire)) {
        if (refuse_all(engine))
            return true;
    } else {
        take_inbox(lookups);
        if (lookups->todo != NULL) {
            answer_some(engine);
            return true;
        }
        if ((!stopping || lookups->waiting != NULL) && index_some(engine))
            return true;
    }
    struct urn_request *none = NULL;
    lookups->done = stopping && lookups->waiting == NULL &&
                    atomic_compare_exchange_strong(&lookups->inbox, &none, &inbox_closed);
    return false;
}

bool lookups_have_requests(const struct lookups *lookups)
{
    const struct urn_request *newest = atomic_load(&lookups->inbox);
    return (newest != NULL && newest != &inbox_closed) || lookups->todo != NULL ||
           lookups->waiting != NULL;
}

bool lookups_have_work(const struct urn_engine *engine)
{
    const struct lookups *lookups = &engine->lookups;
    return !lookups->done && (lookups_have_requests(lookups) || atomic_load(&engine->stopping));
}
