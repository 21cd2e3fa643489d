/* sysmon: work that a busy P does not get to is run by another one, and a runtime
 * with nothing to do sleeps altogether. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/core/procs.h"
#include "tests/core/waiters.h"

/* Uses the CPU, without a gust call that schedules, until something holds. */
#define HOG_UNTIL(cond)                                \
    do {                                               \
        gust_time end_ = gust_after(20 * GUST_SEC);    \
        while (!(cond)) {                              \
            CHECK(gust_now() < end_);                  \
            for (int spin_ = 0; spin_ < 1000; spin_++) \
                gust__cpu_relax();                     \
        }                                              \
    } while (0)

static struct {
    _Atomic(G *) g;
    _Atomic bool ran;
} parked;

static bool publish(G *g, void *arg)
{
    (void)arg;
    atomic_store(&parked.g, g);
    return true;
}

static void park_and_run(void *arg)
{
    (void)arg;
    gust__park(publish, NULL, WAIT_CHAN_RECV);
    atomic_store(&parked.ran, true);
}

/* gust__ready or gust__ready_tail. */
static void ready_and_hog(void (*ready)(G *g))
{
    atomic_store(&parked.g, NULL);
    atomic_store(&parked.ran, false);
    go(park_and_run, NULL);
    AWAIT(atomic_load(&parked.g));
    gust_sleep(100 * GUST_US); /* the other P has nothing to do */
    IN_CALL_(ready(atomic_load(&parked.g)));
    HOG_UNTIL(atomic_load(&parked.ran));
}

static int next_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        ready_and_hog(gust__ready);
    return 0;
}

Test(sysmon, goroutine_in_runnext_of_a_hog_runs_elsewhere, .init = two_ps)
{
    test_run(next_main, NULL);
}

static int tail_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++)
        ready_and_hog(gust__ready_tail);
    return 0;
}

Test(sysmon, goroutine_in_the_queue_of_a_hog_runs_elsewhere, .init = two_ps)
{
    test_run(tail_main, NULL);
}

static void set_ran(void *arg)
{
    (void)arg;
    atomic_store(&parked.ran, true);
}

static int spawn_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        atomic_store(&parked.ran, false);
        go(set_ran, NULL);
        HOG_UNTIL(atomic_load(&parked.ran));
    }
    return 0;
}

Test(sysmon, goroutine_spawned_by_a_hog_runs_elsewhere, .init = two_ps)
{
    test_run(spawn_main, NULL);
}

/* --- Idle ---------------------------------------------------------------------- */

static _Atomic bool seen_asleep;

static void *see_asleep(void *arg)
{
    (void)arg;
    for (gust_time end = gust_after(30 * GUST_SEC); gust_now() < end; usleep(1000)) {
        if (atomic_load(&sched.sysmon_asleep)) {
            atomic_store(&seen_asleep, true);
            break;
        }
    }
    return NULL;
}

static void block_long(void *arg)
{
    gust_blocking_begin();
    for (gust_time end = gust_after(20 * GUST_SEC); !atomic_load(&parked.ran); usleep(100))
        CHECK(gust_now() < end);
    gust_blocking_end();
    gust_waitgroup_done(arg);
}

static int idle_main(void *arg)
{
    pthread_t thread;
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    CHECK_EQ(pthread_create(&thread, NULL, see_asleep, NULL), 0);
    for (gust_time end = gust_after(30 * GUST_SEC); !atomic_load(&seen_asleep);) {
        CHECK(gust_now() < end);
        gust_sleep(100 * GUST_MS);
    }
    pthread_join(thread, NULL);
    /* And it wakes: these calls hold every P until it takes one. */
    gust_waitgroup_add(&group, 10);
    for (int i = 0; i < 10; i++)
        go(block_long, &group);
    gust_yield();
    go(set_ran, NULL);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    return 0;
}

Test(sysmon, sleeps_while_all_is_idle_and_wakes_for_work)
{
    test_run(idle_main, NULL);
}
