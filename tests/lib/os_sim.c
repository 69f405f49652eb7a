/* os_sim.c: the simulated side of the seam: processes, handles, clocks, and who fails when. What
 * the disk does is in sim_disk.c; the model is stated in os_sim.h. */
#include "tests/lib/os_sim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/bytes.h"
#include "engine/check.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_random.h"

#define WORLD_MAGIC      0x574f5244u
#define PROCESS_MAGIC    0x50524f43u
#define CALL_COST_NS     1000u
#define FIRST_WALL_US    1750000000000000u /* some day in 2025 */
#define PROCESS_ID_BYTES 16u

/* One process: what the engine knows as its system. Lives as long as the world, since a dead
 * process's engine still unwinds through it. */
struct urn_os {
    uint32_t magic;
    struct sim_world *world;
    struct urn_os *next;
    uint32_t number; /* its process id */
    enum sim_crash crashed;
    bool ended; /* by a restart */
};

/* What is to happen at a call that is still to come. */
struct armed {
    uint64_t calls_left; /* 0: nothing */
    enum sim_call call;  /* or SIM_ANY_CALL */
    int error;
    enum sim_crash crash;
    enum sim_moment moment;
    bool is_short;
};

struct sim_world {
    uint32_t magic;
    pthread_mutex_t mutex;
    struct sim_disk *disk;
    struct urn_os *processes; /* newest first */
    struct urn_os *present;
    uint64_t handles;
    bool machine_crash_due;
    bool stopped; /* the file system, by a failed directory sync */

    /* A stream each, so that a fault changes nobody's luck but its own. */
    struct sim_random fault_luck, crash_luck, engine_luck, io_luck;
    uint8_t *fed;
    size_t fed_bytes, fed_used;

    uint64_t capacity_bytes;
    uint64_t monotonic_ns; /* meaningless while the real clock is used */
    uint64_t wall_us;
    bool uses_real_clock;

    uint64_t calls, calls_of[SIM_CALL_COUNT];
    struct armed crash, failure;
    uint64_t fail_one_in, short_one_in;
    uint64_t syncs_until_lie; /* 0: none lies */
    bool quiet;
    struct sim_event event;
    sim_observer observer;
    void *observer_context;
};

struct os_dir {
    struct urn_os *process;
    struct sim_node *node;
};

struct os_file {
    struct urn_os *process;
    struct sim_node *node;
    char name[SIM_EVENT_NAME];
    bool writable;
    bool direct; /* past the cache */
};

struct os_map {
    struct urn_os *process;
    struct sim_node *node;
    char name[SIM_EVENT_NAME];
    uint64_t length_bytes;
    struct sim_flight flight;
    bool syncing;
    bool sync_doomed; /* something armed fell on its begin */
};

_Static_assert((unsigned)SIM_EVENT_NAME == SIM_NAME_BYTES, "an event holds any file's name");

