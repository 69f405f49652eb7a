/* oracle.h: what must be true, kept outside the engine and computed without its code.
 *
 * The oracle knows the catalogs, and is shown each draw as soon as the engine has staged it (in the
 * memory of the request, which is the caller's own): so it knows what a log could hold beyond what
 * anyone was told. It is shown each answer when it is collected. From then on that answer and
 * everything before it must be there for ever, which is checked after each recovery:
 *
 *     ids           1 ............ N-1 | N ...............
 *                   survived, whole    | lost, as if never
 *                   groups, exactly as | asked for
 *                   staged             |
 *                        ^ every answer that was collected speaks of ids here
 *
 * and the engine's state is the catalogs after exactly the surviving draws (P1, P2, P3).
 */
#ifndef URN_TESTS_SIM_ORACLE_H
#define URN_TESTS_SIM_ORACLE_H

#include "engine/engine.h"
#include "tests/sim/clients.h"

struct oracle;

struct oracle *oracle_make(const struct scenario *scenario);
void oracle_free(struct oracle *oracle);

/* ---- while an engine runs -------------------------------------------------------------------- */

/* Looks at all requests, in order, that the engine has staged or answered since the last call. To
 * be called behind every step of the writer. Checks what they say against the staged model.
 * room_bytes and waiting bound when BUSY is a right answer. */
void oracle_absorb(struct oracle *oracle, const struct clients *clients, uint64_t room_bytes);

/* A group has been closed: it ends behind all that was absorbed. */
void oracle_note_group_end(struct oracle *oracle);

/* The engine has given an answer: all it speaks of must survive. */
void oracle_collect(struct oracle *oracle, struct client_request *collected);

/* The log has failed: nothing is acknowledged from here on. */
void oracle_note_failure(struct oracle *oracle);

/* All groups with draws that end at or below this LSN are covered by a mark or another witness:
 * damage to them must be found. */
void oracle_note_protected(struct oracle *oracle, uint64_t lsn);
uint64_t oracle_protected_lsn(const struct oracle *oracle);

/* ---- after a start --------------------------------------------------------------------------- */

enum oracle_rigour {
    ORACLE_ADOPT,  /* this is the world's own history: go on from it */
    ORACLE_LOOK,   /* a branch: everything must hold, nothing is taken over */
    ORACLE_PREFIX, /* a branch whose last acknowledged groups were damaged where nobody can know */
};

/* Checks an engine that has just been opened, and nothing submitted to it yet. */
void oracle_check_start(struct oracle *oracle, struct urn_engine *engine,
                        const struct urn_start_report *report, enum oracle_rigour rigour);

/* Ids below this one have been spoken of. */
uint64_t oracle_acknowledged_id(const struct oracle *oracle);
uint64_t oracle_next_id(const struct oracle *oracle); /* of the staged model */

/* True before the first start that succeeded. */
bool oracle_is_fresh(const struct oracle *oracle);

#endif
