/* apply.c: the meaning of a group, checked and carried out.
 *
 * In this order: the header against the state (ids, times), then entry by entry, then the header
 * against what its entries came to. Nothing is drawn here: outcomes are facts, and a fact that the
 * stock cannot bear means that log and state do not belong together.
 */
#include "engine/apply.h"

#include <inttypes.h>

#include "engine/changes.h"
#include "engine/check.h"

#define TALLY_ITEMS_MAX 4096u /* 16 KiB of stack */
#define TALLY_RUN_MIN   256u  /* below, sums of 256 counts cost more than they save */
#define TALLY_FEW_ITEMS 32u   /* so few are counted by comparing, eight at a time */

_Static_assert(TALLY_ITEMS_MAX >= 256, "a tally has room for every outcome of width 1");
_Static_assert(TALLY_FEW_ITEMS % 8 == 0 && TALLY_FEW_ITEMS <= TALLY_ITEMS_MAX,
               "eights fit a tally");

struct application {
    struct state *state;
    const struct wal_group_header *header;
    const uint8_t *group;
    struct urn_error *error;
    const struct apply_steps *steps;
    uint64_t draws; /* so far in this group */
};

/* Every refusal begins with the place. */
static enum urn_code refuse(struct application *application, enum urn_code code)
{
    (void)error_prefix(application->error, "group at log position %" PRIu64 ": ",
                       application->header->lsn);
    return code;
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* The id of the draw that comes next. */
static uint64_t next_id(const struct application *application)
{
    return application->state->next_request_id + application->draws;
}

/* Says why this draw cannot have been. */
static enum urn_code refuse_draw(struct application *application, const struct urn_pool *pool,
                                 uint32_t index, uint64_t request_id)
{
    const struct urn_text name = pool_name(pool);
    if (index >= pool_item_count(pool))
        return error_set(application->error, URN_DAMAGED, 0,
                         "draw %" PRIu64 " names item %" PRIu32 " of pool %.*s, which has %" PRIu32
                         " items",
                         request_id, index, (int)name.length, name.bytes, pool_item_count(pool));
    const struct urn_text item = pool_item_id(pool, index);
    return error_set(application->error, URN_DAMAGED, 0,
                     "draw %" PRIu64 " took %.*s of pool %.*s, of which nothing was in stock",
                     request_id, (int)item.length, item.bytes, (int)name.length, name.bytes);
}

/* One by one, in the order of the log. */
static enum urn_code take_in_order(struct application *application, struct urn_pool *pool,
                                   uint32_t width, const uint8_t *drawn, uint32_t count)
{
    enum { TOGETHER = 256 };
    uint32_t indexes[TOGETHER];
    for (uint32_t done = 0; done < count;) {
        const uint32_t some = count - done < TOGETHER ? count - done : TOGETHER;
        wal_outcomes_unpack(drawn + (size_t)done * width, width, indexes, some);
        const uint32_t taken = pool_take_each(pool, indexes, some);
        done += taken;
        if (taken < some)
            return refuse_draw(application, pool, indexes[taken], next_id(application) + done);
    }
    return URN_OK;
}

/* How often each outcome stands in the log, of a run of width 1. Several tables, so that a run of
 * equal bytes does not wait for its own last store. */
static void tally_bytes(const uint8_t *drawn, uint32_t count, uint32_t tally[256])
{
    uint32_t tables[4][256] = {{0}};
    uint32_t at = 0;
    for (; at + 8 <= count; at += 8) {
        const uint64_t eight = get_u64(drawn + at);
        for (uint32_t i = 0; i < 8; i++)
            tables[i % 4][eight >> (8 * i) & 0xff]++;
    }
    for (; at < count; at++)
        tables[0][drawn[at]]++;
    for (uint32_t value = 0; value < 256; value++)
        tally[value] = tables[0][value] + tables[1][value] + tables[2][value] + tables[3][value];
}

/* So many bytes are compared at once: what every processor has vectors for. */
#define LANES 16u
typedef uint8_t lanes __attribute__((vector_size(LANES)));

/* How often each of eight outcomes, `first` and those behind it, stands among LANES * vectors bytes; added
 * to counts. At most 255 vectors: a lane counts no further. */
static void count_eight(const uint8_t *drawn, uint32_t vectors, uint32_t first, uint32_t counts[8])
{
    lanes minus[8] = {{0}}; /* a comparison that holds is -1 */
    for (uint32_t at = 0; at < vectors; at++) {
        lanes some;
        memcpy(&some, drawn + (size_t)at * LANES, sizeof some);
#pragma GCC unroll 8 /* so that all eight stay in registers */
        for (uint32_t i = 0; i < 8; i++)
            minus[i] += (lanes)(some == (uint8_t)(first + i));
    }
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t lane = 0; lane < LANES; lane++)
            counts[i] += (uint8_t)-minus[i][lane];
}

