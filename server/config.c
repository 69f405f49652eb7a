/* config.c: from the configuration file to a checked struct config. See config.h.
 *
 * The file is read in one pass. Every key of every mapping stands in one table (keys[]);
 * read_mapping() finds the key, sees to duplicates, unknown keys and missing ones, and hands the
 * value to the reader of its kind. What can only be judged once all is known (sizes that must fit
 * each other) comes last, and is reported at the key that was given.
 */
#include "server/config.h"

#include <inttypes.h>
#include <malloc.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/check.h"
#include "engine/limits.h"
#include "engine/pages.h"
#include "engine/pool.h"
#include "proto/messages.h"
#include "server/config_values.h"
#include "server/listen_address.h"
#include "server/name_set.h"
#include "server/yaml_reader.h"

#define LISTEN_DEFAULT "127.0.0.1:7707"
#define LISTEN_MAX     16u
#define PATH_BYTES_MAX 4000u /* of a resolved path; leaves room for a file's name below PATH_MAX */

/* ---- the table of keys ---------------------------------------------------------------------- */

enum section {
    SECTION_ROOT,
    SECTION_WAL,
    SECTION_SNAPSHOT,
    SECTION_LIMITS,
    SECTION_POOL,
    SECTION_ITEM,
    SECTIONS,
};

static const char *const section_names[SECTIONS] = {
    [SECTION_ROOT] = "the configuration",
    [SECTION_WAL] = "`wal`",
    [SECTION_SNAPSHOT] = "`snapshot`",
    [SECTION_LIMITS] = "`limits`",
    [SECTION_POOL] = "a pool",
    [SECTION_ITEM] = "an item",
};

enum kind {
    KIND_PATH,
    KIND_FOLDER,
    KIND_MODE,
    KIND_POLICY,
    KIND_DURATION,
    KIND_SIZE,
    KIND_COUNT,
    KIND_WAL,
    KIND_SNAPSHOT,
    KIND_LIMITS,
    KIND_LISTEN,
    KIND_POOLS,
    KIND_NAME,
    KIND_CATALOG,
    KIND_QUANTITY,
    KIND_PROBABILITY,
    KINDS,
};

struct key {
    enum section section;
    enum kind kind;
    const char *name;
    const char *path;                  /* as messages name it: "wal.segments" */
    size_t offset;                     /* of the member in what the mapping fills */
    const char *preset, *least, *most; /* as they would be written; NULL or "": none */
};

#define PATH_ROOT     ""
#define PATH_WAL      "wal."
#define PATH_SNAPSHOT "snapshot."
#define PATH_LIMITS   "limits."

static const struct key keys[] = {
#define CONFIG_KEY(section, key, kind, member, preset, least, most, meaning)                       \
    {SECTION_##section,                                                                            \
     KIND_##kind,                                                                                  \
     key,                                                                                          \
     PATH_##section key,                                                                           \
     offsetof(struct config, member),                                                              \
     preset,                                                                                       \
     least,                                                                                        \
     most},
#include "server/config_keys.def"
#undef CONFIG_KEY
    {SECTION_ROOT, KIND_LISTEN, "listen", "listen", 0, NULL, NULL, NULL},
    {SECTION_ROOT, KIND_POOLS, "pools", "pools", 0, NULL, NULL, NULL},
    {SECTION_ROOT, KIND_WAL, "wal", "wal", 0, NULL, NULL, NULL},
    {SECTION_ROOT, KIND_SNAPSHOT, "snapshot", "snapshot", 0, NULL, NULL, NULL},
    {SECTION_ROOT, KIND_LIMITS, "limits", "limits", 0, NULL, NULL, NULL},
    {SECTION_POOL, KIND_NAME, "name", "name", offsetof(struct urn_pool_spec, name), NULL, NULL,
     NULL},
    {SECTION_POOL, KIND_CATALOG, "catalog", "catalog", 0, NULL, NULL, NULL},
    {SECTION_ITEM, KIND_NAME, "item_id", "item_id", offsetof(struct urn_item_spec, item_id), NULL,
     NULL, NULL},
    {SECTION_ITEM, KIND_QUANTITY, "quantity", "quantity", offsetof(struct urn_item_spec, quantity),
     NULL, NULL, NULL},
    {SECTION_ITEM, KIND_PROBABILITY, "probability", "probability",
     offsetof(struct urn_item_spec, probability), NULL, NULL, NULL},
};

#define KEYS (sizeof keys / sizeof keys[0])

