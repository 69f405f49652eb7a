/* snapshot.c: what snapshots cost the draws beside them, at 1,000,000 items.
 *
 *     bench-snapshot [FOLDER [ITEMS [SECONDS]]]
 *
 * One lone draw after the other, for so many seconds without a snapshot and then with one after the other:
 * latencies of the draws, how long the writer was kept at one time, how long a snapshot takes, and the memory
 * that is resident. Then laps at full load through a ring of 3 x 16 MiB.
 */
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/urn.h"

#define LATENCIES_MAX 4000000u
#define BATCH         10000u
#define IN_FLIGHT     8u

static sem_t notified;

static void on_notify(void *context)
{
    (void)context;
    CHECK(sem_post(&notified) == 0);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t resident_kib(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoull(line + 8, NULL, 10);
    fclose(status);
    return kib;
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The sample below which so many of a thousand lie, in us. */
static double permille_us(const uint64_t *latencies_ns, uint64_t count, uint64_t permille)
{
    uint64_t rank = count * permille / 1000;
    return (double)latencies_ns[rank < count ? rank : count - 1] / 1e3;
}

static void print_latencies(const char *what, uint64_t *latencies, uint64_t count)
{
    qsort(latencies, count, sizeof *latencies, compare);
    printf("%-28s %8" PRIu64 " draws, us: p50 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n", what, count,
           permille_us(latencies, count, 500), permille_us(latencies, count, 990),
           permille_us(latencies, count, 999), permille_us(latencies, count, 1000));
}

/* Lone draws for so long; with_snapshots: one snapshot is always under way. */
static void lone_draws(struct urn_engine *engine, const char *what, uint64_t seconds,
                       bool with_snapshots)
{
    uint64_t *latencies = malloc(LATENCIES_MAX * sizeof *latencies);
    CHECK(latencies != NULL);
    uint32_t outcome;
    struct urn_request draw = {.op = URN_DRAW,
                               .pool_name = "main",
                               .pool_name_bytes = 4,
                               .count = 1,
                               .outcomes = &outcome};
    struct urn_request snapshot = {.op = URN_SNAPSHOT};
    bool under_way = false;
    uint64_t count = 0;
    uint64_t end_ns = now_ns() + seconds * 1000000000u;
    while (now_ns() < end_ns || under_way) {
        if (with_snapshots && !under_way && now_ns() < end_ns) {
            snapshot.next = NULL;
            urn_submit(engine, &snapshot);
            under_way = true;
        }
        uint64_t began_ns = now_ns();
        draw.next = NULL;
        urn_submit(engine, &draw);
        for (bool back = false; !back;) {
            while (sem_wait(&notified) != 0)
                ;
            for (const struct urn_request *done = urn_collect(engine); done != NULL;
                 done = done->next) {
                CHECK(done->code == URN_OK);
                back = back || done == &draw;
                under_way = under_way && done != &snapshot;
            }
        }
        if (count < LATENCIES_MAX)
            latencies[count++] = now_ns() - began_ns;
    }
    print_latencies(what, latencies, count);
    free(latencies);
}

static void laps(struct urn_engine *engine, uint64_t seconds)
{
    static struct urn_request requests[IN_FLIGHT];
    static uint32_t outcomes[IN_FLIGHT][BATCH];
    struct urn_engine_info before;
    struct urn_engine_info after;
    urn_engine_info(engine, &before);
    uint64_t began_ns = now_ns();
    uint32_t in_flight = IN_FLIGHT;
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        requests[i] = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = BATCH,
                                           .outcomes = outcomes[i]};
        urn_submit(engine, &requests[i]);
    }
    while (in_flight > 0) {
        while (sem_wait(&notified) != 0)
            ;
        bool more = now_ns() - began_ns < seconds * 1000000000u;
        struct urn_request *next;
        for (struct urn_request *done = urn_collect(engine); done != NULL; done = next) {
            next = done->next;
            done->next = NULL;
            in_flight -= !more;
            if (more)
                urn_submit(engine, done);
        }
    }
    urn_engine_info(engine, &after);
    double took_s = (double)(now_ns() - began_ns) / 1e9;
    printf("full load: %.1f million draws/s, %.0f laps a minute, %" PRIu64 " snapshots, %" PRIu64
           " BUSY\n",
           (double)(after.draws - before.draws) / took_s / 1e6,
           (double)(after.durable_lsn - before.durable_lsn) / (double)after.ring_bytes / took_s *
               60,
           after.snapshots - before.snapshots, after.busy - before.busy);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "/tmp/urn-bench-snapshot";
    uint32_t items = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
    uint64_t seconds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    struct urn_item_spec *specs = calloc(items, sizeof *specs);
    char(*names)[16] = calloc(items, sizeof *names);
    CHECK(specs != NULL && names != NULL && sem_init(&notified, 0, 0) == 0);
    for (uint32_t i = 0; i < items; i++)
        specs[i] = (struct urn_item_spec){
            names[i], (uint32_t)snprintf(names[i], sizeof names[i], "item-%u", i),
            i % 2 == 0 ? URN_UNLIMITED : 1000, 1 + i % 7};
    struct urn_pool_spec pool = {"main", 4, items, specs};
    uint64_t before_kib = resident_kib();
    struct urn_engine_config config = {.data_dir = folder,
                                       .create = true,
                                       .pools = &pool,
                                       .pool_count = 1,
                                       .segment_size_bytes = 16u << 20,
                                       .segments = 3,
                                       .flush_after_n_draw = 65536,
                                       .max_batch = BATCH,
                                       .max_pools = 4,
                                       .max_items = items,
                                       .queue_requests = 64,
                                       .queue_draws = 1000000,
                                       .notify = on_notify};
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error;
    struct urn_engine_info info;
    if (urn_engine_open(&config, &engine, &report, &error) != URN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    lone_draws(engine, "lone draws", seconds, false);
    lone_draws(engine, "the same beside snapshots", seconds, true);
    urn_engine_info(engine, &info);
    printf("%" PRIu64
           " snapshots (%s), each %.2f s; the writer was kept at most %.0f us at a time\n",
           info.snapshots, info.snapshot_io_uring ? "io_uring" : "plain",
           (double)seconds / (double)(info.snapshots > 0 ? info.snapshots : 1),
           (double)info.snapshot_pause_ns_max / 1e3);
    laps(engine, seconds);
    urn_engine_info(engine, &info);
    printf("resident: %" PRIu64 " MiB; the writer was kept at most %.0f us at a time\n",
           (resident_kib() - before_kib) / 1024, (double)info.snapshot_pause_ns_max / 1e3);
    CHECK(urn_engine_stop(engine, &error) == URN_OK);
    urn_engine_free(engine);
    free(specs);
    free(names);
    return 0;
}
