/* reload.c: see reload.h. */
#include "server/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"
#include "server/reply.h"
#include "server/server.h"

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ; /* interrupted by a signal */
}

static void *reload_main(void *argument)
{
    struct reload *reload = argument;
    struct urn_request *request = reload->request;
    if (config_load_again(reload->server->config, &reload->config, &reload->error) == URN_OK) {
        request->pools = reload->config.pools;
        request->pool_count = reload->config.pool_count;
        urn_submit(reload->server->engine, request);
    } else {
        atomic_store(&reload->refused, true);
        server_notify(reload->server);
    }
    CHECK(sem_post(&reload->given) == 0);
    wait_for(&reload->ended);
    config_forget_pools(&reload->config);
    config_free(&reload->config);
    return NULL;
}

bool reload_begin(struct server *server, struct urn_request *request, struct urn_error *error)
{
    struct reload *reload = &server->reload;
    CHECK(!reload->running);
    reload_join(server); /* that of the last reload has all but ended */
    if (request == NULL) {
        reload->own_error = (struct urn_error){.code = URN_OK};
        reload->own_request = (struct urn_request){.limit = RELOAD_SIGNAL_CHANGES,
                                                   .changes = reload->own_changes,
                                                   .error = &reload->own_error};
        request = &reload->own_request;
    }
    request->op = URN_RELOAD;
    request->next = NULL;
    reload->server = server;
    reload->request = request;
    atomic_store(&reload->refused, false);
    CHECK(sem_init(&reload->given, 0, 0) == 0 && sem_init(&reload->ended, 0, 0) == 0);
    int why = pthread_create(&reload->thread, NULL, reload_main, reload);
    if (why != 0) {
        error_set(error, URN_BUSY, why, "cannot begin to read the configuration file");
        return false;
    }
    reload->running = true;
    reload->has_thread = true;
    server->calls_in_engine++;
    return true;
}

/* What a client is to know of a file that was refused: it is what the request is made of. */
static enum urn_code refusal_code(enum urn_code code)
{
    if (code == URN_TOOBIG)
        return code;
    return code == URN_NOMEMORY ? URN_BUSY : URN_BADARG;
}

/* A reload whose file was refused comes to its end. */
static void finish_refused(struct server *server)
{
    struct reload *reload = &server->reload;
    if (!reload->running || !atomic_load(&reload->refused))
        return;
    struct urn_request *request = reload->request;
    request->code = refusal_code(reload->error.code);
    *request->error = reload->error;
    request->error->code = request->code;
    request->next = NULL;
    reply_finished(server, request);
}

void reload_look(struct server *server)
{
    struct urn_error error;
    finish_refused(server);
    if (server->reload.running || !atomic_exchange(&server->reload_requested, false))
        return;
    if (!reload_begin(server, NULL, &error))
        log_line(LOG_PRIORITY_ERROR, "reload: %s", error.text);
}

void reload_await(struct server *server)
{
    if (!server->reload.running)
        return;
    wait_for(&server->reload.given);
    finish_refused(server);
}

void reload_join(struct server *server)
{
    struct reload *reload = &server->reload;
    CHECK(!reload->running);
    if (!reload->has_thread)
        return;
    CHECK(pthread_join(reload->thread, NULL) == 0);
    CHECK(sem_destroy(&reload->given) == 0 && sem_destroy(&reload->ended) == 0);
    reload->has_thread = false;
}

/* ---- the log --------------------------------------------------------------------------------- */

static const char *const kind_words[URN_CHANGE_KINDS] = {
    [URN_CHANGE_NEW_POOL] = "new pools",
    [URN_CHANGE_NEW_ITEM] = "new items",
    [URN_CHANGE_WEIGHT] = "changed weights",
    [URN_CHANGE_CONFLICT] = "conflicts",
    [URN_CHANGE_ITEM_NOT_HERE] = "items that the file does not have",
    [URN_CHANGE_POOL_NOT_HERE] = "pools that the file does not have",
};

/* What a person should look after, one by one as far as they were listed. */
static void log_conflicts(const struct urn_request *request)
{
    for (uint32_t i = 0; i < request->returned; i++) {
        const struct urn_change *change = &request->changes[i];
        if (change->kind != URN_CHANGE_CONFLICT)
            continue;
        if (change->item_id.length == 0)
            log_line(LOG_PRIORITY_WARNING,
                     "reload: pool %.*s is unfinished, with another catalog than the file's: left "
                     "alone",
                     (int)change->pool.length, change->pool.bytes);
        else
            log_line(LOG_PRIORITY_WARNING,
                     "reload: item %.*s of pool %.*s has probability %" PRIu64
                     " by an update, and the file now says %" PRIu64
                     ": left alone (urn reload --force takes the file's)",
                     (int)change->item_id.length, change->item_id.bytes, (int)change->pool.length,
                     change->pool.bytes, change->before, change->probability);
    }
}

static void log_outcome(const struct server *server)
{
    const struct reload *reload = &server->reload;
    const struct urn_request *request = reload->request;
    if (request->code != URN_OK) {
        const bool doubt = urn_code_may_have_taken_effect(request->code);
        log_line(LOG_PRIORITY_ERROR, "reload: %s: %s",
                 doubt ? "some of it may have been done" : "nothing was changed",
                 request->error->code != URN_OK ? request->error->text
                                                : urn_code_meaning(request->code));
        return;
    }
    char counts[256] = "";
    size_t length = 0;
    for (int kind = 0; kind < URN_CHANGE_KINDS && length < sizeof counts; kind++)
        if (request->kinds[kind] > 0)
            length +=
                (size_t)snprintf(counts + length, sizeof counts - length, "%s%" PRIu32 " %s",
                                 length > 0 ? ", " : "", request->kinds[kind], kind_words[kind]);
    log_line(LOG_PRIORITY_NOTICE, "reload%s of %s: %s", request->dry_run ? " (dry run)" : "",
             reload->config.file, length > 0 ? counts : "nothing to change");
    log_conflicts(request);
    const char *names[CONFIG_DIFFERENCES_MAX];
    uint32_t count = config_differences(server->config, &reload->config, names);
    for (uint32_t i = 0; i < count; i++)
        log_line(LOG_PRIORITY_WARNING, "reload: %s has changed and needs a restart", names[i]);
}

void reload_end(struct server *server)
{
    struct reload *reload = &server->reload;
    CHECK(reload->running);
    log_outcome(server);
    reload->running = false;
    CHECK(sem_post(&reload->ended) == 0);
}
