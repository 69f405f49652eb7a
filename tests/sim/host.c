/* host.c: see host.h. */
#include "tests/sim/host.h"

#include <inttypes.h>

#include "engine/check.h"
#include "tests/sim/host_windows.h"
#include "tests/sim/verdict.h"

#define STEPS_MAX             100000u /* more without coming to rest is a livelock */
#define COLLECT_AMID_ONE_IN   4u
#define COLLECT_LOOKUP_ONE_IN 2u

/* Sees every call before it is decided about, and keeps the window that it stands in. */
static void watch_call(void *context, const struct sim_event *call)
{
    struct host *host = context;
    if (!host->step_is_start) {
        host->last_call = *call;
        /* Whoever collects does so at any time: what is answered may be heard amid the next step. */
        if (window_is_log_call(call->call) && host->engine != NULL &&
            sim_random_one_in(&host->luck, COLLECT_AMID_ONE_IN))
            host_collect(host);
        return;
    }
    window_note_start_call(host, call);
}

/* ---- life ------------------------------------------------------------------------------------ */

void host_make(struct host *host, const struct scenario *scenario, struct coverage *coverage,
               uint64_t seed)
{
    *host = (struct host){.world = sim_world_make(seed),
                          .scenario = scenario,
                          .oracle = oracle_make(scenario),
                          .coverage = coverage,
                          .rigour = ORACLE_ADOPT,
                          .finding = {.found_lsn = UINT64_MAX},
                          .luck = sim_random_stream(seed, 100)};
    host->clients.scenario = scenario;
    host->clients.book = book_make(scenario, seed);
    sim_set_observer(host->world, watch_call, host);
}

static bool is_newer(struct snapshot_name a, struct snapshot_name b)
{
    return a.lsn > b.lsn || (a.lsn == b.lsn && a.serial > b.serial);
}

bool host_has_damaged_snapshot(struct host *host)
{
    const struct snapshot_ledger *ledger = &host->engine->writer.snapshots.ledger;
    if (ledger->count == 2 && is_newer(ledger->older, host->damaged))
        host->is_damaged = false;
    return host->is_damaged;
}

/* Every snapshot that ever got its name had been verified, so that none is refused but one that was damaged
 * since; and the newest that counted is found. */
static void check_snapshots(const struct host *host, const struct urn_start_report *report)
{
    PROMISE(report->snapshots_refused <= host->is_damaged, "%u snapshots were refused",
            report->snapshots_refused);
    PROMISE(host->is_damaged || report->snapshot_lsn >= host->counted_lsn,
            "the snapshot at LSN %" PRIu64 " was loaded, but the one at LSN %" PRIu64
            " had counted",
            report->snapshot_lsn, host->counted_lsn);
}

/* What is worth knowing of an engine whose life ends. */
static void note_end(struct host *host)
{
    struct urn_engine_info info;
    urn_engine_info(host->engine, &info);
    (void)host_has_damaged_snapshot(host);
    if (host->adopted) {
        host->finding.durable_lsn = info.durable_lsn;
        host->finding.mode = host->engine->mode;
    }
    if (info.snapshot_lsn > host->counted_lsn)
        host->counted_lsn = info.snapshot_lsn;
    host->coverage->archived += info.archived_segments;
    host->coverage->archive_failures += info.archive_failures;
    host->coverage->snapshots += info.snapshots;
    host->coverage->snapshots_failed += info.snapshots_failed;
}

static void close_engine(struct host *host)
{
    if (host->engine != NULL) {
        note_end(host);
        engine_abandon(host->engine);
    }
    host->engine = NULL;
    host->adopted = false;
    host->syncing = false;
    host->log_syncing = false;
    host->stopping = false;
    host->failed = false;
    clients_forget(&host->clients);
    PROMISE(sim_open_handles(host->world) == 0, "%" PRIu64 " handles were left open",
            sim_open_handles(host->world));
}

