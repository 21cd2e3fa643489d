/* A file compiled with safe points (tests/CMakeLists.txt): a loop that calls nothing
 * yields. */
#include <gust/debug.h>
#include <stdlib.h>
#include <time.h>

#include "core/sched.h"
#include "tests/core/waiters.h"

static _Atomic bool ran;

static void set_ran(void *arg)
{
    (void)arg;
    atomic_store(&ran, true);
}

/* Again, if the machine is so busy that the thread does not get to a safe point in
 * time, and loses its P instead. */
static int loop_main(void *arg)
{
    gust_stats stats = {0};
    time_t end = time(NULL) + 30;
    (void)arg;
    while (stats.preemptions == 0) {
        atomic_store(&ran, false);
        go(set_ran, NULL);
        while (!atomic_load_explicit(&ran, memory_order_relaxed))
            CHECK(time(NULL) < end);
        gust_stats_read(&stats);
    }
    return 0;
}

Test(safepoints, a_loop_that_calls_nothing_of_gust_yields)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(loop_main, NULL);
}

/* Instrumented code may run anywhere, also where no goroutine is. */
Test(safepoints, instrumented_code_runs_outside_goroutines)
{
    int sum = 0;
    for (int i = 0; i < 10; i++)
        sum += i;
    cr_assert_eq(sum, 45);
}

static int blocking_main(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    for (volatile int i = 0; i < 10; i++)
        continue;
    gust_blocking_end();
    return 0;
}

Test(safepoints, instrumented_code_runs_in_announced_blocking_calls)
{
    test_run(blocking_main, NULL);
}