/* The readers store through the offsets above: members must have their kind's type. */
#define TYPE_PATH     char *
#define TYPE_FOLDER   char *
#define TYPE_MODE     enum urn_wal_mode
#define TYPE_POLICY   enum urn_archive_policy
#define TYPE_SIZE     uint64_t
#define TYPE_DURATION uint64_t
#define TYPE_COUNT    uint32_t
#define CONFIG_KEY(section, key, kind, member, preset, least, most, meaning)                       \
    _Static_assert(_Generic(((struct config *)0)->member, TYPE_##kind : 1, default : 0),           \
                   key " has the type of its kind");
#include "server/config_keys.def"
#undef CONFIG_KEY

/* ---- memory --------------------------------------------------------------------------------- */

/* Texts of a configuration lie in blocks that never move and are freed together. Each is pages of its own
 * (engine/pages.h), so that all of it goes back to the system. */
struct config_arena {
    struct config_arena *next;
    size_t used;
    char bytes[];
};

#define ARENA_BLOCK_BYTES PAGES_LARGE_BYTES
#define ARENA_TEXT_BYTES  (ARENA_BLOCK_BYTES - sizeof(struct config_arena)) /* of a block */

/* A terminated copy of text, or NULL without memory. */
static char *arena_copy(struct config_arena **arena, const char *text, size_t length)
{
    CHECK(length < ARENA_TEXT_BYTES);
    struct config_arena *block = *arena;
    if (block == NULL || ARENA_TEXT_BYTES - block->used < length + 1) {
        block = pages_grow(NULL, 0, ARENA_BLOCK_BYTES);
        if (block == NULL)
            return NULL;
        block->next = *arena;
        block->used = 0;
        *arena = block;
    }
    char *copy = block->bytes + block->used;
    memcpy(copy, text, length);
    copy[length] = '\0';
    block->used += length + 1;
    return copy;
}

static void arena_free(struct config_arena **arena)
{
    while (*arena != NULL) {
        struct config_arena *block = *arena;
        *arena = block->next;
        pages_free(block, ARENA_BLOCK_BYTES);
    }
}

static void free_pools(struct config *config)
{
    pages_free(config->items, config->items_bytes);
    pages_free(config->pools, config->pools_bytes);
    config->items = NULL;
    config->items_bytes = 0;
    config->pools = NULL;
    config->pools_bytes = 0;
    config->pool_count = 0;
    arena_free(&config->names);
}

void config_forget_pools(struct config *config)
{
    free_pools(config);
    malloc_trim(0); /* what the reading of the file left in the heap */
}

void config_free(struct config *config)
{
    free_pools(config);
    free(config->listen);
    arena_free(&config->texts);
    memset(config, 0, sizeof *config);
}

uint64_t config_memory_bytes(uint64_t max_pools, uint64_t max_items)
{
    /* A name and its end; the last of a block may leave room for all but one byte of a name. Arrays
     * double, but what they have not come to yet costs nothing. */
    const uint64_t names_bytes = (max_pools + max_items) * (URN_NAME_BYTES_MAX + 1ull);
    return names_bytes + names_bytes / 2048 + 2 * ARENA_BLOCK_BYTES +
           max_pools * sizeof(struct urn_pool_spec) + max_items * sizeof(struct urn_item_spec) +
           4 * PAGES_LARGE_BYTES + name_set_memory_bytes(max_pools) +
           name_set_memory_bytes(max_items) + YAML_READER_MEMORY_BYTES;
}

/* Makes room for one more in a growing array of so many: doubles it. NULL without memory. */
static void *reserve_one(void *array, uint64_t element_bytes, uint32_t count, uint64_t *bytes)
{
    if (count * element_bytes < *bytes)
        return array;
    const uint64_t wanted_bytes = *bytes == 0 ? 16 * element_bytes : 2 * *bytes;
    void *grown = pages_grow(array, *bytes, wanted_bytes);
    if (grown != NULL)
        *bytes = wanted_bytes;
    return grown;
}

/* ---- reading -------------------------------------------------------------------------------- */

struct loader {
    struct yaml_reader reader;
    struct config *config;
    struct urn_error *error;
    struct yaml_place places[KEYS]; /* of the keys that were given, outside pools */
    const struct config *running;   /* the server's, which reads its file again; or NULL */
    uint32_t pools_max;
    uint32_t items_max;
    uint32_t item_count; /* of all pools */
    struct name_set pool_names;
};

#define REFUSE(loader, place, ...)                                                                 \
    yaml_reader_refuse(&(loader)->reader, place, (loader)->error, __VA_ARGS__)

static enum urn_code no_memory(struct loader *loader)
{
    return error_set(loader->error, URN_NOMEMORY, 0, "%s: no memory for the configuration",
                     loader->config->file);
}

static enum urn_code next_value(struct loader *loader, struct yaml_value *value)
{
    return yaml_reader_next(&loader->reader, value, loader->error);
}

/* Says what stands where something else was expected. */
static enum urn_code refuse_value(struct loader *loader, const struct key *key,
                                  const struct yaml_value *value, const char *expected)
{
    char shown[VALUE_SHOWN_BYTES] = "";
    if (value->kind == YAML_TEXT)
        value_show(shown, value->text);
    if (value->kind == YAML_TEXT && value->length == 0)
        return REFUSE(loader, value->place, "%s: expected %s, found nothing", key->path, expected);
    if (value->kind == YAML_TEXT)
        return REFUSE(loader, value->place, "%s: expected %s, found %s`%s`", key->path, expected,
                      value->quoted ? "the quoted text " : "", shown);
    return REFUSE(loader, value->place, "%s: expected %s, found a %s", key->path, expected,
                  value->kind == YAML_LIST ? "list" : "mapping");
}

typedef enum urn_code (*value_reader)(struct loader *loader, const struct key *key,
                                      const struct yaml_value *value, void *target);
static const value_reader value_readers[KINDS];

/* The key that was most likely meant, or NULL. */
static const struct key *nearest_key(enum section section, const char *text)
{
    const struct key *nearest = NULL;
    size_t nearest_distance = strlen(text) / 3 + 2; /* anything nearer is taken for a slip */
    for (size_t i = 0; i < KEYS; i++) {
        size_t distance = value_edit_distance(keys[i].name, text);
        if (keys[i].section == section && distance < nearest_distance) {
            nearest = &keys[i];
            nearest_distance = distance;
        }
    }
    return nearest;
}

static void list_keys(enum section section, char *list, size_t list_bytes)
{
    size_t used = 0;
    list[0] = '\0';
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].section == section && used < list_bytes)
            used += (size_t)snprintf(list + used, list_bytes - used, "%s%s", used > 0 ? ", " : "",
                                     keys[i].name);
}

