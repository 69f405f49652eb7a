/* clients.h: requests of all kinds, with the memory they need from submission to collection, in the
 * order of their submission. */
#ifndef URN_TESTS_SIM_CLIENTS_H
#define URN_TESTS_SIM_CLIENTS_H

#include "tests/sim/scenario.h"

#define CLIENT_NO_POOL UINT32_MAX

struct client_request {
    struct urn_request request; /* first: the engine hands this address back */
    struct client_request *next;
    uint32_t pool;           /* index in the scenario; CLIENT_NO_POOL: a name that does not exist */
    bool absorbed;           /* the oracle has seen what the engine staged or answered */
    bool refused_at_once;    /* by urn_submit itself */
    bool collected;          /* the engine has given it back */
    uint64_t depends_id;     /* once absorbed: the next request id in the state that it speaks of */
    uint32_t *outcomes_seen; /* of a draw once absorbed: a copy, which must stay true */
};

struct clients {
    const struct scenario *scenario;
    struct client_request *first, *last; /* all since clients_forget, oldest first */
    uint32_t in_flight;                  /* submitted and not collected */
    uint64_t draws_in_flight;
};

/* Makes a request and appends it. */
struct client_request *clients_make_draw(struct clients *clients, uint32_t pool, uint32_t count,
                                         bool draw_all);
struct client_request *clients_make_read(struct clients *clients, enum urn_op op, uint32_t pool);
struct client_request *clients_make_random(struct clients *clients, struct sim_random *luck);

/* Frees all; none may be in an engine's hands. */
void clients_forget(struct clients *clients);

#endif
