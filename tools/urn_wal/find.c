/* find.c: `urn-wal find`: what came of one draw, and under which odds. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/changes.h"
#include "engine/check.h"
#include "tools/urn_wal/break_text.h"
#include "tools/urn_wal/columns.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/locate.h"
#include "tools/urn_wal/names.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/output.h"
#include "tools/urn_wal/time_text.h"

struct find_options {
    bool json;
    bool odds; /* the stock of that moment too: the log is replayed up to it */
};

static const struct option_row rows[] = {
    {"--odds", NULL, offsetof(struct find_options, odds), NULL},
    {"--json", NULL, offsetof(struct find_options, json), NULL},
    {.name = NULL},
};

#define ODDS_ITEMS_MAX 64u /* more are not listed unless asked for */

struct find {
    const struct tool *tool;
    struct find_options options;
    uint64_t request_id;
    struct history history;
    struct located located;
    /* the draw */
    uint32_t pool_id;
    uint64_t odds_version;
    uint32_t outcome;
    uint64_t drawn_before; /* draws before it in its group */
    /* the pool as it was: catalog and weights; with exact, its stock */
    struct state state;
    bool has_state;
    bool exact;
    const struct state *catalog; /* that state, or one like it for as long as it is needed */
};

/* ---- the draw ------------------------------------------------------------------------------------ */

/* Steps through the group to the draw. False when the group has no such draw, whatever it says. */
static bool find_draw(struct find *find)
{
    const struct wal_group_header *header = &find->located.header;
    uint64_t skip = find->request_id - header->first_request_id;
    uint32_t offset = 0;
    struct wal_entry entry;
    while (wal_entry_next(find->located.group, header, &offset, &entry) == WAL_READ_OK) {
        if (entry.type != WAL_ENTRY_DRAWS)
            continue;
        if (skip >= entry.draws) {
            skip -= entry.draws;
            continue;
        }
        find->pool_id = entry.pool_id;
        find->odds_version = entry.odds_version;
        struct wal_outcome_cursor cursor;
        const uint8_t *drawn = NULL;
        uint32_t run = 0;
        wal_outcomes_begin(&entry, &cursor);
        while (wal_outcomes_next_run(&cursor, &drawn, &run) && skip >= run)
            skip -= run;
        find->outcome = URN_FAILED_DRAW;
        if (drawn != NULL)
            wal_outcomes_unpack(drawn + skip * entry.width, entry.width, &find->outcome, 1);
        return true;
    }
    return false;
}

/* ---- the odds ------------------------------------------------------------------------------------ */

static void drop_state(struct find *find)
{
    if (find->has_state)
        state_free(&find->state);
    find->has_state = false;
}

static bool has_version(const struct find *find, const struct state *state)
{
    return find->pool_id < state->pool_count &&
           pool_odds_version(state->pools[find->pool_id]) == find->odds_version;
}

/* The newest snapshot that was taken before the group, or the count. */
static uint32_t snapshot_before(const struct find *find)
{
    uint32_t which = 0;
    while (which < find->history.snapshot_count &&
           find->history.snapshots[which].id.lsn > find->located.header.lsn)
        which++;
    return which;
}

/* Brings the state from its snapshot to just before the draw's group: all that changed it, or only the
 * changes of catalogs. False: the log in between is not whole. */
static enum urn_code bring_up(struct find *find, bool exact, bool *whole, struct urn_error *error)
{
    const uint64_t from = find->state.tail.lsn;
    struct walk walk;
    enum urn_code code = walk_begin(&find->history, history_segment_begin(&find->history, from),
                                    find->located.header.lsn, 0, SCAN_CHECKSUMS, &walk, error);
    *whole = walk.tail.lsn <= from; /* else the log behind the snapshot is not kept */
    while (code == URN_OK && *whole) {
        const enum walk_step step = walk_next(&walk, error);
        if (step == WALK_END)
            break;
        if (step == WALK_ERROR)
            code = error->code;
        *whole = step != WALK_BREAK || walk.gap.to_lsn <= from;
        if (step != WALK_GROUP || walk.item.header.lsn < from)
            continue;
        if (exact) {
            *whole = apply_group(&find->state, &walk.item.header, walk.item.bytes, error) == URN_OK;
            continue;
        }
        struct wal_entry entry;
        uint32_t offset = 0;
        while (*whole &&
               wal_entry_next(walk.item.bytes, &walk.item.header, &offset, &entry) == WAL_READ_OK)
            if (wal_entry_is_change(entry.type))
                *whole = changes_apply(&find->state, &entry.change, error) == URN_OK;
    }
    *whole = *whole && walk.tail.lsn == find->located.header.lsn;
    walk_end(&walk);
    return code;
}

