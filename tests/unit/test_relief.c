/* The network thread in the engine, and its stand-in: server/relief.h. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "server/relief.h"
#include "tests/lib/server_harness.h"

#define REPLY_MS_MAX 30000 /* as good as never: a test that waits so long has failed */

static struct harness harness;
static struct client client, other;

static int set_up(void **state)
{
    (void)state;
    struct urn_error error;
    harness_init(&harness);
    harness.config.limits.max_inflight = 2;
    harness_start(&harness);
    assert_int_equal(relief_begin(harness.server, &error), URN_OK);
    client_open(&harness, &client);
    client_open(&harness, &other);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    client_close(&client);
    client_close(&other);
    harness_turn(&harness);
    relief_end(harness.server);
    harness_end(&harness);
    return 0;
}

static void draw_and_read(struct client *from, uint32_t msgid)
{
    client_draw(from, msgid, 1);
    assert_non_null(client_must_reply(&harness, from));
}

static uint32_t lent(void)
{
    return fake_engine_worked_here(harness.engine);
}

/* ---- when it is lent ------------------------------------------------------------------------- */

static void a_second_lone_draw_lends_the_thread(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    assert_int_equal(lent(), 0);
    draw_and_read(&client, 2);
    assert_int_equal(lent(), 1);
    draw_and_read(&other, 3);
    assert_int_equal(lent(), 2);
}

static void a_reply_comes_in_the_round_of_its_request(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    client_draw(&client, 2, 1);
    loop_round(harness.server, 0);
    assert_int_equal(lent(), 1);
    assert_non_null(client_reply(&client));
}

static void draws_that_come_together_do_not_lend(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    for (uint32_t i = 0; i < 3; i++) {
        client_draw(&client, 2, 1);
        client_draw(&other, 3, 1);
        harness_turn(&harness);
        assert_non_null(client_reply(&client));
        assert_non_null(client_reply(&other));
    }
    assert_int_equal(lent(), 0);
    draw_and_read(&client, 4); /* and the first behind them does not either */
    assert_int_equal(lent(), 0);
}

static void a_draw_beside_one_that_is_under_way_does_not_lend(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    fake_engine_hold(harness.engine);
    client_call(&client, 2, "state", 1, BYTES("\xa4main"));
    harness_turn(&harness);
    assert_int_equal(fake_engine_held(harness.engine), 1);
    for (uint32_t msgid = 3; msgid < 6; msgid++) {
        client_draw(&other, msgid, 1);
        harness_turn(&harness);
    }
    assert_int_equal(lent(), 0);
    fake_engine_let_go(harness.engine, UINT32_MAX);
    assert_non_null(client_must_reply(&harness, &client));
}

static void only_draws_lend(void **state)
{
    (void)state;
    for (uint32_t msgid = 1; msgid < 4; msgid++) {
        client_call(&client, msgid, "state", 1, BYTES("\xa4main"));
        assert_non_null(client_must_reply(&harness, &client));
    }
    assert_int_equal(lent(), 0);
}

static void without_a_stand_in_nothing_is_lent(void **state)
{
    (void)state;
    struct urn_error error;
    relief_end(harness.server);
    draw_and_read(&client, 1);
    draw_and_read(&client, 2);
    assert_int_equal(lent(), 0);
    assert_int_equal(relief_begin(harness.server, &error), URN_OK);
}

/* ---- what it must not change ----------------------------------------------------------------- */

/* The id that the draw of this msgid got; its reply comes next. */
static uint64_t next_id(uint32_t msgid)
{
    uint32_t got = 0;
    uint64_t id = 0;
    const char *reply = client_reply(&client);
    assert_non_null(reply);
    assert_int_equal(sscanf(reply, "[1, %" SCNu32 ", nil, [%" SCNu64, &got, &id), 2);
    assert_int_equal(got, msgid);
    return id;
}

