/* test_urn_wal_progress.c: the bar of long commands, by a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/lib/os_sim.h"
#include "tools/urn_wal/progress_bar.h"

#define MS 1000000ull

struct scene {
    struct sim_world *world;
    char *text;
    size_t length;
    FILE *notes;
    struct tool tool;
    struct progress_bar bar;
};

static struct tool begin(struct scene *scene, bool terminal, bool quiet)
{
    scene->world = sim_world_make(1);
    scene->notes = open_memstream(&scene->text, &scene->length);
    assert_non_null(scene->notes);
    scene->tool = (struct tool){
        .os = sim_os(scene->world), .notes = scene->notes, .shows_progress = terminal};
    return progress_bar_begin(&scene->bar, &scene->tool, quiet);
}

/* What has been printed since the last time is this. */
static void assert_shown(struct scene *scene, const char *expected)
{
    static size_t seen;
    (void)fflush(scene->notes);
    if (expected == NULL)
        seen = 0;
    else
        assert_string_equal(scene->text + seen, expected);
    seen = scene->length;
}

static void end(struct scene *scene)
{
    assert_int_equal(fclose(scene->notes), 0);
    free(scene->text);
    sim_world_free(scene->world);
}

static void test_it_shows_how_far_it_is(void **context)
{
    struct scene scene;
    (void)context;
    const struct tool tool = begin(&scene, true, false);
    assert_shown(&scene, NULL);
    progress_tell(tool.progress, "copying the log", 1000000, 100000000);
    assert_shown(&scene, ""); /* who waits no longer than that sees nothing */
    sim_advance(scene.world, 500 * MS);
    progress_tell(tool.progress, "copying the log", 50000000, 100000000);
    assert_shown(&scene, "\r\x1b[K[===============>              ]  50%  50 MB  100 MB/s  "
                         "copying the log ");
    sim_advance(scene.world, 50 * MS);
    progress_tell(tool.progress, "copying the log", 60000000, 100000000);
    assert_shown(&scene, ""); /* not more than ten times a second */
    progress_tell(tool.progress, "syncing the copy", 0, 0);
    assert_shown(&scene, "\r\x1b[Ksyncing the copy ");
    sim_advance(scene.world, 1000 * MS);
    progress_tell(tool.progress, "reading it", 0, 0);
    sim_advance(scene.world, 1000 * MS);
    progress_tell(tool.progress, "reading it", 70000000, 0);
    assert_shown(&scene, "\r\x1b[Kreading it \r\x1b[K70 MB  70 MB/s  reading it ");
    progress_tell(tool.progress, NULL, 0, 0);
    assert_shown(&scene, "\r\x1b[K"); /* the line is free for a note */
    progress_bar_end(&scene.bar);
    assert_shown(&scene, "");
    end(&scene);
}

static void test_the_line_is_free_at_the_end(void **context)
{
    struct scene scene;
    (void)context;
    const struct tool tool = begin(&scene, true, false);
    assert_shown(&scene, NULL);
    sim_advance(scene.world, 500 * MS);
    progress_tell(tool.progress, "writing the ring", 10, 5); /* more than was thought */
    assert_shown(&scene, "\r\x1b[K[==============================] 100%  0 MB  writing the ring ");
    progress_bar_end(&scene.bar);
    assert_shown(&scene, "\r\x1b[K");
    end(&scene);
}

static void test_nobody_looks(void **context)
{
    (void)context;
    for (int which = 0; which < 2; which++) {
        struct scene scene;
        const struct tool tool = begin(&scene, which == 1, true);
        sim_advance(scene.world, 500 * MS);
        assert_null(tool.progress);
        progress_tell(tool.progress, "copying the log", 1, 2);
        progress_bar_end(&scene.bar);
        assert_int_equal(fflush(scene.notes), 0);
        assert_int_equal(scene.length, 0);
        end(&scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_shows_how_far_it_is),
        cmocka_unit_test(test_the_line_is_free_at_the_end),
        cmocka_unit_test(test_nobody_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
