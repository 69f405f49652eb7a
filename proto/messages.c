/* messages.c: parameters in, results out. See messages.h for the way of a call.
 *
 * The size of a reply and the reply itself stand next to each other, method by method: what one of
 * them counts the other writes.
 */
#include "proto/messages.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/bytes.h"
#include "engine/check.h"

/* The most bytes of a value on the wire. A key is shorter than 32 bytes, so that its header byte
 * takes the place of the literal's terminator. */
#define UINT_BYTES_MAX      9u
#define UINT32_BYTES_MAX    5u
#define BOOL_BYTES          1u
#define CONTAINER_BYTES_MAX 5u
#define NAME_BYTES_MAX      (2u + URN_NAME_BYTES_MAX)
#define KEY_BYTES(literal)  ((uint32_t)sizeof(literal))

_Static_assert(MESSAGE_ERROR_REPLY_BYTES_MAX <= RPC_ERROR_REPLY_BYTES_MAX,
               "rpc_write_error() keeps to its own bound too");

#define ERROR_TEXT_BYTES_MAX (MESSAGE_ERROR_REPLY_BYTES_MAX - RPC_RESPONSE_HEADER_BYTES_MAX - 3u)

/* ---- sizes ------------------------------------------------------------------------------- */

static const char *const as_names[] = {
    [MESSAGE_AS_NAMES] = "names", [MESSAGE_AS_INDEXES] = "indexes", [MESSAGE_AS_TALLY] = "tally"};

/* [first_request_id, outcomes, failed, odds_version, replayed] */
static uint64_t draw_result_bytes_max(const struct message_call *call, uint32_t max_items)
{
    uint64_t rest = CONTAINER_BYTES_MAX + UINT_BYTES_MAX + CONTAINER_BYTES_MAX + UINT32_BYTES_MAX +
                    UINT_BYTES_MAX + BOOL_BYTES;
    uint64_t kinds = call->count < max_items ? call->count : max_items;
    switch (call->as) {
    case MESSAGE_AS_NAMES:
        return rest + (uint64_t)call->count * NAME_BYTES_MAX;
    case MESSAGE_AS_INDEXES:
        return rest + (uint64_t)call->count * UINT32_BYTES_MAX;
    case MESSAGE_AS_TALLY:
        return rest + kinds * (NAME_BYTES_MAX + UINT32_BYTES_MAX);
    }
    CHECK(call->as <= MESSAGE_AS_TALLY);
    return 0;
}

static const uint32_t state_head_bytes_max =
    CONTAINER_BYTES_MAX + KEY_BYTES("pool") + NAME_BYTES_MAX + KEY_BYTES("open") + BOOL_BYTES +
    KEY_BYTES("odds_version") + UINT_BYTES_MAX + KEY_BYTES("last_request_id") + UINT_BYTES_MAX +
    KEY_BYTES("lsn") + UINT_BYTES_MAX + KEY_BYTES("total") + UINT32_BYTES_MAX + KEY_BYTES("items") +
    CONTAINER_BYTES_MAX;

static const uint32_t lookup_result_bytes_max =
    CONTAINER_BYTES_MAX + KEY_BYTES("request_id") + UINT_BYTES_MAX + KEY_BYTES("pool") +
    NAME_BYTES_MAX + KEY_BYTES("item_id") + NAME_BYTES_MAX + KEY_BYTES("index") + UINT32_BYTES_MAX +
    KEY_BYTES("odds_version") + UINT_BYTES_MAX + KEY_BYTES("time_us") + UINT_BYTES_MAX +
    KEY_BYTES("lsn") + UINT_BYTES_MAX;

static const uint32_t state_item_bytes_max =
    CONTAINER_BYTES_MAX + KEY_BYTES("item_id") + NAME_BYTES_MAX + KEY_BYTES("index") +
    UINT32_BYTES_MAX + KEY_BYTES("quantity") + UINT_BYTES_MAX + KEY_BYTES("probability") +
    UINT_BYTES_MAX + KEY_BYTES("drawn") + UINT_BYTES_MAX;

/* The counts, and the names of the keys that need a restart. */
static const uint32_t reload_head_bytes_max =
    CONTAINER_BYTES_MAX + KEY_BYTES("dry_run") + BOOL_BYTES +
    URN_CHANGE_KINDS * (KEY_BYTES("pools_not_in_file") + UINT32_BYTES_MAX) + KEY_BYTES("changes") +
    CONTAINER_BYTES_MAX + KEY_BYTES("restart") + CONTAINER_BYTES_MAX +
    MESSAGE_RESTART_KEYS_MAX * (2u + MESSAGE_RESTART_KEY_BYTES_MAX);

