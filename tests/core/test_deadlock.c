/* Deadlocks are found, and nothing else is taken for one. */
#include <gust/panic.h>
#include <gust/signal.h>
#include <poll.h>

#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/waiters.h"

/* --- What is a deadlock ------------------------------------------------------ */

static void expect_death(void (*fn)(void), const char *message)
{
    char text[8192];
    int status = child_run(fn, text, sizeof text);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%x: %s", (unsigned)status, text);
    cr_assert_not_null(strstr(text, message), "%s", text);
}

#define ASLEEP "gust: all goroutines are asleep - deadlock!\n"

/* A child that runs `main_fn`. */
#define CHILD(name, main_fn)       \
    static void name(void)         \
    {                              \
        gust_run((main_fn), NULL); \
    }

static int wait_for_chan(void *arg)
{
    gust_chan_recv(chan_make(0, 0), arg, GUST_FOREVER);
    return 0;
}
CHILD(deadlock_chan, wait_for_chan)

static int wait_for_mutex(void *arg)
{
    static gust_mutex mutex;
    (void)arg;
    gust_mutex_lock(&mutex);
    gust_mutex_lock(&mutex);
    return 0;
}
CHILD(deadlock_mutex, wait_for_mutex)

static int wait_for_group(void *arg)
{
    static gust_waitgroup group;
    (void)arg;
    gust_waitgroup_add(&group, 1);
    gust_waitgroup_wait(&group, GUST_FOREVER);
    return 0;
}
CHILD(deadlock_group, wait_for_group)

static int wait_for_nothing(void *arg)
{
    (void)arg;
    gust_select(NULL, 0, GUST_FOREVER);
    return 0;
}
CHILD(deadlock_select, wait_for_nothing)

Test(deadlock, a_wait_that_nobody_can_end_is_reported)
{
    expect_death(deadlock_chan, ASLEEP);
    expect_death(deadlock_mutex, ASLEEP);
    expect_death(deadlock_group, ASLEEP);
    expect_death(deadlock_select, ASLEEP);
}

static void wait_on(void *arg)
{
    gust_chan_recv(arg, NULL, GUST_FOREVER);
}

/* Everything that delays a deadlock has been there, and is over. */
static int wait_after_work(void *arg)
{
    gust_chan *c = chan_make(0, 0);
    (void)arg;
    for (int i = 0; i < 20; i++) {
        go(wait_on, c);
        gust_sleep(GUST_MS);
        gust_blocking_begin();
        usleep(2000);
        gust_blocking_end();
        usleep(2000);
    }
    CHECK_EQ(gust_chan_recv(c, NULL, gust_after(GUST_MS)), -ETIMEDOUT);
    wait_on(c);
    return 0;
}
CHILD(deadlock_later, wait_after_work)

Test(deadlock, is_reported_after_timers_and_blocking_calls_are_over)
{
    expect_death(deadlock_later, ASLEEP);
}

static int leave_others(void *arg)
{
    (void)arg;
    go(wait_on, chan_make(0, 0));
    gust_goexit();
}
CHILD(deadlock_without_main, leave_others)

static void work_and_end(void *arg)
{
    (void)arg;
    gust_sleep(20 * GUST_MS);
    gust__log("the last goroutine ends");
}

static int leave_nobody(void *arg)
{
    go(work_and_end, arg);
    gust_goexit();
}
CHILD(deadlock_nobody, leave_nobody)

Test(deadlock, goexit_of_main_leaves_the_others_to_go_on)
{
    expect_death(deadlock_without_main, ASLEEP);
    expect_death(deadlock_nobody, "gust: the last goroutine ends\ngust: no goroutines (main "
                                  "called gust_goexit) - deadlock!\n");
}

/* --- What is none ---------------------------------------------------------------- */

/* Long enough for sysmon to go to its deepest sleep, several times.  Not a wait for
 * a state: nothing shall happen in it. */
#define LONG_NS (300 * GUST_MS)

static int sleep_long(void *arg)
{
    (void)arg;
    gust_sleep(LONG_NS);
    return 0;
}

Test(deadlock, none_while_a_timer_is_armed)
{
    test_run(sleep_long, NULL);
}

struct pipe_wait {
    gust__fd read_end;
    int write_fd;
    gust_chan *ready;
};

static void write_from_outside(struct pipe_wait *pw)
{
    usleep(LONG_NS / GUST_US);
    CHECK_EQ(write(pw->write_fd, "x", 1), 1);
}

static void *write_later(void *arg)
{
    write_from_outside(arg);
    return NULL;
}

static int wait_for_pipe(void *arg)
{
    struct pipe_wait pw;
    pthread_t thread;
    int fds[2];
    (void)arg;
    CHECK_EQ(pipe(fds), 0);
    pw.write_fd = fds[1];
    CHECK_EQ(gust__fd_init(&pw.read_end, fds[0]), 0);
    CHECK_EQ(pthread_create(&thread, NULL, write_later, &pw), 0);
    gust__op op = {.code = GUST__OP_POLL, .fd = &pw.read_end, .events = POLLIN};
    CHECK_EQ(gust__op_wait(&op, NULL, GUST_FOREVER), POLLIN);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    gust__fd_close(&pw.read_end);
    close(fds[1]);
    return 0;
}

Test(deadlock, none_while_an_operation_is_in_flight)
{
    test_run(wait_for_pipe, NULL);
}

static void block(void *arg)
{
    bool announced = *(bool *)arg;
    if (announced)
        gust_blocking_begin();
    usleep(LONG_NS / GUST_US);
    if (announced)
        gust_blocking_end();
}

