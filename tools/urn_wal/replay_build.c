/* replay_build.c: see replay_build.h. */
#include "tools/urn_wal/replay_build.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "engine/check.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/time_text.h"

/* For a line of its own: what is shown of progress makes room for it. */
static FILE *notes_of(const struct replay *replay)
{
    progress_tell(replay->progress, NULL, 0, 0);
    return replay->notes;
}

/* ---- moments ------------------------------------------------------------------------------------- */

bool parse_moment(const char *text, void *field)
{
    struct moment *moment = field;
    if (strncmp(text, "lsn:", 4) == 0) {
        moment->kind = MOMENT_LSN;
        return parse_lsn(text + 4, &moment->number);
    }
    if (strncmp(text, "id:", 3) == 0) {
        moment->kind = MOMENT_ID;
        return parse_id(text + 3, &moment->number);
    }
    moment->kind = MOMENT_TIME;
    return parse_time(strncmp(text, "time:", 5) == 0 ? text + 5 : text, &moment->number);
}

/* The state is not behind the moment. */
static bool is_before(const struct moment *moment, const struct state *state)
{
    switch (moment->kind) {
    case MOMENT_LSN:
        return state->tail.lsn <= moment->number;
    case MOMENT_TIME:
        return state->wall_time_us <= moment->number;
    case MOMENT_ID:
        return state->next_request_id <= moment->number;
    case MOMENT_END:
        break;
    }
    return true;
}

/* ---- choosing a snapshot ------------------------------------------------------------------------- */

static void drop_state(struct replay *replay)
{
    if (replay->has_state)
        state_free(&replay->state);
    replay->has_state = false;
}

static bool is_newer(const struct history_snapshot *one, const struct history_snapshot *other)
{
    return one->id.lsn > other->id.lsn ||
           (one->id.lsn == other->id.lsn && one->id.serial > other->id.serial);
}

/* The newest snapshot that is older than this one (the newest of all for the count), or the count. */
static uint32_t next_older(const struct history *history, uint32_t which)
{
    const uint32_t count = history->snapshot_count;
    uint32_t found = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct history_snapshot *snapshot = &history->snapshots[i];
        if (which < count && !is_newer(&history->snapshots[which], snapshot))
            continue;
        if (found == count || is_newer(snapshot, &history->snapshots[found]))
            found = i;
    }
    return found;
}

/* Loads one. *gone: a server has removed it since it was listed. */
static enum urn_code load(struct replay *replay, uint32_t which, bool *gone,
                          struct urn_error *error)
{
    struct history *history = replay->history;
    const struct history_snapshot *snapshot = &history->snapshots[which];
    drop_state(replay);
    const enum urn_code code = history_load(history, which, &replay->state, error);
    *gone = history_lost(history, code, error);
    if (code != URN_OK)
        return code;
    replay->has_state = true;
    replay->from_lsn = snapshot->id.lsn;
    memcpy(replay->from_name, snapshot->name, sizeof replay->from_name);
    return URN_OK;
}

/* The newest before the moment that loads. */
static enum urn_code load_newest(struct replay *replay, struct urn_error *error)
{
    const struct history *history = replay->history;
    replay->outcome = REPLAY_NO_SNAPSHOT;
    replay->oldest_lsn = NO_LSN;
    for (uint32_t which = next_older(history, history->snapshot_count);
         which < history->snapshot_count; which = next_older(history, which)) {
        const struct history_snapshot *snapshot = &history->snapshots[which];
        const bool is_oldest = next_older(history, which) == history->snapshot_count;
        bool gone = false;
        if (replay->until.kind == MOMENT_LSN && snapshot->id.lsn > replay->until.number &&
            !is_oldest)
            continue;
        const enum urn_code code = load(replay, which, &gone, error);
        if (code == URN_NOMEMORY)
            return code;
        if (gone) {
            replay->overtaken = true;
            return URN_OK;
        }
        if (code != URN_OK) {
            (void)fprintf(notes_of(replay), "urn-wal: %s: passed by\n", error->text);
            continue;
        }
        if (is_before(&replay->until, &replay->state)) {
            replay->outcome = REPLAY_REACHED;
            return URN_OK;
        }
        replay->oldest_lsn = replay->state.tail.lsn;
        replay->oldest_next_id = replay->state.next_request_id;
        replay->oldest_time_us = replay->state.wall_time_us;
    }
    return URN_OK;
}

