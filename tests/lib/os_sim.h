/* os_sim.h: the simulated system: engine/os.h over a world in memory that crashes, tears, fails and
 * lies on request, and does the same again for the same seed.
 *
 * THE FAULT MODEL
 *
 * Bytes
 *  1. The disk is written in sectors of 512 bytes; a sector is written whole or not at all.
 *  2. Written bytes go to a cache that every process reads. An unsynced sector may after a
 *     machine crash hold anything written to it since its last sync, or what that sync left; each
 *     sector for itself.
 *  3. A sync has a begin and an end. What a sector held at the begin is certain once the end has
 *     succeeded; what came in between is unsynced still.
 *  4. Writing the bytes again that a sector holds already is safe: there is nothing new for it to
 *     be.
 *  5. A copy into a mapping takes time: write-back may catch a sector while a part of it is
 *     copied.
 *  6. A sync that fails (EIO) has no certainty to offer: the cached bytes stay readable and look
 *     clean, so that later syncs pass them by and succeed, and they are not on the disk: each
 *     sector is one of its versions, nobody knows which, until it is written again and then
 *     synced. When the cache is dropped, the reader sees which.
 *  7. A file's size is like a sector: until a sync, a machine crash leaves any size it had since
 *     the last one. Space never written reads as zeroes.
 *
 * Names
 *  8. Creating, renaming and removing is certain once the directory has been synced. Until then a
 *     machine crash keeps or loses it; of operations on one name a later one is never kept
 *     without the earlier ones; names are independent of each other. A rename may come back with
 *     both names, never with neither.
 *  9. A directory sync that fails stops the file system, as journals do: nothing can be changed
 *     or synced any more (EROFS, EIO) until the machine has restarted, and names are as uncertain
 *     as before.
 *
 * Crashes
 * 10. A process crash keeps the cache (still unsynced), a machine crash does not. Either releases
 *     locks. The call that crashes and all later ones of that process fail and change nothing,
 *     but that a copy or a write may die in its middle (SIM_CRASH_AMID).
 * 11. The monotonic clock begins anew when the machine does.
 *
 * Calls
 * 12. Any call may fail, with an error that it can have. Reads and writes may do less than asked; past the
 *     cache (OS_CREATE_DIRECT) by whole pages, and they are of whole pages.
 * 13. A sync may be late: any call may come between its begin and its end. Clocks jump.
 * 14. A copy into a mapping may fault (EIO stands for SIGBUS) with any part copied. It does so
 *     where the file was cut short or the page cannot be read.
 * 15. The disk has a capacity; allocation and growth beyond it fail (ENOSPC).
 * 16. Reads and writes begun together end in any order, and late. Of a write that has begun and not
 *     ended any part may have arrived. They are short by whole pages. The calls that begin never fail; the ends then do.
 * 17. A disk lies: a file's sync succeeds, and each sector is one of its versions all the same, which
 *     is seen when the cache is dropped (sim_lie_at).
 *
 * Decay
 * 18. Synced bits flip; sectors become unreadable (EIO) until they are written anew; files are
 *     lost or cut short.
 *
 * Calls may be made by any thread; everything below by one thread while no other makes calls.
 */
#ifndef URN_TESTS_OS_SIM_H
#define URN_TESTS_OS_SIM_H

#include <stdio.h>

#include "engine/os.h"

#define SIM_EVENT_NAME 128u

struct sim_world;

/* A world with an empty root directory and one process. */
struct sim_world *sim_world_make(uint64_t seed);

/* All handles must have been closed. world may be NULL. */
void sim_world_free(struct sim_world *world);

/* A world whose disk, cache and unsynced things are those of this one; its clocks too. No process
 * of world lives in it (call sim_restart first), nor does an armed fault. The seed decides its
 * luck. */
struct sim_world *sim_world_clone(struct sim_world *world, uint64_t seed);

/* The present process's system: what goes into urn_engine_config.os. */
struct urn_os *sim_os(struct sim_world *world);

/* A second process beside the present one, which stays what sim_os() returns. */
struct urn_os *sim_other_process(struct sim_world *world);

