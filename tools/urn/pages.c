/* pages.c: see pages.h. */
#include "tools/urn/pages.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_ITEMS 1000u

static enum urnclient_status no_memory(struct urnclient_error *error)
{
    *error = (struct urnclient_error){
        .status = URNCLIENT_NOMEMORY,
        .text = "no memory for so many items; ask for fewer with --limit",
    };
    return URNCLIENT_NOMEMORY;
}

/* ---- growing ----------------------------------------------------------------------------- */

/* Makes room for count more items and names and for a block of so many bytes, which *arena is set
 * to. */
static bool make_room(struct pages *pages, uint32_t count, size_t arena_bytes, char **arena)
{
    if (pages->count + (uint64_t)count > pages->capacity) {
        uint64_t capacity = pages->capacity * 2ull;
        if (capacity < pages->count + (uint64_t)count)
            capacity = pages->count + (uint64_t)count;
        struct urnclient_item *items = realloc(pages->items, capacity * sizeof *items);
        if (items == NULL)
            return false;
        pages->items = items;
        struct urnclient_text *names = realloc(pages->names, capacity * sizeof *names);
        if (names == NULL)
            return false;
        pages->names = names;
        pages->capacity = (uint32_t)capacity;
    }
    char **arenas = realloc(pages->arenas, (pages->arena_count + 1) * sizeof *arenas);
    if (arenas == NULL)
        return false;
    pages->arenas = arenas;
    *arena = malloc(arena_bytes == 0 ? 1 : arena_bytes);
    if (*arena == NULL)
        return false;
    pages->arenas[pages->arena_count++] = *arena;
    return true;
}

/* Copies a text and its terminator to *arena and moves that behind it. */
static struct urnclient_text keep(struct urnclient_text text, char **arena)
{
    char *kept = *arena;
    memcpy(kept, text.bytes, text.length + 1);
    *arena += text.length + 1;
    return (struct urnclient_text){kept, text.length};
}

static bool keep_items(struct pages *pages, const struct urnclient_state *state)
{
    size_t bytes = 0;
    char *arena;
    for (uint32_t i = 0; i < state->count; i++)
        bytes += state->items[i].item_id.length + 1;
    if (!make_room(pages, state->count, bytes, &arena))
        return false;
    for (uint32_t i = 0; i < state->count; i++) {
        struct urnclient_item *item = &pages->items[pages->count++];
        *item = state->items[i];
        item->item_id = keep(state->items[i].item_id, &arena);
    }
    return true;
}

static bool keep_names(struct pages *pages, const struct urnclient_names *names)
{
    size_t bytes = 0;
    char *arena;
    for (uint32_t i = 0; i < names->count; i++)
        bytes += names->names[i].length + 1;
    if (!make_room(pages, names->count, bytes, &arena))
        return false;
    for (uint32_t i = 0; i < names->count; i++)
        pages->names[pages->count++] = keep(names->names[i], &arena);
    return true;
}

/* ---- fetching ---------------------------------------------------------------------------- */

/* Fetches one page and adds it; *got says how many it had. */
typedef enum urnclient_status fetch_page(struct urnclient *client, const char *pool,
                                         uint32_t offset, uint32_t limit, struct pages *pages,
                                         uint32_t *got, struct urnclient_error *error);

static enum urnclient_status fetch_state_page(struct urnclient *client, const char *pool,
                                              uint32_t offset, uint32_t limit, struct pages *pages,
                                              uint32_t *got, struct urnclient_error *error)
{
    struct urnclient_state state;
    if (urnclient_state(client, pool, offset, limit, &state, error) != URNCLIENT_OK)
        return error->status;
    if (pages->arena_count == 0) {
        pages->open = state.open;
        pages->odds_version = state.odds_version;
        pages->last_request_id = state.last_request_id;
        pages->lsn = state.lsn;
    }
    pages->total = state.total;
    *got = state.count;
    bool kept = keep_items(pages, &state);
    urnclient_state_free(&state);
    return kept ? URNCLIENT_OK : no_memory(error);
}

static enum urnclient_status fetch_catalog_page(struct urnclient *client, const char *pool,
                                                uint32_t offset, uint32_t limit,
                                                struct pages *pages, uint32_t *got,
                                                struct urnclient_error *error)
{
    struct urnclient_names names;
    if (urnclient_catalog(client, pool, offset, limit, &names, error) != URNCLIENT_OK)
        return error->status;
    if (pages->arena_count == 0)
        pages->odds_version = names.odds_version;
    pages->total = names.total;
    *got = names.count;
    bool kept = keep_names(pages, &names);
    urnclient_names_free(&names);
    return kept ? URNCLIENT_OK : no_memory(error);
}

static enum urnclient_status fetch_all(struct urnclient *client, const char *pool, uint32_t offset,
                                       uint32_t limit, fetch_page *fetch, struct pages *pages,
                                       struct urnclient_error *error)
{
    uint32_t page = PAGE_ITEMS;
    memset(pages, 0, sizeof *pages);
    for (;;) {
        uint32_t left = limit - pages->count;
        uint32_t got = 0;
        enum urnclient_status status = fetch(client, pool, offset + pages->count,
                                             left < page ? left : page, pages, &got, error);
        bool too_big = status == URNCLIENT_REFUSED && strcmp(error->code, "TOOBIG") == 0;
        if (too_big && page > 1) {
            page /= 2;
            continue;
        }
        if (status != URNCLIENT_OK) {
            pages_free(pages);
            return status;
        }
        uint64_t next = (uint64_t)offset + pages->count;
        if (got == 0 || pages->count >= limit || next >= pages->total)
            return URNCLIENT_OK;
    }
}

enum urnclient_status pages_fetch_state(struct urnclient *client, const char *pool, uint32_t offset,
                                        uint32_t limit, struct pages *pages,
                                        struct urnclient_error *error)
{
    return fetch_all(client, pool, offset, limit, fetch_state_page, pages, error);
}

enum urnclient_status pages_fetch_catalog(struct urnclient *client, const char *pool,
                                          uint32_t offset, uint32_t limit, struct pages *pages,
                                          struct urnclient_error *error)
{
    return fetch_all(client, pool, offset, limit, fetch_catalog_page, pages, error);
}

void pages_free(struct pages *pages)
{
    for (uint32_t i = 0; i < pages->arena_count; i++)
        free(pages->arenas[i]);
    free(pages->arenas);
    free(pages->items);
    free(pages->names);
    memset(pages, 0, sizeof *pages);
}