static const uint32_t reload_change_bytes_max =
    CONTAINER_BYTES_MAX + KEY_BYTES("kind") + KEY_BYTES("item not in file") + KEY_BYTES("pool") +
    NAME_BYTES_MAX + KEY_BYTES("item_id") + NAME_BYTES_MAX + KEY_BYTES("quantity") +
    UINT_BYTES_MAX + KEY_BYTES("probability") + UINT_BYTES_MAX + KEY_BYTES("before") +
    UINT_BYTES_MAX;

static uint64_t result_bytes_max(const struct message_call *call,
                                 const struct message_limits *limits)
{
    switch (call->method) {
    case RPC_PING:
        return KEY_BYTES("pong");
    case RPC_DRAW:
        return draw_result_bytes_max(call, limits->max_items);
    case RPC_STATE:
        return state_head_bytes_max + (uint64_t)call->limit * state_item_bytes_max;
    case RPC_CATALOG:
        return CONTAINER_BYTES_MAX + UINT_BYTES_MAX + UINT32_BYTES_MAX + CONTAINER_BYTES_MAX +
               (uint64_t)call->limit * NAME_BYTES_MAX;
    case RPC_POOLS:
        return CONTAINER_BYTES_MAX + (uint64_t)call->limit * NAME_BYTES_MAX;
    case RPC_LOOKUP:
        return lookup_result_bytes_max;
    case RPC_SNAPSHOT:
        return UINT_BYTES_MAX;
    case RPC_RELOAD:
        return reload_head_bytes_max + (uint64_t)call->limit * reload_change_bytes_max;
    case RPC_UPDATE:
    case RPC_ADD:
    case RPC_CREATE:
    case RPC_CLOSE:
    case RPC_OPEN:
        return UINT_BYTES_MAX;
    case RPC_INFO:
        return MESSAGE_INFO_REPLY_BYTES_MAX - RPC_RESPONSE_HEADER_BYTES_MAX;
    case RPC_METHOD_COUNT:
        break;
    }
    CHECK(call->method < RPC_METHOD_COUNT);
    return 0;
}

uint64_t message_reply_bytes_max(const struct message_call *call,
                                 const struct message_limits *limits)
{
    uint64_t result = RPC_RESPONSE_HEADER_BYTES_MAX + result_bytes_max(call, limits);
    return result > MESSAGE_ERROR_REPLY_BYTES_MAX ? result : MESSAGE_ERROR_REPLY_BYTES_MAX;
}

/* ---- parameters -------------------------------------------------------------------------- */

static enum urn_code no_such_pool(struct rpc_text name, struct urn_error *error)
{
    char quoted[RPC_QUOTED_BYTES];
    return error_set(error, URN_NOPOOL, 0, "no pool is called %s", rpc_quote(name, quoted));
}

static enum urn_code read_pool(struct rpc_params *params, struct message_call *call,
                               struct urn_error *error)
{
    if (rpc_param_text(params, "pool", &call->pool, error) != URN_OK)
        return error->code;
    if (call->pool.length > 0 && call->pool.length <= URN_NAME_BYTES_MAX)
        return URN_OK;
    if (call->method == RPC_CREATE)
        return error_set(error, URN_BADARG, 0,
                         "parameter 1 (pool): a pool's name has 1 to %u bytes", URN_NAME_BYTES_MAX);
    return no_such_pool(call->pool, error);
}

static enum urn_code read_draw(struct rpc_params *params, const struct message_limits *limits,
                               struct message_call *call, struct urn_error *error)
{
    enum { AS, ALL };
    static const char *const names[] = {[AS] = "as", [ALL] = "all"};
    uint64_t count;
    struct rpc_options options;
    if (read_pool(params, call, error) != URN_OK ||
        rpc_param_uint(params, "count", 1, limits->max_batch, &count, error) != URN_OK ||
        rpc_param_options(params, names, 2, &options, error) != URN_OK)
        return error->code;
    call->count = (uint32_t)count;
    for (;;) {
        uint32_t which;
        if (rpc_option_next(&options, &which, error) != URN_OK)
            return error->code;
        if (which == AS) {
            uint32_t as;
            if (rpc_option_choice(&options, as_names, 3, &as, error) != URN_OK)
                return error->code;
            call->as = (enum message_as)as;
        } else if (which == ALL) {
            if (rpc_option_bool(&options, &call->all, error) != URN_OK)
                return error->code;
        } else {
            return URN_OK;
        }
    }
}

