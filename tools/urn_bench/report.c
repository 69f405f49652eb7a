/* report.c: see report.h. */
#include "tools/urn_bench/report.h"

#include <inttypes.h>
#include <string.h>

#include "engine/urn.h"
#include "tools/common/json.h"

double report_rate(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

static uint64_t draws_of(const struct report *report)
{
    return report->options->ping ? 0 : report->totals->calls * report->options->draws;
}

static const char *as_text(enum urnclient_as as)
{
    static const char *const forms[] = {
        [URNCLIENT_NAMES] = "names", [URNCLIENT_INDEXES] = "indexes", [URNCLIENT_TALLY] = "tally"};
    return forms[as];
}

/* What the server's log has taken meanwhile, by its own counters. */
struct log_use {
    uint64_t draws; /* of all its clients */
    double bytes_per_draw;
    double draws_per_sync;
    double syncs_per_s;
};

/* False when it is not known, or nothing was drawn. */
static bool log_use(const struct report *report, struct log_use *use)
{
    const struct server_view *before = &report->before;
    const struct server_view *after = &report->after;
    if (!before->known || !after->known || after->draws <= before->draws)
        return false;
    uint64_t syncs = after->syncs - before->syncs;
    double seconds = report->seconds + report->options->warm_up_ms / 1e3;
    use->draws = after->draws - before->draws;
    use->bytes_per_draw = (double)(after->log_bytes - before->log_bytes) / (double)use->draws;
    use->draws_per_sync = syncs > 0 ? (double)use->draws / (double)syncs : 0;
    use->syncs_per_s = report_rate(syncs, seconds);
    return true;
}

/* ---- for people ---------------------------------------------------------------------------- */

#define NUMBER_BYTES 40u

/* 1234567 as 1,234,567. */
static const char *grouped(uint64_t number, char text[NUMBER_BYTES])
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    char *to = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

/* "1 call", "16 calls". */
static void print_plural(FILE *out, uint32_t count, const char *what)
{
    fprintf(out, "%" PRIu32 " %s%s", count, what, count == 1 ? "" : "s");
}

static const char *duration_text(uint64_t ns, char text[NUMBER_BYTES])
{
    double us = (double)ns / 1e3;
    if (us < 1000)
        snprintf(text, NUMBER_BYTES, "%.1f us", us);
    else if (us < 1e6)
        snprintf(text, NUMBER_BYTES, "%.2f ms", us / 1e3);
    else
        snprintf(text, NUMBER_BYTES, "%.2f s", us / 1e6);
    return text;
}

static void print_counted(FILE *out, const char *what, uint64_t count, double seconds)
{
    char number[NUMBER_BYTES], rate[NUMBER_BYTES];
    fprintf(out, "  %-14s %20s", what, grouped(count, number));
    if (count > 0)
        fprintf(out, " %16s/s", grouped((uint64_t)(report_rate(count, seconds) + 0.5), rate));
    putc('\n', out);
}

static void print_load(const struct report *report, FILE *out)
{
    const struct options *options = report->options;
    fprintf(out, "%s", options->address);
    if (report->before.known)
        fprintf(out, ": urn %s, mode %s", report->before.version, report->before.mode);
    putc('\n', out);
    print_plural(out, options->connections, "connection");
    fputs(" x ", out);
    print_plural(out, options->pipeline, "call");
    if (options->ping) {
        fputs(", ping", out);
    } else {
        fputs(", ", out);
        print_plural(out, options->draws, "draw");
        fprintf(out, " a call as %s, ", as_text(options->as));
        if (report->pool_count == 1)
            fprintf(out, "pool %s", report->first_pool);
        else
            print_plural(out, report->pool_count, "pool");
    }
    if (options->rate > 0)
        fprintf(out, "\nopen loop, %" PRIu64 " calls/s", options->rate);
    else
        fputs("\nclosed loop", out);
    fprintf(out, ", %.1f s after a warm-up of %.1f s\n\n", report->seconds,
            options->warm_up_ms / 1e3);
}

static void print_latencies(const struct report *report, FILE *out)
{
    const struct histogram *latency = &report->totals->latency_ns;
    char text[3][NUMBER_BYTES];
    fprintf(out, "  latency   p50 %-11s  p99   %-11s  max %s\n",
            duration_text(histogram_permille(latency, 500), text[0]),
            duration_text(histogram_permille(latency, 990), text[1]),
            duration_text(latency->max, text[2]));
    fprintf(out, "            p90 %-11s  p99.9 %s\n",
            duration_text(histogram_permille(latency, 900), text[0]),
            duration_text(histogram_permille(latency, 999), text[1]));
}

static void print_errors(const struct report *report, FILE *out)
{
    const struct totals *totals = report->totals;
    if (totals->busy > 0)
        print_counted(out, "BUSY", totals->busy, report->seconds);
    for (uint32_t i = 0; i < totals->code_count; i++) {
        print_counted(out, totals->codes[i].code, totals->codes[i].count, report->seconds);
        fprintf(out, "    %s\n", totals->codes[i].text);
    }
    if (totals->unanswered > 0)
        print_counted(out, "unanswered", totals->unanswered, 0);
    if (totals->held_back > 0) {
        print_counted(out, "held back", totals->held_back, report->seconds);
        fputs("    sent more than 1 ms after they were due; their latencies count that\n", out);
    }
}

static void print_ids(const struct report *report, FILE *out)
{
    const struct ids *ids = &report->totals->ids;
    char number[NUMBER_BYTES];
    if (ids->count == 0)
        return;
    fprintf(out, "  ids from %" PRIu64 " to %" PRIu64 ": %s", ids->ranges[0].first,
            ids->ranges[ids->count - 1].end - 1, grouped(ids->given, number));
    if (ids->doubled > 0)
        fprintf(out, ", %s GIVEN TWICE", grouped(ids->doubled, number));
    else
        fputs(", unique", out);
    if (report->totals->disordered > 0)
        fprintf(out, ", %s calls NOT IN ORDER", grouped(report->totals->disordered, number));
    else
        fputs(", increasing", out);
    fprintf(out, ", %" PRIu64 " gaps\n", ids->count - 1);
}

void report_print_text(const struct report *report, FILE *out)
{
    const struct totals *totals = report->totals;
    struct log_use use;
    print_load(report, out);
    print_counted(out, "calls", totals->calls, report->seconds);
    if (!report->options->ping)
        print_counted(out, "draws", draws_of(report), report->seconds);
    if (totals->failed_draws > 0)
        print_counted(out, "failed draws", totals->failed_draws, report->seconds);
    print_errors(report, out);
    if (totals->calls > 0)
        print_latencies(report, out);
    if (log_use(report, &use))
        fprintf(out, "  log       %.2f bytes a draw, %.0f syncs/s, %.1f draws a sync\n",
                use.bytes_per_draw, use.syncs_per_s, use.draws_per_sync);
    if (report->options->check)
        print_ids(report, out);
    if (report->interrupted)
        fputs("  ended early: interrupted\n", out);
    if (report->failure != NULL)
        fprintf(out, "  ended early: %s\n", report->failure);
}

/* ---- for programs -------------------------------------------------------------------------- */

static void json_string(FILE *out, const char *text)
{
    json_text(out, (struct urnclient_text){text, (uint32_t)strlen(text)});
}

static void json_load(const struct report *report, FILE *out)
{
    const struct options *options = report->options;
    fputs("{\"urn_bench\": \"" URN_VERSION "\", \"address\": ", out);
    json_string(out, options->address);
    fprintf(out,
            ", \"method\": \"%s\", \"connections\": %" PRIu32 ", \"pipeline\": %" PRIu32
            ", \"threads\": %" PRIu32,
            options->ping ? "ping" : "draw", options->connections, options->pipeline,
            options->threads);
    if (!options->ping)
        fprintf(out, ", \"pools\": %" PRIu32 ", \"draws_per_call\": %" PRIu32 ", \"as\": \"%s\"",
                report->pool_count, options->draws, as_text(options->as));
    fprintf(out, ", \"loop\": \"%s\", \"rate\": %" PRIu64 ", \"warm_up_s\": %.3f",
            options->rate > 0 ? "open" : "closed", options->rate, options->warm_up_ms / 1e3);
}

static void json_counts(const struct report *report, FILE *out)
{
    const struct totals *totals = report->totals;
    uint64_t draws = draws_of(report);
    fprintf(out,
            ", \"seconds\": %.6f, \"calls\": %" PRIu64
            ", \"calls_per_s\": %.1f, \"draws\": %" PRIu64
            ", \"draws_per_s\": %.1f, \"failed_draws\": %" PRIu64 ", \"busy\": %" PRIu64
            ", \"warm_up_calls\": %" PRIu64 ", \"unanswered\": %" PRIu64 ", \"held_back\": %" PRIu64
            ", \"bytes_sent\": %" PRIu64 ", \"bytes_received\": %" PRIu64,
            report->seconds, totals->calls, report_rate(totals->calls, report->seconds), draws,
            report_rate(draws, report->seconds), totals->failed_draws, totals->busy,
            totals->warm_up_calls, totals->unanswered, totals->held_back, totals->bytes_sent,
            totals->bytes_received);
    fputs(", \"errors\": {", out);
    for (uint32_t i = 0; i < totals->code_count; i++) {
        fputs(i > 0 ? ", " : "", out);
        json_string(out, totals->codes[i].code);
        fprintf(out, ": {\"count\": %" PRIu64 ", \"first\": ", totals->codes[i].count);
        json_string(out, totals->codes[i].text);
        putc('}', out);
    }
    putc('}', out);
}

static void json_latencies(const struct report *report, FILE *out)
{
    static const struct {
        const char *name;
        uint32_t permille;
    } keys[] = {{"p50", 500}, {"p90", 900}, {"p99", 990}, {"p999", 999}, {"max", 1000}};
    fputs(", \"latency_us\": {", out);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint64_t ns = histogram_permille(&report->totals->latency_ns, keys[i].permille);
        fprintf(out, "%s\"%s\": %.3f", i > 0 ? ", " : "", keys[i].name, (double)ns / 1e3);
    }
    putc('}', out);
}

