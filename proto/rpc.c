/* rpc.c: the scanner and the pull reader. See rpc.h for the messages and the bounds.
 *
 * Both stand on value_read() (rpc_value.h), which knows MessagePack's first bytes and nothing else.
 *
 * How the scanner counts: `pending` is how many values must still begin before the message is
 * whole. It begins at 1; a value takes one away, a container adds its elements. As each value takes
 * a byte at least, offset + pending is a lower bound of the message's length, and holding that
 * under max_message_bytes refuses every impossible announcement at its header. remaining[] says the
 * same depth by depth, which is needed only to know how deep the next value stands.
 */
#include "proto/rpc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "proto/rpc_value.h"

/* ---- where a message ends ---------------------------------------------------------------- */

void rpc_scan_begin(struct rpc_scan *scan)
{
    scan->offset = 0;
    scan->pending = 1;
    scan->values = 0;
    scan->depth = 0;
    scan->fields = 0;
    scan->msgid = 0;
    scan->has_msgid = false;
    scan->ended = false;
    scan->type = RPC_REQUEST;
    scan->reason = NULL;
    scan->remaining[0] = 1;
}

static enum rpc_scan_result scan_end(struct rpc_scan *scan, enum rpc_scan_result result,
                                     const char *reason)
{
    scan->ended = true;
    scan->reason = reason;
    return result;
}

/* The first field decides what the message is, and how many fields it must have. */
static const char *scan_check_type(struct rpc_scan *scan, enum rpc_side side,
                                   const struct value *value)
{
    if (value->kind != KIND_UINT || value->magnitude > RPC_NOTIFICATION)
        return "a message's first element is 0, 1 or 2";
    scan->type = (enum rpc_type)value->magnitude;
    if (scan->type == RPC_RESPONSE && side == RPC_SERVER)
        return "a response, but the server asks nothing";
    if (scan->type == RPC_REQUEST && side == RPC_CLIENT)
        return "a request, but the client answers nothing";
    if (scan->fields != (scan->type == RPC_NOTIFICATION ? 3u : 4u))
        return "requests and responses have 4 elements, notifications 3";
    return NULL;
}

/* Checks the values at depth 0 and 1, which make the message what it is. NULL when all is well. */
static const char *scan_check_field(struct rpc_scan *scan, enum rpc_side side,
                                    const struct value *value)
{
    if (scan->depth == 0) {
        if (value->kind != KIND_ARRAY || (value->length != 3 && value->length != 4))
            return "a message is an array of 3 or 4 elements";
        scan->fields = value->length;
        return NULL;
    }
    uint32_t field = scan->fields - scan->remaining[1];
    if (field == 0)
        return scan_check_type(scan, side, value);
    if (field == 1 && scan->type != RPC_NOTIFICATION) {
        if (value->kind != KIND_UINT || value->magnitude > UINT32_MAX)
            return "the message id must be an integer from 0 to 4294967295";
        scan->msgid = (uint32_t)value->magnitude;
        scan->has_msgid = true;
        return NULL;
    }
    if (scan->type == RPC_RESPONSE)
        return NULL; /* error and result may be anything */
    if (field + 2 == scan->fields && !value_is_text(value))
        return "the method must be a string";
    if (field + 1 == scan->fields && value->kind != KIND_ARRAY)
        return "the parameters must be an array";
    return NULL;
}

/* Counts a value whose header is whole: where the next one begins, and how deep it stands. */
static enum rpc_scan_result scan_account(struct rpc_scan *scan, const struct rpc_bounds *bounds,
                                         const struct value *value)
{
    uint64_t elements = value_elements(value);
    scan->offset += value->header_bytes + (uint64_t)value_body_bytes(value);
    scan->pending = scan->pending - 1 + elements;
    scan->values++;
    if (scan->offset + scan->pending > bounds->max_message_bytes)
        return scan_end(scan, RPC_TOOBIG, "the message is longer than the limit");
    scan->remaining[scan->depth]--;
    if (value->kind == KIND_ARRAY || value->kind == KIND_MAP) {
        if (scan->depth == bounds->max_nesting)
            return scan_end(scan, RPC_BAD, "arrays and maps are nested too deep");
        scan->remaining[++scan->depth] = (uint32_t)elements;
    }
    while (scan->depth > 0 && scan->remaining[scan->depth] == 0)
        scan->depth--;
    return RPC_NEED_MORE;
}

