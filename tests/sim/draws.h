/* draws.h: what the oracle knows of every draw that was ever staged in its world, and so what a lookup must
 * answer. */
#ifndef URN_TESTS_SIM_DRAWS_H
#define URN_TESTS_SIM_DRAWS_H

#include "engine/engine.h"
#include "tests/lib/sim_random.h"
#include "tests/sim/coverage.h"

/* Draws of one request: ids that follow each other. */
struct drawn {
    uint64_t first_id;
    uint32_t count;
    struct urn_text pool; /* outlives the world */
    uint64_t odds_version;
    uint64_t outcomes; /* where they begin in draws.outcomes */
    uint64_t end_lsn;  /* of the group; 0: it is open */
};

struct draws {
    struct drawn *all; /* by id */
    uint64_t count, capacity;
    uint32_t *outcomes;
    uint64_t outcome_count, outcome_capacity;
    /* Segments that end below this may have been overwritten in part by a lap that a power loss took. */
    uint64_t torn_lsn;
    uint64_t findable_id; /* up to here every draw was answered, or recovered, or is no draw */
};

void draws_free(struct draws *draws);

/* A draw was staged. */
void draws_add(struct draws *draws, const struct urn_request *request, struct urn_text pool);

/* The group that is open ends here. */
void draws_end_group(struct draws *draws, uint64_t end_lsn);

/* A client has been answered. */
void draws_note_answered(struct draws *draws, uint64_t last_id);

/* A start goes on from a log that ended here, with this id: all that was not in it is gone. torn_lsn: as above, of
 * this start; 0: none. */
void draws_recover(struct draws *draws, uint64_t end_lsn, uint64_t next_id, uint64_t torn_lsn);

/* An id that somebody may ask for: mostly of a draw there is. */
uint64_t draws_some_id(const struct draws *draws, struct sim_random *luck);

/* What is known of the engine when it has answered. */
struct lookup_moment {
    uint64_t findable_id;      /* when it was asked */
    uint64_t acknowledged_lsn; /* when the answer is looked at, and the next too */
    uint64_t oldest_lsn;       /* everything from here on is in the ring */
    uint64_t torn_lsn;         /* but segments below may not be whole */
    uint64_t
        lost_lsn; /* what was known of draws whose group ends behind it may not be so; UINT64_MAX */
    bool archive_is_missing; /* when it was looked into: a fault has kept it from being made */
};

/* Whether a lookup was answered as it must be: found, or not and for which reason. */
void draws_check(const struct draws *draws, const struct urn_request *lookup,
                 const struct lookup_moment *moment, struct coverage *coverage);

/* The oldest LSN of what the ring has. */
uint64_t draws_oldest_lsn(const struct urn_engine *engine);

/* Behind a start that nobody has submitted anything to: some lookups, of what was there before. Of start: lost_lsn,
 * where the log ended that it has found; torn_lsn, as for draws_recover; archive_is_missing. */
void draws_look_up_some(const struct draws *draws, struct urn_engine *engine,
                        const struct lookup_moment *start, struct coverage *coverage,
                        struct sim_random *luck);

#endif
