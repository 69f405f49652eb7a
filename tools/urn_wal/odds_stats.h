/* odds_stats.h: how often items were drawn, against how often they should have been.
 *
 * At each draw an item in stock has the chance weight / W, W being the sum of the weights in stock. Summed over
 * the draws of one pool under one odds version, which is a *period*, that is how often it is expected. W changes
 * only when an item runs out or comes back, so the sum is kept as an exposure E = sum of 1 / W over the draws: an
 * item in stock from E1 to E2 was expected weight x (E2 - E1) times. That needs the stock, and so a state: from a
 * snapshot, moved along the log. Where there is none, draws are only counted.
 *
 * The chi-square of a period is the sum of (drawn - expected)^2 / expected over its items; items expected less
 * than 5 times are put together into one, which counts if it then is. Degrees of freedom: one less than terms.
 */
#ifndef URN_TOOLS_URN_WAL_ODDS_STATS_H
#define URN_TOOLS_URN_WAL_ODDS_STATS_H

#include "engine/state.h"

struct odds_row {
    uint32_t index;
    uint64_t drawn;
    double expected;
};

/* One that has ended. */
struct odds_period {
    uint32_t pool_id;
    uint64_t odds_version;
    uint64_t from_lsn; /* of its first group */
    uint64_t draws;    /* failed ones included */
    uint64_t failed;
    bool has_expected;
    uint32_t
        items; /* of the pool then; without a state: those that were drawn, up to the highest */
    uint32_t terms; /* of chi_square; below 2: there is none */
    double chi_square;
    struct odds_row
        *rows; /* in the order of the catalog: all of them, or those that stand out most */
    uint32_t row_count;
};

struct odds_stats {
    struct odds_period *periods; /* in the order in which they ended */
    uint32_t period_count;
    /* private */
    uint32_t period_room;
    uint32_t rows_max; /* of a period */
    struct state state;
    bool has_state;
    struct open_period *open; /* by pool */
    uint32_t open_room;
};

/* rows_max: how many rows of each period are kept. */
void odds_begin(struct odds_stats *stats, uint32_t rows_max);
void odds_end(struct odds_stats *stats);

/* From here on the stock is known: takes the state over. */
void odds_anchor(struct odds_stats *stats, struct state *state);
bool odds_is_anchored(const struct odds_stats *stats);

/* What comes now does not follow from what came before. Errors: URN_NOMEMORY. */
enum urn_code odds_break(struct odds_stats *stats, struct urn_error *error);

/* An entry of the group at lsn, in the order of the log: draws, or a change. One that the stock cannot bear
 * ends the knowledge of it. Errors: URN_NOMEMORY. */
enum urn_code odds_take(struct odds_stats *stats, uint64_t lsn, const struct wal_entry *entry,
                        struct urn_error *error);

/* Ends all periods that are open. Errors: URN_NOMEMORY. */
enum urn_code odds_finish(struct odds_stats *stats, struct urn_error *error);

#endif
