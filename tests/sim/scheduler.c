/* scheduler.c: see scheduler.h. */
#include "tests/sim/scheduler.h"

#include <errno.h>
#include <inttypes.h>

#include "engine/check.h"
#include "tests/sim/damage.h"
#include "tests/sim/host.h"
#include "tests/sim/verdict.h"

#define LIVES_MAX           12u
#define START_TRIES_MAX     40u
#define START_CALLS_GUESS   60u
#define LOOK_ONE_IN         16u
#define LAPS                3u
#define LAP_STEPS_MAX       200000u
#define DAMAGE_UNDER_ONE_IN 300u
#define GO_ON_ONE_IN        3u
#define LOOKUP_ONE_IN       5u

/* How eagerly each kind of step is chosen in one life: some lives submit faster than they commit,
 * some leave syncs open for long, some are idle. */
struct appetite {
    uint64_t submit, write, begin, end, log_sync, snapshot, lookup, archive, collect, pass_time,
        go_idle, jump_clock, stop, crash;
};

static struct appetite some_appetite(struct sim_random *luck)
{
    return (struct appetite){
        .submit = 1 + sim_random_below(luck, 12),
        .write = 1 + sim_random_below(luck, 8),
        .begin = 1 + sim_random_below(luck, 8),
        .end = 1 + sim_random_below(luck, 8),
        .log_sync = 1 + sim_random_below(luck, 4),
        .snapshot = 1 + sim_random_below(luck, 12),
        .lookup = 1 + sim_random_below(luck, 6),
        .collect = 1 + sim_random_below(luck, 6),
        .pass_time = sim_random_below(luck, 3),
        .go_idle = sim_random_one_in(luck, 3),
        .jump_clock = sim_random_one_in(luck, 4),
        .stop = sim_random_one_in(luck, 4),
        .crash = 1,
    };
}

static enum sim_crash some_crash(struct sim_random *luck)
{
    return sim_random_one_in(luck, 2) ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE;
}

