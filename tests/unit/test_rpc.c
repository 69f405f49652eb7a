/* test_rpc.c: the scanner, the parameters and the writer of proto/, through their headers.
 *
 * Messages are made by msgpack-c's packer, so that what reads them was not written by the same
 * hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msgpack.h>

#include "proto/rpc.h"
#include "proto/rpc_writer.h"

static const struct rpc_bounds server_bounds = {
    .side = RPC_SERVER, .max_message_bytes = 1u << 20, .max_nesting = 16};
static const struct rpc_bounds client_bounds = {
    .side = RPC_CLIENT, .max_message_bytes = 1u << 20, .max_nesting = 16};

/* ---- messages ---------------------------------------------------------------------------- */

struct message {
    msgpack_sbuffer buffer;
    msgpack_packer pack;
};

static void message_make(struct message *message)
{
    msgpack_sbuffer_init(&message->buffer);
    msgpack_packer_init(&message->pack, &message->buffer, msgpack_sbuffer_write);
}

static void message_free(struct message *message)
{
    msgpack_sbuffer_destroy(&message->buffer);
}

static const uint8_t *message_bytes(const struct message *message)
{
    return (const uint8_t *)message->buffer.data;
}

static void pack_text(struct message *message, const char *text)
{
    msgpack_pack_str_with_body(&message->pack, text, strlen(text));
}

static void pack_request(struct message *message, uint32_t msgid, const char *method,
                         size_t parameters)
{
    msgpack_pack_array(&message->pack, 4);
    msgpack_pack_int(&message->pack, 0);
    msgpack_pack_uint32(&message->pack, msgid);
    pack_text(message, method);
    msgpack_pack_array(&message->pack, parameters);
}

/* A small generator of our own, so that a seed means the same everywhere. */
static uint32_t random_next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}

static void pack_random_value(struct message *message, uint64_t *seed, uint32_t depth)
{
    static const size_t lengths[] = {0, 1, 31, 32, 255, 256, 700};
    static const char body[700];
    msgpack_packer *pack = &message->pack;
    uint32_t kinds = depth < 6 ? 11 : 9;
    size_t length = lengths[random_next(seed) % 7];
    uint64_t number =
        ((uint64_t)random_next(seed) << 33 | random_next(seed)) >> (random_next(seed) % 64);
    switch (random_next(seed) % kinds) {
    case 0:
        msgpack_pack_nil(pack);
        break;
    case 1:
        msgpack_pack_true(pack);
        break;
    case 2:
        msgpack_pack_uint64(pack, number);
        break;
    case 3:
        msgpack_pack_int64(pack, -(int64_t)(number >> 1));
        break;
    case 4:
        msgpack_pack_double(pack, (double)number);
        break;
    case 5:
        msgpack_pack_float(pack, 0.5f);
        break;
    case 6:
        msgpack_pack_str_with_body(pack, body, length);
        break;
    case 7:
        msgpack_pack_bin_with_body(pack, body, length);
        break;
    case 8:
        length = random_next(seed) % 20;
        msgpack_pack_ext(pack, length, 5);
        msgpack_pack_ext_body(pack, body, length);
        break;
    default:
        length = random_next(seed) % 20;
        bool is_map = random_next(seed) % 2 == 0;
        if (is_map)
            msgpack_pack_map(pack, length);
        else
            msgpack_pack_array(pack, length);
        for (size_t i = 0; i < length * (is_map ? 2 : 1); i++)
            pack_random_value(message, seed, depth + 3);
    }
}

static enum rpc_scan_result scan_whole(const struct rpc_bounds *bounds, const uint8_t *bytes,
                                       size_t length, struct rpc_scan *scan)
{
    rpc_scan_begin(scan);
    return rpc_scan(scan, bounds, bytes, length);
}

/* ---- scanning ---------------------------------------------------------------------------- */

static void scan_finds_the_end_however_the_bytes_arrive(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 300; round++) {
        uint64_t seed = round;
        struct message message;
        message_make(&message);
        uint32_t parameters = random_next(&seed) % 20;
        pack_request(&message, random_next(&seed), "draw", parameters);
        for (uint32_t i = 0; i < parameters; i++)
            pack_random_value(&message, &seed, 0);
        size_t length = message.buffer.size;
        msgpack_pack_int(&message.pack, 7); /* the next message's first byte */

        struct rpc_scan scan;
        rpc_scan_begin(&scan);
        size_t available = 0;
        while (available < length) {
            assert_int_equal(rpc_scan(&scan, &server_bounds, message_bytes(&message), available),
                             RPC_NEED_MORE);
            available += round % 3 == 0 ? 1 : 1 + random_next(&seed) % 40;
        }
        if (available > message.buffer.size)
            available = message.buffer.size;
        assert_int_equal(rpc_scan(&scan, &server_bounds, message_bytes(&message), available),
                         RPC_COMPLETE);
        assert_int_equal(scan.offset, length);
        message_free(&message);
    }
}

