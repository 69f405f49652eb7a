/* catalogs.c: see catalogs.h. */
#include "tests/sim/catalogs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/check.h"

#define NAME_BYTES      16u
#define ITEMS_SMALL_MAX 12u
#define FILE_ITEMS_MORE 64u /* that may be added to a pool of the file */
#define EDITS_AT_ONCE   4u

struct catalog {
    bool here; /* in the file */
    uint32_t item_count, item_capacity;
    struct urn_item_spec *items;
};

struct catalog_book {
    const struct scenario *scenario;
    char (*item_names)[NAME_BYTES];
    uint32_t item_name_count;
    char extra_names[BOOK_EXTRA_ITEMS][NAME_BYTES];
    char made_names[BOOK_MADE_POOLS + 1][NAME_BYTES];
    struct catalog usual[BOOK_MADE_POOLS];
    struct catalog file[SCENARIO_POOLS_MAX + BOOK_MADE_POOLS]; /* by number */
};

static void *must_have(void *memory)
{
    CHECK(memory != NULL);
    return memory;
}

/* ---- names ----------------------------------------------------------------------------------- */

static struct urn_text text_of(const char *name)
{
    return (struct urn_text){name, (uint32_t)strlen(name)};
}

uint32_t book_pool_names(const struct catalog_book *book)
{
    return book->scenario->config.pool_count + BOOK_MADE_POOLS + 1;
}

struct urn_text book_pool_name(const struct catalog_book *book, uint32_t number)
{
    const uint32_t own = book->scenario->config.pool_count;
    CHECK(number < book_pool_names(book));
    return text_of(number < own ? book->scenario->pool_names[number]
                                : book->made_names[number - own]);
}

struct urn_text book_some_item(struct catalog_book *book, uint32_t pool_number,
                               struct sim_random *luck)
{
    const struct scenario *scenario = book->scenario;
    if (sim_random_one_in(luck, 4))
        return text_of(book->extra_names[sim_random_below(luck, BOOK_EXTRA_ITEMS)]);
    uint32_t first = 0;
    for (uint32_t i = 0; i < pool_number && i < scenario->config.pool_count; i++)
        first += scenario->pools[i].item_count;
    uint32_t count = ITEMS_SMALL_MAX;
    if (pool_number < scenario->config.pool_count)
        count = scenario->pools[pool_number].item_count;
    else
        first = 0;
    if (pool_number >= scenario->config.pool_count && scenario->items_large > 0)
        count = scenario->items_large;
    const uint32_t index = first + (uint32_t)sim_random_below(luck, count + 1);
    return text_of(book->item_names[index]);
}

static void make_names(struct catalog_book *book)
{
    const struct scenario *scenario = book->scenario;
    book->item_name_count = scenario->item_count + scenario->items_large + 2 * ITEMS_SMALL_MAX;
    book->item_names = must_have(calloc(book->item_name_count, sizeof *book->item_names));
    for (uint32_t i = 0; i < book->item_name_count; i++)
        snprintf(book->item_names[i], NAME_BYTES, "item-%u", i);
    for (uint32_t i = 0; i < BOOK_EXTRA_ITEMS; i++)
        snprintf(book->extra_names[i], NAME_BYTES, "extra-%u", i);
    for (uint32_t i = 0; i < BOOK_MADE_POOLS; i++)
        snprintf(book->made_names[i], NAME_BYTES, "made-%u", i);
    snprintf(book->made_names[BOOK_MADE_POOLS], NAME_BYTES, "nowhere");
}

/* ---- catalogs -------------------------------------------------------------------------------- */

static void reserve(struct catalog *catalog, uint32_t count)
{
    if (count <= catalog->item_capacity)
        return;
    catalog->item_capacity = count + FILE_ITEMS_MORE;
    catalog->items =
        must_have(realloc(catalog->items, catalog->item_capacity * sizeof *catalog->items));
}

static int64_t some_quantity(struct sim_random *luck)
{
    switch (sim_random_below(luck, 6)) {
    case 0:
        return URN_UNLIMITED;
    case 1:
        return (int64_t)sim_random_below(luck, 3);
    default:
        return (int64_t)sim_random_below(luck, 60);
    }
}

/* Few values, so that file and state often agree by chance. */
static uint64_t some_weight(struct sim_random *luck)
{
    if (sim_random_one_in(luck, 30))
        return URN_NUMBER_MAX / 2;
    return sim_random_below(luck, 4);
}

