/* commit.c: what one sync costs, by size and mechanism, and the trap of large folios.
 *
 *     bench-commit [FOLDER]     a folder on the disk to be measured; default: the current one
 *
 * A file prewritten with large writes stays in the page cache as large folios, and an msync of 512
 * dirty bytes then writes a whole folio. The ring avoids that (docs/wal-format.md, "Traps"); the
 * last column shows what it would cost, and that it has not come back: the ring's own files stand
 * in the first.
 */
#include <inttypes.h>

#include "bench/bench.h"

#define SYNCS 1000u

static void print(const struct bench_sync *sync)
{
    printf("  %8.1f %8.1f", (double)sync->p50_ns / 1e3, (double)sync->p99_ns / 1e3);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    static const uint32_t sizes[] = {512, 4096, 65536, 1u << 20};
    printf("one sync, us: p50 and p99 of %u\n", SYNCS);
    printf("    bytes  msync, as the ring  pwrite + fdatasync  msync, large folios\n");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bench_sync ring = bench_msync(folder, BENCH_FILE_AS_THE_RING, sizes[i], SYNCS);
        struct bench_sync file = bench_fdatasync(folder, sizes[i], SYNCS);
        struct bench_sync trap = bench_msync(folder, BENCH_FILE_LARGE_FOLIOS, sizes[i], SYNCS);
        printf("  %7" PRIu32, sizes[i]);
        print(&ring);
        print(&file);
        print(&trap);
        printf("\n");
        fflush(stdout);
    }
    return 0;
}
