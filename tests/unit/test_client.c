/* test_client.c: liburnclient against a server that is only a listening socket.
 *
 * A client begins with message id 0, so a test can put the answers into the socket before it makes
 * the calls, and look at the requests afterwards: no threads and no waiting, but where a test is
 * about both sides being full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <msgpack.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/client.h"
#include "tests/lib/peer.h"

/* A lookup's result with this item and index. */
#define LOOKUP_MAP(item_id, index)                                                                 \
    "\x87\xaarequest_id\x05\xa4pool\xa4main\xa7item_id" item_id "\xa5index" index                  \
    "\xacodds_version\x06\xa7time_us\x07\xa3lsn\x08"

/* ---- the other side ---------------------------------------------------------------------- */

struct server {
    struct peer peer;
    struct urnclient *client;
};

static void server_start_with(struct server *server, struct urnclient_options options)
{
    struct urnclient_error error;
    peer_listen(&server->peer);
    options.address = server->peer.address;
    assert_int_equal(urnclient_connect(&options, &server->client, &error), URNCLIENT_OK);
    peer_accept(&server->peer);
}

static void server_start(struct server *server)
{
    server_start_with(server, (struct urnclient_options){.address = NULL});
}

static void server_stop(struct server *server)
{
    urnclient_close(server->client);
    peer_stop(&server->peer);
}

static void pack_pong(struct server *server, uint32_t msgid)
{
    peer_pack_answer(&server->peer, msgid);
    peer_pack_text(&server->peer, "pong");
}

/* Reads one request that has been sent and compares it, printed by msgpack-c. */
static void expect_request(struct server *server, const char *expected)
{
    char bytes[512];
    char printed[1024] = "";
    ssize_t got = recv(server->peer.connection, bytes, sizeof bytes, MSG_DONTWAIT);
    assert_true(got > 0);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t end = 0;
    assert_int_equal(msgpack_unpack_next(&unpacked, bytes, (size_t)got, &end),
                     MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(end, got);
    msgpack_object_print_buffer(printed, sizeof printed, unpacked.data);
    assert_string_equal(printed, expected);
    msgpack_unpacked_destroy(&unpacked);
}

/* ---- plain calls ------------------------------------------------------------------------- */

static void ping_is_answered(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    server_start(&server);
    pack_pong(&server, 0);
    peer_send(&server.peer);
    assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"ping\", []]");
    assert_int_equal(urnclient_in_flight(server.client), 0);
    server_stop(&server);
}

static void pack_draw_begin(struct server *server, uint32_t msgid)
{
    peer_pack_answer(&server->peer, msgid);
    msgpack_pack_array(&server->peer.pack, 5);
    msgpack_pack_uint64(&server->peer.pack, 9007199254740991u);
}

static void pack_draw_end(struct server *server, uint32_t failed)
{
    msgpack_pack_uint32(&server->peer.pack, failed);
    msgpack_pack_int(&server->peer.pack, 3);
    msgpack_pack_false(&server->peer.pack);
}

static void draw_gives_names(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_draw draw;
    server_start(&server);
    pack_draw_begin(&server, 0);
    msgpack_pack_array(&server.peer.pack, 4);
    peer_pack_text(&server.peer, "diamond");
    peer_pack_text(&server.peer, "an item id of more than thirty-one bytes");
    peer_pack_text(&server.peer, "x");
    msgpack_pack_nil(&server.peer.pack);
    pack_draw_end(&server, 1);
    peer_send(&server.peer);
    assert_int_equal(
        urnclient_draw(server.client, "main", 4, URNCLIENT_NAMES, false, &draw, &error),
        URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"draw\", [\"main\", 4]]");
    assert_int_equal(draw.first_request_id, 9007199254740991u);
    assert_int_equal(draw.count, 4);
    assert_int_equal(draw.failed, 1);
    assert_int_equal(draw.odds_version, 3);
    assert_false(draw.replayed);
    assert_int_equal(draw.as, URNCLIENT_NAMES);
    assert_string_equal(draw.names[0].bytes, "diamond");
    assert_int_equal(draw.names[0].length, 7);
    assert_string_equal(draw.names[1].bytes, "an item id of more than thirty-one bytes");
    assert_string_equal(draw.names[2].bytes, "x");
    assert_null(draw.names[3].bytes);
    urnclient_draw_free(&draw);
    urnclient_draw_free(&draw); /* a freed result may be freed again */
    server_stop(&server);
}

static void draw_gives_indexes_and_tallies(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_draw draw;
    server_start(&server);
    pack_draw_begin(&server, 0);
    msgpack_pack_array(&server.peer.pack, 3);
    msgpack_pack_int(&server.peer.pack, 5);
    msgpack_pack_nil(&server.peer.pack);
    msgpack_pack_int(&server.peer.pack, 70000);
    pack_draw_end(&server, 1);
    peer_send(&server.peer);
    assert_int_equal(
        urnclient_draw(server.client, "main", 3, URNCLIENT_INDEXES, false, &draw, &error),
        URNCLIENT_OK);
    expect_request(&server,
                   "[0, 0, \"draw\", [\"main\", 3, {\"as\"=>\"indexes\", \"all\"=>false}]]");
    assert_int_equal(draw.count, 3);
    assert_int_equal(draw.indexes[0], 5);
    assert_int_equal(draw.indexes[1], URNCLIENT_FAILED_DRAW);
    assert_int_equal(draw.indexes[2], 70000);
    urnclient_draw_free(&draw);

    pack_draw_begin(&server, 1);
    msgpack_pack_map(&server.peer.pack, 2);
    peer_pack_text(&server.peer, "mud");
    msgpack_pack_int(&server.peer.pack, 998);
    peer_pack_text(&server.peer, "gold");
    msgpack_pack_int(&server.peer.pack, 2);
    pack_draw_end(&server, 0);
    peer_send(&server.peer);
    assert_int_equal(
        urnclient_draw(server.client, "main", 1000, URNCLIENT_TALLY, true, &draw, &error),
        URNCLIENT_OK);
    expect_request(&server,
                   "[0, 1, \"draw\", [\"main\", 1000, {\"as\"=>\"tally\", \"all\"=>true}]]");
    assert_int_equal(draw.count, 2);
    assert_string_equal(draw.tally[0].item_id.bytes, "mud");
    assert_int_equal(draw.tally[0].drawn, 998);
    assert_string_equal(draw.tally[1].item_id.bytes, "gold");
    assert_int_equal(draw.tally[1].drawn, 2);
    urnclient_draw_free(&draw);
    server_stop(&server);
}

