/* test_urn_bench.c: the load generator: its command line, the open loop's arithmetic, ids, counts, requests,
 * the slots of a connection. The reader of replies has test_reply.c; whole runs are in
 * tests/e2e/test_bench.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/rpc.h"
#include "tools/urn_bench/connection.h"
#include "tools/urn_bench/load.h"
#include "tools/urn_bench/options.h"
#include "tools/urn_bench/report.h"

/* ---- the command line ---------------------------------------------------------------------- */

#define WORDS_MAX  32
#define LINE_BYTES 300

/* Reads a command line, given as one string with single blanks; returns what it says to err. Options point
 * into copy. */
static char *read_line(const char *line, bool *taken, struct options *options, char *copy)
{
    char *argv[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    char *rest;
    snprintf(copy, LINE_BYTES, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < WORDS_MAX);
        argv[argc++] = word;
    }
    char *said = NULL;
    size_t length;
    FILE *err = open_memstream(&said, &length);
    *taken = options_read(argc, argv, "default:1", options, err);
    fclose(err);
    return said;
}

static void what_is_left_out_has_defaults(void **state)
{
    (void)state;
    struct options options;
    char copy[LINE_BYTES];
    bool taken;
    char *said = read_line("urn-bench", &taken, &options, copy);
    assert_true(taken);
    assert_string_equal(said, "");
    assert_string_equal(options.address, "default:1");
    assert_int_equal(options.connections, 50);
    assert_int_equal(options.pipeline, 1);
    assert_int_equal(options.threads, 1);
    assert_int_equal(options.draws, 1);
    assert_int_equal(options.as, URNCLIENT_NAMES);
    assert_int_equal(options.rate, 0);
    assert_int_equal(options.duration_ms, 10000);
    assert_int_equal(options.calls, 0);
    assert_int_equal(options.warm_up_ms, 1000);
    assert_int_equal(options.pool_count, 1);
    assert_string_equal(options.pools[0], "main");
    assert_false(options.ping || options.check || options.json || options.quiet);
    free(said);
    options_free(&options);
}

static void every_option_is_taken(void **state)
{
    (void)state;
    struct options options;
    char copy[LINE_BYTES];
    bool taken;
    free(read_line(
        "urn-bench --address=h:7 --connections 3 --threads=2 --pool a --pool b --pick random "
        "--draws 1000 --as tally --pipeline 16 --rate 50000 --calls 12 --warm-up 0 "
        "--timeout 250ms --check --json --quiet",
        &taken, &options, copy));
    assert_true(taken);
    assert_string_equal(options.address, "h:7");
    assert_int_equal(options.connections, 3);
    assert_int_equal(options.threads, 2);
    assert_int_equal(options.pool_count, 2);
    assert_string_equal(options.pools[1], "b");
    assert_int_equal(options.pick, PICK_RANDOM);
    assert_int_equal(options.draws, 1000);
    assert_int_equal(options.as, URNCLIENT_TALLY);
    assert_int_equal(options.pipeline, 16);
    assert_int_equal(options.rate, 50000);
    assert_int_equal(options.calls, 12);
    assert_int_equal(options.duration_ms, 0);
    assert_int_equal(options.warm_up_ms, 0);
    assert_int_equal(options.timeout_ms, 250);
    assert_true(options.check && options.json && options.quiet);
    options_free(&options);
    free(read_line("urn-bench --ping --duration 5m --all-pools", &taken, &options, copy));
    assert_false(taken);
    options_free(&options);
    free(read_line("urn-bench --ping --duration 5m", &taken, &options, copy));
    assert_true(taken && options.ping && options.pool_count == 0);
    assert_int_equal(options.duration_ms, 300000);
    options_free(&options);
}