static void block_and_send(void *arg)
{
    static bool announced[2] = {false, true};
    block(&announced[0]);
    block(&announced[1]);
    CHECK_EQ(gust_chan_send(arg, NULL, SOON), 0);
}

static int wait_for_foreign_code(void *arg)
{
    gust_chan *c = chan_make(0, 0);
    (void)arg;
    go(block_and_send, c);
    CHECK_EQ(gust_chan_recv(c, NULL, GUST_FOREVER), 1);
    gust_chan_unref(c);
    return 0;
}

Test(deadlock, none_while_a_goroutine_is_in_foreign_code)
{
    test_run(wait_for_foreign_code, NULL);
}

static void *kill_later(void *arg)
{
    (void)arg;
    usleep(LONG_NS / GUST_US);
    kill(getpid(), SIGUSR1);
    return NULL;
}

static int wait_for_signal(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    pthread_t thread;
    (void)arg;
    CHECK_EQ(gust_signal_notify(c, SIGUSR1), 0);
    CHECK_EQ(pthread_create(&thread, NULL, kill_later, NULL), 0);
    int signo = 0;
    CHECK_EQ(gust_chan_recv(c, &signo, GUST_FOREVER), 1);
    CHECK_EQ(signo, SIGUSR1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    gust_chan_unref(c);
    return 0;
}

Test(deadlock, none_while_a_signal_is_waited_for)
{
    test_run(wait_for_signal, NULL);
}

/* --- Stress: the check meets everything that begins and ends -------------------------- */

/* The check itself, as often as it can be made: it stops the process if it is wrong. */
static void *check_always(void *arg)
{
    _Atomic bool *stop = arg;
    while (!atomic_load_explicit(stop, memory_order_relaxed))
        gust__deadlock_check();
    return NULL;
}

enum { STRESS_MS = 2000, STRESS_PAIRS = 3 };

struct stress {
    gust_time end;
    gust_waitgroup group;
    uint64_t seed;
};

struct pair {
    gust_chan *c;
    struct stress *stress;
    gust__fd read_end;
    int write_fd;
    uint64_t rand;
};

static int64_t short_ns(struct pair *p)
{
    return (int64_t)(test_rand(&p->rand) % (300 * GUST_US));
}

/* One wait of some kind; all Ps are often idle meanwhile. */
static void wait_somehow(struct pair *p)
{
    int64_t ns = short_ns(p);
    char byte;
    switch (test_rand(&p->rand) % 5) {
    case 0: gust_sleep(ns); break;
    case 1: usleep((useconds_t)(ns / GUST_US * 20)); break; /* long enough to lose the P */
    case 2:
        gust_blocking_begin();
        usleep((useconds_t)(ns / GUST_US));
        gust_blocking_end();
        break;
    case 3: CHECK_EQ(gust_chan_recv(NULL, NULL, gust_after(ns)), -ETIMEDOUT); break;
    case 4: {
        gust__op op = {.code = GUST__OP_POLL, .fd = &p->read_end, .events = POLLIN};
        CHECK_EQ(write(p->write_fd, "x", 1), 1);
        CHECK_EQ(gust__op_wait(&op, NULL, GUST_FOREVER), POLLIN);
        CHECK_EQ(read(p->read_end.fd, &byte, 1), 1);
        break;
    }
    }
}

static void send_until_the_end(void *arg)
{
    struct pair *p = arg;
    while (gust_now() < p->stress->end) {
        wait_somehow(p);
        CHECK_EQ(gust_chan_send(p->c, NULL, GUST_FOREVER), 0);
    }
    gust_chan_close(p->c);
    gust_waitgroup_done(&p->stress->group);
}

static void receive_until_the_end(void *arg)
{
    struct pair *p = arg;
    while (gust_chan_recv(p->c, NULL, GUST_FOREVER) == 1)
        continue;
    gust_waitgroup_done(&p->stress->group);
}

static void pair_start(struct pair *p, struct stress *stress)
{
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    p->stress = stress;
    p->rand = test_rand(&stress->seed);
    p->c = chan_make(0, 0);
    p->write_fd = fds[1];
    CHECK_EQ(gust__fd_init(&p->read_end, fds[0]), 0);
    go(send_until_the_end, p);
    go(receive_until_the_end, p);
}

static void pair_end(struct pair *p)
{
    gust__fd_close(&p->read_end);
    close(p->write_fd);
    gust_chan_unref(p->c);
}

static void stress_round(struct stress *stress, int pairs)
{
    struct pair pair[STRESS_PAIRS];
    stress->end = gust_after(STRESS_MS * GUST_MS / STRESS_PAIRS);
    gust_waitgroup_add(&stress->group, 2 * pairs);
    for (int i = 0; i < pairs; i++)
        pair_start(&pair[i], stress);
    CHECK_EQ(gust_waitgroup_wait(&stress->group, GUST_FOREVER), 0);
    for (int i = 0; i < pairs; i++)
        pair_end(&pair[i]);
}

static int stress_main(void *arg)
{
    struct stress stress = {.seed = test_seed()};
    _Atomic bool stop = false;
    pthread_t checker;
    (void)arg;
    CHECK_EQ(pthread_create(&checker, NULL, check_always, &stop), 0);
    for (int pairs = 1; pairs <= STRESS_PAIRS; pairs++)
        stress_round(&stress, pairs);
    atomic_store(&stop, true);
    CHECK_EQ(pthread_join(checker, NULL), 0);
    return 0;
}

Test(deadlock, none_is_seen_in_a_program_that_goes_on)
{
    test_run(stress_main, NULL);
}
