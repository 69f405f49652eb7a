/* diff.c: `urn-wal diff`: where two histories part, and what each says there; snapshots of one moment that
 * differ.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"
#include "engine/identity.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/diff_ends.h"
#include "tools/urn_wal/diff_find.h"
#include "tools/urn_wal/diff_lines.h"
#include "tools/urn_wal/diff_state.h"
#include "tools/urn_wal/output.h"

#define SHOWN_LINES 3u /* of what each says, from where they differ */

struct diff_options {
    bool json;
};

static const struct option_row rows[] = {
    {"--json", NULL, offsetof(struct diff_options, json), NULL},
    {.name = NULL},
};

/* A snapshot of one LSN in both. */
struct snapshot_pair {
    uint64_t lsn;
    struct state_differences differences;
};

struct diff {
    const struct tool *tool;
    struct history histories[SIDES];
    const char *names[SIDES]; /* the operands */
    struct diff_log log;
    struct diff_ends ends;              /* of DIFF_RINGS */
    char *says[SIDES][DIFF_GROUPS_MAX]; /* the lines of the groups at which they part */
    struct line_split split;            /* of what the last of them hold */
    uint64_t same_lsn;                  /* of the newest snapshot that both have, and the same */
    uint32_t snapshots_same;            /* of those that both have */
    struct snapshot_pair *pairs;        /* of those, the ones that differ */
    uint32_t pair_count;
    bool snapshot_damaged;
    bool overtaken;
};

static const char side_names[SIDES] = {'A', 'B'};

/* ---- snapshots -------------------------------------------------------------------------------------- */

/* The other side's snapshot of this LSN, the newest of several; the count: it has none. */
static uint32_t snapshot_at(const struct history *history, uint64_t lsn)
{
    uint32_t found = history->snapshot_count;
    for (uint32_t i = 0; i < history->snapshot_count; i++)
        if (history->snapshots[i].id.lsn == lsn &&
            (found == history->snapshot_count ||
             history->snapshots[i].id.serial > history->snapshots[found].id.serial))
            found = i;
    return found;
}

/* *loaded is false, and said why, where the file is to blame. */
static enum urn_code load(struct diff *diff, uint32_t side, uint32_t which, struct state *state,
                          bool *loaded, struct urn_error *error)
{
    struct history *history = &diff->histories[side];
    const enum urn_code code = history_load(history, which, state, error);
    *loaded = code == URN_OK;
    if (code == URN_OK || code == URN_NOMEMORY)
        return code;
    if (history_lost(history, code, error)) {
        diff->overtaken = true;
        return URN_OK;
    }
    diff->snapshot_damaged = true;
    (void)fprintf(diff->tool->notes, "urn-wal: %c: %s\n", side_names[side], error->text);
    return URN_OK;
}

