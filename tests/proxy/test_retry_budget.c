/* Retries are a part of what went well. */
#include "tests/harness/test.h"

#include "proxy/retry_budget.h"

#define START (1000 * GUST_SEC)

static unsigned take_all(struct retry_budget *b, gust_time now)
{
    unsigned n = 0;

    while (gust__retry_budget_take(b, now))
        n++;
    return n;
}

Test(retry_budget, begins_full_and_is_empty_after_its_burst)
{
    struct retry_budget b;

    gust__retry_budget_init(&b, 200, 0, 7, START);
    cr_assert_eq(take_all(&b, START), 7);
    cr_assert_eq(take_all(&b, START + 3600 * GUST_SEC), 0);
}

Test(retry_budget, successes_earn_their_part)
{
    struct retry_budget b;

    gust__retry_budget_init(&b, 200, 0, 100, START);
    take_all(&b, START);
    for (int i = 0; i < 4; i++)
        gust__retry_budget_success(&b);
    cr_assert_eq(take_all(&b, START), 0);
    for (int i = 0; i < 21; i++)
        gust__retry_budget_success(&b);
    cr_assert_eq(take_all(&b, START), 5);
}

Test(retry_budget, is_never_more_than_full)
{
    struct retry_budget b;

    gust__retry_budget_init(&b, 1000, 1, 3, START);
    for (int i = 0; i < 100; i++)
        gust__retry_budget_success(&b);
    cr_assert_eq(take_all(&b, START + 3600 * GUST_SEC), 3);
}

Test(retry_budget, time_brings_some_too)
{
    struct retry_budget b;

    gust__retry_budget_init(&b, 0, 10, 10, START);
    take_all(&b, START);
    cr_assert_eq(take_all(&b, START + 99 * GUST_MS), 0);
    cr_assert_eq(take_all(&b, START + 500 * GUST_MS), 5);
    cr_assert_eq(take_all(&b, START + 600 * GUST_SEC), 10);
}

Test(retry_budget, may_be_none)
{
    struct retry_budget b;

    gust__retry_budget_init(&b, 1000, 0, 0, START);
    gust__retry_budget_success(&b);
    cr_assert_eq(take_all(&b, START + GUST_SEC), 0);
}
