/* connection.c: see connection.h. */
#include "tools/urn_bench/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/check.h"

bool connection_make(struct connection *connection, int opened, uint32_t depth)
{
    *connection = (struct connection){.socket = opened, .slot_count = depth};
    connection->out_capacity = depth * REQUEST_BYTES_MAX;
    connection->slots = calloc(depth, sizeof *connection->slots);
    connection->free_slots = calloc(depth, sizeof *connection->free_slots);
    connection->out = malloc(connection->out_capacity);
    while (connection->slot_mask < depth - 1)
        connection->slot_mask = connection->slot_mask << 1 | 1;
    if (connection->slots != NULL && connection->free_slots != NULL && connection->out != NULL) {
        for (uint32_t i = 0; i < depth; i++) {
            connection->slots[i].msgid = i;
            connection->free_slots[connection->free_count++] = depth - 1 - i;
        }
        return true;
    }
    connection->socket = -1;
    connection_end(connection);
    return false;
}

void connection_end(struct connection *connection)
{
    if (connection->socket >= 0)
        close(connection->socket);
    free(connection->slots);
    free(connection->free_slots);
    free(connection->out);
    *connection = (struct connection){.socket = -1};
}

void connection_queue(struct connection *connection, const struct request *request, uint64_t due_ns,
                      uint64_t floor_id)
{
    CHECK(connection->free_count > 0);
    struct slot *slot = &connection->slots[connection->free_slots[--connection->free_count]];
    CHECK(!slot->under_way);
    slot->msgid += connection->slot_mask + 1; /* wraps round below the slot's own number */
    slot->under_way = true;
    slot->due_ns = due_ns;
    slot->floor_id = floor_id;
    slot->sequence = connection->sequence++;
    if (connection->out_capacity - connection->out_end < request->length) {
        /* What is unsent belongs to calls under way: it never takes more than the capacity. */
        connection->out_end -= connection->out_sent;
        memmove(connection->out, connection->out + connection->out_sent, connection->out_end);
        connection->out_sent = 0;
        CHECK(connection->out_capacity - connection->out_end >= request->length);
    }
    request_put(request, slot->msgid, connection->out + connection->out_end);
    connection->out_end += request->length;
}

int64_t connection_flush(struct connection *connection)
{
    int64_t sent_bytes = 0;
    while (connection->out_sent < connection->out_end) {
        ssize_t sent = send(connection->socket, connection->out + connection->out_sent,
                            connection->out_end - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN ? sent_bytes : -errno;
        connection->out_sent += (uint32_t)sent;
        sent_bytes += sent;
    }
    connection->out_sent = 0;
    connection->out_end = 0;
    return sent_bytes;
}

const struct slot *connection_answered(struct connection *connection)
{
    uint32_t msgid = connection->reader.msgid;
    uint32_t number = msgid & connection->slot_mask;
    if (number >= connection->slot_count)
        return NULL;
    struct slot *slot = &connection->slots[number];
    if (!slot->under_way || slot->msgid != msgid)
        return NULL;
    slot->under_way = false;
    connection->free_slots[connection->free_count++] = number;
    return slot;
}

bool connection_id_in_order(struct connection *connection, const struct slot *slot,
                            uint64_t first_id)
{
    CHECK(first_id > 0);
    if (connection->answered_id != 0 && slot->sequence < connection->answered_sequence)
        return first_id < connection->answered_id;
    bool in_order = first_id > connection->answered_id;
    connection->answered_sequence = slot->sequence;
    connection->answered_id = first_id;
    return in_order;
}
