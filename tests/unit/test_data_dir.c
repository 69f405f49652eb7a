/* test_data_dir.c: the data directory: names, IDENTITY, opening, refusing, and its creation,
 * crashed and failed at every call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium/crypto_generichash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/crc32c.h"
#include "engine/data_dir.h"
#include "engine/data_dir_create.h"
#include "engine/identity.h"
#include "engine/snapshot_file.h"
#include "tests/lib/os_sim.h"

#define DIR           "/data"
#define SEGMENT_BYTES 65536u
#define SEGMENTS      3u
#define SNAPSHOT_0    DIR "/snapshot-0000000000000000-0000"

static const struct urn_item_spec test_items[] = {
    {"diamond", 7, 100, 10},
    {"mud", 3, URN_UNLIMITED, 70},
};

static const struct urn_pool_spec test_pools[] = {
    {"main", 4, 2, test_items},
    {"empty", 5, 0, NULL},
};

static struct urn_engine_config test_config(bool create)
{
    return (struct urn_engine_config){
        .data_dir = DIR,
        .create = create,
        .pools = test_pools,
        .pool_count = 2,
        .segment_size_bytes = SEGMENT_BYTES,
        .segments = SEGMENTS,
        .max_pools = 4,
        .max_items = 100,
    };
}

/* Opens and closes; the text of the last refusal stays in test_error. */
static struct urn_error test_error;

static enum urn_code open_with(struct urn_os *os, const struct urn_engine_config *config,
                               bool *created)
{
    struct data_dir data_dir;
    test_error.text[0] = '\0';
    enum urn_code code = data_dir_open(os, config, &data_dir, &test_error);
    if (code == URN_OK) {
        *created = data_dir.created;
        data_dir_close(&data_dir);
    } else {
        assert_int_equal(code, test_error.code);
        assert_true(test_error.text[0] != '\0');
    }
    assert_null(data_dir.dir);
    assert_null(data_dir.lock);
    return code;
}

static enum urn_code open_once(struct sim_world *world, bool create)
{
    struct urn_engine_config config = test_config(create);
    bool created = false;
    return open_with(sim_os(world), &config, &created);
}

