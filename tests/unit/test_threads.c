/* test_threads.c: the engine with its threads on the real system: many submitters at once, a stop
 * under load, a log file cut short under the engine. Built with ThreadSanitizer as well. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "engine/os.h"
#include "engine/urn.h"

#define SUBMITTERS        4u
#define REQUESTS_EACH     400u
#define DRAWS_PER_REQUEST 7u

static const struct urn_item_spec items[] = {
    {"gold", 4, 1000, 30},
    {"mud", 3, URN_UNLIMITED, 70},
};
static const struct urn_pool_spec pools[] = {{"main", 4, 2, items}};

struct fixture {
    char folder[64];
    char data_dir[80];
    struct urn_engine_config config;
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error;
    sem_t notified;
};

static void on_notify(void *context)
{
    struct fixture *fixture = context;
    CHECK(sem_post(&fixture->notified) == 0);
}

static void wait_for_notice(struct fixture *fixture)
{
    while (sem_wait(&fixture->notified) != 0)
        CHECK(errno == EINTR);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    CHECK(fixture != NULL);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/urn-test-XXXXXX");
    CHECK(mkdtemp(fixture->folder) != NULL);
    snprintf(fixture->data_dir, sizeof fixture->data_dir, "%s/data", fixture->folder);
    CHECK(sem_init(&fixture->notified, 0, 0) == 0);
    fixture->config = (struct urn_engine_config){.data_dir = fixture->data_dir,
                                                 .create = true,
                                                 .pools = pools,
                                                 .pool_count = 1,
                                                 .interval_ns = WAL_INTERVAL_NS_MIN,
                                                 .segment_size_bytes = 1u << 20,
                                                 .segments = 3,
                                                 .flush_after_n_draw = 256,
                                                 .max_batch = 1000,
                                                 .max_pools = 4,
                                                 .max_items = 100,
                                                 .queue_requests = 4096,
                                                 .queue_draws = 1000000,
                                                 .notify = on_notify,
                                                 .notify_context = fixture};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture->folder);
    CHECK(system(command) == 0);
    sem_destroy(&fixture->notified);
    free(fixture);
    return 0;
}

static void open_engine(struct fixture *fixture)
{
    if (urn_engine_open(&fixture->config, &fixture->engine, &fixture->report, &fixture->error) !=
        URN_OK)
        fail_msg("%s", fixture->error.text);
}

struct submitter {
    pthread_t thread;
    struct urn_engine *engine;
    struct fixture *here; /* it works at what it submits; NULL: it does not */
    struct urn_request requests[REQUESTS_EACH];
    uint32_t outcomes[REQUESTS_EACH][DRAWS_PER_REQUEST];
};

static void fill(struct urn_request *request, uint32_t count, uint32_t *outcomes)
{
    *request = (struct urn_request){.op = URN_DRAW,
                                    .pool_name = "main",
                                    .pool_name_bytes = 4,
                                    .count = count,
                                    .outcomes = outcomes};
}

static bool submit_here(struct urn_engine *engine, struct urn_request *list)
{
    return urn_submit_quietly(engine, list) && urn_work_here(engine);
}

static void *submit_all(void *argument)
{
    struct submitter *submitter = argument;
    for (uint32_t i = 0; i < REQUESTS_EACH; i++) {
        fill(&submitter->requests[i], DRAWS_PER_REQUEST, submitter->outcomes[i]);
        if (submitter->here == NULL)
            urn_submit(submitter->engine, &submitter->requests[i]);
        else if (submit_here(submitter->engine, &submitter->requests[i]))
            on_notify(submitter->here); /* who collects is another thread */
    }
    return NULL;
}

/* Collects until so many requests are back; returns how many ended with the code. */
static uint32_t collect(struct fixture *fixture, uint32_t wanted, enum urn_code code)
{
    uint32_t with_code = 0;
    for (uint32_t back = 0; back < wanted;) {
        wait_for_notice(fixture);
        for (struct urn_request *request = urn_collect(fixture->engine); request != NULL;
             request = request->next, back++)
            with_code += request->code == code;
    }
    return with_code;
}