/* How often each of a few outcomes stands in a run of width 1; true if there is no other in it. tally has
 * room for items rounded up to eight. The run is gone through block by block, so that the second eight
 * find it in the nearest cache. */
static bool tally_few(const uint8_t *drawn, uint32_t count, uint32_t items, uint32_t *tally)
{
    const uint32_t rounded = (items + 7) / 8 * 8;
    memset(tally, 0, rounded * sizeof *tally);
    uint32_t at = 0;
    while (count - at >= LANES) {
        const uint32_t left = (count - at) / LANES;
        const uint32_t vectors = left < 255 ? left : 255;
        for (uint32_t first = 0; first < rounded; first += 8)
            count_eight(drawn + at, vectors, first, tally + first);
        at += vectors * LANES;
    }
    for (; at < count; at++)
        if (drawn[at] < items)
            tally[drawn[at]]++;
    uint64_t known = 0;
    for (uint32_t i = 0; i < items; i++)
        known += tally[i];
    return known == count;
}

/* The same of a run of width 2, whose outcomes are all below `items`; false where one is not. */
static bool tally_pairs(const uint8_t *drawn, uint32_t count, uint32_t items, uint32_t *tally)
{
    memset(tally, 0, items * sizeof *tally);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t index = get_u16(drawn + (size_t)i * 2);
        if (index >= items)
            return false;
        tally[index]++;
    }
    return true;
}

/* A run that is long for the pool's size, taken item by item instead of draw by draw: inside an entry
 * nothing restocks, so that what fits as a sum cannot fail midway. */
static enum urn_code take_by_tally(struct application *application, struct urn_pool *pool,
                                   uint32_t width, const uint8_t *drawn, uint32_t count)
{
    uint32_t tally[TALLY_ITEMS_MAX];
    const uint32_t items = pool_item_count(pool);
    const bool few = width == 1 && items <= TALLY_FEW_ITEMS;
    const uint32_t outcomes = width == 1 && !few ? 256 : items;
    bool known = true;
    if (few)
        known = tally_few(drawn, count, items, tally);
    else if (width == 1)
        tally_bytes(drawn, count, tally);
    else
        known = tally_pairs(drawn, count, outcomes, tally);
    if (!known || !pool_take_tally(pool, tally, outcomes)) /* in order, to name the culprit */
        return take_in_order(application, pool, width, drawn, count);
    return URN_OK;
}

/* Whether it is less work to count first, which looks at each item of the pool, and none of them has
 * been asked for before. */
static bool run_is_long(const struct urn_pool *pool, uint32_t width, uint32_t run)
{
    const uint32_t items = pool_item_count(pool);
    return width < 4 && items <= TALLY_ITEMS_MAX && run >= TALLY_RUN_MIN && run >= 2 * items;
}

/* A failed draw is true only of a pool that had nothing to give. */
static enum urn_code check_failed_draws(struct application *application,
                                        const struct urn_pool *pool)
{
    if (pool_weight_in_stock(pool) == 0)
        return URN_OK;
    const struct urn_text name = pool_name(pool);
    return error_set(application->error, URN_DAMAGED, 0,
                     "draw %" PRIu64 " failed although pool %.*s had stock", next_id(application),
                     (int)name.length, name.bytes);
}

/* The pool of a draws entry, or NULL and *error. */
static struct urn_pool *entry_pool(struct application *application, const struct wal_entry *entry)
{
    if (entry->pool_id >= application->state->pool_count) {
        (void)error_set(application->error, URN_DAMAGED, 0,
                        "draws from pool number %" PRIu32 "; there are %" PRIu32 " pools",
                        entry->pool_id, application->state->pool_count);
        return NULL;
    }
    struct urn_pool *pool = application->state->pools[entry->pool_id];
    const struct urn_text name = pool_name(pool);
    if (!pool_is_open(pool)) {
        (void)error_set(application->error, URN_DAMAGED, 0, "draws from pool %.*s, which is closed",
                        (int)name.length, name.bytes);
        return NULL;
    }
    if (entry->odds_version != pool_odds_version(pool)) {
        (void)error_set(application->error, URN_DAMAGED, 0,
                        "draws from pool %.*s under odds version %" PRIu64 ", which was %" PRIu64
                        " then",
                        (int)name.length, name.bytes, entry->odds_version, pool_odds_version(pool));
        return NULL;
    }
    return pool;
}

