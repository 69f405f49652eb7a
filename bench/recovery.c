/* recovery.c: how long a start takes, by what it finds, and what it leaves resident.
 *
 *     bench-recovery [--json] [--keep] [--cold] [--only ROW] [FOLDER [LOG_MIB [REPETITIONS]]]
 *
 * Defaults: the current folder, 1024, 5. --json: a JSON object a line instead of a table; --only: the row of
 * this name; --keep: what was made for a row is left, and used by the next run with --keep.
 *
 * First starts without a log behind the snapshot, in the default ring (8 segments of 64 MiB): pools and
 * items by number. Then starts that replay LOG_MIB of log, made by the engine itself under full load and
 * left by a process that ends without a stop; the ring is the smallest whose snapshots may lie so far
 * apart, and a start looks through all of it. Each start is a process of its own, so that its memory is
 * as new as a real one's. Before each the ring is brought into the page cache as a server that has run for a
 * while leaves it there (a start itself drops it, and has it read again behind its back); with --cold it is
 * dropped from there instead. Milliseconds are those of urn_engine_open, its threads apart; processor
 * time (of the median start) tells what a busy machine hides; anonymous memory is counted once it has
 * returned.
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
#include "engine/data_dir.h"
#include "engine/os.h"
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

/* Every byte once: memory that no processor has touched since the host gave it to a virtual machine is slow
 * at the first touch, which is none of a start's business. */
static void read_through(struct os_dir *dir, const char *name)
{
    static char bytes[128 * 1024];
    struct os_file *file;
    size_t done = sizeof bytes;
    bench_require(os_file_open(dir, name, OS_READ, &file) == 0, name);
    for (uint64_t offset = 0; done > 0; offset += done)
        bench_require(os_file_read(file, bytes, sizeof bytes, offset, &done) == 0, name);
    os_file_close(file);
}

