/* test_messages.c: parameters to calls, finished requests to replies, and the sizes of those.
 *
 * Replies are decoded by msgpack-c and compared as text, in the notation of docs/protocol.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <msgpack.h>

#include "engine/pool.h"
#include "proto/again.h"

#define NAME64 "0123456789012345678901234567890123456789012345678901234567890123"

static const struct message_limits limits = {
    .max_batch = 1000, .max_items = 500, .max_pools = 8, .max_reply_bytes = 100000};

/* ---- calls ------------------------------------------------------------------------------- */

/* Reads a call of which the method and the parameters (an array) are given as bytes. */
static enum urn_code read_call(const struct message_limits *within, const char *method,
                               const char *parameters, size_t length, struct message_call *call,
                               struct urn_error *error)
{
    static uint8_t message[512]; /* the call points into it */
    struct rpc_writer writer;
    struct rpc_request request;
    rpc_writer_begin(&writer, message, sizeof message);
    rpc_write_array(&writer, 4);
    rpc_write_uint(&writer, 0);
    rpc_write_uint(&writer, 9);
    rpc_write_cstr(&writer, method);
    assert_true(rpc_writer_room(&writer, length));
    memcpy(writer.next, parameters, length);
    writer.next += length;
    struct rpc_scan scan;
    struct rpc_bounds bounds = {RPC_SERVER, sizeof message, 16};
    rpc_scan_begin(&scan);
    assert_int_equal(rpc_scan(&scan, &bounds, message, rpc_written_bytes(&writer)), RPC_COMPLETE);
    assert_int_equal(rpc_request_read(message, rpc_written_bytes(&writer), &request, error),
                     URN_OK);
    return message_read_call(&request, within, call, error);
}

#define READ(method, parameters, call, error)                                                      \
    read_call(&limits, method, parameters, sizeof(parameters) - 1, call, error)

static void draw_takes_pool_count_and_options(void **state)
{
    (void)state;
    struct message_call call;
    struct urn_error error;
    assert_int_equal(READ("draw", "\x92\xa4main\x01", &call, &error), URN_OK);
    assert_int_equal(call.method, RPC_DRAW);
    assert_true(rpc_text_is(call.pool, "main"));
    assert_int_equal(call.count, 1);
    assert_int_equal(call.as, MESSAGE_AS_NAMES);
    assert_false(call.all);
    assert_int_equal(READ("draw",
                          "\x93\xc4\4main\xcd\x03\xe8\x82\xa2"
                          "as\xa5tally\xa3"
                          "all\xc3",
                          &call, &error),
                     URN_OK);
    assert_true(rpc_text_is(call.pool, "main"));
    assert_int_equal(call.count, 1000);
    assert_int_equal(call.as, MESSAGE_AS_TALLY);
    assert_true(call.all);
    struct urn_request request = {.op = URN_POOLS};
    message_fill_request(&call, &request);
    assert_int_equal(request.op, URN_DRAW);
    assert_int_equal(request.count, 1000);
    assert_true(request.draw_all);
    assert_memory_equal(request.pool_name, "main", 4);
    assert_int_equal(request.pool_name_bytes, 4);
}

/* ---- the same draw again ----------------------------------------------------------------------- */

#define TAIL                                                                                       \
    "\xa4"                                                                                         \
    "draw\x93\xa4main\x05\x81\xa2"                                                                 \
    "as\xa7"                                                                                       \
    "indexes"
#define REQUEST(id) "\x94\x00" id TAIL
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

/* Reads a whole request and keeps it. */
static void keep(struct again *again, const uint8_t *message, size_t length)
{
    struct rpc_request request;
    struct message_call call;
    struct urn_error error;
    assert_int_equal(rpc_request_read(message, length, &request, &error), URN_OK);
    assert_int_equal(message_read_call(&request, &limits, &call, &error), URN_OK);
    again_keep(again, message, length, &call);
}

/* The length of the request that the bytes begin with, if it is the kept one; 0. */
static size_t again_length(const struct again *again, const uint8_t *bytes, size_t available,
                           uint32_t *msgid)
{
    size_t length;
    return again_is(again, bytes, available, 64, &length, msgid) ? length : 0;
}

static void a_draw_is_known_again_whatever_its_msgid(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t length;
        uint32_t msgid;
    } again_and_again[] = {
        {BYTES(REQUEST("\x00")), 0},
        {BYTES(REQUEST("\x7f")), 127},
        {BYTES(REQUEST("\xcc\xff")), 255},
        {BYTES(REQUEST("\xcd\x01\x00")), 256},
        {BYTES(REQUEST("\xce\xff\xff\xff\xff")), UINT32_MAX},
        {BYTES(REQUEST("\xcf\x00\x00\x00\x00\x00\x00\x00\x07")), 7},
        {BYTES(REQUEST("\xd1\x00\x09")), 9}, /* signed, but not negative: clients send that, too */
    };
    struct again again = {0};
    keep(&again, BYTES(REQUEST("\x2a")));
    for (size_t i = 0; i < sizeof again_and_again / sizeof again_and_again[0]; i++) {
        uint8_t behind[64] = {0}; /* whatever comes next is left alone */
        uint32_t msgid;
        memcpy(behind, again_and_again[i].bytes, again_and_again[i].length);
        assert_int_equal(again_length(&again, behind, sizeof behind, &msgid),
                         again_and_again[i].length);
        assert_int_equal(msgid, again_and_again[i].msgid);
    }
    assert_int_equal(again.call.method, RPC_DRAW);
    assert_int_equal(again.call.count, 5);
    assert_int_equal(again.call.as, MESSAGE_AS_INDEXES);
    assert_true(rpc_text_is(again.call.pool, "main"));
}

