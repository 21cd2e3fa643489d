/* Time in simulation: what sleepers, timers, tickers and deadlines do, on the
 * nanosecond. */
#include "core/inject.h"
#include "tests/core/sim.h"
#include "tests/core/waiters.h"

static const sim_options exact = {.seed = 7};

/* A test whose body is the main goroutine of an exact simulation. */
#define SimTest(suite, name)                \
    static void name##_body(void);          \
    static int name##_main(void *arg)       \
    {                                       \
        (void)arg;                          \
        name##_body();                      \
        return 0;                           \
    }                                       \
    Test(suite, name)                       \
    {                                       \
        sim_run(&exact, name##_main, NULL); \
    }                                       \
    static void name##_body(void)

/* --- Sleep ------------------------------------------------------------------ */

SimTest(sim_time, a_year_of_sleep_passes_at_once)
{
    gust_time begin = gust_now();
    for (int i = 0; i < 365; i++)
        gust_sleep(24 * 3600 * GUST_SEC);
    CHECK_EQ(gust_now(), begin + 365 * 24 * 3600 * GUST_SEC);
}

enum { SLEEPERS = 50 };

struct sleeper {
    gust_time when;
    gust_chan *woken;
};

static void sleeper_body(void *arg)
{
    struct sleeper *s = arg;
    gust_sleep_until(s->when);
    CHECK_EQ(gust_now(), s->when);
    CHECK_EQ(gust_chan_send(s->woken, &s->when, GUST_NOW), 0);
}

/* Many at the same time, some in the past. */
static int sleepers_main(void *arg)
{
    static struct sleeper all[SLEEPERS];
    gust_chan *woken = chan_make(sizeof(gust_time), SLEEPERS);
    gust_time last = 0, when;
    (void)arg;
    for (int i = 0; i < SLEEPERS; i++) {
        all[i] = (struct sleeper){gust_after((int64_t)sim_rand(50) * GUST_SEC), woken};
        go(sleeper_body, &all[i]);
    }
    for (int i = 0; i < SLEEPERS; i++) {
        CHECK_EQ(gust_chan_recv(woken, &when, GUST_FOREVER), 1);
        CHECK(when >= last);
        last = when;
    }
    gust_chan_unref(woken);
    return 0;
}

Test(sim_time, sleepers_wake_in_the_order_of_their_times)
{
    sim_seeds(exact, 100, sleepers_main, NULL);
}

/* --- Timers ------------------------------------------------------------------- */

static gust_time fired_at[4];
static int fired;

static void fire(void *arg)
{
    (void)arg;
    fired_at[fired++] = gust_now();
}

SimTest(sim_time, a_timer_fires_once_at_its_last_time)
{
    gust_timer *t;
    gust_time begin = gust_now();
    CHECK_EQ(gust_timer_new(fire, NULL, &t), 0);
    CHECK(!gust_timer_reset(t, begin + 10 * GUST_SEC));
    gust_sleep(9 * GUST_SEC);
    CHECK(gust_timer_reset(t, begin + 20 * GUST_SEC)); /* later */
    gust_sleep(5 * GUST_SEC);
    CHECK_EQ(fired, 0);
    CHECK(gust_timer_reset(t, begin + 15 * GUST_SEC)); /* earlier */
    gust_sleep(3600 * GUST_SEC);
    CHECK_EQ(fired, 1);
    CHECK_EQ(fired_at[0], begin + 15 * GUST_SEC);
    CHECK(!gust_timer_stop(t));
    CHECK(!gust_timer_reset(t, gust_after(GUST_SEC)));
    gust_sleep(GUST_SEC - 1);
    CHECK(gust_timer_stop(t)); /* at the last moment */
    gust_sleep(3600 * GUST_SEC);
    CHECK_EQ(fired, 1);
    gust_timer_free(t);
}

/* --- Tickers -------------------------------------------------------------------- */

static gust_time next_tick(gust_ticker *t)
{
    gust_time tick = 0;
    CHECK_EQ(gust_chan_recv(gust_ticker_chan(t), &tick, GUST_FOREVER), 1);
    return tick;
}

SimTest(sim_time, a_ticker_keeps_its_phase_and_drops_what_nobody_takes)
{
    gust_ticker *t;
    gust_time begin = gust_now();
    CHECK_EQ(gust_ticker_new(10 * GUST_SEC, &t), 0);
    for (int i = 1; i <= 100; i++) {
        CHECK_EQ(next_tick(t), begin + i * 10 * GUST_SEC);
        CHECK_EQ(gust_now(), begin + i * 10 * GUST_SEC);
    }
    gust_sleep(35 * GUST_SEC); /* three ticks, of which the first stays */
    CHECK_EQ(next_tick(t), begin + 1010 * GUST_SEC);
    CHECK_EQ(gust_now(), begin + 1035 * GUST_SEC);
    CHECK_EQ(next_tick(t), begin + 1040 * GUST_SEC);
    CHECK_EQ(gust_now(), begin + 1040 * GUST_SEC);
    gust_sleep(GUST_SEC);
    CHECK_EQ(gust_ticker_reset(t, 7), 0);
    CHECK_EQ(next_tick(t), begin + 1041 * GUST_SEC + 7);
    gust_ticker_free(t);
    gust_sleep(3600 * GUST_SEC);
}

/* --- Deadlines of channels, locks and selects ---------------------------------------- */

static gust_chan *send_to;
static gust_time send_when;

static void send_later(void *arg)
{
    gust_sleep_until(send_when);
    (void)gust_chan_send(send_to, arg, GUST_NOW);
}

/* A send `early_ns` before the deadline of a select of three. */
static void race_select(gust_chan **chans, int64_t early_ns, int expected)
{
    int value = 5, got = 0;
    gust_time deadline = gust_after(60 * GUST_SEC);
    gust_case cases[] = {recv_case(chans[0], &got), recv_case(chans[1], &got),
                         recv_case(chans[2], &got)};
    send_to = chans[1];
    send_when = deadline - early_ns;
    go(send_later, &value);
    CHECK_EQ(gust_select(cases, 3, deadline), expected);
    CHECK_EQ(gust_now(), expected == 1 ? send_when : deadline);
    CHECK_EQ(got, expected == 1 ? 5 : 0);
    gust_sleep(2); /* the other one sees that nobody waits any more */
}

SimTest(sim_time, a_select_ends_at_its_deadline_and_not_before)
{
    gust_chan *chans[3];
    for (int i = 0; i < 3; i++)
        chans[i] = chan_make(sizeof(int), 0);
    race_select(chans, 1, 1);
    race_select(chans, -1, -ETIMEDOUT);
    race_select(chans, 59 * GUST_SEC, 1);
    CHECK_EQ(gust_select(NULL, 0, gust_after(GUST_SEC)), -ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        gust_chan_unref(chans[i]);
}

/* At the same nanosecond either may win, but not both. */
static int tie_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    int value = 5, got = 0;
    gust_time deadline = gust_after(1 + (int64_t)sim_rand(1000));
    (void)arg;
    send_to = c;
    send_when = deadline;
    go(send_later, &value);
    if (sim_rand(2))
        gust_yield(); /* now its timer is the older one */
    int n = gust_chan_recv(c, &got, deadline);
    CHECK(n == 1 ? got == 5 : n == -ETIMEDOUT && got == 0);
    CHECK_EQ(gust_now(), deadline);
    gust_sleep(1);
    gust_chan_unref(c);
    return 0;
}

Test(sim_time, a_send_at_the_deadline_is_received_or_not)
{
    sim_seeds(exact, 100, tie_main, NULL);
}

SimTest(sim_time, locks_and_groups_wait_until_their_deadline)
{
    gust_mutex mutex = {0};
    gust_waitgroup group = {0};
    gust_time begin = gust_now();
    gust_mutex_lock(&mutex);
    gust_waitgroup_add(&group, 1);
    CHECK_EQ(gust_mutex_lock_until(&mutex, begin + GUST_SEC), -ETIMEDOUT);
    CHECK_EQ(gust_now(), begin + GUST_SEC);
    CHECK_EQ(gust_waitgroup_wait(&group, begin + 3 * GUST_SEC), -ETIMEDOUT);
    CHECK_EQ(gust_now(), begin + 3 * GUST_SEC);
    gust_waitgroup_done(&group);
    gust_mutex_unlock(&mutex);
}

/* --- Without a stack (core/starve.c) ---------------------------------------------------- */

#ifdef GUST_DEBUG

enum { STARVED = 100, BLOCK_MS = 1000 };

static int started;

static void start_and_wait(void *chan)
{
    started++;
    gust_chan_recv(chan, NULL, GUST_FOREVER);
}

/* In between all the others want a stack. */
static void start_and_yield(void *arg)
{
    (void)arg;
    started++;
    gust_yield();
}

static void quiet(const char *line)
{
    (void)line;
}

/* Asked for every 2 ms, however many wait; and once there is memory, it is for all. */
SimTest(sim_time, goroutines_without_a_stack_try_one_by_one_and_then_start_together)
{
    const gust_go_options own_mapping = {.stack_size = 64 << 10};
    gust_chan *end = chan_make(0, 0);
    gust_set_log(quiet);
    gust__inject_arm(INJECT_MMAP, 1, INJECT_FOR_EVER);
    for (int i = 0; i < STARVED; i++)
        CHECK_EQ(gust_go_with(&own_mapping, start_and_wait, end), 0);
    gust_sleep(BLOCK_MS * GUST_MS);
    int64_t tries = (int64_t)gust__inject_disarm();
    CHECK(tries >= STARVED + BLOCK_MS / 2 - 2 && tries <= STARVED + BLOCK_MS / 2 + 2);
    CHECK_EQ(started, 0);
    gust_sleep(2 * GUST_MS);
    CHECK_EQ(started, STARVED);
    gust_chan_close(end);
    gust_sleep(1);
    gust_chan_unref(end);
}

/* No memory from the kernel, but one stack that all use one after the other.  They
 * are so large that each is a mapping of the arena's. */
static int one_stack_main(void *arg)
{
    (void)arg;
    gust_set_log(quiet);
    CHECK_EQ(gust_go(start_and_yield, NULL), 0);
    gust_sleep(1);
    CHECK_EQ(started, 1);
    gust__inject_arm(INJECT_MMAP, 1, INJECT_FOR_EVER);
    for (int i = 0; i < STARVED; i++)
        CHECK_EQ(gust_go(start_and_yield, NULL), 0);
    gust_sleep(1); /* before the first retry */
    CHECK(gust__inject_disarm() > 0);
    CHECK_EQ(started, 1 + STARVED);
    return 0;
}

Test(sim_time, the_stack_of_one_that_ends_is_for_one_that_waits)
{
    setenv("GUST_STACK_SIZE", "268435456", 1);
    sim_run(&exact, one_stack_main, NULL);
}

#endif
