/* scan.h: groups of consecutive segments, read and checked ahead by all threads there are.
 *
 * What costs time in reading a log can be done for each group by itself: reading, checksum, digest. So the
 * log is cut into chunks of whole groups. Whoever has nothing better to do takes the next chunk: reads it,
 * steps over its groups by their lengths (which takes turns, for only the end of one chunk tells where the
 * next begins), then checks each group (which does not). The caller takes the groups in order and does
 * what has to be done in order: joining the chain, and whatever it wants them for. When the next chunk is
 * not ready, the caller checks one itself instead of waiting.
 *
 *     helper   [read 1][check 1     ][read 3][check 3     ] ...
 *     caller           [read 2][check 2     ][take 1 ][take 2 ][read 4][check 4 ...
 *
 * A chunk ends where the scan cannot go on; what was read ahead of that is nobody's business. Memory: some
 * 4 MiB a chunk and two chunks more than threads; more only for a group that is larger.
 */
#ifndef URN_TOOLS_URN_WAL_SCAN_H
#define URN_TOOLS_URN_WAL_SCAN_H

#include "tools/urn_wal/history.h"

struct scan;

enum scan_depth {
    SCAN_LENGTHS,   /* V1: what headers claim, nothing vouched for */
    SCAN_CHECKSUMS, /* V1 to V3 */
    SCAN_DIGESTS,   /* and the digests that the chain is made of */
};

enum scan_step {
    SCAN_GROUP,      /* a group, as deep as asked for */
    SCAN_SEGMENT,    /* a segment begins: its header page as it stands there */
    SCAN_INVALID,    /* no group at lsn: why says what is there instead */
    SCAN_UNREADABLE, /* what is at lsn touches a sector that cannot be read, at unreadable_offset */
    SCAN_LIMIT,      /* limit_lsn has been reached; or, at lsn, a group reaches beyond it */
    SCAN_LAST,       /* the last of the segments that follow each other has been read to its end */
    SCAN_ERROR,      /* the scan itself failed: *error */
};

struct scan_item {
    uint64_t lsn;
    const struct history_segment *segment;
    /* SCAN_GROUP */
    struct wal_group_header header;
    const uint8_t *bytes;
    const uint8_t *digest; /* with SCAN_DIGESTS */
    /* SCAN_SEGMENT */
    const uint8_t *header_page;
    /* SCAN_INVALID */
    enum wal_read_result why;
    /* SCAN_UNREADABLE: what could be read from lsn on */
    const uint8_t *readable;
    uint64_t readable_bytes;
    uint64_t unreadable_offset;
};

/* Begins at a group's LSN, or at a segment's first byte, and ends before limit_lsn (a group's begin or end,
 * or anything above). Where none of the history's segments holds lsn, SCAN_LAST comes at once. history must not be refreshed before
 * scan_end. Errors: URN_NOMEMORY. */
enum urn_code scan_begin(const struct history *history, uint64_t lsn, uint64_t limit_lsn,
                         enum scan_depth depth, struct scan **scan, struct urn_error *error);
void scan_end(struct scan *scan); /* NULL too */

/* The next one. After anything but SCAN_GROUP and SCAN_SEGMENT the scan has ended. What *item points to
 * is valid until the next call. Errors with SCAN_ERROR: URN_IO, URN_NOMEMORY. */
enum scan_step scan_next(struct scan *scan, struct scan_item *item, struct urn_error *error);

#endif