static void scan_takes_pipelined_messages_one_by_one(void **state)
{
    (void)state;
    struct message message;
    message_make(&message);
    for (uint32_t i = 0; i < 5; i++)
        pack_request(&message, UINT32_MAX - i, "ping", 0);
    size_t at = 0;
    for (uint32_t i = 0; i < 5; i++) {
        struct rpc_scan scan;
        assert_int_equal(scan_whole(&server_bounds, message_bytes(&message) + at,
                                    message.buffer.size - at, &scan),
                         RPC_COMPLETE);
        assert_true(scan.has_msgid);
        assert_int_equal(scan.msgid, UINT32_MAX - i);
        at += scan.offset;
    }
    assert_int_equal(at, message.buffer.size);
    message_free(&message);
}

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

static void scan_refuses_what_is_no_message(void **state)
{
    (void)state;
    static const char deep[] = "\x94\x00\x01\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
                               "\x91\x91\x91\x91";
    static const struct {
        const uint8_t *bytes;
        size_t length;
        enum rpc_side side;
        enum rpc_scan_result result;
        const char *reason; /* a part of it */
    } cases[] = {
        {BYTES("G"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\x16"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\xc1"), RPC_SERVER, RPC_BAD, "0xc1"},
        {BYTES("\x90"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\x92"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\x95"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\x84"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\xdd\xff\xff\xff\xff"), RPC_SERVER, RPC_BAD, "array of 3 or 4"},
        {BYTES("\x94\x03"), RPC_SERVER, RPC_BAD, "first element"},
        {BYTES("\x94\xff"), RPC_SERVER, RPC_BAD, "first element"},
        {BYTES("\x94\xa1"), RPC_SERVER, RPC_BAD, "first element"},
        {BYTES("\x94\xd4\x01"), RPC_SERVER, RPC_BAD, "first element"},
        {BYTES("\x94\x01"), RPC_SERVER, RPC_BAD, "response"},
        {BYTES("\x94\x00"), RPC_CLIENT, RPC_BAD, "request"},
        {BYTES("\x93\x00"), RPC_SERVER, RPC_BAD, "have 4 elements"},
        {BYTES("\x94\x02"), RPC_SERVER, RPC_BAD, "have 4 elements"},
        {BYTES("\x93\x01"), RPC_CLIENT, RPC_BAD, "have 4 elements"},
        {BYTES("\x94\x00\xff"), RPC_SERVER, RPC_BAD, "message id"},
        {BYTES("\x94\x00\xc0"), RPC_SERVER, RPC_BAD, "message id"},
        {BYTES("\x94\x00\xd4\x01"), RPC_SERVER, RPC_BAD, "message id"},
        {BYTES("\x94\x00\xcf\0\0\0\1\0\0\0\0"), RPC_SERVER, RPC_BAD, "message id"},
        {BYTES("\x94\x00\x01\x01"), RPC_SERVER, RPC_BAD, "method"},
        {BYTES("\x94\x00\x01\x91"), RPC_SERVER, RPC_BAD, "method"},
        {BYTES("\x93\x02\xc7\x01\x01"), RPC_SERVER, RPC_BAD, "method"},
        {BYTES("\x94\x00\x01\xa1x\x80"), RPC_SERVER, RPC_BAD, "parameters"},
        {BYTES("\x94\x00\x01\xa1x\xc0"), RPC_SERVER, RPC_BAD, "parameters"},
        {BYTES("\x93\x02\xa1x\x01"), RPC_SERVER, RPC_BAD, "parameters"},
        {BYTES("\x94\x00\x01\xa1x\x91\xc1"), RPC_SERVER, RPC_BAD, "0xc1"},
        {BYTES("\x94\x00\x01\xa1x\x91\x81\x01\xc1"), RPC_SERVER, RPC_BAD, "0xc1"},
        {BYTES("\x94\x00\x01\xa1x\xdd\xff\xff\xff\xff"), RPC_SERVER, RPC_TOOBIG, "longer"},
        {BYTES("\x94\x00\x01\xa1x\x91\xdf\xff\xff\xff\xff"), RPC_SERVER, RPC_TOOBIG, "longer"},
        {BYTES("\x94\x00\x01\xa1x\x91\xdb\xff\xff\xff\xff"), RPC_SERVER, RPC_TOOBIG, "longer"},
        {BYTES("\x94\x00\x01\xa1x\x91\xc6\x00\x10\x00\x00"), RPC_SERVER, RPC_TOOBIG, "longer"},
        {BYTES("\x94\x00\x01\xa1x\x91\xc9\x00\x10\x00\x00\x01"), RPC_SERVER, RPC_TOOBIG, "longer"},
        {BYTES("\x94\x00\x01\xdb\x00\x10\x00\x00"), RPC_SERVER, RPC_TOOBIG, "longer"},
        {(const uint8_t *)deep, sizeof deep - 1, RPC_SERVER, RPC_BAD, "nested too deep"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rpc_bounds bounds = server_bounds;
        bounds.side = cases[i].side;
        struct rpc_scan scan;
        rpc_scan_begin(&scan);
        /* Refused at its last byte and not a byte later or earlier. */
        if (rpc_scan(&scan, &bounds, cases[i].bytes, cases[i].length - 1) != RPC_NEED_MORE)
            fail_msg("case %zu is refused early: %s", i, scan.reason);
        enum rpc_scan_result result = rpc_scan(&scan, &bounds, cases[i].bytes, cases[i].length);
        if (result != cases[i].result || strstr(scan.reason, cases[i].reason) == NULL)
            fail_msg("case %zu: result %d, reason %s", i, (int)result, scan.reason);
    }
}

static void scan_keeps_the_id_of_a_refused_request(void **state)
{
    (void)state;
    struct rpc_scan scan;
    assert_int_equal(
        scan_whole(&server_bounds, BYTES("\x94\x00\x2a\xa1x\x91\xdb\xff\xff\xff\xff"), &scan),
        RPC_TOOBIG);
    assert_true(scan.has_msgid);
    assert_int_equal(scan.msgid, 42);
    assert_int_equal(scan_whole(&server_bounds, BYTES("\x93\x02\xdb\xff\xff\xff\xff"), &scan),
                     RPC_TOOBIG);
    assert_false(scan.has_msgid);
}

static void scan_takes_extensions_among_parameters_and_ids_of_any_width(void **state)
{
    (void)state;
    struct rpc_scan scan;
    assert_int_equal(
        scan_whole(&server_bounds, BYTES("\x94\x00\x01\xa1x\x91\xd6\xff\1\2\3\4"), &scan),
        RPC_COMPLETE);
    assert_int_equal(
        scan_whole(&server_bounds, BYTES("\x94\x00\xcf\0\0\0\0\xff\xff\xff\xff\xc4\1x\x90"), &scan),
        RPC_COMPLETE);
    assert_int_equal(scan.msgid, UINT32_MAX);
    assert_int_equal(scan_whole(&server_bounds, BYTES("\x94\xcc\x00\xd1\0\5\xa1x\x90"), &scan),
                     RPC_COMPLETE);
    assert_int_equal(scan.msgid, 5);
    assert_int_equal(scan_whole(&client_bounds, BYTES("\x94\x01\x05\xc0\xa4pong"), &scan),
                     RPC_COMPLETE);
    assert_int_equal(scan.type, RPC_RESPONSE);
    assert_int_equal(scan_whole(&client_bounds, BYTES("\x93\x02\xa1x\x90"), &scan), RPC_COMPLETE);
    assert_int_equal(scan.type, RPC_NOTIFICATION);
}

static void scan_holds_the_length_to_the_byte(void **state)
{
    (void)state;
    /* [0, 1, "x", [str 16 of n bytes]] is 9 + n bytes long. */
    static uint8_t bytes[512] = "\x94\x00\x01\xa1x\x91\xda";
    for (uint32_t body = 0; body < 256; body++) {
        bytes[7] = 0;
        bytes[8] = (uint8_t)body;
        struct rpc_bounds bounds = {RPC_SERVER, 16 + body, 4};
        bounds.max_message_bytes = 9 + body < 16 ? 16 : 9 + body;
        struct rpc_scan scan;
        assert_int_equal(scan_whole(&bounds, bytes, sizeof bytes, &scan), RPC_COMPLETE);
        assert_int_equal(scan.offset, 9 + body);
        if (9 + body <= 16)
            continue;
        bounds.max_message_bytes--;
        assert_int_equal(scan_whole(&bounds, bytes, 9, &scan), RPC_TOOBIG);
    }
}

static void scan_adds_up_what_all_open_containers_expect(void **state)
{
    (void)state;
    /* Each array could follow by itself in 64 bytes; all of them together could not. */
    static const uint8_t arrays[] = "\x94\x00\x01\xa1x\x9f\x9f\x9f\x9f\x9f";
    struct rpc_bounds bounds = {RPC_SERVER, 64, 16};
    struct rpc_scan scan;
    rpc_scan_begin(&scan);
    assert_int_equal(rpc_scan(&scan, &bounds, arrays, 8), RPC_NEED_MORE);
    assert_int_equal(rpc_scan(&scan, &bounds, arrays, 9), RPC_TOOBIG);
}

static void scan_never_asks_for_more_than_the_limit(void **state)
{
    (void)state;
    uint64_t seed = 7;
    static const uint8_t begins[][6] = {"\x94\x00\x01\xa1x", "\x93\x02\xa1y\x9f"};
    for (uint32_t round = 0; round < 20000; round++) {
        uint8_t bytes[48];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (uint8_t)random_next(&seed);
        memcpy(bytes, begins[round % 2], 5);
        if (round % 4 < 2)
            bytes[5] = 0x9f;
        struct rpc_bounds bounds = {RPC_SERVER, 16 + random_next(&seed) % 33, 8};
        struct rpc_scan scan;
        assert_int_not_equal(scan_whole(&bounds, bytes, bounds.max_message_bytes, &scan),
                             RPC_NEED_MORE);
    }
}

/* ---- requests and parameters ------------------------------------------------------------- */

/* Opens a message that rpc_scan() has passed. */
static void open_request(const struct message *message, struct rpc_request *request)
{
    struct rpc_scan scan;
    struct urn_error error;
    assert_int_equal(
        scan_whole(&server_bounds, message_bytes(message), message->buffer.size, &scan),
        RPC_COMPLETE);
    assert_int_equal(
        rpc_request_read(message_bytes(message), message->buffer.size, request, &error), URN_OK);
    assert_int_equal(request->type, scan.type);
    assert_int_equal(request->msgid, scan.msgid);
}

static void parameters_are_read_in_order(void **state)
{
    (void)state;
    struct message message;
    message_make(&message);
    pack_request(&message, 77, "draw", 6);
    pack_text(&message, "main");
    msgpack_pack_bin_with_body(&message.pack, "b\0n", 3);
    msgpack_pack_uint64(&message.pack, UINT64_MAX);
    msgpack_pack_int64(&message.pack, INT64_MIN);
    msgpack_pack_fix_int64(&message.pack, 5); /* a signed encoding of a positive number */
    msgpack_pack_true(&message.pack);

    struct rpc_request request;
    struct urn_error error;
    struct rpc_text text;
    uint64_t number;
    int64_t integer;
    bool truth = false;
    open_request(&message, &request);
    assert_int_equal(request.msgid, 77);
    assert_true(rpc_text_is(request.method, "draw"));
    assert_int_equal(request.params.count, 6);
    assert_int_equal(rpc_param_text(&request.params, "a", &text, &error), URN_OK);
    assert_true(rpc_text_is(text, "main"));
    assert_int_equal(rpc_param_text(&request.params, "b", &text, &error), URN_OK);
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.bytes, "b\0n", 3);
    assert_int_equal(rpc_param_uint(&request.params, "c", 0, UINT64_MAX, &number, &error), URN_OK);
    assert_int_equal(number, UINT64_MAX);
    assert_int_equal(rpc_param_int(&request.params, "d", INT64_MIN, 0, &integer, &error), URN_OK);
    assert_int_equal(integer, INT64_MIN);
    assert_int_equal(rpc_param_uint(&request.params, "e", 5, 5, &number, &error), URN_OK);
    assert_int_equal(number, 5);
    assert_int_equal(rpc_param_bool(&request.params, "f", &truth, &error), URN_OK);
    assert_true(truth);
    assert_int_equal(rpc_param_bool(&request.params, "g", &truth, &error), URN_BADARG);
    assert_string_equal(error.text, "parameter 7 (g) is missing");
    message_free(&message);
}

