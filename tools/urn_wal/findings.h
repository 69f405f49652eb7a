/* findings.h: what verify has found, put into its report. */
#ifndef URN_TOOLS_URN_WAL_FINDINGS_H
#define URN_TOOLS_URN_WAL_FINDINGS_H

#include "tools/urn_wal/verify.h"

void verify_find(struct verify_report *report, enum finding_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* At a position of the log, whose segment is not sound then (a note leaves it so). */
void verify_find_at(struct verify_report *report, enum finding_kind kind, uint64_t lsn,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The report's row on the segment that holds lsn; NULL: none does. */
struct segment_report *verify_segment_at(const struct verify_report *report, uint64_t lsn);

#endif
