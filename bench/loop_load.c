/* loop_load.c: the load for the echo servers: so many connections, on each so many messages under
 * way; whatever comes back is sent again at once. Prints calls a second and the mean round trip.
 * See loop_common.h. */
#include "bench/loop_common.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Reads what is there and sends back as many whole messages; returns how many. */
static uint64_t turn_round(int fd, uint32_t *rest)
{
    static char bytes[64 * 1024];
    ssize_t length = recv(fd, bytes, sizeof bytes, 0);
    if (length <= 0) {
        fprintf(stderr, "the server closed a connection\n");
        exit(1);
    }
    uint32_t have = *rest + (uint32_t)length;
    uint32_t whole = have / LOOP_MESSAGE_BYTES;
    *rest = have % LOOP_MESSAGE_BYTES;
    if (whole != 0 && send(fd, bytes, whole * LOOP_MESSAGE_BYTES, MSG_NOSIGNAL) < 0)
        exit(1);
    return whole;
}

static int connect_one(const char *port, uint32_t depth)
{
    static const char message[LOOP_MESSAGE_BYTES * 1024];
    struct sockaddr_in address = loop_address(port);
    int fd = loop_must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    loop_must(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
    loop_no_delay(fd);
    loop_must((int)send(fd, message, (size_t)depth * LOOP_MESSAGE_BYTES, 0), "send");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s PORT CONNECTIONS DEPTH SECONDS\n", argv[0]);
        return 64;
    }
    uint32_t connections = (uint32_t)strtoul(argv[2], NULL, 10);
    uint32_t depth = (uint32_t)strtoul(argv[3], NULL, 10);
    double seconds = strtod(argv[4], NULL);
    if (connections == 0 || connections > LOOP_CONNECTIONS || depth == 0 || depth > 1024) {
        fprintf(stderr, "CONNECTIONS and DEPTH: 1 to 1024\n");
        return 64;
    }
    static int fds[LOOP_CONNECTIONS];
    static uint32_t rests[LOOP_CONNECTIONS];
    int epoll = loop_must(epoll_create1(0), "epoll_create1");
    for (uint32_t i = 0; i < connections; i++) {
        fds[i] = connect_one(argv[1], depth);
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        loop_must(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event), "epoll_ctl");
    }
    uint64_t calls = 0;
    double begin = now_s(), end = begin;
    while (end - begin < seconds) {
        struct epoll_event events[256];
        int ready = loop_must(epoll_wait(epoll, events, 256, 1000), "epoll_wait");
        for (int i = 0; i < ready; i++)
            calls += turn_round(fds[events[i].data.u32], &rests[events[i].data.u32]);
        end = now_s();
    }
    double rate = (double)calls / (end - begin);
    printf("%4u connections x %2u: %9.0f calls/s, %7.1f us a round trip\n", connections, depth,
           rate, 1e6 * connections * depth / rate);
    return 0;
}
