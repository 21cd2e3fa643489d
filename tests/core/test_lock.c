/* The runtime's lock under contention, and the rank check of debug builds. */
#include "core/lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "core/sched.h"
#include "tests/core/child.h"

enum { THREADS = 4, ROUNDS = 50000 };

static gust__lock lock;
static long counter;
static _Atomic int inside;

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        gust__lock_take(&lock, RANK_SCHED);
        CHECK_EQ(atomic_fetch_add(&inside, 1), 0);
        counter++;
        atomic_fetch_sub(&inside, 1);
        gust__lock_drop(&lock);
    }
    return NULL;
}

Test(lock, lets_one_thread_in_at_a_time)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(counter, (long)THREADS * ROUNDS);
    cr_assert_eq(atomic_load(&lock.word), 0);
}

static _Atomic pid_t waiter_tid;

static void *take_once(void *arg)
{
    (void)arg;
    atomic_store(&waiter_tid, gettid());
    gust__lock_take(&lock, RANK_SCHED);
    counter++;
    gust__lock_drop(&lock);
    return NULL;
}

/* Sleeps in the kernel: its state is the letter after the name in parentheses. */
static bool is_asleep(pid_t tid)
{
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY);
    cr_assert_geq(fd, 0);
    cr_assert_gt(read(fd, text, sizeof text - 1), 0);
    close(fd);
    return strstr(text, ") S");
}

/* The holder waits until one of them naps; all must get the lock all the same. */
Test(lock, whoever_naps_gets_it_too)
{
    pthread_t threads[THREADS];

    for (int round = 0; round < 20; round++) {
        atomic_store(&waiter_tid, 0);
        gust__lock_take(&lock, RANK_SCHED);
        for (int i = 0; i < THREADS; i++)
            cr_assert_eq(pthread_create(&threads[i], NULL, take_once, NULL), 0);
        while (atomic_load(&waiter_tid) == 0 || !is_asleep(atomic_load(&waiter_tid)))
            sched_yield();
        gust__lock_drop(&lock);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    cr_assert_eq(counter, 20L * THREADS);
    cr_assert_eq(atomic_load(&lock.word), 0);
}

#ifdef GUST_DEBUG

static gust__lock two[2];

static void in_rising_order(void)
{
    gust__lock outer = {0};

    gust__lock_take(&outer, RANK_CHAN);
    gust__lock_take(&two[0], RANK_SCHED);
    gust__lock_take(&two[1], RANK_SCHED);
    gust__lock_drop(&outer); /* the order of dropping is free */
    gust__lock_take(&lock, RANK_ALL_G);
    gust__lock_drop(&two[0]);
    gust__lock_drop(&lock);
    gust__lock_drop(&two[1]);
    gust__lock_take(&outer, RANK_CHAN);
    gust__lock_drop(&outer);
}

Test(lock, rank_check_accepts_rising_ranks_and_addresses)
{
    child_assert_ends(in_rising_order, 0);
}

static int take_outside_of_a_call(void *arg)
{
    (void)arg;
    gust__lock_take(&two[0], RANK_CHAN);
    return 0;
}

static void without_a_p(void)
{
    setenv("GUST_MAXPROCS", "1", 1);
    gust_run(take_outside_of_a_call, NULL);
}

Test(lock, of_ps_with_one_p_needs_that_p)
{
    char text[8192];
    int status = child_run(without_a_p, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "a lock of Ps is taken by a thread without one\n"), "%s", text);
}

static void falling_rank(void)
{
    gust__lock_take(&two[0], RANK_SCHED);
    gust__lock_take(&two[1], RANK_CHAN);
}

static void falling_address(void)
{
    gust__lock_take(&two[1], RANK_CHAN);
    gust__lock_take(&two[0], RANK_CHAN);
}

static void taken_twice(void)
{
    gust__lock_take(&two[0], RANK_CHAN);
    gust__lock_take(&two[0], RANK_CHAN);
}

static void dropped_unheld(void)
{
    gust__lock_drop(&two[0]);
}

Test(lock, rank_check_names_both_ranks)
{
    char text[1024];
    int status = child_run(falling_rank, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert(strstr(text, "gust: lock order: RANK_CHAN") != NULL, "%s", text);
    cr_assert(strstr(text, "while holding RANK_SCHED") != NULL, "%s", text);
}

Test(lock, rank_check_stops_every_other_disorder)
{
    child_assert_ends(falling_address, SIGABRT);
    child_assert_ends(taken_twice, SIGABRT);
    child_assert_ends(dropped_unheld, SIGABRT);
}

static gust__lock many[1100];

static void hold_many(int count)
{
    for (int i = 0; i < count; i++)
        gust__lock_take(&many[i], RANK_CHAN);
    for (int i = count - 1; i >= 0; i--)
        gust__lock_drop(&many[i]);
}

static void hold_what_select_needs(void)
{
    hold_many(1024 + 16);
}

static void hold_one_more(void)
{
    hold_many(1024 + 17);
}

Test(lock, rank_check_has_room_for_the_widest_select)
{
    child_assert_ends(hold_what_select_needs, 0);
    child_assert_ends(hold_one_more, SIGABRT);
}

#endif
