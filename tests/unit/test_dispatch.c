/* Every method and every error, from bytes to bytes: server/dispatch.h, reply.h, info.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "tests/lib/server_harness.h"

static struct harness harness;
static struct client client;

static int set_up(void **state)
{
    (void)state;
    harness_init(&harness);
    harness_start(&harness);
    client_open(&harness, &client);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_close(&client);
    harness_end(&harness);
    return 0;
}

/* What the server answers to a call with msgid 5. */
static const char *answer(const char *method, uint32_t count, const char *parameters, size_t length)
{
    client_call(&client, 5, method, count, parameters, length);
    return client_must_reply(&harness, &client);
}

#define ANSWER(method, count, literal) answer((method), (count), BYTES(literal))

static void assert_begins(const char *text, const char *begin)
{
    if (strncmp(text, begin, strlen(begin)) != 0)
        fail_msg("expected %s..., got %s", begin, text);
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("expected ...%s..., got %s", part, text);
}

static void ping_is_answered(void **state)
{
    (void)state;
    assert_string_equal(ANSWER("ping", 0, ""), "[1, 5, nil, \"pong\"]");
}

static void a_draw_names_what_was_drawn(void **state)
{
    (void)state;
    assert_string_equal(ANSWER("draw", 2, "\xa4main\x04"),
                        "[1, 5, nil, [1, [\"pear\", \"nut\", \"apple\", \"pear\"], 0, 1, false]]");
}

static void a_draw_gives_indexes_or_a_tally_when_asked(void **state)
{
    (void)state;
    assert_string_equal(ANSWER("draw", 3,
                               "\xa4main\x04\x81\xa2"
                               "as\xa7indexes"),
                        "[1, 5, nil, [1, [1, 2, 0, 1], 0, 1, false]]");
    assert_string_equal(ANSWER("draw", 3,
                               "\xa4main\x04\x81\xa2"
                               "as\xa5tally"),
                        "[1, 5, nil, [5, {\"apple\"=>1, \"pear\"=>1, \"nut\"=>2}, 0, 1, false]]");
}

static void failed_draws_are_nil_and_counted(void **state)
{
    (void)state;
    assert_string_equal(ANSWER("draw", 2,
                               "\xa3"
                               "dry\x02"),
                        "[1, 5, nil, [1, [nil, nil], 2, 1, false]]");
    assert_string_equal(ANSWER("draw", 3,
                               "\xa3"
                               "dry\x02\x81\xa2"
                               "as\xa5tally"),
                        "[1, 5, nil, [3, {}, 2, 1, false]]");
}

static void all_or_nothing_fails_with_nostock(void **state)
{
    (void)state;
    const char *text = ANSWER("draw", 3,
                              "\xa3"
                              "dry\x02\x81\xa3"
                              "all\xc3");
    assert_begins(text, "[1, 5, \"NOSTOCK ");
    assert_contains(text, ", nil]");
}

static void state_and_catalog_come_by_the_page(void **state)
{
    (void)state;
    const char *text = ANSWER("state", 2, "\xa4main\x82\xa6offset\x01\xa5limit\x01");
    assert_contains(text, "\"total\"=>3, \"items\"=>[{\"item_id\"=>\"pear\", \"index\"=>1, "
                          "\"quantity\"=>9, \"probability\"=>1, \"drawn\"=>1}]}]");
    assert_string_equal(ANSWER("catalog", 1, "\xa4main"),
                        "[1, 5, nil, [1, 3, [\"apple\", \"pear\", \"nut\"]]]");
    assert_string_equal(ANSWER("catalog", 2, "\xa4main\x81\xa6offset\x09"),
                        "[1, 5, nil, [1, 3, []]]");
}

static void pools_are_listed(void **state)
{
    (void)state;
    assert_string_equal(ANSWER("pools", 0, ""), "[1, 5, nil, [\"main\", \"dry\", \"shut\"]]");
}

static void a_lookup_tells_what_came_of_a_draw(void **state)
{
    (void)state;
    ANSWER("draw", 2, "\xa4main\x06");
    assert_string_equal(ANSWER("lookup", 1, "\x04"),
                        "[1, 5, nil, {\"request_id\"=>4, \"pool\"=>\"main\", "
                        "\"item_id\"=>\"pear\", \"index\"=>1, \"odds_version\"=>1, "
                        "\"time_us\"=>4000000, \"lsn\"=>4128}]");
    assert_contains(ANSWER("lookup", 1, "\x05"), "\"item_id\"=>nil, \"index\"=>nil,");
    assert_string_equal(ANSWER("lookup", 1, "\x07"),
                        "[1, 5, \"NOTFOUND no draw has this id\", nil]");
    assert_begins(ANSWER("lookup", 1, "\x00"), "[1, 5, \"BADARG ");
}

