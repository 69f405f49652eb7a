/* systematic.c: see systematic.h. */
#include "tests/sim/systematic.h"

#include <inttypes.h>

#include "engine/check.h"
#include "tests/sim/damage.h"
#include "tests/sim/host.h"
#include "tests/sim/scripts.h"
#include "tests/sim/verdict.h"

#define DAMAGES_A_KIND 40u
#define CALLS_MAX      100000u /* of one script: more is a livelock */

/* What is run again and again. */
struct trial {
    enum script script;
    enum urn_wal_mode mode;
    const struct scenario *scenario;
    uint64_t seed;
    struct coverage *coverage;
};

static const struct {
    enum script script;
    enum urn_wal_mode mode;
} trials[] = {
    {SCRIPT_LIFE, URN_WAL_COMMIT},    {SCRIPT_SEGMENT, URN_WAL_COMMIT},
    {SCRIPT_CHANGES, URN_WAL_COMMIT}, {SCRIPT_CATALOG, URN_WAL_COMMIT},
    {SCRIPT_LIFE, URN_WAL_INTERVAL},  {SCRIPT_SEGMENT, URN_WAL_OS},
    {SCRIPT_CHANGES, URN_WAL_OS},
};
#define TRIALS (sizeof trials / sizeof trials[0])

static struct trial make_trial(unsigned number, const struct scenario *scenario, uint64_t seed,
                               struct coverage *coverage)
{
    return (struct trial){trials[number].script, trials[number].mode, scenario, seed, coverage};
}

static void begin_host(const struct trial *trial, struct host *host)
{
    host_make(host, trial->scenario, trial->coverage, trial->seed);
    host->mode = trial->mode;
}

static void tell(const struct trial *trial, const char *what, uint64_t number, unsigned way)
{
    verdict_begin("--only systematic --seed %" PRIu64 " (script %s, mode %d, %s %" PRIu64
                  ", way %u)",
                  trial->seed, script_text(trial->script), (int)trial->mode, what, number, way);
}

/* The calls of a script that are to be struck: creation is the same in all. */
struct calls {
    uint64_t first, last;
};

/* Runs the script undisturbed, every acknowledged draw looked for in a branch. */
static struct calls run_undisturbed(const struct trial *trial)
{
    tell(trial, "undisturbed", 0, 0);
    struct host host;
    struct calls calls = {.first = 1};
    if (trial->script != SCRIPT_LIFE || trial->mode != URN_WAL_COMMIT) {
        begin_host(trial, &host);
        host_must_open(&host);
        calls.first = sim_calls(host.world);
        host_free(&host);
    }
    begin_host(trial, &host);
    host.look_one_in = 1;
    script_run(&host, trial->script);
    PROMISE(!host.failed && host.engine == NULL && host.error.code == URN_OK,
            "script %s fails undisturbed: %s", script_text(trial->script), host.error.text);
    calls.last = sim_calls(host.world);
    CHECK(calls.last < CALLS_MAX);
    host_free(&host);
    return calls;
}

/* ---- crashes --------------------------------------------------------------------------------- */

/* Behind a crash, in branches: crashes the start at its 1st, 2nd ... call, and the start after that
 * somewhere, and starts. */
