/* archive_check.c: see archive_check.h. */
#include "engine/archive_check.h"

#include "engine/check.h"
#include "engine/crc32c.h"

/* What may have to be carried over: the largest group but a byte, in whole pages. */
#define CARRY_BYTES_MAX ((GROUP_BYTES_MAX + OS_PAGE_BYTES) / OS_PAGE_BYTES * OS_PAGE_BYTES)

_Static_assert(CARRY_BYTES_MAX % OS_PAGE_BYTES == 0,
               "the piece behind it is aligned as the memory is");
_Static_assert(CARRY_BYTES_MAX >= WAL_SEGMENT_HEADER_BYTES, "a header page can be carried, too");

uint64_t archive_check_memory_bytes(uint32_t piece_bytes)
{
    return CARRY_BYTES_MAX + (uint64_t)piece_bytes;
}

void archive_check_make(struct archive_check *check, const struct wal_geometry *geometry,
                        uint8_t *memory)
{
    *check = (struct archive_check){
        .geometry = *geometry, .ring_short = wal_ring_short(geometry->ring_uuid), .memory = memory};
}

void archive_check_begin(struct archive_check *check, uint64_t begin_lsn,
                         const struct wal_tail *before, bool digests, struct log_index *index)
{
    CHECK(begin_lsn % check->geometry.segment_size_bytes == 0);
    check->begin_lsn = begin_lsn;
    check->digests = digests;
    check->index = index;
    check->chain_known = before != NULL;
    check->tail = (struct wal_tail){.lsn = begin_lsn};
    if (before != NULL) {
        CHECK(before->lsn == begin_lsn);
        check->tail = *before;
    }
    check->carry_bytes = 0;
    check->taken_bytes = 0;
    check->crc = 0;
    check->header_page_seen = false;
    check->why = WAL_READ_OK;
}

uint8_t *archive_check_piece(const struct archive_check *check)
{
    return check->memory + CARRY_BYTES_MAX;
}

static bool refuse(struct archive_check *check, enum wal_read_result why)
{
    check->why = why;
    return false;
}

static bool take_header_page(struct archive_check *check, const uint8_t *page)
{
    struct wal_segment_header header;
    enum wal_read_result why = wal_segment_header_read(page, &header);
    if (why == WAL_READ_OK)
        why = wal_segment_header_follows(&header, &check->geometry, &check->tail);
    if (why != WAL_READ_OK)
        return refuse(check, why);
    check->tail.lsn += WAL_SEGMENT_HEADER_BYTES;
    check->tail.epoch = header.epoch;
    check->header_page_seen = true;
    return true;
}

/* A group all of whose bytes are there. */
static bool take_group(struct archive_check *check, const uint8_t *bytes, uint32_t length_bytes,
                       uint64_t rest_bytes)
{
    struct wal_group_header header;
    enum wal_read_result why = wal_group_read(bytes, length_bytes, check->ring_short, &header);
    if (why == WAL_READ_OK && !check->chain_known) {
        memcpy(check->tail.chain, header.chain_before, WAL_CHAIN_BYTES);
        check->chain_known = true;
    }
    if (why == WAL_READ_OK)
        why = wal_group_follows(&header, &check->tail);
    if (why == WAL_READ_OK)
        why = wal_group_fits(length_bytes, rest_bytes);
    if (why == WAL_READ_OK && check->digests) {
        uint8_t digest[WAL_DIGEST_BYTES];
        wal_group_digest(bytes, length_bytes, digest);
        why = wal_group_join(&header, digest, &check->tail);
    } else if (why == WAL_READ_OK) {
        check->tail.lsn += length_bytes;
        check->tail.epoch = header.epoch;
        memcpy(check->tail.chain, header.chain_after, WAL_CHAIN_BYTES);
    }
    if (why == WAL_READ_OK && check->index != NULL)
        why = log_index_add(check->index, &header);
    return why == WAL_READ_OK || refuse(check, why);
}

/* Takes what is whole of the bytes at *at, which moves behind it. */
static bool take_whole(struct archive_check *check, const uint8_t **at, const uint8_t *end)
{
    const uint64_t segment_end = check->begin_lsn + check->geometry.segment_size_bytes;
    if (!check->header_page_seen) {
        if ((uint64_t)(end - *at) < WAL_SEGMENT_HEADER_BYTES)
            return true;
        if (!take_header_page(check, *at))
            return false;
        *at += WAL_SEGMENT_HEADER_BYTES;
    }
    while (*at < end) {
        const uint64_t available = (uint64_t)(end - *at);
        const uint64_t rest = segment_end - check->tail.lsn;
        struct wal_group_header header;
        if (available < WAL_GROUP_HEADER_BYTES && available < rest)
            return true;
        enum wal_read_result why = wal_group_peek(*at, available, rest, &header);
        if (why == WAL_READ_OK && header.length_bytes > GROUP_BYTES_MAX)
            why = WAL_READ_LENGTH;
        if (why != WAL_READ_OK)
            return refuse(check, why);
        if (header.length_bytes > available)
            return true;
        if (!take_group(check, *at, header.length_bytes, rest))
            return false;
        *at += header.length_bytes;
    }
    return true;
}

bool archive_check_take(struct archive_check *check, uint32_t piece_bytes)
{
    uint8_t *piece = archive_check_piece(check);
    const uint8_t *at = piece - check->carry_bytes;
    const uint8_t *end = piece + piece_bytes;
    CHECK(check->taken_bytes + piece_bytes <= check->geometry.segment_size_bytes);
    check->crc = crc32c_extend(check->crc, piece, piece_bytes);
    check->taken_bytes += piece_bytes;
    if (!take_whole(check, &at, end))
        return false;
    check->carry_bytes = (uint64_t)(end - at);
    CHECK(check->carry_bytes <= CARRY_BYTES_MAX);
    memmove(piece - check->carry_bytes, at, check->carry_bytes);
    return true;
}

bool archive_check_ended(const struct archive_check *check)
{
    return check->taken_bytes == check->geometry.segment_size_bytes && check->carry_bytes == 0 &&
           check->tail.lsn == check->begin_lsn + check->geometry.segment_size_bytes;
}
