/* engine.c: draws a second through the engine without a network, durable on a real disk.
 *
 *     bench-engine [OPTION ...] [FOLDER]      FOLDER on the disk to be measured; default: the current one
 *       --items N             items of a pool (default 6, with the weights of samples/config.yaml)
 *       --pools N             pools of so many items each (default 1), that the requests go round
 *       --log HOW             mmap (default), pwrite or none: see log_how.h
 *       --row BATCH:IN_FLIGHT a row; may be given several times; default: eight of them
 *       --lookups N           so many lookups of ids of any age are under way beside each row's draws
 *       --archive             the log is archived, and the lookups are of ids that only the archive has: a ring of
 *                             64 MiB goes round a few times first
 *       --ms N                how long each row is measured (default 1000)
 *       --json                a JSON object a line instead of a table
 *
 * One thread keeps `in flight` requests of `batch` draws with the engine. Latencies are from submit to
 * collect. Bytes of log a draw are the log's, headers and padding included. Stock is limited, and far from
 * running out.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdnoreturn.h>
#include <string.h>

#include <sodium/core.h>

#include "bench/bench.h"
#include "bench/log_how.h"
#include "engine/histogram.h"
#include "engine/urn.h"

#define STOCK       (1ll << 44)
#define ROWS_MAX    64u
#define ITEMS_MAX   2000000u
#define ID_BYTES    16u
#define POOLS_MAX   10000u
#define SIX_ITEMS   6u
#define LOOKUPS_MAX 1024u

/* With an archive: the ring, and how many times its bytes of log are there before anything is measured. Of the ids
 * that were given by then, the oldest third is in the archive only, and of those given later, too. */
#define ARCHIVED_SEGMENT_BYTES (16ull << 20)
#define ARCHIVED_SEGMENTS      4u
#define ARCHIVED_LAPS          3u
#define ARCHIVED_PART          3u

static const struct urn_item_spec six_items[SIX_ITEMS] = {
    {"diamond", 7, STOCK, 10},  {"ruby", 4, STOCK, 50},   {"gold", 4, STOCK, 240},
    {"silver", 6, STOCK, 1000}, {"clay", 4, STOCK, 3000}, {"mud", 3, STOCK, 5700},
};

struct row {
    uint32_t batch;
    uint32_t in_flight;
};

struct run {
    const char *folder;
    uint32_t items;
    uint32_t pools;
    enum log_how how;
    uint32_t lookups;
    bool archives;
    uint64_t row_ns;
    bool json;
    struct row rows[ROWS_MAX];
    uint32_t row_count;
};

static const char *const how_names[] = {
    [LOG_MMAP] = "mmap", [LOG_PWRITE] = "pwrite", [LOG_NONE] = "none"};

/* ---- the load ------------------------------------------------------------------------------ */

static void on_notify(void *context)
{
    bench_require(sem_post(context) == 0, "sem_post");
}

static void wait_for_notice(sem_t *notified)
{
    while (sem_wait(notified) != 0)
        bench_require(errno == EINTR, "sem_wait");
    while (sem_trywait(notified) == 0) /* one look serves all notices */
        ;
}

struct result {
    double draws_per_second;
    double bytes_per_draw;
    double syncs_per_second;
    double sync_ns; /* one, on average */
    uint64_t p50_ns;
    uint64_t p99_ns;
    double lookups_per_second;
    uint64_t lookup_p50_ns;
    uint64_t lookup_p99_ns;
    uint64_t lookup_max_ns;
};

/* Requests on their way, and how long each took. */
struct flight {
    struct urn_request *requests;
    uint64_t *began_ns;
    uint32_t *outcomes;
    struct histogram latency_ns;
};

/* Lookups of draws of any age: of ids that lie anywhere in what the ring has. */
struct looking {
    struct urn_request requests[LOOKUPS_MAX];
    uint64_t began_ns[LOOKUPS_MAX];
    uint64_t oldest_id, newest_id;
    bool in_archive; /* of the oldest third only */
    uint64_t random;
    uint32_t under_way;
    struct histogram latency_ns;
};

