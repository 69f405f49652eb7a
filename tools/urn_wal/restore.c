/* restore.c: see restore.h. */
#include "tools/urn_wal/restore.h"

#include <inttypes.h>

#include "engine/check.h"
#include "engine/data_dir_build.h"
#include "engine/data_dir_create.h"
#include "engine/identity.h"
#include "engine/recovery.h"
#include "engine/snapshot_file.h"

/* A tool takes whatever an engine may have been configured for. */
static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

/* ---- the state in its new ring ------------------------------------------------------------------ */

static enum urn_code choose_geometry(struct restore *restore, const struct history *history,
                                     struct urn_error *error)
{
    struct wal_geometry *geometry = &restore->geometry;
    if (geometry->segment_size_bytes == 0)
        geometry->segment_size_bytes = history->geometry.segment_size_bytes;
    if (geometry->segments == 0)
        geometry->segments = history->geometry.segments;
    data_dir_make_uuid(restore->tool->os, geometry->ring_uuid);
    const char *fault = geometry_fault(geometry);
    if (fault == NULL)
        return URN_OK;
    return error_set(error, URN_BADARG, 0,
                     "%s: a segment has %u to %" PRIu64
                     " bytes, a multiple of %u; a ring has %u to "
                     "%u of them",
                     fault, SEGMENT_SIZE_BYTES_MIN, (uint64_t)SEGMENT_SIZE_BYTES_MAX, OS_PAGE_BYTES,
                     SEGMENTS_MIN, SEGMENTS_MAX);
}

static void report_state(struct restore *restore, const struct state *state)
{
    restore->moment_lsn = state->tail.lsn;
    restore->moment_time_us = state->wall_time_us;
    restore->last_request_id = state->next_request_id - 1;
    restore->pools = state->pool_count;
    restore->items = state->item_count;
    for (uint32_t id = 0; id < state->pool_count; id++) {
        const struct urn_pool *pool = state->pools[id];
        for (uint32_t index = 0; index < pool_item_count(pool); index++) {
            struct urn_item item;
            pool_item(pool, index, &item);
            restore->drawn += item.drawn;
            if (item.quantity != URN_UNLIMITED)
                restore->left += (uint64_t)item.quantity;
        }
    }
}

/* The state as its new ring begins with it: above all that is known of the old one. */
static enum urn_code move_state(struct restore *restore, struct state *state,
                                struct urn_error *error)
{
    const struct known *known = &restore->known;
    const uint64_t size = restore->geometry.segment_size_bytes;
    const uint64_t lsn = round_up_u64(known->lsn, size);
    const uint64_t last_id =
        URN_NUMBER_MAX - RESERVED_IDS; /* the first reservation lies behind it */
    if (known->request_id > last_id || restore->id_margin >= last_id - known->request_id)
        return error_set(error, URN_BADARG, 0,
                         "request ids end at %" PRIu64 ": behind id %" PRIu64
                         " a margin of %" PRIu64
                         " leaves none to give; choose a smaller --id-margin",
                         (uint64_t)URN_NUMBER_MAX, known->request_id, restore->id_margin);
    if (lsn > URN_NUMBER_MAX - wal_ring_bytes(&restore->geometry))
        return error_set(error, URN_BADARG, 0,
                         "the log ends at LSN %" PRIu64
                         ", and a ring of this size has no room behind it: positions end at "
                         "%" PRIu64,
                         known->lsn, (uint64_t)URN_NUMBER_MAX);
    state->next_request_id = known->request_id + 1;
    if (state->next_request_id > 1) /* else nobody has ever been given one */
        state->next_request_id += restore->id_margin;
    state->tail = (struct wal_tail){.lsn = lsn, .epoch = known->epoch};
    data_dir_first_chain(restore->geometry.ring_uuid, state->tail.chain);
    restore->begin_lsn = lsn;
    restore->next_request_id = state->next_request_id;
    return URN_OK;
}

/* ---- making the directory ------------------------------------------------------------------------ */

/* What a start finds there is what was to be written. */
static enum urn_code read_back(const struct data_dir *data_dir, const struct state *written,
                               struct urn_error *error)
{
    struct state state;
    struct recovery recovery;
    const enum urn_code code = recovery_read(data_dir, &bounds, NULL, &state, &recovery, error);
    if (code != URN_OK)
        return error_prefix(error, "it does not read back: ");
    const bool same = state.tail.lsn == written->tail.lsn &&
                      state.next_request_id == written->next_request_id &&
                      recovery.which == RECOVERY_CLEAN_END;
    state_free(&state);
    return same ? URN_OK
                : error_set(error, URN_DAMAGED, 0,
                            "what was read back is not what was written: check the disk");
}

static enum urn_code fill(const struct data_dir *data_dir, const struct state *state,
                          struct urn_error *error)
{
    enum urn_code code = data_dir_make_segments(data_dir, &data_dir->geometry, "", error);
    for (uint32_t serial = 0; code == URN_OK && serial < 2; serial++) {
        progress_tell(data_dir->progress, "writing a snapshot", 0, 0);
        code = snapshot_file_write(data_dir->dir, state, &data_dir->geometry, serial, error);
    }
    return code == URN_OK ? read_back(data_dir, state, error) : code;
}

static enum urn_code make_directory(struct restore *restore, const struct state *state,
                                    struct urn_error *error)
{
    struct data_dir data_dir;
    enum urn_code code =
        data_dir_build_begin(restore->tool->os, restore->dest, "urn-wal restore", &data_dir, error);
    if (code != URN_OK)
        return code;
    data_dir.geometry = restore->geometry;
    data_dir.progress = restore->tool->progress;
    code = fill(&data_dir, state, error);
    if (code != URN_OK)
        error_prefix(error, "cannot make %.200s: ", restore->dest);
    else
        code = data_dir_build_end(&data_dir, error);
    if (code != URN_OK)
        data_dir_build_give_up(&data_dir);
    data_dir_close(&data_dir);
    return code;
}

/* ---- all together -------------------------------------------------------------------------------- */

static enum urn_code restore_state(struct restore *restore, struct history *history,
                                   struct replay *replay, struct urn_error *error)
{
    enum urn_code code = replay_build(replay, error);
    restore->outcome = replay->outcome;
    if (code != URN_OK)
        return code;
    if (replay->outcome != REPLAY_REACHED) {
        replay_tell(replay);
        return URN_OK;
    }
    report_state(restore, &replay->state);
    progress_tell(restore->tool->progress, "looking for what was given later", 0, 0);
    code = known_survey(history, &replay->state, &restore->known, error);
    if (code == URN_OK)
        code = move_state(restore, &replay->state, error);
    return code == URN_OK ? make_directory(restore, &replay->state, error) : code;
}

enum urn_code restore_make(struct restore *restore, struct urn_error *error)
{
    struct history history;
    enum urn_code code =
        history_open(&history, restore->tool, restore->sources, restore->source_count, error);
    if (code != URN_OK)
        return code;
    struct replay replay = {.history = &history,
                            .until = restore->until,
                            .notes = restore->tool->notes,
                            .progress = restore->tool->progress};
    code = choose_geometry(restore, &history, error);
    if (code == URN_OK) {
        code = restore_state(restore, &history, &replay, error);
        replay_end(&replay);
    }
    restore->live = history.live;
    history_close(&history);
    return code;
}
