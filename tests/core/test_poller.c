/* A poller by itself: sleeping and waking, with threads and without a scheduler,
 * and what becomes of operations when it closes. */
#include <pthread.h>
#include <sys/epoll.h>

#include "core/sched.h"
#include "tests/core/sockets.h"

/* Longer than any test: who sleeps that long was not woken. */
#define LONG_NS (600 * GUST_SEC)

static gust__poller *open_poller(void)
{
    gust__poller *p = NULL;
    cr_assert_eq(gust__netpoll_choose(getenv("GUST_NETPOLL")), 0);
    cr_assert_eq(gust__poller_open(&p), 0);
    return p;
}

/* Completes what was reported, as the owner would.  No op is in flight here, so
 * nothing needs a scheduler. */
static void settle(gust__poller *p)
{
    while (gust__poller_reap(p) > 0)
        continue;
}

Test(poller, a_sleep_ends_at_its_timeout)
{
    gust__poller *p = open_poller();
    gust_time end = gust_after(5 * GUST_MS);
    while (gust_now() < end) {
        gust__poller_sleep(p, end - gust_now());
        settle(p);
    }
    gust__poller_sleep(p, 0);
    gust__poller_close(p);
}

Test(poller, a_wake_before_the_sleep_is_not_lost)
{
    gust__poller *p = open_poller();
    for (int i = 0; i < 100; i++) {
        gust__poller_wake(p);
        gust__poller_wake(p);
        gust__poller_sleep(p, LONG_NS);
        settle(p);
    }
    gust__poller_close(p);
}

Test(poller, one_wake_does_not_end_every_later_sleep)
{
    gust__poller *p = open_poller();
    int rounds = 0;
    gust__poller_wake(p);
    for (gust_time end = gust_after(20 * GUST_MS); gust_now() < end; rounds++) {
        gust__poller_sleep(p, 20 * GUST_MS);
        settle(p);
    }
    cr_assert_lt(rounds, 10, "%d sleeps in 20 ms", rounds);
    gust__poller_close(p);
}

/* --- Wakes from another thread ----------------------------------------------- */

static _Atomic bool sleeper_ended;

static void *sleep_once(void *arg)
{
    gust__poller_sleep(arg, LONG_NS);
    atomic_store(&sleeper_ended, true);
    return NULL;
}

/* A sleeper whose wake was reaped by another thread; repeated, because the wake
 * that says so here may come before the sleep. */
Test(poller, wake_again_wakes_though_a_wake_is_pending)
{
    for (int i = 0; i < 50; i++) {
        gust__poller *p = open_poller();
        pthread_t thread;
        atomic_store(&sleeper_ended, false);
        pthread_create(&thread, NULL, sleep_once, p);
        while (!atomic_load(&sleeper_ended)) {
            atomic_store(&p->wake_pending, 1);
            sched_yield();
            gust__poller_wake_again(p);
        }
        pthread_join(thread, NULL);
        gust__poller_close(p);
    }
}

enum { WAKES = 20000 };

struct bell {
    gust__poller *poller;
    _Atomic int rung, answered;
};

static void *ring(void *arg)
{
    struct bell *b = arg;
    for (int i = 1; i <= WAKES; i++) {
        b->rung = i;
        gust__poller_wake(b->poller);
        while (b->answered < i)
            sched_yield();
    }
    return NULL;
}

/* Sleeps until `last` wakes were seen; each is answered, so that the next one
 * comes at any moment of the next sleep. */
static void answer(struct bell *b, int last)
{
    while (b->answered < last) {
        gust__poller_sleep(b->poller, LONG_NS);
        settle(b->poller);
        b->answered = b->rung;
    }
}

Test(poller, a_wake_ends_a_sleep_whenever_it_comes)
{
    struct bell b = {.poller = open_poller()};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, ring, &b), 0);
    answer(&b, WAKES);
    pthread_join(thread, NULL);
    gust__poller_close(b.poller);
}

/* Two threads take turns in sleeping, as after a hand-off: each must be woken
 * although the other one has watched the eventfd before. */
struct shift {
    struct bell *bell;
    pthread_mutex_t *turn;
};