static void look_up(struct urn_engine *engine, struct looking *looking, uint32_t which,
                    uint64_t now_ns)
{
    struct urn_request *request = &looking->requests[which];
    const uint64_t ids = looking->newest_id - looking->oldest_id + 1;
    looking->random = looking->random * 6364136223846793005u + 1442695040888963407u;
    *request = (struct urn_request){
        .op = URN_LOOKUP,
        .request_id = looking->oldest_id +
                      (looking->random >> 11) % (looking->in_archive ? ids / ARCHIVED_PART : ids)};
    looking->began_ns[which] = now_ns;
    looking->under_way++;
    urn_submit(engine, request);
}

/* Takes an answer, and looks up another. */
static void take_lookup(struct urn_engine *engine, struct looking *looking,
                        const struct urn_request *done, uint64_t now_ns, bool goes_on)
{
    const uint32_t which = (uint32_t)(done - looking->requests);
    looking->under_way--;
    histogram_add(&looking->latency_ns, now_ns - looking->began_ns[which]);
    if (done->code == URN_NOTFOUND) /* overwritten: the ring has come round */
        looking->oldest_id = done->first_request_id;
    else
        bench_require(done->code == URN_OK, urn_code_text(done->code));
    if (goes_on)
        look_up(engine, looking, which, now_ns);
}

/* The pools that requests go round, one after the other. */
struct aims {
    const struct urn_pool_spec *pools;
    uint32_t count;
    uint32_t turn;
};

static void aim(struct urn_request *request, struct aims *aims)
{
    const struct urn_pool_spec *pool = &aims->pools[aims->turn];
    request->pool_name = pool->name;
    request->pool_name_bytes = pool->name_bytes;
    aims->turn = aims->turn + 1 < aims->count ? aims->turn + 1 : 0;
}

static struct flight *flight_make(struct row row, struct aims *aims, uint64_t now_ns)
{
    struct flight *flight = calloc(1, sizeof *flight);
    bench_require(flight != NULL, "memory");
    flight->requests = calloc(row.in_flight, sizeof *flight->requests);
    flight->began_ns = calloc(row.in_flight, sizeof *flight->began_ns);
    flight->outcomes = calloc((size_t)row.in_flight * row.batch, sizeof *flight->outcomes);
    bench_require(flight->requests && flight->began_ns && flight->outcomes, "memory");
    for (uint32_t i = 0; i < row.in_flight; i++) {
        flight->requests[i] =
            (struct urn_request){.op = URN_DRAW,
                                 .count = row.batch,
                                 .outcomes = flight->outcomes + (size_t)i * row.batch,
                                 .next = i + 1 < row.in_flight ? &flight->requests[i + 1] : NULL};
        aim(&flight->requests[i], aims);
        flight->began_ns[i] = now_ns;
    }
    return flight;
}

static void flight_free(struct flight *flight)
{
    free(flight->requests);
    free(flight->began_ns);
    free(flight->outcomes);
    free(flight);
}

static double mean_sync_ns(const struct urn_engine_info *before,
                           const struct urn_engine_info *after)
{
    const uint64_t syncs = after->syncs - before->syncs;
    return syncs == 0 ? 0 : (double)(after->sync_ns - before->sync_ns) / (double)syncs;
}