/* The call's limit, or half of it as often as it takes for the reply to be no longer. */
static uint32_t limit_that_fits(const struct message_call *call,
                                const struct message_limits *limits, uint64_t reply_bytes)
{
    struct message_call fitting = *call;
    while (fitting.limit > 0 && message_reply_bytes_max(&fitting, limits) > reply_bytes)
        fitting.limit /= 2;
    return fitting.limit;
}

/* state and catalog: which page. No pool has more than max_items items, so a larger limit asks for
 * no more than that. */
static enum urn_code read_page(struct rpc_params *params, const struct message_limits *limits,
                               struct message_call *call, struct urn_error *error)
{
    enum { OFFSET, LIMIT };
    static const char *const names[] = {[OFFSET] = "offset", [LIMIT] = "limit"};
    uint64_t page[] = {[OFFSET] = 0, [LIMIT] = MESSAGE_PAGE_LIMIT_DEFAULT};
    struct rpc_options options;
    if (read_pool(params, call, error) != URN_OK ||
        rpc_param_options(params, names, 2, &options, error) != URN_OK)
        return error->code;
    for (;;) {
        uint32_t which;
        if (rpc_option_next(&options, &which, error) != URN_OK)
            return error->code;
        if (which == 2)
            break;
        if (rpc_option_uint(&options, 0, UINT32_MAX, &page[which], error) != URN_OK)
            return error->code;
    }
    call->offset = (uint32_t)page[OFFSET];
    call->limit = page[LIMIT] < limits->max_items ? (uint32_t)page[LIMIT] : limits->max_items;
    if ((options.seen >> LIMIT & 1) == 0) /* who asks for no limit is not refused for one */
        call->limit = limit_that_fits(call, limits, limits->max_reply_bytes);
    return URN_OK;
}

/* ---- changes ----------------------------------------------------------------------------- */

static enum urn_code read_item(struct rpc_params *params, struct message_call *call,
                               struct urn_error *error)
{
    if (read_pool(params, call, error) != URN_OK ||
        rpc_param_text(params, "item_id", &call->item, error) != URN_OK)
        return error->code;
    if (call->item.length > 0 && call->item.length <= URN_NAME_BYTES_MAX)
        return URN_OK;
    return error_set(error, URN_BADARG, 0, "parameter 2 (item_id): an item's id has 1 to %u bytes",
                     URN_NAME_BYTES_MAX);
}

/* The names of what describes an item, in a catalog and as options. */
enum item_field { ITEM_ID, ITEM_QUANTITY, ITEM_PROBABILITY, ITEM_FIELDS };
static const char *const item_fields[] = {
    [ITEM_ID] = "item_id", [ITEM_QUANTITY] = "quantity", [ITEM_PROBABILITY] = "probability"};

static enum urn_code read_quantity(struct rpc_options *options, int64_t *quantity,
                                   struct urn_error *error)
{
    return rpc_option_int(options, URN_UNLIMITED, (int64_t)URN_NUMBER_MAX, quantity, error);
}

static enum urn_code read_update(struct rpc_params *params, struct message_call *call,
                                 struct urn_error *error)
{
    enum { QUANTITY, PROBABILITY, IF_QUANTITY, OPTIONS };
    static const char *const names[] = {
        [QUANTITY] = "quantity", [PROBABILITY] = "probability", [IF_QUANTITY] = "if_quantity"};
    const bool adds = call->method == RPC_ADD;
    struct rpc_options options;
    uint32_t which;
    if (read_item(params, call, error) != URN_OK ||
        rpc_param_options(params, names, adds ? IF_QUANTITY : OPTIONS, &options, error) != URN_OK)
        return error->code;
    for (;;) {
        enum urn_code code = rpc_option_next(&options, &which, error);
        if (code == URN_OK && which == options.name_count)
            break;
        if (code == URN_OK && which == PROBABILITY)
            code = rpc_option_uint(&options, 0, URN_NUMBER_MAX, &call->probability, error);
        else if (code == URN_OK)
            code = read_quantity(&options, which == QUANTITY ? &call->quantity : &call->if_quantity,
                                 error);
        if (code != URN_OK)
            return code;
    }
    call->has_quantity = (options.seen >> QUANTITY & 1) != 0;
    call->has_probability = (options.seen >> PROBABILITY & 1) != 0;
    call->has_if_quantity = (options.seen >> IF_QUANTITY & 1) != 0;
    if (adds ? call->has_quantity && call->has_probability
             : call->has_quantity || call->has_probability)
        return URN_OK;
    return error_set(error, URN_BADARG, 0, "%s needs the options \"quantity\" %s \"probability\"",
                     rpc_method_name(call->method), adds ? "and" : "or");
}