static const struct {
    const char *text;
    int errors[3];
} call_table[SIM_CALL_COUNT] = {
#define ROW(symbol, text, error_a, error_b, error_c)                                               \
    [SIM_##symbol] = {text, {error_a, error_b, error_c}},
    SIM_CALL_TABLE(ROW)
#undef ROW
};

static struct urn_os *default_os;

/* ---- the world ------------------------------------------------------------------------------- */

static void world_check(const struct sim_world *world)
{
    CHECK(world != NULL && world->magic == WORLD_MAGIC);
}

static struct urn_os *process_make(struct sim_world *world)
{
    struct urn_os *process = calloc(1, sizeof *process);
    CHECK(process != NULL);
    process->magic = PROCESS_MAGIC;
    process->world = world;
    process->number = world->processes == NULL ? 1 : world->processes->number + 1;
    process->next = world->processes;
    world->processes = process;
    return process;
}

static void world_seed(struct sim_world *world, uint64_t seed)
{
    world->fault_luck = sim_random_stream(seed, 0);
    world->crash_luck = sim_random_stream(seed, 1);
    world->engine_luck = sim_random_stream(seed, 2);
    world->io_luck = sim_random_stream(seed, 3);
}

static struct sim_world *world_make(struct sim_disk *disk, uint64_t seed)
{
    struct sim_world *world = calloc(1, sizeof *world);
    CHECK(world != NULL);
    CHECK(pthread_mutex_init(&world->mutex, NULL) == 0);
    world->magic = WORLD_MAGIC;
    world->disk = disk;
    world->capacity_bytes = UINT64_MAX;
    world_seed(world, seed);
    world->monotonic_ns = 1000000000u;
    world->wall_us = FIRST_WALL_US;
    world->present = process_make(world);
    return world;
}

struct sim_world *sim_world_make(uint64_t seed)
{
    return world_make(sim_disk_make(), seed);
}

void sim_world_free(struct sim_world *world)
{
    if (world == NULL)
        return;
    world_check(world);
    CHECK(world->handles == 0);
    while (world->processes != NULL) {
        struct urn_os *next = world->processes->next;
        if (world->processes == default_os)
            default_os = NULL;
        free(world->processes);
        world->processes = next;
    }
    sim_disk_free(world->disk);
    CHECK(pthread_mutex_destroy(&world->mutex) == 0);
    free(world->fed);
    world->magic = 0;
    free(world);
}

struct sim_world *sim_world_clone(struct sim_world *world, uint64_t seed)
{
    world_check(world);
    struct sim_world *clone = world_make(sim_disk_clone(world->disk), seed);
    clone->capacity_bytes = world->capacity_bytes;
    clone->monotonic_ns = world->monotonic_ns;
    clone->wall_us = world->wall_us;
    clone->machine_crash_due = world->machine_crash_due;
    clone->stopped = world->stopped;
    return clone;
}

struct urn_os *sim_os(struct sim_world *world)
{
    world_check(world);
    return world->present;
}

struct urn_os *sim_other_process(struct sim_world *world)
{
    world_check(world);
    return process_make(world);
}

void sim_set_default(struct urn_os *os)
{
    default_os = os;
}

struct urn_os *os_default(void)
{
    return default_os;
}

uint64_t sim_open_handles(const struct sim_world *world)
{
    world_check(world);
    return world->handles;
}

/* ---- crashes --------------------------------------------------------------------------------- */

void sim_crash_at(struct sim_world *world, uint64_t nth, enum sim_crash kind,
                  enum sim_moment moment)
{
    world_check(world);
    CHECK(nth > 0 && kind != SIM_NO_CRASH);
    world->crash = (struct armed){
        .calls_left = nth, .call = SIM_ANY_CALL, .error = EIO, .crash = kind, .moment = moment};
}

static void crash(struct urn_os *process, enum sim_crash kind)
{
    process->crashed = kind;
    if (kind != SIM_CRASH_MACHINE)
        return;
    process->world->machine_crash_due = true;
    for (struct urn_os *other = process->world->processes; other != NULL; other = other->next)
        if (!other->ended)
            other->crashed = kind;
}

void sim_crash_now(struct sim_world *world, enum sim_crash kind)
{
    world_check(world);
    CHECK(kind != SIM_NO_CRASH);
    crash(world->present, kind);
}

enum sim_crash sim_crashed(const struct sim_world *world)
{
    world_check(world);
    return world->present->crashed;
}

bool sim_is_stopped(const struct sim_world *world)
{
    world_check(world);
    return world->stopped;
}

struct urn_os *sim_restart(struct sim_world *world)
{
    world_check(world);
    for (struct urn_os *process = world->processes; process != NULL; process = process->next)
        process->ended = true;
    sim_disk_collect_garbage(world->disk);
    if (world->machine_crash_due) {
        sim_disk_crash(world->disk, &world->crash_luck);
        sim_disk_collect_garbage(world->disk);
        world->machine_crash_due = false;
        world->stopped = false;
        world->uses_real_clock = false;
        world->monotonic_ns = 1000000u * (1 + sim_random_below(&world->crash_luck, 1000));
    }
    world->crash = (struct armed){0};
    world->failure = (struct armed){0};
    world->syncs_until_lie = 0;
    world->event = (struct sim_event){0};
    world->present = process_make(world);
    return world->present;
}

/* ---- calls: counted, observed, and perhaps struck -------------------------------------------- */

const char *sim_call_text(enum sim_call call)
{
    CHECK((unsigned)call < SIM_CALL_COUNT);
    return call_table[call].text;
}

uint64_t sim_calls(const struct sim_world *world)
{
    world_check(world);
    return world->calls;
}

uint64_t sim_calls_of(const struct sim_world *world, enum sim_call call)
{
    world_check(world);
    CHECK((unsigned)call < SIM_CALL_COUNT);
    return world->calls_of[call];
}

void sim_fail_at(struct sim_world *world, enum sim_call call, uint64_t nth, int error)
{
    world_check(world);
    CHECK(nth > 0 && (unsigned)call <= SIM_ANY_CALL);
    world->failure = (struct armed){.calls_left = nth, .call = call, .error = error};
}

void sim_short_at(struct sim_world *world, uint64_t nth)
{
    world_check(world);
    CHECK(nth > 0);
    world->failure = (struct armed){.calls_left = nth, .call = SIM_ANY_CALL, .is_short = true};
}

void sim_lie_at(struct sim_world *world, uint64_t nth)
{
    world_check(world);
    world->syncs_until_lie = nth;
}

void sim_set_fault_rates(struct sim_world *world, uint64_t fail_one_in, uint64_t short_one_in)
{
    world_check(world);
    world->fail_one_in = fail_one_in;
    world->short_one_in = short_one_in;
}

void sim_set_quiet(struct sim_world *world, bool quiet)
{
    world_check(world);
    world->quiet = quiet;
}

const struct sim_event *sim_last_event(const struct sim_world *world)
{
    world_check(world);
    return &world->event;
}

void sim_event_forget(struct sim_world *world)
{
    world_check(world);
    world->event = (struct sim_event){0};
}

void sim_set_observer(struct sim_world *world, sim_observer observer, void *context)
{
    world_check(world);
    world->observer = observer;
    world->observer_context = context;
}

/* What becomes of one call. */
enum fate {
    FATE_DONE,  /* as it should */
    FATE_SHORT, /* does less than asked */
    FATE_FAIL,  /* returns error; a copy may have done a part, a sync has lost its bytes */
    FATE_AMID,  /* the process dies in the middle: a part is done */
    FATE_DEAD,  /* nothing happens any more */
};

struct verdict {
    enum fate fate;
    int error;
};

static bool can_be_short(enum sim_call call)
{
    return call == SIM_FILE_READ || call == SIM_FILE_WRITE || call == SIM_IO_END;
}

static bool armed_strikes(struct armed *armed, enum sim_call call)
{
    bool wanted = armed->call == SIM_ANY_CALL || armed->call == call;
    if (armed->is_short && !can_be_short(call))
        wanted = false;
    return wanted && armed->calls_left > 0 && --armed->calls_left == 0;
}

static int fitting_error(struct sim_world *world, enum sim_call call)
{
    return call_table[call].errors[sim_random_below(&world->fault_luck, 3)];
}

/* What a file system that has stopped answers; 0: it does what it is asked. */
static int error_of_stopped(enum sim_call call)
{
    switch (call) {
    case SIM_DIR_MAKE:
    case SIM_DIR_LOCK:
    case SIM_RENAME:
    case SIM_REMOVE:
    case SIM_FILE_CREATE:
    case SIM_FILE_ALLOCATE:
    case SIM_FILE_WRITE:
    case SIM_MAP_OPEN:
        return EROFS;
    case SIM_IO_END:
    case SIM_DIR_SYNC:
    case SIM_FILE_SYNC:
    case SIM_MAP_SYNC_END:
        return EIO;
    default:
        return 0;
    }
}

/* Decides by what is armed, then by the rates. */
static struct verdict judge(struct urn_os *process, enum sim_call call)
{
    struct sim_world *world = process->world;
    if (process->crashed != SIM_NO_CRASH || process->ended)
        return (struct verdict){FATE_DEAD, EIO};
    if (world->quiet)
        return (struct verdict){FATE_DONE, 0};
    if (process == world->present && armed_strikes(&world->crash, call)) {
        bool amid = world->crash.moment == SIM_CRASH_AMID &&
                    (call == SIM_FILE_WRITE || call == SIM_MAP_WRITE || call == SIM_IO_END);
        crash(process, world->crash.crash);
        return (struct verdict){amid ? FATE_AMID : FATE_DEAD, EIO};
    }
    if (world->stopped && error_of_stopped(call) != 0)
        return (struct verdict){FATE_FAIL, error_of_stopped(call)};
    if (armed_strikes(&world->failure, call)) {
        if (world->failure.is_short)
            return (struct verdict){FATE_SHORT, 0};
        int error = world->failure.error != 0 ? world->failure.error : fitting_error(world, call);
        return (struct verdict){FATE_FAIL, error};
    }
    if (world->fail_one_in != 0 && sim_random_one_in(&world->fault_luck, world->fail_one_in))
        return (struct verdict){FATE_FAIL, fitting_error(world, call)};
    if (can_be_short(call) && world->short_one_in != 0 &&
        sim_random_one_in(&world->fault_luck, world->short_one_in))
        return (struct verdict){FATE_SHORT, 0};
    return (struct verdict){FATE_DONE, 0};
}

/* Opens every call: the world stays locked until call_ends. The observer comes before the lock, so
 * that it may make calls itself, as another process. */
static struct verdict call_begins(struct urn_os *process, enum sim_call call, const char *name,
                                  uint64_t offset, uint64_t length_bytes)
{
    CHECK(process != NULL && process->magic == PROCESS_MAGIC);
    struct sim_world *world = process->world;
    world_check(world);
    bool counts = process->crashed == SIM_NO_CRASH && !process->ended && !world->quiet;
    struct sim_event event = {.call = call, .offset = offset, .length_bytes = length_bytes};
    memcpy(event.name, name, strnlen(name, sizeof event.name - 1));
    if (counts && world->observer != NULL) {
        CHECK(pthread_mutex_lock(&world->mutex) == 0);
        event.number = world->calls + 1;
        CHECK(pthread_mutex_unlock(&world->mutex) == 0);
        world->observer(world->observer_context, &event);
    }
    CHECK(pthread_mutex_lock(&world->mutex) == 0);
    if (counts) {
        event.number = ++world->calls;
        world->calls_of[call]++;
        world->monotonic_ns += CALL_COST_NS;
        world->wall_us += CALL_COST_NS / 1000;
    }
    struct verdict verdict = judge(process, call);
    bool hides_worse = verdict.fate == FATE_SHORT && world->event.error != 0;
    if (counts && verdict.fate != FATE_DONE && !hides_worse) {
        event.error = verdict.error;
        event.crash = process->crashed;
        world->event = event;
    }
    return verdict;
}

static int call_ends(struct urn_os *process, int result)
{
    CHECK(pthread_mutex_unlock(&process->world->mutex) == 0);
    return result;
}

static bool is_over(struct verdict verdict)
{
    return verdict.fate == FATE_FAIL || verdict.fate == FATE_DEAD;
}

/* ---- directories ----------------------------------------------------------------------------- */

int os_dir_open(struct urn_os *os, const char *path, struct os_dir **dir)
{
    struct verdict verdict = call_begins(os, SIM_DIR_OPEN, path, 0, 0);
    if (is_over(verdict))
        return call_ends(os, verdict.error);
    struct sim_node *node = sim_disk_find(os->world->disk, path);
    if (node == NULL)
        return call_ends(os, ENOENT);
    if (!sim_node_is_directory(node))
        return call_ends(os, ENOTDIR);
    struct os_dir *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->process = os;
    opened->node = node;
    sim_node_open(node);
    os->world->handles++;
    *dir = opened;
    return call_ends(os, 0);
}

static bool has_space(struct sim_world *world, uint64_t more_bytes)
{
    uint64_t used = sim_disk_used_bytes(world->disk);
    return used <= world->capacity_bytes && more_bytes <= world->capacity_bytes - used;
}

int os_dir_make(struct urn_os *os, const char *path)
{
    struct verdict verdict = call_begins(os, SIM_DIR_MAKE, path, 0, 0);
    if (is_over(verdict))
        return call_ends(os, verdict.error);
    char name[SIM_NAME_BYTES];
    struct sim_node *parent = sim_disk_find_parent(os->world->disk, path, name);
    if (parent == NULL)
        return call_ends(os, sim_disk_find(os->world->disk, path) == NULL ? ENOENT : EEXIST);
    if (sim_dir_lookup(parent, name) != NULL)
        return call_ends(os, EEXIST);
    sim_dir_create(os->world->disk, parent, name, true);
    return call_ends(os, 0);
}

int os_dir_sync(struct os_dir *dir)
{
    struct verdict verdict = call_begins(dir->process, SIM_DIR_SYNC, "", 0, 0);
    if (verdict.fate == FATE_FAIL)
        dir->process->world->stopped = true;
    else if (verdict.fate != FATE_DEAD)
        sim_dir_sync(dir->node);
    return call_ends(dir->process, verdict.error);
}

/* A copy of the names, shuffled: visits may change the directory, and must not rely on an order. */
static char (*names_taken(struct sim_world *world, const struct sim_node *dir,
                          uint32_t *count))[SIM_NAME_BYTES]
{
    *count = sim_dir_count(dir);
    char(*names)[SIM_NAME_BYTES] = calloc((size_t)*count + 1, sizeof *names);
    CHECK(names != NULL);
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t j = (uint32_t)sim_random_below(&world->fault_luck, i + 1);
        memcpy(names[i], names[j], sizeof names[i]);
        memcpy(names[j], sim_dir_name(dir, i), strlen(sim_dir_name(dir, i)) + 1);
    }
    return names;
}