static void pack_state(struct server *server, uint32_t msgid)
{
    peer_pack_answer(&server->peer, msgid);
    msgpack_pack_map(&server->peer.pack, 8);
    peer_pack_text(&server->peer, "pool");
    peer_pack_text(&server->peer, "main");
    peer_pack_text(&server->peer, "a key of a newer server");
    msgpack_pack_nil(&server->peer.pack);
    peer_pack_text(&server->peer, "open");
    msgpack_pack_true(&server->peer.pack);
    peer_pack_text(&server->peer, "odds_version");
    msgpack_pack_int(&server->peer.pack, 2);
    peer_pack_text(&server->peer, "last_request_id");
    msgpack_pack_int(&server->peer.pack, 0);
    peer_pack_text(&server->peer, "lsn");
    msgpack_pack_int(&server->peer.pack, 8192);
    peer_pack_text(&server->peer, "total");
    msgpack_pack_int(&server->peer.pack, 3);
    peer_pack_text(&server->peer, "items");
    msgpack_pack_array(&server->peer.pack, 2);
    for (int i = 0; i < 2; i++) {
        msgpack_pack_map(&server->peer.pack, 5);
        peer_pack_text(&server->peer, "item_id");
        peer_pack_text(&server->peer, i == 0 ? "diamond" : "mud");
        peer_pack_text(&server->peer, "index");
        msgpack_pack_int(&server->peer.pack, i + 1);
        peer_pack_text(&server->peer, "quantity");
        msgpack_pack_int(&server->peer.pack, i == 0 ? 100 : -1);
        peer_pack_text(&server->peer, "probability");
        msgpack_pack_int(&server->peer.pack, 10);
        peer_pack_text(&server->peer, "drawn");
        msgpack_pack_int(&server->peer.pack, 7);
    }
}

static void state_gives_items(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_state stock;
    server_start(&server);
    pack_state(&server, 0);
    peer_send(&server.peer);
    assert_int_equal(urnclient_state(server.client, "main", 1, 2, &stock, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"state\", [\"main\", {\"offset\"=>1, \"limit\"=>2}]]");
    assert_string_equal(stock.pool.bytes, "main");
    assert_true(stock.open);
    assert_int_equal(stock.odds_version, 2);
    assert_int_equal(stock.last_request_id, 0);
    assert_int_equal(stock.lsn, 8192);
    assert_int_equal(stock.total, 3);
    assert_int_equal(stock.count, 2);
    assert_string_equal(stock.items[0].item_id.bytes, "diamond");
    assert_int_equal(stock.items[0].quantity, 100);
    assert_int_equal(stock.items[1].quantity, URNCLIENT_UNLIMITED);
    assert_int_equal(stock.items[1].index, 2);
    assert_int_equal(stock.items[1].probability, 10);
    assert_int_equal(stock.items[1].drawn, 7);
    urnclient_state_free(&stock);
    server_stop(&server);
}

static void catalog_and_pools_give_names(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_names names;
    server_start(&server);
    peer_pack_answer(&server.peer, 0);
    msgpack_pack_array(&server.peer.pack, 3);
    msgpack_pack_int(&server.peer.pack, 4);
    msgpack_pack_int(&server.peer.pack, 9);
    msgpack_pack_array(&server.peer.pack, 1);
    peer_pack_text(&server.peer, "mud");
    peer_send(&server.peer);
    assert_int_equal(urnclient_catalog(server.client, "main", 8, 1, &names, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"catalog\", [\"main\", {\"offset\"=>8, \"limit\"=>1}]]");
    assert_int_equal(names.odds_version, 4);
    assert_int_equal(names.total, 9);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.names[0].bytes, "mud");
    urnclient_names_free(&names);

    peer_pack_answer(&server.peer, 1);
    msgpack_pack_array(&server.peer.pack, 2);
    peer_pack_text(&server.peer, "main");
    peer_pack_text(&server.peer, "second");
    peer_send(&server.peer);
    assert_int_equal(urnclient_pools(server.client, &names, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 1, \"pools\", []]");
    assert_int_equal(names.total, 2);
    assert_int_equal(names.count, 2);
    assert_string_equal(names.names[1].bytes, "second");
    urnclient_names_free(&names);
    server_stop(&server);
}

static void info_gives_any_value(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_info info;
    server_start(&server);
    peer_pack_answer(&server.peer, 0);
    msgpack_pack_map(&server.peer.pack, 6);
    peer_pack_text(&server.peer, "version");
    peer_pack_text(&server.peer, "0.1.0");
    peer_pack_text(&server.peer, "up");
    msgpack_pack_true(&server.peer.pack);
    peer_pack_text(&server.peer, "below");
    msgpack_pack_int(&server.peer.pack, -5);
    peer_pack_text(&server.peer, "real");
    msgpack_pack_double(&server.peer.pack, 0.25);
    peer_pack_text(&server.peer, "list");
    msgpack_pack_array(&server.peer.pack, 2);
    msgpack_pack_nil(&server.peer.pack);
    msgpack_pack_map(&server.peer.pack, 0);
    peer_pack_text(&server.peer, "");
    peer_pack_text(&server.peer, "");
    peer_send(&server.peer);
    assert_int_equal(urnclient_info(server.client, &info, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"info\", []]");
    assert_int_equal(info.value.type, URNCLIENT_MAP);
    assert_int_equal(info.value.count, 6);
    assert_string_equal(urnclient_find(&info.value, "version")->text.bytes, "0.1.0");
    assert_true(urnclient_find(&info.value, "up")->truth);
    assert_int_equal(urnclient_find(&info.value, "below")->negative, -5);
    assert_true(urnclient_find(&info.value, "real")->real == 0.25);
    const struct urnclient_value *list = urnclient_find(&info.value, "list");
    assert_int_equal(list->count, 2);
    assert_int_equal(list->elements[0].type, URNCLIENT_NIL);
    assert_int_equal(list->elements[1].type, URNCLIENT_MAP);
    assert_string_equal(urnclient_find(&info.value, "")->text.bytes, "");
    assert_null(urnclient_find(&info.value, "none"));
    assert_null(urnclient_find(list, "none"));
    urnclient_info_free(&info);
    server_stop(&server);
}

/* ---- errors ------------------------------------------------------------------------------ */

static void a_refusal_says_code_text_and_consequences(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *code, *text;
        bool may_have_taken_effect;
        enum urnclient_retry retry;
    } cases[] = {
        {"NOPOOL no pool is called \"x\"", "NOPOOL", "no pool is called \"x\"", false,
         URNCLIENT_RETRY_NO},
        {"BUSY", "BUSY", "", false, URNCLIENT_RETRY_YES},
        {"INDOUBT the log failed", "INDOUBT", "the log failed", true, URNCLIENT_RETRY_AFTER_A_LOOK},
        {"NEWCODE of a newer server", "NEWCODE", "of a newer server", true,
         URNCLIENT_RETRY_AFTER_A_LOOK},
        {"no code at all", "", "no code at all", true, URNCLIENT_RETRY_AFTER_A_LOOK},
        {"TOOLONGFORACODEOFOURS x", "", "TOOLONGFORACODEOFOURS x", true,
         URNCLIENT_RETRY_AFTER_A_LOOK},
        {"", "", "", true, URNCLIENT_RETRY_AFTER_A_LOOK},
    };
    struct server server;
    server_start(&server);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct urnclient_error error;
        struct urnclient_draw draw;
        peer_pack_error(&server.peer, i, cases[i].sent);
        peer_send(&server.peer);
        assert_int_equal(
            urnclient_draw(server.client, "x", 1, URNCLIENT_NAMES, false, &draw, &error),
            URNCLIENT_REFUSED);
        assert_int_equal(error.status, URNCLIENT_REFUSED);
        assert_string_equal(error.code, cases[i].code);
        assert_string_equal(error.text, cases[i].text);
        assert_int_equal(error.may_have_taken_effect, cases[i].may_have_taken_effect);
        assert_int_equal(error.retry, cases[i].retry);
        assert_null(draw.owned);
    }
    server_stop(&server);
}

static void a_lost_connection_leaves_a_draw_in_doubt(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_draw draw;
    server_start(&server);
    shutdown(server.peer.connection, SHUT_WR);
    assert_int_equal(urnclient_draw(server.client, "x", 1, URNCLIENT_NAMES, false, &draw, &error),
                     URNCLIENT_LOST);
    assert_true(error.may_have_taken_effect);
    assert_int_equal(error.retry, URNCLIENT_RETRY_AFTER_A_LOOK);
    assert_non_null(strstr(error.text, "the server closed the connection"));
    assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_LOST);
    assert_false(error.may_have_taken_effect);
    server_stop(&server);
}

