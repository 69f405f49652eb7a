/* bench.h: what the measuring programs share. Measurements, not tests: nothing here judges. */
#ifndef URN_BENCH_BENCH_H
#define URN_BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Ends the measurement when what it needs is not so. */
static inline void bench_require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bench: failed: %s\n", what);
    exit(1);
}

/* How a mapped file came to be; see bench/commit.c for what it changes. */
enum bench_file {
    BENCH_FILE_AS_THE_RING, /* written, cache dropped, mapped with MADV_RANDOM, populated by reading
                             */
    BENCH_FILE_LARGE_FOLIOS, /* written with 1 MiB writes and left in the cache */
};

/* The median and the 99th percentile of `syncs` msyncs, each after dirtying so many bytes somewhere
 * new in a mapped file of 64 MiB in the folder. */
struct bench_sync {
    uint64_t p50_ns;
    uint64_t p99_ns;
};
struct bench_sync bench_msync(const char *folder, enum bench_file kind, uint32_t bytes,
                              uint32_t syncs);

/* The same by pwrite and fdatasync. */
struct bench_sync bench_fdatasync(const char *folder, uint32_t bytes, uint32_t syncs);

#endif
