/* wal_format.h: the log's bytes. Pure: bytes <-> structs, no I/O. This file owns the format;
 * docs/wal-format.md tells the same to outsiders.
 *
 * The log is endless; a position in it is an LSN, in bytes. It is cut into segments of equal size:
 * sequence = LSN / segment size, kept in the file (slot) sequence % N. All integers little-endian.
 *
 *   LSN  S                S+4096                                            S+segment size
 *        +----------------+--------+-----+-----------+-------+--- - - ---+--------+
 *        | segment header | group  | pad | mark      | group |           | pad    |
 *        +----------------+--------+-----+-----------+-------+--- - - ---+--------+
 *                                        ^ marks and epoch groups begin a 4 KiB page
 *
 * Every byte below the end of the log belongs to a segment header or to a group.
 *
 * Segment header (one page, synced before the segment's first group or together with it)
 *      0   8  magic "URNSEGM1"
 *      8   4  CRC32C of bytes 12..4095
 *     12   4  format version
 *     16  16  ring UUID
 *     32   8  sequence
 *     40   8  segment size in bytes
 *     48   4  segments in the ring
 *     52   4  epoch in which it was written
 *     56  ..  zero
 *
 * Group (8-byte aligned; never crosses a segment)
 *      0   4  magic "URNG"
 *      4   4  length in bytes: header, entries and zero fill; a multiple of 8
 *      8   4  CRC32C of bytes 0..7 and 12..length-1
 *     12   1  kind: 1 data, 2 pad, 3 mark, 4 epoch
 *     13   3  zero
 *     16   8  ring UUID, short: its first 8 bytes
 *     24   8  LSN of this group
 *     32   8  carried durable LSN: everything below it had been synced when this group was sealed
 *     40   4  epoch
 *     44   4  draws in this group, failed ones included
 *     48   8  engine time, us
 *     56   8  wall time, us since 1970 (for people)
 *     64   8  first request id: of the first draw in this group, or the next one to be given
 *     72  16  chain before this group
 *     88  16  chain after this group:
 *             BLAKE2b-128(chain before || BLAKE2b-256(bytes 0..7, 12..71, 104..length-1))
 *    104  ..  entries
 *
 * Entry (8-byte aligned, inside one group)
 *      0   1  type: 0 none: the rest of the group is zero fill
 *                   1 draws, 2 epoch, 3 update, 4 add, 5 create, 6 open, 7 close, 8 applied,
 *                   9 ids; 10 to 15 are kept for snapshot marks, keys, reservations and expiries
 *      1   1  draws: bytes of an outcome (1, 2 or 4); otherwise 0
 *      2   2  zero
 *      4   4  length of the entry in bytes, this header included; a multiple of 8
 *
 *   Draws: consecutive draws from one pool under one odds version, whoever asked
 *      8   4  pool id
 *     12   4  draws, failed ones included
 *     16   8  odds version
 *     24  ..  one little-endian catalog index a draw; all ones is the escape: a 4-byte count,
 *             1 or more, follows, and so many draws in a row failed. Zero fill to 8 bytes.
 *
 *   Epoch: the only entry of an epoch group
 *      8  16  random nonce
 *     24   8  next request id: ids go on here (never below what came before)
 *
 *   Changes: 3 update an item, 4 add an item, 5 create a pool (closed and unfinished: items follow),
 *   6 open a pool (an unfinished one is finished by it), 7 close a pool (likewise), 8 applied (the
 *   configuration file says this weight; the item stays as it is)
 *      8   4  pool id; of a create: how many pools there were
 *     12   4  item index (update, applied; of an add: how many items the pool had); otherwise 0
 *     16   8  odds version of the pool from here on: one more than before where an item is added to
 *             a finished pool or a weight is set, the same otherwise; 1 of a create
 *     24   8  quantity (-1: unlimited) of an update with flag 1 and of an add; otherwise 0
 *     32   8  weight of an update with flag 2, of an add and of applied; otherwise 0
 *     40   1  flags, of an update: 1 sets the quantity, 2 sets the weight, 4 (only with 2) the
 *             weight is the configuration file's; of an update with flag 2 and of an add also
 *             8: belongs to the same request as a change before it, and the odds version stays
 *     41   1  length of the name: of an add the item's id, of a create the pool's; otherwise 0
 *     42  ..  the name; zero fill to 8 bytes
 *
 *   Ids: request ids are reserved, which lets a server in mode interval or os give them before the
 *   draws that have them are durable (16 bytes)
 *      8   8  the highest request id reserved from here on: above the one before, not below the ids
 *             given so far, below 2^53 - 1. An epoch lets ids go on above it.
 *
 * A group is valid at position x when, in this order,
 *   V1  the magic stands at x, and the length is a multiple of 8, at least 104, and ends inside the
 *       segment and the bytes that are there
 *   V2  the CRC matches
 *   V3  the short ring UUID is ours
 *   V4  its own LSN is x
 *   V5  its chain-before is the chain so far, and its chain-after follows from it
 *   V6  its epoch is not lower than the epoch so far
 *   V7  its carried durable LSN is not above x
 * A group that passes V1 to V4 without regard to position x counts as evidence (wal_reader.h).
 *
 * Shape, checked when a valid group's entries are stepped through (wal_entry_next): the kind is a
 * known one and bytes 13 to 15 are zero; marks and epoch groups begin a page; pads and marks hold
 * nothing but zeros; the one entry of an epoch group is an epoch entry; what remains behind the
 * last entry is zero. A group that is valid and breaks this was sealed by something that is not
 * this program: no torn tail, and never to be written over.
 *
 * Ends and pads: wal_place() below has the rule by which groups are laid out.
 */
