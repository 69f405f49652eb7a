/* verify.c: the looking. verify_report.c does the telling. */
#include "tools/urn_wal/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "engine/file_io.h"

/* ---- findings -------------------------------------------------------------------------------- */

static struct finding *finding_add(struct verify_report *report, enum finding_kind kind)
{
    report->finding_count[kind]++;
    struct finding *finding = &report->findings[report->findings_kept];
    if (report->findings_kept < FINDINGS_MAX)
        report->findings_kept++; /* else the spare one is used again and again */
    *finding = (struct finding){.kind = kind};
    return finding;
}

static void find(struct verify_report *report, enum finding_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void find(struct verify_report *report, enum finding_kind kind, const char *format, ...)
{
    struct finding *finding = finding_add(report, kind);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}

static uint32_t slot_of(const struct verify_report *report, uint64_t lsn)
{
    return (uint32_t)(lsn / report->geometry.segment_size_bytes % report->geometry.segments);
}

/* At a position of the log, whose segment is not sound then (a note leaves it so). */
static void find_at(struct verify_report *report, enum finding_kind kind, uint64_t lsn,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

static void find_at(struct verify_report *report, enum finding_kind kind, uint64_t lsn,
                    const char *format, ...)
{
    struct finding *finding = finding_add(report, kind);
    finding->at_lsn = true;
    finding->lsn = lsn;
    if (kind != FINDING_NOTE)
        report->segments[slot_of(report, lsn)].sound = false;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum urn_code check_segment_file(const struct log_view *view, uint32_t slot,
                                        struct verify_report *report, struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, slot);
    struct os_file *file = NULL;
    int failure = os_file_open(view->data_dir.dir, name, OS_READ, &file);
    if (failure == ENOENT) {
        report->segments[slot].sound = false;
        find(report, FINDING_MISSING, "%s is missing", name);
        return URN_OK;
    }
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", name);
    uint64_t size = 0;
    failure = os_file_size(file, &size);
    os_file_close(file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot tell the size of %s", name);
    if (size != view->data_dir.geometry.segment_size_bytes) {
        report->segments[slot].sound = false;
        find(report, FINDING_DAMAGE, "%s has %" PRIu64 " bytes instead of %" PRIu64, name, size,
             view->data_dir.geometry.segment_size_bytes);
    }
    return URN_OK;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static enum urn_code digest_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                  struct urn_error *error)
{
    (void)error;
    (void)crypto_generichash_update(context, block, length_bytes);
    return URN_OK;
}

/* What a snapshot of this state would hold, in 32 bytes. */
static enum urn_code state_digest(const struct verify_report *report, const struct state *state,
                                  uint8_t digest[32], struct urn_error *error)
{
    uint8_t *block = aligned_alloc(OS_PAGE_BYTES, SNAPSHOT_BLOCK_BYTES);
    if (block == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot compare a snapshot");
    crypto_generichash_state hash;
    (void)crypto_generichash_init(&hash, NULL, 0, 32);
    const enum urn_code code =
        snapshot_encode(state, &report->geometry, block, digest_block, &hash, error);
    (void)crypto_generichash_final(&hash, digest, 32);
    free(block);
    return code;
}

struct inspection {
    struct log_view *view;
    struct verify_report *report;
    struct state state;
    struct wal_reader *reader;
    uint32_t snapshot; /* where the present walk began; all with smaller numbers are newer */
    bool applying;     /* the meaning has held so far */
    uint64_t stop_lsn; /* beside a server: where the walk may stop */
    bool live;         /* a server has been seen beside this look */
    bool overtaken;    /* it has written over what was being read: all is to be looked at anew */
    uint64_t doubtful_lsn; /* whose segment header an earlier look found half written; or NOWHERE */
};

/* ---- overtaken by a server ------------------------------------------------------------------- */

#define NOWHERE UINT64_MAX

static bool is_live(struct inspection *inspection)
{
    inspection->live = inspection->live || log_view_in_use(inspection->view);
    return inspection->live;
}

static enum urn_code read_header_page(const struct inspection *inspection, uint64_t segment_lsn,
                                      struct wal_segment_header *header, enum wal_read_result *why,
                                      struct urn_error *error)
{
    const struct wal_geometry *geometry = &inspection->report->geometry;
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    const enum urn_code code =
        wal_read_bytes(&inspection->view->data_dir, segment_lsn, page, sizeof page, error);
    if (code != URN_OK)
        return code;
    *why = wal_segment_header_read(page, header);
    if (*why == WAL_READ_OK && memcmp(header->ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES) != 0)
        *why = WAL_READ_FOREIGN;
    if (*why == WAL_READ_OK && header->sequence != segment_lsn / geometry->segment_size_bytes)
        *why = WAL_READ_PLACE;
    return URN_OK;
}

/* Nothing valid was found at lsn, where something has to be. A server that begins a new lap of a
 * segment writes the header page before anything else: so when that is of a later lap now, it says
 * nothing of the log that the bytes were not what was looked for. A header page that is of no lap at
 * all is either being written just now or damaged; a second look tells. */
static bool overtaken_at(struct inspection *inspection, uint64_t lsn)
{
    const uint64_t segment_size = inspection->report->geometry.segment_size_bytes;
    const uint64_t segment_lsn = lsn - lsn % segment_size;
    struct wal_segment_header header;
    enum wal_read_result why = WAL_READ_OK;
    struct urn_error error;
    if (!is_live(inspection) ||
        read_header_page(inspection, segment_lsn, &header, &why, &error) != URN_OK)
        return false;
    if (why == WAL_READ_PLACE && header.sequence > segment_lsn / segment_size) {
        inspection->overtaken = true;
    } else if (why != WAL_READ_OK && inspection->doubtful_lsn != segment_lsn) {
        inspection->doubtful_lsn = segment_lsn;
        inspection->overtaken = true;
    }
    return inspection->overtaken;
}

/* ---- snapshots, one by one ------------------------------------------------------------------- */

/* A snapshot that does not load is a finding where the file is to blame, else an error. *gone: it was
 * listed, but a server has removed it since. */
static enum urn_code check_snapshot(struct inspection *inspection, uint32_t which, bool *gone,
                                    struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    struct snapshot_report *snapshot = &report->snapshots[which];
    snapshot->name = inspection->view->snapshots[which];
    struct state state;
    enum urn_code code = log_view_load(inspection->view, which, &state, error);
    *gone = code == URN_IO && error->system_errno == ENOENT && is_live(inspection);
    if (*gone)
        return URN_OK;
    const bool unreadable = code == URN_IO && error->system_errno == EIO;
    if (code == URN_DAMAGED || code == URN_FORMAT || unreadable) {
        find(report, FINDING_DAMAGE, "%s", error->text);
        return URN_OK;
    }
    if (code != URN_OK)
        return code;
    snapshot->sound = true;
    snapshot->epoch = state.tail.epoch;
    snapshot->pools = state.pool_count;
    snapshot->items = state.item_count;
    snapshot->next_request_id = state.next_request_id;
    code = state_digest(report, &state, snapshot->digest, error);
    state_free(&state);
    return code;
}

static enum urn_code check_snapshots(struct inspection *inspection, struct urn_error *error)
{
    struct log_view *view = inspection->view;
    struct verify_report *report = inspection->report;
    if (view->snapshot_count == 0)
        find(report, FINDING_MISSING, "there is no snapshot");
    const bool listed_some = view->snapshot_count > 0;
    for (uint32_t which = 0; which < view->snapshot_count;) {
        bool gone = false;
        const enum urn_code code = check_snapshot(inspection, which, &gone, error);
        if (code != URN_OK)
            return code;
        if (!gone) {
            which++;
            continue;
        }
        view->snapshot_count--;
        memmove(&view->snapshots[which], &view->snapshots[which + 1],
                (view->snapshot_count - which) * sizeof view->snapshots[0]);
    }
    report->snapshot_count = view->snapshot_count;
    inspection->overtaken = listed_some && view->snapshot_count == 0;
    return URN_OK;
}

/* ---- the walk, group by group ----------------------------------------------------------------- */

/* The log has come to the LSN of this snapshot: state and snapshot are to be the same. */
static enum urn_code compare_with_snapshot(struct inspection *inspection, uint32_t which,
                                           struct urn_error *error)
{
    struct snapshot_report *snapshot = &inspection->report->snapshots[which];
    uint8_t digest[32];
    struct wal_tail tail = inspection->state.tail;
    inspection->state.tail.lsn = snapshot->name.lsn;
    inspection->state.tail.epoch = snapshot->epoch; /* a segment's header may tell of a later one */
    const enum urn_code code = state_digest(inspection->report, &inspection->state, digest, error);
    inspection->state.tail = tail;
    if (code != URN_OK)
        return code;
    snapshot->reached = true;
    if (memcmp(digest, snapshot->digest, sizeof digest) == 0)
        return URN_OK;
    snapshot->sound = false;
    find_at(inspection->report, FINDING_MEANING, snapshot->name.lsn,
            "the snapshot at this position is not what the log makes of the one before");
    return URN_OK;
}

/* Compares with every newer snapshot of this very position. Asked before a group is applied too:
 * one may have been taken between a segment's header page and its first group. */
static enum urn_code compare_snapshots_at(struct inspection *inspection, uint64_t lsn,
                                          struct urn_error *error)
{
    for (uint32_t which = 0; which < inspection->snapshot; which++) {
        const struct snapshot_report *snapshot = &inspection->report->snapshots[which];
        if (!snapshot->sound || snapshot->reached || snapshot->name.lsn != lsn)
            continue;
        const enum urn_code code = compare_with_snapshot(inspection, which, error);
        if (code != URN_OK)
            return code;
    }
    return URN_OK;
}

/* Snapshots whose LSN lies inside a group, where no snapshot can have been taken. */
static void find_snapshots_inside(struct inspection *inspection,
                                  const struct wal_group_header *header)
{
    for (uint32_t which = 0; which < inspection->snapshot; which++) {
        struct snapshot_report *snapshot = &inspection->report->snapshots[which];
        if (!snapshot->sound || snapshot->name.lsn <= header->lsn ||
            snapshot->name.lsn >= header->lsn + header->length_bytes)
            continue;
        snapshot->sound = false;
        find_at(inspection->report, FINDING_MEANING, snapshot->name.lsn,
                "a snapshot was taken inside the group at %" PRIu64, header->lsn);
    }
}

static void count_group(struct verify_report *report, const struct wal_group_header *header)
{
    struct segment_report *segment = &report->segments[slot_of(report, header->lsn)];
    if (segment->groups == 0) {
        segment->begin_lsn = header->lsn;
        segment->epoch_first = header->epoch;
    }
    segment->end_lsn = header->lsn + header->length_bytes;
    segment->epoch_last = header->epoch;
    segment->groups++;
    segment->draws += header->draws;
    const bool full = segment->end_lsn % report->geometry.segment_size_bytes == 0;
    segment->use = full ? SEGMENT_FULL : SEGMENT_OPEN;
    report->groups++;
    report->draws += header->draws;
    report->log_bytes += header->length_bytes;
}

static enum urn_code inspect_group(struct inspection *inspection,
                                   const struct wal_group_header *header, const uint8_t *group,
                                   struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    count_group(report, header);
    if (!inspection->applying)
        return URN_OK;
    enum urn_code code = compare_snapshots_at(inspection, header->lsn, error);
    if (code != URN_OK)
        return code;
    find_snapshots_inside(inspection, header);
    inspection->state.tail = *wal_reader_tail(inspection->reader);
    code = apply_group(&inspection->state, header, group, error);
    if (code != URN_OK) {
        inspection->applying = false;
        find_at(report, FINDING_MEANING, header->lsn, "%s", error->text);
        return URN_OK;
    }
    report->next_request_id = inspection->state.next_request_id;
    return compare_snapshots_at(inspection, header->lsn + header->length_bytes, error);
}

/* From where the reader stands to where nothing valid follows, or to stop_lsn. */
static enum urn_code walk_to_end(struct inspection *inspection, struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    enum wal_step step = WAL_STEP_GROUP;
    while (wal_reader_tail(inspection->reader)->lsn < inspection->stop_lsn) {
        struct wal_group_header header;
        const uint8_t *group = NULL;
        step = wal_reader_next(inspection->reader, &header, &group, error);
        if (step != WAL_STEP_GROUP)
            break;
        const enum urn_code code = inspect_group(inspection, &header, group, error);
        if (code != URN_OK)
            return code;
    }
    if (step == WAL_STEP_ERROR && error->code != URN_DAMAGED)
        return error->code;
    report->end = *wal_reader_tail(inspection->reader);
    report->end_why = step == WAL_STEP_INVALID ? wal_reader_why(inspection->reader) : WAL_READ_OK;
    report->end_unreadable = step == WAL_STEP_UNREADABLE || step == WAL_STEP_ERROR;
    const uint64_t durable_lsn = wal_reader_durable_lsn(inspection->reader);
    if (durable_lsn > report->durable_lsn)
        report->durable_lsn = durable_lsn;
    if (step == WAL_STEP_UNREADABLE) /* a file missing or cut short has been found already */
        find_at(report, FINDING_DAMAGE, report->end.lsn, "%s", error->text);
    return URN_OK;
}

/* The header page of the segment in whose midst a walk begins, which the walk does not look at. */
static enum urn_code check_first_header(struct inspection *inspection, struct urn_error *error)
{
    const struct wal_geometry *geometry = &inspection->report->geometry;
    const uint64_t lsn = inspection->state.tail.lsn;
    const uint64_t segment_lsn = lsn - lsn % geometry->segment_size_bytes;
    if (lsn == segment_lsn)
        return URN_OK;
    struct wal_segment_header header;
    enum wal_read_result why = WAL_READ_OK;
    const enum urn_code code = read_header_page(inspection, segment_lsn, &header, &why, error);
    if (code == URN_IO && error->system_errno == EIO) {
        find_at(inspection->report, FINDING_DAMAGE, segment_lsn, "%s", error->text);
        return URN_OK;
    }
    if (code == URN_DAMAGED) /* the file is missing or cut short, and has been found so */
        return URN_OK;
    if (code != URN_OK)
        return code;
    if (why != WAL_READ_OK && !overtaken_at(inspection, segment_lsn))
        find_at(inspection->report, FINDING_DAMAGE, segment_lsn,
                "segment header: %s (the log begins behind it, so that a start does without)",
                wal_read_result_text(why));
    return URN_OK;
}

/* Begins a walk at a sound snapshot. */
static enum urn_code begin_at(struct inspection *inspection, uint32_t which,
                              struct urn_error *error)
{
    enum urn_code code = log_view_load(inspection->view, which, &inspection->state, error);
    if (code == URN_IO && error->system_errno == ENOENT && is_live(inspection)) {
        inspection->overtaken = true; /* two newer ones are there by now */
        return URN_OK;
    }
    if (code != URN_OK)
        return code;
    inspection->snapshot = which;
    inspection->applying = true;
    inspection->report->snapshots[which].reached = true;
    inspection->report->next_request_id = inspection->state.next_request_id;
    code = check_first_header(inspection, error);
    if (code == URN_OK)
        code = wal_reader_open(&inspection->view->data_dir, &inspection->state.tail,
                               &inspection->reader, error);
    if (code == URN_OK)
        code = compare_snapshots_at(inspection, inspection->state.tail.lsn, error);
    return code;
}

static void end_walk(struct inspection *inspection)
{
    wal_reader_close(inspection->reader);
    inspection->reader = NULL;
    state_free(&inspection->state);
    inspection->state = (struct state){0};
}

/* ---- behind the end -------------------------------------------------------------------------- */

/* The oldest sound snapshot above x, or the snapshot count. */
static uint32_t snapshot_above(const struct verify_report *report, uint64_t x, bool sound_only)
{
    uint32_t found = report->snapshot_count;
    for (uint32_t which = 0; which < report->snapshot_count; which++)
        if (report->snapshots[which].name.lsn > x &&
            (report->snapshots[which].sound || !sound_only))
            found = which;
    return found;
}

/* What stands at the end, in words for a finding. */
static const char *end_words(const struct verify_report *report)
{
    return report->end_unreadable ? "it cannot be read" : wal_read_result_text(report->end_why);
}

static bool is_another_version(const struct verify_report *report)
{
    return report->end_why == WAL_READ_VERSION || report->end_why == WAL_READ_SHAPE;
}

/* Nothing says that more than this had been durable. What stands there then? */
static void judge_tail(struct inspection *inspection, const struct wal_evidence *evidence)
{
    struct verify_report *report = inspection->report;
    const uint64_t x = report->end.lsn;
    const bool whole_beyond =
        evidence->groups_beyond > 0 && evidence->groups_beyond_epoch_max >= report->end.epoch;
    if (is_another_version(report))
        find_at(report, FINDING_DAMAGE, x, "%s", wal_read_result_text(report->end_why));
    else if (is_live(inspection))
        return; /* the server is writing there */
    else if (evidence->torn_at_x || whole_beyond)
        find_at(report, FINDING_TORN, x,
                "torn tail: %s; %" PRIu64 " whole groups behind it; nothing of it was ever durable",
                wal_read_result_text(report->end_why), evidence->groups_beyond);
    else if (evidence->nonzero_beyond || evidence->groups_beyond > 0)
        find_at(report, FINDING_NOTE, x,
                "behind the end lie remains of an earlier lap, or of what an earlier start "
                "discarded");
}

static void judge_evidence(struct inspection *inspection, const struct wal_evidence *evidence)
{
    struct verify_report *report = inspection->report;
    const uint64_t x = report->end.lsn;
    const uint32_t above = snapshot_above(report, x, false);
    if (evidence->durable_lsn_max > report->durable_lsn)
        report->durable_lsn = evidence->durable_lsn_max;
    if (evidence->unreadable)
        find(report, FINDING_DAMAGE, "%s cannot be read at offset %" PRIu64,
             evidence->unreadable_file, evidence->unreadable_offset);
    if (evidence->durable_lsn_max > x)
        find_at(report, FINDING_DAMAGE, x,
                "%s; but the group at %" PRIu64 " says that all below %" PRIu64
                " was durable: acknowledged draws are damaged",
                end_words(report), evidence->durable_witness_lsn, evidence->durable_lsn_max);
    else if (above < report->snapshot_count)
        find_at(report, FINDING_DAMAGE, x,
                "%s; but there is a snapshot of position %" PRIu64
                ": acknowledged draws are damaged",
                end_words(report), report->snapshots[above].name.lsn);
    else if (!report->end_unreadable)
        judge_tail(inspection, evidence);
}

/* Beside a server evidence of more may be of groups written since: then the walk goes on. */
static enum urn_code search_and_judge(struct inspection *inspection, struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    struct wal_evidence evidence;
    for (;;) {
        const uint64_t x = report->end.lsn;
        enum urn_code code =
            wal_search_evidence(&inspection->view->data_dir, x, NULL, &evidence, error);
        if (code == URN_DAMAGED) /* a file is missing or too short, and has been found so */
            return URN_OK;
        if (code != URN_OK)
            return code;
        if (evidence.durable_lsn_max <= x || inspection->reader == NULL || report->end_unreadable ||
            !is_live(inspection))
            break;
        inspection->stop_lsn = evidence.durable_lsn_max;
        code = walk_to_end(inspection, error);
        if (code != URN_OK)
            return code;
        if (report->end.lsn >= inspection->stop_lsn)
            return URN_OK; /* the newest that was durable when we looked */
        if (overtaken_at(inspection, report->end.lsn))
            return URN_OK;
        if (report->end.lsn == x)
            break;
    }
    judge_evidence(inspection, &evidence);
    return URN_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The older of the two newest sound snapshots: from there on the log is always kept. */
static uint32_t first_snapshot(const struct verify_report *report)
{
    uint32_t sound = 0;
    uint32_t first = report->snapshot_count;
    for (uint32_t which = 0; which < report->snapshot_count && sound < 2; which++)
        if (report->snapshots[which].sound) {
            first = which;
            sound++;
        }
    return first;
}

static enum urn_code walk_everything(struct inspection *inspection, struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    uint32_t from = first_snapshot(report);
    if (from == report->snapshot_count)
        return URN_OK; /* missing or damaged, and found so */
    report->walked = true;
    for (;;) {
        enum urn_code code = begin_at(inspection, from, error);
        if (code == URN_OK && !inspection->overtaken)
            code = walk_to_end(inspection, error);
        if (code != URN_OK || inspection->overtaken)
            return code;
        from = snapshot_above(report, report->end.lsn, true);
        if (from == report->snapshot_count)
            break;
        if (overtaken_at(inspection, report->end.lsn))
            return URN_OK;
        if (!report->end_unreadable)
            find_at(report, FINDING_DAMAGE, report->end.lsn,
                    "%s; the log goes on behind the snapshot of position %" PRIu64
                    ", with which a start begins",
                    wal_read_result_text(report->end_why), report->snapshots[from].name.lsn);
        end_walk(inspection);
    }
    return search_and_judge(inspection, error);
}

static enum urn_code inspect(struct inspection *inspection, struct urn_error *error)
{
    const struct log_view *view = inspection->view;
    struct verify_report *report = inspection->report;
    enum urn_code code = URN_OK;
    for (uint32_t slot = 0; slot < report->geometry.segments && code == URN_OK; slot++)
        code = check_segment_file(view, slot, report, error);
    if (code == URN_OK)
        code = check_snapshots(inspection, error);
    if (code == URN_OK && !inspection->overtaken)
        code = walk_everything(inspection, error);
    return code;
}

/* An empty report on what the view shows. */
static enum urn_code report_begin(const struct log_view *view, struct verify_report *report,
                                  struct urn_error *error)
{
    *report = (struct verify_report){.geometry = view->data_dir.geometry,
                                     .snapshot_count = view->snapshot_count};
    memcpy(report->path, view->data_dir.path, sizeof report->path);
    report->snapshots = calloc(view->snapshot_count + 1, sizeof *report->snapshots);
    report->segments = calloc(report->geometry.segments, sizeof *report->segments);
    if (report->snapshots == NULL || report->segments == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot verify %.200s", report->path);
    for (uint32_t slot = 0; slot < report->geometry.segments; slot++)
        report->segments[slot].sound = true;
    return URN_OK;
}

/* What is to be looked at. */
struct subject {
    struct urn_os *os;
    const char *path;
    in_use_probe in_use;
    void *in_use_context;
};

/* One look at everything, from the list of snapshots on. What an earlier look has learnt of a server is
 * kept in *inspection. */
static enum urn_code look(const struct subject *subject, struct inspection *inspection,
                          struct urn_error *error)
{
    struct verify_report *report = inspection->report;
    struct log_view view;
    /* Asked first: a server that is killed during the look has written during the look. */
    bool live =
        inspection->live || (subject->in_use != NULL && subject->in_use(subject->in_use_context));
    enum urn_code code = log_view_open(&view, subject->os, subject->path, subject->in_use,
                                       subject->in_use_context, error);
    if (code != URN_OK)
        return code;
    *inspection = (struct inspection){.view = &view,
                                      .report = report,
                                      .stop_lsn = UINT64_MAX,
                                      .live = live,
                                      .doubtful_lsn = inspection->doubtful_lsn};
    code = report_begin(&view, report, error);
    if (code == URN_OK)
        code = inspect(inspection, error);
    end_walk(inspection);
    report->in_use = log_view_in_use(&view);
    log_view_close(&view);
    if (code != URN_OK)
        verify_report_free(report);
    return code;
}

enum urn_code verify_directory(struct urn_os *os, const char *path, in_use_probe in_use,
                               void *in_use_context, struct verify_report *report,
                               struct urn_error *error)
{
    enum { LOOKS_MAX = 8 }; /* beside a server that laps faster than its log can be read */
    const struct subject subject = {os, path, in_use, in_use_context};
    struct inspection inspection = {.report = report, .doubtful_lsn = NOWHERE};
    const uint64_t began_ns = os_monotonic_ns(os);
    *report = (struct verify_report){0};
    for (uint32_t looks = 1;; looks++) {
        const enum urn_code code = look(&subject, &inspection, error);
        if (code != URN_OK)
            return code;
        if (!inspection.overtaken || looks == LOOKS_MAX)
            break;
        verify_report_free(report);
    }
    report->overtaken = inspection.overtaken;
    if (report->overtaken)
        find(report, FINDING_NOTE,
             "the server has overwritten the log while it was being read, %d times in a row: what "
             "could be read was sound, and not all could be read",
             LOOKS_MAX);
    report->duration_s = (double)(os_monotonic_ns(os) - began_ns) / 1e9;
    return URN_OK;
}

void verify_report_free(struct verify_report *report)
{
    free(report->snapshots);
    free(report->segments);
    report->snapshots = NULL;
    report->segments = NULL;
}
