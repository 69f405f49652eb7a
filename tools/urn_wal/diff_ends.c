/* diff_ends.c: see diff_ends.h. */
#include "tools/urn_wal/diff_ends.h"

#include "tools/urn_wal/replay_build.h"

static enum urn_code build(struct replay *replay, struct diff_end *end, struct urn_error *error)
{
    const enum urn_code code = replay_build(replay, error);
    end->reached = code == URN_OK && replay->outcome == REPLAY_REACHED;
    if (end->reached) {
        end->lsn = replay->state.tail.lsn;
        end->next_request_id = replay->state.next_request_id;
    } else if (code == URN_OK) {
        replay_tell(replay);
    }
    return code;
}

enum urn_code diff_ends_compare(struct history *a, struct history *b, FILE *notes,
                                struct diff_ends *ends, struct urn_error *error)
{
    struct replay of_a = {.history = a, .notes = notes};
    struct replay of_b = {.history = b, .notes = notes};
    *ends = (struct diff_ends){.differences.count = 0};
    enum urn_code code = build(&of_a, &ends->sides[SIDE_A], error);
    if (code == URN_OK)
        code = build(&of_b, &ends->sides[SIDE_B], error);
    if (code == URN_OK && ends->sides[SIDE_A].reached && ends->sides[SIDE_B].reached)
        state_compare_pools(&of_a.state, &of_b.state, &ends->differences);
    replay_end(&of_b);
    replay_end(&of_a);
    return code;
}
