/* tail.h: how a log ends: clean, zero-filled, torn, or before stale bytes. */
#ifndef URN_TOOLS_URN_WAL_TAIL_H
#define URN_TOOLS_URN_WAL_TAIL_H

#include "tools/urn_wal/verify.h"
#include "tools/urn_wal/walk.h"

/* Judges what stands where the walk has ended: report->end and end_why, and a finding where there is
 * something to say. evidence: what the whole ring says about that position; NULL: it was not asked
 * (beside a server, of files by themselves, or with files missing). Errors: URN_IO, URN_NOMEMORY. */
enum urn_code tail_judge(const struct history *history, const struct walk *walk,
                         const struct wal_evidence *evidence, struct verify_report *report,
                         struct urn_error *error);

/* The same for recovery's table: what stands at the end, or that it cannot be read. */
enum recovery_stop tail_recovery_stop(bool unreadable, enum wal_read_result why);

#endif