static void pack_of_kind(struct message *message, const char *kind)
{
    msgpack_packer *pack = &message->pack;
    if (strcmp(kind, "nil") == 0)
        msgpack_pack_nil(pack);
    else if (strcmp(kind, "true") == 0)
        msgpack_pack_true(pack);
    else if (strcmp(kind, "a float") == 0)
        msgpack_pack_double(pack, 1.0);
    else if (strcmp(kind, "a string") == 0)
        pack_text(message, "text");
    else if (strcmp(kind, "binary data") == 0)
        msgpack_pack_bin_with_body(pack, "text", 4);
    else if (strcmp(kind, "an array") == 0)
        msgpack_pack_array(pack, 0);
    else if (strcmp(kind, "a map") == 0)
        msgpack_pack_map(pack, 0);
    else if (strcmp(kind, "an extension value") == 0)
        msgpack_pack_ext(pack, 0, 1);
    else if (strcmp(kind, "18446744073709551615") == 0)
        msgpack_pack_uint64(pack, UINT64_MAX);
    else
        msgpack_pack_int64(pack, strtoll(kind, NULL, 10));
}

static void a_wrong_parameter_says_what_was_expected_and_what_came(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        bool text, number, integer, truth; /* which readers take it */
    } cases[] = {
        {"nil"},
        {"true", .truth = true},
        {"a float"},
        {"a string", .text = true},
        {"binary data", .text = true},
        {"an array"},
        {"a map"},
        {"an extension value"},
        {"0", .integer = true},
        {"1", .number = true, .integer = true},
        {"101"},
        {"-1", .integer = true},
        {"-101"},
        {"-9223372036854775808"},
        {"18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message message;
        struct urn_error error = {.code = URN_OK};
        struct rpc_text text;
        uint64_t number;
        int64_t integer;
        bool truth;
        char expected[200];
        message_make(&message);
        pack_request(&message, 0, "x", 4);
        for (int n = 0; n < 4; n++)
            pack_of_kind(&message, cases[i].kind);
        struct rpc_request request;
        open_request(&message, &request);
        struct rpc_params *params = &request.params;
#define EXPECT(call, takes, words, position)                                                       \
    assert_int_equal(call, (takes) ? URN_OK : URN_BADARG);                                         \
    if (!(takes)) {                                                                                \
        snprintf(expected, sizeof expected, "parameter %d (p): expected %s, got %s", position,     \
                 words, cases[i].kind);                                                            \
        assert_string_equal(error.text, expected);                                                 \
    }
        EXPECT(rpc_param_text(params, "p", &text, &error), cases[i].text, "a string", 1)
        EXPECT(rpc_param_uint(params, "p", 1, 100, &number, &error), cases[i].number,
               "an integer from 1 to 100", 2)
        EXPECT(rpc_param_int(params, "p", -100, 100, &integer, &error), cases[i].integer,
               "an integer from -100 to 100", 3)
        EXPECT(rpc_param_bool(params, "p", &truth, &error), cases[i].truth, "true or false", 4)
#undef EXPECT
        message_free(&message);
    }
}