/* What was asked for is this snapshot: by its name, or by its path. */
static bool is_named(const struct history *history, const struct history_snapshot *snapshot,
                     const char *text)
{
    const char *slash = strrchr(text, '/');
    if (strcmp(slash == NULL ? text : slash + 1, snapshot->name) != 0)
        return false;
    if (slash == NULL)
        return true;
    size_t folder = (size_t)(slash - text);
    size_t length = strlen(history->path);
    while (folder > 1 && text[folder - 1] == '/')
        folder--;
    while (length > 1 && history->path[length - 1] == '/')
        length--;
    if (history->is_directory)
        return folder == length && memcmp(history->path, text, length) == 0;
    for (uint32_t i = 0; i < history->operand_count; i++)
        if (strcmp(history->operands[i], text) == 0)
            return true;
    return false;
}

static enum urn_code load_chosen(struct replay *replay, struct urn_error *error)
{
    const struct history *history = replay->history;
    uint32_t which = 0;
    bool gone = false;
    while (which < history->snapshot_count &&
           !is_named(history, &history->snapshots[which], replay->from))
        which++;
    if (which == history->snapshot_count)
        return error_set(error, URN_NODATA, 0,
                         "%.200s is no snapshot of %.200s; `urn-wal ls` lists them", replay->from,
                         history->path);
    if (load(replay, which, &gone, error) != URN_OK)
        return error->code;
    replay->outcome =
        is_before(&replay->until, &replay->state) ? REPLAY_REACHED : REPLAY_NOT_SUITABLE;
    return URN_OK;
}

/* ---- beginning ------------------------------------------------------------------------------------ */

static void stop_walk(struct replay *replay)
{
    if (replay->walking)
        walk_end(&replay->walk);
    replay->walking = false;
    replay->pending = false;
}

/* Snapshots prove, by their names alone, that all below them was durable. Beside a server, which goes on to
 * prove it, the one that was loaded does. */
static uint64_t durable_by_snapshots(const struct replay *replay)
{
    const struct history *history = replay->history;
    uint64_t lsn = replay->state.tail.lsn;
    if (!history->is_directory || replay->history->live)
        return lsn;
    for (uint32_t i = 0; i < history->snapshot_count; i++)
        if (history->snapshots[i].id.lsn > lsn)
            lsn = history->snapshots[i].id.lsn - history->snapshots[i].id.lsn % WAL_ALIGN_BYTES;
    return lsn;
}

/* Nothing that holds the log right behind the snapshot is kept. */
static void break_at_once(struct replay *replay)
{
    replay->gap = (struct walk_break){
        .kind = WALK_MISSING, .from_lsn = replay->state.tail.lsn, .to_lsn = replay->walk.tail.lsn};
    replay->outcome = REPLAY_BROKEN;
}

/* A state to begin with, and a walk behind it. */
static enum urn_code begin(struct replay *replay, struct urn_error *error)
{
    enum urn_code code =
        replay->from != NULL ? load_chosen(replay, error) : load_newest(replay, error);
    if (code != URN_OK || replay->overtaken || replay->outcome != REPLAY_REACHED)
        return code;
    const struct wal_tail tail = replay->state.tail;
    code = walk_begin(replay->history, tail.lsn, UINT64_MAX, durable_by_snapshots(replay),
                      SCAN_DIGESTS, &replay->walk, error);
    if (code != URN_OK)
        return code;
    replay->walking = true;
    replay->telling = (struct walk_progress){.progress = replay->progress,
                                             .what = "replaying the log",
                                             .begin_lsn = tail.lsn,
                                             .told_lsn = tail.lsn};
    if (replay->walk.tail.lsn != tail.lsn)
        break_at_once(replay);
    else
        walk_anchor(&replay->walk, &tail);
    return URN_OK;
}

