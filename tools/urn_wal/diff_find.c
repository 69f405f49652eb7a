/* diff_find.c: see diff_find.h. */
#include "tools/urn_wal/diff_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

/* ---- the first group of a segment ------------------------------------------------------------------- */

/* Reads a group of so many bytes; *got is false where that is not there. */
static enum urn_code read_whole(const struct history *history, struct os_file *file,
                                const struct history_segment *segment, uint32_t length_bytes,
                                struct wal_group_header *header, bool *got, struct urn_error *error)
{
    uint64_t got_bytes = 0;
    uint64_t bad = 0;
    uint8_t *bytes = malloc(length_bytes);
    if (bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot read %s", segment->name);
    const enum urn_code code = history_read(file, segment->name, WAL_SEGMENT_HEADER_BYTES, bytes,
                                            length_bytes, &got_bytes, &bad, error);
    *got = code == URN_OK && got_bytes == length_bytes &&
           wal_group_read(bytes, length_bytes, wal_ring_short(history->geometry.ring_uuid),
                          header) == WAL_READ_OK;
    free(bytes);
    return code;
}

/* *got: the first group of the segment's stretch is whole. */
static enum urn_code first_group(const struct history *history,
                                 const struct history_segment *segment,
                                 struct wal_group_header *header, bool *got,
                                 struct urn_error *error)
{
    const uint64_t room = segment->size_bytes - WAL_SEGMENT_HEADER_BYTES;
    uint8_t bytes[WAL_GROUP_HEADER_BYTES];
    struct os_file *file = NULL;
    uint64_t got_bytes = 0;
    uint64_t bad = 0;
    *got = false;
    const int failure = os_file_open(segment->dir, segment->name, OS_READ, &file);
    if (failure != 0)
        return error_set(error, URN_IO, failure, "cannot open %s", segment->name);
    enum urn_code code = history_read(file, segment->name, WAL_SEGMENT_HEADER_BYTES, bytes,
                                      sizeof bytes, &got_bytes, &bad, error);
    if (code == URN_OK && got_bytes == sizeof bytes &&
        wal_group_peek(bytes, sizeof bytes, room, header) == WAL_READ_OK &&
        header->length_bytes <= GROUP_BYTES_MAX)
        code = read_whole(history, file, segment, header->length_bytes, header, got, error);
    os_file_close(file);
    *got = *got && header->lsn == segment->begin_lsn + WAL_SEGMENT_HEADER_BYTES;
    return code;
}

/* ---- where to begin ---------------------------------------------------------------------------------- */

static bool same_chain(const uint8_t *one, const uint8_t *other)
{
    return memcmp(one, other, WAL_CHAIN_BYTES) == 0;
}

/* The segment of the other history that holds the same stretch; NULL: none does. */
static const struct history_segment *twin_of(const struct history *other,
                                             const struct history_segment *segment)
{
    const struct history_segment *twin = history_at(other, segment->begin_lsn);
    return twin != NULL && twin->begin_lsn == segment->begin_lsn &&
                   twin->size_bytes == segment->size_bytes
               ? twin
               : NULL;
}

/* What the search over segments has seen. */
struct common {
    bool any;            /* a stretch is kept by both */
    bool known;          /* and in one of them, at least, both chains can be read */
    bool same;           /* the chains before from_lsn are the same */
    uint64_t from_lsn;   /* the newest such segment's begin */
    uint64_t oldest_lsn; /* of the oldest that is known, where none is the same */
};

/* From the newest on. */
static enum urn_code find_common(const struct diff_log *diff, struct common *common,
                                 struct urn_error *error)
{
    const struct history *a = diff->sides[SIDE_A].history;
    const struct history *b = diff->sides[SIDE_B].history;
    *common = (struct common){.any = false};
    for (uint32_t index = a->log_count; index > 0 && !common->same; index--) {
        const struct history_segment *segment = &a->segments[index - 1];
        const struct history_segment *twin = twin_of(b, segment);
        struct wal_group_header headers[SIDES];
        bool got[SIDES] = {false};
        if (twin == NULL)
            continue;
        common->any = true;
        enum urn_code code = first_group(a, segment, &headers[SIDE_A], &got[SIDE_A], error);
        if (code == URN_OK)
            code = first_group(b, twin, &headers[SIDE_B], &got[SIDE_B], error);
        if (code != URN_OK)
            return code;
        if (!got[SIDE_A] || !got[SIDE_B])
            continue;
        common->known = true;
        common->same = same_chain(headers[SIDE_A].chain_before, headers[SIDE_B].chain_before);
        common->oldest_lsn = segment->begin_lsn;
        if (common->same)
            common->from_lsn = common->oldest_lsn;
    }
    return URN_OK;
}

/* ---- two walks ---------------------------------------------------------------------------------------- */

static enum urn_code begin_walk(struct diff_side *side, uint64_t lsn, struct urn_error *error)
{
    const enum urn_code code =
        walk_begin(side->history, lsn, UINT64_MAX, 0, SCAN_DIGESTS, &side->walk, error);
    side->walking = code == URN_OK;
    return code;
}

static void note_gap(struct diff_log *diff, struct diff_side *side)
{
    const struct walk_break *gap = &side->walk.gap;
    if (gap->kind == WALK_OVERWRITTEN)
        diff->overtaken = true;
    if (!side->has_gap)
        side->gap = *gap;
    side->has_gap = true;
    if (gap->kind == WALK_MISSING)
        side->missing = true;
    else
        side->damaged = true;
}

static void note_end(struct diff_side *side)
{
    side->ended = true;
    if (!side->walk.end_unreadable)
        return;
    side->damaged = true;
    if (!side->has_gap)
        side->gap = (struct walk_break){.kind = WALK_UNREADABLE,
                                        .from_lsn = side->walk.tail.lsn,
                                        .to_lsn = side->walk.tail.lsn,
                                        .unreadable_lsn = side->walk.end_unreadable_lsn};
    side->has_gap = true;
}

/* To the next group, or to the end. */
static enum urn_code go_on(struct diff_log *diff, struct diff_side *side, struct urn_error *error)
{
    for (;;) {
        switch (walk_next(&side->walk, error)) {
        case WALK_GROUP:
            return URN_OK;
        case WALK_SEGMENT:
            break;
        case WALK_BREAK:
            note_gap(diff, side);
            break;
        case WALK_END:
            note_end(side);
            return URN_OK;
        case WALK_ERROR:
            return error->code;
        }
    }
}

/* Where the side's present group begins, or where it ended. */
static uint64_t place_of(const struct diff_side *side)
{
    return side->ended ? side->walk.tail.lsn : side->walk.item.header.lsn;
}

/* The chain that comes to that place; NULL: not known, for what lies before it cannot be read. */
static const uint8_t *chain_of(const struct diff_side *side)
{
    if (!side->ended)
        return side->walk.item.header.chain_before;
    return side->walk.anchored ? side->walk.tail.chain : NULL;
}

static void part(struct diff_log *diff, enum diff_verdict verdict, uint64_t lsn)
{
    diff->verdict = verdict;
    diff->lsn = lsn;
}

/* Both stand at the same LSN. *done: that decides it. */
static void compare_at(struct diff_log *diff, uint64_t same_up_to_lsn, bool *done)
{
    const struct diff_side *a = &diff->sides[SIDE_A];
    const struct diff_side *b = &diff->sides[SIDE_B];
    const uint64_t lsn = place_of(a);
    const uint8_t *chains[] = {chain_of(a), chain_of(b)};
    *done = true;
    diff->gap_lsn = same_up_to_lsn;
    if (chains[SIDE_A] != NULL && chains[SIDE_B] != NULL &&
        !same_chain(chains[SIDE_A], chains[SIDE_B])) {
        part(diff, DIFF_PARTED_WITHIN, lsn);
    } else if (a->ended && b->ended) {
        part(diff, DIFF_ALIKE, lsn);
    } else if (a->ended || b->ended) {
        diff->shorter = a->ended ? SIDE_A : SIDE_B;
        diff->gap_lsn = lsn;
        part(diff, DIFF_PREFIX, lsn);
    } else if (!same_chain(a->walk.item.header.chain_after, b->walk.item.header.chain_after)) {
        part(diff, DIFF_PARTED, lsn);
    } else {
        *done = false;
        diff->groups++;
    }
}

/* One stands behind the other: it has passed by what it cannot read, and the other catches up; or it cannot,
 * for it has ended. *done: that decides it. */
static enum urn_code catch_up(struct diff_log *diff, uint64_t same_up_to_lsn, bool *done,
                              struct urn_error *error)
{
    struct diff_side *a = &diff->sides[SIDE_A];
    struct diff_side *b = &diff->sides[SIDE_B];
    struct diff_side *behind = place_of(a) < place_of(b) ? a : b;
    if (!behind->ended)
        return go_on(diff, behind, error);
    diff->shorter = behind == a ? SIDE_A : SIDE_B;
    diff->gap_lsn = same_up_to_lsn;
    part(diff, DIFF_PREFIX, place_of(behind));
    *done = true;
    return URN_OK;
}

static enum urn_code walk_both(struct diff_log *diff, struct urn_error *error)
{
    struct diff_side *a = &diff->sides[SIDE_A];
    struct diff_side *b = &diff->sides[SIDE_B];
    uint64_t same_up_to_lsn = diff->from_lsn;
    bool done = false;
    enum urn_code code = go_on(diff, a, error);
    if (code == URN_OK)
        code = go_on(diff, b, error);
    while (code == URN_OK && !done && !diff->overtaken) {
        if (place_of(a) != place_of(b)) {
            code = catch_up(diff, same_up_to_lsn, &done, error);
            continue;
        }
        compare_at(diff, same_up_to_lsn, &done);
        if (done)
            break;
        same_up_to_lsn = a->walk.tail.lsn;
        code = go_on(diff, a, error);
        if (code == URN_OK)
            code = go_on(diff, b, error);
    }
    return code;
}

static enum urn_code keep_group(struct diff_side *side, struct urn_error *error)
{
    const struct scan_item *item = &side->walk.item;
    struct diff_group *group = &side->groups[side->group_count];
    group->bytes = malloc(item->header.length_bytes);
    if (group->bytes == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot show the difference");
    group->header = item->header;
    memcpy(group->bytes, item->bytes, item->header.length_bytes);
    side->group_count++;
    return URN_OK;
}

/* Keeps what the side says from where it stands, for it to be shown. */
static enum urn_code keep_groups(struct diff_log *diff, struct diff_side *side,
                                 struct urn_error *error)
{
    enum urn_code code = URN_OK;
    while (code == URN_OK && !side->ended && side->group_count < DIFF_GROUPS_MAX) {
        code = keep_group(side, error);
        if (code != URN_OK || side->walk.item.header.kind == WAL_DATA)
            break;
        code = go_on(diff, side, error);
    }
    return code;
}

static void stop_walk(struct diff_side *side)
{
    if (side->walking)
        walk_end(&side->walk);
    side->walking = false;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static enum urn_code compare_logs(struct diff_log *diff, const struct common *common,
                                  struct urn_error *error)
{
    diff->from_lsn = common->from_lsn;
    enum urn_code code = URN_OK;
    for (uint32_t side = 0; side < SIDES && code == URN_OK; side++)
        code = begin_walk(&diff->sides[side], common->from_lsn, error);
    if (code == URN_OK)
        code = walk_both(diff, error);
    const bool shows = diff->verdict == DIFF_PARTED || diff->verdict == DIFF_PREFIX;
    for (uint32_t side = 0; side < SIDES && code == URN_OK && shows && !diff->overtaken; side++)
        code = keep_groups(diff, &diff->sides[side], error);
    for (uint32_t side = 0; side < SIDES; side++)
        stop_walk(&diff->sides[side]);
    return code;
}

/* The chain at lsn, as the other's log has it: *got is false where that is not kept, or no group's end. */
static enum urn_code chain_at(struct history *history, uint64_t lsn, uint8_t *chain, bool *got,
                              struct urn_error *error)
{
    const struct history_segment *segment = history_at(history, lsn);
    struct walk walk;
    *got = false;
    if (segment == NULL)
        return URN_OK;
    const uint64_t begin_lsn = segment->begin_lsn;
    enum urn_code code =
        walk_begin(history, begin_lsn, UINT64_MAX, 0, SCAN_CHECKSUMS, &walk, error);
    while (code == URN_OK && !*got) {
        const enum walk_step step = walk_next(&walk, error);
        if (step == WALK_ERROR)
            code = error->code;
        if (step == WALK_END || step == WALK_ERROR)
            break;
        if (step != WALK_GROUP || walk.item.header.lsn + walk.item.header.length_bytes < lsn)
            continue;
        const struct wal_group_header *header = &walk.item.header;
        const bool begins = header->lsn == lsn ||
                            (lsn == begin_lsn && header->lsn - lsn == WAL_SEGMENT_HEADER_BYTES);
        *got = begins || walk.tail.lsn == lsn;
        memcpy(chain, begins ? header->chain_before : header->chain_after, WAL_CHAIN_BYTES);
        break;
    }
    walk_end(&walk);
    return code;
}

/* What the newest snapshot of one side that lies within the other's log says. */
static enum urn_code find_bridge(struct diff_log *diff, uint32_t side, struct urn_error *error)
{
    struct history *mine = diff->sides[side].history;
    struct history *other = diff->sides[1 - side].history;
    for (uint32_t which = 0; which < mine->snapshot_count; which++) {
        const uint64_t lsn = mine->snapshots[which].id.lsn;
        uint8_t chain[WAL_CHAIN_BYTES];
        struct state state;
        bool got = false;
        const enum urn_code code = chain_at(other, lsn, chain, &got, error);
        if (code != URN_OK)
            return code;
        if (!got || (diff->bridge != BRIDGE_NONE && lsn <= diff->lsn))
            continue;
        const enum urn_code loaded = history_load(mine, which, &state, error);
        if (loaded == URN_NOMEMORY)
            return loaded;
        if (loaded != URN_OK)
            continue; /* told where snapshots are compared */
        diff->lsn = lsn;
        diff->bridge_side = side;
        diff->bridge = same_chain(state.tail.chain, chain) ? BRIDGE_SAME : BRIDGE_OTHER;
        state_free(&state);
    }
    return URN_OK;
}

enum urn_code diff_log_find(struct diff_log *diff, struct urn_error *error)
{
    const struct history *a = diff->sides[SIDE_A].history;
    const struct history *b = diff->sides[SIDE_B].history;
    struct common common = {.any = false};
    for (uint32_t side = 0; side < SIDES; side++) {
        const struct history *history = diff->sides[side].history;
        if (history->log_count > 0)
            diff->sides[side].begin_lsn = history->segments[0].begin_lsn;
    }
    if (wal_ring_short(a->geometry.ring_uuid) != wal_ring_short(b->geometry.ring_uuid)) {
        part(diff, DIFF_RINGS, 0);
        return URN_OK;
    }
    enum urn_code code = find_common(diff, &common, error);
    if (code != URN_OK)
        return code;
    if (common.same)
        return compare_logs(diff, &common, error);
    for (uint32_t side = 0; side < SIDES && code == URN_OK && !common.any; side++)
        code = find_bridge(diff, side, error);
    if (!common.any) {
        diff->verdict = DIFF_APART;
        return code;
    }
    part(diff, common.known ? DIFF_PARTED_BELOW : DIFF_UNKNOWN, common.oldest_lsn);
    return URN_OK;
}

void diff_log_free(struct diff_log *diff)
{
    for (uint32_t i = 0; i < SIDES; i++) {
        struct diff_side *side = &diff->sides[i];
        stop_walk(side);
        for (uint32_t group = 0; group < side->group_count; group++)
            free(side->groups[group].bytes);
        *side = (struct diff_side){.history = side->history};
    }
}
