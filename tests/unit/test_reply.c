/* test_reply.c: the load generator's reader of replies: tools/urn_bench/reply.h.
 *
 * Replies are packed with msgpack-c, as a server of somebody else's would, and arrive cut in two at
 * every place, and byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <msgpack.h>

#include "tools/urn_bench/reply.h"

/* ---- replies ------------------------------------------------------------------------------- */

struct maker {
    msgpack_sbuffer bytes;
    msgpack_packer pack;
};

static void make_begin(struct maker *maker)
{
    msgpack_sbuffer_init(&maker->bytes);
    msgpack_packer_init(&maker->pack, &maker->bytes, msgpack_sbuffer_write);
}

static void make_end(struct maker *maker)
{
    msgpack_sbuffer_destroy(&maker->bytes);
}

static void pack_text(struct maker *maker, const char *text)
{
    msgpack_pack_str_with_body(&maker->pack, text, strlen(text));
}

/* [1, msgid, nil, ... */
static void pack_head(struct maker *maker, uint32_t msgid)
{
    msgpack_pack_array(&maker->pack, 4);
    msgpack_pack_int(&maker->pack, 1);
    msgpack_pack_uint32(&maker->pack, msgid);
    msgpack_pack_nil(&maker->pack);
}

/* ... [first id, ... */
static void pack_draw(struct maker *maker, uint32_t msgid, uint64_t first_id)
{
    pack_head(maker, msgid);
    msgpack_pack_array(&maker->pack, 5);
    msgpack_pack_uint64(&maker->pack, first_id);
}

/* ..., failed, odds version, replayed]] */
static void pack_tail(struct maker *maker, uint32_t failed)
{
    msgpack_pack_uint32(&maker->pack, failed);
    msgpack_pack_uint64(&maker->pack, 7);
    msgpack_pack_false(&maker->pack);
}

static void pack_error(struct maker *maker, uint32_t msgid, const char *text)
{
    msgpack_pack_array(&maker->pack, 4);
    msgpack_pack_int(&maker->pack, 1);
    msgpack_pack_uint32(&maker->pack, msgid);
    pack_text(maker, text);
    msgpack_pack_nil(&maker->pack);
}

/* Every third outcome is nil, every fifth an index of several bytes. Returns how many are nil. */
static uint32_t pack_indexes(struct maker *maker, uint32_t draws)
{
    uint32_t nils = 0;
    msgpack_pack_array(&maker->pack, draws);
    for (uint32_t i = 0; i < draws; i++) {
        if (i % 3 == 2) {
            msgpack_pack_nil(&maker->pack);
            nils++;
        } else {
            msgpack_pack_uint32(&maker->pack, i % 5 == 4 ? 1000000 : i % 128);
        }
    }
    return nils;
}

