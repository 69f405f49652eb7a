/* damage.c: see damage.h. */
#include "tests/sim/damage.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/snapshot_file.h"
#include "tests/sim/verdict.h"

#define PATH_BYTES 256u

/* What a start must say. */
enum expected {
    EXPECT_NOTHING, /* the damage cannot be had here */
    EXPECT_REFUSAL, /* URN_DAMAGED */
    EXPECT_START,   /* with nothing missing */
    EXPECT_EITHER,  /* one of the two */
    EXPECT_PREFIX,  /* refused, or the log ends earlier, at a group's end */
};

static const char *const kind_text[DAMAGE_KINDS] = {
    [DAMAGE_FLIP_DURABLE] = "a bit flipped in the durable log",
    [DAMAGE_FLIP_HEADER] = "a bit flipped in a segment header",
    [DAMAGE_FLIP_GROUP] = "a bit flipped in a group's header",
    [DAMAGE_FLIP_TAIL] = "a bit flipped in the tail",
    [DAMAGE_FLIP_FREE] = "a bit flipped behind the end",
    [DAMAGE_UNREADABLE_LOG] = "a sector of the log unreadable",
    [DAMAGE_UNREADABLE] = "a sector unreadable",
    [DAMAGE_LOSE_SEGMENT] = "a segment lost",
    [DAMAGE_CUT_SEGMENT] = "a segment cut short",
    [DAMAGE_LOSE_IDENTITY] = "IDENTITY lost",
    [DAMAGE_FLIP_IDENTITY] = "a bit flipped in IDENTITY",
    [DAMAGE_SNAPSHOT] = "the newest snapshot damaged",
    [DAMAGE_STALE_SNAPSHOT] = "an older content under the newest snapshot's name",
    [DAMAGE_SECOND] = "the second newest snapshot damaged",
    [DAMAGE_BOTH] = "the two newest snapshots damaged",
    [DAMAGE_ALL_SNAPSHOTS] = "all snapshots damaged",
    [DAMAGE_FORGE_MEANING] = "a group forged that cannot be true",
    [DAMAGE_FORGE_EPOCH] = "a group forged in an earlier epoch",
    [DAMAGE_FORGE_SNAPSHOT] = "a snapshot's name beyond the end",
};

/* The files as they are before the damage. */
struct survey {
    struct wal_geometry geometry;
    struct snapshot_name snapshots[8]; /* newest first */
    uint32_t snapshot_count;
    uint64_t snapshot_lsn; /* loaded */
    uint64_t durable_lsn;  /* everything below is known to have been durable */
    uint64_t end_lsn;
    struct wal_group_header last_draws; /* the last group that holds draws; lsn 0: none */
    struct wal_group_header last;
};

static void path_of(const struct host *host, const char *name, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/%s", host->scenario->config.data_dir, name);
}

static uint64_t place_in_slot(const struct host *host, const struct wal_geometry *geometry,
                              uint64_t lsn, char path[PATH_BYTES])
{
    char name[DATA_DIR_NAME_MAX];
    data_dir_segment_name(name, wal_slot(geometry, lsn));
    path_of(host, name, path);
    return lsn % geometry->segment_size_bytes;
}

/* ---- the survey ------------------------------------------------------------------------------ */

static void survey_groups(const struct data_dir *data_dir, const struct wal_tail *from,
                          struct survey *survey)
{
    struct wal_reader *reader;
    struct urn_error error;
    CHECK(wal_reader_open(data_dir, from, &reader, &error) == URN_OK);
    struct wal_group_header header;
    const uint8_t *group;
    while (wal_reader_next(reader, &header, &group, &error) == WAL_STEP_GROUP) {
        survey->last = header;
        if (header.draws > 0)
            survey->last_draws = header;
    }
    wal_reader_close(reader);
}

