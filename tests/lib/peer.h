/* peer.h: the other end of a client's connection: a listening Unix socket, and answers to be sent.
 *
 * For tests of what is a client (liburnclient, urn). Answers are packed with msgpack-c.
 */
#ifndef URN_TESTS_LIB_PEER_H
#define URN_TESTS_LIB_PEER_H

#include <msgpack.h>
#include <pthread.h>
#include <stdint.h>

struct peer {
    char folder[64];
    char path[96];
    char address[112]; /* unix:PATH, for the client */
    int listener;
    int connection; /* -1: none */
    msgpack_sbuffer buffer;
    msgpack_packer pack; /* writes to buffer */
    pthread_t thread;
};

/* Listens in a temporary folder of its own. */
void peer_listen(struct peer *peer);

/* Takes the client's connection. */
void peer_accept(struct peer *peer);

/* Sends what has been packed. SIGPIPE stays as it is, so that it ends the test if what is tested
 * ever raises it. */
void peer_send(struct peer *peer);

/* For clients that wait for an answer before they ask again: accepts in a thread of its own and sends
 * one of the packed messages for each request, beginning with the first. */
void peer_answer_in_turn(struct peer *peer);

/* Waits for the thread of peer_answer_in_turn() to end: it does with the client's connection. */
void peer_join(struct peer *peer);

void peer_stop(struct peer *peer);

void peer_pack_text(struct peer *peer, const char *text);

/* Begins a successful answer; the result comes next. */
void peer_pack_answer(struct peer *peer, uint32_t msgid);

void peer_pack_error(struct peer *peer, uint32_t msgid, const char *text);

#endif
