/* wal_scene.h: a data directory "log" in a simulated world, whose log is made by hand, the state that it
 * comes to, and urn-wal run on it.
 *
 * At first: a ring of 3 segments of 64 KiB, snapshot 0, and one pool "main" with an unlimited coin (item 0),
 * 2 blue diamonds and 3 tickets.
 */
#ifndef URN_TESTS_WAL_SCENE_H
#define URN_TESTS_WAL_SCENE_H

#include "engine/state.h"
#include "tests/lib/log_maker.h"
#include "tools/urn_wal/tool.h"

#define SCENE_SEGMENT 65536ull

enum { COIN, DIAMOND, TICKET };

struct wal_scene {
    struct log_maker maker;
    struct state state;
};

/* For cmocka's setup and teardown: *context becomes a struct wal_scene *. */
int wal_scene_set_up(void **context);
int wal_scene_tear_down(void **context);

/* Writes scene->state as a snapshot of its LSN. */
void wal_scene_snapshot(struct wal_scene *scene, uint32_t serial);

/* Brings scene->state to the end of the log made so far. */
void wal_scene_follow(struct wal_scene *scene);

/* What an engine leaves that has served a little: 120 draws, all durable but what the last mark says of
 * itself. Returns the LSN of the last group of draws. */
uint64_t wal_scene_serve(struct wal_scene *scene);

/* Goes on for a lap around the whole ring, with snapshots on the way of which the two newest are kept. */
void wal_scene_lap(struct wal_scene *scene);

/* Goes on for a third of the ring, with a snapshot at the end of which the two newest are kept. */
void wal_scene_write_on(struct wal_scene *scene);

/* Loses all snapshots but so many, the newest. */
void wal_scene_keep_snapshots(struct wal_scene *scene, uint32_t count);

/* A server whose calls come between those of the tool: before the nth call from begin on it acts; with again,
 * before every later one too. */
struct wal_rival {
    struct wal_scene *scene;
    uint64_t nth;
    bool again;
    void (*act)(struct wal_scene *scene);
    /* private but for acted */
    uint64_t calls;
    uint32_t acted;
    bool busy; /* its own calls are observed too */
};
void wal_rival_begin(struct wal_rival *rival);
void wal_rival_end(struct wal_rival *rival);

/* ---- the tool ---------------------------------------------------------------------------------- */

/* An in_use_probe that always says yes. */
bool wal_scene_used(void *context, const char *path);

/* The tool on the scene's world; in_use and threads are the caller's to set. */
struct tool wal_scene_tool(struct wal_scene *scene, FILE *out, FILE *notes);

/* Runs a command line ("cat", "log", "--groups", NULL) and returns what it printed to both streams, in
 * order, which is the caller's to free(). */
char *wal_scene_run(struct wal_scene *scene, in_use_probe in_use, enum exit_status expected,
                    const char *const *words);

/* The same, whatever *status comes of it. */
char *wal_scene_run_any(struct wal_scene *scene, in_use_probe in_use, enum exit_status *status,
                        const char *const *words);

/* What it prints is what stands in tests/golden under this name; or holds these words. */
void wal_scene_assert_golden(struct wal_scene *scene, in_use_probe in_use,
                             enum exit_status expected, const char *golden,
                             const char *const *words);
void wal_scene_assert_tells(struct wal_scene *scene, in_use_probe in_use, enum exit_status expected,
                            const char *told, const char *const *words);

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
