/* Conds behave as Go's cond_test.go says; no signal is lost to a deadline. */
#include "tests/core/waiters.h"

struct room {
    gust_mutex mutex;
    gust_cond cond;
    gust_waitgroup group;
    gust_chan *awake; /* int: who woke up */
    _Atomic int numbers;
    int value; /* guarded by mutex */
};

static void room_open(struct room *r, size_t capacity)
{
    *r = (struct room){.awake = chan_make(sizeof(int), capacity)};
}

static void room_close(struct room *r)
{
    CHECK_EQ(gust_waitgroup_wait(&r->group, SOON), 0);
    CHECK_EQ(queue_len(&r->cond.waiters), 0);
    CHECK_EQ(gust_chan_len(r->awake), 0);
    gust_chan_unref(r->awake);
}

static void wait_once(void *arg)
{
    struct room *r = arg;
    gust_mutex_lock(&r->mutex);
    int number = r->numbers++;
    CHECK_EQ(gust_cond_wait(&r->cond, &r->mutex, SOON), 0);
    /* Locked again: nobody else is here. */
    CHECK_EQ(gust_mutex_lock_until(&r->mutex, GUST_NOW), -EAGAIN);
    send_int(r->awake, number);
    gust_mutex_unlock(&r->mutex);
    gust_waitgroup_done(&r->group);
}

/* Starts waiters one after the other, so that their order is known. */
static void waiters_start(struct room *r, int count)
{
    gust_waitgroup_add(&r->group, count);
    for (int i = 0; i < count; i++) {
        size_t before = queue_len(&r->cond.waiters);
        go(wait_once, r);
        AWAIT(queue_len(&r->cond.waiters) == before + 1);
    }
}

static void signal_locked(struct room *r)
{
    gust_mutex_lock(&r->mutex);
    gust_cond_signal(&r->cond);
    gust_mutex_unlock(&r->mutex);
}

/* --- Signals: Go's TestCondSignal and TestCondSignalGenerations ------------------- */

static int signal_main(void *arg)
{
    struct room r;
    (void)arg;
    room_open(&r, 10);
    waiters_start(&r, 10);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(gust_chan_len(r.awake), 0);
        signal_locked(&r);
        CHECK_EQ(recv_int(r.awake), i);
        CHECK_EQ(queue_len(&r.cond.waiters), 9 - i);
    }
    gust_cond_signal(&r.cond);
    room_close(&r);
    return 0;
}

Test(cond, a_signal_wakes_the_first_waiter_only)
{
    test_run(signal_main, NULL);
}

static int generations_main(void *arg)
{
    struct room r;
    (void)arg;
    room_open(&r, 1);
    for (int i = 0; i < 100; i++) {
        waiters_start(&r, 1);
        signal_locked(&r);
        CHECK_EQ(recv_int(r.awake), i);
    }
    room_close(&r);
    return 0;
}

Test(cond, a_signal_goes_to_the_waiter_of_its_time)
{
    test_run(generations_main, NULL);
}

static int kept_main(void *arg)
{
    gust_mutex m = GUST_MUTEX_INIT;
    gust_cond c = GUST_COND_INIT;
    (void)arg;
    gust_cond_signal(&c);
    gust_cond_broadcast(&c);
    gust_mutex_lock(&m);
    CHECK_EQ(gust_cond_wait(&c, &m, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_cond_wait(&c, &m, 1), -ETIMEDOUT);
    gust_mutex_unlock(&m);
    return 0;
}

Test(cond, a_signal_that_nobody_waits_for_is_not_kept)
{
    test_run(kept_main, NULL);
}

/* --- Broadcasts: Go's TestCondBroadcast --------------------------------------------- */

enum { CROWD = 200, CROWD_ROUNDS = 20 };

static void wait_until_exit(void *arg)
{
    struct room *r = arg;
    gust_mutex_lock(&r->mutex);
    int number = r->numbers++;
    while (!r->value) {
        CHECK_EQ(gust_cond_wait(&r->cond, &r->mutex, SOON), 0);
        send_int(r->awake, number);
    }
    gust_mutex_unlock(&r->mutex);
    gust_waitgroup_done(&r->group);
}

static void expect_everyone_once(struct room *r)
{
    bool seen[CROWD] = {false};
    for (int i = 0; i < CROWD; i++) {
        int number = recv_int(r->awake);
        CHECK(!seen[number]);
        seen[number] = true;
    }
}

static int broadcast_main(void *arg)
{
    struct room r;
    (void)arg;
    room_open(&r, CROWD);
    gust_waitgroup_add(&r.group, CROWD);
    for (int i = 0; i < CROWD; i++)
        go(wait_until_exit, &r);
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        AWAIT(queue_len(&r.cond.waiters) == CROWD);
        CHECK_EQ(gust_chan_len(r.awake), 0);
        gust_mutex_lock(&r.mutex);
        r.value = i == CROWD_ROUNDS - 1;
        gust_cond_broadcast(&r.cond);
        gust_mutex_unlock(&r.mutex);
        expect_everyone_once(&r);
    }
    room_close(&r);
    return 0;
}

