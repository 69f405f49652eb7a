/* load.c: the loops of one thread; see load.h.
 *
 * A round: wait for sockets (or until the next call is due), receive once from each that has replies, go
 * over them, queue what may follow, and flush each connection once. The clock is read a few times a
 * round and not for each call.
 */
#include "tools/urn_bench/load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/check.h"

#define NS_PER_MS       1000000u
#define NS_PER_S        1000000000u
#define EVENTS_MAX      256u
#define RECEIVE_BYTES   (256u << 10)
#define HELD_BACK_NS    NS_PER_MS
#define STOP_CONNECTION UINT32_MAX /* in an event: the order to stop */

/* A thread's loop, while it runs. */
struct loop {
    struct load *load;
    const struct plan *plan;
    int epoll;
    uint8_t *received;          /* RECEIVE_BYTES */
    struct connection **queued; /* connections to be flushed */
    uint32_t queued_count;
    uint32_t free_slots; /* of all connections */
    uint32_t under_way;  /* calls, likewise */
    uint64_t issued;     /* open loop: calls queued so far */
    uint64_t issue_max;  /* open loop: calls in all */
    uint64_t measured;   /* closed loop: measured calls queued so far */
    uint32_t next_connection;
    uint32_t next_request;
    uint64_t random;
    uint64_t highest_id;
    uint64_t heard_ns; /* when something was last heard, or the first call was sent */
    bool sending;      /* more calls are to be sent */
    bool failed;
};

uint64_t load_now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- the plan ------------------------------------------------------------------------------ */

void plan_times(struct plan *plan, uint64_t now_ns)
{
    const struct options *options = plan->options;
    plan->start_ns = now_ns;
    plan->measure_ns = now_ns + (uint64_t)options->warm_up_ms * NS_PER_MS;
    plan->end_ns = UINT64_MAX;
    if (options->calls == 0) {
        plan->end_ns = plan->measure_ns + (uint64_t)options->duration_ms * NS_PER_MS;
    } else if (options->rate > 0) {
        struct schedule all = {.start_ns = now_ns, .rate = options->rate, .shares = 1};
        uint64_t warming = schedule_due_calls(&all, plan->measure_ns - 1);
        plan->end_ns = schedule_due_ns(&all, warming + options->calls);
    }
}

void plan_stop(struct plan *plan)
{
    atomic_store(&plan->stop, true);
    const uint64_t one = 1;
    ssize_t written = write(plan->stop_event, &one, sizeof one);
    (void)written; /* only a counter that is full already refuses one more */
}

static bool fail(struct loop *loop, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends this load, and with it all others. Always false. */
static bool fail(struct loop *loop, const char *format, ...)
{
    if (!loop->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(loop->load->failure, sizeof loop->load->failure, format, arguments);
        va_end(arguments);
    }
    loop->failed = true;
    loop->sending = false;
    plan_stop(loop->load->plan);
    return false;
}

static bool fail_errno(struct loop *loop, const char *what, int system_errno)
{
    char text[96];
    return fail(loop, "%s: %s", what, strerror_r(system_errno, text, sizeof text));
}

static bool fail_for_memory(struct loop *loop, const char *what)
{
    loop->load->no_memory = true;
    return fail(loop, "no memory for %s", what);
}

/* ---- sending ------------------------------------------------------------------------------- */

static const struct request *pick_request(struct loop *loop)
{
    uint32_t count = loop->plan->request_count;
    uint32_t picked = loop->next_request;
    if (count > 1 && loop->plan->options->pick == PICK_RANDOM) {
        /* xorshift64 (Marsaglia 2003): fast, and good enough to spread calls over pools. */
        loop->random ^= loop->random << 13;
        loop->random ^= loop->random >> 7;
        loop->random ^= loop->random << 17;
        picked = (uint32_t)((loop->random >> 32) * count >> 32);
    } else if (++loop->next_request == count) {
        loop->next_request = 0;
    }
    return &loop->plan->requests[picked];
}

static void queue_call(struct loop *loop, struct connection *connection, uint64_t due_ns)
{
    connection_queue(connection, pick_request(loop), due_ns, loop->highest_id);
    loop->free_slots--;
    loop->under_way++;
}

static bool watch_for_writing(struct loop *loop, struct connection *connection, bool wanted)
{
    if (connection->wants_writing == wanted)
        return true;
    connection->wants_writing = wanted;
    struct epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN};
    event.data.u32 = (uint32_t)(connection - loop->load->connections);
    if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, connection->socket, &event) != 0)
        return fail_errno(loop, "epoll", errno);
    return true;
}

static bool flush_connection(struct loop *loop, struct connection *connection)
{
    int64_t sent = connection_flush(connection);
    if (sent < 0)
        return fail_errno(loop, "a connection broke", (int)-sent);
    loop->load->totals.bytes_sent += (uint64_t)sent;
    return watch_for_writing(loop, connection, connection->out_end > 0);
}

