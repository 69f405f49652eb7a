/* engine_driver.h: an engine over a simulated world, driven step by step, for unit tests.
 *
 * The driver stands for the threads and for a server with one client: it submits one request at a
 * time and runs the engine's steps until it is finished.
 */
#ifndef URN_TESTS_ENGINE_DRIVER_H
#define URN_TESTS_ENGINE_DRIVER_H

#include "engine/engine.h"
#include "tests/lib/os_sim.h"

#define DRIVER_BATCH_MAX 1000u

struct driver {
    struct sim_world *world;
    struct urn_engine_config config; /* change it before driver_open */
    struct urn_engine *engine;       /* NULL: not open */
    bool holds_syncs; /* modes interval and os: driver_run begins no sync that no reply waits for */
    bool holds_archive; /* driver_run does no step of the archive's */
    bool holds_past;    /* nor one of those that look into it */
    struct urn_start_report report;
    struct urn_error error;
    struct urn_request request;
    uint32_t outcomes[DRIVER_BATCH_MAX];
    struct urn_item items[16];
    struct urn_text names[16];
};

/* A world of this seed with one small pool "main": diamond 100 (weight 10), gold 1000 (20), mud
 * unlimited (70); a ring of 3 segments of 64 KiB; create is set. */
void driver_init(struct driver *driver, uint64_t seed);
void driver_free(struct driver *driver);

/* Opens; the code is returned, *error and *report are in the driver. */
enum urn_code driver_open(struct driver *driver);

/* As driver_open, and the test ends when it fails. */
void driver_must_open(struct driver *driver);

/* The process dies, or the machine, and the world begins anew. */
void driver_crash(struct driver *driver, enum sim_crash kind);

/* A clean stop; returns the code of the stop. */
enum urn_code driver_stop(struct driver *driver);

/* Runs every step until the engine has nothing to do. */
void driver_run(struct driver *driver);

/* Asks for a snapshot; runs until it counts, or has failed. */
enum urn_code driver_snapshot(struct driver *driver);

/* Draws; runs until the answer is there and returns its code. */
enum urn_code driver_draw(struct driver *driver, const char *pool, uint32_t count, bool draw_all);

/* Looks up a draw, beside whatever is under way; the answer is in *lookup, its text in *error. */
enum urn_code driver_lookup(struct driver *driver, uint64_t request_id, struct urn_request *lookup,
                            struct urn_error *error);

/* Reads a pool's state (its first 16 items) or catalog. */
enum urn_code driver_state(struct driver *driver, const char *pool);

/* Submits a request of any kind as driver->request and runs until it is finished; a refusal's text is
 * in driver->error. */
enum urn_code driver_ask(struct driver *driver, struct urn_request request);

/* Submits driver->request without running anything. */
void driver_submit_draw(struct driver *driver, const char *pool, uint32_t count);

/* Lets time pass until a mark is due, and runs. */
void driver_idle(struct driver *driver);

#endif
