/* Announced blocking calls: the P is kept by short ones, handed over by long
 * ones, and found again at their end. */
#include <stdlib.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/core/procs.h"
#include "tests/core/waiters.h"

static uint64_t retakes(void)
{
    return atomic_load(&sched.retakes);
}

/* Foreign code that blocks until something holds: not a goroutine's wait. */
#define BLOCK_UNTIL(cond)                                                      \
    do {                                                                       \
        for (gust_time end_ = gust_after(20 * GUST_SEC); !(cond); usleep(100)) \
            CHECK(gust_now() < end_);                                          \
    } while (0)

/* --- Short calls --------------------------------------------------------------- */

static int short_main(void *arg)
{
    (void)arg;
    P *p = gust__m()->p;
    uint32_t tick = atomic_load(&p->syscalltick);
    gust_blocking_begin();
    CHECK_EQ(atomic_load(&gust__g()->state), G_BLOCKING);
    CHECK(!gust__m()->p);
    gust_blocking_end();
    CHECK_EQ(atomic_load(&gust__g()->state), G_RUNNING);
    CHECK(gust__m()->p);
    CHECK(atomic_load(&p->syscalltick) != tick);
    for (int i = 0; i < 2000; i++) {
        gust_blocking_begin();
        gust_blocking_end();
    }
    /* A call that the kernel interrupts for long may lose its P. */
    CHECK(retakes() < 1000);
    return 0;
}

Test(blocking, short_call_keeps_its_p)
{
    test_run(short_main, NULL);
}

/* --- Long calls ---------------------------------------------------------------- */

static struct {
    _Atomic bool ran, queued, done;
    pid_t tid;
} other;

static void run_meanwhile(void *arg)
{
    (void)arg;
    atomic_store(&other.ran, true);
}

static int retake_main(void *arg)
{
    (void)arg;
    go(run_meanwhile, NULL);
    gust_blocking_begin();
    BLOCK_UNTIL(atomic_load(&other.ran));
    gust_blocking_end();
    CHECK(retakes() >= 1);
    CHECK(gust__m()->p);
    return 0;
}

Test(blocking, others_run_during_a_long_call, .init = one_p)
{
    test_run(retake_main, NULL);
}

static void sleep_a_little(void *arg)
{
    (void)arg;
    gust_sleep(5 * GUST_MS);
    atomic_store(&other.ran, true);
}

static int timer_meanwhile_main(void *arg)
{
    (void)arg;
    go(sleep_a_little, NULL);
    gust_yield();
    gust_blocking_begin();
    BLOCK_UNTIL(atomic_load(&other.ran));
    gust_blocking_end();
    return 0;
}

Test(blocking, timers_fire_during_a_long_call, .init = one_p)
{
    test_run(timer_meanwhile_main, NULL);
}

/* Blocks until the main goroutine hogs the one P; its end then finds none.  Chaos
 * would take that P from the hog. */
static void end_without_p(void *arg)
{
    (void)arg;
    other.tid = gettid();
    gust_blocking_begin();
    atomic_store(&other.ran, true);
    BLOCK_UNTIL(atomic_load(&other.queued));
    gust_blocking_end();
    CHECK(gettid() != other.tid);
    atomic_store(&other.done, true);
}

static int global_main(void *arg)
{
    (void)arg;
    go(end_without_p, NULL);
    AWAIT(atomic_load(&other.ran));
    CHECK(gettid() != other.tid);
    CHECK_EQ(atomic_load(&sched.glist_count), 0);
    atomic_store(&other.queued, true);
    {
        GUST__CALL(); /* or on a busy machine it would lose the P for having it so long */
        for (gust_time end = gust_after(20 * GUST_SEC); !atomic_load(&sched.glist_count);)
            CHECK(gust_now() < end);
        CHECK(!atomic_load(&other.done));
    }
    AWAIT(atomic_load(&other.done));
    return 0;
}

Test(blocking, end_without_a_free_p_waits_in_the_global_queue_and_changes_thread, .init = one_p)
{
    no_chaos();
    test_run(global_main, NULL);
}

/* --- A P with nothing to do ------------------------------------------------------ */

static uint64_t sleeps(void)
{
    gust_stats stats;
    gust_stats_read(&stats);
    return stats.sleeps;
}

struct calls {
    int quiet, kept;
};

/* One call of 4 ms: several looks of sysmon.  It should keep its P, unless the
 * machine stretched it, the P got something to do (a wake-up meant for its last
 * sleep may come late), or the other P was awake for a moment, so that there was
 * no idle one. */
static void call_idly(struct calls *calls)
{
    gust_sleep(100 * GUST_US);
    P *p = gust__m()->p;
    uint64_t before = retakes(), sleeps_before = sleeps();
    gust_time start = gust_now();
    gust_blocking_begin();
    usleep(4000);
    bool kept = retakes() == before;
    bool in_time = gust_now() - start < 8 * GUST_MS;
    bool quiet = !gust__poller_pending(p->poller) && atomic_load(&sched.npidle) > 0 &&
                 sleeps() == sleeps_before;
    gust_blocking_end();
    calls->quiet += in_time && quiet;
    calls->kept += in_time && quiet && kept;
}

static void two_quiet_ps(void)
{
    two_ps();
    no_chaos();
}