static void *answer_in_turns(void *arg)
{
    struct shift *s = arg;
    while (s->bell->answered < WAKES) {
        pthread_mutex_lock(s->turn);
        int next = s->bell->answered + 10;
        answer(s->bell, next < WAKES ? next : WAKES);
        pthread_mutex_unlock(s->turn);
        sched_yield();
    }
    return NULL;
}

Test(poller, a_wake_finds_the_thread_that_sleeps_now)
{
    struct bell b = {.poller = open_poller()};
    pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct shift s = {&b, &turn};
    pthread_t threads[3];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, answer_in_turns, &s), 0);
    cr_assert_eq(pthread_create(&threads[2], NULL, ring, &b), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    gust__poller_close(b.poller);
}

/* --- Operations -------------------------------------------------------------- */

static int busy_main(void *arg)
{
    pair p;
    char byte;
    waiting w = {.result = -1};
    (void)arg;
    pair_open(&p);
    waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
    /* Seen from the P that started it, which may not be this one. */
    AWAIT(gust__poller_busy(gust__poller_current()) || gust_maxprocs() > 1);
    put_byte(&p.b, 'x');
    CHECK_EQ(waiting_end(&w), 1);
    AWAIT(!gust__poller_busy(gust__poller_current()) || gust_maxprocs() > 1);
    pair_close(&p);
    return 0;
}

Test(poller, it_is_busy_while_an_operation_is_in_flight)
{
    test_run(busy_main, NULL);
}

/* More operations than one batch of completions holds, cancelled in one go. */
enum { CROWD = 400 };

static int crowd_main(void *arg)
{
    static waiting all[CROWD];
    static char bytes[CROWD];
    pair p[CROWD / 4];
    (void)arg;
    for (int i = 0; i < CROWD / 4; i++)
        pair_open(&p[i]);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD / 4; i++) {
            waiting_start(&all[i], op_recv(&p[i].a, &bytes[i], 1), SOON);
            waiting_start(&all[i + CROWD / 4], op_recv(&p[i].b, &bytes[i], 1), SOON);
        }
        for (int i = 0; i < CROWD / 2; i++)
            gust__op_cancel(&all[i].op);
        for (int i = 0; i < CROWD / 2; i++)
            CHECK_EQ(waiting_end(&all[i]), -ECANCELED);
    }
    for (int i = 0; i < CROWD / 4; i++)
        pair_close(&p[i]);
    return 0;
}

Test(poller, a_crowd_of_operations_is_cancelled_at_once)
{
    test_run(crowd_main, NULL);
}

Test(poller, a_crowd_is_cancelled_through_full_queues)
{
    gust__netpoll_limits_now =
        (gust__netpoll_limits){.sq_entries = 4, .cq_entries = 8, .buf_count = 2};
    test_run(crowd_main, NULL);
}

/* --- Closing ----------------------------------------------------------------- */

static struct {
    pair pair;
    waiting w;
    char byte;
} left;

static int leave_main(void *arg)
{
    (void)arg;
    left.byte = 'o';
    pair_open(&left.pair);
    left.w = (waiting){.result = 1};
    waiting_start(&left.w, op_recv(&left.pair.a, &left.byte, 1), SOON);
    return 0;
}

/* The program ends gust_run while goroutines wait: nothing may be written to
 * their memory afterwards, and the descriptor can be used by the next gust_run. */
Test(poller, an_operation_left_behind_is_taken_back)
{
    for (int i = 0; i < 3; i++) {
        test_run(leave_main, NULL);
        cr_assert_eq(send(left.pair.b.fd, "x", 1, 0), 1);
        char byte = 0;
        cr_assert_eq(recv(left.pair.a.fd, &byte, 1, MSG_DONTWAIT), 1);
        cr_assert_eq(byte, 'x');
        cr_assert_eq(left.byte, 'o');
        close(left.pair.a.fd);
        close(left.pair.b.fd);
    }
}

static int use_again_main(void *arg)
{
    (void)arg;
    waiting_start(&left.w, op_recv(&left.pair.a, &left.byte, 1), SOON);
    put_byte(&left.pair.b, 'z');
    CHECK_EQ(waiting_end(&left.w), 1);
    CHECK_EQ(left.byte, 'z');
    pair_close(&left.pair);
    return 0;
}

Test(poller, a_descriptor_outlives_the_pollers_that_knew_it)
{
    test_run(leave_main, NULL);
    left.w = (waiting){.result = 1};
    test_run(use_again_main, NULL);
}
