/* Signals arrive on channels. */
#include <gust/signal.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/proc.h"
#include "tests/core/child.h"
#include "tests/core/waiters.h"

static void notify(gust_chan *c, int signo)
{
    CHECK_EQ(gust_signal_notify(c, signo), 0);
}

static int deliver_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 8);
    (void)arg;
    notify(c, SIGUSR1);
    notify(c, SIGUSR2);
    for (int i = 0; i < 20; i++) {
        int signo = i % 2 ? SIGUSR1 : SIGUSR2;
        kill(getpid(), signo);
        CHECK_EQ(recv_int(c), signo);
    }
    gust_chan_unref(c);
    return 0;
}

Test(signal, arrives_as_its_number)
{
    test_run(deliver_main, NULL);
}

static int several_main(void *arg)
{
    static const int some[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGCHLD, SIGWINCH};
    gust_chan *c = chan_make(sizeof(int), 16);
    uint64_t seen = 0;
    (void)arg;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        notify(c, some[i]);
        notify(c, some[i]); /* twice is once */
    }
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        kill(getpid(), some[i]);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        seen |= UINT64_C(1) << recv_int(c);
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        CHECK(seen & UINT64_C(1) << some[i]);
    CHECK_EQ(gust_chan_len(c), 0);
    gust_chan_unref(c);
    return 0;
}

Test(signal, several_share_a_channel)
{
    test_run(several_main, NULL);
}

static void *raise_from_thread(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1); /* to this thread, which gust does not know */
    return NULL;
}

static int thread_main(void *arg)
{
    pthread_t thread;
    gust_chan *c = chan_make(sizeof(int), 3);
    (void)arg;
    notify(c, SIGUSR1);
    CHECK_EQ(pthread_create(&thread, NULL, raise_from_thread, NULL), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(recv_int(c), SIGUSR1);
    pthread_join(thread, NULL);
    gust_chan_unref(c);
    return 0;
}

Test(signal, may_hit_a_foreign_thread)
{
    test_run(thread_main, NULL);
}

static int full_main(void *arg)
{
    gust_chan *small = chan_make(sizeof(int), 1), *order = chan_make(sizeof(int), 1);
    (void)arg;
    notify(small, SIGUSR1);
    notify(order, SIGUSR2);
    for (int i = 0; i < 5; i++)
        raise(SIGUSR1);
    raise(SIGUSR2);
    CHECK_EQ(recv_int(order), SIGUSR2); /* it was delivered after the others */
    CHECK_EQ(gust_chan_len(small), 1);
    CHECK_EQ(recv_int(small), SIGUSR1);
    CHECK_EQ(gust_chan_recv(small, NULL, GUST_NOW), -EAGAIN);
    gust_chan_unref(small);
    gust_chan_unref(order);
    return 0;
}

Test(signal, finding_the_channel_full_is_dropped)
{
    test_run(full_main, NULL);
}

static int last_wins_main(void *arg)
{
    gust_chan *first = chan_make(sizeof(int), 1), *second = chan_make(sizeof(int), 1);
    (void)arg;
    notify(first, SIGUSR1);
    notify(second, SIGUSR1);
    raise(SIGUSR1);
    CHECK_EQ(recv_int(second), SIGUSR1);
    CHECK_EQ(gust_chan_len(first), 0);
    gust_chan_unref(first); /* nobody else holds it, says LeakSanitizer */
    gust_chan_unref(second);
    return 0;
}

Test(signal, last_channel_wins)
{
    test_run(last_wins_main, NULL);
}

static int refused_main(void *arg)
{
    static const int bad[] = {0, -1, NSIG, NSIG + 1, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGURG, 32};
    gust_chan *c = chan_make(sizeof(int), 1);
    (void)arg;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(gust_signal_notify(c, bad[i]), -EINVAL);
    gust_chan_unref(c);
    return 0;
}

Test(signal, that_cannot_be_caught_or_is_ours_is_refused)
{
    test_run(refused_main, NULL);
}

/* --- Back to the default --------------------------------------------------------- */

static int restore_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    (void)arg;
    notify(NULL, SIGUSR1); /* nothing to restore */
    notify(c, SIGUSR1);
    raise(SIGUSR1);
    CHECK_EQ(recv_int(c), SIGUSR1);
    notify(NULL, SIGUSR1);
    gust_chan_unref(c);
    raise(SIGUSR1);
    CHECK(!"reached");
    return 0;
}

static void restore_child(void)
{
    gust_run(restore_main, NULL);
}

Test(signal, null_channel_restores_the_default)
{
    child_assert_ends(restore_child, SIGUSR1);
}

static int keep_main(void *arg)
{
    (void)arg;
    gust_chan *c = chan_make(sizeof(int), 1);
    notify(c, SIGUSR1);
    notify(c, SIGUSR2);
    gust_chan_unref(c);
    raise(SIGUSR2); /* nobody takes it */
    return 0;
}

static void end_child(void)
{
    gust_run(keep_main, NULL);
    raise(SIGUSR2);
}

Test(signal, end_of_the_run_restores_the_defaults)
{
    child_assert_ends(end_child, SIGUSR2);
}

static void own_handler(int signo)
{
    (void)signo;
}

Test(signal, end_of_the_run_restores_the_programs_own_handler)
{
    struct sigaction own = {.sa_handler = own_handler}, now;
    sigaction(SIGUSR1, &own, NULL);
    for (int i = 0; i < 3; i++) {
        test_run(keep_main, NULL);
        sigaction(SIGUSR1, NULL, &now);
        cr_assert_eq(now.sa_handler, own_handler);
        raise(SIGUSR1);
    }
}

/* From a thread of its own, once all Ps sleep and sysmon does too. */
static void *raise_when_asleep(void *arg)
{
    (void)arg;
    while (!atomic_load(&sched.sysmon_asleep))
        usleep(1000);
    raise(SIGUSR1);
    return NULL;
}

static int wakes_main(void *arg)
{
    pthread_t thread;
    gust_chan *c = chan_make(sizeof(int), 1);
    (void)arg;
    notify(c, SIGUSR1);
    CHECK_EQ(pthread_create(&thread, NULL, raise_when_asleep, NULL), 0);
    CHECK_EQ(recv_int(c), SIGUSR1);
    pthread_join(thread, NULL);
    gust_chan_unref(c);
    return 0;
}

Test(signal, wakes_a_runtime_that_sleeps)
{
    test_run(wakes_main, NULL);
}

/* Only as many as came: none is made up, the pipe's order is kept per signal. */
static int burst_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1024);
    (void)arg;
    notify(c, SIGUSR1);
    notify(c, SIGUSR2);
    for (int i = 0; i < 300; i++)
        raise(SIGUSR1);
    raise(SIGUSR2);
    for (int i = 0; i < 300; i++)
        CHECK_EQ(recv_int(c), SIGUSR1);
    CHECK_EQ(recv_int(c), SIGUSR2);
    gust_chan_unref(c);
    return 0;
}

Test(signal, burst_arrives_in_order)
{
    test_run(burst_main, NULL);
}
