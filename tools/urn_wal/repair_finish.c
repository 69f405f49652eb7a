/* repair_finish.c: R5 to R9: from REPAIR to a directory that a start goes on from. See repair.h.
 *
 * Whatever has been done of it before is done again: nothing here asks how far somebody came.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/commit.h"
#include "engine/file_io.h"
#include "engine/snapshot_file.h"
#include "tools/urn_wal/repair.h"

#define PIECE_BYTES (256u * 1024)
_Static_assert(PIECE_BYTES % OS_PAGE_BYTES == 0, "pieces are whole pages");

/* The longest pad before a group on a fresh page: the rest of a page, and perhaps another one (wal_place, rules 3, 4). */
#define PAD_BYTES_MAX (2u * OS_PAGE_BYTES)

static const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};

/* ---- R5: snapshots ----------------------------------------------------------------------------- */

static enum urn_code move_snapshots(const struct repair *repair, const struct repair_intent *intent,
                                    struct urn_error *error)
{
    struct os_dir *dir = repair->data_dir.dir;
    struct snapshot_name *names = NULL;
    uint32_t count = 0;
    enum urn_code code = snapshot_file_list(dir, &names, &count, error);
    for (uint32_t i = 0; i < count && code == URN_OK; i++) {
        char name[DATA_DIR_NAME_MAX];
        if (names[i].lsn <= intent->lsn)
            continue;
        data_dir_snapshot_name(name, names[i].lsn, names[i].serial);
        code = repair_copy_is_there(repair, intent, name, error);
        if (code != URN_OK)
            break;
        const int failure = os_remove(dir, name);
        if (failure != 0)
            code = error_set(error, URN_IO, failure, "cannot move %s aside", name);
    }
    free(names);
    if (code != URN_OK)
        return code;
    const int failure = os_dir_sync(dir);
    return failure == 0 ? URN_OK
                        : error_set(error, URN_IO, failure, "cannot sync the directory %.200s",
                                    repair->path);
}

/* ---- R6: zeros --------------------------------------------------------------------------------- */

/* Whole pages around a piece of the cut, so that they need not be read in where they cannot be: what of them
 * is not cut stays, byte for byte, and was read without a fault when the cut was planned. */
static enum urn_code zero_pages(struct os_file *file, const char *name,
                                const struct repair_cut *cut, uint64_t page, uint8_t *bytes,
                                uint64_t length_bytes, struct urn_error *error)
{
    const uint64_t end = page + length_bytes;
    memset(bytes, 0, length_bytes);
    if (page < cut->from &&
        file_read_exact(file, name, bytes, (size_t)(cut->from - page), page, error) != URN_OK)
        return error->code;
    if (end > cut->to && file_read_exact(file, name, bytes + (cut->to - page),
                                         (size_t)(end - cut->to), cut->to, error) != URN_OK)
        return error->code;
    return file_write_exact(file, name, bytes, (size_t)length_bytes, page, error);
}

static enum urn_code zero(struct os_file *file, const char *name, const struct repair_cut *cut,
                          uint8_t *bytes, struct urn_error *error)
{
    const uint64_t to = round_up_u64(cut->to, OS_PAGE_BYTES);
    for (uint64_t page = cut->from - cut->from % OS_PAGE_BYTES; page < to; page += PIECE_BYTES) {
        const uint64_t length = to - page < PIECE_BYTES ? to - page : PIECE_BYTES;
        if (zero_pages(file, name, cut, page, bytes, length, error) != URN_OK)
            return error->code;
    }
    return URN_OK;
}

/* From the disk itself. */
static enum urn_code check_zero(struct os_file *file, const char *name,
                                const struct repair_cut *cut, uint8_t *bytes,
                                struct urn_error *error)
{
    for (uint64_t offset = cut->from; offset < cut->to; offset += PIECE_BYTES) {
        const uint64_t length = cut->to - offset < PIECE_BYTES ? cut->to - offset : PIECE_BYTES;
        if (file_read_exact(file, name, bytes, (size_t)length, offset, error) != URN_OK)
            return error->code;
        if (!bytes_are_zero(bytes, (size_t)length))
            return error_set(error, URN_IO, EIO,
                             "%s does not hold the zeros that were written and synced", name);
    }
    return URN_OK;
}