static void assert_says(const char *words)
{
    if (strstr(test_error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", test_error.text, words);
}

/* Of every name in the root and in the directory, and of the bytes of its files, but for LOCK's,
 * which hold the id of the process that took it last. */
struct names_hash {
    const struct sim_world *world;
    const char *prefix;
    uint64_t sum; /* whatever the order of the names */
};

static void hash_name(void *context, const char *name)
{
    struct names_hash *hash = context;
    char path[2 * DATA_DIR_NAME_MAX];
    uint64_t size_bytes = 0;
    uint64_t sum = 1 + crc32c(name, strlen(name));
    snprintf(path, sizeof path, "%s%s", hash->prefix, name);
    if (strcmp(name, "LOCK") != 0 && sim_file_size(hash->world, path, &size_bytes)) {
        uint8_t *bytes = malloc(size_bytes + 1);
        assert_non_null(bytes);
        if (sim_file_bytes(hash->world, path, 0, bytes, size_bytes))
            sum += (uint64_t)crc32c_extend((uint32_t)sum, bytes, size_bytes) << 20;
        free(bytes);
    }
    hash->sum += sum * (size_bytes + 1);
}

static uint64_t hash_of(const struct sim_world *world)
{
    struct names_hash hash = {.world = world, .prefix = "/"};
    sim_list(world, "/", hash_name, &hash);
    hash.prefix = DIR "/";
    sim_list(world, DIR, hash_name, &hash);
    return hash.sum;
}

/* Opening refuses with this code and these words, and changes no name and no byte. */
static void assert_refused(struct sim_world *world, bool create, enum urn_code code,
                           const char *words)
{
    uint64_t hash = hash_of(world);
    enum urn_code found = open_once(world, create);
    if (found != code)
        fail_msg("%s: %s", urn_code_text(found), test_error.text);
    assert_says(words);
    assert_int_equal(hash_of(world), hash);
    assert_int_equal(sim_open_handles(world), 0);
}

static struct sim_world *make_created(uint64_t seed)
{
    struct sim_world *world = sim_world_make(seed);
    assert_int_equal(open_once(world, true), URN_OK);
    return world;
}

static void make_dir(struct sim_world *world)
{
    assert_int_equal(os_dir_make(sim_os(world), DIR), 0);
}

/* Makes a file of these bytes (not synced). */
static void make_file(struct sim_world *world, const char *name, const void *bytes, size_t length)
{
    struct os_dir *dir = NULL;
    struct os_file *file = NULL;
    size_t done = 0;
    assert_int_equal(os_dir_open(sim_os(world), DIR, &dir), 0);
    assert_int_equal(os_file_open(dir, name, OS_CREATE, &file), 0);
    if (length > 0)
        assert_int_equal(os_file_write(file, bytes, length, 0, &done), 0);
    assert_int_equal(done, length);
    os_file_close(file);
    os_dir_close(dir);
}

static void crash_machine(struct sim_world *world)
{
    sim_crash_now(world, SIM_CRASH_MACHINE);
    sim_restart(world);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void test_names_are_made(void **context)
{
    (void)context;
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, 0);
    assert_string_equal(name, "segment-0000");
    data_dir_segment_name(name, 4095);
    assert_string_equal(name, "segment-4095");
    data_dir_snapshot_name(name, 0xf4000, 1);
    assert_string_equal(name, "snapshot-00000000000f4000-0001");
    data_dir_snapshot_name(name, UINT64_MAX, 0xffff);
    assert_string_equal(name, "snapshot-ffffffffffffffff-ffff");
}

static void test_names_are_told_apart(void **context)
{
    (void)context;
    static const struct {
        const char *name;
        enum data_dir_name_kind kind;
    } rows[] = {
        {"LOCK", DATA_DIR_NAME_LOCK},
        {"IDENTITY", DATA_DIR_NAME_IDENTITY},
        {"IDENTITY.tmp", DATA_DIR_NAME_TEMPORARY},
        {"REPAIR", DATA_DIR_NAME_REPAIR},
        {"REPAIR.tmp", DATA_DIR_NAME_TEMPORARY},
        {"lost+found-20261122T051429Z", DATA_DIR_NAME_FOREIGN},
        {"UNFINISHED", DATA_DIR_NAME_UNFINISHED},
        {"UNFINISHED.tmp", DATA_DIR_NAME_TEMPORARY},
        {"BACKUP", DATA_DIR_NAME_BACKUP},
        {"BACKUP.tmp", DATA_DIR_NAME_TEMPORARY},
        {"segment-0000", DATA_DIR_NAME_SEGMENT},
        {"segment-4095", DATA_DIR_NAME_SEGMENT},
        {"snapshot-00000000000f4000-0001", DATA_DIR_NAME_SNAPSHOT},
        {"snapshot-00000000000f4000-0001.tmp", DATA_DIR_NAME_TEMPORARY},
        {"", DATA_DIR_NAME_FOREIGN},
        {"lock", DATA_DIR_NAME_FOREIGN},
        {"LOCK.tmp", DATA_DIR_NAME_FOREIGN},
        {"IDENTITY2", DATA_DIR_NAME_FOREIGN},
        {"segment-4096", DATA_DIR_NAME_FOREIGN},
        {"segment-000", DATA_DIR_NAME_FOREIGN},
        {"segment-00000", DATA_DIR_NAME_FOREIGN},
        {"segment-000a", DATA_DIR_NAME_FOREIGN},
        {"segment-0000.tmp", DATA_DIR_NAME_TEMPORARY},
        {"segment--001", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000f4000", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000F4000-0001", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000f4000-001", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000f4000-00001", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000f4000_0001", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000f4000-0001.tmp2", DATA_DIR_NAME_FOREIGN},
        {"snapshot-00000000000f4000-0001.bak", DATA_DIR_NAME_FOREIGN},
        {"lost+found", DATA_DIR_NAME_FOREIGN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (data_dir_name_kind(rows[i].name) != rows[i].kind)
            fail_msg("%s", rows[i].name);
    uint64_t lsn = 1;
    uint32_t serial = 1;
    assert_true(data_dir_parse_snapshot_name("snapshot-ffffffffffffffff-ffff", &lsn, &serial));
    assert_int_equal(lsn, UINT64_MAX);
    assert_int_equal(serial, 0xffff);
    assert_false(data_dir_parse_snapshot_name("snapshot-0000000000000000-0000.tmp", &lsn, &serial));
    assert_int_equal(lsn, UINT64_MAX);
    assert_true(data_dir_parse_segment_name("segment-0123", &serial));
    assert_int_equal(serial, 123);
}

/* ---- IDENTITY -------------------------------------------------------------------------------- */

static const struct wal_geometry golden_geometry = {
    .ring_uuid = {0x8f, 0x14, 0xe4, 0x5f, 0xce, 0xea, 0x46, 0x7f, 0x95, 0x75, 0x3a, 0x1c, 0x40,
                  0xb0, 0xd2, 0xa1},
    .segment_size_bytes = 67108864,
    .segments = 8,
};

#define GOLDEN_FACTS                                                                               \
    "urn data directory\n"                                                                         \
    "format: 1\n"                                                                                  \
    "ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1\n"                                                 \
    "segment_size: 67108864\n"                                                                     \
    "segments: 8\n"

/* facts with a right checksum behind them */
static size_t seal(const char *facts, char text[IDENTITY_BYTES_MAX])
{
    int length = snprintf(text, IDENTITY_BYTES_MAX, "%scrc32c: %08" PRIx32 "\n", facts,
                          crc32c(facts, strlen(facts)));
    assert_true(length > 0 && (size_t)length < IDENTITY_BYTES_MAX);
    return (size_t)length;
}

static void test_identity_is_pinned(void **context)
{
    (void)context;
    char text[IDENTITY_BYTES_MAX];
    char golden[IDENTITY_BYTES_MAX];
    struct wal_geometry geometry;
    struct urn_error error;
    size_t length = identity_format(&golden_geometry, text);
    assert_int_equal(length, seal(GOLDEN_FACTS, golden));
    assert_memory_equal(text, golden, length);
    assert_memory_equal(text + strlen(GOLDEN_FACTS), "crc32c: c7092e2b\n", 17);
    assert_int_equal(identity_parse(text, length, &geometry, &error), URN_OK);
    assert_memory_equal(geometry.ring_uuid, golden_geometry.ring_uuid, WAL_UUID_BYTES);
    assert_int_equal(geometry.segment_size_bytes, 67108864);
    assert_int_equal(geometry.segments, 8);
}

static void test_identity_refuses_every_change(void **context)
{
    (void)context;
    char text[IDENTITY_BYTES_MAX];
    struct wal_geometry geometry;
    struct urn_error error;
    size_t length = identity_format(&golden_geometry, text);
    for (size_t i = 0; i < length; i++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ (1 << bit));
            assert_int_equal(identity_parse(text, length, &geometry, &error), URN_DAMAGED);
            text[i] = (char)(text[i] ^ (1 << bit));
        }
        assert_int_equal(identity_parse(text, i, &geometry, &error), URN_DAMAGED);
    }
    text[length] = '\n';
    assert_int_equal(identity_parse(text, length + 1, &geometry, &error), URN_DAMAGED);
}

/* Sealed, and yet not what urn writes. */
#define GOLDEN_RESIZING                                                                            \
    "urn data directory\nformat: 2\nring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1\n"                  \
    "segment_size: 67108864\nsegments: 8\nnew_segment_size: 134217728\nnew_segments: 16\n"         \
    "new_begin_lsn: 536870912\n"

/* While it is resized it is of another format, which nobody takes for a whole directory's. */
static void test_identity_of_a_resize_is_pinned(void **context)
{
    (void)context;
    char text[IDENTITY_BYTES_MAX];
    char golden[IDENTITY_BYTES_MAX];
    struct wal_geometry geometry;
    struct identity_resizing found;
    struct urn_error error;
    struct identity_resizing resizing = {
        .from = golden_geometry, .to = golden_geometry, .begin_lsn = 536870912};
    resizing.to.segment_size_bytes = 134217728;
    resizing.to.segments = 16;
    const size_t length = identity_format_resizing(&resizing, text);
    assert_int_equal(length, seal(GOLDEN_RESIZING, golden));
    assert_memory_equal(text, golden, length);
    assert_memory_equal(text + strlen(GOLDEN_RESIZING), "crc32c: 162fe8bd\n", 17);
    assert_int_equal(identity_parse_resizing(text, length, &found, &error), URN_OK);
    assert_memory_equal(found.to.ring_uuid, golden_geometry.ring_uuid, WAL_UUID_BYTES);
    assert_int_equal(found.from.segment_size_bytes, 67108864);
    assert_int_equal(found.from.segments, 8);
    assert_int_equal(found.to.segment_size_bytes, 134217728);
    assert_int_equal(found.to.segments, 16);
    assert_int_equal(found.begin_lsn, 536870912);
    assert_int_equal(identity_parse(text, length, &geometry, &error), URN_FORMAT);
    for (size_t i = 0; i < length; i++) {
        text[i] = (char)(text[i] ^ (1 << i % 8));
        assert_int_equal(identity_parse_resizing(text, length, &found, &error), URN_DAMAGED);
        text[i] = (char)(text[i] ^ (1 << i % 8));
    }
}

static void test_identity_of_a_resize_is_strict(void **context)
{
    static const char head[] =
        "urn data directory\nformat: 2\nring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1\n";
    static const char *const wrong[] = {
        "segment_size: 65536\nsegments: 3\nnew_segment_size: 65536\nnew_segments: 3\n",
        "segment_size: 65536\nsegments: 3\nnew_segment_size: 65536\nnew_segments: 3\n"
        "new_begin_lsn: 4096\n",
        "segment_size: 65536\nsegments: 3\nnew_segment_size: 65536\nnew_segments: 2\n"
        "new_begin_lsn: 0\n",
        "segment_size: 65536\nsegments: 2\nnew_segment_size: 65536\nnew_segments: 3\n"
        "new_begin_lsn: 0\n",
        "segment_size: 65536\nsegments: 3\nnew_segment_size: 65537\nnew_segments: 3\n"
        "new_begin_lsn: 0\n",
        "segment_size: 65536\nsegments: 3\nnew_segment_size: 65536\nnew_segments: 3\n"
        "new_begin_lsn: 0\nmore: 1\n",
        "segment_size: 65536\nsegments: 3\nnew_segment_size: 65536\nnew_segments: 3\n"
        "new_begin_lsn: 9007199254806528\n",
    };
    (void)context;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char facts[IDENTITY_BYTES_MAX];
        char text[IDENTITY_BYTES_MAX];
        struct identity_resizing found;
        struct urn_error error;
        (void)snprintf(facts, sizeof facts, "%s%s", head, wrong[i]);
        const size_t length = seal(facts, text);
        assert_int_equal(identity_parse_resizing(text, length, &found, &error), URN_DAMAGED);
    }
}

static void test_identity_is_strict(void **context)
{
    (void)context;
#define HEAD "urn data directory\nformat: 1\n"
#define RING "ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a1\n"
    static const struct {
        const char *facts;
        enum urn_code code;
    } rows[] = {
        {HEAD RING "segment_size: 65536\nsegments: 3\n", URN_OK},
        {"urn data directory\nformat: 2\nanything\n", URN_FORMAT},
        {"urn data directory\nformat: 0\n", URN_FORMAT},
        {"urn data directory\nformat: 18446744073709551615\n", URN_FORMAT},
        {"urn data directory\nformat: 18446744073709551616\n", URN_DAMAGED},
        {"urn data directory\nformat: 01\n" RING "segment_size: 65536\nsegments: 3\n", URN_DAMAGED},
        {"urn data directory\nformat: \n", URN_DAMAGED},
        {"urn data directory\r\nformat: 1\r\n", URN_DAMAGED},
        {"Urn data directory\nformat: 2\n", URN_DAMAGED},
        {"", URN_DAMAGED},
        {HEAD, URN_DAMAGED},
        {HEAD RING "segments: 3\nsegment_size: 65536\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65536\nsegments: 3\n\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65536\nsegments: 3\nmore: 1\n", URN_DAMAGED},
        {HEAD RING "segment_size: 065536\nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: +65536\nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65536 \nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: 102400\nsegments: 3\n", URN_OK},
        {HEAD RING "segment_size: 102401\nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65535\nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: 32768\nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: 34359738368\nsegments: 3\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65536\nsegments: 2\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65536\nsegments: 4097\n", URN_DAMAGED},
        {HEAD RING "segment_size: 65536\nsegments: 4294967299\n", URN_DAMAGED},
        {HEAD "ring: 8F14E45F-CEEA-467F-9575-3A1C40B0D2A1\nsegment_size: 65536\nsegments: 3\n",
         URN_DAMAGED},
        {HEAD "ring: 8f14e45fceea467f95753a1c40b0d2a1\nsegment_size: 65536\nsegments: 3\n",
         URN_DAMAGED},
        {HEAD "ring: 8f14e45f-ceea-467f-9575-3a1c40b0d2a\nsegment_size: 65536\nsegments: 3\n",
         URN_DAMAGED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[IDENTITY_BYTES_MAX];
        struct wal_geometry geometry;
        struct urn_error error;
        size_t length = seal(rows[i].facts, text);
        if (identity_parse(text, length, &geometry, &error) != rows[i].code)
            fail_msg("row %zu", i);
    }
}

/* ---- what is not there, and what is in the way ----------------------------------------------- */

static void test_without_create_nothing_is_made(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    assert_refused(world, false, URN_NODATA, "start once with --create");
    assert_says("may not be mounted");
    make_dir(world); /* a mount point without its volume */
    assert_refused(world, false, URN_NODATA, "start once with --create");
    assert_says("may not be mounted");
    make_file(world, "LOCK", "", 0);
    assert_refused(world, false, URN_NODATA, "start once with --create");
    assert_says("may not be mounted");
    assert_int_equal(open_once(world, true), URN_OK);
    assert_int_equal(open_once(world, false), URN_OK);
    sim_world_free(world);
}

static void test_parent_must_exist(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct urn_engine_config config = test_config(true);
    bool created = false;
    uint64_t hash = hash_of(world);
    config.data_dir = "/no/data";
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CANTCREATE);
    assert_says("parent");
    config.create = false;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_NODATA);
    assert_int_equal(hash_of(world), hash);
    config.data_dir = "";
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CONFIG);
    make_dir(world);
    make_file(world, "a", "", 0);
    config.create = true;
    config.data_dir = DIR "/a";
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CANTCREATE);
    assert_says("is a file and no directory");
    config.data_dir = DIR "/nested//";
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_OK);
    assert_true(created);
    sim_world_free(world);
}

