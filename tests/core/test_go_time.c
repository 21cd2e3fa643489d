/* Sleep, timers and tickers against what Go's own tests of them check, where
 * test_time.c does not: each test names the Go test it answers to. */
#include <unistd.h>

#include "tests/core/waiters.h"

/* A timer that sends into a channel, as Go's time.NewTimer does. */
struct ringer {
    gust_timer *timer;
    gust_chan *chan;
};

static void ring(void *arg)
{
    CHECK_EQ(gust_chan_send(arg, NULL, SOON), 0);
}

static struct ringer ringer_make(void)
{
    struct ringer r = {NULL, chan_make(0, 1)};
    CHECK_EQ(gust_timer_new(ring, r.chan, &r.timer), 0);
    return r;
}

/* Nothing of it may be on its way. */
static void ringer_free(struct ringer *r)
{
    gust_timer_free(r->timer);
    gust_chan_unref(r->chan);
}

static void ringer_await(struct ringer *r)
{
    CHECK_EQ(gust_chan_recv(r->chan, NULL, SOON), 1);
}

/* --- Sleep --------------------------------------------------------------------------- */

static struct {
    _Atomic int handled;
    _Atomic bool slept;
} signals;

static void on_signal(int signo)
{
    (void)signo;
    signals.handled++;
}

static void send_signals(void *arg)
{
    (void)arg;
    while (!signals.slept) {
        kill(getpid(), SIGUSR1);
        gust_sleep(500 * GUST_US);
    }
}

