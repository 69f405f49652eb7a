/* make_log.c: makes a data directory with a log in it, for programs that read logs to be measured on.
 *
 *     bench-make_log FOLDER DRAWS MEBIBYTES [ARCHIVE]
 *
 * FOLDER must not exist. Its log comes from a pool of 6 items: groups of DRAWS draws (1 is what lone clients
 * leave, some thousands what many or batches do), until it has MEBIBYTES; with an `x` behind it, as in 1000x, so
 * many groups, in small segments. The ring has room for all of it, and little more.
 *
 * With ARCHIVE (nor may that exist) the ring has RING_SEGMENTS segments, the newest, and all full ones are
 * archived, with a snapshot beside every SNAPSHOT_SEGMENTS, as a server with the defaults does.
 *
 * Files are written as a server leaves them in the page cache: the ring's by single pages, the archive's by
 * large pieces. Prints a JSON object: log_bytes, groups, draws.
 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "engine/apply.h"
#include "engine/archive_dir.h"
#include "engine/data_dir_create.h"
#include "engine/file_io.h"
#include "engine/identity.h"
#include "engine/snapshot_file.h"

#define SEGMENT_BYTES       (64ull * 1024 * 1024)
#define SMALL_SEGMENT_BYTES (4ull * 1024 * 1024)
#define RING_SEGMENTS       8u /* beside an archive */
#define SNAPSHOT_SEGMENTS   2u
#define RING_PIECE_BYTES    4096u
#define ARCHIVE_PIECE_BYTES (256u * 1024)
#define ITEMS               6u
#define DRAWS_MAX           65536u

struct maker {
    struct data_dir data_dir;
    struct os_dir *archive; /* NULL: none */
    struct os_file *archive_lock;
    struct state state;
    uint64_t time_us;
    uint64_t random;
    uint64_t groups;         /* with draws */
    uint64_t keep_above_lsn; /* what ends at or below it is not in the ring any more, at the end */
    uint8_t *segment;        /* the one under way */
    uint8_t *group;
    struct log_index index; /* of the segment under way */
    uint32_t *outcomes;     /* 2 * DRAWS_MAX, of which each group takes a stretch */
};

static void require(enum urn_code code, const struct urn_error *error)
{
    bench_require(code == URN_OK, error->text);
}

static uint64_t segment_bytes(const struct maker *maker)
{
    return maker->data_dir.geometry.segment_size_bytes;
}

static uint64_t next_random(struct maker *maker)
{
    maker->random ^= maker->random << 13;
    maker->random ^= maker->random >> 7;
    maker->random ^= maker->random << 17;
    return maker->random >> 17;
}

static uint32_t draw(struct maker *maker)
{
    /* weights 1 4 10 15 30 40 */
    static const uint32_t bounds[ITEMS] = {1, 5, 15, 30, 60, 100};
    const uint32_t r = (uint32_t)(next_random(maker) % 100);
    uint32_t index = 0;
    while (bounds[index] <= r)
        index++;
    return index;
}

static void make_state(struct maker *maker)
{
    static const char *const names[ITEMS] = {"diamond", "gold", "silver", "bronze", "stone", "mud"};
    static const uint64_t weights[ITEMS] = {1, 4, 10, 15, 30, 40};
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    struct urn_error error;
    struct urn_pool *pool = NULL;
    require(state_make(&bounds, &maker->state, &error), &error);
    require(state_add_pool(&maker->state, "main", 4, 10, &pool, &error), &error);
    for (uint32_t i = 0; i < ITEMS; i++)
        require(state_add_item(&maker->state, pool, names[i], (uint32_t)strlen(names[i]),
                               URN_UNLIMITED, weights[i], 0, &error),
                &error);
    data_dir_first_chain(maker->data_dir.geometry.ring_uuid, maker->state.tail.chain);
    maker->state.wall_time_us = maker->time_us;
}

/* ---- segments -------------------------------------------------------------------------------------- */

static void write_file(struct os_dir *dir, const char *name, const uint8_t *bytes,
                       uint64_t length_bytes, uint32_t piece_bytes)
{
    struct os_file *file = NULL;
    struct urn_error error;
    bench_require(os_file_open(dir, name, OS_CREATE, &file) == 0, name);
    bench_require(os_file_allocate(file, length_bytes) == 0, name);
    for (uint64_t at = 0; at < length_bytes; at += piece_bytes) {
        const uint64_t left = length_bytes - at;
        require(file_write_exact(file, name, bytes + at, left < piece_bytes ? left : piece_bytes,
                                 at, &error),
                &error);
    }
    bench_require(os_file_sync(file) == 0, name); /* no write-back beside the measurement */
    os_file_close(file);
}