static void mistakes_get_their_code_and_draw_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        uint32_t count;
        const char *parameters;
        size_t length;
        const char *begin, *part;
    } cases[] = {
        {"drw", 0, BYTES(""), "[1, 5, \"NOMETHOD ", "drw"},
        {"draw", 2, BYTES("\xa3nix\x01"), "[1, 5, \"NOPOOL ", "nix"},
        {"draw", 2, BYTES("\xa4shut\x01"), "[1, 5, \"CLOSED ", "shut"},
        {"draw", 1, BYTES("\xa4main"), "[1, 5, \"BADARG ", "count"},
        {"draw", 2, BYTES("\xa4main\x00"), "[1, 5, \"BADARG ", "1 to 100, got 0"},
        {"draw", 2, BYTES("\xa4main\xff"), "[1, 5, \"BADARG ", "1 to 100, got -1"},
        {"draw", 2, BYTES("\xa4main\x65"), "[1, 5, \"BADARG ", "1 to 100, got 101"},
        {"draw", 2, BYTES("\x01\x01"), "[1, 5, \"BADARG ", "pool"},
        {"draw", 4, BYTES("\xa4main\x01\x80\x01"), "[1, 5, \"BADARG ", "4"},
        {"draw", 3, BYTES("\xa4main\x01\x81\xa2zz\x01"), "[1, 5, \"BADARG ", "zz"},
        {"draw", 3,
         BYTES("\xa4main\x01\x81\xa2"
               "as\xa1x"),
         "[1, 5, \"BADARG ", "tally"},
        {"state", 1, BYTES("\xa3nix"), "[1, 5, \"NOPOOL ", "nix"},
        {"ping", 1, BYTES("\x01"), "[1, 5, \"BADARG ", "ping"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text =
            answer(cases[i].method, cases[i].count, cases[i].parameters, cases[i].length);
        assert_begins(text, cases[i].begin);
        assert_contains(text, cases[i].part);
    }
    /* None of them has used up an id, nor closed the connection. */
    assert_begins(ANSWER("draw", 2, "\xa4main\x01"), "[1, 5, nil, [1, ");
}

static void a_method_may_be_bin(void **state)
{
    (void)state;
    client_send(&client, BYTES("\x94\x00\x07\xc4\x04ping\x90"));
    assert_string_equal(client_must_reply(&harness, &client), "[1, 7, nil, \"pong\"]");
}

static void notifications_are_counted_and_ignored(void **state)
{
    (void)state;
    client_send(&client, BYTES("\x93\x02\xa4"
                               "draw\x92\xa4main\x01"));
    harness_turn(&harness);
    assert_null(client_reply(&client));
    assert_int_equal(harness.server->counters.notifications, 1);
    assert_begins(ANSWER("draw", 2, "\xa4main\x01"), "[1, 5, nil, [1, ");
}

/* Before anything is drawn: the next draw still gets the first id. */
static void a_reply_that_may_be_too_long_is_refused_first(void **state)
{
    (void)state;
    harness.server->limits.max_reply_bytes = 1000;
    const char *text = ANSWER("draw", 2, "\xa4main\x64");
    assert_begins(text, "[1, 5, \"TOOBIG ");
    assert_contains(text, "limits.max_reply_bytes is 1000");
    assert_begins(ANSWER("draw", 2, "\xa4main\x01"), "[1, 5, nil, [1, ");
}

/* What could never be borrowed must not wait for ever. */
static void a_loan_beyond_the_whole_budget_is_refused(void **state)
{
    (void)state;
    harness.server->limits.max_reply_bytes = 1u << 20;
    harness.server->limits.max_items = 2000;
    const char *text = ANSWER("state", 2, "\xa4main\x81\xa5limit\xcd\x07\xd0");
    assert_begins(text, "[1, 5, \"TOOBIG ");
    assert_contains(text, "limits.reply_buffers (65536 bytes)");
}

/* Nobody could ever be told the pools: found at the start, not by the first who asks. */
static void reply_buffers_that_cannot_lend_the_answer_to_pools_are_refused(void **state)
{
    (void)state;
    struct config config = harness.config;
    struct server *server;
    struct urn_error error;
    config.limits.max_reply_bytes = 64u << 10;
    config.limits.max_pools = 800; /* 51.6 KiB of reply, 12.5 KiB of texts: 64 KiB, and the call */
    assert_int_equal(server_create(&config, NULL, &server, &error), URN_CONFIG);
    assert_begins(error.text, "limits.reply_buffers: at most 65536 bytes");
    assert_contains(error.text, "limits.max_pools (800)");
    config.limits.max_pools = 700;
    assert_int_equal(server_create(&config, NULL, &server, &error), URN_OK);
    server_free(server);
}

static void the_engines_codes_reach_the_client(void **state)
{
    (void)state;
    static const enum urn_code codes[] = {URN_BUSY, URN_READONLY, URN_INDOUBT, URN_TOOBIG};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        char begin[64];
        fake_engine_answer_with(harness.engine, codes[i]);
        snprintf(begin, sizeof begin, "[1, 5, \"%s ", urn_code_text(codes[i]));
        assert_begins(ANSWER("draw", 2, "\xa4main\x01"), begin);
    }
}

