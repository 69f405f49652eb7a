/* client_decode.c: answers and errors of the client library. See client_internal.h.
 *
 * msgpack-c makes objects of an answer's bytes; they lie in one zone, and so do the arrays of the
 * result. The scanner has passed the bytes before, so nesting and lengths are within bounds.
 *
 * Texts are terminated in place: a str stands behind a header of at least one byte which nobody
 * needs any more, so its bytes move down by one and leave room for the zero.
 *
 * Additional elements of arrays and unknown keys of maps are ignored, so that a newer server can
 * say more; what is missing or of another type is URNCLIENT_PROTOCOL.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "proto/client_internal.h"

/* ---- errors ------------------------------------------------------------------------------ */

enum urnclient_status client_fail(struct urnclient_error *error, enum urnclient_status status,
                                  int system_errno, const char *format, ...)
{
    *error = (struct urnclient_error){
        .status = status, .retry = URNCLIENT_RETRY_NO, .system_errno = system_errno};
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (system_errno != 0 && length >= 0 && (size_t)length < sizeof error->text) {
        const char *reason = strerrordesc_np(system_errno);
        snprintf(error->text + length, sizeof error->text - (size_t)length, ": %s",
                 reason != NULL ? reason : "unknown errno");
    }
    return status;
}

void client_set_doubt(struct urnclient_error *error, enum urnclient_method method)
{
    bool changes =
        method == URNCLIENT_DRAW || client_is_change(method) || method == URNCLIENT_RELOAD;
    error->may_have_taken_effect = changes;
    error->retry = changes ? URNCLIENT_RETRY_AFTER_A_LOOK : URNCLIENT_RETRY_YES;
}

/* What codes.def says of a code; one that this library does not know is in doubt. */
static void set_consequences(struct urnclient_error *error)
{
    static const struct {
        const char *code;
        bool may_have_taken_effect;
        enum urnclient_retry retry;
    } table[] = {
#define URN_CODE(symbol, text, effect, retry, exit_status, meaning)                                \
    {text, (effect) != 0, (enum urnclient_retry)(retry)},
#include "engine/codes.def"
#undef URN_CODE
    };
    error->may_have_taken_effect = true;
    error->retry = URNCLIENT_RETRY_AFTER_A_LOOK;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(error->code, table[i].code) == 0) {
            error->may_have_taken_effect = table[i].may_have_taken_effect;
            error->retry = table[i].retry;
        }
}

_Static_assert((int)URNCLIENT_RETRY_YES == (int)URN_RETRY_YES &&
                   (int)URNCLIENT_RETRY_AFTER_A_LOOK == (int)URN_RETRY_AFTER_A_LOOK,
               "codes.def and client.h number the columns alike");

/* "CODE text", or whatever else another server may have put there. */
static enum urnclient_status refused(const msgpack_object *object, struct urnclient_error *error)
{
    client_fail(error, URNCLIENT_REFUSED, 0, "%s", "");
    if (object->type != MSGPACK_OBJECT_STR) {
        msgpack_object_print_buffer(error->text, sizeof error->text, *object);
        set_consequences(error);
        return URNCLIENT_REFUSED;
    }
    size_t length = object->via.str.size;
    const char *bytes = length > 0 ? object->via.str.ptr : "";
    size_t word = 0;
    while (word < length && bytes[word] >= 'A' && bytes[word] <= 'Z')
        word++;
    bool has_code = word > 0 && word < sizeof error->code && (word == length || bytes[word] == ' ');
    if (has_code)
        memcpy(error->code, bytes, word);
    size_t skip = !has_code ? 0 : word == length ? word : word + 1;
    snprintf(error->text, sizeof error->text, "%.*s", (int)(length - skip), bytes + skip);
    set_consequences(error);
    return URNCLIENT_REFUSED;
}

static enum urnclient_status no_memory(struct urnclient_error *error)
{
    return client_fail(error, URNCLIENT_NOMEMORY, 0, "no memory for an answer");
}

