/* peer.c: see peer.h. */
#include "tests/lib/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void peer_listen(struct peer *peer)
{
    memset(peer, 0, sizeof *peer);
    peer->connection = -1;
    snprintf(peer->folder, sizeof peer->folder, "/tmp/urn-test-peer-XXXXXX");
    assert_non_null(mkdtemp(peer->folder));
    snprintf(peer->path, sizeof peer->path, "%s/socket", peer->folder);
    snprintf(peer->address, sizeof peer->address, "unix:%s", peer->path);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    memcpy(name.sun_path, peer->path, strlen(peer->path) + 1);
    peer->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(peer->listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(peer->listener, 8), 0);
    msgpack_sbuffer_init(&peer->buffer);
    msgpack_packer_init(&peer->pack, &peer->buffer, msgpack_sbuffer_write);
}

void peer_accept(struct peer *peer)
{
    peer->connection = accept(peer->listener, NULL, NULL);
    assert_true(peer->connection >= 0);
}

void peer_send(struct peer *peer)
{
    assert_int_equal(send(peer->connection, peer->buffer.data, peer->buffer.size, MSG_NOSIGNAL),
                     peer->buffer.size);
    msgpack_sbuffer_clear(&peer->buffer);
}

/* A request of these clients is one send of a few bytes: one recv is one request. The end of the
 * answers, or of the connection, is the end. */
static void *answer_in_turn(void *context)
{
    struct peer *peer = context;
    char request[1024];
    size_t sent = 0;
    peer->connection = accept(peer->listener, NULL, NULL);
    while (recv(peer->connection, request, sizeof request, 0) > 0) {
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        size_t end = sent;
        if (msgpack_unpack_next(&unpacked, peer->buffer.data, peer->buffer.size, &end) !=
            MSGPACK_UNPACK_SUCCESS)
            shutdown(peer->connection, SHUT_RDWR);
        msgpack_unpacked_destroy(&unpacked);
        while (sent < end) {
            ssize_t now =
                send(peer->connection, peer->buffer.data + sent, end - sent, MSG_NOSIGNAL);
            if (now <= 0)
                return NULL;
            sent += (size_t)now;
        }
    }
    return NULL;
}

void peer_answer_in_turn(struct peer *peer)
{
    assert_int_equal(pthread_create(&peer->thread, NULL, answer_in_turn, peer), 0);
}

void peer_join(struct peer *peer)
{
    assert_int_equal(pthread_join(peer->thread, NULL), 0);
}

void peer_stop(struct peer *peer)
{
    if (peer->connection >= 0)
        close(peer->connection);
    close(peer->listener);
    unlink(peer->path);
    rmdir(peer->folder);
    msgpack_sbuffer_destroy(&peer->buffer);
}

void peer_pack_text(struct peer *peer, const char *text)
{
    msgpack_pack_str_with_body(&peer->pack, text, strlen(text));
}

void peer_pack_answer(struct peer *peer, uint32_t msgid)
{
    msgpack_pack_array(&peer->pack, 4);
    msgpack_pack_int(&peer->pack, 1);
    msgpack_pack_uint32(&peer->pack, msgid);
    msgpack_pack_nil(&peer->pack);
}

void peer_pack_error(struct peer *peer, uint32_t msgid, const char *text)
{
    msgpack_pack_array(&peer->pack, 4);
    msgpack_pack_int(&peer->pack, 1);
    msgpack_pack_uint32(&peer->pack, msgid);
    peer_pack_text(peer, text);
    msgpack_pack_nil(&peer->pack);
}
