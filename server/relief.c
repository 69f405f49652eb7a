/* relief.c: see relief.h. */
#include "server/relief.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "engine/check.h"
#include "engine/error.h"
#include "server/loop.h"

#define NS_A_SECOND 1000000000u

/* ---- the network thread ---------------------------------------------------------------------- */

static void lend_begins(struct relief *relief)
{
    atomic_fetch_add(&relief->lends, 1);
    if (atomic_load(&relief->sleeps) && atomic_exchange(&relief->sleeps, false))
        CHECK(sem_post(&relief->posted) == 0);
    CHECK(pthread_mutex_unlock(&relief->loop) == 0);
}

/* The other may be waiting for events: the notice comes behind the count that it will look at. */
static void lend_ends(struct server *server)
{
    struct relief *relief = &server->relief;
    atomic_fetch_add(&relief->lends, 1);
    if (pthread_mutex_trylock(&relief->loop) == 0)
        return;
    server_notify(server);
    CHECK(pthread_mutex_lock(&relief->loop) == 0);
}

static bool is_lent(uint64_t lends)
{
    return lends % 2 == 1;
}

void relief_take(struct server *server)
{
    struct relief *relief = &server->relief;
    struct urn_request *list = server->submit_first;
    CHECK(relief->lone == NULL);
    if (list == NULL || !relief->stands_by)
        return;
    const bool is_alone = server->calls_in_engine == 1 && list->op == URN_DRAW;
    const bool is_second = is_alone && relief->was_alone;
    relief->was_alone = is_alone;
    if (!is_second || relief->stands_in)
        return;
    if (relief->spared > 0) {
        relief->spared--;
        return;
    }
    relief->lone = list;
    server->submit_first = NULL;
    server->submit_end = &server->submit_first;
}

struct urn_request *relief_join(struct server *server, struct urn_request *list)
{
    struct urn_request *lone = server->relief.lone;
    if (lone == NULL)
        return list;
    server->relief.lone = NULL;
    server->relief.was_alone = false;
    lone->next = list;
    return lone;
}

/* So long the server was deaf, unless the other stood in. */
static void consider(struct relief *relief, uint64_t lent_ns)
{
    const bool is_slow = lent_ns > RELIEF_SLOW_NS;
    if (is_slow && relief->was_slow)
        relief->spared = RELIEF_SPARED;
    relief->was_slow = is_slow;
}

bool relief_lend(struct server *server)
{
    struct relief *relief = &server->relief;
    struct urn_request *lone = relief->lone;
    relief->lone = NULL;
    if (lone == NULL)
        return false;
    const uint64_t began_ns = server->now_ns;
    /* It is in the engine before another thread may submit what comes behind it. */
    if (!urn_submit_quietly(server->engine, lone))
        return false;
    lend_begins(relief);
    const bool worked = urn_work_here(server->engine);
    lend_ends(server);
    server->now_ns = server->clock_ns();
    consider(relief, server->now_ns - began_ns);
    return worked;
}

/* ---- the relief thread ----------------------------------------------------------------------- */

/* A post that comes for nothing only makes the thread look once more. */
static void wait_for_post(struct relief *relief, uint64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_A_SECOND),
                                      .tv_nsec = (long)(deadline_ns % NS_A_SECOND)};
    const int result = deadline_ns == UINT64_MAX
                           ? sem_wait(&relief->posted)
                           : sem_clockwait(&relief->posted, CLOCK_MONOTONIC, &deadline);
    CHECK(result == 0 || errno == EINTR || errno == ETIMEDOUT);
}

/* Nothing is lent: until something is. */
static void sleep_until_lent(struct relief *relief, uint64_t lends)
{
    atomic_store(&relief->sleeps, true);
    if (atomic_load(&relief->lends) == lends && !atomic_load(&relief->ends))
        wait_for_post(relief, UINT64_MAX);
    atomic_store(&relief->sleeps, false);
}

/* Runs rounds for as long as the network thread is away with this lend. */
static void stand_in(struct server *server, uint64_t lends)
{
    struct relief *relief = &server->relief;
    if (pthread_mutex_trylock(&relief->loop) != 0)
        return; /* it is back */
    relief->stands_in = true;
    while (atomic_load(&relief->lends) == lends) {
        if (atomic_load(&server->stop_requested))
            loop_stop_taking(server);
        loop_round(server, -1);
    }
    relief->stands_in = false;
    CHECK(pthread_mutex_unlock(&relief->loop) == 0);
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_A_SECOND + (uint64_t)now.tv_nsec;
}

static void *relief_main(void *argument)
{
    struct server *server = argument;
    struct relief *relief = &server->relief;
    uint64_t lends = 0;
    uint64_t since_ns = 0; /* at least so long they have been so many */
    while (!atomic_load(&relief->ends)) {
        const uint64_t now_ns = monotonic_ns();
        const uint64_t lends_now = atomic_load(&relief->lends);
        if (lends_now != lends) {
            lends = lends_now;
            since_ns = now_ns;
        }
        if (now_ns - since_ns < RELIEF_AFTER_NS)
            wait_for_post(relief, since_ns + RELIEF_AFTER_NS);
        else if (is_lent(lends))
            stand_in(server, lends);
        else
            sleep_until_lent(relief, lends);
    }
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* A sync in the network thread is not to be interrupted, and a signal is not to wait for it. */
static void handle_signals_here(bool here)
{
    sigset_t handled;
    sigemptyset(&handled);
    sigaddset(&handled, SIGTERM);
    sigaddset(&handled, SIGINT);
    sigaddset(&handled, SIGHUP);
    CHECK(pthread_sigmask(here ? SIG_UNBLOCK : SIG_BLOCK, &handled, NULL) == 0);
}

static void destroy(struct relief *relief)
{
    CHECK(pthread_mutex_unlock(&relief->loop) == 0);
    CHECK(pthread_mutex_destroy(&relief->loop) == 0);
    CHECK(sem_destroy(&relief->posted) == 0);
}

enum urn_code relief_begin(struct server *server, struct urn_error *error)
{
    struct relief *relief = &server->relief;
    CHECK(!relief->stands_by);
    CHECK(sem_init(&relief->posted, 0, 0) == 0);
    CHECK(pthread_mutex_init(&relief->loop, NULL) == 0);
    CHECK(pthread_mutex_lock(&relief->loop) == 0);
    const int why = pthread_create(&relief->thread, NULL, relief_main, server);
    if (why != 0) {
        destroy(relief);
        return error_set(error, URN_NOMEMORY, why, "cannot start the network thread's relief");
    }
    (void)pthread_setname_np(relief->thread, "urn-relief");
    handle_signals_here(false);
    relief->stands_by = true;
    return URN_OK;
}

void relief_end(struct server *server)
{
    struct relief *relief = &server->relief;
    if (!relief->stands_by)
        return;
    relief->stands_by = false;
    handle_signals_here(true);
    atomic_store(&relief->ends, true);
    CHECK(sem_post(&relief->posted) == 0);
    CHECK(pthread_join(relief->thread, NULL) == 0);
    destroy(relief);
}
