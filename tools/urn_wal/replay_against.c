/* replay_against.c: see replay_against.h. */
#include "tools/urn_wal/replay_against.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define PAGE_ITEMS 10000u /* asked for at a time; less where the server finds it too much */

/* One comparing. */
struct meeting {
    struct replay *replay;
    struct urnclient *client;
    struct comparison_with_server *comparison;
    struct urnclient_error *client_error;
    bool reached;
};

/* ---- differences ----------------------------------------------------------------------------------- */

static void differ(const struct meeting *meeting, const char *pool, uint64_t lsn,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

static void differ(const struct meeting *meeting, const char *pool, uint64_t lsn,
                   const char *format, ...)
{
    struct comparison_with_server *comparison = meeting->comparison;
    va_list arguments;
    if (comparison->difference_count++ >= DIFFERENCES_MAX)
        return;
    struct difference *difference = &comparison->differences[comparison->difference_count - 1];
    difference->lsn = lsn;
    (void)snprintf(difference->pool, sizeof difference->pool, "%s", pool);
    va_start(arguments, format);
    (void)vsnprintf(difference->text, sizeof difference->text, format, arguments);
    va_end(arguments);
}

static void differ_in_number(const struct meeting *meeting, const char *pool, uint64_t lsn,
                             const char *what, int64_t here, int64_t there)
{
    if (here != there)
        differ(meeting, pool, lsn, "%s: %" PRId64 " in the log, %" PRId64 " at the server", what,
               here, there);
}

/* ---- one answer ------------------------------------------------------------------------------------ */

static void compare_item(const struct meeting *meeting, const char *name,
                         const struct urn_pool *pool, uint64_t lsn,
                         const struct urnclient_item *there)
{
    const struct urn_text id = pool_item_id(pool, there->index);
    struct urn_item here;
    char what[URN_NAME_BYTES_MAX + 32];
    pool_item(pool, there->index, &here);
    if (id.length != there->item_id.length ||
        memcmp(id.bytes, there->item_id.bytes, id.length) != 0) {
        differ(meeting, name, lsn, "item %" PRIu32 ": %.*s in the log, %.*s at the server",
               there->index, (int)id.length, id.bytes, (int)there->item_id.length,
               there->item_id.bytes);
        return;
    }
    (void)snprintf(what, sizeof what, "%.*s: quantity", (int)id.length, id.bytes);
    differ_in_number(meeting, name, lsn, what, here.quantity, there->quantity);
    (void)snprintf(what, sizeof what, "%.*s: probability", (int)id.length, id.bytes);
    differ_in_number(meeting, name, lsn, what, (int64_t)here.probability,
                     (int64_t)there->probability);
    (void)snprintf(what, sizeof what, "%.*s: drawn", (int)id.length, id.bytes);
    differ_in_number(meeting, name, lsn, what, (int64_t)here.drawn, (int64_t)there->drawn);
}

/* A page, with the state that the log makes at its LSN. */
static void compare_page(const struct meeting *meeting, const char *name,
                         const struct urnclient_state *there)
{
    const struct state *state = &meeting->replay->state;
    struct comparison_with_server *comparison = meeting->comparison;
    const struct urn_pool *pool = state_find_pool(state, name, (uint32_t)strlen(name));
    const uint64_t lsn = there->lsn;
    if (pool == NULL) {
        differ(meeting, name, lsn, "the log has no such pool, the server has");
        return;
    }
    const uint32_t items = pool_item_count(pool);
    differ_in_number(meeting, name, lsn, "open", pool_is_open(pool), there->open);
    differ_in_number(meeting, name, lsn, "odds_version", (int64_t)pool_odds_version(pool),
                     (int64_t)there->odds_version);
    differ_in_number(meeting, name, lsn, "last_request_id", (int64_t)state->next_request_id - 1,
                     (int64_t)there->last_request_id);
    differ_in_number(meeting, name, lsn, "items", items, there->total);
    for (uint32_t i = 0; i < there->count; i++)
        if (there->items[i].index < items)
            compare_item(meeting, name, pool, lsn, &there->items[i]);
    comparison->items += there->count;
}

/* ---- the log's way to an answer's LSN --------------------------------------------------------------- */

/* Brings the replay to lsn. *again: the server has overwritten what came next, so that the replay has begun
 * anew from a later snapshot, and the answer is too old for it. */
static enum urn_code follow(struct meeting *meeting, uint64_t lsn, bool *again,
                            struct urn_error *error)
{
    struct replay *replay = meeting->replay;
    *again = false;
    enum urn_code code = replay_advance(replay, lsn, error);
    if (code != URN_OK)
        return code;
    if (replay->overtaken) {
        *again = true;
        replay->until = (struct moment){.kind = MOMENT_END};
        code = history_refresh(replay->history, error);
        return code == URN_OK ? replay_build(replay, error) : code;
    }
    meeting->reached = replay->outcome == REPLAY_REACHED && replay->state.tail.lsn == lsn;
    return URN_OK;
}

/* The server's word for a page; less of it where that is too much for one answer. */
static enum urnclient_status ask(struct meeting *meeting, const char *pool, uint32_t offset,
                                 uint32_t *page_items, struct urnclient_state *there)
{
    for (;;) {
        const enum urnclient_status status = urnclient_state(
            meeting->client, pool, offset, *page_items, there, meeting->client_error);
        const bool too_big =
            status == URNCLIENT_REFUSED && strcmp(meeting->client_error->code, "TOOBIG") == 0;
        if (!too_big || *page_items == 1)
            return status;
        *page_items /= 2;
    }
}

static enum urn_code server_failed(const struct meeting *meeting, struct urn_error *error)
{
    return error_set(error, URN_IO, 0, "the server cannot be asked: %.300s",
                     meeting->client_error->text);
}

/* ---- pools ------------------------------------------------------------------------------------------ */

static void note_lsn(struct comparison_with_server *comparison, uint64_t lsn)
{
    if (comparison->first_lsn == 0 || lsn < comparison->first_lsn)
        comparison->first_lsn = lsn;
    if (lsn > comparison->last_lsn)
        comparison->last_lsn = lsn;
}

/* Page by page. A page that the replay can no longer be brought to is asked for again. */
static enum urn_code compare_pool(struct meeting *meeting, const char *name,
                                  struct urn_error *error)
{
    enum { TRIES_MAX = 8 };
    uint32_t page_items = PAGE_ITEMS;
    uint32_t tries = 0;
    for (uint32_t offset = 0;;) {
        struct urnclient_state there;
        bool again = false;
        const enum urnclient_status status = ask(meeting, name, offset, &page_items, &there);
        if (status == URNCLIENT_REFUSED && strcmp(meeting->client_error->code, "NOPOOL") == 0) {
            differ(meeting, name, meeting->replay->state.tail.lsn,
                   "the log has this pool, the server has not");
            meeting->client_error->status = URNCLIENT_OK;
            return URN_OK;
        }
        if (status != URNCLIENT_OK)
            return server_failed(meeting, error);
        meeting->comparison->asked_lsn = there.lsn;
        const enum urn_code code = follow(meeting, there.lsn, &again, error);
        if (code == URN_OK && !again && meeting->reached) {
            note_lsn(meeting->comparison, there.lsn);
            compare_page(meeting, name, &there);
        }
        const uint32_t got = there.count;
        const uint32_t total = there.total;
        urnclient_state_free(&there);
        if (code != URN_OK)
            return code;
        if (again && ++tries < TRIES_MAX)
            continue;
        if (again)
            meeting->reached = false;
        offset += got;
        if (!meeting->reached || got == 0 || offset >= total)
            break;
    }
    meeting->comparison->pools += meeting->reached;
    return URN_OK;
}

static bool is_listed(const struct urnclient_names *names, struct urn_text name)
{
    for (uint32_t i = 0; i < names->count; i++)
        if (names->names[i].length == name.length &&
            memcmp(names->names[i].bytes, name.bytes, name.length) == 0)
            return true;
    return false;
}

/* Those that the server lists, then those of the log that it did not list: made since then, or unknown to
 * it. */
static enum urn_code compare_all(struct meeting *meeting, const struct urnclient_names *names,
                                 struct urn_error *error)
{
    const struct state *state = &meeting->replay->state;
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; i < names->count && code == URN_OK && meeting->reached; i++)
        code = compare_pool(meeting, names->names[i].bytes, error);
    for (uint32_t id = 0; code == URN_OK && meeting->reached && id < state->pool_count; id++) {
        char name[URN_NAME_BYTES_MAX + 1];
        const struct urn_text known = pool_name(state->pools[id]);
        if (is_listed(names, known))
            continue;
        memcpy(name, known.bytes, known.length);
        name[known.length] = 0;
        code = compare_pool(meeting, name, error);
    }
    return code;
}

enum urn_code replay_against(struct replay *replay, struct urnclient *client, const char *pool,
                             struct comparison_with_server *comparison, bool *reached,
                             struct urnclient_error *client_error, struct urn_error *error)
{
    struct meeting meeting = {
        .replay = replay, .client = client, .comparison = comparison, .client_error = client_error};
    *comparison = (struct comparison_with_server){0};
    *client_error = (struct urnclient_error){.status = URNCLIENT_OK};
    CHECK(replay->until.kind == MOMENT_END);
    enum urn_code code = replay_build(replay, error);
    meeting.reached = code == URN_OK && replay->outcome == REPLAY_REACHED;
    if (meeting.reached)
        comparison->log_end_lsn = replay->state.tail.lsn;
    if (meeting.reached && pool != NULL) {
        code = compare_pool(&meeting, pool, error);
    } else if (meeting.reached) {
        struct urnclient_names names;
        if (urnclient_pools(client, &names, client_error) != URNCLIENT_OK)
            return server_failed(&meeting, error);
        code = compare_all(&meeting, &names, error);
        urnclient_names_free(&names);
    }
    *reached = meeting.reached;
    return code;
}
