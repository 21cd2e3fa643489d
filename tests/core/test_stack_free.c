/* Free stacks: which one is next, and when their memory goes back to the kernel. */
#include "core/stack_free.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/stack.h"
#include "tests/core/procs.h"
#include "tests/core/waiters.h"

enum { PAGES = 4, COUNT = GUST__STACK_CACHE_MAX };

static gust__stack_cache cache;

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Takes `n` stacks and touches all their pages. */
static void get_touched(gust__stack *stacks, int n)
{
    for (int i = 0; i < n; i++) {
        CHECK_EQ(gust__stack_get(&cache, 0, &stacks[i]), 0);
        memset(stacks[i].low, 1, stacks[i].size);
    }
}

static void free_all(const gust__stack *stacks, int n)
{
    for (int i = 0; i < n; i++)
        gust__stack_put(&cache, stacks[i]);
    gust__stack_cache_drain(&cache);
}

static void setup(void)
{
    gust__stack_setup((PAGES + 1) * page_size(), GUST__GUARD_AUTO);
}

static size_t resident_pages(gust__stack stack)
{
    unsigned char resident[PAGES];
    size_t n = 0;

    CHECK_EQ(stack.size, PAGES * page_size());
    CHECK_EQ(mincore(stack.low, stack.size, resident), 0);
    for (size_t i = 0; i < PAGES; i++)
        n += resident[i] & 1;
    return n;
}

static bool all_have(const gust__stack *stacks, int n, size_t pages)
{
    for (int i = 0; i < n; i++)
        if (resident_pages(stacks[i]) != pages)
            return false;
    return true;
}

/* The page that lists the cold stacks, of any number up to some 500. */
static bool are_cold(const gust__stack *stacks, int n)
{
    size_t pages = 0;

    for (int i = 0; i < n; i++)
        pages += resident_pages(stacks[i]);
    return pages <= 1 + (size_t)n / 500;
}

/* --- Ageing ------------------------------------------------------------------ */

static void check_cooling(void)
{
    gust__stack stacks[COUNT];

    setup();
    cr_assert_not(gust__stack_free_ages());
    get_touched(stacks, COUNT);
    free_all(stacks, COUNT);
    cr_assert(gust__stack_free_ages());
    cr_assert_not(gust__stack_free_age());
    cr_assert(all_have(stacks, COUNT, PAGES));
    cr_assert(gust__stack_free_ages());
    cr_assert_not(gust__stack_free_age());
    cr_assert(are_cold(stacks, COUNT));
    cr_assert_not(gust__stack_free_ages());
    gust__stack_teardown();
}

Test(stack_free, two_ages_leave_nothing)
{
    check_cooling();
}

#ifdef GUST_DEBUG
Test(stack_free, stacks_are_trimmed_one_by_one_where_they_must)
{
    gust__inject_arm(INJECT_PROCESS_MADVISE, 1, INJECT_FOR_EVER);
    check_cooling();
    cr_assert_gt(gust__inject_disarm(), 0);
}
#endif

Test(stack_free, what_is_used_between_ages_stays_as_it_is)
{
    gust__stack stacks[COUNT], again[COUNT];

    setup();
    get_touched(stacks, COUNT);
    for (int i = 0; i < 5; i++) {
        free_all(stacks, COUNT);
        gust__stack_free_age();
        for (int j = 0; j < COUNT; j++)
            CHECK_EQ(gust__stack_get(&cache, 0, &again[j]), 0);
        cr_assert(all_have(again, COUNT, PAGES));
    }
    cr_assert_not(gust__stack_free_ages());
    free_all(again, COUNT);
    gust__stack_teardown();
}

Test(stack_free, the_hottest_is_next)
{
    gust__stack stacks[6];
    char *low[6];

    setup();
    get_touched(stacks, 6);
    for (int i = 0; i < 3; i++) { /* two of each temperature */
        gust__stack_free_put(&stacks[2 * i].low, 1);
        gust__stack_free_put(&stacks[2 * i + 1].low, 1);
        if (i < 2)
            gust__stack_free_age();
    }
    cr_assert_eq(gust__stack_free_take(low, 6), 6);
    for (int i = 2; i < 6; i++) /* of the cold ones any may be first */
        cr_assert_eq(low[i], stacks[i].low);
    cr_assert_eq(gust__stack_free_take(low, 6), 0);
    gust__stack_teardown();
}

Test(stack_free, one_call_has_an_end)
{
    static gust__stack stacks[GUST__STACK_AGE_MAX + 1];
    const int n = GUST__STACK_AGE_MAX + 1;

    setup();
    get_touched(stacks, n);
    free_all(stacks, n);
    cr_assert_not(gust__stack_free_age());
    cr_assert(gust__stack_free_age());
    cr_assert(gust__stack_free_ages());
    cr_assert_not(gust__stack_free_age());
    cr_assert(are_cold(stacks, n));
    gust__stack_teardown();
}

static int by_address(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* More than one page lists. */
Test(stack_free, cold_ones_come_back_once_each)
{
    enum { N = 1200 };
    static gust__stack stacks[N];
    static char *before[N], *after[N + 1];

    setup();
    get_touched(stacks, N);
    for (int i = 0; i < N; i++)
        before[i] = stacks[i].low;
    free_all(stacks, N);
    while (gust__stack_free_ages())
        gust__stack_free_age();
    cr_assert_eq(gust__stack_free_take(after, N + 1), N);
    qsort(before, N, sizeof *before, by_address);
    qsort(after, N, sizeof *after, by_address);
    cr_assert_arr_eq(before, after, sizeof before);
    gust__stack_teardown();
}

/* --- sysmon ------------------------------------------------------------------ */

enum { GOROUTINES = 20 * GUST__STACK_CACHE_MAX };

static void wait_for_all(void *arg)
{
    CHECK_EQ(gust_waitgroup_wait(arg, SOON), 0);
}

/* More stacks at once than eight Ps keep. */
static int burst(void *arg)
{
    gust_waitgroup due = GUST_WAITGROUP_INIT;

    (void)arg;
    gust_waitgroup_add(&due, 1);
    for (int i = 0; i < GOROUTINES; i++)
        go(wait_for_all, &due);
    gust_yield();
    gust_waitgroup_done(&due);
    AWAIT(gust__stack_free_ages());
    for (gust_time until = SOON; gust__stack_free_ages(); gust_sleep(10 * GUST_MS))
        CHECK(gust_now() < until);
    return 0;
}

Test(stack_free, sysmon_ages_them)
{
    test_run(burst, NULL);
}
