/* recovery.c: the start-up procedure, steps 3 to 6. See recovery.h for the procedure and the table.
 */
#include "engine/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "engine/snapshot_file.h"

/* What a person should do who sees a refusal. */
#define SHOW_MORE "; nothing was changed; `urn-wal verify %.100s` shows more"

/* ---- the table ----------------------------------------------------------------------------- */

enum { NO = 1, YES = 2, ANY = NO | YES };

static const struct {
    enum recovery_case which;
    uint8_t snapshot_loaded;
    uint8_t stops; /* bits: 1 << enum recovery_stop */
    uint8_t unreadable_elsewhere;
    uint8_t group_beyond;
    uint8_t snapshot_beyond;
    bool starts;
} table[] = {
#define STOP(which) (1u << RECOVERY_STOP_##which)
#define ANY_STOP    ((1u << RECOVERY_STOPS) - 1)
#define INVALID     (STOP(ZERO) | STOP(TORN) | STOP(STALE))
    {RECOVERY_NO_SNAPSHOT, NO, ANY_STOP, ANY, ANY, ANY, false},
    {RECOVERY_UNREADABLE, YES, STOP(UNREADABLE), ANY, ANY, ANY, false},
    {RECOVERY_MEANING, YES, STOP(MEANING), ANY, ANY, ANY, false},
    {RECOVERY_BLIND, YES, INVALID, YES, ANY, ANY, false},
    {RECOVERY_GROUP_BEYOND, YES, INVALID, NO, YES, ANY, false},
    {RECOVERY_SNAPSHOT_BEYOND, YES, INVALID, NO, NO, YES, false},
    {RECOVERY_CLEAN_END, YES, STOP(ZERO), NO, NO, NO, true},
    {RECOVERY_TORN_TAIL, YES, STOP(TORN), NO, NO, NO, true},
    {RECOVERY_STALE_TAIL, YES, STOP(STALE), NO, NO, NO, true},
};

#define TABLE_ROWS (sizeof table / sizeof table[0])
_Static_assert(TABLE_ROWS == RECOVERY_CASES_END - 1, "every case has exactly one row");

static bool allows(uint8_t column, bool fact)
{
    return (column & (fact ? YES : NO)) != 0;
}

enum recovery_case recovery_decide(const struct recovery_facts *facts, uint32_t *matches)
{
    CHECK((unsigned)facts->stop < RECOVERY_STOPS);
    uint32_t found = 0;
    enum recovery_case which = RECOVERY_NO_SNAPSHOT;
    for (size_t row = 0; row < TABLE_ROWS; row++) {
        if (allows(table[row].snapshot_loaded, facts->snapshot_loaded) &&
            (table[row].stops & 1u << facts->stop) != 0 &&
            allows(table[row].unreadable_elsewhere, facts->unreadable_elsewhere) &&
            allows(table[row].group_beyond, facts->group_beyond) &&
            allows(table[row].snapshot_beyond, facts->snapshot_beyond)) {
            found++;
            which = table[row].which;
        }
    }
    if (matches != NULL)
        *matches = found;
    CHECK(found == 1);
    return which;
}

bool recovery_case_starts(enum recovery_case which)
{
    CHECK(which >= 1 && which < RECOVERY_CASES_END);
    CHECK(table[which - 1].which == which);
    return table[which - 1].starts;
}

/* ---- step 3: the snapshot ------------------------------------------------------------------ */

/* One that belongs to another ring does not verify. */
static enum urn_code check_ring(const struct data_dir *data_dir,
                                const struct wal_geometry *geometry, struct urn_error *error)
{
    const struct wal_geometry *ours = &data_dir->geometry;
    if (memcmp(geometry->ring_uuid, ours->ring_uuid, WAL_UUID_BYTES) == 0 &&
        geometry->segment_size_bytes == ours->segment_size_bytes &&
        geometry->segments == ours->segments)
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0, "its content belongs to another ring");
}

static enum urn_code load_one(const struct data_dir *data_dir, struct snapshot_name name,
                              const struct state_bounds *bounds, struct state *state,
                              struct urn_error *error)
{
    struct wal_geometry geometry;
    enum urn_code code = snapshot_file_load(data_dir->dir, name, bounds, state, &geometry, error);
    if (code != URN_OK)
        return code;
    code = check_ring(data_dir, &geometry, error);
    if (code != URN_OK)
        state_free(state);
    return code;
}

