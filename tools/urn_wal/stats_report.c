/* stats_report.c: the figures of a log, as tables and bars, or as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/urn_wal/chi_square.h"
#include "tools/urn_wal/columns.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"
#include "tools/urn_wal/output.h"
#include "tools/urn_wal/stats.h"
#include "tools/urn_wal/time_text.h"

#define WIDTH_DEFAULT 80u
#define BAR_MAX       60u

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* ---- names ----------------------------------------------------------------------------------------- */

struct name_text {
    char text[URN_NAME_BYTES_MAX + 16];
};

static struct name_text text_of(bool known, struct urn_text name, uint32_t number)
{
    struct name_text made;
    if (known)
        (void)snprintf(made.text, sizeof made.text, "%.*s", (int)name.length, name.bytes);
    else
        (void)snprintf(made.text, sizeof made.text, "#%" PRIu32, number);
    return made;
}

static struct name_text pool_text(const struct names *names, uint32_t pool_id)
{
    struct urn_text name = {NULL, 0};
    const bool known = names_pool(names, pool_id, &name);
    return text_of(known, name, pool_id);
}

static struct name_text item_text(const struct names *names, uint32_t pool_id, uint32_t index)
{
    struct urn_text name = {NULL, 0};
    const bool known = names_item(names, pool_id, index, &name);
    return text_of(known, name, index);
}

static bool is_wanted(const struct names *names, uint32_t pool_id, const char *pool)
{
    return pool == NULL || strcmp(pool_text(names, pool_id).text, pool) == 0;
}

/* ---- the head -------------------------------------------------------------------------------------- */

/* "3.2 ms": three digits or so, in a unit that fits. */
static const char *duration_text(uint64_t us, char text[24])
{
    if (us < 1000)
        (void)snprintf(text, 24, "%" PRIu64 " us", us);
    else if (us < 1000000)
        (void)snprintf(text, 24, "%.1f ms", (double)us / 1e3);
    else if (us < 120000000)
        (void)snprintf(text, 24, "%.1f s", (double)us / 1e6);
    else
        (void)snprintf(text, 24, "%.1f min", (double)us / 60e6);
    return text;
}

