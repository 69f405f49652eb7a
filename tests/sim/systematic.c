/* systematic.c: see systematic.h. */
#include "tests/sim/systematic.h"

#include <inttypes.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/damage.h"
#include "tests/sim/host.h"
#include "tests/sim/verdict.h"

#define DAMAGES_A_KIND 40u
#define CALLS_MAX      100000u /* of one script: more is a livelock */

/* ---- scripts --------------------------------------------------------------------------------- */

enum script {
    SCRIPT_LIFE,    /* creation, draws of all kinds, marks, a clean stop, a start, draws */
    SCRIPT_SEGMENT, /* the same with a segment change */
    SCRIPT_CHANGES, /* changes of items and pools, a reload, draws in between */
    SCRIPT_CATALOG, /* a catalog over many groups, draws in between */
    SCRIPT_COUNT
};

static const char *const script_text[SCRIPT_COUNT] = {"life", "segment", "changes", "catalog"};

static bool is_over(const struct host *host)
{
    return host_crashed(host) || host->engine == NULL || host->failed;
}

/* Three draws and a read, in one group. */
static void draw_together(struct host *host)
{
    struct clients *clients = &host->clients;
    host_submit(host, clients_make_draw(clients, clients_pool(clients, SCENARIO_DRY), 2, false));
    host_submit(host,
                clients_make_read(clients, URN_STATE, clients_pool(clients, SCENARIO_DRY), 9));
    host_submit(host, clients_make_draw(clients, clients_pool(clients, SCENARIO_ENDLESS), 5, true));
    host_submit(host, clients_make_draw(clients, clients_pool(clients, SCENARIO_DRY), 9, true));
    host_drain(host);
}

/* While one group is being synced, the next fills up. */
static void draw_meanwhile(struct host *host)
{
    struct clients *clients = &host->clients;
    host_submit(host, clients_make_draw(clients, clients_pool(clients, SCENARIO_DRY), 4, false));
    host_writer_step(host);
    if (host_can_begin(host))
        host_commit_begin(host);
    host_submit(host, clients_make_draw(clients, clients_pool(clients, SCENARIO_DRY), 20,
                                        true)); /* NOSTOCK */
    host_submit(host, clients_make_draw(clients, clients_pool(clients, SCENARIO_DRY), 6, false));
    host_writer_step(host);
    host_drain(host);
}

static void draw_life(struct host *host, enum script script)
{
    (void)host_draw(host, SCENARIO_DRY, 3, false);
    if (!is_over(host))
        draw_together(host);
    if (!is_over(host))
        host_idle(host);
    if (!is_over(host))
        draw_meanwhile(host);
    for (unsigned i = 0; script == SCRIPT_SEGMENT && i < 5 && !is_over(host); i++)
        (void)host_draw(host, SCENARIO_ENDLESS, SCENARIO_LARGE_DRAW, false);
    if (!is_over(host))
        (void)host_draw(host, SCENARIO_DRY, 12, false); /* the last ones fail */
}

static struct client_request *make_update(struct clients *clients, uint32_t item, bool quantity,
                                          bool weight)
{
    struct client_request *made =
        clients_make(clients, URN_UPDATE, clients_pool(clients, SCENARIO_DRY));
    const struct urn_item_spec *spec = &clients->scenario->pools[SCENARIO_DRY].items[item];
    made->request.item_id = spec->item_id;
    made->request.item_id_bytes = spec->item_id_bytes;
    made->request.has_quantity = quantity;
    made->request.quantity = 5;
    made->request.has_probability = weight;
    made->request.probability = 7;
    return made;
}

static struct client_request *make_add(struct clients *clients)
{
    struct client_request *made =
        clients_make(clients, URN_ADD, clients_pool(clients, SCENARIO_DRY));
    made->request.item_id = "more";
    made->request.item_id_bytes = 4;
    made->request.quantity = 2;
    made->request.probability = 9;
    return made;
}

/* The file has another weight of one item, one item more, and one pool more. */
static struct client_request *make_reload(struct clients *clients)
{
    const struct urn_pool_spec *pool = &clients->scenario->pools[SCENARIO_DRY];
    struct urn_item_spec items[8];
    CHECK(pool->item_count < 8);
    memcpy(items, pool->items, pool->item_count * sizeof *items);
    items[1].probability += 4;
    items[pool->item_count] = (struct urn_item_spec){"filed", 5, 3, 30};
    struct catalog_list file = {0};
    catalogs_append(&file, clients_pool(clients, SCENARIO_DRY), items, pool->item_count + 1);
    catalogs_append(&file, (struct urn_text){"autumn", 6}, items, 2);
    return clients_make_catalogs(clients, URN_RELOAD, file, 20);
}

