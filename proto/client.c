/* client.c: the connection: requests out, answers in. See client.h and client_internal.h.
 *
 * The socket never blocks; step() is the one place that waits, for whatever can go on first, so
 * that a server which sends answers before it takes more requests is never waited for in vain.
 * Requests in flight stand in a table of slots by msgid; the answered ones are linked in order of
 * arrival.
 */
#include "proto/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/check.h"
#include "proto/client_internal.h"

/* So that the bytes of a request can be counted; no server takes so many. */
#define CLIENT_ITEMS_MAX (1u << 24)

/* ---- open and close ---------------------------------------------------------------------- */

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static uint32_t round_up_to_power_of_two(uint32_t value)
{
    uint32_t power = 1;
    while (power < value)
        power *= 2;
    return power;
}

static enum urnclient_status check_options(const struct urnclient_options *options,
                                           struct urnclient_error *error)
{
    if (options->address != NULL && strlen(options->address) >= CLIENT_ADDRESS_BYTES_MAX)
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "an address has at most %u bytes",
                           CLIENT_ADDRESS_BYTES_MAX - 1);
    if (options->max_in_flight > CLIENT_IN_FLIGHT_MAX)
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "max_in_flight is at most %u",
                           CLIENT_IN_FLIGHT_MAX);
    if (options->max_reply_bytes != 0 && options->max_reply_bytes < 1024)
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "max_reply_bytes is at least 1024");
    return URNCLIENT_OK;
}

enum urnclient_status urnclient_connect(const struct urnclient_options *options,
                                        struct urnclient **client, struct urnclient_error *error)
{
    *client = NULL;
    *error = (struct urnclient_error){.status = URNCLIENT_OK};
    if (check_options(options, error) != URNCLIENT_OK)
        return error->status;
    struct urnclient *made = calloc(1, sizeof *made);
    if (made == NULL)
        return client_fail(error, URNCLIENT_NOMEMORY, 0, "no memory for a connection");
    const char *address = options->address != NULL ? options->address : URNCLIENT_DEFAULT_ADDRESS;
    made->magic = CLIENT_MAGIC;
    made->socket = -1;
    memcpy(made->address, address, strlen(address) + 1);
    made->call_timeout_ms = or_default(options->call_timeout_ms, CLIENT_CALL_TIMEOUT_MS);
    made->bounds = (struct rpc_bounds){
        .side = RPC_CLIENT,
        .max_message_bytes = or_default(options->max_reply_bytes, CLIENT_REPLY_BYTES_MAX),
        .max_nesting = CLIENT_NESTING_MAX};
    made->slot_count =
        round_up_to_power_of_two(or_default(options->max_in_flight, CLIENT_IN_FLIGHT));
    made->in_capacity = made->bounds.max_message_bytes < CLIENT_IN_BYTES
                            ? made->bounds.max_message_bytes
                            : CLIENT_IN_BYTES;
    made->slots = calloc(made->slot_count, sizeof *made->slots);
    made->out = malloc(CLIENT_OUT_BYTES);
    made->out_capacity = CLIENT_OUT_BYTES;
    made->in = malloc(made->in_capacity);
    rpc_scan_begin(&made->scan);
    if (made->slots == NULL || made->out == NULL || made->in == NULL)
        client_fail(error, URNCLIENT_NOMEMORY, 0, "no memory for a connection");
    else
        client_open_socket(address,
                           or_default(options->connect_timeout_ms, CLIENT_CONNECT_TIMEOUT_MS),
                           &made->socket, error);
    if (error->status != URNCLIENT_OK) {
        urnclient_close(made);
        return error->status;
    }
    *client = made;
    return URNCLIENT_OK;
}

void urnclient_close(struct urnclient *client)
{
    if (client == NULL)
        return;
    CHECK(client->magic == CLIENT_MAGIC);
    if (client->socket >= 0)
        close(client->socket);
    for (uint32_t i = 0; client->slots != NULL && i < client->slot_count; i++)
        client_answer_free(client->slots[i].answer);
    free(client->slots);
    free(client->out);
    free(client->in);
    client->magic = 0;
    free(client);
}