static void surplus_parameters_are_refused(void **state)
{
    (void)state;
    struct urn_error error;
    struct rpc_params params = {.count = 4};
    assert_int_equal(rpc_params_end(&params, RPC_DRAW, &error), URN_BADARG);
    assert_string_equal(error.text, "draw takes at most 3 parameters, got 4");
    assert_int_equal(rpc_params_end(&params, RPC_PING, &error), URN_BADARG);
    assert_string_equal(error.text, "ping takes no parameters, got 4");
    params.count = 3;
    assert_int_equal(rpc_params_end(&params, RPC_DRAW, &error), URN_OK);
}

/* ---- options ----------------------------------------------------------------------------- */

static const char *const known_options[] = {"as", "all", "limit"};
static const char *const choices[] = {"names", "indexes", "tally"};

/* Takes all options; returns the code, and in *seen which were taken. */
static enum urn_code take_options(const struct message *message, uint32_t *seen,
                                  struct urn_error *error)
{
    struct rpc_request request;
    struct rpc_options options;
    open_request(message, &request);
    *seen = 0;
    if (rpc_param_options(&request.params, known_options, 3, &options, error) != URN_OK)
        return error->code;
    for (;;) {
        uint32_t which, choice;
        uint64_t number;
        bool truth;
        if (rpc_option_next(&options, &which, error) != URN_OK)
            return error->code;
        if (which == 3)
            return URN_OK;
        *seen |= 1u << which;
        enum urn_code code = which == 0   ? rpc_option_choice(&options, choices, 3, &choice, error)
                             : which == 1 ? rpc_option_bool(&options, &truth, error)
                                          : rpc_option_uint(&options, 0, 10, &number, error);
        if (code != URN_OK)
            return code;
    }
}

