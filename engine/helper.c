/* helper.c: a thread that waits for a job, does it and says so. See helper.h. */
#include "engine/helper.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "engine/check.h"

struct helper {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    helper_job job; /* NULL: nothing to do; set again once it is done */
    void *context;
    bool ends;
};

static void *helper_main(void *argument)
{
    struct helper *helper = argument;
    CHECK(pthread_mutex_lock(&helper->lock) == 0);
    for (;;) {
        while (helper->job == NULL && !helper->ends)
            CHECK(pthread_cond_wait(&helper->changed, &helper->lock) == 0);
        if (helper->job == NULL)
            break;
        CHECK(pthread_mutex_unlock(&helper->lock) == 0);
        helper->job(helper->context); /* its giver leaves both alone meanwhile */
        CHECK(pthread_mutex_lock(&helper->lock) == 0);
        helper->job = NULL;
        CHECK(pthread_cond_signal(&helper->changed) == 0);
    }
    CHECK(pthread_mutex_unlock(&helper->lock) == 0);
    return NULL;
}

/* With the signals that the program waits for kept away, as from the engine's other threads. */
static int create_thread(struct helper *helper)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t others, before;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&others, own[i]);
    CHECK(pthread_sigmask(SIG_SETMASK, &others, &before) == 0);
    int why = pthread_create(&helper->thread, NULL, helper_main, helper);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return why;
}

struct helper *helper_make(void)
{
    struct helper *helper = calloc(1, sizeof *helper);
    if (helper == NULL)
        return NULL;
    CHECK(pthread_mutex_init(&helper->lock, NULL) == 0);
    CHECK(pthread_cond_init(&helper->changed, NULL) == 0);
    if (create_thread(helper) == 0) {
        (void)pthread_setname_np(helper->thread, "urn-helper");
        return helper;
    }
    CHECK(pthread_cond_destroy(&helper->changed) == 0);
    CHECK(pthread_mutex_destroy(&helper->lock) == 0);
    free(helper);
    return NULL;
}

void helper_free(struct helper *helper)
{
    if (helper == NULL)
        return;
    CHECK(pthread_mutex_lock(&helper->lock) == 0);
    CHECK(helper->job == NULL);
    helper->ends = true;
    CHECK(pthread_cond_signal(&helper->changed) == 0);
    CHECK(pthread_mutex_unlock(&helper->lock) == 0);
    CHECK(pthread_join(helper->thread, NULL) == 0);
    CHECK(pthread_cond_destroy(&helper->changed) == 0);
    CHECK(pthread_mutex_destroy(&helper->lock) == 0);
    free(helper);
}

void helper_begin(struct helper *helper, helper_job job, void *context)
{
    if (helper == NULL) {
        job(context);
        return;
    }
    CHECK(pthread_mutex_lock(&helper->lock) == 0);
    CHECK(helper->job == NULL && !helper->ends);
    helper->job = job;
    helper->context = context;
    CHECK(pthread_cond_signal(&helper->changed) == 0);
    CHECK(pthread_mutex_unlock(&helper->lock) == 0);
}

bool helper_is_busy(struct helper *helper)
{
    if (helper == NULL)
        return false;
    CHECK(pthread_mutex_lock(&helper->lock) == 0);
    const bool is_busy = helper->job != NULL;
    CHECK(pthread_mutex_unlock(&helper->lock) == 0);
    return is_busy;
}

void helper_wait(struct helper *helper)
{
    if (helper == NULL)
        return;
    CHECK(pthread_mutex_lock(&helper->lock) == 0);
    while (helper->job != NULL)
        CHECK(pthread_cond_wait(&helper->changed, &helper->lock) == 0);
    CHECK(pthread_mutex_unlock(&helper->lock) == 0);
}
