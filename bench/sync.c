/* sync.c: bare syncs of a preallocated file: the floor under every commit. See bench.h. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/bench.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define FILE_BYTES  (64u << 20)
#define CHUNK_BYTES (1u << 20)

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static struct bench_sync summary(uint64_t *samples_ns, uint32_t count)
{
    qsort(samples_ns, count, sizeof *samples_ns, compare_u64);
    struct bench_sync result = {samples_ns[count / 2], samples_ns[count - 1 - count / 100]};
    free(samples_ns);
    return result;
}

/* A file of zeroes, allocated, written and synced; already without a name. */
static int make_file(const char *folder)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/bench-sync-XXXXXX", folder);
    int fd = mkstemp(path);
    bench_require(fd >= 0, "mkstemp");
    bench_require(unlink(path) == 0, "unlink");
    bench_require(posix_fallocate(fd, 0, FILE_BYTES) == 0, "fallocate");
    char *zeroes = calloc(1, CHUNK_BYTES);
    bench_require(zeroes != NULL, "memory");
    for (uint32_t offset = 0; offset < FILE_BYTES; offset += CHUNK_BYTES)
        bench_require(pwrite(fd, zeroes, CHUNK_BYTES, offset) == CHUNK_BYTES, "pwrite");
    free(zeroes);
    bench_require(fsync(fd) == 0, "fsync");
    return fd;
}

/* Where the i-th write goes: forward, as a log does, from a fresh page each time. */
static uint32_t place(uint32_t i, uint32_t bytes)
{
    uint32_t step = (bytes + 4095u) & ~4095u;
    return i * step % (FILE_BYTES - step);
}

struct bench_sync bench_msync(const char *folder, enum bench_file kind, uint32_t bytes,
                              uint32_t syncs)
{
    int fd = make_file(folder);
    if (kind == BENCH_FILE_AS_THE_RING)
        bench_require(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0, "fadvise");
    char *map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    bench_require(map != MAP_FAILED, "mmap");
    if (kind == BENCH_FILE_AS_THE_RING) {
        bench_require(madvise(map, FILE_BYTES, MADV_RANDOM) == 0, "madvise");
        for (uint32_t offset = 0; offset < FILE_BYTES; offset += CHUNK_BYTES) {
            bench_require(madvise(map + offset, CHUNK_BYTES, MADV_WILLNEED) == 0, "read");
            bench_require(madvise(map + offset, CHUNK_BYTES, MADV_POPULATE_READ) == 0, "populate");
        }
    }
    uint64_t *samples_ns = calloc(syncs, sizeof *samples_ns);
    bench_require(samples_ns != NULL, "memory");
    for (uint32_t i = 0; i < syncs; i++) {
        uint32_t offset = place(i, bytes);
        uint64_t begin_ns = bench_now_ns();
        memset(map + offset, (int)i | 1, bytes);
        bench_require(msync(map + offset, bytes, MS_SYNC) == 0, "msync");
        samples_ns[i] = bench_now_ns() - begin_ns;
    }
    munmap(map, FILE_BYTES);
    close(fd);
    return summary(samples_ns, syncs);
}

struct bench_sync bench_fdatasync(const char *folder, uint32_t bytes, uint32_t syncs)
{
    int fd = make_file(folder);
    char *from = malloc(bytes);
    uint64_t *samples_ns = calloc(syncs, sizeof *samples_ns);
    bench_require(from != NULL && samples_ns != NULL, "memory");
    for (uint32_t i = 0; i < syncs; i++) {
        memset(from, (int)i | 1, bytes);
        uint64_t begin_ns = bench_now_ns();
        bench_require(pwrite(fd, from, bytes, place(i, bytes)) == (ssize_t)bytes, "pwrite");
        bench_require(fdatasync(fd) == 0, "fdatasync");
        samples_ns[i] = bench_now_ns() - begin_ns;
    }
    free(from);
    close(fd);
    return summary(samples_ns, syncs);
}
