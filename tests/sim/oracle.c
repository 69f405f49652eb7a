/* oracle.c: see oracle.h. */
#include "tests/sim/oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/verdict.h"

struct model {
    uint64_t next_id;
    int64_t *quantity; /* of all items of all pools, one after the other */
    uint64_t *drawn;
};

/* A draw request that the engine has staged in this epoch. */
struct staged {
    uint64_t first_id;
    uint32_t count;
    uint32_t pool;
    uint64_t outcomes_at; /* in oracle.outcomes */
};

struct oracle {
    const struct scenario *scenario;
    uint32_t pool_begin[SCENARIO_POOLS_MAX]; /* index of its first item */
    struct model recovered;                  /* at the last adopted start */
    struct model live;                       /* that, and all that was staged since */
    struct model scratch;
    struct staged *staged;
    uint64_t staged_count, staged_capacity;
    uint32_t *outcomes;
    uint64_t outcome_count, outcome_capacity;
    uint64_t *group_ends; /* next ids at which a group ended */
    uint64_t group_end_count, group_end_capacity;
    uint64_t acknowledged_id;
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

/* ---- models ---------------------------------------------------------------------------------- */

static void model_make(struct model *model, uint32_t items)
{
    *model = (struct model){.next_id = 1};
    model->quantity = calloc(items, sizeof *model->quantity);
    model->drawn = calloc(items, sizeof *model->drawn);
    CHECK(model->quantity != NULL && model->drawn != NULL);
}

static void model_free(struct model *model)
{
    free(model->quantity);
    free(model->drawn);
}

static void model_copy(const struct oracle *oracle, struct model *to, const struct model *from)
{
    uint32_t items = oracle->scenario->item_count;
    to->next_id = from->next_id;
    memcpy(to->quantity, from->quantity, items * sizeof *to->quantity);
    memcpy(to->drawn, from->drawn, items * sizeof *to->drawn);
}

/* Draws that a pool can still give; UINT64_MAX: without end. */
static uint64_t pool_rest(const struct oracle *oracle, const struct model *model, uint32_t pool)
{
    const struct urn_pool_spec *spec = &oracle->scenario->pools[pool];
    uint64_t rest = 0;
    for (uint32_t i = 0; i < spec->item_count; i++) {
        int64_t quantity = model->quantity[oracle->pool_begin[pool] + i];
        if (spec->items[i].probability == 0)
            continue;
        if (quantity == URN_UNLIMITED)
            return UINT64_MAX;
        rest += (uint64_t)quantity;
    }
    return rest;
}

static void model_draw(const struct oracle *oracle, struct model *model, uint32_t pool,
                       const uint32_t *outcomes, uint32_t count)
{
    const struct urn_pool_spec *spec = &oracle->scenario->pools[pool];
    model->next_id += count;
    for (uint32_t i = 0; i < count; i++) {
        if (outcomes[i] == URN_FAILED_DRAW)
            continue;
        PROMISE(outcomes[i] < spec->item_count, "an outcome is %u in a pool of %u items",
                outcomes[i], spec->item_count);
        PROMISE(spec->items[outcomes[i]].probability > 0, "item %u of weight 0 was drawn",
                outcomes[i]);
        uint32_t item = oracle->pool_begin[pool] + outcomes[i];
        model->drawn[item]++;
        if (model->quantity[item] == URN_UNLIMITED)
            continue;
        PROMISE(model->quantity[item] > 0, "P2: item %u of pool %u was issued beyond its stock",
                outcomes[i], pool);
        model->quantity[item]--;
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

struct oracle *oracle_make(const struct scenario *scenario)
{
    struct oracle *oracle = calloc(1, sizeof *oracle);
    CHECK(oracle != NULL);
    oracle->scenario = scenario;
    oracle->fresh = true;
    oracle->acknowledged_id = 1;
    model_make(&oracle->recovered, scenario->item_count);
    model_make(&oracle->live, scenario->item_count);
    model_make(&oracle->scratch, scenario->item_count);
    uint32_t item = 0;
    for (uint32_t pool = 0; pool < scenario->config.pool_count; pool++) {
        oracle->pool_begin[pool] = item;
        for (uint32_t i = 0; i < scenario->pools[pool].item_count; i++)
            oracle->recovered.quantity[item++] = scenario->pools[pool].items[i].quantity;
    }
    model_copy(oracle, &oracle->live, &oracle->recovered);
    return oracle;
}

void oracle_free(struct oracle *oracle)
{
    if (oracle == NULL)
        return;
    model_free(&oracle->recovered);
    model_free(&oracle->live);
    model_free(&oracle->scratch);
    free(oracle->staged);
    free(oracle->outcomes);
    free(oracle->group_ends);
    free(oracle);
}

uint64_t oracle_acknowledged_id(const struct oracle *oracle)
{
    return oracle->acknowledged_id;
}

uint64_t oracle_next_id(const struct oracle *oracle)
{
    return oracle->live.next_id;
}

bool oracle_is_fresh(const struct oracle *oracle)
{
    return oracle->fresh;
}

void oracle_note_failure(struct oracle *oracle)
{
    oracle->failed = true;
}

void oracle_note_protected(struct oracle *oracle, uint64_t lsn)
{
    oracle->protected_lsn = lsn;
}

uint64_t oracle_protected_lsn(const struct oracle *oracle)
{
    return oracle->protected_lsn;
}

void oracle_note_group_end(struct oracle *oracle)
{
    oracle->group_ends = grown(oracle->group_ends, oracle->group_end_count + 1,
                               &oracle->group_end_capacity, sizeof *oracle->group_ends);
    oracle->group_ends[oracle->group_end_count++] = oracle->live.next_id;
}

/* ---- what the engine stages and answers ------------------------------------------------------ */

static void absorb_staged_draw(struct oracle *oracle, struct client_request *draw)
{
    const struct urn_request *request = &draw->request;
    PROMISE(draw->pool != CLIENT_NO_POOL && request->count > 0,
            "%u draws were staged, from a pool that does%s exist", request->count,
            draw->pool == CLIENT_NO_POOL ? " not" : "");
    PROMISE(request->first_request_id == oracle->live.next_id,
            "P3: a draw got id %" PRIu64 ", expected %" PRIu64, request->first_request_id,
            oracle->live.next_id);
    uint64_t rest = pool_rest(oracle, &oracle->live, draw->pool);
    uint64_t failed = request->count > rest ? request->count - rest : 0;
    PROMISE(request->failed == failed, "%u of %u draws failed, expected %" PRIu64, request->failed,
            request->count, failed);
    PROMISE(!request->draw_all || failed == 0, "a draw_all was staged although draws failed");
    PROMISE(request->odds_version == 1, "odds version %" PRIu64, request->odds_version);
    for (uint32_t i = 0; i < request->count; i++)
        PROMISE((request->outcomes[i] == URN_FAILED_DRAW) == (i >= request->count - failed),
                "failed draws are not the last ones");
    model_draw(oracle, &oracle->live, draw->pool, request->outcomes, request->count);

    size_t bytes = request->count * sizeof *request->outcomes;
    draw->outcomes_seen = malloc(bytes);
    CHECK(draw->outcomes_seen != NULL);
    memcpy(draw->outcomes_seen, request->outcomes, bytes);
    oracle->outcomes = grown(oracle->outcomes, oracle->outcome_count + request->count,
                             &oracle->outcome_capacity, sizeof *oracle->outcomes);
    memcpy(oracle->outcomes + oracle->outcome_count, request->outcomes, bytes);
    oracle->staged = grown(oracle->staged, oracle->staged_count + 1, &oracle->staged_capacity,
                           sizeof *oracle->staged);
    oracle->staged[oracle->staged_count++] = (struct staged){
        .first_id = request->first_request_id,
        .count = request->count,
        .pool = draw->pool,
        .outcomes_at = oracle->outcome_count,
    };
    oracle->outcome_count += request->count;
}

/* A draw that ended without being staged: was that right? */
static void absorb_refused_draw(const struct oracle *oracle, const struct client_request *draw,
                                uint64_t room_bytes)
{
    const struct urn_request *request = &draw->request;
    const struct urn_engine_config *config = &oracle->scenario->config;
    bool bad = request->count == 0 || request->count > config->max_batch;
    switch (request->code) {
    case URN_BADARG:
        PROMISE(bad, "BADARG for %u draws", request->count);
        break;
    case URN_NOPOOL:
        PROMISE(draw->pool == CLIENT_NO_POOL && !bad, "NOPOOL for a pool that exists");
        break;
    case URN_NOSTOCK:
        PROMISE(draw->pool != CLIENT_NO_POOL && request->draw_all &&
                    request->count > pool_rest(oracle, &oracle->live, draw->pool),
                "NOSTOCK although every draw could succeed");
        break;
    case URN_BUSY:
        /* The open group may be as large as a segment, and so may the padding before it. */
        PROMISE(draw->refused_at_once || room_bytes < 2 * config->segment_size_bytes,
                "BUSY with room in queue and log");
        break;
    case URN_READONLY: /* after a failure or while stopping; the host knows */
        break;
    default:
        violation("a draw ended with %s", urn_code_text(request->code));
    }
    PROMISE(!bad || request->code == URN_BADARG || request->code == URN_READONLY,
            "%u draws were asked for and got %s", request->count, urn_code_text(request->code));
}

static void check_item(const struct oracle *oracle, const struct model *model, uint32_t pool,
                       const struct urn_item *item, uint32_t index)
{
    const struct urn_item_spec *spec = &oracle->scenario->pools[pool].items[index];
    uint32_t at = oracle->pool_begin[pool] + index;
    PROMISE(item->index == index && item->item_id.length == spec->item_id_bytes &&
                memcmp(item->item_id.bytes, spec->item_id, spec->item_id_bytes) == 0,
            "item %u of pool %u is not itself", index, pool);
    PROMISE(item->quantity == model->quantity[at] && item->drawn == model->drawn[at],
            "item %u of pool %u: quantity %" PRId64 " drawn %" PRIu64 ", expected %" PRId64
            " and %" PRIu64,
            index, pool, item->quantity, item->drawn, model->quantity[at], model->drawn[at]);
    PROMISE(item->probability == spec->probability, "item %u of pool %u has another weight", index,
            pool);
    PROMISE(spec->quantity == URN_UNLIMITED || item->drawn <= (uint64_t)spec->quantity,
            "P2: item %u of pool %u: %" PRIu64 " issued of %" PRId64, index, pool, item->drawn,
            spec->quantity);
}

static void check_state(const struct oracle *oracle, const struct model *model, uint32_t pool,
                        const struct urn_request *request)
{
    PROMISE(request->last_request_id == model->next_id - 1,
            "last request id %" PRIu64 ", expected %" PRIu64, request->last_request_id,
            model->next_id - 1);
    PROMISE(request->open && request->odds_version == 1, "a pool is closed, or its odds changed");
    for (uint32_t i = 0; i < request->returned; i++)
        check_item(oracle, model, pool, &request->items[i], request->offset + i);
}

static void check_names(const struct oracle *oracle, uint32_t pool,
                        const struct urn_request *request)
{
    for (uint32_t i = 0; i < request->returned; i++) {
        uint32_t at = request->offset + i;
        const char *name = request->op == URN_POOLS
                               ? oracle->scenario->pools[at].name
                               : oracle->scenario->pools[pool].items[at].item_id;
        PROMISE(request->names[i].length == strlen(name) &&
                    memcmp(request->names[i].bytes, name, strlen(name)) == 0,
                "name %u is not %s", at, name);
    }
}

/* An answered read shows the staged model, whole. */
static void absorb_read(const struct oracle *oracle, const struct client_request *read)
{
    const struct urn_request *request = &read->request;
    if (request->code == URN_NOPOOL) {
        PROMISE(read->pool == CLIENT_NO_POOL && request->op != URN_POOLS, "NOPOOL for a pool");
        return;
    }
    if (request->code != URN_OK) {
        PROMISE(request->code == URN_BUSY || request->code == URN_READONLY, "a read ended with %s",
                urn_code_text(request->code));
        return;
    }
    PROMISE(request->op == URN_POOLS || read->pool != CLIENT_NO_POOL, "read from no pool");
    uint32_t total = request->op == URN_POOLS ? oracle->scenario->config.pool_count
                                              : oracle->scenario->pools[read->pool].item_count;
    uint32_t behind = request->offset < total ? total - request->offset : 0;
    PROMISE(request->total == total &&
                request->returned == (behind < request->limit ? behind : request->limit),
            "a read returned %u of %u", request->returned, request->total);
    if (request->op == URN_STATE)
        check_state(oracle, &oracle->live, read->pool, request);
    else
        check_names(oracle, read->pool, request);
}

static void note_absorbed(const struct oracle *oracle, struct client_request *request)
{
    request->absorbed = true;
    request->depends_id = oracle->live.next_id;
}

static void absorb_draws(struct oracle *oracle, const struct clients *clients, uint64_t room_bytes)
{
    bool in_order = true; /* no draw before has been left where it was */
    for (struct client_request *at = clients->first; at != NULL; at = at->next) {
        if (at->absorbed || at->request.op != URN_DRAW)
            continue;
        bool staged = at->request.first_request_id != 0;
        if (!in_order || (!staged && at->request.code == URN_OK)) {
            PROMISE(!staged, "a draw was staged before one that was submitted earlier");
            in_order = false;
            continue;
        }
        if (staged)
            absorb_staged_draw(oracle, at);
        else
            absorb_refused_draw(oracle, at, room_bytes);
        note_absorbed(oracle, at);
    }
}

void oracle_absorb(struct oracle *oracle, const struct clients *clients, uint64_t room_bytes)
{
    absorb_draws(oracle, clients, room_bytes);
    /* Reads show the state at the end of a group, and so all draws that were just staged. */
    for (struct client_request *at = clients->first; at != NULL; at = at->next) {
        bool answered = at->request.lsn != 0 || at->request.code != URN_OK;
        if (at->absorbed || at->request.op == URN_DRAW || !answered)
            continue;
        if (at->request.op == URN_SNAPSHOT) {
            at->absorbed = true; /* it may speak of an earlier end than the present one */
            continue;
        }
        absorb_read(oracle, at);
        note_absorbed(oracle, at);
    }
}

void oracle_collect(struct oracle *oracle, struct client_request *collected)
{
    const struct urn_request *request = &collected->request;
    bool tells = request->code == URN_OK || request->code == URN_NOSTOCK;
    PROMISE(!tells || !oracle->failed, "P6: %s was answered after the log had failed",
            urn_code_text(request->code));
    if (!tells)
        return;
    PROMISE(collected->absorbed, "an answer came that was never staged");
    if (request->op == URN_DRAW && request->code == URN_OK)
        PROMISE(memcmp(request->outcomes, collected->outcomes_seen,
                       request->count * sizeof *request->outcomes) == 0,
                "outcomes changed after they had been staged");
    if (collected->depends_id > oracle->acknowledged_id)
        oracle->acknowledged_id = collected->depends_id;
}

/* ---- after a start --------------------------------------------------------------------------- */

/* Applies to scratch the draws below next_id, which must be whole requests. */
static void replay_survivors(struct oracle *oracle, uint64_t next_id)
{
    model_copy(oracle, &oracle->scratch, &oracle->recovered);
    for (uint64_t i = 0; i < oracle->staged_count; i++) {
        const struct staged *staged = &oracle->staged[i];
        if (staged->first_id >= next_id)
            break;
        PROMISE(staged->first_id + staged->count <= next_id,
                "ids go on at %" PRIu64 ", in the middle of a request from %" PRIu64 " on", next_id,
                staged->first_id);
        model_draw(oracle, &oracle->scratch, staged->pool, oracle->outcomes + staged->outcomes_at,
                   staged->count);
    }
    PROMISE(oracle->scratch.next_id == next_id,
            "ids go on at %" PRIu64 ", but %" PRIu64 " is all that was staged", next_id,
            oracle->scratch.next_id);
}

static bool is_group_end(const struct oracle *oracle, uint64_t next_id)
{
    if (next_id == oracle->recovered.next_id)
        return true;
    for (uint64_t i = 0; i < oracle->group_end_count; i++)
        if (oracle->group_ends[i] == next_id)
            return true;
    return false;
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
    struct clients clients = {.scenario = oracle->scenario};
    for (uint32_t pool = 0; pool < oracle->scenario->config.pool_count; pool++) {
        struct client_request *read = clients_make_read(&clients, URN_STATE, pool);
        urn_submit(engine, &read->request);
        must_be_collected(engine, &read->request);
        PROMISE(read->request.returned == oracle->scenario->pools[pool].item_count,
                "pool %u has %u items", pool, read->request.returned);
        check_state(oracle, &oracle->scratch, pool, &read->request);
    }
    clients_forget(&clients);
}

static void adopt(struct oracle *oracle, const struct urn_start_report *report)
{
    model_copy(oracle, &oracle->recovered, &oracle->scratch);
    model_copy(oracle, &oracle->live, &oracle->scratch);
    oracle->staged_count = 0;
    oracle->outcome_count = 0;
    oracle->group_end_count = 0;
    oracle->acknowledged_id = report->next_request_id; /* the states just read say so */
    oracle->epoch = report->epoch;
    oracle->durable_lsn = report->end_lsn;
    oracle->failed = false;
    oracle->fresh = false;
}

void oracle_check_start(struct oracle *oracle, struct urn_engine *engine,
                        const struct urn_start_report *report, enum oracle_rigour rigour)
{
    uint64_t next_id = report->next_request_id;
    if (rigour != ORACLE_PREFIX) {
        PROMISE(next_id >= oracle->acknowledged_id,
                "P1: answers spoke of ids below %" PRIu64 ", but ids go on at %" PRIu64,
                oracle->acknowledged_id, next_id);
        PROMISE(report->end_lsn >= oracle->durable_lsn,
                "the log ends at %" PRIu64 ", and was durable up to %" PRIu64, report->end_lsn,
                oracle->durable_lsn);
        PROMISE(report->epoch > oracle->epoch, "epoch %" PRIu64 " after %" PRIu64, report->epoch,
                oracle->epoch);
    }
    if (rigour == ORACLE_PREFIX && next_id < oracle->recovered.next_id)
        return; /* beyond what is remembered here */
    PROMISE(is_group_end(oracle, next_id), "ids go on at %" PRIu64 ", where no group ended",
            next_id);
    replay_survivors(oracle, next_id);
    struct urn_engine_info info;
    urn_engine_info(engine, &info);
    PROMISE(info.next_request_id == next_id && info.epoch == report->epoch && !info.failed &&
                info.durable_lsn > report->end_lsn,
            "info and start report disagree");
    compare_pools(oracle, engine);
    if (rigour == ORACLE_ADOPT)
        adopt(oracle, report);
}