static enum urnclient_status unexpected(const char *what, struct urnclient_error *error)
{
    return client_fail(error, URNCLIENT_PROTOCOL, 0, "not what a server of urn answers: %s", what);
}

/* ---- single values ----------------------------------------------------------------------- */

static struct urnclient_text take_text(const msgpack_object *object)
{
    uint32_t length = object->via.str.size;
    if (length == 0)
        return (struct urnclient_text){"", 0};
    /* The bytes are our own copy; msgpack-c only promises not to change them. */
    union {
        const char *given;
        char *ours;
    } bytes = {object->via.str.ptr};
    char *text = bytes.ours - 1;
    memmove(text, bytes.ours, length);
    text[length] = '\0';
    return (struct urnclient_text){text, length};
}

static bool is_text(const msgpack_object *object)
{
    return object->type == MSGPACK_OBJECT_STR;
}

static bool is_array(const msgpack_object *object, uint32_t elements_min)
{
    return object->type == MSGPACK_OBJECT_ARRAY && object->via.array.size >= elements_min;
}

static bool take_u64(const msgpack_object *object, uint64_t *number)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return false;
    *number = object->via.u64;
    return true;
}

static bool take_u32(const msgpack_object *object, uint32_t *number)
{
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > UINT32_MAX)
        return false;
    *number = (uint32_t)object->via.u64;
    return true;
}

/* A quantity: 0 and more, or -1. */
static bool take_quantity(const msgpack_object *object, int64_t *number)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *number = URNCLIENT_UNLIMITED;
        return object->via.i64 == URNCLIENT_UNLIMITED;
    }
    uint64_t positive;
    if (!take_u64(object, &positive) || positive > INT64_MAX)
        return false;
    *number = (int64_t)positive;
    return true;
}

static bool take_bool(const msgpack_object *object, bool *truth)
{
    *truth = object->type == MSGPACK_OBJECT_BOOLEAN && object->via.boolean;
    return object->type == MSGPACK_OBJECT_BOOLEAN;
}

/* The value of a key; NULL when there is none or object is no map. */
static const msgpack_object *find(const msgpack_object *object, const char *key)
{
    if (object->type != MSGPACK_OBJECT_MAP)
        return NULL;
    size_t length = strlen(key);
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object *name = &object->via.map.ptr[i].key;
        if (is_text(name) && name->via.str.size == length &&
            memcmp(name->via.str.ptr, key, length) == 0)
            return &object->via.map.ptr[i].val;
    }
    return NULL;
}

static bool find_u64(const msgpack_object *map, const char *key, uint64_t *number)
{
    const msgpack_object *value = find(map, key);
    return value != NULL && take_u64(value, number);
}

static bool find_u32(const msgpack_object *map, const char *key, uint32_t *number)
{
    const msgpack_object *value = find(map, key);
    return value != NULL && take_u32(value, number);
}

static bool find_text(const msgpack_object *map, const char *key, struct urnclient_text *text)
{
    const msgpack_object *value = find(map, key);
    if (value == NULL || !is_text(value))
        return false;
    *text = take_text(value);
    return true;
}

/* Room in the answer's zone for count elements; never asks for nothing. */
static void *zone_array(struct answer *answer, uint32_t count, size_t element_bytes)
{
    return msgpack_zone_malloc(answer->zone, (count == 0 ? 1 : count) * element_bytes);
}

/* ---- results ----------------------------------------------------------------------------- */

/* [text | nil, ...]; nil only where a draw may have failed. */
static enum urnclient_status decode_names(struct answer *answer, const msgpack_object *object,
                                          bool nil_allowed, const struct urnclient_text **names,
                                          uint32_t *count, struct urnclient_error *error)
{
    if (!is_array(object, 0))
        return unexpected("names are not an array", error);
    struct urnclient_text *made = zone_array(answer, object->via.array.size, sizeof *made);
    if (made == NULL)
        return no_memory(error);
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        const msgpack_object *name = &object->via.array.ptr[i];
        if (is_text(name))
            made[i] = take_text(name);
        else if (nil_allowed && name->type == MSGPACK_OBJECT_NIL)
            made[i] = (struct urnclient_text){NULL, 0};
        else
            return unexpected("a name is not text", error);
    }
    *names = made;
    *count = object->via.array.size;
    return URNCLIENT_OK;
}

