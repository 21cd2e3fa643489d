/* Whatever the system refuses, and whenever: the runtime says so by a documented
 * error or serves the program some other way; it neither crashes nor hangs nor
 * leaks, and what comes after works.
 *
 * Each test has the first call of a kind fail, then the second, and so on until a
 * run of the scenario has fewer calls than that. */
#include <fcntl.h>
#include <gust/runtime.h>
#include <pthread.h>
#include <sched.h>

#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/failures.h"
#include "tests/core/sockets.h"

#ifndef GUST_DEBUG

Test(inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

/* --- The scenario ------------------------------------------------------------ */

enum { SPAWNS = 70, WIDE = 20 };

static void add_one(void *arg)
{
    CHECK_EQ(gust_chan_send(arg, &(int){1}, SOON), 0);
}

/* More goroutines than a slab has records. */
static void spawn_many(void)
{
    gust_chan *c;
    int got = 0, started = 0;
    if (!served(gust_chan_new(sizeof(int), 4, &c)))
        return;
    for (int i = 0; i < SPAWNS; i++)
        started += served(gust_go(add_one, c));
    started += served(gust_go_with(&(gust_go_options){.stack_size = 64 << 10}, add_one, c));
    for (int value; got < started; got += value)
        CHECK_EQ(gust_chan_recv(c, &value, SOON), 1);
    gust_chan_unref(c);
}

static void select_wide(void)
{
    gust_case cases[WIDE];
    gust_chan *c;
    int value;
    if (!served(gust_chan_new(sizeof(int), 1, &c)))
        return;
    for (int i = 0; i < WIDE; i++)
        cases[i] = recv_case(i == WIDE / 2 ? c : NULL, &value);
    CHECK_EQ(gust_chan_send(c, &(int){7}, SOON), 0);
    int chosen = gust_select(cases, WIDE, SOON);
    CHECK(!served(chosen) || (chosen == WIDE / 2 && value == 7));
    gust_chan_unref(c);
}

/* It fires though there is no memory for its goroutine at first. */
static void fire_timer(void)
{
    gust_timer *t;
    gust_chan *c;
    int value;
    if (!served(gust_chan_new(sizeof(int), 1, &c)))
        return;
    if (served(gust_timer_new(add_one, c, &t))) {
        gust_timer_reset(t, gust_after(GUST_MS / 2));
        CHECK_EQ(gust_chan_recv(c, &value, SOON), 1);
        gust_timer_free(t);
    }
    gust_chan_unref(c);
}

static void tick_twice(void)
{
    gust_ticker *t;
    gust_time tick;
    if (!served(gust_ticker_new(GUST_MS / 2, &t)))
        return;
    for (int i = 0; i < 2; i++)
        CHECK_EQ(gust_chan_recv(gust_ticker_chan(t), &tick, SOON), 1);
    gust_ticker_free(t);
}

static void echo_byte(void *arg)
{
    gust__fd *f = arg;
    char byte;
    if (moved(do_recv(f, &byte, 1, SOON)))
        moved(do_send(f, &byte, 1, SOON));
    gust__fd_close(f);
}

/* One end echoes; whichever end is refused closes, and that ends the other. */
static void exchange_bytes(void)
{
    int fds[2];
    gust__fd here, there;
    char byte = 'x';
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    if (!served(gust__fd_init(&here, fds[0]))) {
        close(fds[0]);
        close(fds[1]);
        return;
    }
    if (!served(gust__fd_init(&there, fds[1]))) {
        close(fds[1]);
    } else if (!served(gust_go(echo_byte, &there))) {
        gust__fd_close(&there);
    } else if (moved(do_send(&here, &byte, 1, SOON))) {
        moved(do_recv(&here, &byte, 1, SOON));
    }
    gust__fd_close(&here);
    AWAIT(gust_num_goroutines() == 1);
}

static int everything(void *arg)
{
    (void)arg;
    spawn_many();
    select_wide();
    fire_timer();
    tick_twice();
    exchange_bytes();
    CHECK_EQ(gust_num_goroutines(), 1);
    return 0;
}

/* --- Each kind ----------------------------------------------------------------- */

Test(inject, memory_may_be_refused_once_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, everything);
}

