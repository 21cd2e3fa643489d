/* Goroutines wired to their thread. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/waiters.h"

enum { GOROUTINES = 8, ROUNDS = 100 };

static gust_waitgroup running;

static void start(int count, void (*fn)(void *arg))
{
    gust_waitgroup_add(&running, count);
    for (int i = 0; i < count; i++)
        go(fn, NULL);
    CHECK_EQ(gust_waitgroup_wait(&running, SOON), 0);
}

static gust_chan *hand_over;

/* Parks in every way there is; others use the Ps meanwhile. */
static void park_often(void *arg)
{
    int value = 0;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        gust_yield();
        gust_sleep(10 * GUST_US);
        (void)gust_chan_send(hand_over, &value, gust_after(100 * GUST_US));
        (void)gust_chan_recv(hand_over, &value, gust_after(100 * GUST_US));
        gust_blocking_begin();
        usleep(10);
        gust_blocking_end();
    }
}

static void stay(void *arg)
{
    (void)arg;
    gust_lock_os_thread();
    pid_t tid = gettid();
    for (int i = 0; i < ROUNDS / 10; i++) {
        gust_yield();
        CHECK_EQ(gettid(), tid);
        gust_sleep(10 * GUST_US);
        CHECK_EQ(gettid(), tid);
        gust_blocking_begin();
        usleep(100);
        gust_blocking_end();
        CHECK_EQ(gettid(), tid);
    }
    gust_unlock_os_thread();
    gust_waitgroup_done(&running);
}

static void roam(void *arg)
{
    park_often(arg);
    gust_waitgroup_done(&running);
}

static int stay_main(void *arg)
{
    (void)arg;
    CHECK_EQ(gust_chan_new(sizeof(int), 0, &hand_over), 0);
    gust_waitgroup_add(&running, GOROUTINES);
    for (int i = 0; i < GOROUTINES; i++)
        go(roam, NULL);
    start(GOROUTINES, stay);
    gust_chan_unref(hand_over);
    return 0;
}

Test(locked, a_locked_goroutine_stays_on_its_thread)
{
    test_run(stay_main, NULL);
}

static __thread int mark; /* of this thread; read and written between gust calls only */

static __attribute__((noinline)) void mark_set(int value)
{
    mark = value;
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) int mark_get(void)
{
    __asm__ volatile("" ::: "memory");
    return mark;
}

static void mark_thread(void *arg)
{
    gust_lock_os_thread();
    mark_set(1);
    for (int i = 0; i < 10; i++)
        gust_yield();
    CHECK_EQ(mark_get(), 1);
    if (arg) { /* else it ends locked */
        mark_set(0);
        gust_unlock_os_thread();
    }
    gust_waitgroup_done(&running);
}

static void see_no_mark(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQ(mark_get(), 0);
        gust_yield();
    }
    gust_waitgroup_done(&running);
}

static int alone_main(void *arg)
{
    gust_waitgroup_add(&running, 2 * GOROUTINES);
    for (int i = 0; i < GOROUTINES; i++) {
        go(mark_thread, arg);
        go(see_no_mark, NULL);
    }
    CHECK_EQ(gust_waitgroup_wait(&running, SOON), 0);
    return 0;
}

Test(locked, nobody_else_runs_on_its_thread)
{
    test_run(alone_main, (void *)1);
}

Test(locked, nobody_inherits_the_thread_of_one_that_ended_locked)
{
    test_run(alone_main, NULL);
}

static int nested_main(void *arg)
{
    (void)arg;
    gust_lock_os_thread();
    gust_lock_os_thread();
    gust_unlock_os_thread();
    CHECK(gust__m()->lockedg == gust__g());
    gust_unlock_os_thread();
    CHECK(!gust__m()->lockedg);
    return 0;
}

Test(locked, locks_are_counted)
{
    test_run(nested_main, NULL);
}

static int main_locked(void *arg)
{
    (void)arg;
    gust_lock_os_thread();
    start(GOROUTINES, stay);
    return 7;
}

Test(locked, main_may_return_locked)
{
    cr_assert_eq(gust_run(main_locked, NULL), 7);
}

static int unlock_main(void *arg)
{
    (void)arg;
    gust_unlock_os_thread();
    return 0;
}

static void unlock_unlocked(void)
{
    gust_run(unlock_main, NULL);
}

Test(locked, unlock_of_one_that_is_not_locked_panics)
{
    child_assert_ends(unlock_unlocked, SIGABRT);
}
