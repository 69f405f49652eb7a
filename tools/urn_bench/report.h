/* report.h: what came of a load, for people and for programs. */
#ifndef URN_TOOLS_URN_BENCH_REPORT_H
#define URN_TOOLS_URN_BENCH_REPORT_H

#include <stdio.h>

#include "tools/urn_bench/options.h"
#include "tools/urn_bench/server_view.h"
#include "tools/urn_bench/totals.h"

struct report {
    const struct options *options;
    const struct totals *totals;
    uint32_t pool_count;
    const char *first_pool; /* NULL: ping */
    double seconds;         /* from the begin of the measurement to the last reply */
    struct server_view before;
    struct server_view after;
    bool interrupted;
    const char *failure; /* why the load ended before its time; NULL: it did not */
};

/* At most 80 columns wide, as long as names are short. */
void report_print_text(const struct report *report, FILE *out);

/* One object on one line. Keys may be added; those that are there stay. */
void report_print_json(const struct report *report, FILE *out);

/* A rate of so many in so long; 0 when there was no time. */
double report_rate(uint64_t count, double seconds);

#endif