static void crash_every_start(struct host *host, enum sim_crash kind)
{
    for (uint64_t call = 1;; call++) {
        struct host branch;
        host_branch(host, &branch);
        host_restart(&branch);
        sim_crash_at(branch.world, call, kind, call % 2 == 0 ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
        (void)host_open(&branch);
        bool crashed = host_crashed(&branch);
        if (crashed) {
            host_crash(&branch, kind);
            host_restart(&branch);
            if (call % 3 == 0) {
                sim_crash_at(branch.world, 1 + sim_random_below(&host->luck, 40), SIM_CRASH_MACHINE,
                             SIM_CRASH_BEFORE);
                (void)host_open(&branch);
                host_crash(&branch, SIM_CRASH_MACHINE);
                host_restart(&branch);
            }
            host_must_open(&branch);
        }
        host_branch_free(&branch);
        if (!crashed)
            return;
        CHECK(call < CALLS_MAX);
    }
}

enum how { HOW_PROCESS, HOW_MACHINE, HOW_BOTH, HOW_PROCESS_AMID, HOW_MACHINE_AMID, HOW_COUNT };

/* One run of the script, crashed at one call. Returns what that call was. */
static enum sim_call crash_once(const struct trial *trial, uint64_t call, enum how how)
{
    tell(trial, "call", call, how);
    bool machine = how == HOW_MACHINE || how == HOW_MACHINE_AMID;
    bool amid = how == HOW_PROCESS_AMID || how == HOW_MACHINE_AMID;
    struct host host;
    begin_host(trial, &host);
    sim_crash_at(host.world, call, machine ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS,
                 amid ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
    script_run(&host, trial->script);
    PROMISE(host_crashed(&host), "the same run makes fewer calls");
    enum sim_call struck = sim_last_event(host.world)->call;
    host_crash(&host, SIM_CRASH_PROCESS);
    if (how == HOW_BOTH)
        sim_crash_now(host.world, SIM_CRASH_MACHINE);
    else if (trial->script == SCRIPT_LIFE && trial->mode == URN_WAL_COMMIT)
        crash_every_start(&host, call % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    script_aftermath(&host, trial->script);
    host_free(&host);
    return struck;
}

void systematic_crashes(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 300);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned number = 0; number < TRIALS; number++) {
        const struct trial trial = make_trial(number, &scenario, seed, coverage);
        const struct calls calls = run_undisturbed(&trial);
        for (uint64_t call = calls.first; call <= calls.last; call++) {
            const enum sim_call struck = crash_once(&trial, call, HOW_PROCESS);
            const bool tears = struck == SIM_MAP_WRITE || struck == SIM_FILE_WRITE;
            (void)crash_once(&trial, call, HOW_MACHINE);
            (void)crash_once(&trial, call, HOW_BOTH);
            for (unsigned how = HOW_PROCESS_AMID; tears && how < HOW_COUNT; how++)
                (void)crash_once(&trial, call, (enum how)how);
        }
    }
    scenario_free(&scenario);
}

/* ---- between steps --------------------------------------------------------------------------- */

/* One run of the script, crashed behind its nth step. False: it has fewer. */
static bool crash_behind(const struct trial *trial, uint64_t step, enum sim_crash kind)
{
    tell(trial, "step", step, kind);
    struct host host;
    begin_host(trial, &host);
    host_crash_behind_step(&host, step, kind);
    script_run(&host, trial->script);
    const bool reached = host.steps_left == 0;
    if (reached) {
        host_crash(&host, kind);
        script_aftermath(&host, trial->script);
    }
    host_free(&host);
    return reached;
}

void systematic_steps(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 306);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned number = 0; number < TRIALS; number++) {
        const struct trial trial = make_trial(number, &scenario, seed, coverage);
        if (trial.script != SCRIPT_CHANGES && trial.script != SCRIPT_CATALOG)
            continue;
        for (unsigned kind = SIM_CRASH_PROCESS; kind <= SIM_CRASH_MACHINE; kind++)
            for (uint64_t step = 1; crash_behind(&trial, step, (enum sim_crash)kind); step++)
                CHECK(step < CALLS_MAX);
    }
    scenario_free(&scenario);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* One run in which the nth call fails or is short. False: there is no nth call. */
static bool fault_once(const struct trial *trial, uint64_t call, bool is_short)
{
    tell(trial, is_short ? "short" : "fail", call, 0);
    struct host host;
    begin_host(trial, &host);
    host.look_one_in = 1;
    if (is_short)
        sim_short_at(host.world, call);
    else
        sim_fail_at(host.world, SIM_ANY_CALL, call, 0);
    script_run(&host, trial->script);
    bool struck = sim_last_event(host.world)->number != 0 || call <= sim_calls(host.world);
    PROMISE(!is_short || (!host.failed && host.error.code == URN_OK),
            "a short read or write was an error: %s", host.error.text);
    if (host.engine != NULL || struck)
        host_crash(&host, call % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    script_aftermath(&host, trial->script);
    host_free(&host);
    return struck;
}

void systematic_faults(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 301);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned number = 0; number < TRIALS; number++) {
        const struct trial trial = make_trial(number, &scenario, seed, coverage);
        for (uint64_t call = 1; fault_once(&trial, call, false); call++)
            CHECK(call < CALLS_MAX);
    }
    const struct trial life = make_trial(0, &scenario, seed, coverage);
    for (uint64_t call = 1; call < 60; call++)
        (void)fault_once(&life, call, true);
    scenario_free(&scenario);
}

/* ---- a second process ------------------------------------------------------------------------ */

/* Comes at one call of the first process's start. */
struct intruder {
    struct host *host;
    uint64_t calls_left;
    bool came_in;
};

/* A whole life of its own: open, draw, be gone. */
static void intrude(struct intruder *intruder)
{
    struct host *host = intruder->host;
    struct urn_engine_config config = host_config(host, sim_other_process(host->world));
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error = {0};
    uint64_t hash = sim_hash(host->world);
    enum urn_code code = engine_open_steps(&config, &engine, &report, &error);
    trace("the second process: %s %s", urn_code_text(code), error.text);
    if (code != URN_OK) {
        PROMISE(code == URN_INUSE, "a second process got %s: %s", urn_code_text(code), error.text);
        PROMISE(sim_hash(host->world) == hash, "a second process changed files before the lock");
        return;
    }
    intruder->came_in = true;
    const struct oracle_finding found = {.report = &report, .found_lsn = report.end_lsn};
    oracle_check_start(host->oracle, engine, &found, ORACLE_ADOPT);
    host->finding = (struct oracle_finding){.found_lsn = UINT64_MAX};
    struct clients clients = {.scenario = host->scenario};
    struct client_request *draw =
        clients_make_draw(&clients, clients_pool(&clients, SCENARIO_DRY), 3, false);
    urn_submit(engine, &draw->request);
    (void)writer_step(engine);
    oracle_absorb(host->oracle, &clients, engine, false);
    (void)oracle_note_group_end(host->oracle, engine->writer.end_lsn);
    CHECK(engine_commit_begin(engine) && engine_commit_end(engine));
    CHECK(urn_collect(engine) == &draw->request);
    oracle_collect(host->oracle, draw);
    engine_abandon(engine);
    clients_forget(&clients);
}

