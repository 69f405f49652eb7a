/* listen_address.h: the text of an address to listen on, as a socket address. Pure. */
#ifndef URN_SERVER_LISTEN_ADDRESS_H
#define URN_SERVER_LISTEN_ADDRESS_H

#include <sys/socket.h>

enum listen_address_result {
    LISTEN_ADDRESS_OK = 0,
    LISTEN_ADDRESS_SHAPE,        /* not written as an address is written */
    LISTEN_ADDRESS_NOT_LOOPBACK, /* other machines could reach it */
    LISTEN_ADDRESS_LONG,         /* a path that no socket address can hold */
};

/* "127.0.0.1:7707" or "[::1]:7707": numbers only, so that no resolver is asked; port 0 leaves the
 * choice to the system. *address is zeroed around what is filled in. */
enum listen_address_result listen_address_parse_tcp(const char *text,
                                                    struct sockaddr_storage *address,
                                                    socklen_t *address_bytes);

/* The path of a Unix socket. */
enum listen_address_result listen_address_parse_unix(const char *path,
                                                     struct sockaddr_storage *address,
                                                     socklen_t *address_bytes);

#endif