/* Reads the world as the next start would. False: it is not one that starts (in creation, say). */
static bool make_survey(const struct host *host, struct sim_world *world, struct survey *survey)
{
    *survey = (struct survey){0};
    const struct urn_engine_config *config = &host->scenario->config;
    struct data_dir data_dir;
    struct urn_error error;
    if (data_dir_open_readonly(sim_os(world), config->data_dir, &data_dir, &error) != URN_OK)
        return false;
    struct state_bounds bounds = {config->max_pools, config->max_items};
    struct state state;
    struct recovery recovery;
    bool good = recovery_read(&data_dir, &bounds, NULL, &state, &recovery, &error) == URN_OK;
    if (good) {
        survey->geometry = data_dir.geometry;
        survey->snapshot_lsn = recovery.snapshot_lsn;
        survey->durable_lsn = recovery.durable_lsn;
        survey->end_lsn = state.tail.lsn;
        state_free(&state);
        struct snapshot_name *names;
        CHECK(snapshot_file_list(data_dir.dir, &names, &survey->snapshot_count, &error) == URN_OK);
        CHECK(survey->snapshot_count > 0 && survey->snapshot_count <= 8);
        memcpy(survey->snapshots, names, survey->snapshot_count * sizeof *names);
        free(names);
        struct wal_geometry geometry;
        CHECK(snapshot_file_load(data_dir.dir, survey->snapshots[0], &bounds, &state, &geometry,
                                 &error) == URN_OK);
        survey_groups(&data_dir, &state.tail, survey);
        state_free(&state);
    }
    data_dir_close(&data_dir);
    uint64_t protected_lsn = oracle_protected_lsn(host->oracle);
    if (good && survey->durable_lsn < protected_lsn)
        survey->durable_lsn = protected_lsn;
    return good;
}

/* ---- the damages ----------------------------------------------------------------------------- */

static enum expected flip_between(struct host *host, struct sim_world *world,
                                  const struct survey *survey, uint64_t begin_lsn, uint64_t end_lsn,
                                  enum expected expected)
{
    if (begin_lsn >= end_lsn)
        return EXPECT_NOTHING;
    char path[PATH_BYTES];
    uint64_t lsn = begin_lsn + sim_random_below(&host->luck, end_lsn - begin_lsn);
    uint64_t offset = place_in_slot(host, &survey->geometry, lsn, path);
    trace("flipped at LSN %" PRIu64, lsn);
    CHECK(sim_flip_bit(world, path, offset, (unsigned)sim_random_below(&host->luck, 8)));
    return expected;
}

static enum expected flip_header(struct host *host, struct sim_world *world,
                                 const struct survey *survey)
{
    if (survey->durable_lsn == 0)
        return EXPECT_NOTHING;
    uint64_t begin_lsn = wal_segment_begin(&survey->geometry, survey->durable_lsn - 1);
    if (begin_lsn < survey->snapshot_lsn)
        return EXPECT_NOTHING;
    return flip_between(host, world, survey, begin_lsn, begin_lsn + WAL_SEGMENT_HEADER_BYTES,
                        survey->durable_lsn >= begin_lsn + WAL_SEGMENT_HEADER_BYTES
                            ? EXPECT_REFUSAL
                            : EXPECT_EITHER);
}

static enum expected flip_group_header(struct host *host, struct sim_world *world,
                                       const struct survey *survey)
{
    uint64_t lsn = survey->last_draws.lsn;
    if (lsn < survey->snapshot_lsn || survey->last_draws.draws == 0)
        return EXPECT_NOTHING;
    bool durable = lsn + survey->last_draws.length_bytes <= survey->durable_lsn;
    return flip_between(host, world, survey, lsn, lsn + WAL_GROUP_HEADER_BYTES,
                        durable ? EXPECT_REFUSAL : EXPECT_PREFIX);
}

/* Behind the end of the log: nothing can be there but what was torn, or an earlier lap. */
static enum expected flip_free(struct host *host, struct sim_world *world,
                               const struct survey *survey)
{
    uint64_t segment_end =
        wal_segment_begin(&survey->geometry, survey->end_lsn) + survey->geometry.segment_size_bytes;
    return flip_between(host, world, survey, survey->end_lsn, segment_end, EXPECT_START);
}

static enum expected make_log_unreadable(struct host *host, struct sim_world *world,
                                         const struct survey *survey)
{
    uint64_t length = survey->end_lsn - survey->snapshot_lsn;
    if (length == 0)
        return EXPECT_NOTHING;
    char path[PATH_BYTES];
    uint64_t lsn = survey->snapshot_lsn + sim_random_below(&host->luck, length);
    uint64_t offset = place_in_slot(host, &survey->geometry, lsn, path);
    CHECK(sim_set_unreadable(world, path, offset));
    return EXPECT_REFUSAL;
}

static enum expected damage_segment(struct host *host, struct sim_world *world,
                                    const struct survey *survey, enum damage_kind kind)
{
    char name[DATA_DIR_NAME_MAX];
    char path[PATH_BYTES];
    uint64_t size = survey->geometry.segment_size_bytes;
    uint64_t offset = sim_random_below(&host->luck, size);
    data_dir_segment_name(name, (uint32_t)sim_random_below(&host->luck, survey->geometry.segments));
    path_of(host, name, path);
    if (kind == DAMAGE_LOSE_SEGMENT)
        CHECK(sim_lose_file(world, path));
    else if (kind == DAMAGE_CUT_SEGMENT)
        CHECK(sim_truncate(world, path, offset));
    else
        CHECK(sim_set_unreadable(world, path, offset));
    return EXPECT_REFUSAL;
}

