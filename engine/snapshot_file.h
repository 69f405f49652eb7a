/* snapshot_file.h: snapshots on disk: written, verified, listed, loaded.
 *
 * A snapshot counts only when it was written under a temporary name, synced, read back past the page
 * cache and verified, renamed, and its directory synced; in this order (S1 to S5).
 */
#ifndef URN_ENGINE_SNAPSHOT_FILE_H
#define URN_ENGINE_SNAPSHOT_FILE_H

#include "engine/data_dir.h"
#include "engine/snapshot_format.h"

struct snapshot_name {
    uint64_t lsn;
    uint32_t serial;
};

/* Writes the state as the snapshot (state->tail.lsn, serial), steps S1 to S5, with plain writes.
 * Errors: URN_IO (ENOSPC among them), URN_DAMAGED when what was read back is not what was written;
 * the temporary file is removed where that is possible. */
enum urn_code snapshot_file_write(struct os_dir *dir, const struct state *state,
                                  const struct wal_geometry *geometry, uint32_t serial,
                                  struct urn_error *error);

/* Loads and verifies one snapshot. *geometry is what the file says. */
enum urn_code snapshot_file_load(struct os_dir *dir, struct snapshot_name name,
                                 const struct state_bounds *bounds, struct state *state,
                                 struct wal_geometry *geometry, struct urn_error *error);

/* The finished snapshots of a directory, newest (highest LSN, then serial) first; *names is the
 * caller's to free(). Temporary names are not listed. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code snapshot_file_list(struct os_dir *dir, struct snapshot_name **names, uint32_t *count,
                                 struct urn_error *error);

#endif
