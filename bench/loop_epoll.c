/* loop_epoll.c: the echo server over epoll, level-triggered: a round waits once, reads each ready
 * connection once and writes all its replies with one call. See loop_common.h. */
#include "bench/loop_common.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_BYTES        (64u * 1024)
#define OUT_BYTES       (4u * 1024 * 1024)
#define CONNECTIONS_MAX 65536

static struct loop_echo *echoes[CONNECTIONS_MAX]; /* by descriptor */

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    loop_must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void end_connection(int fd)
{
    loop_echo_free(echoes[fd]);
    echoes[fd] = NULL;
    close(fd);
}

static void answer(int fd)
{
    static uint8_t in[IN_BYTES];
    static uint8_t out[OUT_BYTES];
    size_t room = loop_echo_room(echoes[fd], sizeof out);
    ssize_t length = recv(fd, in, room < sizeof in ? room : sizeof in, 0);
    int64_t replies =
        length > 0 ? loop_echo_answer(echoes[fd], in, (size_t)length, out, sizeof out) : -1;
    if (replies < 0 || (replies > 0 && send(fd, out, (size_t)replies, MSG_NOSIGNAL) != replies))
        end_connection(fd);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 64;
    }
    int listener = loop_listen(argv[1]);
    int epoll = loop_must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        if (ready < 0 && errno == EINTR)
            continue;
        loop_must(ready, "epoll_wait");
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                answer(events[i].data.fd);
                continue;
            }
            int fd = loop_must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept4");
            loop_must(fd < CONNECTIONS_MAX ? 0 : -1, "too many connections");
            loop_no_delay(fd);
            echoes[fd] = loop_echo_make();
            watch(epoll, fd);
        }
    }
}
