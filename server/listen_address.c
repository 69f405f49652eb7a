/* listen_address.c: TCP and Unix socket addresses from text. See listen_address.h. */
#include "server/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#include "server/config_values.h"

static bool parse_port(const char *text, in_port_t *port)
{
    int64_t number = -1;
    if (value_parse_integer(text, &number) != VALUE_OK || number < 0 || number > 65535)
        return false;
    *port = htons((uint16_t)number);
    return true;
}

static enum listen_address_result parse_ipv4(const char *host, const char *port,
                                             struct sockaddr_in *address)
{
    address->sin_family = AF_INET;
    if (inet_pton(AF_INET, host, &address->sin_addr) != 1 || !parse_port(port, &address->sin_port))
        return LISTEN_ADDRESS_SHAPE;
    return ntohl(address->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET ? LISTEN_ADDRESS_OK
                                                                   : LISTEN_ADDRESS_NOT_LOOPBACK;
}

static enum listen_address_result parse_ipv6(const char *host, const char *port,
                                             struct sockaddr_in6 *address)
{
    address->sin6_family = AF_INET6;
    if (inet_pton(AF_INET6, host, &address->sin6_addr) != 1 ||
        !parse_port(port, &address->sin6_port))
        return LISTEN_ADDRESS_SHAPE;
    return IN6_IS_ADDR_LOOPBACK(&address->sin6_addr) ? LISTEN_ADDRESS_OK
                                                     : LISTEN_ADDRESS_NOT_LOOPBACK;
}

enum listen_address_result listen_address_parse_tcp(const char *text,
                                                    struct sockaddr_storage *address,
                                                    socklen_t *address_bytes)
{
    memset(address, 0, sizeof *address);
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[';
    if (colon == NULL || colon == text || (bracketed && (colon[-1] != ']' || colon < text + 2)))
        return LISTEN_ADDRESS_SHAPE;
    char host[INET6_ADDRSTRLEN];
    size_t host_bytes = (size_t)(colon - text) - (bracketed ? 2 : 0);
    if (host_bytes >= sizeof host)
        return LISTEN_ADDRESS_SHAPE;
    memcpy(host, text + (bracketed ? 1 : 0), host_bytes);
    host[host_bytes] = '\0';
    if (bracketed) {
        *address_bytes = sizeof(struct sockaddr_in6);
        return parse_ipv6(host, colon + 1, (struct sockaddr_in6 *)(void *)address);
    }
    *address_bytes = sizeof(struct sockaddr_in);
    return parse_ipv4(host, colon + 1, (struct sockaddr_in *)(void *)address);
}

enum listen_address_result listen_address_parse_unix(const char *path,
                                                     struct sockaddr_storage *address,
                                                     socklen_t *address_bytes)
{
    memset(address, 0, sizeof *address);
    struct sockaddr_un *unix_address = (struct sockaddr_un *)(void *)address;
    size_t length = strlen(path);
    if (length >= sizeof unix_address->sun_path)
        return LISTEN_ADDRESS_LONG;
    unix_address->sun_family = AF_UNIX;
    memcpy(unix_address->sun_path, path, length + 1);
    *address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return LISTEN_ADDRESS_OK;
}