#ifndef URN_ENGINE_WAL_FORMAT_H
#define URN_ENGINE_WAL_FORMAT_H

#include "engine/bytes.h"
#include "engine/error.h"
#include "engine/limits.h"

#define WAL_FORMAT_VERSION       1u
#define WAL_SEGMENT_HEADER_BYTES 4096u
#define WAL_GROUP_HEADER_BYTES   104u
#define WAL_ENTRY_HEADER_BYTES   8u
#define WAL_DRAWS_HEADER_BYTES   24u
#define WAL_EPOCH_ENTRY_BYTES    32u
#define WAL_IDS_ENTRY_BYTES      16u
#define WAL_CHANGE_NAME_OFFSET   42u /* of an entry that tells a change: its fixed part */
#define WAL_EPOCH_GROUP_BYTES    (WAL_GROUP_HEADER_BYTES + WAL_EPOCH_ENTRY_BYTES)
#define WAL_ALIGN_BYTES          8u
#define WAL_CHAIN_BYTES          16u
#define WAL_DIGEST_BYTES         32u
#define WAL_UUID_BYTES           16u
#define WAL_NONCE_BYTES          16u
#define WAL_GROUP_MAGIC          0x474e5255u /* "URNG" */

enum wal_group_kind { WAL_DATA = 1, WAL_PAD = 2, WAL_MARK = 3, WAL_EPOCH = 4 };
enum wal_entry_type {
    WAL_ENTRY_NONE = 0,
    WAL_ENTRY_DRAWS = 1,
    WAL_ENTRY_EPOCH = 2,
    WAL_ENTRY_UPDATE = 3,
    WAL_ENTRY_ADD = 4,
    WAL_ENTRY_CREATE = 5,
    WAL_ENTRY_OPEN = 6,
    WAL_ENTRY_CLOSE = 7,
    WAL_ENTRY_APPLIED = 8,
    WAL_ENTRY_IDS = 9,
};

/* Flags of a change. */
enum {
    WAL_SETS_QUANTITY = 1,
    WAL_SETS_WEIGHT = 2,
    WAL_FROM_FILE = 4,
    WAL_CONTINUES = 8,
};

/* ---- where things lie ------------------------------------------------------------------------ */

/* Fixed for the life of a ring. */
struct wal_geometry {
    uint8_t ring_uuid[WAL_UUID_BYTES];
    uint64_t segment_size_bytes;
    uint32_t segments;
};

/* Where a group will lie that is written when the log ends at a position. */
struct wal_placement {
    uint64_t pad_lsn;   /* of the pad group before it; meaningless when pad_bytes is 0 */
    uint32_t pad_bytes; /* 0: no pad group */
    bool new_segment;   /* its segment begins with it: the header page comes first */
    uint64_t group_lsn;
    uint32_t group_bytes; /* length asked for, and zero fill to a segment's end if need be */
    uint64_t end_lsn;     /* where the next group begins (a segment's start is possible) */
};

