/* engine_driver.c: see engine_driver.h. */
#include "tests/lib/engine_driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

static const struct urn_item_spec items[] = {
    {"diamond", 7, 100, 10},
    {"gold", 4, 1000, 20},
    {"mud", 3, URN_UNLIMITED, 70},
};
static const struct urn_pool_spec pools[] = {{"main", 4, 3, items}};

void driver_init(struct driver *driver, uint64_t seed)
{
    *driver = (struct driver){.world = sim_world_make(seed)};
    driver->config = (struct urn_engine_config){
        .data_dir = "data",
        .create = true,
        .pools = pools,
        .pool_count = 1,
        .segment_size_bytes = SEGMENT_SIZE_BYTES_MIN,
        .segments = SEGMENTS_MIN,
        .flush_after_n_draw = 65536,
        .max_batch = DRIVER_BATCH_MAX,
        .max_pools = 8,
        .max_items = 1000,
        .queue_requests = 64,
        .queue_draws = 1000000,
    };
}

void driver_free(struct driver *driver)
{
    if (driver->engine != NULL)
        engine_abandon(driver->engine);
    sim_world_free(driver->world);
}

enum urn_code driver_open(struct driver *driver)
{
    CHECK(driver->engine == NULL);
    driver->config.os = sim_os(driver->world);
    driver->error = (struct urn_error){0};
    return engine_open_steps(&driver->config, &driver->engine, &driver->report, &driver->error);
}

void driver_must_open(struct driver *driver)
{
    if (driver_open(driver) == URN_OK)
        return;
    fprintf(stderr, "cannot open: %s %s\n", urn_code_text(driver->error.code), driver->error.text);
    abort();
}

void driver_crash(struct driver *driver, enum sim_crash kind)
{
    if (sim_crashed(driver->world) == SIM_NO_CRASH)
        sim_crash_now(driver->world, kind);
    if (driver->engine != NULL)
        engine_abandon(driver->engine);
    driver->engine = NULL;
    sim_restart(driver->world);
}

/* True while the snapshot task can go on; time passes where it wants that. */
static bool step_snapshot(struct driver *driver)
{
    struct snapshot_task *task = &driver->engine->snapshot;
    enum snapshot_want want = snapshot_task_step(task);
    uint64_t now_ns = os_monotonic_ns(driver->config.os);
    if (want == SNAPSHOT_WANTS_TIME && task->wake_ns > now_ns)
        sim_advance(driver->world, task->wake_ns - now_ns);
    return want != SNAPSHOT_WANTS_EVENT || snapshots_have_work(driver->engine);
}

/* The same of the archive's, but that nobody waits for its next attempt. */
static bool step_archive(struct driver *driver)
{
    struct archive_task *task = &driver->engine->archive;
    const bool waits_for_retry = task->step == ARCHIVE_STEP_FAILED;
    const enum archive_want want = archive_task_step(task);
    const uint64_t now_ns = os_monotonic_ns(driver->config.os);
    if (want == ARCHIVE_WANTS_TIME && waits_for_retry)
        return false;
    if (want == ARCHIVE_WANTS_TIME && task->wake_ns > now_ns && task->step != ARCHIVE_STEP_FAILED)
        sim_advance(driver->world, task->wake_ns - now_ns);
    return want != ARCHIVE_WANTS_EVENT || archive_has_news(driver->engine);
}

void driver_run(struct driver *driver)
{
    struct urn_engine *engine = driver->engine;
    bool did;
    do {
        did = writer_step(engine);
        did = step_snapshot(driver) || did;
        did = lookups_step(engine) || did;
        did = (!driver->holds_past && lookups_past_step(engine)) || did;
        did = (!driver->holds_archive && step_archive(driver)) || did;
        if (!driver->holds_syncs && engine_log_sync_begin(engine)) {
            engine_log_sync_end(engine);
            did = true;
        }
        while (atomic_load(&engine->commit_slot) != NULL) {
            did = true;
            if (!engine_commit_begin(engine))
                break;
            (void)engine_commit_end(engine);
        }
    } while (did);
}

enum urn_code driver_stop(struct driver *driver)
{
    engine_ask_stop(driver->engine);
    while (!driver->engine->writer.done) {
        driver_run(driver);
        sim_advance(driver->world, MARK_AFTER_NS);
    }
    while (urn_collect(driver->engine) != NULL)
        ;
    urn_engine_failure(driver->engine, &driver->error);
    urn_engine_free(driver->engine);
    driver->engine = NULL;
    return driver->error.code;
}

static enum urn_code finish(struct driver *driver)
{
    driver_run(driver);
    struct urn_request *finished;
    while ((finished = urn_collect(driver->engine)) == NULL) { /* it waits for room in the log */
        uint64_t deadline_ns = writer_deadline_ns(driver->engine);
        uint64_t now_ns = os_monotonic_ns(driver->config.os);
        CHECK(deadline_ns != UINT64_MAX);
        sim_advance(driver->world, deadline_ns > now_ns ? deadline_ns - now_ns : 1);
        driver_run(driver);
    }
    CHECK(finished == &driver->request && finished->next == NULL);
    return finished->code;
}

void driver_submit_draw(struct driver *driver, const char *pool, uint32_t count)
{
    CHECK(count <= DRIVER_BATCH_MAX);
    driver->request = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = pool,
                                           .pool_name_bytes = (uint32_t)strlen(pool),
                                           .count = count,
                                           .outcomes = driver->outcomes};
    urn_submit(driver->engine, &driver->request);
}

enum urn_code driver_draw(struct driver *driver, const char *pool, uint32_t count, bool draw_all)
{
    driver->request = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = pool,
                                           .pool_name_bytes = (uint32_t)strlen(pool),
                                           .count = count,
                                           .draw_all = draw_all,
                                           .outcomes = driver->outcomes};
    urn_submit(driver->engine, &driver->request);
    return finish(driver);
}

enum urn_code driver_snapshot(struct driver *driver)
{
    driver->request = (struct urn_request){.op = URN_SNAPSHOT};
    urn_submit(driver->engine, &driver->request);
    return finish(driver);
}

enum urn_code driver_lookup(struct driver *driver, uint64_t request_id, struct urn_request *lookup,
                            struct urn_error *error)
{
    error->code = URN_OK;
    *lookup = (struct urn_request){.op = URN_LOOKUP, .request_id = request_id, .error = error};
    urn_submit(driver->engine, lookup);
    struct urn_request *done = urn_collect(driver->engine);
    while (done == NULL && (lookups_step(driver->engine) || lookups_past_step(driver->engine)))
        done = urn_collect(driver->engine);
    CHECK(done == lookup);
    return lookup->code;
}

enum urn_code driver_state(struct driver *driver, const char *pool)
{
    driver->request = (struct urn_request){.op = URN_STATE,
                                           .pool_name = pool,
                                           .pool_name_bytes = (uint32_t)strlen(pool),
                                           .limit = 16,
                                           .items = driver->items};
    urn_submit(driver->engine, &driver->request);
    return finish(driver);
}

enum urn_code driver_ask(struct driver *driver, struct urn_request request)
{
    driver->error = (struct urn_error){.code = URN_OK};
    driver->request = request;
    driver->request.error = &driver->error;
    urn_submit(driver->engine, &driver->request);
    return finish(driver);
}

void driver_idle(struct driver *driver)
{
    sim_advance(driver->world, MARK_AFTER_NS);
    driver_run(driver);
}