/* One item of a catalog. */
static enum urn_code read_catalog_item(struct rpc_list *catalog, struct urn_item_spec *item,
                                       struct urn_error *error)
{
    struct rpc_options fields;
    struct rpc_text item_id = {NULL, 0};
    if (rpc_list_next(catalog, item_fields, ITEM_FIELDS, &fields, error) != URN_OK)
        return error->code;
    for (;;) {
        uint32_t which;
        enum urn_code code = rpc_option_next(&fields, &which, error);
        if (code == URN_OK && which == ITEM_FIELDS)
            break;
        if (code == URN_OK && which == ITEM_ID)
            code = rpc_option_text(&fields, &item_id, error);
        else if (code == URN_OK && which == ITEM_QUANTITY)
            code = read_quantity(&fields, &item->quantity, error);
        else if (code == URN_OK)
            code = rpc_option_uint(&fields, 0, URN_NUMBER_MAX, &item->probability, error);
        if (code != URN_OK)
            return code;
    }
    for (uint32_t field = 0; field < ITEM_FIELDS; field++)
        if ((fields.seen >> field & 1) == 0)
            return error_set(error, URN_BADARG, 0, "\"%s\" is missing", item_fields[field]);
    item->item_id = item_id.bytes;
    item->item_id_bytes = item_id.length;
    rpc_list_behind(catalog, &fields);
    return URN_OK;
}

/* Looks the whole catalog through, so that what is left for later cannot fail. */
static enum urn_code read_create(struct rpc_params *params, const struct message_limits *limits,
                                 struct message_call *call, struct urn_error *error)
{
    if (read_pool(params, call, error) != URN_OK ||
        rpc_param_list(params, "catalog", &call->catalog, error) != URN_OK)
        return error->code;
    struct rpc_list catalog = call->catalog;
    call->catalog_items = catalog.left;
    if (catalog.left > limits->max_items)
        return error_set(error, URN_TOOBIG, 0,
                         "the catalog has %" PRIu32 " items and limits.max_items allows %" PRIu32,
                         catalog.left, limits->max_items);
    call->catalog_bytes = sizeof(struct urn_pool_spec);
    for (uint32_t i = 0; i < call->catalog_items; i++) {
        struct urn_item_spec item = {0};
        if (read_catalog_item(&catalog, &item, error) != URN_OK)
            return error_prefix(error, "parameter 2 (catalog), item %" PRIu32 ": ", i);
        call->catalog_bytes += sizeof item + item.item_id_bytes;
    }
    return URN_OK;
}

/* The list is as long as replies may be; the counts tell what it leaves out. */
static enum urn_code read_reload(struct rpc_params *params, const struct message_limits *limits,
                                 struct message_call *call, struct urn_error *error)
{
    enum { DRY_RUN, FORCE, OPTIONS };
    static const char *const names[] = {[DRY_RUN] = "dry_run", [FORCE] = "force"};
    struct rpc_options options;
    call->limit = MESSAGE_RELOAD_CHANGES_MAX;
    call->limit = limit_that_fits(call, limits, limits->max_reply_bytes / 2);
    if (rpc_param_options(params, names, OPTIONS, &options, error) != URN_OK)
        return error->code;
    for (;;) {
        uint32_t which;
        if (rpc_option_next(&options, &which, error) != URN_OK)
            return error->code;
        if (which == OPTIONS)
            return URN_OK;
        if (rpc_option_bool(&options, which == FORCE ? &call->force : &call->dry_run, error) !=
            URN_OK)
            return error->code;
    }
}

