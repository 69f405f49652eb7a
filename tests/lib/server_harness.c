/* server_harness.c: see server_harness.h. */
#include "tests/lib/server_harness.h"

#include <errno.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/check.h"

static uint64_t clock_ns;

static uint64_t read_clock(void)
{
    return clock_ns;
}

void harness_init(struct harness *harness)
{
    *harness = (struct harness){0};
    struct config *config = &harness->config;
    config->wal.segment_size_bytes = 1u << 20;
    config->wal.segments = 4;
    config->limits.max_connections = 8;
    config->limits.max_request_bytes = 64u << 10;
    config->limits.request_buffers_bytes = 128u << 10;
    config->limits.max_batch = 100;
    config->limits.max_inflight = 16;
    config->limits.max_reply_bytes = 32u << 10;
    config->limits.reply_buffers_bytes = 64u << 10;
    config->limits.queue_draws = 1000;
    config->limits.max_pools = 8;
    config->limits.max_items = 100;
}

void harness_start(struct harness *harness)
{
    struct urn_error error;
    struct urn_engine_config engine;
    struct urn_start_report report;
    clock_ns = 1000000000u;
    CHECK(server_create(&harness->config, read_clock, &harness->server, &error) == URN_OK);
    config_fill_engine(&harness->config, &engine);
    engine.notify = server_notify;
    engine.notify_context = harness->server;
    CHECK(urn_engine_open(&engine, &harness->engine, &report, &error) == URN_OK);
    server_start(harness->server, harness->engine, &report);
}

void harness_end(struct harness *harness)
{
    struct urn_error error;
    urn_engine_stop(harness->engine, &error);
    server_release_engine(harness->server);
    urn_engine_free(harness->engine);
    server_free(harness->server); /* checks that every loan has come back */
}

void harness_turn(struct harness *harness)
{
    /* What a round leaves for the next one (a rest of input, an edge of the eventfd) does not grow:
     * so many rounds are enough for the largest message of these tests, 64 KiB in reads of 8 KiB.
     */
    for (int i = 0; i < 24; i++)
        loop_round(harness->server, 0);
    budget_check(harness->server->replies);
}

void harness_wait(struct harness *harness, double seconds)
{
    clock_ns += (uint64_t)(seconds * 1e9);
    loop_round(harness->server, 0);
}

void client_open(struct harness *harness, struct client *client)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    *client = (struct client){.fd = pair[0]};
    CHECK(connection_open(harness->server, pair[1]) != NULL);
}

void client_connect(struct harness *harness, struct client *client)
{
    const struct config_listen *where = &harness->config.listen[0];
    *client =
        (struct client){.fd = socket(where->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(connect(client->fd, (const struct sockaddr *)&where->address, where->address_bytes) == 0);
    loop_round(harness->server, -1);
}

void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

void client_send(struct client *client, const void *bytes, size_t length)
{
    CHECK(send(client->fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length);
}

void client_call(struct client *client, uint32_t msgid, const char *method, uint32_t count,
                 const char *parameters, size_t parameter_bytes)
{
    uint8_t message[4096];
    struct rpc_writer writer;
    rpc_writer_begin(&writer, message, sizeof message);
    rpc_write_array(&writer, 4);
    rpc_write_uint(&writer, RPC_REQUEST);
    rpc_write_uint(&writer, msgid);
    rpc_write_cstr(&writer, method);
    rpc_write_array(&writer, count);
    CHECK(rpc_writer_room(&writer, parameter_bytes));
    memcpy(writer.next, parameters, parameter_bytes);
    client_send(client, message, rpc_written_bytes(&writer) + parameter_bytes);
}

void client_draw(struct client *client, uint32_t msgid, uint8_t count)
{
    CHECK(count < 128);
    char parameters[] = "\xa4main?";
    parameters[5] = (char)count;
    client_call(client, msgid, "draw", 2, parameters, 6);
}

const char *client_reply(struct client *client)
{
    ssize_t length = recv(client->fd, client->input + client->input_bytes,
                          sizeof client->input - client->input_bytes, MSG_DONTWAIT);
    if (length > 0)
        client->input_bytes += (size_t)length;
    msgpack_unpacked message;
    msgpack_unpacked_init(&message);
    size_t end = 0;
    const char *text = NULL;
    if (client->input_bytes > 0 &&
        msgpack_unpack_next(&message, (const char *)client->input, client->input_bytes, &end) ==
            MSGPACK_UNPACK_SUCCESS) {
        int printed = msgpack_object_print_buffer(client->text, sizeof client->text, message.data);
        CHECK(printed > 0);
        client->input_bytes -= end;
        memmove(client->input, client->input + end, client->input_bytes);
        text = client->text;
    }
    msgpack_unpacked_destroy(&message);
    return text;
}

const char *client_must_reply(struct harness *harness, struct client *client)
{
    harness_turn(harness);
    const char *text = client_reply(client);
    CHECK(text != NULL);
    return text;
}

bool client_is_closed(struct harness *harness, struct client *client)
{
    char byte;
    harness_turn(harness);
    CHECK(client->input_bytes == 0);
    ssize_t length = recv(client->fd, &byte, 1, MSG_DONTWAIT);
    CHECK(length <= 0);
    return length == 0 || (errno != EAGAIN && errno != EINTR);
}
