/* trial.c: see trial.h. */
#include "tests/lib/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct sim_world *trial_clone_crashing(struct sim_world *before, uint64_t n, uint64_t luck)
{
    struct sim_world *world = sim_world_clone(before, n * 16 + luck);
    (void)sim_restart(world);
    sim_crash_at(world, n, luck % 2 == 0 ? SIM_CRASH_MACHINE : SIM_CRASH_PROCESS,
                 luck % 4 < 2 ? SIM_CRASH_BEFORE : SIM_CRASH_AMID);
    return world;
}

static void check(const struct trial *trial, struct sim_world *world, bool done)
{
    (void)sim_restart(world);
    trial->check(trial->context, world, done);
    assert_int_equal(sim_open_handles(world), 0);
    sim_world_free(world);
}

void trial_crash_everywhere(const struct trial *trial, uint64_t lucks)
{
    bool fired = true;
    for (uint64_t n = 1; fired; n++)
        for (uint64_t luck = 0; luck < lucks && fired; luck++) {
            struct sim_world *world = trial_clone_crashing(trial->before, n, luck);
            const bool done = trial->act(trial->context, world);
            fired = sim_crashed(world) != SIM_NO_CRASH;
            assert_true(fired || done);
            if (!fired)
                sim_crash_now(world, SIM_CRASH_MACHINE);
            check(trial, world, !fired);
        }
}

void trial_fail_everywhere(const struct trial *trial)
{
    bool fired = true;
    for (uint64_t n = 1; fired; n++)
        for (uint64_t luck = 0; luck < 4 && fired; luck++) {
            struct sim_world *world = sim_world_clone(trial->before, n * 16 + luck);
            (void)sim_restart(world);
            sim_fail_at(world, SIM_ANY_CALL, n, 0);
            const bool done = trial->act(trial->context, world);
            fired = sim_last_event(world)->number != 0;
            assert_true(fired || done);
            if (luck % 2 == 0 || sim_is_stopped(world))
                sim_crash_now(world, SIM_CRASH_MACHINE);
            check(trial, world, done);
        }
}

void trial_fill_disk(const struct trial *trial, uint64_t step_bytes,
                     void (*refused)(void *context, struct sim_world *world, uint64_t used_bytes))
{
    const uint64_t used_bytes = sim_used_bytes(trial->before);
    bool done = false;
    for (uint64_t more = 0; !done; more += step_bytes) {
        assert_true(more < 4 * 1024 * 1024);
        struct sim_world *world = sim_world_clone(trial->before, more);
        (void)sim_restart(world);
        sim_set_capacity(world, used_bytes + more);
        done = trial->act(trial->context, world);
        if (!done)
            refused(trial->context, world, used_bytes);
        sim_set_capacity(world, UINT64_MAX);
        check(trial, world, done);
    }
}
