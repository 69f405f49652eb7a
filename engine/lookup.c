/* lookup.c: see lookup.h. */
#include "engine/lookup.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/check.h"
#include "engine/engine.h"

uint64_t lookups_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools,
                              bool has_archive)
{
    return log_points_memory_bytes(geometry) + log_finder_memory_bytes(geometry, max_pools) +
           (has_archive ? archive_finder_memory_bytes() : 0);
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

enum urn_code lookups_use_archive(struct urn_engine *engine, struct urn_error *error)
{
    struct lookups *lookups = &engine->lookups;
    const struct archive_finder_sources sources = {
        .os = engine->os,
        .path = engine->archive.path,
        .geometry = &engine->data_dir.geometry,
        .archived_lsn = &engine->archive.archived_lsn,
        .reader = log_finder_reader(lookups->finder),
    };
    return engine->archive.on ? archive_finder_make(&sources, &lookups->archive, error) : URN_OK;
}

void lookups_free(struct lookups *lookups)
{
    archive_finder_free(lookups->archive);
    lookups->archive = NULL;
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

static void answer_error(struct urn_request *request, const struct urn_error *error)
{
    request->code = error->code;
    if (request->error != NULL)
        *request->error = *error;
}

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

/* NOTFOUND: what was not archived before it was overwritten. */
static void answer_unarchived(struct urn_request *request, const struct archive_answer *answer,
                              const struct log_draw *draw)
{
    char known[96];
    char where[64];
    struct urn_error error;
    tell_known(draw, known);
    if (answer->to_lsn > answer->from_lsn)
        (void)snprintf(where, sizeof where, "LSN %" PRIu64 " to %" PRIu64, answer->from_lsn,
                       answer->to_lsn);
    else
        (void)snprintf(where, sizeof where, "from LSN %" PRIu64 " on", answer->from_lsn);
    error_set(&error, URN_NOTFOUND, 0,
              "request id %" PRIu64 " is in a gap of the archive (%s): its part of the log was not "
              "archived before it was overwritten; %s",
              request->request_id, where, known);
    request->first_request_id = draw->first_id;
    request->last_request_id = draw->last_id;
    answer_error(request, &error);
}

/* The archive has older ones, perhaps. */
static void widen_known(struct lookups *lookups, struct log_draw *draw)
{
    uint64_t first_id = 0;
    if (lookups->archive != NULL && archive_finder_first_id(lookups->archive, &first_id) &&
        first_id < draw->first_id)
        draw->first_id = first_id;
}

/* What the archive's files say may have been put there by anybody. */
static bool has_pool(const struct urn_engine *engine, const struct log_draw *draw)
{
    return draw->pool_id < engine->bounds.max_pools &&
           engine->writer.state.pools[draw->pool_id] != NULL;
}

/* What the ring does not have any more; ring: the bounds of what is known without the archive. */
static void answer_archived(struct urn_engine *engine, struct urn_request *request,
                            const struct log_draw *ring)
{
    struct lookups *lookups = &engine->lookups;
    struct archive_answer found;
    struct urn_error error;
    struct log_draw draw;
    const enum archive_found what =
        archive_finder_find(lookups->archive, request->request_id, &found, &error);
    lookups->asked_archive = true;
    if (what == ARCHIVE_FOUND_ERROR) {
        answer_error(request, &error);
        return;
    }
    if (what == ARCHIVE_FOUND_DRAW && !has_pool(engine, &found.draw)) {
        error_set(&error, URN_DAMAGED, 0,
                  "the archive %.100s: the group at LSN %" PRIu64
                  " tells of a pool that is not there; `urn-wal verify` shows more",
                  engine->archive.path, found.draw.lsn);
        answer_error(request, &error);
        return;
    }
    if (what == ARCHIVE_FOUND_DRAW) {
        answer_draw(engine, request, &found.draw);
        return;
    }
    draw = found.draw;
    draw.first_id = ring->first_id;
    draw.last_id = ring->last_id;
    widen_known(lookups, &draw);
    if (what == ARCHIVE_FOUND_UNARCHIVED)
        answer_unarchived(request, &found, &draw);
    else
        answer_none(request, what == ARCHIVE_FOUND_SKIPPED ? LOG_FOUND_SKIPPED : LOG_FOUND_OLDER,
                    &draw);
}

/* False: it has to wait. */
static bool answer(struct urn_engine *engine, struct urn_request *request)
{
    struct lookups *lookups = &engine->lookups;
    struct log_draw draw;
    struct urn_error error;
    const enum log_found found =
        log_finder_find(lookups->finder, request->request_id, &draw, &error);
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
        if (lookups->archive != NULL) {
            answer_archived(engine, request, &draw);
            return true;
        }
        break;
    case LOG_FOUND_SKIPPED:
    case LOG_FOUND_NOT_YET:
        widen_known(lookups, &draw);
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
    lookups->asked_archive = false;
    /* A look into the archive may take long: what has been answered before does not wait for the next. */
    for (uint32_t i = 0; i < LOOKUPS_STEP_MAX && lookups->todo != NULL && !lookups->asked_archive;
         i++) {
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