void message_fill_catalog(const struct message_call *call, void *memory,
                          struct urn_request *request)
{
    struct urn_pool_spec *pool = memory;
    struct urn_item_spec *items = (struct urn_item_spec *)(void *)(pool + 1);
    char *id = (char *)(items + call->catalog_items);
    struct rpc_list catalog = call->catalog;
    for (uint32_t i = 0; i < call->catalog_items; i++) {
        struct urn_error error;
        CHECK(read_catalog_item(&catalog, &items[i], &error) == URN_OK);
        memcpy(id, items[i].item_id, items[i].item_id_bytes);
        items[i].item_id = id;
        id += items[i].item_id_bytes;
    }
    CHECK((uint64_t)(id - (char *)memory) == call->catalog_bytes);
    *pool = (struct urn_pool_spec){.name = request->pool_name,
                                   .name_bytes = request->pool_name_bytes,
                                   .item_count = call->catalog_items,
                                   .items = items};
    request->pools = pool;
    request->pool_count = 1;
}

/* Refuses what could have too long a reply, and says what would fit. */
static enum urn_code check_reply_size(struct message_call *call,
                                      const struct message_limits *limits, struct urn_error *error)
{
    call->reply_bytes_max = message_reply_bytes_max(call, limits);
    if (call->reply_bytes_max <= limits->max_reply_bytes)
        return URN_OK;
    if (call->method == RPC_POOLS)
        return error_set(error, URN_TOOBIG, 0,
                         "the reply might take %" PRIu64 " bytes for limits.max_pools (%" PRIu32
                         ") pools and limits.max_reply_bytes is %" PRIu64,
                         call->reply_bytes_max, limits->max_pools, limits->max_reply_bytes);
    uint32_t *asked = call->method == RPC_DRAW ? &call->count : &call->limit;
    uint32_t fits = 0;
    for (uint32_t too_many = *asked; too_many - fits > 1;) {
        *asked = fits + (too_many - fits) / 2;
        if (message_reply_bytes_max(call, limits) <= limits->max_reply_bytes)
            fits = *asked;
        else
            too_many = *asked;
    }
    return error_set(error, URN_TOOBIG, 0,
                     "the reply might take %" PRIu64 " bytes and limits.max_reply_bytes is %" PRIu64
                     "; ask for at most %" PRIu32 " at a time",
                     call->reply_bytes_max, limits->max_reply_bytes, fits);
}

enum urn_code message_read_call(struct rpc_request *request, const struct message_limits *limits,
                                struct message_call *call, struct urn_error *error)
{
    *call = (struct message_call){.method = rpc_method_find(request->method)};
    if (call->method == RPC_METHOD_COUNT)
        return rpc_method_unknown(request->method, error);
    struct rpc_params *params = &request->params;
    if (rpc_params_end(params, call->method, error) != URN_OK)
        return error->code;
    enum urn_code code = URN_OK;
    if (call->method == RPC_DRAW)
        code = read_draw(params, limits, call, error);
    else if (call->method == RPC_STATE || call->method == RPC_CATALOG)
        code = read_page(params, limits, call, error);
    else if (call->method == RPC_UPDATE || call->method == RPC_ADD)
        code = read_update(params, call, error);
    else if (call->method == RPC_CREATE)
        code = read_create(params, limits, call, error);
    else if (call->method == RPC_RELOAD)
        code = read_reload(params, limits, call, error);
    else if (call->method == RPC_OPEN || call->method == RPC_CLOSE)
        code = read_pool(params, call, error);
    else if (call->method == RPC_LOOKUP)
        code = rpc_param_uint(params, "request_id", 1, URN_NUMBER_MAX, &call->request_id, error);
    else if (call->method == RPC_POOLS)
        call->limit = limits->max_pools;
    return code == URN_OK ? check_reply_size(call, limits, error) : code;
}

void message_fill_request(const struct message_call *call, struct urn_request *request)
{
    static const enum urn_op ops[RPC_METHOD_COUNT] = {
        [RPC_DRAW] = URN_DRAW,     [RPC_STATE] = URN_STATE,       [RPC_CATALOG] = URN_CATALOG,
        [RPC_POOLS] = URN_POOLS,   [RPC_UPDATE] = URN_UPDATE,     [RPC_ADD] = URN_ADD,
        [RPC_CREATE] = URN_CREATE, [RPC_CLOSE] = URN_CLOSE,       [RPC_OPEN] = URN_OPEN,
        [RPC_RELOAD] = URN_RELOAD, [RPC_SNAPSHOT] = URN_SNAPSHOT, [RPC_LOOKUP] = URN_LOOKUP,
    };
    CHECK(call->method != RPC_PING && call->method != RPC_INFO);
    request->op = ops[call->method];
    request->pool_name = call->pool.bytes;
    request->pool_name_bytes = call->pool.length;
    request->count = call->count;
    request->draw_all = call->all;
    request->offset = call->offset;
    request->limit = call->limit;
    request->request_id = call->request_id;
    request->dry_run = call->dry_run;
    request->force = call->force;
    request->item_id = call->item.bytes;
    request->item_id_bytes = call->item.length;
    request->has_quantity = call->has_quantity;
    request->has_probability = call->has_probability;
    request->has_if_quantity = call->has_if_quantity;
    request->quantity = call->quantity;
    request->probability = call->probability;
    request->if_quantity = call->if_quantity;
}