static enum urn_code refuse_unknown_key(struct loader *loader, enum section section,
                                        const struct yaml_value *value)
{
    char shown[VALUE_SHOWN_BYTES];
    value_show(shown, value->text);
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].name, value->text) == 0)
            return REFUSE(loader, value->place, "unknown key `%s` in %s: it belongs in %s", shown,
                          section_names[section], section_names[keys[i].section]);
    const struct key *nearest = nearest_key(section, value->text);
    if (nearest != NULL)
        return REFUSE(loader, value->place, "unknown key `%s` in %s: did you mean `%s`?", shown,
                      section_names[section], nearest->name);
    char known[256];
    list_keys(section, known, sizeof known);
    return REFUSE(loader, value->place, "unknown key `%s` in %s: expected one of %s", shown,
                  section_names[section], known);
}

static const struct key *find_key(enum section section, const char *name)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].section == section && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/* Reads the keys and values of a mapping whose begin is *value, each into its member of target.
 * places (KEYS of them, of no place at first) notes where each key stood. */
static enum urn_code read_mapping(struct loader *loader, enum section section,
                                  const struct yaml_value *value, void *target,
                                  struct yaml_place *places)
{
    if (value->kind != YAML_MAPPING) {
        char known[256];
        list_keys(section, known, sizeof known);
        return REFUSE(loader, value->place, "expected a mapping with the keys %s", known);
    }
    for (;;) {
        struct yaml_value item;
        enum urn_code code = next_value(loader, &item);
        if (code != URN_OK)
            return code;
        if (item.kind == YAML_END)
            return URN_OK;
        if (item.kind != YAML_TEXT)
            return REFUSE(loader, item.place, "expected a key of %s, found a %s",
                          section_names[section], item.kind == YAML_LIST ? "list" : "mapping");
        const struct key *key = find_key(section, item.text);
        if (key == NULL)
            return refuse_unknown_key(loader, section, &item);
        struct yaml_place *place = &places[key - keys];
        if (place->line != 0)
            return REFUSE(loader, item.place, "`%s` stands twice in %s; first in line %u",
                          key->name, section_names[section], place->line);
        *place = item.place;
        code = next_value(loader, &item);
        if (code == URN_OK)
            code = value_readers[key->kind](loader, key, &item, target);
        if (code != URN_OK)
            return code;
    }
}

/* ---- plain values --------------------------------------------------------------------------- */

/* A path relative to the configuration file's folder, resolved; NULL without memory. */
static char *resolve_path(struct config *config, const char *path, size_t length)
{
    const char *slash = strrchr(config->file, '/');
    if (path[0] == '/' || slash == NULL)
        return arena_copy(&config->texts, path, length);
    char resolved[2 * PATH_BYTES_MAX + 2];
    size_t folder = (size_t)(slash - config->file) + 1;
    memcpy(resolved, config->file, folder);
    memcpy(resolved + folder, path, length);
    return arena_copy(&config->texts, resolved, folder + length);
}

static enum urn_code read_path(struct loader *loader, const struct key *key,
                               const struct yaml_value *value, void *target)
{
    if (value->kind != YAML_TEXT || (!value->quoted && value_looks_typed(value->text)))
        return refuse_value(loader, key, value, "a path");
    if (value->length == 0 || strlen(loader->config->file) + value->length > PATH_BYTES_MAX)
        return refuse_value(loader, key, value, "a path of at most 4000 bytes");
    char *path = resolve_path(loader->config, value->text, value->length);
    if (path == NULL)
        return no_memory(loader);
    *(char **)((char *)target + key->offset) = path;
    return URN_OK;
}

/* What is remembered elsewhere must hold wherever it is read: an absolute path. */
static enum urn_code read_folder(struct loader *loader, const struct key *key,
                                 const struct yaml_value *value, void *target)
{
    char **path = (char **)((char *)target + key->offset);
    char absolute[2 * PATH_BYTES_MAX + 2];
    if (value->kind == YAML_TEXT && value->length == 0) {
        *path = arena_copy(&loader->config->texts, "", 0);
        return *path == NULL ? no_memory(loader) : URN_OK;
    }
    for (size_t i = 0; value->kind == YAML_TEXT && i < value->length; i++)
        if ((unsigned char)value->text[i] < 0x20)
            return refuse_value(loader, key, value, "a path without control characters");
    if (read_path(loader, key, value, target) != URN_OK)
        return loader->error->code;
    if ((*path)[0] == '/')
        return URN_OK;
    if (getcwd(absolute, PATH_BYTES_MAX) == NULL ||
        strlen(absolute) + 1 + strlen(*path) > PATH_BYTES_MAX)
        return refuse_value(loader, key, value, "a path of at most 4000 bytes, made absolute");
    const size_t folder = strlen(absolute);
    absolute[folder] = '/';
    memcpy(absolute + folder + 1, *path, strlen(*path) + 1);
    *path = arena_copy(&loader->config->texts, absolute, strlen(absolute));
    return *path == NULL ? no_memory(loader) : URN_OK;
}

static enum urn_code read_policy(struct loader *loader, const struct key *key,
                                 const struct yaml_value *value, void *target)
{
    enum urn_archive_policy *policy = (void *)((char *)target + key->offset);
    const bool is_text = value->kind == YAML_TEXT;
    if (is_text && strcmp(value->text, "block") == 0)
        *policy = URN_ARCHIVE_BLOCK;
    else if (is_text && strcmp(value->text, "gap") == 0)
        *policy = URN_ARCHIVE_GAP;
    else
        return refuse_value(loader, key, value, "`block` or `gap`");
    return URN_OK;
}