static uint32_t pack_names(struct maker *maker, uint32_t draws)
{
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567891234";
    uint32_t nils = 0;
    msgpack_pack_array(&maker->pack, draws);
    for (uint32_t i = 0; i < draws; i++) {
        if (i % 4 == 3) {
            msgpack_pack_nil(&maker->pack);
            nils++;
        } else {
            size_t length = i % 7 == 6 ? 64 : 1 + i % 31;
            msgpack_pack_str_with_body(&maker->pack, long_name, length);
        }
    }
    return nils;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Reads with the bytes cut in pieces; each is a copy of its own size, so that a look beyond its end is
 * seen by the sanitizer. Returns how many whole replies there were; -1 when one was wrong. */
static int read_pieces(struct reply_reader *reader, const struct reply_expected *expected,
                       const struct maker *maker, size_t first_piece, size_t piece)
{
    int replies = 0;
    size_t at = 0;
    while (at < maker->bytes.size) {
        size_t length = at == 0 ? first_piece : piece;
        if (length > maker->bytes.size - at)
            length = maker->bytes.size - at;
        uint8_t *copy = malloc(length > 0 ? length : 1);
        memcpy(copy, maker->bytes.data + at, length);
        const uint8_t *next = copy;
        enum reply_step step = REPLY_MORE;
        while (next < copy + length &&
               (step = reply_read(reader, expected, &next, copy + length)) == REPLY_WHOLE)
            replies++;
        assert_true(step == REPLY_WRONG || next == copy + length);
        free(copy);
        if (step == REPLY_WRONG)
            return -1;
        at += length;
    }
    return replies;
}

/* One reply, however it is cut, is one reply that says the same. */
static void assert_reads(const struct reply_expected *expected, const struct maker *maker,
                         const struct reply_reader *says)
{
    for (size_t cut = 1; cut <= maker->bytes.size; cut++) {
        struct reply_reader reader = {0};
        size_t piece = cut == maker->bytes.size ? 1 : SIZE_MAX; /* the last: byte by byte */
        assert_int_equal(read_pieces(&reader, expected, maker, cut % maker->bytes.size + 1, piece),
                         1);
        assert_int_equal(reader.msgid, says->msgid);
        assert_int_equal(reader.is_error, says->is_error);
        assert_int_equal(reader.first_id, says->first_id);
        assert_int_equal(reader.failed, says->failed);
        assert_int_equal(reader.error_length, says->error_length);
        assert_memory_equal(reader.error, says->error, says->error_length);
    }
}

static void draws_are_read_in_every_form_and_cut_anywhere(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 7, 8, 9, 16, 40, 300};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        for (int shape = REPLY_NAMES; shape <= REPLY_INDEXES; shape++) {
            struct reply_expected expected = {(enum reply_shape)shape, counts[i]};
            struct maker maker;
            make_begin(&maker);
            pack_draw(&maker, 70000, 1ull << 40);
            uint32_t nils = shape == REPLY_NAMES ? pack_names(&maker, counts[i])
                                                 : pack_indexes(&maker, counts[i]);
            pack_tail(&maker, nils);
            struct reply_reader says = {.msgid = 70000, .first_id = 1ull << 40, .failed = nils};
            assert_reads(&expected, &maker, &says);
            make_end(&maker);
        }
    }
}

static void a_tally_is_added_up(void **state)
{
    (void)state;
    struct reply_expected expected = {REPLY_TALLY, 1000};
    struct maker maker;
    make_begin(&maker);
    pack_draw(&maker, 3, 1);
    msgpack_pack_map(&maker.pack, 2);
    pack_text(&maker, "mud");
    msgpack_pack_int(&maker.pack, 900);
    pack_text(&maker, "gold");
    msgpack_pack_int(&maker.pack, 60);
    pack_tail(&maker, 40);
    struct reply_reader says = {.msgid = 3, .first_id = 1, .failed = 40};
    assert_reads(&expected, &maker, &says);
    make_end(&maker);

    /* Nothing was in stock at all. */
    make_begin(&maker);
    pack_draw(&maker, 3, 1);
    msgpack_pack_map(&maker.pack, 0);
    pack_tail(&maker, 1000);
    says.failed = 1000;
    assert_reads(&expected, &maker, &says);
    make_end(&maker);
}

static void errors_are_kept_as_far_as_there_is_room(void **state)
{
    (void)state;
    struct reply_expected expected = {REPLY_NAMES, 5};
    struct maker maker;
    make_begin(&maker);
    pack_error(&maker, 9, "BUSY the log has no room");
    struct reply_reader says = {.msgid = 9, .is_error = true, .error_length = 24};
    memcpy(says.error, "BUSY the log has no room", 24);
    assert_reads(&expected, &maker, &says);
    make_end(&maker);

    char text[2 * REPLY_ERROR_BYTES + 1];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    make_begin(&maker);
    pack_error(&maker, 9, text);
    says.error_length = REPLY_ERROR_BYTES;
    memcpy(says.error, text, REPLY_ERROR_BYTES);
    assert_reads(&expected, &maker, &says);
    make_end(&maker);

    make_begin(&maker);
    pack_error(&maker, 9, "");
    says.error_length = 0;
    assert_reads(&expected, &maker, &says);
    make_end(&maker);
}

