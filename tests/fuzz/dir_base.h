/* dir_base.h: sound data directories in simulated worlds, made by an engine, and what is known of them: what
 * fuzz_dir.c begins with, and holds the outcome against. */
#ifndef URN_TESTS_FUZZ_DIR_BASE_H
#define URN_TESTS_FUZZ_DIR_BASE_H

#include "engine/data_dir.h"
#include "engine/state.h"
#include "tests/lib/os_sim.h"

#define DIR_PATH       "log"
#define DIR_ARCHIVE    "archive"
#define DIR_AS_IT_WAS  "was" /* a copy of the ring and its snapshots */
#define DIR_FILES_MAX  48u
#define DIR_PATH_BYTES (SIM_EVENT_NAME + 16u)

enum dir_kind {
    DIR_FIRST_LAP, /* snapshot 0, three epochs, changes; most of the ring still free */
    DIR_LAPPED, /* around a ring of 4 segments, two snapshots, a segment's begin behind the older */
    DIR_ARCHIVED, /* around twice, two snapshots of one LSN, and all of the log in an archive */
    DIR_KINDS
};

/* A group of the log, from the older of the two newest snapshots on. */
struct dir_group {
    uint64_t lsn;
    uint32_t length_bytes;
    uint64_t durable_lsn; /* that it carries */
    uint8_t chain_before[WAL_CHAIN_BYTES];
};

/* A state that the log came to: behind a group, or at the older snapshot. */
struct dir_moment {
    uint64_t lsn;
    uint8_t digest[32];
};

struct dir_base {
    struct sim_world *world; /* nobody lives in it: to be cloned */
    struct wal_geometry geometry;
    char files[DIR_FILES_MAX]
              [DIR_PATH_BYTES]; /* of directory and archive, in order of their names */
    uint32_t file_count;
    struct dir_group *groups;
    struct dir_moment *moments; /* one more than groups */
    uint32_t group_count;
};

/* The base of this kind, made when it is first asked for; there to the program's end. */
const struct dir_base *dir_base(enum dir_kind kind);

/* Of a state without its place (a segment's header page moves LSN and epoch, and changes nothing else): all
 * pools, ids, times and the chain. */
void dir_state_digest(const struct state *state, const struct wal_geometry *geometry,
                      uint8_t digest[32]);

/* The state behind which the log's end is at lsn; NULL: there is none. */
const struct dir_moment *dir_base_moment(const struct dir_base *base, uint64_t lsn);

#endif