/* What os_default() returns; NULL at first. */
void sim_set_default(struct urn_os *os);

/* ---- crashes --------------------------------------------------------------------------------- */

enum sim_crash {
    SIM_NO_CRASH,
    SIM_CRASH_PROCESS,
    SIM_CRASH_MACHINE,
};

enum sim_moment {
    SIM_CRASH_BEFORE, /* the call has no effect */
    SIM_CRASH_AMID,   /* a copy or write has an effect in part; others have none */
};

/* The nth counted call from now on (1: the next) crashes. Replaces what was armed. */
void sim_crash_at(struct sim_world *world, uint64_t nth, enum sim_crash kind,
                  enum sim_moment moment);
void sim_crash_now(struct sim_world *world, enum sim_crash kind);

/* True after a failed directory sync, until the machine restarts. */
bool sim_is_stopped(const struct sim_world *world);

/* What has happened to the present process since it began. */
enum sim_crash sim_crashed(const struct sim_world *world);

/* Ends every process as a crash of the process would, lets the machine crash if one is due, disarms
 * everything and begins a process, which is returned. */
struct urn_os *sim_restart(struct sim_world *world);

/* ---- calls and faults ------------------------------------------------------------------------ */

/* Counted calls, and the errors that each can have. */
#define SIM_CALL_TABLE(ROW)                                                                        \
    ROW(DIR_OPEN, "dir_open", EMFILE, EACCES, EIO)                                                 \
    ROW(DIR_MAKE, "dir_make", ENOSPC, EACCES, EIO)                                                 \
    ROW(DIR_SYNC, "dir_sync", EIO, ENOSPC, EIO)                                                    \
    ROW(DIR_LIST, "dir_list", EIO, EIO, EIO)                                                       \
    ROW(DIR_LOCK, "dir_lock", EMFILE, EACCES, ENOSPC)                                              \
    ROW(RENAME, "rename", ENOSPC, EACCES, EIO)                                                     \
    ROW(REMOVE, "remove", EACCES, EIO, EIO)                                                        \
    ROW(FILE_OPEN, "file_open", EMFILE, EACCES, EIO)                                               \
    ROW(FILE_CREATE, "file_create", EMFILE, ENOSPC, EACCES)                                        \
    ROW(FILE_SIZE, "file_size", EIO, EIO, EIO)                                                     \
    ROW(FILE_ALLOCATE, "file_allocate", ENOSPC, EIO, ENOSPC)                                       \
    ROW(FILE_READ, "file_read", EIO, EIO, EIO)                                                     \
    ROW(FILE_WRITE, "file_write", ENOSPC, EIO, EIO)                                                \
    ROW(FILE_SYNC, "file_sync", EIO, ENOSPC, EIO)                                                  \
    ROW(FILE_DROP_CACHE, "file_drop_cache", EIO, EIO, EIO)                                         \
    ROW(IO_BEGIN, "io_begin", EIO, EIO, EIO)                                                       \
    ROW(IO_END, "io_end", ENOSPC, EIO, EIO)                                                        \
    ROW(MAP_OPEN, "map_open", EMFILE, ENOMEM, EACCES)                                              \
    ROW(MAP_WRITE, "map_write", EIO, EIO, EIO)                                                     \
    ROW(MAP_SYNC_BEGIN, "map_sync_begin", EIO, EIO, EIO)                                           \
    ROW(MAP_SYNC_END, "map_sync_end", EIO, EIO, EIO)

enum sim_call {
#define ROW(symbol, text, error_a, error_b, error_c) SIM_##symbol,
    SIM_CALL_TABLE(ROW)
#undef ROW
        SIM_CALL_COUNT
};
#define SIM_ANY_CALL SIM_CALL_COUNT

const char *sim_call_text(enum sim_call call);

/* Calls counted since the world was made. */
uint64_t sim_calls(const struct sim_world *world);
uint64_t sim_calls_of(const struct sim_world *world, enum sim_call call);

/* The nth counted call of this kind from now on fails: with this errno, or one that fits if it is
 * 0. A sync's begin cannot fail; its end then does. Replaces what was armed. */
