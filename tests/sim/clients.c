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

/* ---- making ---------------------------------------------------------------------------------- */

struct urn_text clients_pool(const struct clients *clients, uint32_t pool)
{
    const char *name = clients->scenario->pool_names[pool];
    return (struct urn_text){name, (uint32_t)strlen(name)};
}

struct client_request *clients_make(struct clients *clients, enum urn_op op, struct urn_text pool)
{
    struct client_request *made = must_have(calloc(1, sizeof *made));
    made->request.op = op;
    made->request.pool_name = pool.bytes;
    made->request.pool_name_bytes = pool.length;
    made->request.error = &made->error;
    made->is_change = op >= URN_UPDATE && op <= URN_RELOAD;
    if (clients->last == NULL)
        clients->first = made;
    else
        clients->last->next = made;
    clients->last = made;
    clients->in_flight++;
    return made;
}

struct client_request *clients_make_draw(struct clients *clients, struct urn_text pool,
                                         uint32_t count, bool draw_all)
{
    struct client_request *made = clients_make(clients, URN_DRAW, pool);
    made->request.count = count;
    made->request.draw_all = draw_all;
    /* Exactly as long as asked for, so that a byte too many is seen. */
    made->request.outcomes = must_have(malloc(count * sizeof(uint32_t) + (count == 0)));
    memset(made->request.outcomes, 0xee, count * sizeof(uint32_t));
    clients->draws_in_flight += count;
    return made;
}

struct client_request *clients_make_read(struct clients *clients, enum urn_op op,
                                         struct urn_text pool, uint32_t limit)
{
    struct client_request *made = clients_make(clients, op, pool);
    made->request.limit = limit;
    if (op == URN_STATE)
        made->request.items = must_have(calloc(limit + 1ul, sizeof *made->request.items));
    else
        made->request.names = must_have(calloc(limit + 1ul, sizeof *made->request.names));
    return made;
}

struct client_request *clients_make_lookup(struct clients *clients, uint64_t request_id)
{
    struct client_request *made = clients_make(clients, URN_LOOKUP, (struct urn_text){NULL, 0});
    made->request.request_id = request_id;
    made->absorbed = true; /* the writer has nothing to do with it */
    return made;
}

struct client_request *clients_make_catalogs(struct clients *clients, enum urn_op op,
                                             struct catalog_list catalogs, uint32_t limit)
{
    struct urn_text pool = {NULL, 0};
    if (op == URN_CREATE)
        pool = (struct urn_text){catalogs.pools[0].name, catalogs.pools[0].name_bytes};
    struct client_request *made = clients_make(clients, op, pool);
    made->catalogs = catalogs;
    made->request.pools = catalogs.pools;
    made->request.pool_count = catalogs.pool_count;
    made->request.limit = limit;
    made->request.changes = must_have(calloc(limit + 1ul, sizeof *made->request.changes));
    return made;
}

/* ---- at random ------------------------------------------------------------------------------- */

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

static struct client_request *make_random_read(struct clients *clients, struct urn_text pool,
                                               struct sim_random *luck)
{
    static const enum urn_op reads[] = {URN_STATE, URN_CATALOG, URN_POOLS};
    struct client_request *made = clients_make_read(clients, reads[sim_random_below(luck, 3)], pool,
                                                    (uint32_t)sim_random_below(luck, 300));
    if (sim_random_one_in(luck, 3))
        made->request.offset = (uint32_t)sim_random_below(luck, 40);
    return made;
}

/* Small stocks, as a rule; now and then a number that cannot be one. */
static int64_t random_quantity(struct sim_random *luck)
{
    switch (sim_random_below(luck, 16)) {
    case 0:
        return -2 - (int64_t)sim_random_below(luck, 10);
    case 1:
        return (int64_t)URN_NUMBER_MAX - (int64_t)sim_random_below(luck, 2);
    case 2:
        return (int64_t)URN_NUMBER_MAX + 1;
    case 3:
    case 4:
    case 5:
        return URN_UNLIMITED;
    case 6:
    case 7:
        return (int64_t)sim_random_below(luck, 1000);
    default:
        return (int64_t)sim_random_below(luck, 4);
    }
}

/* Few different ones, so that what file and state say often meets. */
static uint64_t random_weight(struct sim_random *luck)
{
    switch (sim_random_below(luck, 24)) {
    case 0:
        return URN_NUMBER_MAX;
    case 1:
        return URN_NUMBER_MAX / 2;
    case 2:
        return URN_NUMBER_MAX + 1;
    default:
        return sim_random_below(luck, 4);
    }
}

