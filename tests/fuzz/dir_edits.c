/* dir_edits.c: see dir_edits.h. */
#include "tests/fuzz/dir_edits.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/file_io.h"
#include "engine/snapshot_format.h"

enum { EDITS_MAX = 64 };

struct edit {
    enum dir_edit_kind kind;
    uint8_t which;
    uint16_t length;
    uint32_t offset;
    uint64_t value;
};

struct scene {
    const struct dir_base *base;
    struct sim_world *world;
    bool sealed;
};

/* ---- files ------------------------------------------------------------------------------------------- */

static const char *file_of(const struct scene *scene, uint64_t which)
{
    return scene->base->files[which % scene->base->file_count];
}

/* False: there is no such file any more, or nothing in it. */
static bool place_of(const struct scene *scene, const struct edit *edit, const char **path,
                     uint64_t *offset, uint64_t *rest)
{
    uint64_t size = 0;
    *path = file_of(scene, edit->which);
    if (!sim_file_size(scene->world, *path, &size) || size == 0)
        return false;
    *offset = edit->offset % size;
    *rest = size - *offset;
    return true;
}

static void edit_bytes(struct scene *scene, const struct edit *edit)
{
    uint8_t bytes[UINT16_MAX] = {0};
    const char *path;
    uint64_t offset;
    uint64_t rest;
    if (!place_of(scene, edit, &path, &offset, &rest))
        return;
    size_t length = edit->kind == DIR_WRITE ? edit->length % 9 : edit->length;
    if (length > rest)
        length = (size_t)rest;
    if (edit->kind == DIR_WRITE) {
        put_u64(bytes, edit->value);
    } else if (edit->kind == DIR_FLIP) {
        length = 1;
        if (!sim_file_bytes(scene->world, path, offset, bytes, 1))
            return;
        bytes[0] ^= (uint8_t)edit->value;
    } else if (edit->kind == DIR_COPY) {
        if (!sim_file_bytes(scene->world, path, offset, bytes, length))
            return;
        const struct edit to = {.which = (uint8_t)edit->value,
                                .offset = (uint32_t)(edit->value >> 8)};
        if (!place_of(scene, &to, &path, &offset, &rest))
            return;
        if (length > rest)
            length = (size_t)rest;
    }
    (void)sim_overwrite(scene->world, path, offset, bytes, length);
}

static void edit_file(struct scene *scene, const struct edit *edit)
{
    const char *path;
    uint64_t offset;
    uint64_t rest;
    if (!place_of(scene, edit, &path, &offset, &rest))
        return;
    if (edit->kind == DIR_TRUNCATE)
        (void)sim_truncate(scene->world, path, offset);
    else if (edit->kind == DIR_REMOVE)
        (void)sim_lose_file(scene->world, path);
    else
        (void)sim_set_unreadable(scene->world, path, offset);
}

/* All of a file that can be read whole; NULL else. The caller's to free(). */
static uint8_t *bytes_of(const struct scene *scene, const char *path, uint64_t *length)
{
    if (!sim_file_size(scene->world, path, length))
        return NULL;
    uint8_t *bytes = malloc(*length + 1);
    CHECK(bytes != NULL);
    if (sim_file_bytes(scene->world, path, 0, bytes, *length))
        return bytes;
    free(bytes);
    return NULL;
}

static void add_snapshot(struct scene *scene, const struct edit *edit)
{
    char name[DATA_DIR_NAME_MAX];
    uint64_t length;
    struct urn_error error;
    struct os_dir *dir = NULL;
    struct os_file *file = NULL;
    uint8_t *bytes = bytes_of(scene, file_of(scene, edit->which), &length);
    data_dir_snapshot_name(name, edit->value, edit->length % (DATA_DIR_SERIAL_MAX + 1));
    if (bytes == NULL)
        return;
    CHECK(os_dir_open(sim_os(scene->world), DIR_PATH, &dir) == 0);
    if (os_file_open(dir, name, OS_CREATE, &file) == 0) {
        CHECK(file_write_exact(file, name, bytes, length, 0, &error) == URN_OK);
        CHECK(os_file_sync(file) == 0 && os_dir_sync(dir) == 0);
        os_file_close(file);
    }
    os_dir_close(dir);
    free(bytes);
}

/* ---- groups ------------------------------------------------------------------------------------------ */

static const struct dir_group *group_of(const struct scene *scene, uint64_t which)
{
    return &scene->base->groups[which % scene->base->group_count];
}

