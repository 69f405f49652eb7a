/* reload.h: reading the configuration file again while serving, and applying its pools.
 *
 * Asked for by the method or by SIGHUP. The file is read, its catalogs are checked, and at last let go,
 * in a thread of its own, so that a large one keeps nobody waiting; that thread hands the request to the
 * engine (urn_submit takes requests from any thread). One reload at a time.
 *
 *     reload_begin()  ->  thread: config_load_again, urn_submit  ->  reply_finished() -> reload_end()
 *                              \-- the file has a mistake --> reload_look() ----------^     |
 *                         thread: config_free  <---------------------------------------------+
 */
#ifndef URN_SERVER_RELOAD_H
#define URN_SERVER_RELOAD_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "server/config.h"

struct server;
struct call;

#define RELOAD_SIGNAL_CHANGES 32u /* that a reload by signal logs one by one */

struct reload {
    bool running;
    bool has_thread; /* which may have ended, but was not joined */
    pthread_t thread;
    sem_t given; /* the thread has: the request to the engine, or it up */
    sem_t ended; /* nobody needs the file any more */
    struct server *server;
    struct urn_request *request; /* the call's, or the one below */
    struct config config;        /* the file's, as the thread read it */
    struct urn_error error;      /* why it could not */
    atomic_bool refused;         /* it could not: nothing was submitted */

    /* of a reload by signal */
    struct urn_request own_request;
    struct urn_change own_changes[RELOAD_SIGNAL_CHANGES];
    struct urn_error own_error;
};

/* Begins. request: of a call, with its options and the room for changes; NULL: for a signal. Not
 * while one is running. False, and *error, when no thread can be made. */
bool reload_begin(struct server *server, struct urn_request *request, struct urn_error *error);

/* In every round: begins what a signal asked for, and finishes a reload whose file was refused. */
void reload_look(struct server *server);

/* A reload's request is finished and its reply made: logs what came of it and lets the file go. */
void reload_end(struct server *server);

/* Waits until a reload that is running has come to the engine, or has been refused. Before the engine's last
 * requests are collected. */
void reload_await(struct server *server);

/* Waits for the thread. None is running. */
void reload_join(struct server *server);

#endif
