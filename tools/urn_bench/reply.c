/* reply.c: the reader of replies, a value at a time; see reply.h.
 *
 * reader->field says what the next value has to be. accept_...() holds the value against that and
 * says what has to follow. Two loops go ahead of that with what nearly all bytes of a large reply
 * are: outcomes of one byte, and short names.
 */
#include "tools/urn_bench/reply.h"

#include <string.h>

#include "engine/check.h"

#define EXACT_MAX      ((1ull << 53) - 1) /* integers on the wire stay below 2^53 */
#define NAME_BYTES_MAX 64u

static bool is_wrong(struct reply_reader *reader, const char *what)
{
    reader->wrong = what;
    return false;
}

/* ---- one value after the other ------------------------------------------------------------- */

static bool accept_msgid(struct reply_reader *reader, const struct value *value)
{
    if (value->kind != KIND_UINT || value->magnitude > UINT32_MAX)
        return is_wrong(reader, "a reply's msgid is no integer below 2^32");
    reader->msgid = (uint32_t)value->magnitude;
    reader->field = REPLY_FIELD_ERROR;
    return true;
}

/* Goes over so many values, whatever they are. */
static void skip(struct reply_reader *reader, uint64_t values, enum reply_field field_after)
{
    reader->field = values > 0 ? REPLY_FIELD_SKIPPED : field_after;
    reader->field_after = field_after;
    reader->left = values;
}

/* Of urn an error is one string; other servers may send anything that is not nil. */
static bool accept_error(struct reply_reader *reader, const struct reply_expected *expected,
                         const struct value *value)
{
    if (value->kind == KIND_NIL) {
        reader->field = REPLY_FIELD_DRAW;
        if (expected->shape == REPLY_ANY)
            skip(reader, 1, REPLY_FIELD_END);
        return true;
    }
    reader->is_error = true;
    reader->body_is_error = value_is_text(value) && value->length > 0;
    if (expected->shape != REPLY_ANY && value->kind != KIND_STR)
        return is_wrong(reader, "a reply's error is neither nil nor a string");
    skip(reader, value_elements(value), REPLY_FIELD_NO_RESULT);
    return true;
}

static bool accept_first_id(struct reply_reader *reader, const struct reply_expected *expected,
                            const struct value *value)
{
    if (value->kind != KIND_UINT || value->magnitude == 0 ||
        value->magnitude > EXACT_MAX - expected->draws)
        return is_wrong(reader, "a draw's first request id is no integer from 1 to 2^53");
    reader->first_id = value->magnitude;
    reader->field = REPLY_FIELD_OUTCOMES;
    return true;
}

static bool accept_outcomes(struct reply_reader *reader, const struct reply_expected *expected,
                            const struct value *value)
{
    reader->left = value->length;
    if (expected->shape == REPLY_TALLY) {
        if (value->kind != KIND_MAP || value->length > expected->draws)
            return is_wrong(reader, "a draw's tally is no map of at most as many items as draws");
        reader->field = value->length > 0 ? REPLY_FIELD_TALLY_NAME : REPLY_FIELD_FAILED;
        return true;
    }
    if (value->kind != KIND_ARRAY || value->length != expected->draws)
        return is_wrong(reader, "a draw's outcomes are no array of as many as were asked for");
    reader->field = REPLY_FIELD_OUTCOME;
    return true;
}

static void count_outcomes(struct reply_reader *reader, uint64_t outcomes)
{
    CHECK(outcomes <= reader->left);
    reader->left -= outcomes;
    if (reader->left == 0)
        reader->field = REPLY_FIELD_FAILED;
}

static bool is_name(const struct value *value)
{
    return value->kind == KIND_STR && value->length >= 1 && value->length <= NAME_BYTES_MAX;
}

static bool accept_outcome(struct reply_reader *reader, const struct reply_expected *expected,
                           const struct value *value)
{
    if (value->kind == KIND_NIL)
        reader->counted++;
    else if (expected->shape == REPLY_NAMES && !is_name(value))
        return is_wrong(reader, "an outcome is neither nil nor a name of 1 to 64 bytes");
    else if (expected->shape == REPLY_INDEXES &&
             (value->kind != KIND_UINT || value->magnitude > UINT32_MAX))
        return is_wrong(reader, "an outcome is neither nil nor an index");
    count_outcomes(reader, 1);
    return true;
}