static void options_may_be_absent_nil_or_empty(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        struct message message;
        struct urn_error error;
        uint32_t seen;
        message_make(&message);
        pack_request(&message, 0, "x", form == 0 ? 0 : 1);
        if (form == 1)
            msgpack_pack_nil(&message.pack);
        else if (form == 2)
            msgpack_pack_map(&message.pack, 0);
        assert_int_equal(take_options(&message, &seen, &error), URN_OK);
        assert_int_equal(seen, 0);
        message_free(&message);
    }
}

static void options_are_known_single_and_of_their_type(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes; /* the map */
        size_t length;
        uint32_t seen;
        const char *error; /* NULL: fine */
    } cases[] = {
        {BYTES("\x82\xa3"
               "all\xc3\xa2"
               "as\xa5tally"),
         3, NULL},
        {BYTES("\x81\xc4\2as\xc4\5names"), 1, NULL},
        {BYTES("\x81\xa5limit\x0a"), 4, NULL},
        {BYTES("\x82\xa3"
               "all\xc3\xa3"
               "all\xc3"),
         2, "option \"all\" is given twice"},
        {BYTES("\x81\xa3"
               "fro\x01"),
         0, "no option is called \"fro\"; there are \"as\", \"all\" and \"limit\""},
        {BYTES("\x81\x05\x01"), 0, "an option's name must be a string, got 5"},
        {BYTES("\x81\xa2"
               "as\xa4name"),
         1, "option \"as\": expected \"names\", \"indexes\" or \"tally\", got \"name\""},
        {BYTES("\x81\xa2"
               "as\x01"),
         1, "option \"as\": expected \"names\", \"indexes\" or \"tally\", got 1"},
        {BYTES("\x81\xa3"
               "all\x01"),
         2, "option \"all\": expected true or false, got 1"},
        {BYTES("\x81\xa5limit\x0b"), 4,
         "option \"limit\": expected an integer from 0 to 10, got 11"},
        {BYTES("\x93\1\2\3"), 0, "parameter 1 (options): expected a map of options, got an array"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message message;
        struct urn_error error = {.code = URN_OK};
        uint32_t seen;
        message_make(&message);
        pack_request(&message, 0, "x", 1);
        msgpack_sbuffer_write(&message.buffer, (const char *)cases[i].bytes, cases[i].length);
        assert_int_equal(take_options(&message, &seen, &error),
                         cases[i].error == NULL ? URN_OK : URN_BADARG);
        assert_int_equal(seen, cases[i].seen);
        if (cases[i].error != NULL)
            assert_string_equal(error.text, cases[i].error);
        message_free(&message);
    }
}