/* Places a group of length_bytes (a multiple of 8; segment size - 4096 at most) behind end_lsn. An
 * end at a segment's start means that the header page is still to be written. fresh_page: the group
 * must begin a 4 KiB page (marks, epoch groups). Pure arithmetic; any thread.
 *
 * With S the start of end_lsn's segment and E its end:
 *   1. The first free position is end_lsn, or S + 4096, behind the header page, when end_lsn is S.
 *      It leaves at least a header's room (104 bytes) before E: rule 5 sees to that.
 *   2. A group that need not begin a page goes there.
 *   3. One that must goes to the next page boundary at or behind it; but where the pad in between
 *      would be shorter than a header, to the boundary after that: the pad group then fills the
 *      rest of the page and the whole next one. S + 4096 begins a page and needs no pad.
 *   4. A group that would end behind E goes to E + 4096, behind the next segment's header page, and
 *      one pad group fills everything from the first free position to E. So a group has one pad
 *      before it at most: behind a header page the group is on a fresh page as it is.
 *   5. A group that would leave less than a header before E is made longer, by zero fill, up to E.
 *      The caller writes those zeros: group_bytes, not the length asked for, is what is sealed.
 *      (Never a mark or an epoch group: they begin a page, and are far shorter than one.) */
struct wal_placement wal_place(const struct wal_geometry *geometry, uint64_t end_lsn,
                               uint32_t length_bytes, bool fresh_page);

/* The largest group that any segment can hold. */
static inline uint64_t wal_group_bytes_max(uint64_t segment_size_bytes)
{
    return segment_size_bytes - WAL_SEGMENT_HEADER_BYTES;
}

/* Where a walk along the log stands: what the next group must continue. */
struct wal_tail {
    uint64_t lsn;
    uint32_t epoch;
    uint8_t chain[WAL_CHAIN_BYTES];
};

/* ---- segment headers ------------------------------------------------------------------------- */

struct wal_segment_header {
    uint32_t version;
    uint8_t ring_uuid[WAL_UUID_BYTES];
    uint64_t sequence;
    uint64_t segment_size_bytes;
    uint32_t segments;
    uint32_t epoch;
};

/* page has WAL_SEGMENT_HEADER_BYTES. */
void wal_segment_header_write(const struct wal_segment_header *header, uint8_t *page);

/* Why bytes are not what was looked for. WAL_READ_OK is 0. */
enum wal_read_result {
    WAL_READ_OK = 0,
    WAL_READ_ZERO,     /* nothing but zeros where the header would be */
    WAL_READ_LENGTH,   /* V1 */
    WAL_READ_CHECKSUM, /* V2 */
    WAL_READ_FOREIGN,  /* V3: of another ring */
    WAL_READ_PLACE,    /* V4: of another position: an earlier lap, or misplaced */
    WAL_READ_CHAIN,    /* V5 */
    WAL_READ_EPOCH,    /* V6 */
    WAL_READ_DURABLE,  /* V7 */
    WAL_READ_VERSION,  /* segment header: sound, of another format version */
    WAL_READ_SHAPE,    /* sound, but its content breaks the format (zero fill, kind, entries) */
    WAL_READ_RESULTS
};

/* A few words for people ("checksum does not match"). */
const char *wal_read_result_text(enum wal_read_result result);

/* Checks everything the page states by itself: magic, CRC, version, zero fill. */
enum wal_read_result wal_segment_header_read(const uint8_t *page,
                                             struct wal_segment_header *header);

/* A header that stands where tail's segment begins belongs to this ring and to this stretch of the log:
 * WAL_READ_FOREIGN, WAL_READ_SHAPE (another geometry), WAL_READ_PLACE (another sequence) or
 * WAL_READ_EPOCH (lower than tail's) where it does not. */
enum wal_read_result wal_segment_header_follows(const struct wal_segment_header *header,
                                                const struct wal_geometry *geometry,
                                                const struct wal_tail *tail);

/* The header of this sequence stands at page, or its beginnings: for telling a torn one. */
bool wal_segment_header_begins(const uint8_t *page, uint64_t available_bytes, uint64_t sequence);

/* ---- groups ---------------------------------------------------------------------------------- */

struct wal_group_header {
    uint32_t length_bytes;
    enum wal_group_kind kind;
    uint64_t ring_short;
    uint64_t lsn;
    uint64_t durable_lsn;
    uint32_t epoch;
    uint32_t draws;
    uint64_t engine_time_us;
    uint64_t wall_time_us;
    uint64_t first_request_id;
    uint8_t chain_before[WAL_CHAIN_BYTES];
    uint8_t chain_after[WAL_CHAIN_BYTES];
};

/* The first 8 bytes of the UUID, as every group carries them. */
uint64_t wal_ring_short(const uint8_t ring_uuid[WAL_UUID_BYTES]);