/* Keeps the row's requests going for a while. */
static struct result measure(struct urn_engine *engine, sem_t *notified, struct aims *aims,
                             struct row row, const struct run *run)
{
    const uint64_t row_ns = run->row_ns;
    struct looking *looking = calloc(1, sizeof *looking);
    bench_require(looking != NULL, "memory");
    struct urn_engine_info before, after;
    urn_engine_info(engine, &before);
    uint64_t begin_ns = bench_now_ns();
    struct flight *flight = flight_make(row, aims, begin_ns);
    urn_submit(engine, flight->requests);
    uint32_t under_way = row.in_flight;
    uint64_t draws = 0;
    uint64_t now_ns = begin_ns;
    looking->oldest_id = 1;
    looking->in_archive = run->archives;
    while (under_way > 0 || looking->under_way > 0) {
        wait_for_notice(notified);
        now_ns = bench_now_ns();
        bool goes_on = now_ns - begin_ns < row_ns;
        struct urn_request *list = NULL; /* the draws, in the same order */
        struct urn_request **end = &list;
        struct urn_request *next = urn_collect(engine);
        for (struct urn_request *done = next; done != NULL; done = next) {
            next = done->next;
            if (done->op == URN_LOOKUP) {
                take_lookup(engine, looking, done, now_ns, goes_on);
                continue;
            }
            done->next = NULL;
            *end = done;
            end = &done->next;
            bench_require(done->code == URN_OK, urn_code_text(done->code));
            uint64_t *began_ns = &flight->began_ns[done - flight->requests];
            histogram_add(&flight->latency_ns, now_ns - *began_ns);
            *began_ns = now_ns;
            aim(done, aims);
            draws += row.batch;
            looking->newest_id = done->first_request_id;
            under_way -= !goes_on;
        }
        if (list != NULL && goes_on)
            urn_submit(engine, list);
        while (goes_on && looking->newest_id != 0 && looking->under_way < run->lookups)
            look_up(engine, looking, looking->under_way, now_ns);
    }
    urn_engine_info(engine, &after);
    double seconds = (double)(now_ns - begin_ns) / 1e9;
    struct result result = {
        .draws_per_second = (double)draws / seconds,
        .bytes_per_draw = (double)(after.log_bytes - before.log_bytes) / (double)draws,
        .syncs_per_second = (double)(after.syncs - before.syncs) / seconds,
        .sync_ns = mean_sync_ns(&before, &after),
        .p50_ns = histogram_permille(&flight->latency_ns, 500),
        .p99_ns = histogram_permille(&flight->latency_ns, 990),
        .lookups_per_second = (double)looking->latency_ns.count / seconds,
        .lookup_p50_ns = histogram_permille(&looking->latency_ns, 500),
        .lookup_p99_ns = histogram_permille(&looking->latency_ns, 990),
        .lookup_max_ns = looking->latency_ns.max,
    };
    flight_free(flight);
    free(looking);
    return result;
}

static void print_result(const struct run *run, struct row row, const struct result *result)
{
    if (run->json)
        printf("{\"pools\": %" PRIu32 ", \"items\": %" PRIu32
               ", \"log\": \"%s\", \"batch\": %" PRIu32 ", \"in_flight\": %" PRIu32
               ", \"draws_per_s\": %.0f, \"bytes_per_draw\": %.4f"
               ", \"syncs_per_s\": %.1f, \"sync_us\": %.2f, \"p50_us\": %.2f, \"p99_us\": %.2f"
               ", \"lookups_per_s\": %.0f, \"lookup_p50_us\": %.2f, \"lookup_p99_us\": %.2f"
               ", \"lookup_max_us\": %.2f}\n",
               run->pools, run->items, how_names[run->how], row.batch, row.in_flight,
               result->draws_per_second, result->bytes_per_draw, result->syncs_per_second,
               result->sync_ns / 1e3, (double)result->p50_ns / 1e3, (double)result->p99_ns / 1e3,
               result->lookups_per_second, (double)result->lookup_p50_ns / 1e3,
               (double)result->lookup_p99_ns / 1e3, (double)result->lookup_max_ns / 1e3);
    else
        printf("  %5" PRIu32 "  %9" PRIu32 "  %13.0f  %10.3f  %8.0f  %7.1f  %7.1f\n", row.batch,
               row.in_flight, result->draws_per_second, result->bytes_per_draw,
               result->syncs_per_second, (double)result->p50_ns / 1e3,
               (double)result->p99_ns / 1e3);
    if (!run->json && run->lookups > 0)
        printf("    %.0f lookups/s beside them: p50 %.1f us, p99 %.1f us, at most %.1f us\n",
               result->lookups_per_second, (double)result->lookup_p50_ns / 1e3,
               (double)result->lookup_p99_ns / 1e3, (double)result->lookup_max_ns / 1e3);
    fflush(stdout);
}

