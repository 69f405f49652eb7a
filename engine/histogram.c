/* histogram.c: see histogram.h. */
#include "engine/histogram.h"

#include "engine/check.h"

/* Values below HISTOGRAM_PARTS have a bucket each; above, the highest bit chooses a row of buckets
 * and the bits after it the bucket. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_PARTS)
        return (uint32_t)value;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HISTOGRAM_PARTS_LOG2;
    return (shift + 1) * HISTOGRAM_PARTS + (uint32_t)((value >> shift) - HISTOGRAM_PARTS);
}

/* The largest value of a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < HISTOGRAM_PARTS)
        return bucket;
    uint32_t shift = bucket / HISTOGRAM_PARTS - 1;
    uint64_t begin = (uint64_t)(HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS) << shift;
    return begin + ((1ull << shift) - 1);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    uint32_t bucket = bucket_of(value);
    CHECK(bucket < HISTOGRAM_BUCKETS);
    histogram->buckets[bucket]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
        histogram->buckets[bucket] += other->buckets[bucket];
    histogram->count += other->count;
    if (other->max > histogram->max)
        histogram->max = other->max;
}

uint64_t histogram_permille(const struct histogram *histogram, uint32_t permille)
{
    CHECK(permille <= 1000);
    if (histogram->count == 0)
        return 0;
    /* The rank, counted from 1; in two steps, so that no count overflows. */
    uint64_t rank =
        histogram->count / 1000 * permille + (histogram->count % 1000 * permille + 999) / 1000;
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= rank && seen > 0) {
            uint64_t end = bucket_end(bucket);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}
