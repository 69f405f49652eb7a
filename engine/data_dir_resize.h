/* data_dir_resize.h: another ring for a data directory, with the same state and the same UUID.
 *
 * Segments of another size lie at other positions, so that none of the old ones can go on. The new ring begins
 * empty, with the state in two snapshots, at the first multiple of the new segment size that is not below the
 * log's end: so the log goes on with a segment's begin, and every LSN of the old ring stays below. Chain, epoch,
 * ids and engine time go on as if nothing had been.
 *
 *     old   ... [segment][segment x          ]         x: the log's end
 *     new                            L [segment][segment ...     L: where it goes on; nothing is in [x, L)
 *
 * The steps. What was made before a step is durable when the step begins. Under the lock from beginning to end.
 *     Z1  the new segments under temporary names, zeroes
 *     Z2  the two snapshots under temporary names, read back
 *     Z3  IDENTITY becomes that of a directory that is being resized (identity.h): this one rename is the change
 *     Z4  the new segments get their names, the old ones' too; what is left of the old ring is removed
 *     Z5  the snapshots get their names; older ones are removed, once that is durable
 *     Z6  what a start would find is looked at
 *     Z7  IDENTITY becomes that of the new ring
 *
 * What a crash leaves, and what others make of it:
 *     in Z1, Z2   the old directory, and temporary files, which are evidence of nothing: a start removes them and
 *                 goes on with the old ring; a resize begins anew
 *     in Z3       that, or the next
 *     in Z4..Z7   IDENTITY of format 2: nobody starts or reads it; Z4 to Z7 may be repeated from any state of
 *                 theirs, for each of their steps is done or has no effect
 *     after Z7    the new directory
 * What recovery takes for evidence (docs/wal-format.md) is never asked in between. Before Z3 snapshots at L have
 * temporary names only, so that case D6 does not arise; after Z7 there is no group, and no snapshot beyond L.
 */
#ifndef URN_ENGINE_DATA_DIR_RESIZE_H
#define URN_ENGINE_DATA_DIR_RESIZE_H

#include "engine/data_dir.h"
#include "engine/state.h"

/* Before all that, and only where the old log is to be archived: makes the log's end durable, as a start does, and
 * closes its last segment with pads, so that it is full and can be archived like any other. Nothing else of the
 * log changes: a start, should it come to one, goes on behind them. durable_lsn: as far as the log is known to be
 * durable. state: as recovery_read left it; its tail becomes the new end, and what the pads carry its epoch.
 * Errors: URN_IO, URN_NOMEMORY; what was written by then is valid, or a torn tail. */
enum urn_code data_dir_resize_close_log(const struct data_dir *data_dir, uint64_t durable_lsn,
                                        struct state *state, struct urn_error *error);

/* Z1 and Z2, in a directory that was opened as for a start and has no temporary files. to: a possible geometry,
 * whose UUID is set here. state: what a start would come to; its tail's LSN becomes the new one. On an error
 * nothing has changed, and what was made is removed where that is possible. Errors: URN_CANTCREATE (no room: says
 * how much it takes), URN_BADARG (no LSN is left), URN_IO, URN_DAMAGED (what was read back), URN_NOMEMORY. */
enum urn_code data_dir_resize_prepare(const struct data_dir *data_dir,
                                      const struct wal_geometry *to, struct state *state,
                                      struct identity_resizing *resizing, struct urn_error *error);

/* Z3. After an error nothing has changed, unless *begun: then data_dir_resize_finish has to be tried. Errors:
 * URN_IO. */
enum urn_code data_dir_resize_commit(const struct data_dir *data_dir,
                                     const struct identity_resizing *resizing, bool *begun,
                                     struct urn_error *error);

/* Z4 to Z7. On URN_OK data_dir->geometry is the new one. Errors: URN_IO, URN_NOMEMORY, URN_DAMAGED (what is there
 * is not what was made): in all cases it may be tried again. */
enum urn_code data_dir_resize_finish(struct data_dir *data_dir,
                                     const struct identity_resizing *resizing,
                                     struct urn_error *error);

#endif
