/* resize.c: see resize.h. */
#include "tools/urn_wal/resize.h"

#include <inttypes.h>

#include "engine/data_dir_resize.h"
#include "engine/recovery.h"
#include "tools/urn_wal/resize_archive.h"
#include "tools/urn_wal/walk.h"

/* A tool takes whatever an engine may have been configured for. */
static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

/* ---- what was begun before --------------------------------------------------------------------- */

static enum urn_code refuse_other(const struct resize *resize,
                                  const struct identity_resizing *resizing, struct urn_error *error)
{
    const struct wal_geometry *to = &resizing->to;
    char size[DATA_DIR_SIZE_TEXT_BYTES];
    if ((resize->segments == 0 || resize->segments == to->segments) &&
        (resize->segment_size_bytes == 0 || resize->segment_size_bytes == to->segment_size_bytes))
        return URN_OK;
    return error_set(error, URN_BADARG, 0,
                     "a resize of %.200s to %" PRIu32
                     " segments of %s has begun: finish it first (`urn-wal resize %.200s`)",
                     resize->path, to->segments, data_dir_size_text(to->segment_size_bytes, size),
                     resize->path);
}

static enum urn_code finish_begun(struct resize *resize, struct data_dir *data_dir,
                                  const struct identity_resizing *resizing, struct urn_error *error)
{
    resize->outcome = RESIZE_FINISHED;
    resize->from = resizing->from;
    resize->to = resizing->to;
    resize->begin_lsn = resizing->begin_lsn;
    enum urn_code code = refuse_other(resize, resizing, error);
    if (code == URN_OK)
        code = data_dir_resize_finish(data_dir, resizing, error);
    return code;
}

/* ---- is it possible? --------------------------------------------------------------------------- */

/* What a server would say of these sizes, with the limit that they have to fit. */
static enum urn_code check_sizes(const struct resize *resize, struct urn_error *error)
{
    const struct urn_engine_config config = {.segment_size_bytes = resize->to.segment_size_bytes,
                                             .segments = resize->to.segments,
                                             .max_batch = resize->max_batch,
                                             .max_pools = 1,
                                             .max_items = 1,
                                             .flush_after_n_draw = 1,
                                             .queue_requests = 1,
                                             .queue_draws = resize->max_batch};
    if (urn_engine_config_check(&config, error) == URN_OK)
        return URN_OK;
    error->code = URN_BADARG;
    return error_prefix(error, "nothing was changed: a server would refuse that: ");
}

static bool is_same(const struct resize *resize)
{
    return resize->from.segments == resize->to.segments &&
           resize->from.segment_size_bytes == resize->to.segment_size_bytes;
}

/* From where on, and from which draw on, the old ring's log is kept. */
static enum urn_code find_history(struct resize *resize, struct urn_error *error)
{
    struct tool alone = *resize->tool; /* who has it open is ourselves */
    struct history history;
    struct walk walk;
    alone.in_use = NULL;
    alone.ring_only = true;
    enum urn_code code = history_open(&history, &alone, &resize->path, 1, error);
    if (code != URN_OK)
        return code;
    resize->history_lsn = resize->end_lsn;
    code = walk_begin(&history, 0, resize->end_lsn, resize->end_lsn, SCAN_CHECKSUMS, &walk, error);
    if (code == URN_OK) {
        enum walk_step step = WALK_SEGMENT;
        while (step == WALK_SEGMENT || step == WALK_BREAK)
            step = walk_next(&walk, error);
        if (step == WALK_ERROR)
            code = error->code;
        if (step == WALK_GROUP) {
            resize->history_lsn = walk.item.header.lsn;
            resize->first_id = walk.item.header.first_request_id;
        }
        walk_end(&walk);
    }
    history_close(&history);
    if (resize->first_id > resize->last_id)
        resize->first_id = 0;
    return code;
}

/* ---- doing it ------------------------------------------------------------------------------------ */

static enum urn_code keep_history(const struct resize *resize, struct urn_error *error)
{
    struct tool alone = *resize->tool;
    struct backup_report report;
    alone.in_use = NULL;
    alone.ring_only = true;
    if (resize->backup == NULL)
        return URN_OK;
    if (backup_make(&alone, resize->path, resize->backup, BACKUP_ALL, &report, error) == URN_OK)
        return URN_OK;
    return error_prefix(error, "nothing was changed: no backup: ");
}

