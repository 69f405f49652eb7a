/* in_use.c: asks the lock of a data directory, and leaves it as it was.
 *
 * The server holds LOCK exclusively. A shared lock that is not granted says so; one that is granted
 * is given back at once. It is taken for microseconds through a descriptor that cannot write, so
 * that nothing changes in the directory, and beside any number of other readers.
 */
#include "tools/urn_wal/in_use.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/data_dir.h"

bool data_dir_in_use(void *context, const char *path)
{
    (void)context;
    const int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return false;
    const int lock = openat(dir, DATA_DIR_LOCK, O_RDONLY | O_CLOEXEC);
    (void)close(dir);
    if (lock < 0)
        return false;
    const bool in_use = flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    (void)close(lock);
    return in_use;
}
