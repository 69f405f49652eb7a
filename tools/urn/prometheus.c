/* prometheus.c: see prometheus.h. */
#include "tools/urn/prometheus.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "proto/rpc.h"

/* ---- the table --------------------------------------------------------------------------- */

/* One sample. Rows of one family follow each other and say the same type. */
struct metric {
    const char *figure; /* where it stands in info: keys with dots between */
    const char *family; /* NULL: not shown, since another figure says the same */
    const char *sample; /* what follows the family's name: a suffix or labels */
    const char *type;
    const char *help;
};

static const struct metric metrics[] = {
    {"uptime_s", "urn_uptime_seconds", "", "gauge", "Time since the server started."},
    {"epoch", "urn_epoch", "", "gauge", "Rises with every start on the same data."},
    {"durable_lsn", "urn_durable_lsn_bytes", "", "gauge",
     "Position in the log below which everything is synced."},
    {"acknowledged_lsn", "urn_acknowledged_lsn_bytes", "", "gauge",
     "Position in the log below which everything is answered."},
    {"unsynced_bytes", "urn_unsynced_bytes", "", "gauge",
     "Log that is answered and not synced: what a power loss may cost."},
    {"unsynced_us", "urn_unsynced_seconds", "", "gauge",
     "The most that the oldest of it can be old."},
    {"staged_lsn", "urn_staged_lsn_bytes", "", "gauge",
     "Position in the log up to which changes are staged."},
    {"next_request_id", "urn_next_request_id", "", "gauge", "The id that the next draw gets."},
    {"failure", "urn_failed", "", "gauge", "1 after a fail stop: the log failed for good."},
    {"snapshot_failure", "urn_snapshots_failing", "", "gauge",
     "1 while snapshots fail, or old ones cannot be removed."},
    {"snapshot_lsn", "urn_snapshot_lsn_bytes", "", "gauge",
     "Position in the log that the newest snapshot covers."},
    {"archive_failure", "urn_archive_failing", "", "gauge",
     "1 while the log cannot be archived as it should be."},
    {"archive.on", "urn_archive_on", "", "gauge", "1 where full segments of the log are archived."},
    {"archive.archived_lsn", "urn_archived_lsn_bytes", "", "gauge",
     "Position in the log below which everything is archived, or recorded as a gap."},
    {"archive.waiting_bytes", "urn_archive_waiting_bytes", "", "gauge",
     "Log that is synced and not archived; the segment that is open stays among it."},
    {"archive.segments", "urn_archived_segments_total", "", "counter", "Segments archived."},
    {"archive.snapshots", "urn_archived_snapshots_total", "", "counter",
     "Snapshots copied to the archive."},
    {"archive.gaps", "urn_archive_gaps_total", "", "counter",
     "Gaps recorded: stretches of log that are not archived."},
    {"archive.gap_bytes", "urn_archive_gap_bytes_total", "", "counter", "Log in those gaps."},
    {"archive.failures", "urn_archive_failures_total", "", "counter",
     "Attempts to archive something that failed."},
    {"ring.size_bytes", "urn_ring_size_bytes", "", "gauge", "Size of the log's ring."},
    {"ring.room_bytes", "urn_ring_room_bytes", "", "gauge", "What is free in the log's ring."},
    {"ring.segments", "urn_ring_segments", "", "gauge", "Segment files in the ring."},
    {"ring.segment_size_bytes", "urn_ring_segment_size_bytes", "", "gauge",
     "Size of one segment file."},
    {"queue.requests", "urn_queue_requests", "", "gauge", "Requests that wait for the log."},
    {"queue.draws", "urn_queue_draws", "", "gauge", "Draws that wait for the log."},
    {"queue.draws_max", "urn_queue_draws_limit", "", "gauge",
     "Draws that may wait; beyond it requests get BUSY."},
    {"connections.open", "urn_connections", "", "gauge", "Open connections."},
    {"connections.max", "urn_connections_limit", "", "gauge", "Connections that may be open."},
    {"connections.accepted", "urn_connections_accepted_total", "", "counter",
     "Connections accepted."},
    {"connections.refused", "urn_connections_refused_total", "", "counter",
     "Connections closed at once, since too many were open."},
    {"connections.stalled", "urn_connections_stalled_total", "", "counter",
     "Connections closed because they held memory and did not move."},
    {"counters.requests", "urn_requests_total", "", "counter", "Requests."},
    {"counters.notifications", "urn_notifications_total", "", "counter",
     "Notifications, all of them ignored."},
    {"counters.error_replies", "urn_error_replies_total", "", "counter",
     "Requests answered with an error."},
    {"counters.bad_requests", "urn_bad_requests_total", "", "counter",
     "Connections closed over bytes that are no request."},
    {"counters.waits", "urn_waits_total", "", "counter",
     "Times that a connection had to wait for a buffer."},
    {"counters.draws", "urn_draws_total", "", "counter", "Draws, failed ones included."},
    {"counters.failed_draws", "urn_failed_draws_total", "", "counter",
     "Draws that found nothing in stock."},
    {"counters.busy", "urn_busy_total", "", "counter", "Requests answered with BUSY."},
    {"counters.lookups", "urn_lookups_total", "", "counter", "Lookups answered."},
    {"counters.lookups_not_found", "urn_lookups_not_found_total", "", "counter",
     "Lookups of ids that no known draw has."},
    {"counters.groups", "urn_groups_total", "", "counter", "Groups written to the log."},
    {"counters.marks", "urn_marks_total", "", "counter", "Marks among the groups."},
    {"counters.log_bytes", "urn_log_bytes_total", "", "counter", "Bytes written to the log."},
    {"counters.syncs", "urn_syncs_total", "", "counter", "Syncs of the log."},
    {"counters.snapshots", "urn_snapshots_total", "", "counter", "Snapshots written and verified."},
    {"counters.snapshots_failed", "urn_snapshots_failed_total", "", "counter",
     "Snapshots that failed."},
    {"latencies.snapshot.pause_max_us", "urn_snapshot_pause_seconds_max", "", "gauge",
     "The longest that a snapshot has kept draws waiting at one time."},
    {"latencies.sync.count", NULL, "", "", "counters.syncs"},
    {"latencies.sync.total_us", "urn_sync_seconds_total", "", "counter",
     "Time spent in syncs of the log."},
    {"latencies.sync.mean_us", NULL, "", "", "total_us over count"},
    {"latencies.sync.max_us", "urn_sync_seconds_max", "", "gauge",
     "The longest sync since the start."},
    {"latencies.draw.p50_us", "urn_draw_latency_seconds", "{quantile=\"0.5\"}", "summary",
     "Draws from request read to reply encoded, since the start."},
    {"latencies.draw.p99_us", "urn_draw_latency_seconds", "{quantile=\"0.99\"}", "summary", ""},
    {"latencies.draw.p999_us", "urn_draw_latency_seconds", "{quantile=\"0.999\"}", "summary", ""},
    {"latencies.draw.count", "urn_draw_latency_seconds", "_count", "summary", ""},
    {"latencies.draw.max_us", "urn_draw_latency_seconds_max", "", "gauge",
     "The longest draw request since the start."},
    {"memory.bound_bytes", "urn_memory_bound_bytes", "", "gauge",
     "The most memory that the limits allow, the ring apart."},
    {"memory.request_buffers_lent_bytes", "urn_request_buffers_lent_bytes", "", "gauge",
     "Request buffers in use."},
    {"memory.reply_buffers_lent_bytes", "urn_reply_buffers_lent_bytes", "", "gauge",
     "Reply buffers in use."},
    {"recovery.snapshots_refused", "urn_recovery_snapshots_refused", "", "gauge",
     "Newer snapshots that the last start found damaged."},
    {"recovery.duration_us", "urn_recovery_duration_seconds", "", "gauge",
     "How long the last start took."},
};
#define METRICS (sizeof metrics / sizeof metrics[0])

