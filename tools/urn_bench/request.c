/* request.c: see request.h. */
#include "tools/urn_bench/request.h"

#include "engine/check.h"
#include "engine/urn.h"
#include "proto/rpc_writer.h"

static void begin(struct rpc_writer *writer, struct request *request, const char *method)
{
    rpc_writer_begin(writer, request->bytes, sizeof request->bytes);
    rpc_write_array(writer, 4);
    rpc_write_uint(writer, 0);
    rpc_put_tagged_u32(writer, 0xce, 0);
    CHECK(rpc_written_bytes(writer) == REQUEST_MSGID_OFFSET + 4);
    rpc_write_cstr(writer, method);
}

static void end(const struct rpc_writer *writer, struct request *request)
{
    CHECK(!writer->overflow);
    request->length = (uint32_t)rpc_written_bytes(writer);
}

bool request_draw(struct request *request, const char *pool, uint32_t draws, enum urnclient_as as)
{
    static const char *const forms[] = {
        [URNCLIENT_NAMES] = "names", [URNCLIENT_INDEXES] = "indexes", [URNCLIENT_TALLY] = "tally"};
    if (strlen(pool) > URN_NAME_BYTES_MAX)
        return false;
    struct rpc_writer writer;
    begin(&writer, request, "draw");
    rpc_write_array(&writer, as == URNCLIENT_NAMES ? 2 : 3);
    rpc_write_cstr(&writer, pool);
    rpc_write_uint(&writer, draws);
    if (as != URNCLIENT_NAMES) {
        rpc_write_map(&writer, 1);
        rpc_write_cstr(&writer, "as");
        rpc_write_cstr(&writer, forms[as]);
    }
    end(&writer, request);
    return true;
}

void request_ping(struct request *request)
{
    struct rpc_writer writer;
    begin(&writer, request, "ping");
    rpc_write_array(&writer, 0);
    end(&writer, request);
}