Test(inject, memory_may_be_refused_a_few_times_in_a_row, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 3, everything);
}

Test(inject, mappings_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MMAP, 1, everything);
    fail_each(INJECT_MMAP, 3, everything);
}

Test(inject, threads_may_be_refused_once_or_from_then_on, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_THREAD, 1, everything);
    fail_each(INJECT_THREAD, INJECT_FOR_EVER, everything);
}

Test(inject, eventfds_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EVENTFD, 1, everything);
    fail_each(INJECT_EVENTFD, INJECT_FOR_EVER, everything);
}

Test(inject, epoll_instances_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_CREATE, 1, everything);
    fail_each(INJECT_EPOLL_CREATE, INJECT_FOR_EVER, everything);
}

Test(inject, descriptors_may_be_refused_by_epoll, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_ADD, 1, everything);
    fail_each(INJECT_EPOLL_ADD, INJECT_FOR_EVER, everything);
}

Test(inject, rings_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_URING_SETUP, 1, everything);
    fail_each(INJECT_URING_SETUP, INJECT_FOR_EVER, everything);
    fail_each(INJECT_URING_REGISTER, 1, everything);
    fail_each(INJECT_URING_REGISTER, INJECT_FOR_EVER, everything);
}

/* In a row: EAGAIN, EBUSY and EINTR all come. */
Test(inject, entering_the_ring_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_URING_ENTER, 1, everything);
    fail_each(INJECT_URING_ENTER, 3, everything);
}

Test(inject, the_barrier_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MEMBARRIER, 1, everything);
}

/* --- Without a thread ----------------------------------------------------------- */

static void set_maxprocs(const char *n)
{
    cr_assert_eq(setenv("GUST_MAXPROCS", n, 1), 0);
    gust_set_log(quiet);
}

static void put_in_pipe(void *arg)
{
    CHECK_EQ(write(((int *)arg)[1], "x", 1), 1);
}

/* Blocks the thread until somebody puts something in. */
static void read_pipe_blocking(const int *fds)
{
    char byte;
    gust_blocking_begin();
    CHECK_EQ(read(fds[0], &byte, 1), 1);
    gust_blocking_end();
}

/* For long enough that sysmon would otherwise have gone to sleep. */
enum { REFUSALS = 20 };