static void mistakes_are_explained(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"urn-bench --conections 5", "did you mean --connections?"},
        {"urn-bench --nonsense", "there is no option \"--nonsense\""},
        {"urn-bench main", "what is \"main\"?"},
        {"urn-bench --draws", "--draws needs a number"},
        {"urn-bench --draws 0", "--draws needs a number from 1 to 10000000, not \"0\""},
        {"urn-bench --draws -1", "not \"-1\""},
        {"urn-bench --draws 1e6", "not \"1e6\""},
        {"urn-bench --rate 1000000001", "--rate needs a number from 1 to 1000000000"},
        {"urn-bench --calls 18446744073709551616", "--calls needs a number"},
        {"urn-bench --duration 0", "--duration needs a duration"},
        {"urn-bench --warm-up long", "--warm-up needs a duration"},
        {"urn-bench --as name", "--as needs names, indexes or tally, not \"name\""},
        {"urn-bench --pick first", "--pick needs round-robin or random"},
        {"urn-bench --json --json", "--json is given twice"},
        {"urn-bench --json=yes", "--json takes no value"},
        {"urn-bench --ping --draws 5", "--ping and --draws exclude each other"},
        {"urn-bench --pool a --all-pools", "--pool and --all-pools exclude each other"},
        {"urn-bench --duration 1s --calls 5", "--duration and --calls exclude each other"},
        {"urn-bench --threads 2 --connections 1", "--threads 2 is more than --connections 1"},
        {"urn-bench --connections 60000 --pipeline 65536", "--connections times --pipeline"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct options options;
        char copy[LINE_BYTES];
        bool taken;
        char *said = read_line(cases[i].line, &taken, &options, copy);
        assert_false(taken);
        if (strstr(said, cases[i].says) == NULL)
            fail_msg("%s: says %s", cases[i].line, said);
        free(said);
        options_free(&options);
    }
}

/* What the help explains is what the parser takes. */
static void the_help_names_every_option_and_no_other(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    options_print_help(out);
    fclose(out);
    uint32_t explained = 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, "  --", 4) != 0)
            continue;
        struct options options;
        char words[64], copy[LINE_BYTES];
        bool taken;
        snprintf(words, sizeof words, "urn-bench %.*s=?", (int)strcspn(line + 2, " "), line + 2);
        char *said = read_line(words, &taken, &options, copy);
        assert_null(strstr(said, "there is no option"));
        explained++;
        free(said);
        options_free(&options);
    }
    assert_int_equal(explained, 20);
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_true(strcspn(line, "\n") <= 100);
    }
    free(text);
}

/* ---- the open loop ------------------------------------------------------------------------- */

#define SECOND_NS 1000000000u

/* due_calls() is what counting due_ns() gives, at every moment around each due time. */
static void due_times_and_due_calls_agree(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 2, 3, 7, 1000, 999999, 1000000, 333333333, 1000000000};
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        for (uint32_t shares = 1; shares <= 3; shares++) {
            for (uint32_t share = 0; share < shares; share++) {
                struct schedule schedule = {12345, rates[r], share, shares};
                assert_int_equal(schedule_due_calls(&schedule, 0), 0);
                for (uint64_t call = 0; call < 50; call++) {
                    uint64_t due_ns = schedule_due_ns(&schedule, call);
                    assert_true(due_ns >= schedule.start_ns);
                    assert_int_equal(schedule_due_calls(&schedule, due_ns), call + 1);
                    assert_int_equal(schedule_due_calls(&schedule, due_ns - 1), call);
                }
            }
        }
    }
}

/* A second has exactly as many calls as the rate says, however long the load has run. */
static void a_schedule_does_not_drift(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 30011, 7777777, 1000000000};
    const uint64_t days_ns = 1000ull * 86400 * SECOND_NS;
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        struct schedule schedule = {5, rates[r], 0, 1};
        for (uint64_t begin = 5; begin <= 5 + days_ns; begin += days_ns) {
            uint64_t before = schedule_due_calls(&schedule, begin - 1);
            uint64_t after = schedule_due_calls(&schedule, begin + SECOND_NS - 1);
            assert_int_equal(after - before, rates[r]);
        }
    }
}