/* Every call of a creation, as it comes. */
struct trace {
    struct sim_event calls[512];
    uint32_t count;
};

static void trace_call(void *context, const struct sim_event *call)
{
    struct trace *trace = context;
    assert_true(trace->count < 512);
    trace->calls[trace->count++] = *call;
}

/* Position of the first such call whose name begins so; UINT32_MAX: none. */
static uint32_t first_call(const struct trace *trace, enum sim_call call, const char *prefix)
{
    for (uint32_t i = 0; i < trace->count; i++)
        if (trace->calls[i].call == call &&
            strncmp(trace->calls[i].name, prefix, strlen(prefix)) == 0)
            return i;
    return UINT32_MAX;
}

static void test_lock_comes_before_everything(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct trace *trace = calloc(1, sizeof *trace);
    assert_non_null(trace);
    sim_set_observer(world, trace_call, trace);
    assert_int_equal(open_once(world, true), URN_OK);
    sim_set_observer(world, NULL, NULL);
    uint32_t lock = first_call(trace, SIM_DIR_LOCK, "LOCK");
    assert_true(lock < first_call(trace, SIM_FILE_CREATE, ""));
    assert_true(lock < first_call(trace, SIM_FILE_OPEN, ""));
    assert_true(lock < first_call(trace, SIM_DIR_LIST, ""));
    assert_true(lock < first_call(trace, SIM_REMOVE, ""));
    assert_true(lock < first_call(trace, SIM_RENAME, ""));
    assert_true(first_call(trace, SIM_RENAME, "snapshot") < first_call(trace, SIM_RENAME, "IDENT"));
    assert_int_equal(first_call(trace, SIM_RENAME, "IDENT") + 2, /* its sync, then the checks */
                     first_call(trace, SIM_FILE_OPEN, "segment-"));
    free(trace);
    sim_world_free(world);
}

static void test_second_process_is_refused_and_makes_nothing(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct urn_os *other = sim_other_process(world);
    struct urn_engine_config config = test_config(true);
    struct os_dir *dir = NULL;
    struct os_file *lock = NULL;
    struct data_dir data_dir;
    bool created = false;
    /* the first process has come as far as the lock */
    make_dir(world);
    assert_int_equal(os_dir_open(sim_os(world), DIR, &dir), 0);
    assert_int_equal(os_dir_lock(dir, "LOCK", true, &lock), 0);
    uint64_t hash = hash_of(world);
    assert_int_equal(open_with(other, &config, &created), URN_INUSE);
    assert_says("another process (");
    assert_int_equal(hash_of(world), hash);
    config.create = false;
    assert_int_equal(open_with(other, &config, &created), URN_INUSE);
    assert_int_equal(hash_of(world), hash);
    os_file_close(lock);
    os_dir_close(dir);
    /* the first process has it open */
    config.create = true;
    assert_int_equal(data_dir_open(sim_os(world), &config, &data_dir, &test_error), URN_OK);
    hash = hash_of(world);
    assert_int_equal(open_with(other, &config, &created), URN_INUSE);
    assert_int_equal(hash_of(world), hash);
    data_dir_close(&data_dir);
    assert_int_equal(open_with(other, &config, &created), URN_OK);
    assert_false(created);
    assert_int_equal(sim_open_handles(world), 0);
    sim_world_free(world);
}

