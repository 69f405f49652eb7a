/* data_dir_create.c: see data_dir_create.h. */
#include "engine/data_dir_create.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium/crypto_generichash.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/identity.h"
#include "engine/snapshot_file.h"
#include "engine/wal_ring.h"

#define ZEROES_BYTES (1024u * 1024) /* of one write while a segment is filled, or read over */

/* ---- errors ---------------------------------------------------------------------------------- */

enum urn_code data_dir_cannot_create(const struct data_dir *data_dir, struct urn_error *error)
{
    const char *advice = NULL;
    switch (error->system_errno) {
    case ENOSPC:
    case EDQUOT:
        advice = "make room, or configure a smaller ring (wal.segment_size, wal.segments)";
        break;
    case EACCES:
    case EPERM:
        advice = "give this user the right to write there";
        break;
    case EROFS:
        advice = "mount its file system for writing";
        break;
    case ENOTDIR:
        advice = "its path, or a part of it, is a file and no directory: name another data_dir";
        break;
    case ENOENT:
    case ELOOP:
    case ENAMETOOLONG:
        advice = "only its last component is made: make its parent first";
        break;
    default:
        break;
    }
    if (error->code != URN_IO || advice == NULL)
        return error_prefix(error, "the data directory %.200s: ", data_dir->path);
    int system_errno = error->system_errno;
    char why[sizeof error->text];
    memcpy(why, error->text, sizeof why);
    error_set(error, URN_CANTCREATE, 0,
              "cannot create the data directory %.100s: %.260s; %s, then start again with --create",
              data_dir->path, why, advice);
    error->system_errno = system_errno; /* its words are in the text already */
    return error->code;
}

/* ---- C1: the directory ----------------------------------------------------------------------- */

static enum urn_code refuse_as_worth(const struct data_dir *data_dir, const char *what,
                                     struct urn_error *error)
{
    return error_set(error, URN_DAMAGED, 0,
                     "%.120s has no IDENTITY, but %s: it may be of worth, so that nothing is made "
                     "there; name another data_dir, or move away what is there; `urn-wal verify "
                     "%.120s` shows more",
                     data_dir->path, what, data_dir->path);
}

struct owner {
    bool ours;                       /* there is LOCK or IDENTITY */
    char foreign[DATA_DIR_NAME_MAX]; /* a name that is not ours; "": none */
};

static int owner_visit(void *context, const char *name)
{
    struct owner *owner = context;
    enum data_dir_name_kind kind = data_dir_name_kind(name);
    owner->ours = owner->ours || kind == DATA_DIR_NAME_LOCK || kind == DATA_DIR_NAME_IDENTITY;
    if (kind == DATA_DIR_NAME_FOREIGN)
        snprintf(owner->foreign, sizeof owner->foreign, "%s", name);
    return 0;
}

/* A mistyped path: someone else's directory gets not even a LOCK. */
static enum urn_code refuse_foreign(const struct data_dir *data_dir, struct urn_error *error)
{
    struct owner owner = {0};
    int failed = os_dir_list(data_dir->dir, owner_visit, &owner);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot list the data directory %.200s",
                         data_dir->path);
    if (owner.ours || owner.foreign[0] == '\0')
        return URN_OK;
    char what[2 * DATA_DIR_NAME_MAX];
    snprintf(what, sizeof what, "there is %s", owner.foreign);
    return refuse_as_worth(data_dir, what, error);
}

enum urn_code data_dir_make(struct urn_os *os, struct data_dir *data_dir, struct urn_error *error)
{
    int failed = os_dir_open(os, data_dir->path, &data_dir->dir);
    if (failed == 0)
        return refuse_foreign(data_dir, error);
    bool exists = failed != ENOENT && failed != ENOTDIR;
    if (failed == ENOENT) {
        failed = os_dir_make(os, data_dir->path);
        if (failed == 0 || failed == EEXIST) /* EEXIST: another process was faster */
            failed = os_dir_open(os, data_dir->path, &data_dir->dir);
    }
    if (failed == 0)
        return URN_OK;
    data_dir->dir = NULL;
    error_set(error, URN_IO, failed, "cannot %s", exists ? "open it" : "make it");
    return exists ? error_prefix(error, "the data directory %.200s: ", data_dir->path)
                  : data_dir_cannot_create(data_dir, error);
}

/* The directory that holds the last component of path. */
static void parent_path(const char *path, char parent[DATA_DIR_PATH_BYTES_MAX])
{
    size_t length = strlen(path);
    CHECK(length > 0 && length < DATA_DIR_PATH_BYTES_MAX);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0) {
        memcpy(parent, ".", 2);
        return;
    }
    memcpy(parent, path, length);
    parent[length] = '\0';
}

