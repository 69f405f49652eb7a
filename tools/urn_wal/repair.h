/* repair.h: what the parts of `urn-wal repair` share.
 *
 * What a cut is
 *     The log is made to end at an LSN, T, that a start would come to by its own rules: from the newest sound
 *     snapshot at or below T (the base) every group up to T is whole, true and in one chain. What is discarded
 *     behind it may be no evidence any more (engine/wal_reader.h):
 *       - snapshots named with an LSN above T are moved aside;
 *       - in the slot of T everything from T on becomes zeros;
 *       - so does every other slot in which anything says that it belongs at or behind T (the header page, or a
 *         whole group at any position), but for the stretch from the base to T;
 *       - and so does every sector that cannot be read, for what stood there could be evidence.
 *     What lies before the base and says nothing of the sort stays: it is history.
 *     At T stands a new epoch group, whose ids begin above all that was found in what is discarded, and a margin;
 *     a mark behind it vouches for it.
 *     A torn tail is cut where the log ends anyway; nothing of it was durable, so no epoch group is needed.
 *
 * The steps, each of which may be interrupted (--write)
 *     R1  the lock; directory and files are synced
 *     R2  the plan; nothing is written
 *         then, under the lock, the tail of what is kept is made durable again, with identical bytes, as a
 *         start does it: it may live in the cache only, which R6 drops
 *     R3  every file to be touched is copied to lost+found-<time>/, synced, read back and compared; a MANIFEST
 *         there, last                                                              until here: the old files
 *     R4  REPAIR is renamed into place (repair_intent.h): THE DECISION. From here on a start refuses, and the
 *         same command goes on with R5, whatever of R5 to R9 has been done
 *     R5  snapshots above T are removed, each after another look at its copy; the directory is synced
 *     R6  the cuts are zeroed, each file synced, dropped from the cache and read back
 *     R7  recovery reads what a start would read: the log must end at T, and a start must be able to go on there
 *     R8  the epoch group and its mark are written and synced by the engine's commit side; recovery must find it
 *     R9  REPAIR is removed, and the directory synced                              from here: the repaired files
 * R4 to R9 depend on nothing but REPAIR and what R5 to R8 leave alone, and do the same when done again. A full
 * disk is met in R3 or R4; R6 and R8 write to blocks that are there.
 */
#ifndef URN_TOOLS_URN_WAL_REPAIR_H
#define URN_TOOLS_URN_WAL_REPAIR_H

#include "engine/recovery.h"
#include "tools/urn_wal/cat_print.h"
#include "tools/urn_wal/repair_intent.h"
#include "tools/urn_wal/verify.h"

/* Ids go on so many above the highest that was found in what is discarded: for draws whose groups are
 * destroyed, and behind which nothing tells. A server at full speed takes hours to give as many; 9000 repairs
 * use up 2^53. */
#define REPAIR_ID_MARGIN 1000000000000ull

/* A whole group of this ring that says it belongs at or behind an LSN. */
struct later_group {
    uint64_t lsn;
    uint32_t length_bytes;
};

/* All of them, by LSN, then length. */
struct later_groups {
    struct later_group *groups;
    uint32_t count;
    uint32_t room;
};

/* Errors: URN_IO, URN_NOMEMORY. On URN_OK the caller has to free(later->groups). */
enum urn_code later_groups_find(const struct history *history, uint64_t from_lsn,
                                struct later_groups *later, struct urn_error *error);

/* Reads one of them: *header, and *bytes, which the caller keeps from call to call (NULL at first) and
 * free()s. False: it cannot be read any more. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code later_group_read(const struct history *history, const struct later_group *group,
                               struct wal_group_header *header, uint8_t **bytes, bool *whole,
                               struct urn_error *error);

/* A sector that cannot be read. */
struct bad_sector {
    uint32_t slot;
    uint64_t offset;
};

/* What a cut at intent.lsn would come to. */
struct repair_plan {
    struct repair_intent intent; /* but for copies */
    struct snapshot_name base;
    struct wal_tail tail; /* of the log at intent.lsn */
    uint64_t
        durable_lsn; /* what is kept is known to be on the disk up to here: intent.lsn at most */
    uint64_t kept_next_id;
    uint64_t kept_reserved_id;
    uint64_t highest_id; /* given or reserved, in what is kept or discarded */
    uint32_t epoch_max;
    struct snapshot_name *moved; /* above intent.lsn, newest first */
    uint32_t moved_count;
    struct later_groups later;
    struct bad_sector *bad_sectors;
    uint32_t bad_sector_count;
    bool *touched; /* by slot */
    /* the loss */
    uint64_t lost_draws;   /* in groups that can be read */
    uint64_t lost_changes; /* likewise */
    uint64_t unread_draws; /* whose ids lie in what cannot be read */
    uint64_t
        beyond_durable_groups; /* of those later: never durable, or discarded by an earlier start */
    bool
        loss_is_open; /* nothing behind the last of what cannot be read tells how many draws it held */
};

