/* Demotion: a goroutine that stays in user or foreign code, unannounced, loses its
 * P and stalls nobody.
 *
 * The scenario of most: one P, a hog that can only end once another goroutine has
 * run, and that other goroutine. */
#include <gust/debug.h>
#include <limits.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "core/demote.h"
#include "tests/core/procs.h"
#include "tests/core/sockets.h"
#include "tests/core/waiters.h"

static void one_p_barrier(void)
{
    one_p();
    gust__demote_fence_wanted = GUST__FENCE_BARRIER;
}

static gust_stats stats_now(void)
{
    gust_stats stats;
    gust_stats_read(&stats);
    return stats;
}

static struct {
    _Atomic bool hogging, ran, written, held;
    int pipe[2];
    pthread_mutex_t mutex;
} other;

/* Lets the hog go on, whichever it is.  A busy machine may preempt it before it has begun. */
static void release_hog(void *arg)
{
    (void)arg;
    while (!atomic_load(&other.hogging))
        gust_yield();
    atomic_store(&other.ran, true);
    CHECK_EQ(write(other.pipe[1], "x", 1), 1);
    atomic_store(&other.written, true);
}

static int run_hog(void *arg)
{
    void (*hog)(void) = *(void (**)(void))arg;
    uint64_t before;
    CHECK_EQ(pipe(other.pipe), 0);
    go(release_hog, NULL);
    before = stats_now().demotions;
    atomic_store(&other.hogging, true);
    hog();
    CHECK(atomic_load(&other.ran));
    CHECK(stats_now().demotions > before);
    gust_yield(); /* a call of gust gets a P back */
    CHECK(gust__m()->p);
    AWAIT(atomic_load(&other.written));
    close(other.pipe[0]);
    close(other.pipe[1]);
    return 0;
}

#define HOG_TEST(name, hog_fn, init_fn)    \
    Test(demote, name, .init = init_fn)    \
    {                                      \
        static void (*hog)(void) = hog_fn; \
        test_run(run_hog, &hog);           \
    }

/* --- Threads that sleep in the kernel -------------------------------------- */

static void hog_read(void)
{
    char c;
    CHECK_EQ(read(other.pipe[0], &c, 1), 1);
}

HOG_TEST(a_read_from_a_pipe_stalls_nobody, hog_read, one_p)
HOG_TEST(a_read_from_a_pipe_stalls_nobody_with_membarrier_alone, hog_read, one_p_barrier)

/* With one P no locked instruction guards the word of a mutex, but the P does. */
static int lock_main(void *arg)
{
    gust_mutex m = GUST_MUTEX_INIT;
    (void)arg;
    CHECK_EQ(pipe(other.pipe), 0);
    go(release_hog, NULL);
    atomic_store(&other.hogging, true);
    hog_read();
    CHECK_EQ(gust__marks_here()->steal, STEAL_TAKEN);
    gust_mutex_lock(&m);
    CHECK_EQ(gust__marks_here()->steal, STEAL_NONE);
    CHECK(gust__m()->p);
    gust_mutex_unlock(&m);
    AWAIT(atomic_load(&other.written));
    close(other.pipe[0]);
    close(other.pipe[1]);
    return 0;
}

Test(demote, with_one_p_a_mutex_wants_the_p_back, .init = one_p)
{
    test_run(lock_main, NULL);
}

/* A hog that sleeps for 100 ms at a time, and must sleep all of it: again, where
 * the machine is too busy for the other to have run by then. */
enum { SLEEPS_MAX = 300 };

static void hog_usleep(void)
{
    for (int i = 0; i < SLEEPS_MAX && !atomic_load(&other.ran); i++)
        CHECK_EQ(usleep(100000), 0);
}

HOG_TEST(usleep_stalls_nobody_and_is_not_interrupted, hog_usleep, one_p_barrier)

/* The kernel never restarts this one after a signal: the barrier sends none. */
static void hog_epoll(void)
{
    struct epoll_event event;
    int fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < SLEEPS_MAX && !atomic_load(&other.ran); i++)
        CHECK_EQ(epoll_wait(fd, &event, 1, 100), 0);
    close(fd);
}

HOG_TEST(a_call_that_no_signal_may_interrupt_is_not_interrupted, hog_epoll, one_p_barrier)

static void *hold_mutex(void *arg)
{
    char c;
    (void)arg;
    pthread_mutex_lock(&other.mutex);
    atomic_store(&other.held, true);
    CHECK_EQ(read(other.pipe[0], &c, 1), 1);
    pthread_mutex_unlock(&other.mutex);
    return NULL;
}

