/* worker.h: one connection of the soak's load, in a thread of its own: draws as fast as it is let, and
 * hands every answer to the ledger.
 */
#ifndef URN_TESTS_SOAK_WORKER_H
#define URN_TESTS_SOAK_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/histogram.h"
#include "proto/client.h"
#include "tests/lib/sim_random.h"
#include "tests/soak/ledger.h"

#define WORKER_IN_FLIGHT_MAX 64u

/* How a connection draws. */
struct worker_kind {
    const char *name;
    uint32_t connections;
    uint32_t count_max; /* draws a request; a pool may want fewer */
    uint32_t in_flight;
    bool varies;   /* counts from 1 to count_max, outcomes told in any way, now and then "all" */
    bool is_alone; /* latencies are those of lone draws */
};

/* What all workers share. */
struct load {
    pthread_mutex_t lock; /* of all below but what is atomic */
    struct ledger ledger;
    uint32_t count_max[LEDGER_POOLS_MAX]; /* draws a request, by pool */
    struct histogram lone_ns;             /* lone draws: from the send to the answer */
    struct histogram all_ns;
    uint64_t busy;   /* requests refused so */
    uint64_t closed; /* likewise */
    uint64_t nostock;
    uint64_t readonly;
    uint64_t indoubt;
    uint64_t lost;             /* connections that ended before they were told to stop */
    char trouble[600];         /* what no server should answer; empty: nothing */
    _Atomic uint64_t heard_id; /* the highest id that any answer had */
    atomic_bool stopping;      /* send no more, take the answers that are due */
};

/* A request without an answer. */
struct worker_request {
    uint32_t msgid;
    uint32_t pool;
    uint32_t count;
    enum urnclient_as as;
    bool all;
    bool waits;
    uint64_t sequence; /* of its connection */
    uint64_t floor_id;
    uint64_t sent_ns;
};

struct worker {
    struct load *load;
    const struct worker_kind *kind;
    const char *address;
    pthread_t thread;
    struct sim_random random;
    struct urnclient *client;
    struct worker_request requests[WORKER_IN_FLIGHT_MAX];
    uint64_t sent;
    uint64_t newest_sequence; /* answered; of a connection requests are carried out in order */
    uint64_t newest_first_id;
    uint64_t newest_last_id;
};

/* A thread's life: context is a struct worker with load, kind, address and random set. Ends when the
 * connection does, when the load stops, or at the first violation. Returns NULL. */
void *worker_run(void *context);

#endif
