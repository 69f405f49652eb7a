/* test_prometheus.c: figures of `info` as metrics: tools/urn/prometheus.h.
 *
 * What is printed is compared whole with tests/golden (URN_GOLDEN_UPDATE=1 writes it anew). That the
 * exposition of a real server is well formed and has every figure is for tests/e2e/test_prometheus.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/golden.h"
#include "tools/urn/prometheus.h"

#define TEXT(string)                                                                               \
    {                                                                                              \
        .type = URNCLIENT_TEXT, .text = {(string), sizeof(string) - 1 }                            \
    }
#define UINT(value)                                                                                \
    {                                                                                              \
        .type = URNCLIENT_UINT, .number = (value)                                                  \
    }
#define MAP(array)                                                                                 \
    {                                                                                              \
        .type = URNCLIENT_MAP, .count = sizeof(array) / sizeof((array)[0]), .pairs = (array)       \
    }

static void assert_printed(const char *golden, struct urnclient_value info)
{
    char *printed = NULL;
    size_t length;
    FILE *out = open_memstream(&printed, &length);
    prometheus_print(out, &info);
    fclose(out);
    assert_golden(golden, printed);
    free(printed);
}

static void known_figures_have_names_units_and_explanations(void **state)
{
    (void)state;
    static const struct urnclient_pair ring[] = {
        {TEXT("size_bytes"), UINT(536870912)},
        {TEXT("room_bytes"), UINT(469762048)},
    };
    static const struct urnclient_pair counters[] = {
        {TEXT("draws"), UINT(9007199254740991u)},
        {TEXT("log_bytes"), UINT(4376)},
        {TEXT("snapshots"), UINT(3)},
        {TEXT("snapshots_failed"), UINT(0)},
    };
    static const struct urnclient_pair draw[] = {
        {TEXT("count"), UINT(12)},      {TEXT("p50_us"), UINT(105)},      {TEXT("p99_us"), UINT(0)},
        {TEXT("p999_us"), UINT(12345)}, {TEXT("max_us"), UINT(60000001)},
    };
    static const struct urnclient_pair sync[] = {
        {TEXT("count"), UINT(7)}, {TEXT("mean_us"), UINT(50)}, {TEXT("total_us"), UINT(350)}};
    static const struct urnclient_pair latencies[] = {
        {TEXT("draw"), MAP(draw)},
        {TEXT("sync"), MAP(sync)},
    };
    static const struct urnclient_pair info[] = {
        {TEXT("version"), TEXT("0.1.0")},
        {TEXT("mode"), TEXT("commit")},
        {TEXT("uptime_s"), UINT(86400)},
        {TEXT("durable_lsn"), UINT(4376)},
        {TEXT("acknowledged_lsn"), UINT(4480)},
        {TEXT("unsynced_bytes"), UINT(104)},
        {TEXT("unsynced_us"), UINT(10500)},
        {TEXT("failure"), {.type = URNCLIENT_NIL}},
        {TEXT("snapshot_failure"), TEXT("cannot create data/x: No space left on device")},
        {TEXT("ring"), MAP(ring)},
        {TEXT("counters"), MAP(counters)},
        {TEXT("latencies"), MAP(latencies)},
    };
    assert_printed("urn-info-prometheus.txt", (struct urnclient_value)MAP(info));
}

/* Whatever a later server, or one that is none of ours, may answer. */
static void unknown_figures_appear_by_themselves(void **state)
{
    (void)state;
    static const struct urnclient_pair counters[] = {
        {TEXT("lunches"), UINT(3)},
        {TEXT("pauses_us"), UINT(1500000)},
    };
    static const struct urnclient_pair deep[] = {
        {TEXT("pause_max_ms"), UINT(7)},
        {TEXT("io"), TEXT("io_uring")},
        {TEXT("verified"), {.type = URNCLIENT_BOOL, .truth = true}},
        {TEXT("below"), {.type = URNCLIENT_NEGATIVE, .negative = -1250}},
        {TEXT("below_us"), {.type = URNCLIENT_NEGATIVE, .negative = -1250}},
        {TEXT("share"), {.type = URNCLIENT_DOUBLE, .real = 0.25}},
        {TEXT("never"), {.type = URNCLIENT_NIL}},
        {TEXT("list"), {.type = URNCLIENT_ARRAY}},
    };
    static const struct urnclient_pair info[] = {
        {TEXT("version"), TEXT("a \"quoted\" \\ text\nof \xff two lines")},
        {TEXT("failure"), TEXT("segment-0001: cannot sync")},
        {TEXT("counters"), MAP(counters)},
        {TEXT("snapshots"), MAP(deep)},
        {TEXT("no name{} 1\n"), UINT(1)},
        {UINT(5), UINT(5)},
    };
    assert_printed("urn-info-prometheus-unknown.txt", (struct urnclient_value)MAP(info));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_figures_have_names_units_and_explanations),
        cmocka_unit_test(unknown_figures_appear_by_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
