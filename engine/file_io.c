/* file_io.c: loops over calls that may do less than asked, and the publishing of small files. */
#include "engine/file_io.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/check.h"

#define PUBLISH_NAME_MAX 256u

enum urn_code file_read_exact(struct os_file *file, const char *name, void *to, size_t length_bytes,
                              uint64_t offset, struct urn_error *error)
{
    uint8_t *at = to;
    while (length_bytes > 0) {
        size_t done = 0;
        const int failure = os_file_read(file, at, length_bytes, offset, &done);
        if (failure == EINTR)
            continue;
        if (failure != 0)
            return error_set(error, URN_IO, failure, "cannot read %zu bytes of %s at %" PRIu64,
                             length_bytes, name, offset);
        if (done == 0)
            return error_set(error, URN_DAMAGED, 0,
                             "%s ends at %" PRIu64 ", %zu bytes short of what was to be read", name,
                             offset, length_bytes);
        CHECK(done <= length_bytes);
        at += done;
        offset += done;
        length_bytes -= done;
    }
    return URN_OK;
}

enum urn_code file_write_exact(struct os_file *file, const char *name, const void *from,
                               size_t length_bytes, uint64_t offset, struct urn_error *error)
{
    const uint8_t *at = from;
    while (length_bytes > 0) {
        size_t done = 0;
        const int failure = os_file_write(file, at, length_bytes, offset, &done);
        if (failure == EINTR)
            continue;
        if (failure != 0 || done == 0) /* a write that does nothing would do so for ever */
            return error_set(error, URN_IO, failure != 0 ? failure : EIO,
                             "cannot write %zu bytes of %s at %" PRIu64, length_bytes, name,
                             offset);
        CHECK(done <= length_bytes);
        at += done;
        offset += done;
        length_bytes -= done;
    }
    return URN_OK;
}

/* Errors: URN_IO; URN_DAMAGED, when the disk does not hold what was written. */
static enum urn_code read_back(struct os_file *file, const char *name, const void *bytes,
                               size_t length_bytes, struct urn_error *error)
{
    uint8_t piece[512];
    uint64_t size_bytes = 0;
    int failure = os_file_drop_cache(file);
    if (failure == 0)
        failure = os_file_size(file, &size_bytes);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot read back %s past the cache", name);
    bool same = size_bytes == length_bytes;
    for (size_t done = 0; same && done < length_bytes; done += sizeof piece) {
        const size_t left = length_bytes - done;
        const size_t length = left < sizeof piece ? left : sizeof piece;
        if (file_read_exact(file, name, piece, length, done, error) != URN_OK)
            return error->code;
        same = memcmp(piece, (const uint8_t *)bytes + done, length) == 0;
    }
    return same ? URN_OK
                : error_set(error, URN_DAMAGED, 0,
                            "check the disk: what was read back is not what was written: %s", name);
}

/* Writes and syncs a file that must not exist; leaves none behind when it fails. */
static enum urn_code write_new_file(struct os_dir *dir, const char *name, const void *bytes,
                                    size_t length_bytes, bool checks, struct urn_error *error)
{
    struct os_file *file = NULL;
    int failure = os_file_open(dir, name, OS_CREATE, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot create %s", name);
    enum urn_code code = file_write_exact(file, name, bytes, length_bytes, 0, error);
    if (code != URN_OK)
        goto remove_file;
    failure = os_file_sync(file);
    if (failure != 0) {
        code = error_set(error, URN_IO, failure, "cannot sync %s", name);
        goto remove_file;
    }
    code = checks ? read_back(file, name, bytes, length_bytes, error) : URN_OK;
    if (code != URN_OK)
        goto remove_file;
    os_file_close(file);
    return URN_OK;

remove_file:
    os_file_close(file);
    (void)os_remove(dir, name); /* a temporary name left behind is evidence of nothing */
    return code;
}

static enum urn_code publish(struct os_dir *dir, const char *name, const void *bytes,
                             size_t length_bytes, bool checks, struct urn_error *error)
{
    char temporary[PUBLISH_NAME_MAX];
    const int length = snprintf(temporary, sizeof temporary, "%s.tmp", name);
    CHECK(length > 0 && (size_t)length < sizeof temporary);
    int failure = os_remove(dir, temporary); /* of a publication that a crash ended */
    if (failure != 0 && failure != ENOENT)
        return error_set(error, URN_IO, failure, "cannot remove %s", temporary);
    const enum urn_code code = write_new_file(dir, temporary, bytes, length_bytes, checks, error);
    if (code != URN_OK)
        return code;
    failure = os_rename(dir, temporary, name);
    if (failure != 0) {
        (void)os_remove(dir, temporary);
        return error_set(error, URN_IO, failure, "cannot rename %s to %s", temporary, name);
    }
    failure = os_dir_sync(dir);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot sync the directory of %s", name);
    return URN_OK;
}

enum urn_code file_publish(struct os_dir *dir, const char *name, const void *bytes,
                           size_t length_bytes, struct urn_error *error)
{
    return publish(dir, name, bytes, length_bytes, false, error);
}

enum urn_code file_publish_checked(struct os_dir *dir, const char *name, const void *bytes,
                                   size_t length_bytes, struct urn_error *error)
{
    return publish(dir, name, bytes, length_bytes, true, error);
}
