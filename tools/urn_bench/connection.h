/* connection.h: one connection of a load: calls out, replies in.
 *
 * A call under way has a slot; its msgid says which and how often that slot was used, so that a reply
 * which nobody waits for is seen to be one. Calls are queued as bytes and leave together with one
 * send; replies are stepped over where they were received and are not kept.
 *
 * Owned by one thread. Nothing here waits.
 */
#ifndef URN_TOOLS_URN_BENCH_CONNECTION_H
#define URN_TOOLS_URN_BENCH_CONNECTION_H

#include "tools/urn_bench/reply.h"
#include "tools/urn_bench/request.h"

struct slot {
    uint64_t due_ns;   /* when the call was sent; of an open loop: when it should have been */
    uint64_t floor_id; /* the highest id that was known when it was sent */
    uint64_t sequence; /* of the connection's calls */
    uint32_t msgid;
    bool under_way;
};

struct connection {
    int socket;
    bool wants_writing; /* the system took not all; epoll says when it takes more */
    bool has_queued;    /* is on the list of those to be flushed */
    struct reply_reader reader;

    struct slot *slots;   /* slot_count: the pipeline's depth */
    uint32_t *free_slots; /* free_count of them, the next to be used last */
    uint32_t slot_count;
    uint32_t free_count;
    uint32_t slot_mask; /* the bits of a msgid that are the slot's number */

    uint8_t *out; /* bytes from out_sent to out_end wait to be sent */
    uint32_t out_capacity;
    uint32_t out_sent;
    uint32_t out_end;

    uint64_t sequence;          /* of the next call */
    uint64_t answered_sequence; /* the highest so far that has an id, */
    uint64_t answered_id;       /* and its id; 0: none yet */
};

/* Takes over a connected, non-blocking socket. False: no memory (and the socket is the caller's). */
bool connection_make(struct connection *connection, int opened, uint32_t depth);

/* Closes and frees. */
void connection_end(struct connection *connection);

static inline uint32_t connection_under_way(const struct connection *connection)
{
    return connection->slot_count - connection->free_count;
}

/* Queues a call; free_count must be more than 0. */
void connection_queue(struct connection *connection, const struct request *request, uint64_t due_ns,
                      uint64_t floor_id);

/* Sends what is queued, as much as the system takes now. Returns how many bytes, or a negative errno
 * value. */
int64_t connection_flush(struct connection *connection);

/* The slot of the reply that the reader has just gone over; it is free again (and stays readable until the
 * next connection_queue()). NULL: there is no such call under way. */
const struct slot *connection_answered(struct connection *connection);

/* Ids must rise in the order in which a connection's calls were sent, whichever reply comes first. Takes
 * note of the first id of the slot's call; false when it breaks the order with those known. */
bool connection_id_in_order(struct connection *connection, const struct slot *slot,
                            uint64_t first_id);

#endif
