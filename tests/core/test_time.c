/* Clock, sleep, timers and tickers as users see them. */
#include <gust/chan.h>

#include "core/proc.h"
#include "tests/core/waiters.h"

/* --- The clock --------------------------------------------------------------- */

Test(time, now_does_not_go_back)
{
    gust_time last = gust_now();
    cr_assert_gt(last, 0);
    for (int i = 0; i < 1000; i++) {
        gust_time now = gust_now();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(time, after_adds_and_saturates)
{
    gust_time before = gust_now();
    gust_time when = gust_after(5 * GUST_SEC);
    cr_assert_geq(when, before + 5 * GUST_SEC);
    cr_assert_leq(when, gust_now() + 5 * GUST_SEC);
    cr_assert_eq(gust_after(INT64_MAX), GUST_FOREVER);
    cr_assert_eq(gust_after(GUST_FOREVER - 1), GUST_FOREVER);
    cr_assert_lt(gust_after(-GUST_SEC), gust_now());
    cr_assert_lt(gust_after(INT64_MIN), 0);
}

/* --- Sleep ------------------------------------------------------------------- */

static int sleep_random(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < 60; i++) {
        gust_time when = gust_after((int64_t)(test_rand(&rand) % (2 * GUST_MS)));
        gust_sleep_until(when);
        CHECK(gust_now() >= when);
    }
    gust_time start = gust_now();
    gust_sleep(3 * GUST_MS);
    CHECK(gust_now() - start >= 3 * GUST_MS);
    return 0;
}

Test(time, sleep_never_ends_early)
{
    uint64_t seed = test_seed();
    test_run(sleep_random, &seed);
}

#define SLEEPERS 64

static struct order {
    gust_waitgroup group;
    gust_time base;
    int woke[SLEEPERS];
    int count;
} order;

static void sleep_in_order(void *arg)
{
    int i = (int)(intptr_t)arg;
    gust_sleep_until(order.base + i * GUST_US);
    order.woke[order.count++] = i;
    gust_waitgroup_done(&order.group);
}

/* False if the machine was so slow that the first times had passed before the
 * last sleeper slept. */
static bool sleepers_wake_in_order(int64_t ns)
{
    order.count = 0;
    order.base = gust_after(ns);
    gust_waitgroup_add(&order.group, SLEEPERS);
    for (intptr_t i = 0; i < SLEEPERS; i++)
        go(sleep_in_order, (void *)(i * 37 % SLEEPERS)); /* shuffled: 37 is odd */
    AWAIT(order.count > 0 || gust__m()->p->timers.len == SLEEPERS);
    bool in_time = gust_now() < order.base;
    CHECK_EQ(gust_waitgroup_wait(&order.group, GUST_FOREVER), 0);
    for (int i = 0; in_time && i < SLEEPERS; i++)
        CHECK_EQ(order.woke[i], i);
    return in_time;
}

static int order_main(void *arg)
{
    int64_t ns = 5 * GUST_MS;
    (void)arg;
    while (!sleepers_wake_in_order(ns))
        ns *= 2;
    return 0;
}

/* One P: several would race for the last microseconds. */
Test(time, sleepers_wake_in_the_order_of_their_times, .init = no_chaos)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(order_main, NULL);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static int no_wait_main(void *arg)
{
    (void)arg;
    static const gust_time past[] = {GUST_NOW, 1, INT64_MIN};
    for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
        bool ran = false;
        go(set_flag, &ran);
        gust_sleep_until(past[i]);
        AWAIT(ran);
    }
    for (int64_t ns = -1; ns <= 0; ns++)
        gust_sleep(ns);
    return 0;
}

Test(time, sleep_of_nothing_only_yields)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(no_wait_main, NULL);
}

static void sleep_for_ever(void *arg)
{
    (void)arg;
    gust_sleep_until(GUST_FOREVER);
    CHECK(!"reached");
}

static int forever_main(void *arg)
{
    (void)arg;
    go(sleep_for_ever, NULL);
    gust_sleep(2 * GUST_MS);
    CHECK_EQ(gust_num_goroutines(), 2);
    return 0;
}

Test(time, sleep_for_ever_does_not_keep_main_from_returning)
{
    test_run(forever_main, NULL);
}

/* --- A P that is hogged ---------------------------------------------------------
 * Its due timers are run by another P, which sysmon wakes. */

