/* log_maker.c: logs made by hand. See log_maker.h. */
#include "tests/lib/log_maker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/check.h"
#include "engine/file_io.h"

static const uint8_t ring_uuid[WAL_UUID_BYTES] = {0xd0, 1, 2,  3,  4,  5,  6,  7,
                                                  8,    9, 10, 11, 12, 13, 14, 15};

static struct os_file *segment_create(struct log_maker *maker, uint32_t slot)
{
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, slot);
    struct os_file *file = NULL;
    CHECK(os_file_open(maker->data_dir.dir, name, OS_CREATE, &file) == 0);
    return file;
}

void log_maker_begin(struct log_maker *maker, uint64_t segment_size_bytes, uint32_t segments)
{
    *maker = (struct log_maker){
        .world = sim_world_make(1),
        .first_request_id = 1,
        .group = malloc(segment_size_bytes),
    };
    CHECK(maker->group != NULL);
    struct data_dir *data_dir = &maker->data_dir;
    data_dir->geometry.segment_size_bytes = segment_size_bytes;
    data_dir->geometry.segments = segments;
    memcpy(data_dir->geometry.ring_uuid, ring_uuid, sizeof ring_uuid);
    (void)snprintf(data_dir->path, sizeof data_dir->path, "%s", LOG_MAKER_PATH);
    CHECK(os_dir_make(sim_os(maker->world), LOG_MAKER_PATH) == 0);
    CHECK(os_dir_open(sim_os(maker->world), LOG_MAKER_PATH, &data_dir->dir) == 0);
    memset(maker->group, 0, segment_size_bytes);
    for (uint32_t slot = 0; slot < segments; slot++) {
        struct os_file *file = segment_create(maker, slot);
        struct urn_error error;
        CHECK(file_write_exact(file, "segment", maker->group, segment_size_bytes, 0, &error) ==
              URN_OK);
        CHECK(os_file_sync(file) == 0);
        os_file_close(file);
    }
    CHECK(os_dir_sync(data_dir->dir) == 0);
    log_maker_entries(maker);
}

void log_maker_end(struct log_maker *maker)
{
    os_dir_close(maker->data_dir.dir);
    sim_world_free(maker->world);
    free(maker->group);
    *maker = (struct log_maker){0};
}

/* ---- places ---------------------------------------------------------------------------------- */

const char *log_maker_path(const struct log_maker *maker, uint64_t lsn)
{
    static char path[2 * DATA_DIR_NAME_MAX];
    const struct wal_geometry *geometry = &maker->data_dir.geometry;
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name,
                          (uint32_t)(lsn / geometry->segment_size_bytes % geometry->segments));
    (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
    return path;
}

uint64_t log_maker_offset(const struct log_maker *maker, uint64_t lsn)
{
    return lsn % maker->data_dir.geometry.segment_size_bytes;
}

void log_maker_write(struct log_maker *maker, uint64_t lsn, const void *bytes, size_t length_bytes)
{
    CHECK(sim_overwrite(maker->world, log_maker_path(maker, lsn), log_maker_offset(maker, lsn),
                        bytes, length_bytes));
}

void log_maker_flip(struct log_maker *maker, uint64_t lsn)
{
    CHECK(sim_flip_bit(maker->world, log_maker_path(maker, lsn), log_maker_offset(maker, lsn), 3));
}

void log_maker_unreadable(struct log_maker *maker, uint64_t lsn)
{
    CHECK(
        sim_set_unreadable(maker->world, log_maker_path(maker, lsn), log_maker_offset(maker, lsn)));
}

/* ---- groups ---------------------------------------------------------------------------------- */

void log_maker_entries(struct log_maker *maker)
{
    const uint64_t room = wal_group_bytes_max(maker->data_dir.geometry.segment_size_bytes);
    wal_entries_begin(&maker->entries, maker->group, (uint32_t)room);
}

struct wal_group_header log_maker_header(const struct log_maker *maker, enum wal_group_kind kind,
                                         uint32_t length_bytes)
{
    struct wal_group_header header = {
        .length_bytes = length_bytes,
        .kind = kind,
        .ring_short = wal_ring_short(maker->data_dir.geometry.ring_uuid),
        .lsn = maker->tail.lsn,
        .durable_lsn = maker->durable_lsn,
        .epoch = maker->tail.epoch,
        .draws = kind == WAL_DATA ? maker->entries.draws : 0,
        .engine_time_us = maker->engine_time_us,
        .wall_time_us = 1700000000000000 + maker->engine_time_us,
        .first_request_id = maker->first_request_id,
    };
    memcpy(header.chain_before, maker->tail.chain, WAL_CHAIN_BYTES);
    return header;
}