/* Threads share a schedule: together they have each call once. */
static void shares_are_a_partition(void **state)
{
    (void)state;
    const uint64_t rate = 777;
    struct schedule all = {0, rate, 0, 1};
    for (uint64_t now_ns = 0; now_ns < 2 * SECOND_NS; now_ns += 999331) {
        uint64_t sum = 0;
        for (uint32_t share = 0; share < 4; share++) {
            struct schedule part = {0, rate, share, 4};
            sum += schedule_due_calls(&part, now_ns);
        }
        assert_int_equal(sum, schedule_due_calls(&all, now_ns));
    }
    for (uint64_t call = 0; call < 100; call++) {
        struct schedule part = {0, rate, (uint32_t)(call % 4), 4};
        assert_int_equal(schedule_due_ns(&part, call / 4), schedule_due_ns(&all, call));
    }
}

static uint64_t due_in(const struct plan *plan, uint64_t from_ns, uint64_t to_ns)
{
    struct schedule all = {plan->start_ns, plan->options->rate, 0, 1};
    return schedule_due_calls(&all, to_ns - 1) - schedule_due_calls(&all, from_ns - 1);
}

/* An open loop of so many calls ends behind the last of them, whatever the warm-up has had. */
static void a_plan_measures_so_many_calls(void **state)
{
    (void)state;
    struct options options = {.rate = 333, .calls = 1000, .warm_up_ms = 7};
    struct plan plan = {.options = &options};
    plan_times(&plan, 42);
    assert_int_equal(plan.measure_ns, 42 + 7000000);
    assert_int_equal(due_in(&plan, plan.measure_ns, plan.end_ns), 1000);
    options.warm_up_ms = 0;
    plan_times(&plan, 42);
    assert_int_equal(plan.measure_ns, 42);
    assert_int_equal(due_in(&plan, plan.measure_ns, plan.end_ns), 1000);
    options = (struct options){.rate = 333, .duration_ms = 2000, .warm_up_ms = 1000};
    plan_times(&plan, 42);
    assert_int_equal(due_in(&plan, plan.measure_ns, plan.end_ns), 666);
    options = (struct options){.calls = 5};
    plan_times(&plan, 42);
    assert_true(plan.end_ns == UINT64_MAX);
}

/* ---- ids ----------------------------------------------------------------------------------- */

static void ids_without_gaps_are_one_range(void **state)
{
    (void)state;
    struct ids ids = {0};
    /* Blocks of ten in an order far from sorted, more of them than fit at first. */
    const uint64_t blocks = 100003;
    for (uint64_t i = 0; i < blocks; i++)
        assert_true(ids_add(&ids, 1 + i * 50000 % blocks * 10, 10));
    ids_settle(&ids);
    assert_int_equal(ids.count, 1);
    assert_int_equal(ids.ranges[0].first, 1);
    assert_int_equal(ids.ranges[0].end, 1 + 10 * blocks);
    assert_int_equal(ids.given, 10 * blocks);
    assert_int_equal(ids.doubled, 0);
    ids_free(&ids);
}

static void gaps_and_doubles_are_counted(void **state)
{
    (void)state;
    static const struct {
        uint64_t first, count, doubled, ranges;
    } cases[] = {
        {100, 10, 0, 1}, {110, 5, 0, 1}, {200, 1, 0, 2},  {95, 5, 0, 2},   {105, 1, 1, 2},
        {90, 10, 6, 2},  {80, 5, 6, 3},  {1, 300, 37, 1}, {301, 1, 37, 1},
    };
    struct ids ids = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(ids_add(&ids, cases[i].first, cases[i].count));
        ids_settle(&ids);
        assert_int_equal(ids.doubled, cases[i].doubled);
        assert_int_equal(ids.count, cases[i].ranges);
    }
    ids_free(&ids);
}

static void merged_ids_are_compared_too(void **state)
{
    (void)state;
    struct ids one = {0}, other = {0};
    assert_true(ids_add(&one, 1, 100) && ids_add(&one, 201, 100));
    assert_true(ids_add(&other, 101, 100) && ids_add(&other, 301, 1) && ids_add(&other, 50, 1));
    assert_true(ids_merge(&one, &other));
    ids_settle(&one);
    assert_int_equal(one.given, 302);
    assert_int_equal(one.doubled, 1);
    assert_int_equal(one.count, 1);
    ids_free(&one);
    ids_free(&other);
}

/* ---- counts -------------------------------------------------------------------------------- */