/* The second is read only once a reply before it has left, in the round that would lend for the first. */
static void draws_on_one_connection_stay_in_order(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    draw_and_read(&client, 2);
    client_call(&client, 2, "ping", 0, "", 0);
    client_draw(&client, 3, 1);
    client_draw(&client, 4, 1);
    harness_turn(&harness);
    assert_non_null(client_reply(&client));
    const uint64_t first_id = next_id(3);
    assert_int_equal(next_id(4), first_id + 1);
}

static void what_the_engine_has_to_tell_is_seen(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    for (uint32_t full = 1; full <= 2; full++) { /* and room again */
        fake_engine_log_room(harness.engine, 1, full == 1 ? 0 : 1u << 20);
        draw_and_read(&client, 2);
        assert_int_equal(harness.server->log_is_full, full == 1);
    }
    assert_int_equal(lent(), 2);
}

/* ---- a disk that is slow, or hangs ----------------------------------------------------------------------- */

/* A client beside the network thread, which turns no rounds while it is lent. */
static const char *wait_for_reply(struct client *from)
{
    const char *text = NULL;
    struct pollfd ready = {.fd = from->fd, .events = POLLIN};
    while (text == NULL && poll(&ready, 1, REPLY_MS_MAX) == 1)
        text = client_reply(from);
    return text;
}

static bool pong_comes(void)
{
    const char *text = wait_for_reply(&other);
    return text != NULL && strstr(text, "pong") != NULL;
}

static bool ping_is_answered(uint32_t msgid)
{
    client_call(&other, msgid, "ping", 0, "", 0);
    return pong_comes();
}

static bool draw_is_answered(uint32_t msgid)
{
    client_draw(&other, msgid, 1);
    const char *text = wait_for_reply(&other);
    return text != NULL && strstr(text, "nil") != NULL;
}

struct beside {
    bool asked_before; /* a ping has been sent already */
    bool pinged, drew, pinged_again;
};

static void *ask_meanwhile(void *argument)
{
    struct beside *beside = argument;
    fake_engine_await_hanging(harness.engine);
    beside->pinged = beside->asked_before ? pong_comes() : ping_is_answered(7);
    beside->drew = draw_is_answered(8);
    beside->pinged_again = ping_is_answered(9);
    fake_engine_let_out(harness.engine);
    return NULL;
}