static const char *const mode_words[] = {
    [URN_WAL_COMMIT] = "commit", [URN_WAL_INTERVAL] = "interval", [URN_WAL_OS] = "os"};
#define MODES (sizeof mode_words / sizeof mode_words[0])

static enum urn_code read_mode(struct loader *loader, const struct key *key,
                               const struct yaml_value *value, void *target)
{
    size_t mode = 0;
    while (mode < MODES && (value->kind != YAML_TEXT || strcmp(value->text, mode_words[mode]) != 0))
        mode++;
    if (mode == MODES)
        return refuse_value(loader, key, value, "`commit`, `interval` or `os`");
    *(enum urn_wal_mode *)((char *)target + key->offset) = (enum urn_wal_mode)mode;
    return URN_OK;
}

static uint64_t size_of(const char *text)
{
    uint64_t bytes = 0;
    CHECK(value_parse_size(text, &bytes) == VALUE_OK);
    return bytes;
}

static enum urn_code read_size(struct loader *loader, const struct key *key,
                               const struct yaml_value *value, void *target)
{
    uint64_t bytes = 0;
    char expected[128];
    snprintf(expected, sizeof expected, "a size from %s to %s, such as %s (B, KiB, MiB or GiB)",
             key->least, key->most, key->preset);
    if (value->kind != YAML_TEXT || value->quoted ||
        value_parse_size(value->text, &bytes) != VALUE_OK || bytes < size_of(key->least) ||
        bytes > size_of(key->most))
        return refuse_value(loader, key, value, expected);
    *(uint64_t *)(void *)((char *)target + key->offset) = bytes;
    return URN_OK;
}

static uint64_t duration_of(const char *text)
{
    uint64_t duration_ns = 0;
    CHECK(value_parse_duration(text, &duration_ns) == VALUE_OK);
    return duration_ns;
}

static enum urn_code read_duration(struct loader *loader, const struct key *key,
                                   const struct yaml_value *value, void *target)
{
    uint64_t duration_ns = 0;
    char expected[128];
    snprintf(expected, sizeof expected, "a duration from %s to %s, such as %s (ms, s, m, h or d)",
             key->least, key->most, key->preset);
    if (value->kind != YAML_TEXT || value->quoted ||
        value_parse_duration(value->text, &duration_ns) != VALUE_OK ||
        duration_ns < duration_of(key->least) || duration_ns > duration_of(key->most))
        return refuse_value(loader, key, value, expected);
    *(uint64_t *)(void *)((char *)target + key->offset) = duration_ns;
    return URN_OK;
}

static int64_t integer_of(const char *text)
{
    int64_t integer = 0;
    CHECK(value_parse_integer(text, &integer) == VALUE_OK);
    return integer;
}

static enum urn_code read_count(struct loader *loader, const struct key *key,
                                const struct yaml_value *value, void *target)
{
    int64_t count = 0;
    char expected[128];
    snprintf(expected, sizeof expected, "an integer from %s to %s", key->least, key->most);
    if (value->kind != YAML_TEXT || value->quoted ||
        value_parse_integer(value->text, &count) != VALUE_OK || count < integer_of(key->least) ||
        count > integer_of(key->most))
        return refuse_value(loader, key, value, expected);
    *(uint32_t *)(void *)((char *)target + key->offset) = (uint32_t)count;
    return URN_OK;
}

static enum urn_code read_wal(struct loader *loader, const struct key *key,
                              const struct yaml_value *value, void *target)
{
    (void)key;
    return read_mapping(loader, SECTION_WAL, value, target, loader->places);
}

static enum urn_code read_snapshot(struct loader *loader, const struct key *key,
                                   const struct yaml_value *value, void *target)
{
    (void)key;
    return read_mapping(loader, SECTION_SNAPSHOT, value, target, loader->places);
}

static enum urn_code read_limits(struct loader *loader, const struct key *key,
                                 const struct yaml_value *value, void *target)
{
    (void)key;
    return read_mapping(loader, SECTION_LIMITS, value, target, loader->places);
}

/* ---- addresses ------------------------------------------------------------------------------ */

/* Fills the next of config->listen. text must be of fewer than PATH_BYTES_MAX bytes. */
static enum urn_code add_listen(struct loader *loader, const struct key *key,
                                const struct yaml_value *value)
{
    struct config *config = loader->config;
    struct config_listen *listen = &config->listen[config->listen_count];
    memset(listen, 0, sizeof *listen);
    listen->text = arena_copy(&config->texts, value->text, value->length);
    if (listen->text == NULL)
        return no_memory(loader);
    enum listen_address_result result;
    if (strncmp(value->text, "unix:", 5) == 0 && value->length > 5) {
        listen->unix_path = resolve_path(config, value->text + 5, value->length - 5);
        if (listen->unix_path == NULL)
            return no_memory(loader);
        result =
            listen_address_parse_unix(listen->unix_path, &listen->address, &listen->address_bytes);
    } else {
        result = listen_address_parse_tcp(value->text, &listen->address, &listen->address_bytes);
    }
    if (result == LISTEN_ADDRESS_NOT_LOOPBACK)
        return refuse_value(loader, key, value,
                            "a loopback address (127.0.0.1, [::1]) or unix:PATH, since there are "
                            "no access tokens yet");
    if (result == LISTEN_ADDRESS_LONG)
        return refuse_value(loader, key, value, "a socket whose whole path has at most 107 bytes");
    if (result != LISTEN_ADDRESS_OK)
        return refuse_value(loader, key, value,
                            "an address such as 127.0.0.1:7707, [::1]:7707 or unix:urn.sock");
    for (uint32_t i = 0; i < config->listen_count; i++)
        if (memcmp(&config->listen[i].address, &listen->address, sizeof listen->address) == 0)
            return REFUSE(loader, value->place, "listen: `%s` stands twice", listen->text);
    config->listen_count++;
    return URN_OK;
}