/* The draws and changes of the group itself before the draw. False: they do not fit the state. */
static bool bring_into_group(struct find *find, bool exact)
{
    uint64_t left = find->request_id - find->located.header.first_request_id;
    uint32_t offset = 0;
    struct wal_entry entry;
    struct urn_error ignored;
    while (wal_entry_next(find->located.group, &find->located.header, &offset, &entry) ==
           WAL_READ_OK) {
        if (wal_entry_is_change(entry.type) &&
            changes_apply(&find->state, &entry.change, &ignored) != URN_OK)
            return false;
        if (entry.type != WAL_ENTRY_DRAWS)
            continue;
        struct wal_outcome_cursor cursor;
        uint32_t outcome = 0;
        uint32_t run = 0;
        wal_outcomes_begin(&entry, &cursor);
        for (uint32_t done = 0; done < left && wal_outcomes_next(&cursor, &outcome, &run);
             done += run)
            if (exact && outcome != URN_FAILED_DRAW &&
                (entry.pool_id >= find->state.pool_count ||
                 pool_take_each(find->state.pools[entry.pool_id], &outcome, 1) == 0))
                return false;
        if (entry.draws > left)
            return true;
        left -= entry.draws;
    }
    return true;
}

/* From the snapshot before the draw. */
static enum urn_code replay(struct find *find, bool exact, struct urn_error *error)
{
    const uint32_t which = snapshot_before(find);
    struct urn_error ignored;
    if (which == find->history.snapshot_count ||
        history_load(&find->history, which, &find->state, &ignored) != URN_OK)
        return URN_OK;
    find->has_state = true;
    bool whole = false;
    const enum urn_code code = bring_up(find, exact, &whole, error);
    if (code != URN_OK || !whole || !bring_into_group(find, exact) ||
        !has_version(find, &find->state))
        drop_state(find);
    find->exact = exact && find->has_state;
    return code;
}

/* The weights of that odds version stand in any snapshot of the same version, the one with the names first;
 * else the changes since a snapshot before lead to them. */
static enum urn_code find_odds(struct find *find, const struct names *names,
                               struct urn_error *error)
{
    if (find->options.odds)
        return replay(find, true, error);
    find->catalog = names->known && !names->learned && has_version(find, &names->state)
                        ? &names->state
                        : &find->state;
    if (find->catalog == &names->state)
        return URN_OK;
    for (uint32_t which = 0; which < find->history.snapshot_count; which++) {
        struct urn_error ignored;
        if (history_load(&find->history, which, &find->state, &ignored) != URN_OK)
            continue;
        find->has_state = true;
        if (has_version(find, &find->state))
            return URN_OK;
        drop_state(find);
    }
    return replay(find, false, error);
}

/* ---- telling -------------------------------------------------------------------------------------- */

static struct urn_text text_of(const char *text)
{
    return (struct urn_text){text, (uint32_t)strlen(text)};
}

/* Names, or numbers where nothing tells them. */
static struct urn_text pool_text(const struct find *find, const struct names *names,
                                 char number[16])
{
    struct urn_text name;
    if (names_pool(names, find->pool_id, &name))
        return name;
    (void)snprintf(number, 16, "#%" PRIu32, find->pool_id);
    return text_of(number);
}

static struct urn_text item_text(const struct find *find, const struct names *names, uint32_t index,
                                 char number[16])
{
    struct urn_text name;
    if (names_item(names, find->pool_id, index, &name))
        return name;
    (void)snprintf(number, 16, "#%" PRIu32, index);
    return text_of(number);
}

/* What the item's chance was made of. */
struct odds {
    uint32_t index;
    struct urn_item item;
    bool counts; /* in stock, as far as that is known */
    double share;
};

static bool knows_odds(const struct find *find)
{
    return find->has_state || find->catalog != &find->state;
}

