/* test_config.c: the configuration file: what is taken, and what is refused with which words. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/limits.h"
#include "proto/messages.h"
#include "server/config.h"
#include "server/config_values.h"

/* A temporary folder with one file, urn.yaml. */
struct folder {
    char path[64];
    char file[96];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);
    assert_non_null(folder);
    const char *base = getenv("TMPDIR");
    snprintf(folder->path, sizeof folder->path, "%.40s/urn-config-XXXXXX",
             base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(folder->path));
    snprintf(folder->file, sizeof folder->file, "%s/urn.yaml", folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state)
{
    struct folder *folder = *state;
    unlink(folder->file);
    rmdir(folder->path);
    free(folder);
    return 0;
}

static void write_bytes(const struct folder *folder, const char *bytes, size_t length)
{
    FILE *file = fopen(folder->file, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static enum urn_code load(const struct folder *folder, const char *yaml, struct config *config,
                          struct urn_error *error)
{
    memset(error, 0, sizeof *error);
    write_bytes(folder, yaml, strlen(yaml));
    return config_load(folder->file, config, error);
}

static void load_well(const struct folder *folder, const char *yaml, struct config *config)
{
    struct urn_error error;
    if (load(folder, yaml, config, &error) != URN_OK)
        fail_msg("refused: %s", error.text);
}

/* The file must be refused with exactly "FILE" + rest. */
static void refused(const struct folder *folder, const char *yaml, const char *rest)
{
    struct config config;
    struct urn_error error;
    if (load(folder, yaml, &config, &error) == URN_OK)
        fail_msg("taken, although it should be refused with \"%s\":\n%s", rest, yaml);
    assert_int_equal(error.code, URN_CONFIG);
    size_t file_bytes = strlen(folder->file);
    assert_memory_equal(error.text, folder->file, file_bytes);
    assert_string_equal(error.text + file_bytes, rest);
    config_free(&config);
}

/* ---- what is taken -------------------------------------------------------------------------- */

static void defaults_are_those_of_the_table(void **state)
{
    const struct folder *folder = *state;
    struct config config;
    load_well(folder, "{}\n", &config);

    char data_dir[128];
    snprintf(data_dir, sizeof data_dir, "%s/data", folder->path);
    assert_string_equal(config.data_dir, data_dir);
    assert_string_equal(config.file, folder->file);
    assert_int_equal(config.listen_count, 1);
    assert_string_equal(config.listen[0].text, "127.0.0.1:7707");
    const struct sockaddr_in *address = (const void *)&config.listen[0].address;
    assert_int_equal(address->sin_family, AF_INET);
    assert_int_equal(ntohs(address->sin_port), 7707);
    assert_int_equal(ntohl(address->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(config.pool_count, 0);

    assert_int_equal(config.wal.segment_size_bytes, 64ull << 20);
    assert_int_equal(config.wal.segments, 8);
    assert_int_equal(config.wal.mode, URN_WAL_COMMIT);
    assert_int_equal(config.wal.interval_ns, 10000000);
    assert_int_equal(config.wal.flush_after_n_draw, 65536);
    assert_int_equal(config.limits.max_connections, 1024);
    assert_int_equal(config.limits.max_request_bytes, 1 << 20);
    assert_int_equal(config.limits.max_batch, 100000);
    assert_int_equal(config.limits.max_inflight, 1024);
    assert_int_equal(config.limits.max_reply_bytes, 16 << 20);
    assert_int_equal(config.limits.request_buffers_bytes, 64 << 20);
    assert_int_equal(config.limits.reply_buffers_bytes, 256 << 20);
    assert_int_equal(config.limits.queue_draws, 4000000);
    assert_int_equal(config.limits.max_pools, 1024);
    assert_int_equal(config.limits.max_items, 2000000);
    config_free(&config);
}

static void assert_idle(const struct folder *folder, const char *text, const char *const *keys,
                        uint32_t count)
{
    struct config config;
    load_well(folder, text, &config);
    assert_int_equal(config.idle_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_memory_equal(config.idle[i], keys[i], strlen(keys[i]));
    config_free(&config);
}

static void keys_without_an_effect_are_told(void **state)
{
    const struct folder *folder = *state;
    static const char *const interval[] = {"wal.interval has no effect"};
    static const char *const both[] = {"wal.interval has no effect",
                                       "wal.archive_policy has no effect"};
    assert_idle(folder, "{}\n", NULL, 0);
    assert_idle(folder, "wal: {mode: interval, interval: 20ms}\n", NULL, 0);
    assert_idle(folder, "wal: {archive: kept, archive_policy: gap}\n", NULL, 0);
    assert_idle(folder, "wal: {interval: 20ms}\n", interval, 1);
    assert_idle(folder, "wal: {mode: os, interval: 20ms, archive_policy: block}\n", both, 2);
}

static void every_key_reaches_its_member(void **state)
{
    const struct folder *folder = *state;
    struct config config;
    load_well(folder,
              "data_dir: /srv/urn\n"
              "listen: [\"127.1.2.3:0\", \"[::1]:65535\", unix:urn.sock, 'unix:/run/urn.sock']\n"
              "wal: {segment_size: 4194304B, segments: 3, mode: interval, interval: 250ms,\n"
              "      flush_after_n_draw: 7, archive: /srv/archive, archive_policy: gap}\n"
              "limits:\n"
              "  max_connections: 11\n"
              "  max_request_bytes: 12KiB\n"
              "  max_batch: 13\n"
              "  max_inflight: 14\n"
              "  max_reply_bytes: 15MiB\n"
              "  request_buffers: 16MiB\n"
              "  reply_buffers: 1GiB\n"
              "  queue_draws: 18\n"
              "  max_pools: 19\n"
              "  max_items: 20\n",
              &config);
    assert_string_equal(config.data_dir, "/srv/urn");
    assert_int_equal(config.wal.segment_size_bytes, 4 << 20);
    assert_int_equal(config.wal.segments, 3);
    assert_int_equal(config.wal.mode, URN_WAL_INTERVAL);
    assert_int_equal(config.wal.interval_ns, 250000000);
    assert_int_equal(config.wal.flush_after_n_draw, 7);
    assert_string_equal(config.wal.archive, "/srv/archive");
    assert_int_equal(config.wal.archive_policy, URN_ARCHIVE_GAP);
    assert_int_equal(config.limits.max_connections, 11);
    assert_int_equal(config.limits.max_request_bytes, 12 << 10);
    assert_int_equal(config.limits.max_batch, 13);
    assert_int_equal(config.limits.max_inflight, 14);
    assert_int_equal(config.limits.max_reply_bytes, 15 << 20);
    assert_int_equal(config.limits.request_buffers_bytes, 16 << 20);
    assert_int_equal(config.limits.reply_buffers_bytes, 1 << 30);
    assert_int_equal(config.limits.queue_draws, 18);
    assert_int_equal(config.limits.max_pools, 19);
    assert_int_equal(config.limits.max_items, 20);

    assert_int_equal(config.listen_count, 4);
    const struct sockaddr_in6 *six = (const void *)&config.listen[1].address;
    assert_int_equal(six->sin6_family, AF_INET6);
    assert_int_equal(ntohs(six->sin6_port), 65535);
    assert_null(config.listen[1].unix_path);
    char socket_path[128];
    snprintf(socket_path, sizeof socket_path, "%s/urn.sock", folder->path);
    const struct sockaddr_un *local = (const void *)&config.listen[2].address;
    assert_int_equal(local->sun_family, AF_UNIX);
    assert_string_equal(local->sun_path, socket_path);
    assert_string_equal(config.listen[2].unix_path, socket_path);
    assert_string_equal(config.listen[2].text, "unix:urn.sock");
    assert_string_equal(config.listen[3].unix_path, "/run/urn.sock");

    struct urn_engine_config engine;
    config_fill_engine(&config, &engine);
    assert_string_equal(engine.data_dir, "/srv/urn");
    assert_int_equal(engine.segment_size_bytes, 4 << 20);
    assert_int_equal(engine.segments, 3);
    assert_int_equal(engine.flush_after_n_draw, 7);
    assert_int_equal(engine.max_batch, 13);
    assert_int_equal(engine.max_pools, 19);
    assert_int_equal(engine.max_items, 20);
    assert_int_equal(engine.queue_draws, 18);
    assert_int_equal(engine.queue_requests, 18); /* 11 x 14 requests of a draw at least */
    assert_false(engine.create);
    config_free(&config);
}

static void catalogs_keep_order_and_numbers(void **state)
{
    const struct folder *folder = *state;
    struct config config;
    load_well(folder,
              "pools:\n"
              "  - name: \"été 2024 \\U0001F381\"\n"
              "    catalog:\n"
              "      - {item_id: \"007\", quantity: 0, probability: 0}\n"
              "      - probability: 9007199254740991\n"
              "        item_id: mud\n"
              "        quantity: -1\n"
              "  - catalog: [{item_id: mud, quantity: 9007199254740991, probability: 1}]\n"
              "    name: small\n",
              &config);
    assert_int_equal(config.pool_count, 2);
    const struct urn_pool_spec *pool = &config.pools[0];
    assert_string_equal(pool->name, "été 2024 \xf0\x9f\x8e\x81");
    assert_int_equal(pool->name_bytes, strlen(pool->name));
    assert_int_equal(pool->item_count, 2);
    assert_string_equal(pool->items[0].item_id, "007");
    assert_int_equal(pool->items[0].item_id_bytes, 3);
    assert_int_equal(pool->items[0].quantity, 0);
    assert_int_equal(pool->items[0].probability, 0);
    assert_string_equal(pool->items[1].item_id, "mud");
    assert_int_equal(pool->items[1].quantity, URN_UNLIMITED);
    assert_int_equal(pool->items[1].probability, URN_NUMBER_MAX);
    assert_string_equal(config.pools[1].name, "small");
    assert_int_equal(config.pools[1].items[0].quantity, URN_NUMBER_MAX);
    config_free(&config);
    assert_null(config.pools); /* empty again, and free to free once more */
    config_free(&config);
}

static void relative_paths_without_a_folder_stay_relative(void **state)
{
    const struct folder *folder = *state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    write_bytes(folder, "data_dir: x/y\n", strlen("data_dir: x/y\n"));
    assert_int_equal(chdir(folder->path), 0);
    struct config config;
    struct urn_error error;
    assert_int_equal(config_load("urn.yaml", &config, &error), URN_OK);
    assert_int_equal(chdir(before), 0);
    assert_string_equal(config.data_dir, "x/y");
    config_free(&config);
}

/* A catalog of a million items must load; were it quadratic, this would not end today. */
static void a_million_items_load(void **state)
{
    const struct folder *folder = *state;
    FILE *file = fopen(folder->file, "we");
    assert_non_null(file);
    fputs("pools:\n  - name: large\n    catalog:\n", file);
    for (unsigned i = 0; i < 1000000; i++)
        fprintf(file, "      - {item_id: coupon-%07u, quantity: 1, probability: %u}\n", i, i + 1);
    assert_int_equal(fclose(file), 0);
    struct config config;
    struct urn_error error;
    if (config_load(folder->file, &config, &error) != URN_OK)
        fail_msg("refused: %s", error.text);
    assert_int_equal(config.pools[0].item_count, 1000000);
    assert_string_equal(config.pools[0].items[999999].item_id, "coupon-0999999");
    assert_int_equal(config.pools[0].items[999999].probability, 1000000);
    config_free(&config);
}

/* ---- what is refused ------------------------------------------------------------------------ */

#define POOL_OF(items) "pools: [{name: main, catalog: [" items "]}]\n"
#define ITEM           "{item_id: mud, quantity: 1, probability: 1}"

static void files_that_cannot_be_read(void **state)
{
    const struct folder *folder = *state;
    struct config config;
    struct urn_error error;
    char path[128];
    char expected[256];
    snprintf(path, sizeof path, "%s/missing.yaml", folder->path);
    snprintf(expected, sizeof expected, "%s: cannot be opened: No such file or directory", path);
    assert_int_equal(config_load(path, &config, &error), URN_CONFIG);
    assert_string_equal(error.text, expected);

    snprintf(expected, sizeof expected, "%s: cannot be read: Is a directory", folder->path);
    assert_int_equal(config_load(folder->path, &config, &error), URN_CONFIG);
    assert_string_equal(error.text, expected);

    assert_int_equal(config_load("", &config, &error), URN_CONFIG);
    config_free(&config);
}

static void texts_that_are_no_configuration(void **state)
{
    static const struct {
        const char *yaml, *rest;
    } cases[] = {
        {"", ":1:1: the file holds no configuration"},
        {"# nothing but a comment\n", ":1:1: the file holds no configuration"},
        {"- a\n",
         ":1:1: expected a mapping with the keys data_dir, listen, pools, wal, snapshot, limits"},
        {"hello\n",
         ":1:1: expected a mapping with the keys data_dir, listen, pools, wal, snapshot, limits"},
        {"wal: {\n",
         ":2:1: not YAML: did not find expected node content, while parsing a flow node"},
        {"wal:\n\tsegments: 3\n",
         ":2:1: not YAML: found character that cannot start any token, while scanning for the next "
         "token"},
        {"data_dir: \xff\n", ": byte 10: not UTF-8 text: invalid leading UTF-8 octet"},
        {"data_dir: a\n---\ndata_dir: b\n",
         ":2:1: a second document begins here: one file holds one configuration"},
        {"data_dir: &here a\n",
         ":1:11: anchors and aliases are not taken here: write the value out"},
        {"wal: &w {segments: 4}\n",
         ":1:6: anchors and aliases are not taken here: write the value out"},
        {"data_dir: *there\n",
         ":1:11: anchors and aliases are not taken here: write the value out"},
        {"data_dir: !!str a\n",
         ":1:11: tags (tag:yaml.org,2002:str) are not taken here: write the value alone"},
        {"data_dir: \"a\\0b\"\n", ":1:11: a byte of zero is not taken in a text"},
        {"[a]: b\n", ":1:1: expected a key of the configuration, found a list"},
        {"{a: b}: c\n", ":1:1: expected a key of the configuration, found a mapping"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(*state, cases[i].yaml, cases[i].rest);
}

static void unknown_and_repeated_keys(void **state)
{
    static const struct {
        const char *yaml, *rest;
    } cases[] = {
        {"datadir: x\n",
         ":1:1: unknown key `datadir` in the configuration: did you mean `data_dir`?"},
        {"wal: {segmnet_size: 64MiB}\n",
         ":1:7: unknown key `segmnet_size` in `wal`: did you mean `segment_size`?"},
        {"limits:\n  max_items: 5\n  max_itmes: 6\n",
         ":3:3: unknown key `max_itmes` in `limits`: did you mean `max_items`?"},
        {"segments: 4\n", ":1:1: unknown key `segments` in the configuration: it belongs in `wal`"},
        {"wal: {max_batch: 4}\n", ":1:7: unknown key `max_batch` in `wal`: it belongs in `limits`"},
        {"wal: {compression: 1}\n",
         ":1:7: unknown key `compression` in `wal`: expected one of "
         "segment_size, segments, mode, interval, flush_after_n_draw, archive, archive_policy"},
        {"attic: {every: 128MiB}\n",
         ":1:1: unknown key `attic` in the configuration: "
         "expected one of data_dir, listen, pools, wal, snapshot, limits"},
        {"<<: {a: b}\n", ":1:1: unknown key `<<` in the configuration: expected one of data_dir, "
                         "listen, pools, wal, snapshot, limits"},
        {"a\x1f: b\n", ": byte 1: not UTF-8 text: control characters are not allowed"},
        {POOL_OF("{item: mud, quantity: 1, probability: 1}"),
         ":1:33: unknown key `item` in an item: expected one of item_id, quantity, probability"},
        {"pools: [{nmae: x}]\n", ":1:10: unknown key `nmae` in a pool: did you mean `name`?"},
        {"data_dir: a\nwal: {}\ndata_dir: b\n",
         ":3:1: `data_dir` stands twice in the configuration; first in line 1"},
        {"wal: {}\nlimits: {}\nwal: {}\n",
         ":3:1: `wal` stands twice in the configuration; first in line 1"},
        {"wal:\n  segments: 4\n  segments: 4\n",
         ":3:3: `segments` stands twice in `wal`; first in line 2"},
        {POOL_OF("{item_id: mud, item_id: mud, quantity: 1, probability: 1}"),
         ":1:47: `item_id` stands twice in an item; first in line 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(*state, cases[i].yaml, cases[i].rest);
}

static void values_of_the_wrong_kind_or_size(void **state)
{
    static const char size[] =
        ": expected a size from 64KiB to 16GiB, such as 64MiB (B, KiB, MiB or GiB), found ";
    static const char duration[] =
        ": expected a duration from 1ms to 1m, such as 10ms (ms, s, m, h or d), found ";
    static const struct {
        const char *yaml, *rest_before, *middle, *found;
    } cases[] = {
        {"wal: {segment_size: 64MB}\n", ":1:21: wal.segment_size", size, "`64MB`"},
        {"wal: {segment_size: 64 MiB}\n", ":1:21: wal.segment_size", size, "`64 MiB`"},
        {"wal: {segment_size: 67108864}\n", ":1:21: wal.segment_size", size, "`67108864`"},
        {"wal: {segment_size: \"64MiB\"}\n", ":1:21: wal.segment_size", size,
         "the quoted text `64MiB`"},
        {"wal: {segment_size: 32KiB}\n", ":1:21: wal.segment_size", size, "`32KiB`"},
        {"wal: {segment_size: 17GiB}\n", ":1:21: wal.segment_size", size, "`17GiB`"},
        {"wal: {segment_size: 17179869185GiB}\n", ":1:21: wal.segment_size", size,
         "`17179869185GiB`"},
        {"wal: {segment_size: 18446744073709617152B}\n", ":1:21: wal.segment_size", size,
         "`18446744073709617152B`"},
        {"wal: {segment_size: -64MiB}\n", ":1:21: wal.segment_size", size, "`-64MiB`"},
        {"wal: {segment_size: }\n", ":1:21: wal.segment_size", size, "nothing"},
        {"wal: {segment_size: [1]}\n", ":1:21: wal.segment_size", size, "a list"},
        {"wal: {segments: 2}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`2`"},
        {"wal: {segments: 4097}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`4097`"},
        {"wal: {segments: 4294967299}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`4294967299`"},
        {"wal: {segments: 18446744073709551624}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`18446744073709551624`"},
        {"wal: {segments: 8.0}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`8.0`"},
        {"wal: {segments: 010}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`010`"},
        {"wal: {segments: eight}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "`eight`"},
        {"wal: {segments: {}}\n", ":1:17: wal.segments",
         ": expected an integer from 3 to 4096, found ", "a mapping"},
        {"limits: {max_batch: 0}\n", ":1:21: limits.max_batch",
         ": expected an integer from 1 to 1000000, found ", "`0`"},
        {"wal: {mode: fast}\n", ":1:13: wal.mode",
         ": expected `commit`, `interval` or `os`, found ", "`fast`"},
        {"wal: {mode: [os]}\n", ":1:13: wal.mode",
         ": expected `commit`, `interval` or `os`, found ", "a list"},
        {"wal: {interval: 999}\n", ":1:17: wal.interval", duration, "`999`"},
        {"wal: {interval: 0ms}\n", ":1:17: wal.interval", duration, "`0ms`"},
        {"wal: {interval: 61s}\n", ":1:17: wal.interval", duration, "`61s`"},
        {"wal: {interval: 10us}\n", ":1:17: wal.interval", duration, "`10us`"},
        {"wal: {interval: \"10ms\"}\n", ":1:17: wal.interval", duration, "the quoted text `10ms`"},
        {"wal: {interval: 999999999999d}\n", ":1:17: wal.interval", duration, "`999999999999d`"},
        {"wal: commit\n", ":1:6: expected a mapping with the keys segment_size, segments, mode, ",
         "interval, flush_after_n_draw, archive, archive_policy", ""},
        {"data_dir:\n", ":1:10: data_dir", ": expected a path, found ", "nothing"},
        {"data_dir: \"\"\n", ":1:11: data_dir", ": expected a path of at most 4000 bytes, found ",
         "nothing"},
        {"data_dir: 5\n", ":1:11: data_dir", ": expected a path, found ", "`5`"},
        {"data_dir: [a]\n", ":1:11: data_dir", ": expected a path, found ", "a list"},
        {"data_dir: no\n", ":1:11: data_dir", ": expected a path, found ", "`no`"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char rest[512];
        snprintf(rest, sizeof rest, "%s%s%s", cases[i].rest_before, cases[i].middle,
                 cases[i].found);
        refused(*state, cases[i].yaml, rest);
    }
}

static void addresses_that_are_refused(void **state)
{
    static const char shape[] =
        "listen: expected an address such as 127.0.0.1:7707, [::1]:7707 or unix:urn.sock, found ";
    static const char loopback[] =
        "listen: expected a loopback address (127.0.0.1, [::1]) or unix:PATH, since there are no "
        "access tokens yet, found ";
    static const struct {
        const char *address, *expected;
    } cases[] = {
        {"127.0.0.1", shape},
        {"7707", shape},
        {":7707", shape},
        {"127.0.0.1:", shape},
        {"127.0.0.1:65536", shape},
        {"127.0.0.1:-1", shape},
        {"127.0.0.1:http", shape},
        {"localhost:7707", shape},
        {"::1:7707", shape},
        {"[::1]", shape},
        {"[::1]7707", shape},
        {"[:7707", shape},
        {"]:7707", shape},
        {"unix:", shape},
        {"127.0.0.1.5:1", shape},
        {"0.0.0.0:7707", loopback},
        {"10.0.0.1:7707", loopback},
        {"[::]:7707", loopback},
        {"128.0.0.1:7707", loopback},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char yaml[128];
        char rest[512];
        snprintf(yaml, sizeof yaml, "listen: [\"%s\"]\n", cases[i].address);
        snprintf(rest, sizeof rest, ":1:10: %sthe quoted text `%s`", cases[i].expected,
                 cases[i].address);
        refused(*state, yaml, rest);
    }
    refused(*state, "listen: 127.0.0.1:7707\n",
            ":1:9: listen: expected a list such as [\"127.0.0.1:7707\"], found `127.0.0.1:7707`");
    refused(*state, "listen: []\n", ":1:9: listen: expected at least one address");
    refused(*state, "listen: [[a]]\n",
            ":1:10: listen: expected an address such as \"127.0.0.1:7707\", found a list");
    refused(*state, "listen: [\"127.0.0.1:1\", \"127.0.0.1:1\"]\n",
            ":1:25: listen: `127.0.0.1:1` stands twice");

    char path[200];
    memset(path, 'a', 108);
    path[0] = '/';
    path[108] = '\0';
    char yaml[256];
    snprintf(yaml, sizeof yaml, "listen: [unix:%s]\n", path);
    char rest[512];
    snprintf(rest, sizeof rest,
             ":1:10: listen: expected a socket whose whole path has at most 107 bytes, found "
             "`unix:/%.38s...`",
             path + 1);
    refused(*state, yaml, rest);
    snprintf(yaml, sizeof yaml, "listen: [unix:%s]\n", path + 1);
    yaml[strlen("listen: [unix:")] = '/';
    struct config config;
    load_well(*state, yaml, &config); /* 107 bytes fit */
    config_free(&config);
}

static void catalogs_that_are_refused(void **state)
{
    static const struct {
        const char *yaml, *rest;
    } cases[] = {
        {"pools: {name: main}\n", ":1:8: pools: expected a list of pools {name: NAME, catalog: "
                                  "[...]}, found a mapping"},
        {"pools: [main]\n", ":1:9: expected a mapping with the keys name, catalog"},
        {"pools: [{catalog: [" ITEM "]}]\n", ":1:9: a pool without `name`: every one needs it"},
        {"pools: [{name: main}]\n", ":1:9: a pool without `catalog`: every one needs it"},
        {"pools: [{name: main, catalog: mud}]\n",
         ":1:31: catalog: expected a list of items {item_id: NAME, quantity: N, probability: W}, "
         "found `mud`"},
        {"pools: [{name: 5, catalog: [" ITEM "]}]\n",
         ":1:16: name: expected a name (in quotes, if that is meant), found `5`"},
        {"pools: [{name: \"\", catalog: [" ITEM "]}]\n",
         ":1:16: name: expected a name of 1 to 64 bytes without control characters, found nothing"},
        {"pools: [{name: \"a\\nb\", catalog: [" ITEM "]}]\n",
         ":1:16: name: expected a name of 1 to 64 bytes without control characters, found the "
         "quoted text `a?b`"},
        {"pools: [{name: a, catalog: [" ITEM "]}, {name: a, catalog: [" ITEM "]}]\n",
         ":1:76: pools: a pool named `a` stands twice; first as pool number 1"},
        {POOL_OF(""), ":1:31: catalog: the weights sum to 0, so that nothing could ever be drawn"},
        {POOL_OF("{item_id: mud, quantity: 1, probability: 0}"),
         ":1:31: catalog: the weights sum to 0, so that nothing could ever be drawn"},
        {POOL_OF("{item_id: a, quantity: 1, probability: 9007199254740991}, " ITEM),
         ":1:90: catalog: with this item the weights sum to more than 9007199254740991"},
        {POOL_OF(ITEM ", " ITEM),
         ":1:77: catalog: the item `mud` stands twice in it; first as item number 1"},
        {POOL_OF("{item_id: mud, quantity: 1}"),
         ":1:32: an item without `probability`: every one needs it"},
        {POOL_OF("{item_id: mud, probability: 1}"),
         ":1:32: an item without `quantity`: every one needs it"},
        {POOL_OF("{quantity: 1, probability: 1}"),
         ":1:32: an item without `item_id`: every one needs it"},
        {POOL_OF("{item_id: mud, quantity: -2, probability: 1}"),
         ":1:57: quantity: expected an integer from 0 to 9007199254740991, or -1 for unlimited, "
         "found `-2`"},
        {POOL_OF("{item_id: mud, quantity: 9007199254740992, probability: 1}"),
         ":1:57: quantity: expected an integer from 0 to 9007199254740991, or -1 for unlimited, "
         "found `9007199254740992`"},
        {POOL_OF("{item_id: mud, quantity: 1, probability: -1}"),
         ":1:73: probability: expected an integer weight from 0 to 9007199254740991, found `-1`"},
        {POOL_OF("{item_id: mud, quantity: 1, probability: 0.5}"),
         ":1:73: probability: expected an integer weight from 0 to 9007199254740991, found `0.5`"},
        {POOL_OF("{item_id: mud, quantity: 1, probability: 9007199254740992}"),
         ":1:73: probability: expected an integer weight from 0 to 9007199254740991, found "
         "`9007199254740992`"},
        {POOL_OF("{item_id: [mud], quantity: 1, probability: 1}"),
         ":1:42: item_id: expected a name of 1 to 64 bytes without control characters, found a "
         "list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(*state, cases[i].yaml, cases[i].rest);

    char yaml[256];
    char name[66];
    memset(name, 'n', 65);
    name[65] = '\0';
    snprintf(yaml, sizeof yaml, "pools: [{name: %s, catalog: [" ITEM "]}]\n", name);
    refused(*state, yaml,
            ":1:16: name: expected at most 64 bytes, found "
            "`nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn...` with 65");
    snprintf(yaml, sizeof yaml, "pools: [{name: %s, catalog: [" ITEM "]}]\n", name + 1);
    struct config config;
    load_well(*state, yaml, &config); /* 64 bytes fit */
    config_free(&config);
}

static void sizes_that_do_not_fit_each_other(void **state)
{
    static const struct {
        const char *yaml, *rest;
    } cases[] = {
        {"limits:\n  max_request_bytes: 128MiB\n",
         ":2:3: limits.request_buffers must be at least limits.max_request_bytes"},
        {"limits:\n  reply_buffers: 1MiB\n",
         ":2:3: limits.reply_buffers must be at least limits.max_reply_bytes"},
        {"limits: {max_batch: 10,\n queue_draws: 9}\n",
         ":2:2: limits.queue_draws must be at least limits.max_batch"},
        {"limits: {max_items: 1}\n"
         "pools: [{name: a, catalog: [" ITEM "]}, {name: b, catalog: [" ITEM "]}]\n",
         ":1:10: limits.max_items is 1, and 2 items are given here: raise limits.max_items to at "
         "least 2"},
        {"limits: {max_pools: 1}\n"
         "pools: [{name: a, catalog: [" ITEM "]}, {name: b, catalog: [" ITEM "]}]\n",
         ":1:10: limits.max_pools is 1, and 2 pools are given here: raise limits.max_pools to at "
         "least 2"},
        {"limits: {max_reply_bytes: 64KiB}\n",
         ":1:10: limits.max_reply_bytes (65536 bytes) is less than the answer to `pools` may take "
         "for "
         "limits.max_pools (1024): set limits.max_reply_bytes to at least 67597B, or "
         "limits.max_pools "
         "to at most 992"},
        {"limits: {max_pools: 65536,\n max_reply_bytes: 1MiB}\n",
         ":2:2: limits.max_reply_bytes (1048576 bytes) is less than the answer to `pools` may take "
         "for limits.max_pools (65536): set limits.max_reply_bytes to at least 4325389B, or "
         "limits.max_pools to at most 15887"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused(*state, cases[i].yaml, cases[i].rest);
}

/* What the refusal says would fit does fit. */
static void the_answer_to_pools_fits_to_the_byte(void **state)
{
    static const char *const fitting[] = {
        "limits: {max_reply_bytes: 64KiB, max_pools: 992}\n",
        "limits: {max_reply_bytes: 67597B}\n",
        "limits: {max_pools: 65536}\n",
    };
    for (size_t i = 0; i < sizeof fitting / sizeof fitting[0]; i++) {
        struct config config;
        load_well(*state, fitting[i], &config);
        config_free(&config);
    }
    refused(*state, "limits: {max_reply_bytes: 64KiB, max_pools: 993}\n",
            ":1:10: limits.max_reply_bytes (65536 bytes) is less than the answer to `pools` may "
            "take for "
            "limits.max_pools (993): set limits.max_reply_bytes to at least 65551B, or "
            "limits.max_pools "
            "to at most 992");
}

static void load_again(const struct folder *folder, const char *text, const struct config *running,
                       enum urn_code expected, const char *told)
{
    struct config config;
    struct urn_error error = {.code = URN_OK};
    write_bytes(folder, text, strlen(text));
    assert_int_equal(config_load_again(running, &config, &error), expected);
    if (told != NULL && strstr(error.text, told) == NULL)
        fail_msg("%s", error.text);
    config_free(&config);
}

/* A running server has set its memory aside: a file that it reads again cannot bring more, whatever
 * limits that file has. */
static void a_file_read_again_stays_within_the_limits_of_the_server(void **state)
{
    struct config running;
    load_well(*state, "limits: {max_items: 2, max_pools: 2}\n", &running);
    load_again(*state,
               "limits: {max_items: 9, max_pools: 9}\n"
               "pools: [{name: a, catalog: [" ITEM "]}, {name: b, catalog: [" ITEM "]}]\n",
               &running, URN_OK, NULL);
    load_again(
        *state,
        "limits: {max_items: 9, max_pools: 9}\n"
        "pools:\n"
        "- {name: a, catalog: [" ITEM "]}\n"
        "- name: b\n"
        "  catalog:\n"
        "  - {item_id: one, quantity: 1, probability: 1}\n"
        "  - {item_id: two, quantity: 1, probability: 1}\n",
        &running, URN_TOOBIG,
        ":7:5: catalog: more items than the 2 of limits.max_items, with which the server runs; "
        "a larger limit needs a restart");
    running.limits.max_items = 9;
    load_again(*state,
               "limits: {max_items: 9, max_pools: 9}\n"
               "pools:\n"
               "- {name: a, catalog: [" ITEM "]}\n"
               "- {name: b, catalog: [" ITEM "]}\n"
               "- {name: c, catalog: [" ITEM "]}\n",
               &running, URN_TOOBIG, ":5:3: pools: more pools than the 2 of limits.max_pools");
    config_free(&running);
}

/* libyaml keeps a value while it reads it: one that does not end is refused before it is large. */
static void a_value_without_end_is_refused(void **state)
{
    struct config config;
    struct urn_error error = {.code = URN_OK};
    const size_t length = 3u << 20;
    char *text = malloc(length + 1);
    assert_non_null(text);
    static const char *const beginnings[] = {"data_dir: \"", "data_dir: |\n  ", "# "};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++) {
        memset(text, 'x', length);
        memcpy(text, beginnings[i], strlen(beginnings[i]));
        text[length] = '\0';
        assert_int_equal(load(*state, text, &config, &error), URN_CONFIG);
        assert_non_null(strstr(error.text, "more than 1048576 bytes behind line"));
    }
    free(text);
}

/* Once the engine is open, the catalogs are not kept a second time; all else is. */
static void pools_can_be_forgotten(void **state)
{
    struct config config;
    load_well(*state,
              "data_dir: here\nlisten: [\"unix:s\"]\npools: [{name: a, catalog: [" ITEM "]}]\n",
              &config);
    assert_int_equal(config.pool_count, 1);
    config_forget_pools(&config);
    assert_int_equal(config.pool_count, 0);
    assert_null(config.pools);
    assert_non_null(strstr(config.data_dir, "here"));
    assert_string_equal(config.listen[0].text, "unix:s");
    config_free(&config);
}

/* info must answer whatever the configuration: it is what is left after a fail stop. */
static void the_shortest_replies_hold_the_answer_to_info(void **state)
{
    struct config config;
    struct urn_error error;
    load_well(*state, "limits: {max_reply_bytes: 16KiB, max_pools: 1}\n", &config);
    assert_true(config.limits.max_reply_bytes >= MESSAGE_INFO_REPLY_BYTES_MAX);
    config_free(&config);
    assert_int_equal(load(*state, "limits: {max_reply_bytes: 16383B}\n", &config, &error),
                     URN_CONFIG);
    config_free(&config);
}

/* The engine's own check is part of loading, and points at the key that it names. */
static void the_engine_refuses_with_a_place(void **state)
{
    const struct folder *folder = *state;
    struct config config;
    struct urn_error error;
    assert_int_equal(load(folder, "data_dir: a\nwal: {segment_size: 3000000B}\n", &config, &error),
                     URN_CONFIG);
    char start[128];
    snprintf(start, sizeof start, "%s:2:7: ", folder->file);
    assert_memory_equal(error.text, start, strlen(start));
    assert_non_null(strstr(error.text, "wal.segment_size"));

    assert_int_equal(load(folder, "wal: {segment_size: 64KiB}\n", &config, &error), URN_CONFIG);
    snprintf(start, sizeof start, "%s:1:7: ", folder->file);
    assert_memory_equal(error.text, start, strlen(start));
}

/* ---- plain values --------------------------------------------------------------------------- */

static void integers(void **state)
{
    (void)state;
    int64_t value = 0;
    assert_int_equal(value_parse_integer("0", &value), VALUE_OK);
    assert_int_equal(value, 0);
    assert_int_equal(value_parse_integer("-1", &value), VALUE_OK);
    assert_int_equal(value, -1);
    assert_int_equal(value_parse_integer("9223372036854775807", &value), VALUE_OK);
    assert_true(value == INT64_MAX);
    assert_int_equal(value_parse_integer("9223372036854775808", &value), VALUE_OVERFLOW);
    assert_int_equal(value_parse_integer("99999999999999999999999999", &value), VALUE_OVERFLOW);
    static const char *const shapes[] = {"",    "-",   "+1",  " 1", "1 ",  "1.0", "1e3",
                                         "0x1", "1_0", "-01", "00", "--1", "-0",  "abc"};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        assert_int_equal(value_parse_integer(shapes[i], &value), VALUE_SHAPE);
}

static void sizes_and_durations(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_int_equal(value_parse_size("0B", &value), VALUE_OK);
    assert_int_equal(value, 0);
    assert_int_equal(value_parse_size("3KiB", &value), VALUE_OK);
    assert_int_equal(value, 3072);
    assert_int_equal(value_parse_size("17179869183GiB", &value), VALUE_OK);
    assert_true(value == 17179869183ull << 30);
    assert_int_equal(value_parse_size("17179869184GiB", &value), VALUE_OVERFLOW);
    assert_int_equal(value_parse_size("5", &value), VALUE_NO_UNIT);
    assert_int_equal(value_parse_size("5kib", &value), VALUE_UNIT);
    assert_int_equal(value_parse_size("KiB", &value), VALUE_SHAPE);

    static const struct {
        const char *text;
        uint64_t duration_ns;
    } durations[] = {{"10ms", 10000000ull},
                     {"1s", 1000000000ull},
                     {"5m", 300000000000ull},
                     {"2h", 7200000000000ull},
                     {"1d", 86400000000000ull}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        assert_int_equal(value_parse_duration(durations[i].text, &value), VALUE_OK);
        assert_true(value == durations[i].duration_ns);
    }
    assert_int_equal(value_parse_duration("213504d", &value), VALUE_OVERFLOW);
    assert_int_equal(value_parse_duration("5us", &value), VALUE_UNIT);
    assert_int_equal(value_parse_duration("1.5s", &value), VALUE_UNIT);
    assert_int_equal(value_parse_duration("5", &value), VALUE_NO_UNIT);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(value_edit_distance("wal", "wal"), 0);
    assert_int_equal(value_edit_distance("", "wal"), 3);
    assert_int_equal(value_edit_distance("wla", "wal"), 1);
    assert_int_equal(value_edit_distance("segment", "segments"), 1);
    assert_int_equal(value_edit_distance("kitten", "sitting"), 3);
    char length[65];
    memset(length, 'x', 64);
    length[64] = '\0';
    assert_true(value_edit_distance(length, "x") == SIZE_MAX);
    assert_int_equal(value_edit_distance(length + 1, "x"), 62);
}

static void shown_texts_are_cut_between_characters(void **state)
{
    (void)state;
    char shown[VALUE_SHOWN_BYTES];
    value_show(shown, "a\tb\x7f");
    assert_string_equal(shown, "a?b?");
    char text[60];
    memset(text, 'x', 43);
    memcpy(text + 43, "\xc3\xa9\xc3\xa9", 5); /* the 44th byte is the first half of a letter */
    value_show(shown, text);
    text[43] = '\0';
    char expected[64];
    snprintf(expected, sizeof expected, "%.43s...", text);
    assert_string_equal(shown, expected);
}

/* The table's bounds are those of the engine. */
static void the_table_agrees_with_the_engine(void **state)
{
    (void)state;
    static const struct {
        const char *name, *least, *most;
    } rows[] = {
#define CONFIG_KEY(section, key, kind, member, preset, least, most, meaning) {key, least, most},
#include "server/config_keys.def"
#undef CONFIG_KEY
    };
    static const struct {
        const char *name;
        uint64_t least, most;
    } bounds[] = {{"segment_size", SEGMENT_SIZE_BYTES_MIN, SEGMENT_SIZE_BYTES_MAX},
                  {"segments", SEGMENTS_MIN, SEGMENTS_MAX},
                  {"max_batch", 1, MAX_BATCH_MAX},
                  {"max_pools", 1, MAX_POOLS_MAX},
                  {"max_items", 1, MAX_ITEMS_MAX}};
    unsigned found = 0;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        for (size_t j = 0; j < sizeof rows / sizeof rows[0]; j++) {
            if (strcmp(rows[j].name, bounds[i].name) != 0)
                continue;
            uint64_t least = 0;
            uint64_t most = 0;
            if (value_parse_size(rows[j].least, &least) != VALUE_OK) {
                assert_int_equal(value_parse_integer(rows[j].least, (int64_t *)&least), VALUE_OK);
                assert_int_equal(value_parse_integer(rows[j].most, (int64_t *)&most), VALUE_OK);
            } else {
                assert_int_equal(value_parse_size(rows[j].most, &most), VALUE_OK);
            }
            assert_true(least == bounds[i].least && most == bounds[i].most);
            found++;
        }
    assert_int_equal(found, sizeof bounds / sizeof bounds[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_those_of_the_table, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(keys_without_an_effect_are_told, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(every_key_reaches_its_member, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(catalogs_keep_order_and_numbers, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(relative_paths_without_a_folder_stay_relative, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_million_items_load, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(texts_that_are_no_configuration, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(unknown_and_repeated_keys, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(values_of_the_wrong_kind_or_size, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(addresses_that_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(catalogs_that_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(sizes_that_do_not_fit_each_other, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_answer_to_pools_fits_to_the_byte, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_file_read_again_stays_within_the_limits_of_the_server,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_value_without_end_is_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(pools_can_be_forgotten, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_shortest_replies_hold_the_answer_to_info, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(the_engine_refuses_with_a_place, make_folder,
                                        remove_folder),
        cmocka_unit_test(integers),
        cmocka_unit_test(sizes_and_durations),
        cmocka_unit_test(distances),
        cmocka_unit_test(shown_texts_are_cut_between_characters),
        cmocka_unit_test(the_table_agrees_with_the_engine),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