enum rpc_scan_result rpc_scan(struct rpc_scan *scan, const struct rpc_bounds *bounds,
                              const uint8_t *message, size_t available)
{
    CHECK(!scan->ended);
    CHECK(bounds->max_message_bytes >= 16);
    CHECK(bounds->max_nesting >= 2 && bounds->max_nesting <= RPC_NESTING_MAX);
    while (scan->pending > 0) {
        if (scan->offset >= available)
            return RPC_NEED_MORE;
        struct value value;
        size_t left = available - (size_t)scan->offset;
        value_read(message + scan->offset, left, &value);
        if (value.kind == KIND_INVALID)
            return scan_end(scan, RPC_BAD, "byte 0xc1, which MessagePack does not use");
        if (scan->offset + value.header_bytes > bounds->max_message_bytes)
            return scan_end(scan, RPC_TOOBIG, "the message is longer than the limit");
        if (left < value.header_bytes)
            return RPC_NEED_MORE;
        if (scan->depth <= 1) {
            const char *reason = scan_check_field(scan, bounds->side, &value);
            if (reason != NULL)
                return scan_end(scan, RPC_BAD, reason);
        }
        enum rpc_scan_result result = scan_account(scan, bounds, &value);
        if (result != RPC_NEED_MORE)
            return result;
    }
    CHECK(scan->depth == 0);
    return scan->offset > available ? RPC_NEED_MORE : scan_end(scan, RPC_COMPLETE, NULL);
}

/* ---- what it asks ------------------------------------------------------------------------ */

/* Takes the next value, or for a container its header. False, and nothing is taken, at the end, at
 * an invalid byte, or when header or body reach beyond the end. */
static bool reader_take(struct rpc_reader *reader, struct value *value, struct rpc_text *body)
{
    size_t left = (size_t)(reader->end - reader->next);
    if (left == 0)
        return false;
    value_read(reader->next, left, value);
    if (value->kind == KIND_INVALID || left < value->header_bytes)
        return false;
    uint32_t body_bytes = value_body_bytes(value);
    if (left - value->header_bytes < body_bytes)
        return false;
    if (body != NULL) {
        body->bytes = (const char *)reader->next + value->header_bytes;
        body->length = body_bytes;
    }
    reader->next += value->header_bytes + (size_t)body_bytes;
    return true;
}

static enum urn_code broken_message(struct urn_error *error)
{
    return error_set(error, URN_BADREQ, 0, "the bytes are not a whole MessagePack-RPC request");
}

enum urn_code rpc_request_read(const uint8_t *message, size_t length, struct rpc_request *request,
                               struct urn_error *error)
{
    struct rpc_reader reader = {message, message + length};
    struct value fields, type, msgid, method, params;
    if (!reader_take(&reader, &fields, NULL) || fields.kind != KIND_ARRAY ||
        !reader_take(&reader, &type, NULL) || type.kind != KIND_UINT)
        return broken_message(error);
    bool is_request = type.magnitude == RPC_REQUEST && fields.length == 4;
    bool is_notification = type.magnitude == RPC_NOTIFICATION && fields.length == 3;
    if (!is_request && !is_notification)
        return broken_message(error);
    request->type = (enum rpc_type)type.magnitude;
    request->msgid = 0;
    if (is_request) {
        if (!reader_take(&reader, &msgid, NULL) || msgid.kind != KIND_UINT ||
            msgid.magnitude > UINT32_MAX)
            return broken_message(error);
        request->msgid = (uint32_t)msgid.magnitude;
    }
    if (!reader_take(&reader, &method, &request->method) || !value_is_text(&method) ||
        !reader_take(&reader, &params, NULL) || params.kind != KIND_ARRAY)
        return broken_message(error);
    request->params = (struct rpc_params){.reader = reader, .count = params.length};
    return URN_OK;
}