/* ---- what is made ---------------------------------------------------------------------------- */

static void assert_zero_segments(struct sim_world *world)
{
    static uint8_t bytes[SEGMENT_BYTES];
    for (uint32_t slot = 0; slot < SEGMENTS; slot++) {
        char path[DATA_DIR_NAME_MAX];
        uint64_t size_bytes = 0;
        snprintf(path, sizeof path, DIR "/segment-%04" PRIu32, slot);
        assert_true(sim_file_size(world, path, &size_bytes));
        assert_int_equal(size_bytes, SEGMENT_BYTES);
        assert_true(sim_file_bytes(world, path, 0, bytes, SEGMENT_BYTES));
        assert_true(bytes_are_zero(bytes, SEGMENT_BYTES));
    }
}

static void assert_first_state(const struct data_dir *data_dir)
{
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    struct state state;
    struct wal_geometry geometry;
    uint8_t chain[WAL_CHAIN_BYTES];
    enum urn_code code = snapshot_file_load(data_dir->dir, (struct snapshot_name){0, 0}, &bounds,
                                            &state, &geometry, &test_error);
    if (code != URN_OK)
        fail_msg("%s", test_error.text);
    assert_memory_equal(geometry.ring_uuid, data_dir->geometry.ring_uuid, WAL_UUID_BYTES);
    assert_int_equal(geometry.segment_size_bytes, SEGMENT_BYTES);
    assert_int_equal(geometry.segments, SEGMENTS);
    crypto_generichash(chain, sizeof chain, geometry.ring_uuid, WAL_UUID_BYTES, NULL, 0);
    assert_memory_equal(state.tail.chain, chain, WAL_CHAIN_BYTES);
    assert_int_equal(state.tail.lsn, 0);
    assert_int_equal(state.tail.epoch, 0);
    assert_int_equal(state.next_request_id, 1);
    assert_int_equal(state.reserved_request_id, 0);
    assert_int_equal(state.engine_time_us, 0);
    assert_true(state.wall_time_us > 0);
    assert_int_equal(state.pool_count, 2);
    struct urn_pool *pool = state_find_pool(&state, "main", 4);
    assert_non_null(pool);
    assert_int_equal(pool_item_count(pool), 2);
    assert_int_equal(pool_odds_version(pool), 1);
    assert_true(pool_is_open(pool));
    struct urn_item item;
    pool_item(pool, 0, &item);
    assert_int_equal(item.quantity, 100);
    assert_int_equal(item.probability, 10);
    assert_int_equal(item.drawn, 0);
    state_free(&state);
}

/* A complete directory, by whoever made it: everything there and as it should be at the beginning.
 */
static void assert_complete(struct sim_world *world)
{
    struct urn_engine_config config = test_config(false);
    struct data_dir data_dir;
    if (data_dir_open(sim_os(world), &config, &data_dir, &test_error) != URN_OK)
        fail_msg("%s", test_error.text);
    assert_false(data_dir.created);
    assert_first_state(&data_dir);
    assert_zero_segments(world);
    data_dir_close(&data_dir);
    assert_int_equal(sim_open_handles(world), 0);
}

static void test_creation_makes_everything(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct urn_engine_config config = test_config(true);
    struct data_dir data_dir;
    assert_int_equal(data_dir_open(sim_os(world), &config, &data_dir, &test_error), URN_OK);
    assert_true(data_dir.created);
    assert_string_equal(data_dir.path, DIR);
    assert_int_equal(data_dir.geometry.ring_uuid[6] >> 4, 4);   /* a v4 UUID ... */
    assert_int_equal(data_dir.geometry.ring_uuid[8] >> 6, 0x2); /* ... of RFC 4122's variant */
    assert_int_equal(data_dir.geometry.segment_size_bytes, SEGMENT_BYTES);
    assert_int_equal(data_dir.geometry.segments, SEGMENTS);
    struct wal_geometry made = data_dir.geometry;
    data_dir_close(&data_dir);
    data_dir_close(&data_dir); /* of no consequence */
    assert_complete(world);
    crash_machine(world);
    assert_complete(world);
    config.create = true;
    assert_int_equal(data_dir_open(sim_os(world), &config, &data_dir, &test_error), URN_OK);
    assert_false(data_dir.created);
    assert_memory_equal(data_dir.geometry.ring_uuid, made.ring_uuid, WAL_UUID_BYTES);
    data_dir_close(&data_dir);
    sim_world_free(world);
}

static void test_two_creations_make_two_rings(void **context)
{
    (void)context;
    struct data_dir data_dirs[2];
    struct sim_world *worlds[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct urn_engine_config config = test_config(true);
        worlds[i] = sim_world_make(i);
        assert_int_equal(data_dir_open(sim_os(worlds[i]), &config, &data_dirs[i], &test_error),
                         URN_OK);
    }
    assert_memory_not_equal(data_dirs[0].geometry.ring_uuid, data_dirs[1].geometry.ring_uuid,
                            WAL_UUID_BYTES);
    for (uint32_t i = 0; i < 2; i++) {
        data_dir_close(&data_dirs[i]);
        sim_world_free(worlds[i]);
    }
}

/* The cache is dropped of every segment after its sync, the trap of the large folios. */
static void test_segments_are_allocated_written_synced_dropped(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct trace *trace = calloc(1, sizeof *trace);
    assert_non_null(trace);
    sim_set_observer(world, trace_call, trace);
    assert_int_equal(open_once(world, true), URN_OK);
    sim_set_observer(world, NULL, NULL);
    for (uint32_t slot = 0; slot < SEGMENTS; slot++) {
        char name[DATA_DIR_NAME_MAX];
        data_dir_segment_name(name, slot);
        uint32_t create = first_call(trace, SIM_FILE_CREATE, name);
        uint32_t allocate = first_call(trace, SIM_FILE_ALLOCATE, name);
        uint32_t write = first_call(trace, SIM_FILE_WRITE, name);
        uint32_t sync = first_call(trace, SIM_FILE_SYNC, name);
        uint32_t drop = first_call(trace, SIM_FILE_DROP_CACHE, name);
        assert_true(create < allocate && allocate < write && write < sync && sync < drop);
        assert_true(drop < UINT32_MAX);
    }
    free(trace);
    sim_world_free(world);
}

static void test_pools_that_cannot_be_made_are_refused(void **context)
{
    (void)context;
    static const struct urn_item_spec twice[] = {{"a", 1, 1, 1}, {"a", 1, 1, 1}};
    static const struct urn_pool_spec pools[] = {
        {"main", 4, 2, test_items},
        {"other", 5, 2, twice},
    };
    struct sim_world *world = sim_world_make(1);
    struct urn_engine_config config = test_config(true);
    bool created = false;
    config.pools = pools;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CONFIG);
    assert_says("pools[1]: catalog[1]: ");
    assert_false(sim_file_exists(world, DIR "/segment-0000"));
    config.pools = test_pools;
    config.max_items = 1;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CONFIG);
    assert_says("limits.max_items");
    config.max_items = 2;
    config.max_pools = 1;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CONFIG);
    assert_says("limits.max_pools");
    config.max_pools = 2;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_OK);
    sim_world_free(world);
}

/* ---- a directory that exists ----------------------------------------------------------------- */

static void test_lost_lock_is_made_again(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    assert_true(sim_lose_file(world, DIR "/LOCK"));
    assert_complete(world);
    assert_true(sim_file_exists(world, DIR "/LOCK"));
    sim_world_free(world);
}

