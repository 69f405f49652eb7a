/* wal_reader.h: reading the ring: the walk along the log, and the search for evidence. The one
 * reader of server, tools and tests. It reads through the seam's files, never through the mapping,
 * so that an unreadable sector is an error value.
 */
#ifndef URN_ENGINE_WAL_READER_H
#define URN_ENGINE_WAL_READER_H

#include "engine/data_dir.h"
#include "engine/helper.h"

/* Opens segment files on demand and buffers what it reads. */
struct wal_reader;

/* A reader of data_dir's ring that begins at *tail (a snapshot's, usually). data_dir must outlive
 * it. */
enum urn_code wal_reader_open(const struct data_dir *data_dir, const struct wal_tail *tail,
                              struct wal_reader **reader, struct urn_error *error);
void wal_reader_close(struct wal_reader *reader);

/* Before the first step: digests (the second half of V5) are not checked by wal_reader_next any more, but
 * behind the walk, by the helper. That half is the one that takes longest, and the one that no torn or
 * stale group comes to, because the checksum stands before it. So the walk may go on with what such a
 * group says; but nothing of it is to be believed before wal_reader_settle has been asked. */
void wal_reader_defer_digests(struct wal_reader *reader, struct helper *helper);

/* After the walk; waits. False: there is a group among those walked whose digest is not what it says, and
 * the log ends there. A walk from the beginning without deferring finds it. */
bool wal_reader_settle(struct wal_reader *reader);

/* What stands at the position the walk has come to. */
enum wal_step {
    WAL_STEP_GROUP,      /* a valid group; the walk has moved behind it */
    WAL_STEP_INVALID,    /* nothing valid at this position; see wal_reader_why */
    WAL_STEP_UNREADABLE, /* a sector there cannot be read (EIO) */
    WAL_STEP_ERROR,      /* the reader itself failed: *error */
};

/* Goes on by one group. Segment headers are stepped over where they are valid (ring, geometry,
 * sequence and an epoch not lower than the walk's, which then rises to it); one that is not is
 * WAL_STEP_INVALID or WAL_STEP_UNREADABLE at the segment's start. *group points at the group's
 * bytes, valid until the next call.
 *
 * WAL_STEP_UNREADABLE, where *error says which file and where: the header page, or a group that
 * begins here and by its own header continues the log, touches a sector that cannot be read. Bad
 * sectors behind the group, met by reading ahead, are none of its business. A walk that has come to
 * an end can be asked again, and looks again: beside a running server more may stand there. */
enum wal_step wal_reader_next(struct wal_reader *reader, struct wal_group_header *header,
                              const uint8_t **group, struct urn_error *error);

/* Where the walk stands: behind the last valid group (or segment header). */
const struct wal_tail *wal_reader_tail(const struct wal_reader *reader);

/* Of the groups walked (and where the walk began): the highest carried durable LSN. */
uint64_t wal_reader_durable_lsn(const struct wal_reader *reader);

/* After WAL_STEP_INVALID: which rule was broken at the position. A segment header that is sound but
 * says WAL_READ_VERSION or WAL_READ_SHAPE was written by something that is not this program, and is
 * no torn tail. */
enum wal_read_result wal_reader_why(const struct wal_reader *reader);

/* What the whole ring says about a position x at which the walk ended. Every 8-byte position of
 * every slot is tried for a whole group of this ring (V1 to V3, and a place that fits its own LSN:
 * slot and offset), whatever the segment headers say.
 *
 * Positions inside other groups are tried too: the outer one may be a stray, or its length a lie.
 * It does no harm. What passes was once sealed by this ring for this very place, however long ago,
 * and a durable LSN once carried is true for ever. A client cannot make such bytes up inside a
 * group: names in the log are 64 bytes at most, a header has 104, and the ring's UUID is random. */
struct wal_evidence {
    uint64_t durable_lsn_max;     /* highest that any such group carries */
    uint64_t durable_witness_lsn; /* of the group that carries it */
    uint64_t groups_beyond;       /* such groups at an LSN >= x: never durable unless evidence */
    uint32_t groups_beyond_epoch_max; /* their highest; below the walk's: an earlier start has
                                         discarded them, and they lie about since */
    uint32_t epoch_max;               /* highest epoch of any such group */
    bool torn_at_x;      /* at x stand the beginnings of the group or segment header of this very
                            position (magic and LSN or sequence), which is not whole */
    bool nonzero_beyond; /* a byte that is not zero between x and its segment's end: of a torn
                            group, of an earlier lap, or of what an earlier start discarded */
    bool unreadable;     /* a sector somewhere in the ring cannot be read: the first one */
    char unreadable_file[DATA_DIR_NAME_MAX];
    uint64_t unreadable_offset;
};

/* A search in two steps, so that most of it can be done before x is known, beside the loading of a
 * snapshot and the walk: pieces of the ring in which no group lies at or beyond from_lsn say the same
 * whatever x is, as long as it is not below from_lsn; if it is, all is searched at the end. The helper
 * begins with it, and has other jobs behind it; without one it is done at once as far as it can be, so
 * that a start goes one way with one thread and with two. What it fails of is told at the end. data_dir
 * must outlive it. */
struct wal_search;
enum urn_code wal_search_begin(const struct data_dir *data_dir, uint64_t from_lsn,
                               struct helper *helper, struct wal_search **search,
                               struct urn_error *error);

/* The rest of it, by both threads; the helper has no other job meanwhile. Once. What stands behind x, by which
 * nothing is decided, is not looked at: nonzero_beyond stays false. */
enum urn_code wal_search_end(struct wal_search *search, uint64_t x, struct wal_evidence *evidence,
                             struct urn_error *error);

/* Waits for the helper. search may be NULL. */
void wal_search_free(struct wal_search *search);

/* Both steps at once, and what stands behind x. */
enum urn_code wal_search_evidence(const struct data_dir *data_dir, uint64_t x,
                                  struct helper *helper, struct wal_evidence *evidence,
                                  struct urn_error *error);

/* The same but for what lies in [known_lsn, x), a ring's length at most: it is passed over, because the caller
 * has walked it and knows what its groups say, which is then not in *evidence. For who walks much. */
enum urn_code wal_search_evidence_but(const struct data_dir *data_dir, uint64_t known_lsn,
                                      uint64_t x, struct helper *helper,
                                      struct wal_evidence *evidence, struct urn_error *error);

/* Reads bytes of the log as they are, across segments: for the rewriting of the tail. */
enum urn_code wal_read_bytes(const struct data_dir *data_dir, uint64_t lsn, void *to,
                             size_t length_bytes, struct urn_error *error);

#endif