static enum urn_code keep_pair(struct diff *diff, const struct state *a, const struct state *b,
                               struct urn_error *error)
{
    struct snapshot_pair *larger =
        realloc(diff->pairs, (diff->pair_count + 1) * sizeof *diff->pairs);
    if (larger == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot compare snapshots");
    diff->pairs = larger;
    struct snapshot_pair *pair = &diff->pairs[diff->pair_count];
    pair->lsn = a->tail.lsn;
    state_compare(a, b, &pair->differences);
    if (pair->differences.count > 0) {
        diff->pair_count++;
        return URN_OK;
    }
    diff->snapshots_same++;
    if (pair->lsn > diff->same_lsn)
        diff->same_lsn = pair->lsn;
    return URN_OK;
}

static enum urn_code compare_pair(struct diff *diff, uint32_t in_a, uint32_t in_b,
                                  struct urn_error *error)
{
    struct state a;
    struct state b;
    bool has_a = false;
    bool has_b = false;
    enum urn_code code = load(diff, SIDE_A, in_a, &a, &has_a, error);
    if (code == URN_OK && has_a)
        code = load(diff, SIDE_B, in_b, &b, &has_b, error);
    if (code == URN_OK && has_a && has_b)
        code = keep_pair(diff, &a, &b, error);
    if (has_b)
        state_free(&b);
    if (has_a)
        state_free(&a);
    return code;
}

static enum urn_code compare_snapshots(struct diff *diff, struct urn_error *error)
{
    const struct history *a = &diff->histories[SIDE_A];
    const struct history *b = &diff->histories[SIDE_B];
    enum urn_code code = URN_OK;
    for (uint32_t i = 0; i < a->snapshot_count && code == URN_OK && !diff->overtaken; i++) {
        const uint64_t lsn = a->snapshots[i].id.lsn;
        const uint32_t in_b = snapshot_at(b, lsn);
        if (snapshot_at(a, lsn) == i && in_b < b->snapshot_count)
            code = compare_pair(diff, i, in_b, error);
    }
    return code;
}

static enum urn_code compare_ends(struct diff *diff, struct urn_error *error)
{
    return diff_ends_compare(&diff->histories[SIDE_A], &diff->histories[SIDE_B], diff->tool->notes,
                             &diff->ends, error);
}

/* ---- the looking ------------------------------------------------------------------------------------ */

/* What the last of a side's groups holds: its lines but the first, which is on the group itself. */
static const char *content_of(const struct diff *diff, uint32_t side)
{
    const uint32_t count = diff->log.sides[side].group_count;
    return count == 0 ? "" : diff_next_line(diff->says[side][count - 1]);
}

/* The lines of the groups at which they part. What is in them may be alike for a while. */
static enum urn_code make_lines(struct diff *diff, struct urn_error *error)
{
    enum urn_code code = URN_OK;
    diff->split = (struct line_split){.line = 0};
    for (uint32_t side = 0; side < SIDES && code == URN_OK; side++)
        code = diff_group_lines(&diff->histories[side], diff->log.sides[side].groups,
                                diff->log.sides[side].group_count, diff->says[side], error);
    if (code == URN_OK)
        diff->split = diff_first_line(content_of(diff, SIDE_A), content_of(diff, SIDE_B));
    return code;
}

static void forget(struct diff *diff)
{
    diff_log_free(&diff->log);
    for (uint32_t side = 0; side < SIDES; side++)
        for (uint32_t group = 0; group < DIFF_GROUPS_MAX; group++) {
            free(diff->says[side][group]);
            diff->says[side][group] = NULL;
        }
    free(diff->pairs);
    diff->pairs = NULL;
    diff->pair_count = diff->snapshots_same = 0;
    diff->same_lsn = 0;
    diff->snapshot_damaged = diff->overtaken = false;
}

static enum urn_code look(struct diff *diff, struct urn_error *error)
{
    forget(diff);
    diff->log = (struct diff_log){.lsn = 0};
    for (uint32_t side = 0; side < SIDES; side++)
        diff->log.sides[side].history = &diff->histories[side];
    enum urn_code code = diff_log_find(&diff->log, error);
    diff->overtaken = diff->log.overtaken;
    if (code == URN_OK && !diff->overtaken)
        code = diff->log.verdict == DIFF_RINGS ? compare_ends(diff, error)
                                               : compare_snapshots(diff, error);
    if (code == URN_OK && !diff->overtaken)
        code = make_lines(diff, error);
    return code;
}

/* Beside a server that overwrites what is being compared, by a new look. */
static enum urn_code look_again(struct diff *diff, struct urn_error *error)
{
    enum { LOOKS_MAX = 8 };
    for (int looks = 1;; looks++) {
        enum urn_code code = look(diff, error);
        if (code != URN_OK || !diff->overtaken || looks == LOOKS_MAX)
            return code;
        diff_log_free(&diff->log);
        for (uint32_t side = 0; side < SIDES && code == URN_OK; side++)
            code = history_refresh(&diff->histories[side], error);
        if (code != URN_OK)
            return code;
    }
}

/* ---- the verdict ------------------------------------------------------------------------------------ */

static const char *const verdict_words[] = {
    [DIFF_ALIKE] = "alike",
    [DIFF_PREFIX] = "prefix",
    [DIFF_PARTED] = "parted",
    [DIFF_PARTED_BELOW] = "parted below",
    [DIFF_PARTED_WITHIN] = "parted within damage",
    [DIFF_RINGS] = "different rings",
    [DIFF_APART] = "nothing in common is kept",
    [DIFF_UNKNOWN] = "cannot be read",
};

/* Neither has any log: snapshots are all there is. */
static bool has_log(const struct diff *diff)
{
    return diff->histories[SIDE_A].log_count > 0 || diff->histories[SIDE_B].log_count > 0;
}

static bool is_damaged(const struct diff *diff)
{
    return diff->snapshot_damaged || diff->log.sides[SIDE_A].damaged ||
           diff->log.sides[SIDE_B].damaged || diff->log.verdict == DIFF_UNKNOWN;
}

static bool is_missing(const struct diff *diff)
{
    if (diff->log.verdict == DIFF_APART && (has_log(diff) || diff->snapshots_same == 0))
        return diff->log.bridge != BRIDGE_OTHER;
    return diff->overtaken || diff->log.sides[SIDE_A].missing || diff->log.sides[SIDE_B].missing;
}

static enum exit_status status_of(const struct diff *diff)
{
    const enum diff_verdict verdict = diff->log.verdict;
    if (!diff->overtaken &&
        (verdict == DIFF_PREFIX || verdict == DIFF_PARTED || verdict == DIFF_PARTED_BELOW ||
         verdict == DIFF_PARTED_WITHIN || verdict == DIFF_RINGS || diff->pair_count > 0 ||
         (verdict == DIFF_APART && diff->log.bridge == BRIDGE_OTHER)))
        return EXIT_DIFFERS;
    if (is_damaged(diff))
        return EXIT_DAMAGE;
    return is_missing(diff) ? EXIT_MISSING : EXIT_SOUND;
}

/* ---- notes ------------------------------------------------------------------------------------------- */

/* What could not be read of either: the first place. */
static void note_damage(const struct diff *diff)
{
    for (uint32_t side = 0; side < SIDES; side++) {
        const struct diff_side *of = &diff->log.sides[side];
        const struct history *history = &diff->histories[side];
        char what[BREAK_TEXT_BYTES];
        char place[PLACE_TEXT_BYTES];
        if (!of->has_gap)
            continue;
        break_text(history, &of->gap, 0, 0, what);
        (void)fprintf(diff->tool->notes, "urn-wal: %c: LSN %" PRIu64 " (%s): %s\n",
                      side_names[side], of->gap.from_lsn,
                      history_place(history, of->gap.from_lsn, place), what);
    }
    if (diff->overtaken)
        (void)fprintf(diff->tool->notes,
                      "urn-wal: a server writes over the log faster than it can be compared\n");
}

/* ---- text -------------------------------------------------------------------------------------------- */

static void print_range(const struct diff *diff, uint32_t side, FILE *out)
{
    const struct history *history = &diff->histories[side];
    if (history->log_count == 0)
        (void)fprintf(out, "%c  %s: no log, %" PRIu32 " snapshot%s\n", side_names[side],
                      diff->names[side], history->snapshot_count,
                      history->snapshot_count == 1 ? "" : "s");
    else
        (void)fprintf(out, "%c  %s: the log from LSN %" PRIu64 " on%s\n", side_names[side],
                      diff->names[side], diff->log.sides[side].begin_lsn,
                      history->live ? ", in use: as far as it is durable" : "");
}

static void print_line(const char *line, FILE *out)
{
    (void)fprintf(out, "    %.*s\n", (int)diff_line_length(line), line);
}

static void print_says(const struct diff *diff, uint32_t side, FILE *out)
{
    const char *line = side == SIDE_A ? diff->split.a : diff->split.b;
    const uint32_t groups = diff->log.sides[side].group_count;
    if (groups == 0) {
        (void)fprintf(out, "%c ends there\n", side_names[side]);
        return;
    }
    (void)fprintf(out, "%c says:\n", side_names[side]);
    for (uint32_t group = 0; group < groups; group++)
        print_line(diff->says[side][group], out);
    if (diff->split.line > 0)
        (void)fprintf(out, "    ... %" PRIu64 " line%s alike\n", diff->split.line,
                      diff->split.line == 1 ? "" : "s");
    for (uint32_t i = 0; i < SHOWN_LINES && *line != 0; i++, line = diff_next_line(line))
        print_line(line, out);
    const uint64_t more = diff_count_lines(line);
    if (more > 0)
        (void)fprintf(out, "    ... and %" PRIu64 " more\n", more);
}

static void print_apart(const struct diff *diff, FILE *out)
{
    const struct diff_log *log = &diff->log;
    if (!has_log(diff))
        return;
    (void)fprintf(out, "no stretch of the log is kept by both\n");
    if (log->bridge == BRIDGE_NONE)
        (void)fprintf(out,
                      "and no snapshot of one lies within the log of the other: they cannot be "
                      "compared\n");
    else
        (void)fprintf(out, "the snapshot of LSN %" PRIu64 " of %c %s the log of %c: %s\n", log->lsn,
                      side_names[log->bridge_side],
                      log->bridge == BRIDGE_SAME ? "continues" : "does not continue",
                      side_names[1 - log->bridge_side],
                      log->bridge == BRIDGE_SAME ? "up to there they are the same; what is behind "
                                                   "cannot be compared"
                                                 : "they have parted below");
}

static void print_verdict(const struct diff *diff, FILE *out)
{
    const struct diff_log *log = &diff->log;
    char ring[SIDES][UUID_TEXT_BYTES];
    switch (log->verdict) {
    case DIFF_ALIKE:
        (void)fprintf(out, "alike%s: one history, which ends at LSN %" PRIu64 " in both\n",
                      is_damaged(diff) || is_missing(diff) ? " as far as they can be read" : "",
                      log->lsn);
        return;
    case DIFF_PREFIX:
        if (log->gap_lsn == log->lsn)
            (void)fprintf(out, "%c is the beginning of %c: the same up to LSN %" PRIu64 "\n",
                          side_names[log->shorter], side_names[1 - log->shorter], log->lsn);
        else
            (void)fprintf(out,
                          "%c ends at LSN %" PRIu64 ", where %c cannot be read: the same up to LSN "
                          "%" PRIu64 "\n",
                          side_names[log->shorter], log->lsn, side_names[1 - log->shorter],
                          log->gap_lsn);
        break;
    case DIFF_PARTED:
        (void)fprintf(out, "they part at LSN %" PRIu64 ": the same up to there\n", log->lsn);
        break;
    case DIFF_PARTED_BELOW:
        (void)fprintf(out,
                      "they have parted below LSN %" PRIu64
                      ", the first position that can be read in "
                      "both: the hash chains that come to it differ\n",
                      log->lsn);
        return;
    case DIFF_PARTED_WITHIN:
        (void)fprintf(out,
                      "they part between LSN %" PRIu64 " and %" PRIu64
                      ", where one of them cannot be "
                      "read\n",
                      log->gap_lsn, log->lsn);
        return;
    case DIFF_RINGS:
        for (uint32_t side = 0; side < SIDES; side++)
            uuid_text(diff->histories[side].geometry.ring_uuid, ring[side]);
        (void)fprintf(
            out, "different rings: A is of %s, B of %s; their logs have no position in common\n",
            ring[SIDE_A], ring[SIDE_B]);
        return;
    case DIFF_APART:
        print_apart(diff, out);
        return;
    case DIFF_UNKNOWN:
        (void)fprintf(out, "of all that both keep, one or the other cannot be read\n");
        return;
    }
    for (uint32_t side = 0; side < SIDES; side++)
        print_says(diff, side, out);
}

static void print_differences(const struct state_differences *differences, FILE *out)
{
    for (uint64_t which = 0; which < differences->count && which < STATE_DIFFERENCES_MAX; which++)
        (void)fprintf(out, "    %s\n", differences->texts[which]);
    if (differences->count > STATE_DIFFERENCES_MAX)
        (void)fprintf(out, "    ... and %" PRIu64 " more\n",
                      differences->count - STATE_DIFFERENCES_MAX);
}

static void print_ends(const struct diff *diff, FILE *out)
{
    bool both = true;
    for (uint32_t side = 0; side < SIDES; side++) {
        const struct diff_end *end = &diff->ends.sides[side];
        both = both && end->reached;
        if (end->reached)
            (void)fprintf(out, "%c ends at LSN %" PRIu64 ", next request id %" PRIu64 "\n",
                          side_names[side], end->lsn, end->next_request_id);
        else
            (void)fprintf(out, "%c's end cannot be built\n", side_names[side]);
    }
    if (!both)
        return;
    if (diff->ends.differences.count == 0) {
        (void)fprintf(out, "at their ends pools, items and stock are the same\n");
        return;
    }
    (void)fprintf(out, "at their ends these differ, in A and B:\n");
    print_differences(&diff->ends.differences, out);
}

static void print_snapshots(const struct diff *diff, FILE *out)
{
    if (diff->snapshots_same > 0)
        (void)fprintf(
            out, "%" PRIu32 " snapshot%s the same in both, the newest of LSN %" PRIu64 "\n",
            diff->snapshots_same, diff->snapshots_same == 1 ? " is" : "s are", diff->same_lsn);
    else if (!has_log(diff) && diff->pair_count == 0)
        (void)fprintf(out, "no snapshots of the same LSN: they cannot be compared\n");
    for (uint32_t i = 0; i < diff->pair_count; i++) {
        (void)fprintf(out, "the snapshots of LSN %" PRIu64 " differ, in A and B:\n",
                      diff->pairs[i].lsn);
        print_differences(&diff->pairs[i].differences, out);
    }
}

static void print_text(const struct diff *diff)
{
    FILE *out = diff->tool->out;
    for (uint32_t side = 0; side < SIDES; side++)
        print_range(diff, side, out);
    if (diff->overtaken)
        return;
    print_verdict(diff, out);
    if (diff->log.verdict == DIFF_RINGS)
        print_ends(diff, out);
    else
        print_snapshots(diff, out);
}

/* ---- json -------------------------------------------------------------------------------------------- */

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void put_string(struct output *output, const char *text, size_t length)
{
    output_json_name(output, (struct urn_text){text, (uint32_t)length});
}

static void json_side(const struct diff *diff, uint32_t side, struct output *output)
{
    const struct diff_side *of = &diff->log.sides[side];
    const char *line = side == SIDE_A ? diff->split.a : diff->split.b;
    char ring[UUID_TEXT_BYTES];
    uuid_text(diff->histories[side].geometry.ring_uuid, ring);
    output_text(output, side == SIDE_A ? ",\"a\":{\"path\":" : ",\"b\":{\"path\":");
    put_string(output, diff->names[side], strlen(diff->names[side]));
    output_text(output, ",\"ring\":\"");
    output_text(output, ring);
    output_text(output, "\",\"in_use\":");
    output_text(output, diff->histories[side].live ? "true" : "false");
    output_text(output, ",\"damaged\":");
    output_text(output, of->damaged ? "true" : "false");
    put_field(output, ",\"from_lsn\":", of->begin_lsn);
    if (of->group_count > 0) {
        put_field(output, ",\"lines_alike\":", diff->split.line);
        output_text(output, ",\"says\":[");
        for (uint32_t group = 0; group < of->group_count; group++) {
            output_text(output, group == 0 ? "" : ",");
            put_string(output, diff->says[side][group], diff_line_length(diff->says[side][group]));
        }
        for (uint32_t i = 0; i < SHOWN_LINES && *line != 0; i++, line = diff_next_line(line)) {
            output_text(output, ",");
            put_string(output, line, diff_line_length(line));
        }
        output_text(output, "]");
    }
    output_text(output, "}");
}

static void json_differences(const struct state_differences *differences, struct output *output)
{
    put_field(output, ",\"difference_count\":", differences->count);
    output_text(output, ",\"differences\":[");
    for (uint64_t which = 0; which < differences->count && which < STATE_DIFFERENCES_MAX; which++) {
        output_text(output, which == 0 ? "" : ",");
        put_string(output, differences->texts[which], strlen(differences->texts[which]));
    }
    output_text(output, "]");
}

/* An end that cannot be built is null; without both there is nothing to compare. */
static void json_ends(const struct diff *diff, struct output *output)
{
    static const char *const names[SIDES] = {",\"end_a\":", ",\"end_b\":"};
    bool both = true;
    for (uint32_t side = 0; side < SIDES; side++) {
        const struct diff_end *end = &diff->ends.sides[side];
        both = both && end->reached;
        output_text(output, names[side]);
        if (!end->reached) {
            output_text(output, "null");
            continue;
        }
        put_field(output, "{\"lsn\":", end->lsn);
        put_field(output, ",\"next_request_id\":", end->next_request_id);
        output_text(output, "}");
    }
    if (both)
        json_differences(&diff->ends.differences, output);
}

static void json_snapshots(const struct diff *diff, struct output *output)
{
    put_field(output, ",\"snapshots_same\":", diff->snapshots_same);
    if (diff->snapshots_same > 0)
        put_field(output, ",\"snapshot_same_lsn\":", diff->same_lsn);
    output_text(output, ",\"snapshots_different\":[");
    for (uint32_t i = 0; i < diff->pair_count; i++) {
        put_field(output, i == 0 ? "{\"lsn\":" : ",{\"lsn\":", diff->pairs[i].lsn);
        json_differences(&diff->pairs[i].differences, output);
        output_text(output, "}");
    }
    output_text(output, "]");
}

static enum urn_code print_json(const struct diff *diff, struct urn_error *error)
{
    const struct diff_log *log = &diff->log;
    struct output *output = malloc(sizeof *output);
    if (output == NULL)
        return error_set(error, URN_NOMEMORY, ENOMEM, "cannot print the differences");
    output_begin(output, diff->tool->out);
    output_text(output, "{\"verdict\":\"");
    output_text(output, diff->overtaken ? "overtaken" : verdict_words[log->verdict]);
    output_text(output, "\",\"alike\":");
    output_text(output, status_of(diff) == EXIT_SOUND ? "true" : "false");
    put_field(output, ",\"lsn\":", log->lsn);
    if (log->verdict == DIFF_PREFIX)
        output_text(output, log->shorter == SIDE_A ? ",\"shorter\":\"a\"" : ",\"shorter\":\"b\"");
    if (log->verdict == DIFF_PARTED_WITHIN || log->verdict == DIFF_PREFIX)
        put_field(output, ",\"same_up_to_lsn\":", log->gap_lsn);
    if (log->verdict == DIFF_APART && log->bridge != BRIDGE_NONE)
        output_text(output, log->bridge == BRIDGE_SAME ? ",\"same_at_lsn\":true"
                                                       : ",\"same_at_lsn\":false");
    for (uint32_t side = 0; side < SIDES; side++)
        json_side(diff, side, output);
    json_snapshots(diff, output);
    if (log->verdict == DIFF_RINGS)
        json_ends(diff, output);
    output_text(output, "}");
    output_line_end(output);
    const bool came_out = output_end(output);
    free(output);
    return came_out ? URN_OK : error_set(error, URN_IO, errno, "cannot write the output");
}

/* ---- the command -------------------------------------------------------------------------------------- */

/* Two operands, or two sets of files with ":" between: how many belong to A, and where B's begin. */
static bool split_operands(const char *const *operands, uint32_t count, uint32_t *a_count,
                           uint32_t *b_begin)
{
    uint32_t at = 0;
    while (at < count && strcmp(operands[at], ":") != 0)
        at++;
    *a_count = at < count ? at : 1;
    *b_begin = at < count ? at + 1 : 1;
    return at < count ? at > 0 && at + 1 < count : count == 2;
}

static enum exit_status tell(struct diff *diff, bool json)
{
    struct urn_error error;
    note_damage(diff);
    if (!json)
        print_text(diff);
    else if (print_json(diff, &error) != URN_OK)
        return tool_fail(diff->tool, &error);
    return status_of(diff);
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    const struct diff_options *wanted = options;
    struct diff diff = {.tool = tool};
    struct urn_error error;
    uint32_t a_count = 0;
    uint32_t b_begin = 0;
    if (!split_operands(operands, operand_count, &a_count, &b_begin)) {
        (void)fprintf(tool->notes,
                      "urn-wal: diff wants two directories or files, or two sets of files "
                      "with : between\n");
        return EXIT_USAGE;
    }
    diff.names[SIDE_A] = operands[0];
    diff.names[SIDE_B] = operands[b_begin];
    if (history_open(&diff.histories[SIDE_A], tool, operands, a_count, &error) != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    if (history_open(&diff.histories[SIDE_B], tool, operands + b_begin, operand_count - b_begin,
                     &error) != URN_OK) {
        history_close(&diff.histories[SIDE_A]);
        return tool_fail_to_open(tool, operands[b_begin], &error);
    }
    const enum urn_code code = look_again(&diff, &error);
    const enum exit_status status =
        code == URN_OK ? tell(&diff, wanted->json) : tool_fail(tool, &error);
    forget(&diff);
    history_close(&diff.histories[SIDE_B]);
    history_close(&diff.histories[SIDE_A]);
    return status;
}

const struct command command_diff = {
    .name = "diff",
    .summary = "finds where two histories part, and shows what each says there",
    .usage = "A B | FILE... : FILE... [--json]",
    .help =
        "Compares two data directories (or files of them: one each, or two sets with a : between) "
        "that\n"
        "come from one: a copy, a backup, a server that was restored and went on beside the old "
        "one. The\n"
        "hash chain finds the place by looking at few groups; `urn-wal verify` says whether the "
        "files\n"
        "below it are whole. Tells the first position at which they part, and the first lines that "
        "each\n"
        "has there; or that one is the beginning of the other, or that nothing is kept by both. "
        "Directories\n"
        "of different rings (one was restored) have no position in common: their last states are "
        "compared,\n"
        "pools, items and stock. Snapshots that both have of the same position are compared, "
        "too;\n"
        "two snapshot files can be compared by themselves.\n"
        "\n"
        "    --json       prints one JSON object\n"
        "\n"
        "exit status: 0 alike (as far as both are kept); 1 they differ; 2 alike as far as they can "
        "be\n"
        "read, for a part is damaged; 3 likewise, for parts are missing or nothing is kept by "
        "both; 64\n"
        "wrong usage; 66 cannot open; 74 cannot read or write\n"
        "\n"
        "examples:\n"
        "    urn-wal diff /var/lib/urn/data /mnt/backup/data\n"
        "    urn-wal diff a/segment-0000 a/segment-0001 : b/segment-0000 b/segment-0001\n"
        "    urn-wal diff old.snapshot new.snapshot --json | jq .alike\n",
    .operands_min = 2,
    .operands_max = OPERANDS_MAX,
    .operands = "two data directories, or files of two",
    .options_bytes = sizeof(struct diff_options),
    .options = rows,
    .run = run,
};
