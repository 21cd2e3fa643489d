/* When requests fall due. */
#include "bench/load/arrivals.h"
#include "tests/harness/test.h"

#include <math.h>
#include <stdlib.h>

#define BEGIN (1000 * GUST_SEC)
#define MANY 100000

static struct arrivals a;

Test(load_arrivals, constant_ones_are_evenly_spaced_from_the_begin_on)
{
    arrivals_init(&a, 1000, false, 1, BEGIN);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(arrivals_due(&a), BEGIN + i * GUST_MS);
        cr_assert_eq(arrivals_take(&a), BEGIN + i * GUST_MS);
    }
}

/* 3 divides no power of ten: rounded to nanoseconds each gap would be short by a third of one. */
Test(load_arrivals, fractions_of_a_nanosecond_add_up)
{
    arrivals_init(&a, 3e6, false, 1, BEGIN);
    for (int i = 0; i < 3000000; i++)
        arrivals_take(&a);
    cr_assert(llabs(arrivals_due(&a) - BEGIN - GUST_SEC) <= 100);
}

/* The mean of n exponential gaps has a deviation of 1 / sqrt(n); the share of gaps longer than
 * the mean is 1 / e. */
Test(load_arrivals, poisson_gaps_are_exponential)
{
    gust_time last = BEGIN;
    int longer = 0;
    arrivals_init(&a, 1000, true, 7, BEGIN);
    for (int i = 0; i < MANY; i++) {
        gust_time due = arrivals_take(&a);
        cr_assert(due >= last);
        longer += due - last > GUST_MS;
        last = due;
    }
    double mean_ms = (double)(last - BEGIN) / MANY / (double)GUST_MS;
    cr_assert(fabs(mean_ms - 1) < 0.02, "%f", mean_ms);
    cr_assert(fabs((double)longer / MANY - exp(-1)) < 0.01, "%d", longer);
}

Test(load_arrivals, the_seed_decides)
{
    struct arrivals same, other;
    arrivals_init(&a, 1000, true, 1, BEGIN);
    arrivals_init(&same, 1000, true, 1, BEGIN);
    arrivals_init(&other, 1000, true, 2, BEGIN);
    int differ = 0;
    for (int i = 0; i < 100; i++) {
        gust_time due = arrivals_take(&a);
        cr_assert_eq(due, arrivals_take(&same));
        differ += due != arrivals_take(&other);
    }
    cr_assert(differ > 95);
}

Test(load_arrivals, those_to_come_are_counted)
{
    arrivals_init(&a, 1000, false, 1, BEGIN);
    cr_assert_eq(arrivals_before(&a, BEGIN - 1), 0);
    cr_assert_eq(arrivals_before(&a, BEGIN), 0);
    cr_assert_eq(arrivals_before(&a, BEGIN + 1), 1);
    cr_assert_eq(arrivals_before(&a, BEGIN + 10 * GUST_MS), 10);
    arrivals_take(&a);
    cr_assert_eq(arrivals_before(&a, BEGIN + 10 * GUST_MS), 9);
}
