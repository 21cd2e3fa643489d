/* When requests begin, and which count.  Where nothing is to sleep the times lie in the past. */
#include "bench/load/pace.h"
#include "tests/harness/test.h"

#include <stdlib.h>

#define BEGIN (1 * GUST_SEC) /* of the runs; long ago, on any machine */
#define BATCH 4

static struct plan plan;
static struct pace pace;
static struct tally *tally;
static gust_time starts[BATCH];

static void begin(double rate, struct plan p)
{
    plan = p;
    if (plan.pipeline == 0)
        plan.pipeline = 1;
    plan.constant = true;
    tally = aligned_alloc(_Alignof(struct tally), sizeof *tally);
    memset(tally, 0, sizeof *tally);
    pace_init(&pace, &plan, rate);
    pace_start(&pace, BEGIN);
}

static unsigned next_at(gust_time now)
{
    return pace_next(&pace, &now, starts, tally);
}

static uint64_t waited(void)
{
    return atomic_load(&tally->waited);
}

static uint64_t unsent(void)
{
    return atomic_load(&tally->outcomes[OUTCOME_UNSENT]);
}

/* --- Closed loop ----------------------------------------------------------------------------- */

static int closed_loop(void *arg)
{
    (void)arg;
    begin(0, (struct plan){.pipeline = BATCH, .duration_ns = GUST_SEC});
    CHECK_EQ(next_at(BEGIN), BATCH);
    CHECK_EQ(starts[0], BEGIN);
    CHECK_EQ(starts[BATCH - 1], BEGIN);
    CHECK_EQ(next_at(BEGIN + GUST_SEC - 1), BATCH);
    CHECK_EQ(next_at(BEGIN + GUST_SEC), 0);
    free(tally);
    return 0;
}

Test(load_pace, a_closed_loop_begins_when_it_is_asked_until_the_end)
{
    test_run(closed_loop, NULL);
}

static int closed_with_maximum(void *arg)
{
    (void)arg;
    begin(0, (struct plan){.pipeline = BATCH, .requests = 10, .warm_up_ns = GUST_SEC});
    CHECK_EQ(next_at(BEGIN), BATCH);
    CHECK(!pace_counts(&pace, starts[0]));
    CHECK_EQ(next_at(BEGIN + GUST_SEC), BATCH);
    CHECK(pace_counts(&pace, starts[0]));
    CHECK_EQ(next_at(BEGIN + GUST_SEC), BATCH);
    CHECK_EQ(next_at(BEGIN + GUST_SEC), 2);
    CHECK_EQ(next_at(BEGIN + GUST_SEC), 0);
    CHECK_EQ(next_at(BEGIN + GUST_SEC), 0);
    free(tally);
    return 0;
}

Test(load_pace, a_maximum_is_of_those_that_count)
{
    test_run(closed_with_maximum, NULL);
}

/* --- Open loop ------------------------------------------------------------------------------- */

static int open_behind(void *arg)
{
    (void)arg;
    begin(1000, (struct plan){.pipeline = BATCH, .duration_ns = GUST_SEC});
    gust_time now = BEGIN + 5 * GUST_MS; /* six are due */
    CHECK_EQ(next_at(now), BATCH);
    for (int i = 0; i < BATCH; i++)
        CHECK_EQ(starts[i], BEGIN + i * GUST_MS);
    CHECK_EQ(next_at(now), 2);
    CHECK_EQ(starts[1], now);
    CHECK_EQ(waited(), 6);
    free(tally);
    return 0;
}

Test(load_pace, an_open_loop_that_is_behind_goes_on_with_the_oldest)
{
    test_run(open_behind, NULL);
}

static int open_ahead(void *arg)
{
    (void)arg;
    begin(1000, (struct plan){.pipeline = BATCH, .duration_ns = GUST_SEC});
    gust_time now = BEGIN;
    CHECK_EQ(pace_next(&pace, &now, starts, tally), 1);
    /* It is due now; the next one lies ahead, in the past of the real clock. */
    CHECK_EQ(pace_next(&pace, &now, starts, tally), 1);
    CHECK_EQ(starts[0], BEGIN + GUST_MS);
    CHECK(now > starts[0]);
    CHECK_EQ(atomic_load(&tally->waited), 1);
    static struct counts late;
    counts_add(&late, &tally->late);
    CHECK_EQ(late.total, 1);
    free(tally);
    return 0;
}

Test(load_pace, an_open_loop_that_is_ahead_sleeps_until_the_next_one)
{
    test_run(open_ahead, NULL);
}

static int open_ends(void *arg)
{
    (void)arg;
    begin(10, (struct plan){.duration_ns = GUST_SEC});
    gust_time grace = BEGIN + GUST_SEC + PACE_GRACE_NS;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(next_at(grace - 1), 1);
    CHECK_EQ(next_at(grace), 0);
    CHECK_EQ(unsent(), 7);
    CHECK_EQ(next_at(grace), 0);
    CHECK_EQ(unsent(), 7);
    free(tally);
    return 0;
}

Test(load_pace, what_is_left_after_the_grace_is_unsent_once)
{
    test_run(open_ends, NULL);
}

static int open_in_time(void *arg)
{
    (void)arg;
    begin(10, (struct plan){.duration_ns = GUST_SEC, .warm_up_ns = GUST_SEC});
    unsigned counted = 0, all = 0;
    while (next_at(BEGIN + 3 * GUST_SEC - 1) > 0) {
        all++;
        counted += pace_counts(&pace, starts[0]);
    }
    CHECK_EQ(all, 20);
    CHECK_EQ(counted, 10);
    CHECK_EQ(waited(), 10);
    CHECK_EQ(unsent(), 0);
    free(tally);
    return 0;
}

Test(load_pace, requests_belong_to_the_time_in_which_they_fell_due)
{
    test_run(open_in_time, NULL);
}

static int open_with_maximum(void *arg)
{
    (void)arg;
    begin(1000, (struct plan){.pipeline = BATCH, .requests = 5, .warm_up_ns = 2 * GUST_MS});
    gust_time now = BEGIN + GUST_SEC;
    CHECK_EQ(next_at(now), BATCH); /* two of the warm-up and two that count */
    CHECK_EQ(next_at(now), 3);
    CHECK_EQ(next_at(now), 0);
    CHECK_EQ(unsent(), 0);
    free(tally);
    return 0;
}

Test(load_pace, an_open_loop_ends_with_its_maximum)
{
    test_run(open_with_maximum, NULL);
}
