/* Read-write locks behave as Go's rwmutex_test.go says, and so do their
 * deadlines. */
#include "tests/core/child.h"
#include "tests/core/waiters.h"

enum { STATE_CLOSED = 1 };

/* At rest: nobody holds it, waits, or is on the way. */
static void check_at_rest(gust_rwmutex *rw)
{
    CHECK_EQ(__atomic_load_n(&rw->state, __ATOMIC_RELAXED), 0);
    CHECK_EQ(__atomic_load_n(&rw->writers.state, __ATOMIC_RELAXED), 0);
    CHECK_EQ(rw->drained, 0);
    CHECK_EQ(queue_len(&rw->waiters), 0);
    CHECK(!rw->writer.head);
}

static size_t readers_waiting(gust_rwmutex *rw)
{
    return queue_len(&rw->waiters);
}

/* A writer waits for readers to leave. */
static bool writer_waiting(gust_rwmutex *rw)
{
    return waiters_count(&rw->writer, waitq_lock(&rw->waiters), RANK_WAITQ) == 1;
}

/* --- Tries: Go's TestRWMutex ------------------------------------------------------ */

static int try_main(void *arg)
{
    gust_rwmutex rw = GUST_RWMUTEX_INIT;
    (void)arg;
    gust_rwmutex_wrlock(&rw);
    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_rwmutex_rdlock_until(&rw, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, 1), -ETIMEDOUT);
    CHECK_EQ(gust_rwmutex_rdlock_until(&rw, 1), -ETIMEDOUT);
    gust_rwmutex_wrunlock(&rw);
    check_at_rest(&rw);

    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, GUST_NOW), 0);
    gust_rwmutex_wrunlock(&rw);
    CHECK_EQ(gust_rwmutex_rdlock_until(&rw, GUST_NOW), 0);
    CHECK_EQ(gust_rwmutex_rdlock_until(&rw, 1), 0);
    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, 1), -ETIMEDOUT);
    gust_rwmutex_rdunlock(&rw);
    CHECK_EQ(gust_rwmutex_rdlock_until(&rw, GUST_NOW), 0);
    gust_rwmutex_rdunlock(&rw);
    gust_rwmutex_rdunlock(&rw);
    check_at_rest(&rw);
    return 0;
}

Test(rwmutex, a_try_succeeds_only_where_it_need_not_wait)
{
    test_run(try_main, NULL);
}