static void json_server(const struct report *report, FILE *out)
{
    struct log_use use;
    fputs(", \"server\": ", out);
    if (!report->before.known) {
        fputs("null", out);
        return;
    }
    fputs("{\"version\": ", out);
    json_string(out, report->before.version);
    fputs(", \"mode\": ", out);
    json_string(out, report->before.mode);
    if (log_use(report, &use))
        fprintf(out,
                ", \"draws\": %" PRIu64 ", \"log_bytes_per_draw\": %.4f, \"syncs_per_s\": %.1f"
                ", \"draws_per_sync\": %.2f, \"snapshots\": %" PRIu64,
                use.draws, use.bytes_per_draw, use.syncs_per_s, use.draws_per_sync,
                report->after.snapshots - report->before.snapshots);
    putc('}', out);
}

static void json_ids(const struct report *report, FILE *out)
{
    const struct ids *ids = &report->totals->ids;
    fputs(", \"ids\": ", out);
    if (!report->options->check || ids->count == 0) {
        fputs("null", out);
        return;
    }
    fprintf(out,
            "{\"first\": %" PRIu64 ", \"last\": %" PRIu64 ", \"given\": %" PRIu64
            ", \"doubled\": %" PRIu64 ", \"disordered\": %" PRIu64 ", \"gaps\": %" PRIu64 "}",
            ids->ranges[0].first, ids->ranges[ids->count - 1].end - 1, ids->given, ids->doubled,
            report->totals->disordered, ids->count - 1);
}

void report_print_json(const struct report *report, FILE *out)
{
    json_load(report, out);
    json_counts(report, out);
    json_latencies(report, out);
    json_server(report, out);
    json_ids(report, out);
    fprintf(out, ", \"interrupted\": %s, \"failure\": ", report->interrupted ? "true" : "false");
    if (report->failure != NULL)
        json_string(out, report->failure);
    else
        fputs("null", out);
    fputs("}\n", out);
}