/* The newest of the listed snapshots that verifies. A failure that says nothing about the file (no
 * memory, bounds too small, a format of another version) ends the start; damage passes on to the
 * one before. */
static enum urn_code load_newest(const struct data_dir *data_dir, const struct snapshot_name *names,
                                 uint32_t count, const struct state_bounds *bounds,
                                 struct state *state, struct recovery *recovery,
                                 struct urn_error *error)
{
    for (uint32_t i = 0; i < count; i++) {
        enum urn_code code = load_one(data_dir, names[i], bounds, state, error);
        if (code == URN_OK) {
            recovery->snapshot_lsn = names[i].lsn;
            recovery->snapshot_serial = names[i].serial;
            recovery->has_second_snapshot = i + 1 < count;
            if (recovery->has_second_snapshot)
                recovery->second_snapshot = names[i + 1];
            return URN_OK;
        }
        bool file_is_bad = code == URN_DAMAGED || (code == URN_IO && error->system_errno == EIO);
        if (code == URN_TOOBIG)
            error->code = URN_CONFIG;
        if (!file_is_bad)
            return error->code;
        recovery->snapshots_refused++;
    }
    return URN_DAMAGED;
}

/* ---- step 4: the walk and the evidence ----------------------------------------------------- */

static enum recovery_stop stop_of(enum wal_read_result why)
{
    switch (why) {
    case WAL_READ_ZERO:
        return RECOVERY_STOP_ZERO;
    case WAL_READ_PLACE:
    case WAL_READ_CHAIN:
    case WAL_READ_EPOCH:
        return RECOVERY_STOP_STALE;
    case WAL_READ_VERSION:
    case WAL_READ_SHAPE:
    case WAL_READ_FOREIGN:
    case WAL_READ_DURABLE:
        return RECOVERY_STOP_MEANING; /* sound by every byte: no torn write looks like this */
    case WAL_READ_LENGTH:
    case WAL_READ_CHECKSUM:
        return RECOVERY_STOP_TORN;
    case WAL_READ_OK:
    case WAL_READ_RESULTS:
        break;
    }
    CHECK(why == WAL_READ_ZERO); /* a walk stops for one of the reasons above */
    return RECOVERY_STOP_TORN;
}

/* Applies group after group. On URN_OK *stop says what ended the walk; for RECOVERY_STOP_MEANING
 * *error holds the reason. */
static enum urn_code walk(struct wal_reader *reader, const struct progress *progress,
                          struct state *state, struct recovery *recovery, enum recovery_stop *stop,
                          struct urn_error *error)
{
    const uint64_t begin_lsn = state->tail.lsn;
    for (;;) {
        struct wal_group_header header;
        const uint8_t *group;
        switch (wal_reader_next(reader, &header, &group, error)) {
        case WAL_STEP_ERROR:
            return error->code;
        case WAL_STEP_UNREADABLE:
            *stop = RECOVERY_STOP_UNREADABLE;
            break;
        case WAL_STEP_INVALID:
            *stop = stop_of(wal_reader_why(reader));
            if (*stop == RECOVERY_STOP_MEANING)
                error_set(error,
                          wal_reader_why(reader) == WAL_READ_VERSION ? URN_FORMAT : URN_DAMAGED, 0,
                          "%s", wal_read_result_text(wal_reader_why(reader)));
            break;
        case WAL_STEP_GROUP:
            state->tail = *wal_reader_tail(reader);
            if (apply_group(state, &header, group, error) == URN_OK) {
                recovery->replayed_groups++;
                recovery->replayed_draws += header.draws;
                progress_tell(progress, "reading the log as a start does",
                              state->tail.lsn - begin_lsn, 0);
                continue;
            }
            if (error->code == URN_CONFIG || error->code == URN_NOMEMORY)
                return error->code; /* nothing is wrong with the log */
            *stop = RECOVERY_STOP_MEANING;
            recovery->end_lsn = header.lsn;
            recovery->durable_lsn = wal_reader_durable_lsn(reader);
            return URN_OK;
        }
        state->tail = *wal_reader_tail(reader);
        recovery->end_lsn = state->tail.lsn;
        recovery->durable_lsn = wal_reader_durable_lsn(reader);
        return URN_OK;
    }
}

/* Where x is, for people. */
struct where {
    char file[DATA_DIR_NAME_MAX];
    uint64_t offset;
    uint64_t lsn;
};

