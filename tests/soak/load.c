/* load.c: the soak's load: draws over many connections as fast as the server lets it, and checks every
 * answer against all others (ledger.h).
 *
 *     soak_load SEED FLOOR POOL:COUNT[,POOL:COUNT...] ADDRESS[,ADDRESS...]
 *
 * FLOOR: every id has to be above it. COUNT: so many draws a request at most, of this pool. The item ids of
 * a pool end in "-" and their index. Connections go to the addresses in turn.
 *
 * Draws until the server ends the connections, or until SIGTERM, which has it take the answers that are
 * due first. Then prints one JSON object: what was answered and what is in doubt, by pool, and how long
 * answers took (counts by the buckets of engine/histogram.h). Exit status: 0; 1 when something cannot be
 * right, with a line "VIOLATION ..." or "TROUBLE ..." on standard error; 64 for a wrong command line.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tests/soak/worker.h"

static const struct worker_kind kinds[] = {
    {.name = "lone", .connections = 4, .count_max = 1, .in_flight = 1, .is_alone = true},
    {.name = "pipelined", .connections = 2, .count_max = 1, .in_flight = 64},
    {.name = "batches", .connections = 3, .count_max = 1000, .in_flight = 8},
    {.name = "varied", .connections = 3, .count_max = 300, .in_flight = 16, .varies = true},
};

#define KINDS         (sizeof kinds / sizeof kinds[0])
#define WORKERS_MAX   64u
#define ADDRESSES_MAX 4u

static struct load load;
static struct worker workers[WORKERS_MAX];

/* ---- the command line ------------------------------------------------------------------------ */

static bool add_pool(char *text)
{
    char *colon = strrchr(text, ':');
    if (colon == NULL || load.ledger.pool_count == LEDGER_POOLS_MAX)
        return false;
    *colon = '\0';
    load.ledger.pools[load.ledger.pool_count].name = text;
    load.count_max[load.ledger.pool_count] = (uint32_t)strtoul(colon + 1, NULL, 10);
    return load.count_max[load.ledger.pool_count++] > 0;
}

static bool add_pools(char *list)
{
    uint32_t largest = 0;
    char *rest = NULL;
    for (char *text = strtok_r(list, ",", &rest); text != NULL; text = strtok_r(NULL, ",", &rest))
        if (!add_pool(text))
            return false;
    for (uint32_t i = 0; i < load.ledger.pool_count; i++)
        if (load.count_max[i] > largest)
            largest = load.count_max[i];
    /* So that every kind of connection finds a pool. */
    for (size_t kind = 0; kind < KINDS; kind++)
        if (!kinds[kind].varies && kinds[kind].count_max > largest)
            return false;
    return true;
}

static uint32_t cut_addresses(char *list, const char *addresses[ADDRESSES_MAX])
{
    uint32_t count = 0;
    char *rest = NULL;
    for (char *text = strtok_r(list, ",", &rest); text != NULL && count < ADDRESSES_MAX;
         text = strtok_r(NULL, ",", &rest))
        addresses[count++] = text;
    return count;
}

/* ---- the report ------------------------------------------------------------------------------ */

static void print_histogram(const char *name, const struct histogram *histogram)
{
    const char *comma = "";
    printf(",\"%s\":{\"max_ns\":%" PRIu64 ",\"buckets\":[", name, histogram->max);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->buckets[i] == 0)
            continue;
        printf("%s[%" PRIu32 ",%" PRIu64 "]", comma, i, histogram->buckets[i]);
        comma = ",";
    }
    printf("]}");
}

static void print_pool(const struct ledger_pool *pool)
{
    uint32_t items = LEDGER_ITEMS_MAX;
    while (items > 0 && pool->drawn[items - 1] == 0)
        items--;
    printf("{\"failed\":%" PRIu64 ",\"requests_in_doubt\":%" PRIu64 ",\"draws_in_doubt\":%" PRIu64
           ",\"odds_version\":%" PRIu64 ",\"drawn\":[",
           pool->failed, pool->requests_in_doubt, pool->draws_in_doubt, pool->newest_odds_version);
    for (uint32_t i = 0; i < items; i++)
        printf("%s%" PRIu64, i > 0 ? "," : "", pool->drawn[i]);
    printf("]}");
}

static void print_report(void)
{
    const struct ledger *ledger = &load.ledger;
    printf("{\"requests\":%" PRIu64 ",\"draws\":%" PRIu64 ",\"first_id\":%" PRIu64
           ",\"last_id\":%" PRIu64 ",\"ranges\":%" PRIu32 ",\"ranges_max\":%" PRIu32
           ",\"lost\":%" PRIu64 ",\"busy\":%" PRIu64 ",\"closed\":%" PRIu64 ",\"nostock\":%" PRIu64
           ",\"readonly\":%" PRIu64 ",\"indoubt\":%" PRIu64 ",\"pools\":{",
           ledger->requests, ledger->draws, ledger->range_count > 0 ? ledger->ranges[0].first : 0,
           ledger_highest_id(ledger), ledger->range_count, ledger->range_count_max, load.lost,
           load.busy, load.closed, load.nostock, load.readonly, load.indoubt);
    for (uint32_t i = 0; i < ledger->pool_count; i++) {
        printf("%s\"%s\":", i > 0 ? "," : "", ledger->pools[i].name);
        print_pool(&ledger->pools[i]);
    }
    printf("}");
    print_histogram("lone", &load.lone_ns);
    print_histogram("all", &load.all_ns);
    printf("}\n");
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_stop_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&load.stopping, true);
}

static void draw_until_the_end(uint64_t seed, const char *const *addresses, uint32_t address_count)
{
    uint32_t count = 0;
    for (size_t kind = 0; kind < KINDS; kind++)
        for (uint32_t i = 0; i < kinds[kind].connections; i++, count++) {
            CHECK(count < WORKERS_MAX);
            workers[count] = (struct worker){.load = &load,
                                             .kind = &kinds[kind],
                                             .address = addresses[count % address_count],
                                             .random = sim_random_stream(seed, count)};
            CHECK(pthread_create(&workers[count].thread, NULL, worker_run, &workers[count]) == 0);
        }
    while (count > 0)
        CHECK(pthread_join(workers[--count].thread, NULL) == 0);
}

int main(int argc, char **argv)
{
    const char *addresses[ADDRESSES_MAX];
    uint32_t address_count = argc == 5 ? cut_addresses(argv[4], addresses) : 0;
    ledger_begin(&load.ledger);
    if (address_count == 0 || !add_pools(argv[3])) {
        fprintf(stderr, "usage: soak_load SEED FLOOR POOL:COUNT[,...] ADDRESS[,...]\n");
        return 64;
    }
    atomic_store(&load.heard_id, strtoull(argv[2], NULL, 10));
    CHECK(pthread_mutex_init(&load.lock, NULL) == 0);
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    draw_until_the_end(strtoull(argv[1], NULL, 10), addresses, address_count);
    print_report();
    if (load.ledger.violation[0] != '\0')
        fprintf(stderr, "VIOLATION %s\n", load.ledger.violation);
    if (load.trouble[0] != '\0')
        fprintf(stderr, "TROUBLE %s\n", load.trouble);
    bool good = load.ledger.violation[0] == '\0' && load.trouble[0] == '\0';
    ledger_end(&load.ledger);
    return good ? 0 : 1;
}
