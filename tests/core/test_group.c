/* Groups behave as Go's errgroup_test.go says. */
#include <gust/group.h>

#include "tests/core/contexts.h"

static gust_group *group_make(gust_context *parent)
{
    gust_group *g = NULL;
    CHECK_EQ(gust_group_new(parent, &g), 0);
    return g;
}

static int return_it(void *arg)
{
    return (int)(intptr_t)arg;
}

static void start(gust_group *g, int (*fn)(void *arg), void *arg)
{
    CHECK_EQ(gust_group_go(g, fn, arg), 0);
}

static int zero_main(void *arg)
{
    gust_group *g = group_make(NULL);
    (void)arg;
    CHECK_EQ(gust_group_wait(g, GUST_NOW), 0);
    check_ended(gust_group_context(g), -ECANCELED, -ECANCELED);
    gust_group_free(g);
    gust_group_free(NULL);
    return 0;
}

Test(group, an_empty_one_is_done)
{
    test_run(zero_main, NULL);
}

/* The results of goroutines that run one after the other, and the first error. */
static int first_error_main(void *arg)
{
    static const int results[][3] = {{0, 0, 0}, {0, -EIO, 0}, {-EPIPE, 0, -EIO}, {0, 0, 5}};
    static const int expected[] = {0, -EIO, -EPIPE, 5};
    (void)arg;
    for (size_t i = 0; i < 4; i++) {
        gust_group *g = group_make(NULL);
        gust_group_limit(g, 1);
        for (int k = 0; k < 3; k++)
            start(g, return_it, (void *)(intptr_t)results[i][k]);
        CHECK_EQ(gust_group_wait(g, SOON), expected[i]);
        check_ended(gust_group_context(g), -ECANCELED, expected[i] ? expected[i] : -ECANCELED);
        CHECK_EQ(gust_group_wait(g, GUST_NOW), expected[i]);
        gust_group_free(g);
    }
    return 0;
}

Test(group, wait_returns_the_first_error)
{
    test_run(first_error_main, NULL);
}

/* --- Cancellation ---------------------------------------------------------------- */

struct crew {
    gust_group *group;
    gust_chan *never;
    _Atomic int ended;
    _Atomic int running, running_max;
};

static int wait_for_ever(void *arg)
{
    struct crew *crew = arg;
    CHECK(gust_context_current() == gust_group_context(crew->group));
    CHECK_EQ(gust_chan_recv(crew->never, NULL, GUST_FOREVER), -ECANCELED);
    CHECK_EQ(gust_context_cause(gust_context_current()), -EIO);
    crew->ended++;
    return -ECANCELED;
}

