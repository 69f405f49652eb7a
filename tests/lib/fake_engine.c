/* fake_engine.c: see fake_engine.h. */
#include "tests/lib/fake_engine.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/error.h"

#define ITEMS 3u

static const char *const item_ids[ITEMS] = {"apple", "pear", "nut"};
static const char *const pool_names[] = {"main", "dry", "shut"};

#define POOLS (sizeof pool_names / sizeof pool_names[0])

struct urn_pool {
    const char *name;
};

static const struct urn_pool pools[POOLS] = {{"main"}, {"dry"}, {"shut"}};

struct list {
    struct urn_request *first, **end;
};

struct urn_engine {
    struct urn_engine_config config;
    struct list held, finished;
    uint32_t held_count;
    bool holds;
    enum urn_code answer;
    struct urn_error failure;
    struct urn_error snapshot_failure;
    struct urn_error archive_failure;
    uint64_t busy_log;
    uint64_t room_bytes;
    uint64_t next_request_id;
    uint64_t requests;
    uint64_t known_pools;
    struct urn_request *quiet; /* what urn_work_here is to work at */
    uint32_t worked_here;
    bool is_here; /* urn_work_here is finishing */
    bool hangs;
    sem_t hanging, let_out;
    bool hangs_behind;
    pthread_mutex_t *lock; /* what is submitted, collected and told */
    pthread_mutex_t the_lock;
};