/* ---- the engine ---------------------------------------------------------------------------- */

/* What the engine is made with: as many pools as wanted, all of the same items. */
struct catalogs {
    struct urn_pool_spec *pools;
    char (*pool_names)[ID_BYTES];
    struct urn_item_spec *items;
    char (*item_ids)[ID_BYTES];
};

static struct catalogs make_catalogs(const struct run *run)
{
    struct catalogs made = {.pools = calloc(run->pools, sizeof *made.pools),
                            .pool_names = calloc(run->pools, ID_BYTES),
                            .items = calloc(run->items, sizeof *made.items),
                            .item_ids = calloc(run->items, ID_BYTES)};
    bench_require(made.pools && made.pool_names && made.items && made.item_ids, "memory");
    for (uint32_t i = 0; i < run->items; i++) {
        int length = snprintf(made.item_ids[i], ID_BYTES, "item-%07" PRIu32, i);
        made.items[i] = (struct urn_item_spec){made.item_ids[i], (uint32_t)length,
                                               STOCK / run->items, 1 + i * 7919u % 100};
    }
    for (uint32_t i = 0; i < run->pools; i++) {
        int length = snprintf(made.pool_names[i], ID_BYTES, "pool-%04" PRIu32, i);
        made.pools[i] = (struct urn_pool_spec){made.pool_names[i], (uint32_t)length, run->items,
                                               run->items == SIX_ITEMS ? six_items : made.items};
    }
    return made;
}

static void free_catalogs(struct catalogs *catalogs)
{
    free(catalogs->pools);
    free(catalogs->pool_names);
    free(catalogs->items);
    free(catalogs->item_ids);
}

static struct urn_engine *open_engine(const struct run *run, const struct catalogs *catalogs,
                                      const char *data_dir, const char *archive, sem_t *notified)
{
    struct urn_engine_config config = {
        .data_dir = data_dir,
        .create = true,
        .pools = catalogs->pools,
        .pool_count = run->pools,
        .segment_size_bytes = run->archives ? ARCHIVED_SEGMENT_BYTES : 256ull << 20,
        .segments = run->archives ? ARCHIVED_SEGMENTS : 8,
        .archive = run->archives ? archive : NULL,
        .flush_after_n_draw = 65536,
        .max_batch = 100000,
        .max_pools = POOLS_MAX,
        .max_items = ITEMS_MAX,
        .queue_requests = 1u << 16,
        .queue_draws = 1ull << 32,
        .notify = on_notify,
        .notify_context = notified,
    };
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error;
    if (urn_engine_open(&config, &engine, &report, &error) != URN_OK) {
        fprintf(stderr, "bench-engine: %s\n", error.text);
        exit(1);
    }
    return engine;
}

/* Until most of the log is in the archive only. */
static void fill_archive(struct urn_engine *engine, sem_t *notified, struct aims *aims)
{
    const struct row row = {.batch = 1000, .in_flight = 16};
    const struct run fill = {.row_ns = 100ull * 1000000};
    struct urn_engine_info info;
    do {
        (void)measure(engine, notified, aims, row, &fill);
        urn_engine_info(engine, &info);
    } while (info.archived_lsn < ARCHIVED_LAPS * info.ring_bytes);
}