static void reading_stops_at_the_last_byte(void **state)
{
    (void)state;
    struct message message;
    message_make(&message);
    pack_request(&message, 1000, "draw", 3);
    pack_text(&message, "main");
    msgpack_pack_int(&message.pack, 1000);
    msgpack_pack_map(&message.pack, 1);
    pack_text(&message, "as");
    pack_text(&message, "tally");
    for (size_t length = 0; length < message.buffer.size; length++) {
        /* A copy of its own, so that the address sanitizer sees a read beyond it. */
        uint8_t *cut = malloc(length == 0 ? 1 : length);
        memcpy(cut, message_bytes(&message), length);
        struct rpc_request request;
        struct rpc_text text;
        struct rpc_options options;
        struct urn_error error;
        uint64_t number;
        uint32_t which, choice;
        bool whole =
            rpc_request_read(cut, length, &request, &error) == URN_OK &&
            rpc_param_text(&request.params, "pool", &text, &error) == URN_OK &&
            rpc_param_uint(&request.params, "count", 1, 5000, &number, &error) == URN_OK &&
            rpc_param_options(&request.params, known_options, 3, &options, &error) == URN_OK &&
            rpc_option_next(&options, &which, &error) == URN_OK &&
            rpc_option_choice(&options, choices, 3, &choice, &error) == URN_OK;
        assert_false(whole);
        assert_int_equal(error.code, URN_BADREQ);
        free(cut);
    }
    message_free(&message);
}

/* ---- methods and quoting ----------------------------------------------------------------- */

static void every_method_is_found_by_its_name_only(void **state)
{
    (void)state;
    static const char *const names[] = {
#define RPC_METHOD(symbol, name, min, max, parameters, result, meaning) name,
#include "proto/methods.def"
#undef RPC_METHOD
    };
    for (unsigned method = 0; method < RPC_METHOD_COUNT; method++) {
        struct rpc_text text = {names[method], (uint32_t)strlen(names[method])};
        assert_int_equal(rpc_method_find(text), method);
        assert_string_equal(rpc_method_name((enum rpc_method)method), names[method]);
        text.length--;
        assert_int_equal(rpc_method_find(text), RPC_METHOD_COUNT);
    }
    struct urn_error error;
    struct rpc_text text = {"drew", 4};
    assert_int_equal(rpc_method_unknown(text, &error), URN_NOMETHOD);
    assert_string_equal(error.text, "no method is called \"drew\"; there are \"ping\", \"draw\", "
                                    "\"state\", \"catalog\", \"pools\", \"lookup\", \"update\", "
                                    "\"add\", \"create\", \"close\", "
                                    "\"open\", \"reload\", \"snapshot\" and \"info\"");
}

static void quoting_makes_any_bytes_fit_to_print(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *quoted;
    } cases[] = {
        {"main", "\"main\""},
        {"", "\"\""},
        {"gr\xc3\xbc\xc3\x9f\xe2\x82\xac", "\"gr\xc3\xbc\xc3\x9f\xe2\x82\xac\""},
        {"a\nb\x1b[2J\x7f", "\"a\\x0ab\\x1b[2J\\x7f\""},
        {"\xc2\x9b", "\"\\xc2\\x9b\""},                            /* a C1 control: CSI */
        {"\xff\xc3", "\"\\xff\\xc3\""},                            /* not UTF-8 */
        {"\xc0\xaf\xed\xa0\x80", "\"\\xc0\\xaf\\xed\\xa0\\x80\""}, /* overlong; a surrogate */
        {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""},          /* beyond Unicode */
    };
    char quoted[RPC_QUOTED_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rpc_text text = {cases[i].bytes, (uint32_t)strlen(cases[i].bytes)};
        assert_string_equal(rpc_quote(text, quoted), cases[i].quoted);
    }
    char long_text[200];
    memset(long_text, 'x', sizeof long_text);
    static const char euro_sign[3] = {'\xe2', '\x82', '\xac'};
    memcpy(long_text + 63, euro_sign, sizeof euro_sign); /* would be cut through */
    rpc_quote((struct rpc_text){long_text, sizeof long_text}, quoted);
    assert_int_equal(strlen(quoted), 1 + 63 + 4);
    assert_string_equal(quoted + 64, "...\"");
    memset(long_text, '\xff', sizeof long_text);
    rpc_quote((struct rpc_text){long_text, sizeof long_text}, quoted);
    assert_int_equal(strlen(quoted), RPC_QUOTED_BYTES - 1);
}

