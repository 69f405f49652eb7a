/* selection.c: what a draw costs, by size of the catalog, beside other ways to do the same.
 *
 * Every contender draws from the same items, keeps stock and takes what has run out of the odds,
 * and uses the engine's own random numbers:
 *
 *     urn        pool_draw(): the 16-way tree, in requests of 1000 draws on each of its paths,
 *                and in requests of one draw on the best of them
 *     Fenwick    a binary indexed tree of in-stock weights and a binary descent
 *     linear     running sums item by item, as the definition has it
 *
 * Repetitions go round all contenders, so that a slow moment of the machine meets all alike; before
 * it is measured, each runs for a while, so that it finds the caches as it leaves them, not as the
 * one before did. Figures are medians. The row of coupons draws a million single items until none
 * is left (linear: the first few).
 *
 *     bench-selection [--json] [repetitions]     --json: a JSON object a line instead of a table
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "engine/pool.h"

#define REPETITIONS_MAX 101u
#define REQUEST_DRAWS   1000u
#define RUN_DRAWS       300000u /* of a fast contender in one repetition */
#define WARMING_DRAWS   100000u
#define SCANNED_ITEMS   50000000u /* by the linear one */
#define COUPONS         1000000u

/* ---- the catalogs ---------------------------------------------------------------------------- */

struct workload {
    const char *name;
    int64_t quantity;
    uint32_t items;
    bool until_dry;
    struct urn_pool *pool;
    uint32_t *outcomes; /* of one run */
    /* the peers' own */
    uint64_t *weight;
    uint64_t *left;
    uint64_t *fenwick; /* [1, items]: sums of in-stock weights */
    uint64_t peer_weight_in_stock;
    uint32_t fenwick_step; /* the highest power of two <= items */
};

static void *must_allocate(uint64_t count, size_t bytes)
{
    void *memory = calloc(count, bytes);
    CHECK(memory != NULL);
    return memory;
}

static void fenwick_add(struct workload *workload, uint32_t item, uint64_t change)
{
    for (uint32_t i = item + 1; i <= workload->items; i += i & (0 - i))
        workload->fenwick[i] += change;
}

static void workload_make(struct workload *workload)
{
    struct urn_error error;
    CHECK(pool_make(0, "bench", 5, MAX_ITEMS_MAX, &workload->pool, &error) == URN_OK);
    workload->weight = must_allocate(workload->items, sizeof(uint64_t));
    workload->left = must_allocate(workload->items, sizeof(uint64_t));
    workload->fenwick = must_allocate(workload->items + 1, sizeof(uint64_t));
    workload->outcomes = must_allocate(COUPONS + RUN_DRAWS, sizeof(uint32_t));
    workload->fenwick_step = 1u << (31 - __builtin_clz(workload->items));
    for (uint32_t i = 0; i < workload->items; i++) {
        char id[32];
        int length = snprintf(id, sizeof id, "item-%" PRIu32, i);
        workload->weight[i] = 1 + i * 7919u % 100;
        workload->left[i] =
            workload->quantity == URN_UNLIMITED ? UINT64_MAX : (uint64_t)workload->quantity;
        workload->peer_weight_in_stock += workload->weight[i];
        fenwick_add(workload, i, workload->weight[i]);
        CHECK(pool_add(workload->pool, id, (uint32_t)length, workload->quantity,
                       workload->weight[i], 0, &error) == URN_OK);
    }
}

static void workload_free(struct workload *workload)
{
    pool_free(workload->pool);
    free(workload->weight);
    free(workload->left);
    free(workload->fenwick);
    free(workload->outcomes);
}

/* ---- the contenders -------------------------------------------------------------------------- */

struct contender {
    const char *heading;
    void (*draw)(struct workload *workload, struct random_source *random,
                 const struct contender *contender, uint32_t draws);
    void (*undo)(struct workload *workload, uint32_t draws);
    uint32_t request_draws;
    enum selector_path path;
};

static void urn_draw(struct workload *workload, struct random_source *random,
                     const struct contender *contender, uint32_t draws)
{
    CHECK(pool_use_selector_path(workload->pool, contender->path));
    for (uint32_t done = 0; done < draws; done += contender->request_draws)
        CHECK(pool_draw(workload->pool, random, workload->outcomes + done,
                        contender->request_draws) == 0);
}

static void urn_undo(struct workload *workload, uint32_t draws)
{
    pool_revert(workload->pool, workload->outcomes, draws);
}