/* Where ids go on when so many draws were made before: relaxed, what was reserved is left behind. */
static void assert_goes_on_behind(const struct fixture *fixture, uint64_t draws)
{
    uint64_t gap = fixture->config.mode == URN_WAL_COMMIT ? 0 : RESERVED_IDS;
    assert_in_range(fixture->report.next_request_id, draws + 1, draws + 1 + gap);
}

static void many_submitters(struct fixture *fixture, enum urn_wal_mode mode, uint32_t here)
{
    fixture->config.mode = mode;
    open_engine(fixture);
    struct submitter *submitters = calloc(SUBMITTERS, sizeof *submitters);
    assert_non_null(submitters);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        submitters[i].engine = fixture->engine;
        submitters[i].here = i < here ? fixture : NULL;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_all, &submitters[i]),
                         0);
    }
    assert_int_equal(collect(fixture, SUBMITTERS * REQUESTS_EACH, URN_OK),
                     SUBMITTERS * REQUESTS_EACH);
    uint32_t draws = SUBMITTERS * REQUESTS_EACH * DRAWS_PER_REQUEST;
    uint8_t *seen = calloc(draws + 1, 1);
    assert_non_null(seen);
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        for (uint32_t j = 0; j < REQUESTS_EACH; j++)
            for (uint64_t k = 0; k < DRAWS_PER_REQUEST; k++) {
                uint64_t id = submitters[i].requests[j].first_request_id + k;
                assert_in_range(id, 1, draws);
                assert_int_equal(seen[id]++, 0);
            }
    }
    free(seen);
    free(submitters);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);

    open_engine(fixture);
    assert_goes_on_behind(fixture, draws);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

static void test_many_submitters_get_ids_without_gap_or_repeat(void **state)
{
    many_submitters(*state, URN_WAL_COMMIT, 0);
}

static void test_many_submitters_in_mode_interval(void **state)
{
    many_submitters(*state, URN_WAL_INTERVAL, 0);
}

static void test_many_submitters_in_mode_os(void **state)
{
    many_submitters(*state, URN_WAL_OS, 0);
}

static void test_many_submitters_of_which_some_do_the_work(void **state)
{
    many_submitters(*state, URN_WAL_COMMIT, SUBMITTERS / 2);
}

static void test_one_submitter_beside_many_does_the_work(void **state)
{
    many_submitters(*state, URN_WAL_COMMIT, 1);
}

static void test_many_submitters_that_do_the_work_in_mode_interval(void **state)
{
    many_submitters(*state, URN_WAL_INTERVAL, SUBMITTERS);
}

static void test_many_submitters_that_do_the_work_in_mode_os(void **state)
{
    many_submitters(*state, URN_WAL_OS, SUBMITTERS);
}

static void stop_under_load(struct fixture *fixture, enum urn_wal_mode mode, bool here)
{
    fixture->config.mode = mode;
    open_engine(fixture);
    struct submitter *submitter = calloc(1, sizeof *submitter);
    assert_non_null(submitter);
    submitter->engine = fixture->engine;
    submitter->here = here ? fixture : NULL;
    assert_int_equal(pthread_create(&submitter->thread, NULL, submit_all, submitter), 0);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    assert_int_equal(pthread_join(submitter->thread, NULL), 0);
    uint32_t finished = 0;
    uint64_t draws = 0;
    for (struct urn_request *request = urn_collect(fixture->engine); request != NULL;
         request = request->next, finished++) {
        assert_true(request->code == URN_OK || request->code == URN_READONLY);
        draws += request->code == URN_OK ? request->count : 0;
    }
    assert_int_equal(finished, REQUESTS_EACH);
    urn_engine_free(fixture->engine);
    open_engine(fixture);
    assert_goes_on_behind(fixture, draws);
    assert_int_equal(fixture->report.replayed_groups, 0);
    assert_int_equal(fixture->report.rewritten_bytes, 0);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
    free(submitter);
}

