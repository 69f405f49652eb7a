/* draws.c: see draws.h. */
#include "tests/sim/draws.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tests/sim/model.h"
#include "tests/sim/verdict.h"

#define LOOKUPS_BEHIND_A_START 6u

static void *grown(void *array, uint64_t count, uint64_t *capacity, size_t element_bytes)
{
    if (count <= *capacity)
        return array;
    *capacity = 2 * count + 64;
    void *larger = realloc(array, *capacity * element_bytes);
    CHECK(larger != NULL);
    return larger;
}

void draws_free(struct draws *draws)
{
    free(draws->all);
    free(draws->outcomes);
    *draws = (struct draws){0};
}

/* ---- what happens ------------------------------------------------------------------------------ */

void draws_add(struct draws *draws, const struct urn_request *request, struct urn_text pool)
{
    draws->all = grown(draws->all, draws->count + 1, &draws->capacity, sizeof *draws->all);
    draws->outcomes = grown(draws->outcomes, draws->outcome_count + request->count,
                            &draws->outcome_capacity, sizeof *draws->outcomes);
    CHECK(draws->count == 0 || draws->all[draws->count - 1].first_id < request->first_request_id);
    draws->all[draws->count++] = (struct drawn){
        .first_id = request->first_request_id,
        .count = request->count,
        .pool = pool,
        .odds_version = request->odds_version,
        .outcomes = draws->outcome_count,
    };
    memcpy(draws->outcomes + draws->outcome_count, request->outcomes,
           request->count * sizeof *request->outcomes);
    draws->outcome_count += request->count;
}

void draws_end_group(struct draws *draws, uint64_t end_lsn)
{
    for (uint64_t i = draws->count; i > 0 && draws->all[i - 1].end_lsn == 0; i--)
        draws->all[i - 1].end_lsn = end_lsn;
}

void draws_note_answered(struct draws *draws, uint64_t last_id)
{
    if (last_id > draws->findable_id)
        draws->findable_id = last_id;
}

static bool is_lost(const struct drawn *drawn, uint64_t end_lsn)
{
    return drawn->end_lsn == 0 || drawn->end_lsn > end_lsn;
}

void draws_recover(struct draws *draws, uint64_t end_lsn, uint64_t next_id, uint64_t torn_lsn)
{
    while (draws->count > 0 && is_lost(&draws->all[draws->count - 1], end_lsn))
        draws->outcome_count = draws->all[--draws->count].outcomes;
    draws->findable_id = next_id - 1;
    if (torn_lsn > draws->torn_lsn)
        draws->torn_lsn = torn_lsn;
}

/* ---- what is asked ----------------------------------------------------------------------------- */

uint64_t draws_some_id(const struct draws *draws, struct sim_random *luck)
{
    const uint64_t highest = draws->findable_id;
    const uint64_t which = sim_random_below(luck, 16);
    if (which == 0)
        return sim_random_one_in(luck, 2) ? 0 : URN_NUMBER_MAX + 1;
    if (which == 1)
        return 1 + sim_random_below(luck, highest + 3); /* perhaps left out by a start */
    if (which <= 4 || draws->count == 0)
        return highest + sim_random_below(luck, 20) + 1; /* perhaps under way */
    uint64_t at = draws->count - 1;
    if (which <= 12)
        at = sim_random_below(luck, draws->count);
    const struct drawn *drawn = &draws->all[at];
    return drawn->first_id + sim_random_below(luck, drawn->count);
}

/* ---- what is answered -------------------------------------------------------------------------- */

/* The draws of the request with this id; NULL: it is of none. */
static const struct drawn *find(const struct draws *draws, uint64_t id)
{
    uint64_t low = 0;
    uint64_t high = draws->count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (draws->all[middle].first_id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || id - draws->all[low - 1].first_id >= draws->all[low - 1].count)
        return NULL;
    return &draws->all[low - 1];
}

static void check_found(const struct draws *draws, const struct drawn *drawn,
                        const struct urn_request *lookup, const struct lookup_moment *moment)
{
    PROMISE(drawn != NULL, "id %" PRIu64 " was found, and no draw has it", lookup->request_id);
    PROMISE(drawn->end_lsn != 0 && drawn->end_lsn <= moment->acknowledged_lsn,
            "id %" PRIu64 " was found before it was acknowledged", lookup->request_id);
    const uint32_t outcome =
        draws->outcomes[drawn->outcomes + lookup->request_id - drawn->first_id];
    PROMISE(lookup->outcome == outcome && lookup->odds_version == drawn->odds_version &&
                model_same_text(urn_pool_name(lookup->pool), drawn->pool),
            "id %" PRIu64 " was found with outcome %u at odds version %" PRIu64
            ", expected %u at %" PRIu64,
            lookup->request_id, lookup->outcome, lookup->odds_version, outcome,
            drawn->odds_version);
    PROMISE(lookup->lsn < drawn->end_lsn, "id %" PRIu64 " was found at LSN %" PRIu64,
            lookup->request_id, lookup->lsn);
}

/* What ends at or below this may not be in the ring. */
static uint64_t kept_from(const struct lookup_moment *moment)
{
    return moment->oldest_lsn > moment->torn_lsn ? moment->oldest_lsn : moment->torn_lsn;
}

