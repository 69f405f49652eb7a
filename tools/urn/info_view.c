/* info_view.c: see info_view.h. */
#include "tools/urn/info_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/json.h"

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void human_bytes(uint64_t bytes, char text[HUMAN_BYTES])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, HUMAN_BYTES, "%.1f %s", value, units[unit]);
}

static void human_seconds(uint64_t seconds, char text[HUMAN_BYTES])
{
    uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (days > 0)
        snprintf(text, HUMAN_BYTES, "%" PRIu64 " d %" PRIu64 " h", days, hours % 24);
    else if (hours > 0)
        snprintf(text, HUMAN_BYTES, "%" PRIu64 " h %" PRIu64 " m", hours, minutes % 60);
    else
        snprintf(text, HUMAN_BYTES, "%" PRIu64 " m %" PRIu64 " s", minutes, seconds % 60);
}

const char *human_text(const char *name, uint64_t number, char text[HUMAN_BYTES])
{
    text[0] = '\0';
    if (ends_with(name, "_bytes") && number >= 1024)
        human_bytes(number, text);
    else if (ends_with(name, "_us") && number >= 1000000)
        snprintf(text, HUMAN_BYTES, "%.2f s", (double)number / 1e6);
    else if (ends_with(name, "_us") && number >= 1000)
        snprintf(text, HUMAN_BYTES, "%.2f ms", (double)number / 1e3);
    else if (ends_with(name, "_s") && number >= 60)
        human_seconds(number, text);
    return text;
}

/* Goes through the map twice, as tables do: to measure, then to print. */
struct view {
    const struct terminal *terminal;
    int name_columns;   /* the widest name, indentation included */
    int number_columns; /* the widest number */
    bool printing;
};

static int indented_columns(int depth, uint32_t name_columns)
{
    return 2 * depth + (int)name_columns;
}

/* One line: a name and what is not a map. */
static void view_value(struct view *view, int depth, const char *name, uint32_t name_columns,
                       const struct urnclient_value *value)
{
    char digits[24] = "";
    char human[HUMAN_BYTES];
    if (value->type == URNCLIENT_UINT)
        snprintf(digits, sizeof digits, "%" PRIu64, value->number);
    else if (value->type == URNCLIENT_NEGATIVE)
        snprintf(digits, sizeof digits, "%" PRId64, value->negative);
    int columns = indented_columns(depth, name_columns);
    if (!view->printing) {
        if (columns > view->name_columns)
            view->name_columns = columns;
        if ((int)strlen(digits) > view->number_columns)
            view->number_columns = (int)strlen(digits);
        return;
    }
    FILE *out = view->terminal->out;
    fprintf(out, "%*s%s%*s  ", 2 * depth, "", name, view->name_columns - columns, "");
    if (digits[0] != '\0') {
        fprintf(out, "%*s", view->number_columns, digits);
        if (value->type == URNCLIENT_UINT && *human_text(name, value->number, human) != '\0')
            fprintf(out, "  (%s)", human);
    } else if (value->type == URNCLIENT_TEXT) {
        char clean[CLEAN_TEXT_BYTES];
        terminal_clean(view->terminal, value->text, clean);
        fputs(clean, out);
    } else if (value->type == URNCLIENT_NIL) {
        fputs("none", out);
    } else if (value->type == URNCLIENT_BOOL) {
        fputs(value->truth ? "yes" : "no", out);
    } else {
        json_value(out, value);
    }
    putc('\n', out);
}

/* Recursive: the library bounds the nesting. */
static void view_map(struct view *view, int depth, const struct urnclient_value *map)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct urnclient_pair *pair = &map->pairs[i];
        if (pair->key.type != URNCLIENT_TEXT)
            continue;
        char name[CLEAN_TEXT_BYTES];
        uint32_t columns = terminal_clean(view->terminal, pair->key.text, name);
        if (pair->value.type != URNCLIENT_MAP) {
            view_value(view, depth, name, columns, &pair->value);
            continue;
        }
        if (view->printing)
            fprintf(view->terminal->out, "%*s%s\n", 2 * depth, "", name);
        view_map(view, depth + 1, &pair->value);
    }
}

void info_print(const struct terminal *terminal, const struct urnclient_value *info)
{
    struct view view = {.terminal = terminal};
    if (info->type != URNCLIENT_MAP) {
        json_value(terminal->out, info);
        putc('\n', terminal->out);
        return;
    }
    view_map(&view, 0, info);
    view.printing = true;
    view_map(&view, 0, info);
}