static void answers_before_the_end_are_received(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_reply reply;
    uint32_t first, second;
    struct urnclient_call ping = {.method = URNCLIENT_PING};
    server_start(&server);
    assert_int_equal(urnclient_send(server.client, &ping, &first, &error), URNCLIENT_OK);
    assert_int_equal(urnclient_send(server.client, &ping, &second, &error), URNCLIENT_OK);
    peer_pack_error(&server.peer, first, "BADREQ what was that");
    peer_send(&server.peer);
    close(server.peer
              .connection); /* requests will hit a closed socket: the answer must survive that */
    server.peer.connection = -1;
    assert_int_equal(urnclient_receive(server.client, second, &reply, &error), URNCLIENT_LOST);
    assert_int_equal(urnclient_receive(server.client, first, &reply, &error), URNCLIENT_REFUSED);
    assert_string_equal(error.code, "BADREQ");
    assert_int_equal(urnclient_send(server.client, &ping, &first, &error), URNCLIENT_LOST);
    server_stop(&server);
}

static void a_late_answer_is_dropped(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_draw draw;
    server_start_with(&server, (struct urnclient_options){.call_timeout_ms = 1});
    assert_int_equal(urnclient_draw(server.client, "x", 1, URNCLIENT_NAMES, false, &draw, &error),
                     URNCLIENT_TIMEOUT);
    assert_true(error.may_have_taken_effect);
    assert_int_equal(urnclient_in_flight(server.client), 0);
    pack_pong(&server, 0);
    pack_pong(&server, 1);
    peer_send(&server.peer);
    assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_OK);
    server_stop(&server);
}

static void an_answer_in_pieces_is_put_together(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_reply reply;
    uint32_t msgid;
    server_start_with(&server, (struct urnclient_options){.call_timeout_ms = 1});
    struct urnclient_call call = {.method = URNCLIENT_STATE, .pool = "main", .limit = 2};
    assert_int_equal(urnclient_send(server.client, &call, &msgid, &error), URNCLIENT_OK);
    pack_state(&server, msgid);
    size_t length = server.peer.buffer.size;
    for (size_t at = 0; at < length; at += 40) {
        size_t piece = length - at < 40 ? length - at : 40;
        assert_int_equal(write(server.peer.connection, server.peer.buffer.data + at, piece), piece);
        enum urnclient_status expected = at + piece == length ? URNCLIENT_OK : URNCLIENT_TIMEOUT;
        assert_int_equal(urnclient_receive(server.client, msgid, &reply, &error), expected);
    }
    assert_string_equal(reply.state.items[1].item_id.bytes, "mud");
    urnclient_reply_free(&reply);
    server_stop(&server);
}

#define BYTES(literal) (literal), sizeof(literal) - 1

