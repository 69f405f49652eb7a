/* full_ring.c: see full_ring.h. */
#include "tests/sim/full_ring.h"

#include <inttypes.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/damage.h"
#include "tests/sim/host.h"
#include "tests/sim/verdict.h"

#define STARTS_WHEN_FULL    100u
#define REFILLS             6u
#define STARTS_A_REFILL     12u
#define STARTS_ON_FULL_DISK 3u
#define DRAWS_MAX           100000u /* more without BUSY: the ring has no end */

/* Restocks an item, each time to another quantity, so that one that was told BUSY and done shows. */
static enum urn_code restock(struct host *host, uint32_t number)
{
    const struct urn_item_spec *item = &host->scenario->pools[SCENARIO_DRY].items[0];
    clients_forget(&host->clients);
    struct client_request *update =
        clients_make(&host->clients, URN_UPDATE, clients_pool(&host->clients, SCENARIO_DRY));
    update->request.item_id = item->item_id;
    update->request.item_id_bytes = item->item_id_bytes;
    update->request.has_quantity = true;
    update->request.quantity = 1 + number % 1000;
    return host_ask(host, update);
}

/* What draws have left of the room, by changes. */
static void fill_with_changes(struct host *host)
{
    enum urn_code code = URN_OK;
    for (uint32_t number = 0; code == URN_OK; number++) {
        code = restock(host, number);
        PROMISE(code == URN_OK || code == URN_BUSY, "an update ended with %s", urn_code_text(code));
        PROMISE(number < DRAWS_MAX, "the ring never gets full");
    }
    PROMISE(restock(host, 7777) == URN_BUSY, "an update finds room behind one that found none");
}

/* With the disk full no snapshot makes room. */
static void fill(struct host *host)
{
    sim_set_capacity(host->world, sim_used_bytes(host->world));
    static const uint32_t counts[] = {SCENARIO_LARGE_DRAW, 1000, 40, 1};
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        uint32_t draws = 0;
        enum urn_code code;
        do {
            code = host_draw(host, SCENARIO_ENDLESS, counts[i], false);
            PROMISE(code == URN_OK || code == URN_BUSY, "a draw ended with %s",
                    urn_code_text(code));
            PROMISE(draws++ < DRAWS_MAX, "the ring never gets full");
        } while (code == URN_OK);
    }
    fill_with_changes(host);
    PROMISE(!host->failed, "a full ring is not a failure");
    sim_set_capacity(host->world, UINT64_MAX);
}

/* The disk is freed: the engine goes on by itself. */
static void go_on(struct host *host)
{
    sim_advance(host->world, SNAPSHOT_RETRY_NS);
    host_drain(host);
    PROMISE(host_draw(host, SCENARIO_ENDLESS, SCENARIO_LARGE_DRAW, false) == URN_OK,
            "a freed disk does not end a shortage");
}

/* While there is hope a request waits for room instead of getting BUSY: the disk is freed in time. */
static void wait_for_room(struct host *host)
{
    sim_set_capacity(host->world, sim_used_bytes(host->world));
    struct client_request *draw = NULL;
    for (uint32_t draws = 0; draw == NULL || draw->collected; draws++) {
        PROMISE(draws < DRAWS_MAX, "the ring never gets full");
        clients_forget(&host->clients);
        draw = clients_make_draw(&host->clients, clients_pool(&host->clients, SCENARIO_ENDLESS),
                                 SCENARIO_LARGE_DRAW, false);
        host_submit(host, draw);
        host_settle(host);
        PROMISE(!draw->collected || draw->request.code == URN_OK,
                "%s where a request should wait for room", urn_code_text(draw->request.code));
    }
    sim_advance(host->world, ROOM_WAIT_NS / 2);
    host_settle(host);
    PROMISE(!draw->collected, "a request did not wait for room");
    sim_set_capacity(host->world, UINT64_MAX);
    host_drain(host);
    PROMISE(draw->request.code == URN_OK, "a request that waited for room got %s",
            urn_code_text(draw->request.code));
}

/* What the next start does: how many calls, and whether it makes room. */
struct preview {
    uint64_t calls;
    bool makes_room;
};

static void watch_for_snapshots(void *context, const struct sim_event *call)
{
    struct preview *preview = context;
    preview->makes_room = preview->makes_room || (call->call == SIM_FILE_CREATE &&
                                                  strncmp(call->name, "snapshot-", 9) == 0);
}