int os_dir_list(struct os_dir *dir, int (*visit)(void *context, const char *name), void *context)
{
    struct verdict verdict = call_begins(dir->process, SIM_DIR_LIST, "", 0, 0);
    if (verdict.fate == FATE_DEAD)
        return call_ends(dir->process, verdict.error);
    uint32_t count = 0;
    char(*names)[SIM_NAME_BYTES] = names_taken(dir->process->world, dir->node, &count);
    if (verdict.fate == FATE_FAIL) /* somewhere on the way */
        count = (uint32_t)sim_random_below(&dir->process->world->fault_luck, (uint64_t)count + 1);
    call_ends(dir->process, 0);
    int result = 0;
    for (uint32_t i = 0; i < count && result == 0; i++)
        result = visit(context, names[i]);
    free(names);
    return result != 0 ? result : verdict.error;
}

void os_dir_close(struct os_dir *dir)
{
    if (dir == NULL)
        return;
    struct sim_world *world = dir->process->world;
    CHECK(pthread_mutex_lock(&world->mutex) == 0);
    sim_node_close(dir->node);
    world->handles--;
    CHECK(pthread_mutex_unlock(&world->mutex) == 0);
    free(dir);
}

static struct os_file *file_opened(struct urn_os *process, struct sim_node *node, const char *name,
                                   bool writable)
{
    struct os_file *file = calloc(1, sizeof *file);
    CHECK(file != NULL);
    file->process = process;
    file->node = node;
    file->writable = writable;
    memcpy(file->name, name, strlen(name) + 1);
    sim_node_open(node);
    process->world->handles++;
    return file;
}

