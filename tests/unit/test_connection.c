/* Connections: bytes however they arrive, bounds, back-pressure, who stalls: server/connection.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/lib/server_harness.h"

static struct harness harness;
static struct client clients[12];

static int set_up(void **state)
{
    (void)state;
    harness_init(&harness);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
        if (clients[i].fd > 0)
            client_close(&clients[i]);
    memset(clients, 0, sizeof clients);
    harness_end(&harness);
    return 0;
}

static void start(size_t count)
{
    if (count > harness.config.limits.max_connections)
        harness.config.limits.max_connections = (uint32_t)count;
    harness_start(&harness);
    for (size_t i = 0; i < count; i++)
        client_open(&harness, &clients[i]);
}

static void assert_begins(const char *text, const char *begin)
{
    if (strncmp(text, begin, strlen(begin)) != 0)
        fail_msg("expected %s..., got %s", begin, text);
}

static void assert_pongs(struct client *client)
{
    client_call(client, 77, "ping", 0, BYTES(""));
    assert_string_equal(client_must_reply(&harness, client), "[1, 77, nil, \"pong\"]");
}

/* A call whose one parameter, the pool's name, is so long that the whole message has this length;
 * all of it but the last `missing` bytes are sent. */
static void send_long(struct client *client, size_t length, size_t missing)
{
    static const char head[] = "\x94\x00\x09\xa5state\x91\xc6";
    size_t head_bytes = sizeof head - 1 + 4;
    size_t name_bytes = length - head_bytes;
    uint8_t *message = calloc(1, length);
    assert_non_null(message);
    memcpy(message, head, sizeof head - 1);
    for (size_t i = 0; i < 4; i++)
        message[sizeof head - 1 + i] = (uint8_t)(name_bytes >> (24 - 8 * i));
    client_send(client, message, length - missing);
    free(message);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void a_request_may_come_byte_by_byte(void **state)
{
    (void)state;
    static const char message[] = "\x94\x00\x09\xa4"
                                  "draw\x92\xa4main\x03";
    start(1);
    for (size_t i = 0; i < sizeof message - 1; i++) {
        assert_null(client_reply(&clients[0]));
        client_send(&clients[0], message + i, 1);
        harness_turn(&harness);
    }
    assert_string_equal(client_reply(&clients[0]),
                        "[1, 9, nil, [1, [\"pear\", \"nut\", \"apple\"], 0, 1, false]]");
}

static void draw_from(const char *pool, uint32_t msgid)
{
    char parameters[16];
    const int bytes =
        snprintf(parameters, sizeof parameters, "%c%s\x01", (int)(0xa0 | strlen(pool)), pool);
    client_call(&clients[0], msgid, "draw", 2, parameters, (size_t)bytes);
}

static void assert_drew(uint32_t msgid, const char *rest)
{
    char expected[96];
    snprintf(expected, sizeof expected, "[1, %u, %s]", msgid, rest);
    assert_string_equal(client_must_reply(&harness, &clients[0]), expected);
}

/* The engine gets the pool itself where the last draw's reply has shown it; the others' names are looked for. */
static void a_connection_may_change_between_pools_with_draws_under_way(void **state)
{
    (void)state;
    start(1);
    draw_from("main", 1);
    assert_drew(1, "nil, [1, [\"pear\"], 0, 1, false]");
    assert_int_equal(fake_engine_known_pools(harness.engine), 0);
    fake_engine_hold(harness.engine);
    draw_from("main", 2); /* known */
    draw_from("main", 3); /* known */
    draw_from("dry", 4);
    draw_from("dry", 5); /* no reply has shown that pool yet */
    draw_from("main", 6);
    draw_from("dry", 7);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 6);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_drew(2, "nil, [2, [\"nut\"], 0, 1, false]");
    assert_drew(3, "nil, [3, [\"apple\"], 0, 1, false]");
    assert_drew(4, "nil, [4, [nil], 1, 1, false]");
    assert_drew(5, "nil, [5, [nil], 1, 1, false]");
    assert_drew(6, "nil, [6, [\"apple\"], 0, 1, false]");
    assert_drew(7, "nil, [7, [nil], 1, 1, false]");
    assert_int_equal(fake_engine_known_pools(harness.engine), 2);
    draw_from("dry", 8); /* known now */
    assert_drew(8, "nil, [8, [nil], 1, 1, false]");
    draw_from("main", 9);
    assert_drew(9, "nil, [9, [\"apple\"], 0, 1, false]");
    assert_int_equal(fake_engine_known_pools(harness.engine), 3);
}

