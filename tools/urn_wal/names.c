/* names.c: see names.h. */
#include "tools/urn_wal/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/output.h"

/* The newest of the listed snapshots that loads; none may. */
static enum urn_code load_newest(struct names *names, const struct history *history,
                                 struct urn_error *error)
{
    for (uint32_t which = 0; which < history->snapshot_count && !names->has_state; which++) {
        const enum urn_code code = history_load(history, which, &names->state, error);
        if (code == URN_NOMEMORY)
            return code;
        names->has_state = code == URN_OK;
    }
    return URN_OK;
}

enum urn_code names_begin(struct names *names, struct history *history, struct urn_error *error)
{
    enum { LOOKS_MAX = 8 }; /* a server may have replaced all that were listed */
    *names = (struct names){.has_state = false};
    enum urn_code code = load_newest(names, history, error);
    for (int looks = 1;
         code == URN_OK && !names->has_state && history_live(history) && looks < LOOKS_MAX;
         looks++) {
        code = history_refresh(history, error);
        if (code == URN_OK)
            code = load_newest(names, history, error);
    }
    names->known = names->has_state;
    if (code != URN_OK || names->has_state)
        return code;
    const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};
    code = state_make(&bounds, &names->state, error);
    names->has_state = code == URN_OK;
    return code;
}

void names_end(struct names *names)
{
    for (uint32_t pool = 0; pool < names->line_ends_room; pool++) {
        free(names->line_ends[pool].bytes);
        free(names->line_ends[pool].offsets);
    }
    free(names->line_ends);
    if (names->has_state)
        state_free(&names->state);
    *names = (struct names){.has_state = false};
}

enum urn_code names_learn(struct names *names, const struct wal_change *change,
                          struct urn_error *error)
{
    struct state *state = &names->state;
    enum urn_code code = URN_OK;
    struct urn_pool *pool = NULL;
    if (change->type == WAL_ENTRY_CREATE && change->pool_id == state->pool_count)
        code = state_add_pool(state, change->name.bytes, change->name.length, MAX_ITEMS_MAX, &pool,
                              error);
    else if (change->type == WAL_ENTRY_ADD && change->pool_id < state->pool_count &&
             change->index == pool_item_count(state->pools[change->pool_id]))
        code = state_add_item(state, state->pools[change->pool_id], change->name.bytes,
                              change->name.length, 0, 0, 0, error);
    else
        return URN_OK;
    names->learned = true;
    return code == URN_NOMEMORY ? code : URN_OK; /* what cannot be named is shown by its number */
}

enum urn_code names_learn_log(struct names *names, struct history *history, struct walk *walk,
                              struct urn_error *error)
{
    const uint64_t from = history->snapshot_count > 0 ? history->snapshots[0].id.lsn : 0;
    enum urn_code code = walk_begin(history, history_segment_begin(history, from), UINT64_MAX, 0,
                                    SCAN_CHECKSUMS, walk, error);
    while (code == URN_OK) {
        const enum walk_step step = walk_next(walk, error);
        if (step == WALK_END)
            break;
        if (step == WALK_ERROR)
            code = error->code;
        struct wal_entry entry;
        uint32_t offset = 0;
        while (code == URN_OK && step == WALK_GROUP &&
               wal_entry_next(walk->item.bytes, &walk->item.header, &offset, &entry) == WAL_READ_OK)
            if (wal_entry_is_change(entry.type))
                code = names_learn(names, &entry.change, error);
    }
    return code;
}

bool names_pool(const struct names *names, uint32_t pool_id, struct urn_text *name)
{
    if (pool_id >= names->state.pool_count)
        return false;
    *name = pool_name(names->state.pools[pool_id]);
    return true;
}

bool names_item(const struct names *names, uint32_t pool_id, uint32_t index, struct urn_text *name)
{
    if (pool_id >= names->state.pool_count || index >= pool_item_count(names->state.pools[pool_id]))
        return false;
    *name = pool_item_id(names->state.pools[pool_id], index);
    return true;
}

/* ---- the ends of lines ------------------------------------------------------------------------ */

static bool make_line_ends(const struct urn_pool *pool, struct line_ends *ends)
{
    const uint32_t items = pool_item_count(pool);
    char begin[2 + 4 * URN_NAME_BYTES_MAX];
    begin[0] = ' ';
    char *begin_end = put_name(begin + 1, pool_name(pool));
    *begin_end++ = ' ';
    const size_t begin_bytes = (size_t)(begin_end - begin);

    size_t total = LINE_END_SLACK;
    for (uint32_t index = 0; index < items; index++)
        total += begin_bytes + 4 * (size_t)pool_item_id(pool, index).length + 1;
    free(ends->bytes);
    free(ends->offsets);
    *ends = (struct line_ends){.bytes = calloc(1, total),
                               .offsets = malloc((items + 1) * sizeof(uint32_t))};
    if (ends->bytes == NULL || ends->offsets == NULL || total > UINT32_MAX) {
        free(ends->bytes);
        free(ends->offsets);
        *ends = (struct line_ends){.items = 0};
        return false;
    }
    char *to = ends->bytes;
    for (uint32_t index = 0; index < items; index++) {
        ends->offsets[index] = (uint32_t)(to - ends->bytes);
        memcpy(to, begin, begin_bytes);
        to = put_name(to + begin_bytes, pool_item_id(pool, index));
        *to++ = '\n';
    }
    ends->offsets[items] = (uint32_t)(to - ends->bytes);
    ends->items = items;
    return true;
}

const struct line_ends *names_line_ends(struct names *names, uint32_t pool_id)
{
    if (pool_id >= names->state.pool_count)
        return NULL;
    if (pool_id >= names->line_ends_room) {
        const uint32_t room = names->state.pool_count;
        struct line_ends *larger = realloc(names->line_ends, room * sizeof *larger);
        if (larger == NULL)
            return NULL;
        memset(larger + names->line_ends_room, 0, (room - names->line_ends_room) * sizeof *larger);
        names->line_ends = larger;
        names->line_ends_room = room;
    }
    struct line_ends *ends = &names->line_ends[pool_id];
    const struct urn_pool *pool = names->state.pools[pool_id];
    if ((ends->bytes == NULL || ends->items != pool_item_count(pool)) &&
        !make_line_ends(pool, ends))
        return NULL;
    return ends;
}