static bool is_in_the_table(const char *figure)
{
    for (size_t i = 0; i < METRICS; i++)
        if (strcmp(metrics[i].figure, figure) == 0)
            return true;
    return false;
}

/* ---- values ------------------------------------------------------------------------------ */

/* Prometheus counts time in seconds. */
static const struct unit {
    const char *ending; /* of the figure's key */
    int decimals;       /* so many of its digits are behind the point */
} units[] = {{"_ns", 9}, {"_us", 6}, {"_ms", 3}, {"_s", 0}};
#define UNITS (sizeof units / sizeof units[0])

static const struct unit *unit_of(const char *figure)
{
    size_t length = strlen(figure);
    for (size_t i = 0; i < UNITS; i++) {
        size_t ending = strlen(units[i].ending);
        if (length > ending && strcmp(figure + length - ending, units[i].ending) == 0)
            return &units[i];
    }
    return NULL;
}

/* True for what can be a sample's value. */
static bool is_number(const struct urnclient_value *value)
{
    return value->type == URNCLIENT_UINT || value->type == URNCLIENT_NEGATIVE ||
           value->type == URNCLIENT_BOOL || value->type == URNCLIENT_DOUBLE;
}

/* Exactly: integers are shifted, not divided. */
static void print_value(FILE *out, const char *figure, const struct urnclient_value *value)
{
    const struct unit *unit = unit_of(figure);
    int decimals = unit != NULL ? unit->decimals : 0;
    uint64_t scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    if (value->type == URNCLIENT_BOOL) {
        fputs(value->truth ? "1" : "0", out);
    } else if (value->type == URNCLIENT_DOUBLE) {
        fprintf(out, "%.17g", value->real / (double)scale);
    } else {
        bool below = value->type == URNCLIENT_NEGATIVE;
        uint64_t number = below ? 0 - (uint64_t)value->negative : value->number;
        fprintf(out, "%s%" PRIu64, below ? "-" : "", number / scale);
        if (decimals > 0)
            fprintf(out, ".%0*" PRIu64, decimals, number % scale);
    }
    putc('\n', out);
}

