/* log_how.c: see log_how.h. Called by one thread at a time, as the seam's maps are. */
#include "bench/log_how.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "bench/bench.h"
#include "engine/os.h"

#define FILES_MAX 64

static enum log_how log_how;
static const char *log_dir;
static struct {
    const struct os_map *map;
    int fd;
} files[FILES_MAX];

void log_how_use(enum log_how how, const char *data_dir)
{
    log_how = how;
    log_dir = data_dir;
}

/* ---- between the engine and the system ------------------------------------------------------ */

/* The linker's names: __real_ is the system's function, __wrap_ what the engine calls instead. */
int __real_os_map_open(struct os_dir *dir, const char *name, uint64_t length_bytes,
                       struct os_map **map);
int __real_os_map_write(struct os_map *map, uint64_t offset, const void *from, size_t length_bytes);
int __real_os_map_sync_end(struct os_sync *sync);
void __real_os_map_close(struct os_map *map);
int __wrap_os_map_open(struct os_dir *dir, const char *name, uint64_t length_bytes,
                       struct os_map **map);
int __wrap_os_map_write(struct os_map *map, uint64_t offset, const void *from, size_t length_bytes);
int __wrap_os_map_sync_end(struct os_sync *sync);
void __wrap_os_map_close(struct os_map *map);

static int place_of(const struct os_map *map)
{
    int place = 0;
    while (files[place].map != map)
        bench_require(++place < FILES_MAX, "a mapping that was opened");
    return place;
}

int __wrap_os_map_open(struct os_dir *dir, const char *name, uint64_t length_bytes,
                       struct os_map **map)
{
    char path[4096];
    int failed = __real_os_map_open(dir, name, length_bytes, map);
    if (failed != 0 || log_how != LOG_PWRITE)
        return failed;
    int place = place_of(NULL);
    snprintf(path, sizeof path, "%s/%s", log_dir, name);
    files[place].map = *map;
    files[place].fd = open(path, O_WRONLY | O_CLOEXEC);
    bench_require(files[place].fd >= 0, "open a segment");
    return 0;
}

int __wrap_os_map_write(struct os_map *map, uint64_t offset, const void *from, size_t length_bytes)
{
    if (log_how == LOG_NONE)
        return 0;
    if (log_how == LOG_MMAP)
        return __real_os_map_write(map, offset, from, length_bytes);
    ssize_t written = pwrite(files[place_of(map)].fd, from, length_bytes, (off_t)offset);
    return written == (ssize_t)length_bytes ? 0 : EIO;
}

int __wrap_os_map_sync_end(struct os_sync *sync)
{
    if (log_how == LOG_NONE)
        return 0;
    if (log_how == LOG_MMAP)
        return __real_os_map_sync_end(sync);
    return fdatasync(files[place_of(sync->map)].fd) == 0 ? 0 : errno;
}

void __wrap_os_map_close(struct os_map *map)
{
    if (log_how == LOG_PWRITE) {
        int place = place_of(map);
        close(files[place].fd);
        files[place].map = NULL;
    }
    __real_os_map_close(map);
}
