/* listen.c: see listen.h. */
#include "server/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 1024

/* The configuration's reader refuses such addresses too, with line and column. Once more here,
 * where it happens: whoever reaches the socket may draw, as there are no access tokens. */
static bool is_local(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    switch (address->ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    default:
        return false;
    }
}

static enum urn_code failed(struct urn_error *error, const struct config_listen *where,
                            int system_errno, const char *hint)
{
    error_set(error, URN_IO, system_errno, "%s", hint);
    return error_prefix(error, "cannot listen on %s: ", where->text);
}

/* Removes a socket's file that nobody answers on. */
static enum urn_code remove_stale(const struct config_listen *where, struct urn_error *error)
{
    struct stat status;
    if (lstat(where->unix_path, &status) != 0)
        return errno == ENOENT ? URN_OK : failed(error, where, errno, where->unix_path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, URN_CONFIG, 0,
                         "cannot listen on %s: the file is there and is no socket; remove it or "
                         "choose another path",
                         where->text);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed(error, where, errno, "socket");
    int result = connect(fd, (const struct sockaddr *)&where->address, where->address_bytes) == 0
                     ? 0
                     : errno;
    close(fd);
    if (result == ENOENT)
        return URN_OK;
    if (result == EACCES || result == EPERM)
        return failed(error, where, result, "whether another process answers there cannot be seen");
    if (result != ECONNREFUSED) /* EAGAIN: its queue is full, so somebody has it */
        return failed(error, where, EADDRINUSE, "another process answers there");
    if (unlink(where->unix_path) != 0 && errno != ENOENT)
        return failed(error, where, errno, "cannot remove the file that nobody answers on");
    return URN_OK;
}

/* The address as it is, which is not what was asked for when that left the port to the system. */
static void describe(struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    snprintf(listener->text, sizeof listener->text, "%s", listener->where->text);
    if (getsockname(listener->source.fd, (struct sockaddr *)&address, &length) != 0)
        return;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        snprintf(listener->text, sizeof listener->text, "%s:%u", host, ntohs(v4->sin_port));
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        snprintf(listener->text, sizeof listener->text, "[%s]:%u", host, ntohs(v6->sin6_port));
    }
}

static enum urn_code bind_and_listen(const struct config_listen *where, int fd,
                                     struct urn_error *error)
{
    int one = 1;
    if (where->address.ss_family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (where->address.ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&where->address, where->address_bytes) != 0)
        return failed(error, where, errno,
                      errno == EADDRINUSE ? "another process has the address; stop it, or change "
                                            "`listen` in the configuration"
                                          : "bind");
    if (where->unix_path != NULL && chmod(where->unix_path, 0660) != 0)
        return failed(error, where, errno, "cannot set the socket's permissions");
    if (listen(fd, BACKLOG) != 0)
        return failed(error, where, errno, "listen");
    return URN_OK;
}

enum urn_code listen_open(const struct config_listen *where, struct listener *listener,
                          struct urn_error *error)
{
    if (!is_local(&where->address))
        return error_set(error, URN_CONFIG, 0,
                         "cannot listen on %s: other machines could reach it, and there are no "
                         "access tokens yet; use a loopback address or unix:PATH",
                         where->text);
    if (where->unix_path != NULL && remove_stale(where, error) != URN_OK)
        return error->code;
    int fd = socket(where->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed(error, where, errno, "socket");
    if (bind_and_listen(where, fd, error) != URN_OK) {
        close(fd);
        return error->code;
    }
    *listener = (struct listener){.source = {SOURCE_LISTENER, fd}, .where = where};
    describe(listener);
    struct stat status;
    if (where->unix_path != NULL && lstat(where->unix_path, &status) == 0) {
        listener->unix_device = status.st_dev;
        listener->unix_inode = status.st_ino;
    }
    return URN_OK;
}

void listen_close(struct listener *listener)
{
    if (listener->source.fd < 0)
        return;
    close(listener->source.fd);
    listener->source.fd = -1;
    const char *path = listener->where->unix_path;
    struct stat status;
    if (path != NULL && lstat(path, &status) == 0 && status.st_dev == listener->unix_device &&
        status.st_ino == listener->unix_inode)
        unlink(path);
}