static void peer_stage(struct workload *workload, uint32_t item)
{
    if (--workload->left[item] == 0) {
        workload->peer_weight_in_stock -= workload->weight[item];
        fenwick_add(workload, item, 0 - workload->weight[item]);
    }
}

static void peer_undo(struct workload *workload, uint32_t draws)
{
    for (uint32_t i = 0; i < draws; i++)
        if (workload->left[workload->outcomes[i]]++ == 0) {
            workload->peer_weight_in_stock += workload->weight[workload->outcomes[i]];
            fenwick_add(workload, workload->outcomes[i], workload->weight[workload->outcomes[i]]);
        }
}

static void fenwick_draw(struct workload *workload, struct random_source *random,
                         const struct contender *contender, uint32_t draws)
{
    (void)contender;
    for (uint32_t i = 0; i < draws; i++) {
        uint64_t number = random_below(random, workload->peer_weight_in_stock);
        uint32_t item = 0;
        for (uint32_t step = workload->fenwick_step; step > 0; step >>= 1)
            if (item + step <= workload->items && workload->fenwick[item + step] <= number) {
                item += step;
                number -= workload->fenwick[item];
            }
        workload->outcomes[i] = item;
        peer_stage(workload, item);
    }
}

static void linear_draw(struct workload *workload, struct random_source *random,
                        const struct contender *contender, uint32_t draws)
{
    (void)contender;
    for (uint32_t i = 0; i < draws; i++) {
        uint64_t number = random_below(random, workload->peer_weight_in_stock);
        uint32_t item = 0;
        for (uint64_t sum = 0;; item++) {
            sum += workload->left[item] > 0 ? workload->weight[item] : 0;
            if (sum > number)
                break;
        }
        workload->outcomes[i] = item;
        peer_stage(workload, item);
    }
}

static const struct contender contenders[] = {
    {"urn avx512", urn_draw, urn_undo, REQUEST_DRAWS, SELECTOR_AVX512},
    {"urn avx2", urn_draw, urn_undo, REQUEST_DRAWS, SELECTOR_AVX2},
    {"urn scalar", urn_draw, urn_undo, REQUEST_DRAWS, SELECTOR_SCALAR},
    {"urn by one", urn_draw, urn_undo, 1, SELECTOR_PATHS}, /* the best path: see best_path() */
    {"Fenwick", fenwick_draw, peer_undo, 1, SELECTOR_SCALAR},
    {"linear", linear_draw, peer_undo, 1, SELECTOR_SCALAR},
};

#define CONTENDERS (sizeof contenders / sizeof contenders[0])

/* ---- measuring ------------------------------------------------------------------------------- */

static bool path_is_here(enum selector_path path)
{
    struct selector selector;
    selector_init(&selector);
    bool here = selector_use_path(&selector, path);
    selector_free(&selector);
    return here;
}

static enum selector_path best_path(void)
{
    enum selector_path path = SELECTOR_PATHS - 1;
    while (!path_is_here(path))
        path--;
    return path;
}

static uint32_t draws_of(const struct workload *workload, const struct contender *contender)
{
    if (contender->draw == linear_draw && SCANNED_ITEMS / workload->items < RUN_DRAWS)
        return SCANNED_ITEMS / workload->items;
    return workload->until_dry ? COUPONS : RUN_DRAWS;
}

/* Nanoseconds a draw, of one run that is undone afterwards; 0 where this processor cannot. */
static double measure(struct workload *workload, struct random_source *random, size_t which)
{
    struct contender contender = contenders[which];
    if (contender.path == SELECTOR_PATHS)
        contender.path = best_path();
    if (!path_is_here(contender.path))
        return 0;
    uint32_t draws = draws_of(workload, &contender);
    uint32_t warming = draws >= WARMING_DRAWS ? WARMING_DRAWS : draws;
    contender.draw(workload, random, &contender, warming);
    contender.undo(workload, warming);
    uint64_t begin_ns = os_monotonic_ns(random->os);
    contender.draw(workload, random, &contender, draws);
    uint64_t end_ns = os_monotonic_ns(random->os);
    contender.undo(workload, draws);
    return (double)(end_ns - begin_ns) / draws;
}

