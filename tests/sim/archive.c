/* archive.c: see archive.h. */
#include "tests/sim/archive.h"

#include <inttypes.h>

#include "tests/sim/host.h"
#include "tests/sim/verdict.h"

#define STEPS_MAX 100000u

/* Draws to this LSN while nothing is archived. */
static void draw_without_archive(struct host *host, uint64_t end_lsn)
{
    host->holds_archive = true;
    for (uint32_t i = 0; host->engine->writer.end_lsn < end_lsn; i++) {
        PROMISE(i < STEPS_MAX, "the log does not grow");
        PROMISE(host_draw(host, SCENARIO_ENDLESS, SCENARIO_LARGE_DRAW, false) == URN_OK,
                "a draw found no room");
    }
    host_settle(host);
    host->holds_archive = false;
}

/* Until the archive rests, or the world ends. */
static void archive_all(struct host *host)
{
    for (uint32_t i = 0; !host_crashed(host); i++) {
        PROMISE(i < STEPS_MAX, "the archive does not come to rest");
        const enum archive_want want = host_archive_step(host);
        if (want == ARCHIVE_WANTS_EVENT && !archive_task_has_work(&host->engine->archive))
            return;
        sim_advance(host->world, ARCHIVE_PACE_NS);
    }
}

/* What was full when the archive went on is in it, or recorded. */
static void check_archived(struct host *host, uint64_t full_lsn)
{
    struct urn_engine_info info;
    urn_engine_info(host->engine, &info);
    PROMISE(info.archived_lsn >= full_lsn, "archived to LSN %" PRIu64 " instead of %" PRIu64,
            info.archived_lsn, full_lsn);
    struct urn_error why;
    urn_engine_archive_failure(host->engine, &why);
    PROMISE(why.code == URN_OK, "something hinders the archive: %s", why.text);
}

/* One history with a crash in the nth call of archiving. Returns whether there was one. */
static bool crash_in_call(uint64_t seed, struct coverage *coverage, enum urn_archive_policy policy,
                          enum sim_crash kind, uint64_t nth)
{
    struct sim_random luck = sim_random_stream(seed, 500);
    struct scenario scenario;
    struct host host;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    scenario.config.archive = "archive";
    scenario.config.archive_policy = policy;
    const uint64_t size = scenario.config.segment_size_bytes;
    const uint64_t laps_bytes = 2 * scenario.config.segments * size;
    const uint64_t full_lsn = policy == URN_ARCHIVE_GAP ? laps_bytes : size;
    host_make(&host, &scenario, coverage, seed);
    host_must_open(&host);
    draw_without_archive(&host, full_lsn + size / 4);
    sim_crash_at(host.world, nth, kind, nth % 2 == 0 ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
    archive_all(&host);
    const bool crashed = host_crashed(&host);
    host_crash(&host, kind);
    host_restart(&host);
    host_must_open(&host);
    archive_all(&host);
    check_archived(&host, full_lsn);
    host_settle(&host);
    PROMISE(host_draw(&host, SCENARIO_ENDLESS, SCENARIO_LARGE_DRAW, false) == URN_OK,
            "a draw found no room");
    host_free(&host);
    scenario_free(&scenario);
    return crashed;
}

void archive_run(uint64_t seed, struct coverage *coverage)
{
    verdict_begin("--only archive --seed %" PRIu64, seed);
    for (unsigned policy = URN_ARCHIVE_BLOCK; policy <= URN_ARCHIVE_GAP; policy++)
        for (unsigned kind = SIM_CRASH_PROCESS; kind <= SIM_CRASH_MACHINE; kind++) {
            uint64_t nth = 1;
            while (crash_in_call(seed, coverage, (enum urn_archive_policy)policy,
                                 (enum sim_crash)kind, nth))
                nth++;
        }
}
