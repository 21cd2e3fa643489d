/* Ejection by failed requests, and checks. */
#include "tests/harness/test.h"

#include "proxy/health.h"

#define START (1000 * GUST_SEC)

static const struct health_limits limits = {
    .failures_max = 3,
    .ejection_ns = 10 * GUST_SEC,
    .ejection_max_ns = 35 * GUST_SEC,
    .rise = 2,
    .fall = 3,
};

/* As the proxy does; true if it was ejected. */
static bool fail(struct health *h, gust_time now)
{
    if (!gust__health_failure(h, &limits))
        return false;
    gust__health_eject(h, &limits, now);
    return true;
}

static bool fails(struct health *h, int times, gust_time now)
{
    bool ejected = false;

    for (int i = 0; i < times; i++)
        ejected = fail(h, now);
    return ejected;
}

static gust_time until(struct health *h)
{
    return atomic_load(&h->ejected_until);
}

Test(health, failures_in_a_row_eject)
{
    struct health h = {0};

    cr_assert(!fails(&h, 2, START));
    gust__health_success(&h);
    cr_assert(!fails(&h, 2, START));
    cr_assert(fail(&h, START));
    cr_assert(gust__health_is_ejected(&h, START));
    cr_assert(!gust__health_returns(&h, &limits, START + 10 * GUST_SEC - 1));
    cr_assert(gust__health_returns(&h, &limits, START + 10 * GUST_SEC));
    cr_assert_eq(until(&h), 0);
}

Test(health, one_failure_on_trial_ejects_for_longer)
{
    struct health h = {0};
    gust_time now = START;
    const int64_t seconds[] = {10, 20, 35, 35};

    fails(&h, 2, now);
    for (int i = 0; i < 4; i++) {
        cr_assert(fail(&h, now));
        cr_assert_eq(until(&h) - now, seconds[i] * GUST_SEC, "turn %d", i);
        now = until(&h);
        cr_assert(gust__health_returns(&h, &limits, now));
    }
}

Test(health, a_success_ends_the_trial)
{
    struct health h = {0};

    fails(&h, 3, START);
    cr_assert(gust__health_returns(&h, &limits, START + 10 * GUST_SEC));
    gust__health_success(&h);
    cr_assert(!fails(&h, 2, START + 11 * GUST_SEC));
}

Test(health, good_times_are_remembered)
{
    struct health h = {0};

    fails(&h, 3, START);
    gust_time now = until(&h);
    gust__health_returns(&h, &limits, now);
    fail(&h, now); /* for 20 s */
    now = until(&h);
    gust__health_returns(&h, &limits, now);
    now += 20 * GUST_SEC; /* both are forgiven */
    cr_assert(fail(&h, now));
    cr_assert_eq(until(&h) - now, 10 * GUST_SEC);
}

Test(health, an_ejected_one_is_not_ejected_again)
{
    struct health h = {0};

    fails(&h, 3, START);
    fails(&h, 3, START + GUST_SEC);
    cr_assert_eq(until(&h), START + 10 * GUST_SEC);
}

Test(health, requests_need_not_eject)
{
    const struct health_limits none = {.failures_max = 0};
    struct health h = {0};

    for (int i = 0; i < 100; i++)
        cr_assert(!gust__health_failure(&h, &none));
}

Test(health, checks_fall_and_rise_after_their_number)
{
    struct health h = {0};

    cr_assert(!gust__health_checked(&h, &limits, false));
    cr_assert(!gust__health_checked(&h, &limits, false));
    cr_assert(!gust__health_checked(&h, &limits, true)); /* in a row */
    cr_assert(!gust__health_checked(&h, &limits, false));
    cr_assert(!gust__health_checked(&h, &limits, false));
    cr_assert(gust__health_is_up(&h, &limits));
    cr_assert(gust__health_checked(&h, &limits, false));
    cr_assert(!gust__health_is_up(&h, &limits));
    cr_assert(!gust__health_checked(&h, &limits, false));
    cr_assert(!gust__health_checked(&h, &limits, true));
    cr_assert(!gust__health_checked(&h, &limits, false));
    cr_assert(!gust__health_checked(&h, &limits, true));
    cr_assert(gust__health_checked(&h, &limits, true));
    cr_assert(gust__health_is_up(&h, &limits));
}

Test(health, a_rise_ends_an_ejection)
{
    struct health h = {0};

    for (int i = 0; i < 3; i++)
        gust__health_checked(&h, &limits, false);
    fails(&h, 3, gust_now());
    gust__health_checked(&h, &limits, true);
    cr_assert(gust__health_checked(&h, &limits, true));
    cr_assert(gust__health_is_up(&h, &limits));
    cr_assert_eq(until(&h), 0);
}
