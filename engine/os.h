/* os.h: the seam. All that the engine asks of the system goes through here and through nothing
 * else.
 *
 * There are two systems, chosen when a program is linked: os_linux.c, and the simulated one of the
 * tests (tests/lib/os_sim.c), which crashes, tears, fails and lies on request.
 *
 * Conventions: a call that can fail returns 0 or a positive errno value; results come back through
 * the last parameter. Handles belong to the caller until their close call, which never fails (what
 * had to be durable has been synced before). A name is one path component inside its directory.
 * Unless a call says otherwise it may be made by any thread, a handle by one thread at a time, but a
 * directory by several.
 */
#ifndef URN_ENGINE_OS_H
#define URN_ENGINE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct urn_os;
struct os_dir;
struct os_file;
struct os_map;

#define OS_SECTOR_BYTES 512u  /* the disk writes so much whole or not at all */
#define OS_PAGE_BYTES   4096u /* the cache keeps, and msync writes, so much */

/* The system that a program was linked with, when it has only one (the real one). */
struct urn_os *os_default(void);

/* ---- directories --------------------------------------------------------------------------- */

/* Opens an existing directory. ENOENT, ENOTDIR, EACCES ... */
int os_dir_open(struct urn_os *os, const char *path, struct os_dir **dir);

/* Makes one directory (0750); not durable before its parent has been synced. EEXIST ... */
int os_dir_make(struct urn_os *os, const char *path);

/* Makes every create, rename and remove in the directory so far durable. A failure is final. */
int os_dir_sync(struct os_dir *dir);

/* Calls visit for every name in the directory but "." and "..", in no order. A visit that returns
 * nonzero ends the walk, and that value is returned. */
int os_dir_list(struct os_dir *dir, int (*visit)(void *context, const char *name), void *context);

void os_dir_close(struct os_dir *dir);

/* Takes the exclusive lock that the file name stands for, until the file is closed or the process
 * ends. create: make the file if it is not there. The process id is written into it, for people.
 * Who shares the lock for a moment, to see whether anybody has it, is waited for, up to a second.
 * EWOULDBLOCK: another process has it. ENOENT: not there and not create. */
int os_dir_lock(struct os_dir *dir, const char *name, bool create, struct os_file **lock);

/* Renames within the directory, replacing the target; atomic; durable after os_dir_sync. */
int os_rename(struct os_dir *dir, const char *from, const char *to);

int os_remove(struct os_dir *dir, const char *name);

/* ---- files --------------------------------------------------------------------------------- */

enum os_open_mode {
    OS_READ,          /* must exist */
    OS_WRITE,         /* must exist; read and write */
    OS_CREATE,        /* must not exist (EEXIST); read and write, mode 0640 */
    OS_CREATE_DIRECT, /* the same, past the page cache where the file system can: memory, lengths and
                         offsets are then whole pages */
};

/* A file is opened for reading in small random pieces: no read-ahead, which would leave large
 * folios in the cache under the log (docs/wal-format.md, "Traps"). Several threads may open files of one
 * directory at once. */
int os_file_open(struct os_dir *dir, const char *name, enum os_open_mode mode,
                 struct os_file **file);

int os_file_size(struct os_file *file, uint64_t *size_bytes);

/* Reserves disk space for the whole length, so that later writes cannot lack it. ENOSPC ... */
int os_file_allocate(struct os_file *file, uint64_t length_bytes);

/* Reads or writes at offset. May do less than asked (*done_bytes; 0 from a read is the end of the
 * file) or fail; file_io.h has the loops. EIO: the sector cannot be read. */
int os_file_read(struct os_file *file, void *to, size_t length_bytes, uint64_t offset,
                 size_t *done_bytes);
int os_file_write(struct os_file *file, const void *from, size_t length_bytes, uint64_t offset,
                  size_t *done_bytes);

/* Makes what was written so far durable, and the file's size. A failure is final: the cache may
 * then hold bytes that look clean and are not on the disk, so never call it again and believe it.
 */
int os_file_sync(struct os_file *file);