Test(cond, a_broadcast_wakes_everyone_once)
{
    test_run(broadcast_main, NULL);
}

/* Go's TestCondSignalStealing: a broadcast that races with a second waiter wakes
 * the first. */
static void broadcast(void *arg)
{
    struct room *r = arg;
    gust_cond_broadcast(&r->cond);
    gust_waitgroup_done(&r->group);
}

static void wait_for_value(void *arg)
{
    struct room *r = arg;
    gust_mutex_lock(&r->mutex);
    while (!r->value)
        CHECK_EQ(gust_cond_wait(&r->cond, &r->mutex, SOON), 0);
    gust_mutex_unlock(&r->mutex);
    gust_waitgroup_done(&r->group);
}

static int stealing_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        struct room r;
        room_open(&r, 1);
        waiters_start(&r, 1);
        gust_waitgroup_add(&r.group, 2);
        go(broadcast, &r);
        go(wait_for_value, &r);
        CHECK_EQ(recv_int(r.awake), 0);
        gust_mutex_lock(&r.mutex);
        r.value = 1;
        gust_mutex_unlock(&r.mutex);
        gust_cond_broadcast(&r.cond);
        room_close(&r);
    }
    return 0;
}

Test(cond, a_later_waiter_does_not_steal_a_broadcast)
{
    test_run(stealing_main, NULL);
}

/* Go's TestRace: each of three makes the step that the next one waits for. */
static void step(struct room *r, int from)
{
    gust_mutex_lock(&r->mutex);
    while (r->value != from)
        CHECK_EQ(gust_cond_wait(&r->cond, &r->mutex, SOON), 0);
    r->value++;
    gust_cond_broadcast(&r->cond);
    gust_mutex_unlock(&r->mutex);
    gust_waitgroup_done(&r->group);
}

static void step_0(void *arg)
{
    step(arg, 0);
}

static void step_1(void *arg)
{
    step(arg, 1);
}

static void step_2(void *arg)
{
    step(arg, 2);
}

static int steps_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 300; i++) {
        struct room r;
        room_open(&r, 0);
        gust_waitgroup_add(&r.group, 3);
        go(step_2, &r);
        go(step_1, &r);
        go(step_0, &r);
        room_close(&r);
        CHECK_EQ(r.value, 3);
    }
    return 0;
}

Test(cond, what_was_written_before_a_signal_is_seen_after_the_wait)
{
    test_run(steps_main, NULL);
}

/* --- Deadlines ------------------------------------------------------------------------ */

