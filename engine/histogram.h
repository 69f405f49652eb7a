/* histogram.h: how long things took, in bounded memory.
 *
 * Log-linear, as in HdrHistogram: each power of two is cut into 128 equal parts, so that a value is
 * known to 0.8 per cent wherever it lies, from 1 ns to 584 years. The server keeps its latencies in
 * one, and so does urn-bench. Pure; threads: one at a time.
 */
#ifndef URN_ENGINE_HISTOGRAM_H
#define URN_ENGINE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_PARTS_LOG2 7u
#define HISTOGRAM_PARTS      (1u << HISTOGRAM_PARTS_LOG2)
#define HISTOGRAM_BUCKETS    ((64u - HISTOGRAM_PARTS_LOG2 + 1u) * HISTOGRAM_PARTS)

/* Zeroed: empty. */
struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* Adds all that another one has seen. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/* The value which so many of a thousand stay below or equal (500: the median), rounded up to the
 * end of its bucket but never above the largest value seen; 0 when empty. permille: 0 to 1000. */
uint64_t histogram_permille(const struct histogram *histogram, uint32_t permille);

#endif
