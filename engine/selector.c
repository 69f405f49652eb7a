/* selector.c: building, searching and changing the 16-way tree of running sums. See selector.h.
 *
 * All levels lie in one block, the lowest (whose slots are the items) first. Slot k of a level
 * stands for node k of the level below, and node k is the 16 slots from 16 * k on, so that a
 * position and a shift are all the pointers there are. The top level is one node.
 *
 * Invariants, for every node:
 *   N1  sums[0] = 0, and sums[j] = sums[j - 1] + weight of slot j - 1, so that sums never fall
 *   N2  the weight of a slot above the lowest level is the sum of the weights in its node
 *   N3  slots from count on have weight 0
 * A number below a node's sum thus finds, as the last slot whose sum is not above it, one whose
 * weight is not 0: were it 0, the next slot would have the same sum and be found instead (or,
 * behind the last slot, the number would not be below the node's sum).
 */
#include "engine/selector.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/limits.h"

#define FANOUT_LOG2 4u
#define NODE_BYTES  (SELECTOR_FANOUT * sizeof(uint64_t))

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
        for (uint32_t level = selector->levels - 1; level > 0; level--) {                          \
            const uint64_t *sums = selector->sums + selector->level_first[level];                  \
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
            slots[i] = first + slot_in_node_##PATH(selector->sums + first, numbers[i]);            \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    TARGET static void shift_##PATH(struct selector *selector, uint32_t slot, uint64_t change)     \
    {                                                                                              \
        for (uint32_t level = 0; level < selector->levels; level++) {                              \
            uint32_t node = slot >> FANOUT_LOG2;                                                   \
            uint64_t *sums = selector->sums + selector->level_first[level];                        \
            shift_later_slots_##PATH(sums + (node << FANOUT_LOG2), slot % SELECTOR_FANOUT,         \
                                     change);                                                      \
            slot = node;                                                                           \
        }                                                                                          \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

/* Four steps of a branchless binary search. */
static inline uint32_t slot_in_node_scalar(const uint64_t *node, uint64_t number)
{
    uint32_t slot = (uint32_t)(node[8] <= number) << 3;
    slot += (uint32_t)(node[slot + 4] <= number) << 2;
    slot += (uint32_t)(node[slot + 2] <= number) << 1;
    slot += (uint32_t)(node[slot + 1] <= number);
    return slot;
}

static inline void shift_later_slots_scalar(uint64_t *node, uint32_t slot, uint64_t change)
{
    for (uint32_t later = slot + 1; later < SELECTOR_FANOUT; later++)
        node[later] += change;
}

DEFINE_KERNEL(scalar, )

#if defined(__x86_64__)

#define TARGET_AVX2   __attribute__((target("avx2,popcnt")))
#define TARGET_AVX512 __attribute__((target("avx512f,popcnt")))

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
    {SELECTOR_SCALAR, find_nodes_scalar, find_slots_scalar, shift_scalar},
    {SELECTOR_AVX2, find_nodes_avx2, find_slots_avx2, shift_avx2},
    {SELECTOR_AVX512, find_nodes_avx512, find_slots_avx512, shift_avx512},
};

#else

static bool path_is_supported(enum selector_path path)
{
    return path == SELECTOR_SCALAR;
}