int urnclient_descriptor(const struct urnclient *client)
{
    CHECK(client->magic == CLIENT_MAGIC);
    return client->socket;
}

uint32_t urnclient_in_flight(const struct urnclient *client)
{
    CHECK(client->magic == CLIENT_MAGIC);
    return client->in_flight;
}

/* ---- slots ------------------------------------------------------------------------------- */

static struct slot *slot_of(struct urnclient *client, uint32_t msgid)
{
    return &client->slots[msgid & (client->slot_count - 1)];
}

/* Moves next_msgid to one whose slot is free; NULL when all are taken. */
static struct slot *next_free_slot(struct urnclient *client)
{
    for (uint32_t tried = 0; tried < client->slot_count; tried++, client->next_msgid++) {
        struct slot *slot = slot_of(client, client->next_msgid);
        if (slot->state == SLOT_FREE)
            return slot;
    }
    return NULL;
}

static void slot_answered(struct urnclient *client, struct slot *slot, struct answer *answer)
{
    CHECK(slot->state == SLOT_SENT);
    slot->state = SLOT_ANSWERED;
    slot->answer = answer;
    slot->newer = NULL;
    slot->older = client->newest_answer;
    if (client->newest_answer != NULL)
        client->newest_answer->newer = slot;
    else
        client->oldest_answer = slot;
    client->newest_answer = slot;
}

/* Takes an answered slot's answer out; the slot is free then. */
static struct answer *slot_take(struct urnclient *client, struct slot *slot)
{
    CHECK(slot->state == SLOT_ANSWERED);
    CHECK(client->in_flight > 0);
    if (slot->older != NULL)
        slot->older->newer = slot->newer;
    else
        client->oldest_answer = slot->newer;
    if (slot->newer != NULL)
        slot->newer->older = slot->older;
    else
        client->newest_answer = slot->older;
    struct answer *answer = slot->answer;
    *slot = (struct slot){.state = SLOT_FREE};
    client->in_flight--;
    return answer;
}

/* ---- bytes in and out -------------------------------------------------------------------- */

static enum urnclient_status break_connection(struct urnclient *client,
                                              enum urnclient_status status, int system_errno,
                                              const char *what)
{
    client_fail(&client->broken_error, status, system_errno, "%s (%s)", what, client->address);
    client->broken = status;
    return status;
}

/* A whole message stands at in_begin. Keeps it for whoever asks; notifications are dropped. */
static enum urnclient_status take_message(struct urnclient *client)
{
    if (client->scan.type == RPC_NOTIFICATION)
        return URNCLIENT_OK;
    struct slot *slot = slot_of(client, client->scan.msgid);
    if (slot->msgid != client->scan.msgid ||
        (slot->state != SLOT_SENT && slot->state != SLOT_ABANDONED))
        return break_connection(client, URNCLIENT_PROTOCOL, 0,
                                "the server answered a request that was not made");
    if (client->scan.values > slot->asked.values_max)
        return break_connection(client, URNCLIENT_PROTOCOL, 0,
                                "the server answered with more values than were asked for");
    if (slot->state == SLOT_ABANDONED) {
        *slot = (struct slot){.state = SLOT_FREE};
        return URNCLIENT_OK;
    }
    size_t length = (size_t)client->scan.offset;
    struct answer *answer = malloc(sizeof *answer + length);
    if (answer == NULL)
        return break_connection(client, URNCLIENT_NOMEMORY, 0, "no memory for an answer");
    answer->zone = NULL;
    answer->length = (uint32_t)length;
    memcpy(answer->bytes, client->in + client->in_begin, length);
    slot_answered(client, slot, answer);
    return URNCLIENT_OK;
}

/* Takes all whole messages out of what has arrived. */
static enum urnclient_status take_messages(struct urnclient *client)
{
    for (;;) {
        enum rpc_scan_result result =
            rpc_scan(&client->scan, &client->bounds, client->in + client->in_begin,
                     client->in_end - client->in_begin);
        if (result == RPC_NEED_MORE)
            return URNCLIENT_OK;
        if (result != RPC_COMPLETE) {
            char what[128];
            snprintf(what, sizeof what, "not a server of urn: %s", client->scan.reason);
            return break_connection(client, URNCLIENT_PROTOCOL, 0, what);
        }
        if (take_message(client) != URNCLIENT_OK)
            return client->broken;
        client->in_begin += (size_t)client->scan.offset;
        rpc_scan_begin(&client->scan);
    }
}