static enum urn_code read_listen(struct loader *loader, const struct key *key,
                                 const struct yaml_value *value, void *target)
{
    struct config *config = target;
    if (value->kind != YAML_LIST)
        return refuse_value(loader, key, value, "a list such as [\"127.0.0.1:7707\"]");
    struct yaml_place place = value->place;
    for (;;) {
        struct yaml_value item;
        enum urn_code code = next_value(loader, &item);
        if (code != URN_OK)
            return code;
        if (item.kind == YAML_END)
            break;
        if (item.kind != YAML_TEXT || strlen(config->file) + item.length > PATH_BYTES_MAX)
            return refuse_value(loader, key, &item, "an address such as \"127.0.0.1:7707\"");
        if (config->listen_count == LISTEN_MAX)
            return REFUSE(loader, item.place, "listen: expected at most %u addresses", LISTEN_MAX);
        code = add_listen(loader, key, &item);
        if (code != URN_OK)
            return code;
    }
    if (config->listen_count == 0)
        return REFUSE(loader, place, "listen: expected at least one address");
    return URN_OK;
}

/* ---- pools and catalogs --------------------------------------------------------------------- */

static enum urn_code read_name(struct loader *loader, const struct key *key,
                               const struct yaml_value *value, void *target)
{
    if (value->kind == YAML_TEXT && !value->quoted && value_looks_typed(value->text))
        return refuse_value(loader, key, value, "a name (in quotes, if that is meant)");
    if (value->kind == YAML_TEXT && value->length > URN_NAME_BYTES_MAX) {
        char shown[VALUE_SHOWN_BYTES];
        value_show(shown, value->text);
        return REFUSE(loader, value->place, "%s: expected at most %u bytes, found `%s` with %zu",
                      key->path, URN_NAME_BYTES_MAX, shown, value->length);
    }
    if (value->kind != YAML_TEXT || !name_is_valid(value->text, (uint32_t)value->length))
        return refuse_value(loader, key, value,
                            "a name of 1 to 64 bytes without control characters");
    const char *name = arena_copy(&loader->config->names, value->text, value->length);
    if (name == NULL)
        return no_memory(loader);
    *(const char **)(void *)((char *)target + key->offset) = name;
    return URN_OK;
}

static enum urn_code read_quantity(struct loader *loader, const struct key *key,
                                   const struct yaml_value *value, void *target)
{
    int64_t quantity = 0;
    if (value->kind != YAML_TEXT || value->quoted ||
        value_parse_integer(value->text, &quantity) != VALUE_OK || quantity < URN_UNLIMITED ||
        quantity > (int64_t)URN_NUMBER_MAX)
        return refuse_value(loader, key, value,
                            "an integer from 0 to 9007199254740991, or -1 for unlimited");
    *(int64_t *)(void *)((char *)target + key->offset) = quantity;
    return URN_OK;
}

static enum urn_code read_probability(struct loader *loader, const struct key *key,
                                      const struct yaml_value *value, void *target)
{
    int64_t weight = 0;
    if (value->kind != YAML_TEXT || value->quoted ||
        value_parse_integer(value->text, &weight) != VALUE_OK || weight < 0 ||
        weight > (int64_t)URN_NUMBER_MAX)
        return refuse_value(loader, key, value, "an integer weight from 0 to 9007199254740991");
    *(uint64_t *)(void *)((char *)target + key->offset) = (uint64_t)weight;
    return URN_OK;
}

/* A pool while its mapping is read. spec comes first: the readers fill it through its offsets. */
struct pool_builder {
    struct urn_pool_spec spec; /* items comes last of all, when they do not move any more */
    const struct config *config;
    uint32_t first_item; /* of config->items */
    uint64_t weight_sum;
    struct name_set names;
};

static struct urn_text item_name(const void *context, uint32_t ordinal)
{
    const struct pool_builder *builder = context;
    const struct urn_item_spec *item = &builder->config->items[builder->first_item + ordinal];
    return (struct urn_text){item->item_id, item->item_id_bytes};
}

static struct urn_text pool_spec_name(const void *context, uint32_t ordinal)
{
    const struct config *config = context;
    return (struct urn_text){config->pools[ordinal].name, config->pools[ordinal].name_bytes};
}

/* Too many pools or items: for any server, or for the one that runs. */
static enum urn_code refuse_too_many(struct loader *loader, struct yaml_place place,
                                     const struct key *key, const char *what, uint32_t most)
{
    if (loader->running == NULL)
        return REFUSE(loader, place, "%s: more than %u %s in all", key->path, most, what);
    REFUSE(loader, place,
           "%s: more %s than the %u of limits.max_%s, with which the server runs; a larger limit "
           "needs a restart",
           key->path, what, most, what);
    loader->error->code = URN_TOOBIG;
    return URN_TOOBIG;
}

