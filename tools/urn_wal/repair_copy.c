/* repair_copy.c: R3: every file that will be touched is copied to a folder of its own first. See repair.h.
 *
 * A sector that cannot be read stands as zeros in the copy, and MANIFEST names it. MANIFEST is written last: a
 * folder without one is of an attempt that changed nothing, and can be removed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/file_io.h"
#include "tools/urn_wal/repair.h"
#include "tools/urn_wal/time_text.h"

#define COPY_BYTES  (256u * 1024)
#define FOLDER      "lost+found-"
#define MANIFEST    "MANIFEST"
#define FOLDERS_MAX 100u /* begun in the same second */
#define LINE_BYTES  192u

struct copying {
    struct repair *repair;
    char path[DATA_DIR_PATH_BYTES_MAX + DATA_DIR_NAME_MAX];
    struct os_dir *dir;
    uint8_t *from; /* COPY_BYTES of the file, and of what the copy turned out to be */
    uint8_t *to;
    char *manifest;
    size_t manifest_bytes;
    size_t manifest_room;
    bool keeps_manifest; /* the first pass over a file's bytes, not the comparison */
};

static enum urn_code note(struct copying *copying, const char *line, struct urn_error *error)
{
    const size_t length = strlen(line);
    if (!copying->keeps_manifest)
        return URN_OK;
    if (copying->manifest_bytes + length >= copying->manifest_room) {
        const size_t room = 2 * (copying->manifest_room + length) + LINE_BYTES;
        char *larger = realloc(copying->manifest, room);
        if (larger == NULL)
            return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the copies");
        copying->manifest = larger;
        copying->manifest_room = room;
    }
    memcpy(copying->manifest + copying->manifest_bytes, line, length);
    copying->manifest_bytes += length;
    return URN_OK;
}

/* ---- one file ---------------------------------------------------------------------------------- */

/* A piece of the file to copying->from; sectors that cannot be read as zeros. */
static enum urn_code read_piece(struct copying *copying, struct os_file *file, const char *name,
                                uint64_t offset, uint64_t length_bytes, struct urn_error *error)
{
    uint64_t done = 0;
    memset(copying->from, 0, length_bytes);
    while (done < length_bytes) {
        uint64_t got = 0;
        uint64_t bad = 0;
        char line[LINE_BYTES];
        enum urn_code code = history_read(file, name, offset + done, copying->from + done,
                                          length_bytes - done, &got, &bad, error);
        done += got;
        if (code != URN_OK)
            return code;
        if (bad == NO_OFFSET) {
            if (done < length_bytes)
                return error_set(error, URN_IO, EIO, "%s has become shorter", name);
            break;
        }
        (void)snprintf(line, sizeof line,
                       "%s cannot be read at offset %" PRIu64 ": zeros stand in the copy\n", name,
                       bad);
        if (note(copying, line, error) != URN_OK)
            return error->code;
        done = bad - bad % OS_SECTOR_BYTES + OS_SECTOR_BYTES - offset;
    }
    return URN_OK;
}

/* The first pass writes, the second compares what the disk has made of it. */
static enum urn_code pass(struct copying *copying, struct os_file *from, struct os_file *to,
                          const char *name, uint64_t size_bytes, bool compares,
                          struct urn_error *error)
{
    uint32_t crc = 0;
    copying->keeps_manifest = !compares;
    for (uint64_t offset = 0; offset < size_bytes; offset += COPY_BYTES) {
        const uint64_t left = size_bytes - offset;
        const uint64_t length = left < COPY_BYTES ? left : COPY_BYTES;
        if (read_piece(copying, from, name, offset, length, error) != URN_OK)
            return error->code;
        crc = crc32c_extend(crc, copying->from, length);
        if (!compares) {
            if (file_write_exact(to, name, copying->from, length, offset, error) != URN_OK)
                return error->code;
            continue;
        }
        if (file_read_exact(to, name, copying->to, length, offset, error) != URN_OK)
            return error->code;
        if (memcmp(copying->from, copying->to, length) != 0)
            return error_set(error, URN_DAMAGED, 0,
                             "the copy of %s reads back otherwise than it was written", name);
    }
    if (compares)
        return URN_OK;
    char line[LINE_BYTES];
    (void)snprintf(line, sizeof line, "%s: %" PRIu64 " bytes, crc32c %08" PRIx32 "\n", name,
                   size_bytes, crc);
    return note(copying, line, error);
}

static enum urn_code copy_open_files(struct copying *copying, struct os_file *from,
                                     struct os_file *to, const char *name, struct urn_error *error)
{
    uint64_t size_bytes = 0;
    int failure = os_file_size(from, &size_bytes);
    if (failure == 0 && size_bytes > 0)
        failure = os_file_allocate(to, size_bytes);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot make room for a copy of %s", name);
    if (pass(copying, from, to, name, size_bytes, false, error) != URN_OK)
        return error->code;
    failure = os_file_sync(to);
    if (failure == 0)
        failure = os_file_drop_cache(to);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot sync the copy of %s", name);
    return pass(copying, from, to, name, size_bytes, true, error);
}

static enum urn_code copy_file(struct copying *copying, const char *name, struct urn_error *error)
{
    struct os_file *from = NULL;
    struct os_file *to = NULL;
    int failure = os_file_open(copying->repair->data_dir.dir, name, OS_READ, &from);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", name);
    enum urn_code code = URN_OK;
    failure = os_file_open(copying->dir, name, OS_CREATE, &to);
    if (failure != 0)
        code = error_set(error, URN_IO, failure, "cannot make a copy of %s", name);
    if (code == URN_OK) {
        code = copy_open_files(copying, from, to, name, error);
        os_file_close(to);
    }
    os_file_close(from);
    return code;
}

