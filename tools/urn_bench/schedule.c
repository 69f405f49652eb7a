/* schedule.c: see schedule.h. Products of calls and nanoseconds take up to 94 bits. */
#include "tools/urn_bench/schedule.h"

#include "engine/check.h"

#define NS_PER_S 1000000000u

__extension__ typedef unsigned __int128 wide;

uint64_t schedule_due_ns(const struct schedule *schedule, uint64_t call)
{
    CHECK(schedule->rate >= 1 && schedule->rate <= SCHEDULE_RATE_MAX);
    CHECK(schedule->share < schedule->shares);
    wide of_all = (wide)call * schedule->shares + schedule->share;
    return schedule->start_ns + (uint64_t)(of_all * NS_PER_S / schedule->rate);
}

/* n is due at the latest after `elapsed` when floor(n * 1 s / rate) <= elapsed, that is when
 * n * 1 s < (elapsed + 1) * rate: as many n as that product divided by 1 s, rounded up. */
uint64_t schedule_due_calls(const struct schedule *schedule, uint64_t now_ns)
{
    if (now_ns < schedule->start_ns)
        return 0;
    wide product = ((wide)(now_ns - schedule->start_ns) + 1) * schedule->rate;
    wide of_all = (product + NS_PER_S - 1) / NS_PER_S;
    if (of_all <= schedule->share)
        return 0;
    return (uint64_t)((of_all - schedule->share + schedule->shares - 1) / schedule->shares);
}
