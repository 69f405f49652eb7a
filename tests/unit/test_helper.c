/* test_helper.c: every job is done once, in order, and is done when it has been waited for. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>

#include "engine/helper.h"

struct work {
    uint32_t jobs[3];
    uint32_t count;
    pthread_t by;
};

static void do_first(void *context)
{
    struct work *work = context;
    work->jobs[work->count++ % 3] = 1;
    work->by = pthread_self();
}

static void do_second(void *context)
{
    struct work *work = context;
    work->jobs[work->count++ % 3] = 2;
    work->by = pthread_self();
}

static void test_jobs_are_done_by_another_thread(void **state)
{
    (void)state;
    struct helper *helper = helper_make();
    assert_non_null(helper);
    helper_wait(helper); /* nothing was begun: nothing to wait for */
    struct work work = {{0}};
    for (uint32_t round = 1; round <= 2000; round++) {
        helper_begin(helper, round % 2 == 1 ? do_first : do_second, &work);
        helper_wait(helper);
        helper_wait(helper);
        assert_int_equal(work.count, round);
        assert_int_equal(work.jobs[(round - 1) % 3], round % 2 == 1 ? 1 : 2);
        assert_false(pthread_equal(work.by, pthread_self()));
    }
    helper_free(helper);
}

/* The gate is shut as long as its giver has the lock. */
static void pass_gate(void *context)
{
    pthread_mutex_t *gate = context;
    assert_int_equal(pthread_mutex_lock(gate), 0);
    assert_int_equal(pthread_mutex_unlock(gate), 0);
}

static void test_it_is_busy_until_its_job_is_done(void **state)
{
    (void)state;
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    struct helper *helper = helper_make();
    assert_false(helper_is_busy(helper));
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    helper_begin(helper, pass_gate, &gate);
    assert_true(helper_is_busy(helper));
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
    helper_wait(helper);
    assert_false(helper_is_busy(helper));
    helper_free(helper);
    assert_false(helper_is_busy(NULL));
}

static void test_without_a_helper_jobs_are_done_at_once(void **state)
{
    (void)state;
    struct work work = {{0}};
    helper_begin(NULL, do_first, &work);
    assert_int_equal(work.count, 1);
    assert_true(pthread_equal(work.by, pthread_self()));
    helper_wait(NULL);
    helper_free(NULL);
}

static void ask_mask(void *context)
{
    (void)pthread_sigmask(SIG_SETMASK, NULL, context);
}

static void test_the_programs_signals_stay_with_its_threads(void **state)
{
    (void)state;
    struct helper *helper = helper_make();
    sigset_t mask, own;
    helper_begin(helper, ask_mask, &mask);
    helper_wait(helper);
    helper_free(helper);
    assert_int_equal(sigismember(&mask, SIGTERM), 1);
    assert_int_equal(sigismember(&mask, SIGHUP), 1);
    assert_int_equal(sigismember(&mask, SIGBUS), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &own), 0);
    assert_int_equal(sigismember(&own, SIGTERM), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_are_done_by_another_thread),
        cmocka_unit_test(test_it_is_busy_until_its_job_is_done),
        cmocka_unit_test(test_without_a_helper_jobs_are_done_at_once),
        cmocka_unit_test(test_the_programs_signals_stay_with_its_threads),
    };
    return cmocka_run_group_tests_name("helper", tests, NULL, NULL);
}
