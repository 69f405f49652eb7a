/* lone.c: how long one connection waits for one draw, beside what the machine itself takes.
 *
 *     bench-lone HOST PORT POOL [FOLDER]     FOLDER: on the same disk as the server's data
 * directory
 *
 * In turns, so that all three meet the same noise: a draw through a running urnd; an echo of as
 * many bytes over loopback, by a thread of this process; a bare msync of one page. The floor of a
 * draw is the sum of the last two.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"

#define ROUNDS          5u
#define CALLS_PER_ROUND 400u
#define REPLY_BYTES_MAX 512u
#define REQUEST_BYTES   64u

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static uint64_t median_ns(uint64_t *samples_ns, uint32_t count)
{
    qsort(samples_ns, count, sizeof *samples_ns, compare_u64);
    return samples_ns[count / 2];
}

static void no_delay(int fd)
{
    int one = 1;
    bench_require(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0, "TCP_NODELAY");
}

static int connect_to(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    bench_require(getaddrinfo(host, port, &hints, &found) == 0, "getaddrinfo");
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_require(fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0,
                  "connect; is urnd running?");
    freeaddrinfo(found);
    no_delay(fd);
    return fd;
}

/* ---- the echo ------------------------------------------------------------------------------ */

static void *echo_main(void *argument)
{
    int listener = *(int *)argument;
    int fd = accept(listener, NULL, NULL);
    bench_require(fd >= 0, "accept");
    no_delay(fd);
    char bytes[REPLY_BYTES_MAX];
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        if (got <= 0)
            break;
        bench_require(send(fd, bytes, (size_t)got, MSG_NOSIGNAL) == got, "send");
    }
    close(fd);
    return NULL;
}

static int start_echo(pthread_t *thread, int *listener)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bench_require(*listener >= 0 &&
                      bind(*listener, (struct sockaddr *)&address, sizeof address) == 0 &&
                      listen(*listener, 1) == 0 &&
                      getsockname(*listener, (struct sockaddr *)&address, &length) == 0,
                  "listen");
    bench_require(pthread_create(thread, NULL, echo_main, listener) == 0, "thread");
    char port[16];
    snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
    return connect_to("127.0.0.1", port);
}

/* ---- the draw ------------------------------------------------------------------------------ */

/* [0, 1, "draw", [pool, 1, {"as": "indexes"}]] */
static size_t put_request(const char *pool, unsigned char *to)
{
    size_t name_bytes = strlen(pool);
    bench_require(name_bytes > 0 && name_bytes < 32, "a pool name of 1 to 31 bytes");
    static const unsigned char head[] = {0x94, 0x00, 0x01, 0xa4, 'd', 'r', 'a', 'w', 0x93};
    static const unsigned char tail[] = {0x01, 0x81, 0xa2, 'a', 's', 0xa7, 'i',
                                         'n',  'd',  'e',  'x', 'e', 's'};
    unsigned char *at = to;
    memcpy(at, head, sizeof head);
    at += sizeof head;
    *at++ = (unsigned char)(0xa0 | name_bytes);
    memcpy(at, pool, name_bytes);
    at += name_bytes;
    memcpy(at, tail, sizeof tail);
    return (size_t)(at - to) + sizeof tail;
}

/* A lone call: its whole reply comes in one piece, and has no error. */
static uint64_t call_ns(int fd, const void *request, size_t length, bool is_draw)
{
    unsigned char reply[REPLY_BYTES_MAX];
    uint64_t begin_ns = bench_now_ns();
    bench_require(send(fd, request, length, MSG_NOSIGNAL) == (ssize_t)length, "send");
    ssize_t got = recv(fd, reply, sizeof reply, 0);
    uint64_t took_ns = bench_now_ns() - begin_ns;
    bench_require(got > 3, "recv");
    bench_require(!is_draw || reply[3] == 0xc0, "the server answered with an error");
    return took_ns;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench-lone HOST PORT POOL [FOLDER]\n");
        return 64;
    }
    const char *folder = argc > 4 ? argv[4] : ".";
    unsigned char request[REQUEST_BYTES];
    size_t length = put_request(argv[3], request);
    pthread_t echo;
    int listener;
    int echo_fd = start_echo(&echo, &listener);
    int draw_fd = connect_to(argv[1], argv[2]);
    static uint64_t draws_ns[ROUNDS * CALLS_PER_ROUND];
    static uint64_t echoes_ns[ROUNDS * CALLS_PER_ROUND];
    static uint64_t syncs_ns[ROUNDS];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < CALLS_PER_ROUND; i++)
            draws_ns[round * CALLS_PER_ROUND + i] = call_ns(draw_fd, request, length, true);
        for (uint32_t i = 0; i < CALLS_PER_ROUND; i++)
            echoes_ns[round * CALLS_PER_ROUND + i] = call_ns(echo_fd, request, length, false);
        syncs_ns[round] = bench_msync(folder, BENCH_FILE_AS_THE_RING, 4096, CALLS_PER_ROUND).p50_ns;
    }
    uint64_t draw_ns = median_ns(draws_ns, ROUNDS * CALLS_PER_ROUND);
    uint64_t echo_ns = median_ns(echoes_ns, ROUNDS * CALLS_PER_ROUND);
    uint64_t sync_ns = median_ns(syncs_ns, ROUNDS);
    printf("one connection, one draw at a time: p50 %.1f us\n", (double)draw_ns / 1e3);
    printf("bare msync of 4 KiB %.1f us + loopback round trip %.1f us = %.1f us\n",
           (double)sync_ns / 1e3, (double)echo_ns / 1e3, (double)(sync_ns + echo_ns) / 1e3);
    printf("ratio %.2f\n", (double)draw_ns / (double)(sync_ns + echo_ns));
    close(draw_fd);
    close(echo_fd);
    pthread_join(echo, NULL);
    close(listener);
    return 0;
}
