/* file_io.h: whole reads and writes over the seam's calls, which may do less than asked. */
#ifndef URN_ENGINE_FILE_IO_H
#define URN_ENGINE_FILE_IO_H

#include "engine/error.h"
#include "engine/os.h"

/* Reads exactly length_bytes at offset. name is for the error's text. Errors: URN_IO (system_errno
 * EIO for an unreadable sector), URN_DAMAGED when the file ends before. */
enum urn_code file_read_exact(struct os_file *file, const char *name, void *to, size_t length_bytes,
                              uint64_t offset, struct urn_error *error);

enum urn_code file_write_exact(struct os_file *file, const char *name, const void *from,
                               size_t length_bytes, uint64_t offset, struct urn_error *error);

/* Writes a small file under name.tmp, syncs it, renames it to name and syncs the directory. */
enum urn_code file_publish(struct os_dir *dir, const char *name, const void *bytes,
                           size_t length_bytes, struct urn_error *error);

/* The same, and before it is renamed it is read back past the cache: a disk may say that it has synced and
 * has not. Errors: URN_IO; URN_DAMAGED, when it is not what was written. */
enum urn_code file_publish_checked(struct os_dir *dir, const char *name, const void *bytes,
                                   size_t length_bytes, struct urn_error *error);

#endif
