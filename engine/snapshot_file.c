/* snapshot_file.c: see snapshot_file.h. */
#include "engine/snapshot_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"

/* ---- writing --------------------------------------------------------------------------------- */

/* A snapshot on its way to the disk, and, once more, on its way back. */
struct snapshot_writer {
    struct os_dir *dir;
    struct os_file *file;
    const struct state *state;
    const struct wal_geometry *geometry;
    uint8_t *block;     /* what the encoder fills */
    uint8_t *read_back; /* what the disk says */
    uint64_t offset;    /* of the next block */
    const char *name;   /* of the file while it is written */
};

static enum urn_code write_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                 struct urn_error *error)
{
    struct snapshot_writer *writer = context;
    enum urn_code code =
        file_write_exact(writer->file, writer->name, block, length_bytes, writer->offset, error);
    writer->offset += length_bytes;
    return code;
}

static enum urn_code compare_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                   struct urn_error *error)
{
    struct snapshot_writer *writer = context;
    enum urn_code code = file_read_exact(writer->file, writer->name, writer->read_back,
                                         length_bytes, writer->offset, error);
    if (code != URN_OK)
        return code;
    if (memcmp(block, writer->read_back, length_bytes) != 0)
        return error_set(error, URN_DAMAGED, 0,
                         "%s: what was read back from %" PRIu64 " on is not what was written: "
                         "check the disk",
                         writer->name, writer->offset);
    writer->offset += length_bytes;
    return URN_OK;
}

/* Sends the whole encoding through the sink; the file must be as long as it afterwards. */
static enum urn_code encode_through(struct snapshot_writer *writer, snapshot_sink sink,
                                    struct urn_error *error)
{
    writer->offset = 0;
    enum urn_code code =
        snapshot_encode(writer->state, writer->geometry, writer->block, sink, writer, error);
    if (code != URN_OK)
        return code;
    uint64_t size_bytes = 0;
    int failed = os_file_size(writer->file, &size_bytes);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot find the size of %s", writer->name);
    if (size_bytes != writer->offset)
        return error_set(error, URN_DAMAGED, 0,
                         "%s: has %" PRIu64 " bytes after %" PRIu64 " were written", writer->name,
                         size_bytes, writer->offset);
    return URN_OK;
}

