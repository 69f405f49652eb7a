/* commit.c: what one sync costs, by size and mechanism, and the trap of large folios.
 *
 *     bench-commit [--json] [FOLDER]     a folder on the disk to be measured; default: the current one
 *
 * A file prewritten with large writes stays in the page cache as large folios, and an msync of 512
 * dirty bytes then writes a whole folio. The ring avoids that (docs/wal-format.md, "Traps"); the
 * last column shows what it would cost, and that it has not come back: the ring's own files stand
 * in the first.
 */
#include <inttypes.h>
#include <string.h>

#include "bench/bench.h"

#define SYNCS 1000u

struct mechanisms {
    uint32_t bytes;
    struct bench_sync msync;     /* of a file as the ring's are */
    struct bench_sync fdatasync; /* behind a pwrite */
    struct bench_sync folios;    /* msync of a file in large folios */
};

static void print_text(const struct mechanisms *row)
{
    const struct bench_sync *const syncs[] = {&row->msync, &row->fdatasync, &row->folios};
    printf("  %7" PRIu32, row->bytes);
    for (size_t i = 0; i < sizeof syncs / sizeof syncs[0]; i++)
        printf("  %8.1f %8.1f", (double)syncs[i]->p50_ns / 1e3, (double)syncs[i]->p99_ns / 1e3);
    printf("\n");
}

static void print_json(const struct mechanisms *row)
{
    printf("{\"bytes\": %" PRIu32 ", \"msync_p50_us\": %.2f, \"msync_p99_us\": %.2f"
           ", \"fdatasync_p50_us\": %.2f, \"fdatasync_p99_us\": %.2f"
           ", \"large_folios_p50_us\": %.2f, \"large_folios_p99_us\": %.2f}\n",
           row->bytes, (double)row->msync.p50_ns / 1e3, (double)row->msync.p99_ns / 1e3,
           (double)row->fdatasync.p50_ns / 1e3, (double)row->fdatasync.p99_ns / 1e3,
           (double)row->folios.p50_ns / 1e3, (double)row->folios.p99_ns / 1e3);
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    const char *folder = argc > 1 + json ? argv[1 + json] : ".";
    static const uint32_t sizes[] = {512, 4096, 65536, 1u << 20};
    if (!json) {
        printf("one sync, us: p50 and p99 of %u\n", SYNCS);
        printf("    bytes  msync, as the ring  pwrite + fdatasync  msync, large folios\n");
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mechanisms row = {
            .bytes = sizes[i],
            .msync = bench_msync(folder, BENCH_FILE_AS_THE_RING, sizes[i], SYNCS),
            .fdatasync = bench_fdatasync(folder, sizes[i], SYNCS),
            .folios = bench_msync(folder, BENCH_FILE_LARGE_FOLIOS, sizes[i], SYNCS),
        };
        if (json)
            print_json(&row);
        else
            print_text(&row);
        fflush(stdout);
    }
    return 0;
}
