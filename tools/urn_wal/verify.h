/* verify.h: is what stands in a data directory sound, and is it true?
 *
 * Bytes: every snapshot is loaded, every group from the older of the two newest sound snapshots on
 * is walked by the engine's own reader, and behind the log's end the whole ring is searched for
 * evidence that more had been durable. Meaning: every group is applied by the engine's own rules,
 * and where the log comes to a later snapshot, log and snapshot must agree to the byte.
 *
 * Beside a running server the groups of the moment may be half there: a tail that nothing carries
 * as durable is then never called torn. And the server may write its next lap over what is being
 * read: where nothing valid stands although something should, the segment's header page is read again,
 * and when it is of a later lap by then, the look begins anew with the newer snapshots.
 */
#ifndef URN_TOOLS_URN_WAL_VERIFY_H
#define URN_TOOLS_URN_WAL_VERIFY_H

#include <stdio.h>

#include "tools/urn_wal/exit_status.h"
#include "tools/urn_wal/log_view.h"

enum finding_kind {
    FINDING_DAMAGE,
    FINDING_MISSING,
    FINDING_MEANING,
    FINDING_TORN,
    FINDING_NOTE, /* nothing wrong; good to know */
    FINDING_KINDS
};

struct finding {
    enum finding_kind kind;
    bool at_lsn; /* lsn says where in the log */
    uint64_t lsn;
    char text[400];
};

#define FINDINGS_MAX 64u /* what comes after is counted only */

enum segment_use { SEGMENT_FREE, SEGMENT_OPEN, SEGMENT_FULL };

struct segment_report {
    bool sound; /* no finding in it */
    enum segment_use use;
    uint64_t begin_lsn; /* of the stretch of log that was walked in it */
    uint64_t end_lsn;
    uint64_t groups;
    uint64_t draws;
    uint32_t epoch_first;
    uint32_t epoch_last;
};

struct snapshot_report {
    struct snapshot_name name;
    bool sound;
    bool reached; /* by the log from an earlier one, or where the walk began */
    uint32_t epoch;
    uint32_t pools;
    uint64_t items;
    uint64_t next_request_id;
    uint8_t digest[32]; /* of the canonical serialisation */
};

struct verify_report {
    char path[DATA_DIR_PATH_BYTES_MAX];
    struct wal_geometry geometry;
    bool in_use;    /* by a server, at the end of the look */
    bool overtaken; /* by that server: not all could be read before it was overwritten */
    struct snapshot_report *snapshots; /* newest first */
    uint32_t snapshot_count;
    struct segment_report *segments; /* by slot */
    bool walked;                     /* a sound snapshot was there to begin with */
    struct wal_tail end;             /* of the log */
    enum wal_read_result end_why;    /* what stands there instead of a group */
    bool end_unreadable;
    uint64_t durable_lsn; /* the highest that a group carries */
    uint64_t groups;
    uint64_t draws;
    uint64_t next_request_id;
    uint64_t log_bytes; /* walked */
    struct finding findings[FINDINGS_MAX + 1];
    uint32_t finding_count[FINDING_KINDS]; /* all of them */
    uint32_t findings_kept;
    double duration_s;
};

/* Looks at everything there is. URN_OK whatever was found: that stands in *report, which the caller
 * has to verify_report_free(). Errors are of the looking itself: URN_NODATA, URN_DAMAGED or
 * URN_FORMAT of IDENTITY, URN_IO, URN_NOMEMORY. */
enum urn_code verify_directory(struct urn_os *os, const char *path, in_use_probe in_use,
                               void *in_use_context, struct verify_report *report,
                               struct urn_error *error);
void verify_report_free(struct verify_report *report);

/* The first of damage, missing, meaning and torn tail that was found. */
enum exit_status verify_exit_status(const struct verify_report *report);

/* "sound", "torn tail", "damaged", "files missing", "untrue". */
const char *verify_verdict(const struct verify_report *report);

/* quiet: findings only. Duration and speed are left out when duration_s is 0. */
void verify_print_text(const struct verify_report *report, bool quiet, FILE *out);
void verify_print_json(const struct verify_report *report, FILE *out);

#endif
