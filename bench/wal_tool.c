/* wal_tool.c: how fast urn-wal reads: verify, cat and find on a log of so many bytes, made for it.
 *
 *     bench-wal_tool URN-WAL FOLDER [MEBIBYTES [DRAWS]]
 *
 * URN-WAL is the program. In FOLDER a data directory is made, unless it is there from before: a ring of
 * segments of 64 MiB, filled with MEBIBYTES (default 1024) of groups of DRAWS draws (default 4096; 1 is what
 * lone clients leave), from a pool of 6 items, and two snapshots. The log is read once, so that it is cached as
 * far as memory goes; then each command is run and timed as a shell would: by the clock and, because on a machine
 * that others use the clock says little, by the processor time of all its threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/apply.h"
#include "engine/data_dir_create.h"
#include "engine/file_io.h"
#include "engine/identity.h"
#include "engine/recovery.h"
#include "engine/snapshot_file.h"

#define SEGMENT_BYTES (64ull * 1024 * 1024)
#define ITEMS         6u
#define FINDS         40u

/* ---- making a log -------------------------------------------------------------------------------- */

struct maker {
    struct data_dir data_dir;
    struct state state;
    struct os_file *file; /* of the segment under way */
    uint64_t time_us;
    uint64_t random;
    uint8_t *group;
};

static uint32_t draw(struct maker *maker)
{
    /* weights 1 4 10 15 30 40 */
    static const uint32_t bounds[ITEMS] = {1, 5, 15, 30, 60, 100};
    maker->random ^= maker->random << 13;
    maker->random ^= maker->random >> 7;
    maker->random ^= maker->random << 17;
    const uint32_t r = (uint32_t)(maker->random >> 33) % 100;
    uint32_t index = 0;
    while (bounds[index] <= r)
        index++;
    return index;
}

static void make_state(struct maker *maker)
{
    static const char *const names[ITEMS] = {"diamond", "gold", "silver", "bronze", "stone", "mud"};
    static const uint64_t weights[ITEMS] = {1, 4, 10, 15, 30, 40};
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    struct urn_error error;
    struct urn_pool *pool = NULL;
    bench_require(state_make(&bounds, &maker->state, &error) == URN_OK, "state");
    bench_require(state_add_pool(&maker->state, "main", 4, 10, &pool, &error) == URN_OK, "pool");
    for (uint32_t i = 0; i < ITEMS; i++)
        bench_require(state_add_item(&maker->state, pool, names[i], (uint32_t)strlen(names[i]),
                                     URN_UNLIMITED, weights[i], 0, &error) == URN_OK,
                      "item");
    data_dir_first_chain(maker->data_dir.geometry.ring_uuid, maker->state.tail.chain);
    maker->state.wall_time_us = maker->time_us;
}

static void write_snapshot(struct maker *maker)
{
    struct urn_error error;
    bench_require(snapshot_file_write(maker->data_dir.dir, &maker->state, &maker->data_dir.geometry,
                                      0, &error) == URN_OK,
                  "snapshot");
}

static void write_at(struct maker *maker, const uint8_t *bytes, uint64_t length_bytes)
{
    struct urn_error error;
    bench_require(file_write_exact(maker->file, "segment", bytes, length_bytes,
                                   maker->state.tail.lsn % SEGMENT_BYTES, &error) == URN_OK,
                  "write");
}

static void begin_segment(struct maker *maker)
{
    const struct wal_geometry *geometry = &maker->data_dir.geometry;
    char name[DATA_DIR_NAME_MAX];
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    const uint64_t sequence = maker->state.tail.lsn / SEGMENT_BYTES;
    struct wal_segment_header header = {.version = WAL_FORMAT_VERSION,
                                        .sequence = sequence,
                                        .segment_size_bytes = SEGMENT_BYTES,
                                        .segments = geometry->segments,
                                        .epoch = maker->state.tail.epoch};
    memcpy(header.ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES);
    wal_segment_header_write(&header, page);
    if (maker->file != NULL)
        os_file_close(maker->file);
    data_dir_segment_name(name, (uint32_t)sequence);
    bench_require(os_file_open(maker->data_dir.dir, name, OS_CREATE, &maker->file) == 0, name);
    bench_require(os_file_allocate(maker->file, SEGMENT_BYTES) == 0, name);
    write_at(maker, page, sizeof page);
    maker->state.tail.lsn += WAL_SEGMENT_HEADER_BYTES;
}

/* Seals, writes and applies what stands in maker->group. */
static void put(struct maker *maker, enum wal_group_kind kind, uint32_t length_bytes,
                uint32_t draws)
{
    struct urn_error error;
    struct wal_group_header header = {
        .length_bytes = length_bytes,
        .kind = kind,
        .ring_short = wal_ring_short(maker->data_dir.geometry.ring_uuid),
        .lsn = maker->state.tail.lsn,
        .durable_lsn = maker->state.tail.lsn,
        .epoch = maker->state.tail.epoch,
        .draws = draws,
        .engine_time_us = maker->time_us - 1760000000000000,
        .wall_time_us = maker->time_us++,
        .first_request_id = maker->state.next_request_id,
    };
    memcpy(header.chain_before, maker->state.tail.chain, WAL_CHAIN_BYTES);
    wal_group_seal(&header, maker->group);
    write_at(maker, maker->group, length_bytes);
    maker->state.tail.lsn += length_bytes;
    memcpy(maker->state.tail.chain, header.chain_after, WAL_CHAIN_BYTES);
    bench_require(apply_group(&maker->state, &header, maker->group, &error) == URN_OK, error.text);
}

