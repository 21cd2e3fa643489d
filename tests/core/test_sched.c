/* The scheduler: in which order goroutines run, that nobody is kept waiting for
 * ever, and what park and ready promise. */
#include <stdlib.h>

#include "core/proc.h"
#include "tests/core/waiters.h"

static P *my_p(void)
{
    return gust__m()->p;
}

static uint32_t state_of(G *g)
{
    return atomic_load(&g->state);
}

/* One goroutine after the other: what they tell is in order. */
static void one_p(void)
{
    setenv("GUST_MAXPROCS", "1", 1);
}

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

Test(sched, last_spawned_runs_first_then_the_others_in_order, .init = one_p)
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

Test(sched, full_queue_overflows_to_the_global_one, .init = one_p)
{
    test_run(overflow_main, NULL);
}

/* --- Yield ------------------------------------------------------------------- */

static void note_global(void *arg)
{
    told.at[told.count++] = (int)atomic_load(&sched.glist_count);
    CHECK_EQ(state_of(arg), G_RUNNABLE);
}

static int yield_main(void *arg)
{
    G *me = gust__g();
    (void)arg;
    avoid_global_tick();
    CHECK_EQ(state_of(me), G_RUNNING);
    go(note_global, me);
    go(note_global, me);
    gust_yield();
    CHECK_EQ(state_of(me), G_RUNNING);
    CHECK_EQ(told.count, 2);
    CHECK_EQ(told.at[0], 1);
    CHECK_EQ(told.at[1], 1);
    return 0;
}

Test(sched, yield_goes_behind_everybody_by_way_of_the_global_queue, .init = one_p)
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

Test(sched, local_yield_lets_the_own_queue_run, .init = one_p)
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

Test(sched, global_queue_has_its_turn_every_61st_dispatch, .init = one_p)
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

Test(sched, pair_that_hands_over_in_runnext_starves_nobody, .init = one_p)
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

Test(sched, timers_fire_though_the_queue_is_never_empty, .init = one_p)
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

Test(sched, ready_tail_is_first_in_first_out, .init = one_p)
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

Test(sched, ready_runs_next, .init = one_p)
{
    test_run(ready_next_main, NULL);
}

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

Test(sched, commit_may_refuse_to_park)
{
    test_run(refuse_main, NULL);
}

static bool unlock_commit(G *g, void *arg)
{
    atomic_store(&lot.gs[0], g);
    return gust__park_unlock(g, arg);
}

static void waker(void *arg)
{
    (void)arg;
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
    gust__lock_take(&lot.lock, RANK_CHAN);
    go(waker, NULL); /* stands at the lock, if another P runs it at once */
    gust__park(unlock_commit, &lot.lock, WAIT_CHAN_RECV);
    CHECK_EQ(told.count, 99);
    return 0;
}

Test(sched, park_drops_the_lock_only_when_the_goroutine_is_off_its_stack)
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

Test(sched, second_ready_is_a_broken_invariant, .init = one_p, .signal = SIGABRT)
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

Test(sched, goroutine_goes_through_its_states, .init = one_p)
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

/* Whoever spawns goes on without a gust call: all must run on the other P. */
static int steal_main(void *arg)
{
    gust__stats stats;
    (void)arg;
    for (int round = 0; round < 50; round++) {
        atomic_store(&steals.left, 20);
        for (int i = 0; i < 20; i++)
            go(steal_me, NULL);
        for (gust_time end = gust_after(20 * GUST_SEC); atomic_load(&steals.left);)
            CHECK(gust_now() < end);
        CHECK_EQ(atomic_load(&steals.on_p[my_p()->id]), 0);
    }
    gust__stats_read(&stats);
    CHECK(stats.steals > 0);
    CHECK(stats.wakes > 0);
    CHECK(stats.spins > 0);
    CHECK(stats.threads >= 2);
    return 0;
}

Test(sched, idle_p_steals_what_a_busy_one_has_queued)
{
    setenv("GUST_MAXPROCS", "2", 1);
    test_run(steal_main, NULL);
}

static int sleeps_main(void *arg)
{
    gust__stats stats;
    (void)arg;
    gust_sleep(GUST_MS);
    gust__stats_read(&stats);
    CHECK(stats.sleeps > 0);
    return 0;
}

Test(sched, idle_m_sleeps_in_its_poller)
{
    test_run(sleeps_main, NULL);
}

static int one_p_stats_main(void *arg)
{
    gust__stats stats;
    (void)arg;
    for (int i = 0; i < 100; i++)
        go(tell, NULL), gust_yield(), told.count = 0;
    gust__stats_read(&stats);
    CHECK_EQ(stats.steals, 0);
    CHECK_EQ(stats.wakes, 0);
    CHECK_EQ(stats.spins, 0);
    CHECK_EQ(stats.threads, 1);
    return 0;
}

Test(sched, one_p_neither_steals_nor_wakes_nor_starts_threads, .init = one_p)
{
    test_run(one_p_stats_main, NULL);
}

/* --- Small answers ------------------------------------------------------------- */

Test(sched, every_wait_has_a_name)
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

Test(sched, spinning_for_a_lock_never_pays_on_one_p, .init = one_p)
{
    test_run(can_spin_main, NULL);
}

static int rand_main(void *arg)
{
    uint32_t differing = 0, last = gust__rand();
    (void)arg;
    for (int i = 0; i < 100; i++) {
        uint32_t next = gust__rand();
        CHECK(next != 0);
        differing |= next ^ last;
        last = next;
    }
    CHECK(__builtin_popcount(differing) > 24);
    return 0;
}

Test(sched, random_numbers_differ)
{
    test_run(rand_main, NULL);
}