static int patience_main(void *arg)
{
    struct calls calls = {0};
    (void)arg;
    for (int i = 0; i < 100 && calls.quiet < 10; i++)
        call_idly(&calls);
    /* A machine that is never quiet shows nothing here.
     * Not all: a sysmon that is interrupted during its look takes the call to
     * have lasted as long as that. */
    CHECK(2 * calls.kept >= calls.quiet);
    uint64_t before = retakes();
    gust_blocking_begin();
    BLOCK_UNTIL(retakes() > before);
    gust_blocking_end();
    return 0;
}

Test(blocking, p_with_nothing_to_do_is_left_for_a_while, .init = two_quiet_ps)
{
    test_run(patience_main, NULL);
}

/* --- Many ---------------------------------------------------------------------- */

static void block_for_a_while(void *arg)
{
    gust_blocking_begin();
    usleep(2000);
    gust_blocking_end();
    gust_waitgroup_done(arg);
}

static int many_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&group, 200);
    for (int i = 0; i < 200; i++)
        go(block_for_a_while, &group);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    return 0;
}

Test(blocking, two_hundred_calls_at_once_all_end)
{
    test_run(many_main, NULL);
}

/* Calls of 0 to 200 us, around the length at which sysmon takes the P, from more
 * goroutines than Ps: Ps are taken back and forth. */
static struct churn {
    gust_waitgroup group;
    uint64_t seed;
} churn;

static void block_randomly(void *arg)
{
    uint64_t rand = churn.seed + (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 100; i++) {
        gust_blocking_begin();
        if (test_rand(&rand) % 4)
            usleep((useconds_t)(test_rand(&rand) % 200));
        gust_blocking_end();
        if (test_rand(&rand) % 4 == 0)
            gust_yield();
        if (test_rand(&rand) % 16 == 0)
            gust_sleep((int64_t)(test_rand(&rand) % (100 * GUST_US)));
    }
    gust_waitgroup_done(&churn.group);
}

static int churn_main(void *arg)
{
    (void)arg;
    gust_waitgroup_add(&churn.group, 12);
    for (uintptr_t i = 0; i < 12; i++)
        go(block_randomly, (void *)i);
    CHECK_EQ(gust_waitgroup_wait(&churn.group, SOON), 0);
    return 0;
}

Test(blocking, ps_are_taken_back_and_forth_without_loss)
{
    churn.seed = test_seed();
    test_run(churn_main, NULL);
}

/* Nothing else to do and one P: sysmon takes it and idles it just as the call ends
 * and finds no idle one.  If neither saw the other nobody would run any more. */
static int race_main(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < 4000; i++) {
        gust_blocking_begin();
        for (gust_time end = gust_after((int64_t)(test_rand(&rand) % (150 * GUST_US)));
             gust_now() < end;)
            gust__cpu_relax();
        gust_blocking_end();
    }
    return 0;
}

Test(blocking, end_races_with_the_hand_off, .init = one_p)
{
    uint64_t seed = test_seed();
    test_run(race_main, &seed);
}

static void wait_long(void *arg)
{
    (void)arg;
    gust_sleep(3600 * GUST_SEC);
}

static bool an_m_sleeps(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    bool sleeps = sched.pidle && sched.pidle->sleeper;
    gust__lock_drop(&sched.lock);
    return sleeps;
}

static bool an_m_is_idle(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    bool idle = sched.midle;
    gust__lock_drop(&sched.lock);
    return idle;
}

/* Each call's P is given to an M that goes to sleep in its poller; the call's end
 * takes the P from under it.  That M must be found again for the next call, once it has
 * come to know that it is idle. */
static int threads_main(void *arg)
{
    gust_stats stats;
    (void)arg;
    go(wait_long, NULL);
    gust_yield();
    for (int i = 0; i < 60; i++) {
        uint64_t before = retakes();
        gust_blocking_begin();
        BLOCK_UNTIL(retakes() > before && an_m_sleeps());
        gust_blocking_end();
        AWAIT(an_m_is_idle());
    }
    gust_stats_read(&stats);
    CHECK(stats.threads < 20);
    return 0;
}

Test(blocking, threads_are_used_again, .init = one_p)
{
    test_run(threads_main, NULL);
}

/* --- The end of the runtime ------------------------------------------------------ */

static _Atomic int blocked;

static void block_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        gust_blocking_begin();
        atomic_fetch_add(&blocked, 1);
        gust_blocking_end();
    }
}

static int leave_blocking(void *arg)
{
    (void)arg;
    atomic_store(&blocked, 0);
    for (int i = 0; i < 8; i++)
        go(block_for_ever, NULL);
    AWAIT(atomic_load(&blocked) > 100);
    return 0;
}

/* It never waits in the scheduler, which is where others are stopped.  If its thread were
 * left behind there could be no second run. */
Test(blocking, who_does_nothing_but_block_is_stopped_at_the_end)
{
    for (int i = 0; i < 3; i++)
        test_run(leave_blocking, NULL);
}

/* --- Misuse -------------------------------------------------------------------- */

static int begin_twice_main(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    gust_blocking_begin();
    return 0;
}

Test(blocking, nested_begin_panics, .signal = SIGABRT)
{
    gust_run(begin_twice_main, NULL);
}

static int end_only_main(void *arg)
{
    (void)arg;
    gust_blocking_end();
    return 0;
}

Test(blocking, end_without_begin_panics, .signal = SIGABRT)
{
    gust_run(end_only_main, NULL);
}

Test(blocking, begin_outside_a_goroutine_panics, .signal = SIGABRT)
{
    gust_blocking_begin();
}

Test(blocking, end_outside_a_goroutine_panics, .signal = SIGABRT)
{
    gust_blocking_end();
}
