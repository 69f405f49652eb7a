/* test_archive_hangs.c: the engine's threads over a simulated disk, and an archive that does not return from a call:
 * draws, lookups in the ring and a stop go on without it. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/check.h"
#include "tests/lib/engine_driver.h"

#define SEGMENT     SEGMENT_SIZE_BYTES_MIN
#define PATIENCE_NS 20000000ull

/* Of what a thread that is left behind goes on to use, nothing is ever freed: as in a server. */
struct scene {
    struct driver driver;
    sem_t notified;
    enum sim_call call; /* this call on this file does not return */
    const char *name;
    sem_t entered;
    sem_t let_go;
    uint32_t outcomes[DRIVER_BATCH_MAX];
};

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        CHECK(errno == EINTR);
}

static void on_notify(void *context)
{
    CHECK(sem_post(context) == 0);
}

static void hang_in_call(void *context, const struct sim_event *call)
{
    struct scene *scene = context;
    if (call->call != scene->call || strcmp(call->name, scene->name) != 0)
        return;
    CHECK(sem_post(&scene->entered) == 0);
    wait_for(&scene->let_go);
}

/* A call on this file hangs as soon as it is made. */
static struct scene *a_scene(enum sim_call call, const char *name)
{
    struct scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    struct driver *driver = &scene->driver;
    driver_init(driver, 21);
    assert_int_equal(sem_init(&scene->notified, 0, 0), 0);
    assert_int_equal(sem_init(&scene->entered, 0, 0), 0);
    assert_int_equal(sem_init(&scene->let_go, 0, 0), 0);
    scene->call = call;
    scene->name = name;
    driver->config.segments = 4;
    driver->config.archive = "archive";
    driver->config.notify = on_notify;
    driver->config.notify_context = &scene->notified;
    driver->config.stop_patience_ns = PATIENCE_NS;
    driver->config.os = sim_os(driver->world);
    sim_use_real_clock(driver->world);
    sim_set_observer(driver->world, hang_in_call, scene);
    if (urn_engine_open(&driver->config, &driver->engine, &driver->report, &driver->error) !=
        URN_OK)
        fail_msg("%s", driver->error.text);
    return scene;
}

static struct urn_request *collect(struct scene *scene)
{
    struct urn_request *done = urn_collect(scene->driver.engine);
    while (done == NULL) {
        wait_for(&scene->notified);
        done = urn_collect(scene->driver.engine);
    }
    return done;
}

static uint64_t draw(struct scene *scene)
{
    struct urn_request request = {.op = URN_DRAW,
                                  .pool_name = "main",
                                  .pool_name_bytes = 4,
                                  .count = DRIVER_BATCH_MAX,
                                  .outcomes = scene->outcomes};
    urn_submit(scene->driver.engine, &request);
    assert_ptr_equal(collect(scene), &request);
    assert_int_equal(request.code, URN_OK);
    return request.first_request_id + request.count - 1;
}

static struct urn_engine_info info_of(const struct scene *scene)
{
    struct urn_engine_info info;
    urn_engine_info(scene->driver.engine, &info);
    return info;
}

static uint64_t draw_to(struct scene *scene, uint64_t lsn)
{
    uint64_t last = 0;
    while (info_of(scene).acknowledged_lsn < lsn)
        last = draw(scene);
    return last;
}

static void check_found(struct scene *scene, uint64_t id)
{
    struct urn_request lookup = {.op = URN_LOOKUP, .request_id = id};
    urn_submit(scene->driver.engine, &lookup);
    assert_ptr_equal(collect(scene), &lookup);
    assert_int_equal(lookup.code, URN_OK);
}

static void stop_without_archive(struct scene *scene)
{
    struct driver *driver = &scene->driver;
    assert_int_equal(urn_engine_stop(driver->engine, &driver->error), URN_OK);
    assert_true(urn_engine_archive_hangs(driver->engine));
}

/* What the process leaves is what any start finds. */
static void check_start_finds_all(struct scene *scene, uint64_t last)
{
    struct driver *driver = &scene->driver;
    urn_engine_free(driver->engine);
    sim_set_observer(driver->world, NULL, NULL);
    driver->engine = NULL;
    sim_crash_now(driver->world, SIM_CRASH_MACHINE);
    (void)sim_restart(driver->world);
    driver->config.notify = NULL;
    driver_must_open(driver);
    assert_int_equal(driver->report.next_request_id, last + 1);
    driver_run(driver);
    assert_int_equal(info_of(scene).archived_lsn % SEGMENT, 0);
    assert_true(info_of(scene).archived_lsn + SEGMENT > driver->report.end_lsn);
    for (uint64_t id = 1; id <= last; id += 997) {
        const struct urn_request lookup = {.op = URN_LOOKUP, .request_id = id};
        if (driver_ask(driver, lookup) != URN_OK)
            fail_msg("%s", driver->error.text);
    }
    assert_int_equal(driver_stop(driver), URN_OK);
}

