/* Mutexes behave as Go's mutex_test.go says, and so do their deadlines. */
#include "tests/core/waiters.h"

/* At rest: not locked, nobody counted, queued or on the way. */
static void check_at_rest(gust_mutex *m)
{
    CHECK_EQ(__atomic_load_n(&m->state, __ATOMIC_RELAXED), 0);
    CHECK_EQ(m->tokens, 0);
    CHECK_EQ(queue_len(&m->waiters), 0);
}

/* --- Exclusion --------------------------------------------------------------- */

struct hammer {
    gust_mutex mutex;
    gust_waitgroup group;
    _Atomic uint64_t seed;
    _Atomic long got, missed;
    long count;  /* plain: the mutex guards it */
    bool inside; /* the same */
    int rounds;
};

static void work_inside(struct hammer *h)
{
    CHECK(!h->inside);
    h->inside = true;
    h->count++;
    if (h->count % 64 == 0)
        gust_yield(); /* others pile up */
    h->inside = false;
}

static void hammer_lock(void *arg)
{
    struct hammer *h = arg;
    for (int i = 0; i < h->rounds; i++) {
        if (i % 3 == 0) {
            /* As in Go's HammerMutex: a try among the locks. */
            int err = gust_mutex_lock_until(&h->mutex, GUST_NOW);
            CHECK(err == 0 || err == -EAGAIN);
            if (err == 0)
                gust_mutex_unlock(&h->mutex);
        }
        gust_mutex_lock(&h->mutex);
        work_inside(h);
        gust_mutex_unlock(&h->mutex);
    }
    gust_waitgroup_done(&h->group);
}

static int hammer_main(void *arg)
{
    struct hammer h = {.mutex = GUST_MUTEX_INIT, .rounds = 1000};
    (void)arg;
    gust_waitgroup_add(&h.group, 10);
    for (int i = 0; i < 10; i++)
        go(hammer_lock, &h);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    CHECK_EQ(h.count, 10 * 1000);
    check_at_rest(&h.mutex);
    return 0;
}

Test(mutex, lets_one_goroutine_in_at_a_time)
{
    test_run_without_leaks(hammer_main, NULL);
}

static void unlock_other(void *arg)
{
    gust_mutex_unlock(arg);
}

static int any_unlocks_main(void *arg)
{
    gust_mutex m = GUST_MUTEX_INIT;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        gust_mutex_lock(&m);
        go(unlock_other, &m);
    }
    gust_mutex_lock(&m);
    gust_mutex_unlock(&m);
    check_at_rest(&m);
    return 0;
}

Test(mutex, any_goroutine_may_unlock)
{
    test_run_without_leaks(any_unlocks_main, NULL);
}

/* --- Misuse ------------------------------------------------------------------- */

static int unlock_new_main(void *arg)
{
    gust_mutex m = GUST_MUTEX_INIT;
    (void)arg;
    gust_mutex_unlock(&m);
    return 0;
}

Test(mutex, unlock_of_a_new_mutex_panics, .signal = SIGABRT)
{
    gust_run(unlock_new_main, NULL);
}

static int unlock_twice_main(void *arg)
{
    gust_mutex m = GUST_MUTEX_INIT;
    (void)arg;
    gust_mutex_lock(&m);
    gust_mutex_unlock(&m);
    gust_mutex_unlock(&m);
    return 0;
}

Test(mutex, second_unlock_panics, .signal = SIGABRT)
{
    gust_run(unlock_twice_main, NULL);
}

/* --- Deadlines ------------------------------------------------------------------ */

