/* repair_groups.c: the whole groups at or behind an LSN, wherever they lie. */
#include <errno.h>
#include <stdlib.h>

#include "engine/check.h"
#include "tools/urn_wal/repair.h"

struct collection {
    struct later_groups *later;
    uint64_t from_lsn;
    bool no_memory;
};

static bool collect(void *context, const struct wal_group_header *header)
{
    struct collection *collection = context;
    struct later_groups *later = collection->later;
    if (header->lsn < collection->from_lsn)
        return true;
    if (later->count == later->room) {
        const uint32_t room = later->room == 0 ? 256 : 2 * later->room;
        struct later_group *larger = realloc(later->groups, room * sizeof *larger);
        collection->no_memory = larger == NULL;
        if (larger == NULL)
            return false;
        later->groups = larger;
        later->room = room;
    }
    later->groups[later->count++] =
        (struct later_group){.lsn = header->lsn, .length_bytes = header->length_bytes};
    return true;
}

static int compare(const void *one, const void *other)
{
    const struct later_group *a = one;
    const struct later_group *b = other;
    if (a->lsn != b->lsn)
        return a->lsn < b->lsn ? -1 : 1;
    return a->length_bytes < b->length_bytes ? -1 : a->length_bytes > b->length_bytes;
}

enum urn_code later_groups_find(const struct history *history, uint64_t from_lsn,
                                struct later_groups *later, struct urn_error *error)
{
    struct collection collection = {.later = later, .from_lsn = from_lsn};
    enum urn_code code = URN_OK;
    *later = (struct later_groups){.groups = NULL};
    for (uint32_t i = 0; i < history->segment_count && code == URN_OK; i++) {
        if (history->segments[i].state == HISTORY_MISSING)
            continue;
        code = history_search(history, &history->segments[i], 0, collect, &collection, NULL, error);
        if (code == URN_OK && collection.no_memory)
            code = error_set(error, URN_NOMEMORY, ENOMEM, "cannot list the groups of %.200s",
                             history->path);
    }
    if (code == URN_OK && later->count > 1)
        qsort(later->groups, later->count, sizeof *later->groups, compare);
    if (code != URN_OK) {
        free(later->groups);
        *later = (struct later_groups){.groups = NULL};
    }
    return code;
}

static const struct history_segment *segment_of(const struct history *history, uint64_t lsn)
{
    const uint64_t slot = lsn / history->geometry.segment_size_bytes % history->geometry.segments;
    for (uint32_t i = 0; i < history->segment_count; i++)
        if (history->segments[i].slot == slot)
            return &history->segments[i];
    return NULL;
}

enum urn_code later_group_read(const struct history *history, const struct later_group *group,
                               struct wal_group_header *header, uint8_t **bytes, bool *whole,
                               struct urn_error *error)
{
    const struct history_segment *segment = segment_of(history, group->lsn);
    struct os_file *file = NULL;
    uint64_t got = 0;
    uint64_t bad = 0;
    CHECK(segment != NULL); /* it was found there */
    *whole = false;
    if (*bytes == NULL && (*bytes = malloc(GROUP_BYTES_MAX)) == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read a group");
    CHECK(group->length_bytes <= GROUP_BYTES_MAX);
    const int failure = os_file_open(segment->dir, segment->name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    const enum urn_code code =
        history_read(file, segment->name, group->lsn % history->geometry.segment_size_bytes, *bytes,
                     group->length_bytes, &got, &bad, error);
    os_file_close(file);
    *whole = code == URN_OK &&
             wal_group_read(*bytes, got, wal_ring_short(history->geometry.ring_uuid), header) ==
                 WAL_READ_OK;
    return code;
}