static void find_segment(const struct scene *scene, uint64_t lsn, char path[DIR_PATH_BYTES],
                         uint64_t *offset)
{
    const struct wal_geometry *geometry = &scene->base->geometry;
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name,
                          (uint32_t)(lsn / geometry->segment_size_bytes % geometry->segments));
    (void)snprintf(path, DIR_PATH_BYTES, DIR_PATH "/%s", name);
    *offset = lsn % geometry->segment_size_bytes;
}

static void edit_group(struct scene *scene, const struct edit *edit)
{
    const struct dir_group *group = group_of(scene, edit->offset);
    uint8_t bytes[UINT16_MAX] = {0};
    char path[DIR_PATH_BYTES];
    uint64_t offset;
    uint64_t at = 0;
    uint64_t length = edit->which % 9;
    if (edit->kind == DIR_GROUP_WRITE) {
        at = edit->length % group->length_bytes;
        put_u64(bytes, edit->value);
    } else {
        const struct dir_group *from = group_of(scene, edit->value);
        length = from->length_bytes < sizeof bytes ? from->length_bytes : sizeof bytes;
        find_segment(scene, from->lsn, path, &offset);
        if (!sim_file_bytes(scene->world, path, offset, bytes, length))
            return;
    }
    find_segment(scene, group->lsn, path, &offset);
    const uint64_t rest = scene->base->geometry.segment_size_bytes - offset - at;
    (void)sim_overwrite(scene->world, path, offset + at, bytes, length < rest ? length : rest);
}

/* What stands at lsn and may be a group: its bytes, the caller's to free(), or NULL. */
static uint8_t *group_bytes(const struct scene *scene, uint64_t lsn, uint32_t *length)
{
    char path[DIR_PATH_BYTES];
    uint64_t offset;
    uint8_t head[8];
    find_segment(scene, lsn, path, &offset);
    if (!sim_file_bytes(scene->world, path, offset, head, sizeof head) ||
        get_u32(head) != WAL_GROUP_MAGIC)
        return NULL;
    *length = get_u32(head + 4);
    if (*length % WAL_ALIGN_BYTES != 0 || *length < WAL_GROUP_HEADER_BYTES ||
        *length > scene->base->geometry.segment_size_bytes - offset)
        return NULL;
    uint8_t *bytes = malloc(*length);
    CHECK(bytes != NULL);
    if (sim_file_bytes(scene->world, path, offset, bytes, *length))
        return bytes;
    free(bytes);
    return NULL;
}

/* The format once more, as docs/wal-format.md has it: what is sealed is not what any writer would write. */
static void put_crc(uint8_t *group, uint32_t length)
{
    put_u32(group + 8, crc32c_extend(crc32c(group, 8), group + 12, length - 12));
}

static void put_chain(uint8_t *group, uint32_t length, uint8_t chain[WAL_CHAIN_BYTES])
{
    uint8_t digest[WAL_DIGEST_BYTES];
    crypto_generichash_state hash;
    wal_group_digest(group, length, digest);
    (void)crypto_generichash_init(&hash, NULL, 0, WAL_CHAIN_BYTES);
    (void)crypto_generichash_update(&hash, chain, WAL_CHAIN_BYTES);
    (void)crypto_generichash_update(&hash, digest, sizeof digest);
    memcpy(group + 72, chain, WAL_CHAIN_BYTES);
    (void)crypto_generichash_final(&hash, chain, WAL_CHAIN_BYTES);
    memcpy(group + 88, chain, WAL_CHAIN_BYTES);
}

static void write_group(const struct scene *scene, uint64_t lsn, const uint8_t *bytes,
                        uint32_t length)
{
    char path[DIR_PATH_BYTES];
    uint64_t offset;
    find_segment(scene, lsn, path, &offset);
    (void)sim_overwrite(scene->world, path, offset, bytes, length);
}

static void seal_group(struct scene *scene, const struct edit *edit)
{
    const struct dir_group *group = group_of(scene, edit->offset);
    uint32_t length;
    uint8_t *bytes = group_bytes(scene, group->lsn, &length);
    if (bytes == NULL)
        return;
    put_crc(bytes, length);
    write_group(scene, group->lsn, bytes, length);
    free(bytes);
}

static void seal_log(struct scene *scene, const struct edit *edit)
{
    const struct wal_geometry *geometry = &scene->base->geometry;
    const struct dir_group *first = group_of(scene, edit->offset);
    const uint64_t end = scene->base->moments[scene->base->group_count].lsn;
    uint8_t chain[WAL_CHAIN_BYTES];
    uint32_t length = 0;
    memcpy(chain, first->chain_before, sizeof chain);
    for (uint64_t lsn = first->lsn; lsn < end; lsn += length) {
        if (lsn % geometry->segment_size_bytes == 0)
            lsn += WAL_SEGMENT_HEADER_BYTES;
        uint8_t *bytes = group_bytes(scene, lsn, &length);
        if (bytes == NULL)
            return;
        put_u64(bytes + 24, lsn);
        put_chain(bytes, length, chain);
        put_crc(bytes, length);
        write_group(scene, lsn, bytes, length);
        free(bytes);
    }
}

