/* slow_msync.c: makes one msync slow on request, in a server that was started with it preloaded.
 *
 * If the file that URN_SLOW_MSYNC names exists, msync removes it and takes a second longer. A signal that the
 * thread handles meanwhile ends it with EINTR, as it does on file systems whose waits can be interrupted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int msync(void *address, size_t length, int flags)
{
    static int (*real)(void *, size_t, int);
    const struct timespec second = {.tv_sec = 1};
    const char *trigger = getenv("URN_SLOW_MSYNC");
    if (trigger != NULL && unlink(trigger) == 0 && nanosleep(&second, NULL) != 0) {
        errno = EINTR;
        return -1;
    }
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "msync");
    return real(address, length, flags);
}