static enum urn_code require_keys(struct loader *loader, enum section section, struct yaml_place at,
                                  const struct yaml_place *places)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].section == section && places[i].line == 0)
            return REFUSE(loader, at, "%s without `%s`: every one needs it", section_names[section],
                          keys[i].name);
    return URN_OK;
}

static enum urn_code add_item(struct loader *loader, const struct key *key,
                              const struct yaml_value *value, struct pool_builder *builder)
{
    struct urn_item_spec item = {0};
    struct yaml_place places[KEYS] = {0};
    enum urn_code code = read_mapping(loader, SECTION_ITEM, value, &item, places);
    if (code == URN_OK)
        code = require_keys(loader, SECTION_ITEM, value->place, places);
    if (code != URN_OK)
        return code;
    item.item_id_bytes = (uint32_t)strlen(item.item_id);

    uint32_t earlier = 0;
    if (!name_set_add(&builder->names, (struct urn_text){item.item_id, item.item_id_bytes},
                      &earlier))
        return no_memory(loader);
    if (earlier != 0)
        return REFUSE(loader, value->place,
                      "%s: the item `%s` stands twice in it; first as item number %u", key->path,
                      item.item_id, earlier);
    builder->weight_sum += item.probability;
    if (builder->weight_sum > URN_NUMBER_MAX)
        return REFUSE(loader, value->place,
                      "%s: with this item the weights sum to more than 9007199254740991",
                      key->path);
    if (loader->item_count == loader->items_max)
        return refuse_too_many(loader, value->place, key, "items", loader->items_max);
    struct config *config = loader->config;
    struct urn_item_spec *items =
        reserve_one(config->items, sizeof item, loader->item_count, &config->items_bytes);
    if (items == NULL)
        return no_memory(loader);
    config->items = items;
    config->items[loader->item_count++] = item;
    builder->spec.item_count++;
    return URN_OK;
}

static enum urn_code read_catalog(struct loader *loader, const struct key *key,
                                  const struct yaml_value *value, void *target)
{
    struct pool_builder *builder = target;
    if (value->kind != YAML_LIST)
        return refuse_value(loader, key, value,
                            "a list of items {item_id: NAME, quantity: N, probability: W}");
    struct yaml_place place = value->place;
    for (;;) {
        struct yaml_value item;
        enum urn_code code = next_value(loader, &item);
        if (code != URN_OK)
            return code;
        if (item.kind == YAML_END)
            break;
        code = add_item(loader, key, &item, builder);
        if (code != URN_OK)
            return code;
    }
    if (builder->weight_sum == 0)
        return REFUSE(loader, place,
                      "%s: the weights sum to 0, so that nothing could ever be drawn", key->path);
    return URN_OK;
}

static enum urn_code add_pool(struct loader *loader, const struct key *key,
                              const struct yaml_value *value, struct pool_builder *builder)
{
    struct config *config = loader->config;
    struct yaml_place places[KEYS] = {0};
    enum urn_code code = read_mapping(loader, SECTION_POOL, value, builder, places);
    if (code == URN_OK)
        code = require_keys(loader, SECTION_POOL, value->place, places);
    if (code != URN_OK)
        return code;
    builder->spec.name_bytes = (uint32_t)strlen(builder->spec.name);

    uint32_t earlier = 0;
    if (!name_set_add(&loader->pool_names,
                      (struct urn_text){builder->spec.name, builder->spec.name_bytes}, &earlier))
        return no_memory(loader);
    if (earlier != 0)
        return REFUSE(loader, value->place,
                      "%s: a pool named `%s` stands twice; first as pool number %u", key->path,
                      builder->spec.name, earlier);
    if (config->pool_count == loader->pools_max)
        return refuse_too_many(loader, value->place, key, "pools", loader->pools_max);
    struct urn_pool_spec *pools =
        reserve_one(config->pools, sizeof *pools, config->pool_count, &config->pools_bytes);
    if (pools == NULL)
        return no_memory(loader);
    config->pools = pools;
    config->pools[config->pool_count++] = builder->spec;
    return URN_OK;
}

/* Items lie one pool's behind the other's. */
static void point_to_items(struct config *config)
{
    const struct urn_item_spec *items = config->items;
    for (uint32_t i = 0; i < config->pool_count; i++) {
        config->pools[i].items = items;
        items += config->pools[i].item_count;
    }
}

static enum urn_code read_pools(struct loader *loader, const struct key *key,
                                const struct yaml_value *value, void *target)
{
    (void)target;
    if (value->kind != YAML_LIST)
        return refuse_value(loader, key, value, "a list of pools {name: NAME, catalog: [...]}");
    for (;;) {
        struct yaml_value item;
        enum urn_code code = next_value(loader, &item);
        if (code == URN_OK && item.kind == YAML_END)
            point_to_items(loader->config);
        if (code != URN_OK || item.kind == YAML_END)
            return code;
        struct pool_builder builder = {.config = loader->config, .first_item = loader->item_count};
        builder.names = (struct name_set){.text_of = item_name, .context = &builder};
        code = add_pool(loader, key, &item, &builder);
        name_set_free(&builder.names);
        if (code != URN_OK)
            return code;
    }
}

static const value_reader value_readers[KINDS] = {
    [KIND_PATH] = read_path,         [KIND_MODE] = read_mode,
    [KIND_FOLDER] = read_folder,     [KIND_POLICY] = read_policy,
    [KIND_DURATION] = read_duration, [KIND_SIZE] = read_size,
    [KIND_COUNT] = read_count,       [KIND_WAL] = read_wal,
    [KIND_SNAPSHOT] = read_snapshot, [KIND_LIMITS] = read_limits,
    [KIND_LISTEN] = read_listen,     [KIND_POOLS] = read_pools,
    [KIND_NAME] = read_name,         [KIND_CATALOG] = read_catalog,
    [KIND_QUANTITY] = read_quantity, [KIND_PROBABILITY] = read_probability,
};

