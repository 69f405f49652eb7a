/* config_values.c: integers, sizes and durations from text. See config_values.h. */
#include "server/config_values.h"

#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {NULL, 0},
};

static const struct unit duration_units[] = {
    {"ms", 1000ull * 1000},
    {"s", 1000ull * 1000 * 1000},
    {"m", 60ull * 1000 * 1000 * 1000},
    {"h", 3600ull * 1000 * 1000 * 1000},
    {"d", 24 * 3600ull * 1000 * 1000 * 1000},
    {NULL, 0},
};

/* Reads digits from *text on and moves it behind them. */
static enum value_result parse_digits(const char **text, uint64_t *value)
{
    const char *at = *text;
    if (*at < '0' || *at > '9' || (at[0] == '0' && at[1] >= '0' && at[1] <= '9'))
        return VALUE_SHAPE;
    enum value_result result = VALUE_OK;
    *value = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*at - '0'), value))
            result = VALUE_OVERFLOW;
    *text = at;
    return result;
}

enum value_result value_parse_integer(const char *text, int64_t *value)
{
    bool negative = *text == '-';
    text += negative;
    uint64_t magnitude = 0;
    enum value_result result = parse_digits(&text, &magnitude);
    if (result == VALUE_SHAPE || *text != '\0' || (negative && magnitude == 0))
        return VALUE_SHAPE;
    if (result != VALUE_OK || magnitude > INT64_MAX)
        return VALUE_OVERFLOW;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return VALUE_OK;
}

static enum value_result parse_with_unit(const char *text, const struct unit *units,
                                         uint64_t *value)
{
    uint64_t number = 0;
    enum value_result result = parse_digits(&text, &number);
    if (result == VALUE_SHAPE)
        return VALUE_SHAPE;
    if (*text == '\0')
        return VALUE_NO_UNIT;
    while (units->name != NULL && strcmp(units->name, text) != 0)
        units++;
    if (units->name == NULL)
        return VALUE_UNIT;
    if (result != VALUE_OK || __builtin_mul_overflow(number, units->factor, value))
        return VALUE_OVERFLOW;
    return VALUE_OK;
}

enum value_result value_parse_size(const char *text, uint64_t *bytes)
{
    return parse_with_unit(text, size_units, bytes);
}

enum value_result value_parse_duration(const char *text, uint64_t *duration_ns)
{
    return parse_with_unit(text, duration_units, duration_ns);
}

bool value_looks_typed(const char *text)
{
    static const char *const words[] = {"",   "~",   "null", "true", "false", "yes", "no",
                                        "on", "off", "y",    "n",    ".inf",  ".nan"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    /* Numbers of every YAML dialect: 12, -1.5e3, 0x1f, 1_000, 12:30 */
    const char *digits = text + (*text == '-' || *text == '+');
    digits += *digits == '.';
    return *digits >= '0' && *digits <= '9' &&
           strspn(digits, "0123456789abcdefABCDEFxXoO_.:+-") == strlen(digits);
}

#define DISTANCE_BYTES_MAX 64u

size_t value_edit_distance(const char *one, const char *other)
{
    size_t one_length = strlen(one);
    size_t other_length = strlen(other);
    if (one_length >= DISTANCE_BYTES_MAX || other_length >= DISTANCE_BYTES_MAX)
        return SIZE_MAX;
    /* cost[i][j]: of the first i bytes of one into the first j of other. */
    uint8_t cost[DISTANCE_BYTES_MAX][DISTANCE_BYTES_MAX];
    for (size_t i = 0; i <= one_length; i++)
        cost[i][0] = (uint8_t)i;
    for (size_t j = 0; j <= other_length; j++)
        cost[0][j] = (uint8_t)j;
    for (size_t i = 1; i <= one_length; i++)
        for (size_t j = 1; j <= other_length; j++) {
            unsigned best = cost[i - 1][j - 1] + (one[i - 1] != other[j - 1] ? 1u : 0u);
            if (cost[i - 1][j] + 1u < best)
                best = cost[i - 1][j] + 1u;
            if (cost[i][j - 1] + 1u < best)
                best = cost[i][j - 1] + 1u;
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] &&
                cost[i - 2][j - 2] + 1u < best)
                best = cost[i - 2][j - 2] + 1u;
            cost[i][j] = (uint8_t)best;
        }
    return cost[one_length][other_length];
}

void value_show(char shown[VALUE_SHOWN_BYTES], const char *text)
{
    static const char dots[] = "...";
    size_t room = VALUE_SHOWN_BYTES - sizeof dots;
    size_t length = strlen(text);
    bool cut = length > room;
    if (cut)
        for (length = room; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
            length--;
    for (size_t i = 0; i < length; i++)
        shown[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    memcpy(shown + length, cut ? dots : "", cut ? sizeof dots : 1);
}
