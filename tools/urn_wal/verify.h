/* verify.h: is what stands in a log sound, and is it true?
 *
 * Bytes: every snapshot is loaded, every group is walked (walk.h: checksums, ring, positions, epochs, the
 * hash chain), and behind the log's end the whole ring is searched for evidence that more had been durable.
 *
 * Meaning: from the first snapshot on every group is applied by the engine's own rules (no stock below zero,
 * ids without gap or repeat but where an epoch begins, odds versions that rise); where the log comes to a later
 * snapshot, log and snapshot must agree to the byte; from the newest one on, the state is that of its file, so that
 * what stands at the end is what a start makes. Of groups before any snapshot what can be checked without a state
 * is: shape, ids, times.
 *
 * How the log ends is told apart, and what a start would make of it: by recovery's own table where all is in order,
 * else by recovery's own reading.
 *
 * Beside a running server only what is durable is looked at, from the older of the two newest snapshots on;
 * and when the server overwrites what is being read, the look begins anew with the newer snapshots.
 */
#ifndef URN_TOOLS_URN_WAL_VERIFY_H
#define URN_TOOLS_URN_WAL_VERIFY_H

#include "engine/recovery.h"
#include "tools/urn_wal/history.h"

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
    char text[700];
};

#define FINDINGS_MAX 64u /* what comes after is counted only */

enum segment_use { SEGMENT_FREE, SEGMENT_MISSING, SEGMENT_STALE, SEGMENT_OPEN, SEGMENT_FULL };

/* Of the history's segments, in the order of the log. */
struct segment_report {
    char name[HISTORY_NAME_BYTES];
    enum segment_use use;
    bool is_log; /* the two that follow say of what */
    uint64_t first_lsn;
    uint64_t size_bytes;
    bool sound;         /* no finding in it */
    uint64_t begin_lsn; /* of the stretch of log that was walked in it */
    uint64_t end_lsn;
    uint64_t groups;
    uint64_t draws;
    uint32_t epoch_first;
    uint32_t epoch_last;
};

struct snapshot_report {
    char name[HISTORY_NAME_BYTES];
    struct snapshot_name id;
    bool sound;
    struct wal_tail tail;
    uint32_t pools;
    uint64_t items;
    uint64_t next_request_id;
    uint64_t reserved_request_id; /* the highest; 0: none was ever reserved */
    uint8_t digest[32];           /* of the canonical serialisation */
};

/* What stands where the log ends. */
enum log_end {
    END_CLEAN,       /* only zeros */
    END_ZERO_FILLED, /* a group was begun, and what is missing of it reads as zeros */
    END_TORN,        /* a group was begun, and is not whole */
    END_STALE,       /* bytes of an earlier lap, or of what an earlier start discarded */
    END_SERVER,      /* a server goes on there */
    END_UNKNOWN,     /* of files by themselves, or with files missing: nothing says what followed */
    END_DAMAGED,     /* see the findings */
};

struct verify_report {
    char path[DATA_DIR_PATH_BYTES_MAX];
    bool is_directory;
    struct wal_geometry geometry;
    bool in_use;    /* by a server, at some time of the look */
    bool overtaken; /* by that server: not all could be read before it was overwritten */
    struct snapshot_report *snapshots; /* newest first */
    uint32_t snapshot_count;
    struct segment_report *segments;
    uint32_t segment_count;
    bool walked; /* there was a log to walk */
    uint64_t begin_lsn;
    struct wal_tail tail; /* where it ends */
    enum log_end end;
    enum wal_read_result
        end_why;              /* what stands there instead of a group; WAL_READ_OK: not looked at */
    enum recovery_case start; /* what a start would make of it; 0: not told (a server, files by
                                 themselves, or a refusal by no row of the table) */
    uint64_t start_lsn;       /* where it would go on, or come no further */
    struct urn_error start_refusal; /* by no row; its code is URN_OK: there is none */
    uint64_t durable_lsn;           /* the highest known */
    uint64_t groups;
    uint64_t draws;
    uint64_t applied_groups; /* of those, whose meaning was checked against a state */
    uint64_t next_request_id;
    uint64_t reserved_request_id; /* the highest; 0: none was ever reserved */
    uint64_t log_bytes;           /* walked */
    struct finding findings[FINDINGS_MAX + 1];
    uint32_t finding_count[FINDING_KINDS]; /* all of them */
    uint32_t findings_kept;
    double duration_s;
};

/* Looks at everything there is. URN_OK whatever was found: that stands in *report, which the caller has to
 * verify_report_free(). Errors are of the looking itself: those of history_open,
 * URN_IO, URN_NOMEMORY. */
enum urn_code verify_log(const struct tool *tool, const char *const *operands,
                         uint32_t operand_count, struct verify_report *report,
                         struct urn_error *error);
void verify_report_free(struct verify_report *report);

/* The first of damage, missing, meaning and torn tail that was found. */
enum exit_status verify_exit_status(const struct verify_report *report);

/* "sound", "torn tail", "damaged", "parts are missing", "untrue". */
const char *verify_verdict(const struct verify_report *report);

/* What a start does in this case, in words: "refuse (case D1: ...)", "go on (case D7)". */
const char *verify_start_text(enum recovery_case which);

/* quiet: findings only. Duration and speed are left out when duration_s is 0. */
void verify_print_text(const struct verify_report *report, bool quiet, FILE *out);
void verify_print_json(const struct verify_report *report, FILE *out);

#endif
