/* budget.c: the buddy system. See budget.h. */
#include "server/budget.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/check.h"

#define BUDGET_MAGIC 0x62756467u
#define ORDERS       32u
#define NONE         UINT32_MAX

/* A loan that shrinks to this power of two of its size, or less, is worth being moved. */
#define MOVE_ORDERS_MIN 2u

/* Of the smallest orders so many blocks that were returned are kept as they are, to be lent again: lone draws come
 * and go by the hundred, and joining their blocks only to cut them again took a sixth of what the network thread
 * does itself. When a loan finds no block, the kept ones are joined first.
 *
 * The one that came back first is lent first. So neighbours stay neighbours: calls that arrive together lie in
 * memory in the order of their list, which two threads walk, and the processor fetches ahead. With the last one first
 * that walk took four times as long.
 *
 * Only blocks of the first part of the arena are kept, of so many equal ones: there loans are cut first anyway. If
 * they were kept wherever they lie, loans that somebody does not return would soon stand all over the arena, in
 * the way of large ones. */
#define KEPT_ORDERS 3u
#define KEPT_MAX    4096u
#define KEPT_SHARE  8u

/* Tags: the order of the block that begins at a unit, and whether it is free or kept. Units inside a block
 * have none. */
#define TAG_FREE   0x80u
#define TAG_KEPT   0x40u
#define TAG_INSIDE 0xffu

_Static_assert(BUDGET_BYTES_MAX / BUDGET_UNIT_BYTES <= 1ull << (ORDERS - 1),
               "every order of the largest arena has a list");
_Static_assert((TAG_FREE | (ORDERS - 1)) < TAG_INSIDE, "no block looks like the inside of one");
_Static_assert(ORDERS <= TAG_KEPT, "no order looks like a kept block");

/* Blocks of one order that are kept, by their units. */
struct kept {
    uint32_t next, end; /* they count on; modulo KEPT_MAX they are places in units */
    uint32_t units[KEPT_MAX];
};

_Static_assert((KEPT_MAX & (KEPT_MAX - 1)) == 0, "counting beyond 2^32 leads to the next place");

struct budget {
    uint32_t magic;
    uint32_t units;
    uint32_t lent_units;
    uint32_t orders_free;   /* bit n: the list of order n is not empty */
    uint32_t first[ORDERS]; /* the free blocks of each order; NONE */
    uint8_t *tags;
    uint8_t *arena;
    struct kept kept[KEPT_ORDERS];
};

/* What a free block begins with. */
struct free_block {
    uint32_t previous, next; /* in the list of its order; NONE */
};

_Static_assert(sizeof(struct free_block) <= BUDGET_UNIT_BYTES, "links fit the smallest block");

static struct free_block *block_at(const struct budget *budget, uint32_t unit)
{
    CHECK(unit < budget->units);
    return (struct free_block *)(void *)(budget->arena + (uint64_t)unit * BUDGET_UNIT_BYTES);
}

static void free_list_push(struct budget *budget, uint32_t unit, uint32_t order)
{
    struct free_block *block = block_at(budget, unit);
    block->previous = NONE;
    block->next = budget->first[order];
    if (block->next != NONE)
        block_at(budget, block->next)->previous = unit;
    budget->first[order] = unit;
    budget->orders_free |= 1u << order;
    budget->tags[unit] = (uint8_t)(TAG_FREE | order);
}

static void free_list_remove(struct budget *budget, uint32_t unit, uint32_t order)
{
    const struct free_block *block = block_at(budget, unit);
    CHECK(budget->tags[unit] == (TAG_FREE | order));
    if (block->next != NONE)
        block_at(budget, block->next)->previous = block->previous;
    if (block->previous != NONE)
        block_at(budget, block->previous)->next = block->next;
    else
        budget->first[order] = block->next;
    if (budget->first[order] == NONE)
        budget->orders_free &= ~(1u << order);
}

/* The smallest order whose blocks hold so many bytes; ORDERS when none does. */
static uint32_t order_for(uint64_t bytes)
{
    CHECK(bytes > 0);
    uint64_t units = (bytes - 1) / BUDGET_UNIT_BYTES + 1;
    if (units > 1ull << (ORDERS - 1))
        return ORDERS;
    return units == 1 ? 0 : 64 - (uint32_t)__builtin_clzll(units - 1);
}

/* Keeps the first half of a block again and again until it is of the order wanted. */
static void split(struct budget *budget, uint32_t unit, uint32_t order, uint32_t wanted)
{
    while (order > wanted) {
        order--;
        free_list_push(budget, unit + (1u << order), order);
    }
    budget->tags[unit] = (uint8_t)wanted;
}

static uint32_t units_of(uint64_t bytes)
{
    uint64_t units = bytes / BUDGET_UNIT_BYTES;
    return units == 0 ? 1 : (uint32_t)units;
}

