/* selector.c: building, searching and changing the 16-way tree of running sums. See selector.h.
 *
 * Each level is an array, the lowest with a slot for each item. Slot k of a level stands for node k of
 * the level below, and node k is the 16 slots from 16 * k on, so that a position and a shift are all the
 * pointers there are. The top level is one node. Arrays grow by pages that are moved, not copied
 * (pages.h), so that a tree of millions of slots grows in some microseconds.
 *
 * Invariants, for every node:
 *   N1  sums[0] = 0, and sums[j] = sums[j - 1] + weight of slot j - 1, so that sums never fall
 *   N2  the weight of a slot above the lowest level is the sum of the weights in its node
 *   N3  slots from count on have weight 0
 * A number below a node's sum thus finds, as the last slot whose sum is not above it, one whose
 * weight is not 0: were it 0, the next slot would have the same sum and be found instead (or,
 * behind the last slot, the number would not be below the node's sum).
 */
#include "engine/selector_inner.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/limits.h"
#include "engine/pages.h"

#define FANOUT_LOG2 4u
#define NODE_BYTES  (SELECTOR_FANOUT * sizeof(uint64_t))

_Static_assert(NODE_BYTES == PAGES_ALIGN_BYTES, "a node is aligned as a level is");
_Static_assert(1u << FANOUT_LOG2 == SELECTOR_FANOUT, "a position is shifted from level to level");
_Static_assert(1ull << (FANOUT_LOG2 * SELECTOR_LEVELS_MAX) >= MAX_ITEMS_MAX,
               "the highest tree holds the largest pool");

struct selector_kernel {
    enum selector_path path;
    /* The loops of selector_find_nodes and _slots. Numbers are inside, levels outside, so that the
     * memory of one number's node is fetched while others are compared. */
    void (*find_nodes)(const struct selector *selector, uint64_t *numbers, uint32_t *nodes,
                       uint32_t count);
    void (*find_slots)(const struct selector *selector, const uint64_t *numbers, uint32_t *slots,
                       uint32_t count);
    /* Adds change (modulo 2^64) to the weight of a slot, on every level. */
    void (*shift)(struct selector *selector, uint32_t slot, uint64_t change);
    selector_flat_loop *find_flat;
};

/* ---- the inner loops ------------------------------------------------------------------------- */

/* Makes the loops of a path from what it does with one node:
 *     slot_in_node_PATH(node, number)              the last slot whose sum is not above the number
 *     shift_later_slots_PATH(node, slot, change)   adds change to the sums of the slots behind slot
 * A macro, because GCC inlines vector code only into functions that are compiled for the same
 * target. */