/* Makes room to receive into. A message of max_message_bytes always has room, and a longer one the
 * scanner has refused before. */
static enum urnclient_status make_room(struct urnclient *client)
{
    if (client->in_begin > 0) {
        memmove(client->in, client->in + client->in_begin, client->in_end - client->in_begin);
        client->in_end -= client->in_begin;
        client->in_begin = 0;
    }
    if (client->in_end < client->in_capacity)
        return URNCLIENT_OK;
    CHECK(client->in_capacity < client->bounds.max_message_bytes);
    size_t capacity = client->in_capacity * 2;
    if (capacity > client->bounds.max_message_bytes)
        capacity = client->bounds.max_message_bytes;
    uint8_t *grown = realloc(client->in, capacity);
    if (grown == NULL)
        return break_connection(client, URNCLIENT_NOMEMORY, 0, "no memory for an answer");
    client->in = grown;
    client->in_capacity = capacity;
    return URNCLIENT_OK;
}

/* Receives once, without waiting. */
static enum urnclient_status receive_bytes(struct urnclient *client)
{
    if (client->in_end == client->in_capacity && make_room(client) != URNCLIENT_OK)
        return client->broken;
    ssize_t got =
        recv(client->socket, client->in + client->in_end, client->in_capacity - client->in_end, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return URNCLIENT_OK;
    if (got < 0)
        return break_connection(client, URNCLIENT_LOST, errno, "the connection broke");
    if (got == 0)
        return break_connection(client, URNCLIENT_LOST, 0, "the server closed the connection");
    client->in_end += (size_t)got;
    if (take_messages(client) != URNCLIENT_OK)
        return client->broken;
    if (client->in_begin == client->in_end)
        client->in_begin = client->in_end = 0;
    return URNCLIENT_OK;
}

/* Sends what the system takes without waiting. A broken pipe is not reported here: the server may
 * have said why before it closed, and receiving comes to the end of that. */
static void send_bytes(struct urnclient *client)
{
    while (client->out_sent < client->out_end) {
        ssize_t sent = send(client->socket, client->out + client->out_sent,
                            client->out_end - client->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            client->out_sent = client->out_end;
        if (sent <= 0)
            break;
        client->out_sent += (uint32_t)sent;
    }
    if (client->out_sent == client->out_end)
        client->out_sent = client->out_end = 0;
}

/* Waits until something can go on, and lets it. Errors: TIMEOUT, LOST, PROTOCOL, NOMEMORY. */
static enum urnclient_status step(struct urnclient *client, int64_t deadline_ms,
                                  struct urnclient_error *error)
{
    if (client->broken == URNCLIENT_OK) {
        send_bytes(client);
        bool sending = client->out_sent < client->out_end;
        struct pollfd poll_entry = {.fd = client->socket,
                                    .events = (short)(sending ? POLLIN | POLLOUT : POLLIN)};
        int ready = poll(&poll_entry, 1, client_ms_left(deadline_ms));
        if (ready == 0)
            return client_fail(error, URNCLIENT_TIMEOUT, 0, "no answer within %" PRIu32 " ms (%s)",
                               client->call_timeout_ms, client->address);
        if (ready < 0 && errno != EINTR)
            break_connection(client, URNCLIENT_LOST, errno, "cannot wait for the connection");
        else if (ready > 0 && (poll_entry.revents & ~POLLOUT) != 0)
            receive_bytes(client);
    }
    if (client->broken != URNCLIENT_OK)
        *error = client->broken_error;
    return client->broken;
}

/* ---- the pipeline ------------------------------------------------------------------------ */

static void write_page(struct rpc_writer *writer, const struct urnclient_call *call)
{
    rpc_write_map(writer, 2);
    rpc_write_cstr(writer, "offset");
    rpc_write_uint(writer, call->offset);
    rpc_write_cstr(writer, "limit");
    rpc_write_uint(writer, call->limit);
}

static void write_draw_options(struct rpc_writer *writer, const struct urnclient_call *call)
{
    static const char *const forms[] = {"names", "indexes", "tally"};
    rpc_write_map(writer, 2);
    rpc_write_cstr(writer, "as");
    rpc_write_cstr(writer, forms[call->as]);
    rpc_write_cstr(writer, "all");
    rpc_write_bool(writer, call->all);
}

static void write_stock(struct rpc_writer *writer, int64_t quantity, uint64_t probability)
{
    rpc_write_cstr(writer, "quantity");
    rpc_write_int(writer, quantity);
    rpc_write_cstr(writer, "probability");
    rpc_write_uint(writer, probability);
}

/* Behind the pool of update and add: the item, and what becomes of it. */
static void write_change(struct rpc_writer *writer, const struct urnclient_call *call)
{
    const struct urnclient_update *update = &call->update;
    if (call->method == URNCLIENT_ADD) {
        rpc_write_cstr(writer, call->items[0].item_id);
        rpc_write_map(writer, 2);
        write_stock(writer, call->items[0].quantity, call->items[0].probability);
        return;
    }
    rpc_write_cstr(writer, call->item_id);
    rpc_write_map(writer, (uint32_t)update->has_quantity + update->has_probability +
                              update->has_if_quantity);
    if (update->has_quantity) {
        rpc_write_cstr(writer, "quantity");
        rpc_write_int(writer, update->quantity);
    }
    if (update->has_probability) {
        rpc_write_cstr(writer, "probability");
        rpc_write_uint(writer, update->probability);
    }
    if (update->has_if_quantity) {
        rpc_write_cstr(writer, "if_quantity");
        rpc_write_int(writer, update->if_quantity);
    }
}

static void write_catalog(struct rpc_writer *writer, const struct urnclient_call *call)
{
    rpc_write_array(writer, call->item_count);
    for (uint32_t i = 0; i < call->item_count; i++) {
        rpc_write_map(writer, 3);
        rpc_write_cstr(writer, "item_id");
        rpc_write_cstr(writer, call->items[i].item_id);
        write_stock(writer, call->items[i].quantity, call->items[i].probability);
    }
}

static void write_request(struct rpc_writer *writer, uint32_t msgid,
                          const struct urnclient_call *call)
{
    static const enum rpc_method methods[] = {
        [URNCLIENT_PING] = RPC_PING,         [URNCLIENT_DRAW] = RPC_DRAW,
        [URNCLIENT_STATE] = RPC_STATE,       [URNCLIENT_CATALOG] = RPC_CATALOG,
        [URNCLIENT_POOLS] = RPC_POOLS,       [URNCLIENT_INFO] = RPC_INFO,
        [URNCLIENT_UPDATE] = RPC_UPDATE,     [URNCLIENT_ADD] = RPC_ADD,
        [URNCLIENT_CREATE] = RPC_CREATE,     [URNCLIENT_CLOSE] = RPC_CLOSE,
        [URNCLIENT_OPEN] = RPC_OPEN,         [URNCLIENT_RELOAD] = RPC_RELOAD,
        [URNCLIENT_SNAPSHOT] = RPC_SNAPSHOT, [URNCLIENT_LOOKUP] = RPC_LOOKUP,
    };
    bool plain_draw = call->method == URNCLIENT_DRAW && call->as == URNCLIENT_NAMES && !call->all;
    rpc_write_array(writer, 4);
    rpc_write_uint(writer, RPC_REQUEST);
    rpc_write_uint(writer, msgid);
    rpc_write_cstr(writer, rpc_method_name(methods[call->method]));
    switch (call->method) {
    case URNCLIENT_PING:
    case URNCLIENT_POOLS:
    case URNCLIENT_SNAPSHOT:
    case URNCLIENT_INFO:
        rpc_write_array(writer, 0);
        break;
    case URNCLIENT_DRAW:
        rpc_write_array(writer, plain_draw ? 2 : 3);
        rpc_write_cstr(writer, call->pool);
        rpc_write_uint(writer, call->count);
        if (!plain_draw)
            write_draw_options(writer, call);
        break;
    case URNCLIENT_STATE:
    case URNCLIENT_CATALOG:
        rpc_write_array(writer, 2);
        rpc_write_cstr(writer, call->pool);
        write_page(writer, call);
        break;
    case URNCLIENT_UPDATE:
    case URNCLIENT_ADD:
        rpc_write_array(writer, 3);
        rpc_write_cstr(writer, call->pool);
        write_change(writer, call);
        break;
    case URNCLIENT_CREATE:
        rpc_write_array(writer, 2);
        rpc_write_cstr(writer, call->pool);
        write_catalog(writer, call);
        break;
    case URNCLIENT_CLOSE:
    case URNCLIENT_OPEN:
        rpc_write_array(writer, 1);
        rpc_write_cstr(writer, call->pool);
        break;
    case URNCLIENT_RELOAD:
        rpc_write_array(writer, 1);
        rpc_write_map(writer, 2);
        rpc_write_cstr(writer, "dry_run");
        rpc_write_bool(writer, call->dry_run);
        rpc_write_cstr(writer, "force");
        rpc_write_bool(writer, call->force);
        break;
    case URNCLIENT_LOOKUP:
        rpc_write_array(writer, 1);
        rpc_write_uint(writer, call->request_id);
        break;
    }
}

static bool is_name(const char *text)
{
    return text != NULL && *text != '\0' && strlen(text) <= URN_NAME_BYTES_MAX;
}

static bool names_pool(enum urnclient_method method)
{
    switch (method) {
    case URNCLIENT_PING:
    case URNCLIENT_POOLS:
    case URNCLIENT_SNAPSHOT:
    case URNCLIENT_INFO:
    case URNCLIENT_RELOAD:
    case URNCLIENT_LOOKUP:
        return false;
    case URNCLIENT_DRAW:
    case URNCLIENT_STATE:
    case URNCLIENT_CATALOG:
    case URNCLIENT_UPDATE:
    case URNCLIENT_ADD:
    case URNCLIENT_CREATE:
    case URNCLIENT_CLOSE:
    case URNCLIENT_OPEN:
        break;
    }
    return true;
}

/* The most values that an answer can have which a server of urn gives, a newer one included. Each
 * costs some 60 bytes once it is decoded, though it may be one byte on the wire. */
static uint64_t values_max_of(const struct urnclient_call *call)
{
    switch (call->method) {
    case URNCLIENT_DRAW:
        return CLIENT_VALUES_SPARE + (call->as == URNCLIENT_TALLY ? 2ull : 1ull) * call->count;
    case URNCLIENT_STATE:
        return CLIENT_VALUES_SPARE + (uint64_t)CLIENT_ITEM_VALUES_MAX * call->limit;
    case URNCLIENT_CATALOG:
        return CLIENT_VALUES_SPARE + (uint64_t)call->limit;
    case URNCLIENT_POOLS:
        return CLIENT_POOLS_VALUES_MAX;
    case URNCLIENT_INFO:
    case URNCLIENT_RELOAD:
        return CLIENT_REPORT_VALUES_MAX;
    case URNCLIENT_PING:
    case URNCLIENT_SNAPSHOT:
    case URNCLIENT_LOOKUP:
    case URNCLIENT_UPDATE:
    case URNCLIENT_ADD:
    case URNCLIENT_CREATE:
    case URNCLIENT_CLOSE:
    case URNCLIENT_OPEN:
        break;
    }
    return CLIENT_VALUES_SPARE;
}

static enum urnclient_status check_call(const struct urnclient_call *call,
                                        struct urnclient_error *error)
{
    if ((unsigned)call->method > URNCLIENT_LOOKUP || (unsigned)call->as > URNCLIENT_TALLY)
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "no such method or form of outcomes");
    if (names_pool(call->method) && (call->pool == NULL || strlen(call->pool) > URN_NAME_BYTES_MAX))
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "a pool's name has 1 to %u bytes",
                           URN_NAME_BYTES_MAX);
    if (call->method == URNCLIENT_UPDATE && !is_name(call->item_id))
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "an item's id has 1 to %u bytes",
                           URN_NAME_BYTES_MAX);
    uint32_t items = call->method == URNCLIENT_ADD      ? 1
                     : call->method == URNCLIENT_CREATE ? call->item_count
                                                        : 0;
    if (items > CLIENT_ITEMS_MAX)
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "a request has at most %u items",
                           CLIENT_ITEMS_MAX);
    for (uint32_t i = 0; i < items; i++)
        if (!is_name(call->items[i].item_id))
            return client_fail(error, URNCLIENT_ARGUMENT, 0,
                               "item %" PRIu32 ": an id has 1 to %u bytes", i, URN_NAME_BYTES_MAX);
    return URNCLIENT_OK;
}