/* ---- group by group -------------------------------------------------------------------------------- */

/* The state is what it is meant to be, whatever comes next. */
static bool has_arrived(const struct replay *replay)
{
    return replay->until.kind == MOMENT_LSN && replay->state.tail.lsn >= replay->until.number;
}

/* The group lies behind the moment, or reaches beyond it. */
static bool is_past(const struct replay *replay, const struct wal_group_header *header)
{
    if (replay->until.kind == MOMENT_LSN)
        return header->lsn + header->length_bytes > replay->until.number;
    return replay->until.kind == MOMENT_TIME && header->wall_time_us > replay->until.number;
}

static void stop_before(struct replay *replay, const struct wal_group_header *header)
{
    replay->pending = true;
    replay->within = *header;
    replay->rounded = replay->until.kind == MOMENT_LSN && header->lsn < replay->until.number;
}

struct looker {
    struct replay *replay;
    const struct wal_group_header *header;
};

static void look(void *context, const struct wal_entry *entry, uint64_t first_request_id,
                 uint32_t draws)
{
    const struct looker *looker = context;
    struct replay *replay = looker->replay;
    replay->visited = true;
    replay->visit(replay->visit_context, &replay->state, looker->header, entry, first_request_id,
                  draws);
}

/* The group holds the draw that is asked for. */
static bool holds_draw(const struct replay *replay, const struct wal_group_header *header)
{
    return replay->until.kind == MOMENT_ID && replay->until.number >= header->first_request_id &&
           replay->until.number - header->first_request_id < header->draws;
}

static void note_clock(const struct replay *replay, const struct wal_group_header *header)
{
    if (replay->until.kind != MOMENT_TIME || header->wall_time_us >= replay->state.wall_time_us)
        return;
    char before[TIME_TEXT_BYTES];
    char now[TIME_TEXT_BYTES];
    time_text(replay->state.wall_time_us, before);
    time_text(header->wall_time_us, now);
    (void)fprintf(notes_of(replay),
                  "urn-wal: LSN %" PRIu64
                  ": the server's clock went back from %s to %s: times around "
                  "there are ambiguous; lsn: or id: is not\n",
                  header->lsn, before, now);
}

/* Applies the group that the walk has come to. *done: the replay ends with it. */
static enum urn_code take_group(struct replay *replay, bool *done, struct urn_error *error)
{
    const struct wal_group_header *header = &replay->walk.item.header;
    const struct wal_tail before = replay->state.tail;
    const bool holds = holds_draw(replay, header);
    struct looker looker = {.replay = replay, .header = header};
    const struct apply_steps steps = {
        .draws_max = holds ? replay->until.number - header->first_request_id + 1 : UINT64_MAX,
        .visit = replay->visit != NULL ? look : NULL,
        .context = &looker};
    bool whole = true;
    note_clock(replay, header);
    replay->state.tail = replay->walk.tail;
    const enum urn_code code =
        apply_group_steps(&replay->state, header, replay->walk.item.bytes, &steps, &whole, error);
    *done = holds || code != URN_OK;
    if (code == URN_NOMEMORY)
        return code;
    if (code != URN_OK) {
        replay->untrue = *error;
        replay->outcome = REPLAY_UNTRUE;
        return URN_OK;
    }
    replay->groups++;
    replay->draws += whole ? header->draws : steps.draws_max;
    replay->inside = !whole;
    if (!whole) {
        replay->within = *header;
        replay->state.tail = before;
    }
    if (!holds && replay->until.kind == MOMENT_ID &&
        replay->state.next_request_id > replay->until.number) {
        replay->outcome = REPLAY_NEVER_GIVEN;
        replay->skip_lsn = header->lsn;
        *done = true;
    }
    return URN_OK;
}

