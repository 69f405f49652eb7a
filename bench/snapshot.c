/* snapshot.c: what snapshots cost the draws beside them, at 1,000,000 items.
 *
 *     bench-snapshot [FOLDER [ITEMS [SECONDS [POOLS]]]]
 *
 * One lone draw after the other, for so many seconds without a snapshot and then with one after the other:
 * latencies of the draws, and how long the writer was kept at one time, by what it did. Then laps at full
 * load through a ring of 3 x 16 MiB, and the same again.
 *
 * A slice of the writer's time is taken twice: as the clock on the wall has it, which is what requests wait
 * for, and as its processor time, which is the work. Where processors are few, the difference is that
 * others had them: slices in which the scheduler took the processor away (an involuntary switch, by
 * getrusage) are also shown by themselves. The functions that make slices are wrapped by the linker
 * (bench/CMakeLists.txt), so that the engine itself is what it always is.
 */
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/engine.h"

#define LATENCIES_MAX 4000000u
#define SLICES_MAX    2000000u
#define BATCH         10000u
#define IN_FLIGHT     8u
#define POOL_NAME_MAX 16u

static sem_t notified;

static void on_notify(void *context)
{
    (void)context;
    CHECK(sem_post(&notified) == 0);
}

static uint64_t clock_ns(clockid_t which)
{
    struct timespec now;
    CHECK(clock_gettime(which, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
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

/* Samples in ns. */
struct samples {
    uint64_t *ns;
    uint64_t count;
    uint64_t max;
};

static void samples_make(struct samples *samples, uint64_t max)
{
    *samples = (struct samples){.ns = malloc(max * sizeof(uint64_t)), .max = max};
    CHECK(samples->ns != NULL);
}

static void samples_add(struct samples *samples, uint64_t ns)
{
    if (samples->count < samples->max)
        samples->ns[samples->count++] = ns;
}

/* The sample below which so many of a thousand lie, in us. */
static double permille_us(const struct samples *samples, uint64_t permille)
{
    uint64_t rank = samples->count * permille / 1000;
    return samples->count == 0
               ? 0
               : (double)samples->ns[rank < samples->count ? rank : samples->count - 1] / 1e3;
}

/* Prints them as one row, and forgets them. */
static void samples_print(const char *what, struct samples *samples)
{
    qsort(samples->ns, samples->count, sizeof *samples->ns, compare);
    printf("%-28s %8" PRIu64 "  us: p50 %8.1f  p99 %8.1f  p99.9 %8.1f  max %8.1f\n", what,
           samples->count, permille_us(samples, 500), permille_us(samples, 990),
           permille_us(samples, 999), permille_us(samples, 1000));
    samples->count = 0;
}

/* ---- slices of the writer's time --------------------------------------------------------------- */

enum slice_kind { SLICE_BEGIN, SLICE_ENCODE, SLICE_RESULT, SLICE_KINDS };

static const char *const slice_names[SLICE_KINDS] = {"begin", "encode slices", "take the result"};

/* The writer's, while a load lasts; printed after a snapshot that began and ended behind it. */
static struct samples slices_kept[SLICE_KINDS]; /* on the wall, the processor kept throughout */
static struct samples
    slices_lost[SLICE_KINDS]; /* on the wall, the processor taken away in between */
static struct samples slices_cpu[SLICE_KINDS];
static atomic_bool load_lasts;

void __real_snapshots_at_group_end(struct urn_engine *engine);
bool __real_snapshots_encode(struct urn_engine *engine);
bool __real_snapshots_take_result(struct urn_engine *engine);
void __wrap_snapshots_at_group_end(struct urn_engine *engine);
bool __wrap_snapshots_encode(struct urn_engine *engine);
bool __wrap_snapshots_take_result(struct urn_engine *engine);

struct slice {
    uint64_t wall_ns, cpu_ns;
    long switches;
};

/* How often the scheduler took the processor from the calling thread. */
static long involuntary_switches(void)
{
    struct rusage usage;
    CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
    return usage.ru_nivcsw;
}

static struct slice slice_begin(void)
{
    long switches = involuntary_switches();
    return (struct slice){now_ns(), clock_ns(CLOCK_THREAD_CPUTIME_ID), switches};
}

static void slice_end(enum slice_kind kind, struct slice began)
{
    uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - began.cpu_ns;
    uint64_t wall_ns = now_ns() - began.wall_ns;
    bool lost = involuntary_switches() != began.switches;
    if (!atomic_load_explicit(&load_lasts, memory_order_relaxed))
        return;
    samples_add(&slices_cpu[kind], cpu_ns);
    samples_add(lost ? &slices_lost[kind] : &slices_kept[kind], wall_ns);
}

void __wrap_snapshots_at_group_end(struct urn_engine *engine)
{
    struct slice began = slice_begin();
    bool rested = engine->writer.snapshots.stage == SNAPSHOTS_NONE;
    __real_snapshots_at_group_end(engine);
    if (rested && engine->writer.snapshots.stage != SNAPSHOTS_NONE)
        slice_end(SLICE_BEGIN, began);
}

bool __wrap_snapshots_encode(struct urn_engine *engine)
{
    struct slice began = slice_begin();
    bool did = __real_snapshots_encode(engine);
    if (did)
        slice_end(SLICE_ENCODE, began);
    return did;
}

bool __wrap_snapshots_take_result(struct urn_engine *engine)
{
    struct slice began = slice_begin();
    bool did = __real_snapshots_take_result(engine);
    if (did)
        slice_end(SLICE_RESULT, began);
    return did;
}

static void print_slices(void)
{
    char what[64];
    for (int kind = 0; kind < SLICE_KINDS; kind++) {
        snprintf(what, sizeof what, "  %s", slice_names[kind]);
        samples_print(what, &slices_kept[kind]);
        samples_print("    processor taken away", &slices_lost[kind]);
        samples_print("    processor time", &slices_cpu[kind]);
    }
}

/* ---- loads --------------------------------------------------------------------------------------- */

static char (*pool_names)[POOL_NAME_MAX];
static uint32_t pool_count;

/* A draw from one pool after the other. */
static void fill(struct urn_request *draw, uint32_t count, uint32_t *outcomes)
{
    static uint32_t turn;
    const char *name = pool_names[turn++ % pool_count];
    *draw = (struct urn_request){.op = URN_DRAW,
                                 .pool_name = name,
                                 .pool_name_bytes = (uint32_t)strlen(name),
                                 .count = count,
                                 .outcomes = outcomes};
}

static void wait_for_notice(void)
{
    while (sem_wait(&notified) != 0)
        ;
}

/* The load is over. A last snapshot, asked for now, ends behind whichever was under way. */
static void rest(struct urn_engine *engine)
{
    struct urn_request snapshot = {.op = URN_SNAPSHOT};
    atomic_store(&load_lasts, false);
    urn_submit(engine, &snapshot);
    const struct urn_request *done;
    while ((done = urn_collect(engine)) == NULL)
        wait_for_notice();
    CHECK(done == &snapshot && done->next == NULL && done->code == URN_OK);
}

/* Lone draws for so long; with_snapshots: one snapshot is always under way. */
static void lone_draws(struct urn_engine *engine, const char *what, uint64_t seconds,
                       bool with_snapshots)
{
    struct samples latencies;
    samples_make(&latencies, LATENCIES_MAX);
    atomic_store(&load_lasts, true);
    uint32_t outcome;
    struct urn_request draw;
    struct urn_request snapshot;
    bool under_way = false;
    uint64_t end_ns = now_ns() + seconds * 1000000000u;
    while (now_ns() < end_ns || under_way) {
        if (with_snapshots && !under_way && now_ns() < end_ns) {
            snapshot = (struct urn_request){.op = URN_SNAPSHOT};
            urn_submit(engine, &snapshot);
            under_way = true;
        }
        uint64_t began_ns = now_ns();
        fill(&draw, 1, &outcome);
        urn_submit(engine, &draw);
        for (bool back = false; !back;) {
            wait_for_notice();
            for (const struct urn_request *done = urn_collect(engine); done != NULL;
                 done = done->next) {
                CHECK(done->code == URN_OK);
                back = back || done == &draw;
                under_way = under_way && done != &snapshot;
            }
        }
        samples_add(&latencies, now_ns() - began_ns);
    }
    rest(engine);
    samples_print(what, &latencies);
    free(latencies.ns);
}

static void laps(struct urn_engine *engine, uint64_t seconds)
{
    static struct urn_request requests[IN_FLIGHT];
    static uint32_t outcomes[IN_FLIGHT][BATCH];
    struct urn_engine_info before;
    struct urn_engine_info after;
    urn_engine_info(engine, &before);
    atomic_store(&load_lasts, true);
    uint64_t began_ns = now_ns();
    uint32_t in_flight = IN_FLIGHT;
    for (uint32_t i = 0; i < IN_FLIGHT; i++) {
        fill(&requests[i], BATCH, outcomes[i]);
        urn_submit(engine, &requests[i]);
    }
    while (in_flight > 0) {
        wait_for_notice();
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
    rest(engine);
}

/* ---- the engine ---------------------------------------------------------------------------------- */

/* So many items, spread over the pools. What it allocates is the process's. */
static struct urn_pool_spec *make_pools(uint32_t items)
{
    struct urn_item_spec *specs = calloc(items, sizeof *specs);
    char(*names)[16] = calloc(items, sizeof *names);
    struct urn_pool_spec *pools = calloc(pool_count, sizeof *pools);
    pool_names = calloc(pool_count, sizeof *pool_names);
    CHECK(specs != NULL && names != NULL && pools != NULL && pool_names != NULL);
    for (uint32_t i = 0; i < items; i++)
        specs[i] = (struct urn_item_spec){
            names[i], (uint32_t)snprintf(names[i], sizeof names[i], "item-%u", i),
            i % 2 == 0 ? URN_UNLIMITED : 1000, 1 + i % 7};
    for (uint32_t i = 0; i < pool_count; i++) {
        int length = snprintf(pool_names[i], sizeof pool_names[i], "pool-%u", i);
        pools[i] = (struct urn_pool_spec){pool_names[i], (uint32_t)length, items / pool_count,
                                          specs + (size_t)i * (items / pool_count)};
    }
    return pools;
}

static struct urn_engine *open_engine(const char *folder, uint32_t items)
{
    struct urn_engine_config config = {.data_dir = folder,
                                       .create = true,
                                       .pools = make_pools(items),
                                       .pool_count = pool_count,
                                       .segment_size_bytes = 16u << 20,
                                       .segments = 3,
                                       .flush_after_n_draw = 65536,
                                       .max_batch = BATCH,
                                       .max_pools = pool_count,
                                       .max_items = items,
                                       .queue_requests = 64,
                                       .queue_draws = 1000000,
                                       .notify = on_notify};
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error;
    if (urn_engine_open(&config, &engine, &report, &error) != URN_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return engine;
}

int main(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] == '-') {
        fprintf(stderr, "usage: %s [FOLDER [ITEMS [SECONDS [POOLS]]]]\n", argv[0]);
        return 64;
    }
    const char *folder = argc > 1 ? argv[1] : "/tmp/urn-bench-snapshot";
    uint32_t items = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1000000;
    uint64_t seconds = argc > 3 ? strtoul(argv[3], NULL, 10) : 5;
    pool_count = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1;
    CHECK(pool_count > 0 && items >= pool_count && sem_init(&notified, 0, 0) == 0);
    for (int kind = 0; kind < SLICE_KINDS; kind++) {
        samples_make(&slices_kept[kind], SLICES_MAX);
        samples_make(&slices_lost[kind], SLICES_MAX);
        samples_make(&slices_cpu[kind], SLICES_MAX);
    }
    uint64_t before_kib = resident_kib();
    struct urn_engine *engine = open_engine(folder, items);
    struct urn_engine_info info;
    struct urn_error error;
    urn_engine_info(engine, &info);
    printf("%u items in %u pools, snapshots by %s\n", items, pool_count,
           info.snapshot_io_uring ? "io_uring" : "plain writes");
    lone_draws(engine, "lone draws", seconds, false);
    lone_draws(engine, "the same beside snapshots", seconds, true);
    print_slices();
    laps(engine, seconds);
    print_slices();
    printf("resident: %" PRIu64 " MiB, catalogs and results of this program included\n",
           (resident_kib() - before_kib) / 1024);
    CHECK(urn_engine_stop(engine, &error) == URN_OK);
    urn_engine_free(engine);
    return 0;
}
