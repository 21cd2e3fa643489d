/* Stress: wake-ups that could get lost, and goroutines that could be run twice
 * or never.  All choices come from the printed seed (GUST_TEST_SEED repeats
 * them; the interleaving of threads is the machine's).
 *
 * A watchdog thread sees to it that something moves: it prints the scheduler's
 * counters and aborts when nothing has for 20 s. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/core/waiters.h"

#define STALL_S 20

#ifdef TEST_OWN_RUNNER
#define SCALE 1
#else
#define SCALE 4
#endif

static _Atomic uint64_t progress;
static uint64_t seed;

static void moved(void)
{
    atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
}

/* --- The watchdog -------------------------------------------------------------- */

static struct {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool over;
} dog = {.mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void dump_p(P *p)
{
    fprintf(stderr, "P%d: status %u, tick %u, syscalltick %u, queued %u%s, timers %u, %s\n", p->id,
            p->status, p->schedtick, p->syscalltick, gust__runq_len(&p->runq),
            gust__runq_empty(&p->runq) ? "" : "+", p->timers.len,
            p->sleeper ? "has a sleeper" : "no sleeper");
}

static void dump_and_abort(void)
{
    gust_stats s;
    gust_stats_read(&s);
    fprintf(stderr,
            "nothing moved for %d s, seed %llu: %zu goroutines, %u global, %u idle Ps, %u "
            "spinning, %llu steals, %llu wakes, %llu retakes, %llu threads\n",
            STALL_S, (unsigned long long)seed, gust_num_goroutines(), sched.glist_count,
            sched.npidle, sched.nmspinning, (unsigned long long)s.steals,
            (unsigned long long)s.wakes, (unsigned long long)s.retakes,
            (unsigned long long)s.threads);
    for (int i = 0; i < sched.nprocs; i++)
        dump_p(&sched.allp[i]);
    abort();
}

static void wait_a_second(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec++;
    pthread_cond_timedwait(&dog.cond, &dog.mutex, &end);
}

static void *dog_main(void *arg)
{
    uint64_t seen = 0;
    int stalled = 0;
    (void)arg;
    pthread_mutex_lock(&dog.mutex);
    while (!dog.over) {
        wait_a_second();
        uint64_t now = atomic_load_explicit(&progress, memory_order_relaxed);
        stalled = now == seen ? stalled + 1 : 0;
        seen = now;
        if (stalled == STALL_S)
            dump_and_abort();
    }
    pthread_mutex_unlock(&dog.mutex);
    return NULL;
}

static void dog_start(void)
{
    seed = test_seed();
    pthread_create(&dog.thread, NULL, dog_main, NULL);
}

static void dog_stop(void)
{
    pthread_mutex_lock(&dog.mutex);
    dog.over = true;
    pthread_cond_signal(&dog.cond);
    pthread_mutex_unlock(&dog.mutex);
    pthread_join(dog.thread, NULL);
}

/* --- Wake storm -------------------------------------------------------------------
 * N goroutines park; others make them ready in random order, round after round.
 * A goroutine that is made ready and never runs stops the rounds. */

#define STORM_GS 64
#define STORM_WAKERS 4
#define STORM_ROUNDS (100 * SCALE)

static struct storm_seat {
    gust__lock lock; /* RANK_CHAN */
    G *parked;       /* under lock */
    int wakes;       /* to come for whoever is not parked yet; under lock */
} seats[STORM_GS];

static struct {
    gust_waitgroup sleepers, wakers;
    _Atomic int ran[STORM_GS];
} storm;

static bool seat_commit(G *g, void *arg)
{
    struct storm_seat *seat = arg;
    bool park = seat->wakes == 0;
    if (park)
        seat->parked = g;
    else
        seat->wakes--;
    gust__lock_drop(&seat->lock);
    return park;
}

static void storm_sleeper(void *arg)
{
    struct storm_seat *seat = arg;
    for (int i = 0; i < STORM_ROUNDS * STORM_WAKERS; i++) {
        GUST__CALL();
        gust__lock_take(&seat->lock, RANK_CHAN);
        gust__park(seat_commit, seat, WAIT_CHAN_RECV);
        atomic_fetch_add(&storm.ran[seat - seats], 1);
        moved();
    }
    gust_waitgroup_done(&storm.sleepers);
}

static void seat_wake(struct storm_seat *seat, bool next)
{
    GUST__CALL();
    gust__lock_take(&seat->lock, RANK_CHAN);
    G *g = seat->parked;
    seat->parked = NULL;
    seat->wakes += !g;
    gust__lock_drop(&seat->lock);
    if (g && next)
        gust__ready(g);
    else if (g)
        gust__ready_tail(g);
}

static void shuffle(int *order, int n, uint64_t *rand)
{
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(test_rand(rand) % (uint64_t)(i + 1)), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

static void rest(uint64_t *rand)
{
    switch (test_rand(rand) % 16) {
    case 0: gust_sleep((int64_t)(test_rand(rand) % (50 * GUST_US))); break;
    case 1: gust_yield(); break;
    case 2: gust__yield_local(); break;
    case 3:
        for (uint64_t n = test_rand(rand) % 2000; n > 0; n--)
            gust__cpu_relax();
        break;
    default: break;
    }
}

static void storm_waker(void *arg)
{
    uint64_t rand = seed + (uintptr_t)arg;
    int order[STORM_GS];
    for (int round = 0; round < STORM_ROUNDS; round++) {
        shuffle(order, STORM_GS, &rand);
        for (int i = 0; i < STORM_GS; i++) {
            seat_wake(&seats[order[i]], test_rand(&rand) % 2);
            rest(&rand);
        }
    }
    gust_waitgroup_done(&storm.wakers);
}

static int storm_main(void *arg)
{
    (void)arg;
    gust_waitgroup_add(&storm.sleepers, STORM_GS);
    gust_waitgroup_add(&storm.wakers, STORM_WAKERS);
    for (int i = 0; i < STORM_GS; i++)
        go(storm_sleeper, &seats[i]);
    for (uintptr_t i = 0; i < STORM_WAKERS; i++)
        go(storm_waker, (void *)i);
    CHECK_EQ(gust_waitgroup_wait(&storm.wakers, GUST_FOREVER), 0);
    CHECK_EQ(gust_waitgroup_wait(&storm.sleepers, GUST_FOREVER), 0);
    for (int i = 0; i < STORM_GS; i++)
        CHECK_EQ(storm.ran[i], STORM_ROUNDS * STORM_WAKERS);
    return 0;
}

Test(stress, wake_storm, .init = dog_start, .fini = dog_stop)
{
    test_run(storm_main, NULL);
}

/* --- Ping-pong -------------------------------------------------------------------
 * Every hand-over needs one wake-up; between rounds all Ps may be asleep. */

#define PAIRS 3
#define BALLS (1000 * SCALE)

static struct pair {
    gust_chan *there, *back;
} pairs[PAIRS];
static gust_waitgroup pairs_group;

static void pong(void *arg)
{
    struct pair *p = arg;
    int ball;
    while (gust_chan_recv(p->there, &ball, GUST_FOREVER) == 1) {
        ball++;
        CHECK_EQ(gust_chan_send(p->back, &ball, GUST_FOREVER), 0);
    }
    gust_waitgroup_done(&pairs_group);
}

static void ping(void *arg)
{
    struct pair *p = arg;
    uint64_t rand = seed + (uint64_t)(p - pairs);
    for (int i = 0; i < BALLS; i++) {
        int ball = i;
        CHECK_EQ(gust_chan_send(p->there, &ball, GUST_FOREVER), 0);
        CHECK_EQ(gust_chan_recv(p->back, &ball, GUST_FOREVER), 1);
        CHECK_EQ(ball, i + 1);
        rest(&rand);
        moved();
    }
    gust_chan_close(p->there);
    gust_waitgroup_done(&pairs_group);
}

static int pairs_main(void *arg)
{
    (void)arg;
    gust_waitgroup_add(&pairs_group, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        pairs[i].there = chan_make(sizeof(int), 0);
        pairs[i].back = chan_make(sizeof(int), 0);
        go(pong, &pairs[i]);
        go(ping, &pairs[i]);
    }
    CHECK_EQ(gust_waitgroup_wait(&pairs_group, GUST_FOREVER), 0);
    for (int i = 0; i < PAIRS; i++) {
        gust_chan_unref(pairs[i].there);
        gust_chan_unref(pairs[i].back);
    }
    return 0;
}

Test(stress, ping_pong, .init = dog_start, .fini = dog_stop)
{
    test_run(pairs_main, NULL);
}

/* --- Producers and consumers -------------------------------------------------------
 * Every value arrives once; deadlines that pass and blocking calls are mixed in. */

#define PRODUCERS 5
#define CONSUMERS 4
#define VALUES (1500 * SCALE)

static struct {
    gust_chan *chan;
    gust_waitgroup producers, consumers;
    _Atomic unsigned char seen[PRODUCERS * VALUES];
} market;

static void produce(void *arg)
{
    uint64_t rand = seed + 100 + (uintptr_t)arg;
    for (int i = 0; i < VALUES; i++) {
        int value = (int)(uintptr_t)arg * VALUES + i;
        int err;
        do
            err = gust_chan_send(market.chan, &value,
                                 test_rand(&rand) % 4 ? GUST_FOREVER : gust_after(5 * GUST_US));
        while (err == -ETIMEDOUT);
        CHECK_EQ(err, 0);
        rest(&rand);
    }
    gust_waitgroup_done(&market.producers);
}

static void block_a_little(uint64_t *rand)
{
    gust_blocking_begin();
    if (test_rand(rand) % 2)
        usleep((useconds_t)(test_rand(rand) % 100));
    gust_blocking_end();
}

static void consume(void *arg)
{
    uint64_t rand = seed + 200 + (uintptr_t)arg;
    for (;;) {
        int value;
        gust_time deadline = test_rand(&rand) % 4 ? GUST_FOREVER : gust_after(5 * GUST_US);
        int got = gust_chan_recv(market.chan, &value, deadline);
        if (got == 0)
            break;
        CHECK(got == 1 || got == -ETIMEDOUT);
        if (got == 1)
            CHECK_EQ(atomic_fetch_add(&market.seen[value], 1), 0);
        if (test_rand(&rand) % 64 == 0)
            block_a_little(&rand);
        rest(&rand);
        moved();
    }
    gust_waitgroup_done(&market.consumers);
}

static int market_main(void *arg)
{
    (void)arg;
    market.chan = chan_make(sizeof(int), 3);
    gust_waitgroup_add(&market.producers, PRODUCERS);
    gust_waitgroup_add(&market.consumers, CONSUMERS);
    for (uintptr_t i = 0; i < CONSUMERS; i++)
        go(consume, (void *)i);
    for (uintptr_t i = 0; i < PRODUCERS; i++)
        go(produce, (void *)i);
    CHECK_EQ(gust_waitgroup_wait(&market.producers, GUST_FOREVER), 0);
    gust_chan_close(market.chan);
    CHECK_EQ(gust_waitgroup_wait(&market.consumers, GUST_FOREVER), 0);
    for (int i = 0; i < PRODUCERS * VALUES; i++)
        CHECK_EQ(market.seen[i], 1);
    gust_chan_unref(market.chan);
    return 0;
}

Test(stress, producers_and_consumers, .init = dog_start, .fini = dog_stop)
{
    test_run(market_main, NULL);
}

/* --- Trees ------------------------------------------------------------------------
 * Goroutines that start goroutines: queues overflow, are stolen from, and run dry. */

#define TREES (6 * SCALE)
#define DEPTH 9

static struct {
    gust_waitgroup group;
    _Atomic int nodes;
    _Atomic uint64_t rand;
} tree;

static void grow(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    uint64_t rand = atomic_fetch_add(&tree.rand, 1);
    atomic_fetch_add(&tree.nodes, 1);
    moved();
    rest(&rand);
    for (int i = 0; depth > 0 && i < 2; i++)
        go(grow, (void *)(depth - 1));
    if (test_rand(&rand) % 128 == 0)
        block_a_little(&rand);
    gust_waitgroup_done(&tree.group);
}

static int trees_main(void *arg)
{
    const int nodes = (2 << DEPTH) - 1;
    (void)arg;
    tree.rand = seed;
    for (int i = 0; i < TREES; i++) {
        tree.nodes = 0;
        gust_waitgroup_add(&tree.group, nodes);
        go(grow, (void *)(intptr_t)DEPTH);
        CHECK_EQ(gust_waitgroup_wait(&tree.group, GUST_FOREVER), 0);
        CHECK_EQ(tree.nodes, nodes);
    }
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(stress, trees_of_goroutines, .init = dog_start, .fini = dog_stop)
{
    test_run(trees_main, NULL);
}

/* --- From idle ---------------------------------------------------------------------
 * All Ps fall asleep between the rounds, so that each round begins with the last
 * step of going to sleep against the first of waking. */

#define IDLE_ROUNDS (150 * SCALE)
#define IDLE_GS 6

static gust_waitgroup idle_group;

static void idle_worker(void *arg)
{
    uint64_t rand = seed + (uintptr_t)arg;
    for (int i = 0; i < IDLE_ROUNDS; i++) {
        gust_sleep((int64_t)(test_rand(&rand) % (200 * GUST_US)));
        if (test_rand(&rand) % 8 == 0)
            block_a_little(&rand);
        rest(&rand);
        moved();
    }
    gust_waitgroup_done(&idle_group);
}

static int idle_main(void *arg)
{
    (void)arg;
    gust_waitgroup_add(&idle_group, IDLE_GS);
    for (uintptr_t i = 0; i < IDLE_GS; i++)
        go(idle_worker, (void *)(i * 1000));
    CHECK_EQ(gust_waitgroup_wait(&idle_group, GUST_FOREVER), 0);
    return 0;
}

Test(stress, sleeping_and_waking, .init = dog_start, .fini = dog_stop)
{
    test_run(idle_main, NULL);
}
