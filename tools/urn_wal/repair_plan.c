/* repair_plan.c: what a cut of the log at an LSN would come to. See repair.h. Only reads. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "tools/urn_wal/repair.h"

/* ---- what is kept ------------------------------------------------------------------------------ */

/* Why the walk from the base has not come to lsn. */
static enum urn_code refuse_lsn(const struct repair *repair, uint64_t lsn, uint64_t begin_lsn,
                                uint64_t end_lsn, struct urn_error *error)
{
    char place[PLACE_TEXT_BYTES];
    if (end_lsn > lsn)
        return error_set(error, URN_BADARG, 0,
                         "LSN %" PRIu64 " is amid a group: it begins at LSN %" PRIu64
                         " and ends at LSN %" PRIu64 "; the log can be made to end at either",
                         lsn, begin_lsn, end_lsn);
    return error_set(error, URN_BADARG, 0,
                     "by the rules of a start the log can be followed to LSN %" PRIu64
                     " (%s) and no further: it cannot be made to end at LSN %" PRIu64
                     ", but there or before",
                     end_lsn, history_place(&repair->history, end_lsn, place), lsn);
}

/* Applies group after group up to lsn. */
static enum urn_code walk_to(const struct repair *repair, struct wal_reader *reader, uint64_t lsn,
                             struct state *state, struct urn_error *error)
{
    while (state->tail.lsn < lsn) {
        struct wal_group_header header;
        const uint8_t *group;
        const enum wal_step step = wal_reader_next(reader, &header, &group, error);
        if (step == WAL_STEP_ERROR)
            return error->code;
        if (step != WAL_STEP_GROUP) { /* perhaps behind the header page of a segment */
            state->tail = *wal_reader_tail(reader);
            if (state->tail.lsn == lsn)
                return URN_OK;
            return refuse_lsn(repair, lsn, lsn, state->tail.lsn, error);
        }
        if (header.lsn == lsn) { /* likewise */
            state->tail.lsn = lsn;
            state->tail.epoch = header.epoch;
            return URN_OK;
        }
        state->tail = *wal_reader_tail(reader);
        if (state->tail.lsn > lsn)
            return refuse_lsn(repair, lsn, header.lsn, state->tail.lsn, error);
        if (apply_group(state, &header, group, error) != URN_OK) {
            if (error->code == URN_NOMEMORY)
                return error->code;
            return refuse_lsn(repair, lsn, header.lsn, header.lsn, error);
        }
    }
    return URN_OK;
}

enum urn_code repair_follow(const struct repair *repair, uint64_t lsn, struct state *state,
                            struct snapshot_name *base, uint64_t *durable_lsn,
                            struct urn_error *error)
{
    const struct history *history = &repair->history;
    uint32_t which = 0;
    for (; which < history->snapshot_count; which++) {
        struct urn_error ignored;
        if (history->snapshots[which].id.lsn <= lsn &&
            history_load(history, which, state, &ignored) == URN_OK)
            break;
    }
    if (which == history->snapshot_count)
        return error_set(error, URN_BADARG, 0,
                         "no sound snapshot is at or below LSN %" PRIu64
                         ": nothing says how things stood there",
                         lsn);
    *base = history->snapshots[which].id;
    struct wal_reader *reader = NULL;
    enum urn_code code = wal_reader_open(&repair->data_dir, &state->tail, &reader, error);
    if (code == URN_OK) {
        code = walk_to(repair, reader, lsn, state, error);
        *durable_lsn = wal_reader_durable_lsn(reader);
        wal_reader_close(reader);
    }
    if (code != URN_OK)
        state_free(state);
    return code;
}

/* ---- what is discarded ------------------------------------------------------------------------- */

static void raise(uint64_t *highest, uint64_t number)
{
    if (number > *highest)
        *highest = number;
}

/* Ids that a group gives or reserves. */
static void note_ids(struct repair_plan *plan, const struct wal_group_header *header,
                     const uint8_t *bytes)
{
    uint32_t offset = 0;
    struct wal_entry entry;
    raise(&plan->highest_id, header->first_request_id + header->draws - 1);
    while (wal_entry_next(bytes, header, &offset, &entry) == WAL_READ_OK) {
        if (entry.type == WAL_ENTRY_EPOCH)
            raise(&plan->highest_id, entry.next_request_id - 1);
        else if (entry.type == WAL_ENTRY_IDS)
            raise(&plan->highest_id, entry.reserved_request_id);
    }
}

static enum urn_code note_later_groups(const struct repair *repair, struct repair_plan *plan,
                                       struct urn_error *error)
{
    uint8_t *bytes = NULL;
    enum urn_code code = later_groups_find(&repair->history, plan->intent.lsn, &plan->later, error);
    for (uint32_t i = 0; i < plan->later.count && code == URN_OK; i++) {
        struct wal_group_header header;
        bool whole = false;
        code = later_group_read(&repair->history, &plan->later.groups[i], &header, &bytes, &whole,
                                error);
        if (code == URN_OK && whole)
            note_ids(plan, &header, bytes);
    }
    free(bytes);
    return code;
}

