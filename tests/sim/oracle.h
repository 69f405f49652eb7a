/* oracle.h: what must be true, kept outside the engine and computed without its code.
 *
 * The oracle knows the catalogs and the rules (rules.h). Behind every step of the writer it goes through
 * what was staged in it, in order, with a model of the pools at that point (model.h): was each
 * request answered as it must be? Three things cannot be told from outside, and are taken from where the
 * engine puts them: which items were drawn (in the memory of the request, which is the caller's own),
 * how much of a large catalog went into a group, and when ids are reserved. What each request does is kept,
 * effect by effect, and where each group ended; so the oracle knows what any beginning of the log
 * comes to:
 *
 *     LSN      ............ end of a group ............ end of a group ............
 *     effects               survived, whole | lost, as if never asked for
 *                  ^ every answer that was collected was computed from effects here
 *
 * After each recovery the engine's state is that behind exactly the effects of the groups that lie
 * below the end of the log that it found (P1, P2, P3); and everything that was answered lies there: but
 * that in modes interval and os a power loss may cost what was not durable. No id that a client has seen
 * is ever given again, all the same.
 */
#ifndef URN_TESTS_SIM_ORACLE_H
#define URN_TESTS_SIM_ORACLE_H

#include "engine/engine.h"
#include "tests/sim/clients.h"
#include "tests/sim/coverage.h"
#include "tests/sim/draws.h"

struct oracle;

struct oracle *oracle_make(const struct scenario *scenario);
void oracle_free(struct oracle *oracle);

/* ---- while an engine runs -------------------------------------------------------------------- */

/* What urn_submit itself refused. queue_was_full: that BUSY would be right. */
void oracle_check_admission(const struct oracle *oracle, const struct client_request *request,
                            bool queue_was_full);

/* Looks at all that the engine has staged or answered since the last call. To be called behind every
 * step of the writer. may_be_busy: requests may find no room in the log. */
void oracle_absorb(struct oracle *oracle, struct clients *clients, const struct urn_engine *engine,
                   bool may_be_busy);

/* A group has been closed, and ends here: behind all that was absorbed. What it holds: a bit (1 <<
 * enum subject) each. */
uint32_t oracle_note_group_end(struct oracle *oracle, uint64_t end_lsn);

/* Of what is not in a closed group yet. */
uint32_t oracle_open_subjects(const struct oracle *oracle);

/* Every draw there was, for lookups. */
const struct draws *oracle_draws(const struct oracle *oracle);

/* The engine has given an answer: all it was computed from must survive. */
void oracle_collect(struct oracle *oracle, struct client_request *collected);

/* The log has failed: nothing is acknowledged from here on. */
void oracle_note_failure(struct oracle *oracle);
bool oracle_has_failed(const struct oracle *oracle);

/* All groups with draws or changes that end at or below this LSN are covered by a mark or another
 * witness: damage to them must be found. */
void oracle_note_protected(struct oracle *oracle, uint64_t lsn);
uint64_t oracle_protected_lsn(const struct oracle *oracle);

/* ---- after a start --------------------------------------------------------------------------- */

enum oracle_rigour {
    ORACLE_ADOPT,  /* this is the world's own history: go on from it */
    ORACLE_LOOK,   /* a branch: everything must hold, nothing is taken over */
    ORACLE_PREFIX, /* a branch whose last acknowledged groups were damaged where nobody can know */
};

/* What starts have found since the engine ended that the oracle watched. */
struct oracle_finding {
    const struct urn_start_report *report; /* of the last one, which succeeded */
    /* The lowest end of the log that any has found. What lies beyond was lost then, and starts that came to
     * nothing may have written there since. */
    uint64_t found_lsn;
    uint64_t durable_lsn; /* that engine said so: it must be there, whatever has happened */
    bool power_was_lost;  /* since; in modes interval and os no more than that need be there then */
    enum urn_wal_mode mode;  /* of that engine */
    bool archive_is_missing; /* a fault has kept this start from making it */
};

/* Checks an engine that has just been opened, and nothing submitted to it yet. */
void oracle_check_start(struct oracle *oracle, struct urn_engine *engine,
                        const struct oracle_finding *finding, enum oracle_rigour rigour);

/* Likewise, behind that: looks up draws from before. Nothing of the log may have been damaged. */
void oracle_check_lookups(const struct oracle *oracle, struct urn_engine *engine,
                          const struct oracle_finding *finding, struct coverage *coverage,
                          struct sim_random *luck);

/* True before the first start that succeeded. */
bool oracle_is_fresh(const struct oracle *oracle);

#endif
