/* Semaphores behave as golang.org/x/sync/semaphore's tests say: first come, first
 * served, by weight. */
#include "tests/core/waiters.h"

static void check_at_rest(gust_semaphore *s)
{
    CHECK_EQ(s->held, 0);
    CHECK_EQ(queue_len(&s->waiters), 0);
}

/* --- Without waiting: TestWeightedTryAcquire, TestWeightedAcquire ------------------ */

static int try_main(void *arg)
{
    gust_semaphore s = GUST_SEMAPHORE_INIT(2);
    (void)arg;
    CHECK_EQ(gust_semaphore_acquire(&s, 1, GUST_NOW), 0);
    CHECK_EQ(gust_semaphore_acquire(&s, 1, GUST_FOREVER), 0);
    CHECK_EQ(gust_semaphore_acquire(&s, 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_semaphore_acquire(&s, 1, 1), -ETIMEDOUT);
    CHECK_EQ(gust_semaphore_acquire(&s, 0, GUST_NOW), 0);
    gust_semaphore_release(&s, 2);
    CHECK_EQ(gust_semaphore_acquire(&s, 2, 1), 0);
    gust_semaphore_release(&s, 1);
    CHECK_EQ(gust_semaphore_acquire(&s, 2, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_semaphore_acquire(&s, 1, GUST_NOW), 0);
    gust_semaphore_release(&s, 0);
    gust_semaphore_release(&s, 2);
    check_at_rest(&s);
    return 0;
}

Test(semaphore, a_try_succeeds_only_if_the_units_are_there)
{
    test_run(try_main, NULL);
}

static int too_much_main(void *arg)
{
    gust_semaphore s, nothing = {0};
    (void)arg;
    gust_semaphore_init(&s, 2);
    CHECK_EQ(gust_semaphore_acquire(&s, 3, SOON), -EINVAL);
    CHECK_EQ(gust_semaphore_acquire(&s, -1, SOON), -EINVAL);
    CHECK_EQ(gust_semaphore_acquire(&s, INT64_MAX, SOON), -EINVAL);
    CHECK_EQ(gust_semaphore_acquire(&s, 2, SOON), 0);
    gust_semaphore_release(&s, 2);
    CHECK_EQ(gust_semaphore_acquire(&nothing, 1, SOON), -EINVAL);
    CHECK_EQ(gust_semaphore_acquire(&nothing, 0, SOON), 0);
    check_at_rest(&s);
    return 0;
}

Test(semaphore, a_request_above_the_size_is_refused_at_once)
{
    test_run(too_much_main, NULL);
}

static int release_new_main(void *arg)
{
    gust_semaphore s = GUST_SEMAPHORE_INIT(1);
    (void)arg;
    gust_semaphore_release(&s, 1);
    return 0;
}

/* TestWeightedPanic. */
Test(semaphore, releasing_more_than_is_held_panics, .signal = SIGABRT)
{
    gust_run(release_new_main, NULL);
}

static int release_negative_main(void *arg)
{
    gust_semaphore s = GUST_SEMAPHORE_INIT(1);
    (void)arg;
    gust_semaphore_release(&s, -1);
    return 0;
}

Test(semaphore, releasing_a_negative_number_panics, .signal = SIGABRT)
{
    gust_run(release_negative_main, NULL);
}

/* --- The queue --------------------------------------------------------------------- */

struct line {
    gust_semaphore s;
    gust_waitgroup group;
    gust_chan *got; /* int: what a waiter asked for, once it has it */
};

struct customer {
    struct line *line;
    int n;
    gust_time patience;
    _Atomic int err;
};

static void ask(void *arg)
{
    struct customer *c = arg;
    gust_time deadline = c->patience == GUST_FOREVER ? SOON : gust_after(c->patience);
    c->err = gust_semaphore_acquire(&c->line->s, c->n, deadline);
    if (c->err == 0)
        send_int(c->line->got, c->n);
    gust_waitgroup_done(&c->line->group);
}

/* Returns with the customer in the queue, as the last, or served. */
static void customer_start(struct customer *c)
{
    size_t before = queue_len(&c->line->s.waiters);
    gust_waitgroup_add(&c->line->group, 1);
    go(ask, c);
    AWAIT(queue_len(&c->line->s.waiters) == before + 1);
}

static void line_close(struct line *l)
{
    CHECK_EQ(gust_waitgroup_wait(&l->group, SOON), 0);
    check_at_rest(&l->s);
    CHECK_EQ(gust_chan_len(l->got), 0);
    gust_chan_unref(l->got);
}

static int order_main(void *arg)
{
    struct line l = {.s = GUST_SEMAPHORE_INIT(10), .got = chan_make(sizeof(int), 4)};
    struct customer c[4];
    (void)arg;
    CHECK_EQ(gust_semaphore_acquire(&l.s, 10, GUST_NOW), 0);
    for (int i = 0; i < 4; i++) {
        c[i] = (struct customer){&l, i + 1, GUST_FOREVER, 0};
        customer_start(&c[i]);
    }
    gust_semaphore_release(&l.s, 1);
    CHECK_EQ(recv_int(l.got), 1);
    gust_semaphore_release(&l.s, 1); /* not enough for the next */
    CHECK_EQ(queue_len(&l.s.waiters), 3);
    gust_semaphore_release(&l.s, 1);
    CHECK_EQ(recv_int(l.got), 2);
    CHECK_EQ(queue_len(&l.s.waiters), 2);
    gust_semaphore_release(&l.s, 7); /* both of the rest */
    CHECK_EQ(queue_len(&l.s.waiters), 0);
    CHECK_EQ(recv_int(l.got) + recv_int(l.got), 3 + 4);
    gust_semaphore_release(&l.s, 10);
    line_close(&l);
    return 0;
}

Test(semaphore, first_come_first_served)
{
    test_run(order_main, NULL);
}

/* TestLargeAcquireDoesntStarve: while somebody waits for all, nobody overtakes. */
static void take_one_often(void *arg)
{
    struct line *l = arg;
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(gust_semaphore_acquire(&l->s, 1, SOON), 0);
        gust_yield();
        gust_semaphore_release(&l->s, 1);
    }
    gust_waitgroup_done(&l->group);
}

static int large_main(void *arg)
{
    struct line l = {.s = GUST_SEMAPHORE_INIT(3), .got = chan_make(sizeof(int), 1)};
    struct customer all = {&l, 3, GUST_FOREVER, 0};
    (void)arg;
    CHECK_EQ(gust_semaphore_acquire(&l.s, 1, GUST_NOW), 0);
    customer_start(&all);
    CHECK_EQ(gust_semaphore_acquire(&l.s, 1, GUST_NOW), -EAGAIN); /* although there is one */
    gust_waitgroup_add(&l.group, 6);
    for (int i = 0; i < 6; i++)
        go(take_one_often, &l);
    AWAIT(queue_len(&l.s.waiters) == 7);
    gust_semaphore_release(&l.s, 1);
    CHECK_EQ(recv_int(l.got), 3);
    CHECK_EQ(queue_len(&l.s.waiters), 6);
    gust_semaphore_release(&l.s, 3);
    line_close(&l);
    return 0;
}

Test(semaphore, a_large_request_is_not_overtaken_by_small_ones)
{
    test_run(large_main, NULL);
}

/* TestAllocCancelDoesntStarve: the head gives up, and those behind it fit, as far
 * as they do.  False if the head left before all were there. */
static bool head_leaves(gust_time patience)
{
    struct line l = {.s = GUST_SEMAPHORE_INIT(10), .got = chan_make(sizeof(int), 4)};
    struct customer c[4] = {{&l, 10, patience, 0},
                            {&l, 1, GUST_FOREVER, 0},
                            {&l, 2, GUST_FOREVER, 0},
                            {&l, 7, GUST_FOREVER, 0}};
    bool in_time;
    CHECK_EQ(gust_semaphore_acquire(&l.s, 1, GUST_NOW), 0);
    gust_waitgroup_add(&l.group, 4);
    for (size_t i = 0; i < 4; i++) {
        go(ask, &c[i]);
        AWAIT(queue_len(&l.s.waiters) == i + 1 || c[0].err != 0);
    }
    in_time = c[0].err == 0;
    /* Nothing is released: these get in because the head leaves. */
    int first = recv_int(l.got), second = recv_int(l.got);
    if (in_time) {
        CHECK_EQ(first + second, 1 + 2);
        CHECK_EQ(queue_len(&l.s.waiters), 1);
    }
    gust_semaphore_release(&l.s, 1);
    recv_int(l.got);
    gust_semaphore_release(&l.s, 10);
    line_close(&l);
    CHECK_EQ(c[0].err, -ETIMEDOUT);
    return in_time;
}

static int head_leaves_main(void *arg)
{
    gust_time patience = 10 * GUST_MS;
    (void)arg;
    while (!head_leaves(patience))
        patience *= 2;
    return 0;
}

Test(semaphore, those_behind_a_request_that_gives_up_are_let_in_if_they_fit)
{
    test_run(head_leaves_main, NULL);
}

/* --- Stress: TestWeighted -------------------------------------------------------------- */

struct hammer {
    gust_semaphore s;
    gust_waitgroup group;
    _Atomic uint64_t seed;
    _Atomic int64_t held;
    int rounds;
};

static void take_and_give(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    for (int i = 0; i < h->rounds; i++) {
        int64_t n = (int64_t)(test_rand(&rand) % (uint64_t)(h->s.size + 1));
        gust_time deadline =
            test_rand(&rand) % 4 ? gust_after((int64_t)(test_rand(&rand) % 100) * GUST_US) : SOON;
        int err = gust_semaphore_acquire(&h->s, n, deadline);
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err < 0)
            continue;
        CHECK(atomic_fetch_add(&h->held, n) + n <= h->s.size);
        if (test_rand(&rand) % 4 == 0)
            gust_sleep((int64_t)(test_rand(&rand) % 40) * GUST_US);
        atomic_fetch_sub(&h->held, n);
        gust_semaphore_release(&h->s, n);
    }
    gust_waitgroup_done(&h->group);
}