static void test_other_geometry_is_a_configuration_error(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    struct urn_engine_config config = test_config(true);
    bool created = false;
    uint64_t hash = hash_of(world);
    config.segment_size_bytes = 1 << 20;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CONFIG);
    assert_says("wal.segment_size: 1MiB and wal.segments: 3 are configured");
    assert_says("wal.segment_size: 64KiB and wal.segments: 3: configure these, or");
    config = test_config(false);
    config.segments = 4;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_CONFIG);
    assert_says("wal.segments: 4 are configured");
    assert_int_equal(hash_of(world), hash);
    sim_world_free(world);
}

static void replace_identity(struct sim_world *world, const char *text, size_t length)
{
    assert_true(sim_lose_file(world, DIR "/IDENTITY"));
    make_file(world, "IDENTITY", text, length);
}

static void test_identity_of_another_format_is_refused(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    char text[IDENTITY_BYTES_MAX];
    size_t length = seal("urn data directory\nformat: 2\n", text);
    replace_identity(world, text, length);
    assert_refused(world, false, URN_FORMAT, "format 2");
    assert_refused(world, true, URN_FORMAT, "format 2");
    sim_world_free(world);
}

static void test_damaged_identity_is_refused(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    static const char long_text[IDENTITY_BYTES_MAX + 1] = "urn data directory\n";
    struct sim_world *unreadable = sim_world_clone(world, 2);
    assert_true(sim_set_unreadable(unreadable, DIR "/IDENTITY", 0));
    assert_refused(unreadable, true, URN_IO, "IDENTITY");
    sim_world_free(unreadable);
    assert_true(sim_flip_bit(world, DIR "/IDENTITY", 50, 0));
    assert_refused(world, false, URN_DAMAGED, "IDENTITY");
    assert_refused(world, true, URN_DAMAGED, "IDENTITY");
    replace_identity(world, "", 0);
    assert_refused(world, true, URN_DAMAGED, "IDENTITY");
    replace_identity(world, long_text, sizeof long_text);
    assert_refused(world, true, URN_DAMAGED, "IDENTITY");
    sim_world_free(world);
}

static void test_missing_files_are_named(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    assert_true(sim_lose_file(world, DIR "/segment-0001"));
    assert_refused(world, true, URN_DAMAGED, "segment-0001 is missing");
    assert_says("urn-wal verify");
    assert_true(sim_truncate(world, DIR "/segment-0002", 4096));
    assert_refused(world, false, URN_DAMAGED,
                   "segment-0001 is missing, segment-0002 has 4096 bytes instead of 65536;");
    sim_world_free(world);

    world = make_created(1);
    assert_true(sim_lose_file(world, SNAPSHOT_0));
    assert_refused(world, true, URN_DAMAGED, "there is no snapshot");
    sim_world_free(world);
}

static void test_many_missing_files_are_counted(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct urn_engine_config config = test_config(true);
    bool created = false;
    config.segments = 64;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_OK);
    for (uint32_t slot = 0; slot < 64; slot++) {
        char path[DATA_DIR_NAME_MAX];
        snprintf(path, sizeof path, DIR "/segment-%04" PRIu32, slot);
        assert_true(sim_lose_file(world, path));
    }
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_DAMAGED);
    assert_says("segment-0000 is missing, segment-0001 is missing");
    assert_says(" more; `urn-wal verify");
    sim_world_free(world);
}

static void test_temporary_files_are_removed(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    for (uint32_t i = 0; i < 40; i++) { /* more than one pass takes */
        char name[DATA_DIR_NAME_MAX];
        snprintf(name, sizeof name, "snapshot-%016" PRIx32 "-0000.tmp", i);
        make_file(world, name, "x", 1);
    }
    make_file(world, "IDENTITY.tmp", "x", 1);
    make_file(world, "notes.tmp", "x", 1); /* none of ours */
    assert_complete(world);
    assert_false(sim_file_exists(world, DIR "/IDENTITY.tmp"));
    assert_false(sim_file_exists(world, DIR "/snapshot-0000000000000000-0000.tmp"));
    assert_false(sim_file_exists(world, DIR "/snapshot-0000000000000027-0000.tmp"));
    assert_true(sim_file_exists(world, DIR "/notes.tmp"));
    sim_world_free(world);
}

static void test_readonly_makes_and_locks_nothing(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct urn_engine_config config = test_config(true);
    struct data_dir server;
    struct data_dir looker;
    assert_int_equal(data_dir_open_readonly(sim_os(world), DIR, &looker, &test_error), URN_NODATA);
    make_dir(world);
    assert_int_equal(data_dir_open_readonly(sim_os(world), DIR, &looker, &test_error), URN_NODATA);
    assert_null(looker.dir);
    assert_int_equal(data_dir_open(sim_os(world), &config, &server, &test_error), URN_OK);
    uint64_t hash = hash_of(world);
    assert_int_equal(data_dir_open_readonly(sim_os(world), DIR, &looker, &test_error), URN_OK);
    assert_memory_equal(looker.geometry.ring_uuid, server.geometry.ring_uuid, WAL_UUID_BYTES);
    assert_int_equal(looker.geometry.segments, SEGMENTS);
    assert_null(looker.lock);
    assert_int_equal(data_dir_check_files(&looker, &test_error), URN_OK);
    data_dir_close(&looker);
    data_dir_close(&server);
    assert_true(sim_lose_file(world, DIR "/LOCK"));
    assert_true(sim_truncate(world, DIR "/segment-0000", 8192));
    assert_int_not_equal(hash_of(world), hash);
    hash = hash_of(world);
    assert_int_equal(data_dir_open_readonly(sim_os(world), DIR, &looker, &test_error), URN_OK);
    assert_int_equal(data_dir_check_files(&looker, &test_error), URN_DAMAGED);
    data_dir_close(&looker);
    assert_int_equal(hash_of(world), hash);
    assert_int_equal(sim_open_handles(world), 0);
    sim_world_free(world);
}

/* ---- copies -------------------------------------------------------------------------------------- */

#define COPY "/copy"

struct copying {
    struct sim_world *world;
    struct os_dir *to;
};

static void copy_file(void *context, const char *name)
{
    const struct copying *copying = context;
    char path[2 * DATA_DIR_NAME_MAX];
    uint64_t size_bytes;
    size_t wrote;
    struct os_file *file;
    snprintf(path, sizeof path, DIR "/%s", name);
    assert_true(sim_file_size(copying->world, path, &size_bytes));
    uint8_t *bytes = malloc(size_bytes + 1);
    assert_non_null(bytes);
    assert_true(sim_file_bytes(copying->world, path, 0, bytes, size_bytes));
    assert_int_equal(os_file_open(copying->to, name, OS_CREATE, &file), 0);
    assert_int_equal(os_file_write(file, bytes, size_bytes, 0, &wrote), 0);
    assert_int_equal(wrote, size_bytes);
    os_file_close(file);
    free(bytes);
}

/* As cp leaves it: in the cache. */
static void copy_directory(struct sim_world *world)
{
    struct copying copying = {.world = world};
    struct os_dir *root;
    assert_int_equal(os_dir_make(sim_os(world), COPY), 0);
    assert_int_equal(os_dir_open(sim_os(world), "/", &root), 0);
    assert_int_equal(os_dir_sync(root), 0);
    os_dir_close(root);
    assert_int_equal(os_dir_open(sim_os(world), COPY, &copying.to), 0);
    (void)sim_list(world, DIR, copy_file, &copying);
    os_dir_close(copying.to);
}

