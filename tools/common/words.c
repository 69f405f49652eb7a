/* words.c: see words.h. */
#include "tools/common/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool number_read(const char *text, uint64_t maximum, uint64_t *number)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number <= maximum;
}

bool duration_read(const char *text, uint32_t *milliseconds)
{
    static const struct {
        const char *unit;
        uint64_t milliseconds;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}};
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    const uint64_t day_ms = 24ull * 3600 * 1000;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0 && errno == 0 && number >= 1 &&
            number <= day_ms / units[i].milliseconds) {
            *milliseconds = (uint32_t)(number * units[i].milliseconds);
            return true;
        }
    return false;
}

#define WORD_BYTES_MAX 32u

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be added, dropped, changed or swapped with their neighbour to make one word
 * of the other (optimal string alignment). */
static size_t distance_between(const char *from, const char *to)
{
    size_t rows[3][WORD_BYTES_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t from_length = strlen(from), to_length = strlen(to);
    for (size_t j = 0; j <= to_length; j++)
        above[j] = j;
    for (size_t i = 1; i <= from_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= to_length; j++) {
            size_t changed = above[j - 1] + (from[i - 1] != to[j - 1]);
            row[j] = least(changed, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[to_length];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t nearest_distance = SIZE_MAX;
    size_t length = strlen(word);
    if (length == 0 || length > WORD_BYTES_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = distance_between(word, candidates[i]);
        bool is_like = distance <= 2 && distance < length && distance < strlen(candidates[i]);
        if (is_like && distance < nearest_distance) {
            nearest = candidates[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}
