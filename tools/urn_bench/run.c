/* run.c: see run.h.
 *
 *     control connection: info, pools -> requests encoded -> load connections -> threads
 *         -> progress, a line a second -> totals added up -> info -> report
 */
#include "tools/urn_bench/run.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/check.h"
#include "proto/client_connect.h"
#include "tools/urn_bench/load.h"
#include "tools/urn_bench/report.h"

#define PROGRESS_NS 1000000000u

/* A run, as far as it has come. Zeroed but for options and err: nothing yet. */
struct run {
    const struct options *options;
    FILE *err;
    struct urnclient *control; /* NULL for ping */
    struct urnclient_names listed;
    const char *first_pool;
    struct request *requests;
    struct plan plan;
    struct connection *connections;
    uint32_t connections_made;
    struct load *loads;
    pthread_t *threads;
    uint32_t threads_made;
    sem_t ended;
    struct totals *totals;
    struct report report;
};

static enum exit_status complain(const struct run *run, enum exit_status status, const char *format,
                                 ...) __attribute__((format(printf, 3, 4)));

/* Says why nothing can be measured; returns status. */
static enum exit_status complain(const struct run *run, enum exit_status status, const char *format,
                                 ...)
{
    va_list arguments;
    fputs("urn-bench: ", run->err);
    va_start(arguments, format);
    vfprintf(run->err, format, arguments);
    va_end(arguments);
    putc('\n', run->err);
    return status;
}

static enum exit_status complain_of_server(const struct run *run,
                                           const struct urnclient_error *error)
{
    switch (error->status) {
    case URNCLIENT_REFUSED:
        return complain(run, EXIT_REFUSED, "%s %s", error->code, error->text);
    case URNCLIENT_CONNECT:
        return complain(run, EXIT_UNAVAILABLE, "%s\n           is urnd running there?",
                        error->text);
    case URNCLIENT_ARGUMENT:
        return complain(run, EXIT_USAGE, "%s\n           urn-bench --help explains the options",
                        error->text);
    case URNCLIENT_NOMEMORY:
        return complain(run, EXIT_NO_MEMORY, "%s", error->text);
    default:
        return complain(run, EXIT_IO, "%s", error->text);
    }
}

/* ---- before the load ----------------------------------------------------------------------- */

static enum exit_status encode_pools(struct run *run, const char *const *names,
                                     const struct urnclient_text *texts, uint32_t count)
{
    const struct options *options = run->options;
    CHECK(count > 0);
    run->requests = calloc(count, sizeof *run->requests);
    if (run->requests == NULL)
        return complain(run, EXIT_NO_MEMORY, "no memory for %u pools", count);
    for (uint32_t i = 0; i < count; i++) {
        const char *name = names != NULL ? names[i] : texts[i].bytes;
        if (!request_draw(&run->requests[i], name, options->draws, options->as))
            return complain(run, EXIT_USAGE, "\"%.80s...\" is longer than a pool's name can be",
                            name);
        if (i == 0)
            run->first_pool = name;
    }
    run->plan.request_count = count;
    return EXIT_DONE;
}

static enum exit_status look_at_server(struct run *run)
{
    const struct options *options = run->options;
    struct urnclient_error error;
    struct urnclient_options to_connect = {.address = options->address,
                                           .connect_timeout_ms = options->timeout_ms,
                                           .call_timeout_ms = options->timeout_ms,
                                           .max_in_flight = 4};
    if (urnclient_connect(&to_connect, &run->control, &error) != URNCLIENT_OK)
        return complain_of_server(run, &error);
    server_view_take(run->control, &run->report.before);
    if (options->all_pools) {
        if (urnclient_pools(run->control, &run->listed, &error) != URNCLIENT_OK)
            return complain_of_server(run, &error);
        if (run->listed.count == 0)
            return complain(run, EXIT_REFUSED, "the server has no pools");
        return encode_pools(run, NULL, run->listed.names, run->listed.count);
    }
    for (uint32_t i = 0; i < options->pool_count; i++)
        if (!server_view_find_pool(run->control, options->pools[i], &error))
            return complain_of_server(run, &error);
    return encode_pools(run, options->pools, NULL, options->pool_count);
}

static enum exit_status prepare_calls(struct run *run)
{
    const struct options *options = run->options;
    run->plan.options = options;
    run->plan.expected =
        (struct reply_expected){(enum reply_shape)options->as, options->ping ? 0 : options->draws};
    enum exit_status status = EXIT_DONE;
    if (options->ping) {
        run->plan.expected.shape = REPLY_ANY;
        run->plan.request_count = 1;
        run->requests = calloc(1, sizeof *run->requests);
        if (run->requests == NULL)
            return complain(run, EXIT_NO_MEMORY, "no memory for a request");
        request_ping(run->requests);
    } else {
        status = look_at_server(run);
    }
    run->plan.requests = run->requests;
    return status;
}