/* A holder is an open file; one whose process is gone holds nothing. */
static bool lock_is_held(const struct sim_node *node)
{
    const struct os_file *holder = sim_node_lock_holder(node);
    return holder != NULL && holder->process->crashed == SIM_NO_CRASH && !holder->process->ended;
}

int os_dir_lock(struct os_dir *dir, const char *name, bool create, struct os_file **lock)
{
    struct urn_os *process = dir->process;
    struct verdict verdict = call_begins(process, SIM_DIR_LOCK, name, 0, 0);
    if (is_over(verdict))
        return call_ends(process, verdict.error);
    if (strlen(name) >= SIM_NAME_BYTES)
        return call_ends(process, ENAMETOOLONG);
    struct sim_node *node = sim_dir_lookup(dir->node, name);
    if (node == NULL && !create)
        return call_ends(process, ENOENT);
    if (node != NULL && sim_node_is_directory(node))
        return call_ends(process, EISDIR);
    if (node == NULL && !has_space(process->world, OS_PAGE_BYTES))
        return call_ends(process, ENOSPC);
    if (node != NULL && lock_is_held(node))
        return call_ends(process, EWOULDBLOCK);
    if (node == NULL)
        node = sim_dir_create(process->world->disk, dir->node, name, false);
    struct os_file *file = file_opened(process, node, name, true);
    sim_node_set_lock_holder(node, file);
    char text[PROCESS_ID_BYTES];
    int length = snprintf(text, sizeof text, "%u\n", process->number);
    sim_file_write(node, text, (uint64_t)length, 0, NULL);
    *lock = file;
    return call_ends(process, 0);
}

int os_rename(struct os_dir *dir, const char *from, const char *to)
{
    struct verdict verdict = call_begins(dir->process, SIM_RENAME, to, 0, 0);
    if (is_over(verdict))
        return call_ends(dir->process, verdict.error);
    if (strlen(to) >= SIM_NAME_BYTES)
        return call_ends(dir->process, ENAMETOOLONG);
    if (sim_dir_lookup(dir->node, from) == NULL)
        return call_ends(dir->process, ENOENT);
    sim_dir_rename(dir->node, from, to);
    return call_ends(dir->process, 0);
}

int os_remove(struct os_dir *dir, const char *name)
{
    struct verdict verdict = call_begins(dir->process, SIM_REMOVE, name, 0, 0);
    if (is_over(verdict))
        return call_ends(dir->process, verdict.error);
    struct sim_node *node = sim_dir_lookup(dir->node, name);
    if (node == NULL)
        return call_ends(dir->process, ENOENT);
    if (sim_node_is_directory(node))
        return call_ends(dir->process, EISDIR);
    sim_dir_unlink(dir->node, name);
    return call_ends(dir->process, 0);
}

/* ---- files ----------------------------------------------------------------------------------- */

int os_file_open(struct os_dir *dir, const char *name, enum os_open_mode mode,
                 struct os_file **file)
{
    struct urn_os *process = dir->process;
    bool create = mode != OS_READ && mode != OS_WRITE;
    enum sim_call call = create ? SIM_FILE_CREATE : SIM_FILE_OPEN;
    struct verdict verdict = call_begins(process, call, name, 0, 0);
    if (is_over(verdict))
        return call_ends(process, verdict.error);
    if (strlen(name) >= SIM_NAME_BYTES)
        return call_ends(process, ENAMETOOLONG);
    struct sim_node *node = sim_dir_lookup(dir->node, name);
    if (node == NULL && !create)
        return call_ends(process, ENOENT);
    if (node != NULL && create)
        return call_ends(process, EEXIST);
    if (node != NULL && sim_node_is_directory(node))
        return call_ends(process, EISDIR);
    if (node == NULL)
        node = sim_dir_create(process->world->disk, dir->node, name, false);
    *file = file_opened(process, node, name, mode != OS_READ);
    (*file)->direct = mode == OS_CREATE_DIRECT;
    return call_ends(process, 0);
}

int os_file_size(struct os_file *file, uint64_t *size_bytes)
{
    struct verdict verdict = call_begins(file->process, SIM_FILE_SIZE, file->name, 0, 0);
    if (is_over(verdict))
        return call_ends(file->process, verdict.error);
    *size_bytes = sim_file_size_bytes(file->node);
    return call_ends(file->process, 0);
}