static int signals_main(void *arg)
{
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    (void)arg;
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    go(send_signals, NULL);
    AWAIT(signals.handled > 0);
    for (int i = 0; i < 5; i++) {
        gust_time end = gust_after(5 * GUST_MS);
        gust_sleep_until(end);
        CHECK(gust_now() >= end);
    }
    signals.slept = true;
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

/* Go's TestSleep. */
Test(time, a_signal_does_not_cut_a_sleep_short)
{
    test_run(signals_main, NULL);
}

static void yield_and_tell(void *arg)
{
    for (int i = 0; i < 100; i++)
        gust_yield();
    CHECK_EQ(gust_chan_send(arg, NULL, SOON), 0);
}

static int zero_main(void *arg)
{
    gust_chan *done = chan_make(0, 0);
    (void)arg;
    go(yield_and_tell, done);
    for (int i = 0; i < 100; i++) {
        gust_chan *c = chan_make(sizeof(int), 1);
        gust_sleep(0);
        send_int(c, i);
        CHECK_EQ(recv_int(c), i);
        gust_chan_unref(c);
    }
    CHECK_EQ(gust_chan_recv(done, NULL, SOON), 1);
    gust_chan_unref(done);
    return 0;
}

/* Go's TestSleepZeroDeadlock. */
Test(time, a_sleep_of_nothing_leaves_the_goroutine_running)
{
    test_run(zero_main, NULL);
}

static void sleep_too_long(void *arg)
{
    gust_sleep(*(int64_t *)arg);
    CHECK(!"woke");
}

static void recv_too_long(void *arg)
{
    gust_chan_recv(arg, NULL, GUST_FOREVER - 1); /* from no channel */
    CHECK(!"woke");
}

static int overflow_main(void *arg)
{
    static int64_t longest[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2};
    struct ringer never = ringer_make(), soon = ringer_make();
    gust_case cases[2] = {recv_case(never.chan, NULL), recv_case(soon.chan, NULL)};
    (void)arg;
    for (int i = 0; i < 3; i++)
        go(sleep_too_long, &longest[i]);
    go(recv_too_long, NULL);
    CHECK(!gust_timer_reset(never.timer, gust_after(INT64_MAX)));
    CHECK(!gust_timer_reset(soon.timer, gust_after(2 * GUST_MS)));
    CHECK_EQ(gust_select(cases, 2, gust_after(INT64_MAX)), 1);
    gust_sleep(INT64_MIN);
    CHECK(!gust_timer_reset(soon.timer, gust_after(INT64_MIN)));
    CHECK_EQ(gust_select(cases, 2, SOON), 1);
    CHECK(gust_timer_stop(never.timer));
    AWAIT(gust_num_goroutines() == 5); /* the timer's may be about to end */
    ringer_free(&never);
    ringer_free(&soon);
    return 0;
}

/* Go's TestOverflowSleep. */
Test(time, a_wait_beyond_the_clocks_end_neither_ends_nor_holds_up_others)
{
    test_run(overflow_main, NULL);
}

/* --- Timers --------------------------------------------------------------------------- */

enum { LINKS = 10 };

static struct links {
    gust_timer *timers[LINKS];
    gust_chan *done, *stay;
    int made; /* by one link at a time */
} links;

static void link_make(void);

static void link_run(void *arg)
{
    (void)arg;
    if (links.made < LINKS)
        link_make();
    else
        CHECK_EQ(gust_chan_send(links.done, NULL, SOON), 0);
    CHECK_EQ(gust_chan_recv(links.stay, NULL, SOON), 0);
}

static void link_make(void)
{
    gust_timer **t = &links.timers[links.made++];
    CHECK_EQ(gust_timer_new(link_run, NULL, t), 0);
    CHECK(!gust_timer_reset(*t, GUST_NOW));
}

static int links_main(void *arg)
{
    (void)arg;
    links.done = chan_make(0, 0);
    links.stay = chan_make(0, 0);
    link_make();
    CHECK_EQ(gust_chan_recv(links.done, NULL, SOON), 1);
    CHECK_EQ(gust_num_goroutines(), 1 + LINKS);
    gust_chan_close(links.stay);
    AWAIT(gust_num_goroutines() == 1);
    for (int i = 0; i < LINKS; i++)
        gust_timer_free(links.timers[i]);
    gust_chan_unref(links.done);
    gust_chan_unref(links.stay);
    return 0;
}

/* Go's TestAfterFunc. */
Test(time, a_timers_function_may_arm_the_next_and_then_wait)
{
    test_run(links_main, NULL);
}

static const int slots[] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
enum { SLOTS = sizeof slots / sizeof *slots };

static struct {
    gust_time base;
    int64_t unit;
    _Atomic bool late; /* one fired when its successor was due: no order to be had */
    gust_chan *fired;
} series;

static void series_fire(void *arg)
{
    int slot = (int)(intptr_t)arg;
    gust_time due = series.base + slot * series.unit, now = gust_now();
    CHECK(now >= due);
    send_int(series.fired, slot);
    if (gust_now() >= due + series.unit)
        series.late = true;
}

/* False if the machine was too slow to tell. */
static bool series_is_in_order(int64_t unit)
{
    gust_timer *timers[SLOTS];
    int order[SLOTS];
    series.unit = unit;
    series.late = false;
    series.base = gust_after(unit);
    for (int i = 0; i < SLOTS; i++) {
        CHECK_EQ(gust_timer_new(series_fire, (void *)(intptr_t)slots[i], &timers[i]), 0);
        CHECK(!gust_timer_reset(timers[i], series.base + slots[i] * unit));
    }
    for (int i = 0; i < SLOTS; i++)
        order[i] = recv_int(series.fired);
    AWAIT(gust_num_goroutines() == 1);
    for (int i = 0; i < SLOTS; i++)
        gust_timer_free(timers[i]);
    for (int i = 1; !series.late && i < SLOTS; i++)
        CHECK(order[i - 1] <= order[i]);
    return !series.late;
}

static int series_main(void *arg)
{
    (void)arg;
    series.fired = chan_make(sizeof(int), SLOTS);
    for (int64_t unit = 2 * GUST_MS; !series_is_in_order(unit);)
        unit *= 2;
    gust_chan_unref(series.fired);
    return 0;
}

/* Go's TestAfterQueuing. */
Test(time, timers_fire_in_the_order_of_their_times_however_they_were_armed)
{
    test_run(series_main, NULL);
}

static int due_at_once_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        struct ringer r = ringer_make();
        CHECK(!gust_timer_reset(r.timer, i % 2 ? GUST_NOW : gust_now()));
        ringer_await(&r);
        ringer_free(&r);
    }
    return 0;
}

