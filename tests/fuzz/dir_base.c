/* dir_base.c: see dir_base.h. */
#include "tests/fuzz/dir_base.h"

#include <sodium.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "engine/file_io.h"
#include "engine/snapshot_file.h"
#include "engine/wal_reader.h"
#include "tests/lib/engine_driver.h"

/* ---- an engine's life ------------------------------------------------------------------------------ */

static void ask(struct driver *driver, struct urn_request request)
{
    request.pool_name = "main";
    request.pool_name_bytes = 4;
    CHECK(driver_ask(driver, request) == URN_OK);
}

static void change_things(struct driver *driver)
{
    ask(driver, (struct urn_request){.op = URN_UPDATE,
                                     .item_id = "diamond",
                                     .item_id_bytes = 7,
                                     .has_quantity = true,
                                     .quantity = 3});
    ask(driver, (struct urn_request){.op = URN_UPDATE,
                                     .item_id = "gold",
                                     .item_id_bytes = 4,
                                     .has_probability = true,
                                     .probability = 50});
    ask(driver, (struct urn_request){.op = URN_ADD,
                                     .item_id = "ruby",
                                     .item_id_bytes = 4,
                                     .quantity = 4,
                                     .probability = 30});
}

/* The mark that follows each draw takes a page, so that laps are short and texts about them, too. */
static void draw_to(struct driver *driver, uint64_t lsn)
{
    while (driver->engine->writer.end_lsn < lsn) {
        CHECK(driver_draw(driver, "main", 2, false) == URN_OK);
        driver_idle(driver);
    }
}

static void live(struct driver *driver, enum dir_kind kind)
{
    driver->config.data_dir = DIR_PATH;
    driver->config.segments = kind == DIR_LAPPED ? 4 : SEGMENTS_MIN;
    driver->config.archive = kind == DIR_ARCHIVED ? DIR_ARCHIVE : NULL;
    driver_must_open(driver);
    CHECK(driver_draw(driver, "main", 5, false) == URN_OK);
    change_things(driver);
    CHECK(driver_draw(driver, "main", 40, false) == URN_OK);
    driver_idle(driver);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver);
    if (kind != DIR_FIRST_LAP) /* to where the next start has room, or has to make some */
        draw_to(driver, 7 * SEGMENT_SIZE_BYTES_MIN +
                            (kind == DIR_LAPPED ? SEGMENT_SIZE_BYTES_MIN / 3 : 2 * OS_PAGE_BYTES));
    CHECK(driver_draw(driver, "main", 7, false) == URN_OK);
    driver_crash(driver, SIM_CRASH_PROCESS);
    driver_must_open(driver);
    CHECK(driver_draw(driver, "main", 3, false) == URN_OK);
    CHECK(driver_draw(driver, "main", 4, false) == URN_OK);
    driver_idle(driver);
    driver_crash(driver,
                 SIM_CRASH_MACHINE); /* all is durable; a stop would write a snapshot of it */
}

/* ---- files ------------------------------------------------------------------------------------------- */

struct listing {
    struct dir_base *base;
    const char *path;
};

static void add_file(void *context, const char *name)
{
    const struct listing *listing = context;
    struct dir_base *base = listing->base;
    CHECK(base->file_count < DIR_FILES_MAX);
    (void)snprintf(base->files[base->file_count++], DIR_PATH_BYTES, "%s/%s", listing->path, name);
}

static int by_name(const void *one, const void *other)
{
    return strcmp(one, other);
}

static void list_files(struct dir_base *base, enum dir_kind kind)
{
    struct listing listing = {base, DIR_PATH};
    (void)sim_list(base->world, DIR_PATH, add_file, &listing);
    listing.path = DIR_ARCHIVE;
    if (kind == DIR_ARCHIVED)
        (void)sim_list(base->world, DIR_ARCHIVE, add_file, &listing);
    qsort(base->files, base->file_count, sizeof base->files[0], by_name);
}

static void copy_file(struct sim_world *world, struct os_dir *to, const char *from)
{
    uint64_t length = 0;
    struct os_file *file = NULL;
    struct urn_error error;
    const char *name = from + sizeof DIR_PATH; /* behind the slash */
    CHECK(sim_file_size(world, from, &length));
    uint8_t *bytes = malloc(length + 1);
    CHECK(bytes != NULL && sim_file_bytes(world, from, 0, bytes, length));
    CHECK(os_file_open(to, name, OS_CREATE, &file) == 0);
    CHECK(file_write_exact(file, name, bytes, length, 0, &error) == URN_OK);
    CHECK(os_file_sync(file) == 0);
    os_file_close(file);
    free(bytes);
}

