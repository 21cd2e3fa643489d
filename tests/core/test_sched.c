/* The scheduler: in which order goroutines run, that nobody is kept waiting for
 * ever, and what park and ready promise. */
#include <stdlib.h>
#include <string.h>

#include "core/demote.h"
#include "tests/core/child.h"
#include "tests/core/procs.h"
#include "tests/core/waiters.h"

/* Who runs when is what these tests are about. */
__attribute__((constructor)) static void order_matters(void)
{
    no_chaos();
    gust__demote_fence_wanted = GUST__FENCE_NONE;
}

static P *my_p(void)
{
    return gust__m()->p;
}

static uint32_t state_of(G *g)
{
    return atomic_load(&g->state);
}

/* One goroutine after the other: what they tell is in order. */
static struct told {
    int at[64];
    int count;
} told;

static void tell(void *arg)
{
    told.at[told.count++] = (int)(intptr_t)arg;
}

/* Every 61st dispatch looks at the global queue first: steers clear of it, so
 * that the next few dispatches are of the own queue. */
static void avoid_global_tick(void)
{
    while (my_p()->dispatches % 61 > 40)
        gust_yield();
}

/* --- Order ------------------------------------------------------------------- */

static int spawn_order_main(void *arg)
{
    (void)arg;
    avoid_global_tick();
    for (intptr_t i = 1; i <= 4; i++)
        go(tell, (void *)i);
    AWAIT(told.count == 4);
    /* The last one is runnext; the others were kicked out of there in order. */
    static const int expected[] = {4, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        CHECK_EQ(told.at[i], expected[i]);
    return 0;
}

Test(scheduler, last_spawned_runs_first_then_the_others_in_order, .init = one_p)
{
    test_run(spawn_order_main, NULL);
}

static int overflow_main(void *arg)
{
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    (void)arg;
    /* 1 in runnext, 256 in the ring: the next one sends half to the global queue. */
    gust_waitgroup_add(&group, 1 + GUST__RUNQ_SIZE + 1);
    for (unsigned i = 0; i < 1 + GUST__RUNQ_SIZE; i++)
        go((void (*)(void *))gust_waitgroup_done, &group);
    CHECK_EQ(atomic_load(&sched.glist_count), 0);
    go((void (*)(void *))gust_waitgroup_done, &group);
    CHECK_EQ(atomic_load(&sched.glist_count), GUST__RUNQ_SIZE / 2 + 1);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    CHECK_EQ(atomic_load(&sched.glist_count), 0);
    return 0;
}

Test(scheduler, full_queue_overflows_to_the_global_one, .init = one_p)
{
    test_run(overflow_main, NULL);
}

/* --- Yield ------------------------------------------------------------------- */

static void note_ran(void *arg)
{
    told.count++;
    CHECK_EQ(state_of(arg), G_RUNNABLE);
}

/* `others` are queued before it, some of them in the global queue if they are many. */
static void yield_behind(int others)
{
    G *me = gust__g();
    told.count = 0;
    CHECK_EQ(state_of(me), G_RUNNING);
    for (int i = 0; i < others; i++)
        go(note_ran, me);
    CHECK_EQ(atomic_load(&sched.glist_count) > 0, others > (int)GUST__RUNQ_SIZE);
    gust_yield();
    CHECK_EQ(state_of(me), G_RUNNING);
    CHECK_EQ(told.count, others);
}

static int yield_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) { /* by g0 and directly */
        avoid_global_tick();
        go(note_ran, gust__g()); /* which has its stack then */
        gust_yield();
        yield_behind(1 + i % 3);
    }
    avoid_global_tick();
    yield_behind(GUST__RUNQ_SIZE + 20);
    return 0;
}

Test(scheduler, yield_goes_behind_everybody, .init = one_p)
{
    test_run(yield_main, NULL);
}

static int yield_local_main(void *arg)
{
    (void)arg;
    avoid_global_tick();
    go(tell, NULL);
    gust__yield_local();
    CHECK_EQ(told.count, 1);
    CHECK_EQ(atomic_load(&sched.glist_count), 0);
    return 0;
}

Test(scheduler, local_yield_lets_the_own_queue_run, .init = one_p)
{
    test_run(yield_local_main, NULL);
}

/* --- Nobody starves ------------------------------------------------------------ */

static bool enough;

static void keep_busy(void *arg)
{
    (void)arg;
    while (!enough)
        gust__yield_local();
}

