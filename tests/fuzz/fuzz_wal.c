/* fuzz_wal.c: hostile bytes where groups, segment headers and entries are expected.
 *
 * The first byte of an input chooses the way in:
 *   even  the bytes are a stretch of a segment as they are: every position is read as a group by
 *         itself and as the next group, the beginning as a segment header, and all of it as an index, the
 *         latter also with the checksum that it should have: one that is read is written as the same bytes
 *   odd   the bytes are groups without their seals: a kind, a length and a body each. They are
 * sealed here, so that checksum and chain are right and the fuzzer comes to what lies behind them:
 *         the shape, the entries, the outcomes, and applying all that to a state.
 */
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/check.h"
#include "engine/crc32c.h"
#include "engine/log_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RING 0x1122334455667788ull

enum { SEAL_HEAD_BYTES = 8 }; /* kind, flags, 2 bytes of length, 4 of draws */

/* ---- entries --------------------------------------------------------------------------------- */

/* The cursor ends where the entry says, both ways of using it agree, and what it yields can be
 * written again to mean the same. */
static void check_outcomes(const struct wal_entry *entry)
{
    enum { DRAWS_MAX = 4096 };
    static uint32_t outcomes[DRAWS_MAX];
    struct wal_outcome_cursor cursor;
    uint32_t outcome;
    uint32_t run;
    uint64_t draws = 0;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next(&cursor, &outcome, &run)) {
        for (uint64_t at = draws; at < draws + run && at < DRAWS_MAX; at++)
            outcomes[at] = outcome;
        draws += run;
    }
    CHECK(cursor.at == cursor.end && draws == entry->draws);

    const uint8_t *drawn;
    uint64_t strides = 0;
    wal_outcomes_begin(entry, &cursor);
    while (wal_outcomes_next_run(&cursor, &drawn, &run))
        strides += run;
    CHECK(strides == entry->draws);
    if (entry->draws > DRAWS_MAX)
        return;

    static uint8_t bytes[128 + 9 * DRAWS_MAX];
    struct wal_entries entries;
    wal_entries_begin(&entries, bytes, sizeof bytes);
    wal_entries_add_draws(&entries, entry->pool_id, entry->odds_version, entry->width, outcomes,
                          entry->draws);
    memset(bytes, 0, WAL_GROUP_HEADER_BYTES);
    const struct wal_group_header header = {
        .length_bytes = entries.used_bytes, .kind = WAL_DATA, .draws = entries.draws};
    struct wal_entry again;
    uint32_t offset = 0;
    CHECK(wal_entry_next(bytes, &header, &offset, &again) == WAL_READ_OK);
    CHECK(again.draws == entry->draws && again.outcomes_bytes <= entry->outcomes_bytes);
    wal_outcomes_begin(&again, &cursor);
    for (uint32_t at = 0; wal_outcomes_next(&cursor, &outcome, &run); at += run)
        CHECK(outcomes[at] == outcome && outcomes[at + run - 1] == outcome);
}

static void walk_entries(const uint8_t *group, const struct wal_group_header *header)
{
    uint32_t offset = 0;
    struct wal_entry entry;
    while (wal_entry_next(group, header, &offset, &entry) == WAL_READ_OK) {
        CHECK(entry.offset + entry.length_bytes == offset && offset <= header->length_bytes);
        if (entry.type == WAL_ENTRY_DRAWS)
            check_outcomes(&entry);
    }
}

/* ---- as they are ----------------------------------------------------------------------------- */

static void read_index(const uint8_t *bytes, size_t size)
{
    enum { ENTRIES_MAX = 256, CRC = 8, VERSION = 12 };
    static struct log_index_entry entries[ENTRIES_MAX];
    uint32_t count;
    struct log_index index;
    (void)log_index_read(bytes, size, entries, ENTRIES_MAX, &index);
    if (log_index_peek(bytes, size, &count) != WAL_READ_OK || log_index_bytes(count) > size)
        return;
    const size_t length = (size_t)log_index_bytes(count);
    uint8_t *sealed = malloc(2 * length);
    CHECK(sealed != NULL);
    memcpy(sealed, bytes, length);
    put_u32(sealed + CRC, crc32c_extend(crc32c(sealed, CRC), sealed + VERSION, length - VERSION));
    if (log_index_read(sealed, length, entries, ENTRIES_MAX, &index) == WAL_READ_OK) {
        struct log_index_stretch stretch;
        log_index_write(&index, sealed + length);
        CHECK(memcmp(sealed, sealed + length, length) == 0);
        for (uint32_t i = 0; i < index.count; i++)
            CHECK(log_index_find_lsn(&index, entries[i].lsn, &stretch) &&
                  stretch.from_lsn == entries[i].lsn && stretch.to_lsn > stretch.from_lsn);
    }
    free(sealed);
}

