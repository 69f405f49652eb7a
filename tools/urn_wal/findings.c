/* findings.c: see findings.h. */
#include "tools/urn_wal/findings.h"

#include <stdarg.h>

static struct finding *finding_add(struct verify_report *report, enum finding_kind kind)
{
    report->finding_count[kind]++;
    struct finding *finding = &report->findings[report->findings_kept];
    if (report->findings_kept < FINDINGS_MAX)
        report->findings_kept++; /* else the spare one is used again and again */
    *finding = (struct finding){.kind = kind};
    return finding;
}

void verify_find(struct verify_report *report, enum finding_kind kind, const char *format, ...)
{
    struct finding *finding = finding_add(report, kind);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}

struct segment_report *verify_segment_at(const struct verify_report *report, uint64_t lsn)
{
    for (uint32_t i = 0; i < report->segment_count; i++) {
        struct segment_report *segment = &report->segments[i];
        if (segment->is_log && lsn >= segment->first_lsn &&
            lsn - segment->first_lsn < segment->size_bytes)
            return segment;
    }
    return NULL;
}

void verify_find_at(struct verify_report *report, enum finding_kind kind, uint64_t lsn,
                    const char *format, ...)
{
    struct finding *finding = finding_add(report, kind);
    struct segment_report *segment = verify_segment_at(report, lsn);
    finding->at_lsn = true;
    finding->lsn = lsn;
    if (kind != FINDING_NOTE && segment != NULL)
        segment->sound = false;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
}
