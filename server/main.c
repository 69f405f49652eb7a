/* main.c: urnd's life: options, configuration, recovery, service, stop. */
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "server/config.h"
#include "server/listen.h"
#include "server/loop.h"
#include "server/notify.h"
#include "server/options.h"

/* ---- signals ------------------------------------------------------------------------------- */

/* Set once the server can stop in good order. Until then, and at a second signal, the process ends
 * at once: a start may be interrupted anywhere, and what was acknowledged is durable. */
static struct server *_Atomic server_to_stop;

static void on_stop_signal(int signal_number)
{
    struct server *server = atomic_exchange(&server_to_stop, NULL);
    if (server == NULL)
        _exit(128 + signal_number);
    server_request_stop(server);
}

/* Set as long as there is a server. One that is still starting reloads once it serves: the start itself
 * does not apply what the file says of pools. */
static struct server *_Atomic server_to_reload;

static void on_reload_signal(int signal_number)
{
    (void)signal_number;
    struct server *server = atomic_load(&server_to_reload);
    if (server != NULL)
        server_request_reload(server);
}

static void set_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = on_reload_signal;
    sigaction(SIGHUP, &action, NULL);
    action.sa_handler = SIG_IGN; /* a client that goes away is an error of its socket */
    sigaction(SIGPIPE, &action, NULL);
}

/* ---- what the start line says -------------------------------------------------------------- */

struct line {
    char text[1400];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(line->text + line->length, sizeof line->text - line->length, format, arguments);
    va_end(arguments);
    if (length > 0)
        line->length += (size_t)length;
    if (line->length >= sizeof line->text)
        line->length = sizeof line->text - 1;
}

static double mebibytes(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static void add_recovery(struct line *line, const struct urn_start_report *report)
{
    if (report->created) {
        add(line, "created");
    } else {
        add(line, "snapshot at LSN %" PRIu64 ", replayed %" PRIu64 " groups (%" PRIu64 " draws)",
            report->snapshot_lsn, report->replayed_groups, report->replayed_draws);
        if (report->snapshots_refused > 0)
            add(line, ", %" PRIu32 " newer snapshots did not verify", report->snapshots_refused);
        add(line, ", log ends at LSN %" PRIu64, report->end_lsn);
        if (report->torn_tail || report->discarded_groups > 0)
            add(line, ", dropped an end that was never durable (%" PRIu64 " whole groups)",
                report->discarded_groups);
        if (report->rewritten_bytes > 0)
            add(line, ", made its last %" PRIu64 " bytes durable again", report->rewritten_bytes);
    }
    add(line, ", epoch %" PRIu64 ", next request id %" PRIu64 " (%.1f ms)", report->epoch,
        report->next_request_id, (double)report->duration_us / 1000.0);
}

static void add_memory(struct line *line, const struct config *config)
{
    struct urn_engine_config engine;
    config_fill_engine(config, &engine);
    uint64_t engine_bytes = urn_engine_memory_bound_bytes(&engine);
    uint64_t server_bytes = server_memory_bound_bytes(config);
    add(line, "memory at most %.1f MiB (engine %.1f, server %.1f), ring of %.1f MiB apart",
        mebibytes(engine_bytes + server_bytes), mebibytes(engine_bytes), mebibytes(server_bytes),
        mebibytes(engine.segment_size_bytes * engine.segments));
}

static void announce(const struct server *server)
{
    struct line line = {.length = 0};
    add(&line, "urn %s serves %s in mode %s: ", URN_VERSION, server->config->data_dir,
        config_wal_mode_text(server->config->wal.mode));
    add_recovery(&line, &server->report);
    add(&line, "; listening on ");
    for (uint32_t i = 0; i < server->listener_count; i++)
        add(&line, "%s%s", i == 0 ? "" : ", ", server->listeners[i].text);
    add(&line, "; ");
    add_memory(&line, server->config);
    log_line(LOG_PRIORITY_NOTICE, "%s", line.text);
    if (server->report.room_error.code != URN_OK)
        log_line(LOG_PRIORITY_WARNING, "trouble with snapshots at the start: %s",
                 server->report.room_error.text);
    notify_manager("READY=1\nSTATUS=serving");
}

/* ---- life ---------------------------------------------------------------------------------- */

static int give_up(const struct urn_error *error)
{
    log_line(LOG_PRIORITY_ERROR, "%s", error->text);
    return urn_code_exit_status(error->code);
}

/* Serves until a signal says to stop. */
static enum urn_code serve(struct server *server, struct urn_error *error)
{
    if (loop_listen(server, error) != URN_OK || relief_begin(server, error) != URN_OK)
        return error->code;
    atomic_store(&server_to_stop, server);
    announce(server);
    loop_run(server);
    relief_end(server);
    atomic_store(&server_to_stop, NULL);
    return URN_OK;
}

/* Opens the engine, serves, and stops it whatever happened. */
static enum urn_code run_engine(struct config *config, bool create, struct server *server,
                                struct urn_error *error)
{
    struct urn_engine_config engine_config;
    struct urn_engine *engine;
    struct urn_start_report report;
    config_fill_engine(config, &engine_config);
    engine_config.create = create;
    engine_config.notify = server_notify;
    engine_config.notify_context = server;
    notify_manager("STATUS=recovering");
    if (urn_engine_open(&engine_config, &engine, &report, error) != URN_OK)
        return error->code;
    config_forget_pools(config); /* the memory bound has no room for a second catalog */
    server_start(server, engine, &report);
    enum urn_code served = serve(server, error);
    struct urn_error stop_error;
    enum urn_code stopped = urn_engine_stop(engine, &stop_error);
    server_release_engine(server);
    if (urn_engine_archive_hangs(engine))
        log_line(LOG_PRIORITY_WARNING,
                 "the archive %s does not answer: stopping without it; what is not archived yet is "
                 "kept in the ring, and archived behind the next start",
                 engine_config.archive);
    urn_engine_free(engine);
    if (served == URN_OK && stopped != URN_OK)
        *error = stop_error;
    return served == URN_OK ? stopped : served;
}

static int run(struct config *config, bool create)
{
    struct urn_error error;
    struct server *server;
    set_signals();
    if (server_create(config, NULL, &server, &error) != URN_OK)
        return give_up(&error);
    atomic_store(&server_to_reload, server);
    enum urn_code code = run_engine(config, create, server, &error);
    atomic_store(&server_to_reload, NULL);
    server_free(server);
    if (code != URN_OK)
        return give_up(&error);
    log_line(LOG_PRIORITY_NOTICE, "stopped; everything acknowledged is on the disk");
    return 0;
}

static int check_only(const struct config *config)
{
    struct line line = {.length = 0};
    add_memory(&line, config);
    printf("%s: fine; %s\n", config->file, line.text);
    return 0;
}

int main(int argc, char **argv)
{
    struct options options;
    struct config config;
    struct urn_error error;
    if (options_read(argc, argv, &options, &error) != URN_OK) {
        fprintf(stderr, "urnd: %s\n", error.text);
        return urn_code_exit_status(error.code);
    }
    if (options.help || options.version) {
        fputs(options.help ? options_help : "urnd " URN_VERSION "\n", stdout);
        return 0;
    }
    if (config_load(options.config, &config, &error) != URN_OK) {
        config_free(&config);
        return give_up(&error);
    }
    for (uint32_t i = 0; i < config.idle_count; i++)
        log_line(LOG_PRIORITY_WARNING, "%s: %s", config.file, config.idle[i]);
    int status = options.check_config ? check_only(&config) : run(&config, options.create);
    config_free(&config);
    return status;
}