static struct where where_is(const struct wal_geometry *geometry, uint64_t lsn)
{
    struct where where = {.offset = lsn % geometry->segment_size_bytes, .lsn = lsn};
    data_dir_segment_name(where.file, wal_slot(geometry, lsn));
    return where;
}

static enum urn_code refuse_snapshot(const struct data_dir *data_dir, uint32_t listed,
                                     struct urn_error *error)
{
    if (listed == 0)
        return error_set(error, URN_DAMAGED, 0, "case D1: there is no snapshot in %.100s" SHOW_MORE,
                         data_dir->path, data_dir->path);
    char why[sizeof error->text];
    memcpy(why, error->text, sizeof why);
    return error_set(error, URN_DAMAGED, 0, "case D1: no snapshot verifies; %.300s" SHOW_MORE, why,
                     data_dir->path);
}

static enum urn_code refuse_evidence(const struct data_dir *data_dir, enum recovery_case which,
                                     const struct where *at, const struct wal_evidence *evidence,
                                     uint64_t snapshot_beyond_lsn, struct urn_error *error)
{
    if (which == RECOVERY_BLIND)
        return error_set(error, URN_DAMAGED, 0,
                         "case D4: the log seems to end at LSN %" PRIu64 " (%s, offset %" PRIu64
                         "), but %s cannot be read at offset %" PRIu64
                         ", where more of it may be" SHOW_MORE,
                         at->lsn, at->file, at->offset, evidence->unreadable_file,
                         evidence->unreadable_offset, data_dir->path);
    if (which == RECOVERY_GROUP_BEYOND)
        return error_set(error, URN_DAMAGED, 0,
                         "case D5: the log is damaged at LSN %" PRIu64 " (%s, offset %" PRIu64
                         "): the group at LSN %" PRIu64 " says that all below LSN %" PRIu64
                         " was durable, so acknowledged draws are missing" SHOW_MORE,
                         at->lsn, at->file, at->offset, evidence->durable_witness_lsn,
                         evidence->durable_lsn_max, data_dir->path);
    CHECK(which == RECOVERY_SNAPSHOT_BEYOND);
    return error_set(error, URN_DAMAGED, 0,
                     "case D6: the log is damaged at LSN %" PRIu64 " (%s, offset %" PRIu64
                     "): a snapshot at LSN %" PRIu64
                     " exists, so the log once reached that far" SHOW_MORE,
                     at->lsn, at->file, at->offset, snapshot_beyond_lsn, data_dir->path);
}

/* Turns a case that does not start into words. For D3 *error holds what apply said. */
static enum urn_code refuse(const struct data_dir *data_dir, enum recovery_case which, uint64_t x,
                            const struct wal_evidence *evidence, uint64_t snapshot_beyond_lsn,
                            struct urn_error *error)
{
    struct where at = where_is(&data_dir->geometry, x);
    if (which == RECOVERY_UNREADABLE)
        return error_set(error, URN_DAMAGED, EIO,
                         "case D2: the log cannot be read at LSN %" PRIu64 " (%s, offset %" PRIu64
                         ")" SHOW_MORE,
                         at.lsn, at.file, at.offset, data_dir->path);
    if (which == RECOVERY_MEANING) {
        enum urn_code code = error->code;
        char why[sizeof error->text];
        memcpy(why, error->text, sizeof why);
        return error_set(error, code == URN_FORMAT ? URN_FORMAT : URN_DAMAGED, 0,
                         "case D3: what stands in the log at or before LSN %" PRIu64
                         " (%s, offset %" PRIu64 ") is whole but cannot be right: %.200s" SHOW_MORE,
                         at.lsn, at.file, at.offset, why, data_dir->path);
    }
    return refuse_evidence(data_dir, which, &at, evidence, snapshot_beyond_lsn, error);
}

/* ---- steps 3 to 5 together ------------------------------------------------------------------- */

struct reading {
    const struct data_dir *data_dir;
    const struct state_bounds *bounds;
    struct helper *helper; /* NULL: none */
    struct wal_search *search;
    struct snapshot_name *names;
    uint64_t newest_snapshot_lsn; /* of those listed, loaded or not */
    bool defers_digests;          /* they are checked behind the walk (wal_reader.h) */
    bool is_void;                 /* one did not hold: what was read is not to be believed */
};

