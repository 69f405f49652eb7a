/* lookup.c: see lookup.h. */
#include "engine/lookup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "engine/engine.h"
#include "engine/threads.h"

uint64_t lookups_memory_bytes(const struct wal_geometry *geometry, uint32_t max_pools,
                              bool has_archive)
{
    return log_points_memory_bytes(geometry) + log_finder_memory_bytes(geometry, max_pools) +
           (has_archive ? archive_finder_memory_bytes() + draw_reader_memory_bytes(max_pools) : 0);
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
    struct past_lookups *past = &engine->lookups.past;
    const struct draw_reader *reader = log_finder_reader(engine->lookups.finder);
    const struct archive_finder_sources sources = {
        .os = engine->os,
        .path = engine->archive.path,
        .geometry = &engine->data_dir.geometry,
        .archived_lsn = &engine->archive.archived_lsn,
        .unrecorded_lsn = &engine->archive.unrecorded_lsn,
        .reader = &past->reader,
    };
    if (!engine->archive.on)
        return URN_OK;
    if (draw_reader_make(&past->reader, sources.geometry->ring_uuid, reader->start_lsn,
                         reader->pool_count, error) != URN_OK ||
        archive_finder_make(&sources, &past->finder, error) != URN_OK)
        return error->code;
    memcpy(past->reader.item_counts, reader->item_counts,
           reader->pool_count * sizeof *reader->item_counts);
    CHECK(pthread_mutex_init(&past->lock, NULL) == 0);
    return URN_OK;
}

