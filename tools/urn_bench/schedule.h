/* schedule.h: when the calls of an open loop are due.
 *
 * Calls arrive at a fixed rate whatever the server does, as those of people do. Call n is due
 * floor(n * 1 s / rate) behind the start, computed from n alone, so that nothing drifts; its latency
 * is measured from then, however late it could be sent. That is how a pause of the server shows in
 * every call it held up, and not only in the one that was under way ("coordinated omission").
 *
 * Several threads share a schedule: thread s of n has the calls s, s + n, s + 2n, ...
 *
 * Pure; any thread.
 */
#ifndef URN_TOOLS_URN_BENCH_SCHEDULE_H
#define URN_TOOLS_URN_BENCH_SCHEDULE_H

#include <stdint.h>

#define SCHEDULE_RATE_MAX 1000000000u /* calls a second */

struct schedule {
    uint64_t start_ns;
    uint64_t rate;   /* calls a second, of all shares together; 1 to SCHEDULE_RATE_MAX */
    uint32_t share;  /* which of them is meant, below shares */
    uint32_t shares; /* 1 or more */
};

/* When the share's call of this number (from 0) is due. Good for 292 years of calls. */
uint64_t schedule_due_ns(const struct schedule *schedule, uint64_t call);

/* How many of the share's calls are due at now_ns: those whose due time is not later. */
uint64_t schedule_due_calls(const struct schedule *schedule, uint64_t now_ns);

#endif