/* The holder, a foreign thread, waits for what only the other goroutine writes. */
static void hog_mutex(void)
{
    pthread_t holder;
    CHECK_EQ(pthread_create(&holder, NULL, hold_mutex, NULL), 0);
    while (!atomic_load(&other.held))
        sched_yield();
    pthread_mutex_lock(&other.mutex);
    pthread_mutex_unlock(&other.mutex);
    CHECK_EQ(pthread_join(holder, NULL), 0);
}

HOG_TEST(a_pthread_mutex_that_others_hold_stalls_nobody, hog_mutex, one_p)

/* --- Threads that burn CPU --------------------------------------------------- */

static void hog_loop(void)
{
    time_t end = time(NULL) + 30;
    while (!atomic_load_explicit(&other.ran, memory_order_relaxed))
        CHECK(time(NULL) < end);
}

HOG_TEST(a_loop_stalls_nobody, hog_loop, one_p)
HOG_TEST(a_loop_stalls_nobody_with_membarrier_alone, hog_loop, one_p_barrier)

static void hog_malloc(void)
{
    time_t end = time(NULL) + 30;
    for (size_t i = 0; !atomic_load(&other.ran); i++) {
        char *p = malloc(64 + i * 7919 % 100000);
        CHECK(p);
        p[0] = 1;
        __asm__ volatile("" ::"r"(p) : "memory");
        free(p);
        CHECK(time(NULL) < end);
    }
}

HOG_TEST(a_storm_of_mallocs_stalls_nobody, hog_malloc, one_p)

static void hog_getaddrinfo(void)
{
    time_t end = time(NULL) + 30;
    while (!atomic_load(&other.ran)) {
        struct addrinfo *list = NULL;
        if (getaddrinfo("localhost", "80", NULL, &list) == 0)
            freeaddrinfo(list);
        CHECK(time(NULL) < end);
    }
}

HOG_TEST(getaddrinfo_stalls_nobody, hog_getaddrinfo, one_p)

/* --- Where membarrier is refused -------------------------------------------- */

#ifndef GUST__TSAN /* delivers no signal to a thread that does not call it */

static void one_p_signal(void)
{
    one_p();
    gust__demote_fence_wanted = GUST__FENCE_SIGNAL;
}

HOG_TEST(a_read_from_a_pipe_stalls_nobody_with_sigurg_alone, hog_read, one_p_signal)
HOG_TEST(a_loop_stalls_nobody_with_sigurg_alone, hog_loop, one_p_signal)

#endif

/* --- In a call --------------------------------------------------------------- */

static void set_ran(void *arg)
{
    (void)arg;
    atomic_store(&other.ran, true);
}

/* Calls of gust that never wait: the goroutine yields its P, unless the machine is so
 * busy that its thread does not get to the next call in time, and loses it. */
static void loop_of_calls(void)
{
    gust_time end = gust_after(30 * GUST_SEC);
    gust_chan *c;
    CHECK_EQ(gust_chan_new(sizeof(int), 1, &c), 0);
    for (int i = 0; !atomic_load(&other.ran); i++) {
        CHECK_EQ(gust_chan_send(c, &i, GUST_FOREVER), 0);
        CHECK_EQ(gust_chan_recv(c, &i, GUST_FOREVER), 1);
        CHECK(gust_now() < end);
    }
    gust_chan_unref(c);
}

static void loop_of_safe_points(void)
{
    time_t end = time(NULL) + 30;
    while (!atomic_load(&other.ran)) {
        gust_yield_if_needed();
        CHECK(time(NULL) < end);
    }
}

static int yield_main(void *arg)
{
    void (*loop)(void) = *(void (**)(void))arg;
    gust_time end = gust_after(40 * GUST_SEC);
    while (stats_now().preemptions == 0) {
        CHECK(gust_now() < end);
        atomic_store(&other.ran, false);
        go(set_ran, NULL);
        loop();
    }
    return 0;
}

Test(demote, a_loop_of_calls_that_never_wait_yields, .init = one_p)
{
    static void (*loop)(void) = loop_of_calls;
    test_run(yield_main, &loop);
}

Test(demote, a_loop_with_yield_if_needed_yields, .init = one_p)
{
    static void (*loop)(void) = loop_of_safe_points;
    test_run(yield_main, &loop);
}