static void make_usual(struct catalog_book *book, struct catalog *catalog, bool large,
                       struct sim_random *luck)
{
    const uint32_t most = book->scenario->items_large;
    uint32_t count = (uint32_t)sim_random_below(luck, ITEMS_SMALL_MAX + 1);
    if (large)
        count = most / 2 + (uint32_t)sim_random_below(luck, most / 2 + 1);
    reserve(catalog, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct urn_text name = text_of(book->item_names[i]);
        catalog->items[i] = (struct urn_item_spec){.item_id = name.bytes,
                                                   .item_id_bytes = name.length,
                                                   .quantity = some_quantity(luck),
                                                   .probability = sim_random_below(luck, 100)};
    }
    catalog->item_count = count;
}

static void make_file(struct catalog_book *book)
{
    const struct scenario *scenario = book->scenario;
    for (uint32_t pool = 0; pool < scenario->config.pool_count; pool++) {
        struct catalog *catalog = &book->file[pool];
        const struct urn_pool_spec *spec = &scenario->pools[pool];
        reserve(catalog, spec->item_count);
        memcpy(catalog->items, spec->items, spec->item_count * sizeof *spec->items);
        catalog->item_count = spec->item_count;
        catalog->here = true;
    }
}

struct catalog_book *book_make(const struct scenario *scenario, uint64_t seed)
{
    struct catalog_book *book = must_have(calloc(1, sizeof *book));
    struct sim_random luck = sim_random_stream(seed, 110);
    book->scenario = scenario;
    make_names(book);
    for (uint32_t i = 0; i < BOOK_MADE_POOLS; i++)
        make_usual(book, &book->usual[i], i < BOOK_LARGE_POOLS && scenario->items_large > 0, &luck);
    make_file(book);
    return book;
}

void book_free(struct catalog_book *book)
{
    if (book == NULL)
        return;
    for (uint32_t i = 0; i < BOOK_MADE_POOLS; i++)
        free(book->usual[i].items);
    for (uint32_t i = 0; i < SCENARIO_POOLS_MAX + BOOK_MADE_POOLS; i++)
        free(book->file[i].items);
    free(book->item_names);
    free(book);
}

void catalogs_append(struct catalog_list *list, struct urn_text name,
                     const struct urn_item_spec *items, uint32_t item_count)
{
    const size_t count = list->pool_count + 1;
    list->pools = must_have(realloc(list->pools, count * sizeof *list->pools));
    list->items = must_have(realloc(list->items, count * sizeof(void *)));
    struct urn_item_spec *copy = must_have(malloc((item_count + 1) * sizeof *copy));
    if (item_count > 0)
        memcpy(copy, items, item_count * sizeof *copy);
    list->items[list->pool_count] = copy;
    list->pools[list->pool_count++] = (struct urn_pool_spec){
        .name = name.bytes, .name_bytes = name.length, .item_count = item_count, .items = copy};
}

void catalogs_free(struct catalog_list *list)
{
    for (uint32_t i = 0; i < list->pool_count; i++)
        free(list->items[i]);
    free(list->items);
    free(list->pools);
    *list = (struct catalog_list){0};
}

struct catalog_list book_usual(const struct catalog_book *book, uint32_t number)
{
    CHECK(number < BOOK_MADE_POOLS);
    struct catalog_list list = {0};
    catalogs_append(&list, text_of(book->made_names[number]), book->usual[number].items,
                    book->usual[number].item_count);
    return list;
}

struct catalog_list book_unusual(const struct catalog_book *book, uint32_t number,
                                 struct sim_random *luck)
{
    struct catalog_list list = book_usual(book, number);
    struct urn_pool_spec *pool = &list.pools[0];
    if (pool->item_count == 0)
        return list;
    if (sim_random_one_in(luck, 2))
        pool->item_count = (uint32_t)sim_random_below(luck, pool->item_count);
    else
        list.items[0][sim_random_below(luck, pool->item_count)].quantity = 777;
    return list;
}

struct catalog_list book_faulty(const struct catalog_book *book, uint32_t number,
                                struct sim_random *luck)
{
    static const struct urn_item_spec two[] = {{"item-0", 6, 3, 1}, {"item-1", 6, 3, 1}};
    struct catalog_list list = {0};
    catalogs_append(&list, text_of(book->made_names[number]), two, 2);
    struct urn_item_spec *items = list.items[0];
    switch (sim_random_below(luck, 5)) {
    case 0: /* an id twice */
        items[1].item_id = items[0].item_id;
        break;
    case 1:
        items[1].quantity = -2;
        break;
    case 2: /* the sum of the weights */
        items[1].probability = URN_NUMBER_MAX;
        break;
    case 3:
        items[0].item_id_bytes = 0;
        break;
    default: /* limits.max_items: nobody looks at the items before their number */
        list.pools[0].item_count = book->scenario->config.max_items + 1;
        items = must_have(realloc(items, list.pools[0].item_count * sizeof *items));
        memset(items, 0, list.pools[0].item_count * sizeof *items);
        list.pools[0].items = items;
        list.items[0] = items;
        break;
    }
    return list;
}

