/* What was counted, and its percentiles. */
#include "bench/load/histogram.h"
#include "tests/harness/test.h"

#include <gust/sync.h>

static struct histogram h; /* too large for a small stack */
static struct counts c;

static int64_t percentile(double percent)
{
    memset(&c, 0, sizeof c);
    counts_add(&c, &h);
    return counts_percentile(&c, percent);
}

Test(load_histogram, nothing_has_no_percentile)
{
    cr_assert_eq(percentile(0), 0);
    cr_assert_eq(percentile(50), 0);
    cr_assert_eq(percentile(100), 0);
    cr_assert_eq(counts_mean(&c), 0);
}

Test(load_histogram, a_value_is_known_to_a_hundredth)
{
    for (int64_t ns = 1; ns < HISTOGRAM_MAX_NS / 4; ns = ns * 3 + 1) {
        memset(&h, 0, sizeof h);
        histogram_add(&h, ns);
        histogram_add(&h, ns * 3);
        int64_t got = percentile(50);
        cr_assert(got >= ns && got - ns <= ns / 100, "%lld: %lld", (long long)ns, (long long)got);
        cr_assert_eq(c.max_ns, ns * 3);
        int64_t mean = counts_mean(&c);
        cr_assert(mean >= ns * 2 - ns / 50 - 1 && mean <= ns * 2 + ns / 50 + 1);
    }
}

Test(load_histogram, the_ends_of_the_range_are_kept)
{
    histogram_add(&h, -1);
    cr_assert_eq(percentile(100), 0);
    cr_assert_eq(c.total, 1);
    histogram_add(&h, HISTOGRAM_MAX_NS);
    cr_assert_eq(percentile(100), HISTOGRAM_MAX_NS);
    histogram_add(&h, HISTOGRAM_MAX_NS + 1);
    histogram_add(&h, INT64_MAX);
    cr_assert_eq(percentile(100), HISTOGRAM_MAX_NS);
    cr_assert_eq(c.total, 4);
}

Test(load_histogram, percentiles_cut_the_values_where_they_should)
{
    for (int i = 0; i < 9990; i++)
        histogram_add(&h, 100);
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 127);
    cr_assert_eq(percentile(0), 100);
    cr_assert_eq(percentile(99.9), 100);
    cr_assert_eq(percentile(99.91), 127);
    cr_assert_eq(percentile(100), 127);
    cr_assert_eq(counts_up_to(&c, 99), 0);
    cr_assert_eq(counts_up_to(&c, 100), 9990);
    cr_assert_eq(counts_up_to(&c, 127), 10000);
}

Test(load_histogram, what_came_since_then_is_told_apart)
{
    static struct counts before, since;
    histogram_add(&h, 5000000);
    counts_add(&before, &h);
    histogram_add(&h, 100);
    histogram_add(&h, 100);
    counts_add(&c, &h);
    counts_since(&c, &before, &since);
    cr_assert_eq(since.total, 2);
    cr_assert_eq(since.max_ns, 100);
    cr_assert_eq(counts_percentile(&since, 50), 100);
}

Test(load_histogram, several_are_summed_up)
{
    static struct histogram other;
    histogram_add(&h, 10);
    histogram_add(&other, 90);
    counts_add(&c, &h);
    counts_add(&c, &other);
    cr_assert_eq(c.total, 2);
    cr_assert_eq(c.max_ns, 90);
    cr_assert_eq(counts_percentile(&c, 50), 10);
}

#define GOROUTINES 8
#define VALUES 10000

static void count_many(void *wg)
{
    for (int i = 0; i < VALUES; i++)
        histogram_add(&h, i);
    gust_waitgroup_done(wg);
}

static int count_together(void *arg)
{
    gust_waitgroup wg = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&wg, GOROUTINES);
    for (int i = 0; i < GOROUTINES; i++)
        CHECK_EQ(gust_go(count_many, &wg), 0);
    CHECK_EQ(gust_waitgroup_wait(&wg, GUST_FOREVER), 0);
    CHECK_EQ(percentile(100), VALUES - 1);
    CHECK_EQ(c.total, GOROUTINES * VALUES);
    return 0;
}

Test(load_histogram, many_count_at_once_and_nothing_is_lost)
{
    test_run_without_leaks(count_together, NULL);
}
