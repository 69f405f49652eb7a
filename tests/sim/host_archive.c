/* host_archive.c: whether the archive holds what it must; see host.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "tests/sim/host.h"
#include "tests/sim/verdict.h"

/* The archive's file of a segment holds it whole, as the log had it. */
static bool is_archived_soundly(const struct host *host, uint64_t begin_lsn)
{
    const struct wal_geometry *geometry = &host->engine->ring.geometry;
    const uint32_t length = (uint32_t)geometry->segment_size_bytes;
    char name[DATA_DIR_NAME_MAX];
    char path[DATA_DIR_NAME_MAX + 16];
    archive_segment_name(name, begin_lsn);
    snprintf(path, sizeof path, "%s/%s", host->scenario->config.archive, name);
    uint8_t *memory = aligned_alloc(OS_PAGE_BYTES, archive_check_memory_bytes(length));
    CHECK(memory != NULL);
    struct archive_check check;
    archive_check_make(&check, geometry, memory);
    archive_check_begin(&check, begin_lsn, NULL, true, NULL);
    const bool sound = sim_file_bytes(host->world, path, 0, archive_check_piece(&check), length) &&
                       archive_check_take(&check, length) && archive_check_ended(&check);
    free(memory);
    return sound;
}

/* A record says that the stretch is not archived. */
struct gap_search {
    uint64_t lsn;
    bool found;
    bool begins_before; /* the archive holds or records something before it */
};

static void look_for_gap(void *context, const char *name)
{
    struct gap_search *search = context;
    const struct archive_name parsed = archive_name_parse(name);
    if (parsed.kind != ARCHIVE_NAME_GAP && parsed.kind != ARCHIVE_NAME_SEGMENT)
        return;
    if (parsed.from_lsn < search->lsn)
        search->begins_before = true;
    if (parsed.kind == ARCHIVE_NAME_GAP && parsed.from_lsn <= search->lsn &&
        search->lsn < parsed.to_lsn)
        search->found = true;
}

void host_look_at_archive(struct host *host)
{
    const struct archive_task *task = &host->engine->archive;
    if (!task->on || task->dir == NULL || host_crashed(host))
        return;
    const uint64_t limit_lsn = atomic_load(&host->engine->room_limit_lsn);
    const uint64_t reusable_lsn = limit_lsn > task->ring_bytes ? limit_lsn - task->ring_bytes : 0;
    const uint64_t archived_lsn = atomic_load(&task->archived_lsn);
    PROMISE(task->around.policy == URN_ARCHIVE_GAP || reusable_lsn <= archived_lsn,
            "the log may overwrite LSN %" PRIu64 ", which is not archived", archived_lsn);
    for (; host->archive_looked_lsn < archived_lsn;
         host->archive_looked_lsn += task->segment_bytes) {
        struct gap_search search = {.lsn = host->archive_looked_lsn};
        if (task->gap.from_lsn <= search.lsn && search.lsn < task->gap.to_lsn)
            return; /* about to be recorded */
        if (is_archived_soundly(host, search.lsn))
            continue;
        sim_list(host->world, host->scenario->config.archive, look_for_gap, &search);
        if (task->around.policy == URN_ARCHIVE_GAP && !search.begins_before)
            continue; /* the archive could not be written from the first day on: it begins later */
        PROMISE(search.found, "the segment at LSN %" PRIu64 " is neither in ring nor archive",
                search.lsn);
        PROMISE(task->around.policy == URN_ARCHIVE_GAP, "a gap at LSN %" PRIu64, search.lsn);
        host->coverage->archive_gaps++;
    }
}