static struct hog {
    _Atomic int sleeper_p; /* -1: not there yet */
    _Atomic bool woke;
} hog;

static int my_p(void)
{
    return gust__m()->p->id;
}

static void hog_sleeper(void *arg)
{
    (void)arg;
    atomic_store(&hog.sleeper_p, my_p());
    gust_sleep(20 * GUST_MS);
    atomic_store(&hog.woke, true);
}

/* True if the sleeper's timer was in the heap of the P that was hogged. */
static bool hog_round(void)
{
    atomic_store(&hog.sleeper_p, -1);
    atomic_store(&hog.woke, false);
    go(hog_sleeper, NULL);
    AWAIT(atomic_load(&hog.sleeper_p) >= 0);
    bool same = atomic_load(&hog.sleeper_p) == my_p();
    gust_time end = gust_after(20 * GUST_SEC);
    while (same && !atomic_load(&hog.woke) && gust_now() < end)
        gust__cpu_relax();
    CHECK(!same || atomic_load(&hog.woke));
    AWAIT(atomic_load(&hog.woke));
    return same;
}

static int hog_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        if (hog_round())
            return 0;
    return 0;
}

Test(time, sleeper_of_a_hogged_p_is_woken_by_another)
{
    setenv("GUST_MAXPROCS", "2", 1);
    test_run(hog_main, NULL);
}

/* --- Timers ------------------------------------------------------------------ */

struct counter {
    _Atomic int count;
    _Atomic gust_time at; /* when it last ran */
    gust_timer *timer;
};

static void count_up(void *arg)
{
    struct counter *c = arg;
    atomic_store(&c->at, gust_now());
    atomic_fetch_add(&c->count, 1);
}

static gust_timer *timer_make(void (*fn)(void *arg), void *arg)
{
    gust_timer *t = NULL;
    CHECK_EQ(gust_timer_new(fn, arg, &t), 0);
    return t;
}

static void await_count(struct counter *c, int count)
{
    while (atomic_load(&c->count) < count)
        gust_sleep(100 * GUST_US);
}

static int timer_once_main(void *arg)
{
    struct counter c = {0};
    (void)arg;
    gust_timer *t = timer_make(count_up, &c);
    CHECK(!gust_timer_stop(t));
    gust_time when = gust_after(2 * GUST_MS);
    CHECK(!gust_timer_reset(t, when));
    await_count(&c, 1);
    CHECK(atomic_load(&c.at) >= when);
    CHECK(!gust_timer_stop(t));
    gust_sleep(2 * GUST_MS);
    CHECK_EQ(atomic_load(&c.count), 1);
    CHECK(!gust_timer_reset(t, GUST_NOW));
    await_count(&c, 2);
    gust_timer_free(t);
    return 0;
}

Test(time, timer_fires_once_for_each_arming)
{
    test_run(timer_once_main, NULL);
}

static int timer_stop_main(void *arg)
{
    struct counter never = {0}, later = {0};
    (void)arg;
    gust_timer *t = timer_make(count_up, &never), *u = timer_make(count_up, &later);
    gust_time when = gust_after(20 * GUST_MS);
    gust_timer_reset(t, when);
    gust_timer_reset(u, when + 5 * GUST_MS);
    bool stopped = gust_timer_stop(t);
    CHECK(stopped || gust_now() >= when); /* a machine that was asleep */
    CHECK(!gust_timer_stop(t));
    await_count(&later, 1);
    if (!stopped)
        await_count(&never, 1);
    CHECK_EQ(atomic_load(&never.count), stopped ? 0 : 1);
    gust_timer_reset(t, gust_after(GUST_SEC));
    gust_timer_free(t); /* armed */
    gust_timer_free(u); /* fired */
    gust_timer_free(timer_make(count_up, &never));
    gust_timer_free(NULL);
    return 0;
}

Test(time, stopped_timer_does_not_fire)
{
    test_run(timer_stop_main, NULL);
}

static int timer_reset_main(void *arg)
{
    struct counter c = {0};
    (void)arg;
    gust_timer *t = timer_make(count_up, &c);
    CHECK(!gust_timer_reset(t, gust_after(3600 * GUST_SEC)));
    CHECK(gust_timer_reset(t, gust_after(GUST_MS))); /* earlier */
    await_count(&c, 1);
    CHECK(!gust_timer_reset(t, gust_after(100 * GUST_MS)));
    gust_time when = gust_after(110 * GUST_MS);
    bool armed = gust_timer_reset(t, when); /* later */
    await_count(&c, armed ? 2 : 3);
    CHECK(!armed || atomic_load(&c.at) >= when);
    CHECK(!gust_timer_reset(t, GUST_FOREVER));
    CHECK(gust_timer_stop(t));
    gust_timer_free(t);
    return 0;
}