/* A label's value, in its quotes; what is not UTF-8 becomes U+FFFD. */
static void print_label_value(FILE *out, struct urnclient_text text)
{
    putc('"', out);
    for (uint32_t at = 0; at < text.length;) {
        uint32_t length = rpc_utf8_bytes(text.bytes + at, text.length - at);
        char byte = text.bytes[at];
        if (length == 0)
            fputs("\xef\xbf\xbd", out);
        else if (byte == '\n')
            fputs("\\n", out);
        else if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else
            fwrite(text.bytes + at, 1, length, out);
        at += length > 0 ? length : 1;
    }
    putc('"', out);
}

/* ---- figures that the table knows -------------------------------------------------------- */

#define FIGURE_BYTES 160u /* keys with dots between; what is longer is no figure of ours */

static const struct urnclient_value *find_figure(const struct urnclient_value *map,
                                                 const char *figure)
{
    char keys[FIGURE_BYTES];
    char *rest = NULL;
    snprintf(keys, sizeof keys, "%s", figure);
    for (char *key = strtok_r(keys, ".", &rest); key != NULL; key = strtok_r(NULL, ".", &rest)) {
        if (map == NULL || map->type != URNCLIENT_MAP)
            return NULL;
        map = urnclient_find(map, key);
    }
    return map;
}

static void print_head(FILE *out, const char *family, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", family, help, family, type);
}

/* nil, or a text that says why: as a metric, whether there is one. */
static bool is_failure(const char *figure)
{
    return strcmp(figure, "failure") == 0 || strcmp(figure, "snapshot_failure") == 0 ||
           strcmp(figure, "archive_failure") == 0;
}