/* A backup that was put back a moment ago: what is built on it must not outlive it. */
static void test_a_copy_is_made_durable_before_it_is_trusted(void **context)
{
    (void)context;
    struct urn_engine_config config = test_config(false);
    config.data_dir = COPY;
    bool created = false;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_world *world = make_created(seed);
        copy_directory(world);
        assert_true(sim_unsynced(world) > 0);
        assert_int_equal(open_with(sim_os(world), &config, &created), URN_OK);
        crash_machine(world);
        assert_int_equal(open_with(sim_os(world), &config, &created), URN_OK);
        struct data_dir data_dir;
        assert_int_equal(data_dir_open(sim_os(world), &config, &data_dir, &test_error), URN_OK);
        assert_first_state(&data_dir);
        data_dir_close(&data_dir);
        sim_world_free(world);
    }
}

static void test_a_file_that_cannot_be_synced_is_named(void **context)
{
    (void)context;
    uint32_t named = 0;
    for (uint64_t nth = 1; nth <= SEGMENTS + 2; nth++) { /* and IDENTITY and a snapshot */
        struct sim_world *world = make_created(1);
        sim_fail_at(world, SIM_FILE_SYNC, nth, EIO);
        assert_int_equal(open_once(world, false), URN_IO);
        assert_says("cannot sync " DIR "/");
        named += strstr(test_error.text, "segment-") != NULL;
        assert_int_equal(open_once(world, false), URN_OK);
        sim_world_free(world);
    }
    assert_int_equal(named, SEGMENTS);
}

/* ---- what is of worth ------------------------------------------------------------------------ */

static void assert_worth(struct sim_world *world, const char *words)
{
    assert_refused(world, true, URN_DAMAGED, words);
    assert_says("urn-wal verify");
    assert_refused(world, false, URN_DAMAGED, words);
}

static void test_each_kind_of_worth_is_refused(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1); /* all that C3 leaves: not of worth */
    assert_true(sim_lose_file(world, DIR "/IDENTITY"));
    assert_int_equal(open_once(world, true), URN_OK);

    /* a byte that is not zero, at either end of a segment */
    assert_true(sim_lose_file(world, DIR "/IDENTITY"));
    struct sim_world *first_byte = sim_world_clone(world, 2);
    assert_true(sim_flip_bit(first_byte, DIR "/segment-0000", 0, 7));
    assert_worth(first_byte, "segment-0000 is not all zeroes");
    sim_world_free(first_byte);
    struct sim_world *last_byte = sim_world_clone(world, 2);
    assert_true(sim_flip_bit(last_byte, DIR "/segment-0002", SEGMENT_BYTES - 1, 0));
    assert_worth(last_byte, "segment-0002 is not all zeroes");
    sim_world_free(last_byte);

    /* a snapshot above LSN 0, or a later one at it */
    struct sim_world *snapshot = sim_world_clone(world, 2);
    make_file(snapshot, "snapshot-0000000000001000-0000", "", 0);
    assert_worth(snapshot, "snapshot-0000000000001000-0000");
    sim_world_free(snapshot);
    snapshot = sim_world_clone(world, 2);
    make_file(snapshot, "snapshot-0000000000000000-0001", "", 0);
    assert_worth(snapshot, "snapshot-0000000000000000-0001");
    sim_world_free(snapshot);

    /* snapshot 0 damaged, or without all of its segments */
    snapshot = sim_world_clone(world, 2);
    assert_true(sim_flip_bit(snapshot, SNAPSHOT_0, 100, 0));
    assert_worth(snapshot, "snapshot 0 that does not verify");
    sim_world_free(snapshot);
    struct sim_world *missing = sim_world_clone(world, 2);
    assert_true(sim_lose_file(missing, DIR "/segment-0002"));
    assert_worth(missing, "snapshot 0 without segment-0002");
    sim_world_free(missing);

    /* a name that is not ours */
    struct sim_world *foreign = sim_world_clone(world, 2);
    make_file(foreign, "letters-from-home", "", 0);
    assert_worth(foreign, "letters-from-home");
    sim_world_free(foreign);

    struct sim_world *stranger = sim_world_make(2); /* gets not even a LOCK */
    make_dir(stranger);
    make_file(stranger, "letters-from-home", "", 0);
    assert_refused(stranger, true, URN_DAMAGED, "letters-from-home");
    assert_refused(stranger, false, URN_NODATA, "--create");
    sim_world_free(stranger);

    /* an unreadable sector: nobody knows */
    struct sim_world *unreadable = sim_world_clone(world, 2);
    assert_true(sim_set_unreadable(unreadable, DIR "/segment-0001", 4096));
    assert_refused(unreadable, true, URN_IO, "segment-0001");
    sim_world_free(unreadable);

    assert_int_equal(open_once(world, true), URN_OK); /* and without any of these, all is well */
    sim_world_free(world);
}

/* A creation begun with another ring: what it left is removed, whatever its sizes and number. */
static void test_leftovers_of_another_geometry_are_removed(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(1);
    struct urn_engine_config config = test_config(true);
    bool created = false;
    config.segments = 7;
    config.segment_size_bytes = 2 * SEGMENT_BYTES;
    assert_int_equal(open_with(sim_os(world), &config, &created), URN_OK);
    assert_true(sim_lose_file(world, DIR "/IDENTITY"));
    assert_int_equal(open_once(world, true), URN_OK);
    assert_false(sim_file_exists(world, DIR "/segment-0003"));
    assert_false(sim_file_exists(world, DIR "/segment-0006"));
    assert_complete(world);
    crash_machine(world);
    assert_complete(world);
    sim_world_free(world);
}

/* ---- no space, no right, no luck ------------------------------------------------------------- */

static void test_full_disk_can_be_begun_afresh(void **context)
{
    (void)context;
    for (uint64_t capacity = 0; capacity < 400u * 1024; capacity += 16u * 1024) {
        struct sim_world *world = sim_world_make(capacity);
        sim_set_capacity(world, capacity);
        enum urn_code code = open_once(world, true);
        if (code != URN_OK) {
            assert_int_equal(code, URN_CANTCREATE);
            assert_int_equal(test_error.system_errno, ENOSPC);
            assert_says("make room");
            assert_says("--create");
            bool ring_was_made = strstr(test_error.text, "snapshot-") != NULL ||
                                 strstr(test_error.text, "IDENTITY") != NULL;
            if (!ring_was_made) /* then it keeps nothing */
                assert_true(sim_used_bytes(world) <= 3 * OS_PAGE_BYTES);
            assert_int_equal(open_once(world, false), URN_NODATA);
            sim_set_capacity(world, UINT64_MAX);
            assert_int_equal(open_once(world, true), URN_OK);
        }
        crash_machine(world);
        assert_complete(world);
        sim_world_free(world);
    }
}

