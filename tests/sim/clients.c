/* clients.c: see clients.h. */
#include "tests/sim/clients.h"

#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

static void *must_have(void *memory)
{
    CHECK(memory != NULL);
    return memory;
}

static struct client_request *append(struct clients *clients, enum urn_op op, uint32_t pool)
{
    struct client_request *made = must_have(calloc(1, sizeof *made));
    made->request.op = op;
    made->pool = pool;
    if (op != URN_POOLS) {
        const char *name = pool == CLIENT_NO_POOL ? "nowhere" : clients->scenario->pool_names[pool];
        made->request.pool_name = name;
        made->request.pool_name_bytes = (uint32_t)strlen(name);
    }
    if (clients->last == NULL)
        clients->first = made;
    else
        clients->last->next = made;
    clients->last = made;
    clients->in_flight++;
    return made;
}

struct client_request *clients_make_draw(struct clients *clients, uint32_t pool, uint32_t count,
                                         bool draw_all)
{
    struct client_request *made = append(clients, URN_DRAW, pool);
    made->request.count = count;
    made->request.draw_all = draw_all;
    /* Exactly as long as asked for, so that a byte too many is seen. */
    made->request.outcomes = must_have(malloc(count * sizeof(uint32_t) + (count == 0)));
    memset(made->request.outcomes, 0xee, count * sizeof(uint32_t));
    clients->draws_in_flight += count;
    return made;
}

struct client_request *clients_make_read(struct clients *clients, enum urn_op op, uint32_t pool)
{
    struct client_request *made = append(clients, op, pool);
    uint32_t total = op == URN_POOLS          ? clients->scenario->config.pool_count
                     : pool == CLIENT_NO_POOL ? 1
                                              : clients->scenario->pools[pool].item_count;
    made->request.limit = total;
    if (op == URN_STATE)
        made->request.items = must_have(calloc(total, sizeof *made->request.items));
    else
        made->request.names = must_have(calloc(total, sizeof *made->request.names));
    return made;
}

static uint32_t random_count(const struct clients *clients, struct sim_random *luck)
{
    uint32_t most = clients->scenario->config.max_batch;
    switch (sim_random_below(luck, 32)) {
    case 0:
        return 0; /* BADARG, and the next too */
    case 1:
        return most + 1;
    case 2:
    case 3:
    case 4:
        return most;
    case 5:
    case 6:
    case 7:
        return (uint32_t)sim_random_below(luck, most) + 1;
    default:
        return (uint32_t)sim_random_below(luck, most < 12 ? most : 12) + 1;
    }
}

struct client_request *clients_make_random(struct clients *clients, struct sim_random *luck)
{
    uint32_t pool = (uint32_t)sim_random_below(luck, clients->scenario->config.pool_count);
    if (sim_random_one_in(luck, 24))
        pool = CLIENT_NO_POOL;
    if (sim_random_one_in(luck, 24))
        return append(clients, URN_SNAPSHOT, 0);
    if (!sim_random_one_in(luck, 5))
        return clients_make_draw(clients, pool, random_count(clients, luck),
                                 sim_random_one_in(luck, 3));
    static const enum urn_op reads[] = {URN_STATE, URN_CATALOG, URN_POOLS};
    struct client_request *made =
        clients_make_read(clients, reads[sim_random_below(luck, 3)], pool);
    if (sim_random_one_in(luck, 3)) {
        made->request.offset = (uint32_t)sim_random_below(luck, made->request.limit + 2ul);
        made->request.limit = (uint32_t)sim_random_below(luck, made->request.limit + 1ul);
    }
    return made;
}

void clients_forget(struct clients *clients)
{
    while (clients->first != NULL) {
        struct client_request *next = clients->first->next;
        free(clients->first->request.outcomes);
        free(clients->first->request.items);
        free(clients->first->request.names);
        free(clients->first->outcomes_seen);
        free(clients->first);
        clients->first = next;
    }
    clients->last = NULL;
    clients->in_flight = 0;
    clients->draws_in_flight = 0;
}