/* Snapshots above the cut, and what can be learnt from those that load. */
static enum urn_code note_snapshots(const struct repair *repair, struct repair_plan *plan,
                                    struct urn_error *error)
{
    const struct history *history = &repair->history;
    plan->moved = calloc(history->snapshot_count + 1, sizeof *plan->moved);
    if (plan->moved == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot plan a repair");
    for (uint32_t which = 0; which < history->snapshot_count; which++) {
        struct state state;
        struct urn_error ignored;
        if (history->snapshots[which].id.lsn <= plan->intent.lsn)
            continue;
        plan->moved[plan->moved_count++] = history->snapshots[which].id;
        if (history_load(history, which, &state, &ignored) != URN_OK)
            continue;
        raise(&plan->highest_id, state.next_request_id - 1);
        raise(&plan->highest_id, state.reserved_request_id);
        if (state.tail.epoch > plan->epoch_max)
            plan->epoch_max = state.tail.epoch;
        state_free(&state);
    }
    return URN_OK;
}

/* Epochs of header pages and of all groups in the ring, and what these say was durable. */
static enum urn_code note_epochs(const struct repair *repair, struct repair_plan *plan,
                                 struct urn_error *error)
{
    const struct history *history = &repair->history;
    struct wal_evidence evidence;
    for (uint32_t i = 0; i < history->segment_count; i++)
        if (history->segments[i].header_why == WAL_READ_OK &&
            history->segments[i].state == HISTORY_LOG &&
            history->segments[i].header.epoch > plan->epoch_max)
            plan->epoch_max = history->segments[i].header.epoch;
    if (wal_search_evidence(&repair->data_dir, plan->intent.lsn, NULL, &evidence, error) != URN_OK)
        return error->code;
    raise(&plan->durable_lsn, evidence.durable_lsn_max < plan->intent.lsn ? evidence.durable_lsn_max
                                                                          : plan->intent.lsn);
    if (plan->durable_lsn > plan->intent.lsn)
        plan->durable_lsn = plan->intent.lsn;
    if (evidence.epoch_max > plan->epoch_max)
        plan->epoch_max = evidence.epoch_max;
    if (evidence.groups_beyond <= plan->later.count)
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0,
                     "groups behind LSN %" PRIu64
                     " lie inside other groups, which urn never writes: they cannot be cut off "
                     "without a loss of what is sound",
                     plan->intent.lsn);
}

/* ---- the plan ---------------------------------------------------------------------------------- */

/* The same numbers that a start would not go on from. */
static enum urn_code choose_ids(struct repair_plan *plan, struct urn_error *error)
{
    if (plan->intent.what == REPAIR_TAIL)
        return URN_OK;
    if (plan->highest_id > URN_NUMBER_MAX - REPAIR_ID_MARGIN - 1 || plan->epoch_max == UINT32_MAX)
        return error_set(error, URN_DAMAGED, 0,
                         "request ids or epochs in what is discarded cannot be counted on, so that "
                         "it was not urn that wrote it");
    plan->intent.next_request_id = plan->highest_id + REPAIR_ID_MARGIN + 1;
    plan->intent.epoch = plan->epoch_max + 1;
    return URN_OK;
}

static enum urn_code note_kept(const struct repair *repair, struct repair_plan *plan,
                               struct urn_error *error)
{
    struct state state = {.next_request_id = 0};
    const enum urn_code code =
        repair_follow(repair, plan->intent.lsn, &state, &plan->base, &plan->durable_lsn, error);
    if (code != URN_OK)
        return code;
    plan->tail = state.tail;
    plan->epoch_max = state.tail.epoch;
    plan->kept_next_id = state.next_request_id;
    plan->kept_reserved_id = state.reserved_request_id;
    raise(&plan->highest_id, state.next_request_id - 1);
    raise(&plan->highest_id, state.reserved_request_id);
    state_free(&state);
    return URN_OK;
}

enum urn_code repair_plan_make(struct repair *repair, enum repair_what what, uint64_t lsn,
                               bool lists, struct repair_plan *plan, struct urn_error *error)
{
    *plan = (struct repair_plan){.lost_draws = 0};
    enum urn_code code = repair_intent_make(&plan->intent, error);
    plan->intent.what = what;
    plan->intent.lsn = lsn;
    if (code == URN_OK)
        code = note_kept(repair, plan, error);
    if (code == URN_OK)
        code = note_later_groups(repair, plan, error);
    if (code == URN_OK)
        code = note_snapshots(repair, plan, error);
    if (code == URN_OK)
        code = note_epochs(repair, plan, error);
    if (code == URN_OK)
        code = repair_plan_cuts(repair, plan, error);
    if (code == URN_OK && what == REPAIR_AT)
        code = repair_list_loss(repair, plan, lists, error);
    if (code == URN_OK)
        code = choose_ids(plan, error);
    plan->intent.loss = repair_loss(plan);
    if (code != URN_OK)
        repair_plan_free(plan);
    return code;
}

void repair_plan_free(struct repair_plan *plan)
{
    repair_intent_free(&plan->intent);
    free(plan->moved);
    free(plan->later.groups);
    free(plan->bad_sectors);
    free(plan->touched);
    *plan = (struct repair_plan){.lost_draws = 0};
}