/* It is said to be older than what is kept, in a gap of the archive, left out, or not given yet: each at its time. */
static void check_missing(const struct drawn *drawn, const struct urn_request *lookup,
                          const struct lookup_moment *moment, struct coverage *coverage)
{
    const uint64_t id = lookup->request_id;
    const char *text = lookup->error->text;
    const bool is_answered = drawn != NULL && id <= moment->findable_id;
    PROMISE(lookup->error->code == URN_NOTFOUND, "NOTFOUND does not say why");
    if (strstr(text, "is older than what is kept") != NULL) {
        const uint64_t kept_lsn = kept_from(moment);
        PROMISE(drawn == NULL || (drawn->end_lsn != 0 && drawn->end_lsn <= kept_lsn),
                "id %" PRIu64 " is in the ring, and was said to be older", id);
        PROMISE(id < lookup->first_request_id, "id %" PRIu64 " is none of the older ones: %s", id,
                text);
        coverage->lookups[COVERAGE_LOOKUP_OLDER]++;
    } else if (strstr(text, "has not been given yet") != NULL) {
        PROMISE(!is_answered, "id %" PRIu64 " was answered, and is said not to be given yet", id);
        coverage->lookups[COVERAGE_LOOKUP_NOT_YET]++;
    } else if (strstr(text, "is in a gap of the archive") != NULL) {
        const uint64_t kept_lsn = kept_from(moment);
        PROMISE(drawn == NULL || (drawn->end_lsn != 0 && drawn->end_lsn <= kept_lsn),
                "id %" PRIu64 " is in the ring, and was said to be in a gap", id);
        coverage->lookups[COVERAGE_LOOKUP_GAP]++;
    } else {
        PROMISE(strstr(text, "a start or a repair left out") != NULL, "NOTFOUND for no reason: %s",
                text);
        PROMISE(drawn == NULL, "id %" PRIu64 " is a draw's, and was said to be left out", id);
        coverage->lookups[COVERAGE_LOOKUP_LEFT_OUT]++;
    }
}

/* The archive was to be made, and a fault kept the engine from it: perhaps so early that it does not know whether
 * there ever was one, of which the volume has gone. So it cannot say that the draw is in a gap, at whatever time the
 * fault struck; but only of what the ring does not have. */
static void check_unknown(const struct drawn *drawn, const struct urn_request *lookup,
                          const struct lookup_moment *moment)
{
    const uint64_t kept_lsn = kept_from(moment);
    PROMISE(strstr(lookup->error->text, "it is not there: is its volume mounted?") != NULL,
            "a lookup met no fault: %s", lookup->error->text);
    PROMISE(drawn == NULL || (drawn->end_lsn != 0 && drawn->end_lsn <= kept_lsn),
            "id %" PRIu64 " is in the ring, and was looked for in the archive", lookup->request_id);
}

void draws_check(const struct draws *draws, const struct urn_request *lookup,
                 const struct lookup_moment *moment, struct coverage *coverage)
{
    const struct drawn *drawn = find(draws, lookup->request_id);
    if (drawn != NULL && is_lost(drawn, moment->lost_lsn))
        drawn = NULL;
    if (lookup->code == URN_NOTFOUND) {
        check_missing(drawn, lookup, moment, coverage);
        return;
    }
    if (lookup->code == URN_IO && moment->archive_is_missing) {
        check_unknown(drawn, lookup, moment);
        return;
    }
    PROMISE(lookup->code == URN_OK, "a lookup of id %" PRIu64 " ended with %s: %s",
            lookup->request_id, urn_code_text(lookup->code), lookup->error->text);
    check_found(draws, drawn, lookup, moment);
    CHECK(drawn != NULL); /* or a promise would be broken */
    coverage->lookups[COVERAGE_LOOKUP_FOUND]++;
    coverage->lookups[COVERAGE_LOOKUP_ARCHIVED] += drawn->end_lsn <= moment->oldest_lsn;
}

uint64_t draws_oldest_lsn(const struct urn_engine *engine)
{
    const struct wal_geometry *geometry = &engine->ring.geometry;
    const uint64_t staged_lsn = atomic_load(&engine->counters.staged_lsn);
    const uint64_t newest = staged_lsn == 0 ? 0 : wal_segment_begin(geometry, staged_lsn - 1);
    const uint64_t others = (geometry->segments - 1) * geometry->segment_size_bytes;
    return newest > others ? newest - others : 0;
}

void draws_look_up_some(const struct draws *draws, struct urn_engine *engine,
                        const struct lookup_moment *start, struct coverage *coverage,
                        struct sim_random *luck)
{
    for (uint32_t i = 0; i < LOOKUPS_BEHIND_A_START; i++) {
        struct urn_error error = {.code = URN_OK};
        struct urn_request lookup = {
            .op = URN_LOOKUP, .request_id = draws_some_id(draws, luck), .error = &error};
        urn_submit(engine, &lookup);
        while (lookups_step(engine) || lookups_past_step(engine))
            ;
        PROMISE(urn_collect(engine) == &lookup, "a lookup behind a start was not answered");
        if (lookup.code == URN_BADARG)
            continue;
        const struct lookup_moment moment = {
            .findable_id = UINT64_MAX,
            .acknowledged_lsn = start->lost_lsn,
            .oldest_lsn = draws_oldest_lsn(engine),
            .torn_lsn = start->torn_lsn > draws->torn_lsn ? start->torn_lsn : draws->torn_lsn,
            .lost_lsn = start->lost_lsn,
            .archive_is_missing = start->archive_is_missing,
        };
        draws_check(draws, &lookup, &moment, coverage);
        if (lookup.code == URN_OK)
            coverage->lookups[COVERAGE_LOOKUP_BEFORE]++;
    }
}
