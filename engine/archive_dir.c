/* archive_dir.c: see archive_dir.h. */
#include "engine/archive_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"

/* ---- small files ----------------------------------------------------------------------------- */

/* Reads a whole small file. *length: what is in text. Errors: URN_DAMAGED (too long), URN_IO. */
static enum urn_code read_text(struct os_dir *dir, const char *name, char *text, size_t room_bytes,
                               size_t *length, struct urn_error *error)
{
    struct os_file *file = NULL;
    uint64_t size_bytes = 0;
    int failure = os_file_open(dir, name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", name);
    enum urn_code code = URN_OK;
    failure = os_file_size(file, &size_bytes);
    if (failure != 0)
        code = error_set(error, URN_IO, failure, "cannot find the size of %s", name);
    else if (size_bytes > room_bytes)
        code = error_set(error, URN_DAMAGED, 0, "%s is longer than urn writes it", name);
    else
        code = file_read_exact(file, name, text, (size_t)size_bytes, 0, error);
    os_file_close(file);
    *length = (size_t)size_bytes;
    return code;
}

/* ---- listing --------------------------------------------------------------------------------- */

/* Names of one kind, as they come. */
struct names {
    struct archive_name *names;
    uint32_t count;
    uint32_t room;
};

struct listing {
    struct names segments, gaps, snapshots;
    bool has_identity;
    bool has_foreign;
};

static int names_add(struct names *names, const struct archive_name *name)
{
    if (names->count == names->room) {
        const uint32_t room = names->room == 0 ? 64 : 2 * names->room;
        struct archive_name *larger = realloc(names->names, room * sizeof *larger);
        if (larger == NULL)
            return ENOMEM;
        names->names = larger;
        names->room = room;
    }
    names->names[names->count++] = *name;
    return 0;
}

static int note_name(void *context, const char *name)
{
    struct listing *listing = context;
    const struct archive_name parsed = archive_name_parse(name);
    switch (parsed.kind) {
    case ARCHIVE_NAME_SEGMENT:
        return names_add(&listing->segments, &parsed);
    case ARCHIVE_NAME_GAP:
        return names_add(&listing->gaps, &parsed);
    case ARCHIVE_NAME_SNAPSHOT:
        return names_add(&listing->snapshots, &parsed);
    case ARCHIVE_NAME_IDENTITY:
        listing->has_identity = true;
        return 0;
    case ARCHIVE_NAME_TEMPORARY:
    case ARCHIVE_NAME_LOCK:
        return 0;
    case ARCHIVE_NAME_FOREIGN:
        break;
    }
    listing->has_foreign = true;
    return 0;
}

static void listing_free(struct listing *listing)
{
    free(listing->segments.names);
    free(listing->gaps.names);
    free(listing->snapshots.names);
    *listing = (struct listing){.has_identity = false};
}

static int compare_names(const void *left, const void *right)
{
    const struct archive_name *a = left;
    const struct archive_name *b = right;
    if (a->from_lsn != b->from_lsn)
        return a->from_lsn < b->from_lsn ? -1 : 1;
    if (a->to_lsn != b->to_lsn)
        return a->to_lsn < b->to_lsn ? -1 : 1;
    return a->serial < b->serial ? -1 : a->serial > b->serial;
}

static void sort(struct names *names)
{
    if (names->count > 1)
        qsort(names->names, names->count, sizeof names->names[0], compare_names);
}

static enum urn_code list_names(struct os_dir *dir, struct listing *listing,
                                struct urn_error *error)
{
    *listing = (struct listing){.has_identity = false};
    const int failure = os_dir_list(dir, note_name, listing);
    if (failure != 0) {
        listing_free(listing);
        return error_set(error, failure == ENOMEM ? URN_NOMEMORY : URN_IO, failure,
                         "cannot list the archive");
    }
    sort(&listing->segments);
    sort(&listing->gaps);
    sort(&listing->snapshots);
    return URN_OK;
}

enum urn_code archive_dir_list(struct os_dir *dir, struct archive_list *list,
                               struct urn_error *error)
{
    struct listing listing;
    *list = (struct archive_list){.segment_count = 0};
    if (list_names(dir, &listing, error) != URN_OK)
        return error->code;
    list->segments = calloc(listing.segments.count + 1, sizeof *list->segments);
    if (list->segments == NULL) {
        listing_free(&listing);
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the archive");
    }
    for (uint32_t i = 0; i < listing.segments.count; i++)
        list->segments[i] = listing.segments.names[i].from_lsn;
    list->segment_count = listing.segments.count;
    list->gaps = listing.gaps.names;
    list->gap_count = listing.gaps.count;
    list->snapshots = listing.snapshots.names;
    list->snapshot_count = listing.snapshots.count;
    free(listing.segments.names);
    return URN_OK;
}

void archive_list_free(struct archive_list *list)
{
    free(list->segments);
    free(list->gaps);
    free(list->snapshots);
    *list = (struct archive_list){.segment_count = 0};
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum urn_code read_identity(struct os_dir *dir, uint8_t ring_uuid[WAL_UUID_BYTES],
                                   struct urn_error *error)
{
    char text[ARCHIVE_TEXT_BYTES_MAX];
    size_t length = 0;
    if (read_text(dir, ARCHIVE_IDENTITY, text, sizeof text, &length, error) != URN_OK)
        return error->code;
    return archive_identity_parse(text, length, ring_uuid, error) == URN_OK
               ? URN_OK
               : error_prefix(error, ARCHIVE_IDENTITY ": ");
}

enum urn_code archive_dir_open(struct urn_os *os, const char *path, struct os_dir **dir,
                               uint8_t ring_uuid[WAL_UUID_BYTES], struct urn_error *error)
{
    const int failure = os_dir_open(os, path, dir);
    if (failure != 0)
        return error_set(error, failure == ENOENT || failure == ENOTDIR ? URN_NODATA : URN_IO,
                         failure, "cannot open the archive %.200s", path);
    if (read_identity(*dir, ring_uuid, error) == URN_OK)
        return URN_OK;
    if (error->code == URN_IO && error->system_errno == ENOENT)
        error_set(error, URN_NODATA, 0, "%.200s is no archive: it has no file " ARCHIVE_IDENTITY,
                  path);
    else
        error_prefix(error, "the archive %.200s: ", path);
    os_dir_close(*dir);
    *dir = NULL;
    return error->code;
}

/* A directory without ARCHIVE may become an archive if it holds nothing. */
static enum urn_code check_empty(const char *path, const struct listing *listing, bool was_there,
                                 struct urn_error *error)
{
    if (was_there)
        return error_set(error, URN_IO, 0,
                         "the archive %.200s is empty: is its volume mounted? (To begin a new one "
                         "there, remove " ARCHIVE_NOTE " from the data directory)",
                         path);
    if (listing->has_foreign || listing->segments.count > 0 || listing->snapshots.count > 0 ||
        listing->gaps.count > 0)
        return error_set(error, URN_CONFIG, 0,
                         "%.200s is no archive, for it has no file " ARCHIVE_IDENTITY
                         ", and it is not empty: name another directory in wal.archive",
                         path);
    return URN_OK;
}

static enum urn_code check_owner(struct os_dir *dir, const char *path,
                                 const uint8_t ring_uuid[WAL_UUID_BYTES], struct urn_error *error)
{
    uint8_t found[WAL_UUID_BYTES];
    if (read_identity(dir, found, error) != URN_OK)
        return error->code;
    if (memcmp(found, ring_uuid, WAL_UUID_BYTES) == 0)
        return URN_OK;
    char theirs[UUID_TEXT_BYTES];
    char ours[UUID_TEXT_BYTES];
    uuid_text(found, theirs);
    uuid_text(ring_uuid, ours);
    return error_set(error, URN_CONFIG, 0,
                     "the archive %.200s belongs to ring %s, and the data directory is ring %s: "
                     "name another directory in wal.archive",
                     path, theirs, ours);
}

/* Two servers on copies of one data directory have one ring, and would take each other's segments for their
 * own. */
static enum urn_code lock_archive(struct os_dir *dir, const char *path, struct os_file **lock,
                                  struct urn_error *error)
{
    const int failure = os_dir_lock(dir, ARCHIVE_LOCK, true, lock);
    if (failure == 0)
        return URN_OK;
    *lock = NULL;
    if (failure == EWOULDBLOCK)
        return error_set(error, URN_INUSE, 0,
                         "another process archives to %.200s (its id is in " ARCHIVE_LOCK
                         " there): a server on a copy of this data directory? Name another "
                         "directory in wal.archive",
                         path);
    return error_set(error, URN_IO, failure, "cannot lock the archive %.200s", path);
}

/* Names of what was left unfinished: so many at a time. */
struct leftovers {
    char names[16][DATA_DIR_NAME_MAX];
    uint32_t count;
};

static int note_leftover(void *context, const char *name)
{
    struct leftovers *leftovers = context;
    if (archive_name_parse(name).kind == ARCHIVE_NAME_TEMPORARY &&
        leftovers->count < sizeof leftovers->names / sizeof leftovers->names[0])
        (void)snprintf(leftovers->names[leftovers->count++], DATA_DIR_NAME_MAX, "%.63s", name);
    return 0;
}

enum urn_code archive_dir_remove_leftovers(struct os_dir *dir, struct urn_error *error)
{
    struct leftovers leftovers;
    int failure = 0;
    do {
        leftovers.count = 0;
        failure = os_dir_list(dir, note_leftover, &leftovers);
        for (uint32_t i = 0; i < leftovers.count && failure == 0; i++)
            failure = os_remove(dir, leftovers.names[i]);
    } while (failure == 0 && leftovers.count > 0);
    return failure == 0 ? URN_OK
                        : error_set(error, URN_IO, failure,
                                    "cannot remove what was left unfinished in the archive");
}

/* Makes the directory's name in its parent durable. */
static int sync_parent(struct urn_os *os, const char *path)
{
    char parent[DATA_DIR_PATH_BYTES_MAX] = ".";
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : (size_t)(slash - path);
    if (length >= sizeof parent)
        return ENAMETOOLONG;
    if (slash != NULL) {
        memcpy(parent, path, length);
        parent[length] = 0;
    }
    struct os_dir *dir = NULL;
    int failure = os_dir_open(os, slash == path ? "/" : parent, &dir);
    if (failure != 0)
        return failure;
    failure = os_dir_sync(dir);
    os_dir_close(dir);
    return failure;
}

/* The directory itself. As long as nothing says that it was there it may have been made just now, by an opening
 * that failed behind that: its name is made durable all the same. */
static enum urn_code open_or_make(struct urn_os *os, const char *path, bool was_there,
                                  struct os_dir **dir, struct urn_error *error)
{
    int failure = os_dir_open(os, path, dir);
    if (failure == ENOENT && was_there)
        return error_set(error, URN_IO, failure,
                         "the archive %.200s is not there: is its volume mounted?", path);
    if (failure == ENOENT) {
        failure = os_dir_make(os, path);
        if (failure != 0)
            return error_set(error, URN_IO, failure,
                             "cannot make the archive %.200s (only its last component is made)",
                             path);
        failure = os_dir_open(os, path, dir);
    }
    if (failure == ENOTDIR)
        return error_set(error, URN_CONFIG, 0,
                         "the archive %.200s is no directory: name one in wal.archive", path);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open the archive %.200s", path);
    failure = was_there ? 0 : sync_parent(os, path);
    if (failure == 0)
        return URN_OK;
    os_dir_close(*dir);
    *dir = NULL;
    return error_set(error, URN_IO, failure, "cannot sync the folder of the archive %.200s", path);
}

/* Read back, for an archive without it is none: nothing in it could be opened any more. */
static enum urn_code write_identity(struct os_dir *dir, const char *path,
                                    const uint8_t ring_uuid[WAL_UUID_BYTES],
                                    struct urn_error *error)
{
    char text[ARCHIVE_TEXT_BYTES_MAX];
    const size_t length = archive_identity_format(ring_uuid, text);
    return file_publish_checked(dir, ARCHIVE_IDENTITY, text, length, error) == URN_OK
               ? URN_OK
               : error_prefix(error, "the archive %.200s: ", path);
}

/* In a directory that is open: whose it is, and that nobody else writes in it; ARCHIVE, where it is new. */
static enum urn_code take_possession(struct os_dir *dir, const char *path,
                                     const uint8_t ring_uuid[WAL_UUID_BYTES], bool was_there,
                                     struct os_file **lock, struct urn_error *error)
{
    struct listing listing;
    enum urn_code code = list_names(dir, &listing, error);
    if (code != URN_OK)
        return code;
    code = listing.has_identity ? check_owner(dir, path, ring_uuid, error)
                                : check_empty(path, &listing, was_there, error);
    if (code == URN_OK) /* not earlier: in somebody else's directory nothing is left */
        code = lock_archive(dir, path, lock, error);
    if (code == URN_OK && !listing.has_identity)
        code = write_identity(dir, path, ring_uuid, error);
    listing_free(&listing);
    return code;
}

enum urn_code archive_dir_open_for_writing(struct urn_os *os, const char *path,
                                           const uint8_t ring_uuid[WAL_UUID_BYTES], bool was_there,
                                           struct os_dir **dir, struct os_file **lock,
                                           struct urn_error *error)
{
    *dir = NULL;
    *lock = NULL;
    if (open_or_make(os, path, was_there, dir, error) != URN_OK)
        return error->code;
    enum urn_code code = URN_OK;
    /* What a dead process left may be seen, and still vanish with the power. */
    const int failure = os_dir_sync(*dir);
    if (failure != 0)
        code = error_set(error, URN_IO, failure, "cannot sync the archive %.200s", path);
    if (code == URN_OK)
        code = take_possession(*dir, path, ring_uuid, was_there, lock, error);
    if (code != URN_OK) {
        os_file_close(*lock);
        os_dir_close(*dir);
        *lock = NULL;
        *dir = NULL;
    }
    return code;
}

/* ---- gaps and indexes ------------------------------------------------------------------------ */

enum urn_code archive_gap_read(struct os_dir *dir, const struct archive_name *name,
                               struct archive_gap *gap, struct urn_error *error)
{
    char file_name[DATA_DIR_NAME_MAX];
    char text[ARCHIVE_TEXT_BYTES_MAX];
    size_t length = 0;
    archive_gap_name(file_name, name->from_lsn, name->to_lsn);
    if (read_text(dir, file_name, text, sizeof text, &length, error) != URN_OK)
        return error->code;
    if (archive_gap_parse(text, length, gap, error) != URN_OK)
        return error_prefix(error, "%s: ", file_name);
    if (gap->from_lsn != name->from_lsn || gap->to_lsn != name->to_lsn)
        return error_set(error, URN_DAMAGED, 0, "%s: it tells of another gap than its name",
                         file_name);
    return URN_OK;
}

enum urn_code archive_index_read(struct os_file *file, const char *name,
                                 uint64_t segment_size_bytes, struct log_index *index,
                                 struct urn_error *error)
{
    uint8_t header[LOG_INDEX_HEADER_BYTES];
    uint32_t count = 0;
    *index = (struct log_index){.entries = NULL};
    if (file_read_exact(file, name, header, sizeof header, segment_size_bytes, error) != URN_OK)
        return error->code;
    if (log_index_peek(header, sizeof header, &count) != WAL_READ_OK ||
        count > LOG_INDEX_ENTRIES_MAX)
        return error_set(error, URN_DAMAGED, 0, "%s: no index stands behind its groups", name);
    uint8_t *bytes = malloc(log_index_bytes(count));
    struct log_index_entry *entries = calloc(count + 1, sizeof *entries);
    enum urn_code code = URN_OK;
    if (bytes == NULL || entries == NULL)
        code = error_set(error, URN_NOMEMORY, ENOMEM, "cannot read the index of %s", name);
    else
        code =
            file_read_exact(file, name, bytes, log_index_bytes(count), segment_size_bytes, error);
    if (code == URN_OK &&
        log_index_read(bytes, log_index_bytes(count), entries, count, index) != WAL_READ_OK)
        code = error_set(error, URN_DAMAGED, 0, "%s: its index is damaged", name);
    free(bytes);
    if (code != URN_OK) {
        free(entries);
        *index = (struct log_index){.entries = NULL};
    }
    return code;
}

/* ---- ARCHIVED-TO ----------------------------------------------------------------------------- */

enum urn_code archive_note_read(struct os_dir *data_dir, bool *found, struct archive_note *note,
                                struct urn_error *error)
{
    char text[ARCHIVE_NOTE_BYTES_MAX];
    size_t length = 0;
    *found = false;
    const enum urn_code code = read_text(data_dir, ARCHIVE_NOTE, text, sizeof text, &length, error);
    if (code == URN_IO && error->system_errno == ENOENT)
        return URN_OK;
    if (code != URN_OK)
        return code;
    *found = true;
    return archive_note_parse(text, length, note, error) == URN_OK
               ? URN_OK
               : error_prefix(error, ARCHIVE_NOTE ": ");
}

enum urn_code archive_note_write(struct os_dir *data_dir, const struct archive_note *note,
                                 struct urn_error *error)
{
    char text[ARCHIVE_NOTE_BYTES_MAX];
    return file_publish_checked(data_dir, ARCHIVE_NOTE, text, archive_note_format(note, text),
                                error);
}
