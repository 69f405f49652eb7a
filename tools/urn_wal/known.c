/* known.c: see known.h. */
#include "tools/urn_wal/known.h"

#include <errno.h>

#include "tools/urn_wal/walk.h"

static void know_id(struct known *known, uint64_t request_id)
{
    if (request_id > known->request_id)
        known->request_id = request_id;
}

static void know_lsn(struct known *known, uint64_t lsn)
{
    if (lsn > known->lsn)
        known->lsn = lsn;
}

static void know_epoch(struct known *known, uint32_t epoch)
{
    if (epoch > known->epoch)
        known->epoch = epoch;
}

static void know_state(struct known *known, const struct state *state)
{
    know_id(known, state->next_request_id - 1);
    know_id(known, state->reserved_request_id);
    know_lsn(known, state->tail.lsn);
    know_epoch(known, state->tail.epoch);
}

static void know_header(struct known *known, const struct wal_group_header *header)
{
    if (header->first_request_id > 0 &&
        header->first_request_id <= URN_NUMBER_MAX) /* the next one to be given, without draws */
        know_id(known, header->first_request_id - 1 + header->draws);
    know_lsn(known, header->lsn + header->length_bytes);
    know_epoch(known, header->epoch);
}

/* A group of the log behind the state. */
static void know_group(struct known *known, const struct state *state,
                       const struct wal_group_header *header, const uint8_t *group)
{
    struct wal_entry entry;
    uint32_t offset = 0;
    know_header(known, header);
    while (wal_entry_next(group, header, &offset, &entry) == WAL_READ_OK) {
        if (entry.type == WAL_ENTRY_EPOCH && entry.next_request_id > 0)
            know_id(known, entry.next_request_id - 1);
        if (entry.type == WAL_ENTRY_IDS)
            know_id(known, entry.reserved_request_id);
    }
    const uint64_t end_id = header->first_request_id + header->draws;
    if (header->draws == 0 || end_id <= state->next_request_id)
        return;
    const uint64_t first_id = header->first_request_id > state->next_request_id
                                  ? header->first_request_id
                                  : state->next_request_id;
    if (known->later_draws == 0)
        known->later_first_id = first_id;
    known->later_draws += end_id - first_id;
    known->later_last_id = end_id - 1;
}

/* Snapshots prove, by their names alone, that all below them was durable; beside a server, which may write
 * newer ones at any time, only where the walk begins is known to be. */
static uint64_t durable_by_snapshots(const struct history *history, const struct state *state)
{
    uint64_t lsn = state->tail.lsn;
    for (uint32_t i = 0; !history->live && i < history->snapshot_count; i++)
        if (history->snapshots[i].id.lsn > lsn)
            lsn = history->snapshots[i].id.lsn - history->snapshots[i].id.lsn % WAL_ALIGN_BYTES;
    return lsn;
}

static enum urn_code survey_log(struct history *history, const struct state *state,
                                struct known *known, struct urn_error *error)
{
    struct walk walk;
    enum urn_code code =
        walk_begin(history, state->tail.lsn, UINT64_MAX, durable_by_snapshots(history, state),
                   SCAN_CHECKSUMS, &walk, error);
    if (code != URN_OK)
        return code;
    for (bool done = false; !done;) {
        switch (walk_next(&walk, error)) {
        case WALK_GROUP:
            know_group(known, state, &walk.item.header, walk.item.bytes);
            break;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            known->incomplete = true;
            break;
        case WALK_END:
            known->incomplete |= walk.end_unreadable;
            done = true;
            break;
        case WALK_ERROR:
            code = error->code;
            done = true;
            break;
        }
    }
    walk_end(&walk);
    return code;
}

static bool note_header(void *context, const struct wal_group_header *header)
{
    know_header(context, header);
    return true;
}

/* Whole groups that are not of the log: discarded by a start, or above what is durable. They lie in the
 * ring's segments from the log's end on, wherever those are in the order of the log. */
static enum urn_code survey_strays(struct history *history, struct known *known,
                                   struct urn_error *error)
{
    for (uint32_t i = 0; i < history->segment_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        if (segment->state == HISTORY_MISSING || segment->slot == HISTORY_NO_SLOT)
            continue;
        const enum urn_code code = history_search(history, segment, WAL_SEGMENT_HEADER_BYTES,
                                                  note_header, known, NULL, error);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

/* Of the newest that loads the content, of every one the name. */
static enum urn_code survey_snapshots(struct history *history, struct known *known,
                                      struct urn_error *error)
{
    bool loaded = false;
    for (uint32_t which = 0; which < history->snapshot_count; which++) {
        struct state state;
        know_lsn(known, history->snapshots[which].id.lsn);
        if (loaded)
            continue;
        const enum urn_code code = history_load(history, which, &state, error);
        if (code == URN_NOMEMORY)
            return code;
        loaded = code == URN_OK;
        if (loaded) {
            know_state(known, &state);
            state_free(&state);
        }
    }
    return URN_OK;
}

enum urn_code known_survey(struct history *history, const struct state *state, struct known *known,
                           struct urn_error *error)
{
    *known = (struct known){.request_id = 0};
    know_state(known, state);
    enum urn_code code = survey_log(history, state, known, error);
    if (code == URN_OK)
        code = survey_strays(history, known, error);
    return code == URN_OK ? survey_snapshots(history, known, error) : code;
}
