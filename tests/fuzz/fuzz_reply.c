/* fuzz_reply.c: any bytes as replies to urn-bench.
 *
 *     input: shape, draws asked for, length of a piece (a byte each), then what a server sends
 *
 * However the bytes are cut, the reader must say the same of them; and what it calls a whole reply to a draw must
 * be one to msgpack-c's unpacker too.
 */
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_bench/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLIES_MAX 64u

/* What a reader has said of a stream. */
struct said {
    struct reply_reader replies[REPLIES_MAX]; /* as they stood behind each whole reply */
    size_t ends[REPLIES_MAX];
    uint32_t count;
    bool wrong;
};

static void note(struct said *said, const struct reply_reader *reader, size_t end)
{
    said->replies[said->count] = *reader;
    said->ends[said->count++] = end;
}

/* Reads with the bytes in pieces of this length, each a copy of its own size. */
static void read_all(const struct reply_expected *expected, const uint8_t *bytes, size_t length,
                     size_t piece, struct said *said)
{
    struct reply_reader reader = {0};
    said->count = 0;
    said->wrong = false;
    for (size_t at = 0; at < length && !said->wrong; at += piece) {
        size_t now = length - at < piece ? length - at : piece;
        uint8_t *copy = malloc(now);
        CHECK(copy != NULL);
        memcpy(copy, bytes + at, now);
        const uint8_t *next = copy;
        while (next < copy + now && !said->wrong && said->count < REPLIES_MAX) {
            enum reply_step step = reply_read(&reader, expected, &next, copy + now);
            CHECK(step != REPLY_MORE || next == copy + now);
            CHECK(step != REPLY_WRONG || reader.wrong != NULL);
            if (step == REPLY_WHOLE)
                note(said, &reader, at + (size_t)(next - copy));
            said->wrong = step == REPLY_WRONG;
        }
        free(copy);
        if (said->count == REPLIES_MAX)
            return;
    }
}

static void check_same(const struct said *one, const struct said *other)
{
    CHECK(one->count == other->count && one->wrong == other->wrong);
    for (uint32_t i = 0; i < one->count; i++) {
        const struct reply_reader *a = &one->replies[i];
        const struct reply_reader *b = &other->replies[i];
        CHECK(one->ends[i] == other->ends[i]);
        CHECK(a->msgid == b->msgid && a->is_error == b->is_error && a->failed == b->failed);
        CHECK(a->first_id == b->first_id && a->error_length == b->error_length);
        CHECK(memcmp(a->error, b->error, a->error_length) == 0);
    }
}

static uint64_t count_nils(const msgpack_object *array)
{
    uint64_t nils = 0;
    for (uint32_t i = 0; i < array->via.array.size; i++)
        nils += array->via.array.ptr[i].type == MSGPACK_OBJECT_NIL;
    return nils;
}

static void check_draw(const struct reply_expected *expected, const struct reply_reader *reply,
                       const msgpack_object *result)
{
    CHECK(result->type == MSGPACK_OBJECT_ARRAY && result->via.array.size == 5);
    const msgpack_object *fields = result->via.array.ptr;
    CHECK(fields[0].via.u64 == reply->first_id && fields[2].via.u64 == reply->failed);
    if (expected->shape == REPLY_TALLY) {
        uint64_t drawn = 0;
        CHECK(fields[1].type == MSGPACK_OBJECT_MAP);
        for (uint32_t i = 0; i < fields[1].via.map.size; i++)
            drawn += fields[1].via.map.ptr[i].val.via.u64;
        CHECK(drawn + reply->failed == expected->draws);
    } else {
        CHECK(fields[1].type == MSGPACK_OBJECT_ARRAY);
        CHECK(fields[1].via.array.size == expected->draws);
        CHECK(count_nils(&fields[1]) == reply->failed);
    }
}

/* The reply that lies between these bytes, as msgpack-c sees it. */
static void check_reply(const struct reply_expected *expected, const struct reply_reader *reply,
                        const uint8_t *bytes, size_t length)
{
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    size_t offset = 0;
    msgpack_unpack_return got =
        msgpack_unpack_next(&unpacked, (const char *)bytes, length, &offset);
    CHECK(got == MSGPACK_UNPACK_SUCCESS && offset == length);
    const msgpack_object *message = &unpacked.data;
    CHECK(message->type == MSGPACK_OBJECT_ARRAY && message->via.array.size == 4);
    const msgpack_object *fields = message->via.array.ptr;
    CHECK(fields[0].via.u64 == 1 && fields[1].via.u64 == reply->msgid);
    CHECK((fields[2].type != MSGPACK_OBJECT_NIL) == reply->is_error);
    if (!reply->is_error && expected->shape != REPLY_ANY)
        check_draw(expected, reply, &fields[3]);
    msgpack_unpacked_destroy(&unpacked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct said whole, pieces;
    if (size < 3)
        return 0;
    struct reply_expected expected = {.shape = (enum reply_shape)(data[0] % 4)};
    expected.draws = expected.shape == REPLY_ANY ? 0 : 1u + data[1];
    size_t piece = 1u + data[2];
    const uint8_t *bytes = data + 3;
    size_t length = size - 3;
    read_all(&expected, bytes, length, length > 0 ? length : 1, &whole);
    read_all(&expected, bytes, length, piece, &pieces);
    check_same(&whole, &pieces);
    for (uint32_t i = 0; i < whole.count; i++) {
        size_t begin = i == 0 ? 0 : whole.ends[i - 1];
        /* msgpack-c nests less deep than other servers' answers to a ping may. */
        if (expected.shape != REPLY_ANY)
            check_reply(&expected, &whole.replies[i], bytes + begin, whole.ends[i] - begin);
    }
    return 0;
}