static void after_a_fail_stop_ping_and_info_still_answer(void **state)
{
    (void)state;
    fake_engine_hold(harness.engine);
    client_draw(&client, 1, 1);
    harness_turn(&harness);
    assert_null(client_reply(&client));
    fake_engine_fail(harness.engine, "segment-0001: cannot sync");
    assert_begins(client_must_reply(&harness, &client), "[1, 1, \"INDOUBT ");
    assert_true(harness.server->failure_logged);
    assert_begins(ANSWER("draw", 2, "\xa4main\x01"), "[1, 5, \"READONLY ");
    assert_begins(ANSWER("state", 1, "\xa4main"), "[1, 5, \"READONLY ");
    assert_string_equal(ANSWER("ping", 0, ""), "[1, 5, nil, \"pong\"]");
    assert_contains(ANSWER("info", 0, ""), "\"failure\"=>\"segment-0001: cannot sync\"");
}

/* Attempts are many; a line is written when something changes. */
static void trouble_with_snapshots_is_told(void **state)
{
    (void)state;
    const struct server *server = harness.server;
    assert_contains(ANSWER("info", 0, ""), "\"snapshot_failure\"=>nil");
    fake_engine_snapshots_fail(harness.engine, ENOSPC, "cannot write data/x");
    harness_turn(&harness);
    assert_int_equal(server->snapshot_trouble, URN_IO);
    assert_int_equal(server->snapshot_log.lines, 1);
    fake_engine_snapshots_fail(harness.engine, ENOSPC, "cannot write data/y");
    harness_turn(&harness);
    assert_int_equal(server->snapshot_log.lines, 1);
    assert_contains(ANSWER("info", 0, ""), "\"snapshot_failure\"=>\"cannot write data/y");
    fake_engine_snapshots_fail(harness.engine, EIO, "cannot write data/z");
    harness_turn(&harness);
    assert_int_equal(server->snapshot_log.lines, 2);
    fake_engine_snapshots_fail(harness.engine, 0, NULL);
    harness_turn(&harness);
    assert_int_equal(server->snapshot_trouble, URN_OK);
    assert_int_equal(server->snapshot_log.lines, 3);
    assert_contains(ANSWER("info", 0, ""), "\"snapshot_failure\"=>nil");
}

static void a_full_log_is_told_once_and_its_end_too(void **state)
{
    (void)state;
    static const struct {
        uint64_t busy, room_bytes;
        bool full;
        uint32_t lines; /* so far */
    } rows[] = {
        {0, 900, false, 0},  {1, 20, true, 1},    {70, 20, true, 1}, /* and more get BUSY */
        {70, 10, true, 1},                                           /* a mark has been written */
        {70, 900, false, 2}, {70, 5, false, 2}, /* full again, but nobody was refused */
        {71, 5, true, 3},    {71, 900, false, 4},
    };
    const struct server *server = harness.server;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        fake_engine_log_room(harness.engine, rows[i].busy, rows[i].room_bytes);
        server_notify(harness.server); /* it looks when the engine has anything to tell */
        harness_turn(&harness);
        assert_int_equal(server->log_is_full, rows[i].full);
        assert_int_equal(server->snapshot_log.lines, rows[i].lines);
    }
}

static void info_has_all_its_keys(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "version",
        "mode",
        "uptime_s",
        "epoch",
        "durable_lsn",
        "staged_lsn",
        "failure",
        "ring",
        "queue",
        "connections",
        "counters",
        "latencies",
        "p50_us",
        "p99_us",
        "p999_us",
        "memory",
        "bound_bytes",
        "snapshot_io",
        "recovery",
        "torn_tail",
        "created",
        "room_bytes",
        "draws_max",
        "next_request_id",
        "acknowledged_lsn",
        "unsynced_bytes",
        "unsynced_us",
        "lookups",
        "lookups_not_found",
    };
    harness_wait(&harness, 12.5);
    ANSWER("draw", 2, "\xa4main\x03");
    const char *text = ANSWER("info", 0, "");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "\"%s\"=>", keys[i]);
        assert_contains(text, quoted);
    }
    assert_contains(text, "\"uptime_s\"=>12,");
    assert_contains(text, "\"failure\"=>nil");
    assert_contains(text, "\"draws\"=>3,");
    assert_contains(text, "\"mode\"=>\"commit\"");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(ping_is_answered),
        TEST(a_draw_names_what_was_drawn),
        TEST(a_draw_gives_indexes_or_a_tally_when_asked),
        TEST(failed_draws_are_nil_and_counted),
        TEST(all_or_nothing_fails_with_nostock),
        TEST(state_and_catalog_come_by_the_page),
        TEST(pools_are_listed),
        TEST(a_lookup_tells_what_came_of_a_draw),
        TEST(mistakes_get_their_code_and_draw_nothing),
        TEST(a_method_may_be_bin),
        TEST(notifications_are_counted_and_ignored),
        TEST(a_reply_that_may_be_too_long_is_refused_first),
        TEST(a_loan_beyond_the_whole_budget_is_refused),
        TEST(reply_buffers_that_cannot_lend_the_answer_to_pools_are_refused),
        TEST(the_engines_codes_reach_the_client),
        TEST(trouble_with_snapshots_is_told),
        TEST(a_full_log_is_told_once_and_its_end_too),
        TEST(after_a_fail_stop_ping_and_info_still_answer),
        TEST(info_has_all_its_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
