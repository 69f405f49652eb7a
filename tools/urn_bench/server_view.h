/* server_view.h: what the server says of itself around a load. */
#ifndef URN_TOOLS_URN_BENCH_SERVER_VIEW_H
#define URN_TOOLS_URN_BENCH_SERVER_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/client.h"

/* From `info`; what it does not say is empty or 0. Its counters count all clients. */
struct server_view {
    bool known; /* it was asked, and answered */
    char version[32];
    char mode[16];
    uint64_t draws;
    uint64_t failed_draws;
    uint64_t log_bytes;
    uint64_t syncs;
    uint64_t snapshots;
};

/* A failure is of no consequence: then it is not known. */
void server_view_take(struct urnclient *client, struct server_view *view);

/* False, and why, when the server says that it has no such pool, or cannot be asked any more. A server
 * that does not know what is asked is left to answer the draws. */
bool server_view_find_pool(struct urnclient *client, const char *pool,
                           struct urnclient_error *error);

#endif
