/* again.c: see again.h. */
#include "proto/again.h"

#include <string.h>

#include "engine/check.h"
#include "proto/rpc_value.h"

#define MSGID_OFFSET 2u /* behind the array of four and the type */

static const uint8_t request_begin[MSGID_OFFSET] = {0x94, RPC_REQUEST};

/* Where the tail begins; 0 when this is no request, or does not reach so far. */
static size_t tail_offset(const uint8_t *bytes, size_t available, uint32_t *msgid)
{
    if (available <= MSGID_OFFSET || memcmp(bytes, request_begin, MSGID_OFFSET) != 0)
        return 0;
    struct value value;
    value_read(bytes + MSGID_OFFSET, available - MSGID_OFFSET, &value);
    if (value.kind != KIND_UINT || available - MSGID_OFFSET < value.header_bytes ||
        value.magnitude > UINT32_MAX)
        return 0;
    *msgid = (uint32_t)value.magnitude;
    return MSGID_OFFSET + value.header_bytes;
}

void again_keep(struct again *again, const uint8_t *message, size_t length,
                const struct message_call *call)
{
    uint32_t msgid;
    if (call->method != RPC_DRAW)
        return;
    const size_t offset = tail_offset(message, length, &msgid);
    if (offset == 0 || length - offset > AGAIN_TAIL_BYTES_MAX)
        return;
    const uint8_t *pool = (const uint8_t *)call->pool.bytes;
    CHECK(pool > message + offset && pool + call->pool.length <= message + length);
    again->tail_bytes = (uint32_t)(length - offset);
    memcpy(again->tail, message + offset, again->tail_bytes);
    again->call = *call;
    again->call.pool.bytes = (const char *)again->tail + (pool - (message + offset));
}

bool again_is(const struct again *again, const uint8_t *bytes, size_t available,
              uint32_t max_message_bytes, size_t *length, uint32_t *msgid)
{
    if (again->tail_bytes == 0)
        return false;
    const size_t offset = tail_offset(bytes, available, msgid);
    *length = offset + again->tail_bytes;
    return offset != 0 && *length <= available && *length <= max_message_bytes &&
           memcmp(bytes + offset, again->tail, again->tail_bytes) == 0;
}