static int deadline_main(void *arg)
{
    struct room r;
    gust_time deadline = gust_after(2 * GUST_MS);
    (void)arg;
    room_open(&r, 1);
    gust_mutex_lock(&r.mutex);
    CHECK_EQ(gust_cond_wait(&r.cond, &r.mutex, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    CHECK_EQ(gust_mutex_lock_until(&r.mutex, GUST_NOW), -EAGAIN); /* ours again */
    CHECK_EQ(queue_len(&r.cond.waiters), 0);
    gust_mutex_unlock(&r.mutex);
    waiters_start(&r, 1);
    signal_locked(&r);
    CHECK_EQ(recv_int(r.awake), 0);
    room_close(&r);
    return 0;
}

Test(cond, a_wait_that_gives_up_has_the_mutex_and_no_place_in_the_queue)
{
    test_run(deadline_main, NULL);
}

struct short_wait {
    struct room room;
    gust_time patience;
};

static void lock_and_wait(void *arg)
{
    struct short_wait *w = arg;
    struct room *r = &w->room;
    gust_mutex_lock(&r->mutex);
    r->numbers++;
    CHECK_EQ(gust_cond_wait(&r->cond, &r->mutex, gust_after(w->patience)), -ETIMEDOUT);
    r->value++;
    gust_mutex_unlock(&r->mutex);
    gust_waitgroup_done(&r->group);
}

/* False if the wait was over before the mutex was locked. */
static bool relock(gust_time patience)
{
    struct short_wait w = {.patience = patience};
    struct room *r = &w.room;
    bool in_time;
    room_open(r, 0);
    gust_waitgroup_add(&r->group, 1);
    go(lock_and_wait, &w);
    AWAIT(r->numbers == 1);
    gust_mutex_lock(&r->mutex);
    in_time = r->value == 0;
    AWAIT(!in_time || queue_len(&r->mutex.waiters) == 1);
    CHECK_EQ(r->value, in_time ? 0 : 1);
    gust_mutex_unlock(&r->mutex);
    room_close(r);
    return in_time;
}

static int relock_main(void *arg)
{
    gust_time patience = GUST_MS;
    (void)arg;
    while (!relock(patience))
        patience *= 2;
    return 0;
}

Test(cond, a_wait_that_gives_up_waits_for_the_mutex)
{
    test_run(relock_main, NULL);
}

/* --- The moment between unlock and park ------------------------------------------------
 * A starving mutex is handed over: the unlock in the wait lets its next owner run
 * at once, on the one P there is, and that one signals a waiter which has not
 * parked yet. */

enum { STATE_STARVING = 4 };

static void lock_and_signal(void *arg)
{
    struct room *r = arg;
    gust_mutex_lock(&r->mutex);
    r->value = 1;
    gust_cond_signal(&r->cond);
    gust_mutex_unlock(&r->mutex);
    gust_waitgroup_done(&r->group);
}

static bool is_starving(gust_mutex *m)
{
    return __atomic_load_n(&m->state, __ATOMIC_RELAXED) & STATE_STARVING;
}

/* False if the other one got the mutex before it starved. */
static bool handed_over(void)
{
    struct room r;
    bool starving;
    room_open(&r, 0);
    gust_mutex_lock(&r.mutex);
    gust_waitgroup_add(&r.group, 1);
    go(lock_and_signal, &r);
    AWAIT(queue_len(&r.mutex.waiters) == 1);
    while (r.value == 0 && !is_starving(&r.mutex)) {
        gust_mutex_unlock(&r.mutex);
        gust_mutex_lock(&r.mutex);
        gust_yield();
    }
    starving = is_starving(&r.mutex);
    if (starving)
        CHECK_EQ(gust_cond_wait(&r.cond, &r.mutex, SOON), 0);
    gust_mutex_unlock(&r.mutex);
    room_close(&r);
    return starving;
}

static int handed_over_main(void *arg)
{
    (void)arg;
    while (!handed_over())
        continue;
    return 0;
}

Test(cond, a_signal_that_comes_before_the_waiter_has_parked_counts)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(handed_over_main, NULL);
}

/* --- Stress -----------------------------------------------------------------------------
 * As many patient waiters as signals, and as many impatient ones, whose deadlines
 * come at about the time of the signals.  Each signal ends one wait, of either
 * kind: if one was lost, too few waits end. */

enum { SIGNALS = 3 };

struct duel {
    gust_mutex mutex;
    gust_cond cond;
    gust_waitgroup group;
    uint64_t rand; /* guarded by mutex */
    int entered;   /* the same: they are in the queue, or have given up */
    _Atomic int signalled, missed;
};

static void duel_wait(struct duel *d, bool patient)
{
    gust_time deadline = SOON;
    int err;
    gust_mutex_lock(&d->mutex);
    if (!patient)
        deadline = gust_after((int64_t)(test_rand(&d->rand) % 100) * GUST_US);
    d->entered++;
    err = gust_cond_wait(&d->cond, &d->mutex, deadline);
    gust_mutex_unlock(&d->mutex);
    CHECK(err == 0 || (err == -ETIMEDOUT && !patient));
    if (err == 0)
        d->signalled++;
    else
        d->missed++;
    gust_waitgroup_done(&d->group);
}

static void wait_patiently(void *arg)
{
    duel_wait(arg, true);
}

static void wait_impatiently(void *arg)
{
    duel_wait(arg, false);
}

static bool all_entered(struct duel *d)
{
    gust_mutex_lock(&d->mutex);
    bool all = d->entered == 2 * SIGNALS;
    gust_mutex_unlock(&d->mutex);
    return all;
}

static void duel(struct duel *d, uint64_t *rand)
{
    gust_waitgroup_add(&d->group, 2 * SIGNALS);
    for (int i = 0; i < SIGNALS; i++) {
        go(wait_impatiently, d);
        go(wait_patiently, d);
    }
    AWAIT(all_entered(d));
    for (int i = 0; i < SIGNALS; i++) {
        if (test_rand(rand) % 2)
            gust_sleep((int64_t)(test_rand(rand) % 40) * GUST_US);
        gust_cond_signal(&d->cond);
    }
    AWAIT(d->signalled == SIGNALS);
    gust_cond_broadcast(&d->cond);
    CHECK_EQ(gust_waitgroup_wait(&d->group, SOON), 0);
    CHECK_EQ(queue_len(&d->cond.waiters), 0);
}

static int duel_main(void *arg)
{
    uint64_t rand = *(uint64_t *)arg;
    for (int i = 0; i < 300; i++) {
        struct duel d = {.rand = test_rand(&rand)};
        duel(&d, &rand);
    }
    return 0;
}

Test(cond, a_signal_is_not_lost_to_a_wait_that_gives_up_at_that_moment)
{
    uint64_t seed = test_seed();
    test_run(duel_main, &seed);
}