/* The segment under way, and its index behind it, for which there is room. */
static void write_archived(struct maker *maker)
{
    char name[DATA_DIR_NAME_MAX];
    const uint64_t bytes = archive_segment_bytes(segment_bytes(maker), maker->index.count);
    memset(maker->segment + segment_bytes(maker), 0, bytes - segment_bytes(maker));
    log_index_write(&maker->index, maker->segment + segment_bytes(maker));
    archive_segment_name(name, maker->index.sequence * segment_bytes(maker));
    write_file(maker->archive, name, maker->segment, bytes, ARCHIVE_PIECE_BYTES);
}

static void write_segment(struct maker *maker, bool full)
{
    const struct wal_geometry *geometry = &maker->data_dir.geometry;
    const uint64_t sequence = maker->index.sequence;
    if (maker->archive != NULL && full)
        write_archived(maker);
    if ((sequence + 1) * segment_bytes(maker) > maker->keep_above_lsn) {
        char name[DATA_DIR_NAME_MAX];
        data_dir_segment_name(name, (uint32_t)(sequence % geometry->segments));
        write_file(maker->data_dir.dir, name, maker->segment, segment_bytes(maker),
                   RING_PIECE_BYTES);
    }
}

static void begin_index(struct maker *maker, uint64_t sequence)
{
    log_index_begin(&maker->index, &maker->data_dir.geometry, sequence,
                    log_index_stride_bytes(segment_bytes(maker)), maker->index.entries,
                    LOG_INDEX_ENTRIES_MAX);
}

/* What ended right before is on the disk first. */
static void begin_segment(struct maker *maker)
{
    const struct wal_geometry *geometry = &maker->data_dir.geometry;
    const uint64_t sequence = maker->state.tail.lsn / segment_bytes(maker);
    struct wal_segment_header header = {.version = WAL_FORMAT_VERSION,
                                        .sequence = sequence,
                                        .segment_size_bytes = segment_bytes(maker),
                                        .segments = geometry->segments,
                                        .epoch = maker->state.tail.epoch};
    if (sequence > 0)
        write_segment(maker, true);
    memcpy(header.ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES);
    memset(maker->segment, 0, segment_bytes(maker));
    wal_segment_header_write(&header, maker->segment);
    begin_index(maker, sequence);
    maker->state.tail.lsn += WAL_SEGMENT_HEADER_BYTES;
}

static void write_snapshot(struct maker *maker, struct os_dir *dir)
{
    struct urn_error error;
    require(snapshot_file_write(dir, &maker->state, &maker->data_dir.geometry, 0, &error), &error);
}

/* ---- groups ----------------------------------------------------------------------------------------- */

/* Seals, writes and applies what stands in maker->group. */
static void put(struct maker *maker, enum wal_group_kind kind, uint32_t length_bytes,
                uint32_t draws)
{
    struct urn_error error;
    struct wal_group_header header = {
        .length_bytes = length_bytes,
        .kind = kind,
        .ring_short = wal_ring_short(maker->data_dir.geometry.ring_uuid),
        .lsn = maker->state.tail.lsn,
        .durable_lsn = maker->state.tail.lsn,
        .epoch = maker->state.tail.epoch,
        .draws = draws,
        .engine_time_us = maker->time_us - 1760000000000000,
        .wall_time_us = maker->time_us++,
        .first_request_id = maker->state.next_request_id,
    };
    memcpy(header.chain_before, maker->state.tail.chain, WAL_CHAIN_BYTES);
    wal_group_seal(&header, maker->group);
    memcpy(maker->segment + header.lsn % segment_bytes(maker), maker->group, length_bytes);
    bench_require(log_index_add(&maker->index, &header) == WAL_READ_OK, "index");
    maker->state.tail.lsn += length_bytes;
    memcpy(maker->state.tail.chain, header.chain_after, WAL_CHAIN_BYTES);
    require(apply_group(&maker->state, &header, maker->group, &error), &error);
}

