/* Percentiles of what was counted. */
#include "tests/harness/test.h"

#include "proxy/histogram.h"

#define START (1000 * GUST_SEC)

static struct histogram h; /* too large for a small stack */

static int64_t percentile(gust_time now, unsigned per_mille)
{
    struct histogram_counts counts;

    gust__histogram_read(&h, now, &counts);
    return gust__histogram_percentile(&counts, per_mille);
}

Test(histogram, nothing_has_no_percentile)
{
    cr_assert_eq(percentile(START, 500), 0);
    cr_assert_eq(percentile(START, 0), 0);
    cr_assert_eq(percentile(START, 1000), 0);
}

Test(histogram, a_value_is_known_to_an_eighth)
{
    for (int64_t us = 1; us < (int64_t)HISTOGRAM_MAX_US; us = us * 3 + 1) {
        h = (struct histogram){0};
        gust__histogram_add(&h, us * 1000, START);
        int64_t got = percentile(START, 500);
        cr_assert(got >= us * 1000 && got <= us * 1000 + us * 1000 / 8, "%lld us: %lld ns",
                  (long long)us, (long long)got);
    }
}

Test(histogram, the_ends_of_the_range_are_kept)
{
    gust__histogram_add(&h, -5, START);
    cr_assert_eq(percentile(START, 1000), 0);
    gust__histogram_add(&h, (int64_t)HISTOGRAM_MAX_US * 1000, START);
    cr_assert_eq(percentile(START, 1000), (int64_t)HISTOGRAM_MAX_US * 1000);
    gust__histogram_add(&h, INT64_MAX, START);
    cr_assert_eq(percentile(START, 1000), (int64_t)HISTOGRAM_MAX_US * 1000);
}

Test(histogram, percentiles_cut_the_values_where_they_should)
{
    for (int i = 0; i < 90; i++)
        gust__histogram_add(&h, 2000, START);
    for (int i = 0; i < 10; i++)
        gust__histogram_add(&h, 7000, START);
    cr_assert_eq(percentile(START, 1), 2000);
    cr_assert_eq(percentile(START, 900), 2000);
    cr_assert_eq(percentile(START, 901), 7000);
    cr_assert_eq(percentile(START, 1000), 7000);
}

Test(histogram, a_window_is_kept_for_one_more)
{
    gust__histogram_add(&h, 1000, START);
    gust__histogram_add(&h, 3000, START + HISTOGRAM_WINDOW_NS);
    cr_assert_eq(percentile(START + HISTOGRAM_WINDOW_NS, 1), 1000);
    cr_assert_eq(percentile(START + 2 * HISTOGRAM_WINDOW_NS, 1), 3000);
    cr_assert_eq(percentile(START + 3 * HISTOGRAM_WINDOW_NS, 1), 0);
}

Test(histogram, a_long_silence_leaves_nothing)
{
    gust__histogram_add(&h, 1000, START);
    gust__histogram_add(&h, 3000, START + HISTOGRAM_WINDOW_NS);
    cr_assert_eq(percentile(START + 5 * HISTOGRAM_WINDOW_NS, 1), 0);
}