static void change_life(struct host *host)
{
    struct clients *clients = &host->clients;
    const struct urn_text dry = clients_pool(clients, SCENARIO_DRY);
    host_submit(host, make_update(clients, 0, true, false));
    host_submit(host, clients_make_draw(clients, dry, 4, false));
    host_submit(host, clients_make(clients, URN_SNAPSHOT, (struct urn_text){NULL, 0}));
    host_submit(host, make_update(clients, 1, true, true));
    host_submit(host, clients_make_read(clients, URN_STATE, dry, 9));
    host_drain(host);
    if (is_over(host))
        return;
    host_submit(host, make_add(clients));
    host_writer_step(host);
    if (host_can_begin(host))
        host_commit_begin(host);
    host_submit(host, clients_make(clients, URN_CLOSE, dry));
    host_submit(host, clients_make_draw(clients, dry, 1, false));
    host_submit(host, clients_make_catalogs(clients, URN_CREATE, book_usual(clients->book, 3), 0));
    host_drain(host);
    if (is_over(host))
        return;
    host_submit(host, make_reload(clients));
    host_submit(host, clients_make(clients, URN_OPEN, dry));
    host_submit(host, clients_make_draw(clients, dry, 9, false));
    host_drain(host);
    if (!is_over(host))
        host_idle(host);
}

static struct client_request *make_large_create(struct clients *clients)
{
    return clients_make_catalogs(clients, URN_CREATE, book_usual(clients->book, 0), 0);
}

/* While one group of the catalog is being synced, the next fills up, with draws in between. */
static void catalog_life(struct host *host)
{
    struct clients *clients = &host->clients;
    const struct urn_text dry = clients_pool(clients, SCENARIO_DRY);
    const struct urn_text large =
        book_pool_name(clients->book, clients->scenario->config.pool_count);
    static const enum urn_op refused[] = {URN_CLOSE, URN_OPEN};
    host_submit(host, make_large_create(clients));
    for (unsigned i = 0; i < 4 && !is_over(host); i++) {
        host_submit(host, clients_make_draw(clients, dry, 2, false));
        if (i > 0)
            host_submit(host, clients_make(clients, refused[i % 2], large));
        host_writer_step(host);
        if (!host->syncing && host_can_begin(host))
            host_commit_begin(host);
        else if (host->syncing)
            host_commit_end(host);
    }
    if (!is_over(host))
        host_drain(host);
}

static void first_life(struct host *host, enum script script)
{
    if (script == SCRIPT_CHANGES)
        change_life(host);
    else if (script == SCRIPT_CATALOG)
        catalog_life(host);
    else
        draw_life(host, script);
    if (!is_over(host))
        (void)host_stop(host);
}

/* Goes on until the end, a crash, or a failure. */
static void run_script(struct host *host, enum script script)
{
    if (host_open(host) != URN_OK || is_over(host))
        return;
    first_life(host, script);
    if (is_over(host) && (host_crashed(host) || host->engine != NULL || host->failed))
        return;
    if (host->error.code != URN_OK || host_open(host) != URN_OK || is_over(host))
        return;
    (void)host_draw(host, SCENARIO_ENDLESS, 2, false);
    if (!is_over(host))
        (void)host_stop(host);
}

/* The same catalog once more: it goes on where it ended, or is there. */
static void create_again(struct host *host)
{
    clients_forget(&host->clients);
    const enum urn_code code = host_ask(host, make_large_create(&host->clients));
    PROMISE(code == URN_OK || code == URN_EXISTS, "a create sent again ended with %s",
            urn_code_text(code));
    clients_forget(&host->clients);
    const struct urn_text pool =
        book_pool_name(host->clients.book, host->scenario->config.pool_count);
    PROMISE(host_ask(host, clients_make_draw(&host->clients, pool, 5, false)) == URN_OK,
            "no draws from a large pool");
}

/* What must go well behind any crash: start, draw, mark, stop, power loss, start. */
static void aftermath(struct host *host, enum script script)
{
    host_restart(host);
    host_must_open(host);
    (void)host_draw(host, SCENARIO_DRY, 2, false);
    (void)host_draw(host, SCENARIO_ENDLESS, 3, false);
    host_idle(host);
    if (script == SCRIPT_CATALOG)
        create_again(host);
    PROMISE(!host->failed, "a log failed that nothing hindered");
    host_crash(host, SIM_CRASH_MACHINE);
    host_restart(host);
    host_must_open(host);
    PROMISE(host_stop(host) == URN_OK, "a stop failed that nothing hindered");
}

/* The calls of a script that are to be struck: creation is the same in all. */
struct calls {
    uint64_t first, last;
};

