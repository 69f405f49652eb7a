/* words.h: words of a command line: what was perhaps meant, durations, numbers. Pure. */
#ifndef URN_TOOLS_COMMON_WORDS_H
#define URN_TOOLS_COMMON_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a number of decimal digits and nothing else, up to maximum. */
bool number_read(const char *text, uint64_t maximum, uint64_t *number);

/* Reads 5s, 250ms, 1m, 1h; a number alone is seconds. False when it is none or not within 1 ms to
 * 24 hours. */
bool duration_read(const char *text, uint32_t *milliseconds);

/* The candidate most like word, if one is like it enough to be worth a question; else NULL. */
const char *nearest_word(const char *word, const char *const *candidates, size_t count);

#endif