static enum urn_code walk_log(struct reading *reading, struct state *state,
                              struct recovery *recovery, enum recovery_stop *stop,
                              struct urn_error *error)
{
    struct wal_reader *reader;
    enum urn_code code = wal_reader_open(reading->data_dir, &state->tail, &reader, error);
    if (code != URN_OK)
        return code;
    if (reading->defers_digests)
        wal_reader_defer_digests(reader, reading->helper);
    code = walk(reader, reading->data_dir->progress, state, recovery, stop, error);
    if (reading->defers_digests)
        reading->is_void = !wal_reader_settle(reader);
    wal_reader_close(reader);
    return code;
}

/* What the whole ring says about x, where the walk has stopped. */
static enum urn_code decide(const struct reading *reading, enum recovery_stop stop,
                            const struct state *state, struct recovery *recovery,
                            struct urn_error *error)
{
    const struct data_dir *data_dir = reading->data_dir;
    const uint64_t x = state->tail.lsn;
    struct wal_evidence evidence = {0};
    progress_tell(data_dir->progress, "looking through the ring for more", 0, 0);
    if (stop != RECOVERY_STOP_MEANING && stop != RECOVERY_STOP_UNREADABLE &&
        wal_search_end(reading->search, x, &evidence, error) != URN_OK)
        return error->code;
    const struct recovery_facts facts = {
        .snapshot_loaded = true,
        .stop = stop,
        .unreadable_elsewhere = evidence.unreadable,
        .group_beyond = evidence.durable_lsn_max > x,
        .snapshot_beyond = reading->newest_snapshot_lsn > x,
    };
    recovery->which = recovery_decide(&facts, NULL);
    if (!recovery_case_starts(recovery->which))
        return refuse(data_dir, recovery->which, x, &evidence, reading->newest_snapshot_lsn, error);
    /* Those of an earlier epoch were discarded, and told of, by an earlier start. */
    if (evidence.groups_beyond_epoch_max >= state->tail.epoch)
        recovery->discarded_groups = evidence.groups_beyond;
    recovery->torn_at_end = evidence.torn_at_x;
    recovery->epoch_max =
        evidence.epoch_max > state->tail.epoch ? evidence.epoch_max : state->tail.epoch;
    CHECK(recovery->durable_lsn <= x);
    return URN_OK;
}

/* From the snapshot to the decision. */
static enum urn_code read_once(struct reading *reading, struct state *state,
                               struct recovery *recovery, struct urn_error *error)
{
    *recovery = (struct recovery){.snapshots = recovery->snapshots};
    enum urn_code code = load_newest(reading->data_dir, reading->names, recovery->snapshots,
                                     reading->bounds, state, recovery, error);
    if (code != URN_OK) {
        if (recovery->snapshots_refused < recovery->snapshots)
            return code;
        struct recovery_facts facts = {.snapshot_loaded = false};
        recovery->which = recovery_decide(&facts, NULL);
        return refuse_snapshot(reading->data_dir, recovery->snapshots, error);
    }
    enum recovery_stop stop = RECOVERY_STOP_ZERO;
    code = walk_log(reading, state, recovery, &stop, error);
    if (code == URN_OK && !reading->is_void)
        code = decide(reading, stop, state, recovery, error);
    if (code != URN_OK || reading->is_void)
        state_free(state);
    return code;
}

enum urn_code recovery_read(const struct data_dir *data_dir, const struct state_bounds *bounds,
                            struct helper *helper, struct state *state, struct recovery *recovery,
                            struct urn_error *error)
{
    *recovery = (struct recovery){0};
    struct reading reading = {
        .data_dir = data_dir, .bounds = bounds, .helper = helper, .defers_digests = true};
    if (snapshot_file_list(data_dir->dir, &reading.names, &recovery->snapshots, error) != URN_OK)
        return error_prefix(error, "%.200s: ", data_dir->path);
    reading.newest_snapshot_lsn = recovery->snapshots > 0 ? reading.names[0].lsn : 0;
    enum urn_code code =
        wal_search_begin(data_dir, reading.newest_snapshot_lsn, helper, &reading.search, error);
    if (code == URN_OK)
        code = read_once(&reading, state, recovery, error);
    if (reading.is_void) { /* again, and not a group further than the rules let it */
        reading.defers_digests = reading.is_void = false;
        code = read_once(&reading, state, recovery, error);
    }
    wal_search_free(reading.search);
    free(reading.names);
    return code;
}

/* ---- step 5: the tail ---------------------------------------------------------------------- */

#define REWRITE_CHUNK_BYTES (256u * 1024)