static bool flush_queued(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->queued_count; i++) {
        loop->queued[i]->has_queued = false;
        if (!flush_connection(loop, loop->queued[i]))
            return false;
    }
    loop->queued_count = 0;
    return true;
}

/* Closed loop: fills the connection's free slots with calls, and sends them. */
static bool fill(struct loop *loop, struct connection *connection)
{
    const struct plan *plan = loop->plan;
    uint64_t now_ns = load_now_ns();
    if (now_ns >= plan->end_ns)
        loop->sending = false;
    while (loop->sending && connection->free_count > 0) {
        if (now_ns >= plan->measure_ns) {
            loop->sending = loop->measured < loop->load->calls_max;
            if (!loop->sending)
                break;
            loop->measured++;
        }
        queue_call(loop, connection, now_ns);
    }
    return flush_connection(loop, connection);
}

/* Open loop: sends what is due, round the connections, as far as there are free slots. */
static bool issue(struct loop *loop)
{
    const struct schedule *schedule = &loop->load->schedule;
    uint64_t now_ns = load_now_ns();
    uint64_t due = schedule_due_calls(schedule, now_ns);
    if (due > loop->issue_max)
        due = loop->issue_max;
    while (loop->sending && loop->issued < due && loop->free_slots > 0) {
        struct connection *connection = &loop->load->connections[loop->next_connection];
        if (++loop->next_connection == loop->load->connection_count)
            loop->next_connection = 0;
        if (connection->free_count == 0)
            continue;
        uint64_t due_ns = schedule_due_ns(schedule, loop->issued++);
        if (due_ns >= loop->plan->measure_ns && now_ns - due_ns > HELD_BACK_NS)
            loop->load->totals.held_back++;
        queue_call(loop, connection, due_ns);
        if (!connection->has_queued) {
            connection->has_queued = true;
            loop->queued[loop->queued_count++] = connection;
        }
    }
    if (loop->issued == loop->issue_max)
        loop->sending = false;
    return flush_queued(loop);
}

/* ---- receiving ----------------------------------------------------------------------------- */

static bool check_ids(struct loop *loop, struct connection *connection, const struct slot *slot)
{
    uint32_t draws = loop->plan->expected.draws;
    uint64_t first_id = connection->reader.first_id;
    struct totals *totals = &loop->load->totals;
    bool in_order = connection_id_in_order(connection, slot, first_id);
    if (!in_order || first_id <= slot->floor_id)
        totals->disordered++;
    if (first_id + draws - 1 > loop->highest_id)
        loop->highest_id = first_id + draws - 1;
    return ids_add(&totals->ids, first_id, draws) || fail_for_memory(loop, "the ids");
}

static bool take_reply(struct loop *loop, struct connection *connection, uint64_t now_ns)
{
    const struct reply_reader *reply = &connection->reader;
    const struct slot *slot = connection_answered(connection);
    struct totals *totals = &loop->load->totals;
    if (slot == NULL)
        return fail(loop, "a reply came to msgid %u, which no call under way has", reply->msgid);
    loop->free_slots++;
    loop->under_way--;
    bool is_measured = slot->due_ns >= loop->plan->measure_ns;
    if (!is_measured)
        totals->warm_up_calls++;
    else if (reply->is_error)
        totals_add_error(totals, reply->error, reply->error_length);
    if (is_measured && !reply->is_error) {
        totals->calls++;
        totals->failed_draws += reply->failed;
        histogram_add(&totals->latency_ns, now_ns - slot->due_ns);
    }
    if (is_measured)
        totals->last_reply_ns = now_ns;
    return reply->is_error || !loop->plan->options->check || check_ids(loop, connection, slot);
}

/* Goes over what has been received. */
static bool take_replies(struct loop *loop, struct connection *connection, const uint8_t *end,
                         uint64_t now_ns)
{
    const uint8_t *next = loop->received;
    for (;;) {
        switch (reply_read(&connection->reader, &loop->plan->expected, &next, end)) {
        case REPLY_MORE:
            return true;
        case REPLY_WHOLE:
            if (!take_reply(loop, connection, now_ns))
                return false;
            break;
        case REPLY_WRONG:
            return fail(loop, "not what was asked for: %s", connection->reader.wrong);
        }
    }
}

