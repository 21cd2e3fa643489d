/* Wait groups behave as Go's waitgroup_test.go says, and may be freed at once. */
#include "tests/core/waiters.h"

struct team {
    gust_waitgroup group;
    gust_waitgroup waiters;
    _Atomic int finished;
    int result[16]; /* plain: done publishes it */
    _Atomic int next;
};

static void finish_one(void *arg)
{
    struct team *t = arg;
    int number = t->next++;
    gust_yield();
    t->result[number] = number + 1;
    t->finished++;
    gust_waitgroup_done(&t->group);
}

static int all_done_main(void *arg)
{
    struct team t = {.group = GUST_WAITGROUP_INIT};
    int sum = 0;
    (void)arg;
    gust_waitgroup_add(&t.group, 16);
    for (int i = 0; i < 16; i++)
        go(finish_one, &t);
    CHECK_EQ(gust_waitgroup_wait(&t.group, SOON), 0);
    CHECK_EQ(t.finished, 16);
    for (int i = 0; i < 16; i++)
        sum += t.result[i];
    CHECK_EQ(sum, 16 * 17 / 2);
    return 0;
}

Test(waitgroup, wait_returns_after_the_last_done)
{
    test_run_without_leaks(all_done_main, NULL);
}

static int zero_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    CHECK_EQ(gust_waitgroup_wait(&group, GUST_NOW), 0);
    CHECK_EQ(gust_waitgroup_wait(&group, GUST_FOREVER), 0);
    gust_waitgroup_add(&group, 0);
    CHECK_EQ(gust_waitgroup_wait(&group, GUST_FOREVER), 0);
    gust_waitgroup_add(&group, 3);
    gust_waitgroup_add(&group, -3);
    CHECK_EQ(gust_waitgroup_wait(&group, GUST_FOREVER), 0);
    return 0;
}

Test(waitgroup, wait_for_zero_returns_at_once)
{
    test_run_without_leaks(zero_main, NULL);
}

static void wait_one(void *arg)
{
    struct team *t = arg;
    CHECK_EQ(gust_waitgroup_wait(&t->group, SOON), 0);
    CHECK_EQ(t->finished, 1);
    gust_waitgroup_done(&t->waiters);
}

static int many_waiters_main(void *arg)
{
    struct team t = {.group = GUST_WAITGROUP_INIT};
    (void)arg;
    gust_waitgroup_add(&t.group, 1);
    gust_waitgroup_add(&t.waiters, 100);
    for (int i = 0; i < 100; i++)
        go(wait_one, &t);
    AWAIT(queue_len(&t.group.waiters) == 100);
    t.finished = 1;
    gust_waitgroup_done(&t.group);
    CHECK_EQ(gust_waitgroup_wait(&t.waiters, SOON), 0);
    return 0;
}

Test(waitgroup, releases_all_who_wait)
{
    test_run_without_leaks(many_waiters_main, NULL);
}

static int deadline_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    gust_time deadline = gust_after(2 * GUST_MS);
    (void)arg;
    gust_waitgroup_add(&group, 1);
    CHECK_EQ(gust_waitgroup_wait(&group, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_waitgroup_wait(&group, 1), -ETIMEDOUT);
    CHECK_EQ(gust_waitgroup_wait(&group, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    CHECK_EQ(queue_len(&group.waiters), 0);
    gust_waitgroup_done(&group);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    return 0;
}

Test(waitgroup, wait_gives_up_at_the_deadline)
{
    test_run_without_leaks(deadline_main, NULL);
}

static int negative_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    gust_waitgroup_add(&group, 1);
    gust_waitgroup_done(&group);
    gust_waitgroup_done(&group);
    return 0;
}

Test(waitgroup, negative_counter_panics, .signal = SIGABRT)
{
    gust_run(negative_main, NULL);
}

/* --- Reuse and lifetime --------------------------------------------------------- */

/* The zero of one round must not end the wait of the next. */
static int reuse_main(void *arg)
{
    struct team t = {.group = GUST_WAITGROUP_INIT};
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        t.finished = 0;
        t.next = 0;
        gust_waitgroup_add(&t.group, 3);
        for (int k = 0; k < 3; k++)
            go(finish_one, &t);
        CHECK_EQ(gust_waitgroup_wait(&t.group, SOON), 0);
        CHECK_EQ(t.finished, 3);
    }
    return 0;
}

Test(waitgroup, may_be_used_again)
{
    test_run_without_leaks(reuse_main, NULL);
}

/* Go's testWaitGroup: nobody gets past the barrier before the last done. */
static void pass_barrier(void *arg)
{
    struct team *t = arg;
    gust_waitgroup_done(&t->waiters);
    CHECK_EQ(gust_waitgroup_wait(&t->group, SOON), 0);
    t->finished++;
}

static int barrier_main(void *arg)
{
    struct team t = {.group = GUST_WAITGROUP_INIT};
    (void)arg;
    for (int round = 0; round < 8; round++) {
        t.finished = 0;
        gust_waitgroup_add(&t.waiters, 16);
        gust_waitgroup_add(&t.group, 16);
        for (int i = 0; i < 16; i++)
            go(pass_barrier, &t);
        CHECK_EQ(gust_waitgroup_wait(&t.waiters, SOON), 0);
        for (int i = 0; i < 16; i++) {
            CHECK_EQ(t.finished, 0);
            gust_waitgroup_done(&t.group);
        }
        AWAIT(t.finished == 16);
    }
    return 0;
}

Test(waitgroup, nobody_passes_before_the_last_done)
{
    test_run(barrier_main, NULL);
}

static void done_only(void *arg)
{
    gust_waitgroup_done(arg);
}

static int lifetime_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        gust_waitgroup *group = calloc(1, sizeof *group);
        gust_waitgroup_add(group, 2);
        go(done_only, group);
        go(done_only, group);
        if (i % 3 == 0)
            AWAIT(gust_num_goroutines() < 3);
        CHECK_EQ(gust_waitgroup_wait(group, SOON), 0);
        free(group);
    }
    return 0;
}

Test(waitgroup, may_be_freed_once_wait_has_returned)
{
    test_run_without_leaks(lifetime_main, NULL);
}

struct late {
    gust_waitgroup group, helpers;
    uint64_t rand;
};

static void done_about(void *arg)
{
    struct late *l = arg;
    gust_sleep((int64_t)(test_rand(&l->rand) % 60) * GUST_US);
    gust_waitgroup_done(&l->group);
    gust_waitgroup_done(&l->helpers);
}

static int late_main(void *arg)
{
    struct late l = {.rand = *(uint64_t *)arg};
    for (int i = 0; i < 1000; i++) {
        int err;
        gust_waitgroup_add(&l.group, 1);
        gust_waitgroup_add(&l.helpers, 1);
        go(done_about, &l);
        err = gust_waitgroup_wait(&l.group, gust_after(60 * GUST_US));
        CHECK(err == 0 || err == -ETIMEDOUT);
        CHECK_EQ(gust_waitgroup_wait(&l.group, SOON), 0);
        CHECK_EQ(gust_waitgroup_wait(&l.helpers, SOON), 0);
        CHECK_EQ(queue_len(&l.group.waiters), 0);
    }
    return 0;
}

Test(waitgroup, deadlines_racing_with_done_leave_no_waiter_behind)
{
    uint64_t seed = test_seed();
    test_run_without_leaks(late_main, &seed);
}
