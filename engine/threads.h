/* threads.h: the engine's threads: thin shells around its steps.
 *
 *   writer    runs writer_step; when nothing else waits it runs the commit step itself, which saves a
 *             lone request two hand-overs; sleeps when there is nothing to do, and then its turn may be
 *             done by who submits (urn_work_here), which saves two more
 *   commit    runs the commit step when the writer has more to stage meanwhile
 *   sync      only in modes interval and os: makes durable what has been copied, when that is due
 *   snapshot  runs the snapshot task's steps
 *   lookup    answers lookups
 *   past      only where there is an archive: answers lookups of what the ring has forgotten
 *   archive   likewise: runs the archive task's steps
 *   populate  brings the ring's pages into memory while requests are served: all of them after a start, from
 *             the log's end on; later those of the next segment whenever the log enters one
 *
 * Nobody spins: a thread without work waits on its semaphore.
 *
 * The two of the archive may be kept by it for as long as that likes. A stop waits for them for a while,
 * then leaves them behind: they are the only ones that may outlive threads_stop (engine.archive_hangs).
 */
#ifndef URN_ENGINE_THREADS_H
#define URN_ENGINE_THREADS_H

#include "engine/engine.h"

/* Starts them. On failure none is left. Errors: URN_NOMEMORY. */
enum urn_code threads_start(struct urn_engine *engine, struct urn_error *error);

/* After engine_ask_stop: waits until the writer is done, and joins them all, but those that the archive keeps
 * longer than engine.stop_patience_ns: then engine.archive_hangs is set, nothing that they use may ever be freed,
 * and they tell nobody of what they come to. */
void threads_stop(struct urn_engine *engine);

/* Frees what is left of them; until then a late urn_submit may still try to wake the writer. */
void threads_free(struct urn_engine *engine);

/* The snapshot task has something to do. Without threads: nothing. Any thread. */
void threads_wake_snapshot(struct urn_engine *engine);

/* The archive task may have something to do. Likewise. */
void threads_wake_archive(struct urn_engine *engine);

/* Something has been copied, or is wanted, that the sync thread has to do with. Likewise. */
void threads_wake_sync(struct urn_engine *engine);

/* The log has come into a new segment: the next one is brought into memory. Likewise. */
void threads_wake_populate(struct urn_engine *engine);

/* First LSN of the segment that is to be in memory before the log comes there. Any thread. */
uint64_t threads_populate_lsn(const struct urn_engine *engine);

/* A lookup has come. Likewise. */
void threads_wake_lookup(struct urn_engine *engine);

/* A lookup of what the ring has forgotten has come. Likewise. */
void threads_wake_past(struct urn_engine *engine);

/* Something new is in the inbox. Without threads: nothing. Any thread. */
void threads_wake_writer(struct urn_engine *engine);

/* Likewise; and if the writer sleeps and the commit thread rests, the calling thread does the writer's work:
 * steps, and the commit of the groups that they close, syncs included. False: it did not, and the writer has not
 * been woken. */
bool threads_lend(struct urn_engine *engine);

#endif