static enum urn_code apply_draws(struct application *application, const struct wal_entry *entry)
{
    struct urn_pool *pool = entry_pool(application, entry);
    if (pool == NULL)
        return application->error->code;
    struct wal_outcome_cursor cursor;
    wal_outcomes_begin(entry, &cursor);
    const uint8_t *drawn = NULL;
    uint32_t run = 0;
    while (application->draws < application->steps->draws_max &&
           wal_outcomes_next_run(&cursor, &drawn, &run)) {
        const uint64_t wanted = application->steps->draws_max - application->draws;
        enum urn_code code = URN_OK;
        if (run > wanted)
            run = (uint32_t)wanted;
        if (drawn == NULL)
            code = check_failed_draws(application, pool);
        else if (run_is_long(pool, entry->width, run))
            code = take_by_tally(application, pool, entry->width, drawn, run);
        else
            code = take_in_order(application, pool, entry->width, drawn, run);
        if (code != URN_OK)
            return code;
        application->draws += run;
    }
    return URN_OK;
}

/* ---- changes --------------------------------------------------------------------------------- */

/* What was a caller's mistake when it was live cannot have been logged. */
static enum urn_code apply_change(struct application *application, const struct wal_change *change)
{
    struct urn_error *error = application->error;
    switch (changes_apply(application->state, change, error)) {
    case URN_OK:
        return URN_OK;
    case URN_BADARG:
    case URN_EXISTS:
        error->code = URN_DAMAGED;
        break;
    case URN_TOOBIG: /* the log was written under a configuration that allowed more */
        error->code = URN_CONFIG;
        break;
    default:
        break;
    }
    return error->code;
}

/* ---- the group ------------------------------------------------------------------------------- */

/* Ids go on from here: never below what came before. */
static enum urn_code apply_epoch(struct application *application, const struct wal_entry *entry)
{
    struct state *state = application->state;
    if (entry->next_request_id < state->next_request_id ||
        entry->next_request_id <= state->reserved_request_id ||
        entry->next_request_id < application->header->first_request_id ||
        entry->next_request_id > URN_NUMBER_MAX)
        return error_set(application->error, URN_DAMAGED, 0,
                         "the epoch lets ids go on at %" PRIu64 "; they had come to %" PRIu64,
                         entry->next_request_id, state->next_request_id);
    state->next_request_id = entry->next_request_id;
    return URN_OK;
}

/* Reservations rise, and cover the ids that they were made for. */
static enum urn_code apply_ids(struct application *application, const struct wal_entry *entry)
{
    struct state *state = application->state;
    const uint64_t reserved = entry->reserved_request_id;
    if (reserved <= state->reserved_request_id || reserved + 1 < next_id(application) ||
        reserved >= URN_NUMBER_MAX)
        return error_set(application->error, URN_DAMAGED, 0,
                         "ids are reserved up to %" PRIu64 "; they were up to %" PRIu64
                         ", and go on at %" PRIu64,
                         reserved, state->reserved_request_id, next_id(application));
    state->reserved_request_id = reserved;
    return URN_OK;
}

static enum urn_code apply_entry(struct application *application, const struct wal_entry *entry)
{
    switch (entry->type) {
    case WAL_ENTRY_DRAWS:
        return apply_draws(application, entry);
    case WAL_ENTRY_EPOCH:
        return apply_epoch(application, entry);
    case WAL_ENTRY_UPDATE:
    case WAL_ENTRY_ADD:
    case WAL_ENTRY_CREATE:
    case WAL_ENTRY_OPEN:
    case WAL_ENTRY_CLOSE:
    case WAL_ENTRY_APPLIED:
        return apply_change(application, &entry->change);
    case WAL_ENTRY_IDS:
        return apply_ids(application, entry);
    default:
        return error_set(application->error, URN_FORMAT, 0,
                         "entry of unknown type %u at byte %" PRIu32 " (%" PRIu32
                         " bytes): written by a newer version of urn",
                         entry->type, entry->offset, entry->length_bytes);
    }
}