struct repair_options {
    bool truncate_tail;
    uint64_t truncate_at; /* NO_LSN: not asked for */
    uint64_t accept_loss; /* NO_LOSS: not said */
    bool salvage;
    bool write;
};
#define NO_LOSS UINT64_MAX

struct repair {
    const struct tool *tool; /* as seen under the lock, where it is held */
    const char *path;
    struct repair_options options;
    struct history history;
    struct verify_report report;
    struct data_dir
        data_dir; /* to be written under its lock, or a view of the history's for reading */
};

/* ---- planning -------------------------------------------------------------------------------- */

/* Plans a cut at lsn. lists: prints what would be lost to the tool's out, a line each. On URN_OK the caller
 * has to repair_plan_free(). Errors: URN_BADARG (the log cannot be made to end there: why), URN_DAMAGED (it
 * cannot be repaired), URN_IO, URN_NOMEMORY. */
enum urn_code repair_plan_make(struct repair *repair, enum repair_what what, uint64_t lsn,
                               bool lists, struct repair_plan *plan, struct urn_error *error);
void repair_plan_free(struct repair_plan *plan);

/* Fills the plan's loss, and raises highest_id by what is found. */
enum urn_code repair_list_loss(struct repair *repair, struct repair_plan *plan, bool lists,
                               struct urn_error *error);

/* The newest sound snapshot at or below lsn, and the log behind it to exactly lsn. *state is the caller's to
 * free; *durable_lsn: the highest that the groups walked carry. Errors: as repair_plan_make. */
enum urn_code repair_follow(const struct repair *repair, uint64_t lsn, struct state *state,
                            struct snapshot_name *base, uint64_t *durable_lsn,
                            struct urn_error *error);

/* Fills bad_sectors, cuts and touched. Errors: URN_DAMAGED, URN_IO, URN_NOMEMORY. */
enum urn_code repair_plan_cuts(struct repair *repair, struct repair_plan *plan,
                               struct urn_error *error);

static inline uint64_t repair_loss(const struct repair_plan *plan)
{
    return plan->lost_draws + plan->unread_draws;
}

/* ---- telling --------------------------------------------------------------------------------- */

/* What a start would do, and what repair can do about it. */
void repair_print_diagnosis(const struct repair *repair);
void repair_print_advice(struct repair *repair);

void repair_print_plan(const struct repair *repair, const struct repair_plan *plan);
void repair_print_begun(const struct repair *repair, const struct repair_intent *intent);

/* ---- doing ----------------------------------------------------------------------------------- */

/* The end of R2. Errors: URN_IO, URN_NOMEMORY: nothing was changed. */
enum urn_code repair_secure_tail(const struct repair *repair, const struct repair_plan *plan,
                                 struct urn_error *error);

/* R3. Names the folder in plan->intent.copies. Errors: URN_IO (ENOSPC among them: what was copied is removed
 * again), URN_DAMAGED (what was read back is not what was written), URN_NOMEMORY. */
enum urn_code repair_copy(struct repair *repair, struct repair_plan *plan, struct urn_error *error);

/* Removes the copies again, as far as that goes: nothing was changed, and nothing will be. */
void repair_uncopy(struct repair *repair, const struct repair_plan *plan);

/* Looks whether the copy of a file of so many bytes is there. Errors: URN_DAMAGED, URN_IO. */
enum urn_code repair_copy_is_there(const struct repair *repair, const struct repair_intent *intent,
                                   const char *name, struct urn_error *error);

/* R5 to R9, REPAIR being in place. Errors: URN_DAMAGED, URN_IO, URN_NOMEMORY: it can be called again. Where REPAIR
 * is gone all the same, all is done, but a power loss may bring it back. */
enum urn_code repair_finish(struct repair *repair, const struct repair_intent *intent,
                            struct urn_error *error);

/* --salvage. Errors: URN_IO, URN_NOMEMORY. */
enum urn_code repair_salvage(struct repair *repair, struct urn_error *error);

#endif
