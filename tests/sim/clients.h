/* clients.h: requests of all kinds, with the memory they need from submission to collection, in the
 * order of their submission. */
#ifndef URN_TESTS_SIM_CLIENTS_H
#define URN_TESTS_SIM_CLIENTS_H

#include "tests/sim/catalogs.h"

struct client_request {
    struct urn_request request; /* first: the engine hands this address back */
    struct client_request *next;
    struct catalog_list catalogs; /* what request.pools is */
    struct urn_error error;       /* what request.error is */
    bool is_change;               /* UPDATE to RELOAD */
    bool staged;                  /* its turn has come */
    bool begun;                   /* CREATE, RELOAD: something of it is staged */
    bool absorbed;                /* the oracle has seen what the engine staged or answered */
    bool refused_at_once;         /* by urn_submit itself */
    bool collected;               /* the engine has given it back */
    uint64_t findable_id;         /* LOOKUP: what draws.h says when it is submitted */
    bool archive_is_missing;      /* LOOKUP: when it looked there */
    uint64_t depends_on;          /* once absorbed: how many effects its answer was computed from */
    uint32_t *outcomes_seen;      /* of a draw once absorbed: a copy, which must stay true */
};

struct clients {
    const struct scenario *scenario;
    struct catalog_book *book;
    struct client_request *first, *last; /* all since clients_forget, oldest first */
    struct client_request *unsettled;    /* no older one is left to absorb; NULL: look from first */
    uint32_t in_flight;                  /* submitted and not collected */
    uint64_t draws_in_flight;
};

struct urn_text clients_pool(const struct clients *clients, uint32_t pool); /* of the scenario */

/* Makes a request and appends it. Texts outlive it. */
struct client_request *clients_make(struct clients *clients, enum urn_op op, struct urn_text pool);
struct client_request *clients_make_draw(struct clients *clients, struct urn_text pool,
                                         uint32_t count, bool draw_all);
/* STATE, CATALOG or POOLS, from the first on. */
struct client_request *clients_make_read(struct clients *clients, enum urn_op op,
                                         struct urn_text pool, uint32_t limit);
struct client_request *clients_make_lookup(struct clients *clients, uint64_t request_id);
/* CREATE or RELOAD; takes the list over. limit: how many changes a reload is to tell of. */
struct client_request *clients_make_catalogs(struct clients *clients, enum urn_op op,
                                             struct catalog_list catalogs, uint32_t limit);
struct client_request *clients_make_random(struct clients *clients, struct sim_random *luck);

/* Frees all; none may be in an engine's hands. */
void clients_forget(struct clients *clients);

#endif
