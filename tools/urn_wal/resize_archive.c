/* resize_archive.c: see resize_archive.h. */
#include "tools/urn_wal/resize_archive.h"

#include <string.h>

#include "engine/archive_dir.h"
#include "engine/archive_task.h"
#include "engine/check.h"
#include "engine/data_dir_resize.h"
#include "engine/wal_ring.h"

enum urn_code resize_archive_find(const struct data_dir *data_dir, bool *found,
                                  struct archive_note *note, struct urn_error *error)
{
    if (archive_note_read(data_dir->dir, found, note, error) != URN_OK)
        return error_prefix(error, "%.200s: ", data_dir->path);
    *found = *found && note->policy != ARCHIVE_NOTE_OFF &&
             memcmp(note->ring_uuid, data_dir->geometry.ring_uuid, WAL_UUID_BYTES) == 0;
    return URN_OK;
}

/* What a server's task would look at. */
struct surroundings {
    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t room_limit_lsn; /* nothing is overwritten meanwhile */
    _Atomic uint64_t snapshot_lsn;
    atomic_bool log_failed;
};

/* Steps until everything up to end_lsn is archived, or something hinders it. */
static enum urn_code run(struct archive_task *task, uint64_t end_lsn, struct urn_error *error)
{
    archive_task_failure(task, error);
    while (error->code == URN_OK && atomic_load(&task->archived_lsn) < end_lsn) {
        CHECK(archive_task_step(task) != ARCHIVE_WANTS_EVENT || archive_task_has_work(task));
        archive_task_failure(task, error);
    }
    return error->code;
}

enum urn_code resize_archive(struct urn_os *os, const struct data_dir *data_dir,
                             const struct archive_note *note, uint64_t durable_lsn,
                             struct state *state, struct urn_error *error)
{
    struct surroundings seen = {.snapshot_lsn = 0};
    struct archive_task task;
    const struct archive_surroundings around = {
        .os = os,
        .data_dir = data_dir,
        .durable_lsn = &seen.durable_lsn,
        .room_limit_lsn = &seen.room_limit_lsn,
        .snapshot_lsn = &seen.snapshot_lsn,
        .log_failed = &seen.log_failed,
        .path = note->path,
        .policy = note->policy == ARCHIVE_NOTE_GAP ? URN_ARCHIVE_GAP : URN_ARCHIVE_BLOCK,
        .snapshot_every_bytes = UINT64_MAX,
    };
    if (archive_task_make(&task, &around, error) != URN_OK)
        return error->code;
    atomic_store(&task.hurry, true);
    /* First what is full and durable as it stands: so that an archive that is away is met before the log is
     * closed, for one that ends with a segment leaves a start without it no room. */
    atomic_store(&seen.durable_lsn, durable_lsn);
    enum urn_code code = archive_task_begin(&task, state->tail.lsn, error);
    if (code == URN_OK)
        code = run(&task, wal_segment_begin(&data_dir->geometry, durable_lsn), error);
    if (code == URN_OK)
        code = data_dir_resize_close_log(data_dir, durable_lsn, state, error);
    atomic_store(&seen.durable_lsn, state->tail.lsn);
    if (code == URN_OK)
        code = run(&task, state->tail.lsn, error);
    archive_task_free(&task);
    return code;
}