/* ---- the configuration file ------------------------------------------------------------------ */

static void edit_item(struct catalog *catalog, struct sim_random *luck)
{
    struct urn_item_spec *item = &catalog->items[sim_random_below(luck, catalog->item_count)];
    if (sim_random_one_in(luck, 4))
        item->quantity = some_quantity(luck);
    else
        item->probability = some_weight(luck);
}

static bool has_item(const struct catalog *catalog, struct urn_text name)
{
    for (uint32_t i = 0; i < catalog->item_count; i++)
        if (catalog->items[i].item_id_bytes == name.length &&
            memcmp(catalog->items[i].item_id, name.bytes, name.length) == 0)
            return true;
    return false;
}

/* Anywhere among the others. */
static void insert_item(struct catalog_book *book, uint32_t number, struct sim_random *luck)
{
    struct catalog *catalog = &book->file[number];
    const struct urn_text name = book_some_item(book, number, luck);
    if (has_item(catalog, name))
        return;
    reserve(catalog, catalog->item_count + 1);
    const uint32_t at = (uint32_t)sim_random_below(luck, catalog->item_count + 1ul);
    memmove(catalog->items + at + 1, catalog->items + at,
            (catalog->item_count - at) * sizeof *catalog->items);
    catalog->items[at] = (struct urn_item_spec){.item_id = name.bytes,
                                                .item_id_bytes = name.length,
                                                .quantity = some_quantity(luck),
                                                .probability = some_weight(luck)};
    catalog->item_count++;
}

static void remove_item(struct catalog *catalog, struct sim_random *luck)
{
    const uint32_t at = (uint32_t)sim_random_below(luck, catalog->item_count);
    catalog->item_count--;
    memmove(catalog->items + at, catalog->items + at + 1,
            (catalog->item_count - at) * sizeof *catalog->items);
}

/* Every weight of a pool: of a large one that is more than a group holds. */
static void edit_all(struct catalog *catalog, struct sim_random *luck)
{
    const uint64_t more = 1 + sim_random_below(luck, 2);
    for (uint32_t i = 0; i < catalog->item_count; i++)
        catalog->items[i].probability = (catalog->items[i].probability + more) % 100;
}

/* Of the pools that clients make: puts one in, as it is usually, or takes it out. */
static void toggle_pool(struct catalog_book *book, uint32_t number, struct sim_random *luck)
{
    struct catalog *catalog = &book->file[book->scenario->config.pool_count + number];
    catalog->here = !catalog->here;
    if (!catalog->here)
        return;
    const struct catalog *usual = &book->usual[number];
    reserve(catalog, usual->item_count);
    if (usual->item_count > 0)
        memcpy(catalog->items, usual->items, usual->item_count * sizeof *usual->items);
    catalog->item_count = usual->item_count;
    if (catalog->item_count > 0 && sim_random_one_in(luck, 8))
        edit_item(catalog, luck);
}

static void edit_once(struct catalog_book *book, struct sim_random *luck)
{
    const uint32_t own = book->scenario->config.pool_count;
    if (sim_random_one_in(luck, 6)) {
        toggle_pool(book, (uint32_t)sim_random_below(luck, BOOK_MADE_POOLS), luck);
        return;
    }
    const uint32_t number = (uint32_t)sim_random_below(luck, own + BOOK_MADE_POOLS);
    struct catalog *catalog = &book->file[number];
    if (number == 0 && book->scenario->endless_first)
        return;
    if (!catalog->here) {
        catalog->here = number < own;
        return;
    }
    if (number < own && sim_random_one_in(luck, 20))
        catalog->here = false;
    else if (catalog->item_count == 0 || sim_random_one_in(luck, 8))
        insert_item(book, number, luck);
    else if (sim_random_one_in(luck, 16))
        edit_all(catalog, luck);
    else if (sim_random_one_in(luck, 10))
        remove_item(catalog, luck);
    else
        edit_item(catalog, luck);
}

void book_edit_file(struct catalog_book *book, struct sim_random *luck)
{
    const uint64_t edits = 1 + sim_random_below(luck, EDITS_AT_ONCE);
    for (uint64_t i = 0; i < edits; i++)
        edit_once(book, luck);
}

struct catalog_list book_file(const struct catalog_book *book)
{
    struct catalog_list list = {0};
    const uint32_t own = book->scenario->config.pool_count;
    for (uint32_t number = 0; number < own + BOOK_MADE_POOLS; number++)
        if (book->file[number].here)
            catalogs_append(&list, book_pool_name(book, number), book->file[number].items,
                            book->file[number].item_count);
    return list;
}
