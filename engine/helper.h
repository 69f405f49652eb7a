/* helper.h: one more thread for the length of a start.
 *
 * It does one job at a time, given by the one thread that made it. A job is pure, or uses of the seam
 * only what any thread may use at any time (opening and reading files, and dropping them from the cache).
 * Where there is no helper, jobs are done by whoever gives them, at once: so the same code runs with one
 * thread (the simulator, the tools, a system without a thread to spare) and with two.
 */
#ifndef URN_ENGINE_HELPER_H
#define URN_ENGINE_HELPER_H

#include <stdbool.h>

struct helper; /* NULL: none; all functions take it */

/* NULL when the system gives no memory or no thread. */
struct helper *helper_make(void);

/* The last job must have been waited for. */
void helper_free(struct helper *helper);

typedef void (*helper_job)(void *context);

/* Begins a job; the one before must have been waited for. */
void helper_begin(struct helper *helper, helper_job job, void *context);

/* Whether the job that was begun last is still under way. */
bool helper_is_busy(struct helper *helper);

/* Waits until the job that was begun last is done, if there is one. */
void helper_wait(struct helper *helper);

#endif
