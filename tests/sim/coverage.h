/* coverage.h: where crashes have struck, by which rows of the recovery table starts were decided, and
 * how requests were answered. A whole run fails when it has left one out. */
#ifndef URN_TESTS_SIM_COVERAGE_H
#define URN_TESTS_SIM_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/recovery.h"
#include "tests/lib/os_sim.h"

#define COVERAGE_WINDOWS(ROW)                                                                      \
    ROW(CREATE_CLEAN, "creation C0: removing what an unfinished one left")                         \
    ROW(CREATE_LOCK, "creation C1: directory and lock")                                            \
    ROW(CREATE_SEGMENTS, "creation C2: segments")                                                  \
    ROW(CREATE_SNAPSHOT, "creation C3: snapshot 0")                                                \
    ROW(CREATE_IDENTITY, "creation C4: IDENTITY")                                                  \
    ROW(START_READING, "start: reading files")                                                     \
    ROW(TAIL_COPY, "start: rewriting the tail")                                                    \
    ROW(TAIL_COPIED, "start: tail rewritten, its sync not begun")                                  \
    ROW(TAIL_SYNCING, "start: between begin and end of the tail's sync")                           \
    ROW(ROOM_SNAPSHOT, "start: snapshots that make room in a full ring")                           \
    ROW(EPOCH_COPY, "start: copying the epoch group")                                              \
    ROW(EPOCH_COPIED, "start: epoch group copied, its sync not begun")                             \
    ROW(EPOCH_SYNCING, "start: between begin and end of the epoch group's sync")                   \
    ROW(STAGED, "requests staged in the open group")                                               \
    ROW(CLOSED, "a group closed, not copied")                                                      \
    ROW(COPY, "before or amid the copy of a group")                                                \
    ROW(COPIED, "a group copied, its sync not begun")                                              \
    ROW(SYNCING, "between begin and end of a group's sync")                                        \
    ROW(RELAXED_COPY, "modes interval, os, K6: amid a copy that is acknowledged once it is whole") \
    ROW(RELAXED_COPIED, "modes interval, os, K7, K8: copied, its sync not begun")                  \
    ROW(RELAXED_SYNCING, "modes interval, os, K9: between begin and end of a sync")                \
    ROW(RESERVING, "modes interval, os: a reservation of ids, not durable")                        \
    ROW(FINISHED, "a group durable, its requests not yet collected")                               \
    ROW(MARK_COPY, "copying a mark")                                                               \
    ROW(MARK_COPIED, "a mark copied, its sync not begun")                                          \
    ROW(MARK_SYNCING, "between begin and end of a mark's sync")                                    \
    ROW(SEGMENT_COPY, "segment change: copying pad or header")                                     \
    ROW(SEGMENT_COPIED, "segment change: header copied, a sync not begun")                         \
    ROW(SEGMENT_SYNCING, "segment change: between begin and end of a sync")                        \
    ROW(SNAPSHOT_CREATE, "snapshot N1: making the temporary file")                                 \
    ROW(SNAPSHOT_WRITE, "snapshot N2: writing blocks")                                             \
    ROW(SNAPSHOT_SYNC, "snapshot N3: syncing the file")                                            \
    ROW(SNAPSHOT_READ, "snapshot N4: reading it back")                                             \
    ROW(SNAPSHOT_DURABLE, "snapshot N5: verified, not renamed")                                    \
    ROW(SNAPSHOT_RENAME, "snapshot N6: renaming")                                                  \
    ROW(SNAPSHOT_DIR_SYNC, "snapshot N7: syncing the directory")                                   \
    ROW(SNAPSHOT_REMOVE, "snapshot N8: counted, removing older ones")                              \
    ROW(SNAPSHOT_REMOVED, "snapshot N9: older ones removed, the directory not synced")             \
    ROW(SNAPSHOT_ABORT, "snapshot: cleaning up behind a failure")                                  \
    ROW(SNAPSHOT_ENDED, "snapshot: over, the writer has not taken the result")                     \
    ROW(ARCHIVE_OPEN, "archive A1: opening it")                                                    \
    ROW(ARCHIVE_GAP, "archive A2: recording a gap")                                                \
    ROW(ARCHIVE_CREATE, "archive A3: making the temporary file")                                   \
    ROW(ARCHIVE_COPY, "archive A4: copying")                                                       \
    ROW(ARCHIVE_INDEX, "archive A5: writing the index")                                            \
    ROW(ARCHIVE_SYNC, "archive A6: syncing the file")                                              \
    ROW(ARCHIVE_READ, "archive A7: reading it back")                                               \
    ROW(ARCHIVE_RENAME, "archive A8: renaming")                                                    \
    ROW(ARCHIVE_DIR_SYNC, "archive A9: syncing the directory")                                     \
    ROW(CATALOG, "a large catalog between two of its groups")                                      \
    ROW(STOPPING, "a clean stop asked for and not finished")                                       \
    ROW(IDLE, "nothing under way")

