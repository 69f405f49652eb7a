/* data_dir_build.h: a data directory that a tool makes whole before anybody opens it: a backup, or one that
 * was restored from it. A crash may end the making at any call.
 *
 * The steps. What was made before a step is durable when the step begins.
 *     B1  the directory itself, then LOCK in it, held from here on; its parent and itself synced
 *     B2  UNFINISHED: temporary name, synced, renamed, the directory synced
 *     B3  what an earlier attempt left is removed; the directory is synced
 *     B4  the files, by the caller: segments, snapshots
 *     B5  IDENTITY: likewise. From here on the directory is whole
 *     B6  UNFINISHED is removed; the directory is synced
 *
 * What a crash leaves, and what others make of it:
 *     in B1      nothing, an empty directory, or LOCK   -> as if it had never begun
 *     in B2..B5  UNFINISHED and no IDENTITY             -> a start refuses, with and without --create, and
 *                                                          nothing can be read; B1 to B6 may be repeated
 *     in B6      IDENTITY, perhaps UNFINISHED too       -> whole; a start removes UNFINISHED
 * So a half-made directory is never taken for a whole one, nor for none.
 */
#ifndef URN_ENGINE_DATA_DIR_BUILD_H
#define URN_ENGINE_DATA_DIR_BUILD_H

#include "engine/data_dir.h"

/* B1 to B3. The directory does not exist, or is empty, or holds what an earlier attempt left; anything else
 * is refused and not touched. maker: what is making it ("urn-wal backup"), for who looks into UNFINISHED. On
 * success the caller has to data_dir_close(), and sets data_dir->geometry. Errors: URN_EXISTS (the refusal),
 * URN_INUSE, URN_CANTCREATE, URN_CONFIG (the path), URN_IO. */
enum urn_code data_dir_build_begin(struct urn_os *os, const char *path, const char *maker,
                                   struct data_dir *data_dir, struct urn_error *error);

/* B5 and B6: IDENTITY of data_dir->geometry. Errors: URN_IO; whether the directory is whole, only its
 * IDENTITY can tell then. */
enum urn_code data_dir_build_end(const struct data_dir *data_dir, struct urn_error *error);

/* After a failure: removes what has been made but LOCK and UNFINISHED, so that a disk that was too small is not
 * left full; but nothing if IDENTITY is there, for then all of it may be durable. What cannot be removed stays
 * for the next attempt. */
void data_dir_build_give_up(const struct data_dir *data_dir);

#endif
