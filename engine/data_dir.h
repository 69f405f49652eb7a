/* data_dir.h: the data directory: its lock, its identity, its creation, its files' names.
 *
 *     LOCK                          the first thing made; held (flock) while a process has it open
 *     segment-0000 ...              the ring, slot by slot
 *     snapshot-<LSN>-<serial>       16 and 4 hexadecimal digits: "snapshot-00000000000f4000-0001"
 *     IDENTITY                      renamed into place last: its presence says that creation ended
 *     *.tmp                         unfinished; never evidence of anything
 *
 * IDENTITY is text, a line a fact, ended by a line with the CRC32C of all lines before:
 *     urn data directory
 *     format: 1
 *     ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1
 *     segment_size: 67108864
 *     segments: 8
 *     crc32c: 1c291ca3
 *
 * Creation, and what a crash leaves at each step (everything before a step is durable when it begins):
 *     C1  the directory itself, then LOCK in it        -> no IDENTITY, no segment
 *     C2  segments 0 to N-1: allocated, zeroes written, synced, directory synced
 *                                                      -> no IDENTITY, segments of zeroes, no snapshot
 *     C3  snapshot 0 (LSN 0, serial 0): temporary name, synced, read back, renamed, directory synced
 *                                                      -> no IDENTITY, N segments of zeroes, snapshot 0
 *     C4  IDENTITY: temporary name, synced, renamed, directory synced
 * Without IDENTITY and with nothing but what C1 to C3 leave, creation begins afresh (what is there is
 * removed first). Anything else without IDENTITY (a byte that is not zero in a segment, a snapshot
 * above LSN 0, snapshot 0 without all segments, a name that is not ours) is of worth: refuse.
 */
#ifndef URN_ENGINE_DATA_DIR_H
#define URN_ENGINE_DATA_DIR_H

#include "engine/error.h"
#include "engine/os.h"
#include "engine/wal_format.h"

#define DATA_DIR_LOCK     "LOCK"
#define DATA_DIR_IDENTITY "IDENTITY"
#define DATA_DIR_NAME_MAX 64u

struct data_dir {
    char path[4096]; /* for messages */
    struct os_dir *dir;
    struct os_file *lock; /* NULL when opened to look only */
    struct wal_geometry geometry;
    bool created; /* by this opening */
};

void data_dir_segment_name(char name[DATA_DIR_NAME_MAX], uint32_t slot);
void data_dir_snapshot_name(char name[DATA_DIR_NAME_MAX], uint64_t lsn, uint32_t serial);

/* True when name is a finished snapshot's; *lsn and *serial are then set. */
bool data_dir_parse_snapshot_name(const char *name, uint64_t *lsn, uint32_t *serial);

/* Opens the directory under its lock; with config->create, creates what is not there. Checks identity
 * and the presence and size of every segment. Errors: URN_NODATA (with what to do), URN_CANTCREATE,
 * URN_INUSE, URN_CONFIG (another geometry than configured: says both), URN_FORMAT, URN_DAMAGED (files
 * missing or of a wrong size, IDENTITY unreadable, or worth without IDENTITY), URN_IO. */
enum urn_code data_dir_open(struct urn_os *os, const struct urn_engine_config *config,
                            struct data_dir *data_dir, struct urn_error *error);

/* Opens it to look only: no lock, nothing is ever made; geometry from IDENTITY. For tools. */
enum urn_code data_dir_open_readonly(struct urn_os *os, const char *path,
                                     struct data_dir *data_dir, struct urn_error *error);

void data_dir_close(struct data_dir *data_dir);

#endif