static enum urnclient_status decode_indexes(struct answer *answer, const msgpack_object *object,
                                            struct urnclient_draw *draw,
                                            struct urnclient_error *error)
{
    if (!is_array(object, 0))
        return unexpected("outcomes are not an array", error);
    uint32_t *made = zone_array(answer, object->via.array.size, sizeof *made);
    if (made == NULL)
        return no_memory(error);
    for (uint32_t i = 0; i < object->via.array.size; i++) {
        const msgpack_object *index = &object->via.array.ptr[i];
        made[i] = URNCLIENT_FAILED_DRAW;
        if (index->type != MSGPACK_OBJECT_NIL && !take_u32(index, &made[i]))
            return unexpected("an outcome is not an index", error);
    }
    draw->indexes = made;
    draw->count = object->via.array.size;
    return URNCLIENT_OK;
}

/* Every draw that was asked for is in the tally or among the failed. */
static enum urnclient_status decode_tally(struct answer *answer, const msgpack_object *object,
                                          uint32_t asked, struct urnclient_draw *draw,
                                          struct urnclient_error *error)
{
    if (object->type != MSGPACK_OBJECT_MAP)
        return unexpected("a tally is not a map", error);
    struct urnclient_tally *made = zone_array(answer, object->via.map.size, sizeof *made);
    if (made == NULL)
        return no_memory(error);
    bool matches = draw->failed <= asked;
    uint64_t left = matches ? asked - draw->failed : 0;
    for (uint32_t i = 0; i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        if (!is_text(&pair->key) || !take_u64(&pair->val, &made[i].drawn))
            return unexpected("a tally holds something else than item ids and numbers", error);
        made[i].item_id = take_text(&pair->key);
        matches = matches && made[i].drawn <= left;
        left -= matches ? made[i].drawn : 0;
    }
    if (!matches || left > 0)
        return unexpected("a tally of another number of draws than were asked for", error);
    draw->tally = made;
    draw->count = object->via.map.size;
    return URNCLIENT_OK;
}

static enum urnclient_status decode_draw(struct answer *answer, const msgpack_object *result,
                                         const struct asked *asked, struct urnclient_draw *draw,
                                         struct urnclient_error *error)
{
    if (!is_array(result, 5))
        return unexpected("draw's result is not an array of 5", error);
    const msgpack_object *elements = result->via.array.ptr;
    if (!take_u64(&elements[0], &draw->first_request_id) ||
        !take_u32(&elements[2], &draw->failed) || !take_u64(&elements[3], &draw->odds_version) ||
        !take_bool(&elements[4], &draw->replayed))
        return unexpected("draw's result holds values of other types", error);
    draw->as = asked->as;
    draw->owned = answer;
    if (asked->as == URNCLIENT_TALLY)
        return decode_tally(answer, &elements[1], asked->count, draw, error);
    if (is_array(&elements[1], 0) && elements[1].via.array.size != asked->count)
        return unexpected("outcomes of another number of draws than were asked for", error);
    if (asked->as == URNCLIENT_INDEXES)
        return decode_indexes(answer, &elements[1], draw, error);
    return decode_names(answer, &elements[1], true, &draw->names, &draw->count, error);
}

static bool decode_item(const msgpack_object *object, struct urnclient_item *item)
{
    const msgpack_object *quantity = find(object, "quantity");
    return quantity != NULL && take_quantity(quantity, &item->quantity) &&
           find_u32(object, "index", &item->index) &&
           find_u64(object, "probability", &item->probability) &&
           find_u64(object, "drawn", &item->drawn) && find_text(object, "item_id", &item->item_id);
}

