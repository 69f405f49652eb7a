/* snapshot_task.c: see snapshot_task.h. */
#include "engine/snapshot_task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"

/* ---- life ------------------------------------------------------------------------------------ */

uint64_t snapshot_task_memory_bytes(void)
{
    return SNAPSHOT_BUFFERS * (uint64_t)SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES;
}

enum urn_code snapshot_task_make(struct snapshot_task *task, struct urn_os *os,
                                 const struct data_dir *data_dir, enum os_io_kind kind,
                                 const _Atomic uint64_t *durable_lsn, const atomic_bool *log_failed,
                                 struct urn_error *error)
{
    *task = (struct snapshot_task){
        .os = os, .data_dir = data_dir, .durable_lsn = durable_lsn, .log_failed = log_failed};
    task->memory = aligned_alloc(OS_PAGE_BYTES, snapshot_task_memory_bytes());
    if (task->memory == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory for the blocks of snapshots");
    int why = os_io_make(os, kind, task->memory, SNAPSHOT_BLOCK_BYTES, SNAPSHOT_BUFFERS, &task->io);
    if (why == 0)
        return URN_OK;
    snapshot_task_free(task);
    return error_set(error, URN_IO, why, "cannot write snapshots through io_uring");
}

void snapshot_task_free(struct snapshot_task *task)
{
    os_io_free(task->io);
    os_file_close(task->file);
    free(task->memory);
    free(atomic_exchange(&task->garbage, NULL));
    task->io = NULL;
    task->file = NULL;
    task->memory = NULL;
}

static uint8_t *buffer_at(const struct snapshot_task *task, uint32_t block)
{
    return task->memory + (size_t)(block % SNAPSHOT_BUFFERS) * SNAPSHOT_BLOCK_BYTES;
}

static uint8_t *end_block(const struct snapshot_task *task)
{
    return task->memory + (size_t)SNAPSHOT_BUFFERS * SNAPSHOT_BLOCK_BYTES;
}

/* True for the end block. What has not been given yet is none. */
static bool is_last(const struct snapshot_task *task, uint32_t block)
{
    return block + 1 == atomic_load(&task->total);
}

static uint32_t block_bytes(const struct snapshot_task *task, uint32_t block)
{
    return is_last(task, block) ? SNAPSHOT_END_BYTES : SNAPSHOT_BLOCK_BYTES;
}

/* Once the last has been given. */
static uint32_t blocks_of(const struct snapshot_task *task)
{
    uint32_t total = atomic_load(&task->total);
    CHECK(total > 0);
    return total;
}

static uint64_t file_bytes(const struct snapshot_task *task)
{
    return (uint64_t)(blocks_of(task) - 1) * SNAPSHOT_BLOCK_BYTES + SNAPSHOT_END_BYTES;
}

/* ---- the writer's side ----------------------------------------------------------------------- */

void snapshot_task_begin(struct snapshot_task *task)
{
    CHECK(atomic_load(&task->phase) == SNAPSHOT_RESTS);
    CHECK(task->file == NULL && task->under_way == 0);
    atomic_store(&task->given, 0);
    atomic_store(&task->taken, 0);
    atomic_store(&task->total, 0);
    atomic_store(&task->waits_for_log, false);
    task->counts = false;
    task->error = (struct urn_error){.code = URN_OK};
    task->step = SNAPSHOT_STEP_CREATE;
    task->renamed = false;
    task->not_removed = 0;
    data_dir_snapshot_name(task->file_name, task->name.lsn, task->name.serial);
    snprintf(task->temporary_name, sizeof task->temporary_name, "%s" DATA_DIR_TEMPORARY,
             task->file_name);
    atomic_store(&task->phase, SNAPSHOT_WORKS);
}

bool snapshot_task_has_buffer(const struct snapshot_task *task)
{
    return atomic_load(&task->given) - atomic_load(&task->taken) < SNAPSHOT_BUFFERS;
}

uint8_t *snapshot_task_buffer(struct snapshot_task *task)
{
    CHECK(atomic_load_explicit(&task->total, memory_order_relaxed) == 0);
    if (!snapshot_task_has_buffer(task))
        return NULL;
    return buffer_at(task, atomic_load_explicit(&task->given, memory_order_relaxed));
}

void snapshot_task_give(struct snapshot_task *task, bool last)
{
    uint32_t given = atomic_load_explicit(&task->given, memory_order_relaxed);
    if (last)
        memcpy(end_block(task), buffer_at(task, given), SNAPSHOT_END_BYTES);
    /* In this order: whoever sees the last block knows that it is the last. */
    if (last)
        atomic_store(&task->total, given + 1);
    atomic_store(&task->given, given + 1);
}

bool snapshot_task_wants_writer(const struct snapshot_task *task)
{
    enum snapshot_phase phase = atomic_load(&task->phase);
    return phase == SNAPSHOT_ENDED || (phase == SNAPSHOT_WORKS && atomic_load(&task->total) == 0 &&
                                       snapshot_task_has_buffer(task));
}

bool snapshot_task_waits_for_log(const struct snapshot_task *task)
{
    return atomic_load(&task->waits_for_log);
}

/* ---- the steps ------------------------------------------------------------------------------- */

static void fail(struct snapshot_task *task, enum urn_code code, int why, const char *what)
{
    CHECK(!task->counts);
    error_set(&task->error, code, why, "%s %.100s/%s", what, task->data_dir->path,
              task->temporary_name);
    task->step = SNAPSHOT_STEP_ABORT;
}

static enum snapshot_want end(struct snapshot_task *task)
{
    os_file_close(task->file);
    task->file = NULL;
    free(atomic_exchange(&task->garbage, NULL));
    atomic_store(&task->waits_for_log, false);
    atomic_store(&task->phase, SNAPSHOT_ENDED);
    return SNAPSHOT_WANTS_EVENT;
}

static enum snapshot_want step_create(struct snapshot_task *task)
{
    struct os_dir *dir = task->data_dir->dir;
    int why = os_remove(dir, task->temporary_name);
    if (why == 0 || why == ENOENT)
        why = os_file_open(dir, task->temporary_name, OS_CREATE_DIRECT, &task->file);
    if (why == 0)
        why = os_file_allocate(task->file, task->file_bytes_min);
    if (why == EOPNOTSUPP || why == EINVAL)
        why = 0; /* a file system without it: the writes will tell */
    task->begun = 0;
    task->ended = 0;
    task->pace_bytes = SNAPSHOT_PACE_BYTES;
    task->step = SNAPSHOT_STEP_WRITE;
    if (why != 0)
        fail(task, URN_IO, why, "cannot create");
    return SNAPSHOT_WANTS_STEP;
}

/* True when the next block may begin now; else wake_ns says when. */
static bool pace_allows(struct snapshot_task *task)
{
    if (task->pace_bytes > 0 || atomic_load_explicit(&task->hurry, memory_order_relaxed))
        return true;
    if (os_monotonic_ns(task->os) >= task->pace_ns) {
        task->pace_bytes = SNAPSHOT_PACE_BYTES;
        return true;
    }
    task->wake_ns = task->pace_ns;
    return false;
}

static void note_pace(struct snapshot_task *task, uint32_t length_bytes)
{
    if (task->pace_bytes == SNAPSHOT_PACE_BYTES)
        task->pace_ns = os_monotonic_ns(task->os) + SNAPSHOT_PACE_NS;
    task->pace_bytes -= length_bytes < task->pace_bytes ? length_bytes : task->pace_bytes;
}

static void begin_rest(struct snapshot_task *task, enum os_io_what what, uint32_t block)
{
    uint32_t buffer = block % SNAPSHOT_BUFFERS;
    uint32_t done = task->progress[buffer];
    os_io_begin(task->io, task->file, what, buffer, done, block_bytes(task, block) - done,
                (uint64_t)block * SNAPSHOT_BLOCK_BYTES + done);
    task->under_way++;
}

static void begin_block(struct snapshot_task *task, enum os_io_what what)
{
    uint32_t block = task->begun++;
    note_pace(task, block_bytes(task, block));
    task->progress[block % SNAPSHOT_BUFFERS] = 0;
    task->finished[block % SNAPSHOT_BUFFERS] = false;
    begin_rest(task, what, block);
}

/* The block that lies in a buffer: one of the last SNAPSHOT_BUFFERS that have begun. */
static uint32_t block_in(const struct snapshot_task *task, uint32_t buffer)
{
    uint32_t newest = task->begun - 1;
    return newest - (newest - buffer) % SNAPSHOT_BUFFERS;
}

/* Takes one that has ended; false: there is none. One that did less than asked goes on. */
static bool take_ended(struct snapshot_task *task, enum os_io_what what, bool wait)
{
    struct os_io_done done;
    if (!os_io_end(task->io, wait, &done))
        return false;
    task->under_way--;
    uint32_t block = block_in(task, done.buffer);
    uint32_t wanted = block_bytes(task, block);
    /* Behind a cut only whole pages may follow (O_DIRECT). */
    uint32_t progress = task->progress[done.buffer] + done.done_bytes;
    if (progress < wanted)
        progress -= progress % OS_PAGE_BYTES;
    if (done.error == 0 && progress == task->progress[done.buffer])
        done.error = what == OS_IO_WRITE ? ENOSPC : EIO;
    task->progress[done.buffer] = progress;
    if (task->step == SNAPSHOT_STEP_ABORT)
        return true;
    if (done.error != 0)
        fail(task, URN_IO, done.error, what == OS_IO_WRITE ? "cannot write" : "cannot read back");
    else if (progress == wanted)
        task->finished[done.buffer] = true;
    else
        begin_rest(task, what, block);
    return true;
}

/* Blocks from `ended` on that are done, in order; true: there is one, and it counts as ended now. */
static bool next_finished(struct snapshot_task *task, uint32_t *block)
{
    if (task->ended == task->begun || !task->finished[task->ended % SNAPSHOT_BUFFERS])
        return false;
    *block = task->ended++;
    return true;
}

static enum snapshot_want step_write(struct snapshot_task *task)
{
    uint32_t given = atomic_load(&task->given);
    bool may_begin = task->begun < given;
    if (may_begin && pace_allows(task)) {
        begin_block(task, OS_IO_WRITE);
        return SNAPSHOT_WANTS_STEP;
    }
    if (take_ended(task, OS_IO_WRITE, true)) {
        uint32_t block;
        while (task->step == SNAPSHOT_STEP_WRITE && next_finished(task, &block))
            atomic_store(&task->taken, task->ended);
        return SNAPSHOT_WANTS_STEP;
    }
    if (may_begin)
        return SNAPSHOT_WANTS_TIME;
    uint32_t total = atomic_load(&task->total);
    if (total == 0 || task->ended != total)
        return SNAPSHOT_WANTS_EVENT;
    task->step = SNAPSHOT_STEP_SYNC;
    return SNAPSHOT_WANTS_STEP;
}

static enum snapshot_want step_sync(struct snapshot_task *task)
{
    int why = os_file_sync(task->file);
    if (why != 0) {
        fail(task, URN_IO, why, "cannot sync");
        return SNAPSHOT_WANTS_STEP;
    }
    uint64_t size_bytes = 0;
    why = os_file_size(task->file, &size_bytes);
    if (why == 0)
        why = os_file_drop_cache(task->file);
    task->begun = 0;
    task->ended = 0;
    snapshot_verifier_begin(&task->verifier);
    task->step = SNAPSHOT_STEP_READ;
    if (why != 0)
        fail(task, URN_IO, why, "cannot read back past the cache");
    else if (size_bytes != file_bytes(task))
        fail(task, URN_DAMAGED, 0, "what was written has another size in");
    return SNAPSHOT_WANTS_STEP;
}

static void verify_finished(struct snapshot_task *task)
{
    uint32_t block;
    while (task->step == SNAPSHOT_STEP_READ && next_finished(task, &block)) {
        const char *fault = snapshot_verifier_take(&task->verifier, buffer_at(task, block),
                                                   block_bytes(task, block), end_block(task));
        if (fault != NULL)
            fail(task, URN_DAMAGED, 0,
                 "check the disk: what was read back is not what was written:");
    }
}

static enum snapshot_want step_read(struct snapshot_task *task)
{
    bool may_begin = task->begun < blocks_of(task) && task->begun - task->ended < SNAPSHOT_BUFFERS;
    if (may_begin && pace_allows(task)) {
        begin_block(task, OS_IO_READ);
        return SNAPSHOT_WANTS_STEP;
    }
    if (take_ended(task, OS_IO_READ, true)) {
        verify_finished(task);
        return SNAPSHOT_WANTS_STEP;
    }
    if (may_begin)
        return SNAPSHOT_WANTS_TIME;
    CHECK(task->ended == blocks_of(task) && task->verifier.ended);
    os_file_close(task->file);
    task->file = NULL;
    task->step = SNAPSHOT_STEP_DURABLE;
    return SNAPSHOT_WANTS_STEP;
}

static enum snapshot_want step_durable(struct snapshot_task *task)
{
    /* Said before the look, so that whoever moves the log on either is seen or sees it. */
    atomic_store(&task->waits_for_log, true);
    if (atomic_load(task->durable_lsn) < task->name.lsn)
        return SNAPSHOT_WANTS_EVENT;
    atomic_store(&task->waits_for_log, false);
    task->step = SNAPSHOT_STEP_RENAME;
    return SNAPSHOT_WANTS_STEP;
}

static enum snapshot_want step_rename(struct snapshot_task *task)
{
    int why = os_rename(task->data_dir->dir, task->temporary_name, task->file_name);
    task->renamed = why == 0;
    task->step = SNAPSHOT_STEP_DIR_SYNC;
    if (why != 0)
        fail(task, URN_IO, why, "cannot rename");
    return SNAPSHOT_WANTS_STEP;
}

static enum snapshot_want step_dir_sync(struct snapshot_task *task)
{
    int why = os_dir_sync(task->data_dir->dir);
    if (why != 0) {
        /* Nobody knows whether it will be there after a crash. Its log is there in any case. */
        fail(task, URN_IO, why, "cannot sync the directory of");
        return SNAPSHOT_WANTS_STEP;
    }
    task->counts = true;
    snapshot_ledger_add(&task->ledger, task->name);
    task->step = SNAPSHOT_STEP_REMOVE;
    return SNAPSHOT_WANTS_STEP;
}

/* What goes wrong behind a snapshot that counts; the first of it is told. */
static void complain(struct snapshot_task *task, const struct urn_error *error)
{
    CHECK(task->counts);
    if (task->error.code == URN_OK)
        task->error = *error;
}

static void remove_snapshot(struct snapshot_task *task, struct snapshot_name which)
{
    char name[DATA_DIR_NAME_MAX];
    struct urn_error error;
    data_dir_snapshot_name(name, which.lsn, which.serial);
    int why = os_remove(task->data_dir->dir, name);
    if (why == 0)
        return;
    task->not_removed++;
    error_set(&error, URN_IO, why, "cannot remove an old snapshot, %.100s/%s", task->data_dir->path,
              name);
    complain(task, &error);
}

/* Removes the oldest that is not needed any more and has not been tried yet; false: there is none. */
static bool remove_one(struct snapshot_task *task)
{
    struct snapshot_name *names;
    uint32_t count;
    struct urn_error error;
    if (snapshot_file_list(task->data_dir->dir, &names, &count, &error) != URN_OK) {
        error_prefix(&error, "cannot remove old snapshots: ");
        complain(task, &error);
        return false;
    }
    uint32_t tried = 0;
    bool found = false;
    for (uint32_t i = count; i > 0 && !found; i--) {
        if (snapshot_ledger_keeps(&task->ledger, names[i - 1]) || tried++ < task->not_removed)
            continue;
        remove_snapshot(task, names[i - 1]);
        found = true;
    }
    free(names);
    return found;
}

static enum snapshot_want step_remove(struct snapshot_task *task)
{
    if (!remove_one(task))
        task->step = SNAPSHOT_STEP_REMOVED;
    return SNAPSHOT_WANTS_STEP;
}

static enum snapshot_want step_removed(struct snapshot_task *task)
{
    struct urn_error error;
    int why = os_dir_sync(task->data_dir->dir);
    if (why != 0) {
        error_set(&error, URN_IO, why, "cannot sync %.100s behind the removal of old snapshots",
                  task->data_dir->path);
        complain(task, &error);
    }
    return end(task);
}

static enum snapshot_want step_abort(struct snapshot_task *task)
{
    if (take_ended(task, OS_IO_WRITE, true))
        return SNAPSHOT_WANTS_STEP;
    CHECK(task->under_way == 0);
    /* The first failure is the one to tell. A log that has failed takes its folder along: hands off. */
    if (!atomic_load(task->log_failed))
        (void)os_remove(task->data_dir->dir,
                        task->renamed ? task->file_name : task->temporary_name);
    return end(task);
}

enum snapshot_want snapshot_task_step(struct snapshot_task *task)
{
    if (atomic_load(&task->phase) != SNAPSHOT_WORKS) {
        free(atomic_exchange(&task->garbage, NULL));
        return SNAPSHOT_WANTS_EVENT;
    }
    if (atomic_load(task->log_failed) && !task->counts && task->step != SNAPSHOT_STEP_ABORT)
        fail(task, URN_READONLY, 0, "the log failed during");
    switch (task->step) {
    case SNAPSHOT_STEP_CREATE:
        return step_create(task);
    case SNAPSHOT_STEP_WRITE:
        return step_write(task);
    case SNAPSHOT_STEP_SYNC:
        return step_sync(task);
    case SNAPSHOT_STEP_READ:
        return step_read(task);
    case SNAPSHOT_STEP_DURABLE:
        return step_durable(task);
    case SNAPSHOT_STEP_RENAME:
        return step_rename(task);
    case SNAPSHOT_STEP_DIR_SYNC:
        return step_dir_sync(task);
    case SNAPSHOT_STEP_REMOVE:
        return step_remove(task);
    case SNAPSHOT_STEP_REMOVED:
        return step_removed(task);
    case SNAPSHOT_STEP_ABORT:
        break;
    }
    return step_abort(task);
}

bool snapshot_task_has_work(const struct snapshot_task *task)
{
    if (atomic_load(&task->phase) != SNAPSHOT_WORKS)
        return false;
    if (atomic_load(task->log_failed))
        return true;
    if (task->step == SNAPSHOT_STEP_WRITE)
        return task->begun < atomic_load(&task->given);
    if (task->step == SNAPSHOT_STEP_DURABLE)
        return atomic_load(task->durable_lsn) >= task->name.lsn;
    return true;
}