static uint64_t weight_sum(const struct find *find)
{
    const struct urn_pool *pool = find->catalog->pools[find->pool_id];
    return find->exact ? pool_weight_in_stock(pool) : pool_weight_of_all(pool);
}

static struct odds odds_of(const struct find *find, uint32_t index)
{
    struct odds odds = {.index = index};
    const uint64_t sum = weight_sum(find);
    pool_item(find->catalog->pools[find->pool_id], index, &odds.item);
    odds.counts = !find->exact || odds.item.quantity != 0;
    odds.share = odds.counts && sum > 0 ? (double)odds.item.probability / (double)sum : 0;
    return odds;
}

/* Which items are listed: all of a short catalog, or on request; else the one that was drawn. */
static bool lists_item(const struct find *find, uint32_t index, uint32_t items)
{
    return items <= ODDS_ITEMS_MAX || find->options.odds || index == find->outcome;
}

static void print_odds(const struct find *find, FILE *out)
{
    static const char *const weights[] = {"  ITEM", ">WEIGHT", ">SHARE", ""};
    static const char *const stocks[] = {"  ITEM", ">WEIGHT", ">CHANCE", ">IN STOCK", ""};
    if (!knows_odds(find)) {
        (void)fprintf(out, "odds          %s\n",
                      find->options.odds
                          ? "no snapshot before it, with the log in between, is kept: not known"
                          : "no snapshot or change that tells the weights of that version is kept");
        return;
    }
    const uint32_t items = pool_item_count(find->catalog->pools[find->pool_id]);
    struct columns columns;
    if (find->exact)
        columns_begin(&columns, stocks, sizeof stocks / sizeof stocks[0]);
    else
        columns_begin(&columns, weights, sizeof weights / sizeof weights[0]);
    for (uint32_t index = 0; index < items; index++) {
        if (!lists_item(find, index, items))
            continue;
        const struct odds odds = odds_of(find, index);
        const struct urn_text name = pool_item_id(find->catalog->pools[find->pool_id], index);
        columns_add(&columns, "  %.*s", (int)name.length, name.bytes);
        columns_add(&columns, "%" PRIu64, odds.item.probability);
        columns_add(&columns, "%.4f%%", 100 * odds.share);
        if (find->exact && odds.item.quantity == URN_UNLIMITED)
            columns_add(&columns, "unlimited");
        else if (find->exact)
            columns_add(&columns, "%" PRId64, odds.item.quantity);
        columns_add(&columns, "%s", index == find->outcome ? "<- drawn" : "");
    }
    (void)fprintf(out, "odds          %s, sum of weights %" PRIu64 ", %" PRIu32 " items\n",
                  find->exact ? "as they were at the draw"
                              : "of that version (--odds tells the stock of the moment, too)",
                  weight_sum(find), items);
    (void)columns_print(&columns, out);
}

static void print_name(const char *title, struct urn_text name, FILE *out)
{
    (void)fprintf(out, "%-14s%.*s\n", title, (int)name.length, name.bytes);
}

