/* loop_common.h: what the two echo servers share: the floor under any server of draws.
 *
 * They answer draws, in the bytes in which urnd would, and do nothing else for it: no parameter is
 * read (but those of a connection's first request, to know how long requests and replies are),
 * nothing is drawn, nothing is durable. What urn-bench measures of them is what the kernel's sockets
 * and urn-bench itself take on this machine, at exactly the message sizes of the load:
 *
 *     bench-loop_epoll 7801 &  bench-loop_uring 7802 &
 *     for port in 7801 7802; do
 *         urn-bench --address 127.0.0.1:$port --as indexes --connections 1
 *         urn-bench --address 127.0.0.1:$port --as indexes
 *         urn-bench --address 127.0.0.1:$port --as indexes --pipeline 16
 *     done
 *
 * One is written over epoll and one over io_uring: with which interface should the one network thread
 * of urnd wait, read and write? What was chosen by them stands in server/loop.h; bench/run takes the
 * first as its floor.
 *
 * Whoever connects must send calls of one kind to one pool, as urn-bench does.
 */
#ifndef URN_BENCH_LOOP_COMMON_H
#define URN_BENCH_LOOP_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* For measuring programs: any failure ends the program. Returns result. */
int loop_must(int result, const char *what);

/* A listening TCP socket on 127.0.0.1; the port as text. */
int loop_listen(const char *port);

void loop_no_delay(int fd);

/* A connection's requests, from their bytes to those of the replies. */
struct loop_echo;

struct loop_echo *loop_echo_make(void);
void loop_echo_free(struct loop_echo *echo);

/* How many bytes may come at a time if so many are to have room for their replies. */
size_t loop_echo_room(const struct loop_echo *echo, size_t out_bytes);

/* Takes bytes of requests, in whatever pieces they come, and writes the replies to those that are whole
 * to out. Returns how many bytes those are; -1: what came is no request. */
int64_t loop_echo_answer(struct loop_echo *echo, const uint8_t *bytes, size_t length, uint8_t *out,
                         size_t out_bytes);

#endif
