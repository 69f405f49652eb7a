/* host_replay.c: what files come to, read without touching them; see host.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/archive_format.h"
#include "engine/check.h"
#include "engine/snapshot_format.h"
#include "tests/sim/host.h"
#include "tests/sim/verdict.h"

/* The canonical serialisation as one growing array. */
struct bytes {
    uint8_t *at;
    size_t length;
};

static enum urn_code append_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                  struct urn_error *error)
{
    (void)error;
    struct bytes *bytes = context;
    bytes->at = realloc(bytes->at, bytes->length + length_bytes);
    CHECK(bytes->at != NULL);
    memcpy(bytes->at + bytes->length, block, length_bytes);
    bytes->length += length_bytes;
    return URN_OK;
}

/* Replays the world's files without touching them; false when they are refused. */
static bool replay(const struct host *host, struct sim_world *world, struct bytes *bytes,
                   struct recovery *recovery)
{
    const struct urn_engine_config *config = &host->scenario->config;
    struct data_dir data_dir;
    struct urn_error error;
    *recovery = (struct recovery){0};
    if (data_dir_open_readonly(sim_os(world), config->data_dir, &data_dir, &error) != URN_OK)
        return false;
    struct state_bounds bounds = {config->max_pools, config->max_items};
    struct state state;
    bool good = recovery_read(&data_dir, &bounds, NULL, &state, recovery, &error) == URN_OK;
    if (good) {
        uint8_t *block = aligned_alloc(OS_PAGE_BYTES, SNAPSHOT_BLOCK_BYTES);
        CHECK(block != NULL);
        CHECK(snapshot_encode(&state, &data_dir.geometry, block, append_block, bytes, &error) ==
              URN_OK);
        free(block);
        state_free(&state);
    }
    data_dir_close(&data_dir);
    return good;
}

static bool same_bytes(const struct bytes *a, const struct bytes *b)
{
    return a->length == b->length && (a->length == 0 || memcmp(a->at, b->at, a->length) == 0);
}

/* The state is the same whichever of the two newest snapshots it is computed from. */
static void check_older_snapshot(struct host *host, const struct recovery *newest,
                                 const struct bytes *expected)
{
    char name[DATA_DIR_NAME_MAX];
    char path[256];
    struct bytes bytes = {0};
    struct recovery recovery;
    struct sim_world *world = sim_world_clone(host->world, 0);
    (void)sim_restart(world);
    data_dir_snapshot_name(name, newest->snapshot_lsn, newest->snapshot_serial);
    snprintf(path, sizeof path, "%s/%s", host->scenario->config.data_dir, name);
    CHECK(sim_lose_file(world, path));
    PROMISE(replay(host, world, &bytes, &recovery),
            "the snapshot before the newest is of no use: it does not verify, or its log is gone");
    PROMISE(same_bytes(&bytes, expected),
            "P4: replays from the snapshots at LSN %" PRIu64 " and %" PRIu64 " differ",
            newest->snapshot_lsn, recovery.snapshot_lsn);
    free(bytes.at);
    sim_world_free(world);
}

void host_check_determinism(struct host *host)
{
    CHECK(host->engine == NULL && !host_crashed(host));
    uint64_t hash = sim_hash(host->world);
    struct bytes first = {0};
    struct bytes second = {0};
    struct recovery recovery;
    bool good = replay(host, host->world, &first, &recovery);
    PROMISE(replay(host, host->world, &second, &recovery) == good,
            "P4: one replay was refused, the next was not");
    PROMISE(same_bytes(&first, &second), "P4: two replays of the same files differ");
    PROMISE(sim_hash(host->world) == hash, "a replay changed the files");
    if (good && recovery.snapshots > 1 && !host->is_damaged)
        check_older_snapshot(host, &recovery, &first);
    free(first.at);
    free(second.at);
}

struct unstable_names {
    struct sim_world *world;
    const char *data_dir;
    char names[8][256];
    uint32_t count;
};

static void find_unstable(void *context, const char *name)
{
    struct unstable_names *found = context;
    const char *suffix = strrchr(name, '.');
    bool temporary = suffix != NULL && strcmp(suffix, ".tmp") == 0;
    if ((temporary || strcmp(name, DATA_DIR_LOCK) == 0) && found->count < 8)
        snprintf(found->names[found->count++], sizeof found->names[0], "%s/%s", found->data_dir,
                 name);
}

uint64_t host_hash(struct sim_world *world, const struct urn_engine_config *config)
{
    char lock[256];
    struct unstable_names found = {.world = sim_world_clone(world, 0),
                                   .data_dir = config->data_dir};
    sim_list(found.world, config->data_dir, find_unstable, &found);
    for (uint32_t i = 0; i < found.count; i++)
        CHECK(sim_lose_file(found.world, found.names[i]));
    if (config->archive != NULL) {
        snprintf(lock, sizeof lock, "%s/" ARCHIVE_LOCK, config->archive);
        (void)sim_lose_file(found.world, lock);
    }
    uint64_t hash = sim_hash(found.world);
    sim_world_free(found.world);
    return hash;
}
