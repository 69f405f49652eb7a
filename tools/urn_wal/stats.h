/* stats.h: the figures of a log. */
#ifndef URN_TOOLS_URN_WAL_STATS_H
#define URN_TOOLS_URN_WAL_STATS_H

#include "tools/urn_wal/names.h"
#include "tools/urn_wal/odds_stats.h"

/* Entries by type, and what else the log is made of. */
enum stats_type {
    STATS_DRAWS,
    STATS_UPDATE,
    STATS_ADD,
    STATS_CREATE,
    STATS_OPEN,
    STATS_CLOSE,
    STATS_APPLIED,
    STATS_IDS,
    STATS_UNKNOWN,
    STATS_EPOCHS,
    STATS_GROUP_HEADERS,
    STATS_ZERO_FILL, /* behind the entries of groups */
    STATS_PADS,
    STATS_MARKS,
    STATS_SEGMENT_HEADERS,
    STATS_TYPES
};
extern const char *const stats_type_names[STATS_TYPES];

struct stats_count {
    uint64_t count;
    uint64_t bytes;
};

struct stats_pool {
    uint64_t draws;
    uint64_t failed;
    uint64_t entries; /* of draws */
    uint64_t bytes;   /* of those entries */
    uint64_t changes;
};

/* How many values lay between 2^i and 2^(i+1); 0 counts with 1. */
#define HISTOGRAM_BUCKETS 64u
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t values;
};

/* Draws over time: equal stretches between the first group and the last. */
#define TIMELINE_CELLS 24u

struct stats {
    uint64_t first_lsn, end_lsn;
    bool has_times;                       /* any group tells one */
    uint64_t first_time_us, last_time_us; /* wall */
    uint64_t first_id, next_id;
    uint64_t groups; /* data groups */
    uint64_t draws, failed;
    struct stats_count types[STATS_TYPES];
    struct stats_pool *pools; /* by number */
    uint32_t pool_count;
    struct histogram group_bytes; /* data groups */
    struct histogram group_draws;
    struct histogram pause_us; /* engine time between two data groups, one behind the other */
    uint64_t longest_pause_us; /* and before which group */
    uint64_t longest_pause_lsn;
    uint64_t timeline[TIMELINE_CELLS];
    uint64_t timeline_us; /* of a cell */
    struct odds_stats odds;
    bool damaged, missing;
};

/* Counts the whole log. Of each period of odds rows_max rows are kept. What is damaged or missing is told to
 * notes and passed by. On URN_OK the caller has to stats_free(). Errors: URN_IO, URN_NOMEMORY. */
enum urn_code stats_collect(struct history *history, uint32_t rows_max, FILE *notes,
                            struct stats *stats, struct urn_error *error);
void stats_free(struct stats *stats);

/* pool: only this one's periods; NULL: all. width: columns of the terminal. */
void stats_print_text(const struct stats *stats, const struct names *names, const char *pool,
                      uint32_t width, FILE *out);
bool stats_print_json(const struct stats *stats, const struct names *names, const char *pool,
                      FILE *out);

#endif