static void what_no_server_of_urn_sends_is_told_from_it(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } cases[] = {
        {BYTES("HTTP/1.1 400 Bad Request\r\n"), "array of 3 or 4"},
        {BYTES("\x94\x00\x01\xa4ping\x90"), "the client answers nothing"},
        {BYTES("\x94\x01\x07\xc0\xa4pong"), "a request that was not made"},
        {BYTES("\x94\x01\x00\xc0\xc1"), "0xc1"},
        {BYTES("\x94\x01\x00\xc0\xdd\x7f\xff\xff\xff"), "longer than the limit"},
        {BYTES("\x94\x01\x00\xc0\xc0"), "ping's result is not text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server server;
        struct urnclient_error error;
        server_start(&server);
        assert_int_equal(write(server.peer.connection, cases[i].bytes, cases[i].length),
                         cases[i].length);
        assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_PROTOCOL);
        if (strstr(error.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s", i, error.text);
        server_stop(&server);
    }
}

static void results_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const struct {
        enum urnclient_method method;
        enum urnclient_as as;
        const char *result;
        size_t length;
    } cases[] = {
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x80")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x94\x01\x91\xa1x\x00\x01")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\xff\x91\xa1x\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x01\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x91\x01\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x91\xa1x\xc0\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x91\xa1x\x00\xa1x\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x91\xa1x\x00\x01\x00")},
        {URNCLIENT_DRAW, URNCLIENT_INDEXES, BYTES("\x95\x01\x80\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_INDEXES, BYTES("\x95\x01\x91\xa1x\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_INDEXES, BYTES("\x95\x01\x91\xcf\0\0\0\1\0\0\0\0\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x90\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x81\x01\x01\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x81\xa1x\xff\x00\x01\xc2")},
        /* one draw was asked for */
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x90\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_NAMES, BYTES("\x95\x01\x92\xa1x\xa1x\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_INDEXES, BYTES("\x95\x01\x90\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_INDEXES, BYTES("\x95\x01\x92\x00\x00\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x80\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x80\x02\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x81\xa1x\x02\x00\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY, BYTES("\x95\x01\x81\xa1x\x01\x01\x01\xc2")},
        {URNCLIENT_DRAW, URNCLIENT_TALLY,
         BYTES("\x95\x01\x82\xa1x\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1y\x02\x00\x01\xc2")},
        {URNCLIENT_STATE, URNCLIENT_NAMES, BYTES("\x90")},
        {URNCLIENT_STATE, URNCLIENT_NAMES, BYTES("\x80")},
        {URNCLIENT_CATALOG, URNCLIENT_NAMES, BYTES("\x92\x01\x01")},
        {URNCLIENT_CATALOG, URNCLIENT_NAMES, BYTES("\x93\x01\x01\x91\xc0")},
        {URNCLIENT_POOLS, URNCLIENT_NAMES, BYTES("\x91\x01")},
        {URNCLIENT_POOLS, URNCLIENT_NAMES, BYTES("\x81\x01\x01")},
        {URNCLIENT_SNAPSHOT, URNCLIENT_NAMES, BYTES("\xff")},
        {URNCLIENT_LOOKUP, URNCLIENT_NAMES, BYTES("\x80")},
        {URNCLIENT_LOOKUP, URNCLIENT_NAMES, BYTES("\x97\x01\xa1x\xa1x\x00\x01\x01\x01")},
        {URNCLIENT_LOOKUP, URNCLIENT_NAMES, BYTES(LOOKUP_MAP("\xa1x", "\xc0"))},
        {URNCLIENT_LOOKUP, URNCLIENT_NAMES, BYTES(LOOKUP_MAP("\xc0", "\x01"))},
        {URNCLIENT_LOOKUP, URNCLIENT_NAMES, BYTES(LOOKUP_MAP("\x01", "\x01"))},
        {URNCLIENT_LOOKUP, URNCLIENT_NAMES, BYTES(LOOKUP_MAP("\xa1x", "\xff"))},
        {URNCLIENT_CLOSE, URNCLIENT_NAMES, BYTES("\xa1x")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server server;
        struct urnclient_error error;
        struct urnclient_reply reply;
        uint32_t msgid;
        struct urnclient_call call = {
            .method = cases[i].method, .pool = "x", .count = 1, .as = cases[i].as};
        server_start(&server);
        assert_int_equal(urnclient_send(server.client, &call, &msgid, &error), URNCLIENT_OK);
        peer_pack_answer(&server.peer, msgid);
        msgpack_sbuffer_write(&server.peer.buffer, cases[i].result, cases[i].length);
        peer_send(&server.peer);
        if (urnclient_receive(server.client, msgid, &reply, &error) != URNCLIENT_PROTOCOL)
            fail_msg("case %zu was taken", i);
        assert_int_equal(error.may_have_taken_effect,
                         cases[i].method == URNCLIENT_DRAW || cases[i].method == URNCLIENT_CLOSE);
        assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_PROTOCOL);
        server_stop(&server);
    }
}

/* ---- connecting -------------------------------------------------------------------------- */

static enum urnclient_status try_to_connect(const char *address, struct urnclient_error *error)
{
    struct urnclient *client;
    struct urnclient_options options = {.address = address};
    enum urnclient_status status = urnclient_connect(&options, &client, error);
    urnclient_close(client);
    return status;
}

static void addresses_that_cannot_be_read_are_refused(void **state)
{
    (void)state;
    static const char *const addresses[] = {
        "",        "localhost", ":7707",     "localhost:", "localhost:port", "localhost:0",
        "h:65536", "::1:7707",  "[::1:7707", "[]:7707",    "unix:",          "h:-1",
        "h:77 07", "h: 7707",
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct urnclient_error error;
        if (try_to_connect(addresses[i], &error) != URNCLIENT_ARGUMENT)
            fail_msg("\"%s\": %s", addresses[i], error.text);
        assert_non_null(strstr(error.text, "is no address"));
    }
}

static void nobody_listening_is_told_with_address_and_reason(void **state)
{
    (void)state;
    struct urnclient_error error;
    assert_int_equal(try_to_connect("unix:/nonexistent/urn.sock", &error), URNCLIENT_CONNECT);
    assert_string_equal(error.text,
                        "cannot connect to unix:/nonexistent/urn.sock: No such file or directory");
    /* A port that is bound but not listened on refuses. */
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    int bound = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(bound, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(bound, (struct sockaddr *)&name, &length), 0);
    char address[64], expected[128];
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(name.sin_port));
    snprintf(expected, sizeof expected, "cannot connect to %s: Connection refused", address);
    assert_int_equal(try_to_connect(address, &error), URNCLIENT_CONNECT);
    assert_string_equal(error.text, expected);
    close(bound);
}

static void tcp_works_like_a_unix_socket(void **state)
{
    (void)state;
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    struct server server;
    struct urnclient_error error;
    char address[64];
    server_start(&server); /* its client and socket are replaced below */
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &length), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", ntohs(name.sin_port));
    urnclient_close(server.client);
    struct urnclient_options options = {.address = address};
    assert_int_equal(urnclient_connect(&options, &server.client, &error), URNCLIENT_OK);
    close(server.peer.connection);
    server.peer.connection = accept(listener, NULL, NULL);
    pack_pong(&server, 0);
    peer_send(&server.peer);
    assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_OK);
    close(listener);
    server_stop(&server);
}

