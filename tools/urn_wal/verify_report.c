/* verify_report.c: tells a person, or a program, what verify has found. */
#include <inttypes.h>

#include "engine/identity.h"
#include "tools/urn_wal/findings.h"
#include "tools/urn_wal/json_text.h"
#include "tools/urn_wal/verify.h"

/* ---- the verdict ----------------------------------------------------------------------------- */

static const struct {
    enum finding_kind kind;
    enum exit_status status;
    const char *verdict;
    const char *word; /* in front of such a finding */
    const char *what_to_do;
} verdicts[] = {
    /* In order: the first of which something was found is the verdict. */
    {FINDING_DAMAGE, EXIT_DAMAGE, "damaged", "damage",
     "Keep a copy of the directory before anything else is tried. A server refuses to start where\n"
     "acknowledged draws are concerned; restore the files from a copy, or look at what can still\n"
     "be read with `urn-wal cat`. `urn-wal repair` says what can be done without one."},
    {FINDING_MISSING, EXIT_MISSING, "parts are missing", "missing",
     "Is the right volume mounted? Put the files back from a copy; a server will not start "
     "without\n"
     "them, and must not be made to create new ones."},
    {FINDING_MEANING, EXIT_MEANING, "untrue", "untrue",
     "The bytes are as they were written, but say what cannot have happened: files of different\n"
     "copies may have been mixed, or urn has a bug. Keep the directory, and report it."},
    {FINDING_TORN, EXIT_TORN_TAIL, "torn tail", "torn",
     "Nothing needs to be done: the next start discards it."},
};
#define VERDICTS (sizeof verdicts / sizeof verdicts[0])

/* Which row; VERDICTS when all is sound. */
static size_t verdict_row(const struct verify_report *report)
{
    size_t row = 0;
    while (row < VERDICTS && report->finding_count[verdicts[row].kind] == 0)
        row++;
    return row;
}

enum exit_status verify_exit_status(const struct verify_report *report)
{
    const size_t row = verdict_row(report);
    return row == VERDICTS ? EXIT_SOUND : verdicts[row].status;
}

const char *verify_verdict(const struct verify_report *report)
{
    const size_t row = verdict_row(report);
    return row == VERDICTS ? "sound" : verdicts[row].verdict;
}

static const char *finding_word(enum finding_kind kind)
{
    for (size_t row = 0; row < VERDICTS; row++)
        if (verdicts[row].kind == kind)
            return verdicts[row].word;
    return "note";
}