/* ---- results ----------------------------------------------------------------------------- */

static void write_name(struct rpc_writer *writer, struct urn_text name)
{
    rpc_write_str(writer, name.bytes, name.length);
}

static void write_names(struct rpc_writer *writer, const struct urn_request *done)
{
    rpc_write_array(writer, done->returned);
    for (uint32_t i = 0; i < done->returned; i++)
        write_name(writer, done->names[i]);
}

static void write_indexes(struct rpc_writer *writer, const uint32_t *outcomes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (outcomes[i] == URN_FAILED_DRAW)
            rpc_write_nil(writer);
        else
            rpc_write_uint(writer, outcomes[i]);
}

/* The same, block by block: a number up to RPC_FIXINT_MAX is one byte, its own value. */
static void write_outcomes_as_indexes(struct rpc_writer *writer, const uint32_t *outcomes,
                                      uint32_t count)
{
    for (; count >= NARROW_BLOCK; outcomes += NARROW_BLOCK, count -= NARROW_BLOCK) {
        if (block_is_below(outcomes, RPC_FIXINT_MAX + 1) && rpc_writer_room(writer, NARROW_BLOCK)) {
            put_block_of_bytes(writer->next, outcomes);
            writer->next += NARROW_BLOCK;
        } else {
            write_indexes(writer, outcomes, NARROW_BLOCK);
        }
    }
    write_indexes(writer, outcomes, count);
}

static void write_outcomes_as_names(struct rpc_writer *writer, const struct urn_request *done)
{
    for (uint32_t i = 0; i < done->count; i++)
        if (done->outcomes[i] == URN_FAILED_DRAW)
            rpc_write_nil(writer);
        else
            write_name(writer, urn_pool_item_id(done->pool, done->outcomes[i]));
}

static void write_outcomes(struct rpc_writer *writer, enum message_as as,
                           const struct urn_request *done)
{
    rpc_write_array(writer, done->count);
    if (as == MESSAGE_AS_INDEXES)
        write_outcomes_as_indexes(writer, done->outcomes, done->count);
    else
        write_outcomes_as_names(writer, done);
}

/* Radix exchange sort: in place, no memory, no bad case. bit is the highest that any value has. */
static void sort_by_bits(uint32_t *values, uint32_t count, uint32_t bit)
{
    if (count < 2)
        return;
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        if ((values[low] & bit) == 0) {
            low++;
            continue;
        }
        uint32_t value = values[--high];
        values[high] = values[low];
        values[low] = value;
    }
    if (bit == 1)
        return;
    sort_by_bits(values, low, bit >> 1);
    sort_by_bits(values + low, count - low, bit >> 1);
}

/* How many of the sorted values from `at` on are the same. */
static uint32_t run_length(const uint32_t *sorted, uint32_t count, uint32_t at)
{
    uint32_t end = at + 1;
    while (end < count && sorted[end] == sorted[at])
        end++;
    return end - at;
}

static void write_tally(struct rpc_writer *writer, const struct urn_request *done)
{
    uint32_t *outcomes = done->outcomes;
    uint32_t succeeded = 0;
    uint32_t bits = 1;
    for (uint32_t i = 0; i < done->count; i++) {
        if (outcomes[i] == URN_FAILED_DRAW)
            continue;
        bits |= outcomes[i];
        outcomes[succeeded++] = outcomes[i];
    }
    sort_by_bits(outcomes, succeeded, 1u << (31 - __builtin_clz(bits)));
    uint32_t kinds = 0;
    for (uint32_t at = 0; at < succeeded; at += run_length(outcomes, succeeded, at))
        kinds++;
    rpc_write_map(writer, kinds);
    for (uint32_t at = 0; at < succeeded;) {
        uint32_t drawn = run_length(outcomes, succeeded, at);
        write_name(writer, urn_pool_item_id(done->pool, outcomes[at]));
        rpc_write_uint(writer, drawn);
        at += drawn;
    }
}