static void take_break(struct replay *replay, bool *done)
{
    const struct walk_break *gap = &replay->walk.gap;
    char what[BREAK_TEXT_BYTES];
    if (gap->header_page) { /* the chain goes on behind it */
        break_text(replay->history, gap, 0, 0, what);
        (void)fprintf(notes_of(replay), "urn-wal: LSN %" PRIu64 ": %s\n", gap->from_lsn, what);
        return;
    }
    *done = true;
    replay->overtaken = gap->kind == WALK_OVERWRITTEN && !replay->visited;
    replay->gap = *gap;
    replay->outcome = REPLAY_BROKEN;
}

/* The log ends before the moment; that of a time has then come all the same. */
static void take_end(struct replay *replay)
{
    const struct walk *walk = &replay->walk;
    if (walk->end_unreadable) {
        replay->gap = (struct walk_break){.kind = WALK_UNREADABLE,
                                          .from_lsn = walk->tail.lsn,
                                          .to_lsn = walk->tail.lsn,
                                          .unreadable_lsn = walk->end_unreadable_lsn};
        replay->outcome = REPLAY_BROKEN;
        return;
    }
    if (replay->until.kind == MOMENT_LSN || replay->until.kind == MOMENT_ID)
        replay->outcome = replay->until.kind == MOMENT_LSN && walk->tail.lsn >= replay->until.number
                              ? REPLAY_REACHED
                              : REPLAY_BEYOND_END;
    if (walk->end_why != WAL_READ_OK && walk->end_why != WAL_READ_ZERO)
        (void)fprintf(notes_of(replay),
                      "urn-wal: the log ends at LSN %" PRIu64
                      ": %s; `urn-wal verify` says whether that is in order\n",
                      walk->tail.lsn, wal_read_result_text(walk->end_why));
}

