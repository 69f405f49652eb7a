/* oracle.c: see oracle.h. */
#include "tests/sim/oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/answers.h"
#include "tests/sim/model.h"
#include "tests/sim/rules.h"
#include "tests/sim/verdict.h"

struct group_end {
    uint64_t lsn;
    uint64_t effects; /* how many there were by then */
};

/* A request that brings catalogs and takes many turns: first they are compared, then those of new pools are
 * added. */
struct job {
    struct client_request *client; /* NULL: none */
    bool compares;
    uint32_t items_before[MODEL_POOLS_MAX]; /* of each pool when it began */
    uint32_t next_pool;                     /* of its catalogs */
    uint64_t rest_items;                    /* that it has yet to add */
    bool over;                              /* the engine is done with it */
};

struct oracle {
    const struct scenario *scenario;
    struct model recovered; /* at the last adopted start */
    struct model live;      /* that, and all that was staged since */
    struct model scratch;
    struct effect *effects; /* all that was staged since */
    uint64_t effect_count, effect_capacity;
    uint32_t *outcomes; /* of their draws */
    uint64_t outcome_count, outcome_capacity;
    struct group_end *group_ends; /* since the adopted start */
    uint64_t group_end_count, group_end_capacity;
    struct draws draws; /* of all lives */
    struct ruling ruling;
    struct job job;
    uint64_t staged_requests; /* as the engine counts them; seen so far */
    uint32_t open_subjects;
    uint64_t acknowledged;     /* so many of the effects */
    uint64_t acknowledged_lsn; /* snapshots were said to cover */
    uint64_t highest_id;       /* that a client has ever seen */
    uint64_t protected_lsn;
    uint64_t epoch;
    uint64_t durable_lsn; /* highest that an adopted start ended at */
    bool failed;
    bool fresh;
};

static void *grown(void *array, uint64_t count, uint64_t *capacity, size_t element_bytes)
{
    if (count <= *capacity)
        return array;
    *capacity = count < 32 ? 64 : 2 * count;
    void *larger = realloc(array, *capacity * element_bytes);
    CHECK(larger != NULL);
    return larger;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Of the first start: the scenario's pools, open. */
static void begin_model(const struct scenario *scenario, struct model *model)
{
    model_make(model);
    for (uint32_t pool = 0; pool < scenario->config.pool_count; pool++) {
        const struct urn_pool_spec *spec = &scenario->pools[pool];
        struct effect effect = {
            .kind = EFFECT_POOL, .pool = pool, .name = {spec->name, spec->name_bytes}};
        model_apply(model, &effect, NULL);
        effect.kind = EFFECT_ITEM;
        for (uint32_t i = 0; i < spec->item_count; i++) {
            effect.name = (struct urn_text){spec->items[i].item_id, spec->items[i].item_id_bytes};
            effect.quantity = spec->items[i].quantity;
            effect.number = spec->items[i].probability;
            model_apply(model, &effect, NULL);
        }
        effect.kind = EFFECT_OPEN;
        model_apply(model, &effect, NULL);
    }
}

struct oracle *oracle_make(const struct scenario *scenario)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    CHECK(oracle != NULL);
    oracle->scenario = scenario;
    oracle->fresh = true;
    begin_model(scenario, &oracle->recovered);
    model_make(&oracle->live);
    model_make(&oracle->scratch);
    model_copy(&oracle->live, &oracle->recovered);
    return oracle;
}

void oracle_free(struct oracle *oracle)
{
    if (oracle == NULL)
        return;
    model_free(&oracle->recovered);
    model_free(&oracle->live);
    model_free(&oracle->scratch);
    rules_free(&oracle->ruling);
    draws_free(&oracle->draws);
    free(oracle->effects);
    free(oracle->outcomes);
    free(oracle->group_ends);
    free(oracle);
}

const struct draws *oracle_draws(const struct oracle *oracle)
{
    return &oracle->draws;
}

bool oracle_is_fresh(const struct oracle *oracle)
{
    return oracle->fresh;
}

void oracle_note_failure(struct oracle *oracle)
{
    oracle->failed = true;
    oracle->job = (struct job){0};
}

