/* client_connect.c: from "host:port" or "unix:PATH" to a connected socket. See client_connect.h.
 *
 * A name may stand for several addresses (localhost for ::1 and 127.0.0.1): they are tried in the
 * order in which the resolver gives them, each for the whole timeout.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/client_internal.h"

int64_t client_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int client_ms_left(int64_t deadline_ms)
{
    int64_t left = deadline_ms - client_now_ms();
    return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* Waits for a connect that goes on in the background. Returns 0 or its errno. */
static int connect_finish(int socket_descriptor, int64_t deadline_ms)
{
    for (;;) {
        struct pollfd poll_entry = {.fd = socket_descriptor, .events = POLLOUT};
        int ready = poll(&poll_entry, 1, client_ms_left(deadline_ms));
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready < 0)
            return errno;
        if (ready == 0)
            return ETIMEDOUT;
        int outcome = 0;
        socklen_t length = sizeof outcome;
        if (getsockopt(socket_descriptor, SOL_SOCKET, SO_ERROR, &outcome, &length) != 0)
            return errno;
        return outcome;
    }
}

/* Connects to one address. Returns 0 and sets *opened, or an errno. */
static int connect_one(int family, const struct sockaddr *address, socklen_t address_bytes,
                       uint32_t timeout_ms, int *opened)
{
    int descriptor = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0)
        return errno;
    int failure = 0;
    if (connect(descriptor, address, address_bytes) != 0) {
        failure = errno;
        if (failure == EINPROGRESS || failure == EINTR)
            failure = connect_finish(descriptor, client_now_ms() + timeout_ms);
    }
    if (failure != 0) {
        close(descriptor);
        return failure;
    }
    if (family != AF_UNIX) {
        /* A request is small and waits for its answer: never hold it back. Without this option the
         * connection works too, only later. */
        int on = 1;
        (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    *opened = descriptor;
    return 0;
}

static enum urnclient_status connect_unix(const char *path, uint32_t timeout_ms, int *opened,
                                          struct urnclient_error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.sun_path)
        return client_fail(error, URNCLIENT_ARGUMENT, 0,
                           "\"unix:%.200s\" is no address: the path of a socket has 1 to %zu bytes",
                           path, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, length + 1);
    int failure =
        connect_one(AF_UNIX, (const struct sockaddr *)&address, sizeof address, timeout_ms, opened);
    if (failure != 0)
        return client_fail(error, URNCLIENT_CONNECT, failure, "cannot connect to unix:%s", path);
    return URNCLIENT_OK;
}

/* Splits host:port or [host]:port. False when it is neither. */
static bool split_address(const char *address, char host[CLIENT_ADDRESS_BYTES_MAX],
                          const char **port)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address)
        return false;
    const char *begin = address;
    const char *end = colon;
    if (*begin == '[') {
        if (end[-1] != ']')
            return false;
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin)) != NULL) {
        return false; /* IPv6 without brackets: which colon is the port's? */
    }
    size_t length = (size_t)(end - begin);
    if (length == 0 || length >= CLIENT_ADDRESS_BYTES_MAX)
        return false;
    memcpy(host, begin, length);
    host[length] = '\0';
    *port = colon + 1;
    char *rest;
    errno = 0;
    long number = strtol(*port, &rest, 10);
    return **port >= '0' && **port <= '9' && *rest == '\0' && errno == 0 && number >= 1 &&
           number <= 65535;
}

static enum urnclient_status connect_tcp(const char *address, uint32_t timeout_ms, int *opened,
                                         struct urnclient_error *error)
{
    char host[CLIENT_ADDRESS_BYTES_MAX];
    const char *port;
    if (!split_address(address, host, &port))
        return client_fail(error, URNCLIENT_ARGUMENT, 0,
                           "\"%.200s\" is no address; expected host:port, [IPv6]:port or unix:PATH",
                           address);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int lookup = getaddrinfo(host, port, &hints, &found);
    if (lookup == EAI_SYSTEM)
        return client_fail(error, URNCLIENT_CONNECT, errno, "cannot look up host \"%s\"", host);
    if (lookup != 0)
        return client_fail(error, URNCLIENT_CONNECT, 0, "cannot look up host \"%s\": %s", host,
                           gai_strerror(lookup));
    int failure = 0;
    for (const struct addrinfo *entry = found; entry != NULL; entry = entry->ai_next) {
        failure =
            connect_one(entry->ai_family, entry->ai_addr, entry->ai_addrlen, timeout_ms, opened);
        if (failure == 0)
            break;
    }
    freeaddrinfo(found);
    if (failure != 0)
        return client_fail(error, URNCLIENT_CONNECT, failure, "cannot connect to %s", address);
    return URNCLIENT_OK;
}

enum urnclient_status client_open_socket(const char *address, uint32_t timeout_ms, int *opened,
                                         struct urnclient_error *error)
{
    if (strncmp(address, "unix:", 5) == 0)
        return connect_unix(address + 5, timeout_ms, opened, error);
    return connect_tcp(address, timeout_ms, opened, error);
}