enum urnclient_status urnclient_flush(struct urnclient *client, struct urnclient_error *error)
{
    CHECK(client->magic == CLIENT_MAGIC);
    int64_t deadline_ms = client_now_ms() + client->call_timeout_ms;
    send_bytes(client);
    while (client->out_sent < client->out_end)
        if (step(client, deadline_ms, error) != URNCLIENT_OK)
            return error->status;
    return URNCLIENT_OK;
}

/* Makes room for a request behind those that are queued. */
static enum urnclient_status make_out_room(struct urnclient *client, uint32_t bytes_max,
                                           struct urnclient_error *error)
{
    if (client->out_capacity - client->out_end >= bytes_max)
        return URNCLIENT_OK;
    if (urnclient_flush(client, error) != URNCLIENT_OK)
        return error->status;
    if (client->out_capacity >= bytes_max)
        return URNCLIENT_OK;
    uint8_t *larger = realloc(client->out, bytes_max);
    if (larger == NULL)
        return client_fail(error, URNCLIENT_NOMEMORY, 0, "no memory for a request");
    client->out = larger;
    client->out_capacity = bytes_max;
    return URNCLIENT_OK;
}

enum urnclient_status urnclient_send(struct urnclient *client, const struct urnclient_call *call,
                                     uint32_t *msgid, struct urnclient_error *error)
{
    CHECK(client->magic == CLIENT_MAGIC);
    *error = (struct urnclient_error){.status = URNCLIENT_OK};
    if (check_call(call, error) != URNCLIENT_OK)
        return error->status;
    struct slot *slot = next_free_slot(client);
    if (slot == NULL)
        return client_fail(error, URNCLIENT_ARGUMENT, 0,
                           "%" PRIu32 " requests are in flight; receive an answer first",
                           client->slot_count);
    uint32_t bytes_max = CLIENT_REQUEST_BYTES_MAX;
    if (call->method == URNCLIENT_CREATE)
        bytes_max += call->item_count * CLIENT_ITEM_BYTES_MAX;
    if (make_out_room(client, bytes_max, error) != URNCLIENT_OK)
        return error->status;
    if (client->broken != URNCLIENT_OK) {
        *error = client->broken_error;
        return error->status;
    }
    struct rpc_writer writer;
    rpc_writer_begin(&writer, client->out + client->out_end, bytes_max);
    write_request(&writer, client->next_msgid, call);
    CHECK(!writer.overflow);
    client->out_end += (uint32_t)rpc_written_bytes(&writer);
    *slot = (struct slot){
        .state = SLOT_SENT,
        .msgid = client->next_msgid,
        .asked = {.method = call->method,
                  .as = call->as,
                  .count = call->count,
                  .values_max = values_max_of(call)},
    };
    *msgid = client->next_msgid++;
    client->in_flight++;
    return URNCLIENT_OK;
}

