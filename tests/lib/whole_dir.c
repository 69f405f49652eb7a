/* whole_dir.c: see whole_dir.h. */
#include "tests/lib/whole_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "engine/recovery.h"
#include "engine/snapshot_format.h"

#define SERIALISATION_POOLS 112u /* where they begin; the header before them */

static const struct state_bounds bounds = {.max_pools = 64, .max_items = 10000};

static enum urn_code keep_block(void *context, const uint8_t *block, uint32_t length_bytes,
                                struct urn_error *error)
{
    struct whole_dir_text *text = context;
    (void)error;
    if (length_bytes != SNAPSHOT_BLOCK_BYTES)
        return URN_OK; /* the end block */
    const uint32_t payload = get_u32(block + 12);
    text->bytes = realloc(text->bytes, text->length + payload);
    assert_non_null(text->bytes);
    memcpy(text->bytes + text->length, block + SNAPSHOT_BLOCK_HEADER, payload);
    text->length += payload;
    return URN_OK;
}

struct whole_dir_text whole_dir_read(struct urn_os *os, const char *path)
{
    struct whole_dir_text text = {.bytes = NULL};
    struct data_dir data_dir;
    struct recovery recovery;
    struct state state;
    struct urn_error error;
    if (data_dir_open_readonly(os, path, &data_dir, &error) != URN_OK ||
        data_dir_check_files(&data_dir, &error) != URN_OK ||
        recovery_read(&data_dir, &bounds, NULL, &state, &recovery, &error) != URN_OK)
        fail_msg("%s", error.text);
    uint8_t *block = malloc(SNAPSHOT_BLOCK_BYTES);
    assert_non_null(block);
    assert_int_equal(snapshot_encode(&state, &data_dir.geometry, block, keep_block, &text, &error),
                     URN_OK);
    text.lsn = state.tail.lsn;
    text.next_request_id = state.next_request_id;
    text.geometry = data_dir.geometry;
    free(block);
    state_free(&state);
    data_dir_close(&data_dir);
    return text;
}

void whole_dir_free(struct whole_dir_text *text)
{
    free(text->bytes);
    *text = (struct whole_dir_text){.bytes = NULL};
}

void whole_dir_assert_same(const struct whole_dir_text *one, const struct whole_dir_text *other,
                           enum whole_dir_compare compare)
{
    size_t from = 0;
    assert_int_equal(one->length, other->length);
    if (compare ==
        WHOLE_DIR_RESIZED) { /* docs/snapshot-format.md: 32 to 43 geometry, 48 to 55 LSN */
        assert_memory_equal(one->bytes, other->bytes, 32);
        from = 56;
    } else if (compare == WHOLE_DIR_POOLS) {
        from = SERIALISATION_POOLS;
    }
    assert_memory_equal(one->bytes + from, other->bytes + from, one->length - from);
}

enum urn_code whole_dir_start(struct urn_os *os, const char *path, bool create,
                              struct urn_error *error)
{
    struct data_dir data_dir;
    struct urn_engine_config config = {.data_dir = path,
                                       .create = create,
                                       .segment_size_bytes = 65536,
                                       .segments = 3,
                                       .max_pools = 4,
                                       .max_items = 100};
    if (data_dir_open_readonly(os, path, &data_dir, error) == URN_OK) {
        config.segment_size_bytes = data_dir.geometry.segment_size_bytes;
        config.segments = data_dir.geometry.segments;
        data_dir_close(&data_dir);
    }
    const enum urn_code code = data_dir_open(os, &config, &data_dir, error);
    if (code == URN_OK)
        data_dir_close(&data_dir);
    return code;
}

struct each {
    struct os_dir *dir;
    bool removes;
};

static int act_on(void *context, const char *name)
{
    const struct each *each = context;
    if (each->removes)
        return os_remove(each->dir, name);
    struct os_file *file = NULL;
    assert_int_equal(os_file_open(each->dir, name, OS_READ, &file), 0);
    assert_int_equal(os_file_sync(file), 0);
    os_file_close(file);
    return 0;
}

static void act_on_all(struct sim_world *world, const char *path, bool removes)
{
    struct each each = {.removes = removes};
    assert_int_equal(os_dir_open(sim_os(world), path, &each.dir), 0);
    assert_int_equal(os_dir_list(each.dir, act_on, &each), 0);
    assert_int_equal(os_dir_sync(each.dir), 0);
    os_dir_close(each.dir);
    assert_int_equal(os_dir_open(sim_os(world), ".", &each.dir), 0);
    assert_int_equal(os_dir_sync(each.dir), 0);
    os_dir_close(each.dir);
}

void whole_dir_settle(struct sim_world *world, const char *path)
{
    act_on_all(world, path, false);
}

void whole_dir_remove(struct sim_world *world, const char *path)
{
    act_on_all(world, path, true);
}
