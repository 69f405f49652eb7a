/* data_dir.h: the data directory: its files' names, its lock, its opening and checks.
 * docs/snapshot-format.md tells the same to outsiders.
 *
 *     LOCK                          the first thing made; held (flock) while a process has it open
 *     segment-0000 ...              the ring, slot by slot, 4 decimal digits
 *     snapshot-<LSN>-<serial>       16 and 4 hexadecimal digits: "snapshot-00000000000f4000-0001"
 *     IDENTITY                      renamed into place last: its presence says that creation ended
 *     REPAIR                        a repair has begun and has not ended: a start refuses to pass
 *     UNFINISHED                    without IDENTITY: a tool was making the directory (data_dir_build.h)
 *     BACKUP                        what the directory is a backup of: never to be started from
 *     *.tmp                         unfinished; never evidence of anything (but see data_dir_resize.h)
 *
 * The rule of opening: everything but LOCK is looked at and made under the lock only. Without
 * config->create nothing is ever made: a volume that is not mounted refuses instead of beginning
 * anew with all stock. (A complete directory that has lost its LOCK gets a new one: it is only a
 * lock.) The directory is synced before anything found in it is trusted, and so is every file of ours,
 * for they may stand in the cache only: a copy that was put back a moment ago does.
 *
 * identity.h owns the text of IDENTITY, data_dir_create.h the creation and what a crash leaves.
 */
#ifndef URN_ENGINE_DATA_DIR_H
#define URN_ENGINE_DATA_DIR_H

#include "engine/error.h"
#include "engine/identity.h"
#include "engine/os.h"
#include "engine/progress.h"
#include "engine/wal_format.h"

#define DATA_DIR_LOCK           "LOCK"
#define DATA_DIR_IDENTITY       "IDENTITY"
#define DATA_DIR_REPAIR         "REPAIR"
#define DATA_DIR_UNFINISHED     "UNFINISHED"
#define DATA_DIR_BACKUP         "BACKUP"
#define DATA_DIR_TEMPORARY      ".tmp"
#define DATA_DIR_NAME_MAX       64u
#define DATA_DIR_SERIAL_MAX     0xffffu
#define DATA_DIR_PATH_BYTES_MAX 4096u

struct data_dir {
    char path[DATA_DIR_PATH_BYTES_MAX]; /* for messages */
    struct os_dir *dir;
    struct os_file *lock; /* NULL when opened to look only */
    struct wal_geometry geometry;
    bool created;                    /* by this opening */
    const struct progress *progress; /* told by what takes long here; NULL: nobody waits */
};

/* ---- names: pure, any thread ----------------------------------------------------------------- */

enum data_dir_name_kind {
    DATA_DIR_NAME_FOREIGN, /* none of ours */
    DATA_DIR_NAME_LOCK,
    DATA_DIR_NAME_IDENTITY,
    DATA_DIR_NAME_UNFINISHED,
    DATA_DIR_NAME_BACKUP,
    DATA_DIR_NAME_SEGMENT,
    DATA_DIR_NAME_SNAPSHOT,
    DATA_DIR_NAME_REPAIR,
    DATA_DIR_NAME_TEMPORARY, /* of any of them but LOCK */
};

enum data_dir_name_kind data_dir_name_kind(const char *name);

void data_dir_segment_name(char name[DATA_DIR_NAME_MAX], uint32_t slot);

/* serial: at most DATA_DIR_SERIAL_MAX. */
void data_dir_snapshot_name(char name[DATA_DIR_NAME_MAX], uint64_t lsn, uint32_t serial);

/* True when name is a segment's; *slot is then set. */
bool data_dir_parse_segment_name(const char *name, uint32_t *slot);

/* True when name is a finished snapshot's; *lsn and *serial are then set. */
bool data_dir_parse_snapshot_name(const char *name, uint64_t *lsn, uint32_t *serial);

/* A size as it stands in a configuration: "64MiB". Returns text. */
#define DATA_DIR_SIZE_TEXT_BYTES 32u
const char *data_dir_size_text(uint64_t bytes, char text[DATA_DIR_SIZE_TEXT_BYTES]);

/* Sets data_dir->path, and everything else to nothing. Errors: URN_CONFIG. */
enum urn_code data_dir_set_path(struct data_dir *data_dir, const char *path,
                                struct urn_error *error);

/* ---- opening --------------------------------------------------------------------------------- */

/* Opens the directory under its lock; with config->create, creates what is not there. Checks
 * identity and the presence and size of every segment, and removes unfinished files. On success the
 * caller has to data_dir_close(); on an error *data_dir holds nothing. Blocks. Errors: URN_NODATA
 * (with what to do), URN_CANTCREATE (likewise), URN_INUSE, URN_CONFIG (another geometry than
 * configured: says both; pools that cannot be made), URN_FORMAT, URN_DAMAGED (files missing or of a
 * wrong size, IDENTITY not what urn writes, something of worth without IDENTITY, or a repair that has
 * begun and not ended), URN_IO, URN_NOMEMORY. */
enum urn_code data_dir_open(struct urn_os *os, const struct urn_engine_config *config,
                            struct data_dir *data_dir, struct urn_error *error);

/* Opens, under its lock, a directory whose ring is being resized: IDENTITY says so, in *resizing. Nothing is
 * checked or changed but that the directory is synced; data_dir->geometry is the old one. Errors: URN_FORMAT (it is
 * not being resized), URN_NODATA, URN_INUSE, URN_DAMAGED, URN_IO. */
enum urn_code data_dir_open_resizing(struct urn_os *os, const char *path, struct data_dir *data_dir,
                                     struct identity_resizing *resizing, struct urn_error *error);

/* IDENTITY as it stands, of whatever format. *found: there is one. Errors: URN_IO, URN_DAMAGED (too long). */
enum urn_code data_dir_read_identity(const struct data_dir *data_dir, char text[IDENTITY_BYTES_MAX],
                                     size_t *length, bool *found, struct urn_error *error);

/* Opens it to look only: no lock, nothing is ever made or checked but IDENTITY, which gives the
 * geometry. For tools; what they see may be in motion when a server has it open. */
enum urn_code data_dir_open_readonly(struct urn_os *os, const char *path, struct data_dir *data_dir,
                                     struct urn_error *error);

/* Opens a complete directory under its lock, as it is: nothing is checked or removed but that IDENTITY gives
 * the geometry. The directory and every file of ours are synced, so that what is read is what will stay. For
 * repair, which may have to look at a directory that data_dir_open refuses. Errors: URN_NODATA, URN_INUSE,
 * URN_FORMAT, URN_DAMAGED (IDENTITY), URN_IO. */
enum urn_code data_dir_open_to_repair(struct urn_os *os, const char *path,
                                      struct data_dir *data_dir, struct urn_error *error);

/* *begun: a repair has begun and has not ended. Errors: URN_IO. */
enum urn_code data_dir_repair_begun(struct os_dir *dir, bool *begun, struct urn_error *error);

/* Checks that every segment is there and of its size, and that there is a finished snapshot.
 * Errors: URN_DAMAGED (names the files), URN_IO. */
enum urn_code data_dir_check_files(const struct data_dir *data_dir, struct urn_error *error);

/* Releases lock and handles; what is closed already, or was never opened, is left alone. */
void data_dir_close(struct data_dir *data_dir);

#endif