/* A group with the entries that stand there, behind what has to come before it. */
static void add(struct maker *maker, enum wal_group_kind kind, const struct wal_entries *entries)
{
    const struct wal_placement place = wal_place(&maker->data_dir.geometry, maker->state.tail.lsn,
                                                 entries->used_bytes, kind != WAL_DATA);
    if (place.pad_bytes > 0) {
        uint8_t *kept = maker->group;
        maker->group = calloc(1, place.pad_bytes);
        bench_require(maker->group != NULL, "memory");
        put(maker, WAL_PAD, place.pad_bytes, 0);
        free(maker->group);
        maker->group = kept;
    }
    if (place.new_segment)
        begin_segment(maker);
    memset(maker->group + entries->used_bytes, 0, place.group_bytes - entries->used_bytes);
    put(maker, kind, place.group_bytes, entries->draws);
}

static void add_draws(struct maker *maker, uint32_t draws)
{
    struct wal_entries entries;
    const uint32_t *outcomes = maker->outcomes + next_random(maker) % DRAWS_MAX;
    wal_entries_begin(&entries, maker->group, GROUP_BYTES_MAX);
    wal_entries_add_draws(&entries, 0, 1, 1, outcomes, draws);
    add(maker, WAL_DATA, &entries);
    maker->groups++;
}

/* ---- the whole -------------------------------------------------------------------------------------- */

struct wanted {
    uint32_t draws;  /* a group */
    uint64_t bytes;  /* of log, or */
    uint64_t groups; /* with draws, or */
};

static bool is_enough(const struct maker *maker, const struct wanted *wanted)
{
    return wanted->groups > 0 ? maker->groups >= wanted->groups
                              : maker->state.tail.lsn >= wanted->bytes;
}

/* Where snapshots are due behind a group. Of those of the archive, the ring keeps what it has the log of. */
static void take_snapshots(struct maker *maker, uint64_t from_lsn)
{
    const uint64_t every = SNAPSHOT_SEGMENTS * segment_bytes(maker);
    if (maker->state.tail.lsn / every == from_lsn / every)
        return;
    if (maker->archive != NULL)
        write_snapshot(maker, maker->archive);
    if (maker->archive == NULL || from_lsn > maker->keep_above_lsn)
        write_snapshot(maker, maker->data_dir.dir);
}

static void make_log(struct maker *maker, const struct wanted *wanted)
{
    static const uint8_t nonce[WAL_NONCE_BYTES] = "the bench's own";
    struct wal_entries entries;
    maker->state.tail.epoch = 1;
    wal_entries_begin(&entries, maker->group, GROUP_BYTES_MAX);
    wal_entries_add_epoch(&entries, nonce, 1);
    add(maker, WAL_EPOCH, &entries);
    while (!is_enough(maker, wanted)) {
        const uint64_t from_lsn = maker->state.tail.lsn;
        add_draws(maker, wanted->draws);
        take_snapshots(maker, from_lsn);
    }
    wal_entries_begin(&entries, maker->group, GROUP_BYTES_MAX);
    add(maker, WAL_MARK, &entries);
    write_segment(maker, false);
}

/* The slots that the log did not come to: of their size, and holes. */
static void make_rest(struct maker *maker)
{
    for (uint32_t slot = 0; slot < maker->data_dir.geometry.segments; slot++) {
        char name[DATA_DIR_NAME_MAX];
        struct os_file *file = NULL;
        data_dir_segment_name(name, slot);
        const int why = os_file_open(maker->data_dir.dir, name, OS_CREATE, &file);
        bench_require(why == 0 || why == EEXIST, name);
        if (why == EEXIST)
            continue;
        bench_require(os_file_allocate(file, segment_bytes(maker)) == 0, name);
        os_file_close(file);
    }
}

static void open_folder(const char *folder, struct os_dir **dir)
{
    bench_require(os_dir_make(os_default(), folder) == 0, folder);
    bench_require(os_dir_open(os_default(), folder, dir) == 0, folder);
}

static void make_archive(struct maker *maker, const char *path)
{
    struct archive_note note = {.policy = ARCHIVE_NOTE_BLOCK};
    struct urn_error error;
    char *absolute = NULL;
    require(archive_dir_open_for_writing(os_default(), path, maker->data_dir.geometry.ring_uuid,
                                         false, &maker->archive, &maker->archive_lock, &error),
            &error);
    absolute = realpath(path, NULL);
    bench_require(absolute != NULL && strlen(absolute) < sizeof note.path, path);
    memcpy(note.path, absolute, strlen(absolute));
    free(absolute);
    memcpy(note.ring_uuid, maker->data_dir.geometry.ring_uuid, WAL_UUID_BYTES);
    require(archive_note_write(maker->data_dir.dir, &note, &error), &error);
    write_snapshot(maker, maker->archive);
}

