/* commands.c: see commands.h.
 *
 * With --json a command prints the result as it came over the wire (docs/protocol.md), with the
 * pages of state and catalog put together. Without it, it prints for people.
 */
#include "tools/urn/commands.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "tools/common/json.h"
#include "tools/urn/catalog_file.h"
#include "tools/urn/info_view.h"
#include "tools/urn/pages.h"
#include "tools/urn/prometheus.h"

/* ---- errors ------------------------------------------------------------------------------ */

static const char *hint_for_code(const char *code)
{
    static const struct {
        const char *code;
        const char *hint;
    } hints[] = {
        {"NOPOOL", "urn pools lists the pools there are"},
        {"NOITEM", "nothing was done; urn catalog POOL lists the items"},
        {"NOTFOUND",
         "an id is known from its draw's answer on, until the log that has it is overwritten"},
        {"EXISTS", "nothing was done"},
        {"CONFLICT", "nothing was done; urn state POOL shows what is there now"},
        {"CLOSED", "nothing was drawn; try again once the pool is open"},
        {"NOSTOCK", "nothing was drawn; without --all as many draws succeed as the stock allows"},
        {"BADARG", "nothing was done; urn help COMMAND explains the arguments"},
        {"NOMETHOD", "the server is of another version than this program"},
        {"TOOBIG", "nothing was done; ask for less at a time"},
        {"BUSY", "nothing was done; try again in a moment"},
        {"UNAUTH", "the server wants an access token"},
        {"READONLY", "nothing was done; the server's log says what failed. Restart it once that is "
                     "mended"},
        {"INDOUBT",
         "it may have been done: compare last_request_id of urn state after the server's "
         "restart"},
        {"INTERNAL", "it may have been done; please report this with the server's log"},
    };
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(hints[i].code, code) == 0)
            return hints[i].hint;
    return NULL;
}

enum exit_status report_error(const struct urnclient_error *error, FILE *err)
{
    const char *hint = NULL;
    enum exit_status status = EXIT_IO;
    switch (error->status) {
    case URNCLIENT_OK:
        return EXIT_DONE;
    case URNCLIENT_REFUSED:
        hint = hint_for_code(error->code);
        status = EXIT_REFUSED;
        break;
    case URNCLIENT_CONNECT:
        hint = "is urnd running there? start one with: urnd --config FILE --create "
               "(in a checkout: tools/run)";
        status = EXIT_UNAVAILABLE;
        break;
    case URNCLIENT_TIMEOUT:
    case URNCLIENT_LOST:
    case URNCLIENT_PROTOCOL:
        if (error->may_have_taken_effect)
            hint = "it may have been done: look at urn state (of draws, at last_request_id)";
        break;
    case URNCLIENT_ARGUMENT:
        hint = "urn --help says more";
        status = EXIT_USAGE;
        break;
    case URNCLIENT_NOMEMORY:
        status = EXIT_NO_MEMORY;
        break;
    }
    /* The server's text is shown as carefully as its names are. */
    char clean[CLEAN_TEXT_BYTES];
    struct terminal plain;
    terminal_look(&plain, err);
    terminal_clean(&plain, (struct urnclient_text){error->text, (uint32_t)strlen(error->text)},
                   clean);
    fprintf(err, "urn: %s%s%s\n", error->code, *error->code != '\0' ? " " : "",
            *clean != '\0' ? clean : "the server answered with an error without a text");
    if (hint != NULL)
        fprintf(err, "     %s\n", hint);
    return status;
}

/* ---- ping -------------------------------------------------------------------------------- */