/* ---- refusing a value -------------------------------------------------------------------- */

#define PLACE_BYTES 96  /* parameter 2 (count) */
#define LIST_BYTES  160 /* "names", "indexes" or "tally" */
#define GOT_BYTES   (RPC_QUOTED_BYTES + 16)

/* Where a value stands: a parameter by number, or (number 0) an option. */
struct place {
    uint32_t parameter;
    const char *name;
};

static const char *place_text(struct place place, char text[PLACE_BYTES])
{
    if (place.parameter > 0)
        snprintf(text, PLACE_BYTES, "parameter %" PRIu32 " (%s)", place.parameter, place.name);
    else
        snprintf(text, PLACE_BYTES, "option \"%s\"", place.name);
    return text;
}

/* What was there, in words. */
static const char *value_text(const struct value *value, char text[GOT_BYTES])
{
    static const char *const kinds[] = {
        [KIND_INVALID] = "an invalid byte",
        [KIND_NIL] = "nil",
        [KIND_FLOAT] = "a float",
        [KIND_STR] = "a string",
        [KIND_BIN] = "binary data",
        [KIND_ARRAY] = "an array",
        [KIND_MAP] = "a map",
        [KIND_EXT] = "an extension value",
    };
    if (value->kind == KIND_UINT)
        snprintf(text, GOT_BYTES, "%" PRIu64, value->magnitude);
    else if (value->kind == KIND_NEGATIVE)
        snprintf(text, GOT_BYTES, "%" PRId64, value->negative);
    else if (value->kind == KIND_BOOL)
        snprintf(text, GOT_BYTES, "%s", value->truth ? "true" : "false");
    else
        snprintf(text, GOT_BYTES, "%s", kinds[value->kind]);
    return text;
}

static enum urn_code refuse(struct place place, const char *expected, const struct value *value,
                            struct urn_error *error)
{
    char where[PLACE_BYTES];
    char got[GOT_BYTES];
    return error_set(error, URN_BADARG, 0, "%s: expected %s, got %s", place_text(place, where),
                     expected, value_text(value, got));
}

/* "a", "b" <last_joint> "c" */
static const char *list_names(const char *const *names, uint32_t count, const char *last_joint,
                              char list[LIST_BYTES])
{
    size_t used = 0;
    list[0] = '\0';
    for (uint32_t i = 0; i < count && used < LIST_BYTES; i++) {
        const char *joint = i == 0 ? "" : i + 1 == count ? last_joint : ", ";
        int length = snprintf(list + used, LIST_BYTES - used, "%s\"%s\"", joint, names[i]);
        used += length > 0 ? (size_t)length : 0;
    }
    return list;
}

/* ---- values of one kind, whether parameter or option ------------------------------------- */

/* reader_take() with its error. */
static bool take(struct rpc_reader *reader, struct value *value, struct rpc_text *body,
                 struct urn_error *error)
{
    if (reader_take(reader, value, body))
        return true;
    broken_message(error);
    return false;
}

static enum urn_code take_text(struct rpc_reader *reader, struct place place, struct rpc_text *text,
                               struct urn_error *error)
{
    struct value value;
    if (!take(reader, &value, text, error))
        return error->code;
    return value_is_text(&value) ? URN_OK : refuse(place, "a string", &value, error);
}

static enum urn_code take_uint(struct rpc_reader *reader, struct place place, uint64_t minimum,
                               uint64_t maximum, uint64_t *number, struct urn_error *error)
{
    struct value value;
    if (!take(reader, &value, NULL, error))
        return error->code;
    if (value.kind == KIND_UINT && value.magnitude >= minimum && value.magnitude <= maximum) {
        *number = value.magnitude;
        return URN_OK;
    }
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %" PRIu64 " to %" PRIu64, minimum,
             maximum);
    return refuse(place, expected, &value, error);
}

