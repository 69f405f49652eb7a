/* listen.h: sockets that take connections. */
#ifndef URN_SERVER_LISTEN_H
#define URN_SERVER_LISTEN_H

#include <sys/types.h>

#include "server/server.h"

#define LISTENER_TEXT_BYTES 128u

struct listener {
    struct source source;
    const struct config_listen *where;
    char text[LISTENER_TEXT_BYTES]; /* the address as bound: a port chosen by the system is in it */
    dev_t unix_device; /* of the socket's file: removed at the end only if still ours */
    ino_t unix_inode;
};

/* Binds and listens. The file of a Unix socket that nobody answers on is removed first; a new one
 * gets mode 0660. Errors: URN_CONFIG (an address beyond loopback; a path that is no socket), URN_IO
 * (in use, not allowed, ...), each with the address and what to do. */
enum urn_code listen_open(const struct config_listen *where, struct listener *listener,
                          struct urn_error *error);

/* Closes it and removes the file of a Unix socket. May be called again. */
void listen_close(struct listener *listener);

#endif