static void whatever_differs_is_not_the_same_again(void **state)
{
    (void)state;
    static const uint8_t request[] = REQUEST("\x2a"); /* and a zero byte, which is no part of it */
    const size_t length = sizeof request - 1;
    struct again again = {0};
    uint32_t msgid;
    assert_int_equal(again_length(&again, request, length, &msgid), 0); /* nothing is kept yet */
    keep(&again, request, length);
    for (size_t cut = 0; cut < length; cut++)
        assert_int_equal(again_length(&again, request, cut, &msgid), 0);
    for (size_t at = 0; at < length; at++) {
        uint8_t other[sizeof request];
        memcpy(other, request, sizeof other);
        other[at] ^= 0x80; /* at the msgid: then it is a map */
        assert_int_equal(again_length(&again, other, length, &msgid), 0);
    }
    static const uint8_t beyond[] = REQUEST("\xcf\x00\x00\x00\x01\x00\x00\x00\x00");
    assert_int_equal(again_length(&again, beyond, sizeof beyond - 1, &msgid), 0);
    size_t end;
    assert_true(again_is(&again, request, length, (uint32_t)length, &end, &msgid));
    assert_false(again_is(&again, request, length, (uint32_t)length - 1, &end, &msgid));
}

static void only_a_draw_is_kept_and_stays_until_the_next_one(void **state)
{
    (void)state;
    struct again again = {0};
    uint32_t msgid;
    keep(&again, BYTES("\x94\x00\x01\xa4"
                       "ping\x90"));
    assert_int_equal(again.tail_bytes, 0);
    keep(&again, BYTES(REQUEST("\x01")));
    keep(&again, BYTES("\x94\x00\x01\xa5state\x91\xa4main"));
    assert_true(again_length(&again, BYTES(REQUEST("\x01")), &msgid) > 0);
    keep(&again, BYTES("\x94\x00\x01\xa4"
                       "draw\x92\xa5other\x01"));
    assert_int_equal(again_length(&again, BYTES(REQUEST("\x01")), &msgid), 0);
    assert_int_equal(again.call.count, 1);
    assert_true(rpc_text_is(again.call.pool, "other"));

    /* The longest tail that is kept, and one byte more: the method as bin. */
    static const char rest[] = "\x93\xd9\x40" NAME64 "\xcf\x00\x00\x00\x00\x00\x00\x00\x03"
                               "\x82\xa2"
                               "as\xa7"
                               "indexes\xa3"
                               "all\xc2";
    static const char as_str[] = "\x94\x00\x09\xa4"
                                 "draw",
                      as_bin[] = "\x94\x00\x09\xc4\x04"
                                 "draw";
    uint8_t message[2 * AGAIN_TAIL_BYTES_MAX];
    for (uint32_t wide = 0; wide < 2; wide++) {
        const size_t begin = (wide ? sizeof as_bin : sizeof as_str) - 1;
        memcpy(message, wide ? as_bin : as_str, begin);
        memcpy(message + begin, rest, sizeof rest - 1);
        struct again fresh = {0};
        keep(&fresh, message, begin + sizeof rest - 1);
        assert_int_equal(fresh.tail_bytes, wide ? 0 : AGAIN_TAIL_BYTES_MAX);
    }
}

/* ---- pages, and what is refused ------------------------------------------------------------------ */

static void pages_have_defaults_and_no_more_items_than_there_can_be(void **state)
{
    (void)state;
    struct message_call call;
    struct urn_error error;
    assert_int_equal(READ("state", "\x91\xa4main", &call, &error), URN_OK);
    assert_int_equal(call.offset, 0);
    assert_int_equal(call.limit, 500); /* the default is 1000, but there cannot be so many items */
    assert_int_equal(
        READ("catalog", "\x92\xa4main\x82\xa6offset\xcd\x01\x00\xa5limit\x03", &call, &error),
        URN_OK);
    assert_int_equal(call.method, RPC_CATALOG);
    assert_int_equal(call.offset, 256);
    assert_int_equal(call.limit, 3);
    struct urn_request request = {.op = URN_POOLS};
    message_fill_request(&call, &request);
    assert_int_equal(request.op, URN_CATALOG);
    assert_int_equal(request.offset, 256);
    assert_int_equal(request.limit, 3);
    assert_int_equal(READ("lookup", "\x91\xcf\x00\x1f\xff\xff\xff\xff\xff\xff", &call, &error),
                     URN_OK);
    message_fill_request(&call, &request);
    assert_int_equal(request.op, URN_LOOKUP);
    assert_int_equal(request.request_id, URN_NUMBER_MAX);
    assert_int_equal(READ("pools", "\x90", &call, &error), URN_OK);
    assert_int_equal(call.limit, 8);
}

#define CASE(method, parameters, code, text)                                                       \
    {                                                                                              \
        method, parameters, sizeof(parameters) - 1, code, text                                     \
    }
struct wrong_call {
    const char *method, *parameters;
    size_t length;
    enum urn_code code;
    const char *text;
};

static void assert_refused(const struct wrong_call *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct message_call call;
        struct urn_error error = {.code = URN_OK};
        assert_int_equal(read_call(&limits, cases[i].method, cases[i].parameters, cases[i].length,
                                   &call, &error),
                         cases[i].code);
        assert_string_equal(error.text, cases[i].text);
    }
}

