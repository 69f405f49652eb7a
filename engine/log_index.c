/* log_index.c: see log_index.h. */
#include "engine/log_index.h"

#include "engine/check.h"
#include "engine/crc32c.h"

static const uint8_t magic[8] = {'U', 'R', 'N', 'I', 'N', 'D', 'X', '1'};

/* Where the fields lie. */
enum {
    INDEX_CRC = 8,
    INDEX_VERSION = 12,
    INDEX_UUID = 16,
    INDEX_SEQUENCE = 32,
    INDEX_SEGMENT_SIZE = 40,
    INDEX_END_LSN = 48,
    INDEX_GROUPS = 56,
    INDEX_DRAWS = 64,
    INDEX_END_ID = 72,
    INDEX_ENGINE_TIME = 80,
    INDEX_WALL_TIME = 88,
    INDEX_ENTRIES = 96,
    INDEX_ZERO = 100,
    ENTRY_LSN = 0,
    ENTRY_FIRST_ID = 8,
    ENTRY_ENGINE_TIME = 16,
    ENTRY_WALL_TIME = 24,
};

_Static_assert(INDEX_ZERO + 4 == LOG_INDEX_HEADER_BYTES, "entries follow the last field");
_Static_assert(ENTRY_WALL_TIME + 8 == LOG_INDEX_ENTRY_BYTES, "an entry ends with its last field");
_Static_assert(LOG_INDEX_HEADER_BYTES % WAL_ALIGN_BYTES == 0, "entries are aligned");

uint64_t log_index_stride_bytes(uint64_t segment_size_bytes)
{
    const uint64_t least = (segment_size_bytes + LOG_INDEX_ENTRIES_MAX - 1) / LOG_INDEX_ENTRIES_MAX;
    return least > LOG_INDEX_STRIDE_BYTES_MIN ? least : LOG_INDEX_STRIDE_BYTES_MIN;
}

uint32_t log_index_entries_max(uint64_t segment_size_bytes, uint64_t stride_bytes)
{
    CHECK(segment_size_bytes > WAL_SEGMENT_HEADER_BYTES && stride_bytes > 0);
    const uint64_t more = (segment_size_bytes - WAL_SEGMENT_HEADER_BYTES - 1) / stride_bytes;
    CHECK(more < UINT32_MAX);
    return 1 + (uint32_t)more;
}

static uint64_t segment_begin_lsn(const struct log_index *index)
{
    return index->sequence * index->segment_size_bytes;
}

static uint64_t segment_end_lsn(const struct log_index *index)
{
    return segment_begin_lsn(index) + index->segment_size_bytes;
}

/* ---- building ---------------------------------------------------------------------------------- */

void log_index_begin(struct log_index *index, const struct wal_geometry *geometry,
                     uint64_t sequence, uint64_t stride_bytes, struct log_index_entry *entries,
                     uint32_t capacity)
{
    CHECK(capacity >= log_index_entries_max(geometry->segment_size_bytes, stride_bytes));
    *index = (struct log_index){
        .segment_size_bytes = geometry->segment_size_bytes,
        .sequence = sequence,
        .stride_bytes = stride_bytes,
        .capacity = capacity,
        .entries = entries,
    };
    memcpy(index->ring_uuid, geometry->ring_uuid, WAL_UUID_BYTES);
    index->end_lsn = segment_begin_lsn(index) + WAL_SEGMENT_HEADER_BYTES;
}

enum wal_read_result log_index_add(struct log_index *index, const struct wal_group_header *header)
{
    CHECK(index->stride_bytes > 0);
    if (header->lsn != index->end_lsn || header->length_bytes < WAL_GROUP_HEADER_BYTES ||
        header->length_bytes > segment_end_lsn(index) - header->lsn)
        return WAL_READ_PLACE;
    if (header->first_request_id < index->end_request_id ||
        header->first_request_id > URN_NUMBER_MAX || header->engine_time_us < index->engine_time_us)
        return WAL_READ_SHAPE;

    if (index->count == 0 ||
        header->lsn - index->entries[index->count - 1].lsn >= index->stride_bytes) {
        CHECK(index->count < index->capacity);
        index->entries[index->count] = (struct log_index_entry){
            .lsn = header->lsn,
            .first_request_id = header->first_request_id,
            .engine_time_us = header->engine_time_us,
            .wall_time_us_max =
                index->count > 0 ? index->entries[index->count - 1].wall_time_us_max : 0,
        };
        index->count++;
    }
    struct log_index_entry *last = &index->entries[index->count - 1];
    if (header->wall_time_us > last->wall_time_us_max)
        last->wall_time_us_max = header->wall_time_us;
    if (index->groups == 0 || header->wall_time_us < index->wall_time_us_min)
        index->wall_time_us_min = header->wall_time_us;
    index->end_lsn = header->lsn + header->length_bytes;
    index->groups++;
    index->draws += header->draws;
    index->end_request_id = header->first_request_id + header->draws;
    index->engine_time_us = header->engine_time_us;
    return WAL_READ_OK;
}