/* Bytes that the disk lacks for the file to become so long. */
static uint64_t growth_bytes(const struct sim_node *file, uint64_t length_bytes)
{
    uint64_t have = round_up_u64(sim_file_size_bytes(file), OS_PAGE_BYTES);
    uint64_t want = round_up_u64(length_bytes, OS_PAGE_BYTES);
    return want > have ? want - have : 0;
}

int os_file_allocate(struct os_file *file, uint64_t length_bytes)
{
    struct urn_os *process = file->process;
    struct verdict verdict = call_begins(process, SIM_FILE_ALLOCATE, file->name, 0, length_bytes);
    if (is_over(verdict))
        return call_ends(process, verdict.error);
    CHECK(file->writable);
    if (!has_space(process->world, growth_bytes(file->node, length_bytes)))
        return call_ends(process, ENOSPC);
    sim_file_lengthen(file->node, length_bytes);
    return call_ends(process, 0);
}

static uint64_t less_than(struct sim_world *world, uint64_t length_bytes)
{
    return length_bytes <= 1 ? length_bytes
                             : 1 + sim_random_below(&world->fault_luck, length_bytes - 1);
}

/* What may go past the cache. */
static bool is_whole_pages(const void *memory, size_t length_bytes, uint64_t offset)
{
    return (uintptr_t)memory % OS_PAGE_BYTES == 0 && length_bytes % OS_PAGE_BYTES == 0 &&
           offset % OS_PAGE_BYTES == 0;
}

/* Less than asked; past the cache by whole pages, so that a single one is never cut. */
static uint64_t short_of(const struct os_file *file, uint64_t length_bytes)
{
    const uint64_t length = less_than(file->process->world, length_bytes);
    if (!file->direct)
        return length;
    const uint64_t pages = length - length % OS_PAGE_BYTES;
    return pages > 0 ? pages : length_bytes < OS_PAGE_BYTES ? length_bytes : OS_PAGE_BYTES;
}

int os_file_read(struct os_file *file, void *to, size_t length_bytes, uint64_t offset,
                 size_t *done_bytes)
{
    struct urn_os *process = file->process;
    struct verdict verdict = call_begins(process, SIM_FILE_READ, file->name, offset, length_bytes);
    if (is_over(verdict))
        return call_ends(process, verdict.error);
    uint64_t size = sim_file_size_bytes(file->node);
    uint64_t wanted = offset >= size ? 0 : size - offset;
    if (wanted > length_bytes)
        wanted = length_bytes;
    CHECK(!file->direct || is_whole_pages(to, length_bytes, offset));
    if (verdict.fate == FATE_SHORT)
        wanted = short_of(file, wanted);
    uint64_t done = wanted == 0 ? 0 : sim_file_read(file->node, to, wanted, offset);
    if (done == 0 && wanted > 0)
        return call_ends(process, EIO);
    *done_bytes = done;
    return call_ends(process, 0);
}

/* Copies a part, as a death or a fault in the middle leaves it: mostly a beginning, at times some
 * cache lines here and there. */
static void write_in_part(struct sim_world *world, struct sim_node *node, const uint8_t *from,
                          uint64_t length_bytes, uint64_t offset)
{
    if (sim_random_one_in(&world->fault_luck, 4)) {
        for (uint64_t at = 0; at < length_bytes; at += 64) {
            uint64_t line = length_bytes - at < 64 ? length_bytes - at : 64;
            if (sim_random_one_in(&world->fault_luck, 2))
                sim_file_write(node, from + at, line, offset + at, NULL);
        }
        return;
    }
    uint64_t part = sim_random_below(&world->fault_luck, length_bytes + 1);
    if (part > 0)
        sim_file_write(node, from, part, offset, NULL);
}

int os_file_write(struct os_file *file, const void *from, size_t length_bytes, uint64_t offset,
                  size_t *done_bytes)
{
    struct urn_os *process = file->process;
    struct sim_world *world = process->world;
    struct verdict verdict = call_begins(process, SIM_FILE_WRITE, file->name, offset, length_bytes);
    if (is_over(verdict))
        return call_ends(process, verdict.error);
    CHECK(file->writable);
    if (length_bytes == 0) {
        *done_bytes = 0;
        return call_ends(process, 0);
    }
    CHECK(!file->direct || is_whole_pages(from, length_bytes, offset));
    uint64_t length = verdict.fate == FATE_SHORT ? short_of(file, length_bytes) : length_bytes;
    if (!has_space(world, growth_bytes(file->node, offset + length)))
        return call_ends(process, ENOSPC);
    if (sim_file_page_is_unreadable(file->node, offset, length, false))
        return call_ends(process, EIO);
    if (verdict.fate == FATE_AMID) {
        write_in_part(world, file->node, from, length, offset);
        return call_ends(process, verdict.error);
    }
    sim_file_write(file->node, from, length, offset, NULL);
    *done_bytes = length;
    return call_ends(process, 0);
}

int os_file_sync(struct os_file *file)
{
    struct verdict verdict = call_begins(file->process, SIM_FILE_SYNC, file->name, 0, 0);
    struct sim_world *world = file->process->world;
    bool lies =
        verdict.fate == FATE_DONE && world->syncs_until_lie > 0 && --world->syncs_until_lie == 0;
    if (verdict.fate != FATE_DEAD)
        sim_file_sync(file->node, verdict.fate == FATE_FAIL ? SIM_SYNC_FAILS
                                  : lies                    ? SIM_SYNC_LIES
                                                            : SIM_SYNC_DONE);
    return call_ends(file->process, verdict.error);
}

int os_file_drop_cache(struct os_file *file)
{
    struct verdict verdict = call_begins(file->process, SIM_FILE_DROP_CACHE, file->name, 0, 0);
    if (is_over(verdict))
        return call_ends(file->process, verdict.error);
    sim_file_drop_cache(file->node, &file->process->world->crash_luck);
    return call_ends(file->process, 0);
}

void os_file_prefetch(struct os_file *file, uint64_t offset, uint64_t length_bytes)
{
    (void)file;
    (void)offset;
    (void)length_bytes;
}

