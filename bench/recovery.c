/* recovery.c: how long a start takes, by what it finds, and what it leaves resident.
 *
 *     bench-recovery [FOLDER [LOG_MIB [REPETITIONS]]]     defaults: the current folder, 1024, 5
 *
 * First starts without a log behind the snapshot, in the default ring (8 segments of 64 MiB): pools and
 * items by number. Then starts that replay LOG_MIB of log, made by the engine itself under full load and
 * left by a process that ends without a stop; the ring is the smallest whose snapshots may lie so far
 * apart, and a start looks through all of it. Each start is a process of its own, so that its memory is
 * as new as a real one's; the page cache is warm. Milliseconds are those of urn_engine_open, its threads
 * apart; processor time (of the median start) tells what a busy machine hides; anonymous memory is
 * counted once it has returned.
 */
#include <errno.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sodium/core.h>

#include "bench/bench.h"
#include "engine/urn.h"

#define MIB             (1024ull * 1024)
#define REPETITIONS_MAX 99u
#define IN_FLIGHT       64u
#define NAME_ROOM       16u

static sem_t notified;

static void on_notify(void *context)
{
    (void)context;
    bench_require(sem_post(&notified) == 0, "sem_post");
}

/* ---- catalogs -------------------------------------------------------------------------------- */

struct catalog {
    uint32_t pools;
    uint32_t items; /* of each */
};

struct made_catalog {
    struct urn_pool_spec *pools;
    struct urn_item_spec *items; /* the same ones for every pool */
    char (*pool_names)[NAME_ROOM];
    char (*item_ids)[NAME_ROOM];
};

static struct made_catalog make_catalog(struct catalog catalog)
{
    struct made_catalog made = {
        .pools = calloc(catalog.pools, sizeof *made.pools),
        .items = calloc(catalog.items, sizeof *made.items),
        .pool_names = calloc(catalog.pools, NAME_ROOM),
        .item_ids = calloc(catalog.items, NAME_ROOM),
    };
    bench_require(made.pools && made.items && made.pool_names && made.item_ids, "memory");
    for (uint32_t i = 0; i < catalog.items; i++) {
        int length = snprintf(made.item_ids[i], NAME_ROOM, "item-%07" PRIu32, i);
        made.items[i] = (struct urn_item_spec){.item_id = made.item_ids[i],
                                               .item_id_bytes = (uint32_t)length,
                                               .quantity = 1ll << 40,
                                               .probability = 1 + i * 7919u % 100};
    }
    for (uint32_t i = 0; i < catalog.pools; i++) {
        int length = snprintf(made.pool_names[i], NAME_ROOM, "pool-%05" PRIu32, i);
        made.pools[i] = (struct urn_pool_spec){.name = made.pool_names[i],
                                               .name_bytes = (uint32_t)length,
                                               .item_count = catalog.items,
                                               .items = made.items};
    }
    return made;
}

static void free_catalog(struct made_catalog *made)
{
    free(made->pools);
    free(made->items);
    free(made->pool_names);
    free(made->item_ids);
}

/* ---- an engine in a process of its own ------------------------------------------------------- */

struct ring {
    uint64_t segment_bytes;
    uint32_t segments;
};

static struct urn_engine *open_engine(const char *data_dir, struct ring ring,
                                      const struct made_catalog *made, uint32_t pool_count,
                                      struct urn_start_report *report)
{
    struct urn_engine_config config = {
        .data_dir = data_dir,
        .create = made != NULL,
        .pools = made == NULL ? NULL : made->pools,
        .pool_count = made == NULL ? 0 : pool_count,
        .segment_size_bytes = ring.segment_bytes,
        .segments = ring.segments,
        .flush_after_n_draw = 65536,
        .max_batch = 100000,
        .max_pools = 1024,
        .max_items = 2000000,
        .queue_requests = 1 << 20,
        .queue_draws = 4000000,
        .notify = on_notify,
    };
    struct urn_engine *engine;
    struct urn_error error;
    if (urn_engine_open(&config, &engine, report, &error) != URN_OK) {
        fprintf(stderr, "bench-recovery: %s\n", error.text);
        exit(1);
    }
    return engine;
}

