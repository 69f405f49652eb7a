/* repair_loss.c: which acknowledged draws a cut would lose. See repair.h. Only reads.
 *
 * The log behind the cut is walked across its damage, as `urn-wal cat` does it. Groups tell their draws; where
 * none can be read, the ids of the group before and of the one behind tell how many there were.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/repair.h"

struct loss {
    struct repair *repair;
    struct repair_plan *plan;
    struct output *output; /* NULL: nothing is listed */
    struct cat_print print;
    struct names names;
    uint64_t next_id; /* behind the last group */
    bool gap_open;    /* and a break followed it */
    struct walk_break gap;
    uint64_t walked_groups;
};

static void list_line(const struct loss *loss, const char *line)
{
    if (loss->output == NULL)
        return;
    output_text(loss->output, line);
    output_line_end(loss->output);
}

/* A break, once the ids behind it are known, or not: 0. */
static void list_break(struct loss *loss, uint64_t first_id)
{
    char text[BREAK_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    char line[BREAK_TEXT_BYTES + PLACE_TEXT_BYTES + 32];
    if (!loss->gap_open)
        return;
    loss->gap_open = false;
    if (first_id > loss->next_id)
        loss->plan->unread_draws += first_id - loss->next_id;
    loss->plan->loss_is_open = loss->plan->loss_is_open || first_id == 0;
    break_text(&loss->repair->history, &loss->gap, loss->next_id, first_id, text);
    (void)snprintf(line, sizeof line, "UNREAD LSN %" PRIu64 " (%s): %s", loss->gap.from_lsn,
                   history_place(&loss->repair->history, loss->gap.from_lsn, place), text);
    list_line(loss, line);
}

static enum urn_code take_group(struct loss *loss, const struct scan_item *item,
                                struct urn_error *error)
{
    const struct wal_group_header *header = &item->header;
    uint32_t offset = 0;
    struct wal_entry entry;
    list_break(loss, header->first_request_id);
    loss->walked_groups++;
    loss->next_id = header->first_request_id + header->draws;
    loss->plan->lost_draws += header->draws;
    while (wal_entry_next(item->bytes, header, &offset, &entry) == WAL_READ_OK) {
        if (entry.type == WAL_ENTRY_EPOCH)
            loss->next_id = entry.next_request_id;
        else if (wal_entry_is_change(entry.type))
            loss->plan->lost_changes++;
    }
    return loss->output == NULL ? URN_OK
                                : cat_print_group(&loss->print, header, item->bytes, error);
}

/* Behind the end of the walk a sound snapshot can still tell which ids were given before it. */
static void take_snapshots(struct loss *loss)
{
    const struct verify_report *report = &loss->repair->report;
    const struct snapshot_report *newest = NULL;
    for (uint32_t i = 0; i < report->snapshot_count && newest == NULL; i++)
        if (report->snapshots[i].sound && report->snapshots[i].id.lsn > loss->plan->intent.lsn)
            newest = &report->snapshots[i];
    if (newest == NULL || newest->next_request_id <= loss->next_id)
        return;
    list_break(loss, newest->next_request_id);
    loss->next_id = newest->next_request_id;
}

/* What says that the log once reached beyond all that was walked. */
static enum urn_code known_durable(const struct loss *loss, uint64_t *durable_lsn,
                                   struct urn_error *error)
{
    const struct repair *repair = loss->repair;
    struct wal_evidence evidence;
    if (wal_search_evidence(&repair->data_dir, loss->plan->intent.lsn, NULL, &evidence, error) !=
        URN_OK)
        return error->code;
    *durable_lsn = evidence.durable_lsn_max;
    if (repair->history.snapshot_count > 0) {
        const uint64_t lsn = repair->history.snapshots[0].id.lsn;
        if (lsn - lsn % WAL_ALIGN_BYTES > *durable_lsn)
            *durable_lsn = lsn - lsn % WAL_ALIGN_BYTES;
    }
    return URN_OK;
}

static enum urn_code walk_loss(struct loss *loss, struct urn_error *error)
{
    struct history *history = &loss->repair->history;
    uint64_t durable_lsn = 0;
    if (known_durable(loss, &durable_lsn, error) != URN_OK)
        return error->code;
    struct walk walk;
    enum urn_code code = walk_begin(history, loss->plan->intent.lsn, UINT64_MAX, durable_lsn,
                                    SCAN_DIGESTS, &walk, error);
    if (code != URN_OK)
        return code;
    walk_anchor(&walk, &loss->plan->tail);
    for (bool ended = false; !ended && code == URN_OK;) {
        switch (walk_next(&walk, error)) {
        case WALK_GROUP:
            code = take_group(loss, &walk.item, error);
            break;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            list_break(loss, 0);
            loss->gap = walk.gap;
            loss->gap_open = true;
            break;
        case WALK_END:
            ended = true;
            break;
        case WALK_ERROR:
            code = error->code;
            break;
        }
    }
    loss->plan->loss_is_open = loss->plan->loss_is_open || walk.end_unreadable;
    walk_end(&walk);
    if (code == URN_OK) {
        take_snapshots(loss);
        list_break(loss, 0);
    }
    return code;
}

static enum urn_code walk_listing(struct loss *loss, struct urn_error *error)
{
    static const struct selection all = {
        .kinds = ENTRY_KINDS, .to_lsn = UINT64_MAX, .until_us = UINT64_MAX, .ids.last = UINT64_MAX};
    enum urn_code code = names_begin(&loss->names, &loss->repair->history, error);
    if (code != URN_OK)
        return code;
    const struct printer printer = {
        .format = &lines_text, .output = loss->output, .names = &loss->names};
    cat_print_begin(&loss->print, &all, &printer, loss->repair->tool->notes, UINT64_MAX);
    code = walk_loss(loss, error);
    cat_print_end(&loss->print);
    names_end(&loss->names);
    return code;
}

/* Sectors beyond those that the walk has met: anything may have stood there. */
static bool has_other_bad_sectors(const struct repair_plan *plan,
                                  const struct wal_geometry *geometry)
{
    const uint64_t size = geometry->segment_size_bytes;
    const uint32_t slot = (uint32_t)(plan->intent.lsn / size % geometry->segments);
    for (uint32_t i = 0; i < plan->bad_sector_count; i++)
        if (plan->bad_sectors[i].slot != slot ||
            plan->bad_sectors[i].offset + OS_SECTOR_BYTES <= plan->intent.lsn % size)
            return true;
    return false;
}

enum urn_code repair_list_loss(struct repair *repair, struct repair_plan *plan, bool lists,
                               struct urn_error *error)
{
    struct loss loss = {.repair = repair, .plan = plan, .next_id = plan->kept_next_id};
    enum urn_code code = URN_OK;
    if (lists && (loss.output = malloc(sizeof *loss.output)) == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot list what would be lost");
    if (lists)
        (void)fprintf(repair->tool->out, "behind LSN %" PRIu64 " stands:\n", plan->intent.lsn);
    if (lists)
        output_begin(loss.output, repair->tool->out);
    code = lists ? walk_listing(&loss, error) : walk_loss(&loss, error);
    if (lists && !output_end(loss.output) && code == URN_OK)
        code = error_set(error, URN_IO, errno, "cannot write the output");
    free(loss.output);
    plan->beyond_durable_groups =
        plan->later.count > loss.walked_groups ? plan->later.count - loss.walked_groups : 0;
    plan->loss_is_open =
        plan->loss_is_open || has_other_bad_sectors(plan, &repair->history.geometry);
    if (loss.next_id > 0 && loss.next_id - 1 > plan->highest_id)
        plan->highest_id = loss.next_id - 1;
    return code;
}