/* ---- writing ----------------------------------------------------------------------------- */

static const uint32_t edge_lengths[] = {0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65535, 65536};

static void write_everything(struct rpc_writer *writer, const char *body)
{
    rpc_write_nil(writer);
    rpc_write_bool(writer, true);
    rpc_write_bool(writer, false);
    for (int bit = 0; bit < 64; bit++)
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t number = (1ull << bit) + (uint64_t)off;
            rpc_write_uint(writer, number);
            rpc_write_int(writer, (int64_t)number);
            rpc_write_int(writer, (int64_t)(0 - number));
        }
    rpc_write_double(writer, 0.1);
    rpc_write_double(writer, -1e300);
    for (size_t i = 0; i < sizeof edge_lengths / sizeof edge_lengths[0]; i++) {
        rpc_write_str(writer, body, edge_lengths[i]);
        rpc_write_array(writer, edge_lengths[i]);
        rpc_write_map(writer, edge_lengths[i]);
    }
    rpc_write_array(writer, UINT32_MAX);
    rpc_write_map(writer, UINT32_MAX);
    rpc_write_cstr(writer, "text");
}

static void pack_everything(msgpack_packer *pack, const char *body)
{
    msgpack_pack_nil(pack);
    msgpack_pack_true(pack);
    msgpack_pack_false(pack);
    for (int bit = 0; bit < 64; bit++)
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t number = (1ull << bit) + (uint64_t)off;
            msgpack_pack_uint64(pack, number);
            msgpack_pack_int64(pack, (int64_t)number);
            msgpack_pack_int64(pack, (int64_t)(0 - number));
        }
    msgpack_pack_double(pack, 0.1);
    msgpack_pack_double(pack, -1e300);
    for (size_t i = 0; i < sizeof edge_lengths / sizeof edge_lengths[0]; i++) {
        msgpack_pack_str_with_body(pack, body, edge_lengths[i]);
        msgpack_pack_array(pack, edge_lengths[i]);
        msgpack_pack_map(pack, edge_lengths[i]);
    }
    msgpack_pack_array(pack, UINT32_MAX);
    msgpack_pack_map(pack, UINT32_MAX);
    msgpack_pack_str_with_body(pack, "text", 4);
}

static void the_writers_bytes_are_those_of_msgpack_c(void **state)
{
    (void)state;
    static const char body[65536];
    static uint8_t ours[200000];
    struct message theirs;
    struct rpc_writer writer;
    message_make(&theirs);
    pack_everything(&theirs.pack, body);
    rpc_writer_begin(&writer, ours, sizeof ours);
    write_everything(&writer, body);
    assert_false(writer.overflow);
    assert_int_equal(rpc_written_bytes(&writer), theirs.buffer.size);
    assert_memory_equal(ours, message_bytes(&theirs), theirs.buffer.size);
    message_free(&theirs);
}

static void write_a_little_of_all(struct rpc_writer *writer)
{
    rpc_write_result_header(writer, UINT32_MAX);
    rpc_write_array(writer, 5);
    rpc_write_map(writer, 300);
    rpc_write_array(writer, 70000);
    rpc_write_uint(writer, 200);
    rpc_write_int(writer, -40000);
    rpc_write_uint(writer, UINT64_MAX);
    rpc_write_double(writer, 1.5);
    rpc_write_cstr(writer, "a string of more than thirty-one bytes");
    rpc_write_error(writer, 300, URN_NOPOOL, "none");
    rpc_write_nil(writer);
}

static void the_writer_stops_at_the_end_of_its_buffer(void **state)
{
    (void)state;
    uint8_t whole[256];
    struct rpc_writer writer;
    rpc_writer_begin(&writer, whole, sizeof whole);
    write_a_little_of_all(&writer);
    size_t needed = rpc_written_bytes(&writer);
    assert_false(writer.overflow);
    for (size_t capacity = 0; capacity <= needed; capacity++) {
        uint8_t *buffer = malloc(capacity == 0 ? 1 : capacity);
        rpc_writer_begin(&writer, buffer, capacity);
        write_a_little_of_all(&writer);
        assert_int_equal(writer.overflow, capacity < needed);
        assert_true(rpc_written_bytes(&writer) <= capacity);
        /* What was written is a beginning of the whole: nothing follows a value left out. */
        assert_memory_equal(buffer, whole, rpc_written_bytes(&writer));
        free(buffer);
    }
}

