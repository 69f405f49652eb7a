/* archive_check.h: checks a whole segment whose bytes come piece by piece, and builds its index. Pure.
 *
 * A segment is copied in pieces that know nothing of groups. The check takes them in order and looks at each
 * group as soon as it is whole: V1 to V7 as a walk along the log does (wal_format.h), and that nothing is left
 * over at the segment's end. Of the chain it takes the begin on trust, unless it is told.
 *
 *     piece  |  piece  |  piece  |
 *     header |group|  group  |gro
 *                            ^ carried over until the rest has come: one group at most
 *
 * Memory: a piece and the largest group that there can be.
 */
#ifndef URN_ENGINE_ARCHIVE_CHECK_H
#define URN_ENGINE_ARCHIVE_CHECK_H

#include "engine/log_index.h"

struct archive_check {
    struct wal_geometry geometry;
    uint64_t begin_lsn;
    uint64_t ring_short;
    bool digests;         /* the chain's, too */
    bool chain_known;     /* tail's chain is what the next group must continue */
    struct wal_tail tail; /* behind the last whole group */
    uint8_t *memory;      /* room to carry over, then a piece */
    uint64_t carry_bytes; /* right before the piece */
    uint64_t taken_bytes; /* of the segment */
    uint32_t crc;         /* of those bytes */
    bool header_page_seen;
    struct log_index *index;  /* NULL: none is built */
    enum wal_read_result why; /* after a refusal: what stands at tail.lsn */
};

/* What a check takes: memory for archive_check_make, page-aligned. */
uint64_t archive_check_memory_bytes(uint32_t piece_bytes);

/* memory is the caller's, of archive_check_memory_bytes(piece_bytes), and there as long as the check. */
void archive_check_make(struct archive_check *check, const struct wal_geometry *geometry,
                        uint8_t *memory);

/* From here on the bytes of the segment that begins at begin_lsn come. before: what its first group has to
 * continue, or NULL. digests: whether chain after chain is computed, or only compared with the next group's
 * word. index: begun, of that segment; or NULL. */
void archive_check_begin(struct archive_check *check, uint64_t begin_lsn,
                         const struct wal_tail *before, bool digests, struct log_index *index);

/* Where the next piece is to be put; whole pages, page-aligned. */
uint8_t *archive_check_piece(const struct archive_check *check);

/* That piece is there. False: what stands at check->tail.lsn is no group of this log: check->why. */
bool archive_check_take(struct archive_check *check, uint32_t piece_bytes);

/* All pieces were taken, and the last group ends with the segment. */
bool archive_check_ended(const struct archive_check *check);

#endif