/* The ring as the next start is to find it. */
static void warm_or_cool(const char *data_dir, struct ring ring, bool cold)
{
    struct os_dir *dir;
    bench_require(os_dir_open(os_default(), data_dir, &dir) == 0, data_dir);
    for (uint32_t slot = 0; slot < ring.segments; slot++) {
        char name[DATA_DIR_NAME_MAX];
        data_dir_segment_name(name, slot);
        if (cold) {
            struct os_file *file;
            bench_require(os_file_open(dir, name, OS_READ, &file) == 0, name);
            bench_require(os_file_drop_cache(file) == 0, name);
            os_file_close(file);
        } else {
            struct os_map *map;
            bench_require(os_map_open(dir, name, ring.segment_bytes, &map) == 0, name);
            for (uint64_t at = 0; at < ring.segment_bytes; at += MIB)
                os_map_populate(map, at, MIB); /* more is not read ahead at once */
            os_map_close(map);
            read_through(dir, name);
        }
    }
    os_dir_close(dir);
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

struct row {
    const char *name;
    struct catalog catalog;
    uint32_t batch; /* draws a request; 0: no log */
};

static const struct row rows[] = {
    {"1 pool x 6", {1, 6}, 0},
    {"1 pool x 1,000,000", {1, 1000000}, 0},
    {"1,000 pools x 1,000", {1000, 1000}, 0},
    {"1 pool x 6, 1000 a request", {1, 6}, 1000},
    {"1 pool x 6, 1 a request", {1, 6}, 1},
    {"1 pool x 1,000, 1000", {1, 1000}, 1000},
    {"1 pool x 1,000,000, 1000", {1, 1000000}, 1000},
    {"1,000 pools x 1,000, 1000", {1000, 1000}, 1000},
};

struct run {
    const char *folder;
    const char *only; /* NULL: all rows */
    uint64_t log_mib;
    uint32_t repetitions;
    bool json;
    bool keeps;
    bool cold;
};

/* The starts are in order of how long they took. */
static void print_starts(const struct run *run, const struct row *row, const struct start *starts,
                         double made_s)
{
    const struct start *median = &starts[run->repetitions / 2];
    double median_ms = (double)median->report.duration_us / 1e3;
    double min_ms = (double)starts[0].report.duration_us / 1e3;
    double max_ms = (double)starts[run->repetitions - 1].report.duration_us / 1e3;
    double draws_per_us = (double)median->report.replayed_draws / median_ms / 1e3;
    if (run->json) {
        printf("{\"row\": \"%s\", \"median_ms\": %.2f, \"min_ms\": %.2f, \"max_ms\": %.2f"
               ", \"processor_ms\": %.2f, \"anonymous_mib\": %.1f, \"replayed_draws\": %" PRIu64,
               row->name, median_ms, min_ms, max_ms, median->processor_ms,
               (double)median->anonymous_kib / 1024, median->report.replayed_draws);
        if (row->batch > 0)
            printf(", \"million_draws_per_s\": %.2f", draws_per_us);
        printf("}\n");
        return;
    }
    printf("%-28s %8.1f %8.1f %8.1f %8.1f %9.1f %8.1f", row->name, min_ms, median_ms, max_ms,
           median->processor_ms, (double)median->anonymous_kib / 1024, made_s);
    if (row->batch > 0)
        printf(" %12" PRIu64 " %8.1f", median->report.replayed_draws, draws_per_us);
    printf("\n");
}

static void remove_data(const char *data_dir)
{
    char remove_it[4200];
    snprintf(remove_it, sizeof remove_it, "rm -rf '%s'", data_dir);
    bench_require(system(remove_it) == 0, "rm");
}

static void measure_row(const struct run *run, const struct row *row)
{
    char data_dir[4096];
    struct start starts[REPETITIONS_MAX];
    struct ring ring = {64 * MIB, 8}; /* the default; with a log, one large enough for it */
    uint64_t log_bytes = 0;
    if (row->batch > 0) {
        ring.segments = (uint32_t)(2 + (3 * run->log_mib + 63) / 64);
        log_bytes = run->log_mib * MIB - 2 * MIB; /* so that no snapshot has begun */
    }
    snprintf(data_dir, sizeof data_dir, "%s/bench-recovery-data-%zu", run->folder,
             (size_t)(row - rows));
    double made_s = 0;
    if (!run->keeps)
        remove_data(data_dir);
    if (access(data_dir, F_OK) != 0)
        made_s = make_data(data_dir, ring, row->catalog, row->batch, log_bytes);
    for (uint32_t i = 0; i < run->repetitions; i++) {
        warm_or_cool(data_dir, ring, run->cold);
        starts[i] = start_once(data_dir, ring);
    }
    qsort(starts, run->repetitions, sizeof *starts, compare_starts);
    print_starts(run, row, starts, made_s);
    if (!run->keeps)
        remove_data(data_dir);
}

#define USAGE                                                                                      \
    "usage: bench-recovery [--json] [--keep] [--cold] [--only ROW] [FOLDER [LOG_MIB "              \
    "[REPETITIONS]]]"

static struct run read_line(int argc, char **argv)
{
    struct run run = {.folder = ".", .log_mib = 1024, .repetitions = 5};
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--only") == 0 && at + 1 < argc)
            run.only = argv[++at];
        else if (strcmp(argv[at], "--json") == 0)
            run.json = true;
        else if (strcmp(argv[at], "--keep") == 0)
            run.keeps = true;
        else if (strcmp(argv[at], "--cold") == 0)
            run.cold = true;
        else
            bench_require(false, USAGE);
    }
    if (at < argc)
        run.folder = argv[at];
    if (at + 1 < argc)
        run.log_mib = strtoull(argv[at + 1], NULL, 10);
    if (at + 2 < argc)
        run.repetitions = (uint32_t)strtoul(argv[at + 2], NULL, 10);
    bench_require(at + 3 >= argc && run.log_mib >= 1 && run.log_mib <= 16384 &&
                      run.repetitions >= 1 && run.repetitions <= REPETITIONS_MAX,
                  USAGE);
    return run;
}

int main(int argc, char **argv)
{
    struct run run = read_line(argc, argv);
    bench_require(sem_init(&notified, 0, 0) == 0, "set-up");
    if (!run.json)
        printf("start, ms                         min   median      max      cpu  anon MiB   "
               "made s        draws      M/s\n");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (run.only != NULL && strcmp(run.only, rows[i].name) != 0)
            continue;
        if (!run.json && run.only == NULL && rows[i].batch > 0 && rows[i - 1].batch == 0)
            printf("behind it %" PRIu64 " MiB of log\n", run.log_mib);
        measure_row(&run, &rows[i]);
    }
    return 0;
}