static void errors_are_counted_by_code(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "BUSY later", "NOPOOL none\x1b[2J", "BUSY", "no code", "NOPOOL other", "lower", ""};
    struct totals *totals = calloc(2, sizeof *totals);
    assert_non_null(totals);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        totals_add_error(&totals[0], texts[i], (uint32_t)strlen(texts[i]));
    totals_add_error(&totals[1], "CLOSED now", 10);
    totals_add_error(&totals[1], "NOPOOL again", 12);
    assert_true(totals_merge(&totals[0], &totals[1]));
    assert_int_equal(totals->busy, 2);
    assert_int_equal(totals->errors, 7);
    assert_int_equal(totals->code_count, 3);
    assert_string_equal(totals->codes[0].code, "NOPOOL");
    assert_int_equal(totals->codes[0].count, 3);
    assert_string_equal(totals->codes[0].text, "NOPOOL none?[2J"); /* no escape for a terminal */
    assert_string_equal(totals->codes[1].code, "?");
    assert_int_equal(totals->codes[1].count, 3);
    assert_string_equal(totals->codes[2].code, "CLOSED");
    free(totals);
}

static void too_many_codes_share_the_last_place(void **state)
{
    (void)state;
    struct totals *totals = calloc(1, sizeof *totals);
    assert_non_null(totals);
    for (const char *letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"; *letter != '\0'; letter++)
        totals_add_error(totals, letter, 1);
    assert_int_equal(totals->code_count, TOTALS_CODES_MAX);
    assert_string_equal(totals->codes[TOTALS_CODES_MAX - 1].code, "?");
    assert_int_equal(totals->codes[TOTALS_CODES_MAX - 1].count, 26 - (TOTALS_CODES_MAX - 1));
    free(totals);
}

/* ---- requests and slots -------------------------------------------------------------------- */

static void requests_are_what_the_server_reads(void **state)
{
    (void)state;
    struct request request;
    uint8_t bytes[REQUEST_BYTES_MAX];
    struct rpc_request read;
    struct urn_error error;
    assert_true(request_draw(&request, "main", 1000, URNCLIENT_TALLY));
    request_put(&request, 0xfedcba98, bytes);
    struct rpc_bounds bounds = {RPC_SERVER, 1024, 8};
    struct rpc_scan scan;
    rpc_scan_begin(&scan);
    assert_int_equal(rpc_scan(&scan, &bounds, bytes, request.length), RPC_COMPLETE);
    assert_int_equal(scan.offset, request.length);
    assert_int_equal(rpc_request_read(bytes, request.length, &read, &error), URN_OK);
    assert_int_equal(read.msgid, 0xfedcba98);
    assert_true(rpc_text_is(read.method, "draw"));
    assert_int_equal(read.params.count, 3);
    char name[66];
    memset(name, 'n', 65);
    name[65] = '\0';
    assert_false(request_draw(&request, name, 1, URNCLIENT_NAMES));
    assert_true(request_draw(&request, name + 1, UINT32_MAX, URNCLIENT_INDEXES));
}

/* Takes the request that was sent last and has the reader say that a reply to it has come. */
static uint32_t sent_msgid(int peer)
{
    uint8_t bytes[REQUEST_BYTES_MAX];
    assert_int_equal(recv(peer, bytes, 7 + 5 + 1, 0), 13); /* a ping */
    return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[4] << 16 | (uint32_t)bytes[5] << 8 | bytes[6];
}

static void a_reply_frees_its_slot_once(void **state)
{
    (void)state;
    int ends[2];
    struct connection connection;
    struct request ping;
    request_ping(&ping);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    assert_true(connection_make(&connection, ends[0], 3));
    uint32_t before = UINT32_MAX;
    for (uint64_t round = 1; round <= 10; round++) {
        connection_queue(&connection, &ping, round, 0);
        assert_int_equal(connection_under_way(&connection), 1);
        assert_int_equal(connection_flush(&connection), ping.length);
        uint32_t msgid = sent_msgid(ends[1]);
        assert_int_not_equal(msgid, before);
        connection.reader.msgid = before; /* of a call that has been answered, or of none */
        assert_null(connection_answered(&connection));
        connection.reader.msgid = msgid + 1;
        assert_null(connection_answered(&connection));
        connection.reader.msgid = msgid;
        const struct slot *slot = connection_answered(&connection);
        assert_non_null(slot);
        assert_int_equal(slot->due_ns, round);
        assert_null(connection_answered(&connection));
        assert_int_equal(connection_under_way(&connection), 0);
        before = msgid;
    }
    connection_end(&connection);
    close(ends[1]);
}

/* Ids rise in the order of sending; replies may come in any order. */
static void the_order_of_ids_is_that_of_sending(void **state)
{
    (void)state;
    struct connection connection = {0};
    struct slot slots[] = {{.sequence = 0}, {.sequence = 1}, {.sequence = 2}, {.sequence = 3}};
    assert_true(connection_id_in_order(&connection, &slots[1], 20));
    assert_true(connection_id_in_order(&connection, &slots[0], 10));
    assert_false(connection_id_in_order(&connection, &slots[0], 21));
    assert_true(connection_id_in_order(&connection, &slots[2], 30));
    assert_false(connection_id_in_order(&connection, &slots[3], 25));
}

/* ---- the report ---------------------------------------------------------------------------- */

static void a_report_is_one_object_and_fits_a_terminal(void **state)
{
    (void)state;
    struct options options = {.address = "127.0.0.1:7707",
                              .connections = 50,
                              .pipeline = 16,
                              .threads = 1,
                              .draws = 1000,
                              .as = URNCLIENT_INDEXES,
                              .check = true};
    struct totals *totals = calloc(1, sizeof *totals);
    assert_non_null(totals);
    totals->calls = 1234567;
    totals->failed_draws = 3;
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_add(&totals->latency_ns, i * 1000);
    totals_add_error(totals, "BUSY", 4);
    totals_add_error(totals, "NOPOOL no \"x\"", 13);
    assert_true(ids_add(&totals->ids, 11, 1234567000));
    struct report report = {.options = &options,
                            .totals = totals,
                            .pool_count = 1,
                            .first_pool = "main",
                            .seconds = 10,
                            .before = {.known = true, .version = "0.1.0", .mode = "commit"}};
    report.after = report.before;
    report.after.draws = 1234567000;
    report.after.log_bytes = 1300000000;
    report.after.syncs = 50000;
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    report_print_text(&report, out);
    fclose(out);
    assert_non_null(strstr(text, "1,234,567,000"));
    assert_non_null(strstr(text, "123,456,700/s"));
    assert_non_null(strstr(text, "unique, increasing, 0 gaps"));
    assert_non_null(strstr(text, "1.05 bytes a draw"));
    for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_true(strcspn(line, "\n") <= 80);
    }
    free(text);
    out = open_memstream(&text, &length);
    report_print_json(&report, out);
    fclose(out);
    assert_ptr_equal(strchr(text, '\n'), text + length - 1);
    assert_non_null(strstr(text, "\"calls_per_s\": 123456.7,"));
    assert_non_null(strstr(text, "\"busy\": 1,"));
    assert_non_null(strstr(
        text, "\"errors\": {\"NOPOOL\": {\"count\": 1, \"first\": \"NOPOOL no \\\"x\\\"\"}}"));
    free(text);
    totals_free(totals);
    free(totals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_has_defaults),
        cmocka_unit_test(every_option_is_taken),
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(the_help_names_every_option_and_no_other),
        cmocka_unit_test(due_times_and_due_calls_agree),
        cmocka_unit_test(a_schedule_does_not_drift),
        cmocka_unit_test(shares_are_a_partition),
        cmocka_unit_test(a_plan_measures_so_many_calls),
        cmocka_unit_test(ids_without_gaps_are_one_range),
        cmocka_unit_test(gaps_and_doubles_are_counted),
        cmocka_unit_test(merged_ids_are_compared_too),
        cmocka_unit_test(errors_are_counted_by_code),
        cmocka_unit_test(too_many_codes_share_the_last_place),
        cmocka_unit_test(requests_are_what_the_server_reads),
        cmocka_unit_test(a_reply_frees_its_slot_once),
        cmocka_unit_test(the_order_of_ids_is_that_of_sending),
        cmocka_unit_test(a_report_is_one_object_and_fits_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