/* A name that no pool has teaches nothing, nor does a pool whose draws are refused; replies keep naming it. */
static void refused_draws_name_their_pool(void **state)
{
    (void)state;
    start(1);
    draw_from("none", 1);
    assert_drew(1, "\"NOPOOL no pool is called \"none\"\", nil");
    draw_from("none", 2);
    assert_drew(2, "\"NOPOOL no pool is called \"none\"\", nil");
    draw_from("main", 3);
    assert_drew(3, "nil, [1, [\"pear\"], 0, 1, false]");
    fake_engine_answer_with(harness.engine, URN_CLOSED);
    draw_from("main", 4);
    assert_drew(4, "\"CLOSED closed for draws: pool \"main\"\", nil");
    assert_int_equal(fake_engine_known_pools(harness.engine), 1);
}

static void many_requests_may_come_at_once_and_keep_their_order(void **state)
{
    (void)state;
    enum {
        REQUESTS = 2000
    }; /* far beyond max_inflight, the connection's memory and all replies' */
    static const char call[] = "\x94\x00\xcd??\xa4"
                               "draw\x92\xa4main\x01";
    static char bytes[REQUESTS * (sizeof call - 1)];
    for (uint32_t i = 0; i < REQUESTS; i++) {
        char *at = bytes + i * (sizeof call - 1);
        memcpy(at, call, sizeof call - 1);
        at[3] = (char)(i >> 8);
        at[4] = (char)i;
    }
    start(1);
    client_send(&clients[0], bytes, sizeof bytes);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        char begin[64];
        const char *text = client_reply(&clients[0]);
        for (int turns = 0; text == NULL && turns < 10; turns++) {
            harness_turn(&harness);
            text = client_reply(&clients[0]);
        }
        snprintf(begin, sizeof begin, "[1, %u, nil, [%u, ", i, i + 1);
        assert_non_null(text);
        assert_begins(text, begin);
    }
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

static void a_long_request_borrows_a_buffer_and_returns_it(void **state)
{
    (void)state;
    start(1);
    send_long(&clients[0], 40000, 1);
    harness_turn(&harness);
    assert_int_equal(harness.server->request_buffers.lent, 1);
    client_send(&clients[0], "", 1);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 9, \"NOPOOL ");
    assert_int_equal(harness.server->request_buffers.lent, 0);
    assert_pongs(&clients[0]);
}

static void the_longest_request_is_taken_and_one_byte_more_refused(void **state)
{
    (void)state;
    start(2);
    send_long(&clients[0], 64u << 10, 0);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 9, \"NOPOOL ");
    assert_pongs(&clients[0]);
    send_long(&clients[0], (64u << 10) + 1, 0);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 9, \"TOOBIG ");
    assert_true(client_is_closed(&harness, &clients[0]));
    assert_pongs(&clients[1]);
    assert_int_equal(harness.server->request_buffers.lent, 0);
}