static uint32_t findings_not_kept(const struct verify_report *report)
{
    uint32_t all = 0;
    for (int kind = 0; kind < FINDING_KINDS; kind++)
        all += report->finding_count[kind];
    return all - report->findings_kept;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

static const char *use_text(enum segment_use use)
{
    static const char *const texts[] = {[SEGMENT_FREE] = "free",
                                        [SEGMENT_MISSING] = "missing",
                                        [SEGMENT_STALE] = "stale",
                                        [SEGMENT_OPEN] = "open",
                                        [SEGMENT_FULL] = "full"};
    return texts[use];
}

#define PLACE_BYTES (HISTORY_NAME_BYTES + 40u)

static void place_of(const struct verify_report *report, uint64_t lsn, char place[PLACE_BYTES])
{
    const struct wal_geometry *geometry = &report->geometry;
    const struct segment_report *segment = verify_segment_at(report, lsn);
    char ring_name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(ring_name, wal_slot(geometry, lsn));
    (void)snprintf(place, PLACE_BYTES, "%s, offset %" PRIu64,
                   segment != NULL ? segment->name : ring_name,
                   segment != NULL ? lsn - segment->first_lsn : lsn % geometry->segment_size_bytes);
}

static const char *end_word(enum log_end end)
{
    static const char *const words[] = {[END_CLEAN] = "clean end",
                                        [END_ZERO_FILLED] = "zero-filled tail",
                                        [END_TORN] = "torn tail",
                                        [END_STALE] = "stale bytes",
                                        [END_SERVER] = "a server goes on there",
                                        [END_UNKNOWN] = "nothing says what followed",
                                        [END_DAMAGED] = "damage"};
    return words[end];
}

static const char *end_text(const struct verify_report *report)
{
    if (report->overtaken)
        return "the server has overwritten what stood there";
    switch (report->end) {
    case END_CLEAN:
        return "clean end, only zeros follow";
    case END_STALE:
        return "clean end; stale bytes of an earlier lap follow, or of what an earlier start "
               "discarded";
    default:
        return end_word(report->end);
    }
}

const char *verify_start_text(enum recovery_case which)
{
    static const char *const texts[RECOVERY_CASES_END] = {
        [RECOVERY_NO_SNAPSHOT] = "refuse (case D1: no snapshot verifies)",
        [RECOVERY_UNREADABLE] = "refuse (case D2: the log cannot be read where it goes on)",
        [RECOVERY_MEANING] = "refuse (case D3: sound bytes that cannot be true)",
        [RECOVERY_BLIND] = "refuse (case D4: more may stand where it cannot be read)",
        [RECOVERY_GROUP_BEYOND] = "refuse (case D5: what is damaged had been durable)",
        [RECOVERY_SNAPSHOT_BEYOND] = "refuse (case D6: a snapshot says that the log went on)",
        [RECOVERY_CLEAN_END] = "go on (case D7)",
        [RECOVERY_TORN_TAIL] = "go on, over what was never durable (case D8)",
        [RECOVERY_STALE_TAIL] = "go on, over stale bytes (case D9)",
    };
    return texts[which];
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_head(const struct verify_report *report, FILE *out)
{
    char ring[UUID_TEXT_BYTES];
    uuid_text(report->geometry.ring_uuid, ring);
    if (report->is_directory)
        (void)fprintf(out, "%s: %" PRIu32 " segments of %" PRIu64 " KiB, ring %s%s\n", report->path,
                      report->geometry.segments, report->geometry.segment_size_bytes / 1024, ring,
                      report->in_use ? ", in use by a server" : "");
    else
        (void)fprintf(out, "%s: files of ring %s\n", report->path, ring);
}

/* Where ids go on; and, in modes interval and os, up to where they may have been given already, so that the
 * next start goes on above it. */
static void print_ids(uint64_t next_request_id, uint64_t reserved_request_id, FILE *out)
{
    (void)fprintf(out, ", next request id %" PRIu64, next_request_id);
    if (reserved_request_id != 0 && reserved_request_id >= next_request_id)
        (void)fprintf(out, ", ids reserved up to %" PRIu64, reserved_request_id);
}

static void print_snapshots(const struct verify_report *report, FILE *out)
{
    for (uint32_t i = report->snapshot_count; i-- > 0;) {
        const struct snapshot_report *snapshot = &report->snapshots[i];
        (void)fprintf(out, "%s  %s  LSN %" PRIu64, snapshot->name,
                      snapshot->sound ? "sound  " : "UNSOUND", snapshot->id.lsn);
        if (snapshot->sound) {
            (void)fprintf(out, ", pools %" PRIu32 ", items %" PRIu64, snapshot->pools,
                          snapshot->items);
            print_ids(snapshot->next_request_id, snapshot->reserved_request_id, out);
        }
        (void)fputc('\n', out);
    }
}

static void print_segments(const struct verify_report *report, FILE *out)
{
    uint32_t free_segments = 0;
    for (uint32_t i = 0; i < report->segment_count; i++) {
        const struct segment_report *segment = &report->segments[i];
        if (segment->use == SEGMENT_FREE && segment->sound) {
            free_segments++;
            continue;
        }
        (void)fprintf(out, "%s  %-7s  %s", segment->name, use_text(segment->use),
                      segment->sound ? "sound  " : "UNSOUND");
        if (segment->groups > 0)
            (void)fprintf(out,
                          "  LSN %" PRIu64 " to %" PRIu64 ", groups %" PRIu64 ", draws %" PRIu64
                          ", epochs %" PRIu32 " to %" PRIu32,
                          segment->begin_lsn, segment->end_lsn, segment->groups, segment->draws,
                          segment->epoch_first, segment->epoch_last);
        (void)fputc('\n', out);
    }
    if (free_segments > 0)
        (void)fprintf(out, "%" PRIu32 " of %" PRIu32 " segments are free\n", free_segments,
                      report->segment_count);
}

static void print_end(const struct verify_report *report, FILE *out)
{
    char place[PLACE_BYTES];
    place_of(report, report->tail.lsn, place);
    (void)fprintf(out, "the log ends at LSN %" PRIu64 " (%s): %s\n", report->tail.lsn, place,
                  end_text(report));
    if (report->start != 0)
        (void)fprintf(out, "at LSN %" PRIu64 " a start would %s\n", report->start_lsn,
                      verify_start_text(report->start));
    if (report->start_refusal.code != URN_OK)
        (void)fprintf(out, "a start would refuse: %s\n", report->start_refusal.text);
    (void)fprintf(
        out, "durable below LSN %" PRIu64 ", epoch %" PRIu32 ", groups %" PRIu64 ", draws %" PRIu64,
        report->durable_lsn, report->tail.epoch, report->groups, report->draws);
    print_ids(report->next_request_id, report->reserved_request_id, out);
    (void)fputc('\n', out);
    if (report->applied_groups < report->groups)
        (void)fprintf(out,
                      "%" PRIu64
                      " groups could not be held against a state, for want of a snapshot "
                      "before them with the log whole in between: of these, ids, times and shape "
                      "were checked\n",
                      report->groups - report->applied_groups);
    if (report->duration_s > 0)
        (void)fprintf(out, "walked %.1f MB in %.2f s, %.0f MB/s\n", (double)report->log_bytes / 1e6,
                      report->duration_s, (double)report->log_bytes / 1e6 / report->duration_s);
}

static void print_findings(const struct verify_report *report, bool quiet, FILE *out)
{
    for (uint32_t i = 0; i < report->findings_kept; i++) {
        const struct finding *finding = &report->findings[i];
        if (quiet && finding->kind == FINDING_NOTE)
            continue;
        (void)fprintf(out, "%s: ", finding_word(finding->kind));
        if (finding->at_lsn) {
            char place[PLACE_BYTES];
            place_of(report, finding->lsn, place);
            (void)fprintf(out, "LSN %" PRIu64 " (%s): ", finding->lsn, place);
        }
        (void)fprintf(out, "%s\n", finding->text);
    }
    if (findings_not_kept(report) > 0)
        (void)fprintf(out, "and %" PRIu32 " more\n", findings_not_kept(report));
}

void verify_print_text(const struct verify_report *report, bool quiet, FILE *out)
{
    if (!quiet) {
        print_head(report, out);
        print_snapshots(report, out);
        print_segments(report, out);
        if (report->walked)
            print_end(report, out);
    }
    print_findings(report, quiet, out);
    const size_t row = verdict_row(report);
    if (row < VERDICTS)
        (void)fprintf(out, "verdict: %s\n%s\n", verdicts[row].verdict, verdicts[row].what_to_do);
    else if (!quiet)
        (void)fprintf(out, "verdict: sound\n");
}

/* ---- for programs ---------------------------------------------------------------------------- */

static void json_snapshots(const struct verify_report *report, FILE *out)
{
    (void)fputs(",\"snapshots\":[", out);
    for (uint32_t i = report->snapshot_count; i-- > 0;) {
        const struct snapshot_report *snapshot = &report->snapshots[i];
        (void)fputs(i + 1 < report->snapshot_count ? ",{\"file\":" : "{\"file\":", out);
        json_string(snapshot->name, out);
        (void)fprintf(out,
                      ",\"sound\":%s,\"lsn\":%" PRIu64 ",\"pools\":%" PRIu32 ",\"items\":%" PRIu64
                      ",\"next_request_id\":%" PRIu64 ",\"reserved_request_id\":%" PRIu64 "}",
                      json_bool(snapshot->sound), snapshot->id.lsn, snapshot->pools,
                      snapshot->items, snapshot->next_request_id, snapshot->reserved_request_id);
    }
    (void)fputc(']', out);
}

static void json_segments(const struct verify_report *report, FILE *out)
{
    (void)fputs(",\"segments\":[", out);
    for (uint32_t i = 0; i < report->segment_count; i++) {
        const struct segment_report *segment = &report->segments[i];
        (void)fputs(i > 0 ? ",{\"file\":" : "{\"file\":", out);
        json_string(segment->name, out);
        (void)fprintf(out,
                      ",\"sound\":%s,\"use\":\"%s\",\"begin_lsn\":%" PRIu64 ",\"end_lsn\":%" PRIu64
                      ",\"groups\":%" PRIu64 ",\"draws\":%" PRIu64 "}",
                      json_bool(segment->sound), use_text(segment->use), segment->begin_lsn,
                      segment->end_lsn, segment->groups, segment->draws);
    }
    (void)fputc(']', out);
}

static void json_findings(const struct verify_report *report, FILE *out)
{
    (void)fputs(",\"findings\":[", out);
    for (uint32_t i = 0; i < report->findings_kept; i++) {
        const struct finding *finding = &report->findings[i];
        (void)fprintf(out, "%s{\"kind\":\"%s\"", i > 0 ? "," : "", finding_word(finding->kind));
        if (finding->at_lsn)
            (void)fprintf(out, ",\"lsn\":%" PRIu64, finding->lsn);
        (void)fputs(",\"text\":", out);
        json_string(finding->text, out);
        (void)fputc('}', out);
    }
    (void)fprintf(out, "],\"findings_not_shown\":%" PRIu32, findings_not_kept(report));
}

static void json_end(const struct verify_report *report, FILE *out)
{
    (void)fprintf(out, ",\"end_lsn\":%" PRIu64 ",\"end\":\"%s\",\"durable_lsn\":%" PRIu64,
                  report->tail.lsn, end_word(report->end), report->durable_lsn);
    if (report->start != 0)
        (void)fprintf(out, ",\"start_case\":\"D%d\",\"starts\":%s,\"start_lsn\":%" PRIu64,
                      (int)report->start, json_bool(recovery_case_starts(report->start)),
                      report->start_lsn);
    if (report->start_refusal.code != URN_OK) {
        (void)fputs(",\"starts\":false,\"start_refusal\":", out);
        json_string(report->start_refusal.text, out);
    }
    (void)fprintf(out,
                  ",\"epoch\":%" PRIu32 ",\"groups\":%" PRIu64 ",\"applied_groups\":%" PRIu64
                  ",\"draws\":%" PRIu64 ",\"next_request_id\":%" PRIu64
                  ",\"reserved_request_id\":%" PRIu64 ",\"log_bytes\":%" PRIu64,
                  report->tail.epoch, report->groups, report->applied_groups, report->draws,
                  report->next_request_id, report->reserved_request_id, report->log_bytes);
    if (report->duration_s > 0)
        (void)fprintf(out, ",\"duration_s\":%.6f", report->duration_s);
}

void verify_print_json(const struct verify_report *report, FILE *out)
{
    (void)fputs("{\"directory\":", out);
    json_string(report->path, out);
    char ring[UUID_TEXT_BYTES];
    uuid_text(report->geometry.ring_uuid, ring);
    (void)fprintf(out,
                  ",\"ring\":\"%s\",\"segment_size\":%" PRIu64
                  ",\"in_use\":%s,\"overtaken\":%s,\"verdict\":\"%s\"",
                  ring, report->geometry.segment_size_bytes, json_bool(report->in_use),
                  json_bool(report->overtaken), verify_verdict(report));
    (void)fprintf(out, ",\"exit_status\":%d", (int)verify_exit_status(report));
    if (report->walked)
        json_end(report, out);
    json_snapshots(report, out);
    json_segments(report, out);
    json_findings(report, out);
    (void)fputs("}\n", out);
}