static void keep_as_it_was(struct dir_base *base)
{
    struct os_dir *to = NULL;
    CHECK(os_dir_make(sim_os(base->world), DIR_AS_IT_WAS) == 0);
    CHECK(os_dir_open(sim_os(base->world), DIR_AS_IT_WAS, &to) == 0);
    for (uint32_t i = 0; i < base->file_count; i++)
        if (strncmp(base->files[i], DIR_PATH "/", sizeof DIR_PATH) == 0 &&
            strcmp(base->files[i], DIR_PATH "/ARCHIVED-TO") != 0)
            copy_file(base->world, to, base->files[i]);
    CHECK(os_dir_sync(to) == 0);
    os_dir_close(to);
    CHECK(os_dir_open(sim_os(base->world), ".", &to) == 0);
    CHECK(os_dir_sync(to) == 0);
    os_dir_close(to);
}

/* ---- what is known of it ------------------------------------------------------------------------------- */

static enum urn_code digest_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                  struct urn_error *error)
{
    (void)error;
    (void)crypto_generichash_update(context, block, length_bytes);
    return URN_OK;
}

void dir_state_digest(const struct state *state, const struct wal_geometry *geometry,
                      uint8_t digest[32])
{
    static _Alignas(OS_PAGE_BYTES) uint8_t block[SNAPSHOT_BLOCK_BYTES];
    struct state placeless = *state; /* looked at only */
    struct urn_error error;
    crypto_generichash_state hash;
    placeless.tail.lsn = 0;
    placeless.tail.epoch = 0;
    (void)crypto_generichash_init(&hash, NULL, 0, 32);
    CHECK(snapshot_encode(&placeless, geometry, block, digest_block, &hash, &error) == URN_OK);
    (void)crypto_generichash_final(&hash, digest, 32);
}

const struct dir_moment *dir_base_moment(const struct dir_base *base, uint64_t lsn)
{
    for (uint32_t i = 0; i <= base->group_count; i++) {
        const uint64_t end = base->moments[i].lsn;
        if (end == lsn ||
            (end % base->geometry.segment_size_bytes == 0 && end + WAL_SEGMENT_HEADER_BYTES == lsn))
            return &base->moments[i];
    }
    return NULL;
}

static void note_moment(struct dir_base *base, const struct state *state)
{
    struct dir_moment *moment = &base->moments[base->group_count];
    moment->lsn = state->tail.lsn;
    dir_state_digest(state, &base->geometry, moment->digest);
}

/* The older of the two newest snapshots, or the only one. */
static void load_older(const struct data_dir *data_dir, struct state *state)
{
    static const struct state_bounds bounds = {.max_pools = 8, .max_items = 1000};
    struct snapshot_name *names = NULL;
    uint32_t count = 0;
    struct wal_geometry geometry;
    struct urn_error error;
    CHECK(snapshot_file_list(data_dir->dir, &names, &count, &error) == URN_OK && count > 0);
    CHECK(snapshot_file_load(data_dir->dir, names[count > 1 ? 1 : 0], &bounds, state, &geometry,
                             &error) == URN_OK);
    free(names);
}

static void note_groups(struct dir_base *base)
{
    enum { GROUPS_MAX = 1000 };
    struct data_dir data_dir;
    struct state state;
    struct urn_error error;
    struct wal_reader *reader = NULL;
    struct wal_group_header header;
    const uint8_t *bytes;
    CHECK(data_dir_open_readonly(sim_os(base->world), DIR_PATH, &data_dir, &error) == URN_OK);
    base->geometry = data_dir.geometry;
    base->groups = calloc(GROUPS_MAX, sizeof *base->groups);
    base->moments = calloc(GROUPS_MAX + 1, sizeof *base->moments);
    CHECK(base->groups != NULL && base->moments != NULL);
    load_older(&data_dir, &state);
    note_moment(base, &state);
    CHECK(wal_reader_open(&data_dir, &state.tail, &reader, &error) == URN_OK);
    while (wal_reader_next(reader, &header, &bytes, &error) == WAL_STEP_GROUP) {
        CHECK(base->group_count < GROUPS_MAX);
        state.tail = *wal_reader_tail(reader);
        CHECK(apply_group(&state, &header, bytes, &error) == URN_OK);
        struct dir_group *group = &base->groups[base->group_count++];
        *group = (struct dir_group){.lsn = header.lsn,
                                    .length_bytes = header.length_bytes,
                                    .durable_lsn = header.durable_lsn};
        memcpy(group->chain_before, header.chain_before, WAL_CHAIN_BYTES);
        note_moment(base, &state);
    }
    CHECK(base->group_count > 0);
    wal_reader_close(reader);
    state_free(&state);
    data_dir_close(&data_dir);
}

const struct dir_base *dir_base(enum dir_kind kind)
{
    static struct dir_base bases[DIR_KINDS];
    struct dir_base *base = &bases[kind];
    if (base->world != NULL)
        return base;
    struct driver driver;
    driver_init(&driver, 1 + (uint64_t)kind);
    live(&driver, kind);
    base->world = driver.world;
    list_files(base, kind);
    keep_as_it_was(base);
    note_groups(base);
    CHECK(sim_open_handles(base->world) == 0);
    (void)sim_restart(base->world);
    return base;
}
