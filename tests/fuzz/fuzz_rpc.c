/* fuzz_rpc.c: what reads MessagePack-RPC, held against msgpack-c's unpacker.
 *
 * Input: one byte of settings, then the bytes of a connection. For each message in them:
 *
 *   - scanning it whole and in pieces must come to the same end;
 *   - what is COMPLETE msgpack-c must read, to the same length; NEED_MORE must be a beginning for
 * it too; max_message_bytes available must never be NEED_MORE;
 *   - each parameter must be taken by exactly those readers which its type allows, with its value;
 *   - what our writer makes of a value must be, byte for byte, what msgpack-c's packer makes of it;
 *   - message_read_call() must end, and what it accepts must be within the limits;
 *   - a draw that is taken to be the one before again must be read as the same.
 *
 * Every message is copied to a block of just its size, so that the address sanitizer sees any read
 * beyond it.
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "proto/again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MESSAGE_BYTES_MAX 1024u

/* ---- parameters -------------------------------------------------------------------------- */

/* Holds every reader against the value that stands next; params is a copy for each. */
static void check_readers(const struct rpc_params *params, const msgpack_object *object)
{
    struct urn_error error;
    struct rpc_text text;
    uint64_t number;
    int64_t integer;
    bool truth;
    struct rpc_params copy = *params;
    bool is_text = object->type == MSGPACK_OBJECT_STR || object->type == MSGPACK_OBJECT_BIN;
    bool is_uint = object->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
    bool is_negative = object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    bool is_int = is_negative || (is_uint && object->via.u64 <= INT64_MAX);

    CHECK((rpc_param_text(&copy, "p", &text, &error) == URN_OK) == is_text);
    if (is_text) {
        CHECK(text.length == object->via.str.size);
        CHECK(text.length == 0 || memcmp(text.bytes, object->via.str.ptr, text.length) == 0);
    }
    copy = *params;
    CHECK((rpc_param_uint(&copy, "p", 0, UINT64_MAX, &number, &error) == URN_OK) == is_uint);
    CHECK(!is_uint || number == object->via.u64);
    copy = *params;
    CHECK((rpc_param_int(&copy, "p", INT64_MIN, INT64_MAX, &integer, &error) == URN_OK) == is_int);
    CHECK(!is_int || integer == object->via.i64);
    copy = *params;
    CHECK((rpc_param_bool(&copy, "p", &truth, &error) == URN_OK) ==
          (object->type == MSGPACK_OBJECT_BOOLEAN));
    CHECK(object->type != MSGPACK_OBJECT_BOOLEAN || truth == object->via.boolean);
}

/* Parameters up to the first that nests: no reader steps over such a one. */
static void check_parameters(struct rpc_params params, const msgpack_object_array *objects)
{
    CHECK(params.count == objects->size);
    for (uint32_t i = 0; i < objects->size; i++) {
        const msgpack_object *object = &objects->ptr[i];
        check_readers(&params, object);
        if (object->type == MSGPACK_OBJECT_ARRAY || object->type == MSGPACK_OBJECT_MAP)
            return;
        struct urn_error error;
        struct rpc_text text;
        (void)rpc_param_text(&params, "p", &text,
                             &error); /* any reader steps over a single value */
    }
    struct urn_error error;
    struct rpc_text text;
    CHECK(rpc_param_text(&params, "p", &text, &error) == URN_BADARG);
}

/* ---- writing ----------------------------------------------------------------------------- */