static void test_place_at_fault_is_said(void **context)
{
    (void)context;
    static const struct {
        enum sim_call call;
        int error;
        const char *words;
    } rows[] = {
        {SIM_DIR_MAKE, EACCES, "right to write"}, {SIM_DIR_MAKE, EROFS, "mount its file system"},
        {SIM_DIR_MAKE, ENOSPC, "make room"},      {SIM_DIR_LOCK, EACCES, "right to write"},
        {SIM_DIR_LOCK, EROFS, "mount"},           {SIM_FILE_CREATE, EACCES, "right to write"},
        {SIM_FILE_ALLOCATE, ENOSPC, "make room"}, {SIM_FILE_ALLOCATE, EDQUOT, "make room"},
        {SIM_FILE_WRITE, ENOSPC, "make room"},    {SIM_FILE_SYNC, ENOSPC, "make room"},
        {SIM_RENAME, ENOSPC, "make room"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sim_world *world = sim_world_make(i);
        sim_fail_at(world, rows[i].call, 1, rows[i].error);
        assert_int_equal(open_once(world, true), URN_CANTCREATE);
        assert_int_equal(test_error.system_errno, rows[i].error);
        assert_says(rows[i].words);
        assert_says(DIR);
        assert_int_equal(open_once(world, true), URN_OK);
        crash_machine(world);
        assert_complete(world);
        sim_world_free(world);
    }
}

/* A complete directory that cannot be written to is no failed creation. */
static void test_unwritable_data_is_no_failed_creation(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    sim_fail_at(world, SIM_DIR_LOCK, 1, EACCES);
    assert_refused(world, true, URN_IO, "LOCK");
    sim_fail_at(world, SIM_DIR_OPEN, 1, EACCES);
    assert_refused(world, true, URN_IO, DIR);
    sim_world_free(world);
}

/* What the nth call is. */
struct nth_call {
    uint64_t left;
    enum sim_call call;
};

static void note_nth_call(void *context, const struct sim_event *call)
{
    struct nth_call *nth = context;
    if (nth->left > 0 && --nth->left == 0)
        nth->call = call->call;
}

/* Fails the nth call of a creation, for every n, until none fires. What is left can be begun
 * afresh. */
static void test_every_call_of_creation_may_fail(void **context)
{
    (void)context;
    uint32_t repeated = 0;
    for (uint64_t luck = 0; luck < 3; luck++) {
        for (uint64_t n = 1;; n++) {
            struct sim_world *world = sim_world_make(1000 * luck + n);
            struct nth_call struck = {.left = n};
            sim_set_observer(world, note_nth_call, &struck);
            sim_fail_at(world, SIM_ANY_CALL, n, 0);
            enum urn_code code = open_once(world, true);
            bool fired = sim_last_event(world)->number != 0;
            assert_int_equal(sim_open_handles(world), 0);
            sim_restart(world); /* what is still armed goes */
            if (code != URN_OK) {
                assert_true(fired);
                assert_true(code == URN_IO || code == URN_CANTCREATE);
                if (struck.call == SIM_DIR_SYNC) { /* the file system has stopped until a restart */
                    assert_int_not_equal(open_once(world, true), URN_OK);
                    crash_machine(world);
                }
                if (open_once(world, true) != URN_OK)
                    fail_msg("after call %" PRIu64 ": %s", n, test_error.text);
                repeated++;
            }
            assert_complete(world);
            crash_machine(world);
            assert_complete(world);
            sim_world_free(world);
            if (!fired)
                break;
            assert_true(n < 1000);
        }
    }
    assert_true(repeated > 100);
}

static void test_short_reads_and_writes_are_gone_on_with(void **context)
{
    (void)context;
    struct sim_world *world = sim_world_make(3);
    sim_set_fault_rates(world, 0, 2);
    assert_int_equal(open_once(world, true), URN_OK);
    crash_machine(world);
    sim_set_fault_rates(world, 0, 2);
    assert_complete(world);
    sim_world_free(world);
}

/* ---- crashes --------------------------------------------------------------------------------- */

/* Opens without create on a copy of the world: complete, or nothing there and nothing made. */
static bool look_without_create(struct sim_world *world)
{
    struct sim_world *copy = sim_world_clone(world, 1);
    bool complete = sim_file_exists(copy, DIR "/IDENTITY");
    if (complete)
        assert_complete(copy);
    else
        assert_refused(copy, false, URN_NODATA, "start once with --create");
    sim_world_free(copy);
    return complete;
}

/* Arms a crash at the nth call of an opening with create. False: it came too late to fire. */
static bool crash_creation(struct sim_world *world, uint64_t n, enum sim_crash crash,
                           enum sim_moment moment)
{
    sim_crash_at(world, n, crash, moment);
    enum urn_code code = open_once(world, true);
    bool fired = sim_crashed(world) != SIM_NO_CRASH;
    if (!fired)
        assert_int_equal(code, URN_OK);
    assert_int_equal(sim_open_handles(world), 0);
    sim_restart(world);
    return fired;
}

/* Once creation has answered that it is done, no crash undoes it. */
static void finish_and_lose_power(struct sim_world *world)
{
    if (open_once(world, true) != URN_OK)
        fail_msg("%s", test_error.text);
    assert_complete(world);
    crash_machine(world);
    assert_complete(world);
}

static void test_creation_crashes_at_every_call(void **context)
{
    (void)context;
    static const enum sim_crash crashes[] = {SIM_CRASH_PROCESS, SIM_CRASH_MACHINE};
    uint32_t complete = 0;
    uint32_t unfinished = 0;
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        for (uint64_t luck = 0; luck < 24; luck++) {
            struct sim_world *world = sim_world_make(100 * n + luck);
            fired = crash_creation(world, n, crashes[luck % 2],
                                   luck / 2 % 2 == 0 ? SIM_CRASH_BEFORE : SIM_CRASH_AMID);
            if (look_without_create(world))
                complete++;
            else
                unfinished++;
            finish_and_lose_power(world);
            sim_world_free(world);
        }
    }
    assert_true(complete > 0 && unfinished > 0);
}

/* The process dies at one call, then the machine before the next start has synced anything. */
static void test_process_then_machine_crash(void **context)
{
    (void)context;
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        for (uint64_t luck = 0; luck < 8; luck++) {
            struct sim_world *world = sim_world_make(100 * n + luck);
            fired = crash_creation(world, n, SIM_CRASH_PROCESS, SIM_CRASH_BEFORE);
            crash_machine(world);
            look_without_create(world);
            finish_and_lose_power(world);
            sim_world_free(world);
        }
    }
}

/* A process that died after IDENTITY was renamed and before its directory was synced leaves a
 * directory that looks complete: whoever opens it must make it so, with --create and without. */
static void test_opening_makes_the_names_durable(void **context)
{
    (void)context;
    uint32_t visited = 0;
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        for (uint64_t luck = 0; luck < 8; luck++) {
            struct sim_world *world = sim_world_make(100 * n + luck);
            fired = crash_creation(world, n, SIM_CRASH_PROCESS, SIM_CRASH_BEFORE);
            if (sim_file_exists(world, DIR "/IDENTITY")) {
                assert_int_equal(open_once(world, luck % 2 == 0), URN_OK);
                crash_machine(world);
                assert_complete(world);
                visited++;
            }
            sim_world_free(world);
        }
    }
    assert_true(visited > 8);
}

/* ---- repair ---------------------------------------------------------------------------------- */

static void test_a_begun_repair_is_not_passed(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    make_file(world, "REPAIR", "whatever", 8);
    make_file(world, "IDENTITY.tmp", "not even this is removed", 24);
    assert_refused(world, false, URN_DAMAGED, "a repair of /data has begun and has not ended");
    assert_refused(world, true, URN_DAMAGED, "`urn-wal repair /data` shows how to finish it");
    assert_true(sim_lose_file(world, DIR "/REPAIR"));
    assert_int_equal(open_once(world, false), URN_OK);
    sim_world_free(world);
}

