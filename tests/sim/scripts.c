/* scripts.c: see scripts.h. */
#include "tests/sim/scripts.h"

#include <string.h>

#include "engine/check.h"
#include "tests/sim/verdict.h"

const char *script_text(enum script script)
{
    static const char *const text[] = {"life", "segment", "changes", "catalog"};
    return text[script];
}

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

void script_run(struct host *host, enum script script)
{
    if (host_open(host) != URN_OK || is_over(host))
        return;
    first_life(host, script);
    if (is_over(host) && (host_crashed(host) || host->engine != NULL || host->failed))
        return;
    if (host->error.code != URN_OK)
        return;
    host->mode = (enum urn_wal_mode)((host->mode + 1) % (URN_WAL_OS + 1));
    if (host_open(host) != URN_OK || is_over(host))
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

void script_aftermath(struct host *host, enum script script)
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