static void others_are_answered_while_it_is_away(void **state)
{
    (void)state;
    draw_and_read(&client, 1);
    for (uint32_t times = 1; times <= 3; times++) { /* and it comes back each time */
        struct beside beside = {false};
        pthread_t thread;
        const uint32_t lent_before = lent();
        fake_engine_hang(harness.engine, false);
        assert_int_equal(pthread_create(&thread, NULL, ask_meanwhile, &beside), 0);
        client_draw(&client, 2, 1);
        loop_round(harness.server, 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(beside.pinged);
        assert_true(beside.drew);
        assert_true(beside.pinged_again);
        assert_int_equal(lent(), lent_before + 1);
        assert_non_null(client_must_reply(&harness, &client));
        draw_and_read(&client, 3);
    }
}

/* They come in one round, and the network thread is away as soon as it has seen them. */
static void what_came_with_it_is_answered_before(void **state)
{
    (void)state;
    struct beside beside = {.asked_before = true};
    pthread_t thread;
    draw_and_read(&client, 1);
    client_call(&other, 6, "ping", 0, "", 0);
    client_draw(&client, 2, 1);
    fake_engine_hang(harness.engine, false);
    assert_int_equal(pthread_create(&thread, NULL, ask_meanwhile, &beside), 0);
    loop_round(harness.server, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(beside.pinged && beside.drew && beside.pinged_again);
    assert_non_null(client_must_reply(&harness, &client));
}

/* A sync takes longer than RELIEF_SLOW_NS, by the server's clock. */
static uint64_t slow_clock_ns(void)
{
    static uint64_t now_ns = 1000000000u;
    now_ns += RELIEF_SLOW_NS + 1;
    return now_ns;
}

static void little_is_lent_to_a_disk_that_is_slow(void **state)
{
    (void)state;
    harness.server->clock_ns = slow_clock_ns;
    for (uint32_t i = 0; i < 3; i++)
        draw_and_read(&client, 1);
    assert_int_equal(lent(), 2); /* one may be an accident */
    for (uint32_t i = 0; i < RELIEF_SPARED; i++)
        draw_and_read(&client, 1);
    assert_int_equal(lent(), 2);
    draw_and_read(&client, 1); /* a look whether it is better by now */
    assert_int_equal(lent(), 3);
    for (uint32_t i = 0; i < RELIEF_SPARED; i++)
        draw_and_read(&client, 1);
    assert_int_equal(lent(), 3);
}

static void *stop_meanwhile(void *argument)
{
    struct beside *beside = argument;
    char byte;
    fake_engine_await_hanging(harness.engine);
    server_request_stop(harness.server);
    struct pollfd ready = {.fd = other.fd, .events = POLLIN};
    beside->pinged = poll(&ready, 1, REPLY_MS_MAX) == 1 && recv(other.fd, &byte, 1, 0) == 0;
    fake_engine_let_out(harness.engine);
    return NULL;
}

static void a_stop_begins_while_it_is_away(void **state)
{
    (void)state;
    struct beside beside = {.pinged = false};
    pthread_t thread;
    draw_and_read(&client, 1);
    fake_engine_hang(harness.engine, false);
    assert_int_equal(pthread_create(&thread, NULL, stop_meanwhile, &beside), 0);
    client_draw(&client, 2, 1);
    loop_round(harness.server, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(beside.pinged); /* its connection was ended */
    assert_non_null(client_must_reply(&harness, &client));
}

/* The clock of the round that the stand-in runs when the other comes back: it sees to it that it is one. */
static _Atomic bool comes_back;
static pthread_t network_thread;
static uint64_t (*clock_before)(void);

static uint64_t let_it_come_back(void)
{
    if (!pthread_equal(pthread_self(), network_thread) && atomic_exchange(&comes_back, false)) {
        fake_engine_let_out(harness.engine);
        while (atomic_load(&harness.server->relief.lends) % 2 == 1)
            usleep(1000);
    }
    return clock_before();
}

static void *draw_meanwhile(void *argument)
{
    bool *was_answered = argument;
    fake_engine_await_hanging(harness.engine);
    *was_answered = wait_for_reply(&client) != NULL;
    atomic_store(&comes_back, true);
    client_draw(&client, 3, 1);
    return NULL;
}

static void who_stands_in_is_not_lent(void **state)
{
    (void)state;
    bool was_answered = false;
    pthread_t thread;
    network_thread = pthread_self();
    clock_before = harness.server->clock_ns;
    harness.server->clock_ns = let_it_come_back;
    draw_and_read(&client, 1);
    fake_engine_hang(harness.engine, true);
    assert_int_equal(pthread_create(&thread, NULL, draw_meanwhile, &was_answered), 0);
    client_draw(&client, 2, 1);
    loop_round(harness.server, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(was_answered);
    assert_non_null(client_must_reply(&harness, &client));
    assert_int_equal(lent(), 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_second_lone_draw_lends_the_thread),
        TEST(a_reply_comes_in_the_round_of_its_request),
        TEST(draws_that_come_together_do_not_lend),
        TEST(a_draw_beside_one_that_is_under_way_does_not_lend),
        TEST(only_draws_lend),
        TEST(without_a_stand_in_nothing_is_lent),
        TEST(draws_on_one_connection_stay_in_order),
        TEST(what_the_engine_has_to_tell_is_seen),
        TEST(little_is_lent_to_a_disk_that_is_slow),
        TEST(a_stop_begins_while_it_is_away),
        TEST(others_are_answered_while_it_is_away),
        TEST(what_came_with_it_is_answered_before),
        TEST(who_stands_in_is_not_lent),
    };
    return cmocka_run_group_tests_name("relief", tests, NULL, NULL);
}
