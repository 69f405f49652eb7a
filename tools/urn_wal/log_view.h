/* log_view.h: a data directory as the tools see it: opened to look only, beside a server if there
 * is one, with its snapshots. */
#ifndef URN_TOOLS_URN_WAL_LOG_VIEW_H
#define URN_TOOLS_URN_WAL_LOG_VIEW_H

#include "engine/snapshot_file.h"
#include "engine/wal_reader.h"

/* Asks whether a server has the directory open, now. */
typedef bool (*in_use_probe)(void *context);

struct log_view {
    struct data_dir data_dir;
    in_use_probe in_use; /* NULL: nobody has */
    void *in_use_context;
    struct snapshot_name *snapshots; /* newest first */
    uint32_t snapshot_count;
};

/* Opens a directory. On URN_OK the caller has to log_view_close(). Errors: URN_NODATA (no such
 * directory, or none of urn's), URN_DAMAGED, URN_FORMAT, URN_IO, URN_NOMEMORY. */
enum urn_code log_view_open(struct log_view *view, struct urn_os *os, const char *path,
                            in_use_probe in_use, void *in_use_context, struct urn_error *error);
void log_view_close(struct log_view *view);

bool log_view_in_use(const struct log_view *view);

/* Loads one of the snapshots; checks that it belongs to this ring. *state is the caller's to
 * state_free(). Errors: those of snapshot_file_load; URN_DAMAGED for another ring's. */
enum urn_code log_view_load(const struct log_view *view, uint32_t snapshot, struct state *state,
                            struct urn_error *error);

#endif