static void test_a_stop_under_load_finishes_every_request(void **state)
{
    stop_under_load(*state, URN_WAL_COMMIT, false);
}

static void test_a_stop_under_load_in_mode_interval(void **state)
{
    stop_under_load(*state, URN_WAL_INTERVAL, false);
}

static void test_a_stop_under_load_in_mode_os(void **state)
{
    stop_under_load(*state, URN_WAL_OS, false);
}

static void test_a_stop_under_load_of_who_does_the_work(void **state)
{
    stop_under_load(*state, URN_WAL_COMMIT, true);
}

/* ---- who submits does the work ---------------------------------------------------------------------- */

/* Submits a lone draw. True: it was done here, and nobody was notified. */
static bool draw_here(struct fixture *fixture, enum urn_code code)
{
    struct urn_request request;
    uint32_t outcomes[3];
    fill(&request, 3, outcomes);
    const bool here = submit_here(fixture->engine, &request);
    if (!here)
        wait_for_notice(fixture);
    assert_ptr_equal(urn_collect(fixture->engine), &request);
    assert_null(request.next);
    assert_int_equal(request.code, code);
    return here;
}

/* Draws until the writer has gone to sleep for good: the last two were done here, and the first of them left
 * it nothing to be woken for. */
static void draw_until_it_rests(struct fixture *fixture)
{
    uint32_t in_a_row = 0;
    while (in_a_row < 2)
        in_a_row = draw_here(fixture, URN_OK) ? in_a_row + 1 : 0;
}

static struct urn_engine_info look(const struct fixture *fixture)
{
    struct urn_engine_info info;
    urn_engine_info(fixture->engine, &info);
    return info;
}