static void what_is_no_request_closes_its_connection_and_no_other(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *begin; /* of the answer; NULL: none, as nobody could be answered */
    } cases[] = {
        {BYTES("\xc1"), NULL},
        {BYTES("GET / HTTP/1.1\r\n\r\n"), NULL},
        {BYTES("\x93\x00\x01\x02"), NULL},
        {BYTES("\x94\x01\x07\xc0\xc0"), NULL},                   /* a response */
        {BYTES("\x94\x00\x07\x01\x90"), "[1, 7, \"BADREQ "},     /* the method a number */
        {BYTES("\x94\x00\x07\xa4ping\x80"), "[1, 7, \"BADREQ "}, /* the parameters a map */
        {BYTES("\x94\x00\x07\xa4ping\xdd\x7f\xff\xff\xff"), "[1, 7, \"TOOBIG "},
    };
    start(1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client_open(&harness, &clients[1]);
        client_send(&clients[1], cases[i].bytes, cases[i].length);
        harness_turn(&harness);
        const char *text = client_reply(&clients[1]);
        if (cases[i].begin == NULL)
            assert_null(text);
        else
            assert_begins(text, cases[i].begin);
        assert_true(client_is_closed(&harness, &clients[1]));
        client_close(&clients[1]);
        assert_pongs(&clients[0]);
        assert_int_equal(harness.server->counters.bad_requests, i + 1);
    }
    assert_int_equal(harness.server->connections.lent, 1);
}

static void what_was_asked_before_garbage_is_answered(void **state)
{
    (void)state;
    start(1);
    fake_engine_hold(harness.engine);
    client_draw(&clients[0], 1, 1);
    client_send(&clients[0], BYTES("\xc1 and more"));
    harness_turn(&harness);
    assert_null(client_reply(&clients[0]));
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 1, nil, ");
    assert_true(client_is_closed(&harness, &clients[0]));
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void a_half_closed_connection_gets_its_answers(void **state)
{
    (void)state;
    start(1);
    fake_engine_hold(harness.engine);
    client_draw(&clients[0], 1, 1);
    client_draw(&clients[0], 2, 1);
    shutdown(clients[0].fd, SHUT_WR);
    harness_turn(&harness);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 1, nil, ");
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 2, nil, ");
    assert_true(client_is_closed(&harness, &clients[0]));
}

static void a_client_may_vanish_with_requests_under_way(void **state)
{
    (void)state;
    start(2);
    fake_engine_hold(harness.engine);
    client_draw(&clients[0], 1, 1);
    client_draw(&clients[1], 2, 1);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 2);
    client_close(&clients[0]);
    harness_turn(&harness);
    assert_int_equal(harness.server->connections.lent, 2); /* the engine still has its request */
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[1]), "[1, 2, nil, ");
    assert_int_equal(harness.server->connections.lent, 1);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

/* ---- back-pressure ----------------------------------------------------------------------------
 */

static void no_more_than_max_inflight_are_taken(void **state)
{
    (void)state;
    harness.config.limits.max_inflight = 4;
    start(1);
    fake_engine_hold(harness.engine);
    for (uint32_t i = 0; i < 10; i++)
        client_draw(&clients[0], i, 1);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 4);
    fake_engine_let_go(harness.engine, 1);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 4);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    for (uint32_t i = 0; i < 10; i++) {
        char begin[32];
        snprintf(begin, sizeof begin, "[1, %u, nil, ", i);
        assert_begins(client_must_reply(&harness, &clients[0]), begin);
    }
}

/* Draws of 100 names borrow 8 KiB each, so that 64 KiB of reply buffers lend eight, and one is the
 * share of a connection. */
static void a_connection_takes_no_more_than_its_share_of_reply_room(void **state)
{
    (void)state;
    start(2);
    fake_engine_hold(harness.engine);
    for (uint32_t i = 0; i < 10; i++)
        client_draw(&clients[0], i, 100);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 1);
    assert_pongs(&clients[1]); /* there is room for others, and nobody waits for it */
    client_draw(&clients[1], 1, 100);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 2);
    assert_int_equal(harness.server->counters.waits, 0);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    for (uint32_t i = 0; i < 10; i++) {
        char begin[32];
        snprintf(begin, sizeof begin, "[1, %u, nil, ", i);
        assert_begins(client_must_reply(&harness, &clients[0]), begin);
    }
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