static void test_what_a_repair_keeps_is_left_alone(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    assert_int_equal(os_dir_make(sim_os(world), DIR "/lost+found-20261122T051429Z"), 0);
    make_file(world, "REPAIR.tmp", "unfinished", 10);
    assert_int_equal(open_once(world, false), URN_OK);
    assert_int_equal(open_once(world, true), URN_OK);
    struct os_dir *kept = NULL;
    assert_int_equal(os_dir_open(sim_os(world), DIR "/lost+found-20261122T051429Z", &kept), 0);
    os_dir_close(kept);
    assert_false(sim_file_exists(world, DIR "/REPAIR.tmp"));
    sim_world_free(world);
}

static void test_opening_to_repair(void **context)
{
    (void)context;
    struct sim_world *world = make_created(1);
    struct data_dir data_dir;
    struct data_dir other;
    make_file(world, "REPAIR", "whatever", 8);
    make_file(world, "IDENTITY.tmp", "", 0);
    assert_true(sim_lose_file(world, DIR "/segment-0001"));
    assert_int_equal(data_dir_open_to_repair(sim_os(world), DIR, &data_dir, &test_error), URN_OK);
    assert_int_equal(data_dir.geometry.segments, SEGMENTS);
    assert_true(sim_file_exists(world, DIR "/IDENTITY.tmp"));
    assert_int_equal(data_dir_open_to_repair(sim_other_process(world), DIR, &other, &test_error),
                     URN_INUSE);
    assert_null(other.dir);
    crash_machine(world); /* what it reads is what stays */
    data_dir_close(&data_dir);
    assert_true(sim_file_exists(world, DIR "/REPAIR"));
    assert_true(sim_lose_file(world, DIR "/IDENTITY"));
    assert_int_equal(data_dir_open_to_repair(sim_os(world), DIR, &data_dir, &test_error),
                     URN_NODATA);
    sim_world_free(world);
}

/* A creation that crashes, one that begins afresh and crashes too, at every pair of calls in turn.
 */
static void test_creation_crashes_twice(void **context)
{
    (void)context;
    uint64_t calls = 0;
    struct sim_world *dry = sim_world_make(1);
    assert_int_equal(open_once(dry, true), URN_OK);
    calls = sim_calls(dry);
    sim_world_free(dry);
    for (uint64_t first = 1; first <= calls; first++) {
        for (uint64_t second = 1 + first % 2; second <= calls + 16; second += 2) {
            uint64_t seed = 1000 * first + second;
            struct sim_world *world = sim_world_make(seed);
            crash_creation(world, first, seed / 2 % 2 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE,
                           SIM_CRASH_AMID);
            crash_creation(world, second, seed % 3 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE,
                           SIM_CRASH_AMID);
            finish_and_lose_power(world);
            sim_world_free(world);
        }
    }
}

/* Full directories too are begun afresh under crashes: all that C3 leaves, then a crash at every
 * call of its removal and of the new creation. */
static void test_beginning_afresh_crashes_at_every_call(void **context)
{
    (void)context;
    struct sim_world *left = make_created(1);
    struct os_dir *dir = NULL;
    assert_int_equal(os_dir_open(sim_os(left), DIR, &dir), 0);
    assert_int_equal(os_remove(dir, "IDENTITY"), 0);
    assert_int_equal(os_dir_sync(dir), 0);
    os_dir_close(dir);
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        for (uint64_t luck = 0; luck < 16; luck++) {
            struct sim_world *world = sim_world_clone(left, 100 * n + luck);
            fired = crash_creation(world, n, luck % 4 == 0 ? SIM_CRASH_PROCESS : SIM_CRASH_MACHINE,
                                   SIM_CRASH_AMID);
            look_without_create(world);
            finish_and_lose_power(world);
            sim_world_free(world);
        }
    }
    sim_world_free(left);
}

/* A call fails and then the power: what the failed creation has tidied away must not have been what
 * a name that comes back relies on. */
static void fail_then_crash_machine(enum sim_call call, uint64_t lucks)
{
    bool fired = true;
    for (uint64_t n = 1; fired; n++) {
        for (uint64_t luck = 0; luck < lucks; luck++) {
            struct sim_world *world = sim_world_make(1000 * n + luck);
            sim_fail_at(world, call, n, 0);
            (void)open_once(world, true);
            fired = sim_last_event(world)->number != 0;
            crash_machine(world);
            finish_and_lose_power(world);
            sim_world_free(world);
        }
    }
}

static void test_failed_call_then_machine_crash(void **context)
{
    (void)context;
    fail_then_crash_machine(SIM_ANY_CALL, 4);
    fail_then_crash_machine(SIM_DIR_SYNC, 150); /* few calls, and many outcomes of each */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_are_made),
        cmocka_unit_test(test_names_are_told_apart),
        cmocka_unit_test(test_identity_is_pinned),
        cmocka_unit_test(test_identity_refuses_every_change),
        cmocka_unit_test(test_identity_is_strict),
        cmocka_unit_test(test_identity_of_a_resize_is_pinned),
        cmocka_unit_test(test_identity_of_a_resize_is_strict),
        cmocka_unit_test(test_without_create_nothing_is_made),
        cmocka_unit_test(test_parent_must_exist),
        cmocka_unit_test(test_lock_comes_before_everything),
        cmocka_unit_test(test_second_process_is_refused_and_makes_nothing),
        cmocka_unit_test(test_creation_makes_everything),
        cmocka_unit_test(test_two_creations_make_two_rings),
        cmocka_unit_test(test_segments_are_allocated_written_synced_dropped),
        cmocka_unit_test(test_pools_that_cannot_be_made_are_refused),
        cmocka_unit_test(test_lost_lock_is_made_again),
        cmocka_unit_test(test_other_geometry_is_a_configuration_error),
        cmocka_unit_test(test_identity_of_another_format_is_refused),
        cmocka_unit_test(test_damaged_identity_is_refused),
        cmocka_unit_test(test_missing_files_are_named),
        cmocka_unit_test(test_many_missing_files_are_counted),
        cmocka_unit_test(test_temporary_files_are_removed),
        cmocka_unit_test(test_a_copy_is_made_durable_before_it_is_trusted),
        cmocka_unit_test(test_a_file_that_cannot_be_synced_is_named),
        cmocka_unit_test(test_readonly_makes_and_locks_nothing),
        cmocka_unit_test(test_each_kind_of_worth_is_refused),
        cmocka_unit_test(test_leftovers_of_another_geometry_are_removed),
        cmocka_unit_test(test_full_disk_can_be_begun_afresh),
        cmocka_unit_test(test_place_at_fault_is_said),
        cmocka_unit_test(test_unwritable_data_is_no_failed_creation),
        cmocka_unit_test(test_every_call_of_creation_may_fail),
        cmocka_unit_test(test_short_reads_and_writes_are_gone_on_with),
        cmocka_unit_test(test_creation_crashes_at_every_call),
        cmocka_unit_test(test_process_then_machine_crash),
        cmocka_unit_test(test_opening_makes_the_names_durable),
        cmocka_unit_test(test_a_begun_repair_is_not_passed),
        cmocka_unit_test(test_what_a_repair_keeps_is_left_alone),
        cmocka_unit_test(test_opening_to_repair),
        cmocka_unit_test(test_creation_crashes_twice),
        cmocka_unit_test(test_beginning_afresh_crashes_at_every_call),
        cmocka_unit_test(test_failed_call_then_machine_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
