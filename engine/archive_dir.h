/* archive_dir.h: an archive's directory: opened, made, listed; and where a data directory's archive is.
 * archive_format.h has the names and the bytes.
 *
 * For the server's archiving and for tools alike; only archive_dir_open_for_writing,
 * archive_dir_remove_leftovers and archive_note_write ever make or change anything.
 */
#ifndef URN_ENGINE_ARCHIVE_DIR_H
#define URN_ENGINE_ARCHIVE_DIR_H

#include "engine/archive_format.h"

/* Opens an archive to look only. ring_uuid: what it says. Errors: URN_NODATA (no such directory, or no
 * archive), URN_DAMAGED, URN_FORMAT, URN_IO, URN_NOMEMORY. */
enum urn_code archive_dir_open(struct urn_os *os, const char *path, struct os_dir **dir,
                               uint8_t ring_uuid[WAL_UUID_BYTES], struct urn_error *error);

/* Opens the archive of this ring to write in it. was_there: it is known to exist, so that nothing is made
 * where it is not: an archive whose volume is not mounted must not begin anew. Otherwise a missing directory
 * is made (the last component of path), and ARCHIVE in an empty one. Nothing else is changed.
 * *lock: nobody else archives to it until that is closed; the caller's, with *dir. Errors: URN_CONFIG (the
 * directory belongs to another ring, or holds something else: says what to do), URN_INUSE (another process has it),
 * URN_IO, URN_DAMAGED, URN_FORMAT, URN_NOMEMORY. */
enum urn_code archive_dir_open_for_writing(struct urn_os *os, const char *path,
                                           const uint8_t ring_uuid[WAL_UUID_BYTES], bool was_there,
                                           struct os_dir **dir, struct os_file **lock,
                                           struct urn_error *error);

/* Removes what a process that died left unfinished. For the one that holds the lock, once it is sure to go on:
 * until then a refusal leaves every file as it was. Errors: URN_IO. */
enum urn_code archive_dir_remove_leftovers(struct os_dir *dir, struct urn_error *error);

/* What an archive holds, by its names; each list rises by LSN. */
struct archive_list {
    uint64_t *segments; /* LSNs where archived segments begin */
    uint32_t segment_count;
    struct archive_name *gaps;
    uint32_t gap_count;
    struct archive_name *snapshots;
    uint32_t snapshot_count;
};

/* Errors: URN_IO, URN_NOMEMORY; *list then holds nothing. */
enum urn_code archive_dir_list(struct os_dir *dir, struct archive_list *list,
                               struct urn_error *error);
void archive_list_free(struct archive_list *list);

/* Reads a gap's file. Errors: URN_DAMAGED (also: its name says otherwise), URN_FORMAT, URN_IO. */
enum urn_code archive_gap_read(struct os_dir *dir, const struct archive_name *name,
                               struct archive_gap *gap, struct urn_error *error);

/* Reads the header of an archived segment's index and its first entry, or the whole index: *index, whose
 * entries are the caller's to free(). Errors: URN_DAMAGED (none, or not of this segment), URN_IO,
 * URN_NOMEMORY. */
enum urn_code archive_index_read(struct os_file *file, const char *name,
                                 uint64_t segment_size_bytes, struct log_index *index,
                                 struct urn_error *error);

/* ---- ARCHIVED-TO -------------------------------------------------------------------------------- */

/* *found: the data directory has had an archive. Errors: URN_DAMAGED, URN_FORMAT, URN_IO. */
enum urn_code archive_note_read(struct os_dir *data_dir, bool *found, struct archive_note *note,
                                struct urn_error *error);

/* Written whole, synced, read back, renamed into place. Errors: URN_IO; URN_DAMAGED, when the disk has not kept it. */
enum urn_code archive_note_write(struct os_dir *data_dir, const struct archive_note *note,
                                 struct urn_error *error);

#endif