/* The old ring's log goes on in the archive; behind what recovery has found of it. */
static enum urn_code archive_history(const struct resize *resize, const struct data_dir *data_dir,
                                     const struct recovery *recovery, struct state *state,
                                     struct urn_error *error)
{
    if (!resize->archives)
        return URN_OK;
    if (resize_archive(resize->tool->os, data_dir, &resize->archive, recovery->durable_lsn, state,
                       error) == URN_OK)
        return URN_OK;
    return error_prefix(error, "the ring is as it was, for its log cannot be archived "
                               "(--discard-history gives it up): ");
}

static enum urn_code change(struct resize *resize, struct data_dir *data_dir,
                            const struct recovery *recovery, struct state *state,
                            struct urn_error *error)
{
    struct identity_resizing resizing = {.to = resize->to};
    bool begun = false;
    enum urn_code code = keep_history(resize, error);
    if (code == URN_OK)
        code = archive_history(resize, data_dir, recovery, state, error);
    if (code == URN_OK)
        code = data_dir_resize_prepare(data_dir, &resize->to, state, &resizing, error);
    if (code == URN_OK)
        code = data_dir_resize_commit(data_dir, &resizing, &begun, error);
    resize->begin_lsn = resizing.begin_lsn;
    resize->to = resizing.to;
    if (code == URN_OK)
        code = data_dir_resize_finish(data_dir, &resizing, error);
    if (code != URN_OK && begun)
        error_prefix(error, "repeat `urn-wal resize %.200s`: ", resize->path);
    return code;
}

static enum urn_code look_and_change(struct resize *resize, struct data_dir *data_dir,
                                     struct urn_error *error)
{
    struct recovery recovery;
    struct state state;
    enum urn_code code = recovery_read(data_dir, &bounds, NULL, &state, &recovery, error);
    if (code != URN_OK)
        return code;
    /* Of what a start would discard nothing stays: its epochs are not given again all the same. */
    if (recovery.epoch_max > state.tail.epoch)
        state.tail.epoch = recovery.epoch_max;
    resize->end_lsn = state.tail.lsn;
    resize->last_id = state.next_request_id - 1;
    code = find_history(resize, error);
    if (code == URN_OK && !resize->discards)
        code = resize_archive_find(data_dir, &resize->archives, &resize->archive, error);
    resize->outcome = RESIZE_UNDECIDED;
    if (code == URN_OK && (resize->archives || resize->backup != NULL || resize->discards)) {
        resize->outcome = RESIZE_DONE;
        code = change(resize, data_dir, &recovery, &state, error);
    }
    state_free(&state);
    return code;
}

/* As for a start, but with whatever sizes the ring has. */
static enum urn_code open_as_it_is(struct resize *resize, struct data_dir *data_dir,
                                   struct urn_error *error)
{
    enum urn_code code = data_dir_open_readonly(resize->tool->os, resize->path, data_dir, error);
    if (code != URN_OK)
        return code;
    const struct urn_engine_config config = {.data_dir = resize->path,
                                             .segment_size_bytes =
                                                 data_dir->geometry.segment_size_bytes,
                                             .segments = data_dir->geometry.segments};
    data_dir_close(data_dir);
    return data_dir_open(resize->tool->os, &config, data_dir, error);
}

static enum urn_code resize_whole(struct resize *resize, struct data_dir *data_dir,
                                  struct urn_error *error)
{
    enum urn_code code = open_as_it_is(resize, data_dir, error);
    if (code != URN_OK)
        return code;
    data_dir->progress = resize->tool->progress; /* opened anew */
    resize->from = resize->to = data_dir->geometry;
    if (resize->segments != 0)
        resize->to.segments = resize->segments;
    if (resize->segment_size_bytes != 0)
        resize->to.segment_size_bytes = resize->segment_size_bytes;
    resize->outcome = RESIZE_SAME;
    if (is_same(resize))
        return URN_OK;
    code = check_sizes(resize, error);
    return code == URN_OK ? look_and_change(resize, data_dir, error) : code;
}

enum urn_code resize_ring(struct resize *resize, struct urn_error *error)
{
    struct identity_resizing resizing;
    struct data_dir data_dir;
    enum urn_code code =
        data_dir_open_resizing(resize->tool->os, resize->path, &data_dir, &resizing, error);
    data_dir.progress = resize->tool->progress;
    if (code == URN_OK)
        code = finish_begun(resize, &data_dir, &resizing, error);
    else if (code == URN_FORMAT)
        code = resize_whole(resize, &data_dir, error);
    data_dir_close(&data_dir);
    return code;
}
