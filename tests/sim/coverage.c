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

static const char *const stage_text[STAGE_COUNT] = {
#define ROW(symbol, text) text,
    COVERAGE_STAGES(ROW)
#undef ROW
};

static const char *const subject_text[SUBJECT_COUNT] = {
#define ROW(symbol, text) text,
    COVERAGE_SUBJECTS(ROW)
#undef ROW
};

static const char *const op_text[URN_LOOKUP + 1] = {
    [URN_DRAW] = "draw",   [URN_STATE] = "state",       [URN_CATALOG] = "catalog",
    [URN_POOLS] = "pools", [URN_SNAPSHOT] = "snapshot", [URN_UPDATE] = "update",
    [URN_ADD] = "add",     [URN_CREATE] = "create",     [URN_CLOSE] = "close",
    [URN_OPEN] = "open",   [URN_RELOAD] = "reload",     [URN_LOOKUP] = "lookup",
};

/* The answers that each kind of request can have. */
#define ANSWER(code) (1ull << URN_##code)
#define ANY_CHANGE   (ANSWER(OK) | ANSWER(BUSY) | ANSWER(READONLY) | ANSWER(INDOUBT))
static const uint64_t answers_due[URN_LOOKUP + 1] = {
    [URN_DRAW] = ANY_CHANGE | ANSWER(NOPOOL) | ANSWER(CLOSED) | ANSWER(NOSTOCK) | ANSWER(BADARG),
    [URN_STATE] = ANSWER(OK) | ANSWER(NOPOOL) | ANSWER(BUSY) | ANSWER(READONLY),
    [URN_CATALOG] = ANSWER(OK) | ANSWER(NOPOOL) | ANSWER(BUSY) | ANSWER(READONLY),
    [URN_POOLS] = ANSWER(OK) | ANSWER(BUSY) | ANSWER(READONLY),
    [URN_SNAPSHOT] = ANSWER(OK) | ANSWER(BUSY) | ANSWER(READONLY) | ANSWER(IO),
    [URN_UPDATE] = ANY_CHANGE | ANSWER(NOPOOL) | ANSWER(NOITEM) | ANSWER(CONFLICT) | ANSWER(BADARG),
    [URN_ADD] = ANY_CHANGE | ANSWER(NOPOOL) | ANSWER(EXISTS) | ANSWER(CONFLICT) | ANSWER(BADARG) |
                ANSWER(TOOBIG),
    [URN_CREATE] = ANY_CHANGE | ANSWER(EXISTS) | ANSWER(BADARG) | ANSWER(TOOBIG),
    [URN_CLOSE] = ANY_CHANGE | ANSWER(NOPOOL) | ANSWER(CONFLICT),
    [URN_OPEN] = ANY_CHANGE | ANSWER(NOPOOL) | ANSWER(CONFLICT),
    [URN_RELOAD] = ANY_CHANGE | ANSWER(BADARG) | ANSWER(TOOBIG),
    [URN_LOOKUP] = ANSWER(OK) | ANSWER(NOTFOUND) | ANSWER(BADARG) | ANSWER(BUSY) |
                   ANSWER(READONLY) | ANSWER(IO),
};

void coverage_crash(struct coverage *coverage, enum window window, enum sim_crash kind)
{
    CHECK((unsigned)window < WINDOW_COUNT);
    CHECK(kind == SIM_CRASH_PROCESS || kind == SIM_CRASH_MACHINE);
    coverage->crashes[window][kind]++;
}

void coverage_crash_group(struct coverage *coverage, enum stage stage, uint32_t subjects,
                          enum sim_crash kind)
{
    for (unsigned subject = 0; subject < SUBJECT_COUNT; subject++)
        coverage->group_crashes[stage][subject][kind] += subjects >> subject & 1;
}

