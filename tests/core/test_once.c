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

/* --- Once with a value ----------------------------------------------------------- */

struct answer {
    gust_once_value once;
    gust_waitgroup group;
    gust_chan *go_on;
    int runs;  /* plain: once publishes it */
    int value; /* the same */
    int err;   /* what the function returns */
};

static int find_slowly(void *arg, void **ret_value)
{
    struct answer *a = arg;
    recv_int(a->go_on);
    a->runs++;
    a->value = 42;
    *ret_value = &a->value;
    return a->err;
}

static void ask(void *arg)
{
    struct answer *a = arg;
    int untouched;
    void *value = &untouched;
    CHECK_EQ(gust_once_value_get(&a->once, find_slowly, a, &value), a->err);
    CHECK_EQ(a->runs, 1);
    if (a->err)
        CHECK(value == &untouched);
    else
        CHECK(value == &a->value && a->value == 42);
    gust_waitgroup_done(&a->group);
}

static int value_main(void *arg)
{
    struct answer a = {.once = GUST_ONCE_VALUE_INIT, .err = *(int *)arg};
    a.go_on = chan_make(sizeof(int), 0);
    gust_waitgroup_add(&a.group, 20);
    for (int i = 0; i < 20; i++)
        go(ask, &a);
    AWAIT(queue_len(&a.once.once.mutex.waiters) == 19);
    send_int(a.go_on, 0);
    CHECK_EQ(gust_waitgroup_wait(&a.group, SOON), 0);
    gust_waitgroup_add(&a.group, 1);
    ask(&a); /* later: the same */
    gust_chan_unref(a.go_on);
    return 0;
}

Test(once, every_caller_gets_the_one_value)
{
    int err = 0;
    test_run(value_main, &err);
}

Test(once, an_error_is_kept)
{
    int err = -ENOENT;
    test_run(value_main, &err);
}

/* --- Stress ------------------------------------------------------------------------ */

enum { RACES = 300, RACERS = 8 };

struct race {
    gust_once once;
    gust_waitgroup group;
    uint64_t seed;
    _Atomic int next;
    int runs;
};

static void run_once(void *arg)
{
    struct race *r = arg;
    if (r->seed % 2)
        gust_yield();
    r->runs++;
}

static void race(void *arg)
{
    struct race *r = arg;
    uint64_t rand = r->seed + (uint64_t)r->next++;
    if (test_rand(&rand) % 4 == 0)
        gust_sleep((int64_t)(test_rand(&rand) % 30) * GUST_US);
    gust_once_do(&r->once, run_once, r);
    CHECK_EQ(r->runs, 1);
    gust_waitgroup_done(&r->group);
}

static int races_main(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < RACES; i++) {
        struct race r = {.once = GUST_ONCE_INIT, .seed = test_rand(&rand)};
        gust_waitgroup_add(&r.group, RACERS);
        for (int k = 0; k < RACERS; k++)
            go(race, &r);
        CHECK_EQ(gust_waitgroup_wait(&r.group, SOON), 0);
    }
    return 0;
}

Test(once, racing_callers_see_one_finished_run)
{
    uint64_t seed = test_seed();
    test_run(races_main, &seed);
}
