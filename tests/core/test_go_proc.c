/* The scheduler against what Go's own scheduler tests check, where test_sched.c,
 * test_runq.c and test_demote.c do not: each test names the Go test it answers to. */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/core/procs.h"
#include "tests/core/waiters.h"

/* Burns CPU, without a call of gust, until `word` has a value. */
static void spin_until(_Atomic int *word, int value)
{
    for (gust_time end = gust_after(30 * GUST_SEC); atomic_load(word) != value;)
        CHECK(gust_now() < end);
}

/* --- Everybody gets on ------------------------------------------------------------------ */

struct poll {
    gust_chan *asked, *answered;
};

static void poll_and_yield(void *arg)
{
    struct poll *p = arg;
    while (gust_chan_recv(p->asked, NULL, GUST_NOW) != 1)
        gust_yield();
    CHECK_EQ(gust_chan_send(p->answered, NULL, SOON), 0);
}

static int poll_main(void *arg)
{
    struct poll p = {chan_make(0, 0), chan_make(0, 0)};
    (void)arg;
    for (int i = 0; i < 100; i++) {
        go(poll_and_yield, &p);
        CHECK_EQ(gust_chan_send(p.asked, NULL, SOON), 0);
        CHECK_EQ(gust_chan_recv(p.answered, NULL, SOON), 1);
    }
    gust_chan_unref(p.asked);
    gust_chan_unref(p.answered);
    return 0;
}

/* Go's TestYieldProgress. */
Test(proc, who_polls_and_yields_lets_the_one_it_polls_for_run)
{
    test_run(poll_main, NULL);
}

/* A baton that wanders among goroutines that never call gust while they wait. */
struct baton {
    _Atomic int at;
    gust_waitgroup group;
    int runners, rounds;
    _Atomic int next_number;
};

static void baton_run(void *arg)
{
    struct baton *b = arg;
    int number = b->next_number++;
    for (int i = 0; i < b->rounds; i++) {
        spin_until(&b->at, i * b->runners + number);
        b->at++;
    }
    gust_waitgroup_done(&b->group);
}

static void baton_run_two(void *arg)
{
    go(baton_run, arg);
    go(baton_run, arg);
}

static void baton_check(int runners, void (*start)(void *arg), int starts)
{
    struct baton b = {.runners = runners, .rounds = 3};
    gust_waitgroup_add(&b.group, runners);
    for (int i = 0; i < starts; i++)
        go(start, &b);
    CHECK_EQ(gust_waitgroup_wait(&b.group, SOON), 0);
    CHECK_EQ(b.at, 3 * runners);
    AWAIT(gust_num_goroutines() == 1);
}

static int parallel_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        baton_check(gust_maxprocs(), baton_run, gust_maxprocs());
    return 0;
}

/* Go's TestGoroutineParallelism. */
Test(proc, as_many_goroutines_as_ps_run_at_the_same_time)
{
    setenv("GUST_MAXPROCS", "3", 1);
    test_run(parallel_main, NULL);
}

static int nested_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        baton_check(4, baton_run, 4); /* the threads are about to sleep after this */
        baton_check(4, baton_run_two, 2);
    }
    return 0;
}

/* Go's TestGoroutineParallelism2. */
Test(proc, goroutines_that_others_started_run_at_the_same_time_too)
{
    setenv("GUST_MAXPROCS", "4", 1);
    test_run(nested_main, NULL);
}

static int preempt_main(void *arg)
{
    (void)arg;
    baton_check(2, baton_run, 2);
    return 0;
}

/* Go's TestPreemption and TestAsyncPreempt. */
Test(proc, two_that_wait_for_each_other_without_a_call_share_one_p, .init = one_p)
{
    test_run(preempt_main, NULL);
}

struct announced {
    gust_chan *told;
    _Atomic bool stop;
    int64_t ns;
};