/* Writes a new file, syncs it and reads it back: what S1 to S3 have in common for any name. */
static enum urn_code write_open_file(struct snapshot_writer *writer, struct urn_error *error)
{
    enum urn_code code = encode_through(writer, write_block, error);
    if (code != URN_OK)
        return code;
    int failed = os_file_sync(writer->file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot sync %s", writer->name);
    failed = os_file_drop_cache(writer->file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot read %s back past the cache", writer->name);
    return encode_through(writer, compare_block, error);
}

/* *created: there is such a file now, and it is ours to remove. */
static enum urn_code write_file(struct snapshot_writer *writer, bool *created,
                                struct urn_error *error)
{
    *created = false;
    uint8_t *blocks = aligned_alloc(OS_PAGE_BYTES, 2 * (size_t)SNAPSHOT_BLOCK_BYTES);
    if (blocks == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory to write %s", writer->name);
    writer->block = blocks;
    writer->read_back = blocks + SNAPSHOT_BLOCK_BYTES;
    enum urn_code code = URN_OK;
    const int failed = os_file_open(writer->dir, writer->name, OS_CREATE, &writer->file);
    if (failed == EEXIST) {
        code = error_set(error, URN_EXISTS, 0, "there is a %s already", writer->name);
    } else if (failed != 0) {
        code = error_set(error, URN_IO, failed, "cannot create %s", writer->name);
    } else {
        *created = true;
        code = write_open_file(writer, error);
        os_file_close(writer->file);
    }
    free(blocks);
    return code;
}

/* S4 and S5. */
static enum urn_code put_into_place(struct os_dir *dir, const char *temporary_name,
                                    const char *name, struct urn_error *error)
{
    int failed = os_rename(dir, temporary_name, name);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot rename %s to %s", temporary_name, name);
    failed = os_dir_sync(dir);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot sync the directory of %s", name);
    return URN_OK;
}

static enum urn_code refuse_existing(struct os_dir *dir, const char *name, struct urn_error *error)
{
    struct os_file *file = NULL;
    int failed = os_file_open(dir, name, OS_READ, &file);
    if (failed == ENOENT)
        return URN_OK;
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot open %s", name);
    os_file_close(file);
    return error_set(error, URN_EXISTS, 0, "there is a %s already", name);
}

enum urn_code snapshot_file_write(struct os_dir *dir, const struct state *state,
                                  const struct wal_geometry *geometry, uint32_t serial,
                                  struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    char temporary_name[DATA_DIR_NAME_MAX + sizeof DATA_DIR_TEMPORARY];
    data_dir_snapshot_name(name, state->tail.lsn, serial);
    snprintf(temporary_name, sizeof temporary_name, "%s" DATA_DIR_TEMPORARY, name);
    struct snapshot_writer writer = {
        .dir = dir, .state = state, .geometry = geometry, .name = temporary_name};
    enum urn_code code = refuse_existing(dir, name, error);
    if (code != URN_OK)
        return code;
    const int failed = os_remove(dir, temporary_name);
    if (failed != 0 && failed != ENOENT)
        return error_set(error, URN_IO, failed, "cannot remove %s", temporary_name);
    bool created = false;
    code = write_file(&writer, &created, error);
    if (code == URN_OK)
        code = put_into_place(dir, temporary_name, name, error);
    if (code != URN_OK && created)
        (void)os_remove(dir, temporary_name); /* the first error is the one to tell */
    return code;
}

enum urn_code snapshot_file_write_new(struct os_dir *dir, const char *file_name,
                                      const struct state *state,
                                      const struct wal_geometry *geometry, struct urn_error *error)
{
    struct snapshot_writer writer = {
        .dir = dir, .state = state, .geometry = geometry, .name = file_name};
    bool created = false;
    enum urn_code code = write_file(&writer, &created, error);
    if (code == URN_OK) {
        const int failed = os_dir_sync(dir);
        if (failed != 0)
            code = error_set(error, URN_IO, failed, "cannot sync the directory of %s", file_name);
    }
    if (code != URN_OK && created)
        (void)os_remove(dir, file_name);
    return code;
}

/* ---- loading --------------------------------------------------------------------------------- */

/* So much of the file is on its way from the disk while what was read before is decoded. */
#define PREFETCH_BYTES (1024u * 1024)

struct snapshot_reader {
    struct os_file *file;
    const char *name;
    uint64_t offset;
    uint64_t prefetched_to; /* offset */
};

static enum urn_code read_bytes(void *context, uint8_t *to, uint32_t length_bytes,
                                struct urn_error *error)
{
    struct snapshot_reader *reader = context;
    while (reader->prefetched_to < reader->offset + 2 * PREFETCH_BYTES) {
        os_file_prefetch(reader->file, reader->prefetched_to, PREFETCH_BYTES);
        reader->prefetched_to += PREFETCH_BYTES;
    }
    enum urn_code code =
        file_read_exact(reader->file, reader->name, to, length_bytes, reader->offset, error);
    reader->offset += length_bytes;
    return code;
}

/* What is done with the bytes of a file that is open: a state is made of them, or they are only checked. */
struct reading {
    const struct state_bounds *bounds; /* NULL: they are checked */
    struct state *state;
    struct wal_geometry *geometry;
    uint64_t lsn; /* as the content says */
};

static enum urn_code read_open_file(struct snapshot_reader *reader, struct reading *reading,
                                    struct urn_error *error)
{
    uint64_t size_bytes = 0;
    int failed = os_file_size(reader->file, &size_bytes);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot find its size");
    /* A start relies on what the disk has, and not on what the cache still holds of a file gone bad. */
    failed = os_file_drop_cache(reader->file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot read it past the cache");
    uint8_t *block = aligned_alloc(OS_PAGE_BYTES, SNAPSHOT_BLOCK_BYTES);
    if (block == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory to read it");
    enum urn_code code;
    if (reading->bounds == NULL) {
        code = snapshot_check(size_bytes, read_bytes, reader, block, reading->geometry,
                              &reading->lsn, error);
    } else {
        code = snapshot_decode(size_bytes, reading->bounds, read_bytes, reader, block,
                               reading->state, reading->geometry, error);
        reading->lsn = reading->state->tail.lsn;
    }
    free(block);
    return code;
}

static enum urn_code read_file(struct os_dir *dir, const char *file_name, struct reading *reading,
                               struct urn_error *error)
{
    struct snapshot_reader reader = {.name = file_name};
    int failed = os_file_open(dir, file_name, OS_READ, &reader.file);
    if (failed != 0)
        return error_set(error, URN_IO, failed, "cannot open %s", file_name);
    enum urn_code code = read_open_file(&reader, reading, error);
    os_file_close(reader.file);
    return code == URN_OK ? code : error_prefix(error, "%s: ", file_name);
}

/* A file of its own name, which says of what LSN it is. */
static enum urn_code read_snapshot(struct os_dir *dir, struct snapshot_name name,
                                   struct reading *reading, struct urn_error *error)
{
    char file_name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(file_name, name.lsn, name.serial);
    enum urn_code code = read_file(dir, file_name, reading, error);
    if (code == URN_OK && reading->lsn != name.lsn)
        code = error_set(error, URN_DAMAGED, 0, "%s: its content is of LSN %" PRIu64, file_name,
                         reading->lsn);
    return code;
}

enum urn_code snapshot_file_load(struct os_dir *dir, struct snapshot_name name,
                                 const struct state_bounds *bounds, struct state *state,
                                 struct wal_geometry *geometry, struct urn_error *error)
{
    *state = (struct state){0};
    struct reading reading = {.bounds = bounds, .state = state, .geometry = geometry};
    enum urn_code code = read_snapshot(dir, name, &reading, error);
    if (code != URN_OK) {
        state_free(state);
        *state = (struct state){0};
    }
    return code;
}

enum urn_code snapshot_file_load_named(struct os_dir *dir, const char *file_name,
                                       const struct state_bounds *bounds, struct state *state,
                                       struct wal_geometry *geometry, struct urn_error *error)
{
    *state = (struct state){0};
    struct reading reading = {.bounds = bounds, .state = state, .geometry = geometry};
    return read_file(dir, file_name, &reading, error);
}

enum urn_code snapshot_file_check(struct os_dir *dir, struct snapshot_name name,
                                  struct wal_geometry *geometry, struct urn_error *error)
{
    struct reading reading = {.geometry = geometry};
    return read_snapshot(dir, name, &reading, error);
}

/* ---- listing --------------------------------------------------------------------------------- */

struct name_list {
    struct snapshot_name *names;
    uint32_t count, room;
};

static int list_visit(void *context, const char *name)
{
    struct name_list *list = context;
    struct snapshot_name found;
    if (!data_dir_parse_snapshot_name(name, &found.lsn, &found.serial))
        return 0;
    if (list->count == list->room) {
        uint32_t room = list->room == 0 ? 8 : 2 * list->room;
        struct snapshot_name *names = realloc(list->names, room * sizeof *names);
        if (names == NULL)
            return ENOMEM;
        list->names = names;
        list->room = room;
    }
    list->names[list->count++] = found;
    return 0;
}

static int compare_newest_first(const void *left, const void *right)
{
    const struct snapshot_name *a = left;
    const struct snapshot_name *b = right;
    if (a->lsn != b->lsn)
        return a->lsn > b->lsn ? -1 : 1;
    if (a->serial != b->serial)
        return a->serial > b->serial ? -1 : 1;
    return 0;
}

enum urn_code snapshot_file_list(struct os_dir *dir, struct snapshot_name **names, uint32_t *count,
                                 struct urn_error *error)
{
    *names = NULL;
    *count = 0;
    struct name_list list = {0};
    int failed = os_dir_list(dir, list_visit, &list);
    if (failed != 0) {
        free(list.names);
        if (failed == ENOMEM)
            return error_set(error, URN_NOMEMORY, failed, "cannot list the snapshots");
        return error_set(error, URN_IO, failed, "cannot list the snapshots");
    }
    if (list.count > 0)
        qsort(list.names, list.count, sizeof *list.names, compare_newest_first);
    *names = list.names;
    *count = list.count;
    return URN_OK;
}
