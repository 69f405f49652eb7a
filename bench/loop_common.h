/* loop_common.h: what the two echo servers of the network loop's measurement share.
 *
 * The question: with which interface should the one network thread of urnd wait, read and write?
 * Two servers that echo draw-sized messages answer it, one over epoll, one over io_uring, under the
 * same load (loop_load.c):
 *
 *     bench-loop_epoll 7801 &  bench-loop_uring 7802 &
 *     for port in 7801 7802; do
 *         bench-loop_load $port 1 1 3; bench-loop_load $port 50 1 3; bench-loop_load $port 50 16 3
 *     done
 *
 * The figures, and what was chosen by them, stand in server/loop.h.
 */
#ifndef URN_BENCH_LOOP_COMMON_H
#define URN_BENCH_LOOP_COMMON_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* A draw's request is about 20 bytes, its reply about 30. */
#define LOOP_MESSAGE_BYTES 30u
#define LOOP_CONNECTIONS   1024u

/* For measuring programs: any failure ends the program. */
static inline int loop_must(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static inline struct sockaddr_in loop_address(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return address;
}

static inline int loop_listen(const char *port)
{
    int one = 1;
    struct sockaddr_in address = loop_address(port);
    int listener = loop_must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    loop_must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
    loop_must(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    loop_must(listen(listener, 128), "listen");
    return listener;
}

static inline void loop_no_delay(int fd)
{
    int one = 1;
    loop_must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
}

#endif
