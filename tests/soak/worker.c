/* worker.c: see worker.h. */
#include "tests/soak/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/check.h"

/* Longer than any machine stalls: who waits so long was forgotten by the server. */
#define ANSWER_TIMEOUT_MS (5u * 60 * 1000)

/* Who is told BUSY comes back a little later, as clients should. */
#define BUSY_REST_NS (10L * 1000 * 1000)

static uint64_t now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void lock(struct load *load)
{
    CHECK(pthread_mutex_lock(&load->lock) == 0);
}

static void unlock(struct load *load)
{
    CHECK(pthread_mutex_unlock(&load->lock) == 0);
}

static bool has_trouble(const struct load *load)
{
    return load->trouble[0] != '\0' || load->ledger.violation[0] != '\0';
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct worker_request *free_request(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->kind->in_flight; i++)
        if (!worker->requests[i].waits)
            return &worker->requests[i];
    return NULL;
}

/* A pool that takes requests of the worker's size, if its size is fixed. */
static uint32_t choose_pool(struct worker *worker)
{
    const struct load *load = worker->load;
    for (;;) {
        uint32_t pool = (uint32_t)sim_random_below(&worker->random, load->ledger.pool_count);
        if (worker->kind->varies || worker->kind->count_max <= load->count_max[pool])
            return pool;
    }
}

static void choose(struct worker *worker, struct worker_request *request)
{
    struct sim_random *random = &worker->random;
    uint32_t count_max = worker->kind->count_max;
    *request = (struct worker_request){.pool = choose_pool(worker),
                                       .count = count_max,
                                       .as = count_max == 1 ? URNCLIENT_NAMES : URNCLIENT_INDEXES};
    if (!worker->kind->varies)
        return;
    if (worker->load->count_max[request->pool] < count_max)
        count_max = worker->load->count_max[request->pool];
    request->count = 1 + (uint32_t)sim_random_below(random, count_max);
    request->as = (enum urnclient_as)sim_random_below(random, 3);
    request->all = sim_random_one_in(random, 4);
}

