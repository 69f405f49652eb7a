/* verify.c: the looking. verify_report.c does the telling. */
#include "tools/urn_wal/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/findings.h"
#include "tools/urn_wal/tail.h"
#include "tools/urn_wal/walk.h"

/* One look at everything. */
struct inspection {
    struct history *history;
    struct verify_report *report;
    struct walk walk;
    bool overtaken; /* a server has written over what was being read: all is to be looked at anew */
    /* the state that the log makes, from the first snapshot on that it comes to */
    struct state state;
    bool has_state;
    /* a start begins at the newest sound snapshot (snapshot_count: there is none) */
    uint32_t start_snapshot;
    bool start_meets_break; /* behind it, and may not come to the log's end */
    /* before any state: what groups say of themselves */
    bool met_group;
    uint64_t next_id;
    uint64_t reserved_id;
    uint64_t engine_time_us;
    /* a break, until the group behind it is known */
    bool break_open;
    struct walk_break gap;
    bool ids_follow;      /* no break since the last group */
    bool ends_with_break; /* behind which nothing of the log was found */
    uint64_t trusted_lsn; /* from here to the walk's tail all groups are whole and in one chain */
    struct segment_report *segment; /* of the last group */
    struct walk_progress progress;
};

/* ---- snapshots ------------------------------------------------------------------------------- */

static enum urn_code digest_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                  struct urn_error *error)
{
    (void)error;
    (void)crypto_generichash_update(context, block, length_bytes);
    return URN_OK;
}

/* What a snapshot of this state would hold, in 32 bytes. The LSN apart, which who compares knows to be the same, and
 * which need not fit the ring: before a resize its segments were others. */