/* Decodes an answered slot, which is free afterwards. Who answers one request as no server of urn
 * would is not trusted with others. */
static enum urnclient_status receive_slot(struct urnclient *client, struct slot *slot,
                                          struct urnclient_reply *reply,
                                          struct urnclient_error *error)
{
    const struct asked asked = slot->asked;
    enum urnclient_status status = client_decode(slot_take(client, slot), &asked, reply, error);
    if (status == URNCLIENT_PROTOCOL && client->broken == URNCLIENT_OK)
        break_connection(client, URNCLIENT_PROTOCOL, 0, error->text);
    return status;
}

enum urnclient_status urnclient_receive(struct urnclient *client, uint32_t msgid,
                                        struct urnclient_reply *reply,
                                        struct urnclient_error *error)
{
    CHECK(client->magic == CLIENT_MAGIC);
    memset(reply, 0, sizeof *reply);
    *error = (struct urnclient_error){.status = URNCLIENT_OK};
    struct slot *slot = slot_of(client, msgid);
    if (slot->msgid != msgid || (slot->state != SLOT_SENT && slot->state != SLOT_ANSWERED))
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "no request %" PRIu32 " is in flight",
                           msgid);
    int64_t deadline_ms = client_now_ms() + client->call_timeout_ms;
    while (slot->state == SLOT_SENT)
        if (step(client, deadline_ms, error) != URNCLIENT_OK) {
            if (slot->state == SLOT_ANSWERED)
                break; /* the answer came together with the end of the connection */
            client_set_doubt(error, slot->asked.method);
            return error->status;
        }
    return receive_slot(client, slot, reply, error);
}