static const struct selector_kernel kernels[SELECTOR_PATHS] = {
    {SELECTOR_SCALAR, find_nodes_scalar, find_slots_scalar, shift_scalar},
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
    free(selector->sums);
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

/* Lays out the levels of a tree with so many slots (a multiple of 16). Returns the length of sums.
 */
static uint32_t lay_out_levels(struct selector *selector, uint32_t capacity)
{
    uint32_t nodes = capacity >> FANOUT_LOG2, used = 0;
    selector->capacity = capacity;
    selector->levels = 0;
    for (;;) {
        CHECK(selector->levels < SELECTOR_LEVELS_MAX);
        selector->level_first[selector->levels++] = used;
        used += nodes << FANOUT_LOG2;
        if (nodes == 1)
            return used;
        nodes = (nodes + SELECTOR_FANOUT - 1) >> FANOUT_LOG2;
    }
}

/* Room to spare beyond count, so that growing one by one costs O(1) a slot. */
static uint64_t capacity_for(uint64_t count, uint64_t count_max)
{
    uint64_t wanted = count + count / 16;
    if (wanted > count_max)
        wanted = count_max;
    return round_up_u64(wanted, SELECTOR_FANOUT);
}

bool selector_reserve(struct selector *selector, uint32_t count, uint32_t count_max)
{
    CHECK(count <= count_max && count_max <= MAX_ITEMS_MAX);
    if (count <= selector->capacity)
        return true;
    struct selector larger = {.kernel = selector->kernel};
    uint32_t sums = lay_out_levels(&larger, (uint32_t)capacity_for(count, count_max));
    larger.sums = aligned_alloc(NODE_BYTES, sums * sizeof(uint64_t));
    if (larger.sums == NULL)
        return false;
    free(selector->sums);
    *selector = larger;
    return true;
}

static uint64_t sums_count(const struct selector *selector)
{
    return selector->capacity == 0 ? 0
                                   : selector->level_first[selector->levels - 1] + SELECTOR_FANOUT;
}

uint64_t selector_memory_bytes(const struct selector *selector)
{
    return sums_count(selector) * sizeof(uint64_t);
}

uint64_t selector_memory_bound_bytes(uint64_t slots)
{
    /* Each level has a sixteenth of the nodes below it, rounded up: a fifteenth in all, and one
     * each. */
    uint64_t leaves = capacity_for(slots, UINT64_MAX) >> FANOUT_LOG2;
    return NODE_BYTES * (leaves + leaves / 15 + SELECTOR_LEVELS_MAX);
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

void selector_build(struct selector *selector, uint32_t count, selector_weights weights_of,
                    const void *context)
{
    CHECK(count <= selector->capacity);
    selector->count = count;
    selector->total = 0;
    if (selector->capacity == 0)
        return;
    memset(selector->sums, 0, selector_memory_bytes(selector));
    for (uint32_t level = 0, slots = count; level < selector->levels; level++) {
        uint64_t *sums = selector->sums + selector->level_first[level];
        uint64_t *above = level + 1 < selector->levels
                              ? selector->sums + selector->level_first[level + 1]
                              : &selector->total;
        uint32_t nodes = (slots + SELECTOR_FANOUT - 1) >> FANOUT_LOG2;
        for (uint32_t node = 0; node < nodes; node++) {
            uint32_t first = node << FANOUT_LOG2;
            uint32_t left = slots - first;
            if (level == 0)
                weights_of(context, first, left < SELECTOR_FANOUT ? left : SELECTOR_FANOUT,
                           sums + first);
            above[node] = weights_to_sums(sums + first);
        }
        slots = nodes;
    }
}

void selector_append(struct selector *selector, uint64_t weight)
{
    CHECK(selector->count < selector->capacity && selector->count > 0);
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

void selector_prefetch_node(const struct selector *selector, uint32_t node)
{
    const uint64_t *sums = selector->sums + (node << FANOUT_LOG2);
    __builtin_prefetch(sums);
    __builtin_prefetch(sums + SELECTOR_FANOUT / 2);
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
    CHECK((selector->sums == NULL) == (selector->capacity == 0));
    if (selector->count == 0)
        return; /* not built: the sums say nothing */
    /* A tree that is built anew from the same weights has the same sums. */
    struct selector fresh = *selector;
    fresh.sums = aligned_alloc(NODE_BYTES, selector_memory_bytes(selector));
    CHECK(fresh.sums != NULL);
    selector_build(&fresh, selector->count, weights_of, context);
    CHECK(fresh.total == selector->total);
    CHECK(memcmp(fresh.sums, selector->sums, selector_memory_bytes(selector)) == 0);
    free(fresh.sums);
}