bool oracle_has_failed(const struct oracle *oracle)
{
    return oracle->failed;
}

void oracle_note_protected(struct oracle *oracle, uint64_t lsn)
{
    oracle->protected_lsn = lsn;
}

uint64_t oracle_protected_lsn(const struct oracle *oracle)
{
    return oracle->protected_lsn;
}

uint32_t oracle_open_subjects(const struct oracle *oracle)
{
    return oracle->open_subjects;
}

uint32_t oracle_note_group_end(struct oracle *oracle, uint64_t end_lsn)
{
    oracle->group_ends = grown(oracle->group_ends, oracle->group_end_count + 1,
                               &oracle->group_end_capacity, sizeof *oracle->group_ends);
    oracle->group_ends[oracle->group_end_count++] =
        (struct group_end){.lsn = end_lsn, .effects = oracle->effect_count};
    draws_end_group(&oracle->draws, end_lsn);
    const uint32_t subjects = oracle->open_subjects;
    oracle->open_subjects = 0;
    return subjects;
}

/* ---- effects --------------------------------------------------------------------------------- */

static void note_subject(struct oracle *oracle, enum subject subject)
{
    oracle->open_subjects |= 1u << subject;
}

static void take_effect(struct oracle *oracle, const struct effect *effect)
{
    model_apply(&oracle->live, effect, oracle->outcomes);
    oracle->effects = grown(oracle->effects, oracle->effect_count + 1, &oracle->effect_capacity,
                            sizeof *oracle->effects);
    oracle->effects[oracle->effect_count++] = *effect;
}

/* ---- admission ------------------------------------------------------------------------------- */

void oracle_check_admission(const struct oracle *oracle, const struct client_request *request,
                            bool queue_was_full)
{
    const enum urn_code code = request->request.code;
    const uint32_t faults = rules_faults(&oracle->scenario->config, &request->request);
    if (code == URN_READONLY) /* after a failure or while stopping; the host knows */
        return;
    if (code == URN_BUSY)
        PROMISE(queue_was_full, "BUSY with room in the queue");
    else if (code == URN_OK)
        PROMISE(faults == 0, "a request that cannot be right was taken");
    else
        PROMISE((faults & RULES_REFUSAL(code)) != 0, "a request was refused with %s",
                urn_code_text(code));
}

/* ---- draws ----------------------------------------------------------------------------------- */

static void absorb_outcomes(struct oracle *oracle, struct client_request *draw)
{
    const struct urn_request *request = &draw->request;
    const size_t bytes = request->count * sizeof *request->outcomes;
    draw->outcomes_seen = malloc(bytes);
    CHECK(draw->outcomes_seen != NULL);
    memcpy(draw->outcomes_seen, request->outcomes, bytes);
    oracle->outcomes = grown(oracle->outcomes, oracle->outcome_count + request->count,
                             &oracle->outcome_capacity, sizeof *oracle->outcomes);
    memcpy(oracle->outcomes + oracle->outcome_count, request->outcomes, bytes);
    const struct urn_text name = model_asked_name(request);
    const struct effect effect = {
        .kind = EFFECT_DRAW,
        .pool = model_pool_index(&oracle->live, model_find_pool(&oracle->live, name)),
        .index = request->count,
        .number = oracle->outcome_count,
    };
    oracle->outcome_count += request->count;
    draws_add(&oracle->draws, request, oracle->live.pools[effect.pool].name);
    take_effect(oracle, &effect);
}

static void absorb_draw(struct oracle *oracle, struct client_request *draw)
{
    const struct urn_request *request = &draw->request;
    const uint64_t failed = oracle->ruling.failed;
    PROMISE(request->first_request_id == oracle->live.next_id,
            "P3: a draw got id %" PRIu64 ", expected %" PRIu64, request->first_request_id,
            oracle->live.next_id);
    PROMISE(request->failed == failed, "%u of %u draws failed, expected %" PRIu64, request->failed,
            request->count, failed);
    for (uint32_t i = 0; i < request->count; i++)
        PROMISE((request->outcomes[i] == URN_FAILED_DRAW) == (i >= request->count - failed),
                "failed draws are not the last ones");
    absorb_outcomes(oracle, draw);
    note_subject(oracle, SUBJECT_DRAWS);
}