void os_file_close(struct os_file *file)
{
    if (file == NULL)
        return;
    struct sim_world *world = file->process->world;
    CHECK(pthread_mutex_lock(&world->mutex) == 0);
    if (sim_node_lock_holder(file->node) == file)
        sim_node_set_lock_holder(file->node, NULL);
    sim_node_close(file->node);
    world->handles--;
    CHECK(pthread_mutex_unlock(&world->mutex) == 0);
    free(file);
}

/* ---- several reads and writes under way ------------------------------------------------------ */

#define IO_BUFFERS_MAX 64u

struct operation {
    struct os_file *file; /* NULL: none is under way in this buffer */
    enum os_io_what what;
    uint32_t skip_bytes;
    uint32_t length_bytes;
    uint64_t offset;
    bool doomed; /* something armed fell on its begin */
};

struct os_io {
    struct urn_os *process;
    enum os_io_kind kind;
    uint8_t *memory;
    uint32_t buffer_bytes;
    uint32_t buffer_count;
    uint32_t under_way;
    struct operation operations[IO_BUFFERS_MAX];
};

int os_io_make(struct urn_os *os, enum os_io_kind wanted, void *memory, uint32_t buffer_bytes,
               uint32_t buffer_count, struct os_io **io)
{
    CHECK(buffer_count > 0 && buffer_count <= IO_BUFFERS_MAX);
    struct os_io *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->process = os;
    made->kind = wanted == OS_IO_PLAIN ? OS_IO_PLAIN : OS_IO_URING;
    made->memory = memory;
    made->buffer_bytes = buffer_bytes;
    made->buffer_count = buffer_count;
    os->world->handles++;
    *io = made;
    return 0;
}

enum os_io_kind os_io_kind(const struct os_io *io)
{
    return io->kind;
}

static uint8_t *operation_bytes(const struct os_io *io, uint32_t buffer)
{
    return io->memory + (size_t)buffer * io->buffer_bytes + io->operations[buffer].skip_bytes;
}

/* 0, or why the disk cannot take it. */
static int write_fault(struct sim_world *world, const struct operation *operation,
                       uint64_t length_bytes)
{
    const struct sim_node *node = operation->file->node;
    if (!has_space(world, growth_bytes(node, operation->offset + length_bytes)))
        return ENOSPC;
    return sim_file_page_is_unreadable(node, operation->offset, length_bytes, false) ? EIO : 0;
}

void os_io_begin(struct os_io *io, struct os_file *file, enum os_io_what what, uint32_t buffer,
                 uint32_t skip_bytes, uint32_t length_bytes, uint64_t offset)
{
    CHECK(buffer < io->buffer_count && length_bytes > 0);
    CHECK(skip_bytes < io->buffer_bytes && length_bytes <= io->buffer_bytes - skip_bytes);
    struct operation *operation = &io->operations[buffer];
    CHECK(operation->file == NULL);
    struct verdict verdict =
        call_begins(io->process, SIM_IO_BEGIN, file->name, offset, length_bytes);
    *operation = (struct operation){.file = file,
                                    .what = what,
                                    .skip_bytes = skip_bytes,
                                    .length_bytes = length_bytes,
                                    .offset = offset,
                                    .doomed = verdict.fate == FATE_FAIL};
    io->under_way++;
    struct sim_world *world = io->process->world;
    if (verdict.fate != FATE_DEAD && what == OS_IO_WRITE && sim_random_one_in(&world->io_luck, 2) &&
        write_fault(world, operation, length_bytes) == 0)
        write_in_part(world, file->node, operation_bytes(io, buffer), length_bytes, offset);
    call_ends(io->process, 0);
}

/* What a read or write that is neither dead nor failed does. */
static void operate(struct os_io *io, uint32_t buffer, struct verdict verdict,
                    struct os_io_done *done)
{
    struct sim_world *world = io->process->world;
    struct operation *operation = &io->operations[buffer];
    struct sim_node *node = operation->file->node;
    uint64_t length = operation->length_bytes;
    if (operation->what == OS_IO_READ) {
        uint64_t size = sim_file_size_bytes(node);
        uint64_t there = operation->offset >= size ? 0 : size - operation->offset;
        length = there < length ? there : length;
    }
    if (verdict.fate == FATE_SHORT && length > OS_PAGE_BYTES) {
        uint64_t less = round_up_u64(less_than(world, length), OS_PAGE_BYTES);
        length = less < length ? less : length;
    }
    uint8_t *bytes = operation_bytes(io, buffer);
    if (operation->what == OS_IO_READ) {
        done->done_bytes =
            length == 0 ? 0 : (uint32_t)sim_file_read(node, bytes, length, operation->offset);
        done->error = done->done_bytes == 0 && length > 0 ? EIO : 0;
        return;
    }
    done->error = write_fault(world, operation, length);
    if (done->error != 0)
        return;
    if (verdict.fate == FATE_AMID) {
        write_in_part(world, node, bytes, length, operation->offset);
        done->error = verdict.error;
        return;
    }
    sim_file_write(node, bytes, length, operation->offset, NULL);
    done->done_bytes = (uint32_t)length;
}

bool os_io_end(struct os_io *io, bool wait, struct os_io_done *done)
{
    struct sim_world *world = io->process->world;
    if (io->under_way == 0 || (!wait && sim_random_one_in(&world->io_luck, 2)))
        return false;
    uint64_t which = sim_random_below(&world->io_luck, io->under_way);
    uint32_t buffer = 0;
    while (io->operations[buffer].file == NULL || which-- > 0)
        buffer++;
    struct operation *operation = &io->operations[buffer];
    struct verdict verdict = call_begins(io->process, SIM_IO_END, operation->file->name,
                                         operation->offset, operation->length_bytes);
    *done = (struct os_io_done){.buffer = buffer, .error = verdict.error};
    if (operation->doomed && verdict.fate != FATE_DEAD)
        *done = (struct os_io_done){.buffer = buffer, .error = EIO};
    else if (!is_over(verdict))
        operate(io, buffer, verdict, done);
    operation->file = NULL;
    io->under_way--;
    call_ends(io->process, 0);
    return true;
}