static int compare_doubles(const void *a, const void *b)
{
    double left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

static double median(double *figures, uint32_t count)
{
    qsort(figures, count, sizeof *figures, compare_doubles);
    return figures[count / 2];
}

/* The medians, 0 where this processor cannot. */
static void print_row_text(const char *name, const double ns_per_draw[CONTENDERS])
{
    printf("%-24s", name);
    for (size_t which = 0; which < CONTENDERS; which++) {
        if (ns_per_draw[which] == 0)
            printf("%12s", "-");
        else
            printf(ns_per_draw[which] < 1000 ? "%12.1f" : "%12.0f", ns_per_draw[which]);
    }
    printf("\n");
}

static void print_row_json(const char *name, const double ns_per_draw[CONTENDERS])
{
    printf("{\"items\": \"%s\"", name);
    for (size_t which = 0; which < CONTENDERS; which++)
        if (ns_per_draw[which] != 0)
            printf(", \"%s\": %.2f", contenders[which].heading, ns_per_draw[which]);
    printf("}\n");
}

static void print_workload(struct workload *workload, struct random_source *random,
                           uint32_t repetitions, bool json)
{
    static double figures[CONTENDERS][REPETITIONS_MAX];
    double medians[CONTENDERS];
    workload_make(workload);
    for (uint32_t repetition = 0; repetition < repetitions; repetition++)
        for (size_t which = 0; which < CONTENDERS; which++)
            figures[which][repetition] = measure(workload, random, which);
    for (size_t which = 0; which < CONTENDERS; which++)
        medians[which] = median(figures[which], repetitions);
    if (json)
        print_row_json(workload->name, medians);
    else
        print_row_text(workload->name, medians);
    fflush(stdout);
    pool_check(workload->pool);
    workload_free(workload);
}

/* The random numbers by themselves, which every figure in the table contains. */
static void print_random(struct random_source *random, uint32_t repetitions, bool json)
{
    static double of_source[REPETITIONS_MAX], of_below[REPETITIONS_MAX];
    const uint32_t words = 1000000;
    uint8_t *block = must_allocate(RANDOM_BLOCK_BYTES, 1);
    volatile uint64_t sink = 0;
    for (uint32_t repetition = 0; repetition < repetitions; repetition++) {
        uint64_t begin_ns = os_monotonic_ns(random->os);
        for (uint32_t i = 0; i < words / (RANDOM_BLOCK_BYTES / RANDOM_WORD_BYTES); i++)
            os_random(random->os, block, RANDOM_BLOCK_BYTES);
        uint64_t middle_ns = os_monotonic_ns(random->os);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < words; i++)
            sum += random_below(random, 1000003);
        sink = sum;
        uint64_t end_ns = os_monotonic_ns(random->os);
        of_source[repetition] = (double)(middle_ns - begin_ns) / words;
        of_below[repetition] = (double)(end_ns - middle_ns) / words;
    }
    (void)sink;
    printf(json ? "{\"source_ns\": %.2f, \"below_ns\": %.2f}\n"
                : "the source, 8 bytes: %.1f ns; one random_below(): %.1f ns\n\n",
           median(of_source, repetitions), median(of_below, repetitions));
    free(block);
}

static void print_headings(void)
{
    printf("%-24s", "items");
    for (size_t which = 0; which < CONTENDERS; which++)
        printf("%12s", contenders[which].heading);
    printf("\n");
}

int main(int argc, char **argv)
{
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    long repetitions = argc > 1 + json ? strtol(argv[1 + json], NULL, 10) : 9;
    if (argc > 2 + json || repetitions < 1 || repetitions > (long)REPETITIONS_MAX) {
        fprintf(stderr,
                "usage: bench-selection [--json] [repetitions: 1 to %u, 9 if none are given]\n",
                REPETITIONS_MAX);
        return 64;
    }
    struct workload workloads[] = {
        {"6 unlimited", URN_UNLIMITED, 6, false},
        {"6 limited", 1ll << 40, 6, false},
        {"1,000 unlimited", URN_UNLIMITED, 1000, false},
        {"1,000 limited", 1ll << 40, 1000, false},
        {"1,000,000 unlimited", URN_UNLIMITED, 1000000, false},
        {"1,000,000 limited", 1ll << 40, 1000000, false},
        {"1,000,000 coupons", 1, COUPONS, true},
    };
    struct random_source random;
    random_init(&random, os_default());
    if (!json)
        printf(
            "nanoseconds a draw, random number included; medians of %ld; urn in requests of %u\n",
            repetitions, REQUEST_DRAWS);
    print_random(&random, (uint32_t)repetitions, json);
    if (!json)
        print_headings();
    for (size_t i = 0; i < sizeof workloads / sizeof workloads[0]; i++)
        print_workload(&workloads[i], &random, (uint32_t)repetitions, json);
    return 0;
}