void host_free(struct host *host)
{
    close_engine(host);
    sim_world_free(host->world);
    oracle_free(host->oracle);
    book_free(host->clients.book);
}

bool host_crashed(const struct host *host)
{
    return sim_crashed(host->world) != SIM_NO_CRASH;
}

struct urn_engine_config host_config(const struct host *host, struct urn_os *os)
{
    struct urn_engine_config config = host->scenario->config;
    config.os = os;
    config.mode = host->mode;
    return config;
}

/* There is no archive yet: which is right only as long as something hinders the engine, as it says. */
static bool archive_is_missing(const struct sim_world *world, struct urn_engine *engine)
{
    const struct archive_task *task = &engine->archive;
    char path[sizeof task->path + sizeof ARCHIVE_IDENTITY];
    if (!task->on)
        return false;
    snprintf(path, sizeof path, "%s/" ARCHIVE_IDENTITY, task->path);
    if (sim_file_exists(world, path))
        return false;
    struct urn_error why;
    urn_engine_archive_failure(engine, &why);
    PROMISE(why.code != URN_OK, "the archive is not there, and nothing hinders it");
    return true;
}

/* The oracle goes on from this engine. */
static void adopt(struct host *host)
{
    host->adopted = true;
    host->finding = (struct oracle_finding){.found_lsn = UINT64_MAX};
    host->coverage->lives[host->mode]++;
}

enum urn_code host_open(struct host *host)
{
    CHECK(host->engine == NULL);
    struct urn_engine_config config = host_config(host, sim_os(host->world));
    host->error = (struct urn_error){0};
    host->step_is_start = true;
    host->last_call = (struct sim_event){0};
    enum urn_code code = engine_open_steps(&config, &host->engine, &host->report, &host->error);
    window_note_crash(host);
    host->step_is_start = false;
    if (host->report.recovery_case != 0 && host->report.end_lsn < host->finding.found_lsn)
        host->finding.found_lsn = host->report.end_lsn;
    if (code != URN_OK) {
        trace("open: %s %s", urn_code_text(code), host->error.text);
        PROMISE(code == host->error.code && host->error.text[0] != '\0', "a refusal says nothing");
        host->engine = NULL;
        PROMISE(sim_open_handles(host->world) == 0, "a failed open left handles");
        if (!host_crashed(host))
            coverage_start(host->coverage, code, &host->report, &host->error);
        return code;
    }
    if (host_crashed(host))
        return URN_OK; /* in a call that does not matter to the engine; the caller looks */
    coverage_start(host->coverage, code, &host->report, &host->error);
    trace("open: epoch %" PRIu64 ", case D%u, log ends at %" PRIu64 ", next id %" PRIu64,
          host->report.epoch, host->report.recovery_case, host->report.end_lsn,
          host->report.next_request_id);
    host->data_end_lsn = 0;
    host->closed_subjects = 0;
    host->finished_subjects = 0;
    host->plenty_ns = os_monotonic_ns(config.os);
    if (sim_last_event(host->world)->error == 0) /* else one may not have been readable */
        check_snapshots(host, &host->report);
    host->finding.report = &host->report;
    host->finding.archive_is_missing = archive_is_missing(host->world, host->engine);
    sim_set_quiet(host->world, true);
    oracle_check_start(host->oracle, host->engine, &host->finding, host->rigour);
    oracle_check_lookups(host->oracle, host->engine, &host->finding, host->coverage, &host->luck);
    sim_set_quiet(host->world, false);
    if (host->rigour == ORACLE_ADOPT)
        adopt(host);
    return URN_OK;
}

void host_must_open(struct host *host)
{
    enum urn_code code = host_open(host);
    PROMISE(code == URN_OK, "a start that nothing hindered was refused: %s %s", urn_code_text(code),
            host->error.text);
}

void host_crash(struct host *host, enum sim_crash kind)
{
    if (!host_crashed(host)) {
        window_note_crash_between(host, kind);
        sim_crash_now(host->world, kind);
    }
    close_engine(host);
}