static enum expected damage_identity(struct host *host, struct sim_world *world,
                                     enum damage_kind kind)
{
    char path[PATH_BYTES];
    uint64_t size = 0;
    path_of(host, DATA_DIR_IDENTITY, path);
    CHECK(sim_file_size(world, path, &size) && size > 0);
    if (kind == DAMAGE_LOSE_IDENTITY)
        CHECK(sim_lose_file(world, path));
    else if (sim_random_one_in(&host->luck, 4))
        CHECK(sim_truncate(world, path, sim_random_below(&host->luck, size)));
    else
        CHECK(sim_flip_bit(world, path, sim_random_below(&host->luck, size),
                           (unsigned)sim_random_below(&host->luck, 8)));
    return EXPECT_REFUSAL;
}

static void snapshot_path(const struct host *host, struct snapshot_name snapshot,
                          char path[PATH_BYTES])
{
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, snapshot.lsn, snapshot.serial);
    path_of(host, name, path);
}

/* Some sectors never came to the disk, one at least. */
static void tear(struct host *host, struct sim_world *world, const char *path, uint64_t size)
{
    static const uint8_t zeroes[OS_SECTOR_BYTES];
    const uint64_t sectors = size / OS_SECTOR_BYTES;
    /* The first sector holds what makes it a snapshot; the others may be zero as it is. */
    uint64_t sector = 0;
    do {
        CHECK(sim_overwrite(world, path, sector * OS_SECTOR_BYTES, zeroes, sizeof zeroes));
        sector += 1 + sim_random_below(&host->luck, 8);
    } while (sector < sectors && !sim_random_one_in(&host->luck, 6));
}

static void damage_one_snapshot(struct host *host, struct sim_world *world,
                                struct snapshot_name snapshot)
{
    char path[PATH_BYTES];
    uint64_t size = 0;
    snapshot_path(host, snapshot, path);
    CHECK(sim_file_size(world, path, &size) && size > 0);
    uint64_t offset = sim_random_below(&host->luck, size);
    switch (sim_random_below(&host->luck, 5)) {
    case 0:
        CHECK(sim_set_unreadable(world, path, offset));
        break;
    case 1:
        CHECK(sim_truncate(world, path, offset));
        break;
    case 2:
        CHECK(sim_lose_file(world, path));
        break;
    case 3:
        tear(host, world, path, size);
        break;
    default:
        CHECK(sim_flip_bit(world, path, offset, (unsigned)sim_random_below(&host->luck, 8)));
        break;
    }
}

static void copy_content(const struct host *host, struct sim_world *world,
                         struct snapshot_name from, struct snapshot_name to)
{
    char from_path[PATH_BYTES];
    char to_path[PATH_BYTES];
    uint64_t from_size = 0;
    uint64_t to_size = 0;
    snapshot_path(host, from, from_path);
    snapshot_path(host, to, to_path);
    CHECK(sim_file_size(world, from_path, &from_size) && sim_file_size(world, to_path, &to_size));
    CHECK(from_size <= to_size); /* nothing ever shrinks */
    uint8_t *bytes = malloc(from_size);
    CHECK(bytes != NULL);
    CHECK(sim_file_bytes(world, from_path, 0, bytes, from_size));
    CHECK(sim_overwrite(world, to_path, 0, bytes, from_size));
    CHECK(from_size == to_size || sim_truncate(world, to_path, from_size));
    free(bytes);
}

/* The one before the newest, and the log from it on, are kept until two newer ones count; so that one whole
 * snapshot of the two newest is enough, and only an older one's log may be gone. */
static enum expected damage_snapshots(struct host *host, struct sim_world *world,
                                      const struct survey *survey, enum damage_kind kind)
{
    const uint32_t count = survey->snapshot_count;
    const struct snapshot_name *names = survey->snapshots;
    if (kind == DAMAGE_ALL_SNAPSHOTS) {
        for (uint32_t i = 0; i < count; i++)
            damage_one_snapshot(host, world, names[i]);
        return EXPECT_REFUSAL;
    }
    if (count < 2)
        return EXPECT_NOTHING;
    switch (kind) {
    case DAMAGE_SNAPSHOT:
        damage_one_snapshot(host, world, names[0]);
        return EXPECT_START;
    case DAMAGE_SECOND:
        damage_one_snapshot(host, world, names[1]);
        return EXPECT_START;
    case DAMAGE_STALE_SNAPSHOT:
        copy_content(host, world, names[1], names[0]);
        return EXPECT_START;
    default:
        damage_one_snapshot(host, world, names[0]);
        damage_one_snapshot(host, world, names[1]);
        return count == 2 ? EXPECT_REFUSAL : EXPECT_EITHER;
    }
}

