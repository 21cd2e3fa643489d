/* A once runs its function once, and nobody returns before that has. */
#include "tests/core/waiters.h"

struct crowd {
    gust_once once;
    gust_waitgroup group;
    gust_chan *go_on;
    int runs; /* plain: once publishes it */
};

static void run_slowly(void *arg)
{
    struct crowd *k = arg;
    recv_int(k->go_on);
    k->runs++;
}

static void do_once(void *arg)
{
    struct crowd *k = arg;
    gust_once_do(&k->once, run_slowly, k);
    CHECK_EQ(k->runs, 1);
    gust_waitgroup_done(&k->group);
}

static int crowd_main(void *arg)
{
    struct crowd k = {.once = GUST_ONCE_INIT, .go_on = chan_make(sizeof(int), 0)};
    (void)arg;
    gust_waitgroup_add(&k.group, 50);
    for (int i = 0; i < 50; i++)
        go(do_once, &k);
    /* One is inside the function, the others wait for it. */
    AWAIT(receivers_waiting(k.go_on) == 1 && queue_len(&k.once.mutex.waiters) == 49);
    CHECK_EQ(gust_waitgroup_wait(&k.group, GUST_NOW), -EAGAIN);
    send_int(k.go_on, 0);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    CHECK_EQ(k.runs, 1);
    gust_chan_unref(k.go_on);
    return 0;
}

Test(once, all_callers_wait_for_the_one_run)
{
    test_run(crowd_main, NULL);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static int again_main(void *arg)
{
    gust_once once = GUST_ONCE_INIT, other = GUST_ONCE_INIT;
    int runs = 0;
    (void)arg;
    for (int i = 0; i < 10; i++)
        gust_once_do(&once, count, &runs);
    CHECK_EQ(runs, 1);
    gust_once_do(&other, count, &runs);
    CHECK_EQ(runs, 2);
    return 0;
}

Test(once, later_calls_do_nothing)
{
    test_run(again_main, NULL);
}

struct nest {
    gust_once inner;
    int runs;
};

static void outer_run(void *arg)
{
    struct nest *n = arg;
    gust_once_do(&n->inner, count, &n->runs);
}

static int nest_main(void *arg)
{
    gust_once outer = GUST_ONCE_INIT;
    struct nest n = {.inner = GUST_ONCE_INIT};
    (void)arg;
    gust_once_do(&outer, outer_run, &n);
    gust_once_do(&n.inner, count, &n.runs);
    CHECK_EQ(n.runs, 1);
    return 0;
}

Test(once, the_function_may_use_another_once)
{
    test_run(nest_main, NULL);
}
