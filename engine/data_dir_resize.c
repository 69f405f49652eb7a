/* data_dir_resize.c: see data_dir_resize.h. */
#include "engine/data_dir_resize.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/data_dir_create.h"
#include "engine/file_io.h"
#include "engine/recovery.h"
#include "engine/snapshot_file.h"
#include "engine/wal_ring.h"

#define SNAPSHOTS 2u /* serials 0 and 1: there is no log behind which an older one could stand in */

#define NAME_BYTES (DATA_DIR_NAME_MAX + sizeof DATA_DIR_TEMPORARY)

static void temporary_name(const char *name, char temporary[NAME_BYTES])
{
    snprintf(temporary, NAME_BYTES, "%s" DATA_DIR_TEMPORARY, name);
}

/* ---- before it: the log's last segment ---------------------------------------------------------- */

#define PAD_BYTES_MAX (1u << 20)

_Static_assert(PAD_BYTES_MAX <= GROUP_BYTES_MAX && PAD_BYTES_MAX / 2 >= WAL_GROUP_HEADER_BYTES,
               "a pad is a group, and leaves room for one");

/* The next pad of what is left of the segment, so that what remains then is nothing or has room for another. */
static uint32_t pad_bytes(uint64_t rest)
{
    if (rest <= PAD_BYTES_MAX)
        return (uint32_t)rest;
    return rest - PAD_BYTES_MAX < WAL_GROUP_HEADER_BYTES ? PAD_BYTES_MAX / 2 : PAD_BYTES_MAX;
}

/* Writes one, syncs it, and moves the tail behind it. */
static enum urn_code put_pad(struct wal_ring *ring, struct state *state, uint8_t *bytes,
                             struct urn_error *error)
{
    const uint64_t size = ring->geometry.segment_size_bytes;
    struct wal_tail *tail = &state->tail;
    struct wal_group_header header = {
        .length_bytes = pad_bytes(size - tail->lsn % size),
        .kind = WAL_PAD,
        .ring_short = wal_ring_short(ring->geometry.ring_uuid),
        .lsn = tail->lsn,
        .durable_lsn = tail->lsn,
        .epoch = tail->epoch,
        .engine_time_us = state->engine_time_us,
        .wall_time_us = state->wall_time_us,
        .first_request_id = state->next_request_id,
    };
    struct wal_ring_sync sync;
    memcpy(header.chain_before, tail->chain, WAL_CHAIN_BYTES);
    wal_group_seal(&header, bytes);
    if (wal_ring_write(ring, tail->lsn, bytes, header.length_bytes, error) != URN_OK)
        return error->code;
    wal_ring_sync_begin(ring, tail->lsn, header.length_bytes, &sync);
    if (wal_ring_sync_end(ring, &sync, error) != URN_OK)
        return error->code;
    tail->lsn += header.length_bytes;
    memcpy(tail->chain, header.chain_after, WAL_CHAIN_BYTES);
    return URN_OK;
}