/* ---- all of them ------------------------------------------------------------------------------- */

typedef enum urn_code (*for_file)(struct copying *copying, const char *name,
                                  struct urn_error *error);

static enum urn_code for_each(struct copying *copying, const struct repair_plan *plan,
                              for_file what, struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    for (uint32_t slot = 0; slot < copying->repair->data_dir.geometry.segments; slot++) {
        data_dir_segment_name(name, slot);
        if (plan->touched[slot] && what(copying, name, error) != URN_OK)
            return error->code;
    }
    for (uint32_t i = 0; i < plan->moved_count; i++) {
        data_dir_snapshot_name(name, plan->moved[i].lsn, plan->moved[i].serial);
        if (what(copying, name, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

/* "lost+found-20261122T051429Z", and "-2" and so on behind it where there is one. */
static enum urn_code make_folder(struct copying *copying, char name[DATA_DIR_NAME_MAX],
                                 struct urn_error *error)
{
    const struct repair *repair = copying->repair;
    char time[TIME_TEXT_BYTES];
    time_text(os_wall_us(repair->tool->os), time); /* 2026-11-22T05:14:29.123456Z */
    for (uint32_t number = 1; number <= FOLDERS_MAX; number++) {
        int length = snprintf(name, DATA_DIR_NAME_MAX, FOLDER "%.4s%.2s%.5s%.2s%.2sZ", time,
                              time + 5, time + 8, time + 14, time + 17);
        if (number > 1)
            (void)snprintf(name + length, DATA_DIR_NAME_MAX - (size_t)length, "-%" PRIu32, number);
        (void)snprintf(copying->path, sizeof copying->path, "%s/%s", repair->path, name);
        const int failure = os_dir_make(repair->tool->os, copying->path);
        if (failure == 0)
            break;
        if (failure != EEXIST || number == FOLDERS_MAX)
            return error_set(error, URN_IO, failure, "cannot make the folder %.200s",
                             copying->path);
    }
    const int failure = os_dir_open(repair->tool->os, copying->path, &copying->dir);
    return failure == 0
               ? URN_OK
               : error_set(error, URN_IO, failure, "cannot open the folder %.200s", copying->path);
}

static enum urn_code publish_manifest(struct copying *copying, struct urn_error *error)
{
    if (file_publish(copying->dir, MANIFEST, copying->manifest, copying->manifest_bytes, error) !=
        URN_OK)
        return error->code;
    const int failure = os_dir_sync(copying->repair->data_dir.dir);
    return failure == 0 ? URN_OK
                        : error_set(error, URN_IO, failure, "cannot sync the directory %.200s",
                                    copying->repair->path);
}

static enum urn_code remove_copy(struct copying *copying, const char *name, struct urn_error *error)
{
    (void)error;
    (void)os_remove(copying->dir, name);
    return URN_OK;
}

/* A full disk is not to stay full of copies that nobody needs. */
static void remove_copies(struct copying *copying, const struct repair_plan *plan)
{
    struct urn_error ignored;
    (void)os_remove(copying->dir, MANIFEST);
    (void)for_each(copying, plan, remove_copy, &ignored);
}

void repair_uncopy(struct repair *repair, const struct repair_plan *plan)
{
    struct copying copying = {.repair = repair};
    (void)snprintf(copying.path, sizeof copying.path, "%s/%s", repair->path, plan->intent.copies);
    if (os_dir_open(repair->tool->os, copying.path, &copying.dir) != 0)
        return;
    remove_copies(&copying, plan);
    os_dir_close(copying.dir);
}

enum urn_code repair_copy(struct repair *repair, struct repair_plan *plan, struct urn_error *error)
{
    struct copying copying = {
        .repair = repair, .from = malloc(COPY_BYTES), .to = malloc(COPY_BYTES)};
    enum urn_code code = URN_OK;
    if (copying.from == NULL || copying.to == NULL)
        code = error_set(error, URN_NOMEMORY, ENOMEM, "cannot copy what is to be changed");
    if (code == URN_OK)
        code = make_folder(&copying, plan->intent.copies, error);
    if (code == URN_OK)
        code = for_each(&copying, plan, copy_file, error);
    if (code == URN_OK)
        code = publish_manifest(&copying, error);
    if (code != URN_OK && copying.dir != NULL)
        remove_copies(&copying, plan);
    if (copying.dir != NULL)
        os_dir_close(copying.dir);
    free(copying.from);
    free(copying.to);
    free(copying.manifest);
    if (code != URN_OK)
        error_prefix(error, "nothing was changed: ");
    return code;
}

enum urn_code repair_copy_is_there(const struct repair *repair, const struct repair_intent *intent,
                                   const char *name, struct urn_error *error)
{
    char path[DATA_DIR_PATH_BYTES_MAX + DATA_DIR_NAME_MAX];
    struct os_dir *dir = NULL;
    struct os_file *file = NULL;
    (void)snprintf(path, sizeof path, "%s/%s", repair->path, intent->copies);
    int failure = os_dir_open(repair->tool->os, path, &dir);
    if (failure != 0)
        return error_set(error, failure == ENOENT ? URN_DAMAGED : URN_IO, failure,
                         "the copies that the repair began with are not there: cannot open %.200s",
                         path);
    failure = os_file_open(dir, name, OS_READ, &file);
    if (failure == 0)
        os_file_close(file);
    os_dir_close(dir);
    return failure == 0 ? URN_OK
                        : error_set(error, failure == ENOENT ? URN_DAMAGED : URN_IO, failure,
                                    "the copy of %s that the repair began with is not there", name);
}