static void write_draw(struct rpc_writer *writer, enum message_as as,
                       const struct urn_request *done)
{
    rpc_write_array(writer, 5);
    rpc_write_uint(writer, done->first_request_id);
    if (as == MESSAGE_AS_TALLY)
        write_tally(writer, done);
    else
        write_outcomes(writer, as, done);
    rpc_write_uint(writer, done->failed);
    rpc_write_uint(writer, done->odds_version);
    rpc_write_bool(writer, false); /* replayed: no request carries a key yet */
}

static void write_state(struct rpc_writer *writer, const struct urn_request *done)
{
    rpc_write_map(writer, 7);
    rpc_write_cstr(writer, "pool");
    rpc_write_str(writer, done->pool_name, done->pool_name_bytes);
    rpc_write_cstr(writer, "open");
    rpc_write_bool(writer, done->open);
    rpc_write_cstr(writer, "odds_version");
    rpc_write_uint(writer, done->odds_version);
    rpc_write_cstr(writer, "last_request_id");
    rpc_write_uint(writer, done->last_request_id);
    rpc_write_cstr(writer, "lsn");
    rpc_write_uint(writer, done->lsn);
    rpc_write_cstr(writer, "total");
    rpc_write_uint(writer, done->total);
    rpc_write_cstr(writer, "items");
    rpc_write_array(writer, done->returned);
    for (uint32_t i = 0; i < done->returned; i++) {
        const struct urn_item *item = &done->items[i];
        rpc_write_map(writer, 5);
        rpc_write_cstr(writer, "item_id");
        write_name(writer, item->item_id);
        rpc_write_cstr(writer, "index");
        rpc_write_uint(writer, item->index);
        rpc_write_cstr(writer, "quantity");
        rpc_write_int(writer, item->quantity);
        rpc_write_cstr(writer, "probability");
        rpc_write_uint(writer, item->probability);
        rpc_write_cstr(writer, "drawn");
        rpc_write_uint(writer, item->drawn);
    }
}

static void write_lookup(struct rpc_writer *writer, const struct urn_request *done)
{
    const bool failed = done->outcome == URN_FAILED_DRAW;
    rpc_write_map(writer, 7);
    rpc_write_cstr(writer, "request_id");
    rpc_write_uint(writer, done->request_id);
    rpc_write_cstr(writer, "pool");
    write_name(writer, urn_pool_name(done->pool));
    rpc_write_cstr(writer, "item_id");
    if (failed)
        rpc_write_nil(writer);
    else
        write_name(writer, urn_pool_item_id(done->pool, done->outcome));
    rpc_write_cstr(writer, "index");
    if (failed)
        rpc_write_nil(writer);
    else
        rpc_write_uint(writer, done->outcome);
    rpc_write_cstr(writer, "odds_version");
    rpc_write_uint(writer, done->odds_version);
    rpc_write_cstr(writer, "time_us");
    rpc_write_uint(writer, done->wall_time_us);
    rpc_write_cstr(writer, "lsn");
    rpc_write_uint(writer, done->lsn);
}

static void write_catalog(struct rpc_writer *writer, const struct urn_request *done)
{
    rpc_write_array(writer, 3);
    rpc_write_uint(writer, done->odds_version);
    rpc_write_uint(writer, done->total);
    write_names(writer, done);
}

/* The engine says which code; who asked for what is known here. */
static void write_failure(struct rpc_writer *writer, uint32_t msgid, const struct urn_request *done)
{
    struct rpc_text name = {done->pool_name, done->pool_name_bytes};
    if (name.bytes == NULL && done->pool != NULL) {
        const struct urn_text known = urn_pool_name(done->pool);
        name = (struct rpc_text){known.bytes, known.length};
    }
    char pool[RPC_QUOTED_BYTES];
    char text[ERROR_TEXT_BYTES_MAX];
    int room = (int)(sizeof text - strlen(urn_code_text(done->code)) - 1);
    if (done->code == URN_NOPOOL)
        snprintf(text, (size_t)room, "no pool is called %s", rpc_quote(name, pool));
    else if (done->code == URN_NOITEM)
        snprintf(text, (size_t)room, "the pool has no item %s",
                 rpc_quote((struct rpc_text){done->item_id, done->item_id_bytes}, pool));
    else if (done->op != URN_DRAW && done->error != NULL && done->error->code == done->code)
        snprintf(text, (size_t)room, "%s", done->error->text);
    else if (done->code == URN_NOSTOCK)
        snprintf(text, (size_t)room,
                 "not all of %" PRIu32 " draws could succeed, so none was made; pool %s",
                 done->count, rpc_quote(name, pool));
    else if (done->code == URN_CLOSED)
        snprintf(text, (size_t)room, "closed for draws: pool %s", rpc_quote(name, pool));
    else
        snprintf(text, (size_t)room, "%s", urn_code_meaning(done->code));
    rpc_write_error(writer, msgid, done->code, text);
}