/* ---- catalogs -------------------------------------------------------------------------------- */

static const struct urn_pool_spec *job_spec(const struct job *job)
{
    return &job->client->request.pools[job->next_pool];
}

static const struct model_pool *job_pool(const struct oracle *oracle)
{
    const struct urn_pool_spec *spec = job_spec(&oracle->job);
    return model_find_pool(&oracle->live, (struct urn_text){spec->name, spec->name_bytes});
}

/* Skips what the job does not touch: pools that are done, or begun otherwise. False: none is left. */
static bool find_catalog(struct oracle *oracle)
{
    for (; oracle->job.next_pool < oracle->job.client->request.pool_count;
         oracle->job.next_pool++) {
        const struct model_pool *pool = job_pool(oracle);
        if (pool == NULL || (pool->unfinished && rules_begins(pool, job_spec(&oracle->job))))
            return true;
    }
    return false;
}

/* The catalogs of new pools, once all else of the request has been carried out. What it is going to add is
 * counted once; that much is kept for it until it is over. */
static void begin_catalogs(struct oracle *oracle, struct client_request *client)
{
    oracle->job = (struct job){.client = client};
    for (; find_catalog(oracle); oracle->job.next_pool++) {
        const struct model_pool *pool = job_pool(oracle);
        oracle->job.rest_items +=
            job_spec(&oracle->job)->item_count - (pool == NULL ? 0 : pool->item_count);
    }
    oracle->job.next_pool = 0;
}

/* What stands in the engine of the catalog that the job is at. */
static const struct urn_pool *staged_pool(const struct oracle *oracle,
                                          const struct urn_engine *engine)
{
    const struct state *state = &engine->writer.state;
    const struct model_pool *pool = job_pool(oracle);
    const uint32_t id =
        pool != NULL ? model_pool_index(&oracle->live, pool) : oracle->live.pool_count;
    const struct urn_pool_spec *spec = job_spec(&oracle->job);
    if (id >= state->pool_count ||
        !model_same_text(pool_name(state->pools[id]),
                         (struct urn_text){spec->name, spec->name_bytes}))
        return NULL;
    return state->pools[id];
}

static void add_items(struct oracle *oracle, uint32_t until)
{
    const struct urn_pool_spec *spec = job_spec(&oracle->job);
    const struct model_pool *pool = job_pool(oracle);
    oracle->job.rest_items -= until - pool->item_count;
    for (uint32_t i = pool->item_count; i < until; i++)
        take_effect(oracle, &(struct effect){
                                .kind = EFFECT_ITEM,
                                .pool = model_pool_index(&oracle->live, pool),
                                .name = {spec->items[i].item_id, spec->items[i].item_id_bytes},
                                .quantity = spec->items[i].quantity,
                                .number = spec->items[i].probability,
                            });
}

/* Follows one catalog as far as the engine has staged it in this step. Returns whether it is done. A
 * pool that is not unfinished any more was opened by the job with its last item, or the job is over
 * and somebody has closed it since. */
static bool follow_catalog(struct oracle *oracle, const struct urn_engine *engine)
{
    const struct urn_pool_spec *spec = job_spec(&oracle->job);
    const struct urn_pool *staged = staged_pool(oracle, engine);
    if (staged == NULL)
        return false;
    const bool done = !pool_is_unfinished(staged);
    const uint32_t until = done ? spec->item_count : pool_item_count(staged);
    if (done && oracle->job.over && pool_item_count(staged) < spec->item_count)
        return false;
    PROMISE(until <= spec->item_count, "%u items were added of a catalog of %u", until,
            spec->item_count);
    const bool begun = job_pool(oracle) != NULL;
    if (!begun || until > job_pool(oracle)->item_count || done)
        oracle->job.client->begun = true;
    if (!begun)
        take_effect(oracle, &(struct effect){.kind = EFFECT_POOL,
                                             .pool = oracle->live.pool_count,
                                             .name = {spec->name, spec->name_bytes}});
    PROMISE(until >= job_pool(oracle)->item_count, "items of an unfinished pool are gone");
    const bool whole = !begun && done;
    if (!begun || done || until > job_pool(oracle)->item_count)
        note_subject(oracle, whole  ? SUBJECT_CHANGE
                             : done ? SUBJECT_CATALOG_END
                                    : SUBJECT_CATALOG_PART);
    add_items(oracle, until);
    if (done)
        take_effect(oracle,
                    &(struct effect){.kind = EFFECT_OPEN,
                                     .pool = model_pool_index(&oracle->live, job_pool(oracle))});
    return done;
}

