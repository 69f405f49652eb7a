/* tarantool_load.c: a load for Tarantool's stored procedure, in C, so that the peer is not held back by its
 * client: net.box in Lua takes more of the two cores than the server does.
 *
 *     bench-tarantool_load PORT CONNECTIONS DEPTH DRAWS SECONDS
 *
 * The least of Tarantool's binary protocol (IPROTO) that a closed loop needs. A greeting of 128 bytes, then:
 *
 *     request   ce <length>  82 00 0a 01 ce <sync>  82 22 a4 "draw" 21 92 a4 "main" ce <draws>
 *     reply     ce <length>  83 00 ce <code> 01 cf <sync> 05 ce <schema>  <body>
 *
 * Every reply's code must be 0 and its sync that of a call under way. Prints one JSON object; latencies are
 * from the send to the receipt.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/histogram.h"

#define CONNECTIONS_MAX 1024u
#define DEPTH_MAX       256u
#define GREETING_BYTES  128u
#define LENGTH_BYTES    5u
#define HEADER_BYTES    28u /* with the length */
#define CODE_AT         8u
#define SYNC_AT         14u
#define REQUEST_SYNC_AT 10u
#define IN_BYTES        (4u << 20)
#define WARM_UP_NS      500000000u

struct connection {
    int fd;
    uint64_t sent_ns[DEPTH_MAX]; /* by sync; 0: not under way */
    uint8_t *in;                 /* IN_BYTES; a reply begins at its begin */
    size_t in_bytes;
};

struct load {
    uint32_t connections;
    uint32_t depth;
    uint32_t draws;
    uint64_t measure_ns;
    uint64_t end_ns;
    uint64_t last_ns;
    uint64_t calls; /* measured */
    uint32_t under_way;
    struct histogram latency_ns;
};

static uint32_t big_endian(const uint8_t *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return ntohl(value);
}

static void put_u32(uint8_t *to, uint32_t value)
{
    uint32_t swapped = htonl(value);
    memcpy(to, &swapped, sizeof swapped);
}

/* ---- calls --------------------------------------------------------------------------------- */

static const uint8_t request_model[] = {
    0xce, 0,   0,   0,   0,    0x82, 0x00, 0x0a, 0x01, 0xce, 0,   0,    0, 0, 0x82, 0x22, 0xa4,
    'd',  'r', 'a', 'w', 0x21, 0x92, 0xa4, 'm',  'a',  'i',  'n', 0xce, 0, 0, 0,    0};

static void put_request(uint8_t *to, uint32_t sync, uint32_t draws)
{
    memcpy(to, request_model, sizeof request_model);
    put_u32(to + 1, (uint32_t)sizeof request_model - LENGTH_BYTES);
    put_u32(to + REQUEST_SYNC_AT, sync);
    put_u32(to + sizeof request_model - 4, draws);
}

/* Sends a call for each sync that is free. */
static void fill(struct load *load, struct connection *connection)
{
    uint8_t out[DEPTH_MAX * sizeof request_model];
    size_t out_bytes = 0;
    uint64_t now_ns = bench_now_ns();
    if (now_ns >= load->end_ns)
        return;
    for (uint32_t sync = 0; sync < load->depth; sync++) {
        if (connection->sent_ns[sync] != 0)
            continue;
        put_request(out + out_bytes, sync, load->draws);
        out_bytes += sizeof request_model;
        connection->sent_ns[sync] = now_ns;
        load->under_way++;
    }
    if (out_bytes > 0)
        bench_require(send(connection->fd, out, out_bytes, MSG_NOSIGNAL) == (ssize_t)out_bytes,
                      "send");
}

static void take_reply(struct load *load, struct connection *connection, const uint8_t *reply,
                       uint64_t now_ns)
{
    uint32_t sync = big_endian(reply + SYNC_AT + 4);
    bench_require(big_endian(reply + CODE_AT) == 0, "Tarantool answered with an error");
    bench_require(big_endian(reply + SYNC_AT) == 0 && sync < load->depth &&
                      connection->sent_ns[sync] != 0,
                  "a reply to a call under way");
    if (connection->sent_ns[sync] >= load->measure_ns) {
        load->calls++;
        load->last_ns = now_ns;
        histogram_add(&load->latency_ns, now_ns - connection->sent_ns[sync]);
    }
    connection->sent_ns[sync] = 0;
    load->under_way--;
}

