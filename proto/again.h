/* again.h: a draw like the one before.
 *
 * Clients ask the same thing again and again: of two draws from one pool only the msgid differs.
 *
 *     94 00 | msgid | a4 d r a w  93 a4 m a i n 01 81 a2 a s a7 i n d e x e s
 *           |       |<----- the tail: method and parameters, to the last byte ----->|
 *
 * What a call asks depends on nothing but its tail and the limits, which stay as they are while a server
 * runs. So who has read a draw once keeps its tail, and knows the next one by comparing bytes: where the
 * message ends, that it is sound, and what it asks. That takes 120 instructions where scanning and reading it
 * take 1900, of the 3200 that the network thread had for a lone draw. Only draws are kept: nothing else comes in such numbers.
 *
 * Pure. One thread at a time.
 */
#ifndef URN_PROTO_AGAIN_H
#define URN_PROTO_AGAIN_H

#include "proto/messages.h"

#define AGAIN_TAIL_BYTES_MAX 98u /* the longest name, the widest count, both options */

struct again {
    uint32_t tail_bytes; /* 0: nothing is kept */
    uint8_t tail[AGAIN_TAIL_BYTES_MAX];
    struct message_call call; /* call.pool points into tail */
};

/* Keeps what message_read_call() made of a whole request with these bytes. Of another method than draw, or
 * too long: keeps what it had. *again must have begun as zeroes and must not move. */
void again_keep(struct again *again, const uint8_t *message, size_t length,
                const struct message_call *call);

/* True when the bytes begin with a whole request that differs from the kept one in nothing but its msgid,
 * and has no more than max_message_bytes: again->call is then what it asks. *length: its bytes; *msgid: its
 * message id. False says nothing about the bytes. */
bool again_is(const struct again *again, const uint8_t *bytes, size_t available,
              uint32_t max_message_bytes, size_t *length, uint32_t *msgid);

#endif
