/* loop_common.c: see loop_common.h. */
#include "bench/loop_common.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/messages.h"

#define REQUEST_BYTES_MAX 256u
#define REPLY_BYTES_MAX   (16u << 20)
#define REQUEST_MSGID_AT  3u /* urn-bench gives every msgid its longest form: 94 00 ce <4 bytes> */
#define REPLY_MSGID_AT    3u /* and so its replies get it: 94 01 ce <4 bytes> */
#define FIRST_ID          (1u << 31)

int loop_must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

int loop_listen(const char *port)
{
    int one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = loop_must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    loop_must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
    loop_must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    loop_must(listen(listener, 1024), "listen");
    return listener;
}

void loop_no_delay(int fd)
{
    int one = 1;
    loop_must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
}

/* ---- the replies --------------------------------------------------------------------------- */

struct loop_echo {
    uint32_t request_bytes; /* 0: the first request has not come whole */
    size_t reply_bytes;
    uint8_t *reply;
    uint32_t held_bytes; /* of a request that came in pieces */
    uint8_t held[REQUEST_BYTES_MAX];
};

struct loop_echo *loop_echo_make(void)
{
    struct loop_echo *echo = calloc(1, sizeof *echo);
    loop_must(echo != NULL ? 0 : -1, "memory");
    return echo;
}

void loop_echo_free(struct loop_echo *echo)
{
    free(echo->reply);
    free(echo);
}

static void write_outcomes(struct rpc_writer *writer, const struct message_call *call)
{
    if (call->as == MESSAGE_AS_TALLY) {
        rpc_write_map(writer, 1);
        rpc_write_cstr(writer, "silver");
        rpc_write_uint(writer, call->count);
        return;
    }
    rpc_write_array(writer, call->count);
    for (uint32_t i = 0; i < call->count; i++) {
        if (call->as == MESSAGE_AS_NAMES)
            rpc_write_cstr(writer, "silver");
        else
            rpc_write_uint(writer, 3);
    }
}

/* The reply to a call like the one that came first, its msgid to be put in. */
static void write_reply(struct rpc_writer *writer, const struct message_call *call)
{
    rpc_write_array(writer, 4);
    rpc_write_uint(writer, 1);
    rpc_put_tagged_u32(writer, 0xce, 0);
    rpc_write_nil(writer);
    if (call->method == RPC_PING) {
        rpc_write_cstr(writer, "pong");
        return;
    }
    rpc_write_array(writer, 5);
    rpc_write_uint(writer, FIRST_ID);
    write_outcomes(writer, call);
    rpc_write_uint(writer, 0);
    rpc_write_uint(writer, 1);
    rpc_write_bool(writer, false);
}

static bool is_answered(const struct message_call *call, const uint8_t *request)
{
    return (call->method == RPC_PING || call->method == RPC_DRAW) &&
           request[REQUEST_MSGID_AT - 1] == 0xce;
}

/* Takes the request that is held as the model of all that follow. False: it is none, and is refused in
 * *refusal; another one may follow. */
static bool take_model(struct loop_echo *echo, struct rpc_writer *refusal)
{
    static const struct message_limits limits = {.max_batch = 100000,
                                                 .max_items = 1000000,
                                                 .max_pools = 1024,
                                                 .max_reply_bytes = UINT32_MAX};
    static uint8_t reply[REPLY_BYTES_MAX];
    struct rpc_request request = {.msgid = 0};
    struct message_call call;
    struct urn_error error;
    struct rpc_writer writer;
    if (rpc_request_read(echo->held, echo->held_bytes, &request, &error) != URN_OK ||
        message_read_call(&request, &limits, &call, &error) != URN_OK ||
        !is_answered(&call, echo->held)) {
        rpc_write_error(refusal, request.msgid, URN_NOMETHOD,
                        "NOMETHOD an echo knows draw and ping");
        echo->held_bytes = 0;
        return false;
    }
    rpc_writer_begin(&writer, reply, sizeof reply);
    write_reply(&writer, &call);
    echo->reply_bytes = rpc_written_bytes(&writer);
    echo->reply = malloc(echo->reply_bytes);
    loop_must(echo->reply != NULL && !writer.overflow ? 0 : -1, "a reply");
    memcpy(echo->reply, reply, echo->reply_bytes);
    echo->request_bytes = echo->held_bytes;
    return true;
}

size_t loop_echo_room(const struct loop_echo *echo, size_t out_bytes)
{
    if (echo->request_bytes == 0)
        return REQUEST_BYTES_MAX / 2;
    size_t replies = out_bytes / echo->reply_bytes;
    loop_must(replies > 0 ? 0 : -1, "a reply is longer than there is room");
    return replies * echo->request_bytes - echo->held_bytes;
}

static uint8_t *answer_one(const struct loop_echo *echo, const uint8_t *request, uint8_t *out)
{
    memcpy(out, echo->reply, echo->reply_bytes);
    memcpy(out + REPLY_MSGID_AT, request + REQUEST_MSGID_AT, 4);
    return out + echo->reply_bytes;
}

/* Looks for the model a byte at a time: requests are short, and this is done once. False: what came is no
 * request. */
static bool find_model(struct loop_echo *echo, const uint8_t **next, const uint8_t *end,
                       struct rpc_writer *refusal)
{
    static const struct rpc_bounds bounds = {RPC_SERVER, REQUEST_BYTES_MAX, 8};
    while (echo->request_bytes == 0 && *next < end) {
        struct rpc_scan scan;
        echo->held[echo->held_bytes++] = *(*next)++;
        rpc_scan_begin(&scan);
        enum rpc_scan_result result = rpc_scan(&scan, &bounds, echo->held, echo->held_bytes);
        if (result != RPC_NEED_MORE && result != RPC_COMPLETE)
            return false;
        if (result == RPC_COMPLETE)
            (void)take_model(echo, refusal);
    }
    return true;
}

int64_t loop_echo_answer(struct loop_echo *echo, const uint8_t *bytes, size_t length, uint8_t *out,
                         size_t out_bytes)
{
    const uint8_t *next = bytes;
    const uint8_t *end = bytes + length;
    uint8_t *to = out;
    if (echo->request_bytes == 0) {
        struct rpc_writer refusal;
        rpc_writer_begin(&refusal, out, out_bytes);
        if (!find_model(echo, &next, end, &refusal))
            return -1;
        if (echo->request_bytes == 0)
            return (int64_t)rpc_written_bytes(&refusal);
    }
    size_t replies = (echo->held_bytes + (size_t)(end - next)) / echo->request_bytes;
    loop_must(replies * echo->reply_bytes <= out_bytes ? 0 : -1, "no room for the replies");
    if (echo->held_bytes > 0) {
        size_t missing = echo->request_bytes - echo->held_bytes;
        size_t taken = missing < (size_t)(end - next) ? missing : (size_t)(end - next);
        memcpy(echo->held + echo->held_bytes, next, taken);
        echo->held_bytes += (uint32_t)taken;
        next += taken;
        if (echo->held_bytes < echo->request_bytes)
            return 0;
        to = answer_one(echo, echo->held, to);
        echo->held_bytes = 0;
    }
    for (; (size_t)(end - next) >= echo->request_bytes; next += echo->request_bytes)
        to = answer_one(echo, next, to);
    echo->held_bytes = (uint32_t)(end - next);
    memcpy(echo->held, next, echo->held_bytes);
    return to - out;
}