enum urnclient_status urnclient_receive_any(struct urnclient *client, uint32_t *msgid,
                                            struct urnclient_reply *reply,
                                            struct urnclient_error *error)
{
    CHECK(client->magic == CLIENT_MAGIC);
    memset(reply, 0, sizeof *reply);
    *error = (struct urnclient_error){.status = URNCLIENT_OK};
    if (client->in_flight == 0)
        return client_fail(error, URNCLIENT_ARGUMENT, 0, "no request is in flight");
    int64_t deadline_ms = client_now_ms() + client->call_timeout_ms;
    while (client->oldest_answer == NULL)
        if (step(client, deadline_ms, error) != URNCLIENT_OK) {
            if (client->oldest_answer != NULL)
                break;
            client_set_doubt(error, URNCLIENT_DRAW);
            return error->status;
        }
    struct slot *slot = client->oldest_answer;
    CHECK(slot != NULL);
    *msgid = slot->msgid;
    return receive_slot(client, slot, reply, error);
}

/* ---- plain calls ------------------------------------------------------------------------- */

static enum urnclient_status call_and_wait(struct urnclient *client,
                                           const struct urnclient_call *call,
                                           struct urnclient_reply *reply,
                                           struct urnclient_error *error)
{
    uint32_t msgid = 0;
    memset(reply, 0, sizeof *reply);
    if (urnclient_send(client, call, &msgid, error) != URNCLIENT_OK)
        return error->status;
    enum urnclient_status status = urnclient_receive(client, msgid, reply, error);
    if (status == URNCLIENT_TIMEOUT) {
        slot_of(client, msgid)->state = SLOT_ABANDONED;
        client->in_flight--;
    }
    return status;
}