static void replies_follow_each_other(void **state)
{
    (void)state;
    struct reply_expected expected = {REPLY_INDEXES, 1};
    struct maker maker;
    make_begin(&maker);
    for (uint32_t i = 0; i < 100; i++) {
        if (i % 10 == 9) {
            pack_error(&maker, i, i % 20 == 9 ? "" : "BUSY later");
        } else {
            pack_draw(&maker, i, 1 + i);
            msgpack_pack_array(&maker.pack, 1);
            msgpack_pack_int(&maker.pack, 5);
            pack_tail(&maker, 0);
        }
    }
    for (size_t piece = 1; piece < 200; piece++) {
        struct reply_reader reader = {0};
        assert_int_equal(read_pieces(&reader, &expected, &maker, piece, piece), 100);
        assert_int_equal(reader.msgid, 99);
    }
    make_end(&maker);
}

static void any_server_may_answer_a_ping(void **state)
{
    (void)state;
    struct reply_expected expected = {REPLY_ANY, 0};
    struct maker maker;
    make_begin(&maker);
    pack_head(&maker, 1);
    msgpack_pack_map(&maker.pack, 2); /* {"a": [1, nil, "text"], 3.5: {}} */
    pack_text(&maker, "a");
    msgpack_pack_array(&maker.pack, 3);
    msgpack_pack_int(&maker.pack, 1);
    msgpack_pack_nil(&maker.pack);
    pack_text(&maker, "text");
    msgpack_pack_double(&maker.pack, 3.5);
    msgpack_pack_map(&maker.pack, 0);
    struct reply_reader says = {.msgid = 1};
    assert_reads(&expected, &maker, &says);
    make_end(&maker);

    make_begin(&maker); /* the reply ends with bytes that belong to its last value */
    pack_head(&maker, 1);
    pack_text(&maker, "pong");
    assert_reads(&expected, &maker, &says);
    make_end(&maker);

    make_begin(&maker); /* an error as Neovim sends it: [0, "text"] */
    msgpack_pack_array(&maker.pack, 4);
    msgpack_pack_int(&maker.pack, 1);
    msgpack_pack_int(&maker.pack, 2);
    msgpack_pack_array(&maker.pack, 2);
    msgpack_pack_int(&maker.pack, 0);
    pack_text(&maker, "no such method");
    msgpack_pack_nil(&maker.pack);
    struct reply_reader refused = {.msgid = 2, .is_error = true};
    assert_reads(&expected, &maker, &refused);
    make_end(&maker);
}

/* ---- what is not what was asked for ----------------------------------------------------------- */

