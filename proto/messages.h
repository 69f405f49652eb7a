/* messages.h: the methods' parameters and results: bytes <-> what the engine takes and gives.
 *
 * The way of a call through the server:
 *
 *     message_read_call()        parameters and options, checked: BADARG, NOMETHOD, TOOBIG, NOPOOL
 *     message_reply_bytes_max()  what to reserve before anything is drawn
 *     (the engine)               struct urn_request
 *     message_write_reply()      result or error; never longer than what was reserved
 *
 * ping and info are answered by the server itself; message_write_pong() is the whole of ping, and
 * the map of info is for the server to write (rpc_writer.h), within MESSAGE_INFO_REPLY_BYTES_MAX.
 *
 * The results, as docs/protocol.md has them:
 *
 *     update, add, create, close, open   odds_version
 *     draw     [first_request_id, outcomes, failed, odds_version, replayed]
 *                outcomes  names    [item_id | nil, ...]
 *                          indexes  [index | nil, ...]
 *                          tally    {item_id: how many}   in index order, without failed draws
 *     state    {pool, open, odds_version, last_request_id, lsn, total, items:
 *                  [{item_id, index, quantity, probability, drawn}, ...]}
 *     catalog  [odds_version, total, [item_id, ...]]
 *     pools    [name, ...]
 *     lookup   {request_id, pool, item_id | nil, index | nil, odds_version, time_us, lsn}
 *
 * No state of its own; any thread, one at a time for each struct.
 */
#ifndef URN_PROTO_MESSAGES_H
#define URN_PROTO_MESSAGES_H

#include "proto/rpc.h"
#include "proto/rpc_writer.h"

enum message_as { MESSAGE_AS_NAMES, MESSAGE_AS_INDEXES, MESSAGE_AS_TALLY };

#define MESSAGE_PAGE_LIMIT_DEFAULT   1000u
#define MESSAGE_RELOAD_CHANGES_MAX   1000u
#define MESSAGE_INFO_REPLY_BYTES_MAX 16384u
/* Keys of a configuration that a reload can tell to need a restart. */
#define MESSAGE_RESTART_KEYS_MAX      48u
#define MESSAGE_RESTART_KEY_BYTES_MAX 64u
/* Of an error reply that message_write_reply() makes: [1, msgid, "CODE text", nil]. */
#define MESSAGE_ERROR_REPLY_BYTES_MAX 267u

/* What the configuration allows. */
struct message_limits {
    uint32_t max_batch; /* draws of one request */
    uint32_t max_items; /* of all pools together: a tally cannot name more */
    uint32_t max_pools;
    uint64_t max_reply_bytes; /* a larger worst case is refused */
};

/* A call as its parameters say. Fields that a method has no use for are 0. */
struct message_call {
    enum rpc_method method;
    struct rpc_text pool; /* draw, state, catalog; points into the message; 1 to 64 bytes */
    uint32_t count;       /* draw: 1 to max_batch */
    enum message_as as;   /* draw */
    bool all;             /* draw: every draw succeeds or nothing happens */
    uint32_t offset;      /* state, catalog: the first item wanted */
    uint32_t limit;       /* state, catalog: items wanted at most; pools: max_pools */
    struct rpc_text item; /* update, add; points into the message; 1 to 64 bytes */
    bool has_quantity, has_probability, has_if_quantity;
    int64_t quantity;
    uint64_t probability;
    int64_t if_quantity;
    uint64_t request_id;     /* lookup: at least 1 */
    bool dry_run, force;     /* reload */
    struct rpc_list catalog; /* create: checked in shape, not yet taken */
    uint32_t catalog_items;
    uint64_t catalog_bytes;   /* create: what message_fill_catalog() needs */
    uint64_t reply_bytes_max; /* message_reply_bytes_max() of this call */
};

static inline bool message_is_change(enum rpc_method method)
{
    return method >= RPC_UPDATE && method <= RPC_RELOAD;
}

/* Reads and checks what a request asks. Errors: URN_NOMETHOD; URN_BADARG (which parameter,
 * expected, got); URN_NOPOOL (a name that no pool can have); URN_TOOBIG (the largest possible reply
 * would exceed limits->max_reply_bytes; the text says what would fit). */
enum urn_code message_read_call(struct rpc_request *request, const struct message_limits *limits,
                                struct message_call *call, struct urn_error *error);

/* The most bytes that the reply to a call can have, error replies included. */
uint64_t message_reply_bytes_max(const struct message_call *call,
                                 const struct message_limits *limits);

/* Fills in what a call asks of the engine (op, names, numbers); the caller provides the room
 * (outcomes for count; items or names for limit) and context. Not for ping and info. The pool's
 * name still points into the message: the caller copies it if the message goes away earlier. */
void message_fill_request(const struct message_call *call, struct urn_request *request);

/* The catalog of a create, copied from the message into memory of call->catalog_bytes (aligned to 8
 * bytes), which request->pools then leads into. To be called behind message_fill_request(). */
void message_fill_catalog(const struct message_call *call, void *memory,
                          struct urn_request *request);

/* Writes the whole reply to a request that the engine has finished, an error reply when done->code
 * says so. as: how a draw's outcomes are told; a tally sorts done->outcomes in place. Overflows only
 * if the room was less than call->reply_bytes_max. */
void message_write_reply(struct rpc_writer *writer, uint32_t msgid, enum message_as as,
                         struct urn_request *done);

/* The reply to a reload. restart: the keys that differ and are not applied, MESSAGE_RESTART_KEYS_MAX
 * at most. */
void message_write_reload(struct rpc_writer *writer, uint32_t msgid, const char *const *restart,
                          uint32_t restart_count, const struct urn_request *done);

/* [1, msgid, nil, "pong"] */
void message_write_pong(struct rpc_writer *writer, uint32_t msgid);

#endif