static void test_a_lone_draw_is_done_by_who_submits_it(void **state)
{
    struct fixture *fixture = *state;
    open_engine(fixture);
    draw_until_it_rests(fixture);
    const struct urn_engine_info info = look(fixture);
    assert_int_equal(info.durable_lsn, info.staged_lsn);
    assert_int_equal(sem_trywait(&fixture->notified), -1);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
    open_engine(fixture);
    assert_int_equal(fixture->report.next_request_id, info.next_request_id);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

/* The writer slept for ever, behind a mark, when another thread made the draw that wants the next one. */
static void test_a_mark_follows_a_draw_that_was_done_here(void **state)
{
    struct fixture *fixture = *state;
    open_engine(fixture);
    for (uint32_t marks = 1; marks <= 3; marks++) {
        draw_until_it_rests(fixture);
        while (look(fixture).marks < marks)
            usleep(1000);
        const uint64_t draws = look(fixture).draws;
        while (!draw_here(fixture, URN_OK))
            ;
        assert_true(look(fixture).draws > draws);
    }
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

/* What the writer does between groups is done all the same: snapshots, and so room for the next lap. */
static void test_laps_of_who_does_the_work(void **state)
{
    enum { COUNT = 1000, LAPS = 4 };
    static struct urn_request request;
    static uint32_t outcomes[COUNT];
    struct fixture *fixture = *state;
    fixture->config.segment_size_bytes = 256u << 10;
    open_engine(fixture);
    uint32_t here = 0, all = 0;
    for (; look(fixture).acknowledged_lsn < LAPS * look(fixture).ring_bytes; all++) {
        fill(&request, COUNT, outcomes);
        if (submit_here(fixture->engine, &request))
            here++;
        struct urn_request *done;
        while ((done = urn_collect(fixture->engine)) == NULL)
            wait_for_notice(fixture);
        assert_ptr_equal(done, &request);
        assert_true(done->code == URN_OK ||
                    done->code == URN_BUSY); /* a disk that others keep busy */
    }
    assert_true(here > all / 2);
    assert_true(look(fixture).snapshots > LAPS);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

static void test_a_segment_cut_short_under_who_does_the_work(void **state)
{
    struct fixture *fixture = *state;
    open_engine(fixture);
    draw_until_it_rests(fixture);
    char path[128];
    snprintf(path, sizeof path, "%s/segment-0000", fixture->data_dir);
    assert_int_equal(truncate(path, 0), 0);
    (void)draw_here(fixture, URN_INDOUBT);
    assert_true(look(fixture).failed);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_IO);
    urn_engine_free(fixture->engine);
}

/* What takes several turns goes on without the thread that began it. */
static void test_a_long_change_that_was_begun_here(void **state)
{
    enum { ITEMS = 20000, NAME = 16 };
    static char names[ITEMS][NAME];
    static struct urn_item_spec many[ITEMS];
    struct fixture *fixture = *state;
    fixture->config.segment_size_bytes = 4u << 20;
    fixture->config.max_items = 2 * ITEMS;
    open_engine(fixture);
    for (uint32_t i = 0; i < ITEMS; i++) {
        const int length = snprintf(names[i], NAME, "item-%u", i);
        many[i] = (struct urn_item_spec){names[i], (uint32_t)length, 5, 1};
    }
    const struct urn_pool_spec wanted = {"many", 4, ITEMS, many};
    static const enum urn_op ops[] = {URN_CREATE, URN_RELOAD}; /* added; compared */
    for (uint32_t i = 0; i < 2; i++) {
        const uint64_t marks = look(fixture).marks;
        draw_until_it_rests(fixture);
        while (look(fixture).marks == marks) /* then the writer sleeps for ever */
            usleep(1000);
        struct urn_request request = {.op = ops[i], .pools = &wanted, .pool_count = 1};
        (void)submit_here(fixture->engine, &request);
        struct urn_request *done;
        while ((done = urn_collect(fixture->engine)) == NULL)
            wait_for_notice(fixture);
        assert_ptr_equal(done, &request);
        assert_int_equal(done->code, URN_OK);
    }
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

/* Storing behind the end of a file raises SIGBUS; the engine must turn it into a fail stop. */
static void test_a_segment_cut_short_is_a_fail_stop(void **state)
{
    struct fixture *fixture = *state;
    open_engine(fixture);
    char path[128];
    snprintf(path, sizeof path, "%s/segment-0000", fixture->data_dir);
    assert_int_equal(truncate(path, 0), 0);
    struct urn_request request;
    uint32_t outcomes[3];
    fill(&request, 3, outcomes);
    urn_submit(fixture->engine, &request);
    assert_int_equal(collect(fixture, 1, URN_INDOUBT), 1);
    struct urn_engine_info info;
    urn_engine_info(fixture->engine, &info);
    assert_true(info.failed);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_IO);
    assert_non_null(strstr(fixture->error.text, "segment-0000"));
    urn_engine_free(fixture->engine);
}

static void test_the_lock_keeps_a_second_engine_out(void **state)
{
    struct fixture *fixture = *state;
    open_engine(fixture);
    struct urn_engine *second;
    struct urn_start_report report;
    assert_int_equal(urn_engine_open(&fixture->config, &second, &report, &fixture->error),
                     URN_INUSE);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

/* Whether this system lets a process have an io_uring with registered buffers, as large as snapshots need
 * them. */
static bool uring_works(void)
{
    enum { BUFFERS = 8, BYTES = 65536 };
    static uint8_t memory[BUFFERS][BYTES];
    struct iovec buffers[BUFFERS];
    struct io_uring ring;
    if (io_uring_queue_init(BUFFERS, &ring, 0) != 0)
        return false;
    for (uint32_t i = 0; i < BUFFERS; i++)
        buffers[i] = (struct iovec){memory[i], BYTES};
    bool works = io_uring_register_buffers(&ring, buffers, BUFFERS) == 0;
    io_uring_queue_exit(&ring);
    return works;
}

/* Several laps at full load, the snapshots written in this way. A disk that others keep busy may let the ring
 * fill: those requests are told so, have had no effect, and come again. */
static void laps(struct fixture *fixture, enum urn_snapshot_io kind)
{
    enum { IN_FLIGHT = 8, COUNT = 1000, LAPS = 4 };
    static struct urn_request requests[IN_FLIGHT];
    static uint32_t outcomes[IN_FLIGHT][COUNT];
    fixture->config.segment_size_bytes = 256u << 10;
    fixture->config.snapshot_io = kind;
    open_engine(fixture);
    struct urn_engine_info info;
    urn_engine_info(fixture->engine, &info);
    assert_int_equal(info.snapshot_io_uring, kind != URN_SNAPSHOT_IO_PLAIN && uring_works());
    uint64_t draws = 0;
    uint64_t busy = 0;
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < IN_FLIGHT; i++, in_flight++) {
        fill(&requests[i], COUNT, outcomes[i]);
        urn_submit(fixture->engine, &requests[i]);
    }
    while (in_flight > 0) {
        wait_for_notice(fixture);
        urn_engine_info(fixture->engine, &info);
        bool more = info.acknowledged_lsn < LAPS * info.ring_bytes;
        struct urn_request *next;
        for (struct urn_request *done = urn_collect(fixture->engine); done != NULL; done = next) {
            next = done->next;
            assert_true(done->code == URN_OK || done->code == URN_BUSY);
            draws += done->code == URN_OK ? done->count : 0;
            busy += done->code == URN_BUSY;
            in_flight -= !more;
            done->next = NULL;
            if (more)
                urn_submit(fixture->engine, done);
        }
    }
    struct urn_request snapshot = {.op = URN_SNAPSHOT};
    urn_submit(fixture->engine, &snapshot);
    assert_int_equal(collect(fixture, 1, URN_OK), 1);
    urn_engine_info(fixture->engine, &info);
    assert_int_equal(snapshot.lsn, info.snapshot_lsn);
    assert_int_equal(info.busy, busy);
    assert_int_equal(info.snapshots_failed, 0);
    assert_true(info.snapshots >= LAPS);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
    open_engine(fixture);
    assert_goes_on_behind(fixture, draws);
    assert_int_equal(fixture->report.replayed_groups, 0);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
}

/* Enough draws for more than one reservation, too. */
static void test_laps_in_mode_interval(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.mode = URN_WAL_INTERVAL;
    laps(fixture, URN_SNAPSHOT_IO_BEST);
}

static void test_laps_in_mode_os(void **state)
{
    struct fixture *fixture = *state;
    fixture->config.mode = URN_WAL_OS;
    laps(fixture, URN_SNAPSHOT_IO_BEST);
}

static void test_laps_with_snapshots_in_the_best_way(void **state)
{
    laps(*state, URN_SNAPSHOT_IO_BEST);
}

static void test_laps_with_plain_snapshots(void **state)
{
    laps(*state, URN_SNAPSHOT_IO_PLAIN);
}

static void test_laps_with_io_uring(void **state)
{
    if (!uring_works())
        skip();
    laps(*state, URN_SNAPSHOT_IO_URING);
}

/* ---- lookups --------------------------------------------------------------------------------- */

#define LOOKED_IDS (4u << 20)

struct looking {
    struct fixture *fixture;
    uint8_t *outcomes; /* by id; what was answered */
    uint64_t answered_id;
    uint64_t oldest_id; /* as a lookup said */
    uint64_t found;
    uint64_t random;
    struct urn_error error;
    struct urn_request lookup;
    bool under_way;
};

/* Asks for any id that was answered, or for the one that comes next. */
static void ask(struct looking *looking)
{
    looking->random = looking->random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t ids = looking->answered_id - looking->oldest_id + 2;
    looking->error.code = URN_OK;
    looking->lookup =
        (struct urn_request){.op = URN_LOOKUP,
                             .request_id = looking->oldest_id + (looking->random >> 20) % ids,
                             .error = &looking->error};
    looking->lookup.context = &looking->lookup;
    looking->under_way = true;
    urn_submit(looking->fixture->engine, &looking->lookup);
}

static void check_lookup(struct looking *looking)
{
    const struct urn_request *done = &looking->lookup;
    const uint64_t id = done->request_id;
    looking->under_way = false;
    if (done->code == URN_OK) {
        /* Perhaps it was answered meanwhile and not collected: then it is still to come. */
        if (id <= looking->answered_id)
            assert_int_equal(done->outcome, looking->outcomes[id]);
        looking->found++;
    } else {
        assert_int_equal(done->code, URN_NOTFOUND);
        if (strstr(looking->error.text, "not been given yet") != NULL) {
            assert_true(id == done->last_request_id + 1);
        } else {
            assert_non_null(strstr(looking->error.text, "older than what is kept"));
            looking->oldest_id = done->first_request_id;
            assert_true(id < looking->oldest_id);
        }
    }
}

static void note_draws(struct looking *looking, const struct urn_request *draw)
{
    const uint64_t last = draw->first_request_id + draw->count - 1;
    assert_true(last < LOOKED_IDS);
    for (uint32_t i = 0; i < draw->count; i++)
        looking->outcomes[draw->first_request_id + i] = (uint8_t)draw->outcomes[i];
    looking->answered_id = last;
}

/* Every one of some ids of any age is found, or older than what is kept. */
static void look_up_some(struct looking *looking)
{
    for (uint32_t i = 0; i < 200; i++) {
        ask(looking);
        while (urn_collect(looking->fixture->engine) == NULL)
            wait_for_notice(looking->fixture);
        check_lookup(looking);
    }
}

/* Draws round the ring, and a lookup under way all the time; then what was there before a start. */
static void lookups(struct fixture *fixture, enum urn_wal_mode mode)
{
    enum { IN_FLIGHT = 8, COUNT = 1000, LAPS = 2 };
    static struct urn_request requests[IN_FLIGHT];
    static uint32_t outcomes[IN_FLIGHT][COUNT];
    struct looking looking = {.fixture = fixture, .oldest_id = 1};
    looking.outcomes = calloc(LOOKED_IDS, 1);
    assert_non_null(looking.outcomes);
    fixture->config.segment_size_bytes = 256u << 10;
    fixture->config.mode = mode;
    open_engine(fixture);
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < IN_FLIGHT; i++, in_flight++) {
        fill(&requests[i], COUNT, outcomes[i]);
        urn_submit(fixture->engine, &requests[i]);
    }
    ask(&looking);
    while (in_flight > 0 || looking.under_way) {
        struct urn_engine_info info;
        wait_for_notice(fixture);
        urn_engine_info(fixture->engine, &info);
        const bool more = info.acknowledged_lsn < LAPS * info.ring_bytes;
        struct urn_request *next;
        for (struct urn_request *done = urn_collect(fixture->engine); done != NULL; done = next) {
            next = done->next;
            done->next = NULL;
            if (done->op == URN_LOOKUP) {
                check_lookup(&looking);
                continue;
            }
            assert_true(done->code == URN_OK || done->code == URN_BUSY);
            if (done->code == URN_OK)
                note_draws(&looking, done);
            in_flight -= !more;
            if (more)
                urn_submit(fixture->engine, done);
        }
        if (more && !looking.under_way)
            ask(&looking);
    }
    assert_true(looking.found > 0);
    assert_true(looking.oldest_id > 1);
    look_up_some(&looking);
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    urn_engine_free(fixture->engine);
    open_engine(fixture);
    if (mode == URN_WAL_COMMIT)
        look_up_some(&looking);
    ask(&looking); /* it is under way, or not, when the stop comes */
    assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
    assert_ptr_equal(urn_collect(fixture->engine), &looking.lookup);
    urn_engine_free(fixture->engine);
    free(looking.outcomes);
}

static void test_lookups_beside_laps(void **state)
{
    lookups(*state, URN_WAL_COMMIT);
}

static void test_lookups_beside_laps_in_mode_interval(void **state)
{
    lookups(*state, URN_WAL_INTERVAL);
}

/* ---- with an archive --------------------------------------------------------------------------- */

#define LOOKERS 3u

/* Of everything at once: draws round the ring, lookups of any age in ring and archive, snapshots, copies. */
struct bustle {
    struct looking lookings[LOOKERS];
    struct urn_request snapshot;
    uint64_t snapshots;
    bool snapshot_under_way;
};

static void ask_for_snapshot(struct fixture *fixture, struct bustle *bustle)
{
    bustle->snapshot = (struct urn_request){.op = URN_SNAPSHOT};
    bustle->snapshot_under_way = true;
    urn_submit(fixture->engine, &bustle->snapshot);
}

static bool is_quiet(const struct bustle *bustle)
{
    bool quiet = !bustle->snapshot_under_way;
    for (uint32_t i = 0; i < LOOKERS; i++)
        quiet = quiet && !bustle->lookings[i].under_way;
    return quiet;
}

/* True: it was not a draw. */
static bool take_other(struct bustle *bustle, const struct urn_request *done)
{
    for (uint32_t i = 0; i < LOOKERS; i++)
        if (done == &bustle->lookings[i].lookup) {
            check_lookup(&bustle->lookings[i]);
            return true;
        }
    if (done != &bustle->snapshot)
        return false;
    bustle->snapshot_under_way = false;
    bustle->snapshots += done->code == URN_OK;
    return true;
}

static void take_draw(struct bustle *bustle, const struct urn_request *done)
{
    assert_true(done->code == URN_OK || done->code == URN_BUSY);
    for (uint32_t i = 0; i < LOOKERS && done->code == URN_OK; i++)
        note_draws(&bustle->lookings[i], done);
}

static void ask_on(struct fixture *fixture, struct bustle *bustle)
{
    for (uint32_t i = 0; i < LOOKERS; i++)
        if (!bustle->lookings[i].under_way)
            ask(&bustle->lookings[i]);
    if (!bustle->snapshot_under_way)
        ask_for_snapshot(fixture, bustle);
}

/* Until the log has gone round so many times, and all that was asked is answered. */
static void go_round(struct fixture *fixture, struct bustle *bustle, uint64_t laps_wanted)
{
    enum { IN_FLIGHT = 4, COUNT = 1000 };
    static struct urn_request requests[IN_FLIGHT];
    static uint32_t outcomes[IN_FLIGHT][COUNT];
    uint32_t in_flight = 0;
    for (uint32_t i = 0; i < IN_FLIGHT; i++, in_flight++) {
        fill(&requests[i], COUNT, outcomes[i]);
        urn_submit(fixture->engine, &requests[i]);
    }
    while (in_flight > 0 || !is_quiet(bustle)) {
        struct urn_engine_info info;
        wait_for_notice(fixture);
        urn_engine_info(fixture->engine, &info);
        const bool more = info.acknowledged_lsn < laps_wanted * info.ring_bytes;
        struct urn_request *next;
        for (struct urn_request *done = urn_collect(fixture->engine); done != NULL; done = next) {
            next = done->next;
            done->next = NULL;
            if (take_other(bustle, done))
                continue;
            take_draw(bustle, done);
            in_flight -= !more;
            if (more)
                urn_submit(fixture->engine, done);
        }
        if (more && bustle->lookings[0].answered_id > 0)
            ask_on(fixture, bustle);
    }
}

/* Nothing is forgotten: every id that was answered is found, in the ring or in the archive. */
static void archiving(struct fixture *fixture, enum urn_wal_mode mode)
{
    enum { LAPS_EACH = 2 };
    char archive[96];
    struct bustle bustle = {.snapshots = 0};
    uint8_t *outcomes = calloc(LOOKED_IDS, 1);
    assert_non_null(outcomes);
    snprintf(archive, sizeof archive, "%s/archive", fixture->folder);
    fixture->config.archive = archive;
    fixture->config.segment_size_bytes = 128u << 10;
    fixture->config.segments = 4;
    fixture->config.mode = mode;
    for (uint32_t i = 0; i < LOOKERS; i++)
        bustle.lookings[i] =
            (struct looking){.fixture = fixture, .outcomes = outcomes, .oldest_id = 1, .random = i};
    for (uint64_t life = 1; life <= 2; life++) {
        open_engine(fixture);
        go_round(fixture, &bustle, life * LAPS_EACH);
        struct urn_engine_info info;
        urn_engine_info(fixture->engine, &info);
        assert_true(info.archived_lsn + info.ring_bytes >= info.acknowledged_lsn);
        assert_int_equal(info.archive_gaps, 0);
        assert_int_equal(info.archive_failures, 0);
        for (uint32_t i = 0; i < LOOKERS; i++)
            assert_int_equal(bustle.lookings[i].oldest_id, 1);
        assert_int_equal(urn_engine_stop(fixture->engine, &fixture->error), URN_OK);
        assert_false(urn_engine_archive_hangs(fixture->engine));
        urn_engine_free(fixture->engine);
    }
    assert_true(bustle.snapshots > 0);
    assert_true(bustle.lookings[0].found > 10);
    free(outcomes);
}

static void test_archiving_beside_all_else(void **state)
{
    archiving(*state, URN_WAL_COMMIT);
}

/* ---- the lock -------------------------------------------------------------------------------- */

struct looker {
    int fd;
    atomic_bool ended;
};

/* What urn-wal does to see whether a server is there, without a pause. */
static void *look_at_the_lock(void *context)
{
    struct looker *looker = context;
    while (!atomic_load(&looker->ended)) {
        if (flock(looker->fd, LOCK_SH | LOCK_NB) == 0)
            CHECK(flock(looker->fd, LOCK_UN) == 0);
    }
    return NULL;
}

static void test_a_look_at_the_lock_keeps_nobody_from_taking_it(void **state)
{
    struct fixture *fixture = *state;
    struct os_dir *dir = NULL;
    struct os_file *lock = NULL;
    struct os_file *second = NULL;
    pthread_t thread;
    struct looker looker = {.ended = false};
    assert_int_equal(os_dir_open(os_default(), fixture->folder, &dir), 0);
    assert_int_equal(os_dir_lock(dir, "LOCK", true, &lock), 0);
    assert_int_equal(os_dir_lock(dir, "LOCK", true, &second), EWOULDBLOCK);
    os_file_close(lock);
    char path[sizeof fixture->folder + 8];
    snprintf(path, sizeof path, "%s/LOCK", fixture->folder);
    looker.fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(looker.fd >= 0);
    assert_int_equal(pthread_create(&thread, NULL, look_at_the_lock, &looker), 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(os_dir_lock(dir, "LOCK", false, &lock), 0);
        os_file_close(lock);
    }
    atomic_store(&looker.ended, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(looker.fd);
    os_dir_close(dir);
    assert_int_equal(remove(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_many_submitters_get_ids_without_gap_or_repeat, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_under_load_finishes_every_request, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_many_submitters_in_mode_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_submitters_in_mode_os, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_under_load_in_mode_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_under_load_in_mode_os, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_submitters_of_which_some_do_the_work, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_one_submitter_beside_many_does_the_work, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_many_submitters_that_do_the_work_in_mode_interval,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_submitters_that_do_the_work_in_mode_os, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_under_load_of_who_does_the_work, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_lone_draw_is_done_by_who_submits_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_mark_follows_a_draw_that_was_done_here, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_laps_of_who_does_the_work, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_change_that_was_begun_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_segment_cut_short_under_who_does_the_work, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_laps_in_mode_interval, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_laps_in_mode_os, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_segment_cut_short_is_a_fail_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_lock_keeps_a_second_engine_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookups_beside_laps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lookups_beside_laps_in_mode_interval, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_archiving_beside_all_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_look_at_the_lock_keeps_nobody_from_taking_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_laps_with_snapshots_in_the_best_way, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_laps_with_plain_snapshots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_laps_with_io_uring, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
