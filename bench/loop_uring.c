/* loop_uring.c: the echo server over io_uring, with all that helps it: multishot accept, multishot
 * receive into a ring of provided buffers, one system call a round that submits every send of the
 * round and waits for what comes next (single issuer, deferred task work). See loop_common.h. */
#include "bench/loop_common.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFERS         1024u /* a power of two */
#define BUFFER_BYTES    4096u
#define OUT_BYTES       (256u * 1024) /* the replies to what fits a buffer */
#define BUFFERS_GROUP   0
#define CONNECTIONS_MAX 65536

enum what { ACCEPT, RECEIVE, SEND };

/* user_data: what, the buffer's number, the connection. */
static uint64_t tag(enum what what, uint32_t buffer, int fd)
{
    return (uint64_t)what << 56 | (uint64_t)buffer << 32 | (uint32_t)fd;
}

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static uint8_t *bytes; /* BUFFERS of BUFFER_BYTES */
static uint8_t *out;   /* as many of OUT_BYTES: the replies to what a buffer has brought */
static struct loop_echo *echoes[CONNECTIONS_MAX]; /* by descriptor */

static struct io_uring_sqe *next_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    while (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void give_back(uint32_t buffer)
{
    io_uring_buf_ring_add(free_buffers, bytes + (size_t)buffer * BUFFER_BYTES, BUFFER_BYTES,
                          (unsigned short)buffer, io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(free_buffers, 1);
}

static void receive(int fd)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFERS_GROUP;
    io_uring_sqe_set_data64(sqe, tag(RECEIVE, 0, fd));
}

static void accept_more(int listener)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, tag(ACCEPT, 0, listener));
}

static void end_connection(int fd)
{
    if (echoes[fd] == NULL)
        return;
    loop_echo_free(echoes[fd]);
    echoes[fd] = NULL;
    close(fd);
}

static void answer(uint32_t buffer, size_t length, int fd)
{
    uint8_t *replies = out + (size_t)buffer * OUT_BYTES;
    int64_t reply_bytes = loop_echo_answer(echoes[fd], bytes + (size_t)buffer * BUFFER_BYTES,
                                           length, replies, OUT_BYTES);
    if (reply_bytes <= 0) {
        give_back(buffer);
        return;
    }
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_send(sqe, fd, replies, (size_t)reply_bytes, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, tag(SEND, buffer, fd));
}

static void received(const struct io_uring_cqe *cqe, int fd)
{
    if ((cqe->res <= 0 && cqe->res != -ENOBUFS) || echoes[fd] == NULL) {
        end_connection(fd);
        return;
    }
    if (cqe->res > 0)
        answer(cqe->flags >> IORING_CQE_BUFFER_SHIFT, (size_t)cqe->res, fd);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        receive(fd);
}

static void handle(const struct io_uring_cqe *cqe)
{
    int fd = (int)(uint32_t)cqe->user_data;
    switch ((enum what)(cqe->user_data >> 56)) {
    case ACCEPT:
        if (cqe->res >= 0) {
            loop_must(cqe->res < CONNECTIONS_MAX ? 0 : -1, "too many connections");
            loop_no_delay(cqe->res);
            echoes[cqe->res] = loop_echo_make();
            receive(cqe->res);
        }
        if (!(cqe->flags & IORING_CQE_F_MORE))
            accept_more(fd);
        break;
    case RECEIVE:
        received(cqe, fd);
        break;
    case SEND:
        give_back(cqe->user_data >> 32 & 0xffffff);
        break;
    }
}

static void set_up(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 4096};
    if (io_uring_queue_init_params(1024, &ring, &params) < 0) {
        fprintf(stderr, "io_uring is refused here\n");
        exit(1);
    }
    struct io_uring_buf_reg registration = {.ring_entries = BUFFERS, .bgid = BUFFERS_GROUP};
    if (posix_memalign((void **)&free_buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)) != 0 ||
        (bytes = malloc((size_t)BUFFERS * BUFFER_BYTES)) == NULL ||
        (out = malloc((size_t)BUFFERS * OUT_BYTES)) == NULL)
        exit(1);
    registration.ring_addr = (uint64_t)(uintptr_t)free_buffers;
    errno = -io_uring_register_buf_ring(&ring, &registration, 0);
    loop_must(-errno, "io_uring_register_buf_ring");
    io_uring_buf_ring_init(free_buffers);
    for (uint32_t i = 0; i < BUFFERS; i++)
        give_back(i);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 64;
    }
    set_up();
    accept_more(loop_listen(argv[1]));
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, count = 0;
        io_uring_submit_and_wait(&ring, 1);
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            handle(cqe);
            count++;
        }
        io_uring_cq_advance(&ring, count);
    }
}