/* A group with the entries that stand there, behind what has to come before it. */
static void add(struct maker *maker, enum wal_group_kind kind, const struct wal_entries *entries)
{
    const struct wal_placement place = wal_place(&maker->data_dir.geometry, maker->state.tail.lsn,
                                                 entries->used_bytes, kind != WAL_DATA);
    if (place.pad_bytes > 0) {
        uint8_t *kept = maker->group;
        maker->group = calloc(1, place.pad_bytes);
        bench_require(maker->group != NULL, "memory");
        put(maker, WAL_PAD, place.pad_bytes, 0);
        free(maker->group);
        maker->group = kept;
    }
    if (place.new_segment)
        begin_segment(maker);
    memset(maker->group + entries->used_bytes, 0, place.group_bytes - entries->used_bytes);
    put(maker, kind, place.group_bytes, entries->draws);
}

static void make_log(struct maker *maker, uint64_t bytes, uint32_t draws)
{
    static const uint8_t nonce[WAL_NONCE_BYTES] = "the bench's own";
    struct wal_entries entries;
    uint32_t outcomes[65536];
    bench_require(draws > 0 && draws <= sizeof outcomes / sizeof outcomes[0], "1 to 65536 draws");
    const uint64_t capacity = SEGMENT_BYTES - WAL_SEGMENT_HEADER_BYTES;
    maker->state.tail.epoch = 1;
    wal_entries_begin(&entries, maker->group, (uint32_t)capacity);
    wal_entries_add_epoch(&entries, nonce, 1);
    add(maker, WAL_EPOCH, &entries);
    bool snapshot_due = true;
    while (maker->state.tail.lsn < bytes) {
        wal_entries_begin(&entries, maker->group, (uint32_t)capacity);
        for (uint32_t i = 0; i < draws; i++)
            outcomes[i] = draw(maker);
        wal_entries_add_draws(&entries, 0, 1, 1, outcomes, draws);
        add(maker, WAL_DATA, &entries);
        if (snapshot_due && maker->state.tail.lsn > bytes / 3 * 2) {
            write_snapshot(maker);
            snapshot_due = false;
        }
    }
    wal_entries_begin(&entries, maker->group, (uint32_t)capacity);
    add(maker, WAL_MARK, &entries);
}

/* The slots that the log did not come to: of their size, and holes. */
static void make_rest(struct maker *maker)
{
    char name[DATA_DIR_NAME_MAX];
    const uint32_t used = (uint32_t)(maker->state.tail.lsn / SEGMENT_BYTES + 1);
    for (uint32_t slot = used; slot < maker->data_dir.geometry.segments; slot++) {
        struct os_file *file = NULL;
        data_dir_segment_name(name, slot);
        bench_require(os_file_open(maker->data_dir.dir, name, OS_CREATE, &file) == 0, name);
        bench_require(os_file_allocate(file, SEGMENT_BYTES) == 0, name);
        os_file_close(file);
    }
}

static void make_directory(const char *folder, uint64_t bytes, uint32_t draws)
{
    struct maker maker = {.time_us = 1763790000000000, .random = 88172645463325252};
    struct urn_error error;
    char text[IDENTITY_BYTES_MAX];
    maker.group = malloc(SEGMENT_BYTES);
    bench_require(maker.group != NULL, "memory");
    maker.data_dir.geometry = (struct wal_geometry){
        .segment_size_bytes = SEGMENT_BYTES, .segments = (uint32_t)(bytes / SEGMENT_BYTES + 3)};
    memcpy(maker.data_dir.geometry.ring_uuid, "urn bench's ring", WAL_UUID_BYTES);
    bench_require(os_dir_make(os_default(), folder) == 0, folder);
    bench_require(os_dir_open(os_default(), folder, &maker.data_dir.dir) == 0, folder);
    make_state(&maker);
    write_snapshot(&maker);
    make_log(&maker, bytes, draws);
    make_rest(&maker);
    const size_t length = identity_format(&maker.data_dir.geometry, text);
    bench_require(file_publish(maker.data_dir.dir, DATA_DIR_IDENTITY, text, length, &error) ==
                      URN_OK,
                  "IDENTITY");
    os_file_close(maker.file);
    os_dir_close(maker.data_dir.dir);
    state_free(&maker.state);
    free(maker.group);
}

/* ---- running the tool ------------------------------------------------------------------------------ */