static int global_tick_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        go(keep_busy, NULL);
    for (int i = 0; i < 20; i++) {
        uint32_t before = my_p()->dispatches;
        gust_yield();
        CHECK(my_p()->dispatches - before <= 61);
    }
    enough = true;
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(scheduler, global_queue_has_its_turn_every_61st_dispatch, .init = one_p)
{
    test_run(global_tick_main, NULL);
}

static struct pair {
    gust_chan *there, *back;
} pair;

static void pong(void *arg)
{
    (void)arg;
    while (gust_chan_recv(pair.there, NULL, SOON) == 1)
        CHECK_EQ(gust_chan_send(pair.back, NULL, SOON), 0);
}

static void ping(void *arg)
{
    (void)arg;
    while (!enough) {
        CHECK_EQ(gust_chan_send(pair.there, NULL, SOON), 0);
        CHECK_EQ(gust_chan_recv(pair.back, NULL, SOON), 1);
    }
    gust_chan_close(pair.there);
}

static int inherit_main(void *arg)
{
    (void)arg;
    pair.there = chan_make(0, 0);
    pair.back = chan_make(0, 0);
    go(pong, NULL);
    go(ping, NULL);
    for (int i = 0; i < 20; i++) {
        uint32_t before = my_p()->dispatches;
        gust__yield_local();
        CHECK(my_p()->dispatches - before <= 64 + 4);
    }
    enough = true;
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(pair.there);
    gust_chan_unref(pair.back);
    return 0;
}

Test(scheduler, pair_that_hands_over_in_runnext_starves_nobody, .init = one_p)
{
    test_run(inherit_main, NULL);
}

static void sleep_and_stop(void *arg)
{
    (void)arg;
    gust_sleep(5 * GUST_MS);
    enough = true;
}