static enum urn_code state_digest(const struct verify_report *report, const struct state *state,
                                  uint8_t digest[32], struct urn_error *error)
{
    uint8_t *block = aligned_alloc(OS_PAGE_BYTES, SNAPSHOT_BLOCK_BYTES);
    if (block == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot compare a snapshot");
    struct state placed = *state;
    crypto_generichash_state hash;
    placed.tail.lsn = 0;
    (void)crypto_generichash_init(&hash, NULL, 0, 32);
    const enum urn_code code =
        snapshot_encode(&placed, &report->geometry, block, digest_block, &hash, error);
    (void)crypto_generichash_final(&hash, digest, 32);
    free(block);
    return code;
}

/* A snapshot that does not load is a finding where the file is to blame, else an error. *gone: it was
 * listed, but a server has removed it since. */
static enum urn_code check_snapshot(struct inspection *inspection, uint32_t which, bool *gone,
                                    struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    struct snapshot_report *snapshot = &report->snapshots[which];
    struct state state;
    *snapshot = (struct snapshot_report){.id = inspection->history->snapshots[which].id};
    memcpy(snapshot->name, inspection->history->snapshots[which].name, sizeof snapshot->name);
    enum urn_code code = history_load(inspection->history, which, &state, error);
    *gone = history_lost(inspection->history, code, error);
    if (*gone)
        return URN_OK;
    const bool unreadable = code == URN_IO && error->system_errno == EIO;
    if (code == URN_DAMAGED || code == URN_FORMAT || unreadable) {
        verify_find(report, FINDING_DAMAGE, "%s", error->text);
        return URN_OK;
    }
    if (code != URN_OK)
        return code;
    snapshot->sound = true;
    snapshot->tail = state.tail;
    snapshot->pools = state.pool_count;
    snapshot->items = state.item_count;
    snapshot->next_request_id = state.next_request_id;
    snapshot->reserved_request_id = state.reserved_request_id;
    code = state_digest(report, &state, snapshot->digest, error);
    state_free(&state);
    return code;
}

static enum urn_code check_snapshots(struct inspection *inspection, struct urn_error *error)
{
    struct history *history = inspection->history;
    struct verify_report *report = inspection->report;
    bool listed_some = false;
    for (uint32_t which = 0; which < history->snapshot_count; which++)
        listed_some = listed_some || !history->snapshots[which].archived;
    if (!listed_some && history->is_directory)
        verify_find(report, FINDING_MISSING, "there is no snapshot");
    for (uint32_t which = 0; which < history->snapshot_count;) {
        bool gone = false;
        const enum urn_code code = check_snapshot(inspection, which, &gone, error);
        if (code != URN_OK)
            return code;
        if (!gone) {
            which++;
            continue;
        }
        history->snapshot_count--;
        memmove(&history->snapshots[which], &history->snapshots[which + 1],
                (history->snapshot_count - which) * sizeof history->snapshots[0]);
    }
    report->snapshot_count = history->snapshot_count;
    bool kept_some = !history->is_directory;
    for (uint32_t which = 0; which < history->snapshot_count; which++)
        kept_some = kept_some || !history->snapshots[which].archived;
    inspection->overtaken = listed_some && !kept_some;
    inspection->start_snapshot = 0; /* a start does not look into the archive */
    while (inspection->start_snapshot < report->snapshot_count &&
           (!report->snapshots[inspection->start_snapshot].sound ||
            (history->is_directory && history->snapshots[inspection->start_snapshot].archived)))
        inspection->start_snapshot++;
    return URN_OK;
}

/* ---- states --------------------------------------------------------------------------------------- */

static void drop_state(struct inspection *inspection)
{
    if (inspection->has_state)
        state_free(&inspection->state);
    inspection->has_state = false;
}

/* Where the history has this snapshot now: beside a server the walk lists the files anew. The count: it has not. */
static uint32_t find_listed(const struct history *history, struct snapshot_name id)
{
    uint32_t which = 0;
    while (which < history->snapshot_count && (history->snapshots[which].id.lsn != id.lsn ||
                                               history->snapshots[which].id.serial != id.serial))
        which++;
    return which;
}

/* The state goes on from this sound snapshot's file: so that at the end it is what a start makes. */
static enum urn_code load_state(struct inspection *inspection, uint32_t which,
                                struct urn_error *error)
{
    struct history *history = inspection->history;
    const uint32_t listed = find_listed(history, inspection->report->snapshots[which].id);
    drop_state(inspection);
    if (listed == history->snapshot_count) { /* the server has removed it */
        inspection->overtaken = true;
        return URN_OK;
    }
    const enum urn_code code = history_load(history, listed, &inspection->state, error);
    inspection->has_state = code == URN_OK;
    if (history_lost(history, code, error)) {
        inspection->overtaken = true;
        return URN_OK;
    }
    return code;
}

/* A start goes on from this snapshot, true or not, as far as the log follows from it: tail is the log's there. */
static enum urn_code start_from(struct inspection *inspection, uint32_t which,
                                const struct wal_tail *tail, struct urn_error *error)
{
    const struct snapshot_report *snapshot = &inspection->report->snapshots[which];
    return memcmp(snapshot->tail.chain, tail->chain, WAL_CHAIN_BYTES) == 0
               ? load_state(inspection, which, error)
               : URN_OK;
}

/* The log has come to the LSN of this snapshot: state and snapshot are to be the same. */
static enum urn_code compare_with_snapshot(struct inspection *inspection, uint32_t which,
                                           struct urn_error *error)
{
    struct snapshot_report *snapshot = &inspection->report->snapshots[which];
    uint8_t digest[32];
    const struct wal_tail tail = inspection->state.tail;
    inspection->state.tail.lsn = snapshot->id.lsn;
    inspection->state.tail.epoch =
        snapshot->tail.epoch; /* a segment's header may tell of a later one */
    const enum urn_code code = state_digest(inspection->report, &inspection->state, digest, error);
    inspection->state.tail = tail;
    if (code != URN_OK)
        return code;
    if (memcmp(digest, snapshot->digest, sizeof digest) != 0) {
        snapshot->sound = false;
        verify_find_at(inspection->report, FINDING_MEANING, snapshot->id.lsn,
                       "%s is not what the log makes of the snapshot before it", snapshot->name);
    }
    return which == inspection->start_snapshot ? start_from(inspection, which, &tail, error)
                                               : URN_OK;
}

/* A snapshot that the log comes to without a state: the chain says whether it is of this log; then it gives
 * the state. */
static enum urn_code begin_state(struct inspection *inspection, uint32_t which,
                                 const struct wal_tail *tail, struct urn_error *error)
{
    struct snapshot_report *snapshot = &inspection->report->snapshots[which];
    if (memcmp(snapshot->tail.chain, tail->chain, WAL_CHAIN_BYTES) != 0) {
        snapshot->sound = false;
        verify_find_at(inspection->report, FINDING_MEANING, snapshot->id.lsn,
                       "%s is of another history than the log: its chain differs", snapshot->name);
        return URN_OK;
    }
    return load_state(inspection, which, error);
}

/* What is to be done where the log has come to the LSN of sound snapshots: tail is the log's there. */
static enum urn_code at_snapshots(struct inspection *inspection, const struct wal_tail *tail,
                                  struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    enum urn_code code = URN_OK;
    for (uint32_t which = report->snapshot_count; which-- > 0 && code == URN_OK;) {
        const struct snapshot_report *snapshot = &report->snapshots[which];
        if (!snapshot->sound || snapshot->id.lsn != tail->lsn)
            continue;
        code = inspection->has_state ? compare_with_snapshot(inspection, which, error)
                                     : begin_state(inspection, which, tail, error);
    }
    return code;
}

/* Snapshots whose LSN lies inside a group, where none can have been taken. */
static void find_snapshots_inside(struct inspection *inspection,
                                  const struct wal_group_header *header)
{
    struct verify_report *report = inspection->report;
    for (uint32_t which = 0; which < report->snapshot_count; which++) {
        struct snapshot_report *snapshot = &report->snapshots[which];
        if (!snapshot->sound || snapshot->id.lsn <= header->lsn ||
            snapshot->id.lsn >= header->lsn + header->length_bytes)
            continue;
        snapshot->sound = false;
        verify_find_at(report, FINDING_MEANING, snapshot->id.lsn,
                       "%s was taken inside the group at %" PRIu64, snapshot->name, header->lsn);
    }
}

/* ---- groups ---------------------------------------------------------------------------------------- */

static void count_group(struct inspection *inspection, const struct wal_group_header *header)
{
    struct verify_report *report = inspection->report;
    struct segment_report *segment = inspection->segment;
    if (segment == NULL || header->lsn < segment->first_lsn ||
        header->lsn - segment->first_lsn >= segment->size_bytes)
        segment = inspection->segment = verify_segment_at(report, header->lsn);
    report->groups++;
    report->draws += header->draws;
    report->log_bytes += header->length_bytes;
    if (segment == NULL)
        return;
    if (segment->groups == 0) {
        segment->begin_lsn = header->lsn;
        segment->epoch_first = header->epoch;
    }
    segment->end_lsn = header->lsn + header->length_bytes;
    segment->epoch_last = header->epoch;
    segment->groups++;
    segment->draws += header->draws;
}

/* Without a state: what a group says of itself, and whether that follows from the one before. Sets next_id. */
static void check_alone(struct inspection *inspection, const struct wal_group_header *header,
                        const uint8_t *group)
{
    struct verify_report *report = inspection->report;
    struct wal_entry entry;
    uint32_t offset = 0;
    uint64_t draws = 0;
    uint64_t next_id = header->first_request_id + header->draws;
    enum wal_read_result read = WAL_READ_OK;
    while ((read = wal_entry_next(group, header, &offset, &entry)) == WAL_READ_OK) {
        draws += entry.type == WAL_ENTRY_DRAWS ? entry.draws : 0;
        if (entry.type == WAL_ENTRY_EPOCH)
            next_id = entry.next_request_id;
        if (entry.type == WAL_ENTRY_IDS)
            inspection->reserved_id = entry.reserved_request_id;
    }
    if (read == WAL_READ_SHAPE)
        verify_find_at(report, FINDING_MEANING, header->lsn, "at byte %" PRIu32 ": %s", offset,
                       wal_read_result_text(read));
    else if (draws != header->draws)
        verify_find_at(report, FINDING_MEANING, header->lsn,
                       "%" PRIu64 " draws where its header says %" PRIu32, draws, header->draws);
    if (inspection->ids_follow &&
        (header->first_request_id < inspection->next_id ||
         (header->first_request_id > inspection->next_id && header->kind != WAL_EPOCH)))
        verify_find_at(report, FINDING_MEANING, header->lsn,
                       "ids go on at %" PRIu64 " instead of %" PRIu64, header->first_request_id,
                       inspection->next_id);
    inspection->next_id = next_id;
    if (inspection->met_group && header->engine_time_us < inspection->engine_time_us)
        verify_find_at(report, FINDING_MEANING, header->lsn,
                       "engine time %" PRIu64 " us; it was %" PRIu64 " us before",
                       header->engine_time_us, inspection->engine_time_us);
}

static enum urn_code check_meaning(struct inspection *inspection, struct urn_error *error)
{
    const struct scan_item *item = &inspection->walk.item;
    struct verify_report *report = inspection->report;
    if (!inspection->has_state) {
        check_alone(inspection, &item->header, item->bytes);
        return URN_OK;
    }
    inspection->state.tail = inspection->walk.tail;
    const enum urn_code code = apply_group(&inspection->state, &item->header, item->bytes, error);
    if (code == URN_NOMEMORY)
        return code;
    if (code != URN_OK) {
        verify_find_at(report, FINDING_MEANING, item->header.lsn, "%s", error->text);
        drop_state(inspection);
        inspection->next_id = item->header.first_request_id + item->header.draws;
        return URN_OK;
    }
    report->applied_groups++;
    inspection->next_id = inspection->state.next_request_id;
    inspection->reserved_id = inspection->state.reserved_request_id;
    return URN_OK;
}

/* Now that the group behind a break is known, the break is. */
static void tell_break(struct inspection *inspection, uint64_t first_id)
{
    struct verify_report *report = inspection->report;
    char text[BREAK_TEXT_BYTES];
    if (!inspection->break_open)
        return;
    inspection->break_open = false;
    break_text(inspection->history, &inspection->gap,
               inspection->met_group ? inspection->next_id : 0, first_id, text);
    verify_find_at(report,
                   break_is_known_gap(&inspection->gap)                           ? FINDING_NOTE
                   : break_is_missing_file(inspection->history, &inspection->gap) ? FINDING_MISSING
                                                                                  : FINDING_DAMAGE,
                   inspection->gap.from_lsn, "%s", text);
}

static enum urn_code take_group(struct inspection *inspection, struct urn_error *error)
{
    const struct wal_group_header *header = &inspection->walk.item.header;
    tell_break(inspection, header->first_request_id);
    count_group(inspection, header);
    walk_tell(&inspection->walk, &inspection->progress);
    /* A snapshot may have been taken between a segment's header page and its first group; one behind the
     * group before has been seen there, but for the first group of all. */
    struct wal_tail before = {.lsn = header->lsn, .epoch = header->epoch};
    memcpy(before.chain, header->chain_before, WAL_CHAIN_BYTES);
    const uint64_t begin_lsn = inspection->walk.item.segment->begin_lsn;
    const bool begins_segment = header->lsn - begin_lsn == WAL_SEGMENT_HEADER_BYTES;
    enum urn_code code = URN_OK;
    if (begins_segment &&
        (!inspection->has_state || inspection->walk.stepped_to_lsn == begin_lsn)) {
        before.lsn -= WAL_SEGMENT_HEADER_BYTES;
        code = at_snapshots(inspection, &before, error);
        before.lsn = header->lsn;
    }
    if (code == URN_OK && (begins_segment || !inspection->has_state))
        code = at_snapshots(inspection, &before, error);
    if (code == URN_OK)
        code = check_meaning(inspection, error);
    if (code != URN_OK)
        return code;
    find_snapshots_inside(inspection, header);
    inspection->met_group = true;
    inspection->ids_follow = true;
    inspection->engine_time_us = header->engine_time_us;
    return at_snapshots(inspection, &inspection->walk.tail, error);
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

/* 0: there is none. */
static uint64_t start_snapshot_lsn(const struct inspection *inspection)
{
    const struct verify_report *report = inspection->report;
    return inspection->start_snapshot < report->snapshot_count
               ? report->snapshots[inspection->start_snapshot].id.lsn
               : 0;
}

static void take_break(struct inspection *inspection)
{
    tell_break(inspection, 0);
    inspection->gap = inspection->walk.gap;
    inspection->break_open = true;
    inspection->trusted_lsn = inspection->gap.to_lsn;
    inspection->start_meets_break =
        inspection->start_meets_break || inspection->gap.to_lsn > start_snapshot_lsn(inspection);
    if (inspection->gap.header_page)
        return; /* the chain goes on behind it */
    inspection->ids_follow = false;
    drop_state(inspection);
}

static enum urn_code walk_to_end(struct inspection *inspection, struct urn_error *error)
{
    while (!inspection->overtaken) {
        enum urn_code code = URN_OK;
        switch (walk_next(&inspection->walk, error)) {
        case WALK_GROUP:
            code = take_group(inspection, error);
            if (code != URN_OK)
                return code;
            break;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            inspection->overtaken = inspection->walk.gap.kind == WALK_OVERWRITTEN;
            take_break(inspection);
            break;
        case WALK_END:
            inspection->ends_with_break = inspection->break_open;
            tell_break(inspection, 0);
            return inspection->walk.stepped_to_lsn == inspection->walk.tail.lsn
                       ? at_snapshots(inspection, &inspection->walk.tail, error)
                       : URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
    return URN_OK;
}

/* Where the log begins of which nothing is kept: at the oldest sound snapshot. So does that of a ring that was
 * restored or resized, until a server has written in it. */
static uint64_t oldest_snapshot_lsn(const struct verify_report *report)
{
    uint64_t lsn = 0;
    for (uint32_t which = 0; which < report->snapshot_count; which++)
        if (report->snapshots[which].sound)
            lsn = report->snapshots[which].id.lsn;
    return lsn;
}

/* Where the walk begins: with the oldest segment; beside a server, which may overwrite that at any time, with
 * the one that holds the older of the two newest sound snapshots. */
static uint64_t first_lsn(struct inspection *inspection)
{
    const struct verify_report *report = inspection->report;
    uint64_t lsn = 0;
    uint32_t sound = 0;
    if (inspection->history->log_count == 0)
        return oldest_snapshot_lsn(report);
    if (!history_live(inspection->history) || inspection->history->has_archive)
        return 0; /* what a server overwrites, the archive has */
    for (uint32_t which = 0; which < report->snapshot_count && sound < 2; which++)
        if (report->snapshots[which].sound) {
            lsn = report->snapshots[which].id.lsn;
            sound++;
        }
    return history_segment_begin(inspection->history, lsn);
}

/* Snapshots prove, by their names alone, that all below them was durable: up to where a group can end. */
static uint64_t highest_snapshot_lsn(const struct history *history)
{
    if (!history->is_directory || history->snapshot_count == 0)
        return 0;
    const uint64_t lsn = history->snapshots[0].id.lsn;
    return lsn - lsn % WAL_ALIGN_BYTES;
}

/* What the ring says behind the end of the walk. */
static enum urn_code search_evidence(struct inspection *inspection, struct wal_evidence *evidence,
                                     bool *searched, struct urn_error *error)
{
    struct history *history = inspection->history;
    struct data_dir data_dir = {.dir = history->dirs[0], .geometry = history->geometry};
    *searched = false;
    if (!history->is_directory || history_live(history))
        return URN_OK;
    struct helper *helper = history->tool->threads > 0 ? helper_make() : NULL;
    const uint64_t end_lsn = inspection->walk.tail.lsn;
    const uint64_t ring_bytes = history->geometry.segments * history->geometry.segment_size_bytes;
    uint64_t known_lsn =
        inspection->trusted_lsn; /* of what the archive holds, the ring has nothing */
    if (inspection->walk.stepped_to_lsn > known_lsn)
        known_lsn = inspection->walk.stepped_to_lsn; /* nor of an earlier ring */
    if (end_lsn - known_lsn > ring_bytes)
        known_lsn = end_lsn - ring_bytes;
    for (uint32_t i = 0; i < history->log_count; i++) /* and of what it stands in for */
        if (history->segments[i].uses_spare && history->segments[i].damage_lsn >= known_lsn)
            known_lsn = end_lsn;
    const enum urn_code code =
        wal_search_evidence_but(&data_dir, known_lsn, end_lsn, helper, evidence, error);
    helper_free(helper);
    if (code == URN_DAMAGED) /* a file is missing or too short, and has been found so */
        return URN_OK;
    *searched = code == URN_OK;
    return code;
}

/* Nothing of what a start would read is amiss: it comes to the log's end, where the walk is. */
static bool start_goes_along(const struct inspection *inspection)
{
    const uint32_t *count = inspection->report->finding_count;
    return !inspection->start_meets_break && count[FINDING_DAMAGE] == 0 &&
           count[FINDING_MISSING] == 0 && count[FINDING_MEANING] == 0;
}

/* What recovery's own table says of the log's end. */
static void judge_end(struct verify_report *report, const struct walk *walk,
                      const struct wal_evidence *evidence)
{
    const uint64_t x = walk->tail.lsn;
    const struct recovery_facts facts = {
        .snapshot_loaded = true,
        .stop = tail_recovery_stop(walk->end_unreadable, report->end_why),
        .unreadable_elsewhere = evidence->unreadable,
        .group_beyond = evidence->durable_lsn_max > x || walk->durable_seen_lsn > x,
        .snapshot_beyond = report->snapshots[0].id.lsn > x,
    };
    report->start = recovery_decide(&facts, NULL);
    report->start_lsn = x;
}

/* What a start would make of it. The walk steps over what is damaged, and reads from the archive what the ring has
 * not; a start does neither, and so recovery is asked itself then. */
static enum urn_code judge_start(struct inspection *inspection, const struct wal_evidence *evidence,
                                 struct urn_error *error)
{
    const struct history *history = inspection->history;
    if (start_goes_along(inspection)) {
        judge_end(inspection->report, &inspection->walk, evidence);
        return URN_OK;
    }
    struct data_dir data_dir = {.dir = history->dirs[0], .geometry = history->geometry};
    struct state state;
    struct recovery recovery;
    struct urn_error refusal = {.code = URN_OK};
    (void)snprintf(data_dir.path, sizeof data_dir.path, "%s", history->path);
    struct helper *helper = history->tool->threads > 0 ? helper_make() : NULL;
    const enum urn_code code =
        recovery_read(&data_dir, history_bounds(), helper, &state, &recovery, &refusal);
    helper_free(helper);
    if (code == URN_OK)
        state_free(&state);
    if (code == URN_NOMEMORY)
        return error_set(error, URN_NOMEMORY, ENOMEM, "%s", refusal.text);
    inspection->report->start = recovery.which;
    inspection->report->start_lsn = recovery.end_lsn;
    if (recovery.which == 0)
        inspection->report->start_refusal = refusal;
    return URN_OK;
}

/* Gaps that the walk does not come to, because nothing of the log before them is kept. */
static void tell_gaps_before(struct inspection *inspection)
{
    const struct history *history = inspection->history;
    for (uint32_t i = 0; i < history->gap_count; i++) {
        const struct history_gap *gap = &history->gaps[i];
        const struct walk_break as_break = {.kind = WALK_MISSING,
                                            .from_lsn = gap->from_lsn,
                                            .to_lsn = gap->to_lsn,
                                            .known_gap = true};
        char text[BREAK_TEXT_BYTES];
        if (gap->to_lsn > inspection->report->begin_lsn)
            continue;
        break_text(history, &as_break, 0, 0, text);
        verify_find_at(inspection->report, FINDING_NOTE, gap->from_lsn, "%s", text);
    }
}

/* What is damaged in the ring, and was read from the archive instead. */
static void tell_spares(struct inspection *inspection)
{
    const struct history *history = inspection->history;
    for (uint32_t i = 0; i < history->log_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        if (!segment->uses_spare)
            continue;
        struct segment_report *row = verify_segment_at(inspection->report, segment->damage_lsn);
        if (row != NULL)
            row->sound = false;
        verify_find_at(
            inspection->report, FINDING_DAMAGE, segment->damage_lsn,
            "%s is damaged here; the archive has the segment whole, and was read instead",
            segment->ring_name);
    }
}

/* The log from its begin to where nothing more of it stands. */
static enum urn_code walk_everything(struct inspection *inspection, struct urn_error *error)
{
    struct history *history = inspection->history;
    struct verify_report *report = inspection->report;
    const uint64_t from = first_lsn(inspection);
    enum urn_code code = walk_begin(history, from, UINT64_MAX, highest_snapshot_lsn(history),
                                    SCAN_DIGESTS, &inspection->walk, error);
    if (code != URN_OK)
        return code;
    report->walked = true;
    report->begin_lsn = inspection->walk.tail.lsn;
    tell_gaps_before(inspection);
    inspection->progress.begin_lsn = inspection->progress.told_lsn = report->begin_lsn;
    inspection->trusted_lsn = report->begin_lsn;
    code = walk_to_end(inspection, error);
    while (code == URN_OK && !inspection->overtaken) {
        struct wal_evidence evidence;
        bool searched = false;
        bool more = false;
        code = search_evidence(inspection, &evidence, &searched, error);
        if (code == URN_OK && searched && evidence.durable_lsn_max > inspection->walk.durable_lsn)
            code = walk_resume(&inspection->walk, evidence.durable_lsn_max, &more, error);
        if (code == URN_OK && more) {
            code = walk_to_end(inspection, error);
            continue;
        }
        if (code == URN_OK)
            tell_spares(inspection);
        if (code == URN_OK)
            code =
                tail_judge(history, &inspection->walk, searched ? &evidence : NULL, report, error);
        if (code == URN_OK && searched)
            code = judge_start(inspection, &evidence, error);
        break;
    }
    return code;
}

/* ---- the end ------------------------------------------------------------------------------------------ */

/* Where the log ends, and what stands there, for the report. */
static void report_end(struct inspection *inspection)
{
    struct verify_report *report = inspection->report;
    const struct walk *walk = &inspection->walk;
    report->tail = walk->tail;
    report->durable_lsn =
        walk->durable_lsn > walk->durable_seen_lsn ? walk->durable_lsn : walk->durable_seen_lsn;
    report->next_request_id =
        inspection->has_state ? inspection->state.next_request_id : inspection->next_id;
    report->reserved_request_id =
        inspection->has_state ? inspection->state.reserved_request_id : inspection->reserved_id;
    if (inspection->ends_with_break)
        report->end = END_DAMAGED;
    /* Nothing stands behind the newest snapshot: its word is the last. */
    if (!inspection->met_group && inspection->start_snapshot < report->snapshot_count &&
        report->snapshots[inspection->start_snapshot].id.lsn == walk->tail.lsn) {
        report->tail = report->snapshots[inspection->start_snapshot].tail;
        report->next_request_id = report->snapshots[inspection->start_snapshot].next_request_id;
        report->reserved_request_id =
            report->snapshots[inspection->start_snapshot].reserved_request_id;
    }
    for (uint32_t i = 0; i < report->segment_count; i++) {
        struct segment_report *segment = &report->segments[i];
        const uint64_t begin = segment->first_lsn;
        if (!segment->is_log)
            continue;
        if (begin >= walk->tail.lsn && segment->groups == 0 && begin > 0)
            segment->use = SEGMENT_STALE;
        else if (walk->tail.lsn >= begin + segment->size_bytes)
            segment->use = SEGMENT_FULL;
        else
            segment->use = SEGMENT_OPEN;
    }
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static enum urn_code check_files(const struct history *history, struct verify_report *report,
                                 struct urn_error *error)
{
    bool repair_begun = false;
    if (history->is_directory &&
        data_dir_repair_begun(history->dirs[0], &repair_begun, error) != URN_OK)
        return error->code;
    if (repair_begun)
        verify_find(report, FINDING_DAMAGE,
                    "a repair has begun and has not ended: `urn-wal repair %.200s` shows how to "
                    "finish it",
                    report->path);
    if (history->damaged_gaps > 0)
        verify_find(report, FINDING_DAMAGE,
                    "%" PRIu32 " records of gaps in the archive are damaged",
                    history->damaged_gaps);
    if (history->overlaps > 0)
        verify_find(report, FINDING_DAMAGE,
                    "%" PRIu32
                    " archived segments overlap others of the log, and were not looked at: has the "
                    "archive been written by two servers?",
                    history->overlaps);
    for (uint32_t i = 0; i < history->segment_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        if (segment->state == HISTORY_MISSING) {
            report->segments[i].sound = false;
            verify_find(report, FINDING_MISSING, "%s is missing", segment->name);
        } else if (segment->file_bytes != segment->size_bytes) {
            report->segments[i].sound = false;
            verify_find(report, FINDING_DAMAGE, "%s has %" PRIu64 " bytes instead of %" PRIu64,
                        segment->name, segment->file_bytes, segment->size_bytes);
        }
    }
    return URN_OK;
}

/* An empty report on these files. */
static enum urn_code report_begin(const struct history *history, struct verify_report *report,
                                  struct urn_error *error)
{
    *report = (struct verify_report){.geometry = history->geometry,
                                     .is_directory = history->is_directory,
                                     .snapshot_count = history->snapshot_count,
                                     .segment_count = history->segment_count};
    (void)snprintf(report->path, sizeof report->path, "%s", history->path);
    report->snapshots = calloc(history->snapshot_count + 1, sizeof *report->snapshots);
    report->segments = calloc(history->segment_count + 1, sizeof *report->segments);
    if (report->snapshots == NULL || report->segments == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot verify %.200s", report->path);
    for (uint32_t i = 0; i < history->segment_count; i++) {
        const struct history_segment *segment = &history->segments[i];
        struct segment_report *row = &report->segments[i];
        memcpy(row->name, segment->name, sizeof row->name);
        row->sound = true;
        row->is_log = segment->state == HISTORY_LOG;
        row->first_lsn = segment->begin_lsn;
        row->size_bytes = segment->size_bytes;
        row->use = segment->state == HISTORY_MISSING ? SEGMENT_MISSING : SEGMENT_FREE;
    }
    return URN_OK;
}

static enum urn_code inspect(struct inspection *inspection, struct urn_error *error)
{
    struct history *history = inspection->history;
    struct verify_report *report = inspection->report;
    enum urn_code code = check_files(history, report, error);
    if (code == URN_OK)
        code = check_snapshots(inspection, error);
    if (code != URN_OK || inspection->overtaken || history->segment_count == 0)
        return code;
    code = walk_everything(inspection, error);
    report_end(inspection);
    return code;
}

/* One look at everything. */
static enum urn_code look(struct history *history, const struct progress *progress,
                          struct verify_report *report, bool *overtaken, struct urn_error *error)
{
    struct inspection inspection = {.history = history,
                                    .report = report,
                                    .progress = {.progress = progress, .what = "checking the log"}};
    enum urn_code code = report_begin(history, report, error);
    if (code == URN_OK)
        code = inspect(&inspection, error);
    walk_end(&inspection.walk);
    drop_state(&inspection);
    *overtaken = inspection.overtaken;
    report->in_use = history->live;
    if (code != URN_OK)
        verify_report_free(report);
    return code;
}

enum urn_code verify_log(const struct tool *tool, const char *const *operands,
                         uint32_t operand_count, struct verify_report *report,
                         struct urn_error *error)
{
    enum { LOOKS_MAX = 8 }; /* beside a server that laps faster than its log can be read */
    const uint64_t began_ns = os_monotonic_ns(tool->os);
    struct history history;
    *report = (struct verify_report){.path = ""};
    enum urn_code code = history_open(&history, tool, operands, operand_count, error);
    if (code != URN_OK)
        return code;
    for (uint32_t looks = 1;; looks++) {
        bool overtaken = false;
        code = look(&history, tool->progress, report, &overtaken, error);
        if (code != URN_OK)
            break;
        report->overtaken = overtaken;
        if (!overtaken || looks == LOOKS_MAX)
            break;
        verify_report_free(report);
        code = history_refresh(&history, error);
        if (code != URN_OK)
            break;
    }
    history_close(&history);
    if (code == URN_OK && report->overtaken)
        verify_find(
            report, FINDING_NOTE,
            "the server has overwritten the log while it was being read, %d times in a row: what "
            "could be read was sound, and not all could be read",
            LOOKS_MAX);
    report->duration_s = (double)(os_monotonic_ns(tool->os) - began_ns) / 1e9;
    return code;
}

void verify_report_free(struct verify_report *report)
{
    free(report->snapshots);
    free(report->segments);
    report->snapshots = NULL;
    report->segments = NULL;
}
