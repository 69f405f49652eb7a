/* test_urn_wal_hostile.c: urn-wal's commands on directories in which everything may be wrong: bits, stretches, ends of
 * files, and groups whose seals are right and whose content is chance. From fixed seeds; with a number as
 * argument, from that one on.
 *
 * Whatever stands there, each command ends, with one of its exit statuses, has printed whole lines and no
 * more of them than the log can hold.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/snapshot_file.h"
#include "tests/lib/sim_random.h"
#include "tests/lib/wal_scene.h"

enum { ROUNDS = 60, ROUND_S_MAX = 120 };
#define OUTPUT_BYTES_MAX (256u << 20)

static uint64_t first_seed = 1;

/* ---- what can be wrong ------------------------------------------------------------------------------- */

/* An entry that may be right in part: its type, width and length are likely ones. */
static void add_chance_entry(struct log_maker *maker, struct sim_random *random)
{
    struct wal_entries *entries = &maker->entries;
    const uint32_t length = 8 + 8 * (uint32_t)sim_random_below(random, 20);
    uint8_t *entry = maker->group + entries->used_bytes;
    for (uint32_t i = 0; i < length; i++)
        entry[i] = (uint8_t)(sim_random_below(random, 3) == 0 ? sim_random_below(random, 256) : 0);
    entry[0] = (uint8_t)sim_random_below(random, 12);
    entry[1] = (uint8_t)(sim_random_below(random, 2) == 0 ? 0 : 1u << sim_random_below(random, 3));
    entry[2] = entry[3] = 0;
    put_u32(entry + 4,
            sim_random_below(random, 8) == 0 ? (uint32_t)sim_random_below(random, 4096) : length);
    if (length >= 24 && sim_random_below(random, 2) == 0) {
        put_u32(entry + 8, (uint32_t)sim_random_below(random, 2)); /* a pool that there is */
        put_u32(entry + 12, (uint32_t)sim_random_below(random, length));
    }
    entries->used_bytes += length;
    entries->draws = (uint32_t)sim_random_below(random, 100);
}

static void add_chance_group(struct log_maker *maker, struct sim_random *random)
{
    log_maker_entries(maker);
    const uint32_t entries = 1 + (uint32_t)sim_random_below(random, 4);
    for (uint32_t i = 0; i < entries; i++)
        add_chance_entry(maker, random);
    if (sim_random_below(random, 4) == 0)
        maker->first_request_id = sim_random_below(random, UINT64_MAX);
    if (sim_random_below(random, 4) == 0)
        maker->engine_time_us = sim_random_below(random, UINT64_MAX);
    (void)log_maker_add(maker, WAL_DATA, 0);
    if (sim_random_below(random, 2) == 0)
        maker->durable_lsn = maker->tail.lsn;
}

static const char *chance_file(struct wal_scene *scene, struct sim_random *random, char path[80])
{
    static const char *const names[] = {"segment-0000", "segment-0001", "segment-0002", "IDENTITY",
                                        "snapshot-0000000000000000-0000"};
    char name[DATA_DIR_NAME_MAX];
    const uint64_t which = sim_random_below(random, 6);
    data_dir_snapshot_name(name, scene->state.tail.lsn, 0);
    (void)snprintf(path, 80, LOG_MAKER_PATH "/%s", which < 5 ? names[which] : name);
    return path;
}

/* Where there is still a file that reaches so far. */
static void overwrite(struct wal_scene *scene, uint64_t lsn, const void *bytes, size_t length)
{
    (void)sim_overwrite(scene->maker.world, log_maker_path(&scene->maker, lsn),
                        log_maker_offset(&scene->maker, lsn), bytes, length);
}