static enum urn_code take_int(struct rpc_reader *reader, struct place place, int64_t minimum,
                              int64_t maximum, int64_t *number, struct urn_error *error)
{
    struct value value;
    if (!take(reader, &value, NULL, error))
        return error->code;
    bool is_integer = value.kind == KIND_NEGATIVE ||
                      (value.kind == KIND_UINT && value.magnitude <= (uint64_t)INT64_MAX);
    if (is_integer) {
        *number = value.kind == KIND_NEGATIVE ? value.negative : (int64_t)value.magnitude;
        if (*number >= minimum && *number <= maximum)
            return URN_OK;
    }
    char expected[80];
    snprintf(expected, sizeof expected, "an integer from %" PRId64 " to %" PRId64, minimum,
             maximum);
    return refuse(place, expected, &value, error);
}

static enum urn_code take_bool(struct rpc_reader *reader, struct place place, bool *truth,
                               struct urn_error *error)
{
    struct value value;
    if (!take(reader, &value, NULL, error))
        return error->code;
    if (value.kind != KIND_BOOL)
        return refuse(place, "true or false", &value, error);
    *truth = value.truth;
    return URN_OK;
}

/* ---- parameters -------------------------------------------------------------------------- */

/* Steps to the next parameter, which must be there. */
static enum urn_code params_next(struct rpc_params *params, const char *name, struct place *place,
                                 struct urn_error *error)
{
    *place = (struct place){params->taken + 1, name};
    if (params->taken == params->count) {
        char where[PLACE_BYTES];
        return error_set(error, URN_BADARG, 0, "%s is missing", place_text(*place, where));
    }
    params->taken++;
    return URN_OK;
}

enum urn_code rpc_param_text(struct rpc_params *params, const char *name, struct rpc_text *text,
                             struct urn_error *error)
{
    struct place place;
    if (params_next(params, name, &place, error) != URN_OK)
        return error->code;
    return take_text(&params->reader, place, text, error);
}

enum urn_code rpc_param_uint(struct rpc_params *params, const char *name, uint64_t minimum,
                             uint64_t maximum, uint64_t *value, struct urn_error *error)
{
    struct place place;
    if (params_next(params, name, &place, error) != URN_OK)
        return error->code;
    return take_uint(&params->reader, place, minimum, maximum, value, error);
}

enum urn_code rpc_param_int(struct rpc_params *params, const char *name, int64_t minimum,
                            int64_t maximum, int64_t *value, struct urn_error *error)
{
    struct place place;
    if (params_next(params, name, &place, error) != URN_OK)
        return error->code;
    return take_int(&params->reader, place, minimum, maximum, value, error);
}

enum urn_code rpc_param_bool(struct rpc_params *params, const char *name, bool *value,
                             struct urn_error *error)
{
    struct place place;
    if (params_next(params, name, &place, error) != URN_OK)
        return error->code;
    return take_bool(&params->reader, place, value, error);
}

enum urn_code rpc_params_end(const struct rpc_params *params, enum rpc_method method,
                             struct urn_error *error)
{
    static const uint8_t parameters_max[RPC_METHOD_COUNT] = {
#define RPC_METHOD(symbol, name, min, max, parameters, result, meaning) [RPC_##symbol] = (max),
#include "proto/methods.def"
#undef RPC_METHOD
    };
    CHECK((unsigned)method < RPC_METHOD_COUNT);
    uint32_t maximum = parameters_max[method];
    if (params->count <= maximum)
        return URN_OK;
    if (maximum == 0)
        return error_set(error, URN_BADARG, 0, "%s takes no parameters, got %" PRIu32,
                         rpc_method_name(method), params->count);
    return error_set(error, URN_BADARG, 0, "%s takes at most %" PRIu32 " parameters, got %" PRIu32,
                     rpc_method_name(method), maximum, params->count);
}

