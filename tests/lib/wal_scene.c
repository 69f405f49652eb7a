/* wal_scene.c: see wal_scene.h. */
#include "tests/lib/wal_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "engine/apply.h"
#include "engine/data_dir_create.h"
#include "engine/file_io.h"
#include "engine/identity.h"
#include "engine/snapshot_file.h"
#include "engine/wal_reader.h"
#include "tests/lib/golden.h"
#include "tools/urn_wal/commands.h"
#include "tools/urn_wal/options.h"

static void add_item(struct state *state, const char *item_id, int64_t quantity)
{
    struct urn_error error;
    assert_int_equal(state_add_item(state, state->pools[0], item_id, (uint32_t)strlen(item_id),
                                    quantity, 1, 0, &error),
                     URN_OK);
}

void wal_scene_snapshot(struct wal_scene *scene, uint32_t serial)
{
    struct urn_error error;
    if (snapshot_file_write(scene->maker.data_dir.dir, &scene->state,
                            &scene->maker.data_dir.geometry, serial, &error) != URN_OK)
        fail_msg("%s", error.text);
}

static void make_state(struct wal_scene *scene)
{
    const struct state_bounds bounds = {.max_pools = 4, .max_items = 100};
    struct state *state = &scene->state;
    struct urn_error error;
    struct urn_pool *pool;
    assert_int_equal(state_make(&bounds, state, &error), URN_OK);
    assert_int_equal(state_add_pool(state, "main", 4, 10, &pool, &error), URN_OK);
    add_item(state, "coin", URN_UNLIMITED);
    add_item(state, "blue diamond", 2);
    add_item(state, "ticket", 3);
}

int wal_scene_set_up(void **context)
{
    struct wal_scene *scene = calloc(1, sizeof *scene);
    assert_non_null(scene);
    log_maker_begin(&scene->maker, SCENE_SEGMENT, 3);
    make_state(scene);
    char text[IDENTITY_BYTES_MAX];
    const size_t length = identity_format(&scene->maker.data_dir.geometry, text);
    struct urn_error error;
    assert_int_equal(
        file_publish(scene->maker.data_dir.dir, DATA_DIR_IDENTITY, text, length, &error), URN_OK);
    wal_scene_snapshot(scene, 0);
    *context = scene;
    return 0;
}

int wal_scene_tear_down(void **context)
{
    struct wal_scene *scene = *context;
    assert_int_equal(sim_open_handles(scene->maker.world), 1); /* the maker's directory */
    state_free(&scene->state);
    log_maker_end(&scene->maker);
    free(scene);
    return 0;
}

void wal_scene_follow(struct wal_scene *scene)
{
    struct wal_reader *reader = NULL;
    struct urn_error error;
    struct wal_group_header header;
    const uint8_t *group;
    assert_int_equal(wal_reader_open(&scene->maker.data_dir, &scene->state.tail, &reader, &error),
                     URN_OK);
    while (wal_reader_next(reader, &header, &group, &error) == WAL_STEP_GROUP) {
        scene->state.tail = *wal_reader_tail(reader);
        assert_int_equal(apply_group(&scene->state, &header, group, &error), URN_OK);
    }
    wal_reader_close(reader);
}

uint64_t wal_scene_serve(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    (void)log_maker_epoch(maker);
    (void)log_maker_draws(maker, 100);
    maker->durable_lsn = maker->tail.lsn;
    const uint64_t last = log_maker_draws(maker, 20);
    maker->durable_lsn = maker->tail.lsn;
    (void)log_maker_mark(maker);
    return last;
}

void wal_scene_keep_snapshots(struct wal_scene *scene, uint32_t count)
{
    struct snapshot_name *names = NULL;
    uint32_t listed = 0;
    struct urn_error error;
    assert_int_equal(snapshot_file_list(scene->maker.data_dir.dir, &names, &listed, &error),
                     URN_OK);
    for (uint32_t which = count; which < listed; which++) {
        char name[DATA_DIR_NAME_MAX];
        char path[2 * DATA_DIR_NAME_MAX];
        data_dir_snapshot_name(name, names[which].lsn, names[which].serial);
        (void)snprintf(path, sizeof path, LOG_MAKER_PATH "/%s", name);
        assert_true(sim_lose_file(scene->maker.world, path));
    }
    free(names);
}

void wal_scene_write_on(struct wal_scene *scene)
{
    for (int i = 0; i < 3; i++) {
        (void)log_maker_draws(&scene->maker, 7000);
        scene->maker.durable_lsn = scene->maker.tail.lsn;
    }
    wal_scene_follow(scene);
    wal_scene_snapshot(scene, 0);
    wal_scene_keep_snapshots(scene, 2);
}