static int hammer_main(void *arg)
{
    struct hammer h = {.s = GUST_SEMAPHORE_INIT(7), .rounds = 300, .seed = *(uint64_t *)arg};
    gust_waitgroup_add(&h.group, 12);
    for (int i = 0; i < 12; i++)
        go(take_and_give, &h);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    check_at_rest(&h.s);
    return 0;
}

Test(semaphore, deadlines_racing_with_releases_lose_no_unit)
{
    uint64_t seed = test_seed();
    test_run(hammer_main, &seed);
}

/* The units publish: with one of them, a semaphore is a mutex. */
struct counter {
    gust_semaphore s;
    gust_waitgroup group;
    long count; /* plain: the semaphore guards it */
};

static void count_up(void *arg)
{
    struct counter *c = arg;
    for (int i = 0; i < 500; i++) {
        CHECK_EQ(gust_semaphore_acquire(&c->s, 1, SOON), 0);
        c->count++;
        gust_semaphore_release(&c->s, 1);
    }
    gust_waitgroup_done(&c->group);
}

static int counter_main(void *arg)
{
    struct counter c = {.s = GUST_SEMAPHORE_INIT(1)};
    (void)arg;
    gust_waitgroup_add(&c.group, 8);
    for (int i = 0; i < 8; i++)
        go(count_up, &c);
    CHECK_EQ(gust_waitgroup_wait(&c.group, SOON), 0);
    CHECK_EQ(c.count, 8 * 500);
    check_at_rest(&c.s);
    return 0;
}

Test(semaphore, a_release_is_before_the_acquire_that_follows)
{
    test_run(counter_main, NULL);
}