static void print_head(const struct stats *stats, FILE *out)
{
    char first[TIME_TEXT_BYTES];
    char last[TIME_TEXT_BYTES];
    char pause[24];
    const uint64_t bytes = stats->end_lsn - stats->first_lsn;
    time_text(stats->first_time_us, first);
    time_text(stats->last_time_us, last);
    (void)fprintf(out, "LSN %" PRIu64 " to %" PRIu64 ", %.1f MB, ", stats->first_lsn,
                  stats->end_lsn, (double)bytes / 1e6);
    if (stats->has_times)
        (void)fprintf(out, "from %s to %s\n", first, last);
    else
        (void)fputs("no time is known\n", out);
    (void)fprintf(out,
                  "draws %" PRIu64 " (%" PRIu64 " failed) in %" PRIu64
                  " groups, next request id %" PRIu64 "\n",
                  stats->draws, stats->failed, stats->groups, stats->next_id);
    (void)fprintf(out, "bytes of log a draw %.2f, draws a group %.1f\n",
                  share((double)bytes, (double)stats->draws),
                  share((double)stats->draws, (double)stats->groups));
    if (stats->longest_pause_us > 0)
        (void)fprintf(
            out,
            "longest gap between two groups of one run of the server: %s, before LSN %" PRIu64 "\n",
            duration_text(stats->longest_pause_us, pause), stats->longest_pause_lsn);
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void print_types(const struct stats *stats, FILE *out)
{
    static const char *const titles[] = {"MADE OF", ">COUNT", ">BYTES", ">SHARE"};
    struct columns columns;
    uint64_t all = 0;
    for (uint32_t type = 0; type < STATS_TYPES; type++)
        all += stats->types[type].bytes;
    columns_begin(&columns, titles, 4);
    for (uint32_t type = 0; type < STATS_TYPES; type++) {
        const struct stats_count *of = &stats->types[type];
        if (of->count == 0 && of->bytes == 0)
            continue;
        columns_add(&columns, "%s", stats_type_names[type]);
        if (of->count > 0)
            columns_add(&columns, "%" PRIu64, of->count);
        else
            columns_add(&columns, "-");
        columns_add(&columns, "%" PRIu64, of->bytes);
        columns_add(&columns, "%.2f%%", 100 * share((double)of->bytes, (double)all));
    }
    (void)fputc('\n', out);
    (void)columns_print(&columns, out);
}

static void print_pools(const struct stats *stats, const struct names *names, const char *pool,
                        FILE *out)
{
    static const char *const titles[] = {"POOL",   ">DRAWS",      ">FAILED", ">ENTRIES",
                                         ">BYTES", ">BYTES/DRAW", ">CHANGES"};
    struct columns columns;
    columns_begin(&columns, titles, 7);
    for (uint32_t pool_id = 0; pool_id < stats->pool_count; pool_id++) {
        const struct stats_pool *of = &stats->pools[pool_id];
        if ((of->draws == 0 && of->changes == 0) || !is_wanted(names, pool_id, pool))
            continue;
        columns_add(&columns, "%s", pool_text(names, pool_id).text);
        columns_add(&columns, "%" PRIu64, of->draws);
        columns_add(&columns, "%" PRIu64, of->failed);
        columns_add(&columns, "%" PRIu64, of->entries);
        columns_add(&columns, "%" PRIu64, of->bytes);
        columns_add(&columns, "%.2f", share((double)of->bytes, (double)of->draws));
        columns_add(&columns, "%" PRIu64, of->changes);
    }
    (void)fputc('\n', out);
    (void)columns_print(&columns, out);
}

/* How far from what is expected, in standard deviations of a binomial count. */
static double deviations(const struct odds_period *period, const struct odds_row *row)
{
    const double draws = (double)(period->draws - period->failed);
    const double chance = share(row->expected, draws);
    const double variance = row->expected * (1 - chance);
    const double difference = (double)row->drawn - row->expected;
    return variance > 0 && fabs(difference) > 0.005 ? difference / sqrt(variance) : 0;
}

static void print_rows(const struct odds_period *period, const struct names *names, FILE *out)
{
    static const char *const counted[] = {"  ITEM", ">DRAWN", ">SHARE"};
    static const char *const compared[] = {"  ITEM",          ">DRAWN",    ">SHARE",
                                           ">EXPECTED SHARE", ">EXPECTED", ">DEVIATIONS"};
    struct columns columns;
    const double draws = (double)(period->draws - period->failed);
    if (period->has_expected)
        columns_begin(&columns, compared, 6);
    else
        columns_begin(&columns, counted, 3);
    for (uint32_t i = 0; i < period->row_count; i++) {
        const struct odds_row *row = &period->rows[i];
        columns_add(&columns, "  %s", item_text(names, period->pool_id, row->index).text);
        columns_add(&columns, "%" PRIu64, row->drawn);
        columns_add(&columns, "%.4f%%", 100 * share((double)row->drawn, draws));
        if (!period->has_expected)
            continue;
        columns_add(&columns, "%.4f%%", 100 * share(row->expected, draws));
        columns_add(&columns, "%.1f", row->expected);
        columns_add(&columns, "%+.2f", deviations(period, row));
    }
    (void)columns_print(&columns, out);
    if (period->row_count < period->items)
        (void)fprintf(out, "  the %" PRIu32 " of %" PRIu32 " items that stand out most\n",
                      period->row_count, period->items);
}

static void print_period(const struct odds_period *period, const struct names *names, FILE *out)
{
    (void)fprintf(out, "\n%s, odds version %" PRIu64 ", from LSN %" PRIu64 ": %" PRIu64 " draws",
                  pool_text(names, period->pool_id).text, period->odds_version, period->from_lsn,
                  period->draws);
    if (period->failed > 0)
        (void)fprintf(out, ", %" PRIu64 " failed", period->failed);
    if (!period->has_expected)
        (void)fprintf(out, "; the stock of that time is not known (no snapshot before it is kept)");
    else if (period->terms >= 2)
        (void)fprintf(out,
                      "; chi-square %.2f with %" PRIu32
                      " degrees of freedom: chance alone differs so much in %.3g%% of all cases",
                      period->chi_square, period->terms - 1,
                      100 * chi_square_p(period->chi_square, period->terms - 1));
    (void)fputc('\n', out);
    print_rows(period, names, out);
}

/* ---- bars ------------------------------------------------------------------------------------------- */

static uint32_t bar_width(uint32_t terminal_width)
{
    const uint32_t width = terminal_width == 0 ? WIDTH_DEFAULT : terminal_width;
    const uint32_t room = width > 40 ? width - 40 : 1;
    return room < BAR_MAX ? room : BAR_MAX;
}

/* Ends the line with a bar of its share of the largest; none at all for 0. */
static void print_bar(uint64_t value, uint64_t largest, uint32_t width, FILE *out)
{
    const double cells = share((double)value, (double)largest) * width;
    const uint32_t count = value > 0 && cells < 1 ? 1 : (uint32_t)(cells + 0.5);
    for (uint32_t i = 0; i < count; i++)
        (void)fputs(i == 0 ? "  #" : "#", out);
    (void)fputc('\n', out);
}

/* The least value that a bucket counts. */
static uint64_t bucket_begin(uint32_t bucket)
{
    return bucket == 0 ? 0 : (uint64_t)1 << bucket;
}

static void print_histogram(const char *title, const struct histogram *histogram, bool is_time,
                            uint32_t width, FILE *out)
{
    uint32_t first = 0;
    uint32_t last = HISTOGRAM_BUCKETS - 1;
    uint64_t largest = 0;
    if (histogram->values == 0)
        return;
    while (histogram->counts[first] == 0)
        first++;
    while (histogram->counts[last] == 0)
        last--;
    for (uint32_t bucket = first; bucket <= last; bucket++)
        if (histogram->counts[bucket] > largest)
            largest = histogram->counts[bucket];
    (void)fprintf(out, "\n%s\n", title);
    for (uint32_t bucket = first; bucket <= last; bucket++) {
        const uint64_t least = bucket_begin(bucket);
        char from[24];
        if (is_time)
            (void)duration_text(least, from);
        else
            (void)snprintf(from, sizeof from, "%" PRIu64, least);
        (void)fprintf(out, "%12s and more %12" PRIu64, from, histogram->counts[bucket]);
        print_bar(histogram->counts[bucket], largest, width, out);
    }
}

static void print_timeline(const struct stats *stats, uint32_t width, FILE *out)
{
    uint64_t largest = 0;
    uint32_t last = 0;
    for (uint32_t cell = 0; cell < TIMELINE_CELLS; cell++) {
        if (stats->timeline[cell] > largest)
            largest = stats->timeline[cell];
        if (stats->timeline[cell] > 0)
            last = cell;
    }
    if (largest == 0)
        return;
    (void)fprintf(out, "\ndraws over time\n");
    for (uint32_t cell = 0; cell <= last; cell++) {
        char time[TIME_TEXT_BYTES];
        time_text(stats->first_time_us + cell * stats->timeline_us, time);
        (void)fprintf(out, "%.23s %12" PRIu64, time, stats->timeline[cell]);
        print_bar(stats->timeline[cell], largest, width, out);
    }
}

void stats_print_text(const struct stats *stats, const struct names *names, const char *pool,
                      uint32_t width, FILE *out)
{
    const uint32_t bar = bar_width(width);
    print_head(stats, out);
    print_types(stats, out);
    print_pools(stats, names, pool, out);
    for (uint32_t i = 0; i < stats->odds.period_count; i++)
        if (is_wanted(names, stats->odds.periods[i].pool_id, pool))
            print_period(&stats->odds.periods[i], names, out);
    print_histogram("bytes of a group", &stats->group_bytes, false, bar, out);
    print_histogram("draws of a group", &stats->group_draws, false, bar, out);
    print_histogram("time from group to group", &stats->pause_us, true, bar, out);
    print_timeline(stats, bar, out);
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static void put_field(struct output *output, const char *name, uint64_t number)
{
    output_text(output, name);
    output_number(output, number);
}

static void put_real(struct output *output, const char *name, double number)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.9g", number);
    output_text(output, name);
    output_text(output, text);
}

static void put_string(struct output *output, const char *name, const char *text)
{
    output_text(output, name);
    output_json_name(output, (struct urn_text){text, (uint32_t)strlen(text)});
}

static void json_histogram(struct output *output, const char *name,
                           const struct histogram *histogram)
{
    bool first = true;
    output_text(output, name);
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        if (histogram->counts[bucket] == 0)
            continue;
        put_field(output, first ? "{\"from\":" : ",{\"from\":", bucket_begin(bucket));
        put_field(output, ",\"count\":", histogram->counts[bucket]);
        output_text(output, "}");
        first = false;
    }
    output_text(output, "]");
}