/* ---- the whole ------------------------------------------------------------------------------ */

/* Every plain key that was not given gets what the table says, through its own reader. */
static enum urn_code fill_defaults(struct loader *loader)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i].preset == NULL || loader->places[i].line != 0)
            continue;
        struct yaml_value value = {
            .kind = YAML_TEXT, .text = keys[i].preset, .length = strlen(keys[i].preset)};
        enum urn_code code = value_readers[keys[i].kind](loader, &keys[i], &value, loader->config);
        if (code != URN_OK)
            return code;
    }
    if (loader->config->listen_count > 0)
        return URN_OK;
    struct yaml_value value = {
        .kind = YAML_TEXT, .text = LISTEN_DEFAULT, .length = strlen(LISTEN_DEFAULT)};
    return add_listen(loader, find_key(SECTION_ROOT, "listen"), &value);
}

/* Where the first plain key that is named in words and was given in the file stands. */
static struct yaml_place place_of_key_in(const struct loader *loader, const char *words)
{
    struct yaml_place place = {0, 0};
    const char *first = NULL;
    for (size_t i = 0; i < KEYS; i++) {
        if (keys[i].preset == NULL || loader->places[i].line == 0)
            continue;
        const char *at = strstr(words, keys[i].path);
        if (at != NULL && (first == NULL || at < first)) {
            first = at;
            place = loader->places[i];
        }
    }
    return place;
}

/* Refuses a combination of values at the first given key that the words name. */
static enum urn_code refuse_combination(struct loader *loader, const char *words)
{
    return REFUSE(loader, place_of_key_in(loader, words), "%s", words);
}

/* Refuses more pools or items than their limit. */
static enum urn_code refuse_beyond_limit(struct loader *loader, const char *limit, const char *what,
                                         uint64_t most, uint64_t given)
{
    char words[160];
    snprintf(words, sizeof words,
             "limits.%s is %" PRIu64 ", and %" PRIu64
             " %s are given here: raise limits.%s to at least %" PRIu64,
             limit, most, given, what, limit, given);
    return refuse_combination(loader, words);
}

/* `pools` has no pages: its answer must fit whole, for as many pools as there may be. */
static enum urn_code check_pools_reply(struct loader *loader)
{
    const struct config *config = loader->config;
    const struct message_limits limits = {.max_pools = config->limits.max_pools};
    struct message_call call = {.method = RPC_POOLS, .limit = config->limits.max_pools};
    uint64_t needed_bytes = message_reply_bytes_max(&call, &limits);
    if (needed_bytes <= config->limits.max_reply_bytes)
        return URN_OK;
    while (message_reply_bytes_max(&call, &limits) > config->limits.max_reply_bytes)
        call.limit--;
    char words[256];
    snprintf(words, sizeof words,
             "limits.max_reply_bytes (%" PRIu64
             " bytes) is less than the answer to `pools` may take "
             "for limits.max_pools (%" PRIu32 "): set limits.max_reply_bytes to at least %" PRIu64
             "B, or limits.max_pools to at most %" PRIu32,
             config->limits.max_reply_bytes, config->limits.max_pools, needed_bytes, call.limit);
    return refuse_combination(loader, words);
}

static enum urn_code check_combinations(struct loader *loader)
{
    const struct config *config = loader->config;
    if (config->limits.request_buffers_bytes < config->limits.max_request_bytes)
        return refuse_combination(
            loader, "limits.request_buffers must be at least limits.max_request_bytes");
    if (config->limits.reply_buffers_bytes < config->limits.max_reply_bytes)
        return refuse_combination(loader,
                                  "limits.reply_buffers must be at least limits.max_reply_bytes");
    if (config->limits.queue_draws < config->limits.max_batch)
        return refuse_combination(loader, "limits.queue_draws must be at least limits.max_batch");
    if (config->pool_count > config->limits.max_pools)
        return refuse_beyond_limit(loader, "max_pools", "pools", config->limits.max_pools,
                                   config->pool_count);
    if (loader->item_count > config->limits.max_items)
        return refuse_beyond_limit(loader, "max_items", "items", config->limits.max_items,
                                   loader->item_count);
    if (check_pools_reply(loader) != URN_OK)
        return URN_CONFIG;

    struct urn_engine_config engine;
    struct urn_error engine_error;
    config_fill_engine(config, &engine);
    if (urn_engine_config_check(&engine, &engine_error) != URN_OK)
        return refuse_combination(loader, engine_error.text);
    return URN_OK;
}

static bool is_given(const struct loader *loader, enum section section, const char *name)
{
    return loader->places[find_key(section, name) - keys].line != 0;
}

/* What was meant by a key that nothing looks at is not what happens. */
static void note_idle_keys(struct loader *loader)
{
    struct config *config = loader->config;
    if (is_given(loader, SECTION_WAL, "interval") && config->wal.mode != URN_WAL_INTERVAL)
        config->idle[config->idle_count++] =
            "wal.interval has no effect: it is looked at in wal.mode `interval` only";
    if (is_given(loader, SECTION_WAL, "archive_policy") && config->wal.archive[0] == 0)
        config->idle[config->idle_count++] =
            "wal.archive_policy has no effect: there is no wal.archive";
}