/* ---- options ----------------------------------------------------------------------------- */

enum urn_code rpc_param_options(struct rpc_params *params, const char *const *names,
                                uint32_t name_count, struct rpc_options *options,
                                struct urn_error *error)
{
    CHECK(name_count <= RPC_OPTIONS_MAX);
    *options = (struct rpc_options){.names = names, .name_count = name_count};
    if (params->taken == params->count)
        return URN_OK;
    struct place place;
    struct value value;
    if (params_next(params, "options", &place, error) != URN_OK ||
        !take(&params->reader, &value, NULL, error))
        return error->code;
    if (value.kind != KIND_MAP && value.kind != KIND_NIL)
        return refuse(place, "a map of options", &value, error);
    options->reader = params->reader;
    options->left = value.length;
    return URN_OK;
}

enum urn_code rpc_option_next(struct rpc_options *options, uint32_t *which, struct urn_error *error)
{
    *which = options->name_count;
    if (options->left == 0)
        return URN_OK;
    options->left--;
    struct value value;
    struct rpc_text key;
    if (!take(&options->reader, &value, &key, error))
        return error->code;
    if (!value_is_text(&value)) {
        char got[GOT_BYTES];
        return error_set(error, URN_BADARG, 0, "an option's name must be a string, got %s",
                         value_text(&value, got));
    }
    uint32_t found = 0;
    while (found < options->name_count && !rpc_text_is(key, options->names[found]))
        found++;
    char quoted[RPC_QUOTED_BYTES];
    if (found == options->name_count) {
        char list[LIST_BYTES];
        return error_set(error, URN_BADARG, 0, "no option is called %s; there are %s",
                         rpc_quote(key, quoted),
                         list_names(options->names, options->name_count, " and ", list));
    }
    if (options->seen >> found & 1)
        return error_set(error, URN_BADARG, 0, "option %s is given twice", rpc_quote(key, quoted));
    options->seen |= 1u << found;
    options->current = found;
    *which = found;
    return URN_OK;
}

static struct place option_place(const struct rpc_options *options)
{
    CHECK(options->current < options->name_count);
    return (struct place){0, options->names[options->current]};
}

enum urn_code rpc_option_text(struct rpc_options *options, struct rpc_text *text,
                              struct urn_error *error)
{
    return take_text(&options->reader, option_place(options), text, error);
}

enum urn_code rpc_option_uint(struct rpc_options *options, uint64_t minimum, uint64_t maximum,
                              uint64_t *value, struct urn_error *error)
{
    return take_uint(&options->reader, option_place(options), minimum, maximum, value, error);
}

enum urn_code rpc_option_int(struct rpc_options *options, int64_t minimum, int64_t maximum,
                             int64_t *value, struct urn_error *error)
{
    return take_int(&options->reader, option_place(options), minimum, maximum, value, error);
}

enum urn_code rpc_option_bool(struct rpc_options *options, bool *value, struct urn_error *error)
{
    return take_bool(&options->reader, option_place(options), value, error);
}

enum urn_code rpc_option_choice(struct rpc_options *options, const char *const *choices,
                                uint32_t choice_count, uint32_t *choice, struct urn_error *error)
{
    struct place place = option_place(options);
    struct value value;
    struct rpc_text text;
    char list[LIST_BYTES];
    if (!take(&options->reader, &value, &text, error))
        return error->code;
    if (!value_is_text(&value))
        return refuse(place, list_names(choices, choice_count, " or ", list), &value, error);
    for (*choice = 0; *choice < choice_count; ++*choice)
        if (rpc_text_is(text, choices[*choice]))
            return URN_OK;
    char where[PLACE_BYTES];
    char quoted[RPC_QUOTED_BYTES];
    return error_set(error, URN_BADARG, 0, "%s: expected %s, got %s", place_text(place, where),
                     list_names(choices, choice_count, " or ", list), rpc_quote(text, quoted));
}

/* ---- lists ------------------------------------------------------------------------------- */