static void list_add(struct list *list, struct urn_request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

static struct urn_text text_of(const char *string)
{
    return (struct urn_text){string, (uint32_t)strlen(string)};
}

enum urn_code urn_engine_config_check(const struct urn_engine_config *config,
                                      struct urn_error *error)
{
    (void)config;
    (void)error;
    return URN_OK;
}

uint64_t urn_engine_memory_bound_bytes(const struct urn_engine_config *config)
{
    (void)config;
    return sizeof(struct urn_engine);
}

enum urn_code urn_engine_open(const struct urn_engine_config *config, struct urn_engine **result,
                              struct urn_start_report *report, struct urn_error *error)
{
    (void)error;
    struct urn_engine *engine = calloc(1, sizeof *engine);
    CHECK(engine != NULL);
    engine->config = *config;
    engine->held.end = &engine->held.first;
    engine->finished.end = &engine->finished.first;
    engine->next_request_id = 1;
    CHECK(sem_init(&engine->hanging, 0, 0) == 0 && sem_init(&engine->let_out, 0, 0) == 0);
    CHECK(pthread_mutex_init(&engine->the_lock, NULL) == 0);
    engine->lock = &engine->the_lock;
    *report = (struct urn_start_report){.created = true, .epoch = 1, .next_request_id = 1};
    *result = engine;
    return URN_OK;
}

enum urn_code urn_engine_stop(struct urn_engine *engine, struct urn_error *error)
{
    fake_engine_let_go(engine, UINT32_MAX);
    if (engine->failure.code != URN_OK)
        *error = engine->failure;
    return engine->failure.code;
}

void urn_engine_free(struct urn_engine *engine)
{
    if (engine == NULL)
        return;
    CHECK(engine->held.first == NULL && engine->finished.first == NULL && engine->quiet == NULL);
    CHECK(pthread_mutex_destroy(&engine->the_lock) == 0);
    CHECK(sem_destroy(&engine->hanging) == 0 && sem_destroy(&engine->let_out) == 0);
    free(engine);
}

static void draw(struct urn_engine *engine, struct urn_request *request, bool dry)
{
    request->code = URN_OK;
    request->odds_version = 1;
    request->failed = dry ? request->count : 0;
    if (dry && request->draw_all) {
        request->code = URN_NOSTOCK;
        return;
    }
    request->first_request_id = engine->next_request_id;
    for (uint32_t i = 0; i < request->count; i++) {
        uint32_t item = (uint32_t)(engine->next_request_id++ % ITEMS);
        request->outcomes[i] = dry ? URN_FAILED_DRAW : item;
    }
}

static void look(struct urn_request *request)
{
    uint32_t total = request->op == URN_POOLS ? (uint32_t)POOLS : ITEMS;
    const char *const *names = request->op == URN_POOLS ? pool_names : item_ids;
    request->total = total;
    request->returned = 0;
    for (uint32_t i = request->offset; i < total && request->returned < request->limit; i++) {
        uint32_t at = request->returned++;
        if (request->op == URN_STATE)
            request->items[at] = (struct urn_item){text_of(names[i]), i, 10 * (int64_t)i - 1, i, i};
        else
            request->names[at] = text_of(names[i]);
    }
    request->odds_version = 1;
    request->open = true;
    request->code = URN_OK;
}

static void look_up(const struct urn_engine *engine, struct urn_request *request)
{
    const uint64_t id = request->request_id;
    request->code = URN_OK;
    request->outcome = id % 5 == 0 ? URN_FAILED_DRAW : (uint32_t)(id % ITEMS);
    request->odds_version = 1;
    request->wall_time_us = 1000000 * id;
    request->lsn = 4096 + 8 * id;
    if (id < engine->next_request_id)
        return;
    request->code = URN_NOTFOUND;
    if (request->error != NULL)
        error_set(request->error, URN_NOTFOUND, 0, "no draw has this id");
}

static bool asks_for(const struct urn_request *request, const char *name)
{
    return request->pool_name != NULL && strlen(name) == request->pool_name_bytes &&
           memcmp(name, request->pool_name, request->pool_name_bytes) == 0;
}

/* The place of a request's pool among all; POOLS: there is no such one. */
static size_t pool_of(struct urn_engine *engine, const struct urn_request *request)
{
    if (request->op == URN_DRAW && request->pool_name == NULL && request->pool != NULL) {
        engine->known_pools++;
        CHECK(request->pool >= pools && request->pool < pools + POOLS);
        return (size_t)(request->pool - pools);
    }
    size_t pool = 0;
    while (pool < POOLS && request->op != URN_POOLS && request->op != URN_LOOKUP &&
           !asks_for(request, pool_names[pool]))
        pool++;
    return pool;
}

uint64_t fake_engine_known_pools(const struct urn_engine *engine)
{
    return engine->known_pools;
}

static void finish(struct urn_engine *engine, struct urn_request *request)
{
    const size_t pool = pool_of(engine, request);
    request->pool = pool < POOLS ? &pools[pool] : NULL;
    if (engine->failure.code != URN_OK)
        request->code = URN_READONLY;
    else if (engine->answer != URN_OK)
        request->code = engine->answer;
    else if (pool == POOLS)
        request->code = URN_NOPOOL;
    else if (request->op == URN_LOOKUP)
        look_up(engine, request);
    else if (request->op != URN_DRAW)
        look(request);
    else if (pool == 2)
        request->code = URN_CLOSED;
    else
        draw(engine, request, pool == 1);
    bool was_empty = engine->finished.first == NULL;
    list_add(&engine->finished, request);
    if (was_empty && !engine->is_here)
        engine->config.notify(engine->config.notify_context);
}

static void submit(struct urn_engine *engine, struct urn_request *list)
{
    while (list != NULL) {
        struct urn_request *request = list;
        list = list->next;
        engine->requests++;
        if (!engine->holds) {
            finish(engine, request);
            continue;
        }
        list_add(&engine->held, request);
        engine->held_count++;
    }
}

static void lock(const struct urn_engine *engine)
{
    CHECK(pthread_mutex_lock(engine->lock) == 0);
}

static void unlock(const struct urn_engine *engine)
{
    CHECK(pthread_mutex_unlock(engine->lock) == 0);
}

void urn_submit(struct urn_engine *engine, struct urn_request *list)
{
    lock(engine);
    submit(engine, list);
    unlock(engine);
}

bool urn_submit_quietly(struct urn_engine *engine, struct urn_request *list)
{
    CHECK(engine->quiet == NULL);
    engine->quiet = list;
    return true;
}

static void hang(struct urn_engine *engine)
{
    CHECK(sem_post(&engine->hanging) == 0);
    while (sem_wait(&engine->let_out) != 0)
        CHECK(errno == EINTR);
}

bool urn_work_here(struct urn_engine *engine)
{
    const bool hangs = engine->hangs;
    engine->hangs = false;
    if (hangs && !engine->hangs_behind)
        hang(engine);
    lock(engine);
    engine->worked_here++;
    engine->is_here = !hangs || !engine->hangs_behind;
    submit(engine, engine->quiet);
    engine->quiet = NULL;
    engine->is_here = false;
    unlock(engine);
    if (hangs && engine->hangs_behind)
        hang(engine);
    return true;
}

uint32_t fake_engine_worked_here(const struct urn_engine *engine)
{
    return engine->worked_here;
}

void fake_engine_hang(struct urn_engine *engine, bool behind)
{
    engine->hangs = true;
    engine->hangs_behind = behind;
}

void fake_engine_await_hanging(struct urn_engine *engine)
{
    while (sem_wait(&engine->hanging) != 0)
        CHECK(errno == EINTR);
}

void fake_engine_let_out(struct urn_engine *engine)
{
    CHECK(sem_post(&engine->let_out) == 0);
}

struct urn_request *urn_collect(struct urn_engine *engine)
{
    lock(engine);
    struct urn_request *list = engine->finished.first;
    engine->finished.first = NULL;
    engine->finished.end = &engine->finished.first;
    unlock(engine);
    return list;
}

struct urn_text urn_pool_item_id(const struct urn_pool *pool, uint32_t index)
{
    (void)pool;
    CHECK(index < ITEMS);
    return text_of(item_ids[index]);
}

struct urn_text urn_pool_name(const struct urn_pool *pool)
{
    return text_of(pool->name);
}

void urn_engine_info(const struct urn_engine *engine, struct urn_engine_info *info)
{
    lock(engine);
    *info = (struct urn_engine_info){.failed = engine->failure.code != URN_OK,
                                     .next_request_id = engine->next_request_id,
                                     .draws = engine->next_request_id - 1,
                                     .requests = engine->requests,
                                     .busy_log = engine->busy_log,
                                     .room_bytes = engine->room_bytes,
                                     .queued_requests = engine->held_count};
    unlock(engine);
}

void urn_engine_failure(const struct urn_engine *engine, struct urn_error *error)
{
    *error = engine->failure;
}

void urn_engine_archive_failure(struct urn_engine *engine, struct urn_error *error)
{
    *error = engine->archive_failure;
}

void urn_engine_snapshot_failure(struct urn_engine *engine, struct urn_error *error)
{
    *error = engine->snapshot_failure;
}

void fake_engine_snapshots_fail(struct urn_engine *engine, int system_errno, const char *why)
{
    engine->snapshot_failure = (struct urn_error){.code = URN_OK};
    if (why != NULL)
        error_set(&engine->snapshot_failure, URN_IO, system_errno, "%s", why);
    engine->config.notify(engine->config.notify_context);
}

void fake_engine_log_room(struct urn_engine *engine, uint64_t busy_log, uint64_t room_bytes)
{
    engine->busy_log = busy_log;
    engine->room_bytes = room_bytes;
}

void fake_engine_hold(struct urn_engine *engine)
{
    engine->holds = true;
}

void fake_engine_let_go(struct urn_engine *engine, uint32_t count)
{
    if (count == UINT32_MAX)
        engine->holds = false;
    for (; count > 0 && engine->held.first != NULL; count--) {
        struct urn_request *request = engine->held.first;
        engine->held.first = request->next;
        if (engine->held.first == NULL)
            engine->held.end = &engine->held.first;
        engine->held_count--;
        finish(engine, request);
    }
}

uint32_t fake_engine_held(const struct urn_engine *engine)
{
    return engine->held_count;
}

void fake_engine_answer_with(struct urn_engine *engine, enum urn_code code)
{
    engine->answer = code;
}

void fake_engine_fail(struct urn_engine *engine, const char *why)
{
    engine->answer = URN_INDOUBT;
    fake_engine_let_go(engine, UINT32_MAX);
    error_set(&engine->failure, URN_IO, 0, "%s", why);
    engine->config.notify(engine->config.notify_context);
}