void damage_under_engine(struct host *host)
{
    CHECK(host->engine != NULL && !host_crashed(host));
    const struct snapshot_ledger *ledger = &host->engine->writer.snapshots.ledger;
    const struct snapshot_task *task = &host->engine->snapshot;
    /* One more counts, of which the writer does not know yet. */
    const bool is_outdated = atomic_load(&task->phase) != SNAPSHOT_RESTS && task->counts;
    if (ledger->count < 2 || is_outdated || host_has_damaged_snapshot(host))
        return;
    host->damaged = sim_random_one_in(&host->luck, 2) ? ledger->newest : ledger->older;
    host->is_damaged = true;
    trace("damaged under the engine: the snapshot at LSN %" PRIu64 ", serial %" PRIu32,
          host->damaged.lsn, host->damaged.serial);
    damage_one_snapshot(host, host->world, host->damaged);
    host->coverage->damages++;
}

/* Writes a group anew, whole by its bytes, with one thing changed. */
static enum expected forge_group(struct host *host, struct sim_world *world,
                                 const struct survey *survey, enum damage_kind kind)
{
    struct wal_group_header header =
        kind == DAMAGE_FORGE_MEANING ? survey->last_draws : survey->last;
    bool usable = kind == DAMAGE_FORGE_MEANING
                      ? header.draws > 0
                      : header.draws > 0 && header.epoch > 0 && header.lsn > survey->snapshot_lsn;
    if (!usable)
        return EXPECT_NOTHING;
    char path[PATH_BYTES];
    uint64_t offset = place_in_slot(host, &survey->geometry, header.lsn, path);
    uint8_t *bytes = malloc(header.length_bytes);
    CHECK(bytes != NULL);
    CHECK(sim_file_bytes(world, path, offset, bytes, header.length_bytes));
    if (kind == DAMAGE_FORGE_EPOCH)
        header.epoch--;
    else if (sim_random_one_in(&host->luck, 2))
        header.first_request_id += 7;
    else
        put_u32(bytes + WAL_GROUP_HEADER_BYTES + 8, 999); /* the first entry's pool */
    wal_group_seal(&header, bytes);
    CHECK(sim_overwrite(world, path, offset, bytes, header.length_bytes));
    free(bytes);
    return kind == DAMAGE_FORGE_EPOCH ? EXPECT_PREFIX : EXPECT_REFUSAL;
}

static enum expected forge_snapshot(struct host *host, struct sim_world *world,
                                    const struct survey *survey)
{
    struct os_dir *dir;
    struct os_file *file;
    size_t done;
    char name[DATA_DIR_NAME_MAX];
    sim_set_fault_rates(world, 0, 0);
    data_dir_snapshot_name(name, survey->end_lsn + 8 * (1 + sim_random_below(&host->luck, 1000)),
                           0);
    CHECK(os_dir_open(sim_os(world), host->scenario->config.data_dir, &dir) == 0);
    CHECK(os_file_open(dir, name, OS_CREATE, &file) == 0);
    CHECK(os_file_write(file, "not a snapshot", 14, 0, &done) == 0);
    os_file_close(file);
    os_dir_close(dir);
    return EXPECT_REFUSAL;
}

static enum expected inject(struct host *host, struct sim_world *world, const struct survey *survey,
                            enum damage_kind kind)
{
    switch (kind) {
    case DAMAGE_FLIP_DURABLE:
        return flip_between(host, world, survey, survey->snapshot_lsn, survey->durable_lsn,
                            EXPECT_REFUSAL);
    case DAMAGE_FLIP_HEADER:
        return flip_header(host, world, survey);
    case DAMAGE_FLIP_GROUP:
        return flip_group_header(host, world, survey);
    case DAMAGE_FLIP_TAIL:
        return flip_between(host, world, survey, survey->durable_lsn, survey->end_lsn,
                            EXPECT_PREFIX);
    case DAMAGE_FLIP_FREE:
        return flip_free(host, world, survey);
    case DAMAGE_UNREADABLE_LOG:
        return make_log_unreadable(host, world, survey);
    case DAMAGE_UNREADABLE:
    case DAMAGE_LOSE_SEGMENT:
    case DAMAGE_CUT_SEGMENT:
        return damage_segment(host, world, survey, kind);
    case DAMAGE_LOSE_IDENTITY:
    case DAMAGE_FLIP_IDENTITY:
        return damage_identity(host, world, kind);
    case DAMAGE_SNAPSHOT:
    case DAMAGE_STALE_SNAPSHOT:
    case DAMAGE_SECOND:
    case DAMAGE_BOTH:
    case DAMAGE_ALL_SNAPSHOTS:
        return damage_snapshots(host, world, survey, kind);
    case DAMAGE_FORGE_MEANING:
    case DAMAGE_FORGE_EPOCH:
        return forge_group(host, world, survey, kind);
    case DAMAGE_FORGE_SNAPSHOT:
        return forge_snapshot(host, world, survey);
    case DAMAGE_KINDS:
        break;
    }
    return EXPECT_NOTHING;
}