/* Go's TestZeroTimer. */
Test(time, a_timer_due_at_once_fires_though_nothing_else_happens)
{
    test_run(due_at_once_main, NULL);
}

static int earlier_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        struct ringer r = ringer_make();
        CHECK(!gust_timer_reset(r.timer, gust_after(3600 * GUST_SEC)));
        for (int k = 0; k < 10; k++) {
            if (!gust_timer_stop(r.timer))
                ringer_await(&r);
            CHECK(!gust_timer_reset(r.timer, 1));
        }
        ringer_await(&r);
        ringer_free(&r);
    }
    return 0;
}

/* Go's TestTimerModifiedEarlier. */
Test(time, a_timer_moved_into_the_past_again_and_again_still_fires)
{
    test_run(earlier_main, NULL);
}

/* Each timer goes through the same steps, and chance says whose turn it is. */
static bool adjust_step(struct ringer *r, int step)
{
    static const int minutes[] = {1, 3, 2};
    switch (step) {
    case 0:
    case 8: CHECK(!gust_timer_reset(r->timer, gust_now())); return true;
    case 1:
    case 9: ringer_await(r); return true;
    case 2:
    case 4:
    case 6:
        CHECK(!gust_timer_reset(r->timer, gust_after(minutes[step / 2 - 1] * 60 * GUST_SEC)));
        return true;
    case 3:
    case 5:
    case 7: CHECK(gust_timer_stop(r->timer)); return true;
    default: return false;
    }
}

static int adjust_main(void *arg)
{
    enum { COUNT = 100 };
    struct ringer ringers[COUNT];
    int steps[COUNT] = {0};
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < COUNT; i++)
        ringers[i] = ringer_make();
    for (int left = COUNT; left > 0;) {
        int i = (int)(test_rand(&rand) % (uint64_t)left);
        if (adjust_step(&ringers[i], steps[i]++))
            continue;
        ringer_free(&ringers[i]);
        left--;
        ringers[i] = ringers[left];
        steps[i] = steps[left];
    }
    return 0;
}

/* Go's TestAdjustTimers. */
Test(time, timers_moved_to_and_fro_in_one_heap_all_fire)
{
    uint64_t seed = test_seed();
    test_run(adjust_main, &seed);
}

/* --- Tickers -------------------------------------------------------------------------- */

static _Atomic bool ticked_enough;

static void sleep_shortly(void *arg)
{
    (void)arg;
    while (!ticked_enough)
        gust_sleep(1);
}

static int fastest_main(void *arg)
{
    gust_ticker *t = NULL;
    (void)arg;
    go(sleep_shortly, NULL);
    CHECK_EQ(gust_ticker_new(1, &t), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(gust_chan_recv(gust_ticker_chan(t), NULL, SOON), 1);
    gust_ticker_free(t);
    ticked_enough = true;
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

/* Go's TestAfterStress. */
Test(time, a_ticker_of_one_nanosecond_lets_others_run)
{
    test_run(fastest_main, NULL);
}

static int teardown_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        gust_ticker *t = NULL;
        CHECK_EQ(gust_ticker_new(500 * GUST_US, &t), 0);
        CHECK_EQ(gust_chan_recv(gust_ticker_chan(t), NULL, SOON), 1);
        gust_ticker_free(t);
    }
    return 0;
}

/* Go's TestTeardown. */
Test(time, a_ticker_may_be_freed_after_a_tick)
{
    test_run(teardown_main, NULL);
}
