/* test_file_io.c: whole reads and writes over calls that do less, and publishing by rename. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "engine/file_io.h"
#include "tests/lib/os_sim.h"

#define OLD "what stood there before"
#define NEW "what is to stand there"

static struct sim_world *world;
static struct os_dir *dir;

static int set_up(void **state)
{
    (void)state;
    world = sim_world_make(7);
    assert_int_equal(os_dir_open(sim_os(world), "/", &dir), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    os_dir_close(dir);
    assert_int_equal(sim_open_handles(world), 0);
    sim_world_free(world);
    return 0;
}

static bool checks; /* publish reads back */

static enum urn_code publish(const char *text, struct urn_error *error)
{
    if (checks)
        return file_publish_checked(dir, "NAME", text, strlen(text), error);
    return file_publish(dir, "NAME", text, strlen(text), error);
}

static bool file_is(const char *text)
{
    char bytes[64] = {0};
    uint64_t size = 0;
    return sim_file_size(world, "NAME", &size) && size == strlen(text) &&
           sim_file_bytes(world, "NAME", 0, bytes, size) && strcmp(bytes, text) == 0;
}

static void test_short_calls_are_made_whole(void **state)
{
    (void)state;
    static uint8_t bytes[5000];
    static uint8_t read[5000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    struct os_file *file = NULL;
    struct urn_error error;
    assert_int_equal(os_file_open(dir, "f", OS_CREATE, &file), 0);
    sim_set_fault_rates(world, 0, 1);
    assert_int_equal(file_write_exact(file, "f", bytes, sizeof bytes, 3, &error), URN_OK);
    assert_int_equal(file_read_exact(file, "f", read, sizeof read, 3, &error), URN_OK);
    assert_memory_equal(read, bytes, sizeof bytes);
    sim_set_fault_rates(world, 0, 0);

    assert_int_equal(file_read_exact(file, "f", read, sizeof read, 4, &error), URN_DAMAGED);
    assert_non_null(strstr(error.text, "f ends at 5003"));
    assert_int_equal(os_file_sync(file), 0); /* what is in the cache only can be read */
    assert_true(sim_set_unreadable(world, "f", 2000));
    assert_int_equal(file_read_exact(file, "f", read, sizeof read, 3, &error), URN_IO);
    assert_int_equal(error.system_errno, EIO);
    sim_set_capacity(world, 0);
    assert_int_equal(file_write_exact(file, "f", bytes, sizeof bytes, 5000, &error), URN_IO);
    assert_int_equal(error.system_errno, ENOSPC);
    os_file_close(file);
}

static void test_publishing_replaces(void **state)
{
    (void)state;
    struct urn_error error;
    assert_int_equal(publish(OLD, &error), URN_OK);
    assert_true(file_is(OLD));
    assert_int_equal(publish(NEW, &error), URN_OK);
    assert_true(file_is(NEW));
    assert_false(sim_file_exists(world, "NAME.tmp"));
    assert_int_equal(sim_unsynced(world), 0); /* nothing is left to luck */
}

static void test_a_leftover_is_no_hindrance(void **state)
{
    (void)state;
    struct urn_error error;
    struct os_file *file = NULL;
    assert_int_equal(os_file_open(dir, "NAME.tmp", OS_CREATE, &file), 0);
    assert_int_equal(
        file_write_exact(file, "NAME.tmp", "much longer than what comes now ......", 38, 0, &error),
        URN_OK);
    os_file_close(file);
    assert_int_equal(publish(NEW, &error), URN_OK);
    assert_true(file_is(NEW));
}

/* Whichever call fails, the name holds the old bytes or the new ones, and an error is told. */
static void test_failing_calls(void **state)
{
    struct urn_error error;
    for (uint64_t nth = 1;; nth++) {
        assert_int_equal(tear_down(state), 0); /* a file system may not survive a failed sync */
        assert_int_equal(set_up(state), 0);
        assert_int_equal(publish(OLD, &error), URN_OK);
        sim_event_forget(world);
        sim_fail_at(world, SIM_ANY_CALL, nth, 0);
        const enum urn_code code = publish(NEW, &error);
        if (sim_last_event(world)->number == 0) {
            assert_int_equal(code, URN_OK);
            break;
        }
        if (code == URN_OK) /* only where it did not matter */
            assert_true(file_is(NEW));
        else
            assert_true(file_is(OLD) || file_is(NEW));
        assert_true(code == URN_OK || (code == URN_IO && error.text[0] != 0));
    }
}

/* A crash of the machine at any call leaves the old bytes or the new ones, whole. */
static void test_crashes(void **state)
{
    (void)state;
    struct urn_error error;
    for (uint64_t nth = 1;; nth++) {
        assert_int_equal(publish(OLD, &error), URN_OK);
        sim_crash_at(world, nth, SIM_CRASH_MACHINE, SIM_CRASH_BEFORE);
        const enum urn_code code = publish(NEW, &error);
        const bool crashed = sim_crashed(world) != SIM_NO_CRASH;
        os_dir_close(dir);
        assert_int_equal(os_dir_open(sim_restart(world), "/", &dir), 0);
        assert_true(code == URN_OK ? file_is(NEW) : file_is(OLD) || file_is(NEW));
        if (!crashed)
            break;
    }
}

/* What is read back tells that a sync did not do what it said; then the old bytes stay. */
static void test_a_disk_that_lies(void **state)
{
    (void)state;
    struct urn_error error;
    uint32_t found = 0;
    checks = true;
    for (uint32_t i = 0; i < 32; i++) {
        assert_int_equal(publish(OLD, &error), URN_OK);
        sim_lie_at(world, 1);
        const enum urn_code code = publish(NEW, &error);
        if (code != URN_OK) {
            assert_int_equal(code, URN_DAMAGED);
            assert_non_null(strstr(error.text, "what was read back is not what was written"));
            assert_false(sim_file_exists(world, "NAME.tmp"));
            found++;
        }
        sim_crash_now(world, SIM_CRASH_MACHINE);
        os_dir_close(dir);
        assert_int_equal(os_dir_open(sim_restart(world), "/", &dir), 0);
        assert_true(file_is(code == URN_OK ? NEW : OLD));
    }
    assert_in_range(found, 1, 31);
    checks = false;
}

static void test_publishing_with_a_look_back(void **state)
{
    checks = true;
    test_publishing_replaces(state);
    assert_true(sim_lose_file(world, "NAME"));
    test_crashes(state);
    test_failing_calls(state);
    checks = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_short_calls_are_made_whole),
        TEST(test_publishing_replaces),
        TEST(test_a_leftover_is_no_hindrance),
        TEST(test_failing_calls),
        TEST(test_crashes),
        TEST(test_a_disk_that_lies),
        TEST(test_publishing_with_a_look_back),
    };
    return cmocka_run_group_tests_name("file_io", tests, NULL, NULL);
}