static bool receive(struct loop *loop, struct connection *connection)
{
    ssize_t got = recv(connection->socket, loop->received, RECEIVE_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0)
        return fail_errno(loop, "a connection broke", errno);
    if (got == 0)
        return fail(loop, "the server closed a connection with %u calls under way",
                    connection_under_way(connection));
    uint64_t now_ns = load_now_ns();
    loop->heard_ns = now_ns;
    loop->load->totals.bytes_received += (uint64_t)got;
    return take_replies(loop, connection, loop->received + got, now_ns);
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* Until when to wait: for the next call that is due, if it is due before anything can have gone wrong. */
static uint64_t wake_ns(const struct loop *loop)
{
    uint64_t wake = loop->heard_ns + (uint64_t)loop->plan->options->timeout_ms * NS_PER_MS;
    if (loop->plan->options->rate > 0 && loop->sending && loop->free_slots > 0) {
        uint64_t due_ns = schedule_due_ns(&loop->load->schedule, loop->issued);
        if (loop->under_way == 0 || due_ns < wake)
            wake = due_ns;
    }
    return wake;
}

static bool handle_event(struct loop *loop, const struct epoll_event *event)
{
    if (event->data.u32 == STOP_CONNECTION) {
        loop->sending = false;
        if (epoll_ctl(loop->epoll, EPOLL_CTL_DEL, loop->plan->stop_event, NULL) != 0)
            return fail_errno(loop, "epoll", errno);
        return true;
    }
    struct connection *connection = &loop->load->connections[event->data.u32];
    if ((event->events & EPOLLOUT) != 0 && !flush_connection(loop, connection))
        return false;
    if ((event->events & ~(uint32_t)EPOLLOUT) == 0)
        return true;
    if (!receive(loop, connection))
        return false;
    return loop->plan->options->rate > 0 || connection->free_count == 0 || fill(loop, connection);
}

static bool wait_and_handle(struct loop *loop)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t wake = wake_ns(loop);
    uint64_t now_ns = load_now_ns();
    uint64_t wait_ns = wake > now_ns ? wake - now_ns : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                               .tv_nsec = (long)(wait_ns % NS_PER_S)};
    int ready = epoll_pwait2(loop->epoll, events, EVENTS_MAX, &timeout, NULL);
    if (ready < 0 && errno != EINTR)
        return fail_errno(loop, "epoll", errno);
    for (int i = 0; i < ready; i++)
        if (!handle_event(loop, &events[i]))
            return false;
    if (ready == 0 && loop->under_way > 0 &&
        load_now_ns() - loop->heard_ns >= (uint64_t)loop->plan->options->timeout_ms * NS_PER_MS)
        return fail(loop, "no reply came for %u ms, with %u calls under way",
                    loop->plan->options->timeout_ms, loop->under_way);
    return true;
}

static void show_progress(struct loop *loop)
{
    const struct totals *totals = &loop->load->totals;
    atomic_store_explicit(&loop->load->calls_so_far, totals->calls, memory_order_relaxed);
    atomic_store_explicit(&loop->load->refused_so_far, totals->busy + totals->errors,
                          memory_order_relaxed);
}

/* Rounds until all is sent and answered, or something has failed. */
static void rounds(struct loop *loop)
{
    bool is_open = loop->plan->options->rate > 0;
    loop->heard_ns = load_now_ns();
    loop->sending = !atomic_load(&loop->plan->stop);
    for (uint32_t i = 0; !is_open && !loop->failed && i < loop->load->connection_count; i++)
        (void)fill(loop, &loop->load->connections[i]);
    while (!loop->failed && (loop->sending || loop->under_way > 0)) {
        if (is_open && loop->under_way == 0)
            loop->heard_ns = load_now_ns(); /* silence counts from when something was asked */
        if (is_open && loop->sending && !issue(loop))
            break;
        if (!wait_and_handle(loop))
            break;
        show_progress(loop);
    }
    loop->load->totals.unanswered = loop->under_way;
}

/* ---- setting up ---------------------------------------------------------------------------- */

static bool watch(struct loop *loop, int descriptor, uint32_t number)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, descriptor, &event) != 0)
        return fail_errno(loop, "epoll", errno);
    return true;
}

static bool set_up(struct loop *loop)
{
    struct load *load = loop->load;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->received = malloc(RECEIVE_BYTES);
    loop->queued = calloc(load->connection_count, sizeof(struct connection *));
    if (loop->received == NULL || loop->queued == NULL)
        return fail_for_memory(loop, "the load");
    if (loop->epoll < 0)
        return fail_errno(loop, "epoll", errno);
    for (uint32_t i = 0; i < load->connection_count; i++) {
        loop->free_slots += load->connections[i].free_count;
        if (!watch(loop, load->connections[i].socket, i))
            return false;
    }
    if (load->plan->options->rate > 0)
        loop->issue_max = schedule_due_calls(&load->schedule, load->plan->end_ns - 1);
    /* A timer's usual slack of 50 us would be added to every call of an open loop. */
    (void)prctl(PR_SET_TIMERSLACK, 1);
    return watch(loop, load->plan->stop_event, STOP_CONNECTION);
}

void *load_run(void *argument)
{
    struct load *load = argument;
    struct loop loop = {.load = load,
                        .plan = load->plan,
                        .epoll = -1,
                        .random = 0x9e3779b97f4a7c15u + load->schedule.share};
    if (set_up(&loop))
        rounds(&loop);
    if (loop.epoll >= 0)
        close(loop.epoll);
    free(loop.received);
    free(loop.queued);
    CHECK(sem_post(load->ended) == 0);
    return NULL;
}
