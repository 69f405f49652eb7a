/* log_view.c: opening a data directory to look only. See log_view.h. */
#include "tools/urn_wal/log_view.h"

#include <stdlib.h>

#include "engine/check.h"

/* A tool takes whatever an engine may have been configured for. */
static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

enum urn_code log_view_open(struct log_view *view, struct urn_os *os, const char *path,
                            in_use_probe in_use, void *in_use_context, struct urn_error *error)
{
    *view = (struct log_view){.in_use = in_use, .in_use_context = in_use_context};
    enum urn_code code = data_dir_open_readonly(os, path, &view->data_dir, error);
    if (code != URN_OK)
        return code;
    code = snapshot_file_list(view->data_dir.dir, &view->snapshots, &view->snapshot_count, error);
    if (code != URN_OK)
        data_dir_close(&view->data_dir);
    return code;
}

void log_view_close(struct log_view *view)
{
    free(view->snapshots);
    view->snapshots = NULL;
    data_dir_close(&view->data_dir);
}

bool log_view_in_use(const struct log_view *view)
{
    return view->in_use != NULL && view->in_use(view->in_use_context);
}

enum urn_code log_view_load(const struct log_view *view, uint32_t snapshot, struct state *state,
                            struct urn_error *error)
{
    CHECK(snapshot < view->snapshot_count);
    struct wal_geometry geometry;
    const enum urn_code code = snapshot_file_load(view->data_dir.dir, view->snapshots[snapshot],
                                                  &bounds, state, &geometry, error);
    if (code != URN_OK)
        return code;
    const struct wal_geometry *ours = &view->data_dir.geometry;
    if (memcmp(geometry.ring_uuid, ours->ring_uuid, WAL_UUID_BYTES) == 0 &&
        geometry.segment_size_bytes == ours->segment_size_bytes &&
        geometry.segments == ours->segments)
        return URN_OK;
    state_free(state);
    return error_set(error, URN_DAMAGED, 0, "it belongs to another ring");
}
