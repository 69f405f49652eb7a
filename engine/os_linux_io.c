/* os_linux_io.c: several reads and writes under way: io_uring with registered buffers, or one by one.
 * See os.h. */
#include "engine/os.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/os_linux.h"

#define BUFFERS_MAX 64u

struct os_io {
    enum os_io_kind kind; /* URING or PLAIN */
    uint8_t *memory;
    uint32_t buffer_bytes;
    uint32_t buffer_count;
    uint32_t under_way;
    struct io_uring ring;                 /* URING */
    struct os_io_done ended[BUFFERS_MAX]; /* PLAIN: not yet taken, oldest first */
};

/* Sets the ring up with its buffers. 0 or an errno value; then nothing is left of it. */
static int make_ring(struct os_io *io)
{
    int why = io_uring_queue_init(io->buffer_count, &io->ring, 0);
    if (why < 0)
        return -why;
    struct iovec buffers[BUFFERS_MAX];
    for (uint32_t i = 0; i < io->buffer_count; i++)
        buffers[i] = (struct iovec){.iov_base = io->memory + (size_t)i * io->buffer_bytes,
                                    .iov_len = io->buffer_bytes};
    why = io_uring_register_buffers(&io->ring, buffers, io->buffer_count);
    if (why < 0)
        io_uring_queue_exit(&io->ring);
    return -why;
}

int os_io_make(struct urn_os *os, enum os_io_kind wanted, void *memory, uint32_t buffer_bytes,
               uint32_t buffer_count, struct os_io **io)
{
    (void)os;
    CHECK(buffer_count > 0 && buffer_count <= BUFFERS_MAX);
    struct os_io *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ENOMEM;
    made->kind = OS_IO_PLAIN;
    made->memory = memory;
    made->buffer_bytes = buffer_bytes;
    made->buffer_count = buffer_count;
    int why = wanted == OS_IO_PLAIN ? 0 : make_ring(made);
    if (wanted != OS_IO_PLAIN && why == 0)
        made->kind = OS_IO_URING;
    if (wanted == OS_IO_URING && why != 0) {
        free(made);
        return why;
    }
    *io = made;
    return 0;
}

enum os_io_kind os_io_kind(const struct os_io *io)
{
    return io->kind;
}

static void begin_in_ring(struct os_io *io, const struct os_file *file, enum os_io_what what,
                          uint32_t buffer, uint8_t *bytes, uint32_t length_bytes, uint64_t offset)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
    CHECK(sqe != NULL); /* as many entries as buffers, and all are handed over at once */
    if (what == OS_IO_WRITE)
        io_uring_prep_write_fixed(sqe, file->fd, bytes, length_bytes, offset, (int)buffer);
    else
        io_uring_prep_read_fixed(sqe, file->fd, bytes, length_bytes, offset, (int)buffer);
    io_uring_sqe_set_data64(sqe, buffer);
    int submitted;
    do
        submitted = io_uring_submit(&io->ring);
    while (submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY);
    CHECK(submitted == 1);
}

static struct os_io_done do_at_once(const struct os_file *file, enum os_io_what what,
                                    uint32_t buffer, uint8_t *bytes, uint32_t length_bytes,
                                    uint64_t offset)
{
    ssize_t done;
    do
        done = what == OS_IO_WRITE ? pwrite(file->fd, bytes, length_bytes, (off_t)offset)
                                   : pread(file->fd, bytes, length_bytes, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return (struct os_io_done){.buffer = buffer, .error = errno};
    return (struct os_io_done){.buffer = buffer, .done_bytes = (uint32_t)done};
}

void os_io_begin(struct os_io *io, struct os_file *file, enum os_io_what what, uint32_t buffer,
                 uint32_t skip_bytes, uint32_t length_bytes, uint64_t offset)
{
    CHECK(buffer < io->buffer_count && io->under_way < io->buffer_count);
    CHECK(skip_bytes < io->buffer_bytes && length_bytes <= io->buffer_bytes - skip_bytes);
    uint8_t *bytes = io->memory + (size_t)buffer * io->buffer_bytes + skip_bytes;
    if (io->kind == OS_IO_URING)
        begin_in_ring(io, file, what, buffer, bytes, length_bytes, offset);
    else
        io->ended[io->under_way] = do_at_once(file, what, buffer, bytes, length_bytes, offset);
    io->under_way++;
}

static bool end_in_ring(struct os_io *io, bool wait, struct os_io_done *done)
{
    struct io_uring_cqe *cqe;
    int why;
    do
        why = wait ? io_uring_wait_cqe(&io->ring, &cqe) : io_uring_peek_cqe(&io->ring, &cqe);
    while (why == -EINTR);
    if (why == -EAGAIN)
        return false;
    CHECK(why == 0);
    *done = (struct os_io_done){.buffer = (uint32_t)io_uring_cqe_get_data64(cqe)};
    if (cqe->res < 0)
        done->error = -cqe->res;
    else
        done->done_bytes = (uint32_t)cqe->res;
    io_uring_cqe_seen(&io->ring, cqe);
    return true;
}

bool os_io_end(struct os_io *io, bool wait, struct os_io_done *done)
{
    if (io->under_way == 0)
        return false;
    if (io->kind == OS_IO_URING) {
        if (!end_in_ring(io, wait, done))
            return false;
        io->under_way--;
        return true;
    }
    *done = io->ended[0];
    io->under_way--;
    for (uint32_t i = 0; i < io->under_way; i++)
        io->ended[i] = io->ended[i + 1];
    return true;
}

void os_io_free(struct os_io *io)
{
    if (io == NULL)
        return;
    struct os_io_done ignored;
    while (os_io_end(io, true, &ignored))
        ;
    if (io->kind == OS_IO_URING)
        io_uring_queue_exit(&io->ring);
    free(io);
}