static struct preview preview_start(struct host *host)
{
    struct preview preview = {0};
    struct host branch;
    host_branch(host, &branch);
    sim_set_observer(branch.world, watch_for_snapshots, &preview);
    uint64_t calls = sim_calls(branch.world);
    host_must_open(&branch);
    preview.calls = sim_calls(branch.world) - calls;
    host_branch_free(&branch);
    return preview;
}

/* Crashes a start in branches at every call, one way after the other, and starts again. */
static void crash_start_everywhere(struct host *host, uint64_t calls)
{
    for (uint64_t call = 1; call <= calls; call++)
        for (unsigned kind = SIM_CRASH_PROCESS; kind <= SIM_CRASH_MACHINE; kind++) {
            struct host branch;
            host_branch(host, &branch);
            sim_crash_at(branch.world, call, (enum sim_crash)kind, SIM_CRASH_AMID);
            (void)host_open(&branch);
            host_crash(&branch, (enum sim_crash)kind);
            host_restart(&branch);
            host_must_open(&branch);
            host_crash(&branch, SIM_CRASH_MACHINE);
            host_restart(&branch);
            host_must_open(&branch);
            host_branch_free(&branch);
        }
}

/* Fails a start in branches at every call; whatever it says, the next one starts. */
static void fail_start_everywhere(struct host *host, uint64_t calls)
{
    for (uint64_t call = 1; call <= calls; call++) {
        struct host branch;
        host_branch(host, &branch);
        sim_fail_at(branch.world, SIM_ANY_CALL, call, 0);
        (void)host_open(&branch);
        host_crash(&branch, call % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
        host_restart(&branch);
        host_must_open(&branch);
        host_branch_free(&branch);
    }
}

static void kill_and_start(struct host *host, uint64_t number)
{
    host_crash(host, number % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
    host_restart(host);
    if (number % 8 == 0)
        damage_try(host);
    host_must_open(host);
}

/* A start on a full disk can write no snapshot: it lets the log grow as far as those that are there allow, or
 * refuses until the disk is freed. Then the newest is damaged, or the other, and the log from the one
 * that is left must be there. */
static void start_on_full_disk(struct host *host)
{
    enum urn_code code = URN_OK;
    for (unsigned start = 0; start < STARTS_ON_FULL_DISK && code == URN_OK; start++) {
        host_crash(host, SIM_CRASH_MACHINE);
        host_restart(host);
        sim_set_capacity(host->world, sim_used_bytes(host->world));
        code = host_open(host);
        PROMISE(code == URN_OK || code == URN_IO, "a start on a full disk: %s %s",
                urn_code_text(code), host->error.text);
        if (code == URN_OK)
            fill(host);
    }
    host_crash(host, SIM_CRASH_MACHINE);
    host_restart(host);
    sim_set_capacity(host->world, UINT64_MAX);
    damage_try_kind(host, DAMAGE_SNAPSHOT);
    damage_try_kind(host, DAMAGE_SECOND);
    host_must_open(host);
}

/* Kills and starts a full ring until a start makes room, which is crashed and failed everywhere. */
static void reach_room(struct host *host)
{
    for (unsigned number = 0; number < STARTS_WHEN_FULL; number++) {
        host_crash(host, number % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE);
        host_restart(host);
        struct preview preview = preview_start(host);
        if (preview.makes_room) {
            crash_start_everywhere(host, preview.calls);
            fail_start_everywhere(host, preview.calls);
        }
        host_must_open(host);
        if (preview.makes_room)
            return;
    }
    violation("no start of a full ring made room");
}

void full_ring_run(uint64_t seed, struct coverage *coverage)
{
    verdict_begin("--only full-ring --seed %" PRIu64, seed);
    struct sim_random luck = sim_random_stream(seed, 400);
    struct scenario scenario;
    struct host host;
    scenario_make(&scenario, SCENARIO_FIXED, &luck);
    host_make(&host, &scenario, coverage, seed);
    host_must_open(&host);
    fill(&host);
    for (unsigned number = 0; number < STARTS_WHEN_FULL; number++)
        kill_and_start(&host, number);
    fill(&host);
    reach_room(&host);
    for (unsigned refill = 0; refill < REFILLS; refill++) {
        fill(&host);
        if (refill % 2 == 0) {
            go_on(&host);
            wait_for_room(&host);
        }
        fill(&host);
        for (unsigned number = 0; number < STARTS_A_REFILL; number++) {
            kill_and_start(&host, number);
            if (number % 3 == 0)
                start_on_full_disk(&host);
        }
    }
    host_free(&host);
    scenario_free(&scenario);
}