void os_io_free(struct os_io *io)
{
    if (io == NULL)
        return;
    io->process->world->handles--;
    free(io);
}

/* ---- the log's mapping ----------------------------------------------------------------------- */

int os_map_open(struct os_dir *dir, const char *name, uint64_t length_bytes, struct os_map **map)
{
    struct urn_os *process = dir->process;
    struct verdict verdict = call_begins(process, SIM_MAP_OPEN, name, 0, length_bytes);
    if (is_over(verdict))
        return call_ends(process, verdict.error);
    struct sim_node *node = sim_dir_lookup(dir->node, name);
    if (node == NULL)
        return call_ends(process, ENOENT);
    if (sim_node_is_directory(node))
        return call_ends(process, EISDIR);
    if (sim_file_size_bytes(node) != length_bytes)
        return call_ends(process, EINVAL);
    struct os_map *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->process = process;
    opened->node = node;
    opened->length_bytes = length_bytes;
    memcpy(opened->name, name, strlen(name) + 1);
    sim_node_open(node);
    process->world->handles++;
    *map = opened;
    return call_ends(process, 0);
}

int os_map_write(struct os_map *map, uint64_t offset, const void *from, size_t length_bytes)
{
    struct urn_os *process = map->process;
    struct sim_world *world = process->world;
    CHECK(offset <= map->length_bytes && length_bytes <= map->length_bytes - offset);
    struct verdict verdict = call_begins(process, SIM_MAP_WRITE, map->name, offset, length_bytes);
    if (verdict.fate == FATE_DEAD || length_bytes == 0)
        return call_ends(process, verdict.error);
    uint64_t size = sim_file_size_bytes(map->node);
    uint64_t backed = offset >= size ? 0 : size - offset;
    bool blocked = sim_file_page_is_unreadable(map->node, offset, length_bytes, true);
    if (blocked || backed < length_bytes) {
        verdict = (struct verdict){FATE_FAIL, EIO};
        length_bytes = blocked ? 0 : backed;
    }
    if (verdict.fate == FATE_FAIL || verdict.fate == FATE_AMID)
        write_in_part(world, map->node, from, length_bytes, offset);
    else
        sim_file_write(map->node, from, length_bytes, offset, &world->crash_luck);
    return call_ends(process, verdict.error);
}

void os_map_sync_begin(struct os_map *map, uint64_t offset, uint64_t length_bytes,
                       struct os_sync *sync)
{
    CHECK(offset <= map->length_bytes && length_bytes <= map->length_bytes - offset);
    CHECK(!map->syncing);
    uint64_t begin = offset & ~(uint64_t)(OS_PAGE_BYTES - 1);
    uint64_t end = round_up_u64(offset + length_bytes, OS_PAGE_BYTES);
    *sync = (struct os_sync){.map = map, .offset = begin, .length_bytes = end - begin};
    struct verdict verdict =
        call_begins(map->process, SIM_MAP_SYNC_BEGIN, map->name, begin, end - begin);
    map->syncing = true;
    map->sync_doomed = verdict.fate == FATE_FAIL;
    if (verdict.fate != FATE_DEAD)
        sim_file_sync_begin(map->node, begin, end - begin, &map->flight);
    call_ends(map->process, 0);
}

int os_map_sync_end(struct os_sync *sync)
{
    struct os_map *map = sync->map;
    CHECK(map->syncing);
    struct verdict verdict =
        call_begins(map->process, SIM_MAP_SYNC_END, map->name, sync->offset, sync->length_bytes);
    map->syncing = false;
    if (verdict.fate == FATE_DEAD)
        return call_ends(map->process, verdict.error);
    if (map->sync_doomed)
        verdict = (struct verdict){FATE_FAIL, EIO};
    sim_file_sync_end(map->node, &map->flight, verdict.fate == FATE_FAIL);
    return call_ends(map->process, verdict.error);
}

void os_map_populate(struct os_map *map, uint64_t offset, uint64_t length_bytes)
{
    CHECK(offset <= map->length_bytes && length_bytes <= map->length_bytes - offset);
}

void os_map_close(struct os_map *map)
{
    if (map == NULL)
        return;
    struct sim_world *world = map->process->world;
    CHECK(pthread_mutex_lock(&world->mutex) == 0);
    sim_flight_free(&map->flight);
    sim_node_close(map->node);
    world->handles--;
    CHECK(pthread_mutex_unlock(&world->mutex) == 0);
    free(map);
}

/* ---- disk, clocks, randomness ---------------------------------------------------------------- */

void sim_set_capacity(struct sim_world *world, uint64_t bytes)
{
    world_check(world);
    world->capacity_bytes = bytes;
}

uint64_t sim_used_bytes(const struct sim_world *world)
{
    world_check(world);
    return sim_disk_used_bytes(world->disk);
}

void sim_advance(struct sim_world *world, uint64_t nanoseconds)
{
    world_check(world);
    CHECK(!world->uses_real_clock);
    world->monotonic_ns += nanoseconds;
    world->wall_us += nanoseconds / 1000;
}

void sim_use_real_clock(struct sim_world *world)
{
    world_check(world);
    world->uses_real_clock = true;
}

void sim_jump_wall_clock(struct sim_world *world, int64_t microseconds)
{
    world_check(world);
    world->wall_us += (uint64_t)microseconds;
}

/* Calls of other threads let time pass. */
static uint64_t read_clock(struct sim_world *world, const uint64_t *clock)
{
    CHECK(pthread_mutex_lock(&world->mutex) == 0);
    uint64_t now = *clock;
    CHECK(pthread_mutex_unlock(&world->mutex) == 0);
    return now;
}

uint64_t os_monotonic_ns(struct urn_os *os)
{
    if (os->world->uses_real_clock) {
        struct timespec now;
        CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    }
    return read_clock(os->world, &os->world->monotonic_ns);
}

uint64_t os_wall_us(struct urn_os *os)
{
    return read_clock(os->world, &os->world->wall_us);
}