static void wrong_arguments_send_nothing(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_draw draw;
    struct urnclient_reply reply;
    uint32_t msgid;
    char byte;
    char long_name[66];
    memset(long_name, 'x', sizeof long_name);
    long_name[65] = '\0';
    server_start(&server);
    assert_int_equal(
        urnclient_draw(server.client, long_name, 1, URNCLIENT_NAMES, false, &draw, &error),
        URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_draw(server.client, NULL, 1, URNCLIENT_NAMES, false, &draw, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_receive(server.client, 0, &reply, &error), URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_receive_any(server.client, &msgid, &reply, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_flush(server.client, &error), URNCLIENT_OK);
    assert_int_equal(recv(server.peer.connection, &byte, 1, MSG_DONTWAIT), -1);
    server_stop(&server);
}

/* ---- the pipeline ------------------------------------------------------------------------ */

static void answers_find_their_requests_in_any_order(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_reply reply;
    struct urnclient_call ping = {.method = URNCLIENT_PING};
    struct urnclient_call pools = {.method = URNCLIENT_POOLS};
    uint32_t msgids[5], msgid;
    server_start(&server);
    for (int i = 0; i < 5; i++)
        assert_int_equal(urnclient_send(server.client, i == 2 ? &pools : &ping, &msgids[i], &error),
                         URNCLIENT_OK);
    assert_int_equal(urnclient_in_flight(server.client), 5);
    msgpack_pack_array(&server.peer.pack, 3); /* a notification in between is nobody's */
    msgpack_pack_int(&server.peer.pack, 2);
    peer_pack_text(&server.peer, "news");
    msgpack_pack_array(&server.peer.pack, 0);
    pack_pong(&server, msgids[3]);
    peer_pack_answer(&server.peer, msgids[2]);
    msgpack_pack_array(&server.peer.pack, 0);
    peer_pack_error(&server.peer, msgids[1], "BUSY");
    pack_pong(&server, msgids[0]);
    pack_pong(&server, msgids[4]);
    peer_send(&server.peer);
    /* By id: one from the middle and the newest. The others then come in order of arrival. */
    assert_int_equal(urnclient_receive(server.client, msgids[1], &reply, &error),
                     URNCLIENT_REFUSED);
    assert_int_equal(urnclient_receive(server.client, msgids[4], &reply, &error), URNCLIENT_OK);
    assert_int_equal(urnclient_receive_any(server.client, &msgid, &reply, &error), URNCLIENT_OK);
    assert_int_equal(msgid, msgids[3]);
    assert_int_equal(urnclient_receive_any(server.client, &msgid, &reply, &error), URNCLIENT_OK);
    assert_int_equal(msgid, msgids[2]);
    assert_int_equal(reply.method, URNCLIENT_POOLS);
    assert_int_equal(reply.names.count, 0);
    urnclient_reply_free(&reply);
    assert_int_equal(urnclient_receive_any(server.client, &msgid, &reply, &error), URNCLIENT_OK);
    assert_int_equal(msgid, msgids[0]);
    assert_int_equal(urnclient_in_flight(server.client), 0);
    assert_int_equal(urnclient_receive(server.client, msgids[0], &reply, &error),
                     URNCLIENT_ARGUMENT);
    server_stop(&server);
}

static void requests_in_flight_are_bounded(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_reply reply;
    struct urnclient_call ping = {.method = URNCLIENT_PING};
    uint32_t msgids[4], msgid;
    server_start_with(&server, (struct urnclient_options){.max_in_flight = 3});
    for (int i = 0; i < 4; i++) /* 3 becomes 4 */
        assert_int_equal(urnclient_send(server.client, &ping, &msgids[i], &error), URNCLIENT_OK);
    assert_int_equal(urnclient_send(server.client, &ping, &msgid, &error), URNCLIENT_ARGUMENT);
    pack_pong(&server, msgids[2]);
    peer_send(&server.peer);
    assert_int_equal(urnclient_receive_any(server.client, &msgid, &reply, &error), URNCLIENT_OK);
    /* The slot in the middle is free again and gets an id of its own. */
    assert_int_equal(urnclient_send(server.client, &ping, &msgid, &error), URNCLIENT_OK);
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(msgid, msgids[i]);
    pack_pong(&server, msgid);
    peer_send(&server.peer);
    assert_int_equal(urnclient_receive(server.client, msgid, &reply, &error), URNCLIENT_OK);
    server_stop(&server);
}

/* Answers `count` requests of ping, one by one, with answers of many bytes, and reads nothing while
 * it writes: the way to a standstill with a client that does not read while it writes either. */
struct slow_server {
    int connection;
    uint32_t count;
    uint32_t text_bytes;
    uint64_t read_bytes; /* set by its thread */
    const char *bytes;   /* of send_array: so many elements */
    uint32_t elements;
};

static void send_whole(int connection, const char *bytes, size_t length)
{
    for (size_t sent = 0; sent < length;) {
        ssize_t wrote = send(connection, bytes + sent, length - sent, MSG_NOSIGNAL);
        if (wrote <= 0)
            break;
        sent += (size_t)wrote;
    }
}

/* Answers request 0 with an array. */
static void *send_array(void *context)
{
    const struct slow_server *slow = context;
    const char header[] = {'\x94',
                           1,
                           0,
                           '\xc0',
                           '\xdd',
                           (char)(slow->elements >> 24),
                           (char)(slow->elements >> 16),
                           (char)(slow->elements >> 8),
                           (char)slow->elements};
    send_whole(slow->connection, header, sizeof header);
    send_whole(slow->connection, slow->bytes, slow->elements);
    return NULL;
}

static void *answer_pings(void *context)
{
    struct slow_server *slow = context;
    char *text = calloc(1, slow->text_bytes);
    msgpack_unpacker unpacker;
    msgpack_unpacked unpacked;
    msgpack_sbuffer buffer;
    msgpack_packer pack;
    msgpack_unpacker_init(&unpacker, 65536);
    msgpack_unpacked_init(&unpacked);
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&pack, &buffer, msgpack_sbuffer_write);
    for (uint32_t answered = 0; answered < slow->count;) {
        if (msgpack_unpacker_next(&unpacker, &unpacked) != MSGPACK_UNPACK_SUCCESS) {
            msgpack_unpacker_reserve_buffer(&unpacker, 4096);
            ssize_t got = read(slow->connection, msgpack_unpacker_buffer(&unpacker), 4096);
            if (got <= 0)
                break;
            msgpack_unpacker_buffer_consumed(&unpacker, (size_t)got);
            slow->read_bytes += (uint64_t)got;
            continue;
        }
        msgpack_sbuffer_clear(&buffer);
        msgpack_pack_array(&pack, 4);
        msgpack_pack_int(&pack, 1);
        msgpack_pack_uint64(&pack, unpacked.data.via.array.ptr[1].via.u64);
        msgpack_pack_nil(&pack);
        msgpack_pack_str_with_body(&pack, text, slow->text_bytes);
        send_whole(slow->connection, buffer.data, buffer.size);
        answered++;
    }
    msgpack_sbuffer_destroy(&buffer);
    msgpack_unpacked_destroy(&unpacked);
    msgpack_unpacker_destroy(&unpacker);
    free(text);
    return NULL;
}

static void both_sides_may_be_full(void **state)
{
    (void)state;
    enum { REQUESTS = 40000 };
    struct server server;
    struct urnclient_error error;
    struct urnclient_reply reply;
    struct urnclient_call ping = {.method = URNCLIENT_PING};
    uint32_t msgid;
    pthread_t thread;
    server_start_with(&server, (struct urnclient_options){.max_in_flight = 65536});
    struct slow_server slow = {
        .connection = server.peer.connection, .count = REQUESTS, .text_bytes = 100};
    assert_int_equal(pthread_create(&thread, NULL, answer_pings, &slow), 0);
    for (uint32_t i = 0; i < REQUESTS; i++)
        assert_int_equal(urnclient_send(server.client, &ping, &msgid, &error), URNCLIENT_OK);
    for (uint32_t i = 0; i < REQUESTS; i++)
        assert_int_equal(urnclient_receive_any(server.client, &msgid, &reply, &error),
                         URNCLIENT_OK);
    assert_int_equal(urnclient_in_flight(server.client), 0);
    pthread_join(thread, NULL);
    server_stop(&server);
}

static void large_answers_fit_up_to_the_bound(void **state)
{
    (void)state;
    for (int beyond = 0; beyond < 2; beyond++) {
        struct server server;
        struct urnclient_error error;
        pthread_t thread;
        server_start_with(&server, (struct urnclient_options){.max_reply_bytes = 1000000});
        /* [1, 0, nil, str 32]: 9 bytes before the text */
        struct slow_server slow = {.connection = server.peer.connection,
                                   .count = 1,
                                   .text_bytes = 1000000 - 9 + (uint32_t)beyond};
        assert_int_equal(pthread_create(&thread, NULL, answer_pings, &slow), 0);
        assert_int_equal(urnclient_ping(server.client, &error),
                         beyond ? URNCLIENT_PROTOCOL : URNCLIENT_OK);
        shutdown(urnclient_descriptor(server.client), SHUT_RDWR);
        pthread_join(thread, NULL);
        server_stop(&server);
    }
}

/* ---- changes ----------------------------------------------------------------------------- */

static void pack_number(struct server *server, uint32_t msgid, uint64_t number)
{
    peer_pack_answer(&server->peer, msgid);
    msgpack_pack_uint64(&server->peer.pack, number);
    peer_send(&server->peer);
}

static void update_sends_what_is_given(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    uint64_t odds_version = 0;
    server_start(&server);
    pack_number(&server, 0, 7);
    struct urnclient_update update = {.has_quantity = true, .quantity = URNCLIENT_UNLIMITED};
    assert_int_equal(
        urnclient_update(server.client, "main", "gold", &update, &odds_version, &error),
        URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"update\", [\"main\", \"gold\", {\"quantity\"=>-1}]]");
    assert_int_equal(odds_version, 7);

    pack_number(&server, 1, 9007199254740991u);
    update = (struct urnclient_update){.has_quantity = true,
                                       .has_probability = true,
                                       .has_if_quantity = true,
                                       .quantity = 9007199254740991,
                                       .probability = 9007199254740990,
                                       .if_quantity = 3};
    assert_int_equal(
        urnclient_update(server.client, "main", "gold", &update, &odds_version, &error),
        URNCLIENT_OK);
    expect_request(&server,
                   "[0, 1, \"update\", [\"main\", \"gold\", {\"quantity\"=>9007199254740991, "
                   "\"probability\"=>9007199254740990, \"if_quantity\"=>3}]]");
    assert_int_equal(odds_version, 9007199254740991u);

    pack_number(&server, 2, 8);
    update = (struct urnclient_update){.has_probability = true, .probability = 0};
    assert_int_equal(urnclient_update(server.client, "main", "gold", &update, NULL, &error),
                     URNCLIENT_OK); /* the odds version is not wanted */
    expect_request(&server, "[0, 2, \"update\", [\"main\", \"gold\", {\"probability\"=>0}]]");
    server_stop(&server);
}

static void add_and_create_send_items(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    uint64_t odds_version = 0;
    const struct urnclient_item_spec items[] = {{"x", 1, 2}, {"y", URNCLIENT_UNLIMITED, 0}};
    server_start(&server);
    pack_number(&server, 0, 2);
    assert_int_equal(urnclient_add(server.client, "main", &items[1], &odds_version, &error),
                     URNCLIENT_OK);
    expect_request(&server,
                   "[0, 0, \"add\", [\"main\", \"y\", {\"quantity\"=>-1, \"probability\"=>0}]]");
    assert_int_equal(odds_version, 2);

    pack_number(&server, 1, 1);
    assert_int_equal(urnclient_create(server.client, "new", items, 2, &odds_version, &error),
                     URNCLIENT_OK);
    expect_request(&server, "[0, 1, \"create\", [\"new\", [{\"item_id\"=>\"x\", \"quantity\"=>1, "
                            "\"probability\"=>2}, {\"item_id\"=>\"y\", \"quantity\"=>-1, "
                            "\"probability\"=>0}]]]");
    assert_int_equal(odds_version, 1);

    pack_number(&server, 2, 1);
    assert_int_equal(urnclient_create(server.client, "empty", NULL, 0, NULL, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 2, \"create\", [\"empty\", []]]");
    server_stop(&server);
}

/* One that is longer than everything else that is ever queued, and whose ids are as long as may be. */
static void a_large_catalog_is_sent_whole(void **state)
{
    (void)state;
    enum { ITEMS = 5000 };
    struct server server;
    struct urnclient_error error;
    struct urnclient_reply reply;
    static char ids[ITEMS][65];
    static struct urnclient_item_spec items[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(ids[i], sizeof ids[i], "%064d", i);
        items[i] = (struct urnclient_item_spec){ids[i], 9007199254740991, 9007199254740991u};
    }
    pthread_t thread;
    uint32_t msgid;
    server_start(&server);
    struct slow_server slow = {.connection = server.peer.connection, .count = 2, .text_bytes = 1};
    assert_int_equal(pthread_create(&thread, NULL, answer_pings, &slow), 0);
    struct urnclient_call create = {
        .method = URNCLIENT_CREATE, .pool = "large", .items = items, .item_count = ITEMS};
    assert_int_equal(urnclient_send(server.client, &create, &msgid, &error), URNCLIENT_OK);
    assert_int_equal(urnclient_ping(server.client, &error), URNCLIENT_OK);
    assert_int_equal(urnclient_receive(server.client, msgid, &reply, &error), URNCLIENT_PROTOCOL);
    pthread_join(thread, NULL); /* which has read both requests, and knows a create by its bytes */
    assert_true(slow.read_bytes > ITEMS * 114u && slow.read_bytes < ITEMS * 114u + 100u);
    server_stop(&server);
}

static void pools_are_closed_and_opened(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    uint64_t odds_version = 0;
    server_start(&server);
    pack_number(&server, 0, 4);
    assert_int_equal(urnclient_close_pool(server.client, "main", &odds_version, &error),
                     URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"close\", [\"main\"]]");
    assert_int_equal(odds_version, 4);
    pack_number(&server, 1, 5);
    assert_int_equal(urnclient_open_pool(server.client, "main", &odds_version, &error),
                     URNCLIENT_OK);
    expect_request(&server, "[0, 1, \"open\", [\"main\"]]");
    assert_int_equal(odds_version, 5);
    server_stop(&server);
}

static void a_snapshot_tells_what_it_covers(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    uint64_t lsn = 0;
    server_start(&server);
    pack_number(&server, 0, 123456789012u);
    assert_int_equal(urnclient_snapshot(server.client, &lsn, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"snapshot\", []]");
    assert_int_equal(lsn, 123456789012u);

    peer_pack_error(&server.peer, 1, "BUSY the disk is full");
    peer_send(&server.peer);
    assert_int_equal(urnclient_snapshot(server.client, &lsn, &error), URNCLIENT_REFUSED);
    assert_string_equal(error.code, "BUSY");
    server_stop(&server);
}

static void a_lookup_tells_item_or_failure(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_lookup lookup;
    static const char drawn[] = LOOKUP_MAP("\xa4gold", "\x02");
    static const char failed[] = LOOKUP_MAP("\xc0", "\xc0");
    server_start(&server);
    peer_pack_answer(&server.peer, 0);
    msgpack_sbuffer_write(&server.peer.buffer, drawn, sizeof drawn - 1);
    peer_send(&server.peer);
    assert_int_equal(urnclient_lookup(server.client, 9007199254740991u, &lookup, &error),
                     URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"lookup\", [9007199254740991]]");
    assert_int_equal(lookup.request_id, 5);
    assert_string_equal(lookup.pool.bytes, "main");
    assert_string_equal(lookup.item_id.bytes, "gold");
    assert_int_equal(lookup.index, 2);
    assert_int_equal(lookup.odds_version, 6);
    assert_int_equal(lookup.time_us, 7);
    assert_int_equal(lookup.lsn, 8);
    urnclient_lookup_free(&lookup);
    urnclient_lookup_free(&lookup);

    peer_pack_answer(&server.peer, 1);
    msgpack_sbuffer_write(&server.peer.buffer, failed, sizeof failed - 1);
    peer_send(&server.peer);
    assert_int_equal(urnclient_lookup(server.client, 5, &lookup, &error), URNCLIENT_OK);
    assert_null(lookup.item_id.bytes);
    assert_int_equal(lookup.index, URNCLIENT_FAILED_DRAW);
    urnclient_lookup_free(&lookup);

    peer_pack_error(&server.peer, 2, "NOTFOUND request id 9 is older than what is kept");
    peer_send(&server.peer);
    assert_int_equal(urnclient_lookup(server.client, 9, &lookup, &error), URNCLIENT_REFUSED);
    assert_string_equal(error.code, "NOTFOUND");
    assert_false(error.may_have_taken_effect);
    assert_int_equal(error.retry, URNCLIENT_RETRY_NO);
    assert_null(lookup.owned);
    server_stop(&server);
}

static void reload_gives_the_report(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    struct urnclient_info report;
    server_start(&server);
    peer_pack_answer(&server.peer, 0);
    msgpack_pack_map(&server.peer.pack, 2);
    peer_pack_text(&server.peer, "new_pools");
    msgpack_pack_int(&server.peer.pack, 3);
    peer_pack_text(&server.peer, "changes");
    msgpack_pack_array(&server.peer.pack, 0);
    peer_send(&server.peer);
    assert_int_equal(urnclient_reload(server.client, true, false, &report, &error), URNCLIENT_OK);
    expect_request(&server, "[0, 0, \"reload\", [{\"dry_run\"=>true, \"force\"=>false}]]");
    assert_int_equal(urnclient_find(&report.value, "new_pools")->number, 3);
    assert_int_equal(urnclient_find(&report.value, "changes")->count, 0);
    urnclient_info_free(&report);

    peer_pack_error(&server.peer, 1, "BADARG urn.yaml:3:1: unknown key");
    peer_send(&server.peer);
    assert_int_equal(urnclient_reload(server.client, false, true, &report, &error),
                     URNCLIENT_REFUSED);
    expect_request(&server, "[0, 1, \"reload\", [{\"dry_run\"=>false, \"force\"=>true}]]");
    assert_null(report.owned);
    server_stop(&server);
}

/* What a change came to is unknown when its answer does not come; a snapshot may be asked for again. */
static void a_lost_connection_leaves_a_change_in_doubt(void **state)
{
    (void)state;
    static const struct {
        enum urnclient_method method;
        bool may_have_taken_effect;
    } cases[] = {
        {URNCLIENT_UPDATE, true},  {URNCLIENT_ADD, true},       {URNCLIENT_CREATE, true},
        {URNCLIENT_CLOSE, true},   {URNCLIENT_OPEN, true},      {URNCLIENT_RELOAD, true},
        {URNCLIENT_STATE, false},  {URNCLIENT_SNAPSHOT, false}, {URNCLIENT_INFO, false},
        {URNCLIENT_LOOKUP, false},
    };
    const struct urnclient_item_spec item = {"x", 1, 1};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct server server;
        struct urnclient_error error;
        struct urnclient_reply reply;
        uint32_t msgid;
        struct urnclient_call call = {.method = cases[i].method,
                                      .pool = "p",
                                      .item_id = "x",
                                      .items = &item,
                                      .item_count = 1};
        server_start(&server);
        assert_int_equal(urnclient_send(server.client, &call, &msgid, &error), URNCLIENT_OK);
        shutdown(server.peer.connection, SHUT_WR);
        assert_int_equal(urnclient_receive(server.client, msgid, &reply, &error), URNCLIENT_LOST);
        assert_int_equal(error.may_have_taken_effect, cases[i].may_have_taken_effect);
        assert_int_equal(error.retry, cases[i].may_have_taken_effect ? URNCLIENT_RETRY_AFTER_A_LOOK
                                                                     : URNCLIENT_RETRY_YES);
        server_stop(&server);
    }
}

static void changes_of_names_that_cannot_be_send_nothing(void **state)
{
    (void)state;
    struct server server;
    struct urnclient_error error;
    char byte;
    char long_name[66];
    memset(long_name, 'x', sizeof long_name);
    long_name[65] = '\0';
    const struct urnclient_update update = {.has_quantity = true};
    const struct urnclient_item_spec items[] = {{"x", 1, 1}, {long_name, 1, 1}};
    const struct urnclient_item_spec nameless = {NULL, 1, 1};
    server_start(&server);
    assert_int_equal(urnclient_update(server.client, "p", "", &update, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_update(server.client, "p", NULL, &update, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_update(server.client, NULL, "x", &update, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_add(server.client, "p", &nameless, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_create(server.client, "p", items, 2, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_non_null(strstr(error.text, "item 1:"));
    assert_int_equal(urnclient_create(server.client, "p", items, UINT32_MAX, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_close_pool(server.client, long_name, NULL, &error),
                     URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_open_pool(server.client, NULL, NULL, &error), URNCLIENT_ARGUMENT);
    assert_int_equal(urnclient_in_flight(server.client), 0);
    assert_int_equal(urnclient_flush(server.client, &error), URNCLIENT_OK);
    assert_int_equal(recv(server.peer.connection, &byte, 1, MSG_DONTWAIT), -1);
    server_stop(&server);
}

/* One byte on the wire is a value of many bytes in memory. */
static void answers_have_no_more_values_than_were_asked_for(void **state)
{
    (void)state;
    static const struct {
        struct urnclient_call call;
        uint32_t values_max; /* of an array of nil beside the 4 + 1 of the message and the array */
    } cases[] = {
        {{.method = URNCLIENT_PING}, 64},
        {{.method = URNCLIENT_DRAW, .pool = "x", .count = 1000}, 1064},
        {{.method = URNCLIENT_DRAW, .pool = "x", .count = 1000, .as = URNCLIENT_TALLY}, 2064},
        {{.method = URNCLIENT_STATE, .pool = "x", .limit = 1000}, 32064},
        {{.method = URNCLIENT_CATALOG, .pool = "x", .limit = 1000}, 1064},
        {{.method = URNCLIENT_POOLS}, 1 << 20},
        {{.method = URNCLIENT_SNAPSHOT}, 64},
        {{.method = URNCLIENT_LOOKUP, .request_id = 1}, 64},
        {{.method = URNCLIENT_INFO}, 1 << 16},
        {{.method = URNCLIENT_RELOAD}, 1 << 16},
        {{.method = URNCLIENT_CLOSE, .pool = "x"}, 64},
    };
    static char nothing[1 << 20];
    memset(nothing, '\xc0', sizeof nothing);
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        bool beyond = i % 2 == 1;
        struct server server;
        struct urnclient_error error;
        struct urnclient_reply reply;
        struct slow_server slow;
        uint32_t msgid;
        pthread_t thread;
        /* [1, msgid, nil, [...]] */
        uint32_t elements = cases[i / 2].values_max - 5 + (uint32_t)beyond;
        server_start(&server);
        slow = (struct slow_server){
            .connection = server.peer.connection, .bytes = nothing, .elements = elements};
        assert_int_equal(pthread_create(&thread, NULL, send_array, &slow), 0);
        assert_int_equal(urnclient_send(server.client, &cases[i / 2].call, &msgid, &error),
                         URNCLIENT_OK);
        enum urnclient_status status = urnclient_receive(server.client, msgid, &reply, &error);
        if (status == URNCLIENT_OK) /* info is any value */
            urnclient_reply_free(&reply);
        else
            assert_int_equal(status, URNCLIENT_PROTOCOL);
        assert_int_equal(strstr(error.text, "more values than were asked for") != NULL, beyond);
        shutdown(urnclient_descriptor(server.client), SHUT_RDWR);
        pthread_join(thread, NULL);
        server_stop(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_is_answered),
        cmocka_unit_test(draw_gives_names),
        cmocka_unit_test(draw_gives_indexes_and_tallies),
        cmocka_unit_test(state_gives_items),
        cmocka_unit_test(catalog_and_pools_give_names),
        cmocka_unit_test(info_gives_any_value),
        cmocka_unit_test(a_refusal_says_code_text_and_consequences),
        cmocka_unit_test(a_lost_connection_leaves_a_draw_in_doubt),
        cmocka_unit_test(answers_before_the_end_are_received),
        cmocka_unit_test(a_late_answer_is_dropped),
        cmocka_unit_test(an_answer_in_pieces_is_put_together),
        cmocka_unit_test(what_no_server_of_urn_sends_is_told_from_it),
        cmocka_unit_test(results_of_another_shape_are_refused),
        cmocka_unit_test(addresses_that_cannot_be_read_are_refused),
        cmocka_unit_test(nobody_listening_is_told_with_address_and_reason),
        cmocka_unit_test(tcp_works_like_a_unix_socket),
        cmocka_unit_test(wrong_arguments_send_nothing),
        cmocka_unit_test(answers_find_their_requests_in_any_order),
        cmocka_unit_test(requests_in_flight_are_bounded),
        cmocka_unit_test(both_sides_may_be_full),
        cmocka_unit_test(large_answers_fit_up_to_the_bound),
        cmocka_unit_test(answers_have_no_more_values_than_were_asked_for),
        cmocka_unit_test(update_sends_what_is_given),
        cmocka_unit_test(add_and_create_send_items),
        cmocka_unit_test(a_large_catalog_is_sent_whole),
        cmocka_unit_test(pools_are_closed_and_opened),
        cmocka_unit_test(a_snapshot_tells_what_it_covers),
        cmocka_unit_test(a_lookup_tells_item_or_failure),
        cmocka_unit_test(reload_gives_the_report),
        cmocka_unit_test(a_lost_connection_leaves_a_change_in_doubt),
        cmocka_unit_test(changes_of_names_that_cannot_be_send_nothing),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