void wal_scene_lap(struct wal_scene *scene)
{
    struct log_maker *maker = &scene->maker;
    const uint64_t end = maker->tail.lsn + 3 * SCENE_SEGMENT;
    while (maker->tail.lsn < end) {
        (void)log_maker_draws(maker, 12000);
        maker->durable_lsn = maker->tail.lsn;
        wal_scene_follow(scene);
        if (end - maker->tail.lsn < 2 * SCENE_SEGMENT) {
            wal_scene_snapshot(scene, 0);
            wal_scene_keep_snapshots(scene, 2);
        }
    }
    (void)log_maker_draws(maker, 10);
    wal_scene_follow(scene);
}

static void observe(void *context, const struct sim_event *call)
{
    struct wal_rival *rival = context;
    (void)call;
    if (rival->busy)
        return;
    rival->calls++;
    if (rival->calls != rival->nth && !(rival->again && rival->calls > rival->nth))
        return;
    rival->busy = true;
    rival->acted++;
    rival->act(rival->scene);
    rival->busy = false;
}

void wal_rival_begin(struct wal_rival *rival)
{
    sim_set_observer(rival->scene->maker.world, observe, rival);
}

void wal_rival_end(struct wal_rival *rival)
{
    sim_set_observer(rival->scene->maker.world, NULL, NULL);
}

/* ---- the tool ---------------------------------------------------------------------------------- */

bool wal_scene_used(void *context, const char *path)
{
    (void)context;
    (void)path;
    return true;
}

/* A file of the directory "log" of the scene's world, whole, as a stream. */
static FILE *open_in_world(void *context, const char *path)
{
    struct wal_scene *scene = context;
    struct os_file *file = NULL;
    uint64_t size = 0;
    uint64_t at = 0;
    int failure = strncmp(path, LOG_MAKER_PATH "/", 4) == 0
                      ? os_file_open(scene->maker.data_dir.dir, path + 4, OS_READ, &file)
                      : ENOENT;
    if (failure == 0)
        failure = os_file_size(file, &size);
    FILE *stream = fmemopen(NULL, size + 1, "w+");
    assert_non_null(stream);
    while (failure == 0 && at < size) {
        char bytes[512];
        size_t got = 0;
        const uint64_t left = size - at;
        failure = os_file_read(file, bytes, left < sizeof bytes ? left : sizeof bytes, at, &got);
        assert_int_equal(fwrite(bytes, 1, got, stream), got);
        at += got;
    }
    if (file != NULL)
        os_file_close(file);
    rewind(stream);
    if (failure == 0)
        return stream;
    assert_int_equal(fclose(stream), 0);
    errno = failure;
    return NULL;
}

struct tool wal_scene_tool(struct wal_scene *scene, FILE *out, FILE *notes)
{
    return (struct tool){.os = sim_os(scene->maker.world),
                         .open_input = open_in_world,
                         .input_context = scene,
                         .out = out,
                         .notes = notes};
}

static const struct command *find_command(const char *name)
{
    static const struct command *const commands[] = {
        &command_ls,     &command_cat,    &command_find,    &command_verify,
        &command_stats,  &command_export, &command_replay,  &command_diff,
        &command_repair, &command_backup, &command_restore, &command_resize,
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (name != NULL && strcmp(commands[i]->name, name) == 0)
            return commands[i];
    fail_msg("no such command");
    return commands[0];
}

char *wal_scene_run_any(struct wal_scene *scene, in_use_probe in_use, enum exit_status *status,
                        const char *const *words)
{
    static struct invocation invocation;
    char *text = NULL;
    size_t length = 0;
    int count = 0;
    FILE *out = open_memstream(&text, &length);
    assert_non_null(out);
    while (words[count] != NULL)
        count++;
    const struct command *command = find_command(words[0]);
    struct tool tool = wal_scene_tool(scene, out, out);
    tool.in_use = in_use;
    *status = EXIT_USAGE;
    if (options_parse(command, count - 1, words + 1, &invocation, out))
        *status =
            command->run(&tool, invocation.operands, invocation.operand_count, invocation.options);
    assert_int_equal(fclose(out), 0);
    return text;
}

char *wal_scene_run(struct wal_scene *scene, in_use_probe in_use, enum exit_status expected,
                    const char *const *words)
{
    enum exit_status status = EXIT_SOUND;
    char *text = wal_scene_run_any(scene, in_use, &status, words);
    if (status != expected) { /* the end says why */
        const size_t length = strlen(text);
        fail_msg("status %d instead of %d:\n%s", (int)status, (int)expected,
                 text + (length > 600 ? length - 600 : 0));
    }
    return text;
}

void wal_scene_assert_golden(struct wal_scene *scene, in_use_probe in_use,
                             enum exit_status expected, const char *golden,
                             const char *const *words)
{
    char *text = wal_scene_run(scene, in_use, expected, words);
    assert_golden(golden, text);
    free(text);
}

void wal_scene_assert_tells(struct wal_scene *scene, in_use_probe in_use, enum exit_status expected,
                            const char *told, const char *const *words)
{
    char *text = wal_scene_run(scene, in_use, expected, words);
    assert_contains(text, told);
    free(text);
}