void sim_feed_random(struct sim_world *world, const void *bytes, size_t length_bytes)
{
    world_check(world);
    free(world->fed);
    world->fed = malloc(length_bytes + 1);
    CHECK(world->fed != NULL);
    memcpy(world->fed, bytes, length_bytes);
    world->fed_bytes = length_bytes;
    world->fed_used = 0;
}

void os_random(struct urn_os *os, void *to, size_t length_bytes)
{
    struct sim_world *world = os->world;
    CHECK(pthread_mutex_lock(&world->mutex) == 0);
    uint8_t *bytes = to;
    size_t done = world->fed_bytes - world->fed_used;
    if (done > length_bytes)
        done = length_bytes;
    if (done > 0)
        memcpy(bytes, world->fed + world->fed_used, done);
    world->fed_used += done;
    while (done < length_bytes) {
        uint64_t value = sim_random_next(&world->engine_luck);
        size_t part = length_bytes - done < sizeof value ? length_bytes - done : sizeof value;
        memcpy(bytes + done, &value, part);
        done += part;
    }
    CHECK(pthread_mutex_unlock(&world->mutex) == 0);
}

/* ---- looking and damaging -------------------------------------------------------------------- */

static struct sim_node *find_file(const struct sim_world *world, const char *path)
{
    world_check(world);
    struct sim_node *node = sim_disk_find(world->disk, path);
    return node == NULL || sim_node_is_directory(node) ? NULL : node;
}

bool sim_file_exists(const struct sim_world *world, const char *path)
{
    return find_file(world, path) != NULL;
}

bool sim_file_size(const struct sim_world *world, const char *path, uint64_t *size_bytes)
{
    const struct sim_node *file = find_file(world, path);
    if (file == NULL)
        return false;
    *size_bytes = sim_file_size_bytes(file);
    return true;
}

static bool lies_within(const struct sim_node *file, uint64_t offset, uint64_t length_bytes)
{
    return file != NULL && offset <= sim_file_size_bytes(file) &&
           length_bytes <= sim_file_size_bytes(file) - offset;
}

bool sim_file_bytes(const struct sim_world *world, const char *path, uint64_t offset, void *to,
                    size_t length_bytes)
{
    const struct sim_node *file = find_file(world, path);
    return lies_within(file, offset, length_bytes) &&
           sim_file_read(file, to, length_bytes, offset) == length_bytes;
}

uint32_t sim_list(const struct sim_world *world, const char *path,
                  void (*visit)(void *context, const char *name), void *context)
{
    world_check(world);
    const struct sim_node *dir = sim_disk_find(world->disk, path);
    if (dir == NULL || !sim_node_is_directory(dir))
        return 0;
    for (uint32_t i = 0; visit != NULL && i < sim_dir_count(dir); i++)
        visit(context, sim_dir_name(dir, i));
    return sim_dir_count(dir);
}

uint64_t sim_unsynced(const struct sim_world *world)
{
    world_check(world);
    return sim_disk_unsynced(world->disk);
}

static uint64_t hash_add(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9fb21c651e98df25u;
    return hash ^ hash >> 32;
}

static uint64_t hash_file(const struct sim_node *file)
{
    uint64_t size = sim_file_size_bytes(file);
    uint64_t hash = hash_add(1, size);
    for (uint64_t offset = 0; offset < size; offset += OS_SECTOR_BYTES) {
        uint8_t sector[OS_SECTOR_BYTES] = {0};
        uint64_t length = size - offset < sizeof sector ? size - offset : sizeof sector;
        if (sim_file_read(file, sector, length, offset) < length)
            hash = hash_add(hash, offset); /* unreadable */
        for (size_t i = 0; i < sizeof sector; i += 8)
            hash = hash_add(hash, get_u64(sector + i));
    }
    return hash;
}

/* Sums over names, which come in no order. */
static uint64_t hash_node(struct sim_node *node)
{
    if (!sim_node_is_directory(node))
        return hash_file(node);
    uint64_t sum = 2;
    for (uint32_t i = 0; i < sim_dir_count(node); i++) {
        const char *name = sim_dir_name(node, i);
        uint64_t hash = 3;
        for (const char *at = name; *at != '\0'; at++)
            hash = hash_add(hash, (uint8_t)*at);
        sum += hash_add(hash, hash_node(sim_dir_lookup(node, name)));
    }
    return sum;
}

uint64_t sim_hash(const struct sim_world *world)
{
    world_check(world);
    return hash_node(sim_disk_find(world->disk, "/"));
}

bool sim_flip_bit(struct sim_world *world, const char *path, uint64_t offset, unsigned bit)
{
    CHECK(bit < 8);
    struct sim_node *file = find_file(world, path);
    if (!lies_within(file, offset, 1))
        return false;
    sim_file_flip(file, offset, (uint8_t)(1u << bit));
    return true;
}

bool sim_overwrite(struct sim_world *world, const char *path, uint64_t offset, const void *bytes,
                   size_t length_bytes)
{
    struct sim_node *file = find_file(world, path);
    if (!lies_within(file, offset, length_bytes))
        return false;
    sim_file_damage(file, offset, bytes, length_bytes);
    return true;
}

bool sim_set_unreadable(struct sim_world *world, const char *path, uint64_t offset)
{
    struct sim_node *file = find_file(world, path);
    if (!lies_within(file, offset, 1))
        return false;
    sim_file_set_unreadable(file, offset, true);
    return true;
}

bool sim_truncate(struct sim_world *world, const char *path, uint64_t length_bytes)
{
    struct sim_node *file = find_file(world, path);
    if (!lies_within(file, length_bytes, 0))
        return false;
    sim_file_truncate(file, length_bytes);
    return true;
}

bool sim_lose_file(struct sim_world *world, const char *path)
{
    world_check(world);
    char name[SIM_NAME_BYTES];
    struct sim_node *parent = sim_disk_find_parent(world->disk, path, name);
    if (parent == NULL || sim_dir_lookup(parent, name) == NULL)
        return false;
    sim_dir_lose(parent, name);
    return true;
}
