/* loop.h: the network thread.
 *
 * epoll, level-triggered, with as much as possible in each call: one read takes what a connection
 * has sent, one urn_submit takes a round's requests of all connections, one write takes what is
 * ready for a connection. io_uring with all that helps it (multishot receive, provided buffers, one
 * call a round) was measured beside it, with echo servers of draw-sized messages (30 bytes) on 2
 * cores, kernel 6.18, client and server sharing them (bench/loop_*.c; the median of three runs):
 *
 *                                    epoll            io_uring
 *      1 connection,  1 under way    17,200 calls/s   16,000 calls/s    (one core: 183,000 180,000)
 *     50 connections, 1 on each     295,600          301,100            (one core: 318,000 332,000)
 *     50 connections, 16 on each  4,648,000        4,797,000            (one core: 4.99 M   5.03 M)
 *
 * Within 4 per cent of each other wherever the server's work shows, and two orders of magnitude
 * above what a disk syncs: the simpler one was taken. It also works where containers refuse
 * io_uring.
 *
 * The engine's eventfd is watched edge-triggered and so never needs to be read: each write to it is
 * an edge.
 */
#ifndef URN_SERVER_LOOP_H
#define URN_SERVER_LOOP_H

#include "server/server.h"

/* Listens on all addresses of the configuration. On an error none is left open. */
enum urn_code loop_listen(struct server *server, struct urn_error *error);

/* One round: waits at most max_wait_ms (-1: as long as it takes) for something to do, and does it.
 */
void loop_round(struct server *server, int max_wait_ms);

/* Takes no new connections and no new requests; each connection ends when what it has under way has
 * been answered. */
void loop_stop_taking(struct server *server);

/* Rounds until a stop is requested; then takes nothing new, and goes on until every connection has
 * ended (for SERVER_STALL_NS at most). */
void loop_run(struct server *server);

#endif
