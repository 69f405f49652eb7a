/* tail.c: see tail.h. */
#include "tools/urn_wal/tail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "tools/urn_wal/findings.h"

/* Bytes that say something no torn write looks like: another program or version wrote them. */
static bool is_foreign(enum wal_read_result why)
{
    return why == WAL_READ_VERSION || why == WAL_READ_SHAPE || why == WAL_READ_FOREIGN ||
           why == WAL_READ_DURABLE;
}

enum recovery_stop tail_recovery_stop(bool unreadable, enum wal_read_result why)
{
    if (unreadable)
        return RECOVERY_STOP_UNREADABLE;
    if (is_foreign(why))
        return RECOVERY_STOP_MEANING;
    switch (why) {
    case WAL_READ_OK: /* not looked at: there is no file */
    case WAL_READ_ZERO:
        return RECOVERY_STOP_ZERO;
    case WAL_READ_PLACE:
    case WAL_READ_CHAIN:
    case WAL_READ_EPOCH:
        return RECOVERY_STOP_STALE;
    default:
        return RECOVERY_STOP_TORN;
    }
}

/* The segment file that lsn lies in, or would: by its slot where it begins one that is not there yet. */
static const struct history_segment *file_at(const struct history *history, uint64_t lsn)
{
    const struct wal_geometry *geometry = &history->geometry;
    const uint32_t slot = (uint32_t)(lsn / geometry->segment_size_bytes % geometry->segments);
    for (uint32_t i = 0; i < history->segment_count; i++)
        if (history->segments[i].slot == slot && history->segments[i].state != HISTORY_MISSING)
            return &history->segments[i];
    return NULL;
}

/* A group of this position was begun: how many of its bytes, at its end, read as zeros. */
struct begun {
    bool is_group; /* its header is there */
    uint32_t length_bytes;
    uint32_t zero_bytes;
};

static uint32_t zeros_at_end(const uint8_t *bytes, uint64_t length)
{
    uint64_t zeros = 0;
    while (zeros < length && bytes[length - 1 - zeros] == 0)
        zeros++;
    return (uint32_t)zeros;
}

static enum urn_code look_at_begun(const struct history *history, uint64_t lsn, struct begun *begun,
                                   struct urn_error *error)
{
    const uint64_t size = history->geometry.segment_size_bytes;
    const struct history_segment *segment = file_at(history, lsn);
    const uint64_t rest = size - lsn % size;
    const uint64_t most = rest < GROUP_BYTES_MAX ? rest : GROUP_BYTES_MAX;
    *begun = (struct begun){.is_group = false};
    if (segment == NULL || lsn % size == 0)
        return URN_OK;
    uint8_t *bytes = malloc(most);
    struct os_file *file = NULL;
    if (bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot look at the log's end");
    uint64_t got = 0;
    uint64_t bad = 0;
    const int failure = os_file_open(segment->dir, segment->name, OS_READ, &file);
    enum urn_code code =
        failure == 0 ? history_read(file, segment->name, lsn % size, bytes, most, &got, &bad, error)
                     : error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    struct wal_group_header header;
    if (code == URN_OK && wal_group_peek(bytes, got, got, &header) == WAL_READ_OK &&
        header.lsn == lsn)
        *begun = (struct begun){.is_group = true,
                                .length_bytes = header.length_bytes,
                                .zero_bytes = zeros_at_end(bytes, header.length_bytes)};
    if (failure == 0)
        os_file_close(file);
    free(bytes);
    return code;
}

/* Something of this position was begun and is not whole: torn, or zero where it is missing. */
static enum urn_code judge_torn(const struct history *history, const struct walk *walk,
                                const struct wal_evidence *evidence, struct verify_report *report,
                                struct urn_error *error)
{
    const uint64_t lsn = walk->tail.lsn;
    struct begun begun;
    const enum urn_code code = look_at_begun(history, lsn, &begun, error);
    if (code != URN_OK)
        return code;
    char behind[80] = "";
    if (evidence->groups_beyond > 0)
        (void)snprintf(behind, sizeof behind, "; %" PRIu64 " whole groups stand behind it",
                       evidence->groups_beyond);
    report->end = END_ZERO_FILLED;
    if (begun.is_group && begun.zero_bytes >= OS_SECTOR_BYTES) {
        verify_find_at(report, FINDING_TORN, lsn,
                       "zero-filled tail: a group of %" PRIu32
                       " bytes was begun, of which the last %" PRIu32
                       " read as zeros%s; none of it was ever durable",
                       begun.length_bytes, begun.zero_bytes, behind);
    } else if (!begun.is_group && walk->end_why == WAL_READ_ZERO) {
        verify_find_at(report, FINDING_TORN, lsn,
                       "zero-filled tail: zeros where a group should be%s; none of it was ever "
                       "durable",
                       behind);
    } else {
        report->end = END_TORN;
        verify_find_at(report, FINDING_TORN, lsn, "torn tail: %s%s; none of it was ever durable",
                       wal_read_result_text(report->end_why), behind);
    }
    return URN_OK;
}

/* What the header page says that stands where the log would begin its next segment. */
static enum wal_read_result why_of_file(const struct history *history, uint64_t lsn)
{
    const struct history_segment *segment = file_at(history, lsn);
    if (segment == NULL)
        return WAL_READ_OK;
    return segment->header_why == WAL_READ_OK ? WAL_READ_PLACE : segment->header_why;
}

enum urn_code tail_judge(const struct history *history, const struct walk *walk,
                         const struct wal_evidence *evidence, struct verify_report *report,
                         struct urn_error *error)
{
    const uint64_t lsn = walk->tail.lsn;
    const uint64_t size = history->geometry.segment_size_bytes;
    report->end_why = walk->end_why;
    if (report->end_why == WAL_READ_OK && history->is_directory && lsn % size == 0)
        report->end_why = why_of_file(history, lsn);
    report->end = END_DAMAGED;
    if (evidence != NULL && evidence->unreadable)
        verify_find(report, FINDING_DAMAGE, "%s cannot be read at offset %" PRIu64,
                    evidence->unreadable_file, evidence->unreadable_offset);
    if (walk->end_unreadable) {
        verify_find_at(report, FINDING_DAMAGE, lsn, "a sector cannot be read (LSN %" PRIu64 ")",
                       walk->end_unreadable_lsn);
        return URN_OK;
    }
    if (history->live) {
        report->end = END_SERVER;
        return URN_OK;
    }
    if (is_foreign(report->end_why)) {
        verify_find_at(report, FINDING_DAMAGE, lsn, "%s", wal_read_result_text(report->end_why));
        return URN_OK;
    }
    report->end = END_UNKNOWN;
    if (evidence == NULL)
        return URN_OK;
    const bool whole_beyond =
        evidence->groups_beyond > 0 && evidence->groups_beyond_epoch_max >= walk->tail.epoch;
    if (evidence->torn_at_x || whole_beyond)
        return judge_torn(history, walk, evidence, report, error);
    report->end = END_CLEAN;
    if (evidence->nonzero_beyond || evidence->groups_beyond > 0)
        report->end = END_STALE;
    return URN_OK;
}
