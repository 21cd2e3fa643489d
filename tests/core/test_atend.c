/* What others want done at the end of a run: once, and only of the run they said it in. */
#include "core/atend.h"

#include "tests/core/waiters.h"

static int called[2];

static void first_end(void)
{
    called[0]++;
}

static void second_end(void)
{
    called[1]++;
}

static gust__at_end ends[2] = {{.fn = first_end}, {.fn = second_end}};

static int add(void *arg)
{
    for (int i = 0; i < *(int *)arg; i++)
        gust__at_end_add(&ends[i]);
    CHECK_EQ(called[0] + called[1], 0);
    return 0;
}

static void run_with(int count, int expect_first, int expect_second)
{
    called[0] = called[1] = 0;
    test_run(add, &count);
    cr_assert_eq(called[0], expect_first);
    cr_assert_eq(called[1], expect_second);
}

Test(atend, everything_is_called_once_and_in_its_run)
{
    run_with(0, 0, 0);
    run_with(2, 1, 1);
    run_with(0, 0, 0);
    run_with(1, 1, 0);
}

/* --- After the goroutines ------------------------------------------------------ */

static _Atomic int turns;
static int turns_at_end;

static void count_turns(void)
{
    turns_at_end = atomic_load(&turns);
}

static void turn_for_ever(void *arg)
{
    (void)arg;
    for (;;) {
        atomic_fetch_add(&turns, 1);
        gust_yield();
    }
}

static int leave_turning(void *arg)
{
    static gust__at_end end = {.fn = count_turns};
    (void)arg;
    gust__at_end_add(&end);
    for (int i = 0; i < 4; i++)
        go(turn_for_ever, NULL);
    AWAIT(atomic_load(&turns) > 100);
    return 0;
}

Test(atend, no_goroutine_runs_any_more)
{
    test_run(leave_turning, NULL);
    cr_assert_eq(turns_at_end, atomic_load(&turns));
}