static void seal_and_write(struct log_maker *maker, enum wal_group_kind kind, uint8_t *bytes,
                           uint32_t length_bytes)
{
    struct wal_group_header header = log_maker_header(maker, kind, length_bytes);
    wal_group_seal(&header, bytes);
    log_maker_write(maker, maker->tail.lsn, bytes, length_bytes);
    maker->tail.lsn += length_bytes;
    memcpy(maker->tail.chain, header.chain_after, WAL_CHAIN_BYTES);
    maker->first_request_id += header.draws;
}

struct wal_segment_header log_maker_segment_header_due(const struct log_maker *maker, uint64_t lsn)
{
    const struct wal_geometry *geometry = &maker->data_dir.geometry;
    struct wal_segment_header header = {
        .version = WAL_FORMAT_VERSION,
        .sequence = lsn / geometry->segment_size_bytes,
        .segment_size_bytes = geometry->segment_size_bytes,
        .segments = geometry->segments,
        .epoch = maker->tail.epoch,
    };
    memcpy(header.ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES);
    return header;
}

void log_maker_segment_header(struct log_maker *maker, uint64_t lsn,
                              const struct wal_segment_header *header)
{
    uint8_t page[WAL_SEGMENT_HEADER_BYTES];
    CHECK(log_maker_offset(maker, lsn) == 0);
    wal_segment_header_write(header, page);
    log_maker_write(maker, lsn, page, sizeof page);
}

static void pad(struct log_maker *maker, uint32_t length_bytes)
{
    uint8_t *bytes = calloc(1, length_bytes);
    CHECK(bytes != NULL);
    const uint32_t draws = maker->entries.draws;
    maker->entries.draws = 0;
    seal_and_write(maker, WAL_PAD, bytes, length_bytes);
    maker->entries.draws = draws;
    free(bytes);
}

uint64_t log_maker_add(struct log_maker *maker, enum wal_group_kind kind, uint32_t length_bytes)
{
    const bool fresh_page = kind == WAL_MARK || kind == WAL_EPOCH;
    const uint32_t used = maker->entries.used_bytes;
    const uint32_t wanted = length_bytes > used ? length_bytes : used;
    const struct wal_placement place =
        wal_place(&maker->data_dir.geometry, maker->tail.lsn, wanted, fresh_page);
    if (place.pad_bytes > 0)
        pad(maker, place.pad_bytes);
    if (log_maker_offset(maker, maker->tail.lsn) == 0) {
        const struct wal_segment_header header =
            log_maker_segment_header_due(maker, maker->tail.lsn);
        log_maker_segment_header(maker, maker->tail.lsn, &header);
        maker->tail.lsn += WAL_SEGMENT_HEADER_BYTES;
    }
    CHECK(maker->tail.lsn == place.group_lsn);
    memset(maker->group + used, 0, place.group_bytes - used);
    seal_and_write(maker, kind, maker->group, place.group_bytes);
    log_maker_entries(maker);
    return place.group_lsn;
}

uint64_t log_maker_draws(struct log_maker *maker, uint32_t draws)
{
    const uint32_t outcome = 0;
    log_maker_entries(maker);
    for (uint32_t i = 0; i < draws; i++)
        wal_entries_add_draws(&maker->entries, 0, 1, 1, &outcome, 1);
    return log_maker_add(maker, WAL_DATA, 0);
}

uint64_t log_maker_mark(struct log_maker *maker)
{
    log_maker_entries(maker);
    return log_maker_add(maker, WAL_MARK, 0);
}

uint64_t log_maker_epoch(struct log_maker *maker)
{
    static const uint8_t nonce[WAL_NONCE_BYTES] = "a nonce of test";
    maker->tail.epoch++;
    log_maker_entries(maker);
    wal_entries_add_epoch(&maker->entries, nonce, maker->first_request_id);
    return log_maker_add(maker, WAL_EPOCH, 0);
}
