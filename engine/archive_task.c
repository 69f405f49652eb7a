/* archive_task.c: see archive_task.h. */
#include "engine/archive_task.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/file_io.h"
#include "engine/snapshot_file.h"
#include "engine/wal_ring.h"

_Static_assert(ARCHIVE_PIECE_BYTES % SNAPSHOT_BLOCK_BYTES == 0, "a piece is whole blocks");
_Static_assert(LOG_INDEX_HEADER_BYTES + LOG_INDEX_ENTRIES_MAX * LOG_INDEX_ENTRY_BYTES +
                       OS_PAGE_BYTES <=
                   ARCHIVE_PIECE_BYTES,
               "an index is written as one piece");

/* ---- life ------------------------------------------------------------------------------------ */

static uint32_t entries_max(uint64_t segment_size_bytes)
{
    return log_index_entries_max(segment_size_bytes, log_index_stride_bytes(segment_size_bytes));
}

static uint64_t io_memory_bytes(void)
{
    return archive_check_memory_bytes(ARCHIVE_PIECE_BYTES) + SNAPSHOT_END_BYTES;
}

uint64_t archive_task_memory_bytes(const struct urn_engine_config *config)
{
    if (config->archive == NULL || config->archive[0] == 0)
        return 0;
    return io_memory_bytes() +
           entries_max(config->segment_size_bytes) * sizeof(struct log_index_entry) +
           config->segments * sizeof(uint64_t);
}

enum urn_code archive_task_make(struct archive_task *task,
                                const struct archive_surroundings *around, struct urn_error *error)
{
    const struct wal_geometry *geometry = &around->data_dir->geometry;
    *task = (struct archive_task){.around = *around, .awaited_lsn = UINT64_MAX};
    if (around->path == NULL || around->path[0] == 0)
        return URN_OK;
    if (strlen(around->path) >= sizeof task->path)
        return error_set(error, URN_CONFIG, 0, "wal.archive is longer than a path can be");
    memcpy(task->path, around->path, strlen(around->path) + 1);
    task->around.path = task->path;
    task->segment_bytes = geometry->segment_size_bytes;
    task->ring_bytes = wal_ring_bytes(geometry);
    task->snapshot_lsn = ARCHIVE_NO_SNAPSHOT;
    task->refused_lsn = ARCHIVE_NO_SNAPSHOT;
    task->entries_max = entries_max(geometry->segment_size_bytes);
    task->memory = aligned_alloc(OS_PAGE_BYTES, io_memory_bytes());
    task->entries = calloc(task->entries_max, sizeof *task->entries);
    task->archived_by_slot = calloc(geometry->segments, sizeof *task->archived_by_slot);
    if (task->memory == NULL || task->entries == NULL || task->archived_by_slot == NULL) {
        archive_task_free(task);
        return error_set(error, URN_NOMEMORY, 0, "no memory for archiving the log");
    }
    task->end_block = task->memory + archive_check_memory_bytes(ARCHIVE_PIECE_BYTES);
    archive_check_make(&task->check, geometry, task->memory);
    CHECK(pthread_mutex_init(&task->failure_lock, NULL) == 0);
    task->on = true;
    return URN_OK;
}

static void close_files(struct archive_task *task)
{
    os_file_close(task->source);
    os_file_close(task->file);
    task->source = NULL;
    task->file = NULL;
}

static void close_archive(struct archive_task *task)
{
    close_files(task);
    os_file_close(task->lock);
    os_dir_close(task->dir);
    os_dir_close(task->ring_dir);
    task->lock = NULL;
    task->dir = NULL;
    task->ring_dir = NULL;
}

void archive_task_free(struct archive_task *task)
{
    if (task->on)
        CHECK(pthread_mutex_destroy(&task->failure_lock) == 0);
    close_archive(task);
    free(task->memory);
    free(task->entries);
    free(task->archived_by_slot);
    task->memory = NULL;
    task->entries = NULL;
    task->archived_by_slot = NULL;
    task->on = false;
}

/* ---- health ---------------------------------------------------------------------------------- */

/* What hinders it now, or URN_OK. Who looks on is told when that changes. */
static void note_health(struct archive_task *task, const struct urn_error *error)
{
    CHECK(pthread_mutex_lock(&task->failure_lock) == 0);
    const bool tell =
        error->code != task->failure.code || error->system_errno != task->failure.system_errno;
    task->failure = *error;
    /* Under the lock, so that nobody is told who has abandoned the task. */
    if (tell && !task->abandoned && task->around.notify != NULL)
        task->around.notify(task->around.notify_context);
    CHECK(pthread_mutex_unlock(&task->failure_lock) == 0);
}

void archive_task_abandon(struct archive_task *task)
{
    CHECK(pthread_mutex_lock(&task->failure_lock) == 0);
    task->abandoned = true;
    CHECK(pthread_mutex_unlock(&task->failure_lock) == 0);
}

static void note_well(struct archive_task *task)
{
    const struct urn_error nothing = {.code = URN_OK};
    note_health(task, &nothing);
}