/* Seals the group in bytes: entries and zero fill stand from offset 104 to header->length_bytes.
 * Writes the header, computes chain_after (also into *header) and the CRC. Any thread. (libsodium
 * hashes three times as fast after sodium_init(); programs call it first thing, and see digest.h.) */
void wal_group_seal(struct wal_group_header *header, uint8_t *bytes);

/* V1 alone: what the header at bytes says, nothing of it vouched for. available_bytes: how many can
 * be looked at (the header's 104 suffice); room_bytes: how many the group may take. For a reader
 * that has to know how much to read next. */
enum wal_read_result wal_group_peek(const uint8_t *bytes, uint64_t available_bytes,
                                    uint64_t room_bytes, struct wal_group_header *header);

/* V1 (without the segment's end) to V3, by the group alone: for tools, and for the search for
 * evidence at any position. bytes holds available_bytes from the group's first on. V3 is checked
 * against ring_short. */
enum wal_read_result wal_group_read(const uint8_t *bytes, uint64_t available_bytes,
                                    uint64_t ring_short, struct wal_group_header *header);

/* A group that says it belongs at lsn stands at bytes, or its beginnings: to tell a torn one. */
bool wal_group_begins(const uint8_t *bytes, uint64_t available_bytes, uint64_t lsn);

/* V4 to V7 as far as the header alone tells them: everything but that chain_after follows. */
enum wal_read_result wal_group_follows(const struct wal_group_header *header,
                                       const struct wal_tail *tail);

/* The two halves of V5. A group's own bytes, all but its checksum and chain, have a digest, which can be
 * taken of many groups in any order and by several threads; wal_group_join makes the chain of them:
 * V4 to V7 for a group that wal_group_read found whole. On WAL_READ_OK *tail is moved behind it. */
void wal_group_digest(const uint8_t *bytes, uint32_t length_bytes,
                      uint8_t digest[WAL_DIGEST_BYTES]);
enum wal_read_result wal_group_join(const struct wal_group_header *header,
                                    const uint8_t digest[WAL_DIGEST_BYTES], struct wal_tail *tail);

/* How a group of length_bytes lies in the rest_bytes that its segment has from its begin on: one that
 * would leave less than a header's room is filled up to the end (wal_place, rule 5), so that one which
 * does leave it is none that urn writes: WAL_READ_SHAPE. */
static inline enum wal_read_result wal_group_fits(uint32_t length_bytes, uint64_t rest_bytes)
{
    const uint64_t left = rest_bytes - length_bytes;
    return left > 0 && left < WAL_GROUP_HEADER_BYTES ? WAL_READ_SHAPE : WAL_READ_OK;
}

/* V1 to V7 for the group at tail->lsn; available_bytes must not reach beyond the segment's end.
 * On WAL_READ_OK *header is filled and *tail moved behind the group. */
enum wal_read_result wal_group_read_next(const uint8_t *bytes, uint64_t available_bytes,
                                         uint64_t ring_short, struct wal_tail *tail,
                                         struct wal_group_header *header);

/* ---- entries: writing ------------------------------------------------------------------------ */

#define WAL_OUTCOME_WIDTH_MAX 4u

/* Bytes of one outcome in a pool of item_count items: 1, 2 or 4. */
static inline uint32_t wal_outcome_width(uint32_t item_count)
{
    return item_count < 0xff ? 1 : item_count < 0xffff ? 2 : 4;
}

/* The most bytes that one request of count draws can add to a group, a new entry included, when an
 * outcome takes width bytes. A request whose draws begin to fail has failures at its end only (nothing
 * restocks in its midst), so that it needs one escape at most. */
static inline uint64_t wal_draws_bytes_max(uint64_t count, uint32_t width)
{
    return WAL_DRAWS_HEADER_BYTES + round_up_u64((count + 1) * width + 4, WAL_ALIGN_BYTES);
}

/* A change of an item or a pool, as its entry tells it. What a type has no use for is 0. */
struct wal_change {
    enum wal_entry_type type; /* WAL_ENTRY_UPDATE to WAL_ENTRY_APPLIED */
    uint32_t pool_id;
    uint32_t index;
    uint64_t odds_version; /* of the pool, from here on */
    int64_t quantity;
    uint64_t probability;
    uint32_t flags;
    struct urn_text name;
};

/* What the entry of a change with a name of so many bytes takes. */
static inline uint32_t wal_change_bytes(uint32_t name_bytes)
{
    return (uint32_t)round_up_u64(WAL_CHANGE_NAME_OFFSET + (uint64_t)name_bytes, WAL_ALIGN_BYTES);
}