static void print_text(const struct find *find, const struct names *names, FILE *out)
{
    const struct wal_group_header *header = &find->located.header;
    char number[16];
    char time[TIME_TEXT_BYTES];
    char place[PLACE_TEXT_BYTES];
    (void)fprintf(out, "request id    %" PRIu64 "\n", find->request_id);
    print_name("pool", pool_text(find, names, number), out);
    if (find->outcome == URN_FAILED_DRAW)
        (void)fprintf(out, "item          FAILED: nothing was in stock\n");
    else
        print_name("item", item_text(find, names, find->outcome, number), out);
    time_text(header->wall_time_us, time);
    (void)fprintf(out, "odds version  %" PRIu64 "\ntime          %s\n", find->odds_version, time);
    (void)fprintf(out,
                  "LSN           %" PRIu64 " (%s): group of %" PRIu32 " bytes with draws %" PRIu64
                  " to %" PRIu64 ", epoch %" PRIu32 "\n",
                  header->lsn, history_place(&find->history, header->lsn, place),
                  header->length_bytes, header->first_request_id,
                  header->first_request_id + header->draws - 1, header->epoch);
    (void)fprintf(out, "chain         ");
    for (uint32_t i = 0; i < WAL_CHAIN_BYTES; i++)
        (void)fprintf(out, "%02x", header->chain_after[i]);
    (void)fputc('\n', out);
    print_odds(find, out);
}

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void json_odds(const struct find *find, struct output *output)
{
    if (!knows_odds(find)) {
        output_text(output, ",\"odds\":null");
        return;
    }
    const uint32_t items = pool_item_count(find->catalog->pools[find->pool_id]);
    bool first = true;
    put_field(output, ",\"weight_sum\":", weight_sum(find));
    output_text(output, ",\"odds\":[");
    for (uint32_t index = 0; index < items; index++) {
        if (!lists_item(find, index, items))
            continue;
        const struct odds odds = odds_of(find, index);
        char share[32];
        (void)snprintf(share, sizeof share, "%.9g", odds.share);
        output_text(output, first ? "{\"item_id\":" : ",{\"item_id\":");
        output_json_name(output, pool_item_id(find->catalog->pools[find->pool_id], index));
        put_field(output, ",\"probability\":", odds.item.probability);
        output_text(output, find->exact ? ",\"chance\":" : ",\"share\":");
        output_text(output, share);
        if (find->exact && odds.item.quantity == URN_UNLIMITED)
            output_text(output, ",\"quantity\":-1");
        else if (find->exact)
            put_field(output, ",\"quantity\":", (uint64_t)odds.item.quantity);
        output_text(output, "}");
        first = false;
    }
    output_text(output, "]");
}

static void print_json(const struct find *find, const struct names *names, struct output *output)
{
    const struct wal_group_header *header = &find->located.header;
    char number[16];
    char time[TIME_TEXT_BYTES];
    time_text(header->wall_time_us, time);
    put_field(output, "{\"found\":true,\"request_id\":", find->request_id);
    output_text(output, ",\"pool\":");
    output_json_name(output, pool_text(find, names, number));
    output_text(output, ",\"item_id\":");
    if (find->outcome == URN_FAILED_DRAW)
        output_text(output, "null");
    else
        output_json_name(output, item_text(find, names, find->outcome, number));
    put_field(output, ",\"odds_version\":", find->odds_version);
    output_text(output, ",\"time\":\"");
    output_text(output, time);
    put_field(output, "\",\"lsn\":", header->lsn);
    put_field(output, ",\"group_length\":", header->length_bytes);
    put_field(output, ",\"first_request_id\":", header->first_request_id);
    put_field(output, ",\"draws\":", header->draws);
    put_field(output, ",\"epoch\":", header->epoch);
    output_text(output, ",\"chain\":\"");
    output_hex(output, header->chain_after, WAL_CHAIN_BYTES);
    output_text(output, "\"");
    json_odds(find, output);
    output_text(output, "}");
    output_line_end(output);
}

static const char *why_not(const struct find *find, char text[BREAK_TEXT_BYTES + 100])
{
    const struct located *located = &find->located;
    const size_t bytes = BREAK_TEXT_BYTES + 100;
    char what[BREAK_TEXT_BYTES];
    switch (located->kind) {
    case LOCATED_BEFORE:
        (void)snprintf(text, bytes, "is older than what is kept: the oldest is %" PRIu64,
                       located->next_id);
        break;
    case LOCATED_SKIPPED:
        (void)snprintf(text, bytes,
                       "is of no draw in the log: a start or a repair left out %" PRIu64
                       " to %" PRIu64 " (LSN %" PRIu64
                       "); if its draw was answered, it was lost there",
                       located->skipped_first, located->next_id - 1, located->lsn);
        break;
    case LOCATED_LOST:
        break_text(&find->history, &located->gap, 0, 0, what);
        (void)snprintf(text, bytes, "lies where the log cannot be read: LSN %" PRIu64 ": %s",
                       located->gap.from_lsn, what);
        break;
    case LOCATED_NOT_YET:
    case LOCATED_GROUP:
        if (located->next_id == 0)
            (void)snprintf(text, bytes, "has not been given yet: nothing is in the log");
        else
            (void)snprintf(text, bytes, "has not been given yet: the next one is %" PRIu64,
                           located->next_id);
        break;
    }
    return text;
}

