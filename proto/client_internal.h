/* client_internal.h: what the files of liburnclient share. Not installed.
 *
 *     client_connect.c  addresses, connecting
 *     client.c          the connection: requests out, answers in, who waits for what; plain calls
 *     client_decode.c   an answer's bytes to a result; errors
 *
 * An answer's way: recv() -> `in` -> rpc_scan() finds its end -> a copy of its own (struct answer)
 * waits in its request's slot -> urnclient_receive() decodes it in place -> the result owns it.
 */
#ifndef URN_PROTO_CLIENT_INTERNAL_H
#define URN_PROTO_CLIENT_INTERNAL_H

#include <msgpack.h>

#include "proto/client.h"
#include "proto/client_connect.h"
#include "proto/rpc.h"
#include "proto/rpc_writer.h"

#define CLIENT_ADDRESS_BYTES_MAX 256u
#define CLIENT_NESTING_MAX       16u

#define CLIENT_CONNECT_TIMEOUT_MS 5000u
#define CLIENT_CALL_TIMEOUT_MS    30000u
#define CLIENT_REPLY_BYTES_MAX    (64u << 20)
#define CLIENT_IN_FLIGHT          1024u
#define CLIENT_IN_FLIGHT_MAX      65536u

#define CLIENT_OUT_BYTES (64u << 10) /* requests queued; a full queue is sent */
#define CLIENT_IN_BYTES  (64u << 10) /* at first; grows to max_reply_bytes */
/* [0, msgid, "update", [64 bytes, 64 bytes, {...}]]; of create without its items */
#define CLIENT_REQUEST_BYTES_MAX 288u
#define CLIENT_ITEM_BYTES_MAX    128u /* one of them: {"item_id": 64 bytes, ...} */

/* Values of an answer: what a message has besides what was asked for, with room for what a newer server
 * may say; those of an item of state (11 today); names of pools; info, and 1000 changes of a reload. */
#define CLIENT_VALUES_SPARE      64u
#define CLIENT_ITEM_VALUES_MAX   32u
#define CLIENT_POOLS_VALUES_MAX  (1u << 20)
#define CLIENT_REPORT_VALUES_MAX (1u << 16)

/* One answer: its bytes, and once decoded the zone where its objects and arrays lie. What a result
 * calls `owned`. */
struct answer {
    msgpack_zone *zone; /* NULL until decoded */
    uint32_t length;
    char bytes[];
};

enum slot_state {
    SLOT_FREE,
    SLOT_SENT,      /* queued or sent, and no answer yet */
    SLOT_ANSWERED,  /* answer is set; in the list of answered slots */
    SLOT_ABANDONED, /* nobody waits any more: its answer is dropped when it comes */
};

/* What an answer is held against. */
struct asked {
    enum urnclient_method method;
    enum urnclient_as as;
    uint32_t count;      /* draws */
    uint64_t values_max; /* of the whole message */
};

/* A request in flight: the slot of msgid is msgid modulo the number of slots. */
struct slot {
    enum slot_state state;
    uint32_t msgid;
    struct asked asked;
    struct answer *answer;
    struct slot *older; /* list of answered slots, in order of arrival */
    struct slot *newer;
};

#define CLIENT_MAGIC 0x75726e63u /* "urnc" */

struct urnclient {
    uint32_t magic;
    int socket;
    char address[CLIENT_ADDRESS_BYTES_MAX];
    uint32_t call_timeout_ms;
    struct rpc_bounds bounds;

    /* Set once the connection is of no more use; every later wait ends with it. */
    enum urnclient_status broken;
    struct urnclient_error broken_error;

    uint8_t *out;          /* out_capacity; requests from out_sent to out_end wait to be sent */
    uint32_t out_capacity; /* CLIENT_OUT_BYTES, or more once a large catalog was sent */
    uint32_t out_sent;
    uint32_t out_end;

    uint8_t *in; /* bytes from in_begin to in_end; a message begins at in_begin */
    size_t in_capacity;
    size_t in_begin;
    size_t in_end;
    struct rpc_scan scan; /* of the message at in_begin */

    struct slot *slots;
    uint32_t slot_count; /* a power of two */
    uint32_t next_msgid;
    uint32_t in_flight; /* slots SENT or ANSWERED */
    struct slot *oldest_answer;
    struct slot *newest_answer;
};

/* Whose answer is an odds version. */
static inline bool client_is_change(enum urnclient_method method)
{
    return method >= URNCLIENT_UPDATE && method <= URNCLIENT_OPEN; /* not reload */
}

/* Whose result points into its answer, and therefore owns it. */
static inline bool client_owns_answer(enum urnclient_method method)
{
    return method != URNCLIENT_PING && method != URNCLIENT_SNAPSHOT && !client_is_change(method);
}

/* Milliseconds of the monotonic clock, and how many are left until a deadline (for poll). */
int64_t client_now_ms(void);
int client_ms_left(int64_t deadline_ms);

/* Fills *error; system_errno's text is appended when it is not 0. Returns status. */
enum urnclient_status client_fail(struct urnclient_error *error, enum urnclient_status status,
                                  int system_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* After a request was (perhaps) sent and its answer is not known: what that means for this method.
 */
void client_set_doubt(struct urnclient_error *error, enum urnclient_method method);

/* Decodes a slot's answer. On success *reply owns it; otherwise (REFUSED, PROTOCOL, NOMEMORY) it is
 * freed and *reply zeroed. */
enum urnclient_status client_decode(struct answer *answer, const struct asked *asked,
                                    struct urnclient_reply *reply, struct urnclient_error *error);

void client_answer_free(struct answer *answer);

#endif