enum urn_code data_dir_resize_close_log(const struct data_dir *data_dir, uint64_t durable_lsn,
                                        struct state *state, struct urn_error *error)
{
    CHECK(data_dir->lock != NULL && durable_lsn <= state->tail.lsn);
    struct wal_ring ring;
    uint64_t rewritten_bytes = 0;
    uint8_t *bytes = calloc(1, PAD_BYTES_MAX);
    if (bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot close the log's last segment");
    enum urn_code code = wal_ring_open(data_dir, &ring, error);
    if (code == URN_OK) {
        code = recovery_rewrite_tail(data_dir, &ring, durable_lsn, state->tail.lsn,
                                     &rewritten_bytes, error);
        while (code == URN_OK && state->tail.lsn % data_dir->geometry.segment_size_bytes != 0)
            code = put_pad(&ring, state, bytes, error);
        wal_ring_close(&ring);
    }
    free(bytes);
    return code;
}

/* ---- Z1 and Z2 ------------------------------------------------------------------------------- */

static enum urn_code write_snapshots(const struct data_dir *data_dir,
                                     const struct wal_geometry *geometry, const struct state *state,
                                     struct urn_error *error)
{
    enum urn_code code = URN_OK;
    for (uint32_t serial = 0; code == URN_OK && serial < SNAPSHOTS; serial++) {
        char name[DATA_DIR_NAME_MAX];
        char temporary[NAME_BYTES];
        data_dir_snapshot_name(name, state->tail.lsn, serial);
        temporary_name(name, temporary);
        code = snapshot_file_write_new(data_dir->dir, temporary, state, geometry, error);
    }
    return code;
}

/* What the new ring needs beside the old one, in so many words, where the disk is too small for both. */
static enum urn_code say_no_room(const struct data_dir *data_dir, const struct wal_geometry *to,
                                 const struct state *state, struct urn_error *error)
{
    if (error->system_errno != ENOSPC && error->system_errno != EDQUOT)
        return error_prefix(error, "nothing was changed in %.200s: ", data_dir->path);
    const uint64_t bytes = wal_ring_bytes(to) + SNAPSHOTS * snapshot_bytes_min(state);
    return error_set(error, URN_CANTCREATE, error->system_errno,
                     "the new ring takes %" PRIu64 " bytes beside the old one, and %.200s has no "
                     "room for them: make room, or choose smaller sizes; nothing was changed",
                     bytes, data_dir->path);
}

enum urn_code data_dir_resize_prepare(const struct data_dir *data_dir,
                                      const struct wal_geometry *to, struct state *state,
                                      struct identity_resizing *resizing, struct urn_error *error)
{
    CHECK(data_dir->lock != NULL && geometry_fault(to) == NULL);
    *resizing = (struct identity_resizing){
        .from = data_dir->geometry,
        .to = *to,
        .begin_lsn = round_up_u64(state->tail.lsn, to->segment_size_bytes)};
    memcpy(resizing->to.ring_uuid, resizing->from.ring_uuid, WAL_UUID_BYTES);
    if (resizing->begin_lsn > URN_NUMBER_MAX - wal_ring_bytes(to))
        return error_set(error, URN_BADARG, 0,
                         "the log ends at LSN %" PRIu64
                         ", and a ring of this size has no room behind it: positions end at "
                         "%" PRIu64,
                         state->tail.lsn, (uint64_t)URN_NUMBER_MAX);
    state->tail.lsn = resizing->begin_lsn;
    enum urn_code code = data_dir_make_segments(data_dir, &resizing->to, DATA_DIR_TEMPORARY, error);
    if (code == URN_OK)
        code = write_snapshots(data_dir, &resizing->to, state, error);
    if (code == URN_OK)
        return code;
    struct urn_error left; /* a start removes it */
    (void)data_dir_remove_temporaries(data_dir->dir, &left);
    return say_no_room(data_dir, &resizing->to, state, error);
}

/* ---- Z3 -------------------------------------------------------------------------------------- */

/* Whether the change has been made, as far as anybody who looks can tell. */
static bool is_resizing(const struct data_dir *data_dir)
{
    char text[IDENTITY_BYTES_MAX];
    size_t length = 0;
    bool found = false;
    struct identity_resizing ignored;
    struct urn_error error;
    if (data_dir_read_identity(data_dir, text, &length, &found, &error) != URN_OK)
        return true; /* who cannot see it must not remove what it may need */
    return found && identity_parse_resizing(text, length, &ignored, &error) == URN_OK;
}

enum urn_code data_dir_resize_commit(const struct data_dir *data_dir,
                                     const struct identity_resizing *resizing, bool *begun,
                                     struct urn_error *error)
{
    char text[IDENTITY_BYTES_MAX];
    const size_t length = identity_format_resizing(resizing, text);
    *begun = true;
    if (file_publish(data_dir->dir, DATA_DIR_IDENTITY, text, length, error) == URN_OK)
        return URN_OK;
    *begun = is_resizing(data_dir);
    if (*begun)
        return error_prefix(error, "the resize of %.200s has begun: ", data_dir->path);
    struct urn_error left; /* a start removes it */
    (void)data_dir_remove_temporaries(data_dir->dir, &left);
    return error_prefix(error, "nothing was changed in %.200s: ", data_dir->path);
}

/* ---- Z4 and Z5 ------------------------------------------------------------------------------- */

/* Gives a file its name. One that is not there under its temporary name has it already; Z6 looks. */
static enum urn_code give_name(struct os_dir *dir, const char *name, struct urn_error *error)
{
    char temporary[NAME_BYTES];
    temporary_name(name, temporary);
    const int failed = os_rename(dir, temporary, name);
    if (failed == 0 || failed == ENOENT)
        return URN_OK;
    return error_set(error, URN_IO, failed, "cannot rename %s to %s", temporary, name);
}

static enum urn_code sync_directory(struct os_dir *dir, struct urn_error *error)
{
    const int failed = os_dir_sync(dir);
    return failed == 0 ? URN_OK : error_set(error, URN_IO, failed, "cannot sync it");
}

static enum urn_code exchange_segments(struct os_dir *dir, const struct identity_resizing *resizing,
                                       struct urn_error *error)
{
    enum urn_code code = URN_OK;
    char name[DATA_DIR_NAME_MAX];
    for (uint32_t slot = 0; code == URN_OK && slot < resizing->to.segments; slot++) {
        data_dir_segment_name(name, slot);
        code = give_name(dir, name, error);
    }
    for (uint32_t slot = resizing->to.segments; code == URN_OK && slot < resizing->from.segments;
         slot++) {
        data_dir_segment_name(name, slot);
        code = data_dir_remove_name(dir, name, error);
    }
    return code == URN_OK ? sync_directory(dir, error) : code;
}

static enum urn_code remove_older(struct os_dir *dir, uint64_t begin_lsn, struct urn_error *error)
{
    struct snapshot_name *names = NULL;
    uint32_t count = 0;
    enum urn_code code = snapshot_file_list(dir, &names, &count, error);
    for (uint32_t i = 0; code == URN_OK && i < count; i++) {
        char name[DATA_DIR_NAME_MAX];
        if (names[i].lsn == begin_lsn && names[i].serial < SNAPSHOTS)
            continue;
        data_dir_snapshot_name(name, names[i].lsn, names[i].serial);
        code = data_dir_remove_name(dir, name, error);
    }
    free(names);
    return code;
}

static enum urn_code exchange_snapshots(struct os_dir *dir,
                                        const struct identity_resizing *resizing,
                                        struct urn_error *error)
{
    enum urn_code code = URN_OK;
    for (uint32_t serial = 0; code == URN_OK && serial < SNAPSHOTS; serial++) {
        char name[DATA_DIR_NAME_MAX];
        data_dir_snapshot_name(name, resizing->begin_lsn, serial);
        code = give_name(dir, name, error);
    }
    if (code == URN_OK)
        code = sync_directory(dir, error);
    if (code == URN_OK)
        code = remove_older(dir, resizing->begin_lsn, error);
    if (code == URN_OK)
        code = data_dir_remove_temporaries(dir, error);
    return code == URN_OK ? sync_directory(dir, error) : code;
}

/* ---- Z6 and Z7 ------------------------------------------------------------------------------- */

static enum urn_code look_at_it(const struct data_dir *data_dir, uint64_t begin_lsn,
                                struct urn_error *error)
{
    const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};
    struct recovery recovery;
    struct state state;
    enum urn_code code = data_dir_check_files(data_dir, error);
    if (code == URN_OK)
        code = recovery_read(data_dir, &bounds, NULL, &state, &recovery, error);
    if (code != URN_OK)
        return code;
    const bool is_it = state.tail.lsn == begin_lsn && recovery.which == RECOVERY_CLEAN_END;
    state_free(&state);
    return is_it ? URN_OK
                 : error_set(error, URN_DAMAGED, 0, "what is there is not what was made of it");
}

enum urn_code data_dir_resize_finish(struct data_dir *data_dir,
                                     const struct identity_resizing *resizing,
                                     struct urn_error *error)
{
    CHECK(data_dir->lock != NULL);
    enum urn_code code = exchange_segments(data_dir->dir, resizing, error);
    if (code == URN_OK)
        code = exchange_snapshots(data_dir->dir, resizing, error);
    if (code == URN_OK) {
        data_dir->geometry = resizing->to;
        code = look_at_it(data_dir, resizing->begin_lsn, error);
    }
    if (code == URN_OK)
        code = data_dir_publish_identity(data_dir->dir, &resizing->to, error);
    if (code != URN_OK)
        error_prefix(error, "the resize of %.200s has begun and has not ended: ", data_dir->path);
    return code;
}