/* Builds the entries of one group in the caller's memory. */
struct wal_entries {
    uint8_t *bytes;          /* of the whole group; entries begin at WAL_GROUP_HEADER_BYTES */
    uint32_t capacity_bytes; /* a multiple of 8 */
    uint32_t used_bytes;     /* end of the last entry, 8-byte aligned; its zero fill is in place */
    uint32_t draws;
    /* the draws entry that can still be extended; 0: none */
    uint32_t open_offset;
    uint32_t open_unaligned_end;       /* where its next outcome goes */
    uint32_t open_failed_count_offset; /* of the failure run at its very end; 0: none */
};

void wal_entries_begin(struct wal_entries *entries, uint8_t *bytes, uint32_t capacity_bytes);

/* Appends draws to the open entry when pool, odds version and width agree, else to a new one.
 * outcomes: catalog indexes or URN_FAILED_DRAW. The caller has made sure of the room
 * (wal_draws_bytes_max). */
void wal_entries_add_draws(struct wal_entries *entries, uint32_t pool_id, uint64_t odds_version,
                           uint32_t width, const uint32_t *outcomes, uint32_t count);

/* Appends a change. The caller has made sure of the room (wal_change_bytes). */
void wal_entries_add_change(struct wal_entries *entries, const struct wal_change *change);

/* The one entry of an epoch group. */
void wal_entries_add_epoch(struct wal_entries *entries, const uint8_t nonce[WAL_NONCE_BYTES],
                           uint64_t next_request_id);

/* Appends a reservation of ids. The caller has made sure of the room (WAL_IDS_ENTRY_BYTES). */
void wal_entries_add_ids(struct wal_entries *entries, uint64_t reserved_request_id);

/* ---- entries: reading ------------------------------------------------------------------------ */

struct wal_entry {
    uint8_t type;    /* enum wal_entry_type, or one that we do not know */
    uint32_t offset; /* in the group */
    uint32_t length_bytes;
    /* draws */
    uint32_t pool_id;
    uint32_t draws;
    uint64_t odds_version;
    uint32_t width;
    const uint8_t *outcomes;
    uint32_t outcomes_bytes;
    /* epoch */
    const uint8_t *nonce;
    uint64_t next_request_id;
    /* ids */
    uint64_t reserved_request_id;
    /* changes; the name points into the group */
    struct wal_change change;
};

static inline bool wal_entry_is_change(uint8_t type)
{
    return type >= WAL_ENTRY_UPDATE && type <= WAL_ENTRY_APPLIED;
}

/* Steps through the entries of a valid group. *offset is 0 at first. Returns WAL_READ_OK and an
 * entry; WAL_READ_ZERO at the end (the rest was zero, as it must be); WAL_READ_SHAPE when the
 * content breaks the format. An unknown type is returned as an entry with its length. Whoever has
 * come to WAL_READ_ZERO has checked the whole shape of the group, its header's included; what is
 * left to apply.h is the meaning. */
enum wal_read_result wal_entry_next(const uint8_t *group, const struct wal_group_header *header,
                                    uint32_t *offset, struct wal_entry *entry);

/* Where ids go on behind a valid group: behind its draws; behind an epoch group, where that says. Ids from an epoch
 * group's first on and below this one were left out there: they are of no draw. */
uint64_t wal_group_end_id(const struct wal_group_header *header, const uint8_t *group);

/* Runs of a draws entry, in order. */
struct wal_outcome_cursor {
    const uint8_t *at, *end;
    uint32_t width;
    uint32_t draws_left;
};

void wal_outcomes_begin(const struct wal_entry *entry, struct wal_outcome_cursor *cursor);

/* The next outcome: an index, with *run 1; or URN_FAILED_DRAW, with *run how many failed. False at
 * the end. wal_entry_next has checked the whole encoding, so that this cannot fail. */
bool wal_outcomes_next(struct wal_outcome_cursor *cursor, uint32_t *outcome, uint32_t *run);

/* The same by longer strides: *drawn points at *run outcomes that lie packed, or is NULL where *run
 * draws in a row failed. */
bool wal_outcomes_next_run(struct wal_outcome_cursor *cursor, const uint8_t **drawn, uint32_t *run);

/* Those packed outcomes, or some of them. */
void wal_outcomes_unpack(const uint8_t *drawn, uint32_t width, uint32_t *outcomes, uint32_t count);

#endif