/* NOLINTBEGIN(bugprone-macro-parentheses): attributes and parts of names take none */
#define DEFINE_KERNEL(PATH, TARGET)                                                                \
    TARGET static void find_nodes_##PATH(const struct selector *selector, uint64_t *numbers,       \
                                         uint32_t *nodes, uint32_t count)                          \
    {                                                                                              \
        memset(nodes, 0, SELECTOR_GROUP_MAX * sizeof *nodes);                                      \
        for (uint32_t level = selector->level_count - 1; level > 0; level--) {                     \
            const uint64_t *sums = selector->levels[level].sums;                                   \
            for (uint32_t i = 0; i < count; i++) {                                                 \
                const uint64_t *node = sums + (nodes[i] << FANOUT_LOG2);                           \
                uint32_t slot = slot_in_node_##PATH(node, numbers[i]);                             \
                numbers[i] -= node[slot];                                                          \
                nodes[i] = (nodes[i] << FANOUT_LOG2) + slot;                                       \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    TARGET static void find_slots_##PATH(const struct selector *selector, const uint64_t *numbers, \
                                         uint32_t *slots, uint32_t count)                          \
    {                                                                                              \
        for (uint32_t i = 0; i < count; i++) {                                                     \
            uint32_t first = slots[i] << FANOUT_LOG2;                                              \
            slots[i] = first + slot_in_node_##PATH(selector->levels[0].sums + first, numbers[i]);  \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    TARGET static void shift_##PATH(struct selector *selector, uint32_t slot, uint64_t change)     \
    {                                                                                              \
        for (uint32_t level = 0; level < selector->level_count; level++) {                         \
            uint32_t node = slot >> FANOUT_LOG2;                                                   \
            uint64_t *sums = selector->levels[level].sums;                                         \
            shift_later_slots_##PATH(sums + (node << FANOUT_LOG2), slot % SELECTOR_FANOUT,         \
                                     change);                                                      \
            slot = node;                                                                           \
        }                                                                                          \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void shift_later_slots_scalar(uint64_t *node, uint32_t slot, uint64_t change)
{
    for (uint32_t later = slot + 1; later < SELECTOR_FANOUT; later++)
        node[later] += change;
}

DEFINE_KERNEL(scalar, )

#if defined(__x86_64__)

/* Compares as signed numbers, which sums below 2^53 allow. A comparison leaves 64 equal bits a
 * slot; packing twice leaves 16 a slot's, in some order, of which the counting needs none. */
TARGET_AVX2 static inline uint32_t slot_in_node_avx2(const uint64_t *node, uint64_t number)
{
    const __m256i *sums = (const __m256i *)(const void *)node;
    __m256i wanted = _mm256_set1_epi64x((long long)number);
    __m256i above_0 = _mm256_cmpgt_epi64(_mm256_load_si256(sums + 0), wanted);
    __m256i above_1 = _mm256_cmpgt_epi64(_mm256_load_si256(sums + 1), wanted);
    __m256i above_2 = _mm256_cmpgt_epi64(_mm256_load_si256(sums + 2), wanted);
    __m256i above_3 = _mm256_cmpgt_epi64(_mm256_load_si256(sums + 3), wanted);
    __m256i above = _mm256_packs_epi16(_mm256_packs_epi32(above_0, above_1),
                                       _mm256_packs_epi32(above_2, above_3));
    uint32_t two_bits_a_slot = (uint32_t)_mm256_movemask_epi8(above);
    return SELECTOR_FANOUT - 1 - (uint32_t)__builtin_popcount(two_bits_a_slot) / 2;
}

TARGET_AVX2 static inline void shift_later_slots_avx2(uint64_t *node, uint32_t slot,
                                                      uint64_t change)
{
    __m256i *sums = (__m256i *)(void *)node;
    __m256i changed_slot = _mm256_set1_epi64x(slot);
    __m256i added = _mm256_set1_epi64x((long long)change);
    __m256i lanes = _mm256_setr_epi64x(0, 1, 2, 3);
    for (int i = 0; i < 4; i++) {
        __m256i later = _mm256_cmpgt_epi64(lanes, changed_slot);
        __m256i sum = _mm256_load_si256(sums + i);
        _mm256_store_si256(sums + i, _mm256_add_epi64(sum, _mm256_and_si256(later, added)));
        lanes = _mm256_add_epi64(lanes, _mm256_set1_epi64x(4));
    }
}

DEFINE_KERNEL(avx2, TARGET_AVX2)

TARGET_AVX512 static inline uint32_t slot_in_node_avx512(const uint64_t *node, uint64_t number)
{
    __m512i wanted = _mm512_set1_epi64((long long)number);
    uint32_t low = _mm512_cmple_epu64_mask(_mm512_load_si512(node), wanted);
    uint32_t high = _mm512_cmple_epu64_mask(_mm512_load_si512(node + 8), wanted);
    return (uint32_t)__builtin_popcount(low | high << 8) - 1;
}

TARGET_AVX512 static inline void shift_later_slots_avx512(uint64_t *node, uint32_t slot,
                                                          uint64_t change)
{
    uint32_t later = 0xfffeu << slot;
    __m512i added = _mm512_set1_epi64((long long)change);
    __m512i low = _mm512_load_si512(node), high = _mm512_load_si512(node + 8);
    _mm512_store_si512(node, _mm512_mask_add_epi64(low, (__mmask8)later, low, added));
    _mm512_store_si512(node + 8, _mm512_mask_add_epi64(high, (__mmask8)(later >> 8), high, added));
}

DEFINE_KERNEL(avx512, TARGET_AVX512)

static bool path_is_supported(enum selector_path path)
{
    switch (path) {
    case SELECTOR_SCALAR:
        return true;
    case SELECTOR_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
    case SELECTOR_AVX512:
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt");
    default:
        return false;
    }
}

static const struct selector_kernel kernels[SELECTOR_PATHS] = {
    {SELECTOR_SCALAR, find_nodes_scalar, find_slots_scalar, shift_scalar, selector_flat_scalar},
    {SELECTOR_AVX2, find_nodes_avx2, find_slots_avx2, shift_avx2, selector_flat_avx2},
    {SELECTOR_AVX512, find_nodes_avx512, find_slots_avx512, shift_avx512, selector_flat_avx512},
};

#else

static bool path_is_supported(enum selector_path path)
{
    return path == SELECTOR_SCALAR;
}

static const struct selector_kernel kernels[SELECTOR_PATHS] = {
    {SELECTOR_SCALAR, find_nodes_scalar, find_slots_scalar, shift_scalar, selector_flat_scalar},
};

#endif

/* ---- life and memory ------------------------------------------------------------------------- */

void selector_init(struct selector *selector)
{
    *selector = (struct selector){0};
    enum selector_path best = SELECTOR_AVX512;
    while (!selector_use_path(selector, best))
        best--;
}

void selector_free(struct selector *selector)
{
    for (uint32_t level = 0; level < SELECTOR_LEVELS_MAX; level++)
        pages_free(selector->levels[level].sums, selector->levels[level].slots * sizeof(uint64_t));
    *selector = (struct selector){0};
}

bool selector_use_path(struct selector *selector, enum selector_path path)
{
    if (!path_is_supported(path))
        return false;
    selector->kernel = &kernels[path];
    CHECK(selector->kernel->path == path);
    return true;
}

const char *selector_path_name(enum selector_path path)
{
    static const char *const names[SELECTOR_PATHS] = {"scalar", "avx2", "avx512"};
    CHECK((unsigned)path < SELECTOR_PATHS);
    return names[path];
}

/* Room to spare beyond count, so that growing one by one costs O(1) a slot; but none beyond a single
 * node, which is searched sooner than two levels. */
static uint64_t capacity_for(uint64_t count, uint64_t count_max)
{
    uint64_t wanted = count <= SELECTOR_FANOUT ? count : count + count / 16;
    if (wanted > count_max)
        wanted = count_max;
    return round_up_u64(wanted, SELECTOR_FANOUT);
}

static bool grow_level(struct selector_level *level, uint32_t slots)
{
    if (slots <= level->slots)
        return true;
    uint64_t *sums = pages_grow(level->sums, level->slots * sizeof(uint64_t),
                                (uint64_t)slots * sizeof(uint64_t));
    if (sums == NULL)
        return false;
    *level = (struct selector_level){sums, slots};
    return true;
}

/* A level above what was the top: all that there is stands behind its first slot. */
static void begin_level(struct selector_level *level, uint64_t total)
{
    for (uint32_t slot = 1; slot < SELECTOR_FANOUT; slot++)
        level->sums[slot] = total;
}

bool selector_reserve(struct selector *selector, uint32_t count, uint32_t count_max)
{
    CHECK(count <= count_max && count_max <= MAX_ITEMS_MAX);
    if (count <= selector->capacity)
        return true;
    const uint32_t capacity = (uint32_t)capacity_for(count, count_max);
    uint32_t nodes = capacity >> FANOUT_LOG2;
    uint32_t level_count = 0;
    for (;;) {
        CHECK(level_count < SELECTOR_LEVELS_MAX);
        if (!grow_level(&selector->levels[level_count++], nodes << FANOUT_LOG2))
            return false; /* levels that have grown already are only larger than they need be */
        if (nodes == 1)
            break;
        nodes = (nodes + SELECTOR_FANOUT - 1) >> FANOUT_LOG2;
    }
    for (; selector->level_count < level_count; selector->level_count++)
        begin_level(&selector->levels[selector->level_count], selector->total);
    selector->capacity = capacity;
    return true;
}

uint64_t selector_memory_bytes(const struct selector *selector)
{
    uint64_t bytes = 0;
    for (uint32_t level = 0; level < SELECTOR_LEVELS_MAX; level++)
        bytes += selector->levels[level].slots * sizeof(uint64_t);
    return bytes;
}

uint64_t selector_memory_bound_bytes(uint64_t slots)
{
    /* Each level has a sixteenth of the nodes below it, rounded up: a fifteenth in all, and one
     * each. Large levels are whole pages. */
    const uint64_t leaves = capacity_for(slots, UINT64_MAX) >> FANOUT_LOG2;
    const uint64_t bytes = NODE_BYTES * (leaves + leaves / 15 + SELECTOR_LEVELS_MAX);
    return bytes < PAGES_LARGE_BYTES ? bytes : bytes + SELECTOR_LEVELS_MAX * OS_PAGE_BYTES;
}

uint64_t selector_growing_bytes(void)
{
    /* Only small levels are copied, one at a time. */
    return 2 * PAGES_LARGE_BYTES;
}

/* ---- building and changing ------------------------------------------------------------------- */

/* Turns the 16 weights of a node into the sums before each. Returns the sum of all. */
static uint64_t weights_to_sums(uint64_t *node)
{
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < SELECTOR_FANOUT; slot++) {
        uint64_t weight = node[slot];
        node[slot] = sum;
        sum += weight;
    }
    return sum;
}

/* Makes the nodes of a level from the weights of their slots; the slots behind them are 0. */
static void build_level(struct selector *selector, uint32_t level, uint32_t nodes)
{
    const bool is_top = level + 1 == selector->level_count;
    uint64_t *above = is_top ? &selector->total : selector->levels[level + 1].sums;
    for (uint32_t node = 0; node < nodes; node++)
        above[node] = weights_to_sums(selector->levels[level].sums + (node << FANOUT_LOG2));
}

void selector_build(struct selector *selector, uint32_t count, selector_weights weights_of,
                    const void *context)
{
    CHECK(count <= selector->capacity);
    if (selector->count > 0) /* otherwise there are zeroes only */
        for (uint32_t level = 0; level < selector->level_count; level++)
            memset(selector->levels[level].sums, 0,
                   selector->levels[level].slots * sizeof(uint64_t));
    selector->count = count;
    selector->total = 0;
    for (uint32_t first = 0; first < count; first += SELECTOR_FANOUT) {
        const uint32_t left = count - first;
        weights_of(context, first, left < SELECTOR_FANOUT ? left : SELECTOR_FANOUT,
                   selector->levels[0].sums + first);
    }
    uint32_t nodes = count;
    for (uint32_t level = 0; level < selector->level_count; level++) {
        nodes = (nodes + SELECTOR_FANOUT - 1) >> FANOUT_LOG2;
        build_level(selector, level, nodes);
    }
}

void selector_append(struct selector *selector, uint64_t weight)
{
    CHECK(selector->count < selector->capacity);
    selector_increase(selector, selector->count++, weight);
}

void selector_find_nodes(const struct selector *selector, uint64_t *numbers, uint32_t *nodes,
                         uint32_t count)
{
    CHECK(selector->total > 0 && count <= SELECTOR_GROUP_MAX);
    selector->kernel->find_nodes(selector, numbers, nodes, count);
}

void selector_find_slots(const struct selector *selector, const uint64_t *numbers, uint32_t *slots,
                         uint32_t count)
{
    selector->kernel->find_slots(selector, numbers, slots, count);
}

uint32_t selector_find_flat(const struct selector *selector, const uint8_t *words, uint32_t count,
                            uint32_t *slots, uint32_t *tally)
{
    CHECK(selector_is_flat(selector));
    return selector->kernel->find_flat(selector, words, count, slots, tally);
}

static void prefetch_node_at(const uint64_t *sums)
{
    __builtin_prefetch(sums);
    __builtin_prefetch(sums + SELECTOR_FANOUT / 2);
}

void selector_prefetch_node(const struct selector *selector, uint32_t node)
{
    prefetch_node_at(selector->levels[0].sums + ((size_t)node << FANOUT_LOG2));
}

void selector_prefetch_top(const struct selector *selector)
{
    if (selector->level_count > 0)
        prefetch_node_at(selector->levels[selector->level_count - 1].sums);
}

void selector_increase(struct selector *selector, uint32_t slot, uint64_t weight)
{
    CHECK(slot < selector->count);
    selector->kernel->shift(selector, slot, weight);
    selector->total += weight;
}

void selector_decrease(struct selector *selector, uint32_t slot, uint64_t weight)
{
    CHECK(slot < selector->count && weight <= selector->total);
    selector->kernel->shift(selector, slot, 0 - weight);
    selector->total -= weight;
}

/* ---- checking -------------------------------------------------------------------------------- */

void selector_check(const struct selector *selector, selector_weights weights_of,
                    const void *context)
{
    CHECK(selector->kernel != NULL && selector->count <= selector->capacity);
    CHECK((selector->level_count == 0) == (selector->capacity == 0));
    /* A tree that is built anew from the same weights has the same sums. */
    struct selector fresh = {.kernel = selector->kernel};
    CHECK(selector_reserve(&fresh, selector->capacity, selector->capacity));
    CHECK(fresh.level_count == selector->level_count);
    selector_build(&fresh, selector->count, weights_of, context);
    CHECK(fresh.total == selector->total);
    for (uint32_t level = 0; level < fresh.level_count; level++)
        CHECK(memcmp(fresh.levels[level].sums, selector->levels[level].sums,
                     fresh.levels[level].slots * sizeof(uint64_t)) == 0);
    selector_free(&fresh);
}