void sim_fail_at(struct sim_world *world, enum sim_call call, uint64_t nth, int error);

/* The nth read or write from now on does less than asked. */
void sim_short_at(struct sim_world *world, uint64_t nth);

/* The nth sync of a file from now on says that it succeeded and did not. Replaces what was armed. 0:
 * none. */
void sim_lie_at(struct sim_world *world, uint64_t nth);

/* At random: one call in so many fails; one read or write in so many is short. 0: never. */
void sim_set_fault_rates(struct sim_world *world, uint64_t fail_one_in, uint64_t short_one_in);

/* The last call to which something armed (or random) happened; a short one hides no failed one. */
struct sim_event {
    enum sim_call call;
    uint64_t number;           /* as sim_calls counts; 0: nothing has happened */
    char name[SIM_EVENT_NAME]; /* the file's, within its directory */
    uint64_t offset, length_bytes;
    int error; /* 0: short */
    enum sim_crash crash;
};

/* What happened since the process began (or since the last sim_event_forget). */
const struct sim_event *sim_last_event(const struct sim_world *world);
void sim_event_forget(struct sim_world *world);

/* Every counted call goes here before anything is decided about it. The observer may make calls
 * itself, as another process; it is then called for those too. NULL: nowhere. */
typedef void (*sim_observer)(void *context, const struct sim_event *call);
void sim_set_observer(struct sim_world *world, sim_observer observer, void *context);

/* While it is set, nothing armed or random happens to a call, and none is counted or takes time: somebody
 * looks at what runs, and must not change its luck. */
void sim_set_quiet(struct sim_world *world, bool quiet);

/* Handles that the present and former processes have not closed. */
uint64_t sim_open_handles(const struct sim_world *world);

/* ---- disk, clocks, randomness ---------------------------------------------------------------- */

void sim_set_capacity(struct sim_world *world, uint64_t bytes); /* UINT64_MAX at first */
uint64_t sim_used_bytes(const struct sim_world *world);

/* Both clocks go on. Each counted call lets 1 us pass by itself. */
void sim_advance(struct sim_world *world, uint64_t nanoseconds);
void sim_jump_wall_clock(struct sim_world *world, int64_t microseconds);

/* From here on the monotonic clock is the one by which threads sleep, CLOCK_MONOTONIC: by the other they
 * would find each of their deadlines in the past, and never sleep. Until the machine crashes; sim_advance
 * is not for such a world. */
void sim_use_real_clock(struct sim_world *world);

/* os_random() gives these bytes first (they are copied), then goes on by the seed. */
void sim_feed_random(struct sim_world *world, const void *bytes, size_t length_bytes);

/* ---- looking and damaging -------------------------------------------------------------------- */

/* Paths from the root. These see what a process would see, count nothing and never fail but by
 * false (no such file, or beyond its end, or unreadable). */
bool sim_file_exists(const struct sim_world *world, const char *path);
bool sim_file_size(const struct sim_world *world, const char *path, uint64_t *size_bytes);
bool sim_file_bytes(const struct sim_world *world, const char *path, uint64_t offset, void *to,
                    size_t length_bytes);
uint32_t sim_list(const struct sim_world *world, const char *path,
                  void (*visit)(void *context, const char *name), void *context);

/* How many sectors, sizes and names a machine crash might change. */
uint64_t sim_unsynced(const struct sim_world *world);

/* Of every name and byte that a process would see. */
uint64_t sim_hash(const struct sim_world *world);

/* All false when there is no such file, or the place lies beyond its end. They change the disk, and
 * the cache where it held nothing newer. */
bool sim_flip_bit(struct sim_world *world, const char *path, uint64_t offset, unsigned bit);
bool sim_overwrite(struct sim_world *world, const char *path, uint64_t offset, const void *bytes,
                   size_t length_bytes);
bool sim_set_unreadable(struct sim_world *world, const char *path, uint64_t offset);
bool sim_truncate(struct sim_world *world, const char *path, uint64_t length_bytes);
bool sim_lose_file(struct sim_world *world, const char *path);

#endif