static double now_s(void)
{
    struct timespec now;
    bench_require(clock_gettime(CLOCK_MONOTONIC, &now) == 0, "clock");
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct cost {
    double seconds;   /* by the clock */
    double processor; /* seconds of all threads, in the program and in the kernel */
};

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

/* Runs the program with these words, its output going nowhere. */
static struct cost run(const char *const *words)
{
    struct rusage usage;
    posix_spawn_file_actions_t actions;
    pid_t child = 0;
    int status = 0;
    const double began = now_s();
    bench_require(posix_spawn_file_actions_init(&actions) == 0, "spawn");
    bench_require(
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0,
        "spawn");
    bench_require(posix_spawn(&child, words[0], &actions, NULL, (char *const *)(uintptr_t)words,
                              environ) == 0,
                  words[0]);
    bench_require(wait4(child, &status, 0, &usage) == child, "wait4");
    (void)posix_spawn_file_actions_destroy(&actions);
    bench_require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "urn-wal failed");
    return (struct cost){.seconds = now_s() - began,
                         .processor = seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime)};
}

/* Each figure by itself: what disturbs the one need not disturb the other. */
static struct cost best_of_three(const char *const *words)
{
    struct cost best = run(words);
    for (int again = 0; again < 2; again++) {
        const struct cost cost = run(words);
        best.seconds = cost.seconds < best.seconds ? cost.seconds : best.seconds;
        best.processor = cost.processor < best.processor ? cost.processor : best.processor;
    }
    return best;
}

/* One row; draws 0: the command does not look at draws. */
static void measure(const char *name, const char *const *words, uint64_t log_bytes, uint64_t draws)
{
    const struct cost cost = best_of_three(words);
    (void)printf("%-20s %8.2f GB/s, %6.2f s of processor a GB", name,
                 (double)log_bytes / cost.seconds / 1e9, cost.processor / (double)log_bytes * 1e9);
    if (draws > 0)
        (void)printf(", %.0f million draws/s", (double)draws / cost.seconds / 1e6);
    (void)printf("\n");
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

static void measure_find(const char *program, const char *folder, uint64_t draws)
{
    double seconds[FINDS];
    uint64_t random = 1;
    for (uint32_t i = 0; i < FINDS; i++) {
        char id[24];
        random = random * 6364136223846793005u + 1442695040888963407u;
        (void)snprintf(id, sizeof id, "%" PRIu64, random % draws + 1);
        seconds[i] = run((const char *const[]){program, "find", folder, id, NULL}).seconds;
    }
    qsort(seconds, FINDS, sizeof seconds[0], compare_doubles);
    (void)printf("find                 %8.1f ms, at most %.1f ms, of %u draws anywhere\n",
                 seconds[FINDS / 2] * 1e3, seconds[FINDS - 1] * 1e3, FINDS);
}

/* What the log holds, from the newest state that a start would build. */
static uint64_t count_draws(const char *folder, uint64_t *log_bytes)
{
    struct data_dir data_dir;
    struct urn_error error;
    struct state state;
    struct recovery recovery;
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    bench_require(data_dir_open_readonly(os_default(), folder, &data_dir, &error) == URN_OK,
                  folder);
    struct helper *helper = helper_make();
    bench_require(recovery_read(&data_dir, &bounds, helper, &state, &recovery, &error) == URN_OK,
                  error.text);
    helper_free(helper);
    const uint64_t draws = state.next_request_id - 1;
    bench_require(draws > 0, "a log with draws in it");
    *log_bytes = state.tail.lsn;
    state_free(&state);
    data_dir_close(&data_dir);
    return draws;
}

int main(int argc, char **argv)
{
    bench_require(argc >= 3 && argc <= 5,
                  "usage: bench-wal_tool URN-WAL FOLDER [MEBIBYTES [DRAWS]]");
    bench_require(sodium_init() >= 0, "libsodium");
    const char *program = argv[1];
    const char *folder = argv[2];
    const uint64_t bytes = (argc > 3 ? strtoull(argv[3], NULL, 10) : 1024) << 20;
    const uint32_t draws_a_group = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 4096;
    if (access(folder, F_OK) != 0)
        make_directory(folder, bytes, draws_a_group);
    uint64_t log_bytes = 0;
    const uint64_t draws = count_draws(folder, &log_bytes);
    (void)printf("%.2f GB of log, %.1f million draws, %.2f bytes a draw\n", (double)log_bytes / 1e9,
                 (double)draws / 1e6, (double)log_bytes / (double)draws);

    const char *const ls[] = {program, "ls", folder, NULL};
    const char *const verify[] = {program, "verify", "--quiet", folder, NULL};
    const char *const text[] = {program, "cat", folder, NULL};
    const char *const json[] = {program, "cat", "--format", "json", folder, NULL};
    const char *const rare[] = {program, "cat", "--item", "diamond", folder, NULL};
    (void)run(ls); /* into the cache */
    measure("ls", ls, log_bytes, 0);
    measure("verify", verify, log_bytes, draws);
    measure("cat", text, log_bytes, draws);
    measure("cat --format json", json, log_bytes, draws);
    measure("cat --item diamond", rare, log_bytes, draws);
    measure_find(program, folder, draws);
    return 0;
}