void coverage_answer(struct coverage *coverage, const struct urn_request *collected)
{
    coverage->answers[collected->op][collected->code]++;
    for (unsigned kind = 0; collected->op == URN_RELOAD && kind < URN_CHANGE_KINDS; kind++)
        coverage->changes_told[kind] += collected->kinds[kind];
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

/* ---- the tables ------------------------------------------------------------------------------ */

static bool print_windows(const struct coverage *coverage, const char *mark)
{
    bool whole = true;
    printf("crash windows (process, machine):\n");
    for (unsigned i = 0; i < WINDOW_COUNT; i++) {
        uint64_t process = coverage->crashes[i][SIM_CRASH_PROCESS];
        uint64_t machine = coverage->crashes[i][SIM_CRASH_MACHINE];
        bool visited = process > 0 && machine > 0;
        whole = whole && visited;
        printf("  %8" PRIu64 " %8" PRIu64 "  %s%s\n", process, machine, window_text[i],
               visited ? "" : mark);
    }
    return whole;
}

static bool print_groups(const struct coverage *coverage, const char *mark)
{
    bool whole = true;
    printf("crashes of groups, by what they hold (process, machine):\n ");
    for (unsigned subject = 0; subject < SUBJECT_COUNT; subject++)
        printf(" %17s", subject_text[subject]);
    printf("\n");
    for (unsigned stage = 0; stage < STAGE_COUNT; stage++) {
        bool visited = true;
        printf(" ");
        for (unsigned subject = 0; subject < SUBJECT_COUNT; subject++) {
            const uint64_t *crashes = coverage->group_crashes[stage][subject];
            visited = visited && crashes[SIM_CRASH_PROCESS] > 0 && crashes[SIM_CRASH_MACHINE] > 0;
            printf(" %8" PRIu64 " %8" PRIu64, crashes[SIM_CRASH_PROCESS],
                   crashes[SIM_CRASH_MACHINE]);
        }
        printf("  %s%s\n", stage_text[stage], visited ? "" : mark);
        whole = whole && visited;
    }
    return whole;
}

static bool print_answers(const struct coverage *coverage, const char *mark)
{
    static const char *const kind_text[URN_CHANGE_KINDS] = {
        "new pool", "new item", "weight", "conflict", "item not in file", "pool not in file"};
    bool whole = true;
    printf("answers:\n");
    for (unsigned op = 0; op <= URN_LOOKUP; op++) {
        printf("  %-8s", op_text[op]);
        for (unsigned code = 0; code < URN_CODE_COUNT; code++) {
            const uint64_t answers = coverage->answers[op][code];
            const bool missed = (answers_due[op] >> code & 1) != 0 && answers == 0;
            if (answers > 0 || missed)
                printf(" %s %" PRIu64 "%s", urn_code_text((enum urn_code)code), answers,
                       missed ? mark : "");
            whole = whole && !missed;
        }
        printf("\n");
    }
    static const char *const lookup_text[COVERAGE_LOOKUPS] = {
        "found",         "of before the start",  "older",         "left out",
        "not yet given", "in the archive alone", "in a gap of it"};
    printf("  lookups:");
    for (unsigned kind = 0; kind < COVERAGE_LOOKUPS; kind++) {
        const bool visited = coverage->lookups[kind] > 0;
        printf("%s %" PRIu64 " %s%s", kind == 0 ? "" : ",", coverage->lookups[kind],
               lookup_text[kind], visited ? "" : mark);
        whole = whole && visited;
    }
    printf("\n");
    printf("  reloads told of");
    for (unsigned kind = 0; kind < URN_CHANGE_KINDS; kind++) {
        const bool visited = coverage->changes_told[kind] > 0;
        printf("%s %" PRIu64 " %s%s", kind == 0 ? "" : ",", coverage->changes_told[kind],
               kind_text[kind], visited ? "" : mark);
        whole = whole && visited;
    }
    printf("\n");
    return whole;
}

static bool print_cases(const struct coverage *coverage, const char *mark)
{
    bool whole = true;
    printf("rows of the recovery table:\n ");
    for (unsigned i = 1; i < RECOVERY_CASES_END; i++) {
        whole = whole && coverage->cases[i] > 0;
        printf(" D%u %" PRIu64 "%s", i, coverage->cases[i], coverage->cases[i] > 0 ? "" : mark);
    }
    printf("\n");
    return whole;
}

bool coverage_print(const struct coverage *coverage, bool marks)
{
    const char *mark = marks ? " <-- NOT VISITED" : "";
    bool whole = print_windows(coverage, mark);
    whole = print_groups(coverage, mark) && whole;
    whole = print_answers(coverage, mark) && whole;
    whole = print_cases(coverage, mark) && whole;
    printf("%" PRIu64 " snapshots counted, %" PRIu64 " failed, %" PRIu64 " laps; %" PRIu64
           " lives in mode commit, %" PRIu64 " in interval, %" PRIu64 " in os\n",
           coverage->snapshots, coverage->snapshots_failed, coverage->laps,
           coverage->lives[URN_WAL_COMMIT], coverage->lives[URN_WAL_INTERVAL],
           coverage->lives[URN_WAL_OS]);
    printf("%" PRIu64 " segments archived, %" PRIu64 " in gaps, %" PRIu64 " attempts failed\n",
           coverage->archived, coverage->archive_gaps, coverage->archive_failures);
    return whole;
}