static int busy_timers_main(void *arg)
{
    (void)arg;
    go(sleep_and_stop, NULL);
    go(keep_busy, NULL);
    keep_busy(NULL);
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(scheduler, timers_fire_though_the_queue_is_never_empty, .init = one_p)
{
    test_run(busy_timers_main, NULL);
}

/* --- Park and ready ------------------------------------------------------------ */

#define PARKED 6

static struct lot {
    gust__lock lock;
    _Atomic(G *) gs[PARKED];
} lot;

static bool lot_commit(G *g, void *arg)
{
    CHECK_EQ(state_of(g), G_PARKED);
    atomic_store((_Atomic(G *) *)arg, g);
    return true;
}

static void park_in_lot(void *arg)
{
    intptr_t i = (intptr_t)arg;
    gust__park(lot_commit, &lot.gs[i], WAIT_SELECT);
    tell(arg);
}

static void fill_lot(void)
{
    for (intptr_t i = 0; i < PARKED; i++) {
        go(park_in_lot, (void *)i);
        AWAIT(atomic_load(&lot.gs[i]));
        CHECK_EQ(state_of(lot.gs[i]), G_PARKED);
        CHECK_EQ(lot.gs[i]->wait, WAIT_SELECT);
    }
}

static int ready_tail_main(void *arg)
{
    (void)arg;
    fill_lot();
    avoid_global_tick();
    for (int i = 0; i < PARKED; i++) {
        gust__ready_tail(lot.gs[i]);
        CHECK_EQ(state_of(lot.gs[i]), G_RUNNABLE);
    }
    AWAIT(told.count == PARKED);
    for (int i = 0; i < PARKED; i++)
        CHECK_EQ(told.at[i], i);
    return 0;
}

Test(scheduler, ready_tail_is_first_in_first_out, .init = one_p)
{
    test_run(ready_tail_main, NULL);
}

static int ready_next_main(void *arg)
{
    (void)arg;
    fill_lot();
    avoid_global_tick();
    for (int i = 0; i < PARKED; i++)
        gust__ready(lot.gs[i]);
    AWAIT(told.count == PARKED);
    CHECK_EQ(told.at[0], PARKED - 1);
    for (int i = 1; i < PARKED; i++)
        CHECK_EQ(told.at[i], i - 1);
    return 0;
}

Test(scheduler, ready_runs_next, .init = one_p)
{
    test_run(ready_next_main, NULL);
}

#ifdef GUST_DEBUG
static int ready_outside_main(void *arg)
{
    (void)arg;
    fill_lot();
    (gust__ready)(lot.gs[0]);
    return 0;
}

static int ready_running_main(void *arg)
{
    (void)arg;
    gust__ready(gust__g());
    return 0;
}

static int (*wrong_main)(void *arg);

static void do_wrong(void)
{
    gust_run(wrong_main, NULL);
}

static void assert_complaint(int (*main_fn)(void *arg), const char *words)
{
    char text[4096];
    wrong_main = main_fn;
    int status = child_run(do_wrong, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%x %s", status, text);
    cr_assert_not_null(strstr(text, words), "%s", text);
}

Test(scheduler, ready_is_for_the_parked_and_in_a_call, .init = one_p)
{
    assert_complaint(ready_outside_main, "made ready outside of a call");
    assert_complaint(ready_running_main, "made ready in state");
}
#endif

static bool refuse(G *g, void *arg)
{
    CHECK_EQ(state_of(g), G_PARKED);
    *(int *)arg += 1;
    return false;
}

static int refuse_main(void *arg)
{
    int refused = 0;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        gust__park(refuse, &refused, WAIT_IO);
        CHECK_EQ(state_of(gust__g()), G_RUNNING);
    }
    CHECK_EQ(refused, 100);
    return 0;
}

Test(scheduler, commit_may_refuse_to_park)
{
    test_run(refuse_main, NULL);
}

/* --- From goroutine to goroutine --------------------------------------------- */

static struct {
    _Atomic(G *) parked;
    _Atomic int committed_by_other; /* commits that ran on another goroutine's stack */
    bool refuse;
} handed_over;

/* Nobody makes the scheduler go by g0 in the next few dispatches. */
static void avoid_ticks(void)
{
    while (my_p()->dispatches % 61 > 40 || my_p()->dispatches % 16 > 8)
        gust_yield();
}

static bool note_who_commits(G *g, void *arg)
{
    (void)arg;
    CHECK_EQ(state_of(g), G_PARKED);
    if (gust__g() != g)
        atomic_fetch_add(&handed_over.committed_by_other, 1);
    handed_over.parked = g;
    return !handed_over.refuse;
}

static void wake_parked(void *arg)
{
    (void)arg;
    while (!handed_over.refuse && told.count == 0) {
        if (handed_over.parked && state_of(handed_over.parked) == G_PARKED)
            gust__ready(handed_over.parked);
        gust__yield_local(); /* stays in this P's queue */
    }
}

static int direct_main(void *arg)
{
    (void)arg;
    go(wake_parked, NULL);
    gust_yield(); /* it has a stack now, and is in the queue */
    for (int i = 0; i < 10; i++) {
        avoid_ticks();
        gust__park(note_who_commits, NULL, WAIT_IO);
    }
    CHECK(atomic_load(&handed_over.committed_by_other) >= 5);
    told.count = 1;
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(scheduler, a_goroutine_that_parks_switches_to_the_next_itself, .init = one_p)
{
    test_run(direct_main, NULL);
}

/* Refused on another's stack: runs again, and what it handed to g0 runs too. */
static int refused_elsewhere_main(void *arg)
{
    (void)arg;
    handed_over.refuse = true;
    for (intptr_t i = 0; i < 32; i++) {
        go(tell, (void *)i); /* has no stack: g0 is to attach one */
        go(tell, (void *)i);
        gust__park(note_who_commits, NULL, WAIT_IO);
        CHECK_EQ(state_of(gust__g()), G_RUNNING);
        avoid_ticks();
        gust__park(note_who_commits, NULL, WAIT_IO);
    }
    AWAIT(told.count == 64);
    return 0;
}

Test(scheduler, a_refused_park_loses_nobody_it_has_handed_over, .init = one_p)
{
    test_run(refused_elsewhere_main, NULL);
}

static void park_and_refuse(void *arg)
{
    gust__yield_local(); /* until the others have stacks, too */
    for (int i = 0; i < 200; i++)
        gust__park(note_who_commits, NULL, WAIT_IO);
    ++*(int *)arg;
}

static int refused_pair_main(void *arg)
{
    int ended = 0;
    (void)arg;
    handed_over.refuse = true;
    for (int i = 0; i < 3; i++)
        go(park_and_refuse, &ended);
    AWAIT(ended == 3);
    CHECK(atomic_load(&handed_over.committed_by_other) > 0);
    return 0;
}

Test(scheduler, a_park_refused_on_another_stack_goes_on_later, .init = one_p)
{
    test_run(refused_pair_main, NULL);
}

static int lone_yield_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint32_t slices = atomic_load(&my_p()->schedtick), dispatches = my_p()->dispatches;
        gust_yield();
        CHECK_EQ(atomic_load(&my_p()->schedtick), slices + 1);
        CHECK_EQ(my_p()->dispatches, dispatches + 1);
    }
    return 0;
}