/* A page of 100 items borrows 32 KiB at worst, four shares: one at a time. */
static void one_request_may_take_more_than_a_share(void **state)
{
    (void)state;
    start(1);
    fake_engine_hold(harness.engine);
    for (uint32_t i = 0; i < 2; i++)
        client_call(&clients[0], i, "state", 2, BYTES("\xa4main\x81\xa5limit\x64"));
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 1);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 32u << 10);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 0, nil, ");
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 1, nil, ");
}

/* Sends draws on a connection that nobody reads, until it has its share of the reply buffers.
 * Returns how many. */
static uint32_t fill_reply_room(struct client *client, const struct connection *connection)
{
    uint64_t share_bytes = harness.config.limits.reply_buffers_bytes / SERVER_REPLY_SHARES;
    uint32_t sent = 0;
    while (sent < 1000 && connection->lent_bytes < share_bytes) {
        client_draw(client, sent++, 100);
        harness_turn(&harness);
    }
    assert_true(connection->blocked);
    return sent;
}

/* The server's side of the client that was opened last. */
static const struct connection *last_connection(void)
{
    return list_element(harness.server->open.previous, struct connection, place);
}

/* What a connection never reads stops its own requests, not those of another. */
static void who_takes_no_replies_keeps_no_more_than_its_share(void **state)
{
    (void)state;
    harness.config.limits.max_inflight = 1000;
    start(1);
    uint32_t sent = fill_reply_room(&clients[0], last_connection());
    for (int i = 0; i < 10; i++)
        client_draw(&clients[0], sent++, 100);
    harness_turn(&harness);
    assert_true(budget_lent_bytes(harness.server->replies) < 16u << 10);
    client_open(&harness, &clients[1]);
    assert_pongs(&clients[1]);
    for (uint32_t i = 0; i < sent; i++)
        assert_non_null(client_must_reply(&harness, &clients[0]));
}

static void a_connection_waits_for_reply_room_and_is_served_in_turn(void **state)
{
    (void)state;
    start(10);
    fake_engine_hold(harness.engine);
    for (uint32_t i = 0; i < 8; i++)
        client_draw(&clients[i], i, 100);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 8);
    client_draw(&clients[8], 1, 100);
    harness_turn(&harness);
    client_draw(&clients[9], 2, 1); /* it would fit nowhere else, but it also came later */
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 8);
    assert_int_equal(harness.server->counters.waits, 2);
    assert_true(budget_lent_bytes(harness.server->replies) <= 64u << 10);

    fake_engine_let_go(harness.engine, 1);
    harness_turn(&harness);
    assert_true(fake_engine_held(harness.engine) >= 8);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[8]), "[1, 1, nil, [801, ");
    assert_begins(client_must_reply(&harness, &clients[9]), "[1, 2, nil, [901, ");
    for (uint32_t i = 0; i < 8; i++)
        assert_non_null(client_must_reply(&harness, &clients[i]));
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

/* A tally of 100 draws borrows 8 KiB in case there are so many items; the reply that waits to be
 * read keeps no more than it takes. */
static void a_reply_keeps_only_what_it_needed(void **state)
{
    (void)state;
    start(1);
    for (uint32_t i = 0; i < 10000 && link_is_alone(&harness.server->borrowers); i++) {
        client_call(&clients[0], i, "draw", 3,
                    BYTES("\xa4main\x64\x81\xa2"
                          "as\xa5tally"));
        harness_turn(&harness);
    }
    assert_false(link_is_alone(&harness.server->borrowers));
    const struct connection *blocked =
        list_element(harness.server->borrowers.next, struct connection, borrower);
    assert_true(blocked->blocked);
    assert_true(blocked->inflight > 0);
    assert_int_equal(budget_lent_bytes(harness.server->replies),
                     blocked->inflight * BUDGET_UNIT_BYTES);
}

