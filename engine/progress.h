/* progress.h: how far something long has come, for a person who waits for it.
 *
 * Told now and then, on the thread that does it, by what may take seconds: reading a log, writing a ring. A
 * server has nobody who waits.
 */
#ifndef URN_ENGINE_PROGRESS_H
#define URN_ENGINE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

struct progress {
    /* what: "reading the log", a constant; NULL: the line is wanted for something else. all_bytes: 0 where it is
     * not known, or nothing is counted. */
    void (*tell)(void *context, const char *what, uint64_t done_bytes, uint64_t all_bytes);
    void *context;
};

/* progress may be NULL: nobody waits. */
static inline void progress_tell(const struct progress *progress, const char *what,
                                 uint64_t done_bytes, uint64_t all_bytes)
{
    if (progress != NULL)
        progress->tell(progress->context, what, done_bytes, all_bytes);
}

#endif