static void note_absorbed(const struct oracle *oracle, struct client_request *request)
{
    request->absorbed = true;
    request->depends_on = oracle->effect_count;
}

static void end_job(struct oracle *oracle, bool may_be_busy)
{
    struct client_request *client = oracle->job.client;
    const struct urn_request *request = &client->request;
    const bool complete = !find_catalog(oracle);
    /* What has begun waits for room, but at a stop. */
    const bool may_give_up =
        may_be_busy && request->code == (client->begun ? URN_INDOUBT : URN_BUSY);
    PROMISE(request->code == URN_OK || (may_give_up && client->error.code == request->code),
            "catalogs that were%s begun ended with %s", client->begun ? "" : " not",
            urn_code_text(request->code));
    PROMISE(request->code != URN_OK || complete, "catalogs were said to be there and are not");
    if (request->op == URN_CREATE && request->code == URN_OK) {
        oracle->job.next_pool = 0;
        PROMISE(request->odds_version == job_pool(oracle)->odds_version,
                "a pool was made at odds version %" PRIu64, request->odds_version);
    }
    oracle->job = (struct job){0};
    note_absorbed(oracle, client);
}

/* How far the job has come in this step; its progress in one step is all in one place. */
static void follow_job(struct oracle *oracle, const struct urn_engine *engine, bool may_be_busy)
{
    struct job *job = &oracle->job;
    job->over = engine->writer.job.request != &job->client->request;
    /* A CREATE that is given up is so before it adds anything in that step; and BUSY says that nothing was ever
     * added, so that a pool which is not unfinished any more has been closed by somebody since. */
    const enum urn_code code = job->client->request.code;
    const bool still = job->over && ((job->client->request.op == URN_CREATE && code != URN_OK) ||
                                     code == URN_BUSY);
    while (!still && find_catalog(oracle) && follow_catalog(oracle, engine))
        ;
    if (job->over)
        end_job(oracle, may_be_busy);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void take_ruling(struct oracle *oracle, enum subject subject)
{
    for (uint32_t i = 0; i < oracle->ruling.effect_count; i++)
        take_effect(oracle, &oracle->ruling.effects[i]);
    if (oracle->ruling.effect_count > 0)
        note_subject(oracle, subject);
}

static void absorb_reload(struct oracle *oracle, struct client_request *client,
                          const struct urn_engine *engine, bool may_be_busy)
{
    const struct urn_request *request = &client->request;
    answers_check_reload(&oracle->ruling, request);
    if (request->code != URN_BUSY) {
        take_ruling(oracle, SUBJECT_RELOAD);
        client->begun = oracle->ruling.effect_count > 0;
    }
    if (!request->dry_run && oracle->ruling.brings_pools) {
        begin_catalogs(oracle, client);
        follow_job(oracle, engine, may_be_busy);
    } else {
        note_absorbed(oracle, client);
    }
}

static void absorb_carried_out(struct oracle *oracle, struct client_request *client,
                               const struct urn_engine *engine, bool may_be_busy)
{
    const struct urn_request *request = &client->request;
    if (request->op == URN_RELOAD) {
        absorb_reload(oracle, client, engine, may_be_busy);
        return;
    }
    if (request->op == URN_CREATE) {
        begin_catalogs(oracle, client);
        follow_job(oracle, engine, may_be_busy);
        return;
    }
    if (request->code == URN_OK) {
        PROMISE(request->odds_version == oracle->ruling.odds_version,
                "odds version %" PRIu64 ", expected %" PRIu64, request->odds_version,
                oracle->ruling.odds_version);
        if (request->op == URN_DRAW)
            absorb_draw(oracle, client);
        else
            take_ruling(oracle, SUBJECT_CHANGE);
    }
    note_absorbed(oracle, client);
}

/* A draw or a change whose turn has come: either it must be refused, or it is carried out, or there is
 * no room. */
static void absorb_planned(struct oracle *oracle, struct client_request *client,
                           const struct circumstances *now, const struct urn_engine *engine,
                           bool may_be_busy)
{
    const struct urn_request *request = &client->request;
    rules_on(now, request, &oracle->ruling);
    const uint32_t refusals = oracle->ruling.refusals;
    const bool no_room = request->code == URN_BUSY && may_be_busy;
    if (refusals != 0) {
        PROMISE(no_room || (refusals & RULES_REFUSAL(request->code)) != 0,
                "%s is no answer to a request of kind %u (refusals %#x)",
                urn_code_text(request->code), request->op, refusals);
        PROMISE(!client->is_change || request->code == URN_NOPOOL || no_room ||
                    client->error.code == request->code,
                "%s does not say why", urn_code_text(request->code));
        note_absorbed(oracle, client);
        return;
    }
    const bool gave_up =
        request->code == URN_INDOUBT && may_be_busy && client->catalogs.pool_count > 0;
    PROMISE(no_room || gave_up || request->code == URN_OK,
            "a request of kind %u was refused with %s: %s", request->op,
            urn_code_text(request->code), client->error.text);
    absorb_carried_out(oracle, client, engine, may_be_busy);
}

static bool is_compared_still(const struct urn_engine *engine, const struct client_request *client)
{
    return engine->writer.job.request == &client->request && !engine->writer.job.is_compared;
}

/* A draw or a change whose turn has come. */
static void absorb_staged(struct oracle *oracle, struct client_request *client,
                          const struct urn_engine *engine, bool may_be_busy)
{
    const struct circumstances now = {.model = &oracle->live,
                                      .config = &oracle->scenario->config,
                                      .has_job = oracle->job.client != NULL,
                                      .job_rest_items = oracle->job.rest_items};
    if (!is_compared_still(engine, client)) {
        absorb_planned(oracle, client, &now, engine, may_be_busy);
        return;
    }
    PROMISE(!now.has_job, "two requests compare catalogs");
    oracle->job = (struct job){.client = client, .compares = true};
    for (uint32_t i = 0; i < oracle->live.pool_count; i++)
        oracle->job.items_before[i] = oracle->live.pools[i].item_count;
}

/* The job goes on before anything else is staged. */
static void absorb_job(struct oracle *oracle, const struct urn_engine *engine, bool may_be_busy)
{
    struct client_request *client = oracle->job.client;
    if (!oracle->job.compares) {
        follow_job(oracle, engine, may_be_busy);
        return;
    }
    if (is_compared_still(engine, client))
        return;
    const struct job compared = oracle->job;
    const struct circumstances now = {.model = &oracle->live,
                                      .config = &oracle->scenario->config,
                                      .items_before = compared.items_before};
    oracle->job = (struct job){0};
    absorb_planned(oracle, client, &now, engine, may_be_busy);
}

/* ---- everything ------------------------------------------------------------------------------ */

/* Those that the engine has staged since the last look: the oldest that it had not. */
static void absorb_all_staged(struct oracle *oracle, struct clients *clients,
                              const struct urn_engine *engine, bool may_be_busy)
{
    struct urn_engine_info info;
    urn_engine_info(engine, &info);
    struct client_request *at = clients->unsettled != NULL ? clients->unsettled : clients->first;
    for (; oracle->staged_requests < info.requests; at = at->next) {
        PROMISE(at != NULL, "the engine has staged more than was submitted");
        if (at->staged || at->refused_at_once || at->request.op == URN_LOOKUP)
            continue;
        at->staged = true;
        oracle->staged_requests++;
        if (at->request.op == URN_DRAW || at->is_change)
            absorb_staged(oracle, at, engine, may_be_busy);
        else if (at->request.op == URN_SNAPSHOT)
            note_absorbed(oracle, at);
    }
}

static void absorb_reservation(struct oracle *oracle, const struct urn_engine *engine)
{
    const uint64_t reserved_id = engine->writer.state.reserved_request_id;
    if (reserved_id != oracle->live.reserved_id)
        take_effect(oracle, &(struct effect){.kind = EFFECT_IDS, .number = reserved_id});
}

/* Reads show the state at the end of a group, and so all that has just been staged. */
static void absorb_reads(struct oracle *oracle, struct clients *clients)
{
    bool settled = true; /* all before */
    struct client_request *at = clients->unsettled != NULL ? clients->unsettled : clients->first;
    for (; at != NULL; at = at->next) {
        const bool is_read = at->staged && !at->absorbed && at->request.op != URN_DRAW &&
                             !at->is_change && at->request.op != URN_SNAPSHOT;
        const bool answered = at->request.lsn != 0;
        if (is_read && answered) {
            answers_check_read(&oracle->live, &at->request);
            note_absorbed(oracle, at);
        }
        settled = settled && (at->absorbed || at->refused_at_once);
        if (settled)
            clients->unsettled = at;
    }
}

void oracle_absorb(struct oracle *oracle, struct clients *clients, const struct urn_engine *engine,
                   bool may_be_busy)
{
    if (oracle->failed)
        return;
    if (oracle->job.client != NULL)
        absorb_job(oracle, engine, may_be_busy);
    absorb_all_staged(oracle, clients, engine, may_be_busy);
    absorb_reservation(oracle, engine);
    absorb_reads(oracle, clients);
}

/* The first end of a group at which all that the request speaks of has been staged. */
static uint64_t group_end_behind(const struct oracle *oracle, uint64_t effects)
{
    for (uint64_t i = 0; i < oracle->group_end_count; i++)
        if (oracle->group_ends[i].effects >= effects)
            return oracle->group_ends[i].lsn;
    return UINT64_MAX;
}

static bool speaks_of_the_state(const struct client_request *collected)
{
    switch (collected->request.code) {
    case URN_BUSY:
    case URN_READONLY:
    case URN_INDOUBT:
        return false;
    default:
        return !collected->refused_at_once;
    }
}

void oracle_collect(struct oracle *oracle, struct client_request *collected)
{
    const struct urn_request *request = &collected->request;
    if (!speaks_of_the_state(collected) || (request->op == URN_SNAPSHOT && request->code != URN_OK))
        return;
    PROMISE(!oracle->failed, "P6: %s was answered after the log had failed",
            urn_code_text(request->code));
    PROMISE(collected->absorbed, "an answer came that was never staged");
    if (request->op == URN_DRAW && request->code == URN_OK) {
        PROMISE(memcmp(request->outcomes, collected->outcomes_seen,
                       request->count * sizeof *request->outcomes) == 0,
                "outcomes changed after they had been staged");
        PROMISE(request->first_request_id > oracle->highest_id,
                "P3: id %" PRIu64 " was given again", request->first_request_id);
        oracle->highest_id = request->first_request_id + request->count - 1;
        draws_note_answered(&oracle->draws, oracle->highest_id);
    }
    if (request->op == URN_SNAPSHOT) {
        const uint64_t covered = collected->depends_on;
        PROMISE(covered == 0 || group_end_behind(oracle, covered) <= request->lsn,
                "a snapshot covers LSN %" PRIu64 " only", request->lsn);
        if (request->lsn > oracle->acknowledged_lsn)
            oracle->acknowledged_lsn = request->lsn;
    }
    if (collected->depends_on > oracle->acknowledged)
        oracle->acknowledged = collected->depends_on;
}

/* ---- after a start --------------------------------------------------------------------------- */

/* How many effects stand in whole groups below the end of the log. */
static uint64_t surviving_effects(const struct oracle *oracle, uint64_t end_lsn)
{
    uint64_t effects = 0;
    for (uint64_t i = 0; i < oracle->group_end_count; i++)
        if (oracle->group_ends[i].lsn <= end_lsn)
            effects = oracle->group_ends[i].effects;
    return effects;
}

static void replay_survivors(struct oracle *oracle, uint64_t effects)
{
    model_copy(&oracle->scratch, &oracle->recovered);
    for (uint64_t i = 0; i < effects; i++)
        model_apply(&oracle->scratch, &oracle->effects[i], oracle->outcomes);
}

static void must_be_collected(struct urn_engine *engine, const struct urn_request *expected)
{
    while (writer_step(engine) || atomic_load(&engine->commit_slot) != NULL) {
        if (atomic_load(&engine->commit_slot) == NULL)
            continue;
        if (engine_commit_begin(engine))
            (void)engine_commit_end(engine);
    }
    const struct urn_request *list = urn_collect(engine);
    PROMISE(list == expected && list->next == NULL && list->code == URN_OK,
            "the first read after a start ended with %s",
            list == NULL ? "nothing" : urn_code_text(list->code));
}

/* Every pool's state, through the engine's public face. */
static void compare_pools(const struct oracle *oracle, struct urn_engine *engine)
{
    const struct model *model = &oracle->scratch;
    struct clients clients = {.scenario = oracle->scenario};
    struct client_request *read =
        clients_make_read(&clients, URN_POOLS, (struct urn_text){NULL, 0}, MODEL_POOLS_MAX);
    for (uint32_t pool = 0; pool <= model->pool_count; pool++) {
        urn_submit(engine, &read->request);
        must_be_collected(engine, &read->request);
        answers_check_read(model, &read->request);
        if (pool < model->pool_count)
            read = clients_make_read(&clients, URN_STATE, model->pools[pool].name,
                                     model->pools[pool].item_count);
    }
    clients_forget(&clients);
}

/* A file that makes a dry run tell what was applied: where state and file agree another weight, which must
 * be a plain change; elsewhere the applied one, which must be none. */
static struct urn_item_spec probe_item(const struct model_item *item)
{
    struct urn_item_spec spec = {.item_id = item->name.bytes,
                                 .item_id_bytes = item->name.length,
                                 .probability = item->applied};
    if (item->applied == item->weight)
        spec.probability = item->weight > 0 ? item->weight - 1 : 1;
    return spec;
}

static struct catalog_list probe_file(const struct model *model)
{
    struct catalog_list list = {0};
    for (uint32_t i = 0; i < model->pool_count; i++) {
        const struct model_pool *pool = &model->pools[i];
        if (pool->unfinished)
            continue;
        struct urn_item_spec *items = calloc(pool->item_count + 1u, sizeof *items);
        CHECK(items != NULL);
        for (uint32_t item = 0; item < pool->item_count; item++)
            items[item] = probe_item(&pool->items[item]);
        catalogs_append(&list, pool->name, items, pool->item_count);
        free(items);
    }
    return list;
}

static void compare_applied(struct oracle *oracle, struct urn_engine *engine)
{
    const struct model *model = &oracle->scratch;
    struct clients clients = {.scenario = oracle->scenario};
    struct client_request *probe = clients_make_catalogs(
        &clients, URN_RELOAD, probe_file(model), (uint32_t)model->item_count + MODEL_POOLS_MAX);
    probe->request.dry_run = true;
    const struct circumstances now = {.model = model, .config = &oracle->scenario->config};
    rules_on(&now, &probe->request, &oracle->ruling);
    if (oracle->ruling.refusals == 0 &&
        rules_faults(&oracle->scenario->config, &probe->request) == 0) {
        urn_submit(engine, &probe->request);
        must_be_collected(engine, &probe->request);
        answers_check_reload(&oracle->ruling, &probe->request);
    }
    clients_forget(&clients);
}

/* Without a sync, of a lap that overwrites a segment anything may have arrived before its header page; but only
 * what two snapshots cover is overwritten. */
static uint64_t torn_lsn(const struct urn_engine *engine, const struct oracle_finding *finding)
{
    return finding->power_was_lost && finding->mode != URN_WAL_COMMIT
               ? wal_segment_begin(&engine->ring.geometry, finding->report->snapshot_lsn)
               : 0;
}

static void adopt(struct oracle *oracle, const struct urn_engine *engine,
                  const struct oracle_finding *finding)
{
    const struct urn_start_report *report = finding->report;
    struct urn_engine_info info;
    urn_engine_info(engine, &info);
    model_copy(&oracle->recovered, &oracle->scratch);
    model_copy(&oracle->live, &oracle->scratch);
    oracle->effect_count = 0;
    oracle->outcome_count = 0;
    oracle->group_end_count = 0;
    oracle->acknowledged = 0; /* what is recovered is durable */
    oracle->acknowledged_lsn = 0;
    oracle->job = (struct job){0};
    oracle->open_subjects = 0;
    oracle->staged_requests = info.requests;
    oracle->epoch = report->epoch;
    oracle->durable_lsn = report->end_lsn;
    oracle->failed = false;
    oracle->fresh = false;
    draws_recover(&oracle->draws, finding->found_lsn, report->next_request_id,
                  torn_lsn(engine, finding));
    /* The first thing that an engine does in modes interval and os; the reads above have let it. */
    if (engine->writer.state.reserved_request_id != oracle->live.reserved_id) {
        absorb_reservation(oracle, engine);
        (void)oracle_note_group_end(oracle, engine->writer.end_lsn);
    }
}

/* Where ids go on behind this log. */
static uint64_t next_id_behind(const struct model *model)
{
    return model->reserved_id >= model->next_id ? model->reserved_id + 1 : model->next_id;
}

static void check_losses(const struct oracle *oracle, const struct oracle_finding *finding,
                         uint64_t effects)
{
    const uint64_t found_lsn = finding->found_lsn;
    const bool may_have_lost = finding->power_was_lost && finding->mode != URN_WAL_COMMIT;
    PROMISE(may_have_lost || effects >= oracle->acknowledged,
            "P1: answers spoke of %" PRIu64 " effects since the last start, and %" PRIu64
            " are there",
            oracle->acknowledged, effects);
    PROMISE(found_lsn >= oracle->durable_lsn && found_lsn >= oracle->acknowledged_lsn &&
                found_lsn >= finding->durable_lsn,
            "the log ends at %" PRIu64 ", and was durable up to %" PRIu64 ", %" PRIu64
            " and %" PRIu64,
            found_lsn, oracle->durable_lsn, oracle->acknowledged_lsn, finding->durable_lsn);
    PROMISE(finding->report->epoch > oracle->epoch, "epoch %" PRIu64 " after %" PRIu64,
            finding->report->epoch, oracle->epoch);
    PROMISE(finding->report->next_request_id > oracle->highest_id,
            "P3: ids go on at %" PRIu64 ", and %" PRIu64 " was given",
            finding->report->next_request_id, oracle->highest_id);
}

void oracle_check_lookups(const struct oracle *oracle, struct urn_engine *engine,
                          const struct oracle_finding *finding, struct coverage *coverage,
                          struct sim_random *luck)
{
    const struct lookup_moment start = {
        .lost_lsn = finding->found_lsn,
        .torn_lsn = torn_lsn(engine, finding),
        .archive_is_missing = finding->archive_is_missing,
    };
    draws_look_up_some(&oracle->draws, engine, &start, coverage, luck);
}

void oracle_check_start(struct oracle *oracle, struct urn_engine *engine,
                        const struct oracle_finding *finding, enum oracle_rigour rigour)
{
    const struct urn_start_report *report = finding->report;
    CHECK(finding->found_lsn <= report->end_lsn);
    const uint64_t effects = surviving_effects(oracle, finding->found_lsn);
    if (rigour != ORACLE_PREFIX)
        check_losses(oracle, finding, effects);
    if (rigour == ORACLE_PREFIX && finding->found_lsn < oracle->durable_lsn)
        return; /* beyond what is remembered here */
    replay_survivors(oracle, effects);
    oracle->scratch.next_id = next_id_behind(&oracle->scratch);
    PROMISE(report->next_request_id == oracle->scratch.next_id,
            "P3: ids go on at %" PRIu64 ", expected %" PRIu64, report->next_request_id,
            oracle->scratch.next_id);
    struct urn_engine_info info;
    urn_engine_info(engine, &info);
    PROMISE(info.next_request_id == report->next_request_id && info.epoch == report->epoch &&
                !info.failed && info.durable_lsn > report->end_lsn,
            "info and start report disagree");
    compare_pools(oracle, engine);
    compare_applied(oracle, engine);
    if (rigour == ORACLE_ADOPT)
        adopt(oracle, engine, finding);
}
