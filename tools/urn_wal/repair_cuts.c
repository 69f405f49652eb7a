/* repair_cuts.c: which bytes of which slots become zeros. See repair.h, "What a cut is". Only reads. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "tools/urn_wal/repair.h"

#define READ_BYTES (1024u * 1024)

/* Of one slot. */
struct slot {
    uint64_t kept_from; /* the stretch from the base to the cut: never touched; empty: equal */
    uint64_t kept_to;
    uint64_t
        low_to; /* what is below this was written before the base, if it is of the log that is kept */
    bool is_later_low; /* and something there belongs at or behind the cut */
};

/* ---- what cannot be read ----------------------------------------------------------------------- */

static enum urn_code add_bad_sector(struct repair_plan *plan, uint32_t slot, uint64_t offset,
                                    struct urn_error *error)
{
    if (plan->bad_sector_count == REPAIR_CUTS_MAX)
        return error_set(error, URN_DAMAGED, 0,
                         "more than %u sectors cannot be read: copy what can be read to another "
                         "disk first",
                         REPAIR_CUTS_MAX);
    plan->bad_sectors[plan->bad_sector_count++] = (struct bad_sector){slot, offset};
    return URN_OK;
}

static enum urn_code find_bad_in(const struct history_segment *segment, uint8_t *bytes,
                                 struct repair_plan *plan, struct urn_error *error)
{
    struct os_file *file = NULL;
    const int failure = os_file_open(segment->dir, segment->name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    enum urn_code code = URN_OK;
    for (uint64_t offset = 0; offset < segment->file_bytes && code == URN_OK;) {
        const uint64_t left = segment->file_bytes - offset;
        uint64_t got = 0;
        uint64_t bad = 0;
        code = history_read(file, segment->name, offset, bytes,
                            left < READ_BYTES ? left : READ_BYTES, &got, &bad, error);
        offset += got;
        if (code != URN_OK || bad == NO_OFFSET) {
            if (got == 0)
                break; /* the file has become shorter */
            continue;
        }
        offset = bad - bad % OS_SECTOR_BYTES;
        code = add_bad_sector(plan, segment->slot, offset, error);
        offset += OS_SECTOR_BYTES;
    }
    os_file_close(file);
    return code;
}

static enum urn_code find_bad_sectors(const struct history *history, struct repair_plan *plan,
                                      struct urn_error *error)
{
    uint8_t *bytes = malloc(READ_BYTES);
    plan->bad_sectors = calloc(REPAIR_CUTS_MAX, sizeof *plan->bad_sectors);
    enum urn_code code = URN_OK;
    if (bytes == NULL || plan->bad_sectors == NULL) {
        free(bytes);
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot plan a repair");
    }
    for (uint32_t i = 0; i < history->segment_count && code == URN_OK; i++)
        code = find_bad_in(&history->segments[i], bytes, plan, error);
    free(bytes);
    return code;
}

/* ---- what stands where --------------------------------------------------------------------------- */

static bool lies_in(uint64_t from, uint64_t to, uint64_t begin, uint64_t end)
{
    return begin < to && end > from;
}

/* The stretch from the base to the cut, by slots. */
static void note_kept(const struct wal_geometry *geometry, const struct repair_plan *plan,
                      struct slot *slots)
{
    const uint64_t size = geometry->segment_size_bytes;
    for (uint64_t lsn = plan->base.lsn; lsn < plan->intent.lsn;) {
        const uint64_t segment_end = lsn - lsn % size + size;
        const uint64_t end = plan->intent.lsn < segment_end ? plan->intent.lsn : segment_end;
        struct slot *slot = &slots[lsn / size % geometry->segments];
        slot->kept_from = lsn % size;
        slot->kept_to = slot->kept_from + (end - lsn);
        lsn = end;
    }
    struct slot *last = &slots[plan->intent.lsn / size % geometry->segments];
    for (uint32_t i = 0; i < geometry->segments; i++)
        slots[i].low_to = slots[i].kept_from < slots[i].kept_to ? slots[i].kept_from
                          : &slots[i] == last                   ? plan->intent.lsn % size
                                                                : size;
}

/* Groups and header pages that belong at or behind the cut. */
static enum urn_code note_later(const struct history *history, const struct repair_plan *plan,
                                struct slot *slots, struct urn_error *error)
{
    const uint64_t size = history->geometry.segment_size_bytes;
    for (uint32_t i = 0; i < plan->later.count; i++) {
        const struct later_group *group = &plan->later.groups[i];
        struct slot *slot = &slots[group->lsn / size % history->geometry.segments];
        const uint64_t offset = group->lsn % size;
        slot->is_later_low = slot->is_later_low || offset < slot->low_to;
        if (lies_in(slot->kept_from, slot->kept_to, offset, offset + group->length_bytes))
            return error_set(error, URN_DAMAGED, 0,
                             "a group of LSN %" PRIu64
                             " lies amid what is sound of an earlier lap: choose a lower LSN",
                             group->lsn);
    }
    for (uint32_t i = 0; i < history->segment_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        if (segment->header_why == WAL_READ_OK && !segment->header_unreadable &&
            segment->header.sequence >= (plan->intent.lsn + size - 1) / size)
            slots[segment->slot].is_later_low = true;
    }
    return URN_OK;
}

/* ---- the cuts -------------------------------------------------------------------------------------- */

static enum urn_code add_cut(struct repair_plan *plan, uint32_t slot, uint64_t from, uint64_t to,
                             struct urn_error *error)
{
    struct repair_intent *intent = &plan->intent;
    if (from >= to)
        return URN_OK;
    if (intent->cut_count == REPAIR_CUTS_MAX)
        return error_set(error, URN_DAMAGED, 0, "more than %u places would have to be zeroed",
                         REPAIR_CUTS_MAX);
    intent->cuts[intent->cut_count++] = (struct repair_cut){slot, from, to};
    plan->touched[slot] = true;
    return URN_OK;
}

static bool is_cut(const struct repair_plan *plan, const struct bad_sector *bad)
{
    for (uint32_t i = 0; i < plan->intent.cut_count; i++) {
        const struct repair_cut *cut = &plan->intent.cuts[i];
        if (cut->slot == bad->slot && cut->from <= bad->offset &&
            cut->to >= bad->offset + OS_SECTOR_BYTES)
            return true;
    }
    return false;
}

/* A sector that reaches from what is kept into what is cut off, or lies in old history, is cut by itself. */
static enum urn_code cut_bad_sectors(struct repair_plan *plan, const struct slot *slots,
                                     struct urn_error *error)
{
    for (uint32_t i = 0; i < plan->bad_sector_count; i++) {
        const struct bad_sector *bad = &plan->bad_sectors[i];
        const struct slot *slot = &slots[bad->slot];
        if (is_cut(plan, bad))
            continue;
        if (lies_in(slot->kept_from, slot->kept_to, bad->offset, bad->offset + OS_SECTOR_BYTES))
            return error_set(error, URN_DAMAGED, 0,
                             "segment-%04" PRIu32 " cannot be read at offset %" PRIu64
                             ", which is needed: choose a lower LSN",
                             bad->slot, bad->offset);
        if (add_cut(plan, bad->slot, bad->offset, bad->offset + OS_SECTOR_BYTES, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

/* The epoch group, or the mark behind it, may have to open the next segment. */
static enum urn_code cut_next_segment(const struct wal_geometry *geometry, struct repair_plan *plan,
                                      const struct slot *slots, struct urn_error *error)
{
    const uint64_t size = geometry->segment_size_bytes;
    const struct wal_placement epoch =
        wal_place(geometry, plan->intent.lsn, WAL_EPOCH_GROUP_BYTES, true);
    const struct wal_placement mark =
        wal_place(geometry, epoch.end_lsn, WAL_GROUP_HEADER_BYTES, true);
    const uint32_t slot = (uint32_t)(mark.group_lsn / size % geometry->segments);
    if (plan->intent.what == REPAIR_TAIL || (!epoch.new_segment && !mark.new_segment))
        return URN_OK;
    if (slots[slot].kept_from < slots[slot].kept_to)
        return error_set(error, URN_BADARG, 0,
                         "behind LSN %" PRIu64
                         " the ring has no room for an epoch group: choose a lower LSN",
                         plan->intent.lsn);
    return plan->touched[slot] ? URN_OK : add_cut(plan, slot, 0, size, error);
}

static enum urn_code cut_slots(const struct wal_geometry *geometry, struct repair_plan *plan,
                               const struct slot *slots, struct urn_error *error)
{
    const uint64_t size = geometry->segment_size_bytes;
    const uint32_t last = (uint32_t)(plan->intent.lsn / size % geometry->segments);
    for (uint32_t which = 0; which < geometry->segments; which++)
        if (slots[which].is_later_low &&
            add_cut(plan, which, 0, slots[which].low_to, error) != URN_OK)
            return error->code;
    return add_cut(plan, last, plan->intent.lsn % size, size, error);
}

enum urn_code repair_plan_cuts(struct repair *repair, struct repair_plan *plan,
                               struct urn_error *error)
{
    const struct wal_geometry *geometry = &repair->history.geometry;
    struct slot *slots = calloc(geometry->segments, sizeof *slots);
    plan->touched = calloc(geometry->segments, sizeof *plan->touched);
    if (slots == NULL || plan->touched == NULL) {
        free(slots);
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot plan a repair");
    }
    enum urn_code code = find_bad_sectors(&repair->history, plan, error);
    if (code == URN_OK) {
        note_kept(geometry, plan, slots);
        code = note_later(&repair->history, plan, slots, error);
    }
    if (code == URN_OK)
        code = cut_slots(geometry, plan, slots, error);
    if (code == URN_OK)
        code = cut_next_segment(geometry, plan, slots, error);
    if (code == URN_OK)
        code = cut_bad_sectors(plan, slots, error);
    free(slots);
    return code;
}
