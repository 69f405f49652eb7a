/* server_harness.h: a whole server over the fake engine, in one thread: the test turns its rounds
 * by hand and moves its clock, and talks to it through socket pairs.
 */
#ifndef URN_TESTS_SERVER_HARNESS_H
#define URN_TESTS_SERVER_HARNESS_H

#include "server/connection.h"
#include "server/loop.h"
#include "tests/lib/fake_engine.h"

struct harness {
    struct config config; /* small limits; change them before harness_start */
    struct config_listen listen;
    struct server *server;
    struct urn_engine *engine;
};

#define CLIENT_BYTES_MAX (256u * 1024)

struct client {
    int fd;
    uint8_t input[CLIENT_BYTES_MAX]; /* what the server sent and client_reply has not read yet */
    size_t input_bytes;
    char text[CLIENT_BYTES_MAX]; /* what client_reply returned */
};

/* limits: 8 connections, requests of 64 KiB (two at a time), 100 draws a batch, 16 in flight,
 * replies of 32 KiB, 64 KiB of replies together. */
void harness_init(struct harness *harness);
void harness_start(struct harness *harness);
void harness_end(struct harness *harness);

/* Turns rounds until nothing happens any more. */
void harness_turn(struct harness *harness);

/* The server's clock, in seconds since the start of the test; turns a round. */
void harness_wait(struct harness *harness, double seconds);

/* Connects through a socket pair. */
void client_open(struct harness *harness, struct client *client);
/* Connects to the server's first listener. */
void client_connect(struct harness *harness, struct client *client);
void client_close(struct client *client);

void client_send(struct client *client, const void *bytes, size_t length);

/* Sends [0, msgid, method, [parameters]]; parameters: MessagePack values one after another, so many
 * of them. */
void client_call(struct client *client, uint32_t msgid, const char *method, uint32_t count,
                 const char *parameters, size_t parameter_bytes);

/* Sends a draw from pool "main". */
void client_draw(struct client *client, uint32_t msgid, uint8_t count);

/* Reads what has arrived. Returns the next whole message as text ("[1, 7, nil, \"pong\"]"), NULL
 * when there is none yet. */
const char *client_reply(struct client *client);

/* Turns rounds, then reads: the text of the next message; the test fails if there is none. */
const char *client_must_reply(struct harness *harness, struct client *client);

/* After rounds: the server has closed its side, and nothing unread is left. */
bool client_is_closed(struct harness *harness, struct client *client);

/* Literal MessagePack with its length. */
#define BYTES(literal) (literal), (sizeof(literal) - 1)

#endif