static struct client_request *make_random_update(struct clients *clients, uint32_t pool,
                                                 struct sim_random *luck)
{
    struct client_request *made =
        clients_make(clients, URN_UPDATE, book_pool_name(clients->book, pool));
    struct urn_request *request = &made->request;
    struct urn_text item = book_some_item(clients->book, pool, luck);
    request->item_id = item.bytes;
    request->item_id_bytes = item.length;
    request->has_quantity = sim_random_one_in(luck, 2);
    request->quantity = random_quantity(luck);
    request->has_probability = sim_random_one_in(luck, 2);
    request->probability = random_weight(luck);
    request->has_if_quantity = sim_random_one_in(luck, 3);
    request->if_quantity = (int64_t)sim_random_below(luck, 4) - 1;
    return made;
}

static struct client_request *make_random_add(struct clients *clients, uint32_t pool,
                                              struct sim_random *luck)
{
    struct client_request *made =
        clients_make(clients, URN_ADD, book_pool_name(clients->book, pool));
    struct urn_text item = book_some_item(clients->book, pool, luck);
    if (sim_random_one_in(luck, 24))
        item = (struct urn_text){"\t", 1};
    made->request.item_id = item.bytes;
    made->request.item_id_bytes = item.length;
    made->request.quantity = random_quantity(luck);
    made->request.probability = random_weight(luck);
    return made;
}

static struct client_request *make_random_create(struct clients *clients, struct sim_random *luck)
{
    const uint32_t number = (uint32_t)sim_random_below(luck, BOOK_MADE_POOLS);
    struct catalog_list list;
    if (sim_random_one_in(luck, 8))
        list = book_faulty(clients->book, number, luck);
    else if (sim_random_one_in(luck, 4))
        list = book_unusual(clients->book, number, luck);
    else
        list = book_usual(clients->book, number);
    return clients_make_catalogs(clients, URN_CREATE, list, 0);
}

/* Somebody has edited the file before, or has not. */
static struct client_request *make_random_reload(struct clients *clients, struct sim_random *luck)
{
    if (!sim_random_one_in(luck, 4))
        book_edit_file(clients->book, luck);
    struct client_request *made = clients_make_catalogs(
        clients, URN_RELOAD, book_file(clients->book), (uint32_t)sim_random_below(luck, 60));
    made->request.dry_run = sim_random_one_in(luck, 4);
    made->request.force = sim_random_one_in(luck, 3);
    return made;
}

static struct client_request *make_random_change(struct clients *clients, struct sim_random *luck)
{
    const uint32_t names = book_pool_names(clients->book);
    const uint32_t own = clients->scenario->config.pool_count;
    uint32_t pool = (uint32_t)sim_random_below(luck, names);
    if (sim_random_one_in(luck, 2))
        pool = (uint32_t)sim_random_below(luck, own);
    else if (clients->scenario->items_large > 0 && sim_random_one_in(luck, 2))
        pool = own + (uint32_t)sim_random_below(luck, BOOK_LARGE_POOLS);
    const bool spare = clients->scenario->endless_first && pool == 0;
    switch (sim_random_below(luck, 16)) {
    case 0:
    case 1:
    case 2:
        return make_random_create(clients, luck);
    case 3:
    case 4:
        return make_random_reload(clients, luck);
    case 5:
        return clients_make(clients, spare ? URN_OPEN : URN_CLOSE,
                            book_pool_name(clients->book, pool));
    case 6:
    case 7:
        return clients_make(clients, URN_OPEN, book_pool_name(clients->book, pool));
    case 8:
    case 9:
    case 10:
        return make_random_add(clients, spare ? names - 1 : pool, luck);
    default:
        return make_random_update(clients, spare ? names - 1 : pool, luck);
    }
}

struct client_request *clients_make_random(struct clients *clients, struct sim_random *luck)
{
    const uint32_t own = clients->scenario->config.pool_count;
    if (sim_random_one_in(luck, 24))
        return clients_make(clients, URN_SNAPSHOT, (struct urn_text){NULL, 0});
    if (clients->scenario->changes && sim_random_one_in(luck, 3))
        return make_random_change(clients, luck);
    const uint32_t names = book_pool_names(clients->book);
    uint32_t pool = (uint32_t)sim_random_below(luck, own);
    if (sim_random_one_in(luck, 24))
        pool = names - 1; /* which nobody makes */
    else if (clients->scenario->changes && sim_random_one_in(luck, 3))
        pool = (uint32_t)sim_random_below(luck, names);
    const struct urn_text name = book_pool_name(clients->book, pool);
    if (sim_random_one_in(luck, 5))
        return make_random_read(clients, name, luck);
    return clients_make_draw(clients, name, random_count(clients, luck),
                             sim_random_one_in(luck, 3));
}

void clients_forget(struct clients *clients)
{
    while (clients->first != NULL) {
        struct client_request *next = clients->first->next;
        free(clients->first->request.outcomes);
        free(clients->first->request.items);
        free(clients->first->request.names);
        free(clients->first->request.changes);
        free(clients->first->outcomes_seen);
        catalogs_free(&clients->first->catalogs);
        free(clients->first);
        clients->first = next;
    }
    clients->last = NULL;
    clients->unsettled = NULL;
    clients->in_flight = 0;
    clients->draws_in_flight = 0;
}
