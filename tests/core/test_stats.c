/* Public statistics: counters, and how long what is runnable waits. */
#include <gust/debug.h>
#include <pthread.h>

#include "core/proc.h"
#include "tests/core/procs.h"
#include "tests/core/waiters.h"

static uint64_t samples(const gust_stats *stats)
{
    uint64_t n = 0;
    for (int i = 0; i < GUST_RUN_DELAY_BUCKETS; i++)
        n += stats->run_delay[i];
    return n;
}

static void nothing(void *arg)
{
    gust_waitgroup_done(arg);
}

static int counters_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    gust_stats stats;
    (void)arg;
    gust_waitgroup_add(&group, 100);
    for (int i = 0; i < 100; i++)
        go(nothing, &group);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    /* Not each time: the M may be kept off its CPU until the sleep is over. */
    do {
        gust_sleep(GUST_MS);
        gust_stats_read(&stats);
    } while (stats.sleeps == 0);
    CHECK_EQ(stats.spawns, 101);
    CHECK(stats.threads >= 1);
    CHECK_EQ(stats.handoffs, stats.retakes + stats.demotions);
    return 0;
}

Test(stats, counters_say_what_happened)
{
    gust_stats stats = {.spawns = 1};
    gust_stats_read(&stats);
    cr_assert_eq(stats.spawns, 0);
    test_run(counters_main, NULL);
    gust_stats_read(&stats);
    cr_assert_eq(stats.spawns, 0);
}

/* --- Run delays ---------------------------------------------------------------- */

enum { ROUNDS = 6400 };

static void echo(void *arg)
{
    gust_chan *c = arg;
    for (int i = 0; i < ROUNDS; i++)
        (void)recv_int(c);
}

static int sampled_main(void *arg)
{
    gust_stats stats;
    gust_chan *c = chan_make(sizeof(int), 0);
    (void)arg;
    go(echo, c);
    for (int i = 0; i < ROUNDS; i++)
        send_int(c, i);
    gust_stats_read(&stats);
    /* Every round wakes one of the two, more or less. */
    CHECK(samples(&stats) >= ROUNDS / 2 / 64);
    CHECK(samples(&stats) <= 2 * ROUNDS / 64 + 1);
    gust_chan_unref(c);
    return 0;
}

Test(stats, every_64th_wake_is_timed, .init = one_p)
{
    test_run(sampled_main, NULL);
}

static void wait_for_close(void *arg)
{
    CHECK_EQ(gust_chan_recv(arg, NULL, SOON), 0);
}

/* Makes many runnable at once and keeps the only P for a while: all that were
 * timed waited at least that long. */
static int delayed_main(void *arg)
{
    gust_stats stats;
    gust_chan *c = chan_make(1, 0);
    (void)arg;
    for (int i = 0; i < 128; i++)
        go(wait_for_close, c);
    AWAIT(receivers_waiting(c) == 128);
    gust_chan_close(c);
    GUST__CALL(); /* nobody takes the P from a call */
    for (gust_time end = gust_after(3 * GUST_MS); gust_now() < end;)
        gust__cpu_relax();
    AWAIT(gust_num_goroutines() == 1);
    gust_stats_read(&stats);
    CHECK(samples(&stats) >= 2);
    CHECK(gust_stats_run_delay_quantile(&stats, 1) >= 3 * GUST_MS);
    gust_chan_unref(c);
    return 0;
}

Test(stats, delay_is_the_time_from_ready_to_run, .init = one_p)
{
    test_run(delayed_main, NULL);
}

Test(stats, quantiles_are_ends_of_buckets)
{
    gust_stats stats = {0};
    cr_assert_eq(gust_stats_run_delay_quantile(&stats, 0.5), 0);
    stats.run_delay[0] = 50;
    stats.run_delay[10] = 49;
    stats.run_delay[GUST_RUN_DELAY_BUCKETS - 1] = 1;
    cr_assert_eq(gust_stats_run_delay_quantile(&stats, 0), 2);
    cr_assert_eq(gust_stats_run_delay_quantile(&stats, 0.5), 2);
    cr_assert_eq(gust_stats_run_delay_quantile(&stats, 0.51), 2048);
    cr_assert_eq(gust_stats_run_delay_quantile(&stats, 0.99), 2048);
    cr_assert_eq(gust_stats_run_delay_quantile(&stats, 1), INT64_C(1) << GUST_RUN_DELAY_BUCKETS);
}

static int buckets_main(void *arg)
{
    P *p = gust__m()->p;
    G g = {.id = 1};
    (void)arg;
    GUST__CALL();
    gust_stats before, after;
    gust_stats_read(&before);
    g.ready_at = gust_now() - 1500 * GUST_MS; /* 2^30 is 1074 ms */
    gust__run_delay_record(p, &g);
    CHECK_EQ(g.ready_at, 0);
    g.ready_at = gust_now() - 10000 * GUST_SEC;
    gust__run_delay_record(p, &g);
    g.ready_at = gust_now() + GUST_SEC;
    gust__run_delay_record(p, &g);
    gust_stats_read(&after);
    CHECK_EQ(after.run_delay[30] - before.run_delay[30], 1);
    CHECK_EQ(after.run_delay[GUST_RUN_DELAY_BUCKETS - 1], 1);
    CHECK_EQ(after.run_delay[0] - before.run_delay[0], 1);
    return 0;
}

Test(stats, delays_go_to_the_bucket_of_their_logarithm, .init = one_p)
{
    test_run(buckets_main, NULL);
}
