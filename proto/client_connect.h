/* client_connect.h: from an address in words to a connected socket. Not installed: for the client library,
 * and for urn-bench, which speaks on the socket itself. */
#ifndef URN_PROTO_CLIENT_CONNECT_H
#define URN_PROTO_CLIENT_CONNECT_H

#include "proto/client.h"

/* Opens a connected, non-blocking socket that sends at once (TCP_NODELAY); the caller closes it.
 * address: host:port, [IPv6]:port or unix:PATH. Errors: ARGUMENT, CONNECT. Any thread. */
enum urnclient_status client_open_socket(const char *address, uint32_t timeout_ms, int *opened,
                                         struct urnclient_error *error);

#endif