void archive_task_failure(struct archive_task *task, struct urn_error *error)
{
    *error = (struct urn_error){.code = URN_OK};
    if (!task->on)
        return;
    CHECK(pthread_mutex_lock(&task->failure_lock) == 0);
    *error = task->failure;
    CHECK(pthread_mutex_unlock(&task->failure_lock) == 0);
    const uint64_t began_ns = atomic_load(&task->step_began_ns);
    const uint64_t now_ns = os_monotonic_ns(task->around.os);
    if (began_ns != 0 && now_ns > began_ns && now_ns - began_ns >= ARCHIVE_SILENCE_NS)
        error_set(error, URN_IO, 0, "the archive %.200s does not answer, since %" PRIu64 " s",
                  task->path, (now_ns - began_ns) / 1000000000u);
}

/* What was begun is dropped. A file that stays is removed by the next opening. */
static void drop(struct archive_task *task)
{
    close_files(task);
    if (task->has_temporary && task->dir != NULL)
        (void)os_remove(task->dir, task->temporary_name);
    task->has_temporary = false;
}

/* Until one of a higher LSN counts, none is looked for. */
static void refuse_snapshot(struct archive_task *task)
{
    task->refused_lsn = task->due_lsn;
}

static enum archive_want fail(struct archive_task *task, const struct urn_error *error)
{
    if (task->copies_snapshot)
        task->segments_first = true;
    if (task->copies_snapshot && error->code == URN_DAMAGED && task->source != NULL)
        refuse_snapshot(task);
    drop(task);
    close_archive(task);
    atomic_fetch_add_explicit(&task->counters.failures, 1, memory_order_relaxed);
    note_health(task, error);
    task->wake_ns = os_monotonic_ns(task->around.os) + ARCHIVE_RETRY_NS;
    task->step = ARCHIVE_STEP_FAILED;
    return ARCHIVE_WANTS_TIME;
}

static enum archive_want fail_call(struct archive_task *task, int why, const char *what,
                                   const char *name)
{
    struct urn_error error;
    error_set(&error, URN_IO, why, "%s %.150s/%s", what, task->path, name);
    return fail(task, &error);
}

/* What stands in the ring, or in a snapshot, is not what was written there. */
static enum archive_want fail_source(struct archive_task *task, const char *what)
{
    struct urn_error error;
    if (task->copies_snapshot)
        error_set(&error, URN_DAMAGED, 0, "%s cannot be archived, for it is damaged: %s",
                  task->source_name, what);
    else
        error_set(&error, URN_DAMAGED, 0,
                  "the log at LSN %" PRIu64 " (%s) cannot be archived, for it is damaged: %s; "
                  "`urn-wal verify %.100s` shows more",
                  task->check.tail.lsn, task->source_name, what, task->around.data_dir->path);
    return fail(task, &error);
}

/* ---- OPEN ------------------------------------------------------------------------------------ */

/* Where the data directory's archive was, and how. */
static enum urn_code read_note(struct archive_task *task, struct archive_note *note,
                               struct urn_error *error)
{
    const struct data_dir *data_dir = task->around.data_dir;
    bool found = false;
    if (archive_note_read(task->ring_dir, &found, note, error) != URN_OK)
        return error_prefix(error, "%.200s: ", data_dir->path);
    if (!found || memcmp(note->ring_uuid, data_dir->geometry.ring_uuid, WAL_UUID_BYTES) != 0)
        *note = (struct archive_note){.path = ""};
    return URN_OK;
}

static enum urn_code write_note(struct archive_task *task, const struct archive_note *before,
                                struct urn_error *error)
{
    struct archive_note note = {
        .policy = task->around.policy == URN_ARCHIVE_GAP ? ARCHIVE_NOTE_GAP : ARCHIVE_NOTE_BLOCK};
    memcpy(note.ring_uuid, task->around.data_dir->geometry.ring_uuid, WAL_UUID_BYTES);
    memcpy(note.path, task->path, sizeof note.path);
    if (strcmp(note.path, before->path) == 0 && note.policy == before->policy)
        return URN_OK;
    return archive_note_write(task->ring_dir, &note, error);
}

/* The size of the archived segment that begins there: the ring may have had another. */
static uint64_t segment_bytes_of(const struct archive_task *task, uint64_t begin_lsn)
{
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    struct wal_segment_header header;
    struct urn_error ignored;
    struct os_file *file = NULL;
    char name[DATA_DIR_NAME_MAX];
    archive_segment_name(name, begin_lsn);
    if (os_file_open(task->dir, name, OS_READ, &file) != 0)
        return task->segment_bytes;
    const bool is_sound = file_read_exact(file, name, page, sizeof page, 0, &ignored) == URN_OK &&
                          wal_segment_header_read(page, &header) == WAL_READ_OK;
    os_file_close(file);
    return is_sound ? header.segment_size_bytes : task->segment_bytes;
}

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