static void arm_crash(struct host *host, uint64_t calls_max)
{
    sim_crash_at(host->world, sim_random_below(&host->luck, calls_max) + 1, some_crash(&host->luck),
                 sim_random_one_in(&host->luck, 2) ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
}

/* ---- starts ---------------------------------------------------------------------------------- */

enum hindrance { HINDRANCE_NONE, HINDRANCE_CRASH, HINDRANCE_FAULT, HINDRANCE_FAULTS };

static enum hindrance hinder(struct host *host)
{
    struct sim_random *luck = &host->luck;
    switch (sim_random_below(luck, 8)) {
    case 0:
        sim_fail_at(host->world, SIM_ANY_CALL, sim_random_below(luck, START_CALLS_GUESS) + 1, 0);
        return HINDRANCE_FAULT;
    case 1: /* also while it cleans up behind a fault */
        sim_set_fault_rates(host->world, 2 + sim_random_below(luck, 40), 0);
        return HINDRANCE_FAULTS;
    case 2:
    case 3:
        arm_crash(host, START_CALLS_GUESS);
        return HINDRANCE_CRASH;
    default:
        return HINDRANCE_NONE;
    }
}

/* Opens, with crashes and faults on the way, as often as it takes. */
static void start(struct host *host, uint64_t short_one_in)
{
    for (uint32_t tries = 0;; tries++) {
        PROMISE(tries < 2 * START_TRIES_MAX, "no start succeeds");
        if (sim_random_one_in(&host->luck, 8))
            host_check_determinism(host);
        if (host->scenario->modes)
            host->mode = (enum urn_wal_mode)sim_random_below(&host->luck, URN_WAL_OS + 1);
        if (tries < START_TRIES_MAX && hinder(host) == HINDRANCE_FAULTS)
            trace("calls fail at random");
        enum urn_code code = host_open(host);
        sim_set_fault_rates(host->world, 0, short_one_in);
        bool struck = sim_last_event(host->world)->error != 0 || sim_is_stopped(host->world);
        if (code == URN_OK && !host_crashed(host))
            return;
        PROMISE(struck || host_crashed(host), "a start that nothing hindered was refused: %s %s",
                urn_code_text(code), host->error.text);
        host->coverage->faults += !host_crashed(host);
        host_crash(host, some_crash(&host->luck)); /* or, after a fault, the process just ends */
        host_restart(host);
    }
}

/* A disk that is too small for the ring: nothing is made, and nothing is in the way later. */
static void start_on_full_disk(struct host *host)
{
    const struct urn_engine_config *config = &host->scenario->config;
    sim_set_capacity(host->world,
                     sim_random_below(&host->luck, config->segments * config->segment_size_bytes));
    enum urn_code code = host_open(host);
    PROMISE(code == URN_CANTCREATE, "creation on a full disk: %s %s", urn_code_text(code),
            host->error.text);
    PROMISE(sim_used_bytes(host->world) <= OS_PAGE_BYTES,
            "a failed creation keeps %" PRIu64 " bytes", sim_used_bytes(host->world));
    sim_set_capacity(host->world, UINT64_MAX);
}

/* ---- a life ---------------------------------------------------------------------------------- */

static void step_submit(struct host *host)
{
    uint64_t more = sim_random_below(&host->luck, 4) + 1;
    for (uint64_t i = 0; i < more; i++)
        host_submit(
            host, sim_random_one_in(&host->luck, LOOKUP_ONE_IN)
                      ? clients_make_lookup(&host->clients,
                                            draws_some_id(oracle_draws(host->oracle), &host->luck))
                      : clients_make_random(&host->clients, &host->luck));
}

/* Chooses one step by appetite and does it. Returns whether the life goes on. */
static bool live_on(struct host *host, const struct appetite *appetite)
{
    const uint64_t weights[] = {appetite->submit,   appetite->write,      appetite->begin,
                                appetite->end,      appetite->collect,    appetite->pass_time,
                                appetite->go_idle,  appetite->jump_clock, appetite->stop,
                                appetite->snapshot, appetite->log_sync,   appetite->lookup,
                                appetite->crash,    appetite->archive};
    uint64_t sum = 0;
    for (unsigned i = 0; i < sizeof weights / sizeof weights[0]; i++)
        sum += weights[i];
    uint64_t roll = sim_random_below(&host->luck, sum);
    unsigned choice = 0;
    while (roll >= weights[choice])
        roll -= weights[choice++];
    switch (choice) {
    case 0:
        if (host->clients.in_flight < host->scenario->config.queue_requests + 4)
            step_submit(host);
        return true;
    case 1:
        host_writer_step(host);
        return true;
    case 2:
        if (host_can_begin(host))
            host_commit_begin(host);
        return true;
    case 3:
        if (host->syncing)
            host_commit_end(host);
        return true;
    case 4:
        host_collect(host);
        return true;
    case 5:
        sim_advance(host->world, sim_random_below(&host->luck, 2 * MARK_AFTER_NS));
        return true;
    case 6:
        host_idle(host);
        return true;
    case 7: /* by up to two days, either way */
        sim_jump_wall_clock(host->world,
                            (int64_t)sim_random_below(&host->luck, 4ull * 86400000000) -
                                2ll * 86400000000);
        return true;
    case 8:
        return sim_random_one_in(&host->luck, 4) ? false : true;
    case 9:
        (void)host_snapshot_step(host);
        return true;
    case 10:
        if (host->log_syncing)
            host_log_sync_end(host);
        else
            (void)host_log_sync_begin(host);
        return true;
    case 11:
        (void)host_lookup_step(host);
        return true;
    case 13:
        (void)host_archive_step(host);
        return true;
    default:
        return !sim_random_one_in(&host->luck, 3);
    }
}

static void arm_for_life(struct host *host)
{
    switch (sim_random_below(&host->luck, 8)) {
    case 0:
    case 1:
    case 2:
        arm_crash(host, sim_random_one_in(&host->luck, 2) ? 12 : 100);
        break;
    case 3:
        sim_fail_at(host->world, SIM_ANY_CALL, sim_random_below(&host->luck, 40) + 1, 0);
        break;
    case 4:
        sim_lie_at(host->world, 1 + sim_random_below(&host->luck, 3));
        break;
    case 5: /* the disk is full until the middle of the life: snapshots fail */
        sim_set_capacity(host->world, sim_used_bytes(host->world));
        break;
    default:
        break;
    }
}

/* Another process must be turned away while this one lives, and must not touch anything. */
static void try_second_process(struct host *host)
{
    struct urn_engine_config config = host_config(host, sim_other_process(host->world));
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error = {0};
    uint64_t hash = sim_hash(host->world);
    uint64_t unsynced = sim_unsynced(host->world);
    enum urn_code code = engine_open_steps(&config, &engine, &report, &error);
    bool struck = sim_last_event(host->world)->error != 0;
    PROMISE(code == URN_INUSE || struck || host_crashed(host),
            "a second process was not turned away: %s %s", urn_code_text(code), error.text);
    PROMISE(sim_hash(host->world) == hash && sim_unsynced(host->world) == unsynced,
            "a second process changed files");
}

/* Whatever came before: with the disk free again, room is made by itself. */
static void go_on(struct host *host)
{
    /* The archive may meet the newest snapshot damaged first, and goes on with segments at its next attempt. */
    const uint32_t attempts = host->engine->archive.on ? 3 : 1;
    for (uint32_t i = 0; i < attempts && !host_crashed(host); i++) {
        sim_advance(host->world, SNAPSHOT_RETRY_NS);
        host_drain(host);
    }
    /* A file system that has stopped takes no archive before the machine has restarted. */
    if (host_crashed(host) || host->failed || sim_is_stopped(host->world))
        return;
    const enum urn_code code = host_draw(host, 0, host->scenario->config.max_batch, false);
    struct urn_error why;
    urn_engine_archive_failure(host->engine, &why);
    PROMISE(code != URN_BUSY, "a shortage has no end; the archive: %s",
            why.code == URN_OK ? "nothing hinders it" : why.text);
}

/* Archiving is as eager as snapshots are. */
static struct appetite appetite_of(struct host *host)
{
    struct appetite appetite = some_appetite(&host->luck);
    if (host->engine->archive.on)
        appetite.archive = 2 * appetite.snapshot;
    return appetite;
}

static void live(struct host *host)
{
    struct appetite appetite = appetite_of(host);
    uint64_t steps = 10 + sim_random_below(&host->luck, 200);
    if (sim_random_one_in(&host->luck, 16))
        try_second_process(host);
    arm_for_life(host);
    sim_event_forget(host->world);
    bool stop = false;
    for (uint64_t i = 0; i < steps && !host_crashed(host); i++) {
        if (i == steps / 2)
            sim_set_capacity(host->world, UINT64_MAX);
        if (!live_on(host, &appetite)) {
            stop = appetite.stop > 0;
            break;
        }
        if (sim_random_one_in(&host->luck, DAMAGE_UNDER_ONE_IN) && !host_crashed(host))
            damage_under_engine(host);
    }
    sim_set_capacity(host->world, UINT64_MAX);
    if (sim_random_one_in(&host->luck, GO_ON_ONE_IN) && !host_crashed(host) && !host->failed)
        go_on(host);
    if (!host_crashed(host) && stop)
        (void)host_stop(host);
}

static uint64_t ring_bytes(const struct host *host)
{
    return host->scenario->config.segments * host->scenario->config.segment_size_bytes;
}

/* Draws without pause until the log has gone around a few times, or something has ended the life. Returns
 * whether it has. */
static bool run_laps(struct host *host)
{
    const uint64_t end_lsn = LAPS * ring_bytes(host);
    const uint32_t count = host->scenario->config.max_batch;
    struct clients *clients = &host->clients;
    struct appetite appetite = appetite_of(host);
    appetite.stop = 0;
    appetite.crash = 0;
    appetite.go_idle = 0;
    for (uint64_t i = 0; !host_crashed(host) && !host->failed; i++) {
        PROMISE(i < LAP_STEPS_MAX, "the log does not go around");
        if (host->engine->writer.end_lsn >= end_lsn)
            return true;
        if (clients->in_flight == 0)
            clients_forget(clients);
        if (clients->in_flight < 8)
            host_submit(host, clients_make_draw(clients, clients_pool(clients, 0), count, false));
        (void)live_on(host, &appetite);
        if (sim_random_one_in(&host->luck, 40))
            host_drain(host);
        if (sim_random_one_in(&host->luck, DAMAGE_UNDER_ONE_IN) && !host_crashed(host))
            damage_under_engine(host);
    }
    return false;
}

/* Ends the process (and perhaps the machine), if nothing has ended it yet. */
static void end_life(struct host *host)
{
    if (host->engine == NULL && !host_crashed(host)) {
        /* A clean stop. Power may be lost behind it all the same. */
        if (sim_random_one_in(&host->luck, 2))
            host_crash(host, SIM_CRASH_MACHINE);
    } else {
        host_crash(host, some_crash(&host->luck));
    }
    host_restart(host);
}

/* Between two lives. Behind laps, whether the log is there hangs on the snapshots. */
static void damage(struct host *host, bool laps)
{
    static const enum damage_kind kinds[] = {DAMAGE_SNAPSHOT, DAMAGE_STALE_SNAPSHOT, DAMAGE_SECOND,
                                             DAMAGE_BOTH};
    if (sim_random_one_in(&host->luck, 3))
        damage_try(host);
    for (uint32_t i = 0; laps && i < sizeof kinds / sizeof kinds[0]; i++)
        damage_try_kind(host, kinds[i]);
}

static enum scenario_kind kind_of(uint64_t seed)
{
    switch (seed % 10) {
    case 0:
        return SCENARIO_LAPS;
    case 1:
    case 6:
        return SCENARIO_TINY;
    case 3:
        return SCENARIO_MANY;
    default:
        return SCENARIO_RANDOM;
    }
}

void scheduler_run_history(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 200);
    uint64_t short_one_in = 0; /* of reads and writes */
    struct scenario scenario;
    struct host host;
    const enum scenario_kind kind = kind_of(seed);
    scenario_make(&scenario, kind, &luck);
    scenario_archive(&scenario, seed);
    host_make(&host, &scenario, coverage, seed);
    host.look_one_in = LOOK_ONE_IN;
    if (sim_random_one_in(&luck, 3))
        short_one_in = 1 + sim_random_below(&luck, 8);
    sim_set_fault_rates(host.world, 0, short_one_in);
    if (sim_random_one_in(&luck, 16))
        start_on_full_disk(&host);
    bool laps_due = kind == SCENARIO_LAPS;
    const uint64_t lives = 1 + sim_random_below(&luck, LIVES_MAX);
    for (uint64_t life = 0; life < lives || laps_due; life++) {
        trace("life %" PRIu64, life);
        start(&host, short_one_in);
        if (laps_due)
            laps_due = !run_laps(&host);
        if (!host_crashed(&host) && !host.failed)
            live(&host);
        end_life(&host);
        damage(&host, kind == SCENARIO_LAPS);
    }
    host_must_open(&host);
    if (kind == SCENARIO_LAPS)
        coverage->laps += host.engine->writer.end_lsn / ring_bytes(&host);
    PROMISE(host_stop(&host) == URN_OK, "the last stop failed: %s", host.error.text);
    host_free(&host);
    scenario_free(&scenario);
}
