/* data_dir_create.h: the creation of a data directory, which a crash may end at any call.
 *
 * The steps. What was made before a step is durable when the step begins.
 *     C0  what an unfinished creation left is removed: temporary files and snapshot 0, then,
 *         once that is durable, the segments
 *     C1  the directory itself, then LOCK in it; its parent and itself synced
 *     C2  segments 0 to N-1: allocated, written with zeroes, synced; the directory synced
 *     C3  snapshot 0 (LSN 0, serial 0) by the steps of snapshot_file.h
 *     C4  IDENTITY: temporary name, synced, renamed, the directory synced
 *
 * What a crash leaves, and what the next start with --create makes of it:
 *     in C1        nothing, or LOCK                                       -> begins afresh
 *     in C2        no snapshot; some segments, of any size, all zeroes    -> begins afresh
 *     in C3        all segments, zeroes; snapshot 0 or its temporary file -> begins afresh
 *     in C4        the same, and IDENTITY's temporary file                -> begins afresh
 *     after C4     IDENTITY                                               -> opens it
 *     in C0        what is left in C3, C2 or C1: snapshot 0 goes before the first segment
 * Whatever else stands there without IDENTITY is of worth and is refused, untouched: a byte that is
 * not zero in a segment (there is a log), a snapshot other than snapshot 0 (there was one), a
 * snapshot 0 that does not verify, or without all segments of the geometry it states (they may be
 * elsewhere), a name that is not ours. Temporary files are never evidence.
 *
 * Snapshot 0 says how things begin: the configured pools, LSN 0, epoch 0, next request id 1, no
 * reserved id, engine time 0, the wall clock's time, and the chain data_dir_first_chain().
 *
 * A creation that fails in C2 (a full disk, most likely) removes its segments again. Later nothing
 * is removed: after a failed sync of the directory a name may come back with a crash, and with it
 * must come what it relies on.
 */
#ifndef URN_ENGINE_DATA_DIR_CREATE_H
#define URN_ENGINE_DATA_DIR_CREATE_H

#include "engine/data_dir.h"

/* Step C1's first half: makes the directory if it is not there and opens it into data_dir->dir. One
 * that has names that are not ours and neither LOCK nor IDENTITY is refused before anything is made.
 * Errors: URN_CANTCREATE, URN_DAMAGED (the refusal), URN_IO. */
enum urn_code data_dir_make(struct urn_os *os, struct data_dir *data_dir, struct urn_error *error);

/* Under the lock, without IDENTITY: refuses (URN_DAMAGED) if anything of worth is there, and (URN_NODATA) what a tool
 * was making and has not finished. Touches nothing. Other errors: URN_IO, URN_NOMEMORY. */
enum urn_code data_dir_refuse_worth(const struct data_dir *data_dir, struct urn_error *error);

/* Under the lock, without IDENTITY and anything of worth: C0 to C4. Sets data_dir->geometry.
 * Errors: URN_CANTCREATE (with what to do), URN_CONFIG (pools that cannot be made), URN_IO,
 * URN_DAMAGED (what was read back is not what was written), URN_NOMEMORY. */
enum urn_code data_dir_create(struct urn_os *os, const struct urn_engine_config *config,
                              struct data_dir *data_dir, struct urn_error *error);

/* Removes temporary files, and the UNFINISHED that a directory has outgrown. Under the lock. Errors:
 * URN_IO. */
enum urn_code data_dir_remove_temporaries(struct os_dir *dir, struct urn_error *error);

/* The same in a whole directory, unless it is marked as a backup: that is refused (URN_NODATA), for a start would
 * give the ids and prizes again that the original has given since. Other errors: URN_IO. */
enum urn_code data_dir_clear(const struct data_dir *data_dir, struct urn_error *error);

/* Makes an error of the system, while something is created, URN_CANTCREATE with advice where the
 * place is at fault (no space, no right to write, a path that leads nowhere); others stay as they
 * are. Returns error->code. */
enum urn_code data_dir_cannot_create(const struct data_dir *data_dir, struct urn_error *error);

/* The chain before the first group: BLAKE2b-128 over the ring UUID. */
void data_dir_first_chain(const uint8_t ring_uuid[WAL_UUID_BYTES], uint8_t chain[WAL_CHAIN_BYTES]);

/* ---- steps, for whoever makes a data directory in another way (data_dir_build.h) -------------- */

/* Syncs the directory that holds data_dir->path, whether or not this process made it: one that did may
 * have died before. Errors: URN_IO. */
enum urn_code data_dir_sync_parent(struct urn_os *os, const struct data_dir *data_dir,
                                   struct urn_error *error);

/* C2 for a ring of this geometry, with a suffix ("" or DATA_DIR_TEMPORARY) behind each name: none of its segments
 * exists. Errors: URN_IO, URN_NOMEMORY; what has
 * been made is then still there. */
enum urn_code data_dir_make_segments(const struct data_dir *data_dir,
                                     const struct wal_geometry *geometry, const char *suffix,
                                     struct urn_error *error);

/* A random UUID of version 4. */
void data_dir_make_uuid(struct urn_os *os, uint8_t uuid[WAL_UUID_BYTES]);

/* C4. Errors: URN_IO. */
enum urn_code data_dir_publish_identity(struct os_dir *dir, const struct wal_geometry *geometry,
                                        struct urn_error *error);

/* Removes a file that may not be there. Errors: URN_IO. */
enum urn_code data_dir_remove_name(struct os_dir *dir, const char *name, struct urn_error *error);

#endif