enum urn_code budget_create(uint64_t bytes, struct budget **result, struct urn_error *error)
{
    CHECK(bytes <= BUDGET_BYTES_MAX);
    struct budget *budget = calloc(1, sizeof *budget);
    if (budget == NULL)
        goto failed;
    budget->magic = BUDGET_MAGIC;
    budget->units = units_of(bytes);
    uint64_t arena_bytes = (uint64_t)budget->units * BUDGET_UNIT_BYTES;
    budget->tags = malloc(budget->units);
    if (budget->tags == NULL)
        goto failed_budget;
    budget->arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (budget->arena == MAP_FAILED)
        goto failed_tags;
    for (uint32_t order = 0; order < ORDERS; order++)
        budget->first[order] = NONE;
    for (uint32_t unit = 0; unit < budget->units; unit++)
        budget->tags[unit] = TAG_INSIDE;
    /* The largest block that fits, then the largest that fits the rest: each begins at a multiple
     * of its own size, as buddies must. */
    for (uint32_t unit = 0; unit < budget->units;) {
        uint32_t order = 31 - (uint32_t)__builtin_clz(budget->units - unit);
        free_list_push(budget, unit, order);
        unit += 1u << order;
    }
    *result = budget;
    return URN_OK;

failed_tags:
    free(budget->tags);
failed_budget:
    free(budget);
failed:
    return error_set(error, URN_NOMEMORY, ENOMEM, "cannot set %llu bytes aside for buffers",
                     (unsigned long long)bytes);
}

void budget_free(struct budget *budget)
{
    if (budget == NULL)
        return;
    CHECK(budget->magic == BUDGET_MAGIC);
    CHECK(budget->lent_units == 0);
    munmap(budget->arena, (uint64_t)budget->units * BUDGET_UNIT_BYTES);
    free(budget->tags);
    budget->magic = 0;
    free(budget);
}

/* Makes a block free that nobody has, joined with its other half, and so on, as far as that is free. */
static void join(struct budget *budget, uint32_t unit, uint32_t order)
{
    while (order < ORDERS - 1) {
        uint32_t buddy = unit ^ 1u << order;
        if (buddy >= budget->units || budget->tags[buddy] != (TAG_FREE | order))
            break;
        free_list_remove(budget, buddy, order);
        uint32_t second = unit > buddy ? unit : buddy;
        budget->tags[second] = TAG_INSIDE;
        unit = unit < buddy ? unit : buddy;
        order++;
    }
    free_list_push(budget, unit, order);
}

static bool has_kept(const struct budget *budget, uint32_t order)
{
    return order < KEPT_ORDERS && budget->kept[order].next != budget->kept[order].end;
}

/* False, and nothing is done, when there is no place for another, or when the block lies where it would be in the way
 * of large ones. */
static bool keep(struct budget *budget, uint32_t unit, uint32_t order)
{
    if (order >= KEPT_ORDERS || unit >= budget->units / KEPT_SHARE)
        return false;
    struct kept *kept = &budget->kept[order];
    if (kept->end - kept->next == KEPT_MAX)
        return false;
    kept->units[kept->end++ % KEPT_MAX] = unit;
    budget->tags[unit] = (uint8_t)(TAG_KEPT | order);
    return true;
}

/* The block kept for longest; there is one. */
static uint32_t take_kept(struct budget *budget, uint32_t order)
{
    struct kept *kept = &budget->kept[order];
    const uint32_t unit = kept->units[kept->next++ % KEPT_MAX];
    CHECK(budget->tags[unit] == (TAG_KEPT | order));
    budget->tags[unit] = (uint8_t)order;
    return unit;
}

static void join_kept(struct budget *budget)
{
    for (uint32_t order = 0; order < KEPT_ORDERS; order++)
        while (has_kept(budget, order))
            join(budget, take_kept(budget, order), order);
}

/* A unit at which a block of the order wanted begins, which is no longer free; NONE when there is none. */
static uint32_t take_free(struct budget *budget, uint32_t wanted)
{
    uint32_t orders = budget->orders_free & ~0u << wanted;
    if (orders == 0) {
        join_kept(budget);
        orders = budget->orders_free & ~0u << wanted;
        if (orders == 0)
            return NONE;
    }
    uint32_t order = (uint32_t)__builtin_ctz(orders);
    uint32_t unit = budget->first[order];
    free_list_remove(budget, unit, order);
    split(budget, unit, order, wanted);
    return unit;
}

void *budget_borrow(struct budget *budget, uint64_t bytes)
{
    CHECK(budget->magic == BUDGET_MAGIC);
    uint32_t wanted = order_for(bytes);
    if (wanted >= ORDERS || bytes > budget_loan_bytes_max(budget)) /* no joining will help */
        return NULL;
    uint32_t unit =
        has_kept(budget, wanted) ? take_kept(budget, wanted) : take_free(budget, wanted);
    if (unit == NONE)
        return NULL;
    budget->lent_units += 1u << wanted;
    return block_at(budget, unit);
}

/* The unit at which a loan begins. */
static uint32_t unit_of_loan(const struct budget *budget, const void *loan)
{
    CHECK(budget->magic == BUDGET_MAGIC);
    uint64_t offset = (uint64_t)((const uint8_t *)loan - budget->arena);
    CHECK(offset % BUDGET_UNIT_BYTES == 0);
    CHECK(offset / BUDGET_UNIT_BYTES < budget->units);
    uint32_t unit = (uint32_t)(offset / BUDGET_UNIT_BYTES);
    CHECK(budget->tags[unit] < ORDERS); /* lent, and not returned before */
    return unit;
}