enum urnclient_status urnclient_ping(struct urnclient *client, struct urnclient_error *error)
{
    struct urnclient_reply reply;
    return call_and_wait(client, &(struct urnclient_call){.method = URNCLIENT_PING}, &reply, error);
}

enum urnclient_status urnclient_draw(struct urnclient *client, const char *pool, uint32_t count,
                                     enum urnclient_as as, bool all, struct urnclient_draw *draw,
                                     struct urnclient_error *error)
{
    struct urnclient_reply reply;
    struct urnclient_call call = {
        .method = URNCLIENT_DRAW, .pool = pool, .count = count, .as = as, .all = all};
    enum urnclient_status status = call_and_wait(client, &call, &reply, error);
    *draw = reply.draw;
    return status;
}

enum urnclient_status urnclient_state(struct urnclient *client, const char *pool, uint32_t offset,
                                      uint32_t limit, struct urnclient_state *state,
                                      struct urnclient_error *error)
{
    struct urnclient_reply reply;
    struct urnclient_call call = {
        .method = URNCLIENT_STATE, .pool = pool, .offset = offset, .limit = limit};
    enum urnclient_status status = call_and_wait(client, &call, &reply, error);
    *state = reply.state;
    return status;
}

enum urnclient_status urnclient_catalog(struct urnclient *client, const char *pool, uint32_t offset,
                                        uint32_t limit, struct urnclient_names *names,
                                        struct urnclient_error *error)
{
    struct urnclient_reply reply;
    struct urnclient_call call = {
        .method = URNCLIENT_CATALOG, .pool = pool, .offset = offset, .limit = limit};
    enum urnclient_status status = call_and_wait(client, &call, &reply, error);
    *names = reply.names;
    return status;
}