_Static_assert((int)REPLY_NAMES == (int)URNCLIENT_NAMES &&
                   (int)REPLY_INDEXES == (int)URNCLIENT_INDEXES &&
                   (int)REPLY_TALLY == (int)URNCLIENT_TALLY,
               "replies have the forms that are asked for");

/* As many files as the system lets us have; what is lacking then is seen when connecting. */
static void allow_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static enum exit_status open_connections(struct run *run)
{
    const struct options *options = run->options;
    allow_files();
    run->connections = calloc(options->connections, sizeof *run->connections);
    if (run->connections == NULL)
        return complain(run, EXIT_NO_MEMORY, "no memory for %u connections", options->connections);
    for (uint32_t i = 0; i < options->connections; i++) {
        int opened;
        struct urnclient_error error;
        if (client_open_socket(options->address, options->timeout_ms, &opened, &error) !=
            URNCLIENT_OK) {
            if (error.system_errno == EMFILE || error.system_errno == ENFILE)
                return complain(run, EXIT_NO_MEMORY, "connection %u of %u: %s", i + 1,
                                options->connections, error.text);
            return complain_of_server(run, &error);
        }
        if (!connection_make(&run->connections[i], opened, options->pipeline)) {
            close(opened);
            return complain(run, EXIT_NO_MEMORY, "no memory for %u connections",
                            options->connections);
        }
        run->connections_made++;
    }
    return EXIT_DONE;
}

/* ---- interrupts ---------------------------------------------------------------------------- */

static struct plan *interruptible;
static volatile sig_atomic_t was_interrupted;

static void on_interrupt(int number)
{
    (void)number;
    int kept_errno = errno;
    was_interrupted = 1;
    plan_stop(interruptible);
    errno = kept_errno;
}

/* The first one ends the load; a second one has its usual effect. */
static void take_interrupts(struct plan *plan)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    interruptible = plan;
    was_interrupted = 0;
    CHECK(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0);
}

static void leave_interrupts(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    CHECK(sigaction(SIGINT, &action, NULL) == 0 && sigaction(SIGTERM, &action, NULL) == 0);
}

/* ---- the load ------------------------------------------------------------------------------ */

/* The part that thread number `share` of `shares` has of so many. */
static uint64_t part_of(uint64_t total, uint32_t share, uint32_t shares)
{
    return total / shares + (share < total % shares ? 1 : 0);
}

static void deal_out(struct run *run)
{
    const struct options *options = run->options;
    struct connection *next = run->connections;
    for (uint32_t i = 0; i < options->threads; i++) {
        struct load *load = &run->loads[i];
        load->plan = &run->plan;
        load->ended = &run->ended;
        load->connections = next;
        load->connection_count = (uint32_t)part_of(options->connections, i, options->threads);
        load->schedule = (struct schedule){run->plan.start_ns, options->rate, i, options->threads};
        load->calls_max =
            options->calls > 0 ? part_of(options->calls, i, options->threads) : UINT64_MAX;
        next += load->connection_count;
    }
    CHECK(next == run->connections + options->connections);
}

/* 2 s: 412345 calls/s, 12 BUSY or errors; on one line that is written over. */
static void print_progress(const struct run *run, uint64_t *calls_before)
{
    uint64_t calls = 0, refused = 0;
    for (uint32_t i = 0; i < run->threads_made; i++) {
        calls += atomic_load_explicit(&run->loads[i].calls_so_far, memory_order_relaxed);
        refused += atomic_load_explicit(&run->loads[i].refused_so_far, memory_order_relaxed);
    }
    uint64_t now_ns = load_now_ns();
    if (now_ns < run->plan.measure_ns)
        fputs("\r  warming up", run->err);
    else
        fprintf(run->err, "\r  %.0f s: %llu calls/s, %llu BUSY or errors",
                (double)(now_ns - run->plan.measure_ns) / 1e9,
                (unsigned long long)(calls - *calls_before), (unsigned long long)refused);
    fputs("\x1b[K", run->err);
    fflush(run->err);
    *calls_before = calls;
}

/* Waits for all threads, with a line of progress each second if somebody looks. */
static void await(struct run *run)
{
    bool shows = !run->options->quiet && isatty(fileno(run->err));
    uint64_t calls_before = 0;
    struct timespec next;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &next) == 0);
    for (uint32_t ended = 0; ended < run->threads_made;) {
        int result = 0;
        if (shows) {
            struct timespec until = {next.tv_sec + PROGRESS_NS / 1000000000u, next.tv_nsec};
            result = sem_clockwait(&run->ended, CLOCK_MONOTONIC, &until);
            if (result != 0 && errno == ETIMEDOUT) {
                next = until;
                print_progress(run, &calls_before);
            }
        } else {
            result = sem_wait(&run->ended);
        }
        ended += result == 0;
    }
    if (shows) {
        fputs("\r\x1b[K", run->err);
        fflush(run->err);
    }
    for (uint32_t i = 0; i < run->threads_made; i++)
        CHECK(pthread_join(run->threads[i], NULL) == 0);
}