void lookups_free(struct lookups *lookups)
{
    struct past_lookups *past = &lookups->past;
    if (past->finder != NULL)
        CHECK(pthread_mutex_destroy(&past->lock) == 0);
    archive_finder_free(past->finder);
    draw_reader_free(&past->reader);
    past->finder = NULL;
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

/* The archive has older ones, perhaps: as far as it is known without asking it. */
static void widen_known(const struct lookups *lookups, struct log_draw *draw)
{
    const uint64_t first_id = atomic_load(&lookups->past.first_id);
    if (first_id != 0 && first_id < draw->first_id)
        draw->first_id = first_id;
}

/* What the archive's files say may have been put there by anybody. */
static bool can_be_told(const struct urn_engine *engine, const struct log_draw *draw)
{
    const struct state *state = &engine->writer.state;
    return draw->pool_id < state->pool_count &&
           (draw->outcome == URN_FAILED_DRAW ||
            draw->outcome < pool_item_count(state->pools[draw->pool_id]));
}

/* What has come out of a look into the archive. */
struct past_answer {
    enum archive_found what;
    struct archive_answer found;
    struct urn_error error;
};

static void answer_past(const struct urn_engine *engine, struct urn_request *request,
                        const struct past_answer *answer)
{
    struct log_draw draw = answer->found.draw;
    draw.first_id = request->first_request_id;
    draw.last_id = request->last_request_id;
    request->first_request_id = 0;
    request->last_request_id = 0;
    widen_known(&engine->lookups, &draw);
    switch (answer->what) {
    case ARCHIVE_FOUND_DRAW:
        answer_draw(engine, request, &draw);
        break;
    case ARCHIVE_FOUND_OLDER:
        answer_none(request, LOG_FOUND_OLDER, &draw);
        break;
    case ARCHIVE_FOUND_SKIPPED:
        answer_none(request, LOG_FOUND_SKIPPED, &draw);
        break;
    case ARCHIVE_FOUND_UNARCHIVED:
        answer_unarchived(request, &answer->found, &draw);
        break;
    case ARCHIVE_FOUND_ERROR:
        answer_error(request, &answer->error);
        break;
    }
}

/* What is damaged in the ring has its error already: only a draw betters it. */
static void answer_passed_on(const struct urn_engine *engine, struct urn_request *request,
                             const struct past_answer *answer)
{
    if (request->code == URN_OK || answer->what == ARCHIVE_FOUND_DRAW)
        answer_past(engine, request, answer);
}

/* Whoever waits for the archive is answered with this. */
static void refuse_past(struct urn_engine *engine, const struct urn_error *error);

/* How long the archive has kept the past's thread, if that is too long; else 0. */
static uint64_t silence_ns(const struct urn_engine *engine)
{
    const uint64_t began_ns = atomic_load(&engine->lookups.past.step_began_ns);
    const uint64_t now_ns = os_monotonic_ns(engine->os);
    return began_ns != 0 && now_ns > began_ns && now_ns - began_ns >= ARCHIVE_SILENCE_NS
               ? now_ns - began_ns
               : 0;
}

/* To the past's thread; or, where that does not come back, to nobody. */
static void pass_on(struct urn_engine *engine, struct urn_request *request)
{
    struct past_lookups *past = &engine->lookups.past;
    CHECK(pthread_mutex_lock(&past->lock) == 0);
    if (past->oldest == NULL)
        past->oldest = request;
    else
        past->newest->next = request;
    past->newest = request;
    CHECK(pthread_mutex_unlock(&past->lock) == 0);
    const uint64_t silent_ns = silence_ns(engine);
    if (silent_ns == 0) {
        threads_wake_past(engine);
        return;
    }
    struct urn_error error;
    error_set(&error, URN_IO, 0, "the archive %.100s does not answer, since %" PRIu64 " s",
              engine->archive.path, silent_ns / 1000000000u);
    refuse_past(engine, &error);
}

static bool is_archived(const struct urn_engine *engine, uint64_t lsn)
{
    return engine->lookups.past.finder != NULL && lsn < atomic_load(&engine->archive.archived_lsn);
}

enum answering { ANSWERED, HAS_TO_WAIT, PASSED_ON };

static enum answering answer(struct urn_engine *engine, struct urn_request *request)
{
    struct lookups *lookups = &engine->lookups;
    struct log_draw draw;
    struct urn_error error;
    const enum log_found found =
        log_finder_find(lookups->finder, request->request_id, &draw, &error);
    switch (found) {
    case LOG_FOUND_LATER:
        return HAS_TO_WAIT;
    case LOG_FOUND_DRAW:
        answer_draw(engine, request, &draw);
        return ANSWERED;
    case LOG_FOUND_ERROR:
        answer_error(request, &error);
        if (!is_archived(engine, draw.lsn))
            return ANSWERED;
        pass_on(engine, request);
        return PASSED_ON;
    case LOG_FOUND_OLDER:
        if (lookups->past.finder == NULL)
            break;
        request->code = URN_OK;
        request->first_request_id = draw.first_id;
        request->last_request_id = draw.last_id;
        pass_on(engine, request);
        return PASSED_ON;
    case LOG_FOUND_SKIPPED:
    case LOG_FOUND_NOT_YET:
        widen_known(lookups, &draw);
        break;
    }
    answer_none(request, found, &draw);
    return ANSWERED;
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
        switch (answer(engine, request)) {
        case ANSWERED:
            add_answered(&answered, request);
            break;
        case HAS_TO_WAIT:
            request->next = lookups->waiting;
            lookups->waiting = request;
            break;
        case PASSED_ON:
            break;
        }
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

/* ---- the past ---------------------------------------------------------------------------------- */

static struct urn_request *take_past(struct past_lookups *past)
{
    CHECK(pthread_mutex_lock(&past->lock) == 0);
    past->current = past->oldest;
    if (past->current != NULL)
        past->oldest = past->current->next;
    struct urn_request *request = past->current;
    CHECK(pthread_mutex_unlock(&past->lock) == 0);
    return request;
}

static void learn_first_id(struct past_lookups *past)
{
    uint64_t first_id = 0;
    if (archive_finder_first_id(past->finder, &first_id))
        atomic_store(&past->first_id, first_id);
}

/* So that a lookup of what was never given can tell what is known without a look into the archive: as soon as there
 * is something in it. */
static bool first_id_is_due(const struct urn_engine *engine)
{
    const struct past_lookups *past = &engine->lookups.past;
    return past->finder != NULL && atomic_load(&past->first_id) == 0 &&
           atomic_load(&engine->archive.archived_lsn) != past->looked_lsn;
}

static void look_into_archive(struct urn_engine *engine, uint64_t request_id,
                              struct past_answer *answer)
{
    struct past_lookups *past = &engine->lookups.past;
    answer->what = archive_finder_find(past->finder, request_id, &answer->found, &answer->error);
    if (answer->what == ARCHIVE_FOUND_DRAW && !can_be_told(engine, &answer->found.draw)) {
        error_set(&answer->error, URN_DAMAGED, 0,
                  "the archive %.100s: the group at LSN %" PRIu64
                  " tells of a pool or an item that is not there; `urn-wal verify` shows more",
                  engine->archive.path, answer->found.draw.lsn);
        answer->what = ARCHIVE_FOUND_ERROR;
    }
    if (answer->what != ARCHIVE_FOUND_ERROR &&
        (answer->what != ARCHIVE_FOUND_DRAW || atomic_load(&past->first_id) == 0))
        learn_first_id(past);
}

static bool do_past_step(struct urn_engine *engine)
{
    struct past_lookups *past = &engine->lookups.past;
    struct urn_request *request = take_past(past);
    if (request == NULL) {
        const bool looks = first_id_is_due(engine);
        past->looked_lsn = atomic_load(&engine->archive.archived_lsn);
        if (looks)
            learn_first_id(past);
        return looks;
    }
    struct past_answer answer = {.what = ARCHIVE_FOUND_ERROR};
    if (!atomic_load_explicit(&engine->failed, memory_order_acquire))
        look_into_archive(engine, request->request_id, &answer);
    CHECK(pthread_mutex_lock(&past->lock) == 0);
    if (past->current == request) { /* else nobody waits for it any more */
        struct answered answered = {0};
        past->current = NULL;
        answer_passed_on(engine, request, &answer);
        add_answered(&answered, request);
        hand_out(engine, &answered);
    }
    CHECK(pthread_mutex_unlock(&past->lock) == 0);
    return true;
}

bool lookups_past_step(struct urn_engine *engine)
{
    CHECK(engine->magic == ENGINE_MAGIC);
    struct past_lookups *past = &engine->lookups.past;
    if (past->finder == NULL)
        return false;
    atomic_store(&past->step_began_ns, os_monotonic_ns(engine->os));
    const bool did = do_past_step(engine);
    atomic_store(&past->step_began_ns, 0);
    return did;
}

bool lookups_past_have_work(struct urn_engine *engine)
{
    return lookups_past_have_requests(&engine->lookups) || first_id_is_due(engine);
}

bool lookups_past_have_requests(struct lookups *lookups)
{
    struct past_lookups *past = &lookups->past;
    if (past->finder == NULL)
        return false;
    CHECK(pthread_mutex_lock(&past->lock) == 0);
    const bool have = past->current != NULL || past->oldest != NULL;
    CHECK(pthread_mutex_unlock(&past->lock) == 0);
    return have;
}

static void refuse_past(struct urn_engine *engine, const struct urn_error *error)
{
    struct past_lookups *past = &engine->lookups.past;
    struct answered answered = {0};
    const struct past_answer answer = {.what = ARCHIVE_FOUND_ERROR, .error = *error};
    CHECK(pthread_mutex_lock(&past->lock) == 0);
    if (past->current != NULL) {
        past->current->next = past->oldest;
        past->oldest = past->current;
        past->current = NULL;
    }
    while (past->oldest != NULL) {
        struct urn_request *request = take_first(&past->oldest);
        answer_passed_on(engine, request, &answer);
        add_answered(&answered, request);
    }
    hand_out(engine, &answered);
    CHECK(pthread_mutex_unlock(&past->lock) == 0);
}

void lookups_abandon_past(struct urn_engine *engine)
{
    struct urn_error error;
    error_set(&error, URN_IO, 0, "the archive %.100s does not answer, and the server stops",
              engine->archive.path);
    refuse_past(engine, &error);
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