Test(scheduler, a_yield_with_nobody_else_begins_a_new_slice, .init = one_p)
{
    test_run(lone_yield_main, NULL);
}

static void sleep_and_tell(void *arg)
{
    gust_sleep(GUST_MS);
    tell(arg);
}

/* One yield after the timer is due is enough. */
static int due_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        go(sleep_and_tell, NULL);
        gust_time due;
        AWAIT((due = gust__timers_earliest(&my_p()->timers)) != GUST_FOREVER);
        while (gust_now() < due)
            gust__cpu_relax();
        gust_yield();
        CHECK_EQ(told.count, i + 1);
    }
    return 0;
}

Test(scheduler, a_yield_sees_to_timers_that_are_due, .init = one_p)
{
    test_run(due_main, NULL);
}

static _Atomic bool yielder_ran;

static void spin_for_yielder(void *arg)
{
    gust__park(note_who_commits, arg, WAIT_IO);
    for (gust_time end = SOON; !atomic_load(&yielder_ran);)
        CHECK(gust_now() < end);
}

/* It gives its P to one that does not let go of it: another P takes it. */
static int yield_behind_main(void *arg)
{
    (void)arg;
    go(spin_for_yielder, NULL);
    AWAIT(handed_over.parked && state_of(handed_over.parked) == G_PARKED);
    gust__ready(handed_over.parked);
    gust_yield();
    atomic_store(&yielder_ran, true);
    return 0;
}

Test(scheduler, who_yields_to_a_hog_runs_on_another_p)
{
    setenv("GUST_MAXPROCS", "2", 1);
    test_run(yield_behind_main, NULL);
}

static int solo_main(void *arg)
{
    CHECK_EQ(gust__solo, gust_maxprocs() == 1);
    CHECK_EQ(gust__solo, *(bool *)arg);
    return 0;
}

Test(scheduler, a_single_p_is_alone_while_the_runtime_runs)
{
    bool solo = true;
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(solo_main, &solo);
    cr_assert(!gust__solo);
    solo = false;
    setenv("GUST_MAXPROCS", "2", 1);
    test_run(solo_main, &solo);
}

static bool unlock_commit(G *g, void *arg)
{
    atomic_store(&lot.gs[0], g);
    return gust__park_unlock(g, arg);
}

static void waker(void *arg)
{
    (void)arg;
    GUST__CALL();
    gust__lock_take(&lot.lock, RANK_CHAN);
    G *g = atomic_load(&lot.gs[0]);
    gust__lock_drop(&lot.lock);
    CHECK_EQ(state_of(g), G_PARKED);
    told.count = 99;
    gust__ready(g);
}

static int park_unlock_main(void *arg)
{
    (void)arg;
    GUST__CALL();
    gust__lock_take(&lot.lock, RANK_CHAN);
    go(waker, NULL); /* stands at the lock, if another P runs it at once */
    gust__park(unlock_commit, &lot.lock, WAIT_CHAN_RECV);
    CHECK_EQ(told.count, 99);
    return 0;
}

Test(scheduler, park_drops_the_lock_only_when_the_goroutine_is_off_its_stack)
{
    test_run(park_unlock_main, NULL);
}

#ifdef GUST_DEBUG
static int double_ready_main(void *arg)
{
    (void)arg;
    fill_lot();
    gust__ready(lot.gs[0]);
    gust__ready(lot.gs[0]);
    return 0;
}

Test(scheduler, second_ready_is_a_broken_invariant, .init = one_p, .signal = SIGABRT)
{
    gust_run(double_ready_main, NULL);
}
#endif

static void lifetime(void *arg)
{
    G **self = arg;
    *self = gust__g();
    gust__park(lot_commit, &lot.gs[0], WAIT_IO);
}