static void a_wrong_call_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct wrong_call cases[] = {
        CASE("drow", "\x90", URN_NOMETHOD,
             "no method is called \"drow\"; there are \"ping\", \"draw\", \"state\", \"catalog\", "
             "\"pools\", \"lookup\", \"update\", \"add\", \"create\", \"close\", "
             "\"open\", \"reload\", \"snapshot\" and \"info\""),
        CASE("ping", "\x91\x01", URN_BADARG, "ping takes no parameters, got 1"),
        CASE("draw", "\x90", URN_BADARG, "parameter 1 (pool) is missing"),
        CASE("draw", "\x91\xa4main", URN_BADARG, "parameter 2 (count) is missing"),
        CASE("draw", "\x92\xa4main\x00", URN_BADARG,
             "parameter 2 (count): expected an integer from 1 to 1000, got 0"),
        CASE("draw", "\x92\xa4main\xff", URN_BADARG,
             "parameter 2 (count): expected an integer from 1 to 1000, got -1"),
        CASE("draw", "\x92\xa4main\xcd\x03\xe9", URN_BADARG,
             "parameter 2 (count): expected an integer from 1 to 1000, got 1001"),
        CASE("draw", "\x92\xa4main\xa1\x31", URN_BADARG,
             "parameter 2 (count): expected an integer from 1 to 1000, got a string"),
        CASE("draw", "\x92\x01\x01", URN_BADARG, "parameter 1 (pool): expected a string, got 1"),
        CASE("draw", "\x93\xa4main\x01\x05", URN_BADARG,
             "parameter 3 (options): expected a map of options, got 5"),
        CASE("draw", "\x94\xa4main\x01\x80\x01", URN_BADARG,
             "draw takes at most 3 parameters, got 4"),
        CASE("draw", "\x93\xa4main\x01\x81\xa1k\x01", URN_BADARG,
             "no option is called \"k\"; there are \"as\" and \"all\""),
        CASE("draw", "\x92\xa0\x01", URN_NOPOOL, "no pool is called \"\""),
        CASE("draw", "\x92\xd9\x41" NAME64 "4\x01", URN_NOPOOL,
             "no pool is called \"" NAME64 "...\""),
        CASE("state", "\x92\xa4main\x81\xa5limit\xff", URN_BADARG,
             "option \"limit\": expected an integer from 0 to 4294967295, got -1"),
        CASE("state", "\x93\xa4main\x80\x80", URN_BADARG,
             "state takes at most 2 parameters, got 3"),
        CASE("lookup", "\x90", URN_BADARG, "parameter 1 (request_id) is missing"),
        CASE("lookup", "\x91\x00", URN_BADARG,
             "parameter 1 (request_id): expected an integer from 1 to 9007199254740991, got 0"),
        CASE("lookup", "\x91\xcf\x00\x20\x00\x00\x00\x00\x00\x00", URN_BADARG,
             "parameter 1 (request_id): expected an integer from 1 to 9007199254740991, got "
             "9007199254740992"),
        CASE("lookup", "\x92\x01\x80", URN_BADARG, "lookup takes at most 1 parameters, got 2"),
        CASE("pools", "\x91\xc0", URN_BADARG, "pools takes no parameters, got 1"),
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void a_wrong_change_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct wrong_call cases[] = {
        CASE("update", "\x92\xa4main\xa1x", URN_BADARG,
             "update needs the options \"quantity\" or \"probability\""),
        CASE("update", "\x93\xa4main\xa1x\x81\xa8quantity\xfe", URN_BADARG,
             "option \"quantity\": expected an integer from -1 to 9007199254740991, got -2"),
        CASE("update", "\x93\xa4main\xa1x\x81\xabprobability\xff", URN_BADARG,
             "option \"probability\": expected an integer from 0 to 9007199254740991, got -1"),
        CASE("update", "\x93\xa4main\xa1x\x81\xabif_quantity\x01", URN_BADARG,
             "update needs the options \"quantity\" or \"probability\""),
        CASE("update", "\x93\xa4main\xa0\x81\xa8quantity\x01", URN_BADARG,
             "parameter 2 (item_id): an item's id has 1 to 64 bytes"),
        CASE("update", "\x93\xa0\xa1x\x81\xa8quantity\x01", URN_NOPOOL, "no pool is called \"\""),
        CASE("add", "\x93\xa4main\xa1x\x81\xa8quantity\x01", URN_BADARG,
             "add needs the options \"quantity\" and \"probability\""),
        CASE("add", "\x93\xa4main\xa1x\x81\xabif_quantity\x01", URN_BADARG,
             "no option is called \"if_quantity\"; there are \"quantity\" and \"probability\""),
        CASE("create", "\x91\xa0", URN_BADARG,
             "parameter 1 (pool): a pool's name has 1 to 64 bytes"),
        CASE("create", "\x91\xd9\x41" NAME64 "4", URN_BADARG,
             "parameter 1 (pool): a pool's name has 1 to 64 bytes"),
        CASE("create", "\x92\xa1p\x91\x01", URN_BADARG,
             "parameter 2 (catalog), item 0: expected a map, got 1"),
        CASE("create", "\x92\xa1p\x91\x81\xa7item_id\xa1x", URN_BADARG,
             "parameter 2 (catalog), item 0: \"quantity\" is missing"),
        CASE("close", "\x91\xa0", URN_NOPOOL, "no pool is called \"\""),
        CASE("reload",
             "\x91\x81\xa7"
             "dry_run\x01",
             URN_BADARG, "option \"dry_run\": expected true or false, got 1"),
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void changes_take_items_and_conditions(void **state)
{
    (void)state;
    struct message_call call;
    struct urn_error error;
    struct urn_request request = {.op = URN_POOLS};
    assert_int_equal(READ("update",
                          "\x93\xa4main\xc4\1x\x83\xabif_quantity\xff\xabprobability\x00"
                          "\xa8quantity\xcf\x00\x1f\xff\xff\xff\xff\xff\xff",
                          &call, &error),
                     URN_OK);
    message_fill_request(&call, &request);
    assert_int_equal(request.op, URN_UPDATE);
    assert_memory_equal(request.item_id, "x", 1);
    assert_int_equal(request.item_id_bytes, 1);
    assert_true(request.has_quantity && request.has_probability && request.has_if_quantity);
    assert_int_equal(request.quantity, URN_NUMBER_MAX);
    assert_int_equal(request.probability, 0);
    assert_int_equal(request.if_quantity, URN_UNLIMITED);
    assert_int_equal(READ("update", "\x93\xa4main\xa1x\x81\xabprobability\x07", &call, &error),
                     URN_OK);
    message_fill_request(&call, &request);
    assert_true(request.has_probability && !request.has_quantity && !request.has_if_quantity);
    assert_int_equal(READ("close", "\x91\xa4main", &call, &error), URN_OK);
    message_fill_request(&call, &request);
    assert_int_equal(request.op, URN_CLOSE);
}

static void a_catalog_is_copied_out_of_the_message(void **state)
{
    (void)state;
    struct message_call call;
    struct urn_error error;
    struct urn_request request = {.op = URN_POOLS};
    assert_int_equal(READ("create",
                          "\x92\xa1p\x92\x83\xa7item_id\xa2"
                          "ab\xa8quantity\xff\xabprobability\x05"
                          "\x83\xabprobability\x00\xa7item_id\xc4\1c\xa8quantity\x09",
                          &call, &error),
                     URN_OK);
    assert_int_equal(call.catalog_items, 2);
    uint64_t *memory = malloc(call.catalog_bytes); /* not a byte more: ASan looks */
    message_fill_request(&call, &request);
    message_fill_catalog(&call, memory, &request);
    assert_int_equal(request.op, URN_CREATE);
    assert_int_equal(request.pool_count, 1);
    assert_ptr_equal(request.pools[0].name, request.pool_name);
    assert_int_equal(request.pools[0].item_count, 2);
    const struct urn_item_spec *items = request.pools[0].items;
    assert_int_equal(items[0].item_id_bytes, 2);
    assert_memory_equal(items[0].item_id, "ab", 2);
    assert_int_equal(items[0].quantity, URN_UNLIMITED);
    assert_int_equal(items[0].probability, 5);
    assert_memory_equal(items[1].item_id, "c", 1);
    assert_int_equal(items[1].quantity, 9);
    assert_true(items[1].item_id > (const char *)memory &&
                items[1].item_id < (const char *)memory + call.catalog_bytes);
    free(memory);
    assert_int_equal(READ("create", "\x92\xa1p\xc0", &call, &error), URN_OK);
    assert_int_equal(call.catalog_items, 0);
    struct message_limits narrow = limits;
    narrow.max_items = 1;
    assert_int_equal(read_call(&narrow, "create", "\x92\xa1p\x92\x80\x80", 6, &call, &error),
                     URN_TOOBIG);
}

static void a_reload_lists_as_much_as_half_a_reply_holds(void **state)
{
    (void)state;
    struct message_limits wide = limits;
    struct message_call call;
    struct urn_error error;
    wide.max_reply_bytes = 16u << 20;
    assert_int_equal(read_call(&wide, "reload", "\x90", 1, &call, &error), URN_OK);
    assert_int_equal(call.limit, MESSAGE_RELOAD_CHANGES_MAX);
    assert_false(call.dry_run || call.force);
    wide.max_reply_bytes = 16u << 10; /* the least */
    assert_int_equal(read_call(&wide, "reload",
                               "\x91\x82\xa7"
                               "dry_run\xc3\xa5"
                               "force\xc3",
                               18, &call, &error),
                     URN_OK);
    assert_in_range(call.limit, 1, 30);
    assert_true(2 * call.reply_bytes_max <= wide.max_reply_bytes);
    assert_true(call.dry_run && call.force);
}

static void too_long_a_reply_is_refused_and_what_fits_is_told(void **state)
{
    (void)state;
    struct message_limits narrow = limits;
    struct message_call call;
    struct urn_error error;
    narrow.max_reply_bytes = 20000;
    assert_int_equal(read_call(&narrow, "draw", "\x92\xa4main\xcd\x03\xe8", 9, &call, &error),
                     URN_TOOBIG);
    unsigned fits = 0;
    const char *told = strstr(error.text, "ask for at most ");
    assert_non_null(told);
    assert_int_equal(sscanf(told, "ask for at most %u", &fits), 1);
    assert_in_range(fits, 250, 310);
    call = (struct message_call){.method = RPC_DRAW, .count = fits};
    assert_true(message_reply_bytes_max(&call, &narrow) <= narrow.max_reply_bytes);
    call.count++;
    assert_true(message_reply_bytes_max(&call, &narrow) > narrow.max_reply_bytes);
    /* A page of which no length is asked for is as long as it may be. */
    narrow.max_items = 1000;
    assert_int_equal(read_call(&narrow, "state", "\x91\xa4main", 6, &call, &error), URN_OK);
    assert_int_equal(call.limit, 125);
    assert_true(call.reply_bytes_max <= narrow.max_reply_bytes);
    assert_int_equal(
        read_call(&narrow, "state", "\x92\xa4main\x81\xa5limit\xcd\x03\xe8", 16, &call, &error),
        URN_TOOBIG);
    narrow.max_items = limits.max_items;
    /* The same draws fit as a tally or as indexes. */
    assert_int_equal(read_call(&narrow, "draw",
                               "\x93\xa4main\xcd\x03\xe8\x81\xa2"
                               "as\xa7indexes",
                               21, &call, &error),
                     URN_OK);
    /* pools has no pages to ask for. */
    narrow.max_reply_bytes = 500;
    assert_int_equal(read_call(&narrow, "pools", "\x90", 1, &call, &error), URN_TOOBIG);
    assert_non_null(strstr(error.text, "limits.max_pools (8)"));
    assert_null(strstr(error.text, "ask for at most"));
}

/* ---- replies ----------------------------------------------------------------------------- */

/* Three items whose names are as long as names get, so that sizes are tested too. */
#define ITEMS 3

static struct urn_pool *make_pool(void)
{
    struct urn_pool *pool;
    struct urn_error error;
    char item_id[URN_NAME_BYTES_MAX];
    assert_int_equal(pool_make(0, NAME64, 64, ITEMS, &pool, &error), URN_OK);
    for (uint32_t i = 0; i < ITEMS; i++) {
        memset(item_id, (int)('a' + i), sizeof item_id);
        assert_int_equal(pool_add(pool, item_id, sizeof item_id, URN_UNLIMITED, 1, 0, &error),
                         URN_OK);
    }
    return pool;
}

/* Writes a reply into a buffer of exactly the size promised, and decodes it. Long names are
 * shortened to their first letter and a +. */
static void reply_text(const struct message_call *call, struct urn_request *done, char *text,
                       size_t text_bytes)
{
    uint64_t bound = message_reply_bytes_max(call, &limits);
    uint8_t *buffer = malloc(bound);
    struct rpc_writer writer;
    rpc_writer_begin(&writer, buffer, bound);
    message_write_reply(&writer, 5, call->as, done);
    assert_false(writer.overflow);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t end = 0;
    assert_int_equal(
        msgpack_unpack_next(&unpacked, (const char *)buffer, rpc_written_bytes(&writer), &end),
        MSGPACK_UNPACK_SUCCESS);
    assert_int_equal(end, rpc_written_bytes(&writer));
    char *full = calloc(1, 16384);
    assert_true(msgpack_object_print_buffer(full, 16384, unpacked.data) > 0);
    size_t used = 0;
    for (const char *from = full; *from != '\0' && used + 2 < text_bytes;) {
        size_t run = strspn(from, (const char[]){*from, '\0'});
        text[used++] = *from;
        if (run >= 32)
            text[used++] = '+';
        from += run >= 32 ? run : 1;
    }
    text[used] = '\0';
    free(full);
    msgpack_unpacked_destroy(&unpacked);
    free(buffer);
}

static void draws_are_told_in_three_forms(void **state)
{
    (void)state;
    static const struct {
        enum message_as as;
        const char *text;
    } cases[] = {
        {MESSAGE_AS_NAMES, "[1, 5, nil, [9007199254740991, [\"c+\", \"a+\", \"c+\", nil], 1, "
                           "9007199254740991, false]]"},
        {MESSAGE_AS_INDEXES,
         "[1, 5, nil, [9007199254740991, [2, 0, 2, nil], 1, 9007199254740991, false]]"},
        {MESSAGE_AS_TALLY, "[1, 5, nil, [9007199254740991, {\"a+\"=>1, \"c+\"=>2}, 1, "
                           "9007199254740991, false]]"},
    };
    struct urn_pool *pool = make_pool();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[500];
        uint32_t outcomes[] = {2, 0, 2, URN_FAILED_DRAW};
        struct message_call call = {.method = RPC_DRAW, .count = 4, .as = cases[i].as};
        struct urn_request done = {.op = URN_DRAW,
                                   .pool = pool,
                                   .count = 4,
                                   .outcomes = outcomes,
                                   .failed = 1,
                                   .first_request_id = URN_NUMBER_MAX,
                                   .odds_version = URN_NUMBER_MAX};
        reply_text(&call, &done, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
    pool_free(pool);
}

/* Small indexes with another outcome among them, told one by one here. */
static void check_indexes(struct urn_pool *pool, uint32_t *outcomes, uint32_t count)
{
    const struct message_call call = {.method = RPC_DRAW, .count = count, .as = MESSAGE_AS_INDEXES};
    struct urn_request done = {.op = URN_DRAW, .pool = pool, .count = count, .outcomes = outcomes};
    const uint64_t bound = message_reply_bytes_max(&call, &limits);
    uint8_t *buffer = malloc(bound), *expected = malloc(bound);
    assert_true(buffer != NULL && expected != NULL);
    struct rpc_writer writer, by_one;
    rpc_writer_begin(&by_one, expected, bound);
    rpc_write_result_header(&by_one, 9);
    rpc_write_array(&by_one, 5);
    rpc_write_uint(&by_one, 0);
    rpc_write_array(&by_one, count);
    for (uint32_t i = 0; i < count; i++)
        if (outcomes[i] == URN_FAILED_DRAW)
            rpc_write_nil(&by_one);
        else
            rpc_write_uint(&by_one, outcomes[i]);
    rpc_write_uint(&by_one, 0);
    rpc_write_uint(&by_one, 0);
    rpc_write_bool(&by_one, false);
    const size_t bytes = rpc_written_bytes(&by_one);

    rpc_writer_begin(&writer, buffer, bytes); /* exactly what it takes */
    message_write_reply(&writer, 9, call.as, &done);
    assert_false(writer.overflow);
    assert_int_equal(rpc_written_bytes(&writer), bytes);
    assert_memory_equal(buffer, expected, bytes);

    const size_t room = bytes * (outcomes[0] % 127) / 127; /* too little */
    memset(buffer, 0xee, bound);
    memset(expected, 0xee, bound);
    rpc_writer_begin(&writer, buffer, room);
    message_write_reply(&writer, 9, call.as, &done);
    assert_true(writer.overflow);
    assert_memory_equal(buffer + room, expected + room, bound - room);
    free(buffer);
    free(expected);
}

static void indexes_of_every_size_are_told_in_order(void **state)
{
    (void)state;
    static const uint32_t others[] = {126, 127, 128, 255, 256, 65536, 999999, URN_FAILED_DRAW};
    struct urn_pool *pool = make_pool();
    uint32_t outcomes[70];
    for (uint32_t count = 1; count <= 70; count++)
        for (uint32_t place = 0; place < count; place++) {
            for (uint32_t i = 0; i < count; i++)
                outcomes[i] = (i + count) * 7 % 127;
            outcomes[place] = others[(place + count) % (sizeof others / sizeof others[0])];
            check_indexes(pool, outcomes, count);
        }
    pool_free(pool);
}

static void a_tally_counts_every_draw_once(void **state)
{
    (void)state;
    struct urn_pool *pool;
    struct urn_error error;
    enum { KINDS = 300, DRAWS = 1000 };
    assert_int_equal(pool_make(0, "many", 4, KINDS, &pool, &error), URN_OK);
    for (uint32_t i = 0; i < KINDS; i++) {
        char item_id[16];
        int length = snprintf(item_id, sizeof item_id, "%03u", i);
        assert_int_equal(pool_add(pool, item_id, (uint32_t)length, URN_UNLIMITED, 1, 0, &error),
                         URN_OK);
    }
    uint32_t outcomes[DRAWS];
    uint32_t expected[KINDS] = {0};
    uint32_t succeeded = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        uint32_t index = i * 7919u % 401;
        outcomes[i] = index < KINDS ? index : URN_FAILED_DRAW;
        succeeded += index < KINDS;
        expected[index < KINDS ? index : 0] += index < KINDS;
    }
    struct message_call call = {.method = RPC_DRAW, .count = DRAWS, .as = MESSAGE_AS_TALLY};
    struct urn_request done = {.op = URN_DRAW,
                               .pool = pool,
                               .count = DRAWS,
                               .outcomes = outcomes,
                               .failed = DRAWS - succeeded};
    uint8_t *buffer = malloc(message_reply_bytes_max(&call, &limits));
    struct rpc_writer writer;
    rpc_writer_begin(&writer, buffer, message_reply_bytes_max(&call, &limits));
    message_write_reply(&writer, 0, call.as, &done);
    assert_false(writer.overflow);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    assert_int_equal(
        msgpack_unpack_next(&unpacked, (const char *)buffer, rpc_written_bytes(&writer), NULL),
        MSGPACK_UNPACK_SUCCESS);
    msgpack_object_map tally = unpacked.data.via.array.ptr[3].via.array.ptr[1].via.map;
    uint32_t at = 0;
    for (uint32_t index = 0; index < KINDS; index++) {
        if (expected[index] == 0)
            continue;
        assert_true(at < tally.size);
        char item_id[16];
        snprintf(item_id, sizeof item_id, "%03u", index);
        assert_memory_equal(tally.ptr[at].key.via.str.ptr, item_id, 3);
        assert_int_equal(tally.ptr[at].val.via.u64, expected[index]);
        at++;
    }
    assert_int_equal(at, tally.size);
    msgpack_unpacked_destroy(&unpacked);
    free(buffer);
    pool_free(pool);
}

static void looking_is_told_whole_and_within_its_bound(void **state)
{
    (void)state;
    char text[2000];
    struct urn_text long_name = {NAME64, 64};
    struct urn_item items[] = {
        {long_name, UINT32_MAX, URN_UNLIMITED, URN_NUMBER_MAX, URN_NUMBER_MAX},
        {long_name, 1, (int64_t)URN_NUMBER_MAX, 0, 0}};
    struct urn_text names[] = {long_name, long_name, {"x", 1}};
    struct message_call call = {.method = RPC_STATE, .limit = 2};
    struct urn_request done = {.op = URN_STATE,
                               .pool_name = NAME64,
                               .pool_name_bytes = 64,
                               .items = items,
                               .names = names,
                               .returned = 2,
                               .total = UINT32_MAX,
                               .open = true,
                               .odds_version = URN_NUMBER_MAX,
                               .last_request_id = URN_NUMBER_MAX,
                               .lsn = URN_NUMBER_MAX};
    reply_text(&call, &done, text, sizeof text);
    assert_string_equal(
        text, "[1, 5, nil, {\"pool\"=>\"" NAME64
              "\", \"open\"=>true, \"odds_version\"=>9007199254740991, "
              "\"last_request_id\"=>9007199254740991, \"lsn\"=>9007199254740991, "
              "\"total\"=>4294967295, \"items\"=>[{\"item_id\"=>\"" NAME64
              "\", \"index\"=>4294967295, \"quantity\"=>-1, \"probability\"=>9007199254740991, "
              "\"drawn\"=>9007199254740991}, {\"item_id\"=>\"" NAME64
              "\", \"index\"=>1, \"quantity\"=>9007199254740991, \"probability\"=>0, "
              "\"drawn\"=>0}]}]");
    call = (struct message_call){.method = RPC_CATALOG, .limit = 3};
    done.op = URN_CATALOG;
    done.returned = 3;
    reply_text(&call, &done, text, sizeof text);
    assert_string_equal(text, "[1, 5, nil, [9007199254740991, 4294967295, [\"" NAME64
                              "\", \"" NAME64 "\", \"x\"]]]");
    call = (struct message_call){.method = RPC_POOLS, .limit = 3};
    done.op = URN_POOLS;
    reply_text(&call, &done, text, sizeof text);
    assert_string_equal(text, "[1, 5, nil, [\"" NAME64 "\", \"" NAME64 "\", \"x\"]]");
}

static void a_lookup_is_told_whole_and_within_its_bound(void **state)
{
    (void)state;
    char text[500];
    struct urn_pool *pool = make_pool();
    struct message_call call = {.method = RPC_LOOKUP, .request_id = 7};
    struct urn_request done = {.op = URN_LOOKUP,
                               .request_id = 7,
                               .pool = pool,
                               .outcome = 2,
                               .odds_version = 3,
                               .wall_time_us = 1700000000123456,
                               .lsn = 4232};
    reply_text(&call, &done, text, sizeof text);
    assert_string_equal(text, "[1, 5, nil, {\"request_id\"=>7, \"pool\"=>\"" NAME64 "\", "
                              "\"item_id\"=>\"c+\", \"index\"=>2, \"odds_version\"=>3, "
                              "\"time_us\"=>1700000000123456, \"lsn\"=>4232}]");
    done.outcome = URN_FAILED_DRAW;
    reply_text(&call, &done, text, sizeof text);
    assert_string_equal(text, "[1, 5, nil, {\"request_id\"=>7, \"pool\"=>\"" NAME64 "\", "
                              "\"item_id\"=>nil, \"index\"=>nil, \"odds_version\"=>3, "
                              "\"time_us\"=>1700000000123456, \"lsn\"=>4232}]");
    pool_free(pool);
}

/* Everything as long as it gets. */
static void a_long_lookup_fits_its_bound(void **state)
{
    (void)state;
    struct urn_pool *pool;
    struct urn_error error;
    assert_int_equal(pool_make(0, NAME64, 64, 1, &pool, &error), URN_OK);
    assert_int_equal(pool_add(pool, NAME64, 64, 1, 1, 0, &error), URN_OK);
    const struct message_call call = {.method = RPC_LOOKUP, .request_id = URN_NUMBER_MAX};
    struct urn_request done = {.op = URN_LOOKUP,
                               .request_id = URN_NUMBER_MAX,
                               .pool = pool,
                               .odds_version = URN_NUMBER_MAX,
                               .wall_time_us = URN_NUMBER_MAX,
                               .lsn = URN_NUMBER_MAX};
    const uint64_t bound = message_reply_bytes_max(&call, &limits);
    uint8_t *buffer = malloc(bound);
    struct rpc_writer writer;
    rpc_writer_begin(&writer, buffer, bound);
    message_write_reply(&writer, UINT32_MAX, call.as, &done);
    assert_false(writer.overflow);
    assert_in_range(rpc_written_bytes(&writer), bound - 60, bound);
    free(buffer);
    pool_free(pool);
}

static void no_reply_outgrows_its_bound(void **state)
{
    (void)state;
    /* Everything as long as it gets, and the bound not much longer: at most the array headers that
     * could have been longer. */
    enum { MANY = 500 };
    struct urn_text long_name = {NAME64, 64};
    static struct urn_item items[MANY];
    static struct urn_text names[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        names[i] = long_name;
        items[i] = (struct urn_item){long_name, UINT32_MAX, (int64_t)URN_NUMBER_MAX, URN_NUMBER_MAX,
                                     URN_NUMBER_MAX};
    }
    static const struct {
        enum rpc_method method;
        enum urn_op op;
        uint32_t slack;
    } cases[] = {{RPC_STATE, URN_STATE, 20 + MANY * 4},
                 {RPC_CATALOG, URN_CATALOG, 20},
                 {RPC_POOLS, URN_POOLS, 20}};
    for (size_t i = 0; i < 3; i++) {
        struct message_call call = {.method = cases[i].method, .limit = MANY};
        struct urn_request done = {.op = cases[i].op,
                                   .pool_name = NAME64,
                                   .pool_name_bytes = 64,
                                   .items = items,
                                   .names = names,
                                   .returned = MANY,
                                   .total = UINT32_MAX,
                                   .odds_version = URN_NUMBER_MAX,
                                   .last_request_id = URN_NUMBER_MAX,
                                   .lsn = URN_NUMBER_MAX};
        uint64_t bound = message_reply_bytes_max(&call, &limits);
        uint8_t *buffer = malloc(bound);
        struct rpc_writer writer;
        rpc_writer_begin(&writer, buffer, bound);
        message_write_reply(&writer, UINT32_MAX, call.as, &done);
        assert_false(writer.overflow);
        assert_in_range(rpc_written_bytes(&writer), bound - cases[i].slack, bound);
        free(buffer);
    }
}

static void no_reload_outgrows_its_bound(void **state)
{
    (void)state;
    struct urn_text long_name = {NAME64, 64};
    static struct urn_change changes[MESSAGE_RELOAD_CHANGES_MAX];
    const char *restart[MESSAGE_RESTART_KEYS_MAX];
    for (uint32_t i = 0; i < MESSAGE_RELOAD_CHANGES_MAX; i++)
        changes[i] = (struct urn_change){.kind = URN_CHANGE_ITEM_NOT_HERE,
                                         .pool = long_name,
                                         .item_id = long_name,
                                         .quantity = (int64_t)URN_NUMBER_MAX,
                                         .probability = URN_NUMBER_MAX,
                                         .before = URN_NUMBER_MAX};
    for (uint32_t i = 0; i < MESSAGE_RESTART_KEYS_MAX; i++)
        restart[i] = NAME64;
    struct message_call call = {.method = RPC_RELOAD, .limit = MESSAGE_RELOAD_CHANGES_MAX};
    struct urn_request done = {.op = URN_RELOAD,
                               .changes = changes,
                               .returned = MESSAGE_RELOAD_CHANGES_MAX,
                               .total = UINT32_MAX};
    for (int kind = 0; kind < URN_CHANGE_KINDS; kind++)
        done.kinds[kind] = UINT32_MAX;
    uint64_t bound = message_reply_bytes_max(&call, &limits);
    uint8_t *buffer = malloc(bound);
    struct rpc_writer writer;
    rpc_writer_begin(&writer, buffer, bound);
    message_write_reload(&writer, UINT32_MAX, restart, MESSAGE_RESTART_KEYS_MAX, &done);
    assert_false(writer.overflow);
    /* Of a change only the header byte could have been longer. */
    assert_in_range(rpc_written_bytes(&writer), bound - 40 - 4ull * done.returned, bound);
    free(buffer);
    /* A refusal fits too, wherever it comes from. */
    done.code = URN_BADARG;
    struct urn_error error = {.code = URN_BADARG};
    memset(error.text, 'x', sizeof error.text - 1);
    done.error = &error;
    uint8_t refusal[MESSAGE_ERROR_REPLY_BYTES_MAX];
    rpc_writer_begin(&writer, refusal, sizeof refusal);
    message_write_reload(&writer, UINT32_MAX, NULL, 0, &done);
    assert_false(writer.overflow);
}

static void a_failure_is_told_with_the_pools_name(void **state)
{
    (void)state;
    static const struct {
        enum urn_code code;
        const char *text;
    } cases[] = {
        {URN_NOPOOL, "[1, 5, \"NOPOOL no pool is called \"main\"\", nil]"},
        {URN_NOSTOCK, "[1, 5, \"NOSTOCK not all of 10 draws could succeed, so none was made; pool "
                      "\"main\"\", nil]"},
        {URN_CLOSED, "[1, 5, \"CLOSED closed for draws: pool \"main\"\", nil]"},
        {URN_BUSY, "[1, 5, \"BUSY a queue or the log has no room for this request now\", nil]"},
        {URN_INDOUBT, "[1, 5, \"INDOUBT the log failed, or had no room at a stop, while the "
                      "request was under way\", nil]"},
    };
    struct message_call call = {.method = RPC_DRAW, .count = 1};
    struct urn_request done = {
        .op = URN_DRAW, .pool_name = "main", .pool_name_bytes = 4, .count = 10};
    char text[500];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        done.code = cases[i].code;
        reply_text(&call, &done, text, sizeof text);
        assert_string_equal(text, cases[i].text);
    }
    /* Of a draw that brought its pool. */
    struct urn_pool *pool = make_pool();
    done.pool = pool;
    done.pool_name = NULL;
    done.code = URN_CLOSED;
    reply_text(&call, &done, text, sizeof text);
    assert_string_equal(text, "[1, 5, \"CLOSED closed for draws: pool \"" NAME64 "\"\", nil]");
    pool_free(pool);
    done.pool = NULL;
    /* The longest there is: a name of which every byte is escaped. */
    char name[URN_NAME_BYTES_MAX];
    memset(name, '\xff', sizeof name);
    done.pool_name = name;
    done.pool_name_bytes = sizeof name;
    for (int code = 1; code < URN_CODE_COUNT; code++) {
        uint8_t buffer[MESSAGE_ERROR_REPLY_BYTES_MAX];
        struct rpc_writer writer;
        done.code = (enum urn_code)code;
        rpc_writer_begin(&writer, buffer, sizeof buffer);
        message_write_reply(&writer, UINT32_MAX, call.as, &done);
        assert_false(writer.overflow);
    }
}

static void ping_is_answered_with_pong(void **state)
{
    (void)state;
    uint8_t buffer[32];
    struct rpc_writer writer;
    rpc_writer_begin(&writer, buffer, sizeof buffer);
    message_write_pong(&writer, 7);
    assert_int_equal(rpc_written_bytes(&writer), 9);
    assert_memory_equal(buffer, "\x94\x01\x07\xc0\xa4pong", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draw_takes_pool_count_and_options),
        cmocka_unit_test(a_draw_is_known_again_whatever_its_msgid),
        cmocka_unit_test(whatever_differs_is_not_the_same_again),
        cmocka_unit_test(only_a_draw_is_kept_and_stays_until_the_next_one),
        cmocka_unit_test(pages_have_defaults_and_no_more_items_than_there_can_be),
        cmocka_unit_test(a_wrong_call_is_refused_with_its_reason),
        cmocka_unit_test(a_wrong_change_is_refused_with_its_reason),
        cmocka_unit_test(changes_take_items_and_conditions),
        cmocka_unit_test(a_catalog_is_copied_out_of_the_message),
        cmocka_unit_test(a_reload_lists_as_much_as_half_a_reply_holds),
        cmocka_unit_test(too_long_a_reply_is_refused_and_what_fits_is_told),
        cmocka_unit_test(draws_are_told_in_three_forms),
        cmocka_unit_test(indexes_of_every_size_are_told_in_order),
        cmocka_unit_test(a_tally_counts_every_draw_once),
        cmocka_unit_test(looking_is_told_whole_and_within_its_bound),
        cmocka_unit_test(a_lookup_is_told_whole_and_within_its_bound),
        cmocka_unit_test(a_long_lookup_fits_its_bound),
        cmocka_unit_test(no_reply_outgrows_its_bound),
        cmocka_unit_test(no_reload_outgrows_its_bound),
        cmocka_unit_test(a_failure_is_told_with_the_pools_name),
        cmocka_unit_test(ping_is_answered_with_pong),
    };
    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
