/* coverage.c: see coverage.h. */
#include "tests/sim/coverage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"

static const char *const window_text[WINDOW_COUNT] = {
#define ROW(symbol, text) text,
    COVERAGE_WINDOWS(ROW)
#undef ROW
};

void coverage_crash(struct coverage *coverage, enum window window, enum sim_crash kind)
{
    CHECK((unsigned)window < WINDOW_COUNT);
    CHECK(kind == SIM_CRASH_PROCESS || kind == SIM_CRASH_MACHINE);
    coverage->crashes[window][kind]++;
}

void coverage_start(struct coverage *coverage, enum urn_code code,
                    const struct urn_start_report *report, const struct urn_error *error)
{
    coverage->starts++;
    if (code == URN_OK) {
        CHECK(report->recovery_case < RECOVERY_CASES_END);
        coverage->cases[report->recovery_case]++;
        return;
    }
    const char *named = strstr(error->text, "case D");
    if (named == NULL)
        return;
    int which = named[strlen("case D")] - '0';
    if (which > 0 && which < RECOVERY_CASES_END)
        coverage->cases[which]++;
}

bool coverage_print(const struct coverage *coverage)
{
    bool whole = true;
    printf("crash windows (process, machine):\n");
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        uint64_t process = coverage->crashes[i][SIM_CRASH_PROCESS];
        uint64_t machine = coverage->crashes[i][SIM_CRASH_MACHINE];
        bool visited = process > 0 && machine > 0;
        whole = whole && visited;
        printf("  %8" PRIu64 " %8" PRIu64 "  %s%s\n", process, machine, window_text[i],
               visited ? "" : "   <-- NOT VISITED");
    }
    printf("rows of the recovery table:\n ");
    for (unsigned i = 1; i < RECOVERY_CASES_END; i++) {
        whole = whole && coverage->cases[i] > 0;
        printf(" D%u %" PRIu64 "%s", i, coverage->cases[i],
               coverage->cases[i] > 0 ? "" : " <-- NOT VISITED");
    }
    printf("\n%" PRIu64 " snapshots counted, %" PRIu64 " failed, %" PRIu64 " laps\n",
           coverage->snapshots, coverage->snapshots_failed, coverage->laps);
    return whole;
}