static enum urn_code check_header(struct application *application)
{
    const struct state *state = application->state;
    const struct wal_group_header *header = application->header;
    if (header->kind < WAL_DATA || header->kind > WAL_EPOCH)
        return error_set(application->error, URN_FORMAT, 0,
                         "unknown kind %d: written by a newer version of urn", (int)header->kind);
    if (header->engine_time_us < state->engine_time_us || header->engine_time_us > URN_NUMBER_MAX)
        return error_set(application->error, URN_DAMAGED, 0,
                         "engine time %" PRIu64 " us; it was %" PRIu64 " us before",
                         header->engine_time_us, state->engine_time_us);
    const bool may_jump = header->kind == WAL_EPOCH; /* as far as its entry says */
    if (header->first_request_id < state->next_request_id ||
        (header->first_request_id > state->next_request_id && !may_jump))
        return error_set(application->error, URN_DAMAGED, 0,
                         "ids go on at %" PRIu64 " instead of %" PRIu64, header->first_request_id,
                         state->next_request_id);
    if (header->draws > URN_NUMBER_MAX - state->next_request_id)
        return error_set(application->error, URN_DAMAGED, 0, "ids run beyond 2^53");
    return URN_OK;
}

/* One entry, and a look at what it did. */
static enum urn_code step(struct application *application, const struct wal_entry *entry)
{
    const struct apply_steps *steps = application->steps;
    const uint64_t first_id = next_id(application);
    const enum urn_code code = apply_entry(application, entry);
    if (code == URN_OK && steps->visit != NULL)
        steps->visit(steps->context, entry, first_id, (uint32_t)(next_id(application) - first_id));
    return code;
}

/* *whole: not stopped before the end. */
static enum urn_code apply_entries(struct application *application, bool *whole)
{
    const struct wal_group_header *header = application->header;
    struct wal_entry entry;
    uint32_t offset = 0;
    uint32_t entries = 0;
    enum wal_read_result read = WAL_READ_OK;
    *whole = true;
    while ((read = wal_entry_next(application->group, header, &offset, &entry)) == WAL_READ_OK) {
        if (application->draws == application->steps->draws_max) {
            *whole = false;
            return URN_OK;
        }
        const enum urn_code code = step(application, &entry);
        if (code != URN_OK)
            return code;
        entries++;
    }
    if (application->draws == application->steps->draws_max && application->draws < header->draws) {
        *whole = false; /* in the midst of the last entry */
        return URN_OK;
    }
    if (read == WAL_READ_SHAPE)
        return error_set(application->error, URN_DAMAGED, 0, "at byte %" PRIu32 ": %s", offset,
                         wal_read_result_text(read));
    CHECK(read == WAL_READ_ZERO);
    if (header->kind == WAL_EPOCH && entries != 1)
        return error_set(application->error, URN_DAMAGED, 0, "an epoch group without its entry");
    if (application->draws != header->draws)
        return error_set(application->error, URN_DAMAGED, 0,
                         "%" PRIu64 " draws where its header says %" PRIu32, application->draws,
                         header->draws);
    return URN_OK;
}

enum urn_code apply_group_steps(struct state *state, const struct wal_group_header *header,
                                const uint8_t *group, const struct apply_steps *steps, bool *whole,
                                struct urn_error *error)
{
    CHECK(state->next_request_id >= 1 && state->next_request_id <= URN_NUMBER_MAX);
    CHECK(steps->draws_max > 0);
    struct application application = {
        .state = state, .header = header, .group = group, .error = error, .steps = steps};
    enum urn_code code = check_header(&application);
    if (code == URN_OK)
        code = apply_entries(&application, whole);
    if (code != URN_OK)
        return refuse(&application, code);
    state->next_request_id += application.draws;
    state->engine_time_us = header->engine_time_us;
    state->wall_time_us = header->wall_time_us;
    return URN_OK;
}

enum urn_code apply_group(struct state *state, const struct wal_group_header *header,
                          const uint8_t *group, struct urn_error *error)
{
    static const struct apply_steps all = {.draws_max = UINT64_MAX};
    bool whole = false;
    return apply_group_steps(state, header, group, &all, &whole, error);
}