/* A small request that came later must not keep a large one waiting for ever. */
static void small_requests_do_not_overtake_a_large_one(void **state)
{
    (void)state;
    start(9);
    fake_engine_hold(harness.engine);
    for (uint32_t i = 0; i < 7; i++)
        client_draw(&clients[i], i, 100);
    client_draw(&clients[7], 7, 1); /* breaks the last 8 KiB */
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 8);
    client_draw(&clients[8], 1, 100);
    harness_turn(&harness);
    client_draw(&clients[7], 8, 1);
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 8); /* there would be room for this one */
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[8]), "[1, 1, nil, ");
    for (uint32_t i = 0; i < 9; i++)
        assert_non_null(client_must_reply(&harness, &clients[i < 8 ? i : 7]));
}

static void a_long_request_waits_for_a_buffer(void **state)
{
    (void)state;
    harness.config.limits.request_buffers_bytes = 64u << 10; /* one */
    start(3);
    send_long(&clients[0], 20000, 1);
    harness_turn(&harness);
    send_long(&clients[1], 20000, 0);
    harness_turn(&harness);
    assert_int_equal(harness.server->request_buffers.lent, 1);
    assert_null(client_reply(&clients[1]));
    assert_pongs(&clients[2]); /* small requests need no buffer */
    client_send(&clients[0], "", 1);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 9, \"NOPOOL ");
    assert_begins(client_must_reply(&harness, &clients[1]), "[1, 9, \"NOPOOL ");
}

/* ---- who stalls -------------------------------------------------------------------------------
 */

static void a_half_sent_request_is_closed_after_30_s(void **state)
{
    (void)state;
    start(2);
    client_send(&clients[0], "\x94", 1);
    harness_turn(&harness);
    harness_wait(&harness, 29.9);
    assert_false(client_is_closed(&harness, &clients[0]));
    client_send(&clients[0], "\x00", 1); /* a byte now and then is no progress */
    harness_turn(&harness);
    harness_wait(&harness, 0.2);
    assert_true(client_is_closed(&harness, &clients[0]));
    assert_int_equal(harness.server->counters.connections_stalled, 1);
    assert_pongs(&clients[1]); /* it has only been silent */
}

static void a_finished_request_gives_the_next_one_30_s(void **state)
{
    (void)state;
    start(1);
    client_send(&clients[0], "\x94", 1);
    harness_turn(&harness);
    harness_wait(&harness, 29.9);
    client_send(&clients[0], BYTES("\x00\x07\xa4ping\x90\x94"));
    assert_string_equal(client_must_reply(&harness, &clients[0]), "[1, 7, nil, \"pong\"]");
    harness_wait(&harness, 29.9);
    assert_false(client_is_closed(&harness, &clients[0]));
    harness_wait(&harness, 0.2);
    assert_true(client_is_closed(&harness, &clients[0]));
}

static void a_long_request_must_go_on_by_64_KiB_in_30_s(void **state)
{
    (void)state;
    static const uint8_t zeros[SERVER_PROGRESS_BYTES];
    harness.config.limits.max_request_bytes = 256u << 10;
    harness.config.limits.request_buffers_bytes = 256u << 10;
    start(1);
    send_long(&clients[0], 250000, 240000);
    harness_turn(&harness);
    harness_wait(&harness, 29.9);
    client_send(&clients[0], zeros, SERVER_PROGRESS_BYTES);
    harness_turn(&harness);
    harness_wait(&harness, 29.9);
    assert_false(client_is_closed(&harness, &clients[0]));
    client_send(&clients[0], zeros, SERVER_PROGRESS_BYTES - 1);
    harness_turn(&harness);
    assert_int_equal(harness.server->request_buffers.lent, 1);
    harness_wait(&harness, 0.2);
    assert_true(client_is_closed(&harness, &clients[0]));
    assert_int_equal(harness.server->request_buffers.lent, 0);
}

