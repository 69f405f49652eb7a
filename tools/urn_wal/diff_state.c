/* diff_state.c: see diff_state.h. */
#include "tools/urn_wal/diff_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/urn_wal/snapshot_lines.h"

static void differ(struct state_differences *differences, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void differ(struct state_differences *differences, const char *format, ...)
{
    va_list arguments;
    if (differences->count++ >= STATE_DIFFERENCES_MAX)
        return;
    va_start(arguments, format);
    (void)vsnprintf(differences->texts[differences->count - 1], STATE_DIFFERENCE_BYTES, format,
                    arguments);
    va_end(arguments);
}

/* Where a number stands: in a pool, of an item; NULL where neither is meant. */
struct place {
    const struct urn_text *pool;
    const struct urn_text *item;
};

static void compare_number(struct state_differences *differences, const struct place *place,
                           const char *what, int64_t a, int64_t b)
{
    if (a == b)
        return;
    if (place->item != NULL)
        differ(differences, "pool %.*s: %.*s: %s: %" PRId64 " and %" PRId64,
               (int)place->pool->length, place->pool->bytes, (int)place->item->length,
               place->item->bytes, what, a, b);
    else if (place->pool != NULL)
        differ(differences, "pool %.*s: %s: %" PRId64 " and %" PRId64, (int)place->pool->length,
               place->pool->bytes, what, a, b);
    else
        differ(differences, "%s: %" PRId64 " and %" PRId64, what, a, b);
}

static bool same_text(struct urn_text a, struct urn_text b)
{
    return a.length == b.length && memcmp(a.bytes, b.bytes, a.length) == 0;
}

static void compare_item(struct state_differences *differences, const struct urn_pool *a,
                         const struct urn_pool *b, uint32_t index)
{
    const struct urn_text pool = pool_name(a);
    const struct urn_text ids[] = {pool_item_id(a, index), pool_item_id(b, index)};
    const struct place place = {&pool, &ids[0]};
    struct urn_item items[2];
    if (!same_text(ids[0], ids[1])) {
        differ(differences, "pool %.*s: item %" PRIu32 ": %.*s and %.*s", (int)pool.length,
               pool.bytes, index, (int)ids[0].length, ids[0].bytes, (int)ids[1].length,
               ids[1].bytes);
        return;
    }
    pool_item(a, index, &items[0]);
    pool_item(b, index, &items[1]);
    compare_number(differences, &place, "quantity", items[0].quantity, items[1].quantity);
    compare_number(differences, &place, "probability", (int64_t)items[0].probability,
                   (int64_t)items[1].probability);
    compare_number(differences, &place, "drawn", (int64_t)items[0].drawn, (int64_t)items[1].drawn);
    compare_number(differences, &place, "applied probability",
                   (int64_t)pool_applied_weight(a, index), (int64_t)pool_applied_weight(b, index));
}

static void compare_pool(struct state_differences *differences, const struct urn_pool *a,
                         const struct urn_pool *b)
{
    const struct urn_text names[] = {pool_name(a), pool_name(b)};
    const struct place place = {&names[0], NULL};
    const uint32_t items[] = {pool_item_count(a), pool_item_count(b)};
    if (!same_text(names[0], names[1])) {
        differ(differences, "pool %" PRIu32 ": %.*s and %.*s", pool_id(a), (int)names[0].length,
               names[0].bytes, (int)names[1].length, names[1].bytes);
        return;
    }
    if (strcmp(pool_phase_text(a), pool_phase_text(b)) != 0)
        differ(differences, "pool %.*s: %s and %s", (int)names[0].length, names[0].bytes,
               pool_phase_text(a), pool_phase_text(b));
    compare_number(differences, &place, "odds version", (int64_t)pool_odds_version(a),
                   (int64_t)pool_odds_version(b));
    compare_number(differences, &place, "items", items[0], items[1]);
    for (uint32_t index = 0; index < items[0] && index < items[1]; index++)
        compare_item(differences, a, b, index);
}

static void compare_counters(struct state_differences *differences, const struct state *a,
                             const struct state *b)
{
    const struct place place = {NULL, NULL};
    compare_number(differences, &place, "LSN", (int64_t)a->tail.lsn, (int64_t)b->tail.lsn);
    compare_number(differences, &place, "epoch", a->tail.epoch, b->tail.epoch);
    if (memcmp(a->tail.chain, b->tail.chain, WAL_CHAIN_BYTES) != 0)
        differ(differences, "chain: they are of different histories");
    compare_number(differences, &place, "next request id", (int64_t)a->next_request_id,
                   (int64_t)b->next_request_id);
    compare_number(differences, &place, "highest reserved request id",
                   (int64_t)a->reserved_request_id, (int64_t)b->reserved_request_id);
    compare_number(differences, &place, "engine time, us", (int64_t)a->engine_time_us,
                   (int64_t)b->engine_time_us);
    compare_number(differences, &place, "wall time, us", (int64_t)a->wall_time_us,
                   (int64_t)b->wall_time_us);
}

static void compare_pools(struct state_differences *differences, const struct state *a,
                          const struct state *b)
{
    const struct place place = {NULL, NULL};
    compare_number(differences, &place, "pools", a->pool_count, b->pool_count);
    for (uint32_t id = 0; id < a->pool_count && id < b->pool_count; id++)
        compare_pool(differences, a->pools[id], b->pools[id]);
}

void state_compare(const struct state *a, const struct state *b,
                   struct state_differences *differences)
{
    differences->count = 0;
    compare_counters(differences, a, b);
    compare_pools(differences, a, b);
}

void state_compare_pools(const struct state *a, const struct state *b,
                         struct state_differences *differences)
{
    differences->count = 0;
    compare_pools(differences, a, b);
}