static double now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static enum urnclient_status run_ping(const struct arguments *arguments, struct urnclient *client,
                                      const struct terminal *terminal,
                                      struct urnclient_error *error)
{
    double begin_ms = now_ms();
    if (urnclient_ping(client, error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json)
        fputs("\"pong\"\n", terminal->out);
    else
        fprintf(terminal->out, "pong from %s in %.2f ms\n", arguments->address,
                now_ms() - begin_ms);
    return URNCLIENT_OK;
}

/* ---- draw -------------------------------------------------------------------------------- */

static void draw_print_json(FILE *out, const struct urnclient_draw *draw)
{
    fprintf(out, "[%" PRIu64 ", %c", draw->first_request_id,
            draw->as == URNCLIENT_TALLY ? '{' : '[');
    for (uint32_t i = 0; i < draw->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        if (draw->as == URNCLIENT_TALLY) {
            json_text(out, draw->tally[i].item_id);
            fprintf(out, ": %" PRIu64, draw->tally[i].drawn);
        } else if (draw->as == URNCLIENT_NAMES && draw->names[i].bytes != NULL) {
            json_text(out, draw->names[i]);
        } else if (draw->as == URNCLIENT_INDEXES && draw->indexes[i] != URNCLIENT_FAILED_DRAW) {
            fprintf(out, "%" PRIu32, draw->indexes[i]);
        } else {
            fputs("null", out);
        }
    }
    fprintf(out, "%c, %" PRIu32 ", %" PRIu64 ", %s]\n", draw->as == URNCLIENT_TALLY ? '}' : ']',
            draw->failed, draw->odds_version, draw->replayed ? "true" : "false");
}

static const char nothing_in_stock[] = "(nothing in stock)";

static void draw_fill(struct table *table, const struct urnclient_draw *draw)
{
    for (uint32_t i = 0; i < draw->count; i++) {
        table_number(table, draw->first_request_id + i);
        if (draw->as == URNCLIENT_NAMES && draw->names[i].bytes != NULL)
            table_text(table, draw->names[i]);
        else if (draw->as == URNCLIENT_INDEXES && draw->indexes[i] != URNCLIENT_FAILED_DRAW)
            table_number(table, draw->indexes[i]);
        else
            table_word(table, nothing_in_stock);
    }
}

static void tally_fill(struct table *table, const struct urnclient_draw *draw, uint32_t asked)
{
    for (uint32_t i = 0; i < draw->count; i++) {
        char percent[PERCENT_BYTES];
        table_text(table, draw->tally[i].item_id);
        table_number(table, draw->tally[i].drawn);
        table_word(table, percent_text((double)draw->tally[i].drawn / asked, percent));
    }
}

static void draw_print(const struct terminal *terminal, const struct arguments *arguments,
                       const struct urnclient_draw *draw)
{
    static const struct column names[] = {{"REQUEST ID", ALIGN_RIGHT}, {"ITEM", ALIGN_LEFT}};
    static const struct column indexes[] = {{"REQUEST ID", ALIGN_RIGHT}, {"INDEX", ALIGN_RIGHT}};
    static const struct column tally[] = {
        {"ITEM", ALIGN_LEFT}, {"DRAWN", ALIGN_RIGHT}, {"SHARE", ALIGN_RIGHT}};
    struct table table;
    if (draw->as == URNCLIENT_TALLY) {
        table_begin(&table, terminal, tally, 3);
        tally_fill(&table, draw, arguments->count);
        table_print(&table);
        tally_fill(&table, draw, arguments->count);
    } else {
        table_begin(&table, terminal, draw->as == URNCLIENT_NAMES ? names : indexes, 2);
        draw_fill(&table, draw);
        table_print(&table);
        draw_fill(&table, draw);
    }
    uint64_t last = draw->first_request_id + arguments->count - 1;
    fprintf(terminal->out, "%" PRIu32 " draw%s", arguments->count,
            arguments->count == 1 ? "" : "s");
    if (draw->failed == arguments->count)
        fputs(", nothing in stock", terminal->out);
    else if (draw->failed > 0)
        fprintf(terminal->out, ", %" PRIu32 " of them found nothing in stock", draw->failed);
    if (draw->first_request_id == last)
        fprintf(terminal->out, "; request id %" PRIu64, last);
    else
        fprintf(terminal->out, "; request ids %" PRIu64 " to %" PRIu64, draw->first_request_id,
                last);
    fprintf(terminal->out, "; odds version %" PRIu64 "\n", draw->odds_version);
}

static enum urnclient_status run_draw(const struct arguments *arguments, struct urnclient *client,
                                      const struct terminal *terminal,
                                      struct urnclient_error *error)
{
    struct urnclient_draw draw;
    if (urnclient_draw(client, arguments->pool, arguments->count, arguments->as, arguments->all,
                       &draw, error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json)
        draw_print_json(terminal->out, &draw);
    else
        draw_print(terminal, arguments, &draw);
    urnclient_draw_free(&draw);
    return URNCLIENT_OK;
}

/* ---- state ------------------------------------------------------------------------------- */

static void state_print_json(FILE *out, const char *pool, const struct pages *stock)
{
    fputs("{\"pool\": ", out);
    json_text(out, (struct urnclient_text){pool, (uint32_t)strlen(pool)});
    fprintf(out,
            ", \"open\": %s, \"odds_version\": %" PRIu64 ", \"last_request_id\": %" PRIu64
            ", \"lsn\": %" PRIu64 ", \"total\": %" PRIu32 ", \"items\": [",
            stock->open ? "true" : "false", stock->odds_version, stock->last_request_id, stock->lsn,
            stock->total);
    for (uint32_t i = 0; i < stock->count; i++) {
        const struct urnclient_item *item = &stock->items[i];
        fputs(i > 0 ? ", {\"item_id\": " : "{\"item_id\": ", out);
        json_text(out, item->item_id);
        fprintf(out,
                ", \"index\": %" PRIu32 ", \"quantity\": %" PRId64 ", \"probability\": %" PRIu64
                ", \"drawn\": %" PRIu64 "}",
                item->index, item->quantity, item->probability, item->drawn);
    }
    fputs("]}\n", out);
}

/* The chance of an item in the next draw; weight_in_stock is that of the whole pool. */
static void chance_cell(struct table *table, const struct urnclient_item *item,
                        uint64_t weight_in_stock)
{
    char percent[PERCENT_BYTES];
    double weight = item->quantity == 0 ? 0 : (double)item->probability;
    table_word(table,
               percent_text(weight_in_stock == 0 ? 0 : weight / (double)weight_in_stock, percent));
}

/* has_chances: the whole pool is there, so that the sum of weights is known. */
static void state_fill(struct table *table, const struct pages *stock, bool has_chances,
                       uint64_t weight_in_stock)
{
    for (uint32_t i = 0; i < stock->count; i++) {
        const struct urnclient_item *item = &stock->items[i];
        bool is_unlimited = item->quantity == URNCLIENT_UNLIMITED;
        table_number(table, item->index);
        table_text(table, item->item_id);
        if (is_unlimited)
            table_word(table, "unlimited");
        else
            table_number(table, (uint64_t)item->quantity);
        table_number(table, item->drawn);
        table_number(table, item->probability);
        if (has_chances)
            chance_cell(table, item, weight_in_stock);
        double stocked = (double)item->quantity + (double)item->drawn;
        if (is_unlimited)
            table_word(table, "-");
        else
            table_bar(table, stocked > 0 ? (double)item->quantity / stocked : 0);
    }
}

static void state_print(const struct terminal *terminal, const char *pool,
                        const struct pages *stock)
{
    static const struct column with_chances[] = {
        {"INDEX", ALIGN_RIGHT},  {"ITEM", ALIGN_LEFT},    {"LEFT", ALIGN_RIGHT},
        {"DRAWN", ALIGN_RIGHT},  {"WEIGHT", ALIGN_RIGHT}, {"CHANCE", ALIGN_RIGHT},
        {"REMAINS", ALIGN_LEFT},
    };
    static const struct column without_chances[] = {
        {"INDEX", ALIGN_RIGHT}, {"ITEM", ALIGN_LEFT},    {"LEFT", ALIGN_RIGHT},
        {"DRAWN", ALIGN_RIGHT}, {"WEIGHT", ALIGN_RIGHT}, {"REMAINS", ALIGN_LEFT},
    };
    uint64_t weight_in_stock = 0;
    for (uint32_t i = 0; i < stock->count; i++)
        if (stock->items[i].quantity != 0)
            weight_in_stock += stock->items[i].probability;
    char name[CLEAN_TEXT_BYTES];
    terminal_clean(terminal, (struct urnclient_text){pool, (uint32_t)strlen(pool)}, name);
    fprintf(terminal->out,
            "pool %s: %s, %" PRIu32 " item%s, odds version %" PRIu64 ", last request id %" PRIu64
            ", LSN %" PRIu64 "\n",
            name, stock->open ? "open" : "closed for draws", stock->total,
            stock->total == 1 ? "" : "s", stock->odds_version, stock->last_request_id, stock->lsn);
    bool is_whole = stock->count == stock->total;
    struct table table;
    table_begin(&table, terminal, is_whole ? with_chances : without_chances, is_whole ? 7 : 6);
    state_fill(&table, stock, is_whole, weight_in_stock);
    table_print(&table);
    state_fill(&table, stock, is_whole, weight_in_stock);
}

static enum urnclient_status run_state(const struct arguments *arguments, struct urnclient *client,
                                       const struct terminal *terminal,
                                       struct urnclient_error *error)
{
    struct pages stock;
    if (pages_fetch_state(client, arguments->pool, arguments->offset, arguments->limit, &stock,
                          error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json)
        state_print_json(terminal->out, arguments->pool, &stock);
    else
        state_print(terminal, arguments->pool, &stock);
    pages_free(&stock);
    return URNCLIENT_OK;
}

/* ---- catalog, pools, snapshot -------------------------------------------------------------- */

static void names_print_json(FILE *out, const struct urnclient_text *names, uint32_t count)
{
    putc('[', out);
    for (uint32_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", out);
        json_text(out, names[i]);
    }
    putc(']', out);
}

static enum urnclient_status run_catalog(const struct arguments *arguments,
                                         struct urnclient *client, const struct terminal *terminal,
                                         struct urnclient_error *error)
{
    static const struct column columns[] = {{"INDEX", ALIGN_RIGHT}, {"ITEM", ALIGN_LEFT}};
    struct pages catalog;
    if (pages_fetch_catalog(client, arguments->pool, arguments->offset, arguments->limit, &catalog,
                            error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json) {
        fprintf(terminal->out, "[%" PRIu64 ", %" PRIu32 ", ", catalog.odds_version, catalog.total);
        names_print_json(terminal->out, catalog.names, catalog.count);
        fputs("]\n", terminal->out);
    } else {
        struct table table;
        table_begin(&table, terminal, columns, 2);
        for (int printing = 0; printing < 2; printing++) {
            if (printing)
                table_print(&table);
            for (uint32_t i = 0; i < catalog.count; i++) {
                table_number(&table, (uint64_t)arguments->offset + i);
                table_text(&table, catalog.names[i]);
            }
        }
        fprintf(terminal->out, "%" PRIu32 " of %" PRIu32 " items; odds version %" PRIu64 "\n",
                catalog.count, catalog.total, catalog.odds_version);
    }
    pages_free(&catalog);
    return URNCLIENT_OK;
}

static enum urnclient_status run_snapshot(const struct arguments *arguments,
                                          struct urnclient *client, const struct terminal *terminal,
                                          struct urnclient_error *error)
{
    uint64_t lsn;
    if (urnclient_snapshot(client, &lsn, error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json)
        fprintf(terminal->out, "%" PRIu64 "\n", lsn);
    else
        fprintf(terminal->out, "snapshot up to log position %" PRIu64 "\n", lsn);
    return URNCLIENT_OK;
}

static enum urnclient_status run_pools(const struct arguments *arguments, struct urnclient *client,
                                       const struct terminal *terminal,
                                       struct urnclient_error *error)
{
    struct urnclient_names pools;
    if (urnclient_pools(client, &pools, error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json) {
        names_print_json(terminal->out, pools.names, pools.count);
        putc('\n', terminal->out);
    }
    for (uint32_t i = 0; !arguments->json && i < pools.count; i++) {
        char clean[CLEAN_TEXT_BYTES];
        terminal_clean(terminal, pools.names[i], clean);
        fprintf(terminal->out, "%s\n", clean);
    }
    urnclient_names_free(&pools);
    return URNCLIENT_OK;
}

/* ---- lookup ------------------------------------------------------------------------------ */

/* As urn-wal writes a moment. */
static void print_time(FILE *out, uint64_t time_us)
{
    const time_t seconds = (time_t)(time_us / 1000000);
    char text[32];
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        fprintf(out, "time          %" PRIu64 " us since 1970\n", time_us);
    else
        fprintf(out, "time          %s.%06" PRIu64 "Z\n", text, time_us % 1000000);
}

static void lookup_print(const struct terminal *terminal, const struct urnclient_lookup *lookup)
{
    char clean[CLEAN_TEXT_BYTES];
    FILE *out = terminal->out;
    fprintf(out, "request id    %" PRIu64 "\n", lookup->request_id);
    terminal_clean(terminal, lookup->pool, clean);
    fprintf(out, "pool          %s\n", clean);
    if (lookup->item_id.bytes == NULL) {
        fprintf(out, "item          %s\n", nothing_in_stock);
    } else {
        terminal_clean(terminal, lookup->item_id, clean);
        fprintf(out, "item          %s (index %" PRIu32 ")\n", clean, lookup->index);
    }
    fprintf(out, "odds version  %" PRIu64 "\n", lookup->odds_version);
    print_time(out, lookup->time_us);
    fprintf(out, "LSN           %" PRIu64 "\n", lookup->lsn);
}

static void lookup_print_json(FILE *out, const struct urnclient_lookup *lookup)
{
    fprintf(out, "{\"request_id\": %" PRIu64 ", \"pool\": ", lookup->request_id);
    json_text(out, lookup->pool);
    fputs(", \"item_id\": ", out);
    if (lookup->item_id.bytes == NULL) {
        fputs("null, \"index\": null", out);
    } else {
        json_text(out, lookup->item_id);
        fprintf(out, ", \"index\": %" PRIu32, lookup->index);
    }
    fprintf(out,
            ", \"odds_version\": %" PRIu64 ", \"time_us\": %" PRIu64 ", \"lsn\": %" PRIu64 "}\n",
            lookup->odds_version, lookup->time_us, lookup->lsn);
}

static enum urnclient_status run_lookup(const struct arguments *arguments, struct urnclient *client,
                                        const struct terminal *terminal,
                                        struct urnclient_error *error)
{
    struct urnclient_lookup lookup;
    if (urnclient_lookup(client, arguments->request_id, &lookup, error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json)
        lookup_print_json(terminal->out, &lookup);
    else
        lookup_print(terminal, &lookup);
    urnclient_lookup_free(&lookup);
    return URNCLIENT_OK;
}

/* ---- info -------------------------------------------------------------------------------- */

static enum urnclient_status run_info(const struct arguments *arguments, struct urnclient *client,
                                      const struct terminal *terminal,
                                      struct urnclient_error *error)
{
    struct urnclient_info info;
    if (urnclient_info(client, &info, error) != URNCLIENT_OK)
        return error->status;
    if (arguments->json) {
        json_value(terminal->out, &info.value);
        putc('\n', terminal->out);
    } else if (arguments->format == FORMAT_PROMETHEUS) {
        prometheus_print(terminal->out, &info.value);
    } else {
        info_print(terminal, &info.value);
    }
    urnclient_info_free(&info);
    return URNCLIENT_OK;
}

/* ---- changes ----------------------------------------------------------------------------- */

static void print_changed(const struct arguments *arguments, const struct terminal *terminal,
                          const char *what, uint64_t odds_version)
{
    char pool[CLEAN_TEXT_BYTES];
    if (arguments->json) {
        fprintf(terminal->out, "%" PRIu64 "\n", odds_version);
        return;
    }
    terminal_clean(terminal,
                   (struct urnclient_text){arguments->pool, (uint32_t)strlen(arguments->pool)},
                   pool);
    fprintf(terminal->out, "pool %s: %s; odds version %" PRIu64 "\n", pool, what, odds_version);
}

static enum urnclient_status run_change(const struct arguments *arguments, struct urnclient *client,
                                        const struct terminal *terminal,
                                        struct urnclient_error *error)
{
    const struct urnclient_item_spec item = {arguments->item, arguments->update.quantity,
                                             arguments->update.probability};
    const char *what = "open";
    uint64_t odds_version = 0;
    enum urnclient_status status;
    if (arguments->command == COMMAND_UPDATE) {
        what = "item updated";
        status = urnclient_update(client, arguments->pool, arguments->item, &arguments->update,
                                  &odds_version, error);
    } else if (arguments->command == COMMAND_ADD) {
        what = "item added";
        status = urnclient_add(client, arguments->pool, &item, &odds_version, error);
    } else if (arguments->command == COMMAND_CLOSE) {
        what = "closed for draws";
        status = urnclient_close_pool(client, arguments->pool, &odds_version, error);
    } else {
        status = urnclient_open_pool(client, arguments->pool, &odds_version, error);
    }
    if (status == URNCLIENT_OK)
        print_changed(arguments, terminal, what, odds_version);
    return status;
}

static enum urnclient_status run_create(const struct arguments *arguments, struct urnclient *client,
                                        const struct terminal *terminal,
                                        struct urnclient_error *error)
{
    struct catalog_file catalog;
    uint64_t odds_version;
    if (!catalog_file_read(arguments->file, &catalog, error->text, sizeof error->text)) {
        error->status = URNCLIENT_ARGUMENT;
        return error->status;
    }
    enum urnclient_status status = urnclient_create(client, arguments->pool, catalog.items,
                                                    catalog.count, &odds_version, error);
    catalog_file_free(&catalog);
    if (status == URNCLIENT_OK)
        print_changed(arguments, terminal, "created", odds_version);
    return status;
}

static uint64_t number_in(const struct urnclient_value *map, const char *key)
{
    const struct urnclient_value *value = urnclient_find(map, key);
    return value != NULL && value->type == URNCLIENT_UINT ? value->number : 0;
}

static void reload_fill(struct table *table, const struct urnclient_value *changes)
{
    for (uint32_t i = 0; i < changes->count; i++) {
        static const char *const texts[] = {"kind", "pool", "item_id"};
        const struct urnclient_value *change = &changes->elements[i];
        for (uint32_t column = 0; column < 3; column++) {
            const struct urnclient_value *text = urnclient_find(change, texts[column]);
            if (text != NULL && text->type == URNCLIENT_TEXT)
                table_text(table, text->text);
            else
                table_word(table, "-");
        }
        table_number(table, number_in(change, "before"));
        table_number(table, number_in(change, "probability"));
    }
}

static void reload_print(const struct terminal *terminal, const struct urnclient_value *report)
{
    static const struct column columns[] = {{"CHANGE", ALIGN_LEFT},
                                            {"POOL", ALIGN_LEFT},
                                            {"ITEM", ALIGN_LEFT},
                                            {"WEIGHT NOW", ALIGN_RIGHT},
                                            {"IN FILE", ALIGN_RIGHT}};
    const struct urnclient_value *changes = urnclient_find(report, "changes");
    const struct urnclient_value *restart = urnclient_find(report, "restart");
    if (changes != NULL && changes->type == URNCLIENT_ARRAY && changes->count > 0) {
        struct table table;
        table_begin(&table, terminal, columns, 5);
        reload_fill(&table, changes);
        table_print(&table);
        reload_fill(&table, changes);
    }
    fprintf(terminal->out,
            "%" PRIu64 " new pools, %" PRIu64 " new items, %" PRIu64 " weights, %" PRIu64
            " conflicts\n",
            number_in(report, "new_pools"), number_in(report, "new_items"),
            number_in(report, "probabilities"), number_in(report, "conflicts"));
    for (uint32_t i = 0; restart != NULL && restart->type == URNCLIENT_ARRAY && i < restart->count;
         i++)
        if (restart->elements[i].type == URNCLIENT_TEXT)
            fprintf(terminal->out, "%s has changed and needs a restart\n",
                    restart->elements[i].text.bytes);
}

static enum urnclient_status run_reload(const struct arguments *arguments, struct urnclient *client,
                                        const struct terminal *terminal,
                                        struct urnclient_error *error)
{
    struct urnclient_info report;
    if (urnclient_reload(client, arguments->dry_run, arguments->force, &report, error) !=
        URNCLIENT_OK)
        return error->status;
    if (arguments->json) {
        json_value(terminal->out, &report.value);
        putc('\n', terminal->out);
    } else {
        reload_print(terminal, &report.value);
    }
    urnclient_info_free(&report);
    return URNCLIENT_OK;
}

/* ---- all of them ------------------------------------------------------------------------- */

enum exit_status command_run(const struct arguments *arguments, struct urnclient *client,
                             const struct terminal *terminal, FILE *err)
{
    typedef enum urnclient_status run(const struct arguments *, struct urnclient *,
                                      const struct terminal *, struct urnclient_error *);
    static run *const runs[COMMAND_COUNT] = {
        [COMMAND_PING] = run_ping,         [COMMAND_DRAW] = run_draw,
        [COMMAND_STATE] = run_state,       [COMMAND_UPDATE] = run_change,
        [COMMAND_ADD] = run_change,        [COMMAND_CREATE] = run_create,
        [COMMAND_CLOSE] = run_change,      [COMMAND_OPEN] = run_change,
        [COMMAND_RELOAD] = run_reload,     [COMMAND_CATALOG] = run_catalog,
        [COMMAND_POOLS] = run_pools,       [COMMAND_INFO] = run_info,
        [COMMAND_SNAPSHOT] = run_snapshot, [COMMAND_LOOKUP] = run_lookup,
    };
    struct urnclient_error error = {.status = URNCLIENT_OK};
    if (runs[arguments->command](arguments, client, terminal, &error) != URNCLIENT_OK)
        return report_error(&error, err);
    return EXIT_DONE;
}