static enum urnclient_status ask(struct worker *worker, struct urnclient_error *error)
{
    struct worker_request *request = free_request(worker);
    CHECK(request != NULL);
    choose(worker, request);
    struct urnclient_call call = {.method = URNCLIENT_DRAW,
                                  .pool = worker->load->ledger.pools[request->pool].name,
                                  .count = request->count,
                                  .as = request->as,
                                  .all = request->all};
    request->sequence = ++worker->sent;
    request->floor_id = atomic_load(&worker->load->heard_id);
    request->sent_ns = now_ns();
    request->waits = true; /* before anything leaves: a request that fails to leave may have left */
    return urnclient_send(worker->client, &call, &request->msgid, error);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The index at the end of an item's id: "ruby-7", "coupon-00007". */
static uint64_t index_of(const struct urnclient_text *item_id)
{
    const char *dash = strrchr(item_id->bytes, '-');
    return dash == NULL ? UINT64_MAX : strtoull(dash + 1, NULL, 10);
}

/* Hands the outcomes over; *failed and *told say how many draws failed and how many were told of. */
static bool take_outcomes(struct ledger *ledger, uint32_t pool, const struct urnclient_draw *draw,
                          uint64_t *failed, uint64_t *told)
{
    bool good = true;
    *failed = draw->as == URNCLIENT_TALLY ? draw->failed : 0; /* a tally leaves them out */
    *told = *failed;
    for (uint32_t i = 0; i < draw->count && good; i++) {
        uint64_t index = 0;
        uint64_t times = 1;
        bool has_failed = false;
        if (draw->as == URNCLIENT_NAMES) {
            has_failed = draw->names[i].bytes == NULL;
            index = has_failed ? 0 : index_of(&draw->names[i]);
        } else if (draw->as == URNCLIENT_INDEXES) {
            has_failed = draw->indexes[i] == URNCLIENT_FAILED_DRAW;
            index = draw->indexes[i];
        } else {
            index = index_of(&draw->tally[i].item_id);
            times = draw->tally[i].drawn;
        }
        if (has_failed)
            *failed += 1;
        else
            good = ledger_take_outcome(ledger, pool, index, times);
        *told += times;
    }
    return good;
}

/* The requests of a connection are carried out in the order in which they were sent. */
static bool take_order(struct worker *worker, const struct worker_request *request,
                       uint64_t first_id, uint64_t last_id)
{
    bool is_later = request->sequence > worker->newest_sequence;
    if (is_later ? first_id <= worker->newest_last_id : last_id >= worker->newest_first_id)
        return ledger_violated(&worker->load->ledger,
                               "ids %" PRIu64 " to %" PRIu64 " were given to request %" PRIu64
                               " of a connection whose request %" PRIu64 " has %" PRIu64
                               " to %" PRIu64,
                               first_id, last_id, request->sequence, worker->newest_sequence,
                               worker->newest_first_id, worker->newest_last_id);
    if (is_later) {
        worker->newest_sequence = request->sequence;
        worker->newest_first_id = first_id;
        worker->newest_last_id = last_id;
    }
    return true;
}

static bool take_draw(struct worker *worker, const struct worker_request *request,
                      const struct urnclient_draw *draw)
{
    struct load *load = worker->load;
    const struct ledger_answer answer = {.pool = request->pool,
                                         .count = request->count,
                                         .failed = draw->failed,
                                         .first_id = draw->first_request_id,
                                         .floor_id = request->floor_id,
                                         .odds_version = draw->odds_version,
                                         .all = request->all};
    uint64_t failed = 0;
    uint64_t told = 0;
    if (!ledger_take_answer(&load->ledger, &answer) ||
        !take_order(worker, request, answer.first_id, answer.first_id + answer.count - 1) ||
        !take_outcomes(&load->ledger, request->pool, draw, &failed, &told))
        return false;
    if (told != request->count || failed != draw->failed)
        return ledger_violated(&load->ledger,
                               "asked for %" PRIu32 " draws, told of %" PRIu64 ", of which %" PRIu64
                               " failed, and not %" PRIu32,
                               request->count, told, failed, draw->failed);
    uint64_t highest_id = ledger_highest_id(&load->ledger);
    if (highest_id > atomic_load(&load->heard_id))
        atomic_store(&load->heard_id, highest_id);
    return true;
}

static void take_refusal(struct worker *worker, const struct worker_request *request,
                         const struct urnclient_error *error)
{
    struct load *load = worker->load;
    if (error->may_have_taken_effect)
        ledger_take_doubt(&load->ledger, request->pool, request->count);
    if (strcmp(error->code, "BUSY") == 0)
        load->busy++;
    else if (strcmp(error->code, "CLOSED") == 0)
        load->closed++;
    else if (strcmp(error->code, "NOSTOCK") == 0 && request->all)
        load->nostock++;
    else if (strcmp(error->code, "READONLY") == 0)
        load->readonly++;
    else if (strcmp(error->code, "INDOUBT") == 0)
        load->indoubt++;
    else
        (void)snprintf(load->trouble, sizeof load->trouble, "a draw was answered %s", error->text);
}

static struct worker_request *request_of(struct worker *worker, uint32_t msgid)
{
    for (uint32_t i = 0; i < worker->kind->in_flight; i++)
        if (worker->requests[i].waits && worker->requests[i].msgid == msgid)
            return &worker->requests[i];
    CHECK(msgid != msgid); /* the client library hands out what was asked for */
    return NULL;
}

/* Takes one answer; false when the connection is of no more use, or nothing can be believed. */
static bool take_one(struct worker *worker, struct urnclient_error *error)
{
    struct load *load = worker->load;
    struct urnclient_reply reply;
    uint32_t msgid = 0;
    enum urnclient_status status = urnclient_receive_any(worker->client, &msgid, &reply, error);
    if (status != URNCLIENT_OK && status != URNCLIENT_REFUSED)
        return false;
    uint64_t answered_ns = now_ns();
    struct worker_request *request = request_of(worker, msgid);
    request->waits = false;
    lock(load);
    if (status == URNCLIENT_OK) {
        (void)take_draw(worker, request, &reply.draw);
        histogram_add(&load->all_ns, answered_ns - request->sent_ns);
        if (worker->kind->is_alone)
            histogram_add(&load->lone_ns, answered_ns - request->sent_ns);
    } else {
        take_refusal(worker, request, error);
    }
    bool goes_on = !has_trouble(load);
    unlock(load);
    if (status == URNCLIENT_OK)
        urnclient_reply_free(&reply);
    else if (strcmp(error->code, "BUSY") == 0)
        (void)nanosleep(&(struct timespec){.tv_nsec = BUSY_REST_NS}, NULL);
    return goes_on;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Whatever waits now has a fate that nobody will hear of. */
static void end(struct worker *worker, const struct urnclient_error *error)
{
    struct load *load = worker->load;
    lock(load);
    for (uint32_t i = 0; i < worker->kind->in_flight; i++) {
        if (worker->requests[i].waits)
            ledger_take_doubt(&load->ledger, worker->requests[i].pool, worker->requests[i].count);
    }
    if (error->status == URNCLIENT_LOST || error->status == URNCLIENT_CONNECT)
        load->lost++;
    else if (error->status != URNCLIENT_OK && error->status != URNCLIENT_REFUSED)
        (void)snprintf(load->trouble, sizeof load->trouble, "%s: %s", worker->kind->name,
                       error->text);
    unlock(load);
    urnclient_close(worker->client);
    worker->client = NULL;
}

void *worker_run(void *context)
{
    struct worker *worker = context;
    struct urnclient_error error;
    const struct urnclient_options options = {.address = worker->address,
                                              .call_timeout_ms = ANSWER_TIMEOUT_MS,
                                              .max_in_flight = WORKER_IN_FLIGHT_MAX};
    CHECK(worker->kind->in_flight <= WORKER_IN_FLIGHT_MAX);
    if (urnclient_connect(&options, &worker->client, &error) != URNCLIENT_OK) {
        end(worker, &error);
        return NULL;
    }
    bool goes_on = true;
    while (goes_on) {
        while (goes_on && !atomic_load(&worker->load->stopping) && free_request(worker) != NULL)
            goes_on = ask(worker, &error) == URNCLIENT_OK;
        if (!goes_on || urnclient_in_flight(worker->client) == 0)
            break;
        goes_on = take_one(worker, &error);
    }
    while (urnclient_in_flight(worker->client) > 0 && take_one(worker, &error))
        ; /* what had arrived before the connection broke */
    end(worker, &error);
    return NULL;
}
