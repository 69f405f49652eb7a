/* load.h: one thread's share of a load.
 *
 * Each thread has connections, an epoll and counts of its own; they share a plan, which says what to
 * do until when, and the order to stop. Which calls are measured is decided by one time alone: those
 * sent (in an open loop: due) at or behind measure_ns. All of them are waited for, so that the slow
 * ones are not lost at the end.
 */
#ifndef URN_TOOLS_URN_BENCH_LOAD_H
#define URN_TOOLS_URN_BENCH_LOAD_H

#include <semaphore.h>
#include <stdatomic.h>

#include "tools/urn_bench/connection.h"
#include "tools/urn_bench/options.h"
#include "tools/urn_bench/schedule.h"
#include "tools/urn_bench/totals.h"

#define LOAD_FAILURE_BYTES 320u

/* What all threads share; but for the last group it does not change while they run. */
struct plan {
    const struct options *options;
    const struct request *requests; /* one for each pool, or the one ping */
    uint32_t request_count;
    struct reply_expected expected;
    uint64_t start_ns; /* of the monotonic clock, as all times here */
    uint64_t measure_ns;
    uint64_t end_ns; /* no call is sent (in an open loop: is due) at or behind it */
    int stop_event;  /* an eventfd: readable when threads are to send no more */

    atomic_bool stop;
};

/* The plan's times, from now on. In an open loop so many calls take a known time, so that end_ns says
 * it either way. */
void plan_times(struct plan *plan, uint64_t now_ns);

/* Tells all threads to send no more and to wait for what is under way. Any thread; also from a signal's
 * handler. */
void plan_stop(struct plan *plan);

struct load {
    struct plan *plan;
    struct connection *connections;
    uint32_t connection_count;
    struct schedule schedule; /* of an open loop */
    uint64_t calls_max;       /* measured calls to send, of this thread; UINT64_MAX: no limit */
    sem_t *ended;             /* posted once, in the end */

    struct totals totals;
    char failure[LOAD_FAILURE_BYTES]; /* why the load ended before its time; empty: it did not */
    bool no_memory;                   /* the failure is that */

    /* For the line of progress. Any thread. */
    _Atomic uint64_t calls_so_far;
    _Atomic uint64_t refused_so_far; /* BUSY or another error */
};

/* Runs the load to its end; a pthread's main function, of a struct load. */
void *load_run(void *argument);

uint64_t load_now_ns(void);

#endif