/* Draws until the log has grown by so much. */
static void fill_log(struct urn_engine *engine, const struct made_catalog *made, uint32_t pools,
                     uint32_t batch, uint64_t log_bytes)
{
    static struct urn_request requests[IN_FLIGHT];
    uint32_t *outcomes = calloc((size_t)IN_FLIGHT * batch, sizeof *outcomes);
    bench_require(outcomes != NULL, "memory");
    struct urn_request *list = NULL;
    uint32_t turn = 0;
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        requests[i] = (struct urn_request){
            .count = batch, .outcomes = outcomes + (size_t)i * batch, .next = list};
        list = &requests[i];
    }
    struct urn_engine_info info = {0};
    for (uint32_t under_way = 0;;) {
        urn_engine_info(engine, &info);
        if (info.log_bytes < log_bytes && list != NULL) {
            for (struct urn_request *request = list; request != NULL; request = request->next) {
                const struct urn_pool_spec *pool = &made->pools[turn++ % pools];
                request->pool_name = pool->name;
                request->pool_name_bytes = pool->name_bytes;
                under_way++;
            }
            urn_submit(engine, list);
        }
        if (under_way == 0)
            break;
        while (sem_wait(&notified) != 0)
            bench_require(errno == EINTR, "sem_wait");
        list = urn_collect(engine);
        for (const struct urn_request *request = list; request != NULL; request = request->next) {
            bench_require(request->code == URN_OK, urn_code_text(request->code));
            under_way--;
        }
    }
    free(outcomes);
}

static void must_end_well(pid_t child)
{
    int status = 0;
    bench_require(waitpid(child, &status, 0) == child && status == 0, "the process of an engine");
}

/* Makes the directory and its log; the process ends as by kill -9. */
static double make_data(const char *data_dir, struct ring ring, struct catalog catalog,
                        uint32_t batch, uint64_t log_bytes)
{
    fflush(stdout);
    uint64_t begin_ns = bench_now_ns();
    pid_t child = fork();
    bench_require(child >= 0, "fork");
    if (child == 0) {
        struct made_catalog made = make_catalog(catalog);
        struct urn_start_report report;
        struct urn_engine *engine = open_engine(data_dir, ring, &made, catalog.pools, &report);
        if (log_bytes > 0)
            fill_log(engine, &made, catalog.pools, batch, log_bytes);
        free_catalog(&made);
        _exit(0);
    }
    must_end_well(child);
    return (double)(bench_now_ns() - begin_ns) / 1e9;
}

static uint64_t anonymous_kib(void)
{
    char line[128];
    uint64_t kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    bench_require(status != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "RssAnon:", 8) == 0)
            kib = strtoull(line + 8, NULL, 10);
    fclose(status);
    return kib;
}