void host_crash_behind_step(struct host *host, uint64_t nth, enum sim_crash kind)
{
    host->steps_left = nth;
    host->step_crash = kind;
}

/* To be called behind every step. */
static void count_step(struct host *host)
{
    if (host->steps_left == 0 || --host->steps_left > 0 || host_crashed(host))
        return;
    window_note_crash_between(host, host->step_crash);
    sim_crash_now(host->world, host->step_crash);
}

void host_restart(struct host *host)
{
    CHECK(host->engine == NULL);
    if (sim_is_stopped(host->world))
        sim_crash_now(host->world, SIM_CRASH_MACHINE);
    if (host_crashed(host))
        host->coverage->starts_after_crash++;
    if (sim_crashed(host->world) == SIM_CRASH_MACHINE)
        host->finding.power_was_lost = true;
    sim_restart(host->world);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static uint64_t log_calls(const struct sim_world *world)
{
    return sim_calls_of(world, SIM_MAP_WRITE) + sim_calls_of(world, SIM_MAP_SYNC_BEGIN) +
           sim_calls_of(world, SIM_FILE_WRITE) + sim_calls_of(world, SIM_FILE_SYNC);
}

/* A failure that has just come: what was finished before is good, and nothing is good from now on.
 */
static void note_failure(struct host *host)
{
    struct urn_engine_info info;
    urn_engine_info(host->engine, &info);
    if (!info.failed || host_crashed(host))
        return;
    if (!host->failed) {
        struct urn_error why;
        urn_engine_failure(host->engine, &why);
        trace("fail stop: %s", why.text);
        PROMISE(why.code == URN_IO && why.text[0] != '\0', "a fail stop does not say why");
        host->failed = true;
        host->coverage->faults++;
        host_collect(host);
        oracle_note_failure(host->oracle);
        host->log_calls_at_failure = log_calls(host->world);
    }
    PROMISE(log_calls(host->world) == host->log_calls_at_failure,
            "P6: the log was written or synced after it had failed");
}

/* Of every other draw, as it were, the client knows the pool. */
static void name_pool_by_itself(const struct host *host, struct urn_request *draw)
{
    if (draw->op != URN_DRAW || draw->count % 2 == 0)
        return;
    const struct urn_pool *known =
        state_find_pool(&host->engine->writer.state, draw->pool_name, draw->pool_name_bytes);
    if (known == NULL)
        return;
    draw->pool = known;
    draw->pool_name = NULL;
    draw->pool_name_bytes = 0;
}

void host_submit(struct host *host, struct client_request *request)
{
    uint32_t in_flight = host->clients.in_flight;
    uint64_t draws = host->clients.draws_in_flight;
    const struct urn_engine_config *config = &host->scenario->config;
    request->findable_id = oracle_draws(host->oracle)->findable_id;
    name_pool_by_itself(host, &request->request);
    urn_submit(host->engine, &request->request);
    request->refused_at_once = request->request.code != URN_OK;
    oracle_check_admission(host->oracle, request,
                           in_flight > config->queue_requests || draws > config->queue_draws);
    if (request->request.code == URN_READONLY)
        PROMISE(host->failed || host->stopping || host_crashed(host),
                "READONLY although nothing failed");
}

/* Requests are sure of room while there is as much as the largest group and its padding can take; and
 * once there is more again, those that find none wait anew. Returns whether BUSY is a right answer. */
static bool watch_room(struct host *host, uint64_t room_bytes, uint64_t limit_before_lsn)
{
    const uint64_t now_ns = os_monotonic_ns(sim_os(host->world));
    if (room_bytes >= 2 * host->scenario->config.segment_size_bytes ||
        atomic_load(&host->engine->room_limit_lsn) > limit_before_lsn)
        host->plenty_ns = now_ns;
    return now_ns - host->plenty_ns >= ROOM_WAIT_NS;
}

bool host_writer_step(struct host *host)
{
    struct urn_engine_info before;
    struct urn_engine_info after;
    urn_engine_info(host->engine, &before);
    const uint64_t limit_lsn = atomic_load(&host->engine->room_limit_lsn);
    bool did = writer_step(host->engine);
    urn_engine_info(host->engine, &after);
    oracle_absorb(host->oracle, &host->clients, host->engine,
                  watch_room(host, before.room_bytes, limit_lsn));
    if (after.staged_lsn > before.staged_lsn) {
        host->closed_subjects = oracle_note_group_end(host->oracle, after.staged_lsn);
        const struct group *group = atomic_load(&host->engine->commit_slot);
        CHECK(group != NULL);
        if (group->kind == WAL_DATA)
            host->data_end_lsn = group->placement.end_lsn;
    }
    note_failure(host);
    host_look_at_archive(host);
    count_step(host);
    return did;
}

enum snapshot_want host_snapshot_step(struct host *host)
{
    struct snapshot_task *task = &host->engine->snapshot;
    host->step_is_snapshot = true;
    host->step = window_of_snapshot(task->step);
    enum snapshot_want want = snapshot_task_step(task);
    window_note_crash(host);
    host->step_is_snapshot = false;
    note_failure(host);
    if (want == SNAPSHOT_WANTS_STEP)
        count_step(host);
    return want;
}

enum archive_want host_archive_step(struct host *host)
{
    struct archive_task *task = &host->engine->archive;
    if (!task->on)
        return ARCHIVE_WANTS_EVENT;
    host->step_is_archive = true;
    host->archive_window = window_of_archive(task->step);
    const enum archive_want want = archive_task_step(task);
    window_note_crash(host);
    host->step_is_archive = false;
    note_failure(host);
    host_look_at_archive(host);
    if (want == ARCHIVE_WANTS_STEP)
        count_step(host);
    return want;
}

bool host_can_begin(const struct host *host)
{
    return !host->syncing && atomic_load(&host->engine->commit_slot) != NULL;
}

static bool past_step(struct host *host)
{
    struct client_request *oldest = (struct client_request *)host->engine->lookups.past.oldest;
    if (oldest != NULL)
        oldest->archive_is_missing = archive_is_missing(host->world, host->engine);
    return lookups_past_step(host->engine);
}

/* Whoever collects at once sees whether anything was found that nobody had been told of. */
bool host_lookup_step(struct host *host)
{
    const bool did = lookups_step(host->engine) || past_step(host);
    window_note_crash(host);
    note_failure(host);
    if (did && !host_crashed(host) && sim_random_one_in(&host->luck, COLLECT_LOOKUP_ONE_IN))
        host_collect(host);
    if (did)
        count_step(host);
    return did;
}

static void note_finished(struct host *host)
{
    if (atomic_load(&host->engine->commit_slot) != NULL)
        return;
    host->finished_subjects = host->closed_subjects;
    host->closed_subjects = 0;
}

void host_commit_begin(struct host *host)
{
    CHECK(host_can_begin(host));
    const struct group *group = atomic_load(&host->engine->commit_slot);
    host->step = group->kind == WAL_MARK ? WINDOW_MARK_COPY : WINDOW_COPY;
    host->step_new_segment = group->has_bytes && group->placement.new_segment;
    host->syncing = engine_commit_begin(host->engine);
    window_note_crash(host);
    note_finished(host);
    note_failure(host);
    count_step(host);
}

void host_commit_end(struct host *host)
{
    CHECK(host->syncing);
    host->syncing = false;
    (void)engine_commit_end(host->engine);
    window_note_crash(host);
    note_finished(host);
    note_failure(host);
    count_step(host);
}

bool host_log_sync_begin(struct host *host)
{
    CHECK(!host->log_syncing);
    host->step_is_log_sync = true;
    host->log_syncing = engine_log_sync_begin(host->engine);
    window_note_crash(host);
    host->step_is_log_sync = false;
    note_failure(host);
    if (host->log_syncing)
        count_step(host);
    return host->log_syncing;
}

void host_log_sync_end(struct host *host)
{
    CHECK(host->log_syncing);
    host->log_syncing = false;
    host->step_is_log_sync = true;
    engine_log_sync_end(host->engine);
    window_note_crash(host);
    host->step_is_log_sync = false;
    note_failure(host);
    count_step(host);
}

/* A lookup may fail for a fault that has struck; else it is right. (Faults of the start are forgotten by then, but an
 * archive that they have kept from being made stays away until the next attempt.) */
static void check_lookup(const struct host *host, const struct client_request *lookup,
                         const struct urn_engine_info *info)
{
    const enum urn_code code = lookup->request.code;
    if (lookup->refused_at_once || code == URN_READONLY)
        return;
    if (code == URN_IO && sim_last_event(host->world)->error != 0)
        return;
    PROMISE(code != URN_IO || lookup->archive_is_missing, "a lookup met no fault: %s",
            lookup->error.text);
    PROMISE(!oracle_has_failed(host->oracle), "P6: a lookup was answered after the log had failed");
    const struct lookup_moment moment = {
        .findable_id = lookup->findable_id,
        .acknowledged_lsn = info->acknowledged_lsn,
        .oldest_lsn = draws_oldest_lsn(host->engine),
        .torn_lsn = oracle_draws(host->oracle)->torn_lsn,
        .lost_lsn = UINT64_MAX,
        .archive_is_missing = lookup->archive_is_missing,
    };
    draws_check(oracle_draws(host->oracle), &lookup->request, &moment, host->coverage);
}

void host_collect(struct host *host)
{
    if (host_crashed(host))
        return; /* nobody is there to hear */
    struct urn_request *list = urn_collect(host->engine);
    struct urn_engine_info info;
    urn_engine_info(host->engine, &info);
    bool drew = false;
    while (list != NULL) {
        struct client_request *collected = (struct client_request *)list;
        list = list->next;
        PROMISE(!collected->collected, "a request came back twice");
        collected->collected = true;
        host->clients.in_flight--;
        if (collected->request.op == URN_DRAW)
            host->clients.draws_in_flight -= collected->request.count;
        if (collected->request.code == URN_READONLY || collected->request.code == URN_INDOUBT)
            PROMISE(info.failed || host->stopping, "%s although nothing failed",
                    urn_code_text(collected->request.code));
        if (collected->request.op == URN_LOOKUP)
            check_lookup(host, collected, &info);
        else
            oracle_collect(host->oracle, collected);
        coverage_answer(host->coverage, &collected->request);
        drew = drew || collected->request.op == URN_DRAW || collected->is_change;
        host->coverage->draws +=
            collected->request.op == URN_DRAW && collected->request.code == URN_OK
                ? collected->request.count
                : 0;
    }
    host->finished_subjects = 0;
    if (drew && host->look_one_in != 0 && sim_random_one_in(&host->luck, host->look_one_in))
        host_look(host);
}

void host_ask_stop(struct host *host)
{
    trace("stop asked for");
    engine_ask_stop(host->engine);
    host->stopping = true;
}

/* One step of whatever can go on. False: nothing can. */
static bool any_step(struct host *host)
{
    if (host->syncing) {
        host_commit_end(host);
        return true;
    }
    if (host_can_begin(host)) {
        host_commit_begin(host);
        return true;
    }
    if (host->log_syncing) {
        host_log_sync_end(host);
        return true;
    }
    if (host_log_sync_begin(host) || host_crashed(host))
        return true;
    enum snapshot_want want = host_snapshot_step(host);
    if (host_crashed(host) || want == SNAPSHOT_WANTS_STEP)
        return true;
    const enum archive_want archive_want =
        host->holds_archive ? ARCHIVE_WANTS_EVENT : host_archive_step(host);
    /* Nobody waits for the next attempt: it comes when time has passed. */
    const bool archive_rests = host->engine->archive.step == ARCHIVE_STEP_FAILED;
    if (host_crashed(host) || archive_want == ARCHIVE_WANTS_STEP)
        return true;
    bool did = host_writer_step(host);
    if (!host_crashed(host))
        did = host_lookup_step(host) || did;
    if (archive_want == ARCHIVE_WANTS_TIME && !archive_rests && !did) {
        const uint64_t now_ns = os_monotonic_ns(sim_os(host->world));
        if (host->engine->archive.wake_ns > now_ns)
            sim_advance(host->world, host->engine->archive.wake_ns - now_ns);
        did = true;
    }
    if (want != SNAPSHOT_WANTS_TIME)
        return did;
    uint64_t now_ns = os_monotonic_ns(sim_os(host->world));
    if (host->engine->snapshot.wake_ns > now_ns)
        sim_advance(host->world, host->engine->snapshot.wake_ns - now_ns);
    return true;
}

/* Nothing goes on by itself: until the time at which there is something to do. */
static void pass_time(struct host *host)
{
    uint64_t deadline_ns = writer_deadline_ns(host->engine);
    uint64_t sync_ns = engine_log_sync_deadline_ns(host->engine);
    if (sync_ns < deadline_ns)
        deadline_ns = sync_ns;
    const struct archive_task *archive = &host->engine->archive;
    if (archive->on && archive->step == ARCHIVE_STEP_FAILED && archive->wake_ns < deadline_ns)
        deadline_ns = archive->wake_ns;
    uint64_t now_ns = os_monotonic_ns(sim_os(host->world));
    if (deadline_ns != UINT64_MAX && deadline_ns > now_ns)
        sim_advance(host->world, deadline_ns - now_ns);
}

void host_drain(struct host *host)
{
    for (uint32_t steps = 0; !host_crashed(host); steps++) {
        PROMISE(steps < STEPS_MAX, "the engine does not come to rest");
        if (any_step(host))
            continue;
        host_collect(host);
        if (host->clients.in_flight == 0)
            break;
        /* Requests wait for room in the log. A catalog that has begun does so for ever, and no room comes on a
         * file system that has stopped. */
        const struct writer *writer = &host->engine->writer;
        if (writer->job_blocked && writer->job.begun && !writer->blocked) {
            if (sim_is_stopped(host->world))
                return;
            sim_set_capacity(host->world, UINT64_MAX);
        }
        pass_time(host);
    }
    PROMISE(host_crashed(host) || host->clients.in_flight == 0, "%u requests never came back",
            host->clients.in_flight);
}

void host_settle(struct host *host)
{
    for (uint32_t steps = 0; !host_crashed(host) && any_step(host); steps++)
        PROMISE(steps < STEPS_MAX, "the engine does not come to rest");
    host_collect(host);
}

static uint64_t marks_of(const struct host *host)
{
    struct urn_engine_info info;
    urn_engine_info(host->engine, &info);
    return info.marks;
}

/* The mark behind the last group is durable, and says that all before it is. (In mode os it may have been
 * written before that was so, and says less.) */
static void note_protected(struct host *host)
{
    const bool says_all = host->engine->mode != URN_WAL_OS || host->stopping;
    if (host->data_end_lsn > 0 && says_all &&
        engine_durable_lsn(host->engine) == host->engine->writer.end_lsn)
        oracle_note_protected(host->oracle, host->data_end_lsn);
}

void host_idle(struct host *host)
{
    unsigned silences = 0;
    host_drain(host);
    while (silences < 2 && !host_crashed(host) && !host->failed) {
        const struct writer *writer = &host->engine->writer;
        enum wal_group_kind last = writer->last_kind;
        uint64_t marks = marks_of(host);
        uint64_t reserved = writer->state.reserved_request_id;
        sim_advance(host->world, MARK_AFTER_NS);
        host_drain(host);
        if (host_crashed(host) || host->failed)
            return;
        /* A reservation of ids may wait for room in the log, which a snapshot makes by and by. */
        if (writer->state.reserved_request_id != reserved)
            continue;
        silences++;
        PROMISE(marks_of(host) == marks + (last == WAL_DATA), "%" PRIu64 " marks in a silence",
                marks_of(host) - marks);
        PROMISE(writer->last_kind != WAL_DATA, "the last group has no mark");
    }
    if (!host_crashed(host) && !host->failed)
        note_protected(host);
}

enum urn_code host_stop(struct host *host)
{
    host_ask_stop(host);
    for (uint32_t steps = 0; !host_crashed(host) && !host->engine->writer.done; steps++) {
        PROMISE(steps < STEPS_MAX, "the engine does not stop");
        if (!any_step(host))
            pass_time(host);
    }
    while (!host_crashed(host) && host_lookup_step(host))
        ;
    if (host_crashed(host))
        return URN_IO;
    host_collect(host);
    PROMISE(host->clients.in_flight == 0, "%u requests were forgotten by a clean stop",
            host->clients.in_flight);
    urn_engine_failure(host->engine, &host->error);
    PROMISE((host->error.code == URN_OK) == !host->failed, "a stop hides a failure");
    if (!host->failed) {
        PROMISE(engine_durable_lsn(host->engine) == host->engine->writer.end_lsn,
                "a clean stop leaves the log's end to chance");
        note_protected(host);
    }
    trace("stopped: %s", urn_code_text(host->error.code));
    enum urn_code code = host->error.code;
    note_end(host);
    urn_engine_free(host->engine);
    host->engine = NULL;
    close_engine(host);
    return code;
}

enum urn_code host_ask(struct host *host, struct client_request *request)
{
    CHECK(host->clients.in_flight == 1);
    host_submit(host, request);
    host_drain(host);
    return request->request.code;
}

enum urn_code host_draw(struct host *host, uint32_t pool, uint32_t count, bool draw_all)
{
    CHECK(host->clients.in_flight == 0);
    clients_forget(&host->clients);
    return host_ask(host, clients_make_draw(&host->clients, clients_pool(&host->clients, pool),
                                            count, draw_all));
}

/* ---- branches -------------------------------------------------------------------------------- */

void host_branch(struct host *host, struct host *branch)
{
    *branch = *host;
    branch->world = sim_world_clone(host->world, sim_random_next(&host->luck));
    if (host_crashed(host))
        sim_crash_now(branch->world, sim_crashed(host->world));
    branch->engine = NULL;
    branch->clients = (struct clients){.scenario = host->scenario};
    branch->rigour = ORACLE_LOOK;
    sim_set_observer(branch->world, watch_call, branch);
}

void host_branch_free(struct host *branch)
{
    close_engine(branch);
    sim_world_free(branch->world);
}

void host_look(struct host *host)
{
    struct sim_world *branch = sim_world_clone(host->world, sim_random_next(&host->luck));
    sim_crash_now(branch, SIM_CRASH_MACHINE);
    /* With a snapshot damaged, a start may need two new ones before it can write anything. */
    if (host_has_damaged_snapshot(host))
        sim_set_capacity(branch, UINT64_MAX);
    struct urn_engine_config config = host_config(host, sim_restart(branch));
    host->coverage->starts_after_crash++;
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error = {0};
    enum urn_code code = engine_open_steps(&config, &engine, &report, &error);
    coverage_start(host->coverage, code, &report, &error);
    PROMISE(code == URN_OK, "a power loss behind an answer leaves a log that is refused: %s",
            error.text);
    check_snapshots(host, &report);
    const struct oracle_finding finding = {.report = &report,
                                           .found_lsn = report.end_lsn,
                                           .durable_lsn = engine_durable_lsn(host->engine),
                                           .power_was_lost = true,
                                           .mode = host->engine->mode,
                                           .archive_is_missing =
                                               archive_is_missing(branch, engine)};
    sim_set_quiet(branch, true);
    oracle_check_start(host->oracle, engine, &finding, ORACLE_LOOK);
    oracle_check_lookups(host->oracle, engine, &finding, host->coverage, &host->luck);
    engine_abandon(engine);
    sim_world_free(branch);
}
