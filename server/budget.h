/* budget.h: memory that clients can make the server use, lent from one fixed arena.
 *
 * What a request may need at worst is borrowed whole before the request is admitted and returned
 * when its reply has left, or stands elsewhere; when the arena cannot lend it, the connection is not read from. So no
 * client's behaviour makes the server grow, and nothing on the way of a draw asks the system for
 * memory.
 *
 * The arena is a binary buddy system (Knuth, The Art of Computer Programming, volume 1, 2.5): a
 * loan is a block of BUDGET_UNIT_BYTES times a power of two; a returned block is joined with its
 * other half whenever that is free, but for small ones at the arena's begin, which are kept to be
 * lent again, and joined when a loan needs them. Pages of the arena that were never lent cost nothing.
 *
 *     tags    one byte a unit: what begins there       | F2 . . . | L0 | K0 | L1 . | ...
 *     arena   units; a free block begins with the links of the list of its order
 *
 * Threads: one at a time.
 */
#ifndef URN_SERVER_BUDGET_H
#define URN_SERVER_BUDGET_H

#include "engine/error.h"

#define BUDGET_UNIT_BYTES 512u
#define BUDGET_BYTES_MAX  (1ull << 40) /* unit numbers fit 32 bits with room to spare */

struct budget;

/* An arena of so many bytes, rounded down to whole units; at least one unit. Errors: URN_NOMEMORY.
 * The caller frees it when no loan is out any more. */
enum urn_code budget_create(uint64_t bytes, struct budget **result, struct urn_error *error);
void budget_free(struct budget *budget);

/* A loan of at least so many bytes (more than 0), aligned to BUDGET_UNIT_BYTES; NULL when the arena
 * has no such block now. The content is whatever was there. */
void *budget_borrow(struct budget *budget, uint64_t bytes);

/* Returns the end of a loan early: its first bytes (more than 0, no more than were borrowed) stay, but
 * perhaps elsewhere: what is left of a large loan moves to a smaller block if one is free, so that large
 * ones are not cut up by small remnants. Returns the loan as it is now. */
void *budget_shrink(struct budget *budget, void *loan, uint64_t bytes);

/* What a loan of so many bytes takes of the arena: its rounding included. */
uint64_t budget_rounded_bytes(uint64_t bytes);

void budget_return(struct budget *budget, void *loan);

/* What a loan takes of the arena, its rounding included. */
uint64_t budget_loan_bytes(const struct budget *budget, const void *loan);

/* The largest loan that could be had from an arena with nothing lent. */
uint64_t budget_loan_bytes_max(const struct budget *budget);

/* Now lent, rounding of the loans included. */
uint64_t budget_lent_bytes(const struct budget *budget);

/* What budget_create(bytes) takes at most: the arena and its tags. */
uint64_t budget_memory_bytes(uint64_t bytes);

/* Walks the whole arena: blocks tile it, lists and tags agree, no two free halves that are not kept
 * stand apart that belong together. Stops the process otherwise. For tests. */
void budget_check(const struct budget *budget);

#endif
