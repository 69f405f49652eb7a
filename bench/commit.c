/* commit.c: what one sync costs, by size and mechanism, and the trap of large folios.
 *
 *     bench-commit [--json] [--msync BYTES] [FOLDER]
 *
 * FOLDER: on the disk to be measured; default: the current one. --json: a JSON object a line instead of a
 * table; --msync: only an msync of so many bytes.
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
    bool msync_only;
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
    printf("{\"bytes\": %" PRIu32 ", \"msync_p50_us\": %.2f, \"msync_p99_us\": %.2f", row->bytes,
           (double)row->msync.p50_ns / 1e3, (double)row->msync.p99_ns / 1e3);
    if (row->msync_only) {
        printf("}\n");
        return;
    }
    printf(", \"fdatasync_p50_us\": %.2f, \"fdatasync_p99_us\": %.2f"
           ", \"large_folios_p50_us\": %.2f, \"large_folios_p99_us\": %.2f}\n",
           (double)row->fdatasync.p50_ns / 1e3, (double)row->fdatasync.p99_ns / 1e3,
           (double)row->folios.p50_ns / 1e3, (double)row->folios.p99_ns / 1e3);
}

static void measure(const char *folder, uint32_t bytes, bool json)
{
    struct mechanisms row = {
        .bytes = bytes,
        .msync = bench_msync(folder, BENCH_FILE_AS_THE_RING, bytes, SYNCS),
        .fdatasync = bench_fdatasync(folder, bytes, SYNCS),
        .folios = bench_msync(folder, BENCH_FILE_LARGE_FOLIOS, bytes, SYNCS),
    };
    if (json)
        print_json(&row);
    else
        print_text(&row);
    fflush(stdout);
}

static void measure_msync(const char *folder, uint32_t bytes, bool json)
{
    struct mechanisms row = {.bytes = bytes,
                             .msync = bench_msync(folder, BENCH_FILE_AS_THE_RING, bytes, SYNCS),
                             .msync_only = true};
    if (json)
        print_json(&row);
    else
        printf("msync of %" PRIu32 " bytes: p50 %.1f us, p99 %.1f us\n", bytes,
               (double)row.msync.p50_ns / 1e3, (double)row.msync.p99_ns / 1e3);
}

int main(int argc, char **argv)
{
    static const uint32_t sizes[] = {512, 4096, 65536, 1u << 20};
    bool json = false;
    uint32_t msync_bytes = 0;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--json") == 0)
            json = true;
        else if (strcmp(argv[at], "--msync") == 0 && at + 1 < argc)
            msync_bytes = (uint32_t)strtoul(argv[++at], NULL, 10);
        else
            bench_require(false, "usage: bench-commit [--json] [--msync BYTES] [FOLDER]");
    }
    const char *folder = at < argc ? argv[at] : ".";
    if (msync_bytes > 0) {
        measure_msync(folder, msync_bytes, json);
        return 0;
    }
    if (!json) {
        printf("one sync, us: p50 and p99 of %u\n", SYNCS);
        printf("    bytes  msync, as the ring  pwrite + fdatasync  msync, large folios\n");
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        measure(folder, sizes[i], json);
    return 0;
}
