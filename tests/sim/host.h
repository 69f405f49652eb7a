/* host.h: one simulated machine with one process that runs the engine, step by step, under the
 * oracle's eyes. What to do next is decided elsewhere (scheduler.h, systematic.h, full_ring.h). */
#ifndef URN_TESTS_SIM_HOST_H
#define URN_TESTS_SIM_HOST_H

#include "tests/sim/clients.h"
#include "tests/sim/coverage.h"
#include "tests/sim/oracle.h"

struct host {
    struct sim_world *world;
    const struct scenario *scenario;
    struct oracle *oracle;
    struct coverage *coverage;
    struct sim_random luck;
    enum oracle_rigour rigour; /* of the oracle at a start; ORACLE_LOOK in a branch */
    uint64_t look_one_in;      /* how often a collected draw is looked for in a branch; 0: never */

    struct urn_engine *engine; /* NULL: none is open */
    struct urn_start_report report;
    struct urn_error error; /* of the last open or stop */
    struct clients clients;
    bool syncing;           /* engine_commit_begin was called, and its end is due */
    bool log_syncing;       /* likewise engine_log_sync_begin */
    enum urn_wal_mode mode; /* of the next start */
    bool adopted;           /* the oracle has gone on from the engine's start */
    struct oracle_finding
        finding; /* since the last engine that was; report is set where it is needed */
    bool stopping;
    bool failed; /* the engine has come to its fail stop */
    uint64_t log_calls_at_failure;
    uint64_t data_end_lsn;       /* end of the last group with draws or changes, in this life */
    uint64_t plenty_ns;          /* when any request last was sure to find room in the log */
    uint64_t archive_looked_lsn; /* the archived segments below were looked at, byte by byte */
    uint64_t counted_lsn; /* of the newest snapshot that an engine of this world has counted */
    bool is_damaged;      /* one that counted was damaged since, and may be among the two newest */
    struct snapshot_name damaged;
    uint32_t closed_subjects;   /* of the group that is with the commit side */
    uint32_t finished_subjects; /* of the last one that was there */
    enum window step;           /* which crash window a call of the present step belongs to */
    bool step_new_segment;
    bool step_is_start;
    bool step_is_snapshot;
    bool step_is_archive;
    bool holds_archive;         /* nothing but host_archive_step lets the archive go on */
    enum window archive_window; /* of the archive's step */
    bool step_is_log_sync;
    struct sim_event last_call; /* while starting: the call before */
    uint64_t steps_left;        /* until a crash comes between two steps; 0: none does */
    enum sim_crash step_crash;
    bool writes_tail;
};

/* An empty machine. coverage outlives the host. */
void host_make(struct host *host, const struct scenario *scenario, struct coverage *coverage,
               uint64_t seed);
void host_free(struct host *host);

/* What an engine in this world is opened with. */
struct urn_engine_config host_config(const struct host *host, struct urn_os *os);

/* ---- start and end --------------------------------------------------------------------------- */

/* Opens the engine. URN_OK: it runs, and the oracle has found everything as it must be. Else: a
 * crash struck (host_crashed), or a fault did, or it was refused: host->error says. */
enum urn_code host_open(struct host *host);

/* host_open, where nothing may go wrong. */
void host_must_open(struct host *host);

bool host_crashed(const struct host *host);

/* The process ends here and now, if it has not crashed already; the engine is gone. */
void host_crash(struct host *host, enum sim_crash kind);

/* The same behind the nth step from now on (1: the next): of those below, collecting included. */
void host_crash_behind_step(struct host *host, uint64_t nth, enum sim_crash kind);

/* A new process. The machine comes up again if it crashed, or if its file system has stopped: then
 * somebody has restarted it. */
void host_restart(struct host *host);

/* Asks for a clean stop and goes on until it is done, or failed, or crashed. */
enum urn_code host_stop(struct host *host);

/* ---- steps: each may be the one that crashes or fails ---------------------------------------- */

void host_submit(struct host *host, struct client_request *request);
bool host_writer_step(struct host *host); /* whether anything was done */
enum snapshot_want host_snapshot_step(struct host *host);
bool host_lookup_step(struct host *host); /* whether anything was done */
enum archive_want host_archive_step(struct host *host);
bool host_can_begin(const struct host *host);
void host_commit_begin(struct host *host);
void host_commit_end(struct host *host);
bool host_log_sync_begin(struct host *host); /* whether one was due, and has begun */
void host_log_sync_end(struct host *host);
void host_collect(struct host *host);
void host_ask_stop(struct host *host);

/* Steps until nothing is left to do; collects. */
void host_drain(struct host *host);

/* Lets so much time pass that a mark is due, and checks that exactly one is written if one is due.
 */
void host_idle(struct host *host);

/* Submits one request and drains; how it ended. */
enum urn_code host_ask(struct host *host, struct client_request *request);

/* The same with one draw from a pool of the scenario. Forgets all requests before. */
enum urn_code host_draw(struct host *host, uint32_t pool, uint32_t count, bool draw_all);

/* Runs all that can go on without letting time pass. */
void host_settle(struct host *host);

/* Behind every step: what the engine says to be archived is; under policy block nothing else may be overwritten,
 * and under policy gap what is not archived has a record. */
void host_look_at_archive(struct host *host);

/* Whether a snapshot that was damaged still matters: until two newer ones count. */
bool host_has_damaged_snapshot(struct host *host);

/* ---- branches -------------------------------------------------------------------------------- */

/* Makes branch a host like this one, without an engine, in a copy of the world as it is. It shares
 * the oracle, which takes nothing over from it; it may open and crash, not submit. */
void host_branch(struct host *host, struct host *branch);
void host_branch_free(struct host *branch);

/* In a copy of the world, crashes the machine here and opens: what was acknowledged must be there.
 */
void host_look(struct host *host);

/* Between processes: two replays of the same files give the same bytes, and change nothing; so does a
 * replay from the snapshot before the newest. */
void host_check_determinism(struct host *host);

/* Of every name and byte but the data directory's unfinished files and the two locks, which say who looked. */
uint64_t host_hash(struct sim_world *world, const struct urn_engine_config *config);

#endif