static enum urn_code cut_open_file(struct os_file *file, const char *name,
                                   const struct repair_cut *cut, uint8_t *bytes,
                                   struct urn_error *error)
{
    if (zero(file, name, cut, bytes, error) != URN_OK)
        return error->code;
    int failure = os_file_sync(file);
    if (failure == 0)
        failure = os_file_drop_cache(file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot sync %s", name);
    return check_zero(file, name, cut, bytes, error);
}

static enum urn_code make_cuts(const struct repair *repair, const struct repair_intent *intent,
                               struct urn_error *error)
{
    uint8_t *bytes = malloc(PIECE_BYTES);
    if (bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot cut the log");
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; i < intent->cut_count && code == URN_OK; i++) {
        const struct repair_cut *cut = &intent->cuts[i];
        char name[DATA_DIR_NAME_MAX];
        struct os_file *file = NULL;
        if (cut->slot >= repair->data_dir.geometry.segments ||
            cut->to > repair->data_dir.geometry.segment_size_bytes) {
            code = error_set(error, URN_DAMAGED, 0, DATA_DIR_REPAIR " is of another ring");
            break;
        }
        data_dir_segment_name(name, cut->slot);
        const int failure = os_file_open(repair->data_dir.dir, name, OS_WRITE, &file);
        if (failure != 0) {
            code = error_set(error, URN_IO, failure, "cannot open %s to write", name);
            break;
        }
        code = cut_open_file(file, name, cut, bytes, error);
        os_file_close(file);
    }
    free(bytes);
    return code;
}

/* ---- R7: what a start would find --------------------------------------------------------------- */

static enum urn_code find_end(const struct repair *repair, const struct repair_intent *intent,
                              struct state *state, struct recovery *recovery,
                              struct urn_error *error)
{
    if (recovery_read(&repair->data_dir, &bounds, false, state, recovery, error) != URN_OK)
        return error_prefix(error, "behind the cut a start would still refuse: ");
    if (state->tail.lsn == intent->lsn)
        return URN_OK;
    const uint64_t lsn = state->tail.lsn;
    state_free(state);
    return error_set(error, URN_DAMAGED, 0,
                     "behind the cut the log ends at LSN %" PRIu64 " instead of %" PRIu64, lsn,
                     intent->lsn);
}

/* ---- R8: the epoch group ----------------------------------------------------------------------- */

/* Seals, copies and syncs what the group's entries hold, behind the commit side's tail. */
static enum urn_code commit_one(struct commit *commit, struct group *group,
                                enum wal_group_kind kind, struct urn_error *error)
{
    group->kind = kind;
    group->placement =
        wal_place(&commit->ring->geometry, commit->tail.lsn, group->entries.used_bytes, true);
    CHECK(group->placement.group_bytes == group->entries.used_bytes);
    bool finished = false;
    while (!finished)
        if (commit_begin(commit, group, error) != URN_OK ||
            commit_end(commit, group, &finished, error) != URN_OK)
            return error->code;
    return URN_OK;
}

/* As a start writes it (engine/writer.c), but for the ids; and a mark, which vouches for it: nobody knows for
 * how long the directory will lie there, and the ids stand in that group alone. */
static enum urn_code commit_epoch(const struct repair *repair, const struct repair_intent *intent,
                                  const struct state *state, struct wal_ring *ring,
                                  struct urn_error *error)
{
    struct urn_os *os = repair->tool->os;
    uint8_t image[WAL_EPOCH_GROUP_BYTES] = {0};
    uint8_t nonce[WAL_NONCE_BYTES];
    struct group group = {.bytes = image, .has_bytes = true};
    struct commit commit;
    if (commit_make(&commit, ring, os, &state->tail, PAD_BYTES_MAX, error) != URN_OK)
        return error->code;
    os_random(os, nonce, sizeof nonce);
    wal_entries_begin(&group.entries, image, sizeof image);
    wal_entries_add_epoch(&group.entries, nonce, intent->next_request_id);
    group.wall_time_us = os_wall_us(os);
    group.engine_time_us = recovery_engine_time_us(state, group.wall_time_us);
    group.first_request_id = state->next_request_id;
    commit.tail.epoch = intent->epoch;
    enum urn_code code = commit_one(&commit, &group, WAL_EPOCH, error);
    if (code == URN_OK) {
        memset(image, 0, sizeof image);
        wal_entries_begin(&group.entries, image, sizeof image);
        group.first_request_id = intent->next_request_id;
        code = commit_one(&commit, &group, WAL_MARK, error);
    }
    commit_free(&commit);
    return code;
}

static enum urn_code write_epoch(const struct repair *repair, const struct repair_intent *intent,
                                 const struct state *state, struct urn_error *error)
{
    struct wal_ring ring;
    if (wal_ring_open(&repair->data_dir, &ring, error) != URN_OK)
        return error->code;
    const enum urn_code code = commit_epoch(repair, intent, state, &ring, error);
    wal_ring_close(&ring);
    return code;
}

static enum urn_code check_epoch(const struct repair *repair, const struct repair_intent *intent,
                                 struct urn_error *error)
{
    struct state state;
    struct recovery recovery;
    if (recovery_read(&repair->data_dir, &bounds, false, &state, &recovery, error) != URN_OK)
        return error_prefix(error, "behind the new epoch a start would refuse: ");
    const bool is_there =
        state.tail.epoch == intent->epoch && state.next_request_id == intent->next_request_id &&
        recovery.durable_lsn > intent->lsn && recovery_case_starts(recovery.which);
    state_free(&state);
    return is_there ? URN_OK
                    : error_set(error, URN_DAMAGED, 0,
                                "the new epoch does not read back as it was written");
}

static enum urn_code make_end(const struct repair *repair, const struct repair_intent *intent,
                              struct urn_error *error)
{
    struct state state;
    struct recovery recovery;
    if (find_end(repair, intent, &state, &recovery, error) != URN_OK)
        return error->code;
    enum urn_code code = URN_OK;
    if (intent->what == REPAIR_AT)
        code = write_epoch(repair, intent, &state, error);
    state_free(&state);
    if (code == URN_OK && intent->what == REPAIR_AT)
        code = check_epoch(repair, intent, error);
    return code;
}

/* ---- R2: the tail of what is kept ---------------------------------------------------------------- */

enum urn_code repair_secure_tail(const struct repair *repair, const struct repair_plan *plan,
                                 struct urn_error *error)
{
    struct wal_ring ring;
    uint64_t rewritten = 0;
    if (plan->durable_lsn == plan->intent.lsn)
        return URN_OK;
    if (wal_ring_open(&repair->data_dir, &ring, error) != URN_OK)
        return error_prefix(error, "nothing was changed: ");
    const enum urn_code code = recovery_rewrite_tail(&repair->data_dir, &ring, plan->durable_lsn,
                                                     plan->intent.lsn, &rewritten, error);
    wal_ring_close(&ring);
    return code == URN_OK ? URN_OK : error_prefix(error, "nothing was changed: ");
}

/* ---- R9: the end ------------------------------------------------------------------------------- */

/* A start passes once REPAIR is removed, and makes that durable before anything else. */
static enum urn_code remove_intent(const struct repair *repair, struct urn_error *error)
{
    struct os_dir *dir = repair->data_dir.dir;
    int failure = os_remove(dir, DATA_DIR_REPAIR);
    if (failure != 0)
        return error_set(error, URN_IO, failure,
                         "all is repaired, but " DATA_DIR_REPAIR
                         ", which no start passes, cannot be removed");
    failure = os_dir_sync(dir);
    if (failure != 0)
        return error_set(error, URN_IO, failure,
                         "all is repaired, but the directory %.200s cannot be synced: a power loss "
                         "may bring " DATA_DIR_REPAIR
                         " back, and the same command then finishes it",
                         repair->path);
    return URN_OK;
}

/* ---- all of it --------------------------------------------------------------------------------- */

enum urn_code repair_finish(struct repair *repair, const struct repair_intent *intent,
                            struct urn_error *error)
{
    enum urn_code code = move_snapshots(repair, intent, error);
    if (code == URN_OK)
        code = make_cuts(repair, intent, error);
    if (code == URN_OK)
        code = make_end(repair, intent, error);
    if (code != URN_OK)
        return error_prefix(error, "the repair has begun and has not ended: ");
    return remove_intent(repair, error);
}