static void an_error_reply_is_one_string_of_code_and_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *sent;
    } cases[] = {
        {"no pool is called \"x\"", "NOPOOL no pool is called \"x\""},
        {"gr\xc3\xbc\xc3\x9f", "NOPOOL gr\xc3\xbc\xc3\x9f"},
        {"a\xff"
         "b\x80",
         "NOPOOL a?b?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t buffer[RPC_ERROR_REPLY_BYTES_MAX];
        struct rpc_writer writer;
        struct message expected;
        rpc_writer_begin(&writer, buffer, sizeof buffer);
        rpc_write_error(&writer, 9, URN_NOPOOL, cases[i].text);
        message_make(&expected);
        msgpack_pack_array(&expected.pack, 4);
        msgpack_pack_int(&expected.pack, 1);
        msgpack_pack_int(&expected.pack, 9);
        pack_text(&expected, cases[i].sent);
        msgpack_pack_nil(&expected.pack);
        assert_int_equal(rpc_written_bytes(&writer), expected.buffer.size);
        assert_memory_equal(buffer, message_bytes(&expected), expected.buffer.size);
        message_free(&expected);
    }
}

static void a_long_error_is_cut_between_characters(void **state)
{
    (void)state;
    for (uint32_t shift = 0; shift < 4; shift++) {
        char text[1024] = "xxxx";
        for (size_t at = shift; at + 4 < sizeof text; at += 4)
            memcpy(text + at, "\xf0\x9f\x8e\xb2", 5);
        uint8_t buffer[RPC_ERROR_REPLY_BYTES_MAX];
        struct rpc_writer writer;
        struct rpc_scan scan;
        rpc_writer_begin(&writer, buffer, sizeof buffer);
        rpc_write_error(&writer, UINT32_MAX, URN_READONLY, text);
        assert_false(writer.overflow);
        assert_int_equal(scan_whole(&client_bounds, buffer, rpc_written_bytes(&writer), &scan),
                         RPC_COMPLETE);
        uint32_t length = (uint32_t)buffer[8] << 8 | buffer[9];
        assert_int_equal(buffer[7], 0xda);
        assert_in_range(length, RPC_ERROR_TEXT_BYTES_MAX - 3, RPC_ERROR_TEXT_BYTES_MAX);
        for (uint32_t at = 0; at < length;) {
            uint32_t character = rpc_utf8_bytes((char *)buffer + 10 + at, length - at);
            assert_int_not_equal(character, 0);
            assert_int_not_equal(buffer[10 + at], '?');
            at += character;
        }
    }
}

/* A client knows the codes of docs/protocol.md; whatever else happened inside is a bug to it. */
static void no_error_has_a_code_that_no_client_knows(void **state)
{
    (void)state;
    for (int code = 1; code < URN_CODE_COUNT; code++) {
        uint8_t buffer[64];
        struct rpc_writer writer;
        rpc_writer_begin(&writer, buffer, sizeof buffer);
        rpc_write_error(&writer, 1, (enum urn_code)code, "x");
        const char *word = code > URN_INTERNAL ? "INTERNAL" : urn_code_text((enum urn_code)code);
        assert_int_equal(buffer[3], 0xa0 | (strlen(word) + 2));
        assert_memory_equal(buffer + 4, word, strlen(word));
        assert_memory_equal(buffer + 4 + strlen(word), " x\xc0", 3);
    }
    assert_string_equal(urn_code_text(URN_INTERNAL + 1), "USAGE"); /* the first that is no answer */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scan_finds_the_end_however_the_bytes_arrive),
        cmocka_unit_test(scan_takes_pipelined_messages_one_by_one),
        cmocka_unit_test(scan_refuses_what_is_no_message),
        cmocka_unit_test(scan_keeps_the_id_of_a_refused_request),
        cmocka_unit_test(scan_takes_extensions_among_parameters_and_ids_of_any_width),
        cmocka_unit_test(scan_holds_the_length_to_the_byte),
        cmocka_unit_test(scan_adds_up_what_all_open_containers_expect),
        cmocka_unit_test(scan_never_asks_for_more_than_the_limit),
        cmocka_unit_test(parameters_are_read_in_order),
        cmocka_unit_test(a_wrong_parameter_says_what_was_expected_and_what_came),
        cmocka_unit_test(surplus_parameters_are_refused),
        cmocka_unit_test(options_may_be_absent_nil_or_empty),
        cmocka_unit_test(options_are_known_single_and_of_their_type),
        cmocka_unit_test(reading_stops_at_the_last_byte),
        cmocka_unit_test(every_method_is_found_by_its_name_only),
        cmocka_unit_test(quoting_makes_any_bytes_fit_to_print),
        cmocka_unit_test(the_writers_bytes_are_those_of_msgpack_c),
        cmocka_unit_test(the_writer_stops_at_the_end_of_its_buffer),
        cmocka_unit_test(an_error_reply_is_one_string_of_code_and_text),
        cmocka_unit_test(a_long_error_is_cut_between_characters),
        cmocka_unit_test(no_error_has_a_code_that_no_client_knows),
    };
    return cmocka_run_group_tests_name("rpc", tests, NULL, NULL);
}