/* Forgets clean cached pages, so that the next reads come from the disk itself. */
int os_file_drop_cache(struct os_file *file);

/* Begins to read a part of the file into the cache, and does not wait for it. Advice only: failures are of
 * no consequence. */
void os_file_prefetch(struct os_file *file, uint64_t offset, uint64_t length_bytes);

void os_file_close(struct os_file *file);

/* ---- several reads and writes under way ------------------------------------------------------- */

struct os_io;

enum os_io_kind {
    OS_IO_BEST,  /* io_uring; plain where it is refused, as containers often do */
    OS_IO_URING, /* that or an error */
    OS_IO_PLAIN, /* each read and write is done when it is begun */
};

enum os_io_what { OS_IO_READ, OS_IO_WRITE };

/* What has come of one of them. */
struct os_io_done {
    uint32_t buffer;
    int error;           /* 0: done_bytes were read or written, perhaps less than asked */
    uint32_t done_bytes; /* 0 from a read is the end of the file */
};

/* memory: buffer_count buffers of buffer_bytes, whole pages, one after the other; the caller's, and there
 * until os_io_free. ENOSYS, EPERM ...: OS_IO_URING is refused. One thread at a time. */
int os_io_make(struct urn_os *os, enum os_io_kind wanted, void *memory, uint32_t buffer_bytes,
               uint32_t buffer_count, struct os_io **io);

/* OS_IO_URING or OS_IO_PLAIN. Any thread. */
enum os_io_kind os_io_kind(const struct os_io *io);

/* Begins to read or write length_bytes at offset, from skip_bytes inside the buffer on, which must have
 * nothing under way and is not touched until it has ended. What a write has done is not durable before
 * os_file_sync. The file stays open until it has ended. */
void os_io_begin(struct os_io *io, struct os_file *file, enum os_io_what what, uint32_t buffer,
                 uint32_t skip_bytes, uint32_t length_bytes, uint64_t offset);

/* Takes one that has ended, in any order; false: none has. wait: waits for one if any is under way. */
bool os_io_end(struct os_io *io, bool wait, struct os_io_done *done);

/* io may be NULL. Nothing may be under way, but in the simulation of a crash. */
void os_io_free(struct os_io *io);

/* ---- the log's mapping --------------------------------------------------------------------- */

/* Maps an existing file of exactly length_bytes (EINVAL otherwise), shared and writable. */
int os_map_open(struct os_dir *dir, const char *name, uint64_t length_bytes, struct os_map **map);

/* Copies into the mapping; also while another thread syncs it. EIO: the system could not back the page (an I/O error, a file cut short,
 * no space): what is there now is unknown, and the log has failed. */
int os_map_write(struct os_map *map, uint64_t offset, const void *from, size_t length_bytes);

/* A sync of a range of one mapping. It has a begin and an end, and only bytes that were there at
 * its begin are certain to be on the disk at its end. */
struct os_sync {
    struct os_map *map;
    uint64_t offset;
    uint64_t length_bytes;
};

/* begin notes the range (rounded out to pages); end blocks until it is durable (real: the msync
 * itself) and fails for good: a failed sync is never tried again. One sync of a mapping at a time;
 * each begin has exactly one end. */
void os_map_sync_begin(struct os_map *map, uint64_t offset, uint64_t length_bytes,
                       struct os_sync *sync);
int os_map_sync_end(struct os_sync *sync);

/* Brings pages of the mapping into memory without making them dirty. Slow; any thread, also while
 * another one writes. Advice only: failures are of no consequence. */
void os_map_populate(struct os_map *map, uint64_t offset, uint64_t length_bytes);

void os_map_close(struct os_map *map);

/* ---- clocks and randomness ----------------------------------------------------------------- */

uint64_t os_monotonic_ns(struct urn_os *os);
uint64_t os_wall_us(struct urn_os *os); /* since 1970, UTC; may jump either way */

/* Fills the buffer with bytes fit for cryptography. Never fails: a system without randomness is
 * stopped. One thread at a time. */
void os_random(struct urn_os *os, void *to, size_t length_bytes);

#endif