static void json_period(struct output *output, const struct odds_period *period,
                        const struct names *names)
{
    put_string(output, "{\"pool\":", pool_text(names, period->pool_id).text);
    put_field(output, ",\"odds_version\":", period->odds_version);
    put_field(output, ",\"from_lsn\":", period->from_lsn);
    put_field(output, ",\"draws\":", period->draws);
    put_field(output, ",\"failed\":", period->failed);
    if (period->has_expected && period->terms >= 2) {
        put_real(output, ",\"chi_square\":", period->chi_square);
        put_field(output, ",\"degrees_of_freedom\":", period->terms - 1);
        put_real(output, ",\"p\":", chi_square_p(period->chi_square, period->terms - 1));
    }
    put_field(output, ",\"items_in_all\":", period->items);
    output_text(output, ",\"items\":[");
    for (uint32_t i = 0; i < period->row_count; i++) {
        const struct odds_row *row = &period->rows[i];
        put_string(output, i == 0 ? "{\"item_id\":" : ",{\"item_id\":",
                   item_text(names, period->pool_id, row->index).text);
        put_field(output, ",\"drawn\":", row->drawn);
        if (period->has_expected)
            put_real(output, ",\"expected\":", row->expected);
        output_text(output, "}");
    }
    output_text(output, "]}");
}