static enum urn_code step(struct replay *replay, bool *done, bool *ended, struct urn_error *error)
{
    if (!replay->pending) {
        switch (walk_next(&replay->walk, error)) {
        case WALK_GROUP:
            walk_tell(&replay->walk, &replay->telling);
            break;
        case WALK_SEGMENT:
            return URN_OK;
        case WALK_BREAK:
            take_break(replay, done);
            return URN_OK;
        case WALK_END:
            *ended = *done = true;
            return URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
    replay->pending = false;
    if (is_past(replay, &replay->walk.item.header)) {
        stop_before(replay, &replay->walk.item.header);
        *done = true;
        return URN_OK;
    }
    return take_group(replay, done, error);
}

/* To the moment, or as far as the walk goes (*ended). */
static enum urn_code go_on(struct replay *replay, bool *ended, struct urn_error *error)
{
    bool done = has_arrived(replay);
    enum urn_code code = URN_OK;
    *ended = false;
    replay->rounded = false;
    while (code == URN_OK && !done) {
        code = step(replay, &done, ended, error);
        done = done || has_arrived(replay);
    }
    return code;
}

/* ---- all of it ------------------------------------------------------------------------------------- */

static enum urn_code build_once(struct replay *replay, struct urn_error *error)
{
    bool ended = false;
    replay->overtaken = false;
    replay->groups = replay->draws = 0;
    replay->inside = replay->rounded = false;
    stop_walk(replay);
    enum urn_code code = begin(replay, error);
    if (code != URN_OK || replay->overtaken || replay->outcome != REPLAY_REACHED)
        return code;
    code = go_on(replay, &ended, error);
    if (code == URN_OK && ended)
        take_end(replay);
    return code;
}

enum urn_code replay_build(struct replay *replay, struct urn_error *error)
{
    enum { LOOKS_MAX = 8 }; /* beside a server that laps faster than its log can be read */
    for (int looks = 1;; looks++) {
        enum urn_code code = build_once(replay, error);
        if (code != URN_OK || !replay->overtaken)
            return code;
        replay->outcome = REPLAY_OVERTAKEN;
        if (looks == LOOKS_MAX)
            return URN_OK;
        stop_walk(replay);
        code = history_refresh(replay->history, error);
        if (code != URN_OK)
            return code;
    }
}

enum urn_code replay_advance(struct replay *replay, uint64_t lsn, struct urn_error *error)
{
    bool ended = false;
    CHECK(replay->walking && !replay->inside);
    replay->until = (struct moment){.kind = MOMENT_LSN, .number = lsn};
    replay->outcome = REPLAY_REACHED;
    enum urn_code code = go_on(replay, &ended, error);
    uint64_t came_to_lsn = NO_LSN;
    while (code == URN_OK && ended && replay->walk.tail.lsn != came_to_lsn) {
        bool more = false;
        came_to_lsn = replay->walk.tail.lsn;
        code = walk_resume(&replay->walk, lsn, &more, error);
        if (code == URN_OK && more)
            code = go_on(replay, &ended, error);
    }
    if (code == URN_OK && ended)
        take_end(replay);
    return code;
}

void replay_end(struct replay *replay)
{
    stop_walk(replay);
    drop_state(replay);
}

/* ---- telling --------------------------------------------------------------------------------------- */

static void tell_no_snapshot(const struct replay *replay)
{
    char time[TIME_TEXT_BYTES];
    if (replay->oldest_lsn == NO_LSN) {
        (void)fprintf(
            replay->notes,
            "urn-wal: no snapshot from before that can be read, and a state begins with one\n");
        return;
    }
    time_text(replay->oldest_time_us, time);
    (void)fprintf(replay->notes,
                  "urn-wal: no snapshot from before that is kept: the oldest is of LSN %" PRIu64
                  " (next request id %" PRIu64 ", %s)\n",
                  replay->oldest_lsn, replay->oldest_next_id, time);
}

static void tell_beyond(const struct replay *replay)
{
    (void)fprintf(replay->notes,
                  "urn-wal: the log ends before that, at LSN %" PRIu64 "; the next request id is "
                  "%" PRIu64 "%s\n",
                  replay->walk.tail.lsn, replay->state.next_request_id,
                  replay->history->live
                      ? " (what is above is not known to be durable yet: try again in a moment)"
                      : "");
}

static void tell_broken(const struct replay *replay)
{
    char what[BREAK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    break_text(replay->history, &replay->gap, 0, 0, what);
    (void)fprintf(
        replay->notes,
        "urn-wal: LSN %" PRIu64 " (%s): %s\n"
        "urn-wal: no state behind that can be built from %s; the last one before it is that "
        "of --until lsn:%" PRIu64 "\n",
        replay->gap.from_lsn, history_place(replay->history, replay->gap.from_lsn, place), what,
        replay->from_name, replay->state.tail.lsn);
}

void replay_tell(const struct replay *replay)
{
    FILE *notes = notes_of(replay);
    switch (replay->outcome) {
    case REPLAY_REACHED:
        return;
    case REPLAY_NO_SNAPSHOT:
        tell_no_snapshot(replay);
        return;
    case REPLAY_NOT_SUITABLE:
        (void)fprintf(notes, "urn-wal: %s was taken behind that, at LSN %" PRIu64 "\n",
                      replay->from_name, replay->from_lsn);
        return;
    case REPLAY_BEYOND_END:
        tell_beyond(replay);
        return;
    case REPLAY_NEVER_GIVEN:
        (void)fprintf(notes,
                      "urn-wal: request id %" PRIu64
                      " is of no draw in the log: at a start or a repair (LSN "
                      "%" PRIu64 ") ids went on at %" PRIu64 "\n",
                      replay->until.number, replay->skip_lsn, replay->state.next_request_id);
        return;
    case REPLAY_BROKEN:
        tell_broken(replay);
        return;
    case REPLAY_OVERTAKEN:
        (void)fprintf(notes,
                      "urn-wal: the server writes over the log faster than it can be replayed\n");
        return;
    case REPLAY_UNTRUE:
        (void)fprintf(notes, "urn-wal: %s\n", replay->untrue.text);
        return;
    }
}
