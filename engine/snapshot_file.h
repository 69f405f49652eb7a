/* snapshot_file.h: snapshots on disk: written, verified, listed, loaded.
 *
 * A snapshot counts only when these steps were taken, in this order:
 *     S1  written under its temporary name (its own with ".tmp" behind; a leftover is removed first)
 *     S2  synced
 *     S3  dropped from the page cache, read back and found to be what the state encodes to
 *     S4  renamed
 *     S5  its directory synced
 * The caller has made the log durable up to the snapshot's LSN before.
 */
#ifndef URN_ENGINE_SNAPSHOT_FILE_H
#define URN_ENGINE_SNAPSHOT_FILE_H

#include "engine/data_dir.h"
#include "engine/snapshot_format.h"
#include "engine/snapshot_ledger.h"

/* Writes the state as the snapshot (state->tail.lsn, serial), steps S1 to S5, with plain writes.
 * The state must not change meanwhile. Takes 128 KiB of memory. Blocks. Errors: URN_IO (ENOSPC
 * among them), URN_EXISTS (a snapshot of this name; it is not touched), URN_DAMAGED when what was
 * read back is not what was written, URN_NOMEMORY; the temporary file is removed where that is
 * possible. If S5 fails, nobody knows whether the snapshot will be there after a crash. */
enum urn_code snapshot_file_write(struct os_dir *dir, const struct state *state,
                                  const struct wal_geometry *geometry, uint32_t serial,
                                  struct urn_error *error);

/* Writes the state as a snapshot file of any name, which must not be there yet, into a directory that is not
 * the engine's: so under that name from the beginning, for nothing else is touched there; then steps S2, S3
 * and S5. A crash leaves a file that is no valid snapshot. Errors as above (URN_EXISTS: there is such a file;
 * it is not touched); the file is removed where that is possible. */
enum urn_code snapshot_file_write_new(struct os_dir *dir, const char *file_name,
                                      const struct state *state,
                                      const struct wal_geometry *geometry, struct urn_error *error);

/* Loads and verifies one snapshot, from the disk and not from the cache: the file's content, and that it is
 * of the LSN in its name. *geometry is what the file says; *state is the caller's to state_free(), and holds nothing after
 * an error. Errors: those of snapshot_decode, URN_IO, all with the file's name in front. Blocks. */
enum urn_code snapshot_file_load(struct os_dir *dir, struct snapshot_name name,
                                 const struct state_bounds *bounds, struct state *state,
                                 struct wal_geometry *geometry, struct urn_error *error);

/* The same for a file of any name, of whatever LSN its content is. */
enum urn_code snapshot_file_load_named(struct os_dir *dir, const char *file_name,
                                       const struct state_bounds *bounds, struct state *state,
                                       struct wal_geometry *geometry, struct urn_error *error);

/* As snapshot_file_load, but that no state is made of it: rules F1 to F5 of its format, and no memory to speak of. */
enum urn_code snapshot_file_check(struct os_dir *dir, struct snapshot_name name,
                                  struct wal_geometry *geometry, struct urn_error *error);

/* The finished snapshots of a directory, newest (highest LSN, then serial) first; *names is the
 * caller's to free(), NULL when there are none. Temporary names are not listed. Errors: URN_IO,
 * URN_NOMEMORY. */
enum urn_code snapshot_file_list(struct os_dir *dir, struct snapshot_name **names, uint32_t *count,
                                 struct urn_error *error);

#endif