static uint64_t larger(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/* Where the archive ends, by the names in it. */
static uint64_t end_of_archive(const struct archive_task *task, const struct archive_list *list)
{
    uint64_t end_lsn = 0;
    if (list->segment_count > 0) {
        end_lsn = list->segments[list->segment_count - 1];
        end_lsn += segment_bytes_of(task, end_lsn);
    }
    if (list->snapshot_count > 0)
        end_lsn = larger(end_lsn, list->snapshots[list->snapshot_count - 1].from_lsn);
    return end_lsn;
}

/* Only what is durable is ever archived, a snapshot too: an archive that reaches further is of a log that was cut
 * since, or of which this is an older copy. What it holds is another history, and must not be taken for this
 * one's. */
static enum urn_code check_end(const struct archive_task *task, const struct archive_list *list,
                               struct urn_error *error)
{
    const uint64_t log_lsn = larger(task->start_lsn, atomic_load(task->around.durable_lsn));
    const uint64_t end_lsn = end_of_archive(task, list);
    if (end_lsn <= log_lsn)
        return URN_OK;
    return error_set(
        error, URN_CONFIG, 0,
        "the archive %.200s reaches to LSN %" PRIu64 ", beyond the end of the log at LSN %" PRIu64
        ": the log has been cut or damaged since, or is an older copy; `urn-wal verify` shows "
        "more. Where it is to go on from there all the same, keep that archive as it is, and name "
        "another directory in wal.archive",
        task->path, end_lsn, log_lsn);
}

/* Which of the segments that the ring may have are archived. Returns where those of another size end, which are
 * of the ring before a resize, so that this one has nothing below; 0: there are none. */
static uint64_t take_segments(struct archive_task *task, const struct archive_list *list)
{
    const uint64_t known_lsn = atomic_load(&task->archived_lsn);
    uint64_t resized_lsn = 0;
    for (uint32_t i = list->segment_count; i > 0; i--) {
        const uint64_t lsn = list->segments[i - 1];
        const uint64_t size = segment_bytes_of(task, lsn);
        if (lsn + size <= known_lsn)
            break;
        if (size != task->segment_bytes)
            resized_lsn = larger(resized_lsn, lsn + size);
        else if (lsn % size == 0)
            task->archived_by_slot[wal_slot(&task->around.data_dir->geometry, lsn)] = lsn + 1;
    }
    return resized_lsn;
}

/* What the archive's list says of the ring from archived_lsn on. */
static void take_list(struct archive_task *task, const struct archive_list *list)
{
    const struct wal_geometry *geometry = &task->around.data_dir->geometry;
    const uint64_t resized_lsn = take_segments(task, list);
    const uint64_t known_lsn = larger(atomic_load(&task->archived_lsn),
                                      round_up_u64(resized_lsn, geometry->segment_size_bytes));
    uint64_t first_lsn = UINT64_MAX;
    uint64_t end_lsn = 0;
    if (list->segment_count > 0) {
        first_lsn = list->segments[0];
        end_lsn = list->segments[list->segment_count - 1];
        end_lsn += segment_bytes_of(task, end_lsn);
    }
    for (uint32_t i = 0; i < list->gap_count; i++) {
        first_lsn = smaller(first_lsn, list->gaps[i].from_lsn);
        end_lsn = larger(end_lsn, list->gaps[i].to_lsn);
    }
    if (list->snapshot_count > 0)
        task->snapshot_lsn = list->snapshots[list->snapshot_count - 1].from_lsn;
    uint64_t from_lsn = known_lsn;
    if (first_lsn != UINT64_MAX)
        /* What was pruned is not archived again. (Segments are archived in the order of the log, each durable
         * before the next, and are pruned in that order: what is missing before the first one was pruned.) */
        from_lsn = larger(known_lsn, wal_segment_begin(geometry, first_lsn));
    else /* all of the ring is yet to be archived; what lies between it and the first snapshot never will be */
        end_lsn = list->snapshot_count > 0
                      ? wal_segment_begin(geometry, list->snapshots[0].from_lsn)
                      : UINT64_MAX;
    for (uint32_t i = 0; i < list->gap_count; i++) /* recorded, and perhaps not known to be */
        if (list->gaps[i].from_lsn <= from_lsn && list->gaps[i].to_lsn > from_lsn)
            /* Of the ring before a resize it may end amid what is a segment now. */
            from_lsn = round_up_u64(list->gaps[i].to_lsn, geometry->segment_size_bytes);
    atomic_store(&task->unrecorded_lsn, end_lsn < from_lsn ? end_lsn : UINT64_MAX);
    atomic_store(&task->archived_lsn, from_lsn);
    const bool is_resized = resized_lsn != 0 && end_lsn == resized_lsn;
    if (end_lsn < from_lsn)
        task->gap =
            (struct archive_gap){.from_lsn = end_lsn,
                                 .to_lsn = from_lsn,
                                 .reason = is_resized ? ARCHIVE_GAP_RESIZED : ARCHIVE_GAP_ABSENT};
}

static enum urn_code open_archive(struct archive_task *task, struct urn_error *error)
{
    const struct data_dir *data_dir = task->around.data_dir;
    struct archive_note note;
    int why = os_dir_open(task->around.os, data_dir->path, &task->ring_dir);
    if (why != 0) {
        task->ring_dir = NULL;
        return error_set(error, URN_IO, why, "cannot open %.200s", data_dir->path);
    }
    if (read_note(task, &note, error) != URN_OK)
        return error->code;
    task->was_there = task->was_there || strcmp(note.path, task->path) == 0;
    struct archive_list list;
    if (archive_dir_open_for_writing(task->around.os, task->path, data_dir->geometry.ring_uuid,
                                     task->was_there, &task->dir, &task->lock, error) != URN_OK ||
        archive_dir_list(task->dir, &list, error) != URN_OK)
        return error->code;
    enum urn_code code = check_end(task, &list, error);
    if (code == URN_OK)
        code = archive_dir_remove_leftovers(task->dir, error);
    if (code == URN_OK)
        code = write_note(task, &note, error);
    task->was_there = task->was_there || code == URN_OK;
    if (code == URN_OK)
        take_list(task, &list);
    archive_list_free(&list);
    return code;
}

/* Archiving has been turned off: whoever finds history missing is to know why. */
static void note_off(struct archive_task *task)
{
    const struct data_dir *data_dir = task->around.data_dir;
    struct archive_note note;
    struct urn_error ignored; /* it is only a note: the next start tries again */
    bool found = false;
    if (archive_note_read(data_dir->dir, &found, &note, &ignored) != URN_OK || !found ||
        note.policy == ARCHIVE_NOTE_OFF)
        return;
    note.policy = ARCHIVE_NOTE_OFF;
    (void)archive_note_write(data_dir->dir, &note, &ignored);
}

enum urn_code archive_task_begin(struct archive_task *task, uint64_t x, struct urn_error *error)
{
    if (!task->on) {
        note_off(task);
        return URN_OK;
    }
    const uint64_t begun_lsn =
        wal_segment_begin(&task->around.data_dir->geometry, x + task->segment_bytes - 1);
    task->start_lsn = x;
    atomic_store(&task->archived_lsn,
                 begun_lsn > task->ring_bytes ? begun_lsn - task->ring_bytes : 0);
    struct urn_error why = {.code = URN_OK};
    if (open_archive(task, &why) == URN_OK) {
        task->step = ARCHIVE_STEP_FIND;
        return URN_OK;
    }
    (void)fail(task, &why);
    if (why.code != URN_CONFIG && why.code != URN_INUSE)
        return URN_OK;
    *error = why;
    return why.code;
}

static enum archive_want step_open(struct archive_task *task)
{
    struct urn_error error;
    if (open_archive(task, &error) != URN_OK)
        return fail(task, &error);
    task->step = ARCHIVE_STEP_FIND;
    return ARCHIVE_WANTS_STEP;
}

/* ---- FIND ------------------------------------------------------------------------------------ */

/* What lies below may be overwritten at any time. */
static uint64_t reusable_lsn(const struct archive_task *task)
{
    const uint64_t limit_lsn = atomic_load(task->around.room_limit_lsn);
    return limit_lsn > task->ring_bytes ? limit_lsn - task->ring_bytes : 0;
}

static bool is_archived(const struct archive_task *task, uint64_t lsn)
{
    return task->archived_by_slot[wal_slot(&task->around.data_dir->geometry, lsn)] == lsn + 1;
}

static bool is_snapshot_archived(const struct archive_task *task, uint64_t lsn)
{
    return task->snapshot_lsn != ARCHIVE_NO_SNAPSHOT && lsn <= task->snapshot_lsn;
}

static bool snapshot_is_due(const struct archive_task *task)
{
    const uint64_t newest_lsn = atomic_load(task->around.snapshot_lsn);
    if (newest_lsn == task->refused_lsn || is_snapshot_archived(task, newest_lsn))
        return false;
    return task->snapshot_lsn == ARCHIVE_NO_SNAPSHOT ||
           newest_lsn - task->snapshot_lsn >= task->around.snapshot_every_bytes;
}

static bool segment_is_due(const struct archive_task *task)
{
    const uint64_t archived_lsn = atomic_load_explicit(&task->archived_lsn, memory_order_relaxed);
    return archived_lsn < reusable_lsn(task) || is_archived(task, archived_lsn) ||
           archived_lsn + task->segment_bytes <= atomic_load(task->around.durable_lsn);
}

/* The stretch from archived_lsn on that was overwritten and is not archived. */
static enum archive_want find_gap(struct archive_task *task, uint64_t archived_lsn,
                                  uint64_t reusable)
{
    uint64_t to_lsn = archived_lsn;
    while (to_lsn < reusable && !is_archived(task, to_lsn))
        to_lsn += task->segment_bytes;
    task->gap = (struct archive_gap){
        .from_lsn = archived_lsn, .to_lsn = to_lsn, .reason = ARCHIVE_GAP_REUSED};
    task->step = ARCHIVE_STEP_GAP;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want find_segment(struct archive_task *task)
{
    const uint64_t archived_lsn = atomic_load_explicit(&task->archived_lsn, memory_order_relaxed);
    const uint64_t reusable = reusable_lsn(task);
    if (is_archived(task, archived_lsn)) {
        task->tail_known = task->tail_known && task->tail.lsn == archived_lsn;
        atomic_store(&task->archived_lsn, archived_lsn + task->segment_bytes);
        return ARCHIVE_WANTS_STEP;
    }
    if (archived_lsn < reusable)
        return find_gap(task, archived_lsn, reusable);
    const struct wal_geometry *geometry = &task->around.data_dir->geometry;
    task->copies_snapshot = false;
    task->begin_lsn = archived_lsn;
    data_dir_segment_name(task->source_name, wal_slot(geometry, archived_lsn));
    archive_segment_name(task->file_name, archived_lsn);
    task->step = ARCHIVE_STEP_CREATE;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want find_snapshot(struct archive_task *task)
{
    struct snapshot_name *names = NULL;
    uint32_t count = 0;
    struct urn_error error;
    task->copies_snapshot = true;
    task->due_lsn = atomic_load(task->around.snapshot_lsn);
    if (snapshot_file_list(task->ring_dir, &names, &count, &error) != URN_OK) {
        error_prefix(&error, "cannot archive a snapshot: ");
        return fail(task, &error);
    }
    const struct snapshot_name newest = count > 0 ? names[0] : (struct snapshot_name){0};
    free(names);
    const bool has_gone =
        count == 0 || (newest.lsn < task->due_lsn && is_snapshot_archived(task, newest.lsn));
    if (has_gone) {
        refuse_snapshot(task);
        error_set(&error, URN_DAMAGED, 0,
                  "the snapshot at LSN %" PRIu64
                  " cannot be archived, for it is no longer in %.200s",
                  task->due_lsn, task->around.data_dir->path);
        return fail(task, &error);
    }
    task->begin_lsn = newest.lsn;
    task->serial = newest.serial;
    data_dir_snapshot_name(task->source_name, task->begin_lsn, task->serial);
    memcpy(task->file_name, task->source_name, sizeof task->file_name);
    task->step = ARCHIVE_STEP_CREATE;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want step_find(struct archive_task *task)
{
    if (task->gap.to_lsn != 0) {
        task->step = ARCHIVE_STEP_GAP;
        return ARCHIVE_WANTS_STEP;
    }
    const bool snapshot_due = snapshot_is_due(task);
    /* Said before the look, so that whoever moves the log on either is seen or sees it. */
    atomic_store(&task->awaited_lsn, atomic_load(&task->archived_lsn) + task->segment_bytes);
    const bool segment_due = segment_is_due(task);
    if (!snapshot_due && !segment_due) {
        note_well(task);
        return ARCHIVE_WANTS_EVENT;
    }
    atomic_store(&task->awaited_lsn, UINT64_MAX);
    if (segment_due && (task->segments_first || !snapshot_due))
        return find_segment(task);
    task->segments_first = false;
    return find_snapshot(task);
}

/* ---- GAP ------------------------------------------------------------------------------------- */

static enum archive_want step_gap(struct archive_task *task)
{
    char name[DATA_DIR_NAME_MAX];
    char text[ARCHIVE_TEXT_BYTES_MAX];
    struct urn_error error;
    struct archive_gap *gap = &task->gap;
    memcpy(gap->ring_uuid, task->around.data_dir->geometry.ring_uuid, WAL_UUID_BYTES);
    archive_gap_name(name, gap->from_lsn, gap->to_lsn);
    if (file_publish_checked(task->dir, name, text, archive_gap_format(gap, text), &error) !=
        URN_OK) {
        error_prefix(&error, "cannot record a gap in the archive %.100s: ", task->path);
        return fail(task, &error);
    }
    if (gap->to_lsn > atomic_load(&task->archived_lsn))
        atomic_store(&task->archived_lsn, gap->to_lsn);
    atomic_store(&task->unrecorded_lsn, UINT64_MAX);
    if (gap->reason != ARCHIVE_GAP_RESIZED) { /* in which nothing lies */
        atomic_fetch_add_explicit(&task->counters.gaps, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&task->counters.gap_bytes, gap->to_lsn - gap->from_lsn,
                                  memory_order_relaxed);
    }
    task->tail_known = false;
    *gap = (struct archive_gap){.to_lsn = 0};
    task->step = ARCHIVE_STEP_FIND;
    return ARCHIVE_WANTS_STEP;
}

/* ---- CREATE ---------------------------------------------------------------------------------- */

/* Opens what is to be copied. *gone: a snapshot has been removed since it was listed. */
static enum urn_code open_source(struct archive_task *task, bool *gone, struct urn_error *error)
{
    const int why = os_file_open(task->ring_dir, task->source_name, OS_READ, &task->source);
    *gone = why == ENOENT && task->copies_snapshot;
    if (why != 0) {
        task->source = NULL;
        return error_set(error, URN_IO, why, "cannot open %s, to archive it", task->source_name);
    }
    task->source_bytes = task->segment_bytes;
    if (!task->copies_snapshot)
        return URN_OK;
    const int failure = os_file_size(task->source, &task->source_bytes);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot find the size of %s", task->source_name);
    if (task->source_bytes % SNAPSHOT_BLOCK_BYTES != SNAPSHOT_END_BYTES)
        return error_set(error, URN_DAMAGED, 0,
                         "%s cannot be archived, for it has no snapshot's size", task->source_name);
    const enum urn_code code =
        file_read_exact(task->source, task->source_name, task->end_block, SNAPSHOT_END_BYTES,
                        task->source_bytes - SNAPSHOT_END_BYTES, error);
    if (code == URN_IO && error->system_errno == EIO)
        refuse_snapshot(task);
    return code;
}

static void begin_pass(struct archive_task *task, bool reads_back)
{
    const struct wal_geometry *geometry = &task->around.data_dir->geometry;
    task->done_bytes = 0;
    if (reads_back)
        task->read_crc = 0;
    else
        task->copied_crc = 0;
    if (task->copies_snapshot) {
        snapshot_verifier_begin(&task->verifier);
        return;
    }
    const bool continues = task->tail_known && task->tail.lsn == task->begin_lsn;
    if (!reads_back)
        log_index_begin(&task->index, geometry, task->begin_lsn / task->segment_bytes,
                        log_index_stride_bytes(task->segment_bytes), task->entries,
                        task->entries_max);
    archive_check_begin(&task->check, task->begin_lsn, continues ? &task->tail : NULL, reads_back,
                        reads_back ? NULL : &task->index);
}

static enum archive_want step_create(struct archive_task *task)
{
    struct urn_error error;
    bool gone = false;
    if (open_source(task, &gone, &error) != URN_OK && !gone)
        return fail(task, &error);
    if (gone) {
        task->step = ARCHIVE_STEP_FIND;
        return ARCHIVE_WANTS_STEP;
    }
    (void)snprintf(task->temporary_name, sizeof task->temporary_name, "%s" DATA_DIR_TEMPORARY,
                   task->file_name);
    int why = os_remove(task->dir, task->temporary_name);
    if (why == 0 || why == ENOENT)
        why = os_file_open(task->dir, task->temporary_name, OS_CREATE_DIRECT, &task->file);
    if (why != 0) {
        task->file = NULL;
        return fail_call(task, why, "cannot create", task->temporary_name);
    }
    task->has_temporary = true;
    why = os_file_allocate(task->file, task->source_bytes);
    if (why != 0 && why != EOPNOTSUPP && why != EINVAL) /* without it the writes will tell */
        return fail_call(task, why, "cannot make room for", task->temporary_name);
    begin_pass(task, false);
    task->step = ARCHIVE_STEP_COPY;
    return ARCHIVE_WANTS_STEP;
}

/* ---- COPY and INDEX -------------------------------------------------------------------------- */

/* True when the next piece may begin now; else wake_ns says when. */
static bool pace_allows(struct archive_task *task)
{
    const uint64_t now_ns = os_monotonic_ns(task->around.os);
    if (now_ns < task->pace_ns && !atomic_load_explicit(&task->hurry, memory_order_relaxed)) {
        task->wake_ns = task->pace_ns;
        return false;
    }
    task->pace_ns = now_ns + ARCHIVE_PACE_NS;
    return true;
}

/* Policy gap: the writer did not wait. */
static bool is_overtaken(const struct archive_task *task)
{
    return !task->copies_snapshot && reusable_lsn(task) > task->begin_lsn;
}

static enum archive_want give_up(struct archive_task *task)
{
    drop(task);
    task->step = ARCHIVE_STEP_FIND;
    return ARCHIVE_WANTS_STEP;
}

/* Writes whole pages past the cache, which may take several calls. */
static int write_pages(struct os_file *file, const uint8_t *bytes, uint64_t length_bytes,
                       uint64_t offset)
{
    while (length_bytes > 0) {
        size_t done = 0;
        const int why = os_file_write(file, bytes, length_bytes, offset, &done);
        if (why != 0)
            return why;
        if (done < length_bytes)
            done -= done % OS_PAGE_BYTES;
        if (done == 0)
            return ENOSPC;
        bytes += done;
        offset += done;
        length_bytes -= done;
    }
    return 0;
}

static int read_pages(struct os_file *file, uint8_t *bytes, uint64_t length_bytes, uint64_t offset)
{
    while (length_bytes > 0) {
        size_t done = 0;
        const int why = os_file_read(file, bytes, length_bytes, offset, &done);
        if (why != 0)
            return why;
        if (done < length_bytes)
            done -= done % OS_PAGE_BYTES;
        if (done == 0)
            return EIO;
        bytes += done;
        offset += done;
        length_bytes -= done;
    }
    return 0;
}

static uint32_t piece_bytes(const struct archive_task *task, uint64_t end)
{
    return (uint32_t)smaller(ARCHIVE_PIECE_BYTES, end - task->done_bytes);
}

/* Looks at a piece of the segment or snapshot: NULL, or what is wrong with it. */
static const char *check_piece(struct archive_task *task, uint32_t length_bytes)
{
    if (!task->copies_snapshot)
        return archive_check_take(&task->check, length_bytes)
                   ? NULL
                   : wal_read_result_text(task->check.why);
    const uint8_t *at = archive_check_piece(&task->check);
    while (length_bytes > 0) {
        const uint32_t block =
            length_bytes < SNAPSHOT_BLOCK_BYTES ? SNAPSHOT_END_BYTES : SNAPSHOT_BLOCK_BYTES;
        const char *fault = snapshot_verifier_take(&task->verifier, at, block, task->end_block);
        if (fault != NULL)
            return fault;
        at += block;
        length_bytes -= block;
    }
    return NULL;
}

/* The whole of it has been looked at: NULL, or what is missing. */
static const char *check_whole(const struct archive_task *task)
{
    if (task->copies_snapshot)
        return task->verifier.ended ? NULL : "it has no end";
    return archive_check_ended(&task->check) ? NULL : "its groups do not reach its end";
}

/* The ring has nothing of this segment: it was made anew since (a restored directory begins amid its
 * ring), so that there is nothing to keep. */
static bool is_absent(const struct archive_task *task)
{
    return !task->copies_snapshot && !task->check.header_page_seen &&
           (task->check.why == WAL_READ_ZERO || task->check.why == WAL_READ_PLACE);
}

static enum archive_want skip_absent(struct archive_task *task)
{
    drop(task);
    task->gap = (struct archive_gap){.from_lsn = task->begin_lsn,
                                     .to_lsn = task->begin_lsn + task->segment_bytes,
                                     .reason = ARCHIVE_GAP_ABSENT};
    task->step = ARCHIVE_STEP_GAP;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want step_copy(struct archive_task *task)
{
    if (is_overtaken(task))
        return give_up(task);
    if (!pace_allows(task))
        return ARCHIVE_WANTS_TIME;
    uint8_t *piece = archive_check_piece(&task->check);
    const uint32_t length = piece_bytes(task, task->source_bytes);
    struct urn_error error;
    if (file_read_exact(task->source, task->source_name, piece, length, task->done_bytes, &error) !=
        URN_OK) {
        error_prefix(&error, "cannot archive it: ");
        if (task->copies_snapshot && error.system_errno == EIO)
            refuse_snapshot(task);
        return fail(task, &error);
    }
    if (is_overtaken(task)) /* behind the reading: what was read may be of the next lap */
        return give_up(task);
    const char *fault = check_piece(task, length);
    if (fault != NULL && is_absent(task))
        return skip_absent(task);
    if (fault != NULL)
        return fail_source(task, fault);
    task->copied_crc = crc32c_extend(task->copied_crc, piece, length);
    const int why = write_pages(task->file, piece, length, task->done_bytes);
    if (why != 0)
        return fail_call(task, why, "cannot write", task->temporary_name);
    task->done_bytes += length;
    if (task->done_bytes < task->source_bytes)
        return ARCHIVE_WANTS_STEP;
    fault = check_whole(task);
    if (fault != NULL)
        return fail_source(task, fault);
    task->file_bytes = task->source_bytes;
    task->step = task->copies_snapshot ? ARCHIVE_STEP_SYNC : ARCHIVE_STEP_INDEX;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want step_index(struct archive_task *task)
{
    uint8_t *piece = archive_check_piece(&task->check);
    task->file_bytes = archive_segment_bytes(task->segment_bytes, task->index.count);
    const uint64_t length = task->file_bytes - task->source_bytes;
    memset(piece, 0, length);
    log_index_write(&task->index, piece);
    task->copied_crc = crc32c_extend(task->copied_crc, piece, length);
    const int why = write_pages(task->file, piece, length, task->source_bytes);
    if (why != 0)
        return fail_call(task, why, "cannot write", task->temporary_name);
    task->step = ARCHIVE_STEP_SYNC;
    return ARCHIVE_WANTS_STEP;
}

/* ---- SYNC and READ --------------------------------------------------------------------------- */

static enum archive_want fail_read_back(struct archive_task *task)
{
    struct urn_error error;
    error_set(
        &error, URN_DAMAGED, 0,
        "check the disk of the archive: what was read back is not what was written: %.150s/%s",
        task->path, task->temporary_name);
    return fail(task, &error);
}

static enum archive_want step_sync(struct archive_task *task)
{
    uint64_t size_bytes = 0;
    os_file_close(task->source);
    task->source = NULL;
    int why = os_file_sync(task->file);
    if (why != 0)
        return fail_call(task, why, "cannot sync", task->temporary_name);
    why = os_file_size(task->file, &size_bytes);
    if (why == 0)
        why = os_file_drop_cache(task->file);
    if (why != 0)
        return fail_call(task, why, "cannot read back past the cache", task->temporary_name);
    if (size_bytes != task->file_bytes)
        return fail_read_back(task);
    begin_pass(task, true);
    task->step = ARCHIVE_STEP_READ;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want step_read(struct archive_task *task)
{
    if (!pace_allows(task))
        return ARCHIVE_WANTS_TIME;
    uint8_t *piece = archive_check_piece(&task->check);
    const bool is_index = task->done_bytes >= task->source_bytes;
    const uint32_t length = piece_bytes(task, is_index ? task->file_bytes : task->source_bytes);
    const int why = read_pages(task->file, piece, length, task->done_bytes);
    if (why != 0)
        return fail_call(task, why, "cannot read back", task->temporary_name);
    task->read_crc = crc32c_extend(task->read_crc, piece, length);
    task->done_bytes += length;
    const bool is_last = task->done_bytes == task->file_bytes;
    if (is_last && task->read_crc != task->copied_crc)
        return fail_read_back(task);
    if (!is_index) {
        const char *fault = check_piece(task, length);
        if (fault == NULL && task->done_bytes == task->source_bytes)
            fault = check_whole(task);
        if (fault != NULL && is_last)
            return fail_source(task, fault);
        if (fault != NULL)
            return task->copies_snapshot ? fail_read_back(task) : fail_source(task, fault);
    }
    if (!is_last)
        return ARCHIVE_WANTS_STEP;
    os_file_close(task->file);
    task->file = NULL;
    task->step = ARCHIVE_STEP_RENAME;
    return ARCHIVE_WANTS_STEP;
}

/* ---- RENAME and DIR_SYNC --------------------------------------------------------------------- */

static enum archive_want step_rename(struct archive_task *task)
{
    const int why = os_rename(task->dir, task->temporary_name, task->file_name);
    if (why != 0)
        return fail_call(task, why, "cannot rename", task->temporary_name);
    task->has_temporary = false;
    task->step = ARCHIVE_STEP_DIR_SYNC;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want step_dir_sync(struct archive_task *task)
{
    const int why = os_dir_sync(task->dir);
    /* Nobody knows whether it will be there after a crash. The ring has it still. */
    if (why != 0)
        return fail_call(task, why, "cannot sync the directory of", task->file_name);
    task->step = ARCHIVE_STEP_FIND;
    if (task->copies_snapshot) {
        task->snapshot_lsn = task->begin_lsn;
        atomic_fetch_add_explicit(&task->counters.snapshots, 1, memory_order_relaxed);
        return ARCHIVE_WANTS_STEP;
    }
    const uint32_t slot = wal_slot(&task->around.data_dir->geometry, task->begin_lsn);
    task->archived_by_slot[slot] = task->begin_lsn + 1;
    task->tail = task->check.tail;
    task->tail_known = true;
    atomic_fetch_add_explicit(&task->counters.segments, 1, memory_order_relaxed);
    atomic_store(&task->archived_lsn, task->begin_lsn + task->segment_bytes);
    note_well(task);
    return ARCHIVE_WANTS_STEP;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static enum archive_want step_failed(struct archive_task *task)
{
    if (os_monotonic_ns(task->around.os) < task->wake_ns)
        return ARCHIVE_WANTS_TIME;
    task->step = ARCHIVE_STEP_OPEN;
    return ARCHIVE_WANTS_STEP;
}

static enum archive_want do_step(struct archive_task *task)
{
    switch (task->step) {
    case ARCHIVE_STEP_OPEN:
        return step_open(task);
    case ARCHIVE_STEP_FIND:
        return step_find(task);
    case ARCHIVE_STEP_GAP:
        return step_gap(task);
    case ARCHIVE_STEP_CREATE:
        return step_create(task);
    case ARCHIVE_STEP_COPY:
        return step_copy(task);
    case ARCHIVE_STEP_INDEX:
        return step_index(task);
    case ARCHIVE_STEP_SYNC:
        return step_sync(task);
    case ARCHIVE_STEP_READ:
        return step_read(task);
    case ARCHIVE_STEP_RENAME:
        return step_rename(task);
    case ARCHIVE_STEP_DIR_SYNC:
        return step_dir_sync(task);
    case ARCHIVE_STEP_FAILED:
        break;
    }
    return step_failed(task);
}

enum archive_want archive_task_step(struct archive_task *task)
{
    if (!task->on)
        return ARCHIVE_WANTS_EVENT;
    if (atomic_load(task->around.log_failed)) { /* what the disk holds is unknown: hands off */
        close_archive(task);
        return ARCHIVE_WANTS_EVENT;
    }
    atomic_store(&task->step_began_ns, os_monotonic_ns(task->around.os));
    const enum archive_want want = do_step(task);
    atomic_store(&task->step_began_ns, 0);
    return want;
}

bool archive_task_has_work(const struct archive_task *task)
{
    if (!task->on || atomic_load(task->around.log_failed))
        return false;
    return task->step != ARCHIVE_STEP_FIND || task->gap.to_lsn != 0 || snapshot_is_due(task) ||
           segment_is_due(task);
}