static int deadline_main(void *arg)
{
    gust_mutex m = GUST_MUTEX_INIT;
    gust_time deadline;
    (void)arg;
    CHECK_EQ(gust_mutex_lock_until(&m, GUST_NOW), 0);
    CHECK_EQ(gust_mutex_lock_until(&m, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_mutex_lock_until(&m, 1), -ETIMEDOUT);
    deadline = gust_after(2 * GUST_MS);
    CHECK_EQ(gust_mutex_lock_until(&m, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    gust_mutex_unlock(&m);
    check_at_rest(&m);
    CHECK_EQ(gust_mutex_lock_until(&m, 1), 0);
    gust_mutex_unlock(&m);
    CHECK_EQ(gust_mutex_lock_until(&m, SOON), 0);
    gust_mutex_unlock(&m);
    return 0;
}

Test(mutex, lock_until_gives_up_at_the_deadline)
{
    test_run_without_leaks(deadline_main, NULL);
}

static void lock_soon(void *arg)
{
    struct hammer *h = arg;
    CHECK_EQ(gust_mutex_lock_until(&h->mutex, SOON), 0);
    h->count++;
    gust_mutex_unlock(&h->mutex);
    gust_waitgroup_done(&h->group);
}

static int behind_main(void *arg)
{
    struct hammer h = {.mutex = GUST_MUTEX_INIT};
    (void)arg;
    gust_mutex_lock(&h.mutex);
    gust_waitgroup_add(&h.group, 5);
    for (int i = 0; i < 5; i++)
        go(lock_soon, &h);
    AWAIT(queue_len(&h.mutex.waiters) == 5);
    CHECK_EQ(gust_mutex_lock_until(&h.mutex, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(queue_len(&h.mutex.waiters), 5);
    gust_mutex_unlock(&h.mutex);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    CHECK_EQ(h.count, 5);
    check_at_rest(&h.mutex);
    return 0;
}

Test(mutex, a_waiter_that_gives_up_leaves_the_others_in_the_queue)
{
    test_run_without_leaks(behind_main, NULL);
}

/* Deadlines of 0 to `spread_us` against critical sections that now and then
 * last long enough (over 1 ms) for starving mode. */
static void hammer_until(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    for (int i = 0; i < h->rounds; i++) {
        int64_t patience = (int64_t)(test_rand(&rand) % 2000) * GUST_US;
        int err;
        if (test_rand(&rand) % 2)
            patience /= 64;
        err = gust_mutex_lock_until(&h->mutex, gust_after(patience));
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err < 0) {
            h->missed++;
            continue;
        }
        work_inside(h);
        h->got++;
        if (test_rand(&rand) % 16 == 0)
            gust_sleep(1500 * GUST_US);
        gust_mutex_unlock(&h->mutex);
    }
    gust_waitgroup_done(&h->group);
}

static int race_main(void *arg)
{
    struct hammer h = {.mutex = GUST_MUTEX_INIT, .rounds = 150, .seed = *(uint64_t *)arg};
    gust_waitgroup_add(&h.group, 12);
    for (int i = 0; i < 12; i++)
        go(hammer_until, &h);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    CHECK_EQ(h.count, h.got);
    CHECK_EQ(h.got + h.missed, 12 * 150);
    check_at_rest(&h.mutex);
    return 0;
}

Test(mutex, deadlines_racing_with_unlocks_leave_the_mutex_sound)
{
    uint64_t seed = test_seed();
    test_run_without_leaks(race_main, &seed);
}

/* One waiter, whose deadline and wake-up come at about the same time. */
static void unlock_about(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    gust_sleep((int64_t)(test_rand(&rand) % 60) * GUST_US);
    gust_mutex_unlock(&h->mutex);
    gust_waitgroup_done(&h->group);
}

static int duel_main(void *arg)
{
    struct hammer h = {.mutex = GUST_MUTEX_INIT, .seed = *(uint64_t *)arg};
    for (int i = 0; i < 1000; i++) {
        int err;
        gust_mutex_lock(&h.mutex);
        gust_waitgroup_add(&h.group, 1);
        go(unlock_about, &h);
        err = gust_mutex_lock_until(&h.mutex, gust_after(60 * GUST_US));
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            gust_mutex_unlock(&h.mutex);
        CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
        check_at_rest(&h.mutex);
    }
    return 0;
}

Test(mutex, a_deadline_and_an_unlock_at_the_same_time_agree_on_one_outcome)
{
    uint64_t seed = test_seed();
    test_run_without_leaks(duel_main, &seed);
}

/* --- Fairness ---------------------------------------------------------------------- */

struct greedy {
    gust_mutex mutex;
    gust_waitgroup group;
    _Atomic bool stop;
};

/* Holds the mutex nearly always: gone for an instant, then back. */
static void lock_greedily(void *arg)
{
    struct greedy *k = arg;
    while (!k->stop) {
        gust_mutex_lock(&k->mutex);
        gust_sleep(100 * GUST_US);
        gust_mutex_unlock(&k->mutex);
    }
    gust_waitgroup_done(&k->group);
}

/* Go's TestMutexFairness. */
static int fairness_main(void *arg)
{
    struct greedy k = {.mutex = GUST_MUTEX_INIT};
    (void)arg;
    gust_waitgroup_add(&k.group, 2);
    go(lock_greedily, &k);
    go(lock_greedily, &k);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(gust_mutex_lock_until(&k.mutex, gust_after(10 * GUST_SEC)), 0);
        gust_mutex_unlock(&k.mutex);
        gust_sleep(100 * GUST_US);
    }
    k.stop = true;
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    check_at_rest(&k.mutex);
    return 0;
}

Test(mutex, greedy_goroutines_do_not_keep_others_out)
{
    test_run_without_leaks(fairness_main, NULL);
}

enum { STATE_STARVING = 4 };

static bool is_starving(gust_mutex *m)
{
    return __atomic_load_n(&m->state, __ATOMIC_RELAXED) & STATE_STARVING;
}

/* Returns with the mutex locked and a waiter, running `waiter`, that has set it
 * to starving mode: takes it back from under the waiter it woke, until that has
 * waited for a millisecond.  If the waiter is gone before, with a new one. */
static void starve(struct hammer *h, void (*waiter)(void *arg))
{
    gust_mutex_lock(&h->mutex);
    for (;;) {
        long gone = h->count + h->missed;
        gust_waitgroup_add(&h->group, 1);
        go(waiter, h);
        AWAIT(queue_len(&h->mutex.waiters) == 1 || h->missed > 0);
        while (h->count + h->missed == gone && !is_starving(&h->mutex)) {
            gust_mutex_unlock(&h->mutex);
            gust_mutex_lock(&h->mutex);
            gust_yield();
        }
        if (is_starving(&h->mutex))
            return;
        CHECK_EQ(gust_waitgroup_wait(&h->group, SOON), 0);
    }
}

static int hand_off_main(void *arg)
{
    struct hammer h = {.mutex = GUST_MUTEX_INIT};
    (void)arg;
    starve(&h, lock_soon);
    h.count = 0;
    gust_mutex_unlock(&h.mutex);
    /* Whoever comes now is behind the waiter. */
    gust_mutex_lock(&h.mutex);
    CHECK_EQ(h.count, 1);
    gust_mutex_unlock(&h.mutex);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    check_at_rest(&h.mutex);
    return 0;
}

Test(mutex, starving_waiter_is_handed_the_mutex_before_newcomers)
{
    test_run_without_leaks(hand_off_main, NULL);
}

static void lock_briefly(void *arg)
{
    struct hammer *h = arg;
    if (gust_mutex_lock_until(&h->mutex, gust_after(20 * GUST_MS)) == 0) {
        h->count++;
        gust_mutex_unlock(&h->mutex);
    } else {
        h->missed++;
    }
    gust_waitgroup_done(&h->group);
}

static int starved_out_main(void *arg)
{
    struct hammer h = {.mutex = GUST_MUTEX_INIT};
    (void)arg;
    starve(&h, lock_briefly);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    CHECK(!is_starving(&h.mutex));
    gust_mutex_unlock(&h.mutex);
    CHECK_EQ(gust_mutex_lock_until(&h.mutex, GUST_NOW), 0);
    gust_mutex_unlock(&h.mutex);
    check_at_rest(&h.mutex);
    return 0;
}

Test(mutex, starving_mode_ends_when_the_last_waiter_gives_up)
{
    test_run_without_leaks(starved_out_main, NULL);
}

/* --- Lifetime ------------------------------------------------------------------------ */

struct shared {
    gust_mutex mutex;
    int refs; /* guarded by mutex */
};

static void drop_ref(void *arg)
{
    struct shared *s = arg;
    bool last;
    gust_mutex_lock(&s->mutex);
    last = --s->refs == 0;
    gust_mutex_unlock(&s->mutex);
    if (last)
        free(s);
}

static int last_user_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        struct shared *s = calloc(1, sizeof *s);
        s->refs = 5;
        for (int k = 0; k < 4; k++)
            go(drop_ref, s);
        drop_ref(s);
    }
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(mutex, may_be_freed_by_its_last_user)
{
    test_run_without_leaks(last_user_main, NULL);
}