enum window {
#define ROW(symbol, text) WINDOW_##symbol,
    COVERAGE_WINDOWS(ROW)
#undef ROW
        WINDOW_COUNT
};

/* What a group holds. */
#define COVERAGE_SUBJECTS(ROW)                                                                     \
    ROW(DRAWS, "draws")                                                                            \
    ROW(CHANGE, "changes")                                                                         \
    ROW(CATALOG_PART, "catalog's part")                                                            \
    ROW(CATALOG_END, "catalog's end")                                                              \
    ROW(RELOAD, "a reload")

enum subject {
#define ROW(symbol, text) SUBJECT_##symbol,
    COVERAGE_SUBJECTS(ROW)
#undef ROW
        SUBJECT_COUNT
};

/* Where a group is: the crash windows of commit.h. (K3 stands among the windows above. The simulator knows
 * of nothing between K4 and K5: what was synced is published in the same step.) */
#define COVERAGE_STAGES(ROW)                                                                       \
    ROW(OPEN, "staged, not closed")                                                                \
    ROW(CLOSED, "K1: closed, not copied")                                                          \
    ROW(COPY, "K1, K2: before or amid its copy")                                                   \
    ROW(COPIED, "K2: copied, its sync not begun")                                                  \
    ROW(SYNCING, "K2: between begin and end of its sync")                                          \
    ROW(FINISHED, "K4, K5: durable, not yet collected")

enum stage {
#define ROW(symbol, text) STAGE_##symbol,
    COVERAGE_STAGES(ROW)
#undef ROW
        STAGE_COUNT
};

/* What came of lookups. */
enum coverage_lookup {
    COVERAGE_LOOKUP_FOUND,
    COVERAGE_LOOKUP_BEFORE, /* of those, what was there before the start */
    COVERAGE_LOOKUP_OLDER,
    COVERAGE_LOOKUP_LEFT_OUT,
    COVERAGE_LOOKUP_NOT_YET,
    COVERAGE_LOOKUP_ARCHIVED, /* of those found, what the ring had forgotten */
    COVERAGE_LOOKUP_GAP,      /* in a gap of the archive */
    COVERAGE_LOOKUPS
};

struct coverage {
    uint64_t crashes[WINDOW_COUNT][SIM_CRASH_MACHINE + 1];
    uint64_t group_crashes[STAGE_COUNT][SUBJECT_COUNT][SIM_CRASH_MACHINE + 1];
    uint64_t answers[URN_LOOKUP + 1][URN_CODE_COUNT];
    uint64_t changes_told[URN_CHANGE_KINDS]; /* by reloads */
    uint64_t lookups[COVERAGE_LOOKUPS];
    uint64_t lives[URN_WAL_OS + 1]; /* starts that succeeded, by mode */
    uint64_t cases[RECOVERY_CASES_END];
    uint64_t starts_after_crash; /* every start that followed a crash, finished or not */
    uint64_t starts;
    uint64_t draws;
    uint64_t snapshots;
    uint64_t snapshots_failed;
    uint64_t laps;
    uint64_t archived; /* segments */
    uint64_t archive_gaps;
    uint64_t archive_failures;
    uint64_t faults;
    uint64_t damages;
    uint64_t refusals;
};

void coverage_crash(struct coverage *coverage, enum window window, enum sim_crash kind);

/* With groups that hold these subjects (bits, 1 << enum subject) under way. */
void coverage_crash_group(struct coverage *coverage, enum stage stage, uint32_t subjects,
                          enum sim_crash kind);

void coverage_answer(struct coverage *coverage, const struct urn_request *collected);

/* Notes the row by which a start was decided: from its report, or from the words of its refusal. */
void coverage_start(struct coverage *coverage, enum urn_code code,
                    const struct urn_start_report *report, const struct urn_error *error);

/* Prints the tables. False: something was left out. marks: say so where. */
bool coverage_print(const struct coverage *coverage, bool marks);

#endif
