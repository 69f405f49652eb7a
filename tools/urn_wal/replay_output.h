/* replay_output.h: a state, written as a snapshot file. */
#ifndef URN_TOOLS_URN_WAL_REPLAY_OUTPUT_H
#define URN_TOOLS_URN_WAL_REPLAY_OUTPUT_H

#include "tools/urn_wal/replay_build.h"

/* Whether a snapshot may be written there: a new file, in a directory that is there and is no data directory.
 * Errors: URN_CANTCREATE, which says what to do; URN_IO. */
enum urn_code replay_output_check(struct urn_os *os, const char *path, struct urn_error *error);

/* Writes it: synced, read back and verified. Errors: those of replay_output_check and
 * snapshot_file_write_new. */
enum urn_code replay_output_write(struct urn_os *os, const char *path, const struct state *state,
                                  const struct wal_geometry *geometry, struct urn_error *error);

#endif
