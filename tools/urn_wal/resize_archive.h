/* resize_archive.h: the old ring's log goes to the archive before the ring goes, so that history is unbroken.
 *
 *     every full segment that is not archived yet, as a server does it (engine/archive_task.h)
 *         -> tail made durable, last segment closed with pads (data_dir_resize_close_log) -> that one, too
 *
 * All of it leaves a directory that a server may start from, at any moment: the log has grown by pads at most, and
 * what is archived is below its end.
 */
#ifndef URN_TOOLS_URN_WAL_RESIZE_ARCHIVE_H
#define URN_TOOLS_URN_WAL_RESIZE_ARCHIVE_H

#include "engine/archive_format.h"
#include "engine/data_dir.h"
#include "engine/state.h"

/* *found: the data directory archives its log, and where. Errors: URN_IO, URN_DAMAGED, URN_FORMAT. */
enum urn_code resize_archive_find(const struct data_dir *data_dir, bool *found,
                                  struct archive_note *note, struct urn_error *error);

/* Archives all of the log. durable_lsn, state: as of data_dir_resize_close_log. Errors: those of it; whatever
 * hinders archiving, as a server would tell it (URN_CONFIG, URN_IO, URN_DAMAGED ...). */
enum urn_code resize_archive(struct urn_os *os, const struct data_dir *data_dir,
                             const struct archive_note *note, uint64_t durable_lsn,
                             struct state *state, struct urn_error *error);

#endif