Test(time, reset_moves_a_timer_both_ways)
{
    test_run(timer_reset_main, NULL);
}

static void count_and_rearm(void *arg)
{
    struct counter *c = arg;
    if (atomic_fetch_add(&c->count, 1) < 9)
        gust_timer_reset(c->timer, gust_after(50 * GUST_US));
}

static int timer_periodic_main(void *arg)
{
    struct counter c = {0};
    (void)arg;
    c.timer = timer_make(count_and_rearm, &c);
    gust_timer_reset(c.timer, GUST_NOW);
    await_count(&c, 10);
    CHECK(!gust_timer_stop(c.timer));
    gust_timer_free(c.timer);
    return 0;
}

Test(time, timers_function_may_arm_it_again)
{
    test_run(timer_periodic_main, NULL);
}

#define STORM 10000

static struct {
    gust_timer *timers[STORM];
    _Atomic unsigned char fired[STORM];
    _Atomic int count;
} storm;

static void storm_fire(void *arg)
{
    CHECK_EQ(atomic_fetch_add((_Atomic unsigned char *)arg, 1), 0);
    atomic_fetch_add(&storm.count, 1);
}

static int storm_main(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    int stopped = 0;
    for (int i = 0; i < STORM; i++) {
        storm.timers[i] = timer_make(storm_fire, &storm.fired[i]);
        gust_timer_reset(storm.timers[i], gust_after((int64_t)(test_rand(&rand) % (20 * GUST_MS))));
    }
    for (int i = 0; i < STORM; i += 3)
        stopped += gust_timer_stop(storm.timers[i]);
    while (atomic_load(&storm.count) < STORM - stopped)
        gust_sleep(GUST_MS);
    for (int i = 0; i < STORM; i++)
        gust_timer_free(storm.timers[i]);
    CHECK_EQ(atomic_load(&storm.count), STORM - stopped);
    return 0;
}

Test(time, ten_thousand_timers_fire_once_each)
{
    uint64_t seed = test_seed();
    test_run(storm_main, &seed);
}

/* Timers reset and stopped by many goroutines at once: no crash, and what was
 * armed and not stopped fires. */
#define RESETTERS 8

static struct resets {
    gust_timer *timer;
    gust_waitgroup group;
    uint64_t seed;
    _Atomic int armed, stopped, fired;
} resets;

static void resets_fire(void *arg)
{
    (void)arg;
    atomic_fetch_add(&resets.fired, 1);
}

static void resetter(void *arg)
{
    uint64_t rand = resets.seed + (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 500; i++) {
        if (test_rand(&rand) % 3 == 0)
            atomic_fetch_add(&resets.stopped, gust_timer_stop(resets.timer));
        else if (!gust_timer_reset(resets.timer, gust_after((int64_t)(test_rand(&rand) % 50000))))
            atomic_fetch_add(&resets.armed, 1);
        if (test_rand(&rand) % 4 == 0)
            gust_yield();
    }
    gust_waitgroup_done(&resets.group);
}

static int resets_main(void *arg)
{
    (void)arg;
    resets.timer = timer_make(resets_fire, NULL);
    gust_waitgroup_add(&resets.group, RESETTERS);
    for (uintptr_t i = 0; i < RESETTERS; i++)
        go(resetter, (void *)i);
    CHECK_EQ(gust_waitgroup_wait(&resets.group, SOON), 0);
    while (atomic_load(&resets.fired) + atomic_load(&resets.stopped) < atomic_load(&resets.armed))
        gust_sleep(100 * GUST_US);
    CHECK(!gust_timer_stop(resets.timer));
    gust_timer_free(resets.timer);
    return 0;
}

Test(time, many_goroutines_may_reset_one_timer)
{
    resets.seed = test_seed();
    test_run(resets_main, NULL);
}

/* --- Tickers ----------------------------------------------------------------- */

static gust_ticker *ticker_make(int64_t period)
{
    gust_ticker *t = NULL;
    CHECK_EQ(gust_ticker_new(period, &t), 0);
    return t;
}