static enum urn_code read_document(struct loader *loader)
{
    struct yaml_value value;
    enum urn_code code = next_value(loader, &value);
    if (code == URN_OK)
        code = read_mapping(loader, SECTION_ROOT, &value, loader->config, loader->places);
    if (code == URN_OK)
        code = yaml_reader_finish(&loader->reader, loader->error);
    if (code == URN_OK)
        code = fill_defaults(loader);
    if (code == URN_OK)
        code = check_combinations(loader);
    if (code == URN_OK)
        note_idle_keys(loader);
    return code;
}

static enum urn_code load(const char *path, const struct config *running, struct config *config,
                          struct urn_error *error)
{
    memset(config, 0, sizeof *config);
    if (path[0] == '\0' || strlen(path) > PATH_BYTES_MAX)
        return error_set(error, URN_CONFIG, 0,
                         "the configuration file's path must have 1 to %u bytes", PATH_BYTES_MAX);
    struct loader loader = {
        .config = config,
        .error = error,
        .running = running,
        .pools_max = running != NULL ? running->limits.max_pools : MAX_POOLS_MAX,
        .items_max = running != NULL ? running->limits.max_items : MAX_ITEMS_MAX,
        .pool_names = {.text_of = pool_spec_name, .context = config},
    };
    enum urn_code code = URN_NOMEMORY;
    config->file = arena_copy(&config->texts, path, strlen(path));
    config->listen = calloc(LISTEN_MAX, sizeof *config->listen);
    if (config->file == NULL || config->listen == NULL) {
        error_set(error, URN_NOMEMORY, 0, "%s: no memory for the configuration", path);
        goto fail_config;
    }
    code = yaml_reader_open(&loader.reader, config->file, error);
    if (code != URN_OK)
        goto fail_config;
    code = read_document(&loader);
    name_set_free(&loader.pool_names);
    yaml_reader_close(&loader.reader);
    if (code == URN_OK)
        return URN_OK;

fail_config:
    config_free(config);
    return code;
}

enum urn_code config_load(const char *path, struct config *config, struct urn_error *error)
{
    return load(path, NULL, config, error);
}

enum urn_code config_load_again(const struct config *running, struct config *config,
                                struct urn_error *error)
{
    return load(running->file, running, config, error);
}

void config_fill_engine(const struct config *config, struct urn_engine_config *engine)
{
    uint64_t in_flight = (uint64_t)config->limits.max_connections * config->limits.max_inflight;
    *engine = (struct urn_engine_config){
        .data_dir = config->data_dir,
        .pools = config->pools,
        .pool_count = config->pool_count,
        .mode = config->wal.mode,
        .interval_ns = config->wal.interval_ns,
        .segment_size_bytes = config->wal.segment_size_bytes,
        .segments = config->wal.segments,
        .snapshot_every_bytes = config->snapshot.every_bytes,
        .archive = config->wal.archive,
        .archive_policy = config->wal.archive_policy,
        .flush_after_n_draw = config->wal.flush_after_n_draw,
        .max_batch = config->limits.max_batch,
        .max_pools = config->limits.max_pools,
        .max_items = config->limits.max_items,
        /* A draw request asks for one draw at least, so more than queue_draws would never fit. */
        .queue_requests = in_flight < config->limits.queue_draws ? (uint32_t)in_flight
                                                                 : config->limits.queue_draws,
        .queue_draws = config->limits.queue_draws,
    };
}

const char *config_wal_mode_text(enum urn_wal_mode mode)
{
    CHECK((size_t)mode < MODES);
    return mode_words[mode];
}

/* ---- differences ---------------------------------------------------------------------------- */

static bool listens_alike(const struct config *one, const struct config *other)
{
    if (one->listen_count != other->listen_count)
        return false;
    for (uint32_t i = 0; i < one->listen_count; i++)
        if (strcmp(one->listen[i].text, other->listen[i].text) != 0)
            return false;
    return true;
}

#define NAME_ROOT(key)     key
#define NAME_WAL(key)      "wal." key
#define NAME_SNAPSHOT(key) "snapshot." key
#define NAME_LIMITS(key)   "limits." key

#define CONFIG_KEY(section, key, kind, member, preset, least, most, meaning)                       \
    _Static_assert(sizeof(NAME_##section(key)) <= MESSAGE_RESTART_KEY_BYTES_MAX,                   \
                   key " fits the answer to a reload");
#include "server/config_keys.def"
#undef CONFIG_KEY

#define DIFFER_PATH(one, other)     (strcmp(one, other) != 0)
#define DIFFER_FOLDER(one, other)   (strcmp(one, other) != 0)
#define DIFFER_MODE(one, other)     ((one) != (other))
#define DIFFER_POLICY(one, other)   ((one) != (other))
#define DIFFER_SIZE(one, other)     ((one) != (other))
#define DIFFER_DURATION(one, other) ((one) != (other))
#define DIFFER_COUNT(one, other)    ((one) != (other))

uint32_t config_differences(const struct config *one, const struct config *other,
                            const char *names[CONFIG_DIFFERENCES_MAX])
{
    _Static_assert(KEYS < CONFIG_DIFFERENCES_MAX, "all of them may differ");
    uint32_t count = 0;
    if (!listens_alike(one, other))
        names[count++] = "listen";
#define CONFIG_KEY(section, key, kind, member, preset, least, most, meaning)                       \
    if (DIFFER_##kind(one->member, other->member))                                                 \
        names[count++] = NAME_##section(key);
#include "server/config_keys.def"
#undef CONFIG_KEY
    return count;
}