enum urn_code data_dir_sync_parent(struct urn_os *os, const struct data_dir *data_dir,
                                   struct urn_error *error)
{
    char parent[DATA_DIR_PATH_BYTES_MAX];
    parent_path(data_dir->path, parent);
    struct os_dir *dir = NULL;
    int failed = os_dir_open(os, parent, &dir);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot open its parent, to sync it");
    failed = os_dir_sync(dir);
    os_dir_close(dir);
    return failed == 0 ? URN_OK : error_set(error, URN_IO, failed, "cannot sync its parent");
}

/* ---- what an unfinished creation left -------------------------------------------------------- */

/* The names in a directory without IDENTITY. */
struct leftovers {
    bool segment[SEGMENTS_MAX];
    bool snapshot_zero;
    bool unfinished;                  /* a tool was making the directory (data_dir_build.h) */
    char of_worth[DATA_DIR_NAME_MAX]; /* one that shows that there is more; "": none */
};

static int leftovers_visit(void *context, const char *name)
{
    struct leftovers *leftovers = context;
    uint32_t slot = 0;
    uint32_t serial = 0;
    uint64_t lsn = 0;
    bool of_worth = false;
    switch (data_dir_name_kind(name)) {
    case DATA_DIR_NAME_LOCK:
    case DATA_DIR_NAME_TEMPORARY:
        break;
    case DATA_DIR_NAME_SEGMENT:
        CHECK(data_dir_parse_segment_name(name, &slot));
        leftovers->segment[slot] = true;
        break;
    case DATA_DIR_NAME_SNAPSHOT:
        CHECK(data_dir_parse_snapshot_name(name, &lsn, &serial));
        of_worth = lsn != 0 || serial != 0;
        leftovers->snapshot_zero = leftovers->snapshot_zero || !of_worth;
        break;
    case DATA_DIR_NAME_UNFINISHED:
        leftovers->unfinished = true;
        break;
    case DATA_DIR_NAME_IDENTITY: /* the caller has seen that there is none */
    case DATA_DIR_NAME_REPAIR:   /* nobody repairs what has none */
    case DATA_DIR_NAME_BACKUP:
    case DATA_DIR_NAME_FOREIGN:
        of_worth = true;
        break;
    }
    if (of_worth)
        snprintf(leftovers->of_worth, sizeof leftovers->of_worth, "%s", name);
    return 0;
}

static enum urn_code find_leftovers(struct os_dir *dir, struct leftovers *leftovers,
                                    struct urn_error *error)
{
    *leftovers = (struct leftovers){0};
    int failed = os_dir_list(dir, leftovers_visit, leftovers);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot list it");
    return URN_OK;
}