static int states_main(void *arg)
{
    G *g = NULL;
    (void)arg;
    go(lifetime, &g);
    AWAIT(atomic_load(&lot.gs[0]));
    CHECK(lot.gs[0] == g);
    CHECK_EQ(state_of(g), G_PARKED);
    CHECK(gust__g_select_done(g) == &g->select_done);
    gust__ready(g);
    CHECK_EQ(state_of(g), G_RUNNABLE);
    AWAIT(gust_num_goroutines() == 1);
    CHECK_EQ(state_of(g), G_DEAD);
    CHECK(!g->stack.low);
    return 0;
}

Test(scheduler, goroutine_goes_through_its_states, .init = one_p)
{
    test_run(states_main, NULL);
}

/* --- Stealing ---------------------------------------------------------------- */

static struct steals {
    _Atomic int left;
    _Atomic int on_p[2];
} steals;

static void steal_me(void *arg)
{
    (void)arg;
    atomic_fetch_add(&steals.on_p[my_p()->id], 1);
    atomic_fetch_sub(&steals.left, 1);
}

static bool lost_time_slice(void)
{
    gust_stats stats;
    gust_stats_read(&stats);
    return stats.demotions + stats.preemptions > 0;
}

/* Whoever spawns goes on without a gust call: all must run on the other P, unless
 * the machine is so busy that the spawner has used up its time slice. */
static int steal_main(void *arg)
{
    gust_stats stats;
    (void)arg;
    for (int round = 0; round < 50; round++) {
        atomic_store(&steals.left, 20);
        for (int i = 0; i < 20; i++)
            go(steal_me, NULL);
        for (gust_time end = gust_after(20 * GUST_SEC); atomic_load(&steals.left);)
            CHECK(gust_now() < end);
        CHECK(atomic_load(&steals.on_p[my_p()->id]) == 0 || lost_time_slice());
    }
    gust_stats_read(&stats);
    CHECK(stats.steals > 0);
    CHECK(stats.wakes > 0);
    CHECK(stats.spins > 0);
    CHECK(stats.threads >= 2);
    return 0;
}

Test(scheduler, idle_p_steals_what_a_busy_one_has_queued)
{
    setenv("GUST_MAXPROCS", "2", 1);
    test_run(steal_main, NULL);
}

static int sleeps_main(void *arg)
{
    gust_stats stats;
    (void)arg;
    /* Not each time: the M may be kept off its CPU until the sleep is over. */
    do {
        gust_sleep(GUST_MS);
        gust_stats_read(&stats);
    } while (stats.sleeps == 0);
    return 0;
}

Test(scheduler, idle_m_sleeps_in_its_poller)
{
    test_run(sleeps_main, NULL);
}

static int one_p_stats_main(void *arg)
{
    gust_stats stats;
    (void)arg;
    for (int i = 0; i < 100; i++)
        go(tell, NULL), gust_yield(), told.count = 0;
    gust_stats_read(&stats);
    CHECK_EQ(stats.steals, 0);
    CHECK_EQ(stats.wakes, 0);
    CHECK_EQ(stats.spins, 0);
    CHECK_EQ(stats.threads, 1);
    return 0;
}

Test(scheduler, one_p_neither_steals_nor_wakes_nor_starts_threads, .init = one_p)
{
    test_run(one_p_stats_main, NULL);
}

/* --- Small answers ------------------------------------------------------------- */

Test(scheduler, every_wait_has_a_name)
{
    for (int why = WAIT_NONE; why <= WAIT_IO; why++) {
        const char *name = gust__wait_name((gust__wait)why);
        cr_assert_not_null(name);
        cr_assert_str_neq(name, "?");
        for (int other = WAIT_NONE; other < why; other++)
            cr_assert_str_neq(name, gust__wait_name((gust__wait)other));
    }
    cr_assert_str_eq(gust__wait_name((gust__wait)99), "?");
}

static int can_spin_main(void *arg)
{
    (void)arg;
    CHECK(!gust__can_spin());
    return 0;
}

Test(scheduler, spinning_for_a_lock_never_pays_on_one_p, .init = one_p)
{
    test_run(can_spin_main, NULL);
}

static int rand_main(void *arg)
{
    uint64_t differing = 0, last = gust__rand64();
    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint64_t next = gust__rand64();
        CHECK(next != 0);
        differing |= next ^ last;
        last = next;
    }
    CHECK(__builtin_popcountll(differing) > 56);
    return 0;
}

Test(scheduler, random_numbers_differ)
{
    test_run(rand_main, NULL);
}
