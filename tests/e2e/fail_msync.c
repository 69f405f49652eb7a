/* fail_msync.c: makes msync fail on request, in a server that was started with it preloaded.
 *
 * As long as the file that URN_FAIL_MSYNC names exists, msync fails with EIO without syncing
 * anything, as a dying disk makes it. No clock and no counter: the test says when.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

int msync(void *address, size_t length, int flags)
{
    static int (*real)(void *, size_t, int);
    const char *trigger = getenv("URN_FAIL_MSYNC");
    if (trigger != NULL && access(trigger, F_OK) == 0) {
        errno = EIO;
        return -1;
    }
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "msync");
    return real(address, length, flags);
}