static enum exit_status tell_not_found(const struct find *find)
{
    char text[BREAK_TEXT_BYTES + 100];
    const struct tool *tool = find->tool;
    if (find->options.json)
        (void)fprintf(tool->out, "{\"found\":false,\"request_id\":%" PRIu64 "}\n",
                      find->request_id);
    (void)fprintf(tool->notes, "urn-wal: request id %" PRIu64 " %s\n", find->request_id,
                  why_not(find, text));
    if (find->located.kind != LOCATED_LOST)
        return EXIT_NOT_FOUND;
    return break_is_missing_file(&find->history, &find->located.gap) ? EXIT_MISSING : EXIT_DAMAGE;
}

static enum urn_code tell(struct find *find, struct urn_error *error)
{
    struct names names;
    enum urn_code code = names_begin(&names, &find->history, error);
    struct urn_text name;
    if (code == URN_OK && find->outcome != URN_FAILED_DRAW &&
        !names_item(&names, find->pool_id, find->outcome, &name)) {
        struct walk walk;
        code = names_learn_log(&names, &find->history, &walk, error);
        walk_end(&walk);
    }
    if (code == URN_OK)
        code = find_odds(find, &names, error);
    if (code == URN_OK && find->options.json) {
        struct output *output = malloc(sizeof *output);
        if (output != NULL) {
            output_begin(output, find->tool->out);
            print_json(find, &names, output);
        }
        if (output == NULL || !output_end(output))
            code = error_set(error, URN_IO, errno, "cannot write the output");
        free(output);
    } else if (code == URN_OK) {
        print_text(find, &names, find->tool->out);
    }
    find->catalog = &find->state;
    names_end(&names);
    return code;
}

/* ---- the command ------------------------------------------------------------------------------------ */

/* Finds the group; beside a server that overwrites it meanwhile, by a new look. */
static enum urn_code locate(struct find *find, struct urn_error *error)
{
    enum { LOOKS_MAX = 8 };
    for (int looks = 1;; looks++) {
        const enum urn_code code =
            locate_request(&find->history, find->request_id, &find->located, error);
        if (code != URN_OK || find->located.kind != LOCATED_LOST ||
            find->located.gap.kind != WALK_OVERWRITTEN || looks == LOOKS_MAX)
            return code;
        if (history_refresh(&find->history, error) != URN_OK)
            return error->code;
    }
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    struct find find = {.tool = tool, .options = *(const struct find_options *)options};
    find.catalog = &find.state;
    const char *id = operands[operand_count - 1];
    if (!parse_id(id, &find.request_id)) {
        (void)fprintf(tool->notes, "urn-wal: find needs a request id, a number from 1 on, not %s\n",
                      id);
        return EXIT_USAGE;
    }
    struct urn_error error;
    enum urn_code code = history_open(&find.history, tool, operands, operand_count - 1, &error);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    enum exit_status status = EXIT_SOUND;
    code = locate(&find, &error);
    if (code == URN_OK && (find.located.kind != LOCATED_GROUP || !find_draw(&find)))
        status = tell_not_found(&find);
    else if (code == URN_OK)
        code = tell(&find, &error);
    free(find.located.group);
    drop_state(&find);
    history_close(&find.history);
    return code == URN_OK ? status : tool_fail(tool, &error);
}

const struct command command_find = {
    .name = "find",
    .summary = "tells what came of one draw: pool, item, odds, time, place in the log",
    .usage = "DIR | FILE... REQUEST_ID [--odds] [--json]",
    .help = "Finds a draw by its request id, by looking at few groups of the log: pool, item (or "
            "FAILED),\n"
            "odds version and the weights that it stands for, time, position, and the hash of the "
            "chain\n"
            "behind its group, which vouches for all that came before.\n"
            "\n"
            "    --odds       replays the log from the snapshot before, and tells what was in "
            "stock at that\n"
            "                 very moment, and each item's chance\n"
            "    --json       prints one JSON object\n"
            "\n"
            "exit status: 0 found, 1 no such draw is kept (standard error says why), 2 it lies "
            "where the\n"
            "log is damaged, 3 where it is missing, 64 wrong usage, 66 cannot open, 74 cannot read "
            "or write\n"
            "\n"
            "examples:\n"
            "    urn-wal find data 1234\n"
            "    urn-wal find data 1234 --odds --json | jq .item_id\n",
    .operands_min = 2,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory (or files of one) and a request id",
    .options_bytes = sizeof(struct find_options),
    .options = rows,
    .run = run,
};
