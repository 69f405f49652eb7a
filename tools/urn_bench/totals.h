/* totals.h: what a load has counted: one for each thread, added up in the end. */
#ifndef URN_TOOLS_URN_BENCH_TOTALS_H
#define URN_TOOLS_URN_BENCH_TOTALS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/histogram.h"
#include "tools/urn_bench/ids.h"

#define TOTALS_CODES_MAX  16u
#define TOTALS_CODE_BYTES 16u
#define TOTALS_TEXT_BYTES 200u

/* Error replies of one code. */
struct error_count {
    char code[TOTALS_CODE_BYTES]; /* "?" for errors without one, and for those of further codes */
    char text[TOTALS_TEXT_BYTES]; /* of the first: code and words, printable */
    uint64_t count;
};

/* Zeroed: nothing yet. What is not said to be otherwise counts measured calls only. */
struct totals {
    uint64_t calls;         /* answered with a result */
    uint64_t busy;          /* answered with BUSY */
    uint64_t errors;        /* answered with another error */
    uint64_t warm_up_calls; /* answered, whatever with, and not measured */
    uint64_t unanswered;    /* no reply came before the load failed */
    uint64_t held_back;     /* open loop: sent more than a millisecond late */
    uint64_t failed_draws;
    uint64_t bytes_sent; /* of all calls */
    uint64_t bytes_received;
    uint64_t disordered; /* all calls: ids lower than one that was known when the call was sent */
    uint64_t last_reply_ns;      /* of the monotonic clock */
    struct histogram latency_ns; /* of calls answered with a result */
    struct error_count codes[TOTALS_CODES_MAX];
    uint32_t code_count;
    struct ids ids; /* of all calls, when they are checked */
};

/* Counts an error reply; text need not be terminated. BUSY is counted apart. */
void totals_add_error(struct totals *totals, const char *text, uint32_t length);

/* Adds another one's. False: no memory for the ids. */
bool totals_merge(struct totals *totals, const struct totals *other);

void totals_free(struct totals *totals);

#endif