static void run_rows(const struct run *run)
{
    char data_dir[4096];
    char archive[4096];
    char remove_it[8400];
    sem_t notified;
    struct urn_error error;
    snprintf(data_dir, sizeof data_dir, "%s/bench-engine-data", run->folder);
    snprintf(archive, sizeof archive, "%s/bench-engine-archive", run->folder);
    snprintf(remove_it, sizeof remove_it, "rm -rf '%s' '%s'", data_dir, archive);
    bench_require(system(remove_it) == 0, "rm");
    bench_require(sem_init(&notified, 0, 0) == 0, "sem_init");
    log_how_use(run->how, data_dir);
    struct catalogs catalogs = make_catalogs(run);
    struct urn_engine *engine = open_engine(run, &catalogs, data_dir, archive, &notified);
    struct aims aims = {.pools = catalogs.pools, .count = run->pools};
    if (run->archives)
        fill_archive(engine, &notified, &aims);
    if (!run->json) {
        printf("engine, %" PRIu32 " x %" PRIu32 " items, log by %s\n", run->pools, run->items,
               how_names[run->how]);
        printf("  batch  in flight        draws/s  bytes/draw   syncs/s   p50 us   p99 us\n");
    }
    for (uint32_t i = 0; i < run->row_count; i++) {
        struct result result = measure(engine, &notified, &aims, run->rows[i], run);
        print_result(run, run->rows[i], &result);
    }
    bench_require(urn_engine_stop(engine, &error) == URN_OK, "stop");
    urn_engine_free(engine);
    free_catalogs(&catalogs);
    bench_require(system(remove_it) == 0, "rm");
}

/* ---- the command line ---------------------------------------------------------------------- */

static noreturn void usage(void)
{
    fputs("usage: bench-engine [--items N] [--pools N] [--log mmap|pwrite|none] [--row "
          "BATCH:IN_FLIGHT ...]\n"
          "                    [--lookups N] [--archive] [--ms N] [--json] [FOLDER]\n",
          stderr);
    exit(64);
}

static uint64_t number(const char *text, char stop, uint64_t maximum, const char **end)
{
    char *behind;
    unsigned long long value = strtoull(text, &behind, 10);
    if (behind == text || *behind != stop || value == 0 || value > maximum)
        usage();
    if (end != NULL)
        *end = behind + 1;
    return value;
}

static void take_row(struct run *run, const char *text)
{
    if (run->row_count == ROWS_MAX)
        usage();
    struct row *row = &run->rows[run->row_count++];
    row->batch = (uint32_t)number(text, ':', 100000, &text);
    row->in_flight = (uint32_t)number(text, '\0', 1u << 16, NULL);
}

static void take_how(struct run *run, const char *text)
{
    for (run->how = LOG_MMAP; strcmp(how_names[run->how], text) != 0; run->how++)
        if (run->how == LOG_NONE)
            usage();
}

static struct run read_line(int argc, char **argv)
{
    static const struct option options[] = {{"items", required_argument, NULL, 'i'},
                                            {"pools", required_argument, NULL, 'p'},
                                            {"log", required_argument, NULL, 'l'},
                                            {"row", required_argument, NULL, 'r'},
                                            {"lookups", required_argument, NULL, 'k'},
                                            {"ms", required_argument, NULL, 'm'},
                                            {"archive", no_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    static const struct row default_rows[] = {{1, 1},    {1, 64},    {1, 1024},  {1, 8192},
                                              {1000, 1}, {1000, 16}, {1000, 64}, {1000, 256}};
    struct run run = {.folder = ".", .items = SIX_ITEMS, .pools = 1, .row_ns = 1000ull * 1000000};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'i':
            run.items = (uint32_t)number(optarg, '\0', ITEMS_MAX, NULL);
            break;
        case 'p':
            run.pools = (uint32_t)number(optarg, '\0', POOLS_MAX, NULL);
            break;
        case 'l':
            take_how(&run, optarg);
            break;
        case 'r':
            take_row(&run, optarg);
            break;
        case 'k':
            run.lookups = (uint32_t)number(optarg, '\0', LOOKUPS_MAX, NULL);
            break;
        case 'a':
            run.archives = true;
            break;
        case 'm':
            run.row_ns = number(optarg, '\0', 3600000, NULL) * 1000000;
            break;
        case 'j':
            run.json = true;
            break;
        default:
            usage();
        }
    }
    if (argc - optind > 1)
        usage();
    if (argc > optind)
        run.folder = argv[optind];
    if (run.row_count == 0) {
        run.row_count = sizeof default_rows / sizeof default_rows[0];
        memcpy(run.rows, default_rows, sizeof default_rows);
    }
    return run;
}

int main(int argc, char **argv)
{
    struct run run = read_line(argc, argv);
    run_rows(&run);
    return 0;
}