/* A segment that an unfinished creation left holds zeroes only, in whatever length. */
static enum urn_code refuse_written_segment(const struct data_dir *data_dir, uint32_t slot,
                                            uint8_t *buffer, struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    char what[2 * DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, slot);
    struct os_file *file = NULL;
    int failed = os_file_open(data_dir->dir, name, OS_READ, &file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot open %.200s/%s", data_dir->path, name);
    uint64_t size_bytes = 0;
    enum urn_code code = URN_OK;
    failed = os_file_size(file, &size_bytes);
    if (failed != 0)
        code = error_set(error, URN_IO, failed, "cannot find the size of %.200s/%s", data_dir->path,
                         name);
    for (uint64_t offset = 0; code == URN_OK && offset < size_bytes; offset += ZEROES_BYTES) {
        uint64_t left = size_bytes - offset;
        size_t length = left < ZEROES_BYTES ? (size_t)left : ZEROES_BYTES;
        code = file_read_exact(file, name, buffer, length, offset, error);
        if (code == URN_OK && !bytes_are_zero(buffer, length)) {
            snprintf(what, sizeof what, "%s is not all zeroes", name);
            code = refuse_as_worth(data_dir, what, error);
        }
    }
    os_file_close(file);
    return code;
}

/* Snapshot 0 of an unfinished creation verifies and has all its segments beside it. */
static enum urn_code refuse_odd_snapshot(const struct data_dir *data_dir,
                                         const struct leftovers *leftovers, struct urn_error *error)
{
    const struct state_bounds bounds = {.max_pools = MAX_POOLS_MAX, .max_items = MAX_ITEMS_MAX};
    struct wal_geometry geometry;
    struct state state;
    char what[2 * DATA_DIR_NAME_MAX];
    enum urn_code code = snapshot_file_load(data_dir->dir, (struct snapshot_name){0, 0}, &bounds,
                                            &state, &geometry, error);
    if (code == URN_IO || code == URN_NOMEMORY)
        return code;
    if (code != URN_OK)
        return refuse_as_worth(data_dir, "there is a snapshot 0 that does not verify", error);
    state_free(&state);
    for (uint32_t slot = 0; slot < geometry.segments; slot++) {
        if (leftovers->segment[slot])
            continue;
        snprintf(what, sizeof what, "there is a snapshot 0 without segment-%04" PRIu32, slot);
        return refuse_as_worth(data_dir, what, error);
    }
    return URN_OK;
}

enum urn_code data_dir_refuse_worth(const struct data_dir *data_dir, struct urn_error *error)
{
    struct leftovers leftovers;
    enum urn_code code = find_leftovers(data_dir->dir, &leftovers, error);
    if (code != URN_OK)
        return error_prefix(error, "the data directory %.200s: ", data_dir->path);
    if (leftovers.unfinished) /* over which nothing may begin afresh */
        return error_set(error, URN_NODATA, 0,
                         "%.200s is an unfinished backup or restored directory: nothing of it can "
                         "be used; repeat the command that was making it, or remove it",
                         data_dir->path);
    if (leftovers.of_worth[0] != '\0') {
        char what[2 * DATA_DIR_NAME_MAX];
        snprintf(what, sizeof what, "there is %s", leftovers.of_worth);
        return refuse_as_worth(data_dir, what, error);
    }
    uint8_t *buffer = malloc(ZEROES_BYTES);
    if (buffer == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory to look at %.200s", data_dir->path);
    for (uint32_t slot = 0; code == URN_OK && slot < SEGMENTS_MAX; slot++)
        if (leftovers.segment[slot])
            code = refuse_written_segment(data_dir, slot, buffer, error);
    free(buffer);
    if (code == URN_OK && leftovers.snapshot_zero)
        code = refuse_odd_snapshot(data_dir, &leftovers, error);
    return code;
}

/* ---- C0: removing it ------------------------------------------------------------------------- */

enum urn_code data_dir_remove_name(struct os_dir *dir, const char *name, struct urn_error *error)
{
    int failed = os_remove(dir, name);
    if (failed != 0 && failed != ENOENT)
        return error_set(error, URN_IO, failed, "cannot remove %s", name);
    return URN_OK;
}

/* So many temporary names are remembered at once; there is hardly ever more than one. */
#define TEMPORARIES_A_PASS 16u

struct temporaries {
    char names[TEMPORARIES_A_PASS][DATA_DIR_NAME_MAX];
    uint32_t count;
    bool backup; /* the directory is one */
};

static int temporaries_visit(void *context, const char *name)
{
    struct temporaries *temporaries = context;
    const enum data_dir_name_kind kind = data_dir_name_kind(name);
    temporaries->backup = temporaries->backup || kind == DATA_DIR_NAME_BACKUP;
    if (temporaries->count < TEMPORARIES_A_PASS &&
        (kind == DATA_DIR_NAME_TEMPORARY || kind == DATA_DIR_NAME_UNFINISHED))
        snprintf(temporaries->names[temporaries->count++], DATA_DIR_NAME_MAX, "%s", name);
    return 0;
}

/* *backup (NULL: never mind): nothing was removed, for the directory is one. */
static enum urn_code remove_temporaries(struct os_dir *dir, bool *backup, struct urn_error *error)
{
    struct temporaries temporaries;
    do {
        temporaries.count = 0;
        temporaries.backup = false;
        int failed = os_dir_list(dir, temporaries_visit, &temporaries);
        if (failed != 0)
            return error_set(error, URN_IO, failed, "cannot list the data directory");
        if (backup != NULL && temporaries.backup) {
            *backup = true;
            return URN_OK;
        }
        for (uint32_t i = 0; i < temporaries.count; i++)
            if (data_dir_remove_name(dir, temporaries.names[i], error) != URN_OK)
                return error->code;
    } while (temporaries.count == TEMPORARIES_A_PASS);
    return URN_OK;
}

enum urn_code data_dir_remove_temporaries(struct os_dir *dir, struct urn_error *error)
{
    return remove_temporaries(dir, NULL, error);
}

enum urn_code data_dir_clear(const struct data_dir *data_dir, struct urn_error *error)
{
    bool backup = false;
    enum urn_code code = remove_temporaries(data_dir->dir, &backup, error);
    if (code != URN_OK || !backup)
        return code;
    return error_set(error, URN_NODATA, 0,
                     "%.100s is a backup: a start would give ids and prizes again that have been "
                     "given since; `urn-wal restore %.100s DEST` makes a data directory of it",
                     data_dir->path, data_dir->path);
}

/* Snapshot 0 without all segments is of worth: it must be gone for good before the first of them.
 * The sync makes LOCK durable too (C1). */
static enum urn_code remove_leftovers(struct os_dir *dir, struct urn_error *error)
{
    struct leftovers leftovers;
    enum urn_code code = find_leftovers(dir, &leftovers, error);
    if (code == URN_OK)
        code = data_dir_remove_temporaries(dir, error);
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, 0, 0);
    if (code == URN_OK && leftovers.snapshot_zero)
        code = data_dir_remove_name(dir, name, error);
    if (code != URN_OK)
        return code;
    int failed = os_dir_sync(dir);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot sync it");
    for (uint32_t slot = 0; code == URN_OK && slot < SEGMENTS_MAX; slot++) {
        data_dir_segment_name(name, slot);
        if (leftovers.segment[slot])
            code = data_dir_remove_name(dir, name, error);
    }
    return code;
}

/* ---- C2: the ring ---------------------------------------------------------------------------- */

/* How much of the ring has been written before a segment. */
struct filling {
    const struct progress *progress;
    uint64_t begin_bytes;
    uint64_t all_bytes;
};

/* Allocated and written, so that a commit never changes file metadata; the cache is dropped because
 * it keeps what such large writes left as large folios, which every small sync would then write
 * whole (docs/wal-format.md, "Traps"). */
static enum urn_code fill_segment(struct os_file *file, const char *name, uint64_t size_bytes,
                                  const uint8_t *zeroes, const struct filling *filling,
                                  struct urn_error *error)
{
    int failed = os_file_allocate(file, size_bytes);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot allocate %" PRIu64 " bytes for %s",
                         size_bytes, name);
    for (uint64_t offset = 0; offset < size_bytes; offset += ZEROES_BYTES) {
        uint64_t left = size_bytes - offset;
        size_t length = left < ZEROES_BYTES ? (size_t)left : ZEROES_BYTES;
        enum urn_code code = file_write_exact(file, name, zeroes, length, offset, error);
        if (code != URN_OK)
            return code;
        progress_tell(filling->progress, "writing the ring", filling->begin_bytes + offset + length,
                      filling->all_bytes);
    }
    failed = os_file_sync(file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot sync %s", name);
    failed = os_file_drop_cache(file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot drop the cache of %s", name);
    return URN_OK;
}

enum urn_code data_dir_make_segments(const struct data_dir *data_dir,
                                     const struct wal_geometry *geometry, const char *suffix,
                                     struct urn_error *error)
{
    struct os_dir *dir = data_dir->dir;
    uint8_t *zeroes = calloc(1, ZEROES_BYTES);
    if (zeroes == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory to write the segments");
    enum urn_code code = URN_OK;
    for (uint32_t slot = 0; code == URN_OK && slot < geometry->segments; slot++) {
        char slot_name[DATA_DIR_NAME_MAX];
        char name[DATA_DIR_NAME_MAX + sizeof DATA_DIR_TEMPORARY];
        data_dir_segment_name(slot_name, slot);
        snprintf(name, sizeof name, "%s%s", slot_name, suffix);
        struct os_file *file = NULL;
        int failed = os_file_open(dir, name, OS_CREATE, &file);
        if (failed != 0) {
            code = error_set(error, URN_IO, failed, "cannot create %s", name);
            break;
        }
        const struct filling filling = {.progress = data_dir->progress,
                                        .begin_bytes = slot * geometry->segment_size_bytes,
                                        .all_bytes = wal_ring_bytes(geometry)};
        code = fill_segment(file, name, geometry->segment_size_bytes, zeroes, &filling, error);
        os_file_close(file);
    }
    free(zeroes);
    if (code != URN_OK)
        return code;
    int failed = os_dir_sync(dir);
    return failed == 0 ? URN_OK : error_set(error, URN_IO, failed, "cannot sync it");
}

/* So that a disk that was too small for the ring is not left full. Only before C3: a name whose
 * directory could not be synced may come back after a crash, and snapshot 0 must then find its
 * segments. What cannot be removed is a matter for the next start. */
static void give_segments_back(struct os_dir *dir, const struct wal_geometry *geometry)
{
    for (uint32_t slot = 0; slot < geometry->segments; slot++) {
        char name[DATA_DIR_NAME_MAX];
        data_dir_segment_name(name, slot);
        (void)os_remove(dir, name);
    }
}

/* ---- C3: how things begin -------------------------------------------------------------------- */

void data_dir_first_chain(const uint8_t ring_uuid[WAL_UUID_BYTES], uint8_t chain[WAL_CHAIN_BYTES])
{
    int failed = crypto_generichash(chain, WAL_CHAIN_BYTES, ring_uuid, WAL_UUID_BYTES, NULL, 0);
    CHECK(failed == 0);
}

static enum urn_code add_pool(struct state *state, const struct urn_pool_spec *spec,
                              struct urn_error *error)
{
    if (spec->item_count > state->bounds.max_items - state->item_count)
        return error_set(error, URN_TOOBIG, 0,
                         "its catalog of %" PRIu32 " items is beyond limits.max_items, %" PRIu32
                         " for all pools together",
                         spec->item_count, state->bounds.max_items);
    struct urn_pool *pool = NULL;
    enum urn_code code =
        state_add_pool(state, spec->name, spec->name_bytes, state->bounds.max_items, &pool, error);
    for (uint32_t i = 0; code == URN_OK && i < spec->item_count; i++) {
        const struct urn_item_spec *item = &spec->items[i];
        code = state_add_item(state, pool, item->item_id, item->item_id_bytes, item->quantity,
                              item->probability, 0, error);
        if (code != URN_OK)
            error_prefix(error, "catalog[%" PRIu32 "]: ", i);
    }
    return code;
}

static enum urn_code make_first_state(struct urn_os *os, const struct urn_engine_config *config,
                                      const struct wal_geometry *geometry, struct state *state,
                                      struct urn_error *error)
{
    const struct state_bounds bounds = {.max_pools = config->max_pools,
                                        .max_items = config->max_items};
    enum urn_code code = state_make(&bounds, state, error);
    if (code != URN_OK)
        return code;
    state->tail = (struct wal_tail){0};
    data_dir_first_chain(geometry->ring_uuid, state->tail.chain);
    state->next_request_id = 1;
    state->wall_time_us = os_wall_us(os);
    for (uint32_t i = 0; code == URN_OK && i < config->pool_count; i++) {
        code = add_pool(state, &config->pools[i], error);
        if (code == URN_OK || code == URN_NOMEMORY)
            continue;
        error->code = URN_CONFIG; /* whatever a pool cannot be made of stands there */
        code = error_prefix(error, "pools[%" PRIu32 "]: ", i);
    }
    if (code != URN_OK)
        state_free(state);
    return code;
}

/* ---- all together ---------------------------------------------------------------------------- */

void data_dir_make_uuid(struct urn_os *os, uint8_t uuid[WAL_UUID_BYTES])
{
    os_random(os, uuid, WAL_UUID_BYTES);
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* RFC 4122: version 4, random */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

enum urn_code data_dir_publish_identity(struct os_dir *dir, const struct wal_geometry *geometry,
                                        struct urn_error *error)
{
    char text[IDENTITY_BYTES_MAX];
    size_t length = identity_format(geometry, text);
    return file_publish(dir, DATA_DIR_IDENTITY, text, length, error);
}

/* C0 to C4 with the state that snapshot 0 is to hold. */
static enum urn_code create_files(struct urn_os *os, const struct data_dir *data_dir,
                                  const struct state *state, struct urn_error *error)
{
    struct os_dir *dir = data_dir->dir;
    const struct wal_geometry *geometry = &data_dir->geometry;
    enum urn_code code = data_dir_sync_parent(os, data_dir, error);
    if (code == URN_OK)
        code = remove_leftovers(dir, error);
    if (code != URN_OK)
        return code;
    code = data_dir_make_segments(data_dir, geometry, "", error);
    if (code != URN_OK) {
        give_segments_back(dir, geometry);
        return code;
    }
    code = snapshot_file_write(dir, state, geometry, 0, error);
    return code == URN_OK ? data_dir_publish_identity(dir, geometry, error) : code;
}

enum urn_code data_dir_create(struct urn_os *os, const struct urn_engine_config *config,
                              struct data_dir *data_dir, struct urn_error *error)
{
    CHECK(data_dir->lock != NULL);
    data_dir->geometry = (struct wal_geometry){.segment_size_bytes = config->segment_size_bytes,
                                               .segments = config->segments};
    data_dir_make_uuid(os, data_dir->geometry.ring_uuid);
    const char *fault = geometry_fault(&data_dir->geometry);
    if (fault != NULL)
        return error_set(error, URN_CONFIG, 0, "wal.segment_size, wal.segments: %s", fault);
    struct state state;
    enum urn_code code = make_first_state(os, config, &data_dir->geometry, &state, error);
    if (code != URN_OK)
        return code;
    code = create_files(os, data_dir, &state, error);
    state_free(&state);
    if (code != URN_OK)
        return data_dir_cannot_create(data_dir, error);
    return URN_OK;
}