/* ---- the verdict ----------------------------------------------------------------------------- */

/* Where nothing in the ring proves that the log went on, the archive may: it then belongs to another history, as
 * far as a start can see. */
static bool archive_went_on(const struct urn_error *error, enum expected expected)
{
    return expected == EXPECT_PREFIX && error->code == URN_CONFIG &&
           strstr(error->text, "beyond the end of the log") != NULL;
}

static void check_refusal(const struct urn_error *error, enum damage_kind kind,
                          enum expected expected)
{
    PROMISE(error->code == URN_DAMAGED || archive_went_on(error, expected),
            "%s: refused with %s, expected DAMAGED: %s", kind_text[kind],
            urn_code_text(error->code), error->text);
    /* Without IDENTITY the tool has nothing to begin with. */
    PROMISE(kind == DAMAGE_FLIP_IDENTITY || strstr(error->text, "urn-wal") != NULL,
            "%s: the refusal names no tool: %s", kind_text[kind], error->text);
    PROMISE(strstr(error->text, "segment-") != NULL || strstr(error->text, "snapshot") != NULL ||
                strstr(error->text, "IDENTITY") != NULL || strstr(error->text, "LSN") != NULL,
            "%s: the refusal does not say where: %s", kind_text[kind], error->text);
}

static void start_on(struct host *host, struct sim_world *world, const struct survey *survey,
                     enum damage_kind kind, enum expected expected)
{
    struct urn_engine_config config = host_config(host, sim_os(world));
    struct urn_engine *engine;
    struct urn_start_report report;
    struct urn_error error = {0};
    uint64_t hash = host_hash(world, &config);
    enum urn_code code = engine_open_steps(&config, &engine, &report, &error);
    coverage_start(host->coverage, code, &report, &error);
    trace("%s: %s %s", kind_text[kind], urn_code_text(code), error.text);
    if (code != URN_OK) {
        host->coverage->refusals++;
        PROMISE(expected != EXPECT_START, "%s: refused although nothing is missing: %s",
                kind_text[kind], error.text);
        check_refusal(&error, kind, expected);
        PROMISE(host_hash(world, &config) == hash, "%s: a refusal changed files", kind_text[kind]);
        return;
    }
    PROMISE(expected != EXPECT_REFUSAL, "P5: %s was not noticed", kind_text[kind]);
    PROMISE(kind != DAMAGE_FORGE_EPOCH || report.end_lsn <= survey->last.lsn,
            "a group of an earlier epoch was accepted");
    struct oracle_finding finding = host->finding;
    finding.report = &report;
    finding.power_was_lost = true;
    if (report.end_lsn < finding.found_lsn)
        finding.found_lsn = report.end_lsn;
    sim_set_quiet(world, true);
    oracle_check_start(host->oracle, engine, &finding,
                       expected == EXPECT_PREFIX ? ORACLE_PREFIX : ORACLE_LOOK);
    engine_abandon(engine);
}

void damage_try_kind(struct host *host, enum damage_kind kind)
{
    CHECK(host->engine == NULL && !host_crashed(host));
    if (oracle_is_fresh(host->oracle) || host->is_damaged)
        return;
    /* Behind a power loss nothing in a cache hides what the disk has. */
    struct sim_world *world = sim_world_clone(host->world, sim_random_next(&host->luck));
    sim_crash_now(world, SIM_CRASH_MACHINE);
    sim_restart(world);
    struct survey survey;
    PROMISE(make_survey(host, world, &survey), "a power loss leaves a log that is refused");
    enum expected expected = inject(host, world, &survey, kind);
    if (expected != EXPECT_NOTHING) {
        host->coverage->damages++;
        start_on(host, world, &survey, kind, expected);
    }
    sim_world_free(world);
}

void damage_try(struct host *host)
{
    damage_try_kind(host, (enum damage_kind)sim_random_below(&host->luck, DAMAGE_KINDS));
}