static bool accept_tally_count(struct reply_reader *reader, const struct reply_expected *expected,
                               const struct value *value)
{
    if (value->kind != KIND_UINT || value->magnitude == 0 ||
        value->magnitude > expected->draws - reader->counted)
        return is_wrong(reader, "a tally counts more draws than were asked for, or none");
    reader->counted += value->magnitude;
    reader->field = REPLY_FIELD_TALLY_NAME;
    count_outcomes(reader, 1);
    return true;
}

static bool accept_failed(struct reply_reader *reader, const struct reply_expected *expected,
                          const struct value *value)
{
    uint64_t failed =
        expected->shape == REPLY_TALLY ? expected->draws - reader->counted : reader->counted;
    if (value->kind != KIND_UINT || value->magnitude != failed)
        return is_wrong(reader, "a draw's failed does not count the outcomes that are missing");
    reader->failed = (uint32_t)failed;
    reader->field = REPLY_FIELD_ODDS_VERSION;
    return true;
}

/* A value of one kind that must stand here and says nothing more. */
static bool accept_kind(struct reply_reader *reader, const struct value *value, enum kind kind,
                        enum reply_field next, const char *otherwise)
{
    if (value->kind != kind)
        return is_wrong(reader, otherwise);
    reader->field = next;
    return true;
}

static bool accept_frame(struct reply_reader *reader, const struct reply_expected *expected,
                         const struct value *value)
{
    switch (reader->field) {
    case REPLY_FIELD_MESSAGE:
        if (value->kind != KIND_ARRAY || value->length != 4)
            return is_wrong(reader, "a message is no array of 4 elements");
        reader->field = REPLY_FIELD_TYPE;
        return true;
    case REPLY_FIELD_TYPE:
        if (value->kind != KIND_UINT || value->magnitude != 1)
            return is_wrong(reader, "a message is no reply");
        reader->field = REPLY_FIELD_MSGID;
        return true;
    case REPLY_FIELD_MSGID:
        return accept_msgid(reader, value);
    case REPLY_FIELD_ERROR:
        return accept_error(reader, expected, value);
    case REPLY_FIELD_NO_RESULT:
        return accept_kind(reader, value, KIND_NIL, REPLY_FIELD_END,
                           "a reply has an error and a result");
    default:
        CHECK(reader->field == REPLY_FIELD_SKIPPED && reader->left > 0);
        skip(reader, reader->left - 1 + value_elements(value), reader->field_after);
        return true;
    }
}

static bool accept(struct reply_reader *reader, const struct reply_expected *expected,
                   const struct value *value)
{
    switch (reader->field) {
    case REPLY_FIELD_DRAW:
        if (value->kind != KIND_ARRAY || value->length != 5)
            return is_wrong(reader, "a draw's result is no array of 5 elements");
        reader->field = REPLY_FIELD_FIRST_ID;
        return true;
    case REPLY_FIELD_FIRST_ID:
        return accept_first_id(reader, expected, value);
    case REPLY_FIELD_OUTCOMES:
        return accept_outcomes(reader, expected, value);
    case REPLY_FIELD_OUTCOME:
        return accept_outcome(reader, expected, value);
    case REPLY_FIELD_TALLY_NAME:
        if (!is_name(value))
            return is_wrong(reader, "an item of a tally is no name of 1 to 64 bytes");
        reader->field = REPLY_FIELD_TALLY_COUNT;
        return true;
    case REPLY_FIELD_TALLY_COUNT:
        return accept_tally_count(reader, expected, value);
    case REPLY_FIELD_FAILED:
        return accept_failed(reader, expected, value);
    case REPLY_FIELD_ODDS_VERSION:
        return accept_kind(reader, value, KIND_UINT, REPLY_FIELD_REPLAYED,
                           "a draw's odds version is no integer");
    case REPLY_FIELD_REPLAYED:
        return accept_kind(reader, value, KIND_BOOL, REPLY_FIELD_END,
                           "a draw's replayed is neither true nor false");
    default:
        return accept_frame(reader, expected, value);
    }
}

/* ---- outcomes, many at a time -------------------------------------------------------------- */