/* ---- seals of whole files ---------------------------------------------------------------------------- */

static void seal_header_page(uint8_t *bytes, uint64_t length)
{
    if (length >= WAL_SEGMENT_HEADER_BYTES)
        put_u32(bytes + 8, crc32c(bytes + 12, WAL_SEGMENT_HEADER_BYTES - 12));
}

static void seal_blocks(uint8_t *bytes, uint64_t length)
{
    crypto_hash_sha256_state hash;
    uint64_t at = 0;
    (void)crypto_hash_sha256_init(&hash);
    for (; length - at >= SNAPSHOT_BLOCK_BYTES; at += SNAPSHOT_BLOCK_BYTES) {
        put_u32(bytes + at + 4, crc32c(bytes + at + 8, SNAPSHOT_BLOCK_BYTES - 8));
        (void)crypto_hash_sha256_update(&hash, bytes + at + 4, 4);
    }
    if (length - at < SNAPSHOT_END_BYTES)
        return;
    (void)crypto_hash_sha256_final(&hash, bytes + at + SNAPSHOT_BLOCK_HEADER);
    put_u32(bytes + at + 4, crc32c(bytes + at + 8, SNAPSHOT_END_BYTES - 8));
}

static void seal_text(uint8_t *bytes, uint64_t length)
{
    static const char last[] = "crc32c: ";
    enum { LAST = sizeof last - 1, DIGITS = 8 };
    if (length < LAST + DIGITS + 1)
        return;
    const uint64_t before = length - LAST - DIGITS - 1;
    char digits[DIGITS + 1];
    (void)snprintf(digits, sizeof digits, "%08x", crc32c(bytes, before));
    memcpy(bytes + before, last, LAST);
    memcpy(bytes + before + LAST, digits, DIGITS);
    bytes[length - 1] = '\n';
}

static void seal_file(struct scene *scene, const struct edit *edit)
{
    const char *path = file_of(scene, edit->which);
    uint64_t length;
    uint8_t *bytes = bytes_of(scene, path, &length);
    if (bytes == NULL)
        return;
    if (edit->kind == DIR_SEAL_HEADER)
        seal_header_page(bytes, length);
    else if (edit->kind == DIR_SEAL_BLOCKS)
        seal_blocks(bytes, length);
    else
        seal_text(bytes, length);
    (void)sim_overwrite(scene->world, path, 0, bytes, length);
    free(bytes);
}

/* ---- all of them ------------------------------------------------------------------------------------- */

static void apply_one(struct scene *scene, const struct edit *edit)
{
    switch (edit->kind) {
    case DIR_FLIP:
    case DIR_ZERO:
    case DIR_WRITE:
    case DIR_COPY:
        edit_bytes(scene, edit);
        break;
    case DIR_TRUNCATE:
    case DIR_REMOVE:
    case DIR_UNREADABLE:
        edit_file(scene, edit);
        break;
    case DIR_SNAPSHOT:
        add_snapshot(scene, edit);
        break;
    case DIR_GROUP_WRITE:
    case DIR_GROUP_FROM:
        edit_group(scene, edit);
        break;
    case DIR_SEAL_GROUP:
        seal_group(scene, edit);
        break;
    case DIR_SEAL_LOG:
        seal_log(scene, edit);
        break;
    case DIR_SEAL_HEADER:
    case DIR_SEAL_BLOCKS:
    case DIR_SEAL_TEXT:
        seal_file(scene, edit);
        break;
    case DIR_EDIT_KINDS:
        break;
    }
    scene->sealed = scene->sealed || edit->kind >= DIR_SEAL_GROUP;
}

bool dir_edits_apply(const struct dir_base *base, struct sim_world *world, const uint8_t *bytes,
                     size_t length_bytes)
{
    struct scene scene = {.base = base, .world = world};
    for (uint32_t i = 0; i < EDITS_MAX && length_bytes >= DIR_EDIT_BYTES; i++) {
        const struct edit edit = {.kind = (enum dir_edit_kind)(bytes[0] % DIR_EDIT_KINDS),
                                  .which = bytes[1],
                                  .length = get_u16(bytes + 2),
                                  .offset = get_u32(bytes + 4),
                                  .value = get_u64(bytes + 8)};
        apply_one(&scene, &edit);
        bytes += DIR_EDIT_BYTES;
        length_bytes -= DIR_EDIT_BYTES;
    }
    return scene.sealed;
}