static void json_types(struct output *output, const struct stats *stats)
{
    output_text(output, ",\"types\":{");
    for (uint32_t type = 0; type < STATS_TYPES; type++) {
        put_string(output, type == 0 ? "" : ",", stats_type_names[type]);
        put_field(output, ":{\"count\":", stats->types[type].count);
        put_field(output, ",\"bytes\":", stats->types[type].bytes);
        output_text(output, "}");
    }
    output_text(output, "}");
}

static void json_pools(struct output *output, const struct stats *stats, const struct names *names,
                       const char *pool)
{
    bool first = true;
    output_text(output, ",\"pools\":[");
    for (uint32_t pool_id = 0; pool_id < stats->pool_count; pool_id++) {
        const struct stats_pool *of = &stats->pools[pool_id];
        if ((of->draws == 0 && of->changes == 0) || !is_wanted(names, pool_id, pool))
            continue;
        put_string(output, first ? "{\"pool\":" : ",{\"pool\":", pool_text(names, pool_id).text);
        put_field(output, ",\"draws\":", of->draws);
        put_field(output, ",\"failed\":", of->failed);
        put_field(output, ",\"entries\":", of->entries);
        put_field(output, ",\"bytes\":", of->bytes);
        put_field(output, ",\"changes\":", of->changes);
        output_text(output, "}");
        first = false;
    }
    output_text(output, "]");
}

static void json_all(struct output *output, const struct stats *stats, const struct names *names,
                     const char *pool)
{
    char first[TIME_TEXT_BYTES];
    char last[TIME_TEXT_BYTES];
    time_text(stats->first_time_us, first);
    time_text(stats->last_time_us, last);
    put_field(output, "{\"first_lsn\":", stats->first_lsn);
    put_field(output, ",\"end_lsn\":", stats->end_lsn);
    if (stats->has_times) {
        put_string(output, ",\"first_time\":", first);
        put_string(output, ",\"last_time\":", last);
    } else {
        output_text(output, ",\"first_time\":null,\"last_time\":null");
    }
    put_field(output, ",\"first_request_id\":", stats->first_id);
    put_field(output, ",\"next_request_id\":", stats->next_id);
    put_field(output, ",\"groups\":", stats->groups);
    put_field(output, ",\"draws\":", stats->draws);
    put_field(output, ",\"failed\":", stats->failed);
    put_real(output, ",\"bytes_a_draw\":",
             share((double)(stats->end_lsn - stats->first_lsn), (double)stats->draws));
    put_field(output, ",\"longest_gap_us\":", stats->longest_pause_us);
    put_field(output, ",\"longest_gap_lsn\":", stats->longest_pause_lsn);
    json_types(output, stats);
    json_pools(output, stats, names, pool);
    bool first_period = true;
    output_text(output, ",\"odds\":[");
    for (uint32_t i = 0; i < stats->odds.period_count; i++) {
        if (!is_wanted(names, stats->odds.periods[i].pool_id, pool))
            continue;
        output_text(output, first_period ? "" : ",");
        json_period(output, &stats->odds.periods[i], names);
        first_period = false;
    }
    json_histogram(output, "],\"group_bytes\":[", &stats->group_bytes);
    json_histogram(output, ",\"group_draws\":[", &stats->group_draws);
    json_histogram(output, ",\"group_to_group_us\":[", &stats->pause_us);
    output_text(output, "}");
    output_line_end(output);
}