/* Rewrites a range that lies inside one segment, and syncs it. */
static enum urn_code rewrite_range(const struct data_dir *data_dir, struct wal_ring *ring,
                                   uint64_t begin_lsn, uint64_t end_lsn, uint8_t *chunk,
                                   struct urn_error *error)
{
    for (uint64_t lsn = begin_lsn; lsn < end_lsn;) {
        uint64_t length = end_lsn - lsn;
        if (length > REWRITE_CHUNK_BYTES)
            length = REWRITE_CHUNK_BYTES;
        if (wal_read_bytes(data_dir, lsn, chunk, length, error) != URN_OK ||
            wal_ring_write(ring, lsn, chunk, length, error) != URN_OK)
            return error->code;
        lsn += length;
    }
    struct wal_ring_sync sync;
    wal_ring_sync_begin(ring, begin_lsn, end_lsn - begin_lsn, &sync);
    return wal_ring_sync_end(ring, &sync, error);
}

enum urn_code recovery_rewrite_tail(const struct data_dir *data_dir, struct wal_ring *ring,
                                    uint64_t durable_lsn, uint64_t tail_lsn,
                                    uint64_t *rewritten_bytes, struct urn_error *error)
{
    CHECK(durable_lsn <= tail_lsn);
    *rewritten_bytes = 0;
    uint8_t *chunk = malloc(REWRITE_CHUNK_BYTES);
    if (chunk == NULL)
        return error_set(error, URN_NOMEMORY, 0, "no memory to rewrite the log's tail");
    enum urn_code code = URN_OK;
    for (uint64_t lsn = durable_lsn; lsn < tail_lsn && code == URN_OK;) {
        uint64_t segment_end =
            wal_segment_begin(&ring->geometry, lsn) + ring->geometry.segment_size_bytes;
        uint64_t end = tail_lsn < segment_end ? tail_lsn : segment_end;
        code = rewrite_range(data_dir, ring, lsn, end, chunk, error);
        *rewritten_bytes += end - lsn;
        lsn = end;
    }
    free(chunk);
    return code == URN_OK ? URN_OK
                          : error_prefix(error, "while making the log's tail durable again: ");
}

/* ---- step 7: time ------------------------------------------------------------------------------ */

uint64_t recovery_engine_time_us(const struct state *state, uint64_t now_us)
{
    uint64_t then_us = state->wall_time_us;
    uint64_t passed_us = then_us != 0 && now_us > then_us ? now_us - then_us : 0;
    return state->engine_time_us +
           (passed_us < ENGINE_TIME_JUMP_US ? passed_us : ENGINE_TIME_JUMP_US);
}

/* ---- step 6: room -------------------------------------------------------------------------- */

uint64_t recovery_limit_without_reuse(const struct wal_geometry *geometry, uint64_t tail_lsn)
{
    uint64_t begun = wal_segment_begin(geometry, tail_lsn + geometry->segment_size_bytes - 1);
    uint64_t first_lap = wal_ring_bytes(geometry);
    return begun > first_lap ? begun : first_lap;
}

/* True when the second newest snapshot verifies as well; else *error says why not. It is not loaded: there
 * is memory for one state. */
static bool second_verifies(const struct data_dir *data_dir, const struct recovery *recovery,
                            struct urn_error *error)
{
    struct wal_geometry geometry;
    if (snapshot_file_check(data_dir->dir, recovery->second_snapshot, &geometry, error) == URN_OK &&
        check_ring(data_dir, &geometry, error) == URN_OK)
        return true;
    error_prefix(error, "the second newest snapshot does not verify: ");
    return false;
}

/* What this start has verified. The second is read only if it would let the log grow further; one that does
 * not verify frees nothing, and is told of. */
static struct snapshot_ledger verified(const struct data_dir *data_dir,
                                       const struct recovery *recovery, uint64_t limit_so_far,
                                       const struct snapshot_ledger *before,
                                       struct urn_error *error)
{
    struct snapshot_ledger ledger = *before;
    ledger.count = 0;
    uint64_t limit_lsn =
        snapshot_limit_behind_lsn(&data_dir->geometry, recovery->second_snapshot.lsn);
    if (recovery->has_second_snapshot && limit_lsn > limit_so_far &&
        second_verifies(data_dir, recovery, error))
        snapshot_ledger_add(&ledger, recovery->second_snapshot);
    struct snapshot_name loaded = {recovery->snapshot_lsn, recovery->snapshot_serial};
    snapshot_ledger_add(&ledger, loaded);
    return ledger;
}