static int failure_main(void *arg)
{
    gust_context *parent = context_make(NULL);
    struct crew crew = {.group = group_make(parent), .never = chan_make(0, 0)};
    (void)arg;
    for (int i = 0; i < 10; i++)
        start(crew.group, wait_for_ever, &crew);
    AWAIT(waits_under(gust_group_context(crew.group)) == 10);
    CHECK_EQ(gust_group_wait(crew.group, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_group_wait(crew.group, gust_after(GUST_MS)), -ETIMEDOUT);
    start(crew.group, return_it, (void *)-EIO);
    CHECK_EQ(gust_group_wait(crew.group, SOON), -EIO);
    CHECK_EQ(crew.ended, 10);
    check_open(parent);
    gust_group_free(crew.group);
    AWAIT(refs_of(parent) == 1); /* goroutines hold theirs until they are gone */
    gust_context_unref(parent);
    gust_chan_unref(crew.never);
    return 0;
}

Test(group, the_first_error_cancels_the_others)
{
    test_run(failure_main, NULL);
}

static int end_late(void *arg)
{
    struct crew *crew = arg;
    CHECK_EQ(gust_chan_recv(crew->never, NULL, GUST_FOREVER), -ECANCELED);
    for (int i = 0; i < 100; i++)
        gust_yield();
    crew->ended++;
    return 0;
}

/* Who waits for a group shares his stack with its goroutines. */
static int steadfast_main(void *arg)
{
    gust_context *c = context_make(NULL);
    struct crew crew = {.group = group_make(c), .never = chan_make(0, 0)};
    (void)arg;
    gust_context_swap(gust_context_ref(c));
    for (int i = 0; i < 4; i++)
        start(crew.group, end_late, &crew);
    gust_context_cancel(c, 0);
    CHECK_EQ(gust_sleep(GUST_SEC), -ECANCELED);
    CHECK_EQ(gust_group_wait(crew.group, SOON), 0);
    CHECK_EQ(crew.ended, 4);
    gust_group_free(crew.group);
    gust_chan_unref(crew.never);
    gust_context_unref(c);
    return 0;
}

Test(group, a_cancelled_caller_still_waits_for_all)
{
    test_run(steadfast_main, NULL);
}

/* --- The limit ------------------------------------------------------------------- */

static int run_a_while(void *arg)
{
    struct crew *crew = arg;
    int running = ++crew->running, max = crew->running_max;
    while (running > max && !atomic_compare_exchange_weak(&crew->running_max, &max, running))
        ;
    for (int i = 0; i < 3; i++)
        gust_yield();
    crew->running--;
    crew->ended++;
    return 0;
}

static int start_more(void *arg)
{
    struct crew *crew = arg;
    for (int i = 0; i < 50; i++)
        start(crew->group, run_a_while, crew);
    return 0;
}

static int limit_main(void *arg)
{
    (void)arg;
    for (int limit = 1; limit <= 5; limit++) {
        struct crew crew = {.group = group_make(NULL)};
        gust_group_limit(crew.group, limit);
        for (int i = 0; i < 100; i++)
            start(crew.group, run_a_while, &crew);
        if (limit > 1)
            start(crew.group, start_more, &crew);
        CHECK_EQ(gust_group_wait(crew.group, SOON), 0);
        CHECK_EQ(crew.ended, limit > 1 ? 150 : 100);
        CHECK(crew.running_max <= limit);
        gust_group_free(crew.group);
    }
    return 0;
}

Test(group, no_more_run_than_the_limit_allows)
{
    test_run(limit_main, NULL);
}

static int take_one(void *arg)
{
    CHECK_EQ(gust_chan_recv(arg, NULL, SOON), 1);
    return 0;
}

static int try_go_main(void *arg)
{
    gust_chan *gate = chan_make(0, 0);
    gust_group *g = group_make(NULL);
    (void)arg;
    gust_group_limit(g, 2);
    CHECK_EQ(gust_group_try_go(g, take_one, gate), 0);
    CHECK_EQ(gust_group_try_go(g, take_one, gate), 0);
    CHECK_EQ(gust_group_try_go(g, take_one, gate), -EAGAIN);
    CHECK_EQ(gust_chan_send(gate, NULL, SOON), 0);
    int error;
    AWAIT((error = gust_group_try_go(g, take_one, gate)) != -EAGAIN);
    CHECK_EQ(error, 0);
    CHECK_EQ(gust_chan_send(gate, NULL, SOON), 0);
    CHECK_EQ(gust_chan_send(gate, NULL, SOON), 0);
    CHECK_EQ(gust_group_wait(g, SOON), 0);
    gust_group_limit(g, 0);
    CHECK_EQ(gust_group_try_go(g, return_it, NULL), -EAGAIN);
    gust_group_limit(g, -1);
    CHECK_EQ(gust_group_try_go(g, return_it, NULL), 0);
    CHECK_EQ(gust_group_try_go(g, return_it, NULL), 0);
    CHECK_EQ(gust_group_wait(g, SOON), 0);
    gust_group_free(g);
    gust_chan_unref(gate);
    return 0;
}

Test(group, try_go_does_not_wait_for_a_place)
{
    test_run(try_go_main, NULL);
}

struct starter {
    gust_group *group;
    gust_chan *gate;
    int result;
    gust_waitgroup done;
};

static void start_one(void *arg)
{
    struct starter *s = arg;
    s->result = gust_group_go(s->group, take_one, s->gate);
    gust_waitgroup_done(&s->done);
}

static int starter_main(void *arg)
{
    gust_context *c = context_make(NULL);
    struct starter s = {.group = group_make(NULL), .gate = chan_make(0, 0)};
    (void)arg;
    gust_group_limit(s.group, 1);
    start(s.group, take_one, s.gate);
    gust_waitgroup_add(&s.done, 1);
    go_under(c, start_one, &s);
    AWAIT(waits_under(c) == 1);
    gust_context_cancel(c, 0);
    CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
    CHECK_EQ(s.result, -ECANCELED);
    CHECK_EQ(gust_chan_send(s.gate, NULL, SOON), 0);
    CHECK_EQ(gust_group_wait(s.group, SOON), 0);
    gust_group_free(s.group);
    gust_chan_unref(s.gate);
    gust_context_unref(c);
    return 0;
}

Test(group, a_cancelled_caller_does_not_wait_for_a_place)
{
    test_run(starter_main, NULL);
}

/* --- Misuse, and the end ------------------------------------------------------------ */

static int busy_main(void *arg)
{
    gust_chan *gate = chan_make(0, 0);
    gust_group *g = group_make(NULL);
    start(g, take_one, gate);
    if (arg)
        gust_group_limit(g, 3);
    else
        gust_group_free(g);
    return 0;
}

Test(group, freeing_a_busy_one_panics, .signal = SIGABRT)
{
    gust_run(busy_main, NULL);
}

Test(group, limiting_a_busy_one_panics, .signal = SIGABRT)
{
    static int limit;
    gust_run(busy_main, &limit);
}

static int lifetime_main(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < 2000; i++) {
        gust_group *g = group_make(NULL);
        int error = test_rand(&rand) % 2 ? -EIO : 0;
        for (uint64_t k = test_rand(&rand) % 4; k > 0; k--)
            start(g, return_it, NULL);
        start(g, return_it, (void *)(intptr_t)error);
        CHECK_EQ(gust_group_wait(g, SOON), error);
        gust_group_free(g);
    }
    return 0;
}

Test(group, may_be_freed_once_wait_has_returned)
{
    uint64_t seed = test_seed();
    test_run(lifetime_main, &seed);
}

static int end_goroutine(void *arg)
{
    (void)arg;
    gust_goexit();
}

static int goexit_main(void *arg)
{
    gust_group *g;
    (void)arg;
    CHECK_EQ(gust_group_new(NULL, &g), 0);
    CHECK_EQ(gust_group_go(g, end_goroutine, NULL), 0);
    CHECK_EQ(gust_group_wait(g, SOON), 0);
    gust_group_free(g);
    return 0;
}

/* As Go's errgroup, whose task is done by a deferred call. */
Test(group, a_task_that_ends_its_goroutine_has_ended_without_error)
{
    test_run(goexit_main, NULL);
}