static gust_time tick(gust_ticker *t)
{
    gust_time at = 0;
    CHECK_EQ(gust_chan_recv(gust_ticker_chan(t), &at, SOON), 1);
    CHECK(at <= gust_now());
    return at;
}

static int ticker_main(void *arg)
{
    (void)arg;
    gust_time start = gust_now();
    gust_ticker *t = ticker_make(2 * GUST_MS);
    for (int i = 1; i <= 5; i++)
        CHECK(tick(t) >= start + i * 2 * GUST_MS);
    gust_ticker_free(t);
    gust_ticker_free(NULL);
    return 0;
}

Test(time, ticker_ticks_no_faster_than_its_period)
{
    test_run(ticker_main, NULL);
}

static int dropped_main(void *arg)
{
    gust_time at;
    (void)arg;
    gust_ticker *t = ticker_make(GUST_MS);
    gust_chan *c = gust_ticker_chan(t);
    CHECK_EQ(gust_chan_cap(c), 1);
    gust_time started = gust_now();
    AWAIT(gust_chan_len(c) == 1);
    gust_time first_seen = gust_now();
    gust_sleep(10 * GUST_MS);
    CHECK_EQ(gust_chan_len(c), 1);
    at = tick(t);
    CHECK(at >= started && at <= first_seen); /* the first one stayed, as in Go */
    CHECK(tick(t) > first_seen);
    gust_ticker_free(t);
    return 0;
}

Test(time, ticks_nobody_takes_are_dropped)
{
    test_run(dropped_main, NULL);
}

static int ticker_reset_main(void *arg)
{
    (void)arg;
    gust_ticker *t = ticker_make(3600 * GUST_SEC);
    CHECK_EQ(gust_ticker_reset(t, 0), -EINVAL);
    CHECK_EQ(gust_ticker_reset(t, -1), -EINVAL);
    gust_time start = gust_now();
    CHECK_EQ(gust_ticker_reset(t, 2 * GUST_MS), 0);
    CHECK(tick(t) >= start + 2 * GUST_MS);
    CHECK(tick(t) >= start + 4 * GUST_MS);
    CHECK_EQ(gust_ticker_reset(t, INT64_MAX), 0);
    (void)gust_chan_recv(gust_ticker_chan(t), NULL, GUST_NOW); /* one may be there */
    CHECK_EQ(gust_chan_recv(gust_ticker_chan(t), NULL, gust_after(10 * GUST_MS)), -ETIMEDOUT);
    gust_ticker_free(t);
    return 0;
}

Test(time, ticker_reset_changes_the_period)
{
    test_run(ticker_reset_main, NULL);
}

Test(time, ticker_period_must_be_positive)
{
    gust_ticker *t = NULL;
    cr_assert_eq(gust_ticker_new(0, &t), -EINVAL);
    cr_assert_eq(gust_ticker_new(-5, &t), -EINVAL);
    cr_assert_null(t);
}

/* A period of 1 ns: the callback nearly always runs when the ticker is freed. */
static int firing_main(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < 200; i++) {
        gust_ticker *t = ticker_make(1 + (int64_t)(test_rand(&rand) % 2000));
        for (uint64_t n = test_rand(&rand) % 4; n > 0; n--)
            tick(t);
        if (test_rand(&rand) % 2)
            gust_yield();
        if (test_rand(&rand) % 4 == 0)
            CHECK_EQ(gust_ticker_reset(t, 500), 0);
        gust_ticker_free(t);
    }
    return 0;
}

Test(time, ticker_may_be_freed_while_it_fires)
{
    uint64_t seed = test_seed();
    test_run(firing_main, &seed);
}

static int keep_chan_main(void *arg)
{
    (void)arg;
    gust_ticker *t = ticker_make(100 * GUST_US);
    gust_chan *c = gust_chan_ref(gust_ticker_chan(t));
    AWAIT(gust_chan_len(c) == 1);
    gust_ticker_free(t);
    CHECK_EQ(gust_chan_recv(c, NULL, GUST_NOW), 1);
    CHECK_EQ(gust_chan_recv(c, NULL, GUST_NOW), -EAGAIN); /* not closed */
    gust_chan_unref(c);
    return 0;
}

Test(time, tickers_channel_outlives_it_and_is_not_closed)
{
    test_run(keep_chan_main, NULL);
}