bool stats_print_json(const struct stats *stats, const struct names *names, const char *pool,
                      FILE *out)
{
    struct output *output = malloc(sizeof *output);
    if (output == NULL)
        return false;
    output_begin(output, out);
    json_all(output, stats, names, pool);
    const bool printed = output_end(output);
    free(output);
    return printed;
}

/* ---- the command ------------------------------------------------------------------------------------ */

struct stats_options {
    const char *pool;
    uint64_t items;
    bool json;
};

static const struct stats_options defaults = {.items = 24};

static const struct option_row rows[] = {
    {"--pool", "a pool's name", offsetof(struct stats_options, pool), parse_text},
    {"--items", WANTS_COUNT, offsetof(struct stats_options, items), parse_count},
    {"--json", NULL, offsetof(struct stats_options, json), NULL},
    {.name = NULL},
};

static enum urn_code tell(const struct tool *tool, struct history *history,
                          const struct stats *stats, const struct stats_options *options,
                          struct urn_error *error)
{
    struct names names;
    struct walk walk;
    enum urn_code code = names_begin(&names, history, error);
    if (code != URN_OK)
        return code;
    code = names_learn_log(&names, history, &walk, error);
    walk_end(&walk);
    if (code == URN_OK && !options->json)
        stats_print_text(stats, &names, options->pool, tool->terminal_width, tool->out);
    else if (code == URN_OK && !stats_print_json(stats, &names, options->pool, tool->out))
        code = error_set(error, URN_IO, errno, "cannot write the output");
    names_end(&names);
    return code;
}

static enum exit_status run(const struct tool *tool, const char *const *operands,
                            uint32_t operand_count, const void *options)
{
    const struct stats_options *wanted = options;
    struct history history;
    struct stats stats;
    struct urn_error error;
    enum urn_code code = history_open(&history, tool, operands, operand_count, &error);
    if (code != URN_OK)
        return tool_fail_to_open(tool, operands[0], &error);
    const uint32_t items = wanted->items < MAX_ITEMS_MAX ? (uint32_t)wanted->items : MAX_ITEMS_MAX;
    enum exit_status status = EXIT_SOUND;
    code = stats_collect(&history, items, tool->notes, &stats, &error);
    if (code == URN_OK) {
        status = stats.damaged ? EXIT_DAMAGE : stats.missing ? EXIT_MISSING : EXIT_SOUND;
        code = tell(tool, &history, &stats, wanted, &error);
        stats_free(&stats);
    }
    history_close(&history);
    return code == URN_OK ? status : tool_fail(tool, &error);
}

const struct command command_stats = {
    .name = "stats",
    .summary = "counts: what the log is made of, draws against odds, sizes, times",
    .usage = "DIR | FILE... [--pool NAME] [--items COUNT] [--json]",
    .help =
        "Counts what the log is made of, by type and by pool; draws by item, for each odds "
        "version\n"
        "against what the weights and the stock of each moment let expect, with a chi-square "
        "test;\n"
        "sizes of groups and times between them, as bars; bytes a draw; the longest gap.\n"
        "\n"
        "    --pool NAME   only this pool's draws by item\n"
        "    --items COUNT lists so many items of a pool, those that stand out most (default 24)\n"
        "    --json        prints one JSON object\n"
        "\n"
        "exit status: 0 counted, 2 parts are damaged, 3 parts are missing, 64 wrong usage, 66 "
        "cannot\n"
        "open, 74 cannot read or write\n"
        "\n"
        "examples:\n"
        "    urn-wal stats data\n"
        "    urn-wal stats data --json | jq '.odds[] | {pool, odds_version, p}'\n",
    .operands_min = 1,
    .operands_max = OPERANDS_MAX,
    .operands = "a data directory, or files of one",
    .options_bytes = sizeof(struct stats_options),
    .defaults = &defaults,
    .options = rows,
    .run = run,
};