static double processor_ms(void)
{
    struct rusage usage;
    bench_require(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

struct start {
    struct urn_start_report report;
    double processor_ms;
    uint64_t anonymous_kib;
};

static struct start start_once(const char *data_dir, struct ring ring)
{
    int ends[2];
    struct start start;
    bench_require(pipe(ends) == 0, "pipe");
    fflush(stdout);
    pid_t child = fork();
    bench_require(child >= 0, "fork");
    if (child == 0) {
        struct start mine = {0};
        (void)open_engine(data_dir, ring, NULL, 0, &mine.report);
        mine.processor_ms = processor_ms();
        mine.anonymous_kib = anonymous_kib();
        _exit(write(ends[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
    }
    bench_require(read(ends[0], &start, sizeof start) == sizeof start, "a start");
    must_end_well(child);
    bench_require(close(ends[0]) == 0 && close(ends[1]) == 0, "close");
    return start;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static int compare_starts(const void *left, const void *right)
{
    const struct start *a = left;
    const struct start *b = right;
    return (a->report.duration_us > b->report.duration_us) -
           (a->report.duration_us < b->report.duration_us);
}

static void print_row(const char *folder, const char *what, struct ring ring,
                      struct catalog catalog, uint32_t batch, uint64_t log_bytes,
                      uint32_t repetitions)
{
    char data_dir[4096];
    char remove_it[4200];
    struct start starts[REPETITIONS_MAX];
    snprintf(data_dir, sizeof data_dir, "%s/bench-recovery-data", folder);
    snprintf(remove_it, sizeof remove_it, "rm -rf '%s'", data_dir);
    bench_require(system(remove_it) == 0, "rm");
    double made_s = make_data(data_dir, ring, catalog, batch, log_bytes);
    (void)start_once(data_dir, ring); /* warms the cache */
    for (uint32_t i = 0; i < repetitions; i++)
        starts[i] = start_once(data_dir, ring);
    qsort(starts, repetitions, sizeof *starts, compare_starts);
    const struct start *median = &starts[repetitions / 2];
    double seconds = (double)median->report.duration_us / 1e6;
    printf("%-28s %8.1f %8.1f %8.1f %8.1f %9.1f %8.1f", what,
           (double)starts[0].report.duration_us / 1e3, seconds * 1e3,
           (double)starts[repetitions - 1].report.duration_us / 1e3, median->processor_ms,
           (double)median->anonymous_kib / 1024, made_s);
    if (log_bytes > 0)
        printf(" %12" PRIu64 " %8.1f", median->report.replayed_draws,
               (double)median->report.replayed_draws / seconds / 1e6);
    printf("\n");
    bench_require(system(remove_it) == 0, "rm");
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    uint64_t log_mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    uint64_t repetitions = argc > 3 ? strtoull(argv[3], NULL, 10) : 5;
    bench_require(argc <= 4 && log_mib >= 1 && log_mib <= 16384 && repetitions >= 1 &&
                      repetitions <= REPETITIONS_MAX,
                  "usage: bench-recovery [FOLDER [LOG_MIB [REPETITIONS]]]");
    bench_require(sem_init(&notified, 0, 0) == 0 && sodium_init() >= 0, "set-up");
    struct ring default_ring = {64 * MIB, 8};
    struct ring large_ring = {64 * MIB, (uint32_t)(2 + (3 * log_mib + 63) / 64)};
    /* One group less, so that no snapshot has begun. */
    uint64_t log_bytes = log_mib * MIB - 2 * MIB;
    uint32_t times = (uint32_t)repetitions;

    printf("start, ms                         min   median      max      cpu  anon MiB   made s "
           "       draws      M/s\n");
    print_row(folder, "1 pool x 6", default_ring, (struct catalog){1, 6}, 0, 0, times);
    print_row(folder, "1 pool x 1,000,000", default_ring, (struct catalog){1, 1000000}, 0, 0,
              times);
    print_row(folder, "1,000 pools x 1,000", default_ring, (struct catalog){1000, 1000}, 0, 0,
              times);
    printf("behind it %" PRIu64 " MiB of log\n", log_mib);
    print_row(folder, "1 pool x 6, 1000 a request", large_ring, (struct catalog){1, 6}, 1000,
              log_bytes, times);
    print_row(folder, "1 pool x 6, 1 a request", large_ring, (struct catalog){1, 6}, 1, log_bytes,
              times);
    print_row(folder, "1 pool x 1,000, 1000", large_ring, (struct catalog){1, 1000}, 1000,
              log_bytes, times);
    print_row(folder, "1 pool x 1,000,000, 1000", large_ring, (struct catalog){1, 1000000}, 1000,
              log_bytes, times);
    print_row(folder, "1,000 pools x 1,000, 1000", large_ring, (struct catalog){1000, 1000}, 1000,
              log_bytes, times);
    return 0;
}