static void receive(struct load *load, struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->in + connection->in_bytes,
                       IN_BYTES - connection->in_bytes, 0);
    bench_require(got > 0, "recv");
    uint64_t now_ns = bench_now_ns();
    connection->in_bytes += (size_t)got;
    size_t at = 0;
    while (connection->in_bytes - at >= HEADER_BYTES) {
        const uint8_t *reply = connection->in + at;
        bench_require(reply[0] == 0xce && reply[5] == 0x83, "a reply of IPROTO");
        size_t length = LENGTH_BYTES + (size_t)big_endian(reply + 1);
        bench_require(length <= IN_BYTES, "a reply that fits");
        if (connection->in_bytes - at < length)
            break;
        take_reply(load, connection, reply, now_ns);
        at += length;
    }
    connection->in_bytes -= at;
    memmove(connection->in, connection->in + at, connection->in_bytes);
    fill(load, connection);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void open_connection(struct connection *connection, const char *port)
{
    int one = 1;
    char greeting[GREETING_BYTES];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_require(connection->fd >= 0 &&
                      connect(connection->fd, (struct sockaddr *)&address, sizeof address) == 0,
                  "connect");
    bench_require(setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0,
                  "TCP_NODELAY");
    bench_require(recv(connection->fd, greeting, sizeof greeting, MSG_WAITALL) == GREETING_BYTES,
                  "the greeting");
    connection->in = malloc(IN_BYTES);
    bench_require(connection->in != NULL, "memory");
}

static void run(struct load *load, struct connection *connections)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    bench_require(epoll >= 0, "epoll_create1");
    for (uint32_t i = 0; i < load->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        bench_require(epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) == 0, "epoll_ctl");
        fill(load, &connections[i]);
    }
    while (load->under_way > 0) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, 30000);
        bench_require(ready > 0 || (ready < 0 && errno == EINTR), "a reply within 30 s");
        for (int i = 0; i < ready; i++)
            receive(load, &connections[events[i].data.u32]);
    }
    close(epoll);
}

static void print(const struct load *load)
{
    double seconds = (double)(load->last_ns - load->measure_ns) / 1e9;
    printf("{\"calls\": %" PRIu64 ", \"calls_per_s\": %.1f, \"draws_per_s\": %.1f"
           ", \"latency_us\": {\"p50\": %.2f, \"p99\": %.2f, \"p999\": %.2f, \"max\": %.2f}}\n",
           load->calls, (double)load->calls / seconds, (double)load->calls * load->draws / seconds,
           (double)histogram_permille(&load->latency_ns, 500) / 1e3,
           (double)histogram_permille(&load->latency_ns, 990) / 1e3,
           (double)histogram_permille(&load->latency_ns, 999) / 1e3,
           (double)load->latency_ns.max / 1e3);
}

int main(int argc, char **argv)
{
    static struct connection connections[CONNECTIONS_MAX];
    static struct load load;
    if (argc != 6) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS DEPTH DRAWS SECONDS\n", argv[0]);
        return 64;
    }
    load.connections = (uint32_t)strtoul(argv[2], NULL, 10);
    load.depth = (uint32_t)strtoul(argv[3], NULL, 10);
    load.draws = (uint32_t)strtoul(argv[4], NULL, 10);
    bench_require(load.connections >= 1 && load.connections <= CONNECTIONS_MAX && load.depth >= 1 &&
                      load.depth <= DEPTH_MAX && load.draws >= 1,
                  "1 to 1024 connections of 1 to 256 calls");
    for (uint32_t i = 0; i < load.connections; i++)
        open_connection(&connections[i], argv[1]);
    load.measure_ns = bench_now_ns() + WARM_UP_NS;
    load.end_ns = load.measure_ns + (uint64_t)(strtod(argv[5], NULL) * 1e9);
    run(&load, connections);
    print(&load);
    return 0;
}