static enum exit_status run_threads(struct run *run)
{
    const struct options *options = run->options;
    run->loads = calloc(options->threads, sizeof *run->loads);
    run->threads = calloc(options->threads, sizeof *run->threads);
    run->totals = calloc(1, sizeof *run->totals);
    run->plan.stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (run->loads == NULL || run->threads == NULL || run->totals == NULL ||
        run->plan.stop_event < 0)
        return complain(run, EXIT_NO_MEMORY, "no memory for %u threads", options->threads);
    CHECK(sem_init(&run->ended, 0, 0) == 0);
    plan_times(&run->plan, load_now_ns());
    deal_out(run);
    take_interrupts(&run->plan);
    while (run->threads_made < options->threads) {
        int failed = pthread_create(&run->threads[run->threads_made], NULL, load_run,
                                    &run->loads[run->threads_made]);
        if (failed != 0)
            break;
        run->threads_made++;
    }
    if (run->threads_made < options->threads)
        plan_stop(&run->plan);
    await(run);
    leave_interrupts();
    if (run->threads_made < options->threads)
        return complain(run, EXIT_NO_MEMORY, "the system gave %u threads of %u", run->threads_made,
                        options->threads);
    return EXIT_DONE;
}

/* ---- after it ------------------------------------------------------------------------------ */

/* From the begin of the measurement to the last reply; a load that went on for as long as it was
 * to, to its end at least: an open loop of few calls is idle there. */
static double measured_seconds(const struct run *run)
{
    const struct plan *plan = &run->plan;
    uint64_t until_ns = run->totals->last_reply_ns;
    bool was_whole = !run->report.interrupted && run->report.failure == NULL;
    if (was_whole && plan->end_ns != UINT64_MAX && plan->end_ns > until_ns)
        until_ns = plan->end_ns;
    return until_ns > plan->measure_ns ? (double)(until_ns - plan->measure_ns) / 1e9 : 0;
}

static enum exit_status add_up(struct run *run)
{
    enum exit_status status = EXIT_DONE;
    run->report.interrupted = was_interrupted != 0;
    for (uint32_t i = 0; i < run->threads_made; i++) {
        const struct load *load = &run->loads[i];
        if (!totals_merge(run->totals, &load->totals))
            return complain(run, EXIT_NO_MEMORY, "no memory for the ids");
        if (load->failure[0] != '\0' && run->report.failure == NULL) {
            run->report.failure = load->failure;
            status = load->no_memory ? EXIT_NO_MEMORY : EXIT_IO;
        }
    }
    ids_settle(&run->totals->ids);
    run->report.seconds = measured_seconds(run);
    if (status != EXIT_DONE)
        return complain(run, status, "%s", run->report.failure);
    if (run->totals->ids.doubled > 0 || run->totals->disordered > 0)
        return EXIT_IDS;
    return run->totals->errors > 0 ? EXIT_REFUSED : EXIT_DONE;
}

static enum exit_status report(struct run *run, FILE *out)
{
    enum exit_status status = add_up(run);
    if (run->control != NULL && run->report.before.known)
        server_view_take(run->control, &run->report.after);
    run->report.options = run->options;
    run->report.totals = run->totals;
    run->report.pool_count = run->plan.request_count;
    run->report.first_pool = run->first_pool;
    if (run->options->json)
        report_print_json(&run->report, out);
    else
        report_print_text(&run->report, out);
    return status;
}

static void clean_up(struct run *run)
{
    for (uint32_t i = 0; i < run->connections_made; i++)
        connection_end(&run->connections[i]);
    for (uint32_t i = 0; i < run->threads_made; i++)
        totals_free(&run->loads[i].totals);
    if (run->totals != NULL)
        totals_free(run->totals);
    if (run->plan.stop_event >= 0)
        close(run->plan.stop_event);
    urnclient_names_free(&run->listed);
    urnclient_close(run->control);
    free(run->requests);
    free(run->connections);
    free(run->loads);
    free(run->threads);
    free(run->totals);
}

enum exit_status bench_run(const struct options *options, FILE *out, FILE *err)
{
    struct run run = {.options = options, .err = err, .plan.stop_event = -1};
    enum exit_status status = prepare_calls(&run);
    if (status == EXIT_DONE)
        status = open_connections(&run);
    if (status == EXIT_DONE)
        status = run_threads(&run);
    if (status == EXIT_DONE)
        status = report(&run, out);
    clean_up(&run);
    return status;
}