static int hand_off_main(void *arg)
{
    int fds[2];
    gust_stats stats;
    (void)arg;
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    gust__inject_arm(INJECT_THREAD, 1, REFUSALS);
    gust_stats_read(&stats);
    go(put_in_pipe, fds);
    read_pipe_blocking(fds);
    /* On a slow machine the P may have been handed off once before. */
    CHECK_EQ(gust__inject_disarm(), stats.threads == 1 ? REFUSALS : 0);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

Test(inject, a_hand_off_finds_its_thread_later)
{
    set_maxprocs("1");
    test_run(hand_off_main, NULL);
}

struct unwatched {
    pair p;
    gust__op op;
    int fds[2];
    char byte;
    gust_chan *received;
};

/* On g0. */
static void tell_received(gust__op *op)
{
    struct unwatched *u = (struct unwatched *)((char *)op - offsetof(struct unwatched, op));
    (void)gust_chan_send(u->received, &op->res, GUST_NOW);
}

/* A foreign thread: the byte comes when the second thread sleeps, too. */
static void *put_when_all_are_idle(void *arg)
{
    struct unwatched *u = arg;
    while (atomic_load(&sched.npidle) < 2)
        sched_yield();
    put_byte(&u->p.b, 'x');
    return NULL;
}

static void receive_and_release(void *arg)
{
    struct unwatched *u = arg;
    CHECK_EQ(recv_int(u->received), 1);
    put_in_pipe(u->fds);
}

/* The first read makes a second thread; then there are no more.  The receive
 * belongs to the P that its thread loses, and only the other thread can see to it. */
static int unwatched_main(void *arg)
{
    struct unwatched u = {.byte = 0};
    pthread_t thread;
    (void)arg;
    pair_open(&u.p);
    CHECK_EQ(pipe2(u.fds, O_CLOEXEC), 0);
    u.received = chan_make(sizeof(int), 1);
    go(put_in_pipe, u.fds);
    read_pipe_blocking(u.fds);
    gust__inject_arm(INJECT_THREAD, 1, INJECT_FOR_EVER);
    u.op = op_recv(&u.p.a, &u.byte, 1);
    u.op.done = tell_received;
    gust__op_start(&u.op);
    go(receive_and_release, &u);
    CHECK_EQ(pthread_create(&thread, NULL, put_when_all_are_idle, &u), 0);
    read_pipe_blocking(u.fds);
    gust__inject_disarm();
    CHECK_EQ(pthread_join(thread, NULL), 0);
    gust_chan_unref(u.received);
    pair_close(&u.p);
    close(u.fds[0]);
    close(u.fds[1]);
    return 0;
}

Test(inject, a_p_without_a_thread_is_looked_after_by_another)
{
    set_maxprocs("2");
    test_run(unwatched_main, NULL);
}

/* --- Without a stack ------------------------------------------------------------ */

enum { STARVED = 100 };

static int starving_main(void *arg)
{
    const gust_go_options own_mapping = {.stack_size = 64 << 10};
    gust_chan *c = chan_make(sizeof(int), 1);
    (void)arg;
    gust__inject_arm(INJECT_MMAP, 1, INJECT_FOR_EVER);
    for (int i = 0; i < STARVED; i++)
        CHECK_EQ(gust_go_with(&own_mapping, add_one, c), 0);
    gust_time begin = gust_now();
    gust_sleep(50 * GUST_MS);
    int64_t tries = (int64_t)gust__inject_disarm();
    CHECK(tries <= STARVED + (gust_now() - begin) / GUST_MS);
    for (int i = 0; i < STARVED; i++)
        CHECK_EQ(recv_int(c), 1);
    gust_chan_unref(c);
    return 0;
}

Test(inject, goroutines_without_a_stack_wait_in_peace)
{
    gust_set_log(quiet);
    test_run(starving_main, NULL);
}

/* --- Without timers --------------------------------------------------------------- */

enum { SLEEPERS = 257 };

static void sleep_when_told(void *arg)
{
    CHECK_EQ(gust_chan_recv(arg, NULL, GUST_FOREVER), 0);
    gust_sleep(3600 * GUST_SEC);
}

static int sleepers_main(void *arg)
{
    gust_chan *c = chan_make(0, 0);
    (void)arg;
    for (int i = 0; i < SLEEPERS; i++)
        go(sleep_when_told, c);
    AWAIT(receivers_waiting(c) == SLEEPERS);
    gust__inject_arm(INJECT_MALLOC, 1, INJECT_FOR_EVER);
    gust_chan_close(c);
    gust_sleep(GUST_SEC); /* lets the others sleep, too */
    return 0;
}

static void sleepers_child(void)
{
    setenv("GUST_MAXPROCS", "1", 1);
    gust_run(sleepers_main, NULL);
}

Test(inject, more_timers_than_there_is_memory_for_end_the_program)
{
    char text[4096];
    int status = child_run(sleepers_child, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert(strstr(text, "out of memory for the timers of a P"), "%s", text);
}

/* --- GUST_FAIL ---------------------------------------------------------------------- */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int run_with(const char *order)
{
    cr_assert_eq(setenv("GUST_FAIL", order, 1), 0);
    int result = gust_run(nothing, NULL);
    unsetenv("GUST_FAIL");
    gust__inject_disarm();
    return result;
}

Test(inject, the_environment_gives_orders_too)
{
    gust_set_log(quiet);
    cr_assert_eq(run_with("thread:1"), -EAGAIN);
    cr_assert_eq(run_with("malloc:1000000"), 0);
    cr_assert_eq(run_with("mmap:1+"), -ENOMEM);
    cr_assert_eq(run_with(""), 0);
    static const char *const bad[] = {"thread",    "thread:",    "thread:0", "thread:x",
                                      "thread:1x", "thread:1++", "thre:1",   ":1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(run_with(bad[i]), -EINVAL, "%s", bad[i]);
}

#endif