static void observe_for_intruder(void *context, const struct sim_event *call)
{
    (void)call;
    struct intruder *intruder = context;
    if (intruder->calls_left > 0 && --intruder->calls_left == 0)
        intrude(intruder);
}

void systematic_second_process(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 302);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    bool reached = true;
    for (uint64_t call = 1; reached; call++) {
        verdict_begin("--only systematic --seed %" PRIu64 " (second process, call %" PRIu64 ")",
                      seed, call);
        struct host host;
        host_make(&host, &scenario, coverage, seed);
        struct intruder intruder = {.host = &host, .calls_left = call};
        sim_set_observer(host.world, observe_for_intruder, &intruder);
        host_must_open(&host);
        reached = intruder.calls_left == 0;
        PROMISE(host_draw(&host, SCENARIO_DRY, 2, false) == URN_OK, "a draw failed");
        host_crash(&host, SIM_CRASH_MACHINE);
        script_aftermath(&host, SCRIPT_LIFE);
        host_free(&host);
        CHECK(call < CALLS_MAX);
    }
    scenario_free(&scenario);
}

/* ---- damage under a running engine ----------------------------------------------------------- */

/* The next store into the mapping faults: fail stop, and the next start refuses. */
static void damage_under(struct host *host, bool cut)
{
    host_must_open(host);
    PROMISE(host_draw(host, SCENARIO_DRY, 2, false) == URN_OK, "a draw failed");
    if (cut)
        CHECK(sim_truncate(host->world, "data/segment-0000", OS_PAGE_BYTES));
    else
        CHECK(sim_set_unreadable(host->world, "data/segment-0000", OS_PAGE_BYTES + 600));
    enum urn_code code = host_draw(host, SCENARIO_DRY, 2, false);
    PROMISE(code == URN_INDOUBT && host->failed, "a draw on a lost segment: %s",
            urn_code_text(code));
    PROMISE(host_draw(host, SCENARIO_DRY, 1, false) == URN_READONLY, "a draw after a fail stop");
    PROMISE(host_stop(host) == URN_IO, "a stop after a fail stop");
    host_restart(host);
    code = host_open(host);
    PROMISE(code == URN_DAMAGED, "a start on a lost segment: %s %s", urn_code_text(code),
            host->error.text);
}

void systematic_damage_under(uint64_t seed, struct coverage *coverage)
{
    verdict_begin("--only systematic --seed %" PRIu64 " (damage under an engine)", seed);
    struct sim_random luck = sim_random_stream(seed, 304);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned cut = 0; cut < 2; cut++) {
        struct host host;
        host_make(&host, &scenario, coverage, seed);
        damage_under(&host, cut != 0);
        host_free(&host);
    }
    scenario_free(&scenario);
}

/* ---- damage between two lives ---------------------------------------------------------------- */

void systematic_damage(uint64_t seed, struct coverage *coverage)
{
    verdict_begin("--only systematic --seed %" PRIu64 " (damage)", seed);
    struct sim_random luck = sim_random_stream(seed, 305);
    struct scenario scenario;
    struct host host;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    host_make(&host, &scenario, coverage, seed);
    script_run(&host, SCRIPT_SEGMENT);
    CHECK(host.engine == NULL && host.error.code == URN_OK);
    host_must_open(&host); /* behind the mark, draws that no later group speaks of */
    PROMISE(host_draw(&host, SCENARIO_ENDLESS, 7, false) == URN_OK, "a draw failed");
    host_crash(&host, SIM_CRASH_PROCESS);
    host_restart(&host);
    for (unsigned kind = 0; kind < DAMAGE_KINDS; kind++)
        for (unsigned i = 0; i < DAMAGES_A_KIND; i++)
            damage_try_kind(&host, (enum damage_kind)kind);
    host_free(&host);
    scenario_free(&scenario);
}

/* ---- wide outcomes --------------------------------------------------------------------------- */

void systematic_wide(uint64_t seed, struct coverage *coverage)
{
    verdict_begin("--only wide --seed %" PRIu64, seed);
    struct sim_random luck = sim_random_stream(seed, 303);
    struct scenario scenario;
    struct host host;
    scenario_make(&scenario, SCENARIO_WIDE, &luck);
    host_make(&host, &scenario, coverage, seed);
    for (unsigned life = 0; life < 4; life++) {
        host_must_open(&host);
        for (unsigned i = 0; i < 12; i++)
            PROMISE(host_draw(&host, i % 2, 1 + i * 5, false) == URN_OK, "a wide draw failed");
        host_look(&host);
        if (life % 2 == 0)
            host_idle(&host);
        host_crash(&host, life < 2 ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS);
        host_restart(&host);
        host_check_determinism(&host);
        damage_try_kind(&host, DAMAGE_FLIP_DURABLE);
    }
    host_free(&host);
    scenario_free(&scenario);
}