static void call_until_told(void *arg)
{
    struct announced *a = arg;
    CHECK_EQ(gust_chan_send(a->told, NULL, SOON), 0);
    while (!a->stop) {
        gust_blocking_begin();
        for (gust_time end = gust_after(a->ns); gust_now() < end;)
            continue;
        gust_blocking_end();
    }
    CHECK_EQ(gust_chan_send(a->told, NULL, SOON), 0);
}

static int announced_main(void *arg)
{
    enum { CALLERS = 8 };
    (void)arg;
    for (int64_t ns = 10 * GUST_US; ns <= GUST_MS; ns *= 10) {
        struct announced a = {.told = chan_make(0, CALLERS), .ns = ns};
        for (int i = 0; i < CALLERS; i++)
            go(call_until_told, &a);
        for (int i = 0; i < CALLERS; i++)
            CHECK_EQ(gust_chan_recv(a.told, NULL, SOON), 1);
        a.stop = true;
        for (int i = 0; i < CALLERS; i++)
            CHECK_EQ(gust_chan_recv(a.told, NULL, SOON), 1);
        AWAIT(gust_num_goroutines() == 1);
        gust_chan_unref(a.told);
    }
    return 0;
}

/* Go's TestPreemptionAfterSyscall. */
Test(proc, goroutines_in_short_blocking_calls_do_not_keep_others_from_starting, .init = two_ps)
{
    test_run(announced_main, NULL);
}

/* --- Timers among busy goroutines ---------------------------------------------------------- */

struct chatter {
    gust_chan *talk, *done, *due;
    gust_waitgroup group;
};

static void due_ring(void *arg)
{
    gust_chan_close(arg);
}

static gust_timer *due_after(gust_chan *due, int64_t ns)
{
    gust_timer *t = NULL;
    CHECK_EQ(gust_timer_new(due_ring, due, &t), 0);
    CHECK(!gust_timer_reset(t, gust_after(ns)));
    return t;
}

static void chatter_talk(void *arg)
{
    struct chatter *k = arg;
    gust_case cases[2] = {{.op = GUST_SEND, .chan = k->talk}, {.op = GUST_RECV, .chan = k->done}};
    while (gust_select(cases, 2, SOON) == 0)
        continue;
    gust_waitgroup_done(&k->group);
}

static int fairness_main(void *arg)
{
    struct chatter k = {chan_make(0, 0), chan_make(0, 0), chan_make(0, 0), GUST_WAITGROUP_INIT};
    gust_case cases[2] = {{.op = GUST_RECV, .chan = k.talk}, {.op = GUST_RECV, .chan = k.due}};
    gust_timer *t = due_after(k.due, 20 * GUST_MS);
    (void)arg;
    gust_waitgroup_add(&k.group, 2);
    go(chatter_talk, &k);
    go(chatter_talk, &k);
    for (gust_time end = SOON; gust_select(cases, 2, SOON) == 0;)
        CHECK(gust_now() < end);
    gust_chan_close(k.done);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    gust_timer_free(t);
    gust_chan_unref(k.talk);
    gust_chan_unref(k.done);
    gust_chan_unref(k.due);
    return 0;
}

/* Go's TestTimerFairness. */
Test(proc, a_timer_fires_though_channels_keep_the_only_p_busy, .init = one_p)
{
    test_run(fairness_main, NULL);
}

Test(proc, a_timer_fires_though_channels_keep_every_p_busy)
{
    test_run(fairness_main, NULL);
}

static void chatter_both_ways(void *arg)
{
    struct chatter *k = arg;
    gust_chan *due = chan_make(0, 0);
    gust_timer *t = due_after(due, 20 * GUST_MS);
    gust_case cases[3] = {{.op = GUST_SEND, .chan = k->talk},
                          {.op = GUST_RECV, .chan = k->talk},
                          {.op = GUST_RECV, .chan = due}};
    do {
        gust_blocking_begin();
        gust_blocking_end();
    } while (gust_select(cases, 3, SOON) < 2);
    gust_timer_free(t);
    gust_chan_unref(due);
    gust_waitgroup_done(&k->group);
}

