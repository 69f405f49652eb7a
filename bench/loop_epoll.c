/* loop_epoll.c: the echo server over epoll, level-triggered: a round waits once, reads each ready
 * connection once into one buffer and writes all of it back with one call. See loop_common.h. */
#include "bench/loop_common.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    loop_must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void echo(int fd)
{
    static char bytes[64 * 1024];
    ssize_t length = recv(fd, bytes, sizeof bytes, 0);
    if (length <= 0) {
        close(fd);
        return;
    }
    if (send(fd, bytes, (size_t)length, MSG_NOSIGNAL) != length)
        close(fd);
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
                echo(events[i].data.fd);
                continue;
            }
            int fd = loop_must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept4");
            loop_no_delay(fd);
            watch(epoll, fd);
        }
    }
}
