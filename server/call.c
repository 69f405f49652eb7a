/* call.c: see call.h. */
#include "server/call.h"

#include "engine/bytes.h"
#include "engine/check.h"

#define RESULT_ALIGN_BYTES 8u

/* What a loan of so many bytes, or fewer, could give back is not worth the cutting: of the instructions
 * that the network thread takes for a lone draw it was one in five. */
#define CUT_BYTES_MIN 2048u

static uint64_t result_offset(uint64_t reply_bytes)
{
    return round_up_u64(offsetof(struct call, reply) + reply_bytes, RESULT_ALIGN_BYTES);
}

bool call_is_too_big(const struct server *server, uint64_t reply_bytes, uint64_t result_bytes)
{
    return result_offset(reply_bytes) + result_bytes > budget_loan_bytes_max(server->replies);
}

struct call *call_borrow(struct server *server, struct connection *connection, uint32_t msgid,
                         uint64_t reply_bytes, uint64_t result_bytes, void **results)
{
    CHECK(connection->magic == CONNECTION_MAGIC);
    if (!link_is_alone(&server->want_reply_room) && !server->resuming)
        return NULL; /* others came first */
    uint64_t offset = result_offset(reply_bytes);
    uint8_t *loan = budget_borrow(server->replies, offset + result_bytes);
    if (loan == NULL)
        return NULL;
    struct call *call = (struct call *)(void *)loan;
    call->magic = CALL_MAGIC;
    call->msgid = msgid;
    call->connection = connection;
    call->arrived_ns = server->now_ns;
    call->lent_bytes = budget_rounded_bytes(offset + result_bytes);
    call->reply_bytes = reply_bytes;
    connection->inflight++;
    connection->lent_bytes += call->lent_bytes;
    *results = loan + offset;
    return call;
}

void call_write_begin(struct call *call, struct rpc_writer *writer)
{
    CHECK(call->magic == CALL_MAGIC);
    uint8_t *room = connection_output_room(call->connection, call->reply_bytes);
    rpc_writer_begin(writer, room != NULL ? room : call->reply, call->reply_bytes);
}

/* The connection counts the call's loan no more. */
static void give_back(struct server *server, struct call *call)
{
    struct connection *connection = call->connection;
    CHECK(call->magic == CALL_MAGIC && connection->lent_bytes >= call->lent_bytes);
    connection->lent_bytes -= call->lent_bytes;
    call->magic = 0;
    budget_return(server->replies, call);
}

/* The reply stays in the call. */
static void keep_reply(struct server *server, struct call *call, uint64_t bytes)
{
    call->reply_bytes = bytes;
    if (call->lent_bytes > CUT_BYTES_MIN) {
        const uint64_t lent_bytes = call->lent_bytes;
        call = budget_shrink(server->replies, call, offsetof(struct call, reply) + bytes);
        call->lent_bytes = budget_loan_bytes(server->replies, call);
        call->connection->lent_bytes -= lent_bytes - call->lent_bytes;
    }
    connection_queue_reply(server, call->connection, call);
}

void call_write_end(struct server *server, struct call *call, const struct rpc_writer *writer)
{
    CHECK(!writer->overflow); /* the worst case was borrowed */
    const uint64_t bytes = rpc_written_bytes(writer);
    CHECK(bytes > 0 && bytes <= call->reply_bytes);
    if (writer->begin == call->reply) {
        keep_reply(server, call, bytes);
        return;
    }
    connection_queue_output(server, call->connection, bytes);
    give_back(server, call);
}

void call_return(struct server *server, struct call *call)
{
    CHECK(call->magic == CALL_MAGIC && call->connection->inflight > 0);
    call->connection->inflight--;
    give_back(server, call);
}