static int fairness_both_main(void *arg)
{
    struct chatter k = {.talk = chan_make(0, 0)};
    (void)arg;
    gust_waitgroup_add(&k.group, 2);
    go(chatter_both_ways, &k);
    go(chatter_both_ways, &k);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    gust_chan_unref(k.talk);
    return 0;
}

/* Go's TestTimerFairness2. */
Test(proc, a_timer_fires_though_channels_and_blocking_calls_keep_its_p_busy)
{
    test_run(fairness_both_main, NULL);
}

/* --- The run queue, the M, the number of Ps ------------------------------------------------ */

static struct emptiness {
    gust__runq queue;
    _Atomic int there; /* of the two threads, in both rounds so far */
    _Atomic bool found_empty;
} emptiness;

enum { EMPTY_ROUNDS = 5000 };

static void emptiness_meet(int round)
{
    emptiness.there++;
    for (int spins = 0; emptiness.there < 2 * (round + 1); spins++) {
        gust__cpu_relax();
        if (spins > 1000)
            sched_yield();
    }
}

static void *emptiness_look(void *arg)
{
    (void)arg;
    for (int i = 0; i < EMPTY_ROUNDS; i++) {
        emptiness_meet(2 * i);
        if (gust__runq_empty(&emptiness.queue))
            emptiness.found_empty = true;
        emptiness_meet(2 * i + 1);
    }
    return NULL;
}

static void emptiness_put(G *g, bool next)
{
    gust__glist overflow;
    if (next)
        g = gust__runq_set_next(&emptiness.queue, g);
    if (g)
        gust__runq_push(&emptiness.queue, g, &overflow);
}

/* Go's TestSchedLocalQueueEmpty: one G or two are in it all the time. */
Test(runq, never_looks_empty_while_one_goes_out_and_another_comes_in)
{
    static G gs[2];
    pthread_t thread;
    bool inherit;
    cr_assert_eq(pthread_create(&thread, NULL, emptiness_look, NULL), 0);
    for (int i = 0; i < EMPTY_ROUNDS; i++) {
        emptiness_put(&gs[0], i & 1);
        emptiness_meet(2 * i);
        emptiness_put(&gs[1], i & 2);
        cr_assert_not_null(gust__runq_pop(&emptiness.queue, &inherit));
        emptiness_meet(2 * i + 1);
        cr_assert_not_null(gust__runq_pop(&emptiness.queue, &inherit));
    }
    pthread_join(thread, NULL);
    cr_assert_not(emptiness.found_empty);
}

static _Atomic int switched; /* from one thread to another */

static void check_m(void *arg)
{
    pid_t before = 0;
    for (int i = 0; i < 2000; i++) {
        GUST__CALL();
        CHECK_EQ(gust__m()->tid, gettid());
        gust_yield();
        CHECK_EQ(gust__m()->tid, gettid());
        CHECK(gust__m()->curg == gust__g() && gust__m()->p);
        switched += before && before != gettid();
        before = gettid();
    }
    gust_waitgroup_done(arg);
}

static int check_m_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    for (gust_time end = SOON; switched == 0;) {
        CHECK(gust_now() < end);
        gust_waitgroup_add(&group, 6);
        for (int i = 0; i < 6; i++)
            go(check_m, &group);
        CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    }
    return 0;
}

/* Go's TestGetgThreadSwitch. */
Test(proc, the_current_m_is_its_threads_also_in_a_function_that_changed_threads, .init = two_ps)
{
    test_run(check_m_main, NULL);
}

static int big_main(void *arg)
{
    (void)arg;
    CHECK_EQ(gust_maxprocs(), 1024);
    baton_check(4, baton_run, 4);
    return 0;
}

/* Go's TestBigGOMAXPROCS.  A P has two descriptors. */
Test(proc, a_thousand_ps_need_descriptors_and_nothing_else)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    setenv("GUST_MAXPROCS", "1024", 1);
    if (limit.rlim_max > 2 * 1024 + 100)
        test_run(big_main, NULL);
    else
        cr_assert_eq(gust_run(big_main, NULL), -EMFILE);
}