static enum urnclient_status decode_state(struct answer *answer, const msgpack_object *result,
                                          struct urnclient_state *state,
                                          struct urnclient_error *error)
{
    const msgpack_object *open = find(result, "open");
    const msgpack_object *items = find(result, "items");
    state->owned = answer;
    if (open == NULL || !take_bool(open, &state->open) ||
        !find_u64(result, "odds_version", &state->odds_version) ||
        !find_u64(result, "last_request_id", &state->last_request_id) ||
        !find_u64(result, "lsn", &state->lsn) || !find_u32(result, "total", &state->total) ||
        items == NULL || !is_array(items, 0) || !find_text(result, "pool", &state->pool))
        return unexpected("state's result lacks a field or has it in another type", error);
    struct urnclient_item *made = zone_array(answer, items->via.array.size, sizeof *made);
    if (made == NULL)
        return no_memory(error);
    for (uint32_t i = 0; i < items->via.array.size; i++)
        if (!decode_item(&items->via.array.ptr[i], &made[i]))
            return unexpected("an item lacks a field or has it in another type", error);
    state->items = made;
    state->count = items->via.array.size;
    return URNCLIENT_OK;
}

static enum urnclient_status decode_catalog(struct answer *answer, const msgpack_object *result,
                                            struct urnclient_names *names,
                                            struct urnclient_error *error)
{
    names->owned = answer;
    if (!is_array(result, 3) || !take_u64(&result->via.array.ptr[0], &names->odds_version) ||
        !take_u32(&result->via.array.ptr[1], &names->total))
        return unexpected("catalog's result is not [odds_version, total, names]", error);
    return decode_names(answer, &result->via.array.ptr[2], false, &names->names, &names->count,
                        error);
}

static enum urnclient_status decode_pools(struct answer *answer, const msgpack_object *result,
                                          struct urnclient_names *names,
                                          struct urnclient_error *error)
{
    names->owned = answer;
    enum urnclient_status status =
        decode_names(answer, result, false, &names->names, &names->count, error);
    names->total = names->count;
    return status;
}

/* A text or nil. */
static bool find_name(const msgpack_object *map, const char *key, struct urnclient_text *text)
{
    const msgpack_object *value = find(map, key);
    if (value == NULL || (value->type != MSGPACK_OBJECT_NIL && !is_text(value)))
        return false;
    *text = is_text(value) ? take_text(value) : (struct urnclient_text){NULL, 0};
    return true;
}

static enum urnclient_status decode_lookup(struct answer *answer, const msgpack_object *result,
                                           struct urnclient_lookup *lookup,
                                           struct urnclient_error *error)
{
    const msgpack_object *index = find(result, "index");
    const bool failed = index != NULL && index->type == MSGPACK_OBJECT_NIL;
    lookup->owned = answer;
    lookup->index = URNCLIENT_FAILED_DRAW;
    if (index == NULL || (!failed && !take_u32(index, &lookup->index)) ||
        !find_u64(result, "request_id", &lookup->request_id) ||
        !find_u64(result, "odds_version", &lookup->odds_version) ||
        !find_u64(result, "time_us", &lookup->time_us) || !find_u64(result, "lsn", &lookup->lsn) ||
        !find_text(result, "pool", &lookup->pool) ||
        !find_name(result, "item_id", &lookup->item_id) ||
        failed != (lookup->item_id.bytes == NULL))
        return unexpected("lookup's result lacks a field or has it in another type", error);
    return URNCLIENT_OK;
}

/* ---- any value --------------------------------------------------------------------------- */

static enum urnclient_status decode_value(struct answer *answer, const msgpack_object *object,
                                          struct urnclient_value *value,
                                          struct urnclient_error *error);