/* A free block that so many bytes fit, of an order below `below`; NULL when there is none. */
static void *borrow_below(struct budget *budget, uint64_t bytes, uint32_t below)
{
    const uint32_t wanted = order_for(bytes);
    const uint32_t orders = budget->orders_free & ~0u << wanted & ((1u << below) - 1);
    return orders == 0 && !has_kept(budget, wanted) ? NULL : budget_borrow(budget, bytes);
}

void *budget_shrink(struct budget *budget, void *loan, uint64_t bytes)
{
    uint32_t unit = unit_of_loan(budget, loan);
    uint32_t order = budget->tags[unit];
    uint32_t wanted = order_for(bytes);
    CHECK(wanted <= order && order < ORDERS);
    if (order - wanted >= MOVE_ORDERS_MIN) {
        void *smaller = borrow_below(budget, bytes, order);
        if (smaller != NULL) {
            memcpy(smaller, loan, bytes);
            budget_return(budget, loan);
            return smaller;
        }
    }
    split(budget, unit, order, wanted);
    budget->lent_units -= (1u << order) - (1u << wanted);
    return loan;
}

void budget_return(struct budget *budget, void *loan)
{
    uint32_t unit = unit_of_loan(budget, loan);
    uint32_t order = budget->tags[unit];
    CHECK(budget->lent_units >= 1u << order);
    budget->lent_units -= 1u << order;
    if (!keep(budget, unit, order))
        join(budget, unit, order);
}

uint64_t budget_rounded_bytes(uint64_t bytes)
{
    const uint32_t order = order_for(bytes);
    CHECK(order < ORDERS);
    return (uint64_t)BUDGET_UNIT_BYTES << order;
}

uint64_t budget_loan_bytes(const struct budget *budget, const void *loan)
{
    return (uint64_t)BUDGET_UNIT_BYTES << budget->tags[unit_of_loan(budget, loan)];
}

uint64_t budget_loan_bytes_max(const struct budget *budget)
{
    return (uint64_t)BUDGET_UNIT_BYTES << (31 - (uint32_t)__builtin_clz(budget->units));
}

uint64_t budget_lent_bytes(const struct budget *budget)
{
    return (uint64_t)budget->lent_units * BUDGET_UNIT_BYTES;
}

uint64_t budget_memory_bytes(uint64_t bytes)
{
    return sizeof(struct budget) + (uint64_t)units_of(bytes) * (BUDGET_UNIT_BYTES + 1);
}

/* Each kept block has its tag; returns how many there are. */
static uint32_t check_kept(const struct budget *budget)
{
    uint32_t kept_blocks = 0;
    for (uint32_t order = 0; order < KEPT_ORDERS; order++) {
        const struct kept *kept = &budget->kept[order];
        CHECK(kept->end - kept->next <= KEPT_MAX);
        kept_blocks += kept->end - kept->next;
        for (uint32_t place = kept->next; place != kept->end; place++)
            CHECK(budget->tags[kept->units[place % KEPT_MAX]] == (TAG_KEPT | order));
    }
    return kept_blocks;
}

void budget_check(const struct budget *budget)
{
    CHECK(budget->magic == BUDGET_MAGIC);
    uint32_t free_blocks = 0, kept_blocks = 0, lent_units = 0;
    for (uint32_t unit = 0; unit < budget->units;) {
        uint8_t tag = budget->tags[unit];
        CHECK(tag != TAG_INSIDE);
        uint32_t order = tag & ~(TAG_FREE | TAG_KEPT);
        CHECK(order < ORDERS);
        CHECK(unit % (1u << order) == 0);
        CHECK((1u << order) <= budget->units - unit);
        for (uint32_t inside = unit + 1; inside < unit + (1u << order); inside++)
            CHECK(budget->tags[inside] == TAG_INSIDE);
        uint32_t buddy = unit ^ 1u << order;
        if (tag & TAG_FREE) {
            free_blocks++;
            CHECK(buddy >= budget->units || budget->tags[buddy] != tag);
        } else if (tag & TAG_KEPT) {
            kept_blocks++;
        } else {
            lent_units += 1u << order;
        }
        unit += 1u << order;
    }
    CHECK(lent_units == budget->lent_units);
    CHECK(kept_blocks == check_kept(budget));
    for (uint32_t order = 0; order < ORDERS; order++) {
        CHECK((budget->first[order] != NONE) == (budget->orders_free >> order & 1));
        uint32_t previous = NONE;
        for (uint32_t unit = budget->first[order]; unit != NONE;
             unit = block_at(budget, unit)->next) {
            CHECK(budget->tags[unit] == (TAG_FREE | order));
            CHECK(block_at(budget, unit)->previous == previous);
            previous = unit;
            CHECK(free_blocks-- > 0);
        }
    }
    CHECK(free_blocks == 0);
}