enum urnclient_status urnclient_pools(struct urnclient *client, struct urnclient_names *names,
                                      struct urnclient_error *error)
{
    struct urnclient_reply reply;
    enum urnclient_status status =
        call_and_wait(client, &(struct urnclient_call){.method = URNCLIENT_POOLS}, &reply, error);
    *names = reply.names;
    return status;
}

enum urnclient_status urnclient_lookup(struct urnclient *client, uint64_t request_id,
                                       struct urnclient_lookup *lookup,
                                       struct urnclient_error *error)
{
    struct urnclient_reply reply;
    struct urnclient_call call = {.method = URNCLIENT_LOOKUP, .request_id = request_id};
    enum urnclient_status status = call_and_wait(client, &call, &reply, error);
    *lookup = reply.lookup;
    return status;
}

enum urnclient_status urnclient_snapshot(struct urnclient *client, uint64_t *lsn,
                                         struct urnclient_error *error)
{
    struct urnclient_reply reply;
    enum urnclient_status status = call_and_wait(
        client, &(struct urnclient_call){.method = URNCLIENT_SNAPSHOT}, &reply, error);
    *lsn = reply.lsn;
    return status;
}

enum urnclient_status urnclient_info(struct urnclient *client, struct urnclient_info *info,
                                     struct urnclient_error *error)
{
    struct urnclient_reply reply;
    enum urnclient_status status =
        call_and_wait(client, &(struct urnclient_call){.method = URNCLIENT_INFO}, &reply, error);
    *info = reply.info;
    return status;
}

/* ---- changes ----------------------------------------------------------------------------- */

static enum urnclient_status change_and_wait(struct urnclient *client,
                                             const struct urnclient_call *call,
                                             uint64_t *odds_version, struct urnclient_error *error)
{
    struct urnclient_reply reply;
    enum urnclient_status status = call_and_wait(client, call, &reply, error);
    if (odds_version != NULL)
        *odds_version = reply.odds_version;
    return status;
}

enum urnclient_status urnclient_update(struct urnclient *client, const char *pool,
                                       const char *item_id, const struct urnclient_update *update,
                                       uint64_t *odds_version, struct urnclient_error *error)
{
    struct urnclient_call call = {
        .method = URNCLIENT_UPDATE, .pool = pool, .item_id = item_id, .update = *update};
    return change_and_wait(client, &call, odds_version, error);
}

enum urnclient_status urnclient_add(struct urnclient *client, const char *pool,
                                    const struct urnclient_item_spec *item, uint64_t *odds_version,
                                    struct urnclient_error *error)
{
    struct urnclient_call call = {
        .method = URNCLIENT_ADD, .pool = pool, .items = item, .item_count = 1};
    return change_and_wait(client, &call, odds_version, error);
}

enum urnclient_status urnclient_create(struct urnclient *client, const char *pool,
                                       const struct urnclient_item_spec *items, uint32_t item_count,
                                       uint64_t *odds_version, struct urnclient_error *error)
{
    struct urnclient_call call = {
        .method = URNCLIENT_CREATE, .pool = pool, .items = items, .item_count = item_count};
    return change_and_wait(client, &call, odds_version, error);
}

enum urnclient_status urnclient_close_pool(struct urnclient *client, const char *pool,
                                           uint64_t *odds_version, struct urnclient_error *error)
{
    struct urnclient_call call = {.method = URNCLIENT_CLOSE, .pool = pool};
    return change_and_wait(client, &call, odds_version, error);
}

enum urnclient_status urnclient_open_pool(struct urnclient *client, const char *pool,
                                          uint64_t *odds_version, struct urnclient_error *error)
{
    struct urnclient_call call = {.method = URNCLIENT_OPEN, .pool = pool};
    return change_and_wait(client, &call, odds_version, error);
}

enum urnclient_status urnclient_reload(struct urnclient *client, bool dry_run, bool force,
                                       struct urnclient_info *report, struct urnclient_error *error)
{
    struct urnclient_reply reply;
    struct urnclient_call call = {.method = URNCLIENT_RELOAD, .dry_run = dry_run, .force = force};
    enum urnclient_status status = call_and_wait(client, &call, &reply, error);
    *report = reply.info;
    return status;
}