static int deadline_main(void *arg)
{
    gust_rwmutex rw = GUST_RWMUTEX_INIT;
    gust_time deadline;
    (void)arg;
    gust_rwmutex_wrlock(&rw);
    deadline = gust_after(2 * GUST_MS);
    CHECK_EQ(gust_rwmutex_rdlock_until(&rw, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    CHECK_EQ(rw.state, STATE_CLOSED); /* and not that readers wait */
    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, gust_after(GUST_MS)), -ETIMEDOUT);
    gust_rwmutex_wrunlock(&rw);
    check_at_rest(&rw);
    gust_rwmutex_rdlock(&rw);
    deadline = gust_after(2 * GUST_MS);
    CHECK_EQ(gust_rwmutex_wrlock_until(&rw, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    gust_rwmutex_rdunlock(&rw);
    check_at_rest(&rw);
    return 0;
}

Test(rwmutex, a_wait_that_gives_up_leaves_no_trace)
{
    test_run(deadline_main, NULL);
}

/* --- Exclusion ----------------------------------------------------------------------- */

struct hammer {
    gust_rwmutex rw;
    gust_waitgroup group;
    _Atomic uint64_t seed;
    _Atomic long got, missed;
    _Atomic int activity; /* readers, plus 10000 for each writer */
    long written;         /* plain: the lock guards it */
    int rounds;
};

static void hold(struct hammer *h, int weight, uint64_t *rand)
{
    int sum = atomic_fetch_add(&h->activity, weight) + weight;
    if (weight == 1)
        CHECK(sum >= 1 && sum < 10000 && h->written >= 0);
    else
        CHECK_EQ(sum, 10000);
    if (weight != 1)
        h->written++;
    if (test_rand(rand) % 8 == 0)
        gust_yield();
    atomic_fetch_sub(&h->activity, weight);
}

static void read_often(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    for (int i = 0; i < h->rounds; i++) {
        gust_rwmutex_rdlock(&h->rw);
        hold(h, 1, &rand);
        gust_rwmutex_rdunlock(&h->rw);
    }
    gust_waitgroup_done(&h->group);
}

static void write_often(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    for (int i = 0; i < h->rounds; i++) {
        gust_rwmutex_wrlock(&h->rw);
        hold(h, 10000, &rand);
        gust_rwmutex_wrunlock(&h->rw);
    }
    gust_waitgroup_done(&h->group);
}

/* Go's HammerRWMutex: two writers and `readers` readers. */
static void hammer(int readers, uint64_t seed)
{
    struct hammer h = {.rw = GUST_RWMUTEX_INIT, .rounds = 500, .seed = seed};
    gust_waitgroup_add(&h.group, readers + 2);
    go(write_often, &h);
    for (int i = 0; i < readers; i++) {
        go(read_often, &h);
        if (i == readers / 2)
            go(write_often, &h);
    }
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    CHECK_EQ(h.written, 2L * h.rounds);
    check_at_rest(&h.rw);
}

static int hammer_main(void *arg)
{
    static const int readers[] = {1, 3, 5, 10};
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        hammer(readers[i], *(uint64_t *)arg + i);
    return 0;
}

Test(rwmutex, a_writer_is_alone)
{
    uint64_t seed = test_seed();
    test_run(hammer_main, &seed);
}

struct crowd {
    gust_rwmutex rw;
    gust_waitgroup group;
    gust_chan *locked, *unlock;
    _Atomic int reading, wrote;
};

static void read_until_told(void *arg)
{
    struct crowd *k = arg;
    gust_rwmutex_rdlock(&k->rw);
    send_int(k->locked, 0);
    recv_int(k->unlock);
    gust_rwmutex_rdunlock(&k->rw);
    gust_waitgroup_done(&k->group);
}

/* Go's TestParallelReaders. */
static int parallel_main(void *arg)
{
    struct crowd k = {.locked = chan_make(sizeof(int), 0), .unlock = chan_make(sizeof(int), 0)};
    (void)arg;
    gust_waitgroup_add(&k.group, 4);
    for (int i = 0; i < 4; i++)
        go(read_until_told, &k);
    for (int i = 0; i < 4; i++)
        recv_int(k.locked);
    for (int i = 0; i < 4; i++)
        send_int(k.unlock, 0);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    check_at_rest(&k.rw);
    gust_chan_unref(k.locked);
    gust_chan_unref(k.unlock);
    return 0;
}

Test(rwmutex, readers_hold_it_together)
{
    test_run(parallel_main, NULL);
}

/* --- Who gets in first ---------------------------------------------------------------- */

static void read_once(void *arg)
{
    struct crowd *k = arg;
    gust_rwmutex_rdlock(&k->rw);
    k->reading++;
    gust_rwmutex_rdunlock(&k->rw);
    gust_waitgroup_done(&k->group);
}

static void write_once(void *arg)
{
    struct crowd *k = arg;
    gust_rwmutex_wrlock(&k->rw);
    k->wrote++;
    gust_rwmutex_wrunlock(&k->rw);
    gust_waitgroup_done(&k->group);
}

/* Go's TestRLocker: the second read lock of two keeps the writer out. */
static int writer_first_main(void *arg)
{
    struct crowd k = {.rw = GUST_RWMUTEX_INIT};
    (void)arg;
    gust_rwmutex_rdlock(&k.rw);
    gust_rwmutex_rdlock(&k.rw);
    gust_waitgroup_add(&k.group, 2);
    go(write_once, &k);
    AWAIT(writer_waiting(&k.rw));
    CHECK_EQ(gust_rwmutex_rdlock_until(&k.rw, GUST_NOW), -EAGAIN);
    go(read_once, &k);
    AWAIT(readers_waiting(&k.rw) == 1);
    gust_rwmutex_rdunlock(&k.rw);
    CHECK(writer_waiting(&k.rw));
    CHECK_EQ(k.wrote, 0);
    gust_rwmutex_rdunlock(&k.rw);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    CHECK_EQ(k.wrote, 1);
    CHECK_EQ(k.reading, 1);
    check_at_rest(&k.rw);
    return 0;
}

Test(rwmutex, a_waiting_writer_keeps_new_readers_out)
{
    test_run(writer_first_main, NULL);
}

static void write_after_readers(void *arg)
{
    struct crowd *k = arg;
    gust_rwmutex_wrlock(&k->rw);
    CHECK_EQ(k->reading, 10);
    k->wrote++;
    gust_rwmutex_wrunlock(&k->rw);
    gust_waitgroup_done(&k->group);
}

static int readers_next_main(void *arg)
{
    struct crowd k = {.rw = GUST_RWMUTEX_INIT};
    (void)arg;
    gust_rwmutex_wrlock(&k.rw);
    gust_waitgroup_add(&k.group, 11);
    go(write_after_readers, &k);
    AWAIT(queue_len(&k.rw.writers.waiters) == 1);
    for (int i = 0; i < 10; i++)
        go(read_once, &k);
    AWAIT(readers_waiting(&k.rw) == 10);
    gust_rwmutex_wrunlock(&k.rw);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    CHECK_EQ(k.wrote, 1);
    check_at_rest(&k.rw);
    return 0;
}

Test(rwmutex, readers_that_waited_for_a_writer_get_in_before_the_next_one)
{
    test_run(readers_next_main, NULL);
}

static void write_briefly(void *arg)
{
    struct crowd *k = arg;
    CHECK_EQ(gust_rwmutex_wrlock_until(&k->rw, gust_after(20 * GUST_MS)), -ETIMEDOUT);
    gust_waitgroup_done(&k->group);
}

static int writer_leaves_main(void *arg)
{
    struct crowd k = {.rw = GUST_RWMUTEX_INIT};
    (void)arg;
    gust_rwmutex_rdlock(&k.rw);
    gust_waitgroup_add(&k.group, 4);
    go(write_briefly, &k);
    AWAIT(__atomic_load_n(&k.rw.state, __ATOMIC_RELAXED) & STATE_CLOSED);
    for (int i = 0; i < 3; i++)
        go(read_once, &k);
    /* Still read-locked: only the writer kept them out. */
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    CHECK_EQ(k.reading, 3);
    gust_rwmutex_rdunlock(&k.rw);
    check_at_rest(&k.rw);
    return 0;
}

Test(rwmutex, a_writer_that_gives_up_lets_in_the_readers_it_kept_out)
{
    test_run(writer_leaves_main, NULL);
}

/* --- Stress --------------------------------------------------------------------------- */

static void lock_until(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    for (int i = 0; i < h->rounds; i++) {
        bool writes = test_rand(&rand) % 4 == 0;
        gust_time deadline = gust_after((int64_t)(test_rand(&rand) % 80) * GUST_US);
        int err = writes ? gust_rwmutex_wrlock_until(&h->rw, deadline)
                         : gust_rwmutex_rdlock_until(&h->rw, deadline);
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err < 0) {
            h->missed++;
            continue;
        }
        h->got++;
        hold(h, writes ? 10000 : 1, &rand);
        if (test_rand(&rand) % 16 == 0)
            gust_sleep((int64_t)(test_rand(&rand) % 80) * GUST_US);
        if (writes)
            gust_rwmutex_wrunlock(&h->rw);
        else
            gust_rwmutex_rdunlock(&h->rw);
    }
    gust_waitgroup_done(&h->group);
}

static int race_main(void *arg)
{
    struct hammer h = {.rw = GUST_RWMUTEX_INIT, .rounds = 400, .seed = *(uint64_t *)arg};
    gust_waitgroup_add(&h.group, 12);
    for (int i = 0; i < 12; i++)
        go(lock_until, &h);
    CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
    CHECK_EQ(h.got + h.missed, 12L * h.rounds);
    check_at_rest(&h.rw);
    return 0;
}

Test(rwmutex, deadlines_racing_with_unlocks_leave_the_lock_sound)
{
    uint64_t seed = test_seed();
    test_run(race_main, &seed);
}

/* One writer whose deadline comes at about the time at which the last reader
 * leaves. */
static void rdunlock_about(void *arg)
{
    struct hammer *h = arg;
    uint64_t rand = atomic_fetch_add(&h->seed, 1) << 32;
    gust_sleep((int64_t)(test_rand(&rand) % 60) * GUST_US);
    gust_rwmutex_rdunlock(&h->rw);
    gust_waitgroup_done(&h->group);
}

static int duel_main(void *arg)
{
    struct hammer h = {.rw = GUST_RWMUTEX_INIT, .seed = *(uint64_t *)arg};
    for (int i = 0; i < 1000; i++) {
        int err;
        gust_rwmutex_rdlock(&h.rw);
        gust_waitgroup_add(&h.group, 1);
        go(rdunlock_about, &h);
        err = gust_rwmutex_wrlock_until(&h.rw, gust_after(60 * GUST_US));
        CHECK(err == 0 || err == -ETIMEDOUT);
        if (err == 0)
            gust_rwmutex_wrunlock(&h.rw);
        CHECK_EQ(gust_waitgroup_wait(&h.group, SOON), 0);
        check_at_rest(&h.rw);
    }
    return 0;
}

Test(rwmutex, a_deadline_and_the_last_reader_at_the_same_time_agree_on_one_outcome)
{
    uint64_t seed = test_seed();
    test_run(duel_main, &seed);
}

/* --- Lifetime --------------------------------------------------------------------------- */

struct shared {
    gust_rwmutex rw;
    int refs; /* guarded by rw */
};

static void drop_ref(void *arg)
{
    struct shared *s = arg;
    bool last;
    gust_rwmutex_rdlock(&s->rw);
    CHECK(s->refs > 0);
    gust_rwmutex_rdunlock(&s->rw);
    gust_rwmutex_wrlock(&s->rw);
    last = --s->refs == 0;
    gust_rwmutex_wrunlock(&s->rw);
    if (last)
        free(s);
}

static int last_writer_main(void *arg)
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

Test(rwmutex, may_be_freed_by_its_last_writer)
{
    test_run(last_writer_main, NULL);
}

/* --- Misuse: Go's misuseTests -------------------------------------------------------------- */

/* One letter per call: w, r lock, W, R unlock. */
static int misuse_main(void *arg)
{
    gust_rwmutex rw = GUST_RWMUTEX_INIT;
    for (const char *call = *(const char **)arg; *call; call++)
        switch (*call) {
        case 'w': gust_rwmutex_wrlock(&rw); break;
        case 'W': gust_rwmutex_wrunlock(&rw); break;
        case 'r': gust_rwmutex_rdlock(&rw); break;
        case 'R': gust_rwmutex_rdunlock(&rw); break;
        }
    return 0;
}

static void misuse(const char *calls)
{
    gust_run(misuse_main, &calls);
}

Test(rwmutex, write_unlock_of_a_new_one_panics, .signal = SIGABRT)
{
    misuse("W");
}

Test(rwmutex, write_unlock_of_a_read_lock_panics, .signal = SIGABRT)
{
    misuse("rW");
}

Test(rwmutex, second_write_unlock_panics, .signal = SIGABRT)
{
    misuse("wWW");
}

Test(rwmutex, read_unlock_of_a_new_one_panics, .signal = SIGABRT)
{
    misuse("R");
}

Test(rwmutex, read_unlock_of_a_write_lock_panics, .signal = SIGABRT)
{
    misuse("wR");
}

Test(rwmutex, second_read_unlock_panics, .signal = SIGABRT)
{
    misuse("rRR");
}

static void unlock_new(void)
{
    misuse("W");
}

static void unlock_read_lock(void)
{
    misuse("rW");
}

static void assert_named(void (*fn)(void))
{
    char text[4096];
    child_run(fn, text, sizeof text);
    cr_assert(strstr(text, "write unlock of rwmutex"), "%s", text);
}

Test(rwmutex, a_wrong_write_unlock_is_named)
{
    assert_named(unlock_new);
    assert_named(unlock_read_lock);
}