static void a_waiting_client_does_not_stall(void **state)
{
    (void)state;
    start(1);
    fake_engine_hold(harness.engine);
    client_draw(&clients[0], 1, 1);
    harness_turn(&harness);
    harness_wait(&harness, 100);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_begins(client_must_reply(&harness, &clients[0]), "[1, 1, nil, ");
}

/* The client asks and never reads: its socket fills, then the replies of the server. */
static void replies_that_nobody_takes_close_the_connection_after_30_s(void **state)
{
    (void)state;
    int small = 4096;
    start(2);
    setsockopt(clients[0].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (uint32_t i = 0; i < 1000 && link_is_alone(&harness.server->borrowers); i++) {
        client_draw(&clients[0], i, 100);
        harness_turn(&harness);
    }
    assert_false(link_is_alone(&harness.server->borrowers));
    assert_true(budget_lent_bytes(harness.server->replies) > 0);
    harness_wait(&harness, 29.9);
    assert_int_equal(harness.server->connections.lent, 2);
    harness_wait(&harness, 0.2);
    assert_int_equal(harness.server->connections.lent, 1);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
    assert_int_equal(harness.server->counters.connections_stalled, 1);
    assert_pongs(&clients[1]);
}

/* Leaves a client with 200 replies of about 700 bytes that it has not read, of which its socket
 * holds few. */
static void start_with_unread_replies(void)
{
    int small = 4096;
    harness.config.limits.max_inflight = 1000;
    harness.config.limits.reply_buffers_bytes = 2u << 20;
    start(1);
    setsockopt(last_connection()->source.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (uint32_t i = 0; i < 200; i++)
        client_draw(&clients[0], i, 100);
    harness_turn(&harness);
    assert_true(last_connection()->blocked);
    assert_int_equal(harness.server->connections.lent, 1);
}

/* Reads some bytes of replies, and lets the server send as many more. */
static void read_some(size_t bytes)
{
    static uint8_t thrown_away[1024];
    for (size_t left = bytes; left > 0;) {
        size_t wanted = left < sizeof thrown_away ? left : sizeof thrown_away;
        ssize_t got = recv(clients[0].fd, thrown_away, wanted, 0);
        assert_true(got > 0);
        left -= (size_t)got;
        harness_turn(&harness);
    }
}

static void who_takes_little_of_its_replies_is_closed_after_30_s(void **state)
{
    (void)state;
    start_with_unread_replies();
    for (int i = 0; i < 3; i++) {
        read_some(8192);
        assert_int_equal(harness.server->connections.lent, 1);
        harness_wait(&harness, 9.9);
    }
    assert_int_equal(harness.server->connections.lent, 1);
    client_call(&clients[0], 1000, "ping", 0, BYTES("")); /* what it sends makes up for nothing */
    harness_wait(&harness, 0.4);
    assert_int_equal(harness.server->connections.lent, 0);
    assert_int_equal(harness.server->counters.connections_stalled, 1);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

static void who_takes_64_KiB_of_its_replies_in_30_s_may_go_on(void **state)
{
    (void)state;
    start_with_unread_replies();
    harness_wait(&harness, 29.9);
    read_some(SERVER_PROGRESS_BYTES + 8192); /* its socket held some before */
    harness_wait(&harness, 29.5);
    assert_int_equal(harness.server->connections.lent, 1);
    harness_wait(&harness, 0.6);
    assert_int_equal(harness.server->connections.lent, 0);
}

static void assert_numbered(uint32_t msgid)
{
    char begin[32];
    snprintf(begin, sizeof begin, "[1, %u, nil, ", msgid);
    assert_begins(client_must_reply(&harness, &clients[0]), begin);
}

/* Small replies wait on the connection, large ones in their calls, and small ones behind those too. */
static void small_and_large_replies_keep_their_order(void **state)
{
    (void)state;
    start(1);
    fake_engine_hold(harness.engine);
    for (uint32_t i = 0; i < 12; i++)
        client_draw(&clients[0], i, i % 3 == 1 ? 40 : 1);
    harness_turn(&harness);
    assert_true(fake_engine_held(harness.engine) > 3);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    for (uint32_t i = 0; i < 12; i++)
        assert_numbered(i);
    assert_int_equal(last_connection()->inflight, 0);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

enum { PINGS = 3000 };

/* All by one send; the server's socket holds few of the replies. */
static void send_pings_unread(void)
{
    static const char ping[] = "\x94\x00\xcd??\xa4ping\x90";
    static char bytes[PINGS * (sizeof ping - 1)];
    const int small = 1;
    start(1);
    setsockopt(last_connection()->source.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (uint32_t i = 0; i < PINGS; i++) {
        char *at = bytes + i * (sizeof ping - 1);
        memcpy(at, ping, sizeof ping - 1);
        at[3] = (char)(i >> 8);
        at[4] = (char)i;
    }
    client_send(&clients[0], bytes, sizeof bytes);
    harness_turn(&harness);
}

/* They hold no reply buffer, but count for max_inflight until the client has taken them. */
static void replies_on_the_connection_are_under_way(void **state)
{
    (void)state;
    send_pings_unread();
    const struct connection *connection = last_connection();
    assert_true(connection->blocked);
    assert_int_equal(connection->inflight, harness.config.limits.max_inflight);
    assert_int_equal(connection->output_calls, connection->inflight);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
    for (uint32_t i = 0; i < PINGS; i++)
        assert_numbered(i);
    assert_int_equal(connection->inflight, 0);
    assert_int_equal(connection->output_end, 0);
}

static void a_client_may_vanish_with_replies_on_its_connection(void **state)
{
    (void)state;
    send_pings_unread();
    assert_true(last_connection()->output_calls > 0);
    client_close(&clients[0]);
    harness_turn(&harness);
    assert_int_equal(harness.server->connections.lent, 0);
}

/* A socket that has room for some bytes again need not say so: the server asks before it closes. */
static void what_was_read_unnoticed_counts(void **state)
{
    (void)state;
    static uint8_t thrown_away[96u << 10];
    int large = 512 << 10;
    harness.config.limits.max_inflight = 2000;
    harness.config.limits.reply_buffers_bytes = 8u << 20;
    start(1);
    setsockopt(last_connection()->source.fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    fill_reply_room(&clients[0], last_connection());
    harness_wait(&harness, 29.9);
    for (size_t left = sizeof thrown_away; left > 0;) {
        ssize_t got = recv(clients[0].fd, thrown_away, left, 0);
        assert_true(got > 0);
        left -= (size_t)got;
    }
    harness_wait(&harness, 0.2);
    assert_int_equal(harness.server->connections.lent, 1);
    assert_int_equal(harness.server->counters.connections_stalled, 0);
}

/* It takes no replies, and is first in the line for more room. That it is asked again in every
 * round, as others come and go, is no move of its own. */
static void who_takes_no_replies_and_waits_for_room_is_closed_after_30_s(void **state)
{
    (void)state;
    start(9);
    for (uint32_t i = 0; i < 1000 && link_is_alone(&harness.server->borrowers); i++) {
        client_draw(&clients[0], i, 100);
        harness_turn(&harness);
    }
    assert_false(link_is_alone(&harness.server->borrowers));
    fake_engine_hold(harness.engine);
    for (uint32_t i = 1; i < 8; i++) /* what is left to lend, but for less than 8 KiB */
        client_draw(&clients[i], i, 100);
    harness_turn(&harness);
    client_draw(&clients[0], 1000, 100);
    harness_turn(&harness);
    assert_false(link_is_alone(&harness.server->want_reply_room));
    client_call(&clients[8], 77, "ping", 0, BYTES(""));
    for (int i = 0; i < 4; i++) {
        assert_null(client_reply(&clients[8]));
        harness_wait(&harness, 7.4);
    }
    assert_int_equal(harness.server->connections.lent, 9);
    harness_wait(&harness, 0.6);
    assert_int_equal(harness.server->connections.lent, 8);
    const char *text = client_reply(&clients[8]); /* no later event was needed to answer it */
    assert_non_null(text);
    assert_string_equal(text, "[1, 77, nil, \"pong\"]");
    fake_engine_let_go(harness.engine, UINT32_MAX);
    harness_turn(&harness);
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

/* The same client begins to read: everything arrives, in order. */
static void replies_go_on_when_the_client_reads_again(void **state)
{
    (void)state;
    uint32_t sent = 0;
    start(1);
    for (; sent < 1000 && link_is_alone(&harness.server->borrowers); sent++) {
        client_draw(&clients[0], sent, 100);
        harness_turn(&harness);
    }
    assert_true(sent < 1000);
    for (uint32_t i = 0; i < sent; i++) {
        char begin[32];
        snprintf(begin, sizeof begin, "[1, %u, nil, ", i);
        assert_begins(client_must_reply(&harness, &clients[0]), begin);
    }
    assert_true(link_is_alone(&harness.server->borrowers));
    assert_int_equal(budget_lent_bytes(harness.server->replies), 0);
}

/* Told what was wrong, the client must not be able to keep the connection by sending on and on. */
static void a_refused_client_is_rid_of_after_2_s(void **state)
{
    (void)state;
    start(1);
    client_send(&clients[0], BYTES("\xc1"));
    harness_turn(&harness);
    for (int i = 0; i < 19; i++) {
        client_send(&clients[0], BYTES("more"));
        harness_wait(&harness, 0.1);
    }
    assert_int_equal(harness.server->connections.lent, 1);
    harness_wait(&harness, 0.1);
    assert_int_equal(harness.server->connections.lent, 0);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_request_may_come_byte_by_byte),
        TEST(a_connection_may_change_between_pools_with_draws_under_way),
        TEST(refused_draws_name_their_pool),
        TEST(many_requests_may_come_at_once_and_keep_their_order),
        TEST(a_long_request_borrows_a_buffer_and_returns_it),
        TEST(the_longest_request_is_taken_and_one_byte_more_refused),
        TEST(what_is_no_request_closes_its_connection_and_no_other),
        TEST(what_was_asked_before_garbage_is_answered),
        TEST(a_half_closed_connection_gets_its_answers),
        TEST(a_client_may_vanish_with_requests_under_way),
        TEST(no_more_than_max_inflight_are_taken),
        TEST(a_connection_takes_no_more_than_its_share_of_reply_room),
        TEST(one_request_may_take_more_than_a_share),
        TEST(who_takes_no_replies_keeps_no_more_than_its_share),
        TEST(a_connection_waits_for_reply_room_and_is_served_in_turn),
        TEST(a_reply_keeps_only_what_it_needed),
        TEST(small_requests_do_not_overtake_a_large_one),
        TEST(a_long_request_waits_for_a_buffer),
        TEST(a_half_sent_request_is_closed_after_30_s),
        TEST(a_finished_request_gives_the_next_one_30_s),
        TEST(a_long_request_must_go_on_by_64_KiB_in_30_s),
        TEST(a_waiting_client_does_not_stall),
        TEST(replies_that_nobody_takes_close_the_connection_after_30_s),
        TEST(who_takes_little_of_its_replies_is_closed_after_30_s),
        TEST(who_takes_64_KiB_of_its_replies_in_30_s_may_go_on),
        TEST(small_and_large_replies_keep_their_order),
        TEST(replies_on_the_connection_are_under_way),
        TEST(a_client_may_vanish_with_replies_on_its_connection),
        TEST(what_was_read_unnoticed_counts),
        TEST(who_takes_no_replies_and_waits_for_room_is_closed_after_30_s),
        TEST(replies_go_on_when_the_client_reads_again),
        TEST(a_refused_client_is_rid_of_after_2_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