/* A lookup that needs the archive keeps nobody waiting but others that do. */
static void test_lookups_that_hang(void **state)
{
    (void)state;
    struct scene *scene = a_scene(SIM_FILE_READ, "segment-0000000000010000");
    uint64_t last = draw_to(scene, 12 * SEGMENT);
    struct urn_error errors[2] = {{.code = URN_OK}};
    struct urn_request lookups[2];
    for (uint32_t i = 0; i < 2; i++) { /* in the second segment */
        lookups[i] =
            (struct urn_request){.op = URN_LOOKUP, .request_id = last / 8 + i, .error = &errors[i]};
        urn_submit(scene->driver.engine, &lookups[i]);
    }
    wait_for(&scene->entered);
    last = draw(scene);
    check_found(scene, last);
    check_found(scene, last - 5000);
    last = draw_to(scene, 20 * SEGMENT); /* and archiving goes on */
    stop_without_archive(scene);
    uint32_t back = 0;
    for (struct urn_request *done = urn_collect(scene->driver.engine); done != NULL;
         done = done->next, back++) {
        assert_int_equal(done->code, URN_IO);
        assert_non_null(strstr(done->error->text, "does not answer, and the server stops"));
    }
    assert_int_equal(back, 2);
    check_start_finds_all(scene, last);
}

/* Who waits for an archive that does not come back holds a place in the server: they are let go, and whoever comes
 * then is not kept. It may come back all the same. */
static void test_nobody_waits_for_ever(void **state)
{
    (void)state;
    struct scene *scene = a_scene(SIM_FILE_READ, "segment-0000000000010000");
    struct driver *driver = &scene->driver;
    struct past_lookups *past = &driver->engine->lookups.past;
    const uint64_t last = draw_to(scene, 12 * SEGMENT);
    struct urn_error errors[3] = {{.code = URN_OK}};
    struct urn_request lookups[3];
    for (uint32_t i = 0; i < 3; i++) {
        lookups[i] =
            (struct urn_request){.op = URN_LOOKUP, .request_id = last / 8 + i, .error = &errors[i]};
        if (i == 2) { /* long after the others */
            wait_for(&scene->entered);
            atomic_fetch_sub(&past->step_began_ns, ARCHIVE_SILENCE_NS);
        }
        urn_submit(driver->engine, &lookups[i]);
    }
    for (uint32_t back = 0; back < 3;) {
        for (struct urn_request *done = collect(scene); done != NULL; done = done->next, back++) {
            assert_int_equal(done->code, URN_IO);
            assert_non_null(strstr(done->error->text, "does not answer, since 10 s"));
        }
    }
    for (uint32_t i = 0; i < 100; i++) /* however often the file is read from here on */
        assert_int_equal(sem_post(&scene->let_go), 0);
    while (atomic_load(&past->step_began_ns) != 0)
        (void)draw(scene);
    check_found(scene, last / 8);
    driver->engine->stop_patience_ns = UINT64_MAX;
    assert_int_equal(urn_engine_stop(driver->engine, &driver->error), URN_OK);
    assert_null(urn_collect(driver->engine));
    urn_engine_free(driver->engine);
    driver->engine = NULL;
    driver_free(driver);
    free(scene);
}

/* A copy that does not end: draws go on until the ring is full, and a stop makes all durable. */
static void test_copies_that_hang(void **state)
{
    (void)state;
    struct scene *scene = a_scene(SIM_FILE_SYNC, "segment-0000000000010000.tmp");
    (void)draw_to(scene, 2 * SEGMENT + 1000);
    wait_for(&scene->entered);
    const uint64_t last = draw(scene);
    check_found(scene, 1);
    check_found(scene, last);
    assert_int_equal(info_of(scene).archived_lsn, SEGMENT);
    stop_without_archive(scene);
    assert_null(urn_collect(scene->driver.engine));
    check_start_finds_all(scene, last);
}

/* An archive that takes its time, but returns, is waited for. */
static void check_waits(uint64_t patience_ns)
{
    struct scene *scene = a_scene(SIM_FILE_SYNC, "segment-0000000000000000.tmp");
    struct driver *driver = &scene->driver;
    driver->engine->stop_patience_ns = patience_ns;
    (void)draw_to(scene, SEGMENT + 1000);
    wait_for(&scene->entered);
    assert_int_equal(sem_post(&scene->let_go), 0);
    assert_int_equal(urn_engine_stop(driver->engine, &driver->error), URN_OK);
    assert_false(urn_engine_archive_hangs(driver->engine));
    assert_null(urn_collect(driver->engine));
    urn_engine_free(driver->engine);
    driver->engine = NULL;
    assert_int_equal(sim_open_handles(driver->world), 0);
    driver_free(driver);
    free(scene);
}

static void test_an_archive_that_is_slow_is_waited_for(void **state)
{
    (void)state;
    check_waits(3600ull * 1000000000);
    check_waits(UINT64_MAX); /* as long as it likes */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookups_that_hang),
        cmocka_unit_test(test_nobody_waits_for_ever),
        cmocka_unit_test(test_copies_that_hang),
        cmocka_unit_test(test_an_archive_that_is_slow_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