void message_write_reply(struct rpc_writer *writer, uint32_t msgid, enum message_as as,
                         struct urn_request *done)
{
    if (done->code != URN_OK) {
        write_failure(writer, msgid, done);
        return;
    }
    rpc_write_result_header(writer, msgid);
    switch (done->op) {
    case URN_DRAW:
        write_draw(writer, as, done);
        break;
    case URN_STATE:
        write_state(writer, done);
        break;
    case URN_CATALOG:
        write_catalog(writer, done);
        break;
    case URN_POOLS:
        write_names(writer, done);
        break;
    case URN_UPDATE:
    case URN_ADD:
    case URN_CREATE:
    case URN_CLOSE:
    case URN_OPEN:
    case URN_RELOAD:
        rpc_write_uint(writer, done->odds_version);
        break;
    case URN_SNAPSHOT:
        rpc_write_uint(writer, done->lsn);
        break;
    case URN_LOOKUP:
        write_lookup(writer, done);
        break;
    }
}

/* Names of the kinds, one by one and counted. */
static const struct {
    const char *kind, *count;
} change_kinds[URN_CHANGE_KINDS] = {
    [URN_CHANGE_NEW_POOL] = {"new pool", "new_pools"},
    [URN_CHANGE_NEW_ITEM] = {"new item", "new_items"},
    [URN_CHANGE_WEIGHT] = {"probability", "probabilities"},
    [URN_CHANGE_CONFLICT] = {"conflict", "conflicts"},
    [URN_CHANGE_ITEM_NOT_HERE] = {"item not in file", "items_not_in_file"},
    [URN_CHANGE_POOL_NOT_HERE] = {"pool not in file", "pools_not_in_file"},
};

static void write_change(struct rpc_writer *writer, const struct urn_change *change)
{
    rpc_write_map(writer, 6);
    rpc_write_cstr(writer, "kind");
    rpc_write_cstr(writer, change_kinds[change->kind].kind);
    rpc_write_cstr(writer, "pool");
    write_name(writer, change->pool);
    rpc_write_cstr(writer, "item_id");
    if (change->item_id.length > 0)
        write_name(writer, change->item_id);
    else
        rpc_write_nil(writer);
    rpc_write_cstr(writer, "quantity");
    rpc_write_int(writer, change->quantity);
    rpc_write_cstr(writer, "probability");
    rpc_write_uint(writer, change->probability);
    rpc_write_cstr(writer, "before");
    rpc_write_uint(writer, change->before);
}

void message_write_reload(struct rpc_writer *writer, uint32_t msgid, const char *const *restart,
                          uint32_t restart_count, const struct urn_request *done)
{
    if (done->code != URN_OK) {
        write_failure(writer, msgid, done);
        return;
    }
    rpc_write_result_header(writer, msgid);
    rpc_write_map(writer, 3 + URN_CHANGE_KINDS);
    rpc_write_cstr(writer, "dry_run");
    rpc_write_bool(writer, done->dry_run);
    for (uint32_t kind = 0; kind < URN_CHANGE_KINDS; kind++) {
        rpc_write_cstr(writer, change_kinds[kind].count);
        rpc_write_uint(writer, done->kinds[kind]);
    }
    rpc_write_cstr(writer, "changes");
    rpc_write_array(writer, done->returned);
    for (uint32_t i = 0; i < done->returned; i++)
        write_change(writer, &done->changes[i]);
    rpc_write_cstr(writer, "restart");
    rpc_write_array(writer, restart_count);
    for (uint32_t i = 0; i < restart_count; i++)
        rpc_write_cstr(writer, restart[i]);
}

void message_write_pong(struct rpc_writer *writer, uint32_t msgid)
{
    rpc_write_result_header(writer, msgid);
    rpc_write_cstr(writer, "pong");
}