/* Indexes below 128 take a byte each, and eight of them are seen at once. */
static const uint8_t *step_indexes(struct reply_reader *reader, const uint8_t *next,
                                   const uint8_t *end)
{
    const uint64_t high_bits = 0x8080808080808080u;
    uint64_t most = (uint64_t)(end - next);
    uint64_t outcomes = 0;
    if (most > reader->left)
        most = reader->left;
    for (; most - outcomes >= 8; outcomes += 8) {
        uint64_t eight;
        memcpy(&eight, next + outcomes, sizeof eight);
        if ((eight & high_bits) != 0)
            break;
    }
    while (outcomes < most && next[outcomes] < 0x80)
        outcomes++;
    count_outcomes(reader, outcomes);
    return next + outcomes;
}

/* Names of up to 31 bytes have a header of one byte; those that are there whole are stepped over. */
static const uint8_t *step_names(struct reply_reader *reader, const uint8_t *next,
                                 const uint8_t *end)
{
    uint64_t outcomes = 0;
    while (outcomes < reader->left && next<end && * next> 0xa0 && *next < 0xc0) {
        uint32_t bytes = 1 + (*next & 0x1fu);
        if (bytes > (size_t)(end - next))
            break;
        next += bytes;
        outcomes++;
    }
    count_outcomes(reader, outcomes);
    return next;
}

static const uint8_t *step_outcomes(struct reply_reader *reader, enum reply_shape shape,
                                    const uint8_t *next, const uint8_t *end)
{
    if (reader->held_bytes > 0 || next == end)
        return next;
    return shape == REPLY_INDEXES ? step_indexes(reader, next, end) : step_names(reader, next, end);
}

/* ---- bytes --------------------------------------------------------------------------------- */

/* Takes the next value's header. False: it has not come whole, and what there is of it is held. */
static bool take_value(struct reply_reader *reader, const uint8_t **next, const uint8_t *end,
                       struct value *value)
{
    size_t available = (size_t)(end - *next);
    if (reader->held_bytes == 0 && available > 0) {
        value_read(*next, available, value);
        if (available >= value->header_bytes) {
            *next += value->header_bytes;
            return true;
        }
    }
    while (*next < end) {
        reader->held[reader->held_bytes++] = *(*next)++;
        value_read(reader->held, reader->held_bytes, value);
        if (reader->held_bytes == value->header_bytes) {
            reader->held_bytes = 0;
            return true;
        }
    }
    return false;
}

/* Steps over the body of a str, bin or ext; of an error's text it keeps what there is room for. */
static void take_body(struct reply_reader *reader, const uint8_t **next, const uint8_t *end)
{
    size_t available = (size_t)(end - *next);
    uint32_t bytes = available < reader->body_left ? (uint32_t)available : reader->body_left;
    if (reader->body_is_error) {
        uint32_t room = REPLY_ERROR_BYTES - reader->error_length;
        uint32_t kept = bytes < room ? bytes : room;
        memcpy(reader->error + reader->error_length, *next, kept);
        reader->error_length += kept;
    }
    *next += bytes;
    reader->body_left -= bytes;
    if (reader->body_left == 0)
        reader->body_is_error = false;
}

static void begin(struct reply_reader *reader)
{
    reader->field = REPLY_FIELD_MESSAGE;
    reader->is_error = false;
    reader->failed = 0;
    reader->first_id = 0;
    reader->error_length = 0;
    reader->counted = 0;
}

enum reply_step reply_read(struct reply_reader *reader, const struct reply_expected *expected,
                           const uint8_t **next, const uint8_t *end)
{
    CHECK(expected->shape == REPLY_ANY || expected->draws > 0);
    if (reader->field == REPLY_FIELD_END && reader->body_left == 0)
        begin(reader); /* else the last value's bytes are still coming */
    for (;;) {
        if (reader->body_left > 0) {
            take_body(reader, next, end);
            if (reader->body_left > 0)
                return REPLY_MORE;
        }
        if (reader->field == REPLY_FIELD_OUTCOME)
            *next = step_outcomes(reader, expected->shape, *next, end);
        if (reader->field == REPLY_FIELD_END)
            return REPLY_WHOLE;
        struct value value;
        if (!take_value(reader, next, end, &value))
            return REPLY_MORE;
        if (value.kind == KIND_INVALID) {
            reader->wrong = "byte 0xc1, which MessagePack does not use";
            return REPLY_WRONG;
        }
        if (!accept(reader, expected, &value))
            return REPLY_WRONG;
        reader->body_left = value_body_bytes(&value);
    }
}
