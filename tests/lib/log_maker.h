/* log_maker.h: makes logs for tests, group by group, in a ring of files of the simulated system.
 *
 * It knows the format's rules only through wal_format.h, and lays groups out by wal_place() as the
 * engine does, but has no engine: what it writes may be as wrong as a test wants it.
 */
#ifndef URN_TESTS_LOG_MAKER_H
#define URN_TESTS_LOG_MAKER_H

#include "engine/data_dir.h"
#include "tests/lib/os_sim.h"

#define LOG_MAKER_PATH "log"

struct log_maker {
    struct sim_world *world;
    struct data_dir data_dir;
    struct wal_tail tail;      /* of the log made so far */
    uint64_t durable_lsn;      /* what the next groups carry */
    uint64_t first_request_id; /* of the next group */
    uint64_t engine_time_us;
    uint8_t *group;             /* the bytes of the last one made; room for the largest */
    struct wal_entries entries; /* being filled for the next data group */
};

/* A directory "log" with a ring of zeros in a new world. Fails the test on any error. */
void log_maker_begin(struct log_maker *maker, uint64_t segment_size_bytes, uint32_t segments);
void log_maker_end(struct log_maker *maker);

/* Starts entries in maker->entries (wal_entries_add_... may follow). */
void log_maker_entries(struct log_maker *maker);

/* Closes the entries begun into a group of this kind (extended by zeros to length_bytes, if that is
 * more), behind pad and segment header where they are due; marks and epoch groups go to a fresh
 * page. Returns its LSN. */
uint64_t log_maker_add(struct log_maker *maker, enum wal_group_kind kind, uint32_t length_bytes);

/* The short ways: a data group of so many draws of item 0 of pool 0; a mark; an epoch group that
 * raises the epoch by 1. */
uint64_t log_maker_draws(struct log_maker *maker, uint32_t draws);
uint64_t log_maker_mark(struct log_maker *maker);
uint64_t log_maker_epoch(struct log_maker *maker);

/* What log_maker_add would seal next at the present end, for tests that seal by hand. */
struct wal_group_header log_maker_header(const struct log_maker *maker, enum wal_group_kind kind,
                                         uint32_t length_bytes);

/* Writes bytes at a position of the log, as they are. */
void log_maker_write(struct log_maker *maker, uint64_t lsn, const void *bytes, size_t length_bytes);

/* Writes a segment header at a segment's start, as given. */
void log_maker_segment_header(struct log_maker *maker, uint64_t lsn,
                              const struct wal_segment_header *header);
struct wal_segment_header log_maker_segment_header_due(const struct log_maker *maker, uint64_t lsn);

/* Where a position of the log lies: the path for os_sim.h's functions, and the offset. */
const char *log_maker_path(const struct log_maker *maker, uint64_t lsn);
uint64_t log_maker_offset(const struct log_maker *maker, uint64_t lsn);

void log_maker_flip(struct log_maker *maker, uint64_t lsn);       /* a bit of the byte there */
void log_maker_unreadable(struct log_maker *maker, uint64_t lsn); /* the sector there */

#endif
