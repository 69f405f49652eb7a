/* catalogs.h: the names, catalogs and configuration files that clients bring.
 *
 * A book holds the names for a whole history, so that whoever remembers an item may point to its
 * name; a catalog list (of one CREATE or RELOAD) is whoever's asked for it.
 */
#ifndef URN_TESTS_SIM_CATALOGS_H
#define URN_TESTS_SIM_CATALOGS_H

#include "engine/urn.h"
#include "tests/sim/scenario.h"

#define BOOK_MADE_POOLS  5u /* names that clients create pools by */
#define BOOK_LARGE_POOLS 2u /* the first so many of them are large, where the scenario has such */
#define BOOK_EXTRA_ITEMS 8u /* names that they add items by, besides those of catalogs */

struct catalog_list {
    struct urn_pool_spec *pools;
    struct urn_item_spec **items; /* of each pool: what it points to */
    uint32_t pool_count;
};

/* Copies the items. */
void catalogs_append(struct catalog_list *list, struct urn_text name,
                     const struct urn_item_spec *items, uint32_t item_count);
void catalogs_free(struct catalog_list *list);

struct catalog_book;

struct catalog_book *book_make(const struct scenario *scenario, uint64_t seed);
void book_free(struct catalog_book *book);

/* ---- names ----------------------------------------------------------------------------------- */

/* Of the scenario's pools, then of those that clients make, then one that nobody makes. */
struct urn_text book_pool_name(const struct catalog_book *book, uint32_t number);
uint32_t book_pool_names(const struct catalog_book *book);

/* One that an item of this pool may have. */
struct urn_text book_some_item(struct catalog_book *book, uint32_t pool_number,
                               struct sim_random *luck);

/* ---- catalogs -------------------------------------------------------------------------------- */

/* The catalog that clients usually create this pool with (number counts made pools only), or another
 * one, or one that no server takes. The caller frees it. */
struct catalog_list book_usual(const struct catalog_book *book, uint32_t number);
struct catalog_list book_unusual(const struct catalog_book *book, uint32_t number,
                                 struct sim_random *luck);
struct catalog_list book_faulty(const struct catalog_book *book, uint32_t number,
                                struct sim_random *luck);

/* ---- the configuration file ------------------------------------------------------------------ */

/* Someone edits it: weights, quantities (which must not matter), items, pools. */
void book_edit_file(struct catalog_book *book, struct sim_random *luck);

/* As it stands. The caller frees it. */
struct catalog_list book_file(const struct catalog_book *book);

#endif