static enum urnclient_status decode_elements(struct answer *answer, const msgpack_object *object,
                                             struct urnclient_value *value,
                                             struct urnclient_error *error)
{
    value->type = URNCLIENT_ARRAY;
    value->count = object->via.array.size;
    struct urnclient_value *elements = zone_array(answer, value->count, sizeof *elements);
    if (elements == NULL)
        return no_memory(error);
    value->elements = elements;
    for (uint32_t i = 0; i < value->count; i++)
        if (decode_value(answer, &object->via.array.ptr[i], &elements[i], error) != URNCLIENT_OK)
            return error->status;
    return URNCLIENT_OK;
}

static enum urnclient_status decode_pairs(struct answer *answer, const msgpack_object *object,
                                          struct urnclient_value *value,
                                          struct urnclient_error *error)
{
    value->type = URNCLIENT_MAP;
    value->count = object->via.map.size;
    struct urnclient_pair *pairs = zone_array(answer, value->count, sizeof *pairs);
    if (pairs == NULL)
        return no_memory(error);
    value->pairs = pairs;
    for (uint32_t i = 0; i < value->count; i++) {
        const msgpack_object_kv *from = &object->via.map.ptr[i];
        if (decode_value(answer, &from->key, &pairs[i].key, error) != URNCLIENT_OK ||
            decode_value(answer, &from->val, &pairs[i].value, error) != URNCLIENT_OK)
            return error->status;
    }
    return URNCLIENT_OK;
}

/* Recursive; the scanner has held the nesting to CLIENT_NESTING_MAX. */
static enum urnclient_status decode_value(struct answer *answer, const msgpack_object *object,
                                          struct urnclient_value *value,
                                          struct urnclient_error *error)
{
    *value = (struct urnclient_value){.type = URNCLIENT_NIL};
    switch (object->type) {
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_EXT:
        break;
    case MSGPACK_OBJECT_BOOLEAN:
        value->type = URNCLIENT_BOOL;
        value->truth = object->via.boolean;
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        value->type = URNCLIENT_UINT;
        value->number = object->via.u64;
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        value->type = URNCLIENT_NEGATIVE;
        value->negative = object->via.i64;
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        value->type = URNCLIENT_DOUBLE;
        value->real = object->via.f64;
        break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN: /* laid out alike */
        value->type = URNCLIENT_TEXT;
        value->text = take_text(object);
        break;
    case MSGPACK_OBJECT_ARRAY:
        return decode_elements(answer, object, value, error);
    case MSGPACK_OBJECT_MAP:
        return decode_pairs(answer, object, value, error);
    }
    return URNCLIENT_OK;
}

const struct urnclient_value *urnclient_find(const struct urnclient_value *map, const char *key)
{
    if (map == NULL || map->type != URNCLIENT_MAP)
        return NULL;
    for (uint32_t i = 0; i < map->count; i++)
        if (map->pairs[i].key.type == URNCLIENT_TEXT &&
            strcmp(map->pairs[i].key.text.bytes, key) == 0)
            return &map->pairs[i].value;
    return NULL;
}

/* ---- a whole answer ---------------------------------------------------------------------- */

static enum urnclient_status decode_result(struct answer *answer, const msgpack_object *result,
                                           const struct asked *asked, struct urnclient_reply *reply,
                                           struct urnclient_error *error)
{
    switch (reply->method) {
    case URNCLIENT_PING:
        return is_text(result) ? URNCLIENT_OK : unexpected("ping's result is not text", error);
    case URNCLIENT_DRAW:
        return decode_draw(answer, result, asked, &reply->draw, error);
    case URNCLIENT_STATE:
        return decode_state(answer, result, &reply->state, error);
    case URNCLIENT_CATALOG:
        return decode_catalog(answer, result, &reply->names, error);
    case URNCLIENT_POOLS:
        return decode_pools(answer, result, &reply->names, error);
    case URNCLIENT_LOOKUP:
        return decode_lookup(answer, result, &reply->lookup, error);
    case URNCLIENT_SNAPSHOT:
        return take_u64(result, &reply->lsn)
                   ? URNCLIENT_OK
                   : unexpected("snapshot's result is not a log position", error);
    case URNCLIENT_INFO:
    case URNCLIENT_RELOAD:
        reply->info.owned = answer;
        return decode_value(answer, result, &reply->info.value, error);
    case URNCLIENT_UPDATE:
    case URNCLIENT_ADD:
    case URNCLIENT_CREATE:
    case URNCLIENT_CLOSE:
    case URNCLIENT_OPEN:
        return take_u64(result, &reply->odds_version)
                   ? URNCLIENT_OK
                   : unexpected("the result of a change is not an odds version", error);
    }
    CHECK(reply->method <= URNCLIENT_LOOKUP);
    return URNCLIENT_PROTOCOL;
}