/* ---- asking ------------------------------------------------------------------------------------ */

enum key { BY_LSN, BY_REQUEST_ID, BY_WALL_TIME };

static uint64_t key_of(const struct log_index_entry *entry, enum key key)
{
    switch (key) {
    case BY_LSN:
        return entry->lsn;
    case BY_REQUEST_ID:
        return entry->first_request_id;
    case BY_WALL_TIME:
        break;
    }
    return entry->wall_time_us_max;
}

/* How many entries have a key that is at most this. */
static uint32_t count_up_to(const struct log_index *index, enum key key, uint64_t value)
{
    uint32_t low = 0;
    uint32_t high = index->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (key_of(&index->entries[middle], key) <= value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void take_stretch(const struct log_index *index, uint32_t which,
                         struct log_index_stretch *stretch)
{
    CHECK(which < index->count);
    stretch->from_lsn = index->entries[which].lsn;
    stretch->to_lsn = which + 1 < index->count ? index->entries[which + 1].lsn : index->end_lsn;
}

/* The draw stands in the last group whose first id is not above its own: groups without draws repeat the
 * id that the next draw gets, so that they come before it. */
bool log_index_find_request(const struct log_index *index, uint64_t request_id,
                            struct log_index_stretch *stretch)
{
    const uint32_t up_to = count_up_to(index, BY_REQUEST_ID, request_id);
    if (up_to == 0 || request_id >= index->end_request_id)
        return false;
    take_stretch(index, up_to - 1, stretch);
    return true;
}

bool log_index_find_lsn(const struct log_index *index, uint64_t lsn,
                        struct log_index_stretch *stretch)
{
    const uint32_t up_to = count_up_to(index, BY_LSN, lsn);
    if (up_to == 0 || lsn >= index->end_lsn)
        return false;
    take_stretch(index, up_to - 1, stretch);
    return true;
}

bool log_index_find_wall_time(const struct log_index *index, uint64_t wall_time_us,
                              struct log_index_stretch *stretch)
{
    const uint32_t earlier =
        wall_time_us == 0 ? 0 : count_up_to(index, BY_WALL_TIME, wall_time_us - 1);
    if (earlier == index->count)
        return false;
    take_stretch(index, earlier, stretch);
    return true;
}

/* ---- bytes ------------------------------------------------------------------------------------- */

static uint32_t checksum(const uint8_t *bytes, uint64_t length_bytes)
{
    return crc32c_extend(crc32c(bytes, INDEX_CRC), bytes + INDEX_VERSION,
                         (size_t)(length_bytes - INDEX_VERSION));
}

/* What a reader refuses is not written either. */
static bool is_in_order(const struct log_index *index)
{
    const uint64_t size = index->segment_size_bytes;
    if (size < SEGMENT_SIZE_BYTES_MIN || size > SEGMENT_SIZE_BYTES_MAX ||
        size % OS_PAGE_BYTES != 0 || index->sequence >= URN_NUMBER_MAX / size)
        return false;
    if (index->end_lsn % WAL_ALIGN_BYTES != 0 ||
        index->end_lsn < segment_begin_lsn(index) + WAL_SEGMENT_HEADER_BYTES ||
        index->end_lsn > segment_end_lsn(index))
        return false;
    if ((index->count == 0) != (index->groups == 0) || index->count > index->groups)
        return false;
    struct log_index_entry before = {0};
    for (uint32_t i = 0; i < index->count; i++) {
        const struct log_index_entry *entry = &index->entries[i];
        const bool is_placed =
            i == 0 ? entry->lsn == segment_begin_lsn(index) + WAL_SEGMENT_HEADER_BYTES
                   : entry->lsn > before.lsn;
        if (!is_placed || entry->lsn % WAL_ALIGN_BYTES != 0 ||
            entry->first_request_id < before.first_request_id ||
            entry->engine_time_us < before.engine_time_us ||
            entry->wall_time_us_max < before.wall_time_us_max)
            return false;
        before = *entry;
    }
    return index->count == 0 ||
           (index->end_lsn > before.lsn && index->end_request_id >= before.first_request_id &&
            index->engine_time_us >= before.engine_time_us &&
            index->wall_time_us_min <= before.wall_time_us_max);
}

void log_index_write(const struct log_index *index, uint8_t *bytes)
{
    CHECK(is_in_order(index));
    memcpy(bytes, magic, sizeof magic);
    put_u32(bytes + INDEX_VERSION, LOG_INDEX_VERSION);
    memcpy(bytes + INDEX_UUID, index->ring_uuid, WAL_UUID_BYTES);
    put_u64(bytes + INDEX_SEQUENCE, index->sequence);
    put_u64(bytes + INDEX_SEGMENT_SIZE, index->segment_size_bytes);
    put_u64(bytes + INDEX_END_LSN, index->end_lsn);
    put_u64(bytes + INDEX_GROUPS, index->groups);
    put_u64(bytes + INDEX_DRAWS, index->draws);
    put_u64(bytes + INDEX_END_ID, index->end_request_id);
    put_u64(bytes + INDEX_ENGINE_TIME, index->engine_time_us);
    put_u64(bytes + INDEX_WALL_TIME, index->wall_time_us_min);
    put_u32(bytes + INDEX_ENTRIES, index->count);
    put_u32(bytes + INDEX_ZERO, 0);
    for (uint32_t i = 0; i < index->count; i++) {
        const struct log_index_entry *entry = &index->entries[i];
        uint8_t *to = bytes + LOG_INDEX_HEADER_BYTES + (size_t)i * LOG_INDEX_ENTRY_BYTES;
        put_u64(to + ENTRY_LSN, entry->lsn);
        put_u64(to + ENTRY_FIRST_ID, entry->first_request_id);
        put_u64(to + ENTRY_ENGINE_TIME, entry->engine_time_us);
        put_u64(to + ENTRY_WALL_TIME, entry->wall_time_us_max);
    }
    put_u32(bytes + INDEX_CRC, checksum(bytes, log_index_bytes(index->count)));
}

enum wal_read_result log_index_peek(const uint8_t *bytes, uint64_t available_bytes,
                                    uint32_t *entries)
{
    *entries = 0;
    if (available_bytes < LOG_INDEX_HEADER_BYTES)
        return WAL_READ_LENGTH;
    if (bytes_are_zero(bytes, LOG_INDEX_HEADER_BYTES))
        return WAL_READ_ZERO;
    if (memcmp(bytes, magic, sizeof magic) != 0)
        return WAL_READ_LENGTH;
    *entries = get_u32(bytes + INDEX_ENTRIES);
    return WAL_READ_OK;
}

enum wal_read_result log_index_read(const uint8_t *bytes, uint64_t available_bytes,
                                    struct log_index_entry *entries, uint32_t capacity,
                                    struct log_index *index)
{
    uint32_t count;
    const enum wal_read_result begins = log_index_peek(bytes, available_bytes, &count);
    if (begins != WAL_READ_OK)
        return begins;
    if (log_index_bytes(count) > available_bytes)
        return WAL_READ_LENGTH;
    if (get_u32(bytes + INDEX_CRC) != checksum(bytes, log_index_bytes(count)))
        return WAL_READ_CHECKSUM;
    if (get_u32(bytes + INDEX_VERSION) != LOG_INDEX_VERSION)
        return WAL_READ_VERSION;
    if (count > capacity || get_u32(bytes + INDEX_ZERO) != 0)
        return WAL_READ_SHAPE;
    *index = (struct log_index){
        .segment_size_bytes = get_u64(bytes + INDEX_SEGMENT_SIZE),
        .sequence = get_u64(bytes + INDEX_SEQUENCE),
        .end_lsn = get_u64(bytes + INDEX_END_LSN),
        .groups = get_u64(bytes + INDEX_GROUPS),
        .draws = get_u64(bytes + INDEX_DRAWS),
        .end_request_id = get_u64(bytes + INDEX_END_ID),
        .engine_time_us = get_u64(bytes + INDEX_ENGINE_TIME),
        .wall_time_us_min = get_u64(bytes + INDEX_WALL_TIME),
        .capacity = capacity,
        .count = count,
        .entries = entries,
    };
    memcpy(index->ring_uuid, bytes + INDEX_UUID, WAL_UUID_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *from = bytes + LOG_INDEX_HEADER_BYTES + (size_t)i * LOG_INDEX_ENTRY_BYTES;
        entries[i] = (struct log_index_entry){
            .lsn = get_u64(from + ENTRY_LSN),
            .first_request_id = get_u64(from + ENTRY_FIRST_ID),
            .engine_time_us = get_u64(from + ENTRY_ENGINE_TIME),
            .wall_time_us_max = get_u64(from + ENTRY_WALL_TIME),
        };
    }
    return is_in_order(index) ? WAL_READ_OK : WAL_READ_SHAPE;
}
