/* The rates that a search tries. */
#include "bench/load/sweep.h"
#include "tests/harness/test.h"

static struct step steps[SWEEP_STEPS_MAX];

/* Searches a server that keeps up with rates up to `limit`; returns how many steps it took. */
static size_t search(double first, double limit)
{
    size_t count = 0;
    double rate;
    while ((rate = sweep_next_rate(steps, count, first)) > 0) {
        cr_assert(count < SWEEP_STEPS_MAX);
        steps[count++] = (struct step){.rate = rate, .is_kept_up = rate <= limit};
    }
    return count;
}

static double found(size_t count)
{
    return report_saturation(&(struct report){.steps = steps, .step_count = count});
}

Test(load_sweep, the_limit_is_found_within_a_twentieth)
{
    for (double limit = 100; limit < 1e6; limit *= 1.7) {
        double rate = found(search(100, limit));
        cr_expect(rate <= limit && limit <= rate * 1.05, "%f: %f", limit, rate);
    }
}

Test(load_sweep, a_first_step_that_is_too_much_is_the_only_one)
{
    cr_assert_eq(search(100, 99), 1);
    cr_assert_eq(found(1), 0);
}

Test(load_sweep, no_rate_is_beyond_the_highest)
{
    size_t count = search(1, 1e12);
    cr_assert(found(count) <= RATE_MAX && found(count) > RATE_MAX / 2);
}