static enum urn_code remove_snapshot(const struct data_dir *data_dir, struct snapshot_name which,
                                     struct urn_error *error)
{
    char name[DATA_DIR_NAME_MAX];
    data_dir_snapshot_name(name, which.lsn, which.serial);
    int why = os_remove(data_dir->dir, name);
    if (why == 0)
        return URN_OK;
    return error_set(error, URN_IO, why, "cannot remove an old snapshot, %.100s/%s", data_dir->path,
                     name);
}

/* Removes every snapshot but the two that count. What cannot be removed does no harm (snapshot_task.h):
 * the last of it is told in *left. */
static void remove_older(const struct data_dir *data_dir, const struct snapshot_ledger *ledger,
                         struct urn_error *left)
{
    struct snapshot_name *names;
    uint32_t count;
    if (snapshot_file_list(data_dir->dir, &names, &count, left) != URN_OK) {
        error_prefix(left, "cannot remove old snapshots: ");
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!snapshot_ledger_keeps(ledger, names[i]))
            (void)remove_snapshot(data_dir, names[i], left);
    free(names);
    int why = os_dir_sync(data_dir->dir);
    if (why != 0)
        error_set(left, URN_IO, why, "cannot sync %.100s behind the removal of old snapshots",
                  data_dir->path);
}

/* The first serial that no snapshot at the tail has yet, with room for one more behind it. */
static enum urn_code free_serial(const struct data_dir *data_dir, uint64_t tail_lsn,
                                 uint32_t *serial, struct urn_error *error)
{
    struct snapshot_name *names;
    uint32_t count;
    if (snapshot_file_list(data_dir->dir, &names, &count, error) != URN_OK)
        return error->code;
    *serial = 0;
    for (uint32_t i = 0; i < count; i++)
        if (names[i].lsn == tail_lsn && names[i].serial >= *serial)
            *serial = names[i].serial + 1;
    free(names);
    if (*serial < DATA_DIR_SERIAL_MAX)
        return URN_OK;
    return error_set(error, URN_DAMAGED, 0,
                     "%.100s holds a snapshot of LSN %" PRIu64
                     " with the highest serial there is, which urn never gives",
                     data_dir->path, tail_lsn);
}

/* Writes one more snapshot at the tail, and removes what is not needed behind it: so there are never more
 * than three, and on a disk that has room for one, the second finds room too. */
static enum urn_code write_one(const struct data_dir *data_dir, const struct state *state,
                               struct snapshot_ledger *ledger, struct urn_error *error)
{
    struct snapshot_name name = {.lsn = state->tail.lsn};
    if (free_serial(data_dir, name.lsn, &name.serial, error) != URN_OK ||
        snapshot_file_write(data_dir->dir, state, &data_dir->geometry, name.serial, error) !=
            URN_OK)
        return error->code;
    snapshot_ledger_add(ledger, name);
    remove_older(data_dir, ledger, error);
    return URN_OK;
}

enum urn_code recovery_make_room(const struct data_dir *data_dir, const struct state *state,
                                 const struct recovery *recovery, uint64_t wanted_bytes,
                                 struct snapshot_ledger *ledger, uint64_t *room_limit_lsn,
                                 struct urn_error *error)
{
    const struct wal_geometry *geometry = &data_dir->geometry;
    const uint64_t tail_lsn = state->tail.lsn;
    const uint64_t most_lsn = snapshot_limit_behind_lsn(geometry, tail_lsn);
    const uint64_t begun_lsn = recovery_limit_without_reuse(geometry, tail_lsn);
    *ledger = verified(data_dir, recovery, begun_lsn, ledger, error);
    for (;;) {
        const uint64_t limit_lsn = snapshot_ledger_limit_lsn(ledger, geometry);
        *room_limit_lsn = limit_lsn > begun_lsn ? limit_lsn : begun_lsn;
        CHECK(tail_lsn <= *room_limit_lsn);
        /* What the archive holds back no snapshot gives. */
        uint64_t by_snapshots_lsn = snapshot_ledger_snapshots_limit_lsn(ledger, geometry);
        if (by_snapshots_lsn < begun_lsn)
            by_snapshots_lsn = begun_lsn;
        if (by_snapshots_lsn - tail_lsn >= wanted_bytes || most_lsn <= by_snapshots_lsn)
            return URN_OK;
        if (write_one(data_dir, state, ledger, error) != URN_OK)
            return error->code;
    }
}