Test(demote, yield_if_needed_may_be_called_anywhere)
{
    gust_yield_if_needed();
}

static int blocking_main(void *arg)
{
    (void)arg;
    gust_blocking_begin();
    gust_yield_if_needed();
    gust_blocking_end();
    return 0;
}

Test(demote, yield_if_needed_is_nothing_in_a_blocking_call)
{
    test_run(blocking_main, NULL);
}

/* --- What a P was in the middle of ------------------------------------------- */

static struct {
    pair pair;
    _Atomic int reader_p;
    _Atomic bool woken;
} io;

static void read_one(void *arg)
{
    char c;
    (void)arg;
    atomic_store(&io.reader_p, gust__m()->p->id);
    CHECK_EQ(do_recv(&io.pair.a, &c, 1, GUST_FOREVER), 1);
    atomic_store(&io.woken, true);
}

/* True if the reader, parked on the P that main then hogs, was woken by another M
 * before main lost the P. */
static bool woken_while_hogged(void)
{
    uint64_t before = stats_now().demotions;
    time_t end = time(NULL) + 30;
    atomic_store(&io.woken, false);
    atomic_store(&io.reader_p, -1);
    go(read_one, NULL);
    while (atomic_load(&io.reader_p) < 0)
        gust_yield();
    gust_sleep(GUST_MS); /* the request is in the kernel, the other P asleep */
    bool same = gust__m()->p->id == atomic_load(&io.reader_p);
    CHECK_EQ(write(io.pair.b.fd, "x", 1), 1);
    while (!atomic_load(&io.woken))
        CHECK(time(NULL) < end);
    return same && stats_now().demotions == before;
}

static int reap_main(void *arg)
{
    gust_time end = gust_after(40 * GUST_SEC);
    (void)arg;
    pair_open(&io.pair);
    while (!woken_while_hogged())
        CHECK(gust_now() < end);
    pair_close(&io.pair);
    return 0;
}

Test(demote, completions_of_a_hogged_p_are_reaped_by_an_idle_m, .init = two_ps)
{
    test_run(reap_main, NULL);
}

static int lone_io_main(void *arg)
{
    time_t end = time(NULL) + 30;
    (void)arg;
    pair_open(&io.pair);
    go(read_one, NULL);
    while (atomic_load(&io.reader_p) < 0)
        gust_yield();
    gust_yield();
    CHECK_EQ(write(io.pair.b.fd, "x", 1), 1);
    while (!atomic_load(&io.woken))
        CHECK(time(NULL) < end);
    pair_close(&io.pair);
    return 0;
}

static void lone_io_init(void)
{
    one_p();
    atomic_store(&io.reader_p, -1);
}

Test(demote, completions_of_the_only_p_are_served_though_it_is_hogged, .init = lone_io_init)
{
    test_run(lone_io_main, NULL);
}

/* --- Many --------------------------------------------------------------------- */

enum { HOGS = 20, ROUNDS = 10 };

static gust_waitgroup running;

static void hog_often(void *arg)
{
    unsigned self = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if ((self + i) % 2) {
            usleep(3000);
        } else {
            gust_time end = gust_after(15 * GUST_MS);
            while (gust_now() < end)
                gust__cpu_relax();
        }
        gust_yield();
    }
    gust_waitgroup_done(&running);
}

static int many_main(void *arg)
{
    (void)arg;
    gust_waitgroup_add(&running, HOGS);
    for (uintptr_t i = 0; i < HOGS; i++)
        go(hog_often, (void *)i);
    CHECK_EQ(gust_waitgroup_wait(&running, SOON), 0);
    CHECK(stats_now().demotions > 0);
    return 0;
}

Test(demote, many_hogs_all_come_to_their_end)
{
    test_run(many_main, NULL);
}

static _Atomic int urg_calls;

static void on_urg(int signo)
{
    CHECK_EQ(signo, SIGURG);
    atomic_fetch_add(&urg_calls, 1);
}

static int urg_main(void *arg)
{
    (void)arg;
    raise(SIGURG);
    CHECK_EQ(atomic_load(&urg_calls), 1);
    return 0;
}

/* SIGURG may be somebody else's too (out-of-band data). */
Test(demote, a_handler_of_sigurg_set_before_is_called_and_comes_back)
{
    struct sigaction after;
    signal(SIGURG, on_urg);
    test_run(urg_main, NULL);
    sigaction(SIGURG, NULL, &after);
    cr_assert(after.sa_handler == on_urg);
}
