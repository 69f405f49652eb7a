/* whole_dir.h: data directories in a simulated world as wholes: what state a start would find in one, whether
 * one starts, and making one durable or gone. */
#ifndef URN_TESTS_WHOLE_DIR_H
#define URN_TESTS_WHOLE_DIR_H

#include "engine/data_dir.h"
#include "tests/lib/os_sim.h"

/* The canonical serialisation of the state that a start comes to. */
struct whole_dir_text {
    uint8_t *bytes;
    size_t length;
    uint64_t lsn;
    uint64_t next_request_id;
    struct wal_geometry geometry;
};

/* Fails the test unless a start would go on. Changes nothing. */
struct whole_dir_text whole_dir_read(struct urn_os *os, const char *path);
void whole_dir_free(struct whole_dir_text *text);

enum whole_dir_compare {
    WHOLE_DIR_ALL,     /* to the byte */
    WHOLE_DIR_RESIZED, /* all but the ring's size and number of segments, and the LSN */
    WHOLE_DIR_POOLS,   /* the pools only: names, items, stock, odds versions, counts */
};
void whole_dir_assert_same(const struct whole_dir_text *one, const struct whole_dir_text *other,
                           enum whole_dir_compare compare);

/* Opens it as a server with this geometry (its own where it has one) would, and closes it. */
enum urn_code whole_dir_start(struct urn_os *os, const char *path, bool create,
                              struct urn_error *error);

/* Makes all that is in it durable. */
void whole_dir_settle(struct sim_world *world, const char *path);

/* Removes all that is in it. */
void whole_dir_remove(struct sim_world *world, const char *path);

#endif