/* Runs the script undisturbed, every acknowledged draw looked for in a branch. */
static struct calls run_undisturbed(enum script script, uint64_t seed, struct coverage *coverage,
                                    const struct scenario *scenario)
{
    verdict_begin("--only systematic --seed %" PRIu64, seed);
    struct host host;
    host_make(&host, scenario, coverage, seed);
    host.look_one_in = 1;
    host_must_open(&host);
    struct calls calls = {.first = script == SCRIPT_LIFE ? 1 : sim_calls(host.world)};
    host_crash(&host, SIM_CRASH_PROCESS);
    host_free(&host);
    host_make(&host, scenario, coverage, seed);
    host.look_one_in = 1;
    run_script(&host, script);
    PROMISE(!host.failed && host.engine == NULL && host.error.code == URN_OK,
            "script %s fails undisturbed: %s", script_text[script], host.error.text);
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

/* One run of the script, crashed at one call. */
static void crash_once(enum script script, uint64_t seed, uint64_t call, enum how how,
                       struct coverage *coverage, const struct scenario *scenario)
{
    verdict_begin("--only systematic --seed %" PRIu64 " (script %s, call %" PRIu64 ", way %d)",
                  seed, script_text[script], call, (int)how);
    bool machine = how == HOW_MACHINE || how == HOW_MACHINE_AMID;
    bool amid = how == HOW_PROCESS_AMID || how == HOW_MACHINE_AMID;
    struct host host;
    host_make(&host, scenario, coverage, seed);
    sim_crash_at(host.world, call, machine ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS,
                 amid ? SIM_CRASH_AMID : SIM_CRASH_BEFORE);
    run_script(&host, script);
    PROMISE(host_crashed(&host), "the same run makes fewer calls");
    enum sim_call struck = sim_last_event(host.world)->call;
    bool tears = struck == SIM_MAP_WRITE || struck == SIM_FILE_WRITE;
    host_crash(&host, SIM_CRASH_PROCESS);
    if (amid && !tears) { /* has been done as BEFORE */
        host_free(&host);
        return;
    }
    if (how == HOW_BOTH)
        sim_crash_now(host.world, SIM_CRASH_MACHINE);
    else if (script == SCRIPT_LIFE)
        crash_every_start(&host, call % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    aftermath(&host, script);
    host_free(&host);
}

void systematic_crashes(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 300);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned script = 0; script < SCRIPT_COUNT; script++) {
        const struct calls calls = run_undisturbed((enum script)script, seed, coverage, &scenario);
        for (uint64_t call = calls.first; call <= calls.last; call++)
            for (unsigned how = 0; how < HOW_COUNT; how++)
                crash_once((enum script)script, seed, call, (enum how)how, coverage, &scenario);
    }
    scenario_free(&scenario);
}

/* ---- between steps --------------------------------------------------------------------------- */

/* One run of the script, crashed behind its nth step. False: it has fewer. */
static bool crash_behind(enum script script, uint64_t seed, uint64_t step, enum sim_crash kind,
                         struct coverage *coverage, const struct scenario *scenario)
{
    verdict_begin("--only systematic --seed %" PRIu64 " (script %s, step %" PRIu64 ", way %d)",
                  seed, script_text[script], step, (int)kind);
    struct host host;
    host_make(&host, scenario, coverage, seed);
    host_crash_behind_step(&host, step, kind);
    run_script(&host, script);
    const bool reached = host.steps_left == 0;
    if (reached) {
        host_crash(&host, kind);
        aftermath(&host, script);
    }
    host_free(&host);
    return reached;
}

void systematic_steps(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 306);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned script = SCRIPT_CHANGES; script < SCRIPT_COUNT; script++)
        for (unsigned kind = SIM_CRASH_PROCESS; kind <= SIM_CRASH_MACHINE; kind++)
            for (uint64_t step = 1; crash_behind((enum script)script, seed, step,
                                                 (enum sim_crash)kind, coverage, &scenario);
                 step++)
                CHECK(step < CALLS_MAX);
    scenario_free(&scenario);
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* One run in which the nth call fails or is short. False: there is no nth call. */
static bool fault_once(enum script script, uint64_t seed, uint64_t call, bool is_short,
                       struct coverage *coverage, const struct scenario *scenario)
{
    verdict_begin("--only systematic --seed %" PRIu64 " (script %s, %s %" PRIu64 ")", seed,
                  script_text[script], is_short ? "short" : "fail", call);
    struct host host;
    host_make(&host, scenario, coverage, seed);
    host.look_one_in = 1;
    if (is_short)
        sim_short_at(host.world, call);
    else
        sim_fail_at(host.world, SIM_ANY_CALL, call, 0);
    run_script(&host, script);
    bool struck = sim_last_event(host.world)->number != 0 || call <= sim_calls(host.world);
    PROMISE(!is_short || (!host.failed && host.error.code == URN_OK),
            "a short read or write was an error: %s", host.error.text);
    if (host.engine != NULL || struck)
        host_crash(&host, call % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    aftermath(&host, script);
    host_free(&host);
    return struck;
}

void systematic_faults(uint64_t seed, struct coverage *coverage)
{
    struct sim_random luck = sim_random_stream(seed, 301);
    struct scenario scenario;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    for (unsigned script = 0; script < SCRIPT_COUNT; script++)
        for (uint64_t call = 1;
             fault_once((enum script)script, seed, call, false, coverage, &scenario); call++)
            CHECK(call < CALLS_MAX);
    for (uint64_t call = 1; call < 60; call++)
        (void)fault_once(SCRIPT_LIFE, seed, call, true, coverage, &scenario);
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
    struct urn_engine_config config = host->scenario->config;
    config.os = sim_other_process(host->world);
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
    oracle_check_start(host->oracle, engine, &report, report.end_lsn, ORACLE_ADOPT);
    host->found_lsn = UINT64_MAX;
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
        aftermath(&host, SCRIPT_LIFE);
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
    run_script(&host, SCRIPT_SEGMENT);
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
