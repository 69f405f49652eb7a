/* request.h: the calls, encoded once: each is sent as a copy with its own msgid put in.
 *
 *     94 00 ce <msgid, 4 bytes> <method> <params>
 *
 * The msgid always takes its longest form, so that it stands at one place and every request to a
 * pool has one length.
 */
#ifndef URN_TOOLS_URN_BENCH_REQUEST_H
#define URN_TOOLS_URN_BENCH_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/client.h"

#define REQUEST_MSGID_OFFSET 3u
#define REQUEST_BYTES_MAX    128u /* with a pool name of 64 bytes */

struct request {
    uint32_t length;
    uint8_t bytes[REQUEST_BYTES_MAX];
};

/* draw: so many from the pool. As names the request has no options, like those of plain clients.
 * False: the pool's name is longer than a name can be. */
bool request_draw(struct request *request, const char *pool, uint32_t draws, enum urnclient_as as);

void request_ping(struct request *request);

/* Writes the request to `to`, which has room for its length. */
static inline void request_put(const struct request *request, uint32_t msgid, uint8_t *to)
{
    uint32_t big_endian = __builtin_bswap32(msgid);
    memcpy(to, request->bytes, request->length);
    memcpy(to + REQUEST_MSGID_OFFSET, &big_endian, sizeof big_endian);
}

#endif
