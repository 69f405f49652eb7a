/* relief.h: lending the network thread to the engine, and who stands in for it meanwhile.
 *
 * A lone client waits for two hand-overs besides its sync: from the network thread to the writer, and
 * back. Where a draw is all that is under way, the network thread therefore does the writer's work itself
 * (urn_work_here). A sync is a moment; but a disk may hang for minutes, and whoever asks the server
 * then what is wrong is to get an answer. So there is a second thread that could run the loop, and does once
 * the first has been seen to be away for RELIEF_AFTER_NS:
 *
 *     network thread   round, round, in the engine ...................... round, round
 *     relief thread    sleeps        looks   still there: round, round, round   sleeps
 *
 * The loop's lock says who runs rounds: the network thread holds it but while it is lent. What is drawn
 * meanwhile goes the ordinary way to the writer, and waits for the same disk. Where syncs are slow anyhow, the
 * hand-overs matter little and a deaf ear does, so that little is lent.
 *
 * The relief thread takes the program's signals, too: the other may be where none reaches it. It costs some
 * twenty wake-ups a second as long as there are lone draws, and none without them.
 */
#ifndef URN_SERVER_RELIEF_H
#define URN_SERVER_RELIEF_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/urn.h"

struct server;

#define RELIEF_AFTER_NS (50ull * 1000 * 1000)

/* Behind two syncs in a row that took longer than this, so many draws are not lent for. */
#define RELIEF_SLOW_NS (1000ull * 1000)
#define RELIEF_SPARED  64u

/* Part of the server: who runs rounds owns what is not atomic. */
struct relief {
    pthread_t thread;
    bool stands_by; /* there is a thread; without it nothing is lent */
    bool stands_in; /* it runs rounds */
    bool was_alone; /* the last list that was submitted was of a lone draw */
    bool was_slow;  /* the last lend was */
    uint32_t spared;
    struct urn_request *lone; /* taken out of this round, to be lent for behind it */
    pthread_mutex_t loop;
    atomic_uint_fast64_t lends; /* begun and ended: odd while the network thread is lent */
    atomic_bool sleeps;         /* the relief thread, until something is lent */
    atomic_bool ends;
    sem_t posted;
};

/* The network thread, which holds the loop from here on, and takes no signal that urnd handles. Errors:
 * URN_NOMEMORY. */
enum urn_code relief_begin(struct server *server, struct urn_error *error);

/* The network thread: joins the other. Does nothing where none was begun. */
void relief_end(struct server *server);

/* Sets aside what this round would submit, if its thread is to be lent for it: it is a draw with nothing else
 * under way, and so was what was submitted before. */
void relief_take(struct server *server);

/* What is to be submitted in this round all the same: the list, behind what was set aside. Nothing is lent then. */
struct urn_request *relief_join(struct server *server, struct urn_request *list);

/* Submits what is set aside, and lends the thread to work at it. To be called when there is nothing else to be
 * done in this round, for another thread may run rounds meanwhile. True: it was lent; look at once for what has
 * finished. */
bool relief_lend(struct server *server);

#endif