static void damage(struct wal_scene *scene, struct sim_random *random)
{
    struct sim_world *world = scene->maker.world;
    uint8_t bytes[600];
    char path[80];
    const uint64_t lsn = sim_random_below(random, scene->maker.tail.lsn + 4096);
    const size_t length = (size_t)sim_random_below(random, sizeof bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)sim_random_below(random, 256);
    switch (sim_random_below(random, 6)) {
    case 0:
        (void)sim_flip_bit(world, chance_file(scene, random, path), sim_random_below(random, 9000),
                           (unsigned)sim_random_below(random, 8));
        break;
    case 1:
        (void)sim_truncate(world, chance_file(scene, random, path),
                           sim_random_below(random, SCENE_SEGMENT));
        break;
    case 2:
        if (sim_random_below(random, 4) == 0)
            (void)sim_lose_file(world, chance_file(scene, random, path));
        break;
    case 3:
        memset(bytes, 0, length);
        overwrite(scene, lsn, bytes, length);
        break;
    case 4:
        overwrite(scene, lsn, bytes, length);
        break;
    default: /* its last group once more, elsewhere */
        overwrite(scene, lsn & ~7ull, scene->maker.group, 512);
        break;
    }
}

/* ---- the commands ------------------------------------------------------------------------------------ */

static bool is_a_status(enum exit_status status)
{
    return status <= EXIT_MEANING || status == EXIT_CANNOT_OPEN || status == EXIT_READ_ERROR;
}

static void check_commands(struct wal_scene *scene, uint64_t seed)
{
    static const char *const lines[][8] = {
        {"ls", "log", NULL},
        {"ls", "log", "--json", NULL},
        {"cat", "log", NULL},
        {"cat", "log", "--reverse", "--groups", NULL},
        {"cat", "log", "--format", "json", "--hex", NULL},
        {"cat", "log", "--format", "csv", "--groups", NULL},
        {"cat", "log", "--item", "coin", "--request-id", "5-", NULL},
        {"cat", "log/segment-0001", "log/segment-0000", NULL},
        {"cat", "log/snapshot-0000000000000000-0000", "--format", "json", NULL},
        {"find", "log", "7", NULL},
        {"find", "log", "30000", "--odds", NULL},
        {"verify", "log", NULL},
        {"verify", "log", "--json", NULL},
        {"stats", "log", NULL},
        {"export", "log", "--since", "2023-01-01", NULL},
        {"export", "log", "--reconcile", "log/IDENTITY", NULL},
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        for (int used = 0; used < 2; used++) {
            enum exit_status status = EXIT_SOUND;
            char *text = wal_scene_run_any(scene, used ? wal_scene_used : NULL, &status, lines[i]);
            const size_t length = strlen(text);
            const bool refused = status == EXIT_BAD_INPUT && strcmp(lines[i][0], "export") == 0;
            if ((!is_a_status(status) && !refused) || length > OUTPUT_BYTES_MAX ||
                (length > 0 && text[length - 1] != '\n'))
                fail_msg("seed %d: %s %s: status %d, %d bytes, ends in %.100s", (int)seed,
                         lines[i][0], lines[i][2] == NULL ? "" : lines[i][2], (int)status,
                         (int)length, text + (length > 100 ? length - 100 : 0));
            free(text);
        }
}

static void test_chance(void **context)
{
    (void)context;
    for (uint64_t seed = first_seed; seed < first_seed + ROUNDS; seed++) {
        struct sim_random random = sim_random_stream(seed, 0);
        void *made = NULL;
        assert_int_equal(wal_scene_set_up(&made), 0);
        struct wal_scene *scene = made;
        (void)alarm(ROUND_S_MAX); /* a command that does not end */
        (void)wal_scene_serve(scene);
        wal_scene_follow(scene);
        if (sim_random_below(&random, 2) == 0)
            wal_scene_snapshot(scene, 0);
        for (uint64_t groups = sim_random_below(&random, 12); groups > 0; groups--)
            add_chance_group(&scene->maker, &random);
        (void)log_maker_mark(&scene->maker);
        for (uint64_t times = sim_random_below(&random, 5); times > 0; times--)
            damage(scene, &random);
        check_commands(scene, seed);
        (void)alarm(0);
        assert_int_equal(wal_scene_tear_down(&made), 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chance)};
    if (argc > 1)
        first_seed = strtoull(argv[1], NULL, 10);
    return cmocka_run_group_tests_name("urn_wal_hostile", tests, NULL, NULL);
}
