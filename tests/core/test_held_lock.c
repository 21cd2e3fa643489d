/* Debug builds find a pthread mutex or rwlock that is held across a park, and no
 * other. */
#include "core/held_lock.h"

#include <pthread.h>
#include <stdio.h>

#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/dumps.h"

#ifndef GUST__HELD_LOCKS

Test(held_lock, is_looked_for)
{
    cr_skip_test("only in builds with GUST_DEBUG and without a sanitizer");
}

#else

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static int run(void (*fn)(void))
{
    fn();
    return 0;
}

static int run_main(void *arg)
{
    return run(*(void (**)(void))arg);
}

static void (*body)(void);

static void child(void)
{
    CHECK_EQ(gust_run(run_main, &body), 0);
}

static void assert_found(void (*fn)(void), const void *lock)
{
    char text[16384], address[32];
    body = fn;
    int status = child_run(child, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%x %s", status, text);
    snprintf(address, sizeof address, "at %p by goroutine 1\n", lock);
    cr_assert_not_null(strstr(text, "a pthread mutex is held across a park"), "%s", text);
    cr_assert_not_null(strstr(text, address), "%s", text);
    cr_assert_not_null(strstr(text, "  locked at "), "%s", text);
    cr_assert_not_null(strstr(text, "\ngoroutine 1 (\"main\") [running]:\n"), "%s", text);
    char *locked_at = strstr(text, "  locked at ");
    *strchr(locked_at + 1, '\n') = '\0';
    cr_assert(has_frame_in(locked_at, (void (*)(void *))(uintptr_t)fn), "%s", locked_at);
}

static void assert_fine(void (*fn)(void))
{
    body = fn;
    child_assert_ends(child, 0);
}

static void park_with_mutex(void)
{
    pthread_mutex_lock(&mutex);
    gust_sleep(GUST_MS);
    pthread_mutex_unlock(&mutex);
}

static void yield_with_mutex(void)
{
    CHECK_EQ(pthread_mutex_trylock(&mutex), 0);
    gust_yield();
    pthread_mutex_unlock(&mutex);
}

static void end_with_mutex(void)
{
    struct timespec until = {.tv_sec = INT32_MAX};
    CHECK_EQ(pthread_mutex_timedlock(&mutex, &until), 0);
    gust_goexit();
}

static void park_with_recursive_mutex(void)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &attr);
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
    gust_sleep(GUST_MS);
}

static void park_after_wait(void)
{
    struct timespec past = {0};
    pthread_mutex_lock(&mutex);
    CHECK_EQ(pthread_cond_timedwait(&cond, &mutex, &past), ETIMEDOUT);
    gust_sleep(GUST_MS); /* it was taken back */
}

Test(held_lock, mutex_across_a_park_is_found)
{
    assert_found(park_with_mutex, &mutex);
    assert_found(yield_with_mutex, &mutex);
    assert_found(end_with_mutex, &mutex);
    assert_found(park_with_recursive_mutex, &mutex);
    assert_found(park_after_wait, &mutex);
}

static void park_with_read_lock(void)
{
    pthread_rwlock_rdlock(&rwlock);
    gust_sleep(GUST_MS);
}

static void park_with_write_lock(void)
{
    CHECK_EQ(pthread_rwlock_trywrlock(&rwlock), 0);
    gust_sleep(GUST_MS);
}

Test(held_lock, rwlock_across_a_park_is_found)
{
    assert_found(park_with_read_lock, &rwlock);
    assert_found(park_with_write_lock, &rwlock);
}

static void lock_and_let_go(void)
{
    struct timespec past = {0};
    gust_sleep(GUST_MS);
    for (int i = 0; i < 100; i++) {
        pthread_mutex_lock(&mutex);
        CHECK_EQ(pthread_mutex_trylock(&mutex), EBUSY);
        CHECK_EQ(pthread_cond_timedwait(&cond, &mutex, &past), ETIMEDOUT);
        pthread_rwlock_rdlock(&rwlock);
        pthread_rwlock_rdlock(&rwlock);
        pthread_rwlock_unlock(&rwlock);
        pthread_mutex_unlock(&mutex);
        CHECK_EQ(pthread_rwlock_trywrlock(&rwlock), EBUSY);
        pthread_rwlock_unlock(&rwlock);
        gust_yield();
    }
    gust_sleep(GUST_MS);
}

Test(held_lock, locks_that_are_dropped_before_are_fine)
{
    assert_fine(lock_and_let_go);
}

static void park_while_wired(void)
{
    gust_lock_os_thread();
    pthread_mutex_lock(&mutex);
    gust_sleep(GUST_MS);
    pthread_mutex_unlock(&mutex);
    gust_unlock_os_thread();
    gust_sleep(GUST_MS);
}

Test(held_lock, goroutines_wired_to_their_thread_may_hold_locks)
{
    assert_fine(park_while_wired);
}

static void *hold(void *arg)
{
    pthread_mutex_lock(&mutex);
    pthread_barrier_wait(arg);
    pthread_barrier_wait(arg);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static void others_hold(void)
{
    pthread_t thread;
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, 2);
    CHECK_EQ(pthread_create(&thread, NULL, hold, &barrier), 0);
    pthread_barrier_wait(&barrier);
    gust_sleep(GUST_MS);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
}

Test(held_lock, locks_of_other_threads_are_fine)
{
    assert_fine(others_hold);
}

static void lock_many(void)
{
    static pthread_mutex_t many[40];
    for (int i = 0; i < 40; i++)
        CHECK_EQ(pthread_mutex_lock(&many[i]), 0);
    for (int i = 0; i < 40; i++)
        CHECK_EQ(pthread_mutex_unlock(&many[i]), 0);
    gust_sleep(GUST_MS);
}

Test(held_lock, more_than_can_be_noted_are_fine)
{
    assert_fine(lock_many);
}

#endif