static void prepare(struct maker *maker, const struct wanted *wanted, bool archives)
{
    /* A group takes a byte a draw, and less than so many besides. */
    const uint64_t bytes =
        wanted->groups > 0 ? wanted->groups * (wanted->draws + 192ull) : wanted->bytes;
    const uint64_t segment_size_bytes = wanted->groups > 0 ? SMALL_SEGMENT_BYTES : SEGMENT_BYTES;
    maker->data_dir.geometry = (struct wal_geometry){
        .segment_size_bytes = segment_size_bytes,
        .segments = archives ? RING_SEGMENTS : (uint32_t)(bytes / segment_size_bytes + 3)};
    memcpy(maker->data_dir.geometry.ring_uuid, "urn bench's ring", WAL_UUID_BYTES);
    if (archives && bytes > (RING_SEGMENTS - 1) * SEGMENT_BYTES)
        maker->keep_above_lsn = bytes - (RING_SEGMENTS - 1) * SEGMENT_BYTES;
    maker->segment = malloc(archive_segment_bytes(SEGMENT_BYTES, LOG_INDEX_ENTRIES_MAX));
    maker->group = malloc(GROUP_BYTES_MAX);
    maker->index.entries = malloc(LOG_INDEX_ENTRIES_MAX * sizeof *maker->index.entries);
    maker->outcomes = malloc(2 * DRAWS_MAX * sizeof *maker->outcomes);
    bench_require(maker->segment != NULL && maker->group != NULL && maker->index.entries != NULL &&
                      maker->outcomes != NULL,
                  "memory");
    for (uint32_t i = 0; i < 2 * DRAWS_MAX; i++)
        maker->outcomes[i] = draw(maker);
}

static void make_directory(struct maker *maker, const struct wanted *wanted, const char *folder,
                           const char *archive)
{
    struct urn_error error;
    char text[IDENTITY_BYTES_MAX];
    prepare(maker, wanted, archive != NULL);
    open_folder(folder, &maker->data_dir.dir);
    make_state(maker);
    if (archive != NULL)
        make_archive(maker, archive);
    if (maker->keep_above_lsn == 0)
        write_snapshot(maker, maker->data_dir.dir);
    make_log(maker, wanted);
    make_rest(maker);
    const size_t length = identity_format(&maker->data_dir.geometry, text);
    require(file_publish(maker->data_dir.dir, DATA_DIR_IDENTITY, text, length, &error), &error);
}

static void release(struct maker *maker)
{
    os_file_close(maker->archive_lock);
    if (maker->archive != NULL)
        os_dir_close(maker->archive);
    os_dir_close(maker->data_dir.dir);
    state_free(&maker->state);
    free(maker->outcomes);
    free(maker->index.entries);
    free(maker->group);
    free(maker->segment);
}

static struct wanted read_wanted(const char *draws, const char *size)
{
    char *draws_end = NULL;
    char *size_end = NULL;
    struct wanted wanted = {.draws = (uint32_t)strtoul(draws, &draws_end, 10)};
    const uint64_t number = strtoull(size, &size_end, 10);
    const bool of_groups = strcmp(size_end, "x") == 0;
    bench_require(*draws_end == '\0' && wanted.draws > 0 && wanted.draws <= DRAWS_MAX,
                  "DRAWS must be 1 to 65536");
    bench_require((of_groups || *size_end == '\0') && number > 0 && number < 1u << 30,
                  "MEBIBYTES must be a number, or a number of groups with an x behind it");
    *(of_groups ? &wanted.groups : &wanted.bytes) = of_groups ? number : number << 20;
    return wanted;
}

int main(int argc, char **argv)
{
    struct maker maker = {.time_us = 1763790000000000, .random = 88172645463325252};
    bench_require(argc == 4 || argc == 5, "usage: bench-make_log FOLDER DRAWS MEBIBYTES [ARCHIVE]");
    bench_require(sodium_init() >= 0, "libsodium");
    const struct wanted wanted = read_wanted(argv[2], argv[3]);
    bench_require(argc == 4 || wanted.groups == 0, "an archive's size is given in MEBIBYTES");
    make_directory(&maker, &wanted, argv[1], argc == 5 ? argv[4] : NULL);
    (void)printf("{\"log_bytes\": %" PRIu64 ", \"groups\": %" PRIu64 ", \"draws\": %" PRIu64 "}\n",
                 maker.state.tail.lsn, maker.groups, maker.state.next_request_id - 1);
    release(&maker);
    return 0;
}