/* The bytes are a reply's, one value of which is not as it should be. */
static void wrong_replies_are_seen_to_be_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        enum reply_shape shape;
        uint32_t length;
        const char *bytes;
    } cases[] = {
        {"three elements", REPLY_INDEXES, 1, "\x93"},
        {"a request", REPLY_INDEXES, 2, "\x94\x00"},
        {"a negative msgid", REPLY_INDEXES, 3, "\x94\x01\xff"},
        {"error and result", REPLY_INDEXES, 6, "\x94\x01\x05\xa1X\x01"},
        {"an error that is no string", REPLY_INDEXES, 4, "\x94\x01\x05\x07"},
        {"a bare result", REPLY_INDEXES, 5, "\x94\x01\x05\xc0\x07"},
        {"four in the result", REPLY_INDEXES, 5, "\x94\x01\x05\xc0\x94"},
        {"id 0", REPLY_INDEXES, 6, "\x94\x01\x05\xc0\x95\x00"},
        {"id 2^53", REPLY_INDEXES, 14, "\x94\x01\x05\xc0\x95\xcf\x00\x20\x00\x00\x00\x00\x00\x00"},
        {"one outcome of two", REPLY_INDEXES, 7, "\x94\x01\x05\xc0\x95\x01\x91"},
        {"three outcomes of two", REPLY_INDEXES, 7, "\x94\x01\x05\xc0\x95\x01\x93"},
        {"a name as index", REPLY_INDEXES, 9, "\x94\x01\x05\xc0\x95\x01\x92\x00\xa1"},
        {"an index as name", REPLY_NAMES, 10, "\x94\x01\x05\xc0\x95\x01\x92\xa1m\x00"},
        {"an empty name", REPLY_NAMES, 8, "\x94\x01\x05\xc0\x95\x01\x92\xa0"},
        {"a name of 65", REPLY_NAMES, 9, "\x94\x01\x05\xc0\x95\x01\x92\xd9\x41"},
        {"a nil that is not counted", REPLY_INDEXES, 10,
         "\x94\x01\x05\xc0\x95\x01\x92\x00\xc0\x00"},
        {"none is nil", REPLY_INDEXES, 10, "\x94\x01\x05\xc0\x95\x01\x92\x00\x00\x01"},
        {"a tally of three", REPLY_TALLY, 10, "\x94\x01\x05\xc0\x95\x01\x81\xa1m\x03"},
        {"a tally of none", REPLY_TALLY, 10, "\x94\x01\x05\xc0\x95\x01\x81\xa1m\x00"},
        {"a tally with failures uncounted", REPLY_TALLY, 11,
         "\x94\x01\x05\xc0\x95\x01\x81\xa1m\x01\x00"},
        {"a tally of indexes", REPLY_TALLY, 8, "\x94\x01\x05\xc0\x95\x01\x81\x01"},
        {"no odds version", REPLY_INDEXES, 11, "\x94\x01\x05\xc0\x95\x01\x92\x00\x00\x00\xc0"},
        {"replayed 0", REPLY_INDEXES, 12, "\x94\x01\x05\xc0\x95\x01\x92\x00\x00\x00\x01\x00"},
        {"byte c1", REPLY_INDEXES, 1, "\xc1"},
        {"byte c1 in a result", REPLY_ANY, 5, "\x94\x01\x05\xc0\xc1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply_expected expected = {cases[i].shape, cases[i].shape == REPLY_ANY ? 0 : 2};
        struct reply_reader reader = {0};
        const uint8_t *bytes = (const uint8_t *)cases[i].bytes;
        const uint8_t *next = bytes;
        enum reply_step before = reply_read(&reader, &expected, &next, bytes + cases[i].length - 1);
        if (before != REPLY_MORE)
            fail_msg("%s: answered too early", cases[i].why);
        if (reply_read(&reader, &expected, &next, bytes + cases[i].length) != REPLY_WRONG)
            fail_msg("%s: not seen", cases[i].why);
        assert_non_null(reader.wrong);
    }
}

/* Whatever comes, the reader stays inside the bytes and ends. */
static void noise_does_no_harm(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (uint32_t round = 0; round < 20000; round++) {
        struct reply_expected expected = {(enum reply_shape)(round % 4), round % 4 == 3 ? 0 : 3};
        struct maker maker;
        make_begin(&maker);
        pack_draw(&maker, 5, 1);
        pack_names(&maker, 3);
        pack_tail(&maker, 0);
        for (int changes = 0; changes < 3; changes++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            maker.bytes.data[(random >> 8) % maker.bytes.size] = (char)random;
        }
        struct reply_reader reader = {0};
        (void)read_pieces(&reader, &expected, &maker, 1 + round % 16, 1 + round % 9);
        make_end(&maker);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_read_in_every_form_and_cut_anywhere),
        cmocka_unit_test(a_tally_is_added_up),
        cmocka_unit_test(errors_are_kept_as_far_as_there_is_room),
        cmocka_unit_test(replies_follow_each_other),
        cmocka_unit_test(any_server_may_answer_a_ping),
        cmocka_unit_test(wrong_replies_are_seen_to_be_wrong),
        cmocka_unit_test(noise_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