static void print_known(FILE *out, const struct urnclient_value *info)
{
    const char *family = "";
    for (size_t i = 0; i < METRICS; i++) {
        const struct metric *metric = &metrics[i];
        const struct urnclient_value *value = find_figure(info, metric->figure);
        struct urnclient_value failed = {.type = URNCLIENT_BOOL};
        if (value != NULL && is_failure(metric->figure)) {
            failed.truth = value->type != URNCLIENT_NIL;
            value = &failed;
        }
        if (metric->family == NULL || value == NULL || !is_number(value))
            continue;
        if (strcmp(family, metric->family) != 0)
            print_head(out, metric->family, metric->type, metric->help);
        family = metric->family;
        fprintf(out, "%s%s ", metric->family, metric->sample);
        print_value(out, metric->figure, value);
    }
}

/* ---- figures that it does not know ------------------------------------------------------- */

/* Letters that a name may have; a dot where keys meet. */
static void append_key(char figure[FIGURE_BYTES], struct urnclient_text key)
{
    size_t end = strlen(figure);
    if (end > 0 && end + 1 < FIGURE_BYTES)
        figure[end++] = '.';
    for (uint32_t i = 0; i < key.length && end + 1 < FIGURE_BYTES; i++) {
        char letter = key.bytes[i];
        bool fits = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                    (letter >= '0' && letter <= '9');
        figure[end++] = fits ? letter : '_';
    }
    figure[end] = '\0';
}

/* The letters of a figure with '_' for '.', beginning at its own name. */
static void print_underscored(FILE *out, const char *figure, size_t length)
{
    for (size_t i = 0; i < length; i++)
        putc(figure[i] == '.' ? '_' : figure[i], out);
}

static void print_unknown(FILE *out, const char *figure, const struct urnclient_value *value)
{
    static const char counters[] = "counters.";
    bool counts = strncmp(figure, counters, strlen(counters)) == 0;
    const struct unit *unit = unit_of(figure);
    const char *own = figure + (counts ? strlen(counters) : 0);
    size_t length = strlen(own) - (unit != NULL ? strlen(unit->ending) : 0);
    static const char *const lines[] = {"# HELP urn_", "# TYPE urn_", "urn_"};
    for (int line = 0; line < 3; line++) {
        fputs(lines[line], out);
        print_underscored(out, own, length);
        fprintf(out, "%s%s ", unit != NULL ? "_seconds" : "", counts ? "_total" : "");
        if (line == 0)
            fprintf(out, "The figure %s of info.\n", figure);
        else if (line == 1)
            fprintf(out, "%s\n", counts ? "counter" : "gauge");
        else
            print_value(out, figure, value);
    }
}

/* Goes through the map twice: for its numbers, and for its texts, each of which is a label. Recursive:
 * the library bounds the nesting. */
static void print_rest(FILE *out, const struct urnclient_value *map, const char *above, bool labels)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct urnclient_pair *pair = &map->pairs[i];
        char figure[FIGURE_BYTES];
        if (pair->key.type != URNCLIENT_TEXT)
            continue;
        snprintf(figure, sizeof figure, "%s", above);
        append_key(figure, pair->key.text);
        if (pair->value.type == URNCLIENT_MAP) {
            print_rest(out, &pair->value, figure, labels);
        } else if (is_in_the_table(figure)) {
            continue;
        } else if (!labels && is_number(&pair->value)) {
            print_unknown(out, figure, &pair->value);
        } else if (labels && pair->value.type == URNCLIENT_TEXT) {
            print_underscored(out, figure, strlen(figure));
            putc('=', out);
            print_label_value(out, pair->value.text);
            putc(',', out); /* one may stand behind the last label, too */
        }
    }
}

void prometheus_print(FILE *out, const struct urnclient_value *info)
{
    print_head(out, "urn_up", "gauge", "1: the server answered.");
    fputs("urn_up 1\n", out);
    print_head(out, "urn_build_info", "gauge",
               "What the server says of itself in words; always 1.");
    fputs("urn_build_info{", out);
    print_rest(out, info, "", true);
    fputs("} 1\n", out);
    print_known(out, info);
    print_rest(out, info, "", false);
}
