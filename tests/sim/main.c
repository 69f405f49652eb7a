/* main.c: the simulator: the whole engine over a system that fails, under an oracle's eyes.
 *
 *     test_sim [--fixed | --fresh] [--seeds FILE] [--seed S] [--runs N] [--only PART] [--verbose]
 *
 *   --fixed    seeds 1, 2, 3 ... and those of FILE (the default)
 *   --fresh    seeds that nobody has tried yet
 *   --seed S   begin with this seed; the parts but the histories take it too
 *   --runs N   so many random histories
 *   --only     systematic, full-ring, archive, wide or history; then coverage is not asked for
 *
 * The same seed of the same build does the same, call by call. A broken promise ends the run with
 * the command that repeats it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "tests/sim/archive.h"
#include "tests/sim/coverage.h"
#include "tests/sim/full_ring.h"
#include "tests/sim/scheduler.h"
#include "tests/sim/systematic.h"
#include "tests/sim/verdict.h"

#define RUNS_DEFAULT         2500u
#define CRASH_RECOVERIES_MIN 10000u
#define EXIT_USAGE           64

struct options {
    uint64_t seed;
    uint64_t runs;
    const char *seeds_file;
    const char *only;
    bool fresh;
};

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && end != text && *end == '\0';
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){.seed = 1, .runs = RUNS_DEFAULT};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--fixed") == 0) {
            options->fresh = false;
        } else if (strcmp(argv[i], "--fresh") == 0) {
            options->fresh = true;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            verdict_set_verbose();
        } else if (value == NULL) {
            return false;
        } else {
            i++;
            if (strcmp(argv[i - 1], "--seeds") == 0)
                options->seeds_file = value;
            else if (strcmp(argv[i - 1], "--only") == 0)
                options->only = value;
            else if (strcmp(argv[i - 1], "--seed") == 0 ? !parse_number(value, &options->seed)
                                                        : strcmp(argv[i - 1], "--runs") != 0 ||
                                                              !parse_number(value, &options->runs))
                return false;
        }
    }
    return true;
}

static bool wanted(const struct options *options, const char *part)
{
    return options->only == NULL || strcmp(options->only, part) == 0;
}

static void run_history(uint64_t seed, struct coverage *coverage)
{
    verdict_begin("--only history --seed %" PRIu64 " --runs 1", seed);
    scheduler_run_history(seed, coverage);
}

/* A seed a line; what follows a # is for people. False: the file cannot be read. */
static bool run_seeds_of_file(const char *path, struct coverage *coverage)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fprintf(stderr, "cannot open %s: %s\n", path, strerror(errno));
        return false;
    }
    char line[256];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "#\n")] = '\0';
        line[strcspn(line, " \t")] = '\0';
        uint64_t seed;
        if (parse_number(line, &seed))
            run_history(seed, coverage);
    }
    fclose(file);
    return true;
}

static bool run_parts(const struct options *options, struct coverage *coverage)
{
    if (wanted(options, "systematic")) {
        systematic_second_process(options->seed, coverage);
        systematic_damage_under(options->seed, coverage);
        systematic_damage(options->seed, coverage);
        systematic_faults(options->seed, coverage);
        systematic_crashes(options->seed, coverage);
        systematic_steps(options->seed, coverage);
    }
    if (wanted(options, "full-ring"))
        full_ring_run(options->seed, coverage);
    if (wanted(options, "archive"))
        archive_run(options->seed, coverage);
    if (wanted(options, "wide"))
        systematic_wide(options->seed, coverage);
    if (!wanted(options, "history"))
        return true;
    if (options->seeds_file != NULL && !run_seeds_of_file(options->seeds_file, coverage))
        return false;
    for (uint64_t run = 0; run < options->runs; run++)
        run_history(options->seed + run, coverage);
    return true;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!parse_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: %s [--fixed | --fresh] [--seeds FILE] [--seed S] [--runs N]"
                " [--only systematic|full-ring|archive|wide|history] [--verbose]\n",
                argv[0]);
        return EXIT_USAGE;
    }
    if (options.fresh && getrandom(&options.seed, sizeof options.seed, 0) != sizeof options.seed)
        return 1;
    printf("seed %" PRIu64 "\n", options.seed);
    fflush(stdout);

    verdict_catch_aborts();
    struct coverage coverage = {0};
    double began = seconds_now();
    if (!run_parts(&options, &coverage))
        return 1;
    double took = seconds_now() - began;
    bool whole = coverage_print(&coverage, options.only == NULL);
    printf("%" PRIu64 " crash-recoveries, %" PRIu64 " starts, %" PRIu64 " draws, %" PRIu64
           " faults, %" PRIu64 " damages (%" PRIu64
           " refused) in %.1f s: %.0f crash-recoveries/s\n",
           coverage.starts_after_crash, coverage.starts, coverage.draws, coverage.faults,
           coverage.damages, coverage.refusals, took, (double)coverage.starts_after_crash / took);
    if (options.only != NULL)
        return 0;
    /* The fixed seeds visit every window, or the run fails; what a fresh seed happens to leave out is luck. */
    if (!whole)
        fprintf(stderr, "a crash window or a row of the recovery table was not visited\n");
    bool enough = coverage.starts_after_crash >= CRASH_RECOVERIES_MIN;
    if (!enough)
        fprintf(stderr, "fewer than %u crash-recoveries\n", CRASH_RECOVERIES_MIN);
    return (whole || options.fresh) && enough ? 0 : 1;
}