static void write_object(struct rpc_writer *writer, msgpack_packer *pack,
                         const msgpack_object *object)
{
    switch (object->type) {
    case MSGPACK_OBJECT_BOOLEAN:
        rpc_write_bool(writer, object->via.boolean);
        object->via.boolean ? msgpack_pack_true(pack) : msgpack_pack_false(pack);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        rpc_write_uint(writer, object->via.u64);
        msgpack_pack_uint64(pack, object->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        rpc_write_int(writer, object->via.i64);
        msgpack_pack_int64(pack, object->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        rpc_write_double(writer, object->via.f64);
        msgpack_pack_double(pack, object->via.f64);
        break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN:
        rpc_write_str(writer, object->via.str.ptr, object->via.str.size);
        msgpack_pack_str_with_body(pack, object->via.str.ptr, object->via.str.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        rpc_write_array(writer, object->via.array.size);
        msgpack_pack_array(pack, object->via.array.size);
        for (uint32_t i = 0; i < object->via.array.size; i++)
            write_object(writer, pack, &object->via.array.ptr[i]);
        break;
    case MSGPACK_OBJECT_MAP:
        rpc_write_map(writer, object->via.map.size);
        msgpack_pack_map(pack, object->via.map.size);
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            write_object(writer, pack, &object->via.map.ptr[i].key);
            write_object(writer, pack, &object->via.map.ptr[i].val);
        }
        break;
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_EXT:
        rpc_write_nil(writer);
        msgpack_pack_nil(pack);
        break;
    }
}

static void check_writer(const msgpack_object *object)
{
    /* Our shortest encodings are never longer than what was read, but for a float of 4 bytes. */
    uint8_t *ours = malloc(2 * MESSAGE_BYTES_MAX);
    struct rpc_writer writer;
    msgpack_sbuffer theirs;
    msgpack_packer pack;
    CHECK(ours != NULL);
    rpc_writer_begin(&writer, ours, 2 * (size_t)MESSAGE_BYTES_MAX);
    msgpack_sbuffer_init(&theirs);
    msgpack_packer_init(&pack, &theirs, msgpack_sbuffer_write);
    write_object(&writer, &pack, object);
    CHECK(!writer.overflow);
    CHECK(rpc_written_bytes(&writer) == theirs.size);
    CHECK(memcmp(ours, theirs.data, theirs.size) == 0);
    msgpack_sbuffer_destroy(&theirs);
    free(ours);
}

/* ---- messages ---------------------------------------------------------------------------- */

static bool check_call(const struct rpc_request *request, struct message_call *call)
{
    static const struct message_limits limits = {
        .max_batch = 1000, .max_items = 5000, .max_pools = 8, .max_reply_bytes = 50000};
    struct rpc_request copy = *request;
    struct urn_error error;
    enum urn_code code = message_read_call(&copy, &limits, call, &error);
    if (code != URN_OK) {
        CHECK(code == URN_NOMETHOD || code == URN_BADARG || code == URN_NOPOOL ||
              code == URN_TOOBIG);
        CHECK(error.text[0] != '\0');
        return false;
    }
    CHECK(call->method < RPC_METHOD_COUNT);
    CHECK(call->reply_bytes_max <= limits.max_reply_bytes);
    if (call->method == RPC_DRAW)
        CHECK(call->count >= 1 && call->count <= limits.max_batch && call->pool.length >= 1);
    return true;
}

/* call: what the message asks; NULL when it is refused. */
static void check_again(struct again *again, const struct rpc_scan *scan,
                        const struct rpc_bounds *bounds, const uint8_t *message,
                        const struct message_call *call)
{
    size_t length;
    uint32_t msgid;
    if (again_is(again, message, (size_t)scan->offset, bounds->max_message_bytes, &length,
                 &msgid)) {
        const struct message_call *kept = &again->call;
        CHECK(call != NULL && call->method == RPC_DRAW);
        CHECK(length == scan->offset && msgid == scan->msgid);
        CHECK(kept->method == call->method && kept->count == call->count);
        CHECK(kept->as == call->as && kept->all == call->all);
        CHECK(kept->reply_bytes_max == call->reply_bytes_max);
        CHECK(kept->pool.length == call->pool.length &&
              memcmp(kept->pool.bytes, call->pool.bytes, call->pool.length) == 0);
    }
    if (call != NULL)
        again_keep(again, message, (size_t)scan->offset, call);
}

static void check_whole_message(const struct rpc_scan *scan, const struct rpc_bounds *bounds,
                                const uint8_t *message, struct again *again)
{
    size_t length = (size_t)scan->offset;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t end = 0;
    CHECK(msgpack_unpack_next(&unpacked, (const char *)message, length, &end) ==
          MSGPACK_UNPACK_SUCCESS);
    CHECK(end == length);
    CHECK(unpacked.data.type == MSGPACK_OBJECT_ARRAY);
    const msgpack_object_array *fields = &unpacked.data.via.array;
    CHECK(fields->size == scan->fields);
    CHECK(fields->ptr[0].via.u64 == (uint64_t)scan->type);
    CHECK(scan->has_msgid == (scan->type != RPC_NOTIFICATION));
    CHECK(!scan->has_msgid || fields->ptr[1].via.u64 == scan->msgid);
    check_writer(&unpacked.data);
    if (bounds->side == RPC_SERVER) {
        struct rpc_request request;
        struct urn_error error;
        CHECK(rpc_request_read(message, length, &request, &error) == URN_OK);
        CHECK(request.type == scan->type && request.msgid == scan->msgid);
        const msgpack_object *method = &fields->ptr[fields->size - 2];
        CHECK(request.method.length == method->via.str.size);
        check_parameters(request.params, &fields->ptr[fields->size - 1].via.array);
        struct message_call call;
        bool asks = check_call(&request, &call);
        if (scan->type == RPC_REQUEST)
            check_again(again, scan, bounds, message, asks ? &call : NULL);
    }
    msgpack_unpacked_destroy(&unpacked);
}

/* The same bytes, `step` more at a time. */
static void check_pieces(const struct rpc_scan *whole, enum rpc_scan_result whole_result,
                         const struct rpc_bounds *bounds, const uint8_t *message, size_t available,
                         size_t step)
{
    struct rpc_scan scan;
    enum rpc_scan_result result = RPC_NEED_MORE;
    rpc_scan_begin(&scan);
    for (size_t seen = 0; result == RPC_NEED_MORE && seen < available;) {
        seen = available - seen < step ? available : seen + step;
        result = rpc_scan(&scan, bounds, message, seen);
    }
    CHECK(result == whole_result);
    CHECK(scan.offset == whole->offset);
    CHECK(scan.reason == whole->reason);
    CHECK(scan.has_msgid == whole->has_msgid && scan.msgid == whole->msgid);
}

/* msgpack-c refuses an extension value of 2^32 - 1 bytes already by its length. We do by the bound on
 * messages, once its header is whole: the next byte is its type. */
static bool ends_amid_the_largest_extension(const uint8_t *message, size_t available)
{
    static const uint8_t header[] = {0xc9, 0xff, 0xff, 0xff, 0xff};
    return available >= sizeof header &&
           memcmp(message + available - sizeof header, header, sizeof header) == 0;
}

/* A beginning of a message must be one for msgpack-c too. */
static void check_beginning(const uint8_t *message, size_t available)
{
    if (available == 0 || ends_amid_the_largest_extension(message, available))
        return;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    CHECK(msgpack_unpack_next(&unpacked, (const char *)message, available, NULL) ==
          MSGPACK_UNPACK_CONTINUE);
    msgpack_unpacked_destroy(&unpacked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t settings = *data++;
    size--;
    struct rpc_bounds bounds = {.side = settings & 1 ? RPC_CLIENT : RPC_SERVER,
                                .max_message_bytes = settings & 2 ? 40 : MESSAGE_BYTES_MAX,
                                .max_nesting = settings & 4 ? 4 : 16};
    size_t step = 1 + (settings >> 3);
    struct again again = {0};
    while (size > 0) {
        uint8_t *message = malloc(size);
        struct rpc_scan scan;
        CHECK(message != NULL);
        memcpy(message, data, size);
        rpc_scan_begin(&scan);
        enum rpc_scan_result result = rpc_scan(&scan, &bounds, message, size);
        check_pieces(&scan, result, &bounds, message, size, step);
        if (result == RPC_NEED_MORE) {
            CHECK(size < bounds.max_message_bytes);
            check_beginning(message, size);
        } else if (result == RPC_COMPLETE) {
            CHECK(scan.offset <= bounds.max_message_bytes && scan.offset <= size);
            check_whole_message(&scan, &bounds, message, &again);
        } else {
            CHECK(scan.reason != NULL);
        }
        free(message);
        if (result != RPC_COMPLETE)
            break;
        data += scan.offset;
        size -= (size_t)scan.offset;
    }
    return 0;
}