enum urnclient_status client_decode(struct answer *answer, const struct asked *asked,
                                    struct urnclient_reply *reply, struct urnclient_error *error)
{
    CHECK(answer->zone == NULL);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    enum urnclient_status status;
    msgpack_unpack_return outcome =
        msgpack_unpack_next(&unpacked, answer->bytes, answer->length, NULL);
    answer->zone = msgpack_unpacked_release_zone(&unpacked);
    const msgpack_object *fields = unpacked.data.via.array.ptr;
    reply->method = asked->method;
    if (outcome == MSGPACK_UNPACK_NOMEM_ERROR)
        status = no_memory(error);
    else if (outcome != MSGPACK_UNPACK_SUCCESS || !is_array(&unpacked.data, 4))
        status = unexpected("msgpack-c cannot read it", error);
    else if (fields[2].type != MSGPACK_OBJECT_NIL)
        status = refused(&fields[2], error);
    else
        status = decode_result(answer, &fields[3], asked, reply, error);
    if (status != URNCLIENT_OK || !client_owns_answer(asked->method))
        client_answer_free(answer);
    if (status != URNCLIENT_OK)
        memset(reply, 0, sizeof *reply);
    if (status == URNCLIENT_PROTOCOL || status == URNCLIENT_NOMEMORY)
        client_set_doubt(error, asked->method);
    return status;
}

/* ---- freeing ----------------------------------------------------------------------------- */

void client_answer_free(struct answer *answer)
{
    if (answer == NULL)
        return;
    if (answer->zone != NULL)
        msgpack_zone_free(answer->zone);
    free(answer);
}

void urnclient_draw_free(struct urnclient_draw *draw)
{
    client_answer_free(draw->owned);
    memset(draw, 0, sizeof *draw);
}

void urnclient_state_free(struct urnclient_state *state)
{
    client_answer_free(state->owned);
    memset(state, 0, sizeof *state);
}

void urnclient_names_free(struct urnclient_names *names)
{
    client_answer_free(names->owned);
    memset(names, 0, sizeof *names);
}

void urnclient_lookup_free(struct urnclient_lookup *lookup)
{
    client_answer_free(lookup->owned);
    memset(lookup, 0, sizeof *lookup);
}

void urnclient_info_free(struct urnclient_info *info)
{
    client_answer_free(info->owned);
    memset(info, 0, sizeof *info);
}

void urnclient_reply_free(struct urnclient_reply *reply)
{
    switch (reply->method) {
    case URNCLIENT_PING:
    case URNCLIENT_SNAPSHOT:
        break;
    case URNCLIENT_DRAW:
        urnclient_draw_free(&reply->draw);
        break;
    case URNCLIENT_STATE:
        urnclient_state_free(&reply->state);
        break;
    case URNCLIENT_CATALOG:
    case URNCLIENT_POOLS:
        urnclient_names_free(&reply->names);
        break;
    case URNCLIENT_LOOKUP:
        urnclient_lookup_free(&reply->lookup);
        break;
    case URNCLIENT_INFO:
    case URNCLIENT_RELOAD:
        urnclient_info_free(&reply->info);
        break;
    case URNCLIENT_UPDATE:
    case URNCLIENT_ADD:
    case URNCLIENT_CREATE:
    case URNCLIENT_CLOSE:
    case URNCLIENT_OPEN:
        break;
    }
    memset(reply, 0, sizeof *reply);
}