static void read_raw(const uint8_t *bytes, size_t size)
{
    read_index(bytes, size);
    if (size >= WAL_SEGMENT_HEADER_BYTES) {
        struct wal_segment_header segment;
        (void)wal_segment_header_read(bytes, &segment);
        (void)wal_segment_header_begins(bytes, size, 0);
    }
    for (size_t at = 0; at < size; at += WAL_ALIGN_BYTES) {
        struct wal_group_header header = {0};
        struct wal_tail tail = {.lsn = at};
        (void)wal_group_begins(bytes + at, size - at, at);
        if (wal_group_read(bytes + at, size - at, RING, &header) == WAL_READ_OK) {
            CHECK(header.length_bytes <= size - at);
            walk_entries(bytes + at, &header);
        }
        (void)wal_group_read_next(bytes + at, size - at, RING, &tail, &header);
    }
}

/* ---- sealed ---------------------------------------------------------------------------------- */

static void make_state(struct state *state)
{
    static const struct {
        uint32_t pool;
        const char *item_id;
        int64_t quantity;
        uint64_t weight;
    } items[] = {
        {0, "few", 3, 10},  {0, "many", 1000, 5}, {0, "endless", URN_UNLIMITED, 1},
        {0, "never", 9, 0}, {1, "one", 1, 1},
    };
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 16};
    struct urn_error error;
    struct urn_pool *pool;
    CHECK(state_make(&bounds, state, &error) == URN_OK);
    CHECK(state_add_pool(state, "a", 1, 8, &pool, &error) == URN_OK);
    CHECK(state_add_pool(state, "b", 1, 8, &pool, &error) == URN_OK);
    for (size_t i = 0; i < sizeof items / sizeof items[0]; i++)
        CHECK(state_add_item(state, state->pools[items[i].pool], items[i].item_id,
                             (uint32_t)strlen(items[i].item_id), items[i].quantity, items[i].weight,
                             0, &error) == URN_OK);
}

/* Takes one group from the input, seals it and applies it. Returns how much of the input it was. */
static size_t seal_and_apply(const uint8_t *from, size_t size, struct state *state, bool *sound)
{
    const size_t body = size - SEAL_HEAD_BYTES;
    const uint32_t wanted = get_u16(from + 2) & 0xff8u;
    const uint32_t used = wanted < body ? wanted : (uint32_t)body;
    struct wal_group_header header = {
        .length_bytes = WAL_GROUP_HEADER_BYTES + wanted,
        .kind = (enum wal_group_kind)(WAL_DATA + from[0] % 4),
        .ring_short = RING,
        .epoch = state->tail.epoch + (from[1] & 1u),
        .engine_time_us = state->engine_time_us + (from[1] >> 1 & 1u),
        .first_request_id = state->next_request_id,
    };
    if (header.kind == WAL_MARK || header.kind == WAL_EPOCH)
        state->tail.lsn = round_up_u64(state->tail.lsn, OS_PAGE_BYTES);
    header.lsn = header.durable_lsn = state->tail.lsn;
    header.draws = header.kind == WAL_DATA ? get_u32(from + 4) : 0;
    memcpy(header.chain_before, state->tail.chain, WAL_CHAIN_BYTES);

    uint8_t *bytes = calloc(1, header.length_bytes); /* exactly, so that a step too far is seen */
    CHECK(bytes != NULL);
    memcpy(bytes + WAL_GROUP_HEADER_BYTES, from + SEAL_HEAD_BYTES, used);
    wal_group_seal(&header, bytes);
    struct wal_group_header read;
    struct urn_error error;
    CHECK(wal_group_read_next(bytes, header.length_bytes, RING, &state->tail, &read) ==
          WAL_READ_OK);
    walk_entries(bytes, &read);
    *sound = apply_group(state, &read, bytes, &error) == URN_OK;
    free(bytes);
    return SEAL_HEAD_BYTES + used;
}

static void read_sealed(const uint8_t *bytes, size_t size)
{
    struct state state;
    make_state(&state);
    bool sound = true;
    while (sound && size >= SEAL_HEAD_BYTES) {
        const size_t taken = seal_and_apply(bytes, size, &state, &sound);
        bytes += taken;
        size -= taken;
        if (sound)
            state_check(&state);
    }
    state_free(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    /* A copy of its own length, aligned as the reader's buffers are. */
    uint8_t *bytes = malloc(size);
    CHECK(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    if (data[0] % 2 == 0)
        read_raw(bytes, size - 1);
    else
        read_sealed(bytes, size - 1);
    free(bytes);
    return 0;
}