enum urn_code rpc_param_list(struct rpc_params *params, const char *name, struct rpc_list *list,
                             struct urn_error *error)
{
    *list = (struct rpc_list){.left = 0};
    if (params->taken == params->count)
        return URN_OK;
    struct place place;
    struct value value;
    if (params_next(params, name, &place, error) != URN_OK ||
        !take(&params->reader, &value, NULL, error))
        return error->code;
    if (value.kind != KIND_ARRAY && value.kind != KIND_NIL)
        return refuse(place, "an array of maps", &value, error);
    list->reader = params->reader;
    list->left = value.kind == KIND_ARRAY ? value.length : 0;
    return URN_OK;
}

enum urn_code rpc_list_next(struct rpc_list *list, const char *const *names, uint32_t name_count,
                            struct rpc_options *options, struct urn_error *error)
{
    CHECK(list->left > 0 && name_count <= RPC_OPTIONS_MAX);
    list->left--;
    struct value value;
    if (!take(&list->reader, &value, NULL, error))
        return error->code;
    if (value.kind != KIND_MAP) {
        char got[GOT_BYTES];
        return error_set(error, URN_BADARG, 0, "expected a map, got %s", value_text(&value, got));
    }
    *options = (struct rpc_options){
        .reader = list->reader, .left = value.length, .names = names, .name_count = name_count};
    return URN_OK;
}

void rpc_list_behind(struct rpc_list *list, const struct rpc_options *options)
{
    CHECK(options->left == 0);
    list->reader = options->reader;
}

/* ---- methods and texts ------------------------------------------------------------------- */

static const char *const method_names[RPC_METHOD_COUNT] = {
#define RPC_METHOD(symbol, name, min, max, parameters, result, meaning) [RPC_##symbol] = (name),
#include "proto/methods.def"
#undef RPC_METHOD
};

enum rpc_method rpc_method_find(struct rpc_text name)
{
    unsigned method = 0;
    while (method < RPC_METHOD_COUNT && !rpc_text_is(name, method_names[method]))
        method++;
    return (enum rpc_method)method;
}

const char *rpc_method_name(enum rpc_method method)
{
    CHECK((unsigned)method < RPC_METHOD_COUNT);
    return method_names[method];
}

enum urn_code rpc_method_unknown(struct rpc_text name, struct urn_error *error)
{
    char quoted[RPC_QUOTED_BYTES];
    char list[LIST_BYTES];
    return error_set(error, URN_NOMETHOD, 0, "no method is called %s; there are %s",
                     rpc_quote(name, quoted),
                     list_names(method_names, RPC_METHOD_COUNT, " and ", list));
}

bool rpc_text_is(struct rpc_text text, const char *word)
{
    size_t length = strlen(word);
    return text.length == length && memcmp(text.bytes, word, length) == 0;
}

const char *rpc_quote(struct rpc_text text, char quoted[RPC_QUOTED_BYTES])
{
    char *to = quoted;
    uint32_t shown = text.length < RPC_QUOTED_TEXT_BYTES ? text.length : RPC_QUOTED_TEXT_BYTES;
    *to++ = '"';
    for (uint32_t at = 0; at < shown;) {
        uint32_t length = rpc_utf8_bytes(text.bytes + at, text.length - at);
        if (length > 0 && at + length > RPC_QUOTED_TEXT_BYTES) {
            shown = at; /* the cut would go through a character */
            break;
        }
        unsigned char byte = (unsigned char)text.bytes[at];
        bool is_c1_control =
            length == 2 && byte == 0xc2 && (unsigned char)text.bytes[at + 1] < 0xa0;
        if (length == 0 || byte < 0x20 || byte == 0x7f || is_c1_control) {
            to += snprintf(to, 5, "\\x%02x", byte);
            at++;
            continue;
        }
        memcpy(to, text.bytes + at, length);
        to += length;
        at += length;
    }
    memcpy(to, shown < text.length ? "...\"" : "\"", shown < text.length ? 5 : 2);
    return quoted;
}
