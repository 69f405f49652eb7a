/* engine.c: draws a second through the engine without a network, mode commit, on a real disk.
 *
 *     bench-engine [FOLDER]     a folder on the disk to be measured; default: the current one
 *
 * One thread keeps `in flight` requests of `batch` draws with the engine, from a pool of 6 items.
 * In the same run, as the floor: msync of the same number of bytes, and how long a lone request
 * takes beside a bare sync of one page. Bytes of log a draw are the log's, headers and padding
 * included.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/urn.h"

#define ROUND_NS (1000ull * 1000 * 1000)

static const struct urn_item_spec items[] = {
    {"diamond", 7, URN_UNLIMITED, 1}, {"gold", 4, URN_UNLIMITED, 4},
    {"silver", 6, URN_UNLIMITED, 10}, {"bronze", 6, URN_UNLIMITED, 15},
    {"stone", 5, URN_UNLIMITED, 30},  {"mud", 3, URN_UNLIMITED, 40},
};
static const struct urn_pool_spec pools[] = {{"main", 4, 6, items}};

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
    uint64_t p50_ns;
    uint64_t p99_ns;
};

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Keeps in_flight requests going for a while; latencies are from submit to collect. */
static struct result measure(struct urn_engine *engine, sem_t *notified, uint32_t batch,
                             uint32_t in_flight)
{
    enum { SAMPLES_MAX = 1 << 20 };
    struct urn_request *requests = calloc(in_flight, sizeof *requests);
    uint64_t *began_ns = calloc(in_flight, sizeof *began_ns);
    uint32_t *outcomes = calloc((size_t)in_flight * batch, sizeof *outcomes);
    uint64_t *samples_ns = calloc(SAMPLES_MAX, sizeof *samples_ns);
    bench_require(requests && began_ns && outcomes && samples_ns, "memory");
    struct urn_engine_info before, after;
    urn_engine_info(engine, &before);
    uint64_t begin_ns = bench_now_ns();
    for (uint32_t i = 0; i < in_flight; i++) {
        requests[i] = (struct urn_request){.op = URN_DRAW,
                                           .pool_name = "main",
                                           .pool_name_bytes = 4,
                                           .count = batch,
                                           .outcomes = outcomes + (size_t)i * batch,
                                           .next = i + 1 < in_flight ? &requests[i + 1] : NULL};
        began_ns[i] = begin_ns;
    }
    urn_submit(engine, requests);
    uint32_t samples = 0;
    uint32_t under_way = in_flight;
    uint64_t draws = 0;
    uint64_t now_ns = begin_ns;
    while (under_way > 0) {
        wait_for_notice(notified);
        now_ns = bench_now_ns();
        struct urn_request *list = urn_collect(engine);
        for (struct urn_request *request = list; request != NULL; request = request->next) {
            bench_require(request->code == URN_OK, urn_code_text(request->code));
            size_t i = (size_t)(request - requests);
            if (samples < SAMPLES_MAX)
                samples_ns[samples++] = now_ns - began_ns[i];
            began_ns[i] = now_ns;
            draws += batch;
            under_way--;
        }
        if (list != NULL && now_ns - begin_ns < ROUND_NS) {
            for (struct urn_request *request = list; request != NULL; request = request->next)
                under_way++;
            urn_submit(engine, list);
        }
    }
    urn_engine_info(engine, &after);
    qsort(samples_ns, samples, sizeof *samples_ns, compare_u64);
    double seconds = (double)(now_ns - begin_ns) / 1e9;
    struct result result = {
        .draws_per_second = (double)draws / seconds,
        .bytes_per_draw = (double)(after.log_bytes - before.log_bytes) / (double)draws,
        .syncs_per_second = (double)(after.syncs - before.syncs) / seconds,
        .p50_ns = samples_ns[samples / 2],
        .p99_ns = samples_ns[samples - 1 - samples / 100],
    };
    free(requests);
    free(began_ns);
    free(outcomes);
    free(samples_ns);
    return result;
}

static void print_floor(const char *folder)
{
    printf("\nfloor: msync of a mapped file on the same disk, p50 of 1000\n");
    static const uint32_t sizes[] = {512, 4096, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        printf("  %6" PRIu32 " bytes  %7.1f us\n", sizes[i],
               (double)bench_msync(folder, BENCH_FILE_AS_THE_RING, sizes[i], 1000).p50_ns / 1e3);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    char data_dir[4096];
    snprintf(data_dir, sizeof data_dir, "%s/bench-engine-data", folder);
    char remove_it[4200];
    snprintf(remove_it, sizeof remove_it, "rm -rf '%s'", data_dir);
    bench_require(system(remove_it) == 0, "rm");
    sem_t notified;
    bench_require(sem_init(&notified, 0, 0) == 0, "sem_init");
    struct urn_engine_config config = {
        .data_dir = data_dir,
        .create = true,
        .pools = pools,
        .pool_count = 1,
        .segment_size_bytes = 256ull << 20,
        .segments = 8,
        .flush_after_n_draw = 65536,
        .max_batch = 100000,
        .max_pools = 16,
        .max_items = 1000,
        .queue_requests = 1u << 16,
        .queue_draws = 1ull << 32,
        .notify = on_notify,
        .notify_context = &notified,
    };
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error;
    if (urn_engine_open(&config, &engine, &report, &error) != URN_OK) {
        fprintf(stderr, "bench-engine: %s\n", error.text);
        return 1;
    }
    printf("engine, mode commit, 6 items\n");
    printf("  batch  in flight        draws/s  bytes/draw   syncs/s   p50 us   p99 us\n");
    static const uint32_t rows[][2] = {{1, 1},    {1, 64},    {1, 1024},  {1, 8192},
                                       {1000, 1}, {1000, 16}, {1000, 64}, {1000, 256}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct result result = measure(engine, &notified, rows[i][0], rows[i][1]);
        printf("  %5" PRIu32 "  %9" PRIu32 "  %13.0f  %10.3f  %8.0f  %7.1f  %7.1f\n", rows[i][0],
               rows[i][1], result.draws_per_second, result.bytes_per_draw, result.syncs_per_second,
               (double)result.p50_ns / 1e3, (double)result.p99_ns / 1e3);
        fflush(stdout);
    }
    print_floor(folder);
    bench_require(urn_engine_stop(engine, &error) == URN_OK, "stop");
    urn_engine_free(engine);
    return system(remove_it) == 0 ? 0 : 1;
}
